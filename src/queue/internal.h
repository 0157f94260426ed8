/* internal.h: what queue.c, lane.c, site.c, path.c and item.c share. See queue.h for what the things are. */
#ifndef BH_QUEUE_INTERNAL_H
#define BH_QUEUE_INTERNAL_H

#include "base/buf.h"
#include "base/map.h"
#include "queue.h"

enum { SLAB_ITEMS = 256, IDLE_ROUTES_MAX = 4096, IDLE_DOMAINS_MAX = 4096 };

/* The one heap has items and paths: the lowest bit of a key tells which. */
enum timer_kind { TIMER_ITEM, TIMER_PATH };
static inline int64_t timer_key(bh_time_ms at, enum timer_kind kind)
{
    return at > INT64_MAX / 2 ? INT64_MAX - 1 + kind : at * 2 + kind;
}

/* ---- who sends: customers, sending domains and their sources ---- */

struct bh_queue_customer {
    struct bh_map_node by_id;
    struct bh_heap_node turn; /* in queue.customers_ready while `rotation` is not empty */
    struct bh_list rotation;  /* lanes that may go now, by lane.turn */
    int64_t id;
    size_t taken;
    size_t lane_count;
};

/* One address to send from. Counted by the sets and paths that have it. */
struct source {
    struct bh_map_node by_name;
    size_t users;
    size_t name_bytes;
    char name[];
};

struct egress_choice {
    struct source *source;
    uint32_t weight;
};

/* A set of sources. Equal sets are one object. Counted by domains and tracks. */
struct egress {
    struct bh_map_node by_content;
    size_t users;
    size_t count;
    struct egress_choice *choices; /* behind the content */
    size_t content_bytes;
    char content[];
};

struct sending_domain {
    struct bh_map_node by_id;
    uint64_t id;
    struct egress *egress;
    struct bh_list lanes; /* by lane.of_domain */
    struct bh_list idle;  /* in queue.idle_domains while it has no lane */
};

/* ---- where to: routes and sites ---- */

struct bh_site {
    struct bh_map_node by_name;
    struct bh_list paths, tracks, routes;
    size_t taken; /* keeps it, with its paths */
    struct bh_shape shape;
    size_t name_bytes;
    char name[];
};

struct route {
    struct bh_map_node by_name;
    struct bh_site *site;
    struct bh_list of_site;
    struct bh_list lanes; /* by lane.of_route */
    struct bh_list idle;  /* in queue.idle_routes while it has no lane */
    size_t name_bytes;
    char name[];
};

/* ---- stage two: paths, and the tracks that lead to them ---- */

struct bh_path {
    struct bh_heap_node timer; /* while closed with an end */
    struct bh_list of_site;
    struct bh_list waiting; /* choices of tracks with blocked lanes, by choice.waiting */
    struct bh_site *site;
    struct source *source;
    size_t taken;
    size_t eligible; /* lanes in their customers' rotations that will use it */
    uint32_t window;
    uint32_t failures; /* in a row */
    int64_t pause_ms;  /* the last pause; 0: none since it last worked */
    enum bh_path_state state;
    bh_time_ms until;      /* while closed */
    bh_time_ms slow_until; /* no growth before */
    int64_t rate_us;       /* when the next delivery would be in step with the rate */
    struct bh_quota quota;
};

struct choice {
    struct bh_list waiting; /* in path.waiting while the track has blocked lanes */
    struct track *track;
    struct bh_path *path;
    uint32_t weight;
    int64_t credit;
};

struct track_key {
    const struct egress *egress;
    const struct bh_site *site;
};

struct track {
    struct bh_map_node by_key;
    struct track_key key;
    struct egress *egress;
    struct bh_site *site;
    struct bh_list of_site;
    struct bh_list blocked; /* lanes with something ready that wait for room, by lane.turn */
    size_t lane_count;
    size_t count;
    struct choice choices[];
};

/* ---- stage one: lanes ---- */

enum lane_state { LANE_IDLE, LANE_ELIGIBLE, LANE_BLOCKED };

struct bh_lane {
    struct bh_map_node by_key;
    struct bh_queue_customer *customer;
    struct sending_domain *domain;
    struct route *route;
    struct track *track;
    struct bh_path *path; /* that it will use, while eligible */
    struct bh_list ready; /* items */
    struct bh_list turn;  /* in customer.rotation or track.blocked */
    struct bh_list of_route, of_domain;
    size_t item_count;
    enum lane_state state;
    bool held;
    size_t key_bytes;
    char key[]; /* customer, domain, route's address, campaign */
};

enum { LANE_KEY_CAMPAIGN = sizeof(int64_t) + sizeof(uint64_t) + sizeof(void *) };

struct slab {
    struct slab *next;
    struct bh_queue_item items[SLAB_ITEMS];
};

struct bh_queue {
    struct bh_queue_options options;
    bh_time_ms now; /* of the last call that told it */
    /* items */
    struct slab *slabs;
    struct bh_queue_item *free_items; /* linked by hash_next */
    struct bh_queue_item **buckets;   /* a power of two */
    size_t bucket_count;
    size_t slab_count;
    /* who has what */
    struct bh_map customers, domains, egresses, sources;
    struct bh_map routes, sites, tracks, lanes;
    struct bh_list idle_routes, idle_domains;
    size_t idle_route_count, idle_domain_count;
    struct bh_heap timers;
    struct bh_heap customers_ready; /* key: taken, then the last turn */
    struct bh_list expired;
    uint64_t turn;
    uint64_t tracks_made;
    struct bh_queue_counts counts;
};

/* ---- item.c: memory and look-up of items ---- */
struct bh_queue_item *bh_item_new(struct bh_queue *queue, uint64_t message, uint32_t idx);
void bh_item_free(struct bh_queue *queue, struct bh_queue_item *item);
void bh_items_free(struct bh_queue *queue);

/* ---- lane.c: lanes and turns ---- */
/* The lane of an entry, made if need be; NULL: out of memory. */
struct bh_lane *bh_lane_get(struct bh_queue *queue, const struct bh_queue_entry *entry);
/* Its last item is gone. */
void bh_lane_release(struct bh_queue *queue, struct bh_lane *lane);
/* Something in it became ready, or nothing is ready any more, or it was held: finds its place among the turns. */
void bh_lane_place(struct bh_queue *queue, struct bh_lane *lane);
/* Out of the turns, before its track changes. */
void bh_lane_leave(struct bh_queue *queue, struct bh_lane *lane);
/* The lane whose turn it is, with room at lane->path; NULL: none. */
struct bh_lane *bh_lane_next(struct bh_queue *queue, size_t slots);
/* An item of a lane was promoted to its path, or left it: counts and turns follow. */
void bh_lane_took(struct bh_queue *queue, struct bh_lane *lane, struct bh_path *path);
void bh_lane_gave(struct bh_queue *queue, struct bh_lane *lane, struct bh_path *path);
/* Takes a blocked lane into its customer's rotation, to use `path`. False: out of memory. */
bool bh_lane_admit(struct bh_queue *queue, struct bh_lane *lane, struct bh_path *path);
void bh_lanes_free(struct bh_queue *queue);

/* ---- egress.c: sources and sending domains ---- */
/* NULL: out of memory. It is woken: the caller adds a lane, or calls bh_domain_idle. */
struct sending_domain *bh_domain_get(struct bh_queue *queue, uint64_t id);
void bh_domain_idle(struct bh_queue *queue, struct sending_domain *domain);
void bh_source_drop(struct bh_queue *queue, struct source *source);
void bh_egress_drop(struct bh_queue *queue, struct egress *egress);
void bh_egresses_free(struct bh_queue *queue);

/* ---- site.c: routes and sites ---- */
/* As bh_domain_get. */
struct route *bh_route_get(struct bh_queue *queue, bh_str name);
void bh_route_idle(struct bh_queue *queue, struct route *route);
/* Frees it unless something needs it. */
void bh_site_forget(struct bh_queue *queue, struct bh_site *site);
void bh_sites_free(struct bh_queue *queue);

/* ---- path.c: tracks and paths ---- */
/* Made if need be; NULL: out of memory. The caller counts its lane in lane_count. */
struct track *bh_track_get(struct bh_queue *queue, struct egress *egress, struct bh_site *site);
/* A lane less. */
void bh_track_drop(struct bh_queue *queue, struct track *track);
/* One of its lanes is blocked now: it goes at once if a path has room, else the track waits at all of them. */
void bh_track_wants(struct bh_queue *queue, struct track *track);
/* No lane of it is blocked any more. */
void bh_track_content(struct track *track);
/* The path that an item is charged to which is taken out of turn: the one it would choose, full or not. */
struct bh_path *bh_track_any(struct track *track);
bool bh_path_has_room(const struct bh_path *path);
/* Room was made: waiting tracks go on. */
void bh_path_serve(struct bh_queue *queue, struct bh_path *path);
/* One was taken from rate and quota. */
void bh_path_charge(struct bh_queue *queue, struct bh_path *path);
/* One that was taken did not go out after all. */
void bh_path_refund(struct bh_queue *queue, struct bh_path *path);
/* Its time has come. */
void bh_path_due(struct bh_queue *queue, struct bh_path *path);
/* What is known about its site or quota has changed. */
void bh_path_renew(struct bh_queue *queue, struct bh_path *path);
void bh_path_free(struct bh_queue *queue, struct bh_path *path);
void bh_track_free(struct bh_queue *queue, struct track *track);

#endif
