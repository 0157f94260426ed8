/* Cookies: the example of RFC 9018 appendix A, their life, and how answers carry them. */
#include "answers.h"
#include "base/text.h"

static const struct bh_dns_cookie_secrets *secrets(void)
{
    static const struct bh_dns_cookie_secrets made = {
        .secret = {{0xe5, 0xe9, 0x73, 0xe5, 0xa6, 0xb2, 0xa4, 0x3f, 0x48, 0xe7, 0xdc, 0x84, 0x9e, 0x37, 0xbf, 0xcf}},
        .count = 1};

    return &made;
}

static enum bh_dns_cookie_state check(const char *hex, const char *address, uint32_t now, const char *expected)
{
    struct bh_buf option = bh_buf_make(100), text = bh_buf_make(100);
    unsigned char cookie[BH_DNS_COOKIE_BYTES];
    enum bh_dns_cookie_state state;

    assert_ok(bh_hex_decode(&option, bh_str_c(hex)));
    state = bh_dns_cookie_check(secrets(), bh_buf_view(&option), (bh_str){address, 4}, now, cookie);
    if (expected) {
        bh_hex_encode(&text, (bh_str){(char *)cookie, sizeof cookie});
        assert_str(bh_buf_view(&text), expected);
    }
    bh_buf_free(&option);
    bh_buf_free(&text);
    return state;
}

#define CLIENT "2464c4abcf10c957"
#define FULL CLIENT "010000005cf79f111f8130c3eee29480"
#define ADDRESS "\xc6\x33\x64\x64" /* 198.51.100.100 */
#define THEN 1559731985u

static void test_states(void **state)
{
    assert_int_equal(check(CLIENT, ADDRESS, THEN, FULL), BH_DNS_COOKIE_UNKNOWN);
    assert_int_equal(check(FULL, ADDRESS, THEN + 1000, FULL), BH_DNS_COOKIE_VALID);
    assert_int_equal(check(FULL, ADDRESS, THEN + 3000, NULL), BH_DNS_COOKIE_VALID); /* and a new one is given */
    assert_int_equal(check(FULL, ADDRESS, THEN + 3601, NULL), BH_DNS_COOKIE_UNKNOWN);
    assert_int_equal(check(FULL, ADDRESS, THEN - 301, NULL), BH_DNS_COOKIE_UNKNOWN);
    assert_int_equal(check(FULL, "\xc6\x33\x64\x65", THEN, NULL), BH_DNS_COOKIE_UNKNOWN);
    assert_int_equal(check("2464c4abcf10c9", ADDRESS, THEN, NULL), BH_DNS_COOKIE_MALFORMED);
    assert_int_equal(check(CLIENT "01", ADDRESS, THEN, NULL), BH_DNS_COOKIE_MALFORMED);
}

/* A query with the client's cookie alone; `questions` 0 or 1. Returns the rcode; the response's cookie is counted. */
static int ask_with_cookie(unsigned questions, bool malformed, bool *ret_cookie)
{
    static const struct bh_dns_answer_options options = {.udp_max = 1232};
    struct bh_dns_answer_options with = options;
    struct bh_dns_client client = {.transport = BH_DNS_UDP, .now_s = THEN, .address = {ADDRESS, 4}};
    struct bh_dns_zones *zones = bh_dns_zones_new(1);
    struct bh_dns_outcome outcome;
    struct bh_dns_writer writer;
    struct bh_dns_message message;
    unsigned char query[200], out[1232];
    size_t n;

    with.cookies = secrets();
    bh_dns_writer_begin(&writer, query, sizeof query);
    if (questions)
        bh_dns_writer_question(&writer, BH_STR("\1a\0"), BH_DNS_A, BH_DNS_CLASS_IN);
    bh_dns_writer_opt(&writer, 1232, 0, false,
                      malformed ? BH_STR("\0\x0a\0\7abcdefg")
                                : BH_STR("\0\x0a\0\x8"
                                         "abcdefgh"));
    n = bh_dns_writer_end(&writer, 1, 0);
    n = bh_dns_answer(zones, &with, &client, (bh_str){(char *)query, n}, out, sizeof out, &outcome);
    assert_ok(bh_dns_message_parse((bh_str){(char *)out, n}, &message));
    *ret_cookie = bh_dns_edns_option(&message.edns, BH_DNS_OPTION_COOKIE).n == BH_DNS_COOKIE_BYTES;
    bh_dns_zones_free(zones);
    return (int)bh_dns_message_rcode(&message);
}

static void test_answers(void **state)
{
    bool cookie = false;

    assert_int_equal(ask_with_cookie(1, false, &cookie), BH_DNS_RCODE_REFUSED);
    assert_true(cookie);
    assert_int_equal(ask_with_cookie(0, false, &cookie), BH_DNS_RCODE_NOERROR);
    assert_true(cookie);
    assert_int_equal(ask_with_cookie(1, true, &cookie), BH_DNS_RCODE_FORMERR);
    assert_false(cookie);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_states), cmocka_unit_test(test_answers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
