/* test_paths.c: the second stage: sources and their weights, sites that several domains share, rates, quotas, holds. */
#include "unit.h"

#include "queue/message_id.h"
#include "queue/queue.h"
#include <stdio.h>

static const bh_time_ms t0 = BH_ID_EPOCH_MS + INT64_C(1000000000);
enum { DAY_MS = 86400 * 1000 };

struct world {
    struct bh_random_seeded random;
    struct bh_queue *queue;
    uint64_t next_message;
    struct bh_shape shape; /* of every site, where not 0 */
    uint64_t quota;        /* of source "cold" */
    bh_time_ms quota_until;
    const char *held_campaign;
};

static void give_shape(void *ctx, bh_str site, struct bh_shape *shape)
{
    const struct world *w = ctx;

    (void)site;
    if (w->shape.window_max)
        *shape = w->shape;
}

static void give_quota(void *ctx, bh_str source, bh_str site, bh_time_ms now, struct bh_quota *quota)
{
    const struct world *w = ctx;

    (void)site;
    (void)now;
    if (bh_str_eq(source, BH_STR("cold")))
        *quota = (struct bh_quota){w->quota, w->quota_until};
}

static bool say_held(void *ctx, int64_t customer, bh_str campaign, bh_str route)
{
    const struct world *w = ctx;

    (void)customer;
    (void)route;
    return w->held_campaign && bh_str_eq(campaign, bh_str_c(w->held_campaign));
}

static void setup(struct world *w)
{
    bh_random_seeded_init(&w->random, 7);
    w->queue = bh_queue_new(&(struct bh_queue_options){
        .random = &w->random.base, .seed = {1, 2}, .knowledge = {give_shape, give_quota, say_held, NULL, w}});
    w->next_message = 1;
    assert_non_null(w->queue);
}

static struct bh_queue_item *add_of(struct world *w, int64_t customer, uint64_t domain, const char *campaign,
                                    const char *route)
{
    struct bh_queue_item *item = NULL;

    assert_ok(bh_queue_add(w->queue,
                           &(struct bh_queue_entry){.message = w->next_message++,
                                                    .customer = customer,
                                                    .domain = domain,
                                                    .campaign = bh_str_c(campaign),
                                                    .route = bh_str_c(route),
                                                    .next_at = t0,
                                                    .expires_at = t0 + 5 * (bh_time_ms)DAY_MS},
                           t0, &item));
    return item;
}

static struct bh_queue_counts counts(const struct world *w)
{
    struct bh_queue_counts c;

    bh_queue_count(w->queue, &c);
    return c;
}

static size_t take_all(struct world *w, struct bh_queue_item **taken, size_t most)
{
    size_t n = 0;

    while (n < most && (taken[n] = bh_queue_take(w->queue, 10000)))
        n++;
    return n;
}

static void test_domains_of_a_provider_share_a_site(void **state)
{
    struct world w = {.shape = {.window_start = 5, .window_max = 5, .failures_max = 3, .pause_first_s = 10}};
    struct bh_queue_item *taken[100];
    char route[40];

    (void)state;
    setup(&w);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(route, sizeof(route), "d%d.example", i);
        add_of(&w, 1, 1, "", route);
        assert_ok(bh_queue_site(w.queue, bh_str_c(route), BH_STR("google")));
    }
    assert_int_equal(counts(&w).sites, 1);
    assert_int_equal(counts(&w).paths, 1);
    assert_int_equal(take_all(&w, taken, 100), 5);
    assert_str(bh_queue_site_name(taken[0]), "google");
    for (int i = 0; i < 3; i++) /* one domain's failures are the site's */
        bh_queue_learn(w.queue, taken[i], BH_SITE_FAILS, t0);
    for (int i = 0; i < 5; i++)
        bh_queue_remove(w.queue, taken[i]);
    assert_null(bh_queue_take(w.queue, 100));
    assert_int_equal(counts(&w).paused_sites, 1);
    bh_queue_free(w.queue);
}

static void test_a_site_learnt_late_moves_what_waits(void **state)
{
    struct world w = {.shape = {.window_start = 2, .window_max = 2, .failures_max = 3}};
    struct bh_queue_item *taken[100];

    (void)state;
    setup(&w);
    for (int i = 0; i < 10; i++) {
        add_of(&w, 1, 1, "", "a.example");
        add_of(&w, 1, 1, "", "b.example");
    }
    assert_int_equal(take_all(&w, taken, 100), 4); /* two sites so far */
    assert_ok(bh_queue_site(w.queue, BH_STR("a.example"), BH_STR("mx")));
    assert_ok(bh_queue_site(w.queue, BH_STR("b.example"), BH_STR("mx")));
    assert_int_equal(counts(&w).sites, 3); /* the old two until what is on its way has ended */
    assert_int_equal(take_all(&w, taken + 4, 90), 2);
    for (int i = 0; i < 6; i++)
        bh_queue_remove(w.queue, taken[i]);
    assert_int_equal(counts(&w).sites, 1);
    for (int left = 14; left > 0; left -= 2) {
        assert_int_equal(take_all(&w, taken, 100), 2);
        bh_queue_remove(w.queue, taken[0]);
        bh_queue_remove(w.queue, taken[1]);
    }
    assert_int_equal(counts(&w).items, 0);
    bh_queue_free(w.queue);
}

static void test_sources_by_weight(void **state)
{
    static const struct bh_queue_source pool[] = {{{"a", 1}, 3}, {{"b", 1}, 1}};
    struct world w = {0};
    struct bh_queue_item *taken[100];
    int got[2] = {0};

    (void)state;
    setup(&w);
    for (int i = 0; i < 100; i++)
        add_of(&w, 1, 7, "", "x.example");
    assert_int_equal(take_all(&w, taken, 1), 1);
    assert_int_equal(bh_queue_source(taken[0]).n, 0); /* nothing known yet */
    assert_ok(bh_queue_sources(w.queue, 7, pool, 2));
    bh_queue_put_back(w.queue, taken[0]);
    for (size_t i = 0, n = take_all(&w, taken, 16); i < n; i++)
        got[bh_str_eq(bh_queue_source(taken[i]), BH_STR("b"))]++;
    assert_int_equal(got[0], 12);
    assert_int_equal(got[1], 4);
    assert_int_equal(counts(&w).paths, 3);
    bh_queue_free(w.queue);
}

static void test_a_full_source_leaves_to_the_others(void **state)
{
    static const struct bh_queue_source pool[] = {{{"cold", 4}, 1}, {{"warm", 4}, 1}};
    struct world w = {.quota = 3, .quota_until = t0 + DAY_MS};
    struct bh_queue_item *taken[100];
    int cold = 0;

    (void)state;
    setup(&w);
    assert_ok(bh_queue_sources(w.queue, 7, pool, 2));
    for (int i = 0; i < 40; i++)
        add_of(&w, 1, 7, "", "x.example");
    for (size_t i = 0, n = take_all(&w, taken, 100); i < n; i++)
        cold += bh_str_eq(bh_queue_source(taken[i]), BH_STR("cold"));
    assert_int_equal(cold, 3);
    w.quota = 50;
    w.quota_until = t0 + 2 * (bh_time_ms)DAY_MS;
    bh_queue_advance(w.queue, t0 + DAY_MS - 1);
    assert_null(bh_queue_take(w.queue, 100));
    bh_queue_advance(w.queue, t0 + DAY_MS); /* a new day */
    assert_str(bh_queue_source(bh_queue_take(w.queue, 100)), "cold");
    bh_queue_free(w.queue);
}

static void test_what_did_not_go_out_is_not_charged(void **state)
{
    static const struct bh_queue_source pool[] = {{{"cold", 4}, 1}};
    struct world w = {.quota = 1, .quota_until = t0 + DAY_MS};
    struct bh_queue_item *item;

    (void)state;
    setup(&w);
    assert_ok(bh_queue_sources(w.queue, 7, pool, 1));
    add_of(&w, 1, 7, "", "x.example");
    add_of(&w, 1, 7, "", "x.example");
    item = bh_queue_take(w.queue, 100);
    assert_non_null(item);
    assert_null(bh_queue_take(w.queue, 100));
    bh_queue_put_back(w.queue, item);
    assert_ptr_equal(bh_queue_take(w.queue, 100), item);
    assert_null(bh_queue_take(w.queue, 100));
    bh_queue_free(w.queue);
}

static void test_rate(void **state)
{
    struct world w = {
        .shape = {.window_start = 100, .window_max = 100, .failures_max = 3, .rate_count = 10, .rate_s = 1}};
    int sent = 0;

    (void)state;
    setup(&w);
    for (int i = 0; i < 100; i++)
        add_of(&w, i % 3, 7, "", "x.example");
    for (bh_time_ms now = t0; now < t0 + 5000; now = bh_queue_next_at(w.queue)) {
        struct bh_queue_item *item;

        bh_queue_advance(w.queue, now);
        while ((item = bh_queue_take(w.queue, 100))) {
            bh_queue_remove(w.queue, item);
            sent++;
        }
    }
    assert_int_equal(sent, 50);
    bh_queue_free(w.queue);
}

static void test_slow_and_suspend(void **state)
{
    struct world w = {.shape = {.window_start = 16, .window_max = 100, .failures_max = 3}};
    struct bh_queue_item *taken[100];

    (void)state;
    setup(&w);
    for (int i = 0; i < 100; i++)
        add_of(&w, 1, 7, "", "x.example");
    assert_int_equal(take_all(&w, taken, 100), 16);
    bh_queue_slow(w.queue, taken[0], t0, 60000);
    bh_queue_slow(w.queue, taken[1], t0 + 10, 60000); /* of the same burst */
    for (int i = 0; i < 16; i++) {
        bh_queue_learn(w.queue, taken[i], BH_SITE_WORKS, t0 + 20);
        bh_queue_remove(w.queue, taken[i]);
    }
    assert_int_equal(take_all(&w, taken, 100), 8);
    bh_queue_suspend(w.queue, taken[0], t0 + 30, 1000);
    for (int i = 0; i < 8; i++)
        bh_queue_remove(w.queue, taken[i]);
    assert_null(bh_queue_take(w.queue, 100));
    bh_queue_advance(w.queue, t0 + 1030);
    assert_int_equal(take_all(&w, taken, 100), 1);                /* a scout */
    bh_queue_learn(w.queue, taken[0], BH_SITE_WORKS, t0 + 70000); /* and it grows again */
    bh_queue_remove(w.queue, taken[0]);
    assert_int_equal(take_all(&w, taken, 100), 2);
    bh_queue_free(w.queue);
}

static void test_operator_suspends(void **state)
{
    struct world w = {.shape = {.window_start = 4, .window_max = 4, .failures_max = 3, .suspended_until = INT64_MAX}};

    (void)state;
    setup(&w);
    add_of(&w, 1, 7, "", "x.example");
    assert_null(bh_queue_take(w.queue, 100));
    assert_int_equal(bh_queue_next_at(w.queue), INT64_MAX);
    w.shape.suspended_until = 0;
    bh_queue_shapes_changed(w.queue, BH_STR("x.example"));
    assert_non_null(bh_queue_take(w.queue, 100));
    bh_queue_free(w.queue);
}

static void test_hold_by_campaign(void **state)
{
    struct world w = {.held_campaign = "spring"};
    struct bh_queue_item *taken[100];

    (void)state;
    setup(&w);
    add_of(&w, 1, 7, "spring", "x.example");
    add_of(&w, 1, 7, "autumn", "x.example");
    assert_int_equal(take_all(&w, taken, 100), 1);
    assert_str(bh_queue_campaign(taken[0]), "autumn");
    w.held_campaign = "autumn";
    bh_queue_holds_changed(w.queue);
    bh_queue_put_back(w.queue, taken[0]);
    assert_int_equal(take_all(&w, taken, 100), 1);
    assert_str(bh_queue_campaign(taken[0]), "spring");
    w.held_campaign = NULL;
    bh_queue_holds_changed(w.queue);
    assert_int_equal(take_all(&w, taken + 1, 90), 1);
    bh_queue_free(w.queue);
}

static void test_hold_an_item(void **state)
{
    struct world w = {0};
    struct bh_queue_item *a, *b, *taken[10];

    (void)state;
    setup(&w);
    a = add_of(&w, 1, 7, "", "x.example");
    b = add_of(&w, 1, 7, "", "x.example");
    bh_queue_hold_item(w.queue, a);
    assert_int_equal(counts(&w).held, 1);
    assert_int_equal(take_all(&w, taken, 10), 1);
    bh_queue_hold_item(w.queue, b); /* on its way: held when it comes back */
    assert_ok(bh_queue_defer(w.queue, b, 1, t0 + 1000));
    assert_int_equal(counts(&w).held, 2);
    assert_int_equal(bh_queue_next_at(w.queue), INT64_MAX);
    bh_queue_release_item(w.queue, b);
    bh_queue_release_item(w.queue, a);
    assert_int_equal(take_all(&w, taken, 10), 2);
    bh_queue_free(w.queue);
}

/* A hundred thousand scheduled queues that wait cost no work at all: nothing but their timers is looked at. */
static void test_idle_queues_cost_nothing(void **state)
{
    struct world w = {0};
    struct bh_queue_item *item;
    char route[40];

    (void)state;
    setup(&w);
    for (int i = 0; i < 100000; i++) {
        (void)snprintf(route, sizeof(route), "d%d.example", i % 50000);
        assert_ok(bh_queue_add(w.queue,
                               &(struct bh_queue_entry){.message = w.next_message++,
                                                        .customer = i % 1000,
                                                        .domain = (uint64_t)i % 1000,
                                                        .campaign = i & 1 ? BH_STR("news") : BH_STR(""),
                                                        .route = bh_str_c(route),
                                                        .next_at = t0 + DAY_MS,
                                                        .expires_at = t0 + 5 * (bh_time_ms)DAY_MS},
                               t0, &item));
    }
    assert_true(counts(&w).lanes >= 50000);
    print_message("%zu lanes, %zu sites, %zu bytes\n", counts(&w).lanes, counts(&w).sites, counts(&w).bytes);
    add_of(&w, 1, 7, "", "x.example");
    for (int i = 0; i < 1000000; i++) {
        bh_queue_advance(w.queue, t0 + i);
        item = bh_queue_take(w.queue, 100);
        if (item)
            bh_queue_put_back(w.queue, item);
    }
    bh_queue_free(w.queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_domains_of_a_provider_share_a_site),
        cmocka_unit_test(test_a_site_learnt_late_moves_what_waits),
        cmocka_unit_test(test_sources_by_weight),
        cmocka_unit_test(test_a_full_source_leaves_to_the_others),
        cmocka_unit_test(test_what_did_not_go_out_is_not_charged),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_slow_and_suspend),
        cmocka_unit_test(test_operator_suspends),
        cmocka_unit_test(test_hold_by_campaign),
        cmocka_unit_test(test_hold_an_item),
        cmocka_unit_test(test_idle_queues_cost_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
