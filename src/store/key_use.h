/* key_use.h: rows of spool.db's `key_use`: when each DKIM key signed last, as far as results tell. A time is written
 * ahead, so that a key that signs all the time costs a write a minute: what is stored is never too early. */
#ifndef BH_STORE_KEY_USE_H
#define BH_STORE_KEY_USE_H

#include "store.h"

/* Raises the time of a key to `until`. Inside the caller's transaction. */
void bh_key_use_raise(struct bh_store *store, uint64_t key, bh_time_ms until);
/* Column 0: the time; no row where it never signed. */
void bh_key_use_select(struct bh_store *store, uint64_t key, void (*row)(void *ctx, const struct bh_row *row),
                       void (*done)(void *ctx, const struct bh_result *result), void *ctx);

#endif
