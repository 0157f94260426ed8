/* verify.c: `behalf verify`: a message as a receiver judges it: SPF, DKIM, ARC, DMARC, one after the other. Each step
 * prints, or puts its member into the JSON object; DMARC gets what SPF and DKIM found. */
#include "auth_tool.h"
#include "commands.h"
#include "tool_verdicts.h"

enum { MAX_DKIM = 100 };

static const char help[] =
    "usage: behalf verify [--ip ADDRESS] [--helo NAME] [--mail-from ADDRESS] [OPTIONS] [MESSAGE]\n"
    "\n"
    "Tells what a receiver finds: SPF, DKIM, ARC, DMARC, and why. MESSAGE is a file, or standard input.\n"
    "\n"
    "  --ip ADDRESS           the client's IPv4 or IPv6 address; without it SPF is none\n"
    "  --helo NAME            what the client said in HELO or EHLO\n"
    "  --mail-from ADDRESS    the envelope sender; empty for the null sender\n"
    "  --mode MODE            DMARC by tree-walk (RFC 9989, the default), psl (RFC 7489), or both\n"
    "  --psl FILE             the list of public suffixes, instead of the system's\n" BH_TOOL_OPTION_HELP;

struct verify_options {
    struct bh_tool_options tool;
    const char *ip;
    const char *helo;
    const char *mail_from;
    const char *mode;
    const char *psl;
};

struct verify_run {
    struct bh_cli *cli;
    const struct verify_options *options;
    struct bh_auth_tool auth;
    json_t *json; /* NULL when words are wanted */
    bool done;    /* of the step under way */
    enum bh_spf_result spf;
    bh_str spf_domain;
    struct bh_dmarc_dkim dkim[MAX_DKIM];
    size_t dkim_count;
    const char *from_fault; /* why there is no author domain; NULL when there is one */
    enum bh_dmarc_result dmarc;
};

/* ---- SPF ---- */

static void on_spf(void *ctx, const struct bh_spf_outcome *outcome)
{
    struct verify_run *run = ctx;

    run->done = true;
    run->spf = outcome->result;
    run->spf_domain = bh_arena_dup(run->auth.arena, outcome->domain);
    if (run->json) {
        (void)json_object_set_new(run->json, "spf", bh_tool_spf_json(outcome));
        return;
    }
    (void)printf("spf=%s: ", bh_spf_result_name(outcome->result));
    bh_auth_print(outcome->reason);
    (void)putchar('\n');
    if (outcome->explanation.n) {
        (void)fputs("  the domain explains: ", stdout);
        bh_auth_print(outcome->explanation);
        (void)putchar('\n');
    }
    bh_tool_print_lines(outcome->trace);
}

static bh_str without_brackets(bh_str path)
{
    return bh_str_starts(path, BH_STR("<")) && bh_str_ends(path, BH_STR(">")) ? bh_str_sub(path, 1, path.n - 2) : path;
}

static int check_spf(struct verify_run *run, const struct bh_ip *ip)
{
    struct bh_spf_request request = {
        .ip = *ip,
        .helo = bh_str_c(run->options->helo),
        .mail_from = without_brackets(bh_str_c(run->options->mail_from)),
        .now = run->auth.now,
        .trace = true,
    };
    struct bh_spf_check *check;

    run->done = false;
    if (bh_spf_check(bh_tool_resolver(run->auth.tool), &request, on_spf, run, &check))
        return bh_cli_fail("verify", "out of memory");
    if (!bh_tool_wait(run->auth.tool, &run->done))
        bh_spf_check_expire(check);
    return BH_EXIT_OK;
}

/* ---- DKIM, ARC ---- */

static int check_dkim(struct verify_run *run)
{
    struct bh_dkim_verify *verify = bh_auth_dkim_verify(&run->auth);

    if (!verify)
        return bh_cli_fail("verify", "out of memory, or the resolver broke down");
    for (size_t i = 0; i < bh_dkim_verify_count(verify) && run->dkim_count < MAX_DKIM; i++) {
        const struct bh_dkim_signature *signature = bh_dkim_verify_get(verify, i);

        run->dkim[run->dkim_count++] =
            (struct bh_dmarc_dkim){.pass = signature->result == BH_DKIM_PASS, .domain = signature->domain};
    }
    if (run->json)
        (void)json_object_set_new(run->json, "dkim", bh_auth_dkim_json(verify));
    else
        bh_auth_dkim_print(verify);
    bh_dkim_verify_free(verify);
    return BH_EXIT_OK;
}

static int check_arc(struct verify_run *run)
{
    struct bh_arc_verify *verify = bh_auth_arc_verify(&run->auth);

    if (!verify)
        return bh_cli_fail("verify", "out of memory, or the resolver broke down");
    if (run->json)
        (void)json_object_set_new(run->json, "arc", bh_auth_arc_json(verify));
    else
        bh_auth_arc_print(verify);
    bh_arc_verify_free(verify);
    return BH_EXIT_OK;
}

/* ---- DMARC ---- */

static void on_dmarc(void *ctx, const struct bh_dmarc_outcome *outcome)
{
    struct verify_run *run = ctx;
    json_t *json;

    run->done = true;
    run->dmarc = outcome->result;
    if (run->json) {
        json = bh_tool_dmarc_json(outcome);
        if (run->from_fault)
            (void)json_object_set_new(json, "from", json_string(run->from_fault));
        (void)json_object_set_new(run->json, "dmarc", json);
        return;
    }
    (void)printf("dmarc=%s: ", bh_dmarc_result_name(outcome->result));
    bh_auth_print(outcome->reason);
    (void)printf("%s%s%s\n", run->from_fault ? " (From: " : "", run->from_fault ? run->from_fault : "",
                 run->from_fault ? ")" : "");
    if (outcome->record_domain.n)
        (void)printf("  record at _dmarc.%.*s, policy %s (%s), disposition %s\n", BH_FMT(outcome->record_domain),
                     bh_dmarc_policy_name(outcome->policy), outcome->policy_tag,
                     bh_dmarc_policy_name(outcome->disposition));
    bh_tool_print_lines(outcome->trace);
    bh_tool_print_lines(outcome->differences);
}

static bool read_mode(const char *text, enum bh_dmarc_mode *ret_mode)
{
    static const char *const modes[] = {"tree-walk", "psl", "both"};

    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(text, modes[i]) == 0) {
            *ret_mode = (enum bh_dmarc_mode)i;
            return true;
        }
    }
    return false;
}

static int check_dmarc_with(struct verify_run *run, const struct bh_dmarc_request *request)
{
    struct bh_dmarc_check *check;

    run->done = false;
    if (bh_dmarc_check(bh_tool_resolver(run->auth.tool), request, on_dmarc, run, &check))
        return bh_cli_fail("verify", "out of memory");
    if (!bh_tool_wait(run->auth.tool, &run->done))
        bh_dmarc_check_expire(check);
    return BH_EXIT_OK;
}

static int check_dmarc(struct verify_run *run)
{
    struct bh_dmarc_request request = {.spf = run->spf,
                                       .spf_domain = run->spf_domain,
                                       .dkim = run->dkim,
                                       .dkim_count = run->dkim_count,
                                       .trace = true};
    struct bh_psl *psl = NULL;
    int status;

    if (run->options->mode && !read_mode(run->options->mode, &request.mode))
        return bh_cli_fail("verify", "--mode %s is none of tree-walk, psl, both", run->options->mode);
    if (request.mode != BH_DMARC_TREE_WALK) {
        if (bh_psl_new(run->options->psl, &psl))
            return bh_cli_fail("verify", "cannot load the list of public suffixes; see --psl");
        request.suffixes = bh_psl_base(psl);
    }
    request.header_from =
        bh_dmarc_author_domain(run->auth.arena, bh_buf_view(&run->auth.message.bytes), &run->from_fault);
    status = check_dmarc_with(run, &request);
    bh_psl_free(psl);
    return status;
}

/* ---- all ---- */

static int check_all(struct verify_run *run, const struct bh_ip *ip)
{
    int status = check_spf(run, ip);

    if (!status)
        status = check_dkim(run);
    if (!status)
        status = check_arc(run);
    if (!status)
        status = check_dmarc(run);
    if (!status && run->json) {
        bh_cli_print_json(run->json);
        run->json = NULL;
    }
    if (status)
        return status;
    return run->options->tool.strict && run->dmarc != BH_DMARC_PASS ? BH_EXIT_VERDICT : BH_EXIT_OK;
}

static int verify(struct bh_cli *cli, const struct verify_options *o, const char *path)
{
    struct verify_run run = {.cli = cli, .options = o, .auth = {.noun = "verify"}};
    struct bh_ip ip = {0};
    int status = BH_EXIT_USAGE;

    if (o->ip && bh_ip_parse(bh_str_c(o->ip), &ip))
        return bh_cli_fail("verify", "--ip %s is no IPv4 or IPv6 address", o->ip);
    run.json = cli->json ? json_object() : NULL;
    if (bh_auth_tool_open(&run.auth, &o->tool, true, path, &status))
        status = check_all(&run, &ip);
    json_decref(run.json);
    bh_auth_tool_close(&run.auth);
    return status;
}

int bh_cli_verify(struct bh_cli *cli, int argc, char **argv)
{
    struct verify_options o = {0};
    const struct bh_cli_option options[] = {
        {.name = "ip", .value = &o.ip},
        {.name = "helo", .value = &o.helo},
        {.name = "mail-from", .value = &o.mail_from},
        {.name = "mode", .value = &o.mode},
        {.name = "psl", .value = &o.psl},
        BH_TOOL_OPTION_LINES(o.tool),
        {.name = NULL},
    };
    int status = BH_EXIT_OK;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc > 2)
        return bh_cli_fail("verify", "one message at a time; see behalf verify --help");
    return verify(cli, &o, argc > 1 ? argv[1] : NULL);
}
