/* vet.c: see vet.h. */
#include "vet.h"
#include <string.h>

struct network {
    unsigned char bytes[16];
    unsigned char bits;
};

static const struct network not_public4[] = {
    {{0}, 8},
    {{10}, 8},
    {{100, 64}, 10},
    {{127}, 8},
    {{169, 254}, 16},
    {{172, 16}, 12},
    {{192, 0, 0}, 24},
    {{192, 0, 2}, 24},
    {{192, 88, 99}, 24},
    {{192, 168}, 16},
    {{198, 18}, 15},
    {{198, 51, 100}, 24},
    {{203, 0, 113}, 24},
    {{224}, 4},
    {{240}, 4},
};
/* within 2000::/3, which alone is given out */
static const struct network not_public6[] = {
    {{0x20, 0x01, 0x00}, 23},
    {{0x20, 0x01, 0x0d, 0xb8}, 32},
    {{0x20, 0x02}, 16},
    {{0x3f, 0xff, 0x00}, 20},
};
static const struct network given_out6 = {{0x20}, 3}, translated6 = {{0x00, 0x64, 0xff, 0x9b}, 96};

static bool is_in(const struct bh_ip *ip, const struct network *network)
{
    struct bh_ip base = {.n = ip->n};

    memcpy(base.bytes, network->bytes, ip->n);
    return bh_ip_in_network(ip, &base, network->bits);
}

static bool is_in_any(const struct bh_ip *ip, const struct network *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_in(ip, &list[i]))
            return true;
    return false;
}

bool bh_address_is_public(const struct bh_ip *address)
{
    struct bh_ip ip = bh_ip_unmapped(*address), inner = {.n = 4};

    if (ip.n == 4)
        return !is_in_any(&ip, not_public4, sizeof(not_public4) / sizeof(not_public4[0]));
    if (ip.n != 16)
        return false;
    if (is_in(&ip, &translated6)) { /* RFC 6052 */
        memcpy(inner.bytes, ip.bytes + 12, 4);
        return bh_address_is_public(&inner);
    }
    return is_in(&ip, &given_out6) && !is_in_any(&ip, not_public6, sizeof(not_public6) / sizeof(not_public6[0]));
}
