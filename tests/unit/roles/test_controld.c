/* controld's core: commands, look-ups, zones and states. */
#include "controld_world.h"
#include "roles/controld/canary.h"
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- tests ---- */

static void test_the_platform_has_keys(void **state)
{
    struct world *w = *state;
    struct bh_domain own;
    struct bh_domain_view view;

    assert_int_equal(w->keys_made, 3);
    assert_ok(bh_domain_by_name(w->core.store, w->arena, BH_STR("on.esp.example"), 0, &own));
    assert_ok(bh_controld_view(&w->core, w->arena, own.id, false, &view));
    assert_int_equal(view.key_count, 3);
    assert_int_equal(view.keys[0].state, BH_KEY_ACTIVE);
    bh_controld_need_keys(&w->core);
    assert_int_equal(w->keys_made, 3);
}

static void test_commands_are_strict(void **state)
{
    struct world *w = *state;

    assert_false(run(w, "{\"noun\":\"customer\",\"verb\":\"fly\"}"));
    assert_string_equal(error_code(w), "invalid");
    assert_false(run(w, "not json"));
    assert_false(run(w, "{\"noun\":\"customer\",\"verb\":\"add\",\"args\":{\"name\":\"a\",\"colour\":\"red\"}}"));
    assert_string_equal(error_code(w), "invalid");
    assert_false(run(w, "{\"noun\":\"customer\",\"verb\":\"add\",\"args\":{\"name\":\"-a\"}}"));
    assert_true(run(w, "{\"noun\":\"queue\",\"verb\":\"list\"}"));
    assert_string_equal(json_string_value(json_object_get(w->got, "result")), "from the queue");
}

static void test_logins(void **state)
{
    struct world *w = *state;
    unsigned char hash[crypto_hash_sha256_BYTES];
    struct bh_msg_login ask;
    struct bh_msg_login_reply reply;
    char username[200], revoke[300];

    add_customers(w);
    assert_true(run(w, "{\"noun\":\"credential\",\"verb\":\"add\",\"args\":{\"customer\":\"acme\"}}"));
    assert_int_equal(strlen(said(w, "password")), 32);
    (void)crypto_hash_sha256(hash, (const unsigned char *)said(w, "password"), 32);
    (void)snprintf(username, sizeof(username), "%s", said(w, "username"));
    ask = (struct bh_msg_login){bh_str_c(username), bh_str_of((const char *)hash, sizeof(hash))};
    bh_lookup_login(&w->core, w->arena, &ask, &reply);
    assert_int_equal(reply.ok, 1);
    assert_str(reply.customer, "acme");
    hash[0] ^= 1;
    bh_lookup_login(&w->core, w->arena, &ask, &reply);
    assert_int_equal(reply.ok, 0);
    hash[0] ^= 1;
    (void)snprintf(revoke, sizeof(revoke),
                   "{\"noun\":\"credential\",\"verb\":\"revoke\",\"args\":{\"username\":\"%s\"}}", username);
    assert_true(run(w, revoke));
    bh_lookup_login(&w->core, w->arena, &ask, &reply);
    assert_int_equal(reply.ok, 0);
    assert_str(reply.why, "credential is revoked");
}

static void test_adding_pushes_zones(void **state)
{
    struct world *w = *state;

    settle(w);
    add_customers(w);
    assert_true(run(w, ADD("email.customer.example", "acme", "delegation")));
    assert_int_equal(json_array_size(json_object_get(json_object_get(w->got, "result"), "keys")), 3);
    settle(w);
    assert_null(strstr(w->last_zones, "email.customer.example ")); /* nobody delegated it yet */
    assert_non_null(strstr(w->last_zones, "rua.on.esp.example "));
    assert_non_null(strstr(w->last_zones, ".dkim.on.esp.example ")); /* empty, but the platform zone delegates it */
    assert_true(run(w, ADD("other.example", "acme", "cname")));
    settle(w);
    assert_non_null(strstr(w->last_zones, ".dkim.on.esp.example "));
    assert_null(strstr(w->last_zones, "email.customer.example "));
    assert_false(run(w, ADD("other.example", "acme", "cname")));
    assert_string_equal(error_code(w), "exists");
    assert_false(run(w, ADD("co.uk", "acme", "cname")));
    assert_false(run(w, ADD("x.on.esp.example", "acme", "cname")));
    assert_false(run(w, ADD("x.example", "acme", "platform")));
}

static void test_without_keyd_nothing_is_left_behind(void **state)
{
    struct world *w = *state;

    add_customers(w);
    w->keyd_is_down = true;
    assert_false(run(w, ADD("other.example", "acme", "cname")));
    assert_string_equal(error_code(w), "temporary");
    w->keyd_is_down = false;
    assert_true(run(w, ADD("other.example", "acme", "cname")));
}

static void test_sending_opens_with_the_proof(void **state)
{
    struct world *w = *state;
    struct bh_msg_may_send_reply may;
    struct bh_msg_identity_reply identity;
    struct bh_cur cur;
    struct bh_rec_sealed_key key;
    uint64_t version;

    add_customers(w);
    assert_true(run(w, ADD("email.customer.example", "acme", "delegation")));
    may = may_send(w, customer_id(w, "acme"), "email.customer.example");
    assert_int_equal(may.allowed, 0);
    assert_true(may.code >= 400);
    version = may.version;

    publish_required(w);
    answer_dns(w, "bh1._domainkey.email.customer.example", BH_DNS_TXT, false, "v=DKIM1; k=rsa; p=MIIBkey4");
    answer_dns(w, "bounce.email.customer.example", BH_DNS_TXT, false, "v=spf1 ip4:192.0.2.25 ~all");
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "verified");
    assert_string_equal(said(w, "zone_apex"), "customer.example");

    may = may_send(w, customer_id(w, "acme"), "email.customer.example");
    assert_int_equal(may.allowed, 1);
    assert_true(may.version > version);
    assert_int_equal(may_send(w, customer_id(w, "acme"), "customer.example").allowed, 1);
    assert_int_equal(may_send(w, customer_id(w, "acme"), "shop.customer.example").allowed, 0);
    assert_int_equal(may_send(w, customer_id(w, "acme"), "example").allowed, 0);

    bh_lookup_identity(&w->core, w->arena,
                       &(struct bh_msg_identity){customer_id(w, "acme"), may.domain_id, BH_STR("a@x"),
                                                 BH_STR("email.customer.example")},
                       &identity);
    assert_int_equal(identity.allowed, 1);
    assert_str(identity.bounce_domain, "bounce.email.customer.example");
    cur = bh_cur_make(identity.keys);
    assert_int_equal(bh_rec_sealed_key_next(&cur, &key), BH_MORE);
    assert_str(key.selector, "bh1");
    assert_str(key.domain, "email.customer.example");
    assert_str(key.sealed, "box");
    assert_int_equal(bh_rec_sealed_key_next(&cur, &key), BH_DONE);
}

static void test_nobody_sends_as_another(void **state)
{
    struct world *w = *state;
    struct bh_msg_may_send_reply may;
    struct bh_msg_identity_reply identity;

    verify_delegation(w);
    may = may_send(w, customer_id(w, "other"), "email.customer.example");
    assert_int_equal(may.allowed, 0);
    assert_int_equal(may.code, 550);
    bh_lookup_identity(
        &w->core, w->arena,
        &(struct bh_msg_identity){customer_id(w, "other"), 1, BH_STR("a@x"), BH_STR("email.customer.example")},
        &identity);
    assert_int_equal(identity.allowed, 0);
    assert_int_equal(identity.permanent, 1);
    assert_int_equal(identity.keys.n, 0);
}

static void test_a_name_that_another_verified(void **state)
{
    struct world *w = *state;
    struct bh_domain mine, theirs;

    verify_delegation(w);
    settle(w);
    assert_true(run(w, ADD("email.customer.example", "other", "delegation")));
    settle(w);
    assert_null(strstr(w->last_zones, "email.customer.example ")); /* what is served stays acme's */
    for (int i = 0; i < 3; i++) {
        assert_true(run(w, CHECK("email.customer.example", "other")));
        assert_string_equal(said(w, "state"), "pending");
    }
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "verified");
    assert_ok(
        bh_domain_by_name(w->core.store, w->arena, BH_STR("email.customer.example"), customer_id(w, "acme"), &mine));
    assert_ok(
        bh_domain_by_name(w->core.store, w->arena, BH_STR("email.customer.example"), customer_id(w, "other"), &theirs));
    assert_string_not_equal(mine.token.id, theirs.token.id);
}

static void test_the_delegation_moves_to_who_is_asked_for(void **state)
{
    struct world *w = *state;

    add_customers(w);
    assert_true(run(w, ADD("email.customer.example", "acme", "delegation"))); /* first, but the owner chose the other */
    assert_true(run(w, ADD("email.customer.example", "other", "delegation")));
    publish_required(w);
    settle(w);
    assert_true(run(w, CHECK("email.customer.example", "other")));
    assert_string_equal(said(w, "state"), "partial"); /* no proof in this world */
    settle(w);
    assert_non_null(strstr(w->last_zones, "email.customer.example "));
}

static void test_loss_is_held_then_suspended(void **state)
{
    struct world *w = *state;
    struct bh_msg_identity ask;
    struct bh_msg_identity_reply identity;

    verify_delegation(w);
    ask = (struct bh_msg_identity){customer_id(w, "acme"), 2, BH_STR("a@x"), BH_STR("email.customer.example")};
    w->dns_is_silent = true; /* not knowing is not losing */
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "verified");
    w->dns_is_silent = false;
    w->answer_count = 0;
    w->now += 1000;
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "verified"); /* one bad look is not believed */
    w->now += 5 * 60 * 1000;
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "degraded");
    assert_int_equal(may_send(w, customer_id(w, "acme"), "email.customer.example").allowed, 1);
    bh_lookup_identity(&w->core, w->arena, &ask, &identity);
    assert_int_equal(identity.allowed, 0);
    assert_int_equal(identity.permanent, 0);
    assert_int_equal(identity.held, 1);
    w->now += 72 * 3600 * 1000;
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "suspended");
    assert_int_equal(may_send(w, customer_id(w, "acme"), "email.customer.example").allowed, 0);
    bh_lookup_identity(&w->core, w->arena, &ask, &identity);
    assert_int_equal(identity.allowed, 0);
    assert_int_equal(identity.permanent, 1);
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"checks\",\"args\":{\"domain\":\"email.customer.example\"}}"));
    assert_int_equal(json_array_size(json_object_get(w->got, "result")), 3);
}

static void test_import_of_a_key(void **state)
{
    struct world *w = *state;
    const json_t *keys;

    add_customers(w);
    assert_true(run(w, ADD("x.example", "acme", "manual")));
    assert_false(
        run(w, "{\"noun\":\"dkim\",\"verb\":\"import\",\"args\":{\"domain\":\"x.example\",\"selector\":\"s1\"}}"));
    json_decref(w->got);
    w->got = NULL;
    bh_command_run(
        &w->core,
        BH_STR("{\"noun\":\"dkim\",\"verb\":\"import\",\"args\":{\"domain\":\"x.example\",\"selector\":\"s1\"}}"),
        dup(0), take_answer, w);
    assert_string_equal(said(w, "selector"), "s1");
    assert_string_equal(said(w, "state"), "active");
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"show\",\"args\":{\"domain\":\"x.example\"}}"));
    keys = json_object_get(json_object_get(w->got, "result"), "keys");
    assert_int_equal(json_array_size(keys), 1); /* ours was never needed */
    assert_string_equal(json_string_value(json_object_get(json_array_get(keys, 0), "state")), "active");
}

static void test_bounce_domains(void **state)
{
    struct world *w = *state;
    struct bh_msg_bounce_domain_reply reply;

    verify_delegation(w);
    bh_lookup_bounce_domain(&w->core, w->arena, &(struct bh_msg_bounce_domain){BH_STR("Bounce.Email.customer.example")},
                            &reply);
    assert_int_equal(reply.ours, 1);
    assert_int_equal(reply.customer_id, customer_id(w, "acme"));
    bh_lookup_bounce_domain(&w->core, w->arena, &(struct bh_msg_bounce_domain){BH_STR("customer.example")}, &reply);
    assert_int_equal(reply.ours, 0);
}

static void count_zone(void *ctx, const struct bh_zone *zone)
{
    (void)zone;
    (*(int *)ctx)++;
}

static void test_a_new_dnsd_gets_everything(void **state)
{
    struct world *w = *state;
    int zones = 0;

    verify_delegation(w);
    assert_true(run(w, ADD("other.example", "acme", "cname")));
    assert_ok(bh_publish_all(&w->core, count_zone, &zones));
    /* platform, rua, flat, four kinds for each of three shards (the platform's, acme's two), the delegated one */
    assert_int_equal(zones, 3 + 4 * 3 + 1);
}

static void test_events_are_told_once(void **state)
{
    struct world *w = *state;
    char key[64];

    bh_controld_settle(&w->core); /* what the start told of */
    w->told_count = 0;
    w->queued_away = true;
    bh_controld_event(&w->core, BH_EVENT_DOMAIN_VERIFIED, 7, 3, json_pack("{s:s}", "domain", "customer.example"));
    bh_controld_event(&w->core, BH_EVENT_ALARM_RAISED, 7, 3, NULL);
    bh_controld_settle(&w->core);
    assert_int_equal(w->told_count, 2);
    memcpy(key, w->told_keys[0], sizeof(key));
    w->queued_away = false; /* the same once more, with the same keys */
    bh_controld_tell_events(&w->core);
    assert_int_equal(w->told_count, 4);
    assert_int_equal(w->told_kinds[2], BH_EVENT_DOMAIN_VERIFIED);
    assert_int_equal(w->told_kinds[3], BH_EVENT_ALARM_RAISED);
    assert_string_equal(key, w->told_keys[2]);
    assert_string_not_equal(w->told_keys[2], w->told_keys[3]);
    bh_controld_settle(&w->core); /* and not again */
    bh_controld_settle(&w->core);
    assert_int_equal(w->told_count, 4);
}

/* ---- canaries ---- */

static void give_keys(struct world *w)
{
    struct bh_buf keys = bh_buf_make(1 << 12);
    static const char key[BH_VERP_KEY_BYTES] = "some key, the same in all roles";

    for (uint32_t i = 0; i < 2; i++)
        bh_rec_subkey_put(&keys, &(struct bh_rec_subkey){bh_verp_period(w->now) + i, bh_str_of(key, sizeof(key))});
    assert_ok(
        bh_canary_keys(&w->core, &(struct bh_msg_subkeys){BH_STR("bounce"), BH_VERP_PERIOD_S, bh_buf_view(&keys)}));
    bh_buf_free(&keys);
}

static const char *state_now(struct world *w)
{
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    return said(w, "state");
}

static void test_canaries(void **state)
{
    static const struct bh_canary_verdict good = {.passed = true, .aligned = BH_MECH_BOTH, .detail = {"fine", 4}};
    static const struct bh_canary_verdict bad = {.detail = {"DKIM fails", 10}};
    static const struct bh_canary_verdict foreign = {
        .passed = true, .aligned = BH_MECH_BOTH, .detail = {"fine", 4}, .from = {"attacker.example", 16}};
    static const struct bh_canary_verdict nobodys = {.detail = {"no author", 9}, .from = {"", 0}};
    struct world *w = *state;
    unsigned before;

    w->core.canary_every_ms = 24 * 3600 * 1000;
    w->core.canary_failures_max = 2;
    w->answer_count = 0;
    verify_delegation(w);
    give_keys(w);
    before = w->submits;
    w->now += 60000;
    bh_controld_wake(&w->core);
    assert_int_equal(w->submits, before + 1);
    assert_non_null(strstr(w->last_submit, "From: <canary@email.customer.example>"));
    bh_controld_wake(&w->core);
    assert_int_equal(w->submits, before + 1); /* one a day */
    assert_ok(bh_canary_judged(&w->core, 1, &good));
    assert_ok(bh_canary_judged(&w->core, 1, &bad)); /* told twice: the first counts */
    assert_ok(bh_canary_judged(&w->core, 77, &bad));
    assert_string_equal(state_now(w), "verified");

    w->now += 28LL * 3600 * 1000;
    bh_controld_wake(&w->core);
    assert_int_equal(w->submits, before + 2);
    assert_ok(bh_canary_judged(&w->core, 2, &foreign)); /* from outside: changes nothing … */
    assert_ok(bh_canary_judged(&w->core, 2, &nobodys));
    assert_ok(bh_canary_judged(&w->core, 2, &bad)); /* … and this one is still waited for */
    assert_string_equal(state_now(w), "verified");  /* one is not enough … */
    w->now += 16 * 60 * 1000;
    bh_controld_wake(&w->core);
    assert_int_equal(w->submits, before + 3); /* … and repeated soon */
    w->now += 3601 * 1000;                    /* it never arrives */
    bh_controld_wake(&w->core);
    assert_string_equal(state_now(w), "degraded");
    assert_true(json_is_true(json_object_get(json_object_get(w->got, "result"), "can_send")));
    w->now += 16 * 60 * 1000;
    bh_controld_wake(&w->core);
    assert_ok(bh_canary_judged(&w->core, 4, &good));
    assert_string_equal(state_now(w), "verified");
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"history\",\"args\":{\"domain\":\"email.customer.example\"}}"));
    assert_true(json_array_size(json_object_get(w->got, "result")) >= 4 + 3);
}

/* ---- removal ---- */

struct counted {
    unsigned revoked, keys, closed_spf;
    bool own_zone;
};

static void count_tombstone(void *ctx, const struct bh_zone *zone)
{
    struct counted *counted = ctx;
    struct bh_arena *arena = bh_arena_new(1 << 16);

    counted->own_zone = counted->own_zone || bh_str_eq(zone->apex, BH_STR("email.customer.example"));
    for (size_t i = 0; i < zone->count; i++) {
        bh_str text = zone->records[i].type == BH_DNS_TXT ? bh_txt_joined(arena, zone->records[i].rdata) : BH_STR("");

        counted->keys += bh_str_search(text, BH_STR("p=MIIBkey")) < text.n;
        counted->revoked += bh_str_eq(text, BH_STR("v=DKIM1; k=rsa; p="));
        counted->closed_spf += bh_str_eq(text, BH_STR("v=spf1 -all"));
    }
    bh_arena_free(arena);
}

static struct counted count_published(struct world *w)
{
    struct counted counted = {0};

    assert_ok(bh_publish_all(&w->core, count_tombstone, &counted));
    return counted;
}

static void test_a_removed_domain_leaves_a_tombstone_for_a_time(void **state)
{
    struct world *w = *state;
    struct bh_msg_identity_reply identity;
    struct bh_msg_identity ask;
    struct counted seen;

    verify_delegation(w);
    assert_true(run(w, ADD("other.example", "acme", "cname")));
    seen = count_published(w);
    assert_int_equal(seen.keys, 3 + 3 + 3); /* with the platform's */
    assert_int_equal(seen.revoked, 0);
    ask = (struct bh_msg_identity){customer_id(w, "acme"),
                                   may_send(w, customer_id(w, "acme"), "email.customer.example").domain_id,
                                   BH_STR("a@x"), BH_STR("email.customer.example")};
    assert_false(run(w, "{\"noun\":\"domain\",\"verb\":\"remove\",\"args\":{\"domain\":\"on.esp.example\"}}"));
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"remove\",\"args\":{\"domain\":\"email.customer.example\"}}"));
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"remove\",\"args\":{\"domain\":\"other.example\"}}"));
    assert_false(run(w, "{\"noun\":\"domain\",\"verb\":\"remove\",\"args\":{\"domain\":\"other.example\"}}"));
    assert_int_equal(may_send(w, customer_id(w, "acme"), "email.customer.example").allowed, 0);
    bh_lookup_identity(&w->core, w->arena, &ask, &identity);
    assert_int_equal(identity.permanent, 1);
    assert_true(bh_str_search(identity.reason, BH_STR("was removed")) < identity.reason.n);
    seen = count_published(w);
    assert_true(seen.own_zone);
    assert_int_equal(seen.keys, 3);
    assert_int_equal(seen.revoked, 6);
    assert_int_equal(seen.closed_spf, 2 + 2); /* apex and bounce of the zone; bounce and spf targets */

    /* another customer adds the name: what is served stays the tombstone, until the delegation names him */
    assert_true(run(w, ADD("email.customer.example", "other", "delegation")));
    assert_true(run(w, CHECK("email.customer.example", "other")));
    assert_string_equal(said(w, "state"), "pending");
    assert_int_equal(count_published(w).revoked, 6);
    w->now += 31LL * 24 * 3600 * 1000;
    settle(w);
    bh_controld_wake(&w->core);
    seen = count_published(w);
    assert_false(seen.own_zone);
    assert_int_equal(seen.revoked, 0);
    assert_int_equal(seen.keys, 3);
}

static void test_a_removed_customer(void **state)
{
    struct world *w = *state;
    uint32_t old;

    verify_delegation(w);
    old = customer_id(w, "acme");
    assert_false(run(w, "{\"noun\":\"customer\",\"verb\":\"remove\",\"args\":{\"name\":\"platform\"}}"));
    assert_true(run(w, "{\"noun\":\"customer\",\"verb\":\"remove\",\"args\":{\"name\":\"acme\"}}"));
    assert_int_equal(may_send(w, old, "email.customer.example").allowed, 0);
    assert_false(run(w, "{\"noun\":\"customer\",\"verb\":\"show\",\"args\":{\"name\":\"acme\"}}"));
    assert_true(run(w, "{\"noun\":\"customer\",\"verb\":\"add\",\"args\":{\"name\":\"acme\"}}"));
    assert_int_not_equal(customer_id(w, "acme"), old);
    assert_true(run(w, ADD("email.customer.example", "acme", "delegation"))); /* with a new token, so: */
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "pending");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_platform_has_keys, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_commands_are_strict, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_logins, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_adding_pushes_zones, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_without_keyd_nothing_is_left_behind, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_sending_opens_with_the_proof, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_nobody_sends_as_another, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_name_that_another_verified, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_the_delegation_moves_to_who_is_asked_for, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_loss_is_held_then_suspended, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_import_of_a_key, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_events_are_told_once, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_bounce_domains, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_new_dnsd_gets_everything, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_removed_domain_leaves_a_tombstone_for_a_time, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_removed_customer, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_canaries, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
