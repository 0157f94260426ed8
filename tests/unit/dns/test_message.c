/* Messages: parsing with bounds, compression, queries and their responses. */
#include "proto/dns/message.h"
#include "unit.h"

static void test_query(void **state)
{
    struct bh_buf packet = bh_buf_make(1000);
    struct bh_dns_message message;
    bh_str name = BH_STR("\1a\4Test\0");

    assert_ok(bh_dns_query_write(&packet, 77, BH_DNS_RD, name, BH_DNS_MX, 1232, true));
    assert_ok(bh_dns_message_parse(bh_buf_view(&packet), &message));
    assert_int_equal(message.id, 77);
    assert_int_equal(message.flags, BH_DNS_RD);
    assert_int_equal(message.type, BH_DNS_MX);
    assert_true(bh_str_eq(bh_dns_name_view(&message.name), name));
    assert_true(message.edns.present && message.edns.dnssec_ok);
    assert_int_equal(message.edns.udp_size, 1232);
    assert_false(bh_dns_response_matches(&message, 77, name, BH_DNS_MX));
    packet.p[2] |= (char)0x80;
    assert_ok(bh_dns_message_parse(bh_buf_view(&packet), &message));
    assert_true(bh_dns_response_matches(&message, 77, BH_STR("\1A\4test\0"), BH_DNS_MX));
    assert_false(bh_dns_response_matches(&message, 78, name, BH_DNS_MX));
    /* cut anywhere, it is an error and never read past its end */
    for (size_t n = 0; n < packet.n; n++) {
        char *copy = test_malloc(n + 1);

        memcpy(copy, packet.p, n);
        assert_int_not_equal(bh_dns_message_parse((bh_str){copy, n}, &message), BH_OK);
        test_free(copy);
    }
    bh_buf_free(&packet);
}

static void test_writer(void **state)
{
    unsigned char room[200];
    struct bh_dns_writer writer;
    struct bh_dns_writer_mark mark;
    struct bh_dns_rr_iter iter = {0};
    struct bh_dns_message message;
    struct bh_dns_rr rr;
    size_t n;

    bh_dns_writer_begin(&writer, room, sizeof room);
    bh_dns_writer_question(&writer, BH_STR("\3www\7example\0"), BH_DNS_MX, BH_DNS_CLASS_IN);
    bh_dns_writer_record(&writer, BH_DNS_ANSWER, BH_STR("\3WWW\7example\0"), BH_DNS_MX, BH_DNS_CLASS_IN, 5,
                         BH_STR("\0\1\2mx\7Example\0"));
    assert_int_equal(writer.n, 12 + 17 + 12 + 2 + 5); /* owner and the tail of the target are pointers */
    mark = bh_dns_writer_mark(&writer);
    for (int i = 0; i < 20; i++)
        bh_dns_writer_record(&writer, BH_DNS_ADDITIONAL, BH_STR("\2mx\7example\0"), BH_DNS_TXT, BH_DNS_CLASS_IN, 5,
                             BH_STR("\4text"));
    assert_true(writer.full);
    bh_dns_writer_rewind(&writer, &mark);
    n = bh_dns_writer_end(&writer, 1, BH_DNS_QR | BH_DNS_AA);
    assert_ok(bh_dns_message_parse((bh_str){(char *)room, n}, &message));
    assert_int_equal(bh_dns_message_next(&message, &iter, &rr), BH_MORE);
    assert_int_equal(rr.section, BH_DNS_ANSWER);
    assert_true(bh_dns_name_eq(bh_dns_name_view(&rr.owner), BH_STR("\3www\7example\0")));
    assert_int_equal(bh_dns_message_next(&message, &iter, &rr), BH_DONE);
}

static void test_options(void **state)
{
    struct bh_dns_edns edns = {.options = BH_STR("\0\x0a\0\2ab\0\x0b\0\0")};

    assert_str(bh_dns_edns_option(&edns, 10), "ab");
    assert_non_null(bh_dns_edns_option(&edns, 11).p);
    assert_null(bh_dns_edns_option(&edns, 12).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_writer),
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
