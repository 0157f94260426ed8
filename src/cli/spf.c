/* spf.c: `behalf spf check|lint|explain`. */
#include "cli.h"
#include "commands.h"
#include "tool_options.h"
#include "tool_verdicts.h"

static const char help[] =
    "usage: behalf spf check [--ip ADDRESS] [--helo NAME] [--mail-from ADDRESS] [OPTIONS]\n"
    "\n"
    "  --ip ADDRESS           the client's IPv4 or IPv6 address; without it the result is none\n"
    "  --helo NAME            what the client said in HELO or EHLO\n"
    "  --mail-from ADDRESS    the envelope sender; empty for the null sender, which is checked by HELO\n"
    "  --receiver NAME        our host name, for the macro %{r}\n" BH_TOOL_OPTION_HELP;

struct check_options {
    struct bh_tool_options tool;
    const char *ip;
    const char *helo;
    const char *mail_from;
    const char *receiver;
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

int bh_cli_spf(struct bh_cli *cli, int argc, char **argv)
{
    struct check_options o = {0};
    const struct bh_cli_option options[] = {
        {.name = "ip", .value = &o.ip},
        {.name = "helo", .value = &o.helo},
        {.name = "mail-from", .value = &o.mail_from},
        {.name = "receiver", .value = &o.receiver},
        BH_TOOL_OPTION_LINES(o.tool),
        {.name = NULL},
    };
    int status = BH_EXIT_OK;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc == 2 && strcmp(argv[1], "check") == 0)
        return check(cli, &o);
    return bh_cli_fail("spf", "no such thing to do; see behalf spf --help");
}
