/* verp.c: see verp.h for the layout. The MAC covers a fixed label and all bytes before it. */
#include "verp.h"
#include "base/cur.h"
#include "base/text.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum {
    version = 1,
    domain_max = 255,
    payload_bytes = 1 + 2 + 4 + 8 + 4,
    all_bytes = payload_bytes + BH_VERP_CHECK_BYTES
};
_Static_assert(1 + (all_bytes * 8 + 4) / 5 == BH_VERP_CHARS, "length of the local part");

uint16_t bh_verp_period(bh_time_ms now)
{
    if (now < 0)
        return 0;
    return (uint16_t)(now / 1000 / BH_VERP_PERIOD_S);
}

bool bh_verp_is_late(uint16_t period, uint32_t keep_s, bh_time_ms now)
{
    return period + keep_s / BH_VERP_PERIOD_S + 1 < bh_verp_period(now);
}

const struct bh_verp_key *bh_verp_key_find(const struct bh_verp_ring *ring, uint16_t period)
{
    for (size_t i = 0; i < ring->count; i++)
        if (ring->keys[i].period == period)
            return &ring->keys[i];
    return NULL;
}

static bool make_check(const struct bh_verp_key *key, bh_str payload, bh_str domain,
                       uint8_t ret_check[BH_VERP_CHECK_BYTES])
{
    /* the label keeps these MACs apart from any other use of the same key */
    static const char label[] = "behalf verp 2";
    unsigned char text[sizeof label - 1 + payload_bytes + domain_max], mac[EVP_MAX_MD_SIZE];
    unsigned char *at = text;
    unsigned n = 0;

    if (domain.n > domain_max)
        return false;
    memcpy(at, label, sizeof label - 1);
    at += sizeof label - 1;
    memcpy(at, payload.p, payload_bytes);
    at += payload_bytes;
    for (size_t i = 0; i < domain.n; i++)
        *at++ = (unsigned char)bh_to_lower(domain.p[i]);
    if (!HMAC(EVP_sha256(), key->key, BH_VERP_KEY_BYTES, text, (size_t)(at - text), mac, &n) || n < BH_VERP_CHECK_BYTES)
        return false;
    memcpy(ret_check, mac, BH_VERP_CHECK_BYTES);
    return true;
}

bh_err bh_verp_encode(const struct bh_verp *address, bh_str domain, const struct bh_verp_key *key,
                      char ret_local[BH_VERP_CHARS])
{
    struct bh_buf bytes = bh_buf_make(all_bytes), text = bh_buf_make(BH_VERP_CHARS);
    uint8_t check[BH_VERP_CHECK_BYTES];
    bh_err err = BH_OK;

    if ((unsigned)address->kind > 15)
        return BH_E_INVALID;
    bh_buf_u8(&bytes, (uint8_t)(version << 4 | (unsigned)address->kind));
    bh_buf_u16(&bytes, key->period);
    bh_buf_u32(&bytes, address->customer);
    bh_buf_u64(&bytes, address->message);
    bh_buf_u32(&bytes, address->recipient);
    if (bh_buf_err(&bytes) || !make_check(key, bh_buf_view(&bytes), domain, check))
        err = BH_E_CRYPTO;
    bh_buf_add(&bytes, bh_str_of((const char *)check, sizeof check));
    bh_buf_char(&text, 'b');
    bh_base32_encode(&text, bh_buf_view(&bytes));
    if (!err && !bh_buf_err(&text) && text.n == BH_VERP_CHARS)
        memcpy(ret_local, text.p, BH_VERP_CHARS);
    else if (!err)
        err = BH_E_NOMEM;
    bh_buf_free(&bytes);
    bh_buf_free(&text);
    return err;
}

static bool kind_known(unsigned kind)
{
    return kind >= BH_VERP_BOUNCE && kind <= BH_VERP_NOTICE;
}

/* Why no key was found: periods before all of ours have run out, later ones nobody can have made yet. */
static enum bh_verp_verdict judge_period(const struct bh_verp_ring *ring, uint16_t period)
{
    for (size_t i = 0; i < ring->count; i++)
        if (ring->keys[i].period < period)
            return BH_VERP_WRONG_KEY;
    return BH_VERP_EXPIRED;
}

static enum bh_verp_verdict judge_bytes(bh_str bytes, bh_str domain, const struct bh_verp_ring *ring,
                                        struct bh_verp *ret_address)
{
    struct bh_cur cur = bh_cur_make(bytes);
    uint8_t first = bh_cur_u8(&cur), check[BH_VERP_CHECK_BYTES];
    struct bh_verp address = {.kind = (enum bh_verp_kind)(first & 15)};
    const struct bh_verp_key *key;

    address.period = bh_cur_u16(&cur);
    address.customer = bh_cur_u32(&cur);
    address.message = bh_cur_u64(&cur);
    address.recipient = bh_cur_u32(&cur);
    if (!bh_cur_ok(&cur) || first >> 4 != version || !kind_known(first & 15))
        return BH_VERP_MALFORMED;
    key = bh_verp_key_find(ring, address.period);
    if (!key)
        return judge_period(ring, address.period);
    if (!make_check(key, bytes, domain, check) ||
        !bh_str_eq_secret(bh_cur_bytes(&cur, sizeof check), bh_str_of((const char *)check, sizeof check)))
        return BH_VERP_WRONG_KEY;
    *ret_address = address;
    return BH_VERP_OK;
}

enum bh_verp_verdict bh_verp_decode(bh_str local, bh_str domain, const struct bh_verp_ring *ring,
                                    struct bh_verp *ret_address)
{
    struct bh_buf bytes = bh_buf_make(BH_VERP_CHARS);
    enum bh_verp_verdict verdict = BH_VERP_NOT_OURS;

    if (local.n != BH_VERP_CHARS || bh_to_lower(local.p[0]) != 'b')
        return BH_VERP_NOT_OURS;
    if (bh_base32_decode(&bytes, bh_str_skip(local, 1)) == BH_OK && bytes.n == all_bytes)
        verdict = judge_bytes(bh_buf_view(&bytes), domain, ring, ret_address);
    bh_buf_free(&bytes);
    return verdict;
}

const char *bh_verp_verdict_text(enum bh_verp_verdict verdict)
{
    switch (verdict) {
    case BH_VERP_OK:
        return "ours";
    case BH_VERP_NOT_OURS:
        return "not one of our addresses";
    case BH_VERP_MALFORMED:
        return "malformed";
    case BH_VERP_WRONG_KEY:
        return "forged";
    case BH_VERP_EXPIRED:
        return "expired";
    }
    return "unknown";
}
