/* dmarc_eval.h: one DMARC evaluation as a function of facts. */
#ifndef BH_AUTH_DMARC_EVAL_H
#define BH_AUTH_DMARC_EVAL_H

#include "base/buf.h"
#include "dmarc_facts.h"

struct bh_dmarc_identifier {
    bool is_dkim;
    bh_str domain; /* lower case A-labels; passed */
};

struct bh_dmarc_input {
    struct bh_dmarc_facts *facts;
    bh_str from; /* lower case A-labels, valid */
    struct bh_dmarc_identifier identifiers[BH_DMARC_IDENTIFIERS_MAX + 1];
    size_t count;
    const struct bh_suffixes *suffixes;
    uint8_t sample;
    bool assume_record;
};

/* Evaluates by the tree walk or by public suffixes. False: a fact is wanted. On true the outcome's views are in the
 * facts' arena; its trace and reason are too. */
bool bh_dmarc_evaluate(const struct bh_dmarc_input *input, bool by_psl, struct bh_dmarc_outcome *ret_outcome);

#endif
