/* tsig.h: transaction signatures (RFC 8945) with hmac-sha256: a secret shared with a secondary proves both ends. */
#ifndef BH_PROTO_DNS_TSIG_H
#define BH_PROTO_DNS_TSIG_H

#include "message.h"

enum {
    BH_DNS_TSIG_SECRET_MAX = 64,
    BH_DNS_TSIG_MAC_BYTES = 32,
    BH_DNS_TSIG_ROOM = BH_DNS_NAME_MAX + 10 + 13 + 16 + BH_DNS_TSIG_MAC_BYTES + 6 /* bytes of the longest record */
};

/* Values of the record's error field. */
enum { BH_DNS_TSIG_BADSIG = 16, BH_DNS_TSIG_BADKEY = 17, BH_DNS_TSIG_BADTIME = 18 };

struct bh_dns_tsig_key {
    struct bh_dns_name name;
    unsigned char secret[BH_DNS_TSIG_SECRET_MAX];
    size_t secret_n;
};

/* One exchange: from the query's check to its responses' signatures. */
struct bh_dns_tsig {
    const struct bh_dns_tsig_key *key; /* NULL when unknown */
    struct bh_dns_name key_name;
    struct bh_dns_name algorithm;
    unsigned char mac[BH_DNS_TSIG_MAC_BYTES]; /* of the message before */
    size_t mac_n;
    uint64_t time_signed;
    uint16_t original_id;
    uint16_t error;
    bool later; /* not the first response: only the timers are signed with it */
};

/* Checks the TSIG of a parsed query (query->tsig_at > 0). BH_OK; BH_E_DENIED with ret_tsig->error set, to be answered
 * NOTAUTH with bh_dns_tsig_sign; BH_E_SYNTAX: malformed, to be answered FORMERR; BH_E_CRYPTO, BH_E_NOMEM. */
BH_MUST bh_err bh_dns_tsig_check(const struct bh_dns_message *query, const struct bh_dns_tsig_key *keys, size_t count,
                                 uint64_t now_s, struct bh_dns_tsig *ret_tsig);
/* Copies the query without its TSIG to `out` (query->tsig_at bytes); returns its size. */
size_t bh_dns_tsig_strip(const struct bh_dns_message *query, unsigned char *out);
/* Appends the TSIG record to the response packet[n] with room for `cap` bytes (n + BH_DNS_TSIG_ROOM suffices) and
 * returns the new size; 0 when it does not fit or cannot be computed. BADKEY and BADSIG go unsigned. */
size_t bh_dns_tsig_sign(struct bh_dns_tsig *tsig, uint64_t now_s, unsigned char *packet, size_t n, size_t cap);
/* Begins a query of ours, to be signed by bh_dns_tsig_sign. */
void bh_dns_tsig_begin(struct bh_dns_tsig *tsig, const struct bh_dns_tsig_key *key);
/* Checks the response to a query that was signed with `sent` (RFC 8945 5.3). BH_E_DENIED: it is not signed, not by our
 * key, not for this query, or not now; BH_E_SYNTAX, BH_E_CRYPTO. */
BH_MUST bh_err bh_dns_tsig_verify(const struct bh_dns_message *response, const struct bh_dns_tsig *sent,
                                  uint64_t now_s);

#endif
