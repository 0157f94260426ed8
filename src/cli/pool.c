/* pool.c: `behalf pool …`: the addresses that mail leaves from. */
#include "commands.h"
#include "control.h"

static const char help[] =
    "usage: behalf pool list\n"
    "       behalf pool show NAME\n"
    "       behalf pool add NAME\n"
    "       behalf pool remove NAME\n"
    "       behalf pool address add POOL ADDRESS [--helo NAME] [--weight N]\n"
    "       behalf pool address remove POOL ADDRESS\n"
    "       behalf pool assign POOL --customer NAME | --domain NAME\n"
    "\n"
    "The addresses that mail leaves from, in pools. The configuration's egress block is the pool\n"
    "\"default\", which everybody uses who has no other. An address that is added sends nothing before SPF\n"
    "with it is seen at every authoritative server and what was cached before has expired; one that is\n"
    "removed stays in SPF until the mail that it sent is old. The same holds when a customer or domain is\n"
    "given another pool. --helo: its HELO name; below the platform domain we publish its address and SPF.\n"
    "--weight: its share of the pool's mail, 1 to 1000.\n";

static void print_addresses(const json_t *pool, struct bh_cli_table *table)
{
    static const char *const members[] = {"address", "helo", "weight", "state", "since"};
    const json_t *list = json_object_get(pool, "addresses");

    for (size_t i = 0; i < json_array_size(list); i++) {
        bh_table_member(table, pool, "name");
        for (size_t k = 0; k < 5; k++)
            bh_table_member(table, json_array_get(list, i), members[k]);
    }
}

static void print_ptr(const json_t *pool)
{
    const json_t *list = json_object_get(pool, "addresses");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *address = json_array_get(list, i);

        if (*bh_json_text(address, "ptr_problem"))
            (void)printf("warning: %s: %s\n", bh_json_text(address, "address"), bh_json_text(address, "ptr_problem"));
    }
    if (*bh_json_text(pool, "waiting_for"))
        (void)printf("waiting: %s\n", bh_json_text(pool, "waiting_for"));
}

static void print_list(const json_t *list)
{
    static const char *const headings[] = {"POOL", "ADDRESS", "HELO", "WEIGHT", "STATE", "SINCE"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 6);

    for (size_t i = 0; i < json_array_size(list); i++)
        print_addresses(json_array_get(list, i), table);
    bh_cli_table_print(table);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pool = json_array_get(list, i);

        if (!json_array_size(json_object_get(pool, "addresses")))
            (void)printf("pool %s has no address\n", bh_json_text(pool, "name"));
        print_ptr(pool);
    }
}

static void print_pool(const json_t *pool)
{
    static const char *const headings[] = {"POOL", "ADDRESS", "HELO", "WEIGHT", "STATE", "SINCE"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 6);
    const json_t *users = json_object_get(pool, "users");

    print_addresses(pool, table);
    bh_cli_table_print(table);
    print_ptr(pool);
    for (size_t i = 0; i < json_array_size(users); i++) {
        const json_t *user = json_array_get(users, i);

        (void)printf("used by %s %s: %s\n", bh_json_text(user, "kind"), bh_json_text(user, "name"),
                     bh_json_text(user, "state"));
    }
}

static int ask(const struct bh_cli *cli, const char *verb, json_t *args, void (*print)(const json_t *result))
{
    int status;
    json_t *result = bh_control_ask(cli, "pool", verb, args, -1, &status);

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

static int change_address(const struct bh_cli *cli, char **argv, const char *helo, const char *weight)
{
    bool add = strcmp(argv[2], "add") == 0;
    json_t *args = json_pack("{s:s, s:s}", "pool", argv[3], "address", argv[4]);
    uint64_t number = 1;

    bh_json_add(args, "helo", helo);
    if (weight && bh_str_to_u64(bh_str_c(weight), 1000, &number)) {
        json_decref(args);
        return bh_cli_fail("pool", "--weight %s: must be a number, 1 to 1000", weight);
    }
    if (weight)
        (void)json_object_set_new(args, "weight", json_integer((json_int_t)number));
    if (add || strcmp(argv[2], "remove") == 0)
        return ask(cli, add ? "address-add" : "address-remove", args, print_pool);
    json_decref(args);
    return bh_cli_fail("pool", "say address add or address remove");
}

int bh_cli_pool_assign(const struct bh_cli *cli, const char *pool, const char *customer, const char *domain)
{
    json_t *args = json_pack("{s:s}", "pool", pool);

    bh_json_add(args, "customer", customer);
    bh_json_add(args, "domain", domain);
    return ask(cli, "assign", args, print_pool);
}

int bh_cli_pool(struct bh_cli *cli, int argc, char **argv)
{
    const char *helo = NULL, *weight = NULL, *customer = NULL, *domain = NULL;
    const struct bh_cli_option options[] = {{.name = "helo", .value = &helo},
                                            {.name = "weight", .value = &weight},
                                            {.name = "customer", .value = &customer},
                                            {.name = "domain", .value = &domain},
                                            {0}};
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return ask(cli, "list", json_object(), print_list);
    if (argc == 3 && strcmp(argv[1], "show") == 0)
        return ask(cli, "show", json_pack("{s:s}", "name", argv[2]), print_pool);
    if (argc == 3 && strcmp(argv[1], "add") == 0)
        return bh_control_do(cli, "pool", "add", json_pack("{s:s}", "name", argv[2]), "added pool", argv[2]);
    if (argc == 3 && strcmp(argv[1], "remove") == 0)
        return bh_control_do(cli, "pool", "remove", json_pack("{s:s}", "name", argv[2]), "removed pool", argv[2]);
    if (argc == 5 && strcmp(argv[1], "address") == 0)
        return change_address(cli, argv, helo, weight);
    if (argc == 3 && strcmp(argv[1], "assign") == 0 && (customer || domain))
        return bh_cli_pool_assign(cli, argv[2], customer, domain);
    return bh_cli_fail("pool", "say list, show, add, remove, address or assign; see behalf pool --help");
}
