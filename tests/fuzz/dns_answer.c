/* dns_answer.c: a zone and a query, both from the input: a master file, a zero byte, a message. The response fits its
 * limit, can be parsed, carries the query's id and question, and is AA or REFUSED or an error or a referral. */
#include "proto/dns/answer.h"
#include "proto/dns/zone_load.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static void check_response(bh_str query, bh_str response, size_t limit, const struct bh_dns_outcome *outcome)
{
    struct bh_dns_message asked, answered;
    bool readable = bh_dns_message_parse(query, &asked) == BH_OK;

    CHECK(response.n <= limit && response.n >= BH_DNS_HEADER_BYTES);
    CHECK(bh_dns_message_parse(response, &answered) == BH_OK);
    CHECK(answered.id == asked.id && (answered.flags & BH_DNS_QR));
    CHECK(bh_dns_message_rcode(&answered) == outcome->rcode);
    CHECK(answered.edns.present == asked.edns.present);
    if (readable && asked.counts[BH_DNS_QUESTION] == 1)
        CHECK(answered.type == asked.type && answered.klass == asked.klass &&
              bh_str_eq(bh_dns_name_view(&answered.name), bh_dns_name_view(&asked.name)));
    if (answered.flags & BH_DNS_TC)
        CHECK(answered.counts[BH_DNS_ANSWER] == 0 && answered.counts[BH_DNS_AUTHORITY] == 0);
    if (outcome->class == BH_DNS_OUTCOME_REFERRAL && !(answered.flags & BH_DNS_TC))
        CHECK(answered.counts[BH_DNS_AUTHORITY] > 0);
}

static void ask(const struct bh_dns_zones *zones, bh_str query, enum bh_dns_transport transport)
{
    static const struct bh_dns_cookie_secrets secrets = {.secret = {"secret"}, .count = 1};
    static const struct bh_dns_answer_options options = {.udp_max = 1232, .cookies = &secrets};
    struct bh_dns_client client = {.transport = transport, .address = BH_STR("\x7f\0\0\1")};
    size_t cap = transport == BH_DNS_UDP ? 1232 : BH_DNS_MESSAGE_MAX;
    struct bh_dns_outcome outcome;
    char *out = malloc(cap);
    size_t n;

    CHECK(out);
    n = bh_dns_answer(zones, &options, &client, query, out, cap, &outcome);
    if (n)
        check_response(query, (bh_str){out, n}, cap, &outcome);
    else
        CHECK(outcome.class == BH_DNS_OUTCOME_DROPPED);
    free(out);
}

/* Asks what the zone itself speaks of: each owner and what is beside and below it. */
static void ask_names(const struct bh_dns_zones *zones, const struct bh_dns_zone *zone)
{
    static const uint16_t types[] = {BH_DNS_A, BH_DNS_NS, BH_DNS_CNAME, BH_DNS_ANY, BH_DNS_DS};

    for (uint32_t i = 0; i < zone->nodes && i < 16; i++) {
        struct bh_dns_name below;

        if (bh_dns_name_join((bh_str){"\1q", 3}, bh_dns_node_name(zone, &zone->node[i]), &below))
            continue;
        for (size_t j = 0; j < 2 * sizeof types / sizeof types[0]; j++) {
            struct bh_buf query = bh_buf_make(600);
            bh_str name = j % 2 ? bh_dns_name_view(&below) : bh_dns_node_name(zone, &zone->node[i]);

            CHECK(bh_dns_query_write(&query, 9, 0, name, types[j / 2], 1232, true) == BH_OK);
            ask(zones, bh_buf_view(&query), BH_DNS_UDP);
            bh_buf_free(&query);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bh_str input = {(const char *)data, size}, query = {NULL, 0};
    bh_str text = bh_str_cut(input, '\0', &query);
    struct bh_dns_zones *zones = bh_dns_zones_new(5);
    struct bh_dns_zone_builder *builder = bh_dns_zone_builder_new(5);
    struct bh_dns_zone_error error;
    struct bh_dns_zone *zone = NULL;

    if (bh_dns_zone_from_text(builder, text, NULL, &zone, &error) == BH_OK) {
        CHECK(bh_dns_zones_put(zones, zone) == BH_OK);
        ask_names(zones, zone);
    }
    ask(zones, query, BH_DNS_UDP);
    ask(zones, query, BH_DNS_TCP);
    bh_dns_zone_builder_free(builder);
    bh_dns_zones_free(zones);
    return 0;
}
