/* loop.h: the event loop of a role: file descriptors, timers, signals, and work at the end of a turn. A thin layer over
 * libevent, so that the rest of behalf names one loop, and so that libunbound can live on the same one.
 *
 * One thread, no locks. A *turn* is one round of waiting and calling back. What is deferred runs once at the end of the
 * turn in which it was asked for: that is how commits and writes are grouped.
 *
 * Watches, timers and deferred work are embedded in the caller's objects; they must be stopped before the object goes.
 */
#ifndef BH_IO_LOOP_H
#define BH_IO_LOOP_H

#include "base/list.h"
#include <behalf/types.h>

struct bh_loop;
struct event;
struct event_base;

enum { BH_READ = 1, BH_WRITE = 2 };

struct bh_watch {
    struct bh_loop *loop;
    struct event *event;
    int fd;
    unsigned wanted;
    void (*ready)(void *ctx, unsigned events); /* BH_READ and/or BH_WRITE */
    void *ctx;
};

struct bh_timer {
    struct event *event;
    void (*fired)(void *ctx);
    void *ctx;
};

struct bh_deferred {
    struct bh_list node;
    void (*run)(void *ctx);
    void *ctx;
};

/* NULL when the system refuses. */
struct bh_loop *bh_loop_new(void);
void bh_loop_free(struct bh_loop *loop);
/* Runs until bh_loop_stop. Returns 0, or BH_E_IO if waiting itself fails. */
BH_MUST bh_err bh_loop_run(struct bh_loop *loop);
/* Ends bh_loop_run at the end of this turn. */
void bh_loop_stop(struct bh_loop *loop);
/* One turn that waits at most `max_wait_ms` (-1: as long as it takes). For tests and blocking tools. */
void bh_loop_turn(struct bh_loop *loop, int max_wait_ms);

/* Wall clock at the beginning of this turn (ms since 1970), and a clock that never jumps, for intervals. */
bh_time_ms bh_loop_now(const struct bh_loop *loop);
bh_time_ms bh_loop_monotonic(const struct bh_loop *loop);
/* For libraries that bring their own events (libunbound). */
struct event_base *bh_loop_base(struct bh_loop *loop);

/* Begins to watch `fd` (not owned) for `events`. Level-triggered. BH_E_NOMEM. */
BH_MUST bh_err bh_watch_start(struct bh_loop *loop, struct bh_watch *watch, int fd, unsigned events,
                              void (*ready)(void *ctx, unsigned events), void *ctx);
/* Changes what is waited for; 0 waits for nothing. Cheap if nothing changes. */
void bh_watch_want(struct bh_watch *watch, unsigned events);
/* Stops and releases; a stopped or zeroed watch may be stopped again. */
void bh_watch_stop(struct bh_watch *watch);

/* Prepares a timer that is not running. BH_E_NOMEM. */
BH_MUST bh_err bh_timer_init(struct bh_loop *loop, struct bh_timer *timer, void (*fired)(void *ctx), void *ctx);
/* Fires once, `in_ms` from now (0: next turn); replaces an earlier setting. */
void bh_timer_set(struct bh_timer *timer, int64_t in_ms);
void bh_timer_clear(struct bh_timer *timer);
/* Releases it; a zeroed timer may be freed. */
void bh_timer_free(struct bh_timer *timer);

/* Prepares deferred work (once per object); then bh_loop_defer asks for it, as often as wanted: it runs once, at the
 * end of the turn. */
void bh_deferred_init(struct bh_deferred *deferred, void (*run)(void *ctx), void *ctx);
void bh_loop_defer(struct bh_loop *loop, struct bh_deferred *deferred);
void bh_deferred_cancel(struct bh_deferred *deferred);

/* Calls back in the loop when `signal_number` arrives. At most 8 signals; they live as long as the loop. */
BH_MUST bh_err bh_loop_on_signal(struct bh_loop *loop, int signal_number, void (*arrived)(void *ctx), void *ctx);

#endif
