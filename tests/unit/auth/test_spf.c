/* test_spf.c: the examples of RFC 7208 (7.4, appendix A) and what the public suite does not reach. */
#include "auth/spf_macro.h"
#include "zone.h"
#include <behalf/spf.h>
#include <stdio.h>

struct verdict {
    unsigned calls;
    enum bh_spf_result result;
    char explanation[512];
    char reason[1100];
    char domain[300];
    unsigned terms;
    unsigned voids;
};

static void on_checked(void *ctx, const struct bh_spf_outcome *outcome)
{
    struct verdict *verdict = ctx;

    verdict->calls++;
    verdict->result = outcome->result;
    verdict->terms = outcome->terms;
    verdict->voids = outcome->voids;
    assert_ok(bh_str_to_c(outcome->explanation, verdict->explanation, sizeof(verdict->explanation)));
    assert_ok(bh_str_to_c(outcome->reason, verdict->reason, sizeof(verdict->reason)));
    assert_ok(bh_str_to_c(outcome->domain, verdict->domain, sizeof(verdict->domain)));
}

static struct bh_spf_request request_of(const char *ip, const char *helo, const char *mail_from)
{
    struct bh_spf_request request = {.helo = bh_str_c(helo), .mail_from = bh_str_c(mail_from), .trace = true};

    if (*ip)
        assert_ok(bh_ip_parse(bh_str_c(ip), &request.ip));
    return request;
}

static struct verdict check_in(const char *text, const char *ip, const char *helo, const char *mail_from)
{
    struct bh_zonefile_resolver *resolver = zone(text);
    struct bh_spf_request request = request_of(ip, helo, mail_from);
    struct bh_spf_check *check = NULL;
    struct verdict verdict = {0};

    assert_ok(bh_spf_check(bh_zonefile_resolver_base(resolver), &request, on_checked, &verdict, &check));
    assert_null(check);
    assert_int_equal(verdict.calls, 1);
    bh_zonefile_resolver_free(resolver);
    return verdict;
}

#define assert_result(actual, expected)                                                                                \
    do {                                                                                                               \
        struct verdict verdict_ = (actual);                                                                            \
        if (verdict_.result != (expected))                                                                             \
            fail_msg("%s, expected %s: %s", bh_spf_result_name(verdict_.result), bh_spf_result_name(expected),         \
                     verdict_.reason);                                                                                 \
    } while (0)

/* ---- RFC 7208 7.4 ---- */

static void macros_expand_as_in_the_rfc(void **state)
{
    static const struct {
        const char *text;
        const char *ip;
        const char *expected;
    } cases[] = {
        {"%{s}", "192.0.2.3", "strong-bad@email.example.com"},
        {"%{o}", "192.0.2.3", "email.example.com"},
        {"%{d}", "192.0.2.3", "email.example.com"},
        {"%{d4}", "192.0.2.3", "email.example.com"},
        {"%{d3}", "192.0.2.3", "email.example.com"},
        {"%{d2}", "192.0.2.3", "example.com"},
        {"%{d1}", "192.0.2.3", "com"},
        {"%{dr}", "192.0.2.3", "com.example.email"},
        {"%{d2r}", "192.0.2.3", "example.email"},
        {"%{l}", "192.0.2.3", "strong-bad"},
        {"%{l-}", "192.0.2.3", "strong.bad"},
        {"%{lr}", "192.0.2.3", "strong-bad"},
        {"%{lr-}", "192.0.2.3", "bad.strong"},
        {"%{l1r-}", "192.0.2.3", "strong"},
        {"%{ir}.%{v}._spf.%{d2}", "192.0.2.3", "3.2.0.192.in-addr._spf.example.com"},
        {"%{lr-}.lp._spf.%{d2}", "192.0.2.3", "bad.strong.lp._spf.example.com"},
        {"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "192.0.2.3", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
        {"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "192.0.2.3", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
        {"%{d2}.trusted-domains.example.net", "192.0.2.3", "example.com.trusted-domains.example.net"},
        {"%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01",
         "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"},
        {"%{S}", "192.0.2.3", "strong-bad%40email.example.com"},
        {"%%%_%-%{c}|%{r}|%{t}", "192.0.2.3", "% %20192.0.2.3|mx.example|1700000000"},
        {"%{d0000002}", "192.0.2.3", "example.com"},
        {"%{d99999999999999999999}", "192.0.2.3", "email.example.com"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bh_spf_macro_values values = {.local_part = BH_STR("strong-bad"),
                                             .sender_domain = BH_STR("email.example.com"),
                                             .domain = BH_STR("email.example.com"),
                                             .receiver = BH_STR("mx.example"),
                                             .now = 1700000000999};
        struct bh_buf out = bh_buf_make(1024);

        assert_ok(bh_ip_parse(bh_str_c(cases[i].ip), &values.ip));
        assert_ok(bh_spf_macro_check(bh_str_c(cases[i].text), BH_SPF_TEXT_EXPLANATION, NULL, NULL));
        bh_spf_macro_expand(bh_str_c(cases[i].text), &values, &out);
        assert_str(bh_buf_view(&out), cases[i].expected);
        bh_buf_free(&out);
    }
}

static void broken_macros_are_syntax_errors(void **state)
{
    static const char *const cases[] = {"%",      "%{",  "%{d", "%{d0}",  "%{d00}", "%{x}", "%(d)",
                                        "%{d2x}", "%{}", "a%b", "%{dr2}", "\x80",   "a\tb", "%{d:}"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(bh_spf_macro_check(bh_str_c(cases[i]), BH_SPF_TEXT_EXPLANATION, NULL, NULL), BH_E_SYNTAX);
    assert_int_equal(bh_spf_macro_check(BH_STR("%{c}"), BH_SPF_TEXT_TERM, NULL, NULL), BH_E_SYNTAX);
}

/* ---- RFC 7208 appendix A ---- */

static const char appendix_a[] = "$ORIGIN example.com.\n"
                                 "@       MX  10 mail-a\n"
                                 "        MX  20 mail-b\n"
                                 "        A   192.0.2.10\n"
                                 "        A   192.0.2.11\n"
                                 "amy     A   192.0.2.65\n"
                                 "bob     A   192.0.2.66\n"
                                 "mail-a  A   192.0.2.129\n"
                                 "mail-b  A   192.0.2.130\n"
                                 "www     CNAME example.com.\n"
                                 "$ORIGIN example.org.\n"
                                 "@       MX  10 mail-c\n"
                                 "mail-c  A   192.0.2.140\n"
                                 "$ORIGIN 2.0.192.in-addr.arpa.\n"
                                 "10      PTR example.com.\n"
                                 "11      PTR example.com.\n"
                                 "65      PTR amy.example.com.\n"
                                 "66      PTR bob.example.com.\n"
                                 "129     PTR mail-a.example.com.\n"
                                 "130     PTR mail-b.example.com.\n"
                                 "140     PTR mail-c.example.org.\n"
                                 "$ORIGIN 0.0.10.in-addr.arpa.\n"
                                 "4       PTR bob.example.com.\n";

static void simple_examples_of_appendix_a(void **state)
{
    static const struct {
        const char *record;
        const char *ip;
        enum bh_spf_result expected;
    } cases[] = {
        {"v=spf1 +all", "203.0.113.9", BH_SPF_PASS},
        {"v=spf1 a -all", "192.0.2.10", BH_SPF_PASS},
        {"v=spf1 a -all", "192.0.2.11", BH_SPF_PASS},
        {"v=spf1 a -all", "192.0.2.12", BH_SPF_FAIL},
        {"v=spf1 a:example.org -all", "192.0.2.10", BH_SPF_FAIL},
        {"v=spf1 mx -all", "192.0.2.129", BH_SPF_PASS},
        {"v=spf1 mx -all", "192.0.2.130", BH_SPF_PASS},
        {"v=spf1 mx -all", "192.0.2.10", BH_SPF_FAIL},
        {"v=spf1 mx:example.org -all", "192.0.2.140", BH_SPF_PASS},
        {"v=spf1 mx mx:example.org -all", "192.0.2.130", BH_SPF_PASS},
        {"v=spf1 mx mx:example.org -all", "192.0.2.140", BH_SPF_PASS},
        {"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.131", BH_SPF_PASS},
        {"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.143", BH_SPF_PASS},
        {"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.144", BH_SPF_FAIL},
        {"v=spf1 ptr -all", "192.0.2.65", BH_SPF_PASS},
        {"v=spf1 ptr -all", "192.0.2.140", BH_SPF_FAIL},
        {"v=spf1 ptr -all", "10.0.0.4", BH_SPF_FAIL},
        {"v=spf1 ip4:192.0.2.128/28 -all", "192.0.2.65", BH_SPF_FAIL},
        {"v=spf1 ip4:192.0.2.128/28 -all", "192.0.2.129", BH_SPF_PASS},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bh_buf text = bh_buf_make(8192);

        bh_buf_printf(&text, "%s\nexample.com. TXT \"%s\"\n", appendix_a, cases[i].record);
        bh_buf_char(&text, '\0');
        assert_result(check_in(text.p, cases[i].ip, "mail.example", "user@example.com"), cases[i].expected);
        bh_buf_free(&text);
    }
}

static void dnsbl_style_of_appendix_a3(void **state)
{
    static const char text[] =
        "$ORIGIN example.com.\n"
        "@ TXT \"v=spf1 mx include:mobile-users._spf.%{d} include:remote-users._spf.%{d} -all\"\n"
        "@ MX 10 mail-a\n"
        "mail-a A 192.0.2.129\n"
        "mobile-users._spf TXT \"v=spf1 exists:%{l1r+}.%{d}\"\n"
        "mary.mobile-users._spf A 127.0.0.2\n"
        "fred.mobile-users._spf A 127.0.0.2\n"
        "remote-users._spf TXT \"v=spf1 exists:%{ir}.%{l1r+}.%{d}\"\n"
        "15.15.168.192.joel.remote-users._spf A 127.0.0.2\n"
        "16.15.168.192.joel.remote-users._spf A 127.0.0.2\n";

    assert_result(check_in(text, "203.0.113.1", "h.example", "mary+home@example.com"), BH_SPF_PASS);
    assert_result(check_in(text, "192.168.15.15", "h.example", "joel@example.com"), BH_SPF_PASS);
    assert_result(check_in(text, "192.168.15.17", "h.example", "joel@example.com"), BH_SPF_FAIL);
    assert_result(check_in(text, "203.0.113.1", "h.example", "bob@example.com"), BH_SPF_FAIL);
}

static void multiple_requirements_of_appendix_a4(void **state)
{
    static const char text[] = "$ORIGIN example.com.\n"
                               "@ TXT \"v=spf1 -include:ip4._spf.%{d} -include:ptr._spf.%{d} +all\"\n"
                               "ip4._spf TXT \"v=spf1 -ip4:192.0.2.0/24 +all\"\n"
                               "ptr._spf TXT \"v=spf1 -ptr:example.com +all\"\n"
                               "amy A 192.0.2.65\n"
                               "65.2.0.192.in-addr.arpa. PTR amy.example.com.\n"
                               "66.2.0.192.in-addr.arpa. PTR amy.example.com.\n";

    assert_result(check_in(text, "192.0.2.65", "h.example", "a@example.com"), BH_SPF_PASS);
    assert_result(check_in(text, "192.0.2.66", "h.example", "a@example.com"), BH_SPF_FAIL);
    assert_result(check_in(text, "203.0.113.65", "h.example", "a@example.com"), BH_SPF_FAIL);
}

/* ---- what else there is ---- */

static void the_identity_is_chosen_as_in_2_4(void **state)
{
    static const char text[] = "helo.example. TXT \"v=spf1 ip4:192.0.2.1 exp=e.example -all\"\n"
                               "e.example. TXT \"%{l} at %{o} via %{h}\"\n";
    struct verdict verdict = check_in(text, "192.0.2.2", "helo.example", "");

    assert_int_equal(verdict.result, BH_SPF_FAIL);
    assert_string_equal(verdict.explanation, "postmaster at helo.example via helo.example");
    assert_string_equal(verdict.domain, "helo.example");
    assert_result(check_in(text, "", "helo.example", ""), BH_SPF_NONE);
    assert_result(check_in(text, "192.0.2.1", "", ""), BH_SPF_NONE);
    assert_result(check_in(text, "192.0.2.1", "x.example", "helo.example"), BH_SPF_PASS);
    assert_result(check_in(text, "192.0.2.1", "x.example", "a@b@HELO.example."), BH_SPF_PASS);
    assert_result(check_in(text, "::ffff:192.0.2.1", "x.example", "a@helo.example"), BH_SPF_PASS);
}

static void u_labels_become_a_labels(void **state)
{
    static const char text[] = "xn--bcher-kva.example. TXT \"v=spf1 exists:%{l}.%{o} ip4:192.0.2.1 -all\"\n"
                               "\\195\\188.xn--bcher-kva.example. A 127.0.0.2\n";
    struct verdict verdict = check_in(text, "192.0.2.1", "h.example",
                                      "a@B\xc3\xbc"
                                      "cher.example");

    assert_int_equal(verdict.result, BH_SPF_PASS);
    assert_string_equal(verdict.domain, "xn--bcher-kva.example");
    /* RFC 8616 4: the term with %{l} matches nothing */
    assert_result(check_in(text, "192.0.2.9", "h.example", "\xc3\xbc@xn--bcher-kva.example"), BH_SPF_FAIL);
}

static void limits_hold_at_the_last_term_and_inside(void **state)
{
    static const char text[] = "voids.example. TXT \"v=spf1 a:n1.example a:n2.example a:n3.example\"\n"
                               "inner.example. TXT \"v=spf1 a:n1.example a:n2.example a:n3.example -all\"\n"
                               "outer.example. TXT \"v=spf1 include:inner.example +all\"\n"
                               "ten.example. TXT \"v=spf1 a a a a a a a a a a redirect=ten.example\"\n"
                               "ten.example. A 192.0.2.200\n"
                               "nine.example. TXT \"v=spf1 a a a a a a a a a redirect=end.example\"\n"
                               "nine.example. A 192.0.2.200\n"
                               "end.example. TXT \"v=spf1 ip4:192.0.2.1 -all\"\n";

    assert_result(check_in(text, "192.0.2.1", "h.example", "a@voids.example"), BH_SPF_PERMERROR);
    assert_result(check_in(text, "192.0.2.1", "h.example", "a@outer.example"), BH_SPF_PERMERROR);
    assert_result(check_in(text, "192.0.2.1", "h.example", "a@ten.example"), BH_SPF_PERMERROR);
    assert_result(check_in(text, "192.0.2.1", "h.example", "a@nine.example"), BH_SPF_PASS);
}

static void an_explanation_with_control_bytes_is_dropped(void **state)
{
    static const char text[] = "a.example. TXT \"v=spf1 -all exp=e.example\"\n"
                               "e.example. TXT \"hello %{l}\"\n";

    assert_string_equal(check_in(text, "192.0.2.1", "h.example", "x\r\n250 ok@a.example").explanation, "");
    assert_string_equal(check_in(text, "192.0.2.1", "h.example", "x@a.example").explanation, "hello x");
}

static void answers_may_come_late(void **state)
{
    struct bh_zonefile_resolver *source = zone("a.example. TXT \"v=spf1 mx include:b.example exp=e.example -all\"\n"
                                               "a.example. MX 1 m.example.\n"
                                               "m.example. A 192.0.2.5\n"
                                               "b.example. TXT \"v=spf1 ptr exists:%{p}.x.example -all\"\n"
                                               "e.example. TXT \"you are %{p}\"\n"
                                               "1.2.0.192.in-addr.arpa. PTR n.example.\n"
                                               "n.example. A 192.0.2.1\n");
    struct late_resolver late = {.base = {&late_ops}, .source = bh_zonefile_resolver_base(source)};
    struct bh_spf_request request = request_of("192.0.2.1", "h.example", "u@a.example");
    struct bh_spf_check *check = NULL;
    struct verdict verdict = {0};

    assert_ok(bh_spf_check(&late.base, &request, on_checked, &verdict, &check));
    assert_non_null(check);
    while (late_answer(&late))
        ;
    assert_int_equal(verdict.calls, 1);
    assert_int_equal(verdict.result, BH_SPF_FAIL);
    assert_string_equal(verdict.explanation, "you are n.example");
    bh_zonefile_resolver_free(source);
}

static void checks_can_be_cancelled_and_expire(void **state)
{
    struct bh_zonefile_resolver *source = zone("a.example. TXT \"v=spf1 a -all exp=e.example\"\n");
    struct late_resolver late = {.base = {&late_ops}, .source = bh_zonefile_resolver_base(source)};
    struct bh_spf_request request = request_of("192.0.2.1", "h.example", "u@a.example");
    struct bh_spf_check *check = NULL;
    struct verdict verdict = {0};

    assert_ok(bh_spf_check(&late.base, &request, on_checked, &verdict, &check));
    bh_spf_check_cancel(check);
    assert_int_equal(verdict.calls, 0);
    assert_int_equal(late.cancelled, 1);
    assert_ok(bh_spf_check(&late.base, &request, on_checked, &verdict, &check));
    assert_true(late_answer(&late));
    bh_spf_check_expire(check);
    assert_int_equal(verdict.result, BH_SPF_TEMPERROR);
    assert_ok(bh_spf_check(&late.base, &request, on_checked, &verdict, &check));
    assert_true(late_answer(&late));
    assert_true(late_answer(&late)); /* fails now; the explanation is missing */
    bh_spf_check_expire(check);
    assert_int_equal(verdict.result, BH_SPF_FAIL);
    assert_int_equal(late.cancelled, 3);
    bh_zonefile_resolver_free(source);
}

struct counted {
    unsigned problems;
    unsigned errors;
};

static void count_problem(void *ctx, const struct bh_lint_problem *problem)
{
    struct counted *counted = ctx;

    counted->problems++;
    counted->errors += problem->severity == BH_LINT_ERROR;
}

static void the_linter_finds_mistakes(void **state)
{
    static const struct {
        const char *record;
        unsigned problems;
        unsigned errors;
    } cases[] = {
        {"v=spf1 ip4:192.0.2.0/24 ~all", 0, 0},
        {"v=spf1 +all", 1, 0},
        {"v=spf1 a", 1, 0},
        {"v=spf1 ptr -all", 1, 0},
        {"v=spf1 ip4:192.0.2.1/24 -all", 1, 0},
        {"v=spf1 mx mx -all", 1, 0},
        {"v=spf1 -all a", 1, 0},
        {"v=spf1 include=x.example -all", 1, 0},
        {"v=spf1 exp=a.example exp=b.example -all", 1, 1},
        {"v=spf1 a a:a.b a:b.b a:c.b a:d.b a:e.b a:f.b a:g.b a:h.b a:i.b a:j.b -all", 1, 1},
        {"v=spf1; a -all", 1, 1},
        {"spf1 a -all", 1, 1},
        {"v=spf1 ip4:192.0.2.300 -all", 1, 1},
        {"v=spf1 ipv4:192.0.2.3 -all", 2, 1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct counted counted = {0};
        unsigned errors = bh_spf_lint(bh_str_c(cases[i].record), count_problem, &counted);

        if (counted.problems != cases[i].problems || errors != cases[i].errors || counted.errors != errors)
            fail_msg("%s: %u problems, %u errors", cases[i].record, counted.problems, errors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(macros_expand_as_in_the_rfc),
        cmocka_unit_test(broken_macros_are_syntax_errors),
        cmocka_unit_test(simple_examples_of_appendix_a),
        cmocka_unit_test(dnsbl_style_of_appendix_a3),
        cmocka_unit_test(multiple_requirements_of_appendix_a4),
        cmocka_unit_test(the_identity_is_chosen_as_in_2_4),
        cmocka_unit_test(u_labels_become_a_labels),
        cmocka_unit_test(limits_hold_at_the_last_term_and_inside),
        cmocka_unit_test(an_explanation_with_control_bytes_is_dropped),
        cmocka_unit_test(answers_may_come_late),
        cmocka_unit_test(checks_can_be_cancelled_and_expire),
        cmocka_unit_test(the_linter_finds_mistakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
