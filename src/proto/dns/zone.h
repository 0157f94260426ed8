/* zone.h: zones as a server holds them: immutable once built, counted by reference, found by longest suffix.
 *
 * A zone is one block of memory: its nodes in canonical order (which is also the order of NSEC and of a transfer), the
 * RRsets of each node by type, the bytes of names and rdata, and a hash table from names to nodes. Empty non-terminals
 * are nodes without RRsets. Each node knows its parent and the topmost zone cut at or above it, so that one probe of
 * the longest existing ancestor tells everything about a name. A set of zones (one snapshot) is a hash table of
 * references; replacing one zone leaves all others as they are. */
#ifndef BH_PROTO_DNS_ZONE_H
#define BH_PROTO_DNS_ZONE_H

#include "rdata.h"

enum {
    BH_DNS_ZONE_RECORDS_MAX = 1000000,
    BH_DNS_ZONE_BYTES_MAX = 256 << 20, /* of names and rdata */
    BH_DNS_NO_NODE = 0xffffffff
};

struct bh_dns_rrset {
    uint16_t type;
    uint16_t count;
    uint32_t ttl_s;
    uint32_t at; /* in bytes: `count` times a length (u16) and rdata, in canonical order */
};

enum {
    BH_DNS_NODE_WILDCARD_CHILD = 1 /* `*.` below it exists */
};

struct bh_dns_node {
    uint32_t hash;
    uint32_t name_at; /* in bytes */
    uint32_t rrsets_at;
    uint32_t parent; /* BH_DNS_NO_NODE for the apex */
    uint32_t cut;    /* topmost delegation at or above, or BH_DNS_NO_NODE */
    uint16_t rrsets; /* 0: empty non-terminal */
    uint8_t name_n;
    uint8_t flags;
};

/* Read only. Node 0 is the apex. */
struct bh_dns_zone {
    unsigned refs;
    uint32_t nodes;
    uint32_t slots_mask;
    uint32_t serial;
    uint32_t negative_ttl_s; /* min(SOA TTL, SOA minimum), RFC 2308 3 */
    uint64_t seed;
    size_t size_bytes; /* the whole block */
    const struct bh_dns_node *node;
    const struct bh_dns_rrset *rrset;
    const uint32_t *slot; /* node + 1, or 0 */
    const unsigned char *bytes;
};

static inline bh_str bh_dns_node_name(const struct bh_dns_zone *zone, const struct bh_dns_node *node)
{
    return (bh_str){(const char *)zone->bytes + node->name_at, node->name_n};
}
static inline bh_str bh_dns_zone_name(const struct bh_dns_zone *zone)
{
    return bh_dns_node_name(zone, zone->node);
}
/* The RRset of `type` at the node, or NULL. */
const struct bh_dns_rrset *bh_dns_node_rrset(const struct bh_dns_zone *zone, const struct bh_dns_node *node,
                                             uint16_t type);
/* The rdata of an RRset one by one: start with *at = rrset->at and call it rrset->count times. */
static inline bh_str bh_dns_rrset_next(const struct bh_dns_zone *zone, uint32_t *at)
{
    const unsigned char *p = zone->bytes + *at;
    size_t n = (size_t)p[0] << 8 | p[1];

    *at += 2 + (uint32_t)n;
    return (bh_str){(const char *)p + 2, n};
}

/* The TTL of one record in a transfer or a file: an RRSIG has that of what it covers (RFC 4034 3.1.4), though all
 * RRSIGs of a name are kept as one RRset. */
uint32_t bh_dns_rrset_ttl(const struct bh_dns_rrset *rrset, bh_str rdata);

struct bh_dns_zone *bh_dns_zone_ref(struct bh_dns_zone *zone);
/* The last reference frees the zone. NULL is fine. */
void bh_dns_zone_unref(struct bh_dns_zone *zone);

/* ---- building ---- */

/* Collects the records of one zone; may be used again for the next. Owner: the caller. */
struct bh_dns_zone_builder;

/* `seed` of the set (bh_dns_zones_seed) that the zones are for. NULL when out of memory. */
struct bh_dns_zone_builder *bh_dns_zone_builder_new(uint64_t seed);
void bh_dns_zone_builder_free(struct bh_dns_zone_builder *builder);
/* Forgets what was added and starts a zone. */
void bh_dns_zone_builder_begin(struct bh_dns_zone_builder *builder, bh_str apex);
/* Adds a record of class IN with valid wire rdata; copies. Order does not matter, duplicates are dropped. BH_E_INVALID
 * (owner outside the zone, rdata that does not fit, a meta type), BH_E_UNSUPPORTED (DNAME), BH_E_LIMIT, BH_E_NOMEM. */
BH_MUST bh_err bh_dns_zone_builder_add(struct bh_dns_zone_builder *builder, bh_str owner, uint32_t ttl_s, uint16_t type,
                                       bh_str rdata);
/* Makes the zone, with one reference. BH_E_INVALID: not exactly one SOA at the apex, or data beside a CNAME, or two
 * CNAMEs; *ret_why says which (static) and *ret_at is the owner's name (valid until the next _begin). BH_E_NOMEM. */
BH_MUST bh_err bh_dns_zone_builder_finish(struct bh_dns_zone_builder *builder, struct bh_dns_zone **ret_zone,
                                          const char **ret_why, bh_str *ret_at);

/* ---- looking up ---- */

/* The hashes of all suffixes of a name, made in one pass: hash[i] is that of the name without its first i labels. */
struct bh_dns_name_hashes {
    unsigned labels;
    uint32_t hash[BH_DNS_LABELS_MAX + 1];
    uint8_t at[BH_DNS_LABELS_MAX + 1]; /* offsets of these suffixes */
};
void bh_dns_name_hashes(bh_str name, uint64_t seed, struct bh_dns_name_hashes *ret_hashes);

struct bh_dns_zone_match {
    const struct bh_dns_node *node;    /* the name itself, or the wildcard that stands for it, or NULL */
    const struct bh_dns_node *closest; /* the closest encloser (RFC 4592 3.3.1); the node itself on an exact match */
    const struct bh_dns_node *cut;     /* the delegation at or above the closest encloser, or NULL */
    bool wildcard;
};

/* Looks for `name`, which is at or below the apex. */
void bh_dns_zone_find(const struct bh_dns_zone *zone, bh_str name, struct bh_dns_zone_match *ret_match);
/* The same with the name's hashes made before, with the zone's seed. */
void bh_dns_zone_find_hashed(const struct bh_dns_zone *zone, bh_str name, const struct bh_dns_name_hashes *hashes,
                             struct bh_dns_zone_match *ret_match);

/* ---- sets ---- */

struct bh_dns_zones;

/* An empty set; `seed` is random. NULL when out of memory. */
struct bh_dns_zones *bh_dns_zones_new(uint64_t seed);
/* Drops its references. */
void bh_dns_zones_free(struct bh_dns_zones *zones);
uint64_t bh_dns_zones_seed(const struct bh_dns_zones *zones);
size_t bh_dns_zones_count(const struct bh_dns_zones *zones);
/* Adds the zone, or replaces the one of that name; takes over the caller's reference, also on error. BH_E_NOMEM,
 * BH_E_BUG (another seed). */
BH_MUST bh_err bh_dns_zones_put(struct bh_dns_zones *zones, struct bh_dns_zone *zone);
/* False when there was none. */
bool bh_dns_zones_remove(struct bh_dns_zones *zones, bh_str apex);
/* The zone of exactly that name, or NULL. */
struct bh_dns_zone *bh_dns_zones_get(const struct bh_dns_zones *zones, bh_str apex);
/* The zone with the longest apex at or above the name without its first `skip` labels, or NULL. */
struct bh_dns_zone *bh_dns_zones_find(const struct bh_dns_zones *zones, bh_str name,
                                      const struct bh_dns_name_hashes *hashes, unsigned skip);
/* All zones in no order: start with *place = 0; NULL ends. The set must not change meanwhile. */
struct bh_dns_zone *bh_dns_zones_next(const struct bh_dns_zones *zones, size_t *place);

#endif
