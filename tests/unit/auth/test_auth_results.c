/* test_auth_results.c: Authentication-Results written, read back, forged, hostile. The RFC's own examples are in
 * tests/conformance. */
#include "unit.h"
#include <behalf/auth_results.h>
#include <stdlib.h>

static const struct bh_auth_property spf_properties[] = {
    {{"smtp", 4}, {"mailfrom", 8}, {"a b@example.com", 15}},
    {{"smtp", 4}, {"helo", 4}, {"mail.example.com", 16}},
};

static void test_round(void **state)
{
    const struct bh_auth_method methods[] = {
        {.method = BH_STR("spf"),
         .version = 1,
         .result = BH_STR("pass"),
         .properties = spf_properties,
         .property_count = 2},
        {.method = BH_STR("dkim"),
         .version = 2,
         .result = BH_STR("fail"),
         .reason = BH_STR("body \"hash\"\r\nX: y"),
         .comment = BH_STR("so (it) is")},
    };
    const struct bh_auth_results results = {BH_STR("mx.example.net"), 1, methods, 2};
    struct bh_arena *arena = bh_arena_new(1 << 20);
    struct bh_auth_results again;
    bh_str text;

    (void)state;
    assert_ok(bh_auth_results_write(arena, &results, &text));
    assert_str(text, "mx.example.net;\r\n spf=pass smtp.mailfrom=\"a b@example.com\" smtp.helo=mail.example.com;\r\n"
                     " dkim/2=fail (so \\(it\\) is) reason=\"body \\\"hash\\\"X: y\"");
    assert_ok(bh_auth_results_read(arena, text, &again));
    assert_int_equal(again.method_count, 2);
    assert_str(again.methods[0].properties[0].value, "a b@example.com");
    assert_int_equal(again.methods[1].version, 2);
    assert_str(again.methods[1].reason, "body \"hash\"X: y");
    assert_str(again.methods[1].comment, "so \\(it\\) is");
    bh_arena_free(arena);
}

static void test_none(void **state)
{
    const struct bh_auth_results results = {BH_STR("a b"), 1, NULL, 0};
    struct bh_arena *arena = bh_arena_new(1 << 20);
    struct bh_auth_results again;
    bh_str text;

    (void)state;
    assert_ok(bh_auth_results_write(arena, &results, &text));
    assert_str(text, "\"a b\"; none");
    assert_ok(bh_auth_results_read(arena, text, &again));
    assert_int_equal(again.method_count, 0);
    bh_arena_free(arena);
}

static void test_bad(void **state)
{
    static const char *const bad[] = {"",
                                      ";",
                                      "a",
                                      "a; ",
                                      "a; spf",
                                      "a; spf=",
                                      "a; spf=pass x",
                                      "a; spf=pass x.y",
                                      "a; spf=pass x.y=",
                                      "a; spf=pass x.y=\"",
                                      "a (b; none",
                                      "\"a; none",
                                      "a 1 2; none",
                                      "a; none; none",
                                      "a; =pass",
                                      "a;; spf=pass",
                                      "a; spf=pass; none"};
    struct bh_arena *arena = bh_arena_new(1 << 20);
    struct bh_auth_results results;
    char deep[100];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (bh_auth_results_read(arena, bh_str_c(bad[i]), &results) != BH_E_SYNTAX)
            fail_msg("read: %s", bad[i]);
    memset(deep, '(', sizeof(deep));
    assert_int_equal(bh_auth_results_read(arena, bh_str_of(deep, sizeof(deep)), &results), BH_E_LIMIT);
    bh_arena_free(arena);
}

static void test_forged(void **state)
{
    static const char header[] = "Authentication-Results: mx.example.net; spf=pass\r\nFrom: a@b\r\n"
                                 "authentication-results : (x) \"MX.example.net\" 1; none\r\n"
                                 "Authentication-Results: other.example.net; spf=pass\r\n"
                                 "Authentication-Results: a.mx.example.net; spf=pass\r\n"
                                 "Authentication-Results: (unclosed\r\nTo: c\r\n";
    struct bh_arena *arena = bh_arena_new(1 << 20);
    bh_str kept;
    size_t removed;

    (void)state;
    assert_ok(bh_auth_results_strip(arena, bh_str_c(header), BH_STR("mx.example.net"), &kept, &removed));
    assert_str(kept, "From: a@b\r\nAuthentication-Results: other.example.net; spf=pass\r\nTo: c\r\n");
    assert_int_equal(removed, 4);
    assert_ok(bh_auth_results_strip(arena,
                                    BH_STR("A: b\r\nAuthentication-Results: mx.example.net; "
                                           "none\r\n\r\nAuthentication-Results: mx.example.net; x\r\n"),
                                    BH_STR("mx.example.net"), &kept, &removed));
    assert_str(kept, "A: b\r\n\r\nAuthentication-Results: mx.example.net; x\r\n");
    assert_int_equal(removed, 1);
    assert_ok(bh_auth_results_strip(arena, BH_STR("Authentication-Results: mx.example.net; none"),
                                    BH_STR("mx.example.net"), &kept, &removed));
    assert_str(kept, "");
    bh_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round), cmocka_unit_test(test_none),
                                       cmocka_unit_test(test_bad), cmocka_unit_test(test_forged)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
