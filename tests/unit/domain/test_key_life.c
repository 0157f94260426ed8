/* The life of keys on a scripted clock: this file plays keyd, DNS, queued and the store, and what it does between two
 * steps a crash could do as well, since each step starts from the stored keys alone. */
#include "domain/key_life.h"
#include "unit.h"

enum { KEYS_MAX = 64, SECOND = 1000, DAY = 24 * 3600 * 1000 };

struct life {
    struct bh_arena *arena;
    struct bh_key keys[KEYS_MAX]; /* those that are not withdrawn */
    size_t count;
    struct bh_key_policy policy;
    struct bh_key_wish wish;
    bh_time_ms now;
    int dns;             /* what looks find */
    int64_t in_hand_key; /* deliveries hold this one */
    unsigned made, switches, withdrawn, looks;
    bh_time_ms empty_since[16]; /* when a selector lost its last record */
};

static const struct bh_labels labels = {.selector = {"bh", 2}};

static int set_up(void **state)
{
    struct life *life = test_calloc(1, sizeof(*life));

    life->arena = bh_arena_new(1 << 20);
    life->policy = (struct bh_key_policy){.period_ms = 90LL * DAY,
                                          .receiver_delay_ms = 7LL * DAY,
                                          .ttl_ms = 300 * SECOND,
                                          .negative_ttl_ms = 300 * SECOND,
                                          .rsa_slots = 3,
                                          .ed25519_slots = 2,
                                          .may_rotate = true};
    life->wish.period_ms = -1;
    life->now = 1000LL * DAY;
    life->dns = 1;
    *state = life;
    return 0;
}

static int tear_down(void **state)
{
    struct life *life = *state;

    bh_arena_free(life->arena);
    test_free(life);
    return 0;
}

static void add_key(struct life *life, bh_str selector, enum bh_key_kind kind, enum bh_key_state state)
{
    assert_true(life->count < KEYS_MAX);
    life->keys[life->count++] = (struct bh_key){.id = (int64_t)++life->made,
                                                .selector = selector,
                                                .kind = kind,
                                                .state = state,
                                                .public_b64 = BH_STR("x"),
                                                .created_at = life->now,
                                                .state_at = life->now};
}

static void start_with(struct life *life, unsigned keys)
{
    for (unsigned i = 0; i < keys; i++)
        add_key(life, bh_key_selector(life->arena, &labels, i), BH_KIND_RSA2048, bh_key_initial_state(i));
}

static unsigned in_state(const struct life *life, enum bh_key_state state)
{
    unsigned n = 0;

    for (size_t i = 0; i < life->count; i++)
        n += life->keys[i].state == state;
    return n;
}

static const struct bh_key *active(const struct life *life)
{
    for (size_t i = 0; i < life->count; i++)
        if (life->keys[i].state == BH_KEY_ACTIVE && !bh_key_is_ed25519(&life->keys[i]))
            return &life->keys[i];
    return NULL;
}

/* What must hold after every step, whenever a process died. */
static void check_invariants(const struct life *life)
{
    unsigned rsa = 0, ed25519 = 0;

    for (size_t i = 0; i < life->count; i++) {
        const struct bh_key *key = &life->keys[i];

        if (key->state == BH_KEY_ACTIVE)
            bh_key_is_ed25519(key) ? ed25519++ : rsa++;
        for (size_t k = 0; k < i; k++)
            assert_false(bh_str_eq(life->keys[k].selector, key->selector));
    }
    assert_true(rsa <= 1 && ed25519 <= 1);
}

static void enter(struct life *life, struct bh_key *key, enum bh_key_state state)
{
    assert_true(bh_key_may_become(key->state, state));
    key->state = state;
    key->state_at = life->now;
    if (state == BH_KEY_PUBLISHED || state == BH_KEY_RETIRING)
        key->asked_at = key->unused_at = 0;
}

static void withdraw(struct life *life, struct bh_key *key)
{
    unsigned slot = (unsigned)(key->selector.p[2] - '0');

    assert_true(bh_key_may_become(key->state, BH_KEY_WITHDRAWN));
    life->empty_since[slot] = life->now;
    life->withdrawn++;
    *key = life->keys[--life->count];
}

static void switch_keys(struct life *life, struct bh_key *key, struct bh_key *old)
{
    life->switches++;
    if (old)
        enter(life, old, BH_KEY_RETIRING);
    if (!key)
        return;
    assert_int_not_equal(key->seen_at, 0); /* never a signature by a key that is not everywhere */
    if (key->reused)
        assert_true(life->now - key->seen_at >= life->policy.ttl_ms);
    enter(life, key, BH_KEY_ACTIVE);
}

static void make(struct life *life, const struct bh_key_step *step)
{
    add_key(life, step->selector, step->kind, BH_KEY_CREATED);
    life->keys[life->count - 1].reused = life->empty_since[step->selector.p[2] - '0'] != 0;
}

static void ask_use(struct life *life, struct bh_key *key)
{
    key->asked_at = life->now;
    if (life->in_hand_key != key->id)
        key->unused_at = life->now;
}

static void do_step(struct life *life, const struct bh_key_step *step)
{
    struct bh_key *key = (struct bh_key *)(uintptr_t)step->key, *old = (struct bh_key *)(uintptr_t)step->old;

    switch (step->act) {
    case BH_KEY_ACT_MAKE:
        make(life, step);
        break;
    case BH_KEY_ACT_PUBLISH:
        enter(life, key, BH_KEY_PUBLISHED);
        break;
    case BH_KEY_ACT_LOOK:
        life->looks++;
        bh_key_looked(key, life->dns, life->now);
        break;
    case BH_KEY_ACT_TRUST:
        enter(life, key, BH_KEY_SEEN);
        break;
    case BH_KEY_ACT_SWITCH:
        switch_keys(life, key, old);
        break;
    case BH_KEY_ACT_ASK_USE:
        ask_use(life, key);
        break;
    case BH_KEY_ACT_BLANK:
        enter(life, key, BH_KEY_REVOKED);
        break;
    case BH_KEY_ACT_WITHDRAW:
        withdraw(life, key);
        break;
    case BH_KEY_ACT_NONE:
    default:
        break;
    }
    check_invariants(life);
}

/* Does what is due until `until`; the mail goes on: the active key signs at every turn. */
static void live(struct life *life, int64_t in_ms)
{
    bh_time_ms until = life->now + in_ms;
    struct bh_key_step step;

    for (unsigned i = 0; i < 100000; i++) {
        assert_ok(bh_key_next_step(life->arena, life->keys, life->count, &labels, &life->policy, &life->wish, life->now,
                                   &step));
        if (step.act != BH_KEY_ACT_NONE) {
            do_step(life, &step);
            continue;
        }
        assert_true(step.again_at > life->now);
        for (size_t k = 0; k < life->count; k++)
            if (life->keys[k].state == BH_KEY_ACTIVE)
                life->keys[k].signed_at = life->now;
        if (step.again_at >= until)
            break;
        life->now = step.again_at;
    }
    life->now = until;
}

/* ---- tests ---- */

static void test_schedule(void **state)
{
    struct life *life = *state;

    start_with(life, 3);
    live(life, 10LL * 60 * SECOND);
    assert_int_equal(active(life)->id, 1);
    assert_int_equal(in_state(life, BH_KEY_SEEN), 2);
    live(life, 91LL * DAY);
    assert_int_equal(life->switches, 1);
    assert_int_equal(active(life)->id, 2);
    live(life, 380LL * DAY);
    assert_in_range(life->switches, 5, 6); /* every 72 to 90 days */
    assert_int_equal(life->withdrawn, life->switches);
    assert_int_equal(life->count, 3);
}

static void test_previous_stays_for_the_receivers(void **state)
{
    struct life *life = *state;

    start_with(life, 3);
    live(life, 60 * SECOND);
    life->wish.asked_at = life->now;
    live(life, 60 * SECOND);
    assert_int_equal(active(life)->id, 2);
    assert_int_equal(in_state(life, BH_KEY_RETIRING), 1);
    live(life, 6LL * DAY);
    assert_int_equal(in_state(life, BH_KEY_RETIRING), 1);
    life->in_hand_key = 1; /* and a sender is still at it */
    live(life, 30LL * DAY);
    assert_int_equal(in_state(life, BH_KEY_RETIRING), 1);
    life->in_hand_key = 0;
    live(life, DAY);
    assert_int_equal(life->withdrawn, 1);
    assert_int_equal(in_state(life, BH_KEY_SEEN), 2);
}

static void test_nothing_is_used_unseen(void **state)
{
    struct life *life = *state;

    start_with(life, 3);
    life->dns = 0;
    life->wish.asked_at = life->now + 1;
    live(life, 30LL * DAY);
    assert_int_equal(life->switches, 0);
    life->dns = -1;
    live(life, 30LL * DAY);
    assert_int_equal(life->switches, 0);
    assert_true(life->looks < 60 * 300 * 2); /* five minutes apart at last */
    life->dns = 1;
    live(life, DAY);
    assert_int_equal(life->switches, 1);
}

/* A key that was ready is gone when its hour comes: the exchange waits, also for the negative TTL. */
static void test_missing_at_the_last_moment(void **state)
{
    struct life *life = *state;
    bh_time_ms back_at;

    start_with(life, 3);
    live(life, DAY);
    assert_int_equal(in_state(life, BH_KEY_SEEN), 2);
    life->dns = -1;
    life->wish.asked_at = life->now;
    live(life, DAY);
    assert_int_equal(life->switches, 0);
    assert_int_equal(in_state(life, BH_KEY_SEEN), 0);
    life->dns = 1;
    back_at = life->now;
    live(life, DAY);
    assert_int_equal(life->switches, 1);
    assert_true(active(life)->state_at - back_at >= life->policy.negative_ttl_ms);
}

static void revoke_now(struct life *life)
{
    struct bh_key *old = (struct bh_key *)(uintptr_t)active(life);
    struct bh_key *next = (struct bh_key *)(uintptr_t)bh_key_successor(life->keys, life->count, old);

    old->revoke_at = life->now;
    enter(life, old, BH_KEY_REVOKED);
    if (next)
        enter(life, next, BH_KEY_ACTIVE);
}

static void test_emergency(void **state)
{
    struct life *life = *state;

    start_with(life, 3);
    live(life, DAY);
    revoke_now(life);
    assert_int_equal(active(life)->id, 2);
    live(life, 60 * SECOND); /* the stolen one's record is empty for the TTL, then its selector is wanted */
    assert_int_equal(in_state(life, BH_KEY_REVOKED), 1);
    revoke_now(life); /* and once more: the third takes over */
    assert_int_equal(active(life)->id, 3);
    live(life, 3600 * SECOND);
    assert_int_equal(in_state(life, BH_KEY_SEEN), 2);
    assert_int_equal(life->count, 3);
}

static void test_emergency_without_a_next_key(void **state)
{
    struct life *life = *state;

    start_with(life, 3);
    life->dns = -1;
    live(life, DAY);
    revoke_now(life);
    assert_null(active(life)); /* mail waits rather than being signed with what nobody finds */
    life->dns = 1;
    live(life, DAY);
    assert_non_null(active(life));
}

static void test_grace(void **state)
{
    struct life *life = *state;
    struct bh_key *old;

    start_with(life, 3);
    live(life, DAY);
    old = (struct bh_key *)(uintptr_t)active(life);
    old->revoke_at = life->now + 3600 * SECOND;
    live(life, 60 * SECOND);
    assert_int_equal(active(life)->id, 2);
    assert_int_equal(in_state(life, BH_KEY_RETIRING), 1);
    live(life, 3601 * SECOND);
    assert_int_equal(in_state(life, BH_KEY_RETIRING), 0);
    assert_int_equal(in_state(life, BH_KEY_REVOKED), 1);
}

static void test_ed25519(void **state)
{
    struct life *life = *state;

    start_with(life, 3);
    life->wish.ed25519 = true;
    live(life, 200LL * DAY);
    assert_int_equal(in_state(life, BH_KEY_ACTIVE), 2);
    assert_true(life->switches >= 4);
    life->wish.ed25519 = false;
    live(life, 30LL * DAY);
    assert_int_equal(in_state(life, BH_KEY_ACTIVE), 1);
    for (size_t i = 0; i < life->count; i++)
        assert_false(bh_key_is_ed25519(&life->keys[i]));
}

static void test_keys_of_customers(void **state)
{
    struct life *life = *state;

    life->policy.by_customer = true;
    life->policy.period_ms = 0;
    start_with(life, 1);
    live(life, 400LL * DAY);
    assert_int_equal(life->made, 1);
    life->dns = -1;
    life->wish.asked_at = life->now;
    live(life, 30LL * DAY);
    assert_int_equal(life->made, 2); /* both are shown side by side until he has published it */
    assert_int_equal(active(life)->id, 1);
    life->dns = 1;
    live(life, DAY);
    assert_int_equal(active(life)->id, 2);
    live(life, 30LL * DAY);
    assert_int_equal(life->count, 1);
    assert_int_equal(life->made, 2);
}

static void test_no_schedule_faster_than_caches(void **state)
{
    struct life *life = *state;

    life->policy.period_ms = SECOND;
    life->policy.receiver_delay_ms = 10 * SECOND;
    start_with(life, 3);
    live(life, 6000 * SECOND);
    assert_in_range(life->switches, 5, 13);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_schedule),
        CASE(test_previous_stays_for_the_receivers),
        CASE(test_nothing_is_used_unseen),
        CASE(test_missing_at_the_last_moment),
        CASE(test_emergency),
        CASE(test_emergency_without_a_next_key),
        CASE(test_grace),
        CASE(test_ed25519),
        CASE(test_keys_of_customers),
        CASE(test_no_schedule_faster_than_caches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
