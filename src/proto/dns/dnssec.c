/* Signing a zone: build it once with its keys and without old signatures, so that nodes stand in canonical order; then
 * a second time with an NSEC for each authoritative name and an RRSIG for each authoritative RRset. At a delegation
 * only DS and NSEC are ours to sign; below it nothing is; empty non-terminals have no NSEC. */
#include "dnssec.h"
#include "field.h"
#include <openssl/evp.h>

enum { KEY_FLAGS = 257, KEY_PROTOCOL = 3, DIGEST_SHA256 = 2, SIGNED_DATA_MAX = 64 << 20 };

/* ---- keys ---- */

void bh_dns_key_rdata(const struct bh_dns_sign_key *key, unsigned char ret_rdata[BH_DNS_KEY_RDATA_BYTES])
{
    ret_rdata[0] = KEY_FLAGS >> 8;
    ret_rdata[1] = KEY_FLAGS & 0xff;
    ret_rdata[2] = KEY_PROTOCOL;
    ret_rdata[3] = BH_DNS_ALGORITHM_P256;
    memcpy(ret_rdata + 4, key->public_key, BH_DNS_P256_PUBLIC_BYTES);
}

uint16_t bh_dns_key_tag(bh_str dnskey_rdata)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < dnskey_rdata.n; i++)
        sum += i & 1 ? (unsigned char)dnskey_rdata.p[i] : (uint32_t)(unsigned char)dnskey_rdata.p[i] << 8;
    return (uint16_t)(sum + (sum >> 16));
}

bh_err bh_dns_key_ds(bh_str owner, bh_str dnskey_rdata, unsigned char ret_rdata[36])
{
    unsigned char data[BH_DNS_NAME_MAX + BH_DNS_KEY_RDATA_BYTES];
    uint16_t tag = bh_dns_key_tag(dnskey_rdata);
    struct bh_dns_name name;
    unsigned n = 0;

    if (dnskey_rdata.n != BH_DNS_KEY_RDATA_BYTES)
        return BH_E_INVALID;
    bh_dns_name_set(&name, owner);
    bh_dns_name_lower(&name);
    memcpy(data, name.wire, name.n);
    memcpy(data + name.n, dnskey_rdata.p, dnskey_rdata.n);
    ret_rdata[0] = (unsigned char)(tag >> 8);
    ret_rdata[1] = (unsigned char)tag;
    ret_rdata[2] = BH_DNS_ALGORITHM_P256;
    ret_rdata[3] = DIGEST_SHA256;
    return EVP_Digest(data, name.n + dnskey_rdata.n, ret_rdata + 4, &n, EVP_sha256(), NULL) == 1 && n == 32
               ? BH_OK
               : BH_E_CRYPTO;
}

/* ---- the unsigned zone with its keys ---- */

static bool is_made_anew(uint16_t type)
{
    return type == BH_DNS_RRSIG || type == BH_DNS_NSEC || type == BH_DNS_DNSKEY || type == BH_DNS_CDS ||
           type == BH_DNS_CDNSKEY;
}

static bh_err copy_rrset(struct bh_dns_zone_builder *builder, const struct bh_dns_zone *zone,
                         const struct bh_dns_node *node, const struct bh_dns_rrset *rrset)
{
    uint32_t at = rrset->at;
    bh_err err = BH_OK;

    for (unsigned i = 0; i < rrset->count && !err; i++)
        err = bh_dns_zone_builder_add(builder, bh_dns_node_name(zone, node), rrset->ttl_s, rrset->type,
                                      bh_dns_rrset_next(zone, &at));
    return err;
}

static bh_err copy_zone(struct bh_dns_zone_builder *builder, const struct bh_dns_zone *zone, bool anew)
{
    bh_err err = BH_OK;

    for (uint32_t i = 0; i < zone->nodes; i++)
        for (unsigned j = 0; j < zone->node[i].rrsets && !err; j++) {
            const struct bh_dns_rrset *rrset = &zone->rrset[zone->node[i].rrsets_at + j];

            if (!anew || !is_made_anew(rrset->type))
                err = copy_rrset(builder, zone, &zone->node[i], rrset);
        }
    return err;
}

static bh_err add_key(struct bh_dns_zone_builder *builder, bh_str apex, const struct bh_dns_sign_key *key,
                      uint32_t ttl_s)
{
    unsigned char dnskey[BH_DNS_KEY_RDATA_BYTES], ds[36];
    bh_str rdata = {(const char *)dnskey, sizeof dnskey};
    bh_err err;

    bh_dns_key_rdata(key, dnskey);
    err = bh_dns_zone_builder_add(builder, apex, ttl_s, BH_DNS_DNSKEY, rdata);
    if (err || !key->parent)
        return err;
    err = bh_dns_zone_builder_add(builder, apex, ttl_s, BH_DNS_CDNSKEY, rdata);
    if (!err)
        err = bh_dns_key_ds(apex, rdata, ds);
    return err ? err : bh_dns_zone_builder_add(builder, apex, ttl_s, BH_DNS_CDS, (bh_str){(char *)ds, sizeof ds});
}

static bh_err add_delete(struct bh_dns_zone_builder *builder, bh_str apex, uint32_t ttl_s)
{
    bh_err err = bh_dns_zone_builder_add(builder, apex, ttl_s, BH_DNS_CDS, (bh_str){"\0\0\0\0\0", 5});

    return err ? err : bh_dns_zone_builder_add(builder, apex, ttl_s, BH_DNS_CDNSKEY, (bh_str){"\0\0\3\0\0", 5});
}

static bh_err finish(struct bh_dns_zone_builder *builder, struct bh_dns_zone **ret_zone)
{
    const char *why;
    bh_str at;

    return bh_dns_zone_builder_finish(builder, ret_zone, &why, &at);
}

static bh_err build_with_keys(struct bh_dns_zone_builder *builder, const struct bh_dns_zone *zone,
                              const struct bh_dns_sign_options *options, struct bh_dns_zone **ret_zone)
{
    bh_str apex = bh_dns_zone_name(zone);
    bh_err err;

    bh_dns_zone_builder_begin(builder, apex);
    err = copy_zone(builder, zone, true);
    for (size_t i = 0; i < options->key_count && !err; i++)
        err = add_key(builder, apex, &options->keys[i], options->key_ttl_s);
    if (!err && options->delete_ds)
        err = add_delete(builder, apex, options->key_ttl_s);
    return err ? err : finish(builder, ret_zone);
}

/* ---- NSEC ---- */

struct signing {
    struct bh_dns_zone_builder *builder;
    const struct bh_dns_zone *zone; /* with keys */
    const struct bh_dns_sign_options *options;
    bh_dns_sign *sign;
    void *ctx;
    struct bh_buf data, rdata;
};

/* Has records that are ours to speak of: not empty, not below a delegation. */
static bool is_authoritative(const struct bh_dns_zone *zone, uint32_t index)
{
    const struct bh_dns_node *node = &zone->node[index];

    return node->rrsets > 0 && (node->cut == BH_DNS_NO_NODE || node->cut == index);
}

static uint32_t next_authoritative(const struct bh_dns_zone *zone, uint32_t index)
{
    do
        index = index + 1 < zone->nodes ? index + 1 : 0;
    while (!is_authoritative(zone, index));
    return index;
}

static bool is_signed(const struct bh_dns_zone *zone, uint32_t index, uint16_t type)
{
    return zone->node[index].cut != index || type == BH_DNS_DS || type == BH_DNS_NSEC;
}

/* The name behind `index` and the types at it, into signing->rdata. At a delegation the types of the child's side are
 * not named (RFC 4035 2.3). */
static void make_nsec(struct signing *signing, uint32_t index)
{
    const struct bh_dns_zone *zone = signing->zone;
    const struct bh_dns_node *node = &zone->node[index];
    uint8_t bits[BH_DNS_BITMAP_BYTES] = {0};

    bh_buf_clear(&signing->rdata);
    bh_buf_add(&signing->rdata, bh_dns_node_name(zone, &zone->node[next_authoritative(zone, index)]));
    bh_dns_bitmap_set(bits, BH_DNS_RRSIG);
    bh_dns_bitmap_set(bits, BH_DNS_NSEC);
    for (unsigned i = 0; i < node->rrsets; i++) {
        uint16_t type = zone->rrset[node->rrsets_at + i].type;

        if (node->cut != index || type == BH_DNS_NS || type == BH_DNS_DS)
            bh_dns_bitmap_set(bits, type);
    }
    bh_dns_bitmap_put(&signing->rdata, bits);
}

/* ---- RRSIG ---- */

static void put_canonical_name(struct bh_buf *out, bh_str name)
{
    struct bh_dns_name lower;

    bh_dns_name_set(&lower, name);
    bh_dns_name_lower(&lower);
    bh_buf_add(out, bh_dns_name_view(&lower));
}

/* The RRSIG's rdata up to the signature (RFC 4034 3.1). */
static void put_rrsig_head(struct signing *signing, size_t key, bh_str owner, uint16_t type, uint32_t ttl_s)
{
    unsigned char dnskey[BH_DNS_KEY_RDATA_BYTES];
    struct bh_buf *out = &signing->data;

    bh_dns_key_rdata(&signing->options->keys[key], dnskey);
    bh_buf_u16(out, type);
    bh_buf_u8(out, BH_DNS_ALGORITHM_P256);
    bh_buf_u8(out, (uint8_t)(bh_dns_name_labels(owner) - bh_dns_name_is_wildcard(owner)));
    bh_buf_u32(out, ttl_s);
    bh_buf_u32(out, signing->options->expiration);
    bh_buf_u32(out, signing->options->inception);
    bh_buf_u16(out, bh_dns_key_tag((bh_str){(char *)dnskey, sizeof dnskey}));
    put_canonical_name(out, bh_dns_zone_name(signing->zone));
}

/* One record in canonical form (RFC 4034 6.2). */
static void put_record(struct bh_buf *out, bh_str owner, uint16_t type, uint32_t ttl_s, bh_str rdata)
{
    put_canonical_name(out, owner);
    bh_buf_u16(out, type);
    bh_buf_u16(out, BH_DNS_CLASS_IN);
    bh_buf_u32(out, ttl_s);
    bh_buf_u16(out, (uint16_t)rdata.n);
    bh_dns_rdata_canonical(type, rdata, out);
}

/* Signs what signing->data holds, whose first `head` bytes are the RRSIG's own, and adds the record. */
static bh_err add_rrsig(struct signing *signing, size_t key, bh_str owner, uint32_t ttl_s, size_t head)
{
    unsigned char rrsig[18 + BH_DNS_NAME_MAX + BH_DNS_P256_SIGNATURE_BYTES];
    bh_err err = bh_buf_err(&signing->data);

    if (!err)
        err = signing->sign(signing->ctx, key, bh_buf_view(&signing->data), rrsig + head);
    if (err)
        return err;
    memcpy(rrsig, signing->data.p, head);
    return bh_dns_zone_builder_add(signing->builder, owner, ttl_s, BH_DNS_RRSIG,
                                   (bh_str){(char *)rrsig, head + BH_DNS_P256_SIGNATURE_BYTES});
}

static bh_err sign_rrset(struct signing *signing, size_t key, bh_str owner, const struct bh_dns_rrset *rrset)
{
    uint32_t at = rrset->at;
    size_t head;

    bh_buf_clear(&signing->data);
    put_rrsig_head(signing, key, owner, rrset->type, rrset->ttl_s);
    head = signing->data.n;
    for (unsigned i = 0; i < rrset->count; i++)
        put_record(&signing->data, owner, rrset->type, rrset->ttl_s, bh_dns_rrset_next(signing->zone, &at));
    return add_rrsig(signing, key, owner, rrset->ttl_s, head);
}

static bh_err sign_nsec(struct signing *signing, size_t key, bh_str owner)
{
    uint32_t ttl_s = signing->zone->negative_ttl_s; /* RFC 9077 */
    size_t head;

    bh_buf_clear(&signing->data);
    put_rrsig_head(signing, key, owner, BH_DNS_NSEC, ttl_s);
    head = signing->data.n;
    put_record(&signing->data, owner, BH_DNS_NSEC, ttl_s, bh_buf_view(&signing->rdata));
    return add_rrsig(signing, key, owner, ttl_s, head);
}

static bh_err sign_node_with(struct signing *signing, uint32_t index, size_t key)
{
    const struct bh_dns_zone *zone = signing->zone;
    const struct bh_dns_node *node = &zone->node[index];
    bh_str owner = bh_dns_node_name(zone, node);
    bh_err err = sign_nsec(signing, key, owner);

    for (unsigned i = 0; i < node->rrsets && !err; i++) {
        const struct bh_dns_rrset *rrset = &zone->rrset[node->rrsets_at + i];

        if (is_signed(zone, index, rrset->type))
            err = sign_rrset(signing, key, owner, rrset);
    }
    return err;
}

static bh_err sign_node(struct signing *signing, uint32_t index)
{
    const struct bh_dns_zone *zone = signing->zone;
    bh_err err;

    make_nsec(signing, index);
    err = bh_buf_err(&signing->rdata);
    if (!err)
        err = bh_dns_zone_builder_add(signing->builder, bh_dns_node_name(zone, &zone->node[index]),
                                      zone->negative_ttl_s, BH_DNS_NSEC, bh_buf_view(&signing->rdata));
    for (size_t key = 0; key < signing->options->key_count && !err; key++)
        if (signing->options->keys[key].signs)
            err = sign_node_with(signing, index, key);
    return err;
}

static bh_err sign_all(struct signing *signing)
{
    bh_err err;

    bh_dns_zone_builder_begin(signing->builder, bh_dns_zone_name(signing->zone));
    err = copy_zone(signing->builder, signing->zone, false);
    for (uint32_t i = 0; i < signing->zone->nodes && !err; i++)
        if (is_authoritative(signing->zone, i))
            err = sign_node(signing, i);
    return err;
}

bh_err bh_dns_zone_sign(struct bh_dns_zone_builder *builder, const struct bh_dns_zone *zone,
                        const struct bh_dns_sign_options *options, bh_dns_sign *sign, void *ctx,
                        struct bh_dns_zone **ret_zone)
{
    struct signing signing = {.builder = builder,
                              .options = options,
                              .sign = sign,
                              .ctx = ctx,
                              .data = bh_buf_make(SIGNED_DATA_MAX),
                              .rdata = bh_buf_make(BH_DNS_RDATA_MAX)};
    struct bh_dns_zone *with_keys = NULL;
    bool any = false;
    bh_err err;

    for (size_t i = 0; i < options->key_count; i++)
        any = any || options->keys[i].signs;
    if (!any || options->key_count > BH_DNS_SIGN_KEYS_MAX)
        return BH_E_INVALID;
    err = build_with_keys(builder, zone, options, &with_keys);
    if (err)
        return err;
    signing.zone = with_keys;
    err = sign_all(&signing);
    if (!err)
        err = finish(builder, ret_zone);
    bh_dns_zone_unref(with_keys);
    bh_buf_free(&signing.data);
    bh_buf_free(&signing.rdata);
    return err;
}
