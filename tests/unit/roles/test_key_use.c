/* queued/key_use.c: when a key signed last, and what in hand could still sign with it; by this keys are withdrawn. */
#include "queued_world.h"

static struct bh_rec_key_use ask(struct world *w, uint64_t key)
{
    struct bh_buf refs = bh_buf_make(100), uses = bh_buf_make(100);
    struct bh_rec_key_use use = {.key_id = 0};
    struct bh_cur list;
    bh_time_ms started_at = 0;
    bool settled;

    bh_rec_key_ref_put(&refs, &(struct bh_rec_key_ref){key});
    assert_ok(bh_queued_key_use(w->engine, bh_buf_view(&refs), &uses, &started_at, &settled));
    assert_true(started_at > 0);
    list = bh_cur_make(bh_buf_view(&uses));
    assert_int_equal(bh_rec_key_use_next(&list, &use), BH_MORE);
    assert_int_equal(use.key_id, key);
    bh_buf_free(&refs);
    bh_buf_free(&uses);
    return use;
}

static void test_key_use(void **state)
{
    struct bh_buf keys = bh_buf_make(1000);
    struct world w;
    bh_time_ms lost_at;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 10);
    bh_rec_sealed_key_put(&keys, &(struct bh_rec_sealed_key){.key_id = 7,
                                                             .algorithm = 1,
                                                             .selector = BH_STR("bh1"),
                                                             .domain = BH_STR("a.example"),
                                                             .sealed = BH_STR("box"),
                                                             .grant = {"", 0}});
    w.identity.keys = bh_buf_view(&keys);
    assert_int_equal(ask(&w, 7).signed_at, 0);
    assert_int_equal(ask(&w, 7).in_hand, 0);

    world_submit(&w, 1, 1000, 1);
    world_settle(&w);
    assert_int_equal(w.senders[0].held_count, 1);
    assert_int_equal(ask(&w, 7).in_hand, 1);
    assert_int_equal(ask(&w, 8).in_hand, 0);
    assert_int_equal(ask(&w, 7).signed_at, 0);

    lost_at = w.now; /* its worker is gone: it may have signed until now */
    world_disconnect(&w, &w.senders[0]);
    world_settle(&w);
    assert_true(ask(&w, 7).signed_at >= lost_at);
    assert_int_equal(ask(&w, 8).signed_at, 0);

    world_kill(&w); /* the disk remembers, never too early a time */
    assert_true(ask(&w, 7).signed_at >= lost_at);
    assert_true(ask(&w, 7).signed_at <= lost_at + 2 * 60000);
    world_free(&w);
    bh_buf_free(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
