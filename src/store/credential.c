/* credential.c: queries on `credential`. See control.h. */
#include "control.h"
#include "one.h"

#define COLUMNS "c.id, c.customer, u.name, c.username, c.secret_hash, c.created_at, coalesce(c.revoked_at, 0)"
#define FROM " FROM credential c JOIN customer u ON u.id = c.customer "

static const struct bh_query insert = {"INSERT INTO credential(customer, username, secret_hash, created_at)"
                                       " VALUES ($1, $2, $3, $4) RETURNING id"};
static const struct bh_query by_username = {"SELECT " COLUMNS FROM "WHERE c.username = $1"};
static const struct bh_query revoke = {
    "UPDATE credential SET revoked_at = $2 WHERE username = $1 AND revoked_at IS NULL"};
static const struct bh_query list = {"SELECT " COLUMNS FROM "WHERE $1 = 0 OR c.customer = $1 ORDER BY c.id LIMIT $2"};

struct reader {
    struct bh_arena *arena;
    struct bh_credential *credential;
    bool (*each)(void *ctx, const struct bh_credential *credential);
    void *ctx;
    bool stopped;
};

static void read_row(const struct bh_row *row, struct bh_credential *ret_credential)
{
    *ret_credential = (struct bh_credential){.id = bh_row_int(row, 0),
                                             .customer_id = bh_row_int(row, 1),
                                             .customer = bh_row_str(row, 2),
                                             .username = bh_row_str(row, 3),
                                             .secret_hash = bh_row_str(row, 4),
                                             .created_at = bh_row_int(row, 5),
                                             .revoked_at = bh_row_int(row, 6)};
}

static void take(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_credential *credential = reader->credential;

    read_row(row, credential);
    credential->customer = bh_arena_dup(reader->arena, credential->customer);
    credential->username = bh_arena_dup(reader->arena, credential->username);
    credential->secret_hash = bh_arena_dup(reader->arena, credential->secret_hash);
}

static void pass_on(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_credential credential;

    read_row(row, &credential);
    if (!reader->stopped)
        reader->stopped = !reader->each(reader->ctx, &credential);
}

bh_err bh_credential_insert(struct bh_store *store, int64_t customer, bh_str username, bh_str secret_hash,
                            bh_time_ms now, int64_t *ret_id)
{
    return bh_store_number(store, &insert,
                           BH_WITH(BH_INT(customer), BH_TEXT(username), BH_BLOB(secret_hash), BH_INT(now)), ret_id);
}

bh_err bh_credential_by_username(struct bh_store *store, struct bh_arena *arena, bh_str username,
                                 struct bh_credential *ret_credential)
{
    struct reader reader = {.arena = arena, .credential = ret_credential};

    return bh_store_rows(store, &by_username, BH_WITH(BH_TEXT(username)), true, take, &reader);
}

bh_err bh_credential_revoke(struct bh_store *store, bh_str username, bh_time_ms now)
{
    return bh_store_change(store, &revoke, BH_WITH(BH_TEXT(username), BH_INT(now)), true);
}

bh_err bh_credential_list(struct bh_store *store, int64_t customer, int64_t limit,
                          bool (*each)(void *ctx, const struct bh_credential *credential), void *ctx)
{
    struct reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &list, BH_WITH(BH_INT(customer), BH_INT(limit)), false, pass_on, &reader);
}
