/* one.c: see one.h. */
#include "one.h"

bh_err bh_store_change(struct bh_store *store, const struct bh_query *query, const struct bh_value *args,
                       size_t arg_count, bool must_change)
{
    struct bh_result result;
    bh_err err =
        bh_store_run(store, &(struct bh_request){.query = query, .args = args, .arg_count = arg_count}, &result);

    return !err && must_change && !result.changed ? BH_E_NOT_FOUND : err;
}

bh_err bh_store_rows(struct bh_store *store, const struct bh_query *query, const struct bh_value *args,
                     size_t arg_count, bool must_exist, void (*row)(void *ctx, const struct bh_row *row), void *ctx)
{
    struct bh_result result;
    bh_err err = bh_store_run(
        store, &(struct bh_request){.query = query, .args = args, .arg_count = arg_count, .row = row, .ctx = ctx},
        &result);

    return !err && must_exist && !result.rows ? BH_E_NOT_FOUND : err;
}

static void take_number(void *ctx, const struct bh_row *row)
{
    *(int64_t *)ctx = bh_row_int(row, 0);
}

bh_err bh_store_number(struct bh_store *store, const struct bh_query *query, const struct bh_value *args,
                       size_t arg_count, int64_t *ret_number)
{
    return bh_store_rows(store, query, args, arg_count, true, take_number, ret_number);
}

struct text {
    struct bh_arena *arena;
    bh_str value;
};

static void take_text(void *ctx, const struct bh_row *row)
{
    struct text *text = ctx;

    text->value = bh_arena_dup(text->arena, bh_row_str(row, 0));
}

bh_err bh_store_text(struct bh_store *store, struct bh_arena *arena, const struct bh_query *query,
                     const struct bh_value *args, size_t arg_count, bh_str *ret_text)
{
    struct text text = {arena, {NULL, 0}};
    bh_err err = bh_store_rows(store, query, args, arg_count, true, take_text, &text);

    if (!err && !text.value.p)
        err = BH_E_NOMEM;
    if (!err)
        *ret_text = text.value;
    return err;
}
