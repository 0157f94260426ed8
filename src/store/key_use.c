/* key_use.c: queries on `key_use`. See key_use.h. */
#include "key_use.h"

static const struct bh_query raise = {"INSERT INTO key_use(key, signed_until) VALUES ($1, $2)"
                                      " ON CONFLICT(key) DO UPDATE SET signed_until = $2 WHERE signed_until < $2"};
static const struct bh_query find = {"SELECT signed_until FROM key_use WHERE key = $1"};

void bh_key_use_raise(struct bh_store *store, uint64_t key, bh_time_ms until)
{
    bh_store_submit(store, &(struct bh_request){.query = &raise, BH_ARGS(BH_INT(key), BH_INT(until))});
}

void bh_key_use_select(struct bh_store *store, uint64_t key, void (*row)(void *ctx, const struct bh_row *row),
                       void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store,
                    &(struct bh_request){.query = &find, BH_ARGS(BH_INT(key)), .row = row, .done = done, .ctx = ctx});
}
