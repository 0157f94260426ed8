/* dns_server.h: a name server on bound sockets: UDP in batches (recvmmsg, sendmmsg), TCP with pipelining (RFC 7766).
 * Lives on the caller's loop and answers from the caller's zones; the role dnsd and `behalf dns serve` are both it.
 *
 * Limits that keep normal clients served: a connection that completes no query within the idle time is closed, whatever
 * it dribbles; when all places are taken the one idle for longest goes; an address (IPv6: a /64) has a share only; a
 * client that does not read its responses is not read from. */
#ifndef BH_ROLES_DNSD_DNS_SERVER_H
#define BH_ROLES_DNSD_DNS_SERVER_H

#include "base/map.h"
#include "base/random.h"
#include "io/loop.h"
#include "proto/dns/rate.h"
#include "proto/dns/tsig.h"
#include <sys/socket.h>

struct bh_dns_server;

/* One of the queries that are logged. */
struct bh_dns_sample {
    const struct sockaddr_storage *client;
    enum bh_dns_transport transport;
    bh_str query; /* the packet */
    const struct bh_dns_outcome *outcome;
};

struct bh_dns_server_options {
    struct bh_dns_answer_options answer; /* its cookies are the server's: bh_dns_server_cookies */
    unsigned rate_per_s;                 /* equal responses over UDP to one network; 0: no limit */
    unsigned tcp_max;                    /* connections at once */
    unsigned tcp_per_address;            /* of these from one address */
    int64_t tcp_idle_ms;
    int64_t notify_delay_ms; /* before the first NOTIFY of a change: other servers on the port need it by then */
    uint32_t sample_every;   /* one query in so many goes to on_sample; 0: none */
    void (*on_sample)(void *ctx, const struct bh_dns_sample *sample);
    void *sample_ctx;
};

/* udp_max 1232, no rate limit, 1000 connections, 50 an address, 10 s idle. */
struct bh_dns_server_options bh_dns_server_defaults(void);

struct bh_dns_server_stats {
    uint64_t udp_queries, tcp_queries;
    uint64_t outcomes[BH_DNS_OUTCOMES];
    uint64_t truncated;
    uint64_t slipped, limited;      /* by the rate limit: answered with TC, not answered */
    uint64_t udp_lost;              /* responses that the kernel did not take */
    uint64_t transfers;             /* begun */
    uint64_t notifies, notify_lost; /* sent, repetitions included; never confirmed */
    uint64_t tcp_connections, tcp_refused, tcp_timeouts;
};

/* NULL when out of memory. Owner: the caller; the loop must outlive it. */
struct bh_dns_server *bh_dns_server_new(struct bh_loop *loop, const struct bh_dns_server_options *options,
                                        struct bh_random *random);
/* Closes all sockets. NULL is fine. */
void bh_dns_server_free(struct bh_dns_server *server);
/* Serves on a bound UDP socket, or a bound and listening TCP socket; takes over `fd`, also on error. BH_E_NOMEM,
 * BH_E_IO. */
BH_MUST bh_err bh_dns_server_add_udp(struct bh_dns_server *server, int fd);
BH_MUST bh_err bh_dns_server_add_tcp(struct bh_dns_server *server, int fd);
/* Answers from `zones` from now on, which must live until the next call; NULL answers REFUSED to all. */
void bh_dns_server_use(struct bh_dns_server *server, const struct bh_dns_zones *zones);

/* ---- secondaries: transfers (AXFR, IXFR as AXFR) over TCP for who has a key, and NOTIFY to those who shall come ----
 */

/* Secondaries with this key may transfer every zone. BH_E_LIMIT over 16. */
BH_MUST bh_err bh_dns_server_add_key(struct bh_dns_server *server, const struct bh_dns_tsig_key *key);
/* Changes are told to this address, from a UDP socket of the server's. BH_E_LIMIT over 16. */
BH_MUST bh_err bh_dns_server_add_secondary(struct bh_dns_server *server, const struct sockaddr_storage *address);
/* A UDP socket for that alone; without one it is the first that queries come to. For where several servers share a
 * port: a confirmation to it could reach another of them. Takes over `fd`, also on error. BH_E_NOMEM, BH_E_IO. */
BH_MUST bh_err bh_dns_server_add_notifier(struct bh_dns_server *server, int fd);
/* Forgets keys, addresses and sockets for them, and what is under way. */
void bh_dns_server_forget_secondaries(struct bh_dns_server *server);
/* Tells all secondaries that the zone has changed, and again with growing intervals until each has confirmed. Nothing
 * when it is under way already. BH_E_NOMEM, BH_E_LIMIT. */
BH_MUST bh_err bh_dns_server_notify(struct bh_dns_server *server, bh_str apex);

/* What waits for its first NOTIFY need not wait longer: the other servers on the port have the zones, too. */
void bh_dns_server_notify_now(struct bh_dns_server *server);

/* Secrets of cookies, the newest first; all servers of a name need the same. A server makes up one of its own at start.
 * Who shows a valid cookie is not rate-limited. */
void bh_dns_server_cookies(struct bh_dns_server *server, const struct bh_dns_cookie_secrets *secrets);

const struct bh_dns_server_stats *bh_dns_server_stats(const struct bh_dns_server *server);
/* Changes the share of queries that are logged. */
void bh_dns_server_sample(struct bh_dns_server *server, uint32_t every);

/* Queries for names in one zone. */
struct bh_dns_zone_counts {
    struct bh_map_node node; /* by the name in wire form, lower case */
    uint64_t outcomes[BH_DNS_OUTCOMES];
    uint64_t all;
};
/* The `limit` zones asked for most, the first most often. *ret_list is the caller's to free; what it points to is the
 * server's until the next query. BH_E_NOMEM. */
BH_MUST bh_err bh_dns_server_top_zones(const struct bh_dns_server *server, size_t limit,
                                       const struct bh_dns_zone_counts ***ret_list, size_t *ret_count);

#endif
