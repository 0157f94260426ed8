/* change.c: queries on planned changes. See change.h. */
#include "change.h"
#include "one.h"

#define WAITS "(i.effective_at = 0 OR i.effective_at > $"
#define LIVING "EXISTS (SELECT 1 FROM domain d WHERE d.id = i.domain AND d.deleted_at IS NULL)"
#define CHANGE                                                                                                         \
    "SELECT p.id, p.kind, p.state, p.title, p.ref, p.created_at, p.closed_at,"                                         \
    " (SELECT count(*) FROM planned_change_item i WHERE i.change = p.id AND " LIVING "),"                              \
    " (SELECT count(*) FROM planned_change_item i WHERE i.change = p.id AND " LIVING " AND " WAITS                     \
    "1)) FROM planned_change p "
#define ITEM                                                                                                           \
    "SELECT i.change, i.domain, i.type, i.match, i.name, i.old_value, i.new_value, i.want, i.ttl_s, i.told_at,"        \
    " i.remind_at, i.reminders, i.acted_at, i.effective_at, d.name, d.zone_apex, d.customer, u.name, d.token,"         \
    " d.shard FROM planned_change_item i JOIN domain d ON d.id = i.domain JOIN customer u ON u.id = d.customer "

static const struct bh_query insert = {"INSERT INTO planned_change(kind, state, title, ref, created_at, closed_at)"
                                       " VALUES ($1, 0, $2, $3, $4, 0) RETURNING id"};
static const struct bh_query item_insert = {
    "INSERT INTO planned_change_item(change, domain, type, match, name, old_value, new_value, want, ttl_s, told_at,"
    " remind_at, reminders, acted_at, effective_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $9, 0, 0, 0)"};
static const struct bh_query item_update = {
    "UPDATE planned_change_item SET ttl_s = $5, told_at = $6, remind_at = $7, reminders = $8, acted_at = $9,"
    " effective_at = $10 WHERE change = $1 AND domain = $2 AND type = $3 AND name = $4"};
static const struct bh_query by_id = {CHANGE "WHERE p.id = $2"};
static const struct bh_query by_ref = {
    "SELECT id FROM planned_change WHERE state = 0 AND kind = $1 AND ref = $2 ORDER BY id LIMIT 1"};
static const struct bh_query list = {CHANGE "WHERE $2 = 0 OR p.state = 0 ORDER BY p.id DESC LIMIT $3"};
static const struct bh_query ready = {"SELECT p.id FROM planned_change p WHERE p.state = 0 AND p.id > $2 AND NOT EXISTS"
                                      " (SELECT 1 FROM planned_change_item i WHERE i.change = p.id AND " LIVING
                                      " AND " WAITS "1))"
                                      " ORDER BY p.id LIMIT 1"};
static const struct bh_query close_change = {
    "UPDATE planned_change SET state = $2, closed_at = $3 WHERE id = $1 AND state = 0"};
static const struct bh_query items = {ITEM "WHERE i.change = $1 AND d.deleted_at IS NULL"
                                           " ORDER BY d.customer, d.name, i.name, i.type"};
static const struct bh_query items_of = {ITEM "JOIN planned_change p ON p.id = i.change"
                                              " WHERE i.domain = $1 AND p.state = 0 AND d.deleted_at IS NULL"};
static const struct bh_query due = {
    "SELECT i.change, d.customer FROM planned_change_item i JOIN planned_change p ON p.id = i.change"
    " JOIN domain d ON d.id = i.domain WHERE i.remind_at <= $1 AND i.acted_at = 0 AND p.state = 0"
    " AND d.deleted_at IS NULL ORDER BY i.remind_at LIMIT 1"};
static const struct bh_query open_count = {"SELECT count(*) FROM planned_change WHERE state = 0 AND kind = $1"};
static const struct bh_query remind_all = {
    "UPDATE planned_change_item SET remind_at = $2 WHERE change = $1 AND acted_at = 0"};
static const struct bh_query check_soon = {"UPDATE domain SET check_at = $2 WHERE id = $1 AND check_at > $2"};
static const struct bh_query domain_ready = {
    "SELECT NOT EXISTS (SELECT 1 FROM planned_change_item i JOIN planned_change p ON p.id = i.change"
    " WHERE i.domain = $4 AND p.state = 0 AND p.kind = $2 AND p.ref = $3 AND " WAITS "1))"};

bh_err bh_change_insert(struct bh_store *store, enum bh_change_kind kind, bh_str title, bh_str ref, bh_time_ms now,
                        int64_t *ret_id)
{
    return bh_store_number(store, &insert, BH_WITH(BH_INT(kind), BH_TEXT(title), BH_TEXT(ref), BH_INT(now)), ret_id);
}

bh_err bh_change_item_insert(struct bh_store *store, int64_t change, const struct bh_change_item *item, bh_time_ms now)
{
    return bh_store_change(store, &item_insert,
                           BH_WITH(BH_INT(change), BH_INT(item->domain), BH_INT(item->type), BH_INT(item->match),
                                   BH_TEXT(item->name), BH_TEXT(item->old_value), BH_TEXT(item->new_value),
                                   BH_TEXT(item->want), BH_INT(now)),
                           true);
}

bh_err bh_change_item_update(struct bh_store *store, int64_t change, const struct bh_change_item *item)
{
    return bh_store_change(store, &item_update,
                           BH_WITH(BH_INT(change), BH_INT(item->domain), BH_INT(item->type), BH_TEXT(item->name),
                                   BH_INT(item->ttl_s), BH_INT(item->told_at), BH_INT(item->remind_at),
                                   BH_INT(item->reminders), BH_INT(item->acted_at), BH_INT(item->effective_at)),
                           false);
}

struct reader {
    struct bh_arena *arena; /* NULL: views of the row */
    struct bh_change *change;
    void (*each_change)(void *ctx, const struct bh_change *change);
    bh_change_each *each;
    void *ctx;
};

static bh_str column(const struct bh_row *row, int at, struct bh_arena *arena)
{
    return arena ? bh_row_dup(row, at, arena) : bh_row_str(row, at);
}

static void take_change(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_change change = {.id = bh_row_int(row, 0),
                               .kind = (enum bh_change_kind)bh_row_int(row, 1),
                               .state = (enum bh_change_state)bh_row_int(row, 2),
                               .title = column(row, 3, reader->arena),
                               .ref = column(row, 4, reader->arena),
                               .created_at = bh_row_int(row, 5),
                               .closed_at = bh_row_int(row, 6),
                               .items = bh_row_int(row, 7),
                               .waiting = bh_row_int(row, 8)};

    if (reader->each_change)
        reader->each_change(reader->ctx, &change);
    else
        *reader->change = change;
}

static void take_item(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_change_row it = {.change = bh_row_int(row, 0),
                               .item = {.domain = bh_row_int(row, 1),
                                        .type = (uint16_t)bh_row_int(row, 2),
                                        .match = (enum bh_match)bh_row_int(row, 3),
                                        .name = bh_row_str(row, 4),
                                        .old_value = bh_row_str(row, 5),
                                        .new_value = bh_row_str(row, 6),
                                        .want = bh_row_str(row, 7),
                                        .ttl_s = (uint32_t)bh_row_int(row, 8),
                                        .told_at = bh_row_int(row, 9),
                                        .remind_at = bh_row_int(row, 10),
                                        .reminders = (unsigned)bh_row_int(row, 11),
                                        .acted_at = bh_row_int(row, 12),
                                        .effective_at = bh_row_int(row, 13)},
                               .domain = bh_row_str(row, 14),
                               .zone_apex = bh_row_str(row, 15),
                               .customer_id = bh_row_int(row, 16),
                               .customer = bh_row_str(row, 17)};

    if (bh_str_to_c(bh_row_str(row, 18), it.token.id, sizeof(it.token.id)) ||
        bh_str_to_c(bh_row_str(row, 19), it.token.shard, sizeof(it.token.shard)))
        it.token = (struct bh_token){0};
    reader->each(reader->ctx, &it);
}

bh_err bh_change_by_id(struct bh_store *store, struct bh_arena *arena, int64_t id, bh_time_ms now,
                       struct bh_change *ret_change)
{
    struct reader reader = {.arena = arena, .change = ret_change};

    return bh_store_rows(store, &by_id, BH_WITH(BH_INT(now), BH_INT(id)), true, take_change, &reader);
}

bh_err bh_change_by_ref(struct bh_store *store, enum bh_change_kind kind, bh_str ref, int64_t *ret_id)
{
    return bh_store_number(store, &by_ref, BH_WITH(BH_INT(kind), BH_TEXT(ref)), ret_id);
}

bh_err bh_change_list(struct bh_store *store, bool open_only, int64_t limit, bh_time_ms now,
                      void (*each)(void *ctx, const struct bh_change *change), void *ctx)
{
    struct reader reader = {.each_change = each, .ctx = ctx};

    return bh_store_rows(store, &list, BH_WITH(BH_INT(now), BH_INT(open_only), BH_INT(limit)), false, take_change,
                         &reader);
}

bh_err bh_change_ready(struct bh_store *store, int64_t after, bh_time_ms now, int64_t *ret_id)
{
    return bh_store_number(store, &ready, BH_WITH(BH_INT(now), BH_INT(after)), ret_id);
}

bh_err bh_change_close(struct bh_store *store, int64_t id, enum bh_change_state state, bh_time_ms now)
{
    return bh_store_change(store, &close_change, BH_WITH(BH_INT(id), BH_INT(state), BH_INT(now)), true);
}

bh_err bh_change_items(struct bh_store *store, int64_t change, bh_change_each *each, void *ctx)
{
    struct reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &items, BH_WITH(BH_INT(change)), false, take_item, &reader);
}

bh_err bh_change_items_of(struct bh_store *store, int64_t domain, bh_change_each *each, void *ctx)
{
    struct reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &items_of, BH_WITH(BH_INT(domain)), false, take_item, &reader);
}

struct pair {
    int64_t change, customer;
};

static void take_pair(void *ctx, const struct bh_row *row)
{
    *(struct pair *)ctx = (struct pair){bh_row_int(row, 0), bh_row_int(row, 1)};
}

bh_err bh_change_due(struct bh_store *store, bh_time_ms now, int64_t *ret_change, int64_t *ret_customer)
{
    struct pair pair;
    bh_err err = bh_store_rows(store, &due, BH_WITH(BH_INT(now)), true, take_pair, &pair);

    if (err)
        return err;
    *ret_change = pair.change;
    *ret_customer = pair.customer;
    return BH_OK;
}

bh_err bh_change_remind_all(struct bh_store *store, int64_t change, bh_time_ms now)
{
    return bh_store_change(store, &remind_all, BH_WITH(BH_INT(change), BH_INT(now)), false);
}

bh_err bh_change_open_count(struct bh_store *store, enum bh_change_kind kind, int64_t *ret_count)
{
    return bh_store_number(store, &open_count, BH_WITH(BH_INT(kind)), ret_count);
}

bh_err bh_change_check_soon(struct bh_store *store, int64_t domain, bh_time_ms at)
{
    return bh_store_change(store, &check_soon, BH_WITH(BH_INT(domain), BH_INT(at)), false);
}

bh_err bh_change_domain_ready(struct bh_store *store, enum bh_change_kind kind, bh_str ref, int64_t domain,
                              bh_time_ms now, int64_t *ret_ready)
{
    return bh_store_number(store, &domain_ready, BH_WITH(BH_INT(now), BH_INT(kind), BH_TEXT(ref), BH_INT(domain)),
                           ret_ready);
}
