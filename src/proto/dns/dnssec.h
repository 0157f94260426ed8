/* dnssec.h: signing a whole zone with ECDSA P-256 (RFC 4034, 4035, 6605), with NSEC for denial.
 *
 * One key per zone does all (a "CSK": flags 257); during a roll-over there are several. The private keys are elsewhere:
 * each signature is asked from a callback, which gets the bytes to be signed. Signing the same zone with the same
 * options asks for the same bytes in the same order, so a caller whose signer is another process first collects what
 * is asked (writing zeros), then signs again with the answers at hand. Validity times are the caller's; who rounds
 * them gets the same bytes, and may reuse the signatures, for RRsets that did not change.
 *
 * CDS and CDNSKEY (RFC 7344) are published for the keys that the parent shall point at. */
#ifndef BH_PROTO_DNS_DNSSEC_H
#define BH_PROTO_DNS_DNSSEC_H

#include "zone.h"

enum {
    BH_DNS_ALGORITHM_P256 = 13,
    BH_DNS_P256_PUBLIC_BYTES = 64,    /* x and y */
    BH_DNS_P256_SIGNATURE_BYTES = 64, /* r and s */
    BH_DNS_SIGN_KEYS_MAX = 4,
    BH_DNS_KEY_RDATA_BYTES = 4 + BH_DNS_P256_PUBLIC_BYTES
};

struct bh_dns_sign_key {
    unsigned char public_key[BH_DNS_P256_PUBLIC_BYTES];
    bool signs;  /* its signatures are made; otherwise it is only published */
    bool parent; /* CDS and CDNSKEY say that the parent's DS is to be of this key */
};

struct bh_dns_sign_options {
    struct bh_dns_sign_key keys[BH_DNS_SIGN_KEYS_MAX];
    size_t key_count;
    uint32_t inception; /* seconds since 1970 */
    uint32_t expiration;
    uint32_t key_ttl_s; /* of DNSKEY, CDS, CDNSKEY */
    bool delete_ds;     /* CDS and CDNSKEY ask the parent to remove its DS (RFC 8078 4); no key is for the parent */
};

/* Signs `data` with key number `key`, ECDSA P-256 over its SHA-256. An error ends the signing with it. */
typedef bh_err bh_dns_sign(void *ctx, size_t key, bh_str data,
                           unsigned char ret_signature[BH_DNS_P256_SIGNATURE_BYTES]);

/* The rdata of a key's DNSKEY record, its key tag (RFC 4034 appendix B), and the rdata of its DS at `owner` with
 * SHA-256. BH_E_CRYPTO when SHA-256 fails. */
void bh_dns_key_rdata(const struct bh_dns_sign_key *key, unsigned char ret_rdata[BH_DNS_KEY_RDATA_BYTES]);
uint16_t bh_dns_key_tag(bh_str dnskey_rdata);
BH_MUST bh_err bh_dns_key_ds(bh_str owner, bh_str dnskey_rdata, unsigned char ret_rdata[36]);

/* The signed form of `zone`; DNSSEC records that it has already are made anew, except DS. One reference for the caller.
 * BH_E_INVALID (no key that signs), BH_E_NOMEM, BH_E_LIMIT, BH_E_CRYPTO or what `sign` returned. */
BH_MUST bh_err bh_dns_zone_sign(struct bh_dns_zone_builder *builder, const struct bh_dns_zone *zone,
                                const struct bh_dns_sign_options *options, bh_dns_sign *sign, void *ctx,
                                struct bh_dns_zone **ret_zone);

#endif
