/* dmarc_eval.c: policy discovery (RFC 9989 4.10.1; RFC 7489 6.6.3), alignment (4.10.2; 3.1), result and disposition.
 *
 * Both modes take the same way; they differ in how the organisational domain of a name is found, in which record may
 * stand in for a missing one, and in the tags that they know. */
#include "dmarc_eval.h"
#include "domain.h"

struct evaluation {
    const struct bh_dmarc_input *input;
    bool by_psl;
    struct bh_buf trace;
    struct bh_dmarc_outcome out;
    struct bh_dmarc_walk walk; /* of the author domain; by_psl: org_domain alone */
    const struct bh_dmarc_fact *policy_fact;
    bool is_uncertain; /* an answer that is missing could have given an alignment */
    bh_str uncertain_name;
};

static void trace(struct evaluation *e, const char *format, ...) BH_PRINTF(2, 3);

static void trace(struct evaluation *e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    bh_buf_vprintf(&e->trace, format, args);
    va_end(args);
    bh_buf_char(&e->trace, '\n');
}

static void reason(struct evaluation *e, const char *format, ...) BH_PRINTF(2, 3);

static void reason(struct evaluation *e, const char *format, ...)
{
    struct bh_buf text = bh_buf_make(4096);
    va_list args;

    va_start(args, format);
    bh_buf_vprintf(&text, format, args);
    va_end(args);
    e->out.reason = bh_arena_dup(e->input->facts->arena, bh_buf_view(&text));
    bh_buf_free(&text);
}

/* ---- organisational domains ---- */

static bh_str registrable(const struct evaluation *e, bh_str domain)
{
    bh_str found = e->input->suffixes->ops->registrable(e->input->suffixes, domain);

    return found.n ? found : domain; /* a public suffix is its own (RFC 7489 3.2) */
}

static bool find_org(struct evaluation *e, bh_str domain, struct bh_dmarc_walk *ret_walk)
{
    if (!e->by_psl)
        return bh_dmarc_walk(e->input->facts, domain, ret_walk);
    *ret_walk = (struct bh_dmarc_walk){.org_domain = registrable(e, domain)};
    return true;
}

/* ---- policy discovery ---- */

/* The record for an author domain without one: that of the organisational domain, else of the public suffix domain. */
static bool find_parent_record(struct evaluation *e)
{
    if (!e->by_psl) {
        e->policy_fact = e->walk.org ? e->walk.org : e->walk.psd;
        return true;
    }
    if (bh_str_eq(e->walk.org_domain, e->input->from))
        return true;
    e->policy_fact = bh_dmarc_fact(e->input->facts, BH_DMARC_FACT_RECORD, e->walk.org_domain);
    if (!e->policy_fact)
        return false;
    if (e->policy_fact->is_failed) {
        e->walk.is_uncertain = true;
        e->walk.failed = e->policy_fact->name;
    }
    if (!e->policy_fact->is_there)
        e->policy_fact = NULL;
    return true;
}

static void trace_fact(struct evaluation *e, const struct bh_dmarc_fact *fact)
{
    if (fact->is_failed)
        trace(e, "_dmarc.%.*s: no answer for now%s%.*s", BH_FMT(fact->name), fact->why.n ? ": " : "",
              BH_FMT(fact->why));
    else if (fact->is_there)
        trace(e, "_dmarc.%.*s: \"%.*s\"", BH_FMT(fact->name), BH_FMT(fact->text));
    else if (fact->count > 1)
        trace(e, "_dmarc.%.*s: %zu DMARC records, so none counts", BH_FMT(fact->name), fact->count);
    else
        trace(e, "_dmarc.%.*s: no DMARC record", BH_FMT(fact->name));
}

/* All that was looked at for the author domain, in the order of the walk: longest name first. */
static void trace_walk(struct evaluation *e)
{
    unsigned labels = bh_domain_labels(e->input->from);

    for (; labels; labels--) {
        bh_str name = bh_domain_suffix(e->input->from, labels);

        for (const struct bh_dmarc_fact *fact = e->input->facts->first; fact; fact = fact->next)
            if (fact->kind == BH_DMARC_FACT_RECORD && bh_str_eq(fact->name, name))
                trace_fact(e, fact);
    }
}

/* True with e->policy_fact set or NULL; false: a fact is wanted. */
static bool discover(struct evaluation *e)
{
    const struct bh_dmarc_fact *author = bh_dmarc_fact(e->input->facts, BH_DMARC_FACT_RECORD, e->input->from);

    if (!author || !find_org(e, e->input->from, &e->walk))
        return false;
    if (author->is_failed) {
        e->walk.is_uncertain = true;
        e->walk.failed = author->name;
    }
    if (author->is_there)
        e->policy_fact = author;
    else if (!find_parent_record(e))
        return false;
    trace_walk(e);
    trace(e, "organisational domain of %.*s by %s: %.*s", BH_FMT(e->input->from),
          e->by_psl ? "public suffixes" : "tree walk", BH_FMT(e->walk.org_domain));
    return true;
}

/* ---- the policy (RFC 9989 4.10.1) ---- */

/* False: no policy can be read from the record, and nobody is to be told: DMARC does not apply. */
static bool is_usable(const struct evaluation *e, const struct bh_dmarc_record *record, bool *ret_as_none)
{
    bool is_bad = record->p.state == BH_DMARC_TAG_INVALID || record->sp.state == BH_DMARC_TAG_INVALID ||
                  (!e->by_psl && record->np.state == BH_DMARC_TAG_INVALID) ||
                  (e->by_psl && record->p.state == BH_DMARC_TAG_ABSENT);
    bh_str rua = record->rua;
    struct bh_dmarc_uri uri;

    *ret_as_none = is_bad;
    return !is_bad || bh_dmarc_uri_next(&rua, &uri);
}

/* p, sp or np. False: it depends on whether the author domain exists, and that is wanted. */
static bool choose_tag(struct evaluation *e, const struct bh_dmarc_record *record,
                       const struct bh_dmarc_policy_tag **ret_tag)
{
    const struct bh_dmarc_policy_tag *sub = record->sp.state == BH_DMARC_TAG_VALID ? &record->sp : &record->p;
    const struct bh_dmarc_fact *exists;

    *ret_tag = &record->p;
    if (bh_str_eq(e->policy_fact->name, e->input->from))
        return true;
    *ret_tag = sub;
    if (e->by_psl || record->np.state != BH_DMARC_TAG_VALID)
        return true;
    exists = bh_dmarc_fact(e->input->facts, BH_DMARC_FACT_EXISTS, e->input->from);
    if (!exists)
        return false;
    if (exists->is_failed && record->np.policy != sub->policy) {
        e->is_uncertain = true;
        e->uncertain_name = e->input->from;
    } else if (!exists->is_failed && !exists->is_there) {
        *ret_tag = &record->np;
    }
    trace(e, "%.*s %s", BH_FMT(e->input->from),
          exists->is_failed  ? "may exist or not: no answer for now"
          : exists->is_there ? "exists"
                             : "does not exist (NXDOMAIN)");
    return true;
}

static bool read_policy(struct evaluation *e, bool as_none)
{
    const struct bh_dmarc_record *record = &e->policy_fact->record;
    const struct bh_dmarc_policy_tag *tag;

    if (as_none) {
        e->out.policy = BH_DMARC_POLICY_NONE;
        e->out.policy_tag = "p";
        trace(e, "the record's policy cannot be read: treated as p=none");
        return true;
    }
    if (!choose_tag(e, record, &tag))
        return false;
    e->out.policy = tag->policy;
    e->out.policy_tag = tag == &record->np ? "np" : tag == &record->sp ? "sp" : "p";
    e->out.testing = !e->by_psl && record->testing;
    return true;
}

/* ---- alignment ---- */

static bool align_relaxed(struct evaluation *e, bh_str domain, bool *ret_aligned)
{
    struct bh_dmarc_walk walk;

    *ret_aligned = false;
    /* an organisational domain ends the name that it is found for: no walk is needed where ours does not */
    if (!bh_str_is_at_or_below(domain, e->walk.org_domain))
        return true;
    if (!find_org(e, domain, &walk))
        return false;
    *ret_aligned = bh_str_eq(walk.org_domain, e->walk.org_domain);
    if (walk.is_uncertain || e->walk.is_uncertain) {
        e->is_uncertain = true;
        e->uncertain_name = walk.is_uncertain ? walk.failed : e->walk.failed;
    }
    *ret_aligned = *ret_aligned && !walk.is_uncertain && !e->walk.is_uncertain;
    return true;
}

static bool align(struct evaluation *e, const struct bh_dmarc_identifier *id)
{
    const struct bh_dmarc_record *record = &e->policy_fact->record;
    enum bh_dmarc_alignment *slot = id->is_dkim ? &e->out.dkim_alignment : &e->out.spf_alignment;
    bool is_strict = id->is_dkim ? record->strict_dkim : record->strict_spf;
    enum bh_dmarc_alignment alignment = BH_DMARC_UNALIGNED;
    bool is_relaxed = false;

    if (bh_str_eq(id->domain, e->input->from))
        alignment = BH_DMARC_STRICT;
    else if (!is_strict && !align_relaxed(e, id->domain, &is_relaxed))
        return false;
    if (is_relaxed)
        alignment = BH_DMARC_RELAXED;
    trace(e, "%s domain %.*s is %s", id->is_dkim ? "DKIM" : "SPF", BH_FMT(id->domain),
          alignment == BH_DMARC_STRICT    ? "the author domain: aligned"
          : alignment == BH_DMARC_RELAXED ? "aligned: same organisational domain"
          : is_strict                     ? "not aligned: strict alignment is asked for"
                                          : "not aligned");
    if (alignment > *slot) {
        *slot = alignment;
        if (id->is_dkim)
            e->out.dkim_domain = id->domain;
    }
    return true;
}

/* ---- result ---- */

static enum bh_dmarc_policy lower_policy(enum bh_dmarc_policy policy)
{
    return policy == BH_DMARC_POLICY_REJECT ? BH_DMARC_POLICY_QUARANTINE : BH_DMARC_POLICY_NONE;
}

static void set_disposition(struct evaluation *e)
{
    enum bh_dmarc_policy policy = e->out.policy;

    if (e->out.testing || (e->by_psl && e->input->sample >= e->policy_fact->record.pct))
        policy = lower_policy(policy);
    e->out.disposition = policy;
}

static void conclude(struct evaluation *e)
{
    const char *by = e->out.dkim_alignment != BH_DMARC_UNALIGNED ? "DKIM" : "SPF";

    if (e->out.dkim_alignment != BH_DMARC_UNALIGNED || e->out.spf_alignment != BH_DMARC_UNALIGNED) {
        e->out.result = BH_DMARC_PASS;
        reason(e, "%s passed for a domain that is aligned with %.*s", by, BH_FMT(e->input->from));
    } else if (e->is_uncertain) {
        e->out.result = BH_DMARC_TEMPERROR;
        reason(e, "DNS gave no answer for now for %.*s, which could decide", BH_FMT(e->uncertain_name));
    } else {
        e->out.result = BH_DMARC_FAIL;
        set_disposition(e);
        reason(e, "%s; the record of %.*s asks for %s=%s%s",
               e->input->count ? "no domain that passed is aligned" : "neither SPF nor DKIM passed",
               BH_FMT(e->policy_fact->name), e->out.policy_tag, bh_dmarc_policy_name(e->out.policy),
               e->out.testing ? ", t=y lowers it by one" : "");
    }
}

static bool apply_record(struct evaluation *e)
{
    const struct bh_dmarc_fact *fact = e->policy_fact;
    bool as_none;

    e->out.record_domain = fact->name;
    e->out.record_text = fact->text;
    e->out.record = fact->record;
    if (!is_usable(e, &fact->record, &as_none)) {
        reason(e, "the record of %.*s has no policy that can be read and no valid rua=: DMARC does not apply",
               BH_FMT(fact->name));
        return true;
    }
    if (!read_policy(e, as_none))
        return false;
    for (size_t i = 0; i < e->input->count; i++)
        if (!align(e, &e->input->identifiers[i]))
            return false;
    conclude(e);
    return true;
}

/* No record applies; the caller may want to know what a p=none at the organisational domain would give. */
static bool assume(struct evaluation *e)
{
    const struct bh_dmarc_input *input = e->input;
    bh_str org = input->suffixes ? registrable(e, input->from) : input->from;

    if (!bh_dmarc_assume(input->facts, org, "v=DMARC1; p=none"))
        return true; /* out of memory: as without */
    trace(e, "no record applies: assuming \"v=DMARC1; p=none\" at _dmarc.%.*s", BH_FMT(org));
    return discover(e);
}

static bool evaluate(struct evaluation *e)
{
    if (!discover(e))
        return false;
    if (!e->policy_fact && !e->walk.is_uncertain && e->input->assume_record && !assume(e))
        return false;
    e->out.org_domain = e->walk.org_domain;
    if (e->policy_fact && (bh_str_eq(e->policy_fact->name, e->input->from) || !e->walk.is_uncertain))
        return apply_record(e);
    if (e->walk.is_uncertain) {
        e->out.result = BH_DMARC_TEMPERROR;
        reason(e, "DNS gave no answer for now for _dmarc.%.*s", BH_FMT(e->walk.failed));
    } else {
        reason(e, "no DMARC record applies to %.*s", BH_FMT(e->input->from));
    }
    return true;
}

bool bh_dmarc_evaluate(const struct bh_dmarc_input *input, bool by_psl, struct bh_dmarc_outcome *ret_outcome)
{
    struct evaluation e = {
        .input = input,
        .by_psl = by_psl,
        .trace = bh_buf_make(65536),
        .out = {.policy_tag = "", .header_from = input->from},
    };
    bool is_over = evaluate(&e);

    if (is_over) {
        e.out.trace = bh_arena_dup(input->facts->arena, bh_buf_view(&e.trace));
        *ret_outcome = e.out;
    }
    bh_buf_free(&e.trace);
    return is_over;
}
