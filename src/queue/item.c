/* item.c: items come from slabs that are kept, and are found by (message, index) in a chained table. */
#include "internal.h"
#include <stdlib.h>

static size_t bucket_of(const struct bh_queue *queue, uint64_t message, uint32_t idx)
{
    /* numbers are our own, so no stranger can choose collisions */
    uint64_t h = (message ^ (uint64_t)idx * 0xff51afd7ed558ccdu ^ queue->options.seed[0]) * 0x9e3779b97f4a7c15u;

    return (size_t)(h >> 20) & (queue->bucket_count - 1);
}

static bool grow(struct bh_queue *queue)
{
    struct bh_queue_item **old = queue->buckets;
    size_t old_count = queue->bucket_count;
    size_t count = old_count ? old_count * 2 : 1024;
    struct bh_queue_item **buckets = calloc(count, sizeof(struct bh_queue_item *));

    if (!buckets)
        return false;
    queue->buckets = buckets;
    queue->bucket_count = count;
    for (size_t i = 0; i < old_count; i++)
        for (struct bh_queue_item *item = old[i], *next; item; item = next) {
            size_t b = bucket_of(queue, item->message, item->idx);

            next = item->hash_next;
            item->hash_next = buckets[b];
            buckets[b] = item;
        }
    free(old);
    return true;
}

static bool add_slab(struct bh_queue *queue)
{
    struct slab *slab = calloc(1, sizeof(*slab));

    if (!slab)
        return false;
    slab->next = queue->slabs;
    queue->slabs = slab;
    queue->slab_count++;
    for (size_t i = 0; i < SLAB_ITEMS; i++) {
        slab->items[i].hash_next = queue->free_items;
        queue->free_items = &slab->items[i];
    }
    return true;
}

struct bh_queue_item *bh_item_new(struct bh_queue *queue, uint64_t message, uint32_t idx)
{
    struct bh_queue_item *item;
    size_t b;

    if (queue->counts.items >= queue->bucket_count && !grow(queue))
        return NULL;
    if (!queue->free_items && !add_slab(queue))
        return NULL;
    item = queue->free_items;
    queue->free_items = item->hash_next;
    b = bucket_of(queue, message, idx);
    *item = (struct bh_queue_item){.message = message, .idx = idx, .hash_next = queue->buckets[b]};
    queue->buckets[b] = item;
    queue->counts.items++;
    return item;
}

void bh_item_free(struct bh_queue *queue, struct bh_queue_item *item)
{
    struct bh_queue_item **link = &queue->buckets[bucket_of(queue, item->message, item->idx)];

    while (*link != item)
        link = &(*link)->hash_next;
    *link = item->hash_next;
    item->hash_next = queue->free_items;
    queue->free_items = item;
    queue->counts.items--;
}

struct bh_queue_item *bh_queue_find(const struct bh_queue *queue, uint64_t message, uint32_t idx)
{
    struct bh_queue_item *item = queue->bucket_count ? queue->buckets[bucket_of(queue, message, idx)] : NULL;

    while (item && !(item->message == message && item->idx == idx))
        item = item->hash_next;
    return item;
}

void bh_items_free(struct bh_queue *queue)
{
    while (queue->slabs) {
        struct slab *next = queue->slabs->next;

        free(queue->slabs);
        queue->slabs = next;
    }
    free(queue->buckets);
}
