/* zones.h: which zones our name servers serve, and what is in them.
 *
 *   on.esp.example             the platform zone: name servers, MX, HELO names, our own mail, delegation of the rest
 *   ab.dkim.on.esp.example     one zone per shard and kind in use: what customers' CNAMEs and includes point at
 *   rua.on.esp.example         where aggregate reports go, with one authorisation record per domain (RFC 9990)
 *   email.customer.example     each delegated zone
 *
 * A shard zone and the rua zone gather many domains: begin, add each, and it is done; so the caller can read the
 * domains from the store one by one. */
#ifndef BH_DOMAIN_ZONES_H
#define BH_DOMAIN_ZONES_H

#include "approach.h"

/* How long the absence of a name in our zones may be remembered (RFC 2308 5): the minimum in their SOA records. */
uint32_t bh_zone_negative_ttl_s(const struct bh_platform *platform);

/* The kinds of shard zones: "dkim", "bounce", "link", "spf"; NULL ends. */
const char *bh_shard_kind(size_t index);
/* `shard.kind.platform` in the arena. */
bh_str bh_shard_zone_name(struct bh_arena *arena, const struct bh_platform *platform, bh_str shard, const char *kind);
/* True when the domain has something in shard zones. */
bool bh_domain_has_targets(const struct bh_domain *domain);
/* True when the domain has a zone of its own. */
bool bh_domain_has_zone(const struct bh_domain *domain);

/* The platform zone. `own` is the platform's own domain (NULL before it exists); `children` are the apexes of the
 * shard zones and the rua zone, which are delegated from here to the same servers. */
BH_MUST bh_err bh_build_platform_zone(struct bh_arena *arena, const struct bh_platform *platform,
                                      const struct bh_domain_view *own, const bh_str *children, size_t child_count,
                                      struct bh_zone *ret_zone);

/* An empty shard zone with SOA and NS; then bh_shard_zone_add per domain of that shard. */
BH_MUST bh_err bh_shard_zone_begin(struct bh_arena *arena, const struct bh_platform *platform, bh_str shard,
                                   const char *kind, struct bh_zone *ret_zone);
void bh_shard_zone_add(struct bh_zone *zone, const struct bh_platform *platform, const char *kind,
                       const struct bh_domain_view *view);

/* The same for a removed domain: revoked keys, SPF that passes nobody, bounces still to us. */
void bh_shard_zone_add_tombstone(struct bh_zone *zone, const struct bh_platform *platform, const char *kind,
                                 const struct bh_domain_view *view);

/* flat.<platform>: flattened SPF records, added with bh_zone_add_txt. */
BH_MUST bh_err bh_flat_zone_begin(struct bh_arena *arena, const struct bh_platform *platform, struct bh_zone *ret_zone);

/* rua.<platform>, then its authorisations per domain. */
BH_MUST bh_err bh_rua_zone_begin(struct bh_arena *arena, const struct bh_platform *platform, struct bh_zone *ret_zone);
void bh_rua_zone_add(struct bh_zone *zone, const struct bh_platform *platform, const struct bh_domain *domain);

/* The zone that a customer delegated. BH_E_INVALID for an approach without one. */
BH_MUST bh_err bh_build_delegated_zone(struct bh_arena *arena, const struct bh_platform *platform,
                                       const struct bh_domain_view *view, struct bh_zone *ret_zone);

/* The zone of a removed domain, for as long as its delegation may still point at us. */
BH_MUST bh_err bh_build_tombstone_zone(struct bh_arena *arena, const struct bh_platform *platform,
                                       const struct bh_domain_view *view, struct bh_zone *ret_zone);

#endif
