/* Queries on control.db, in memory. */
#include "store/control.h"
#include "store/one.h"
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
    struct bh_store *store;
    struct bh_arena *arena;
    int64_t acme, other;
};

static int open_store(void **state)
{
    static struct fixture f;

    f.arena = bh_arena_new(1 << 20);
    assert_ok(bh_store_open(
        &(struct bh_store_options){.path = ":memory:", .schema = &bh_control_schema, .owner = "test"}, NULL, &f.store));
    assert_ok(bh_customer_insert(f.store, BH_STR("acme"), 5, &f.acme));
    assert_ok(bh_customer_insert(f.store, BH_STR("other"), 6, &f.other));
    *state = &f;
    return 0;
}

static int close_store(void **state)
{
    struct fixture *f = *state;

    bh_store_close(f->store);
    bh_arena_free(f->arena);
    return 0;
}

static int64_t add(struct fixture *f, int64_t customer, const char *name, const char *id)
{
    struct bh_domain domain = {.customer_id = customer,
                               .name = bh_str_c(name),
                               .approach = BH_APPROACH_CNAME,
                               .labels = {BH_STR("bounce"), BH_STR("link"), BH_STR("img"), BH_STR("bh")},
                               .zone_apex = {"", 0},
                               .dmarc_policy = BH_STR("none"),
                               .created_at = 100};
    int64_t ret = 0;

    memcpy(domain.token.id, id, strlen(id) + 1);
    memcpy(domain.token.shard, "q7", 3);
    assert_ok(bh_domain_insert(f->store, &domain, false, &ret));
    return ret;
}

/* A control.db from before keys had a life: its keys go on, each domain gets a duty, and two active ones cannot be. */
static void test_old_keys_are_migrated(void **state)
{
    static const struct bh_query old_domain = {
        "INSERT INTO dkim_key(id, domain, selector, kind, state, imported, public_b64, sealed, created_at, state_at)"
        " VALUES (11, $1, 'bh1', 1, 2, 0, 'MIIB1', x'01', 50, 50), (12, $1, 'bh2', 1, 1, 0, 'MIIB2', x'02', 50, 50),"
        " (13, $1, 'old', 1, 4, 0, 'MIIB0', x'', 40, 45)"};
    static const struct bh_query second = {"UPDATE dkim_key SET state = 2 WHERE id = 12"};
    struct bh_schema old = bh_control_schema;
    char path[] = "/tmp/behalf-control.XXXXXX";
    struct bh_store_options options = {.path = path, .schema = &old, .owner = "test"};
    struct fixture f = {.arena = bh_arena_new(1 << 20)};
    struct bh_migration migration;
    struct bh_key_wish wish;
    struct bh_key *keys;
    size_t count;
    uint64_t due[4];
    int64_t domain;

    (void)state;
    for (old.step_count = 0; !strstr(old.steps[old.step_count].what, "keys: one per selector"); old.step_count++)
        ;
    (void)close(mkstemp(path));
    (void)unlink(path);
    assert_ok(bh_store_migrate(&options, NULL, &migration));
    assert_ok(bh_store_open(&options, NULL, &f.store));
    assert_ok(bh_customer_insert(f.store, BH_STR("acme"), 5, &f.acme));
    domain = add(&f, f.acme, "a.example", "k7f3q9");
    assert_ok(bh_store_change(f.store, &old_domain, BH_WITH(BH_INT(domain)), false));
    bh_store_close(f.store);

    options.schema = &bh_control_schema;
    assert_ok(bh_store_migrate(&options, NULL, &migration));
    assert_ok(bh_store_open(&options, NULL, &f.store));
    assert_ok(bh_key_list(f.store, f.arena, domain, true, &keys, &count));
    assert_int_equal(count, 2);
    assert_int_equal(keys[0].state, BH_KEY_ACTIVE);
    assert_int_equal(keys[0].sealed.n, 1);
    assert_int_equal(keys[1].state, BH_KEY_PUBLISHED);
    assert_int_equal(keys[1].seen_at, 0); /* it is looked for before it signs */
    assert_ok(bh_key_wish_get(f.store, domain, &wish));
    assert_int_equal(wish.period_ms, -1);
    assert_ok(bh_key_due_list(f.store, 1000, due, 4, &count));
    assert_int_equal(count, 1);
    assert_int_equal(due[0], domain);
    assert_int_not_equal(bh_store_change(f.store, &second, NULL, 0, false), BH_OK);
    bh_store_close(f.store);
    (void)unlink(path);
    bh_arena_free(f.arena);
}

static void verify(struct fixture *f, int64_t domain)
{
    struct bh_domain_outcome outcome = {.state = BH_DOMAIN_VERIFIED,
                                        .aligned = BH_MECH_BOTH,
                                        .zone_apex = BH_STR("x.example"),
                                        .state_at = 7,
                                        .checked_at = 8,
                                        .check_at = 900,
                                        .tries = 1,
                                        .report = BH_STR("{}")};

    assert_ok(bh_domain_update_outcome(f->store, domain, &outcome));
    assert_ok(bh_domain_check_insert(f->store, domain, 8, &outcome));
}

static void test_customers(void **state)
{
    struct fixture *f = *state;
    struct bh_customer customer;
    int64_t id;

    assert_int_equal(bh_customer_insert(f->store, BH_STR("acme"), 7, &id), BH_E_EXISTS);
    assert_ok(bh_customer_by_name(f->store, f->arena, BH_STR("other"), &customer));
    assert_int_equal(customer.id, f->other);
    assert_ok(bh_customer_by_id(f->store, f->arena, f->acme, &customer));
    assert_str(customer.name, "acme");
    assert_int_equal(bh_customer_by_name(f->store, f->arena, BH_STR("nobody"), &customer), BH_E_NOT_FOUND);
}

static void test_credentials(void **state)
{
    struct fixture *f = *state;
    struct bh_credential credential;
    int64_t id;

    assert_ok(bh_credential_insert(f->store, f->acme, BH_STR("acme-1"), BH_STR("hash"), 5, &id));
    assert_int_equal(bh_credential_insert(f->store, f->other, BH_STR("acme-1"), BH_STR("h"), 5, &id), BH_E_EXISTS);
    assert_ok(bh_credential_by_username(f->store, f->arena, BH_STR("acme-1"), &credential));
    assert_str(credential.customer, "acme");
    assert_str(credential.secret_hash, "hash");
    assert_int_equal(credential.revoked_at, 0);
    assert_ok(bh_credential_revoke(f->store, BH_STR("acme-1"), 9));
    assert_int_equal(bh_credential_revoke(f->store, BH_STR("acme-1"), 9), BH_E_NOT_FOUND);
    assert_ok(bh_credential_by_username(f->store, f->arena, BH_STR("acme-1"), &credential));
    assert_int_equal(credential.revoked_at, 9);
}

static void test_domains_and_outcomes(void **state)
{
    struct fixture *f = *state;
    int64_t id = add(f, f->acme, "mail.x.example", "aaaaaaaaaaaaaaaaaaaaaaaaaa"), due, tries;
    struct bh_domain domain;
    bh_str report;

    assert_ok(bh_domain_by_name(f->store, f->arena, BH_STR("mail.x.example"), 0, &domain));
    assert_int_equal(domain.id, id);
    assert_string_equal(domain.token.id, "aaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_int_equal(domain.state, BH_DOMAIN_PENDING);
    assert_ok(bh_domain_next_due(f->store, &due));
    assert_int_equal(due, 100);
    verify(f, id);
    assert_ok(bh_domain_by_id(f->store, f->arena, id, &domain));
    assert_true(domain.can_send);
    assert_str(domain.zone_apex, "x.example");
    assert_ok(bh_domain_next_due(f->store, &due));
    assert_int_equal(due, 900);
    assert_ok(bh_domain_tries(f->store, id, &tries));
    assert_int_equal(tries, 1);
    assert_ok(bh_domain_report(f->store, f->arena, id, &report));
    assert_str(report, "{}");
}

static void test_same_name_of_two_customers(void **state)
{
    struct fixture *f = *state;
    int64_t a = add(f, f->acme, "x.example", "aaaaaaaaaaaaaaaaaaaaaaaaaa"), holder;
    int64_t b = add(f, f->other, "x.example", "bbbbbbbbbbbbbbbbbbbbbbbbbb");
    struct bh_domain domain;

    assert_int_equal(bh_domain_by_name(f->store, f->arena, BH_STR("x.example"), 0, &domain), BH_E_EXISTS);
    assert_ok(bh_domain_by_name(f->store, f->arena, BH_STR("x.example"), f->other, &domain));
    assert_int_equal(domain.id, b);
    assert_ok(bh_domain_zone_holder(f->store, BH_STR("x.example"), &holder));
    assert_int_equal(holder, 0);
    assert_ok(bh_domain_hold_zone(f->store, BH_STR("x.example"), a));
    assert_ok(bh_domain_hold_zone(f->store, BH_STR("x.example"), b));
    assert_ok(bh_domain_zone_holder(f->store, BH_STR("x.example"), &holder));
    assert_int_equal(holder, b);
}

static void test_from_domains(void **state)
{
    struct fixture *f = *state;
    int64_t deep = add(f, f->acme, "mail.x.example", "aaaaaaaaaaaaaaaaaaaaaaaaaa");
    int64_t top = add(f, f->acme, "x.example", "bbbbbbbbbbbbbbbbbbbbbbbbbb");
    int64_t ids[4];
    size_t count;

    assert_ok(bh_from_domain_replace(f->store, deep, BH_STR("mail.x.example"), BH_STR("x.example")));
    assert_ok(bh_from_domain_replace(f->store, top, BH_STR("x.example"), BH_STR("x.example")));
    assert_ok(bh_domains_for_from(f->store, f->acme, BH_STR("news.mail.x.example"), 4, ids, &count));
    assert_int_equal(count, 2);
    assert_int_equal(ids[0], deep); /* the closest first */
    assert_int_equal(ids[1], top);
    assert_ok(bh_domains_for_from(f->store, f->acme, BH_STR("x.example"), 4, ids, &count));
    assert_int_equal(count, 2);
    assert_int_equal(ids[0], top); /* the row of the domain itself is before the one of an apex */
    assert_ok(bh_domains_for_from(f->store, f->acme, BH_STR("example"), 4, ids, &count));
    assert_int_equal(count, 0);
    assert_ok(bh_domains_for_from(f->store, f->other, BH_STR("x.example"), 4, ids, &count));
    assert_int_equal(count, 0);
    assert_ok(bh_domains_below(f->store, f->acme, BH_STR("x.example"), 4, ids, &count));
    assert_int_equal(count, 1);
    assert_int_equal(ids[0], deep);
}

static void test_an_apex_opens_no_siblings(void **state)
{
    struct fixture *f = *state;
    int64_t deep = add(f, f->acme, "mail.x.example", "aaaaaaaaaaaaaaaaaaaaaaaaaa"), ids[4];
    size_t count;

    assert_ok(bh_from_domain_replace(f->store, deep, BH_STR("mail.x.example"), BH_STR("x.example")));
    assert_ok(bh_domains_for_from(f->store, f->acme, BH_STR("x.example"), 4, ids, &count));
    assert_int_equal(count, 1);
    assert_ok(bh_domains_for_from(f->store, f->acme, BH_STR("shop.x.example"), 4, ids, &count));
    assert_int_equal(count, 0);
}

static void expect_reject(void *ctx, bh_str at, bh_str record)
{
    (*(int *)ctx)++;
    assert_str(at, "x.example");
    assert_str(record, "v=DMARC1; p=reject");
}

static void test_bounces_and_policies(void **state)
{
    struct fixture *f = *state;
    int64_t id = add(f, f->acme, "x.example", "aaaaaaaaaaaaaaaaaaaaaaaaaa"), domain, customer;
    int seen = 0;

    assert_ok(bh_bounce_domain_replace(f->store, id, BH_STR("bounce.x.example")));
    assert_ok(bh_bounce_domain_owner(f->store, BH_STR("bounce.x.example"), &domain, &customer));
    assert_int_equal(domain, id);
    assert_int_equal(customer, f->acme);
    assert_int_equal(bh_bounce_domain_owner(f->store, BH_STR("x.example"), &domain, &customer), BH_E_NOT_FOUND);
    assert_ok(bh_domain_policy_insert(f->store, id, BH_STR("x.example"), BH_STR("v=DMARC1; p=none")));
    assert_ok(bh_domain_policy_insert(f->store, id, BH_STR("x.example"), BH_STR("v=DMARC1; p=reject")));
    assert_ok(bh_domain_policy_list(f->store, id, expect_reject, &seen));
    assert_int_equal(seen, 1);
}

static void test_keys(void **state)
{
    struct fixture *f = *state;
    int64_t id = add(f, f->acme, "x.example", "aaaaaaaaaaaaaaaaaaaaaaaaaa"), next, key_id;
    struct bh_key key = {.selector = BH_STR("bh1"),
                         .kind = BH_KIND_RSA2048,
                         .state = BH_KEY_ACTIVE,
                         .public_b64 = BH_STR("MIIB"),
                         .sealed = BH_STR("box"),
                         .created_at = 4};
    struct bh_key *keys;
    size_t count;

    assert_ok(bh_key_next_id(f->store, &next));
    key.id = next;
    assert_ok(bh_key_insert(f->store, id, &key, &key_id));
    assert_int_equal(key_id, next);
    key.id = 0;
    assert_int_equal(bh_key_insert(f->store, id, &key, &key_id), BH_E_EXISTS);
    assert_ok(bh_key_set_state(f->store, next, BH_KEY_RETIRING, 9));
    assert_ok(bh_key_list(f->store, f->arena, id, true, &keys, &count));
    assert_int_equal(count, 1);
    assert_int_equal(keys[0].state, BH_KEY_RETIRING);
    assert_str(keys[0].sealed, "box");
    assert_ok(bh_key_list(f->store, f->arena, id, false, &keys, &count));
    assert_int_equal(keys[0].sealed.n, 0);
}

static void test_settings(void **state)
{
    struct fixture *f = *state;
    bh_str value;

    assert_int_equal(bh_setting_get(f->store, f->arena, BH_STR("version"), &value), BH_E_NOT_FOUND);
    assert_ok(bh_setting_set(f->store, BH_STR("version"), BH_STR("1")));
    assert_ok(bh_setting_set(f->store, BH_STR("version"), BH_STR("2")));
    assert_ok(bh_setting_get(f->store, f->arena, BH_STR("version"), &value));
    assert_str(value, "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_customers, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_credentials, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_domains_and_outcomes, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_same_name_of_two_customers, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_from_domains, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_an_apex_opens_no_siblings, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_bounces_and_policies, open_store, close_store),
        cmocka_unit_test(test_old_keys_are_migrated),
        cmocka_unit_test_setup_teardown(test_keys, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_settings, open_store, close_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
