/* Invariant 4: which From domains a customer may use, and that nothing leaves that would fail DMARC. */
#include "mail/identity.h"
#include "unit.h"

/* Suffixes of a small world: "example" and "co.example". */
static bh_str registrable(const struct bh_suffixes *suffixes, bh_str domain)
{
    static const char *const known[] = {"co.example", "example"};

    for (size_t i = 0; i < 2; i++) {
        bh_str suffix = bh_str_c(known[i]);
        if (bh_str_eq(domain, suffix))
            return (bh_str){NULL, 0};
        if (bh_str_is_at_or_below(domain, suffix)) {
            bh_str left = bh_str_sub(domain, 0, domain.n - suffix.n - 1);
            size_t dot = bh_str_rfind(left, '.');
            return bh_str_skip(domain, dot == left.n ? 0 : dot + 1);
        }
    }
    return (bh_str){NULL, 0};
}

static const struct bh_suffixes_ops suffixes_ops = {registrable};
static const struct bh_suffixes suffixes = {&suffixes_ops};
static struct bh_arena *arena;

static int setup(void **state)
{
    arena = bh_arena_new(4 << 20);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    bh_arena_free(arena);
    return 0;
}

static struct bh_send_domain delegated(void)
{
    return (struct bh_send_domain){.name = BH_STR("email.c.example"),
                                   .zone_apex = BH_STR("c.example"),
                                   .accepts = true,
                                   .can_send = true,
                                   .proven = BH_MECH_BOTH,
                                   .mail_from_domain = BH_STR("bounce.email.c.example"),
                                   .mail_from_is_ours = true,
                                   .dkim_domain = BH_STR("email.c.example")};
}

static struct bh_identity decide(const struct bh_send_domain *domains, size_t count, const char *from,
                                 enum bh_identity_moment moment)
{
    struct bh_identity_request request = {.header_from = bh_str_c(from),
                                          .domains = domains,
                                          .domain_count = count,
                                          .suffixes = &suffixes,
                                          .moment = moment};
    struct bh_identity identity;

    bh_identity_decide(arena, &request, &identity);
    if (!bh_identity_allows(&identity)) {
        assert_in_range(identity.code, 400, 599);
        assert_int_equal(identity.enhanced[0] - '0', identity.code / 100);
        assert_true(identity.reason.n > 0 && identity.fix.n > 0);
    }
    return identity;
}

static enum bh_identity_rule rule_of(struct bh_send_domain domain, const char *from)
{
    struct bh_identity submitted = decide(&domain, 1, from, BH_AT_SUBMISSION);
    struct bh_identity departing = decide(&domain, 1, from, BH_AT_DEPARTURE);

    if (domain.can_send)
        assert_int_equal(submitted.rule, departing.rule);
    return submitted.rule;
}

static void a_domain_opens_itself_below_and_up_to_its_apex(void **state)
{
    static const struct {
        const char *from;
        enum bh_identity_rule rule;
    } cases[] = {
        {"email.c.example", BH_IDENTITY_OK},
        {"EMAIL.C.Example", BH_IDENTITY_OK},
        {"a.b.email.c.example", BH_IDENTITY_OK},
        {"c.example", BH_IDENTITY_OK},
        {"other.c.example", BH_IDENTITY_NO_DOMAIN},
        {"xemail.c.example", BH_IDENTITY_NO_DOMAIN},
        {"d.example", BH_IDENTITY_NO_DOMAIN},
        {"example", BH_IDENTITY_PUBLIC_SUFFIX},
        {"co.example", BH_IDENTITY_PUBLIC_SUFFIX},
        {"a..b", BH_IDENTITY_BAD_NAME},
        {"", BH_IDENTITY_BAD_NAME},
    };
    struct bh_send_domain domain = delegated();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum bh_identity_rule rule = rule_of(domain, cases[i].from);
        if (rule != cases[i].rule)
            fail_msg("%s: %s", cases[i].from, bh_identity_rule_name(rule));
    }
    domain.zone_apex = BH_STR("email.c.example");
    assert_int_equal(rule_of(domain, "c.example"), BH_IDENTITY_ABOVE);
    domain.zone_apex = (bh_str){NULL, 0};
    assert_int_equal(rule_of(domain, "c.example"), BH_IDENTITY_ABOVE);
    domain.zone_apex = BH_STR("example"); /* whatever a check believes: a public suffix is never open */
    assert_int_equal(rule_of(domain, "example"), BH_IDENTITY_PUBLIC_SUFFIX);
}

static void the_plan_is_told(void **state)
{
    struct bh_send_domain domain = delegated();
    struct bh_identity identity = decide(&domain, 1, "c.example", BH_AT_DEPARTURE);

    assert_int_equal(identity.rule, BH_IDENTITY_OK);
    assert_str(identity.mail_from_domain, "bounce.email.c.example");
    assert_true(identity.mail_from_is_ours);
    assert_str(identity.dkim_domain, "email.c.example");
    assert_int_equal(identity.spf_alignment, BH_DMARC_RELAXED);
    assert_int_equal(identity.dkim_alignment, BH_DMARC_RELAXED);
    assert_ptr_equal(identity.domain, &domain);
    assert_str(decide(&domain, 1, "EMAIL.c.example", BH_AT_DEPARTURE).header_from, "email.c.example");
}

static void each_mechanism_suffices_alone(void **state)
{
    struct bh_send_domain domain = delegated();
    struct bh_identity identity;

    domain.proven = BH_MECH_SPF;
    identity = decide(&domain, 1, "c.example", BH_AT_DEPARTURE);
    assert_int_equal(identity.rule, BH_IDENTITY_OK);
    assert_int_equal(identity.dkim_alignment, BH_DMARC_UNALIGNED);
    domain.proven = BH_MECH_DKIM;
    assert_int_equal(rule_of(domain, "c.example"), BH_IDENTITY_OK);
    domain.proven = BH_MECH_NONE;
    assert_int_equal(rule_of(domain, "c.example"), BH_IDENTITY_UNALIGNED);
}

static void the_owners_record_counts(void **state)
{
    struct bh_seen_policy strict[] = {{BH_STR("c.example"), BH_STR("v=DMARC1; p=reject; adkim=s; aspf=s")}};
    struct bh_seen_policy half[] = {{BH_STR("c.example"), BH_STR("v=DMARC1; p=reject; aspf=s")}};
    struct bh_send_domain domain = delegated();
    struct bh_identity identity;

    domain.policies = strict;
    domain.policy_count = 1;
    identity = decide(&domain, 1, "c.example", BH_AT_SUBMISSION);
    assert_int_equal(identity.rule, BH_IDENTITY_UNALIGNED);
    assert_int_equal(rule_of(domain, "email.c.example"), BH_IDENTITY_OK); /* d= is the same: strict alignment */
    domain.policies = half;
    identity = decide(&domain, 1, "c.example", BH_AT_SUBMISSION);
    assert_int_equal(identity.rule, BH_IDENTITY_OK);
    assert_int_equal(identity.spf_alignment, BH_DMARC_UNALIGNED);
    assert_str(identity.record_domain, "c.example");
    domain.proven = BH_MECH_SPF;
    assert_int_equal(rule_of(domain, "c.example"), BH_IDENTITY_UNALIGNED);
}

static void both_ways_of_finding_the_organisation_must_agree(void **state)
{
    /* psd=n below the registrable domain: for RFC 9989 email.c.example is an organisation of its own, for RFC 7489 not
     */
    struct bh_seen_policy split[] = {{BH_STR("c.example"), BH_STR("v=DMARC1; p=none")},
                                     {BH_STR("email.c.example"), BH_STR("v=DMARC1; p=none; psd=n")}};
    struct bh_send_domain domain = delegated();

    domain.policies = split;
    domain.policy_count = 2;
    assert_int_equal(rule_of(domain, "c.example"), BH_IDENTITY_UNALIGNED);
    assert_int_equal(rule_of(domain, "email.c.example"), BH_IDENTITY_OK);
}

static void manual_domains_align_by_dkim(void **state)
{
    struct bh_send_domain domain = {.name = BH_STR("c.example"),
                                    .accepts = true,
                                    .can_send = true,
                                    .proven = BH_MECH_DKIM,
                                    .mail_from_domain = BH_STR("x.bounce.on.esp.example"),
                                    .mail_from_is_ours = true,
                                    .dkim_domain = BH_STR("c.example")};

    assert_int_equal(rule_of(domain, "c.example"), BH_IDENTITY_OK);
    assert_int_equal(rule_of(domain, "www.c.example"), BH_IDENTITY_OK);
    domain.proven = BH_MECH_SPF; /* SPF passes for our domain, which aligns with nothing of theirs */
    assert_int_equal(rule_of(domain, "c.example"), BH_IDENTITY_UNALIGNED);
}

static void closed_domains_hold_and_wait(void **state)
{
    struct bh_send_domain domain = delegated();

    domain.can_send = false;
    assert_int_equal(decide(&domain, 1, "c.example", BH_AT_SUBMISSION).rule, BH_IDENTITY_HELD);
    assert_int_equal(decide(&domain, 1, "c.example", BH_AT_DEPARTURE).rule, BH_IDENTITY_WAIT);
    assert_int_equal(decide(&domain, 1, "c.example", BH_AT_DEPARTURE).code, 451);
    domain.accepts = false;
    assert_int_equal(decide(&domain, 1, "c.example", BH_AT_SUBMISSION).rule, BH_IDENTITY_NOT_VERIFIED);
}

static void the_most_specific_that_aligns_is_taken(void **state)
{
    struct bh_send_domain domains[3] = {delegated(), delegated(), delegated()};
    struct bh_identity identity;

    domains[0].name = BH_STR("c.example");
    domains[0].dkim_domain = BH_STR("c.example");
    domains[2].name = BH_STR("d.example");
    identity = decide(domains, 3, "email.c.example", BH_AT_SUBMISSION);
    assert_ptr_equal(identity.domain, &domains[1]);
    identity = decide(domains, 3, "c.example", BH_AT_SUBMISSION);
    assert_ptr_equal(identity.domain, &domains[0]);
    domains[1].can_send = false;
    identity = decide(domains, 3, "x.email.c.example", BH_AT_SUBMISSION);
    assert_ptr_equal(identity.domain, &domains[0]);
    assert_int_equal(decide(domains, 0, "c.example", BH_AT_SUBMISSION).rule, BH_IDENTITY_NO_DOMAIN);
}

static void many_domains_are_bounded(void **state)
{
    static struct bh_send_domain domains[3000];
    struct bh_identity identity;

    for (size_t i = 0; i < 3000; i++) {
        domains[i] = delegated();
        domains[i].proven = BH_MECH_NONE;
    }
    identity = decide(domains, 3000, "c.example", BH_AT_SUBMISSION);
    assert_int_equal(identity.rule, BH_IDENTITY_UNALIGNED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_domain_opens_itself_below_and_up_to_its_apex),
        cmocka_unit_test(the_plan_is_told),
        cmocka_unit_test(each_mechanism_suffices_alone),
        cmocka_unit_test(the_owners_record_counts),
        cmocka_unit_test(both_ways_of_finding_the_organisation_must_agree),
        cmocka_unit_test(manual_domains_align_by_dkim),
        cmocka_unit_test(closed_domains_hold_and_wait),
        cmocka_unit_test(the_most_specific_that_aligns_is_taken),
        cmocka_unit_test(many_domains_are_bounded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
