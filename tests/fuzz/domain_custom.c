/* Any text as a customer's own records: what is read and allowed makes, with our own records, a zone that is built. */
#include "domain/custom.h"
#include "domain/zones.h"
#include "proto/dns/zone.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const bh_str addresses[] = {{"192.0.2.53", 10}};
static const struct bh_platform_ns name_servers[] = {{{"ns1", 3}, addresses, 1}, {{"ns2", 3}, addresses, 1}};
static const struct bh_platform platform = {.domain = {"on.esp.example", 14},
                                            .ns = name_servers,
                                            .ns_count = 2,
                                            .inbound_host = {"in1.on.esp.example", 18},
                                            .egress = addresses,
                                            .egress_count = 1,
                                            .web_addresses = addresses,
                                            .web_address_count = 1,
                                            .helo = {"mta1.on.esp.example", 19},
                                            .caa = {"letsencrypt.org", 15},
                                            .dmarc_policy = {"none", 4},
                                            .ttl_s = 300};

static void build(const struct bh_zone *zone)
{
    struct bh_dns_zone_builder *builder = bh_dns_zone_builder_new(1);
    struct bh_dns_zone *built = NULL;
    struct bh_dns_name owner;
    const char *why;
    bh_str at;

    if (bh_dns_name_parse(zone->apex, NULL, &owner))
        abort();
    bh_dns_zone_builder_begin(builder, bh_dns_name_view(&owner));
    for (size_t i = 0; i < zone->count; i++)
        if (bh_dns_name_parse(zone->records[i].owner, NULL, &owner) ||
            bh_dns_zone_builder_add(builder, bh_dns_name_view(&owner), zone->records[i].ttl_s, zone->records[i].type,
                                    zone->records[i].rdata))
            abort();
    if (bh_dns_zone_builder_finish(builder, &built, &why, &at))
        abort();
    bh_dns_zone_unref(built);
    bh_dns_zone_builder_free(builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bh_arena *arena = bh_arena_new(64 << 20);
    struct bh_domain_view view = {.domain = {.name = BH_STR("email.customer.example"),
                                             .approach = BH_APPROACH_DELEGATION,
                                             .token = {"abcdefghijklmnopqrstuvwx23", "q7"},
                                             .labels = {BH_STR("bounce"), BH_STR("link"), BH_STR("img"), BH_STR("bh")},
                                             .dmarc_policy = {"", 0}}};
    struct bh_custom_problem problem = {0};
    struct bh_zone_record *records;
    struct bh_zone zone;
    size_t count = 0, own_count;
    bh_str why;

    if (bh_build_delegated_zone(arena, &platform, &view, &zone))
        abort();
    own_count = zone.count;
    if (!bh_custom_parse(arena, view.domain.name, bh_str_of((const char *)data, size), &records, &count, &problem))
        for (size_t i = 0; i < count; i++)
            if (bh_custom_allows(arena, &view, &zone, own_count, &records[i], &why))
                bh_zone_add_wire(&zone, records[i].owner, records[i].ttl_s, records[i].type, records[i].rdata);
    if (bh_custom_yield(&view.domain, &zone, own_count))
        abort(); /* what was just allowed stands in nobody's way */
    build(&zone);
    bh_arena_free(arena);
    return 0;
}
