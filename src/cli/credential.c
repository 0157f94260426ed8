/* credential.c: `behalf credential add|list|revoke`. */
#include "commands.h"
#include "control.h"

static const char help[] =
    "usage: behalf credential add --customer NAME [--username NAME]\n"
    "       behalf credential list [--customer NAME]\n"
    "       behalf credential revoke USERNAME\n"
    "\n"
    "Logins for SMTP submission. The password is shown once, by add, and kept nowhere: only its\n"
    "hash is.\n";

static int add(const struct bh_cli *cli, const char *customer, const char *username)
{
    json_t *args = json_object(), *result;
    int status;

    bh_json_add(args, "customer", customer);
    bh_json_add(args, "username", username);
    result = bh_control_ask(cli, "credential", "add", args, -1, &status);
    if (!result)
        return status;
    if (cli->json) {
        bh_cli_print_json(result);
        return BH_EXIT_OK;
    }
    (void)printf("username: %s\npassword: %s\nThe password is not shown again.\n", bh_json_text(result, "username"),
                 bh_json_text(result, "password"));
    json_decref(result);
    return BH_EXIT_OK;
}

static int list(const struct bh_cli *cli, const char *customer)
{
    static const char *const headings[] = {"USERNAME", "CUSTOMER", "SINCE", "REVOKED"};
    json_t *args = json_object(), *result;
    struct bh_cli_table *table;
    int status;

    bh_json_add(args, "customer", customer);
    result = bh_control_ask(cli, "credential", "list", args, -1, &status);
    if (!result)
        return status;
    if (cli->json) {
        bh_cli_print_json(result);
        return BH_EXIT_OK;
    }
    table = bh_cli_table_new(headings, 4);
    for (size_t i = 0; i < json_array_size(result); i++) {
        bh_table_member(table, json_array_get(result, i), "username");
        bh_table_member(table, json_array_get(result, i), "customer");
        bh_table_member(table, json_array_get(result, i), "created_at");
        bh_table_member(table, json_array_get(result, i), "revoked_at");
    }
    bh_cli_table_print(table);
    json_decref(result);
    return BH_EXIT_OK;
}

int bh_cli_credential(struct bh_cli *cli, int argc, char **argv)
{
    const char *customer = NULL, *username = NULL;
    const struct bh_cli_option options[] = {
        {.name = "customer", .value = &customer}, {.name = "username", .value = &username}, {0}};
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc == 2 && strcmp(argv[1], "add") == 0) {
        if (!customer)
            return bh_cli_fail("credential", "add needs --customer NAME");
        return add(cli, customer, username);
    }
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list(cli, customer);
    if (argc == 3 && strcmp(argv[1], "revoke") == 0)
        return bh_control_do(cli, "credential", "revoke", json_pack("{s:s}", "username", argv[2]), "revoked", argv[2]);
    return bh_cli_fail("credential", "say add, list, or revoke USERNAME; see behalf credential --help");
}
