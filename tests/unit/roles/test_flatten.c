/* Flattened SPF records as controld keeps them: followed within the sources' TTL, never shrunk by a failure. */
#include "controld_world.h"
#include "store/flat.h"
#include <stdlib.h>

static struct answer *find(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->answer_count; i++)
        if (strcmp(w->answers[i].name, name) == 0 && !w->answers[i].direct)
            return &w->answers[i];
    fail_msg("no answer for %s", name);
    return NULL;
}

static void set_answer(struct world *w, const char *name, const char *text)
{
    struct answer *answer = find(w, name);

    (void)snprintf(answer->text, sizeof(answer->text), "%s", text);
}

static void lose_answer(struct world *w, const char *name)
{
    find(w, name)->type = 0;
}

static void pass(struct world *w, int64_t s)
{
    for (int64_t i = 0; i < s; i++) {
        w->now += 1000;
        bh_controld_wake(&w->core);
    }
    settle(w);
}

static const char *command(struct world *w, const char *verb, const char *more)
{
    char json[600];

    (void)snprintf(json, sizeof(json),
                   "{\"noun\":\"flatten\",\"verb\":\"%s\",\"args\":{\"domain\":\"customer.example\"%s}}", verb, more);
    (void)run(w, json);
    settle(w);
    return said(w, "state");
}

/* The text that we publish, the first of them. */
static const char *published(struct world *w)
{
    (void)command(w, "show", "");
    return json_string_value(
        json_object_get(json_array_get(json_object_get(json_object_get(w->got, "result"), "texts"), 0), "text"));
}

static void start(struct world *w)
{
    w->ttl_s = 30;
    add_customers(w);
    answer_dns(w, "customer.example", BH_DNS_TXT, false, "v=spf1 include:a.example include:b.example -all|other");
    answer_dns(w, "a.example", BH_DNS_TXT, false, "v=spf1 ip4:192.0.2.0/25 ip4:192.0.2.128/25 ~all");
    answer_dns(w, "b.example", BH_DNS_TXT, false, "v=spf1 a:host.example -all");
    answer_dns(w, "host.example", BH_DNS_A, false, "198.51.100.1");
    assert_string_equal(command(w, "start", ",\"customer\":\"acme\""), "published");
}

static void test_one_include_instead_of_many(void **state)
{
    struct world *w = *state;
    const char *record;

    start(w);
    assert_string_equal(published(w), "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.1 ?all");
    record = said(w, "owner_record");
    assert_non_null(strstr(record, ".flat.on.esp.example -all"));
    assert_int_equal(strncmp(record, "v=spf1 include:", 15), 0);
    settle(w);
    assert_false(run(w, "{\"noun\":\"flatten\",\"verb\":\"start\",\"args\":{\"domain\":\"customer.example\","
                        "\"customer\":\"acme\"}}"));
    assert_string_equal(error_code(w), "exists");
}

/* TTLs are 30 s in this world. */
static void test_a_change_is_followed_within_its_ttl(void **state)
{
    struct world *w = *state;
    unsigned zones;

    start(w);
    set_answer(w, "a.example", "v=spf1 ip4:203.0.113.0/24 ~all");
    zones = w->zones;
    pass(w, 32);
    assert_string_equal(published(w), "v=spf1 ip4:198.51.100.1 ip4:203.0.113.0/24 ?all");
    assert_true(w->zones > zones);
    zones = w->zones;
    pass(w, 120); /* nothing changes, nothing is pushed */
    assert_int_equal(w->zones, zones);
    set_answer(w, "host.example", "198.51.100.2");
    pass(w, 32);
    assert_string_equal(published(w), "v=spf1 ip4:198.51.100.2 ip4:203.0.113.0/24 ?all");
}

static void test_a_failure_never_shrinks_it(void **state)
{
    struct world *w = *state;
    static const char whole[] = "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.1 ?all";

    start(w);
    w->dns_is_silent = true;
    pass(w, 4000);
    assert_string_equal(published(w), whole);
    assert_string_equal(said(w, "state"), "stale");
    assert_non_null(said(w, "oldest_at"));
    w->dns_is_silent = false;
    pass(w, 61);
    assert_string_equal(command(w, "show", ""), "published");
    set_answer(w, "a.example", "v=spf1 ip4:bad"); /* a permerror for everybody, but not for us */
    pass(w, 61);
    assert_string_equal(published(w), whole);
    assert_non_null(said(w, "problem"));
    set_answer(w, "a.example", "no record any more");
    pass(w, 61);
    assert_string_equal(published(w), whole);
    set_answer(w, "a.example", "v=spf1 ip4:192.0.2.0/24 -all");
    lose_answer(w, "host.example");
    pass(w, 300);
    assert_string_equal(published(w), whole);
    assert_string_equal(said(w, "state"), "stale");
}

/* When the owner has our include, what he had before goes on to be the source. */
static void test_the_include_is_adopted(void **state)
{
    struct world *w = *state;
    char record[400];

    start(w);
    (void)snprintf(record, sizeof(record), "%s", said(w, "owner_record"));
    set_answer(w, "customer.example", record);
    pass(w, 32);
    assert_string_equal(command(w, "show", ""), "in use");
    assert_string_equal(said(w, "original_record"), "v=spf1 include:a.example include:b.example -all");
    assert_string_equal(published(w), "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.1 ?all");
    assert_null(command(w, "stop", "")); /* it would leave him with nothing */
    assert_string_equal(error_code(w), "invalid");
    set_answer(w, "customer.example", "v=spf1 ip4:192.0.2.7 -all");
    pass(w, 32);
    (void)command(w, "stop", "");
    assert_true(json_is_true(json_object_get(w->got, "ok")));
    (void)command(w, "show", "");
    assert_string_equal(error_code(w), "not_found");
}

static void test_sources_are_added(void **state)
{
    struct world *w = *state;

    start(w);
    (void)command(w, "add-source", ",\"source\":\"ip4:203.0.113.77\"");
    assert_string_equal(published(w), "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.1 ip4:203.0.113.77 ?all");
    (void)command(w, "add-source", ",\"source\":\"exists:%{i}.example\"");
    assert_string_equal(error_code(w), "invalid");
    (void)command(w, "remove-source", ",\"source\":\"ip4:203.0.113.77\"");
    assert_string_equal(published(w), "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.1 ?all");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_include_instead_of_many), TEST(test_a_change_is_followed_within_its_ttl),
        TEST(test_a_failure_never_shrinks_it),  TEST(test_the_include_is_adopted),
        TEST(test_sources_are_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
