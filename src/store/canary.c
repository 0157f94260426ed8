/* canary.c: queries on `canary`: the messages with which a domain proves itself, and their verdicts. See control.h. */
#include "control.h"
#include "one.h"

static const struct bh_query due = {
    "SELECT id FROM domain WHERE canary_at > 0 AND canary_at <= $1 ORDER BY canary_at LIMIT $2"};
static const struct bh_query next_due = {"SELECT coalesce(min(canary_at), $1) FROM domain WHERE canary_at > 0"};
static const struct bh_query set_due = {"UPDATE domain SET canary_at = $2 WHERE id = $1 AND deleted_at IS NULL"};
static const struct bh_query get_due = {"SELECT canary_at FROM domain WHERE id = $1"};
static const struct bh_query insert = {
    "INSERT INTO canary(domain, sent_at, message, judged_at, passed, aligned, detail)"
    " VALUES ($1, $2, 0, 0, 0, 0, '') RETURNING id"};
static const struct bh_query set_message = {"UPDATE canary SET message = $2 WHERE id = $1"};
static const struct bh_query judge = {"UPDATE canary SET judged_at = $2, passed = $3, aligned = $4, detail = $5"
                                      " WHERE id = $1 AND judged_at = 0"};
static const struct bh_query overdue = {
    "SELECT id, domain, sent_at, message, judged_at, passed, aligned, detail FROM canary"
    " WHERE judged_at = 0 AND sent_at <= $1 ORDER BY sent_at LIMIT $2"};
static const struct bh_query by_id = {
    "SELECT id, domain, sent_at, message, judged_at, passed, aligned, detail FROM canary WHERE id = $1"};
static const struct bh_query list = {
    "SELECT id, domain, sent_at, message, judged_at, passed, aligned, detail FROM canary WHERE domain = $1"
    " ORDER BY sent_at DESC, id DESC LIMIT $2"};
static const struct bh_query trim = {
    "DELETE FROM canary WHERE domain = $1 AND id NOT IN"
    " (SELECT id FROM canary WHERE domain = $1 ORDER BY sent_at DESC, id DESC LIMIT $2)"};

static const struct bh_query failures = {
    "SELECT count(*) FROM canary WHERE domain = $1 AND judged_at > 0 AND passed = 0 AND id >"
    " (SELECT coalesce(max(id), 0) FROM canary WHERE domain = $1 AND passed = 1)"};

struct reader {
    struct bh_arena *arena;
    struct bh_canary *canary;
    void (*each)(void *ctx, const struct bh_canary *canary);
    void *ctx;
};

static void take(void *ctx, const struct bh_row *row)
{
    struct reader *reader = ctx;
    struct bh_canary canary = {.id = bh_row_int(row, 0),
                               .domain = bh_row_int(row, 1),
                               .sent_at = bh_row_int(row, 2),
                               .message = (uint64_t)bh_row_int(row, 3),
                               .judged_at = bh_row_int(row, 4),
                               .passed = bh_row_int(row, 5) != 0,
                               .aligned = (enum bh_mechanism)bh_row_int(row, 6),
                               .detail = bh_row_str(row, 7)};

    if (reader->arena)
        canary.detail = bh_arena_dup(reader->arena, canary.detail);
    if (reader->canary)
        *reader->canary = canary;
    else
        reader->each(reader->ctx, &canary);
}

struct ids {
    void (*each)(void *ctx, int64_t id);
    void *ctx;
};

static void pass_id(void *ctx, const struct bh_row *row)
{
    struct ids *ids = ctx;

    ids->each(ids->ctx, bh_row_int(row, 0));
}

bh_err bh_canary_list_due(struct bh_store *store, bh_time_ms now, int64_t limit,
                          void (*each)(void *ctx, int64_t domain), void *ctx)
{
    struct ids ids = {each, ctx};

    return bh_store_rows(store, &due, BH_WITH(BH_INT(now), BH_INT(limit)), false, pass_id, &ids);
}

bh_err bh_canary_next_due(struct bh_store *store, bh_time_ms *ret_at)
{
    return bh_store_number(store, &next_due, BH_WITH(BH_INT(INT64_MAX)), ret_at);
}

bh_err bh_canary_set_due(struct bh_store *store, int64_t domain, bh_time_ms at)
{
    return bh_store_change(store, &set_due, BH_WITH(BH_INT(domain), BH_INT(at)), true);
}

bh_err bh_canary_get_due(struct bh_store *store, int64_t domain, bh_time_ms *ret_at)
{
    return bh_store_number(store, &get_due, BH_WITH(BH_INT(domain)), ret_at);
}

bh_err bh_canary_insert(struct bh_store *store, int64_t domain, bh_time_ms now, int64_t *ret_id)
{
    bh_err err = bh_store_number(store, &insert, BH_WITH(BH_INT(domain), BH_INT(now)), ret_id);

    return err ? err : bh_store_change(store, &trim, BH_WITH(BH_INT(domain), BH_INT(BH_CANARIES_KEPT)), false);
}

bh_err bh_canary_set_message(struct bh_store *store, int64_t canary, uint64_t message)
{
    return bh_store_change(store, &set_message, BH_WITH(BH_INT(canary), BH_INT(message)), true);
}

bh_err bh_canary_judge(struct bh_store *store, int64_t canary, bh_time_ms now, bool passed, enum bh_mechanism aligned,
                       bh_str detail)
{
    return bh_store_change(
        store, &judge,
        BH_WITH(BH_INT(canary), BH_INT(now), BH_INT(passed), BH_INT(aligned), BH_TEXT(detail.p ? detail : BH_STR(""))),
        true);
}

bh_err bh_canary_list_overdue(struct bh_store *store, bh_time_ms sent_before, int64_t limit,
                              void (*each)(void *ctx, const struct bh_canary *canary), void *ctx)
{
    struct reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &overdue, BH_WITH(BH_INT(sent_before), BH_INT(limit)), false, take, &reader);
}

bh_err bh_canary_by_id(struct bh_store *store, struct bh_arena *arena, int64_t id, struct bh_canary *ret_canary)
{
    struct reader reader = {.arena = arena, .canary = ret_canary};

    return bh_store_rows(store, &by_id, BH_WITH(BH_INT(id)), true, take, &reader);
}

bh_err bh_canary_list(struct bh_store *store, int64_t domain, int64_t limit,
                      void (*each)(void *ctx, const struct bh_canary *canary), void *ctx)
{
    struct reader reader = {.each = each, .ctx = ctx};

    return bh_store_rows(store, &list, BH_WITH(BH_INT(domain), BH_INT(limit)), false, take, &reader);
}

bh_err bh_canary_failures(struct bh_store *store, int64_t domain, int64_t *ret_count)
{
    return bh_store_number(store, &failures, BH_WITH(BH_INT(domain)), ret_count);
}
