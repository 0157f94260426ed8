/* check.c: the questions, and what the answers say about records and proofs. See check.h; mistakes.c names what went
 * wrong, state.c draws the consequence. */
#include "check.h"
#include "check_internal.h"
#include "key.h"

enum { ANCESTORS_MAX = 8 }; /* as many steps as a receiver's tree walk takes (RFC 9989) */

const char *bh_record_status_name(enum bh_record_status status)
{
    switch (status) {
    case BH_RECORD_OK:
        return "verified";
    case BH_RECORD_WRONG:
        return "failed";
    case BH_RECORD_MISSING:
        return "pending";
    case BH_RECORD_UNKNOWN:
    default:
        return "unknown";
    }
}

const struct bh_seen *bh_check_seen(const struct bh_seen *seen, size_t count, bh_str name, uint16_t type, bool direct)
{
    for (size_t i = 0; i < count; i++)
        if (seen[i].type == type && seen[i].direct == direct && bh_str_eq_ci(seen[i].name, name))
            return &seen[i];
    return NULL;
}

/* ---- questions ---- */

struct questions {
    struct bh_arena *arena;
    struct bh_check_question *list;
    size_t count, cap;
    bh_err err;
};

static void ask(struct questions *questions, bh_str name, uint16_t type, bool direct)
{
    if (!name.p)
        questions->err = BH_E_NOMEM;
    if (questions->err || name.n > 253)
        return;
    for (size_t i = 0; i < questions->count; i++)
        if (questions->list[i].type == type && questions->list[i].direct == direct &&
            bh_str_eq_ci(questions->list[i].name, name))
            return;
    if (questions->count == questions->cap) {
        size_t cap = questions->cap ? questions->cap * 2 : 16;
        struct bh_check_question *wider = bh_arena_array(questions->arena, cap, sizeof(*wider));

        if (!wider) {
            questions->err = BH_E_NOMEM;
            return;
        }
        if (questions->count)
            memcpy(wider, questions->list, questions->count * sizeof(*wider));
        questions->list = wider;
        questions->cap = cap;
    }
    questions->list[questions->count++] = (struct bh_check_question){name, type, direct};
}

/* _dmarc at the domain and above, up to the organisational domain: what receivers will find for a From there. */
static void ask_policies(struct questions *questions, bh_str domain)
{
    bh_str organisational = bh_domain_registrable(domain);
    bh_str at = domain;

    for (int i = 0; i < ANCESTORS_MAX && at.n >= organisational.n && at.n; i++) {
        ask(questions, bh_arena_printf(questions->arena, "_dmarc.%.*s", BH_FMT(at)), BH_DNS_TXT, true);
        at = bh_domain_parent(at);
    }
}

static void ask_records(struct questions *questions, const struct bh_domain_view *view,
                        const struct bh_record_list *records)
{
    const struct bh_approach_ops *ops = bh_approach_ops(view->domain.approach);

    for (size_t i = 0; i < records->count; i++)
        ask(questions, records->records[i].name, records->records[i].type, true);
    ask(questions, ops->edited_at(&view->domain), BH_DNS_SOA, true);
    if (ops->zone)
        ask(questions, view->domain.name, BH_DNS_DS, true);
    ask_policies(questions, view->domain.name);
}

/* Where would a record have landed that is not where it should be? */
static void ask_for_mistakes(struct questions *questions, const struct bh_required_record *record, bh_str domain,
                             bh_str apex)
{
    struct bh_arena *arena = questions->arena;
    bh_str parents[BH_WRONG_PARENTS];
    size_t count = bh_wrong_parents(arena, record->name, domain, parents);
    size_t at = bh_str_search(record->name, BH_STR("._domainkey."));

    if (apex.n)
        ask(questions, bh_arena_printf(arena, "%.*s.%.*s", BH_FMT(record->name), BH_FMT(apex)), record->type, true);
    for (size_t i = 0; i < count; i++)
        ask(questions, parents[i], record->type, true);
    if (apex.n)
        ask(questions, apex, BH_DNS_NS, true);
    if (record->type == BH_DNS_CNAME) {
        ask(questions, record->name, BH_DNS_TXT, true);
        ask(questions, record->name, BH_DNS_A, true);
    }
    if (at < record->name.n)
        ask(questions,
            bh_arena_printf(arena, "%.*s.%.*s", BH_FMT(bh_str_sub(record->name, 0, at)),
                            BH_FMT(bh_str_skip(record->name, at + 2))),
            record->type, true);
}

bh_str bh_check_proof_name(struct bh_arena *arena, const struct bh_platform *platform,
                           const struct bh_domain_view *view, int proof)
{
    const struct bh_key *active = bh_view_active_key(view);
    struct bh_planned_identity identity;

    if (bh_planned_identity(arena, platform, view, &identity))
        return (bh_str){NULL, 0};
    if (proof == BH_PROOF_DKIM)
        return active ? bh_arena_printf(arena, "%.*s._domainkey.%.*s", BH_FMT(active->selector),
                                        BH_FMT(identity.dkim_domain))
                      : (bh_str){"", 0};
    if (!bh_str_eq_ci(bh_domain_registrable(identity.mail_from_domain), bh_domain_registrable(view->domain.name)))
        return (bh_str){"", 0}; /* SPF that cannot align proves nothing */
    return identity.mail_from_domain;
}

static enum bh_mechanism mechanism_of(int proof)
{
    return proof == BH_PROOF_DKIM ? BH_MECH_DKIM : BH_MECH_SPF;
}

/* A CNAME at a target that is not ours may reach ours by another CNAME there: names of an operator who has moved. */
static bool may_lead_to_us(const struct bh_check_result *result, size_t i)
{
    bh_str found = result->checks[i].found;

    return result->records.records[i].type == BH_DNS_CNAME && result->checks[i].status == BH_RECORD_WRONG &&
           found.n > 1 && bh_str_find(found, ',') == found.n;
}

/* The world is asked only for what is known to be there. */
static bool records_carry(const struct bh_check_result *result, enum bh_mechanism mechanism)
{
    bool carried = false;

    for (size_t i = 0; i < result->records.count; i++) {
        if (!(result->records.records[i].mechanism & mechanism))
            continue;
        if (result->checks[i].status != BH_RECORD_OK && !may_lead_to_us(result, i))
            return false;
        carried = true;
    }
    return carried;
}

static void ask_second_round(struct questions *questions, const struct bh_platform *platform,
                             const struct bh_domain_view *view, const struct bh_check_result *result)
{
    const struct bh_approach_ops *ops = bh_approach_ops(view->domain.approach);

    for (int proof = 0; ops->sends && !ops->proven_by_probe && proof < BH_PROOF_COUNT; proof++) {
        bh_str name = bh_check_proof_name(questions->arena, platform, view, proof);

        if (name.n && records_carry(result, mechanism_of(proof)))
            ask(questions, name, BH_DNS_TXT, false);
    }
    for (size_t i = 0; i < result->records.count; i++)
        if (result->records.records[i].required && result->checks[i].status == BH_RECORD_MISSING)
            ask_for_mistakes(questions, &result->records.records[i], view->domain.name, result->zone_apex);
    for (size_t i = 0; i < result->records.count; i++)
        if (may_lead_to_us(result, i))
            ask(questions, bh_str_sub(result->checks[i].found, 0, result->checks[i].found.n - 1), BH_DNS_CNAME, true);
}

static void ask_direct(void *ctx, bh_str name, uint16_t type)
{
    ask(ctx, name, type, true);
}

bh_err bh_check_questions(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_domain_view *view,
                          unsigned round, const struct bh_seen *seen, size_t seen_count,
                          struct bh_check_question **ret_questions, size_t *ret_count)
{
    struct questions questions = {.arena = arena};
    struct bh_check_result result;
    bh_err err = bh_check_evaluate(arena, platform, view, seen, seen_count, &result);

    if (err)
        return err;
    if (round == 0)
        ask_records(&questions, view, &result.records);
    else
        ask_second_round(&questions, platform, view, &result);
    if (round == 1)
        bh_problem_questions(&(struct bh_check_context){arena, platform, view, seen, seen_count, {"", 0}, NULL},
                             &result, ask_direct, &questions);
    *ret_questions = questions.list;
    *ret_count = questions.count;
    return questions.err;
}

/* ---- answers ---- */

/* The answer's records as text, joined by ", ". */
static bh_str found_text(struct bh_arena *arena, const struct bh_seen *seen)
{
    struct bh_buf text = bh_buf_make(4000);
    bh_str copy;

    for (size_t i = 0; i < seen->count; i++) {
        if (i)
            bh_buf_add(&text, BH_STR(", "));
        if (seen->type == BH_DNS_TXT)
            bh_buf_add(&text, bh_txt_joined(arena, seen->rdatas[i]));
        else
            bh_dns_rdata_print(&text, seen->type, seen->rdatas[i]);
    }
    copy = bh_arena_dup(arena, bh_buf_view(&text));
    bh_buf_free(&text);
    return copy;
}

static bool is_policy(bh_str text)
{
    bh_str version = bh_str_trim(bh_str_cut(text, ';', &(bh_str){0}));
    bh_str value, tag = bh_str_trim(bh_str_cut(version, '=', &value));

    return bh_str_eq_ci(tag, BH_STR("v")) && bh_str_eq(bh_str_trim(value), BH_STR("DMARC1"));
}

/* The one DMARC record of an answer; p == NULL for none, *ret_several for more. */
static bh_str one_policy(struct bh_arena *arena, const struct bh_seen *seen, bool *ret_several)
{
    bh_str policy = {NULL, 0};

    *ret_several = false;
    for (size_t i = 0; i < seen->count; i++) {
        bh_str text = bh_txt_joined(arena, seen->rdatas[i]);

        if (!text.p || !is_policy(text))
            continue;
        *ret_several = policy.p != NULL;
        policy = text;
    }
    return policy;
}

/* One step on from the target that was found: it is a CNAME at ours. */
static bool leads_to_us(const struct bh_check_context *context, const struct bh_required_record *record, bh_str found)
{
    const struct bh_seen *next =
        found.n && record->type == BH_DNS_CNAME
            ? bh_check_seen(context->seen, context->seen_count, bh_str_sub(found, 0, found.n - 1), BH_DNS_CNAME, true)
            : NULL;

    return next && next->status == BH_DNS_FOUND && next->count == 1 &&
           bh_str_eq_ci(found_text(context->arena, next), record->value);
}

static void check_exact(struct bh_check_context *context, const struct bh_required_record *record,
                        const struct bh_seen *seen, struct bh_record_check *check)
{
    size_t strangers = 0, others_of_ours = 0;

    check->status = BH_RECORD_WRONG;
    for (size_t i = 0; i < seen->count; i++) {
        struct bh_buf text = bh_buf_make(2048);

        bh_dns_rdata_print(&text, seen->type, seen->rdatas[i]);
        if (bh_str_eq_ci(bh_buf_view(&text), record->value))
            check->status = BH_RECORD_OK;
        else if (!bh_check_is_asked_for(context, record, bh_buf_view(&text)))
            strangers++;
        else
            others_of_ours++;
        bh_buf_free(&text);
    }
    if (strangers && check->status == BH_RECORD_OK) {
        check->status = BH_RECORD_WRONG;
        bh_mistake_strangers(context, record, check);
    } else if (check->status != BH_RECORD_OK && others_of_ours) {
        bh_mistake_partial(context, record, check);
    } else if (check->status != BH_RECORD_OK && leads_to_us(context, record, check->found)) {
        check->status = BH_RECORD_OK;
    } else if (check->status != BH_RECORD_OK) {
        bh_mistake_wrong_target(context, record, seen, check);
    }
}

static void check_dkim(struct bh_check_context *context, const struct bh_required_record *record,
                       const struct bh_seen *seen, struct bh_record_check *check)
{
    bh_str ours = {"", 0}, theirs = {"", 0};
    bool damaged = false;
    size_t keys = 0;

    check->status = BH_RECORD_WRONG;
    if (bh_key_record_public(context->arena, record->value, &ours, &damaged))
        return;
    for (size_t i = 0; i < seen->count; i++) {
        bh_str text = bh_txt_joined(context->arena, seen->rdatas[i]);

        if (!text.p || bh_key_record_public(context->arena, text, &theirs, &damaged))
            continue;
        keys++;
        if (bh_str_eq(ours, theirs) && !damaged && bh_strange_byte(text) == text.n)
            check->status = BH_RECORD_OK;
    }
    if (keys > 1)
        check->status = BH_RECORD_WRONG;
    if (check->status != BH_RECORD_OK)
        bh_mistake_key(context, record, keys, ours, theirs, damaged, check);
}

static bool is_spf(bh_str text)
{
    return bh_str_starts_ci(text, BH_STR("v=spf1")) && (text.n == 6 || text.p[6] == ' ');
}

static bool has_word(bh_str words, bh_str word)
{
    while (words.n)
        if (bh_str_eq(bh_str_cut(words, ' ', &words), word))
            return true;
    return false;
}

/* What the evaluator found, nested includes and all. At first every address of ours has to pass; later one is enough,
 * since mail leaves only from those that do, and the owner is told about the others. */
static bool passes_enough(const struct bh_check_context *context)
{
    const struct bh_platform *platform = context->platform;
    size_t passing = 0;

    for (size_t i = 0; i < platform->egress_count; i++)
        passing += has_word(context->view->spf_passes, platform->egress[i]);
    return context->view->domain.can_send ? passing > 0 : passing && passing == platform->egress_count;
}

static void check_spf(struct bh_check_context *context, const struct bh_required_record *record,
                      const struct bh_seen *seen, struct bh_record_check *check)
{
    bh_str include = bh_platform_target(context->arena, context->platform, &context->view->domain.token, BH_STR("spf"));
    bh_str spf = {NULL, 0}, uncovered = {"", 0};
    size_t found = 0;

    for (size_t i = 0; i < seen->count; i++) {
        bh_str text = bh_txt_joined(context->arena, seen->rdatas[i]);

        if (text.p && is_spf(text)) {
            spf = text;
            found++;
        }
    }
    check->status = BH_RECORD_WRONG;
    if (found == 1 && (context->view->spf_known ? passes_enough(context)
                                                : bh_spf_covers(context->platform, spf, include, &uncovered)))
        check->status = BH_RECORD_OK;
    else if (found == 0)
        check->status = BH_RECORD_MISSING;
    if (check->status != BH_RECORD_OK)
        bh_mistake_spf(context, record, found, spf, include, check);
}

static void check_dmarc(struct bh_check_context *context, const struct bh_required_record *record,
                        const struct bh_seen *seen, struct bh_record_check *check)
{
    bool several;
    bh_str policy = one_policy(context->arena, seen, &several);

    check->status = several ? BH_RECORD_WRONG : policy.p ? BH_RECORD_OK : BH_RECORD_MISSING;
    if (check->status != BH_RECORD_OK)
        bh_mistake_dmarc(context, record, several, check);
}

/* The owner's record, with our address among its destinations. */
static void check_rua(struct bh_check_context *context, const struct bh_required_record *record,
                      const struct bh_seen *seen, struct bh_record_check *check)
{
    bh_str rua = bh_platform_rua(context->arena, context->platform, &context->view->domain.token);
    bool several;
    bh_str policy;

    check_dmarc(context, record, seen, check);
    if (check->status != BH_RECORD_OK)
        return;
    policy = one_policy(context->arena, seen, &several);
    if (rua.p && bh_dmarc_has_rua(policy, rua))
        return;
    check->status = BH_RECORD_WRONG;
    bh_mistake_no_rua(context, record, check);
}

static void check_content(struct bh_check_context *context, const struct bh_required_record *record,
                          const struct bh_seen *seen, struct bh_record_check *check)
{
    switch (record->match) {
    case BH_MATCH_DKIM:
        check_dkim(context, record, seen, check);
        break;
    case BH_MATCH_SPF:
        check_spf(context, record, seen, check);
        break;
    case BH_MATCH_DMARC:
        check_dmarc(context, record, seen, check);
        break;
    case BH_MATCH_RUA:
        check_rua(context, record, seen, check);
        break;
    case BH_MATCH_EXACT:
    default:
        check_exact(context, record, seen, check);
        break;
    }
}

/* Nothing is known while a question was not asked, not answered, or answered differently by different servers in a way
 * that one of them may still be catching up (the agreeing ones are a minority). */
static void check_record(struct bh_check_context *context, const struct bh_required_record *record, bool direct,
                         struct bh_record_check *ret_check)
{
    const struct bh_seen *seen = bh_check_seen(context->seen, context->seen_count, record->name, record->type, direct);
    struct bh_record_check check = {.status = BH_RECORD_UNKNOWN, .found = {"", 0}};

    if (!seen || seen->status == BH_DNS_TEMPFAIL || seen->status == BH_DNS_BADNAME) {
        bh_mistake_unknown(context, record, seen, &check);
    } else if (seen->status != BH_DNS_FOUND || !seen->count) {
        check.status = BH_RECORD_MISSING;
        bh_mistake_missing(context, record, &check);
    } else {
        check.found = found_text(context->arena, seen);
        check_content(context, record, seen, &check);
        if (seen->agreeing < seen->servers && check.status == BH_RECORD_OK)
            bh_mistake_some_servers(context, record, seen, &check);
    }
    if (seen) {
        check.servers = seen->servers;
        check.agreeing = seen->agreeing;
    }
    *ret_check = check;
}

/* ---- proofs ---- */

static void check_proof(struct bh_check_context *context, int proof, struct bh_check_result *result)
{
    struct bh_record_check *check = &result->proofs[proof];
    const struct bh_key *active = bh_view_active_key(context->view);
    struct bh_required_record record = {.type = BH_DNS_TXT,
                                        .match = proof == BH_PROOF_DKIM ? BH_MATCH_DKIM : BH_MATCH_SPF};
    bool carried = records_carry(result, mechanism_of(proof));

    if (!result->sends) {
        *check = (struct bh_record_check){.status = BH_RECORD_MISSING, .found = {"", 0}};
        return;
    }
    record.name = bh_check_proof_name(context->arena, context->platform, context->view, proof);
    *check = (struct bh_record_check){.status = BH_RECORD_MISSING, .found = {"", 0}};
    if (!record.name.n) { /* this mechanism cannot align here: that is known */
        result->known |= mechanism_of(proof);
        return;
    }
    record.value = proof == BH_PROOF_DKIM && active ? bh_key_record(context->arena, active) : BH_STR("v=spf1");
    if (carried) {
        check_record(context, &record, false, check);
        if (check->status == BH_RECORD_MISSING)
            bh_mistake_stale(context, check);
    } else {
        check->status = result->some_unknown ? BH_RECORD_UNKNOWN : BH_RECORD_MISSING;
    }
    if (check->status != BH_RECORD_UNKNOWN)
        result->known |= mechanism_of(proof);
    if (check->status == BH_RECORD_OK)
        result->aligned |= mechanism_of(proof);
}

/* ---- policies and the apex ---- */

static bh_err collect_policies(struct bh_check_context *context, struct bh_check_result *result)
{
    bh_str organisational = bh_domain_registrable(context->view->domain.name);

    result->policies = bh_arena_array(context->arena, ANCESTORS_MAX, sizeof(*result->policies));
    if (!result->policies)
        return BH_E_NOMEM;
    for (size_t i = 0; i < context->seen_count && result->policy_count < ANCESTORS_MAX; i++) {
        const struct bh_seen *seen = &context->seen[i];
        bh_str at = bh_str_skip(seen->name, 7);
        bool several;
        bh_str policy;

        if (seen->type != BH_DNS_TXT || !bh_str_starts_ci(seen->name, BH_STR("_dmarc.")))
            continue;
        policy = one_policy(context->arena, seen, &several);
        if (bh_str_eq_ci(at, organisational) && seen->status != BH_DNS_TEMPFAIL && !policy.p)
            result->no_org_policy = true;
        if (policy.p && !several)
            result->policies[result->policy_count++] = (struct bh_seen_policy){at, policy};
    }
    return BH_OK;
}

static bh_str seen_apex(struct bh_check_context *context)
{
    const struct bh_approach_ops *ops = bh_approach_ops(context->view->domain.approach);
    bh_str edited_at = ops->edited_at(&context->view->domain);
    const struct bh_seen *seen = bh_check_seen(context->seen, context->seen_count, edited_at, BH_DNS_SOA, true);

    return seen && seen->zone.n && bh_str_is_at_or_below(edited_at, seen->zone) ? seen->zone : (bh_str){"", 0};
}

static void count_required(struct bh_check_result *result)
{
    bool some_wrong = false;

    result->all_required = true;
    for (size_t i = 0; i < result->records.count; i++) {
        enum bh_record_status status = result->checks[i].status;

        if (result->records.records[i].purpose == BH_PURPOSE_DELEGATION) {
            result->delegated_to_us = result->delegated_to_us || status == BH_RECORD_OK;
            some_wrong = some_wrong || status != BH_RECORD_OK;
        }

        if (!result->records.records[i].required)
            continue;
        if (status == BH_RECORD_OK)
            result->some_required = true;
        else
            result->all_required = false;
        if (status == BH_RECORD_UNKNOWN)
            result->some_unknown = true;
    }
    result->delegated_to_us = result->delegated_to_us && !some_wrong;
}

/* True when something required is missing or wrong, and every authoritative server of it was asked and says so. */
static bool loss_is_unanimous(const struct bh_check_result *result)
{
    bool some = false;

    for (size_t i = 0; i < result->records.count; i++) {
        const struct bh_record_check *check = &result->checks[i];

        if (!result->records.records[i].required || check->status == BH_RECORD_OK)
            continue;
        if (check->status == BH_RECORD_UNKNOWN || !check->servers || check->agreeing < check->servers)
            return false;
        some = true;
    }
    return some;
}

/* What aligns is what a probe through the relay showed; a domain whose records are asked for shows it in DNS. */
static void take_probe(const struct bh_domain_view *view, struct bh_check_result *result)
{
    for (int proof = 0; proof < BH_PROOF_COUNT; proof++) {
        enum bh_mechanism mechanism = mechanism_of(proof);

        result->proofs[proof] = (struct bh_record_check){.status = view->probe.aligned & mechanism ? BH_RECORD_OK
                                                                   : view->probe.at                ? BH_RECORD_MISSING
                                                                                                   : BH_RECORD_UNKNOWN,
                                                         .found = {"", 0}};
    }
    result->known = view->probe.at ? BH_MECH_BOTH : BH_MECH_NONE;
    result->aligned = view->probe.aligned;
}

bh_err bh_check_evaluate(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_domain_view *view,
                         const struct bh_seen *seen, size_t seen_count, struct bh_check_result *ret_result)
{
    struct bh_domain_view now = *view; /* with the DMARC records as they are now */
    struct bh_check_context context = {arena, platform, &now, seen, seen_count, {"", 0}, NULL};
    struct bh_check_result result = {.zone_apex = {"", 0}};
    const struct bh_approach_ops *ops = bh_approach_ops(view->domain.approach);
    bh_err err = collect_policies(&context, &result);

    if (!err && result.policy_count) {
        now.policies = result.policies;
        now.policy_count = result.policy_count;
    }
    if (!err)
        err = bh_required_records(arena, platform, &now, &result.records);

    if (err)
        return err;
    result.checks = bh_arena_array(arena, result.records.count + 1, sizeof(*result.checks));
    if (!result.checks)
        return BH_E_NOMEM;
    result.zone_apex = context.apex = seen_apex(&context);
    context.records = &result.records;
    for (size_t i = 0; i < result.records.count; i++)
        check_record(&context, &result.records.records[i], true, &result.checks[i]);
    count_required(&result);
    result.loss_is_unanimous = loss_is_unanimous(&result);
    result.sends = ops->sends;
    if (ops->proven_by_probe)
        take_probe(view, &result);
    for (int proof = 0; !ops->proven_by_probe && proof < BH_PROOF_COUNT; proof++)
        check_proof(&context, proof, &result);
    bh_check_problems(&context, &result);
    *ret_result = result;
    return BH_OK;
}
