/* engine.c: making, loading and turning the engine. See engine.h. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>

enum { PURGE_EVERY_MS = 60 * 1000, PURGE_ROWS = 500, PURGE_AGAIN_MS = 200, STALLED_MS = 1000 };

static void set_default_u32(uint32_t *option, uint32_t value)
{
    if (!*option)
        *option = value;
}

static void set_defaults(struct bh_queued_options *o)
{
    set_default_u32(&o->results_max, 64);
    set_default_u32(&o->recipients_max, BH_SUBMIT_RECIPIENTS_MAX);
    if (o->recipients_max > BH_SUBMIT_RECIPIENTS_MAX)
        o->recipients_max = BH_SUBMIT_RECIPIENTS_MAX;
    if (!o->results_wait_ms)
        o->results_wait_ms = 20;
    if (!o->settle_ms)
        o->settle_ms = 5000;
    if (!o->content_max_bytes)
        o->content_max_bytes = 64u << 20;
    if (!o->key_use_ahead_ms)
        o->key_use_ahead_ms = 60000;
    if (!o->retry.first_s)
        o->retry = bh_retry_default();
}

struct bh_queue_item *find_item(struct bh_queued *q, uint64_t message, uint32_t idx, struct bh_queue **ret_queue)
{
    for (int i = 0; i < DESTINATIONS; i++) {
        struct bh_queue_item *item = bh_queue_find(q->queues[i], message, idx);

        if (item) {
            *ret_queue = q->queues[i];
            return item;
        }
    }
    return NULL;
}

/* ---- loading ---- */

struct loading {
    struct bh_queued *q;
    bh_time_ms now;
    uint64_t *files; /* messages whose body is a file, in order */
    size_t file_count, file_cap;
    bh_err err;
};

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static bool has_file(void *ctx, uint64_t message)
{
    const struct loading *l = ctx;

    return l->file_count && bsearch(&message, l->files, l->file_count, sizeof(*l->files), compare_ids);
}

static void load_file(void *ctx, const struct bh_row *row)
{
    struct loading *l = ctx;

    if (l->file_count == l->file_cap) {
        size_t cap = l->file_cap ? l->file_cap * 2 : 64;
        uint64_t *files = reallocarray(l->files, cap, sizeof(*files));

        if (!files) {
            l->err = BH_E_NOMEM;
            return;
        }
        l->files = files;
        l->file_cap = cap;
    }
    l->files[l->file_count++] = (uint64_t)bh_row_int(row, 0);
}

static void load_recipient(void *ctx, const struct bh_row *row)
{
    struct loading *l = ctx;
    struct bh_recipient_open open;
    struct bh_queue_item *item;
    bool steward;
    bh_err err;

    bh_recipient_open_from_row(row, &open);
    steward = bh_str_eq(open.route, BH_STR(STEWARD_ROUTE));
    err = bh_queue_add(
        l->q->queues[steward ? BH_TO_STEWARD : BH_TO_WORLD],
        &(struct bh_queue_entry){.message = open.message,
                                 .idx = open.idx,
                                 .attempts = open.attempts,
                                 .customer = open.customer,
                                 .domain = (uint64_t)open.domain,
                                 .campaign = open.campaign,
                                 .route = open.route,
                                 .next_at = open.next_at,
                                 .expires_at = open.expires_at,
                                 .flags = (uint8_t)((open.sole ? BH_QUEUE_SOLE : 0) |
                                                    (has_file(l, open.message) ? ITEM_FILE : 0) |
                                                    (open.has_notify ? ITEM_NOTIFY : 0) |
                                                    (policy_holds_message(l->q, open.message) ? BH_QUEUE_HOLD : 0))},
        l->now, &item);
    if (err && !l->err)
        l->err = err;
}

static void load_last(void *ctx, const struct bh_row *row)
{
    struct loading *l = ctx;

    l->q->message_ids.last = (uint64_t)bh_row_int(row, 0);
    l->q->event_ids.last = (uint64_t)bh_row_int(row, 1);
}

static void load_done(void *ctx, const struct bh_result *result)
{
    struct loading *l = ctx;

    if (result->err && !l->err)
        l->err = result->err;
}

static bh_err load(struct bh_queued *q, struct bh_store_problem *problem)
{
    struct loading l = {.q = q, .now = now_of(q)};

    bh_message_select_last(q->store, load_last, load_done, &l);
    bh_body_select_files(q->store, load_file, load_done, &l);
    if (!l.err)
        bh_recipient_select_open(q->store, load_recipient, load_done, &l);
    if (!l.err)
        l.err = body_files_sweep(&q->files, has_file, &l);
    free(l.files);
    if (l.err)
        (void)snprintf(problem->text, sizeof(problem->text), "cannot read the spool: %s %s", bh_err_text(l.err),
                       bh_store_error(q->store));
    return l.err;
}

/* ---- life ---- */

static bh_err make_queues(struct bh_queued *q)
{
    for (int i = 0; i < DESTINATIONS; i++) {
        struct bh_queue_options options = {.random = q->options.random,
                                           .seed = {q->options.seed[0], q->options.seed[1]}};

        if (i == BH_TO_WORLD)
            options.knowledge = policy_knowledge(q);

        q->queues[i] = bh_queue_new(&options);
        if (!q->queues[i])
            return BH_E_NOMEM;
    }
    return BH_OK;
}

static void make_parts(struct bh_queued *q)
{
    policy_init(q);
    bh_list_init(&q->workers);
    bh_list_init(&q->contents.lru);
    bh_map_init(&q->contents.by_id, q->options.seed);
    q->contents.max_bytes = q->options.content_max_bytes;
    q->files.dir_fd = -1;
    bh_list_init(&q->files.pending);
    bh_list_init(&q->group.submits);
    bh_list_init(&q->group.batches);
    bh_list_init(&q->group.results);
    bh_list_init(&q->group.events);
    bh_list_init(&q->identities.lru);
    bh_list_init(&q->suppress.waiting);
    bh_list_init(&q->suppress.asked);
    bh_map_init(&q->identities.by_key, q->options.seed);
    bh_map_init(&q->identities.by_token, q->options.seed);
    bh_map_init(&q->flights, q->options.seed);
    key_uses_init(q);
    q->scratch = bh_buf_make(1 << 18);
    q->started_at = now_of(q);
    q->purge_at = q->started_at + PURGE_EVERY_MS;
    q->settled = q->options.sender_count == 0;
}

bh_err bh_queued_new(const struct bh_queued_options *options, struct bh_store_problem *problem,
                     struct bh_queued **ret_queued)
{
    struct bh_queued *q = calloc(1, sizeof(*q));
    bh_err err;

    if (!q)
        return BH_E_NOMEM;
    q->options = *options;
    q->store = options->store;
    set_defaults(&q->options);
    make_parts(q);
    err = policy_load(q);
    if (err)
        (void)snprintf(problem->text, sizeof(problem->text), "cannot read the spool: %s %s", bh_err_text(err),
                       bh_store_error(q->store));
    if (!err)
        err = make_queues(q);
    if (!err)
        err = body_files_open(&q->files, options->body_dir, problem);
    if (!err)
        err = load(q, problem);
    if (err)
        bh_queued_free(q);
    else
        *ret_queued = q;
    return err;
}

void bh_queued_free(struct bh_queued *q)
{
    if (!q)
        return;
    group_free(q);
    flights_free(q);
    identities_free(q);
    key_uses_free(q);
    contents_free(&q->contents);
    while (!bh_list_empty(&q->workers)) {
        struct bh_worker *worker = BH_CONTAINER_OF(bh_list_take(&q->workers), struct bh_worker, node);

        bh_buf_free(&worker->acks);
        free(worker);
    }
    body_files_close(&q->files);
    for (int i = 0; i < DESTINATIONS; i++)
        bh_queue_free(q->queues[i]);
    policy_free(q);
    bh_buf_free(&q->scratch);
    free(q);
}

void bh_queued_configure(struct bh_queued *q, const struct bh_queued_options *options)
{
    q->options.config = options->config;
    q->options.retry = options->retry;
    q->options.retention_ms = options->retention_ms;
    q->options.message_size_max = options->message_size_max;
    q->options.recipients_max = options->recipients_max;
    q->options.results_max = options->results_max;
    q->options.queue_max = options->queue_max;
    q->options.memory_max = options->memory_max;
    q->options.min_free = options->min_free;
    q->options.sender_count = options->sender_count;
    q->options.key_use_ahead_ms = options->key_use_ahead_ms;
    set_defaults(&q->options);
}

/* ---- the turn ---- */

struct purge {
    struct bh_queued *q;
    int64_t deleted; /* the most of the statements */
};

static void purged_rows(void *ctx, const struct bh_result *result)
{
    struct purge *purge = ctx;

    if (!result->err && result->changed > purge->deleted)
        purge->deleted = result->changed;
}

static void purge_committed(void *ctx, bh_err err)
{
    struct purge *purge = ctx;
    struct bh_queued *q = purge->q;

    q->purge_at = now_of(q) + (!err && purge->deleted >= PURGE_ROWS ? PURGE_AGAIN_MS : PURGE_EVERY_MS);
    if (err)
        bh_logf(q->options.log, BH_LOG_WARN, "cannot delete old messages: %s", bh_err_text(err));
    free(purge);
}

/* Finished messages older than the retention time go, a few at a time. */
static void purge_old(struct bh_queued *q)
{
    bh_time_ms now = now_of(q);
    struct purge *purge;

    if (now < q->purge_at || q->group.began || !q->options.retention_ms)
        return;
    q->purge_at = now + PURGE_EVERY_MS;
    purge = calloc(1, sizeof(*purge));
    if (!purge)
        return;
    purge->q = q;
    bh_store_begin(q->store);
    bh_message_purge(q->store, bh_id_floor(now - q->options.retention_ms), now - q->options.retention_ms, PURGE_ROWS,
                     purged_rows, purge);
    bh_event_purge(q->store, (int64_t)bh_id_floor(now - q->options.retention_ms), PURGE_ROWS, purged_rows, purge);
    bh_store_commit(q->store, purge_committed, purge);
}

static void settle_in_time(struct bh_queued *q, bh_time_ms now)
{
    if (q->settled || now < q->started_at + q->options.settle_ms)
        return;
    q->settled = true;
    bh_logf(q->options.log, BH_LOG_WARN, "not every sender has reported what it works on; going on without");
}

static bh_time_ms next_wake(const struct bh_queued *q)
{
    bh_time_ms at = group_due_at(q);

    for (int i = 0; i < DESTINATIONS; i++) {
        bh_time_ms due = bh_queue_next_at(q->queues[i]);

        at = due < at ? due : at;
    }
    if (!q->settled && q->started_at + q->options.settle_ms < at)
        at = q->started_at + q->options.settle_ms;
    if (q->stalled && now_of(q) + STALLED_MS < at)
        at = now_of(q) + STALLED_MS;
    if (q->options.retention_ms && q->purge_at < at)
        at = q->purge_at;
    return at;
}

void bh_queued_turn(struct bh_queued *q)
{
    bh_time_ms now = now_of(q);

    settle_in_time(q, now);
    for (int i = 0; i < DESTINATIONS; i++)
        bh_queue_advance(q->queues[i], now);
    group_flush(q);
    dispatch(q);
    purge_old(q);
    q->options.ops->wake_at(q->options.ctx, next_wake(q));
}

bool bh_queued_idle(const struct bh_queued *q)
{
    return !q->group.result_count && !q->group.began && bh_list_empty(&q->group.events) && !q->flights.count &&
           bh_list_empty(&q->group.submits);
}

void bh_queued_drain(struct bh_queued *q)
{
    q->draining = true;
}

void bh_queued_stats(const struct bh_queued *q, struct bh_queued_stats *ret_stats)
{
    *ret_stats = q->stats;
    ret_stats->results_waiting = q->group.result_count;
    ret_stats->content_bytes = q->contents.bytes;
    ret_stats->identities = q->identities.by_key.count;
}

void bh_queued_counts(const struct bh_queued *q, struct bh_queue_counts *ret_counts)
{
    bh_queue_count(q->queues[BH_TO_WORLD], ret_counts);
}

/* ---- backup ---- */

bh_err bh_queued_keep_bodies(struct bh_queued *q)
{
    return body_files_keep(&q->files);
}

bh_err bh_queued_keep_some(struct bh_queued *q, size_t max)
{
    return body_files_keep_some(&q->files, max);
}

void bh_queued_keep_end(struct bh_queued *q)
{
    body_files_keep_end(&q->files);
}
