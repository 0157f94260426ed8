/* meter.c: see meter.h. */
#include "meter.h"
#include <stdlib.h>

struct reading {
    struct bh_map_node node;
    struct bh_list order;
    bh_time_ms since;
    uint32_t count;
    char key[BH_METER_KEY_MAX];
};

void bh_meter_init(struct bh_meter *meter, const uint64_t seed[2], size_t max, int64_t window_ms)
{
    *meter = (struct bh_meter){.max = max, .window_ms = window_ms};
    bh_map_init(&meter->map, seed);
    bh_list_init(&meter->order);
}

static void forget(struct bh_meter *meter, struct reading *reading)
{
    bh_map_remove(&meter->map, &reading->node);
    bh_list_remove(&reading->order);
    free(reading);
}

void bh_meter_free(struct bh_meter *meter)
{
    for (struct bh_list *node; (node = bh_list_first(&meter->order));)
        forget(meter, BH_CONTAINER_OF(node, struct reading, order));
    bh_map_free(&meter->map);
}

static struct reading *find(const struct bh_meter *meter, bh_str key)
{
    struct bh_map_node *node = bh_map_get(&meter->map, bh_str_sub(key, 0, BH_METER_KEY_MAX));

    return node ? BH_CONTAINER_OF(node, struct reading, node) : NULL;
}

static struct reading *add(struct bh_meter *meter, bh_str key)
{
    struct reading *reading = calloc(1, sizeof(*reading));

    if (!reading)
        return NULL;
    key = bh_str_sub(key, 0, BH_METER_KEY_MAX);
    if (key.n)
        memcpy(reading->key, key.p, key.n);
    if (meter->map.count >= meter->max)
        forget(meter, BH_CONTAINER_OF(bh_list_first(&meter->order), struct reading, order));
    if (bh_map_add(&meter->map, bh_str_of(reading->key, key.n), &reading->node)) {
        free(reading);
        return NULL;
    }
    bh_list_push(&meter->order, &reading->order);
    return reading;
}

static bool is_over(const struct bh_meter *meter, const struct reading *reading, bh_time_ms now)
{
    return now - reading->since >= meter->window_ms || now < reading->since;
}

uint32_t bh_meter_count(struct bh_meter *meter, bh_str key, bh_time_ms now)
{
    struct reading *reading = find(meter, key);

    if (!reading)
        reading = add(meter, key);
    if (!reading)
        return 0;
    if (!reading->count || is_over(meter, reading, now)) {
        reading->since = now;
        reading->count = 0;
        bh_list_remove(&reading->order);
        bh_list_push(&meter->order, &reading->order);
    }
    return reading->count < UINT32_MAX ? ++reading->count : reading->count;
}

uint32_t bh_meter_read(const struct bh_meter *meter, bh_str key, bh_time_ms now)
{
    const struct reading *reading = find(meter, key);

    return reading && !is_over(meter, reading, now) ? reading->count : 0;
}
