/* site.c: `behalf site`, `behalf schedule`, `behalf warmup`: how destinations are treated, when it is tried again, how
 * new addresses begin. queued executes them. */
#include "commands.h"
#include "control.h"

static const char site_help[] =
    "usage: behalf site list\n"
    "       behalf site show NAME\n"
    "       behalf site set NAME RULE...\n"
    "       behalf site unset NAME\n"
    "       behalf site suspend NAME [--for DURATION]\n"
    "       behalf site resume NAME\n"
    "\n"
    "A site is who takes mail: a provider, or a set of mail exchangers. RULE is a line of shaping.rules:\n"
    "\"connections 5\", \"in-hand 10\", \"rate 100/1m\", 'on 421 \"too many\" slow 15m'; the rules set before\n"
    "are replaced. suspend stops deliveries until resume, or for so long: 90s, 15m, 12h, 1d.\n";

static const char schedule_help[] =
    "usage: behalf schedule list\n"
    "       behalf schedule set [--customer-id N] [--class C] [--first D] [--max D] [--growth PERCENT] [--expire D]\n"
    "       behalf schedule unset [--customer-id N] [--class C]\n"
    "\n"
    "When a recipient is tried again: for a customer or for all, after replies of a class (greylisted,\n"
    "full …) or all. D is 90s, 15m, 12h, 5d. --expire counts for what is accepted from now on.\n";

static const char warmup_help[] =
    "usage: behalf warmup list\n"
    "       behalf warmup start ADDRESS [--plan NAME] [--day N]\n"
    "       behalf warmup stop ADDRESS\n"
    "\n"
    "A source address that is new delivers to each provider no more in a day than the plan says; the\n"
    "pool's other addresses take the rest.\n";

/* ---- shared ---- */

static int ask(const struct bh_cli *cli, const char *noun, const char *verb, json_t *args,
               void (*print)(const json_t *result))
{
    int status;
    json_t *result = bh_control_ask(cli, noun, verb, args, -1, &status);

    if (!result)
        return status;
    if (cli->json)
        bh_cli_print_json(result);
    else if (print)
        print(result);
    if (!cli->json)
        json_decref(result);
    return BH_EXIT_OK;
}

static bool add_number(const char *noun, const char *option, const char *text, const char *name, json_t *args)
{
    uint64_t number;

    if (!text)
        return true;
    if (bh_str_to_u64(bh_str_c(text), UINT32_MAX, &number) != BH_OK) {
        (void)bh_cli_fail(noun, "--%s %s: a number", option, text);
        return false;
    }
    (void)json_object_set_new(args, name, json_integer((json_int_t)number));
    return true;
}

static bool add_duration(const char *noun, const char *option, const char *text, const char *name, json_t *args)
{
    static const struct {
        char unit;
        uint32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    bh_str word = bh_str_c(text ? text : "");
    uint64_t number;

    if (!text)
        return true;
    for (size_t i = 0; word.n > 1 && i < 4; i++)
        if (word.p[word.n - 1] == units[i].unit &&
            bh_str_to_u64(bh_str_sub(word, 0, word.n - 1), 366u * 86400 / units[i].seconds, &number) == BH_OK) {
            (void)json_object_set_new(args, name, json_integer((json_int_t)(number * units[i].seconds)));
            return true;
        }
    (void)bh_cli_fail(noun, "--%s %s: a duration is 90s, 15m, 12h, 5d", option, text);
    return false;
}

/* ---- site ---- */

static void print_paths(const json_t *result)
{
    static const char *const columns[] = {"site",    "source", "state",    "until",
                                          "sending", "window", "failures", "left_today"};

    bh_cli_print_rows(json_object_get(result, "paths"), columns, 8);
}

static void print_sites(const json_t *result)
{
    static const char *const columns[] = {"site", "suspended_until", "rules"};

    if (json_array_size(json_object_get(result, "set"))) {
        (void)printf("set here:\n");
        bh_cli_print_rows(json_object_get(result, "set"), columns, 3);
        (void)putchar('\n');
    }
    print_paths(result);
}

static void print_site(const json_t *result)
{
    const json_t *bears = json_object_get(result, "bears"), *value;
    const char *name, *rules = bh_json_text(result, "rules");

    json_object_foreach((json_t *)(uintptr_t)bears, name, value)
    {
        char *text = json_dumps(value, JSON_ENCODE_ANY);

        (void)printf("%-24s %s\n", name, json_is_string(value) ? json_string_value(value) : text ? text : "");
        free(text);
    }
    if (*rules)
        (void)printf("\nset here:\n%s\n", rules);
    (void)putchar('\n');
    print_paths(result);
}

/* "site NAME" and a line for each argument. */
static void add_rules(json_t *args, char **words, int count)
{
    struct bh_buf text = bh_buf_make(1 << 16);

    bh_buf_printf(&text, "site %s\n", words[0]);
    for (int i = 1; i < count; i++)
        bh_buf_printf(&text, "%s\n", words[i]);
    (void)json_object_set_new(args, "rules", json_stringn(text.p, text.n));
    bh_buf_free(&text);
}

int bh_cli_site(struct bh_cli *cli, int argc, char **argv)
{
    const char *for_s = NULL;
    const struct bh_cli_option options[] = {{.name = "for", .value = &for_s}, {0}};
    const char *verb;
    json_t *args;
    bool is_set;
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, site_help, &status))
        return status;
    verb = argc > 1 ? argv[1] : "";
    if (argc == 2 && strcmp(verb, "list") == 0)
        return ask(cli, "site", "list", json_object(), print_sites);
    is_set = strcmp(verb, "set") == 0;
    if (argc < 3 || (argc > 3 && !is_set) || (argc == 3 && is_set))
        return bh_cli_fail("site", "say list, show, set, unset, suspend or resume; see behalf site --help");
    args = json_pack("{s:s}", "name", argv[2]);
    if (!add_duration("site", "for", for_s, "for_s", args)) {
        json_decref(args);
        return BH_EXIT_USAGE;
    }
    if (is_set)
        add_rules(args, argv + 2, argc - 2);
    return ask(cli, "site", verb, args, strcmp(verb, "show") == 0 ? print_site : NULL);
}

/* ---- schedule ---- */

static void print_schedules(const json_t *result)
{
    static const char *const columns[] = {"customer_id", "class", "first_s", "max_s", "growth", "expire_s"};

    bh_cli_print_rows(json_object_get(result, "schedules"), columns, 6);
}

int bh_cli_schedule(struct bh_cli *cli, int argc, char **argv)
{
    const char *customer = NULL, *class = NULL, *first = NULL, *max = NULL, *growth = NULL, *expire = NULL;
    const struct bh_cli_option options[] = {{.name = "customer-id", .value = &customer},
                                            {.name = "class", .value = &class},
                                            {.name = "first", .value = &first},
                                            {.name = "max", .value = &max},
                                            {.name = "growth", .value = &growth},
                                            {.name = "expire", .value = &expire},
                                            {0}};
    json_t *args;
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, schedule_help, &status))
        return status;
    if (argc != 2)
        return bh_cli_fail("schedule", "say list, set or unset; see behalf schedule --help");
    args = json_object();
    bh_json_add(args, "class", class);
    if (!add_number("schedule", "customer-id", customer, "customer_id", args) ||
        !add_duration("schedule", "first", first, "first_s", args) ||
        !add_duration("schedule", "max", max, "max_s", args) ||
        !add_number("schedule", "growth", growth, "growth", args) ||
        !add_duration("schedule", "expire", expire, "expire_s", args)) {
        json_decref(args);
        return BH_EXIT_USAGE;
    }
    return ask(cli, "schedule", argv[1], args, strcmp(argv[1], "list") == 0 ? print_schedules : NULL);
}

/* ---- warmup ---- */

static void print_warmups(const json_t *result)
{
    static const char *const columns[] = {"address", "plan", "day", "since"}, *const days[] = {"site", "sent", "most"};
    const json_t *addresses = json_object_get(result, "addresses");

    bh_cli_print_rows(addresses, columns, 4);
    for (size_t i = 0; i < json_array_size(addresses); i++) {
        const json_t *address = json_array_get(addresses, i);

        if (!json_array_size(json_object_get(address, "today")))
            continue;
        (void)printf("\n%s today:\n", bh_json_text(address, "address"));
        bh_cli_print_rows(json_object_get(address, "today"), days, 3);
    }
}

int bh_cli_warmup(struct bh_cli *cli, int argc, char **argv)
{
    const char *plan = NULL, *day = NULL;
    const struct bh_cli_option options[] = {{.name = "plan", .value = &plan}, {.name = "day", .value = &day}, {0}};
    json_t *args;
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, warmup_help, &status))
        return status;
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return ask(cli, "warmup", "list", json_object(), print_warmups);
    if (argc != 3)
        return bh_cli_fail("warmup", "say list, start ADDRESS or stop ADDRESS; see behalf warmup --help");
    args = json_pack("{s:s}", "address", argv[2]);
    bh_json_add(args, "plan", plan);
    if (!add_number("warmup", "day", day, "day", args)) {
        json_decref(args);
        return BH_EXIT_USAGE;
    }
    return ask(cli, "warmup", argv[1], args, NULL);
}
