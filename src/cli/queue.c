/* queue.c: `behalf queue …`, `behalf message show`: what queued knows. */
#include "commands.h"
#include "control.h"
#include "explain.h"

static const char queue_help[] =
    "usage: behalf queue show\n"
    "       behalf queue list [--domain NAME] [--customer-id N] [--campaign C] [--after CURSOR] [--limit N]\n"
    "       behalf queue retry|drop|cancel ID | --domain NAME | --customer-id N | --campaign C | --all\n"
    "       behalf queue hold ID | --domain NAME --customer-id N --campaign C  [--reason TEXT]\n"
    "       behalf queue holds\n"
    "       behalf queue release ID | --hold N | --all\n"
    "       behalf queue reroute --domain NAME --to HOST[:PORT]\n"
    "       behalf queue unroute --domain NAME\n"
    "       behalf queue reroutes\n"
    "\n"
    "What waits to be delivered, one line per recipient. retry asks for an attempt now; drop ends the\n"
    "recipients without a further attempt; cancel is the same by the customer's wish. hold keeps what\n"
    "matches all that is said, now and later, until it is released. reroute sends a domain's mail to\n"
    "another host. --domain is the recipients' domain.\n";

static const char message_help[] =
    "usage: behalf message show ID\n"
    "       behalf message explain ID\n"
    "\n"
    "show: a message, its recipients and its events. explain: its whole life in words: under which identity it\n"
    "left and why, keys, records seen, each attempt with addresses, TLS and reply, and what happens next.\n";

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
        (void)bh_cli_fail(noun, "--customer-id %s: a number, as behalf customer list shows it", text);
        return false;
    }
    (void)json_object_set_new(args, "customer_id", json_integer((json_int_t)id));
    return true;
}

static void print_holds(const json_t *result)
{
    static const char *const columns[] = {"hold", "id", "customer_id", "campaign", "domain", "at", "reason"};

    bh_cli_print_rows(json_object_get(result, "holds"), columns, 7);
}

static void print_reroutes(const json_t *result)
{
    static const char *const columns[] = {"domain", "host", "port"};

    bh_cli_print_rows(json_object_get(result, "reroutes"), columns, 3);
}

/* "host", "host:2525", "[2001:db8::1]:25" */
static bool add_host(const char *text, json_t *args)
{
    bh_str host = bh_str_c(text ? text : ""), port;
    size_t colon = bh_str_rfind(host, ':');
    uint64_t number = 25;

    if (!text)
        return true;
    if (colon < host.n && bh_str_find(host, ':') == colon) {
        port = bh_str_skip(host, colon + 1);
        host.n = colon;
        if (bh_str_to_u64(port, 65535, &number) != BH_OK || !number)
            return false;
    }
    (void)json_object_set_new(args, "host", json_stringn(host.p, host.n));
    (void)json_object_set_new(args, "port", json_integer((json_int_t)number));
    return host.n > 0;
}

struct queue_options {
    const char *domain, *customer, *campaign, *after, *limit, *reason, *hold, *to;
    bool all;
};

static bool fill_args(const struct queue_options *o, json_t *args)
{
    uint64_t hold;

    bh_json_add(args, "domain", o->domain);
    bh_json_add(args, "campaign", o->campaign);
    bh_json_add(args, "after", o->after);
    bh_json_add(args, "reason", o->reason);
    if (o->all)
        (void)json_object_set_new(args, "all", json_true());
    if (!add_customer_id("queue", o->customer, args) || !bh_cli_limit("queue", o->limit, args))
        return false;
    if (!add_host(o->to, args)) {
        (void)bh_cli_fail("queue", "--to %s: HOST or HOST:PORT", o->to);
        return false;
    }
    if (!o->hold)
        return true;
    if (bh_str_to_u64(bh_str_c(o->hold), INT64_MAX, &hold) != BH_OK) {
        (void)bh_cli_fail("queue", "--hold %s: a number, as behalf queue holds shows it", o->hold);
        return false;
    }
    (void)json_object_set_new(args, "hold", json_integer((json_int_t)hold));
    return true;
}

static const struct {
    const char *verb;
    bool takes_id, needs_target;
    void (*print)(const json_t *result);
} queue_verbs[] = {
    {"list", false, false, print_list},         {"show", true, false, print_counts},
    {"retry", true, true, print_members},       {"drop", true, true, print_members},
    {"cancel", true, true, print_members},      {"hold", true, true, print_members},
    {"release", true, true, print_members},     {"holds", false, false, print_holds},
    {"reroute", false, true, print_members},    {"unroute", false, true, print_members},
    {"reroutes", false, false, print_reroutes},
};

int bh_cli_queue(struct bh_cli *cli, int argc, char **argv)
{
    struct queue_options o = {0};
    const struct bh_cli_option options[] = {{.name = "domain", .value = &o.domain},
                                            {.name = "customer-id", .value = &o.customer},
                                            {.name = "campaign", .value = &o.campaign},
                                            {.name = "after", .value = &o.after},
                                            {.name = "limit", .value = &o.limit},
                                            {.name = "reason", .value = &o.reason},
                                            {.name = "hold", .value = &o.hold},
                                            {.name = "to", .value = &o.to},
                                            {.name = "all", .flag = &o.all},
                                            {0}};
    bool is_said;
    json_t *args;
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, queue_help, &status))
        return status;
    is_said = argc == 3 || o.domain || o.customer || o.campaign || o.all || o.hold;
    for (size_t i = 0; argc > 1 && i < sizeof(queue_verbs) / sizeof(queue_verbs[0]); i++) {
        if (strcmp(argv[1], queue_verbs[i].verb) != 0 || argc > (queue_verbs[i].takes_id ? 3 : 2))
            continue;
        if (queue_verbs[i].needs_target && !is_said)
            return bh_cli_fail("queue", "%s what? say ID, --domain NAME, --customer-id N, --campaign C or --all",
                               argv[1]);
        args = json_object();
        if (!fill_args(&o, args)) {
            json_decref(args);
            return BH_EXIT_USAGE;
        }
        if (argc == 3)
            bh_json_add(args, "id", argv[2]);
        return ask_and_print(cli, "queue", argv[1], args,
                             argc == 3 && queue_verbs[i].print == print_counts ? print_message : queue_verbs[i].print);
    }
    return bh_cli_fail("queue",
                       "say list, show, retry, drop, cancel, hold, release or reroute; see behalf queue --help");
}

int bh_cli_message(struct bh_cli *cli, int argc, char **argv)
{
    int status;

    if (!bh_cli_options(cli, &argc, argv, NULL, message_help, &status))
        return status;
    if (argc == 3 && strcmp(argv[1], "explain") == 0)
        return bh_explain(cli, argv[2]);
    if (argc != 3 || strcmp(argv[1], "show") != 0)
        return bh_cli_fail("message", "say show ID or explain ID; see behalf message --help");
    return ask_and_print(cli, "message", "show", json_pack("{s:s}", "id", argv[2]), print_message);
}
