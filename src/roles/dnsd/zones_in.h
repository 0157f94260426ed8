/* zones_in.h: zones as controld sends them (ZONE, ZONE_REMOVE, ZONES_COMMIT) into the set that is served. */
#ifndef BH_ROLES_DNSD_ZONES_IN_H
#define BH_ROLES_DNSD_ZONES_IN_H

#include "proto/dns/zone_load.h"
#include "roles/messages.h"

/* Where a zone that comes in several messages stands. Starts zeroed, and again with each connection. */
struct bh_zones_in {
    bool open; /* some of it is in the builder */
    bool skip; /* one of its records was refused: the rest is not looked at */
    struct bh_dns_name apex;
};

/* Stages a zone, or the next part of one. Names are text, or wire form (which ends in a zero byte, as no text does). A
 * zone that cannot be built is told in *ret_error and its former version stays: BH_E_INVALID and other codes that
 * concern it alone. BH_E_SYNTAX, BH_E_TRUNCATED: the message is malformed, or not the part that had to come. */
BH_MUST bh_err bh_zones_in_put(struct bh_zones_in *in, struct bh_dns_follower *follower,
                               const struct bh_msg_zone *message, struct bh_dns_zone_error *ret_error);
/* Stages what is served of the zone now, if anything is: in a whole set it stays. BH_E_SYNTAX, BH_E_NOMEM. */
BH_MUST bh_err bh_zones_in_keep(struct bh_dns_follower *follower, bh_str name);
/* Stages a removal. BH_E_SYNTAX. */
BH_MUST bh_err bh_zones_in_remove(struct bh_dns_follower *follower, bh_str name);

#endif
