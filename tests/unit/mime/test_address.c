/* Addresses: the grammar, the one certain author of a From field, and reading anything for display. */
#include "proto/mime/address.h"
#include "unit.h"

static struct bh_arena *arena;

static int setup(void **state)
{
    arena = bh_arena_new(1 << 20);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    bh_arena_free(arena);
    return 0;
}

static void spec_is(const char *text, const char *local, const char *domain)
{
    struct bh_addr_spec spec;

    assert_ok(bh_addr_spec_parse(arena, bh_str_c(text), BH_ADDR_UTF8, &spec));
    assert_str(spec.local, local);
    assert_str(spec.domain, domain);
}

static void reads_the_grammar(void **state)
{
    struct bh_addr_spec spec;

    spec_is("a.b@c.example", "a.b", "c.example");
    spec_is("\"a b\\\"\"@c.example", "a b\"", "c.example");
    spec_is("(x(y)) a . \"b\" @ (z) c . example ", "a.b", "c.example");
    spec_is("a@[192.0.2.1]", "a", "[192.0.2.1]");
    spec_is("\r\n a@b", "a", "b");
    spec_is("m\xc3\xbcller@b\xc3\xbc"
            "cher.example",
            "m\xc3\xbcller",
            "b\xc3\xbc"
            "cher.example");
    static const char *const bad[] = {"",      "a",       "a@",      "@b",         "a..b@c",  "a@b.",
                                      ".a@b",  "a b@c",   "a@-b",    "a@b-.c",     "a@b\r\n", "(a@b",
                                      "\"a@b", "a@[b",    "a@[b[]",  "a@b c",      "a@b,",    "a@b\r c",
                                      "a\n@b", "(\\)a@b", "a@b(c\\", "\"a\"b@c.d", "<a@b>"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (bh_addr_spec_parse(arena, bh_str_c(bad[i]), BH_ADDR_UTF8, &spec) != BH_E_SYNTAX)
            fail_msg("accepted \"%s\"", bad[i]);
    assert_int_equal(bh_addr_spec_parse(arena, BH_STR("\xc3\xbc@b"), 0, &spec), BH_E_SYNTAX);
    assert_int_equal(bh_addr_spec_parse(arena, BH_STR("\xfc@b"), BH_ADDR_UTF8, &spec), BH_E_SYNTAX);
}

static void author_is(const char *value, const char *display, const char *address, const char *domain)
{
    struct bh_author author;
    enum bh_author_fault fault = bh_author_parse(arena, bh_str_c(value), &author);

    if (fault)
        fail_msg("\"%s\": %s", value, bh_author_fault_text(fault));
    assert_str(author.display, display);
    assert_str(author.address, address);
    assert_str(author.domain, domain);
}

static void finds_the_one_author(void **state)
{
    author_is(" a@b.example\r\n", "", "a@b.example", "b.example");
    author_is("A B <a@b.example>", "A B", "a@b.example", "b.example");
    author_is("\"x@y.example, <z@w>\" <a@b.example>", "\"x@y.example, <z@w>\"", "a@b.example", "b.example");
    author_is("a@b.example (A (B) C)", "", "a@b.example", "b.example");
    author_is("Dr. A. B\r\n <a@B.Example>", "Dr. A. B", "a@B.Example", "B.Example");
    author_is("\"a@x\"@b.example", "", "\"a@x\"@b.example", "b.example");
    author_is("J\xc3\xb6rg <a@b\xc3\xbc"
              "cher.example>",
              "J\xc3\xb6rg",
              "a@b\xc3\xbc"
              "cher.example",
              "b\xc3\xbc"
              "cher.example");
    author_is("=?utf-8?q?J=C3=B6rg?= <a@b.example> (c)", "=?utf-8?q?J=C3=B6rg?=", "a@b.example", "b.example");
    author_is("(c) <a@b.example>", "(c)", "a@b.example", "b.example");
}

static void refuses_what_readers_disagree_about(void **state)
{
    static const struct {
        const char *value;
        enum bh_author_fault fault;
    } cases[] = {
        {"", BH_AUTHOR_EMPTY},
        {" \r\n ", BH_AUTHOR_EMPTY},
        {"<>", BH_AUTHOR_EMPTY},
        {"A <>", BH_AUTHOR_EMPTY},
        {"A", BH_AUTHOR_SYNTAX},
        {"a@b.example, c@d.example", BH_AUTHOR_SEVERAL},
        {"A <a@b.example>, C <c@d.example>", BH_AUTHOR_SEVERAL},
        {"a@b.example,", BH_AUTHOR_SYNTAX},
        {",a@b.example", BH_AUTHOR_EMPTY},
        {"a@b.example c@d.example", BH_AUTHOR_SYNTAX},
        {"<a@b.example> <c@d.example>", BH_AUTHOR_SYNTAX},
        {"a@b.example <c@d.example>", BH_AUTHOR_SYNTAX},
        {"G: a@b.example;", BH_AUTHOR_GROUP},
        {"G:;", BH_AUTHOR_GROUP},
        {"<@x.example:a@b.example>", BH_AUTHOR_ROUTE},
        {"a(x)@b.example", BH_AUTHOR_COMMENT},
        {"a@b(x).example", BH_AUTHOR_COMMENT},
        {"a @b.example", BH_AUTHOR_COMMENT},
        {"< a@b.example>", BH_AUTHOR_COMMENT},
        {"<a@b.example(x)>", BH_AUTHOR_COMMENT},
        {"a@b.example (<c@d.example>)", BH_AUTHOR_COMMENT},
        {"\"a\r\n b\"@c.example", BH_AUTHOR_COMMENT},
        {"a@[192.0.2.1]", BH_AUTHOR_LITERAL},
        {"a@192.0.2.1", BH_AUTHOR_LITERAL},
        {"a@b/c.example", BH_AUTHOR_DOMAIN},
        {"a@b.example\x01", BH_AUTHOR_ENCODING},
        {"\xfc <a@b.example>", BH_AUTHOR_ENCODING},
        {"a@b.example.", BH_AUTHOR_SYNTAX},
        {"A \"B <a@b.example>", BH_AUTHOR_SYNTAX},
        {"A (B <a@b.example>", BH_AUTHOR_SYNTAX},
        {"<a@b.example", BH_AUTHOR_SYNTAX},
        {"=?utf-8?q?a@x.example,?= <a@b.example>", BH_AUTHOR_SEVERAL},
        {"0123456789012345678901234567890123456789012345678901234567890123x@b.example", BH_AUTHOR_TOO_LONG},
    };
    struct bh_author author;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum bh_author_fault fault = bh_author_parse(arena, bh_str_c(cases[i].value), &author);
        if (fault != cases[i].fault)
            fail_msg("\"%s\": %s", cases[i].value, bh_author_fault_text(fault));
    }
}

static void nul_is_refused(void **state)
{
    struct bh_author author;

    assert_int_equal(bh_author_parse(arena, BH_STR("a@b.example\0.evil.example"), &author), BH_AUTHOR_ENCODING);
}

static void shows_any_list(void **state)
{
    struct bh_address_list list;

    assert_ok(bh_address_list_parse(arena,
                                    BH_STR("A: =?utf-8?q?J=C3=B6?= <j@x.example> (c), k@y.example; \"Z, Y\" "
                                           "<@r:z@z.example>"),
                                    100, &list));
    assert_int_equal(list.count, 3);
    assert_int_equal(list.group_count, 1);
    assert_str(list.groups[0].name, "A");
    assert_str(list.items[0].name, "J\xc3\xb6");
    assert_str(list.items[0].comment, "c");
    assert_str(list.items[0].domain, "x.example");
    assert_int_equal(list.items[1].group, 0);
    assert_str(list.items[1].text, "k@y.example");
    assert_true(list.items[2].group == BH_NO_GROUP);
    assert_str(list.items[2].name, "Z, Y");
    assert_str(list.items[2].text, "@r:z@z.example");
    assert_str(list.items[2].domain, "z.example");
    assert_ok(bh_address_list_parse(arena, BH_STR("a,b,c,d"), 2, &list));
    assert_true(list.cut);
    assert_int_equal(list.count, 2);
    assert_ok(bh_address_list_parse(arena, (bh_str){NULL, 0}, 2, &list));
    assert_int_equal(list.count, 0);
}

static void hostile_lists_are_linear(void **state)
{
    static char bytes[60000];
    static const char *const fills[] = {"(", "<", "\"", "a,", "=?a?q?x", "\\", ":;", "(\"", "@", "[", " \r\n"};
    struct bh_address_list list;
    struct bh_author author;

    for (size_t f = 0; f < sizeof fills / sizeof *fills; f++) {
        size_t n = strlen(fills[f]);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = fills[f][i % n];
        struct bh_arena *own = bh_arena_new(16 << 20);
        assert_int_not_equal(bh_author_parse(own, bh_str_of(bytes, sizeof bytes), &author), BH_AUTHOR_OK);
        assert_ok(bh_address_list_parse(own, bh_str_of(bytes, sizeof bytes), 50, &list));
        bh_arena_free(own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_grammar),
        cmocka_unit_test(finds_the_one_author),
        cmocka_unit_test(refuses_what_readers_disagree_about),
        cmocka_unit_test(nul_is_refused),
        cmocka_unit_test(shows_any_list),
        cmocka_unit_test(hostile_lists_are_linear),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
