/* test_retry.c: intervals grow, are spread, and end with the message's life. */
#include "unit.h"

#include "queue/retry.h"

static void test_intervals(void **state)
{
    static const int64_t expected_s[] = {120, 240, 480, 960, 1920, 3840, 7680, 14400, 14400, 14400};
    struct bh_retry_policy policy = bh_retry_default();
    struct bh_random_seeded random;

    (void)state;
    bh_random_seeded_init(&random, 1);
    policy.jitter_percent = 0;
    for (uint32_t i = 0; i < 10; i++) {
        int64_t wait = bh_retry_wait_ms(&policy, i + 1, &random.base);

        assert_in_range(wait, expected_s[i] * 1000, expected_s[i] * 1000 + 200);
    }
    assert_in_range(bh_retry_wait_ms(&policy, 60000, &random.base), 14400000, 14400000);
}

static void test_jitter_spreads(void **state)
{
    struct bh_retry_policy policy = bh_retry_default();
    struct bh_random_seeded random;
    int64_t least = INT64_MAX, most = 0;

    (void)state;
    bh_random_seeded_init(&random, 1);
    for (int i = 0; i < 1000; i++) {
        int64_t wait = bh_retry_wait_ms(&policy, 1, &random.base);

        assert_in_range(wait, 102000, 138000);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    assert_true(least < 104000 && most > 136000);
}

static void test_odd_policies(void **state)
{
    struct bh_random_seeded random;
    struct bh_retry_policy zero = {0}, shrinking = {60, 3600, 50, 0, 86400};

    (void)state;
    bh_random_seeded_init(&random, 1);
    assert_int_equal(bh_retry_wait_ms(&zero, 3, &random.base), 1000);
    assert_int_equal(bh_retry_wait_ms(&shrinking, 30, &random.base), 60000);
}

static void test_last_attempt_is_right_before_the_end(void **state)
{
    struct bh_retry_policy policy = bh_retry_default();
    struct bh_random_seeded random;
    bh_time_ms at = 0;

    (void)state;
    bh_random_seeded_init(&random, 1);
    assert_true(bh_retry_next(&policy, 1, 1000, 30000, &random.base, &at));
    assert_int_equal(at, 30000);
    assert_false(bh_retry_next(&policy, 2, 30000, 30000, &random.base, &at));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_jitter_spreads),
        cmocka_unit_test(test_odd_policies),
        cmocka_unit_test(test_last_attempt_is_right_before_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
