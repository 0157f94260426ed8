/* http.c: libmicrohttpd with its own epoll descriptor, watched by our loop.
 *
 * Its handler is called for a request first with nothing, then with pieces of the body, then with nothing again: now it
 * is whole. Where the answer comes later the connection is suspended meanwhile, and resumed with it: the handler is
 * called once more and finds the answer. */
#include "http.h"
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONNECTION_BYTES = 32 * 1024, FIRST_ROOM = 4096 };

struct bh_http {
    struct bh_http_options options;
    struct MHD_Daemon *daemon;
    struct bh_watch watch;
    struct bh_timer timer;
    struct bh_deferred run;
    struct bh_list requests;
    bool quiesced;
};

enum stage { READING, WAITING, ANSWERED };

struct bh_http_request_private {
    struct bh_http_request public;
    struct bh_list node;
    struct bh_http *http;
    struct MHD_Connection *connection;
    struct MHD_Response *response;
    unsigned status;
    enum stage stage;
    bool in_handler, suspended, begun;
    size_t length; /* what Content-Length said, 0 without */
};

/* ---- answers ---- */

bh_str bh_http_header(const struct bh_http_request *request, const char *name)
{
    const char *value = MHD_lookup_connection_value(request->private->connection, MHD_HEADER_KIND, name);

    return value ? bh_str_c(value) : (bh_str){NULL, 0};
}

struct walk {
    bool (*each)(void *ctx, bh_str name, bh_str value);
    void *ctx;
};

static enum MHD_Result walk_value(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_n, const char *value,
                                  size_t value_n)
{
    const struct walk *walk = cls;

    (void)kind;
    return walk->each(walk->ctx, bh_str_of(key ? key : "", key_n), bh_str_of(value ? value : "", value ? value_n : 0))
               ? MHD_YES
               : MHD_NO;
}

void bh_http_query(const struct bh_http_request *request, bool (*each)(void *ctx, bh_str name, bh_str value), void *ctx)
{
    struct walk walk = {each, ctx};

    (void)MHD_get_connection_values_n(request->private->connection, MHD_GET_ARGUMENT_KIND, walk_value, &walk);
}

void bh_http_header_add(struct bh_http_answer *answer, const char *name, const char *value)
{
    if (answer->header_count < BH_HTTP_HEADERS_MAX) {
        answer->headers[answer->header_count].name = name;
        answer->headers[answer->header_count++].value = value;
    }
}

static void run_soon(struct bh_http *http)
{
    bh_loop_defer(http->options.loop, &http->run);
}

void bh_http_answer(struct bh_http_request *request, const struct bh_http_answer *answer)
{
    struct bh_http_request_private *p = request->private;

    if (p->stage == ANSWERED)
        return;
    p->stage = ANSWERED;
    p->status = answer->status;
    p->response = MHD_create_response_from_buffer(
        answer->body.n, (void *)(uintptr_t)(answer->body.n ? answer->body.p : ""), MHD_RESPMEM_MUST_COPY);
    if (p->response && answer->content_type)
        (void)MHD_add_response_header(p->response, "Content-Type", answer->content_type);
    for (size_t i = 0; p->response && i < answer->header_count; i++)
        (void)MHD_add_response_header(p->response, answer->headers[i].name, answer->headers[i].value);
    if (!p->in_handler && p->suspended) {
        p->suspended = false;
        MHD_resume_connection(p->connection);
        run_soon(p->http);
    }
}

static enum MHD_Result send_answer(struct bh_http_request_private *p)
{
    enum MHD_Result result = p->response ? MHD_queue_response(p->connection, p->status, p->response) : MHD_NO;

    if (p->response)
        MHD_destroy_response(p->response);
    p->response = NULL;
    return result;
}

/* ---- requests ---- */

static void name_client(struct bh_http_request_private *p)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(p->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;

    if (address && address->sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, p->public.client,
                        sizeof(p->public.client));
    else if (address && address->sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, p->public.client,
                        sizeof(p->public.client));
}

static struct bh_http_request_private *new_request(struct bh_http *http, struct MHD_Connection *connection,
                                                   const char *url, const char *method)
{
    struct bh_http_request_private *p = calloc(1, sizeof(*p));
    bh_str length;
    uint64_t n = 0;

    if (!p)
        return NULL;
    p->http = http;
    p->connection = connection;
    p->public.private = p;
    p->public.method = bh_str_c(method);
    p->public.path = bh_str_c(url);
    p->public.body = bh_buf_make(http->options.body_max);
    p->public.whole = true;
    name_client(p);
    length = bh_http_header(&p->public, "Content-Length");
    if (length.p && (bh_str_to_u64(length, INT64_MAX, &n) || n > http->options.body_max))
        p->public.whole = false;
    else if (n)
        (void)bh_buf_reserve(&p->public.body, (size_t)n);
    bh_list_push(&http->requests, &p->node);
    return p;
}

static void take_body(struct bh_http_request_private *p, const char *data, size_t n)
{
    if (!p->public.whole)
        return;
    bh_buf_add(&p->public.body, bh_str_of(data, n));
    if (bh_buf_err(&p->public.body)) {
        p->public.whole = false;
        bh_buf_free(&p->public.body);
    }
}

static enum MHD_Result begin(struct bh_http_request_private *p)
{
    struct bh_http *http = p->http;

    p->begun = true;
    p->stage = WAITING;
    p->in_handler = true;
    http->options.ops->begin(http->options.ctx, &p->public);
    p->in_handler = false;
    if (p->stage == ANSWERED)
        return send_answer(p);
    p->suspended = true;
    MHD_suspend_connection(p->connection);
    return MHD_YES;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *data_n, void **state)
{
    struct bh_http_request_private *p = *state;

    (void)version;
    if (!p) {
        *state = p = new_request(cls, connection, url, method);
        if (!p)
            return MHD_NO;
        return p->public.whole ? MHD_YES : begin(p); /* too large by its own word: answered before it is sent */
    }
    if (*data_n) {
        take_body(p, data, *data_n);
        *data_n = 0;
        return MHD_YES;
    }
    if (p->stage == READING)
        return begin(p);
    return p->stage == ANSWERED && p->response ? send_answer(p) : MHD_YES;
}

static void completed(void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    struct bh_http *http = cls;
    struct bh_http_request_private *p = *state;

    (void)connection, (void)code;
    if (!p)
        return;
    if (p->begun)
        http->options.ops->end(http->options.ctx, &p->public);
    if (p->response)
        MHD_destroy_response(p->response);
    bh_buf_free(&p->public.body);
    bh_list_remove(&p->node);
    free(p);
    *state = NULL;
}

/* ---- the loop ---- */

static void run(void *ctx)
{
    struct bh_http *http = ctx;
    MHD_UNSIGNED_LONG_LONG ms;

    (void)MHD_run(http->daemon);
    if (MHD_get_timeout(http->daemon, &ms) == MHD_YES)
        bh_timer_set(&http->timer, ms > 60000 ? 60000 : (int64_t)ms);
}

static void ready(void *ctx, unsigned events)
{
    (void)events;
    run(ctx);
}

static struct MHD_Daemon *start(struct bh_http *http)
{
    const struct bh_http_options *o = &http->options;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (o->certificate_pem ? MHD_USE_TLS : 0u);
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->certificate_pem},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->key_pem},
                                   {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

    return MHD_start_daemon(
        flags, 0, NULL, NULL, handle, http, MHD_OPTION_LISTEN_SOCKET, o->fd, MHD_OPTION_NOTIFY_COMPLETED, completed,
        http, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_LIMIT,
        o->connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT, o->connections_per_client,
        MHD_OPTION_CONNECTION_TIMEOUT, o->idle_s, MHD_OPTION_ARRAY, o->certificate_pem ? tls : none, MHD_OPTION_END);
}

struct bh_http *bh_http_new(const struct bh_http_options *options)
{
    struct bh_http *http = calloc(1, sizeof(*http));
    const union MHD_DaemonInfo *info;

    if (!http) {
        (void)close(options->fd);
        return NULL;
    }
    http->options = *options;
    bh_list_init(&http->requests);
    bh_deferred_init(&http->run, run, http);
    if (bh_timer_init(options->loop, &http->timer, run, http)) {
        (void)close(options->fd);
        free(http);
        return NULL;
    }
    http->daemon = start(http);
    info = http->daemon ? MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info || bh_watch_start(options->loop, &http->watch, info->epoll_fd, BH_READ, ready, http)) {
        bh_http_free(http);
        return NULL;
    }
    return http;
}

void bh_http_quiesce(struct bh_http *http)
{
    MHD_socket fd;

    if (http->quiesced)
        return;
    http->quiesced = true;
    fd = MHD_quiesce_daemon(http->daemon);
    if (fd != MHD_INVALID_SOCKET)
        (void)close(fd);
}

unsigned bh_http_connections(const struct bh_http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

    return info ? info->num_connections : 0;
}

void bh_http_free(struct bh_http *http)
{
    if (!http)
        return;
    if (http->watch.event)
        bh_watch_stop(&http->watch);
    bh_timer_free(&http->timer);
    bh_deferred_cancel(&http->run);
    BH_LIST_EACH (node, &http->requests) { /* libmicrohttpd does not end while one is suspended */
        struct bh_http_request_private *p = BH_CONTAINER_OF(node, struct bh_http_request_private, node);

        if (p->suspended) {
            p->suspended = false;
            p->stage = ANSWERED;
            MHD_resume_connection(p->connection);
        }
    }
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    free(http);
}
