/* networks.c: see networks.h. Sorted prefixes nest or follow each other, so one pass with the list's own end as a stack
 * reduces them. */
#include "networks.h"
#include <stdlib.h>
#include <string.h>

bh_err bh_network_parse(bh_str text, struct bh_network *ret_network)
{
    bh_str length, address = bh_str_cut(text, '/', &length);
    struct bh_network network;
    uint64_t bits;

    if (bh_ip_parse(address, &network.ip))
        return BH_E_SYNTAX;
    bits = network.ip.n * 8u;
    if (length.p && bh_str_to_u64(length, bits, &bits))
        return BH_E_SYNTAX;
    network.bits = (uint8_t)bits;
    *ret_network = bh_network_clean(network);
    return BH_OK;
}

struct bh_network bh_network_clean(struct bh_network network)
{
    for (unsigned i = 0; i < network.ip.n; i++) {
        unsigned first = i * 8; /* number of this byte's first bit */

        if (network.bits <= first)
            network.ip.bytes[i] = 0;
        else if (network.bits < first + 8)
            network.ip.bytes[i] &= (uint8_t)(0xff << (first + 8 - network.bits));
    }
    return network;
}

bool bh_network_holds(const struct bh_network *outer, const struct bh_network *inner)
{
    return outer->bits <= inner->bits && bh_ip_in_network(&inner->ip, &outer->ip, outer->bits);
}

static int compare(const void *left, const void *right)
{
    const struct bh_network *a = left, *b = right;
    int order;

    if (a->ip.n != b->ip.n)
        return a->ip.n < b->ip.n ? -1 : 1;
    order = memcmp(a->ip.bytes, b->ip.bytes, a->ip.n);
    return order ? order : (int)a->bits - (int)b->bits;
}

/* True when the two are the halves of one prefix. */
static bool are_halves(const struct bh_network *a, const struct bh_network *b)
{
    struct bh_network whole = *a;

    if (a->ip.n != b->ip.n || a->bits != b->bits || a->bits == 0)
        return false;
    whole.bits--;
    return bh_network_holds(&whole, b) && memcmp(a->ip.bytes, b->ip.bytes, a->ip.n) != 0;
}

static struct bh_network parent_of(struct bh_network network)
{
    network.bits--;
    return bh_network_clean(network);
}

size_t bh_networks_reduce(struct bh_network *networks, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        networks[i] = bh_network_clean(networks[i]);
    if (count)
        qsort(networks, count, sizeof(*networks), compare);
    for (size_t i = 0; i < count; i++) {
        if (kept && bh_network_holds(&networks[kept - 1], &networks[i]))
            continue;
        networks[kept++] = networks[i];
        while (kept > 1 && are_halves(&networks[kept - 2], &networks[kept - 1])) {
            networks[kept - 2] = parent_of(networks[kept - 2]);
            kept--;
        }
    }
    return kept;
}

void bh_network_print_term(struct bh_buf *out, const struct bh_network *network)
{
    char text[BH_IP_TEXT_MAX];

    (void)bh_ip_print(&network->ip, text);
    bh_buf_printf(out, "%s:%s", network->ip.n == 16 ? "ip6" : "ip4", text);
    if (network->bits != network->ip.n * 8u)
        bh_buf_printf(out, "/%u", network->bits);
}
