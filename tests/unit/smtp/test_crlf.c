/* test_crlf.c: the block scanner against a plain one, byte by byte, at all offsets. */
#include "base/random.h"
#include "proto/smtp/crlf.h"
#include "unit.h"

/* The plain definition of where the pass stops; `last` is the byte before the text. */
static enum bh_crlf_stop plain_pass(bh_str text, bool at_start, size_t *ret_n)
{
    for (size_t i = 0; i < text.n; i++) {
        char before = i ? text.p[i - 1] : at_start ? '\n' : 'x';

        *ret_n = i;
        if (text.p[i] == '\r' && i + 1 == text.n)
            return BH_CRLF_NONE;
        if (text.p[i] == '\r' && text.p[i + 1] != '\n')
            return BH_CRLF_BARE_CR;
        if (text.p[i] == '\n' && !(i && before == '\r'))
            return BH_CRLF_BARE_LF;
        if (text.p[i] == '.' && before == '\n')
            return BH_CRLF_DOT;
    }
    *ret_n = text.n;
    return BH_CRLF_NONE;
}

static void test_against_the_plain_one(void **state)
{
    struct bh_random_seeded random;
    char text[300];

    (void)state;
    bh_random_seeded_init(&random, 7);
    for (int round = 0; round < 200000; round++) {
        size_t n = bh_random_below(&random.base, sizeof(text)), got, wanted = 0;
        bool at_start = round & 1;
        struct bh_crlf crlf = {.at_line_start = at_start};
        enum bh_crlf_stop why, wanted_why;

        memset(text, 'x', n);
        for (size_t i = 0; i + 1 < n;) {
            i += bh_random_below(&random.base, 70);
            if (i + 2 < n) {
                memcpy(text + i, "\r\n", 2);
                i += 2;
            }
        }
        for (uint64_t k = bh_random_below(&random.base, 3); k && n; k--)
            text[bh_random_below(&random.base, n)] = "\r\n.."[bh_random_below(&random.base, 4)];
        wanted_why = plain_pass(bh_str_of(text, n), at_start, &wanted);
        why = bh_crlf_pass(&crlf, bh_str_of(text, n), SIZE_MAX, &got);
        assert_int_equal(why, wanted_why);
        assert_int_equal(got, wanted);
        assert_int_equal(crlf.at_line_start, got ? text[got - 1] == '\n' : at_start);
    }
}

/* Lines of every length around the limit, fed in two parts at every place. */
static void test_line_length(void **state)
{
    char text[300];

    (void)state;
    for (size_t length = 0; length < 200; length++) {
        memset(text, 'x', sizeof(text));
        memcpy(text, "ab\r\n", 4);
        memcpy(text + 4 + length, "\r\n", 2);
        for (size_t cut = 0; cut <= length + 6; cut++) {
            struct bh_crlf crlf = {.at_line_start = true};
            size_t n;
            enum bh_crlf_stop why = bh_crlf_pass(&crlf, bh_str_of(text, cut), 100, &n);

            if (!why)
                why = bh_crlf_pass(&crlf, bh_str_of(text + n, length + 6 - n), 100, &n);
            assert_int_equal(why, length + 2 > 100 ? BH_CRLF_LONG : BH_CRLF_NONE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_the_plain_one),
                                       cmocka_unit_test(test_line_length)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
