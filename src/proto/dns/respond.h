/* respond.h: a response in the making, shared by the files that make it; private to this folder. */
#ifndef BH_PROTO_DNS_RESPOND_H
#define BH_PROTO_DNS_RESPOND_H

#include "answer.h"

enum { BH_DNS_WANTED_MAX = 4, BH_DNS_TARGETS_MAX = 32 };

/* An RRset whose targets' addresses belong into the additional section; `cut` is the delegation's name in a referral.
 */
struct bh_dns_want {
    const struct bh_dns_zone *zone;
    const struct bh_dns_rrset *rrset;
    bh_str cut;
};

/* Lives on the stack for one query. It is large, so only bh_dns_respond_begin's fields are set before use. */
struct bh_dns_respond {
    const struct bh_dns_zones *zones;
    const struct bh_dns_answer_options *options;
    const struct bh_dns_client *client;
    struct bh_dns_outcome *outcome;
    unsigned char options_out[4 + BH_DNS_COOKIE_BYTES]; /* of our OPT */
    size_t options_n;
    uint16_t flags;
    unsigned rcode;
    bool dnssec;
    bool truncated;
    unsigned chain, wanted, targets, denials;
    struct bh_dns_writer writer;
    struct bh_dns_message query;
    bh_str link[BH_DNS_CHAIN_MAX]; /* names whose CNAME was followed */
    struct bh_dns_want want[BH_DNS_WANTED_MAX];
    bh_str target[BH_DNS_TARGETS_MAX]; /* names in the additional section */
    uint32_t denial[8];                /* nodes whose NSEC is in the authority section */
};

static inline void bh_dns_respond_begin(struct bh_dns_respond *respond, const struct bh_dns_zones *zones,
                                        const struct bh_dns_answer_options *options, const struct bh_dns_client *client,
                                        struct bh_dns_outcome *outcome)
{
    respond->zones = zones;
    respond->options = options;
    respond->client = client;
    respond->outcome = outcome;
    respond->options_n = 0;
    respond->flags = 0;
    respond->rcode = 0;
    respond->truncated = false;
    respond->dnssec = respond->query.edns.present && respond->query.edns.dnssec_ok;
    respond->chain = respond->wanted = respond->targets = respond->denials = 0;
}

/* Writes an RRset with its signatures (when the client wants them), or nothing; false when it did not fit, which
 * truncates the response unless the section is the additional one. No TTL above `ttl_max_s`. */
bool bh_dns_respond_rrset(struct bh_dns_respond *respond, enum bh_dns_section section, bh_str owner,
                          const struct bh_dns_zone *zone, const struct bh_dns_node *node,
                          const struct bh_dns_rrset *rrset, uint32_t ttl_max_s);

#endif
