/* test_queue.c: states of items, windows and pauses of sites, fairness, memory. */
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
};

static void setup(struct world *world, struct bh_queue_options options)
{
    bh_random_seeded_init(&world->random, 7);
    options.random = &world->random.base;
    options.seed[0] = 1;
    world->queue = bh_queue_new(&options);
    world->next_message = 1;
    assert_non_null(world->queue);
}

static struct bh_queue_item *add_at(struct world *world, int64_t customer, const char *route, bh_time_ms next_at)
{
    struct bh_queue_item *item = NULL;

    assert_ok(bh_queue_add(world->queue,
                           &(struct bh_queue_entry){.message = world->next_message++,
                                                    .customer = customer,
                                                    .route = bh_str_c(route),
                                                    .next_at = next_at,
                                                    .expires_at = t0 + 5 * (bh_time_ms)DAY_MS},
                           t0, &item));
    return item;
}

static struct bh_queue_item *add(struct world *world, int64_t customer, const char *route)
{
    return add_at(world, customer, route, t0);
}

static struct bh_queue_counts counts(const struct world *world)
{
    struct bh_queue_counts c;

    bh_queue_count(world->queue, &c);
    return c;
}

static void test_states(void **state)
{
    struct world w;
    struct bh_queue_item *later, *now, *item = NULL;
    struct bh_queue_entry again = {.message = 1, .route = BH_STR("x.example")};

    (void)state;
    setup(&w, (struct bh_queue_options){0});
    assert_int_equal(bh_queue_next_at(w.queue), INT64_MAX);
    later = add_at(&w, 1, "a.example", t0 + 5000);
    now = add(&w, 1, "a.example");
    assert_int_equal(bh_queue_add(w.queue, &again, t0, &item), BH_E_EXISTS);
    assert_ptr_equal(bh_queue_find(w.queue, 1, 0), later);
    assert_null(bh_queue_find(w.queue, 1, 1));
    assert_str(bh_queue_route(now), "a.example");
    assert_int_equal(bh_queue_customer(now), 1);
    assert_int_equal(bh_queue_next_at(w.queue), t0 + 5000);
    assert_int_equal(bh_queue_expires_at(now), t0 + 5 * (bh_time_ms)DAY_MS);

    assert_ptr_equal(bh_queue_take(w.queue, 10), now);
    assert_null(bh_queue_take(w.queue, 10));
    assert_int_equal(bh_queue_take_item(w.queue, now), BH_E_BUSY);
    bh_queue_put_back(w.queue, now);
    assert_ptr_equal(bh_queue_take(w.queue, 10), now);
    assert_ok(bh_queue_defer(w.queue, now, 1, t0 + 9000));
    assert_int_equal(now->attempts, 1);
    bh_queue_advance(w.queue, t0 + 5000);
    assert_ptr_equal(bh_queue_take(w.queue, 10), later);
    bh_queue_remove(w.queue, later);
    bh_queue_hurry(w.queue, now);
    assert_int_equal(counts(&w).ready, 1);
    bh_queue_remove(w.queue, now);
    assert_int_equal(counts(&w).items, 0);
    assert_int_equal(counts(&w).lanes, 0);
    assert_int_equal(counts(&w).customers, 0);
    assert_int_equal(counts(&w).sites, 1); /* remembered */
    bh_queue_free(w.queue);
}

static void test_put_back_keeps_the_order(void **state)
{
    struct world w;
    struct bh_queue_item *a, *b;

    (void)state;
    setup(&w, (struct bh_queue_options){0});
    a = add(&w, 1, "x.example");
    b = add(&w, 1, "x.example");
    assert_ptr_equal(bh_queue_take(w.queue, 10), a);
    bh_queue_put_back(w.queue, a);
    assert_ptr_equal(bh_queue_take(w.queue, 10), a);
    assert_ptr_equal(bh_queue_take(w.queue, 10), b);
    bh_queue_free(w.queue);
}

static void test_window_grows_and_shrinks(void **state)
{
    struct world w;
    struct bh_queue_item *taken[64] = {NULL};
    int n = 0;

    (void)state;
    setup(&w, (struct bh_queue_options){.window_start = 4, .window_max = 6, .failures_max = 100});
    for (int i = 0; i < 40; i++)
        add(&w, 1, "x.example");
    while ((taken[n] = bh_queue_take(w.queue, 1000)))
        n++;
    assert_int_equal(n, 4);
    for (int i = 0; i < 4; i++) {
        bh_queue_learn(w.queue, taken[i], BH_SITE_WORKS, t0);
        bh_queue_remove(w.queue, taken[i]);
    }
    n = 0;
    while ((taken[n] = bh_queue_take(w.queue, 1000)))
        n++;
    assert_int_equal(n, 6); /* 8, but for the maximum */
    bh_queue_learn(w.queue, taken[0], BH_SITE_FAILS, t0);
    assert_ok(bh_queue_defer(w.queue, taken[0], 1, t0 + 60000));
    assert_null(bh_queue_take(w.queue, 1000)); /* five are out, three may be */
    for (int i = 1; i < 4; i++)
        bh_queue_remove(w.queue, taken[i]);
    assert_non_null(bh_queue_take(w.queue, 1000));
    assert_null(bh_queue_take(w.queue, 1000));
    bh_queue_free(w.queue);
}

static void test_dead_site_is_paused_and_probed(void **state)
{
    struct world w;
    struct bh_queue_item *item;
    bh_time_ms now = t0, resumed;

    (void)state;
    setup(&w, (struct bh_queue_options){.window_start = 1, .failures_max = 3, .pause_first_s = 10, .pause_max_s = 80});
    for (int i = 0; i < 20; i++)
        add(&w, 1, "dead.example");
    for (int i = 0; i < 3; i++) {
        item = bh_queue_take(w.queue, 100);
        assert_non_null(item);
        bh_queue_learn(w.queue, item, BH_SITE_FAILS, now);
        assert_ok(bh_queue_defer(w.queue, item, 1, now + DAY_MS));
    }
    for (int64_t pause = 10000; pause < 1000000; pause *= 2) {
        int64_t bounded = pause > 80000 ? 80000 : pause;

        assert_null(bh_queue_take(w.queue, 100));
        assert_int_equal(counts(&w).paused_sites, 1);
        resumed = bh_queue_next_at(w.queue);
        assert_in_range(resumed - now, bounded, bounded + bounded / 8);
        now = resumed;
        bh_queue_advance(w.queue, now);
        item = bh_queue_take(w.queue, 100);
        assert_non_null(item);
        assert_null(bh_queue_take(w.queue, 100)); /* one scout only */
        bh_queue_learn(w.queue, item, BH_SITE_FAILS, now);
        assert_ok(bh_queue_defer(w.queue, item, 1, now + DAY_MS));
    }
    bh_queue_advance(w.queue, bh_queue_next_at(w.queue));
    item = bh_queue_take(w.queue, 100);
    bh_queue_learn(w.queue, item, BH_SITE_WORKS, now); /* alive again */
    assert_non_null(bh_queue_take(w.queue, 100));
    assert_int_equal(counts(&w).paused_sites, 0);
    bh_queue_free(w.queue);
}

static void test_expiry_behind_a_dead_site(void **state)
{
    struct world w;
    struct bh_queue_item *item;
    int expired = 0;
    bh_time_ms late = t0 + 5 * (bh_time_ms)DAY_MS + 1;

    (void)state;
    setup(&w, (struct bh_queue_options){.window_start = 1, .failures_max = 1});
    for (int i = 0; i < 10; i++)
        add(&w, 1, "dead.example");
    item = bh_queue_take(w.queue, 100);
    bh_queue_learn(w.queue, item, BH_SITE_FAILS, late); /* the pause sweeps what nobody will try in time */
    while ((item = bh_queue_take_expired(w.queue))) {
        bh_queue_remove(w.queue, item);
        expired++;
    }
    assert_int_equal(expired, 9);
    assert_int_equal(counts(&w).items, 1);
    bh_queue_free(w.queue);
}

static void test_customers_take_turns(void **state)
{
    struct world w;
    int got[4] = {0};

    (void)state;
    setup(&w, (struct bh_queue_options){.window_start = 1000, .window_max = 1000});
    for (int i = 0; i < 300; i++)
        add(&w, 1, "x.example");
    for (int i = 0; i < 10; i++)
        add(&w, 2, "x.example");
    for (int i = 0; i < 10; i++)
        add(&w, 3, "y.example");
    for (int i = 0; i < 30; i++)
        got[bh_queue_customer(bh_queue_take(w.queue, 1000))]++;
    assert_int_equal(got[1], 10);
    assert_int_equal(got[2], 10);
    assert_int_equal(got[3], 10);
    bh_queue_free(w.queue);
}

static void test_lanes_of_a_customer_take_turns(void **state)
{
    struct world w;
    int x = 0;

    (void)state;
    setup(&w, (struct bh_queue_options){0});
    for (int i = 0; i < 100; i++)
        add(&w, 1, "x.example");
    for (int i = 0; i < 100; i++)
        add(&w, 1, "y.example");
    for (int i = 0; i < 20; i++)
        x += bh_str_eq(bh_queue_route(bh_queue_take(w.queue, 1000)), BH_STR("x.example"));
    assert_int_equal(x, 10);
    bh_queue_free(w.queue);
}

static void test_full_site_is_shared(void **state)
{
    struct world w;
    int got[4] = {0};
    struct bh_queue_item *taken[4];

    (void)state;
    setup(&w, (struct bh_queue_options){.window_start = 4, .window_max = 4});
    for (int i = 0; i < 300; i++)
        add(&w, 1, "big.example");
    for (int i = 0; i < 4; i++)
        taken[i] = bh_queue_take(w.queue, 100);
    for (int i = 0; i < 300; i++)
        add(&w, 2, "big.example");
    for (int i = 0; i < 300; i++)
        add(&w, 3, "big.example");
    for (int i = 0; i < 300; i++) {
        bh_queue_remove(w.queue, taken[i % 4]);
        taken[i % 4] = bh_queue_take(w.queue, 100);
        assert_non_null(taken[i % 4]);
        got[bh_queue_customer(taken[i % 4])]++;
    }
    for (int c = 1; c <= 3; c++)
        assert_in_range(got[c], 95, 105);
    bh_queue_free(w.queue);
}

static void test_hanging_destinations_leave_room(void **state)
{
    enum { SLOTS = 100 };
    struct world w;
    char route[40];
    struct bh_queue_item *item;
    int hanging = 0;

    (void)state;
    setup(&w, (struct bh_queue_options){0});
    for (int i = 0; i < 2000; i++) { /* customer 3: two hundred domains that never answer */
        (void)snprintf(route, sizeof(route), "dead%d.example", i % 200);
        add(&w, 3, route);
    }
    while (bh_queue_take(w.queue, SLOTS))
        hanging++;
    assert_int_equal(hanging, 75);
    add(&w, 1, "fine.example");
    item = bh_queue_take(w.queue, SLOTS);
    assert_non_null(item);
    assert_int_equal(bh_queue_customer(item), 1);
    assert_null(bh_queue_take(w.queue, SLOTS));
    bh_queue_free(w.queue);
}

static void test_a_million_fit(void **state)
{
    enum { MANY = 1000000 };
    struct world w;
    char route[40];
    struct bh_queue_counts c;

    (void)state;
    setup(&w, (struct bh_queue_options){0});
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(route, sizeof(route), "d%d.example", i % 10000);
        add_at(&w, i % 100, route, t0 + 1 + i % 100000);
    }
    c = counts(&w);
    assert_int_equal(c.waiting, MANY);
    assert_true(c.bytes < (size_t)MANY * 130);
    print_message("%zu bytes a recipient, %zu lanes\n", c.bytes / MANY, c.lanes);
    bh_queue_advance(w.queue, t0 + 200000);
    c = counts(&w);
    assert_int_equal(c.ready, MANY);
    bh_queue_free(w.queue);
}

static void test_idle_sites_are_bounded(void **state)
{
    struct world w;
    char route[40];

    (void)state;
    setup(&w, (struct bh_queue_options){0});
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(route, sizeof(route), "d%d.example", i);
        bh_queue_remove(w.queue, add(&w, 1, route));
    }
    assert_int_equal(counts(&w).sites, 4096);
    bh_queue_free(w.queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_put_back_keeps_the_order),
        cmocka_unit_test(test_window_grows_and_shrinks),
        cmocka_unit_test(test_dead_site_is_paused_and_probed),
        cmocka_unit_test(test_expiry_behind_a_dead_site),
        cmocka_unit_test(test_customers_take_turns),
        cmocka_unit_test(test_lanes_of_a_customer_take_turns),
        cmocka_unit_test(test_full_site_is_shared),
        cmocka_unit_test(test_hanging_destinations_leave_room),
        cmocka_unit_test(test_a_million_fit),
        cmocka_unit_test(test_idle_sites_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
