/* provider.c: the shipped file, recognising by name servers, and the words of forms. */
#include "domain/provider.h"
#include "unit.h"

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

static struct bh_providers builtin(void **state)
{
    struct bh_providers providers;
    size_t line;

    assert_ok(bh_providers_parse(*state, bh_providers_builtin(), &providers, &line));
    return providers;
}

static void test_who_serves_it(void **state)
{
    static const struct {
        const char *servers[3];
        const char *id;
        unsigned percent;
    } cases[] = {{{"amy.ns.cloudflare.com", "Bob.NS.Cloudflare.com"}, "cloudflare", 100},
                 {{"ns-12.awsdns-01.com", "ns-600.awsdns-11.net", "ns-1700.awsdns-20.co.uk"}, "route53", 100},
                 {{"ns51.domaincontrol.com", "ns52.domaincontrol.com"}, "godaddy", 100},
                 {{"ns-cloud-a1.googledomains.com"}, "google-cloud", 100},
                 {{"ns0.transip.net", "ns1.transip.nl", "ns.elsewhere.example"}, "transip", 66},
                 {{"ns1.example.net", "notcloudflare.com"}, NULL, 0}};
    struct bh_providers providers = builtin(state);

    assert_true(providers.count >= 30);
    print_message("%zu providers\n", providers.count);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bh_str names[3];
        size_t count = 0;
        unsigned percent;
        const struct bh_provider *found;

        while (count < 3 && cases[i].servers[count]) {
            names[count] = bh_str_c(cases[i].servers[count]);
            count++;
        }
        found = bh_provider_by_ns(&providers, names, count, &percent);
        assert_int_equal(percent, cases[i].percent);
        if (cases[i].id)
            assert_str(found->id, cases[i].id);
        else
            assert_null(found);
    }
}

static void expect(void **state, const char *id, const struct bh_required_record *record, const char *text)
{
    struct bh_providers providers = builtin(state);
    struct bh_buf out = bh_buf_make(4000);

    bh_provider_print(&out, bh_provider_by_id(&providers, bh_str_c(id)), record, BH_STR("customer.example"));
    assert_str(bh_buf_view(&out), text);
    bh_buf_free(&out);
}

static void test_forms(void **state)
{
    struct bh_required_record cname = {.type = BH_DNS_CNAME,
                                       .name = BH_STR("bh1._domainkey.customer.example"),
                                       .value = BH_STR("bh1.t.dkim.on.esp.example."),
                                       .ttl_s = 3600};
    struct bh_required_record spf = {
        .type = BH_DNS_TXT, .name = BH_STR("customer.example"), .value = BH_STR("v=spf1 ~all"), .ttl_s = 3600};

    expect(state, "godaddy", &cname,
           "  Type   CNAME\n  Host   bh1._domainkey\n  Value  bh1.t.dkim.on.esp.example\n  TTL    3600\n");
    expect(state, "transip", &cname,
           "  Type   CNAME\n  Host   bh1._domainkey\n  Value  bh1.t.dkim.on.esp.example.\n  TTL    3600\n");
    expect(state, "hurricane", &cname,
           "  Type   CNAME\n  Host   bh1._domainkey.customer.example\n  Value  bh1.t.dkim.on.esp.example\n"
           "  TTL    3600\n");
    expect(state, "route53", &spf,
           "  Type   TXT\n  Host   (leave it empty)\n  Value  \"v=spf1 ~all\"\n  TTL    3600\n");
    expect(state, "namecheap", &spf, "  Type   TXT\n  Host   @\n  Value  v=spf1 ~all\n  TTL    3600\n");
}

static void test_long_values(void **state)
{
    char value[1200];
    struct bh_required_record record = {
        .type = BH_DNS_TXT, .name = BH_STR("x.customer.example"), .value = {value, sizeof(value)}, .ttl_s = 1};
    struct bh_providers providers = builtin(state);
    struct bh_buf out = bh_buf_make(4000);

    memset(value, 'k', sizeof(value));
    bh_provider_print(&out, bh_provider_by_id(&providers, BH_STR("azure")), &record, BH_STR("customer.example"));
    assert_true(bh_str_search(bh_buf_view(&out), BH_STR("The form takes 1024 characters")) < out.n);
    bh_buf_clear(&out);
    bh_provider_print(&out, bh_provider_by_id(&providers, BH_STR("route53")), &record, BH_STR("customer.example"));
    assert_true(bh_str_search(bh_buf_view(&out), BH_STR("kkk\" \"kkk")) < out.n);
    bh_buf_free(&out);
}

static void test_what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *text;
        size_t line;
    } cases[] = {{"name = x\n", 1},
                 {"[a]\nname = A\nns = x\ndot = perhaps\n", 4},
                 {"[a]\nname = A\nns = x\n[a]\n", 4},
                 {"[a]\nname = A\nns = x\nflavour = good\n", 4},
                 {"[a]\nns = x,,y\n", 2},
                 {"[a]\nname = A\n", 2},
                 {"[\n", 1}};
    struct bh_providers providers;
    size_t line;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(bh_providers_parse(*state, bh_str_c(cases[i].text), &providers, &line), BH_E_SYNTAX);
        assert_int_equal(line, cases[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_serves_it, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_forms, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_long_values, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_what_is_wrong_is_told, with_arena, without_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
