/* zone_load.h: zones from master files and back, and sets that follow changes. */
#ifndef BH_PROTO_DNS_ZONE_LOAD_H
#define BH_PROTO_DNS_ZONE_LOAD_H

#include "zone.h"
#include "zonefile.h"

/* What is wrong with a zone, for people. */
struct bh_dns_zone_error {
    unsigned line;           /* 0 where it concerns the zone as a whole */
    const char *why;         /* static */
    struct bh_dns_name name; /* the owner it is about; n = 0 where there is none */
    unsigned ignored_line;   /* set without an error, too: the first record outside the zone, left out; or 0 */
};

/* The zone of a master file. Its apex is `origin`, or the owner of the (first) SOA where that is NULL. Errors (class
 * PEER, PERM, LIMIT) fill *ret_error. */
BH_MUST bh_err bh_dns_zone_from_text(struct bh_dns_zone_builder *builder, bh_str text, const struct bh_dns_name *origin,
                                     struct bh_dns_zone **ret_zone, struct bh_dns_zone_error *ret_error);
/* All records as lines of a master file, SOA first. */
void bh_dns_zone_print(struct bh_buf *out, const struct bh_dns_zone *zone);

/* ---- a set that follows the changes that another process tells ----
 *
 * Zones that are put or removed are staged, and served all at once by a commit. */
struct bh_dns_follower {
    struct bh_dns_zones *zones;  /* served */
    struct bh_dns_zones *staged; /* waiting for the commit */
    struct bh_buf removed;       /* names, one after the other, likewise */
    struct bh_dns_zone_builder *builder;
};

/* `seed` is random. BH_E_NOMEM. */
BH_MUST bh_err bh_dns_follower_init(struct bh_dns_follower *follower, uint64_t seed);
void bh_dns_follower_free(struct bh_dns_follower *follower);
/* Stages a zone; takes over the reference, also on error. BH_E_NOMEM. */
BH_MUST bh_err bh_dns_follower_put(struct bh_dns_follower *follower, struct bh_dns_zone *zone);
/* Stages a removal. BH_E_LIMIT, BH_E_NOMEM. */
BH_MUST bh_err bh_dns_follower_remove(struct bh_dns_follower *follower, bh_str apex);
/* Serves what was staged; with `whole`, nothing else. BH_E_NOMEM: some of it may be served. */
BH_MUST bh_err bh_dns_follower_commit(struct bh_dns_follower *follower, bool whole);
/* Forgets what was staged. */
void bh_dns_follower_abort(struct bh_dns_follower *follower);

#endif
