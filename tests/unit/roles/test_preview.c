/* cmd_preview.c: what is said about a name that is not added yet. */
#include "controld_world.h"

static const char *preview_of(struct world *w, const char *name)
{
    char json[200];

    (void)snprintf(json, sizeof(json), "{\"noun\":\"domain\",\"verb\":\"preview\",\"args\":{\"name\":\"%s\"}}", name);
    assert_true(run(w, json));
    return said(w, "recommended");
}

static void test_preview(void **state)
{
    struct world *w = *state;
    const json_t *result;

    answer_dns(w, "customer.example", BH_DNS_NS, true, "amy.ns.cloudflare.com.|bob.ns.cloudflare.com.");
    answer_dns(w, "customer.example", BH_DNS_TXT, true, "v=spf1 mx -all");
    answer_dns(w, "_domainconnect.customer.example", BH_DNS_TXT, true,
               "api.cloudflare.com/client/v4/dns/domainconnect");
    assert_string_equal(preview_of(w, "email.customer.example"), "delegation");
    result = json_object_get(w->got, "result");
    assert_string_equal(json_string_value(json_object_get(json_object_get(result, "provider"), "id")), "cloudflare");
    assert_int_equal(json_array_size(json_object_get(result, "domain_connect")), 1);
    assert_true(json_array_size(json_object_get(result, "approaches")) >= 3);
    assert_string_equal(preview_of(w, "customer.example"), "cname");
    result = json_object_get(w->got, "result");
    assert_string_equal(json_string_value(json_array_get(json_object_get(result, "spf"), 0)), "v=spf1 mx -all");
    answer_dns(w, "shop.customer.example", BH_DNS_A, true, "192.0.2.80");
    assert_string_equal(preview_of(w, "shop.customer.example"), "cname");
    assert_false(run(w, "{\"noun\":\"domain\",\"verb\":\"preview\",\"args\":{\"name\":\"co.uk\"}}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_preview, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
