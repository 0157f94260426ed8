/* spf_report.c: see spf_report.h. */
#include "spf_report.h"
#include "domain/networks.h"
#include <behalf/spf.h>
#include <stdlib.h>

enum { NETWORKS_MAX = 2000, OVERLAPS_SHOWN = 10 };

struct placed {
    struct bh_network network;
    const char *term; /* as written; of the tree */
    const char *record;
    json_t *json;
    bool is_top;
};

struct reporting {
    struct bh_spf_tree *tree;
    struct placed *networks;
    size_t network_count;
    json_t *seen; /* names of includes */
};

static bh_str text_of(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    return text ? bh_str_c(text) : (bh_str){"", 0};
}

static bool parse_one(const json_t *json, struct bh_spf_term *ret_term)
{
    struct bh_spf_terms terms = {.rest = text_of(json, "term")};

    return bh_spf_terms_next(&terms, ret_term, NULL) == BH_MORE;
}

static void drop(struct reporting *reporting, json_t *json, bool is_top, const char *why)
{
    bh_str term = text_of(json, "term");

    bh_tool_lint_add(reporting->tree->lint, BH_LINT_WARNING, term, "%s%s", why,
                     is_top ? "; it can go" : " (in a record that is included)");
    if (is_top)
        (void)json_object_set_new(json, "drop", json_string(why));
}

/* A record that can pass somebody: any plain term but a record that cannot. */
static bool passes_somebody(const json_t *node, unsigned depth)
{
    size_t index;
    json_t *json;

    json_array_foreach(json_object_get(node, "terms"), index, json)
    {
        const json_t *below = json_object_get(json, "record");
        struct bh_spf_term term;

        if (depth > 12 || !parse_one(json, &term))
            return true; /* not known */
        if (term.kind == BH_SPF_EXP || term.kind == BH_SPF_OTHER_MODIFIER || term.qualifier == '-' ||
            term.qualifier == '~' || term.qualifier == '?' || json_object_get(json, "void"))
            continue;
        if (!below || passes_somebody(below, depth + 1))
            return true;
    }
    return false;
}

static void place_network(struct reporting *reporting, const json_t *node, json_t *json, const struct bh_spf_term *term,
                          bool is_top)
{
    struct placed *placed = &reporting->networks[reporting->network_count];

    if (reporting->network_count == NETWORKS_MAX || term->qualifier != '+')
        return;
    *placed = (struct placed){.network = {term->network, term->kind == BH_SPF_IP4 ? term->ip4_bits : term->ip6_bits},
                              .term = json_string_value(json_object_get(json, "term")),
                              .record = json_string_value(json_object_get(node, "domain")),
                              .json = json,
                              .is_top = is_top};
    placed->network = bh_network_clean(placed->network);
    reporting->network_count++;
}

/* Nothing but terms that pass, and an `all`: then what a term matches, passes, wherever it stands. */
static bool is_plain(const json_t *node)
{
    size_t index;
    json_t *json;

    json_array_foreach(json_object_get(node, "terms"), index, json)
    {
        struct bh_spf_term term;

        if (!parse_one(json, &term) || (term.qualifier && term.qualifier != '+' && term.kind != BH_SPF_ALL))
            return false;
    }
    return true;
}

static unsigned count_lookups(struct reporting *reporting, json_t *node, unsigned depth, bool plain);

static unsigned look_at_term(struct reporting *reporting, json_t *node, json_t *json, unsigned depth, bool plain)
{
    json_t *below = json_object_get(json, "record");
    bool is_top = depth == 0;
    struct bh_spf_term term;
    unsigned lookups = 0;

    if (!parse_one(json, &term))
        return 0;
    if (bh_spf_kind_looks_up(term.kind))
        lookups = 1 + (below ? count_lookups(reporting, below, depth + 1, plain && term.qualifier == '+') : 0);
    if (lookups)
        (void)json_object_set_new(json, "lookups", json_integer(lookups));
    if (plain && (term.kind == BH_SPF_IP4 || term.kind == BH_SPF_IP6))
        place_network(reporting, node, json, &term, is_top);
    if (json_object_get(json, "void"))
        drop(reporting, json, is_top, "leads to no address: a void look-up, of which two are allowed");
    else if (term.kind == BH_SPF_INCLUDE && below && !passes_somebody(below, 0))
        drop(reporting, json, is_top, "a dead include: its record passes nobody");
    else if (plain && term.kind == BH_SPF_INCLUDE && !term.macros) {
        char name[256];

        if (bh_str_to_c(bh_str_lower(reporting->tree->arena, term.target), name, sizeof(name)))
            return lookups;
        if (json_object_get(reporting->seen, name))
            drop(reporting, json, is_top, "is included twice; the second does nothing but cost look-ups");
        else
            (void)json_object_set_new(reporting->seen, name, json_true());
    }
    return lookups;
}

static unsigned count_lookups(struct reporting *reporting, json_t *node, unsigned depth, bool plain)
{
    unsigned lookups = 0;
    size_t index;
    json_t *json;

    plain = plain && is_plain(node);
    json_array_foreach(json_object_get(node, "terms"), index, json) lookups +=
        look_at_term(reporting, node, json, depth, plain);
    return lookups;
}

/* A network inside another; only the first few are told, all at the top are dropped. */
static void find_overlaps(struct reporting *reporting)
{
    unsigned shown = 0;

    for (size_t i = 0; i < reporting->network_count; i++)
        for (size_t k = 0; k < reporting->network_count; k++) {
            const struct placed *inner = &reporting->networks[i], *outer = &reporting->networks[k];
            bool same = bh_network_holds(&inner->network, &outer->network);

            if (i == k || !bh_network_holds(&outer->network, &inner->network) || (same && k > i))
                continue;
            if (inner->is_top && !json_object_get(inner->json, "drop"))
                (void)json_object_set_new(inner->json, "drop", json_string("another term has it"));
            if (shown++ < OVERLAPS_SHOWN)
                bh_tool_lint_add(reporting->tree->lint, BH_LINT_NOTE, bh_str_c(inner->term), "overlaps with %s in %s",
                                 outer->term, outer->record && *outer->record ? outer->record : "the same record");
            break;
        }
    if (shown > OVERLAPS_SHOWN)
        bh_tool_lint_add(reporting->tree->lint, BH_LINT_NOTE, (bh_str){"", 0}, "%u further networks overlap",
                         shown - OVERLAPS_SHOWN);
}

unsigned bh_spf_report(struct bh_spf_tree *tree, json_t *node)
{
    struct reporting reporting = {.tree = tree,
                                  .networks = bh_arena_array(tree->arena, NETWORKS_MAX, sizeof(struct placed)),
                                  .seen = json_object()};
    unsigned lookups = 0;

    if (reporting.networks) {
        lookups = count_lookups(&reporting, node, 0, true);
        find_overlaps(&reporting);
    }
    json_decref(reporting.seen);
    return lookups;
}

/* ---- the corrected record ---- */

struct correcting {
    struct bh_buf out;
    struct bh_network networks[NETWORKS_MAX];
    size_t network_count;
    bool has_other; /* a term with another qualifier: order matters, nothing is joined */
    bool broken;
    bh_str tail;
};

static void look_for_others(struct correcting *c, const json_t *terms)
{
    size_t index;
    json_t *json;

    json_array_foreach(terms, index, json)
    {
        struct bh_spf_term term;

        if (!parse_one(json, &term))
            c->broken = true;
        else if (term.qualifier && term.qualifier != '+' && term.kind != BH_SPF_ALL)
            c->has_other = true;
    }
}

static void flush_networks(struct correcting *c)
{
    c->network_count = bh_networks_reduce(c->networks, c->network_count);
    for (size_t i = 0; i < c->network_count; i++) {
        bh_buf_char(&c->out, ' ');
        bh_network_print_term(&c->out, &c->networks[i]);
    }
    c->network_count = 0;
}

static void correct_term(struct correcting *c, const json_t *json)
{
    struct bh_spf_term term;

    if (!parse_one(json, &term) || c->tail.p)
        return;
    if (term.kind == BH_SPF_ALL) {
        c->tail = term.qualifier == '+' ? BH_STR("~all") : term.text;
        return;
    }
    if (json_object_get(json, "drop"))
        return;
    if (!c->has_other && (term.kind == BH_SPF_IP4 || term.kind == BH_SPF_IP6) && c->network_count < NETWORKS_MAX) {
        c->networks[c->network_count++] =
            (struct bh_network){term.network, term.kind == BH_SPF_IP4 ? term.ip4_bits : term.ip6_bits};
        return;
    }
    bh_buf_printf(&c->out, " %.*s", BH_FMT(term.text));
}

static bool has_redirect(const json_t *terms)
{
    size_t index;
    json_t *json;

    json_array_foreach(terms, index, json)
    {
        struct bh_spf_term term;

        if (parse_one(json, &term) && term.kind == BH_SPF_REDIRECT)
            return true;
    }
    return false;
}

char *bh_spf_corrected(const json_t *node)
{
    struct correcting *c = calloc(1, sizeof(*c));
    const json_t *terms = json_object_get(node, "terms");
    size_t index;
    json_t *json;
    char *text = NULL;

    if (!c)
        return NULL;
    c->out = bh_buf_make(65536);
    look_for_others(c, terms);
    bh_buf_add(&c->out, BH_STR("v=spf1"));
    json_array_foreach(terms, index, json) correct_term(c, json);
    flush_networks(c);
    if (c->tail.p || !has_redirect(terms))
        bh_buf_printf(&c->out, " %.*s", BH_FMT(c->tail.p ? c->tail : BH_STR("~all")));
    bh_buf_char(&c->out, '\0');
    if (!bh_buf_err(&c->out) && !c->broken)
        text = strdup(c->out.p);
    bh_buf_free(&c->out);
    free(c);
    return text;
}
