/* checker.c: checks of domains: asking, evaluating, storing, and when to look again.
 *
 *   due or asked for ─▶ round 0: records, directly ─▶ round 1: proofs and likely mistakes ─▶ evaluate ─▶ store
 *
 * The steward asks the questions; domain/check.h knows which, and what the answers mean. One check per domain runs at
 * a time; who asks for the same one joins it. A domain whose name several customers claim by delegation is served with
 * the zone of the one whose records stand at the parent: the parent's name servers tell, since they carry the token. */
#include "canary.h"
#include "change.h"
#include "core.h"
#include "domain/check.h"
#include "domain/check_internal.h"
#include "egress.h"
#include "flatten.h"
#include "keys.h"
#include "notice.h"
#include "report.h"
#include <behalf/spf.h>
#include <stdlib.h>

enum {
    RUNNING_MAX = 64,
    SHARE = RUNNING_MAX / BH_DUE_NOT_OF_MAX, /* of one customer, where others need the rest */
    RESERVE = SHARE,
    ARENA_BYTES = 8 << 20,
    SEEN_MAX = 128,
    WAITERS_MAX = 32,
    IDLE_MS = 60 * 1000,
    AFTER_CLAIM_MS = 1000,
    AFTER_FAILURE_MS = 15 * 60 * 1000
};

struct waiter {
    bh_check_done *done;
    void *ctx;
};

struct check {
    struct bh_list node;
    struct bh_controld *core;
    int64_t domain;
    struct bh_arena *arena;
    struct bh_domain_view view;
    struct bh_platform platform; /* with the addresses that its mail leaves from */
    bool covered;                /* the owner's SPF was evaluated, or need not be */
    bh_str spf_record;           /* it; empty = none */
    unsigned round;
    struct bh_seen *seen;
    size_t seen_count;
    struct bh_change_watch watch; /* records that a planned change waits for */
    size_t pending;               /* questions on their way */
    bool asking;                  /* inside the loop that asks: answers may come at once */
    bool claimed;                 /* its zone is served from now on … */
    bh_time_ms resume_at;         /* … and round 1 waits until then; 0: it does not */
    struct waiter waiters[WAITERS_MAX];
    size_t waiter_count;
};

#define CHECK_OF(node_) BH_CONTAINER_OF((node_), struct check, node)

/* A question on its way: it holds the check, which cannot end before all are answered. */
struct question {
    struct check *check;
    size_t at; /* in check->seen */
};

static void end_check(struct check *check, bh_err err)
{
    struct bh_controld *core = check->core;

    bh_list_remove(&check->node);
    core->check_count--;
    for (size_t i = 0; i < check->waiter_count; i++)
        check->waiters[i].done(check->waiters[i].ctx, err);
    bh_arena_free(check->arena);
    free(check);
}

/* ---- answers ---- */

/* Rdata in canonical order, so that servers that rotate their answers agree. */
static bh_err take_rdatas(struct bh_arena *arena, bh_str list, struct bh_seen *seen)
{
    struct bh_cur cur = bh_cur_make(list);
    struct bh_rec_dns_rdata rdata;
    bh_str *rdatas = bh_arena_array(arena, 64, sizeof(*rdatas));
    size_t count = 0;
    bh_err err;

    if (!rdatas)
        return BH_E_NOMEM;
    while ((err = bh_rec_dns_rdata_next(&cur, &rdata)) == BH_MORE && count < 64) {
        bh_str copy = bh_arena_dup(arena, rdata.rdata);
        size_t at = count++;

        if (!copy.p)
            return BH_E_NOMEM;
        for (; at > 0 && bh_str_cmp(rdatas[at - 1], copy) > 0; at--)
            rdatas[at] = rdatas[at - 1];
        rdatas[at] = copy;
    }
    seen->rdatas = rdatas;
    seen->count = count;
    return err == BH_DONE || count == 64 ? BH_OK : err;
}

static bool same_answer(const struct bh_seen *a, const struct bh_seen *b)
{
    if (a->status != b->status || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!bh_str_eq(a->rdatas[i], b->rdatas[i]))
            return false;
    return true;
}

static unsigned worth(enum bh_dns_status status)
{
    return status == BH_DNS_FOUND ? 3 : status == BH_DNS_NODATA ? 2 : status == BH_DNS_NXDOMAIN ? 1 : 0;
}

static void note_odd(struct bh_seen *seen, bh_str server, bh_str why)
{
    if (seen->odd.n)
        return;
    seen->odd = server;
    seen->odd_why = why;
}

/* Several servers to one answer: what any of them found counts as found, and how many say so is kept. */
bh_err bh_seen_merge(struct bh_arena *arena, bh_str views, struct bh_seen *seen)
{
    struct bh_cur cur = bh_cur_make(views);
    struct bh_rec_dns_server_view view;
    bh_str server = {"", 0}, first_why = {"", 0};
    bh_err err;

    while ((err = bh_rec_dns_server_view_next(&cur, &view)) == BH_MORE) {
        struct bh_seen one = {.status =
                                  view.status <= BH_DNS_BADNAME ? (enum bh_dns_status)view.status : BH_DNS_TEMPFAIL};

        if (take_rdatas(arena, view.rdatas, &one))
            return BH_E_SYNTAX;
        seen->servers++;
        if (view.ttl_s > seen->ttl_s)
            seen->ttl_s = view.ttl_s;
        if (seen->servers > 1 && same_answer(seen, &one)) {
            seen->agreeing++;
        } else if (seen->servers == 1 || worth(one.status) > worth(seen->status)) {
            seen->status = one.status;
            seen->rdatas = one.rdatas;
            seen->count = one.count;
            seen->agreeing = 1;
            if (seen->servers > 1)
                note_odd(seen, server, first_why);
            server = bh_arena_dup(arena, view.server);
            first_why = seen->why = bh_arena_dup(arena, view.why);
            seen->zone = bh_arena_dup(arena, view.zone);
        } else {
            note_odd(seen, bh_arena_dup(arena, view.server), bh_arena_dup(arena, view.why));
        }
    }
    return err == BH_DONE ? BH_OK : err;
}

static void next_step(struct check *check);

static void on_answer(void *ctx, bh_err err, const struct bh_msg_dns_ask_reply *reply)
{
    struct question *question = ctx;
    struct check *check = question->check;
    struct bh_seen *seen = &check->seen[question->at];

    if (!err)
        err = bh_seen_merge(check->arena, reply->views, seen);
    if (err || !seen->servers) {
        seen->status = BH_DNS_TEMPFAIL;
        seen->why = err ? bh_str_c(bh_err_text(err)) : BH_STR("no name server could be found");
    }
    check->pending--;
    if (!check->pending && !check->asking)
        next_step(check);
}

/* ---- questions ---- */

static void ask(struct check *check, const struct bh_check_question *wanted)
{
    struct bh_controld *core = check->core;
    struct bh_msg_dns_ask message = {wanted->name, wanted->type, wanted->direct};
    struct question *question;
    struct bh_seen *seen;

    if (check->seen_count == SEEN_MAX)
        return;
    seen = &check->seen[check->seen_count];
    *seen = (struct bh_seen){.name = wanted->name,
                             .type = wanted->type,
                             .direct = wanted->direct,
                             .status = BH_DNS_TEMPFAIL,
                             .why = BH_STR("not asked yet")};
    question = bh_arena_alloc(check->arena, sizeof(*question));
    if (!question)
        return;
    *question = (struct question){check, check->seen_count++};
    check->pending++;
    if (core->out->ask_dns(core->out_ctx, &message, on_answer, question)) {
        seen->why = BH_STR("the steward is not running");
        check->pending--;
    }
}

static void ask_once(struct check *check, bh_str name, uint16_t type)
{
    if (!bh_check_seen(check->seen, check->seen_count, name, type, true))
        ask(check, &(struct bh_check_question){name, type, true});
}

static bh_err ask_round(struct check *check)
{
    struct bh_check_question *questions;
    size_t count;
    bh_err err = bh_check_questions(check->arena, &check->platform, &check->view, check->round, check->seen,
                                    check->seen_count, &questions, &count);

    if (err)
        return err;
    check->asking = true;
    for (size_t i = 0; i < count; i++)
        ask(check, &questions[i]);
    for (size_t i = 0; check->round == 0 && i < check->watch.count; i++)
        ask_once(check, check->watch.rows[i].item.name, check->watch.rows[i].item.type);
    check->asking = false;
    return BH_OK;
}

/* ---- the outcome ---- */

static bh_err store_policies(struct check *check, const struct bh_check_result *result)
{
    struct bh_store *store = check->core->store;
    bh_err err = bh_domain_policy_clear(store, check->domain);

    for (size_t i = 0; !err && i < result->policy_count; i++)
        err = bh_domain_policy_insert(store, check->domain, result->policies[i].at, result->policies[i].record);
    return err;
}

static bh_err write_outcome(struct check *check, const struct bh_check_result *result,
                            const struct bh_domain_outcome *outcome, bool is_news)
{
    struct bh_store *store = check->core->store;
    bool some_policy_unknown = false;
    bh_err err;

    for (size_t i = 0; i < check->seen_count; i++)
        if (check->seen[i].status == BH_DNS_TEMPFAIL && bh_str_starts(check->seen[i].name, BH_STR("_dmarc.")))
            some_policy_unknown = true;
    bh_store_begin(store);
    err = bh_domain_update_outcome(store, check->domain, outcome);
    if (!err && is_news)
        err = bh_domain_check_insert(store, check->domain, outcome->checked_at, outcome);
    if (!err)
        err = bh_from_domain_replace(store, check->domain, check->view.domain.name, outcome->zone_apex);
    if (!err && !some_policy_unknown)
        err = store_policies(check, result);
    if (!err)
        err = bh_change_watch_look(check->core, check->arena, &check->watch, check->seen, check->seen_count);
    if (err) {
        bh_store_rollback(store);
        return err;
    }
    return bh_store_commit_wait(store);
}

/* An apex opens names above the domain, so it counts only when the records with our token stand in that zone. */
static bh_str proven_apex(const struct check *check, const struct bh_check_result *result)
{
    return result->all_required && result->zone_apex.n ? result->zone_apex : check->view.domain.zone_apex;
}

static bh_err conclude(struct check *check)
{
    struct bh_controld *core = check->core;
    struct bh_domain *domain = &check->view.domain;
    struct bh_check_result result;
    struct bh_domain_standing standing;
    struct bh_domain_outcome outcome;
    uint64_t spread = bh_random_below(core->random, 1 << 16);
    int64_t failures = 0;
    bh_time_ms now = bh_controld_now(core);
    bh_err err =
        bh_check_evaluate(check->arena, &check->platform, &check->view, check->seen, check->seen_count, &result);

    if (err)
        return err;
    err = bh_canary_failures(core->store, check->domain, &failures);
    if (err)
        return err;
    result.canary_fails = core->canary_failures_max && failures >= core->canary_failures_max;
    standing = bh_domain_next(domain, &result, now, &core->check_policy);
    outcome = (struct bh_domain_outcome){.state = standing.state,
                                         .aligned = standing.aligned,
                                         .zone_apex = proven_apex(check, &result),
                                         .state_at = standing.state_at,
                                         .checked_at = now,
                                         .lost_at = standing.lost_at,
                                         .losses = standing.losses,
                                         .losing_at = standing.losing_at};
    err = bh_domain_tries(core->store, check->domain, &outcome.tries);
    if (err)
        return err;
    outcome.tries = standing.state == domain->state ? outcome.tries : 0;
    outcome.check_at = now + bh_check_again_in(&standing, &core->check_policy, (unsigned)outcome.tries, false, spread);
    outcome.check_at = bh_change_watch_again(&check->watch, now, outcome.check_at, spread);
    outcome.tries++;
    outcome.report = bh_report_of_check(check->arena, &check->view, &result);
    err =
        write_outcome(check, &result, &outcome, standing.state != domain->state || standing.aligned != domain->aligned);
    if (!err && check->view.spf_known)
        err = bh_spf_covered(core, check->arena, domain, check->spf_record, check->view.spf_passes,
                             standing.can_send && domain->bounces == BH_BOUNCES_CUSTOMER);
    if (!err)
        err = bh_canary_plan(core, check->domain, standing.can_send);
    if (!err)
        bh_standing_tell(core, domain, &standing, &result);
    if (!err && standing.state != domain->state)
        bh_keys_touch(core, check->domain);
    if (!err && (standing.state != domain->state || standing.aligned != domain->aligned))
        bh_controld_changed(core);
    return err;
}

/* ---- whose zone is served ---- */

/* Nobody's, until the name servers at the parent carry the token of one who asked for it: so a zone that is delegated
 * to another's names, or lies inside another's, is never answered for who merely added it. From that moment it is his,
 * and whoever held it before loses it with his records. */
static bh_err must_claim(struct check *check, bool *ret_must, int64_t *ret_holder)
{
    struct bh_controld *core = check->core;
    struct bh_check_result result;
    bh_err err;

    *ret_must = false;
    if (!bh_domain_has_zone(&check->view.domain))
        return BH_OK;
    err = bh_check_evaluate(check->arena, &check->platform, &check->view, check->seen, check->seen_count, &result);
    if (!err)
        err = bh_domain_zone_holder(core->store, check->view.domain.name, ret_holder);
    *ret_must = !err && result.delegated_to_us && *ret_holder != check->domain;
    return err;
}

struct inner {
    struct inner *next;
    int64_t id;
    bh_str name;
    bool is_removed;
};

struct inner_list {
    struct bh_arena *arena;
    struct inner *first;
    bool failed;
};

static void add_inner(void *ctx, int64_t id, bh_str name, bool is_removed)
{
    struct inner_list *list = ctx;
    struct inner *inner = bh_arena_alloc(list->arena, sizeof(*inner));
    bh_str copy = bh_arena_dup(list->arena, name);

    if (!inner || !copy.p) {
        list->failed = true;
        return;
    }
    *inner = (struct inner){list->first, id, copy, is_removed};
    list->first = inner;
}

/* From now on this zone is the parent of all below it. Another's zone inside was delegated by what stood here before;
 * served on, it would answer for itself and be found delegated for ever. Its next check asks the new parent: us. */
static bh_err drop_inner_zones(struct check *check, struct inner_list *ret_list)
{
    struct bh_store *store = check->core->store;
    const struct bh_domain *domain = &check->view.domain;
    struct inner_list list = {.arena = check->arena};
    bh_err err = bh_domain_zones_below(store, domain->name, domain->customer_id, add_inner, &list);

    if (!err && list.failed)
        err = BH_E_NOMEM;
    for (const struct inner *inner = list.first; !err && inner; inner = inner->next) {
        err = bh_domain_drop_zone(store, inner->id);
        if (!err && !inner->is_removed)
            err = bh_domain_update_check_at(store, inner->id, bh_controld_now(check->core), 0);
    }
    *ret_list = list;
    return err;
}

/* All or nothing, since it is done once. */
static bh_err store_claim(struct check *check, int64_t holder, struct inner_list *ret_inner)
{
    struct bh_store *store = check->core->store;
    bh_err err;

    bh_store_begin(store);
    err = bh_domain_hold_zone(store, check->view.domain.name, check->domain);
    if (!err)
        err = drop_inner_zones(check, ret_inner);
    if (!err && holder)
        err = bh_domain_update_check_at(store, holder, bh_controld_now(check->core), 0);
    if (!err)
        return bh_store_commit_wait(store);
    bh_store_rollback(store);
    return err;
}

static bh_err claim_zone(struct check *check, int64_t holder)
{
    struct bh_controld *core = check->core;
    struct inner_list inner_list = {0};
    bh_err err = store_claim(check, holder, &inner_list);

    if (err)
        return err;
    for (const struct inner *inner = inner_list.first; inner; inner = inner->next) {
        bh_publish_removed(core, inner->name);
        core->out->log(core->out_ctx, BH_LOG_INFO, "the zone ended: one above it went to another customer",
                       inner->name);
    }
    bh_publish_domain(core, &check->view.domain);
    bh_controld_event(core, BH_EVENT_DOMAIN_CLAIMED, check->view.domain.customer_id, check->domain,
                      json_pack("{s:o, s:b}", "domain",
                                json_stringn(check->view.domain.name.p, check->view.domain.name.n), "from_another",
                                holder != 0));
    core->out->log(core->out_ctx, BH_LOG_INFO, holder ? "the zone went to another customer" : "the zone is served",
                   check->view.domain.name);
    return BH_OK;
}

/* The zone goes out at the end of this turn; a moment later every name server of ours has it. */
static bh_err claim_and_pause(struct check *check, int64_t holder)
{
    struct bh_controld *core = check->core;

    check->resume_at = bh_controld_now(core) + AFTER_CLAIM_MS;
    core->out->wake(core->out_ctx, AFTER_CLAIM_MS);
    return claim_zone(check, holder);
}

static bh_err next_round(struct check *check)
{
    int64_t holder = 0;
    bool must = false;
    bh_err err = check->claimed ? BH_OK : must_claim(check, &must, &holder);

    if (err)
        return err;
    if (must) {
        check->claimed = true;
        return claim_and_pause(check, holder);
    }
    check->round++;
    return ask_round(check);
}

/* ---- the owner's SPF ---- */

static void on_covered(void *ctx, bool is_known, bh_str passes)
{
    struct check *check = ctx;

    check->view.spf_known = is_known;
    check->view.spf_passes = passes;
    check->pending--;
    if (!check->pending && !check->asking)
        next_step(check);
}

/* The SPF record at a name that the customer publishes himself, in the answers of round 0. */
static bh_str find_own_spf(struct check *check)
{
    struct bh_record_list records;
    const struct bh_seen *seen = NULL;

    if (bh_required_records(check->arena, &check->platform, &check->view, &records))
        return (bh_str){"", 0};
    for (size_t i = 0; i < records.count && !seen; i++)
        if (records.records[i].match == BH_MATCH_SPF)
            seen = bh_check_seen(check->seen, check->seen_count, records.records[i].name, BH_DNS_TXT, true);
    for (size_t i = 0; seen && i < seen->count; i++) {
        bh_str text = bh_txt_joined(check->arena, seen->rdatas[i]);

        if (text.p && bh_spf_is_record(text))
            return text;
    }
    return (bh_str){"", 0};
}

static void evaluate_spf(struct check *check)
{
    check->covered = true;
    check->spf_record = find_own_spf(check);
    if (!check->spf_record.n || !check->platform.egress_count)
        return;
    check->pending++;
    check->asking = true;
    bh_spf_cover(check->core, check->arena, check->view.domain.name, check->platform.egress,
                 check->platform.egress_count, on_covered, check);
    check->asking = false;
}

/* Answers that nothing can be made of, being too many or too large, are not asked for again at once. */
static void postpone(struct check *check)
{
    struct bh_controld *core = check->core;
    int64_t tries = 0;
    bh_err err = bh_domain_tries(core->store, check->domain, &tries);

    if (!err)
        err = bh_domain_update_check_at(core->store, check->domain, bh_controld_now(core) + AFTER_FAILURE_MS, tries);
    if (err && err != BH_E_NOT_FOUND)
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot postpone a check", check->view.domain.name);
}

static void next_step(struct check *check)
{
    bh_err err = BH_OK;

    if (!check->pending && !check->covered)
        evaluate_spf(check);
    while (!err && !check->pending && !check->resume_at && check->round + 1 < BH_CHECK_ROUNDS)
        err = next_round(check);
    if (!err && (check->pending || check->resume_at))
        return;
    if (!err)
        err = conclude(check);
    if (err) {
        check->core->out->log(check->core->out_ctx, BH_LOG_ERROR, bh_err_text(err), check->view.domain.name);
        postpone(check);
    }
    end_check(check, err);
}

/* Goes on with what paused; returns when the next of them does. */
static bh_time_ms resume_checks(struct bh_controld *core, bh_time_ms now)
{
    bh_time_ms next = INT64_MAX;

    BH_LIST_EACH (node, &core->checks) {
        struct check *check = CHECK_OF(node);

        if (check->resume_at > now && check->resume_at < next)
            next = check->resume_at;
        if (!check->resume_at || check->resume_at > now)
            continue;
        check->resume_at = 0;
        next_step(check);
    }
    return next;
}

/* ---- starting ---- */

static struct check *find_check(struct bh_controld *core, int64_t domain)
{
    BH_LIST_EACH (node, &core->checks)
        if (CHECK_OF(node)->domain == domain)
            return CHECK_OF(node);
    return NULL;
}

/* The addresses are views of what is loaded now, and a check outlives the next loading. */
static bh_err keep_egress(struct check *check)
{
    bh_str *own = bh_arena_array(check->arena, check->platform.egress_count + 1, sizeof(*own));

    for (size_t i = 0; own && i < check->platform.egress_count; i++) {
        own[i] = bh_arena_dup(check->arena, check->platform.egress[i]);
        if (!own[i].p)
            return BH_E_NOMEM;
    }
    check->platform.egress = own;
    return own ? BH_OK : BH_E_NOMEM;
}

static bh_err new_check(struct bh_controld *core, int64_t domain, struct check **ret_check)
{
    struct check *check = calloc(1, sizeof(*check));
    bh_err err = BH_E_NOMEM;

    if (!check)
        return BH_E_NOMEM;
    check->core = core;
    check->domain = domain;
    check->arena = bh_arena_new(ARENA_BYTES);
    if (check->arena)
        check->seen = bh_arena_array(check->arena, SEEN_MAX, sizeof(*check->seen));
    if (check->seen)
        err = bh_controld_view(core, check->arena, domain, false, &check->view);
    if (!err)
        err = bh_zone_keys_view(core, check->arena, &check->view);
    if (!err)
        err = bh_change_watch_load(core, check->arena, domain, &check->watch);
    if (!err) {
        check->platform = core->platform;
        err = bh_egress_relied(core, check->arena, &check->view.domain, check->view.domain.can_send,
                               &check->platform.egress, &check->platform.egress_count);
    }
    if (!err)
        err = keep_egress(check);
    if (err) {
        bh_arena_free(check->arena);
        free(check);
        return err;
    }
    bh_list_push(&core->checks, &check->node);
    core->check_count++;
    *ret_check = check;
    return BH_OK;
}

bh_err bh_check_domain(struct bh_controld *core, int64_t domain, bh_check_done *done, void *ctx)
{
    struct check *check = find_check(core, domain);
    bool is_new = !check;
    bh_err err = check ? BH_OK : new_check(core, domain, &check);

    if (!err && done && check->waiter_count == WAITERS_MAX)
        err = BH_E_LIMIT;
    if (err)
        return err;
    if (done)
        check->waiters[check->waiter_count++] = (struct waiter){done, ctx};
    if (!is_new)
        return BH_OK;
    err = ask_round(check);
    if (err || !check->pending) {
        check->asking = false;
        if (err)
            end_check(check, err);
        else
            next_step(check);
    }
    return BH_OK;
}

void bh_check_forget(struct bh_controld *core, void *ctx)
{
    BH_LIST_EACH (node, &core->checks) {
        struct check *check = CHECK_OF(node);
        size_t kept = 0;

        for (size_t i = 0; i < check->waiter_count; i++)
            if (check->waiters[i].ctx != ctx)
                check->waiters[kept++] = check->waiters[i];
        check->waiter_count = kept;
    }
}

/* ---- who is next ---- */

/* A customer whose name servers hang must not stop the checks of others: the last places are only for those who have
 * less than their share. */
static bool has_room(const struct bh_controld *core, int64_t customer)
{
    size_t running = 0;

    if (core->check_count < RUNNING_MAX - RESERVE)
        return true;
    BH_LIST_EACH (node, &core->checks)
        running += CHECK_OF(node)->view.domain.customer_id == customer;
    return core->check_count < RUNNING_MAX && running < SHARE;
}

struct due {
    struct {
        int64_t id, customer;
    } domains[RUNNING_MAX];
    size_t count;
};

static bool add_due(void *ctx, const struct bh_domain *domain)
{
    struct due *due = ctx;

    due->domains[due->count].id = domain->id;
    due->domains[due->count++].customer = domain->customer_id;
    return due->count < RUNNING_MAX;
}

/* Starts those of `due` for whom there is room; the first customer that has none is *ret_full. */
static void start_some(struct bh_controld *core, const struct due *due, int64_t *ret_full)
{
    *ret_full = 0;
    for (size_t i = 0; i < due->count && core->check_count < RUNNING_MAX; i++) {
        int64_t customer = due->domains[i].customer;

        if (find_check(core, due->domains[i].id))
            continue;
        if (has_room(core, customer))
            (void)!bh_check_domain(core, due->domains[i].id, NULL, NULL);
        else if (!*ret_full)
            *ret_full = customer;
    }
}

static bh_err start_due(struct bh_controld *core, bh_time_ms now)
{
    int64_t full[BH_DUE_NOT_OF_MAX] = {0};
    bh_err err = BH_OK;

    for (size_t i = 0; !err && i < BH_DUE_NOT_OF_MAX && core->check_count < RUNNING_MAX; i++) {
        struct due due = {.count = 0};

        err = bh_domain_list_due(core->store, now, RUNNING_MAX, full, add_due, &due);
        if (!err)
            start_some(core, &due, &full[i]);
        if (!full[i])
            break;
    }
    return err;
}

void bh_controld_wake(struct bh_controld *core)
{
    bh_time_ms now = bh_controld_now(core), next = INT64_MAX, resume = resume_checks(core, now);
    bh_time_ms egress = bh_egress_run(core), canaries = bh_canary_run(core), flats = bh_flatten_run(core);
    bh_err err;

    bh_tombstones_wake(core, now);
    core->notices_wait = false;
    bh_change_work(core);
    bh_notice_flush(core);
    err = start_due(core, now);
    if (!err)
        err = bh_domain_next_due(core->store, &next);
    if (err)
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot find the domains to check",
                       bh_str_c(bh_store_error(core->store)));
    next = egress < next ? egress : next;
    next = canaries < next ? canaries : next;
    next = flats < next ? flats : next;
    if (next - now > IDLE_MS)
        next = now + IDLE_MS;
    if (next - now < 1000) /* what could not be started now, or is due in a moment */
        next = now + 1000;
    if (resume < next)
        next = resume;
    core->out->wake(core->out_ctx, next - now);
}

void bh_check_free(struct bh_controld *core)
{
    /* Answers that are still on their way are ended by the connections before this is called. */
    for (struct bh_list *node; (node = bh_list_first(&core->checks));) {
        CHECK_OF(node)->waiter_count = 0;
        end_check(CHECK_OF(node), BH_E_CLOSED);
    }
}
