/* change.c: `behalf change list|show|remind|force`. */
#include "commands.h"
#include "control.h"
#include <stdlib.h>

static const char help[] =
    "usage: behalf change list [--open] [--limit N]\n"
    "       behalf change show|remind|force ID\n"
    "\n"
    "A planned change is something of ours (an address that mail leaves from, a key) that some customers have to\n"
    "prepare by editing a DNS record. They are told by mail and reminded; the old state stays in use until the\n"
    "new records are seen. show lists who has to do what, remind tells those who have not acted once more,\n"
    "force goes on without them.\n";

static void print_list(const json_t *list)
{
    static const char *const headings[] = {"ID", "KIND", "STATE", "RECORDS", "WAITING", "SINCE", "TITLE"};
    static const char *const members[] = {"id", "kind", "state", "records", "waiting", "created_at", "title"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 7);

    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t k = 0; k < 7; k++)
            bh_table_member(table, json_array_get(list, i), members[k]);
    bh_cli_table_print(table);
}

static void print_one(const json_t *change)
{
    static const char *const headings[] = {"DOMAIN", "CUSTOMER", "STATE", "TOLD", "TYPE", "NAME", "NEW VALUE"};
    static const char *const members[] = {"domain", "customer", "state", "told", "type", "name", "new"};
    const json_t *items = json_object_get(change, "items");
    struct bh_cli_table *table = bh_cli_table_new(headings, 7);

    (void)printf("%s\n%s, since %s; %lld of %lld records are waited for\n\n", bh_json_text(change, "title"),
                 bh_json_text(change, "state"), bh_json_text(change, "created_at"),
                 (long long)json_integer_value(json_object_get(change, "waiting")),
                 (long long)json_integer_value(json_object_get(change, "records")));
    for (size_t i = 0; i < json_array_size(items); i++)
        for (size_t k = 0; k < 7; k++)
            bh_table_member(table, json_array_get(items, i), members[k]);
    bh_cli_table_print(table);
}

static int ask_and_print(const struct bh_cli *cli, const char *verb, json_t *args, void (*print)(const json_t *result))
{
    int status;
    json_t *result = bh_control_ask(cli, "change", verb, args, -1, &status);

    if (!result)
        return status;
    if (cli->json) {
        bh_cli_print_json(result);
        return BH_EXIT_OK;
    }
    print(result);
    json_decref(result);
    return BH_EXIT_OK;
}

int bh_cli_change(struct bh_cli *cli, int argc, char **argv)
{
    const char *limit = NULL;
    bool open_only = false;
    const struct bh_cli_option options[] = {
        {.name = "open", .flag = &open_only}, {.name = "limit", .value = &limit}, {0}};
    json_t *args;
    uint64_t id;
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        args = json_pack("{s:b}", "open", open_only);
        return bh_cli_limit("change", limit, args) ? ask_and_print(cli, "list", args, print_list) : BH_EXIT_USAGE;
    }
    if (argc != 3 || (strcmp(argv[1], "show") != 0 && strcmp(argv[1], "remind") != 0 && strcmp(argv[1], "force") != 0))
        return bh_cli_fail("change", "say list, show ID, remind ID or force ID; see behalf change --help");
    if (bh_str_to_u64(bh_str_c(argv[2]), INT64_MAX, &id))
        return bh_cli_fail("change", "%s is not a number; behalf change list shows them", argv[2]);
    return ask_and_print(cli, argv[1], json_pack("{s:I}", "id", (json_int_t)id), print_one);
}
