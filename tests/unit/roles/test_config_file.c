/* test_config_file.c: what behalf.conf says is read, and what cannot work is told with its place. */
#include "roles/master/config_file.h"
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GOOD                                                                                                           \
    "platform = \"on.esp.example\"\n"                                                                                  \
    "nameserver \"ns1\" { address = {\"192.0.2.53\"} }\n"                                                              \
    "egress { address = {\"192.0.2.10\"} }\n"

/* Reads `text` as a file; the problems are in `problems`, without the file's name. */
static bh_err read_text(bh_str text, char *problems, size_t size)
{
    char path[] = "/tmp/behalf-conf-XXXXXX";
    int fd = mkstemp(path);
    struct bh_buf said = bh_buf_make(1 << 16);
    struct bh_config *config = NULL;
    bh_err err;

    assert_true(fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n);
    (void)close(fd);
    err = bh_config_file_read(path, &config, &said);
    (void)unlink(path);
    (void)snprintf(problems, size, "%.*s", BH_FMT(bh_str_skip(bh_buf_view(&said), said.n ? strlen(path) : 0)));
    bh_buf_free(&said);
    bh_config_free(config);
    return err;
}

static void expect(const char *text, const char *problems)
{
    char said[4096];
    bh_err err = read_text(bh_str_c(text), said, sizeof(said));

    assert_string_equal(said, problems);
    assert_int_equal(err == BH_OK, *problems == '\0');
}

static void test_good(void **state)
{
    (void)state;
    expect(GOOD, "");
    expect(GOOD "# it's { \"\n// it's {\n/* it's {\n { */ hostname = 'mta.esp.example' # }\n", "");
    expect(GOOD "contact = {ops@esp.example, \"a.b@c.example\"}", "");
    expect(GOOD "contact = {\"ops@\"}", ": contact \"ops@\" is not a mail address\n");
    expect(GOOD "hostname = mta.esp.example\nqueue { expire = \"5d\" }", "");
}

static void test_shape(void **state)
{
    (void)state;
    expect("platform = \"on.esp.example\n" GOOD, ":1: the text is not ended: \" is missing\n");
    expect(GOOD "limits {\n hops = 5\n", ":4: the { is not closed: } is missing\n");
    expect(GOOD "limits { hops = 5 }\n}\n", ":5: } without a {\n");
}

static void test_bytes_and_directories(void **state)
{
    struct bh_buf said = bh_buf_make(1 << 16);
    struct bh_config *config = NULL;
    char text[256];

    (void)state;
    assert_int_equal(read_text(BH_STR("platform\0"), text, sizeof(text)), BH_E_IO);
    assert_string_equal(text, ": is not a text file\n");
    assert_int_equal(bh_config_file_read("/tmp", &config, &said), BH_E_IO);
    assert_true(bh_str_eq(bh_buf_view(&said), BH_STR("/tmp: is a directory, not a configuration file\n")));
    bh_buf_free(&said);
}

static void test_one_mistake_is_said_once(void **state)
{
    (void)state;
    expect("nameserver \"ns1\" { address = {\"192.0.2.53\"} }\negress { address = {\"192.0.2.10\"} }\n",
           ": platform is missing: the domain that you delegate to behalf, such as \"on.esp.example\"\n");
    expect(GOOD "inbound { address = {\"192.0.2.300\"} }\n", ": inbound address: \"192.0.2.300\" is not an address\n");
    expect(GOOD "inbound { address = {\"0.0.0.0\"} }\n",
           ": inbound address: \"0.0.0.0\" is no address of a host: others must be able to reach it\n");
    expect(GOOD "resolver { forward = {\"192.0.2.1:53\"} }\n",
           ": resolver forward: \"192.0.2.1:53\": write the port behind @\n");
    expect(GOOD "listener { address = \"0.0.0.0\" }\nlistener { address = \"0.0.0.0:587\" }\n",
           ": two listeners on 0.0.0.0, port 587\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_bytes_and_directories),
        cmocka_unit_test(test_one_mistake_is_said_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
