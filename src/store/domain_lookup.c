/* domain_lookup.c: what look-ups at submission and at port 25 ask for. See control.h.
 *
 * from_domain has a row for the sending domain itself, which opens all names below it too, and one per name above it up
 * to the apex that the customer proved. A From domain is looked up together with its ancestors, closest first, so a
 * look-up is some index probes whatever the number of domains. */
#include "domain_row.h"

enum { ANCESTORS_MAX = 20 };

static const struct bh_query from_clear = {"DELETE FROM from_domain WHERE domain = $1"};
static const struct bh_query from_insert = {"INSERT INTO from_domain(name, domain, below) VALUES ($1, $2, $3)"
                                            " ON CONFLICT(name, domain) DO NOTHING"};
static const struct bh_query from_find = {
    "SELECT d.id FROM from_domain f JOIN domain d ON d.id = f.domain WHERE f.name = $2 AND (f.below = 1 OR $3 = 1)"
    " AND d.customer = $1 AND d.deleted_at IS NULL ORDER BY f.below DESC, d.id LIMIT $4"};
static const struct bh_query below_find = {"SELECT id FROM domain WHERE customer = $1 AND deleted_at IS NULL"
                                           " AND substr(name, -length($2)) = $2 ORDER BY name LIMIT $3"};
static const struct bh_query bounce_clear = {"DELETE FROM bounce_domain WHERE domain = $1"};
static const struct bh_query bounce_insert = {"INSERT INTO bounce_domain(name, domain) VALUES ($1, $2)"};
static const struct bh_query bounce_owner = {
    "SELECT d.id, d.customer FROM bounce_domain b JOIN domain d ON d.id = b.domain WHERE b.name = $1"
    " ORDER BY CASE d.state WHEN 2 THEN 0 WHEN 3 THEN 1 ELSE 2 END, d.id LIMIT 1"};
static const struct bh_query policy_clear = {"DELETE FROM domain_policy WHERE domain = $1"};
static const struct bh_query policy_insert = {"INSERT INTO domain_policy(domain, at, record) VALUES ($1, $2, $3)"
                                              " ON CONFLICT(domain, at) DO UPDATE SET record = $3"};
static const struct bh_query policy_list = {"SELECT at, record FROM domain_policy WHERE domain = $1 ORDER BY at"};

static bh_str parent_of(bh_str name)
{
    bh_str rest;

    (void)bh_str_cut(name, '.', &rest);
    return rest.p ? rest : (bh_str){"", 0};
}

bh_err bh_from_domain_replace(struct bh_store *store, int64_t domain, bh_str name, bh_str apex)
{
    bh_err err = bh_store_change(store, &from_clear, BH_WITH(BH_INT(domain)), false);
    bh_str at = name;

    if (!err)
        err = bh_store_change(store, &from_insert, BH_WITH(BH_TEXT(name), BH_INT(domain), BH_INT(1)), true);
    for (int i = 0; !err && i < ANCESTORS_MAX && apex.n && at.n > apex.n && bh_str_is_at_or_below(at, apex); i++) {
        at = parent_of(at);
        err = bh_store_change(store, &from_insert, BH_WITH(BH_TEXT(at), BH_INT(domain), BH_INT(0)), false);
    }
    return err;
}

struct id_list {
    int64_t *ids;
    size_t count, max;
};

static void take_id(void *ctx, const struct bh_row *row)
{
    struct id_list *list = ctx;
    int64_t id = bh_row_int(row, 0);

    for (size_t i = 0; i < list->count; i++)
        if (list->ids[i] == id)
            return;
    if (list->count < list->max)
        list->ids[list->count++] = id;
}

bh_err bh_domains_for_from(struct bh_store *store, int64_t customer, bh_str from, size_t max, int64_t *ret_ids,
                           size_t *ret_count)
{
    struct id_list list = {ret_ids, 0, max};
    bh_err err = BH_OK;
    bh_str at = from;

    /* a name of one label is nobody's to open */
    for (int i = 0; !err && i < ANCESTORS_MAX && bh_str_find(at, '.') < at.n && list.count < max;
         i++, at = parent_of(at))
        err = bh_store_rows(store, &from_find, BH_WITH(BH_INT(customer), BH_TEXT(at), BH_INT(i == 0), BH_INT(max)),
                            false, take_id, &list);
    if (!err)
        *ret_count = list.count;
    return err;
}

bh_err bh_domains_below(struct bh_store *store, int64_t customer, bh_str from, size_t max, int64_t *ret_ids,
                        size_t *ret_count)
{
    struct id_list list = {ret_ids, 0, max};
    char suffix[260];
    bh_err err;

    if (from.n > 253)
        return BH_E_LIMIT;
    suffix[0] = '.';
    memcpy(suffix + 1, from.p, from.n);
    err = bh_store_rows(store, &below_find,
                        BH_WITH(BH_INT(customer), BH_TEXT(bh_str_of(suffix, from.n + 1)), BH_INT(max)), false, take_id,
                        &list);
    if (!err)
        *ret_count = list.count;
    return err;
}

bh_err bh_bounce_domain_replace(struct bh_store *store, int64_t domain, bh_str name)
{
    bh_err err = bh_store_change(store, &bounce_clear, BH_WITH(BH_INT(domain)), false);

    return err ? err : bh_store_change(store, &bounce_insert, BH_WITH(BH_TEXT(name), BH_INT(domain)), true);
}

struct owner {
    int64_t domain, customer;
};

static void take_owner(void *ctx, const struct bh_row *row)
{
    *(struct owner *)ctx = (struct owner){bh_row_int(row, 0), bh_row_int(row, 1)};
}

bh_err bh_bounce_domain_owner(struct bh_store *store, bh_str name, int64_t *ret_domain, int64_t *ret_customer)
{
    struct owner owner;
    bh_err err = bh_store_rows(store, &bounce_owner, BH_WITH(BH_TEXT(name)), true, take_owner, &owner);

    if (!err) {
        *ret_domain = owner.domain;
        *ret_customer = owner.customer;
    }
    return err;
}

bh_err bh_domain_policy_clear(struct bh_store *store, int64_t domain)
{
    return bh_store_change(store, &policy_clear, BH_WITH(BH_INT(domain)), false);
}

bh_err bh_domain_policy_insert(struct bh_store *store, int64_t domain, bh_str at, bh_str record)
{
    return bh_store_change(store, &policy_insert, BH_WITH(BH_INT(domain), BH_TEXT(at), BH_TEXT(record)), true);
}

struct policy_reader {
    void (*each)(void *ctx, bh_str at, bh_str record);
    void *ctx;
};

static void pass_policy(void *ctx, const struct bh_row *row)
{
    struct policy_reader *reader = ctx;

    reader->each(reader->ctx, bh_row_str(row, 0), bh_row_str(row, 1));
}

bh_err bh_domain_policy_list(struct bh_store *store, int64_t domain, void (*each)(void *ctx, bh_str at, bh_str record),
                             void *ctx)
{
    struct policy_reader reader = {each, ctx};

    return bh_store_rows(store, &policy_list, BH_WITH(BH_INT(domain)), false, pass_policy, &reader);
}
