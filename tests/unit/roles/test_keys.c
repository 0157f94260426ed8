/* Keys in controld's core, which dies between any two steps: the store is all that is left, and a new core goes on. */
#include "controld_world.h"
#include "roles/controld/keys.h"

/* What the store says: at most one active key, and it is one that DNS has answered. */
static const struct bh_key *check_store(struct world *w, struct bh_domain_view *view)
{
    const struct bh_key *active = NULL;
    struct bh_domain domain;

    assert_ok(bh_domain_by_name(w->core.store, w->arena, BH_STR("email.customer.example"), 0, &domain));
    assert_ok(bh_controld_view(&w->core, w->arena, domain.id, false, view));
    for (size_t i = 0; i < view->key_count; i++) {
        const struct bh_key *key = &view->keys[i];

        if (key->state != BH_KEY_ACTIVE)
            continue;
        assert_null(active);
        active = key;
        assert_true(key->seen_at || bh_str_eq(key->selector, BH_STR("bh1")));
    }
    assert_non_null(active);
    return active;
}

/* DNS answers what the zone would have in it now. */
static void publish_zone(struct world *w, const struct bh_domain_view *view)
{
    char name[200];

    w->answer_count = 0;
    for (size_t i = 0; i < view->key_count; i++) {
        if (!bh_key_is_published(&view->keys[i]))
            continue;
        (void)snprintf(name, sizeof(name), "%.*s._domainkey.email.customer.example", BH_FMT(view->keys[i].selector));
        answer_dns(w, name, BH_DNS_TXT, true, bh_key_record(w->arena, &view->keys[i]).p);
    }
}

static const bh_str egress = {"192.0.2.25", 10};

/* The process ends without a word and another one opens the store. */
static void restart(struct world *w)
{
    struct bh_controld old = w->core;
    struct bh_controld fresh = {.store = old.store,
                                .random = old.random,
                                .suffixes = old.suffixes,
                                .platform = old.platform,
                                .out = old.out,
                                .out_ctx = old.out_ctx,
                                .clock = old.clock,
                                .message_size_max = old.message_size_max,
                                .key_policy = old.key_policy};

    fresh.platform.egress = &egress; /* the old list went with the old core */
    fresh.platform.egress_count = 1;
    bh_controld_stop(&w->core);
    w->core = fresh;
    assert_ok(bh_controld_start(&w->core));
}

/* One turn may do several steps: keyd, DNS and queued are there for one of `part` each turn only. */
static void turn(struct world *w, unsigned part)
{
    w->keyd_is_down = part % 3 == 0;
    w->dns_is_silent = part % 3 == 1;
    w->queued_is_down = part % 3 == 2;
    bh_keys_wake(&w->core);
    w->keyd_is_down = w->dns_is_silent = w->queued_is_down = false;
}

static void test_a_core_that_dies_at_every_step(void **state)
{
    struct world *w = *state;
    struct bh_domain_view view;
    unsigned exchanges = 0;
    int64_t last;

    w->core.key_policy = (struct bh_key_policy){.period_ms = 7200 * 1000, .receiver_delay_ms = 600 * 1000};
    verify_delegation(w);
    last = check_store(w, &view)->id;
    for (unsigned i = 0; i < 4000 && exchanges < 3; i++) {
        const struct bh_key *active;

        bh_arena_reset(w->arena);
        (void)check_store(w, &view);
        publish_zone(w, &view);
        turn(w, i);
        restart(w);
        w->now += 20 * 1000;
        active = check_store(w, &view);
        exchanges += active->id != last;
        last = active->id;
    }
    assert_int_equal(exchanges, 3);
    assert_true(view.key_count <= 6);
}

#define KEY(verb, more)                                                                                                \
    "{\"noun\":\"key\",\"verb\":\"" verb "\",\"args\":{\"domain\":\"email.customer.example\"" more "}}"

static void test_revoking(void **state)
{
    struct world *w = *state;
    struct bh_domain_view view;
    const struct bh_key *active;

    w->core.key_policy = (struct bh_key_policy){.period_ms = 0, .receiver_delay_ms = 600 * 1000};
    verify_delegation(w);
    (void)check_store(w, &view);
    publish_zone(w, &view);
    w->now += 3600 * 1000;
    bh_keys_wake(&w->core);
    active = check_store(w, &view);
    assert_int_equal(active->id, view.keys[0].id);
    assert_true(run(w, KEY("revoke", "")));
    active = check_store(w, &view);
    assert_int_equal(active->id, view.keys[1].id);
    assert_int_equal(view.keys[0].state, BH_KEY_REVOKED);
    assert_int_equal(w->revoked_count, 1);
    assert_int_equal(w->last_revoked, view.keys[0].id);
    assert_true(run(w, KEY("list", "")));
    assert_true(run(w, KEY("history", "")));
    assert_true(run(w, KEY("show", ",\"selector\":\"bh2\"")));
    assert_true(run(w, KEY("set", ",\"ed25519\":\"on\",\"every_ms\":86400000")));
    assert_false(run(w, KEY("set", ",\"ed25519\":\"maybe\"")));
    assert_true(run(w, KEY("rotate", "")));
    assert_false(run(w, KEY("revoke", ",\"selector\":\"zz\"")));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_core_that_dies_at_every_step),
        CASE(test_revoking),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
