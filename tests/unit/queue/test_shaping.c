/* test_shaping.c: the rules that come with the library, and what an operator says differently. */
#include "unit.h"

#include "base/buf.h"
#include "queue/shaping.h"

static struct bh_shaping *rules(const char *more)
{
    struct bh_shaping *s = NULL;
    struct bh_shaping_problem problem;

    assert_ok(bh_shaping_new(&s));
    if (more)
        assert_ok(bh_shaping_add(s, bh_str_c(more), &problem));
    return s;
}

static void expect_site(const struct bh_shaping *s, const char *hosts, const char *site)
{
    char name[BH_QUEUE_ROUTE_MAX];
    size_t n = bh_shaping_site(s, bh_str_c(hosts), name);

    assert_str(bh_str_of(name, n), site);
}

static void test_sites_are_sets_of_exchangers(void **state)
{
    struct bh_shaping *s = rules(NULL);
    struct bh_buf many = bh_buf_make(4000);
    char name[BH_QUEUE_ROUTE_MAX];

    (void)state;
    expect_site(s, "aspmx.l.google.com alt1.aspmx.l.google.com", "google");
    expect_site(s, "gmail-smtp-in.l.google.com", "google");
    expect_site(s, "customer-com.mail.protection.outlook.com", "microsoft");
    expect_site(s, "mx2.example.net MX1.example.net mx2.example.net", "mx1.example.net,mx2.example.net");
    expect_site(s, "aspmx.l.google.com mx.example.net", "aspmx.l.google.com,mx.example.net");
    expect_site(s, "notgoogle.com", "notgoogle.com");
    expect_site(s, "", "");
    for (int i = 0; i < 30; i++)
        bh_buf_printf(&many, "mail-exchanger-%d.example.net ", i);
    assert_int_equal(bh_shaping_site(s, bh_buf_view(&many), name), BH_QUEUE_ROUTE_MAX);
    bh_buf_free(&many);
    bh_shaping_free(s);
}

static void test_shapes(void **state)
{
    struct bh_shaping *s = rules("site google\n connections 3\n rate 100/1m\nsite mx.example.net\n  in-hand 7 \n");
    struct bh_shape shape = {.window_max = 9999};

    (void)state;
    bh_shaping_shape(s, BH_STR("google"), &shape);
    assert_int_equal(shape.connections, 3);
    assert_int_equal(shape.rate_count, 100);
    assert_int_equal(shape.rate_s, 60);
    assert_int_equal(shape.window_max, 40);
    assert_int_equal(shape.pause_first_s, 30); /* of every site */
    shape = (struct bh_shape){0};
    bh_shaping_shape(s, BH_STR("mx.example.net"), &shape);
    assert_int_equal(shape.window_max, 7);
    assert_int_equal(shape.window_start, 16);
    bh_shaping_free(s);
}

static enum bh_advice advise(const struct bh_shaping *s, const char *site, uint16_t code, const char *enhanced,
                             const char *text, int64_t *ret_for_ms)
{
    struct bh_reply_facts reply = {code, bh_str_c(enhanced), bh_str_c(text)};

    return bh_shaping_advise(s, bh_str_c(site), &reply, ret_for_ms);
}

static void test_advice(void **state)
{
    struct bh_shaping *s = rules("site google\n  on 421 \"4.7.28\" slow 7s\nsite x\n  on 5.7.x suspend 1h\n");
    int64_t ms = 0;

    (void)state;
    assert_int_equal(advise(s, "google", 421, "4.7.28", "4.7.28 Our system has detected", &ms), BH_ADVICE_SLOW);
    assert_int_equal(ms, 7000); /* the operator's line stands before ours */
    assert_int_equal(advise(s, "google", 450, "4.2.1", "receiving mail at a RATE that", &ms), BH_ADVICE_SLOW);
    assert_int_equal(ms, 15 * 60 * 1000);
    assert_int_equal(advise(s, "y.example", 421, "", "Too many connections from you", &ms), BH_ADVICE_SLOW);
    assert_int_equal(advise(s, "y.example", 250, "", "rate limit", &ms), BH_ADVICE_NONE);
    assert_int_equal(advise(s, "y.example", 0, "", "", &ms), BH_ADVICE_NONE);
    assert_int_equal(advise(s, "x", 550, "5.7.26", "no", &ms), BH_ADVICE_SUSPEND);
    assert_int_equal(advise(s, "x", 550, "5.1.1", "no", &ms), BH_ADVICE_NONE);
    bh_shaping_free(s);
}

static void test_retry_classes(void **state)
{
    struct bh_shaping *s = rules("retry full 2h 3h 100\n");
    struct bh_reply_facts grey = {451, BH_STR("4.7.1"), BH_STR("Greylisted, please come back")};
    struct bh_reply_facts full = {452, BH_STR("4.2.2"), BH_STR("mailbox")};
    struct bh_retry_policy policy = bh_retry_default();

    (void)state;
    assert_str(bh_shaping_class(s, &grey), "greylisted");
    assert_true(bh_shaping_retry(s, BH_STR("greylisted"), &policy));
    assert_int_equal(policy.first_s, 300);
    assert_str(bh_shaping_class(s, &full), "full");
    assert_true(bh_shaping_retry(s, BH_STR("full"), &policy));
    assert_int_equal(policy.first_s, 7200);
    assert_int_equal(policy.expire_s, 5 * 86400);
    assert_false(bh_shaping_retry(s, BH_STR("other"), &policy));
    bh_shaping_free(s);
}

static void test_plans(void **state)
{
    struct bh_shaping *s = rules("plan quick\n  google 5 50\n  * 10\n");

    (void)state;
    assert_true(bh_shaping_has_plan(s, BH_STR("standard")));
    assert_false(bh_shaping_has_plan(s, BH_STR("none")));
    assert_int_equal(bh_shaping_plan_day(s, BH_STR("quick"), BH_STR("google"), 1), 5);
    assert_int_equal(bh_shaping_plan_day(s, BH_STR("quick"), BH_STR("google"), 2), 50);
    assert_true(bh_shaping_plan_day(s, BH_STR("quick"), BH_STR("google"), 3) == UINT64_MAX);
    assert_int_equal(bh_shaping_plan_day(s, BH_STR("quick"), BH_STR("mx.example"), 1), 10);
    assert_int_equal(bh_shaping_plan_day(s, BH_STR("standard"), BH_STR("yahoo"), 3), 100);
    bh_shaping_free(s);
}

static void test_mistakes_are_told(void **state)
{
    static const struct {
        const char *text;
        size_t line;
    } wrong[] = {{"connections 5\n", 1},
                 {"site x\n\n  colour 5\n", 3},
                 {"site x\n rate 5\n", 2},
                 {"site x\n rate 5/0s\n", 2},
                 {"site x\n on 42 slow 1m\n", 2},
                 {"site x\n on 421 stop 1m\n", 2},
                 {"site x\n on 421 \"a slow\n", 2},
                 {"site x\n connections 0\n", 2},
                 {"site x\n connections 5 6\n", 2},
                 {"plan p\n google\n", 2},
                 {"plan p\n google 5 x\n", 2},
                 {"retry a 5m\n", 1},
                 {"site x y\n", 1},
                 {"site\n", 1},
                 {"site x\n pause 1m\n", 2}};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct bh_shaping *s = rules(NULL);
        struct bh_shaping_problem problem = {0, NULL};

        assert_int_equal(bh_shaping_add(s, bh_str_c(wrong[i].text), &problem), BH_E_SYNTAX);
        assert_int_equal(problem.line, wrong[i].line);
        assert_non_null(problem.why);
        bh_shaping_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sites_are_sets_of_exchangers),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_advice),
        cmocka_unit_test(test_retry_classes),
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_mistakes_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
