/* Which addresses of strangers are connected to. */
#include "io/vet.h"
#include "unit.h"

static bool is_public(const char *text)
{
    struct bh_ip ip;

    assert_ok(bh_ip_parse(bh_str_c(text), &ip));
    return bh_address_is_public(&ip);
}

static void test_public(void **state)
{
    static const char *const texts[] = {"8.8.8.8", "172.32.0.1",   "100.128.0.1",    "198.20.0.1",      "223.255.255.1",
                                        "2600::1", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_true(is_public(texts[i]));
}

static void test_not_public(void **state)
{
    static const char *const texts[] = {
        "0.0.0.0",           "10.1.2.3",        "100.64.0.1",  "127.0.0.1",     "169.254.169.254",
        "172.16.0.1",        "172.31.255.1",    "192.168.0.1", "198.18.0.1",    "203.0.113.1",
        "224.0.0.1",         "255.255.255.255", "::",          "::1",           "fe80::1",
        "fd00:ec2::254",     "ff02::1",         "2001:db8::1", "2002:7f00:1::", "::ffff:127.0.0.1",
        "64:ff9b::10.0.0.1", "2001::1"};
    struct bh_ip nothing = {.n = 0};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(is_public(texts[i]));
    assert_false(bh_address_is_public(&nothing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_public), cmocka_unit_test(test_not_public)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
