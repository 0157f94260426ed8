/* spf_flatten.c: `behalf spf flatten`: one include instead of many. With --preview nothing is asked of the daemon. */
#include "spf_flatten.h"
#include "control.h"
#include "domain/spf_flatten.h"
#include <behalf/spf.h>
#include <stdlib.h>

enum { ARENA_BYTES = 256 << 20, ROUNDS_MAX = 40, SOURCES_MAX = 64 };

/* ---- preview: the questions are asked from here ---- */

struct asking {
    struct bh_arena *arena;
    struct bh_flat_answer *answer;
    bool done;
};

static void on_answer(void *ctx, const struct bh_dns_answer *answer)
{
    struct asking *asking = ctx;
    bh_str *rdatas = bh_arena_array(asking->arena, answer->count + 1, sizeof(*rdatas));

    asking->done = true;
    if (!rdatas)
        return;
    for (size_t i = 0; i < answer->count; i++)
        rdatas[i] = bh_arena_dup(asking->arena, answer->records[i].rdata);
    asking->answer->status = answer->status;
    asking->answer->ttl_s = answer->ttl_s;
    asking->answer->rdatas = rdatas;
    asking->answer->count = answer->status == BH_DNS_FOUND ? answer->count : 0;
}

static void ask(struct bh_tool *tool, struct bh_arena *arena, const struct bh_flat_question *question,
                struct bh_flat_answer *ret_answer)
{
    struct bh_resolver *resolver = bh_tool_resolver(tool);
    struct bh_dns_query *query = NULL;
    struct asking asking = {.arena = arena, .answer = ret_answer};

    *ret_answer = (struct bh_flat_answer){
        .name = question->name, .type = question->type, .status = BH_DNS_TEMPFAIL, .good_at = bh_tool_now(tool)};
    if (!resolver->ops->lookup(resolver, question->name, question->type, on_answer, &asking, &query) &&
        !bh_tool_wait(tool, &asking.done))
        resolver->ops->cancel(resolver, query);
}

/* The owner's own record: the one text of his that is SPF. */
static bh_str record_of(struct bh_tool *tool, struct bh_arena *arena, bh_str domain)
{
    struct bh_flat_question question = {domain, BH_DNS_TXT};
    struct bh_flat_answer answer;
    bh_str record = {"", 0};

    ask(tool, arena, &question, &answer);
    for (size_t i = 0; i < answer.count; i++) {
        struct bh_buf text = bh_buf_make(65536);
        bh_str rdata = answer.rdatas[i];

        for (size_t at = 0; at < rdata.n; at += 1 + (size_t)(unsigned char)rdata.p[at])
            bh_buf_add(&text, bh_str_sub(rdata, at + 1, (unsigned char)rdata.p[at]));
        if (bh_spf_is_record(bh_buf_view(&text)))
            record = bh_arena_dup(arena, bh_buf_view(&text));
        bh_buf_free(&text);
    }
    return record;
}

static bh_err flatten(struct bh_tool *tool, struct bh_arena *arena, struct bh_flat_request *request,
                      struct bh_flat_result *ret_result)
{
    struct bh_flat_answer *answers = bh_arena_array(arena, BH_FLAT_QUESTIONS_MAX, sizeof(*answers));
    bh_err err = answers ? BH_OK : BH_E_NOMEM;

    request->answers = answers;
    for (int round = 0; !err && round < ROUNDS_MAX; round++) {
        err = bh_spf_flatten(arena, request, ret_result);
        if (err || !ret_result->question_count)
            return err;
        for (size_t i = 0; i < ret_result->question_count && request->answer_count < BH_FLAT_QUESTIONS_MAX; i++)
            ask(tool, arena, &ret_result->questions[i], &answers[request->answer_count++]);
    }
    return err ? err : BH_E_LIMIT;
}

static json_t *result_json(const struct bh_flat_request *request, const struct bh_flat_result *result)
{
    json_t *texts = json_array(), *kept = json_array();

    for (size_t i = 0; i < result->text_count; i++)
        (void)json_array_append_new(texts, json_pack("{s:o, s:o}", "name", bh_tool_json(result->texts[i].name), "text",
                                                     bh_tool_json(result->texts[i].text)));
    for (size_t i = 0; i < result->kept_count; i++)
        (void)json_array_append_new(
            kept, json_pack("{s:o, s:s}", "term", bh_tool_json(result->kept[i].term), "why", result->kept[i].why));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:i, s:i, s:i}", "domain", bh_tool_json(request->domain),
                     "problem", result->problem.n ? bh_tool_json(result->problem) : json_null(), "owner_record",
                     bh_tool_json(result->problem.n ? BH_STR("") : result->owner_record), "texts", texts, "kept", kept,
                     "lookups_before", (int)result->lookups_before, "lookups_after", (int)result->lookups_after,
                     "dead_terms", (int)result->dead, "networks", (int)result->networks, "ttl", (int)result->ttl_s);
}

static void print_result(const json_t *json)
{
    const json_t *texts = json_object_get(json, "texts"), *kept = json_object_get(json, "kept");

    if (*bh_json_text(json, "problem")) {
        (void)printf("cannot be flattened: %s\n", bh_json_text(json, "problem"));
        return;
    }
    (void)printf("%s publishes:\n  %s\n", bh_json_text(json, "domain"), bh_json_text(json, "owner_record"));
    (void)printf("look-ups: %d before, %d after; %d networks\n",
                 (int)json_integer_value(json_object_get(json, "lookups_before")),
                 (int)json_integer_value(json_object_get(json, "lookups_after")),
                 (int)json_integer_value(json_object_get(json, "networks")));
    for (size_t i = 0; i < json_array_size(kept); i++)
        (void)printf("kept as it is: %s (%s)\n", bh_json_text(json_array_get(kept, i), "term"),
                     bh_json_text(json_array_get(kept, i), "why"));
    (void)printf("we publish:\n");
    for (size_t i = 0; i < json_array_size(texts); i++)
        (void)printf("  %s. TXT \"%s\"\n", bh_json_text(json_array_get(texts, i), "name"),
                     bh_json_text(json_array_get(texts, i), "text"));
}

static int preview_with(struct bh_cli *cli, const struct bh_flatten_options *o, const char *name, struct bh_tool *tool,
                        struct bh_arena *arena)
{
    bh_str sources[SOURCES_MAX];
    struct bh_flat_request request = {
        .domain = bh_str_c(name), .sources = sources, .label = BH_STR("preview"), .zone = BH_STR("flat.invalid")};
    struct bh_flat_result result;
    bool has_problem;
    json_t *json;

    for (size_t i = 0; i < o->sources->count; i++) {
        sources[request.source_count++] = bh_str_c(o->sources->values[i]);
        if (bh_flat_source_check(sources[i]))
            return bh_cli_fail("spf", "--source %s: must be include:NAME, a:NAME, mx:NAME, ip4:… or ip6:…",
                               o->sources->values[i]);
    }
    request.record = o->record ? bh_str_c(o->record) : record_of(tool, arena, request.domain);
    if (flatten(tool, arena, &request, &result))
        return bh_cli_fail("spf", "%s leads to too much to look at", name);
    has_problem = result.problem.n > 0;
    json = result_json(&request, &result);
    if (cli->json) {
        bh_cli_print_json(json);
    } else {
        print_result(json);
        json_decref(json);
    }
    return has_problem ? BH_EXIT_VERDICT : BH_EXIT_OK;
}

static int preview(struct bh_cli *cli, const struct bh_flatten_options *o, const char *name)
{
    struct bh_arena *arena = bh_arena_new(ARENA_BYTES);
    struct bh_tool *tool;
    int status = BH_EXIT_OK;

    if (!arena)
        return bh_cli_fail("spf", "out of memory");
    if (bh_tool_open("spf", o->tool, &tool, &status)) {
        status = preview_with(cli, o, name, tool, arena);
        bh_tool_close(tool);
    }
    bh_arena_free(arena);
    return status;
}

/* ---- the daemon's ---- */

static void print_flat(const json_t *flat)
{
    const json_t *sources = json_object_get(flat, "sources");

    (void)printf("%s: %s\n", bh_json_text(flat, "domain"), bh_json_text(flat, "state"));
    if (*bh_json_text(flat, "problem"))
        (void)printf("problem: %s\n", bh_json_text(flat, "problem"));
    if (*bh_json_text(flat, "owner_record"))
        print_result(flat);
    for (size_t i = 0; i < json_array_size(sources); i++)
        (void)printf("added: %s\n", json_string_value(json_array_get(sources, i)));
    (void)printf("asked: %s; changed: %s; oldest answer: %s\n", bh_json_text(flat, "refreshed_at"),
                 bh_json_text(flat, "changed_at"), bh_json_text(flat, "oldest_at"));
}

static void print_list(const json_t *list)
{
    static const char *const headings[] = {"DOMAIN", "CUSTOMER", "STATE", "BEFORE", "AFTER", "ASKED", "CHANGED"};
    static const char *const members[] = {"domain",        "customer",     "state",     "lookups_before",
                                          "lookups_after", "refreshed_at", "changed_at"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 7);

    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t k = 0; k < 7; k++)
            bh_table_member(table, json_array_get(list, i), members[k]);
    bh_cli_table_print(table);
}

static int ask_daemon(const struct bh_cli *cli, const char *verb, json_t *args, void (*print)(const json_t *result))
{
    int status;
    json_t *result = bh_control_ask(cli, "flatten", verb, args, -1, &status);

    if (!result)
        return status;
    if (cli->json) {
        bh_cli_print_json(result);
        return BH_EXIT_OK;
    }
    if (print)
        print(result);
    json_decref(result);
    return BH_EXIT_OK;
}

static json_t *one(const struct bh_flatten_options *o, const char *name)
{
    json_t *args = json_pack("{s:s}", "domain", name);

    bh_json_add(args, "customer", o->customer);
    return args;
}

static int start(const struct bh_cli *cli, const struct bh_flatten_options *o, const char *name)
{
    json_t *args = one(o, name), *sources = json_array();

    for (size_t i = 0; i < o->sources->count; i++)
        (void)json_array_append_new(sources, json_string(o->sources->values[i]));
    (void)json_object_set_new(args, "sources", sources);
    return ask_daemon(cli, "start", args, print_flat);
}

int bh_cli_spf_flatten(struct bh_cli *cli, const struct bh_flatten_options *o, int argc, char **argv)
{
    static const char *const verbs[] = {"show", "stop", "refresh"};
    json_t *args;

    if (argc == 1 && o->preview)
        return preview(cli, o, argv[0]);
    if (argc == 1 && strcmp(argv[0], "list") == 0) {
        args = json_object();
        bh_json_add(args, "customer", o->customer);
        return ask_daemon(cli, "list", args, print_list);
    }
    for (size_t i = 0; argc == 2 && i < 3; i++)
        if (strcmp(argv[0], verbs[i]) == 0)
            return ask_daemon(cli, verbs[i], one(o, argv[1]), i == 1 ? NULL : print_flat);
    if (argc == 3 && (strcmp(argv[0], "add-source") == 0 || strcmp(argv[0], "remove-source") == 0)) {
        args = one(o, argv[1]);
        bh_json_add(args, "source", argv[2]);
        return ask_daemon(cli, argv[0], args, print_flat);
    }
    if (argc == 1)
        return start(cli, o, argv[0]);
    return bh_cli_fail("spf", "flatten: say DOMAIN, list, show DOMAIN, stop DOMAIN, refresh DOMAIN, add-source DOMAIN "
                              "TERM or remove-source DOMAIN TERM");
}
