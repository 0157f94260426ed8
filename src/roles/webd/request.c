/* request.c: a request from its arrival to its answer: route, token, limits, validation, and who executes it. */
#include "base/text.h"
#include "schema.h"
#include "store/control.h"
#include "webd.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONTROLD_MS = 30 * 1000, ARENA_BYTES = 64 << 20, TOKEN_MAX = 200, PROBLEM_MAX = 1000 };

/* ---- answers ---- */

static void send(struct request *request, unsigned status, const char *content_type, bh_str body,
                 const char *extra_name, const char *extra_value)
{
    struct bh_http_answer answer = {.status = status, .content_type = content_type, .body = body};
    struct webd *webd = request->webd;
    char limit[16], remaining[16], code[16];

    bh_http_header_add(&answer, "X-Request-Id", request->id);
    bh_http_header_add(&answer, "Cache-Control", "no-store");
    bh_http_header_add(&answer, "X-Content-Type-Options", "nosniff");
    if (request->limited) {
        (void)snprintf(limit, sizeof(limit), "%u", request->limit);
        (void)snprintf(remaining, sizeof(remaining), "%u", request->remaining);
        bh_http_header_add(&answer, "RateLimit-Limit", limit);
        bh_http_header_add(&answer, "RateLimit-Remaining", remaining);
        bh_http_header_add(&answer, "RateLimit-Reset", "1");
    }
    if (extra_name)
        bh_http_header_add(&answer, extra_name, extra_value);
    webd->counts.by_class[status / 100 < 6 ? status / 100 : 5]++;
    (void)snprintf(code, sizeof(code), "%u", status);
    bh_log_line(&webd->role->log, BH_LOG_DEBUG, "request", BH_KV("id", bh_str_c(request->id)),
                BH_KV("method", request->http->method), BH_KV("path", request->http->path),
                BH_KV("status", bh_str_c(code)));
    bh_http_answer(request->http, &answer);
}

void request_answer_text(struct request *request, unsigned status, const char *content_type, bh_str body)
{
    send(request, status, content_type, body, NULL, NULL);
}

/* A weak comparison is enough: the tag is of the bytes that are sent. */
static bool tagged(struct request *request, const char *text, size_t n, char tag[40])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    struct bh_buf out = {.p = tag, .cap = 39, .max = 39};
    bh_str match = bh_http_header(request->http, "If-None-Match");

    if (EVP_Digest(text, n, hash, NULL, EVP_sha256(), NULL) != 1)
        return false;
    bh_buf_char(&out, '"');
    bh_hex_encode(&out, bh_str_of((const char *)hash, 16));
    bh_buf_char(&out, '"');
    tag[out.n] = '\0';
    return match.p && bh_str_search(match, bh_str_c(tag)) < match.n;
}

void request_answer(struct request *request, unsigned status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    char tag[40] = "";

    if (body && !text) {
        request_problem(request, 503, "temporary", "Try again", NULL, "out of memory");
    } else if (text && status == 200 && bh_str_eq(request->http->method, BH_STR("GET"))) {
        if (tagged(request, text, strlen(text), tag))
            send(request, 304, NULL, BH_STR(""), "ETag", tag);
        else
            send(request, 200, "application/json", bh_str_c(text), tag[0] ? "ETag" : NULL, tag);
    } else {
        send(request, status, text ? "application/json" : NULL, bh_str_c(text ? text : ""), NULL, NULL);
    }
    free(text);
    json_decref(body);
}

static const char *title_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *title;
    } titles[] = {{400, "Bad request"},
                  {401, "Not authenticated"},
                  {403, "Not allowed"},
                  {404, "Not found"},
                  {405, "Method not allowed"},
                  {409, "Conflict"},
                  {412, "Changed meanwhile"},
                  {413, "Too large"},
                  {415, "Unsupported media type"},
                  {422, "Not acceptable as it is"},
                  {429, "Too many requests"},
                  {503, "Temporarily unavailable"}};

    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Internal error";
}

static void put_problem(struct request *request, unsigned status, const char *code, const char *fix, json_t *errors,
                        const char *detail, const char *extra_name, const char *extra_value)
{
    json_t *body = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type", "about:blank", "title", title_of(status),
                             "status", (int)status, "detail", detail, "code", code, "instance", request->id);
    char *text;

    if (fix && fix[0])
        (void)json_object_set_new(body, "fix", json_string(fix));
    if (errors)
        (void)json_object_set_new(body, "errors", errors);
    text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    send(request, status, "application/problem+json", bh_str_c(text ? text : "{}"), extra_name, extra_value);
    free(text);
    json_decref(body);
}

void request_problem(struct request *request, unsigned status, const char *code, const char *fix, json_t *errors,
                     const char *format, ...)
{
    char detail[PROBLEM_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    put_problem(request, status, code, fix, errors, detail,
                status == 503   ? "Retry-After"
                : status == 401 ? "WWW-Authenticate"
                                : NULL,
                status == 503 ? "1" : "Bearer");
}

void request_problem_at(struct request *request, unsigned status, const char *pointer, const char *code,
                        const char *detail)
{
    json_t *errors = json_array();

    (void)json_array_append_new(errors,
                                json_pack("{s:s, s:s, s:s}", "pointer", pointer, "code", code, "detail", detail));
    request_problem(request, status, code, NULL, errors, "%s: %s", pointer, detail);
}

struct bh_arena *request_arena(struct request *request)
{
    if (!request->arena)
        request->arena = bh_arena_new(ARENA_BYTES);
    if (!request->arena)
        request_problem(request, 503, "temporary", "Try again", NULL, "out of memory");
    return request->arena;
}

/* ---- what the operation wants ---- */

static json_t *find_parameter(const struct request *request, const char *name, const char *where)
{
    const json_t *root = bh_spec_root(request->webd->spec);
    const json_t *lists[] = {json_object_get(request->operation->object, "parameters"), request->operation->common};

    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < json_array_size(lists[l]); i++) {
            const json_t *one = bh_schema_resolve(root, json_array_get(lists[l], i));

            if (strcmp(json_string_value(json_object_get(one, "name")), name) == 0 &&
                strcmp(json_string_value(json_object_get(one, "in")), where) == 0)
                return (json_t *)(uintptr_t)one;
        }
    return NULL;
}

struct taking {
    struct request *request;
    const char *where; /* "query", "path" */
    json_t *errors;
};

static void take_parameter(struct taking *taking, bh_str name, bh_str text)
{
    struct request *request = taking->request;
    const json_t *root = bh_spec_root(request->webd->spec);
    char key[64], pointer[100];
    json_t *parameter, *value;

    if (bh_str_to_c(name, key, sizeof(key)))
        (void)snprintf(key, sizeof(key), "?");
    (void)snprintf(pointer, sizeof(pointer), "%s:%s", taking->where, key);
    parameter = find_parameter(request, key, taking->where);
    value = parameter ? bh_schema_parameter(root, json_object_get(parameter, "schema"), text) : NULL;
    if (!parameter)
        (void)json_array_append_new(taking->errors, json_pack("{s:s, s:s, s:s}", "pointer", pointer, "code", "unknown",
                                                              "detail", "there is no such parameter"));
    else if (!value)
        (void)json_array_append_new(taking->errors,
                                    json_pack("{s:s, s:s, s:s}", "pointer", pointer, "code", "type", "detail",
                                              "is not of the type that is asked for, or no UTF-8"));
    else if (bh_schema_check(root, json_object_get(parameter, "schema"), value, pointer, taking->errors))
        (void)json_object_set(request->query, key, value);
    json_decref(value);
}

static bool take_query(void *ctx, bh_str name, bh_str value)
{
    struct taking *taking = ctx;

    if (json_array_size(taking->errors) < BH_SCHEMA_ERRORS_MAX)
        take_parameter(taking, name, value);
    return true;
}

/* False: answered. */
static bool take_parameters(struct request *request)
{
    struct taking taking = {request, "path", json_array()};

    request->query = json_object();
    for (size_t i = 0; i < request->value_count; i++) {
        bh_str name = bh_str_c(request->values[i].name);

        take_parameter(&taking, bh_str_sub(name, 0, bh_str_find(name, '}')), request->values[i].value);
    }
    if (json_array_size(taking.errors)) {
        json_decref(taking.errors);
        request_problem(request, 404, "not_found", NULL, NULL, "there is no such object");
        return false;
    }
    taking.where = "query";
    bh_http_query(request->http, take_query, &taking);
    if (!json_array_size(taking.errors)) {
        json_decref(taking.errors);
        return true;
    }
    request_problem(request, 422, "invalid", "See errors; /v1/openapi.json has what is understood", taking.errors,
                    "a parameter is wrong");
    return false;
}

/* Nesting of brackets outside of strings: what a recursive reader would have to follow. */
static bool is_too_deep(bh_str text)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > BH_WEBD_DEPTH_MAX)
                return true;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return false;
}

static const json_t *body_schema(const struct request *request, const char *type)
{
    return json_object_get(
        json_object_get(json_object_get(json_object_get(request->operation->object, "requestBody"), "content"), type),
        "schema");
}

static bool is_type(const struct request *request, const char *type)
{
    bh_str field = bh_http_header(request->http, "Content-Type"), rest;

    return field.p && bh_str_eq_ci(bh_str_trim(bh_str_cut(field, ';', &rest)), bh_str_c(type));
}

static bool read_json(struct request *request)
{
    bh_str text = bh_buf_view(&request->http->body);
    json_error_t error;

    if (is_too_deep(text)) {
        request_problem(request, 422, "depth", NULL, NULL, "the JSON is nested more than %d deep", BH_WEBD_DEPTH_MAX);
        return false;
    }
    request->body = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (request->body)
        return true;
    request_problem(request, 400, "json", "Send UTF-8 JSON without repeated members", NULL, "line %d, column %d: %s",
                    error.line, error.column, bh_str_eq(text, BH_STR("")) ? "the body is empty" : "this is no JSON");
    return false;
}

/* False: answered. */
static bool take_body(struct request *request)
{
    const json_t *wanted = json_object_get(request->operation->object, "requestBody");
    json_t *errors;

    if (!wanted) {
        if (!request->http->body.n)
            return true;
        request_problem(request, 422, "invalid", NULL, NULL, "this operation takes no body");
        return false;
    }
    if (!request->http->body.n && !json_is_true(json_object_get(wanted, "required")))
        return true;
    if (is_type(request, "message/rfc822") && json_object_get(json_object_get(wanted, "content"), "message/rfc822"))
        return true;
    if (!is_type(request, "application/json")) {
        request_problem(request, 415, "media_type", "Send Content-Type: application/json", NULL,
                        "this media type is not understood here");
        return false;
    }
    if (!read_json(request))
        return false;
    errors = json_array();
    if (bh_schema_check(bh_spec_root(request->webd->spec), body_schema(request, "application/json"), request->body, "",
                        errors)) {
        json_decref(errors);
        return true;
    }
    request_problem(request, 422, "invalid", "See errors; /v1/openapi.json has what is understood", errors,
                    "the request is not as it must be");
    return false;
}

/* ---- who is it ---- */

static unsigned scope_bit(const char *name)
{
    return strcmp(name, "send") == 0   ? (unsigned)BH_API_SEND
           : strcmp(name, "read") == 0 ? (unsigned)(BH_API_READ | BH_API_ADMIN)
                                       : (unsigned)BH_API_ADMIN;
}

static void execute(struct request *request)
{
    const char *handler = json_string_value(json_object_get(request->operation->x, "handler"));
    const char *scope = json_string_value(json_object_get(request->operation->x, "scope"));
    unsigned wait_s;

    if (!webd_limit(request->webd, request, &wait_s)) {
        request->webd->counts.limited++;
        put_problem(request, 429, "rate_limit", "Spread the requests, or batch them", NULL,
                    "this token has used up its requests of this second", "Retry-After", "1");
        return;
    }
    if (!(request->token.scopes & scope_bit(scope))) {
        request_problem(request, 403, "scope", "Use a token with this scope", NULL, "this needs a token with scope %s",
                        scope);
        return;
    }
    if (!take_parameters(request) || !take_body(request))
        return;
    if (handler)
        emails_run(request, handler);
    else
        command_run(request);
}

static void refuse_token(struct request *request, const char *detail)
{
    request->webd->counts.unauthorized++;
    request_problem(request, 401, "unauthorized", "Send Authorization: Bearer <token>; behalf token add makes one",
                    NULL, "%s", detail);
}

static void use_token(struct request *request, bh_str body)
{
    struct bh_msg_token_reply reply;
    struct webd_token *token = &request->token;

    if (bh_msg_token_reply_get(body, &reply)) {
        request_problem(request, 503, "temporary", "Try again", NULL, "the token cannot be looked up now");
        return;
    }
    if (!reply.ok) {
        bh_log_line(&request->webd->role->log, BH_LOG_WARN, "API token refused",
                    BH_KV("client", bh_str_c(request->http->client)), BH_KV("why", reply.why),
                    BH_KV("request", bh_str_c(request->id)));
        refuse_token(request, "this token is not valid");
        return;
    }
    if (reply.addresses.n && !webd_address_listed(reply.addresses, request->http->client)) {
        bh_log_line(&request->webd->role->log, BH_LOG_WARN, "API token from an address that it is not bound to",
                    BH_KV("client", bh_str_c(request->http->client)), BH_KV("request", bh_str_c(request->id)));
        request_problem(request, 403, "address", "Use it from the addresses it is bound to", NULL,
                        "this token may not be used from %s", request->http->client);
        return;
    }
    token->id = reply.token_id;
    token->customer_id = reply.customer_id;
    token->scopes = reply.scopes;
    token->rate = reply.rate;
    if (bh_str_to_c(reply.customer, token->customer, sizeof(token->customer)))
        token->customer[0] = '\0';
    execute(request);
}

static uint64_t version_of(bh_str reply)
{
    struct bh_cur cur = bh_cur_make(reply);

    (void)bh_cur_u8(&cur);
    return bh_cur_u64(&cur);
}

static void on_token(void *ctx, bh_err err, struct bh_ipc_message *reply)
{
    struct request *request = ctx;
    struct webd *webd = request->webd;

    request->call = NULL;
    if (err) {
        request_problem(request, 503, "temporary", "Try again", NULL, "the token cannot be looked up now");
        return;
    }
    if (reply->body.n && reply->body.p[0])
        bh_cache_put(&webd->tokens, version_of(reply->body),
                     bh_str_of((const char *)request->token.hash, sizeof(request->token.hash)), reply->body);
    use_token(request, reply->body);
}

static void ask_token(struct request *request, bh_str secret)
{
    struct webd *webd = request->webd;
    bh_str hash = bh_str_of((const char *)request->token.hash, sizeof(request->token.hash)), known;
    struct bh_msg_token ask = {hash};

    if (EVP_Digest(secret.p, secret.n, request->token.hash, NULL, EVP_sha256(), NULL) != 1) {
        request_problem(request, 503, "temporary", "Try again", NULL, "out of memory");
        return;
    }
    known = bh_cache_get(&webd->tokens, hash);
    if (known.p)
        use_token(request, known);
    else if (BH_PEER_CALL(bh_role_any_peer(webd->role, BH_ROLE_CONTROLD), TOKEN, token, &ask, CONTROLD_MS, on_token,
                          request, &request->call))
        request_problem(request, 503, "temporary", "Try again", NULL, "the token cannot be looked up now");
}

static void authenticate(struct request *request)
{
    bh_str field = bh_http_header(request->http, "Authorization");

    if (!field.p)
        refuse_token(request, "there is no Authorization field");
    else if (!bh_str_starts_ci(field, BH_STR("bearer ")) || field.n > TOKEN_MAX)
        refuse_token(request, "the Authorization field has no bearer token");
    else
        ask_token(request, bh_str_trim(bh_str_skip(field, 7)));
}

/* ---- routes ---- */

static void answer_document(struct request *request)
{
    request_answer_text(request, 200, "application/json", bh_str_of(bh_openapi_json, bh_openapi_json_n));
}

static void no_operation(struct request *request, bool known)
{
    struct bh_buf allow = bh_buf_make(100);

    if (known) {
        bh_spec_methods(request->webd->spec, request->http->path, &allow);
        bh_buf_char(&allow, '\0');
        put_problem(request, 405, "method", "Use one of the methods in Allow", NULL, "this path has no such method",
                    "Allow", bh_buf_err(&allow) ? "" : allow.p);
    } else {
        request_problem(request, 404, "not_found", "/v1/openapi.json lists what there is", NULL,
                        "there is nothing at this path");
    }
    bh_buf_free(&allow);
}

static void route(struct request *request)
{
    bool known;
    const char *handler, *scope;

    request->operation = bh_spec_match(request->webd->spec, request->http->method, request->http->path, request->values,
                                       &request->value_count, &known);
    if (!request->operation) {
        no_operation(request, known);
        return;
    }
    if (!request->http->whole) {
        request_problem(request, 413, "too_large", "Send less, or in parts", NULL,
                        "the request's body is larger than this server takes");
        return;
    }
    handler = json_string_value(json_object_get(request->operation->x, "handler"));
    scope = json_string_value(json_object_get(request->operation->x, "scope"));
    if (strcmp(scope, "none") != 0)
        authenticate(request);
    else if (strcmp(handler, "openapi") == 0)
        answer_document(request);
    else if (strcmp(handler, "docs") == 0)
        request_answer_text(request, 200, "text/html; charset=utf-8", bh_str_of(bh_docs_html, bh_docs_html_n));
    else if (strcmp(handler, "metrics") == 0)
        metrics_answer(request);
    else if (strcmp(handler, "ready") == 0)
        readiness_answer(request);
    else
        request_answer_text(request, 200, "text/plain", BH_STR("ok\n"));
}

static void make_id(struct webd *webd, char id[BH_WEBD_REQUEST_ID + 8])
{
    struct bh_buf text = {.p = id, .cap = BH_WEBD_REQUEST_ID + 7, .max = BH_WEBD_REQUEST_ID + 7};
    char bits[12];

    (void)webd;
    bh_random_fill(&bh_random_os, bits, sizeof(bits));
    bh_buf_add(&text, BH_STR("req_"));
    bh_base32_encode(&text, bh_str_of(bits, sizeof(bits)));
    id[text.n] = '\0';
}

static void begin(void *ctx, struct bh_http_request *http)
{
    struct webd *webd = ctx;
    struct request *request = calloc(1, sizeof(*request));
    struct bh_http_answer busy = {.status = 503, .content_type = "text/plain", .body = BH_STR("out of memory\n")};

    if (!request) {
        bh_http_answer(http, &busy);
        return;
    }
    request->webd = webd;
    request->http = http;
    http->state = request;
    webd->open_requests++;
    webd->counts.requests++;
    make_id(webd, request->id);
    route(request);
}

static void end(void *ctx, struct bh_http_request *http)
{
    struct webd *webd = ctx;
    struct request *request = http->state;

    if (!request)
        return;
    bh_call_cancel(request->call);
    emails_forget(request);
    json_decref(request->query);
    json_decref(request->body);
    bh_arena_free(request->arena);
    free(request);
    http->state = NULL;
    webd->open_requests--;
    if (webd->draining && !webd->open_requests)
        bh_role_stop(webd->role);
}

const struct bh_http_ops webd_http_ops = {begin, end};
