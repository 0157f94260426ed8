/* Domain Connect: what providers say, the link with all its parts escaped, the key in TXT records. */
#include "domain/connect.h"
#include "unit.h"

static struct bh_arena *arena;
static const struct bh_platform platform = {.domain = {"on.esp.example", 14}};

static int set_up(void **state)
{
    (void)state;
    arena = bh_arena_new(1 << 20);
    return arena ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    bh_arena_free(arena);
    return 0;
}

static void assert_text(bh_str got, const char *wanted)
{
    char text[1000];

    assert_ok(bh_str_to_c(got, text, sizeof text));
    assert_string_equal(text, wanted);
}

static struct bh_domain_view view_of(enum bh_approach approach, const char *name)
{
    return (struct bh_domain_view){
        .domain = {.name = bh_str_c(name),
                   .approach = approach,
                   .token = {"abcdefghijklmnopqrstuvwxyz", "aa"},
                   .dmarc_policy = {"", 0},
                   .labels = {BH_STR("bounce"), BH_STR("link"), BH_STR("img"), BH_STR("bh")}}};
}

static void test_settings(void **state)
{
    struct bh_connect_settings s;

    (void)state;
    assert_ok(bh_connect_settings_read(
        arena,
        BH_STR("{\"providerId\":\"p.example\",\"providerName\":\"P\",\"urlSyncUX\":"
               "\"https://ux.p.example/dc/\",\"urlAPI\":\"https://api.p.example\",\"width\":1}"),
        &s));
    assert_text(s.url_sync, "https://ux.p.example/dc");
    assert_text(s.provider_name, "P");
    assert_int_equal(s.url_control_panel.n, 0);
    assert_int_equal(bh_connect_settings_read(arena, BH_STR("[]"), &s), BH_E_SYNTAX);
    assert_int_equal(bh_connect_settings_read(arena, BH_STR("{\"providerId\":\"p\"}"), &s), BH_E_SYNTAX);
    assert_int_equal(
        bh_connect_settings_read(arena, BH_STR("{\"providerId\":\"p\",\"urlAPI\":\"http://a.example\"}"), &s),
        BH_E_SYNTAX);
    assert_int_equal(
        bh_connect_settings_read(arena, BH_STR("{\"providerId\":\"p\",\"urlAPI\":\"https://a.example/\\\"x\"}"), &s),
        BH_E_SYNTAX);
}

static void test_prefix(void **state)
{
    (void)state;
    assert_true(bh_connect_is_prefix(BH_STR("domainconnect.p.example")));
    assert_true(bh_connect_is_prefix(BH_STR("p.example:8443/dc")));
    assert_false(bh_connect_is_prefix(BH_STR("https//p.example@x")));
    assert_false(bh_connect_is_prefix(BH_STR("p.example/../x")));
    assert_false(bh_connect_is_prefix(BH_STR("p.example/?a=b")));
    assert_false(bh_connect_is_prefix(BH_STR("localhost")));
}

static void test_link(void **state)
{
    struct bh_domain_view view = view_of(BH_APPROACH_CNAME, "mail.customer.example");
    struct bh_connect_plan plan;
    const char *why;
    bh_str query;

    (void)state;
    assert_ok(bh_connect_plan(arena, &platform, &view, BH_STR("customer.example"), &plan, &why));
    query = bh_connect_query(arena, &plan);
    assert_text(query, "domain=customer.example&host=mail&token=abcdefghijklmnopqrstuvwxyz.aa&selector=bh");
    assert_text(
        bh_connect_url(arena, BH_STR("https://ux.p.example"), &platform, &plan, query, BH_STR("_dc1"),
                       BH_STR("\xfb\xff")),
        "https://ux.p.example/v2/domainTemplates/providers/on.esp.example/services/cname/apply?"
        "domain=customer.example&host=mail&token=abcdefghijklmnopqrstuvwxyz.aa&selector=bh&key=_dc1&sig=%2B%2F8%3D");
    view.domain.labels.bounce = BH_STR("b");
    assert_int_equal(bh_connect_plan(arena, &platform, &view, BH_STR("customer.example"), &plan, &why),
                     BH_E_UNSUPPORTED);
}

static void test_other_approaches(void **state)
{
    struct bh_key key = {
        .kind = BH_KIND_RSA2048, .state = BH_KEY_ACTIVE, .selector = BH_STR("s1"), .public_b64 = BH_STR("AB+/=")};
    struct bh_domain_view view = view_of(BH_APPROACH_DELEGATION, "email.customer.example");
    struct bh_connect_plan plan;
    const char *why;

    (void)state;
    assert_ok(bh_connect_plan(arena, &platform, &view, BH_STR("customer.example"), &plan, &why));
    assert_string_equal(plan.service, "delegation");
    assert_int_equal(bh_connect_plan(arena, &platform, &view, BH_STR("email.customer.example"), &plan, &why),
                     BH_E_UNSUPPORTED);
    view = view_of(BH_APPROACH_MANUAL, "customer.example");
    assert_int_equal(bh_connect_plan(arena, &platform, &view, BH_STR("customer.example"), &plan, &why),
                     BH_E_UNSUPPORTED);
    view.keys = &key;
    view.key_count = 1;
    assert_ok(bh_connect_plan(arena, &platform, &view, BH_STR("customer.example"), &plan, &why));
    assert_text(bh_connect_query(arena, &plan),
                "domain=customer.example&selector=s1&publickey=AB%2B%2F%3D&groupId=dkim");
    view = view_of(BH_APPROACH_RELAY, "customer.example");
    assert_int_equal(bh_connect_plan(arena, &platform, &view, BH_STR("customer.example"), &plan, &why),
                     BH_E_UNSUPPORTED);
}

static void test_key(void **state)
{
    bh_str texts[BH_CONNECT_TEXTS_MAX];
    char key[392];

    (void)state;
    memset(key, 'A', sizeof key);
    assert_int_equal(bh_connect_key_texts(arena, bh_str_of(key, sizeof key), texts), 2);
    assert_true(bh_str_starts(texts[1], BH_STR("p=2,a=RS256,d=AAA")));
    assert_int_equal(texts[0].n, 14 + 200);
    assert_int_equal(texts[1].n, 14 + 192);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_settings, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_prefix, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_link, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_other_approaches, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_key, set_up, tear_down)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
