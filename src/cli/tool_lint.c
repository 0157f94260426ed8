/* tool_lint.c: see tool_lint.h. */
#include "tool_lint.h"
#include "tool_options.h"

static const char *const severities[] = {"error", "warning", "note"};

void bh_tool_lint_begin(struct bh_tool_lint *lint)
{
    *lint = (struct bh_tool_lint){.problems = json_array()};
}

void bh_tool_lint_report(void *ctx, const struct bh_lint_problem *problem)
{
    struct bh_tool_lint *lint = ctx;
    json_t *json = json_object();

    lint->errors += problem->severity == BH_LINT_ERROR;
    lint->warnings += problem->severity == BH_LINT_WARNING;
    (void)json_object_set_new(json, "severity", json_string(severities[problem->severity]));
    (void)json_object_set_new(json, "where", bh_tool_json(problem->where));
    (void)json_object_set_new(json, "text", bh_tool_json(problem->text));
    (void)json_array_append_new(lint->problems, json);
}

void bh_tool_lint_add(struct bh_tool_lint *lint, enum bh_lint_severity severity, bh_str where, const char *format, ...)
{
    struct bh_buf text = bh_buf_make(4096);
    struct bh_lint_problem problem = {.severity = severity, .where = where};
    va_list args;

    va_start(args, format);
    bh_buf_vprintf(&text, format, args);
    va_end(args);
    problem.text = bh_buf_view(&text);
    bh_tool_lint_report(lint, &problem);
    bh_buf_free(&text);
}

const char *bh_tool_lint_result(const struct bh_tool_lint *lint)
{
    return lint->errors ? "error" : lint->warnings ? "warning" : "ok";
}

static void print_clean(const char *text)
{
    for (; *text; text++)
        (void)putchar(*text < ' ' || *text > '~' ? '?' : *text);
}

static void print_lines(const struct bh_tool_lint *lint, bh_str domain, bh_str record)
{
    size_t index;
    json_t *problem;

    if (domain.n)
        (void)printf("%.*s: ", BH_FMT(domain));
    (void)printf("%s\n", bh_tool_lint_result(lint));
    if (record.n)
        (void)printf("  %.*s\n", BH_FMT(record));
    json_array_foreach(lint->problems, index, problem)
    {
        const char *where = json_string_value(json_object_get(problem, "where"));

        (void)printf("%s: ", json_string_value(json_object_get(problem, "severity")));
        if (!bh_str_eq(bh_str_c(where), record) && *where) {
            (void)printf("\"");
            print_clean(where);
            (void)printf("\": ");
        }
        print_clean(json_string_value(json_object_get(problem, "text")));
        (void)putchar('\n');
    }
}

int bh_tool_lint_print(struct bh_cli *cli, struct bh_tool_lint *lint, bh_str domain, bh_str record, json_t *extra,
                       bool strict)
{
    unsigned errors = lint->errors;

    if (cli->json) {
        json_t *json = json_object();

        (void)json_object_set_new(json, "domain", domain.n ? bh_tool_json(domain) : json_null());
        (void)json_object_set_new(json, "record", record.n ? bh_tool_json(record) : json_null());
        (void)json_object_set_new(json, "result", json_string(bh_tool_lint_result(lint)));
        (void)json_object_set_new(json, "problems", lint->problems);
        if (extra)
            (void)json_object_update(json, extra);
        bh_cli_print_json(json);
    } else {
        print_lines(lint, domain, record);
        json_decref(lint->problems);
    }
    json_decref(extra);
    return strict && errors ? BH_EXIT_VERDICT : BH_EXIT_OK;
}
