/* lane.c: whose turn it is: lanes between customers and sites. See queue.h.
 *
 * A lane with something ready is ELIGIBLE, in its customer's rotation, or BLOCKED, in its site's line. A site lets as
 * many of its lanes be eligible as it has room for (window - taken); when it takes or frees room, lanes move one by
 * one, so that a completion costs the same with one customer or a thousand waiting for the same provider. */
#include "internal.h"
#include <stdlib.h>

/* ---- making and forgetting ---- */

static struct bh_queue_customer *get_customer(struct bh_queue *queue, int64_t id)
{
    struct bh_map_node *node = bh_map_get(&queue->customers, bh_str_of((const char *)&id, sizeof(id)));
    struct bh_queue_customer *customer;

    if (node)
        return BH_CONTAINER_OF(node, struct bh_queue_customer, by_id);
    customer = calloc(1, sizeof(*customer));
    if (!customer)
        return NULL;
    customer->id = id;
    bh_list_init(&customer->rotation);
    if (bh_map_add(&queue->customers, bh_str_of((const char *)&customer->id, sizeof(id)), &customer->by_id)) {
        free(customer);
        return NULL;
    }
    return customer;
}

static void forget_customer(struct bh_queue *queue, struct bh_queue_customer *customer)
{
    if (customer->lane_count)
        return;
    bh_heap_remove(&queue->customers_ready, &customer->turn);
    bh_map_remove(&queue->customers, &customer->by_id);
    free(customer);
}

static void free_site(struct bh_queue *queue, struct bh_site *site)
{
    bh_heap_remove(&queue->pauses, &site->pause);
    bh_map_remove(&queue->sites, &site->by_route);
    queue->counts.bytes -= sizeof(*site) + site->route_bytes;
    free(site);
}

/* Sites without mail are remembered for a while: what was learned about them is still true. */
static void idle_site(struct bh_queue *queue, struct bh_site *site)
{
    bh_list_push(&queue->idle_sites, &site->idle);
    if (++queue->idle_site_count <= IDLE_SITES_MAX)
        return;
    site = BH_CONTAINER_OF(bh_list_take(&queue->idle_sites), struct bh_site, idle);
    queue->idle_site_count--;
    free_site(queue, site);
}

static void wake_site(struct bh_queue *queue, struct bh_site *site)
{
    if (bh_list_empty(&site->idle))
        return;
    bh_list_remove(&site->idle);
    queue->idle_site_count--;
}

static struct bh_site *get_site(struct bh_queue *queue, bh_str route)
{
    struct bh_map_node *node = bh_map_get(&queue->sites, route);
    struct bh_site *site;

    if (node)
        return BH_CONTAINER_OF(node, struct bh_site, by_route);
    site = calloc(1, sizeof(*site) + route.n);
    if (!site)
        return NULL;
    if (route.n)
        memcpy(site->route, route.p, route.n);
    site->route_bytes = route.n;
    site->window = queue->options.window_start;
    bh_list_init(&site->lanes);
    bh_list_init(&site->blocked);
    bh_list_init(&site->idle);
    if (bh_map_add(&queue->sites, bh_str_of(site->route, route.n), &site->by_route)) {
        free(site);
        return NULL;
    }
    queue->counts.bytes += sizeof(*site) + route.n;
    return site;
}

static struct bh_lane *new_lane(struct bh_queue *queue, struct bh_queue_customer *customer, struct bh_site *site)
{
    struct bh_lane *lane = calloc(1, sizeof(*lane));

    if (!lane)
        return NULL;
    lane->key = (struct lane_key){customer, site};
    lane->customer = customer;
    lane->site = site;
    if (bh_map_add(&queue->lanes, bh_str_of((const char *)&lane->key, sizeof(lane->key)), &lane->by_key)) {
        free(lane);
        return NULL;
    }
    bh_list_init(&lane->ready);
    bh_list_init(&lane->turn);
    bh_list_push(&site->lanes, &lane->of_site);
    wake_site(queue, site);
    customer->lane_count++;
    return lane;
}

struct bh_lane *bh_lane_get(struct bh_queue *queue, int64_t customer_id, bh_str route)
{
    struct bh_queue_customer *customer = get_customer(queue, customer_id);
    struct bh_site *site = customer ? get_site(queue, route) : NULL;
    struct bh_lane *lane = NULL;

    if (site) {
        struct lane_key key = {customer, site};
        struct bh_map_node *node = bh_map_get(&queue->lanes, bh_str_of((const char *)&key, sizeof(key)));

        lane = node ? BH_CONTAINER_OF(node, struct bh_lane, by_key) : new_lane(queue, customer, site);
    }
    if (lane)
        return lane;
    if (customer)
        forget_customer(queue, customer);
    if (site && bh_list_empty(&site->lanes) && bh_list_empty(&site->idle))
        free_site(queue, site);
    return NULL;
}

/* ---- turns ---- */

static int64_t turn_key(const struct bh_queue *queue, const struct bh_queue_customer *customer)
{
    return (int64_t)((uint64_t)customer->taken << 40 | (queue->turn & 0xffffffffff));
}

static bool site_has_room(const struct bh_site *site)
{
    return !site->paused && site->taken + site->eligible < site->window;
}

static void leave_turn(struct bh_queue *queue, struct bh_lane *lane)
{
    if (lane->state == LANE_ELIGIBLE)
        lane->site->eligible--;
    bh_list_remove(&lane->turn);
    if (lane->state == LANE_ELIGIBLE && bh_list_empty(&lane->customer->rotation))
        bh_heap_remove(&queue->customers_ready, &lane->customer->turn);
    lane->state = LANE_IDLE;
}

static void block(struct bh_lane *lane)
{
    bh_list_push(&lane->site->blocked, &lane->turn);
    lane->state = LANE_BLOCKED;
}

static bool make_eligible(struct bh_queue *queue, struct bh_lane *lane)
{
    struct bh_queue_customer *customer = lane->customer;

    if (!customer->turn.place &&
        bh_heap_add(&queue->customers_ready, &customer->turn, turn_key(queue, customer)) != BH_OK)
        return false;
    bh_list_push(&customer->rotation, &lane->turn);
    lane->site->eligible++;
    lane->state = LANE_ELIGIBLE;
    return true;
}

static void unblock(struct bh_queue *queue, struct bh_site *site)
{
    while (site_has_room(site) && !bh_list_empty(&site->blocked)) {
        struct bh_lane *lane = BH_LIST_HEAD(&site->blocked, struct bh_lane, turn);

        bh_list_remove(&lane->turn);
        if (make_eligible(queue, lane))
            continue;
        bh_list_push_front(&site->blocked, &lane->turn); /* out of memory: at the next chance */
        break;
    }
}

void bh_lane_place(struct bh_queue *queue, struct bh_lane *lane)
{
    struct bh_site *site = lane->site;

    if (bh_list_empty(&lane->ready)) {
        if (lane->state != LANE_IDLE)
            leave_turn(queue, lane);
        unblock(queue, site);
    } else if (lane->state == LANE_IDLE) {
        block(lane);
        unblock(queue, site);
    }
}

/* The reserve: see the head of queue.h. */
static bool is_over_share(const struct bh_queue *queue, const struct bh_queue_customer *customer, size_t slots)
{
    return queue->counts.taken >= slots - slots / 4 && customer->taken * (queue->customers_ready.count + 1) >= slots;
}

struct bh_lane *bh_lane_next(struct bh_queue *queue, size_t slots)
{
    struct bh_heap_node *node;

    while ((node = bh_heap_first(&queue->customers_ready))) {
        struct bh_queue_customer *customer = BH_CONTAINER_OF(node, struct bh_queue_customer, turn);
        struct bh_lane *lane = BH_LIST_HEAD(&customer->rotation, struct bh_lane, turn);

        if (is_over_share(queue, customer, slots))
            return NULL;
        if (!lane->site->paused && lane->site->taken < lane->site->window)
            return lane;
        leave_turn(queue, lane); /* its site shrank or was paused meanwhile */
        block(lane);
    }
    return NULL;
}

void bh_lane_took(struct bh_queue *queue, struct bh_lane *lane)
{
    struct bh_queue_customer *customer = lane->customer;

    lane->site->taken++;
    customer->taken++;
    queue->turn++;
    if (lane->state == LANE_ELIGIBLE) {
        leave_turn(queue, lane);
        if (!bh_list_empty(&lane->ready))
            block(lane);
    }
    bh_lane_place(queue, lane);
    unblock(queue, lane->site);
    if (customer->turn.place)
        bh_heap_change(&queue->customers_ready, &customer->turn, turn_key(queue, customer));
}

void bh_lane_gave(struct bh_queue *queue, struct bh_lane *lane)
{
    struct bh_queue_customer *customer = lane->customer;

    lane->site->taken--;
    customer->taken--;
    if (customer->turn.place)
        bh_heap_change(&queue->customers_ready, &customer->turn, turn_key(queue, customer));
    unblock(queue, lane->site);
}

/* ---- sites ---- */

static void sweep_expired(struct bh_queue *queue, struct bh_site *site, bh_time_ms now)
{
    BH_LIST_EACH (of_site, &site->lanes) {
        struct bh_lane *lane = BH_CONTAINER_OF(of_site, struct bh_lane, of_site);

        BH_LIST_EACH (node, &lane->ready) {
            struct bh_queue_item *item = BH_CONTAINER_OF(node, struct bh_queue_item, at.node);

            if (bh_queue_expires_at(item) > now)
                continue;
            bh_list_remove(node);
            bh_list_push(&queue->expired, node);
            item->state = BH_QUEUE_EXPIRED;
            queue->counts.ready--;
            queue->counts.expired++;
        }
        bh_lane_place(queue, lane);
    }
}

static void pause_site(struct bh_queue *queue, struct bh_site *site, bh_time_ms now)
{
    int64_t first = (int64_t)queue->options.pause_first_s * 1000, most = (int64_t)queue->options.pause_max_s * 1000;
    int64_t pause = site->pause_ms ? site->pause_ms * 2 : first;

    if (pause > most)
        pause = most;
    site->pause_ms = pause;
    pause += (int64_t)bh_random_below(queue->options.random, (uint64_t)(pause / 8 + 1));
    if (bh_heap_add(&queue->pauses, &site->pause, now + pause) != BH_OK)
        return; /* out of memory: goes on with a window of one */
    site->paused = true;
    queue->counts.paused_sites++;
    sweep_expired(queue, site, now);
}

void bh_queue_learn(struct bh_queue *queue, struct bh_queue_item *item, enum bh_site_outcome outcome, bh_time_ms now)
{
    struct bh_site *site = item->lane->site;

    switch (outcome) {
    case BH_SITE_WORKS:
        site->failures = 0;
        site->pause_ms = 0;
        if (site->window < queue->options.window_max)
            site->window++;
        unblock(queue, site);
        break;
    case BH_SITE_FAILS:
        site->failures++;
        site->window = site->window > 1 ? site->window / 2 : 1;
        if (!site->paused && site->failures >= queue->options.failures_max)
            pause_site(queue, site, now);
        break;
    case BH_SITE_NEUTRAL:
        break;
    }
}

void bh_sites_advance(struct bh_queue *queue, bh_time_ms now)
{
    struct bh_heap_node *node;

    while ((node = bh_heap_first(&queue->pauses)) && node->key <= now) {
        struct bh_site *site = BH_CONTAINER_OF(node, struct bh_site, pause);

        bh_heap_remove(&queue->pauses, node);
        site->paused = false;
        site->window = 1; /* one scout first */
        queue->counts.paused_sites--;
        unblock(queue, site);
    }
}

void bh_lane_release(struct bh_queue *queue, struct bh_lane *lane)
{
    struct bh_queue_customer *customer = lane->customer;
    struct bh_site *site = lane->site;

    leave_turn(queue, lane);
    bh_list_remove(&lane->of_site);
    bh_map_remove(&queue->lanes, &lane->by_key);
    free(lane);
    customer->lane_count--;
    forget_customer(queue, customer);
    unblock(queue, site);
    if (bh_list_empty(&site->lanes))
        idle_site(queue, site);
}

static void free_nodes(struct bh_map *map, size_t offset)
{
    for (struct bh_map_node *node = bh_map_next(map, NULL), *next; node; node = next) {
        next = bh_map_next(map, node);
        free((char *)node - offset);
    }
    bh_map_free(map);
}

void bh_sites_free(struct bh_queue *queue)
{
    free_nodes(&queue->lanes, offsetof(struct bh_lane, by_key));
    free_nodes(&queue->sites, offsetof(struct bh_site, by_route));
    free_nodes(&queue->customers, offsetof(struct bh_queue_customer, by_id));
}
