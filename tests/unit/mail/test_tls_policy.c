/* What protects a connection: every way in which somebody could talk us down to clear text, and what we do then. */
#include "mail/tls_policy.h"
#include "unit.h"

struct line {
    const char *what;
    struct bh_tls_facts facts;
    enum bh_tls_step step;
    enum bh_tls_check check;
    const char *text;
};

static const struct line lines[] = {
    {"nothing known", {0}, BH_TLS_MAY, BH_TLS_CHECK_NONE, "opportunistic"},
    {"route without TLS", {.never = true}, BH_TLS_NEVER, BH_TLS_CHECK_NONE, "none"},
    {"customer requires", {.level = BH_TLS_LEVEL_REQUIRED}, BH_TLS_MUST, BH_TLS_CHECK_NONE, "required"},
    {"customer verifies", {.level = BH_TLS_LEVEL_VERIFIED}, BH_TLS_MUST, BH_TLS_CHECK_NAME, "verified"},
    /* DANE */
    {"TLSA", {.tlsa = BH_TLSA_USABLE}, BH_TLS_MUST, BH_TLS_CHECK_DANE, "dane"},
    {"TLSA, none usable", {.tlsa = BH_TLSA_UNUSABLE}, BH_TLS_MUST, BH_TLS_CHECK_NONE, "dane-unusable"},
    {"TLSA, none usable, customer verifies",
     {.tlsa = BH_TLSA_UNUSABLE, .level = BH_TLS_LEVEL_VERIFIED},
     BH_TLS_MUST,
     BH_TLS_CHECK_NAME,
     "dane-unusable"},
    {"attack: TLSA answers are suppressed or forged", {.tlsa = BH_TLSA_FAILED}, BH_TLS_SKIP, BH_TLS_CHECK_NONE, NULL},
    {"attack: the same, and a policy that names the host",
     {.tlsa = BH_TLSA_FAILED, .sts = BH_STS_ENFORCE, .sts_allows = true},
     BH_TLS_SKIP,
     BH_TLS_CHECK_NONE,
     NULL},
    {"DANE goes before a testing policy",
     {.tlsa = BH_TLSA_USABLE, .sts = BH_STS_TESTING},
     BH_TLS_MUST,
     BH_TLS_CHECK_DANE,
     "dane"},
    {"DANE goes before MTA-STS", /* RFC 8461 2 */
     {.tlsa = BH_TLSA_USABLE, .sts = BH_STS_ENFORCE, .sts_allows = false},
     BH_TLS_MUST,
     BH_TLS_CHECK_DANE,
     "dane"},
    /* MTA-STS */
    {"policy", {.sts = BH_STS_ENFORCE, .sts_allows = true}, BH_TLS_MUST, BH_TLS_CHECK_NAME, "mta-sts"},
    {"attack: MX points elsewhere", {.sts = BH_STS_ENFORCE}, BH_TLS_SKIP, BH_TLS_CHECK_NONE, NULL},
    {"attack: the same at one who requires TLS only",
     {.sts = BH_STS_ENFORCE, .level = BH_TLS_LEVEL_REQUIRED},
     BH_TLS_SKIP,
     BH_TLS_CHECK_NONE,
     NULL},
    {"policy and unusable TLSA",
     {.tlsa = BH_TLSA_UNUSABLE, .sts = BH_STS_ENFORCE, .sts_allows = true},
     BH_TLS_MUST,
     BH_TLS_CHECK_NAME,
     "mta-sts"},
    {"testing changes nothing",
     {.sts = BH_STS_TESTING, .sts_allows = true},
     BH_TLS_MAY,
     BH_TLS_CHECK_WATCH,
     "mta-sts-testing"},
    {"testing, another host", {.sts = BH_STS_TESTING}, BH_TLS_MAY, BH_TLS_CHECK_WATCH, "mta-sts-testing"},
    {"testing does not weaken a wish",
     {.sts = BH_STS_TESTING, .level = BH_TLS_LEVEL_VERIFIED},
     BH_TLS_MUST,
     BH_TLS_CHECK_NAME,
     "mta-sts"},
};

static void table(void **state)
{
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct bh_tls_plan plan;

        bh_tls_plan(&lines[i].facts, &plan);
        if (plan.step != lines[i].step || plan.check != lines[i].check)
            fail_msg("%s: step %d, check %d", lines[i].what, plan.step, plan.check);
        if (lines[i].text)
            assert_string_equal(bh_tls_plan_text(&plan), lines[i].text);
        assert_int_equal(plan.step == BH_TLS_SKIP, plan.why != NULL);
    }
}

/* Whatever the facts: clear text is open only where neither a record, nor a policy, nor a wish forbids it. */
static void no_way_down(void **state)
{
    for (unsigned i = 0; i < 3 * 4 * 3 * 2; i++) {
        struct bh_tls_facts facts = {.level = (enum bh_tls_level)(i % 3),
                                     .tlsa = (enum bh_tlsa_state)(i / 3 % 4),
                                     .sts = (enum bh_sts_mode)(i / 12 % 3),
                                     .sts_allows = i / 36};
        struct bh_tls_plan plan;
        bool bound =
            facts.level != BH_TLS_LEVEL_OPPORTUNISTIC || facts.tlsa != BH_TLSA_ABSENT || facts.sts == BH_STS_ENFORCE;

        bh_tls_plan(&facts, &plan);
        assert_int_equal(plan.step == BH_TLS_MAY, !bound);
        assert_true(plan.step != BH_TLS_NEVER);
        if (facts.level == BH_TLS_LEVEL_VERIFIED && plan.step == BH_TLS_MUST)
            assert_true(plan.check == BH_TLS_CHECK_NAME || plan.check == BH_TLS_CHECK_DANE);
    }
}

static void tlsa_records(void **state)
{
    char rdata[70] = {3, 1, 1};

    assert_true(bh_tlsa_is_usable(bh_str_of(rdata, 35)));
    assert_false(bh_tlsa_is_usable(bh_str_of(rdata, 34)));
    assert_false(bh_tlsa_is_usable(bh_str_of(rdata, 3)));
    rdata[2] = 2;
    assert_true(bh_tlsa_is_usable(bh_str_of(rdata, 67)));
    rdata[0] = 2;
    assert_true(bh_tlsa_is_usable(bh_str_of(rdata, 67)));
    rdata[0] = 1; /* RFC 7672 3.1.3 */
    assert_false(bh_tlsa_is_usable(bh_str_of(rdata, 67)));
    rdata[0] = 3, rdata[1] = 2;
    assert_false(bh_tlsa_is_usable(bh_str_of(rdata, 67)));
    rdata[1] = 1, rdata[2] = 3;
    assert_false(bh_tlsa_is_usable(bh_str_of(rdata, 67)));
}

/* ---- MTA-STS ---- */

static void sts_records(void **state)
{
    bh_str id;

    assert_true(bh_sts_record_read(BH_STR("v=STSv1; id=20160831085700Z;"), &id));
    assert_str(id, "20160831085700Z");
    assert_true(bh_sts_record_read(BH_STR("v=STSv1;id=a"), &id));
    assert_true(bh_sts_record_read(BH_STR("v=STSv1; x=y; id=a;"), &id));
    assert_false(bh_sts_record_read(BH_STR("v=STSv1; x=y;"), &id));
    assert_false(bh_sts_record_read(BH_STR("v=STSv2; id=a;"), &id));
    assert_false(bh_sts_record_read(BH_STR("v=STSv1; id=a-b;"), &id));
    assert_false(bh_sts_record_read(BH_STR("v=STSv1; id=123456789012345678901234567890123;"), &id));
    assert_false(bh_sts_record_read(BH_STR(""), &id));
}

static void sts_policies(void **state)
{
    struct bh_sts_policy p;

    assert_ok(
        bh_sts_policy_read(BH_STR("version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
                                  "mx: backupmx.example.com\r\nmax_age: 604800\r\n"),
                           &p)); /* RFC 8461 3.2 */
    assert_int_equal(p.mode, BH_STS_ENFORCE);
    assert_int_equal(p.max_age_s, 604800);
    assert_true(bh_sts_policy_allows(&p, BH_STR("MAIL.example.com")));
    assert_true(bh_sts_policy_allows(&p, BH_STR("mail.example.com.")));
    assert_true(bh_sts_policy_allows(&p, BH_STR("a.example.net")));
    assert_false(bh_sts_policy_allows(&p, BH_STR("a.b.example.net")));
    assert_false(bh_sts_policy_allows(&p, BH_STR("example.net")));
    assert_false(bh_sts_policy_allows(&p, BH_STR(".example.net")));
    assert_false(bh_sts_policy_allows(&p, BH_STR("evil.example")));
    assert_ok(bh_sts_policy_read(BH_STR("version: STSv1\nmode: none\nmax_age: 9999999999"), &p));
    assert_int_equal(p.max_age_s, BH_STS_AGE_MAX_S);
    assert_int_equal(bh_sts_policy_read(BH_STR("version: STSv1\nmode: enforce\nmax_age: 1"), &p), BH_E_SYNTAX);
    assert_int_equal(bh_sts_policy_read(BH_STR("version: STSv1\nmode: force\nmx: a.example\nmax_age: 1"), &p),
                     BH_E_SYNTAX);
    assert_int_equal(bh_sts_policy_read(BH_STR("version: STSv1\nmode: none"), &p), BH_E_SYNTAX);
    assert_int_equal(bh_sts_policy_read(BH_STR("version: STSv1\nmode: none\nmax_age: -1"), &p), BH_E_SYNTAX);
    assert_int_equal(bh_sts_policy_read(BH_STR("mode: none\nmax_age: 1"), &p), BH_E_SYNTAX);
    assert_int_equal(bh_sts_policy_read(BH_STR("<html>"), &p), BH_E_SYNTAX);
    assert_int_equal(bh_sts_policy_read(BH_STR(""), &p), BH_E_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),       cmocka_unit_test(no_way_down),  cmocka_unit_test(tlsa_records),
        cmocka_unit_test(sts_records), cmocka_unit_test(sts_policies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
