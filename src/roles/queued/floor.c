/* floor.c: intake closes before anything breaks: when the queue has as many recipients as it may, when it takes as much
 * memory, or when the file system of the spool is nearly full. What is queued goes on leaving, and needs room for its
 * results. The file system is asked once a second; what was accepted since then counts three times (the write-ahead
 * log, the database, and once for luck). It opens again when there is a twentieth more than needed. */
#include "internal.h"

enum { LOOK_EVERY_MS = 1000 };

static void look(struct bh_queued *q)
{
    struct floor *f = &q->floor;
    bh_time_ms now = now_of(q);

    if (f->looked_at && now < f->looked_at + LOOK_EVERY_MS && now >= f->looked_at)
        return;
    f->looked_at = now;
    f->taken_since = 0;
    f->free_bytes = q->options.ops->free_bytes ? q->options.ops->free_bytes(q->options.ctx) : UINT64_MAX;
}

static uint64_t with_margin(const struct floor *f, uint64_t limit, bool is_least)
{
    uint64_t margin = f->why ? limit / 20 : 0;

    return is_least ? limit + margin : limit - margin;
}

static const char *judge(struct bh_queued *q, uint64_t bytes)
{
    const struct bh_queued_options *o = &q->options;
    const struct floor *f = &q->floor;
    struct bh_queue_counts world, steward;
    uint64_t wanted = with_margin(f, o->min_free, true) + (f->taken_since + bytes) * 3;

    if (o->min_free && f->free_bytes != UINT64_MAX && f->free_bytes < wanted)
        return "the file system of the spool is nearly full";
    bh_queue_count(q->queues[BH_TO_WORLD], &world);
    bh_queue_count(q->queues[BH_TO_STEWARD], &steward);
    if (o->queue_max && world.items + steward.items >= with_margin(f, o->queue_max, false))
        return "the queue has as many recipients as it may (recipients-max)";
    if (o->memory_max && world.bytes + steward.bytes + q->contents.bytes >= with_margin(f, o->memory_max, false))
        return "the queue takes as much memory as it may (memory-max)";
    return NULL;
}

static void tell(struct bh_queued *q, const char *why)
{
    if (why)
        bh_logf(q->options.log, BH_LOG_ERROR, "intake is closed: %s; submissions are answered 452, nothing is lost",
                why);
    else
        bh_logf(q->options.log, BH_LOG_INFO, "intake is open again");
    if (q->group.closed_until > now_of(q))
        return; /* the store itself cannot be written; commit.c has told that */
    group_begin(q);
    write_event(q, why ? BH_EVENT_ALARM_RAISED : BH_EVENT_ALARM_CLEARED, 0, BH_EVENT_WHOLE, 0, 0,
                why ? bh_str_c(why) : BH_STR("intake is open again"), BH_STR("{\"alarm\":\"intake-closed\"}"));
    q->options.ops->want_turn(q->options.ctx);
}

bool floor_allows(struct bh_queued *q, uint64_t bytes)
{
    struct floor *f = &q->floor;
    const char *why;

    look(q);
    why = judge(q, bytes);
    if (!why != !f->why)
        tell(q, why);
    f->why = why;
    if (!why)
        f->taken_since += bytes;
    return !why;
}
