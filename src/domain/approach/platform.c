/* platform.c: the operator's own platform domain, whose identity notices and delivery reports carry. What it needs at
 * the parent is the delegation of the platform domain itself; all else is in the platform zone, which zones.c builds
 * with the targets added here. */
#include "domain/approach.h"

static void platform_records(const struct bh_platform *platform, const struct bh_domain_view *view,
                             struct bh_record_list *list)
{
    for (size_t i = 0; i < platform->ns_count; i++)
        bh_record_list_add(
            list, (struct bh_required_record){
                      .purpose = BH_PURPOSE_DELEGATION,
                      .match = BH_MATCH_EXACT,
                      .type = BH_DNS_NS,
                      .name = view->domain.name,
                      .value = bh_arena_printf(list->arena, "%.*s.%.*s.", BH_FMT(platform->ns[i].label),
                                               BH_FMT(platform->domain)),
                      .ttl_s = 3600,
                      .required = true,
                      .mechanism = BH_MECH_BOTH,
                      .why = "Delegates the platform domain to this server; add the addresses of both names as glue."});
}

static void platform_targets(const struct bh_platform *platform, const struct bh_domain_view *view, bh_str kind,
                             struct bh_zone *zone)
{
    bh_str domain = view->domain.name;

    if (kind.n) /* only the platform zone itself */
        return;
    for (size_t i = 0; i < view->key_count; i++)
        if (bh_key_is_published(&view->keys[i]))
            bh_zone_add_txt(
                zone,
                bh_arena_printf(zone->arena, "%.*s._domainkey.%.*s", BH_FMT(view->keys[i].selector), BH_FMT(domain)),
                platform->ttl_s, bh_key_record(zone->arena, &view->keys[i]));
    bh_zone_add_txt(zone, bh_zone_name(zone, BH_STR("_dmarc"), domain), platform->ttl_s,
                    bh_dmarc_record(zone->arena, platform, &view->domain));
    bh_zone_add_bounce(zone, platform, bh_zone_name(zone, view->domain.labels.bounce, domain));
}

static void platform_identity(struct bh_arena *arena, const struct bh_platform *platform,
                              const struct bh_domain_view *view, struct bh_planned_identity *ret_identity)
{
    ret_identity->mail_from_domain =
        bh_arena_printf(arena, "%.*s.%.*s", BH_FMT(view->domain.labels.bounce), BH_FMT(view->domain.name));
    ret_identity->mail_from_is_ours = true;
    ret_identity->dkim_domain = view->domain.name;
}

static bh_str platform_edited_at(const struct bh_domain *domain)
{
    return bh_domain_parent(domain->name);
}

const struct bh_approach_ops bh_approach_platform = {
    .id = BH_APPROACH_PLATFORM,
    .name = "platform",
    .summary = "the operator's own platform domain",
    .records = platform_records,
    .targets = platform_targets,
    .identity = platform_identity,
    .edited_at = platform_edited_at,
    .rsa_slots = 6,
    .ed25519_slots = 4,
    .keys_at_start = 3,
    .sends = true,
};
