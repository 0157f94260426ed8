/* domain_import.c: see domain_import.h. Each row is one command of the daemon, which adds the domain with its key or
 * leaves nothing behind; so an import that was broken off is repeated, and what is there already is passed over. Keys
 * go by file descriptor and are read by keyd alone. */
#include "domain_import.h"
#include "control.h"
#include "domain/import.h"
#include <fcntl.h>
#include <unistd.h>

enum { FILE_MAX = 64 << 20, ARENA_BYTES = 512 << 20 };

struct importing {
    const struct bh_cli *cli;
    const struct bh_import_options *options;
    struct bh_arena *arena;
    const char *file;
    json_t *rows; /* with --json */
    size_t added, there, failed;
    int status; /* of a daemon that cannot be asked: ends it */
};

/* ---- telling ---- */

static void tell(struct importing *importing, const struct bh_import_row *row, const char *what, bh_str detail)
{
    if (importing->rows) {
        (void)json_array_append_new(importing->rows,
                                    json_pack("{s:s, s:I, s:s%, s:s, s:s%}", "file", importing->file, "line",
                                              (json_int_t)row->line, "domain", row->domain.p, row->domain.n, "outcome",
                                              what, "detail", detail.p ? detail.p : "", detail.n));
        return;
    }
    (void)fprintf(strcmp(what, "failed") == 0 ? stderr : stdout, "%s:%zu: %.*s: %s%s%.*s\n", importing->file, row->line,
                  BH_FMT(row->domain), what, detail.n ? ": " : "", BH_FMT(detail));
}

static void tell_failed(struct importing *importing, const struct bh_import_row *row, bh_str why)
{
    importing->failed++;
    tell(importing, row, "failed", why);
}

/* What the operator puts into his old zone, so that the customers' CNAMEs reach us by way of it. */
static void tell_targets(struct importing *importing, const struct bh_import_row *row, const json_t *result)
{
    const json_t *records = json_object_get(result, "records");

    for (size_t i = 0; i < json_array_size(records) && !importing->rows; i++) {
        const json_t *record = json_array_get(records, i);
        const char *purpose = bh_json_text(record, "purpose"), *value = bh_json_text(record, "value");
        bh_str label, old = {"", 0};

        if (strcmp(bh_json_text(record, "type"), "CNAME") != 0)
            continue;
        if (strcmp(purpose, "dkim") == 0 && row->dkim_target.n) {
            label = bh_str_cut(bh_str_c(bh_json_text(record, "name")), '.', &old);
            (void)printf("  %.*s.%.*s. CNAME %s\n", BH_FMT(label), BH_FMT(row->dkim_target), value);
        }
        old = strcmp(purpose, "return_path") == 0 ? row->bounce_target
              : strcmp(purpose, "links") == 0     ? row->link_target
                                                  : (bh_str){"", 0};
        if (old.n)
            (void)printf("  %.*s. CNAME %s\n", BH_FMT(old), value);
    }
}

/* ---- one row ---- */

static void add_text(json_t *args, const char *name, bh_str value)
{
    if (value.n)
        (void)json_object_set_new(args, name, json_stringn(value.p, value.n));
}

static json_t *arguments(const struct importing *importing, const struct bh_import_row *row)
{
    json_t *args = json_object();

    add_text(args, "name", row->domain);
    add_text(args, "customer", row->customer.n ? row->customer : bh_str_c(importing->options->customer));
    add_text(args, "approach",
             row->approach.n                ? row->approach
             : importing->options->approach ? bh_str_c(importing->options->approach)
             : row->key_file.n              ? BH_STR("manual")
                                            : BH_STR("cname"));
    add_text(args, "bounces", row->bounces);
    add_text(args, "bounce-label", row->bounce_label);
    add_text(args, "link-label", row->link_label);
    add_text(args, "img-label", row->img_label);
    add_text(args, "selector-prefix", row->selector_prefix);
    if (row->key_file.n)
        add_text(args, "selector", row->selector);
    if (importing->options->dry_run)
        (void)json_object_set_new(args, "dry-run", json_true());
    return args;
}

/* Relative to the file that names it. -1 after telling. */
static int open_key(struct importing *importing, const struct bh_import_row *row)
{
    bh_str from = bh_str_c(importing->file), path = row->key_file;
    size_t slash = bh_str_rfind(from, '/');
    char name[4096];
    int fd = -1;

    if (*path.p != '/' && slash < from.n)
        path = bh_arena_printf(importing->arena, "%.*s/%.*s", BH_FMT(bh_str_sub(from, 0, slash)), BH_FMT(path));
    if (path.p && bh_str_to_c(path, name, sizeof(name)) == BH_OK)
        fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        tell_failed(importing, row, bh_arena_printf(importing->arena, "cannot read %.*s: %m", BH_FMT(row->key_file)));
    return fd;
}

/* The whole answer of "domain add"; a new customer is made on the way. */
static json_t *ask(struct importing *importing, const struct bh_import_row *row, int fd)
{
    json_t *args = arguments(importing, row), *made, *customer = json_object_get(args, "customer");
    json_t *answer = bh_control_try(importing->cli, "domain", "add", json_incref(args), fd, &importing->status);
    bool unknown = strcmp(bh_json_text(json_object_get(answer, "error"), "code"), "not_found") == 0;

    if (unknown && json_is_string(customer) && !importing->options->dry_run) {
        json_decref(answer);
        answer = NULL;
        made = bh_control_try(importing->cli, "customer", "add", json_pack("{s:O}", "name", customer), -1,
                              &importing->status);
        if (made && !json_is_true(json_object_get(made, "ok")))
            answer = json_incref(made);
        else if (made)
            answer = bh_control_try(importing->cli, "domain", "add", json_incref(args), fd, &importing->status);
        json_decref(made);
    }
    json_decref(args);
    return answer;
}

static void tell_answer(struct importing *importing, const struct bh_import_row *row, const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error"), *result = json_object_get(answer, "result");
    const char *code = bh_json_text(error, "code"), *fix = bh_json_text(error, "fix");
    bool dry = importing->options->dry_run;

    if (json_is_true(json_object_get(answer, "ok"))) {
        importing->added++;
        tell(importing, row, dry ? "would be added" : "added", row->note);
        tell_targets(importing, row, result);
    } else if (strcmp(code, "exists") == 0) {
        importing->there++;
        tell(importing, row, "there already", (bh_str){"", 0});
    } else if (dry && strcmp(code, "not_found") == 0) {
        importing->added++;
        tell(importing, row, "would be added", BH_STR("with a new customer"));
    } else {
        tell_failed(importing, row,
                    bh_arena_printf(importing->arena, "%s%s%s", bh_json_text(error, "detail"), *fix ? "; " : "", fix));
    }
}

static void import_row(struct importing *importing, const struct bh_import_row *row)
{
    json_t *answer;
    int fd = -1;

    if (row->problem.n) {
        tell_failed(importing, row, row->problem);
        return;
    }
    if (!row->customer.n && !importing->options->customer) {
        tell_failed(importing, row, BH_STR("whose is it? Give a column customer, or --customer"));
        return;
    }
    if (row->key_file.n && (fd = open_key(importing, row)) < 0)
        return;
    answer = ask(importing, row, fd);
    if (fd >= 0)
        (void)close(fd);
    if (answer)
        tell_answer(importing, row, answer);
    json_decref(answer);
}

/* ---- files ---- */

static int run_rows(struct importing *importing, const struct bh_import *import)
{
    for (size_t i = 0; i < import->count && !importing->status; i++)
        import_row(importing, &import->rows[i]);
    return importing->status;
}

static int read_file(const char *path, struct bh_buf *ret_text)
{
    return bh_cli_read(path, FILE_MAX, false, ret_text) ? bh_cli_fail("domain", "cannot read %s: %m", path)
                                                        : BH_EXIT_OK;
}

static int import_csv(struct importing *importing, const char *path)
{
    struct bh_buf text = {0};
    struct bh_import import;
    bh_str why = {"", 0};
    int status = read_file(path, &text);
    bh_err err;

    if (status)
        return status;
    importing->file = path;
    err = bh_import_csv(importing->arena, bh_buf_view(&text), &import, &why);
    status =
        err ? bh_cli_fail("domain", "%s: %.*s", path, BH_FMT(err == BH_E_SYNTAX ? why : bh_str_c(bh_err_text(err))))
            : run_rows(importing, &import);
    bh_buf_free(&text);
    return status;
}

static int import_opendkim(struct importing *importing)
{
    const struct bh_import_options *o = importing->options;
    struct bh_buf keys = {0}, signing = {0};
    struct bh_import import;
    int status = read_file(o->key_table, &keys);
    bh_err err;

    if (!status)
        status = read_file(o->signing_table, &signing);
    if (!status) {
        importing->file = o->signing_table;
        err = bh_import_opendkim(importing->arena, bh_buf_view(&keys), bh_buf_view(&signing), &import);
        status =
            err ? bh_cli_fail("domain", "%s: %s", o->signing_table, bh_err_text(err)) : run_rows(importing, &import);
    }
    bh_buf_free(&keys);
    bh_buf_free(&signing);
    return status;
}

static void tell_all(const struct importing *importing)
{
    if (importing->rows)
        bh_cli_print_json(json_pack("{s:I, s:I, s:I, s:O}", "added", (json_int_t)importing->added, "there",
                                    (json_int_t)importing->there, "failed", (json_int_t)importing->failed, "rows",
                                    importing->rows));
    else
        (void)printf("%zu %s, %zu there already, %zu failed\n", importing->added,
                     importing->options->dry_run ? "would be added" : "added", importing->there, importing->failed);
}

int bh_domain_import(const struct bh_cli *cli, char **files, int count, const struct bh_import_options *options)
{
    struct importing importing = {.cli = cli, .options = options, .arena = bh_arena_new(ARENA_BYTES)};
    int status = BH_EXIT_OK;

    if (!options->key_table != !options->signing_table || (!count && !options->key_table)) {
        bh_arena_free(importing.arena);
        return bh_cli_fail("domain", "import needs --key-table FILE with --signing-table FILE, or CSV files");
    }
    if (!importing.arena)
        return bh_cli_fail("domain", "out of memory");
    importing.rows = cli->json ? json_array() : NULL;
    if (options->key_table)
        status = import_opendkim(&importing);
    for (int i = 0; i < count && !status; i++)
        status = import_csv(&importing, files[i]);
    tell_all(&importing);
    json_decref(importing.rows);
    bh_arena_free(importing.arena);
    return status ? status : importing.failed ? BH_EXIT_USAGE : BH_EXIT_OK;
}
