/* kind.h: what a message without a report is, by evidence from its header and words. */
#ifndef BH_MAIL_BOUNCE_KIND_H
#define BH_MAIL_BOUNCE_KIND_H

#include "bounce.h"
#include "notice.h"

struct bh_kind_evidence {
    const struct bh_notice *notice;
    bh_str words;
    bool has_returned; /* the message, or its header, was in it */
    bool has_code;     /* an SMTP reply of a failure was in the words */
    bool has_hints;    /* the words list addresses */
};

/* *ret_challenge: it asks to prove that the sender is a person; then the kind is auto-reply. */
enum bh_bounce_kind bh_kind_decide(struct bh_classifier *classifier, const struct bh_kind_evidence *evidence,
                                   bool *ret_challenge);

#endif
