/* test_unbound_resolver.c: what needs no server: answers come from the loop, cancelled queries do not come, a wait
 * ends in time. tests/system asks real servers. */
#include "unit.h"
#include <behalf/unbound_resolver.h>

struct seen {
    unsigned calls;
    enum bh_dns_status status;
    bool done;
};

static void on_answer(void *ctx, const struct bh_dns_answer *answer)
{
    struct seen *seen = ctx;

    seen->calls++;
    seen->status = answer->status;
    seen->done = true;
}

static struct bh_unbound_resolver *make_with(int64_t query_max_ms)
{
    static const char *const forwards[] = {"127.0.0.1@9"}; /* nobody answers there */
    struct bh_unbound_config config = {
        .mode = BH_UNBOUND_FORWARD, .forwards = forwards, .forward_count = 1, .query_max_ms = query_max_ms};
    struct bh_unbound_resolver *resolver = NULL;

    assert_ok(bh_unbound_resolver_new(&config, &resolver, NULL));
    return resolver;
}

static struct bh_unbound_resolver *make(void)
{
    return make_with(0);
}

static void a_bad_name_is_answered_from_the_loop(void **state)
{
    struct bh_unbound_resolver *resolver = make();
    struct bh_resolver *base = bh_unbound_resolver_base(resolver);
    struct bh_dns_query *query = NULL;
    struct seen seen = {0};

    assert_ok(base->ops->lookup(base, BH_STR("a..b"), BH_DNS_A, on_answer, &seen, &query));
    assert_int_equal(seen.calls, 0);
    assert_ok(bh_unbound_resolver_run(resolver, &seen.done, 5000));
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.status, BH_DNS_BADNAME);
    bh_unbound_resolver_free(resolver);
}

static void a_cancelled_query_does_not_call_back(void **state)
{
    struct bh_unbound_resolver *resolver = make();
    struct bh_resolver *base = bh_unbound_resolver_base(resolver);
    struct bh_dns_query *query = NULL;
    struct seen seen = {0};

    assert_ok(base->ops->lookup(base, BH_STR("a.example"), BH_DNS_A, on_answer, &seen, &query));
    base->ops->cancel(base, query);
    assert_ok(base->ops->lookup(base, BH_STR("b..example"), BH_DNS_A, on_answer, &seen, &query));
    base->ops->cancel(base, query);
    assert_int_equal(bh_unbound_resolver_run(resolver, &seen.done, 200), BH_E_TIMEOUT);
    assert_int_equal(seen.calls, 0);
    bh_unbound_resolver_free(resolver);
}

static void running_queries_end_with_the_resolver(void **state)
{
    struct bh_unbound_resolver *resolver = make();
    struct bh_resolver *base = bh_unbound_resolver_base(resolver);
    struct bh_dns_query *query = NULL;
    struct seen seen = {0};

    assert_ok(base->ops->lookup(base, BH_STR("a.example"), BH_DNS_A, on_answer, &seen, &query));
    assert_int_equal(bh_unbound_resolver_run(resolver, &seen.done, 50), BH_E_TIMEOUT);
    bh_unbound_resolver_free(resolver);
    assert_int_equal(seen.calls, 0);
}

static void a_dead_server_is_a_temporary_failure_in_time(void **state)
{
    struct bh_unbound_resolver *resolver = make_with(300);
    struct bh_resolver *base = bh_unbound_resolver_base(resolver);
    struct bh_dns_query *queries[2];
    struct seen seen[2] = {{0}};

    for (unsigned i = 0; i < 2; i++)
        assert_ok(base->ops->lookup(base, i ? BH_STR("a.example") : BH_STR("b.example"), BH_DNS_A, on_answer, &seen[i],
                                    &queries[i]));
    for (unsigned i = 0; i < 2; i++) {
        assert_ok(bh_unbound_resolver_run(resolver, &seen[i].done, 3000));
        assert_int_equal(seen[i].calls, 1);
        assert_int_equal(seen[i].status, BH_DNS_TEMPFAIL);
    }
    bh_unbound_resolver_free(resolver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_name_is_answered_from_the_loop),
        cmocka_unit_test(a_cancelled_query_does_not_call_back),
        cmocka_unit_test(running_queries_end_with_the_resolver),
        cmocka_unit_test(a_dead_server_is_a_temporary_failure_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
