/* Zones: what is refused, canonical order, sets that follow changes. */
#include "answers.h"
#include <stdlib.h>

static void check_refused(const char *text, const char *why)
{
    struct bh_dns_zone_builder *builder = bh_dns_zone_builder_new(1);
    struct bh_dns_zone_error error = {0};
    struct bh_dns_zone *zone = NULL;

    assert_int_not_equal(bh_dns_zone_from_text(builder, bh_str_c(text), NULL, &zone, &error), BH_OK);
    assert_string_equal(error.why, why);
    bh_dns_zone_builder_free(builder);
}

#define SOA "z. 60 SOA . . 1 2 3 4 5\n"

static void test_refused(void **state)
{
    check_refused("", "no SOA record");
    check_refused("a.z. A 192.0.2.1", "no SOA record");
    check_refused(SOA "z. SOA . . 2 2 3 4 5", "more than one SOA");
    check_refused(SOA "a.z. SOA . . 1 2 3 4 5", "SOA below the apex");
    check_refused(SOA "a.z. CNAME b.\na.z. TXT x", "other records beside a CNAME");
    check_refused(SOA "a.z. CNAME b.\na.z. CNAME c.", "more than one CNAME at a name");
    check_refused(SOA "z. CNAME b.", "other records beside a CNAME");
    check_refused(SOA "a.z. DNAME b.", "DNAME is not supported");
}

static void test_print(void **state)
{
    struct bh_dns_zones *zones = bh_dns_zones_new(3);
    struct bh_buf out = bh_buf_make(10000);
    struct bh_dns_name apex = name_of("Z");

    add_zone(zones, "b.z. 5 A 192.0.2.2\nB.Z. 9 A 192.0.2.2\nb.z. A 192.0.2.1\n" SOA
                    "x.a.z. TXT x\nz. NS a.\nother. A 192.0.2.1\n");
    bh_dns_zone_print(&out, bh_dns_zones_get(zones, bh_dns_name_view(&apex)));
    assert_str(bh_buf_view(&out), "z. 60 IN SOA . . 1 2 3 4 5\nz. 60 IN NS a.\nx.a.z. 60 IN TXT \"x\"\n"
                                  "b.z. 5 IN A 192.0.2.1\nb.z. 5 IN A 192.0.2.2\n");
    bh_buf_free(&out);
    bh_dns_zones_free(zones);
}

static struct bh_dns_zone *numbered_zone(struct bh_dns_zone_builder *builder, unsigned number, unsigned serial)
{
    struct bh_buf text = bh_buf_make(1000);
    struct bh_dns_zone_error error;
    struct bh_dns_zone *zone = NULL;

    bh_buf_printf(&text, "z%u. 60 SOA . . %u 2 3 4 5\nwww.z%u. A 192.0.2.1\n", number, serial, number);
    assert_ok(bh_dns_zone_from_text(builder, bh_buf_view(&text), NULL, &zone, &error));
    bh_buf_free(&text);
    return zone;
}

static struct bh_dns_zone *get(const struct bh_dns_follower *follower, unsigned number)
{
    struct bh_buf text = bh_buf_make(1000);
    struct bh_dns_name name;

    bh_buf_printf(&text, "z%u", number);
    assert_ok(bh_dns_name_parse(bh_buf_view(&text), NULL, &name));
    bh_buf_free(&text);
    return bh_dns_zones_get(follower->zones, bh_dns_name_view(&name));
}

static void test_follow(void **state)
{
    struct bh_dns_follower follower;
    struct bh_dns_name five = name_of("z5"), six = name_of("z6");

    assert_ok(bh_dns_follower_init(&follower, 99));
    for (unsigned i = 0; i < 1000; i++)
        assert_ok(bh_dns_follower_put(&follower, numbered_zone(follower.builder, i, 1)));
    assert_null(get(&follower, 7)); /* not yet */
    assert_ok(bh_dns_follower_commit(&follower, true));
    assert_int_equal(bh_dns_zones_count(follower.zones), 1000);
    /* one replaced, one removed, one removed and put again */
    assert_ok(bh_dns_follower_put(&follower, numbered_zone(follower.builder, 7, 2)));
    assert_ok(bh_dns_follower_remove(&follower, bh_dns_name_view(&five)));
    assert_ok(bh_dns_follower_remove(&follower, bh_dns_name_view(&six)));
    assert_ok(bh_dns_follower_put(&follower, numbered_zone(follower.builder, 6, 3)));
    assert_ok(bh_dns_follower_commit(&follower, false));
    assert_int_equal(get(&follower, 7)->serial, 2);
    assert_int_equal(get(&follower, 6)->serial, 3);
    assert_int_equal(get(&follower, 8)->serial, 1);
    assert_null(get(&follower, 5));
    assert_int_equal(bh_dns_zones_count(follower.zones), 999);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(i == 5 || get(&follower, i));
    assert_ok(bh_dns_follower_put(&follower, numbered_zone(follower.builder, 1, 1)));
    assert_ok(bh_dns_follower_commit(&follower, true));
    assert_int_equal(bh_dns_zones_count(follower.zones), 1);
    bh_dns_follower_free(&follower);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_follow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
