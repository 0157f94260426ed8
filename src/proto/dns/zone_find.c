/* Finding names in zones and zones in sets. A name's suffixes are hashed in one pass from its end; the hash of a
 * suffix is the state after that suffix's length byte, so a name and all its ancestors cost one walk. */
#include "zone.h"
#include <stdlib.h>

enum { SLOTS_MIN = 16 };

/* ---- hashes ---- */

static uint64_t hash_byte(uint64_t state, unsigned char byte)
{
    return (state ^ byte) * 0x9e3779b97f4a7c15u;
}

static uint32_t fold(uint64_t state)
{
    return (uint32_t)(state >> 32) ^ (uint32_t)(state >> 7);
}

static uint64_t hash_label(uint64_t state, const char *label)
{
    size_t n = (unsigned char)label[0];

    for (size_t i = n; i > 0; i--)
        state = hash_byte(state, (unsigned char)bh_to_lower(label[i]));
    state ^= state >> 29;
    return hash_byte(state, (unsigned char)n);
}

void bh_dns_name_hashes(bh_str name, uint64_t seed, struct bh_dns_name_hashes *ret_hashes)
{
    unsigned labels = 0;
    uint64_t state = seed;

    for (size_t at = 0; name.p[at]; at += 1u + (unsigned char)name.p[at])
        ret_hashes->at[labels++] = (uint8_t)at;
    ret_hashes->at[labels] = (uint8_t)(name.n - 1);
    ret_hashes->hash[labels] = fold(state);
    ret_hashes->labels = labels;
    while (labels-- > 0) {
        state = hash_label(state, name.p + ret_hashes->at[labels]);
        ret_hashes->hash[labels] = fold(state);
    }
}

/* ---- nodes ---- */

const struct bh_dns_rrset *bh_dns_node_rrset(const struct bh_dns_zone *zone, const struct bh_dns_node *node,
                                             uint16_t type)
{
    const struct bh_dns_rrset *rrset = zone->rrset + node->rrsets_at;

    for (unsigned i = 0; i < node->rrsets; i++)
        if (rrset[i].type == type)
            return &rrset[i];
    return NULL;
}

uint32_t bh_dns_rrset_ttl(const struct bh_dns_rrset *rrset, bh_str rdata)
{
    struct bh_cur cur = bh_cur_make(bh_str_skip(rdata, 4));

    return rrset->type == BH_DNS_RRSIG ? bh_cur_u32(&cur) : rrset->ttl_s;
}

static const struct bh_dns_node *find_node(const struct bh_dns_zone *zone, bh_str name, uint32_t hash)
{
    for (uint32_t i = hash & zone->slots_mask; zone->slot[i]; i = (i + 1) & zone->slots_mask) {
        const struct bh_dns_node *node = zone->node + zone->slot[i] - 1;

        if (node->hash == hash && bh_dns_name_eq(bh_dns_node_name(zone, node), name))
            return node;
    }
    return NULL;
}

static const struct bh_dns_node *find_wildcard(const struct bh_dns_zone *zone, const struct bh_dns_node *encloser)
{
    struct bh_dns_name name;
    struct bh_dns_name_hashes hashes;

    if (!(encloser->flags & BH_DNS_NODE_WILDCARD_CHILD) ||
        bh_dns_name_wildcard(bh_dns_node_name(zone, encloser), &name) != BH_OK)
        return NULL;
    bh_dns_name_hashes(bh_dns_name_view(&name), zone->seed, &hashes);
    return find_node(zone, bh_dns_name_view(&name), hashes.hash[0]);
}

void bh_dns_zone_find_hashed(const struct bh_dns_zone *zone, bh_str name, const struct bh_dns_name_hashes *hashes,
                             struct bh_dns_zone_match *ret_match)
{
    const struct bh_dns_node *node = NULL;
    unsigned skip = 0;

    for (; skip < hashes->labels; skip++) {
        node = find_node(zone, bh_str_skip(name, hashes->at[skip]), hashes->hash[skip]);
        if (node)
            break;
    }
    node = node ? node : zone->node; /* only the root zone's apex is not met on the way */
    *ret_match = (struct bh_dns_zone_match){.closest = node};
    if (node->cut != BH_DNS_NO_NODE)
        ret_match->cut = zone->node + node->cut;
    if (node->name_n == name.n) {
        ret_match->node = node;
    } else if (!ret_match->cut) {
        ret_match->node = find_wildcard(zone, node);
        ret_match->wildcard = ret_match->node != NULL;
    }
}

void bh_dns_zone_find(const struct bh_dns_zone *zone, bh_str name, struct bh_dns_zone_match *ret_match)
{
    struct bh_dns_name_hashes hashes;

    bh_dns_name_hashes(name, zone->seed, &hashes);
    bh_dns_zone_find_hashed(zone, name, &hashes, ret_match);
}

struct bh_dns_zone *bh_dns_zone_ref(struct bh_dns_zone *zone)
{
    zone->refs++;
    return zone;
}

void bh_dns_zone_unref(struct bh_dns_zone *zone)
{
    if (zone && --zone->refs == 0)
        free(zone);
}

/* ---- sets: open addressing with linear probing; removal moves the followers up, so there are no tombstones ---- */

struct zone_slot {
    uint32_t hash;
    struct bh_dns_zone *zone;
};

struct bh_dns_zones {
    uint64_t seed;
    size_t count;
    size_t mask;
    struct zone_slot *slot;
};

struct bh_dns_zones *bh_dns_zones_new(uint64_t seed)
{
    struct bh_dns_zones *zones = calloc(1, sizeof *zones);

    if (!zones)
        return NULL;
    zones->seed = seed;
    zones->mask = SLOTS_MIN - 1;
    zones->slot = calloc(SLOTS_MIN, sizeof *zones->slot);
    if (!zones->slot) {
        free(zones);
        return NULL;
    }
    return zones;
}

void bh_dns_zones_free(struct bh_dns_zones *zones)
{
    if (!zones)
        return;
    for (size_t i = 0; i <= zones->mask; i++)
        bh_dns_zone_unref(zones->slot[i].zone);
    free(zones->slot);
    free(zones);
}

uint64_t bh_dns_zones_seed(const struct bh_dns_zones *zones)
{
    return zones->seed;
}

size_t bh_dns_zones_count(const struct bh_dns_zones *zones)
{
    return zones->count;
}

/* Where the zone `apex` is, or the free slot where it would be. */
static struct zone_slot *find_slot(const struct bh_dns_zones *zones, bh_str apex, uint32_t hash)
{
    for (size_t i = hash & zones->mask;; i = (i + 1) & zones->mask) {
        struct zone_slot *slot = &zones->slot[i];

        if (!slot->zone || (slot->hash == hash && bh_dns_name_eq(bh_dns_zone_name(slot->zone), apex)))
            return slot;
    }
}

static bh_err grow(struct bh_dns_zones *zones)
{
    struct bh_dns_zones bigger = *zones;

    bigger.mask = zones->mask * 2 + 1;
    bigger.slot = calloc(bigger.mask + 1, sizeof *bigger.slot);
    if (!bigger.slot)
        return BH_E_NOMEM;
    for (size_t i = 0; i <= zones->mask; i++) {
        struct zone_slot slot = zones->slot[i];

        if (slot.zone)
            *find_slot(&bigger, bh_dns_zone_name(slot.zone), slot.hash) = slot;
    }
    free(zones->slot);
    *zones = bigger;
    return BH_OK;
}

bh_err bh_dns_zones_put(struct bh_dns_zones *zones, struct bh_dns_zone *zone)
{
    bh_err err = zone->seed != zones->seed ? BH_E_BUG : BH_OK;
    struct zone_slot *slot;

    if (!err && (zones->count + 1) * 2 > zones->mask)
        err = grow(zones);
    if (err) {
        bh_dns_zone_unref(zone);
        return err;
    }
    slot = find_slot(zones, bh_dns_zone_name(zone), zone->node->hash);
    if (slot->zone)
        bh_dns_zone_unref(slot->zone);
    else
        zones->count++;
    *slot = (struct zone_slot){zone->node->hash, zone};
    return BH_OK;
}

static struct zone_slot *find_exact(const struct bh_dns_zones *zones, bh_str apex)
{
    struct bh_dns_name_hashes hashes;

    bh_dns_name_hashes(apex, zones->seed, &hashes);
    return find_slot(zones, apex, hashes.hash[0]);
}

bool bh_dns_zones_remove(struct bh_dns_zones *zones, bh_str apex)
{
    struct zone_slot *slot = find_exact(zones, apex);
    size_t hole = (size_t)(slot - zones->slot);

    if (!slot->zone)
        return false;
    bh_dns_zone_unref(slot->zone);
    zones->count--;
    for (size_t i = (hole + 1) & zones->mask; zones->slot[i].zone; i = (i + 1) & zones->mask) {
        size_t home = zones->slot[i].hash & zones->mask;

        if (((i - home) & zones->mask) < ((i - hole) & zones->mask))
            continue; /* it would stand before its home */
        zones->slot[hole] = zones->slot[i];
        hole = i;
    }
    zones->slot[hole] = (struct zone_slot){0};
    return true;
}

struct bh_dns_zone *bh_dns_zones_get(const struct bh_dns_zones *zones, bh_str apex)
{
    return find_exact(zones, apex)->zone;
}

struct bh_dns_zone *bh_dns_zones_find(const struct bh_dns_zones *zones, bh_str name,
                                      const struct bh_dns_name_hashes *hashes, unsigned skip)
{
    for (; skip <= hashes->labels; skip++) {
        struct zone_slot *slot = find_slot(zones, bh_str_skip(name, hashes->at[skip]), hashes->hash[skip]);

        if (slot->zone)
            return slot->zone;
    }
    return NULL;
}

struct bh_dns_zone *bh_dns_zones_next(const struct bh_dns_zones *zones, size_t *place)
{
    while (*place <= zones->mask) {
        struct bh_dns_zone *zone = zones->slot[(*place)++].zone;

        if (zone)
            return zone;
    }
    return NULL;
}
