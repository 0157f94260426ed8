/* idempotency.h: which request a key stood for, for 24 hours: one row, written with the messages that it made. */
#ifndef BH_STORE_IDEMPOTENCY_H
#define BH_STORE_IDEMPOTENCY_H

#include "store.h"

enum { BH_IDEMPOTENCY_KEY_MAX = 256, BH_IDEMPOTENCY_KEPT_MS = 24 * 3600 * 1000 };

struct bh_idempotency {
    bh_str request_hash; /* SHA-256 of the request */
    bh_str ids;          /* of the messages, 8 bytes each, big-endian, in the order of the request */
};

/* `row` is called with column 0 request_hash and column 1 ids, if there is one younger than `since`. */
void bh_idempotency_select(struct bh_store *store, int64_t customer, bh_str key, bh_time_ms since,
                           void (*row)(void *ctx, const struct bh_row *row),
                           void (*done)(void *ctx, const struct bh_result *result), void *ctx);
/* Replaces one that is too old to count. */
void bh_idempotency_insert(struct bh_store *store, int64_t customer, bh_str key, const struct bh_idempotency *entry,
                           bh_time_ms now);
/* Some of those older than `before`: called with each insert, so that they never pile up. */
void bh_idempotency_prune(struct bh_store *store, bh_time_ms before);

#endif
