/* The submitter's fields: what they say, what makes no sense. */
#include "mail/wishes.h"
#include "unit.h"
#include <stdio.h>

static void reads_both(void **state)
{
    struct bh_wishes wishes;

    assert_ok(
        bh_wishes_read(BH_STR("From: a@b\r\nBehalf-Stream: news-1\r\nbehalf-unsubscribe: YES\r\n\r\nx"), &wishes));
    assert_str(wishes.stream, "news-1");
    assert_true(wishes.unsubscribe);
    assert_ok(bh_wishes_read(BH_STR("From: a@b\r\n\r\nBehalf-Stream: no header\r\n"), &wishes));
    assert_str(wishes.stream, "");
    assert_false(wishes.unsubscribe);
}

static void refuses_nonsense(void **state)
{
    static const char *const cases[] = {"Behalf-Stream:\r\n\r\n", "Behalf-Stream: *\r\n\r\n",
                                        "Behalf-Stream: a b\r\n\r\n", "Behalf-Unsubscribe: perhaps\r\n\r\n"};
    struct bh_wishes wishes;
    char text[200];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(bh_wishes_read(bh_str_c(cases[i]), &wishes), BH_E_INVALID);
    (void)snprintf(text, sizeof(text), "Behalf-Stream: %065d\r\n\r\n", 1);
    assert_int_equal(bh_wishes_read(bh_str_c(text), &wishes), BH_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_both), cmocka_unit_test(refuses_nonsense)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
