/* idempotency.c: see idempotency.h. */
#include "idempotency.h"

static const struct bh_query select_one = {
    "SELECT request_hash, ids FROM idempotency WHERE customer = $1 AND key = $2 AND at >= $3"};
static const struct bh_query insert = {
    "INSERT INTO idempotency(customer, key, request_hash, ids, at) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT(customer, key) DO UPDATE SET request_hash = $3, ids = $4, at = $5"};
static const struct bh_query prune = {"DELETE FROM idempotency WHERE (customer, key) IN"
                                      " (SELECT customer, key FROM idempotency WHERE at < $1 ORDER BY at LIMIT 4)"};

void bh_idempotency_select(struct bh_store *store, int64_t customer, bh_str key, bh_time_ms since,
                           void (*row)(void *ctx, const struct bh_row *row),
                           void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){.query = &select_one,
                                                BH_ARGS(BH_INT(customer), BH_TEXT(key), BH_INT(since)),
                                                .row = row,
                                                .done = done,
                                                .ctx = ctx});
}

void bh_idempotency_insert(struct bh_store *store, int64_t customer, bh_str key, const struct bh_idempotency *entry,
                           bh_time_ms now)
{
    bh_store_submit(store, &(struct bh_request){.query = &insert,
                                                BH_ARGS(BH_INT(customer), BH_TEXT(key), BH_BLOB(entry->request_hash),
                                                        BH_BLOB(entry->ids), BH_INT(now))});
}

void bh_idempotency_prune(struct bh_store *store, bh_time_ms before)
{
    bh_store_submit(store, &(struct bh_request){.query = &prune, BH_ARGS(BH_INT(before))});
}
