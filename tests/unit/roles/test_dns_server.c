/* The name server on real sockets of the loopback: UDP, TCP in pieces and in a row, shares, idle clients, zones in. */
#include "roles/dnsd/dns_server.h"
#include "roles/dnsd/zones_in.h"
#include "unit.h"
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
    struct bh_loop *loop;
    struct bh_dns_server *server;
    struct bh_dns_follower follower;
    struct sockaddr_in udp, tcp;
};

static int bound_socket(int type, struct sockaddr_in *ret_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 100), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address, &n), 0);
    return fd;
}

static void put_zone(struct bh_dns_follower *follower, const char *name, uint32_t serial)
{
    struct bh_buf records = bh_buf_make(10000), rdata = bh_buf_make(1000);
    struct bh_msg_zone message = {.name = bh_str_c(name)};
    struct bh_dns_zone_error error;

    bh_buf_printf(&rdata, ". . %u 2 3 4 5", serial);
    {
        struct bh_buf soa = bh_buf_make(1000);

        assert_ok(bh_dns_rdata_parse_text(BH_DNS_SOA, bh_buf_view(&rdata), NULL, &soa));
        bh_rec_zone_record_put(&records,
                               &(struct bh_rec_zone_record){bh_str_c(name), BH_DNS_SOA, 60, bh_buf_view(&soa)});
        bh_buf_free(&soa);
    }
    bh_rec_zone_record_put(&records,
                           &(struct bh_rec_zone_record){BH_STR("www.a.test"), BH_DNS_A, 60, BH_STR("\x7f\0\0\1")});
    message.records = bh_buf_view(&records);
    assert_ok(bh_zones_in_put(&(struct bh_zones_in){0}, follower, &message, &error));
    bh_buf_free(&records);
    bh_buf_free(&rdata);
}

static void open_world(struct world *world, unsigned per_address, int64_t idle_ms)
{
    struct bh_dns_server_options options = bh_dns_server_defaults();

    options.tcp_per_address = per_address;
    options.tcp_idle_ms = idle_ms;
    world->loop = bh_loop_new();
    world->server = bh_dns_server_new(world->loop, &options, &bh_random_os);
    assert_non_null(world->server);
    assert_ok(bh_dns_server_add_udp(world->server, bound_socket(SOCK_DGRAM, &world->udp)));
    assert_ok(bh_dns_server_add_tcp(world->server, bound_socket(SOCK_STREAM, &world->tcp)));
    assert_ok(bh_dns_follower_init(&world->follower, 1));
    put_zone(&world->follower, "a.test", 1);
    assert_ok(bh_dns_follower_commit(&world->follower, true));
    bh_dns_server_use(world->server, world->follower.zones);
}

static void close_world(struct world *world)
{
    bh_dns_server_free(world->server);
    bh_dns_follower_free(&world->follower);
    bh_loop_free(world->loop);
}

static int connect_to(const struct sockaddr_in *address, int type)
{
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
    return fd;
}

static size_t make_query(char *out, const char *name, uint16_t id)
{
    struct bh_buf packet = bh_buf_make(600);
    struct bh_dns_name wire;
    size_t n;

    assert_ok(bh_dns_name_parse(bh_str_c(name), NULL, &wire));
    bh_buf_u16(&packet, 0);
    assert_ok(bh_dns_query_write(&packet, id, 0, bh_dns_name_view(&wire), BH_DNS_A, 1232, false));
    packet.p[1] = (char)(packet.n - 2);
    memcpy(out, packet.p, packet.n);
    n = packet.n;
    bh_buf_free(&packet);
    return n;
}

/* Turns the loop until `fd` has something or a second is over; what recv gives. */
static ssize_t receive(struct world *world, int fd, char *out, size_t n)
{
    for (int i = 0; i < 100; i++) {
        ssize_t got;

        bh_loop_turn(world->loop, 10);
        got = recv(fd, out, n, MSG_DONTWAIT);
        if (got >= 0 || errno != EAGAIN)
            return got;
    }
    return -2;
}

static void test_udp(void **state)
{
    struct world world;
    char query[600], response[2000];
    int fd;
    size_t n = make_query(query, "WWW.a.test", 7);
    ssize_t got;

    open_world(&world, 10, 1000);
    fd = connect_to(&world.udp, SOCK_DGRAM);
    for (int i = 0; i < 40; i++) /* more than a batch */
        assert_int_equal(send(fd, query + 2, n - 2, 0), n - 2);
    for (int i = 0; i < 40; i++) {
        got = receive(&world, fd, response, sizeof response);
        assert_true(got > 12);
        assert_int_equal(response[7], 1);
    }
    assert_int_equal(send(fd, "x", 1, 0), 1); /* garbage gets nothing */
    assert_int_equal(receive(&world, fd, response, sizeof response), -2);
    assert_int_equal(bh_dns_server_stats(world.server)->outcomes[BH_DNS_OUTCOME_POSITIVE], 40);
    (void)close(fd);
    close_world(&world);
}

static void test_tcp_in_pieces(void **state)
{
    struct world world;
    char query[600], response[4000];
    size_t n = make_query(query, "www.a.test", 7), have = 0;
    int fd;

    open_world(&world, 10, 1000);
    fd = connect_to(&world.tcp, SOCK_STREAM);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(send(fd, query + i, 1, 0), 1);
        bh_loop_turn(world.loop, 1);
    }
    assert_true(receive(&world, fd, response, sizeof response) > 14);
    for (int i = 0; i < 20; i++)
        assert_int_equal(send(fd, query, n, 0), n);
    while (have < 20 * (n + 16)) { /* each answer is the query and one A record */
        ssize_t got = receive(&world, fd, response, sizeof response);

        assert_true(got > 0);
        have += (size_t)got;
    }
    assert_int_equal(have, 20 * (n + 16));
    (void)close(fd);
    close_world(&world);
}

static void test_tcp_limits(void **state)
{
    struct world world;
    char query[600], response[100];
    size_t n = make_query(query, "www.a.test", 7);
    int fds[4];

    open_world(&world, 3, 200);
    for (int i = 0; i < 4; i++) {
        fds[i] = connect_to(&world.tcp, SOCK_STREAM);
        bh_loop_turn(world.loop, 10);
    }
    assert_true(receive(&world, fds[3], response, sizeof response) <= 0); /* over its share: closed */
    assert_int_equal(bh_dns_server_stats(world.server)->tcp_refused, 1);
    assert_int_equal(send(fds[0], query, n, 0), n);
    assert_true(receive(&world, fds[0], response, sizeof response) > 14);
    /* who dribbles is closed, too */
    for (int i = 0; i < 250; i++) {
        (void)send(fds[1], query, i == 0 ? 1 : 0, MSG_NOSIGNAL);
        bh_loop_turn(world.loop, 10);
    }
    assert_true(receive(&world, fds[1], response, sizeof response) <= 0);
    assert_int_equal(bh_dns_server_stats(world.server)->tcp_timeouts, 3);
    for (int i = 0; i < 4; i++)
        (void)close(fds[i]);
    close_world(&world);
}

static void test_zones_in(void **state)
{
    struct bh_dns_follower follower;
    struct bh_dns_zone_error error = {0};
    struct bh_zones_in in = {0};
    struct bh_msg_zone bad = {.name = BH_STR("a.test")};

    assert_ok(bh_dns_follower_init(&follower, 1));
    put_zone(&follower, "A.test", 1);
    assert_ok(bh_dns_follower_commit(&follower, true));
    assert_int_equal(bh_zones_in_put(&in, &follower, &bad, &error), BH_E_INVALID); /* no SOA */
    assert_string_equal(error.why, "no SOA at the apex");
    bad.records = BH_STR("\0\0\0\1");
    assert_int_equal(bh_zones_in_put(&in, &follower, &bad, &error), BH_E_TRUNCATED);
    assert_ok(bh_zones_in_remove(&follower, BH_STR("\1a\4test\0"))); /* wire form is understood as well */
    assert_ok(bh_dns_follower_commit(&follower, false));
    assert_int_equal(bh_dns_zones_count(follower.zones), 0);
    bh_dns_follower_free(&follower);
}

static void put_part(struct bh_zones_in *in, struct bh_dns_follower *follower, const char *zone, bool more,
                     bh_str owner, uint16_t type, const char *rdata_text, bh_err expected)
{
    struct bh_buf rdata = bh_buf_make(1000), records = bh_buf_make(1000);
    struct bh_dns_zone_error error = {0};
    struct bh_msg_zone message = {.name = bh_str_c(zone), .more = more};

    assert_ok(bh_dns_rdata_parse_text(type, bh_str_c(rdata_text), NULL, &rdata));
    bh_rec_zone_record_put(&records, &(struct bh_rec_zone_record){owner, type, 60, bh_buf_view(&rdata)});
    message.records = bh_buf_view(&records);
    assert_int_equal(bh_zones_in_put(in, follower, &message, &error), expected);
    bh_buf_free(&rdata);
    bh_buf_free(&records);
}

static void test_zones_in_parts(void **state)
{
    struct bh_zones_in in = {0};
    struct bh_dns_follower follower;

    (void)state;
    assert_ok(bh_dns_follower_init(&follower, 1));
    put_part(&in, &follower, "a.test", true, BH_STR("a.test"), BH_DNS_SOA, "ns.a.test. h.a.test. 1 2 3 4 5", BH_OK);
    put_part(&in, &follower, "a.test", true, BH_STR("a.test"), BH_DNS_NS, "ns.a.test.", BH_OK);
    put_part(&in, &follower, "a.test", false, BH_STR("ns.a.test"), BH_DNS_A, "192.0.2.1", BH_OK);
    assert_ok(bh_dns_follower_commit(&follower, true));
    assert_int_equal(bh_dns_zones_count(follower.zones), 1);
    /* a part that is refused takes its zone along, and no other */
    put_part(&in, &follower, "b.test", true, BH_STR("elsewhere.test"), BH_DNS_A, "192.0.2.1", BH_E_INVALID);
    put_part(&in, &follower, "b.test", false, BH_STR("b.test"), BH_DNS_NS, "ns.a.test.", BH_OK);
    put_part(&in, &follower, "c.test", true, BH_STR("c.test"), BH_DNS_SOA, "ns.a.test. h.a.test. 1 2 3 4 5", BH_OK);
    put_part(&in, &follower, "d.test", false, BH_STR("d.test"), BH_DNS_NS, "ns.a.test.", BH_E_SYNTAX);
    assert_ok(bh_dns_follower_commit(&follower, false));
    assert_int_equal(bh_dns_zones_count(follower.zones), 1);
    bh_dns_follower_free(&follower);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_udp), cmocka_unit_test(test_tcp_in_pieces),
                                       cmocka_unit_test(test_tcp_limits), cmocka_unit_test(test_zones_in),
                                       cmocka_unit_test(test_zones_in_parts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
