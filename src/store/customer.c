/* customer.c: queries on `customer`. See control.h. */
#include "control.h"
#include "one.h"

#define COLUMNS "id, name, created_at"

static const struct bh_query insert = {"INSERT INTO customer(name, created_at) VALUES ($1, $2) RETURNING id"};
static const struct bh_query by_name = {"SELECT " COLUMNS " FROM customer WHERE name = $1 AND deleted_at IS NULL"};
static const struct bh_query by_id = {"SELECT " COLUMNS " FROM customer WHERE id = $1"};
static const struct bh_query list = {"SELECT " COLUMNS
                                     " FROM customer WHERE name > $1 AND deleted_at IS NULL ORDER BY name LIMIT $2"};

struct reader {
    struct bh_arena *arena;
    struct bh_customer *customer;
    bool (*each)(void *ctx, const struct bh_customer *customer);
    void *ctx;
    bool stopped;
};

static void take(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;

    *reader->customer = (struct bh_customer){bh_row_int(row, 0), bh_row_dup(row, 1, reader->arena), bh_row_int(row, 2)};
}

static void pass_on(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_customer customer = {bh_row_int(row, 0), bh_row_str(row, 1), bh_row_int(row, 2)};

    if (!reader->stopped)
        reader->stopped = !reader->each(reader->ctx, &customer);
}

bh_err bh_customer_insert(struct bh_store *store, bh_str name, bh_time_ms now, int64_t *ret_id)
{
    return bh_store_number(store, &insert, BH_WITH(BH_TEXT(name), BH_INT(now)), ret_id);
}

bh_err bh_customer_by_name(struct bh_store *store, struct bh_arena *arena, bh_str name,
                           struct bh_customer *ret_customer)
{
    struct reader reader = {.arena = arena, .customer = ret_customer};

    return bh_store_rows(store, &by_name, BH_WITH(BH_TEXT(name)), true, take, &reader);
}

bh_err bh_customer_by_id(struct bh_store *store, struct bh_arena *arena, int64_t id, struct bh_customer *ret_customer)
{
    struct reader reader = {.arena = arena, .customer = ret_customer};

    return bh_store_rows(store, &by_id, BH_WITH(BH_INT(id)), true, take, &reader);
}

bh_err bh_customer_list(struct bh_store *store, bh_str after, int64_t limit,
                        bool (*each)(void *ctx, const struct bh_customer *customer), void *ctx)
{
    struct reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &list, BH_WITH(BH_TEXT(after), BH_INT(limit)), false, pass_on, &reader);
}
