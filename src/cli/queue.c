/* queue.c: `behalf queue list|show|retry|drop`, `behalf message show`: what queued knows. */
#include "commands.h"
#include "control.h"

static const char queue_help[] =
    "usage: behalf queue show\n"
    "       behalf queue list [--domain NAME] [--customer-id N] [--after CURSOR] [--limit N]\n"
    "       behalf queue retry|drop ID | --domain NAME | --customer-id N | --all\n"
    "\n"
    "What waits to be delivered, one line per recipient. retry asks for an attempt now; drop ends the\n"
    "recipients without a further attempt. --domain is the recipients' domain.\n";

static const char message_help[] = "usage: behalf message show ID\n\n"
                                   "A message, its recipients and its events.\n";

static void print_recipients(const json_t *recipients)
{
    static const char *const headings[] = {"MESSAGE", "TO", "STATE", "ATTEMPTS", "NEXT", "CODE", "TEXT"};
    static const char *const members[] = {"id", "to", "state", "attempts", "next_at", "code", "text"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 7);

    for (size_t i = 0; i < json_array_size(recipients); i++)
        for (size_t k = 0; k < 7; k++)
            bh_table_member(table, json_array_get(recipients, i), members[k]);
    bh_cli_table_print(table);
}

static void print_events(const json_t *events)
{
    static const char *const headings[] = {"CURSOR", "AT", "EVENT", "MESSAGE", "TO", "CODE", "TEXT"};
    static const char *const members[] = {"cursor", "at", "event", "id", "to", "code", "text"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 7);

    for (size_t i = 0; i < json_array_size(events); i++)
        for (size_t k = 0; k < 7; k++)
            bh_table_member(table, json_array_get(events, i), members[k]);
    bh_cli_table_print(table);
}

static void print_members(const json_t *object)
{
    for (void *it = json_object_iter((json_t *)(uintptr_t)object); it;
         it = json_object_iter_next((json_t *)(uintptr_t)object, it)) {
        const json_t *value = json_object_iter_value(it);
        char *text =
            json_is_array(value) || json_is_object(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

        if (text)
            (void)printf("%-20s %s\n", json_object_iter_key(it),
                         json_is_string(value) ? json_string_value(value) : text);
        free(text);
    }
}

static void print_counts(const json_t *result)
{
    const json_t *since_start = json_object_get(result, "since_start");

    print_members(result);
    if (!json_object_size(since_start))
        return;
    (void)printf("\nsince the start:\n");
    print_members(since_start);
}

static void print_list(const json_t *result)
{
    print_recipients(json_object_get(result, "recipients"));
}

static void print_message(const json_t *result)
{
    print_members(result);
    (void)putchar('\n');
    print_recipients(json_object_get(result, "recipients"));
    (void)putchar('\n');
    print_events(json_object_get(result, "events"));
}

static int ask_and_print(const struct bh_cli *cli, const char *noun, const char *verb, json_t *args,
                         void (*print)(const json_t *result))
{
    int status;
    json_t *result = bh_control_ask(cli, noun, verb, args, -1, &status);

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

static bool add_customer_id(const char *noun, const char *text, json_t *args)
{
    uint64_t id;

    if (!text)
        return true;
    if (bh_str_to_u64(bh_str_c(text), UINT32_MAX, &id) != BH_OK) {
        json_decref(args);
        (void)bh_cli_fail(noun, "--customer-id %s: a number, as behalf customer list shows it", text);
        return false;
    }
    (void)json_object_set_new(args, "customer_id", json_integer((json_int_t)id));
    return true;
}

int bh_cli_queue(struct bh_cli *cli, int argc, char **argv)
{
    const char *domain = NULL, *customer = NULL, *after = NULL, *limit = NULL;
    bool all = false;
    const struct bh_cli_option options[] = {
        {.name = "domain", .value = &domain}, {.name = "customer-id", .value = &customer},
        {.name = "after", .value = &after},   {.name = "limit", .value = &limit},
        {.name = "all", .flag = &all},        {0}};
    const char *verb;
    json_t *args;
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, queue_help, &status))
        return status;
    verb = argc > 1 ? argv[1] : "";
    args = json_object();
    bh_json_add(args, "domain", domain);
    bh_json_add(args, "after", after);
    if (!add_customer_id("queue", customer, args) || !bh_cli_limit("queue", limit, args))
        return BH_EXIT_USAGE;
    if (argc == 3)
        bh_json_add(args, "id", argv[2]);
    if (all)
        (void)json_object_set_new(args, "all", json_true());
    if (argc == 2 && strcmp(verb, "list") == 0)
        return ask_and_print(cli, "queue", "list", args, print_list);
    if (argc <= 3 && strcmp(verb, "show") == 0)
        return ask_and_print(cli, "queue", "show", args, argc == 3 ? print_message : print_counts);
    if (argc <= 3 && (strcmp(verb, "retry") == 0 || strcmp(verb, "drop") == 0)) {
        if (argc == 2 && !domain && !customer && !all) {
            json_decref(args);
            return bh_cli_fail("queue", "%s what? say ID, --domain NAME, --customer-id N or --all", verb);
        }
        return ask_and_print(cli, "queue", verb, args, print_members);
    }
    json_decref(args);
    return bh_cli_fail("queue", "say list, show, retry or drop; see behalf queue --help");
}

int bh_cli_message(struct bh_cli *cli, int argc, char **argv)
{
    int status;

    if (!bh_cli_options(cli, &argc, argv, NULL, message_help, &status))
        return status;
    if (argc != 3 || strcmp(argv[1], "show") != 0)
        return bh_cli_fail("message", "say show ID; see behalf message --help");
    return ask_and_print(cli, "message", "show", json_pack("{s:s}", "id", argv[2]), print_message);
}
