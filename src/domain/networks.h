/* networks.h: sets of IP networks: the smallest list of prefixes that holds exactly the same addresses. */
#ifndef BH_DOMAIN_NETWORKS_H
#define BH_DOMAIN_NETWORKS_H

#include "base/buf.h"
#include <behalf/ip.h>

struct bh_network {
    struct bh_ip ip; /* bits behind the prefix are 0 after bh_networks_reduce */
    uint8_t bits;
};

/* "192.0.2.0/24", "2001:db8::1". BH_E_SYNTAX. */
BH_MUST bh_err bh_network_parse(bh_str text, struct bh_network *ret_network);
/* The bits behind the prefix set to 0. */
struct bh_network bh_network_clean(struct bh_network network);
/* True when `outer` holds all of `inner`. */
bool bh_network_holds(const struct bh_network *outer, const struct bh_network *inner);
/* Sorts (IPv4 first, by address, wider first), drops what others hold, joins neighbours; returns the new count.
 * O(n log n). */
size_t bh_networks_reduce(struct bh_network *networks, size_t count);
/* Appends "ip4:192.0.2.0/24" or "ip6:…"; a whole-length prefix is not written. */
void bh_network_print_term(struct bh_buf *out, const struct bh_network *network);

#endif
