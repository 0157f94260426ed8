/* queue.h: which recipient is tried next, and from which address: decisions in memory, no files, no clock.
 *
 * Every open recipient of the spool is one item of 64 bytes and its share of the tables; bodies and addresses stay in
 * the store. An item is
 *   waiting   until its time, in the one timer heap;
 *   ready     in its *lane*, the scheduled queue of one (customer, campaign, sending domain, destination domain);
 *   held      by the operator, until it is released; time does not end it;
 *   taken     promoted to its *path*, the ready queue of one (source address, site), and in hand;
 *   settled   its delivery has ended and the result waits to be durable, then it is removed or deferred;
 *   expired   its time is over and nobody holds it: bh_queue_take_expired gives it out.
 *
 * Two stages. Lanes keep order and the customer's policy (time, hold). A *site* is who answers for a destination: all
 * domains with the same mail exchangers, or all of one provider; a route (destination domain) is its own site until
 * bh_queue_site tells better. Paths keep what a site bears from one source: a window of deliveries at once that grows
 * by one with each success and is halved when the site fails, a pause that doubles while it goes on failing, a rate, a
 * day's quota. A path is bounded by its window: an item is promoted only when there is room, so nothing is ever given
 * back for want of it, and turns are decided at that moment. Between them stands a *track* for each (set of sources,
 * site): where lanes wait that may use the same paths, so that a completion costs the same with one customer or a
 * thousand waiting for the same provider.
 *
 * Fairness: of the customers that have something ready, the one with the fewest taken is served, then the one not
 * served for longest; inside a customer its lanes take turns, and at a full site the lanes of all customers do. The
 * last quarter of the slots is only for customers below an equal share, so a flood, or a destination that never
 * answers, leaves room for the others.
 *
 * One heap holds every time: of items and of closed paths. A lane without items does not exist; one whose items wait
 * costs nothing until the first is due. */
#ifndef BH_QUEUE_QUEUE_H
#define BH_QUEUE_QUEUE_H

#include "base/heap.h"
#include "base/list.h"
#include "base/random.h"
#include "base/str.h"

enum {
    BH_QUEUE_ROUTE_MAX = 255,   /* also of a site's name */
    BH_QUEUE_CAMPAIGN_MAX = 64, /* bytes */
    BH_QUEUE_SOURCES_MAX = 64,  /* of one sending domain */
    BH_QUEUE_SOURCE_MAX = 400,  /* bytes of a source's name */
    BH_QUEUE_SOLE = 1,          /* flag: the message has no other recipient */
    BH_QUEUE_HOLD = 128         /* flag: held, now or when whoever has it gives it back; other bits are the caller's */
};

enum bh_queue_state {
    BH_QUEUE_WAITING,
    BH_QUEUE_READY,
    BH_QUEUE_HELD,
    BH_QUEUE_TAKEN,
    BH_QUEUE_SETTLED,
    BH_QUEUE_EXPIRED
};

struct bh_queue;
struct bh_lane;
struct bh_path;

struct bh_queue_item {
    union {
        struct bh_heap_node timer; /* waiting */
        struct bh_list node;       /* ready, expired */
        void *holder;              /* taken, settled: the holder's own */
    } at;
    struct bh_queue_item *hash_next;
    struct bh_lane *lane;
    struct bh_path *path; /* taken, settled */
    uint64_t message;
    uint32_t idx;
    uint32_t expires_s; /* since 2024, see bh_queue_expires_at */
    uint16_t attempts;
    uint8_t state; /* enum bh_queue_state */
    uint8_t flags; /* BH_QUEUE_SOLE */
};

/* What a site bears from one source. 0 means the default of bh_queue_options, or no limit where there is none. */
struct bh_shape {
    uint32_t connections;             /* at once, per sender process: told to it, not used here */
    uint32_t messages_per_connection; /* the same */
    uint32_t window_start;            /* deliveries in hand while nothing is known yet */
    uint32_t window_max;              /* deliveries in hand at most */
    uint32_t failures_max;            /* failures in a row before a pause */
    uint32_t pause_first_s, pause_max_s;
    uint32_t rate_count;        /* so many deliveries … */
    uint32_t rate_s;            /* … in so many seconds */
    bh_time_ms suspended_until; /* by the operator; INT64_MAX: until resumed */
};

/* How many deliveries a source may still make to a site before `until`, when it is asked again. */
struct bh_quota {
    uint64_t left; /* UINT64_MAX: no limit */
    bh_time_ms until;
};

/* What the owner knows and the queue asks for; NULL members: nothing. Called from inside, must not call back. */
struct bh_queue_knowledge {
    /* `shape` holds the defaults already. */
    void (*shape)(void *ctx, bh_str site, struct bh_shape *shape);
    void (*quota)(void *ctx, bh_str source, bh_str site, bh_time_ms now, struct bh_quota *quota);
    bool (*is_held)(void *ctx, int64_t customer, bh_str campaign, bh_str route);
    /* The site of a route that is known without asking DNS: writes it to `site` (BH_QUEUE_ROUTE_MAX bytes) and returns
     * its length, or 0. */
    size_t (*site_of)(void *ctx, bh_str route, char *site);
    void *ctx;
};

struct bh_queue_options {
    uint32_t window_start;  /* deliveries at once to a site nobody knows yet; 0: 16 */
    uint32_t window_max;    /* 0: 512 */
    uint32_t failures_max;  /* failures of a site in a row before it is paused; 0: 5 */
    uint32_t pause_first_s; /* 0: 30 */
    uint32_t pause_max_s;   /* 0: 1800 */
    uint64_t seed[2];       /* for hashing */
    struct bh_random *random;
    struct bh_queue_knowledge knowledge;
};

struct bh_queue_entry {
    uint64_t message;
    uint32_t idx;
    uint32_t attempts;
    int64_t customer;
    uint64_t domain; /* the sending domain: its sources are used (bh_queue_sources) */
    bh_str campaign; /* at most BH_QUEUE_CAMPAIGN_MAX bytes */
    bh_str route;    /* at most BH_QUEUE_ROUTE_MAX bytes, in lower case */
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
bh_str bh_queue_campaign(const struct bh_queue_item *item);
uint64_t bh_queue_domain(const struct bh_queue_item *item);
/* Where its route leads, as far as known. */
bh_str bh_queue_site_name(const struct bh_queue_item *item);
const struct bh_shape *bh_queue_shape(const struct bh_queue_item *item);
/* The source chosen for a taken item: a name given to bh_queue_sources, or empty while none is known. */
bh_str bh_queue_source(const struct bh_queue_item *item);
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
/* Held until released, now or, if it is taken, when it comes back. */
void bh_queue_hold_item(struct bh_queue *queue, struct bh_queue_item *item);
/* Ready, if it was held. */
void bh_queue_release_item(struct bh_queue *queue, struct bh_queue_item *item);
/* What is_held says may have changed: every lane is asked for again. */
void bh_queue_holds_changed(struct bh_queue *queue);
/* A waiting item becomes ready now; others stay as they are. */
void bh_queue_hurry(struct bh_queue *queue, struct bh_queue_item *item);

/* What a delivery taught about the path of a taken item. */
enum bh_site_outcome { BH_SITE_WORKS, BH_SITE_FAILS, BH_SITE_NEUTRAL };
void bh_queue_learn(struct bh_queue *queue, struct bh_queue_item *item, enum bh_site_outcome outcome, bh_time_ms now);
/* The same where the site said how it wants to be treated: half of the window, which does not grow for so long … */
void bh_queue_slow(struct bh_queue *queue, struct bh_queue_item *item, bh_time_ms now, int64_t for_ms);
/* … or nothing at all from this source for so long, then one scout. */
void bh_queue_suspend(struct bh_queue *queue, struct bh_queue_item *item, bh_time_ms now, int64_t for_ms);

/* The site of a route, as its mail exchangers tell: its lanes move. Unknown routes are not remembered. BH_E_LIMIT a
 * name too long; BH_E_NOMEM: all stays as it was. */
BH_MUST bh_err bh_queue_site(struct bh_queue *queue, bh_str route, bh_str site);
/* What `shape` says about a site (an empty name: any) may have changed. */
void bh_queue_shapes_changed(struct bh_queue *queue, bh_str site);
/* The same for quotas. */
void bh_queue_quotas_changed(struct bh_queue *queue);

struct bh_queue_source {
    bh_str name;     /* at most BH_QUEUE_SOURCE_MAX bytes */
    uint32_t weight; /* 0 counts as 1 */
};
/* The sources that a sending domain's mail leaves from; before the first call one without a name. What is taken keeps
 * its own. More than BH_QUEUE_SOURCES_MAX are cut. BH_E_NOMEM: all stays as it was. */
BH_MUST bh_err bh_queue_sources(struct bh_queue *queue, uint64_t domain, const struct bh_queue_source *sources,
                                size_t count);

struct bh_queue_counts {
    size_t items, waiting, ready, held, taken, settled, expired;
    size_t lanes, sites, paths, customers;
    size_t paused_sites; /* paths that are closed because the site failed or asked for it */
    size_t bytes;        /* memory taken, all told */
};
void bh_queue_count(const struct bh_queue *queue, struct bh_queue_counts *ret_counts);

/* Why nothing is promoted to a path just now. */
enum bh_path_state { BH_PATH_OPEN, BH_PATH_PAUSED, BH_PATH_RATE, BH_PATH_QUOTA, BH_PATH_SUSPENDED };
/* "open", "paused" … Static. */
const char *bh_path_state_name(enum bh_path_state state);
struct bh_path_view {
    bh_str site, source;
    enum bh_path_state state;
    bh_time_ms until; /* of a closed one */
    bool is_slow;     /* the window does not grow for a while */
    size_t taken, window, failures;
    uint64_t quota_left; /* UINT64_MAX: none */
    const struct bh_shape *shape;
};
/* All paths that exist, in no order; those of one site if `site` is not empty. */
void bh_queue_paths(const struct bh_queue *queue, bh_str site, void (*each)(void *ctx, const struct bh_path_view *path),
                    void *ctx);

#endif
