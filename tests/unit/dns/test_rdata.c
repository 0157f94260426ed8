/* Record data: text to wire and back, for every type of the table; wrong data refused. */
#include "base/text.h"
#include "proto/dns/rdata.h"
#include "unit.h"

static bh_err parse(const char *type, const char *text, struct bh_buf *out)
{
    uint16_t number = 0;

    assert_ok(bh_dns_type_parse(bh_str_c(type), &number));
    bh_buf_clear(out);
    return bh_dns_rdata_parse_text(number, bh_str_c(text), NULL, out);
}

/* `text` becomes `hex` (NULL: whatever) and prints as `back`. */
static void check(const char *type, const char *text, const char *hex, const char *back)
{
    struct bh_buf wire = bh_buf_make(70000), out = bh_buf_make(300000), copy = bh_buf_make(70000);
    uint16_t number = 0;

    assert_ok(bh_dns_type_parse(bh_str_c(type), &number));
    assert_ok(parse(type, text, &wire));
    assert_true(bh_dns_rdata_valid(number, bh_buf_view(&wire)));
    if (hex) {
        bh_hex_encode(&out, bh_buf_view(&wire));
        assert_str(bh_buf_view(&out), hex);
        bh_buf_clear(&out);
    }
    bh_dns_rdata_print(&out, number, bh_buf_view(&wire));
    assert_str(bh_buf_view(&out), back);
    assert_ok(bh_dns_rdata_read(number, bh_buf_view(&wire), 0, wire.n, &copy));
    assert_true(bh_str_eq(bh_buf_view(&copy), bh_buf_view(&wire)));
    bh_buf_free(&wire);
    bh_buf_free(&out);
    bh_buf_free(&copy);
}

static void test_simple(void **state)
{
    check("A", "192.0.2.1", "c0000201", "192.0.2.1");
    check("aaaa", "2001:DB8::1", "20010db8000000000000000000000001", "2001:db8::1");
    check("NS", "ns.Example.", "026e73074578616d706c6500", "ns.Example.");
    check("CNAME", ".", "00", ".");
    check("MX", "10 mx.example.", NULL, "10 mx.example.");
    check("MX", "0 .", "000000", "0 .");
    check("SOA", "ns. host. 4000000000 1h 15m 1w 300", NULL, "ns. host. 4000000000 3600 900 604800 300");
    check("SRV", "1 2 65535 target.", NULL, "1 2 65535 target.");
    check("TXT", "v=spf1 \"a b\" \"\" c\\;\\\"\\200", NULL, "\"v=spf1\" \"a b\" \"\" \"c;\\\"\\200\"");
    check("SPF", "\"x\"", "0178", "\"x\"");
    check("HINFO", "\"RFC8482\" \"\"", NULL, "\"RFC8482\" \"\"");
    check("CAA", "0 issue \"letsencrypt.org\"", NULL, "0 issue \"letsencrypt.org\"");
    check("URI", "1 2 \"https://x/\"", NULL, "1 2 \"https://x/\"");
    check("NAPTR", "1 2 \"S\" \"x\" \"\" a.b.", NULL, "1 2 \"S\" \"x\" \"\" a.b.");
}

static void test_dnssec(void **state)
{
    check("DS", "1 13 2 ABCD ef01", "00010d02abcdef01", "1 13 2 abcdef01");
    check("DNSKEY", "257 3 13 AQID BAUG", "0101030d010203040506", "257 3 13 AQIDBAUG");
    check("TLSA", "3 1 1 00ff", "03010100ff", "3 1 1 00ff");
    check("NSEC", "b. A MX RRSIG NSEC TYPE1234", NULL, "b. A MX RRSIG NSEC TYPE1234");
    check("NSEC", "b. A NS SOA MX RRSIG NSEC DNSKEY", "016200000762010000000380", "b. A NS SOA MX RRSIG NSEC DNSKEY");
    check("RRSIG", "A 13 2 3600 20261122000000 1767225600 7 example. AQID", NULL,
          "A 13 2 3600 20261122000000 20260101000000 7 example. AQID");
}

static void test_svcb(void **state)
{
    check("HTTPS", "0 other.", NULL, "0 other.");
    check("HTTPS", "1 . alpn=\"h2,h3\" port=443 ipv4hint=192.0.2.1,192.0.2.2", NULL,
          "1 . alpn=\"h2,h3\" port=443 ipv4hint=192.0.2.1,192.0.2.2");
    check("SVCB", "1 x. port=53 mandatory=port no-default-alpn alpn=dot key667=\"a b\"", NULL,
          "1 x. mandatory=port alpn=\"dot\" no-default-alpn port=53 key667=\"a b\"");
    /* RFC 9460 D.2: escapes in two layers */
    check("SVCB", "16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"", NULL,
          "16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"");
}

static void test_rare(void **state)
{
    check("LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m", NULL,
          "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m");
    check("LOC", "42 N 71 w 0", NULL, "42 0 0.000 N 71 0 0.000 W 0.00m 1m 10000m 10m");
    check("APL", "1:192.168.32.0/21 !1:192.168.38.0/28 2:2001:db8::/32", "00011503c0a82000011c83c0a8260002200420010db8",
          "1:192.168.32.0/21 !1:192.168.38.0/28 2:2001:db8::/32");
    check("EUI48", "00-00-5e-00-53-2A", "00005e00532a", "00-00-5e-00-53-2a");
    check("EUI64", "00-00-5e-ef-10-00-00-2a", "00005eef1000002a", "00-00-5e-ef-10-00-00-2a");
    check("NID", "10 0014:4fff:ff20:ee64", "000a00144fffff20ee64", "10 0014:4fff:ff20:ee64");
    check("CERT", "PGP 0 0 AQID", "0003000000010203", "PGP 0 0 AQID");
    check("CERT", "1 2 RSASHA1 AQID", "0001000205010203", "PKIX 2 5 AQID");
    check("DNSKEY", "257 3 ECDSAP256SHA256 AQID", "0101030d010203", "257 3 13 AQID");
    check("CSYNC", "66 3 A NS AAAA", "000000420003000460000008", "66 3 A NS AAAA");
    check("MINFO", "a. b.", "016100016200", "a. b.");
}

static void test_unknown(void **state)
{
    check("TYPE65400", "\\# 3 01 0203", "010203", "\\# 3 010203");
    check("TYPE65400", "\\# 0", "", "\\# 0");
    check("A", "\\# 4 c0000201", "c0000201", "192.0.2.1");
    check("TYPE1", "192.0.2.1", "c0000201", "192.0.2.1");
}

static void test_refused(void **state)
{
    static const char *const bad[][2] = {
        {"A", "192.0.2"},
        {"A", ""},
        {"A", "192.0.2.1 x"},
        {"A", "\\# 3 010203"},
        {"AAAA", "1.2.3.4"},
        {"MX", "10"},
        {"MX", "65536 a."},
        {"TXT", ""},
        {"TXT", "\"a"},
        {"DS", "1 13 2 f"},
        {"CAA", "0 is-sue x"},
        {"TYPE65400", "01"},
        {"TYPE65400", "\\# 2 01"},
        {"SVCB", "1 . port=1 port=2"},
        {"NS", "a..b."},
        {"SOA", "a. b. 1 2 3 4"},
        {"LOC", "91 N 0 E 0"},
        {"LOC", "1 60 N 0 E 0"},
        {"LOC", "1 N 0 E"},
        {"LOC", "1 2 3 4 N 0 E 0"},
        {"APL", "1:192.168.32.0/33"},
        {"APL", "3:192.168.32.0/3"},
        {"EUI48", "00-00-5e-00-53"},
        {"NID", "10 0014:4fff:ff20:ee6"},
        {"DNSKEY", "257 3 RSASHA999 AQID"},
        {"A", "\\# 4 c00002"},
    };
    struct bh_buf wire = bh_buf_make(70000);
    char text[300];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (parse(bad[i][0], bad[i][1], &wire) == BH_OK)
            fail_msg("accepted: %s %s", bad[i][0], bad[i][1]);
    memset(text, 'a', sizeof text);
    text[256] = '\0';
    assert_int_equal(parse("TXT", text, &wire), BH_E_LIMIT);
    text[255] = '\0';
    assert_ok(parse("TXT", text, &wire));
    bh_buf_free(&wire);
}

static void test_compressed(void **state)
{
    static const char packet[] = "\3net\0\0\x0a\2mx\xc0\0";
    struct bh_buf out = bh_buf_make(1000);

    assert_ok(bh_dns_rdata_read(BH_DNS_MX, bh_str_of(packet, sizeof packet - 1), 5, 7, &out));
    assert_true(bh_str_eq(bh_buf_view(&out), BH_STR("\0\x0a\2mx\3net\0")));
    bh_buf_clear(&out);
    assert_int_equal(bh_dns_rdata_read(BH_DNS_MX, bh_str_of(packet, sizeof packet - 1), 5, 6, &out), BH_E_TRUNCATED);
    bh_buf_clear(&out);
    bh_dns_rdata_canonical(BH_DNS_MX, BH_STR("\0\x0a\2Mx\3nEt\0"), &out);
    assert_true(bh_str_eq(bh_buf_view(&out), BH_STR("\0\x0a\2mx\3net\0")));
    bh_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple),     cmocka_unit_test(test_dnssec),  cmocka_unit_test(test_svcb),
        cmocka_unit_test(test_rare),       cmocka_unit_test(test_unknown), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_compressed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
