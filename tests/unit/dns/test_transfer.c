/* Transfers, catalog, TSIG: what leaves can be read back, is signed, and a changed byte is noticed. */
#include "answers.h"
#include "proto/dns/transfer.h"
#include "proto/dns/tsig.h"
#include <stdlib.h>

static struct bh_dns_zones *make_zones(unsigned records)
{
    struct bh_dns_zones *zones = bh_dns_zones_new(9);
    struct bh_buf text = bh_buf_make(4 << 20);

    bh_buf_printf(&text, "$ORIGIN big.\n$TTL 60\n@ SOA . . 5 2 3 4 30\n");
    for (unsigned i = 0; i < records; i++)
        bh_buf_printf(&text, "n%u TXT \"%0200u\"\n", i, i);
    bh_buf_char(&text, '\0');
    add_zone(zones, text.p);
    add_zone(zones, "small. 60 SOA . . 7 2 3 4 30");
    bh_buf_free(&text);
    return zones;
}

static void parse_query(struct bh_buf *packet, const char *name, uint16_t type, struct bh_dns_message *ret_query)
{
    struct bh_dns_name wire = name_of(name);

    assert_ok(bh_dns_query_write(packet, 3, 0, bh_dns_name_view(&wire), type, 0, false));
    assert_ok(bh_dns_message_parse(bh_buf_view(packet), ret_query));
}

/* Runs a transfer; returns its records and counts messages and SOA records. */
static unsigned run_transfer(struct bh_dns_transfer *transfer, unsigned *ret_messages, unsigned *ret_soas)
{
    unsigned char *out = malloc(65535);
    unsigned records = 0;
    size_t n;

    *ret_messages = *ret_soas = 0;
    while ((n = bh_dns_transfer_next(transfer, out, 65000)) > 0) {
        struct bh_dns_rr_iter iter = {0};
        struct bh_dns_message message;
        struct bh_dns_rr rr;

        assert_ok(bh_dns_message_parse((bh_str){(char *)out, n}, &message));
        while (bh_dns_message_next(&message, &iter, &rr) == BH_MORE) {
            records++;
            *ret_soas += rr.type == BH_DNS_SOA;
        }
        ++*ret_messages;
    }
    free(out);
    bh_dns_transfer_end(transfer);
    return records;
}

static void test_axfr(void **state)
{
    struct bh_dns_zones *zones = make_zones(1000);
    struct bh_dns_name big = name_of("big");
    struct bh_buf packet = bh_buf_make(1000);
    struct bh_dns_transfer transfer;
    struct bh_dns_message query;
    unsigned messages, soas;

    parse_query(&packet, "BIG", BH_DNS_AXFR, &query);
    bh_dns_transfer_begin(&transfer, bh_dns_zones_get(zones, bh_dns_name_view(&big)), &query, false);
    assert_int_equal(run_transfer(&transfer, &messages, &soas), 1002);
    assert_int_equal(soas, 2);
    assert_true(messages > 10 && messages < 20);
    bh_buf_clear(&packet);
    parse_query(&packet, "big", BH_DNS_IXFR, &query);
    bh_dns_transfer_begin(&transfer, bh_dns_zones_get(zones, bh_dns_name_view(&big)), &query, true);
    assert_int_equal(run_transfer(&transfer, &messages, &soas), 1);
    bh_buf_free(&packet);
    bh_dns_zones_free(zones);
}

static void test_catalog(void **state)
{
    struct bh_dns_zones *zones = make_zones(1);
    struct bh_dns_zone_builder *builder = bh_dns_zone_builder_new(9);
    struct bh_dns_name apex = name_of("cat");
    struct bh_buf text = bh_buf_make(10000);
    struct bh_dns_zone *zone = NULL;

    assert_ok(bh_dns_catalog_build(builder, zones, bh_dns_name_view(&apex), 99, &zone));
    bh_dns_zone_print(&text, zone);
    assert_true(bh_str_search(bh_buf_view(&text), BH_STR("version.cat. 0 IN TXT \"2\"\n")) < text.n);
    assert_true(bh_str_search(bh_buf_view(&text), BH_STR(".zones.cat. 0 IN PTR big.\n")) < text.n);
    assert_true(bh_str_search(bh_buf_view(&text), BH_STR(".zones.cat. 0 IN PTR small.\n")) < text.n);
    assert_int_equal(zone->serial, 99);
    bh_dns_zone_unref(zone);
    bh_buf_free(&text);
    bh_dns_zone_builder_free(builder);
    bh_dns_zones_free(zones);
}

static const struct bh_dns_tsig_key *the_key(void)
{
    static const struct bh_dns_tsig_key key = {
        .name = {.n = 5, .wire = {3, 'k', 'e', 'y', 0}}, .secret = "0123456789abcdef", .secret_n = 16};

    return &key;
}

static size_t signed_query(unsigned char out[600])
{
    struct bh_buf packet = bh_buf_make(1000);
    struct bh_dns_message query;
    struct bh_dns_tsig tsig;
    size_t n;

    parse_query(&packet, "big", BH_DNS_SOA, &query);
    memcpy(out, packet.p, packet.n);
    bh_dns_tsig_begin(&tsig, the_key());
    n = bh_dns_tsig_sign(&tsig, 1000000, out, packet.n, 600);
    assert_true(n > packet.n);
    bh_buf_free(&packet);
    return n;
}

static bh_err check_at(unsigned char *packet, size_t n, uint64_t now, uint16_t *ret_error)
{
    struct bh_dns_message query;
    struct bh_dns_tsig tsig;
    bh_err err;

    if (bh_dns_message_parse((bh_str){(char *)packet, n}, &query) || !query.tsig_at)
        return BH_E_SYNTAX;
    err = bh_dns_tsig_check(&query, the_key(), 1, now, &tsig);
    *ret_error = tsig.error;
    return err;
}

static void test_tsig(void **state)
{
    unsigned char packet[600];
    size_t n = signed_query(packet);
    uint16_t error = 0;

    assert_ok(check_at(packet, n, 1000200, &error));
    assert_int_equal(check_at(packet, n, 1000301, &error), BH_E_DENIED);
    assert_int_equal(error, BH_DNS_TSIG_BADTIME);
    packet[13] ^= 1; /* another name is asked for */
    assert_int_equal(check_at(packet, n, 1000000, &error), BH_E_DENIED);
    assert_int_equal(error, BH_DNS_TSIG_BADSIG);
    packet[13] ^= 1;
    packet[0] ^= 1; /* a forwarder may change the id; the original one is signed */
    assert_ok(check_at(packet, n, 1000000, &error));
    packet[0] ^= 1;
    for (size_t i = 12; i < n; i++) { /* no change of any byte is taken, letter case of names aside */
        packet[i] ^= 1;
        if (check_at(packet, n, 1000000, &error) == BH_OK)
            fail_msg("byte %zu may be changed", i);
        packet[i] ^= 1;
    }
}

/* What a server answers to a query of ours counts when it is signed for that query. */
static void test_tsig_response(void **state)
{
    static const struct bh_dns_tsig_key key = {.secret = "0123456789abcdef", .secret_n = 16};
    struct bh_dns_tsig_key named = key, other;
    struct bh_dns_tsig sent, seen;
    struct bh_dns_message query, response;
    unsigned char packet[1000], answer[1000];
    struct bh_buf plain = bh_buf_make(1000);
    struct bh_dns_message parsed;
    size_t n, size;

    (void)state;
    named.name = name_of("key");
    other = named;
    other.secret[0] ^= 1;
    parse_query(&plain, "example", BH_DNS_SOA, &parsed);
    memcpy(packet, plain.p, plain.n);
    bh_dns_tsig_begin(&sent, &named);
    n = bh_dns_tsig_sign(&sent, 1000, packet, plain.n, sizeof packet);
    assert_ok(bh_dns_message_parse((bh_str){(char *)packet, n}, &query));
    assert_ok(bh_dns_tsig_check(&query, &named, 1, 1001, &seen));
    memcpy(answer, plain.p, plain.n);
    answer[2] |= 0x80;
    size = bh_dns_tsig_sign(&seen, 1002, answer, plain.n, sizeof answer);
    assert_ok(bh_dns_message_parse((bh_str){(char *)answer, size}, &response));
    assert_ok(bh_dns_tsig_verify(&response, &sent, 1003));
    assert_int_equal(bh_dns_tsig_verify(&response, &sent, 9999), BH_E_DENIED);
    answer[3] |= 5; /* REFUSED, by somebody on the way */
    assert_int_equal(bh_dns_tsig_verify(&response, &sent, 1003), BH_E_DENIED);
    answer[3] &= 0xf0;
    sent.mac[0] ^= 1; /* the answer to another query */
    assert_int_equal(bh_dns_tsig_verify(&response, &sent, 1003), BH_E_DENIED);
    sent.mac[0] ^= 1;
    sent.key = &other;
    assert_int_equal(bh_dns_tsig_verify(&response, &sent, 1003), BH_E_DENIED);
    assert_int_equal(bh_dns_tsig_verify(&parsed, &sent, 1003), BH_E_DENIED); /* not signed at all */
    bh_buf_free(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_axfr), cmocka_unit_test(test_catalog),
                                       cmocka_unit_test(test_tsig), cmocka_unit_test(test_tsig_response)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
