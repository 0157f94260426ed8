/* customer.c: `behalf customer add|list|show`. */
#include "commands.h"
#include "control.h"

static const char help[] =
    "usage: behalf customer add NAME\n"
    "       behalf customer list [--after NAME] [--limit N]\n"
    "       behalf customer show NAME\n"
    "\n"
    "A customer owns sending domains and credentials; no customer can use another's. NAME is 1 to\n"
    "63 of a-z, 0-9, - and _.\n";

static int print_list(json_t *list)
{
    static const char *const headings[] = {"ID", "NAME", "SINCE"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 3);

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *customer = json_array_get(list, i);

        bh_table_member(table, customer, "id");
        bh_table_member(table, customer, "name");
        bh_table_member(table, customer, "created_at");
    }
    bh_cli_table_print(table);
    json_decref(list);
    return BH_EXIT_OK;
}

static int print_one(json_t *customer)
{
    static const char *const headings[] = {"DOMAIN", "APPROACH", "STATE", "CAN SEND"};
    const json_t *domains = json_object_get(customer, "domains");
    struct bh_cli_table *table = bh_cli_table_new(headings, 4);

    (void)printf("%s, since %s\n", bh_json_text(customer, "name"), bh_json_text(customer, "created_at"));
    for (size_t i = 0; i < json_array_size(domains); i++) {
        const json_t *domain = json_array_get(domains, i);

        bh_table_member(table, domain, "name");
        bh_table_member(table, domain, "approach");
        bh_table_member(table, domain, "state");
        bh_table_member(table, domain, "can_send");
    }
    bh_cli_table_print(table);
    json_decref(customer);
    return BH_EXIT_OK;
}

static int show(const struct bh_cli *cli, const char *verb, json_t *args, int (*print)(json_t *result))
{
    int status;
    json_t *result = bh_control_ask(cli, "customer", verb, args, -1, &status);

    if (!result)
        return status;
    if (!cli->json)
        return print(result);
    bh_cli_print_json(result);
    return BH_EXIT_OK;
}

int bh_cli_customer(struct bh_cli *cli, int argc, char **argv)
{
    const char *after = NULL, *limit = NULL;
    const struct bh_cli_option options[] = {
        {.name = "after", .value = &after}, {.name = "limit", .value = &limit}, {0}};
    json_t *args;
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc == 3 && strcmp(argv[1], "add") == 0)
        return bh_control_do(cli, "customer", "add", json_pack("{s:s}", "name", argv[2]), "added customer", argv[2]);
    if (argc == 3 && strcmp(argv[1], "show") == 0)
        return show(cli, "show", json_pack("{s:s}", "name", argv[2]), print_one);
    if (argc != 2 || strcmp(argv[1], "list") != 0)
        return bh_cli_fail("customer", "say add NAME, list, or show NAME; see behalf customer --help");
    args = json_object();
    bh_json_add(args, "after", after);
    if (!bh_cli_limit("customer", limit, args))
        return BH_EXIT_USAGE;
    return show(cli, "list", args, print_list);
}
