/* loop.c: libevent underneath. Turns are driven by us (EVLOOP_ONCE), since libevent 2.1 has no hook for their end. */
#include "loop.h"
#include "base/clock.h"
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

enum { SIGNALS_MAX = 8 };

struct signal_handler {
    struct event *event;
    void (*arrived)(void *ctx);
    void *ctx;
};

struct bh_loop {
    struct event_base *base;
    struct bh_list deferred;
    bool stopped;
    bh_time_ms now;
    bh_time_ms monotonic;
    struct event *wait_limit;
    struct signal_handler signals[SIGNALS_MAX];
    size_t signal_count;
};

static void read_clocks(struct bh_loop *loop)
{
    loop->now = bh_clock_now();
    loop->monotonic = bh_clock_monotonic();
}

static void do_nothing(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

struct bh_loop *bh_loop_new(void)
{
    struct bh_loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return NULL;
    bh_list_init(&loop->deferred);
    loop->base = event_base_new();
    loop->wait_limit = loop->base ? event_new(loop->base, -1, 0, do_nothing, NULL) : NULL;
    if (!loop->wait_limit) {
        bh_loop_free(loop);
        return NULL;
    }
    read_clocks(loop);
    return loop;
}

void bh_loop_free(struct bh_loop *loop)
{
    if (!loop)
        return;
    for (size_t i = 0; i < loop->signal_count; i++)
        event_free(loop->signals[i].event);
    if (loop->wait_limit)
        event_free(loop->wait_limit);
    if (loop->base)
        event_base_free(loop->base);
    free(loop);
}

/* Only what was deferred before this point runs: work that defers itself again waits for the next turn. */
static void run_deferred(struct bh_loop *loop)
{
    struct bh_list batch;

    if (bh_list_empty(&loop->deferred))
        return;
    batch = loop->deferred;
    batch.next->prev = batch.prev->next = &batch;
    bh_list_init(&loop->deferred);
    for (struct bh_list *node; (node = bh_list_pop(&batch));) {
        struct bh_deferred *deferred = BH_CONTAINER_OF(node, struct bh_deferred, node);

        deferred->run(deferred->ctx);
    }
}

static bh_err turn(struct bh_loop *loop)
{
    int flags = EVLOOP_ONCE | (bh_list_empty(&loop->deferred) ? 0 : EVLOOP_NONBLOCK);

    if (event_base_loop(loop->base, flags) < 0)
        return BH_E_IO;
    read_clocks(loop);
    run_deferred(loop);
    return BH_OK;
}

bh_err bh_loop_run(struct bh_loop *loop)
{
    bh_err err = BH_OK;

    loop->stopped = false;
    while (!loop->stopped && !err)
        err = turn(loop);
    return err;
}

void bh_loop_stop(struct bh_loop *loop)
{
    loop->stopped = true;
}

void bh_loop_turn(struct bh_loop *loop, int max_wait_ms)
{
    struct timeval limit = {max_wait_ms / 1000, (max_wait_ms % 1000) * 1000};

    if (max_wait_ms >= 0)
        (void)event_add(loop->wait_limit, &limit);
    (void)turn(loop);
    (void)event_del(loop->wait_limit);
}

bh_time_ms bh_loop_now(const struct bh_loop *loop)
{
    return loop->now;
}

bh_time_ms bh_loop_monotonic(const struct bh_loop *loop)
{
    return loop->monotonic;
}

struct event_base *bh_loop_base(struct bh_loop *loop)
{
    return loop->base;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct bh_watch *watch = arg;

    (void)fd;
    read_clocks(watch->loop);
    watch->ready(watch->ctx, (what & EV_READ ? (unsigned)BH_READ : 0u) | (what & EV_WRITE ? (unsigned)BH_WRITE : 0u));
}

static short libevent_flags(unsigned events)
{
    int flags = EV_PERSIST | (events & BH_READ ? EV_READ : 0) | (events & BH_WRITE ? EV_WRITE : 0);

    return (short)flags;
}

bh_err bh_watch_start(struct bh_loop *loop, struct bh_watch *watch, int fd, unsigned events,
                      void (*ready)(void *ctx, unsigned events), void *ctx)
{
    *watch = (struct bh_watch){loop, NULL, fd, events, ready, ctx};
    watch->event = event_new(loop->base, fd, libevent_flags(events), on_ready, watch);
    if (!watch->event)
        return BH_E_NOMEM;
    if (events && event_add(watch->event, NULL) != 0) {
        bh_watch_stop(watch);
        return BH_E_NOMEM;
    }
    return BH_OK;
}

void bh_watch_want(struct bh_watch *watch, unsigned events)
{
    if (!watch->event || watch->wanted == events)
        return;
    watch->wanted = events;
    (void)event_del(watch->event);
    if (!events)
        return;
    (void)event_assign(watch->event, watch->loop->base, watch->fd, libevent_flags(events), on_ready, watch);
    (void)event_add(watch->event, NULL);
}

void bh_watch_stop(struct bh_watch *watch)
{
    if (watch->event)
        event_free(watch->event);
    watch->event = NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct bh_timer *timer = arg;

    (void)fd, (void)what;
    timer->fired(timer->ctx);
}

bh_err bh_timer_init(struct bh_loop *loop, struct bh_timer *timer, void (*fired)(void *ctx), void *ctx)
{
    *timer = (struct bh_timer){event_new(loop->base, -1, 0, on_timer, timer), fired, ctx};
    return timer->event ? BH_OK : BH_E_NOMEM;
}

void bh_timer_set(struct bh_timer *timer, int64_t in_ms)
{
    struct timeval in;

    if (in_ms < 0)
        in_ms = 0;
    in = (struct timeval){in_ms / 1000, in_ms % 1000 * 1000};
    if (timer->event)
        (void)event_add(timer->event, &in);
}

void bh_timer_clear(struct bh_timer *timer)
{
    if (timer->event)
        (void)event_del(timer->event);
}

void bh_timer_free(struct bh_timer *timer)
{
    if (timer->event)
        event_free(timer->event);
    timer->event = NULL;
}

void bh_deferred_init(struct bh_deferred *deferred, void (*run)(void *ctx), void *ctx)
{
    bh_list_init(&deferred->node);
    deferred->run = run;
    deferred->ctx = ctx;
}

void bh_loop_defer(struct bh_loop *loop, struct bh_deferred *deferred)
{
    if (bh_list_empty(&deferred->node))
        bh_list_push(&loop->deferred, &deferred->node);
}

void bh_deferred_cancel(struct bh_deferred *deferred)
{
    if (deferred->node.next)
        bh_list_remove(&deferred->node);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    struct signal_handler *handler = arg;

    (void)fd, (void)what;
    handler->arrived(handler->ctx);
}

bh_err bh_loop_on_signal(struct bh_loop *loop, int signal_number, void (*arrived)(void *ctx), void *ctx)
{
    struct signal_handler *handler = &loop->signals[loop->signal_count];

    if (loop->signal_count == SIGNALS_MAX)
        return BH_E_LIMIT;
    *handler = (struct signal_handler){NULL, arrived, ctx};
    handler->event = evsignal_new(loop->base, signal_number, on_signal, handler);
    if (!handler->event || event_add(handler->event, NULL) != 0) {
        if (handler->event)
            event_free(handler->event);
        return BH_E_NOMEM;
    }
    loop->signal_count++;
    return BH_OK;
}
