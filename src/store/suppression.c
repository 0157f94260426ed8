/* suppression.c: see suppression.h. */
#include "suppression.h"
#include "one.h"
#include <sodium.h>

#define COLUMNS "customer, stream, hash, address, reason, source, detail, created_at, expires_at"

static const struct bh_query put = {
    "INSERT INTO suppression(" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    " ON CONFLICT(hash, customer, stream) DO UPDATE SET address = CASE WHEN $4 = '' THEN address ELSE $4 END,"
    " reason = $5, source = $6, detail = $7, created_at = $8, expires_at = $9"
    " WHERE suppression.reason < $5 OR (suppression.expires_at > 0 AND suppression.expires_at <= $8)"
    " OR (suppression.reason = $5 AND $9 > suppression.expires_at AND suppression.expires_at > 0)"};
static const struct bh_query delete_one = {"DELETE FROM suppression WHERE hash = $1 AND customer = $2 AND stream = $3"};
static const struct bh_query find = {
    "SELECT reason FROM suppression WHERE hash = $1 AND customer IN ($2, 0) AND stream IN ($3, '*')"
    " AND (expires_at = 0 OR expires_at > $4) ORDER BY reason DESC LIMIT 1"};
static const struct bh_query of_address = {
    "SELECT " COLUMNS " FROM suppression WHERE hash = $1 AND customer IN ($2, 0) ORDER BY customer, stream"};
static const struct bh_query list = {"SELECT " COLUMNS
                                     " FROM suppression WHERE customer = $1 AND (hash, stream) > ($2, $3)"
                                     " ORDER BY hash, stream LIMIT $4"};
static const struct bh_query purge = {
    "DELETE FROM suppression WHERE (hash, customer, stream) IN (SELECT hash, customer,"
    " stream FROM suppression WHERE expires_at > 0 AND expires_at <= $1 LIMIT $2)"};

static const char *const reasons[] = {"?", "import", "bounce", "unsubscribe", "complaint", "manual"};

const char *bh_suppression_reason_text(enum bh_suppression_reason reason)
{
    return (size_t)reason < sizeof(reasons) / sizeof(reasons[0]) ? reasons[reason] : reasons[0];
}

int bh_suppression_reason_of(bh_str text)
{
    for (size_t i = 1; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (bh_str_eq(text, bh_str_c(reasons[i])))
            return (int)i;
    return 0;
}

void bh_suppression_hash(bh_str address, uint8_t ret_hash[BH_SUPPRESSION_HASH_BYTES])
{
    crypto_hash_sha256_state state;

    (void)crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < address.n; i++) {
        unsigned char c = (unsigned char)bh_to_lower(address.p[i]);

        (void)crypto_hash_sha256_update(&state, &c, 1);
    }
    (void)crypto_hash_sha256_final(&state, ret_hash);
}

static bh_str hash_str(const uint8_t *hash)
{
    return bh_str_of((const char *)hash, BH_SUPPRESSION_HASH_BYTES);
}

bh_err bh_suppression_put(struct bh_store *store, const struct bh_suppression *s, bool *ret_new)
{
    const struct bh_value args[] = {BH_INT(s->customer), BH_TEXT(s->stream),    BH_BLOB(hash_str(s->hash)),
                                    BH_TEXT(s->address), BH_INT(s->reason),     BH_TEXT(s->source),
                                    BH_TEXT(s->detail),  BH_INT(s->created_at), BH_INT(s->expires_at)};
    struct bh_result result;
    bh_err err = bh_store_run(store, &(struct bh_request){.query = &put, .args = args, .arg_count = 9}, &result);

    if (!err)
        *ret_new = result.changed > 0;
    return err;
}

bh_err bh_suppression_delete(struct bh_store *store, int64_t customer, bh_str stream,
                             const uint8_t hash[BH_SUPPRESSION_HASH_BYTES])
{
    return bh_store_change(store, &delete_one, BH_WITH(BH_BLOB(hash_str(hash)), BH_INT(customer), BH_TEXT(stream)),
                           true);
}

bh_err bh_suppression_find(struct bh_store *store, int64_t customer, bh_str stream, bh_str address, bh_time_ms now,
                           enum bh_suppression_reason *ret_reason)
{
    uint8_t hash[BH_SUPPRESSION_HASH_BYTES];
    int64_t reason;
    bh_err err;

    bh_suppression_hash(address, hash);
    err = bh_store_number(store, &find,
                          BH_WITH(BH_BLOB(hash_str(hash)), BH_INT(customer), BH_TEXT(stream), BH_INT(now)), &reason);
    if (!err)
        *ret_reason = (enum bh_suppression_reason)reason;
    return err;
}

struct listing {
    void (*each)(void *ctx, const struct bh_suppression *suppression);
    void *ctx;
};

static void take(void *ctx, const struct bh_row *row)
{
    struct listing *listing = ctx;
    bh_str hash = bh_row_str(row, 2);
    struct bh_suppression s = {.customer = bh_row_int(row, 0),
                               .stream = bh_row_str(row, 1),
                               .address = bh_row_str(row, 3),
                               .reason = (enum bh_suppression_reason)bh_row_int(row, 4),
                               .source = bh_row_str(row, 5),
                               .detail = bh_row_str(row, 6),
                               .created_at = bh_row_int(row, 7),
                               .expires_at = bh_row_int(row, 8)};

    if (hash.n == BH_SUPPRESSION_HASH_BYTES)
        memcpy(s.hash, hash.p, hash.n);
    listing->each(listing->ctx, &s);
}

bh_err bh_suppression_of(struct bh_store *store, int64_t customer, const uint8_t hash[BH_SUPPRESSION_HASH_BYTES],
                         void (*each)(void *ctx, const struct bh_suppression *suppression), void *ctx)
{
    struct listing listing = {each, ctx};

    return bh_store_rows(store, &of_address, BH_WITH(BH_BLOB(hash_str(hash)), BH_INT(customer)), false, take, &listing);
}

bh_err bh_suppression_list(struct bh_store *store, int64_t customer, bh_str after_hash, bh_str after_stream,
                           int64_t limit, void (*each)(void *ctx, const struct bh_suppression *suppression), void *ctx)
{
    struct listing listing = {each, ctx};
    bh_str hash = bh_str_of(after_hash.p ? after_hash.p : "", after_hash.n);

    return bh_store_rows(store, &list, BH_WITH(BH_INT(customer), BH_BLOB(hash), BH_TEXT(after_stream), BH_INT(limit)),
                         false, take, &listing);
}

bh_err bh_suppression_purge(struct bh_store *store, bh_time_ms now, int64_t limit)
{
    return bh_store_change(store, &purge, BH_WITH(BH_INT(now), BH_INT(limit)), false);
}
