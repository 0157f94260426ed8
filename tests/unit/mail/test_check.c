/* Which messages are accepted for submission, and by which rule the others are refused. */
#include "mail/check.h"
#include "unit.h"

static enum bh_check_rule judge(bh_str message, struct bh_check_facts *ret_facts)
{
    static const struct bh_check_limits small = {.max_header_bytes = 4000, .max_fields = 40, .max_hops = 5};
    struct bh_arena *arena = bh_arena_new(1 << 20);
    struct bh_check_verdict verdict;

    bh_check_message(arena, &small, message, ret_facts, &verdict);
    if (verdict.rule) {
        assert_in_range(verdict.code, 400, 599);
        assert_int_equal(verdict.enhanced[0] - '0', verdict.code / 100);
        assert_true(verdict.reason.n && verdict.fix.n);
        for (size_t i = 0; i < verdict.reason.n; i++)
            assert_in_range(verdict.reason.p[i], 32, 126);
    }
    bh_arena_free(arena);
    return verdict.rule;
}

static void one_rule_each(void **state)
{
    static const struct {
        const char *message;
        enum bh_check_rule rule;
    } cases[] = {
        {"From: a@b.example\r\n\r\nx\r\n", BH_CHECK_OK},
        {"From: a@b.example\r\n", BH_CHECK_OK},
        {"From: a@b.example\r\n\r\n", BH_CHECK_OK},
        {"Subject: x\r\nfrom: A <a@b.example>\r\n\r\nlast line without an end", BH_CHECK_OK},
        {"From: a@b.example\r\n\r\nx\n", BH_CHECK_BARE_LF},
        {"From: a@b.example\n\nx\n", BH_CHECK_BARE_LF},
        {"From: a@b.example\r\n\r\nx\r\r\n", BH_CHECK_BARE_CR},
        {"From: a@b.example\r\n\r\nx\ry\r\n", BH_CHECK_BARE_CR},
        {"From: a@b.example\r\n\r\n\r", BH_CHECK_BARE_CR},
        {"From: a@b.example\r\n\r\n\n.\n", BH_CHECK_BARE_LF},
        {"Subject: x\r\n\r\n", BH_CHECK_NO_FROM},
        {"", BH_CHECK_NO_FROM},
        {"\r\nFrom: a@b.example\r\n", BH_CHECK_NO_FROM},
        {"From: a@b.example\r\nSubject: x\r\nFROM: a@b.example\r\n\r\n", BH_CHECK_SEVERAL_FROM},
        {"From : a@b.example\r\nFrom: a@c.example\r\n\r\n", BH_CHECK_SEVERAL_FROM},
        {"From: a@b.example, c@d.example\r\n\r\n", BH_CHECK_SEVERAL_AUTHORS},
        {"From: G: a@b.example;\r\n\r\n", BH_CHECK_BAD_FROM},
        {"From:\r\n\r\n", BH_CHECK_BAD_FROM},
        {"From: a@b.example\r\nno field\r\n\r\n", BH_CHECK_NOT_A_FIELD},
        {" From: a@b.example\r\n\r\n", BH_CHECK_NOT_A_FIELD},
        {"From : a@b.example\r\n\r\n", BH_CHECK_BLANK_NAME},
        {"Subject\t: x\r\nFrom: a@b.example\r\n\r\n", BH_CHECK_BLANK_NAME},
        {"From: a@b.example(@c.example)\r\n\r\n", BH_CHECK_BAD_FROM},
        {"From: (c@d.example) a@b.example\r\n\r\n", BH_CHECK_BAD_FROM},
        {"From: \"c@d.example\" <a@b.example>\r\n\r\n", BH_CHECK_OK},
        {"From: \"c@d.example\"@b.example\r\n\r\n", BH_CHECK_BAD_FROM},
        {"From: <\"c@d.example>,<\"@b.example>\r\n\r\n", BH_CHECK_BAD_FROM},
        {"From: <\"x\\\"@d.example>, \"@b.example>\r\n\r\n", BH_CHECK_BAD_FROM},
        {"From: =?utf-8?q?c=40d.example=00?=@b.example\r\n\r\n", BH_CHECK_BAD_FROM},
        {"From: \"a b\"@b.example\r\n\r\n", BH_CHECK_OK},
        {"From: a@b\xe3\x80\x82x.example\r\n\r\n", BH_CHECK_BAD_FROM}, /* an ideographic full stop */
        {"From: a@b.exampl\xef\xbd\x85\r\n\r\n", BH_CHECK_BAD_FROM},   /* a wide e */
        {"From: a@b.example\xc2\xad\r\n\r\n", BH_CHECK_BAD_FROM},      /* a soft hyphen */
        {"From: a@m\xc3\xbchle.example\r\n\r\n", BH_CHECK_OK},
        {"From: a@b.example\r\nSubject: half", BH_CHECK_NO_HEADER_END},
        {"Received: 1\r\nReceived: 2\r\nReceived: 3\r\nReceived: 4\r\nReceived: 5\r\nReceived: 6\r\n"
         "From: a@b.example\r\n\r\n",
         BH_CHECK_HOPS},
    };
    struct bh_check_facts facts;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum bh_check_rule rule = judge(bh_str_c(cases[i].message), &facts);
        if (rule != cases[i].rule)
            fail_msg("case %zu: %s", i, bh_check_rule_name(rule));
    }
    assert_int_equal(judge(BH_STR("From: a@b.example\r\n\r\na\0b\r\n"), &facts), BH_CHECK_NUL);
}

/* "From…" CRLF CRLF and one line of n bytes. */
static bh_str with_line(char *room, size_t n)
{
    bh_str head = BH_STR("From: a@b.example\r\n\r\n");

    memcpy(room, head.p, head.n);
    memset(room + head.n, 'x', n);
    memcpy(room + head.n + n, "\r\n", 2);
    return bh_str_of(room, head.n + n + 2);
}

static bh_str with_fields(char *room, size_t count, const char *field)
{
    size_t n = strlen(field);

    memcpy(room, "From: a@b.example\r\n", 19);
    for (size_t i = 0; i < count; i++)
        memcpy(room + 19 + i * n, field, n);
    memcpy(room + 19 + count * n, "\r\n", 2);
    return bh_str_of(room, 19 + count * n + 2);
}

static void bounds_hold(void **state)
{
    static char room[20000];
    struct bh_check_facts facts;

    assert_int_equal(judge(with_line(room, 998), &facts), BH_CHECK_OK);
    assert_int_equal(judge(with_line(room, 999), &facts), BH_CHECK_LONG_LINE);
    assert_int_equal(judge(with_fields(room, 39, "X: 1\r\n"), &facts), BH_CHECK_OK);
    assert_int_equal(judge(with_fields(room, 40, "X: 1\r\n"), &facts), BH_CHECK_HEADER_FIELDS);
    assert_int_equal(judge(with_fields(room, 1, "X: 1\r\n"), &facts), BH_CHECK_OK);
    memset(room, ' ', sizeof room);
    memcpy(room, "From: a@b.example\r\nX:", 21);
    for (size_t i = 500; i + 2 < 6000; i += 500)
        memcpy(room + i, "\r\n", 2);
    memcpy(room + 6000, "\r\n\r\n", 4);
    assert_int_equal(judge(bh_str_of(room, 6004), &facts), BH_CHECK_HEADER_SIZE);
}

static void facts_are_views(void **state)
{
    bh_str message =
        BH_STR("Date: x\r\nFrom: \"A\" <a@B.example>\r\nMessage-ID: <1@x>\r\nReceived: y\r\n\r\nb\xc3\xb6\r\n");
    struct bh_check_facts facts;

    assert_int_equal(judge(message, &facts), BH_CHECK_OK);
    assert_str(facts.author.domain, "B.example");
    assert_str(facts.message_id, "<1@x>");
    assert_str(facts.body, "b\xc3\xb6\r\n");
    assert_true(facts.has_date && facts.has_message_id && facts.body_8bit && !facts.header_8bit);
    assert_int_equal(facts.received, 1);
    assert_int_equal(facts.fields, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_rule_each),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(facts_are_views),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
