/* test_grant.c: grants: what they hold comes back, and nothing else passes. */
#include "roles/grant.h"
#include "unit.h"

static const uint8_t key[BH_GRANT_KEY_BYTES] = {1, 2, 3};

static struct bh_grant sample(void)
{
    return (struct bh_grant){.kind = BH_GRANT_DKIM,
                             .granter = BH_ROLE_QUEUED,
                             .delivery_id = 1ULL << 60,
                             .customer_id = 77,
                             .key_id = 99,
                             .domain = BH_STR("customer.example"),
                             .selector = BH_STR("bh1"),
                             .expires_at = 5000};
}

static void put(struct bh_buf *out)
{
    struct bh_grant grant = sample();

    *out = bh_buf_make(BH_GRANT_BYTES_MAX);
    bh_grant_put(out, key, &grant);
    assert_ok(bh_buf_err(out));
}

static void test_comes_back(void **state)
{
    struct bh_buf bytes;
    struct bh_grant got, expected = sample();

    put(&bytes);
    assert_ok(bh_grant_get(bh_buf_view(&bytes), key, 4999, &got));
    assert_ok(bh_grant_get(bh_buf_view(&bytes), key, 5000, &got));
    assert_int_equal(got.kind, expected.kind);
    assert_int_equal(got.granter, expected.granter);
    assert_true(got.delivery_id == expected.delivery_id);
    assert_int_equal(got.customer_id, 77);
    assert_int_equal(got.key_id, 99);
    assert_str(got.domain, "customer.example");
    assert_str(got.selector, "bh1");
    bh_buf_free(&bytes);
}

static void test_expires(void **state)
{
    struct bh_buf bytes;
    struct bh_grant got;

    put(&bytes);
    assert_int_equal(bh_grant_get(bh_buf_view(&bytes), key, 5001, &got), BH_E_TIMEOUT);
    bh_buf_free(&bytes);
}

static void test_every_bit_counts(void **state)
{
    struct bh_buf bytes;
    struct bh_grant got;

    put(&bytes);
    for (size_t bit = 0; bit < bytes.n * 8; bit++) {
        bytes.p[bit / 8] = (char)(bytes.p[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(bh_grant_get(bh_buf_view(&bytes), key, 0, &got), BH_E_DENIED);
        bytes.p[bit / 8] = (char)(bytes.p[bit / 8] ^ (1 << bit % 8));
    }
    bh_buf_free(&bytes);
}

static void test_no_other_length(void **state)
{
    struct bh_buf bytes, longer = bh_buf_make(2 * BH_GRANT_BYTES_MAX);
    struct bh_grant got;

    put(&bytes);
    for (size_t n = 0; n < bytes.n; n++)
        assert_int_equal(bh_grant_get(bh_str_of(bytes.p, n), key, 0, &got),
                         n < BH_GRANT_MAC_BYTES ? BH_E_SYNTAX : BH_E_DENIED);
    bh_buf_add(&longer, bh_buf_view(&bytes));
    bh_buf_char(&longer, '\0');
    assert_int_equal(bh_grant_get(bh_buf_view(&longer), key, 0, &got), BH_E_DENIED);
    while (longer.n <= BH_GRANT_BYTES_MAX)
        bh_buf_char(&longer, '\0');
    assert_int_equal(bh_grant_get(bh_buf_view(&longer), key, 0, &got), BH_E_SYNTAX);
    bh_buf_free(&bytes);
    bh_buf_free(&longer);
}

static void test_another_key(void **state)
{
    static const uint8_t other[BH_GRANT_KEY_BYTES] = {1, 2, 4};
    struct bh_buf bytes;
    struct bh_grant got;

    put(&bytes);
    assert_int_equal(bh_grant_get(bh_buf_view(&bytes), other, 0, &got), BH_E_DENIED);
    bh_buf_free(&bytes);
}

/* The texts carry their lengths, so no border between fields can be moved. */
static void test_fields_do_not_run_together(void **state)
{
    struct bh_buf a = bh_buf_make(1000), b = bh_buf_make(1000);

    bh_grant_associated_data(&a, 1, 1, BH_STR("a.exampleb"), BH_STR("h1"), 1);
    bh_grant_associated_data(&b, 1, 1, BH_STR("a.example"), BH_STR("bh1"), 1);
    assert_false(bh_str_eq(bh_buf_view(&a), bh_buf_view(&b)));
    bh_buf_free(&a);
    bh_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back),       cmocka_unit_test(test_expires),
        cmocka_unit_test(test_every_bit_counts), cmocka_unit_test(test_no_other_length),
        cmocka_unit_test(test_another_key),      cmocka_unit_test(test_fields_do_not_run_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
