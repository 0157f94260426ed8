/* pubkey.h: DKIM key records (RFC 6376 3.6.1, 8301, 8463) and the public keys in them, parsed once and kept. */
#ifndef BH_AUTH_PUBKEY_H
#define BH_AUTH_PUBKEY_H

#include "base/str.h"
#include <behalf/dkim_key.h>

enum { BH_KEY_RECORD_MAX = 8192, BH_KEY_SHA256 = 1, BH_KEY_SHA1 = 2 };

struct bh_key_record {
    enum bh_dkim_key_type type;
    bh_str data;        /* p= as it stands, blanks and all */
    bool sha256;        /* h= allows it */
    bool email;         /* s= allows it */
    bool testing;       /* t=y */
    bool no_subdomains; /* t=s: i= must be at d= itself */
};

/* Reads the joined text of a TXT record. NULL, or what is wrong with it ("key revoked (p= is empty)"), static. */
const char *bh_key_record_read(bh_str text, struct bh_key_record *ret_record);

struct bh_pubkey;

/* NULL with *ret_why (static) when the data is no key, or one outside the bounds. Owner: the caller. */
struct bh_pubkey *bh_pubkey_new(const struct bh_key_record *record, const char **ret_why);
void bh_pubkey_free(struct bh_pubkey *key);
enum bh_dkim_key_type bh_pubkey_type(const struct bh_pubkey *key);
unsigned bh_pubkey_bits(const struct bh_pubkey *key);
/* True when `signature` is this key's over `hash`. */
bool bh_pubkey_verify(const struct bh_pubkey *key, const uint8_t hash[BH_DKIM_HASH_BYTES], bh_str signature);
/* RSA only: the hash that was signed. False when `signature` was not made with this key. */
bool bh_pubkey_recover(const struct bh_pubkey *key, bh_str signature, uint8_t ret_hash[BH_DKIM_HASH_BYTES]);

/* Parsed keys by the text of their record's p=, so that it needs no expiry: another text is another key. */
struct bh_pubkey_cache;
struct bh_pubkey_cache *bh_pubkey_cache_new(size_t max_keys, const uint64_t seed[2]);
void bh_pubkey_cache_free(struct bh_pubkey_cache *cache);
/* The key of `record`; the cache owns it, and it is valid until the next call. NULL with *ret_why. */
const struct bh_pubkey *bh_pubkey_cache_get(struct bh_pubkey_cache *cache, const struct bh_key_record *record,
                                            const char **ret_why);

#endif
