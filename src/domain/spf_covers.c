/* spf_covers.c: does an SPF record, taken by itself, pass mail of all our addresses? A quick look at its own terms
 * (the include, ip4:, ip6:), which is what the customer was asked for; the whole evaluation with everybody's includes
 * is libbehalf's. */
#include "check.h"

static bh_err address_bytes(bh_str text, struct bh_buf *out)
{
    bool is_v6 = bh_str_find(text, ':') < text.n;

    return bh_dns_rdata_parse_text(is_v6 ? BH_DNS_AAAA : BH_DNS_A, text, NULL, out);
}

static bool prefix_equal(bh_str a, bh_str b, size_t bits)
{
    size_t whole = bits / 8;
    unsigned rest = bits % 8;

    if (memcmp(a.p, b.p, whole) != 0)
        return false;
    return !rest || ((unsigned char)a.p[whole] ^ (unsigned char)b.p[whole]) >> (8 - rest) == 0;
}

/* `network` is "192.0.2.0/24" (RFC 7208 5.6). */
static bool holds(bh_str network, bh_str address)
{
    struct bh_buf a = bh_buf_make(16), b = bh_buf_make(16);
    bh_str length, base = bh_str_cut(network, '/', &length);
    uint64_t bits = 0;
    bool inside = false;

    if (!address_bytes(base, &a) && !address_bytes(address, &b) && a.n == b.n) {
        bits = a.n * 8;
        if (!length.p || bh_str_to_u64(length, bits, &bits) == BH_OK)
            inside = prefix_equal(bh_buf_view(&a), bh_buf_view(&b), (size_t)bits);
    }
    bh_buf_free(&a);
    bh_buf_free(&b);
    return inside;
}

static bool term_covers(bh_str term, bh_str include, bh_str address)
{
    bh_str value, name;

    if (term.n && term.p[0] == '+')
        term = bh_str_skip(term, 1);
    name = bh_str_cut(term, ':', &value);
    if (bh_str_eq_ci(name, BH_STR("include")))
        return bh_str_eq_ci(value, include);
    if (bh_str_eq_ci(name, BH_STR("ip4")) || bh_str_eq_ci(name, BH_STR("ip6")))
        return holds(value, address);
    return false;
}

static bool is_covered(bh_str record, bh_str include, bh_str address)
{
    bh_str rest = record;

    do {
        bh_str term = bh_str_cut(rest, ' ', &rest);

        if (bh_str_eq_ci(term, BH_STR("all")) || bh_str_eq_ci(term, BH_STR("-all")) ||
            bh_str_eq_ci(term, BH_STR("~all")) || bh_str_eq_ci(term, BH_STR("?all")))
            return false; /* nothing behind it is looked at; and +all passes nobody in particular */
        if (term_covers(term, include, address))
            return true;
    } while (rest.p);
    return false;
}

bool bh_spf_covers(const struct bh_platform *platform, bh_str record, bh_str include, bh_str *ret_missing)
{
    for (size_t i = 0; i < platform->egress_count; i++)
        if (!is_covered(record, include, platform->egress[i])) {
            *ret_missing = platform->egress[i];
            return false;
        }
    return platform->egress_count > 0;
}
