/* internal.h: what queue.c, lane.c and item.c share. */
#ifndef BH_QUEUE_INTERNAL_H
#define BH_QUEUE_INTERNAL_H

#include "base/map.h"
#include "queue.h"

enum { SLAB_ITEMS = 256, IDLE_SITES_MAX = 4096 };

struct bh_site {
    struct bh_map_node by_route;
    struct bh_list lanes;   /* all of this site, by lane.of_site */
    struct bh_list blocked; /* those with something ready that must wait for room, by lane.turn */
    struct bh_list idle;    /* in queue.idle_sites while it has no lane */
    struct bh_heap_node pause;
    size_t taken;
    size_t eligible; /* lanes in their customers' rotations */
    uint32_t window;
    uint32_t failures; /* in a row */
    int64_t pause_ms;  /* the last pause; 0: none since it last worked */
    bool paused;
    size_t route_bytes;
    char route[];
};

struct bh_queue_customer {
    struct bh_map_node by_id;
    struct bh_heap_node turn; /* in queue.customers_ready while `rotation` is not empty */
    struct bh_list rotation;  /* lanes that may go now, by lane.turn */
    int64_t id;
    size_t taken;
    size_t lane_count;
};

enum lane_state { LANE_IDLE, LANE_ELIGIBLE, LANE_BLOCKED };

struct lane_key {
    const struct bh_queue_customer *customer;
    const struct bh_site *site;
};

struct bh_lane {
    struct bh_map_node by_key;
    struct lane_key key;
    struct bh_queue_customer *customer;
    struct bh_site *site;
    struct bh_list ready; /* items */
    struct bh_list turn;  /* in customer.rotation or site.blocked */
    struct bh_list of_site;
    size_t item_count;
    enum lane_state state;
};

struct slab {
    struct slab *next;
    struct bh_queue_item items[SLAB_ITEMS];
};

struct bh_queue {
    struct bh_queue_options options;
    /* items */
    struct slab *slabs;
    struct bh_queue_item *free_items; /* linked by hash_next */
    struct bh_queue_item **buckets;   /* a power of two */
    size_t bucket_count;
    size_t slab_count;
    /* who has what */
    struct bh_map sites, customers, lanes;
    struct bh_list idle_sites;
    size_t idle_site_count;
    /* time: items in one heap, the few paused sites in another */
    struct bh_heap timers, pauses;
    struct bh_heap customers_ready; /* key: taken, then the last turn */
    struct bh_list expired;
    uint64_t turn;
    struct bh_queue_counts counts;
};

/* ---- item.c: memory and look-up of items ---- */
struct bh_queue_item *bh_item_new(struct bh_queue *queue, uint64_t message, uint32_t idx);
void bh_item_free(struct bh_queue *queue, struct bh_queue_item *item);
void bh_items_free(struct bh_queue *queue);

/* ---- lane.c: lanes, sites, customers ---- */
/* The lane of (customer, route), made if need be; NULL: out of memory. */
struct bh_lane *bh_lane_get(struct bh_queue *queue, int64_t customer, bh_str route);
/* Its last item is gone. */
void bh_lane_release(struct bh_queue *queue, struct bh_lane *lane);
/* Something in it became ready, or nothing is ready any more: finds its place among the turns. */
void bh_lane_place(struct bh_queue *queue, struct bh_lane *lane);
/* The lane whose turn it is, at a site with room; NULL: none. */
struct bh_lane *bh_lane_next(struct bh_queue *queue, size_t slots);
/* One of its items was taken or given back: counts and turns follow. */
void bh_lane_took(struct bh_queue *queue, struct bh_lane *lane);
void bh_lane_gave(struct bh_queue *queue, struct bh_lane *lane);
void bh_sites_advance(struct bh_queue *queue, bh_time_ms now);
void bh_sites_free(struct bh_queue *queue);

#endif
