/* dns_client.c: see dns_client.h.
 *
 *   udp try 1 ─(1.5 s)─▶ udp try 2 ─(2.5 s)─▶ tcp ─(6 s)─▶ time-out
 *        └──────────── truncated ────────────▶┘
 *
 * Each try has a socket of its own, connected, so that the kernel drops what others send; id and port are random
 * (RFC 5452). An answer that does not match is ignored and the wait goes on. */
#include "dns_client.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UDP_TRIES = 2, UDP_SIZE = 1232 };

struct bh_dns_ask {
    struct bh_loop *loop;
    struct bh_random *random;
    struct sockaddr_storage address;
    socklen_t address_n;
    struct bh_dns_name name;
    uint16_t type;
    uint16_t flags;
    uint16_t id;
    bh_dns_ask_done *done;
    void *ctx;
    int fd;
    int tries;
    bool is_tcp;
    struct bh_watch watch;
    struct bh_timer timer;
    struct bh_buf out;
    size_t sent;
    struct bh_buf in;
};

static void close_try(struct bh_dns_ask *ask)
{
    bh_watch_stop(&ask->watch);
    if (ask->fd >= 0)
        (void)close(ask->fd);
    ask->fd = -1;
    bh_buf_clear(&ask->in);
    bh_buf_clear(&ask->out);
    ask->sent = 0;
}

void bh_dns_ask_cancel(struct bh_dns_ask *ask)
{
    if (!ask)
        return;
    close_try(ask);
    bh_timer_free(&ask->timer);
    bh_buf_free(&ask->in);
    bh_buf_free(&ask->out);
    free(ask);
}

static void finish(struct bh_dns_ask *ask, bh_err err, const struct bh_dns_message *message)
{
    bh_dns_ask_done *done = ask->done;
    void *ctx = ask->ctx;

    done(ctx, err, message); /* the message points into ask->in */
    bh_dns_ask_cancel(ask);
}

static bh_err start_try(struct bh_dns_ask *ask);

static void next_try(struct bh_dns_ask *ask, bh_err why)
{
    close_try(ask);
    if (ask->is_tcp) {
        finish(ask, why, NULL);
        return;
    }
    if (ask->tries >= UDP_TRIES)
        ask->is_tcp = true;
    if (start_try(ask))
        finish(ask, BH_E_IO, NULL);
}

static void on_timeout(void *ctx)
{
    next_try(ctx, BH_E_TIMEOUT);
}

/* True when the question is settled; `ask` may be gone then. */
static bool take_packet(struct bh_dns_ask *ask, bh_str packet)
{
    struct bh_dns_message message;
    bh_err err = bh_dns_message_parse(packet, &message);

    if (err || !bh_dns_response_matches(&message, ask->id, bh_dns_name_view(&ask->name), ask->type)) {
        if (!ask->is_tcp)
            return false; /* somebody else's, or forged: the real one may still come */
        finish(ask, BH_E_SYNTAX, NULL);
        return true;
    }
    if (message.flags & BH_DNS_TC && !ask->is_tcp) {
        ask->tries = UDP_TRIES;
        next_try(ask, BH_E_TIMEOUT);
        return true;
    }
    finish(ask, BH_OK, &message);
    return true;
}

static void read_udp(struct bh_dns_ask *ask)
{
    char *room = bh_buf_reserve(&ask->in, BH_DNS_MESSAGE_MAX);
    ssize_t got = room ? recv(ask->fd, room, BH_DNS_MESSAGE_MAX, 0) : -1;

    if (got < 0 && room && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0)
        next_try(ask, BH_E_IO);
    else
        (void)take_packet(ask, bh_str_of(room, (size_t)got));
}

static void write_tcp(struct bh_dns_ask *ask)
{
    ssize_t put = send(ask->fd, ask->out.p + ask->sent, ask->out.n - ask->sent, MSG_NOSIGNAL);

    if (put < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (put < 0) {
        next_try(ask, BH_E_IO);
        return;
    }
    ask->sent += (size_t)put;
    if (ask->sent == ask->out.n)
        bh_watch_want(&ask->watch, BH_READ);
}

static void read_tcp(struct bh_dns_ask *ask)
{
    size_t wanted = 2;
    char *room;
    ssize_t got;

    if (ask->in.n >= 2)
        wanted += (size_t)(unsigned char)ask->in.p[0] << 8 | (unsigned char)ask->in.p[1];
    room = bh_buf_reserve(&ask->in, wanted - ask->in.n);
    got = room ? recv(ask->fd, room, wanted - ask->in.n, 0) : -1;
    if (got < 0 && room && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        next_try(ask, BH_E_IO);
        return;
    }
    bh_buf_commit(&ask->in, (size_t)got);
    if (wanted > 2 && ask->in.n == wanted)
        (void)take_packet(ask, bh_str_of(ask->in.p + 2, ask->in.n - 2));
}

static void on_ready(void *ctx, unsigned events)
{
    struct bh_dns_ask *ask = ctx;

    if (!ask->is_tcp)
        read_udp(ask);
    else if (events & BH_WRITE && ask->sent < ask->out.n)
        write_tcp(ask);
    else if (events & BH_READ)
        read_tcp(ask);
}

static bh_err write_query(struct bh_dns_ask *ask)
{
    bh_err err;

    bh_random_fill(ask->random, &ask->id, sizeof(ask->id));
    if (ask->is_tcp)
        bh_buf_u16(&ask->out, 0);
    err = bh_dns_query_write(&ask->out, ask->id, ask->flags, bh_dns_name_view(&ask->name), ask->type, UDP_SIZE, false);
    if (!err && ask->is_tcp) {
        ask->out.p[0] = (char)((ask->out.n - 2) >> 8);
        ask->out.p[1] = (char)((ask->out.n - 2) & 0xff);
    }
    return err;
}

static bh_err connect_try(struct bh_dns_ask *ask)
{
    int kind = (ask->is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;

    ask->fd = socket(ask->address.ss_family, kind, 0);
    if (ask->fd < 0)
        return BH_E_IO;
    if (connect(ask->fd, (struct sockaddr *)&ask->address, ask->address_n) != 0 && errno != EINPROGRESS)
        return BH_E_IO;
    if (!ask->is_tcp && send(ask->fd, ask->out.p, ask->out.n, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
        return BH_E_IO;
    return bh_watch_start(ask->loop, &ask->watch, ask->fd, ask->is_tcp ? BH_READ | BH_WRITE : BH_READ, on_ready, ask);
}

static bh_err start_try(struct bh_dns_ask *ask)
{
    static const int64_t udp_ms[UDP_TRIES] = {1500, 2500};
    bh_err err = write_query(ask);

    if (!err)
        err = connect_try(ask);
    /* an unreachable network is known at once; the timer then goes on to the next try without a loop on the stack */
    bh_timer_set(&ask->timer, err ? 1 : ask->is_tcp ? 6000 : udp_ms[ask->tries < UDP_TRIES ? ask->tries : 0]);
    ask->tries++;
    return err == BH_E_NOMEM ? err : BH_OK;
}

static bh_err read_address(bh_str text, uint16_t port, struct bh_dns_ask *ask)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ask->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ask->address;
    char literal[INET6_ADDRSTRLEN];

    if (bh_str_to_c(text, literal, sizeof(literal)))
        return BH_E_SYNTAX;
    if (inet_pton(AF_INET, literal, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        ask->address_n = sizeof(*v4);
        return BH_OK;
    }
    if (inet_pton(AF_INET6, literal, &v6->sin6_addr) != 1)
        return BH_E_SYNTAX;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    ask->address_n = sizeof(*v6);
    return BH_OK;
}

bh_err bh_dns_ask_start(struct bh_loop *loop, const struct bh_dns_ask_options *options, bh_dns_ask_done *done,
                        void *ctx, struct bh_dns_ask **ret_ask)
{
    struct bh_dns_ask *ask = calloc(1, sizeof(*ask));
    bh_err err;

    if (!ask)
        return BH_E_NOMEM;
    *ask = (struct bh_dns_ask){.loop = loop,
                               .random = options->random,
                               .name = *options->name,
                               .type = options->type,
                               .flags = options->flags,
                               .done = done,
                               .ctx = ctx,
                               .fd = -1,
                               .out = bh_buf_make(1024),
                               .in = bh_buf_make(BH_DNS_MESSAGE_MAX + 2)};
    err = read_address(options->address, options->port, ask);
    if (!err)
        err = bh_timer_init(loop, &ask->timer, on_timeout, ask);
    if (!err)
        err = start_try(ask);
    if (err)
        bh_dns_ask_cancel(ask);
    else
        *ret_ask = ask;
    return err;
}
