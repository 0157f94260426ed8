/* arc.c: `behalf arc verify|seal`. */
#include "auth_tool.h"
#include "commands.h"
#include <behalf/auth_results.h>

enum { MAX_NAMES = 500 };

static const char help[] =
    "usage: behalf arc verify [OPTIONS] [MESSAGE]\n"
    "       behalf arc seal --domain NAME --selector NAME --key FILE --authserv-id NAME [OPTIONS] [MESSAGE]\n"
    "\n"
    "verify tells whether the chain of ARC sets is intact; seal verifies it and prints the message with one more\n"
    "set in front. MESSAGE is a file, or standard input.\n"
    "\n"
    "  --domain NAME          d=, the domain that seals\n"
    "  --selector NAME        s=, where under the domain the public key is\n"
    "  --key FILE             private key, PEM or DER, RSA or Ed25519\n"
    "  --authserv-id NAME     who verified: the first word of ARC-Authentication-Results\n"
    "  --results TEXT         what was verified, as in \"spf=pass smtp.mailfrom=a.example; dmarc=pass\"; without it\n"
    "                         the message's DKIM signatures and the chain are verified and written\n"
    "  --canon HEADER/BODY    of the message signature: relaxed/relaxed (default), or with "
    "simple\n" BH_TOOL_OPTION_HELP;

struct arc_options {
    struct bh_tool_options tool;
    const char *domain;
    const char *selector;
    const char *key;
    const char *authserv_id;
    const char *results;
    const char *canon;
};

/* ---- verify ---- */

static int run_verify(struct bh_cli *cli, struct bh_auth_tool *run, bool strict)
{
    struct bh_arc_verify *verify = bh_auth_arc_verify(run);
    enum bh_arc_result result;

    if (!verify)
        return bh_cli_fail("arc", "out of memory, or the resolver broke down");
    result = bh_arc_verify_result(verify, NULL);
    if (cli->json)
        bh_cli_print_json(bh_auth_arc_json(verify));
    else
        bh_auth_arc_print(verify);
    bh_arc_verify_free(verify);
    return strict && result != BH_ARC_PASS ? BH_EXIT_VERDICT : BH_EXIT_OK;
}

/* ---- seal ---- */

/* The results of our own verification: DKIM's, and the chain's. */
static bh_err own_results(struct bh_auth_tool *run, const char *authserv_id, const struct bh_arc_verify *arc,
                          bh_str *ret_text)
{
    struct bh_dkim_verify *dkim = bh_auth_dkim_verify(run);
    struct bh_auth_results results = {.authserv_id = bh_str_c(authserv_id), .version = 1};
    const struct bh_auth_method *found;
    struct bh_auth_method *methods;
    size_t count = 0;
    bh_err err = dkim ? bh_auth_results_of_dkim(run->arena, dkim, &found, &count) : BH_E_NOMEM;

    methods = err ? NULL : bh_arena_array(run->arena, count + 1, sizeof(*methods));
    if (methods) {
        memcpy(methods, found, count * sizeof(*methods));
        methods[count] = (struct bh_auth_method){.method = BH_STR("arc"), .version = 1};
        methods[count].result = bh_str_c(bh_arc_result_text(bh_arc_verify_result(arc, NULL)));
        results.methods = methods;
        results.method_count = count + 1;
        err = bh_auth_results_write(run->arena, &results, ret_text);
    }
    bh_dkim_verify_free(dkim);
    return methods ? err : BH_E_NOMEM;
}

/* What goes behind "i=N;": read and written again, so that only what the grammar allows gets out. */
static bh_err results_text(struct bh_auth_tool *run, const struct arc_options *o, const struct bh_arc_verify *arc,
                           bh_str *ret_text)
{
    struct bh_auth_results results;
    bh_str text;
    bh_err err;

    if (!o->results)
        return own_results(run, o->authserv_id, arc, ret_text);
    text = bh_arena_printf(run->arena, "%s; %s", o->authserv_id, o->results);
    err = bh_auth_results_read(run->arena, text, &results);
    return err ? err : bh_auth_results_write(run->arena, &results, ret_text);
}

static bh_err hash_body(struct bh_auth_tool *run, struct bh_dkim_signing *signing)
{
    struct bh_dkim_body *body = bh_dkim_body_new(run->dkim, signing->body_canon);
    bh_err err;

    if (!body)
        return BH_E_NOMEM;
    bh_dkim_body_add(body, run->message.body);
    err = bh_dkim_body_end(body, signing->body_hash, NULL);
    bh_dkim_body_free(body);
    return err;
}

static bh_err sign(struct bh_auth_tool *run, const struct bh_dkim_key *key, const struct bh_dkim_unsigned *prepared,
                   bh_str *ret_field)
{
    uint8_t signature[BH_DKIM_SIGNATURE_MAX];
    size_t length;
    bh_err err = bh_dkim_key_sign(key, prepared->hash, signature, &length);

    return err ? err : bh_dkim_finish(run->arena, prepared, signature, length, ret_field);
}

static bh_err seal(struct bh_auth_tool *run, const struct bh_dkim_key *key, struct bh_arc_sealing *sealing,
                   bh_str ret_fields[3])
{
    bh_str message = bh_buf_view(&run->message.bytes);
    struct bh_dkim_unsigned prepared;
    bh_str *names = bh_arena_array(run->arena, MAX_NAMES, sizeof(*names));
    bh_err err = names ? hash_body(run, &sealing->message) : BH_E_NOMEM;

    if (!err)
        err = bh_arc_default_names(message, names, MAX_NAMES, &sealing->message.name_count);
    sealing->message.names = names;
    if (!err)
        err = bh_arc_prepare_message(run->dkim, run->arena, message, sealing, &ret_fields[2], &prepared);
    if (!err)
        err = sign(run, key, &prepared, &ret_fields[1]);
    if (!err)
        err = bh_arc_prepare_seal(run->dkim, run->arena, message, sealing, ret_fields[2], ret_fields[1], &prepared);
    if (!err)
        err = sign(run, key, &prepared, &ret_fields[0]);
    sealing->message.names = NULL; /* `names` ends here */
    return err;
}

static int print_sealed(struct bh_auth_tool *run, bh_err err, const bh_str fields[3])
{
    if (err == BH_E_INVALID)
        return bh_cli_fail("arc", "cannot seal: the last seal says cv=fail, which ends a chain; or --domain or "
                                  "--selector is no name");
    if (err)
        return bh_cli_fail("arc", "cannot seal: %s", bh_err_text(err));
    for (size_t i = 0; i < 3; i++)
        (void)fwrite(fields[i].p, 1, fields[i].n, stdout);
    (void)fwrite(run->message.bytes.p, 1, run->message.bytes.n, stdout);
    return BH_EXIT_OK;
}

static int run_seal(struct bh_auth_tool *run, const struct arc_options *o, const struct bh_dkim_key *key)
{
    struct bh_arc_sealing sealing = {.message = {.key_type = bh_dkim_key_type(key),
                                                 .domain = bh_str_c(o->domain),
                                                 .selector = bh_str_c(o->selector),
                                                 .signed_at_s = run->now / 1000,
                                                 .expires_at_s = -1,
                                                 .body_length = -1}};
    struct bh_arc_verify *arc;
    bh_str fields[3];
    bh_err err;

    if (!bh_auth_canon(o->canon ? o->canon : "relaxed/relaxed", &sealing.message.header_canon,
                       &sealing.message.body_canon))
        return bh_cli_fail("arc", "--canon must be relaxed or simple, a slash, and relaxed or simple");
    arc = bh_auth_arc_verify(run);
    if (!arc)
        return bh_cli_fail("arc", "out of memory, or the resolver broke down");
    if (bh_arc_verify_temporary(arc)) {
        bh_arc_verify_free(arc);
        return bh_cli_fail("arc", "the chain cannot be verified now: DNS gives no answer; try again later");
    }
    sealing.status = bh_arc_verify_result(arc, NULL);
    err = results_text(run, o, arc, &sealing.auth_results);
    bh_arc_verify_free(arc);
    if (err)
        return bh_cli_fail("arc", "--authserv-id and --results make no Authentication-Results (RFC 8601 2.2)");
    return print_sealed(run, seal(run, key, &sealing, fields), fields);
}

/* ---- which of them ---- */

static int with_message(struct bh_cli *cli, const struct arc_options *o, const char *path,
                        const struct bh_dkim_key *key)
{
    struct bh_auth_tool run = {.noun = "arc"};
    int status = BH_EXIT_USAGE;

    if (bh_auth_tool_open(&run, &o->tool, true, path, &status))
        status = key ? run_seal(&run, o, key) : run_verify(cli, &run, o->tool.strict);
    bh_auth_tool_close(&run);
    return status;
}

static int load_and_seal(struct bh_cli *cli, const struct arc_options *o, const char *path)
{
    struct bh_dkim_key *key;
    int status;

    if (!o->domain || !o->selector || !o->key || !o->authserv_id)
        return bh_cli_fail("arc", "seal needs --domain, --selector, --key and --authserv-id");
    key = bh_auth_key("arc", o->key);
    if (!key)
        return BH_EXIT_USAGE;
    status = with_message(cli, o, path, key);
    bh_dkim_key_free(key);
    return status;
}

int bh_cli_arc(struct bh_cli *cli, int argc, char **argv)
{
    struct arc_options o = {0};
    const struct bh_cli_option options[] = {
        {.name = "domain", .value = &o.domain},
        {.name = "selector", .value = &o.selector},
        {.name = "key", .value = &o.key},
        {.name = "authserv-id", .value = &o.authserv_id},
        {.name = "results", .value = &o.results},
        {.name = "canon", .value = &o.canon},
        BH_TOOL_OPTION_LINES(o.tool),
        {.name = NULL},
    };
    const char *verb;
    int status = BH_EXIT_OK;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "verify") == 0 && argc <= 3)
        return with_message(cli, &o, argc > 2 ? argv[2] : NULL, NULL);
    if (strcmp(verb, "seal") == 0 && argc <= 3)
        return load_and_seal(cli, &o, argc > 2 ? argv[2] : NULL);
    return bh_cli_fail("arc", "say verify or seal; see behalf arc --help");
}
