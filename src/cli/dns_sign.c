/* dns_sign.c: `behalf dns sign`: a zone file signed with a key from a file. The zones of a running behalf are signed by
 * keyd; this is for tests, and for looking at what that gives. */
#include "base/clock.h"
#include "dns_serve.h"
#include "proto/dns/dnssec.h"
#include "proto/dns/zone_load.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

enum { DAY_S = 86400, VALID_DAYS = 14 };

/* ---- the key ---- */

static bool read_key(const char *path, EVP_PKEY **ret_pkey, struct bh_dns_sign_key *ret_key)
{
    unsigned char point[1 + BH_DNS_P256_PUBLIC_BYTES];
    FILE *file = fopen(path, "re");
    EVP_PKEY *pkey = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
    char group[32];
    size_t n = 0;

    if (file)
        (void)fclose(file);
    if (!pkey)
        return false;
    *ret_pkey = pkey;
    if (EVP_PKEY_get_group_name(pkey, group, sizeof group, &n) != 1 || strcmp(group, "prime256v1") != 0)
        return false;
    if (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n) != 1 ||
        n != sizeof point)
        return false;
    memcpy(ret_key->public_key, point + 1, BH_DNS_P256_PUBLIC_BYTES);
    return true;
}

/* OpenSSL gives a signature in DER; DNS wants the two numbers, 32 bytes each (RFC 6605 4). */
static bh_err raw_signature(const unsigned char *der, size_t n, unsigned char ret_signature[64])
{
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)n);
    bool good = signature && BN_bn2binpad(ECDSA_SIG_get0_r(signature), ret_signature, 32) == 32 &&
                BN_bn2binpad(ECDSA_SIG_get0_s(signature), ret_signature + 32, 32) == 32;

    ECDSA_SIG_free(signature);
    return good ? BH_OK : BH_E_CRYPTO;
}

static bh_err sign(void *ctx, size_t key, bh_str data, unsigned char ret_signature[BH_DNS_P256_SIGNATURE_BYTES])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char der[80];
    size_t n = sizeof der;
    bool good = md && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, ctx) == 1 &&
                EVP_DigestSign(md, der, &n, (const unsigned char *)data.p, data.n) == 1;

    (void)key;
    EVP_MD_CTX_free(md);
    return good ? raw_signature(der, n, ret_signature) : BH_E_CRYPTO;
}

/* ---- the zone ---- */

static void print_signed(const struct bh_dns_zone *zone, const struct bh_dns_sign_key *key)
{
    struct bh_buf out = bh_buf_make(1 << 30);
    unsigned char dnskey[BH_DNS_KEY_RDATA_BYTES], ds[36];

    bh_dns_zone_print(&out, zone);
    bh_dns_key_rdata(key, dnskey);
    if (bh_dns_key_ds(bh_dns_zone_name(zone), (bh_str){(char *)dnskey, sizeof dnskey}, ds) == BH_OK) {
        bh_buf_add(&out, BH_STR("; for the parent: "));
        bh_dns_record_print(&out, bh_dns_zone_name(zone), 3600, BH_DNS_CLASS_IN, BH_DNS_DS,
                            (bh_str){(char *)ds, sizeof ds});
        bh_buf_char(&out, '\n');
    }
    (void)fwrite(out.p, 1, out.n, stdout);
    bh_buf_free(&out);
}

static int sign_zone(const struct bh_dns_zone *zone, uint64_t seed, const struct bh_dns_sign_options *options,
                     EVP_PKEY *pkey)
{
    struct bh_dns_zone_builder *builder = bh_dns_zone_builder_new(seed);
    struct bh_dns_zone *signed_zone = NULL;
    bh_err err = builder ? bh_dns_zone_sign(builder, zone, options, sign, pkey, &signed_zone) : BH_E_NOMEM;

    if (!err)
        print_signed(signed_zone, &options->keys[0]);
    bh_dns_zone_unref(signed_zone);
    bh_dns_zone_builder_free(builder);
    return err ? bh_cli_fail("dns", "the zone cannot be signed: %s", bh_err_text(err)) : BH_EXIT_OK;
}

static int sign_file(const char *path, const struct bh_dns_name *origin, const struct bh_dns_sign_options *options,
                     EVP_PKEY *pkey)
{
    struct bh_dns_zones *zones = bh_dns_zones_new(0);
    struct bh_dns_zone_builder *builder = bh_dns_zone_builder_new(0);
    int status =
        zones && builder ? bh_dns_load_file(builder, path, origin, zones) : bh_cli_fail("dns", "out of memory");
    size_t place = 0;

    if (status == BH_EXIT_OK)
        status = sign_zone(bh_dns_zones_next(zones, &place), 0, options, pkey);
    bh_dns_zone_builder_free(builder);
    bh_dns_zones_free(zones);
    return status;
}

int bh_dns_sign_file(const char *path, const struct bh_dns_name *origin, const char *key_path, const char *now)
{
    struct bh_dns_sign_options options = {.keys = {{.signs = true, .parent = true}}, .key_count = 1, .key_ttl_s = 3600};
    uint64_t now_s = (uint64_t)(bh_clock_now() / 1000);
    EVP_PKEY *pkey = NULL;
    int status;

    if (now && bh_str_to_u64(bh_str_c(now), UINT32_MAX, &now_s))
        return bh_cli_fail("dns", "--now %s is no number of seconds since 1970", now);
    options.inception = (uint32_t)now_s - DAY_S; /* clocks differ */
    options.expiration = (uint32_t)now_s + VALID_DAYS * DAY_S;
    if (read_key(key_path, &pkey, &options.keys[0]))
        status = sign_file(path, origin, &options, pkey);
    else
        status = bh_cli_fail("dns",
                             "%s: no private key for ECDSA P-256 in PEM form; make one with "
                             "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
                             key_path);
    EVP_PKEY_free(pkey);
    return status;
}
