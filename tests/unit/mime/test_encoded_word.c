/* Text out of header bytes and back. */
#include "proto/mime/address.h"
#include "proto/mime/encoded_word.h"
#include "unit.h"

static void decodes_to(const char *value, const char *text)
{
    struct bh_buf out = bh_buf_make(10000);

    bh_text_decode(&out, bh_str_c(value));
    assert_str(bh_buf_view(&out), text);
    bh_buf_free(&out);
}

static void decodes(void **state)
{
    decodes_to(" a =?utf-8?q?b_=C3=A9?=\r\n =?iso-8859-1?b?6Q==?= c", "a b \xc3\xa9\xc3\xa9 c");
    decodes_to("=?windows-1252?q?=80?= =?koi8-r?q?=C1?=", "\xe2\x82\xac\xd0\xb0");
    decodes_to("=?x-unknown?q?a?= b", "=?x-unknown?q?a?= b");
    decodes_to("=?utf-8?b?!!?=", "=?utf-8?b?!!?=");
    decodes_to("\xff", "\xef\xbf\xbd");
    decodes_to("=?utf-8?q?=FF?=", "\xef\xbf\xbd");
}

/* Whatever goes in comes out again, in lines of at most 76 octets. */
static void encodes(void **state)
{
    static const char *const texts[] = {"plain", "caf\xc3\xa9", "=?utf-8?q?x?=", "a\r\nBcc: x",
                                        "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98"
                                        "\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
                                        "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98"
                                        "\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t column = 0; column < 90; column++) {
            struct bh_buf coded = bh_buf_make(10000), again = bh_buf_make(10000);
            bh_text_encode(&coded, bh_str_c(texts[i]), column);
            bh_text_decode(&again, bh_buf_view(&coded));
            assert_str(bh_buf_view(&again), texts[i]);
            size_t line = column;
            for (size_t k = 0; k < coded.n; k++) {
                line = coded.p[k] == '\n' ? 0 : line + 1;
                assert_true(coded.p[k] >= 32 || coded.p[k] == '\r' || coded.p[k] == '\n');
                assert_true(i == 0 || column > 76 || line <= 77 || coded.p[k] == '\r');
                assert_true(coded.p[k] != '\n' || (k + 1 < coded.n && coded.p[k + 1] == ' '));
            }
            bh_buf_free(&coded);
            bh_buf_free(&again);
        }
    }
}

static void reads_phrases(void **state)
{
    struct bh_buf out = bh_buf_make(1000);

    bh_phrase_decode(&out, BH_STR("\"a \\\"b\\\"\" (c) =?utf-8?q?=C3=A9?="));
    assert_str(bh_buf_view(&out), "a \"b\" \xc3\xa9");
    bh_buf_free(&out);
}

static void knows_utf8(void **state)
{
    assert_true(bh_utf8_valid(BH_STR("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    static const char *const bad[] = {
        "\x80",    "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
        "\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(bh_utf8_valid(bh_str_c(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(encodes),
        cmocka_unit_test(reads_phrases),
        cmocka_unit_test(knows_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
