/* Answers: every branch of RFC 1034 4.3.2, wildcards of RFC 4592 2.2, headers and EDNS. */
#include "answers.h"

static const char main_zone[] = "$ORIGIN example.\n$TTL 3600\n"
                                "@ SOA ns1 host 1 7200 3600 1209600 60\n"
                                "@ NS ns1\n@ NS ns.other.test.\n@ MX 10 mail\n"
                                "ns1 A 192.0.2.1\nmail A 192.0.2.2\nmail AAAA 2001:db8::2\n"
                                "bh1._domainkey TXT \"v=DKIM1\"\n"
                                "* TXT \"any\"\n* MX 5 mail\n" /* RFC 4592 2.2.1 */
                                "sub.* TXT \"below\"\nhost1 A 192.0.2.3\n_ssh._tcp.host1 SRV 0 0 22 host1\n"
                                "subdel NS ns.subdel\nsubdel NS ns1\nns.subdel A 192.0.2.9\nhidden.subdel TXT \"x\"\n"
                                "c1 CNAME c2\nc2 CNAME mail\nloop1 CNAME loop2\nloop2 CNAME loop1\n"
                                "out CNAME www.other.test.\ngone CNAME no.host1\nintosub CNAME x.subdel\n"
                                "*.w CNAME mail\nacross CNAME www.second\n";
static const char second_zone[] =
    "second.example. 300 SOA . . 1 7200 3600 1209600 60\nwww.second.example. 300 A 192.0.2.7";

#define SOA "=example. 60 IN SOA ns1.example. host.example. 1 7200 3600 1209600 60"

static struct bh_dns_zones *make_zones(void)
{
    struct bh_dns_zones *zones = bh_dns_zones_new(42);

    add_zone(zones, main_zone);
    add_zone(zones, second_zone);
    return zones;
}

static void test_plain(void **state)
{
    struct bh_dns_zones *zones = make_zones();

    check_answer(zones, "MAIL.example", "A", "NOERROR aa\n MAIL.example. 3600 IN A 192.0.2.2");
    check_answer(zones, "example", "NS",
                 "NOERROR aa\n example. 3600 IN NS ns.other.test.\n example. 3600 IN NS ns1.example.\n"
                 "+ns1.example. 3600 IN A 192.0.2.1");
    check_answer(zones, "example", "MX",
                 "NOERROR aa\n example. 3600 IN MX 10 mail.example.\n+mail.example. 3600 IN A 192.0.2.2\n"
                 "+mail.example. 3600 IN AAAA 2001:db8::2");
    check_answer(zones, "mail.example", "TXT", "NOERROR aa\n" SOA);
    check_answer(zones, "_domainkey.example", "TXT", "NOERROR aa\n" SOA);
    check_answer(zones, "a.host1.example", "A", "NXDOMAIN aa\n" SOA);
    check_answer(zones, "elsewhere", "A", "REFUSED");
    check_answer(zones, "mail.example", "ANY", "NOERROR aa\n mail.example. 3600 IN A 192.0.2.2");
    check_answer(zones, "www.second.example", "A", "NOERROR aa\n www.second.example. 300 IN A 192.0.2.7");
    bh_dns_zones_free(zones);
}

static void test_wildcards(void **state)
{
    struct bh_dns_zones *zones = make_zones();

    /* the questions of RFC 4592 2.2.1 */
    check_answer(zones, "host3.example", "MX",
                 "NOERROR aa\n host3.example. 3600 IN MX 5 mail.example.\n+mail.example. 3600 IN A 192.0.2.2\n"
                 "+mail.example. 3600 IN AAAA 2001:db8::2");
    check_answer(zones, "host3.example", "A", "NOERROR aa\n" SOA);
    check_answer(zones, "foo.bar.example", "TXT", "NOERROR aa\n foo.bar.example. 3600 IN TXT \"any\"");
    check_answer(zones, "host1.example", "MX", "NOERROR aa\n" SOA);
    check_answer(zones, "sub.*.example", "MX", "NOERROR aa\n" SOA);
    check_answer(zones, "_telnet._tcp.host1.example", "SRV", "NXDOMAIN aa\n" SOA);
    check_answer(zones, "ghost.*.example", "MX", "NXDOMAIN aa\n" SOA);
    check_answer(zones, "x._domainkey.example", "TXT", "NXDOMAIN aa\n" SOA);
    check_answer(zones, "*.example", "TXT", "NOERROR aa\n *.example. 3600 IN TXT \"any\"");
    check_answer(zones, "a.b.w.example", "A",
                 "NOERROR aa\n a.b.w.example. 3600 IN CNAME mail.example.\n mail.example. 3600 IN A 192.0.2.2");
    bh_dns_zones_free(zones);
}

static void test_chains(void **state)
{
    struct bh_dns_zones *zones = make_zones();

    check_answer(zones, "c1.example", "A",
                 "NOERROR aa\n c1.example. 3600 IN CNAME c2.example.\n c2.example. 3600 IN CNAME mail.example.\n"
                 " mail.example. 3600 IN A 192.0.2.2");
    check_answer(zones, "c1.example", "CNAME", "NOERROR aa\n c1.example. 3600 IN CNAME c2.example.");
    check_answer(
        zones, "loop1.example", "A",
        "NOERROR aa\n loop1.example. 3600 IN CNAME loop2.example.\n loop2.example. 3600 IN CNAME loop1.example.");
    check_answer(zones, "out.example", "A", "NOERROR aa\n out.example. 3600 IN CNAME www.other.test.");
    check_answer(zones, "gone.example", "A", "NXDOMAIN aa\n gone.example. 3600 IN CNAME no.host1.example.\n" SOA);
    check_answer(zones, "across.example", "A",
                 "NOERROR aa\n across.example. 3600 IN CNAME www.second.example.\n"
                 " www.second.example. 300 IN A 192.0.2.7");
    bh_dns_zones_free(zones);
}

#define REFERRAL                                                                                                       \
    "=subdel.example. 3600 IN NS ns.subdel.example.\n=subdel.example. 3600 IN NS ns1.example.\n"                       \
    "+ns.subdel.example. 3600 IN A 192.0.2.9\n+ns1.example. 3600 IN A 192.0.2.1"

static void test_delegations(void **state)
{
    struct bh_dns_zones *zones = make_zones();

    check_answer(zones, "subdel.example", "A", "NOERROR\n" REFERRAL);
    check_answer(zones, "subdel.example", "NS", "NOERROR\n" REFERRAL);
    check_answer(zones, "hidden.subdel.example", "TXT", "NOERROR\n" REFERRAL);
    check_answer(zones, "ns.subdel.example", "A", "NOERROR\n" REFERRAL);
    check_answer(zones, "subdel.example", "DS", "NOERROR aa\n" SOA);
    check_answer(zones, "intosub.example", "A",
                 "NOERROR aa\n intosub.example. 3600 IN CNAME x.subdel.example.\n" REFERRAL);
    /* DS of a zone whose parent we have too: the parent answers */
    check_answer(zones, "second.example", "DS", "NOERROR aa\n" SOA);
    bh_dns_zones_free(zones);
}

static void test_sizes(void **state)
{
    struct bh_dns_zones *zones = bh_dns_zones_new(1);
    struct bh_buf text = bh_buf_make(100000);

    bh_buf_printf(&text, "big. 5 SOA . . 1 2 3 4 5\n");
    for (int i = 0; i < 5; i++)
        bh_buf_printf(&text, "t TXT \"%0200d\"\n", i);
    bh_buf_printf(&text, "d NS a.d\nd NS b.d\n");
    for (int i = 0; i < 20; i++)
        bh_buf_printf(&text, "a.d A 192.0.2.%d\nb.d AAAA 2001:db8::%d\n", i, i);
    bh_buf_printf(&text, "t MX 1 big.\nbig. MX 1 a.d\n");
    bh_buf_char(&text, '\0');
    {
        struct bh_buf absolute = bh_buf_make(200000);

        bh_buf_printf(&absolute, "$ORIGIN big.\n%s", text.p);
        bh_buf_char(&absolute, '\0');
        add_zone(zones, absolute.p);
        bh_buf_free(&absolute);
    }
    check_answer(zones, "t.big", "TXT", "NOERROR aa tc");
    check_answer_sized(zones, "t.big", "TXT", 1000, false, "NOERROR aa tc edns");
    check_answer(zones, "x.d.big", "A", "NOERROR tc"); /* glue that is needed does not fit (RFC 9471) */
    check_answer_sized(zones, "nothing.big", "A", 4096, false, "NXDOMAIN aa edns\n=big. 5 IN SOA . . 1 2 3 4 5");
    bh_buf_free(&text);
    bh_dns_zones_free(zones);
}

/* Sends raw bytes; returns the rcode, or -1 when nothing is answered. */
static int raw_rcode(const struct bh_dns_zones *zones, const char *bytes, size_t n)
{
    static const struct bh_dns_answer_options options = {.udp_max = 1232};
    static const struct bh_dns_client client = {.transport = BH_DNS_UDP};
    struct bh_dns_message message;
    struct bh_dns_outcome outcome;
    unsigned char out[512];
    size_t size = bh_dns_answer(zones, &options, &client, (bh_str){bytes, n}, out, sizeof out, &outcome);

    if (size == 0)
        return -1;
    assert_ok(bh_dns_message_parse((bh_str){(char *)out, size}, &message));
    assert_int_equal(message.id, 0x4142);
    assert_true(message.flags & BH_DNS_QR);
    assert_false(message.flags & (BH_DNS_RA | BH_DNS_AD));
    return (int)bh_dns_message_rcode(&message);
}

#define HEAD(flags, qd, ar) "AB" flags "\0" qd "\0\0\0\0\0" ar
#define QUESTION "\4mail\7example\0\0\1\0\1"
#define RAW(bytes) raw_rcode(zones, bytes, sizeof(bytes) - 1)

static void test_headers(void **state)
{
    struct bh_dns_zones *zones = make_zones();

    assert_int_equal(RAW("AB\0\0\0\1\0\0\0\0\0"), -1);              /* short */
    assert_int_equal(RAW(HEAD("\x80\0", "\1", "\0") QUESTION), -1); /* a response */
    assert_int_equal(RAW(HEAD("\0\0", "\1", "\0") QUESTION), BH_DNS_RCODE_NOERROR);
    assert_int_equal(RAW(HEAD("\x1\x70", "\1", "\0") QUESTION), BH_DNS_RCODE_NOERROR); /* RD, Z, AD, CD */
    assert_int_equal(RAW(HEAD("\0\0", "\0", "\0")), BH_DNS_RCODE_FORMERR);
    assert_int_equal(RAW(HEAD("\0\0", "\2", "\0") QUESTION QUESTION), BH_DNS_RCODE_FORMERR);
    assert_int_equal(RAW(HEAD("\0\0", "\1", "\0") "\4mail\7exam"), BH_DNS_RCODE_FORMERR);
    assert_int_equal(RAW(HEAD("\0\0", "\1", "\0") QUESTION "x"), BH_DNS_RCODE_FORMERR);
    assert_int_equal(RAW(HEAD("\x10\0", "\1", "\0") QUESTION), BH_DNS_RCODE_NOTIMP);                   /* opcode 2 */
    assert_int_equal(RAW(HEAD("\0\0", "\1", "\0") "\4mail\7example\0\0\1\0\3"), BH_DNS_RCODE_REFUSED); /* class CH */
    bh_dns_zones_free(zones);
}

#define OPT(version, z, options) "\0\0\x29\x10\0\0" version z "\0\0" options

static void test_edns(void **state)
{
    struct bh_dns_zones *zones = make_zones();

    assert_int_equal(RAW(HEAD("\0\0", "\1", "\1") QUESTION OPT("\0", "\0", "\0")), BH_DNS_RCODE_NOERROR);
    assert_int_equal(RAW(HEAD("\0\0", "\1", "\1") QUESTION OPT("\1", "\0", "\0")), BH_DNS_RCODE_BADVERS);
    assert_int_equal(RAW(HEAD("\0\0", "\1", "\1") QUESTION "\0\0\x29\x10\0\0\0\0\0\0\4\xff\1\0\0"),
                     BH_DNS_RCODE_NOERROR); /* an unknown option */
    assert_int_equal(RAW(HEAD("\0\0", "\1", "\1") QUESTION "\0\0\x29\x10\0\0\0\0\0\0\4\xff\1\0\1"),
                     BH_DNS_RCODE_FORMERR); /* an option longer than OPT */
    assert_int_equal(RAW(HEAD("\0\0", "\1", "\2") QUESTION OPT("\0", "\0", "\0") OPT("\0", "\0", "\0")),
                     BH_DNS_RCODE_FORMERR);
    bh_dns_zones_free(zones);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),       cmocka_unit_test(test_wildcards), cmocka_unit_test(test_chains),
        cmocka_unit_test(test_delegations), cmocka_unit_test(test_sizes),     cmocka_unit_test(test_headers),
        cmocka_unit_test(test_edns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
