/* test_header.c: header fields by exact byte range, odd input, bounds. */
#include "proto/mime/header.h"
#include "unit.h"

static struct bh_header_field next(struct bh_header_iter *it)
{
    struct bh_header_field field = {0};

    assert_ok(bh_header_next(it, &field));
    return field;
}

static struct bh_header_iter make(const char *text)
{
    return bh_header_iter_make(bh_str_c(text), 100, 1000);
}

static void assert_end(struct bh_header_iter *it, const char *body)
{
    struct bh_header_field field;

    assert_int_equal(bh_header_next(it, &field), BH_DONE);
    assert_int_equal(bh_header_next(it, &field), BH_DONE);
    assert_str(bh_header_body(it), body);
}

static void test_fields(void **state)
{
    struct bh_header_iter it = make("From : a@b\r\nSubject: x\r\n\ty: z\r\nEmpty:\r\n\r\nbody\r\n");
    struct bh_header_field field = next(&it);

    (void)state;
    assert_str(field.name, "From");
    assert_str(field.value, " a@b");
    assert_str(field.whole, "From : a@b\r\n");
    field = next(&it);
    assert_str(field.name, "Subject");
    assert_str(field.value, " x\r\n\ty: z");
    assert_str(field.whole, "Subject: x\r\n\ty: z\r\n");
    field = next(&it);
    assert_str(field.name, "Empty");
    assert_str(field.value, "");
    assert_end(&it, "body\r\n");
    assert_str(bh_header_block(&it), "From : a@b\r\nSubject: x\r\n\ty: z\r\nEmpty:\r\n");
    assert_int_equal(it.flags, 0);
}

static void test_odd(void **state)
{
    struct bh_header_iter it = make(" stray\r\nno colon\r\nA b: c\r\nX:1\n\nbody");
    struct bh_header_field field = next(&it);

    (void)state;
    assert_int_equal(field.name.n, 0);
    assert_str(field.value, " stray");
    assert_int_equal(next(&it).name.n, 0);
    assert_int_equal(next(&it).name.n, 0);
    assert_str(next(&it).name, "X");
    assert_end(&it, "body");
    assert_int_equal(it.flags, BH_HEADER_NO_NAME | BH_HEADER_BARE_LF);
}

static void test_ends(void **state)
{
    struct bh_header_iter it = make("");

    (void)state;
    assert_end(&it, "");
    it = make("A: b\rc");
    assert_str(next(&it).value, " b\rc");
    assert_end(&it, "");
    assert_int_equal(it.flags, BH_HEADER_BARE_CR | BH_HEADER_UNTERMINATED);
    it = make("A: b\r\n");
    assert_str(next(&it).whole, "A: b\r\n");
    assert_end(&it, "");
    assert_int_equal(it.flags, BH_HEADER_UNTERMINATED);
    it = make("\r\nbody");
    assert_end(&it, "body");
    it = make("\r");
    assert_str(next(&it).whole, "\r");
    assert_end(&it, "");
    it = bh_header_iter_make((bh_str){NULL, 0}, 1, 1);
    assert_end(&it, "");
    it = bh_header_iter_make((bh_str){"A\0: b\r\n\r\n", 9}, 1, 100);
    assert_int_equal(next(&it).name.n, 0);
    assert_true(it.flags & BH_HEADER_NUL);
}

static void test_bounds(void **state)
{
    struct bh_header_field field;
    struct bh_header_iter it = bh_header_iter_make(BH_STR("A: b\r\nC: d\r\n\r\n"), 1, 1000);

    (void)state;
    assert_str(next(&it).name, "A");
    assert_int_equal(bh_header_next(&it, &field), BH_E_LIMIT);
    assert_int_equal(bh_header_next(&it, &field), BH_E_LIMIT);
    it = bh_header_iter_make(BH_STR("A: b\r\n c\r\n\r\n"), 9, 9);
    assert_int_equal(bh_header_next(&it, &field), BH_E_LIMIT);
    it = bh_header_iter_make(BH_STR("A: b\r\n c\r\n\r\nx"), 1, 10);
    assert_str(next(&it).name, "A");
    assert_end(&it, "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fields), cmocka_unit_test(test_odd),
                                       cmocka_unit_test(test_ends), cmocka_unit_test(test_bounds)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
