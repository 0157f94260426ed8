/* event.c: queries on `event`. See event.h. */
#include "event.h"

#define COLUMNS                                                                                                        \
    "e.seq, e.at, e.kind, e.message, e.idx, e.customer, e.code, e.text, e.detail, r.address, "                         \
    "CASE WHEN e.domain = 0 THEN coalesce(m.domain, 0) ELSE e.domain END, e.key, m.stream"
#define FROM                                                                                                           \
    " FROM event e LEFT JOIN message m ON m.id = e.message"                                                            \
    " LEFT JOIN recipient r ON r.message = e.message AND r.idx = e.idx"
#define INSERT "INSERT INTO event(seq, at, kind, message, idx, customer, code, text, detail, domain, key)"

static const struct bh_query insert = {INSERT " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"};
static const struct bh_query insert_told = {
    INSERT " SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11"
           " WHERE $4 = 0 OR EXISTS (SELECT 1 FROM message WHERE id = $4 AND customer = $6) ON CONFLICT DO NOTHING"};
static const struct bh_query select_filtered = {
    "SELECT " COLUMNS FROM " WHERE e.seq > $1 AND ($2 = 0 OR e.customer = $2) AND ($3 = 0 OR e.kind = $3)"
    " AND ($4 = 0 OR e.domain = $4 OR (e.domain = 0 AND m.domain = $4)) AND ($5 = 0 OR e.seq <= $5)"
    " ORDER BY e.seq LIMIT $6"};
static const struct bh_query select_of_message = {
    "SELECT " COLUMNS FROM
    " WHERE e.message = $1 AND e.seq > $2 AND ($3 = 0 OR e.customer = $3) AND ($4 = 0 OR e.kind = $4)"
    " ORDER BY e.seq LIMIT $5"};
/* what suppression and health follow; the partial index has nothing else */
static const struct bh_query select_feedback = {
    "SELECT " COLUMNS FROM " WHERE e.seq > $1 AND e.kind IN (4, 11, 13, 21) ORDER BY e.seq LIMIT $2"};
static const struct bh_query select_message = {"SELECT " COLUMNS FROM " WHERE e.message = $1 ORDER BY e.seq LIMIT $2"};
static const struct bh_query purge = {
    "DELETE FROM event WHERE seq IN (SELECT e.seq FROM event e WHERE e.seq < $1 AND (e.message = 0 OR NOT EXISTS"
    " (SELECT 1 FROM message m WHERE m.id = e.message)) ORDER BY e.seq LIMIT $2)"};
static const struct bh_query reader_set = {"INSERT INTO reader(name, seq, at) VALUES ($1, $2, $3)"
                                           " ON CONFLICT(name) DO UPDATE SET at = $3, seq = $2 WHERE reader.seq <= $2"};
static const struct bh_query reader_delete = {"DELETE FROM reader WHERE name = $1"};
static const struct bh_query reader_select = {
    "SELECT name, seq, at FROM reader WHERE $1 = '' OR name = $1 ORDER BY name"};

static const struct {
    int number;
    const char *name;
} kinds[] = {
#define KIND_NAME(NAME, number, name, what) {number, name},
    BH_EVENT_TYPES(KIND_NAME)
#undef KIND_NAME
};

const char *bh_event_kind_name(enum bh_event_kind kind)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].number == (int)kind)
            return kinds[i].name;
    return "?";
}

int bh_event_kind_number(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return kinds[i].number;
    return 0;
}

#define INSERT_ARGS(e)                                                                                                 \
    BH_ARGS(BH_INT((e)->seq), BH_INT((e)->at), BH_INT((e)->kind), BH_INT((e)->message), BH_INT((e)->idx),              \
            BH_INT((e)->customer), BH_INT((e)->code), BH_TEXT((e)->text), BH_BLOB((e)->detail), BH_INT((e)->domain),   \
            BH_TEXT_OR_NULL((e)->key))

void bh_event_insert(struct bh_store *store, const struct bh_event_row *e)
{
    bh_store_submit(store, &(struct bh_request){.query = &insert, INSERT_ARGS(e)});
}

void bh_event_insert_told(struct bh_store *store, const struct bh_event_row *e,
                          void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){.query = &insert_told, INSERT_ARGS(e), .done = done, .ctx = ctx});
}

void bh_event_select(struct bh_store *store, const struct bh_event_filter *f,
                     void (*row)(void *ctx, const struct bh_row *row),
                     void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    if (f->feedback)
        bh_store_submit(store, &(struct bh_request){.query = &select_feedback,
                                                    BH_ARGS(BH_INT(f->after), BH_INT(f->limit)),
                                                    .row = row,
                                                    .done = done,
                                                    .ctx = ctx});
    else if (f->message)
        bh_store_submit(store, &(struct bh_request){.query = &select_of_message,
                                                    BH_ARGS(BH_INT(f->message), BH_INT(f->after), BH_INT(f->customer),
                                                            BH_INT(f->kind), BH_INT(f->limit)),
                                                    .row = row,
                                                    .done = done,
                                                    .ctx = ctx});
    else
        bh_store_submit(store, &(struct bh_request){.query = &select_filtered,
                                                    BH_ARGS(BH_INT(f->after), BH_INT(f->customer), BH_INT(f->kind),
                                                            BH_INT(f->domain), BH_INT(f->until), BH_INT(f->limit)),
                                                    .row = row,
                                                    .done = done,
                                                    .ctx = ctx});
}

void bh_event_purge(struct bh_store *store, int64_t before_seq, int64_t limit,
                    void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){
                               .query = &purge, BH_ARGS(BH_INT(before_seq), BH_INT(limit)), .done = done, .ctx = ctx});
}

void bh_event_reader_set(struct bh_store *store, bh_str name, int64_t seq, bh_time_ms at,
                         void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(
        store, &(struct bh_request){
                   .query = &reader_set, BH_ARGS(BH_TEXT(name), BH_INT(seq), BH_INT(at)), .done = done, .ctx = ctx});
}

void bh_event_reader_delete(struct bh_store *store, bh_str name,
                            void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store,
                    &(struct bh_request){.query = &reader_delete, BH_ARGS(BH_TEXT(name)), .done = done, .ctx = ctx});
}

void bh_event_reader_select(struct bh_store *store, bh_str name, void (*row)(void *ctx, const struct bh_row *row),
                            void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){
                               .query = &reader_select, BH_ARGS(BH_TEXT(name)), .row = row, .done = done, .ctx = ctx});
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

void bh_event_select_notified(struct bh_store *store, uint64_t message, int32_t idx,
                              void (*row)(void *ctx, const struct bh_row *row),
                              void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    static const struct bh_query count = {"SELECT count(*) FROM event WHERE message = $1 AND idx = $2 AND kind = $3"};

    bh_store_submit(store, &(struct bh_request){.query = &count,
                                                BH_ARGS(BH_INT(message), BH_INT(idx), BH_INT(BH_EVENT_NOTIFIED)),
                                                .row = row,
                                                .done = done,
                                                .ctx = ctx});
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
        .domain = bh_row_int(row, 10),
        .key = bh_row_str(row, 11),
        .stream = bh_row_str(row, 12),
    };
}
