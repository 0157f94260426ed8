/* NOTIFY (RFC 1996): a small message to each secondary whose zone has changed, repeated after 1, 2, 4 … s until it is
 * confirmed with NOERROR or TRIES are used up; then the secondary's own refresh interval must do. At most BURST go out
 * per tick, so that a change of all zones is no flood. */
#include "server.h"
#include <stdlib.h>

enum { TRIES = 7, BURST = 200, TICK_MS = 20, NOTICES_MAX = 2000000 };

struct notice {
    struct bh_map_node node;
    struct bh_heap_node queued;
    uint16_t id;
    uint8_t tries;
    char key[1 + BH_DNS_NAME_MAX]; /* number of the secondary, name in lower case */
    uint8_t key_n;
};

static bh_str notice_key(const struct notice *notice)
{
    return (bh_str){notice->key, notice->key_n + 1u};
}

static void drop_notice(struct bh_dns_server *server, struct notice *notice)
{
    bh_map_remove(&server->notices, &notice->node);
    bh_heap_remove(&server->notice_queue, &notice->queued);
    free(notice);
}

static void send_notice(struct bh_dns_server *server, struct notice *notice)
{
    struct bh_buf packet = bh_buf_make(512);
    bh_str apex = bh_str_skip(notice_key(notice), 1);
    bh_err err =
        bh_dns_query_write(&packet, notice->id, BH_DNS_OPCODE_NOTIFY << 11 | BH_DNS_AA, apex, BH_DNS_SOA, 0, false);

    if (!err)
        (void)bh_dns_udp_send(server, &server->secondaries[(unsigned char)notice->key[0]], bh_buf_view(&packet));
    server->stats.notifies++;
    bh_buf_free(&packet);
}

static void on_tick(void *ctx)
{
    struct bh_dns_server *server = ctx;
    bh_time_ms now = bh_loop_monotonic(server->loop);
    struct bh_heap_node *first;

    for (int sent = 0; sent < BURST && (first = bh_heap_first(&server->notice_queue)) != NULL; sent++) {
        struct notice *notice = BH_CONTAINER_OF(first, struct notice, queued);

        if (first->key > now)
            break;
        if (notice->tries == TRIES) {
            server->stats.notify_lost++;
            drop_notice(server, notice);
            continue;
        }
        send_notice(server, notice);
        bh_heap_change(&server->notice_queue, &notice->queued, now + (1000 << notice->tries++));
    }
    first = bh_heap_first(&server->notice_queue);
    if (first)
        bh_timer_set(&server->notify_timer, first->key - now > TICK_MS ? first->key - now : TICK_MS);
}

static struct notice *find_notice(const struct bh_dns_server *server, bh_str key)
{
    struct bh_map_node *node = bh_map_get(&server->notices, key);

    return node ? BH_CONTAINER_OF(node, struct notice, node) : NULL;
}

/* A notice that is under way starts anew: what was confirmed or lost before was an older version. */
static bh_err notify_one(struct bh_dns_server *server, size_t secondary, bh_str apex)
{
    struct notice fresh = {.key = {(char)secondary}, .key_n = (uint8_t)apex.n}, *notice;
    struct bh_dns_name lower;
    bh_err err;

    bh_dns_name_set(&lower, apex);
    bh_dns_name_lower(&lower);
    memcpy(fresh.key + 1, lower.wire, lower.n);
    bh_random_fill(server->random, &fresh.id, sizeof fresh.id);
    notice = find_notice(server, notice_key(&fresh));
    if (notice && notice->tries == 0) /* it will be sent, and not later because of one more change */
        return BH_OK;
    if (notice) {
        notice->id = fresh.id;
        notice->tries = 0;
        bh_heap_change(&server->notice_queue, &notice->queued,
                       bh_loop_monotonic(server->loop) + server->options.notify_delay_ms);
        return BH_OK;
    }
    if (server->notices.count >= NOTICES_MAX)
        return BH_E_LIMIT;
    notice = malloc(sizeof *notice);
    if (!notice)
        return BH_E_NOMEM;
    *notice = fresh;
    err = bh_map_add(&server->notices, notice_key(notice), &notice->node);
    if (!err) {
        err = bh_heap_add(&server->notice_queue, &notice->queued,
                          bh_loop_monotonic(server->loop) + server->options.notify_delay_ms);
        if (err)
            bh_map_remove(&server->notices, &notice->node);
    }
    if (err)
        free(notice);
    return err;
}

bh_err bh_dns_server_notify(struct bh_dns_server *server, bh_str apex)
{
    const struct bh_heap_node *first;
    bh_err err = BH_OK;

    for (size_t i = 0; i < server->secondary_count && !err; i++)
        err = notify_one(server, i, apex);
    first = bh_heap_first(&server->notice_queue);
    if (first) {
        int64_t in_ms = first->key - bh_loop_monotonic(server->loop);

        bh_timer_set(&server->notify_timer, in_ms > 0 ? in_ms : 0);
    }
    return err;
}

void bh_dns_server_notify_now(struct bh_dns_server *server)
{
    bh_time_ms now = bh_loop_monotonic(server->loop);

    for (struct bh_map_node *node = bh_map_next(&server->notices, NULL); node;
         node = bh_map_next(&server->notices, node)) {
        struct notice *notice = BH_CONTAINER_OF(node, struct notice, node);

        if (notice->tries == 0)
            bh_heap_change(&server->notice_queue, &notice->queued, now);
    }
    if (bh_heap_first(&server->notice_queue))
        bh_timer_set(&server->notify_timer, 0);
}

bh_err bh_dns_server_add_secondary(struct bh_dns_server *server, const struct sockaddr_storage *address)
{
    if (server->secondary_count == BH_DNS_SECONDARIES_MAX)
        return BH_E_LIMIT;
    server->secondaries[server->secondary_count++] = *address;
    return BH_OK;
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
    const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return a6->sin6_port == b6->sin6_port && memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0;
}

void bh_dns_notify_response(struct bh_dns_server *server, const struct sockaddr_storage *from, bh_str response)
{
    struct bh_dns_message message;
    struct notice *notice;

    if (bh_dns_message_parse(response, &message) || bh_dns_message_opcode(&message) != BH_DNS_OPCODE_NOTIFY ||
        message.counts[BH_DNS_QUESTION] != 1)
        return;
    for (size_t i = 0; i < server->secondary_count; i++) {
        char key[1 + BH_DNS_NAME_MAX] = {(char)i};

        if (!same_address(from, &server->secondaries[i]))
            continue;
        bh_dns_name_lower(&message.name);
        memcpy(key + 1, message.name.wire, message.name.n);
        notice = find_notice(server, (bh_str){key, 1u + message.name.n});
        /* REFUSED or NOTAUTH: it has just started and does not know the zone yet (a catalog tells it); asked again */
        if (notice && notice->id == message.id && bh_dns_message_rcode(&message) == BH_DNS_RCODE_NOERROR)
            drop_notice(server, notice);
    }
}

bh_err bh_dns_notify_init(struct bh_dns_server *server)
{
    uint64_t seed[2];

    bh_random_fill(server->random, seed, sizeof seed);
    bh_map_init(&server->notices, seed);
    return bh_timer_init(server->loop, &server->notify_timer, on_tick, server);
}

void bh_dns_notify_clear(struct bh_dns_server *server)
{
    struct bh_heap_node *first;

    while ((first = bh_heap_first(&server->notice_queue)) != NULL)
        drop_notice(server, BH_CONTAINER_OF(first, struct notice, queued));
}

void bh_dns_notify_free(struct bh_dns_server *server)
{
    bh_dns_notify_clear(server);
    bh_heap_free(&server->notice_queue);
    bh_map_free(&server->notices);
    bh_timer_free(&server->notify_timer);
}
