/* customer.c: `behalf customer add|set|list|show|notices`. */
#include "commands.h"
#include "control.h"

static const char help[] =
    "usage: behalf customer add NAME\n"
    "       behalf customer set NAME --contact ADDR [--contact ADDR ...] | --no-contact\n"
    "       behalf customer set NAME --pool POOL\n"
    "       behalf customer set NAME --tls opportunistic|required|verified\n"
    "       behalf customer list [--after NAME] [--limit N]\n"
    "       behalf customer show NAME\n"
    "       behalf customer remove NAME\n"
    "       behalf customer notices [NAME] [--limit N]\n"
    "\n"
    "A customer owns sending domains and credentials; no customer can use another's. NAME is 1 to\n"
    "63 of a-z, 0-9, - and _. --contact is whom we tell by mail what he has to do, instead of those set\n"
    "before; notices lists what was told, newest first. --pool: the egress addresses his mail leaves\n"
    "from, see behalf pool --help. --tls is how his mail leaves: TLS where it works (the default), TLS or\n"
    "not at all, or only to a server that proves its name.\n";

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
    const json_t *domains = json_object_get(customer, "domains"), *contacts = json_object_get(customer, "contacts");
    struct bh_cli_table *table = bh_cli_table_new(headings, 4);

    (void)printf("%s, since %s\n", bh_json_text(customer, "name"), bh_json_text(customer, "created_at"));
    for (size_t i = 0; i < json_array_size(contacts); i++)
        (void)printf("contact %s\n", json_string_value(json_array_get(contacts, i)));
    (void)printf("TLS on the way out: %s\n", bh_json_text(customer, "tls"));
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

static int print_notices(json_t *list)
{
    static const char *const headings[] = {"AT", "TO", "KIND", "SUBJECT", "SENT"};
    static const char *const members[] = {"at", "customer", "kind", "subject", "sent_at"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 5);

    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t k = 0; k < 5; k++)
            bh_table_member(table, json_array_get(list, i), members[k]);
    bh_cli_table_print(table);
    json_decref(list);
    return BH_EXIT_OK;
}

static int notices(const struct bh_cli *cli, const char *name, const char *limit)
{
    json_t *args = json_object();

    bh_json_add(args, "customer", name);
    if (!bh_cli_limit("customer", limit, args))
        return BH_EXIT_USAGE;
    return show(cli, "notices", args, print_notices);
}

static int set(const struct bh_cli *cli, const char *name, const struct bh_cli_many *contact, bool none)
{
    json_t *contacts;

    if (none == (contact->count > 0))
        return bh_cli_fail("customer", "set needs --contact ADDR, once or more often, or --no-contact");
    contacts = json_array();
    for (size_t i = 0; i < contact->count; i++)
        (void)json_array_append_new(contacts, json_string(contact->values[i]));
    return bh_control_do(cli, "customer", "set", json_pack("{s:s, s:o}", "name", name, "contacts", contacts),
                         "set the contacts of", name);
}

int bh_cli_customer(struct bh_cli *cli, int argc, char **argv)
{
    const char *after = NULL, *limit = NULL, *tls = NULL;
    struct bh_cli_many contact = {.count = 0};
    bool no_contact = false;
    const char *pool = NULL;
    const struct bh_cli_option options[] = {{.name = "after", .value = &after},
                                            {.name = "limit", .value = &limit},
                                            {.name = "contact", .many = &contact},
                                            {.name = "no-contact", .flag = &no_contact},
                                            {.name = "pool", .value = &pool},
                                            {.name = "tls", .value = &tls},
                                            {0}};
    json_t *args;
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc == 3 && strcmp(argv[1], "add") == 0)
        return bh_control_do(cli, "customer", "add", json_pack("{s:s}", "name", argv[2]), "added customer", argv[2]);
    if (argc == 3 && strcmp(argv[1], "remove") == 0)
        return bh_control_do(cli, "customer", "remove", json_pack("{s:s}", "name", argv[2]),
                             "removed the customer, with all domains and credentials:", argv[2]);
    if (argc == 3 && strcmp(argv[1], "show") == 0)
        return show(cli, "show", json_pack("{s:s}", "name", argv[2]), print_one);
    if (argc == 3 && strcmp(argv[1], "set") == 0 && pool)
        return bh_cli_pool_assign(cli, pool, argv[2], NULL);
    if (argc == 3 && strcmp(argv[1], "set") == 0 && tls)
        return bh_control_do(cli, "customer", "tls", json_pack("{s:s, s:s}", "name", argv[2], "tls", tls),
                             "set the TLS of", argv[2]);
    if (argc == 3 && strcmp(argv[1], "set") == 0)
        return set(cli, argv[2], &contact, no_contact);
    if ((argc == 2 || argc == 3) && strcmp(argv[1], "notices") == 0)
        return notices(cli, argc == 3 ? argv[2] : NULL, limit);
    if (argc != 2 || strcmp(argv[1], "list") != 0)
        return bh_cli_fail("customer",
                           "say add NAME, set NAME, list, show NAME or notices; see behalf customer --help");
    args = json_object();
    bh_json_add(args, "after", after);
    if (!bh_cli_limit("customer", limit, args))
        return BH_EXIT_USAGE;
    return show(cli, "list", args, print_list);
}
