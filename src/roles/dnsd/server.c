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

    if (!server)
        return NULL;
    server->loop = loop;
    server->options = *options;
    bh_list_init(&server->sockets);
    bh_list_init(&server->listeners);
    bh_list_init(&server->connections);
    server->none = bh_dns_zones_new(0);
    server->zones = server->none;
    server->random = random;
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
    bh_dns_zones_free(server->none);
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

size_t bh_dns_server_answer(struct bh_dns_server *server, enum bh_dns_transport transport,
                            const struct sockaddr_storage *client, bh_str query, void *out, size_t cap,
                            struct bh_dns_stream **ret_stream)
{
    struct bh_dns_outcome outcome;
    size_t n = bh_dns_answer(server->zones, &server->options.answer, transport, query, out, cap, &outcome);

    server->stats.outcomes[outcome.class]++;
    server->stats.truncated += outcome.truncated;
    if (transport == BH_DNS_UDP)
        server->stats.udp_queries++;
    else
        server->stats.tcp_queries++;
    if (outcome.special == BH_DNS_SPECIAL_NONE)
        return n;
    if (outcome.special == BH_DNS_SPECIAL_RESPONSE) {
        if (transport == BH_DNS_UDP)
            bh_dns_notify_response(server, client, query);
        return 0;
    }
    return bh_dns_server_special(server, transport, query, out, cap, n, ret_stream);
}
