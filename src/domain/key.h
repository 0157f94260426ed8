/* key.h: DKIM keys as values: which state may follow which, selectors, the public half in a record. The order of their
 * life is in key_life.h.
 *
 * The first key of a new domain is active from the start: nothing can be sent before a check has seen it in DNS, which
 * is the wait that invariant 3 asks for. */
#ifndef BH_DOMAIN_KEY_H
#define BH_DOMAIN_KEY_H

#include "domain.h"

/* True when a key may go from one state to the other in one step. */
bool bh_key_may_become(enum bh_key_state from, enum bh_key_state to);
/* The state of the `index`-th key (from 0) of a new domain. */
enum bh_key_state bh_key_initial_state(unsigned index);
/* Selector of the `index`-th key (from 0): "bh1". In the arena; {NULL, 0} when it is full. */
bh_str bh_key_selector(struct bh_arena *arena, const struct bh_labels *labels, unsigned index);
/* The same for Ed25519 keys: "be1". */
bh_str bh_key_ed25519_selector(struct bh_arena *arena, unsigned index);

/* The p= value of a DKIM key record (RFC 6376 3.6.1), blanks removed, in the arena. BH_E_SYNTAX: not a key record;
 * an empty value is a revoked key. `ret_damaged` tells that quotes or backslashes had to be dropped to read it. */
BH_MUST bh_err bh_key_record_public(struct bh_arena *arena, bh_str record, bh_str *ret_public_b64, bool *ret_damaged);

#endif
