/* arc_internal.h: the sets of a header, and the hash of a seal. */
#ifndef BH_AUTH_ARC_INTERNAL_H
#define BH_AUTH_ARC_INTERNAL_H

#include "dkim_internal.h"
#include <behalf/arc.h>

/* The fields of one instance; an empty view where it is missing. */
struct bh_arc_set {
    bh_str results;
    bh_str message;
    bh_str seal;
    struct bh_sig *message_sig;
    struct bh_sig *seal_sig;
};

struct bh_arc_chain {
    struct bh_arc_set sets[BH_ARC_MAX_SETS + 1]; /* by instance, from 1 */
    unsigned count;                              /* the highest instance */
    const char *why;                             /* what is wrong with the structure; static */
    bool ended;                                  /* the last seal says cv=fail */
};

/* Finds the sets; *ret_chain->why tells what breaks RFC 8617 4.2.1, 5.2. BH_E_NOMEM. */
BH_MUST bh_err bh_arc_chain_read(struct bh_arena *arena, const struct bh_hindex *index, bh_time_ms now,
                                 struct bh_arc_chain *ret_chain);

/* RFC 8617 5.1.1: the sets `from` to `to` in order, the last seal without the value of b= and without CRLF. */
void bh_arc_seal_hash(struct bh_dkim *dkim, const struct bh_arc_set *sets, unsigned from, unsigned to, bh_str b_raw,
                      uint8_t ret_hash[BH_DKIM_HASH_BYTES]);

#endif
