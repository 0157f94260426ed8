/* zones.c: see zones.h. */
#include "zones.h"

static const char *const shard_kinds[] = {"dkim", "bounce", "link", "spf"};

const char *bh_shard_kind(size_t index)
{
    return index < sizeof(shard_kinds) / sizeof(shard_kinds[0]) ? shard_kinds[index] : NULL;
}

bh_str bh_shard_zone_name(struct bh_arena *arena, const struct bh_platform *platform, bh_str shard, const char *kind)
{
    return bh_arena_printf(arena, "%.*s.%s.%.*s", BH_FMT(shard), kind, BH_FMT(platform->domain));
}

bool bh_domain_has_targets(const struct bh_domain *domain)
{
    const struct bh_approach_ops *ops = bh_approach_ops(domain->approach);

    return ops && ops->targets && ops->open_to_customers;
}

bool bh_domain_has_zone(const struct bh_domain *domain)
{
    const struct bh_approach_ops *ops = bh_approach_ops(domain->approach);

    return ops && ops->zone;
}

/* RFC 1035 3.3.13, with the values that zone checkers want; a short minimum, since a negative answer from us should
 * never be remembered for long (RFC 2308). */
uint32_t bh_zone_negative_ttl_s(const struct bh_platform *platform)
{
    return platform->ttl_s < 300 ? platform->ttl_s : 300;
}

static void add_soa(struct bh_zone *zone, const struct bh_platform *platform)
{
    bh_str primary = platform->ns_count ? platform->ns[0].label : BH_STR("ns1");

    bh_zone_addf(zone, zone->apex, 3600, BH_DNS_SOA, "%.*s.%.*s. hostmaster.%.*s. %u 14400 3600 1209600 %u",
                 BH_FMT(primary), BH_FMT(platform->domain), BH_FMT(platform->domain), platform->serial,
                 bh_zone_negative_ttl_s(platform));
}

static void add_ns(struct bh_zone *zone, const struct bh_platform *platform, bh_str owner)
{
    for (size_t i = 0; i < platform->ns_count; i++)
        bh_zone_addf(zone, owner, 3600, BH_DNS_NS, "%.*s.%.*s.", BH_FMT(platform->ns[i].label),
                     BH_FMT(platform->domain));
}

/* The wildcard answers for the names with tokens that delegations carry. */
static void add_name_servers(struct bh_zone *zone, const struct bh_platform *platform)
{
    for (size_t i = 0; i < platform->ns_count; i++) {
        const struct bh_platform_ns *ns = &platform->ns[i];
        bh_str owner = bh_zone_name(zone, ns->label, platform->domain);

        for (size_t at = 0; at < ns->address_count; at++) {
            bh_zone_add_address(zone, owner, 3600, ns->addresses[at]);
            bh_zone_add_address(zone, bh_zone_name(zone, BH_STR("*"), owner), 3600, ns->addresses[at]);
        }
    }
}

/* A name is ours to publish when it is below the platform domain; others are the operator's. */
static bool is_our_host(const struct bh_platform *platform, bh_str host)
{
    return bh_str_is_at_or_below(host, platform->domain) && !bh_str_eq_ci(host, platform->domain);
}

/* Receivers check the HELO name for the null sender (RFC 7208 2.4). The inbound host may have addresses of its own,
 * from which nothing leaves, so it lists those that send. */
static void add_helo(struct bh_zone *zone, const struct bh_platform *platform, const struct bh_platform_host *host)
{
    struct bh_platform only = {
        .egress = host->addresses, .egress_count = host->address_count, .ttl_s = platform->ttl_s};

    if (!is_our_host(platform, host->name))
        return;
    for (size_t i = 0; i < host->address_count; i++)
        bh_zone_add_address(zone, host->name, platform->ttl_s, host->addresses[i]);
    if (bh_str_eq_ci(host->name, platform->inbound_host))
        bh_zone_add_spf(zone, &only, host->name);
    else
        bh_zone_add_txt(zone, host->name, platform->ttl_s, BH_STR("v=spf1 a -all"));
}

static void add_hosts(struct bh_zone *zone, const struct bh_platform *platform)
{
    struct bh_platform_host only = {platform->helo, platform->egress, platform->egress_count};

    if (is_our_host(platform, platform->inbound_host))
        for (size_t i = 0; i < platform->inbound_address_count; i++)
            bh_zone_add_address(zone, platform->inbound_host, 3600, platform->inbound_addresses[i]);
    if (!platform->host_count)
        add_helo(zone, platform, &only);
    for (size_t i = 0; i < platform->host_count; i++)
        add_helo(zone, platform, &platform->hosts[i]);
}

bh_err bh_build_platform_zone(struct bh_arena *arena, const struct bh_platform *platform,
                              const struct bh_domain_view *own, const bh_str *children, size_t child_count,
                              struct bh_zone *ret_zone)
{
    struct bh_zone zone = bh_zone_make(arena, platform->domain);
    const struct bh_approach_ops *ops = own ? bh_approach_ops(own->domain.approach) : NULL;

    add_soa(&zone, platform);
    add_ns(&zone, platform, zone.apex);
    bh_zone_add_bounce(&zone, platform, zone.apex);
    add_name_servers(&zone, platform);
    add_hosts(&zone, platform);
    for (size_t i = 0; i < platform->text_count; i++)
        bh_zone_add_txt(&zone, platform->texts[i].name, platform->ttl_s, platform->texts[i].text);
    if (ops && ops->targets)
        ops->targets(platform, own, (bh_str){"", 0}, &zone);
    for (size_t i = 0; i < child_count; i++)
        add_ns(&zone, platform, children[i]);
    *ret_zone = zone;
    return zone.err;
}

bh_err bh_shard_zone_begin(struct bh_arena *arena, const struct bh_platform *platform, bh_str shard, const char *kind,
                           struct bh_zone *ret_zone)
{
    *ret_zone = bh_zone_make(arena, bh_shard_zone_name(arena, platform, shard, kind));
    add_soa(ret_zone, platform);
    add_ns(ret_zone, platform, ret_zone->apex);
    return ret_zone->err;
}

void bh_shard_zone_add(struct bh_zone *zone, const struct bh_platform *platform, const char *kind,
                       const struct bh_domain_view *view)
{
    const struct bh_approach_ops *ops = bh_approach_ops(view->domain.approach);

    if (bh_domain_has_targets(&view->domain))
        ops->targets(platform, view, bh_str_c(kind), zone);
}

bh_err bh_rua_zone_begin(struct bh_arena *arena, const struct bh_platform *platform, struct bh_zone *ret_zone)
{
    *ret_zone = bh_zone_make(arena, bh_arena_printf(arena, "rua.%.*s", BH_FMT(platform->domain)));
    add_soa(ret_zone, platform);
    add_ns(ret_zone, platform, ret_zone->apex);
    bh_zone_addf(ret_zone, ret_zone->apex, 3600, BH_DNS_MX, "10 %.*s.", BH_FMT(platform->inbound_host));
    return ret_zone->err;
}

bh_err bh_flat_zone_begin(struct bh_arena *arena, const struct bh_platform *platform, struct bh_zone *ret_zone)
{
    *ret_zone = bh_zone_make(arena, bh_arena_printf(arena, "flat.%.*s", BH_FMT(platform->domain)));
    add_soa(ret_zone, platform);
    add_ns(ret_zone, platform, ret_zone->apex);
    return ret_zone->err;
}

static void authorise_reports(struct bh_zone *zone, bh_str domain)
{
    bh_str prefix = bh_arena_printf(zone->arena, "%.*s._report._dmarc", BH_FMT(domain));

    if (prefix.n + 1 + zone->apex.n <= 253) /* longer: reports cannot be asked for from there */
        bh_zone_add_txt(zone, bh_zone_name(zone, prefix, zone->apex), 3600, BH_STR("v=DMARC1"));
}

void bh_rua_zone_add(struct bh_zone *zone, const struct bh_platform *platform, const struct bh_domain *domain)
{
    bh_str organisational = bh_domain_registrable(domain->name);

    if (bh_str_is_at_or_below(zone->apex, domain->name) && bh_str_eq(domain->name, platform->domain))
        return; /* our own reports need no authorisation: the same organisation */
    authorise_reports(zone, domain->name);
    if (!bh_str_eq(organisational, domain->name))
        authorise_reports(zone, organisational);
}

bh_err bh_build_delegated_zone(struct bh_arena *arena, const struct bh_platform *platform,
                               const struct bh_domain_view *view, struct bh_zone *ret_zone)
{
    const struct bh_approach_ops *ops = bh_approach_ops(view->domain.approach);

    if (!ops || !ops->zone)
        return BH_E_INVALID;
    *ret_zone = bh_zone_make(arena, view->domain.name);
    add_soa(ret_zone, platform);
    ops->zone(platform, view, ret_zone);
    return ret_zone->err;
}

/* ---- what is left of a removed domain ---- */

static void add_revoked_keys(struct bh_zone *zone, const struct bh_platform *platform,
                             const struct bh_domain_view *view, bh_str below)
{
    for (size_t i = 0; i < view->key_count; i++) {
        struct bh_key key = view->keys[i];

        key.state = BH_KEY_REVOKED;
        bh_zone_add_txt(zone, bh_zone_name(zone, key.selector, below), platform->ttl_s,
                        bh_key_record(zone->arena, &key));
    }
}

/* Mail that left before may still bounce: it finds us. */
static void add_dead_bounce(struct bh_zone *zone, const struct bh_platform *platform, bh_str owner)
{
    bh_zone_add_txt(zone, owner, platform->ttl_s, BH_STR("v=spf1 -all"));
    bh_zone_addf(zone, owner, platform->ttl_s, BH_DNS_MX, "10 %.*s.", BH_FMT(platform->inbound_host));
}

void bh_shard_zone_add_tombstone(struct bh_zone *zone, const struct bh_platform *platform, const char *kind,
                                 const struct bh_domain_view *view)
{
    bh_str target = bh_platform_target(zone->arena, platform, &view->domain.token, bh_str_c(kind));

    if (!bh_domain_has_targets(&view->domain))
        return;
    if (!target.p)
        zone->err = BH_E_NOMEM;
    else if (strcmp(kind, "dkim") == 0)
        add_revoked_keys(zone, platform, view, target);
    else if (strcmp(kind, "bounce") == 0)
        add_dead_bounce(zone, platform, target);
    else if (strcmp(kind, "spf") == 0)
        bh_zone_add_txt(zone, target, platform->ttl_s, BH_STR("v=spf1 -all"));
}

bh_err bh_build_tombstone_zone(struct bh_arena *arena, const struct bh_platform *platform,
                               const struct bh_domain_view *view, struct bh_zone *ret_zone)
{
    const struct bh_domain *domain = &view->domain;

    *ret_zone = bh_zone_make(arena, domain->name);
    add_soa(ret_zone, platform);
    for (size_t i = 0; i < platform->ns_count; i++)
        bh_zone_addf(ret_zone, domain->name, 3600, BH_DNS_NS, "%s.%s.%.*s.%.*s.", domain->token.id, domain->token.shard,
                     BH_FMT(platform->ns[i].label), BH_FMT(platform->domain));
    bh_zone_add_txt(ret_zone, domain->name, platform->ttl_s, BH_STR("v=spf1 -all"));
    add_dead_bounce(ret_zone, platform, bh_zone_name(ret_zone, domain->labels.bounce, domain->name));
    bh_zone_add_txt(ret_zone, bh_zone_name(ret_zone, BH_STR("_dmarc"), domain->name), platform->ttl_s,
                    BH_STR("v=DMARC1; p=reject"));
    add_revoked_keys(ret_zone, platform, view, bh_zone_name(ret_zone, BH_STR("_domainkey"), domain->name));
    return ret_zone->err;
}
