/* pubkey.c: see pubkey.h.
 *
 * RSA keys are read by our own DER reader and built with RSA_set0_key; OpenSSL 3.0 calls that API deprecated, but
 * measured against a verification of 17 us, a new key costs 5 us so, 14 us with EVP_PKEY_fromdata and 110 us with
 * d2i_PUBKEY. All use of that API is in this file. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "pubkey.h"
#include "base/list.h"
#include "base/map.h"
#include "base/text.h"
#include "der.h"
#include "tags.h"
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <stdlib.h>

enum { MAX_KEY_TAGS = 32, MAX_KEY_BYTES = 6144, ED25519_BYTES = 32, DEFAULT_KEYS = 1000, MAX_EXPONENT_BYTES = 8 };

struct bh_pubkey {
    enum bh_dkim_key_type type;
    unsigned bits;
    RSA *rsa;
    EVP_PKEY *ed25519;
};

/* ---- key records ---- */

static bool list_has(bh_str list, const char *item)
{
    bh_str one;

    while (bh_tag_item(&list, ':', &one))
        if (bh_str_eq_ci(one, bh_str_c(item)))
            return true;
    return false;
}

static const char *read_tags(const struct bh_tag *tags, size_t count, struct bh_key_record *record)
{
    const struct bh_tag *v = bh_tag_find(tags, count, "v");
    const struct bh_tag *k = bh_tag_find(tags, count, "k");
    const struct bh_tag *p = bh_tag_find(tags, count, "p");
    const struct bh_tag *h = bh_tag_find(tags, count, "h");
    const struct bh_tag *s = bh_tag_find(tags, count, "s");
    const struct bh_tag *t = bh_tag_find(tags, count, "t");

    if (v && (v != tags || !bh_str_eq(v->value, BH_STR("DKIM1"))))
        return "key record has a v= other than DKIM1 in first place";
    if (!p)
        return "key record has no p=";
    if (k && !bh_str_eq_ci(k->value, BH_STR("rsa")) && !bh_str_eq_ci(k->value, BH_STR("ed25519")))
        return "key record names an unknown key type (k=)";
    record->type = k && bh_str_eq_ci(k->value, BH_STR("ed25519")) ? BH_DKIM_KEY_ED25519 : BH_DKIM_KEY_RSA;
    record->data = p->value;
    record->sha256 = !h || list_has(h->value, "sha256");
    record->email = !s || list_has(s->value, "*") || list_has(s->value, "email");
    record->testing = t && list_has(t->value, "y");
    record->no_subdomains = t && list_has(t->value, "s");
    return p->value.n ? NULL : "key revoked (p= is empty)";
}

const char *bh_key_record_read(bh_str text, struct bh_key_record *ret_record)
{
    struct bh_tag tags[MAX_KEY_TAGS];
    struct bh_key_record record = {0};
    size_t count = 0;
    const char *why;

    if (text.n > BH_KEY_RECORD_MAX)
        return "key record is longer than 8192 bytes";
    if (bh_tag_list_read(text, tags, MAX_KEY_TAGS, &count))
        return "key record is not a tag list";
    why = read_tags(tags, count, &record);
    if (!why)
        *ret_record = record;
    return why;
}

/* ---- keys ---- */

static const char *load_rsa(struct bh_pubkey *key, bh_str der)
{
    struct bh_der_rsa numbers;
    BIGNUM *n;
    BIGNUM *e;

    if (bh_der_rsa_public(der, &numbers))
        return "p= is not an RSA public key";
    if (numbers.n.n > BH_DKIM_RSA_MAX_BITS / 8)
        return "RSA key is longer than 4096 bits";
    if (numbers.e.n > MAX_EXPONENT_BYTES || !(numbers.e.p[numbers.e.n - 1] & 1) ||
        !(numbers.n.p[numbers.n.n - 1] & 1) || (numbers.e.n == 1 && numbers.e.p[0] == 1))
        return "RSA key has numbers that no RSA key can have";
    key->rsa = RSA_new();
    n = BN_bin2bn((const unsigned char *)numbers.n.p, (int)numbers.n.n, NULL);
    e = BN_bin2bn((const unsigned char *)numbers.e.p, (int)numbers.e.n, NULL);
    if (!key->rsa || !n || !e || RSA_set0_key(key->rsa, n, e, NULL) != 1) {
        BN_free(n);
        BN_free(e);
        return "out of memory";
    }
    key->bits = (unsigned)RSA_bits(key->rsa);
    return key->bits < BH_DKIM_RSA_MIN_BITS ? "RSA key is shorter than 1024 bits (RFC 8301)" : NULL;
}

/* RFC 8463 4.2: the 32 bytes themselves, no ASN.1 around them. */
static const char *load_ed25519(struct bh_pubkey *key, bh_str raw)
{
    if (raw.n != ED25519_BYTES)
        return "p= is not an Ed25519 public key (32 bytes)";
    key->ed25519 = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)raw.p, raw.n);
    key->bits = ED25519_BYTES * 8;
    return key->ed25519 ? NULL : "p= is not an Ed25519 public key";
}

struct bh_pubkey *bh_pubkey_new(const struct bh_key_record *record, const char **ret_why)
{
    struct bh_buf bytes = bh_buf_make(MAX_KEY_BYTES);
    struct bh_pubkey *key = calloc(1, sizeof(*key));
    const char *why = key ? NULL : "out of memory";

    if (!why && bh_base64_decode_loose(&bytes, record->data))
        why = record->data.n > MAX_KEY_BYTES ? "key is longer than 6144 bytes" : "p= is not base64";
    if (!why) {
        key->type = record->type;
        why =
            key->type == BH_DKIM_KEY_RSA ? load_rsa(key, bh_buf_view(&bytes)) : load_ed25519(key, bh_buf_view(&bytes));
    }
    bh_buf_free(&bytes);
    if (why) {
        bh_pubkey_free(key);
        *ret_why = why;
        return NULL;
    }
    return key;
}

void bh_pubkey_free(struct bh_pubkey *key)
{
    if (!key)
        return;
    RSA_free(key->rsa);
    EVP_PKEY_free(key->ed25519);
    free(key);
}

enum bh_dkim_key_type bh_pubkey_type(const struct bh_pubkey *key)
{
    return key->type;
}

unsigned bh_pubkey_bits(const struct bh_pubkey *key)
{
    return key->bits;
}

static bool verify_ed25519(const struct bh_pubkey *key, const uint8_t *hash, bh_str signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->ed25519) == 1 &&
              EVP_DigestVerify(ctx, (const unsigned char *)signature.p, signature.n, hash, BH_DKIM_HASH_BYTES) == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

bool bh_pubkey_verify(const struct bh_pubkey *key, const uint8_t hash[BH_DKIM_HASH_BYTES], bh_str signature)
{
    if (key->type == BH_DKIM_KEY_ED25519)
        return verify_ed25519(key, hash, signature);
    if (signature.n != (size_t)RSA_size(key->rsa))
        return false;
    return RSA_verify(NID_sha256, hash, BH_DKIM_HASH_BYTES, (const unsigned char *)signature.p, (unsigned)signature.n,
                      key->rsa) == 1;
}

bool bh_pubkey_recover(const struct bh_pubkey *key, bh_str signature, uint8_t ret_hash[BH_DKIM_HASH_BYTES])
{
    unsigned char info[BH_DKIM_SIGNATURE_MAX];
    int n;

    if (key->type != BH_DKIM_KEY_RSA || signature.n != (size_t)RSA_size(key->rsa) || signature.n > sizeof(info))
        return false;
    n = RSA_public_decrypt((int)signature.n, (const unsigned char *)signature.p, info, key->rsa, RSA_PKCS1_PADDING);
    if (n < BH_DKIM_HASH_BYTES)
        return false;
    memcpy(ret_hash, info + n - BH_DKIM_HASH_BYTES, BH_DKIM_HASH_BYTES); /* the tail of DigestInfo */
    return true;
}

/* ---- cache ---- */

struct entry {
    struct bh_map_node by_text;
    struct bh_list by_use; /* most recent first */
    struct bh_pubkey *key;
    char text[]; /* type, then p= */
};

struct bh_pubkey_cache {
    struct bh_map map;
    struct bh_list uses;
    size_t max_keys;
};

struct bh_pubkey_cache *bh_pubkey_cache_new(size_t max_keys, const uint64_t seed[2])
{
    struct bh_pubkey_cache *cache = calloc(1, sizeof(*cache));

    if (cache) {
        bh_map_init(&cache->map, seed);
        bh_list_init(&cache->uses);
        cache->max_keys = max_keys ? max_keys : DEFAULT_KEYS;
    }
    return cache;
}

static void drop(struct bh_pubkey_cache *cache, struct entry *entry)
{
    bh_map_remove(&cache->map, &entry->by_text);
    bh_list_remove(&entry->by_use);
    bh_pubkey_free(entry->key);
    free(entry);
}

void bh_pubkey_cache_free(struct bh_pubkey_cache *cache)
{
    if (!cache)
        return;
    BH_LIST_EACH (it, &cache->uses) {
        drop(cache, BH_CONTAINER_OF(it, struct entry, by_use));
    }
    bh_map_free(&cache->map);
    free(cache);
}

static struct entry *add(struct bh_pubkey_cache *cache, bh_str text, struct bh_pubkey *key)
{
    struct entry *entry = calloc(1, sizeof(*entry) + text.n);

    if (!entry)
        return NULL;
    memcpy(entry->text, text.p, text.n);
    if (bh_map_add(&cache->map, bh_str_of(entry->text, text.n), &entry->by_text)) {
        free(entry);
        return NULL;
    }
    entry->key = key;
    bh_list_push_front(&cache->uses, &entry->by_use);
    if (cache->map.count > cache->max_keys)
        drop(cache, BH_CONTAINER_OF(cache->uses.prev, struct entry, by_use));
    return entry;
}

const struct bh_pubkey *bh_pubkey_cache_get(struct bh_pubkey_cache *cache, const struct bh_key_record *record,
                                            const char **ret_why)
{
    char text[BH_KEY_RECORD_MAX + 1];
    bh_str view = {text, record->data.n + 1};
    struct bh_map_node *found;
    struct bh_pubkey *key;
    struct entry *entry;

    if (record->data.n > BH_KEY_RECORD_MAX) {
        *ret_why = "key is longer than 8192 bytes";
        return NULL;
    }
    text[0] = record->type == BH_DKIM_KEY_RSA ? 'r' : 'e';
    memcpy(text + 1, record->data.p, record->data.n);
    found = bh_map_get(&cache->map, view);
    if (found) {
        entry = BH_CONTAINER_OF(found, struct entry, by_text);
        bh_list_remove(&entry->by_use);
        bh_list_push_front(&cache->uses, &entry->by_use);
        return entry->key;
    }
    key = bh_pubkey_new(record, ret_why);
    if (!key)
        return NULL;
    entry = add(cache, view, key);
    if (entry)
        return entry->key;
    bh_pubkey_free(key);
    *ret_why = "out of memory";
    return NULL;
}
