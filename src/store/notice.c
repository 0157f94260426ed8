/* notice.c: queries on `customer_contact` and `notice`. See control.h. */
#include "control.h"
#include "one.h"

#define COLUMNS "n.id, n.kind, n.customer, coalesce(c.name, ''), n.about, n.subject, n.body, n.at, n.sent_at, n.message"
#define SELECT "SELECT " COLUMNS " FROM notice n LEFT JOIN customer c ON c.id = n.customer "

static const struct bh_query contact_clear = {"DELETE FROM customer_contact WHERE customer = $1"};
static const struct bh_query contact_insert = {
    "INSERT INTO customer_contact(customer, address) VALUES ($1, $2) ON CONFLICT DO NOTHING"};
static const struct bh_query contact_list = {
    "SELECT address FROM customer_contact WHERE customer = $1 ORDER BY address"};
static const struct bh_query insert = {"INSERT INTO notice(kind, customer, about, subject, body, at, sent_at, message)"
                                       " VALUES ($1, $2, $3, $4, $5, $6, 0, 0) RETURNING id"};
static const struct bh_query last = {
    "SELECT coalesce(max(at), 0) FROM notice WHERE kind = $1 AND customer = $2 AND about = $3"};
static const struct bh_query count = {"SELECT count(*) FROM notice WHERE customer = $1 AND at > $2"};
static const struct bh_query waiting = {SELECT "WHERE n.sent_at = 0 ORDER BY n.id LIMIT 1"};
static const struct bh_query sent = {"UPDATE notice SET sent_at = $2, message = $3 WHERE id = $1"};
static const struct bh_query list = {SELECT "WHERE $1 = -1 OR n.customer = $1 ORDER BY n.id DESC LIMIT $2"};
static const struct bh_query prune = {"DELETE FROM notice WHERE at < $1"};

bh_err bh_contact_replace(struct bh_store *store, int64_t customer, const bh_str *addresses, size_t address_count)
{
    bh_err err = bh_store_change(store, &contact_clear, BH_WITH(BH_INT(customer)), false);

    for (size_t i = 0; !err && i < address_count; i++)
        err = bh_store_change(store, &contact_insert, BH_WITH(BH_INT(customer), BH_TEXT(addresses[i])), false);
    return err;
}

struct contact_reader {
    void (*each)(void *ctx, bh_str address);
    void *ctx;
};

static void pass_contact(void *ctx, const struct bh_row *row)
{
    struct contact_reader *reader = ctx;

    reader->each(reader->ctx, bh_row_str(row, 0));
}

bh_err bh_contact_list(struct bh_store *store, int64_t customer, void (*each)(void *ctx, bh_str address), void *ctx)
{
    struct contact_reader reader = {each, ctx};

    return bh_store_rows(store, &contact_list, BH_WITH(BH_INT(customer)), false, pass_contact, &reader);
}

bh_err bh_notice_insert(struct bh_store *store, const struct bh_notice_row *notice, int64_t *ret_id)
{
    return bh_store_number(store, &insert,
                           BH_WITH(BH_TEXT(notice->kind), BH_INT(notice->customer_id), BH_TEXT(notice->about),
                                   BH_TEXT(notice->subject), BH_TEXT(notice->body), BH_INT(notice->at)),
                           ret_id);
}

bh_err bh_notice_last(struct bh_store *store, bh_str kind, int64_t customer, bh_str about, bh_time_ms *ret_at)
{
    return bh_store_number(store, &last, BH_WITH(BH_TEXT(kind), BH_INT(customer), BH_TEXT(about)), ret_at);
}

bh_err bh_notice_count(struct bh_store *store, int64_t customer, bh_time_ms after, int64_t *ret_count)
{
    return bh_store_number(store, &count, BH_WITH(BH_INT(customer), BH_INT(after)), ret_count);
}

struct reader {
    struct bh_arena *arena; /* NULL: views of the row */
    struct bh_notice_row *notice;
    void (*each)(void *ctx, const struct bh_notice_row *notice);
    void *ctx;
};

static bh_str column(const struct bh_row *row, int at, struct bh_arena *arena)
{
    return arena ? bh_row_dup(row, at, arena) : bh_row_str(row, at);
}

static void take(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_notice_row notice = {.id = bh_row_int(row, 0),
                                   .kind = column(row, 1, reader->arena),
                                   .customer_id = bh_row_int(row, 2),
                                   .customer = column(row, 3, reader->arena),
                                   .about = column(row, 4, reader->arena),
                                   .subject = column(row, 5, reader->arena),
                                   .body = column(row, 6, reader->arena),
                                   .at = bh_row_int(row, 7),
                                   .sent_at = bh_row_int(row, 8),
                                   .message = (uint64_t)bh_row_int(row, 9)};

    if (reader->each)
        reader->each(reader->ctx, &notice);
    else
        *reader->notice = notice;
}

bh_err bh_notice_waiting(struct bh_store *store, struct bh_arena *arena, struct bh_notice_row *ret_notice)
{
    struct reader reader = {.arena = arena, .notice = ret_notice};

    return bh_store_rows(store, &waiting, NULL, 0, true, take, &reader);
}

bh_err bh_notice_sent(struct bh_store *store, int64_t id, bh_time_ms now, uint64_t message)
{
    return bh_store_change(store, &sent, BH_WITH(BH_INT(id), BH_INT(now), BH_INT(message)), false);
}

bh_err bh_notice_list(struct bh_store *store, int64_t customer, int64_t limit,
                      void (*each)(void *ctx, const struct bh_notice_row *notice), void *ctx)
{
    struct reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &list, BH_WITH(BH_INT(customer), BH_INT(limit)), false, take, &reader);
}

bh_err bh_notice_prune(struct bh_store *store, bh_time_ms before)
{
    return bh_store_change(store, &prune, BH_WITH(BH_INT(before)), false);
}
