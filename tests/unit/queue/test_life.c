/* test_life.c: days of a destination's life on a virtual clock: greylisting, an outage, a random storm of operations
 * against a simple model. */
#include "unit.h"

#include "queue/message_id.h"
#include "queue/queue.h"
#include "queue/retry.h"

static const bh_time_ms t0 = BH_ID_EPOCH_MS + INT64_C(1000000000);
enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };

struct life {
    struct bh_random_seeded random;
    struct bh_queue *queue;
    struct bh_retry_policy retry;
    bh_time_ms now;
    int attempts, delivered, expired;
    bh_time_ms last_attempt;
};

static void start(struct life *life, int messages)
{
    struct bh_queue_item *item;

    *life = (struct life){.retry = bh_retry_default(), .now = t0};
    bh_random_seeded_init(&life->random, 3);
    life->queue = bh_queue_new(&(struct bh_queue_options){.random = &life->random.base});
    for (int i = 0; i < messages; i++)
        assert_ok(bh_queue_add(life->queue,
                               &(struct bh_queue_entry){.message = (uint64_t)i + 1,
                                                        .customer = 1,
                                                        .route = BH_STR("grey.example"),
                                                        .next_at = t0,
                                                        .expires_at = t0 + (int64_t)life->retry.expire_s * 1000},
                               t0, &item));
}

static void answer(struct life *life, struct bh_queue_item *item, bool takes, enum bh_site_outcome outcome)
{
    uint32_t attempts = item->attempts + 1u;
    bh_time_ms next;

    life->attempts++;
    life->last_attempt = life->now;
    bh_queue_learn(life->queue, item, outcome, life->now);
    if (takes) {
        life->delivered++;
        bh_queue_remove(life->queue, item);
    } else if (bh_retry_next(&life->retry, attempts, life->now, bh_queue_expires_at(item), &life->random.base, &next)) {
        assert_ok(bh_queue_defer(life->queue, item, attempts, next));
    } else {
        life->expired++;
        bh_queue_remove(life->queue, item);
    }
}

/* Runs until nothing is left; `takes` says what the destination does with (now, attempt). */
static void run(struct life *life, bool (*takes)(bh_time_ms since, uint32_t attempts), enum bh_site_outcome refusal)
{
    struct bh_queue_counts counts;
    struct bh_queue_item *item;

    for (int turns = 0; turns < 10000000; turns++) {
        bh_queue_advance(life->queue, life->now);
        while ((item = bh_queue_take_expired(life->queue))) {
            life->expired++;
            bh_queue_remove(life->queue, item);
        }
        while ((item = bh_queue_take(life->queue, 200))) {
            bool yes = takes(life->now - t0, item->attempts);

            answer(life, item, yes, yes ? BH_SITE_WORKS : refusal);
        }
        bh_queue_count(life->queue, &counts);
        if (counts.items == 0)
            return;
        assert_true(bh_queue_next_at(life->queue) > life->now);
        life->now = bh_queue_next_at(life->queue);
    }
    fail();
}

static bool greylists_for_five_minutes(bh_time_ms since, uint32_t attempts)
{
    return attempts > 0 && since >= 5 * MINUTE_MS;
}

static bool never(bh_time_ms since, uint32_t attempts)
{
    (void)since;
    (void)attempts;
    return false;
}

static bool after_two_days(bh_time_ms since, uint32_t attempts)
{
    (void)attempts;
    return since > 48 * (bh_time_ms)HOUR_MS;
}

static void test_greylisting_costs_minutes(void **state)
{
    struct life life;

    (void)state;
    start(&life, 1000);
    run(&life, greylists_for_five_minutes, BH_SITE_NEUTRAL);
    assert_int_equal(life.delivered, 1000);
    assert_true(life.attempts <= 3200); /* at 0, 2 and 6 minutes, some once more */
    assert_true(life.now - t0 < 15 * MINUTE_MS);
    bh_queue_free(life.queue);
}

static void test_five_days_of_greylisting(void **state)
{
    struct life life;

    (void)state;
    start(&life, 1000);
    run(&life, never, BH_SITE_NEUTRAL);
    assert_int_equal(life.expired, 1000);
    assert_in_range(life.attempts, 34 * 1000, 44 * 1000); /* per message: 7 growing, then every four hours */
    assert_int_equal(life.last_attempt, t0 + 5 * 24 * (bh_time_ms)HOUR_MS);
    bh_queue_free(life.queue);
}

static void test_outage_of_two_days(void **state)
{
    struct life life;

    (void)state;
    start(&life, 5000);
    run(&life, after_two_days, BH_SITE_FAILS);
    assert_int_equal(life.delivered, 5000);
    /* the pauses keep 5,000 messages from knocking one by one: a probe or so every half hour */
    assert_true(life.attempts < 5000 + 400);
    assert_true(life.now - t0 < 54 * (bh_time_ms)HOUR_MS);
    bh_queue_free(life.queue);
}

static void test_dead_for_ever(void **state)
{
    struct life life;

    (void)state;
    start(&life, 2000);
    run(&life, never, BH_SITE_FAILS);
    assert_int_equal(life.expired, 2000);
    assert_true(life.now - t0 < 126 * (bh_time_ms)HOUR_MS);
    bh_queue_free(life.queue);
}

/* A storm of random operations; the counts must always add up and nothing may be lost or given out twice. */
static void test_storm(void **state)
{
    enum { MANY = 2000, STEPS = 200000 };
    struct life life;
    struct bh_queue_item *taken[MANY];
    size_t taken_count = 0;
    uint64_t next = 1;
    static const char *const routes[] = {"a.example", "b.example", "c.example", "d.example", "e.example"};

    (void)state;
    start(&life, 0);
    for (int i = 0; i < STEPS; i++) {
        uint64_t dice = bh_random_below(&life.random.base, 100);
        struct bh_queue_counts c;
        struct bh_queue_item *item;

        bh_queue_count(life.queue, &c);
        if (dice < 25 && c.items < MANY) {
            bh_time_ms at = life.now + (bh_time_ms)bh_random_below(&life.random.base, 3000) - 1000;

            assert_ok(
                bh_queue_add(life.queue,
                             &(struct bh_queue_entry){.message = next++,
                                                      .customer = (int64_t)bh_random_below(&life.random.base, 7),
                                                      .route = bh_str_c(routes[bh_random_below(&life.random.base, 5)]),
                                                      .next_at = at,
                                                      .expires_at = life.now + 60000},
                             life.now, &item));
        } else if (dice < 55) {
            item = bh_queue_take(life.queue, 100);
            if (item)
                taken[taken_count++] = item;
        } else if (dice < 60) {
            item = bh_queue_take_expired(life.queue);
            if (item)
                taken[taken_count++] = item;
        } else if (dice < 95 && taken_count) {
            size_t at = bh_random_below(&life.random.base, taken_count);
            uint64_t end = bh_random_below(&life.random.base, 10);

            item = taken[at];
            taken[at] = taken[--taken_count];
            assert_int_equal(item->state, BH_QUEUE_TAKEN);
            bh_queue_learn(life.queue, item,
                           end < 3   ? BH_SITE_FAILS
                           : end < 8 ? BH_SITE_WORKS
                                     : BH_SITE_NEUTRAL,
                           life.now);
            if (end & 1)
                bh_queue_settle(life.queue, item);
            if (end < 2)
                bh_queue_put_back(life.queue, item);
            else if (end < 5)
                assert_ok(bh_queue_defer(life.queue, item, item->attempts + 1u, life.now + 2000));
            else
                bh_queue_remove(life.queue, item);
        } else {
            life.now += (bh_time_ms)bh_random_below(&life.random.base, 500);
            bh_queue_advance(life.queue, life.now);
        }
        bh_queue_count(life.queue, &c);
        assert_int_equal(c.taken, taken_count);
        assert_int_equal(c.items, c.waiting + c.ready + c.taken + c.expired);
    }
    for (int turns = 0; turns < 100000; turns++) { /* all that is left comes out */
        struct bh_queue_counts c;
        struct bh_queue_item *item;

        while (taken_count)
            bh_queue_remove(life.queue, taken[--taken_count]);
        while ((item = bh_queue_take(life.queue, 100)) || (item = bh_queue_take_expired(life.queue))) {
            bh_queue_learn(life.queue, item, BH_SITE_WORKS, life.now);
            bh_queue_remove(life.queue, item);
        }
        bh_queue_count(life.queue, &c);
        if (!c.items)
            break;
        life.now = bh_queue_next_at(life.queue);
        assert_true(life.now < INT64_MAX);
        bh_queue_advance(life.queue, life.now);
    }
    {
        struct bh_queue_counts c;

        bh_queue_count(life.queue, &c);
        assert_int_equal(c.items, 0);
    }
    bh_queue_free(life.queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greylisting_costs_minutes),
        cmocka_unit_test(test_five_days_of_greylisting),
        cmocka_unit_test(test_outage_of_two_days),
        cmocka_unit_test(test_dead_for_ever),
        cmocka_unit_test(test_storm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
