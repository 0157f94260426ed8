/* ecdsa.c: see ecdsa.h. */
#include "ecdsa.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

struct bh_ecdsa_key {
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *signing;
};

/* Takes over `pkey`, also on error. */
static bh_err wrap(EVP_PKEY *pkey, struct bh_ecdsa_key **ret_key)
{
    struct bh_ecdsa_key *key = pkey ? calloc(1, sizeof(*key)) : NULL;

    if (!key) {
        EVP_PKEY_free(pkey);
        return pkey ? BH_E_NOMEM : BH_E_CRYPTO;
    }
    key->pkey = pkey;
    key->signing = EVP_PKEY_CTX_new(pkey, NULL);
    if (!key->signing || EVP_PKEY_sign_init(key->signing) != 1) {
        bh_ecdsa_free(key);
        return BH_E_CRYPTO;
    }
    *ret_key = key;
    return BH_OK;
}

bh_err bh_ecdsa_generate(struct bh_ecdsa_key **ret_key)
{
    return wrap(EVP_EC_gen("P-256"), ret_key);
}

bh_err bh_ecdsa_load(bh_str der, struct bh_ecdsa_key **ret_key)
{
    const unsigned char *p = (const unsigned char *)der.p;
    EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, (long)der.n);
    char group[32];
    size_t n = 0;

    if (!pkey || EVP_PKEY_get_group_name(pkey, group, sizeof(group), &n) != 1 || strcmp(group, "prime256v1") != 0) {
        EVP_PKEY_free(pkey);
        return BH_E_SYNTAX;
    }
    return wrap(pkey, ret_key);
}

void bh_ecdsa_free(struct bh_ecdsa_key *key)
{
    if (!key)
        return;
    EVP_PKEY_CTX_free(key->signing);
    EVP_PKEY_free(key->pkey);
    free(key);
}

bh_err bh_ecdsa_to_der(const struct bh_ecdsa_key *key, struct bh_buf *out)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->pkey);
    unsigned char *der = NULL;
    int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : 0;

    if (n > 0)
        bh_buf_add(out, bh_str_of((const char *)der, (size_t)n));
    OPENSSL_clear_free(der, n > 0 ? (size_t)n : 0);
    PKCS8_PRIV_KEY_INFO_free(info);
    return n > 0 ? bh_buf_err(out) : BH_E_CRYPTO;
}

bh_err bh_ecdsa_public(const struct bh_ecdsa_key *key, struct bh_buf *out)
{
    unsigned char point[1 + BH_ECDSA_PUBLIC_BYTES]; /* uncompressed: 4, x, y */
    size_t n = 0;

    if (EVP_PKEY_get_octet_string_param(key->pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &n) != 1 ||
        n != sizeof(point) || point[0] != 4)
        return BH_E_CRYPTO;
    bh_buf_add(out, bh_str_of((const char *)point + 1, BH_ECDSA_PUBLIC_BYTES));
    return bh_buf_err(out);
}

bh_err bh_ecdsa_sign(const struct bh_ecdsa_key *key, const uint8_t digest[BH_ECDSA_DIGEST_BYTES],
                     uint8_t ret_signature[BH_ECDSA_SIGNATURE_BYTES])
{
    unsigned char der[80];
    const unsigned char *p = der;
    size_t n = sizeof(der);
    ECDSA_SIG *signature = NULL;
    bool good = EVP_PKEY_sign(key->signing, der, &n, digest, BH_ECDSA_DIGEST_BYTES) == 1 &&
                (signature = d2i_ECDSA_SIG(NULL, &p, (long)n)) != NULL &&
                BN_bn2binpad(ECDSA_SIG_get0_r(signature), ret_signature, 32) == 32 &&
                BN_bn2binpad(ECDSA_SIG_get0_s(signature), ret_signature + 32, 32) == 32;

    ECDSA_SIG_free(signature);
    return good ? BH_OK : BH_E_CRYPTO;
}
