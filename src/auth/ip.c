/* ip.c: see behalf/ip.h. inet_pton and inet_ntop are pure functions of their arguments. */
#include "base/cur.h"
#include <arpa/inet.h>
#include <behalf/ip.h>
#include <stdio.h>
#include <string.h>

/* One of the four numbers: 0 to 255, no leading zeros. */
static bool take_number(struct bh_cur *cur, uint8_t *ret_number)
{
    const char *start = cur->p;
    unsigned number = 0;

    while (cur->p < cur->end && bh_is_digit(*cur->p) && cur->p - start < 3)
        number = number * 10 + (unsigned)(*cur->p++ - '0');
    *ret_number = (uint8_t)number;
    return cur->p > start && number <= 255 && (*start != '0' || cur->p - start == 1);
}

static bh_err parse_ip4(bh_str text, struct bh_ip *ret_ip)
{
    struct bh_cur cur = bh_cur_make(text);
    struct bh_ip ip = {.n = 4};

    for (size_t i = 0; i < 4; i++) {
        if (i && (cur.p == cur.end || *cur.p++ != '.'))
            return BH_E_SYNTAX;
        if (!take_number(&cur, &ip.bytes[i]))
            return BH_E_SYNTAX;
    }
    if (!bh_cur_done(&cur))
        return BH_E_SYNTAX;
    *ret_ip = ip;
    return BH_OK;
}

bh_err bh_ip_parse(bh_str text, struct bh_ip *ret_ip)
{
    char c[BH_IP_TEXT_MAX];
    struct bh_ip ip = {.n = 16};

    if (bh_str_find(text, ':') == text.n)
        return parse_ip4(text, ret_ip);
    if (bh_str_to_c(text, c, sizeof(c)) || inet_pton(AF_INET6, c, ip.bytes) != 1)
        return BH_E_SYNTAX;
    *ret_ip = ip;
    return BH_OK;
}

bh_err bh_ip_from_bytes(bh_str bytes, struct bh_ip *ret_ip)
{
    struct bh_ip ip = {.n = (uint8_t)bytes.n};

    if (bytes.n != 4 && bytes.n != 16)
        return BH_E_SYNTAX;
    memcpy(ip.bytes, bytes.p, bytes.n);
    *ret_ip = ip;
    return BH_OK;
}

struct bh_ip bh_ip_unmapped(struct bh_ip ip)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct bh_ip ip4 = {.n = 4};

    if (ip.n != 16 || memcmp(ip.bytes, mapped, sizeof(mapped)) != 0)
        return ip;
    memcpy(ip4.bytes, ip.bytes + sizeof(mapped), 4);
    return ip4;
}

size_t bh_ip_print(const struct bh_ip *ip, char text[BH_IP_TEXT_MAX])
{
    text[0] = '\0';
    if (ip->n)
        (void)inet_ntop(ip->n == 4 ? AF_INET : AF_INET6, ip->bytes, text, BH_IP_TEXT_MAX);
    return strlen(text);
}

bool bh_ip_in_network(const struct bh_ip *ip, const struct bh_ip *network, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;

    if (!ip->n || ip->n != network->n || bits > ip->n * 8U || memcmp(ip->bytes, network->bytes, whole) != 0)
        return false;
    return !rest || (ip->bytes[whole] ^ network->bytes[whole]) >> (8 - rest) == 0;
}

size_t bh_ip_reverse_name(const struct bh_ip *ip, char name[BH_IP_REVERSE_MAX])
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    if (ip->n == 4)
        return (size_t)snprintf(name, BH_IP_REVERSE_MAX, "%u.%u.%u.%u.in-addr.arpa", ip->bytes[3], ip->bytes[2],
                                ip->bytes[1], ip->bytes[0]);
    for (size_t i = ip->n; i-- > 0;) {
        name[n++] = hex[ip->bytes[i] & 15];
        name[n++] = '.';
        name[n++] = hex[ip->bytes[i] >> 4];
        name[n++] = '.';
    }
    memcpy(name + n, "ip6.arpa", sizeof("ip6.arpa"));
    return n + sizeof("ip6.arpa") - 1;
}
