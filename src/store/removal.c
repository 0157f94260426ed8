/* removal.c: queries on what was removed: domains that are marked and answered with a tombstone, customers. See
 * control.h. A removed customer's row keeps its number and gives up its name: '#' is in no customer's name. */
#include "domain_row.h"

static const struct bh_query mark = {
    "UPDATE domain SET deleted_at = $2, tombstone_until = $3, state = 0, aligned = 0, canary_at = 0, report = x''"
    " WHERE id = $1 AND deleted_at IS NULL"};
static const struct bh_query revoke_keys = {
    "UPDATE dkim_key SET state = 5, state_at = $2, sealed = x'' WHERE domain = $1"};
static const struct bh_query clear_from = {"DELETE FROM from_domain WHERE domain = $1"};
static const struct bh_query clear_policies = {"DELETE FROM domain_policy WHERE domain = $1"};
static const struct bh_query clear_records = {"DELETE FROM zone_record WHERE domain = $1"};
static const struct bh_query clear_probe = {"DELETE FROM domain_probe WHERE domain = $1"};
static const struct bh_query removed_by_id = {BH_DOMAIN_SELECT "WHERE d.id = $1 AND d.deleted_at IS NOT NULL"};
static const struct bh_query tombstone = {"SELECT holds_zone, tombstone_until FROM domain WHERE id = $1"};
static const struct bh_query list = {BH_DOMAIN_SELECT "WHERE d.tombstone_until > 0 AND ($1 = '' OR d.shard = $1)"};
static const struct bh_query list_due = {
    BH_DOMAIN_SELECT "WHERE d.tombstone_until > 0 AND d.tombstone_until <= $1 ORDER BY d.tombstone_until LIMIT $2"};
static const struct bh_query end = {"UPDATE domain SET tombstone_until = 0, holds_zone = 0 WHERE id = $1"};
static const struct bh_query clear_bounces = {"DELETE FROM bounce_domain WHERE domain = $1"};
static const struct bh_query customer_mark = {
    "UPDATE customer SET deleted_at = $2, name = name || '#' || id WHERE id = $1 AND deleted_at IS NULL"};
static const struct bh_query customer_credentials = {
    "UPDATE credential SET revoked_at = $2 WHERE customer = $1 AND revoked_at IS NULL"};
static const struct bh_query customer_tokens = {
    "UPDATE api_token SET revoked_at = $2 WHERE customer = $1 AND revoked_at IS NULL"};
static const struct bh_query customer_contacts = {"DELETE FROM customer_contact WHERE customer = $1"};

bh_err bh_domain_remove(struct bh_store *store, int64_t id, bh_time_ms now, bh_time_ms tombstone_until)
{
    static const struct bh_query *const clears[] = {&clear_from, &clear_policies, &clear_records, &clear_probe};
    bh_err err = bh_store_change(store, &mark, BH_WITH(BH_INT(id), BH_INT(now), BH_INT(tombstone_until)), true);

    if (!err)
        err = bh_store_change(store, &revoke_keys, BH_WITH(BH_INT(id), BH_INT(now)), false);
    for (size_t i = 0; !err && i < sizeof(clears) / sizeof(clears[0]); i++)
        err = bh_store_change(store, clears[i], BH_WITH(BH_INT(id)), false);
    return err;
}

struct tombstone {
    bool holds_zone;
    bh_time_ms until;
};

static void take_tombstone(void *ctx, const struct bh_row *row)
{
    *(struct tombstone *)ctx = (struct tombstone){bh_row_int(row, 0) != 0, bh_row_int(row, 1)};
}

bh_err bh_domain_removed_by_id(struct bh_store *store, struct bh_arena *arena, int64_t id, struct bh_domain *ret_domain,
                               bool *ret_holds_zone, bh_time_ms *ret_until)
{
    struct bh_domain_reader reader = {.arena = arena, .domain = ret_domain};
    struct tombstone stone = {0};
    bh_err err = bh_store_rows(store, &removed_by_id, BH_WITH(BH_INT(id)), true, bh_domain_take, &reader);

    if (!err)
        err = bh_store_rows(store, &tombstone, BH_WITH(BH_INT(id)), true, take_tombstone, &stone);
    if (err)
        return err;
    *ret_holds_zone = stone.holds_zone;
    *ret_until = stone.until;
    return BH_OK;
}

bh_err bh_domain_list_tombstones(struct bh_store *store, bh_str shard, bh_domain_each *each, void *ctx)
{
    struct bh_domain_reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &list, BH_WITH(BH_TEXT(shard.p ? shard : BH_STR(""))), false, bh_domain_pass_on,
                         &reader);
}

bh_err bh_domain_list_tombstones_due(struct bh_store *store, bh_time_ms now, int64_t limit, bh_domain_each *each,
                                     void *ctx)
{
    struct bh_domain_reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &list_due, BH_WITH(BH_INT(now), BH_INT(limit)), false, bh_domain_pass_on, &reader);
}

bh_err bh_domain_end_tombstone(struct bh_store *store, int64_t id)
{
    bh_err err = bh_store_change(store, &end, BH_WITH(BH_INT(id)), true);

    return err ? err : bh_store_change(store, &clear_bounces, BH_WITH(BH_INT(id)), false);
}

bh_err bh_customer_remove(struct bh_store *store, int64_t id, bh_time_ms now)
{
    bh_err err = bh_store_change(store, &customer_mark, BH_WITH(BH_INT(id), BH_INT(now)), true);

    if (!err)
        err = bh_store_change(store, &customer_credentials, BH_WITH(BH_INT(id), BH_INT(now)), false);
    if (!err)
        err = bh_store_change(store, &customer_tokens, BH_WITH(BH_INT(id), BH_INT(now)), false);
    return err ? err : bh_store_change(store, &customer_contacts, BH_WITH(BH_INT(id)), false);
}
