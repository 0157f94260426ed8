/* Signing: key tag and DS of RFC 6605 6.1, which RRsets are signed, the chain of NSEC, proofs in answers. */
#include "answers.h"
#include "base/text.h"
#include "proto/dns/dnssec.h"

static void test_key(void **state)
{
    struct bh_buf rdata = bh_buf_make(100), text = bh_buf_make(300);
    struct bh_dns_name owner = name_of("Example.NET");
    unsigned char ds[36];

    assert_ok(bh_dns_rdata_parse_text(BH_DNS_DNSKEY,
                                      BH_STR("257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+"
                                             "e+MAnLr+Wi9xMWyQLc8NAA=="),
                                      NULL, &rdata));
    assert_int_equal(bh_dns_key_tag(bh_buf_view(&rdata)), 55648);
    assert_ok(bh_dns_key_ds(bh_dns_name_view(&owner), bh_buf_view(&rdata), ds));
    bh_dns_rdata_print(&text, BH_DNS_DS, (bh_str){(char *)ds, sizeof ds});
    assert_str(bh_buf_view(&text), "55648 13 2 b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17");
    bh_buf_free(&rdata);
    bh_buf_free(&text);
}

/* Counts what is asked; the signature is the number. */
static bh_err count_signature(void *ctx, size_t key, bh_str data, unsigned char ret_signature[64])
{
    unsigned *count = ctx;

    assert_int_equal(key, 0);
    assert_true(data.n > 18);
    memset(ret_signature, (int)++*count, 64);
    return BH_OK;
}

static struct bh_dns_zones *make_signed(unsigned *count)
{
    static const char text[] = "$ORIGIN z.\n$TTL 60\n@ SOA . . 1 2 3 4 30\n@ NS a.\nb.c A 192.0.2.1\n*.w TXT x\n"
                               "d NS ns.d\nns.d A 192.0.2.2\ns NS a.\ns DS 1 13 2 00\n";
    struct bh_dns_sign_options options = {
        .keys = {{.signs = true, .parent = true}}, .key_count = 1, .inception = 1, .expiration = 2, .key_ttl_s = 60};
    struct bh_dns_zones *plain = bh_dns_zones_new(9), *zones = bh_dns_zones_new(9);
    struct bh_dns_zone_builder *builder = bh_dns_zone_builder_new(9);
    struct bh_dns_zone *zone = NULL;
    size_t place = 0;

    add_zone(plain, text);
    assert_ok(bh_dns_zone_sign(builder, bh_dns_zones_next(plain, &place), &options, count_signature, count, &zone));
    assert_ok(bh_dns_zones_put(zones, zone));
    bh_dns_zone_builder_free(builder);
    bh_dns_zones_free(plain);
    return zones;
}

/* The NSEC records of the response, in its order. */
static void check_nsec(const struct bh_dns_zones *zones, const char *name, const char *type, const char *expected)
{
    static const struct bh_dns_answer_options options = {.udp_max = 1232};
    static const struct bh_dns_client client = {.transport = BH_DNS_UDP};
    struct bh_buf query = bh_buf_make(1000), rdata = bh_buf_make(1000), text = bh_buf_make(10000);
    struct bh_dns_name wire = name_of(name);
    struct bh_dns_rr_iter iter = {0};
    struct bh_dns_outcome outcome;
    struct bh_dns_message message;
    unsigned char out[1232];
    uint16_t number = 0;
    struct bh_dns_rr rr;
    size_t n;

    assert_ok(bh_dns_type_parse(bh_str_c(type), &number));
    assert_ok(bh_dns_query_write(&query, 7, 0, bh_dns_name_view(&wire), number, 1232, true));
    n = bh_dns_answer(zones, &options, &client, bh_buf_view(&query), out, sizeof out, &outcome);
    assert_ok(bh_dns_message_parse((bh_str){(char *)out, n}, &message));
    while (bh_dns_message_next(&message, &iter, &rr) == BH_MORE) {
        if (rr.type != BH_DNS_NSEC)
            continue;
        bh_buf_clear(&rdata);
        assert_ok(bh_dns_rdata_read(rr.type, message.packet, rr.rdata_at, rr.rdata_n, &rdata));
        bh_dns_name_print(&text, bh_dns_name_view(&rr.owner));
        bh_buf_char(&text, ' ');
        bh_dns_rdata_print(&text, rr.type, bh_buf_view(&rdata));
        bh_buf_char(&text, '\n');
    }
    assert_str(bh_buf_view(&text), expected);
    bh_buf_free(&query);
    bh_buf_free(&rdata);
    bh_buf_free(&text);
}

#define APEX "z. b.c.z. NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY\n"
#define BC "b.c.z. d.z. A RRSIG NSEC\n"
#define W "*.w.z. z. TXT RRSIG NSEC\n"

static void test_denial(void **state)
{
    unsigned count = 0;
    struct bh_dns_zones *zones = make_signed(&count);

    /* SOA NS DNSKEY CDS CDNSKEY, A, TXT, DS, and six NSEC less the one of none: apex b.c d s *.w */
    assert_int_equal(count, 5 + 1 + 1 + 1 + 5);
    check_nsec(zones, "z", "MX", APEX);
    check_nsec(zones, "a.z", "A", APEX);                          /* covers the name and *.z */
    check_nsec(zones, "c.z", "A", APEX);                          /* an empty non-terminal */
    check_nsec(zones, "x.c.z", "A", BC APEX);                     /* x.c and *.c */
    check_nsec(zones, "e.w.z", "TXT", W);                         /* why the wildcard stands for it */
    check_nsec(zones, "e.w.z", "A", W);                           /* and has no such type */
    check_nsec(zones, "x.d.z", "A", "d.z. s.z. NS RRSIG NSEC\n"); /* an insecure delegation */
    check_nsec(zones, "x.s.z", "A", "");                          /* a secure one has DS */
    check_nsec(zones, "d.z", "DS", "d.z. s.z. NS RRSIG NSEC\n");
    bh_dns_zones_free(zones);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_key), cmocka_unit_test(test_denial)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
