/* dmarc_facts.c: asking for facts, and the tree walk over them. See dmarc_facts.h. */
#include "dmarc_facts.h"
#include "domain.h"

enum { MAX_LABELS = 8, CUT_LABELS = 7 }; /* RFC 9989 4.10 step 4 */

bh_str bh_dmarc_name(struct bh_arena *arena, bh_str domain)
{
    struct bh_buf ascii = bh_buf_make(domain.n + 512);
    bh_str copy = {NULL, 0};

    if (!bh_domain_to_ascii(domain, &ascii) && bh_domain_valid(bh_buf_view(&ascii)))
        copy = bh_arena_dup(arena, bh_domain_no_dot(bh_buf_view(&ascii)));
    bh_buf_free(&ascii);
    return copy;
}

/* ---- facts ---- */

static struct bh_dmarc_fact *find_fact(const struct bh_dmarc_facts *facts, enum bh_dmarc_fact_kind kind, bh_str name)
{
    for (struct bh_dmarc_fact *fact = facts->first; fact; fact = fact->next)
        if (fact->kind == kind && bh_str_eq(fact->name, name))
            return fact;
    return NULL;
}

static const struct bh_dmarc_fact no_memory = {.is_failed = true, .why = {"out of memory", 13}};

static struct bh_dmarc_fact *new_fact(struct bh_dmarc_facts *facts, enum bh_dmarc_fact_kind kind, bh_str name)
{
    struct bh_dmarc_fact *fact = bh_arena_alloc(facts->arena, sizeof(*fact));

    if (!fact)
        return NULL;
    fact->kind = kind;
    fact->name = bh_arena_dup(facts->arena, name);
    return fact->name.p ? fact : NULL;
}

static void add_fact(struct bh_dmarc_facts *facts, struct bh_dmarc_fact *fact)
{
    fact->next = facts->first;
    facts->first = fact;
}

const struct bh_dmarc_fact *bh_dmarc_fact(struct bh_dmarc_facts *facts, enum bh_dmarc_fact_kind kind, bh_str name)
{
    struct bh_dmarc_fact *fact = find_fact(facts, kind, name);

    if (fact || facts->wanted)
        return fact;
    fact = new_fact(facts, kind, name);
    if (!fact)
        return &no_memory;
    if (facts->is_expired) {
        fact->is_failed = true;
        fact->why = BH_STR("the time limit was reached");
        add_fact(facts, fact);
        return fact;
    }
    facts->wanted = fact;
    return NULL;
}

bool bh_dmarc_assume(struct bh_dmarc_facts *facts, bh_str name, const char *record)
{
    struct bh_dmarc_fact *fact = find_fact(facts, BH_DMARC_FACT_RECORD, name);

    if (!fact) {
        fact = new_fact(facts, BH_DMARC_FACT_RECORD, name);
        if (!fact)
            return false;
        add_fact(facts, fact);
    }
    fact->is_failed = false;
    fact->is_there = true;
    fact->count = 1;
    fact->text = bh_str_c(record);
    return !bh_dmarc_record_parse(fact->text, &fact->record);
}

static void join_txt(bh_str rdata, struct bh_buf *out)
{
    for (size_t at = 0; at < rdata.n; at += 1 + (size_t)(unsigned char)rdata.p[at])
        bh_buf_add(out, bh_str_sub(rdata, at + 1, (unsigned char)rdata.p[at]));
}

/* Records that do not start with v=DMARC1 do not count; of several none does (RFC 9989 4.10 step 2). */
static void take_records(struct bh_dmarc_facts *facts, struct bh_dmarc_fact *fact, const struct bh_dns_answer *answer)
{
    struct bh_buf text = bh_buf_make(65536);

    for (size_t i = 0; i < answer->count; i++) {
        bh_buf_clear(&text);
        join_txt(answer->records[i].rdata, &text);
        if (text.err || !bh_dmarc_is_record(bh_buf_view(&text)))
            continue;
        if (fact->count++ == 0)
            fact->text = bh_arena_dup(facts->arena, bh_buf_view(&text));
    }
    bh_buf_free(&text);
    fact->is_there = (fact->kind == BH_DMARC_FACT_REPORT ? fact->count >= 1 : fact->count == 1) && fact->text.p &&
                     !bh_dmarc_record_parse(fact->text, &fact->record);
}

static void take_answer(void *ctx, const struct bh_dns_answer *answer)
{
    struct bh_dmarc_facts *facts = ctx;
    struct bh_dmarc_fact *fact = facts->wanted;

    facts->is_waiting = false;
    facts->query = NULL;
    facts->wanted = NULL;
    if (answer->status == BH_DNS_TEMPFAIL) {
        fact->is_failed = true;
        fact->why = bh_arena_dup(facts->arena, answer->why);
    } else if (fact->kind == BH_DMARC_FACT_EXISTS) {
        fact->is_there = answer->status == BH_DNS_FOUND || answer->status == BH_DNS_NODATA;
    } else if (answer->status == BH_DNS_FOUND) {
        take_records(facts, fact, answer);
    }
    add_fact(facts, fact);
    if (!facts->in_loop)
        (void)bh_dmarc_facts_run(facts);
}

static void ask(struct bh_dmarc_facts *facts)
{
    const struct bh_dmarc_fact *fact = facts->wanted;
    char text[BH_DOMAIN_QUERY_MAX];
    struct bh_buf name = bh_buf_make(BH_DOMAIN_QUERY_MAX);
    struct bh_dns_query *query = NULL;
    struct bh_dns_answer none = {.status = BH_DNS_BADNAME};
    bh_str question;

    if (fact->kind == BH_DMARC_FACT_RECORD)
        bh_buf_add(&name, BH_STR("_dmarc."));
    bh_buf_add(&name, fact->name);
    question = bh_buf_err(&name) ? (bh_str){NULL, 0} : bh_domain_query(bh_buf_view(&name), text);
    bh_buf_free(&name);
    if (!question.p) {
        take_answer(facts, &none);
        return;
    }
    facts->is_waiting = true;
    facts->queries++;
    if (facts->resolver->ops->lookup(facts->resolver, question,
                                     fact->kind == BH_DMARC_FACT_EXISTS ? BH_DNS_A : BH_DNS_TXT, take_answer, facts,
                                     &query)) {
        none.status = BH_DNS_TEMPFAIL;
        none.why = BH_STR("the resolver took no question");
        take_answer(facts, &none);
    } else if (facts->is_waiting) {
        facts->query = query;
    }
}

bool bh_dmarc_facts_run(struct bh_dmarc_facts *facts)
{
    bool is_over = false;

    facts->in_loop = true;
    while (!is_over && !facts->is_waiting) {
        is_over = facts->evaluate(facts->ctx);
        if (!is_over)
            ask(facts);
    }
    facts->in_loop = false;
    if (is_over)
        facts->finish(facts->ctx);
    return !is_over;
}

void bh_dmarc_facts_cancel(struct bh_dmarc_facts *facts)
{
    if (facts->query)
        facts->resolver->ops->cancel(facts->resolver, facts->query);
    facts->query = NULL;
    facts->wanted = NULL;
    facts->is_waiting = false;
}

void bh_dmarc_facts_expire(struct bh_dmarc_facts *facts)
{
    bh_dmarc_facts_cancel(facts);
    facts->is_expired = true;
    (void)bh_dmarc_facts_run(facts);
}

/* ---- the tree walk ---- */

/* RFC 9989 4.10.2, at the last record that the walk found: it has psd=n, or psd=y, or is the one with the fewest
 * labels. (A psd=y at the start itself is an ordinary record there.) */
static void select_org(bh_str start, const struct bh_dmarc_fact *last, struct bh_dmarc_walk *walk)
{
    walk->org_domain = last ? last->name : start;
    walk->org = last;
    if (last && last->record.psd == 'y' && last->name.n < start.n) {
        walk->psd = last;
        walk->org_domain = bh_domain_suffix(start, bh_domain_labels(last->name) + 1);
        walk->org = NULL;
    }
}

bool bh_dmarc_walk(struct bh_dmarc_facts *facts, bh_str start, struct bh_dmarc_walk *ret_walk)
{
    unsigned labels = bh_domain_labels(start);
    bh_str name = start;
    struct bh_dmarc_walk walk = {0};
    const struct bh_dmarc_fact *last = NULL;
    unsigned lowest_failed = 0; /* labels of the lowest name that failed */

    while (labels) {
        const struct bh_dmarc_fact *fact = bh_dmarc_fact(facts, BH_DMARC_FACT_RECORD, name);

        if (!fact)
            return false;
        if (fact->is_failed && !lowest_failed) {
            lowest_failed = labels;
            walk.failed = name;
        }
        if (fact->is_there)
            last = fact;
        if (fact->is_there && fact->record.psd != 'u')
            break;
        labels = labels > MAX_LABELS - 1 && name.n == start.n ? CUT_LABELS : labels - 1;
        name = bh_domain_suffix(start, labels);
    }
    select_org(start, last, &walk);
    if (walk.psd) { /* the organisational domain may have a record of its own, found on the way */
        walk.org = bh_dmarc_fact(facts, BH_DMARC_FACT_RECORD, walk.org_domain);
        if (!walk.org)
            return false;
        if (!walk.org->is_there)
            walk.org = NULL;
    }
    /* An unanswered name above the organisational domain cannot be below it by psd=n; a psd=y there would confirm it.
     * One at or below it could have been the end of the walk. */
    walk.is_uncertain = lowest_failed && (!last || lowest_failed >= bh_domain_labels(walk.org_domain));
    *ret_walk = walk;
    return true;
}
