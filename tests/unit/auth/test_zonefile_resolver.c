/* test_zonefile_resolver.c: what a text of records answers. */
#include "zone.h"

struct seen {
    enum bh_dns_status status;
    size_t count;
    uint32_t ttl_s;
    char canonical[300];
    char first[300];
    size_t first_bytes;
};

static void on_answer(void *ctx, const struct bh_dns_answer *answer)
{
    struct seen *seen = ctx;

    seen->status = answer->status;
    seen->count = answer->count;
    seen->ttl_s = answer->ttl_s;
    assert_ok(bh_str_to_c(answer->canonical_name, seen->canonical, sizeof(seen->canonical)));
    if (answer->count) {
        assert_true(answer->records[0].rdata.n < sizeof(seen->first));
        memcpy(seen->first, answer->records[0].rdata.p, answer->records[0].rdata.n);
        seen->first_bytes = answer->records[0].rdata.n;
    }
}

static const char text[] = "$TTL 300\n"
                           "a.example. A 192.0.2.1 ; a comment\n"
                           "           A 192.0.2.2\n"
                           "\n"
                           "relative.example 60 IN TXT ( \"one\" ; inside\n"
                           "    \"two\" )\n"
                           "x.y.deep.example. AAAA 2001:db8::1\n"
                           "c1.example. CNAME C2.example.\n"
                           "c2.example. 20 CNAME a.example.\n"
                           "loop.example. CNAME loop.example.\n"
                           "gone.example. CNAME nowhere.example.\n"
                           "*.wild.example. TXT wild\n"
                           "b.wild.example. A 192.0.2.9\n"
                           "$FAIL bad.example. TXT\n"
                           "bad.example. A 192.0.2.3\n"
                           "$FAIL worse.example.\n"
                           "we\\058ird.example. A 192.0.2.4\n"
                           "$ORIGIN sub.example.\n"
                           "@ MX 10 mx\n"
                           "mx A 192.0.2.5\n";

static struct seen ask(const char *name, uint16_t type)
{
    struct bh_zonefile_resolver *owner = zone(text);
    struct bh_resolver *resolver = bh_zonefile_resolver_base(owner);
    struct bh_dns_query *query = NULL;
    struct seen seen = {0};

    assert_ok(resolver->ops->lookup(resolver, bh_str_c(name), type, on_answer, &seen, &query));
    assert_null(query);
    bh_zonefile_resolver_free(owner);
    return seen;
}

static void records_are_found(void **state)
{
    assert_int_equal(ask("A.Example", BH_DNS_A).count, 2);
    assert_int_equal(ask("a.example", BH_DNS_A).ttl_s, 300);
    assert_int_equal(ask("a.example.", BH_DNS_A).count, 2);
    assert_memory_equal(ask("relative.example", BH_DNS_TXT).first, "\003one\003two", 8);
    assert_int_equal(ask("relative.example", BH_DNS_TXT).ttl_s, 60);
    assert_memory_equal(ask("sub.example", BH_DNS_MX).first, "\0\12\2mx\3sub\7example", 18);
    assert_int_equal(ask("we:ird.example", BH_DNS_A).count, 1);
    assert_int_equal(ask("we\\058ird.example", BH_DNS_A).count, 1);
}

static void absence_is_told_apart(void **state)
{
    assert_int_equal(ask("a.example", BH_DNS_TXT).status, BH_DNS_NODATA);
    assert_int_equal(ask("deep.example", BH_DNS_A).status, BH_DNS_NODATA);
    assert_int_equal(ask("y.deep.example", BH_DNS_A).status, BH_DNS_NODATA);
    assert_int_equal(ask("example", BH_DNS_A).status, BH_DNS_NODATA);
    assert_int_equal(ask("eep.example", BH_DNS_A).status, BH_DNS_NXDOMAIN);
    assert_int_equal(ask("z.a.example", BH_DNS_A).status, BH_DNS_NXDOMAIN);
    assert_int_equal(ask("test", BH_DNS_A).status, BH_DNS_NXDOMAIN);
    assert_int_equal(ask("a..example", BH_DNS_A).status, BH_DNS_BADNAME);
}

static void cnames_are_followed(void **state)
{
    struct seen seen = ask("c1.example", BH_DNS_A);

    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.canonical, "a.example");
    assert_int_equal(seen.ttl_s, 20);
    assert_int_equal(ask("c1.example", BH_DNS_TXT).status, BH_DNS_NODATA);
    assert_int_equal(ask("c1.example", BH_DNS_CNAME).count, 1);
    assert_int_equal(ask("gone.example", BH_DNS_A).status, BH_DNS_NXDOMAIN);
    assert_int_equal(ask("loop.example", BH_DNS_A).status, BH_DNS_TEMPFAIL);
}

static void wildcards_are_synthesised(void **state)
{
    assert_int_equal(ask("a.wild.example", BH_DNS_TXT).count, 1);
    assert_int_equal(ask("x.a.wild.example", BH_DNS_TXT).count, 1);
    assert_int_equal(ask("a.wild.example", BH_DNS_A).status, BH_DNS_NODATA);
    assert_int_equal(ask("b.wild.example", BH_DNS_TXT).status, BH_DNS_NODATA);
    assert_int_equal(ask("x.b.wild.example", BH_DNS_TXT).status, BH_DNS_NXDOMAIN);
}

static void failures_are_scripted(void **state)
{
    assert_int_equal(ask("bad.example", BH_DNS_TXT).status, BH_DNS_TEMPFAIL);
    assert_int_equal(ask("bad.example", BH_DNS_A).status, BH_DNS_FOUND);
    assert_int_equal(ask("worse.example", BH_DNS_MX).status, BH_DNS_TEMPFAIL);
}

static void errors_name_their_line(void **state)
{
    struct bh_zonefile_resolver *resolver = NULL;
    unsigned line = 0;
    const char *why = NULL;

    assert_int_not_equal(bh_zonefile_resolver_new(BH_STR("a. A 192.0.2.1\nb. A nonsense\n"), &resolver, &line, &why),
                         0);
    assert_int_equal(line, 2);
    assert_non_null(why);
    assert_null(resolver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_found),     cmocka_unit_test(absence_is_told_apart),
        cmocka_unit_test(cnames_are_followed),   cmocka_unit_test(wildcards_are_synthesised),
        cmocka_unit_test(failures_are_scripted), cmocka_unit_test(errors_name_their_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
