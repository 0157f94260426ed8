/* test_path.c: mailboxes, paths, parameters, canonical spellings, xtext. */
#include "proto/smtp/path.h"
#include "unit.h"

static const struct {
    const char *text;
    bh_err err;
    const char *canonical;
} mailboxes[] = {
    {"a@b", BH_OK, "a@b"},
    {"Joe.Doe@EXAMPLE.com", BH_OK, "Joe.Doe@example.com"},
    {"a+b=c/d?e^f`{|}~!#$%&'*-_@x.y", BH_OK, "a+b=c/d?e^f`{|}~!#$%&'*-_@x.y"},
    {"\"joe\"@x.y", BH_OK, "joe@x.y"},
    {"\"j\\oe\"@x.y", BH_OK, "joe@x.y"},
    {"\"joe doe\"@x.y", BH_OK, "\"joe doe\"@x.y"},
    {"\"a\\\"b\\\\c\"@x.y", BH_OK, "\"a\\\"b\\\\c\"@x.y"},
    {"\"a..b\"@x.y", BH_OK, "\"a..b\"@x.y"},
    {"\"\"@x.y", BH_OK, "\"\"@x.y"},
    {"\"a@b\"@x.y", BH_OK, "\"a@b\"@x.y"},
    {"a@[192.0.2.1]", BH_OK, "a@[192.0.2.1]"},
    {"a@[IPv6:2001:DB8::1]", BH_OK, "a@[ipv6:2001:db8::1]"},
    {"j\xc3\xb6rg@b\xc3\xbc"
     "cher.example",
     BH_OK,
     "j\xc3\xb6rg@b\xc3\xbc"
     "cher.example"},
    {"a@[192.0.2.256]", BH_E_SYNTAX, NULL},
    {"a@[IPv6:::1::]", BH_E_SYNTAX, NULL},
    {"a@[x:y]", BH_E_SYNTAX, NULL},
    {"a", BH_E_SYNTAX, NULL},
    {"@b", BH_E_SYNTAX, NULL},
    {"a@", BH_E_SYNTAX, NULL},
    {"a@b.", BH_E_SYNTAX, NULL},
    {"a@.b", BH_E_SYNTAX, NULL},
    {"a@b..c", BH_E_SYNTAX, NULL},
    {"a@-b", BH_E_SYNTAX, NULL},
    {"a@b-", BH_E_SYNTAX, NULL},
    {"a@b_c", BH_E_SYNTAX, NULL},
    {".a@b", BH_E_SYNTAX, NULL},
    {"a.@b", BH_E_SYNTAX, NULL},
    {"a..b@c", BH_E_SYNTAX, NULL},
    {"a b@c", BH_E_SYNTAX, NULL},
    {"a@b c", BH_E_SYNTAX, NULL},
    {"a@b@c", BH_E_SYNTAX, NULL},
    {"\"a@b", BH_E_SYNTAX, NULL},
    {"\"a\\\"@b", BH_E_SYNTAX, NULL},
    {"\"a\r\n\"@b", BH_E_SYNTAX, NULL},
    {"<a@b>", BH_E_SYNTAX, NULL},
    {"\xc3@b", BH_E_SYNTAX, NULL},           /* cut UTF-8 */
    {"a@\xed\xa0\x80.b", BH_E_SYNTAX, NULL}, /* surrogate */
    {"\xc0\xaf@b", BH_E_SYNTAX, NULL},       /* overlong */
    {"0123456789012345678901234567890123456789012345678901234567890123@x", BH_OK,
     "0123456789012345678901234567890123456789012345678901234567890123@x"},
    {"01234567890123456789012345678901234567890123456789012345678901234@x", BH_E_LIMIT, NULL},
    {"a@0123456789012345678901234567890123456789012345678901234567890123", BH_E_SYNTAX, NULL},
    {"", BH_E_SYNTAX, NULL},
};

static void test_mailboxes(void **state)
{
    struct bh_buf out = bh_buf_make(1000);
    struct bh_smtp_mailbox box;

    (void)state;
    for (size_t i = 0; i < sizeof(mailboxes) / sizeof(mailboxes[0]); i++) {
        bh_err err = bh_smtp_mailbox_parse(bh_str_c(mailboxes[i].text), &box);

        if (err != mailboxes[i].err)
            fail_msg("%s: %s", mailboxes[i].text, bh_err_text(err));
        if (err)
            continue;
        bh_buf_clear(&out);
        bh_smtp_mailbox_write(&out, &box);
        assert_str(bh_buf_view(&out), mailboxes[i].canonical);
    }
    assert_int_equal(bh_smtp_mailbox_parse(bh_str_of("a\0@b", 4), &box), BH_E_SYNTAX);
    bh_buf_free(&out);
}

static const struct {
    const char *text;
    bool is_rcpt;
    bh_err err;
    const char *local, *domain, *rest;
} paths[] = {
    {"<>", false, BH_OK, "", "", ""},
    {"<> SIZE=1", false, BH_OK, "", "", " SIZE=1"},
    {"<>", true, BH_E_SYNTAX, NULL, NULL, NULL},
    {"<a@b>", true, BH_OK, "a", "b", ""},
    {"<a@b> X", true, BH_OK, "a", "b", " X"},
    {"<a@b>X", true, BH_E_SYNTAX, NULL, NULL, NULL},
    {"<@r1,@r2.x:a@b>", true, BH_OK, "a", "b", ""},
    {"<@r1,r2:a@b>", true, BH_E_SYNTAX, NULL, NULL, NULL},
    {"<Postmaster>", true, BH_OK, "Postmaster", "", ""},
    {"<Postmaster>", false, BH_E_SYNTAX, NULL, NULL, NULL},
    {"<joe>", true, BH_E_SYNTAX, NULL, NULL, NULL},
    {"a@b", true, BH_E_SYNTAX, NULL, NULL, NULL},
    {"<a@b", true, BH_E_SYNTAX, NULL, NULL, NULL},
    {"<\"a>b\"@c>", true, BH_OK, "\"a>b\"", "c", ""},
    {"< a@b>", true, BH_E_SYNTAX, NULL, NULL, NULL},
    {"", true, BH_E_SYNTAX, NULL, NULL, NULL},
};

static void test_paths(void **state)
{
    struct bh_smtp_path path;

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        bh_str input = bh_str_c(paths[i].text);
        bh_err err = bh_smtp_path_parse(&input, paths[i].is_rcpt, &path);

        if (err != paths[i].err)
            fail_msg("%s: %s", paths[i].text, bh_err_text(err));
        if (err)
            continue;
        assert_str(path.mailbox.local, paths[i].local);
        assert_str(path.mailbox.domain, paths[i].domain);
        assert_str(input, paths[i].rest);
        assert_int_equal(path.null, !path.mailbox.local.n);
    }
}

static void test_params(void **state)
{
    bh_str input = BH_STR(" SIZE=100  BODY=8BITMIME SMTPUTF8");
    struct bh_smtp_param param;

    (void)state;
    assert_ok(bh_smtp_param_next(&input, &param));
    assert_str(param.keyword, "SIZE");
    assert_str(param.value, "100");
    assert_ok(bh_smtp_param_next(&input, &param));
    assert_str(param.value, "8BITMIME");
    assert_ok(bh_smtp_param_next(&input, &param));
    assert_str(param.keyword, "SMTPUTF8");
    assert_null(param.value.p);
    assert_int_equal(bh_smtp_param_next(&input, &param), BH_DONE);
    for (size_t i = 0; i < 5; i++) {
        static const char *const bad[] = {" =1", " A=", " A=b=c", " -A", " A\tB"};

        input = bh_str_c(bad[i]);
        assert_int_equal(bh_smtp_param_next(&input, &param), BH_E_SYNTAX);
    }
}

static void test_xtext(void **state)
{
    struct bh_buf out = bh_buf_make(100), back = bh_buf_make(100);

    (void)state;
    bh_xtext_encode(&out, bh_str_of("a+b=c d\0", 8));
    assert_str(bh_buf_view(&out), "a+2Bb+3Dc+20d+00");
    assert_ok(bh_xtext_decode(&back, bh_buf_view(&out)));
    assert_true(bh_str_eq(bh_buf_view(&back), bh_str_of("a+b=c d\0", 8)));
    assert_int_equal(bh_xtext_decode(&back, BH_STR("a=b")), BH_E_SYNTAX);
    assert_int_equal(bh_xtext_decode(&back, BH_STR("a+2")), BH_E_SYNTAX);
    assert_int_equal(bh_xtext_decode(&back, BH_STR("+G0")), BH_E_SYNTAX);
    bh_buf_free(&out);
    bh_buf_free(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mailboxes), cmocka_unit_test(test_paths),
                                       cmocka_unit_test(test_params), cmocka_unit_test(test_xtext)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
