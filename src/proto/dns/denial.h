/* denial.h: proofs by NSEC (RFC 4035 3.1.3) for signed zones; nothing is written for unsigned ones. Private. */
#ifndef BH_PROTO_DNS_DENIAL_H
#define BH_PROTO_DNS_DENIAL_H

#include "respond.h"

/* DS of the delegation, or the NSEC that proves that there is none. */
void bh_dns_denial_referral(struct bh_dns_respond *respond, const struct bh_dns_zone *zone,
                            const struct bh_dns_node *cut);
/* No such name, and no wildcard that could stand for it. */
void bh_dns_denial_nxdomain(struct bh_dns_respond *respond, const struct bh_dns_zone *zone, bh_str name,
                            const struct bh_dns_zone_match *match);
/* No such type at the name (or at the wildcard that stands for it, and then no such name either). */
void bh_dns_denial_nodata(struct bh_dns_respond *respond, const struct bh_dns_zone *zone, bh_str name,
                          const struct bh_dns_zone_match *match);
/* No such name: that is why the wildcard stands for it. */
void bh_dns_denial_wildcard(struct bh_dns_respond *respond, const struct bh_dns_zone *zone, bh_str name);

#endif
