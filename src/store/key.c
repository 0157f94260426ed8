/* key.c: queries on `dkim_key`, `key_duty`, `key_event`. See control.h. */
#include "control.h"
#include "one.h"

/* Not numbers of domain.h in the text of each query: 2 is active, 4 withdrawn. */
static const struct bh_query insert = {
    "INSERT INTO dkim_key(id, domain, selector, kind, state, imported, public_b64, sealed, created_at, state_at, "
    "reused)"
    " SELECT $1, id, $3, $4, $5, $6, $7, $8, $9, $9,"
    " EXISTS(SELECT 1 FROM dkim_key WHERE domain = $2 AND selector = $3) FROM domain"
    " WHERE id = $2 AND deleted_at IS NULL RETURNING id"};
static const struct bh_query duty_insert = {
    "INSERT INTO key_duty(domain, due_at, ed25519, period_ms, asked_at) VALUES ($1, $2, 0, -1, 0)"
    " ON CONFLICT(domain) DO NOTHING"};
static const struct bh_query next_id = {"SELECT coalesce(max(id), 0) + 1 FROM dkim_key"};
static const struct bh_query set_state = {
    "UPDATE dkim_key SET state = $2, state_at = $3, sealed = CASE WHEN $2 = 4 THEN x'' ELSE sealed END WHERE id = $1"};
static const struct bh_query update = {
    "UPDATE dkim_key SET state = $2, state_at = $3, reused = $4, seen_at = $5, looked_at = $6, asked_at = $7,"
    " signed_at = $8, unused_at = $9, revoke_at = $10, sealed = CASE WHEN $2 = 4 THEN x'' ELSE sealed END"
    " WHERE id = $1"};

#define COLUMNS                                                                                                        \
    " id, selector, kind, state, imported, public_b64, CASE WHEN $2 = 1 THEN sealed ELSE x'' END, created_at,"         \
    " state_at, reused, seen_at, looked_at, asked_at, signed_at, unused_at, revoke_at FROM dkim_key "

static const struct bh_query list = {"SELECT" COLUMNS "WHERE domain = $1 AND state <> 4 ORDER BY id LIMIT $3"};
static const struct bh_query history = {"SELECT" COLUMNS
                                        "WHERE domain = $1 AND state = 4 AND $2 = 0 ORDER BY id DESC LIMIT $3"};
static const struct bh_query revoked_since = {
    "SELECT id FROM dkim_key WHERE revoke_at > 0 AND revoke_at > $1 AND state <> 2 ORDER BY id"};

static const struct bh_query wish_get = {"SELECT ed25519, period_ms, asked_at FROM key_duty WHERE domain = $1"};
static const struct bh_query wish_set = {
    "UPDATE key_duty SET ed25519 = $2, period_ms = $3, asked_at = $4 WHERE domain = $1"};
static const struct bh_query due_set = {"UPDATE key_duty SET due_at = $2 WHERE domain = $1"};
static const struct bh_query due_all = {"UPDATE key_duty SET due_at = $1 WHERE due_at > $1"};
static const struct bh_query due_back = {"UPDATE key_duty SET due_at = $1 WHERE due_at > $2"};
static const struct bh_query due_list = {
    "SELECT k.domain FROM key_duty k JOIN domain d ON d.id = k.domain WHERE k.due_at <= $1 AND d.deleted_at IS NULL"
    " ORDER BY k.due_at LIMIT $2"};
static const struct bh_query due_next = {
    "SELECT coalesce(min(k.due_at), 9223372036854775807) FROM key_duty k JOIN domain d ON d.id = k.domain"
    " WHERE k.due_at > $1 AND d.deleted_at IS NULL"};

static const struct bh_query event_insert = {
    "INSERT INTO key_event(domain, at, key, what, detail) VALUES ($1, $2, $3, $4, $5)"};
static const struct bh_query event_list = {"SELECT e.at, e.key, coalesce(k.selector, ''), e.what, e.detail FROM "
                                           "key_event e LEFT JOIN dkim_key k ON k.id = e.key"
                                           " WHERE e.domain = $1 ORDER BY e.id DESC LIMIT $2"};

bh_err bh_key_insert(struct bh_store *store, int64_t domain, const struct bh_key *k, int64_t *ret_id)
{
    bh_err err = bh_store_number(store, &insert,
                                 BH_WITH(k->id ? BH_INT(k->id) : BH_NULL, BH_INT(domain), BH_TEXT(k->selector),
                                         BH_INT(k->kind), BH_INT(k->state), BH_INT(k->imported), BH_TEXT(k->public_b64),
                                         BH_BLOB(k->sealed), BH_INT(k->created_at)),
                                 ret_id);

    return err ? err : bh_store_change(store, &duty_insert, BH_WITH(BH_INT(domain), BH_INT(k->created_at)), false);
}

bh_err bh_key_next_id(struct bh_store *store, int64_t *ret_id)
{
    return bh_store_number(store, &next_id, NULL, 0, ret_id);
}

bh_err bh_key_set_state(struct bh_store *store, int64_t key, enum bh_key_state state, bh_time_ms now)
{
    return bh_store_change(store, &set_state, BH_WITH(BH_INT(key), BH_INT(state), BH_INT(now)), true);
}

bh_err bh_key_update(struct bh_store *store, const struct bh_key *k)
{
    return bh_store_change(store, &update,
                           BH_WITH(BH_INT(k->id), BH_INT(k->state), BH_INT(k->state_at), BH_INT(k->reused),
                                   BH_INT(k->seen_at), BH_INT(k->looked_at), BH_INT(k->asked_at), BH_INT(k->signed_at),
                                   BH_INT(k->unused_at), BH_INT(k->revoke_at)),
                           true);
}

struct reader {
    struct bh_arena *arena;
    struct bh_key *keys;
    size_t count, max;
};

static void take(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;

    if (reader->count == reader->max)
        return;
    reader->keys[reader->count++] = (struct bh_key){.id = bh_row_int(row, 0),
                                                    .selector = bh_row_dup(row, 1, reader->arena),
                                                    .kind = (enum bh_key_kind)bh_row_int(row, 2),
                                                    .state = (enum bh_key_state)bh_row_int(row, 3),
                                                    .imported = bh_row_int(row, 4) != 0,
                                                    .public_b64 = bh_row_dup(row, 5, reader->arena),
                                                    .sealed = bh_row_dup(row, 6, reader->arena),
                                                    .created_at = bh_row_int(row, 7),
                                                    .state_at = bh_row_int(row, 8),
                                                    .reused = bh_row_int(row, 9) != 0,
                                                    .seen_at = bh_row_int(row, 10),
                                                    .looked_at = bh_row_int(row, 11),
                                                    .asked_at = bh_row_int(row, 12),
                                                    .signed_at = bh_row_int(row, 13),
                                                    .unused_at = bh_row_int(row, 14),
                                                    .revoke_at = bh_row_int(row, 15)};
}

static bh_err read_keys(struct bh_store *store, struct bh_arena *arena, const struct bh_query *query, int64_t domain,
                        bool with_sealed, size_t max, struct bh_key **ret_keys, size_t *ret_count)
{
    struct reader reader = {arena, bh_arena_array(arena, max, sizeof(struct bh_key)), 0, max};
    bh_err err;

    if (!reader.keys)
        return BH_E_NOMEM;
    err = bh_store_rows(store, query, BH_WITH(BH_INT(domain), BH_INT(with_sealed), BH_INT(max)), false, take, &reader);
    if (err)
        return err;
    for (size_t i = 0; i < reader.count; i++)
        if (!reader.keys[i].selector.p || !reader.keys[i].public_b64.p)
            return BH_E_NOMEM;
    *ret_keys = reader.keys;
    *ret_count = reader.count;
    return BH_OK;
}

bh_err bh_key_list(struct bh_store *store, struct bh_arena *arena, int64_t domain, bool with_sealed,
                   struct bh_key **ret_keys, size_t *ret_count)
{
    return read_keys(store, arena, &list, domain, with_sealed, BH_KEYS_PER_DOMAIN, ret_keys, ret_count);
}

bh_err bh_key_list_withdrawn(struct bh_store *store, struct bh_arena *arena, int64_t domain, size_t max,
                             struct bh_key **ret_keys, size_t *ret_count)
{
    return read_keys(store, arena, &history, domain, false, max, ret_keys, ret_count);
}

struct ids {
    uint64_t *ids;
    size_t count, max;
};

static void take_id(void *ctx, const struct bh_row *row)
{
    struct ids *ids = ctx;

    if (ids->count < ids->max)
        ids->ids[ids->count++] = (uint64_t)bh_row_int(row, 0);
}

bh_err bh_key_list_revoked(struct bh_store *store, bh_time_ms from, uint64_t *ret_ids, size_t max, size_t *ret_count)
{
    struct ids ids = {ret_ids, 0, max};
    bh_err err = bh_store_rows(store, &revoked_since, BH_WITH(BH_INT(from)), false, take_id, &ids);

    if (!err)
        *ret_count = ids.count;
    return err;
}

/* ---- wishes and duties ---- */

static void take_wish(void *ctx, const struct bh_row *row)
{
    *(struct bh_key_wish *)ctx = (struct bh_key_wish){bh_row_int(row, 0) != 0, bh_row_int(row, 1), bh_row_int(row, 2)};
}

bh_err bh_key_wish_get(struct bh_store *store, int64_t domain, struct bh_key_wish *ret_wish)
{
    return bh_store_rows(store, &wish_get, BH_WITH(BH_INT(domain)), true, take_wish, ret_wish);
}

bh_err bh_key_wish_set(struct bh_store *store, int64_t domain, const struct bh_key_wish *wish)
{
    return bh_store_change(
        store, &wish_set,
        BH_WITH(BH_INT(domain), BH_INT(wish->ed25519), BH_INT(wish->period_ms), BH_INT(wish->asked_at)), true);
}

bh_err bh_key_due_set(struct bh_store *store, int64_t domain, bh_time_ms at)
{
    return bh_store_change(store, &due_set, BH_WITH(BH_INT(domain), BH_INT(at)), false);
}

bh_err bh_key_due_all(struct bh_store *store, bh_time_ms at)
{
    return bh_store_change(store, &due_all, BH_WITH(BH_INT(at)), false);
}

bh_err bh_key_due_back(struct bh_store *store, bh_time_ms at, bh_time_ms beyond)
{
    return bh_store_change(store, &due_back, BH_WITH(BH_INT(at), BH_INT(beyond)), false);
}

bh_err bh_key_due_list(struct bh_store *store, bh_time_ms now, uint64_t *ret_ids, size_t max, size_t *ret_count)
{
    struct ids ids = {ret_ids, 0, max};
    bh_err err = bh_store_rows(store, &due_list, BH_WITH(BH_INT(now), BH_INT(max)), false, take_id, &ids);

    if (!err)
        *ret_count = ids.count;
    return err;
}

bh_err bh_key_due_next(struct bh_store *store, bh_time_ms after, bh_time_ms *ret_at)
{
    return bh_store_number(store, &due_next, BH_WITH(BH_INT(after)), ret_at);
}

/* ---- history ---- */

bh_err bh_key_event_insert(struct bh_store *store, int64_t domain, bh_time_ms at, int64_t key, bh_str what,
                           bh_str detail)
{
    return bh_store_change(store, &event_insert,
                           BH_WITH(BH_INT(domain), BH_INT(at), BH_INT(key), BH_TEXT(what), BH_TEXT(detail)), true);
}

struct event_reader {
    void (*each)(void *ctx, const struct bh_key_event *event);
    void *ctx;
};

static void take_event(void *ctx, const struct bh_row *row)
{
    struct event_reader *reader = ctx;
    struct bh_key_event event = {bh_row_int(row, 0), bh_row_int(row, 1), bh_row_str(row, 2), bh_row_str(row, 3),
                                 bh_row_str(row, 4)};

    reader->each(reader->ctx, &event);
}

bh_err bh_key_event_list(struct bh_store *store, int64_t domain, int64_t limit,
                         void (*each)(void *ctx, const struct bh_key_event *event), void *ctx)
{
    struct event_reader reader = {each, ctx};

    return bh_store_rows(store, &event_list, BH_WITH(BH_INT(domain), BH_INT(limit)), false, take_event, &reader);
}
