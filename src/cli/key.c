/* key.c: `behalf key list|show|rotate|revoke|set|history`. */
#include "commands.h"
#include "control.h"

static const char help[] =
    "usage: behalf key list [DOMAIN] [--customer NAME] [--limit N]\n"
    "       behalf key show DOMAIN SELECTOR\n"
    "       behalf key history DOMAIN [--limit N]\n"
    "       behalf key rotate DOMAIN\n"
    "       behalf key revoke DOMAIN [--selector SELECTOR] [--grace DURATION]\n"
    "       behalf key set DOMAIN [--every DURATION|never|default] [--ed25519 on|off]\n"
    "\n"
    "DKIM keys of sending domains. They are exchanged by schedule, without the customer, and stay published for as\n"
    "long as mail may need them; rotate orders an exchange now, as soon as the next key is ready. revoke is for a\n"
    "key that was stolen: the next one signs at once, also mail that waits already, and the record of the stolen\n"
    "one is emptied at once or after --grace.\n"
    "\n"
    "  --selector SELECTOR  which key; default: the one that signs\n"
    "  --grace DURATION     90s, 15m, 12h, 7d: how long what it has signed shall still verify; default 0\n"
    "  --every DURATION     between two exchanges of this domain's keys, instead of the configuration's\n"
    "  --ed25519 on|off     a second signature\n";

struct key_options {
    const char *customer, *limit, *selector, *grace, *every, *ed25519;
};

static bool parse_duration(const char *text, int64_t *ret_ms)
{
    bh_str number = bh_str_c(text);
    int64_t unit_s = 1;
    uint64_t count;

    if (number.n)
        switch (number.p[number.n - 1]) {
        case 'd':
            unit_s = 86400;
            break;
        case 'h':
            unit_s = 3600;
            break;
        case 'm':
            unit_s = 60;
            break;
        case 's':
            break;
        default:
            number.n++; /* no unit */
            break;
        }
    if (!number.n || bh_str_to_u64(bh_str_sub(number, 0, number.n - 1), 100000000, &count))
        return false;
    *ret_ms = (int64_t)count * unit_s * 1000;
    return true;
}

/* ---- printing ---- */

static void add_keys(struct bh_cli_table *table, const json_t *domain)
{
    static const char *const members[] = {"selector", "algorithm", "state", "since", "last_signed_at", "id"};
    const json_t *keys = json_object_get(domain, "keys");

    for (size_t i = 0; i < json_array_size(keys); i++) {
        bh_table_member(table, domain, "domain");
        for (size_t k = 0; k < sizeof(members) / sizeof(members[0]); k++)
            bh_table_member(table, json_array_get(keys, i), members[k]);
    }
}

static void print_list(const json_t *list)
{
    static const char *const headings[] = {"DOMAIN", "SELECTOR", "ALGORITHM", "STATE", "SINCE", "LAST SIGNED", "ID"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 7);

    for (size_t i = 0; i < json_array_size(list); i++)
        add_keys(table, json_array_get(list, i));
    bh_cli_table_print(table);
    for (size_t i = 0; json_array_size(list) == 1 && i < 1; i++) {
        const json_t *domain = json_array_get(list, i);

        (void)printf(
            "\nnext exchange: %s%s; Ed25519: %s\n",
            *bh_json_text(domain, "next_rotation_at") ? bh_json_text(domain, "next_rotation_at") : "by hand only",
            json_is_true(json_object_get(domain, "rotation_ordered")) ? " (ordered: as soon as one is ready)" : "",
            json_is_true(json_object_get(domain, "ed25519")) ? "on" : "off");
    }
}

static void print_one(const json_t *domain)
{
    json_t *list = json_pack("[O]", domain);

    print_list(list);
    json_decref(list);
}

static void print_key(const json_t *key)
{
    (void)printf("%s: %s %s, id %lld, %s since %s\n", bh_json_text(key, "name"), bh_json_text(key, "algorithm"),
                 json_is_true(json_object_get(key, "imported")) ? "key (imported)" : "key",
                 (long long)json_integer_value(json_object_get(key, "id")), bh_json_text(key, "state"),
                 bh_json_text(key, "since"));
    (void)printf("created %s, in DNS since %s, last signed %s\n", bh_json_text(key, "created_at"),
                 *bh_json_text(key, "seen_at") ? bh_json_text(key, "seen_at") : "-",
                 *bh_json_text(key, "last_signed_at") ? bh_json_text(key, "last_signed_at") : "-");
    (void)printf("%s\n", bh_json_text(key, "record"));
}

static void print_history(const json_t *result)
{
    static const char *const headings[] = {"AT", "SELECTOR", "KEY", "WHAT", "DETAIL"};
    static const char *const members[] = {"at", "selector", "key", "what", "detail"};
    const json_t *events = json_object_get(result, "events");
    struct bh_cli_table *table = bh_cli_table_new(headings, 5);

    for (size_t i = 0; i < json_array_size(events); i++)
        for (size_t k = 0; k < 5; k++)
            bh_table_member(table, json_array_get(events, i), members[k]);
    bh_cli_table_print(table);
}

static void print_revoked(const json_t *result)
{
    const json_t *revoked = json_object_get(result, "revoked"), *active = json_object_get(result, "active");

    (void)printf("%s._domainkey.%s: %s; its record is emptied %s\n", bh_json_text(revoked, "selector"),
                 bh_json_text(result, "domain"), bh_json_text(revoked, "state"), bh_json_text(revoked, "revoked_at"));
    if (json_is_object(active))
        (void)printf("%s signs from now on, also what waits in the queue\n", bh_json_text(active, "selector"));
    else
        (void)printf("no other key took over now: behalf key list %s shows what there is\n",
                     bh_json_text(result, "domain"));
    if (!json_is_true(json_object_get(result, "in_force")))
        (void)printf("keyd is not running: it learns of this before it signs again\n");
}

/* ---- verbs ---- */

static int ask(const struct bh_cli *cli, const char *verb, json_t *args, void (*print)(const json_t *result))
{
    int status;
    json_t *result = bh_control_ask(cli, "key", verb, args, -1, &status);

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

static int list(const struct bh_cli *cli, const struct key_options *o, const char *domain)
{
    json_t *args = json_object();

    bh_json_add(args, "domain", domain);
    bh_json_add(args, "customer", o->customer);
    if (!bh_cli_limit("key", o->limit, args))
        return BH_EXIT_USAGE;
    return ask(cli, "list", args, print_list);
}

static json_t *of_domain(const struct key_options *o, const char *domain)
{
    json_t *args = json_pack("{s:s}", "domain", domain);

    bh_json_add(args, "customer", o->customer);
    return args;
}

static int revoke(const struct bh_cli *cli, const struct key_options *o, const char *domain)
{
    json_t *args = of_domain(o, domain);
    int64_t grace_ms = 0;

    if (o->grace && !parse_duration(o->grace, &grace_ms)) {
        json_decref(args);
        return bh_cli_fail("key", "--grace %s: not a duration; write 90s, 15m, 12h or 7d", o->grace);
    }
    bh_json_add(args, "selector", o->selector);
    (void)json_object_set_new(args, "grace_ms", json_integer(grace_ms));
    return ask(cli, "revoke", args, print_revoked);
}

static int set(const struct bh_cli *cli, const struct key_options *o, const char *domain)
{
    json_t *args = of_domain(o, domain);
    int64_t every_ms = -1;

    if (o->every && strcmp(o->every, "never") == 0)
        every_ms = 0;
    else if (o->every && strcmp(o->every, "default") != 0 && (!parse_duration(o->every, &every_ms) || !every_ms)) {
        json_decref(args);
        return bh_cli_fail("key", "--every %s: not a duration; write 12h, 90d, never or default", o->every);
    }
    if (o->every)
        (void)json_object_set_new(args, "every_ms", json_integer(every_ms));
    bh_json_add(args, "ed25519", o->ed25519);
    return ask(cli, "set", args, print_one);
}

int bh_cli_key(struct bh_cli *cli, int argc, char **argv)
{
    struct key_options o = {0};
    const struct bh_cli_option options[] = {{.name = "customer", .value = &o.customer},
                                            {.name = "limit", .value = &o.limit},
                                            {.name = "selector", .value = &o.selector},
                                            {.name = "grace", .value = &o.grace},
                                            {.name = "every", .value = &o.every},
                                            {.name = "ed25519", .value = &o.ed25519},
                                            {0}};
    const char *verb;
    json_t *args;
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    verb = argc > 1 ? argv[1] : "";
    if ((argc == 2 || argc == 3) && strcmp(verb, "list") == 0)
        return list(cli, &o, argc == 3 ? argv[2] : NULL);
    if (argc == 3 && strcmp(verb, "rotate") == 0)
        return ask(cli, "rotate", of_domain(&o, argv[2]), print_one);
    if (argc == 3 && strcmp(verb, "revoke") == 0)
        return revoke(cli, &o, argv[2]);
    if (argc == 3 && strcmp(verb, "set") == 0)
        return set(cli, &o, argv[2]);
    if (argc == 4 && strcmp(verb, "show") == 0) {
        args = of_domain(&o, argv[2]);
        bh_json_add(args, "selector", argv[3]);
        return ask(cli, "show", args, print_key);
    }
    if (argc == 3 && strcmp(verb, "history") == 0) {
        args = of_domain(&o, argv[2]);
        return bh_cli_limit("key", o.limit, args) ? ask(cli, "history", args, print_history) : BH_EXIT_USAGE;
    }
    return bh_cli_fail("key", "say list, show, rotate, revoke, set or history; see behalf key --help");
}
