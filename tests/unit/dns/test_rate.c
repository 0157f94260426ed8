/* Response rate limiting: a flood of equal responses is cut, others go on, buckets fill up again. */
#include "proto/dns/rate.h"
#include "unit.h"

static unsigned sent(struct bh_dns_rate *rate, const char *address, uint32_t name_hash, bh_time_ms now, unsigned tries,
                     unsigned *ret_slips)
{
    struct bh_dns_outcome outcome = {.class = BH_DNS_OUTCOME_POSITIVE, .name_hash = name_hash};
    unsigned count = 0;

    *ret_slips = 0;
    for (unsigned i = 0; i < tries; i++) {
        enum bh_dns_rate_verdict verdict = bh_dns_rate_check(rate, (bh_str){address, 4}, &outcome, now);

        count += verdict == BH_DNS_RATE_SEND;
        *ret_slips += verdict == BH_DNS_RATE_SLIP;
    }
    return count;
}

static void test_flood(void **state)
{
    struct bh_dns_rate *rate = bh_dns_rate_new(50, 7);
    unsigned slips;

    assert_int_equal(sent(rate, "\x0a\0\0\1", 1, 5000, 1000, &slips), 50);
    assert_int_equal(slips, 475);
    assert_int_equal(sent(rate, "\x0a\0\0\2", 1, 5000, 10, &slips), 0);   /* the same /24 */
    assert_int_equal(sent(rate, "\x0a\0\1\1", 1, 5000, 10, &slips), 10);  /* another */
    assert_int_equal(sent(rate, "\x0a\0\0\1", 2, 5000, 10, &slips), 10);  /* another name */
    assert_int_equal(sent(rate, "\x0a\0\0\1", 1, 5100, 100, &slips), 5);  /* a tenth of a second later */
    assert_int_equal(sent(rate, "\x0a\0\0\1", 1, 9000, 100, &slips), 50); /* full again */
    bh_dns_rate_free(rate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flood)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
