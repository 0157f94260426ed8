/* test_message_id.c: numbers that grow, and their text. */
#include "unit.h"

#include "queue/message_id.h"

static const bh_time_ms now = 1795312162123; /* 2026-11-22 */

static void test_grow_whatever_the_clock_does(void **state)
{
    struct bh_random_seeded random;
    struct bh_id_source source = {0};
    uint64_t last = 0;

    (void)state;
    bh_random_seeded_init(&random, 1);
    for (int i = 0; i < 100000; i++) {
        uint64_t id = bh_id_next(&source, now + (i % 7) - 3, &random.base);

        assert_true(id > last);
        last = id;
    }
    assert_true(bh_id_time(last) >= now && bh_id_time(last) <= now + 10);
    assert_true(bh_id_floor(now) <= last);
    assert_int_equal(bh_id_floor(0), 0);
    assert_true(last < (uint64_t)INT64_MAX);
}

static void test_text(void **state)
{
    struct bh_random_seeded random;
    char text[BH_MESSAGE_ID_CHARS + 1];
    uint64_t id, back;

    (void)state;
    bh_random_seeded_init(&random, 2);
    for (int i = 0; i < 1000; i++) {
        bh_random_fill(&random.base, &id, sizeof(id));
        bh_message_id_text(id, text);
        assert_int_equal(strlen(text), BH_MESSAGE_ID_CHARS);
        assert_ok(bh_message_id_parse(bh_str_c(text), &back));
        assert_true(id == back);
    }
    bh_message_id_text(0, text);
    assert_string_equal(text, "msg_aaaaaaaaaaaaa");
    assert_int_equal(bh_message_id_parse(BH_STR("msg_aaaaaaaaaaaa"), &back), BH_E_SYNTAX);
    assert_int_equal(bh_message_id_parse(BH_STR("msg_aaaaaaaaaaaab"), &back), BH_E_SYNTAX);
    assert_int_equal(bh_message_id_parse(BH_STR("msg_aaaaaaaaaaa1a"), &back), BH_E_SYNTAX);
    assert_int_equal(bh_message_id_parse(BH_STR("evt_aaaaaaaaaaaaa"), &back), BH_E_SYNTAX);
    assert_ok(bh_message_id_parse(BH_STR("MSG_AAAAAAAAAAAAA"), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grow_whatever_the_clock_does),
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
