/* Domain names: text and wire form, compression pointers, order. */
#include "proto/dns/name.h"
#include "unit.h"

static struct bh_dns_name name_of(const char *text)
{
    struct bh_dns_name name;

    assert_ok(bh_dns_name_parse(bh_str_c(text), NULL, &name));
    return name;
}

static void check_print(const char *text, const char *expected)
{
    struct bh_dns_name name = name_of(text);
    struct bh_buf out = bh_buf_make(2048);

    bh_dns_name_print(&out, bh_dns_name_view(&name));
    assert_str(bh_buf_view(&out), expected);
    assert_true(bh_dns_name_valid(bh_dns_name_view(&name)));
    bh_buf_free(&out);
}

static void test_text(void **state)
{
    struct bh_dns_name origin = name_of("example.net"), name;

    check_print(".", ".");
    check_print("a.b.", "a.b.");
    check_print("a.b", "a.b.");
    check_print("A\\.b.\\099d", "A\\.b.cd.");
    check_print("\\000\\255\\@.x", "\\000\\255\\@.x.");
    check_print("_dmarc.*.example", "_dmarc.*.example.");
    assert_ok(bh_dns_name_parse(BH_STR("www"), &origin, &name));
    assert_true(bh_dns_name_eq(bh_dns_name_view(&name), BH_STR("\3WWW\7example\3net\0")));
}

static void test_bad_text(void **state)
{
    static const char *const bad[] = {"", "..", ".a", "a..b", "a\\", "a\\25", "a\\256", "a\\2x5"};
    char label[70], longest[512];
    struct bh_dns_name name;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(bh_dns_name_parse(bh_str_c(bad[i]), NULL, &name), BH_E_SYNTAX);
    memset(label, 'a', sizeof label);
    assert_ok(bh_dns_name_parse(bh_str_of(label, 63), NULL, &name));
    assert_int_equal(bh_dns_name_parse(bh_str_of(label, 64), NULL, &name), BH_E_LIMIT);
    for (size_t i = 0; i < sizeof longest; i++)
        longest[i] = i % 2 ? '.' : 'a';
    assert_ok(bh_dns_name_parse(bh_str_of(longest, 253), NULL, &name)); /* 127 labels */
    assert_int_equal(name.n, 255);
    assert_int_equal(bh_dns_name_labels(bh_dns_name_view(&name)), 127);
    assert_int_equal(bh_dns_name_parse(bh_str_of(longest, 255), NULL, &name), BH_E_LIMIT);
}

static void test_order(void **state)
{
    /* RFC 4034 6.1 */
    static const char *const sorted[] = {"example",         "a.example",      "yljkjljk.a.example",
                                         "Z.a.example",     "zABC.a.EXAMPLE", "z.example",
                                         "\\001.z.example", "*.z.example",    "\\200.z.example"};

    for (size_t i = 0; i + 1 < sizeof sorted / sizeof sorted[0]; i++) {
        struct bh_dns_name a = name_of(sorted[i]), b = name_of(sorted[i + 1]);

        assert_true(bh_dns_name_cmp(bh_dns_name_view(&a), bh_dns_name_view(&b)) < 0);
        assert_true(bh_dns_name_cmp(bh_dns_name_view(&b), bh_dns_name_view(&a)) > 0);
        assert_int_equal(bh_dns_name_cmp(bh_dns_name_view(&a), bh_dns_name_view(&a)), 0);
    }
}

static void test_ancestors(void **state)
{
    struct bh_dns_name name = name_of("a.b.Example.net"), zone = name_of("example.NET"), other = name_of("ample.net");

    assert_true(bh_dns_name_is_at_or_below(bh_dns_name_view(&name), bh_dns_name_view(&zone)));
    assert_true(bh_dns_name_is_at_or_below(bh_dns_name_view(&zone), bh_dns_name_view(&zone)));
    assert_false(bh_dns_name_is_at_or_below(bh_dns_name_view(&name), bh_dns_name_view(&other)));
    assert_false(bh_dns_name_is_at_or_below(bh_dns_name_view(&zone), bh_dns_name_view(&name)));
    assert_true(bh_dns_name_is_at_or_below(bh_dns_name_view(&zone), bh_dns_root()));
    assert_true(bh_dns_name_eq(bh_dns_name_skip(bh_dns_name_view(&name), 2), bh_dns_name_view(&zone)));
}

static void test_packet(void **state)
{
    static const char packet[] = "\3net\0\1a\xc0\0\1b\xc0\5\xc0\x0d\xc0\x0f\5ab";
    bh_str view = {packet, sizeof packet - 1};
    struct bh_dns_name name;
    size_t at = 9;

    assert_ok(bh_dns_name_read(view, &at, &name));
    assert_int_equal(at, 13);
    assert_true(bh_dns_name_eq(bh_dns_name_view(&name), BH_STR("\1b\1a\3net\0")));
    at = 13; /* points at itself */
    assert_int_equal(bh_dns_name_read(view, &at, &name), BH_E_SYNTAX);
    at = 15;
    assert_int_equal(bh_dns_name_read(view, &at, &name), BH_E_SYNTAX);
    at = 17;
    assert_int_equal(bh_dns_name_read(view, &at, &name), BH_E_TRUNCATED);
    assert_int_equal(at, 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),      cmocka_unit_test(test_bad_text), cmocka_unit_test(test_order),
        cmocka_unit_test(test_ancestors), cmocka_unit_test(test_packet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
