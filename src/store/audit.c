/* audit.c: queries on `audit`: who changed what. See control.h. */
#include "control.h"
#include "one.h"

static const struct bh_query insert = {"INSERT INTO audit(at, token, customer, command, args, outcome)"
                                       " VALUES ($1, $2, $3, $4, $5, $6)"};
static const struct bh_query list = {
    "SELECT id, at, token, customer, command, args, outcome FROM audit"
    " WHERE ($1 = 0 OR customer = $1) AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3"};
static const struct bh_query prune = {"DELETE FROM audit WHERE at < $1"};

struct reader {
    void (*each)(void *ctx, const struct bh_audit *entry);
    void *ctx;
};

static void pass_on(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;

    reader->each(reader->ctx, &(struct bh_audit){.id = bh_row_int(row, 0),
                                                 .at = bh_row_int(row, 1),
                                                 .token = bh_row_int(row, 2),
                                                 .customer_id = bh_row_int(row, 3),
                                                 .command = bh_row_str(row, 4),
                                                 .args = bh_row_str(row, 5),
                                                 .outcome = bh_row_str(row, 6)});
}

bh_err bh_audit_insert(struct bh_store *store, const struct bh_audit *entry)
{
    return bh_store_change(store, &insert,
                           BH_WITH(BH_INT(entry->at), BH_INT(entry->token), BH_INT(entry->customer_id),
                                   BH_TEXT(entry->command), BH_TEXT(entry->args), BH_TEXT(entry->outcome)),
                           false);
}

bh_err bh_audit_select(struct bh_store *store, int64_t customer, int64_t before, int64_t limit,
                       void (*each)(void *ctx, const struct bh_audit *entry), void *ctx)
{
    struct reader reader = {each, ctx};

    return bh_store_rows(store, &list, BH_WITH(BH_INT(customer), BH_INT(before), BH_INT(limit)), false, pass_on,
                         &reader);
}

bh_err bh_audit_prune(struct bh_store *store, bh_time_ms before)
{
    return bh_store_change(store, &prune, BH_WITH(BH_INT(before)), false);
}
