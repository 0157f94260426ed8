/* zone_key.c: queries on `zone_key`, `dnssec` and `zone_signature`. See control.h. */
#include "control.h"
#include "one.h"

static const struct bh_query read_dnssec = {
    "SELECT wanted, roll, asked_at, ds_count, ds_ttl_s, gone_at FROM dnssec WHERE domain = $1"};
static const struct bh_query read_keys = {
    "SELECT id, state, ds, public_key, CASE WHEN $2 = 1 THEN sealed ELSE x'' END, created_at, state_at"
    " FROM zone_key WHERE domain = $1 ORDER BY created_at, id LIMIT $3"};
static const struct bh_query want = {
    "INSERT INTO dnssec(domain, wanted, roll, asked_at, ds_count, ds_ttl_s, gone_at, next_at)"
    " VALUES ($1, $2, 0, 0, 0, 0, 0, $3) ON CONFLICT(domain) DO UPDATE SET wanted = $2, roll = 0, asked_at = 0,"
    " gone_at = 0, next_at = $3"};
static const struct bh_query set_roll = {"UPDATE dnssec SET roll = $2, next_at = $3 WHERE domain = $1"};
static const struct bh_query seen = {"UPDATE dnssec SET asked_at = $2, ds_count = $3, ds_ttl_s = $4, gone_at = $5"
                                     " WHERE domain = $1"};
static const struct bh_query set_next = {"UPDATE dnssec SET next_at = $2 WHERE domain = $1"};
static const struct bh_query set_waiting = {
    "UPDATE dnssec SET next_at = $1 WHERE roll = 1 OR (wanted = 1"
    " AND NOT EXISTS (SELECT 1 FROM zone_key k WHERE k.domain = dnssec.domain))"};
static const struct bh_query forget = {"DELETE FROM dnssec WHERE domain = $1"};
static const struct bh_query due = {"SELECT domain FROM dnssec WHERE next_at <= $1 ORDER BY next_at LIMIT $2"};
static const struct bh_query next_due = {"SELECT coalesce(min(next_at), 9223372036854775807) FROM dnssec"};
static const struct bh_query insert_key = {
    "INSERT INTO zone_key(id, domain, state, ds, public_key, sealed, created_at, state_at)"
    " VALUES ($1, $2, $3, 0, $4, $5, $6, $6)"};
static const struct bh_query set_state = {"UPDATE zone_key SET state = $2, state_at = $3 WHERE id = $1"};
static const struct bh_query set_ds = {"UPDATE zone_key SET ds = $2 WHERE id = $1"};
static const struct bh_query delete_key = {"DELETE FROM zone_key WHERE id = $1"};
static const struct bh_query delete_keys = {"DELETE FROM zone_key WHERE domain = $1"};
static const struct bh_query get_signatures = {
    "SELECT content, serial, signatures FROM zone_signature WHERE apex = $1"};
static const struct bh_query put_signatures = {
    "INSERT INTO zone_signature(apex, kind, domain, name, content, serial, renew_at, signatures)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT(apex) DO UPDATE SET kind = $2, domain = $3, name = $4,"
    " content = $5, serial = $6, renew_at = $7, signatures = $8"};
static const struct bh_query delete_signatures = {"DELETE FROM zone_signature WHERE apex = $1"};
static const struct bh_query forget_signatures = {"DELETE FROM zone_signature WHERE domain = $1"};
static const struct bh_query due_signatures = {
    "SELECT kind, domain, name FROM zone_signature WHERE renew_at <= $1 ORDER BY renew_at LIMIT $2"};
static const struct bh_query sum_signatures = {"SELECT count(*), coalesce(min(renew_at), 0) FROM zone_signature"};

/* ---- keys and their standing ---- */

struct reader {
    struct bh_arena *arena;
    struct bh_dnssec *dnssec;
    bool damaged;
};

static void take_standing(void *ctx, const struct bh_row *row)
{
    struct bh_dnssec *dnssec = ((struct reader *)ctx)->dnssec;

    dnssec->wanted = bh_row_int(row, 0) != 0;
    dnssec->roll = bh_row_int(row, 1) != 0;
    dnssec->asked_at = bh_row_int(row, 2);
    dnssec->ds_count = (uint32_t)bh_row_int(row, 3);
    dnssec->ds_ttl_s = (uint32_t)bh_row_int(row, 4);
    dnssec->gone_at = bh_row_int(row, 5);
}

static void take_key(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    bh_str public_key = bh_row_str(row, 3);
    struct bh_zone_key *key;

    if (reader->dnssec->key_count == BH_DNS_SIGN_KEYS_MAX || public_key.n != BH_DNS_P256_PUBLIC_BYTES) {
        reader->damaged = true;
        return;
    }
    key = &reader->dnssec->keys[reader->dnssec->key_count++];
    *key = (struct bh_zone_key){.id = bh_row_int(row, 0),
                                .state = (enum bh_zone_key_state)bh_row_int(row, 1),
                                .ds = (enum bh_ds_seen)bh_row_int(row, 2),
                                .sealed = bh_row_dup(row, 4, reader->arena),
                                .created_at = bh_row_int(row, 5),
                                .state_at = bh_row_int(row, 6)};
    memcpy(key->public_key, public_key.p, public_key.n);
}

bh_err bh_dnssec_read(struct bh_store *store, struct bh_arena *arena, int64_t domain, bool with_sealed,
                      struct bh_dnssec *ret_dnssec)
{
    struct bh_dnssec dnssec = {0};
    struct reader reader = {arena, &dnssec, false};
    bh_err err = bh_store_rows(store, &read_dnssec, BH_WITH(BH_INT(domain)), false, take_standing, &reader);

    if (!err)
        err = bh_store_rows(store, &read_keys,
                            BH_WITH(BH_INT(domain), BH_INT(with_sealed), BH_INT(BH_DNS_SIGN_KEYS_MAX + 1)), false,
                            take_key, &reader);
    if (!err && reader.damaged)
        err = BH_E_INVALID;
    if (!err)
        *ret_dnssec = dnssec;
    return err;
}

bh_err bh_dnssec_want(struct bh_store *store, int64_t domain, bool wanted, bh_time_ms next_at)
{
    return bh_store_change(store, &want, BH_WITH(BH_INT(domain), BH_INT(wanted), BH_INT(next_at)), true);
}

bh_err bh_dnssec_set_roll(struct bh_store *store, int64_t domain, bool roll, bh_time_ms next_at)
{
    return bh_store_change(store, &set_roll, BH_WITH(BH_INT(domain), BH_INT(roll), BH_INT(next_at)), true);
}

bh_err bh_dnssec_set_seen(struct bh_store *store, int64_t domain, const struct bh_dnssec *d)
{
    bh_err err = bh_store_change(
        store, &seen,
        BH_WITH(BH_INT(domain), BH_INT(d->asked_at), BH_INT(d->ds_count), BH_INT(d->ds_ttl_s), BH_INT(d->gone_at)),
        true);

    for (size_t i = 0; !err && i < d->key_count; i++)
        err = bh_store_change(store, &set_ds, BH_WITH(BH_INT(d->keys[i].id), BH_INT(d->keys[i].ds)), true);
    return err;
}

bh_err bh_dnssec_set_next(struct bh_store *store, int64_t domain, bh_time_ms next_at)
{
    return bh_store_change(store, &set_next, BH_WITH(BH_INT(domain), BH_INT(next_at)), false);
}

bh_err bh_dnssec_wake_keyless(struct bh_store *store, bh_time_ms now)
{
    return bh_store_change(store, &set_waiting, BH_WITH(BH_INT(now)), false);
}

bh_err bh_dnssec_forget(struct bh_store *store, int64_t domain)
{
    bh_err err = bh_store_change(store, &delete_keys, BH_WITH(BH_INT(domain)), false);

    return err ? err : bh_store_change(store, &forget, BH_WITH(BH_INT(domain)), false);
}

struct ids {
    void (*each)(void *ctx, int64_t domain);
    void *ctx;
};

static void pass_id(void *ctx, const struct bh_row *row)
{
    struct ids *ids = ctx;

    ids->each(ids->ctx, bh_row_int(row, 0));
}

bh_err bh_dnssec_list_due(struct bh_store *store, bh_time_ms now, int64_t limit,
                          void (*each)(void *ctx, int64_t domain), void *ctx)
{
    struct ids ids = {each, ctx};

    return bh_store_rows(store, &due, BH_WITH(BH_INT(now), BH_INT(limit)), false, pass_id, &ids);
}

bh_err bh_dnssec_next_due(struct bh_store *store, bh_time_ms *ret_at)
{
    return bh_store_number(store, &next_due, NULL, 0, ret_at);
}

bh_err bh_zone_key_insert(struct bh_store *store, int64_t domain, const struct bh_zone_key *key)
{
    bh_str public_key = {(const char *)key->public_key, sizeof key->public_key};

    return bh_store_change(store, &insert_key,
                           BH_WITH(BH_INT(key->id), BH_INT(domain), BH_INT(key->state), BH_BLOB(public_key),
                                   BH_BLOB(key->sealed), BH_INT(key->created_at)),
                           true);
}

bh_err bh_zone_key_set_state(struct bh_store *store, int64_t key, enum bh_zone_key_state state, bh_time_ms now)
{
    return bh_store_change(store, &set_state, BH_WITH(BH_INT(key), BH_INT(state), BH_INT(now)), true);
}

bh_err bh_zone_key_delete(struct bh_store *store, int64_t key)
{
    return bh_store_change(store, &delete_key, BH_WITH(BH_INT(key)), true);
}

/* ---- signatures ---- */

struct signature_reader {
    struct bh_arena *arena;
    struct bh_zone_signatures *signatures;
};

static void take_signatures(void *ctx, const struct bh_row *row)
{
    struct signature_reader *reader = ctx;

    reader->signatures->content = bh_row_dup(row, 0, reader->arena);
    reader->signatures->serial = (uint32_t)bh_row_int(row, 1);
    reader->signatures->signatures = bh_row_dup(row, 2, reader->arena);
}

bh_err bh_zone_signatures_get(struct bh_store *store, struct bh_arena *arena, bh_str apex,
                              struct bh_zone_signatures *ret_signatures)
{
    struct signature_reader reader = {arena, ret_signatures};

    *ret_signatures = (struct bh_zone_signatures){.content = {"", 0}, .signatures = {"", 0}};
    return bh_store_rows(store, &get_signatures, BH_WITH(BH_TEXT(apex)), false, take_signatures, &reader);
}

bh_err bh_zone_signatures_put(struct bh_store *store, bh_str apex, const struct bh_zone_signatures *s)
{
    return bh_store_change(store, &put_signatures,
                           BH_WITH(BH_TEXT(apex), BH_INT(s->kind), BH_INT(s->domain), BH_TEXT(s->name),
                                   BH_BLOB(s->content), BH_INT(s->serial), BH_INT(s->renew_at), BH_BLOB(s->signatures)),
                           true);
}

bh_err bh_zone_signatures_delete(struct bh_store *store, bh_str apex)
{
    return bh_store_change(store, &delete_signatures, BH_WITH(BH_TEXT(apex)), false);
}

bh_err bh_zone_signatures_forget(struct bh_store *store, int64_t domain)
{
    return bh_store_change(store, &forget_signatures, BH_WITH(BH_INT(domain)), false);
}

struct sources {
    void (*each)(void *ctx, unsigned kind, int64_t domain, bh_str name);
    void *ctx;
};

static void pass_source(void *ctx, const struct bh_row *row)
{
    struct sources *sources = ctx;

    sources->each(sources->ctx, (unsigned)bh_row_int(row, 0), bh_row_int(row, 1), bh_row_str(row, 2));
}

bh_err bh_zone_signatures_list_due(struct bh_store *store, bh_time_ms now, int64_t limit,
                                   void (*each)(void *ctx, unsigned kind, int64_t domain, bh_str name), void *ctx)
{
    struct sources sources = {each, ctx};

    return bh_store_rows(store, &due_signatures, BH_WITH(BH_INT(now), BH_INT(limit)), false, pass_source, &sources);
}

static void take_sum(void *ctx, const struct bh_row *row)
{
    struct bh_zone_signatures_sum *sum = ctx;

    sum->zones = bh_row_int(row, 0);
    sum->renew_at = bh_row_int(row, 1);
}

bh_err bh_zone_signatures_sum(struct bh_store *store, struct bh_zone_signatures_sum *ret_sum)
{
    *ret_sum = (struct bh_zone_signatures_sum){0};
    return bh_store_rows(store, &sum_signatures, NULL, 0, false, take_sum, ret_sum);
}
