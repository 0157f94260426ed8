/* ecdsa.h: keys that sign zones: ECDSA on P-256 (RFC 6605). A key's private form is PKCS#8 DER, its public form the
 * two coordinates, as a DNSKEY record has them. */
#ifndef BH_ROLES_KEYD_ECDSA_H
#define BH_ROLES_KEYD_ECDSA_H

#include "base/buf.h"

enum { BH_ECDSA_PUBLIC_BYTES = 64, BH_ECDSA_DIGEST_BYTES = 32, BH_ECDSA_SIGNATURE_BYTES = 64 };

struct bh_ecdsa_key;

/* The caller owns *ret_key. BH_E_CRYPTO. */
BH_MUST bh_err bh_ecdsa_generate(struct bh_ecdsa_key **ret_key);
/* BH_E_SYNTAX: no private key on P-256. */
BH_MUST bh_err bh_ecdsa_load(bh_str der, struct bh_ecdsa_key **ret_key);
void bh_ecdsa_free(struct bh_ecdsa_key *key);

/* Appends. The caller wipes what holds the DER. BH_E_CRYPTO, BH_E_LIMIT. */
BH_MUST bh_err bh_ecdsa_to_der(const struct bh_ecdsa_key *key, struct bh_buf *out);
BH_MUST bh_err bh_ecdsa_public(const struct bh_ecdsa_key *key, struct bh_buf *out);
/* r and s, 32 bytes each (RFC 6605 4). BH_E_CRYPTO. */
BH_MUST bh_err bh_ecdsa_sign(const struct bh_ecdsa_key *key, const uint8_t digest[BH_ECDSA_DIGEST_BYTES],
                             uint8_t ret_signature[BH_ECDSA_SIGNATURE_BYTES]);

#endif
