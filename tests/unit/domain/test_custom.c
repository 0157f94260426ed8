/* A customer's own records in a delegated zone: reading them, and what is refused. */
#include "domain/custom.h"
#include "domain/zones.h"
#include "unit.h"
#include <stdlib.h>

static const bh_str addresses[] = {{"192.0.2.53", 10}};
static const struct bh_platform_ns name_servers[] = {{{"ns1", 3}, addresses, 1}, {{"ns2", 3}, addresses, 1}};
static const struct bh_platform platform = {.domain = {"on.esp.example", 14},
                                            .ns = name_servers,
                                            .ns_count = 2,
                                            .inbound_host = {"in1.on.esp.example", 18},
                                            .egress = addresses,
                                            .egress_count = 1,
                                            .web_addresses = addresses,
                                            .web_address_count = 1,
                                            .helo = {"mta1.on.esp.example", 19},
                                            .caa = {"letsencrypt.org", 15},
                                            .dmarc_policy = {"none", 4},
                                            .ttl_s = 300};
static struct bh_key keys[1] = {
    {.id = 1, .selector = {"bh1", 3}, .kind = BH_KIND_RSA2048, .state = BH_KEY_ACTIVE, .public_b64 = {"MIIBone", 7}}};
static const bh_str apex = {"email.customer.example", 22};

struct world {
    struct bh_arena *arena;
    struct bh_domain_view view;
    struct bh_zone zone;
    size_t own_count;
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    w->arena = bh_arena_new(8 << 20);
    w->view =
        (struct bh_domain_view){.domain = {.name = apex,
                                           .approach = BH_APPROACH_DELEGATION,
                                           .token = {"abcdefghijklmnopqrstuvwx23", "q7"},
                                           .labels = {BH_STR("bounce"), BH_STR("link"), BH_STR("img"), BH_STR("bh")},
                                           .dmarc_policy = {"", 0}},
                                .keys = keys,
                                .key_count = 1};
    assert_ok(bh_build_delegated_zone(w->arena, &platform, &w->view, &w->zone));
    w->own_count = w->zone.count;
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    bh_arena_free(w->arena);
    free(w);
    return 0;
}

/* Why a line is refused; NULL: it was added. */
static const char *add(struct world *w, const char *line)
{
    struct bh_custom_problem problem = {0};
    struct bh_zone_record *records;
    bh_str why = {"", 0};
    size_t count;

    if (bh_custom_parse(w->arena, apex, bh_str_c(line), &records, &count, &problem))
        return problem.why.p;
    assert_int_equal(count, 1);
    if (!bh_custom_allows(w->arena, &w->view, &w->zone, w->own_count, &records[0], &why))
        return bh_arena_printf(w->arena, "%.*s", BH_FMT(why)).p;
    bh_zone_add_wire(&w->zone, records[0].owner, records[0].ttl_s, records[0].type, records[0].rdata);
    assert_ok(w->zone.err);
    return NULL;
}

static void test_what_fits(void **state)
{
    static const char *const lines[] = {
        "www 300 A 192.0.2.1",
        "www AAAA 2001:db8::1",
        "@ A 192.0.2.1",
        "@ TXT \"google-site-verification=abc\"",
        "@ CAA 0 issue \"sectigo.com\"",
        "shop CNAME shops.example.net.",
        "default._bimi TXT \"v=BIMI1; l=https://x/y.svg\"",
        "s1._domainkey TXT \"v=DKIM1; k=rsa; p=MIIB\"",
        "EMAIL.customer.example. TXT \"second\"",
        "_sip._tcp SRV 1 2 5060 sip.example.net.",
        "*.pages A 192.0.2.7",
        "bhx._domainkey CNAME x.example.net.",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_null(add(*state, lines[i]));
}

static void test_what_does_not(void **state)
{
    static const char *const lines[] = {
        "www NS ns1.elsewhere.example.",
        "sub DNAME elsewhere.example.",
        "www DS 1 8 2 00",
        "@ MX 5 mail.example.net.",                /* ours is there */
        "@ TXT \"v=spf1 include:x.example ~all\"", /* a second SPF */
        "@ CNAME x.example.net.",                  /* the apex */
        "bounce A 192.0.2.1",
        "x.bounce TXT \"a\"",
        "link CNAME x.example.net.",
        "img AAAA ::1",
        "_dmarc TXT \"v=DMARC1; p=none\"",
        "bh1._domainkey TXT \"v=DKIM1; p=x\"", /* ours */
        "bh9._domainkey TXT \"v=DKIM1; p=x\"", /* ours to come */
        "be2._domainkey TXT \"v=DKIM1; p=x\"",
        "www.customer.example. A 192.0.2.1", /* not in the zone */
        "www 5 A 192.0.2.1",
        "www 99999999 A 192.0.2.1",
        "www A 192.0.2.300",
        "www CH A 192.0.2.1",
        "evil\\.email.customer.example. A 192.0.2.1", /* of customer.example, in truth */
        "a\\000b A 192.0.2.1",
        "\\098ounce A 192.0.2.1", /* "bounce" */
        "bounce.email.customer.example. A 192.0.2.1",
        "BOUNCE A 192.0.2.1",
        "x TXT \\# 0",
        "x A \\# 3 c00002",
        "x MX \\# 3 000a3f",
        "x NSEC x A",
        "x RRSIG A 8 3 300 20300101000000 20200101000000 1 x. AAAA",
        "x DNSKEY 257 3 13 AAAA",
        "x TYPE65280 \\# 1 00",
        "$GENERATE 1-65535 h$ A 192.0.2.1",
        "$INCLUDE /etc/passwd",
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (!add(w, lines[i]))
            fail_msg("taken: %s", lines[i]);
    }
    assert_null(add(w, "a A 192.0.2.1"));
    assert_non_null(add(w, "a A 192.0.2.1"));
    assert_non_null(add(w, "A CNAME b.example."));
    assert_null(add(w, "c CNAME b.example."));
    assert_non_null(add(w, "c TXT \"x\""));
    assert_non_null(add(w, "c CNAME other.example."));
    assert_int_equal(w->zone.count, w->own_count + 2);
}

static void test_files(void **state)
{
    static const char text[] = "$TTL 600\n"
                               "@ SOA ns.example. host.example. 1 2 3 4 5\n"
                               "  NS ns.example.\n"
                               "www A 192.0.2.1\n"
                               "    TXT ( \"a\"\n \"b\" )\n";
    struct world *w = *state;
    struct bh_custom_problem problem = {0};
    struct bh_zone_record *records;
    struct bh_buf many = bh_buf_make(1 << 20);
    size_t count;

    assert_ok(bh_custom_parse(w->arena, apex, BH_STR(text), &records, &count, &problem));
    assert_int_equal(count, 2);
    assert_str(records[1].owner, "www.email.customer.example");
    assert_int_equal(records[1].ttl_s, 600);
    assert_int_equal(bh_custom_parse(w->arena, apex, BH_STR("www A 192.0.2.1\nx A y\n"), &records, &count, &problem),
                     BH_E_SYNTAX);
    assert_int_equal(problem.line, 2);
    assert_int_equal(bh_custom_parse(w->arena, apex, BH_STR("$INCLUDE /etc/passwd\n"), &records, &count, &problem),
                     BH_E_UNSUPPORTED);
    for (int i = 0; i <= BH_CUSTOM_RECORDS_MAX; i++)
        bh_buf_printf(&many, "h%d A 192.0.2.1\n", i);
    assert_int_equal(bh_custom_parse(w->arena, apex, bh_buf_view(&many), &records, &count, &problem), BH_E_LIMIT);
    assert_int_equal(problem.line, BH_CUSTOM_RECORDS_MAX + 1);
    bh_buf_free(&many);
}

static void test_what_is_too_large_together(void **state)
{
    struct world *w = *state;
    struct bh_buf line = bh_buf_make(1 << 16);
    int taken = 0, at_one_name = 0;

    for (int i = 0; i < 200; i++) {
        bh_buf_clear(&line);
        bh_buf_printf(&line, "n%d TXT", i / 10);
        for (int k = 0; k < 15; k++)
            bh_buf_printf(&line, " \"%0250d\"", i);
        bh_buf_u8(&line, 0);
        taken += add(w, line.p) == NULL;
        at_one_name += i < 10 && w->zone.count == w->own_count + (size_t)i + 1;
    }
    assert_int_equal(at_one_name, 8); /* 8 x 3780 bytes and their heads */
    assert_in_range(taken * 3765, BH_CUSTOM_BYTES_MAX - 4096, BH_CUSTOM_BYTES_MAX);
    bh_buf_free(&line);
}

/* What the customer had first gives way to what we publish later, and his other records stay. */
static void test_ours_come_later(void **state)
{
    struct world *w = *state;
    struct bh_zone zone;
    size_t own_count;
    struct bh_key with_imported[] = {keys[0], keys[0]};
    bh_str from_name = BH_STR("shop.email.customer.example");

    assert_null(add(w, "mail26._domainkey CNAME keys.example.net."));
    assert_null(add(w, "_dmarc.shop TXT \"v=DMARC1; p=none\""));
    assert_null(add(w, "shop A 192.0.2.9"));
    with_imported[1].selector = BH_STR("mail26");
    w->view.keys = with_imported;
    w->view.key_count = 2;
    w->view.from_names = &from_name;
    w->view.from_name_count = 1;
    assert_ok(bh_build_delegated_zone(w->arena, &platform, &w->view, &zone));
    own_count = zone.count;
    for (size_t i = w->own_count; i < w->zone.count; i++)
        bh_zone_add_wire(&zone, w->zone.records[i].owner, 300, w->zone.records[i].type, w->zone.records[i].rdata);
    assert_int_equal(bh_custom_yield(&w->view.domain, &zone, own_count), 2);
    assert_int_equal(zone.count, own_count + 1);
    assert_str(zone.records[own_count].owner, "shop.email.customer.example");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_fits, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_what_does_not, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_what_is_too_large_together, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_ours_come_later, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_files, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
