/* spf_flatten.c: see spf_flatten.h.
 *
 * walk() goes through a record in order and computes which addresses it passes: `pass` are those whose first match is a
 * plain term, `seen` those that an earlier term with another qualifier has taken. At the top, terms with another
 * qualifier and those that stay are put into the owner's record in their place, and the plain ones between them become
 * segments, one include each. Mostly there is one segment. */
#include "spf_flatten.h"
#include "proto/dns/name.h"
#include "zone.h"
#include <behalf/spf.h>

enum { MX_MAX = 10, LOOKUPS_MAX = 10 }; /* RFC 7208 4.6.4 */

struct set {
    struct bh_network *list;
    size_t count, cap;
};

/* What a record, taken as the target of an include, matches. */
struct matched {
    struct set pass;
    struct bh_flat_kept kept[BH_FLAT_KEPT_MAX];
    size_t kept_count;
    const char *bad; /* cannot be taken apart: the include stays as a whole; static */
};

struct flat {
    struct bh_arena *arena;
    const struct bh_flat_request *request;
    struct bh_flat_result *result;
    bh_err err; /* sticky */
    unsigned lookups;
    bh_str stack[BH_FLAT_DEPTH_MAX]; /* domains of the records in progress */
};

static bool is_over(const struct flat *flat)
{
    return flat->err || flat->result->problem.n;
}

/* "<name> <what>". */
static void refuse(struct flat *flat, const char *what, bh_str name)
{
    if (is_over(flat))
        return;
    flat->result->problem = bh_arena_printf(flat->arena, "%.*s %s", BH_FMT(name), what);
    if (!flat->result->problem.p)
        flat->err = BH_E_NOMEM;
}

/* ---- sets ---- */

static void add_network(struct flat *flat, struct set *set, struct bh_network network)
{
    if (set->count >= BH_FLAT_NETWORKS_MAX * 4) {
        refuse(flat, "leads to more networks than fit into DNS", flat->request->domain);
        return;
    }
    if (set->count == set->cap) {
        size_t cap = set->cap ? set->cap * 2 : 16;
        struct bh_network *wider = bh_arena_array(flat->arena, cap, sizeof(*wider));

        if (!wider) {
            flat->err = BH_E_NOMEM;
            return;
        }
        if (set->count)
            memcpy(wider, set->list, set->count * sizeof(*wider));
        set->list = wider;
        set->cap = cap;
    }
    set->list[set->count++] = bh_network_clean(network);
}

static void add_everything(struct flat *flat, struct set *set)
{
    add_network(flat, set, (struct bh_network){.ip = {.n = 4}, .bits = 0});
    add_network(flat, set, (struct bh_network){.ip = {.n = 16}, .bits = 0});
}

static struct bh_network half(const struct bh_network *network, bool upper)
{
    struct bh_network result = *network;

    if (upper)
        result.ip.bytes[network->bits / 8] |= (uint8_t)(0x80 >> (network->bits % 8));
    result.bits++;
    return result;
}

/* Adds what `hole` leaves of `network`: the siblings on the way down to it. */
static void add_around(struct flat *flat, struct set *out, struct bh_network network, const struct bh_network *hole)
{
    while (network.bits < hole->bits) {
        struct bh_network low = half(&network, false), high = half(&network, true);
        bool in_high = bh_network_holds(&high, hole);

        add_network(flat, out, in_high ? low : high);
        network = in_high ? high : low;
    }
}

/* from − taken. Both small: only records with other qualifiers than pass come here. */
static struct set subtract(struct flat *flat, const struct set *from, const struct set *taken)
{
    struct set left = *from;

    for (size_t t = 0; t < taken->count && !is_over(flat); t++) {
        struct set next = {0};

        for (size_t i = 0; i < left.count; i++) {
            if (bh_network_holds(&taken->list[t], &left.list[i]))
                continue;
            if (bh_network_holds(&left.list[i], &taken->list[t]))
                add_around(flat, &next, left.list[i], &taken->list[t]);
            else
                add_network(flat, &next, left.list[i]);
        }
        left = next;
    }
    return left;
}

static void add_all_of(struct flat *flat, struct set *to, const struct set *from)
{
    for (size_t i = 0; i < from->count && !is_over(flat); i++)
        add_network(flat, to, from->list[i]);
}

/* ---- answers ---- */

static void note_question(struct flat *flat, bh_str name, uint16_t type)
{
    struct bh_flat_result *result = flat->result;

    for (size_t i = 0; i < result->question_count; i++)
        if (result->questions[i].type == type && bh_str_eq_ci(result->questions[i].name, name))
            return;
    if (flat->request->answer_count + result->question_count >= BH_FLAT_QUESTIONS_MAX) {
        refuse(flat, "needs more DNS questions than are reasonable", flat->request->domain);
        return;
    }
    result->questions[result->question_count] = (struct bh_flat_question){bh_arena_dup(flat->arena, name), type};
    if (result->questions[result->question_count].name.p)
        result->question_count++;
    else
        flat->err = BH_E_NOMEM;
}

/* NULL: not known yet. An answer that says nothing ends in a problem. */
static const struct bh_flat_answer *find_answer(struct flat *flat, bh_str name, uint16_t type)
{
    struct bh_flat_result *result = flat->result;

    for (size_t i = 0; i < flat->request->answer_count; i++) {
        const struct bh_flat_answer *answer = &flat->request->answers[i];

        if (answer->type != type || !bh_str_eq_ci(answer->name, name))
            continue;
        if (answer->status == BH_DNS_TEMPFAIL) {
            refuse(flat, "cannot be looked up now, and there is no earlier answer", name);
            return NULL;
        }
        if (!result->ttl_s || answer->ttl_s < result->ttl_s)
            result->ttl_s = answer->ttl_s ? answer->ttl_s : 1;
        if (answer->is_old)
            result->old_answers++;
        if (!result->oldest_at || (answer->good_at && answer->good_at < result->oldest_at))
            result->oldest_at = answer->good_at;
        return answer;
    }
    note_question(flat, name, type);
    return NULL;
}

/* The one SPF record; p NULL with a question or a problem noted. */
static bh_str find_record(struct flat *flat, bh_str name)
{
    const struct bh_flat_answer *answer = find_answer(flat, name, BH_DNS_TXT);
    bh_str record = {NULL, 0};
    size_t found = 0;

    for (size_t i = 0; answer && i < answer->count; i++) {
        bh_str text = bh_txt_joined(flat->arena, answer->rdatas[i]);

        if (text.p && bh_spf_is_record(text)) {
            record = text;
            found++;
        }
    }
    if (answer && found == 0)
        refuse(flat, "has no SPF record: whoever looks it up gets a permerror", name);
    if (found > 1)
        refuse(flat, "has more than one SPF record: whoever looks it up gets a permerror", name);
    return found == 1 ? record : (bh_str){NULL, 0};
}

static bool add_addresses(struct flat *flat, bh_str name, uint16_t type, uint8_t bits, struct set *out)
{
    const struct bh_flat_answer *answer = find_answer(flat, name, type);
    bool any = false;

    for (size_t i = 0; answer && i < answer->count; i++) {
        struct bh_network network = {.bits = bits};

        if (bh_ip_from_bytes(answer->rdatas[i], &network.ip) || network.ip.n != (type == BH_DNS_A ? 4 : 16))
            continue;
        add_network(flat, out, network);
        any = true;
    }
    return any || !answer;
}

static void add_host(struct flat *flat, bh_str name, const struct bh_spf_term *term, struct set *out)
{
    bool v4 = add_addresses(flat, name, BH_DNS_A, term->ip4_bits, out);
    bool v6 = add_addresses(flat, name, BH_DNS_AAAA, term->ip6_bits, out);

    if (!v4 && !v6)
        flat->result->dead++;
}

static void add_mail_servers(struct flat *flat, bh_str name, const struct bh_spf_term *term, struct set *out)
{
    const struct bh_flat_answer *answer = find_answer(flat, name, BH_DNS_MX);

    if (answer && answer->count > MX_MAX)
        refuse(flat, "has more than 10 MX records: a permerror (RFC 7208 4.6.4)", name);
    if (answer && !answer->count)
        flat->result->dead++;
    for (size_t i = 0; answer && i < answer->count && i < MX_MAX; i++) {
        bh_str wire = bh_str_skip(answer->rdatas[i], 2), copy;
        struct bh_buf host = bh_buf_make(1100);

        if (bh_dns_name_valid(wire) && wire.n > 1) {
            bh_dns_name_print_relative(&host, wire);
            copy = bh_arena_dup(flat->arena, bh_buf_view(&host));
            if (copy.p)
                add_host(flat, copy, term, out);
            else
                flat->err = BH_E_NOMEM;
        }
        bh_buf_free(&host);
    }
}

/* ---- terms that stay ---- */

enum { MACRO_D = 1u << ('d' - 'a') };

/* The target with %{d} written out; p NULL where that is not possible. */
static bh_str write_domain(struct flat *flat, bh_str target, bh_str domain)
{
    struct bh_buf out = bh_buf_make(4096);
    bh_str copy = {NULL, 0};
    size_t at;

    while ((at = bh_str_search_ci(target, BH_STR("%{d"))) < target.n) {
        bh_buf_add(&out, bh_str_sub(target, 0, at));
        target = bh_str_skip(target, at + 3);
        if (!target.n || target.p[0] != '}') {
            bh_buf_free(&out);
            return copy;
        }
        bh_buf_add(&out, domain);
        target = bh_str_skip(target, 1);
    }
    bh_buf_add(&out, target);
    if (!bh_buf_err(&out))
        copy = bh_arena_dup(flat->arena, bh_buf_view(&out));
    bh_buf_free(&out);
    return copy;
}

static void add_lengths(struct bh_buf *out, const struct bh_spf_term *term)
{
    if (term->ip4_bits != 32)
        bh_buf_printf(out, "/%u", term->ip4_bits);
    if (term->ip6_bits != 128)
        bh_buf_printf(out, "//%u", term->ip6_bits);
}

/* The term so that it means the same in another record; p NULL where there is no such text. */
static bh_str standing_alone(struct flat *flat, const struct bh_spf_term *term, bh_str domain)
{
    struct bh_buf out = bh_buf_make(4096);
    bh_str target = term->target.p ? term->target : domain, copy = {NULL, 0};

    if (term->macros & MACRO_D)
        target = write_domain(flat, target, domain);
    if (!target.p)
        return copy;
    if (term->qualifier != '+')
        bh_buf_char(&out, term->qualifier);
    if (term->kind == BH_SPF_IP4 || term->kind == BH_SPF_IP6) {
        struct bh_network network = {term->network, term->kind == BH_SPF_IP4 ? term->ip4_bits : term->ip6_bits};

        bh_network_print_term(&out, &network);
    } else {
        bh_buf_printf(&out, "%.*s:%.*s", BH_FMT(term->name), BH_FMT(target));
        if (term->kind == BH_SPF_A || term->kind == BH_SPF_MX)
            add_lengths(&out, term);
    }
    if (!bh_buf_err(&out))
        copy = bh_arena_dup(flat->arena, bh_buf_view(&out));
    bh_buf_free(&out);
    return copy;
}

static const char *why_kept(const struct bh_spf_term *term)
{
    if (term->kind == BH_SPF_EXISTS)
        return "exists: is asked for each client anew";
    if (term->kind == BH_SPF_PTR)
        return "ptr depends on the client's own name";
    return term->macros ? "its name depends on the message" : NULL;
}

static void keep(struct matched *matched, bh_str term, const char *why)
{
    if (!term.p || matched->kept_count == BH_FLAT_KEPT_MAX) {
        matched->bad = "a term in it means something else in another record";
        return;
    }
    for (size_t i = 0; i < matched->kept_count; i++)
        if (bh_str_eq_ci(matched->kept[i].term, term))
            return;
    matched->kept[matched->kept_count++] = (struct bh_flat_kept){term, why};
}

/* ---- records ---- */

static void walk(struct flat *flat, bh_str record, bh_str domain, unsigned depth, struct matched *out);

/* A record below; what it is named after must not be in progress already. False: not known yet, or over. */
static bool enter(struct flat *flat, bh_str name, unsigned depth, bh_str *ret_record)
{
    if (depth + 1 >= BH_FLAT_DEPTH_MAX) {
        refuse(flat, "is nested too deeply", name);
        return false;
    }
    for (unsigned i = 0; i <= depth; i++)
        if (bh_str_eq_ci(flat->stack[i], name)) {
            refuse(flat, "leads back to itself: a permerror", name);
            return false;
        }
    *ret_record = find_record(flat, name);
    flat->stack[depth + 1] = name;
    return ret_record->p && !is_over(flat);
}

/* All that a term matches, into `out`; a term that stays goes to out->kept. */
static void match(struct flat *flat, const struct bh_spf_term *term, bh_str domain, unsigned depth, struct matched *out)
{
    bh_str target = term->target.p ? term->target : domain, record;
    struct bh_spf_term plain = *term;

    plain.qualifier = '+';
    if (bh_spf_kind_looks_up(term->kind))
        flat->lookups++;
    if (why_kept(term)) {
        keep(out, standing_alone(flat, &plain, domain), why_kept(term));
        return;
    }
    if (term->kind == BH_SPF_IP4 || term->kind == BH_SPF_IP6) {
        struct bh_network network = {term->network, term->kind == BH_SPF_IP4 ? term->ip4_bits : term->ip6_bits};

        add_network(flat, &out->pass, network);
    } else if (term->kind == BH_SPF_A) {
        add_host(flat, target, term, &out->pass);
    } else if (term->kind == BH_SPF_MX) {
        add_mail_servers(flat, target, term, &out->pass);
    } else if (term->kind == BH_SPF_INCLUDE && enter(flat, target, depth, &record)) {
        walk(flat, record, target, depth + 1, out);
        if (out->bad) { /* it stays as a whole */
            const char *why = out->bad;

            *out = (struct matched){0};
            keep(out, standing_alone(flat, &plain, domain), why);
        }
    }
}

struct walking {
    struct set seen; /* taken by terms with another qualifier */
    bh_str redirect;
    bool has_all;
};

static void take_term(struct flat *flat, const struct bh_spf_term *term, bh_str domain, unsigned depth,
                      struct walking *walking, struct matched *out)
{
    struct matched *one = bh_arena_alloc(flat->arena, sizeof(*one));
    struct set fresh;

    if (!one) {
        flat->err = BH_E_NOMEM;
        return;
    }
    *one = (struct matched){0};
    match(flat, term, domain, depth, one);
    if (is_over(flat))
        return;
    if (one->bad || (one->kept_count && (term->qualifier != '+' || walking->seen.count)) ||
        (term->qualifier != '+' && out->kept_count)) {
        out->bad = one->bad ? one->bad : "the order of its terms cannot be kept in another record";
        return;
    }
    for (size_t i = 0; i < one->kept_count; i++)
        keep(out, one->kept[i].term, one->kept[i].why);
    if (term->qualifier != '+') {
        add_all_of(flat, &walking->seen, &one->pass);
        return;
    }
    fresh = subtract(flat, &one->pass, &walking->seen);
    add_all_of(flat, &out->pass, &fresh);
}

static void take_any(struct flat *flat, const struct bh_spf_term *term, bh_str domain, unsigned depth,
                     struct walking *walking, struct matched *out)
{
    struct set everything = {0}, left;

    switch (term->kind) {
    case BH_SPF_ALL:
        walking->has_all = true;
        if (term->qualifier != '+')
            return;
        add_everything(flat, &everything);
        left = subtract(flat, &everything, &walking->seen);
        add_all_of(flat, &out->pass, &left);
        return;
    case BH_SPF_REDIRECT:
        walking->redirect = term->target;
        if (term->macros)
            out->bad = "its redirect depends on the message";
        return;
    case BH_SPF_EXP:
    case BH_SPF_OTHER_MODIFIER:
        return;
    case BH_SPF_INCLUDE:
    case BH_SPF_A:
    case BH_SPF_MX:
    case BH_SPF_PTR:
    case BH_SPF_IP4:
    case BH_SPF_IP6:
    case BH_SPF_EXISTS:
        break;
    }
    if (!out->bad)
        take_term(flat, term, domain, depth, walking, out);
    else if (bh_spf_kind_looks_up(term->kind)) /* for the count, and for the questions */
        match(flat, term, domain, depth, &(struct matched){0});
}

/* What a redirect adds is what its record passes of the rest. */
static void follow_redirect(struct flat *flat, unsigned depth, const struct walking *walking, struct matched *out)
{
    struct matched *rest = bh_arena_alloc(flat->arena, sizeof(*rest));
    bh_str record;
    struct set left;

    flat->lookups++;
    if (!rest || out->bad || !enter(flat, walking->redirect, depth, &record)) {
        flat->err = rest ? flat->err : BH_E_NOMEM;
        return;
    }
    *rest = (struct matched){0};
    walk(flat, record, walking->redirect, depth + 1, rest);
    if (rest->bad || (rest->kept_count && walking->seen.count)) {
        out->bad = rest->bad ? rest->bad : "the order of its terms cannot be kept in another record";
        return;
    }
    left = subtract(flat, &rest->pass, &walking->seen);
    add_all_of(flat, &out->pass, &left);
    for (size_t i = 0; i < rest->kept_count; i++)
        keep(out, rest->kept[i].term, rest->kept[i].why);
}

/* Which addresses `record` passes. Recursion is bounded by enter(). */
static void walk(struct flat *flat, bh_str record, bh_str domain, unsigned depth, struct matched *out)
{
    struct bh_spf_terms terms = bh_spf_terms_of(record);
    struct walking walking = {0};
    struct bh_spf_term term;
    const char *problem = "";
    bh_err err;

    while ((err = bh_spf_terms_next(&terms, &term, &problem)) == BH_MORE && !is_over(flat))
        if (!walking.has_all || term.kind == BH_SPF_REDIRECT)
            take_any(flat, &term, domain, depth, &walking, out);
    if (err != BH_DONE && err != BH_MORE)
        refuse(flat, "has a record with a syntax error: a permerror", domain);
    if (walking.redirect.p && !walking.has_all && !is_over(flat))
        follow_redirect(flat, depth, &walking, out);
}

/* ---- the top ---- */

struct item {
    bool is_segment;
    struct matched *segment;
    bh_str literal;
};

struct top {
    struct flat *flat;
    struct item items[BH_FLAT_KEPT_MAX * 2 + 2];
    size_t count;
    size_t segments;
    bool has_other; /* a term with another qualifier than pass stands in its place */
    bh_str tail;    /* "-all" */
    bh_str explanation;
    struct bh_buf owner;
};

static struct matched *segment_of(struct top *top)
{
    struct flat *flat = top->flat;

    if (top->count && top->items[top->count - 1].is_segment)
        return top->items[top->count - 1].segment;
    if (top->segments == BH_FLAT_SEGMENTS_MAX || top->count + 1 >= sizeof(top->items) / sizeof(top->items[0])) {
        refuse(flat, "changes too often between passing and not passing", flat->request->domain);
        return NULL;
    }
    top->items[top->count] =
        (struct item){.is_segment = true, .segment = bh_arena_alloc(flat->arena, sizeof(struct matched))};
    if (!top->items[top->count].segment) {
        flat->err = BH_E_NOMEM;
        return NULL;
    }
    *top->items[top->count].segment = (struct matched){0};
    top->segments++;
    return top->items[top->count++].segment;
}

static void put_literal(struct top *top, bh_str text)
{
    struct flat *flat = top->flat;

    if (!text.p)
        refuse(flat, "has a term that means something else in another record", flat->request->domain);
    else if (top->count >= sizeof(top->items) / sizeof(top->items[0]))
        refuse(flat, "has too many terms that cannot be flattened", flat->request->domain);
    else
        top->items[top->count++] = (struct item){.literal = text};
}

static void take_top_term(struct top *top, const struct bh_spf_term *term, bh_str domain, unsigned depth)
{
    struct flat *flat = top->flat;
    struct matched *one, *segment;

    if (term->qualifier != '+') { /* an include cannot say anything but pass */
        struct matched ignored = {0};

        match(flat, term, domain, depth, &ignored);
        top->has_other = true;
        put_literal(top, standing_alone(flat, term, domain));
        return;
    }
    if (!(one = bh_arena_alloc(flat->arena, sizeof(*one)))) {
        flat->err = BH_E_NOMEM;
        return;
    }
    *one = (struct matched){0};
    match(flat, term, domain, depth, one);
    if (is_over(flat) || !(segment = segment_of(top)))
        return;
    add_all_of(flat, &segment->pass, &one->pass);
    for (size_t i = 0; i < one->kept_count; i++)
        keep(segment, one->kept[i].term, one->kept[i].why);
    if (one->bad || segment->bad)
        refuse(flat, "has a term that means something else in another record", flat->request->domain);
}

static void walk_top(struct top *top, bh_str record, bh_str domain, unsigned depth)
{
    struct flat *flat = top->flat;
    struct bh_spf_terms terms = bh_spf_terms_of(record);
    struct bh_spf_term term;
    const char *problem = "";
    bh_str redirect = {NULL, 0}, next;
    bh_err err;

    while ((err = bh_spf_terms_next(&terms, &term, &problem)) == BH_MORE && !is_over(flat)) {
        if (term.kind == BH_SPF_REDIRECT && term.macros)
            refuse(flat, "has a redirect that depends on the message", domain);
        if (term.kind == BH_SPF_REDIRECT)
            redirect = term.target;
        else if (term.kind == BH_SPF_EXP && !(term.macros & MACRO_D))
            top->explanation = term.text;
        else if (term.kind == BH_SPF_ALL && !top->tail.p)
            top->tail = term.text;
        else if (term.kind != BH_SPF_OTHER_MODIFIER && term.kind != BH_SPF_EXP && !top->tail.p)
            take_top_term(top, &term, domain, depth);
    }
    if (err != BH_DONE && err != BH_MORE)
        refuse(flat, "has a record with a syntax error: a permerror", domain);
    if (!redirect.p || top->tail.p || is_over(flat))
        return;
    flat->lookups++;
    top->explanation = (bh_str){NULL, 0}; /* RFC 7208 6.1: the target's counts */
    if (enter(flat, redirect, depth, &next))
        walk_top(top, next, redirect, depth + 1);
}

static void take_sources(struct top *top)
{
    struct flat *flat = top->flat;

    for (size_t i = 0; i < flat->request->source_count && !is_over(flat); i++) {
        bh_str record = bh_arena_printf(flat->arena, "v=spf1 %.*s", BH_FMT(flat->request->sources[i]));
        struct bh_spf_terms terms = bh_spf_terms_of(record);
        struct bh_spf_term term;
        unsigned lookups = flat->lookups;

        if (!record.p)
            flat->err = BH_E_NOMEM;
        else if (bh_spf_terms_next(&terms, &term, NULL) == BH_MORE)
            take_top_term(top, &term, flat->request->domain, 0);
        flat->lookups = lookups; /* they were not in the record before */
    }
}

/* ---- writing it down ---- */

/* What a kept term costs: itself, and for an include all below it. */
static unsigned cost_of(struct flat *flat, bh_str term_text)
{
    bh_str record = bh_arena_printf(flat->arena, "v=spf1 %.*s", BH_FMT(term_text));
    struct bh_spf_terms terms;
    struct bh_spf_term term;
    unsigned before = flat->lookups, cost;
    struct matched *ignored = bh_arena_alloc(flat->arena, sizeof(*ignored));

    if (!record.p || !ignored) {
        flat->err = BH_E_NOMEM;
        return 0;
    }
    *ignored = (struct matched){0};
    terms = bh_spf_terms_of(record);
    if (bh_spf_terms_next(&terms, &term, NULL) == BH_MORE)
        match(flat, &term, flat->request->domain, 0, ignored);
    cost = flat->lookups - before;
    flat->lookups = before;
    return cost;
}

static const bh_str *print_terms(struct flat *flat, struct set *set, size_t *ret_count)
{
    bh_str *terms;

    set->count = bh_networks_reduce(set->list, set->count);
    terms = bh_arena_array(flat->arena, set->count + 1, sizeof(*terms));
    if (set->count > BH_FLAT_NETWORKS_MAX)
        refuse(flat, "leads to more networks than fit into DNS", flat->request->domain);
    for (size_t i = 0; terms && i < set->count; i++) {
        struct bh_buf text = bh_buf_make(128);

        bh_network_print_term(&text, &set->list[i]);
        terms[i] = bh_arena_dup(flat->arena, bh_buf_view(&text));
        bh_buf_free(&text);
        if (!terms[i].p)
            flat->err = BH_E_NOMEM;
    }
    if (!terms)
        flat->err = BH_E_NOMEM;
    *ret_count = set->count;
    return terms;
}

static size_t length_of(const bh_str *terms, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += 1 + terms[i].n;
    return n;
}

static void add_kept(struct flat *flat, const struct matched *segment, struct bh_buf *text)
{
    struct bh_flat_result *result = flat->result;

    for (size_t i = 0; i < segment->kept_count && !is_over(flat); i++) {
        bh_buf_printf(text, " %.*s", BH_FMT(segment->kept[i].term));
        result->lookups_after += cost_of(flat, segment->kept[i].term);
        if (result->kept_count < BH_FLAT_KEPT_MAX)
            result->kept[result->kept_count++] = segment->kept[i];
    }
}

/* One segment: its record at <label>[-sN].<zone>, and its parts. */
static void write_segment(struct top *top, struct matched *segment, size_t number)
{
    struct flat *flat = top->flat;
    struct bh_flat_result *result = flat->result;
    const struct bh_flat_request *request = flat->request;
    bh_str label =
        number ? bh_arena_printf(flat->arena, "%.*s-s%zu", BH_FMT(request->label), number + 1) : request->label;
    struct bh_spf_text *own = &result->texts[result->text_count];
    struct bh_buf text = bh_buf_make(BH_SPF_PART_TEXT_MAX), kept = bh_buf_make(4096);
    size_t count, parts = 0;
    const bh_str *terms = print_terms(flat, &segment->pass, &count);

    result->networks += count;
    result->lookups_after++;
    add_kept(flat, segment, &kept);
    bh_buf_add(&text, BH_STR("v=spf1"));
    if (terms && length_of(terms, count) + kept.n + 11 <= BH_SPF_TEXT_MAX) {
        for (size_t i = 0; i < count; i++)
            bh_buf_printf(&text, " %.*s", BH_FMT(terms[i]));
    } else if (terms && !is_over(flat)) {
        if (bh_spf_parts(flat->arena, terms, count, label, request->zone, own + 1, &parts))
            refuse(flat, "leads to more networks than fit into DNS", request->domain);
        for (size_t i = 0; i < parts; i++)
            bh_buf_printf(&text, " include:%.*s", BH_FMT(own[1 + i].name));
    }
    bh_buf_add(&text, bh_buf_view(&kept));
    bh_buf_add(&text, BH_STR(" ?all"));
    own->name = bh_arena_printf(flat->arena, "%.*s.%.*s", BH_FMT(label), BH_FMT(request->zone));
    own->text = bh_arena_dup(flat->arena, bh_buf_view(&text));
    if (bh_buf_err(&text) || bh_buf_err(&kept) || !own->name.p || !own->text.p)
        flat->err = BH_E_NOMEM;
    bh_buf_printf(&top->owner, " include:%.*s", BH_FMT(own->name));
    result->text_count += 1 + parts;
    result->lookups_after += (unsigned)parts;
    bh_buf_free(&text);
    bh_buf_free(&kept);
}

/* Plain terms may change places with each other, but not with others: without any of those, all are one segment. */
static void write_all(struct top *top)
{
    struct flat *flat = top->flat;
    struct bh_flat_result *result = flat->result;
    size_t number = 0;

    bh_buf_add(&top->owner, BH_STR("v=spf1"));
    for (size_t i = 0; i < top->count && !is_over(flat); i++) {
        const struct item *item = &top->items[i];

        if (item->is_segment) {
            write_segment(top, item->segment, number++);
            continue;
        }
        bh_buf_printf(&top->owner, " %.*s", BH_FMT(item->literal));
        result->lookups_after += cost_of(flat, item->literal);
        if (result->kept_count < BH_FLAT_KEPT_MAX)
            result->kept[result->kept_count++] =
                (struct bh_flat_kept){item->literal, "an include can only say pass, so it stays in your own record"};
    }
    if (top->explanation.p)
        bh_buf_printf(&top->owner, " %.*s", BH_FMT(top->explanation));
    bh_buf_printf(&top->owner, " %.*s", BH_FMT(top->tail.p ? top->tail : BH_STR("?all")));
    result->owner_record = bh_arena_dup(flat->arena, bh_buf_view(&top->owner));
    if (bh_buf_err(&top->owner) || !result->owner_record.p)
        flat->err = BH_E_NOMEM;
}

static void flatten(struct flat *flat, struct top *top)
{
    struct bh_flat_result *result = flat->result;

    flat->stack[0] = flat->request->domain;
    if (!bh_spf_is_record(flat->request->record)) {
        refuse(flat, "has no SPF record", flat->request->domain);
        return;
    }
    walk_top(top, flat->request->record, flat->request->domain, 0);
    take_sources(top);
    if (result->question_count || is_over(flat))
        return;
    result->lookups_before = flat->lookups;
    write_all(top);
    if (!is_over(flat) && result->lookups_after > LOOKUPS_MAX)
        refuse(flat, "has so much that cannot be flattened that more than 10 look-ups are left", flat->request->domain);
}

bh_err bh_spf_flatten(struct bh_arena *arena, const struct bh_flat_request *request, struct bh_flat_result *ret_result)
{
    struct flat *flat = bh_arena_alloc(arena, sizeof(*flat));
    struct top *top = bh_arena_alloc(arena, sizeof(*top));

    if (!flat || !top)
        return BH_E_NOMEM;
    *ret_result = (struct bh_flat_result){.problem = {"", 0}};
    *flat = (struct flat){.arena = arena, .request = request, .result = ret_result};
    *top = (struct top){.flat = flat, .owner = bh_buf_make(4096)};
    ret_result->questions = bh_arena_array(arena, BH_FLAT_QUESTIONS_MAX, sizeof(*ret_result->questions));
    if (!ret_result->questions)
        return BH_E_NOMEM;
    flatten(flat, top);
    bh_buf_free(&top->owner);
    if (ret_result->problem.n)
        ret_result->question_count = 0;
    return flat->err;
}
