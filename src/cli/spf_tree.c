/* spf_tree.c: see spf_tree.h. Depth and the number of fetched records are bounded, so loops end. */
#include "spf_tree.h"
#include <behalf/spf.h>

enum { MAX_DEPTH = 10, MAX_FETCHED = 64 };

/* ---- fetching ---- */

struct fetch {
    struct bh_spf_tree *tree;
    bool done;
    enum bh_dns_status status;
    size_t found;
    bh_str record;
};

static void on_txt(void *ctx, const struct bh_dns_answer *answer)
{
    struct fetch *fetch = ctx;

    fetch->done = true;
    fetch->status = answer->status;
    for (size_t i = 0; i < answer->count; i++) {
        struct bh_buf text = bh_buf_make(65536);
        bh_str rdata = answer->records[i].rdata;

        for (size_t at = 0; at < rdata.n; at += 1 + (size_t)(unsigned char)rdata.p[at])
            bh_buf_add(&text, bh_str_sub(rdata, at + 1, (unsigned char)rdata.p[at]));
        if (bh_spf_is_record(bh_buf_view(&text)) && fetch->found++ == 0)
            fetch->record = bh_arena_dup(fetch->tree->arena, bh_buf_view(&text));
        bh_buf_free(&text);
    }
}

bool bh_spf_tree_fetch(struct bh_spf_tree *tree, bh_str domain, bh_str *ret_record)
{
    struct fetch fetch = {.tree = tree, .status = BH_DNS_TEMPFAIL};
    struct bh_resolver *resolver = tree->tool ? bh_tool_resolver(tree->tool) : NULL;
    struct bh_dns_query *query = NULL;

    if (!resolver || tree->fetched++ >= MAX_FETCHED)
        return false;
    if (!resolver->ops->lookup(resolver, domain, BH_DNS_TXT, on_txt, &fetch, &query) &&
        !bh_tool_wait(tree->tool, &fetch.done))
        resolver->ops->cancel(resolver, query);
    if (fetch.status == BH_DNS_TEMPFAIL)
        bh_tool_lint_add(tree->lint, BH_LINT_ERROR, domain, "DNS gave no answer for now for %.*s", BH_FMT(domain));
    else if (fetch.found == 0)
        bh_tool_lint_add(tree->lint, BH_LINT_ERROR, domain, "%.*s has no SPF record%s", BH_FMT(domain),
                         fetch.status == BH_DNS_NXDOMAIN ? "; the name does not exist" : "");
    else if (fetch.found > 1)
        bh_tool_lint_add(tree->lint, BH_LINT_ERROR, domain, "%.*s has %zu SPF records: a permerror, merge them",
                         BH_FMT(domain), fetch.found);
    *ret_record = fetch.record;
    return fetch.found == 1;
}

struct finding {
    bool done;
    enum bh_dns_status status;
};

static void on_any(void *ctx, const struct bh_dns_answer *answer)
{
    struct finding *finding = ctx;

    finding->done = true;
    finding->status = answer->status;
}

static bool is_void(struct bh_spf_tree *tree, bh_str name, uint16_t type)
{
    struct bh_resolver *resolver = bh_tool_resolver(tree->tool);
    struct finding finding = {.status = BH_DNS_TEMPFAIL};
    struct bh_dns_query *query = NULL;

    if (!resolver || tree->fetched++ >= MAX_FETCHED)
        return false;
    if (!resolver->ops->lookup(resolver, name, type, on_any, &finding, &query) &&
        !bh_tool_wait(tree->tool, &finding.done))
        resolver->ops->cancel(resolver, query);
    return finding.status == BH_DNS_NODATA || finding.status == BH_DNS_NXDOMAIN;
}

/* Terms that lead to addresses by DNS: do they? */
static void look_for_voids(struct bh_spf_tree *tree, const struct bh_spf_term *term, bh_str domain, json_t *json)
{
    bh_str target = term->target.p ? term->target : domain;
    bool empty = false;

    if (!tree->tool || term->macros || !target.n)
        return;
    if (term->kind == BH_SPF_A)
        empty = is_void(tree, target, BH_DNS_A) && is_void(tree, target, BH_DNS_AAAA);
    else if (term->kind == BH_SPF_MX)
        empty = is_void(tree, target, BH_DNS_MX);
    if (!empty)
        return;
    tree->voids++;
    (void)json_object_set_new(json, "void", json_true());
}

/* ---- words ---- */

static const char *result_words(char qualifier)
{
    return qualifier == '-' ? "fail" : qualifier == '~' ? "softfail" : qualifier == '?' ? "neutral" : "pass";
}

static void add_prefix(struct bh_buf *out, const struct bh_spf_term *term)
{
    if (term->ip4_bits != 32)
        bh_buf_printf(out, ", widened to IPv4 /%u", term->ip4_bits);
    if (term->ip6_bits != 128)
        bh_buf_printf(out, ", widened to IPv6 /%u", term->ip6_bits);
}

static void add_words(struct bh_buf *out, const struct bh_spf_term *term, bh_str domain)
{
    bh_str target = term->target.p ? term->target : domain;
    char ip[BH_IP_TEXT_MAX];

    switch (term->kind) {
    case BH_SPF_ALL:
        bh_buf_printf(out, "everybody else");
        break;
    case BH_SPF_INCLUDE:
        bh_buf_printf(out, "whoever passes the record of %.*s", BH_FMT(target));
        break;
    case BH_SPF_A:
        bh_buf_printf(out, "the addresses of %.*s", BH_FMT(target));
        add_prefix(out, term);
        break;
    case BH_SPF_MX:
        bh_buf_printf(out, "the addresses of the mail servers (MX) of %.*s", BH_FMT(target));
        add_prefix(out, term);
        break;
    case BH_SPF_PTR:
        bh_buf_printf(out, "clients whose own name is at or below %.*s", BH_FMT(target));
        break;
    case BH_SPF_IP4:
    case BH_SPF_IP6:
        (void)bh_ip_print(&term->network, ip);
        bh_buf_printf(out, "%s/%u", ip, term->kind == BH_SPF_IP4 ? term->ip4_bits : term->ip6_bits);
        break;
    case BH_SPF_EXISTS:
        bh_buf_printf(out, "clients for which %.*s has an A record", BH_FMT(target));
        break;
    case BH_SPF_REDIRECT:
        bh_buf_printf(out, "if nothing here matched, the record of %.*s decides", BH_FMT(target));
        break;
    case BH_SPF_EXP:
        bh_buf_printf(out, "a fail is explained by the TXT record of %.*s", BH_FMT(target));
        break;
    case BH_SPF_OTHER_MODIFIER:
        bh_buf_printf(out, "an unknown modifier: passed over");
        break;
    }
    if (term->qualifier)
        bh_buf_printf(out, ": %s", result_words(term->qualifier));
}

/* ---- the tree ---- */

static void follow(struct bh_spf_tree *tree, const struct bh_spf_term *term, unsigned depth, json_t *json)
{
    bh_str record;

    if (term->kind != BH_SPF_INCLUDE && term->kind != BH_SPF_REDIRECT)
        return;
    if (term->macros) {
        (void)json_object_set_new(json, "note", json_string("depends on the message; not followed"));
        return;
    }
    if (tree->tool && depth < MAX_DEPTH && bh_spf_tree_fetch(tree, term->target, &record))
        (void)json_object_set_new(json, "record", bh_spf_tree_json(tree, term->target, record, depth + 1));
}

static json_t *term_json(struct bh_spf_tree *tree, const struct bh_spf_term *term, bh_str domain, unsigned depth)
{
    struct bh_buf words = bh_buf_make(65536 * 2);
    json_t *json = json_object();

    add_words(&words, term, domain.n ? domain : BH_STR("the domain itself"));
    (void)json_object_set_new(json, "term", bh_tool_json(term->text));
    (void)json_object_set_new(json, "words", bh_tool_json(bh_buf_view(&words)));
    bh_buf_free(&words);
    if (bh_spf_kind_looks_up(term->kind))
        (void)json_object_set_new(json, "lookup", json_integer(++tree->lookups));
    look_for_voids(tree, term, domain, json);
    follow(tree, term, depth, json);
    return json;
}

static json_t *broken_json(struct bh_spf_tree *tree, const struct bh_spf_term *term, const char *problem,
                           unsigned depth)
{
    json_t *json = json_object();

    (void)json_object_set_new(json, "term", bh_tool_json(term->text));
    (void)json_object_set_new(json, "words", json_sprintf("%s: the whole record is a permerror", problem));
    if (depth)
        bh_tool_lint_add(tree->lint, BH_LINT_ERROR, term->text, "an included record has %s: a permerror", problem);
    return json;
}

json_t *bh_spf_tree_json(struct bh_spf_tree *tree, bh_str domain, bh_str record, unsigned depth)
{
    json_t *json = json_object();
    json_t *terms = json_array();
    struct bh_spf_terms at = bh_spf_terms_of(record);
    struct bh_spf_term term;
    const char *problem = "";
    bh_err err;

    (void)json_object_set_new(json, "domain", bh_tool_json(domain));
    (void)json_object_set_new(json, "record", bh_tool_json(record));
    while ((err = bh_spf_terms_next(&at, &term, &problem)) != BH_DONE)
        (void)json_array_append_new(terms, err ? broken_json(tree, &term, problem, depth)
                                               : term_json(tree, &term, domain, depth));
    (void)json_object_set_new(json, "terms", terms);
    return json;
}

static const char *member(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text ? text : "";
}

void bh_spf_tree_print(const json_t *node, unsigned depth)
{
    int indent = (int)(2 * depth);
    size_t index;
    json_t *term;

    (void)printf("%*s%s%s%s\n", indent, "", member(node, "domain"), *member(node, "domain") ? ": " : "",
                 member(node, "record"));
    json_array_foreach(json_object_get(node, "terms"), index, term)
    {
        const json_t *lookup = json_object_get(term, "lookup");

        (void)printf("%*s%s  (%s", indent + 2, "", member(term, "term"), member(term, "words"));
        if (json_object_get(term, "lookups"))
            (void)printf("; look-ups: %d", (int)json_integer_value(json_object_get(term, "lookups")));
        else if (lookup)
            (void)printf("; lookup %d", (int)json_integer_value(lookup));
        if (json_object_get(term, "drop"))
            (void)printf("; %s", member(term, "drop"));
        (void)printf(")%s%s\n", *member(term, "note") ? " " : "", member(term, "note"));
        if (json_object_get(term, "record"))
            bh_spf_tree_print(json_object_get(term, "record"), depth + 2);
    }
}
