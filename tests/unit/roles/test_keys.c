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

/* ---- two at once ---- */

static struct bh_key key_at(struct world *w, const char *selector)
{
    struct bh_domain_view view;
    struct bh_domain domain;

    assert_ok(bh_domain_by_name(w->core.store, w->arena, BH_STR("email.customer.example"), 0, &domain));
    assert_ok(bh_controld_view(&w->core, w->arena, domain.id, false, &view));
    for (size_t i = 0; i < view.key_count; i++)
        if (bh_str_eq(view.keys[i].selector, bh_str_c(selector)))
            return view.keys[i];
    fail_msg("no key at %s", selector);
    return (struct bh_key){.id = 0};
}

static void revoke_bh2(struct world *w)
{
    assert_true(run(w, KEY("revoke", ",\"selector\":\"bh2\"")));
}

static void revoke_active(struct world *w)
{
    assert_true(run(w, KEY("revoke", "")));
}

static void open_with_ready_keys(struct world *w)
{
    struct bh_domain_view view;

    w->core.key_policy = (struct bh_key_policy){.period_ms = 0, .receiver_delay_ms = 600 * 1000};
    verify_delegation(w);
    (void)check_store(w, &view);
    publish_zone(w, &view);
    w->now += 3600 * 1000;
    bh_keys_wake(&w->core);
    assert_int_equal(key_at(w, "bh2").state, BH_KEY_SEEN);
}

/* The name servers are asked about the next key; before they answer it is revoked. It must stay so. */
static void test_revoked_while_looked_for(void **state)
{
    struct world *w = *state;
    struct bh_domain_view view;

    open_with_ready_keys(w);
    w->now += 3600 * 1000;
    assert_true(run(w, KEY("rotate", "")));
    w->meanwhile_at = BH_STR("bh2._domainkey.email.");
    w->meanwhile = revoke_bh2;
    bh_keys_wake(&w->core);
    assert_null(w->meanwhile);
    assert_int_equal(key_at(w, "bh2").state, BH_KEY_REVOKED);
    assert_true(key_at(w, "bh2").revoke_at > 0);
    bh_keys_wake(&w->core);
    assert_int_equal(check_store(w, &view)->id, key_at(w, "bh3").id);
}

/* An exchange is ordered, and the active key revoked while its successor is looked at: one exchange, not two. */
static void test_revoked_while_exchanged(void **state)
{
    struct world *w = *state;
    struct bh_domain_view view;

    open_with_ready_keys(w);
    w->now += 3600 * 1000;
    assert_true(run(w, KEY("rotate", "")));
    w->meanwhile_at = BH_STR("bh2._domainkey.email.");
    w->meanwhile = revoke_active;
    bh_keys_wake(&w->core);
    assert_null(w->meanwhile);
    bh_keys_wake(&w->core);
    assert_int_equal(key_at(w, "bh1").state, BH_KEY_REVOKED);
    assert_int_equal(check_store(w, &view)->id, key_at(w, "bh2").id);
}

/* queued is asked whether the retiring key is used; before it answers the key is revoked. */
static void revoke_bh1(struct world *w)
{
    assert_true(run(w, KEY("revoke", ",\"selector\":\"bh1\"")));
}

static void test_revoked_while_use_is_asked(void **state)
{
    struct world *w = *state;

    open_with_ready_keys(w);
    assert_true(run(w, KEY("rotate", "")));
    bh_keys_wake(&w->core);
    assert_int_equal(key_at(w, "bh1").state, BH_KEY_RETIRING);
    w->now += 700 * 1000;
    w->meanwhile = revoke_bh1;
    bh_keys_wake(&w->core);
    assert_null(w->meanwhile);
    assert_int_equal(key_at(w, "bh1").state, BH_KEY_REVOKED);
}

/* ---- the clock ---- */

/* A clock that was years ahead is set right: exchanges go on, and nothing signs on the word of a look in the future. */
static void test_clock_set_back(void **state)
{
    struct world *w = *state;
    struct bh_domain_view view;

    w->now += INT64_C(4) * 366 * 86400 * 1000;
    open_with_ready_keys(w);
    assert_true(run(w, KEY("rotate", "")));
    bh_keys_wake(&w->core);
    assert_int_equal(check_store(w, &view)->id, key_at(w, "bh2").id);
    w->now -= INT64_C(4) * 366 * 86400 * 1000;
    w->dns_is_silent = true;
    bh_keys_wake(&w->core);
    assert_int_equal(check_store(w, &view)->id, key_at(w, "bh2").id);
    w->dns_is_silent = false;
    for (int i = 0; i < 50; i++) {
        w->now += 60 * 1000;
        bh_keys_wake(&w->core);
    }
    assert_int_equal(check_store(w, &view)->id, key_at(w, "bh3").id); /* once, not again and again */
    assert_true(check_store(w, &view)->state_at <= w->now);
}

/* Set forward while a key retires: its record stays for as long as receivers may need. */
static void test_clock_set_forward(void **state)
{
    struct world *w = *state;

    open_with_ready_keys(w);
    assert_true(run(w, KEY("rotate", "")));
    bh_keys_wake(&w->core);
    assert_int_equal(key_at(w, "bh1").state, BH_KEY_RETIRING);
    w->now += INT64_C(30) * 86400 * 1000;
    bh_keys_wake(&w->core);
    assert_int_equal(key_at(w, "bh1").state, BH_KEY_RETIRING);
    w->now += 590 * 1000;
    bh_keys_wake(&w->core);
    assert_int_equal(key_at(w, "bh1").state, BH_KEY_RETIRING);
}

/* ---- a customer who publishes his keys himself ---- */

static const json_t *changes(struct world *w)
{
    assert_true(run(w, "{\"noun\":\"change\",\"verb\":\"list\",\"args\":{\"open\":true}}"));
    return json_object_get(w->got, "result");
}

#define BH_MANUAL "email.customer.example"

static void open_manual(struct world *w)
{
    w->now = 100000000000;
    w->core.key_policy = (struct bh_key_policy){.period_ms = 7200 * 1000, .receiver_delay_ms = 600 * 1000};
    add_customers(w);
    assert_true(run(w, "{\"noun\":\"customer\",\"verb\":\"set\",\"args\":{\"name\":\"acme\",\"contacts\":"
                       "[\"it@acme.example\"]}}"));
    assert_true(run(w, ADD(BH_MANUAL, "acme", "manual")));
    publish_required(w);
    answer_dns(w, "bh1._domainkey." BH_MANUAL, BH_DNS_TXT, false, "v=DKIM1; k=rsa; p=MIIBkey4");
    answer_dns(w, BH_MANUAL, BH_DNS_TXT, true, "v=spf1 include:x ~all");
    answer_dns(w, "_dmarc.customer.example", BH_DNS_TXT, true, "v=DMARC1; p=reject");
    assert_true(run(w, CHECK(BH_MANUAL, "acme")));
    assert_string_equal(said(w, "state"), "verified");
}

static void pass(struct world *w, int64_t seconds)
{
    w->now += seconds * 1000;
    bh_keys_wake(&w->core);
    bh_controld_wake(&w->core);
    settle(w);
}

static void test_manual(void **state)
{
    struct world *w = *state;
    struct bh_domain_view view;
    const struct bh_key *active;
    unsigned mails;

    open_manual(w);
    for (int i = 0; i < 48; i++) /* no schedule of ours asks him to act */
        pass(w, 3600);
    assert_int_equal(json_array_size(changes(w)), 0);
    assert_int_equal(check_store(w, &view)->id, key_at(w, "bh1").id);
    assert_int_equal(view.key_count, 1);

    assert_true(run(w, KEY("rotate", "")));
    mails = w->submits;
    pass(w, 1);
    assert_int_equal(json_array_size(changes(w)), 1);
    assert_int_equal(w->submits, mails + 1);
    assert_non_null(strstr(w->last_submit, "create the record of type TXT at bh2._domainkey." BH_MANUAL "\r\n"));
    assert_non_null(strstr(w->last_submit, "    value: v=DKIM1; k=rsa; p=MIIBkey5"));
    mails = w->submits;
    for (int i = 0; i < 80; i++) { /* he does nothing: the old key signs on, and he is reminded */
        pass(w, 3600);
        active = check_store(w, &view);
        assert_int_equal(active->id, key_at(w, "bh1").id);
    }
    assert_int_equal(w->submits, mails + 1);
    assert_non_null(strstr(w->last_submit, "Reminder"));

    answer_dns(w, "bh2._domainkey." BH_MANUAL, BH_DNS_TXT, true, bh_key_record(w->arena, &view.keys[1]).p);
    for (int i = 0; i < 4; i++)
        pass(w, 100);
    assert_int_equal(check_store(w, &view)->id, key_at(w, "bh2").id);
    assert_true(run(w, CHECK(BH_MANUAL, "acme")));
    pass(w, 1);
    assert_int_equal(json_array_size(changes(w)), 0);
    assert_int_equal(key_at(w, "bh1").state, BH_KEY_RETIRING);
    for (int i = 0; i < 10; i++)
        pass(w, 100);
    (void)check_store(w, &view);
    assert_int_equal(view.key_count, 1);
    assert_non_null(strstr(w->last_submit, "bh1._domainkey." BH_MANUAL));
    assert_non_null(strstr(w->last_submit, "may be deleted"));
}

/* Stolen: he is asked to empty the old record and to publish a new one; his mail waits meanwhile. */
static void test_manual_revoked(void **state)
{
    struct world *w = *state;

    open_manual(w);
    assert_true(run(w, KEY("revoke", "")));
    pass(w, 1);
    assert_int_equal(json_array_size(changes(w)), 2);
    assert_int_equal(key_at(w, "bh1").state, BH_KEY_REVOKED);
    assert_int_equal(key_at(w, "bh2").state, BH_KEY_PUBLISHED);
    w->answer_count = 0; /* he deletes the one and has not published the other */
    assert_true(run(w, CHECK(BH_MANUAL, "acme")));
    pass(w, 1);
    assert_int_equal(json_array_size(changes(w)), 1);
    assert_true(run(w, "{\"noun\":\"change\",\"verb\":\"force\",\"args\":{\"id\":2}}") ||
                run(w, "{\"noun\":\"change\",\"verb\":\"force\",\"args\":{\"id\":1}}"));
    pass(w, 3600);
    assert_int_equal(key_at(w, "bh2").state, BH_KEY_PUBLISHED); /* nothing that DNS does not have ever signs */
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_core_that_dies_at_every_step),
        CASE(test_revoking),
        CASE(test_revoked_while_looked_for),
        CASE(test_revoked_while_exchanged),
        CASE(test_revoked_while_use_is_asked),
        CASE(test_clock_set_back),
        CASE(test_clock_set_forward),
        CASE(test_manual),
        CASE(test_manual_revoked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
