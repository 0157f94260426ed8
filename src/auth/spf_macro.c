/* spf_macro.c: one scanner cuts a macro-string into pieces, checking and expanding are two uses of it.
 *
 * A piece is a literal byte or a macro: its letter, and the transformers (how many right-hand parts to keep, whether
 * to reverse, at which delimiters to split). Values with many parts are never split into an array: parts are found by
 * walking the value, so expansion needs no memory beside the output. */
#include "spf_macro.h"
#include "base/cur.h"

enum { KEEP_ALL = 0, KEEP_MAX = 100000 };

struct piece {
    bh_str literal; /* p != NULL: bytes as they stand; else a macro */
    char letter;    /* lower case */
    bool escape;    /* the letter was upper case: URL escaping */
    bool reverse;
    unsigned keep; /* KEEP_ALL: all parts */
    bh_str delimiters;
};

static bool is_delimiter(char c)
{
    return memchr(".-+,/_=", c, 7) != NULL;
}

static bool peek_is(const struct bh_cur *cur, char c)
{
    return bh_cur_left(cur) && *cur->p == c;
}

/* transformers: *DIGIT ["r"]; a number must not be zero (RFC 7208 7.1). */
static const char *scan_transformers(struct bh_cur *cur, struct piece *piece)
{
    const char *start = cur->p;

    while (bh_cur_left(cur) && bh_is_digit(*cur->p)) {
        piece->keep = piece->keep * 10 + (unsigned)(*cur->p++ - '0');
        if (piece->keep > KEEP_MAX)
            piece->keep = KEEP_MAX;
    }
    if (cur->p > start && piece->keep == 0)
        return "a macro keeps zero parts";
    if (peek_is(cur, 'r') || peek_is(cur, 'R')) {
        piece->reverse = true;
        cur->p++;
    }
    start = cur->p;
    while (bh_cur_left(cur) && is_delimiter(*cur->p))
        cur->p++;
    piece->delimiters = bh_str_range(start, cur->p);
    return NULL;
}

/* What follows "%". NULL, or what is wrong. */
static const char *scan_macro(struct bh_cur *cur, struct piece *piece)
{
    const char *problem;
    char c;

    if (!bh_cur_left(cur))
        return "a '%' at the end; write %% for a percent sign";
    c = *cur->p++;
    if (c == '%' || c == '_' || c == '-') {
        piece->literal = c == '%' ? BH_STR("%") : c == '_' ? BH_STR(" ") : BH_STR("%20");
        return NULL;
    }
    if (c != '{')
        return "a '%' that is followed by none of { % _ -";
    if (!bh_cur_left(cur))
        return "a macro without its letter";
    c = *cur->p++;
    piece->letter = bh_to_lower(c);
    piece->escape = bh_is_upper(c);
    if (!memchr("slodiphcrtv", piece->letter, 11))
        return "an unknown macro letter";
    problem = scan_transformers(cur, piece);
    if (problem)
        return problem;
    if (!peek_is(cur, '}'))
        return "a macro that is not closed by '}'";
    cur->p++;
    return NULL;
}

/* The next piece; call while bytes are left. */
static const char *scan_piece(struct bh_cur *cur, struct piece *piece)
{
    *piece = (struct piece){0};
    if (*cur->p != '%') {
        piece->literal = bh_str_of(cur->p++, 1);
        return NULL;
    }
    cur->p++;
    return scan_macro(cur, piece);
}

static const char *check_piece(const struct piece *piece, enum bh_spf_text kind, bool is_raw, uint32_t *letters)
{
    if (!piece->literal.p) {
        if (kind == BH_SPF_TEXT_TERM && memchr("crt", piece->letter, 3))
            return "the macros c, r and t are for explanations only";
        *letters |= bh_spf_letter_bit(piece->letter);
        return NULL;
    }
    if (is_raw && (piece->literal.p[0] < '!' || piece->literal.p[0] > '~') &&
        !(kind == BH_SPF_TEXT_EXPLANATION && piece->literal.p[0] == ' '))
        return "a byte that is not printable ASCII";
    return NULL;
}

/* *ret_tail: what stands behind the last macro, the whole when there is none. */
static const char *check_text(bh_str text, enum bh_spf_text kind, uint32_t *letters, bh_str *ret_tail)
{
    struct bh_cur cur = bh_cur_make(text);

    *ret_tail = text;
    while (bh_cur_left(&cur)) {
        const char *start = cur.p;
        struct piece piece;
        const char *problem = scan_piece(&cur, &piece);

        if (!problem)
            problem = check_piece(&piece, kind, *start != '%', letters);
        if (problem)
            return problem;
        if (*start == '%')
            *ret_tail = bh_str_range(cur.p, cur.end);
    }
    return NULL;
}

static bh_err report(const char *problem, uint32_t letters, uint32_t *ret_letters, const char **ret_problem)
{
    if (problem) {
        if (ret_problem)
            *ret_problem = problem;
        return BH_E_SYNTAX;
    }
    if (ret_letters)
        *ret_letters = letters;
    return BH_OK;
}

bh_err bh_spf_macro_check(bh_str text, enum bh_spf_text kind, uint32_t *ret_letters, const char **ret_problem)
{
    uint32_t letters = 0;
    bh_str tail;
    const char *problem = check_text(text, kind, &letters, &tail);

    return report(problem, letters, ret_letters, ret_problem);
}

/* toplabel: letters, digits, hyphens inside, not digits alone (RFC 7208 7.1). */
static bool is_toplabel(bh_str label)
{
    bool has_other = false;

    for (size_t i = 0; i < label.n; i++) {
        if (!bh_is_alnum(label.p[i]) && label.p[i] != '-')
            return false;
        has_other |= !bh_is_digit(label.p[i]);
    }
    return label.n && has_other && label.p[0] != '-' && label.p[label.n - 1] != '-';
}

static const char *check_domain_end(bh_str text, bh_str tail)
{
    size_t dot;

    if (!text.n)
        return "an empty domain name";
    if (!tail.n)
        return NULL; /* ends in a macro */
    if (tail.p[tail.n - 1] == '.')
        tail.n--;
    dot = bh_str_rfind(tail, '.');
    if (dot == tail.n)
        return "a domain name of one label";
    if (!is_toplabel(bh_str_skip(tail, dot + 1)))
        return "a domain name whose last label is none (an IP address? ip4: and ip6: take those)";
    return NULL;
}

bh_err bh_spf_domain_spec_check(bh_str text, uint32_t *ret_letters, const char **ret_problem)
{
    uint32_t letters = 0;
    bh_str tail;
    const char *problem = check_text(text, BH_SPF_TEXT_TERM, &letters, &tail);

    if (!problem)
        problem = check_domain_end(text, tail);
    return report(problem, letters, ret_letters, ret_problem);
}

/* %{i}: dotted decimal, or the 32 nibbles with dots between (RFC 7208 7.3). */
static size_t print_nibbles(const struct bh_ip *ip, char text[BH_IP_REVERSE_MAX])
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    if (ip->n != 16)
        return bh_ip_print(ip, text);
    for (size_t i = 0; i < 16; i++) {
        text[n++] = hex[ip->bytes[i] >> 4];
        text[n++] = '.';
        text[n++] = hex[ip->bytes[i] & 15];
        text[n++] = '.';
    }
    return n - 1;
}

static void add_escaped(struct bh_buf *out, bh_str value, bool escape)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if (!escape || bh_is_alnum(value.p[i]) || memchr("-._~", c, 4)) {
            bh_buf_char(out, value.p[i]);
        } else {
            bh_buf_char(out, '%');
            bh_buf_char(out, hex[c >> 4]);
            bh_buf_char(out, hex[c & 15]);
        }
    }
}

static bool splits(const struct piece *piece, char c)
{
    return piece->delimiters.n ? bh_str_find(piece->delimiters, c) < piece->delimiters.n : c == '.';
}

static size_t count_parts(const struct piece *piece, bh_str value)
{
    size_t parts = 1;

    for (size_t i = 0; i < value.n; i++)
        parts += splits(piece, value.p[i]);
    return parts;
}

/* Parts from the left, or from the right when reversed, joined by dots; the first `skip` of them left out. */
static void add_parts(struct bh_buf *out, const struct piece *piece, bh_str value, size_t skip)
{
    size_t at = 0;
    bool is_first = true;

    while (at <= value.n) {
        size_t end = at;
        bh_str part;

        while (end < value.n && !splits(piece, value.p[piece->reverse ? value.n - 1 - end : end]))
            end++;
        part = piece->reverse ? bh_str_sub(value, value.n - end, end - at) : bh_str_sub(value, at, end - at);
        at = end + 1;
        if (skip) {
            skip--;
            continue;
        }
        if (!is_first)
            bh_buf_char(out, '.');
        is_first = false;
        add_escaped(out, part, piece->escape);
    }
}

static void add_value(struct bh_buf *out, const struct piece *piece, bh_str value)
{
    size_t parts;

    if (piece->keep == KEEP_ALL && !piece->reverse && !piece->delimiters.n) {
        add_escaped(out, value, piece->escape);
        return;
    }
    parts = count_parts(piece, value);
    add_parts(out, piece, value, piece->keep != KEEP_ALL && parts > piece->keep ? parts - piece->keep : 0);
}

static void add_sender(struct bh_buf *out, const struct piece *piece, const struct bh_spf_macro_values *values)
{
    struct bh_buf sender = bh_buf_make(values->local_part.n + values->sender_domain.n + 1);

    bh_buf_add(&sender, values->local_part);
    bh_buf_char(&sender, '@');
    bh_buf_add(&sender, values->sender_domain);
    if (bh_buf_err(&sender))
        out->err = bh_buf_err(&sender);
    else
        add_value(out, piece, bh_buf_view(&sender));
    bh_buf_free(&sender);
}

static void expand_macro(struct bh_buf *out, const struct piece *piece, const struct bh_spf_macro_values *values)
{
    char text[BH_IP_REVERSE_MAX];

    switch (piece->letter) {
    case 's':
        add_sender(out, piece, values);
        return;
    case 'l':
        add_value(out, piece, values->local_part);
        return;
    case 'o':
        add_value(out, piece, values->sender_domain);
        return;
    case 'd':
        add_value(out, piece, values->domain);
        return;
    case 'i':
        add_value(out, piece, bh_str_of(text, print_nibbles(&values->ip, text)));
        return;
    case 'p':
        add_value(out, piece, values->validated_name);
        return;
    case 'v':
        add_value(out, piece, values->ip.n == 16 ? BH_STR("ip6") : BH_STR("in-addr"));
        return;
    case 'h':
        add_value(out, piece, values->helo);
        return;
    case 'c':
        add_value(out, piece, bh_str_of(text, bh_ip_print(&values->ip, text)));
        return;
    case 'r':
        add_value(out, piece, values->receiver);
        return;
    default: {
        struct bh_buf seconds = bh_buf_make(32);

        bh_buf_printf(&seconds, "%lld", (long long)(values->now / 1000));
        add_value(out, piece, bh_buf_view(&seconds));
        bh_buf_free(&seconds);
    }
    }
}

void bh_spf_macro_expand(bh_str text, const struct bh_spf_macro_values *values, struct bh_buf *out)
{
    struct bh_cur cur = bh_cur_make(text);

    while (bh_cur_left(&cur) && !out->err) {
        struct piece piece;

        if (scan_piece(&cur, &piece))
            return; /* the caller checked; nothing more is added */
        if (piece.literal.p)
            bh_buf_add(out, piece.literal);
        else
            expand_macro(out, &piece, values);
    }
}
