/* auth_tool.c: see auth_tool.h. */
#include "auth_tool.h"
#include "base/clock.h"
#include "base/random.h"
#include <errno.h>

enum { MAX_MESSAGE = 512 << 20, MAX_ARENA = 256 << 20, MAX_KEY_FILE = 64 * 1024 };

static bool read_message(struct bh_auth_tool *run, const char *path)
{
    bh_err err = bh_cli_read(path, MAX_MESSAGE, true, &run->message.bytes);

    if (err) {
        (void)bh_cli_fail(run->noun, "cannot read %s: %s", path ? path : "standard input",
                          err == BH_E_IO ? strerror(errno) : bh_err_text(err));
        return false;
    }
    run->message.body = bh_dkim_message_body(bh_buf_view(&run->message.bytes));
    return true;
}

static bool read_time(struct bh_auth_tool *run, const char *text)
{
    uint64_t seconds = 0;

    run->now = bh_clock_now();
    if (!text)
        return true;
    if (bh_str_to_u64(bh_str_c(text), INT64_MAX / 1000, &seconds)) {
        (void)bh_cli_fail(run->noun, "--now %s is not a number of seconds", text);
        return false;
    }
    run->now = (bh_time_ms)seconds * 1000;
    return true;
}

bool bh_auth_tool_open(struct bh_auth_tool *run, const struct bh_tool_options *options, bool resolve, const char *path,
                       int *ret_exit)
{
    struct bh_dkim_config config = {.explain = true, .max_signatures = 100};

    *ret_exit = BH_EXIT_USAGE;
    bh_random_fill(&bh_random_os, config.seed, sizeof(config.seed));
    run->arena = bh_arena_new(MAX_ARENA);
    run->dkim = bh_dkim_new(&config);
    if (!run->arena || !run->dkim) {
        (void)bh_cli_fail(run->noun, "out of memory");
        return false;
    }
    if (!read_time(run, options->now) || !read_message(run, path))
        return false;
    return !resolve || bh_tool_open(run->noun, options, &run->tool, ret_exit);
}

void bh_auth_tool_close(struct bh_auth_tool *run)
{
    if (run->tool)
        bh_tool_close(run->tool);
    bh_dkim_free(run->dkim);
    bh_arena_free(run->arena);
    bh_buf_free(&run->message.bytes);
}

static const char *key_problem(bh_err err)
{
    if (err == BH_E_UNSUPPORTED)
        return "it is neither RSA nor Ed25519";
    if (err == BH_E_RANGE)
        return "RSA keys must have 1024 to 4096 bits";
    return err == BH_E_CRYPTO ? "its numbers do not belong together"
                              : "it is no unencrypted private key in PEM or DER, and no Ed25519 seed in base64";
}

struct bh_dkim_key *bh_auth_key(const char *noun, const char *path)
{
    struct bh_buf text = {0};
    struct bh_dkim_key *key = NULL;
    bh_err err = bh_cli_read(path, MAX_KEY_FILE, false, &text);

    if (err) {
        (void)bh_cli_fail(noun, "cannot read the key %s: %s", path,
                          err == BH_E_IO ? strerror(errno) : bh_err_text(err));
        return NULL;
    }
    err = bh_dkim_key_load(bh_buf_view(&text), &key);
    if (err)
        (void)bh_cli_fail(noun, "cannot use the key %s: %s", path, key_problem(err));
    if (text.p)
        bh_wipe(text.p, text.cap);
    bh_buf_free(&text);
    return err ? NULL : key;
}

static json_t *signature_json(const struct bh_dkim_signature *signature)
{
    json_t *json = json_object();

    (void)json_object_set_new(json, "result", json_string(bh_dkim_result_text(signature->result)));
    (void)json_object_set_new(json, "domain", bh_tool_json(signature->domain));
    (void)json_object_set_new(json, "selector", bh_tool_json(signature->selector));
    (void)json_object_set_new(json, "algorithm", bh_tool_json(signature->algorithm));
    (void)json_object_set_new(json, "reason", bh_tool_json(signature->reason));
    (void)json_object_set_new(json, "identity", bh_tool_json(signature->identity));
    (void)json_object_set_new(json, "key_bits", json_integer(signature->key_bits));
    (void)json_object_set_new(json, "testing", json_boolean(signature->testing));
    (void)json_object_set_new(json, "partial_body", json_boolean(signature->partial_body));
    return json;
}

json_t *bh_auth_dkim_json(const struct bh_dkim_verify *verify)
{
    json_t *array = json_array();
    struct bh_dkim_signature none = {0};

    none.result = bh_dkim_verify_result(verify, &none.reason);
    if (none.result != BH_DKIM_NONE && bh_dkim_verify_count(verify) == 0) /* the header was not read */
        (void)json_array_append_new(array, signature_json(&none));
    for (size_t i = 0; i < bh_dkim_verify_count(verify); i++)
        (void)json_array_append_new(array, signature_json(bh_dkim_verify_get(verify, i)));
    return array;
}

void bh_auth_print(bh_str text)
{
    for (size_t i = 0; i < text.n; i++)
        (void)putchar((unsigned char)text.p[i] < 32 || text.p[i] == 127 ? '?' : text.p[i]);
}

void bh_auth_dkim_print(const struct bh_dkim_verify *verify)
{
    bh_str reason;
    enum bh_dkim_result result = bh_dkim_verify_result(verify, &reason);

    if (bh_dkim_verify_count(verify) == 0)
        (void)printf("dkim=%s: %.*s\n", bh_dkim_result_text(result), BH_FMT(reason));
    for (size_t i = 0; i < bh_dkim_verify_count(verify); i++) {
        const struct bh_dkim_signature *signature = bh_dkim_verify_get(verify, i);

        (void)printf("dkim=%s", bh_dkim_result_text(signature->result));
        (void)fputs(" d=", stdout);
        bh_auth_print(signature->domain);
        (void)fputs(" s=", stdout);
        bh_auth_print(signature->selector);
        (void)fputs(" a=", stdout);
        bh_auth_print(signature->algorithm);
        (void)fputs(": ", stdout);
        bh_auth_print(signature->reason);
        (void)puts(signature->testing ? " (the domain is testing DKIM, t=y)" : "");
    }
}

static void note_done(void *ctx, const struct bh_dkim_verify *verify)
{
    (void)verify;
    *(bool *)ctx = true;
}

struct bh_dkim_verify *bh_auth_dkim_verify(struct bh_auth_tool *run)
{
    bh_str message = bh_buf_view(&run->message.bytes);
    struct bh_dkim_verify *verify = bh_dkim_verify_new(run->dkim, run->arena, message, run->now);
    bool done = false;

    if (!verify)
        return NULL;
    bh_dkim_verify_body(verify, run->message.body);
    bh_dkim_verify_end(verify, bh_tool_resolver(run->tool), note_done, &done);
    if (!bh_tool_wait(run->tool, &done)) {
        bh_dkim_verify_free(verify);
        return NULL;
    }
    return verify;
}

static void note_arc_done(void *ctx, const struct bh_arc_verify *verify)
{
    (void)verify;
    *(bool *)ctx = true;
}

struct bh_arc_verify *bh_auth_arc_verify(struct bh_auth_tool *run)
{
    bh_str message = bh_buf_view(&run->message.bytes);
    struct bh_arc_verify *verify = bh_arc_verify_new(run->dkim, run->arena, message, run->now);
    bool done = false;

    if (!verify)
        return NULL;
    bh_arc_verify_body(verify, run->message.body);
    bh_arc_verify_end(verify, bh_tool_resolver(run->tool), note_arc_done, &done);
    if (!bh_tool_wait(run->tool, &done)) {
        bh_arc_verify_free(verify);
        return NULL;
    }
    return verify;
}

json_t *bh_auth_arc_json(const struct bh_arc_verify *verify)
{
    json_t *json = json_object();
    json_t *sealers = json_array();
    bh_str reason;
    enum bh_arc_result result = bh_arc_verify_result(verify, &reason);

    (void)json_object_set_new(json, "result", json_string(bh_arc_result_text(result)));
    (void)json_object_set_new(json, "reason", bh_tool_json(reason));
    for (unsigned i = 1; i <= bh_arc_verify_sets(verify); i++)
        (void)json_array_append_new(sealers, bh_tool_json(bh_arc_verify_sealer(verify, i)));
    (void)json_object_set_new(json, "sealers", sealers);
    return json;
}

void bh_auth_arc_print(const struct bh_arc_verify *verify)
{
    bh_str reason;
    enum bh_arc_result result = bh_arc_verify_result(verify, &reason);

    (void)printf("arc=%s: ", bh_arc_result_text(result));
    bh_auth_print(reason);
    for (unsigned i = 1; i <= bh_arc_verify_sets(verify); i++) {
        (void)printf("%s%u=", i == 1 ? " (sealers " : " ", i);
        bh_auth_print(bh_arc_verify_sealer(verify, i));
    }
    (void)puts(bh_arc_verify_sets(verify) ? ")" : "");
}

static bool canon_of(bh_str word, enum bh_dkim_canon *ret_canon)
{
    bool relaxed = bh_str_eq(word, BH_STR("relaxed"));

    if (!relaxed && !bh_str_eq(word, BH_STR("simple")))
        return false;
    *ret_canon = relaxed ? BH_DKIM_RELAXED : BH_DKIM_SIMPLE;
    return true;
}

bool bh_auth_canon(const char *text, enum bh_dkim_canon *ret_header, enum bh_dkim_canon *ret_body)
{
    bh_str body;
    bh_str header = bh_str_cut(bh_str_c(text), '/', &body);

    return canon_of(header, ret_header) && canon_of(body, ret_body);
}
