/* event.c: `behalf event list|follow|export|types|readers|ack|forget`: the event log. Every reader that gives itself a
 * name goes on where it has come to: follow and export acknowledge what they have written. */
#include "commands.h"
#include "control.h"
#include "store/event_type.h"
#include <stdio.h>
#include <unistd.h>

static const char help[] =
    "usage: behalf event list   [FILTER] [--limit N]\n"
    "       behalf event follow [FILTER]\n"
    "       behalf event export [FILTER]\n"
    "       behalf event types | readers | ack NAME CURSOR | forget NAME\n"
    "\n"
    "The event log, oldest first. list shows one page; export writes all there is, one JSON object per\n"
    "line; follow goes on as it grows.\n"
    "\n"
    "  --after CURSOR      behind that event\n"
    "  --reader NAME       behind what this reader has seen; follow and export then remember how far\n"
    "                      they came\n"
    "  --event TYPE        delivered, bounced, domain.verified …; behalf event types lists them\n"
    "  --message ID        of one message\n"
    "  --customer-id N, --domain-id N\n"
    "  --since, --until TIME   2026-11-22 or 2026-11-22T06:00:00Z\n";

enum { PAGE = 500, POLL_S = 1 };

struct wish {
    const char *after, *reader, *event, *message, *customer, *domain, *since, *until, *limit;
};

static void print_table(const json_t *events)
{
    static const char *const headings[] = {"CURSOR", "AT", "EVENT", "MESSAGE", "TO", "CODE", "TEXT"};
    static const char *const members[] = {"cursor", "at", "event", "id", "to", "code", "text"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 7);

    for (size_t i = 0; i < json_array_size(events); i++)
        for (size_t k = 0; k < 7; k++)
            bh_table_member(table, json_array_get(events, i), members[k]);
    bh_cli_table_print(table);
}

static void print_lines(const json_t *events)
{
    for (size_t i = 0; i < json_array_size(events); i++) {
        char *line = json_dumps(json_array_get(events, i), JSON_COMPACT);

        if (line)
            (void)puts(line);
        free(line);
    }
    (void)fflush(stdout);
}

static bool add_number(const char *option, const char *text, const char *name, json_t *args)
{
    uint64_t id;

    if (!text)
        return true;
    if (bh_str_to_u64(bh_str_c(text), UINT32_MAX, &id) != BH_OK) {
        (void)bh_cli_fail("event", "%s %s: a number is needed", option, text);
        return false;
    }
    (void)json_object_set_new(args, name, json_integer((json_int_t)id));
    return true;
}

/* NULL after saying what is wrong. */
static json_t *make_args(const struct wish *wish)
{
    json_t *args = json_object();

    bh_json_add(args, "after", wish->after);
    bh_json_add(args, "reader", wish->reader);
    bh_json_add(args, "event", wish->event);
    bh_json_add(args, "id", wish->message);
    bh_json_add(args, "since", wish->since);
    bh_json_add(args, "until", wish->until);
    if (add_number("--customer-id", wish->customer, "customer_id", args) &&
        add_number("--domain-id", wish->domain, "domain_id", args) && bh_cli_limit("event", wish->limit, args))
        return args;
    json_decref(args);
    return NULL;
}

static int list(const struct bh_cli *cli, const struct wish *wish)
{
    json_t *args = make_args(wish), *result;
    int status;

    if (!args)
        return BH_EXIT_USAGE;
    result = bh_control_ask(cli, "event", "list", args, -1, &status);
    if (!result)
        return status;
    if (cli->json) {
        bh_cli_print_json(result);
        return BH_EXIT_OK;
    }
    print_table(json_object_get(result, "events"));
    json_decref(result);
    return BH_EXIT_OK;
}

static int acknowledge(const struct bh_cli *cli, const char *reader, const char *cursor)
{
    return bh_control_do(cli, "event", "ack", json_pack("{s:s, s:s}", "reader", reader, "cursor", cursor), NULL, NULL);
}

/* One page behind wish->after, whose text is in `cursor`. */
static int page(const struct bh_cli *cli, struct wish *wish, char cursor[32], bool *ret_more)
{
    json_t *args = make_args(wish), *result;
    int status;

    if (!args)
        return BH_EXIT_USAGE;
    (void)json_object_set_new(args, "limit", json_integer(PAGE));
    result = bh_control_ask(cli, "event", "list", args, -1, &status);
    if (!result)
        return status;
    print_lines(json_object_get(result, "events"));
    *ret_more = json_is_true(json_object_get(result, "more"));
    status = BH_EXIT_OK;
    if (json_array_size(json_object_get(result, "events"))) {
        (void)snprintf(cursor, 32, "%s", bh_json_text(result, "next"));
        wish->after = cursor;
        if (wish->reader && ferror(stdout) == 0)
            status = acknowledge(cli, wish->reader, cursor);
    }
    json_decref(result);
    return ferror(stdout) ? bh_cli_fail("event", "cannot write") : status;
}

static int stream(struct bh_cli *cli, struct wish *wish, bool follow)
{
    struct bh_cli quiet = *cli;
    char cursor[32];
    int status;
    bool more = true;

    quiet.json = false; /* of the acknowledgements: the events are the output */
    for (;;) {
        status = page(&quiet, wish, cursor, &more);
        if (status != BH_EXIT_OK || (!more && !follow))
            return status;
        if (!more)
            (void)sleep(POLL_S);
    }
}

static int types(void)
{
    static const struct {
        const char *name, *what;
    } known[] = {
#define KNOWN(NAME, number, name, what) {name, what},
        BH_EVENT_TYPES(KNOWN)
#undef KNOWN
    };
    static const char *const headings[] = {"EVENT", "MEANING"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 2);

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        bh_cli_table_cell(table, bh_str_c(known[i].name));
        bh_cli_table_cell(table, bh_str_c(known[i].what));
    }
    bh_cli_table_print(table);
    return BH_EXIT_OK;
}

static int readers(const struct bh_cli *cli)
{
    static const char *const headings[] = {"READER", "CURSOR", "AT"};
    struct bh_cli_table *table;
    const json_t *rows;
    int status;
    json_t *result = bh_control_ask(cli, "event", "readers", json_object(), -1, &status);

    if (!result)
        return status;
    if (cli->json) {
        bh_cli_print_json(result);
        return BH_EXIT_OK;
    }
    table = bh_cli_table_new(headings, 3);
    rows = json_object_get(result, "readers");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        bh_table_member(table, json_array_get(rows, i), "reader");
        bh_table_member(table, json_array_get(rows, i), "cursor");
        bh_table_member(table, json_array_get(rows, i), "at");
    }
    bh_cli_table_print(table);
    json_decref(result);
    return BH_EXIT_OK;
}

int bh_cli_event(struct bh_cli *cli, int argc, char **argv)
{
    struct wish wish = {0};
    const struct bh_cli_option options[] = {
        {.name = "after", .value = &wish.after},          {.name = "reader", .value = &wish.reader},
        {.name = "event", .value = &wish.event},          {.name = "message", .value = &wish.message},
        {.name = "customer-id", .value = &wish.customer}, {.name = "domain-id", .value = &wish.domain},
        {.name = "since", .value = &wish.since},          {.name = "until", .value = &wish.until},
        {.name = "limit", .value = &wish.limit},          {0}};
    const char *verb;
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    verb = argc > 1 ? argv[1] : "";
    if (argc == 2 && strcmp(verb, "list") == 0)
        return list(cli, &wish);
    if (argc == 2 && (strcmp(verb, "export") == 0 || strcmp(verb, "follow") == 0))
        return wish.limit ? bh_cli_fail("event", "--limit is for list") : stream(cli, &wish, verb[0] == 'f');
    if (argc == 2 && strcmp(verb, "types") == 0)
        return types();
    if (argc == 2 && strcmp(verb, "readers") == 0)
        return readers(cli);
    if (argc == 4 && strcmp(verb, "ack") == 0)
        return acknowledge(cli, argv[2], argv[3]);
    if (argc == 3 && strcmp(verb, "forget") == 0)
        return bh_control_do(cli, "event", "forget", json_pack("{s:s}", "reader", argv[2]), NULL, NULL);
    return bh_cli_fail("event", "say list, follow, export, types, readers, ack or forget; see behalf event --help");
}
