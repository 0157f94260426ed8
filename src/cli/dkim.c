/* dkim.c: `behalf dkim sign|verify|keygen|import`. */
#include "auth_tool.h"
#include "base/cur.h"
#include "commands.h"
#include "dkim_import.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_NAMES = 500 };

static const char help[] =
    "usage: behalf dkim sign --domain NAME --selector NAME --key FILE [OPTIONS] [MESSAGE]\n"
    "       behalf dkim verify [OPTIONS] [MESSAGE]\n"
    "       behalf dkim import --domain NAME --selector NAME [--customer NAME] FILE\n"
    "       behalf dkim keygen --domain NAME --selector NAME [--type rsa|ed25519] [--bits N] [--out FILE]\n"
    "\n"
    "sign prints the message with its signature in front; verify tells what each signature is worth; keygen\n"
    "makes a key and the TXT record to publish for it; import gives the running daemon a key that the customer\n"
    "has published already. MESSAGE is a file, or standard input.\n"
    "\n"
    "  --domain NAME          d=, the domain that signs\n"
    "  --selector NAME        s=, where under the domain the public key is\n"
    "  --key FILE             private key, PEM or DER, RSA or Ed25519\n"
    "  --identity ADDRESS     i=, at or below the domain\n"
    "  --canon HEADER/BODY    relaxed/relaxed (default), or with simple\n"
    "  --headers A:B:…        h=, instead of the usual fields, oversigned\n"
    "  --expires-in SECONDS   x=, counted from now\n"
    "  --length               l=: sign the body's present length, so that text may be added (not advised)\n"
    "  --field-only           sign: print the DKIM-Signature field alone\n"
    "  --type rsa|ed25519     keygen: kind of key (rsa)\n"
    "  --bits N               keygen: RSA bits, 1024 to 4096 (2048)\n"
    "  --out FILE             keygen: put the private key here, readable for the owner alone\n" BH_TOOL_OPTION_HELP;

struct dkim_options {
    struct bh_tool_options tool;
    const char *domain;
    const char *selector;
    const char *customer;
    const char *key;
    const char *identity;
    const char *canon;
    const char *headers;
    const char *expires_in;
    bool length;
    bool field_only;
    const char *type;
    const char *bits;
    const char *out;
};

/* ---- verify ---- */

static int report(struct bh_cli *cli, const struct bh_dkim_verify *verify, bool strict)
{
    enum bh_dkim_result result = bh_dkim_verify_result(verify, NULL);
    json_t *json;

    if (cli->json) {
        json = json_object();
        (void)json_object_set_new(json, "result", json_string(bh_dkim_result_text(result)));
        (void)json_object_set_new(json, "dkim", bh_auth_dkim_json(verify));
        bh_cli_print_json(json);
    } else {
        bh_auth_dkim_print(verify);
    }
    return strict && result != BH_DKIM_PASS ? BH_EXIT_VERDICT : BH_EXIT_OK;
}

static int run_verify(struct bh_cli *cli, struct bh_auth_tool *run, const struct dkim_options *o)
{
    struct bh_dkim_verify *verify = bh_auth_dkim_verify(run);
    int status;

    if (!verify)
        return bh_cli_fail("dkim", "out of memory, or the resolver broke down");
    status = report(cli, verify, o->tool.strict);
    bh_dkim_verify_free(verify);
    return status;
}

/* ---- sign ---- */

static size_t split_names(const char *text, bh_str names[MAX_NAMES])
{
    bh_str rest = bh_str_c(text);
    size_t count = 0;

    while (rest.p && count < MAX_NAMES)
        names[count++] = bh_str_trim(bh_str_cut(rest, ':', &rest));
    return count;
}

static bool fill_signing(const struct bh_auth_tool *run, const struct dkim_options *o, struct bh_dkim_signing *signing)
{
    int64_t now_s = run->now / 1000;
    uint64_t expires_in = 0;

    *signing = (struct bh_dkim_signing){.domain = bh_str_c(o->domain),
                                        .selector = bh_str_c(o->selector),
                                        .identity = bh_str_c(o->identity),
                                        .signed_at_s = now_s,
                                        .expires_at_s = -1,
                                        .body_length = -1};
    if (!bh_auth_canon(o->canon ? o->canon : "relaxed/relaxed", &signing->header_canon, &signing->body_canon)) {
        (void)bh_cli_fail("dkim", "--canon must be relaxed or simple, a slash, and relaxed or simple");
        return false;
    }
    if (o->expires_in && (bh_str_to_u64(bh_str_c(o->expires_in), 1u << 31, &expires_in) || expires_in == 0)) {
        (void)bh_cli_fail("dkim", "--expires-in must be a number of seconds");
        return false;
    }
    if (expires_in)
        signing->expires_at_s = now_s + (int64_t)expires_in;
    return true;
}

static bh_err hash_body(struct bh_auth_tool *run, bool length, struct bh_dkim_signing *signing)
{
    struct bh_dkim_body *body = bh_dkim_body_new(run->dkim, signing->body_canon);
    uint64_t bytes = 0;
    bh_err err;

    if (!body)
        return BH_E_NOMEM;
    bh_dkim_body_add(body, run->message.body);
    err = bh_dkim_body_end(body, signing->body_hash, &bytes);
    bh_dkim_body_free(body);
    if (length)
        signing->body_length = (int64_t)bytes;
    return err;
}

static bh_err sign(struct bh_auth_tool *run, const struct dkim_options *o, const struct bh_dkim_key *key,
                   struct bh_dkim_signing *signing, bh_str *ret_field)
{
    bh_str message = bh_buf_view(&run->message.bytes);
    uint8_t signature[BH_DKIM_SIGNATURE_MAX];
    struct bh_dkim_unsigned prepared;
    bh_str *names = bh_arena_array(run->arena, MAX_NAMES, sizeof(*names));
    size_t length;
    bh_err err = names ? hash_body(run, o->length, signing) : BH_E_NOMEM;

    signing->key_type = bh_dkim_key_type(key);
    signing->names = names;
    if (!err && o->headers)
        signing->name_count = split_names(o->headers, names);
    else if (!err)
        err = bh_dkim_default_names(message, names, MAX_NAMES, &signing->name_count);
    if (!err)
        err = bh_dkim_prepare(run->dkim, run->arena, message, signing, &prepared);
    if (!err)
        err = bh_dkim_key_sign(key, prepared.hash, signature, &length);
    return err ? err : bh_dkim_finish(run->arena, &prepared, signature, length, ret_field);
}

static int run_sign(struct bh_auth_tool *run, const struct dkim_options *o, const struct bh_dkim_key *key)
{
    struct bh_dkim_signing signing;
    bh_str field;
    bh_err err;

    if (!fill_signing(run, o, &signing))
        return BH_EXIT_USAGE;
    err = sign(run, o, key, &signing, &field);
    if (err == BH_E_INVALID)
        return bh_cli_fail("dkim", "no verifier would accept this: check --domain, --selector, --identity (at or below "
                                   "the domain) and --headers (From must be among them)");
    if (err)
        return bh_cli_fail("dkim", "cannot sign: %s", bh_err_text(err));
    (void)fwrite(field.p, 1, field.n, stdout);
    if (!o->field_only)
        (void)fwrite(run->message.bytes.p, 1, run->message.bytes.n, stdout);
    return BH_EXIT_OK;
}

/* ---- keygen ---- */

static bool write_key(const char *path, bh_str pem)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, pem.p, pem.n) == (ssize_t)pem.n && fsync(fd) == 0;

    if (fd >= 0 && close(fd) != 0)
        ok = false;
    if (!ok)
        (void)bh_cli_fail("dkim", "cannot write the key to %s: %s", path, strerror(errno));
    return ok;
}

/* A line for a zone file: strings of at most 255 bytes. */
static void print_record(FILE *to, const struct dkim_options *o, bh_str record)
{
    (void)fprintf(to, "%s._domainkey.%s. TXT", o->selector, o->domain);
    for (; record.n; record = bh_str_skip(record, 255))
        (void)fprintf(to, " \"%.*s\"", BH_FMT(bh_str_sub(record, 0, 255)));
    (void)fputc('\n', to);
}

static void print_key_json(const struct dkim_options *o, bh_str pem, bh_str record)
{
    json_t *json = json_object();

    (void)json_object_set_new(json, "name", json_sprintf("%s._domainkey.%s", o->selector, o->domain));
    (void)json_object_set_new(json, "record", bh_tool_json(record));
    if (!o->out)
        (void)json_object_set_new(json, "private_key", bh_tool_json(pem));
    bh_cli_print_json(json);
}

static int publish_key(struct bh_cli *cli, const struct dkim_options *o, struct bh_arena *arena,
                       const struct bh_dkim_key *key)
{
    bh_str pem;
    bh_str record;

    if (bh_dkim_key_to_pem(key, arena, &pem) || bh_dkim_key_record(key, arena, &record))
        return bh_cli_fail("dkim", "cannot encode the key");
    if (o->out && !write_key(o->out, pem))
        return BH_EXIT_USAGE;
    if (cli->json) {
        print_key_json(o, pem, record);
        return BH_EXIT_OK;
    }
    if (!o->out)
        (void)fwrite(pem.p, 1, pem.n, stdout);
    print_record(o->out ? stdout : stderr, o, record); /* so that `> key.pem` gets the key alone */
    return BH_EXIT_OK;
}

static int run_keygen(struct bh_cli *cli, const struct dkim_options *o)
{
    bool ed25519 = o->type && strcmp(o->type, "ed25519") == 0;
    struct bh_arena *arena;
    struct bh_dkim_key *key;
    uint64_t bits = 2048;
    int status;

    if (!o->domain || !o->selector)
        return bh_cli_fail("dkim", "keygen needs --domain and --selector");
    if (o->type && !ed25519 && strcmp(o->type, "rsa") != 0)
        return bh_cli_fail("dkim", "--type must be rsa or ed25519");
    if (o->bits && (bh_str_to_u64(bh_str_c(o->bits), BH_DKIM_RSA_MAX_BITS, &bits) || bits < BH_DKIM_RSA_MIN_BITS))
        return bh_cli_fail("dkim", "--bits must be 1024 to 4096; 2048 is what receivers expect");
    if (bh_dkim_key_generate(ed25519 ? BH_DKIM_KEY_ED25519 : BH_DKIM_KEY_RSA, (unsigned)bits, &key))
        return bh_cli_fail("dkim", "cannot make a key");
    arena = bh_arena_new(1 << 20);
    status = arena ? publish_key(cli, o, arena, key) : bh_cli_fail("dkim", "out of memory");
    bh_arena_free(arena);
    bh_dkim_key_free(key);
    return status;
}

/* ---- which of them ---- */

static int with_message(struct bh_cli *cli, const struct dkim_options *o, const char *path,
                        const struct bh_dkim_key *key)
{
    struct bh_auth_tool run = {.noun = "dkim"};
    int status = BH_EXIT_USAGE;

    if (bh_auth_tool_open(&run, &o->tool, key == NULL, path, &status))
        status = key ? run_sign(&run, o, key) : run_verify(cli, &run, o);
    bh_auth_tool_close(&run);
    return status;
}

static int load_and_sign(struct bh_cli *cli, const struct dkim_options *o, const char *path)
{
    struct bh_dkim_key *key;
    int status;

    if (!o->domain || !o->selector || !o->key)
        return bh_cli_fail("dkim", "sign needs --domain, --selector and --key");
    key = bh_auth_key("dkim", o->key);
    if (!key)
        return BH_EXIT_USAGE;
    status = with_message(cli, o, path, key);
    bh_dkim_key_free(key);
    return status;
}

int bh_cli_dkim(struct bh_cli *cli, int argc, char **argv)
{
    struct dkim_options o = {0};
    const struct bh_cli_option options[] = {
        {.name = "domain", .value = &o.domain},
        {.name = "selector", .value = &o.selector},
        {.name = "customer", .value = &o.customer},
        {.name = "key", .value = &o.key},
        {.name = "identity", .value = &o.identity},
        {.name = "canon", .value = &o.canon},
        {.name = "headers", .value = &o.headers},
        {.name = "expires-in", .value = &o.expires_in},
        {.name = "length", .flag = &o.length},
        {.name = "field-only", .flag = &o.field_only},
        {.name = "type", .value = &o.type},
        {.name = "bits", .value = &o.bits},
        {.name = "out", .value = &o.out},
        BH_TOOL_OPTION_LINES(o.tool),
        {.name = NULL},
    };
    const char *verb;
    int status = BH_EXIT_OK;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "keygen") == 0 && argc == 2)
        return run_keygen(cli, &o);
    if (strcmp(verb, "sign") == 0 && argc <= 3)
        return load_and_sign(cli, &o, argc > 2 ? argv[2] : NULL);
    if (strcmp(verb, "import") == 0 && argc <= 3)
        return bh_cli_dkim_import(cli, o.domain, o.customer, o.selector, argc > 2 ? argv[2] : NULL);
    if (strcmp(verb, "verify") == 0 && argc <= 3)
        return with_message(cli, &o, argc > 2 ? argv[2] : NULL, NULL);
    return bh_cli_fail("dkim", "say sign, verify, import or keygen; see behalf dkim --help");
}
