/* TCP: messages with a length of two bytes before them (RFC 1035 4.2.2), any number in a row, answered in order.
 *
 * A connection reads until its output buffer holds OUT_PAUSE bytes, then waits until these are gone, so a client that
 * does not read costs one buffer and, after the idle time, its connection. "Active" means that a whole query came or
 * that all output went: a byte now and then keeps nothing open. */
#include "server.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    OUT_PAUSE = 128 << 10,
    OUT_MAX = OUT_PAUSE + 2 + BH_DNS_MESSAGE_MAX,
    IN_MAX = 2 * (2 + BH_DNS_MESSAGE_MAX),
    READ_CHUNK = 16 << 10,
    ACCEPTS = 16, /* a turn */
    SWEEP_MS = 1000
};

struct bh_dns_listener {
    struct bh_list node;
    struct bh_dns_server *server;
    struct bh_watch watch;
    int fd;
};

/* How many connections one client address has. */
struct address {
    struct bh_map_node node;
    unsigned count;
    char key[9]; /* family; IPv4 with zeros behind, or the first half of an IPv6 address */
};

struct connection {
    struct bh_list node;
    struct bh_dns_server *server;
    struct bh_watch watch;
    int fd;
    struct address *address;
    struct sockaddr_storage client;
    bh_time_ms active_at;
    struct bh_buf in, out;
    size_t sent;
    struct bh_dns_stream *stream; /* a transfer under way; later queries wait for its end */
};

/* ---- addresses ---- */

static void make_key(const struct sockaddr_storage *client, char ret_key[9])
{
    memset(ret_key, 0, 9);
    ret_key[0] = (char)client->ss_family;
    if (client->ss_family == AF_INET)
        memcpy(ret_key + 1, &((const struct sockaddr_in *)client)->sin_addr, 4);
    else
        memcpy(ret_key + 1, &((const struct sockaddr_in6 *)client)->sin6_addr, 8);
}

/* A secondary fetches many zones at once, and gives up for a minute on a server that refused one connection. */
static bool is_secondary(const struct bh_dns_server *server, const char key[9])
{
    char other[9];

    for (size_t i = 0; i < server->secondary_count; i++) {
        make_key(&server->secondaries[i], other);
        if (memcmp(key, other, sizeof other) == 0)
            return true;
    }
    return false;
}

static struct address *take_address(struct bh_dns_server *server, const struct sockaddr_storage *client)
{
    struct address fresh = {.count = 0}, *found;
    struct bh_map_node *node;

    make_key(client, fresh.key);
    node = bh_map_get(&server->addresses, (bh_str){fresh.key, sizeof fresh.key});
    if (node) {
        found = BH_CONTAINER_OF(node, struct address, node);
        if (found->count >= server->options.tcp_per_address && !is_secondary(server, fresh.key))
            return NULL;
        found->count++;
        return found;
    }
    found = malloc(sizeof *found);
    if (!found)
        return NULL;
    *found = fresh;
    found->count = 1;
    if (bh_map_add(&server->addresses, (bh_str){found->key, sizeof found->key}, &found->node)) {
        free(found);
        return NULL;
    }
    return found;
}

static void drop_address(struct bh_dns_server *server, struct address *address)
{
    if (--address->count)
        return;
    bh_map_remove(&server->addresses, &address->node);
    free(address);
}

/* ---- connections ---- */

static void close_connection(struct connection *connection)
{
    struct bh_dns_server *server = connection->server;

    bh_list_remove(&connection->node);
    bh_watch_stop(&connection->watch);
    (void)close(connection->fd);
    drop_address(server, connection->address);
    bh_dns_stream_free(connection->stream);
    bh_buf_free(&connection->in);
    bh_buf_free(&connection->out);
    free(connection);
    server->connection_count--;
}

static void touch(struct connection *connection)
{
    struct bh_dns_server *server = connection->server;

    connection->active_at = bh_loop_monotonic(server->loop);
    bh_list_remove(&connection->node);
    bh_list_push(&server->connections, &connection->node);
}

static bool is_paused(const struct connection *connection)
{
    return connection->out.n - connection->sent >= OUT_PAUSE;
}

/* Puts the message in server->scratch behind the output; false ends the connection. */
static bool put_message(struct connection *connection, size_t n)
{
    bh_buf_u16(&connection->out, (uint16_t)n);
    bh_buf_add(&connection->out, (bh_str){connection->server->scratch, n});
    return bh_buf_err(&connection->out) == BH_OK;
}

/* Goes on with a transfer while there is room. */
static bool pump_stream(struct connection *connection)
{
    struct bh_dns_server *server = connection->server;

    while (connection->stream && !is_paused(connection)) {
        size_t n = bh_dns_stream_next(server, connection->stream, server->scratch, BH_DNS_MESSAGE_MAX);

        if (n == 0) {
            bh_dns_stream_free(connection->stream);
            connection->stream = NULL;
        } else if (!put_message(connection, n)) {
            return false;
        }
    }
    return true;
}

/* Answers one query into the output; false ends the connection. */
static bool answer_query(struct connection *connection, bh_str query)
{
    struct bh_dns_server *server = connection->server;
    size_t n = bh_dns_server_answer(server, BH_DNS_TCP, &connection->client, query, server->scratch, BH_DNS_MESSAGE_MAX,
                                    &connection->stream);

    if (connection->stream)
        return pump_stream(connection);
    return n > 0 && put_message(connection, n); /* what is no query over TCP comes from no client */
}

/* All whole queries in the input, until the output is full. */
static bool answer_input(struct connection *connection)
{
    size_t at = 0;
    bool good = true;

    while (good && !connection->stream && !is_paused(connection)) {
        bh_str rest = bh_str_skip(bh_buf_view(&connection->in), at);
        size_t n;

        if (rest.n < 2)
            break;
        n = (size_t)(unsigned char)rest.p[0] << 8 | (unsigned char)rest.p[1];
        if (rest.n - 2 < n)
            break;
        good = answer_query(connection, bh_str_sub(rest, 2, n));
        at += 2 + n;
    }
    if (at) {
        bh_buf_consume(&connection->in, at);
        if (connection->in.n == 0)
            bh_buf_free(&connection->in); /* an idle connection holds no memory */
        touch(connection);
    }
    return good;
}

/* Writes what can be written; false ends the connection. */
static bool write_output(struct connection *connection)
{
    struct bh_buf *out = &connection->out;

    while (connection->sent < out->n) {
        ssize_t n = send(connection->fd, out->p + connection->sent, out->n - connection->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        connection->sent += (size_t)n;
    }
    if (connection->sent)
        touch(connection);
    bh_buf_free(out);
    connection->sent = 0;
    return true;
}

/* Reads once; false at the end or on error. */
static bool read_input(struct connection *connection)
{
    char *room = bh_buf_reserve(&connection->in, READ_CHUNK);
    ssize_t n;

    if (!room)
        return false;
    n = recv(connection->fd, room, READ_CHUNK, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    bh_buf_commit(&connection->in, (size_t)n);
    return n > 0;
}

/* Answers and writes in turn until the input is used up or the client does not read. */
static bool serve(struct connection *connection)
{
    size_t before;

    do {
        before = connection->in.n + (connection->stream ? 1 : 0);
        if (!pump_stream(connection) || !answer_input(connection) || !write_output(connection))
            return false;
    } while ((connection->stream || connection->in.n < before) && connection->sent == 0 && connection->out.n == 0);
    return true;
}

static void on_connection(void *ctx, unsigned events)
{
    struct connection *connection = ctx;
    bool good = true;

    if (events & BH_READ)
        good = read_input(connection);
    /* a client may close its half and still read: what it asked before was answered in the same turn */
    if (!serve(connection) || !good) {
        close_connection(connection);
        return;
    }
    bh_watch_want(&connection->watch, (is_paused(connection) ? 0u : BH_READ) | (connection->out.n ? BH_WRITE : 0u));
}

/* ---- accepting ---- */

static void make_place(struct bh_dns_server *server)
{
    if (server->connection_count < server->options.tcp_max || bh_list_empty(&server->connections))
        return;
    close_connection(BH_CONTAINER_OF(server->connections.next, struct connection, node));
}

static void accept_client(struct bh_dns_server *server, int fd, const struct sockaddr_storage *client)
{
    struct address *address = take_address(server, client);
    struct connection *connection = address ? calloc(1, sizeof *connection) : NULL;

    if (!connection) {
        server->stats.tcp_refused++;
        if (address)
            drop_address(server, address);
        (void)close(fd);
        return;
    }
    make_place(server);
    connection->server = server;
    connection->fd = fd;
    connection->address = address;
    connection->client = *client;
    connection->in = bh_buf_make(IN_MAX);
    connection->out = bh_buf_make(OUT_MAX);
    connection->active_at = bh_loop_monotonic(server->loop);
    bh_list_push(&server->connections, &connection->node);
    server->connection_count++;
    server->stats.tcp_connections++;
    if (bh_watch_start(server->loop, &connection->watch, fd, BH_READ, on_connection, connection))
        close_connection(connection);
}

static void on_acceptable(void *ctx, unsigned events)
{
    struct bh_dns_listener *listener = ctx;

    (void)events;
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage client = {0};
        socklen_t n = sizeof client;
        int fd = accept4(listener->fd, (struct sockaddr *)&client, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            accept_client(listener->server, fd, &client);
        } else if (errno == EMFILE || errno == ENFILE) {
            /* out of descriptors: the one idle for longest pays */
            if (!bh_list_empty(&listener->server->connections))
                close_connection(BH_CONTAINER_OF(listener->server->connections.next, struct connection, node));
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

bh_err bh_dns_server_add_tcp(struct bh_dns_server *server, int fd)
{
    struct bh_dns_listener *listener = calloc(1, sizeof *listener);
    bh_err err = listener ? BH_OK : BH_E_NOMEM;

    if (!err) {
        listener->server = server;
        listener->fd = fd;
        err = bh_watch_start(server->loop, &listener->watch, fd, BH_READ, on_acceptable, listener);
    }
    if (err) {
        free(listener);
        (void)close(fd);
        return err;
    }
    bh_list_push(&server->listeners, &listener->node);
    return BH_OK;
}

/* ---- idle connections ---- */

static void on_sweep(void *ctx)
{
    struct bh_dns_server *server = ctx;
    bh_time_ms limit = bh_loop_monotonic(server->loop) - server->options.tcp_idle_ms;

    while (!bh_list_empty(&server->connections)) {
        struct connection *oldest = BH_CONTAINER_OF(server->connections.next, struct connection, node);

        if (oldest->active_at > limit)
            break;
        server->stats.tcp_timeouts++;
        close_connection(oldest);
    }
    bh_timer_set(&server->sweep, SWEEP_MS);
}

bh_err bh_dns_tcp_init(struct bh_dns_server *server, struct bh_random *random)
{
    uint64_t seed[2];
    bh_err err;

    server->scratch = malloc(BH_DNS_MESSAGE_MAX);
    if (!server->scratch)
        return BH_E_NOMEM;
    bh_random_fill(random, seed, sizeof seed);
    bh_map_init(&server->addresses, seed);
    err = bh_timer_init(server->loop, &server->sweep, on_sweep, server);
    if (!err)
        bh_timer_set(&server->sweep, SWEEP_MS);
    return err;
}

void bh_dns_tcp_free_all(struct bh_dns_server *server)
{
    while (!bh_list_empty(&server->connections))
        close_connection(BH_CONTAINER_OF(server->connections.next, struct connection, node));
    while (!bh_list_empty(&server->listeners)) {
        struct bh_dns_listener *listener = BH_CONTAINER_OF(server->listeners.next, struct bh_dns_listener, node);

        bh_list_remove(&listener->node);
        bh_watch_stop(&listener->watch);
        (void)close(listener->fd);
        free(listener);
    }
    bh_timer_free(&server->sweep);
    bh_map_free(&server->addresses);
    free(server->scratch);
}
