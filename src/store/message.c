/* message.c: queries on `message` and `body`. See message.h. */
#include "message.h"

#define COLUMNS                                                                                                        \
    "m.id, m.destination, m.customer, m.domain, m.header_from, m.from_domain, m.mail_from, m.envid, m.size, m.flags, " \
    "m.accepted_at, m.expires_at, m.credential, m.client, m.helo, m.protocol, m.body_hash, m.finished_at, "            \
    "m.campaign, "                                                                                                     \
    "m.stream"

enum { BODY_COLUMN = 20 };

static const struct bh_query insert_message = {
    "INSERT INTO message(id, destination, customer, domain, header_from, from_domain, mail_from, envid, size, flags,"
    " accepted_at, expires_at, credential, client, helo, protocol, body_hash, campaign, stream)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"};
static const struct bh_query insert_body = {"INSERT INTO body(message, bytes) VALUES ($1, $2)"};
static const struct bh_query select_message = {"SELECT " COLUMNS " FROM message m WHERE m.id = $1"};
static const struct bh_query select_delivery = {
    "SELECT " COLUMNS ", b.bytes, r.address, r.notify, r.orcpt FROM message m JOIN body b ON b.message = m.id"
    " JOIN recipient r ON r.message = m.id AND r.idx = $2 WHERE m.id = $1"};
static const struct bh_query select_files = {"SELECT message FROM body WHERE bytes IS NULL ORDER BY message"};
static const struct bh_query select_last = {
    "SELECT (SELECT coalesce(max(id), 0) FROM message), (SELECT coalesce(max(seq), 0) FROM event)"};
static const struct bh_query finish = {"UPDATE message SET finished_at = $2 WHERE id = $1"};
static const struct bh_query finish_if_last = {
    "UPDATE message SET finished_at = $2 WHERE id = $1 AND finished_at IS NULL AND NOT EXISTS"
    " (SELECT 1 FROM recipient WHERE message = $1 AND finished_at IS NULL)"};
static const struct bh_query delete_body = {"DELETE FROM body WHERE message = $1"};
static const struct bh_query delete_body_if_finished = {
    "DELETE FROM body WHERE message = $1 AND EXISTS (SELECT 1 FROM message WHERE id = $1 AND finished_at IS NOT NULL)"};

#define OLD "(SELECT id FROM message WHERE id < $1 AND finished_at < $2 ORDER BY id LIMIT $3)"
static const struct bh_query purge_events = {"DELETE FROM event WHERE message IN " OLD};
static const struct bh_query purge_recipients = {"DELETE FROM recipient WHERE message IN " OLD};
static const struct bh_query purge_messages = {"DELETE FROM message WHERE id IN " OLD};

void bh_message_insert(struct bh_store *store, const struct bh_message_row *m)
{
    bh_store_submit(
        store, &(struct bh_request){.query = &insert_message,
                                    BH_ARGS(BH_INT(m->id), BH_INT(m->destination), BH_INT(m->customer),
                                            BH_INT(m->domain), BH_TEXT(m->header_from), BH_TEXT(m->from_domain),
                                            BH_TEXT(m->mail_from), BH_TEXT(m->envid), BH_INT(m->size), BH_INT(m->flags),
                                            BH_INT(m->accepted_at), BH_INT(m->expires_at), BH_INT(m->credential),
                                            BH_TEXT(m->client), BH_TEXT(m->helo), BH_TEXT(m->protocol),
                                            BH_BLOB(m->body_hash), BH_TEXT(m->campaign), BH_TEXT(m->stream))});
}

void bh_body_insert(struct bh_store *store, uint64_t id, bh_str bytes)
{
    struct bh_value body = bytes.p ? BH_BLOB(bytes) : BH_NULL;

    bh_store_submit(store, &(struct bh_request){.query = &insert_body, BH_ARGS(BH_INT(id), body)});
}

void bh_message_select(struct bh_store *store, uint64_t id, void (*row)(void *ctx, const struct bh_row *row),
                       void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){
                               .query = &select_message, BH_ARGS(BH_INT(id)), .row = row, .done = done, .ctx = ctx});
}

void bh_message_select_delivery(struct bh_store *store, uint64_t id, uint32_t idx,
                                void (*row)(void *ctx, const struct bh_row *row),
                                void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(
        store, &(struct bh_request){
                   .query = &select_delivery, BH_ARGS(BH_INT(id), BH_INT(idx)), .row = row, .done = done, .ctx = ctx});
}

void bh_message_from_row(const struct bh_row *row, struct bh_message_row *ret_message)
{
    *ret_message = (struct bh_message_row){
        .id = (uint64_t)bh_row_int(row, 0),
        .destination = (uint8_t)bh_row_int(row, 1),
        .customer = bh_row_int(row, 2),
        .domain = bh_row_int(row, 3),
        .header_from = bh_row_str(row, 4),
        .from_domain = bh_row_str(row, 5),
        .mail_from = bh_row_str(row, 6),
        .envid = bh_row_str(row, 7),
        .size = bh_row_int(row, 8),
        .flags = (uint32_t)bh_row_int(row, 9),
        .accepted_at = bh_row_int(row, 10),
        .expires_at = bh_row_int(row, 11),
        .credential = bh_row_int(row, 12),
        .client = bh_row_str(row, 13),
        .helo = bh_row_str(row, 14),
        .protocol = bh_row_str(row, 15),
        .body_hash = bh_row_str(row, 16),
        .finished_at = bh_row_int(row, 17),
        .campaign = bh_row_str(row, 18),
        .stream = bh_row_str(row, 19),
    };
}

void bh_message_delivery_from_row(const struct bh_row *row, struct bh_message_delivery *ret_delivery)
{
    *ret_delivery = (struct bh_message_delivery){bh_row_str(row, BODY_COLUMN), bh_row_str(row, BODY_COLUMN + 1),
                                                 bh_row_str(row, BODY_COLUMN + 2), bh_row_str(row, BODY_COLUMN + 3)};
}

void bh_body_select_files(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                          void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){.query = &select_files, .row = row, .done = done, .ctx = ctx});
}

void bh_message_select_last(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                            void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){.query = &select_last, .row = row, .done = done, .ctx = ctx});
}

void bh_message_finish(struct bh_store *store, uint64_t id, bh_time_ms at)
{
    bh_store_submit(store, &(struct bh_request){.query = &finish, BH_ARGS(BH_INT(id), BH_INT(at))});
    bh_store_submit(store, &(struct bh_request){.query = &delete_body, BH_ARGS(BH_INT(id))});
}

void bh_message_finish_if_last(struct bh_store *store, uint64_t id, bh_time_ms at,
                               void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){
                               .query = &finish_if_last, BH_ARGS(BH_INT(id), BH_INT(at)), .done = done, .ctx = ctx});
    bh_store_submit(store, &(struct bh_request){.query = &delete_body_if_finished, BH_ARGS(BH_INT(id))});
}

void bh_message_purge(struct bh_store *store, uint64_t before_id, bh_time_ms finished_before, int64_t limit,
                      void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    const struct bh_value args[] = {BH_INT(before_id), BH_INT(finished_before), BH_INT(limit)};

    bh_store_submit(store, &(struct bh_request){.query = &purge_events, .args = args, .arg_count = 3});
    bh_store_submit(store, &(struct bh_request){.query = &purge_recipients, .args = args, .arg_count = 3});
    bh_store_submit(
        store, &(struct bh_request){.query = &purge_messages, .args = args, .arg_count = 3, .done = done, .ctx = ctx});
}
