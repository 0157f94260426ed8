/* cmd_key.c: `behalf key`: looking at the keys of domains, and ordering what the schedule would not do. An order is
 * stored; keys.c does it. A revocation alone acts at once: it answers when keyd has said that it signs with the key no
 * more. */
#include "command.h"
#include "domain/key_proof.h"
#include "keys.h"
#include "report.h"

enum { WITHDRAWN_SHOWN = 100, GRACE_MAX_MS = 30 * 24 * 3600 * 1000LL };

/* ---- looking ---- */

static json_t *key_json(const struct bh_key *key)
{
    return json_pack("{s:I, s:o, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "id", (json_int_t)key->id, "selector",
                     bh_json_str(key->selector), "algorithm", bh_key_kind_name(key->kind), "state",
                     bh_key_state_name(key->state), "imported", key->imported, "created_at",
                     bh_json_time(key->created_at), "since", bh_json_time(key->state_at), "seen_at",
                     bh_json_time(key->seen_at), "last_signed_at", bh_json_time(key->signed_at), "revoked_at",
                     bh_json_time(key->revoke_at));
}

struct looking {
    struct bh_command *command;
    struct bh_domain_view view;
    struct bh_key_wish wish;
};

static bh_err read_domain(struct bh_command *command, int64_t domain, struct looking *ret_looking)
{
    bh_err err = bh_controld_view(command->core, command->arena, domain, false, &ret_looking->view);

    ret_looking->command = command;
    if (!err)
        err = bh_key_wish_get(command->core->store, domain, &ret_looking->wish);
    if (err == BH_E_NOT_FOUND) { /* no key was ever made */
        ret_looking->wish = (struct bh_key_wish){.period_ms = -1};
        err = BH_OK;
    }
    return err;
}

/* Of argument "domain"; false after ending the command. */
static bool take_domain(struct bh_command *command, struct looking *ret_looking)
{
    struct bh_domain domain;
    bh_err err;

    if (!bh_command_domain(command, &domain))
        return false;
    err = read_domain(command, domain.id, ret_looking);
    if (err)
        bh_command_fail_err(command, err, "cannot read the keys");
    return !err;
}

static json_t *domain_json(const struct looking *l)
{
    struct bh_key_policy policy = bh_keys_policy(l->command->core, &l->view.domain, &l->wish);
    const struct bh_key *active = bh_view_active_key(&l->view);
    bh_time_ms next = bh_key_rotation_at(active, &policy, &l->wish);
    int64_t period = l->wish.period_ms >= 0 ? l->wish.period_ms : policy.period_ms;
    json_t *keys = json_array();

    for (size_t i = 0; i < l->view.key_count; i++)
        (void)json_array_append_new(keys, key_json(&l->view.keys[i]));
    return json_pack("{s:o, s:o, s:s, s:o, s:I, s:b, s:b, s:o}", "domain", bh_json_str(l->view.domain.name), "customer",
                     bh_json_str(l->view.domain.customer), "approach", bh_approach_name(l->view.domain.approach),
                     "next_rotation_at", next == INT64_MAX ? json_null() : bh_json_time(next), "rotate_every_s",
                     (json_int_t)(period / 1000), "ed25519", l->wish.ed25519, "rotation_ordered",
                     active && l->wish.asked_at > active->state_at, "keys", keys);
}

struct listing {
    struct bh_arena *arena;
    int64_t *ids;
    size_t count, max;
};

static bool take_id(void *ctx, const struct bh_domain *domain)
{
    struct listing *listing = ctx;

    listing->ids[listing->count++] = domain->id;
    return listing->count < listing->max;
}

static void list_all(struct bh_command *command)
{
    struct bh_customer customer = {.id = 0};
    int64_t limit = bh_command_int(command, "limit", 100);
    struct listing listing = {.arena = command->arena, .max = limit < 1 ? 1 : limit > 1000 ? 1000 : (size_t)limit};
    json_t *list;
    bh_err err;

    if (bh_command_str(command, "customer").p && !bh_command_customer(command, "customer", &customer))
        return;
    listing.ids = bh_arena_array(command->arena, listing.max, sizeof(*listing.ids));
    err = listing.ids
              ? bh_domain_list(command->core->store, customer.id, BH_STR(""), (int64_t)listing.max, take_id, &listing)
              : BH_E_NOMEM;
    list = json_array();
    for (size_t i = 0; !err && i < listing.count; i++) {
        struct looking looking;

        err = read_domain(command, listing.ids[i], &looking);
        if (!err)
            (void)json_array_append_new(list, domain_json(&looking));
    }
    if (!err) {
        bh_command_done(command, list);
        return;
    }
    json_decref(list);
    bh_command_fail_err(command, err, "cannot read the keys");
}

void bh_keys_listed(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", "limit", NULL};
    struct looking looking;

    if (!bh_command_knows(command, known))
        return;
    if (!bh_command_str(command, "domain").p)
        list_all(command);
    else if (take_domain(command, &looking))
        bh_command_done(command, json_pack("[o]", domain_json(&looking)));
}

static const struct bh_key *find_key(const struct looking *l, bh_str selector)
{
    for (size_t i = 0; i < l->view.key_count; i++)
        if (bh_str_eq_ci(l->view.keys[i].selector, selector))
            return &l->view.keys[i];
    return NULL;
}

/* Of argument "selector"; NULL after ending the command. */
static const struct bh_key *take_key(const struct looking *l, bh_str selector)
{
    const struct bh_key *key = find_key(l, selector);

    if (!key)
        bh_command_fail(l->command, "not_found", "behalf key list shows its keys", "%.*s has no key at selector %.*s",
                        BH_FMT(l->view.domain.name), BH_FMT(selector));
    return key;
}

void bh_key_shown(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", "selector", NULL};
    struct bh_check_question questions[BH_KEY_QUESTIONS_MAX] = {{{"", 0}, 0, false}};
    size_t count = 0;
    struct looking looking;
    const struct bh_key *key;
    json_t *json;
    bh_str selector;

    if (!bh_command_knows(command, known) || !(selector = bh_command_need(command, "selector")).p ||
        !take_domain(command, &looking) || !(key = take_key(&looking, selector)))
        return;
    json = key_json(key);
    if (!bh_key_questions(command->arena, &command->core->platform, &looking.view, key, questions, &count))
        (void)json_object_set_new(json, "name", bh_json_str(questions[0].name));
    (void)json_object_set_new(json, "domain", bh_json_str(looking.view.domain.name));
    (void)json_object_set_new(json, "record", bh_json_str(bh_key_record(command->arena, key)));
    (void)json_object_set_new(json, "published", json_boolean(bh_key_is_published(key)));
    bh_command_done(command, json);
}

static void add_event(void *ctx, const struct bh_key_event *event)
{
    (void)json_array_append_new(ctx, json_pack("{s:o, s:I, s:o, s:o, s:o}", "at", bh_json_time(event->at), "key",
                                               (json_int_t)event->key, "selector", bh_json_str(event->selector), "what",
                                               bh_json_str(event->what), "detail", bh_json_str(event->detail)));
}

void bh_key_history(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", "limit", NULL};
    struct looking looking;
    struct bh_key *old;
    size_t count = 0;
    json_t *events, *keys;
    bh_err err;

    if (!bh_command_knows(command, known) || !take_domain(command, &looking))
        return;
    events = json_array();
    keys = json_array();
    err = bh_key_event_list(command->core->store, looking.view.domain.id, bh_command_int(command, "limit", 100),
                            add_event, events);
    if (!err)
        err = bh_key_list_withdrawn(command->core->store, command->arena, looking.view.domain.id, WITHDRAWN_SHOWN, &old,
                                    &count);
    for (size_t i = 0; !err && i < count; i++)
        (void)json_array_append_new(keys, key_json(&old[i]));
    if (!err) {
        bh_command_done(command, json_pack("{s:o, s:o}", "events", events, "withdrawn", keys));
        return;
    }
    json_decref(events);
    json_decref(keys);
    bh_command_fail_err(command, err, "cannot read the history");
}

/* ---- ordering ---- */

static bool store_wish(const struct looking *l, const char *what)
{
    struct bh_controld *core = l->command->core;
    bh_err err;

    bh_store_begin(core->store);
    err = bh_key_wish_set(core->store, l->view.domain.id, &l->wish);
    if (!err)
        err = bh_key_event_insert(core->store, l->view.domain.id, bh_controld_now(core), 0, bh_str_c(what), BH_STR(""));
    if (err)
        bh_store_rollback(core->store);
    else
        err = bh_store_commit_wait(core->store);
    if (err)
        bh_command_fail_err(l->command, err, "cannot store the order");
    else
        bh_keys_touch(core, l->view.domain.id);
    return !err;
}

void bh_key_rotate(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", NULL};
    struct looking looking;
    const struct bh_key *active;

    if (!bh_command_knows(command, known) || !take_domain(command, &looking))
        return;
    active = bh_view_active_key(&looking.view);
    looking.wish.asked_at = bh_controld_now(command->core);
    if (active && looking.wish.asked_at <= active->state_at)
        looking.wish.asked_at = active->state_at + 1;
    if (store_wish(&looking, "rotation ordered"))
        bh_command_done(command, domain_json(&looking));
}

void bh_key_set(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", "every_ms", "ed25519", NULL};
    struct looking looking;
    bh_str ed25519 = bh_command_str(command, "ed25519");

    if (!bh_command_knows(command, known) || !take_domain(command, &looking))
        return;
    if (ed25519.p && !bh_str_eq(ed25519, BH_STR("on")) && !bh_str_eq(ed25519, BH_STR("off"))) {
        bh_command_fail(command, "invalid", "Use on or off", "ed25519: \"%.*s\"", BH_FMT(ed25519));
        return;
    }
    if (ed25519.p)
        looking.wish.ed25519 = bh_str_eq(ed25519, BH_STR("on"));
    looking.wish.period_ms = bh_command_int(command, "every_ms", looking.wish.period_ms);
    if (store_wish(&looking, "settings changed"))
        bh_command_done(command, domain_json(&looking));
}

/* ---- revoking ---- */

struct revoking {
    struct looking looking;
    struct bh_key key, next;
    bool has_next, was_active;
};

static bh_err store_revocation(struct revoking *r, int64_t grace_ms)
{
    struct bh_controld *core = r->looking.command->core;
    const struct bh_domain *domain = &r->looking.view.domain;
    bh_time_ms now = bh_controld_now(core);
    bool stays = grace_ms > 0 && r->was_active && !r->has_next; /* nothing else can sign: it goes on for the grace */
    bh_err err;

    r->key.revoke_at = now + grace_ms;
    if (!stays) {
        r->key.state = grace_ms > 0 && r->was_active ? BH_KEY_RETIRING : grace_ms > 0 ? r->key.state : BH_KEY_REVOKED;
        r->key.state_at = now;
        r->key.asked_at = r->key.unused_at = 0;
    }
    bh_store_begin(core->store);
    err = bh_keys_store(core, domain, &r->key, "revocation ordered", BH_STR(""));
    if (!err && !stays)
        err = bh_key_event_insert(core->store, domain->id, now, r->key.id, bh_str_c(bh_key_state_name(r->key.state)),
                                  BH_STR(""));
    if (!err && !stays)
        err = bh_key_entered(core, r->looking.command->arena, domain, &r->key, BH_STR("revocation ordered"));
    if (!err && r->has_next) {
        r->next.state = BH_KEY_ACTIVE;
        r->next.state_at = now;
        err = bh_keys_store(core, domain, &r->next, "active", BH_STR("in place of a revoked key"));
    }
    if (!err && r->has_next)
        err = bh_key_entered(core, r->looking.command->arena, domain, &r->next, BH_STR("in place of a revoked key"));
    if (err) {
        bh_store_rollback(core->store);
        return err;
    }
    return bh_store_commit_wait(core->store);
}

static void on_told(void *ctx, bh_err err)
{
    struct revoking *r = ctx;
    struct bh_command *command = r->looking.command;
    json_t *json =
        json_pack("{s:o, s:o, s:o, s:b}", "domain", bh_json_str(r->looking.view.domain.name), "revoked",
                  key_json(&r->key), "active", r->has_next ? key_json(&r->next) : json_null(), "in_force", !err);

    bh_command_done(command, json);
}

static void revoke(struct revoking *r, int64_t grace_ms)
{
    struct bh_command *command = r->looking.command;
    struct bh_controld *core = command->core;
    bh_err err = store_revocation(r, grace_ms);

    if (err) {
        bh_command_fail_err(command, err, "cannot revoke the key");
        return;
    }
    core->out->log(core->out_ctx, BH_LOG_WARN, "a key was revoked by order",
                   bh_arena_printf(command->arena, "%.*s._domainkey.%.*s", BH_FMT(r->key.selector),
                                   BH_FMT(r->looking.view.domain.name)));
    bh_keys_changed(core, &r->looking.view.domain, r->was_active);
    bh_keys_touch(core, r->looking.view.domain.id);
    err = bh_keys_tell_revoked(core, on_told, r); /* without keyd nothing signs, and it is told when it comes */
    if (err)
        on_told(r, err);
}

void bh_key_revoke(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", "selector", "grace_ms", NULL};
    struct revoking *r = bh_arena_alloc(command->arena, sizeof(*r));
    int64_t grace_ms = bh_command_int(command, "grace_ms", 0);
    const struct bh_key *key, *next;
    bh_str selector = bh_command_str(command, "selector");

    if (!r) {
        bh_command_fail_err(command, BH_E_NOMEM, "cannot revoke the key");
        return;
    }
    *r = (struct revoking){.has_next = false};
    if (!bh_command_knows(command, known) || !take_domain(command, &r->looking))
        return;
    key = selector.p ? take_key(&r->looking, selector) : bh_view_active_key(&r->looking.view);
    if (!key && selector.p)
        return;
    if (!key || key->state == BH_KEY_REVOKED || grace_ms < 0 || grace_ms > GRACE_MAX_MS) {
        bh_command_fail(command, "invalid", "behalf key list shows its keys; a grace is 30 days at most",
                        key && key->state != BH_KEY_REVOKED ? "the grace is out of bounds"
                                                            : "there is no key to revoke");
        return;
    }
    next = bh_key_successor(r->looking.view.keys, r->looking.view.key_count, key);
    r->was_active = key->state == BH_KEY_ACTIVE;
    r->has_next = next && r->was_active;
    r->key = *key;
    if (r->has_next)
        r->next = *next;
    revoke(r, grace_ms);
}
