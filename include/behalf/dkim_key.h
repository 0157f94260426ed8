/* behalf/dkim_key.h: private keys that sign mail: make, load, sign, and what to publish for them.
 *
 * Apart from the signer on purpose: the signer (behalf/dkim.h) hands out a hash of 32 bytes and takes a signature,
 * so these functions can live in a process of their own that parses no mail. They need libcrypto alone. */
#ifndef BEHALF_DKIM_KEY_H
#define BEHALF_DKIM_KEY_H

#include <behalf/arena.h>
#include <behalf/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum bh_dkim_key_type { BH_DKIM_KEY_RSA, BH_DKIM_KEY_ED25519 };

enum {
    BH_DKIM_HASH_BYTES = 32,
    BH_DKIM_SIGNATURE_MAX = 512, /* RSA-4096 */
    BH_DKIM_RSA_MIN_BITS = 1024, /* RFC 8301 3.2 */
    BH_DKIM_RSA_MAX_BITS = 4096
};

struct bh_dkim_key;

/* A new key. `bits` is 1024–4096 for RSA and ignored for Ed25519. BH_E_RANGE, BH_E_CRYPTO.
 * Owner: the caller, who ends it with bh_dkim_key_free. Takes up to a second for RSA. */
BH_API BH_MUST bh_err bh_dkim_key_generate(enum bh_dkim_key_type type, unsigned bits, struct bh_dkim_key **ret_key);

/* Reads a private key: PEM or DER, PKCS#8 or PKCS#1, no passphrase; or the 32 bytes of an Ed25519 seed in base64, as
 * RFC 8463 A.2 writes it. BH_E_SYNTAX when it is none, BH_E_UNSUPPORTED for another kind (EC, RSA-PSS), BH_E_RANGE
 * for RSA outside 1024–4096 bits, BH_E_CRYPTO for RSA numbers that do not belong together. */
BH_API BH_MUST bh_err bh_dkim_key_load(bh_str text, struct bh_dkim_key **ret_key);
/* The same for bytes that were loaded before and are authentic: the numbers of an RSA key are not checked again, which
 * takes as long as 20 signatures. */
BH_API BH_MUST bh_err bh_dkim_key_reload(bh_str text, struct bh_dkim_key **ret_key);

/* NULL is fine. The secret numbers are wiped. */
BH_API void bh_dkim_key_free(struct bh_dkim_key *key);

BH_API enum bh_dkim_key_type bh_dkim_key_type(const struct bh_dkim_key *key);
BH_API unsigned bh_dkim_key_bits(const struct bh_dkim_key *key);

/* Signs a SHA-256 hash: RSASSA-PKCS1-v1_5 (RFC 8017 8.2) or Ed25519 over the 32 bytes (RFC 8463 3). Writes at most
 * BH_DKIM_SIGNATURE_MAX bytes. May be called for one key from several threads at once. BH_E_CRYPTO. */
BH_API BH_MUST bh_err bh_dkim_key_sign(const struct bh_dkim_key *key, const uint8_t hash[BH_DKIM_HASH_BYTES],
                                       uint8_t ret_signature[BH_DKIM_SIGNATURE_MAX], size_t *ret_length);

/* PKCS#8 DER into `der[cap]` for sealing; the caller wipes it. BH_E_LIMIT: 4 KiB are always enough. */
BH_API BH_MUST bh_err bh_dkim_key_to_der(const struct bh_dkim_key *key, uint8_t *der, size_t cap, size_t *ret_length);

/* PKCS#8 PEM, NUL behind it, in the arena; it is as secret as the key. */
BH_API BH_MUST bh_err bh_dkim_key_to_pem(const struct bh_dkim_key *key, struct bh_arena *arena, bh_str *ret_pem);

/* The TXT record to publish (RFC 6376 3.6.1): "v=DKIM1; k=rsa; p=…", as one text; DNS wants it cut into strings of
 * at most 255 bytes. BH_E_NOMEM, BH_E_CRYPTO. */
BH_API BH_MUST bh_err bh_dkim_key_record(const struct bh_dkim_key *key, struct bh_arena *arena, bh_str *ret_record);

#ifdef __cplusplus
}
#endif
#endif
