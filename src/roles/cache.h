/* cache.h: answers of controld, kept until the facts behind them change. Each answer carries the version of control.db
 * that it was made from; a newer version, told with an answer or by VERSION, empties the cache. Bounded: the oldest
 * entry makes room. */
#ifndef BH_ROLES_CACHE_H
#define BH_ROLES_CACHE_H

#include "base/list.h"
#include "base/map.h"

struct bh_cache {
    struct bh_map map;
    struct bh_list order; /* oldest first */
    uint64_t version;
    size_t max;
};

void bh_cache_init(struct bh_cache *cache, const uint64_t seed[2], size_t max);
/* Empties it; it can be used again. */
void bh_cache_clear(struct bh_cache *cache);
void bh_cache_free(struct bh_cache *cache);
/* What is older than `version` is forgotten. */
void bh_cache_set_version(struct bh_cache *cache, uint64_t version);
/* A view that lives until the next put, or {NULL, 0}. */
bh_str bh_cache_get(const struct bh_cache *cache, bh_str key);
/* Copies both. Out of memory, or older than the cache: not kept. */
void bh_cache_put(struct bh_cache *cache, uint64_t version, bh_str key, bh_str value);

#endif
