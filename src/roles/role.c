/* role.c: the life of a role process. See role.h. */
#include "role.h"
#include "base/random.h"
#include "io/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { MASTER_FD = 3, CALLS_MAX = 100000, LAST_READS = 64 };

struct bh_role_private {
    struct bh_peer master;
    struct bh_config *owned_config;
    bool started;
    int exit_status;
};

struct bh_call {
    struct bh_map_node node;
    struct bh_peer *peer;
    uint32_t id;
    uint16_t type;
    struct bh_timer timer;
    bh_call_done *done;
    void *ctx;
};

static void peer_lost(struct bh_peer *peer, const char *why);

/* ---- calls ---- */

static bh_str id_key(const uint32_t *id)
{
    return bh_str_of((const char *)id, sizeof(*id));
}

static void free_call(struct bh_call *call)
{
    bh_map_remove(&call->peer->calls, &call->node);
    bh_timer_free(&call->timer);
    free(call);
}

static void end_call(struct bh_call *call, bh_err err, struct bh_ipc_message *reply)
{
    bh_call_done *done = call->done;
    void *ctx = call->ctx;

    free_call(call);
    done(ctx, err, reply);
}

static void on_call_timeout(void *ctx)
{
    end_call(ctx, BH_E_TIMEOUT, NULL);
}

void bh_call_cancel(struct bh_call *call)
{
    if (call)
        free_call(call);
}

static bh_err add_call(struct bh_peer *peer, int64_t timeout_ms, struct bh_call **ret_call)
{
    struct bh_call *call = peer->calls.count < CALLS_MAX ? calloc(1, sizeof(*call)) : NULL;
    bh_err err;

    if (!call)
        return BH_E_NOMEM;
    call->peer = peer;
    call->id = ++peer->next_id;
    err = bh_map_add(&peer->calls, id_key(&call->id), &call->node);
    if (err) {
        free(call);
        return err;
    }
    if (timeout_ms) {
        err = bh_timer_init(peer->role->loop, &call->timer, on_call_timeout, call);
        if (err) {
            free_call(call);
            return err;
        }
        bh_timer_set(&call->timer, timeout_ms);
    }
    *ret_call = call;
    return BH_OK;
}

bh_err bh_peer_call(struct bh_peer *peer, uint16_t type, bh_str body, const int *fds, size_t fd_count,
                    int64_t timeout_ms, bh_call_done *done, void *ctx, struct bh_call **ret_call)
{
    struct bh_call *call;
    bh_err err;

    if (!peer || !peer->up)
        return BH_E_CLOSED;
    err = add_call(peer, timeout_ms, &call);
    if (err)
        return err;
    call->type = type;
    call->done = done;
    call->ctx = ctx;
    err = bh_peer_send(peer, type, call->id, body, fds, fd_count);
    if (err)
        free_call(call);
    else if (ret_call)
        *ret_call = call;
    return err;
}

static bh_err handle_reply(struct bh_peer *peer, struct bh_ipc_message *message)
{
    struct bh_map_node *node = bh_map_get(&peer->calls, id_key(&message->id));
    struct bh_call *call = node ? BH_CONTAINER_OF(node, struct bh_call, node) : NULL;

    if (!call) /* timed out or cancelled */
        return BH_OK;
    if ((call->type | BH_REPLY) != message->type)
        return BH_E_SYNTAX;
    end_call(call, BH_OK, message);
    return BH_OK;
}

static void end_all_calls(struct bh_peer *peer)
{
    for (struct bh_map_node *node; (node = bh_map_next(&peer->calls, NULL));)
        end_call(BH_CONTAINER_OF(node, struct bh_call, node), BH_E_CLOSED, NULL);
}

/* ---- sending ---- */

static bh_err on_message(void *ctx, struct bh_ipc_message *message);

/* A peer that takes nothing more may have said something before it died: a sender's results, above all, each of which
 * spares the receiver a duplicate. */
static void read_last_words(struct bh_peer *peer)
{
    bh_err err = BH_OK;

    for (int i = 0; i < LAST_READS && !err && peer->ipc.fd >= 0; i++)
        err = bh_ipc_receive(&peer->ipc, on_message, peer);
}

static void flush_peer(void *ctx)
{
    struct bh_peer *peer = ctx;
    bh_err err;

    if (peer->ipc.fd < 0)
        return;
    err = bh_ipc_flush(&peer->ipc);
    if (err && err != BH_E_AGAIN) {
        read_last_words(peer);
        if (peer->ipc.fd >= 0)
            peer_lost(peer, "write failed");
        return;
    }
    bh_watch_want(&peer->watch, err ? BH_READ | BH_WRITE : BH_READ);
}

static bh_err sent(struct bh_peer *peer, bh_err err)
{
    if (err) {
        bh_logf(&peer->role->log, BH_LOG_ERROR, "cannot send to %s: %s", bh_role_name(peer->kind), bh_err_text(err));
        return err;
    }
    bh_loop_defer(peer->role->loop, &peer->flush);
    return BH_OK;
}

bh_err bh_peer_send(struct bh_peer *peer, uint16_t type, uint32_t id, bh_str body, const int *fds, size_t fd_count)
{
    if (!peer || peer->ipc.fd < 0)
        return BH_E_CLOSED;
    return sent(peer, bh_ipc_send(&peer->ipc, type, id, body, fds, fd_count));
}

struct bh_buf *bh_peer_begin(struct bh_peer *peer, size_t *ret_frame)
{
    if (!peer || peer->ipc.fd < 0)
        return NULL;
    *ret_frame = bh_ipc_begin(&peer->ipc);
    return bh_ipc_out(&peer->ipc);
}

bh_err bh_peer_end(struct bh_peer *peer, size_t frame, uint16_t type, uint32_t id)
{
    return sent(peer, bh_ipc_end(&peer->ipc, frame, type, id));
}

/* ---- peers coming and going ---- */

static void close_peer(struct bh_peer *peer)
{
    bh_watch_stop(&peer->watch);
    bh_deferred_cancel(&peer->flush);
    bh_ipc_close(&peer->ipc);
}

static void peer_lost(struct bh_peer *peer, const char *why)
{
    struct bh_role *role = peer->role;
    bool was_up = peer->up;

    if (peer->ipc.fd < 0)
        return;
    close_peer(peer);
    peer->up = false;
    if (peer == &role->private->master) {
        bh_logf(&role->log, BH_LOG_WARN, "master is gone (%s): ending", why);
        bh_role_stop(role);
        return;
    }
    bh_logf(&role->log, BH_LOG_INFO, "lost %s/%u: %s", bh_role_name(peer->kind), peer->instance, why);
    end_all_calls(peer);
    if (was_up && role->ops->peer_down)
        role->ops->peer_down(role, peer);
    (void)!BH_PEER_SEND(&role->private->master, PEER_LOST, 0, peer,
                        &((struct bh_msg_peer){(uint8_t)peer->kind, peer->instance}));
}

bh_err bh_role_secret_again(struct bh_role *role)
{
    return BH_PEER_SEND(&role->private->master, SECRET_AGAIN, 0, drain, &((struct bh_msg_drain){0}));
}

void bh_peer_close(struct bh_peer *peer, const char *why)
{
    peer_lost(peer, why);
}

static bh_err say_hello(struct bh_peer *peer)
{
    struct bh_role *role = peer->role;
    struct bh_msg_hello hello = {BH_PROTOCOL_VERSION, BH_STR(BH_VERSION), (uint8_t)role->ops->kind, role->instance};

    return BH_PEER_SEND(peer, HELLO, 0, hello, &hello);
}

static bh_err handle_hello(struct bh_peer *peer, bh_str body)
{
    struct bh_msg_hello hello;
    bh_err err = bh_msg_hello_get(body, &hello);

    if (err)
        return err;
    if (hello.protocol != BH_PROTOCOL_VERSION || !bh_str_eq(hello.build, BH_STR(BH_VERSION)))
        return BH_E_VERSION;
    if (hello.role != (uint8_t)peer->kind || peer->said_hello)
        return BH_E_SYNTAX;
    peer->said_hello = true;
    peer->up = true;
    if (peer != &peer->role->private->master && peer->role->ops->peer_up)
        peer->role->ops->peer_up(peer->role, peer);
    return BH_OK;
}

static bh_err handle_master(struct bh_role *role, struct bh_ipc_message *message);

static bh_err on_message(void *ctx, struct bh_ipc_message *message)
{
    struct bh_peer *peer = ctx;
    struct bh_role *role = peer->role;

    if (!peer->said_hello)
        return message->type == BH_MSG_HELLO ? handle_hello(peer, message->body) : BH_E_SYNTAX;
    if (message->type & BH_REPLY)
        return handle_reply(peer, message);
    if (peer == &role->private->master)
        return handle_master(role, message);
    return role->ops->message ? role->ops->message(role, peer, message) : BH_E_SYNTAX;
}

static void on_peer_ready(void *ctx, unsigned events)
{
    struct bh_peer *peer = ctx;
    bh_err err = BH_OK;

    if (events & BH_READ)
        err = bh_ipc_receive(&peer->ipc, on_message, peer);
    if (err && peer->ipc.fd >= 0) {
        if (err != BH_E_CLOSED)
            bh_logf(&peer->role->log, BH_LOG_ERROR, "%s/%u sent what it may not: %s", bh_role_name(peer->kind),
                    peer->instance, bh_err_text(err));
        peer_lost(peer, bh_err_text(err));
        return;
    }
    if (events & BH_WRITE && peer->ipc.fd >= 0)
        flush_peer(peer);
}

static bh_err open_peer(struct bh_peer *peer, int fd)
{
    bh_err err = bh_ipc_open(&peer->ipc, fd);

    if (err)
        return err;
    peer->said_hello = false;
    bh_deferred_init(&peer->flush, flush_peer, peer);
    err = bh_watch_start(peer->role->loop, &peer->watch, fd, BH_READ, on_peer_ready, peer);
    return err ? err : say_hello(peer);
}

struct bh_peer *bh_role_peer(struct bh_role *role, enum bh_role_kind kind, uint32_t instance)
{
    struct bh_peer *peer = role->peers;

    while (peer && !(peer->kind == kind && peer->instance == instance))
        peer = peer->next_peer;
    return peer;
}

struct bh_peer *bh_role_any_peer(struct bh_role *role, enum bh_role_kind kind)
{
    struct bh_peer **link = &role->peers;

    while (*link && !((*link)->kind == kind && (*link)->up))
        link = &(*link)->next_peer;
    if (*link) { /* to the end of the list: the next of its kind is first then */
        struct bh_peer *peer = *link;
        struct bh_peer **end = link;

        *link = peer->next_peer;
        while (*end)
            end = &(*end)->next_peer;
        *end = peer;
        peer->next_peer = NULL;
        return peer;
    }
    return NULL;
}

static struct bh_peer *known_peer(struct bh_role *role, const struct bh_msg_peer *message)
{
    struct bh_peer *peer = bh_role_peer(role, (enum bh_role_kind)message->role, message->instance);

    if (peer)
        return peer;
    peer = calloc(1, sizeof(*peer));
    if (!peer)
        return NULL;
    peer->role = role;
    peer->kind = (enum bh_role_kind)message->role;
    peer->instance = message->instance;
    peer->ipc.fd = -1;
    bh_map_init(&peer->calls, role->map_seed);
    peer->next_peer = role->peers;
    role->peers = peer;
    return peer;
}

/* ---- what master says ---- */

static int take_fd(struct bh_ipc_message *message)
{
    int fd = message->fd_count == 1 ? message->fds[0] : -1;

    if (fd >= 0)
        message->fds[0] = -1;
    return fd;
}

static bh_err handle_peer(struct bh_role *role, struct bh_ipc_message *message)
{
    struct bh_msg_peer body;
    struct bh_peer *peer;
    bh_err err = bh_msg_peer_get(message->body, &body);
    int fd = take_fd(message);

    if (err || fd < 0 || body.role >= BH_ROLE_KINDS)
        return BH_E_SYNTAX;
    peer = known_peer(role, &body);
    if (!peer) {
        (void)close(fd);
        return BH_E_NOMEM;
    }
    if (peer->ipc.fd >= 0) { /* the other role died and master was faster than our read of its end */
        bool was_up = peer->up;

        close_peer(peer);
        peer->up = false;
        end_all_calls(peer);
        if (was_up && role->ops->peer_down)
            role->ops->peer_down(role, peer);
    }
    return open_peer(peer, fd);
}

static bh_err handle_listener(struct bh_role *role, struct bh_ipc_message *message)
{
    struct bh_msg_listener body;
    bh_err err = bh_msg_listener_get(message->body, &body);
    int fd = take_fd(message);

    if (err || fd < 0 || body.index >= role->config->listener_count || !role->ops->listener)
        return BH_E_SYNTAX;
    return role->ops->listener(role, &role->config->listeners[body.index], fd, body.datagram != 0);
}

static bh_err handle_file(struct bh_role *role, struct bh_ipc_message *message)
{
    struct bh_msg_file body;
    bh_err err = bh_msg_file_get(message->body, &body);
    int fd = take_fd(message);

    if (err || fd < 0 || !role->ops->file)
        return BH_E_SYNTAX;
    return role->ops->file(role, body.purpose, fd);
}

static bh_err handle_reload(struct bh_role *role, bh_str body)
{
    struct bh_msg_reload reload;
    struct bh_config *config = NULL;
    bh_err err = bh_msg_reload_get(body, &reload);

    if (!err)
        err = bh_config_get(reload.config, &config);
    if (err)
        return err;
    role->config = config;
    role->log.least = config->log_debug ? BH_LOG_DEBUG : BH_LOG_INFO;
    if (role->ops->reload)
        role->ops->reload(role);
    bh_config_free(role->private->owned_config);
    role->private->owned_config = config;
    return BH_PEER_SEND(&role->private->master, RELOADED, 0, reloaded, &(struct bh_msg_reloaded){1});
}

static bh_err lock_in(struct bh_role *role, const struct bh_msg_start *start)
{
    bh_err err;

    (void)prctl(PR_SET_DUMPABLE, 0);
    if (start->landlock) {
        err = bh_sandbox_paths(start->paths);
        if (err)
            return err;
    }
    return bh_sandbox_filter(start->filter);
}

static bh_err handle_start(struct bh_role *role, bh_str body)
{
    struct bh_msg_start start;
    bh_err err = bh_msg_start_get(body, &start);

    if (!err)
        err = bh_config_get(start.config, &role->private->owned_config);
    if (err || role->private->started)
        return err ? err : BH_E_SYNTAX;
    role->private->started = true;
    role->config = role->private->owned_config;
    role->log.least = role->config->log_debug ? BH_LOG_DEBUG : BH_LOG_INFO;
    err = lock_in(role, &start);
    if (!err && role->ops->start)
        err = role->ops->start(role);
    if (err) {
        bh_logf(&role->log, BH_LOG_ERROR, "cannot start: %s", bh_err_text(err));
        role->private->exit_status = 1;
        bh_role_stop(role);
        return BH_OK;
    }
    return BH_PEER_SEND(&role->private->master, READY, 0, ready, &(struct bh_msg_ready){(uint32_t)getpid()});
}

static bh_err handle_master(struct bh_role *role, struct bh_ipc_message *message)
{
    if (message->type == BH_MSG_START)
        return handle_start(role, message->body);
    if (message->type == BH_MSG_FILE) /* files come before START, while nothing is locked yet */
        return handle_file(role, message);
    if (!role->private->started)
        return BH_E_SYNTAX;
    if (message->type == BH_MSG_PEER)
        return handle_peer(role, message);
    if (message->type == BH_MSG_LISTENER)
        return handle_listener(role, message);
    if (message->type == BH_MSG_RELOAD)
        return handle_reload(role, message->body);
    if (message->type == BH_MSG_DRAIN) {
        if (role->ops->drain)
            role->ops->drain(role);
        else
            bh_role_stop(role);
        return BH_OK;
    }
    return BH_E_SYNTAX;
}

/* ---- the process ---- */

bh_err bh_role_read_file(bh_str path, struct bh_buf *out)
{
    char name[4096];
    int fd;
    bh_err err = bh_str_to_c(path, name, sizeof(name));

    if (err)
        return err;
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return BH_E_IO;
    for (;;) {
        char *room = bh_buf_reserve(out, 64 * 1024);
        ssize_t n = room ? read(fd, room, 64 * 1024) : -1;

        if (n > 0)
            bh_buf_commit(out, (size_t)n);
        else if (!room || n == 0 || errno != EINTR) {
            err = !room ? bh_buf_err(out) : n == 0 ? BH_OK : BH_E_IO;
            break;
        }
    }
    (void)close(fd);
    return err;
}

void bh_role_stop(struct bh_role *role)
{
    bh_loop_stop(role->loop);
}

static void on_terminate(void *ctx)
{
    struct bh_role *role = ctx;

    if (role->ops->drain && role->private->started)
        role->ops->drain(role);
    else
        bh_role_stop(role);
}

static bh_err ignore_signals(struct bh_role *role)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN); /* a Ctrl-C reaches the whole group; master decides */
    (void)signal(SIGHUP, SIG_IGN);
    return bh_loop_on_signal(role->loop, SIGTERM, on_terminate, role);
}

static void free_peers(struct bh_role *role)
{
    for (struct bh_peer *peer = role->peers; peer;) {
        struct bh_peer *next = peer->next_peer;

        if (peer->ipc.fd >= 0)
            (void)!bh_ipc_flush(&peer->ipc);
        close_peer(peer);
        while (peer->calls.count)
            free_call(BH_CONTAINER_OF(bh_map_next(&peer->calls, NULL), struct bh_call, node));
        bh_map_free(&peer->calls);
        free(peer);
        peer = next;
    }
    role->peers = NULL;
}

static int run(struct bh_role *role)
{
    struct bh_peer *master = &role->private->master;
    bh_err err;

    *master = (struct bh_peer){.role = role, .kind = BH_ROLE_MASTER, .ipc = {.fd = -1}};
    bh_map_init(&master->calls, role->map_seed);
    err = ignore_signals(role);
    if (!err)
        err = open_peer(master, MASTER_FD);
    if (!err)
        err = bh_loop_run(role->loop);
    if (role->ops->stop && role->private->started && !role->private->exit_status)
        role->ops->stop(role);
    free_peers(role);
    if (master->ipc.fd >= 0)
        (void)!bh_ipc_flush(&master->ipc);
    close_peer(master);
    return err ? 1 : role->private->exit_status;
}

int bh_role_main(const struct bh_role_ops *ops)
{
    struct bh_role_private private = {0};
    struct bh_role role = {.ops = ops,
                           .private = &private,
                           .log = {2, BH_LOG_INFO, bh_role_name(ops->kind), getenv("JOURNAL_STREAM") == NULL}};
    const char *instance = getenv("BEHALF_INSTANCE");
    uint64_t number = 0;
    int status;

    if (instance && bh_str_to_u64(bh_str_c(instance), UINT32_MAX, &number) != BH_OK)
        return 1;
    role.instance = (uint32_t)number;
    bh_random_fill(&bh_random_os, role.map_seed, sizeof(role.map_seed));
    role.loop = bh_loop_new();
    if (!role.loop)
        return 1;
    status = run(&role);
    bh_loop_free(role.loop);
    bh_config_free(private.owned_config);
    return status;
}
