/* str.h: operations on byte views (bh_str). None allocates unless it takes an arena; none needs NUL. ASCII
 * only: what RFC grammars call case-insensitive means A-Z = a-z and nothing else. */
#ifndef BH_BASE_STR_H
#define BH_BASE_STR_H

#include <behalf/arena.h>
#include <behalf/types.h>
#include <string.h>

/* A view of a string literal or char array that is NUL-terminated at its end. */
#define BH_STR(literal) ((bh_str){(literal), sizeof(literal) - 1})
/* For printf: "%.*s", BH_FMT(view). */
#define BH_FMT(view) (int)((view).n > INT32_MAX ? INT32_MAX : (view).n), ((view).p ? (view).p : "")

static inline bh_str bh_str_of(const char *p, size_t n)
{
    return (bh_str){p, n};
}
static inline bh_str bh_str_c(const char *c)
{
    return (bh_str){c, c ? strlen(c) : 0};
}
static inline bh_str bh_str_range(const char *from, const char *end)
{
    return (bh_str){from, (size_t)(end - from)};
}
static inline bool bh_str_empty(bh_str s)
{
    return s.n == 0;
}

static inline bool bh_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool bh_is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}
static inline bool bh_is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}
static inline bool bh_is_alpha(char c)
{
    return bh_is_upper(c) || bh_is_lower(c);
}
static inline bool bh_is_alnum(char c)
{
    return bh_is_alpha(c) || bh_is_digit(c);
}
static inline bool bh_is_wsp(char c)
{
    return c == ' ' || c == '\t';
}
static inline char bh_to_lower(char c)
{
    return bh_is_upper(c) ? (char)(c + ('a' - 'A')) : c;
}

bool bh_str_eq(bh_str a, bh_str b);
bool bh_str_eq_ci(bh_str a, bh_str b);
/* <0, 0, >0 by unsigned bytes, the shorter first. */
int bh_str_cmp(bh_str a, bh_str b);
int bh_str_cmp_ci(bh_str a, bh_str b);
bool bh_str_starts(bh_str s, bh_str prefix);
bool bh_str_starts_ci(bh_str s, bh_str prefix);
bool bh_str_ends(bh_str s, bh_str suffix);
bool bh_str_ends_ci(bh_str s, bh_str suffix);
/* True for `name` = `domain` or below it ("a.b.c" is under "b.c"), ignoring case. No trailing dots. */
bool bh_str_is_at_or_below(bh_str name, bh_str domain);

/* Index of the first/last `c`, or s.n. */
size_t bh_str_find(bh_str s, char c);
size_t bh_str_rfind(bh_str s, char c);
/* Index of the first `needle`, or s.n; an empty needle is found at 0. */
size_t bh_str_search(bh_str s, bh_str needle);
size_t bh_str_search_ci(bh_str s, bh_str needle);

/* `s` from `from`, at most `n` bytes; clamped, never out of bounds. */
bh_str bh_str_sub(bh_str s, size_t from, size_t n);
static inline bh_str bh_str_skip(bh_str s, size_t n)
{
    return bh_str_sub(s, n, s.n);
}
/* Without blanks (SP, HTAB, CR, LF) at either end. */
bh_str bh_str_trim(bh_str s);
/* Cuts at the first `sep`: the part before it is returned, *rest is what follows. Without `sep` the whole is
 * returned, *rest is empty with p == NULL (so "no separator" and "separator at the end" differ). */
bh_str bh_str_cut(bh_str s, char sep, bh_str *rest);

/* Whole view as a decimal number without sign, blanks or leading '+'. BH_E_SYNTAX, BH_E_RANGE (> max). */
BH_MUST bh_err bh_str_to_u64(bh_str s, uint64_t max, uint64_t *ret_number);
/* The same in base 16, either case, at most 16 digits. */
BH_MUST bh_err bh_str_hex_to_u64(bh_str s, uint64_t *ret_number);

/* A lower-cased copy in the arena, NUL behind it; {NULL, 0} when out of memory. */
bh_str bh_str_lower(struct bh_arena *arena, bh_str s);
/* Copies into dst[cap] with a NUL; BH_E_LIMIT (nothing written) if it does not fit, BH_E_SYNTAX if it holds NUL. */
BH_MUST bh_err bh_str_to_c(bh_str s, char *dst, size_t cap);

/* Equal or not in time that depends on the length alone: for MACs, hashes of secrets. */
bool bh_str_eq_secret(bh_str a, bh_str b);
/* Overwrites secret bytes; not optimised away. */
void bh_wipe(void *p, size_t n);

#endif
