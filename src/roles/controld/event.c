/* event.c: what controld tells the event log.
 *
 * An event is a row of event_out, written in the transaction of what it tells of, and deleted when queued has committed
 * it. One message is under way at a time, so the order stays; a queued that was away, or died before it answered, is
 * told again, and counts what it knows already once, by the key. */
#include "base/text.h"
#include "core.h"

enum { AT_ONCE = 100, KEY_RANDOM_BYTES = 16, DETAIL_MAX = 60 * 1024, MESSAGE_BYTES_MAX = 900 * 1024 };

static void make_key(struct bh_controld *core, struct bh_buf *out)
{
    uint8_t random[KEY_RANDOM_BYTES];

    bh_random_fill(core->random, random, sizeof(random));
    bh_buf_add(out, BH_STR("c-"));
    bh_base32_encode(out, bh_str_of((const char *)random, sizeof(random)));
}

void bh_controld_event(struct bh_controld *core, enum bh_event_kind type, int64_t customer, int64_t domain,
                       json_t *detail)
{
    struct bh_buf key = bh_buf_make(100);
    char *text = detail ? json_dumps(detail, JSON_COMPACT) : NULL;
    bool fits = text && strlen(text) <= DETAIL_MAX;
    struct bh_event_out event = {.kind = (int)type,
                                 .at = bh_controld_now(core),
                                 .customer = customer,
                                 .domain = domain,
                                 .detail = fits ? bh_str_c(text) : BH_STR("")};

    make_key(core, &key);
    event.key = bh_buf_view(&key);
    if (bh_buf_err(&key) || bh_event_out_insert(core->store, &event))
        core->out->log(core->out_ctx, BH_LOG_ERROR, "an event cannot be stored", bh_str_c(bh_event_kind_name(type)));
    bh_buf_free(&key);
    free(text);
    json_decref(detail);
    core->events_waiting = true;
    core->out->settle(core->out_ctx);
}

struct batch {
    struct bh_buf list;
    int64_t last;
    bool full;
};

static void add_to_batch(void *ctx, const struct bh_event_out *e)
{
    struct batch *batch = ctx;

    if (batch->full || batch->list.n + e->detail.n > MESSAGE_BYTES_MAX) {
        batch->full = true;
        return;
    }
    bh_rec_told_event_put(&batch->list, &(struct bh_rec_told_event){.key = e->key,
                                                                    .kind = (uint16_t)e->kind,
                                                                    .at = e->at,
                                                                    .customer_id = (uint32_t)e->customer,
                                                                    .domain_id = (uint32_t)e->domain,
                                                                    .recipient_index = UINT32_MAX,
                                                                    .text = {"", 0},
                                                                    .detail = e->detail});
    batch->last = e->id;
}

static void told(void *ctx, bh_err err)
{
    struct bh_controld *core = ctx;

    core->events_under_way = false;
    if (err) /* with the next event, wake or connection */
        return;
    if (bh_event_out_delete(core->store, core->events_told)) {
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot forget an event that was told", bh_str_of(NULL, 0));
        return;
    }
    core->events_waiting = true; /* perhaps more came meanwhile */
    core->out->settle(core->out_ctx);
}

void bh_controld_tell_events(struct bh_controld *core)
{
    struct batch batch = {.list = bh_buf_make(1 << 20)};
    bh_err err;

    if (core->events_under_way || !core->events_waiting || !core->out->tell_events)
        return;
    err = bh_event_out_list(core->store, 0, AT_ONCE, add_to_batch, &batch);
    if (!err)
        err = bh_buf_err(&batch.list);
    if (!err && batch.list.n) {
        core->events_told = batch.last;
        core->events_under_way = true;
        err = core->out->tell_events(core->out_ctx, bh_buf_view(&batch.list), told, core);
        if (err)
            core->events_under_way = false;
    }
    core->events_waiting = err || core->events_under_way;
    bh_buf_free(&batch.list);
}
