/* command.c: operations that are commands of controld (or, through it, of queued): the request's values become its
 * arguments, its answer becomes the API's. */
#include "webd.h"
#include <stdlib.h>

enum { CONTROLD_MS = 60 * 1000, LIST_USUAL = 20 };

/* ---- the command ---- */

static const char *name_of(const json_t *names, const char *name)
{
    const char *other = json_string_value(json_object_get(names, name));

    return other ? other : name;
}

static void add_args(json_t *args, const json_t *names, const json_t *values)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)values, name, value)(void)
        json_object_set(args, name_of(names, name), value);
}

static json_t *make_command(const struct request *request)
{
    const json_t *x = request->operation->x, *names = json_object_get(x, "args");
    json_t *args = json_object();

    add_args(args, NULL, json_object_get(x, "fixed"));
    if (json_is_object(request->body))
        add_args(args, names, request->body);
    add_args(args, names, request->query); /* the path wins over the body */
    if (json_object_get(x, "list") && !json_object_get(args, "limit") && json_object_get(x, "paged"))
        (void)json_object_set_new(args, "limit", json_integer(LIST_USUAL));
    return json_pack("{s:O, s:O, s:o}", "noun", json_object_get(x, "noun"), "verb", json_object_get(x, "verb"), "args",
                     args);
}

/* ---- the answer ---- */

static unsigned status_of(const char *code)
{
    static const struct {
        const char *code;
        unsigned status;
    } known[] = {{"invalid", 422},     {"refused", 422},  {"limit", 422},     {"not_found", 404},
                 {"exists", 409},      {"conflict", 409}, {"forbidden", 403}, {"unauthorized", 401},
                 {"unsupported", 422}, {"temporary", 503}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].code, code) == 0)
            return known[i].status;
    return 500;
}

static void answer_error(struct request *request, const json_t *error)
{
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *detail = json_string_value(json_object_get(error, "detail"));
    const char *fix = json_string_value(json_object_get(error, "fix"));

    if (!code)
        code = "failed";
    if (strcmp(code, "unauthorized") == 0) /* revoked a moment ago */
        bh_cache_clear(&request->webd->tokens);
    request_problem(request, status_of(code), code, fix, NULL, "%s", detail ? detail : "it did not work");
}

/* {"object": "list", "data", "has_more", "next"} of whatever list the command gave. */
static json_t *as_list(const struct request *request, json_t *result)
{
    const json_t *x = request->operation->x;
    const char *member = json_string_value(json_object_get(x, "list"));
    const char *cursor = json_string_value(json_object_get(x, "cursor"));
    json_t *data = member[0] ? json_object_get(result, member) : result, *next = json_object_get(result, "next");
    json_int_t limit = json_integer_value(json_object_get(request->query, "limit"));
    size_t count = json_array_size(data);
    bool more;

    if (!limit)
        limit = LIST_USUAL;
    if (json_object_get(result, "more"))
        more = json_is_true(json_object_get(result, "more"));
    else
        more = json_object_get(x, "paged") && (json_int_t)count >= limit;
    if (!next && cursor && count)
        next = json_object_get(json_array_get(data, count - 1), cursor);
    return json_pack("{s:s, s:O, s:b, s:O}", "object", "list", "data", data ? data : json_null(), "has_more", more,
                     "next", more && next && !json_is_null(next) ? next : json_null());
}

static void answer_result(struct request *request, json_t *result)
{
    const json_t *x = request->operation->x, *status = json_object_get(x, "status");
    const char *object = json_string_value(json_object_get(x, "object"));
    const char *text = json_string_value(json_object_get(x, "text"));
    json_t *value;

    if (text) {
        value = text[0] ? json_object_get(result, text) : result;
        request_answer_text(request, 200, "text/plain; charset=utf-8",
                            bh_str_of(json_string_value(value), json_string_length(value)));
        return;
    }
    if (json_integer_value(status) == 204) {
        request_answer(request, 204, NULL);
        return;
    }
    if (json_object_get(x, "list")) {
        request_answer(request, 200, as_list(request, result));
        return;
    }
    if (object && json_is_object(result))
        (void)json_object_set_new(result, "object", json_string(object));
    request_answer(request, status ? (unsigned)json_integer_value(status) : 200, json_incref(result));
}

static void on_answer(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct request *request = ctx;
    struct bh_msg_command reply;
    json_t *answer;

    request->call = NULL;
    if (err || bh_msg_command_get(message->body, &reply)) {
        request_problem(request, 503, "temporary", "Try again in a moment", NULL, "the service does not answer now");
        return;
    }
    answer = json_loadb(reply.json.p, reply.json.n, 0, NULL);
    if (json_is_true(json_object_get(answer, "ok")))
        answer_result(request, json_object_get(answer, "result"));
    else
        answer_error(request, json_object_get(answer, "error"));
    json_decref(answer);
}

void command_run(struct request *request)
{
    json_t *command = make_command(request);
    char *text = command ? json_dumps(command, JSON_COMPACT) : NULL;
    struct bh_msg_api_command message = {bh_str_of((const char *)request->token.hash, sizeof(request->token.hash)),
                                         bh_str_c(text ? text : "")};
    bh_err err = text ? BH_PEER_CALL(bh_role_any_peer(request->webd->role, BH_ROLE_CONTROLD), API_COMMAND, api_command,
                                     &message, CONTROLD_MS, on_answer, request, &request->call)
                      : BH_E_NOMEM;

    free(text);
    json_decref(command);
    if (err)
        request_problem(request, 503, "temporary", "Try again in a moment", NULL, "the service does not answer now");
}
