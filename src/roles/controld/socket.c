/* socket.c: see socket.h. */
#include "socket.h"
#include "command.h"
#include "io/ipc.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_MAX = 256, COMMANDS_PER_CLIENT = 64, PAUSE_MS = 200 };

struct bh_control_socket {
    struct bh_loop *loop;
    struct bh_controld *core;
    int fd;
    bool open_to_group;
    struct bh_watch watch;
    struct bh_timer pause; /* no descriptor was free: a connection that waits would wake us for ever */
    struct bh_list clients;
    size_t client_count;
};

/* Lives until it is closed and its last command has answered. */
struct client {
    struct bh_list node;
    struct bh_control_socket *socket; /* NULL: closed, only commands hold it */
    struct bh_ipc ipc;
    struct bh_watch watch;
    struct bh_deferred flush;
    size_t commands;
};

struct running {
    struct client *client;
    uint32_t id;
};

static void close_client(struct client *client)
{
    if (client->socket) {
        bh_watch_stop(&client->watch);
        bh_deferred_cancel(&client->flush);
        bh_ipc_close(&client->ipc);
        bh_list_remove(&client->node);
        client->socket->client_count--;
        client->socket = NULL;
    }
    if (!client->commands)
        free(client);
}

static void flush(void *ctx)
{
    struct client *client = ctx;
    bh_err err = bh_ipc_flush(&client->ipc);

    if (err && err != BH_E_AGAIN)
        close_client(client);
    else
        bh_watch_want(&client->watch, err ? BH_READ | BH_WRITE : BH_READ);
}

static void send_answer(struct client *client, uint32_t id, json_t *answer)
{
    struct bh_buf body = bh_buf_make(BH_IPC_BODY_MAX);
    char *text = json_dumps(answer, JSON_COMPACT);

    bh_msg_command_put(&body, &(struct bh_msg_command){bh_str_c(text)});
    if (!text || bh_buf_err(&body)) { /* too much for one answer: say so instead */
        bh_buf_clear(&body);
        bh_msg_command_put(&body, &(struct bh_msg_command){
                                      BH_STR("{\"ok\":false,\"error\":{\"code\":\"limit\",\"detail\":\"the answer is "
                                             "too long\",\"fix\":\"Use --limit\"}}")});
    }
    if (bh_ipc_send(&client->ipc, BH_MSG_COMMAND_REPLY, id, bh_buf_view(&body), NULL, 0) == BH_OK)
        bh_loop_defer(client->socket->loop, &client->flush);
    free(text);
    bh_buf_free(&body);
}

static void on_answered(void *ctx, json_t *answer)
{
    struct running *running = ctx;
    struct client *client = running->client;

    client->commands--;
    if (client->socket)
        send_answer(client, running->id, answer);
    else
        close_client(client);
    json_decref(answer);
    free(running);
}

static bh_err on_message(void *ctx, struct bh_ipc_message *message)
{
    struct client *client = ctx;
    struct bh_msg_command command;
    struct running *running;
    int fd = -1;

    if (message->type != BH_MSG_COMMAND || bh_msg_command_get(message->body, &command) || message->fd_count > 1 ||
        client->commands == COMMANDS_PER_CLIENT)
        return BH_E_SYNTAX;
    running = malloc(sizeof(*running));
    if (!running)
        return BH_E_NOMEM;
    if (message->fd_count) {
        fd = message->fds[0];
        message->fds[0] = -1;
    }
    *running = (struct running){client, message->id};
    client->commands++;
    bh_command_run(client->socket->core, command.json, fd, on_answered, running);
    return BH_OK;
}

static void on_ready(void *ctx, unsigned events)
{
    struct client *client = ctx;
    bh_err err = BH_OK;

    if (events & BH_READ)
        err = bh_ipc_receive(&client->ipc, on_message, client);
    if (!err && events & BH_WRITE)
        flush(client);
    else if (err)
        close_client(client);
}

/* Where a control-group is configured, connect(2) has checked the socket's mode. */
static bool may_connect(const struct bh_control_socket *socket, int fd)
{
    struct ucred peer;
    socklen_t n = sizeof(peer);

    if (socket->open_to_group)
        return true;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void add_client(struct bh_control_socket *socket, int fd)
{
    struct client *client = calloc(1, sizeof(*client));

    if (!client || bh_ipc_open(&client->ipc, fd)) {
        (void)close(fd);
        free(client);
        return;
    }
    client->socket = socket;
    bh_deferred_init(&client->flush, flush, client);
    bh_list_push(&socket->clients, &client->node);
    socket->client_count++;
    if (bh_watch_start(socket->loop, &client->watch, fd, BH_READ, on_ready, client))
        close_client(client);
}

static void on_pause_over(void *ctx)
{
    struct bh_control_socket *socket = ctx;

    bh_watch_want(&socket->watch, BH_READ);
}

static void pause_accepting(struct bh_control_socket *socket)
{
    bh_watch_want(&socket->watch, 0);
    bh_timer_set(&socket->pause, PAUSE_MS);
}

static void on_connection(void *ctx, unsigned events)
{
    struct bh_control_socket *socket = ctx;
    int fd = accept4(socket->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            pause_accepting(socket);
        return;
    }
    if (socket->client_count >= CLIENTS_MAX || !may_connect(socket, fd)) {
        (void)close(fd);
        return;
    }
    add_client(socket, fd);
}

struct bh_control_socket *bh_control_socket_new(struct bh_loop *loop, struct bh_controld *core, int fd,
                                                bool open_to_group)
{
    struct bh_control_socket *socket = calloc(1, sizeof(*socket));

    if (!socket)
        return NULL;
    *socket = (struct bh_control_socket){.loop = loop, .core = core, .fd = fd, .open_to_group = open_to_group};
    bh_list_init(&socket->clients);
    if (bh_timer_init(loop, &socket->pause, on_pause_over, socket) ||
        bh_watch_start(loop, &socket->watch, fd, BH_READ, on_connection, socket)) {
        bh_timer_free(&socket->pause);
        free(socket);
        return NULL;
    }
    return socket;
}

void bh_control_socket_free(struct bh_control_socket *socket)
{
    if (!socket)
        return;
    for (struct bh_list *node; (node = bh_list_first(&socket->clients));)
        close_client(BH_CONTAINER_OF(node, struct client, node));
    bh_watch_stop(&socket->watch);
    bh_timer_free(&socket->pause);
    (void)close(socket->fd);
    free(socket);
}
