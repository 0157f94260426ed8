/* map.h: intrusive hash map keyed by bytes. A node lives inside its object; the map owns only its table, and the
 * key view must stay valid while the node is in. Hashing is SipHash-1-3 with a secret seed, so that strangers who
 * choose keys cannot choose collisions. */
#ifndef BH_BASE_MAP_H
#define BH_BASE_MAP_H

#include "str.h"

struct bh_map_node {
    struct bh_map_node *next;
    uint64_t hash;
    bh_str key;
};

struct bh_map {
    struct bh_map_node **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
    uint64_t seed[2];
};

/* An empty map; allocates nothing. `seed`: 16 random bytes (see random.h). */
void bh_map_init(struct bh_map *map, const uint64_t seed[2]);
/* Frees the table, not the objects. */
void bh_map_free(struct bh_map *map);
/* Adds `node` under `key`. BH_E_EXISTS if the key is in, BH_E_NOMEM; the map is unchanged then. */
BH_MUST bh_err bh_map_add(struct bh_map *map, bh_str key, struct bh_map_node *node);
/* The node, or NULL. */
struct bh_map_node *bh_map_get(const struct bh_map *map, bh_str key);
/* Takes `node`, which must be in, out. */
void bh_map_remove(struct bh_map *map, struct bh_map_node *node);
/* All nodes in no order: start with NULL; NULL ends. Removing the returned node before the next call is not allowed. */
struct bh_map_node *bh_map_next(const struct bh_map *map, const struct bh_map_node *node);

uint64_t bh_siphash13(const uint64_t seed[2], bh_str bytes);
/* SipHash-2-4, the variant that RFC 9018 cookies use. */
uint64_t bh_siphash24(const uint64_t seed[2], bh_str bytes);

#endif
