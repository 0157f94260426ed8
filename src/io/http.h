/* http.h: HTTPS requests to strangers (libcurl) on the loop. What a stranger answers is bounded in bytes and in time,
 * no redirect is followed, nothing but http and https is spoken, no file, proxy or environment is looked at. Names are
 * resolved by our own resolver, never by libcurl. A library of its own: only who fetches links libcurl. */
#ifndef BH_IO_HTTP_H
#define BH_IO_HTTP_H

#include "io/loop.h"
#include <behalf/resolver.h>

struct bh_http;
struct bh_http_call;

struct bh_http_request {
    bh_str url;                 /* https://host[:port]/… ; the certificate must be for the host */
    const char *content_type;   /* of `body`; NULL: GET */
    bh_str body;                /* POST; copied */
    const char *const *headers; /* more fields, "Name: value", up to a NULL; may be NULL */
    size_t answer_max;          /* bytes; more is an error */
    int64_t timeout_ms;         /* for all of it */
    bool allow_http;            /* http:// too: for tests and loopback */
    bool public_only;           /* the URL is a stranger's: only addresses of vet.h are connected to */
};

struct bh_http_answer {
    bh_err err;      /* BH_OK: there is an answer, of any status; BH_E_CRYPTO the certificate, BH_E_TIMEOUT, BH_E_LIMIT
                        too large, BH_E_NOT_FOUND no address, BH_E_IO */
    unsigned status; /* 200 … */
    bh_str content_type;
    bh_str body;
    const char *why; /* of an error, for people */
};
typedef void bh_http_done(void *ctx, const struct bh_http_answer *answer);

/* `roots_pem` is copied; empty: nothing can be verified, so nothing is fetched. The resolver must live as long.
 * BH_E_NOMEM. */
BH_MUST bh_err bh_http_new(struct bh_loop *loop, struct bh_resolver *resolver, bh_str roots_pem,
                           struct bh_http **ret_http);
/* Running calls end without their call-back. NULL is fine. */
void bh_http_free(struct bh_http *http);

/* `done` is called once, never before this returns, unless cancelled; the answer lives until it returns. BH_E_SYNTAX:
 * no URL that we take. BH_E_NOMEM, BH_E_LIMIT (too many at once). */
BH_MUST bh_err bh_http_start(struct bh_http *http, const struct bh_http_request *request, bh_http_done *done, void *ctx,
                             struct bh_http_call **ret_call);
void bh_http_cancel(struct bh_http_call *call);

#endif
