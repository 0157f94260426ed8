/* str.c: byte views. See str.h. */
#include "str.h"

bool bh_str_eq(bh_str a, bh_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static bool equal_ci(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bh_to_lower(a[i]) != bh_to_lower(b[i]))
            return false;
    return true;
}

bool bh_str_eq_ci(bh_str a, bh_str b)
{
    return a.n == b.n && equal_ci(a.p, b.p, a.n);
}

int bh_str_cmp(bh_str a, bh_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;

    if (order)
        return order;
    return (a.n > b.n) - (a.n < b.n);
}

int bh_str_cmp_ci(bh_str a, bh_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;

    for (size_t i = 0; i < n; i++) {
        int order = (unsigned char)bh_to_lower(a.p[i]) - (unsigned char)bh_to_lower(b.p[i]);

        if (order)
            return order;
    }
    return (a.n > b.n) - (a.n < b.n);
}

bool bh_str_starts(bh_str s, bh_str prefix)
{
    return s.n >= prefix.n && bh_str_eq(bh_str_sub(s, 0, prefix.n), prefix);
}

bool bh_str_starts_ci(bh_str s, bh_str prefix)
{
    return s.n >= prefix.n && equal_ci(s.p, prefix.p, prefix.n);
}

bool bh_str_ends(bh_str s, bh_str suffix)
{
    return s.n >= suffix.n && bh_str_eq(bh_str_skip(s, s.n - suffix.n), suffix);
}

bool bh_str_ends_ci(bh_str s, bh_str suffix)
{
    return s.n >= suffix.n && bh_str_eq_ci(bh_str_skip(s, s.n - suffix.n), suffix);
}

bool bh_str_is_at_or_below(bh_str name, bh_str domain)
{
    if (!bh_str_ends_ci(name, domain))
        return false;
    return name.n == domain.n || domain.n == 0 || name.p[name.n - domain.n - 1] == '.';
}

size_t bh_str_find(bh_str s, char c)
{
    const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;

    return hit ? (size_t)(hit - s.p) : s.n;
}

size_t bh_str_rfind(bh_str s, char c)
{
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == c)
            return i - 1;
    return s.n;
}

size_t bh_str_search(bh_str s, bh_str needle)
{
    const char *hit;

    if (needle.n == 0)
        return 0;
    hit = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return hit ? (size_t)(hit - s.p) : s.n;
}

size_t bh_str_search_ci(bh_str s, bh_str needle)
{
    for (size_t i = 0; i + needle.n <= s.n; i++)
        if (equal_ci(s.p + i, needle.p, needle.n))
            return i;
    return s.n;
}

bh_str bh_str_sub(bh_str s, size_t from, size_t n)
{
    if (from > s.n)
        from = s.n;
    if (n > s.n - from)
        n = s.n - from;
    return (bh_str){s.p ? s.p + from : NULL, n};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bh_str bh_str_trim(bh_str s)
{
    while (s.n && is_blank(s.p[0]))
        s = bh_str_skip(s, 1);
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bh_str bh_str_cut(bh_str s, char sep, bh_str *rest)
{
    size_t at = bh_str_find(s, sep);

    *rest = at < s.n ? bh_str_skip(s, at + 1) : (bh_str){NULL, 0};
    return bh_str_sub(s, 0, at);
}

bh_err bh_str_to_u64(bh_str s, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (s.n == 0)
        return BH_E_SYNTAX;
    for (size_t i = 0; i < s.n; i++) {
        uint64_t digit = (uint64_t)(s.p[i] - '0');

        if (!bh_is_digit(s.p[i]))
            return BH_E_SYNTAX;
        if (number > (UINT64_MAX - digit) / 10)
            return BH_E_RANGE;
        number = number * 10 + digit;
    }
    if (number > max)
        return BH_E_RANGE;
    *ret_number = number;
    return BH_OK;
}

static int hex_value(char c)
{
    if (bh_is_digit(c))
        return c - '0';
    c = bh_to_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bh_err bh_str_hex_to_u64(bh_str s, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (s.n == 0)
        return BH_E_SYNTAX;
    if (s.n > 16)
        return BH_E_RANGE;
    for (size_t i = 0; i < s.n; i++) {
        int value = hex_value(s.p[i]);

        if (value < 0)
            return BH_E_SYNTAX;
        number = number << 4 | (uint64_t)value;
    }
    *ret_number = number;
    return BH_OK;
}

bh_str bh_str_lower(struct bh_arena *arena, bh_str s)
{
    char *copy = bh_arena_alloc(arena, s.n + 1);

    if (!copy)
        return (bh_str){NULL, 0};
    for (size_t i = 0; i < s.n; i++)
        copy[i] = bh_to_lower(s.p[i]);
    return (bh_str){copy, s.n};
}

bh_err bh_str_to_c(bh_str s, char *dst, size_t cap)
{
    if (s.n >= cap)
        return BH_E_LIMIT;
    if (bh_str_find(s, '\0') < s.n)
        return BH_E_SYNTAX;
    if (s.n)
        memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return BH_OK;
}

bool bh_str_eq_secret(bh_str a, bh_str b)
{
    unsigned char difference = 0;

    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        difference |= (unsigned char)a.p[i] ^ (unsigned char)b.p[i];
    return difference == 0;
}

void bh_wipe(void *p, size_t n)
{
    if (n)
        explicit_bzero(p, n);
}
