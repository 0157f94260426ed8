/* Imports: rows out of OpenDKIM's tables and CSV, and what is wrong with a line is said of that line. */
#include "domain/import.h"
#include "unit.h"

static struct bh_arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = bh_arena_new(4 << 20);
    return arena ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    bh_arena_free(arena);
    return 0;
}

static void assert_text(bh_str got, const char *wanted)
{
    char text[400];

    assert_ok(bh_str_to_c(got, text, sizeof text));
    assert_string_equal(text, wanted);
}

static void test_csv(void **state)
{
    struct bh_import import;
    bh_str why;

    (void)state;
    assert_ok(bh_import_csv(arena,
                            BH_STR("\xef\xbb\xbf"
                                   "Domain,customer,selector_prefix,bounce_target\r\n"
                                   "a.example, acme ,s,u1.bounce.old.example\r\n"
                                   "\r\n"
                                   "\"b.example\",\"Acme \"\"A\"\", Ltd\",,\n"
                                   "c.example,x\n"
                                   ",x,y,z\n"
                                   "d.example,\"x,y,z"),
                            &import, &why));
    assert_int_equal(import.count, 5);
    assert_text(import.rows[0].domain, "a.example");
    assert_text(import.rows[0].customer, "acme");
    assert_text(import.rows[0].selector_prefix, "s");
    assert_text(import.rows[0].bounce_target, "u1.bounce.old.example");
    assert_int_equal(import.rows[0].problem.n, 0);
    assert_text(import.rows[1].customer, "Acme \"A\", Ltd");
    assert_int_equal(import.rows[1].line, 4);
    assert_text(import.rows[2].problem, "there are not as many fields as in the heading");
    assert_text(import.rows[3].problem, "the domain is missing");
    assert_text(import.rows[4].problem, "a quote is not closed");
}

static void test_csv_heading(void **state)
{
    struct bh_import import;
    bh_str why;

    (void)state;
    assert_int_equal(bh_import_csv(arena, BH_STR(""), &import, &why), BH_E_SYNTAX);
    assert_int_equal(bh_import_csv(arena, BH_STR("customer\n"), &import, &why), BH_E_SYNTAX);
    assert_int_equal(bh_import_csv(arena, BH_STR("domain,colour\n"), &import, &why), BH_E_SYNTAX);
    assert_text(why, "the heading has the unknown column \"colour\"");
    assert_ok(bh_import_csv(arena, BH_STR("domain,selector,key_file\na.example,s1,\n"), &import, &why));
    assert_text(import.rows[0].problem, "selector and key_file belong together");
}

static void test_opendkim(void **state)
{
    struct bh_import import;

    (void)state;
    assert_ok(bh_import_opendkim(arena,
                                 BH_STR("# keys\n"
                                        "one  one.example:mail:/etc/dkim/one.pem\n"
                                        "any\t%:s2024:./any.pem\n"
                                        "old  one.example:old:/etc/dkim/old.pem\n"
                                        "here one.example:x:MIIEvQIBADANBg\n"
                                        "bad  one.example\n"),
                                 BH_STR("*@One.example one\n"
                                        "*@one.example old\n"
                                        "*@*.two.example any\n"
                                        "user@shop.one.example one\n"
                                        "three.example one\n"
                                        "four.example here\n"
                                        "five.example bad\n"
                                        "* any\n"
                                        "six.example nokey\n"
                                        "  # nothing\n"),
                                 &import));
    assert_int_equal(import.count, 7);
    assert_text(import.rows[0].domain, "one.example");
    assert_text(import.rows[0].selector, "mail");
    assert_text(import.rows[0].key_file, "/etc/dkim/one.pem");
    assert_text(import.rows[0].note, "line 2 signs with selector old, too: not taken over");
    assert_text(import.rows[1].domain, "two.example");
    assert_text(import.rows[1].selector, "s2024");
    assert_text(import.rows[2].problem, "key \"one\": it signs mail of another domain, where it is not aligned");
    assert_text(import.rows[3].problem, "key \"here\": its key stands in the key table itself; put it in a file");
    assert_text(import.rows[4].problem, "key \"bad\": its line in the key table is not domain:selector:file");
    assert_text(import.rows[5].problem, "key \"any\": it is for no domain that can be told");
    assert_text(import.rows[6].problem, "key \"nokey\": the key table has no such key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_csv, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_csv_heading, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_opendkim, set_up, tear_down)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
