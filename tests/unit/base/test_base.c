/* test_base.c: views, buffers, cursor, arena, map, heap, texts, time, log lines. */
#include "base/clock.h"
#include "base/cur.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/random.h"
#include "base/text.h"
#include "unit.h"
#include <stdio.h>
#include <unistd.h>

static void test_str(void **state)
{
    bh_str rest;
    uint64_t number;
    char small[4];

    (void)state;
    assert_true(bh_str_is_at_or_below(BH_STR("a.B.c"), BH_STR("b.C")));
    assert_true(bh_str_is_at_or_below(BH_STR("b.c"), BH_STR("b.c")));
    assert_false(bh_str_is_at_or_below(BH_STR("ab.c"), BH_STR("b.c")));
    assert_str(bh_str_cut(BH_STR("a=b=c"), '=', &rest), "a");
    assert_str(rest, "b=c");
    assert_str(bh_str_cut(BH_STR("a"), '=', &rest), "a");
    assert_null(rest.p);
    assert_str(bh_str_cut(BH_STR("a="), '=', &rest), "a");
    assert_non_null(rest.p);
    assert_int_equal(bh_str_to_u64(BH_STR("18446744073709551616"), UINT64_MAX, &number), BH_E_RANGE);
    assert_ok(bh_str_to_u64(BH_STR("18446744073709551615"), UINT64_MAX, &number));
    assert_true(number == UINT64_MAX);
    assert_int_equal(bh_str_to_u64(BH_STR("+1"), 9, &number), BH_E_SYNTAX);
    assert_int_equal(bh_str_to_u64(BH_STR("10"), 9, &number), BH_E_RANGE);
    assert_int_equal(bh_str_to_c(BH_STR("abcd"), small, sizeof(small)), BH_E_LIMIT);
    assert_int_equal(bh_str_to_c(BH_STR("a\0b"), small, sizeof(small)), BH_E_SYNTAX);
    assert_str(bh_str_trim(BH_STR(" \r\n x y\t")), "x y");
    assert_int_equal(bh_str_search_ci(BH_STR("xxABc"), BH_STR("abC")), 2);
}

static void test_buf_keeps_its_maximum(void **state)
{
    struct bh_buf buf = bh_buf_make(10);

    (void)state;
    bh_buf_add(&buf, BH_STR("12345678"));
    assert_ok(bh_buf_err(&buf));
    bh_buf_add(&buf, BH_STR("9ab"));
    assert_int_equal(bh_buf_err(&buf), BH_E_LIMIT);
    bh_buf_add(&buf, BH_STR("c"));
    assert_str(bh_buf_view(&buf), "12345678");
    bh_buf_clear(&buf);
    bh_buf_add(&buf, BH_STR("0123456789"));
    assert_ok(bh_buf_err(&buf));
    bh_buf_free(&buf);
}

static void test_cur_reads_what_buf_wrote(void **state)
{
    struct bh_buf buf = bh_buf_make(100);
    struct bh_cur cur;

    (void)state;
    bh_buf_u8(&buf, 7);
    bh_buf_u16(&buf, 0x1234);
    bh_buf_u32(&buf, 0x12345678);
    bh_buf_u64(&buf, 0x123456789abcdef0);
    bh_buf_str(&buf, BH_STR("text"));
    cur = bh_cur_make(bh_buf_view(&buf));
    assert_int_equal(bh_cur_u8(&cur), 7);
    assert_int_equal(bh_cur_u16(&cur), 0x1234);
    assert_int_equal(bh_cur_u32(&cur), 0x12345678);
    assert_true(bh_cur_u64(&cur) == 0x123456789abcdef0);
    assert_str(bh_cur_str(&cur), "text");
    assert_true(bh_cur_done(&cur));
    assert_int_equal(bh_cur_u8(&cur), 0);
    assert_false(bh_cur_ok(&cur));
    cur = bh_cur_make(BH_STR("\xff\xff\xff\xffxx")); /* a length that lies */
    assert_int_equal(bh_cur_str(&cur).n, 0);
    assert_false(bh_cur_ok(&cur));
    bh_buf_free(&buf);
}

static void test_arena(void **state)
{
    struct bh_arena *arena = bh_arena_new(200 * 1000);
    char *p = NULL;

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++) {
            p = bh_arena_alloc(arena, (size_t)i % 100);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            for (int k = 0; k < i % 100; k++)
                assert_int_equal(p[k], 0);
            memset(p, 0xaa, (size_t)i % 100);
        }
        assert_null(bh_arena_alloc(arena, 150 * 1000));
        assert_null(bh_arena_alloc(arena, SIZE_MAX));
        assert_null(bh_arena_array(arena, SIZE_MAX / 2, 4));
        bh_arena_reset(arena);
    }
    assert_non_null(bh_arena_alloc(arena, 150 * 1000));
    assert_null(bh_arena_alloc(arena, 150 * 1000));
    assert_str(bh_arena_printf(arena, "%d-%s", 1, "x"), "1-x");
    bh_arena_free(arena);
    bh_arena_free(NULL);
}

static void test_texts(void **state)
{
    static const char *const base64[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}};
    struct bh_buf out = bh_buf_make(1000), back = bh_buf_make(1000);

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        bh_buf_clear(&out);
        bh_buf_clear(&back);
        bh_base64_encode(&out, bh_str_c(base64[i][0]));
        assert_str(bh_buf_view(&out), base64[i][1]);
        assert_ok(bh_base64_decode(&back, bh_buf_view(&out)));
        assert_str(bh_buf_view(&back), base64[i][0]);
    }
    assert_int_equal(bh_base64_decode(&back, BH_STR("Zh==")), BH_E_SYNTAX); /* stray bits */
    assert_int_equal(bh_base64_decode(&back, BH_STR("Z===")), BH_E_SYNTAX);
    bh_buf_clear(&back);
    assert_ok(bh_base64_decode_loose(&back, BH_STR("Z m9\r\n v Yg")));
    assert_str(bh_buf_view(&back), "foob");
    bh_buf_clear(&out);
    bh_base32_encode(&out, BH_STR("foobar"));
    assert_str(bh_buf_view(&out), "mzxw6ytboi");
    bh_buf_clear(&back);
    assert_ok(bh_base32_decode(&back, BH_STR("MZXW6YTBOI")));
    assert_str(bh_buf_view(&back), "foobar");
    assert_int_equal(bh_base32_decode(&back, BH_STR("mzxw6ytbo1")), BH_E_SYNTAX);
    bh_buf_clear(&out);
    bh_hex_encode(&out, BH_STR("\x01\xfe"));
    assert_str(bh_buf_view(&out), "01fe");
    bh_buf_free(&out);
    bh_buf_free(&back);
}

struct thing {
    struct bh_map_node node;
    struct bh_heap_node timer;
    char key[16];
};

static void test_map_and_heap(void **state)
{
    static struct thing things[1000];
    struct bh_map map;
    struct bh_heap heap = {0};
    struct bh_random_seeded random;
    uint64_t seed[2] = {1, 2};
    int64_t last = INT64_MIN;
    size_t seen = 0;

    (void)state;
    bh_random_seeded_init(&random, 42);
    bh_map_init(&map, seed);
    assert_null(bh_map_get(&map, BH_STR("0")));
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(things[i].key, sizeof(things[i].key), "%d", i);
        assert_ok(bh_map_add(&map, bh_str_c(things[i].key), &things[i].node));
        assert_ok(bh_heap_add(&heap, &things[i].timer, (int64_t)bh_random_below(&random.base, 500)));
    }
    assert_int_equal(bh_map_add(&map, BH_STR("77"), &things[0].node), BH_E_EXISTS);
    for (struct bh_map_node *node = NULL; (node = bh_map_next(&map, node));)
        seen++;
    assert_int_equal(seen, 1000);
    for (int i = 0; i < 1000; i += 2) {
        bh_map_remove(&map, &things[i].node);
        bh_heap_remove(&heap, &things[i].timer);
        bh_heap_change(&heap, &things[i + 1].timer, (int64_t)bh_random_below(&random.base, 500));
    }
    assert_null(bh_map_get(&map, BH_STR("10")));
    assert_ptr_equal(bh_map_get(&map, BH_STR("11")), &things[11].node);
    for (struct bh_heap_node *first; (first = bh_heap_first(&heap));) {
        assert_true(first->key >= last);
        last = first->key;
        bh_heap_remove(&heap, first);
    }
    bh_heap_free(&heap);
    bh_map_free(&map);
}

/* The vector of the SipHash paper (key 00..0f, input 00..0e). */
static void test_siphash(void **state)
{
    const unsigned char key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    uint64_t seed[2];

    (void)state;
    memcpy(seed, key, sizeof(seed));
    assert_true(bh_siphash24(seed, bh_str_of((const char *)key, 15)) == 0xa129ca6149be45e5);
}

static void test_time(void **state)
{
    struct bh_buf out = bh_buf_make(100);
    int64_t year;
    unsigned month, day;

    (void)state;
    bh_time_rfc3339(&out, 1795312162123, true);
    assert_str(bh_buf_view(&out), "2026-11-22T01:49:22.123Z");
    bh_buf_clear(&out);
    bh_time_rfc5322(&out, 1795312162123);
    assert_str(bh_buf_view(&out), "Sun, 22 Nov 2026 01:49:22 +0000");
    bh_buf_clear(&out);
    bh_time_rfc3339(&out, -1, false);
    assert_str(bh_buf_view(&out), "1969-12-31T23:59:59Z");
    for (int64_t days = -800000; days < 800000; days += 37) {
        bh_civil_from_days(days, &year, &month, &day);
        assert_true(bh_days_from_civil(year, month, day) == days);
    }
    bh_buf_free(&out);
}

static void test_log_cannot_be_forged(void **state)
{
    int pipe_fds[2];
    char line[8192];
    ssize_t n;
    struct bh_log log = {.least = BH_LOG_INFO, .role = "test"};

    (void)state;
    assert_int_equal(pipe(pipe_fds), 0);
    log.fd = pipe_fds[1];
    bh_log_line(&log, BH_LOG_WARN, "odd", BH_KV("host", BH_STR("a\nlevel=error \"x\"")));
    n = read(pipe_fds[0], line, sizeof(line));
    assert_str(bh_str_of(line, (size_t)n), "level=warn role=test msg=odd host=\"a\\x0alevel=error \\\"x\\\"\"\n");
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str),
        cmocka_unit_test(test_buf_keeps_its_maximum),
        cmocka_unit_test(test_cur_reads_what_buf_wrote),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_map_and_heap),
        cmocka_unit_test(test_siphash),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_log_cannot_be_forged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
