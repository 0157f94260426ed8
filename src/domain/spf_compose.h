/* spf_compose.h: from a list of terms to records that fit in DNS.
 *
 * A record stays below 450 bytes where it can, so that its answer fits in 512 bytes (RFC 7208 3.4). What is longer is
 * split: the terms go into parts at names of their own, `v=spf1 TERM … ` each, and the record has one include per
 * part. Since an include counts towards the limit of ten look-ups, at most BH_SPF_PARTS_MAX parts are made; parts grow
 * beyond 450 bytes when that is not enough. */
#ifndef BH_DOMAIN_SPF_COMPOSE_H
#define BH_DOMAIN_SPF_COMPOSE_H

#include "base/buf.h"

enum { BH_SPF_TEXT_MAX = 450, BH_SPF_PARTS_MAX = 4, BH_SPF_PART_TEXT_MAX = 16000 };

/* A TXT record to publish. */
struct bh_spf_text {
    bh_str name;
    bh_str text;
};

/* Puts `terms` (texts without qualifier: what they match passes) into at most BH_SPF_PARTS_MAX parts
 * `<label>-<n>.<zone>`, each "v=spf1 … ?all" without look-ups of its own beyond those of the terms. All in the arena.
 * BH_E_NOMEM; BH_E_LIMIT: more than BH_SPF_PARTS_MAX parts of BH_SPF_PART_TEXT_MAX bytes. */
BH_MUST bh_err bh_spf_parts(struct bh_arena *arena, const bh_str *terms, size_t count, bh_str label, bh_str zone,
                            struct bh_spf_text *ret_parts, size_t *ret_count);

#endif
