/* key.c: queries on `dkim_key`. See control.h. */
#include "control.h"
#include "one.h"

static const struct bh_query insert = {
    "INSERT INTO dkim_key(id, domain, selector, kind, state, imported, public_b64, sealed, created_at, state_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) RETURNING id"};
static const struct bh_query next_id = {"SELECT coalesce(max(id), 0) + 1 FROM dkim_key"};
static const struct bh_query set_state = {"UPDATE dkim_key SET state = $2, state_at = $3 WHERE id = $1"};
static const struct bh_query list = {
    "SELECT id, selector, kind, state, imported, public_b64, CASE WHEN $2 = 1 THEN sealed ELSE x'' END, created_at,"
    " state_at FROM dkim_key WHERE domain = $1 ORDER BY id LIMIT $3"};

bh_err bh_key_insert(struct bh_store *store, int64_t domain, const struct bh_key *k, int64_t *ret_id)
{
    return bh_store_number(store, &insert,
                           BH_WITH(k->id ? BH_INT(k->id) : BH_NULL, BH_INT(domain), BH_TEXT(k->selector),
                                   BH_INT(k->kind), BH_INT(k->state), BH_INT(k->imported), BH_TEXT(k->public_b64),
                                   BH_BLOB(k->sealed), BH_INT(k->created_at)),
                           ret_id);
}

bh_err bh_key_next_id(struct bh_store *store, int64_t *ret_id)
{
    return bh_store_number(store, &next_id, NULL, 0, ret_id);
}

bh_err bh_key_set_state(struct bh_store *store, int64_t key, enum bh_key_state state, bh_time_ms now)
{
    return bh_store_change(store, &set_state, BH_WITH(BH_INT(key), BH_INT(state), BH_INT(now)), true);
}

struct reader {
    struct bh_arena *arena;
    struct bh_key *keys;
    size_t count;
};

static void take(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;

    if (reader->count == BH_KEYS_PER_DOMAIN)
        return;
    reader->keys[reader->count++] = (struct bh_key){.id = bh_row_int(row, 0),
                                                    .selector = bh_row_dup(row, 1, reader->arena),
                                                    .kind = (enum bh_key_kind)bh_row_int(row, 2),
                                                    .state = (enum bh_key_state)bh_row_int(row, 3),
                                                    .imported = bh_row_int(row, 4) != 0,
                                                    .public_b64 = bh_row_dup(row, 5, reader->arena),
                                                    .sealed = bh_row_dup(row, 6, reader->arena),
                                                    .created_at = bh_row_int(row, 7),
                                                    .state_at = bh_row_int(row, 8)};
}

bh_err bh_key_list(struct bh_store *store, struct bh_arena *arena, int64_t domain, bool with_sealed,
                   struct bh_key **ret_keys, size_t *ret_count)
{
    struct reader reader = {arena, bh_arena_array(arena, BH_KEYS_PER_DOMAIN, sizeof(struct bh_key)), 0};
    bh_err err;

    if (!reader.keys)
        return BH_E_NOMEM;
    err = bh_store_rows(store, &list, BH_WITH(BH_INT(domain), BH_INT(with_sealed), BH_INT(BH_KEYS_PER_DOMAIN)), false,
                        take, &reader);
    if (!err) {
        *ret_keys = reader.keys;
        *ret_count = reader.count;
    }
    return err;
}
