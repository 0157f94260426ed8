/* egress.c: queries on `egress_pool`, `egress_address`, `pool_use`, `domain_spf`. See control.h. */
#include "domain_row.h"

#define ADDRESS_COLUMNS                                                                                                \
    "id, pool, address, helo, weight, state, configured, created_at, state_at, last_used_at, ptr_problem, ptr_at"
#define USE_COLUMNS "kind, id, pool, earlier, state, state_at"

static const struct bh_query pool_insert = {"INSERT INTO egress_pool(name, created_at) VALUES ($1, $2) RETURNING id"};
static const struct bh_query pool_delete = {
    "DELETE FROM egress_pool WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM pool_use WHERE pool = $1 OR earlier = $1)"
    " AND NOT EXISTS (SELECT 1 FROM egress_address WHERE pool = $1 AND state < 5)"};
static const struct bh_query forget_withdrawn = {
    "DELETE FROM egress_address WHERE pool = $1 AND state = 5"
    " AND NOT EXISTS (SELECT 1 FROM egress_address WHERE pool = $1 AND state < 5)"};
static const struct bh_query pool_list = {"SELECT id, name, created_at FROM egress_pool ORDER BY name"};
static const struct bh_query insert = {
    "INSERT INTO egress_address(pool, address, helo, weight, state, configured, created_at, state_at, last_used_at,"
    " ptr_problem, ptr_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 0, '', 0) RETURNING id"};
static const struct bh_query set_state = {
    "UPDATE egress_address SET state = $2, state_at = $3, last_used_at = $4 WHERE id = $1"};
static const struct bh_query set_terms = {"UPDATE egress_address SET helo = $2, weight = $3 WHERE id = $1"};
static const struct bh_query set_ptr = {"UPDATE egress_address SET ptr_problem = $2, ptr_at = $3 WHERE id = $1"};
static const struct bh_query list = {"SELECT " ADDRESS_COLUMNS " FROM egress_address WHERE state < 5 ORDER BY id"};
static const struct bh_query use_set = {
    "INSERT INTO pool_use(" USE_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6)"
    " ON CONFLICT(kind, id) DO UPDATE SET pool = $3, earlier = $4, state = $5, state_at = $6"};
static const struct bh_query use_delete = {"DELETE FROM pool_use WHERE kind = $1 AND id = $2"};
static const struct bh_query use_of = {"SELECT " USE_COLUMNS " FROM pool_use WHERE (kind = 2 AND id = $1)"
                                       " OR (kind = 1 AND id = $2) ORDER BY kind DESC LIMIT 1"};
static const struct bh_query use_list = {"SELECT " USE_COLUMNS " FROM pool_use ORDER BY kind, id"};
static const struct bh_query spf_set = {"INSERT INTO domain_spf(domain, passes, at) VALUES ($1, $2, $3)"
                                        " ON CONFLICT(domain) DO UPDATE SET passes = $2, at = $3"};
static const struct bh_query spf_get = {"SELECT passes FROM domain_spf WHERE domain = $1"};
static const struct bh_query spf_check_soon = {
    "UPDATE domain SET check_at = $1 WHERE id IN (SELECT domain FROM domain_spf) AND check_at > $1"
    " AND deleted_at IS NULL"};
static const struct bh_query page = {BH_DOMAIN_SELECT
                                     "WHERE d.id > $1 AND d.deleted_at IS NULL ORDER BY d.id LIMIT $2"};

bh_err bh_pool_insert(struct bh_store *store, bh_str name, bh_time_ms now, int64_t *ret_id)
{
    return bh_store_number(store, &pool_insert, BH_WITH(BH_TEXT(name), BH_INT(now)), ret_id);
}

bh_err bh_pool_delete(struct bh_store *store, int64_t id)
{
    bh_err err = bh_store_change(store, &forget_withdrawn, BH_WITH(BH_INT(id)), false);

    if (!err)
        err = bh_store_change(store, &pool_delete, BH_WITH(BH_INT(id)), true);
    return err == BH_E_NOT_FOUND ? BH_E_INVALID : err;
}

struct reader {
    void (*pool)(void *ctx, const struct bh_egress_pool *pool);
    void (*address)(void *ctx, const struct bh_egress_address *address);
    void (*use)(void *ctx, const struct bh_pool_use *use);
    struct bh_pool_use *one;
    void *ctx;
};

static void take_pool(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;

    reader->pool(reader->ctx, &(struct bh_egress_pool){bh_row_int(row, 0), bh_row_str(row, 1), bh_row_int(row, 2)});
}

bh_err bh_pool_list(struct bh_store *store, void (*each)(void *ctx, const struct bh_egress_pool *pool), void *ctx)
{
    struct reader reader = {.pool = each, .ctx = ctx};

    return bh_store_rows(store, &pool_list, NULL, 0, false, take_pool, &reader);
}

bh_err bh_egress_insert(struct bh_store *store, const struct bh_egress_address *a, int64_t *ret_id)
{
    return bh_store_number(store, &insert,
                           BH_WITH(BH_INT(a->pool), BH_TEXT(a->address), BH_TEXT(a->helo), BH_INT(a->weight),
                                   BH_INT(a->state), BH_INT(a->configured), BH_INT(a->created_at)),
                           ret_id);
}

bh_err bh_egress_set_state(struct bh_store *store, int64_t id, enum bh_egress_state state, bh_time_ms now,
                           bh_time_ms last_used_at)
{
    return bh_store_change(store, &set_state, BH_WITH(BH_INT(id), BH_INT(state), BH_INT(now), BH_INT(last_used_at)),
                           true);
}

bh_err bh_egress_set_terms(struct bh_store *store, int64_t id, bh_str helo, uint32_t weight)
{
    return bh_store_change(store, &set_terms, BH_WITH(BH_INT(id), BH_TEXT(helo), BH_INT(weight)), true);
}

bh_err bh_egress_set_ptr(struct bh_store *store, int64_t id, bh_str problem, bh_time_ms now)
{
    return bh_store_change(store, &set_ptr, BH_WITH(BH_INT(id), BH_TEXT(problem), BH_INT(now)), true);
}

static void take_address(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_egress_address address = {.id = bh_row_int(row, 0),
                                        .pool = bh_row_int(row, 1),
                                        .address = bh_row_str(row, 2),
                                        .helo = bh_row_str(row, 3),
                                        .weight = (uint32_t)bh_row_int(row, 4),
                                        .state = (enum bh_egress_state)bh_row_int(row, 5),
                                        .configured = bh_row_int(row, 6) != 0,
                                        .created_at = bh_row_int(row, 7),
                                        .state_at = bh_row_int(row, 8),
                                        .last_used_at = bh_row_int(row, 9),
                                        .ptr_problem = bh_row_str(row, 10),
                                        .ptr_at = bh_row_int(row, 11)};

    reader->address(reader->ctx, &address);
}

bh_err bh_egress_list(struct bh_store *store, void (*each)(void *ctx, const struct bh_egress_address *address),
                      void *ctx)
{
    struct reader reader = {.address = each, .ctx = ctx};

    return bh_store_rows(store, &list, NULL, 0, false, take_address, &reader);
}

bh_err bh_pool_use_set(struct bh_store *store, const struct bh_pool_use *use)
{
    return bh_store_change(store, &use_set,
                           BH_WITH(BH_INT(use->kind), BH_INT(use->id), BH_INT(use->pool), BH_INT(use->earlier),
                                   BH_INT(use->state), BH_INT(use->state_at)),
                           true);
}

bh_err bh_pool_use_delete(struct bh_store *store, enum bh_pool_user kind, int64_t id)
{
    return bh_store_change(store, &use_delete, BH_WITH(BH_INT(kind), BH_INT(id)), false);
}

static void take_use(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_pool_use use = {.kind = (enum bh_pool_user)bh_row_int(row, 0),
                              .id = bh_row_int(row, 1),
                              .pool = bh_row_int(row, 2),
                              .earlier = bh_row_int(row, 3),
                              .state = (enum bh_egress_state)bh_row_int(row, 4),
                              .state_at = bh_row_int(row, 5)};

    if (reader->one)
        *reader->one = use;
    else
        reader->use(reader->ctx, &use);
}

bh_err bh_pool_use_of(struct bh_store *store, int64_t domain, int64_t customer, struct bh_pool_use *ret_use)
{
    struct reader reader = {.one = ret_use};

    return bh_store_rows(store, &use_of, BH_WITH(BH_INT(domain), BH_INT(customer)), true, take_use, &reader);
}

bh_err bh_pool_use_list(struct bh_store *store, void (*each)(void *ctx, const struct bh_pool_use *use), void *ctx)
{
    struct reader reader = {.use = each, .ctx = ctx};

    return bh_store_rows(store, &use_list, NULL, 0, false, take_use, &reader);
}

bh_err bh_domain_spf_set(struct bh_store *store, int64_t domain, bh_str passes, bh_time_ms now)
{
    return bh_store_change(store, &spf_set, BH_WITH(BH_INT(domain), BH_TEXT(passes), BH_INT(now)), true);
}

bh_err bh_domain_spf_get(struct bh_store *store, struct bh_arena *arena, int64_t domain, bh_str *ret_passes)
{
    return bh_store_text(store, arena, &spf_get, BH_WITH(BH_INT(domain)), ret_passes);
}

bh_err bh_domain_spf_check_soon(struct bh_store *store, bh_time_ms now)
{
    return bh_store_change(store, &spf_check_soon, BH_WITH(BH_INT(now)), false);
}

static void pass_on(void *ctx, const struct bh_row *row)
{
    struct bh_domain_reader *reader = ctx;
    struct bh_domain domain;

    bh_domain_from_row(row, NULL, &domain);
    if (!reader->stopped)
        reader->stopped = !reader->each(reader->ctx, &domain);
}

bh_err bh_domain_page(struct bh_store *store, int64_t after, int64_t limit, bh_domain_each *each, void *ctx)
{
    struct bh_domain_reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &page, BH_WITH(BH_INT(after), BH_INT(limit)), false, pass_on, &reader);
}
