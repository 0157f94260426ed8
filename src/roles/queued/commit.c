/* commit.c: the group: everything that waits for one commit.
 *
 *   a submit  inserts its rows at once, in the transaction that the first of the turn opened, and is answered when
 *             the commit at the end of the turn has returned;
 *   a result  is kept in memory and written right before a commit: with the next submits, or after results_wait_ms, or
 *             when results_max wait. If the commit fails it is written again with the next.
 *
 * When the store fails, submits are answered with a temporary error, results stay, and intake is closed for a second
 * at a time until a commit succeeds. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>

enum { PAUSE_MS = 1000 };

void group_begin(struct bh_queued *q)
{
    if (q->group.began)
        return;
    bh_store_begin(q->store);
    q->group.began = true;
}

void add_result(struct bh_queued *q, struct pending_result *result)
{
    struct group *g = &q->group;

    if (g->result_count++ == 0)
        g->results_since = now_of(q);
    bh_list_push(&g->results, &result->node);
    if (g->result_count >= q->options.results_max)
        q->options.ops->want_turn(q->options.ctx);
}

bh_time_ms group_due_at(const struct bh_queued *q)
{
    const struct group *g = &q->group;
    bh_time_ms at;

    if (!g->result_count && !g->began)
        return INT64_MAX;
    if (g->began || g->result_count >= q->options.results_max)
        at = 0;
    else
        at = g->results_since + q->options.results_wait_ms;
    return at > g->closed_until ? at : g->closed_until;
}

static void answer_submit(struct bh_queued *q, struct pending_submit *submit, bh_err err)
{
    struct bh_msg_submit_reply reply = {.ok = 1, .message_id = submit->content->row.id};

    if (err)
        reply = (struct bh_msg_submit_reply){
            .code = 452, .enhanced = BH_STR("4.3.1"), .reason = BH_STR("the mail system cannot store messages now")};
    q->options.ops->submit_reply(q->options.ctx, &submit->from, &reply);
}

void schedule_content(struct bh_queued *q, struct content *c, uint32_t recipient_count, bool has_file,
                      bh_time_ms send_at)
{
    struct bh_queue *queue = queue_for(q, c->row.destination);
    uint8_t flags = (uint8_t)((recipient_count == 1 ? BH_QUEUE_SOLE : 0) | (has_file ? ITEM_FILE : 0));

    for (uint32_t i = 0; i < recipient_count; i++) {
        char route[BH_QUEUE_ROUTE_MAX];
        struct bh_queue_item *item;
        struct bh_queue_entry entry = {.message = c->row.id,
                                       .idx = i,
                                       .customer = c->row.customer,
                                       .domain = (uint64_t)c->row.domain,
                                       .campaign = c->row.campaign,
                                       .next_at = send_at,
                                       .expires_at = c->row.expires_at,
                                       .flags = (uint8_t)(flags | (c->recipients[i].notify.n ? ITEM_NOTIFY : 0))};
        bh_err err = route_of(c->row.destination, c->recipients[i].address, route, &entry.route);

        if (!err)
            err = bh_queue_add(queue, &entry, c->row.accepted_at, &item);
        if (err) /* out of memory: it is safe in the store, and the next start finds it */
            bh_logf(q->options.log, BH_LOG_ERROR, "cannot schedule a recipient until the next start: %s",
                    bh_err_text(err));
    }
}

static void end_submit(struct bh_queued *q, struct pending_submit *submit, bh_err err)
{
    if (!submit->batch)
        answer_submit(q, submit, err);
    bh_list_remove(&submit->node);
    if (err) {
        q->stats.refused++;
        if (submit->has_file)
            body_file_unlink(&q->files, submit->content->row.id);
        content_free(submit->content);
    } else {
        q->stats.accepted++;
        schedule_content(q, submit->content, submit->recipient_count, submit->has_file, submit->send_at);
        if (submit->send_at > submit->content->row.accepted_at)
            content_free(submit->content); /* read again when its time has come */
        else
            contents_keep(&q->contents, submit->content);
    }
    free(submit);
}

static void send_acks(struct bh_queued *q)
{
    BH_LIST_EACH (node, &q->workers) {
        struct bh_worker *worker = BH_CONTAINER_OF(node, struct bh_worker, node);

        if (worker->acks.n) {
            bh_err err = q->options.ops->result_ack(q->options.ctx, worker->peer, bh_buf_view(&worker->acks));

            (void)err; /* a worker that is gone repeats its results */
            bh_buf_clear(&worker->acks);
        }
    }
}

static void close_intake(struct bh_queued *q, bh_err err)
{
    struct group *g = &q->group;
    bool told = g->closed_until != 0;

    (void)snprintf(g->why_closed, sizeof(g->why_closed), "%s: %s", bh_err_text(err), bh_store_error(q->store));
    g->closed_until = now_of(q) + PAUSE_MS;
    q->stats.failed_commits++;
    if (!told)
        bh_logf(q->options.log, BH_LOG_ERROR,
                "cannot commit to the spool (%s): nothing is accepted until it works again; nothing is lost",
                g->why_closed);
}

/* The log of events could not be written while it lasted, so both events stand in it from now on. */
static void tell_reopened(struct bh_queued *q)
{
    bh_str detail = BH_STR("{\"alarm\":\"spool-not-written\"}");

    bh_logf(q->options.log, BH_LOG_INFO, "the spool can be written again");
    group_begin(q);
    write_event(q, BH_EVENT_ALARM_RAISED, 0, BH_EVENT_WHOLE, 0, 0, bh_str_c(q->group.why_closed), detail);
    write_event(q, BH_EVENT_ALARM_CLEARED, 0, BH_EVENT_WHOLE, 0, 0, BH_STR("the spool can be written again"), detail);
    q->options.ops->want_turn(q->options.ctx);
}

static void committed(void *ctx, bh_err err)
{
    struct bh_queued *q = ctx;
    struct group *g = &q->group;
    bool reopened = !err && g->closed_until != 0;

    g->began = false;
    if (err)
        close_intake(q, err);
    else
        g->closed_until = 0;
    while (!bh_list_empty(&g->submits))
        end_submit(q, BH_LIST_HEAD(&g->submits, struct pending_submit, node), err);
    batches_committed(q, err);
    end_told_events(q, err);
    if (err)
        return;
    q->stats.commits++;
    if (q->feedback_seq && q->options.ops->feedback_news)
        q->options.ops->feedback_news(q->options.ctx, q->feedback_seq);
    q->feedback_seq = 0;
    policy_written(q);
    key_uses_written(q);
    while (!bh_list_empty(&g->results)) {
        struct pending_result *result = BH_CONTAINER_OF(bh_list_take(&g->results), struct pending_result, node);

        g->result_count--;
        apply_result(q, result);
        dsn_free(result->dsn);
        free(result);
    }
    send_acks(q);
    if (reopened)
        tell_reopened(q);
}

void group_flush(struct bh_queued *q)
{
    struct group *g = &q->group;
    bh_err err;

    send_acks(q); /* of results that were known already */
    if (group_due_at(q) > now_of(q))
        return;
    group_begin(q);
    BH_LIST_EACH (node, &g->results)
        write_result(q, BH_CONTAINER_OF(node, struct pending_result, node));
    policy_write(q);
    key_uses_write(q);
    err = body_files_sync(&q->files);
    if (err) {
        bh_store_rollback(q->store);
        committed(q, err);
        return;
    }
    bh_store_commit(q->store, committed, q);
}

void group_abandon(struct bh_queued *q, bh_err err)
{
    bh_store_rollback(q->store);
    committed(q, err);
}

void group_free(struct bh_queued *q)
{
    struct group *g = &q->group;

    if (g->began)
        bh_store_rollback(q->store);
    while (!bh_list_empty(&g->submits)) {
        struct pending_submit *submit = BH_CONTAINER_OF(bh_list_take(&g->submits), struct pending_submit, node);

        content_free(submit->content);
        free(submit);
    }
    forget_told_events(q);
    while (!bh_list_empty(&g->batches))
        free(BH_CONTAINER_OF(bh_list_take(&g->batches), struct batch, node));
    while (!bh_list_empty(&g->results)) {
        struct pending_result *result = BH_CONTAINER_OF(bh_list_take(&g->results), struct pending_result, node);

        dsn_free(result->dsn);
        free(result);
    }
}
