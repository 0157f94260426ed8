/* domain.c: see domain.h. */
#include "domain.h"
#include "base/cur.h"
#include <idn2.h>
#include <stdlib.h>

bool bh_domain_valid(bh_str domain)
{
    size_t label = 0;

    domain = bh_domain_no_dot(domain);
    if (!domain.n || domain.n > BH_DOMAIN_MAX)
        return false;
    for (size_t i = 0; i < domain.n; i++) {
        if (domain.p[i] != '.') {
            if (++label > 63)
                return false;
        } else if (!label) {
            return false;
        } else {
            label = 0;
        }
    }
    return label > 0;
}

unsigned bh_domain_labels(bh_str domain)
{
    unsigned labels = 1;

    domain = bh_domain_no_dot(domain);
    for (size_t i = 0; i < domain.n; i++)
        labels += domain.p[i] == '.';
    return domain.n ? labels : 0;
}

bh_str bh_domain_suffix(bh_str domain, unsigned labels)
{
    size_t at = domain.n;

    while (at && labels) {
        at--;
        if (domain.p[at] == '.' && --labels == 0)
            return bh_str_skip(domain, at + 1);
    }
    return domain;
}

bool bh_domain_eq(bh_str a, bh_str b)
{
    return bh_str_eq_ci(bh_domain_no_dot(a), bh_domain_no_dot(b));
}

bh_str bh_domain_query(bh_str domain, char text[BH_DOMAIN_QUERY_MAX])
{
    size_t n = 0;

    if (!bh_domain_valid(domain))
        return (bh_str){NULL, 0};
    domain = bh_domain_no_dot(domain);
    for (size_t i = 0; i < domain.n; i++) {
        unsigned char c = (unsigned char)domain.p[i];

        if (bh_is_alnum(domain.p[i]) || c == '-' || c == '_' || c == '.') {
            text[n++] = domain.p[i];
        } else {
            text[n++] = '\\';
            text[n++] = (char)('0' + c / 100);
            text[n++] = (char)('0' + c / 10 % 10);
            text[n++] = (char)('0' + c % 10);
        }
    }
    text[n] = '\0';
    return bh_str_of(text, n);
}

bh_err bh_domain_from_wire(bh_str wire, struct bh_buf *out)
{
    struct bh_cur cur = bh_cur_make(wire);
    size_t start = out->n;

    for (;;) {
        uint8_t length = bh_cur_u8(&cur);
        bh_str label = bh_cur_bytes(&cur, length);

        if (!bh_cur_ok(&cur) || length > 63 || bh_str_find(label, '.') < label.n || out->n - start > BH_DOMAIN_MAX)
            return BH_E_SYNTAX;
        if (!length)
            return bh_buf_err(out);
        if (out->n > start)
            bh_buf_char(out, '.');
        bh_buf_add(out, label);
    }
}

static bh_err add_idn(bh_str domain, struct bh_buf *out)
{
    char utf8[4 * BH_DOMAIN_MAX];
    char *ascii = NULL;

    if (bh_str_to_c(domain, utf8, sizeof(utf8)))
        return BH_E_SYNTAX;
    if (idn2_lookup_u8((const uint8_t *)utf8, (uint8_t **)&ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return BH_E_SYNTAX;
    bh_buf_add(out, bh_str_c(ascii));
    idn2_free(ascii);
    return bh_buf_err(out);
}

bool bh_domain_is_exact(bh_str domain)
{
    struct bh_buf ascii = bh_buf_make(4 * BH_DOMAIN_MAX);
    char *back = NULL;
    bool exact = true;
    size_t i = 0;

    while (i < domain.n && (unsigned char)domain.p[i] < 0x80)
        i++;
    if (i < domain.n) {
        exact = add_idn(domain, &ascii) == BH_OK;
        bh_buf_char(&ascii, '\0');
        exact = exact && !bh_buf_err(&ascii) && idn2_to_unicode_8z8z(ascii.p, &back, 0) == IDN2_OK &&
                bh_str_eq_ci(bh_str_c(back), domain);
        idn2_free(back);
    }
    bh_buf_free(&ascii);
    return exact;
}

bh_err bh_domain_to_ascii(bh_str domain, struct bh_buf *out)
{
    for (size_t i = 0; i < domain.n; i++)
        if ((unsigned char)domain.p[i] >= 0x80)
            return add_idn(domain, out);
    for (size_t i = 0; i < domain.n; i++)
        bh_buf_char(out, bh_to_lower(domain.p[i]));
    return bh_buf_err(out);
}
