/* main.c: webd: HTTP in. Master hands over the ports and TLS files; controld knows the tokens and executes the
 * commands, queued takes the messages. See webd.h. */
#include "webd.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { PEM_MAX = 1 << 20, CACHE_MAX = 20000, CONNECTIONS_MAX = 1000, PER_CLIENT_MAX = 200, IDLE_S = 30 };

static struct webd *make_state(struct bh_role *role)
{
    struct webd *webd = calloc(1, sizeof(*webd));

    if (!webd)
        return NULL;
    webd->role = role;
    webd->dkim = bh_dkim_new(&(struct bh_dkim_config){.max_cached_keys = 1});
    webd->certificate_pem = bh_buf_make(PEM_MAX);
    webd->key_pem = bh_buf_make(PEM_MAX);
    bh_list_init(&webd->ports);
    bh_list_init(&webd->bucket_order);
    bh_map_init(&webd->buckets, role->map_seed);
    bh_cache_init(&webd->tokens, role->map_seed, CACHE_MAX);
    bh_cache_init(&webd->may_send, role->map_seed, CACHE_MAX);
    if (!webd->dkim) {
        free(webd);
        return NULL;
    }
    return webd;
}

/* Files come before `start`. */
static struct webd *state_of(struct bh_role *role)
{
    if (!role->state)
        role->state = make_state(role);
    return role->state;
}

static bh_err start(struct bh_role *role)
{
    struct webd *webd = state_of(role);
    const char *why;

    if (!webd)
        return BH_E_NOMEM;
    webd->spec = bh_spec_new(bh_str_of(bh_openapi_json, bh_openapi_json_n), &why);
    if (webd->spec)
        return BH_OK;
    bh_logf(&role->log, BH_LOG_ERROR, "the API's description cannot be read: %s", why);
    return BH_E_BUG;
}

/* The whole file and a NUL behind it. */
static bh_err read_file(int fd, struct bh_buf *to)
{
    ssize_t n = 1;

    bh_buf_clear(to);
    while (n > 0) {
        char *room = bh_buf_reserve(to, 4096);

        if (!room)
            return bh_buf_err(to);
        n = pread(fd, room, 4096, (off_t)to->n);
        if (n > 0)
            bh_buf_commit(to, (size_t)n);
    }
    bh_buf_char(to, '\0');
    return n < 0 ? BH_E_IO : bh_buf_err(to);
}

static bh_err file(struct bh_role *role, bh_str purpose, int fd)
{
    struct webd *webd = state_of(role);
    bh_err err = BH_E_NOMEM;

    if (webd)
        err = read_file(fd, bh_str_eq(purpose, BH_STR("tls-key")) ? &webd->key_pem : &webd->certificate_pem);
    (void)close(fd);
    if (err)
        bh_logf(&role->log, BH_LOG_ERROR, "cannot read the file %.*s", BH_FMT(purpose));
    return BH_OK;
}

static bh_err listener(struct bh_role *role, const struct bh_listener *listener, int fd, bool datagram)
{
    struct webd *webd = state_of(role);
    bool tls = listener->protocol == BH_LISTEN_HTTPS;
    struct webd_port *port = datagram ? NULL : calloc(1, sizeof(*port));
    struct bh_http_options options = {.loop = role->loop,
                                      .fd = fd,
                                      .certificate_pem = tls ? webd->certificate_pem.p : NULL,
                                      .key_pem = tls ? webd->key_pem.p : NULL,
                                      .body_max = (size_t)role->config->message_size_max * 3 / 2 + 65536,
                                      .connections_max = CONNECTIONS_MAX,
                                      .connections_per_client = PER_CLIENT_MAX,
                                      .idle_s = IDLE_S,
                                      .ops = &webd_http_ops,
                                      .ctx = webd};

    if (!port) {
        (void)close(fd);
        return datagram ? BH_E_SYNTAX : BH_E_NOMEM;
    }
    port->http = bh_http_new(&options);
    if (!port->http) {
        bh_logf(&role->log, BH_LOG_ERROR, "cannot serve HTTP on port %u%s", listener->port,
                tls ? ": see that the TLS certificate and key fit together" : "");
        free(port);
        return BH_E_IO;
    }
    bh_list_push(&webd->ports, &port->node);
    return BH_OK;
}

static void forget_answers(struct webd *webd)
{
    bh_cache_clear(&webd->tokens);
    bh_cache_clear(&webd->may_send);
}

static bh_err message(struct bh_role *role, struct bh_peer *peer, struct bh_ipc_message *message)
{
    struct webd *webd = role->state;
    struct bh_msg_version version;
    bh_err err;

    if (peer->kind != BH_ROLE_CONTROLD || message->type != BH_MSG_VERSION)
        return BH_E_SYNTAX;
    err = bh_msg_version_get(message->body, &version);
    if (!err) {
        bh_cache_set_version(&webd->tokens, version.version);
        bh_cache_set_version(&webd->may_send, version.version);
    }
    return err;
}

/* A new controld: what changed while it was away was told to nobody. */
static void peer_up(struct bh_role *role, struct bh_peer *peer)
{
    if (peer->kind == BH_ROLE_CONTROLD)
        forget_answers(role->state);
}

static void drain(struct bh_role *role)
{
    struct webd *webd = role->state;

    webd->draining = true;
    BH_LIST_EACH (node, &webd->ports)
        bh_http_quiesce(BH_CONTAINER_OF(node, struct webd_port, node)->http);
    if (!webd->open_requests)
        bh_role_stop(role);
}

static void stop(struct bh_role *role)
{
    struct webd *webd = role->state;

    webd->draining = false;
    while (!bh_list_empty(&webd->ports)) {
        struct webd_port *port = BH_CONTAINER_OF(bh_list_take(&webd->ports), struct webd_port, node);

        bh_http_free(port->http);
        free(port);
    }
    if (webd->key_pem.p)
        bh_wipe(webd->key_pem.p, webd->key_pem.cap);
    bh_buf_free(&webd->key_pem);
    bh_buf_free(&webd->certificate_pem);
    bh_cache_free(&webd->tokens);
    bh_cache_free(&webd->may_send);
    webd_limit_free(webd);
    bh_dkim_free(webd->dkim);
    bh_spec_free(webd->spec);
    free(webd);
}

int main(void)
{
    static const struct bh_role_ops ops = {
        .kind = BH_ROLE_WEBD,
        .start = start,
        .peer_up = peer_up,
        .message = message,
        .listener = listener,
        .file = file,
        .drain = drain,
        .stop = stop,
    };

    return bh_role_main(&ops);
}
