/* transfer.h: a zone as messages for a secondary (AXFR, RFC 5936), and the catalog that tells secondaries which zones
 * there are (RFC 9432). */
#ifndef BH_PROTO_DNS_TRANSFER_H
#define BH_PROTO_DNS_TRANSFER_H

#include "message.h"
#include "zone.h"

/* A transfer in progress. Holds a reference on its zone, so the zone may be replaced meanwhile. */
struct bh_dns_transfer {
    struct bh_dns_zone *zone;
    uint16_t id;
    struct bh_dns_name name; /* the question, as it came */
    uint16_t type;
    enum { BH_DNS_TRANSFER_FIRST, BH_DNS_TRANSFER_RECORDS, BH_DNS_TRANSFER_LAST, BH_DNS_TRANSFER_DONE } stage;
    bool soa_only;
    uint32_t node, record, at; /* place of the next record */
    unsigned rrset;
};

/* Starts the answer to a parsed AXFR or IXFR query for exactly this zone. IXFR gets the whole zone (RFC 1995 4), or the
 * SOA alone when the client's serial is ours or `udp` is set, which sends it to TCP. */
void bh_dns_transfer_begin(struct bh_dns_transfer *transfer, struct bh_dns_zone *zone,
                           const struct bh_dns_message *query, bool udp);
/* Writes the next message into out[cap], cap >= 65535 - BH_DNS_TSIG_ROOM. Returns its size; 0 when all was sent. */
size_t bh_dns_transfer_next(struct bh_dns_transfer *transfer, void *out, size_t cap);
void bh_dns_transfer_end(struct bh_dns_transfer *transfer);

/* The catalog of all zones of a set, itself excepted, as a zone `apex` with that serial. A member keeps its id as long
 * as it has its name. BH_E_NOMEM, BH_E_LIMIT, BH_E_CRYPTO. */
BH_MUST bh_err bh_dns_catalog_build(struct bh_dns_zone_builder *builder, const struct bh_dns_zones *zones, bh_str apex,
                                    uint32_t serial, struct bh_dns_zone **ret_zone);

#endif
