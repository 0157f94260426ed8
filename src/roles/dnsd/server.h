/* server.h: what the halves of the name server share; private to this folder. */
#ifndef BH_ROLES_DNSD_SERVER_H
#define BH_ROLES_DNSD_SERVER_H

#include "base/heap.h"
#include "base/map.h"
#include "dns_server.h"
#include "proto/dns/transfer.h"
#include <netinet/in.h>
#include <sys/socket.h>

enum { BH_DNS_KEYS_MAX = 16, BH_DNS_SECONDARIES_MAX = 16 };

struct bh_dns_udp;      /* one UDP socket */
struct bh_dns_listener; /* one listening TCP socket */

struct bh_dns_server {
    struct bh_loop *loop;
    struct bh_dns_server_options options;
    struct bh_dns_server_stats stats;
    struct bh_map zone_counts; /* of bh_dns_zone_counts */
    uint32_t until_sample;
    const struct bh_dns_zones *zones;
    struct bh_dns_zones *none; /* an empty set, for when there are no zones */
    struct bh_list sockets;    /* of bh_dns_udp */
    struct bh_list listeners;
    struct bh_list connections; /* least recently active first */
    unsigned connection_count;
    struct bh_map addresses; /* connections per client address */
    struct bh_timer sweep;
    char *scratch; /* one TCP response */
    struct bh_dns_cookie_secrets cookies;
    struct bh_dns_rate *rate; /* or NULL */
    struct bh_dns_tsig_key keys[BH_DNS_KEYS_MAX];
    size_t key_count;
    struct sockaddr_storage secondaries[BH_DNS_SECONDARIES_MAX];
    size_t secondary_count;
    struct bh_random *random;
    struct bh_map notices; /* by secondary and zone */
    struct bh_heap notice_queue;
    struct bh_timer notify_timer;
    struct bh_dns_batch *batch; /* memory for one round of UDP, shared by all sockets */
};

/* A zone on its way to a secondary, over one connection. */
struct bh_dns_stream {
    struct bh_dns_transfer transfer;
    struct bh_dns_tsig tsig;
};

/* Answers one query from `client` and counts it. Returns the size of the response, 0 for none. *ret_stream (TCP only;
 * else NULL) is set when more messages follow: take them from bh_dns_stream_next. */
size_t bh_dns_server_answer(struct bh_dns_server *server, enum bh_dns_transport transport,
                            const struct sockaddr_storage *client, bh_str query, void *out, size_t cap,
                            struct bh_dns_stream **ret_stream);

/* What bh_dns_answer leaves to the server: signed queries, transfers. `n` is the response that is there already; the
 * result is the one to send. */
size_t bh_dns_server_special(struct bh_dns_server *server, enum bh_dns_transport transport, bh_str query, void *out,
                             size_t cap, size_t n, struct bh_dns_stream **ret_stream);
/* The next message of a transfer, signed; 0 at the end. */
size_t bh_dns_stream_next(struct bh_dns_server *server, struct bh_dns_stream *stream, void *out, size_t cap);
void bh_dns_stream_free(struct bh_dns_stream *stream);

/* counts.c: one query for a name in this zone. */
void bh_dns_count_zone(struct bh_dns_server *server, const struct bh_dns_outcome *outcome);
void bh_dns_counts_free(struct bh_dns_server *server);

BH_MUST bh_err bh_dns_notify_init(struct bh_dns_server *server);
void bh_dns_notify_free(struct bh_dns_server *server);
/* Forgets what is under way. */
void bh_dns_notify_clear(struct bh_dns_server *server);
/* A response came to a UDP socket of ours: perhaps a secondary confirms. */
void bh_dns_notify_response(struct bh_dns_server *server, const struct sockaddr_storage *from, bh_str response);
/* Sends from the first UDP socket of the address's family; false when there is none or it does not go. */
bool bh_dns_udp_send(struct bh_dns_server *server, const struct sockaddr_storage *to, bh_str packet);

void bh_dns_udp_free_notifiers(struct bh_dns_server *server);
void bh_dns_udp_free_all(struct bh_dns_server *server);
BH_MUST bh_err bh_dns_tcp_init(struct bh_dns_server *server, struct bh_random *random);
void bh_dns_tcp_free_all(struct bh_dns_server *server);

#endif
