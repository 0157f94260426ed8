/* vet.h: addresses that a stranger may name and we may connect to. What a stranger's DNS says can be an address inside
 * the operator's network (server-side request forgery). */
#ifndef BH_IO_VET_H
#define BH_IO_VET_H

#include <behalf/ip.h>

/* False for private, loopback, link-local, shared, documentation, multicast and reserved addresses (the registries of
 * RFC 6890), and for IPv6 addresses that carry such an IPv4 address. */
bool bh_address_is_public(const struct bh_ip *ip);

#endif
