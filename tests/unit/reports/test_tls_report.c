/* Reports of TLS (RFC 8460): where they go, what the JSON says, the mail around it. */
#include "reports/tls_report.h"
#include "unit.h"
#include <zlib.h>

static bool has(const struct bh_buf *text, const char *words)
{
    return bh_str_search(bh_buf_view(text), bh_str_c(words)) < text->n;
}

static void records(void **state)
{
    bh_str uris[2];
    size_t count;

    (void)state;
    assert_true(
        bh_tlsrpt_record_read(BH_STR("v=TLSRPTv1; rua=mailto:a@x.example,https://x.example/r"), uris, 2, &count));
    assert_int_equal(count, 2);
    assert_str(uris[0], "mailto:a@x.example");
    assert_str(uris[1], "https://x.example/r");
    assert_true(bh_tlsrpt_record_read(BH_STR("v=TLSRPTv1;x=y; rua=ftp://a , mailto:b@x ;"), uris, 2, &count));
    assert_int_equal(count, 1);
    assert_str(uris[0], "mailto:b@x");
    assert_true(bh_tlsrpt_record_read(BH_STR("v=TLSRPTv1;rua=mailto:a@x,mailto:b@x,mailto:c@x"), uris, 2, &count));
    assert_int_equal(count, 2); /* no more than there is room for */
    assert_false(bh_tlsrpt_record_read(BH_STR("v=TLSRPTv2; rua=mailto:a@x"), uris, 2, &count));
    assert_false(bh_tlsrpt_record_read(BH_STR("v=TLSRPTv1; rua=http://x.example/"), uris, 2, &count));
    assert_false(bh_tlsrpt_record_read(BH_STR(""), uris, 2, &count));
}

static void addresses(void **state)
{
    static const char *const bad[] = {"mailto:",    "mailto:a",     "mailto:a@b@c", "mailto:a%0d%0ab@c",
                                      "mailto:a%4", "mailto:a b@c", "mailto:<a@b>", "mailto:a@b,c@d"};
    struct bh_buf address = bh_buf_make(400);

    (void)state;
    assert_ok(bh_tlsrpt_mailto(BH_STR("mailto:tls%2Bx@y.example?subject=z"), &address));
    assert_str(bh_buf_view(&address), "tls+x@y.example");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bh_buf_clear(&address);
        if (bh_tlsrpt_mailto(bh_str_c(bad[i]), &address) == BH_OK)
            fail_msg("taken: %s", bad[i]);
    }
    bh_buf_free(&address);
}

static const struct bh_tlsrpt_head head = {.organization = {"esp.example", 11},
                                           .contact = {"postmaster@esp.example", 22},
                                           .domain = {"x.example", 9},
                                           .report_id = {"1.x.example@esp.example", 23},
                                           .begin_s = 1459814400,
                                           .end_s = 1459900799};

static void json(void **state)
{
    struct bh_tlsrpt *report = bh_tlsrpt_new(&head);
    struct bh_tlsrpt_row row = {.policy_type = BH_STR("sts"),
                                .policy = BH_STR("version: STSv1\r\nmode: testing\r\n"),
                                .mx_hosts = BH_STR("*.mail.x.example\n"),
                                .count = 5};
    struct bh_buf out = bh_buf_make(100000);

    (void)state;
    bh_tlsrpt_add(report, &row);
    row.failure = BH_STR("certificate-expired");
    row.sending = BH_STR("192.0.2.10");
    row.mx = BH_STR("mx1.mail.x.example");
    row.reason = BH_STR("\xff\"\n");
    row.count = 2;
    bh_tlsrpt_add(report, &row);
    bh_tlsrpt_add(report, &(struct bh_tlsrpt_row){.policy_type = BH_STR("no-policy-found"), .count = 1});
    assert_ok(bh_tlsrpt_json(report, &out));
    assert_true(has(&out, "\"start-datetime\":\"2016-04-05T00:00:00Z\",\"end-datetime\":\"2016-04-05T23:59:59Z\""));
    assert_true(
        has(&out, "\"policy-string\":[\"version: STSv1\",\"mode: testing\"],\"mx-host\":[\"*.mail.x.example\"]"));
    assert_true(has(&out, "\"total-successful-session-count\":5,\"total-failure-session-count\":2"));
    assert_true(has(&out, "\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"192.0.2.10\""));
    assert_true(has(&out, "\"policy-type\":\"no-policy-found\""));
    bh_buf_free(&out);
    bh_tlsrpt_free(report);
}

static void mail(void **state)
{
    struct bh_buf packed = bh_buf_make(100000), out = bh_buf_make(100000);
    unsigned char plain[100];
    z_stream z = {0};

    (void)state;
    assert_ok(bh_gzip(BH_STR("{\"a\":1}"), &packed));
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (unsigned char *)packed.p;
    z.avail_in = (unsigned)packed.n;
    z.next_out = plain;
    z.avail_out = sizeof(plain);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_str(bh_str_of((char *)plain, z.total_out), "{\"a\":1}");
    (void)inflateEnd(&z);
    assert_ok(bh_tlsrpt_mail_write(&(struct bh_tlsrpt_mail){.head = &head,
                                                            .from = BH_STR("tls-reports@esp.example"),
                                                            .to = BH_STR("tls@x.example"),
                                                            .submitter = BH_STR("esp.example"),
                                                            .now_s = 1459900800,
                                                            .gzip = bh_buf_view(&packed)},
                                   &out));
    assert_true(has(&out, "TLS-Report-Domain: x.example\r\nTLS-Report-Submitter: esp.example\r\n"));
    assert_true(has(&out, "filename=\"esp.example!x.example!1459814400!1459900799.json.gz\""));
    assert_true(has(&out, "report-type=\"tlsrpt\""));
    for (size_t i = 0; i < out.n; i++)
        assert_true(out.p[i] != '\n' || (i && out.p[i - 1] == '\r'));
    bh_buf_free(&packed);
    bh_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(records), cmocka_unit_test(addresses), cmocka_unit_test(json),
                                       cmocka_unit_test(mail)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
