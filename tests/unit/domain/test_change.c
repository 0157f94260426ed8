/* change.c: when a record counts as edited, and the edit itself. */
#include "domain/change.h"
#include "domain/zone.h"
#include "unit.h"

static int with_arena(void **state)
{
    *state = bh_arena_new(1 << 20);
    return *state ? 0 : -1;
}

static int without_arena(void **state)
{
    bh_arena_free(*state);
    return 0;
}

static struct bh_seen seen_txt(struct bh_arena *arena, size_t count, const char *const *texts)
{
    bh_str *rdatas = bh_arena_array(arena, count + 1, sizeof(*rdatas));
    struct bh_zone zone = bh_zone_make(arena, BH_STR("x.example"));

    for (size_t i = 0; i < count; i++) {
        bh_zone_add_txt(&zone, zone.apex, 1, bh_str_c(texts[i]));
        rdatas[i] = zone.records[zone.count - 1].rdata;
    }
    return (struct bh_seen){.type = BH_DNS_TXT,
                            .direct = true,
                            .status = count ? BH_DNS_FOUND : BH_DNS_NXDOMAIN,
                            .rdatas = rdatas,
                            .count = count,
                            .servers = 2,
                            .agreeing = 2,
                            .ttl_s = 3600};
}
#define SEEN(arena, ...)                                                                                               \
    seen_txt(arena, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static bool shows(struct bh_arena *arena, const struct bh_change_item *item, bh_str include, struct bh_seen seen)
{
    return bh_change_seen(arena, item, include, &seen);
}

static void test_spf_items(void **state)
{
    struct bh_change_item item = {.type = BH_DNS_TXT,
                                  .match = BH_MATCH_SPF,
                                  .want = BH_STR("192.0.2.11 2001:db8::11"),
                                  .new_value = BH_STR("v=spf1 ip4:192.0.2.11 ip6:2001:db8::11 -all")};
    bh_str include = BH_STR("t.q7.spf.on.esp.example");
    static const struct {
        const char *record;
        bool seen;
    } cases[] = {{"v=spf1 ip4:192.0.2.11 ip6:2001:db8::11 -all", true},
                 {"v=spf1 a mx ip4:192.0.2.0/24 ip6:2001:db8::/32 ~all", true},
                 {"v=spf1 include:t.q7.spf.on.esp.example -all", true},
                 {"v=spf1 ip4:192.0.2.11 -all", false},
                 {"v=spf1 -all ip4:192.0.2.11 ip6:2001:db8::11", false},
                 {"ip4:192.0.2.11 ip6:2001:db8::11", false}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bh_seen seen = SEEN(*state, "something else", cases[i].record);

        assert_int_equal(bh_change_seen(*state, &item, include, &seen), cases[i].seen);
        seen.agreeing = 1; /* one server does not have it yet */
        assert_false(bh_change_seen(*state, &item, include, &seen));
    }
    assert_false(shows(*state, &item, include, SEEN(*state, cases[0].record, cases[1].record)));
}

static void test_key_items(void **state)
{
    struct bh_change_item item = {
        .type = BH_DNS_TXT, .match = BH_MATCH_DKIM, .new_value = BH_STR("v=DKIM1; k=rsa; p=MIIBnew")};

    assert_true(shows(*state, &item, BH_STR(""), SEEN(*state, "k=rsa; p=MIIBnew")));
    assert_false(shows(*state, &item, BH_STR(""), SEEN(*state, "v=DKIM1; p=MIIBold")));
    assert_false(shows(*state, &item, BH_STR(""), SEEN(*state, "p=MIIBnew", "p=MIIBold")));
    assert_false(shows(*state, &item, BH_STR(""), SEEN(*state, "\"p=MIIBnew\"")));
}

static void test_the_old_ttl_runs(void **state)
{
    struct bh_change_item item = {
        .type = BH_DNS_TXT, .match = BH_MATCH_EXACT, .new_value = BH_STR("new"), .want = BH_STR("")};
    struct bh_seen old = SEEN(*state, "old"), new = SEEN(*state, "new"), unknown = new;

    unknown.status = BH_DNS_TEMPFAIL;
    old.ttl_s = 7200;
    new.ttl_s = 60;
    assert_true(bh_change_look(*state, &item, BH_STR(""), &old, 1000));
    assert_false(bh_change_look(*state, &item, BH_STR(""), &old, 2000));
    assert_true(bh_change_look(*state, &item, BH_STR(""), &new, 5000));
    assert_int_equal(item.acted_at, 5000);
    assert_int_equal(item.effective_at, 5000 + 7200 * 1000);
    assert_false(bh_change_look(*state, &item, BH_STR(""), &unknown, 6000));
    assert_int_equal(item.acted_at, 5000);
    assert_true(bh_change_look(*state, &item, BH_STR(""), &old, 7000)); /* taken back */
    assert_int_equal(item.acted_at, 0);
    assert_int_equal(item.effective_at, 0);
}

static void test_editing_spf(void **state)
{
    assert_str(bh_spf_with(*state, BH_STR("v=spf1 a -all"), BH_STR("ip4:192.0.2.1 ip6:2001:db8::1")),
               "v=spf1 a ip4:192.0.2.1 ip6:2001:db8::1 -all");
    assert_str(bh_spf_with(*state, BH_STR("v=spf1  a +ip4:192.0.2.1 redirect=x.example"),
                           BH_STR("ip4:192.0.2.1 ip4:192.0.2.2")),
               "v=spf1 a +ip4:192.0.2.1 ip4:192.0.2.2 redirect=x.example");
    assert_str(bh_spf_with(*state, BH_STR("v=spf1"), BH_STR("ip4:192.0.2.1")), "v=spf1 ip4:192.0.2.1");
    assert_str(bh_spf_without(*state, BH_STR("v=spf1 IP4:192.0.2.1 a ~all"), BH_STR("ip4:192.0.2.1")), "v=spf1 a ~all");
    assert_str(bh_spf_term(*state, BH_STR("2001:db8::1")), "ip6:2001:db8::1");
    assert_str(bh_spf_term(*state, BH_STR("192.0.2.1")), "ip4:192.0.2.1");
}

static void test_words(void **state)
{
    struct bh_buf out = bh_buf_make(2000);
    struct bh_change_item item = {.type = BH_DNS_TXT,
                                  .name = BH_STR("customer.example"),
                                  .old_value = BH_STR("v=spf1 -all"),
                                  .new_value = BH_STR("v=spf1 ip4:192.0.2.1 -all")};

    (void)state;
    bh_change_print(&out, BH_STR("customer.example"), BH_STR(""), &item);
    assert_str(bh_buf_view(&out), "customer.example: change the record of type TXT at customer.example\n"
                                  "    host: @\n"
                                  "    from: v=spf1 -all\n"
                                  "    to:   v=spf1 ip4:192.0.2.1 -all\n");
    bh_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_spf_items, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_key_items, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_the_old_ttl_runs, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_editing_spf, with_arena, without_arena),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
