/* grant.c: see grant.h. */
#include "grant.h"
#include <sodium.h>

static void put_fields(struct bh_buf *out, const struct bh_grant *grant)
{
    bh_buf_u8(out, grant->kind);
    bh_buf_u8(out, grant->granter);
    bh_buf_u64(out, grant->delivery_id);
    bh_buf_u32(out, grant->customer_id);
    bh_buf_u64(out, grant->key_id);
    bh_buf_str(out, grant->domain);
    bh_buf_str(out, grant->selector);
    bh_buf_u64(out, (uint64_t)grant->expires_at);
}

static void mac_of(bh_str fields, const uint8_t key[BH_GRANT_KEY_BYTES], uint8_t ret_mac[BH_GRANT_MAC_BYTES])
{
    (void)crypto_generichash(ret_mac, BH_GRANT_MAC_BYTES, (const unsigned char *)fields.p, fields.n, key,
                             BH_GRANT_KEY_BYTES);
}

void bh_grant_put(struct bh_buf *out, const uint8_t key[BH_GRANT_KEY_BYTES], const struct bh_grant *grant)
{
    uint8_t mac[BH_GRANT_MAC_BYTES];
    size_t from = out->n;

    put_fields(out, grant);
    if (bh_buf_err(out))
        return;
    mac_of(bh_str_of(out->p + from, out->n - from), key, mac);
    bh_buf_add(out, bh_str_of((const char *)mac, sizeof(mac)));
}

bh_err bh_grant_get(bh_str bytes, const uint8_t key[BH_GRANT_KEY_BYTES], bh_time_ms now, struct bh_grant *ret_grant)
{
    uint8_t mac[BH_GRANT_MAC_BYTES];
    bh_str fields;
    struct bh_cur cur;
    struct bh_grant grant;

    if (bytes.n < BH_GRANT_MAC_BYTES || bytes.n > BH_GRANT_BYTES_MAX)
        return BH_E_SYNTAX;
    fields = bh_str_sub(bytes, 0, bytes.n - BH_GRANT_MAC_BYTES);
    mac_of(fields, key, mac);
    if (!bh_str_eq_secret(bh_str_of((const char *)mac, sizeof(mac)), bh_str_skip(bytes, fields.n)))
        return BH_E_DENIED;
    cur = bh_cur_make(fields);
    grant.kind = bh_cur_u8(&cur);
    grant.granter = bh_cur_u8(&cur);
    grant.delivery_id = bh_cur_u64(&cur);
    grant.customer_id = bh_cur_u32(&cur);
    grant.key_id = bh_cur_u64(&cur);
    grant.domain = bh_cur_str(&cur);
    grant.selector = bh_cur_str(&cur);
    grant.expires_at = (bh_time_ms)bh_cur_u64(&cur);
    if (!bh_cur_done(&cur))
        return BH_E_SYNTAX;
    if (grant.expires_at < now)
        return BH_E_TIMEOUT;
    *ret_grant = grant;
    return BH_OK;
}

void bh_grant_associated_data(struct bh_buf *out, uint8_t kind, uint32_t customer_id, bh_str domain, bh_str selector,
                              uint64_t key_id)
{
    bh_buf_u8(out, kind);
    bh_buf_u32(out, customer_id);
    bh_buf_str(out, domain);
    bh_buf_str(out, selector);
    bh_buf_u64(out, key_id);
}
