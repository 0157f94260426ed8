/* event_out.c: queries on `event_out`: events that controld has yet to tell queued. See control.h. */
#include "control.h"
#include "one.h"

static const struct bh_query insert = {
    "INSERT INTO event_out(key, kind, at, customer, domain, detail) VALUES ($1, $2, $3, $4, $5, $6)"};
static const struct bh_query list = {
    "SELECT id, key, kind, at, customer, domain, detail FROM event_out WHERE id > $1 ORDER BY id LIMIT $2"};
static const struct bh_query delete_upto = {"DELETE FROM event_out WHERE id <= $1"};

bh_err bh_event_out_insert(struct bh_store *store, const struct bh_event_out *e)
{
    return bh_store_change(store, &insert,
                           BH_WITH(BH_TEXT(e->key), BH_INT(e->kind), BH_INT(e->at), BH_INT(e->customer),
                                   BH_INT(e->domain), BH_TEXT(e->detail)),
                           true);
}

struct listing {
    void (*each)(void *ctx, const struct bh_event_out *event);
    void *ctx;
};

static void take(void *ctx, const struct bh_row *row)
{
    struct listing *listing = ctx;
    struct bh_event_out event = {.id = bh_row_int(row, 0),
                                 .key = bh_row_str(row, 1),
                                 .kind = (int)bh_row_int(row, 2),
                                 .at = bh_row_int(row, 3),
                                 .customer = bh_row_int(row, 4),
                                 .domain = bh_row_int(row, 5),
                                 .detail = bh_row_str(row, 6)};

    listing->each(listing->ctx, &event);
}

bh_err bh_event_out_list(struct bh_store *store, int64_t after, int64_t limit,
                         void (*each)(void *ctx, const struct bh_event_out *event), void *ctx)
{
    struct listing listing = {each, ctx};

    return bh_store_rows(store, &list, BH_WITH(BH_INT(after), BH_INT(limit)), false, take, &listing);
}

bh_err bh_event_out_delete(struct bh_store *store, int64_t upto)
{
    return bh_store_change(store, &delete_upto, BH_WITH(BH_INT(upto)), false);
}
