/* controld/change.c: customers are told, reminded and waited for. */
#include "controld_world.h"
#include "roles/controld/change.h"

#define SPF_OLD "v=spf1 ip4:192.0.2.25 -all"
#define SPF_NEW "v=spf1 ip4:192.0.2.25 ip4:192.0.2.26 -all"

enum { DAY_MS = 24 * 3600 * 1000 };

static unsigned done_calls;
static enum bh_change_state done_state;
static bh_err done_says;

static bh_err on_done(struct bh_controld *core, const struct bh_change *change)
{
    assert_true(bh_store_in_transaction(core->store));
    done_calls++;
    done_state = change->state;
    return done_says;
}

static int64_t domain_id(struct world *w, const char *name)
{
    struct bh_domain domain;

    assert_ok(bh_domain_by_name(w->core.store, w->arena, bh_str_c(name), 0, &domain));
    return domain.id;
}

/* acme has a.example and b.example, other has c.example; all of them have to edit their SPF record. */
static int64_t plan(struct world *w)
{
    static const char *const names[] = {"a.example", "b.example", "c.example"};
    struct bh_change_item items[3];
    struct bh_change_plan change = {.kind = BH_CHANGE_ADDRESS,
                                    .title = BH_STR("A new address that mail leaves from"),
                                    .ref = BH_STR("192.0.2.26"),
                                    .items = items,
                                    .count = 3};
    int64_t id = 0, again = 0;

    done_calls = 0;
    done_says = BH_OK;
    w->now = 100000000000;
    w->core.change_done[BH_CHANGE_ADDRESS] = on_done;
    add_customers(w);
    assert_true(run(w, ADD("a.example", "acme", "manual")));
    assert_true(run(w, ADD("b.example", "acme", "manual")));
    assert_true(run(w, ADD("c.example", "other", "manual")));
    for (size_t i = 0; i < 3; i++)
        items[i] = (struct bh_change_item){.domain = domain_id(w, names[i]),
                                           .type = BH_DNS_TXT,
                                           .match = BH_MATCH_SPF,
                                           .name = bh_str_c(names[i]),
                                           .old_value = BH_STR(SPF_OLD),
                                           .new_value = BH_STR(SPF_NEW),
                                           .want = BH_STR("192.0.2.26")};
    assert_true(run(w, "{\"noun\":\"customer\",\"verb\":\"set\",\"args\":{\"name\":\"acme\",\"contacts\":"
                       "[\"it@acme.example\"]}}"));
    assert_true(run(w, "{\"noun\":\"customer\",\"verb\":\"set\",\"args\":{\"name\":\"other\",\"contacts\":"
                       "[\"it@other.example\"]}}"));
    assert_ok(bh_change_create(&w->core, &change, &id));
    assert_int_equal(bh_change_create(&w->core, &change, &again), BH_E_EXISTS);
    assert_int_equal(again, id);
    return id;
}

static int64_t waiting(struct world *w, int64_t id)
{
    struct bh_change change;

    assert_ok(bh_change_by_id(w->core.store, w->arena, id, w->now, &change));
    return change.waiting;
}

static bool is_ready(struct world *w, const char *name)
{
    return bh_change_ready_for(&w->core, BH_CHANGE_ADDRESS, BH_STR("192.0.2.26"), domain_id(w, name));
}

static void edit(struct world *w, const char *name, const char *record)
{
    char check[200];

    answer_dns(w, name, BH_DNS_TXT, true, record);
    (void)snprintf(check, sizeof(check), "{\"noun\":\"domain\",\"verb\":\"check\",\"args\":{\"domain\":\"%s\"}}", name);
    assert_true(run(w, check));
}

static void test_told_and_reminded(void **state)
{
    struct world *w = *state;
    int64_t id = plan(w);
    unsigned told = 0;

    settle(w);
    assert_int_equal(w->submits, 2); /* one mail for each customer */
    assert_non_null(strstr(w->last_submit, "c.example: change the record of type TXT at c.example\r\n"));
    assert_non_null(strstr(w->last_submit, "    to:   " SPF_NEW "\r\n"));
    assert_null(strstr(w->last_submit, "a.example"));
    assert_int_equal(waiting(w, id), 3);
    for (int day = 1; day <= 28; day++) {
        w->now += DAY_MS;
        told = w->submits;
        bh_controld_wake(&w->core);
        settle(w);
        if (w->submits != told)
            print_message("day %d: %u mails\n", day, w->submits - told);
    }
    assert_int_equal(w->submits, 2 + 2 * 4); /* after 3, 7, 14 and 28 days; the operator has no contact */
    assert_non_null(strstr(w->last_submit, "Reminder: please edit your DNS (c.example)"));
    assert_int_equal(done_calls, 0);
}

static void test_waits_for_everybody(void **state)
{
    struct world *w = *state;
    int64_t id = plan(w);

    settle(w);
    edit(w, "a.example", SPF_NEW);
    edit(w, "b.example", SPF_OLD);
    edit(w, "c.example", "v=spf1 ip4:192.0.2.0/24 -all"); /* as good as what was asked for */
    assert_int_equal(waiting(w, id), 1);                  /* the test's answers have a TTL of 0 */
    assert_true(is_ready(w, "a.example"));
    assert_false(is_ready(w, "b.example"));
    settle(w);
    assert_int_equal(done_calls, 0);
    w->answer_count = 0;
    edit(w, "b.example", SPF_NEW);
    done_says = BH_E_BUSY; /* what follows cannot be done now: the change stays open */
    settle(w);
    assert_int_equal(done_calls, 1);
    done_says = BH_OK;
    bh_controld_wake(&w->core);
    assert_int_equal(done_calls, 2);
    assert_int_equal(done_state, BH_CHANGE_ACTED);
    bh_controld_wake(&w->core);
    assert_int_equal(done_calls, 2);
    assert_true(is_ready(w, "b.example"));
    assert_true(run(w, "{\"noun\":\"change\",\"verb\":\"list\",\"args\":{\"open\":true}}"));
    assert_int_equal(json_array_size(json_object_get(w->got, "result")), 0);
}

static void test_forced(void **state)
{
    struct world *w = *state;
    int64_t id = plan(w);
    char force[100], show[100];

    settle(w);
    (void)snprintf(force, sizeof(force), "{\"noun\":\"change\",\"verb\":\"force\",\"args\":{\"id\":%lld}}",
                   (long long)id);
    (void)snprintf(show, sizeof(show), "{\"noun\":\"change\",\"verb\":\"show\",\"args\":{\"id\":%lld}}", (long long)id);
    assert_true(run(w, show));
    assert_int_equal(json_array_size(json_object_get(json_object_get(w->got, "result"), "items")), 3);
    assert_string_equal(said(w, "state"), "open");
    assert_true(run(w, force));
    assert_string_equal(said(w, "state"), "forced");
    assert_int_equal(done_calls, 1);
    assert_int_equal(done_state, BH_CHANGE_FORCED);
    assert_false(run(w, force));
    assert_string_equal(error_code(w), "conflict");
    assert_true(is_ready(w, "b.example"));
}

static void test_remind(void **state)
{
    struct world *w = *state;
    int64_t id = plan(w);
    char remind[100];

    settle(w);
    (void)snprintf(remind, sizeof(remind), "{\"noun\":\"change\",\"verb\":\"remind\",\"args\":{\"id\":%lld}}",
                   (long long)id);
    assert_true(run(w, remind));
    settle(w);
    assert_int_equal(w->submits, 4);
    assert_true(run(w, remind)); /* not twice a day */
    settle(w);
    assert_int_equal(w->submits, 4);
}

static void test_nobody_has_to_act(void **state)
{
    struct world *w = *state;
    struct bh_change_plan change = {
        .kind = BH_CHANGE_ADDRESS, .title = BH_STR("x"), .ref = BH_STR("y"), .items = NULL, .count = 0};
    int64_t id;

    done_calls = 0;
    done_says = BH_OK;
    w->core.change_done[BH_CHANGE_ADDRESS] = on_done;
    assert_ok(bh_change_create(&w->core, &change, &id));
    assert_int_equal(done_calls, 0); /* not inside the maker's own call */
    settle(w);
    assert_int_equal(done_calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_told_and_reminded, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_waits_for_everybody, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_forced, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_remind, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_nobody_has_to_act, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
