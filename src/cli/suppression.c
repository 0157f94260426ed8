/* suppression.c: `behalf suppression add|remove|check|list|export|import`: addresses that get no mail. */
#include "commands.h"
#include "control.h"

static const char help[] =
    "usage: behalf suppression add|remove|check ADDRESS|--hash HEX [--customer NAME] [--stream NAME]\n"
    "       behalf suppression list [--customer NAME] [--after CURSOR] [--limit N]\n"
    "       behalf suppression export [--customer NAME]\n"
    "       behalf suppression import FILE [--customer NAME] [--reason REASON] [--stream NAME]\n"
    "\n"
    "Addresses that get no mail of a customer; without --customer, of no customer. Hard bounces, complaints\n"
    "and unsubscriptions are added by themselves.\n"
    "\n"
    "  --hash HEX         the SHA-256 of the address in lower case, in place of the address\n"
    "  --stream NAME      in this stream of mail only; without it in all\n"
    "  --reason REASON    bounce, complaint, unsubscribe, import or manual\n"
    "  --expires TIME     until then, like 2027-01-31\n"
    "  --note TEXT        why\n"
    "\n"
    "import reads lines of ADDRESS or HEX, with \",REASON\" and \",STREAM\" behind it where they differ from the\n"
    "options; export writes such lines.\n";

enum { BATCH = 500, FILE_MAX = 512 * 1024 * 1024, PAGE = 1000 };

struct wish {
    const char *customer, *hash, *stream, *reason, *expires, *note, *after, *limit;
};

static bool looks_like_hash(bh_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!((text.p[i] >= '0' && text.p[i] <= '9') ||
              (bh_to_lower(text.p[i]) >= 'a' && bh_to_lower(text.p[i]) <= 'f')))
            return false;
    return text.n == 64;
}

static void set_text(json_t *object, const char *name, bh_str text)
{
    if (text.n)
        (void)json_object_set_new(object, name, json_stringn(text.p, text.n));
}

static json_t *make_args(const struct wish *wish, const char *address)
{
    json_t *args = json_object();

    bh_json_add(args, "customer", wish->customer);
    bh_json_add(args, "address", address);
    bh_json_add(args, "hash", wish->hash);
    bh_json_add(args, "stream", wish->stream);
    bh_json_add(args, "reason", wish->reason);
    bh_json_add(args, "expires_at", wish->expires);
    bh_json_add(args, "note", wish->note);
    return args;
}

/* ---- list, check ---- */

static void print_rows(const json_t *rows)
{
    static const char *const headings[] = {"ADDRESS", "STREAM", "REASON", "SINCE", "UNTIL", "DETAIL", "HASH"};
    static const char *const members[] = {"address", "stream", "reason", "created_at", "expires_at", "detail", "hash"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 7);

    for (size_t i = 0; i < json_array_size(rows); i++)
        for (size_t k = 0; k < 7; k++)
            bh_table_member(table, json_array_get(rows, i), members[k]);
    bh_cli_table_print(table);
}

static int ask_rows(const struct bh_cli *cli, const char *verb, json_t *args)
{
    int status;
    json_t *result = bh_control_ask(cli, "suppression", verb, args, -1, &status);

    if (!result)
        return status;
    if (cli->json) {
        bh_cli_print_json(result);
        return BH_EXIT_OK;
    }
    if (json_is_false(json_object_get(result, "suppressed")))
        (void)puts("not suppressed");
    else
        print_rows(json_object_get(result, "suppressions"));
    json_decref(result);
    return BH_EXIT_OK;
}

static int list(const struct bh_cli *cli, const struct wish *wish)
{
    json_t *args = json_object();

    bh_json_add(args, "customer", wish->customer);
    bh_json_add(args, "after", wish->after);
    if (!bh_cli_limit("suppression", wish->limit, args)) {
        json_decref(args);
        return BH_EXIT_USAGE;
    }
    return ask_rows(cli, "list", args);
}

/* ---- export, import ---- */

static void print_lines(const json_t *rows)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *address = bh_json_text(row, "address");

        (void)printf("%s,%s,%s\n", address[0] ? address : bh_json_text(row, "hash"), bh_json_text(row, "reason"),
                     bh_json_text(row, "stream"));
    }
}

static int export_list(const struct bh_cli *cli, const struct wish *wish)
{
    json_t *result = NULL, *next = NULL;
    int status = BH_EXIT_OK;

    do {
        json_t *args = json_pack("{s:i}", "limit", (int)PAGE);

        bh_json_add(args, "customer", wish->customer);
        if (next)
            (void)json_object_set(args, "after", next);
        json_decref(result);
        result = bh_control_ask(cli, "suppression", "list", args, -1, &status);
        if (!result)
            return status;
        print_lines(json_object_get(result, "suppressions"));
        next = json_object_get(result, "next");
    } while (json_is_string(next));
    json_decref(result);
    return BH_EXIT_OK;
}

static json_t *entry_of(const struct wish *wish, bh_str line)
{
    bh_str rest, stream, who = bh_str_trim(bh_str_cut(line, ',', &rest));
    bh_str reason = bh_str_trim(bh_str_cut(rest, ',', &stream));
    json_t *entry = json_object();

    set_text(entry, looks_like_hash(who) ? "hash" : "address", who);
    set_text(entry, "reason", reason.n ? reason : bh_str_c(wish->reason ? wish->reason : "import"));
    set_text(entry, "stream",
             bh_str_trim(stream).n ? bh_str_trim(stream) : bh_str_c(wish->stream ? wish->stream : "*"));
    bh_json_add(entry, "expires_at", wish->expires);
    bh_json_add(entry, "note", wish->note);
    return entry;
}

static int send_batch(const struct bh_cli *cli, const struct wish *wish, json_t **entries, json_int_t *added)
{
    json_t *args = json_pack("{s:o}", "entries", *entries), *result;
    int status = BH_EXIT_OK;

    *entries = json_array();
    bh_json_add(args, "customer", wish->customer);
    result = bh_control_ask(cli, "suppression", "import", args, -1, &status);
    if (result)
        *added += json_integer_value(json_object_get(result, "new"));
    json_decref(result);
    return status;
}

static int import_list(const struct bh_cli *cli, const struct wish *wish, const char *path)
{
    struct bh_buf file = bh_buf_make(0);
    bh_err err = bh_cli_read(path, FILE_MAX, false, &file);
    bh_str rest = bh_buf_view(&file);
    json_t *entries = json_array();
    json_int_t added = 0, read = 0;
    int status = BH_EXIT_OK;

    if (err) {
        json_decref(entries);
        return bh_cli_fail("suppression", "cannot read %s", path);
    }
    while (rest.n && status == BH_EXIT_OK) {
        bh_str line = bh_str_trim(bh_str_cut(rest, '\n', &rest));

        if (!line.n || line.p[0] == '#')
            continue;
        (void)json_array_append_new(entries, entry_of(wish, line));
        read++;
        if (json_array_size(entries) == BATCH)
            status = send_batch(cli, wish, &entries, &added);
    }
    if (status == BH_EXIT_OK && json_array_size(entries))
        status = send_batch(cli, wish, &entries, &added);
    json_decref(entries);
    bh_buf_free(&file);
    if (status == BH_EXIT_OK)
        (void)printf("%lld read, %lld new\n", (long long)read, (long long)added);
    return status;
}

int bh_cli_suppression(struct bh_cli *cli, int argc, char **argv)
{
    struct wish wish = {0};
    const struct bh_cli_option options[] = {{.name = "customer", .value = &wish.customer},
                                            {.name = "hash", .value = &wish.hash},
                                            {.name = "stream", .value = &wish.stream},
                                            {.name = "reason", .value = &wish.reason},
                                            {.name = "expires", .value = &wish.expires},
                                            {.name = "note", .value = &wish.note},
                                            {.name = "after", .value = &wish.after},
                                            {.name = "limit", .value = &wish.limit},
                                            {0}};
    const char *verb;
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    verb = argc > 1 ? argv[1] : "";
    if (argc == 2 && strcmp(verb, "list") == 0)
        return list(cli, &wish);
    if (argc == 2 && strcmp(verb, "export") == 0)
        return export_list(cli, &wish);
    if (argc == 3 && strcmp(verb, "import") == 0)
        return import_list(cli, &wish, argv[2]);
    if ((argc == 3) == (wish.hash != NULL) || argc > 3)
        return bh_cli_fail("suppression", "say add, remove or check and ADDRESS or --hash HEX, or list, export, "
                                          "import FILE; see behalf suppression --help");
    if (strcmp(verb, "add") == 0)
        return bh_control_do(cli, "suppression", "add", make_args(&wish, argc == 3 ? argv[2] : NULL), NULL, NULL);
    if (strcmp(verb, "remove") == 0)
        return bh_control_do(cli, "suppression", "remove", make_args(&wish, argc == 3 ? argv[2] : NULL), NULL, NULL);
    if (strcmp(verb, "check") == 0)
        return ask_rows(cli, "check", make_args(&wish, argc == 3 ? argv[2] : NULL));
    return bh_cli_fail("suppression", "say add, remove, check, list, export or import");
}
