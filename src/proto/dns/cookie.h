/* cookie.h: DNS cookies (RFC 7873) in the interoperable form of RFC 9018: 8 bytes of the client's, then version 1,
 * three zero bytes, a time, and SipHash-2-4 over all that and the client's address. All servers of a name share the
 * secrets. */
#ifndef BH_PROTO_DNS_COOKIE_H
#define BH_PROTO_DNS_COOKIE_H

#include "base/str.h"

enum {
    BH_DNS_OPTION_COOKIE = 10,
    BH_DNS_COOKIE_CLIENT_BYTES = 8,
    BH_DNS_COOKIE_BYTES = 24, /* the client's and ours */
    BH_DNS_COOKIE_SECRETS_MAX = 4,
    BH_DNS_COOKIE_SECRET_BYTES = 16
};

/* The first secret makes cookies; all check them, so that one can be replaced. count = 0: cookies are off. */
struct bh_dns_cookie_secrets {
    unsigned char secret[BH_DNS_COOKIE_SECRETS_MAX][BH_DNS_COOKIE_SECRET_BYTES];
    size_t count;
};

enum bh_dns_cookie_state {
    BH_DNS_COOKIE_NONE,      /* the client sent none, or cookies are off */
    BH_DNS_COOKIE_MALFORMED, /* FORMERR (RFC 7873 5.2.2) */
    BH_DNS_COOKIE_UNKNOWN,   /* the client's alone, or one that is not ours any more */
    BH_DNS_COOKIE_VALID      /* the client is at the address that it sends from */
};

/* Checks the option's value; `address` has 4 or 16 bytes. For UNKNOWN and VALID the cookie to answer with is written.
 */
enum bh_dns_cookie_state bh_dns_cookie_check(const struct bh_dns_cookie_secrets *secrets, bh_str option, bh_str address,
                                             uint32_t now_s, unsigned char ret_cookie[BH_DNS_COOKIE_BYTES]);

#endif
