/* cname.c: the customer creates a fixed set of CNAMEs once; we publish and rotate behind them.
 *
 * Three DKIM selectors, so that previous, current and next key are always published. Each target carries the token. */
#include "domain/approach.h"
#include "domain/key.h"

enum { RSA_SLOTS = 3, ED25519_SLOTS = 2 };

static void add_cname(struct bh_record_list *list, struct bh_required_record record, bh_str target)
{
    record.match = BH_MATCH_EXACT;
    record.type = BH_DNS_CNAME;
    record.ttl_s = 3600;
    if (target.p)
        record.value = bh_arena_printf(list->arena, "%.*s.", BH_FMT(target));
    bh_record_list_add(list, record);
}

static bh_str below(struct bh_record_list *list, bh_str label, const struct bh_domain *domain)
{
    return bh_arena_printf(list->arena, "%.*s.%.*s", BH_FMT(label), BH_FMT(domain->name));
}

static void add_selector(const struct bh_platform *platform, const struct bh_domain_view *view,
                         struct bh_record_list *list, bh_str selector, bool ed25519)
{
    const struct bh_domain *domain = &view->domain;
    const struct bh_key *active = bh_view_active_key(view);
    bh_str target = bh_platform_target(list->arena, platform, &domain->token, BH_STR("dkim"));
    bool signs = active && bh_str_eq(active->selector, selector);

    add_cname(list,
              (struct bh_required_record){
                  .purpose = BH_PURPOSE_DKIM,
                  .name = bh_arena_printf(list->arena, "%.*s._domainkey.%.*s", BH_FMT(selector), BH_FMT(domain->name)),
                  .required = !ed25519,
                  .mechanism = signs ? BH_MECH_DKIM : BH_MECH_NONE,
                  .why = ed25519 ? "Lets us add a second signature (Ed25519) in your name."
                                 : "Lets us sign in your name (DKIM). There are three, so that keys can be exchanged "
                                   "without asking you again."},
              bh_arena_printf(list->arena, "%.*s.%.*s", BH_FMT(selector), BH_FMT(target)));
}

/* The set is fixed, whichever selectors have a key just now. */
static void add_selectors(const struct bh_platform *platform, const struct bh_domain_view *view,
                          struct bh_record_list *list)
{
    bool ed25519 = false;

    for (unsigned i = 0; i < RSA_SLOTS; i++)
        add_selector(platform, view, list, bh_key_selector(list->arena, &view->domain.labels, i), false);
    for (size_t i = 0; i < view->key_count; i++)
        ed25519 = ed25519 || view->keys[i].kind == BH_KIND_ED25519;
    for (unsigned i = 0; ed25519 && i < ED25519_SLOTS; i++)
        add_selector(platform, view, list, bh_key_ed25519_selector(list->arena, i), true);
}

static void cname_records(const struct bh_platform *platform, const struct bh_domain_view *view,
                          struct bh_record_list *list)
{
    const struct bh_domain *domain = &view->domain;
    bh_str link = bh_platform_target(list->arena, platform, &domain->token, BH_STR("link"));

    add_cname(list,
              (struct bh_required_record){.purpose = BH_PURPOSE_BOUNCE,
                                          .name = below(list, domain->labels.bounce, domain),
                                          .required = true,
                                          .mechanism = BH_MECH_SPF,
                                          .why = "Bounces come back to us under your name, and SPF passes as you."},
              bh_platform_target(list->arena, platform, &domain->token, BH_STR("bounce")));
    add_selectors(platform, view, list);
    add_cname(list,
              (struct bh_required_record){.purpose = BH_PURPOSE_LINK,
                                          .name = below(list, domain->labels.link, domain),
                                          .why = "Links in your mail carry your name instead of ours."},
              link);
    add_cname(list,
              (struct bh_required_record){.purpose = BH_PURPOSE_IMAGE,
                                          .name = below(list, domain->labels.img, domain),
                                          .why = "Images in your mail carry your name instead of ours."},
              link);
    bh_propose_dmarc(list, platform, view);
}

static void add_dkim_targets(const struct bh_platform *platform, const struct bh_domain_view *view, bh_str target,
                             struct bh_zone *zone)
{
    for (size_t i = 0; i < view->key_count; i++)
        if (bh_key_is_published(&view->keys[i]))
            bh_zone_add_txt(zone, bh_zone_name(zone, view->keys[i].selector, target), platform->ttl_s,
                            bh_key_record(zone->arena, &view->keys[i]));
}

static void cname_targets(const struct bh_platform *platform, const struct bh_domain_view *view, bh_str kind,
                          struct bh_zone *zone)
{
    bh_str target = bh_platform_target(zone->arena, platform, &view->domain.token, kind);

    if (!target.p)
        zone->err = BH_E_NOMEM;
    else if (bh_str_eq(kind, BH_STR("dkim")))
        add_dkim_targets(platform, view, target, zone);
    else if (bh_str_eq(kind, BH_STR("bounce")))
        bh_zone_add_bounce(zone, platform, target);
    else if (bh_str_eq(kind, BH_STR("link")))
        bh_zone_add_web(zone, platform, target);
}

static void cname_identity(struct bh_arena *arena, const struct bh_platform *platform,
                           const struct bh_domain_view *view, struct bh_planned_identity *ret_identity)
{
    const struct bh_domain *domain = &view->domain;

    ret_identity->mail_from_domain =
        bh_arena_printf(arena, "%.*s.%.*s", BH_FMT(domain->labels.bounce), BH_FMT(domain->name));
    ret_identity->mail_from_is_ours = true;
    ret_identity->dkim_domain = domain->name;
}

static bh_str cname_key_owner(struct bh_arena *arena, const struct bh_platform *platform,
                              const struct bh_domain *domain, bh_str selector)
{
    bh_str target = bh_platform_target(arena, platform, &domain->token, BH_STR("dkim"));

    return bh_arena_printf(arena, "%.*s.%.*s", BH_FMT(selector), BH_FMT(target));
}

static bh_str cname_edited_at(const struct bh_domain *domain)
{
    return domain->name;
}

const struct bh_approach_ops bh_approach_cname = {
    .id = BH_APPROACH_CNAME,
    .name = "cname",
    .summary = "the customer creates a fixed set of CNAME records once",
    .asks = "Six records, once; with three of them for keys, nothing is asked again when keys are exchanged.",
    .costs_us = "The records can vanish one by one and are watched; his SPF and DMARC stay his own.",
    .records = cname_records,
    .targets = cname_targets,
    .identity = cname_identity,
    .edited_at = cname_edited_at,
    .key_owner = cname_key_owner,
    .rsa_slots = RSA_SLOTS,
    .ed25519_slots = ED25519_SLOTS,
    .keys_at_start = 3,
    .sends = true,
    .open_to_customers = true,
};
