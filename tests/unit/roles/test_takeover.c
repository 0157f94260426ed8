/* One customer against another: names above and inside another's, whoever came first, and what is left of customers and
 * domains that are removed while something of theirs is on its way. */
#include "controld_world.h"
#include "store/control.h"
#include <string.h>

struct looked_for {
    const char *name;
    bool found;
};

static void look_for(void *ctx, const struct bh_zone *zone)
{
    struct looked_for *wanted = ctx;

    wanted->found = wanted->found || bh_str_eq(zone->apex, bh_str_c(wanted->name));
}

static bool is_served(struct world *w, const char *name)
{
    struct looked_for wanted = {name, false};

    assert_ok(bh_publish_all(&w->core, look_for, &wanted));
    return wanted.found;
}

/* `customer` adds the zone above acme's, whose owner delegates it. */
static void delegate_outer(struct world *w, bool to_other)
{
    w->answer_count = 0;
    assert_true(run(w, to_other ? ADD("customer.example", "other", "delegation")
                                : ADD("customer.example", "acme", "delegation")));
    publish_required(w);
    settle(w);
    assert_true(run(w, to_other ? CHECK("customer.example", "other") : CHECK("customer.example", "acme")));
    settle(w);
    assert_non_null(strstr(w->last_zones, "customer.example "));
}

static void test_a_zone_above_anothers_ends_it(void **state)
{
    struct world *w = *state;
    struct answer acmes[ANSWERS_MAX];
    size_t count;

    verify_delegation(w);
    memcpy(acmes, w->answers, sizeof(acmes));
    count = w->answer_count;
    assert_true(is_served(w, "email.customer.example"));
    delegate_outer(w, true);
    assert_non_null(strstr(w->last_removals, "email.customer.example "));
    assert_false(is_served(w, "email.customer.example"));
    assert_true(is_served(w, "customer.example"));
    for (int i = 0; i < 2; i++) { /* its own servers now say that it is not delegated */
        assert_true(run(w, CHECK("email.customer.example", "acme")));
        w->now += 5 * 60 * 1000;
    }
    assert_string_equal(said(w, "state"), "degraded");
    assert_false(is_served(w, "email.customer.example"));

    /* The owner takes the zone above elsewhere and delegates the inner one as before. */
    memcpy(w->answers, acmes, sizeof(acmes));
    w->answer_count = count;
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "verified");
    assert_true(is_served(w, "email.customer.example"));
}

static void test_ones_own_zone_above_ends_nothing(void **state)
{
    struct world *w = *state;

    verify_delegation(w);
    delegate_outer(w, false);
    assert_null(strstr(w->last_removals, "email.customer.example "));
    assert_true(is_served(w, "email.customer.example"));
}

static void test_tombstones_end_below_anothers_zone(void **state)
{
    struct world *w = *state;

    verify_delegation(w);
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"remove\",\"args\":{\"domain\":\"email.customer.example\"}}"));
    assert_true(is_served(w, "email.customer.example"));
    delegate_outer(w, false);
    assert_false(is_served(w, "email.customer.example"));
}

static void test_a_name_beside_is_not_below(void **state)
{
    struct world *w = *state;

    verify_delegation(w);
    w->answer_count = 0;
    assert_true(run(w, ADD("ail.customer.example", "other", "delegation")));
    publish_required(w);
    assert_true(run(w, CHECK("ail.customer.example", "other")));
    assert_true(is_served(w, "ail.customer.example"));
    assert_true(is_served(w, "email.customer.example"));
}

/* A check that ends after its domain was removed takes nothing from who is there. */
static void test_what_is_removed_claims_nothing(void **state)
{
    struct world *w = *state;
    struct bh_domain theirs;
    int64_t holder = 0, before = 0;

    verify_delegation(w);
    assert_ok(bh_domain_zone_holder(w->core.store, BH_STR("email.customer.example"), &before));
    assert_true(run(w, ADD("email.customer.example", "other", "delegation")));
    assert_ok(
        bh_domain_by_name(w->core.store, w->arena, BH_STR("email.customer.example"), customer_id(w, "other"), &theirs));
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"remove\",\"args\":{\"domain\":\"email.customer.example\","
                       "\"customer\":\"other\"}}"));
    assert_int_equal(bh_domain_hold_zone(w->core.store, theirs.name, theirs.id), BH_E_NOT_FOUND);
    assert_ok(bh_domain_zone_holder(w->core.store, BH_STR("email.customer.example"), &holder));
    assert_int_equal(holder, before);
}

static void test_bounces_go_to_who_is_verified(void **state)
{
    struct world *w = *state;
    struct bh_msg_bounce_domain ask = {BH_STR("bounce.email.customer.example")};
    struct bh_msg_bounce_domain_reply reply;

    verify_delegation(w);
    w->answer_count = 0;
    assert_true(run(w, ADD("email.customer.example", "other", "delegation")));
    for (int i = 0; i < 2; i++) {
        assert_true(run(w, CHECK("email.customer.example", "acme")));
        w->now += 5 * 60 * 1000;
    }
    assert_string_equal(said(w, "state"), "degraded");
    bh_lookup_bounce_domain(&w->core, w->arena, &ask, &reply);
    assert_int_equal(reply.customer_id, customer_id(w, "acme")); /* nobody else proved it */
    w->answer_count = 0;
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"show\",\"args\":{\"domain\":\"email.customer.example\","
                       "\"customer\":\"other\"}}"));
    publish_required(w);
    answer_dns(w, "bh1._domainkey.email.customer.example", BH_DNS_TXT, false, "v=DKIM1; k=rsa; p=MIIBkey7");
    answer_dns(w, "bounce.email.customer.example", BH_DNS_TXT, false, "v=spf1 ip4:192.0.2.25 ~all");
    assert_true(run(w, CHECK("email.customer.example", "other")));
    assert_string_equal(said(w, "state"), "verified");
    bh_lookup_bounce_domain(&w->core, w->arena, &ask, &reply);
    assert_int_equal(reply.customer_id, customer_id(w, "other"));
}

/* ---- what is on its way when its owner goes ---- */

#define REMOVE_CUSTOMER "{\"noun\":\"customer\",\"verb\":\"remove\",\"args\":{\"name\":\"acme\"}}"

static void test_a_customer_removed_while_keys_are_made(void **state)
{
    struct world *w = *state;
    struct bh_domain domain;

    add_customers(w);
    w->keyd_is_slow = true;
    bh_command_run(&w->core, bh_str_c(ADD("email.customer.example", "acme", "delegation")), -1, take_answer, w);
    bh_command_run(&w->core, bh_str_c(REMOVE_CUSTOMER), -1, take_answer, w);
    assert_true(json_is_true(json_object_get(w->got, "ok")));
    answer_late_key(w);
    assert_false(json_is_true(json_object_get(w->got, "ok")));
    assert_int_equal(bh_domain_by_name(w->core.store, w->arena, BH_STR("email.customer.example"), 0, &domain),
                     BH_E_NOT_FOUND);
}

static void test_two_adds_at_once(void **state)
{
    struct world *w = *state;

    add_customers(w);
    w->keyd_is_slow = true;
    bh_command_run(&w->core, bh_str_c(ADD("email.customer.example", "acme", "delegation")), -1, take_answer, w);
    w->keyd_is_slow = false;
    assert_true(run(w, ADD("email.customer.example", "acme", "cname")));
    answer_late_key(w);
    assert_string_equal(error_code(w), "exists");
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"show\",\"args\":{\"domain\":\"email.customer.example\"}}"));
    assert_string_equal(said(w, "approach"), "cname");
}

/* A key that comes for a removed domain is not kept: its private keys are destroyed for good. */
static void test_a_key_for_a_removed_domain(void **state)
{
    struct world *w = *state;
    struct bh_domain domain;
    struct bh_key key = {.selector = BH_STR("late"), .public_b64 = BH_STR("MIIB"), .sealed = BH_STR("box")};
    int64_t id;

    verify_delegation(w);
    assert_ok(bh_domain_by_name(w->core.store, w->arena, BH_STR("email.customer.example"), 0, &domain));
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"remove\",\"args\":{\"domain\":\"email.customer.example\"}}"));
    assert_int_equal(bh_key_insert(w->core.store, domain.id, &key, &id), BH_E_NOT_FOUND);
}

static void test_api_tokens_end_with_the_customer(void **state)
{
    struct world *w = *state;
    struct bh_api_token token = {.name = BH_STR("a"), .secret_hash = BH_STR("0123456789abcdef0123456789abcdef")};
    struct bh_msg_token ask = {BH_STR("0123456789abcdef0123456789abcdef")};
    struct bh_msg_token_reply reply;
    int64_t id;

    add_customers(w);
    token.customer_id = customer_id(w, "acme");
    token.addresses = BH_STR("");
    assert_ok(bh_api_token_insert(w->core.store, &token, &id));
    bh_lookup_token(&w->core, w->arena, &ask, &reply);
    assert_int_equal(reply.ok, 1);
    assert_true(run(w, REMOVE_CUSTOMER));
    bh_lookup_token(&w->core, w->arena, &ask, &reply);
    assert_int_equal(reply.ok, 0);
}

/* ---- name servers as weapons ---- */

static void add_many(struct world *w, const char *customer, const char *name, int count)
{
    char command[300];

    for (int i = 0; i < count; i++) {
        (void)snprintf(command, sizeof(command),
                       "{\"noun\":\"domain\",\"verb\":\"add\",\"args\":{\"name\":\"%s%d.example\",\"customer\":\"%s\","
                       "\"approach\":\"reports\"}}",
                       name, i, customer);
        assert_true(run(w, command));
    }
}

/* Of a customer whose servers hang, some checks are always running; the domains of others are looked at all the same.
 */
static void test_hanging_servers_stop_only_their_own(void **state)
{
    struct world *w = *state;
    struct bh_domain domain;

    add_customers(w);
    w->now += 100000;
    add_many(w, "other", "hang", 120);
    w->dns_hangs = true;
    w->now += 100000;
    bh_controld_wake(&w->core);
    assert_int_equal(w->core.check_count, 48);
    w->now += 60000;
    bh_controld_wake(&w->core);
    assert_int_equal(w->core.check_count, 48);
    w->dns_hangs = false;
    add_many(w, "acme", "good", 3);
    w->now += 100000;
    bh_controld_wake(&w->core);
    for (int i = 0; i < 3; i++) {
        char name[40];

        (void)snprintf(name, sizeof(name), "good%d.example", i);
        assert_ok(bh_domain_by_name(w->core.store, w->arena, bh_str_c(name), 0, &domain));
        assert_int_equal(domain.checked_at, w->now);
    }
    assert_int_equal(w->core.check_count, 48);
}

/* "No", silence, "no" is two losses in a row: who answers nothing in between does not stay verified. */
static void test_silence_refutes_no_loss(void **state)
{
    struct world *w = *state;

    verify_delegation(w);
    w->answer_count = 0;
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    w->dns_is_silent = true;
    w->now += 3 * 60 * 1000;
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "verified");
    w->dns_is_silent = false;
    w->now += 3 * 60 * 1000;
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "degraded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_zone_above_anothers_ends_it, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_ones_own_zone_above_ends_nothing, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_tombstones_end_below_anothers_zone, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_name_beside_is_not_below, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_what_is_removed_claims_nothing, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_bounces_go_to_who_is_verified, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_customer_removed_while_keys_are_made, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_two_adds_at_once, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_key_for_a_removed_domain, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_hanging_servers_stop_only_their_own, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_silence_refutes_no_loss, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_api_tokens_end_with_the_customer, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
