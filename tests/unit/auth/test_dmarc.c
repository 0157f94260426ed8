/* test_dmarc.c: the examples of RFC 9989 (appendix B, 4.10), both modes, and report destinations. */
#include "base/buf.h"
#include "zone.h"
#include <behalf/dmarc.h>
#include <stdio.h>

struct verdict {
    unsigned calls;
    enum bh_dmarc_result result;
    enum bh_dmarc_policy policy;
    enum bh_dmarc_policy disposition;
    enum bh_dmarc_alignment spf;
    enum bh_dmarc_alignment dkim;
    char tag[4];
    char record_domain[300];
    char org_domain[300];
    char reason[600];
    char differences[2000];
    unsigned queries;
    bool has_psl;
    enum bh_dmarc_result psl_result;
};

static void on_checked(void *ctx, const struct bh_dmarc_outcome *outcome)
{
    struct verdict *v = ctx;

    v->calls++;
    v->result = outcome->result;
    v->policy = outcome->policy;
    v->disposition = outcome->disposition;
    v->spf = outcome->spf_alignment;
    v->dkim = outcome->dkim_alignment;
    v->queries = outcome->queries;
    v->has_psl = outcome->psl != NULL;
    if (outcome->psl)
        v->psl_result = outcome->psl->result;
    assert_ok(bh_str_to_c(bh_str_c(outcome->policy_tag), v->tag, sizeof(v->tag)));
    assert_ok(bh_str_to_c(outcome->record_domain, v->record_domain, sizeof(v->record_domain)));
    assert_ok(bh_str_to_c(outcome->org_domain, v->org_domain, sizeof(v->org_domain)));
    assert_ok(bh_str_to_c(outcome->reason, v->reason, sizeof(v->reason)));
    assert_ok(bh_str_to_c(outcome->differences, v->differences, sizeof(v->differences)));
}

/* The last two labels, but "co.example" is a public suffix. */
static bh_str two_labels(const struct bh_suffixes *suffixes, bh_str domain)
{
    unsigned labels = bh_str_ends(domain, BH_STR("co.example")) ? 3 : 2;
    size_t at = domain.n;

    while (at && labels)
        labels -= domain.p[--at] == '.';
    if (labels > 1)
        return (bh_str){NULL, 0};
    return labels ? domain : bh_str_skip(domain, at + 1);
}

static const struct bh_suffixes_ops suffixes_ops = {two_labels};
static const struct bh_suffixes suffixes = {&suffixes_ops};

static struct verdict run(const char *text, struct bh_dmarc_request *request)
{
    struct bh_zonefile_resolver *resolver = zone(text);
    struct bh_dmarc_check *check = NULL;
    struct verdict verdict = {0};

    assert_ok(bh_dmarc_check(bh_zonefile_resolver_base(resolver), request, on_checked, &verdict, &check));
    assert_null(check);
    assert_int_equal(verdict.calls, 1);
    bh_zonefile_resolver_free(resolver);
    return verdict;
}

/* "" for an identifier that did not pass. */
static struct verdict evaluate(const char *text, const char *from, const char *spf, const char *dkim,
                               enum bh_dmarc_mode mode)
{
    struct bh_dmarc_dkim signature = {.pass = true, .domain = bh_str_c(dkim)};
    struct bh_dmarc_request request = {.header_from = bh_str_c(from),
                                       .spf = *spf ? BH_SPF_PASS : BH_SPF_FAIL,
                                       .spf_domain = bh_str_c(spf),
                                       .dkim = &signature,
                                       .dkim_count = *dkim != '\0',
                                       .mode = mode,
                                       .suffixes = &suffixes,
                                       .trace = true};

    return run(text, &request);
}

static struct verdict walk(const char *text, const char *from, const char *spf, const char *dkim)
{
    return evaluate(text, from, spf, dkim, BH_DMARC_TREE_WALK);
}

/* ---- RFC 9989 B.1 ---- */

static const char plain[] = "_dmarc.example.com. TXT \"v=DMARC1; p=reject\"\n";

static void alignment_examples_of_b1(void **state)
{
    assert_int_equal(walk(plain, "example.com", "example.com", "").spf, BH_DMARC_STRICT);
    assert_int_equal(walk(plain, "example.com", "child.example.com", "").spf, BH_DMARC_RELAXED);
    assert_int_equal(walk(plain, "child.example.com", "example.net", "").spf, BH_DMARC_UNALIGNED);
    assert_int_equal(walk(plain, "example.com", "", "example.com").dkim, BH_DMARC_STRICT);
    assert_int_equal(walk(plain, "child.example.com", "", "example.com").dkim, BH_DMARC_RELAXED);
    assert_int_equal(walk(plain, "child.example.com", "", "example.net").dkim, BH_DMARC_UNALIGNED);
    assert_int_equal(walk(plain, "example.com", "mail.example.com", "example.com").result, BH_DMARC_PASS);
}

/* ---- B.2: the records ---- */

static void records_of_b2_can_be_read(void **state)
{
    static const char b225[] = "v=DMARC1; p=quarantine; rua=mailto:dmarc-feedback@example.com,"
                               "mailto:tld-test@thirdparty.example.net; t=y";
    struct bh_dmarc_record record;
    struct bh_dmarc_uri uri;

    assert_ok(bh_dmarc_record_parse(BH_STR("v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com; "
                                           "ruf=mailto:auth-reports@thirdparty.example.net"),
                                    &record));
    assert_int_equal(record.p.policy, BH_DMARC_POLICY_NONE);
    assert_str(record.ruf, "mailto:auth-reports@thirdparty.example.net");
    assert_ok(bh_dmarc_record_parse(bh_str_c(b225), &record));
    assert_int_equal(record.p.policy, BH_DMARC_POLICY_QUARANTINE);
    assert_true(record.testing);
    assert_true(bh_dmarc_uri_next(&record.rua, &uri));
    assert_str(uri.host, "example.com");
    assert_true(bh_dmarc_uri_next(&record.rua, &uri));
    assert_str(uri.host, "thirdparty.example.net");
    assert_false(bh_dmarc_uri_next(&record.rua, &uri));
}

/* ---- B.4: tree walks ---- */

static void tree_walk_of_b41(void **state)
{
    static const char text[] = "_dmarc.example.com. TXT \"v=DMARC1; p=reject\"\n"
                               "_dmarc.signing.example.com. TXT \"v=DMARC1; p=none\"\n";
    struct verdict v = walk(text, "example.com", "example.com", "signing.example.com");

    assert_string_equal(v.org_domain, "example.com");
    assert_int_equal(v.spf, BH_DMARC_STRICT);
    assert_int_equal(v.dkim, BH_DMARC_RELAXED);
    assert_int_equal(v.result, BH_DMARC_PASS);
    v = walk(text, "example.com", "", "");
    assert_int_equal(v.result, BH_DMARC_FAIL);
    assert_string_equal(v.record_domain, "example.com");
    assert_int_equal(v.disposition, BH_DMARC_POLICY_REJECT);
}

static void deep_tree_walk_of_b42(void **state)
{
    static const char text[] = "_dmarc.example.com. TXT \"v=DMARC1; p=reject; sp=quarantine\"\n"
                               "_dmarc.signing.example.com. TXT \"v=DMARC1; p=none\"\n";
    struct verdict v = walk(text, "a.b.c.d.e.f.g.h.i.j.k.example.com", "", "");

    assert_int_equal(v.queries, 8);
    assert_string_equal(v.org_domain, "example.com");
    assert_string_equal(v.record_domain, "example.com");
    assert_string_equal(v.tag, "sp");
    assert_int_equal(v.disposition, BH_DMARC_POLICY_QUARANTINE);
    v = walk(text, "a.b.c.d.e.f.g.h.i.j.k.example.com", "example.com", "signing.example.com");
    assert_int_equal(v.spf, BH_DMARC_RELAXED);
    assert_int_equal(v.dkim, BH_DMARC_RELAXED);
    /* a name of 8 labels is cut to 7, and one in the gap of a longer name is not asked for */
    assert_int_equal(walk("", "a.b.c.d.e.f.g.h", "", "").queries, 8);
    assert_int_equal(walk("", "a.b.c.d.e.f.g", "", "").queries, 7);
    assert_int_equal(walk("_dmarc.b.c.d.e.f.g.h.i. TXT \"v=DMARC1; p=none\"\n", "a.b.c.d.e.f.g.h.i", "", "").result,
                     BH_DMARC_NONE);
}

static void public_suffix_domain_of_b43(void **state)
{
    static const char text[] = "_dmarc.bank.example. TXT \"v=DMARC1; p=reject; psd=y\"\n"
                               "_dmarc.giant.bank.example. TXT \"v=DMARC1; p=quarantine\"\n";
    struct verdict v = walk(text, "giant.bank.example", "mail.giant.bank.example", "mail.mega.bank.example");

    assert_string_equal(v.org_domain, "giant.bank.example");
    assert_string_equal(v.record_domain, "giant.bank.example");
    assert_int_equal(v.spf, BH_DMARC_RELAXED);
    assert_int_equal(v.dkim, BH_DMARC_UNALIGNED);
    assert_int_equal(v.result, BH_DMARC_PASS);
    /* without a record of its own, the public suffix domain's applies */
    v = walk(text, "mail.mega.bank.example", "", "");
    assert_string_equal(v.org_domain, "mega.bank.example");
    assert_string_equal(v.record_domain, "bank.example");
    assert_int_equal(v.disposition, BH_DMARC_POLICY_REJECT);
    /* the domain itself is no public suffix to itself */
    v = walk(text, "bank.example", "", "");
    assert_string_equal(v.org_domain, "bank.example");
}

static void organisational_domains_of_4102(void **state)
{
    struct verdict v = walk("_dmarc.mail.example.com. TXT \"v=DMARC1; p=none\"\n"
                            "_dmarc.example.com. TXT \"v=DMARC1; p=none\"\n",
                            "a.mail.example.com", "", "");

    assert_string_equal(v.org_domain, "example.com");
    v = walk("_dmarc.mail.example.com. TXT \"v=DMARC1; p=none; psd=n\"\n"
             "_dmarc.example.com. TXT \"v=DMARC1; p=none\"\n",
             "a.mail.example.com", "", "other.example.com");
    assert_string_equal(v.org_domain, "mail.example.com");
    assert_int_equal(v.dkim, BH_DMARC_UNALIGNED);
    v = walk("_dmarc.com. TXT \"v=DMARC1; p=none; psd=y\"\n", "a.mail.example.com", "", "");
    assert_string_equal(v.org_domain, "example.com");
    assert_string_equal(v.record_domain, "com");
}

/* ---- policy ---- */

static void the_policy_tag_follows_the_name(void **state)
{
    static const char text[] = "_dmarc.example.com. TXT \"v=DMARC1; p=none; sp=quarantine; np=reject\"\n"
                               "there.example.com. A 192.0.2.1\n"
                               "x.empty.example.com. A 192.0.2.1\n";

    assert_string_equal(walk(text, "example.com", "", "").tag, "p");
    assert_string_equal(walk(text, "there.example.com", "", "").tag, "sp");
    assert_string_equal(walk(text, "empty.example.com", "", "").tag, "sp");
    assert_string_equal(walk(text, "not.example.com", "", "").tag, "np");
    assert_string_equal(evaluate(text, "not.example.com", "", "", BH_DMARC_PSL).tag, "sp");
}

static void test_mode_lowers_the_policy(void **state)
{
    static const char *const policies[] = {"none", "quarantine", "reject"};
    static const enum bh_dmarc_policy lowered[] = {BH_DMARC_POLICY_NONE, BH_DMARC_POLICY_NONE,
                                                   BH_DMARC_POLICY_QUARANTINE};

    for (size_t i = 0; i < 3; i++) {
        struct bh_buf text = bh_buf_make(512);
        struct verdict v;

        bh_buf_printf(&text, "_dmarc.example.com. TXT \"v=DMARC1; p=%s; t=y\"", policies[i]);
        bh_buf_char(&text, '\0');
        v = walk(text.p, "example.com", "", "");
        assert_int_equal(v.policy, i);
        assert_int_equal(v.disposition, lowered[i]);
        assert_int_equal(evaluate(text.p, "example.com", "", "", BH_DMARC_PSL).disposition, i);
        bh_buf_free(&text);
    }
}

static void bad_policies_count_as_none_or_not_at_all(void **state)
{
    static const struct {
        const char *record;
        enum bh_dmarc_result expected;
    } cases[] = {
        {"v=DMARC1; p=bad; rua=mailto:a@example.com", BH_DMARC_FAIL},
        {"v=DMARC1; p=bad", BH_DMARC_NONE},
        {"v=DMARC1; p=reject; sp=bad", BH_DMARC_NONE},
        {"v=DMARC1; p=reject; np=bad; rua=a@example.com", BH_DMARC_NONE},
        {"v=DMARC1; p=reject; sp=bad; rua=mailto:a@example.com", BH_DMARC_FAIL},
        {"v=DMARC1; rua=mailto:a@example.com", BH_DMARC_FAIL},
        {"v=DMARC1", BH_DMARC_FAIL},
        {"v = DMARC1 ;p = REJECT ;", BH_DMARC_FAIL},
        {"v=DMARC1; nonsense; p=reject; x=y;;", BH_DMARC_FAIL},
        {"v=dmarc1; p=reject", BH_DMARC_NONE},
        {" v=DMARC1; p=reject", BH_DMARC_NONE},
        {"p=reject; v=DMARC1", BH_DMARC_NONE},
        {"v=DMARC12; p=reject", BH_DMARC_NONE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bh_buf text = bh_buf_make(512);
        struct verdict v;

        bh_buf_printf(&text, "_dmarc.example.com. TXT \"%s\"", cases[i].record);
        bh_buf_char(&text, '\0');
        v = walk(text.p, "example.com", "", "");
        if (v.result != cases[i].expected)
            fail_msg("%s: %s", cases[i].record, v.reason);
        bh_buf_free(&text);
    }
}

static void several_records_are_none(void **state)
{
    assert_int_equal(walk("_dmarc.a.example.com. TXT \"v=DMARC1; p=reject\"\n"
                          "_dmarc.a.example.com. TXT \"v=DMARC1; p=none\"\n",
                          "a.example.com", "", "")
                         .result,
                     BH_DMARC_NONE);
    assert_int_equal(walk("_dmarc.example.com. TXT \"v=DMARC1; p=reject\"\n"
                          "_dmarc.example.com. TXT \"v=spf1 -all\"\n",
                          "example.com", "", "")
                         .result,
                     BH_DMARC_FAIL);
}

/* ---- failures of DNS ---- */

static void failures_matter_where_they_could_decide(void **state)
{
    static const char below[] = "$FAIL _dmarc.mail.example.com.\n"
                                "_dmarc.mail.example.com. A 192.0.2.1\n"
                                "_dmarc.example.com. TXT \"v=DMARC1; p=reject\"\n"
                                "_dmarc.a.mail.example.com. TXT \"v=DMARC1; p=reject\"\n";
    static const char above[] = "$FAIL _dmarc.com.\n"
                                "_dmarc.com. A 192.0.2.1\n"
                                "_dmarc.example.com. TXT \"v=DMARC1; p=reject\"\n";

    assert_int_equal(walk(below, "mail.example.com", "", "").result, BH_DMARC_TEMPERROR);
    assert_int_equal(walk(below, "x.mail.example.com", "", "").result, BH_DMARC_TEMPERROR);
    assert_int_equal(walk(below, "a.mail.example.com", "", "").result, BH_DMARC_FAIL);
    assert_int_equal(walk(below, "a.mail.example.com", "", "example.com").result, BH_DMARC_TEMPERROR);
    assert_int_equal(walk(below, "a.mail.example.com", "", "a.mail.example.com").result, BH_DMARC_PASS);
    assert_int_equal(walk(above, "example.com", "", "x.example.com").result, BH_DMARC_PASS);
    assert_int_equal(walk(above, "example.com", "", "example.net").result, BH_DMARC_FAIL);
    assert_int_equal(evaluate(below, "mail.example.com", "", "", BH_DMARC_PSL).result, BH_DMARC_TEMPERROR);
}

/* ---- the other mode ---- */

static void the_modes_differ_and_say_so(void **state)
{
    static const char text[] = "_dmarc.customer.co.example. TXT \"v=DMARC1; p=reject\"\n"
                               "_dmarc.send.customer.co.example. TXT \"v=DMARC1; p=none; psd=n\"\n";
    struct verdict v = evaluate(text, "send.customer.co.example", "", "customer.co.example", BH_DMARC_BOTH);

    assert_int_equal(v.result, BH_DMARC_FAIL);
    assert_true(v.has_psl);
    assert_int_equal(v.psl_result, BH_DMARC_PASS);
    assert_non_null(strstr(v.differences, "organisational domain: send.customer.co.example by tree walk (RFC 9989), "
                                          "customer.co.example by public suffixes (RFC 7489)\n"));
    v = evaluate(text, "customer.co.example", "", "customer.co.example", BH_DMARC_BOTH);
    assert_string_equal(v.differences, "");
    v = evaluate("", "co.example", "", "", BH_DMARC_PSL);
    assert_string_equal(v.org_domain, "co.example");
}

static void pct_is_of_rfc_7489_alone(void **state)
{
    static const char text[] = "_dmarc.example.com. TXT \"v=DMARC1; p=reject; pct=10\"\n";
    struct bh_dmarc_request request = {
        .header_from = BH_STR("example.com"), .mode = BH_DMARC_PSL, .suffixes = &suffixes, .sample = 9};

    assert_int_equal(run(text, &request).disposition, BH_DMARC_POLICY_REJECT);
    request.sample = 10;
    assert_int_equal(run(text, &request).disposition, BH_DMARC_POLICY_QUARANTINE);
    request.mode = BH_DMARC_TREE_WALK;
    assert_int_equal(run(text, &request).disposition, BH_DMARC_POLICY_REJECT);
}

/* ---- the product's gate ---- */

static void a_record_can_be_assumed(void **state)
{
    struct bh_dmarc_dkim signature = {.pass = true, .domain = BH_STR("customer.example")};
    struct bh_dmarc_request request = {.header_from = BH_STR("news.customer.example"),
                                       .dkim = &signature,
                                       .dkim_count = 1,
                                       .suffixes = &suffixes,
                                       .assume_record = true};

    assert_int_equal(run("", &request).result, BH_DMARC_PASS);
    assert_string_equal(run("", &request).record_domain, "customer.example");
    signature.domain = BH_STR("other.example");
    assert_int_equal(run("", &request).result, BH_DMARC_FAIL);
    assert_int_equal(run("", &request).disposition, BH_DMARC_POLICY_NONE);
    request.assume_record = false;
    assert_int_equal(run("", &request).result, BH_DMARC_NONE);
    request.header_from = BH_STR("");
    assert_int_equal(run("", &request).result, BH_DMARC_PERMERROR);
}

static void many_signatures_are_bounded(void **state)
{
    static struct bh_dmarc_dkim signatures[1000];
    static char names[1000][32];
    struct bh_dmarc_request request = {.header_from = BH_STR("example.com"), .dkim = signatures, .dkim_count = 1000};

    for (size_t i = 0; i < 1000; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "d%zu.example.com", i);
        signatures[i] = (struct bh_dmarc_dkim){true, bh_str_c(names[i])};
    }
    signatures[999].domain = BH_STR("Example.COM");
    assert_int_equal(run(plain, &request).dkim, BH_DMARC_STRICT);
    assert_true(run(plain, &request).queries <= 2 + BH_DMARC_IDENTIFIERS_MAX);
}

static void answers_may_come_late(void **state)
{
    struct bh_zonefile_resolver *source = zone("_dmarc.example.com. TXT \"v=DMARC1; p=reject; np=none\"\n");
    struct late_resolver late = {.base = {&late_ops}, .source = bh_zonefile_resolver_base(source)};
    struct bh_dmarc_dkim signature = {.pass = true, .domain = BH_STR("x.example.com")};
    struct bh_dmarc_request request = {.header_from = BH_STR("y.example.com"), .dkim = &signature, .dkim_count = 1};
    struct bh_dmarc_check *check = NULL;
    struct verdict verdict = {0};

    assert_ok(bh_dmarc_check(&late.base, &request, on_checked, &verdict, &check));
    while (late_answer(&late))
        ;
    assert_int_equal(verdict.result, BH_DMARC_PASS);
    assert_ok(bh_dmarc_check(&late.base, &request, on_checked, &verdict, &check));
    assert_true(late_answer(&late));
    bh_dmarc_check_expire(check);
    assert_int_equal(verdict.result, BH_DMARC_TEMPERROR);
    assert_ok(bh_dmarc_check(&late.base, &request, on_checked, &verdict, &check));
    bh_dmarc_check_cancel(check);
    assert_int_equal(verdict.calls, 2);
    bh_zonefile_resolver_free(source);
}

/* ---- report destinations ---- */

struct destination {
    enum bh_dmarc_destination destination;
    char override[200];
};

static void on_destination(void *ctx, const struct bh_dmarc_destination_outcome *outcome)
{
    struct destination *d = ctx;

    d->destination = outcome->destination;
    assert_ok(bh_str_to_c(outcome->override_rua, d->override, sizeof(d->override)));
}

static struct destination destination_of(const char *domain, const char *uri)
{
    struct bh_zonefile_resolver *source =
        zone("_dmarc.example.com. TXT \"v=DMARC1; p=none\"\n"
             "example.com._report._dmarc.thirdparty.example.net. TXT \"v=DMARC1;\"\n"
             "example.com._report._dmarc.over.example.net. TXT \"v=DMARC1; rua=mailto:new@over.example.net\"\n"
             "example.com._report._dmarc.evil.example.net. TXT \"v=DMARC1; rua=mailto:new@victim.example.net\"\n"
             "*._report._dmarc.any.example.net. TXT \"v=DMARC1\"\n"
             "$FAIL example.com._report._dmarc.late.example.net. TXT\n"
             "example.com._report._dmarc.late.example.net. A 192.0.2.1\n");
    struct bh_dmarc_destination_check *check;
    struct destination d = {0};

    assert_ok(bh_dmarc_destination_check(bh_zonefile_resolver_base(source), bh_str_c(domain), bh_str_c(uri), NULL,
                                         on_destination, &d, &check));
    bh_zonefile_resolver_free(source);
    return d;
}

static void external_destinations_must_agree(void **state)
{
    static const struct {
        const char *uri;
        enum bh_dmarc_destination expected;
    } cases[] = {
        {"mailto:a@example.com", BH_DMARC_DESTINATION_OWN},
        {"mailto:a@reports.example.com!10m", BH_DMARC_DESTINATION_OWN},
        {"mailto:auth-reports@thirdparty.example.net", BH_DMARC_DESTINATION_AUTHORIZED},
        {"https://thirdparty.example.net/reports", BH_DMARC_DESTINATION_AUTHORIZED},
        {"mailto:a@any.example.net", BH_DMARC_DESTINATION_AUTHORIZED},
        {"mailto:a@over.example.net", BH_DMARC_DESTINATION_AUTHORIZED},
        {"mailto:a@evil.example.net", BH_DMARC_DESTINATION_REFUSED},
        {"mailto:a@nobody.example.net", BH_DMARC_DESTINATION_REFUSED},
        {"mailto:a@late.example.net", BH_DMARC_DESTINATION_TEMPFAIL},
        {"nonsense", BH_DMARC_DESTINATION_REFUSED},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(destination_of("example.com", cases[i].uri).destination, cases[i].expected);
    assert_string_equal(destination_of("example.com", "mailto:a@over.example.net").override,
                        "mailto:new@over.example.net");
}

static void count_problem(void *ctx, const struct bh_lint_problem *problem)
{
    ++*(unsigned *)ctx;
}

static void the_linter_finds_mistakes(void **state)
{
    static const struct {
        const char *record;
        unsigned problems;
        unsigned errors;
    } cases[] = {
        {"v=DMARC1; p=reject; rua=mailto:a@example.com", 0, 0},
        {"v=DMARC1; p=reject; rua=mailto:a@example.com;", 0, 0},
        {"v=DMARC1; p=reject", 1, 0},
        {"v=DMARC1; rua=mailto:a@example.com", 1, 0},
        {"v=DMARC1; rua=mailto:a@example.com; p=none", 1, 0},
        {"v=DMARC1; p=rejct; rua=mailto:a@example.com", 1, 1},
        {"v=DMARC1; p=none; rua=a@example.com", 1, 1},
        {"v=DMARC1; p=none; rua=mailto:a@example.com; adkim=x", 1, 1},
        {"v=DMARC1; p=none; rua=mailto:a@example.com; pct=50", 1, 0},
        {"v=DMARC1; p=none; p=reject; rua=mailto:a@example.com", 1, 1},
        {"v=DMARC1; p=none; rua=mailto:a@example.com; foo=bar", 1, 0},
        {"v=DMARC1; p=none; rua", 1, 1},
        {"v=dmarc1; p=none", 1, 1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned problems = 0;
        unsigned errors = bh_dmarc_lint(bh_str_c(cases[i].record), count_problem, &problems);

        if (problems != cases[i].problems || errors != cases[i].errors)
            fail_msg("%s: %u problems, %u errors", cases[i].record, problems, errors);
    }
}

/* ---- the author domain ---- */

static void author_domains(void **state)
{
    static const struct {
        const char *header;
        const char *domain; /* NULL: none */
    } cases[] = {
        {"To: x@y.example\r\nfrom : A <a@Example.COM>\r\n\r\nFrom: b@other.example\r\n", "Example.COM"},
        {"From: a@one.example, \"b\" <b@ONE.example>\r\n", "one.example"},
        {"From: a@one.example, b@two.example\r\n", NULL},
        {"From: a@one.example\r\nFrom: a@one.example\r\n", NULL},
        {"From: nobody\r\n", NULL},
        {"From: group:;\r\n", NULL},
        {"From: a@[192.0.2.1]\r\n", NULL},
        {"To: a@one.example\r\n", NULL},
        {"", NULL},
    };
    struct bh_arena *arena = bh_arena_new(1 << 20);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *why = "";
        bh_str domain = bh_dmarc_author_domain(arena, bh_str_c(cases[i].header), &why);

        if (!bh_str_eq(domain, bh_str_c(cases[i].domain)) || !why != !!cases[i].domain)
            fail_msg("%s: %.*s %s", cases[i].header, BH_FMT(domain), why ? why : "");
    }
    bh_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(author_domains),
        cmocka_unit_test(alignment_examples_of_b1),
        cmocka_unit_test(records_of_b2_can_be_read),
        cmocka_unit_test(tree_walk_of_b41),
        cmocka_unit_test(deep_tree_walk_of_b42),
        cmocka_unit_test(public_suffix_domain_of_b43),
        cmocka_unit_test(organisational_domains_of_4102),
        cmocka_unit_test(the_policy_tag_follows_the_name),
        cmocka_unit_test(test_mode_lowers_the_policy),
        cmocka_unit_test(bad_policies_count_as_none_or_not_at_all),
        cmocka_unit_test(several_records_are_none),
        cmocka_unit_test(failures_matter_where_they_could_decide),
        cmocka_unit_test(the_modes_differ_and_say_so),
        cmocka_unit_test(pct_is_of_rfc_7489_alone),
        cmocka_unit_test(a_record_can_be_assumed),
        cmocka_unit_test(many_signatures_are_bounded),
        cmocka_unit_test(answers_may_come_late),
        cmocka_unit_test(external_destinations_must_agree),
        cmocka_unit_test(the_linter_finds_mistakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
