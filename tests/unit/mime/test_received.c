/* Received fields, ours and others'. */
#include "proto/mime/received.h"
#include "unit.h"

static void reads_the_clauses(void **state)
{
    struct bh_received r;

    bh_received_parse(BH_STR(" from app.example (rev.example [IPv6:2001:db8::1]) (using TLSv1.3 with cipher X_SHA)\r\n"
                             "\tby mx.example (by x for y@z) with ESMTPSA id <m/1> for <r@x.example>;\r\n"
                             "\tSun, 22 Nov 2026 01:49:22 +0000"),
                      &r);
    assert_str(r.from, "app.example");
    assert_str(r.from_address, "2001:db8::1");
    assert_str(r.from_name, "rev.example");
    assert_str(r.by, "mx.example");
    assert_str(r.with, "ESMTPSA");
    assert_str(r.id, "m/1");
    assert_str(r.recipient, "r@x.example");
    assert_str(r.tls_version, "TLSv1.3");
    assert_str(r.tls_cipher, "X_SHA");
    assert_true(r.has_date && r.date.at == 1795312162000);
}

static void nothing_is_made_up(void **state)
{
    static const char *const odd[] = {"",       "(",     ")",          "from", "from (", "from [",
                                      "by ; ;", "helo=", "((((((id x", "; ;",  ":"};
    struct bh_received r;

    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        bh_received_parse(bh_str_c(odd[i]), &r);
        assert_true(r.from.n == 0 && r.id.n == 0 && !r.has_date);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_clauses),
        cmocka_unit_test(nothing_is_made_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
