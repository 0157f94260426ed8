/* behalf/resolver.h: how libbehalf asks for DNS, without knowing who answers.
 *
 * The library never opens a socket: whoever uses it hands over a `struct bh_resolver`, a table of two
 * functions. libbehalf-unbound has one on libunbound, bh_zonefile_resolver one on a text of records; an
 * application may bring its own.
 *
 * Rules for implementers and users:
 *  - `lookup` either returns an error and never calls back, or returns BH_OK and calls `done` exactly once,
 *    unless the query is cancelled first. It MAY call `done` before it returns (answers in memory do).
 *  - CNAMEs are followed by the resolver; the answer's records are those of the last name.
 *  - The answer and all that it points to live until `done` returns; copy what is kept.
 *  - Names are presentation form without the final dot ("" is the root), any case, A-labels; bytes other than
 *    letters, digits, '-' and '_' as RFC 1035 5.1 escapes. */
#ifndef BEHALF_RESOLVER_H
#define BEHALF_RESOLVER_H

#include <behalf/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum bh_dns_type {
    BH_DNS_A = 1,
    BH_DNS_NS = 2,
    BH_DNS_CNAME = 5,
    BH_DNS_SOA = 6,
    BH_DNS_PTR = 12,
    BH_DNS_MX = 15,
    BH_DNS_TXT = 16,
    BH_DNS_AAAA = 28,
    BH_DNS_DS = 43,
    BH_DNS_DNSKEY = 48,
    BH_DNS_TLSA = 52,
    BH_DNS_CAA = 257
};

enum bh_dns_status {
    BH_DNS_FOUND,    /* count >= 1 */
    BH_DNS_NODATA,   /* the name exists, the type does not */
    BH_DNS_NXDOMAIN, /* the name does not exist (RFC 8020) */
    BH_DNS_TEMPFAIL, /* SERVFAIL, timeout, bogus: nothing is known */
    BH_DNS_BADNAME   /* not a name that DNS can hold (label > 63, name > 253, empty label): no question asked */
};

/* One record's rdata in wire form; names in it are uncompressed. TXT keeps its length-prefixed strings. */
struct bh_dns_record {
    bh_str rdata;
};

struct bh_dns_answer {
    enum bh_dns_status status;
    bool secure;           /* validated by DNSSEC */
    uint32_t ttl_s;        /* the smallest of the chain; of the negative answer where there is one */
    bh_str canonical_name; /* the last name of the CNAME chain; the question's name without CNAMEs */
    const struct bh_dns_record *records;
    size_t count;
    bh_str why; /* for people: "SERVFAIL from 192.0.2.1", may be empty */
};

typedef void bh_dns_done(void *ctx, const struct bh_dns_answer *answer);

struct bh_dns_query; /* the implementer's */
struct bh_resolver;

struct bh_resolver_ops {
    /* Asks for (name, type). On BH_OK *ret_query is a handle for cancel, valid until `done` was called; it is
     * NULL where `done` was called already. BH_E_NOMEM, BH_E_LIMIT when no query can be started. */
    BH_MUST bh_err (*lookup)(struct bh_resolver *resolver, bh_str name, uint16_t type, bh_dns_done *done, void *ctx,
                             struct bh_dns_query **ret_query);
    /* `done` will not be called any more for `query`. */
    void (*cancel)(struct bh_resolver *resolver, struct bh_dns_query *query);
};

/* First member of an implementation's own struct. */
struct bh_resolver {
    const struct bh_resolver_ops *ops;
};

#ifdef __cplusplus
}
#endif
#endif
