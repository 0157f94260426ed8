/* domain.c: queries on `domain` and its history. See control.h; look-ups at submission are in domain_lookup.c. */
#include "domain_row.h"

static const struct bh_query insert = {
    "INSERT INTO domain(customer, name, approach, token, shard, label_bounce, label_link, label_img, label_selector,"
    " bounces, state, aligned, zone_apex, dmarc_policy, holds_zone, created_at, state_at, checked_at, lost_at,"
    " check_at, tries, report) SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, $11, $12, $13, $14, $14, 0, 0,"
    " $14, 0, x'' FROM customer WHERE id = $1 AND deleted_at IS NULL RETURNING id"};
static const struct bh_query by_id = {BH_DOMAIN_SELECT "WHERE d.id = $1 AND d.deleted_at IS NULL"};
static const struct bh_query by_name = {BH_DOMAIN_SELECT
                                        "WHERE d.name = $1 AND d.deleted_at IS NULL AND ($2 = 0 OR d.customer = $2)"};
static const struct bh_query list = {BH_DOMAIN_SELECT "WHERE d.name > $2 AND d.deleted_at IS NULL"
                                                      " AND ($1 = 0 OR d.customer = $1) ORDER BY d.name LIMIT $3"};
static const struct bh_query list_shard = {BH_DOMAIN_SELECT
                                           "WHERE d.shard = $1 AND d.deleted_at IS NULL ORDER BY d.name"};
static const struct bh_query list_due = {
    BH_DOMAIN_SELECT "WHERE d.check_at <= $1 AND d.deleted_at IS NULL AND d.customer NOT IN ($3, $4, $5, $6)"
                     " ORDER BY d.check_at LIMIT $2"};
static const struct bh_query next_due = {"SELECT coalesce(min(check_at), $1) FROM domain WHERE deleted_at IS NULL"};
static const struct bh_query shards = {"SELECT DISTINCT shard FROM domain WHERE deleted_at IS NULL"
                                       " UNION SELECT DISTINCT shard FROM domain WHERE tombstone_until > 0"
                                       " ORDER BY shard"};
static const struct bh_query update_outcome = {
    "UPDATE domain SET state = $2, aligned = $3, zone_apex = $4, state_at = $5, checked_at = $6, lost_at = $7,"
    " check_at = $8, tries = $9, report = $10, losses = $11, losing_at = $12 WHERE id = $1 AND deleted_at IS NULL"};
static const struct bh_query update_check_at = {"UPDATE domain SET check_at = $2, tries = $3 WHERE id = $1"};
static const struct bh_query tries = {"SELECT tries FROM domain WHERE id = $1"};
static const struct bh_query report = {"SELECT report FROM domain WHERE id = $1"};
static const struct bh_query check_insert = {
    "INSERT INTO domain_check(domain, at, state, aligned, report) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT(domain, at) DO UPDATE SET state = $3, aligned = $4, report = $5"};
static const struct bh_query check_list = {
    "SELECT at, state, aligned FROM domain_check WHERE domain = $1 ORDER BY at DESC LIMIT $2"};
static const struct bh_query past_list = {
    "SELECT at, state, aligned, report FROM domain_check WHERE domain = $1 ORDER BY at DESC LIMIT $2"};
static const struct bh_query zone_holder = {
    "SELECT coalesce(max(id), 0) FROM domain WHERE name = $1 AND holds_zone = 1 AND deleted_at IS NULL"};
/* A domain that was removed meanwhile takes nothing from who is there. */
static const struct bh_query hold_zone = {
    "UPDATE domain SET holds_zone = CASE WHEN id = $2 THEN 1 ELSE 0 END, zone_key = $3 WHERE name = $1"
    " AND EXISTS (SELECT 1 FROM domain WHERE id = $2 AND deleted_at IS NULL)"};
static const struct bh_query zones_below = {
    "SELECT id, name, deleted_at IS NOT NULL FROM domain WHERE holds_zone = 1 AND zone_key > $1 AND zone_key < $2"
    " AND (customer <> $3 OR deleted_at IS NOT NULL)"};
static const struct bh_query drop_zone = {"UPDATE domain SET holds_zone = 0 WHERE id = $1"};

static bh_str column(const struct bh_row *row, int at, struct bh_arena *arena)
{
    return arena ? bh_row_dup(row, at, arena) : bh_row_str(row, at);
}

static void copy_token(const struct bh_row *row, int at, struct bh_token *token)
{
    bh_str id = bh_row_str(row, at), shard = bh_row_str(row, at + 1);

    if (bh_str_to_c(id, token->id, sizeof(token->id)) || bh_str_to_c(shard, token->shard, sizeof(token->shard)))
        *token = (struct bh_token){0};
}

void bh_domain_from_row(const struct bh_row *row, struct bh_arena *arena, struct bh_domain *ret_domain)
{
    struct bh_domain domain = {
        .id = bh_row_int(row, 0),
        .customer_id = bh_row_int(row, 1),
        .customer = column(row, 2, arena),
        .name = column(row, 3, arena),
        .approach = (enum bh_approach)bh_row_int(row, 4),
        .labels = {column(row, 7, arena), column(row, 8, arena), column(row, 9, arena), column(row, 10, arena)},
        .bounces = (enum bh_bounce_mode)bh_row_int(row, 11),
        .state = (enum bh_domain_state)bh_row_int(row, 12),
        .aligned = (enum bh_mechanism)bh_row_int(row, 13),
        .zone_apex = column(row, 14, arena),
        .dmarc_policy = column(row, 15, arena),
        .created_at = bh_row_int(row, 16),
        .state_at = bh_row_int(row, 17),
        .checked_at = bh_row_int(row, 18),
        .lost_at = bh_row_int(row, 19),
        .losses = (uint32_t)bh_row_int(row, 20),
        .losing_at = bh_row_int(row, 21)};

    copy_token(row, 5, &domain.token);
    domain.can_send =
        (domain.state == BH_DOMAIN_VERIFIED || domain.state == BH_DOMAIN_DEGRADED) && domain.aligned != BH_MECH_NONE;
    *ret_domain = domain;
}

void bh_domain_take(void *ctx, const struct bh_row *row)
{
    struct bh_domain_reader *reader = ctx;

    reader->rows++;
    if (reader->domain)
        bh_domain_from_row(row, reader->arena, reader->domain);
}

void bh_domain_pass_on(void *ctx, const struct bh_row *row)
{
    struct bh_domain_reader *reader = ctx;
    struct bh_domain domain;

    bh_domain_from_row(row, NULL, &domain);
    if (!reader->stopped)
        reader->stopped = !reader->each(reader->ctx, &domain);
}

bh_err bh_domain_insert(struct bh_store *store, const struct bh_domain *d, bool holds_zone, int64_t *ret_id)
{
    return bh_store_number(store, &insert,
                           BH_WITH(BH_INT(d->customer_id), BH_TEXT(d->name), BH_INT(d->approach),
                                   BH_TEXT(bh_str_c(d->token.id)), BH_TEXT(bh_str_c(d->token.shard)),
                                   BH_TEXT(d->labels.bounce), BH_TEXT(d->labels.link), BH_TEXT(d->labels.img),
                                   BH_TEXT(d->labels.selector), BH_INT(d->bounces), BH_TEXT(d->zone_apex),
                                   BH_TEXT(d->dmarc_policy), BH_INT(holds_zone), BH_INT(d->created_at)),
                           ret_id);
}

bh_err bh_domain_by_id(struct bh_store *store, struct bh_arena *arena, int64_t id, struct bh_domain *ret_domain)
{
    struct bh_domain_reader reader = {.arena = arena, .domain = ret_domain};

    return bh_store_rows(store, &by_id, BH_WITH(BH_INT(id)), true, bh_domain_take, &reader);
}

bh_err bh_domain_by_name(struct bh_store *store, struct bh_arena *arena, bh_str name, int64_t customer,
                         struct bh_domain *ret_domain)
{
    struct bh_domain_reader reader = {.arena = arena, .domain = ret_domain};
    bh_err err =
        bh_store_rows(store, &by_name, BH_WITH(BH_TEXT(name), BH_INT(customer)), true, bh_domain_take, &reader);

    return !err && reader.rows > 1 ? BH_E_EXISTS : err;
}

bh_err bh_domain_list(struct bh_store *store, int64_t customer, bh_str after, int64_t limit, bh_domain_each *each,
                      void *ctx)
{
    struct bh_domain_reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &list, BH_WITH(BH_INT(customer), BH_TEXT(after), BH_INT(limit)), false,
                         bh_domain_pass_on, &reader);
}

bh_err bh_domain_list_shard(struct bh_store *store, bh_str shard, bh_domain_each *each, void *ctx)
{
    struct bh_domain_reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &list_shard, BH_WITH(BH_TEXT(shard)), false, bh_domain_pass_on, &reader);
}

bh_err bh_domain_list_due(struct bh_store *store, bh_time_ms now, int64_t limit,
                          const int64_t not_of[BH_DUE_NOT_OF_MAX], bh_domain_each *each, void *ctx)
{
    struct bh_domain_reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(
        store, &list_due,
        BH_WITH(BH_INT(now), BH_INT(limit), BH_INT(not_of[0]), BH_INT(not_of[1]), BH_INT(not_of[2]), BH_INT(not_of[3])),
        false, bh_domain_pass_on, &reader);
}

bh_err bh_domain_next_due(struct bh_store *store, bh_time_ms *ret_at)
{
    return bh_store_number(store, &next_due, BH_WITH(BH_INT(INT64_MAX)), ret_at);
}

struct shard_reader {
    void (*each)(void *ctx, bh_str shard);
    void *ctx;
};

static void pass_shard(void *ctx, const struct bh_row *row)
{
    struct shard_reader *reader = ctx;

    reader->each(reader->ctx, bh_row_str(row, 0));
}

bh_err bh_shard_list(struct bh_store *store, void (*each)(void *ctx, bh_str shard), void *ctx)
{
    struct shard_reader reader = {each, ctx};

    return bh_store_rows(store, &shards, NULL, 0, false, pass_shard, &reader);
}

bh_err bh_domain_update_outcome(struct bh_store *store, int64_t id, const struct bh_domain_outcome *o)
{
    return bh_store_change(store, &update_outcome,
                           BH_WITH(BH_INT(id), BH_INT(o->state), BH_INT(o->aligned), BH_TEXT(o->zone_apex),
                                   BH_INT(o->state_at), BH_INT(o->checked_at), BH_INT(o->lost_at), BH_INT(o->check_at),
                                   BH_INT(o->tries), BH_BLOB(o->report), BH_INT(o->losses), BH_INT(o->losing_at)),
                           true);
}

bh_err bh_domain_update_check_at(struct bh_store *store, int64_t id, bh_time_ms check_at, int64_t new_tries)
{
    return bh_store_change(store, &update_check_at, BH_WITH(BH_INT(id), BH_INT(check_at), BH_INT(new_tries)), true);
}

bh_err bh_domain_tries(struct bh_store *store, int64_t id, int64_t *ret_tries)
{
    return bh_store_number(store, &tries, BH_WITH(BH_INT(id)), ret_tries);
}

bh_err bh_domain_report(struct bh_store *store, struct bh_arena *arena, int64_t id, bh_str *ret_report)
{
    return bh_store_text(store, arena, &report, BH_WITH(BH_INT(id)), ret_report);
}

bh_err bh_domain_check_insert(struct bh_store *store, int64_t id, bh_time_ms at, const struct bh_domain_outcome *o)
{
    return bh_store_change(store, &check_insert,
                           BH_WITH(BH_INT(id), BH_INT(at), BH_INT(o->state), BH_INT(o->aligned), BH_BLOB(o->report)),
                           true);
}

struct check_reader {
    void (*each)(void *ctx, bh_time_ms at, enum bh_domain_state state, enum bh_mechanism aligned);
    void *ctx;
};

static void pass_check(void *ctx, const struct bh_row *row)
{
    struct check_reader *reader = ctx;

    reader->each(reader->ctx, bh_row_int(row, 0), (enum bh_domain_state)bh_row_int(row, 1),
                 (enum bh_mechanism)bh_row_int(row, 2));
}

bh_err bh_domain_check_list(struct bh_store *store, int64_t id, int64_t limit,
                            void (*each)(void *ctx, bh_time_ms at, enum bh_domain_state state,
                                         enum bh_mechanism aligned),
                            void *ctx)
{
    struct check_reader reader = {each, ctx};

    return bh_store_rows(store, &check_list, BH_WITH(BH_INT(id), BH_INT(limit)), false, pass_check, &reader);
}

struct past_reader {
    void (*each)(void *ctx, const struct bh_domain_past *past);
    void *ctx;
};

static void pass_past(void *ctx, const struct bh_row *row)
{
    struct past_reader *reader = ctx;

    reader->each(reader->ctx, &(struct bh_domain_past){bh_row_int(row, 0), (enum bh_domain_state)bh_row_int(row, 1),
                                                       (enum bh_mechanism)bh_row_int(row, 2), bh_row_str(row, 3)});
}

bh_err bh_domain_past_list(struct bh_store *store, int64_t id, int64_t limit,
                           void (*each)(void *ctx, const struct bh_domain_past *past), void *ctx)
{
    struct past_reader reader = {each, ctx};

    return bh_store_rows(store, &past_list, BH_WITH(BH_INT(id), BH_INT(limit)), false, pass_past, &reader);
}

bh_err bh_domain_zone_holder(struct bh_store *store, bh_str name, int64_t *ret_id)
{
    return bh_store_number(store, &zone_holder, BH_WITH(BH_TEXT(name)), ret_id);
}

/* "email.customer.example" is "example.customer.email.": what lies below a name is one range of an index. `end` behind
 * the last label bounds that range. */
static bh_str zone_key(char *key, size_t size, bh_str name, char end)
{
    size_t n = 0;

    while (name.n && n + name.n + 1 < size) {
        size_t dot = bh_str_rfind(name, '.');
        bh_str label = dot < name.n ? bh_str_skip(name, dot + 1) : name;

        memcpy(key + n, label.p, label.n);
        n += label.n;
        key[n++] = '.';
        name.n = dot < name.n ? dot : 0;
    }
    if (n)
        key[n - 1] = end;
    return bh_str_of(key, n);
}

bh_err bh_domain_hold_zone(struct bh_store *store, bh_str name, int64_t id)
{
    char key[260];

    return bh_store_change(store, &hold_zone,
                           BH_WITH(BH_TEXT(name), BH_INT(id), BH_TEXT(zone_key(key, sizeof(key), name, '.'))), true);
}

struct below_reader {
    void (*each)(void *ctx, int64_t id, bh_str name, bool is_removed);
    void *ctx;
};

static void pass_below(void *ctx, const struct bh_row *row)
{
    struct below_reader *reader = ctx;

    reader->each(reader->ctx, bh_row_int(row, 0), bh_row_str(row, 1), bh_row_int(row, 2) != 0);
}

bh_err bh_domain_zones_below(struct bh_store *store, bh_str name, int64_t customer,
                             void (*each)(void *ctx, int64_t id, bh_str name, bool is_removed), void *ctx)
{
    char from[260], to[260];
    struct below_reader reader = {each, ctx};

    return bh_store_rows(store, &zones_below,
                         BH_WITH(BH_TEXT(zone_key(from, sizeof(from), name, '.')),
                                 BH_TEXT(zone_key(to, sizeof(to), name, '/')), BH_INT(customer)),
                         false, pass_below, &reader);
}

bh_err bh_domain_drop_zone(struct bh_store *store, int64_t id)
{
    return bh_store_change(store, &drop_zone, BH_WITH(BH_INT(id)), true);
}
