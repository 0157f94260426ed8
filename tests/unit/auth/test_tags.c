/* test_tags.c: tag lists as RFC 6376 3.2 has them. */
#include "auth/tags.h"
#include "unit.h"

static void test_list(void **state)
{
    struct bh_tag tags[8];
    size_t count;
    bh_str rest;
    bh_str item;

    (void)state;
    assert_ok(bh_tag_list_read(BH_STR(" v=1; h = from : to\r\n\t:subject ;b=\r\n AB C ; x_1="), tags, 8, &count));
    assert_int_equal(count, 4);
    assert_str(tags[0].name, "v");
    assert_str(tags[2].value, "AB C");
    assert_str(tags[2].raw, "\r\n AB C ");
    assert_str(bh_tag_find(tags, count, "x_1")->value, "");
    assert_null(bh_tag_find(tags, count, "V"));
    rest = tags[1].value;
    assert_true(bh_tag_item(&rest, ':', &item));
    assert_str(item, "from");
    assert_true(bh_tag_item(&rest, ':', &item));
    assert_true(bh_tag_item(&rest, ':', &item));
    assert_str(item, "subject");
    assert_false(bh_tag_item(&rest, ':', &item));
    assert_ok(bh_tag_list_read(BH_STR("a=b=c;\r\n "), tags, 8, &count));
    assert_str(tags[0].value, "b=c");
    assert_ok(bh_tag_list_read(BH_STR(""), tags, 8, &count));
    assert_int_equal(count, 0);
}

static void test_bad(void **state)
{
    static const char *const bad[] = {";",        "a",     "a=b;;",  "=b",     "1a=b",
                                      "a=b; a=c", "a b=c", "a=\x01", "a=b; c", "a-b=c"};
    struct bh_tag tags[2];
    size_t count;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(bh_tag_list_read(bh_str_c(bad[i]), tags, 2, &count), BH_E_SYNTAX);
    assert_int_equal(bh_tag_list_read(BH_STR("a=1;b=2;c=3"), tags, 2, &count), BH_E_LIMIT);
    assert_int_equal(bh_tag_list_read((bh_str){"a=\0", 3}, tags, 2, &count), BH_E_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list), cmocka_unit_test(test_bad)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
