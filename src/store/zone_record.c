/* zone_record.c: queries on `zone_record`, the customers' own records in delegated zones. See control.h. */
#include "control.h"
#include "one.h"

static const struct bh_query insert = {
    "INSERT INTO zone_record(domain, owner, type, ttl, rdata) VALUES ($1, $2, $3, $4, $5)"};
static const struct bh_query clear = {"DELETE FROM zone_record WHERE domain = $1"};
static const struct bh_query remove_matching = {
    "DELETE FROM zone_record WHERE domain = $1 AND owner = $2 AND ($3 = 0 OR type = $3)"
    " AND ($4 = 0 OR rdata = $5)"};
static const struct bh_query list = {
    "SELECT owner, type, ttl, rdata FROM zone_record WHERE domain = $1 ORDER BY owner, type, id"};

bh_err bh_zone_record_insert(struct bh_store *store, int64_t domain, const struct bh_zone_record *r)
{
    return bh_store_change(
        store, &insert,
        BH_WITH(BH_INT(domain), BH_TEXT(r->owner), BH_INT(r->type), BH_INT(r->ttl_s), BH_BLOB(r->rdata)), true);
}

bh_err bh_zone_record_clear(struct bh_store *store, int64_t domain)
{
    return bh_store_change(store, &clear, BH_WITH(BH_INT(domain)), false);
}

bh_err bh_zone_record_remove(struct bh_store *store, int64_t domain, bh_str owner, uint16_t type, const bh_str *rdata)
{
    return bh_store_change(store, &remove_matching,
                           BH_WITH(BH_INT(domain), BH_TEXT(owner), BH_INT(type), BH_INT(rdata != NULL),
                                   BH_BLOB(rdata ? *rdata : BH_STR(""))),
                           true);
}

static void take(void *ctx, const struct bh_row *row)
{
    struct bh_zone *zone = ctx;

    bh_zone_add_wire(zone, bh_row_str(row, 0), (uint32_t)bh_row_int(row, 2), (uint16_t)bh_row_int(row, 1),
                     bh_row_str(row, 3));
}

bh_err bh_zone_record_list(struct bh_store *store, int64_t domain, struct bh_zone *zone)
{
    bh_err err = bh_store_rows(store, &list, BH_WITH(BH_INT(domain)), false, take, zone);

    return err ? err : zone->err;
}
