/* tell.c: what dnsd tells people: counters for controld, one query in so many for the log. */
#include "dnsd.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

enum { ZONES_TOLD_MAX = 1000 };

static void put_zone(struct bh_buf *list, const struct bh_dns_zone_counts *counts)
{
    struct bh_buf name = bh_buf_make(4 * BH_DNS_NAME_MAX);

    bh_dns_name_print(&name, counts->node.key);
    bh_rec_dns_zone_stats_put(list, &(struct bh_rec_dns_zone_stats){
                                        .zone = bh_buf_view(&name),
                                        .positive = counts->outcomes[BH_DNS_OUTCOME_POSITIVE],
                                        .wildcard = counts->outcomes[BH_DNS_OUTCOME_WILDCARD],
                                        .nodata = counts->outcomes[BH_DNS_OUTCOME_NODATA],
                                        .nxdomain = counts->outcomes[BH_DNS_OUTCOME_NXDOMAIN],
                                        .referral = counts->outcomes[BH_DNS_OUTCOME_REFERRAL],
                                    });
    bh_buf_free(&name);
}

bh_err bh_tell_stats(struct bh_dnsd *dnsd, struct bh_peer *peer, const struct bh_ipc_message *message)
{
    const struct bh_dns_server_stats *s = bh_dns_server_stats(dnsd->server);
    const struct bh_dns_zone_counts **top = NULL;
    struct bh_buf zones = bh_buf_make(BH_IPC_BODY_MAX / 2);
    struct bh_msg_dns_stats ask;
    struct bh_msg_dns_stats_reply reply;
    size_t count = 0;
    bh_err err = bh_msg_dns_stats_get(message->body, &ask);

    if (!err)
        err = bh_dns_server_top_zones(dnsd->server, ask.limit < ZONES_TOLD_MAX ? ask.limit : ZONES_TOLD_MAX, &top,
                                      &count);
    for (size_t i = 0; i < count; i++)
        put_zone(&zones, top[i]);
    free(top);
    reply = (struct bh_msg_dns_stats_reply){
        .udp_queries = s->udp_queries,
        .tcp_queries = s->tcp_queries,
        .positive = s->outcomes[BH_DNS_OUTCOME_POSITIVE],
        .wildcard = s->outcomes[BH_DNS_OUTCOME_WILDCARD],
        .nodata = s->outcomes[BH_DNS_OUTCOME_NODATA],
        .nxdomain = s->outcomes[BH_DNS_OUTCOME_NXDOMAIN],
        .referral = s->outcomes[BH_DNS_OUTCOME_REFERRAL],
        .refused = s->outcomes[BH_DNS_OUTCOME_REFUSED],
        .error = s->outcomes[BH_DNS_OUTCOME_ERROR],
        .dropped = s->outcomes[BH_DNS_OUTCOME_DROPPED],
        .truncated = s->truncated,
        .rate_limited = s->slipped + s->limited,
        .transfers = s->transfers,
        .notifies = s->notifies,
        .notifies_lost = s->notify_lost,
        .tcp_connections = s->tcp_connections,
        .tcp_refused = s->tcp_refused,
        .zones = bh_buf_view(&zones),
    };
    if (!err)
        err = BH_PEER_SEND(peer, DNS_STATS_REPLY, message->id, dns_stats_reply, &reply);
    bh_buf_free(&zones);
    return err;
}

static const char *class_name(enum bh_dns_outcome_class class)
{
    static const char *const names[BH_DNS_OUTCOMES] = {"positive", "wildcard", "nodata", "nxdomain",
                                                       "referral", "refused",  "error",  "dropped"};

    return class < BH_DNS_OUTCOMES ? names[class] : "?";
}

static void print_address(const struct sockaddr_storage *client, char *out, socklen_t n)
{
    const void *at = client->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)client)->sin_addr
                                                  : (const void *)&((const struct sockaddr_in6 *)client)->sin6_addr;

    if (!inet_ntop(client->ss_family, at, out, n))
        out[0] = '\0';
}

void bh_tell_sample(void *ctx, const struct bh_dns_sample *sample)
{
    const struct bh_role *role = ctx;
    struct bh_buf name = bh_buf_make(4 * BH_DNS_NAME_MAX), type = bh_buf_make(64);
    char client[INET6_ADDRSTRLEN];
    struct bh_dns_message message;

    if (bh_dns_message_parse(sample->query, &message) == BH_OK && message.counts[BH_DNS_QUESTION]) {
        bh_dns_name_print(&name, bh_dns_name_view(&message.name));
        bh_dns_type_print(&type, message.type);
    }
    print_address(sample->client, client, sizeof(client));
    bh_log_line(&role->log, BH_LOG_INFO, "query", BH_KV("client", bh_str_c(client)),
                BH_KV("by", bh_str_c(sample->transport == BH_DNS_UDP ? "udp" : "tcp")),
                BH_KV("name", bh_buf_view(&name)), BH_KV("type", bh_buf_view(&type)),
                BH_KV("answer", bh_str_c(class_name(sample->outcome->class))));
    bh_buf_free(&name);
    bh_buf_free(&type);
}
