/* answers.h: a zone from text, and the response to a question as text: "RCODE flags" and one line per record. */
#ifndef BH_TESTS_DNS_ANSWERS_H
#define BH_TESTS_DNS_ANSWERS_H

#include "proto/dns/answer.h"
#include "proto/dns/zone_load.h"
#include "unit.h"

static inline struct bh_dns_name name_of(const char *text)
{
    struct bh_dns_name name;

    assert_ok(bh_dns_name_parse(bh_str_c(text), NULL, &name));
    return name;
}

static inline void add_zone(struct bh_dns_zones *zones, const char *text)
{
    struct bh_dns_zone_builder *builder = bh_dns_zone_builder_new(bh_dns_zones_seed(zones));
    struct bh_dns_zone_error error;
    struct bh_dns_zone *zone = NULL;

    if (bh_dns_zone_from_text(builder, bh_str_c(text), NULL, &zone, &error))
        fail_msg("line %u: %s", error.line, error.why);
    assert_ok(bh_dns_zones_put(zones, zone));
    bh_dns_zone_builder_free(builder);
}

static inline void print_response(struct bh_buf *out, bh_str packet)
{
    static const char *const marks = "? =+"; /* question, answer, authority, additional */
    struct bh_buf rdata = bh_buf_make(70000);
    struct bh_dns_rr_iter iter = {0};
    struct bh_dns_message message;
    struct bh_dns_rr rr;

    assert_ok(bh_dns_message_parse(packet, &message));
    bh_buf_printf(out, "%s%s%s%s", bh_dns_rcode_text(bh_dns_message_rcode(&message)),
                  message.flags & BH_DNS_AA ? " aa" : "", message.flags & BH_DNS_TC ? " tc" : "",
                  message.edns.present ? " edns" : "");
    while (bh_dns_message_next(&message, &iter, &rr) == BH_MORE) {
        if (rr.type == BH_DNS_OPT)
            continue;
        bh_buf_clear(&rdata);
        assert_ok(bh_dns_rdata_read(rr.type, packet, rr.rdata_at, rr.rdata_n, &rdata));
        bh_buf_printf(out, "\n%c", marks[rr.section]);
        bh_dns_record_print(out, bh_dns_name_view(&rr.owner), rr.ttl_s, rr.klass, rr.type, bh_buf_view(&rdata));
    }
    bh_buf_free(&rdata);
}

/* Asks `name` for `type` over UDP with `udp_size` (0: no EDNS). */
static inline void check_answer_sized(const struct bh_dns_zones *zones, const char *name, const char *type,
                                      uint16_t udp_size, bool dnssec, const char *expected)
{
    static const struct bh_dns_answer_options options = {.udp_max = 1232};
    static const struct bh_dns_client client = {.transport = BH_DNS_UDP};
    struct bh_buf query = bh_buf_make(1000), text = bh_buf_make(100000);
    struct bh_dns_name wire = name_of(name);
    struct bh_dns_outcome outcome;
    unsigned char out[4096];
    uint16_t number = 0;
    size_t n;

    assert_ok(bh_dns_type_parse(bh_str_c(type), &number));
    assert_ok(bh_dns_query_write(&query, 7, 0, bh_dns_name_view(&wire), number, udp_size, dnssec));
    n = bh_dns_answer(zones, &options, &client, bh_buf_view(&query), out, sizeof out, &outcome);
    assert_true(n <= (udp_size > 512 ? udp_size : 512) && n <= 1232);
    assert_memory_equal(out + 12, query.p + 12, wire.n); /* the question, letter case included */
    print_response(&text, (bh_str){(char *)out, n});
    assert_str(bh_buf_view(&text), expected);
    bh_buf_free(&query);
    bh_buf_free(&text);
}

static inline void check_answer(const struct bh_dns_zones *zones, const char *name, const char *type,
                                const char *expected)
{
    check_answer_sized(zones, name, type, 0, false, expected);
}

#endif
