/* answer.h: the answer of an authoritative server to one query, as a pure function of the zones and the query.
 *
 * What is included: the answer; for NODATA and NXDOMAIN the SOA with the negative TTL; for a delegation its NS with
 * glue; in the additional section the addresses that the zone holds for the targets of NS, MX and SRV. NS records are
 * never added to positive answers. Nothing allocates. Standards: RFC 1034 4.3.2, 2181, 2308, 4592 (wildcards), 6891
 * (EDNS), 8020, 8482 (ANY), 9471 (glue). */
#ifndef BH_PROTO_DNS_ANSWER_H
#define BH_PROTO_DNS_ANSWER_H

#include "cookie.h"
#include "message.h"
#include "zone.h"

enum { BH_DNS_CHAIN_MAX = 20 /* CNAMEs followed for one query */ };

enum bh_dns_transport { BH_DNS_UDP, BH_DNS_TCP };

/* Who asks, how and when. */
struct bh_dns_client {
    enum bh_dns_transport transport;
    uint32_t now_s;
    bh_str address; /* 4 or 16 bytes; empty where it is unknown: no cookies then */
};

struct bh_dns_answer_options {
    uint16_t udp_max; /* never a larger response over UDP; also our advertised size. 512-4096 */
    bool minimal;     /* leave the optional additional section out */
    const struct bh_dns_cookie_secrets *cookies; /* NULL: off */
};

/* What a query came to, for statistics and rate limiting. */
enum bh_dns_outcome_class {
    BH_DNS_OUTCOME_POSITIVE,
    BH_DNS_OUTCOME_WILDCARD, /* positive, synthesised */
    BH_DNS_OUTCOME_NODATA,
    BH_DNS_OUTCOME_NXDOMAIN,
    BH_DNS_OUTCOME_REFERRAL,
    BH_DNS_OUTCOME_REFUSED,
    BH_DNS_OUTCOME_ERROR, /* FORMERR, NOTIMP, BADVERS, SERVFAIL */
    BH_DNS_OUTCOME_DROPPED,
    BH_DNS_OUTCOMES
};

/* What a server may do better than this function, which knows no keys and no secondaries: the response that was
 * written is then the one to give when it does not. */
enum bh_dns_special {
    BH_DNS_SPECIAL_NONE,
    BH_DNS_SPECIAL_TSIG,     /* the query is signed */
    BH_DNS_SPECIAL_TRANSFER, /* AXFR or IXFR; REFUSED was written */
    BH_DNS_SPECIAL_RESPONSE  /* it is a response; none was written */
};

struct bh_dns_outcome {
    enum bh_dns_outcome_class class;
    enum bh_dns_special special;
    unsigned rcode;
    bool truncated;
    enum bh_dns_cookie_state cookie;
    uint32_t name_hash;             /* of the question's name, letter case aside; 0 when it was not looked up */
    const struct bh_dns_zone *zone; /* of the question's name, or NULL */
};

/* Answers `query` of `client` into out[cap], cap >= 512 (UDP) or 65535 (TCP). Returns the size of the response; 0 when
 * none must be sent (too short to have a header, or itself a response). `zones` is only read. */
size_t bh_dns_answer(const struct bh_dns_zones *zones, const struct bh_dns_answer_options *options,
                     const struct bh_dns_client *client, bh_str query, void *out, size_t cap,
                     struct bh_dns_outcome *ret_outcome);

#endif
