/* map.c: chained hash table that doubles when full. See map.h. */
#include "map.h"
#include <stdlib.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static uint64_t siphash(const uint64_t seed[2], bh_str bytes, int c_rounds, int d_rounds)
{
    struct sip s = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
                    seed[1] ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)bytes.n << 56;
    size_t whole = bytes.n & ~(size_t)7;

    for (size_t i = 0; i < whole; i += 8) {
        uint64_t m;

        memcpy(&m, bytes.p + i, 8);
        s.v3 ^= m;
        for (int r = 0; r < c_rounds; r++)
            sip_round(&s);
        s.v0 ^= m;
    }
    for (size_t i = whole; i < bytes.n; i++)
        last |= (uint64_t)(unsigned char)bytes.p[i] << (8 * (i - whole));
    s.v3 ^= last;
    for (int r = 0; r < c_rounds; r++)
        sip_round(&s);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    for (int r = 0; r < d_rounds; r++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t bh_siphash13(const uint64_t seed[2], bh_str bytes)
{
    return siphash(seed, bytes, 1, 3);
}

uint64_t bh_siphash24(const uint64_t seed[2], bh_str bytes)
{
    return siphash(seed, bytes, 2, 4);
}

void bh_map_init(struct bh_map *map, const uint64_t seed[2])
{
    *map = (struct bh_map){.seed = {seed[0], seed[1]}};
}

void bh_map_free(struct bh_map *map)
{
    free(map->buckets);
    map->buckets = NULL;
    map->bucket_count = map->count = 0;
}

static struct bh_map_node **bucket_of(const struct bh_map *map, uint64_t hash)
{
    return &map->buckets[hash & (map->bucket_count - 1)];
}

static bh_err grow(struct bh_map *map)
{
    struct bh_map old = *map;
    size_t count = old.bucket_count ? old.bucket_count * 2 : 16;
    struct bh_map_node **buckets = calloc(count, sizeof(struct bh_map_node *));

    if (!buckets)
        return BH_E_NOMEM;
    map->buckets = buckets;
    map->bucket_count = count;
    for (size_t i = 0; i < old.bucket_count; i++) {
        struct bh_map_node *node = old.buckets[i];

        while (node) {
            struct bh_map_node *next = node->next;
            struct bh_map_node **bucket = bucket_of(map, node->hash);

            node->next = *bucket;
            *bucket = node;
            node = next;
        }
    }
    free(old.buckets);
    return BH_OK;
}

static struct bh_map_node *find(const struct bh_map *map, uint64_t hash, bh_str key)
{
    struct bh_map_node *node = map->bucket_count ? *bucket_of(map, hash) : NULL;

    while (node && !(node->hash == hash && bh_str_eq(node->key, key)))
        node = node->next;
    return node;
}

bh_err bh_map_add(struct bh_map *map, bh_str key, struct bh_map_node *node)
{
    uint64_t hash = bh_siphash13(map->seed, key);
    struct bh_map_node **bucket;

    if (find(map, hash, key))
        return BH_E_EXISTS;
    if (map->count >= map->bucket_count && grow(map))
        return BH_E_NOMEM;
    bucket = bucket_of(map, hash);
    *node = (struct bh_map_node){*bucket, hash, key};
    *bucket = node;
    map->count++;
    return BH_OK;
}

struct bh_map_node *bh_map_get(const struct bh_map *map, bh_str key)
{
    return map->bucket_count ? find(map, bh_siphash13(map->seed, key), key) : NULL;
}

void bh_map_remove(struct bh_map *map, struct bh_map_node *node)
{
    struct bh_map_node **link = bucket_of(map, node->hash);

    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    node->next = NULL;
    map->count--;
}

struct bh_map_node *bh_map_next(const struct bh_map *map, const struct bh_map_node *node)
{
    size_t i = 0;

    if (node) {
        if (node->next)
            return node->next;
        i = (node->hash & (map->bucket_count - 1)) + 1;
    }
    for (; i < map->bucket_count; i++)
        if (map->buckets[i])
            return map->buckets[i];
    return NULL;
}
