/* Master files: what RFC 1035 5 allows, directives, errors with their lines. */
#include "proto/dns/zonefile.h"
#include "unit.h"

/* All records of `text` as lines, or "line N: why". */
static void check_with(const char *text, const char *expected, bh_dns_zonefile_directive *directive, void *ctx)
{
    struct bh_buf out = bh_buf_make(100000);
    struct bh_dns_zonefile_record record;
    struct bh_dns_zonefile file;
    struct bh_dns_name origin;
    bh_err err;

    assert_ok(bh_dns_name_parse(BH_STR("example.net."), NULL, &origin));
    bh_dns_zonefile_begin(&file, bh_str_c(text), &origin, 60, directive, ctx);
    while ((err = bh_dns_zonefile_next(&file, &record)) == BH_MORE) {
        bh_dns_record_print(&out, bh_dns_name_view(&record.owner), record.ttl_s, record.klass, record.type,
                            record.rdata);
        bh_buf_char(&out, '\n');
    }
    if (err != BH_DONE)
        bh_buf_printf(&out, "line %u: %s", file.error_line, file.why);
    assert_str(bh_buf_view(&out), expected);
    bh_dns_zonefile_end(&file);
    bh_buf_free(&out);
}

static void check(const char *text, const char *expected)
{
    check_with(text, expected, NULL, NULL);
}

static void test_plain(void **state)
{
    check("", "");
    check("; nothing\n   \n\n", "");
    check("a A 192.0.2.1", "a.example.net. 60 IN A 192.0.2.1\n");
    check("a 5 IN A 192.0.2.1\r\n  IN 1h A 192.0.2.2 ; two\n\tA 192.0.2.3\n",
          "a.example.net. 5 IN A 192.0.2.1\na.example.net. 3600 IN A 192.0.2.2\na.example.net. 3600 IN A 192.0.2.3\n");
    check("@ SOA ns host ( 1 2 ; serial\n 3\n 4 5 )\n  NS .\n",
          "example.net. 60 IN SOA ns.example.net. host.example.net. 1 2 3 4 5\nexample.net. 60 IN NS .\n");
    check("x TXT \"a;b(c\" d\\;e", "x.example.net. 60 IN TXT \"a;b(c\" \"d;e\"\n");
    check("www.other. CH TXT x", "www.other. 60 CH TXT \"x\"\n");
}

static void test_directives(void **state)
{
    check("$TTL 2h\na 5 A 192.0.2.1\nb A 192.0.2.1\n$ORIGIN sub\nc A 192.0.2.1\n$ORIGIN .\nd A 192.0.2.1",
          "a.example.net. 5 IN A 192.0.2.1\nb.example.net. 7200 IN A 192.0.2.1\n"
          "c.sub.example.net. 7200 IN A 192.0.2.1\nd. 7200 IN A 192.0.2.1\n");
    check("a A 192.0.2.1\n$INCLUDE x\n", "a.example.net. 60 IN A 192.0.2.1\nline 2: $INCLUDE is not supported: "
                                         "put the records into one file");
}

/* With $GENERATE allowed for 12 records. */
static void check_generate(const char *text, const char *expected)
{
    struct bh_buf out = bh_buf_make(100000);
    struct bh_dns_zonefile_record record;
    struct bh_dns_zonefile file;
    struct bh_dns_name origin;
    bh_err err;

    assert_ok(bh_dns_name_parse(BH_STR("x."), NULL, &origin));
    bh_dns_zonefile_begin(&file, bh_str_c(text), &origin, 60, NULL, NULL);
    bh_dns_zonefile_allow_generate(&file, 12);
    while ((err = bh_dns_zonefile_next(&file, &record)) == BH_MORE) {
        bh_dns_name_print(&out, bh_dns_name_view(&record.owner));
        bh_buf_printf(&out, " %u ", record.ttl_s);
        bh_dns_rdata_print(&out, record.type, record.rdata);
        bh_buf_char(&out, '|');
    }
    if (err != BH_DONE)
        bh_buf_printf(&out, "line %u: %s", file.error_line, file.why);
    assert_str(bh_buf_view(&out), expected);
    bh_dns_zonefile_end(&file);
    bh_buf_free(&out);
}

/* BIND's texts, and its answers. */
static void test_generate(void **state)
{
    static const char braces[] =
        "line 1: the braces behind a $ are wrong: ${offset,width,base} with base d, o, x, X, n or N";
    static const char what[] = "line 1: $GENERATE needs a range, an owner, a type and data";

    check_generate("$GENERATE 1-3 h$ A 10.0.0.$ ; so", "h1.x. 60 10.0.0.1|h2.x. 60 10.0.0.2|h3.x. 60 10.0.0.3|");
    check_generate("$generate 0-10/5 h${0,3,d} 5 IN A 10.0.0.$\nb A 10.0.0.9",
                   "h000.x. 5 10.0.0.0|h005.x. 5 10.0.0.5|h010.x. 5 10.0.0.10|b.x. 5 10.0.0.9|");
    check_generate("$GENERATE 1-2 h${-1} IN 7 CNAME x${10,4,x}.y", "h0.x. 7 x000b.y.x.|h1.x. 7 x000c.y.x.|");
    check_generate("$GENERATE 10-11 h${0,2,X}${0,4,o} A 10.0.0.$", "h0A0012.x. 60 10.0.0.10|h0B0013.x. 60 10.0.0.11|");
    check_generate("$GENERATE 18-18 ${0,7,n} PTR h$.", "2.1.0.0.x. 60 h18.|");
    check_generate("$GENERATE 171-171 ${0,8,N} PTR h$.", "B.A.0.0. 60 h171.|");
    check_generate("$GENERATE 1-1 h$ TXT \"v $ x\"", "h1.x. 60 \"v\" \"1\" \"x\"|");
    check_generate("$GENERATE 1-1 h$ TXT a\\$b$$c$", "h1.x. 60 \"a$b$c1\"|");
    check_generate("$GENERATE 1-2 h$ MX ( 10\n m$ )\n", "h1.x. 60 10 m1.x.|h2.x. 60 10 m2.x.|");
    check_generate("a A 10.0.0.1\n$GENERATE 1-1 h$ A 10.0.0.$\n TXT y",
                   "a.x. 60 10.0.0.1|h1.x. 60 10.0.0.1|a.x. 60 \"y\"|");
    check_generate("$GENERATE 2147483647-2147483647 h$ A 10.0.0.1", "h2147483647.x. 60 10.0.0.1|");
    check_generate("$GENERATE 5-1 h$ A 10.0.0.1", "line 1: this is not a range (1-10 or 0-100/5)");
    check_generate("$GENERATE 1-5/0 h$ A 10.0.0.1", "line 1: this is not a range (1-10 or 0-100/5)");
    check_generate("$GENERATE 1-5 h${0,1,q} A 10.0.0.1", braces);
    check_generate("$GENERATE 1-5 h${", "line 1: the entry has no type");
    check_generate("$GENERATE 1-5 h${0 A 10.0.0.1", braces);
    check_generate("$GENERATE 1-5", what);
    check_generate("$GENERATE 1-5 h$ A", what);
    check_generate("$GENERATE 1-300 h${0,255} A 10.0.0.1", "line 1: the name is too long");
    check_generate("$GENERATE 1-12 $ A 10.0.0.1\n$GENERATE 1-1 b$ A 10.0.0.1",
                   "1.x. 60 10.0.0.1|2.x. 60 10.0.0.1|3.x. 60 10.0.0.1|4.x. 60 10.0.0.1|5.x. 60 10.0.0.1|"
                   "6.x. 60 10.0.0.1|7.x. 60 10.0.0.1|8.x. 60 10.0.0.1|9.x. 60 10.0.0.1|10.x. 60 10.0.0.1|"
                   "11.x. 60 10.0.0.1|12.x. 60 10.0.0.1|line 2: $GENERATE makes too many records");
    check("$GENERATE 1-2 h$ A 10.0.0.$", "line 1: this directive is not supported");
}

static bh_err take_fail(void *ctx, bh_str keyword, struct bh_dns_lexer *arguments, const struct bh_dns_name *origin)
{
    struct bh_dns_token token;
    bh_err err;

    if (!bh_str_eq(keyword, BH_STR("$FAIL")))
        return BH_E_UNSUPPORTED;
    err = bh_dns_lexer_next(arguments, &token);
    if (err)
        return err;
    bh_buf_add(ctx, token.text);
    return BH_OK;
}

static void test_hook(void **state)
{
    struct bh_buf seen = bh_buf_make(100);

    check_with("$FAIL broken MX\na A 192.0.2.1", "a.example.net. 60 IN A 192.0.2.1\n", take_fail, &seen);
    assert_str(bh_buf_view(&seen), "broken");
    check_with("$FAIL", "line 1: the directive's arguments are wrong", take_fail, &seen);
    bh_buf_free(&seen);
}

static void test_errors(void **state)
{
    check(" A 192.0.2.1", "line 1: the first record has no owner");
    check("a\n", "line 1: the entry has no type");
    check("\na FOO x", "line 2: this is not a record type");
    check("a TXT ( x\n\n", "line 3: the record data do not fit the type");
    check("a A 1.2.3.4 )", "line 1: the record data do not fit the type");
    check("a..b A 1.2.3.4", "line 1: this is not a domain name");
    check("a TXT \"x\n\"", "line 1: the record data do not fit the type");
    check("$TTL", "line 1: the directive lacks its argument");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain), cmocka_unit_test(test_directives), cmocka_unit_test(test_generate),
        cmocka_unit_test(test_hook),  cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
