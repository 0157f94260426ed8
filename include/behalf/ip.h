/* behalf/ip.h: an IP address by value, IPv4 or IPv6, and its text. */
#ifndef BEHALF_IP_H
#define BEHALF_IP_H

#include <behalf/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BH_IP_TEXT_MAX = 46 }; /* longest text and its NUL */

struct bh_ip {
    uint8_t n; /* 4, 16, or 0 = no address */
    uint8_t bytes[16];
};

/* Strict text: four decimal numbers without leading zeros, or RFC 4291 2.2. No brackets, no zone. BH_E_SYNTAX. */
BH_API BH_MUST bh_err bh_ip_parse(bh_str text, struct bh_ip *ret_ip);

/* 4 or 16 bytes of network order (rdata of A, AAAA). BH_E_SYNTAX for any other length. */
BH_API BH_MUST bh_err bh_ip_from_bytes(bh_str bytes, struct bh_ip *ret_ip);

/* ::ffff:192.0.2.1 becomes 192.0.2.1 (RFC 4291 2.5.5.2); anything else stays. */
BH_API struct bh_ip bh_ip_unmapped(struct bh_ip ip);

/* Writes the text with its NUL, lower case and compressed (RFC 5952); returns its length; "" for no address. */
BH_API size_t bh_ip_print(const struct bh_ip *ip, char text[BH_IP_TEXT_MAX]);

/* Same family and the first `bits` bits equal. */
BH_API bool bh_ip_in_network(const struct bh_ip *ip, const struct bh_ip *network, unsigned bits);

/* The name to ask for PTR ("1.2.0.192.in-addr.arpa") in `name` with its NUL; returns its length. */
enum { BH_IP_REVERSE_MAX = 73 };
BH_API size_t bh_ip_reverse_name(const struct bh_ip *ip, char name[BH_IP_REVERSE_MAX]);

#ifdef __cplusplus
}
#endif
#endif
