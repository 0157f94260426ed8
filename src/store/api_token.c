/* api_token.c: queries on `api_token`: who may talk to the HTTP API. See control.h. */
#include "control.h"
#include "one.h"

#define COLUMNS                                                                                                        \
    "t.id, coalesce(t.customer, 0), coalesce(u.name, ''), t.name, t.secret_hash, t.scopes, t.addresses, t.rate,"       \
    " t.created_at, coalesce(t.revoked_at, 0)"
#define FROM " FROM api_token t LEFT JOIN customer u ON u.id = t.customer "

static const struct bh_query insert = {
    "INSERT INTO api_token(customer, name, secret_hash, scopes, addresses, rate, created_at)"
    " VALUES (nullif($1, 0), $2, $3, $4, $5, $6, $7) RETURNING id"};
static const struct bh_query by_hash = {"SELECT " COLUMNS FROM "WHERE t.secret_hash = $1"};
static const struct bh_query revoke = {"UPDATE api_token SET revoked_at = $3 WHERE id = $1 AND revoked_at IS NULL"
                                       " AND ($2 = 0 OR customer = $2)"};
static const struct bh_query list = {"SELECT " COLUMNS FROM
                                     "WHERE ($1 = 0 OR t.customer = $1) AND t.id > $2 ORDER BY t.id LIMIT $3"};

struct reader {
    struct bh_arena *arena;
    struct bh_api_token *token;
    void (*each)(void *ctx, const struct bh_api_token *token);
    void *ctx;
};

static void read_row(const struct bh_row *row, struct bh_api_token *ret_token)
{
    *ret_token = (struct bh_api_token){.id = bh_row_int(row, 0),
                                       .customer_id = bh_row_int(row, 1),
                                       .customer = bh_row_str(row, 2),
                                       .name = bh_row_str(row, 3),
                                       .secret_hash = bh_row_str(row, 4),
                                       .scopes = (unsigned)bh_row_int(row, 5),
                                       .addresses = bh_row_str(row, 6),
                                       .rate = bh_row_int(row, 7),
                                       .created_at = bh_row_int(row, 8),
                                       .revoked_at = bh_row_int(row, 9)};
}

static void take(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_api_token *token = reader->token;

    read_row(row, token);
    token->customer = bh_arena_dup(reader->arena, token->customer);
    token->name = bh_arena_dup(reader->arena, token->name);
    token->secret_hash = bh_arena_dup(reader->arena, token->secret_hash);
    token->addresses = bh_arena_dup(reader->arena, token->addresses);
}

static void pass_on(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_api_token token;

    read_row(row, &token);
    reader->each(reader->ctx, &token);
}

bh_err bh_api_token_insert(struct bh_store *store, const struct bh_api_token *token, int64_t *ret_id)
{
    return bh_store_number(store, &insert,
                           BH_WITH(BH_INT(token->customer_id), BH_TEXT(token->name), BH_BLOB(token->secret_hash),
                                   BH_INT(token->scopes), BH_TEXT(token->addresses), BH_INT(token->rate),
                                   BH_INT(token->created_at)),
                           ret_id);
}

bh_err bh_api_token_by_hash(struct bh_store *store, struct bh_arena *arena, bh_str secret_hash,
                            struct bh_api_token *ret_token)
{
    struct reader reader = {.arena = arena, .token = ret_token};

    return bh_store_rows(store, &by_hash, BH_WITH(BH_BLOB(secret_hash)), true, take, &reader);
}

bh_err bh_api_token_revoke(struct bh_store *store, int64_t id, int64_t customer, bh_time_ms now)
{
    return bh_store_change(store, &revoke, BH_WITH(BH_INT(id), BH_INT(customer), BH_INT(now)), true);
}

bh_err bh_api_token_list(struct bh_store *store, int64_t customer, int64_t after, int64_t limit,
                         void (*each)(void *ctx, const struct bh_api_token *token), void *ctx)
{
    struct reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &list, BH_WITH(BH_INT(customer), BH_INT(after), BH_INT(limit)), false, pass_on,
                         &reader);
}
