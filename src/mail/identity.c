/* identity.c: see identity.h. The evaluator asks a resolver; ours knows the DMARC records of the facts and nothing
 * else, and answers at once, so the evaluation is over when the call returns. */
#include "identity.h"
#include "auth/domain.h"

enum { max_candidates = 16, max_reason = 400 };

struct bh_send_domain bh_send_domain_of(const struct bh_domain *domain, const struct bh_planned_identity *planned,
                                        const struct bh_seen_policy *policies, size_t policy_count)
{
    const struct bh_approach_ops *ops = bh_approach_ops(domain->approach);

    return (struct bh_send_domain){
        .id = domain->id,
        .name = domain->name,
        .zone_apex = domain->zone_apex,
        .accepts = ops && ops->sends && (domain->state == BH_DOMAIN_VERIFIED || domain->state == BH_DOMAIN_DEGRADED),
        .suspended = domain->state == BH_DOMAIN_SUSPENDED,
        .never_sends = ops && !ops->sends,
        .can_send = domain->can_send,
        .proven = domain->aligned,
        .mail_from_domain = planned->mail_from_domain,
        .mail_from_is_ours = planned->mail_from_is_ours,
        .dkim_domain = planned->dkim_domain,
        .policies = policies,
        .policy_count = policy_count};
}

enum bh_from_opening bh_from_opens(const struct bh_suffixes *suffixes, bh_str name, bh_str zone_apex, bh_str from)
{
    if (suffixes->ops->registrable(suffixes, from).n == 0)
        return BH_FROM_PUBLIC_SUFFIX;
    if (bh_str_is_at_or_below(from, name))
        return BH_FROM_OPEN;
    if (!bh_str_is_at_or_below(name, from))
        return BH_FROM_OTHER;
    return zone_apex.n && bh_str_is_at_or_below(from, zone_apex) ? BH_FROM_OPEN : BH_FROM_ABOVE;
}

/* ---- the facts as a resolver ---- */

struct facts {
    struct bh_resolver base;
    struct bh_arena *arena;
    const struct bh_send_domain *domain;
};

static const struct bh_seen_policy *find_policy(const struct bh_send_domain *domain, bh_str name)
{
    bh_str prefix = BH_STR("_dmarc.");

    if (!bh_str_starts_ci(name, prefix))
        return NULL;
    for (size_t i = 0; i < domain->policy_count; i++)
        if (domain->policies[i].record.n && bh_str_eq_ci(domain->policies[i].at, bh_str_skip(name, prefix.n)))
            return &domain->policies[i];
    return NULL;
}

/* TXT rdata: strings of at most 255 bytes, each behind its length (RFC 1035 3.3.14). */
static bh_str txt_rdata(struct bh_arena *arena, bh_str text)
{
    char *rdata = bh_arena_alloc(arena, text.n + text.n / 255 + 1), *to = rdata;

    if (!rdata)
        return (bh_str){NULL, 0};
    for (bh_str rest = text; rest.n; rest = bh_str_skip(rest, 255)) {
        bh_str piece = bh_str_sub(rest, 0, 255);
        *to++ = (char)(unsigned char)piece.n;
        memcpy(to, piece.p, piece.n);
        to += piece.n;
    }
    return bh_str_range(rdata, to);
}

static bh_err lookup_facts(struct bh_resolver *resolver, bh_str name, uint16_t type, bh_dns_done *done, void *ctx,
                           struct bh_dns_query **ret_query)
{
    struct facts *facts = (struct facts *)(void *)resolver;
    const struct bh_seen_policy *policy = type == BH_DNS_TXT ? find_policy(facts->domain, name) : NULL;
    struct bh_dns_record record = {{NULL, 0}};
    struct bh_dns_answer answer = {.status = BH_DNS_NODATA, .canonical_name = name};

    if (policy) {
        record.rdata = txt_rdata(facts->arena, policy->record);
        if (!record.rdata.p)
            return BH_E_NOMEM;
        answer.status = BH_DNS_FOUND;
        answer.records = &record;
        answer.count = 1;
    }
    *ret_query = NULL;
    done(ctx, &answer);
    return BH_OK;
}

static void cancel_facts(struct bh_resolver *resolver, struct bh_dns_query *query)
{
    /* nothing is ever under way */
}

/* ---- DMARC on the plan ---- */

struct judgement {
    struct bh_arena *arena;
    bool reached;
    bool pass;
    enum bh_dmarc_alignment spf, dkim;
    bh_str record_domain;
    bh_str reason;
};

static void take_outcome(void *ctx, const struct bh_dmarc_outcome *outcome)
{
    struct judgement *judgement = ctx;
    const struct bh_dmarc_outcome *psl = outcome->psl;

    judgement->reached = true;
    judgement->pass = outcome->result == BH_DMARC_PASS && (!psl || psl->result == BH_DMARC_PASS);
    judgement->spf = outcome->spf_alignment;
    judgement->dkim = outcome->dkim_alignment;
    judgement->record_domain = bh_arena_dup(judgement->arena, outcome->record_domain);
    judgement->reason =
        bh_arena_dup(judgement->arena, outcome->result == BH_DMARC_PASS && psl ? psl->reason : outcome->reason);
}

static struct judgement judge_plan(struct bh_arena *arena, const struct bh_identity_request *request,
                                   const struct bh_send_domain *domain, bh_str from)
{
    static const struct bh_resolver_ops ops = {.lookup = lookup_facts, .cancel = cancel_facts};
    struct facts facts = {.base = {.ops = &ops}, .arena = arena, .domain = domain};
    struct judgement judgement = {.arena = arena};
    struct bh_dmarc_dkim dkim = {.pass = domain->proven & BH_MECH_DKIM, .domain = domain->dkim_domain};
    struct bh_dmarc_request evaluate = {.header_from = from,
                                        .spf = domain->proven & BH_MECH_SPF ? BH_SPF_PASS : BH_SPF_NONE,
                                        .spf_domain = domain->mail_from_domain,
                                        .dkim = &dkim,
                                        .dkim_count = domain->dkim_domain.n ? 1 : 0,
                                        .mode = BH_DMARC_BOTH,
                                        .suffixes = request->suffixes,
                                        .assume_record = true};
    struct bh_dmarc_check *check = NULL;

    if (bh_dmarc_check(&facts.base, &evaluate, take_outcome, &judgement, &check))
        judgement.reached = false;
    else if (!judgement.reached)
        bh_dmarc_check_cancel(check);
    return judgement;
}

/* ---- what is said ---- */

struct rule_text {
    const char *name;
    uint16_t code;
    const char *enhanced;
};

static const struct rule_text rule_texts[] = {
    [BH_IDENTITY_OK] = {"ok", 0, "2.0.0"},
    [BH_IDENTITY_HELD] = {"held", 0, "2.0.0"},
    [BH_IDENTITY_BAD_NAME] = {"bad-name", 550, "5.6.0"},
    [BH_IDENTITY_NO_DOMAIN] = {"no-domain", 550, "5.7.1"},
    [BH_IDENTITY_ABOVE] = {"above-zone", 550, "5.7.1"},
    [BH_IDENTITY_PUBLIC_SUFFIX] = {"public-suffix", 550, "5.7.1"},
    [BH_IDENTITY_NOT_VERIFIED] = {"not-verified", 550, "5.7.1"},
    [BH_IDENTITY_SUSPENDED] = {"suspended", 550, "5.7.1"},
    [BH_IDENTITY_WAIT] = {"wait", 451, "4.7.1"},
    [BH_IDENTITY_UNALIGNED] = {"unaligned", 550, "5.7.1"},
    [BH_IDENTITY_NOMEM] = {"memory", 451, "4.3.1"},
};

const char *bh_identity_rule_name(enum bh_identity_rule rule)
{
    return (size_t)rule < sizeof rule_texts / sizeof *rule_texts ? rule_texts[rule].name : "unknown";
}

static void conclude(struct bh_identity *identity, enum bh_identity_rule rule, bh_str reason, bh_str fix)
{
    identity->rule = rule;
    identity->code = rule_texts[rule].code;
    identity->enhanced = rule_texts[rule].enhanced;
    identity->reason = reason.p ? reason : BH_STR("refused");
    identity->fix = fix.p ? fix : (bh_str){"", 0};
}

static void conclude_not_verified(struct bh_arena *arena, struct bh_identity *identity, enum bh_identity_rule rule)
{
    bh_str name = identity->domain->name;

    conclude(
        identity, rule,
        bh_arena_printf(arena, "sending domain %.*s is not verified: neither SPF nor DKIM is proven", BH_FMT(name)),
        bh_arena_printf(arena, "see what is missing: behalf domain check %.*s", BH_FMT(name)));
}

static void conclude_suspended(struct bh_arena *arena, struct bh_identity *identity)
{
    bh_str name = identity->domain->name;

    conclude(identity, BH_IDENTITY_SUSPENDED,
             bh_arena_printf(arena,
                             "sending domain %.*s is suspended: its DNS records are gone, and neither SPF nor DKIM has "
                             "aligned for too long",
                             BH_FMT(name)),
             bh_arena_printf(arena, "see what is missing: behalf domain check %.*s", BH_FMT(name)));
}

static void conclude_never_sends(struct bh_arena *arena, struct bh_identity *identity)
{
    bh_str name = identity->domain->name;

    conclude(identity, BH_IDENTITY_NOT_VERIFIED,
             bh_arena_printf(arena, "domain %.*s was added for reports only, not for sending", BH_FMT(name)),
             bh_arena_printf(arena, "behalf domain remove %.*s, and add it by another approach", BH_FMT(name)));
}

static void conclude_unaligned(struct bh_arena *arena, struct bh_identity *identity, bh_str why)
{
    const struct bh_send_domain *domain = identity->domain;
    bh_str from = identity->header_from;

    conclude(identity, BH_IDENTITY_UNALIGNED,
             bh_arena_printf(arena, "From domain %.*s would fail DMARC through sending domain %.*s: %.*s", BH_FMT(from),
                             BH_FMT(domain->name), BH_FMT(bh_str_sub(why, 0, max_reason))),
             bh_arena_printf(arena,
                             "add %.*s itself as a sending domain, or let its DMARC record ask for relaxed alignment "
                             "(adkim=r, aspf=r)",
                             BH_FMT(from)));
}

/* One sending domain that opens the From domain. */
static void try_domain(struct bh_arena *arena, const struct bh_identity_request *request,
                       const struct bh_send_domain *domain, struct bh_identity *identity)
{
    struct judgement judgement;

    identity->domain = domain;
    identity->mail_from_domain = domain->mail_from_domain;
    identity->mail_from_is_ours = domain->mail_from_is_ours;
    identity->dkim_domain = domain->dkim_domain;
    if (domain->never_sends) {
        conclude_never_sends(arena, identity);
        return;
    }
    if (domain->suspended) {
        conclude_suspended(arena, identity);
        return;
    }
    if (request->moment == BH_AT_SUBMISSION && !domain->accepts) {
        conclude_not_verified(arena, identity, BH_IDENTITY_NOT_VERIFIED);
        return;
    }
    if (!domain->can_send) {
        conclude_not_verified(arena, identity,
                              request->moment == BH_AT_SUBMISSION ? BH_IDENTITY_HELD : BH_IDENTITY_WAIT);
        return;
    }
    judgement = judge_plan(arena, request, domain, identity->header_from);
    identity->spf_alignment = judgement.spf;
    identity->dkim_alignment = judgement.dkim;
    identity->record_domain = judgement.record_domain;
    if (!judgement.reached)
        conclude(identity, BH_IDENTITY_NOMEM, BH_STR("the DMARC evaluation could not be made"),
                 BH_STR("try again later"));
    else if (judgement.pass)
        conclude(identity, BH_IDENTITY_OK, BH_STR("DMARC passes"), (bh_str){NULL, 0});
    else
        conclude_unaligned(arena, identity, judgement.reason);
}

/* ---- the candidates ---- */

struct candidates {
    const struct bh_send_domain *domains[max_candidates];
    size_t count;
    const struct bh_send_domain *above; /* one that only failed because the From domain is above it */
};

/* More specific first: the longest name at or above `from`, then the shortest below it. */
static bool goes_before(bh_str from, bh_str a, bh_str b)
{
    bool a_covers = bh_str_is_at_or_below(from, a), b_covers = bh_str_is_at_or_below(from, b);

    if (a_covers != b_covers)
        return a_covers;
    return a_covers ? a.n > b.n : a.n < b.n;
}

static void add_candidate(struct candidates *list, bh_str from, const struct bh_send_domain *domain)
{
    size_t at = list->count;

    while (at > 0 && goes_before(from, domain->name, list->domains[at - 1]->name))
        at--;
    if (at == max_candidates)
        return;
    if (list->count < max_candidates)
        list->count++;
    for (size_t i = list->count - 1; i > at; i--)
        list->domains[i] = list->domains[i - 1];
    list->domains[at] = domain;
}

static struct candidates find_candidates(const struct bh_identity_request *request, bh_str from)
{
    struct candidates list = {0};

    for (size_t i = 0; i < request->domain_count; i++) {
        const struct bh_send_domain *domain = &request->domains[i];
        enum bh_from_opening opening = bh_from_opens(request->suffixes, domain->name, domain->zone_apex, from);
        if (opening == BH_FROM_OPEN)
            add_candidate(&list, from, domain);
        else if (opening == BH_FROM_ABOVE && !list.above)
            list.above = domain;
    }
    return list;
}

static void conclude_nothing_open(struct bh_arena *arena, const struct candidates *list, struct bh_identity *identity)
{
    bh_str from = identity->header_from;

    if (list->above) {
        identity->domain = list->above;
        conclude(identity, BH_IDENTITY_ABOVE,
                 bh_arena_printf(arena,
                                 "From domain %.*s lies above sending domain %.*s, and control of it is not proven",
                                 BH_FMT(from), BH_FMT(list->above->name)),
                 bh_arena_printf(arena, "send From an address at %.*s, or add %.*s as a sending domain",
                                 BH_FMT(list->above->name), BH_FMT(from)));
        return;
    }
    conclude(
        identity, BH_IDENTITY_NO_DOMAIN,
        bh_arena_printf(arena, "From domain %.*s is not covered by a sending domain of this customer", BH_FMT(from)),
        bh_arena_printf(arena, "add it: behalf domain add %.*s --customer NAME --approach delegation|cname|manual",
                        BH_FMT(from)));
}

/* Lower case and A-labels, in the arena; {NULL, 0} where it is no domain name. */
static bh_str ascii_domain(struct bh_arena *arena, bh_str domain)
{
    struct bh_buf out = bh_buf_make(BH_DOMAIN_MAX);
    bh_str ascii = {NULL, 0};

    if (bh_domain_to_ascii(domain, &out) == BH_OK && bh_buf_err(&out) == BH_OK && bh_domain_valid(bh_buf_view(&out)))
        ascii = bh_arena_dup(arena, bh_domain_no_dot(bh_buf_view(&out)));
    bh_buf_free(&out);
    return ascii;
}

static bool keeps_mail(const struct bh_identity *identity)
{
    return identity->rule == BH_IDENTITY_HELD || identity->rule == BH_IDENTITY_WAIT;
}

void bh_identity_decide(struct bh_arena *arena, const struct bh_identity_request *request,
                        struct bh_identity *ret_identity)
{
    struct bh_identity identity = {.header_from = ascii_domain(arena, request->header_from)}, first;
    struct candidates list;

    *ret_identity = identity;
    if (!identity.header_from.p) {
        conclude(ret_identity, BH_IDENTITY_BAD_NAME, BH_STR("the domain of the From address is no domain name"),
                 BH_STR("send From an address at a sending domain of this customer"));
        return;
    }
    if (request->suffixes->ops->registrable(request->suffixes, identity.header_from).n == 0) {
        conclude(ret_identity, BH_IDENTITY_PUBLIC_SUFFIX,
                 bh_arena_printf(arena, "From domain %.*s is a public suffix, under which others register",
                                 BH_FMT(identity.header_from)),
                 BH_STR("send From an address at a sending domain of this customer"));
        return;
    }
    list = find_candidates(request, identity.header_from);
    if (list.count == 0) {
        conclude_nothing_open(arena, &list, ret_identity);
        return;
    }
    for (size_t i = 0; i < list.count; i++) {
        struct bh_identity tried = identity;
        try_domain(arena, request, list.domains[i], &tried);
        if (i == 0 || (keeps_mail(&tried) && !keeps_mail(&first)))
            first = tried;
        if (tried.rule == BH_IDENTITY_OK) {
            first = tried;
            break;
        }
    }
    *ret_identity = first;
}
