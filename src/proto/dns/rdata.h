/* rdata.h: record types and their data, between text and wire form, from one table of formats.
 *
 * Rdata in memory is wire form with names uncompressed, in the case in which they were given. Types that are not in
 * the table are opaque and have the text of RFC 3597 (`TYPE65400 \# 3 010203`), which is accepted for every type. */
#ifndef BH_PROTO_DNS_RDATA_H
#define BH_PROTO_DNS_RDATA_H

#include "lexer.h"
#include "name.h"
#include <behalf/resolver.h>

/* Types beside those of <behalf/resolver.h> that our code speaks of by name. */
enum {
    BH_DNS_HINFO = 13,
    BH_DNS_LOC = 29,
    BH_DNS_SRV = 33,
    BH_DNS_NAPTR = 35,
    BH_DNS_DNAME = 39,
    BH_DNS_OPT = 41,
    BH_DNS_RRSIG = 46,
    BH_DNS_NSEC = 47,
    BH_DNS_NSEC3 = 50,
    BH_DNS_NSEC3PARAM = 51,
    BH_DNS_CDS = 59,
    BH_DNS_CDNSKEY = 60,
    BH_DNS_SVCB = 64,
    BH_DNS_HTTPS = 65,
    BH_DNS_SPF = 99,
    BH_DNS_LP = 107,
    BH_DNS_TSIG = 250,
    BH_DNS_IXFR = 251,
    BH_DNS_AXFR = 252,
    BH_DNS_MAILB = 253,
    BH_DNS_MAILA = 254,
    BH_DNS_ANY = 255
};

enum { BH_DNS_CLASS_IN = 1, BH_DNS_CLASS_CH = 3, BH_DNS_CLASS_NONE = 254, BH_DNS_CLASS_ANY = 255 };
enum { BH_DNS_RDATA_MAX = 65535 };

/* "MX" or "TYPE65400" to its number, any case. BH_E_SYNTAX. */
BH_MUST bh_err bh_dns_type_parse(bh_str text, uint16_t *ret_type);
void bh_dns_type_print(struct bh_buf *out, uint16_t type);
/* "IN", "CH", "HS", "CLASS7". */
BH_MUST bh_err bh_dns_class_parse(bh_str text, uint16_t *ret_class);
void bh_dns_class_print(struct bh_buf *out, uint16_t klass);
/* Seconds, or units as in "1h30m" (w d h m s); above 2^31-1 it is 0 (RFC 2181 8). BH_E_SYNTAX, BH_E_RANGE. */
BH_MUST bh_err bh_dns_ttl_parse(bh_str text, uint32_t *ret_ttl_s);

/* Reads the rest of the lexer's entry as rdata of `type` and appends the wire form. Relative names get `origin`
 * (NULL: the root). BH_E_SYNTAX, BH_E_RANGE, BH_E_LIMIT (a string over 255 bytes, rdata over 65,535). */
BH_MUST bh_err bh_dns_rdata_parse(uint16_t type, struct bh_dns_lexer *lexer, const struct bh_dns_name *origin,
                                  struct bh_buf *out);
/* The same from one line of text: "10 mx.example.net.". */
BH_MUST bh_err bh_dns_rdata_parse_text(uint16_t type, bh_str text, const struct bh_dns_name *origin,
                                       struct bh_buf *out);
/* Appends the text of rdata; names are absolute. Rdata that does not fit its type is written in RFC 3597 form. */
void bh_dns_rdata_print(struct bh_buf *out, uint16_t type, bh_str rdata);
/* `owner TTL CLASS TYPE rdata` without a line end. */
void bh_dns_record_print(struct bh_buf *out, bh_str owner, uint32_t ttl_s, uint16_t klass, uint16_t type, bh_str rdata);

/* True when uncompressed wire rdata fits its type; unknown types always do. */
bool bh_dns_rdata_valid(uint16_t type, bh_str rdata);
/* Appends the rdata at [offset, offset + n) of a packet with its names decompressed. BH_E_SYNTAX, BH_E_TRUNCATED. */
BH_MUST bh_err bh_dns_rdata_read(uint16_t type, bh_str packet, size_t offset, size_t n, struct bh_buf *out);
/* Appends the canonical form of valid rdata: names of the types of RFC 4034 6.2 in lower case. */
void bh_dns_rdata_canonical(uint16_t type, bh_str rdata, struct bh_buf *out);

#endif
