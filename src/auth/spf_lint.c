/* spf_lint.c: what can be said about an SPF record without DNS: errors of grammar, and the mistakes that are valid
 * grammar and mean something else than their author thinks. */
#include "lint_util.h"
#include "spf_macro.h"
#include <behalf/spf.h>

enum {
    MAX_LOOKUPS = 10, /* RFC 7208 4.6.4 */
    STRING_MAX = 255,
    COMFORTABLE_MAX = 450, /* RFC 7208 3.4: answers that fit 512 bytes with what else is at the name */
    DUPLICATES_MAX = 256   /* terms compared with each other; a record with more has other problems */
};

struct lint {
    struct bh_linter out;
    bh_str record;
    unsigned lookups;
    bool has_all;
    bool has_redirect;
    bool has_exp;
    bh_str seen[DUPLICATES_MAX];
    size_t seen_count;
};

static void check_start(struct lint *lint)
{
    if (bh_spf_is_record(lint->record))
        return;
    if (bh_str_starts_ci(lint->record, BH_STR("v=spf1")))
        bh_lint_say(&lint->out, BH_LINT_ERROR, bh_str_sub(lint->record, 0, 7),
                    "v=spf1 must be followed by a blank: nobody takes this for an SPF record");
    else if (bh_str_search_ci(lint->record, BH_STR("v=spf1")) < lint->record.n)
        bh_lint_say(&lint->out, BH_LINT_ERROR, lint->record,
                    "v=spf1 is not at the very start: nobody takes this for an SPF record");
    else
        bh_lint_say(&lint->out, BH_LINT_ERROR, lint->record, "no SPF record: it does not start with v=spf1");
}

static void report_syntax(struct lint *lint, const struct bh_spf_term *term, const char *problem)
{
    bh_str name = term->name.p ? term->name : term->text;

    bh_lint_say(&lint->out, BH_LINT_ERROR, term->text, "%s: the whole record is a permerror", problem);
    if (bh_str_eq_ci(name, BH_STR("ip")) || bh_str_starts_ci(name, BH_STR("ipv")))
        bh_lint_say(&lint->out, BH_LINT_NOTE, term->text, "the mechanisms are called ip4: and ip6:");
    if (bh_str_eq_ci(name, BH_STR("redirect")) || bh_str_eq_ci(name, BH_STR("exp")))
        bh_lint_say(&lint->out, BH_LINT_NOTE, term->text, "redirect and exp are written with '=', not ':'");
    if (bh_str_ends(term->text, BH_STR(",")) || bh_str_ends(term->text, BH_STR(";")))
        bh_lint_say(&lint->out, BH_LINT_NOTE, term->text, "terms are separated by blanks alone");
}

static void check_all(struct lint *lint, const struct bh_spf_term *term)
{
    if (term->qualifier == '+')
        bh_lint_say(&lint->out, BH_LINT_WARNING, term->text, "everybody in the world passes; use -all or ~all");
    if (term->qualifier == '?')
        bh_lint_say(&lint->out, BH_LINT_NOTE, term->text, "whoever is not listed is neutral, as without a record");
}

static void check_network(struct lint *lint, const struct bh_spf_term *term)
{
    unsigned bits = term->kind == BH_SPF_IP4 ? term->ip4_bits : term->ip6_bits;
    struct bh_ip host = term->network;
    char text[BH_IP_TEXT_MAX];

    for (unsigned i = bits; i < host.n * 8U; i++)
        host.bytes[i / 8] &= (uint8_t) ~(0x80U >> i % 8);
    if (memcmp(&host, &term->network, sizeof(host)) != 0) {
        (void)bh_ip_print(&host, text);
        bh_lint_say(&lint->out, BH_LINT_NOTE, term->text, "bits behind /%u are set; it means %s/%u", bits, text, bits);
    }
    if (bits < (term->kind == BH_SPF_IP4 ? 8U : 16U))
        bh_lint_say(&lint->out, BH_LINT_WARNING, term->text, "a /%u lets a large part of the world pass", bits);
    if (term->kind == BH_SPF_IP6 && bh_ip_unmapped(term->network).n == 4)
        bh_lint_say(&lint->out, BH_LINT_WARNING, term->text, "never matches: clients with IPv4 match ip4: alone");
    if (term->kind == BH_SPF_IP4 &&
        (host.bytes[0] == 10 || host.bytes[0] == 127 || host.bytes[0] == 0 ||
         (host.bytes[0] == 192 && host.bytes[1] == 168) || (host.bytes[0] == 172 && (host.bytes[1] & 0xf0) == 16)))
        bh_lint_say(&lint->out, BH_LINT_WARNING, term->text, "a private address: no receiver outside sees it");
}

static void check_modifier(struct lint *lint, const struct bh_spf_term *term)
{
    bool *seen = term->kind == BH_SPF_REDIRECT ? &lint->has_redirect : &lint->has_exp;

    if (term->kind == BH_SPF_REDIRECT || term->kind == BH_SPF_EXP) {
        if (*seen)
            bh_lint_say(&lint->out, BH_LINT_ERROR, term->text, "may stand only once: the whole record is a permerror");
        *seen = true;
    } else if (bh_str_eq_ci(term->name, BH_STR("v"))) {
        bh_lint_say(&lint->out, BH_LINT_WARNING, term->text,
                    "a second version: two records in one? merge them into one list of mechanisms");
    } else if (bh_str_eq_ci(term->name, BH_STR("include")) || bh_str_eq_ci(term->name, BH_STR("a")) ||
               bh_str_eq_ci(term->name, BH_STR("mx")) || bh_str_starts_ci(term->name, BH_STR("ip"))) {
        bh_lint_say(&lint->out, BH_LINT_WARNING, term->text,
                    "with '=' this is an unknown modifier and does nothing; mechanisms are written with ':'");
    } else {
        bh_lint_say(&lint->out, BH_LINT_NOTE, term->text, "an unknown modifier: receivers pass over it");
    }
}

static void check_duplicate(struct lint *lint, const struct bh_spf_term *term)
{
    for (size_t i = 0; i < lint->seen_count; i++)
        if (bh_str_eq_ci(lint->seen[i], term->text)) {
            bh_lint_say(&lint->out, BH_LINT_WARNING, term->text, "stands twice; the second does nothing");
            return;
        }
    if (lint->seen_count < DUPLICATES_MAX)
        lint->seen[lint->seen_count++] = term->text;
}

static void check_mechanism(struct lint *lint, const struct bh_spf_term *term)
{
    if (lint->has_all) {
        bh_lint_say(&lint->out, BH_LINT_WARNING, term->text, "stands behind \"all\" and is never looked at");
        return;
    }
    check_duplicate(lint, term);
    if (term->kind == BH_SPF_ALL)
        check_all(lint, term);
    if (term->kind == BH_SPF_IP4 || term->kind == BH_SPF_IP6)
        check_network(lint, term);
    if (term->kind == BH_SPF_PTR)
        bh_lint_say(&lint->out, BH_LINT_WARNING, term->text,
                    "ptr is slow and unreliable, and RFC 7208 5.5 asks not to use it");
    if (term->kind == BH_SPF_INCLUDE && term->qualifier != '+')
        bh_lint_say(&lint->out, BH_LINT_NOTE, term->text, "whoever passes there gets the result '%c' here",
                    term->qualifier);
    lint->has_all |= term->kind == BH_SPF_ALL;
}

static void check_term(struct lint *lint, const struct bh_spf_term *term)
{
    if (term->qualifier)
        check_mechanism(lint, term);
    else
        check_modifier(lint, term);
    if (term->macros & bh_spf_letter_bit('p'))
        bh_lint_say(&lint->out, BH_LINT_WARNING, term->text,
                    "the macro p is slow, and RFC 7208 7.3 asks not to use it");
    lint->lookups += bh_spf_kind_looks_up(term->kind) && (term->kind == BH_SPF_REDIRECT || !lint->has_all);
}

static void check_terms(struct lint *lint)
{
    struct bh_spf_terms terms = bh_spf_terms_of(lint->record);
    struct bh_spf_term term;
    const char *problem = "";
    bh_err err;

    while ((err = bh_spf_terms_next(&terms, &term, &problem)) != BH_DONE)
        if (err)
            report_syntax(lint, &term, problem);
        else
            check_term(lint, &term);
}

static void check_whole(struct lint *lint)
{
    if (lint->has_all && lint->has_redirect)
        bh_lint_say(&lint->out, BH_LINT_WARNING, lint->record, "redirect= does nothing beside \"all\"");
    if (!lint->has_all && !lint->has_redirect)
        bh_lint_say(&lint->out, BH_LINT_WARNING, lint->record,
                    "ends without \"all\": whoever is not listed is neutral; add ~all or -all");
    if (lint->lookups > MAX_LOOKUPS)
        bh_lint_say(&lint->out, BH_LINT_ERROR, lint->record,
                    "%u terms look up in DNS, and more than %d are a permerror", lint->lookups, MAX_LOOKUPS);
    if (lint->record.n > COMFORTABLE_MAX)
        bh_lint_say(&lint->out, BH_LINT_WARNING, lint->record,
                    "%zu bytes: answers may not fit a small UDP packet; move parts behind an include:", lint->record.n);
    else if (lint->record.n > STRING_MAX)
        bh_lint_say(&lint->out, BH_LINT_NOTE, lint->record,
                    "%zu bytes: in DNS it must be split into strings of at most %d, joined without a blank",
                    lint->record.n, STRING_MAX);
}

unsigned bh_spf_lint(bh_str record, bh_lint_report *report, void *ctx)
{
    struct lint lint = {.out = {.report = report, .ctx = ctx}, .record = record};

    check_start(&lint);
    if (!lint.out.errors) {
        check_terms(&lint);
        check_whole(&lint);
    }
    return lint.out.errors;
}
