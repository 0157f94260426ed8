/* notice.c: notices are kept until queued has them, and bounded. */
#include "controld_world.h"
#include "roles/controld/notice.h"

static int64_t number_of(struct world *w, const char *customer)
{
    return *customer ? (int64_t)customer_id(w, customer) : 0;
}

static void notify(struct world *w, const char *customer, const char *about, const char *text)
{
    struct bh_notice notice = {.kind = "test",
                               .customer = number_of(w, customer),
                               .about = bh_str_c(about),
                               .subject = BH_STR("A test"),
                               .text = bh_str_c(text)};

    assert_ok(bh_notice_send(&w->core, &notice));
}

#define SET_CONTACT                                                                                                    \
    "{\"noun\":\"customer\",\"verb\":\"set\",\"args\":{\"name\":\"acme\",\"contacts\":[\"it@acme.example\","           \
    "\"ceo@acme.example\"]}}"

static void test_a_customer_is_told(void **state)
{
    struct world *w = *state;

    add_customers(w);
    assert_true(run(w, SET_CONTACT));
    assert_true(run(w, "{\"noun\":\"customer\",\"verb\":\"show\",\"args\":{\"name\":\"acme\"}}"));
    assert_int_equal(json_array_size(json_object_get(json_object_get(w->got, "result"), "contacts")), 2);
    notify(w, "acme", "1",
           "Please\n\xc3\xa4"
           "ct.\n");
    assert_int_equal(w->submits, 0); /* at the end of the turn */
    settle(w);
    assert_int_equal(w->submits, 1);
    assert_string_equal(w->last_recipients, "ceo@acme.example it@acme.example ");
    assert_non_null(strstr(w->last_submit, "\r\nFrom: behalf notices <notices@on.esp.example>\r\n"));
    assert_non_null(strstr(w->last_submit, "\r\nTo: <ceo@acme.example>,\r\n <it@acme.example>\r\nSubject: A test\r\n"));
    assert_non_null(strstr(w->last_submit, "\r\n\r\nPlease\r\n??ct.\r\n"));
    settle(w);
    assert_int_equal(w->submits, 1);
    assert_true(run(w, "{\"noun\":\"customer\",\"verb\":\"notices\",\"args\":{\"customer\":\"acme\"}}"));
    assert_int_equal(json_array_size(json_object_get(w->got, "result")), 1);
}

static void test_what_is_no_address(void **state)
{
    static const char *const wrong[] = {"x",
                                        "@x.example",
                                        "a b@x.example",
                                        "a@[192.0.2.1]",
                                        "<a@x.example>",
                                        "a@x.example\\r\\nBcc: b@x.example",
                                        "\\\"a b\\\"@x.example",
                                        "a@x.example,b@x.example"};
    struct world *w = *state;
    char json[300];

    add_customers(w);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        (void)snprintf(json, sizeof(json),
                       "{\"noun\":\"customer\",\"verb\":\"set\",\"args\":{\"name\":\"acme\",\"contacts\":[\"%s\"]}}",
                       wrong[i]);
        assert_false(run(w, json));
        assert_string_equal(error_code(w), "invalid");
    }
}

static void test_the_operator_stands_in(void **state)
{
    static const bh_str ops[] = {{"ops@esp.example", 15}};
    struct world *w = *state;

    add_customers(w);
    notify(w, "", "1", "x\n");
    settle(w);
    assert_int_equal(w->submits, 0); /* nobody is set */
    w->core.contacts = ops;
    w->core.contact_count = 1;
    notify(w, "acme", "1", "x\n");
    notify(w, "", "2", "x\n");
    settle(w);
    assert_int_equal(w->submits, 2);
    assert_string_equal(w->last_recipients, "ops@esp.example ");
}

static void test_the_same_once_a_day(void **state)
{
    struct world *w = *state;

    w->now = 100000000000;
    add_customers(w);
    assert_true(run(w, SET_CONTACT));
    for (int hour = 0; hour < 48; hour++, w->now += 3600 * 1000) {
        notify(w, "acme", "same", "x\n");
        settle(w);
    }
    assert_int_equal(w->submits, 2);
    for (int i = 0; i < 2 * BH_NOTICES_PER_DAY; i++) {
        char about[20];

        (void)snprintf(about, sizeof(about), "%d", i);
        notify(w, "acme", about, "x\n");
    }
    settle(w);
    assert_in_range(w->submits, BH_NOTICES_PER_DAY, BH_NOTICES_PER_DAY + 2);
}

static void test_it_waits_for_queued(void **state)
{
    struct world *w = *state;

    add_customers(w);
    assert_true(run(w, SET_CONTACT));
    w->queued_is_down = true;
    notify(w, "acme", "1", "x\n");
    notify(w, "acme", "2", "x\n");
    settle(w);
    bh_controld_wake(&w->core);
    assert_int_equal(w->submits, 0);
    w->queued_is_down = false;
    bh_controld_wake(&w->core);
    assert_int_equal(w->submits, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_customer_is_told, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_what_is_no_address, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_the_operator_stands_in, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_the_same_once_a_day, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_it_waits_for_queued, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
