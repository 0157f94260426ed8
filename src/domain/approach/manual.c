/* manual.c: the customer pastes SPF and DKIM records; every change on our side asks the customer to act.
 *
 * The customer chooses where bounces go (enum bh_bounce_mode). To us: the bounce address is in our own domain, SPF
 * passes but does not align, DKIM carries DMARC. To the customer: SPF aligns through the include, but bounces reach
 * the customer's own MX. A DKIM key may be one that the customer has published already (`behalf dkim import`). */
#include "domain/approach.h"

static void add_keys(const struct bh_domain_view *view, struct bh_record_list *list)
{
    const struct bh_key *active = bh_view_active_key(view);

    for (size_t i = 0; i < view->key_count; i++) {
        const struct bh_key *key = &view->keys[i];

        if (!bh_key_is_published(key))
            continue;
        bh_record_list_add(
            list, (struct bh_required_record){.purpose = BH_PURPOSE_DKIM,
                                              .match = BH_MATCH_DKIM,
                                              .type = BH_DNS_TXT,
                                              .name = bh_arena_printf(list->arena, "%.*s._domainkey.%.*s",
                                                                      BH_FMT(key->selector), BH_FMT(view->domain.name)),
                                              .value = bh_key_record(list->arena, key),
                                              .ttl_s = 3600,
                                              .required = key == active,
                                              .mechanism = key == active ? BH_MECH_DKIM : BH_MECH_NONE,
                                              .why = "The public half of the key that we sign your mail with (DKIM)."});
    }
}

static void manual_records(const struct bh_platform *platform, const struct bh_domain_view *view,
                           struct bh_record_list *list)
{
    const struct bh_domain *domain = &view->domain;
    bool aligns = domain->bounces == BH_BOUNCES_CUSTOMER;
    bh_str include = bh_platform_target(list->arena, platform, &domain->token, BH_STR("spf"));

    add_keys(view, list);
    bh_record_list_add(
        list, (struct bh_required_record){
                  .purpose = BH_PURPOSE_SPF,
                  .match = BH_MATCH_SPF,
                  .type = BH_DNS_TXT,
                  .name = domain->name,
                  .value = bh_arena_printf(list->arena, "v=spf1 include:%.*s ~all", BH_FMT(include)),
                  .ttl_s = 3600,
                  .required = aligns,
                  .mechanism = aligns ? BH_MECH_SPF : BH_MECH_NONE,
                  .why = "Lets our servers send in your name (SPF). Add the include to the record that you have; a "
                         "second SPF record would break both."});
    bh_propose_dmarc(list, platform, view);
}

static void manual_targets(const struct bh_platform *platform, const struct bh_domain_view *view, bh_str kind,
                           struct bh_zone *zone)
{
    const struct bh_token *token = &view->domain.token;

    if (bh_str_eq(kind, BH_STR("spf")))
        bh_zone_add_spf(zone, platform, bh_platform_target(zone->arena, platform, token, BH_STR("spf")));
    else if (bh_str_eq(kind, BH_STR("bounce")))
        bh_zone_add_bounce(zone, platform, bh_platform_target(zone->arena, platform, token, BH_STR("bounce")));
}

static void manual_identity(struct bh_arena *arena, const struct bh_platform *platform,
                            const struct bh_domain_view *view, struct bh_planned_identity *ret_identity)
{
    const struct bh_domain *domain = &view->domain;

    ret_identity->mail_from_is_ours = domain->bounces == BH_BOUNCES_OURS;
    ret_identity->mail_from_domain = ret_identity->mail_from_is_ours
                                         ? bh_platform_target(arena, platform, &domain->token, BH_STR("bounce"))
                                         : domain->name;
    ret_identity->dkim_domain = domain->name;
}

static const char *manual_drawback(const struct bh_domain *domain)
{
    if (domain->bounces == BH_BOUNCES_CUSTOMER)
        return "Bounces go to the MX of your own domain, so behalf learns of undeliverable addresses only from what "
               "receivers say while it delivers; and every change of ours to SPF or DKIM asks you to act.";
    return "SPF passes for our bounce domain, not for yours, so DKIM alone carries DMARC: a receiver or forwarder that "
           "breaks the signature breaks DMARC; and every new key asks you to act.";
}

static bh_str manual_edited_at(const struct bh_domain *domain)
{
    return domain->name;
}

const struct bh_approach_ops bh_approach_manual = {
    .id = BH_APPROACH_MANUAL,
    .name = "manual",
    .summary = "the customer pastes SPF and DKIM records, and again whenever they change",
    .asks = "Two or three records, and again whenever a key or, with ip4:, an address changes.",
    .costs_us = "Each change is planned, and waits for every customer.",
    .records = manual_records,
    .targets = manual_targets,
    .identity = manual_identity,
    .edited_at = manual_edited_at,
    .drawback = manual_drawback,
    .rsa_slots = 3,
    .ed25519_slots = 2,
    .keys_by_customer = true,
    .keys_at_start = 1,
    .sends = true,
    .open_to_customers = true,
};
