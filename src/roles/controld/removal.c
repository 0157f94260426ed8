/* removal.c: the end of a domain. Its row stays, so that its token is never given to another (invariant 7); its private
 * keys are destroyed. What the customer's DNS still points at is answered with a tombstone for a time: revoked keys,
 * SPF that passes nobody, bounces of the last mail still to us. Then a zone of ours is REFUSED, and names in shard
 * zones do not exist. Mail in the queue is refused at its next look for an identity, with the reason. */
#include "core.h"

enum { ENDING_MAX = 64 };

bh_err bh_controld_remove_domain(struct bh_controld *core, const struct bh_domain *domain, bh_time_ms *ret_until)
{
    bh_time_ms now = bh_controld_now(core), until = now + core->tombstone_ms;
    bh_err err;

    bh_store_begin(core->store);
    err = bh_domain_remove(core->store, domain->id, now, until);
    if (err) {
        bh_store_rollback(core->store);
        return err;
    }
    err = bh_store_commit_wait(core->store);
    if (err)
        return err;
    bh_publish_domain(core, domain);
    bh_controld_changed(core);
    bh_controld_event(core, BH_EVENT_DOMAIN_REMOVED, domain->customer_id, domain->id,
                      json_pack("{s:o}", "domain", json_stringn(domain->name.p, domain->name.n)));
    core->out->log(core->out_ctx, BH_LOG_INFO, "domain removed", domain->name);
    *ret_until = until;
    return BH_OK;
}

struct ending {
    struct bh_arena *arena;
    struct bh_domain domains[ENDING_MAX];
    size_t count;
};

static bool add_ending(void *ctx, const struct bh_domain *domain)
{
    struct ending *ending = ctx;
    struct bh_domain *copy = &ending->domains[ending->count++];

    *copy = *domain;
    copy->name = bh_arena_dup(ending->arena, domain->name);
    return copy->name.p && ending->count < ENDING_MAX;
}

static bh_err end_tombstone(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain)
{
    struct bh_domain ignored;
    int64_t holder = 0;
    bool holds_zone = false;
    bh_time_ms until;
    bh_err err = bh_domain_removed_by_id(core->store, arena, domain->id, &ignored, &holds_zone, &until);

    if (!err)
        err = bh_domain_zone_holder(core->store, domain->name, &holder);
    if (!err)
        err = bh_domain_end_tombstone(core->store, domain->id);
    if (err)
        return err;
    if (holds_zone && !holder)
        bh_publish_removed(core, domain->name);
    bh_publish_domain(core, domain);
    return BH_OK;
}

void bh_tombstones_wake(struct bh_controld *core, bh_time_ms now)
{
    struct ending ending = {.arena = bh_arena_new(1 << 20)};
    bh_err err =
        ending.arena ? bh_domain_list_tombstones_due(core->store, now, ENDING_MAX, add_ending, &ending) : BH_E_NOMEM;

    for (size_t i = 0; !err && i < ending.count; i++)
        err = end_tombstone(core, ending.arena, &ending.domains[i]);
    if (err)
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot end a tombstone", bh_str_c(bh_err_text(err)));
    bh_arena_free(ending.arena);
}
