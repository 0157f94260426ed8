/* test_reply.c: reading replies whole and byte by byte, writing them. */
#include "proto/smtp/reply.h"
#include "unit.h"

static const struct {
    const char *bytes;
    bh_err err;
    unsigned code, class, subject, detail;
    const char *text;
} replies[] = {
    {"250 ok\r\n", BH_OK, 250, 0, 0, 0, "ok"},
    {"250\r\n", BH_OK, 250, 0, 0, 0, ""},
    {"250 \n", BH_OK, 250, 0, 0, 0, ""},
    {"250 2.1.5 fine\r\n", BH_OK, 250, 2, 1, 5, "fine"},
    {"550-5.7.26 one\r\n550-5.7.26 two\r\n550 5.7.26 three - gsmtp\r\n", BH_OK, 550, 5, 7, 26,
     "one\ntwo\nthree - gsmtp"},
    {"250-a\r\n250-SIZE 1\r\n250 B\r\n", BH_OK, 250, 0, 0, 0, "a\nSIZE 1\nB"},
    {"550 5.1.1\r\n", BH_OK, 550, 5, 1, 1, ""},
    {"550 5.1.1x y\r\n", BH_OK, 550, 0, 0, 0, "5.1.1x y"},
    {"550 192.0.2.1 listed\r\n", BH_OK, 550, 0, 0, 0, "192.0.2.1 listed"},
    {"550 5.1234.1 y\r\n", BH_OK, 550, 0, 0, 0, "5.1234.1 y"},
    {"25 ok\r\n", BH_E_SYNTAX, 0, 0, 0, 0, NULL},
    {"2500 ok\r\n", BH_E_SYNTAX, 0, 0, 0, 0, NULL},
    {"999 ok\r\n", BH_E_SYNTAX, 0, 0, 0, 0, NULL},
    {"HTTP/1.1 200 OK\r\n", BH_E_SYNTAX, 0, 0, 0, 0, NULL},
    {"250-a\r\n251 b\r\n", BH_E_SYNTAX, 0, 0, 0, 0, NULL},
    {"\r\n", BH_E_SYNTAX, 0, 0, 0, 0, NULL},
};

/* Reads with `step` bytes more each time. */
static bh_err read_by(struct bh_smtp_reply_reader *reader, bh_str bytes, size_t step, struct bh_smtp_reply *ret)
{
    bh_err err = BH_E_AGAIN;
    size_t taken = 0;

    for (size_t given = step < bytes.n ? step : bytes.n; err == BH_E_AGAIN; given += step) {
        bh_str input;

        if (given > bytes.n)
            given = bytes.n;
        input = bh_str_of(bytes.p + taken, given - taken);
        err = bh_smtp_reply_read(reader, &input, ret);
        taken = given - input.n;
        if (given == bytes.n)
            break;
    }
    return err;
}

static void test_read(void **state)
{
    (void)state;
    for (size_t step = 1; step < 100; step += 7)
        for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
            struct bh_smtp_reply_reader reader;
            struct bh_smtp_reply reply;
            bh_err err;

            bh_smtp_reply_reader_init(&reader);
            err = read_by(&reader, bh_str_c(replies[i].bytes), step, &reply);
            if (err != replies[i].err)
                fail_msg("%s: %s", replies[i].bytes, bh_err_text(err));
            if (!err) {
                assert_int_equal(reply.code, replies[i].code);
                assert_int_equal(reply.status.class, replies[i].class);
                assert_int_equal(reply.status.subject, replies[i].subject);
                assert_int_equal(reply.status.detail, replies[i].detail);
                assert_str(reply.text, replies[i].text);
            }
            bh_smtp_reply_reader_free(&reader);
        }
}

static void test_limits(void **state)
{
    struct bh_smtp_reply_reader reader;
    struct bh_smtp_reply reply;
    static char bytes[200 * 1000];
    bh_str input;

    (void)state;
    bh_smtp_reply_reader_init(&reader);
    for (size_t i = 0; i < sizeof(bytes); i += 1000) {
        memset(bytes + i, 'x', 1000);
        memcpy(bytes + i, "250-", 4);
        memcpy(bytes + i + 998, "\r\n", 2);
    }
    input = bh_str_of(bytes, sizeof(bytes));
    assert_int_equal(bh_smtp_reply_read(&reader, &input, &reply), BH_E_LIMIT);
    bh_smtp_reply_reader_free(&reader);
    bh_smtp_reply_reader_init(&reader);
    bytes[100 * 1000 + 3] = ' ';
    input = bh_str_of(bytes, sizeof(bytes));
    assert_ok(bh_smtp_reply_read(&reader, &input, &reply));
    assert_true(reply.text.n <= BH_SMTP_REPLY_TEXT_MAX && reply.text.n > BH_SMTP_REPLY_TEXT_MAX - 2000);
    bh_smtp_reply_reader_free(&reader);
    bh_smtp_reply_reader_init(&reader);
    memset(bytes, 'x', sizeof(bytes));
    input = bh_str_of(bytes, BH_SMTP_REPLY_LINE_MAX + 1);
    assert_int_equal(bh_smtp_reply_read(&reader, &input, &reply), BH_E_LIMIT);
    bh_smtp_reply_reader_free(&reader);
}

static void test_write(void **state)
{
    struct bh_buf out = bh_buf_make(10000);
    char text[1200];

    (void)state;
    bh_smtp_reply_write(&out, 550, "5.7.1", BH_STR("one\ntwo\r\nth\x01ree"));
    assert_str(bh_buf_view(&out), "550-5.7.1 one\r\n550-5.7.1 two?\r\n550 5.7.1 th?ree\r\n");
    bh_buf_clear(&out);
    bh_smtp_reply_write(&out, 334, NULL, BH_STR(""));
    assert_str(bh_buf_view(&out), "334 \r\n");
    bh_buf_clear(&out);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 7 ? 'w' : ' ';
    bh_smtp_reply_write(&out, 550, "5.0.0", bh_str_of(text, sizeof(text)));
    memset(text, 'y', sizeof(text));
    bh_smtp_reply_write(&out, 550, "5.0.0", bh_str_of(text, sizeof(text)));
    for (bh_str rest = bh_buf_view(&out); rest.n; rest = bh_str_skip(rest, bh_str_find(rest, '\n') + 1)) {
        assert_true(bh_str_find(rest, '\n') < 512);
        assert_true(bh_str_starts(rest, BH_STR("550")));
    }
    bh_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_read), cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_write)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
