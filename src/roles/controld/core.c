/* core.c: see core.h. */
#include "core.h"
#include "change.h"
#include "flatten.h"
#include "keys.h"
#include "notice.h"
#include "sign.h"

enum { PLATFORM_ARENA_BYTES = 1 << 20, HOUR_MS = 3600 * 1000 };

static const char platform_customer[] = "platform";

void bh_policy_list_add(void *ctx, bh_str at, bh_str record)
{
    struct bh_policy_list *policies = ctx;

    if (!policies->list)
        policies->list = bh_arena_array(policies->arena, BH_POLICIES_MAX, sizeof(*policies->list));
    if (policies->list && policies->count < BH_POLICIES_MAX)
        policies->list[policies->count++] =
            (struct bh_seen_policy){bh_arena_dup(policies->arena, at), bh_arena_dup(policies->arena, record)};
}

bh_err bh_controld_view(struct bh_controld *core, struct bh_arena *arena, int64_t domain, bool with_sealed,
                        struct bh_domain_view *ret_view)
{
    struct bh_domain_view view = {0};
    struct bh_key *keys;
    struct bh_policy_list policies = {.arena = arena};
    bh_err err = bh_domain_by_id(core->store, arena, domain, &view.domain);

    if (!err)
        err = bh_key_list(core->store, arena, domain, with_sealed, &keys, &view.key_count);
    if (!err)
        err = bh_domain_policy_list(core->store, domain, bh_policy_list_add, &policies);
    if (!err && bh_approach_ops(view.domain.approach) && bh_approach_ops(view.domain.approach)->proven_by_probe)
        err = bh_probe_get(core->store, domain, &view.probe);
    if (err)
        return err;
    view.policies = policies.list;
    view.policy_count = policies.count;
    view.keys = keys;
    *ret_view = view;
    return BH_OK;
}

bh_err bh_controld_view_removed(struct bh_controld *core, struct bh_arena *arena, int64_t domain,
                                struct bh_domain_view *ret_view, bool *ret_holds_zone, bh_time_ms *ret_until)
{
    struct bh_domain_view view = {0};
    struct bh_key *keys;
    bh_err err = bh_domain_removed_by_id(core->store, arena, domain, &view.domain, ret_holds_zone, ret_until);

    if (!err)
        err = bh_key_list(core->store, arena, domain, false, &keys, &view.key_count);
    if (err)
        return err;
    view.keys = keys;
    *ret_view = view;
    return BH_OK;
}

void bh_controld_changed(struct bh_controld *core)
{
    char text[24];

    core->version++;
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)core->version);
    if (bh_setting_set(core->store, BH_STR("version"), bh_str_c(text)))
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot store the version", bh_str_c(bh_store_error(core->store)));
    core->out->settle(core->out_ctx);
}

void bh_controld_settle(struct bh_controld *core)
{
    if (core->changes_moved)
        bh_change_work(core);
    bh_controld_tell_events(core);
    bh_publish_settle(core);
    bh_notice_flush(core);
    if (core->version_told != core->version)
        core->out->version(core->out_ctx, core->version);
    core->version_told = core->version;
}

static bh_err read_counters(struct bh_controld *core, struct bh_arena *arena)
{
    bh_str text;
    int64_t next;
    uint64_t serial = 0;
    bh_err err = bh_setting_get(core->store, arena, BH_STR("version"), &text);

    if (!err)
        err = bh_str_to_u64(text, INT64_MAX, &core->version);
    else if (err == BH_E_NOT_FOUND)
        err = BH_OK;
    if (!err)
        err = bh_setting_get(core->store, arena, BH_STR("serial"), &text);
    if (!err)
        err = bh_str_to_u64(text, UINT32_MAX, &serial);
    else if (err == BH_E_NOT_FOUND)
        err = BH_OK;
    core->serial = (uint32_t)serial;
    if (!err)
        err = bh_key_next_id(core->store, &next);
    if (err)
        return err;
    core->next_key_id = (uint64_t)next;
    core->version++; /* whoever cached from an earlier process asks again */
    return BH_OK;
}

static bh_err insert_platform(struct bh_controld *core, int64_t customer)
{
    struct bh_domain domain = {.customer_id = customer,
                               .name = core->platform.domain,
                               .approach = BH_APPROACH_PLATFORM,
                               .token = bh_token_new(core->random),
                               .labels = {BH_STR("bounce"), BH_STR("link"), BH_STR("img"), BH_STR("bh")},
                               .zone_apex = {"", 0},
                               .dmarc_policy = {"", 0},
                               .created_at = bh_controld_now(core)};
    int64_t id = 0;
    bh_str bounce;
    struct bh_arena *arena = bh_arena_new(4096);
    bh_err err;

    bounce = bh_arena_printf(arena, "bounce.%.*s", BH_FMT(core->platform.domain));
    bh_store_begin(core->store);
    err = bh_domain_insert(core->store, &domain, false, &id);
    if (!err)
        err = bh_from_domain_replace(core->store, id, domain.name, domain.zone_apex);
    if (!err)
        err = bh_bounce_domain_replace(core->store, id, bounce);
    bh_arena_free(arena);
    if (err) {
        bh_store_rollback(core->store);
        return err;
    }
    return bh_store_commit_wait(core->store);
}

static bh_err make_platform(struct bh_controld *core, struct bh_arena *arena)
{
    bh_str name = bh_str_c(platform_customer);
    struct bh_customer customer;
    struct bh_domain domain;
    bh_err err = bh_customer_by_name(core->store, arena, name, &customer);

    if (err == BH_E_NOT_FOUND)
        err = bh_customer_insert(core->store, name, bh_controld_now(core), &customer.id);
    if (err)
        return err;
    err = bh_domain_by_name(core->store, arena, core->platform.domain, customer.id, &domain);
    return err == BH_E_NOT_FOUND ? insert_platform(core, customer.id) : err;
}

static void set_default(int64_t *value, int64_t otherwise)
{
    if (!*value)
        *value = otherwise;
}

static bh_err read_providers(struct bh_controld *core)
{
    size_t line;

    core->provider_arena = bh_arena_new(PLATFORM_ARENA_BYTES);
    return core->provider_arena
               ? bh_providers_parse(core->provider_arena, bh_providers_builtin(), &core->providers, &line)
               : BH_E_NOMEM;
}

bh_err bh_controld_start(struct bh_controld *core)
{
    struct bh_arena *arena = bh_arena_new(PLATFORM_ARENA_BYTES);
    uint64_t seed[2];
    bh_err err;

    bh_random_fill(core->random, seed, sizeof(seed));
    bh_map_init(&core->serials, seed);
    bh_list_init(&core->dirty);
    bh_list_init(&core->checks);
    bh_list_init(&core->flats);
    set_default(&core->check_policy.grace_ms, 72 * HOUR_MS);
    set_default(&core->check_policy.loss_ms, HOUR_MS);
    set_default(&core->check_policy.unanimous_loss_ms, HOUR_MS / 12);
    set_default(&core->tombstone_ms, 30 * 24 * (int64_t)HOUR_MS);
    core->events_waiting = true; /* of a former process */
    core->change_done[BH_CHANGE_KEY] = bh_key_change_done;
    bh_list_init(&core->signing);
    bh_list_init(&core->unsigned_zones);
    bh_list_init(&core->keepings);
    if (!arena)
        return BH_E_NOMEM;
    err = read_providers(core);
    if (!err)
        err = read_counters(core, arena);
    if (!err)
        err = make_platform(core, arena);
    bh_arena_free(arena);
    if (!err)
        err = bh_egress_start(core);
    return err;
}

void bh_controld_stop(struct bh_controld *core)
{
    bh_check_free(core);
    bh_egress_free(core);
    bh_keys_free(core);
    bh_flatten_free(core);
    bh_publish_free(core);
    bh_sign_free(core);
    bh_reseal_free(core);
    bh_serials_free(core);
    bh_arena_free(core->provider_arena);
}
