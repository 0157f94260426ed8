/* lane.c: whose turn it is: lanes between customers and tracks. See queue.h.
 *
 * A lane with something ready is ELIGIBLE, in its customer's rotation and bound for a path with room, or BLOCKED, in
 * its track's line. A path lets as many lanes be eligible as it has room for (window - taken); when it takes or frees
 * room, lanes move one by one. A held lane is neither. */
#include "internal.h"
#include <stdlib.h>

/* ---- customers ---- */

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

static int64_t turn_key(const struct bh_queue *queue, const struct bh_queue_customer *customer)
{
    return (int64_t)((uint64_t)customer->taken << 40 | (queue->turn & 0xffffffffff));
}

/* ---- making and forgetting ---- */

struct parties {
    struct bh_queue_customer *customer;
    struct sending_domain *domain;
    struct route *route;
};

static bh_str make_key(char *key, const struct bh_queue_entry *entry, const struct route *route)
{
    memcpy(key, &entry->customer, sizeof(int64_t));
    memcpy(key + sizeof(int64_t), &entry->domain, sizeof(uint64_t));
    memcpy(key + sizeof(int64_t) + sizeof(uint64_t), &route, sizeof(void *));
    if (entry->campaign.n)
        memcpy(key + LANE_KEY_CAMPAIGN, entry->campaign.p, entry->campaign.n);
    return bh_str_of(key, LANE_KEY_CAMPAIGN + entry->campaign.n);
}

static bool ask_held(const struct bh_queue *queue, const struct bh_lane *lane)
{
    const struct bh_queue_knowledge *k = &queue->options.knowledge;

    return k->is_held && k->is_held(k->ctx, lane->customer->id,
                                    bh_str_of(lane->key + LANE_KEY_CAMPAIGN, lane->key_bytes - LANE_KEY_CAMPAIGN),
                                    bh_str_of(lane->route->name, lane->route->name_bytes));
}

static void wake_parties(struct bh_queue *queue, const struct parties *p)
{
    if (!bh_list_empty(&p->route->idle)) {
        bh_list_remove(&p->route->idle);
        queue->idle_route_count--;
    }
    if (!bh_list_empty(&p->domain->idle)) {
        bh_list_remove(&p->domain->idle);
        queue->idle_domain_count--;
    }
    p->customer->lane_count++;
}

static struct bh_lane *new_lane(struct bh_queue *queue, const struct parties *p, bh_str key)
{
    struct track *track = bh_track_get(queue, p->domain->egress, p->route->site);
    struct bh_lane *lane = track ? calloc(1, sizeof(*lane) + key.n) : NULL;

    if (lane) {
        memcpy(lane->key, key.p, key.n);
        lane->key_bytes = key.n;
        if (bh_map_add(&queue->lanes, bh_str_of(lane->key, key.n), &lane->by_key)) {
            free(lane);
            lane = NULL;
        }
    }
    if (!lane) {
        if (track)
            bh_track_drop(queue, track);
        return NULL;
    }
    lane->customer = p->customer;
    lane->domain = p->domain;
    lane->route = p->route;
    lane->track = track;
    bh_list_init(&lane->ready);
    bh_list_init(&lane->turn);
    bh_list_push(&p->route->lanes, &lane->of_route);
    bh_list_push(&p->domain->lanes, &lane->of_domain);
    wake_parties(queue, p);
    lane->held = ask_held(queue, lane);
    queue->counts.bytes += sizeof(*lane) + key.n;
    return lane;
}

static void part(struct bh_queue *queue, const struct parties *p)
{
    if (p->customer)
        forget_customer(queue, p->customer);
    if (p->domain && bh_list_empty(&p->domain->lanes) && bh_list_empty(&p->domain->idle))
        bh_domain_idle(queue, p->domain);
    if (p->route && bh_list_empty(&p->route->lanes) && bh_list_empty(&p->route->idle))
        bh_route_idle(queue, p->route);
}

struct bh_lane *bh_lane_get(struct bh_queue *queue, const struct bh_queue_entry *entry)
{
    char buffer[LANE_KEY_CAMPAIGN + BH_QUEUE_CAMPAIGN_MAX];
    struct parties p = {.customer = get_customer(queue, entry->customer),
                        .domain = bh_domain_get(queue, entry->domain),
                        .route = bh_route_get(queue, entry->route)};
    struct bh_map_node *node;
    struct bh_lane *lane = NULL;

    if (p.customer && p.domain && p.route) {
        bh_str key = make_key(buffer, entry, p.route);

        node = bh_map_get(&queue->lanes, key);
        lane = node ? BH_CONTAINER_OF(node, struct bh_lane, by_key) : new_lane(queue, &p, key);
    }
    if (!lane)
        part(queue, &p);
    return lane;
}

void bh_lane_release(struct bh_queue *queue, struct bh_lane *lane)
{
    struct parties p = {lane->customer, lane->domain, lane->route};

    bh_lane_leave(queue, lane);
    bh_list_remove(&lane->of_route);
    bh_list_remove(&lane->of_domain);
    bh_map_remove(&queue->lanes, &lane->by_key);
    bh_track_drop(queue, lane->track);
    queue->counts.bytes -= sizeof(*lane) + lane->key_bytes;
    free(lane);
    p.customer->lane_count--;
    part(queue, &p);
}

/* ---- turns ---- */

static void out_of_rotation(struct bh_queue *queue, struct bh_lane *lane)
{
    lane->path->eligible--;
    lane->path = NULL;
    bh_list_remove(&lane->turn);
    if (bh_list_empty(&lane->customer->rotation))
        bh_heap_remove(&queue->customers_ready, &lane->customer->turn);
    lane->state = LANE_IDLE;
}

void bh_lane_leave(struct bh_queue *queue, struct bh_lane *lane)
{
    struct bh_path *path = lane->path;

    switch (lane->state) {
    case LANE_IDLE:
        break;
    case LANE_ELIGIBLE:
        out_of_rotation(queue, lane);
        bh_path_serve(queue, path); /* what was kept for it */
        break;
    case LANE_BLOCKED:
        bh_list_remove(&lane->turn);
        lane->state = LANE_IDLE;
        if (bh_list_empty(&lane->track->blocked))
            bh_track_content(lane->track);
        break;
    }
}

static void block(struct bh_queue *queue, struct bh_lane *lane)
{
    bh_list_push(&lane->track->blocked, &lane->turn);
    lane->state = LANE_BLOCKED;
    bh_track_wants(queue, lane->track);
}

bool bh_lane_admit(struct bh_queue *queue, struct bh_lane *lane, struct bh_path *path)
{
    struct bh_queue_customer *customer = lane->customer;

    if (!customer->turn.place &&
        bh_heap_add(&queue->customers_ready, &customer->turn, turn_key(queue, customer)) != BH_OK)
        return false;
    bh_list_remove(&lane->turn);
    bh_list_push(&customer->rotation, &lane->turn);
    path->eligible++;
    lane->path = path;
    lane->state = LANE_ELIGIBLE;
    return true;
}

void bh_lane_place(struct bh_queue *queue, struct bh_lane *lane)
{
    if (bh_list_empty(&lane->ready) || lane->held)
        bh_lane_leave(queue, lane);
    else if (lane->state == LANE_IDLE)
        block(queue, lane);
}

void bh_queue_holds_changed(struct bh_queue *queue)
{
    for (struct bh_map_node *node = NULL; (node = bh_map_next(&queue->lanes, node));) {
        struct bh_lane *lane = BH_CONTAINER_OF(node, struct bh_lane, by_key);

        lane->held = ask_held(queue, lane);
        bh_lane_place(queue, lane);
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
        if (lane->path->state == BH_PATH_OPEN && lane->path->taken < lane->path->window)
            return lane;
        out_of_rotation(queue, lane); /* its path shrank or was closed meanwhile */
        block(queue, lane);
    }
    return NULL;
}

void bh_lane_took(struct bh_queue *queue, struct bh_lane *lane, struct bh_path *path)
{
    struct bh_queue_customer *customer = lane->customer;

    path->taken++;
    path->site->taken++;
    customer->taken++;
    queue->turn++;
    bh_path_charge(queue, path);
    if (lane->state == LANE_ELIGIBLE) {
        struct bh_path *kept = lane->path;

        out_of_rotation(queue, lane);
        if (!bh_list_empty(&lane->ready) && !lane->held)
            block(queue, lane);
        bh_path_serve(queue, kept);
    }
    if (customer->turn.place)
        bh_heap_change(&queue->customers_ready, &customer->turn, turn_key(queue, customer));
}

void bh_lane_gave(struct bh_queue *queue, struct bh_lane *lane, struct bh_path *path)
{
    struct bh_queue_customer *customer = lane->customer;
    struct bh_site *site = path->site;

    path->taken--;
    customer->taken--;
    if (customer->turn.place)
        bh_heap_change(&queue->customers_ready, &customer->turn, turn_key(queue, customer));
    bh_path_serve(queue, path);
    site->taken--;
    bh_site_forget(queue, site);
}

void bh_lanes_free(struct bh_queue *queue)
{
    for (struct bh_map_node *node = bh_map_next(&queue->lanes, NULL), *next; node; node = next) {
        next = bh_map_next(&queue->lanes, node);
        free(BH_CONTAINER_OF(node, struct bh_lane, by_key));
    }
    for (struct bh_map_node *node = bh_map_next(&queue->customers, NULL), *next; node; node = next) {
        next = bh_map_next(&queue->customers, node);
        free(BH_CONTAINER_OF(node, struct bh_queue_customer, by_id));
    }
    bh_map_free(&queue->lanes);
    bh_map_free(&queue->customers);
}
