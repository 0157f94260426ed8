/* address.c: the grammar of addresses, strictly (addr-spec and From's author). The lenient reader is in
 * address_list.c.
 *
 * `struct lex` walks the bytes once; each lex_* consumes one production or leaves the lexer where it was and returns
 * false. What a production means (words without quotes and comments) is collected into `out`, which has room for the
 * whole input, so collecting cannot overflow. */
#include "address.h"

struct lex {
    const char *p;
    const char *end;
    unsigned flags;
    bool inner;         /* comments, blanks or folds inside an address */
    bool comment_angle; /* saw < or > inside a comment */
    bool quoted;        /* saw a quoted string */
    char *out;          /* where semantic bytes go, or NULL */
    size_t out_n;
};

static bool is_ctl_obs(unsigned char c)
{
    /* obs-NO-WS-CTL, RFC 5322 4.1 */
    return (c >= 1 && c <= 8) || c == 11 || c == 12 || (c >= 14 && c <= 31) || c == 127;
}

static bool is_atext(const struct lex *lex, char c)
{
    static const char specials[] = "!#$%&'*+-/=?^_`{|}~";

    if ((unsigned char)c >= 128)
        return lex->flags & BH_ADDR_UTF8;
    return bh_is_alnum(c) || (c && strchr(specials, c));
}

static void emit(struct lex *lex, char c)
{
    if (lex->out)
        lex->out[lex->out_n++] = c;
}

/* FWS with the obsolete repetition: blanks, each line break followed by a blank (RFC 5322 3.2.2, 4.2). */
static bool lex_fws(struct lex *lex)
{
    const char *p = lex->p;

    for (;;) {
        if (p < lex->end && bh_is_wsp(*p))
            p++;
        else if (lex->end - p >= 3 && p[0] == '\r' && p[1] == '\n' && bh_is_wsp(p[2]))
            p += 3;
        else
            break;
    }
    bool any = p > lex->p;
    lex->p = p;
    return any;
}

/* "\" and what may follow it (RFC 5322 3.2.1, 4.1). */
static bool lex_quoted_pair(struct lex *lex, char *ret_c)
{
    if (lex->end - lex->p < 2 || lex->p[0] != '\\')
        return false;
    unsigned char c = (unsigned char)lex->p[1];
    if (c >= 128 && !(lex->flags & BH_ADDR_UTF8))
        return false;
    *ret_c = (char)c;
    lex->p += 2;
    return true;
}

/* One comment, nested ones inside (counted). The lexer stands at '('. */
static bool lex_comment(struct lex *lex)
{
    size_t depth = 0;
    char c;

    while (lex->p < lex->end) {
        if (lex_fws(lex) || lex_quoted_pair(lex, &c))
            continue;
        c = *lex->p;
        if (c == '(') {
            depth++;
        } else if (c == ')') {
            lex->p++;
            if (--depth == 0)
                return true;
            continue;
        } else if (c == '<' || c == '>') {
            lex->comment_angle = true;
        } else if (c == '\\' || c == '\r' || c == '\n' || c == '\0' ||
                   ((unsigned char)c >= 128 && !(lex->flags & BH_ADDR_UTF8))) {
            return false;
        }
        lex->p++;
    }
    return false;
}

/* Blanks and comments; false where a comment is broken. */
static bool lex_cfws(struct lex *lex)
{
    while (lex->p < lex->end) {
        if (lex_fws(lex))
            continue;
        if (*lex->p != '(')
            return true;
        if (!lex_comment(lex))
            return false;
    }
    return true;
}

static bool lex_atom(struct lex *lex)
{
    const char *p = lex->p;

    for (; p < lex->end && is_atext(lex, *p); p++)
        emit(lex, *p);
    bool any = p > lex->p;
    lex->p = p;
    return any;
}

/* The lexer stands at '"'. */
static bool lex_quoted_string(struct lex *lex)
{
    char c;

    lex->quoted = true;
    lex->p++;
    while (lex->p < lex->end) {
        c = *lex->p;
        if (c == '"') {
            lex->p++;
            return true;
        }
        if (bh_is_wsp(c)) {
            emit(lex, c);
            lex->p++;
        } else if (lex_fws(lex)) {
            lex->inner = true; /* a fold: its line break is not part of the value, its blank is */
            emit(lex, ' ');
        } else if (lex_quoted_pair(lex, &c)) {
            emit(lex, c);
        } else if (c == '\\' || c == '\0' || c == '\r' || c == '\n' ||
                   ((unsigned char)c >= 128 && !(lex->flags & BH_ADDR_UTF8)) ||
                   ((unsigned char)c < 32 && !is_ctl_obs((unsigned char)c))) {
            return false;
        } else {
            emit(lex, c);
            lex->p++;
        }
    }
    return false;
}

static bool lex_word(struct lex *lex)
{
    if (lex->p < lex->end && *lex->p == '"')
        return lex_quoted_string(lex);
    return lex_atom(lex);
}

/* CFWS between two parts of an address: legal, and noted. */
static bool lex_inner_cfws(struct lex *lex)
{
    const char *before = lex->p;
    bool ok = lex_cfws(lex);

    lex->inner = lex->inner || lex->p > before;
    return ok;
}

/* local-part = dot-atom / quoted-string / obs-local-part: words with dots between, CFWS around each. */
static bool lex_local_part(struct lex *lex)
{
    for (;;) {
        if (!lex_word(lex) || !lex_inner_cfws(lex))
            return false;
        if (lex->p == lex->end || *lex->p != '.')
            return true;
        emit(lex, '.');
        lex->p++;
        if (!lex_inner_cfws(lex))
            return false;
    }
}

/* The lexer stands at '['. dtext, with quoted pairs and controls of obs-dtext. */
static bool lex_domain_literal(struct lex *lex)
{
    char c;

    emit(lex, *lex->p++);
    while (lex->p < lex->end) {
        c = *lex->p;
        if (lex_fws(lex)) {
            lex->inner = true;
            continue;
        }
        if (c == ']') {
            emit(lex, c);
            lex->p++;
            return true;
        }
        if (lex_quoted_pair(lex, &c)) {
            emit(lex, c);
            continue;
        }
        if (c == '[' || c == '\\' || c == '\0' || c == '\r' || c == '\n' || (unsigned char)c >= 128)
            return false;
        emit(lex, c);
        lex->p++;
    }
    return false;
}

/* Labels with dots between, CFWS around each (obs-domain), no hyphen at a label's edge. *ret_end is behind the last
 * label; CFWS after it is taken too. */
static bool lex_labels(struct lex *lex, const char **ret_end)
{
    for (;;) {
        const char *label = lex->p;
        if (!lex_atom(lex) || *label == '-' || lex->p[-1] == '-')
            return false;
        *ret_end = lex->p;
        if (!lex_cfws(lex))
            return false;
        if (lex->p == lex->end || *lex->p != '.')
            return true;
        lex->inner = lex->inner || lex->p > *ret_end;
        emit(lex, '.');
        lex->p++;
        if (!lex_inner_cfws(lex))
            return false;
    }
}

/* addr-spec from here; CFWS before and after it is taken too. Needs lex->out. */
static bool lex_addr_spec(struct lex *lex, struct bh_addr_spec *ret_spec)
{
    struct bh_addr_spec spec = {0};
    const char *start, *end;
    size_t local_at = lex->out_n;

    if (!lex_cfws(lex))
        return false;
    lex->quoted = lex->inner = false;
    start = lex->p;
    if (!lex_local_part(lex) || lex->p == lex->end || *lex->p != '@')
        return false;
    spec.quoted = lex->quoted;
    lex->p++;
    size_t domain_at = lex->out_n;
    if (!lex_inner_cfws(lex))
        return false;
    spec.literal = lex->p < lex->end && *lex->p == '[';
    if (spec.literal) {
        if (!lex_domain_literal(lex))
            return false;
        end = lex->p;
        if (!lex_cfws(lex))
            return false;
    } else if (!lex_labels(lex, &end)) {
        return false;
    }
    spec.raw = bh_str_range(start, end);
    spec.local = bh_str_of(lex->out + local_at, domain_at - local_at);
    spec.domain = bh_str_of(lex->out + domain_at, lex->out_n - domain_at);
    spec.cfws = lex->inner;
    *ret_spec = spec;
    return true;
}

static bool has_high(bh_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 128)
            return true;
    return false;
}

bh_err bh_addr_spec_parse(struct bh_arena *arena, bh_str text, unsigned flags, struct bh_addr_spec *ret_spec)
{
    struct bh_addr_spec spec = {0};
    struct lex lex = {.p = text.p, .end = text.n ? text.p + text.n : text.p, .flags = flags};

    if (text.n == 0)
        return BH_E_SYNTAX;
    lex.out = bh_arena_alloc(arena, text.n);
    if (!lex.out)
        return BH_E_NOMEM;
    if (!lex_addr_spec(&lex, &spec) || lex.p != lex.end)
        return BH_E_SYNTAX;
    spec.needs_utf8 = has_high(spec.local) || has_high(spec.domain);
    if (spec.needs_utf8 && !(bh_utf8_valid(spec.local) && bh_utf8_valid(spec.domain)))
        return BH_E_SYNTAX;
    *ret_spec = spec;
    return BH_OK;
}

/* The number of continuation bytes that the lead byte asks for, or -1; *ret_least is the smallest allowed second
 * byte, *ret_most the largest (RFC 3629 4). */
static int utf8_lead(unsigned char c, unsigned char *ret_least, unsigned char *ret_most)
{
    *ret_least = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    *ret_most = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (c < 0x80)
        return 0;
    if (c >= 0xc2 && c <= 0xdf)
        return 1;
    if (c >= 0xe0 && c <= 0xef)
        return 2;
    return c >= 0xf0 && c <= 0xf4 ? 3 : -1;
}

bool bh_utf8_valid(bh_str s)
{
    for (size_t i = 0; i < s.n;) {
        unsigned char least, most;
        int more = utf8_lead((unsigned char)s.p[i++], &least, &most);
        if (more < 0 || s.n - i < (size_t)more)
            return false;
        for (int k = 0; k < more; k++, i++) {
            unsigned char c = (unsigned char)s.p[i];
            if (c < least || c > most)
                return false;
            least = 0x80;
            most = 0xbf;
        }
    }
    return true;
}

static bool label_ok(bh_str label)
{
    if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
        return false;
    for (size_t i = 0; i < label.n; i++) {
        char c = label.p[i];
        if (!bh_is_alnum(c) && c != '-' && c != '_' && (unsigned char)c < 128)
            return false;
    }
    return true;
}

static bool all_digits(bh_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!bh_is_digit(s.p[i]))
            return false;
    return true;
}

bool bh_mail_domain_ok(bh_str domain)
{
    bh_str rest = domain, label = {NULL, 0};

    if (domain.n == 0 || domain.n > 253 || !bh_utf8_valid(domain))
        return false;
    while (rest.p) {
        label = bh_str_cut(rest, '.', &rest);
        if (!label_ok(label))
            return false;
    }
    return !all_digits(label);
}

/* ---- the author ---- */

/* Controls have no place in a From field: TAB and folding aside, some readers stop at them. */
static bool has_control(bh_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 32 && c != '\t' && c != '\r' && c != '\n') || c == 127)
            return true;
    }
    return false;
}

/* A display name: words and dots (obs-phrase). Leaves the lexer at the first byte that is neither; false where a
 * quoted string or a comment is broken. */
static bool lex_phrase(struct lex *lex)
{
    for (;;) {
        if (!lex_cfws(lex))
            return false;
        if (lex->p == lex->end)
            return true;
        if (*lex->p == '.') {
            lex->p++;
        } else if (*lex->p == '"') {
            if (!lex_quoted_string(lex))
                return false;
        } else if (!lex_atom(lex)) {
            return true;
        }
    }
}

/* The domain of a judged address: its raw bytes are its meaning, since nothing is inside it. */
static enum bh_author_fault judge_domain(bh_str domain)
{
    if (domain.n > 253)
        return BH_AUTHOR_TOO_LONG;
    if (bh_mail_domain_ok(domain))
        return BH_AUTHOR_OK;
    /* "a@192.0.2.1" is no name; say what it is */
    return all_digits(bh_str_skip(domain, bh_str_rfind(domain, '.') + 1)) ? BH_AUTHOR_LITERAL : BH_AUTHOR_DOMAIN;
}

static enum bh_author_fault judge_address(const struct bh_addr_spec *spec, struct bh_author *author)
{
    enum bh_author_fault fault;

    if (spec->literal)
        return BH_AUTHOR_LITERAL;
    if (spec->cfws)
        return BH_AUTHOR_COMMENT;
    if (spec->local.n > 64)
        return BH_AUTHOR_TOO_LONG;
    fault = judge_domain(spec->domain);
    if (fault)
        return fault;
    author->address = spec->raw;
    author->local = spec->local;
    author->domain = bh_str_skip(spec->raw, spec->raw.n - spec->domain.n);
    author->needs_utf8 = has_high(spec->raw);
    return BH_AUTHOR_OK;
}

/* The lexer is behind '<': the address up to and with '>'. */
static enum bh_author_fault author_in_angle(struct lex *lex, struct bh_author *author)
{
    struct bh_addr_spec spec;
    const char *start = lex->p;

    if (!lex_cfws(lex))
        return BH_AUTHOR_SYNTAX;
    if (lex->p < lex->end && (*lex->p == '@' || *lex->p == ','))
        return BH_AUTHOR_ROUTE;
    if (lex->p < lex->end && *lex->p == '>')
        return BH_AUTHOR_EMPTY;
    if (!lex_addr_spec(lex, &spec) || lex->p == lex->end || *lex->p != '>')
        return BH_AUTHOR_SYNTAX;
    if ((size_t)(lex->p - start) != spec.raw.n)
        return BH_AUTHOR_COMMENT;
    lex->p++;
    return judge_address(&spec, author);
}

/* One mailbox; the lexer ends behind it and the CFWS that follows. */
static enum bh_author_fault author_mailbox(struct lex *lex, struct bh_author *author)
{
    struct bh_addr_spec spec;
    enum bh_author_fault fault;
    struct lex start = *lex;

    if (!lex_phrase(lex))
        return BH_AUTHOR_SYNTAX;
    if (lex->p == lex->end || *lex->p == ',')
        return bh_str_trim(bh_str_range(start.p, lex->p)).n ? BH_AUTHOR_SYNTAX : BH_AUTHOR_EMPTY;
    if (*lex->p == ':')
        return BH_AUTHOR_GROUP;
    if (*lex->p == '<') {
        author->display = bh_str_trim(bh_str_range(start.p, lex->p));
        lex->p++;
        fault = author_in_angle(lex, author);
        return fault || lex_cfws(lex) ? fault : BH_AUTHOR_SYNTAX;
    }
    start.comment_angle = lex->comment_angle;
    *lex = start;
    lex->out_n = 0;
    return lex_addr_spec(lex, &spec) ? judge_address(&spec, author) : BH_AUTHOR_SYNTAX;
}

/* What follows the first mailbox, from a comma on: another address, or only a broken list? */
static enum bh_author_fault after_first(struct lex *lex)
{
    while (lex->p < lex->end && *lex->p == ',') {
        lex->p++;
        if (!lex_cfws(lex))
            return BH_AUTHOR_SYNTAX;
    }
    return lex->p == lex->end ? BH_AUTHOR_SYNTAX : BH_AUTHOR_SEVERAL;
}

enum bh_author_fault bh_author_parse(struct bh_arena *arena, bh_str value, struct bh_author *ret_author)
{
    struct bh_author author = {0};
    struct lex lex = {.flags = BH_ADDR_UTF8};
    enum bh_author_fault fault;

    value = bh_str_trim(value);
    if (value.n == 0)
        return BH_AUTHOR_EMPTY;
    if (has_control(value) || !bh_utf8_valid(value))
        return BH_AUTHOR_ENCODING;
    lex.p = value.p;
    lex.end = value.p + value.n;
    lex.out = bh_arena_alloc(arena, value.n * 2);
    if (!lex.out)
        return BH_AUTHOR_NOMEM;
    fault = author_mailbox(&lex, &author);
    if (!fault && lex.p < lex.end && *lex.p == ',')
        fault = after_first(&lex);
    if (!fault && lex.p < lex.end)
        fault = BH_AUTHOR_SYNTAX;
    if (!fault && lex.comment_angle)
        fault = BH_AUTHOR_COMMENT;
    if (!fault)
        *ret_author = author;
    return fault;
}

const char *bh_author_fault_text(enum bh_author_fault fault)
{
    switch (fault) {
    case BH_AUTHOR_OK:
        return "one author";
    case BH_AUTHOR_EMPTY:
        return "no address";
    case BH_AUTHOR_SEVERAL:
        return "several addresses";
    case BH_AUTHOR_GROUP:
        return "a group instead of an address";
    case BH_AUTHOR_SYNTAX:
        return "not an address by RFC 5322";
    case BH_AUTHOR_ENCODING:
        return "control characters or bytes that are not UTF-8";
    case BH_AUTHOR_ROUTE:
        return "a source route";
    case BH_AUTHOR_COMMENT:
        return "a comment or blank inside the address, or < > in a comment";
    case BH_AUTHOR_LITERAL:
        return "an IP address instead of a domain";
    case BH_AUTHOR_DOMAIN:
        return "a domain that DNS cannot hold";
    case BH_AUTHOR_TOO_LONG:
        return "an address that is too long";
    case BH_AUTHOR_NOMEM:
        return "out of memory";
    }
    return "unknown";
}
