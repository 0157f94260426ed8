/* ip.c: see behalf/ip.h. inet_pton and inet_ntop are pure functions of their arguments. */
#include "base/str.h"
#include <arpa/inet.h>
#include <behalf/ip.h>
#include <stdio.h>
#include <string.h>

bh_err bh_ip_parse(bh_str text, struct bh_ip *ret_ip)
{
    char c[BH_IP_TEXT_MAX];
    struct bh_ip ip = {0};
    bool is_ip6 = bh_str_find(text, ':') < text.n;

    if (bh_str_to_c(text, c, sizeof(c)))
        return BH_E_SYNTAX;
    if (inet_pton(is_ip6 ? AF_INET6 : AF_INET, c, ip.bytes) != 1)
        return BH_E_SYNTAX;
    ip.n = is_ip6 ? 16 : 4;
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
