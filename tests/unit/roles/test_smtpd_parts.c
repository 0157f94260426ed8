/* test_smtpd_parts.c: the cache of answers and the message in progress. */
#include "roles/cache.h"
#include "roles/messages.h"
#include "roles/smtpd/message.h"
#include "unit.h"
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void test_cache(void **state)
{
    const uint64_t seed[2] = {1, 2};
    struct bh_cache cache;
    char key[16];

    (void)state;
    bh_cache_init(&cache, seed, 100);
    assert_null(bh_cache_get(&cache, BH_STR("a")).p);
    bh_cache_put(&cache, 5, BH_STR("a"), BH_STR("one"));
    bh_cache_put(&cache, 5, BH_STR("a"), BH_STR("two"));
    bh_cache_put(&cache, 5, BH_STR(""), BH_STR("empty key"));
    assert_str(bh_cache_get(&cache, BH_STR("a")), "two");
    assert_str(bh_cache_get(&cache, BH_STR("")), "empty key");
    bh_cache_put(&cache, 4, BH_STR("b"), BH_STR("old")); /* made from older facts */
    assert_null(bh_cache_get(&cache, BH_STR("b")).p);
    bh_cache_set_version(&cache, 5);
    assert_str(bh_cache_get(&cache, BH_STR("a")), "two");
    bh_cache_put(&cache, 6, BH_STR("c"), BH_STR("new")); /* newer: all else may be wrong */
    assert_null(bh_cache_get(&cache, BH_STR("a")).p);
    assert_str(bh_cache_get(&cache, BH_STR("c")), "new");
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        bh_cache_put(&cache, 6, bh_str_c(key), bh_str_c(key));
    }
    assert_int_equal(cache.map.count, 100);
    assert_null(bh_cache_get(&cache, BH_STR("899")).p);
    assert_str(bh_cache_get(&cache, BH_STR("900")), "900");
    bh_cache_set_version(&cache, 7);
    assert_int_equal(cache.map.count, 0);
    bh_cache_free(&cache);
}

static void test_8bit(void **state)
{
    char text[40];

    (void)state;
    for (size_t n = 0; n < sizeof(text); n++) {
        memset(text, 'x', sizeof(text));
        assert_false(bh_has_8bit(bh_str_of(text, n)));
        for (size_t i = 0; i < n; i++) {
            text[i] = (char)0x80;
            assert_true(bh_has_8bit(bh_str_of(text, n)));
            text[i] = '\x7f';
        }
    }
}

static const struct {
    const char *text;
    unsigned code;
    const char *from;
    const char *domain;
    bool utf8;
} judged[] = {
    {"From: a@b.example\r\n\r\nx\r\n", 0, "a@b.example", "b.example", false},
    {"from: \"A, B\" <a@B.Example>\r\n\r\nx\r\n", 0, "a@B.Example", "b.example", false},
    {"From: a@b\xc3\xbc"
     "cher.example\r\n\r\nx\r\n",
     0,
     "a@b\xc3\xbc"
     "cher.example",
     "xn--bcher-kva.example", true},
    {"From: a@b.example\r\nSubject: \xc3\xbc\r\n\r\nx\r\n", 0, "a@b.example", "b.example", true},
    {"Subject: x\r\n\r\nx\r\n", 550, "", "", false},
    {"From: a@b.example\r\nFrom: a@b.example\r\n\r\nx\r\n", 550, "", "", false},
    {"From: a@b.example, c@d.example\r\n\r\nx\r\n", 550, "", "", false},
    {"From: undisclosed:;\r\n\r\nx\r\n", 550, "", "", false},
};

/* Each text whole in memory, and with its beginning in memory and all of it in a file, cut at every place. */
static void test_judge(void **state)
{
    struct bh_arena *arena = bh_arena_new(1 << 20);
    struct bh_message message;

    (void)state;
    bh_message_init(&message);
    for (size_t i = 0; i < sizeof(judged) / sizeof(judged[0]); i++)
        for (size_t cut = 0; cut <= strlen(judged[i].text); cut++) {
            struct bh_check_verdict verdict = {0};
            bh_str text = bh_str_c(judged[i].text);

            assert_false(bh_message_add_text(&message, bh_str_sub(text, 0, cut)));
            if (cut)
                bh_message_use_file(&message, memfd_create("m", 0), 1);
            assert_false(bh_message_add_text(&message, bh_str_skip(text, cut)));
            bh_message_end_text(&message);
            assert_false(message.write_failed);
            if (cut)
                assert_int_equal(lseek(message.file, 0, SEEK_END), text.n);
            bh_message_judge(&message, arena, 100, &verdict);
            if (verdict.code != judged[i].code)
                fail_msg("%s: %u %.*s", judged[i].text, verdict.code, BH_FMT(verdict.reason));
            assert_str(bh_str_of(message.header_from, message.header_from_n), judged[i].from);
            assert_str(bh_str_of(message.from_domain, message.from_domain_n), judged[i].domain);
            assert_int_equal(message.smtputf8, judged[i].utf8);
            bh_message_reset(&message);
            bh_arena_reset(arena);
        }
    bh_message_free(&message);
    bh_arena_free(arena);
}

static void test_nul_is_refused(void **state)
{
    struct bh_arena *arena = bh_arena_new(1 << 20);
    struct bh_check_verdict verdict = {0};
    struct bh_message message;

    (void)state;
    bh_message_init(&message);
    (void)bh_message_add_text(&message, bh_str_of("From: a@b.example\r\n\r\nx\0\r\n", 25));
    bh_message_judge(&message, arena, 100, &verdict);
    assert_int_equal(verdict.rule, BH_CHECK_NUL);
    assert_true(verdict.code >= 500);
    verdict = (struct bh_check_verdict){0};
    bh_message_judge_inbound(&message, arena, 100, &verdict);
    assert_int_equal(verdict.rule, BH_CHECK_NUL);
    bh_message_free(&message);
    bh_arena_free(arena);
}

/* The list of recipients has an end, and what was in stays. */
static void test_recipients(void **state)
{
    struct bh_rec_recipient record;
    struct bh_smtp_mailbox box;
    struct bh_message message;
    struct bh_cur list;
    size_t added = 0, read = 0;
    bh_err err;

    (void)state;
    bh_message_init(&message);
    assert_ok(bh_smtp_mailbox_parse(BH_STR("\"a b\"@x.example"), &box));
    while (!(err = bh_message_add_recipient(&message, &box, BH_STR("NEVER"), BH_STR(""))))
        added++;
    assert_int_equal(err, BH_E_LIMIT);
    list = bh_cur_make(bh_buf_view(&message.recipients));
    while (!bh_rec_recipient_next(&list, &record)) {
        assert_str(record.address, "\"a b\"@x.example");
        assert_str(record.notify, "NEVER");
        read++;
    }
    assert_int_equal(read, added);
    bh_message_free(&message);
}

static void test_protocol(void **state)
{
    struct bh_smtp_server_facts facts = {0};

    (void)state;
    assert_string_equal(bh_message_protocol(&facts, false), "SMTP");
    facts.esmtp = true;
    assert_string_equal(bh_message_protocol(&facts, false), "ESMTP");
    facts.tls = facts.authenticated = true;
    assert_string_equal(bh_message_protocol(&facts, false), "ESMTPSA");
    assert_string_equal(bh_message_protocol(&facts, true), "UTF8SMTPSA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache),          cmocka_unit_test(test_8bit),       cmocka_unit_test(test_judge),
        cmocka_unit_test(test_nul_is_refused), cmocka_unit_test(test_recipients), cmocka_unit_test(test_protocol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
