/* dmarc.c: `behalf dmarc check|lint`. */
#include "commands.h"
#include "tool_lint.h"
#include "tool_options.h"
#include "tool_verdicts.h"

static const char help[] =
    "usage: behalf dmarc check --header-from DOMAIN [--spf RESULT:DOMAIN] [--dkim RESULT:DOMAIN ...] [OPTIONS]\n"
    "       behalf dmarc lint DOMAIN | --record TEXT [OPTIONS]\n"
    "\n"
    "  --header-from DOMAIN   the author domain, or an address with it; given twice, there are two authors\n"
    "  --spf RESULT:DOMAIN    SPF's result for MAIL FROM (or HELO), as in pass:bounce.example.com\n"
    "  --dkim RESULT:DOMAIN   a signature's result and its d=; may be repeated\n"
    "  --mode MODE            tree-walk (RFC 9989, the default), psl (RFC 7489), or both\n"
    "  --psl FILE             the list of public suffixes, instead of the system's\n"
    "  --record TEXT          lint this record\n"
    "  --assume-record        where no record applies, act as if p=none stood at the organisational domain\n" //
    BH_TOOL_OPTION_HELP;

struct dmarc_options {
    struct bh_tool_options tool;
    struct bh_cli_many header_from;
    struct bh_cli_many dkim;
    const char *spf;
    const char *mode;
    const char *psl;
    const char *record;
    bool assume_record;
};

struct dmarc_run {
    struct bh_cli *cli;
    bool done;
    enum bh_dmarc_result result;
};

static void print_text(const struct bh_dmarc_outcome *outcome)
{
    (void)printf("%s: %.*s\n", bh_dmarc_result_name(outcome->result), BH_FMT(outcome->reason));
    if (outcome->record_domain.n)
        (void)printf("record at _dmarc.%.*s, policy %s (%s), disposition %s\n", BH_FMT(outcome->record_domain),
                     bh_dmarc_policy_name(outcome->policy), outcome->policy_tag,
                     bh_dmarc_policy_name(outcome->disposition));
    bh_tool_print_lines(outcome->trace);
    if (outcome->differences.n)
        (void)printf("RFC 9989 and RFC 7489 differ:\n");
    bh_tool_print_lines(outcome->differences);
}

static void on_checked(void *ctx, const struct bh_dmarc_outcome *outcome)
{
    struct dmarc_run *run = ctx;

    run->done = true;
    run->result = outcome->result;
    if (run->cli->json)
        bh_cli_print_json(bh_tool_dmarc_json(outcome));
    else
        print_text(outcome);
}

/* RESULT:DOMAIN; the domain may be an address, whose domain is meant. */
static bool split_result(const char *text, bh_str *ret_result, bh_str *ret_domain)
{
    bh_str domain;

    *ret_result = bh_str_cut(bh_str_c(text), ':', &domain);
    *ret_domain = bh_str_skip(domain, bh_str_rfind(domain, '@') < domain.n ? bh_str_rfind(domain, '@') + 1 : 0);
    return domain.p != NULL;
}

static int read_spf(const struct dmarc_options *options, struct bh_dmarc_request *request)
{
    bh_str result;

    if (!options->spf)
        return BH_EXIT_OK;
    if (!split_result(options->spf, &result, &request->spf_domain) || bh_spf_result_parse(result, &request->spf))
        return bh_cli_fail("dmarc", "--spf %s is not RESULT:DOMAIN", options->spf);
    return BH_EXIT_OK;
}

/* The results of RFC 8601 2.7.1. */
static bool is_dkim_result(bh_str result)
{
    static const char *const names[] = {"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (bh_str_eq_ci(result, bh_str_c(names[i])))
            return true;
    return false;
}

static int read_dkim(const struct dmarc_options *options, struct bh_dmarc_dkim *dkim)
{
    for (size_t i = 0; i < options->dkim.count; i++) {
        bh_str result;

        if (!split_result(options->dkim.values[i], &result, &dkim[i].domain) || !is_dkim_result(result))
            return bh_cli_fail("dmarc", "--dkim %s is not RESULT:DOMAIN", options->dkim.values[i]);
        dkim[i].pass = bh_str_eq_ci(result, BH_STR("pass"));
    }
    return BH_EXIT_OK;
}

/* "user@example.com", "<user@example.com>" or "example.com". Several authors of one domain are one (RFC 9989 5.3.1). */
static bh_str author_domain(const struct bh_cli_many *from)
{
    bh_str domain = {NULL, 0};

    for (size_t i = 0; i < from->count; i++) {
        bh_str text = bh_str_trim(bh_str_c(from->values[i]));
        size_t at;

        if (bh_str_ends(text, BH_STR(">")))
            text.n--;
        at = bh_str_rfind(text, '@');
        text = bh_str_skip(text, at < text.n ? at + 1 : 0);
        if (i && !bh_str_eq_ci(domain, text))
            return (bh_str){NULL, 0};
        domain = text;
    }
    return domain;
}

static int read_mode(const struct dmarc_options *options, struct bh_dmarc_request *request, struct bh_psl **ret_psl)
{
    static const struct {
        const char *name;
        enum bh_dmarc_mode mode;
    } modes[] = {{"tree-walk", BH_DMARC_TREE_WALK}, {"psl", BH_DMARC_PSL}, {"both", BH_DMARC_BOTH}};
    bool is_known = !options->mode;

    for (size_t i = 0; options->mode && i < 3; i++)
        if (strcmp(options->mode, modes[i].name) == 0) {
            request->mode = modes[i].mode;
            is_known = true;
        }
    if (!is_known)
        return bh_cli_fail("dmarc", "--mode %s is none of tree-walk, psl, both", options->mode);
    if (request->mode == BH_DMARC_TREE_WALK && !options->assume_record && !options->psl)
        return BH_EXIT_OK;
    if (bh_psl_new(options->psl, ret_psl))
        return bh_cli_fail("dmarc", "cannot load the list of public suffixes%s%s", options->psl ? " " : "",
                           options->psl ? options->psl : "");
    request->suffixes = bh_psl_base(*ret_psl);
    return BH_EXIT_OK;
}

static int check_with(struct bh_cli *cli, const struct dmarc_options *options, const struct bh_dmarc_request *request)
{
    struct dmarc_run run = {.cli = cli};
    struct bh_dmarc_check *check;
    struct bh_tool *tool;
    int status;

    if (!bh_tool_open("dmarc", &options->tool, &tool, &status))
        return status;
    if (bh_dmarc_check(bh_tool_resolver(tool), request, on_checked, &run, &check)) {
        bh_tool_close(tool);
        return bh_cli_fail("dmarc", "out of memory");
    }
    if (!bh_tool_wait(tool, &run.done))
        bh_dmarc_check_expire(check);
    bh_tool_close(tool);
    return options->tool.strict && run.result != BH_DMARC_PASS ? BH_EXIT_VERDICT : BH_EXIT_OK;
}

static int check(struct bh_cli *cli, const struct dmarc_options *options)
{
    struct bh_dmarc_dkim dkim[sizeof(options->dkim.values) / sizeof(options->dkim.values[0])];
    struct bh_dmarc_request request = {
        .header_from = author_domain(&options->header_from),
        .dkim = dkim,
        .dkim_count = options->dkim.count,
        .assume_record = options->assume_record,
        .trace = true,
    };
    struct bh_psl *psl = NULL;
    int status = BH_EXIT_OK;

    if (!options->header_from.count)
        return bh_cli_fail("dmarc", "check needs --header-from");
    status = read_spf(options, &request);
    if (!status)
        status = read_dkim(options, dkim);
    if (!status)
        status = read_mode(options, &request, &psl);
    if (!status)
        status = check_with(cli, options, &request);
    bh_psl_free(psl);
    return status;
}

/* ---- lint ---- */

enum { MAX_DESTINATIONS = 10 };

struct lint_run {
    struct bh_arena *arena;
    struct bh_tool_lint *lint;
    bh_str domain;
    bh_str record;
    size_t found;
    bool done;
};

static void take_text(struct lint_run *run, bh_str text)
{
    if (bh_dmarc_is_record(text))
        run->found++;
    if (!run->record.p || (bh_dmarc_is_record(text) && run->found == 1))
        run->record = bh_arena_dup(run->arena, text);
}

static void on_record(void *ctx, const struct bh_dns_answer *answer)
{
    struct lint_run *run = ctx;

    run->done = true;
    for (size_t i = 0; i < answer->count; i++) {
        struct bh_buf text = bh_buf_make(65536);
        bh_str rdata = answer->records[i].rdata;

        for (size_t at = 0; at < rdata.n; at += 1 + (size_t)(unsigned char)rdata.p[at])
            bh_buf_add(&text, bh_str_sub(rdata, at + 1, (unsigned char)rdata.p[at]));
        take_text(run, bh_buf_view(&text));
        bh_buf_free(&text);
    }
    if (answer->status == BH_DNS_TEMPFAIL)
        bh_tool_lint_add(run->lint, BH_LINT_ERROR, run->domain, "DNS gave no answer for now");
    else if (!run->record.p)
        bh_tool_lint_add(run->lint, BH_LINT_ERROR, run->domain, "there is no record at _dmarc.%.*s",
                         BH_FMT(run->domain));
    else if (run->found > 1)
        bh_tool_lint_add(run->lint, BH_LINT_ERROR, run->domain, "%zu DMARC records: receivers ignore all of them",
                         run->found);
}

static void on_destination(void *ctx, const struct bh_dmarc_destination_outcome *outcome)
{
    struct lint_run *run = ctx;

    run->done = true;
    if (outcome->destination == BH_DMARC_DESTINATION_REFUSED)
        bh_tool_lint_add(run->lint, BH_LINT_ERROR, outcome->host, "no report goes there: %.*s (\"v=DMARC1\" at %.*s)",
                         BH_FMT(outcome->reason), BH_FMT(outcome->question));
    if (outcome->destination == BH_DMARC_DESTINATION_TEMPFAIL)
        bh_tool_lint_add(run->lint, BH_LINT_WARNING, outcome->host, "%.*s", BH_FMT(outcome->reason));
}

/* Every reporting address outside of the domain needs the other side's agreement. The first ten are asked for: no
 * reporter sends to more, and a list may be as long as its author likes. */
static void lint_destinations(struct lint_run *run, struct bh_tool *tool, bh_str list)
{
    struct bh_dmarc_destination_check *check;
    struct bh_dmarc_uri uri;

    for (size_t i = 0; i < MAX_DESTINATIONS && bh_dmarc_uri_next(&list, &uri); i++) {
        run->done = false;
        if (bh_dmarc_destination_check(bh_tool_resolver(tool), run->domain, uri.text, NULL, on_destination, run,
                                       &check))
            continue;
        if (!bh_tool_wait(tool, &run->done))
            bh_dmarc_destination_cancel(check);
    }
}

static void lint_domain(struct lint_run *run, struct bh_tool *tool)
{
    struct bh_resolver *resolver = bh_tool_resolver(tool);
    struct bh_dns_query *query = NULL;
    struct bh_dmarc_record record;
    bh_str name = bh_arena_printf(run->arena, "_dmarc.%.*s", BH_FMT(run->domain));

    if (!name.p || resolver->ops->lookup(resolver, name, BH_DNS_TXT, on_record, run, &query))
        return;
    if (!bh_tool_wait(tool, &run->done))
        resolver->ops->cancel(resolver, query);
    if (run->record.p)
        (void)bh_dmarc_lint(run->record, bh_tool_lint_report, run->lint);
    if (bh_dmarc_record_parse(run->record, &record))
        return;
    lint_destinations(run, tool, record.rua);
    lint_destinations(run, tool, record.ruf);
}

static int lint(struct bh_cli *cli, const struct dmarc_options *options, const char *domain)
{
    struct bh_tool_lint problems;
    struct lint_run run = {.lint = &problems, .domain = bh_str_c(domain), .record = bh_str_c(options->record)};
    struct bh_tool *tool;
    int status;

    if (!domain == !options->record)
        return bh_cli_fail("dmarc", "lint needs a DOMAIN or --record TEXT");
    if (domain && !bh_tool_open("dmarc", &options->tool, &tool, &status))
        return status;
    bh_tool_lint_begin(&problems);
    if (domain) {
        run.arena = bh_arena_new(1 << 20);
        if (run.arena)
            lint_domain(&run, tool);
        bh_tool_close(tool);
    } else {
        (void)bh_dmarc_lint(run.record, bh_tool_lint_report, &problems);
    }
    status = bh_tool_lint_print(cli, &problems, run.domain, run.record, NULL, options->tool.strict);
    bh_arena_free(run.arena);
    return status;
}

int bh_cli_dmarc(struct bh_cli *cli, int argc, char **argv)
{
    struct dmarc_options o = {0};
    const struct bh_cli_option options[] = {
        {.name = "header-from", .many = &o.header_from},
        {.name = "dkim", .many = &o.dkim},
        {.name = "spf", .value = &o.spf},
        {.name = "mode", .value = &o.mode},
        {.name = "psl", .value = &o.psl},
        {.name = "record", .value = &o.record},
        {.name = "assume-record", .flag = &o.assume_record},
        BH_TOOL_OPTION_LINES(o.tool),
        {.name = NULL},
    };
    int status = BH_EXIT_OK;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc == 2 && strcmp(argv[1], "check") == 0)
        return check(cli, &o);
    if ((argc == 2 || argc == 3) && strcmp(argv[1], "lint") == 0)
        return lint(cli, &o, argv[2]);
    return bh_cli_fail("dmarc", "say check or lint; see behalf dmarc --help");
}
