/* Counting by key and window, with a bound on the keys. */
#include "roles/smtpd/meter.h"
#include "unit.h"
#include <stdio.h>

static const uint64_t seed[2] = {1, 2};

static void counts_by_window(void **state)
{
    struct bh_meter meter;

    bh_meter_init(&meter, seed, 10, 1000);
    assert_int_equal(bh_meter_read(&meter, BH_STR("a"), 0), 0);
    assert_int_equal(bh_meter_count(&meter, BH_STR("a"), 100), 1);
    assert_int_equal(bh_meter_count(&meter, BH_STR("a"), 1099), 2);
    assert_int_equal(bh_meter_count(&meter, BH_STR("b"), 1099), 1);
    assert_int_equal(bh_meter_read(&meter, BH_STR("a"), 1099), 2);
    assert_int_equal(bh_meter_read(&meter, BH_STR("a"), 1100), 0);
    assert_int_equal(bh_meter_count(&meter, BH_STR("a"), 1100), 1);
    assert_int_equal(bh_meter_count(&meter, BH_STR("a"), 500), 1); /* the clock was set back */
    bh_meter_free(&meter);
}

static void keys_are_bounded(void **state)
{
    struct bh_meter meter;
    char key[100];

    bh_meter_init(&meter, seed, 10, 1000);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        assert_int_equal(bh_meter_count(&meter, bh_str_c(key), i), 1);
    }
    assert_int_equal(meter.map.count, 10);
    assert_int_equal(bh_meter_count(&meter, BH_STR("990"), 999), 2);
    assert_int_equal(bh_meter_read(&meter, BH_STR("989"), 999), 0);
    (void)snprintf(key, sizeof(key), "%099d", 7);
    assert_int_equal(bh_meter_count(&meter, bh_str_c(key), 1000), 1); /* cut, not overrun */
    assert_int_equal(bh_meter_count(&meter, bh_str_c(key), 1000), 2);
    bh_meter_free(&meter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_by_window), cmocka_unit_test(keys_are_bounded)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
