/* DNS cookies. A valid one is good for an hour and given anew after half of that (RFC 9018 4.3). */
#include "cookie.h"
#include "base/cur.h"
#include "base/map.h"

enum { GOOD_FOR_S = 3600, FRESH_FOR_S = 1800, AHEAD_S = 300, SERVER_MIN = 8, SERVER_MAX = 32, HASHED = 16 };

/* The last 8 bytes: SipHash-2-4 of what is before them and the address, in little-endian order. */
static void put_hash(unsigned char cookie[BH_DNS_COOKIE_BYTES], const unsigned char *secret, bh_str address)
{
    unsigned char data[HASHED + 16];
    uint64_t seed[2] = {0}, hash;

    for (size_t i = 0; i < BH_DNS_COOKIE_SECRET_BYTES; i++)
        seed[i / 8] |= (uint64_t)secret[i] << 8 * (i % 8);
    memcpy(data, cookie, HASHED);
    memcpy(data + HASHED, address.p, address.n);
    hash = bh_siphash24(seed, (bh_str){(char *)data, HASHED + address.n});
    for (size_t i = 0; i < 8; i++)
        cookie[HASHED + i] = (unsigned char)(hash >> 8 * i);
}

static void make_cookie(const struct bh_dns_cookie_secrets *secrets, bh_str client, bh_str address, uint32_t now_s,
                        unsigned char ret_cookie[BH_DNS_COOKIE_BYTES])
{
    memcpy(ret_cookie, client.p, BH_DNS_COOKIE_CLIENT_BYTES);
    ret_cookie[8] = 1;
    ret_cookie[9] = ret_cookie[10] = ret_cookie[11] = 0;
    for (size_t i = 0; i < 4; i++)
        ret_cookie[12 + i] = (unsigned char)(now_s >> (24 - 8 * i));
    put_hash(ret_cookie, secrets->secret[0], address);
}

/* The age in seconds by serial arithmetic (RFC 1982), negative when it is of the future. */
static int32_t age_of(bh_str cookie, uint32_t now_s)
{
    struct bh_cur cur = bh_cur_make(bh_str_skip(cookie, 12));

    return (int32_t)(now_s - bh_cur_u32(&cur));
}

static bool is_ours(const struct bh_dns_cookie_secrets *secrets, bh_str cookie, bh_str address)
{
    unsigned char expected[BH_DNS_COOKIE_BYTES];

    for (size_t i = 0; i < secrets->count; i++) {
        memcpy(expected, cookie.p, HASHED);
        put_hash(expected, secrets->secret[i], address);
        if (bh_str_eq_secret((bh_str){(char *)expected, sizeof expected}, cookie))
            return true;
    }
    return false;
}

enum bh_dns_cookie_state bh_dns_cookie_check(const struct bh_dns_cookie_secrets *secrets, bh_str option, bh_str address,
                                             uint32_t now_s, unsigned char ret_cookie[BH_DNS_COOKIE_BYTES])
{
    size_t server = option.n - BH_DNS_COOKIE_CLIENT_BYTES;
    int32_t age;

    if (option.n < BH_DNS_COOKIE_CLIENT_BYTES || (server && (server < SERVER_MIN || server > SERVER_MAX)))
        return BH_DNS_COOKIE_MALFORMED;
    if (secrets->count == 0 || (address.n != 4 && address.n != 16))
        return BH_DNS_COOKIE_NONE;
    make_cookie(secrets, option, address, now_s, ret_cookie);
    if (option.n != BH_DNS_COOKIE_BYTES || option.p[8] != 1 || !is_ours(secrets, option, address))
        return BH_DNS_COOKIE_UNKNOWN;
    age = age_of(option, now_s);
    if (age > GOOD_FOR_S || age < -AHEAD_S)
        return BH_DNS_COOKIE_UNKNOWN;
    if (age < FRESH_FOR_S)
        memcpy(ret_cookie, option.p, BH_DNS_COOKIE_BYTES);
    return BH_DNS_COOKIE_VALID;
}
