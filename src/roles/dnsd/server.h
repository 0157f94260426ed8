/* server.h: what the halves of the name server share; private to this folder. */
#ifndef BH_ROLES_DNSD_SERVER_H
#define BH_ROLES_DNSD_SERVER_H

#include "base/map.h"
#include "dns_server.h"
#include <netinet/in.h>
#include <sys/socket.h>

struct bh_dns_udp;      /* one UDP socket */
struct bh_dns_listener; /* one listening TCP socket */

struct bh_dns_server {
    struct bh_loop *loop;
    struct bh_dns_server_options options;
    struct bh_dns_server_stats stats;
    const struct bh_dns_zones *zones;
    struct bh_dns_zones *none; /* an empty set, for when there are no zones */
    struct bh_list sockets;    /* of bh_dns_udp */
    struct bh_list listeners;
    struct bh_list connections; /* least recently active first */
    unsigned connection_count;
    struct bh_map addresses; /* connections per client address */
    struct bh_timer sweep;
    char *scratch;              /* one TCP response */
    struct bh_dns_batch *batch; /* memory for one round of UDP, shared by all sockets */
};

/* Answers one query from `client` and counts it. Returns the size of the response, 0 for none. */
size_t bh_dns_server_answer(struct bh_dns_server *server, enum bh_dns_transport transport,
                            const struct sockaddr_storage *client, bh_str query, void *out, size_t cap);

void bh_dns_udp_free_all(struct bh_dns_server *server);
BH_MUST bh_err bh_dns_tcp_init(struct bh_dns_server *server, struct bh_random *random);
void bh_dns_tcp_free_all(struct bh_dns_server *server);

#endif
