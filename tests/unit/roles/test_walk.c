/* The walk to authoritative servers, against our own name server on loopback: two servers on 127.0.0.1 and .2 with
 * different zones, and a resolver that knows no more than it may be asked. */
#include "proto/dns/zone_load.h"
#include "roles/dnsd/dns_server.h"
#include "roles/steward/walk.h"
#include "unit.h"
#include <arpa/inet.h>
#include <behalf/zonefile_resolver.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* six strings of 240 bytes: more than fits a UDP answer */
#define TEN(x) x x x x x x x x x x
#define BIG "\"" TEN(TEN("aa") "bbbb") "\" "
static const char parents[] = "$ORIGIN customer.example.\n$TTL 60\n"
                              "@ SOA ns1 host 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n"
                              "s1._domainkey TXT \"v=DKIM1; p=MIIB\"\n"
                              "bounce CNAME t.bounce.on.esp.example.\n"
                              "email NS t.ns1.on.esp.example.\nemail NS t.ns2.on.esp.example.\n"
                              "deep NS ns.deep\nns.deep A 127.0.0.2\n"
                              "lame NS ns.lame\nns.lame A 127.0.0.2\n"
                              "slow NS ns1.slow\nslow NS ns2.slow\nns1.slow A 127.0.0.3\nns2.slow A 127.0.0.4\n"
                              "big TXT " BIG BIG BIG BIG BIG BIG "\n";
/* its own SOA cannot make it the parent's zone */
static const char deep[] = "$ORIGIN deep.customer.example.\n$TTL 60\n"
                           "@ SOA ns host 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.2\nx TXT \"here\"\n";
/* the registry, on the same server; it has DS records of the names below it */
static const char registry[] = "$ORIGIN example.\n$TTL 60\n@ SOA ns host 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n"
                               "customer NS ns1.customer\nns1.customer A 127.0.0.1\n"
                               "customer DS 1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
                               "insecure NS ns1.customer\n";
static const char known[] = "example. NS ns.example.\nns.example. A 127.0.0.1\n"
                            "customer.example. NS ns1.customer.example.\nns1.customer.example. A 127.0.0.1\n"
                            "seen.example. TXT \"by the world\"\n$FAIL broken.example\n";

struct world {
    struct bh_loop *loop;
    struct bh_dns_server *servers[2];
    struct bh_dns_zones *zones[2];
    struct bh_zonefile_resolver *resolver;
    struct bh_psl *psl;
    struct bh_walker walker;
    /* the last answer */
    bool done;
    bh_err err;
    size_t count;
    enum bh_dns_status status;
    size_t rdatas;
    char server[200], zone[300], why[300];
};

static int bind_to(const char *address, int kind, uint16_t port, uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    (void)inet_pton(AF_INET, address, &at.sin_addr);
    assert_true(fd >= 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        (void)close(fd);
        return -1;
    }
    if (kind == SOCK_STREAM)
        assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static void add_zone(struct world *w, int index, const char *text)
{
    struct bh_dns_zone_builder *builder = bh_dns_zone_builder_new(1);
    struct bh_dns_zone_error error;
    struct bh_dns_zone *zone;

    assert_ok(bh_dns_zone_from_text(builder, bh_str_c(text), NULL, &zone, &error));
    assert_ok(bh_dns_zones_put(w->zones[index], zone));
    bh_dns_zone_builder_free(builder);
}

static void serve(struct world *w, int index, const char *address, uint16_t *port, const char *text)
{
    struct bh_dns_server_options options = bh_dns_server_defaults();
    uint16_t bound;

    w->servers[index] = bh_dns_server_new(w->loop, &options, &bh_random_os);
    assert_ok(bh_dns_server_add_udp(w->servers[index], bind_to(address, SOCK_DGRAM, *port, port)));
    assert_ok(bh_dns_server_add_tcp(w->servers[index], bind_to(address, SOCK_STREAM, *port, &bound)));
    w->zones[index] = bh_dns_zones_new(1);
    add_zone(w, index, text);
    bh_dns_server_use(w->servers[index], w->zones[index]);
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    uint16_t port = 0;

    w->loop = bh_loop_new();
    serve(w, 0, "127.0.0.1", &port, parents);
    serve(w, 1, "127.0.0.2", &port, deep);
    add_zone(w, 0, registry);
    assert_ok(bh_zonefile_resolver_new(bh_str_c(known), &w->resolver, NULL, NULL));
    assert_ok(bh_psl_new(NULL, &w->psl));
    w->walker = (struct bh_walker){.loop = w->loop,
                                   .resolver = bh_zonefile_resolver_base(w->resolver),
                                   .suffixes = bh_psl_base(w->psl),
                                   .random = &bh_random_os,
                                   .port = port};
    bh_list_init(&w->walker.walks);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    bh_walker_stop(&w->walker);
    for (int i = 0; i < 2; i++) {
        bh_dns_server_free(w->servers[i]);
        bh_dns_zones_free(w->zones[i]);
    }
    bh_zonefile_resolver_free(w->resolver);
    bh_psl_free(w->psl);
    bh_loop_free(w->loop);
    free(w);
    return 0;
}

static void take_views(void *ctx, bh_err err, bh_str views)
{
    struct world *w = ctx;
    struct bh_cur cur = bh_cur_make(views), rdatas;
    struct bh_rec_dns_server_view view;
    struct bh_rec_dns_rdata rdata;

    w->done = true;
    w->err = err;
    w->count = w->rdatas = 0;
    while (bh_rec_dns_server_view_next(&cur, &view) == BH_MORE) {
        w->count++;
        w->status = (enum bh_dns_status)view.status;
        (void)snprintf(w->server, sizeof(w->server), "%.*s", BH_FMT(view.server));
        (void)snprintf(w->zone, sizeof(w->zone), "%.*s", BH_FMT(view.zone));
        (void)snprintf(w->why, sizeof(w->why), "%.*s", BH_FMT(view.why));
        rdatas = bh_cur_make(view.rdatas);
        while (bh_rec_dns_rdata_next(&rdatas, &rdata) == BH_MORE)
            w->rdatas++;
    }
}

static void walk(struct world *w, const char *name, uint16_t type)
{
    w->done = false;
    assert_ok(bh_walk_start(&w->walker, bh_str_c(name), type, take_views, w));
    for (int i = 0; i < 2000 && !w->done; i++)
        bh_loop_turn(w->loop, 10);
    assert_true(w->done);
    assert_ok(w->err);
    assert_true(bh_list_empty(&w->walker.walks));
}

static void test_what_is_there(void **state)
{
    struct world *w = *state;

    walk(w, "S1._domainkey.customer.example", BH_DNS_TXT);
    assert_int_equal(w->count, 1);
    assert_int_equal(w->status, BH_DNS_FOUND);
    assert_int_equal(w->rdatas, 1);
    assert_string_equal(w->server, "ns1.customer.example 127.0.0.1");
    walk(w, "bounce.customer.example", BH_DNS_CNAME);
    assert_int_equal(w->status, BH_DNS_FOUND);
}

static void test_a_large_answer_comes_by_tcp(void **state)
{
    struct world *w = *state;

    walk(w, "big.customer.example", BH_DNS_TXT);
    assert_int_equal(w->status, BH_DNS_FOUND);
    assert_int_equal(bh_dns_server_stats(w->servers[0])->truncated, 1);
    assert_int_equal(bh_dns_server_stats(w->servers[0])->tcp_queries, 1);
}

static void test_what_is_not_there(void **state)
{
    struct world *w = *state;

    walk(w, "s2._domainkey.customer.example", BH_DNS_TXT);
    assert_int_equal(w->status, BH_DNS_NXDOMAIN);
    walk(w, "_domainkey.customer.example", BH_DNS_TXT);
    assert_int_equal(w->status, BH_DNS_NODATA);
}

static void test_the_cut_is_the_parents(void **state)
{
    struct world *w = *state;

    walk(w, "email.customer.example", BH_DNS_NS);
    assert_int_equal(w->status, BH_DNS_FOUND);
    assert_int_equal(w->rdatas, 2);
    assert_string_equal(w->zone, "customer.example");
}

static void test_down_a_delegation(void **state)
{
    struct world *w = *state;

    walk(w, "x.deep.customer.example", BH_DNS_TXT);
    assert_int_equal(w->status, BH_DNS_FOUND);
    assert_string_equal(w->server, "ns.deep.customer.example 127.0.0.2");
    assert_string_equal(w->zone, "deep.customer.example");
}

static void test_the_apex(void **state)
{
    struct world *w = *state;

    walk(w, "customer.example", BH_DNS_SOA);
    assert_string_equal(w->zone, "customer.example");
    walk(w, "a.b.customer.example", BH_DNS_SOA);
    assert_int_equal(w->status, BH_DNS_NXDOMAIN);
    assert_string_equal(w->zone, "customer.example");
    walk(w, "y.deep.customer.example", BH_DNS_SOA);
    assert_string_equal(w->zone, "deep.customer.example");
}

/* Also where the name is itself what a registry delegates; and a public suffix need not be a zone. */
static void test_ds_and_ns_are_the_parents(void **state)
{
    struct world *w = *state;

    walk(w, "customer.example", BH_DNS_DS);
    assert_int_equal(w->status, BH_DNS_FOUND);
    assert_int_equal(w->rdatas, 1);
    assert_string_equal(w->zone, "example");
    walk(w, "customer.example", BH_DNS_NS);
    assert_int_equal(w->status, BH_DNS_FOUND);
    assert_string_equal(w->zone, "example");
    walk(w, "insecure.example", BH_DNS_NS); /* which nobody serves */
    assert_int_equal(w->status, BH_DNS_FOUND);
    walk(w, "insecure.example", BH_DNS_DS);
    assert_int_equal(w->status, BH_DNS_NODATA);
    assert_string_equal(w->zone, "example");
    walk(w, "deep.customer.example", BH_DNS_DS);
    assert_int_equal(w->status, BH_DNS_NODATA);
    assert_string_equal(w->zone, "customer.example");
    walk(w, "customer.none.example", BH_DNS_DS);
    assert_int_equal(w->status, BH_DNS_NXDOMAIN);
    assert_string_equal(w->zone, "example");
}

static void test_a_lame_server_is_not_an_answer(void **state)
{
    struct world *w = *state;

    walk(w, "x.lame.customer.example", BH_DNS_TXT);
    assert_int_equal(w->status, BH_DNS_TEMPFAIL);
    assert_non_null(strstr(w->why, "REFUSED"));
}

/* Servers that never answer: bound, and silent. */
static void test_the_deadline(void **state)
{
    struct world *w = *state;
    uint16_t port = w->walker.port, bound;
    int one = bind_to("127.0.0.3", SOCK_DGRAM, port, &bound), two = bind_to("127.0.0.4", SOCK_DGRAM, port, &bound);

    assert_true(one >= 0 && two >= 0);
    w->walker.deadline_ms = 300;
    walk(w, "x.slow.customer.example", BH_DNS_TXT);
    assert_int_equal(w->count, 1);
    assert_int_equal(w->status, BH_DNS_TEMPFAIL);
    assert_string_equal(w->zone, "slow.customer.example");
    (void)close(one);
    (void)close(two);
}

static void test_what_the_resolver_says(void **state)
{
    struct world *w = *state;

    walk(w, "www.unknown.example", BH_DNS_TXT); /* nobody has registered it */
    assert_int_equal(w->status, BH_DNS_NXDOMAIN);
    walk(w, "www.broken.example", BH_DNS_TXT);
    assert_int_equal(w->status, BH_DNS_TEMPFAIL);
    assert_ok(bh_walk_resolver(&w->walker, BH_STR("seen.example"), BH_DNS_TXT, take_views, w));
    assert_string_equal(w->server, "resolver");
    assert_int_equal(w->status, BH_DNS_FOUND);
    assert_int_equal(bh_walk_start(&w->walker, BH_STR("a..example"), BH_DNS_TXT, take_views, w), BH_E_SYNTAX);
}

static void test_stopping_in_the_middle(void **state)
{
    struct world *w = *state;

    w->done = false;
    assert_ok(bh_walk_start(&w->walker, BH_STR("x.deep.customer.example"), BH_DNS_TXT, take_views, w));
    bh_walker_stop(&w->walker);
    assert_true(w->done);
    assert_int_equal(w->err, BH_E_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_there, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_large_answer_comes_by_tcp, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_what_is_not_there, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_the_cut_is_the_parents, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_down_a_delegation, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_ds_and_ns_are_the_parents, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_the_apex, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_lame_server_is_not_an_answer, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_the_deadline, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_what_the_resolver_says, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_stopping_in_the_middle, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
