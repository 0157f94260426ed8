/* cache.c: see cache.h. An entry is one allocation: the nodes, the key, the value. */
#include "cache.h"
#include <stdlib.h>

struct entry {
    struct bh_map_node node;
    struct bh_list order;
    size_t value_n;
    char bytes[]; /* key, value */
};

void bh_cache_init(struct bh_cache *cache, const uint64_t seed[2], size_t max)
{
    *cache = (struct bh_cache){.max = max};
    bh_map_init(&cache->map, seed);
    bh_list_init(&cache->order);
}

static void forget(struct bh_cache *cache, struct entry *entry)
{
    bh_map_remove(&cache->map, &entry->node);
    bh_list_remove(&entry->order);
    free(entry);
}

void bh_cache_clear(struct bh_cache *cache)
{
    for (struct bh_list *node; (node = bh_list_first(&cache->order));)
        forget(cache, BH_CONTAINER_OF(node, struct entry, order));
}

void bh_cache_free(struct bh_cache *cache)
{
    bh_cache_clear(cache);
    bh_map_free(&cache->map);
}

void bh_cache_set_version(struct bh_cache *cache, uint64_t version)
{
    if (version <= cache->version)
        return;
    cache->version = version;
    bh_cache_clear(cache);
}

bh_str bh_cache_get(const struct bh_cache *cache, bh_str key)
{
    const struct bh_map_node *node = bh_map_get(&cache->map, key);
    const struct entry *entry;

    if (!node)
        return (bh_str){NULL, 0};
    entry = BH_CONTAINER_OF(node, struct entry, node);
    return bh_str_of(entry->bytes + entry->node.key.n, entry->value_n);
}

void bh_cache_put(struct bh_cache *cache, uint64_t version, bh_str key, bh_str value)
{
    struct bh_map_node *old;
    struct entry *entry;

    bh_cache_set_version(cache, version);
    if (version < cache->version)
        return;
    old = bh_map_get(&cache->map, key);
    if (old)
        forget(cache, BH_CONTAINER_OF(old, struct entry, node));
    else if (cache->map.count >= cache->max)
        forget(cache, BH_CONTAINER_OF(bh_list_first(&cache->order), struct entry, order));
    entry = calloc(1, sizeof(*entry) + key.n + value.n);
    if (!entry)
        return;
    if (key.n)
        memcpy(entry->bytes, key.p, key.n);
    if (value.n)
        memcpy(entry->bytes + key.n, value.p, value.n);
    entry->value_n = value.n;
    if (bh_map_add(&cache->map, bh_str_of(entry->bytes, key.n), &entry->node))
        free(entry);
    else
        bh_list_push(&cache->order, &entry->order);
}
