/* queue.c: the states of items. See queue.h; turns are lane.c's, sites site.c's, paths path.c's,
 * memory item.c's. */
#include "internal.h"
#include "message_id.h"
#include <stdlib.h>

static void set_default(uint32_t *option, uint32_t value)
{
    if (*option == 0)
        *option = value;
}

struct bh_queue *bh_queue_new(const struct bh_queue_options *options)
{
    struct bh_queue *queue = calloc(1, sizeof(*queue));
    struct bh_map *maps[8];

    if (!queue)
        return NULL;
    maps[0] = &queue->customers;
    maps[1] = &queue->domains;
    maps[2] = &queue->egresses;
    maps[3] = &queue->sources;
    maps[4] = &queue->routes;
    maps[5] = &queue->sites;
    maps[6] = &queue->tracks;
    maps[7] = &queue->lanes;
    queue->options = *options;
    set_default(&queue->options.window_start, 16);
    set_default(&queue->options.window_max, 512);
    set_default(&queue->options.failures_max, 5);
    set_default(&queue->options.pause_first_s, 30);
    set_default(&queue->options.pause_max_s, 1800);
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
        bh_map_init(maps[i], options->seed);
    bh_list_init(&queue->idle_routes);
    bh_list_init(&queue->idle_domains);
    bh_list_init(&queue->expired);
    return queue;
}

void bh_queue_free(struct bh_queue *queue)
{
    if (!queue)
        return;
    bh_lanes_free(queue);
    bh_sites_free(queue);
    bh_egresses_free(queue);
    bh_items_free(queue);
    bh_heap_free(&queue->timers);
    bh_heap_free(&queue->customers_ready);
    free(queue);
}

int64_t bh_queue_customer(const struct bh_queue_item *item)
{
    return item->lane->customer->id;
}

bh_str bh_queue_campaign(const struct bh_queue_item *item)
{
    return bh_str_of(item->lane->key + LANE_KEY_CAMPAIGN, item->lane->key_bytes - LANE_KEY_CAMPAIGN);
}

uint64_t bh_queue_domain(const struct bh_queue_item *item)
{
    return item->lane->domain->id;
}

bh_str bh_queue_route(const struct bh_queue_item *item)
{
    return bh_str_of(item->lane->route->name, item->lane->route->name_bytes);
}

bh_str bh_queue_site_name(const struct bh_queue_item *item)
{
    const struct bh_site *site = item->path ? item->path->site : item->lane->route->site;

    return bh_str_of(site->name, site->name_bytes);
}

const struct bh_shape *bh_queue_shape(const struct bh_queue_item *item)
{
    return item->path ? &item->path->site->shape : &item->lane->route->site->shape;
}

bh_str bh_queue_source(const struct bh_queue_item *item)
{
    return item->path ? bh_str_of(item->path->source->name, item->path->source->name_bytes) : bh_str_of(NULL, 0);
}

bh_time_ms bh_queue_expires_at(const struct bh_queue_item *item)
{
    return BH_ID_EPOCH_MS + (int64_t)item->expires_s * 1000;
}

static uint32_t compact_expiry(bh_time_ms at)
{
    int64_t s = (at - BH_ID_EPOCH_MS) / 1000;

    return s <= 0 ? 0 : s >= UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

/* ---- between states ---- */

static void make_held(struct bh_queue *queue, struct bh_queue_item *item)
{
    item->state = BH_QUEUE_HELD;
    queue->counts.held++;
}

static void make_ready(struct bh_queue *queue, struct bh_queue_item *item, bool first)
{
    if (item->flags & BH_QUEUE_HOLD) {
        make_held(queue, item);
        return;
    }
    item->state = BH_QUEUE_READY;
    queue->counts.ready++;
    if (first)
        bh_list_push_front(&item->lane->ready, &item->at.node);
    else
        bh_list_push(&item->lane->ready, &item->at.node);
    bh_lane_place(queue, item->lane);
}

static bh_err make_waiting(struct bh_queue *queue, struct bh_queue_item *item, bh_time_ms at)
{
    if (item->flags & BH_QUEUE_HOLD) {
        make_held(queue, item);
        return BH_OK;
    }
    item->at.timer = (struct bh_heap_node){0, 0};
    if (bh_heap_add(&queue->timers, &item->at.timer, timer_key(at, TIMER_ITEM)) != BH_OK)
        return BH_E_NOMEM;
    item->state = BH_QUEUE_WAITING;
    queue->counts.waiting++;
    return BH_OK;
}

/* Out of the place that its state has it in; it is in no state then. */
static void detach(struct bh_queue *queue, struct bh_queue_item *item)
{
    switch ((enum bh_queue_state)item->state) {
    case BH_QUEUE_WAITING:
        bh_heap_remove(&queue->timers, &item->at.timer);
        queue->counts.waiting--;
        break;
    case BH_QUEUE_READY:
        bh_list_remove(&item->at.node);
        queue->counts.ready--;
        bh_lane_place(queue, item->lane);
        break;
    case BH_QUEUE_HELD:
        queue->counts.held--;
        break;
    case BH_QUEUE_EXPIRED:
        bh_list_remove(&item->at.node);
        queue->counts.expired--;
        break;
    case BH_QUEUE_TAKEN: {
        struct bh_path *path = item->path;

        item->path = NULL;
        queue->counts.taken--;
        bh_lane_gave(queue, item->lane, path);
        break;
    }
    case BH_QUEUE_SETTLED:
        queue->counts.settled--;
        break;
    }
}

static void take(struct bh_queue *queue, struct bh_queue_item *item, struct bh_path *path)
{
    item->state = BH_QUEUE_TAKEN;
    item->at.holder = NULL;
    item->path = path;
    queue->counts.taken++;
    bh_lane_took(queue, item->lane, path);
}

static void take_out_of_turn(struct bh_queue *queue, struct bh_queue_item *item)
{
    detach(queue, item);
    take(queue, item, bh_track_any(item->lane->track));
}

bh_err bh_queue_add(struct bh_queue *queue, const struct bh_queue_entry *entry, bh_time_ms now,
                    struct bh_queue_item **ret_item)
{
    struct bh_queue_item *item;
    bh_err err = BH_OK;

    if (entry->route.n > BH_QUEUE_ROUTE_MAX || entry->campaign.n > BH_QUEUE_CAMPAIGN_MAX)
        return BH_E_LIMIT;
    queue->now = now > queue->now ? now : queue->now;
    if (bh_queue_find(queue, entry->message, entry->idx))
        return BH_E_EXISTS;
    item = bh_item_new(queue, entry->message, entry->idx);
    if (!item)
        return BH_E_NOMEM;
    item->lane = bh_lane_get(queue, entry);
    if (!item->lane) {
        bh_item_free(queue, item);
        return BH_E_NOMEM;
    }
    item->lane->item_count++;
    item->attempts = (uint16_t)(entry->attempts > UINT16_MAX ? UINT16_MAX : entry->attempts);
    item->expires_s = compact_expiry(entry->expires_at);
    item->flags = entry->flags;
    if (entry->next_at > now)
        err = make_waiting(queue, item, entry->next_at);
    if (err || entry->next_at <= now)
        make_ready(queue, item, false);
    *ret_item = item;
    return BH_OK;
}

void bh_queue_remove(struct bh_queue *queue, struct bh_queue_item *item)
{
    struct bh_lane *lane = item->lane;

    detach(queue, item);
    bh_item_free(queue, item);
    if (--lane->item_count == 0)
        bh_lane_release(queue, lane);
}

void bh_queue_put_back(struct bh_queue *queue, struct bh_queue_item *item)
{
    if (item->path)
        bh_path_refund(queue, item->path);
    detach(queue, item);
    make_ready(queue, item, true);
}

bh_err bh_queue_defer(struct bh_queue *queue, struct bh_queue_item *item, uint32_t attempts, bh_time_ms next_at)
{
    bh_err err;

    detach(queue, item);
    item->attempts = (uint16_t)(attempts > UINT16_MAX ? UINT16_MAX : attempts);
    err = make_waiting(queue, item, next_at);
    if (err)
        make_ready(queue, item, false);
    return err;
}

void bh_queue_hurry(struct bh_queue *queue, struct bh_queue_item *item)
{
    if (item->state != BH_QUEUE_WAITING)
        return;
    detach(queue, item);
    make_ready(queue, item, false);
}

void bh_queue_hold_item(struct bh_queue *queue, struct bh_queue_item *item)
{
    item->flags |= BH_QUEUE_HOLD;
    if (item->state != BH_QUEUE_WAITING && item->state != BH_QUEUE_READY && item->state != BH_QUEUE_EXPIRED)
        return;
    detach(queue, item);
    make_held(queue, item);
}

void bh_queue_release_item(struct bh_queue *queue, struct bh_queue_item *item)
{
    item->flags = (uint8_t)(item->flags & ~BH_QUEUE_HOLD);
    if (item->state != BH_QUEUE_HELD)
        return;
    detach(queue, item);
    make_ready(queue, item, false);
}

/* ---- time ---- */

void bh_queue_advance(struct bh_queue *queue, bh_time_ms now)
{
    struct bh_heap_node *node;

    queue->now = now > queue->now ? now : queue->now;
    while ((node = bh_heap_first(&queue->timers)) && node->key <= timer_key(now, TIMER_PATH)) {
        struct bh_queue_item *item;

        if (node->key & 1) {
            bh_path_due(queue, BH_CONTAINER_OF(node, struct bh_path, timer));
            continue;
        }
        item = BH_CONTAINER_OF(node, struct bh_queue_item, at.timer);
        detach(queue, item);
        make_ready(queue, item, false);
    }
}

bh_time_ms bh_queue_next_at(const struct bh_queue *queue)
{
    const struct bh_heap_node *first = bh_heap_first(&queue->timers);

    return first ? first->key / 2 : INT64_MAX;
}

/* ---- taking ---- */

struct bh_queue_item *bh_queue_take(struct bh_queue *queue, size_t slots)
{
    struct bh_lane *lane = queue->counts.taken < slots ? bh_lane_next(queue, slots) : NULL;
    struct bh_queue_item *item;

    if (!lane)
        return NULL;
    item = BH_CONTAINER_OF(bh_list_take(&lane->ready), struct bh_queue_item, at.node);
    queue->counts.ready--;
    take(queue, item, lane->path);
    return item;
}

struct bh_queue_item *bh_queue_take_expired(struct bh_queue *queue)
{
    struct bh_list *node = bh_list_first(&queue->expired);
    struct bh_queue_item *item = node ? BH_CONTAINER_OF(node, struct bh_queue_item, at.node) : NULL;

    if (!item)
        return NULL;
    take_out_of_turn(queue, item);
    return item;
}

bh_err bh_queue_take_item(struct bh_queue *queue, struct bh_queue_item *item)
{
    if (item->state == BH_QUEUE_TAKEN || item->state == BH_QUEUE_SETTLED)
        return BH_E_BUSY;
    take_out_of_turn(queue, item);
    return BH_OK;
}

void bh_queue_settle(struct bh_queue *queue, struct bh_queue_item *item)
{
    void *holder = item->at.holder;

    detach(queue, item);
    item->state = BH_QUEUE_SETTLED;
    item->at.holder = holder;
    queue->counts.settled++;
}

void bh_queue_count(const struct bh_queue *queue, struct bh_queue_counts *ret_counts)
{
    *ret_counts = queue->counts;
    ret_counts->lanes = queue->lanes.count;
    ret_counts->sites = queue->sites.count;
    ret_counts->customers = queue->customers.count;
    ret_counts->bytes += queue->slab_count * sizeof(struct slab) + queue->bucket_count * sizeof(void *) +
                         (queue->timers.cap + queue->customers_ready.cap) * sizeof(void *) +
                         queue->customers.count * sizeof(struct bh_queue_customer);
}
