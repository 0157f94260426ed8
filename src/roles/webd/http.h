/* http.h: HTTP in (libmicrohttpd on our loop): requests come in whole, within limits, and are answered now or later.
 *
 * A request lives from http_ops.begin until http_ops.end; in between it is answered once. What comes before the answer
 * is bounded by the options: bytes of a body, of a header, connections in all and per client, seconds of silence. */
#ifndef BH_WEBD_HTTP_H
#define BH_WEBD_HTTP_H

#include "base/buf.h"
#include "base/list.h"
#include "io/loop.h"

struct bh_http;
struct bh_http_request;

enum { BH_HTTP_HEADERS_MAX = 12 };

struct bh_http_ops {
    /* The request is whole: views live as long as it does. Answer with bh_http_answer, now or later. */
    void (*begin)(void *ctx, struct bh_http_request *request);
    /* It is over, answered or not (the client has gone). Frees request->state. */
    void (*end)(void *ctx, struct bh_http_request *request);
};

struct bh_http_options {
    struct bh_loop *loop;
    int fd;                                /* bound and listening; owned from now on */
    const char *certificate_pem, *key_pem; /* NULL: HTTP in the clear; NUL-terminated, live as long as the server */
    size_t body_max;
    unsigned connections_max, connections_per_client;
    unsigned idle_s;
    const struct bh_http_ops *ops;
    void *ctx;
};

struct bh_http_request {
    bh_str method, path; /* the path decoded once: no "%2f" trouble, since names of ours hold no such bytes */
    struct bh_buf body;
    char client[64];
    bool whole;  /* false: the body was too large and is not there */
    void *state; /* the owner's */
    struct bh_http_request_private *private;
};

/* NULL: the fd is closed, and the log of the caller should say so. */
struct bh_http *bh_http_new(const struct bh_http_options *options);
/* Open requests are ended. NULL is fine. */
void bh_http_free(struct bh_http *http);
/* Takes no new connections. */
void bh_http_quiesce(struct bh_http *http);
unsigned bh_http_connections(const struct bh_http *http);

/* A header field's value, or {NULL, 0}. */
bh_str bh_http_header(const struct bh_http_request *request, const char *name);
/* Calls `each` for each member of the query string; decoded views. False from it stops. */
void bh_http_query(const struct bh_http_request *request, bool (*each)(void *ctx, bh_str name, bh_str value),
                   void *ctx);

struct bh_http_answer {
    unsigned status;
    const char *content_type;
    bh_str body; /* copied */
    struct {
        const char *name;
        const char *value; /* copied */
    } headers[BH_HTTP_HEADERS_MAX];
    size_t header_count;
};
void bh_http_header_add(struct bh_http_answer *answer, const char *name, const char *value);
/* Exactly once a request. */
void bh_http_answer(struct bh_http_request *request, const struct bh_http_answer *answer);

#endif
