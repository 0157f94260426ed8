/* event_in.c: events that other roles tell: EVENT, and those that come with the result of a lease.
 *
 * Told twice with one key they count once. One that names a message changes that message's recipient, too: a bounce
 * that comes after the delivery makes it bounced. It must be the customer's own message; if it is not, nothing is
 * written. */
#include "internal.h"
#include "store/event.h"
#include <stdlib.h>

enum { KEY_MAX = 100, DETAIL_MAX = 64 * 1024, EVENTS_AT_ONCE_MAX = 20000 };

struct pending_event {
    struct bh_list node;
    struct bh_requester from;
};

static bool is_sound(const struct bh_rec_told_event *e)
{
    return e->key.n && e->key.n <= KEY_MAX && e->text.n <= BH_SUBMIT_TEXT_MAX && e->detail.n <= DETAIL_MAX &&
           e->message_id <= INT64_MAX && *bh_event_kind_name((enum bh_event_kind)e->kind) != '?';
}

static void write_one(struct bh_queued *q, const struct bh_rec_told_event *e)
{
    bh_time_ms now = now_of(q);
    bool whole = e->recipient_index == UINT32_MAX;

    bh_event_insert_told(q->store,
                         &(struct bh_event_row){.seq = (int64_t)bh_id_next(&q->event_ids, now, NULL),
                                                .at = e->at > 0 && e->at < now ? e->at : now,
                                                .kind = (enum bh_event_kind)e->kind,
                                                .message = e->message_id,
                                                .idx = whole ? BH_EVENT_WHOLE : (int32_t)e->recipient_index,
                                                .customer = e->customer_id,
                                                .code = e->code,
                                                .text = e->text,
                                                .detail = e->detail,
                                                .domain = e->domain_id,
                                                .key = e->key},
                         NULL, NULL);
    note_feedback(q, (enum bh_event_kind)e->kind, (int64_t)q->event_ids.last);
    if (e->kind == BH_EVENT_BOUNCED && e->message_id && !whole)
        bh_recipient_bounced_later(q->store, e->message_id, e->recipient_index, e->customer_id, e->code, e->text);
}

void note_feedback(struct bh_queued *q, enum bh_event_kind kind, int64_t seq)
{
    if (kind == BH_EVENT_BOUNCED || kind == BH_EVENT_COMPLAINED || kind == BH_EVENT_UNSUBSCRIBED ||
        kind == BH_EVENT_AUTH_REPORTED)
        q->feedback_seq = seq;
}

bh_err check_told_events(bh_str events)
{
    struct bh_cur list = bh_cur_make(events);
    struct bh_rec_told_event e;
    size_t count = 0;
    bh_err err;

    while ((err = bh_rec_told_event_next(&list, &e)) == BH_MORE)
        if (!is_sound(&e) || ++count > EVENTS_AT_ONCE_MAX)
            return BH_E_SYNTAX;
    return err == BH_DONE ? BH_OK : BH_E_SYNTAX;
}

void write_told_events(struct bh_queued *q, bh_str events)
{
    struct bh_cur list = bh_cur_make(events);
    struct bh_rec_told_event e;

    while (bh_rec_told_event_next(&list, &e) == BH_MORE)
        write_one(q, &e);
}

static void answer(struct bh_queued *q, const struct bh_requester *to, bool ok)
{
    q->options.ops->event_reply(q->options.ctx, to, ok);
}

bh_err bh_queued_event(struct bh_queued *q, const struct bh_requester *from, bh_str events)
{
    struct pending_event *pending;
    bh_err err = check_told_events(events);

    if (err)
        return err;
    pending = q->draining || q->group.closed_until > now_of(q) ? NULL : malloc(sizeof(*pending));
    if (!pending) {
        answer(q, from, false);
        return BH_OK;
    }
    pending->from = *from;
    group_begin(q);
    write_told_events(q, events);
    bh_list_push(&q->group.events, &pending->node);
    q->options.ops->want_turn(q->options.ctx);
    return BH_OK;
}

void end_told_events(struct bh_queued *q, bh_err err)
{
    while (!bh_list_empty(&q->group.events)) {
        struct pending_event *pending = BH_CONTAINER_OF(bh_list_take(&q->group.events), struct pending_event, node);

        answer(q, &pending->from, !err);
        free(pending);
    }
}

void forget_told_events(struct bh_queued *q)
{
    while (!bh_list_empty(&q->group.events))
        free(BH_CONTAINER_OF(bh_list_take(&q->group.events), struct pending_event, node));
}
