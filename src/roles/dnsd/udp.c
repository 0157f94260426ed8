/* UDP: up to BATCH datagrams are read by one system call, answered, and the responses sent by another. A socket bound
 * to the wildcard address answers from the address that was asked, which the kernel tells and takes as a control
 * message. Fragments are never asked for and path MTU messages never believed (IP_PMTUDISC_OMIT). */
#include "server.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BATCH = 32,
    ROUNDS = 8,          /* batches before the loop gets its turn */
    QUERY_MAX = 4096,    /* longer queries over UDP are dropped */
    RESPONSE_MAX = 4096, /* >= options.answer.udp_max */
    CONTROL_MAX = 64
};

struct bh_dns_udp {
    struct bh_list node;
    struct bh_dns_server *server;
    struct bh_watch watch;
    int fd;
    sa_family_t family;
    bool wildcard;
    bool notifier; /* for NOTIFY and its confirmations alone */
};

/* Memory for one batch; slots of `in` and `out` belong together until the responses are packed for sending. */
struct bh_dns_batch {
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_iov[BATCH], out_iov[BATCH];
    struct sockaddr_storage address[BATCH];
    _Alignas(struct cmsghdr) unsigned char control[BATCH][CONTROL_MAX];
    unsigned char query[BATCH][QUERY_MAX];
    unsigned char response[BATCH][RESPONSE_MAX];
};

static void prepare_batch(struct bh_dns_batch *batch, bool wildcard)
{
    for (size_t i = 0; i < BATCH; i++) {
        batch->in_iov[i] = (struct iovec){batch->query[i], QUERY_MAX};
        batch->in[i] = (struct mmsghdr){
            .msg_hdr = {.msg_name = &batch->address[i],
                        .msg_namelen = sizeof batch->address[i],
                        .msg_iov = &batch->in_iov[i],
                        .msg_iovlen = 1,
                        .msg_control = wildcard ? batch->control[i] : NULL,
                        .msg_controllen = wildcard ? CONTROL_MAX : 0},
        };
    }
}

/* The control message as it came names the interface too; a response may leave by any. */
static void clear_interface(struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof info);
            info.ipi_ifindex = 0;
            memcpy(CMSG_DATA(c), &info, sizeof info);
        }
    }
}

/* Answers datagram `i`; its response becomes the `out`th. False when there is none. */
static bool answer_datagram(struct bh_dns_udp *udp, struct bh_dns_batch *batch, size_t i, size_t out)
{
    struct msghdr *message = &batch->in[i].msg_hdr;
    size_t n;

    if (message->msg_flags & MSG_TRUNC)
        return false;
    if (udp->notifier) {
        bh_dns_notify_response(udp->server, &batch->address[i],
                               (bh_str){(const char *)batch->query[i], batch->in[i].msg_len});
        return false;
    }
    n = bh_dns_server_answer(udp->server, BH_DNS_UDP, &batch->address[i],
                             (bh_str){(const char *)batch->query[i], batch->in[i].msg_len}, batch->response[out],
                             RESPONSE_MAX, NULL);
    if (n == 0)
        return false;
    batch->out_iov[out] = (struct iovec){batch->response[out], n};
    batch->out[out] = (struct mmsghdr){.msg_hdr = *message};
    batch->out[out].msg_hdr.msg_iov = &batch->out_iov[out];
    batch->out[out].msg_hdr.msg_flags = 0;
    if (udp->wildcard)
        clear_interface(&batch->out[out].msg_hdr);
    return true;
}

/* A response that cannot be sent (no route, full buffer) is dropped: the client will ask again. */
static void send_batch(struct bh_dns_udp *udp, struct bh_dns_batch *batch, unsigned count)
{
    unsigned sent = 0;

    while (sent < count) {
        int n = sendmmsg(udp->fd, batch->out + sent, count - sent, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            udp->server->stats.udp_lost++;
        sent += n > 0 ? (unsigned)n : 1;
    }
}

static void on_readable(void *ctx, unsigned events)
{
    struct bh_dns_udp *udp = ctx;
    struct bh_dns_batch *batch = udp->server->batch;

    (void)events;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned responses = 0;
        int n;

        prepare_batch(batch, udp->wildcard);
        n = recvmmsg(udp->fd, batch->in, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++)
            if (answer_datagram(udp, batch, (size_t)i, responses))
                responses++;
        send_batch(udp, batch, responses);
        if (n < BATCH)
            return;
    }
}

/* Asks for the destination addresses where the socket is bound to all. */
static void prepare_socket(struct bh_dns_udp *udp)
{
    struct sockaddr_storage address = {0};
    socklen_t n = sizeof address;
    int on = 1, omit = IP_PMTUDISC_OMIT, room = 4 << 20;

    (void)setsockopt(udp->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    (void)setsockopt(udp->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    if (getsockname(udp->fd, (struct sockaddr *)&address, &n) < 0)
        return;
    udp->family = address.ss_family;
    if (address.ss_family == AF_INET) {
        udp->wildcard = ((struct sockaddr_in *)&address)->sin_addr.s_addr == htonl(INADDR_ANY);
        (void)setsockopt(udp->fd, IPPROTO_IP, IP_MTU_DISCOVER, &omit, sizeof omit);
        if (udp->wildcard)
            (void)setsockopt(udp->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    } else {
        udp->wildcard = IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)&address)->sin6_addr);
        (void)setsockopt(udp->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &omit, sizeof omit);
        if (udp->wildcard)
            (void)setsockopt(udp->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    }
}

static bh_err add_socket(struct bh_dns_server *server, int fd, bool notifier)
{
    struct bh_dns_udp *udp = calloc(1, sizeof *udp);
    bh_err err = udp ? BH_OK : BH_E_NOMEM;

    if (!err && !server->batch && !(server->batch = malloc(sizeof *server->batch)))
        err = BH_E_NOMEM;
    if (!err) {
        udp->server = server;
        udp->fd = fd;
        udp->notifier = notifier;
        prepare_socket(udp);
        err = bh_watch_start(server->loop, &udp->watch, fd, BH_READ, on_readable, udp);
    }
    if (err) {
        free(udp);
        (void)close(fd);
        return err;
    }
    bh_list_push(&server->sockets, &udp->node);
    return BH_OK;
}

bh_err bh_dns_server_add_udp(struct bh_dns_server *server, int fd)
{
    return add_socket(server, fd, false);
}

bh_err bh_dns_server_add_notifier(struct bh_dns_server *server, int fd)
{
    return add_socket(server, fd, true);
}

bool bh_dns_udp_send(struct bh_dns_server *server, const struct sockaddr_storage *to, bh_str packet)
{
    socklen_t n = to->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    const struct bh_dns_udp *chosen = NULL;

    for (struct bh_list *node = server->sockets.next; node != &server->sockets; node = node->next) {
        const struct bh_dns_udp *udp = BH_CONTAINER_OF(node, struct bh_dns_udp, node);

        if (udp->family == to->ss_family && (!chosen || (udp->notifier && !chosen->notifier)))
            chosen = udp;
    }
    return chosen &&
           sendto(chosen->fd, packet.p, packet.n, MSG_DONTWAIT, (const struct sockaddr *)to, n) == (ssize_t)packet.n;
}

static void free_socket(struct bh_dns_udp *udp)
{
    bh_list_remove(&udp->node);
    bh_watch_stop(&udp->watch);
    (void)close(udp->fd);
    free(udp);
}

void bh_dns_udp_free_notifiers(struct bh_dns_server *server)
{
    struct bh_list *node = server->sockets.next;

    while (node != &server->sockets) {
        struct bh_dns_udp *udp = BH_CONTAINER_OF(node, struct bh_dns_udp, node);

        node = node->next;
        if (udp->notifier)
            free_socket(udp);
    }
}

void bh_dns_udp_free_all(struct bh_dns_server *server)
{
    while (!bh_list_empty(&server->sockets))
        free_socket(BH_CONTAINER_OF(server->sockets.next, struct bh_dns_udp, node));
    free(server->batch);
    server->batch = NULL;
}
