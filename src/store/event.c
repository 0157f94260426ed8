/* event.c: queries on `event`. See event.h. */
#include "event.h"

#define COLUMNS "e.seq, e.at, e.kind, e.message, e.idx, e.customer, e.code, e.text, e.detail, r.address"
#define FROM " FROM event e LEFT JOIN recipient r ON r.message = e.message AND r.idx = e.idx"

static const struct bh_query insert = {"INSERT INTO event(seq, at, kind, message, idx, customer, code, text, detail)"
                                       " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"};
static const struct bh_query select_after = {
    "SELECT " COLUMNS FROM " WHERE e.seq > $1 AND ($2 = 0 OR e.customer = $2) ORDER BY e.seq LIMIT $3"};
static const struct bh_query select_message = {"SELECT " COLUMNS FROM " WHERE e.message = $1 ORDER BY e.seq LIMIT $2"};

const char *bh_event_kind_name(enum bh_event_kind kind)
{
    static const char *const names[] = {"?",       "accepted", "delivered", "deferred", "bounced",
                                        "expired", "dropped",  "retried",   "finished"};

    return (size_t)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : names[0];
}

void bh_event_insert(struct bh_store *store, const struct bh_event_row *e)
{
    bh_store_submit(store, &(struct bh_request){.query = &insert,
                                                BH_ARGS(BH_INT(e->seq), BH_INT(e->at), BH_INT(e->kind),
                                                        BH_INT(e->message), BH_INT(e->idx), BH_INT(e->customer),
                                                        BH_INT(e->code), BH_TEXT(e->text), BH_BLOB(e->detail))});
}

void bh_event_select_after(struct bh_store *store, int64_t seq, int64_t customer, int64_t limit,
                           void (*row)(void *ctx, const struct bh_row *row),
                           void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){.query = &select_after,
                                                BH_ARGS(BH_INT(seq), BH_INT(customer), BH_INT(limit)),
                                                .row = row,
                                                .done = done,
                                                .ctx = ctx});
}

void bh_event_select_message(struct bh_store *store, uint64_t message, int64_t limit,
                             void (*row)(void *ctx, const struct bh_row *row),
                             void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(
        store,
        &(struct bh_request){
            .query = &select_message, BH_ARGS(BH_INT(message), BH_INT(limit)), .row = row, .done = done, .ctx = ctx});
}

void bh_event_from_row(const struct bh_row *row, struct bh_event_row *ret_event)
{
    *ret_event = (struct bh_event_row){
        .seq = bh_row_int(row, 0),
        .at = bh_row_int(row, 1),
        .kind = (enum bh_event_kind)bh_row_int(row, 2),
        .message = (uint64_t)bh_row_int(row, 3),
        .idx = (int32_t)bh_row_int(row, 4),
        .customer = bh_row_int(row, 5),
        .code = (uint32_t)bh_row_int(row, 6),
        .text = bh_row_str(row, 7),
        .detail = bh_row_str(row, 8),
        .address = bh_row_str(row, 9),
    };
}
