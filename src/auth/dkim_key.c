/* dkim_key.c: private keys on OpenSSL's EVP. Contexts are made per signature, which costs 1 % of an RSA-2048
 * signature and lets threads share a key. Depends on base and libcrypto alone: it is a library of its own. */
#include "base/text.h"
#include <behalf/dkim_key.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

enum { KEY_TEXT_MAX = 64 * 1024, SEED_BYTES = 32 };

struct bh_dkim_key {
    EVP_PKEY *pkey;
    enum bh_dkim_key_type type;
    unsigned bits;
};

/* Takes `pkey` over, also when it is refused. */
static bh_err wrap(EVP_PKEY *pkey, struct bh_dkim_key **ret_key)
{
    struct bh_dkim_key *key = calloc(1, sizeof(*key));
    bh_err err = key ? BH_OK : BH_E_NOMEM;

    if (!err && EVP_PKEY_is_a(pkey, "RSA")) {
        key->type = BH_DKIM_KEY_RSA;
        key->bits = (unsigned)EVP_PKEY_get_bits(pkey);
        if (key->bits < BH_DKIM_RSA_MIN_BITS || key->bits > BH_DKIM_RSA_MAX_BITS)
            err = BH_E_RANGE;
    } else if (!err && EVP_PKEY_is_a(pkey, "ED25519")) {
        key->type = BH_DKIM_KEY_ED25519;
        key->bits = 256;
    } else if (!err) {
        err = BH_E_UNSUPPORTED;
    }
    if (err) {
        EVP_PKEY_free(pkey);
        free(key);
        return err;
    }
    key->pkey = pkey;
    *ret_key = key;
    return BH_OK;
}

bh_err bh_dkim_key_generate(enum bh_dkim_key_type type, unsigned bits, struct bh_dkim_key **ret_key)
{
    EVP_PKEY *pkey;

    if (type == BH_DKIM_KEY_RSA && (bits < BH_DKIM_RSA_MIN_BITS || bits > BH_DKIM_RSA_MAX_BITS))
        return BH_E_RANGE;
    pkey = type == BH_DKIM_KEY_RSA ? EVP_RSA_gen(bits) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return pkey ? wrap(pkey, ret_key) : BH_E_CRYPTO;
}

/* Never asks for a passphrase: an encrypted key is one that we cannot read. */
static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf, (void)size, (void)rwflag, (void)ctx;
    return -1;
}

static EVP_PKEY *read_pem(bh_str text)
{
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

    BIO_free(bio);
    return pkey;
}

static EVP_PKEY *read_der(bh_str text)
{
    const unsigned char *p = (const unsigned char *)text.p;

    return d2i_AutoPrivateKey(NULL, &p, (long)text.n);
}

static EVP_PKEY *read_seed(bh_str text)
{
    struct bh_buf seed = bh_buf_make(KEY_TEXT_MAX);
    EVP_PKEY *pkey = NULL;

    if (bh_base64_decode(&seed, bh_str_trim(text)) == BH_OK && seed.n == SEED_BYTES)
        pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)seed.p, seed.n);
    if (seed.p)
        bh_wipe(seed.p, seed.cap);
    bh_buf_free(&seed);
    return pkey;
}

/* A file whose numbers do not belong together would sign garbage for ever; better to say so at once. */
static bool is_consistent(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_is_a(pkey, "RSA") ? EVP_PKEY_CTX_new(pkey, NULL) : NULL;
    bool ok = !EVP_PKEY_is_a(pkey, "RSA") || (ctx && EVP_PKEY_pairwise_check(ctx) == 1);

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

bh_err bh_dkim_key_reload(bh_str text, struct bh_dkim_key **ret_key)
{
    EVP_PKEY *pkey = NULL;

    if (text.n == 0 || text.n > KEY_TEXT_MAX)
        return BH_E_SYNTAX;
    if (bh_str_search(text, BH_STR("-----BEGIN")) < text.n)
        pkey = read_pem(text);
    else if ((unsigned char)text.p[0] == 0x30)
        pkey = read_der(text);
    if (!pkey)
        pkey = read_seed(text);
    if (!pkey)
        return BH_E_SYNTAX;
    return wrap(pkey, ret_key);
}

bh_err bh_dkim_key_load(bh_str text, struct bh_dkim_key **ret_key)
{
    struct bh_dkim_key *key;
    bh_err err = bh_dkim_key_reload(text, &key);

    if (err)
        return err;
    if (!is_consistent(key->pkey)) {
        bh_dkim_key_free(key);
        return BH_E_CRYPTO;
    }
    *ret_key = key;
    return BH_OK;
}

void bh_dkim_key_free(struct bh_dkim_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

enum bh_dkim_key_type bh_dkim_key_type(const struct bh_dkim_key *key)
{
    return key->type;
}

unsigned bh_dkim_key_bits(const struct bh_dkim_key *key)
{
    return key->bits;
}

static bool sign_rsa(EVP_PKEY *pkey, const uint8_t *hash, uint8_t *signature, size_t *length)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    bool ok = ctx && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
              EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
              EVP_PKEY_sign(ctx, signature, length, hash, BH_DKIM_HASH_BYTES) == 1;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static bool sign_ed25519(EVP_PKEY *pkey, const uint8_t *hash, uint8_t *signature, size_t *length)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestSign(ctx, signature, length, hash, BH_DKIM_HASH_BYTES) == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

bh_err bh_dkim_key_sign(const struct bh_dkim_key *key, const uint8_t hash[BH_DKIM_HASH_BYTES],
                        uint8_t ret_signature[BH_DKIM_SIGNATURE_MAX], size_t *ret_length)
{
    size_t length = BH_DKIM_SIGNATURE_MAX;
    bool ok = key->type == BH_DKIM_KEY_RSA ? sign_rsa(key->pkey, hash, ret_signature, &length)
                                           : sign_ed25519(key->pkey, hash, ret_signature, &length);

    if (!ok)
        return BH_E_CRYPTO;
    *ret_length = length;
    return BH_OK;
}

bh_err bh_dkim_key_to_der(const struct bh_dkim_key *key, uint8_t *der, size_t cap, size_t *ret_length)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->pkey);
    int length = info ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
    bh_err err = length > 0 ? BH_OK : BH_E_CRYPTO;

    if (!err && (size_t)length > cap)
        err = BH_E_LIMIT;
    if (!err) {
        (void)i2d_PKCS8_PRIV_KEY_INFO(info, &der);
        *ret_length = (size_t)length;
    }
    PKCS8_PRIV_KEY_INFO_free(info);
    return err;
}

bh_err bh_dkim_key_to_pem(const struct bh_dkim_key *key, struct bh_arena *arena, bh_str *ret_pem)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    bh_err err = BH_E_CRYPTO;
    char *text = NULL;
    long length;
    bh_str pem;

    if (bio && PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1) {
        length = BIO_get_mem_data(bio, &text);
        pem = length > 0 ? bh_arena_dup(arena, bh_str_of(text, (size_t)length)) : (bh_str){NULL, 0};
        err = pem.p ? BH_OK : BH_E_NOMEM;
        if (!err)
            *ret_pem = pem;
    }
    BIO_free(bio);
    return err;
}

/* What p= holds: SubjectPublicKeyInfo for RSA, the 32 bytes themselves for Ed25519 (RFC 8463 4). */
static bh_err add_public(const struct bh_dkim_key *key, struct bh_buf *out)
{
    unsigned char raw[SEED_BYTES];
    size_t raw_length = sizeof(raw);
    unsigned char *der = NULL;
    int length;

    if (key->type == BH_DKIM_KEY_ED25519) {
        if (EVP_PKEY_get_raw_public_key(key->pkey, raw, &raw_length) != 1)
            return BH_E_CRYPTO;
        bh_base64_encode(out, bh_str_of((const char *)raw, raw_length));
        return bh_buf_err(out);
    }
    length = i2d_PUBKEY(key->pkey, &der);
    if (length <= 0)
        return BH_E_CRYPTO;
    bh_base64_encode(out, bh_str_of((const char *)der, (size_t)length));
    OPENSSL_free(der);
    return bh_buf_err(out);
}

bh_err bh_dkim_key_record(const struct bh_dkim_key *key, struct bh_arena *arena, bh_str *ret_record)
{
    struct bh_buf text = bh_buf_make(4096);
    bh_str record;
    bh_err err;

    bh_buf_add(&text, key->type == BH_DKIM_KEY_RSA ? BH_STR("v=DKIM1; k=rsa; p=") : BH_STR("v=DKIM1; k=ed25519; p="));
    err = add_public(key, &text);
    if (!err) {
        record = bh_arena_dup(arena, bh_buf_view(&text));
        err = record.p ? BH_OK : BH_E_NOMEM;
        if (!err)
            *ret_record = record;
    }
    bh_buf_free(&text);
    return err;
}
