/* path.c: see path.h. Each rule of the grammar is a function that takes the input's start and returns how many bytes
 * match (0: none), so the rules read as the RFC writes them and none looks at a byte twice. */
#include "path.h"
#include "base/text.h"
#include <arpa/inet.h>

enum { LABEL_MAX = 63 };

static bool is_utf8_lead(char c)
{
    return (unsigned char)c >= 0x80;
}

static bool is_atext(char c)
{
    return bh_is_alnum(c) || is_utf8_lead(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* Length of the UTF-8 sequence at `s`, 0 if it is malformed. */
static size_t utf8_length(bh_str s)
{
    unsigned char c = (unsigned char)s.p[0], low = 0x80, high = 0xbf;
    size_t n;

    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (s.n < n)
        return 0;
    /* the second byte excludes overlong forms, surrogates and what is above U+10FFFF */
    low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : low;
    high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : high;
    if ((unsigned char)s.p[1] < low || (unsigned char)s.p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (((unsigned char)s.p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool bh_utf8_is_valid(bh_str text)
{
    for (size_t i = 0, n; i < text.n; i += n) {
        n = utf8_length(bh_str_skip(text, i));
        if (!n)
            return false;
    }
    return true;
}

static bool has_utf8(bh_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (is_utf8_lead(s.p[i]))
            return true;
    return false;
}

/* Dot-string = Atom *("." Atom) */
static size_t match_dot_string(bh_str s)
{
    size_t i = 0;

    for (;;) {
        size_t from = i;

        while (i < s.n && is_atext(s.p[i]))
            i++;
        if (i == from)
            return 0;
        if (i == s.n || s.p[i] != '.')
            return i;
        i++;
    }
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE: printable ASCII and blanks, UTF-8, backslash before printable ASCII. */
static size_t match_quoted_string(bh_str s)
{
    size_t i = 1;

    if (!s.n || s.p[0] != '"')
        return 0;
    for (; i < s.n && s.p[i] != '"'; i++) {
        if (s.p[i] == '\\' && ++i == s.n)
            return 0;
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f || (is_utf8_lead(s.p[i]) && s.p[i - 1] == '\\'))
            return 0;
    }
    return i < s.n ? i + 1 : 0;
}

static size_t match_label(bh_str s)
{
    size_t i = 0;

    while (i < s.n && (bh_is_alnum(s.p[i]) || s.p[i] == '-' || is_utf8_lead(s.p[i])))
        i++;
    return i && i <= LABEL_MAX * 4 && s.p[0] != '-' && s.p[i - 1] != '-' ? i : 0;
}

static size_t match_domain(bh_str s)
{
    size_t i = 0, n;

    for (;;) {
        n = match_label(bh_str_skip(s, i));
        if (!n || (n > LABEL_MAX && !has_utf8(bh_str_sub(s, i, n))))
            return 0;
        i += n;
        if (i == s.n || s.p[i] != '.')
            return i;
        i++;
    }
}

bool bh_smtp_domain_is_valid(bh_str domain)
{
    return domain.n && domain.n <= BH_SMTP_DOMAIN_MAX && match_domain(domain) == domain.n && bh_utf8_is_valid(domain);
}

bool bh_smtp_literal_is_valid(bh_str literal)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[16];
    bh_str inner = bh_str_sub(literal, 1, literal.n < 2 ? 0 : literal.n - 2);
    bool is_v6 = bh_str_starts_ci(inner, BH_STR("IPv6:"));

    if (literal.n < 2 || literal.p[0] != '[' || literal.p[literal.n - 1] != ']')
        return false;
    if (bh_str_to_c(is_v6 ? bh_str_skip(inner, 5) : inner, text, sizeof(text)))
        return false;
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, text, address) == 1;
}

static size_t match_literal(bh_str s)
{
    size_t end = bh_str_find(s, ']');

    return end < s.n && bh_smtp_literal_is_valid(bh_str_sub(s, 0, end + 1)) ? end + 1 : 0;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ) at the start of `s`; returns its length or 0. */
static size_t match_mailbox(bh_str s, bool may_lack_domain, struct bh_smtp_mailbox *ret_mailbox)
{
    struct bh_smtp_mailbox box = {.quoted = s.n && s.p[0] == '"'};
    size_t local = box.quoted ? match_quoted_string(s) : match_dot_string(s), domain;
    bh_str rest = bh_str_skip(s, local + 1);

    if (!local)
        return 0;
    box.local = bh_str_sub(s, 0, local);
    if (may_lack_domain && local < s.n && s.p[local] == '>' && bh_str_eq_ci(box.local, BH_STR("postmaster"))) {
        *ret_mailbox = box;
        return local;
    }
    if (local >= s.n || s.p[local] != '@')
        return 0;
    box.literal = rest.n && rest.p[0] == '[';
    domain = box.literal ? match_literal(rest) : match_domain(rest);
    if (!domain)
        return 0;
    box.domain = bh_str_sub(rest, 0, domain);
    box.utf8 = has_utf8(box.local) || has_utf8(box.domain);
    *ret_mailbox = box;
    return local + 1 + domain;
}

static bh_err check_mailbox(const struct bh_smtp_mailbox *box)
{
    if (box->local.n > BH_SMTP_LOCAL_MAX || box->domain.n > BH_SMTP_DOMAIN_MAX)
        return BH_E_LIMIT;
    if (box->utf8 && (!bh_utf8_is_valid(box->local) || !bh_utf8_is_valid(box->domain)))
        return BH_E_SYNTAX;
    return BH_OK;
}

bh_err bh_smtp_mailbox_parse(bh_str text, struct bh_smtp_mailbox *ret_mailbox)
{
    struct bh_smtp_mailbox box;
    bh_err err;

    if (!text.n || match_mailbox(text, false, &box) != text.n)
        return BH_E_SYNTAX;
    err = check_mailbox(&box);
    if (!err)
        *ret_mailbox = box;
    return err;
}

/* A-d-l = "@" Domain *("," "@" Domain) ":"; 0 also where there is none. */
static size_t match_source_route(bh_str s)
{
    size_t i = 0, n;

    while (i < s.n && s.p[i] == '@') {
        n = match_domain(bh_str_skip(s, i + 1));
        i += n + 1;
        if (!n || i >= s.n)
            return 0;
        if (s.p[i] == ':')
            return i + 1;
        if (s.p[i++] != ',')
            return 0;
    }
    return 0;
}

bh_err bh_smtp_path_parse(bh_str *input, bool is_rcpt, struct bh_smtp_path *ret_path)
{
    struct bh_smtp_path path = {0};
    size_t i = 1, n;
    bh_err err;

    if (!input->n || input->p[0] != '<')
        return BH_E_SYNTAX;
    if (!is_rcpt && bh_str_starts(*input, BH_STR("<>"))) {
        path.null = true;
    } else {
        i += match_source_route(bh_str_skip(*input, i));
        n = match_mailbox(bh_str_skip(*input, i), is_rcpt, &path.mailbox);
        i += n;
        if (!n || i >= input->n || input->p[i] != '>')
            return BH_E_SYNTAX;
        err = check_mailbox(&path.mailbox);
        if (err)
            return err;
    }
    i++;
    if (path.null)
        i = 2;
    if (i < input->n && input->p[i] != ' ')
        return BH_E_SYNTAX;
    *input = bh_str_skip(*input, i);
    *ret_path = path;
    return BH_OK;
}

/* esmtp-value = 1*(%d33-60 / %d62-126), and UTF-8 (RFC 6531 3.3) */
static bool is_value_char(char c)
{
    return is_utf8_lead(c) || (c > ' ' && c < 0x7f && c != '=');
}

bh_err bh_smtp_param_next(bh_str *input, struct bh_smtp_param *ret_param)
{
    struct bh_smtp_param param = {0};
    bh_str s = *input;
    size_t i = 0;

    while (s.n && s.p[0] == ' ')
        s = bh_str_skip(s, 1);
    if (!s.n)
        return BH_DONE;
    while (i < s.n && (bh_is_alnum(s.p[i]) || (i && s.p[i] == '-')))
        i++;
    if (!i)
        return BH_E_SYNTAX;
    param.keyword = bh_str_sub(s, 0, i);
    if (i < s.n && s.p[i] == '=') {
        size_t from = ++i;

        while (i < s.n && is_value_char(s.p[i]))
            i++;
        if (i == from)
            return BH_E_SYNTAX;
        param.value = bh_str_sub(s, from, i - from);
    }
    if (i < s.n && s.p[i] != ' ')
        return BH_E_SYNTAX;
    *input = bh_str_skip(s, i);
    *ret_param = param;
    return BH_MORE;
}

void bh_smtp_local_unquote(struct bh_buf *out, const struct bh_smtp_mailbox *mailbox)
{
    bh_str s = mailbox->local;

    if (!mailbox->quoted) {
        bh_buf_add(out, s);
        return;
    }
    for (size_t i = 1; i + 1 < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        bh_buf_char(out, s.p[i]);
    }
}

static void write_quoted(struct bh_buf *out, bh_str local)
{
    bh_buf_char(out, '"');
    for (size_t i = 0; i < local.n; i++) {
        if (local.p[i] == '"' || local.p[i] == '\\')
            bh_buf_char(out, '\\');
        bh_buf_char(out, local.p[i]);
    }
    bh_buf_char(out, '"');
}

void bh_smtp_mailbox_write(struct bh_buf *out, const struct bh_smtp_mailbox *mailbox)
{
    char space[BH_SMTP_LOCAL_MAX];
    struct bh_buf plain = {.p = space, .cap = sizeof(space), .max = sizeof(space)}; /* never grows */
    bh_str local = mailbox->local;

    if (mailbox->quoted && mailbox->local.n <= sizeof(space)) {
        bh_smtp_local_unquote(&plain, mailbox);
        local = bh_buf_view(&plain);
    }
    if (local.n && match_dot_string(local) == local.n)
        bh_buf_add(out, local);
    else
        write_quoted(out, local);
    if (!mailbox->domain.n)
        return;
    bh_buf_char(out, '@');
    for (size_t i = 0; i < mailbox->domain.n; i++)
        bh_buf_char(out, bh_to_lower(mailbox->domain.p[i]));
}

void bh_xtext_encode(struct bh_buf *out, bh_str bytes)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];

        if (c >= '!' && c <= '~' && c != '+' && c != '=') {
            bh_buf_char(out, (char)c);
        } else {
            bh_buf_char(out, '+');
            bh_buf_char(out, hex[c >> 4]);
            bh_buf_char(out, hex[c & 15]);
        }
    }
}

bh_err bh_xtext_decode(struct bh_buf *out, bh_str text)
{
    uint64_t byte;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c < '!' || c > '~' || c == '=')
            return BH_E_SYNTAX;
        if (c == '+') {
            if (i + 3 > text.n || bh_str_hex_to_u64(bh_str_sub(text, i + 1, 2), &byte))
                return BH_E_SYNTAX;
            c = (char)byte;
            i += 2;
        }
        bh_buf_char(out, c);
    }
    return bh_buf_err(out);
}
