/* Approaches, zones, checks and the state machine, on answers made by hand. */
#include "domain/check.h"
#include "domain/key.h"
#include "domain/zones.h"
#include "unit.h"

static const bh_str ns1_addresses[] = {{"192.0.2.53", 10}, {"2001:db8::53", 12}};
static const bh_str ns2_addresses[] = {{"198.51.100.53", 13}};
static const struct bh_platform_ns name_servers[] = {{{"ns1", 3}, ns1_addresses, 2}, {{"ns2", 3}, ns2_addresses, 1}};
static const bh_str egress[] = {{"192.0.2.25", 10}, {"2001:db8::25", 12}};
static const bh_str inbound[] = {{"192.0.2.25", 10}};
static const bh_str web[] = {{"192.0.2.80", 10}};
static const struct bh_platform platform = {.domain = {"on.esp.example", 14},
                                            .ns = name_servers,
                                            .ns_count = 2,
                                            .inbound_host = {"in1.on.esp.example", 18},
                                            .inbound_addresses = inbound,
                                            .inbound_address_count = 1,
                                            .web_addresses = web,
                                            .web_address_count = 1,
                                            .egress = egress,
                                            .egress_count = 2,
                                            .helo = {"mta1.on.esp.example", 19},
                                            .caa = {"letsencrypt.org", 15},
                                            .dmarc_policy = {"none", 4},
                                            .ttl_s = 300,
                                            .serial = 7};
#define ID "abcdefghijklmnopqrstuvwx23"
static const struct bh_token token = {ID, "q7"};

static struct bh_key keys[3] = {
    {.id = 1, .selector = {"bh1", 3}, .kind = BH_KIND_RSA2048, .state = BH_KEY_ACTIVE, .public_b64 = {"MIIBone", 7}},
    {.id = 2, .selector = {"bh2", 3}, .kind = BH_KIND_RSA2048, .state = BH_KEY_PUBLISHED, .public_b64 = {"MIIBtwo", 7}},
    {.id = 3, .selector = {"bh3", 3}, .kind = BH_KIND_RSA2048, .state = BH_KEY_REVOKED, .public_b64 = {"MIIBthr", 7}}};

static struct bh_domain_view make_view(enum bh_approach approach, const char *name)
{
    return (struct bh_domain_view){.domain = {.id = 1,
                                              .name = bh_str_c(name),
                                              .approach = approach,
                                              .token = token,
                                              .labels = {BH_STR("bounce"), BH_STR("link"), BH_STR("img"), BH_STR("bh")},
                                              .zone_apex = {"", 0},
                                              .dmarc_policy = {"", 0}},
                                   .keys = keys,
                                   .key_count = approach == BH_APPROACH_MANUAL ? 1 : 3};
}

static int with_arena(void **state)
{
    *state = bh_arena_new(4 << 20);
    return *state ? 0 : -1;
}
static int without_arena(void **state)
{
    bh_arena_free(*state);
    return 0;
}

static const struct bh_check_policy at_once = {.grace_ms = 72};

/* ---- names ---- */

static void test_names(void **state)
{
    struct bh_arena *arena = *state;
    bh_str name;

    assert_ok(bh_domain_name_normalise(arena, BH_STR(" Email.Customer.EXAMPLE. "), &name));
    assert_str(name, "email.customer.example");
    assert_ok(bh_domain_name_normalise(arena,
                                       BH_STR("b\xc3\xbc"
                                              "cher.example"),
                                       &name));
    assert_str(name, "xn--bcher-kva.example");
    assert_int_equal(bh_domain_name_normalise(arena, BH_STR("co.uk"), &name), BH_E_DENIED);
    assert_int_equal(bh_domain_name_normalise(arena, BH_STR("localhost"), &name), BH_E_SYNTAX);
    assert_int_equal(bh_domain_name_normalise(arena, BH_STR("192.0.2.1"), &name), BH_E_SYNTAX);
    assert_int_equal(bh_domain_name_normalise(arena, BH_STR("a..example.com"), &name), BH_E_SYNTAX);
    assert_int_equal(bh_domain_name_normalise(arena, BH_STR("-a.example.com"), &name), BH_E_SYNTAX);
    assert_int_equal(bh_domain_name_normalise(arena, BH_STR("a b.example.com"), &name), BH_E_SYNTAX);
    assert_str(bh_domain_registrable(BH_STR("a.b.customer.co.uk")), "customer.co.uk");
    assert_str(bh_host_as_typed(BH_STR("bounce.customer.example"), BH_STR("customer.example")), "bounce");
    assert_str(bh_host_as_typed(BH_STR("customer.example"), BH_STR("customer.example")), "@");
}

static void test_tokens(void **state)
{
    struct bh_random_seeded random;
    struct bh_token a, b;

    bh_random_seeded_init(&random, 1);
    a = bh_token_new(&random.base);
    b = bh_token_new(&random.base);
    assert_true(bh_token_valid(bh_str_c(a.id), bh_str_c(a.shard)));
    assert_string_not_equal(a.id, b.id);
    assert_false(bh_token_valid(BH_STR("short"), BH_STR("aa")));
}

static void test_customer_names(void **state)
{
    assert_ok(bh_customer_name_check(BH_STR("bench-1_x")));
    assert_int_equal(bh_customer_name_check(BH_STR("-x")), BH_E_SYNTAX);
    assert_int_equal(bh_customer_name_check(BH_STR("Acme")), BH_E_SYNTAX);
    assert_int_equal(bh_customer_name_check(BH_STR("")), BH_E_SYNTAX);
}

/* ---- records and zones ---- */

static void test_cname_records(void **state)
{
    struct bh_domain_view view = make_view(BH_APPROACH_CNAME, "customer.example");
    struct bh_record_list list;

    assert_ok(bh_required_records(*state, &platform, &view, &list));
    assert_int_equal(list.count, 7);
    assert_str(list.records[0].name, "bounce.customer.example");
    assert_str(list.records[0].value, ID ".q7.bounce.on.esp.example.");
    assert_str(list.records[1].name, "bh1._domainkey.customer.example");
    assert_str(list.records[1].value, "bh1." ID ".q7.dkim.on.esp.example.");
    assert_int_equal(list.records[1].mechanism, BH_MECH_DKIM);
    assert_int_equal(list.records[2].mechanism, BH_MECH_NONE);
    assert_str(list.records[6].value, "v=DMARC1; p=none; rua=mailto:" ID "@rua.on.esp.example");
    assert_false(list.records[6].required);
}

static void assert_zone(const struct bh_zone *zone, const char *line, bool there)
{
    struct bh_buf text = bh_buf_make(1 << 20);
    bh_str view;

    assert_ok(bh_zone_err(zone));
    bh_zone_print(zone, &text);
    view = bh_buf_view(&text);
    if ((bh_str_search(view, bh_str_c(line)) < view.n) != there)
        fail_msg("%s \"%s\" in:\n%.*s", there ? "no" : "unwanted", line, BH_FMT(view));
    bh_buf_free(&text);
}

static void test_delegated_zone(void **state)
{
    struct bh_domain_view view = make_view(BH_APPROACH_DELEGATION, "email.customer.example");
    struct bh_record_list list;
    struct bh_zone zone;

    assert_ok(bh_required_records(*state, &platform, &view, &list));
    assert_int_equal(list.count, 3);
    assert_str(list.records[1].value, ID ".q7.ns2.on.esp.example.");
    assert_ok(bh_build_delegated_zone(*state, &platform, &view, &zone));
    assert_zone(&zone, "email.customer.example. 3600 IN SOA ns1.on.esp.example. hostmaster.on.esp.example. 7 ", true);
    assert_zone(&zone, "email.customer.example. 3600 IN NS " ID ".q7.ns1.on.esp.example.\n", true);
    assert_zone(&zone, "bounce.email.customer.example. 300 IN MX 10 in1.on.esp.example.\n", true);
    assert_zone(&zone, "bounce.email.customer.example. 300 IN TXT \"v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 ~all\"\n",
                true);
    assert_zone(&zone, "bh2._domainkey.email.customer.example. 300 IN TXT \"v=DKIM1; k=rsa; p=MIIBtwo\"\n", true);
    assert_zone(&zone, "bh3._domainkey.email.customer.example. 300 IN TXT \"v=DKIM1; k=rsa; p=\"\n", true);
    assert_zone(&zone, "_dmarc.email.customer.example. 300 IN TXT \"v=DMARC1; p=none; rua=", true);
    assert_zone(&zone, "link.email.customer.example. 300 IN A 192.0.2.80\n", true);
    assert_zone(&zone, "email.customer.example. 300 IN CAA 0 issue \"letsencrypt.org\"\n", true);
}

static void test_platform_zones(void **state)
{
    struct bh_domain_view own = make_view(BH_APPROACH_PLATFORM, "on.esp.example");
    struct bh_domain_view view = make_view(BH_APPROACH_CNAME, "customer.example");
    const bh_str children[] = {BH_STR("q7.dkim.on.esp.example"), BH_STR("rua.on.esp.example")};
    struct bh_zone zone;

    assert_ok(bh_build_platform_zone(*state, &platform, &own, children, 2, &zone));
    assert_zone(&zone, "*.ns1.on.esp.example. 3600 IN AAAA 2001:db8::53\n", true);
    assert_zone(&zone, "ns2.on.esp.example. 3600 IN A 198.51.100.53\n", true);
    assert_zone(&zone, "mta1.on.esp.example. 300 IN TXT \"v=spf1 a -all\"\n", true);
    assert_zone(&zone, "q7.dkim.on.esp.example. 3600 IN NS ns1.on.esp.example.\n", true);
    assert_zone(&zone, "bh1._domainkey.on.esp.example. 300 IN TXT \"v=DKIM1; k=rsa; p=MIIBone\"\n", true);
    assert_zone(&zone, "bounce.on.esp.example. 300 IN MX 10 in1.on.esp.example.\n", true);

    assert_ok(bh_shard_zone_begin(*state, &platform, BH_STR("q7"), "dkim", &zone));
    bh_shard_zone_add(&zone, &platform, "dkim", &view);
    assert_str(zone.apex, "q7.dkim.on.esp.example");
    assert_zone(&zone, "bh1." ID ".q7.dkim.on.esp.example. 300 IN TXT \"v=DKIM1; k=rsa; p=MIIBone\"\n", true);
    assert_ok(bh_shard_zone_begin(*state, &platform, BH_STR("q7"), "bounce", &zone));
    bh_shard_zone_add(&zone, &platform, "bounce", &view);
    assert_zone(&zone, ID ".q7.bounce.on.esp.example. 300 IN MX 10 in1.on.esp.example.\n", true);
    assert_ok(bh_shard_zone_begin(*state, &platform, BH_STR("q7"), "spf", &zone));
    bh_shard_zone_add(&zone, &platform, "spf", &view);
    assert_zone(&zone, ID, false);

    assert_ok(bh_rua_zone_begin(*state, &platform, &zone));
    view.domain.name = BH_STR("news.customer.example");
    bh_rua_zone_add(&zone, &platform, &view.domain);
    assert_zone(&zone, "news.customer.example._report._dmarc.rua.on.esp.example. 3600 IN TXT \"v=DMARC1\"\n", true);
    assert_zone(&zone, "\ncustomer.example._report._dmarc.rua.on.esp.example. 3600 IN TXT \"v=DMARC1\"\n", true);
}

static void test_long_txt_is_split(void **state)
{
    struct bh_zone zone = bh_zone_make(*state, BH_STR("example.com"));
    char text[700];
    bh_str joined;

    memset(text, 'x', sizeof(text));
    bh_zone_add_txt(&zone, zone.apex, 60, bh_str_of(text, sizeof(text)));
    assert_int_equal(zone.records[0].rdata.n, 703);
    joined = bh_txt_joined(*state, zone.records[0].rdata);
    assert_true(bh_str_eq(joined, bh_str_of(text, sizeof(text))));
    assert_null(bh_txt_joined(*state, BH_STR("\x05"
                                             "abc"))
                    .p);
}

static void test_full_arena_is_an_error(void **state)
{
    struct bh_domain_view view = make_view(BH_APPROACH_DELEGATION, "email.customer.example");
    struct bh_arena *small = bh_arena_new(2048);
    struct bh_zone zone;

    assert_int_equal(bh_build_delegated_zone(small, &platform, &view, &zone), BH_E_NOMEM);
    bh_arena_free(small);
}

/* ---- checks ---- */

struct answers {
    struct bh_arena *arena;
    struct bh_seen seen[32];
    size_t count;
};

static void answer(struct answers *answers, const char *name, uint16_t type, bool direct, const char *text)
{
    struct bh_zone zone = bh_zone_make(answers->arena, BH_STR("x"));
    struct bh_seen *seen = &answers->seen[answers->count++];
    bh_str *rdata = bh_arena_alloc(answers->arena, sizeof(*rdata));

    *seen = (struct bh_seen){.name = bh_str_c(name),
                             .type = type,
                             .direct = direct,
                             .servers = 2,
                             .agreeing = 2,
                             .zone = BH_STR("customer.example"),
                             .status = BH_DNS_NODATA};
    if (!text)
        return;
    if (type == BH_DNS_TXT)
        bh_zone_add_txt(&zone, BH_STR("x"), 1, bh_str_c(text));
    else
        bh_zone_add(&zone, BH_STR("x"), 1, type, bh_str_c(text));
    assert_ok(zone.err);
    *rdata = zone.records[0].rdata;
    seen->status = BH_DNS_FOUND;
    seen->rdatas = rdata;
    seen->count = 1;
}

static struct answers all_cnames(struct bh_arena *arena)
{
    struct answers a = {.arena = arena};

    answer(&a, "bounce.customer.example", BH_DNS_CNAME, true, ID ".q7.bounce.ON.esp.example.");
    answer(&a, "bh1._domainkey.customer.example", BH_DNS_CNAME, true, "bh1." ID ".q7.dkim.on.esp.example.");
    answer(&a, "bh2._domainkey.customer.example", BH_DNS_CNAME, true, "bh2." ID ".q7.dkim.on.esp.example.");
    answer(&a, "bh3._domainkey.customer.example", BH_DNS_CNAME, true, "bh3." ID ".q7.dkim.on.esp.example.");
    answer(&a, "customer.example", BH_DNS_SOA, true, NULL);
    answer(&a, "_dmarc.customer.example", BH_DNS_TXT, true, "v=DMARC1; p=reject; adkim=s");
    return a;
}

static void add_proofs(struct answers *a)
{
    answer(a, "bh1._domainkey.customer.example", BH_DNS_TXT, false, "v=DKIM1; k=rsa; p=MIIBone");
    answer(a, "bounce.customer.example", BH_DNS_TXT, false, "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::25 ~all");
}

static void test_check_verified(void **state)
{
    struct bh_domain_view view = make_view(BH_APPROACH_CNAME, "customer.example");
    struct answers a = all_cnames(*state);
    struct bh_check_question *questions;
    struct bh_check_result result;
    struct bh_domain_standing standing;
    size_t count;

    assert_ok(bh_check_questions(*state, &platform, &view, 0, NULL, 0, &questions, &count));
    assert_int_equal(count, 8); /* 6 CNAMEs, SOA, _dmarc */
    for (size_t i = 0; i < count; i++)
        assert_true(questions[i].direct);
    assert_ok(bh_check_questions(*state, &platform, &view, 1, a.seen, a.count, &questions, &count));
    assert_int_equal(count, 2);
    assert_false(questions[0].direct);
    assert_str(questions[1].name, "bounce.customer.example");

    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &result));
    assert_int_equal(result.aligned, BH_MECH_NONE); /* not proven yet */
    add_proofs(&a);
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &result));
    assert_true(result.all_required);
    assert_int_equal(result.aligned, BH_MECH_BOTH);
    assert_str(result.zone_apex, "customer.example");
    assert_int_equal(result.policy_count, 1);
    assert_str(result.policies[0].at, "customer.example");
    standing = bh_domain_next(&view.domain, &result, 1000, &at_once);
    assert_int_equal(standing.state, BH_DOMAIN_VERIFIED);
    assert_true(standing.can_send);
}

static void test_check_mistakes(void **state)
{
    struct bh_domain_view view = make_view(BH_APPROACH_CNAME, "customer.example");
    struct answers a = {.arena = *state};
    struct bh_check_question *questions;
    struct bh_check_result result;
    size_t count;

    answer(&a, "bounce.customer.example", BH_DNS_CNAME, true, ID ".q7.bounce.on.esp.example.customer.example.");
    answer(&a, "bh1._domainkey.customer.example", BH_DNS_CNAME, true, NULL);
    answer(&a, "bh2._domainkey.customer.example", BH_DNS_CNAME, true, NULL);
    answer(&a, "customer.example", BH_DNS_SOA, true, NULL);
    assert_ok(bh_check_questions(*state, &platform, &view, 1, a.seen, a.count, &questions, &count));
    assert_int_equal(count, 13);
    answer(&a, "bh1._domainkey.customer.example.customer.example", BH_DNS_CNAME, true, "bh1.x.");
    answer(&a, "bh2._domainkey.customer.example", BH_DNS_TXT, true, "bh2." ID ".q7.dkim.on.esp.example");
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &result));
    assert_string_equal(result.checks[0].problem.code, "relative_target");
    assert_string_equal(result.checks[1].problem.code, "doubled_domain");
    assert_str(result.checks[1].problem.fix, "Enter only bh1._domainkey as the host");
    assert_string_equal(result.checks[2].problem.code, "wrong_type");
    assert_int_equal(result.checks[3].status, BH_RECORD_UNKNOWN);
    assert_int_equal(bh_domain_next(&view.domain, &result, 1, &at_once).state, BH_DOMAIN_PENDING);
}

static void test_strangers_in_a_delegation(void **state)
{
    struct bh_domain_view view = make_view(BH_APPROACH_DELEGATION, "email.customer.example");
    struct answers a = {.arena = *state};
    struct bh_check_result result;
    struct bh_zone zone = bh_zone_make(*state, BH_STR("x"));
    bh_str rdatas[3];

    bh_zone_add(&zone, zone.apex, 1, BH_DNS_NS, BH_STR(ID ".q7.ns1.on.esp.example."));
    bh_zone_add(&zone, zone.apex, 1, BH_DNS_NS, BH_STR(ID ".q7.ns2.on.esp.example."));
    bh_zone_add(&zone, zone.apex, 1, BH_DNS_NS, BH_STR("ns.other.example."));
    for (int i = 0; i < 3; i++)
        rdatas[i] = zone.records[i].rdata;
    answer(&a, "email.customer.example", BH_DNS_NS, true, "x.");
    a.seen[0].rdatas = rdatas;
    a.seen[0].count = 2;
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &result));
    assert_true(result.all_required);
    a.seen[0].count = 3;
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &result));
    assert_false(result.all_required);
    assert_string_equal(result.checks[0].problem.code, "other_values");
}

static void test_manual(void **state)
{
    struct bh_domain_view view = make_view(BH_APPROACH_MANUAL, "customer.example");
    struct answers a = {.arena = *state};
    struct bh_check_result result;

    answer(&a, "bh1._domainkey.customer.example", BH_DNS_TXT, true, "v=DKIM1; h=sha256; k=rsa; p=MIIB one");
    answer(&a, "customer.example", BH_DNS_TXT, true, "v=spf1 ip4:192.0.2.25 include:" ID ".q7.spf.on.esp.example -all");
    answer(&a, "bh1._domainkey.customer.example", BH_DNS_TXT, false, "v=DKIM1; k=rsa; p=MIIBone");
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &result));
    assert_int_equal(result.checks[0].status, BH_RECORD_OK);
    assert_int_equal(result.checks[1].status, BH_RECORD_OK);
    assert_true(result.all_required);
    assert_int_equal(result.aligned, BH_MECH_DKIM); /* bounces come to our own domain */
    assert_int_equal(bh_domain_next(&view.domain, &result, 1, &at_once).state, BH_DOMAIN_VERIFIED);

    a.count = 0;
    answer(&a, "bh1._domainkey.customer.example", BH_DNS_TXT, true, "\"v=DKIM1\\; k=rsa\\; p=MIIBone\"");
    answer(&a, "customer.example", BH_DNS_TXT, true, "v=spf1 mx -all");
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &result));
    assert_string_equal(result.checks[0].problem.code, "escaped_semicolon");
    assert_string_equal(result.checks[1].problem.code, "spf_without_us");
    assert_str(result.checks[1].problem.fix, "Change it to v=spf1 include:" ID ".q7.spf.on.esp.example mx -all");
}

static void test_spf_covers(void **state)
{
    bh_str include = BH_STR("inc.example"), missing;

    assert_true(bh_spf_covers(&platform, BH_STR("v=spf1 include:INC.example ~all"), include, &missing));
    assert_true(bh_spf_covers(&platform, BH_STR("v=spf1 ip4:192.0.0.0/16 ip6:2001:db8::/32 -all"), include, &missing));
    assert_false(bh_spf_covers(&platform, BH_STR("v=spf1 ip4:192.0.2.25 -all"), include, &missing));
    assert_str(missing, "2001:db8::25");
    assert_false(bh_spf_covers(&platform, BH_STR("v=spf1 -all include:inc.example"), include, &missing));
    assert_false(bh_spf_covers(&platform, BH_STR("v=spf1 -include:inc.example ~all"), include, &missing));
    assert_false(bh_spf_covers(&platform, BH_STR("v=spf1 ip4:192.0.2.25/40 ip6:2001:db8::25"), include, &missing));
}

/* ---- the state machine ---- */

static void test_loss_must_be_seen_again(void **state)
{
    const struct bh_check_policy policy = {.grace_ms = 1000000, .loss_ms = 3600, .unanimous_loss_ms = 300};
    struct bh_domain_view view = make_view(BH_APPROACH_CNAME, "customer.example");
    struct answers a = all_cnames(*state);
    struct bh_domain *domain = &view.domain;
    struct bh_domain_standing standing;
    struct bh_check_result lost;

    add_proofs(&a);
    for (size_t i = 0; i < a.count; i++)
        a.seen[i].status = BH_DNS_NXDOMAIN;
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &lost));
    assert_true(lost.loss_is_unanimous);
    domain->state = BH_DOMAIN_VERIFIED;
    domain->aligned = BH_MECH_BOTH;
    standing = bh_domain_next(domain, &lost, 10000, &policy);
    assert_true(standing.can_send);
    assert_int_equal(bh_check_again_in(&standing, &policy, 0, false, 0), 1000);
    domain->losses = standing.losses;
    domain->losing_at = standing.losing_at;
    assert_int_equal(bh_domain_next(domain, &lost, 10299, &policy).state, BH_DOMAIN_VERIFIED);
    assert_int_equal(bh_domain_next(domain, &lost, 10300, &policy).state, BH_DOMAIN_DEGRADED);

    /* one server does not agree: three looks over the whole time */
    a.seen[0].agreeing = 1;
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &lost));
    assert_false(lost.loss_is_unanimous);
    assert_int_equal(bh_domain_next(domain, &lost, 20000, &policy).state, BH_DOMAIN_VERIFIED); /* the second */
    domain->losses = 2;
    assert_int_equal(bh_domain_next(domain, &lost, 13599, &policy).state, BH_DOMAIN_VERIFIED);
    standing = bh_domain_next(domain, &lost, 13600, &policy);
    assert_int_equal(standing.state, BH_DOMAIN_DEGRADED);
    assert_int_equal(standing.losses, 0);
    assert_int_equal(standing.lost_at, 13600);
}

static void test_loss_grace_and_return(void **state)
{
    struct bh_domain_view view = make_view(BH_APPROACH_CNAME, "customer.example");
    struct answers a = all_cnames(*state);
    struct bh_check_result good, lost, unknown;
    struct bh_domain *domain = &view.domain;
    struct bh_domain_standing standing;

    add_proofs(&a);
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &good));
    for (size_t i = 0; i < a.count; i++)
        a.seen[i].status = BH_DNS_NXDOMAIN;
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &lost));
    for (size_t i = 0; i < a.count; i++)
        a.seen[i].status = BH_DNS_TEMPFAIL;
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &unknown));

    domain->state = BH_DOMAIN_VERIFIED;
    domain->aligned = BH_MECH_BOTH;
    standing = bh_domain_next(domain, &unknown, 1000, &at_once);
    assert_int_equal(standing.state, BH_DOMAIN_VERIFIED); /* not knowing makes nothing worse */
    assert_true(standing.can_send);
    standing = bh_domain_next(domain, &lost, 1999, &at_once);
    assert_int_equal(standing.state, BH_DOMAIN_VERIFIED); /* one look is not believed */
    assert_true(standing.can_send);
    assert_int_equal(standing.losses, 1);
    domain->losses = standing.losses;
    domain->losing_at = standing.losing_at;
    standing = bh_domain_next(domain, &unknown, 1999, &at_once);
    assert_int_equal(standing.losses, 1); /* neither counted nor refuted */
    standing = bh_domain_next(domain, &lost, 2000, &at_once);
    assert_int_equal(standing.losses, 0);
    domain->losses = 0;
    domain->losing_at = 0;
    assert_int_equal(standing.state, BH_DOMAIN_DEGRADED);
    assert_true(standing.accepts);
    assert_false(standing.can_send);
    assert_int_equal(standing.lost_at, 2000);
    domain->state = standing.state;
    domain->aligned = standing.aligned;
    domain->lost_at = standing.lost_at;
    assert_int_equal(bh_domain_next(domain, &lost, 2071, &at_once).state, BH_DOMAIN_DEGRADED);
    standing = bh_domain_next(domain, &lost, 2072, &at_once);
    assert_int_equal(standing.state, BH_DOMAIN_SUSPENDED);
    assert_false(standing.accepts);
    domain->state = BH_DOMAIN_SUSPENDED;
    standing = bh_domain_next(domain, &good, 3000, &at_once);
    assert_int_equal(standing.state, BH_DOMAIN_VERIFIED);
    assert_int_equal(standing.lost_at, 0);
}

/* ---- approaches without records of their own, or without sending ---- */

static void test_rua_is_added(void **state)
{
    static const struct {
        const char *before, *after;
    } cases[] = {
        {"v=DMARC1; p=none", "v=DMARC1; p=none; rua=mailto:T@x"},
        {"v=DMARC1;p=reject;rua=mailto:a@b!10m,mailto:c@d;pct=50;",
         "v=DMARC1; p=reject; rua=mailto:a@b!10m,mailto:c@d,mailto:T@x; pct=50"},
        {"v=DMARC1; p=none; RUA = mailto:t@X ; sp=none", "v=DMARC1; p=none; RUA = mailto:t@X; sp=none"},
        {"v=DMARC1; rua=; ruf=mailto:f@g", "v=DMARC1; rua=mailto:T@x; ruf=mailto:f@g"},
        {"v=DMARC1; rua=mailto:t@x!5m", "v=DMARC1; rua=mailto:t@x!5m"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bh_str after = bh_dmarc_with_rua(*state, bh_str_c(cases[i].before), BH_STR("mailto:T@x"));

        assert_str(after, cases[i].after);
        assert_true(bh_dmarc_has_rua(after, BH_STR("mailto:T@x")));
        assert_str(bh_dmarc_with_rua(*state, after, BH_STR("mailto:T@x")), cases[i].after);
    }
}

static void test_reports_only(void **state)
{
    struct bh_domain_view view = make_view(BH_APPROACH_REPORTS, "customer.example");
    struct answers a = {.arena = *state};
    struct bh_check_question *questions;
    struct bh_check_result result;
    struct bh_domain_standing standing;
    size_t count;

    view.key_count = 0;
    answer(&a, "customer.example", BH_DNS_SOA, true, NULL);
    answer(&a, "_dmarc.customer.example", BH_DNS_TXT, true, "v=DMARC1; p=reject; rua=mailto:them@elsewhere.example");
    assert_ok(bh_check_questions(*state, &platform, &view, 0, NULL, 0, &questions, &count));
    assert_int_equal(count, 2);
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &result));
    assert_int_equal(result.checks[0].status, BH_RECORD_WRONG);
    assert_string_equal(result.checks[0].problem.code, "no_report_address");
    assert_str(result.records.records[0].value,
               "v=DMARC1; p=reject; rua=mailto:them@elsewhere.example,mailto:" ID "@rua.on.esp.example");
    assert_int_equal(bh_domain_next(&view.domain, &result, 1, &at_once).state, BH_DOMAIN_PENDING);

    a.count = 1;
    answer(&a, "_dmarc.customer.example", BH_DNS_TXT, true,
           "v=DMARC1; p=reject; rua=mailto:" ID "@rua.on.esp.example!10m, mailto:them@elsewhere.example");
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &result));
    standing = bh_domain_next(&view.domain, &result, 1, &at_once);
    assert_int_equal(standing.state, BH_DOMAIN_VERIFIED);
    assert_false(standing.can_send);
    assert_false(standing.accepts);
}

static void test_a_relay_is_open_when_it_was_proven(void **state)
{
    struct bh_domain_view view = make_view(BH_APPROACH_RELAY, "customer.example");
    struct answers a = {.arena = *state};
    struct bh_check_result result;
    struct bh_domain_standing standing;

    view.key_count = 0;
    answer(&a, "_dmarc.customer.example", BH_DNS_TXT, true, "v=DMARC1; p=reject");
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &result));
    standing = bh_domain_next(&view.domain, &result, 1, &at_once);
    assert_int_equal(standing.state, BH_DOMAIN_PENDING);
    assert_false(standing.can_send);
    view.probe = (struct bh_probe_proof){.aligned = BH_MECH_DKIM, .at = 5};
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &result));
    standing = bh_domain_next(&view.domain, &result, 6, &at_once);
    assert_int_equal(standing.state, BH_DOMAIN_VERIFIED);
    assert_int_equal(standing.aligned, BH_MECH_DKIM);
    assert_true(standing.can_send);
}

static void test_dmarc_by_the_operators_policy(void **state)
{
    struct bh_platform strict = platform;
    struct bh_domain_view view = make_view(BH_APPROACH_CNAME, "customer.example");
    struct answers a = all_cnames(*state);
    struct bh_check_result result;

    a.count--; /* no DMARC record */
    answer(&a, "_dmarc.customer.example", BH_DNS_TXT, true, NULL);
    add_proofs(&a);
    assert_ok(bh_check_evaluate(*state, &platform, &view, a.seen, a.count, &result));
    assert_true(result.no_org_policy);
    assert_int_equal(bh_domain_next(&view.domain, &result, 1, &at_once).state, BH_DOMAIN_VERIFIED);
    strict.require_dmarc = true;
    assert_ok(bh_check_evaluate(*state, &strict, &view, a.seen, a.count, &result));
    assert_int_equal(bh_domain_next(&view.domain, &result, 1, &at_once).state, BH_DOMAIN_PARTIAL);
}

static void test_pace(void **state)
{
    const struct bh_check_policy policy = {.grace_ms = 72 * 3600 * 1000, .unanimous_loss_ms = 300000};

    struct bh_domain_standing standing = {.state = BH_DOMAIN_PENDING};

    assert_int_equal(bh_check_again_in(&standing, &policy, 0, false, 1), 10000);
    assert_int_equal(bh_check_again_in(&standing, &policy, 1, false, 1), 30000);
    assert_int_equal(bh_check_again_in(&standing, &policy, 50, true, 1), 1000);
    assert_in_range(bh_check_again_in(&standing, &policy, 50, false, 999), 2700000, 4500000);
    standing.state = BH_DOMAIN_VERIFIED;
    assert_in_range(bh_check_again_in(&standing, &policy, 1, false, 0), 9 * 3600 * 1000, 15 * 3600 * 1000);
}

static void test_key_life(void **state)
{
    assert_true(bh_key_may_become(BH_KEY_SEEN, BH_KEY_ACTIVE));
    assert_false(bh_key_may_become(BH_KEY_PUBLISHED, BH_KEY_ACTIVE));
    assert_false(bh_key_may_become(BH_KEY_CREATED, BH_KEY_ACTIVE));
    assert_false(bh_key_may_become(BH_KEY_WITHDRAWN, BH_KEY_ACTIVE));
    assert_true(bh_key_may_become(BH_KEY_ACTIVE, BH_KEY_REVOKED));
    assert_false(bh_key_may_become(BH_KEY_REVOKED, BH_KEY_ACTIVE));
    assert_int_equal(bh_key_initial_state(0), BH_KEY_ACTIVE);
    assert_int_equal(bh_key_initial_state(2), BH_KEY_PUBLISHED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, with_arena, without_arena),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_customer_names),
        cmocka_unit_test_setup_teardown(test_cname_records, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_delegated_zone, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_platform_zones, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_long_txt_is_split, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_full_arena_is_an_error, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_check_verified, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_check_mistakes, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_strangers_in_a_delegation, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_manual, with_arena, without_arena),
        cmocka_unit_test(test_spf_covers),
        cmocka_unit_test_setup_teardown(test_loss_grace_and_return, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_loss_must_be_seen_again, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_rua_is_added, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_reports_only, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_a_relay_is_open_when_it_was_proven, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_dmarc_by_the_operators_policy, with_arena, without_arena),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_key_life),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
