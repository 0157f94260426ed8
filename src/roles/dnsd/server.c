/* The name server apart from its sockets: making, answering, counting. */
#include "server.h"
#include <stdlib.h>

struct bh_dns_server_options bh_dns_server_defaults(void)
{
    return (struct bh_dns_server_options){
        .answer = {.udp_max = BH_DNS_UDP_SAFE_MAX}, .tcp_max = 1000, .tcp_per_address = 50, .tcp_idle_ms = 10000};
}

struct bh_dns_server *bh_dns_server_new(struct bh_loop *loop, const struct bh_dns_server_options *options,
                                        struct bh_random *random)
{
    struct bh_dns_server *server = calloc(1, sizeof *server);
    uint64_t seeds[2];

    if (!server)
        return NULL;
    bh_random_fill(random, seeds, sizeof seeds);
    server->loop = loop;
    server->options = *options;
    bh_map_init(&server->zone_counts, seeds);
    bh_list_init(&server->sockets);
    bh_list_init(&server->listeners);
    bh_list_init(&server->connections);
    server->none = bh_dns_zones_new(0);
    server->zones = server->none;
    server->random = random;
    server->cookies.count = 1;
    bh_random_fill(random, server->cookies.secret[0], sizeof server->cookies.secret[0]);
    server->options.answer.cookies = &server->cookies;
    if (options->rate_per_s) {
        uint64_t seed;

        bh_random_fill(random, &seed, sizeof seed);
        server->rate = bh_dns_rate_new(options->rate_per_s, seed);
        if (!server->rate) {
            bh_dns_server_free(server);
            return NULL;
        }
    }
    if (!server->none || bh_dns_tcp_init(server, random) != BH_OK || bh_dns_notify_init(server) != BH_OK) {
        bh_dns_server_free(server);
        return NULL;
    }
    return server;
}

void bh_dns_server_free(struct bh_dns_server *server)
{
    if (!server)
        return;
    bh_dns_udp_free_all(server);
    bh_dns_tcp_free_all(server);
    bh_dns_notify_free(server);
    bh_dns_counts_free(server);
    bh_dns_zones_free(server->none);
    bh_dns_rate_free(server->rate);
    bh_wipe(&server->cookies, sizeof server->cookies);
    bh_wipe(server->keys, sizeof server->keys);
    free(server);
}

void bh_dns_server_use(struct bh_dns_server *server, const struct bh_dns_zones *zones)
{
    server->zones = zones ? zones : server->none;
}

const struct bh_dns_server_stats *bh_dns_server_stats(const struct bh_dns_server *server)
{
    return &server->stats;
}

void bh_dns_server_cookies(struct bh_dns_server *server, const struct bh_dns_cookie_secrets *secrets)
{
    server->cookies = *secrets;
}

void bh_dns_server_sample(struct bh_dns_server *server, uint32_t every)
{
    server->options.sample_every = server->options.on_sample ? every : 0;
    server->until_sample = 0;
}

static bh_str address_of(const struct sockaddr_storage *client)
{
    if (client->ss_family == AF_INET)
        return (bh_str){(const char *)&((const struct sockaddr_in *)client)->sin_addr, 4};
    return (bh_str){(const char *)&((const struct sockaddr_in6 *)client)->sin6_addr, 16};
}

static bool is_loopback(const struct sockaddr_storage *client)
{
    if (client->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)client)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)client)->sin6_addr);
}

/* The response cut to header and question, with TC. */
static size_t slip(char *out, size_t n)
{
    struct bh_dns_message message;

    if (bh_dns_message_parse((bh_str){out, n}, &message))
        return 0;
    out[2] = (char)(out[2] | BH_DNS_TC >> 8);
    memset(out + 6, 0, 6);
    return message.records_at;
}

/* What the rate limit leaves of a response over UDP. */
static size_t limit_rate(struct bh_dns_server *server, const struct sockaddr_storage *client,
                         const struct bh_dns_outcome *outcome, void *out, size_t n)
{
    if (!server->rate || n == 0 || outcome->cookie == BH_DNS_COOKIE_VALID || outcome->truncated || is_loopback(client))
        return n;
    switch (bh_dns_rate_check(server->rate, address_of(client), outcome, bh_loop_monotonic(server->loop))) {
    case BH_DNS_RATE_SLIP:
        server->stats.slipped++;
        return slip(out, n);
    case BH_DNS_RATE_DROP:
        server->stats.limited++;
        return 0;
    case BH_DNS_RATE_SEND:
    default:
        return n;
    }
}

static void count(struct bh_dns_server *server, enum bh_dns_transport transport, const struct bh_dns_outcome *outcome)
{
    server->stats.outcomes[outcome->class]++;
    server->stats.truncated += outcome->truncated;
    if (outcome->zone)
        bh_dns_count_zone(server, outcome);
    if (transport == BH_DNS_UDP)
        server->stats.udp_queries++;
    else
        server->stats.tcp_queries++;
}

size_t bh_dns_server_answer(struct bh_dns_server *server, enum bh_dns_transport transport,
                            const struct sockaddr_storage *from, bh_str query, void *out, size_t cap,
                            struct bh_dns_stream **ret_stream)
{
    struct bh_dns_client client = {transport, (uint32_t)(bh_loop_now(server->loop) / 1000), address_of(from)};
    struct bh_dns_outcome outcome;
    size_t n = bh_dns_answer(server->zones, &server->options.answer, &client, query, out, cap, &outcome);

    count(server, transport, &outcome);
    if (server->options.sample_every && server->until_sample-- == 0) {
        server->until_sample = server->options.sample_every - 1;
        server->options.on_sample(server->options.sample_ctx,
                                  &(struct bh_dns_sample){from, transport, query, &outcome});
    }
    if (outcome.special == BH_DNS_SPECIAL_NONE)
        return transport == BH_DNS_UDP ? limit_rate(server, from, &outcome, out, n) : n;
    if (outcome.special == BH_DNS_SPECIAL_RESPONSE) {
        if (transport == BH_DNS_UDP)
            bh_dns_notify_response(server, from, query);
        return 0;
    }
    return bh_dns_server_special(server, transport, query, out, cap, n, ret_stream);
}
