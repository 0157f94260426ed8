/* queue.h: which recipient is tried next: decisions in memory, no files, no clock.
 *
 * Every open recipient of the spool is one item of some 90 bytes with all its bookkeeping; bodies and addresses stay in
 * the store. An item is
 *   waiting   until its time, in the one timer heap;
 *   ready     in its *lane*, the queue of one (customer, route);
 *   taken     handed to whoever delivers;
 *   settled   its delivery has ended and the result waits to be durable, then it is removed or deferred;
 *   expired   its time is over and nobody holds it: bh_queue_take_expired gives it out.
 *
 * Lanes keep the customer's order, *sites* keep what a destination bears: a window of deliveries at once that grows by
 * one with each success and is halved when the site itself fails (no connection, 421 …), and a pause that doubles while
 * it goes on failing. Here a route (the recipient's domain) is its own site; several routes may come to share one.
 *
 * Fairness: of the customers that have something ready, the one with the fewest taken is served, then the one not
 * served for longest; inside a customer its lanes take turns, and at a full site the lanes of all customers do. The
 * last quarter of the slots is only for customers below an equal share, so a flood, or a destination that never
 * answers, leaves room for the others. */
#ifndef BH_QUEUE_QUEUE_H
#define BH_QUEUE_QUEUE_H

#include "base/heap.h"
#include "base/list.h"
#include "base/random.h"
#include "base/str.h"

enum {
    BH_QUEUE_ROUTE_MAX = 255,
    BH_QUEUE_SOLE = 1 /* flag: the message has no other recipient; the other bits are the caller's */
};

enum bh_queue_state { BH_QUEUE_WAITING, BH_QUEUE_READY, BH_QUEUE_TAKEN, BH_QUEUE_SETTLED, BH_QUEUE_EXPIRED };

struct bh_queue;
struct bh_lane;

struct bh_queue_item {
    union {
        struct bh_heap_node timer; /* waiting */
        struct bh_list node;       /* ready, expired */
        void *holder;              /* taken, settled: the holder's own */
    } at;
    struct bh_queue_item *hash_next;
    struct bh_lane *lane;
    uint64_t message;
    uint32_t idx;
    uint32_t expires_s; /* since 2024, see bh_queue_expires_at */
    uint16_t attempts;
    uint8_t state; /* enum bh_queue_state */
    uint8_t flags; /* BH_QUEUE_SOLE */
};

struct bh_queue_options {
    uint32_t window_start;  /* deliveries at once to a site nobody knows yet; 0: 16 */
    uint32_t window_max;    /* 0: 512 */
    uint32_t failures_max;  /* failures of a site in a row before it is paused; 0: 5 */
    uint32_t pause_first_s; /* 0: 30 */
    uint32_t pause_max_s;   /* 0: 1800 */
    uint64_t seed[2];       /* for hashing */
    struct bh_random *random;
};

struct bh_queue_entry {
    uint64_t message;
    uint32_t idx;
    uint32_t attempts;
    int64_t customer;
    bh_str route; /* at most BH_QUEUE_ROUTE_MAX bytes, in lower case */
    bh_time_ms next_at;
    bh_time_ms expires_at;
    uint8_t flags;
};

/* NULL: out of memory. The caller owns it; `random` must outlive it. */
struct bh_queue *bh_queue_new(const struct bh_queue_options *options);
void bh_queue_free(struct bh_queue *queue);

/* Adds a recipient, ready at once if next_at <= now. The item is the queue's, valid until bh_queue_remove. BH_E_EXISTS
 * (message, idx) is in; BH_E_LIMIT route too long; BH_E_NOMEM. */
BH_MUST bh_err bh_queue_add(struct bh_queue *queue, const struct bh_queue_entry *entry, bh_time_ms now,
                            struct bh_queue_item **ret_item);
/* The item, or NULL. */
struct bh_queue_item *bh_queue_find(const struct bh_queue *queue, uint64_t message, uint32_t idx);
int64_t bh_queue_customer(const struct bh_queue_item *item);
bh_str bh_queue_route(const struct bh_queue_item *item);
bh_time_ms bh_queue_expires_at(const struct bh_queue_item *item);

/* Makes ready what is due and opens sites whose pause is over. */
void bh_queue_advance(struct bh_queue *queue, bh_time_ms now);
/* When bh_queue_advance has something to do next; INT64_MAX: never. */
bh_time_ms bh_queue_next_at(const struct bh_queue *queue);

/* The item to deliver next, now taken; NULL: none may go now. `slots`: how many can be taken in all. */
struct bh_queue_item *bh_queue_take(struct bh_queue *queue, size_t slots);
/* An expired item, now taken; NULL: none. */
struct bh_queue_item *bh_queue_take_expired(struct bh_queue *queue);
/* Takes this one out of turn (a sender reports that it works on it). BH_E_BUSY: it is taken or settled. */
BH_MUST bh_err bh_queue_take_item(struct bh_queue *queue, struct bh_queue_item *item);

/* The delivery of a taken item has ended: it no longer counts against site, customer and slots. */
void bh_queue_settle(struct bh_queue *queue, struct bh_queue_item *item);
/* What follows for a taken or settled item: back to the front of its lane (its holder died) … */
void bh_queue_put_back(struct bh_queue *queue, struct bh_queue_item *item);
/* … or waiting until next_at with that many attempts (or EXPIRED if that is past its end). BH_E_NOMEM: it is ready
 * instead. */
BH_MUST bh_err bh_queue_defer(struct bh_queue *queue, struct bh_queue_item *item, uint32_t attempts,
                              bh_time_ms next_at);
/* Forgets an item in any state. */
void bh_queue_remove(struct bh_queue *queue, struct bh_queue_item *item);
/* A waiting item becomes ready now; others stay as they are. */
void bh_queue_hurry(struct bh_queue *queue, struct bh_queue_item *item);

/* What a delivery taught about the site of a taken item. */
enum bh_site_outcome { BH_SITE_WORKS, BH_SITE_FAILS, BH_SITE_NEUTRAL };
void bh_queue_learn(struct bh_queue *queue, struct bh_queue_item *item, enum bh_site_outcome outcome, bh_time_ms now);

struct bh_queue_counts {
    size_t items, waiting, ready, taken, settled, expired, lanes, sites, paused_sites, customers;
    size_t bytes; /* memory taken, all told */
};
void bh_queue_count(const struct bh_queue *queue, struct bh_queue_counts *ret_counts);

#endif
