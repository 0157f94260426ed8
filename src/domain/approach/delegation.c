/* delegation.c: the customer delegates a whole sub-domain to our name servers; everything in it is ours to keep right.
 *
 * The name server names carry the token, so the delegation itself proves which customer asked. Their addresses come
 * from wildcards in the platform zone. */
#include "domain/approach.h"

static void add_ns(struct bh_record_list *list, const struct bh_platform *platform, const struct bh_domain *domain,
                   bh_str ns)
{
    bh_str host = bh_platform_target(list->arena, platform, &domain->token, ns);

    bh_record_list_add(list, (struct bh_required_record){
                                 .purpose = BH_PURPOSE_DELEGATION,
                                 .match = BH_MATCH_EXACT,
                                 .type = BH_DNS_NS,
                                 .name = domain->name,
                                 .value = bh_arena_printf(list->arena, "%.*s.", BH_FMT(host)),
                                 .ttl_s = 3600,
                                 .required = true,
                                 .mechanism = BH_MECH_BOTH,
                                 .why = "Puts this sub-domain in our hands: we publish and renew everything in it, and "
                                        "nothing else is asked of you."});
}

static void delegation_records(const struct bh_platform *platform, const struct bh_domain_view *view,
                               struct bh_record_list *list)
{
    for (size_t i = 0; i < platform->ns_count; i++)
        add_ns(list, platform, &view->domain, platform->ns[i].label);
    if (!bh_str_eq(bh_domain_registrable(view->domain.name), view->domain.name))
        bh_propose_dmarc(list, platform, view);
}

static void add_keys(const struct bh_platform *platform, const struct bh_domain_view *view, struct bh_zone *zone)
{
    for (size_t i = 0; i < view->key_count; i++) {
        const struct bh_key *key = &view->keys[i];
        bh_str owner =
            bh_arena_printf(zone->arena, "%.*s._domainkey.%.*s", BH_FMT(key->selector), BH_FMT(view->domain.name));

        if (bh_key_is_published(key))
            bh_zone_add_txt(zone, owner, platform->ttl_s, bh_key_record(zone->arena, key));
    }
}

static void add_dmarc(const struct bh_platform *platform, const struct bh_domain_view *view, struct bh_zone *zone)
{
    bh_str text = bh_dmarc_record(zone->arena, platform, &view->domain);

    bh_zone_add_txt(zone, bh_zone_name(zone, BH_STR("_dmarc"), view->domain.name), platform->ttl_s, text);
    for (size_t i = 0; i < view->from_name_count; i++)
        bh_zone_add_txt(zone, bh_zone_name(zone, BH_STR("_dmarc"), view->from_names[i]), platform->ttl_s, text);
}

static void delegation_zone(const struct bh_platform *platform, const struct bh_domain_view *view, struct bh_zone *zone)
{
    const struct bh_domain *domain = &view->domain;

    for (size_t i = 0; i < platform->ns_count; i++)
        bh_zone_addf(zone, domain->name, 3600, BH_DNS_NS, "%s.%s.%.*s.%.*s.", domain->token.id, domain->token.shard,
                     BH_FMT(platform->ns[i].label), BH_FMT(platform->domain));
    bh_zone_add_bounce(zone, platform, domain->name);
    if (platform->caa.n)
        bh_zone_addf(zone, domain->name, platform->ttl_s, BH_DNS_CAA, "0 issue \"%.*s\"", BH_FMT(platform->caa));
    bh_zone_add_bounce(zone, platform, bh_zone_name(zone, domain->labels.bounce, domain->name));
    add_dmarc(platform, view, zone);
    add_keys(platform, view, zone);
    bh_zone_add_web(zone, platform, bh_zone_name(zone, domain->labels.link, domain->name));
    bh_zone_add_web(zone, platform, bh_zone_name(zone, domain->labels.img, domain->name));
}

static void delegation_identity(struct bh_arena *arena, const struct bh_platform *platform,
                                const struct bh_domain_view *view, struct bh_planned_identity *ret_identity)
{
    const struct bh_domain *domain = &view->domain;

    ret_identity->mail_from_domain =
        bh_arena_printf(arena, "%.*s.%.*s", BH_FMT(domain->labels.bounce), BH_FMT(domain->name));
    ret_identity->mail_from_is_ours = true;
    ret_identity->dkim_domain = domain->name;
}

/* The NS records stand in the zone above the cut. */
static bh_str delegation_edited_at(const struct bh_domain *domain)
{
    return bh_domain_parent(domain->name);
}

const struct bh_approach_ops bh_approach_delegation = {
    .id = BH_APPROACH_DELEGATION,
    .name = "delegation",
    .summary = "the customer delegates a sub-domain to our name servers by NS records",
    .asks = "Two NS records, once; nothing is ever asked again.",
    .costs_us = "Nothing to watch but the delegation; keys, SPF, DMARC and hosts are ours to change.",
    .records = delegation_records,
    .zone = delegation_zone,
    .identity = delegation_identity,
    .edited_at = delegation_edited_at,
    .rsa_slots = 6,
    .ed25519_slots = 4,
    .keys_at_start = 3,
    .sends = true,
    .open_to_customers = true,
};
