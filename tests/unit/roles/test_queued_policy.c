/* test_queued_policy.c: what operator and customer say about the queue: holds, cancelling, times, sites, schedules,
 * other ways, new addresses. All of it must survive a kill. */
#include "queued_world.h"

#include <stdio.h>

static const struct bh_query count_cancelled = {"SELECT count(*) FROM event WHERE kind = 14"};

enum { DAY_MS = 86400 * 1000 };

static void start(struct world *w)
{
    world_new(w, 1);
    world_connect(w, &w->senders[0], 1000);
}

static void restart(struct world *w)
{
    world_kill(w);
    world_connect(w, &w->senders[0], 1000);
    world_settle(w);
}

static void submit(struct world *w, uint32_t id, const char *campaign, const char *to)
{
    w->campaign = campaign;
    world_submit_to(w, id, 1000, &to, 1);
    world_settle(w);
}

static void run(struct world *w, const char *command)
{
    const char *answer = world_command(w, command);

    if (!strstr(answer, "\"ok\":true"))
        print_error("%s: %s\n", command, answer);
    assert_non_null(strstr(answer, "\"ok\":true"));
    world_settle(w);
}

static void refused(struct world *w, const char *command)
{
    assert_non_null(strstr(world_command(w, command), "\"ok\":false"));
}

static struct delivery *last(struct world *w)
{
    assert_true(w->senders[0].held_count > 0);
    return &w->senders[0].held[w->senders[0].held_count - 1];
}

static size_t held(const struct world *w)
{
    return w->senders[0].held_count;
}

static void test_hold_and_release(void **state)
{
    struct world w;

    (void)state;
    start(&w);
    run(&w, "{\"noun\":\"queue\",\"verb\":\"hold\",\"args\":{\"campaign\":\"spring\",\"reason\":\"wrong price\"}}");
    submit(&w, 1, "spring", "a@d0.example");
    submit(&w, 2, "autumn", "a@d0.example");
    assert_int_equal(held(&w), 1);
    run(&w, "{\"noun\":\"queue\",\"verb\":\"hold\",\"args\":{\"domain\":\"d1.example\"}}");
    submit(&w, 3, NULL, "a@d1.example");
    restart(&w);
    world_advance(&w, 10000);
    assert_int_equal(held(&w), 1); /* the holds count from the start on */
    assert_non_null(strstr(world_command(&w, "{\"noun\":\"queue\",\"verb\":\"holds\"}"), "wrong price"));
    refused(&w, "{\"noun\":\"queue\",\"verb\":\"release\",\"args\":{\"hold\":77}}");
    refused(&w, "{\"noun\":\"queue\",\"verb\":\"hold\"}");
    run(&w, "{\"noun\":\"queue\",\"verb\":\"release\",\"args\":{\"hold\":1}}");
    assert_int_equal(held(&w), 2);
    run(&w, "{\"noun\":\"queue\",\"verb\":\"release\",\"args\":{\"all\":true}}");
    assert_int_equal(held(&w), 3);
    world_free(&w);
}

static void test_hold_a_message(void **state)
{
    struct world w;
    char command[200];

    (void)state;
    start(&w);
    w.send_at = w.now + 60000;
    submit(&w, 1, NULL, "a@d0.example");
    (void)snprintf(command, sizeof(command), "{\"noun\":\"queue\",\"verb\":\"hold\",\"args\":{\"id\":\"%llu\"}}",
                   (unsigned long long)w.replies[0].message);
    run(&w, command);
    world_advance(&w, 120000);
    assert_int_equal(held(&w), 0);
    restart(&w);
    world_advance(&w, 120000);
    assert_int_equal(held(&w), 0);
    (void)snprintf(command, sizeof(command), "{\"noun\":\"queue\",\"verb\":\"release\",\"args\":{\"id\":\"%llu\"}}",
                   (unsigned long long)w.replies[0].message);
    run(&w, command);
    assert_int_equal(held(&w), 1);
    world_free(&w);
}

static void test_not_before_its_time(void **state)
{
    struct world w;

    (void)state;
    start(&w);
    w.send_at = w.now + 3600 * 1000;
    submit(&w, 1, NULL, "a@d0.example");
    world_advance(&w, 3590 * 1000);
    restart(&w);
    assert_int_equal(held(&w), 0);
    world_advance(&w, 11 * 1000);
    assert_int_equal(held(&w), 1);
    assert_int_equal(last(&w)->body_check, world_body_check(1, 1000));
    world_free(&w);
}

static void test_cancel_a_campaign(void **state)
{
    struct world w;

    (void)state;
    start(&w);
    w.send_at = w.now + 3600 * 1000;
    for (uint32_t i = 0; i < 20; i++)
        submit(&w, i, i % 2 ? "spring" : "autumn", "a@d0.example");
    refused(&w, "{\"noun\":\"queue\",\"verb\":\"cancel\"}");
    run(&w, "{\"noun\":\"queue\",\"verb\":\"cancel\",\"args\":{\"campaign\":\"spring\"}}");
    world_advance(&w, 100);
    assert_int_equal(world_count(&w, &count_cancelled), 10);
    world_advance(&w, 3600 * 1000);
    assert_int_equal(held(&w), 10);
    world_free(&w);
}

static void test_sites(void **state)
{
    struct world w;

    (void)state;
    start(&w);
    run(&w, "{\"noun\":\"site\",\"verb\":\"set\",\"args\":{\"name\":\"google\",\"rules\":\"site google\\n in-hand "
            "2\\n\"}}");
    run(&w, "{\"noun\":\"site\",\"verb\":\"suspend\",\"args\":{\"name\":\"mx.d9.example\",\"for_s\":600}}");
    refused(&w,
            "{\"noun\":\"site\",\"verb\":\"set\",\"args\":{\"name\":\"x\",\"rules\":\"site x\\n in-hand none\\n\"}}");
    restart(&w);
    submit(&w, 1, NULL, "a@d0.example");
    assert_str(bh_str_c(last(&w)->site), "d0.example");
    bh_queued_site(w.engine, BH_STR("d0.example"), BH_STR("aspmx.l.google.com"));
    for (uint32_t i = 2; i < 12; i++)
        submit(&w, i, NULL, "a@d0.example");
    assert_str(bh_str_c(last(&w)->site), "google");
    assert_int_equal(held(&w), 3);
    assert_non_null(strstr(world_command(&w, "{\"noun\":\"site\",\"verb\":\"list\"}"), "\"site\":\"google\""));
    submit(&w, 20, NULL, "a@d9.example"); /* goes: its site is not known yet */
    bh_queued_site(w.engine, BH_STR("d9.example"), BH_STR("mx.d9.example"));
    submit(&w, 21, NULL, "a@d9.example");
    assert_int_equal(held(&w), 4);
    world_advance(&w, 601 * 1000);
    assert_int_equal(held(&w), 5);
    run(&w, "{\"noun\":\"site\",\"verb\":\"unset\",\"args\":{\"name\":\"google\"}}");
    assert_int_equal(held(&w), 11);
    world_free(&w);
}

static void test_a_provider_asks_for_less(void **state)
{
    struct world w;

    (void)state;
    start(&w);
    submit(&w, 1, NULL, "a@d0.example");
    bh_queued_site(w.engine, BH_STR("d0.example"), BH_STR("mx1.mail.yahoodns.net"));
    submit(&w, 2, NULL, "a@d0.example");
    assert_int_equal(held(&w), 2);
    world_refuse(&w, &w.senders[0], 1, 421, "4.7.0 [TSS04] Messages temporarily deferred");
    submit(&w, 3, NULL, "a@d0.example");
    world_advance(&w, 2 * 3600 * 1000);
    assert_int_equal(held(&w), 1);
    assert_non_null(strstr(world_command(&w, "{\"noun\":\"site\",\"verb\":\"show\",\"args\":{\"name\":\"yahoo\"}}"),
                           "\"state\":\"paused\""));
    world_advance(&w, 3 * 3600 * 1000);
    assert_int_equal(held(&w), 2); /* one scout */
    world_free(&w);
}

static void test_schedules(void **state)
{
    struct world w;

    (void)state;
    start(&w);
    run(&w, "{\"noun\":\"schedule\",\"verb\":\"set\",\"args\":{\"customer_id\":7,\"first_s\":10,\"max_s\":10}}");
    run(&w, "{\"noun\":\"schedule\",\"verb\":\"set\",\"args\":{\"class\":\"full\",\"first_s\":5000}}");
    restart(&w);
    submit(&w, 1, NULL, "a@d0.example");
    world_refuse(&w, &w.senders[0], 0, 451, "come back");
    world_advance(&w, 12000);
    assert_int_equal(held(&w), 1);
    assert_int_equal(last(&w)->attempt, 2);
    world_refuse(&w, &w.senders[0], 0, 452, "4.2.2 mailbox is full");
    world_advance(&w, 4000 * 1000);
    assert_int_equal(held(&w), 0);
    world_advance(&w, 60000 * 1000);
    assert_int_equal(held(&w), 1);
    run(&w, "{\"noun\":\"schedule\",\"verb\":\"unset\",\"args\":{\"customer_id\":7}}");
    refused(&w, "{\"noun\":\"schedule\",\"verb\":\"unset\",\"args\":{\"customer_id\":7}}");
    world_free(&w);
}

static void test_another_way(void **state)
{
    struct world w;

    (void)state;
    start(&w);
    run(&w,
        "{\"noun\":\"queue\",\"verb\":\"reroute\",\"args\":{\"domain\":\"D0.example\",\"host\":\"relay.example\"}}");
    restart(&w);
    submit(&w, 1, NULL, "a@d0.example");
    assert_str(bh_str_c(last(&w)->route_host), "relay.example");
    assert_str(bh_str_c(last(&w)->site), ">relay.example:25");
    run(&w, "{\"noun\":\"queue\",\"verb\":\"unroute\",\"args\":{\"domain\":\"d0.example\"}}");
    submit(&w, 2, NULL, "a@d0.example");
    assert_str(bh_str_c(last(&w)->route_host), "");
    assert_str(bh_str_c(last(&w)->site), "d0.example");
    world_free(&w);
}

static size_t from_source(const struct world *w, const char *address4)
{
    size_t n = 0;

    for (size_t i = 0; i < held(w); i++)
        n += strcmp(w->senders[0].held[i].address4, address4) == 0;
    return n;
}

static void finish_all(struct world *w)
{
    for (int i = 0; i < 50; i++) {
        for (size_t k = held(w); k-- > 0;)
            if (w->senders[0].held[k].open)
                world_refuse(w, &w->senders[0], k, 550, "no");
        world_advance(w, 100);
    }
}

static void test_a_new_address_warms_up(void **state)
{
    struct world w;
    struct bh_buf sources = bh_buf_make(1000);

    (void)state;
    start(&w);
    bh_rec_source_put(&sources,
                      &(struct bh_rec_source){BH_STR("192.0.2.1"), {NULL, 0}, BH_STR("m1.example"), 1, {NULL, 0}});
    bh_rec_source_put(&sources,
                      &(struct bh_rec_source){BH_STR("192.0.2.2"), {NULL, 0}, BH_STR("m2.example"), 1, {NULL, 0}});
    w.identity.sources = bh_buf_view(&sources);
    run(&w, "{\"noun\":\"site\",\"verb\":\"set\",\"args\":{\"name\":\"plans\",\"rules\":\"plan tiny\\n * 3 5\\n\"}}");
    run(&w, "{\"noun\":\"warmup\",\"verb\":\"start\",\"args\":{\"address\":\"192.0.2.2\",\"plan\":\"tiny\"}}");
    refused(&w, "{\"noun\":\"warmup\",\"verb\":\"start\",\"args\":{\"address\":\"192.0.2.2\",\"plan\":\"none\"}}");
    for (uint32_t i = 0; i < 12; i++)
        submit(&w, i, NULL, "a@d0.example");
    assert_int_equal(from_source(&w, "192.0.2.2"), 3);
    assert_int_equal(from_source(&w, "192.0.2.1"), 9);
    finish_all(&w);
    restart(&w); /* what went today still counts */
    for (uint32_t i = 20; i < 30; i++)
        submit(&w, i, NULL, "a@d0.example");
    assert_int_equal(from_source(&w, "192.0.2.2"), 0);
    finish_all(&w);
    world_advance(&w, DAY_MS);
    for (uint32_t i = 40; i < 55; i++)
        submit(&w, i, NULL, "a@d0.example");
    assert_int_equal(from_source(&w, "192.0.2.2"), 5);
    finish_all(&w);
    world_advance(&w, DAY_MS);
    for (uint32_t i = 60; i < 72; i++)
        submit(&w, i, NULL, "a@d0.example");
    assert_int_equal(from_source(&w, "192.0.2.2"), 6); /* warm */
    bh_buf_free(&sources);
    world_free(&w);
}

static void expect_answer(struct world *w, uint32_t id, uint16_t code)
{
    submit(w, id, NULL, "a@d0.example");
    assert_int_equal(w->replies[w->reply_count - 1].ok, code == 250);
    if (code != 250)
        assert_int_equal(w->replies[w->reply_count - 1].code, code);
}

static void test_floors(void **state)
{
    static const struct bh_query count_alarms = {"SELECT count(*) FROM event WHERE kind IN (40, 41)"};
    struct world w;

    (void)state;
    start(&w);
    w.options.min_free = 1000000;
    w.options.queue_max = 10;
    bh_queued_configure(w.engine, &w.options);
    w.free_bytes = 2000000;
    expect_answer(&w, 1, 250);
    w.free_bytes = 900000;
    expect_answer(&w, 2, 250); /* asked once a second */
    world_advance(&w, 1000);
    expect_answer(&w, 3, 452);
    assert_non_null(strstr(world_command(&w, "{\"noun\":\"queue\",\"verb\":\"show\"}"), "nearly full"));
    w.free_bytes = 1010000;
    world_advance(&w, 1000);
    expect_answer(&w, 4, 452); /* opens with a margin */
    w.free_bytes = 1100000;
    world_advance(&w, 1000);
    expect_answer(&w, 5, 250);
    assert_int_equal(world_count(&w, &count_alarms), 2);
    for (uint32_t i = 10; i < 17; i++)
        expect_answer(&w, i, 250);
    expect_answer(&w, 20, 452);
    assert_int_equal(held(&w), 10); /* all that was accepted is on its way */
    finish_all(&w);
    expect_answer(&w, 21, 250);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hold_and_release),
        cmocka_unit_test(test_hold_a_message),
        cmocka_unit_test(test_not_before_its_time),
        cmocka_unit_test(test_cancel_a_campaign),
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_a_provider_asks_for_less),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_another_way),
        cmocka_unit_test(test_a_new_address_warms_up),
        cmocka_unit_test(test_floors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
