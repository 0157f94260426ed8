/* one.h: reading a single row or number; private to the query files of control.db. */
#ifndef BH_STORE_ONE_H
#define BH_STORE_ONE_H

#include "store.h"

/* Runs a statement that changes rows. `must_change`: BH_E_NOT_FOUND where it changed none. */
BH_MUST bh_err bh_store_change(struct bh_store *store, const struct bh_query *query, const struct bh_value *args,
                               size_t arg_count, bool must_change);
/* Runs a query and gives each row to `row`. `must_exist`: BH_E_NOT_FOUND without one. */
BH_MUST bh_err bh_store_rows(struct bh_store *store, const struct bh_query *query, const struct bh_value *args,
                             size_t arg_count, bool must_exist, void (*row)(void *ctx, const struct bh_row *row),
                             void *ctx);
/* Column 0 of the one row. */
BH_MUST bh_err bh_store_number(struct bh_store *store, const struct bh_query *query, const struct bh_value *args,
                               size_t arg_count, int64_t *ret_number);
/* Column 0 of the one row as text in the arena. */
BH_MUST bh_err bh_store_text(struct bh_store *store, struct bh_arena *arena, const struct bh_query *query,
                             const struct bh_value *args, size_t arg_count, bh_str *ret_text);

/* The two arguments args, arg_count from a list of values. */
#define BH_WITH(...)                                                                                                   \
    (const struct bh_value[]){__VA_ARGS__}, sizeof((const struct bh_value[]){__VA_ARGS__}) / sizeof(struct bh_value)

#endif
