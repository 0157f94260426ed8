/* recipient.c: queries on `recipient`. See recipient.h. */
#include "recipient.h"

#define COLUMNS                                                                                                        \
    "r.message, r.idx, r.address, r.route, r.notify, r.orcpt, r.state, r.attempts, r.next_at, r.code, r.text, "        \
    "r.finished_at"

enum { CUSTOMER_COLUMN = 12, MAIL_FROM_COLUMN = 13 };

static const struct bh_query insert = {
    "INSERT INTO recipient(message, idx, address, route, notify, orcpt, state, attempts, next_at, code, text)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"};
/* the partial index gives the order; a message's only recipient has index 0 and no neighbour 1 */
static const struct bh_query select_open = {
    "SELECT r.message, r.idx, r.attempts, r.next_at, m.expires_at, m.customer, r.route,"
    " r.idx = 0 AND NOT EXISTS (SELECT 1 FROM recipient o WHERE o.message = r.message AND o.idx = 1), m.domain, "
    "m.campaign, r.notify <> ''"
    " FROM recipient r JOIN message m ON m.id = r.message WHERE r.finished_at IS NULL ORDER BY r.message, r.idx"};
static const struct bh_query select_message = {
    "SELECT " COLUMNS " FROM recipient r WHERE r.message = $1 AND r.idx >= $2 ORDER BY r.idx LIMIT $3"};
static const struct bh_query defer = {"UPDATE recipient SET attempts = $3, next_at = $4, code = $5, text = $6"
                                      " WHERE message = $1 AND idx = $2 AND finished_at IS NULL AND attempts < $3"};
static const struct bh_query finish = {
    "UPDATE recipient SET state = $3, attempts = $4, code = $5, text = $6, finished_at = $7"
    " WHERE message = $1 AND idx = $2 AND finished_at IS NULL"};
static const struct bh_query bounced_later = {
    "UPDATE recipient SET state = $4, code = $5, text = $6 WHERE message = $1 AND idx = $2 AND state = $7"
    " AND EXISTS (SELECT 1 FROM message WHERE id = $1 AND customer = $3)"};
static const struct bh_query reschedule = {
    "UPDATE recipient SET next_at = $3 WHERE message = $1 AND idx = $2 AND finished_at IS NULL"};
static const struct bh_query list_open = {
    "SELECT " COLUMNS ", m.customer, m.mail_from FROM recipient r JOIN message m ON m.id = r.message"
    " WHERE r.finished_at IS NULL AND (r.message, r.idx) > ($1, $2) AND ($3 = 0 OR m.customer = $3)"
    " AND ($4 = '' OR r.route = $4) AND ($6 = '' OR m.campaign = $6) ORDER BY r.message, r.idx LIMIT $5"};

const char *bh_recipient_state_name(enum bh_recipient_state state)
{
    static const char *const names[] = {"?", "queued", "delivered", "bounced", "expired", "dropped", "suppressed"};

    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : names[0];
}

void bh_recipient_insert(struct bh_store *store, const struct bh_recipient_row *r)
{
    bh_store_submit(store, &(struct bh_request){.query = &insert,
                                                BH_ARGS(BH_INT(r->message), BH_INT(r->idx), BH_TEXT(r->address),
                                                        BH_TEXT(r->route), BH_TEXT(r->notify), BH_TEXT(r->orcpt),
                                                        BH_INT(r->state), BH_INT(r->attempts), BH_INT(r->next_at),
                                                        BH_INT(r->code), BH_TEXT(r->text))});
}

void bh_recipient_select_open(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                              void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){.query = &select_open, .row = row, .done = done, .ctx = ctx});
}

void bh_recipient_open_from_row(const struct bh_row *row, struct bh_recipient_open *ret_open)
{
    *ret_open = (struct bh_recipient_open){
        .message = (uint64_t)bh_row_int(row, 0),
        .idx = (uint32_t)bh_row_int(row, 1),
        .attempts = (uint32_t)bh_row_int(row, 2),
        .next_at = bh_row_int(row, 3),
        .expires_at = bh_row_int(row, 4),
        .customer = bh_row_int(row, 5),
        .route = bh_row_str(row, 6),
        .sole = bh_row_int(row, 7) != 0,
        .domain = bh_row_int(row, 8),
        .campaign = bh_row_str(row, 9),
        .has_notify = bh_row_int(row, 10) != 0,
    };
}

void bh_recipient_select_message(struct bh_store *store, uint64_t message, uint32_t from, int64_t limit,
                                 void (*row)(void *ctx, const struct bh_row *row),
                                 void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){.query = &select_message,
                                                BH_ARGS(BH_INT(message), BH_INT(from), BH_INT(limit)),
                                                .row = row,
                                                .done = done,
                                                .ctx = ctx});
}

void bh_recipient_from_row(const struct bh_row *row, struct bh_recipient_row *ret_recipient)
{
    *ret_recipient = (struct bh_recipient_row){
        .message = (uint64_t)bh_row_int(row, 0),
        .idx = (uint32_t)bh_row_int(row, 1),
        .address = bh_row_str(row, 2),
        .route = bh_row_str(row, 3),
        .notify = bh_row_str(row, 4),
        .orcpt = bh_row_str(row, 5),
        .state = (enum bh_recipient_state)bh_row_int(row, 6),
        .attempts = (uint32_t)bh_row_int(row, 7),
        .next_at = bh_row_int(row, 8),
        .code = (uint32_t)bh_row_int(row, 9),
        .text = bh_row_str(row, 10),
        .finished_at = bh_row_int(row, 11),
    };
}

void bh_recipient_defer(struct bh_store *store, uint64_t message, uint32_t idx, uint32_t attempts, bh_time_ms next_at,
                        uint32_t code, bh_str text, void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){.query = &defer,
                                                BH_ARGS(BH_INT(message), BH_INT(idx), BH_INT(attempts), BH_INT(next_at),
                                                        BH_INT(code), BH_TEXT(text)),
                                                .done = done,
                                                .ctx = ctx});
}

void bh_recipient_finish(struct bh_store *store, uint64_t message, uint32_t idx, enum bh_recipient_state state,
                         uint32_t attempts, uint32_t code, bh_str text, bh_time_ms at,
                         void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){.query = &finish,
                                                BH_ARGS(BH_INT(message), BH_INT(idx), BH_INT(state), BH_INT(attempts),
                                                        BH_INT(code), BH_TEXT(text), BH_INT(at)),
                                                .done = done,
                                                .ctx = ctx});
}

void bh_recipient_bounced_later(struct bh_store *store, uint64_t message, uint32_t idx, int64_t customer, uint32_t code,
                                bh_str text)
{
    bh_store_submit(store, &(struct bh_request){.query = &bounced_later,
                                                BH_ARGS(BH_INT(message), BH_INT(idx), BH_INT(customer),
                                                        BH_INT(BH_RECIPIENT_BOUNCED), BH_INT(code), BH_TEXT(text),
                                                        BH_INT(BH_RECIPIENT_DELIVERED))});
}

void bh_recipient_reschedule(struct bh_store *store, uint64_t message, uint32_t idx, bh_time_ms next_at)
{
    bh_store_submit(store,
                    &(struct bh_request){.query = &reschedule, BH_ARGS(BH_INT(message), BH_INT(idx), BH_INT(next_at))});
}

void bh_recipient_list_open(struct bh_store *store, uint64_t after_message, uint32_t after_idx,
                            const struct bh_recipient_filter *filter, int64_t limit,
                            void (*row)(void *ctx, const struct bh_row *row),
                            void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store,
                    &(struct bh_request){.query = &list_open,
                                         BH_ARGS(BH_INT(after_message), BH_INT(after_idx), BH_INT(filter->customer),
                                                 BH_TEXT(filter->route), BH_INT(limit), BH_TEXT(filter->campaign)),
                                         .row = row,
                                         .done = done,
                                         .ctx = ctx});
}

int64_t bh_recipient_listed_customer(const struct bh_row *row)
{
    return bh_row_int(row, CUSTOMER_COLUMN);
}

bh_str bh_recipient_listed_mail_from(const struct bh_row *row)
{
    return bh_row_str(row, MAIL_FROM_COLUMN);
}
