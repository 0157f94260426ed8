/* spf.c: `behalf spf check|lint|explain`. */
#include "commands.h"
#include "spf_flatten.h"
#include "spf_report.h"
#include "spf_tree.h"
#include "tool_verdicts.h"
#include <stdlib.h>

static const char help[] =
    "usage: behalf spf check [--ip ADDRESS] [--helo NAME] [--mail-from ADDRESS] [OPTIONS]\n"
    "       behalf spf lint    DOMAIN | --record TEXT [OPTIONS]\n"
    "       behalf spf explain DOMAIN | --record TEXT [OPTIONS]\n"
    "       behalf spf flatten DOMAIN --preview [--source TERM ...] [--record TEXT] [OPTIONS]\n"
    "       behalf spf flatten DOMAIN --customer NAME [--source TERM ...]\n"
    "       behalf spf flatten list | show DOMAIN | refresh DOMAIN | stop DOMAIN\n"
    "       behalf spf flatten add-source | remove-source DOMAIN TERM\n"
    "\n"
    "  --ip ADDRESS           the client's IPv4 or IPv6 address; without it the result is none\n"
    "  --helo NAME            what the client said in HELO or EHLO\n"
    "  --mail-from ADDRESS    the envelope sender; empty for the null sender, which is checked by HELO\n"
    "  --receiver NAME        our host name, for the macro %{r}\n"
    "  --record TEXT          this record; what it includes is looked up only when --dns or --resolver is "
    "given\n"
    "  --preview              flatten: show what would be published, without the daemon\n"
    "  --source TERM          flatten: a further sender, as include:NAME, a:NAME, mx:NAME, ip4:… or ip6:…\n"
    "  --customer NAME        flatten: whose record it is\n" BH_TOOL_OPTION_HELP;

enum { MAX_LOOKUPS = 10, ARENA_MAX = 64 << 20 };

struct check_options {
    struct bh_tool_options tool;
    const char *ip;
    const char *helo;
    const char *mail_from;
    const char *receiver;
    const char *record;
};

struct check_run {
    struct bh_cli *cli;
    bool done;
    enum bh_spf_result result;
};

static void print_text(const struct bh_spf_outcome *outcome)
{
    (void)printf("%s: %.*s\n", bh_spf_result_name(outcome->result), BH_FMT(outcome->reason));
    if (outcome->explanation.n)
        (void)printf("explanation: %.*s\n", BH_FMT(outcome->explanation));
    bh_tool_print_lines(outcome->trace);
}

static void on_checked(void *ctx, const struct bh_spf_outcome *outcome)
{
    struct check_run *run = ctx;

    run->done = true;
    run->result = outcome->result;
    if (run->cli->json)
        bh_cli_print_json(bh_tool_spf_json(outcome));
    else
        print_text(outcome);
}

static int check_with(struct bh_cli *cli, struct bh_tool *tool, const struct bh_spf_request *request, bool strict)
{
    struct check_run run = {.cli = cli};
    struct bh_spf_check *check;

    if (bh_spf_check(bh_tool_resolver(tool), request, on_checked, &run, &check))
        return bh_cli_fail("spf", "out of memory");
    if (!bh_tool_wait(tool, &run.done))
        bh_spf_check_expire(check);
    return strict && run.result != BH_SPF_PASS ? BH_EXIT_VERDICT : BH_EXIT_OK;
}

/* "<a@b>" and "a@b" are the same sender. */
static bh_str without_brackets(bh_str path)
{
    return bh_str_starts(path, BH_STR("<")) && bh_str_ends(path, BH_STR(">")) ? bh_str_sub(path, 1, path.n - 2) : path;
}

static int check(struct bh_cli *cli, const struct check_options *options)
{
    struct bh_spf_request request = {
        .helo = bh_str_c(options->helo),
        .mail_from = without_brackets(bh_str_c(options->mail_from)),
        .receiver = bh_str_c(options->receiver),
        .trace = true,
    };
    struct bh_tool *tool;
    int status;

    if (!options->helo && !options->mail_from)
        return bh_cli_fail("spf", "check needs --mail-from or --helo");
    if (options->ip && bh_ip_parse(bh_str_c(options->ip), &request.ip))
        return bh_cli_fail("spf", "--ip %s is no IPv4 or IPv6 address", options->ip);
    if (!bh_tool_open("spf", &options->tool, &tool, &status))
        return status;
    request.now = bh_tool_now(tool);
    status = check_with(cli, tool, &request, options->tool.strict);
    bh_tool_close(tool);
    return status;
}

/* ---- lint, explain ---- */

static int finish_explain(struct bh_cli *cli, struct bh_spf_tree *tree, json_t *node)
{
    if (cli->json) {
        (void)json_object_set_new(node, "lookups", json_integer(tree->lookups));
        (void)json_object_set_new(node, "problems", tree->lint->problems);
        bh_cli_print_json(node);
        return BH_EXIT_OK;
    }
    bh_spf_tree_print(node, 0);
    (void)printf("lookups: %u of %d\n", tree->lookups, MAX_LOOKUPS);
    json_decref(node);
    json_decref(tree->lint->problems);
    return BH_EXIT_OK;
}

enum { MAX_VOIDS = 2 };

/* The tree with what each branch costs, the problems, and the record as it should be. */
static int finish_lint(struct bh_cli *cli, struct bh_spf_tree *tree, bh_str domain, bh_str record, json_t *node,
                       bool strict)
{
    char *corrected;
    json_t *extra;
    int status;

    tree->lookups = bh_spf_report(tree, node);
    if (tree->lookups > MAX_LOOKUPS)
        bh_tool_lint_add(tree->lint, BH_LINT_ERROR, record,
                         "%u lookups with all that is included, and more than %d are a permerror; `behalf spf flatten` "
                         "makes one of them",
                         tree->lookups, MAX_LOOKUPS);
    if (tree->voids > MAX_VOIDS)
        bh_tool_lint_add(tree->lint, BH_LINT_ERROR, record, "%u void look-ups, and more than %d are a permerror",
                         tree->voids, MAX_VOIDS);
    corrected = bh_spf_corrected(node);
    extra = json_pack("{s:i, s:i, s:i, s:O, s:s?}", "lookups", (int)tree->lookups, "voids", (int)tree->voids, "length",
                      (int)record.n, "tree", node, "corrected", corrected);
    if (!cli->json) {
        bh_spf_tree_print(node, 0);
        (void)printf("look-ups: %u of %d; void: %u of %d; %zu bytes\n", tree->lookups, MAX_LOOKUPS, tree->voids,
                     MAX_VOIDS, record.n);
    }
    status = bh_tool_lint_print(cli, tree->lint, domain, record, extra, strict);
    if (!cli->json && corrected && !bh_str_eq(bh_str_c(corrected), record))
        (void)printf("corrected, ready to paste:\n  %s\n", corrected);
    free(corrected);
    json_decref(node);
    return status;
}

static int examine(struct bh_cli *cli, const struct check_options *options, bh_str domain, struct bh_spf_tree *tree,
                   bool explain)
{
    struct bh_tool_lint lint;
    bh_str record = bh_str_c(options->record);
    json_t *node;

    bh_tool_lint_begin(&lint);
    tree->lint = &lint;
    if (!options->record && !bh_spf_tree_fetch(tree, domain, &record))
        return bh_tool_lint_print(cli, &lint, domain, record, NULL, options->tool.strict);
    if (!explain)
        (void)bh_spf_lint(record, bh_tool_lint_report, &lint);
    if (!bh_spf_is_record(record)) {
        if (explain)
            bh_tool_lint_add(&lint, BH_LINT_ERROR, record, "no SPF record");
        return bh_tool_lint_print(cli, &lint, domain, record, NULL, options->tool.strict);
    }
    node = bh_spf_tree_json(tree, domain, record, 0);
    if (explain)
        return finish_explain(cli, tree, node);
    return finish_lint(cli, tree, domain, record, node, options->tool.strict);
}

static bh_str without_dot(bh_str domain)
{
    return bh_str_ends(domain, BH_STR(".")) ? bh_str_sub(domain, 0, domain.n - 1) : domain;
}

static int lint_or_explain(struct bh_cli *cli, const struct check_options *options, const char *domain, bool explain)
{
    struct bh_spf_tree tree = {.arena = bh_arena_new(ARENA_MAX)};
    bool looks_up = !options->record || options->tool.dns || options->tool.resolver;
    int status = BH_EXIT_OK;

    if (!tree.arena || (!options->record && !domain))
        status = bh_cli_fail("spf", "%s needs a DOMAIN or --record TEXT", explain ? "explain" : "lint");
    else if (!looks_up || bh_tool_open("spf", &options->tool, &tree.tool, &status))
        status = examine(cli, options, without_dot(bh_str_c(domain)), &tree, explain);
    bh_tool_close(tree.tool);
    bh_arena_free(tree.arena);
    return status;
}

int bh_cli_spf(struct bh_cli *cli, int argc, char **argv)
{
    struct check_options o = {0};
    struct bh_cli_many sources = {.count = 0};
    struct bh_flatten_options flatten = {.tool = &o.tool, .sources = &sources};
    const struct bh_cli_option options[] = {
        {.name = "ip", .value = &o.ip},
        {.name = "helo", .value = &o.helo},
        {.name = "mail-from", .value = &o.mail_from},
        {.name = "receiver", .value = &o.receiver},
        {.name = "record", .value = &o.record},
        {.name = "source", .many = &sources},
        {.name = "customer", .value = &flatten.customer},
        {.name = "preview", .flag = &flatten.preview},
        BH_TOOL_OPTION_LINES(o.tool),
        {.name = NULL},
    };
    int status = BH_EXIT_OK;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    flatten.record = o.record;
    if (argc > 2 && strcmp(argv[1], "flatten") == 0)
        return bh_cli_spf_flatten(cli, &flatten, argc - 2, argv + 2);
    if (argc == 2 && strcmp(argv[1], "check") == 0)
        return check(cli, &o);
    if ((argc == 2 || argc == 3) && strcmp(argv[1], "lint") == 0)
        return lint_or_explain(cli, &o, argv[2], false);
    if ((argc == 2 || argc == 3) && strcmp(argv[1], "explain") == 0)
        return lint_or_explain(cli, &o, argv[2], true);
    return bh_cli_fail("spf", "say check, lint, explain or flatten; see behalf spf --help");
}
