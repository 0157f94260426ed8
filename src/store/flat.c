/* flat.c: queries on `spf_flat` and `spf_flat_answer`. See flat.h. */
#include "flat.h"
#include "one.h"

#define COLUMNS                                                                                                        \
    "id, customer, domain, token, record, sources, published, report, created_at, refresh_at, changed_at, stopped"

static const struct bh_query insert = {
    "INSERT INTO spf_flat(customer, domain, token, record, sources, published, report, created_at, refresh_at,"
    " changed_at, stopped) VALUES ($1, $2, $3, $4, $5, '', '{}', $6, $6, 0, 0) RETURNING id"};
static const struct bh_query update = {
    "UPDATE spf_flat SET record = $2, sources = $3, published = $4, report = $5, refresh_at = $6, changed_at = $7,"
    " stopped = $8 WHERE id = $1"};
static const struct bh_query by_id = {"SELECT " COLUMNS " FROM spf_flat WHERE id = $1"};
static const struct bh_query by_domain = {"SELECT " COLUMNS
                                          " FROM spf_flat WHERE customer = $1 AND domain = $2 AND stopped = 0"};
static const struct bh_query list = {"SELECT " COLUMNS " FROM spf_flat WHERE $1 = 0 OR customer = $1 ORDER BY id"};
static const struct bh_query due = {
    "SELECT id FROM spf_flat WHERE stopped = 0 AND refresh_at <= $1 ORDER BY refresh_at LIMIT $2"};
static const struct bh_query next_due = {"SELECT coalesce(min(refresh_at), $1) FROM spf_flat WHERE stopped = 0"};
static const struct bh_query answer_set = {
    "INSERT INTO spf_flat_answer(flat, name, type, status, ttl, rdatas, good_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
    " ON CONFLICT(flat, name, type) DO UPDATE SET status = $4, ttl = $5, rdatas = $6, good_at = $7"};
static const struct bh_query answer_list = {
    "SELECT name, type, status, ttl, rdatas, good_at FROM spf_flat_answer WHERE flat = $1"};

struct reader {
    struct bh_arena *arena;
    struct bh_flat_row *one;
    void (*each)(void *ctx, const struct bh_flat_row *flat);
    void (*id)(void *ctx, int64_t id);
    void (*answer)(void *ctx, const struct bh_flat_answer *answer, bh_str rdatas);
    void *ctx;
};

static bh_str column(const struct bh_row *row, int at, struct bh_arena *arena)
{
    return arena ? bh_row_dup(row, at, arena) : bh_row_str(row, at);
}

static void take(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_flat_row flat = {.id = bh_row_int(row, 0),
                               .customer = bh_row_int(row, 1),
                               .domain = column(row, 2, reader->arena),
                               .token = column(row, 3, reader->arena),
                               .record = column(row, 4, reader->arena),
                               .sources = column(row, 5, reader->arena),
                               .published = column(row, 6, reader->arena),
                               .report = column(row, 7, reader->arena),
                               .created_at = bh_row_int(row, 8),
                               .refresh_at = bh_row_int(row, 9),
                               .changed_at = bh_row_int(row, 10),
                               .is_stopped = bh_row_int(row, 11) != 0};

    if (reader->one)
        *reader->one = flat;
    else
        reader->each(reader->ctx, &flat);
}

bh_err bh_flat_insert(struct bh_store *store, const struct bh_flat_row *f, int64_t *ret_id)
{
    return bh_store_number(store, &insert,
                           BH_WITH(BH_INT(f->customer), BH_TEXT(f->domain), BH_TEXT(f->token), BH_TEXT(f->record),
                                   BH_TEXT(f->sources), BH_INT(f->created_at)),
                           ret_id);
}

bh_err bh_flat_update(struct bh_store *store, const struct bh_flat_row *f)
{
    return bh_store_change(store, &update,
                           BH_WITH(BH_INT(f->id), BH_TEXT(f->record), BH_TEXT(f->sources), BH_TEXT(f->published),
                                   BH_TEXT(f->report), BH_INT(f->refresh_at), BH_INT(f->changed_at),
                                   BH_INT(f->is_stopped)),
                           true);
}

bh_err bh_flat_by_id(struct bh_store *store, struct bh_arena *arena, int64_t id, struct bh_flat_row *ret_flat)
{
    struct reader reader = {.arena = arena, .one = ret_flat};

    return bh_store_rows(store, &by_id, BH_WITH(BH_INT(id)), true, take, &reader);
}

bh_err bh_flat_by_domain(struct bh_store *store, struct bh_arena *arena, int64_t customer, bh_str domain,
                         struct bh_flat_row *ret_flat)
{
    struct reader reader = {.arena = arena, .one = ret_flat};

    return bh_store_rows(store, &by_domain, BH_WITH(BH_INT(customer), BH_TEXT(domain)), true, take, &reader);
}

bh_err bh_flat_list(struct bh_store *store, int64_t customer, void (*each)(void *ctx, const struct bh_flat_row *flat),
                    void *ctx)
{
    struct reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &list, BH_WITH(BH_INT(customer)), false, take, &reader);
}

static void take_id(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;

    reader->id(reader->ctx, bh_row_int(row, 0));
}

bh_err bh_flat_due(struct bh_store *store, bh_time_ms now, int64_t limit, void (*each)(void *ctx, int64_t id),
                   void *ctx)
{
    struct reader reader = {.id = each, .ctx = ctx};

    return bh_store_rows(store, &due, BH_WITH(BH_INT(now), BH_INT(limit)), false, take_id, &reader);
}

bh_err bh_flat_next_due(struct bh_store *store, bh_time_ms *ret_at)
{
    return bh_store_number(store, &next_due, BH_WITH(BH_INT(INT64_MAX)), ret_at);
}

bh_err bh_flat_answer_set(struct bh_store *store, int64_t flat, const struct bh_flat_answer *a, bh_str rdatas)
{
    return bh_store_change(store, &answer_set,
                           BH_WITH(BH_INT(flat), BH_TEXT(a->name), BH_INT(a->type), BH_INT(a->status), BH_INT(a->ttl_s),
                                   BH_BLOB(rdatas), BH_INT(a->good_at)),
                           true);
}

static void take_answer(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_flat_answer answer = {.name = bh_row_str(row, 0),
                                    .type = (uint16_t)bh_row_int(row, 1),
                                    .status = (enum bh_dns_status)bh_row_int(row, 2),
                                    .ttl_s = (uint32_t)bh_row_int(row, 3),
                                    .good_at = bh_row_int(row, 5)};

    reader->answer(reader->ctx, &answer, bh_row_str(row, 4));
}

bh_err bh_flat_answer_list(struct bh_store *store, int64_t flat,
                           void (*each)(void *ctx, const struct bh_flat_answer *answer, bh_str rdatas), void *ctx)
{
    struct reader reader = {.answer = each, .ctx = ctx};

    return bh_store_rows(store, &answer_list, BH_WITH(BH_INT(flat)), false, take_answer, &reader);
}
