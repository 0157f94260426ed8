/* domain_life.c: see domain_life.h. */
#include "domain_life.h"
#include "control.h"
#include <stdlib.h>
#include <time.h>

enum { FILE_MAX = 1 << 20, WAIT_DEFAULT_S = 3600 };

static const char help[] =
    "usage: behalf domain check NAME --wait [--timeout SECONDS]\n"
    "       behalf domain history NAME\n"
    "       behalf domain canary NAME\n"
    "       behalf domain remove NAME\n"
    "       behalf domain zone add NAME RECORD\n"
    "       behalf domain zone remove NAME RECORD\n"
    "       behalf domain zone list|export NAME\n"
    "       behalf domain zone import NAME [FILE] [--replace]\n"
    "\n"
    "All take --customer NAME where several customers have the domain.\n"
    "\n"
    "check --wait looks every second and tells what changes, until the domain can send (exit status 75: the\n"
    "timeout, an hour by default, was over first). history: its states and canaries. canary sends its message\n"
    "to ourselves now and waits for the verdict. remove ends it: queued mail is returned, its keys are destroyed,\n"
    "and its names are answered with a revocation for a time.\n"
    "\n"
    "zone add puts a record of the customer's own into a delegated zone; RECORD is one line of a zone file, such as\n"
    "\"www 300 A 192.0.2.1\". zone remove takes it out again; RECORD may be the name alone, or name and type. import\n"
    "adds all records of a zone file (--replace: instead of those that are there), or none if one does not fit; "
    "export\n"
    "writes them as a zone file.\n";

struct life {
    const struct bh_cli *cli;
    const char *customer, *timeout;
    bool replace, wait;
};

bool bh_cli_is_domain_life(int argc, char **argv)
{
    static const char *const verbs[] = {"history", "canary", "remove"};
    static const char *const zone_verbs[] = {"add", "remove", "list", "export", "import"};

    for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(argv[1], verbs[i]) == 0)
            return true;
    for (size_t i = 0; argc > 2 && strcmp(argv[1], "zone") == 0 && i < sizeof(zone_verbs) / sizeof(zone_verbs[0]); i++)
        if (strcmp(argv[2], zone_verbs[i]) == 0)
            return true;
    for (int i = 2; i < argc && strcmp(argv[1], "check") == 0; i++)
        if (strcmp(argv[i], "--wait") == 0)
            return true;
    return false;
}

static json_t *arguments(const struct life *life, const char *name)
{
    json_t *args = json_pack("{s:s}", "domain", name);

    bh_json_add(args, "customer", life->customer);
    return args;
}

/* The result as JSON, or by `print`. */
static int ask(const struct life *life, const char *verb, json_t *args, void (*print)(const json_t *result))
{
    int status;
    json_t *result = bh_control_ask(life->cli, "domain", verb, args, -1, &status);

    if (!result)
        return status;
    if (life->cli->json) {
        bh_cli_print_json(result);
        return BH_EXIT_OK;
    }
    print(result);
    json_decref(result);
    return BH_EXIT_OK;
}

/* ---- waiting ---- */

static void print_line(const json_t *domain, double seconds)
{
    const json_t *records = json_object_get(domain, "records");
    size_t right = 0, needed = 0;

    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);
        bool required = json_is_true(json_object_get(record, "required"));

        needed += required;
        right += required && strcmp(bh_json_text(record, "status"), "verified") == 0;
    }
    (void)printf("%7.1f s  %-9s %s, %zu of %zu required records\n", seconds, bh_json_text(domain, "state"),
                 json_is_true(json_object_get(domain, "can_send")) ? "can send" : "cannot send yet", right, needed);
    (void)fflush(stdout);
}

static bool is_done(const json_t *domain)
{
    return json_is_true(json_object_get(domain, "can_send")) ||
           (strcmp(bh_json_text(domain, "approach"), "reports") == 0 &&
            strcmp(bh_json_text(domain, "state"), "verified") == 0);
}

static double seconds_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What is worth a new line: state, and the status of each record. */
static char *fingerprint(const json_t *domain)
{
    const json_t *records = json_object_get(domain, "records");
    json_t *list = json_array();
    char *text;

    (void)json_array_append(list, json_object_get(domain, "state"));
    for (size_t i = 0; i < json_array_size(records); i++)
        (void)json_array_append(list, json_object_get(json_array_get(records, i), "status"));
    text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    return text;
}

static int wait_for(const struct life *life, const char *name)
{
    double start = seconds_now(), limit = life->timeout ? strtod(life->timeout, NULL) : WAIT_DEFAULT_S;
    char *last = NULL;

    for (;;) {
        int status;
        json_t *domain = bh_control_ask(life->cli, "domain", "check", arguments(life, name), -1, &status);
        double now = seconds_now() - start;
        bool done = domain && is_done(domain);
        char *seen = domain ? fingerprint(domain) : NULL;

        if (domain && life->cli->json && (done || now > limit))
            bh_cli_print_json(json_incref(domain));
        else if (domain && !life->cli->json && (!last || !seen || strcmp(last, seen) != 0))
            print_line(domain, now);
        json_decref(domain);
        free(last);
        last = seen;
        if (!domain || done || now > limit) {
            free(last);
            return !domain ? status : done ? BH_EXIT_OK : BH_EXIT_TEMPFAIL;
        }
        (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
}

/* ---- printing ---- */

static void print_history(const json_t *result)
{
    static const char *const headings[] = {"AT", "WHAT", "STATE", "ALIGNED", "WHY"};
    static const char *const members[] = {"at", "what", "state", "aligned", "why"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 5);

    for (size_t i = 0; i < json_array_size(result); i++)
        for (size_t k = 0; k < 5; k++)
            bh_table_member(table, json_array_get(result, i), members[k]);
    bh_cli_table_print(table);
}

static void print_removed(const json_t *result)
{
    const json_t *records = json_object_get(result, "records");

    (void)printf("removed %s; its names are answered with a revocation until %s\n", bh_json_text(result, "name"),
                 bh_json_text(result, "tombstone_until"));
    if (json_array_size(records))
        (void)printf("The customer can delete these records now:\n");
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);

        (void)printf("  %s %s %s\n", bh_json_text(record, "name"), bh_json_text(record, "type"),
                     bh_json_text(record, "value"));
    }
}

static void print_records(const json_t *result)
{
    static const char *const headings[] = {"NAME", "TTL", "TYPE", "VALUE"};
    static const char *const members[] = {"name", "ttl", "type", "value"};
    const json_t *records = json_object_get(result, "records");
    struct bh_cli_table *table = bh_cli_table_new(headings, 4);

    for (size_t i = 0; i < json_array_size(records); i++)
        for (size_t k = 0; k < 4; k++)
            bh_table_member(table, json_array_get(records, i), members[k]);
    bh_cli_table_print(table);
}

static void print_zone(const json_t *result)
{
    (void)fputs(bh_json_text(result, "zone"), stdout);
}

static void print_canary(const json_t *result)
{
    (void)fputs(json_is_true(json_object_get(result, "passed")) ? "passed: " : "failed: ", stdout);
    bh_cli_print_text(bh_json_text(result, "detail"));
    (void)putchar('\n');
}

/* ---- verbs ---- */

static int import(const struct life *life, const char *name, const char *path)
{
    struct bh_buf bytes = bh_buf_make(0);
    json_t *args = arguments(life, name), *text;

    if (bh_cli_read(path, FILE_MAX, false, &bytes) != BH_OK) {
        json_decref(args);
        bh_buf_free(&bytes);
        return bh_cli_fail("domain", "cannot read %s: %m", path ? path : "standard input");
    }
    text = json_stringn(bytes.p ? bytes.p : "", bytes.n);
    bh_buf_free(&bytes);
    if (!text) {
        json_decref(args);
        return bh_cli_fail("domain", "%s is not a zone file in UTF-8", path ? path : "standard input");
    }
    (void)json_object_set_new(args, "text", text);
    if (life->replace)
        (void)json_object_set_new(args, "replace", json_true());
    return ask(life, "zone-add", args, print_records);
}

static int zone(const struct life *life, int argc, char **argv)
{
    const char *verb = argv[2];
    json_t *args;

    if (argc == 4 && strcmp(verb, "list") == 0)
        return ask(life, "zone-list", arguments(life, argv[3]), print_records);
    if (argc == 4 && strcmp(verb, "export") == 0)
        return ask(life, "zone-list", arguments(life, argv[3]), print_zone);
    if ((argc == 4 || argc == 5) && strcmp(verb, "import") == 0)
        return import(life, argv[3], argc == 5 ? argv[4] : NULL);
    if (argc != 5 || (strcmp(verb, "add") != 0 && strcmp(verb, "remove") != 0))
        return bh_cli_fail("domain", "zone %s NAME RECORD; see behalf domain history --help", verb);
    args = arguments(life, argv[3]);
    bh_json_add(args, "text", argv[4]);
    return ask(life, strcmp(verb, "add") == 0 ? "zone-add" : "zone-remove", args, print_records);
}

int bh_cli_domain_life(struct bh_cli *cli, int argc, char **argv)
{
    struct life life = {.cli = cli};
    const struct bh_cli_option options[] = {{.name = "customer", .value = &life.customer},
                                            {.name = "timeout", .value = &life.timeout},
                                            {.name = "replace", .flag = &life.replace},
                                            {.name = "wait", .flag = &life.wait},
                                            {0}};
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc > 2 && strcmp(argv[1], "zone") == 0)
        return zone(&life, argc, argv);
    if (argc != 3)
        return bh_cli_fail("domain", "%s NAME; see behalf domain history --help", argc > 1 ? argv[1] : "history");
    if (strcmp(argv[1], "check") == 0)
        return wait_for(&life, argv[2]);
    if (strcmp(argv[1], "history") == 0)
        return ask(&life, "history", arguments(&life, argv[2]), print_history);
    if (strcmp(argv[1], "canary") == 0)
        return ask(&life, "canary", arguments(&life, argv[2]), print_canary);
    return ask(&life, "remove", arguments(&life, argv[2]), print_removed);
}
