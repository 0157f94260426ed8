/* spf_record.c: the grammar of SPF records (RFC 7208 4.6.1, 12), one term at a time.
 *
 * Nothing is collected: a record is its text, and whoever needs a term parses it again, which is cheap and keeps a
 * running check small. Errors name what is wrong in words for people. */
#include "spf_macro.h"
#include <behalf/spf.h>

static const char *const result_names[] = {"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"};

const char *bh_spf_result_name(enum bh_spf_result result)
{
    return result_names[result];
}

bh_err bh_spf_result_parse(bh_str name, enum bh_spf_result *ret_result)
{
    for (size_t i = 0; i < sizeof(result_names) / sizeof(result_names[0]); i++)
        if (bh_str_eq_ci(name, bh_str_c(result_names[i]))) {
            *ret_result = (enum bh_spf_result)i;
            return BH_OK;
        }
    return BH_E_SYNTAX;
}

bool bh_spf_is_record(bh_str text)
{
    return bh_str_starts_ci(text, BH_STR("v=spf1")) && (text.n == 6 || text.p[6] == ' ');
}

struct bh_spf_terms bh_spf_terms_of(bh_str record)
{
    return (struct bh_spf_terms){.rest = bh_str_skip(record, 6)};
}

bool bh_spf_kind_looks_up(enum bh_spf_kind kind)
{
    return kind == BH_SPF_INCLUDE || kind == BH_SPF_A || kind == BH_SPF_MX || kind == BH_SPF_PTR ||
           kind == BH_SPF_EXISTS || kind == BH_SPF_REDIRECT;
}

/* A prefix length: decimal, no leading zeros, at most `max`. */
static const char *parse_bits(bh_str digits, unsigned max, uint8_t *ret_bits)
{
    uint64_t bits;

    if (digits.n > 1 && digits.p[0] == '0')
        return "a prefix length with a leading zero";
    if (bh_str_to_u64(digits, max, &bits))
        return max == 32 ? "a prefix length that is no number up to 32" : "a prefix length that is no number up to 128";
    *ret_bits = (uint8_t)bits;
    return NULL;
}

/* Cuts "/digits" off the end of *text; false if it does not end so. */
static bool cut_bits(bh_str *text, bh_str *ret_digits)
{
    size_t at = text->n;

    while (at && bh_is_digit(text->p[at - 1]))
        at--;
    if (at == text->n || at == 0 || text->p[at - 1] != '/')
        return false;
    *ret_digits = bh_str_skip(*text, at);
    text->n = at - 1;
    return true;
}

/* [ ip4-cidr-length ] [ "/" ip6-cidr-length ] at the end of *text (RFC 7208 5.3). A domain-spec may hold slashes, so
 * only what stands at the very end is taken. */
static const char *cut_dual_bits(bh_str *text, struct bh_spf_term *term)
{
    const char *problem = NULL;
    bh_str digits;

    if (!cut_bits(text, &digits))
        return NULL;
    if (text->n && text->p[text->n - 1] == '/') {
        text->n--;
        problem = parse_bits(digits, 128, &term->ip6_bits);
        if (problem || !cut_bits(text, &digits))
            return problem;
    }
    return parse_bits(digits, 32, &term->ip4_bits);
}

/* `rest` is what follows the mechanism's name: "" or ":target". */
static const char *parse_target(bh_str rest, bool is_required, struct bh_spf_term *term)
{
    const char *problem = NULL;

    if (!rest.n)
        return is_required ? "a mechanism without its \":domain\"" : NULL;
    if (rest.p[0] != ':')
        return "a mechanism with something other than \":domain\" behind its name";
    term->target = bh_str_skip(rest, 1);
    if (bh_spf_domain_spec_check(term->target, &term->macros, &problem))
        return problem;
    return NULL;
}

static const char *parse_network(bh_str rest, bool is_ip6, struct bh_spf_term *term)
{
    const char *problem;
    bh_str text = bh_str_skip(rest, 1);
    size_t slash = bh_str_find(text, '/');

    if (!rest.n || rest.p[0] != ':')
        return "an address mechanism without its \":address\"";
    if (slash < text.n) {
        problem =
            parse_bits(bh_str_skip(text, slash + 1), is_ip6 ? 128 : 32, is_ip6 ? &term->ip6_bits : &term->ip4_bits);
        if (problem)
            return problem;
    }
    if (bh_ip_parse(bh_str_sub(text, 0, slash), &term->network) || term->network.n != (is_ip6 ? 16 : 4))
        return is_ip6 ? "an ip6: that holds no IPv6 address" : "an ip4: that holds no IPv4 address of four numbers";
    return NULL;
}

static const struct {
    bh_str name;
    enum bh_spf_kind kind;
} mechanisms[] = {{{"all", 3}, BH_SPF_ALL}, {{"include", 7}, BH_SPF_INCLUDE}, {{"a", 1}, BH_SPF_A},
                  {{"mx", 2}, BH_SPF_MX},   {{"ptr", 3}, BH_SPF_PTR},         {{"ip4", 3}, BH_SPF_IP4},
                  {{"ip6", 3}, BH_SPF_IP6}, {{"exists", 6}, BH_SPF_EXISTS}};

static bool find_mechanism(bh_str name, enum bh_spf_kind *ret_kind)
{
    for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
        if (name.n == mechanisms[i].name.n && bh_str_eq_ci(name, mechanisms[i].name)) {
            *ret_kind = mechanisms[i].kind;
            return true;
        }
    return false;
}

static const char *parse_mechanism(bh_str text, struct bh_spf_term *term)
{
    const char *problem;
    bh_str rest;
    size_t n = 0;

    while (n < text.n && text.p[n] != ':' && text.p[n] != '/')
        n++;
    term->name = bh_str_sub(text, 0, n);
    rest = bh_str_skip(text, n);
    if (!find_mechanism(term->name, &term->kind))
        return "an unknown mechanism";
    switch (term->kind) {
    case BH_SPF_ALL:
        return rest.n ? "an \"all\" with something behind it" : NULL;
    case BH_SPF_IP4:
    case BH_SPF_IP6:
        return parse_network(rest, term->kind == BH_SPF_IP6, term);
    case BH_SPF_A:
    case BH_SPF_MX:
        problem = cut_dual_bits(&rest, term);
        return problem ? problem : parse_target(rest, false, term);
    case BH_SPF_PTR:
        return parse_target(rest, false, term);
    case BH_SPF_INCLUDE:
    case BH_SPF_EXISTS:
    case BH_SPF_REDIRECT:
    case BH_SPF_EXP:
    case BH_SPF_OTHER_MODIFIER:
        break;
    }
    return parse_target(rest, true, term);
}

/* Length of a modifier's name if `text` is a modifier (RFC 7208 4.6.1): '=' right behind the name. */
static size_t modifier_name(bh_str text)
{
    size_t n = 0;

    if (!text.n || !bh_is_alpha(text.p[0]))
        return 0;
    while (n < text.n && (bh_is_alnum(text.p[n]) || memchr("-_.", text.p[n], 3)))
        n++;
    return n < text.n && text.p[n] == '=' ? n : 0;
}

static const char *parse_modifier(bh_str text, size_t name_length, struct bh_spf_term *term)
{
    const char *problem = NULL;

    term->name = bh_str_sub(text, 0, name_length);
    term->target = bh_str_skip(text, name_length + 1);
    term->qualifier = 0;
    term->kind = BH_SPF_OTHER_MODIFIER;
    if (bh_str_eq_ci(term->name, BH_STR("redirect")))
        term->kind = BH_SPF_REDIRECT;
    else if (bh_str_eq_ci(term->name, BH_STR("exp")))
        term->kind = BH_SPF_EXP;
    if (term->kind == BH_SPF_OTHER_MODIFIER) {
        if (bh_spf_macro_check(term->target, BH_SPF_TEXT_EXPLANATION, &term->macros, &problem))
            return problem;
    } else if (bh_spf_domain_spec_check(term->target, &term->macros, &problem)) {
        return problem;
    }
    return NULL;
}

static const char *parse_term(bh_str text, struct bh_spf_term *term)
{
    size_t name_length = modifier_name(text);

    if (name_length)
        return parse_modifier(text, name_length, term);
    if (memchr("+-~?", text.p[0], 4)) {
        term->qualifier = text.p[0];
        text = bh_str_skip(text, 1);
    }
    return parse_mechanism(text, term);
}

bh_err bh_spf_terms_next(struct bh_spf_terms *terms, struct bh_spf_term *ret_term, const char **ret_problem)
{
    struct bh_spf_term term = {.qualifier = '+', .ip4_bits = 32, .ip6_bits = 128};
    const char *problem;
    size_t n;

    while (terms->rest.n && terms->rest.p[0] == ' ')
        terms->rest = bh_str_skip(terms->rest, 1);
    if (!terms->rest.n)
        return BH_DONE;
    n = bh_str_find(terms->rest, ' ');
    term.text = bh_str_sub(terms->rest, 0, n);
    term.number = ++terms->number;
    terms->rest = bh_str_skip(terms->rest, n);
    problem = parse_term(term.text, &term);
    *ret_term = term;
    if (!problem)
        return BH_MORE;
    if (ret_problem)
        *ret_problem = problem;
    return BH_E_SYNTAX;
}
