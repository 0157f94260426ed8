/* webd.h: the HTTP API: what the files of this folder share.
 *
 *     http.c ─▶ request.c: who is it (token, cached) ▸ which operation (spec.c) ▸ is the request right (schema.c)
 *                  ├─▶ command.c: a command of controld in the token's name, its answer as an API answer
 *                  └─▶ emails.c:  a message built (mail/compose.h), asked for (may_send), submitted to queued
 *
 * No database, no keys: a stranger who took this process over could give commands of the tokens that it sees, and no
 * others: controld looks each token up again. */
#ifndef BH_WEBD_WEBD_H
#define BH_WEBD_WEBD_H

#include "http.h"
#include "roles/cache.h"
#include "roles/role.h"
#include "spec.h"
#include <behalf/dkim.h>

enum {
    BH_WEBD_REQUEST_ID = 26,
    BH_WEBD_HASH_BYTES = 32,
    BH_WEBD_DEPTH_MAX = 32 /* of JSON */
};

struct webd_port {
    struct bh_list node;
    struct bh_http *http;
};

/* Requests by what became of them; for /metrics. */
struct webd_counts {
    uint64_t requests, by_class[6], emails, limited, unauthorized;
};

struct webd {
    struct bh_role *role;
    struct bh_spec *spec;
    struct bh_list ports;
    struct bh_cache tokens, may_send;
    struct bh_map buckets; /* of tokens (limit.c) */
    struct bh_list bucket_order;
    struct bh_dkim *dkim; /* hashes bodies, checks nothing */
    struct bh_buf certificate_pem, key_pem;
    struct webd_counts counts;
    size_t open_requests;
    bool draining;
};

/* Whose request it is, views of the cached answer copied here. */
struct webd_token {
    uint8_t hash[BH_WEBD_HASH_BYTES];
    uint64_t id;
    uint32_t customer_id; /* 0: the operator */
    unsigned scopes;
    uint32_t rate;
    char customer[64];
};

struct sending; /* emails.c */

struct request {
    struct webd *webd;
    struct bh_http_request *http;
    const struct bh_operation *operation;
    struct bh_path_value values[BH_SPEC_SEGMENTS_MAX];
    size_t value_count;
    char id[BH_WEBD_REQUEST_ID + 8];
    struct webd_token token;
    struct bh_arena *arena; /* made when needed */
    json_t *query;          /* parameters of path and query, checked */
    json_t *body;           /* checked; NULL: none, or it is no JSON */
    struct bh_call *call;   /* under way */
    struct sending *sending;
    int64_t started_at;
    bool limited; /* RateLimit fields are known */
    uint32_t limit, remaining;
    void (*token_known)(struct request *request);
};

/* ---- request.c ---- */

extern const struct bh_http_ops webd_http_ops;

/* Each answers the request, once. */
void request_answer(struct request *request, unsigned status, json_t *body); /* takes the reference; NULL: no body */
void request_answer_text(struct request *request, unsigned status, const char *content_type, bh_str body);
/* RFC 9457. `errors`: a list of {pointer, code, detail}, or NULL; the reference is taken. */
void request_problem(struct request *request, unsigned status, const char *code, const char *fix, json_t *errors,
                     const char *format, ...) BH_PRINTF(6, 7);
/* {pointer, code, detail} alone. */
void request_problem_at(struct request *request, unsigned status, const char *pointer, const char *code,
                        const char *detail);
struct bh_arena *request_arena(struct request *request); /* NULL: out of memory, and answered */

/* ---- limit.c ---- */

/* Takes one from the token's bucket. False: it is empty, and *ret_wait_s tells for how long. */
bool webd_limit(struct webd *webd, struct request *request, unsigned *ret_wait_s);
void webd_limit_free(struct webd *webd);
/* Is `client` one of the networks in `list` ("192.0.2.0/24,2001:db8::1")? */
bool webd_address_listed(bh_str list, const char *client);

/* ---- command.c ---- */

void command_run(struct request *request);

/* ---- emails.c ---- */

void emails_run(struct request *request, const char *handler);
void emails_forget(struct request *request);

/* ---- metrics.c ---- */

void metrics_answer(struct request *request);
void readiness_answer(struct request *request);

#endif
