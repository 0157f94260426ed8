/* key_news.c: who is told that a key has come into another state: the event log always; and a customer who publishes
 * his keys himself (approach manual) by a planned change with the exact record.
 *
 *   published   he is asked for the record, beside the one that signs, which stays until his DNS has the new one
 *   seen        his domain is checked soon, so that the change is closed
 *   revoked     he is asked to empty the record
 *   withdrawn   he may delete the record; nobody needs it any more
 *
 * A change's ref is the selector: one is open for it at a time, and what was asked for there before is forgotten.
 * Forcing such a change ends the reminders and no more than that: a key that DNS does not have never signs. */
#include "change.h"
#include "keys.h"
#include "notice.h"

static enum bh_event_kind event_of(enum bh_key_state state)
{
    switch (state) {
    case BH_KEY_PUBLISHED:
        return BH_EVENT_KEY_PUBLISHED;
    case BH_KEY_SEEN:
        return BH_EVENT_KEY_SEEN;
    case BH_KEY_ACTIVE:
        return BH_EVENT_KEY_ACTIVATED;
    case BH_KEY_RETIRING:
        return BH_EVENT_KEY_RETIRED;
    case BH_KEY_WITHDRAWN:
        return BH_EVENT_KEY_WITHDRAWN;
    case BH_KEY_REVOKED:
        return BH_EVENT_KEY_REVOKED;
    case BH_KEY_CREATED:
    default:
        return BH_EVENT_KEY_CREATED;
    }
}

void bh_key_tell(struct bh_controld *core, const struct bh_domain *domain, const struct bh_key *key, bh_str why)
{
    json_t *detail = json_pack("{s:s%, s:I, s:s%, s:s, s:s}", "domain", domain->name.p, domain->name.n, "key",
                               (json_int_t)key->id, "selector", key->selector.p, key->selector.n, "algorithm",
                               bh_key_kind_name(key->kind), "state", bh_key_state_name(key->state));

    if (detail && why.n)
        (void)json_object_set_new(detail, "why", json_stringn(why.p, why.n));
    bh_controld_event(core, event_of(key->state), domain->customer_id, domain->id, detail);
}

/* ---- customers who publish their keys themselves ---- */

/* What a former key left at this selector, as far as we know. */
static bh_str old_record(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain,
                         const struct bh_key *key)
{
    struct bh_key *old;
    size_t count;

    if (key->state == BH_KEY_REVOKED) {
        struct bh_key before = *key;

        before.state = BH_KEY_ACTIVE;
        return bh_key_record(arena, &before);
    }
    if (!key->reused || bh_key_list_withdrawn(core->store, arena, domain->id, BH_KEYS_PER_DOMAIN, &old, &count))
        return BH_STR("");
    for (size_t i = 0; i < count; i++)
        if (old[i].id != key->id && bh_str_eq(old[i].selector, key->selector))
            return bh_key_record(arena, &old[i]);
    return BH_STR("");
}

static bh_str ref_of(struct bh_arena *arena, const struct bh_domain *domain, const struct bh_key *key)
{
    return bh_arena_printf(arena, "domain %lld selector %.*s", (long long)domain->id, BH_FMT(key->selector));
}

static bh_err forget(struct bh_controld *core, bh_str ref)
{
    int64_t id;
    bh_err err = bh_change_by_ref(core->store, BH_CHANGE_KEY, ref, &id);

    return err == BH_E_NOT_FOUND ? BH_OK : err ? err : bh_change_cancel(core, id);
}

static bh_err ask(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain,
                  const struct bh_key *key)
{
    struct bh_change_item item = {.domain = domain->id, .type = BH_DNS_TXT, .match = BH_MATCH_DKIM};
    struct bh_change_plan plan = {.kind = BH_CHANGE_KEY, .items = &item, .count = 1};
    int64_t id;
    bh_err err;

    item.name = bh_arena_printf(arena, "%.*s._domainkey.%.*s", BH_FMT(key->selector), BH_FMT(domain->name));
    item.new_value = bh_key_record(arena, key);
    item.old_value = old_record(core, arena, domain, key);
    plan.ref = ref_of(arena, domain, key);
    plan.title = bh_arena_printf(arena,
                                 key->state == BH_KEY_REVOKED
                                     ? "A DKIM key of %.*s was revoked; its record has to lose the key at once"
                                     : "A new DKIM key for %.*s, beside the one in use; please leave that one in place",
                                 BH_FMT(domain->name));
    if (!item.name.p || !item.new_value.p || !item.old_value.p || !plan.ref.p || !plan.title.p)
        return BH_E_NOMEM;
    err = forget(core, plan.ref);
    return err ? err : bh_change_create(core, &plan, &id);
}

static bh_err say_done_with(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain,
                            const struct bh_key *key)
{
    struct bh_notice notice = {.kind = "key-withdrawn", .customer = domain->customer_id};
    bh_err err;

    notice.about = bh_arena_printf(arena, "%lld", (long long)key->id);
    notice.subject = bh_arena_printf(arena, "An old DKIM record of %.*s may be deleted", BH_FMT(domain->name));
    notice.text = bh_arena_printf(arena,
                                  "No mail needs this record any more. You may delete it:\n\n"
                                  "    type TXT  %.*s._domainkey.%.*s\n",
                                  BH_FMT(key->selector), BH_FMT(domain->name));
    if (!notice.about.p || !notice.subject.p || !notice.text.p)
        return BH_E_NOMEM;
    err = forget(core, ref_of(arena, domain, key));
    return err ? err : bh_notice_send(core, &notice);
}

bh_err bh_key_entered(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain,
                      const struct bh_key *key, bh_str why)
{
    const struct bh_approach_ops *ops = bh_approach_ops(domain->approach);
    bool is_new = domain->state != BH_DOMAIN_VERIFIED && domain->state != BH_DOMAIN_DEGRADED;

    bh_key_tell(core, domain, key, why);
    if (!ops || !ops->keys_by_customer || is_new) /* the set-up of a new domain tells what to publish */
        return BH_OK;
    if (key->state == BH_KEY_PUBLISHED || key->state == BH_KEY_REVOKED)
        return ask(core, arena, domain, key);
    if (key->state == BH_KEY_SEEN)
        return bh_change_check_soon(core->store, domain->id, bh_controld_now(core));
    if (key->state == BH_KEY_WITHDRAWN)
        return say_done_with(core, arena, domain, key);
    return BH_OK;
}

/* ---- a change is closed ---- */

struct closing {
    struct bh_controld *core;
    int64_t domain;
};

static void take_domain(void *ctx, const struct bh_change_row *row)
{
    ((struct closing *)ctx)->domain = row->item.domain;
}

bh_err bh_key_change_done(struct bh_controld *core, const struct bh_change *change)
{
    struct closing closing = {.core = core};
    bh_err err = bh_change_items(core->store, change->id, take_domain, &closing);

    if (!err && closing.domain)
        bh_keys_touch(core, closing.domain);
    return err;
}
