/* auth_results_read.c: reading Authentication-Results (RFC 8601 2.2), a recursive grammar read without recursion:
 * comments are counted, everything else is one word after another. */
#include "base/cur.h"
#include "proto/mime/header.h"
#include <behalf/auth_results.h>

enum { MAX_TEXT = 64 * 1024, MAX_METHODS = 100, MAX_PROPERTIES = 50, MAX_DEPTH = 16 };

struct reader {
    struct bh_cur cur;
    struct bh_arena *arena;
    bh_str comment; /* the last one skipped */
    bh_err err;     /* sticky */
};

static bh_str stop(struct reader *r, bh_err err)
{
    if (!r->err)
        r->err = err;
    return (bh_str){NULL, 0};
}

static bool at_end(const struct reader *r)
{
    return r->err || r->cur.p == r->cur.end;
}

static char peek(const struct reader *r)
{
    return at_end(r) ? '\0' : *r->cur.p;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* `p` is at '('. */
static void skip_comment(struct reader *r)
{
    const char *start = r->cur.p + 1;
    unsigned depth = 0;

    for (; r->cur.p < r->cur.end; r->cur.p++) {
        char c = *r->cur.p;

        if (c == '\\' && r->cur.p + 1 < r->cur.end)
            r->cur.p++;
        else if (c == '(' && ++depth > MAX_DEPTH)
            break;
        else if (c == ')' && --depth == 0) {
            r->comment = bh_str_range(start, r->cur.p++);
            return;
        }
    }
    (void)stop(r, depth > MAX_DEPTH ? BH_E_LIMIT : BH_E_SYNTAX);
}

/* [CFWS] */
static void skip_space(struct reader *r)
{
    while (!at_end(r)) {
        if (is_blank(*r->cur.p))
            r->cur.p++;
        else if (*r->cur.p == '(')
            skip_comment(r);
        else
            return;
    }
}

static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (peek(r) != c || at_end(r))
        return false;
    r->cur.p++;
    return true;
}

static void expect(struct reader *r, char c)
{
    if (!take(r, c))
        (void)stop(r, BH_E_SYNTAX);
}

/* Letters, digits, '-', and '_' which is found in the wild. */
static bh_str take_keyword(struct reader *r)
{
    const char *start;

    skip_space(r);
    start = r->cur.p;
    while (!at_end(r) && (bh_is_alnum(*r->cur.p) || *r->cur.p == '-' || *r->cur.p == '_'))
        r->cur.p++;
    if (r->cur.p == start)
        return stop(r, BH_E_SYNTAX);
    return bh_str_range(start, r->cur.p);
}

/* The end of the quoted string whose first quote is at `p`; NULL where it has none. */
static const char *quoted_end(const char *p, const char *end)
{
    for (p++; p < end; p++) {
        if (*p == '\\')
            p++;
        else if (*p == '"')
            return p;
    }
    return NULL;
}

/* Without quotes, backslashes and line ends. */
static bh_str unquote(struct reader *r, bh_str raw)
{
    char *copy = bh_arena_alloc(r->arena, raw.n);
    size_t n = 0;

    if (!copy)
        return stop(r, BH_E_NOMEM);
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] == '"' || raw.p[i] == '\r' || raw.p[i] == '\n')
            continue;
        if (raw.p[i] == '\\' && i + 1 < raw.n)
            i++;
        copy[n++] = raw.p[i];
    }
    return bh_str_of(copy, n);
}

/* value, or the address forms of pvalue: up to a blank, ';' or comment outside of quotes. May be empty only as "". */
static bh_str take_value(struct reader *r)
{
    const char *start;
    bool quoted = false;

    skip_space(r);
    start = r->cur.p;
    while (!at_end(r) && !is_blank(*r->cur.p) && *r->cur.p != ';' && *r->cur.p != '(') {
        if (*r->cur.p == '"') {
            const char *end = quoted_end(r->cur.p, r->cur.end);

            if (!end)
                return stop(r, BH_E_SYNTAX);
            r->cur.p = end;
            quoted = true;
        }
        r->cur.p++;
    }
    if (r->cur.p == start)
        return stop(r, BH_E_SYNTAX);
    return quoted ? unquote(r, bh_str_range(start, r->cur.p)) : bh_str_range(start, r->cur.p);
}

static unsigned take_number(struct reader *r)
{
    uint64_t number = 0;

    if (bh_str_to_u64(take_keyword(r), 1000000, &number))
        (void)stop(r, BH_E_SYNTAX);
    return (unsigned)number;
}

/* ptype "." property "=" pvalue, or reason=value (RFC 8601 2.2; a reason is tolerated anywhere). */
static void read_property(struct reader *r, struct bh_auth_property *properties, struct bh_auth_method *method)
{
    bh_str word = take_keyword(r);
    struct bh_auth_property property = {.type = word};

    if (bh_str_eq_ci(word, BH_STR("reason")) && take(r, '=')) {
        method->reason = take_value(r);
        return;
    }
    expect(r, '.');
    property.name = take_keyword(r);
    expect(r, '=');
    property.value = take_value(r);
    if (method->property_count == MAX_PROPERTIES)
        (void)stop(r, BH_E_LIMIT);
    else
        properties[method->property_count++] = property;
}

static void read_method(struct reader *r, struct bh_auth_method *method)
{
    struct bh_auth_property properties[MAX_PROPERTIES];
    struct bh_auth_property *copy;

    *method = (struct bh_auth_method){.version = 1};
    method->method = take_keyword(r);
    if (take(r, '/'))
        method->version = take_number(r);
    expect(r, '=');
    method->result = take_keyword(r);
    r->comment = (bh_str){NULL, 0};
    skip_space(r);
    method->comment = r->comment;
    while (!at_end(r) && peek(r) != ';') {
        read_property(r, properties, method);
        skip_space(r);
    }
    copy = bh_arena_array(r->arena, method->property_count, sizeof(*copy));
    if (!copy) {
        (void)stop(r, BH_E_NOMEM);
        return;
    }
    if (method->property_count)
        memcpy(copy, properties, method->property_count * sizeof(*copy));
    method->properties = copy;
}

/* RFC 8601 2.2: "; none" alone. */
static bool take_none(struct reader *r)
{
    struct reader before = *r;

    if (bh_str_eq_ci(take_keyword(r), BH_STR("none"))) {
        skip_space(r);
        if (at_end(r) && !r->err)
            return true;
    }
    *r = before;
    return false;
}

static void read_methods(struct reader *r, struct bh_auth_results *results)
{
    struct bh_auth_method *methods = bh_arena_array(r->arena, MAX_METHODS, sizeof(*methods));

    if (!methods) {
        (void)stop(r, BH_E_NOMEM);
        return;
    }
    results->methods = methods;
    skip_space(r);
    if (take(r, ';') && take_none(r))
        return;
    while (!r->err) {
        skip_space(r);
        if (at_end(r) && results->method_count) /* "…;" at the end is found in the wild */
            return;
        if (results->method_count == MAX_METHODS) {
            (void)stop(r, BH_E_LIMIT);
            return;
        }
        read_method(r, &methods[results->method_count++]);
        skip_space(r);
        if (at_end(r))
            return;
        expect(r, ';');
    }
}

static void read_head(struct reader *r, struct bh_auth_results *results)
{
    results->version = 1;
    results->authserv_id = take_value(r);
    skip_space(r);
    if (!at_end(r) && bh_is_digit(peek(r)))
        results->version = take_number(r);
    skip_space(r);
}

bh_err bh_auth_results_read(struct bh_arena *arena, bh_str value, struct bh_auth_results *ret_results)
{
    struct reader r = {.cur = bh_cur_make(value), .arena = arena};
    struct bh_auth_results results = {0};

    if (value.n > MAX_TEXT)
        return BH_E_LIMIT;
    read_head(&r, &results);
    if (!r.err && peek(&r) != ';')
        return BH_E_SYNTAX;
    read_methods(&r, &results);
    if (!r.err)
        *ret_results = results;
    return r.err;
}

bool bh_auth_results_claims(bh_str value, bh_str authserv_id)
{
    struct bh_arena *arena = bh_arena_new(2 * MAX_TEXT);
    struct reader r = {.cur = bh_cur_make(bh_str_sub(value, 0, MAX_TEXT)), .arena = arena};
    struct bh_auth_results results = {0};
    bool claims = true;

    if (arena) {
        read_head(&r, &results);
        claims = r.err || bh_str_is_at_or_below(results.authserv_id, authserv_id);
    }
    bh_arena_free(arena);
    return claims;
}
