/* TSIG key files as operators have them. */
#include "roles/dnsd/key_file.h"
#include "unit.h"

static struct bh_dns_tsig_key keys[2];
static const char as_written[] =
    "key \"to-secondaries\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0IG9mIDE2IGJ5dGU=\";\n};\n";

static bh_err read_keys(const char *text, size_t *ret_count)
{
    return bh_dns_key_file_read(bh_str_c(text), keys, 2, ret_count);
}

static void test_tsig_keygen(void **state)
{
    size_t count;

    (void)state;
    assert_ok(read_keys(as_written, &count));
    assert_int_equal(count, 1);
    assert_str(bh_str_of((const char *)keys[0].secret, keys[0].secret_n), "secret of 16 byte");
    assert_int_equal(keys[0].name.n, 16);
}

static void test_comments_and_two(void **state)
{
    size_t count;

    (void)state;
    assert_ok(read_keys("# one\nkey a { secret AAAA; /* in\nbetween */ algorithm HMAC-SHA256; }; // two\n"
                        "key b.example. { algorithm hmac-sha256; secret \"/w==\"; };",
                        &count));
    assert_int_equal(count, 2);
    assert_int_equal(keys[1].secret_n, 1);
}

static void test_wrong(void **state)
{
    static const struct {
        const char *text;
        bh_err err;
    } cases[] = {
        {"", BH_E_NOT_FOUND},
        {"# nothing", BH_E_NOT_FOUND},
        {"/* never ends", BH_E_NOT_FOUND},
        {"name:AAAA", BH_E_SYNTAX},
        {"key a { secret AAAA; }", BH_E_SYNTAX},
        {"key a { secret AAAA };", BH_E_SYNTAX},
        {"key a { algorithm hmac-sha256; };", BH_E_SYNTAX},
        {"key a { secret \"AAAA", BH_E_SYNTAX},
        {"key a { secret \"\"; };", BH_E_SYNTAX},
        {"key a..b { secret AAAA; };", BH_E_SYNTAX},
        {"key a { secret", BH_E_SYNTAX},
        {"key", BH_E_SYNTAX},
        {"key a { algorithm hmac-md5; secret AAAA; };", BH_E_UNSUPPORTED},
        {"key a { secret AAAA; }; key b { secret AAAA; }; key c { secret AAAA; };", BH_E_LIMIT},
    };
    size_t count;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(read_keys(cases[i].text, &count), cases[i].err);
}

/* Every beginning of a good file ends, with an error but for the whole. */
static void test_cut(void **state)
{
    size_t count;

    (void)state;
    for (size_t n = 0; n < sizeof(as_written) - 2; n++)
        assert_int_not_equal(bh_dns_key_file_read(bh_str_of(as_written, n), keys, 2, &count), BH_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tsig_keygen), cmocka_unit_test(test_comments_and_two),
                                       cmocka_unit_test(test_wrong), cmocka_unit_test(test_cut)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
