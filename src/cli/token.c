/* token.c: `behalf token add|list|revoke`, `behalf audit`. */
#include "commands.h"
#include "control.h"
#include <stdlib.h>

static const char help[] =
    "usage: behalf token add --customer NAME | --operator [--name TEXT] [--scope send,read,admin]\n"
    "                        [--address NET[,NET...]] [--rate N]\n"
    "       behalf token list [--customer NAME]\n"
    "       behalf token revoke ID\n"
    "       behalf token audit [--customer NAME] [--limit N]\n"
    "\n"
    "Tokens of the HTTP API. The token is shown once, by add, and kept nowhere: only its hash is. Without\n"
    "--scope it may send and read. A customer's token sees that customer's objects only; an operator's\n"
    "sees all. --address binds it to client addresses or networks, --rate to so many requests a second.\n"
    "audit shows which command was given by whom, newest first.\n";

struct options {
    const char *customer, *name, *scope, *address, *rate, *limit;
    bool operator;
};

static json_t *scope_list(const char *text)
{
    json_t *list = json_array();
    bh_str rest = bh_str_c(text);

    while (rest.n) {
        bh_str one = bh_str_cut(rest, ',', &rest);

        (void)json_array_append_new(list, json_stringn(one.p, one.n));
    }
    return list;
}

static int add(const struct bh_cli *cli, const struct options *o)
{
    json_t *args = json_object(), *result;
    int status;

    bh_json_add(args, "customer", o->customer);
    bh_json_add(args, "name", o->name);
    bh_json_add(args, "addresses", o->address);
    if (o->scope)
        (void)json_object_set_new(args, "scopes", scope_list(o->scope));
    if (o->rate)
        (void)json_object_set_new(args, "rate", json_integer(strtol(o->rate, NULL, 10)));
    result = bh_control_ask(cli, "token", "add", args, -1, &status);
    if (!result)
        return status;
    if (cli->json) {
        bh_cli_print_json(result);
        return BH_EXIT_OK;
    }
    (void)printf("token: %s\nThe token is not shown again.\n", bh_json_text(result, "token"));
    json_decref(result);
    return BH_EXIT_OK;
}

static int print_table(const struct bh_cli *cli, json_t *result, const char *const *headings,
                       const char *const *members, size_t count)
{
    struct bh_cli_table *table;

    if (cli->json) {
        bh_cli_print_json(result);
        return BH_EXIT_OK;
    }
    table = bh_cli_table_new(headings, count);
    for (size_t i = 0; i < json_array_size(result); i++)
        for (size_t k = 0; k < count; k++)
            bh_table_member(table, json_array_get(result, i), members[k]);
    bh_cli_table_print(table);
    json_decref(result);
    return BH_EXIT_OK;
}

static int list(const struct bh_cli *cli, const struct options *o)
{
    static const char *const headings[] = {"ID", "CUSTOMER", "NAME", "SINCE", "REVOKED"};
    static const char *const members[] = {"id", "customer", "name", "created_at", "revoked_at"};
    json_t *args = json_object(), *result;
    int status;

    bh_json_add(args, "customer", o->customer);
    result = bh_control_ask(cli, "token", "list", args, -1, &status);
    return result ? print_table(cli, result, headings, members, 5) : status;
}

static int audit(const struct bh_cli *cli, const struct options *o)
{
    static const char *const headings[] = {"AT", "TOKEN", "COMMAND", "OUTCOME"};
    static const char *const members[] = {"at", "token_id", "command", "outcome"};
    json_t *args = json_object(), *result;
    int status;

    bh_json_add(args, "customer", o->customer);
    if (o->limit)
        (void)json_object_set_new(args, "limit", json_integer(strtol(o->limit, NULL, 10)));
    result = bh_control_ask(cli, "audit", "list", args, -1, &status);
    return result ? print_table(cli, result, headings, members, 4) : status;
}

int bh_cli_token(struct bh_cli *cli, int argc, char **argv)
{
    struct options o = {0};
    const struct bh_cli_option options[] = {{.name = "customer", .value = &o.customer},
                                            {.name = "name", .value = &o.name}, {.name = "scope", .value = &o.scope},
                                            {.name = "address", .value = &o.address},
                                            {.name = "rate", .value = &o.rate}, {.name = "limit", .value = &o.limit},
                                            {.name = "operator", .flag = &o.operator}, {0}};
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc == 2 && strcmp(argv[1], "add") == 0) {
        if (!o.customer == !o.operator)
            return bh_cli_fail("token", "add needs --customer NAME or --operator");
        return add(cli, &o);
    }
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list(cli, &o);
    if (argc == 2 && strcmp(argv[1], "audit") == 0)
        return audit(cli, &o);
    if (argc == 3 && strcmp(argv[1], "revoke") == 0)
        return bh_control_do(cli, "token", "revoke", json_pack("{s:I}", "id", (json_int_t)strtoll(argv[2], NULL, 10)),
                             "revoked", argv[2]);
    return bh_cli_fail("token", "say add, list, revoke ID or audit; see behalf token --help");
}
