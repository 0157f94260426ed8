/* http.c: see http.h. A call first asks for the host's addresses, then runs in libcurl's multi handle, whose sockets
 * and timer are watches and a timer of the loop. */
#include "http.h"
#include "base/buf.h"
#include "vet.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

enum { CALLS_MAX = 256, ADDRESSES_MAX = 8, URL_MAX = 2048, HOST_MAX = 253, CONNECT_MS = 15000 };

struct bh_http {
    struct bh_loop *loop;
    struct bh_resolver *resolver;
    CURLM *multi;
    struct bh_timer timer;
    struct bh_buf roots;
    struct bh_list calls;
    size_t count;
    bool freeing;
};

struct question {
    struct bh_http_call *call;
    struct bh_dns_query *query;
    bool running;
};

struct bh_http_call {
    struct bh_list list;
    struct bh_http *http;
    CURL *easy;
    bool added; /* to multi */
    struct curl_slist *headers, *resolve;
    char host[HOST_MAX + 1];
    uint16_t port;
    char url[URL_MAX + 1];
    struct question questions[2];
    char addresses[ADDRESSES_MAX][INET6_ADDRSTRLEN];
    size_t address_count;
    struct bh_buf body;
    struct bh_timer begin; /* for literals, and the limit of the whole */
    int64_t timeout_ms;
    bool too_large, public_only;
    bh_http_done *done;
    void *ctx;
};

/* A socket of libcurl's. */
struct socket {
    struct bh_watch watch;
    struct bh_http *http;
};

/* ---- ending ---- */

static void free_call(struct bh_http_call *call)
{
    struct bh_http *http = call->http;

    for (size_t i = 0; i < 2; i++)
        if (call->questions[i].running && call->questions[i].query)
            http->resolver->ops->cancel(http->resolver, call->questions[i].query);
    if (call->added)
        (void)curl_multi_remove_handle(http->multi, call->easy);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->resolve);
    bh_timer_free(&call->begin);
    bh_buf_free(&call->body);
    bh_list_remove(&call->list);
    http->count--;
    free(call);
}

void bh_http_cancel(struct bh_http_call *call)
{
    if (call)
        free_call(call);
}

static void finish(struct bh_http_call *call, const struct bh_http_answer *answer)
{
    call->done(call->ctx, answer);
    free_call(call);
}

static bh_err err_of(const struct bh_http_call *call, CURLcode code)
{
    if (call->too_large)
        return BH_E_LIMIT;
    switch ((int)code) {
    case CURLE_OK:
        return BH_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return BH_E_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
        return BH_E_CRYPTO;
    default:
        return BH_E_IO;
    }
}

static void transfer_over(struct bh_http_call *call, CURLcode code)
{
    struct bh_http_answer answer = {.err = err_of(call, code), .body = bh_buf_view(&call->body)};
    const char *type = NULL;
    long status = 0;

    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
    answer.status = (unsigned)status;
    answer.content_type = bh_str_c(type);
    answer.why = call->too_large ? "the answer is too large" : answer.err ? curl_easy_strerror(code) : "";
    finish(call, &answer);
}

static void read_done(struct bh_http *http)
{
    int left;
    CURLMsg *message;

    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct bh_http_call *call = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        if (call)
            transfer_over(call, message->data.result);
    }
}

/* ---- libcurl on the loop ---- */

static void on_socket_ready(void *ctx, unsigned events)
{
    struct socket *socket = ctx;
    struct bh_http *http = socket->http;
    int running, mask = (events & BH_READ ? CURL_CSELECT_IN : 0) | (events & BH_WRITE ? CURL_CSELECT_OUT : 0);

    (void)curl_multi_socket_action(http->multi, socket->watch.fd, mask, &running);
    read_done(http);
}

static void on_time(void *ctx)
{
    struct bh_http *http = ctx;
    int running;

    (void)curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    read_done(http);
}

static int want_time(CURLM *multi, long in_ms, void *ctx)
{
    struct bh_http *http = ctx;

    if (http->freeing)
        return 0;
    if (in_ms < 0)
        bh_timer_clear(&http->timer);
    else
        bh_timer_set(&http->timer, in_ms);
    return 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct bh_http *http = ctx;
    struct socket *socket = socket_ctx;
    unsigned events = (what & CURL_POLL_IN ? BH_READ : 0u) | (what & CURL_POLL_OUT ? BH_WRITE : 0u);

    if (what == CURL_POLL_REMOVE) {
        if (socket)
            bh_watch_stop(&socket->watch);
        free(socket);
        (void)curl_multi_assign(http->multi, fd, NULL);
        return 0;
    }
    if (socket) {
        bh_watch_want(&socket->watch, events);
        return 0;
    }
    socket = calloc(1, sizeof(*socket));
    if (!socket)
        return -1;
    socket->http = http;
    if (bh_watch_start(http->loop, &socket->watch, fd, events, on_socket_ready, socket) != BH_OK) {
        free(socket);
        return -1;
    }
    (void)curl_multi_assign(http->multi, fd, socket);
    return 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct bh_http_call *call = ctx;

    bh_buf_add(&call->body, bh_str_of(bytes, size * count));
    call->too_large = bh_buf_err(&call->body) != BH_OK;
    return call->too_large ? 0 : size * count;
}

/* ---- addresses ---- */

/* "host:port:addr,addr": libcurl asks nobody. */
static bool pin_addresses(struct bh_http_call *call)
{
    struct bh_buf text = bh_buf_make(1024);
    struct curl_slist *list = NULL;

    bh_buf_printf(&text, "%s:%u:", call->host, call->port);
    for (size_t i = 0; i < call->address_count; i++)
        bh_buf_printf(&text, "%s%s", i ? "," : "", call->addresses[i]);
    bh_buf_char(&text, '\0');
    if (!bh_buf_err(&text))
        list = curl_slist_append(NULL, text.p);
    bh_buf_free(&text);
    call->resolve = list;
    return list && curl_easy_setopt(call->easy, CURLOPT_RESOLVE, list) == CURLE_OK;
}

static void go(struct bh_http_call *call)
{
    if (!call->address_count) {
        finish(call,
               &(struct bh_http_answer){.err = BH_E_NOT_FOUND, .why = "the host has no address that may be used"});
        return;
    }
    bh_timer_clear(&call->begin);
    if (pin_addresses(call) && curl_multi_add_handle(call->http->multi, call->easy) == CURLM_OK)
        call->added = true;
    else
        finish(call, &(struct bh_http_answer){.err = BH_E_NOMEM, .why = "out of memory"});
}

static void add_address(struct bh_http_call *call, bh_str bytes)
{
    struct bh_ip ip;

    if (call->address_count < ADDRESSES_MAX && bh_ip_from_bytes(bytes, &ip) == BH_OK &&
        (!call->public_only || bh_address_is_public(&ip)))
        (void)bh_ip_print(&ip, call->addresses[call->address_count++]);
}

static void on_address(void *ctx, const struct bh_dns_answer *answer)
{
    struct question *question = ctx;
    struct bh_http_call *call = question->call;

    question->running = false;
    for (size_t i = 0; answer->status == BH_DNS_FOUND && i < answer->count; i++)
        add_address(call, answer->records[i].rdata);
    if (!call->questions[0].running && !call->questions[1].running)
        bh_timer_set(&call->begin, 0);
}

static void on_begin(void *ctx)
{
    struct bh_http_call *call = ctx;

    if (call->questions[0].running || call->questions[1].running)
        finish(call, &(struct bh_http_answer){.err = BH_E_TIMEOUT, .why = "its addresses cannot be looked up in time"});
    else
        go(call);
}

static void resolve(struct bh_http_call *call)
{
    static const uint16_t types[] = {BH_DNS_A, BH_DNS_AAAA};
    struct bh_resolver *resolver = call->http->resolver;
    unsigned char binary[16];

    bh_timer_set(&call->begin, call->timeout_ms);
    if (inet_pton(AF_INET, call->host, binary) == 1) {
        add_address(call, bh_str_of((const char *)binary, 4));
        bh_timer_set(&call->begin, 0);
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        call->questions[i] = (struct question){.call = call, .running = true};
        if (resolver->ops->lookup(resolver, bh_str_c(call->host), types[i], on_address, &call->questions[i],
                                  &call->questions[i].query) != BH_OK)
            call->questions[i].running = false;
    }
    if (!call->questions[0].running && !call->questions[1].running)
        bh_timer_set(&call->begin, 0);
}

/* ---- starting ---- */

/* https://host[:port]/… without user or port 0. */
static bh_err read_url(struct bh_http_call *call, const struct bh_http_request *request)
{
    bh_str rest, url = request->url, port, authority;
    bool secure = bh_str_starts(url, BH_STR("https://"));
    uint64_t number = secure ? 443 : 80;

    if (!secure && !(request->allow_http && bh_str_starts(url, BH_STR("http://"))))
        return BH_E_SYNTAX;
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] >= 0x7f)
            return BH_E_SYNTAX;
    authority = bh_str_cut(bh_str_skip(url, secure ? 8 : 7), '/', &rest);
    authority = bh_str_sub(authority, 0, bh_str_find(authority, '?'));
    if (bh_str_find(authority, '@') < authority.n || bh_str_find(authority, '[') < authority.n)
        return BH_E_SYNTAX;
    authority = bh_str_cut(authority, ':', &port);
    if (port.p && (bh_str_to_u64(port, 65535, &number) || !number))
        return BH_E_SYNTAX;
    call->port = (uint16_t)number;
    if (!authority.n || bh_str_to_c(authority, call->host, sizeof(call->host)) ||
        bh_str_to_c(url, call->url, sizeof(call->url)))
        return BH_E_SYNTAX;
    return BH_OK;
}

static bool set_options(struct bh_http_call *call, const struct bh_http_request *request)
{
    CURL *e = call->easy;
    struct curl_blob roots = {.data = call->http->roots.p, .len = call->http->roots.n, .flags = CURL_BLOB_NOCOPY};
    int bad = 0;

#define SET(option, value) bad |= curl_easy_setopt(e, (option), (value)) != CURLE_OK
    SET(CURLOPT_URL, call->url);
    SET(CURLOPT_PRIVATE, (void *)call);
    SET(CURLOPT_PROTOCOLS_STR, request->allow_http ? "http,https" : "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_CAINFO, (char *)NULL);
    SET(CURLOPT_CAPATH, (char *)NULL);
    if (roots.len)
        SET(CURLOPT_CAINFO_BLOB, &roots);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_USERAGENT, "behalf");
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    SET(CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, (void *)call);
    SET(CURLOPT_FORBID_REUSE, 1L);
    for (const char *const *field = request->headers; field && *field; field++)
        call->headers = curl_slist_append(call->headers, *field);
    if (request->content_type) {
        char field[200];

        (void)snprintf(field, sizeof(field), "Content-Type: %s", request->content_type);
        call->headers = curl_slist_append(call->headers, field);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.n);
        SET(CURLOPT_COPYPOSTFIELDS, request->body.n ? request->body.p : "");
    }
    SET(CURLOPT_HTTPHEADER, call->headers);
#undef SET
    return !bad;
}

bh_err bh_http_start(struct bh_http *http, const struct bh_http_request *request, bh_http_done *done, void *ctx,
                     struct bh_http_call **ret_call)
{
    struct bh_http_call *call;
    bh_err err;

    if (http->count >= CALLS_MAX)
        return BH_E_LIMIT;
    call = calloc(1, sizeof(*call));
    if (!call)
        return BH_E_NOMEM;
    call->http = http;
    call->done = done;
    call->ctx = ctx;
    call->timeout_ms = request->timeout_ms;
    call->public_only = request->public_only;
    call->body = bh_buf_make(request->answer_max);
    bh_list_push(&http->calls, &call->list);
    http->count++;
    err = read_url(call, request);
    if (!err)
        err = bh_timer_init(http->loop, &call->begin, on_begin, call);
    if (!err && (!(call->easy = curl_easy_init()) || !set_options(call, request)))
        err = BH_E_NOMEM;
    if (err) {
        free_call(call);
        return err;
    }
    resolve(call);
    if (ret_call)
        *ret_call = call;
    return BH_OK;
}

bh_err bh_http_new(struct bh_loop *loop, struct bh_resolver *resolver, bh_str roots_pem, struct bh_http **ret_http)
{
    struct bh_http *http = calloc(1, sizeof(*http));

    if (!http)
        return BH_E_NOMEM;
    http->loop = loop;
    http->resolver = resolver;
    http->roots = bh_buf_make(roots_pem.n);
    bh_buf_add(&http->roots, roots_pem);
    bh_list_init(&http->calls);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        http->multi = curl_multi_init();
    if (!http->multi || bh_buf_err(&http->roots) || bh_timer_init(loop, &http->timer, on_time, http) != BH_OK) {
        bh_http_free(http);
        return BH_E_NOMEM;
    }
    (void)curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    (void)curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    (void)curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, want_time);
    (void)curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    *ret_http = http;
    return BH_OK;
}

void bh_http_free(struct bh_http *http)
{
    if (!http)
        return;
    http->freeing = true;
    for (struct bh_list *link; (link = bh_list_first(&http->calls));)
        free_call(BH_CONTAINER_OF(link, struct bh_http_call, list));
    if (http->multi)
        (void)curl_multi_cleanup(http->multi);
    bh_timer_free(&http->timer);
    bh_buf_free(&http->roots);
    free(http);
}
