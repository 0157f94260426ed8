/* sealed.c: see sealed.h. */
#include "sealed.h"
#include "one.h"

static const struct bh_query lists[BH_SEALED_KINDS] = {
    [BH_SEALED_DKIM_KEY] = {"SELECT k.id, d.customer, d.name, k.selector,"
                            " CASE WHEN substr(k.sealed, 1, length($1)) = $1 THEN x'' ELSE k.sealed END, k.public_b64"
                            " FROM dkim_key k JOIN domain d ON d.id = k.domain WHERE k.id > $2 ORDER BY k.id LIMIT $3"},
    [BH_SEALED_ZONE_KEY] = {"SELECT k.id, d.customer, d.name, '',"
                            " CASE WHEN substr(k.sealed, 1, length($1)) = $1 THEN x'' ELSE k.sealed END, k.public_key"
                            " FROM zone_key k JOIN domain d ON d.id = k.domain WHERE k.id > $2 ORDER BY k.id LIMIT $3"},
};
static const struct bh_query replaces[BH_SEALED_KINDS] = {
    [BH_SEALED_DKIM_KEY] = {"UPDATE dkim_key SET sealed = $3 WHERE id = $1 AND sealed = $2"},
    [BH_SEALED_ZONE_KEY] = {"UPDATE zone_key SET sealed = $3 WHERE id = $1 AND sealed = $2"},
};

struct listing {
    void (*each)(void *ctx, const struct bh_sealed *sealed);
    void *ctx;
};

static void pass(void *ctx, const struct bh_row *row)
{
    const struct listing *listing = ctx;
    struct bh_sealed sealed = {.id = bh_row_int(row, 0),
                               .customer_id = (uint32_t)bh_row_int(row, 1),
                               .domain = bh_row_str(row, 2),
                               .selector = bh_row_str(row, 3),
                               .sealed = bh_row_str(row, 4),
                               .public_half = bh_row_str(row, 5)};

    listing->each(listing->ctx, &sealed);
}

bh_err bh_sealed_list(struct bh_store *store, enum bh_sealed_kind kind, bh_str prefix, int64_t after, int64_t limit,
                      void (*each)(void *ctx, const struct bh_sealed *sealed), void *ctx)
{
    struct listing listing = {each, ctx};

    return bh_store_rows(store, &lists[kind], BH_WITH(BH_BLOB(prefix), BH_INT(after), BH_INT(limit)), false, pass,
                         &listing);
}

bh_err bh_sealed_replace(struct bh_store *store, enum bh_sealed_kind kind, int64_t id, bh_str was, bh_str is)
{
    return bh_store_change(store, &replaces[kind], BH_WITH(BH_INT(id), BH_BLOB(was), BH_BLOB(is)), false);
}
