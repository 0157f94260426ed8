/* zone.h: a zone's content as a list of records, the form in which it is built here, printed by the CLI and handed
 * to dnsd: owner name, TTL, type, rdata in wire form. Everything lives in the zone's arena. Errors are sticky: build
 * straight through and test bh_zone_err once. */
#ifndef BH_DOMAIN_ZONE_H
#define BH_DOMAIN_ZONE_H

#include "domain.h"
#include "proto/dns/rdata.h"

struct bh_zone_record {
    bh_str owner; /* presentation form without the final dot */
    uint16_t type;
    uint32_t ttl_s;
    bh_str rdata; /* wire form, names uncompressed */
};

struct bh_zone {
    struct bh_arena *arena; /* the caller's */
    bh_str apex;
    struct bh_zone_record *records;
    size_t count, cap;
    bh_err err;
};

/* An empty zone `apex` (copied). The arena's cap bounds it. */
struct bh_zone bh_zone_make(struct bh_arena *arena, bh_str apex);
BH_MUST static inline bh_err bh_zone_err(const struct bh_zone *zone)
{
    return zone->err;
}

/* Adds a record from rdata text as in a master file ("10 mx.example.net."; names need their final dot). A record that
 * is there already is not added twice. */
void bh_zone_add(struct bh_zone *zone, bh_str owner, uint32_t ttl_s, uint16_t type, bh_str rdata_text);
void bh_zone_addf(struct bh_zone *zone, bh_str owner, uint32_t ttl_s, uint16_t type, const char *format, ...)
    BH_PRINTF(5, 6);
/* From rdata in wire form. */
void bh_zone_add_wire(struct bh_zone *zone, bh_str owner, uint32_t ttl_s, uint16_t type, bh_str rdata);
/* A TXT record of any length, in strings of at most 255 bytes. */
void bh_zone_add_txt(struct bh_zone *zone, bh_str owner, uint32_t ttl_s, bh_str text);
/* A or AAAA by what `address` is; its text is checked. */
void bh_zone_add_address(struct bh_zone *zone, bh_str owner, uint32_t ttl_s, bh_str address);

/* `prefix.suffix` in the arena; the suffix alone where the prefix is empty. */
bh_str bh_zone_name(struct bh_zone *zone, bh_str prefix, bh_str suffix);

/* The zone as a master file, one record per line, absolute names. */
void bh_zone_print(const struct bh_zone *zone, struct bh_buf *out);

/* The strings of TXT rdata joined without blanks (RFC 7208 3.3, RFC 6376 3.6.2.2), in the arena; {NULL, 0} when the
 * rdata is damaged or the arena full. */
bh_str bh_txt_joined(struct bh_arena *arena, bh_str rdata);

#endif
