/* rate.h: response rate limiting, so that forged source addresses cannot make us flood a victim. Equal responses (same
 * network, same class, same name or zone) have a token bucket; a table of fixed size, with random seed, holds them. */
#ifndef BH_PROTO_DNS_RATE_H
#define BH_PROTO_DNS_RATE_H

#include "answer.h"

struct bh_dns_rate;

enum bh_dns_rate_verdict {
    BH_DNS_RATE_SEND,
    BH_DNS_RATE_SLIP, /* answer with TC, so that a real client comes by TCP */
    BH_DNS_RATE_DROP
};

/* `per_s` equal responses a second to one network (IPv4 /24, IPv6 /56), as many at once. NULL when out of memory. */
struct bh_dns_rate *bh_dns_rate_new(unsigned per_s, uint64_t seed);
void bh_dns_rate_free(struct bh_dns_rate *rate);
/* May the response with that outcome go to `address` (4 or 16 bytes) now (ms, never going back)? */
enum bh_dns_rate_verdict bh_dns_rate_check(struct bh_dns_rate *rate, bh_str address,
                                           const struct bh_dns_outcome *outcome, bh_time_ms now);

#endif
