/* Bounce addresses: there and back, and every way in which one can be wrong. */
#include "base/random.h"
#include "mail/verp.h"
#include "unit.h"

static const struct bh_verp sample = {
    .kind = BH_VERP_BOUNCE, .customer = 7, .message = 0x0123456789abcdefULL, .recipient = 3};

static const bh_str domain = {"bounce.Customer.example", 23};

static struct bh_verp_key key_of(uint16_t period)
{
    struct bh_verp_key key = {.period = period};

    memset(key.key, period & 0xff, sizeof key.key);
    return key;
}

static void comes_back(void **state)
{
    struct bh_verp_key keys[] = {key_of(100), key_of(101)};
    struct bh_verp_ring ring = {keys, 2};
    char local[BH_VERP_CHARS], upper[BH_VERP_CHARS];
    struct bh_verp got;

    assert_ok(bh_verp_encode(&sample, domain, &keys[0], local));
    assert_true(BH_VERP_CHARS <= 64);
    for (size_t i = 0; i < sizeof local; i++) {
        assert_true(bh_is_lower(local[i]) || (local[i] >= '2' && local[i] <= '7'));
        upper[i] = bh_is_lower(local[i]) ? (char)(local[i] - 32) : local[i];
    }
    assert_int_equal(bh_verp_decode(bh_str_of(upper, sizeof upper), BH_STR("BOUNCE.customer.example"), &ring, &got),
                     BH_VERP_OK);
    assert_int_equal(bh_verp_decode(bh_str_of(upper, sizeof upper), BH_STR("bounce.other.example"), &ring, &got),
                     BH_VERP_WRONG_KEY);
    assert_int_equal(got.kind, BH_VERP_BOUNCE);
    assert_int_equal(got.period, 100);
    assert_int_equal(got.customer, 7);
    assert_true(got.message == sample.message);
    assert_int_equal(got.recipient, 3);
}

static void any_changed_character_is_noticed(void **state)
{
    struct bh_verp_key keys[] = {key_of(100)};
    struct bh_verp_ring ring = {keys, 1};
    char local[BH_VERP_CHARS];
    struct bh_verp got;

    assert_ok(bh_verp_encode(&sample, domain, &keys[0], local));
    for (size_t i = 0; i < sizeof local; i++) {
        char was = local[i];
        local[i] = was == 'c' ? 'd' : 'c';
        assert_int_not_equal(bh_verp_decode(bh_str_of(local, sizeof local), domain, &ring, &got), BH_VERP_OK);
        local[i] = '1';
        assert_int_equal(bh_verp_decode(bh_str_of(local, sizeof local), domain, &ring, &got), BH_VERP_NOT_OURS);
        local[i] = was;
    }
}

static void tells_what_is_wrong(void **state)
{
    struct bh_verp_key old = key_of(90), now = key_of(100), next = key_of(101), wrong = key_of(100);
    struct bh_verp_ring ring = {&now, 1};
    char local[BH_VERP_CHARS];
    struct bh_verp got, odd = sample;

    wrong.key[31] ^= 1;
    assert_ok(bh_verp_encode(&sample, domain, &old, local));
    assert_int_equal(bh_verp_decode(bh_str_of(local, sizeof local), domain, &ring, &got), BH_VERP_EXPIRED);
    assert_ok(bh_verp_encode(&sample, domain, &next, local));
    assert_int_equal(bh_verp_decode(bh_str_of(local, sizeof local), domain, &ring, &got), BH_VERP_WRONG_KEY);
    assert_ok(bh_verp_encode(&sample, domain, &wrong, local));
    assert_int_equal(bh_verp_decode(bh_str_of(local, sizeof local), domain, &ring, &got), BH_VERP_WRONG_KEY);
    odd.kind = (enum bh_verp_kind)15;
    assert_ok(bh_verp_encode(&odd, domain, &now, local));
    assert_int_equal(bh_verp_decode(bh_str_of(local, sizeof local), domain, &ring, &got), BH_VERP_MALFORMED);
    odd.kind = (enum bh_verp_kind)16;
    assert_int_equal(bh_verp_encode(&odd, domain, &now, local), BH_E_INVALID);
    assert_int_equal(bh_verp_decode(BH_STR("postmaster"), domain, &ring, &got), BH_VERP_NOT_OURS);
    assert_int_equal(bh_verp_decode(BH_STR(""), domain, &ring, &got), BH_VERP_NOT_OURS);
    assert_int_equal(bh_verp_decode(bh_str_of(local, 47), domain, &ring, &got), BH_VERP_NOT_OURS);
}

static void random_addresses_are_never_ours(void **state)
{
    struct bh_verp_key keys[] = {key_of(0x6161)};
    struct bh_verp_ring ring = {keys, 1};
    struct bh_random_seeded random;
    char local[BH_VERP_CHARS];
    struct bh_verp got;

    bh_random_seeded_init(&random, 1);
    for (int n = 0; n < 2000; n++) {
        for (size_t i = 0; i < sizeof local; i++)
            local[i] = "abcdefghijklmnopqrstuvwxyz234567"[bh_random_below(&random.base, 32)];
        local[0] = 'b';
        assert_int_not_equal(bh_verp_decode(bh_str_of(local, sizeof local), domain, &ring, &got), BH_VERP_OK);
    }
}

static void periods_are_weeks(void **state)
{
    assert_int_equal(bh_verp_period(0), 0);
    assert_int_equal(bh_verp_period((bh_time_ms)BH_VERP_PERIOD_S * 1000 - 1), 0);
    assert_int_equal(bh_verp_period((bh_time_ms)BH_VERP_PERIOD_S * 1000), 1);
    assert_int_equal(bh_verp_period(-1), 0);
}

static void mail_with_a_sender_is_late_sooner(void **state)
{
    const int64_t week = (int64_t)BH_VERP_PERIOD_S * 1000;
    bh_time_ms now = 3000 * week + 5;

    assert_false(bh_verp_is_late(3000, 0, now));
    assert_false(bh_verp_is_late(2999, 0, now));
    assert_true(bh_verp_is_late(2998, 0, now));
    assert_false(bh_verp_is_late(2995, 4 * BH_VERP_PERIOD_S, now));
    assert_true(bh_verp_is_late(2994, 4 * BH_VERP_PERIOD_S, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_with_a_sender_is_late_sooner), cmocka_unit_test(comes_back),
        cmocka_unit_test(any_changed_character_is_noticed),  cmocka_unit_test(tells_what_is_wrong),
        cmocka_unit_test(random_addresses_are_never_ours),   cmocka_unit_test(periods_are_weeks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
