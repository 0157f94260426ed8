/* keys.c: see keys.h.
 *
 *   due ─▶ next step ─┬─ none: the duty gets its next time
 *            ▲        ├─ publish, trust, switch, blank, withdraw: one transaction ─┐
 *            │        └─ make (keyd), look (steward), ask use (queued): later ─────┤
 *            └─────────────────────────────────────────────────────────────────────┘
 *
 * Only domains in hand are in memory, at most RUNNING_MAX; of these MAKING_MAX may wait for keyd, since a new RSA key
 * costs it some 100 ms: signatures come first. A step that cannot be done now (a role is away) is tried again after
 * RETRY_MS. */
#include "keys.h"
#include "domain/key_proof.h"
#include "roles/grant.h"
#include <stdlib.h>

enum {
    RUNNING_MAX = 64,
    MAKING_MAX = 2,
    ARENA_BYTES = 4 << 20,
    STEPS_MAX = 32, /* at once for one domain */
    RETRY_MS = 5000,
    BUSY_MS = 200,
    WANTED_MS = 1000,
    IDLE_MS = 60 * 1000,
    DAY_MS = 24 * 3600 * 1000,
    JUMP_MS = 30 * 60 * 1000, /* between two wakes, which are IDLE_MS apart at most */
    REVOKED_MAX = 10000,
    CUSTOMER_TTL_MS = 3600 * 1000 /* of records that a customer publishes: what he is asked for */
};

struct keeping {
    struct bh_list node;
    struct bh_controld *core;
    int64_t domain;
    struct bh_arena *arena;
    struct bh_domain_view view;
    struct bh_key_wish wish;
    struct bh_key_step step;
    struct bh_key key; /* that the step is about */
    struct bh_seen seen[BH_KEY_QUESTIONS_MAX];
    size_t question_count, pending;
    bool asking, making, touched;
};

#define KEEPING_OF(node_) BH_CONTAINER_OF((node_), struct keeping, node)

struct bh_key_policy bh_keys_policy(const struct bh_controld *core, const struct bh_domain *domain,
                                    const struct bh_key_wish *wish)
{
    const struct bh_approach_ops *ops = bh_approach_ops(domain->approach);
    struct bh_key_policy policy = core->key_policy;

    policy.ttl_ms = (int64_t)core->platform.ttl_s * 1000;
    policy.negative_ttl_ms = (int64_t)bh_zone_negative_ttl_s(&core->platform) * 1000;
    policy.rsa_slots = ops ? ops->rsa_slots : 0;
    policy.ed25519_slots = ops ? ops->ed25519_slots : 0;
    policy.by_customer = ops && ops->keys_by_customer;
    policy.may_rotate =
        domain->state == BH_DOMAIN_VERIFIED || domain->state == BH_DOMAIN_DEGRADED || (ops && !ops->open_to_customers);
    policy.hold_until = core->keys_hold_until;
    policy.spread = (uint64_t)domain->id * UINT64_C(0x9E3779B97F4A7C15) >> 32;
    if (policy.by_customer)
        policy.ttl_ms = policy.negative_ttl_ms = CUSTOMER_TTL_MS;
    if (policy.by_customer && wish->period_ms < 0)
        policy.period_ms = 0;
    return policy;
}

bh_err bh_keys_store(struct bh_controld *core, const struct bh_domain *domain, const struct bh_key *key,
                     const char *what, bh_str detail)
{
    bh_err err = bh_key_update(core->store, key);

    if (!err && what)
        err = bh_key_event_insert(core->store, domain->id, bh_controld_now(core), key->id, bh_str_c(what), detail);
    return err;
}

void bh_keys_changed(struct bh_controld *core, const struct bh_domain *domain, bool signs)
{
    bh_publish_keys(core, domain);
    if (signs)
        bh_controld_changed(core);
}

/* A core without the rest of behalf around it (tests of other parts) has no such order. */
static void order_wake(struct bh_controld *core, int64_t in_ms)
{
    if (core->out->wake_keys)
        core->out->wake_keys(core->out_ctx, in_ms);
}

/* ---- the end of a turn for a domain ---- */

static void end_keeping(struct keeping *keeping, bh_time_ms due_at)
{
    struct bh_controld *core = keeping->core;
    bh_time_ms now = bh_controld_now(core);

    if (keeping->touched)
        due_at = now;
    else if (due_at > now + DAY_MS) /* the clock may jump, the configuration change: once a day is cheap */
        due_at = now + DAY_MS - (int64_t)bh_random_below(core->random, DAY_MS / 4);
    if (bh_key_due_set(core->store, keeping->domain, due_at))
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot store when a key is due",
                       bh_str_c(bh_store_error(core->store)));
    bh_list_remove(&keeping->node);
    core->keeping_count--;
    if (keeping->making)
        core->keys_making--;
    bh_arena_free(keeping->arena);
    free(keeping);
    order_wake(core, due_at - now < BUSY_MS ? BUSY_MS : due_at - now);
}

static void log_key(const struct keeping *keeping, const char *what)
{
    struct bh_controld *core = keeping->core;
    bh_str about = bh_arena_printf(keeping->arena, "%.*s._domainkey.%.*s", BH_FMT(keeping->key.selector),
                                   BH_FMT(keeping->view.domain.name));

    core->out->log(core->out_ctx, BH_LOG_INFO, what, about);
}

/* ---- steps that are done at once ---- */

static bh_err store_step(struct keeping *keeping, const struct bh_key *old)
{
    struct bh_controld *core = keeping->core;
    const struct bh_domain *domain = &keeping->view.domain;
    bh_err err = BH_OK;

    bh_store_begin(core->store);
    if (old)
        err = bh_keys_store(core, domain, old, "retiring", BH_STR(""));
    if (!err && old)
        err = bh_key_entered(core, keeping->arena, domain, old, BH_STR(""));
    if (!err && keeping->step.key)
        err = bh_keys_store(core, domain, &keeping->key, bh_key_state_name(keeping->key.state), BH_STR(""));
    if (!err && keeping->step.key)
        err = bh_key_entered(core, keeping->arena, domain, &keeping->key, BH_STR(""));
    if (err) {
        bh_store_rollback(core->store);
        return err;
    }
    return bh_store_commit_wait(core->store);
}

static bh_err switch_keys(struct keeping *keeping)
{
    struct bh_controld *core = keeping->core;
    struct bh_key old;
    bool forced = keeping->step.old && keeping->step.old->revoke_at;
    bh_err err;

    if (keeping->step.old) {
        old = *keeping->step.old;
        old.state = BH_KEY_RETIRING;
        old.state_at = bh_controld_now(core);
        old.asked_at = old.unused_at = 0;
    }
    err = store_step(keeping, keeping->step.old ? &old : NULL);
    if (err)
        return err;
    bh_controld_changed(core);
    return forced && bh_keys_tell_revoked(core, NULL, NULL) == BH_E_NOMEM ? BH_E_NOMEM : BH_OK;
}

static bh_err enter(struct keeping *keeping, enum bh_key_state state)
{
    bool signed_before = keeping->key.state == BH_KEY_ACTIVE;
    bh_err err;

    keeping->key.state = state;
    keeping->key.state_at = bh_controld_now(keeping->core);
    if (state == BH_KEY_PUBLISHED)
        keeping->key.asked_at = 0;
    if (state == BH_KEY_REVOKED)
        keeping->key.revoke_at = keeping->key.state_at;
    if (keeping->step.act == BH_KEY_ACT_SWITCH)
        err = switch_keys(keeping);
    else
        err = store_step(keeping, NULL);
    if (err)
        return err;
    log_key(keeping, bh_key_state_name(state));
    if (state == BH_KEY_PUBLISHED || state == BH_KEY_REVOKED || state == BH_KEY_WITHDRAWN)
        bh_keys_changed(keeping->core, &keeping->view.domain, signed_before);
    return BH_OK;
}

static void run(struct keeping *keeping);

/* ---- making ---- */

static bh_err store_made(struct keeping *keeping, const struct bh_msg_key_reply *reply)
{
    struct bh_controld *core = keeping->core;
    struct bh_key *key = &keeping->key;
    bool damaged;
    int64_t id;
    bh_err err;

    if (!reply->ok)
        return BH_E_CRYPTO;
    err = bh_key_record_public(keeping->arena, reply->public_record, &key->public_b64, &damaged);
    if (err)
        return err;
    key->kind = (enum bh_key_kind)reply->algorithm;
    key->sealed = reply->sealed;
    key->state = BH_KEY_CREATED;
    key->created_at = bh_controld_now(core);
    bh_store_begin(core->store);
    err = bh_key_insert(core->store, keeping->domain, key, &id);
    if (!err)
        err = bh_key_event_insert(core->store, keeping->domain, key->created_at, id, BH_STR("created"), BH_STR(""));
    if (!err)
        err = bh_key_entered(core, keeping->arena, &keeping->view.domain, key, BH_STR(""));
    if (err) {
        bh_store_rollback(core->store);
        return err;
    }
    return bh_store_commit_wait(core->store);
}

static void on_made(void *ctx, bh_err err, const struct bh_msg_key_reply *reply)
{
    struct keeping *keeping = ctx;

    keeping->making = false;
    keeping->core->keys_making--;
    if (!err)
        err = store_made(keeping, reply);
    if (err) {
        keeping->core->out->log(keeping->core->out_ctx, BH_LOG_WARN, "cannot make a key; trying again",
                                bh_str_c(bh_err_text(err)));
        end_keeping(keeping, bh_controld_now(keeping->core) + RETRY_MS);
        return;
    }
    run(keeping);
}

/* While keyd has more to make than it can, domains without a spare come before those with one: otherwise who is asked
 * for first fills up, and is exchanged again, before others get their next key. */
static bool may_make(const struct keeping *keeping)
{
    struct bh_controld *core = keeping->core;
    bh_time_ms now = bh_controld_now(core);
    unsigned at_hand = 0;

    for (size_t i = 0; i < keeping->view.key_count; i++) {
        const struct bh_key *key = &keeping->view.keys[i];

        at_hand += (key->kind == BH_KIND_ED25519) == (keeping->step.kind == BH_KIND_ED25519) &&
                   (key->state == BH_KEY_ACTIVE || key->state == BH_KEY_SEEN || key->state == BH_KEY_PUBLISHED);
    }
    if (at_hand > 1)
        return core->keys_making < MAKING_MAX && (core->keys_wanted_at > now || core->keys_wanted_at + WANTED_MS < now);
    if (core->keys_making < MAKING_MAX)
        return true;
    core->keys_wanted_at = now;
    return false;
}

static bh_err make(struct keeping *keeping)
{
    struct bh_controld *core = keeping->core;
    const struct bh_domain *domain = &keeping->view.domain;
    struct bh_key_order order = {.algorithm = (uint8_t)keeping->step.kind,
                                 .customer_id = (uint32_t)domain->customer_id,
                                 .key_id = core->next_key_id,
                                 .domain = domain->name,
                                 .selector = keeping->step.selector,
                                 .fd = -1};
    bh_err err;

    if (!may_make(keeping))
        return BH_E_AGAIN;
    keeping->key = (struct bh_key){.id = (int64_t)core->next_key_id++, .selector = keeping->step.selector};
    keeping->making = true;
    core->keys_making++;
    err = core->out->make_key(core->out_ctx, &order, on_made, keeping);
    if (err) {
        keeping->making = false;
        core->keys_making--;
    }
    return err;
}

/* ---- answers that took their time ---- */

/* Meanwhile the key may have been revoked, or exchanged by a revocation, or its domain removed: then what was learned
 * of it is dropped, and the turn begins again. True: `keeping->key` is as the store has it. */
static bool is_as_it_was(struct keeping *keeping)
{
    struct bh_key *keys;
    size_t count;

    if (bh_key_list(keeping->core->store, keeping->arena, keeping->domain, false, &keys, &count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (keys[i].id == keeping->key.id)
            return keys[i].state == keeping->key.state && keys[i].state_at == keeping->key.state_at &&
                   keys[i].revoke_at == keeping->key.revoke_at;
    return false;
}

/* ---- looking ---- */

static void conclude_look(struct keeping *keeping)
{
    struct bh_controld *core = keeping->core;
    enum bh_key_state before = keeping->key.state;
    bool was_seen = keeping->key.seen_at != 0;
    bh_str why = BH_STR("");
    int proof = bh_key_proof(keeping->arena, &core->platform, &keeping->view, &keeping->key, keeping->seen,
                             keeping->question_count, &why);
    const char *what = NULL;
    bh_err err;

    if (!is_as_it_was(keeping)) {
        run(keeping);
        return;
    }
    bh_key_looked(&keeping->key, proof, bh_controld_now(core));
    if (proof > 0 && !was_seen)
        what = "answered by every name server";
    else if (proof < 0 && was_seen)
        what = "missing";
    bh_store_begin(core->store);
    err = bh_keys_store(core, &keeping->view.domain, &keeping->key, what, why);
    if (!err && before != keeping->key.state)
        err = bh_key_entered(core, keeping->arena, &keeping->view.domain, &keeping->key, why);
    if (err)
        bh_store_rollback(core->store);
    else
        err = bh_store_commit_wait(core->store);
    if (!err && before != keeping->key.state)
        core->out->log(core->out_ctx, BH_LOG_WARN, "a key that was ready is missing in DNS", why);
    if (err)
        end_keeping(keeping, bh_controld_now(core) + RETRY_MS);
    else
        run(keeping);
}

struct question {
    struct keeping *keeping;
    size_t at;
};

static void on_seen(void *ctx, bh_err err, const struct bh_msg_dns_ask_reply *reply)
{
    struct question *question = ctx;
    struct keeping *keeping = question->keeping;
    struct bh_seen *seen = &keeping->seen[question->at];

    if (!err)
        err = bh_seen_merge(keeping->arena, reply->views, seen);
    if (err || !seen->servers)
        seen->status = BH_DNS_TEMPFAIL;
    if (--keeping->pending == 0 && !keeping->asking)
        conclude_look(keeping);
}

static bh_err look(struct keeping *keeping)
{
    struct bh_controld *core = keeping->core;
    struct bh_check_question questions[BH_KEY_QUESTIONS_MAX];
    bh_err err = bh_key_questions(keeping->arena, &core->platform, &keeping->view, &keeping->key, questions,
                                  &keeping->question_count);

    keeping->asking = true;
    for (size_t i = 0; !err && i < keeping->question_count; i++) {
        struct bh_msg_dns_ask ask = {questions[i].name, questions[i].type, questions[i].direct};
        struct question *question = bh_arena_alloc(keeping->arena, sizeof(*question));

        keeping->seen[i] = (struct bh_seen){.name = questions[i].name,
                                            .type = questions[i].type,
                                            .direct = true,
                                            .status = BH_DNS_TEMPFAIL,
                                            .why = BH_STR("")};
        if (!question) {
            err = BH_E_NOMEM;
            break;
        }
        *question = (struct question){keeping, i};
        keeping->pending++;
        if (core->out->ask_dns(core->out_ctx, &ask, on_seen, question))
            keeping->pending--; /* stays unknown */
    }
    keeping->asking = false;
    if (err && !keeping->pending)
        return err;
    if (!keeping->pending)
        conclude_look(keeping);
    return BH_OK;
}

/* ---- asking queued ---- */

static void take_use(struct keeping *keeping, const struct bh_msg_key_use_reply *reply)
{
    struct bh_key *key = &keeping->key;
    struct bh_cur list = bh_cur_make(reply->keys);
    struct bh_rec_key_use use;

    if (!reply->settled || bh_rec_key_use_next(&list, &use) != BH_MORE || use.key_id != (uint64_t)key->id)
        return;
    if (use.signed_at > key->signed_at)
        key->signed_at = use.signed_at;
    /* a sender that died with an earlier queued may have signed until then */
    if (key->state_at + BH_GRANT_LIFE_MS > reply->started_at && reply->started_at > key->state_at &&
        reply->started_at > key->signed_at)
        key->signed_at = reply->started_at;
    if (!use.in_hand)
        key->unused_at = bh_controld_now(keeping->core);
}

static void on_use(void *ctx, bh_err err, const struct bh_msg_key_use_reply *reply)
{
    struct keeping *keeping = ctx;
    struct bh_controld *core = keeping->core;

    if (!is_as_it_was(keeping)) {
        run(keeping);
        return;
    }
    keeping->key.asked_at = bh_controld_now(core);
    if (!err)
        take_use(keeping, reply);
    bh_store_begin(core->store);
    err = bh_keys_store(core, &keeping->view.domain, &keeping->key, NULL, BH_STR(""));
    if (err)
        bh_store_rollback(core->store);
    else
        err = bh_store_commit_wait(core->store);
    if (err)
        end_keeping(keeping, bh_controld_now(core) + RETRY_MS);
    else
        run(keeping);
}

/* ---- the turn of a domain ---- */

/* BH_OK: done, or begun (then *ret_later). BH_E_AGAIN: too much is in hand. */
static bh_err do_step(struct keeping *keeping, bool *ret_later)
{
    struct bh_controld *core = keeping->core;

    *ret_later = true;
    switch (keeping->step.act) {
    case BH_KEY_ACT_MAKE:
        return make(keeping);
    case BH_KEY_ACT_LOOK:
        return look(keeping);
    case BH_KEY_ACT_ASK_USE:
        return core->out->key_use(core->out_ctx, (uint64_t)keeping->key.id, on_use, keeping);
    case BH_KEY_ACT_PUBLISH:
    case BH_KEY_ACT_TRUST:
    case BH_KEY_ACT_SWITCH:
    case BH_KEY_ACT_BLANK:
    case BH_KEY_ACT_WITHDRAW:
    case BH_KEY_ACT_NONE:
    default:
        break;
    }
    *ret_later = false;
    if (keeping->step.act == BH_KEY_ACT_SWITCH && !keeping->step.key)
        return switch_keys(keeping);
    return enter(keeping, keeping->step.act == BH_KEY_ACT_PUBLISH  ? BH_KEY_PUBLISHED
                          : keeping->step.act == BH_KEY_ACT_TRUST  ? BH_KEY_SEEN
                          : keeping->step.act == BH_KEY_ACT_SWITCH ? BH_KEY_ACTIVE
                          : keeping->step.act == BH_KEY_ACT_BLANK  ? BH_KEY_REVOKED
                                                                   : BH_KEY_WITHDRAWN);
}

static bh_err plan(struct keeping *keeping)
{
    struct bh_controld *core = keeping->core;
    struct bh_key_policy policy;
    bh_err err;

    bh_arena_reset(keeping->arena);
    err = bh_controld_view(core, keeping->arena, keeping->domain, false, &keeping->view);
    if (!err)
        err = bh_key_wish_get(core->store, keeping->domain, &keeping->wish);
    if (err)
        return err;
    policy = bh_keys_policy(core, &keeping->view.domain, &keeping->wish);
    err = bh_key_next_step(keeping->arena, keeping->view.keys, keeping->view.key_count, &keeping->view.domain.labels,
                           &policy, &keeping->wish, bh_controld_now(core), &keeping->step);
    if (!err && keeping->step.key)
        keeping->key = *keeping->step.key;
    return err;
}

/* Names of a domain that the customer has not set up are not asked for: its first check comes back to us. */
static bool is_idle(const struct keeping *keeping)
{
    const struct bh_domain *domain = &keeping->view.domain;
    const struct bh_approach_ops *ops = bh_approach_ops(domain->approach);

    return keeping->step.act == BH_KEY_ACT_LOOK && ops && ops->open_to_customers &&
           (domain->state == BH_DOMAIN_PENDING || domain->state == BH_DOMAIN_PARTIAL);
}

static void run(struct keeping *keeping)
{
    struct bh_controld *core = keeping->core;
    bool later = false;
    bh_err err = BH_OK;

    for (unsigned i = 0; i < STEPS_MAX; i++) {
        err = plan(keeping);
        if (err)
            break;
        if (keeping->step.act == BH_KEY_ACT_NONE || is_idle(keeping)) {
            end_keeping(keeping, keeping->step.act == BH_KEY_ACT_NONE ? keeping->step.again_at : INT64_MAX);
            return;
        }
        err = do_step(keeping, &later); /* where it was begun, `keeping` may be gone already */
        if (!err && later)
            return;
        if (err)
            break;
    }
    if (err && bh_err_class(err) != BH_CLASS_TEMP && err != BH_E_NOT_FOUND)
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot look after a domain's keys", bh_str_c(bh_err_text(err)));
    end_keeping(keeping,
                err == BH_E_NOT_FOUND ? INT64_MAX : bh_controld_now(core) + (err == BH_E_AGAIN ? BUSY_MS : RETRY_MS));
}

/* ---- starting ---- */

static struct keeping *find_keeping(struct bh_controld *core, int64_t domain)
{
    BH_LIST_EACH (node, &core->keepings)
        if (KEEPING_OF(node)->domain == domain)
            return KEEPING_OF(node);
    return NULL;
}

static void keep(struct bh_controld *core, int64_t domain)
{
    struct keeping *keeping = calloc(1, sizeof(*keeping));

    if (!keeping || !(keeping->arena = bh_arena_new(ARENA_BYTES))) {
        free(keeping);
        return;
    }
    keeping->core = core;
    keeping->domain = domain;
    bh_list_push(&core->keepings, &keeping->node);
    core->keeping_count++;
    run(keeping);
}

void bh_keys_touch(struct bh_controld *core, int64_t domain)
{
    struct keeping *keeping = find_keeping(core, domain);

    if (keeping)
        keeping->touched = true;
    else if (bh_key_due_set(core->store, domain, bh_controld_now(core)))
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot store when a key is due",
                       bh_str_c(bh_store_error(core->store)));
    order_wake(core, 0);
}

/* Set back, the clock leaves duties in a future that is far away: none is more than a day ahead otherwise. Set forward,
 * it would end receivers' delays early. */
static void mind_clock(struct bh_controld *core, bh_time_ms now)
{
    bh_time_ms last = core->keys_woken_at;

    core->keys_woken_at = now;
    if (last && now > last + JUMP_MS) {
        core->keys_hold_until = now + core->key_policy.receiver_delay_ms;
        core->out->log(core->out_ctx, BH_LOG_WARN, "the clock was set forward, or we slept: no key is withdrawn early",
                       BH_STR("keys"));
    }
    if ((!last || now < last) && bh_key_due_back(core->store, now, now + 2 * (bh_time_ms)DAY_MS))
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot store when keys are due",
                       bh_str_c(bh_store_error(core->store)));
}

void bh_keys_wake(struct bh_controld *core)
{
    uint64_t ids[RUNNING_MAX];
    size_t count = 0, room = core->keeping_count < RUNNING_MAX ? RUNNING_MAX - core->keeping_count : 0;
    bh_time_ms now = bh_controld_now(core), next = INT64_MAX;
    bh_err err;

    mind_clock(core, now);
    err = room ? bh_key_due_list(core->store, now, ids, RUNNING_MAX, &count) : BH_OK;
    for (size_t i = 0; !err && i < count && core->keeping_count < RUNNING_MAX; i++)
        if (!find_keeping(core, (int64_t)ids[i]))
            keep(core, (int64_t)ids[i]);
    if (!err)
        err = bh_key_due_next(core->store, now, &next);
    if (err)
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot find the keys that are due",
                       bh_str_c(bh_store_error(core->store)));
    if (count == RUNNING_MAX || !room)
        next = now + BUSY_MS; /* more wait than are in hand */
    if (next - now > IDLE_MS)
        next = now + IDLE_MS;
    order_wake(core, next - now < BUSY_MS ? BUSY_MS : next - now);
}

bh_err bh_keys_tell_revoked(struct bh_controld *core, bh_told *done, void *ctx)
{
    uint64_t *ids = calloc(REVOKED_MAX, sizeof(*ids));
    size_t count = 0;
    bh_err err =
        ids ? bh_key_list_revoked(core->store, bh_controld_now(core) - 2 * BH_GRANT_LIFE_MS, ids, REVOKED_MAX, &count)
            : BH_E_NOMEM;

    if (!err)
        err = core->out->revoke_keys(core->out_ctx, ids, count, done, ctx);
    free(ids);
    return err;
}

void bh_keys_free(struct bh_controld *core)
{
    for (struct bh_list *node; (node = bh_list_first(&core->keepings));) {
        bh_list_remove(node);
        bh_arena_free(KEEPING_OF(node)->arena);
        free(KEEPING_OF(node));
    }
}
