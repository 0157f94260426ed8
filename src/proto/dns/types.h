/* types.h: the table of record types; private to this folder.
 *
 * A format is a string with one letter per field:
 *   n  name that may be compressed (the types of RFC 1035)    m  name that may not
 *   1 2 4  unsigned number of so many bytes                    p  number of 4 bytes, text may have time units
 *   a 6  IPv4, IPv6 address                                    T  type mnemonic        t  time (RFC 4034 3.2)
 *   s  one character string, S  one or more up to the end      c  CAA tag              v  rest as one string
 *   b  rest in base64       x  rest in hex                     B  type bitmap          w  SvcParams
 *   g  security algorithm, number or mnemonic (RFC 4034 A.1)   C  certificate type (RFC 4398 2.1)
 *   L  location (RFC 1876)  P  address prefixes (RFC 3123)     e E  EUI-48, EUI-64     i  64 bits (RFC 6742)
 * b x v w B S P take the rest of the rdata, so they stand last. */
#ifndef BH_PROTO_DNS_TYPES_H
#define BH_PROTO_DNS_TYPES_H

#include <stdint.h>

struct bh_dns_type_row {
    uint16_t type;
    char name[12];
    char format[12];
};

/* The row, or NULL for a type that we do not know. */
const struct bh_dns_type_row *bh_dns_type_row(uint16_t type);

#endif
