/* result.c: what became of a delivery, from RESULT to rows, schedule and acknowledgement.
 *
 * A result counts once, however often it is told: it is dropped, and acknowledged, when its recipient is finished, when
 * that attempt is recorded already, or when another result for the recipient waits for its commit. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- the detail of an event: a small JSON object ---- */

static void json_text(struct bh_buf *out, const char *key, bh_str value)
{
    static const char hex[] = "0123456789abcdef";

    if (!value.n)
        return;
    bh_buf_add(out, out->n > 1 ? BH_STR(",\"") : BH_STR("\""));
    bh_buf_add(out, bh_str_c(key));
    bh_buf_add(out, BH_STR("\":\""));
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if (c == '"' || c == '\\') {
            bh_buf_char(out, '\\');
            bh_buf_char(out, (char)c);
        } else if (c < 0x20 || c >= 0x7f) { /* bytes of a stranger's reply: shown as Latin-1, always valid JSON */
            const char escape[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

            bh_buf_add(out, bh_str_of(escape, sizeof(escape)));
        } else {
            bh_buf_char(out, (char)c);
        }
    }
    bh_buf_char(out, '"');
}

static void json_number(struct bh_buf *out, const char *key, uint64_t value)
{
    bh_buf_printf(out, "%s\"%s\":%llu", out->n > 1 ? "," : "", key, (unsigned long long)value);
}

/* "12 15" as [12,15]; digits and blanks alone are let through. */
static void json_key_ids(struct bh_buf *out, bh_str ids)
{
    if (!ids.n)
        return;
    bh_buf_add(out, out->n > 1 ? BH_STR(",\"signed_keys\":[") : BH_STR("\"signed_keys\":["));
    for (size_t i = 0; i < ids.n; i++)
        bh_buf_char(out, bh_is_digit(ids.p[i]) ? ids.p[i] : ',');
    bh_buf_char(out, ']');
}

static void write_detail(struct bh_buf *out, const struct bh_msg_result *r, uint32_t attempt)
{
    bh_buf_char(out, '{');
    json_number(out, "attempt", attempt);
    json_text(out, "enhanced", r->enhanced);
    json_text(out, "remote", r->remote);
    json_text(out, "tls", r->tls);
    json_text(out, "policy", r->policy);
    json_text(out, "local", r->local);
    json_text(out, "trail", r->trail);
    json_text(out, "phase", r->phase);
    json_text(out, "signed_by", r->signed_by);
    json_key_ids(out, r->signed_keys);
    json_text(out, "mail_from", r->mail_from);
    json_text(out, "class", r->refusal_class);
    json_text(out, "reason", r->refusal_reason);
    if (r->took_ms)
        json_number(out, "took_ms", r->took_ms);
    bh_buf_char(out, '}');
}

/* ---- making a pending result ---- */

static struct bh_reply_facts reply_of(const struct bh_msg_result *r)
{
    return (struct bh_reply_facts){r->code, r->enhanced, r->text};
}

static enum bh_event_kind kind_of(struct bh_queued *q, const struct bh_queue *queue, const struct bh_queue_item *item,
                                  const struct bh_msg_result *result, uint32_t attempts, bh_time_ms *ret_next_at)
{
    uint8_t verdict = result->verdict;
    struct bh_reply_facts reply = reply_of(result);
    struct bh_retry_policy schedule;
    bh_str class;

    if (verdict == BH_DELIVERED)
        return queue == q->queues[BH_TO_STEWARD] ? BH_EVENT_FINISHED : BH_EVENT_DELIVERED;
    if (verdict == BH_BOUNCED)
        return BH_EVENT_BOUNCED;
    class = bh_shaping_class(q->policy.shaping, &reply);
    policy_schedule(q, bh_queue_customer(item), class.n ? class : result->refusal_reason, &schedule);
    return bh_retry_next(&schedule, attempts, now_of(q), bh_queue_expires_at(item), q->options.random, ret_next_at)
               ? BH_EVENT_DEFERRED
               : BH_EVENT_EXPIRED;
}

static struct pending_result *new_pending(struct bh_queue *queue, struct bh_queue_item *item, bh_str text,
                                          bh_str detail, bh_str events)
{
    struct pending_result *r;
    char *at;

    if (text.n > RESULT_TEXT_MAX)
        text.n = RESULT_TEXT_MAX;
    r = malloc(sizeof(*r) + text.n + detail.n + events.n);
    if (!r)
        return NULL;
    *r = (struct pending_result){.queue = queue,
                                 .item = item,
                                 .message = item->message,
                                 .idx = item->idx,
                                 .attempts = item->attempts,
                                 .sole = (item->flags & BH_QUEUE_SOLE) != 0,
                                 .customer = bh_queue_customer(item)};
    at = (char *)(r + 1);
    if (text.n)
        memcpy(at, text.p, text.n);
    r->text = bh_str_of(at, text.n);
    at += text.n;
    if (detail.n)
        memcpy(at, detail.p, detail.n);
    r->detail = bh_str_of(at, detail.n);
    at += detail.n;
    if (events.n)
        memcpy(at, events.p, events.n);
    r->events = bh_str_of(at, events.n);
    return r;
}

/* The item is taken; from here on its pending result holds it. */
static void hold(struct bh_queued *q, struct pending_result *r, const struct bh_msg_result *result)
{
    bh_queue_settle(r->queue, r->item);
    r->item->at.holder = r;
    if (!dsn_prepare(q, r, result ? result->enhanced : bh_str_of(NULL, 0), result ? result->remote : bh_str_of(NULL, 0),
                     add_result))
        add_result(q, r);
}

static bool phase_is_of(bh_str phase, const char *const *phases)
{
    for (; *phases; phases++)
        if (bh_str_eq_ci(phase, bh_str_c(*phases)))
            return true;
    return false;
}

/* What a result says about the site: once a transaction has begun, a refusal is about the message. */
static enum bh_site_outcome outcome_of(const struct bh_msg_result *r)
{
    static const char *const before[] = {"dns",  "connect", "connecting", "the greeting",
                                         "ehlo", "tls",     "starttls",   NULL};
    static const char *const after[] = {
        "mail", "rcpt", "data", "body", "mail from", "rcpt to", "sending the message", "end of data", NULL};

    if (r->verdict == BH_DELIVERED || (r->verdict == BH_BOUNCED && phase_is_of(r->phase, after)))
        return BH_SITE_WORKS;
    if (r->verdict == BH_DEFERRED && (r->code == 421 || phase_is_of(r->phase, before)))
        return BH_SITE_FAILS;
    return BH_SITE_NEUTRAL;
}

/* What the operator looks for when mail to a provider slows down. */
static void tell_advice(struct bh_queued *q, const struct bh_queue_item *item, enum bh_advice advice, int64_t for_ms,
                        const struct bh_msg_result *r)
{
    bh_logf(q->options.log, BH_LOG_WARN, "site %.*s asks for less (%u %.*s): %s from %.*s for %lld s",
            BH_FMT(bh_queue_site_name(item)), r->code, BH_FMT(bh_str_sub(r->text, 0, 100)),
            advice == BH_ADVICE_SUSPEND ? "nothing" : "half as much",
            BH_FMT(bh_queue_source(item).n ? bh_queue_source(item) : BH_STR("here")), (long long)(for_ms / 1000));
}

static void learn(struct bh_queued *q, struct bh_queue *queue, struct bh_queue_item *item,
                  const struct bh_msg_result *r)
{
    struct bh_reply_facts reply = reply_of(r);
    enum bh_advice advice = BH_ADVICE_NONE;
    int64_t for_ms = 0;

    if (r->code)
        policy_count_departure(q, item);
    bh_queue_learn(queue, item, outcome_of(r), now_of(q));
    if (r->verdict != BH_DELIVERED && r->code)
        advice = bh_shaping_advise(q->policy.shaping, bh_queue_site_name(item), &reply, &for_ms);
    if (advice == BH_ADVICE_NONE)
        return;
    tell_advice(q, item, advice, for_ms, r);
    if (advice == BH_ADVICE_SLOW)
        bh_queue_slow(queue, item, now_of(q), for_ms);
    else
        bh_queue_suspend(queue, item, now_of(q), for_ms);
}

static bh_err settle_taken(struct bh_queued *q, struct bh_worker *worker, struct bh_queue *queue,
                           struct bh_queue_item *item, const struct bh_msg_result *result)
{
    uint32_t attempt = attempt_of(result->delivery_id);
    struct bh_buf detail = bh_buf_make(16384);
    struct pending_result *r;

    write_detail(&detail, result, attempt);
    if (bh_buf_err(&detail))
        bh_buf_clear(&detail); /* far too long a text somewhere: the event goes without */
    r = new_pending(queue, item, result->text, bh_buf_view(&detail),
                    worker->serves == BH_TO_STEWARD ? result->events : bh_str_of(NULL, 0));
    bh_buf_free(&detail);
    if (!r)
        return BH_E_NOMEM;
    keys_used(q, result->signed_keys);
    r->worker = worker;
    r->delivery_id = result->delivery_id;
    r->attempts = attempt;
    r->code = result->code;
    r->kind = kind_of(q, queue, item, result, attempt, &r->next_at);
    learn(q, queue, item, result);
    hold(q, r, result);
    return BH_OK;
}

static void acknowledge(struct bh_queued *q, struct bh_worker *worker, uint64_t delivery_id, uint64_t message,
                        uint32_t idx)
{
    bh_rec_delivery_ref_put(&worker->acks, &(struct bh_rec_delivery_ref){delivery_id, message, idx});
    q->options.ops->want_turn(q->options.ctx);
}

/* A result whose delivery we do not know: from before a restart, or of a worker that we took for dead. */
static bh_err result_of_old(struct bh_queued *q, struct bh_worker *worker, const struct bh_msg_result *result)
{
    struct bh_queue *queue;
    struct bh_queue_item *item = find_item(q, result->message_id, result->recipient_index, &queue);
    bool counts;

    seen_delivery_id(q, result->delivery_id);
    counts = item && item->state != BH_QUEUE_SETTLED && item->attempts < attempt_of(result->delivery_id) &&
             queue == q->queues[worker->serves];

    if (item && item->state == BH_QUEUE_SETTLED) {
        struct pending_result *pending = item->at.holder;

        if (pending->delivery_id == result->delivery_id) { /* the same once more: answered when it is durable */
            pending->worker = worker;
            return BH_OK;
        }
    }
    if (counts && item->state == BH_QUEUE_TAKEN) { /* given to another meanwhile: a final word ends both */
        struct flight *other = item->at.holder;

        counts = result->verdict != BH_DEFERRED || !other->worker;
        if (!other->worker)
            flight_free(q, other);
        else if (counts)
            other->item = NULL;
    } else if (counts) {
        counts = bh_queue_take_item(queue, item) == BH_OK;
    }
    if (counts)
        return settle_taken(q, worker, queue, item, result);
    acknowledge(q, worker, result->delivery_id, result->message_id, result->recipient_index);
    return BH_OK;
}

bh_err bh_queued_result(struct bh_queued *q, struct bh_worker *worker, const struct bh_msg_result *result)
{
    struct bh_map_node *node = bh_map_get(&q->flights, id_key(&result->delivery_id));
    struct flight *flight = node ? BH_CONTAINER_OF(node, struct flight, by_id) : NULL;
    bh_err err = BH_OK;

    if (result->verdict < BH_DELIVERED || result->verdict > BH_BOUNCED || check_told_events(result->events))
        return BH_E_RANGE;
    if (!flight)
        return result_of_old(q, worker, result);
    if (flight->worker != worker)
        return BH_E_DENIED;
    if (!flight->item) {
        acknowledge(q, worker, result->delivery_id, result->message_id, result->recipient_index);
    } else if (flight->item->message != result->message_id || flight->item->idx != result->recipient_index) {
        return BH_E_DENIED;
    } else {
        err = settle_taken(q, worker, flight->queue, flight->item, result);
    }
    if (!err)
        flight_free(q, flight);
    return err;
}

/* ---- our own decisions ---- */

static void decide(struct bh_queued *q, struct bh_queue *queue, struct bh_queue_item *item, struct pending_result *r,
                   const struct bh_msg_result *result)
{
    if (r)
        hold(q, r, result);
    else if (bh_queue_defer(queue, item, item->attempts, now_of(q) + 60000) != BH_OK)
        bh_logf(q->options.log, BH_LOG_ERROR, "out of memory");
}

void refuse_flight(struct bh_queued *q, struct flight *flight, uint8_t verdict, bh_str enhanced, bh_str reason)
{
    struct bh_queue_item *item = flight->item;
    struct bh_queue *queue = flight->queue;
    struct bh_buf detail = bh_buf_make(8192);
    struct bh_msg_result as_result = {.verdict = verdict, .enhanced = enhanced, .phase = BH_STR("identity")};
    struct pending_result *r;

    write_detail(&detail, &as_result, flight->attempt);
    r = new_pending(queue, item, reason, bh_buf_view(&detail), bh_str_of(NULL, 0));
    bh_buf_free(&detail);
    if (r) {
        r->attempts = flight->attempt;
        r->code = verdict == BH_BOUNCED ? 550 : 451;
        r->kind = kind_of(q, queue, item, &as_result, flight->attempt, &r->next_at);
    }
    flight_free(q, flight);
    decide(q, queue, item, r, &as_result);
}

void hold_flight(struct bh_queued *q, struct flight *flight, struct identity *identity)
{
    enum { LOOK_AGAIN_MS = 3600 * 1000 }; /* what a lost notice of the change costs at most */
    struct bh_queue_item *item = flight->item;
    struct bh_queue *queue = flight->queue;
    struct bh_buf detail = bh_buf_make(8192);
    struct bh_msg_result as_result = {.verdict = BH_DEFERRED, .enhanced = identity->enhanced, .phase = BH_STR("held")};
    struct pending_result *r;

    write_detail(&detail, &as_result, item->attempts);
    r = new_pending(queue, item, identity->reason, bh_buf_view(&detail), bh_str_of(NULL, 0));
    bh_buf_free(&detail);
    if (r) {
        r->kind = BH_EVENT_DEFERRED;
        r->code = 451;
        r->next_at = now_of(q) + LOOK_AGAIN_MS;
    }
    identity_hold(identity, item);
    flight_free(q, flight);
    decide(q, queue, item, r, &as_result);
}

void end_flight(struct bh_queued *q, struct flight *flight, enum bh_event_kind kind, uint16_t code, bh_str text,
                bh_str detail)
{
    struct bh_queue_item *item = flight->item;
    struct bh_queue *queue = flight->queue;
    struct bh_msg_result as_result = {.verdict = BH_BOUNCED, .code = code, .text = text, .phase = BH_STR("policy")};
    struct pending_result *r = new_pending(queue, item, text, detail, bh_str_of(NULL, 0));

    if (r) {
        r->kind = kind;
        r->code = code;
    }
    flight_free(q, flight);
    decide(q, queue, item, r, &as_result);
}

void expire_item(struct bh_queued *q, struct bh_queue *queue, struct bh_queue_item *item)
{
    struct pending_result *r = new_pending(queue, item, BH_STR("the destination has not answered in all that time"),
                                           bh_str_of(NULL, 0), bh_str_of(NULL, 0));

    if (r) {
        r->kind = BH_EVENT_EXPIRED;
        r->code = 451;
    }
    decide(q, queue, item, r, &(struct bh_msg_result){.enhanced = BH_STR("4.4.7")});
}

bh_err drop_item(struct bh_queued *q, struct bh_queue *queue, struct bh_queue_item *item, enum bh_event_kind kind,
                 bh_str why)
{
    struct pending_result *r;

    if (item->state == BH_QUEUE_TAKEN || item->state == BH_QUEUE_SETTLED)
        return BH_E_BUSY;
    r = new_pending(queue, item, why, bh_str_of(NULL, 0), bh_str_of(NULL, 0));
    if (!r)
        return BH_E_NOMEM;
    r->kind = kind;
    if (bh_queue_take_item(queue, item) != BH_OK) {
        free(r);
        return BH_E_BUSY;
    }
    hold(q, r, NULL);
    return BH_OK;
}

/* ---- rows ---- */

void write_event(struct bh_queued *q, enum bh_event_kind kind, uint64_t message, int32_t idx, int64_t customer,
                 uint16_t code, bh_str text, bh_str detail)
{
    bh_time_ms now = now_of(q);
    int64_t seq = (int64_t)bh_id_next(&q->event_ids, now, NULL);

    bh_event_insert(q->store, &(struct bh_event_row){.seq = seq,
                                                     .at = now,
                                                     .kind = kind,
                                                     .message = message,
                                                     .idx = idx,
                                                     .customer = customer,
                                                     .code = code,
                                                     .text = text,
                                                     .detail = detail});
    note_feedback(q, kind, seq);
}

static enum bh_recipient_state state_after(enum bh_event_kind kind)
{
    if (kind == BH_EVENT_BOUNCED)
        return BH_RECIPIENT_BOUNCED;
    if (kind == BH_EVENT_EXPIRED)
        return BH_RECIPIENT_EXPIRED;
    if (kind == BH_EVENT_SUPPRESSED)
        return BH_RECIPIENT_SUPPRESSED;
    return kind == BH_EVENT_DROPPED || kind == BH_EVENT_CANCELLED ? BH_RECIPIENT_DROPPED : BH_RECIPIENT_DELIVERED;
}

static void see_if_last(void *ctx, const struct bh_result *result)
{
    ((struct pending_result *)ctx)->last = result->changed == 1;
}

void write_result(struct bh_queued *q, struct pending_result *r)
{
    if (r->kind == BH_EVENT_DEFERRED) {
        bh_recipient_defer(q->store, r->message, r->idx, r->attempts, r->next_at, r->code, r->text, NULL, NULL);
    } else {
        bh_recipient_finish(q->store, r->message, r->idx, state_after(r->kind), r->attempts, r->code, r->text,
                            now_of(q), NULL, NULL);
        if (r->sole) {
            bh_message_finish(q->store, r->message, now_of(q));
            r->last = true;
        } else {
            bh_message_finish_if_last(q->store, r->message, now_of(q), see_if_last, r);
        }
    }
    write_event(q, r->kind, r->message, (int32_t)r->idx, r->customer, r->code, r->text, r->detail);
    write_told_events(q, r->events);
    dsn_write(q, r);
}

static void count(struct bh_queued *q, enum bh_event_kind kind)
{
    q->stats.delivered += kind == BH_EVENT_DELIVERED || kind == BH_EVENT_FINISHED;
    q->stats.deferred += kind == BH_EVENT_DEFERRED;
    q->stats.bounced += kind == BH_EVENT_BOUNCED;
    q->stats.expired += kind == BH_EVENT_EXPIRED;
    q->stats.dropped += kind == BH_EVENT_DROPPED || kind == BH_EVENT_CANCELLED;
}

void apply_result(struct bh_queued *q, struct pending_result *r)
{
    if (r->worker)
        bh_rec_delivery_ref_put(&r->worker->acks, &(struct bh_rec_delivery_ref){r->delivery_id, r->message, r->idx});
    count(q, r->kind);
    dsn_schedule(q, r);
    if (r->kind == BH_EVENT_DEFERRED) {
        bh_err err = bh_queue_defer(r->queue, r->item, r->attempts, r->next_at);

        if (err)
            bh_logf(q->options.log, BH_LOG_ERROR, "out of memory: a deferred recipient is tried again at once");
        return;
    }
    if (r->last) {
        if (r->item->flags & ITEM_FILE)
            body_file_unlink(&q->files, r->message);
        contents_forget(&q->contents, r->message);
    }
    bh_queue_remove(r->queue, r->item);
}
