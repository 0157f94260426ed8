/* domain.c: `behalf domain add|set|list|show|records|preview|check|zone|checks`. */
#include "commands.h"
#include "control.h"
#include "dns_query.h"
#include "domain_import.h"
#include "domain_life.h"
#include "domain_publish.h"
#include "domain_records.h"

static const char help[] =
    "usage: behalf domain add NAME --customer NAME --approach WORD [OPTIONS]\n"
    "       behalf domain list [--customer NAME]\n"
    "       behalf domain show|check|checks|zone NAME [--customer NAME]\n"
    "       behalf domain records NAME [--format table|zone|csv|json | --provider ID]\n"
    "       behalf domain preview NAME\n"
    "       behalf domain publish NAME --server ADDR --tsig-key FILE [--zone NAME] [--dry-run]\n"
    "       behalf domain import [FILE.csv...] [--key-table FILE --signing-table FILE] [--customer NAME]\n"
    "           [--approach WORD] [--dry-run]\n"
    "       behalf domain connect NAME [--customer NAME]\n"
    "       behalf domain set NAME [--customer NAME] --tls opportunistic|required|verified\n"
    "       behalf domain set NAME [--customer NAME] --dnssec on|off\n"
    "       behalf domain set NAME [--customer NAME] --pool POOL\n"
    "       behalf domain check --wait, history, canary, remove, zone add|remove|list|import|export:\n"
    "           see behalf domain history --help\n"
    "\n"
    "A sending domain is a domain of a customer, in whose name mail leaves. add makes its keys and tells which\n"
    "DNS records the customer publishes; check looks at them now; show tells state, records, keys and what to\n"
    "do; checks is the history; zone is what our name servers answer for a delegated domain. records --provider\n"
    "tells what to type into the form of a DNS provider; preview shows for a name that is not added yet who its\n"
    "DNS provider is, and what each approach would ask for. import takes over the domains, keys and labels of\n"
    "another set-up: OpenDKIM's tables, or CSV; see behalf-domain(1). connect makes the link by which the\n"
    "customer's DNS provider publishes the records, where it knows our templates (Domain Connect).\n"
    "\n"
    "  --approach WORD       delegation: the customer delegates NAME by NS; cname: he creates CNAMEs once;\n"
    "                        manual: he pastes records and does so again when they change; relay: mail\n"
    "                        leaves through his SMTP server; credentials: through a user's mailbox;\n"
    "                        reports: no sending, DMARC reports only\n"
    "  --dnssec on|off       delegation: the zone is signed; its DS record is optional (behalf-dns(1))\n"
    "  --bounces WORD        manual: ours (default) or customer: whose domain is in the bounce address\n"
    "  --tls WORD            set: how its mail leaves: TLS where it works (the default), TLS or not at all, or\n"
    "                        only to a server that proves its name\n"
    "  --pool POOL           set: the egress addresses its mail leaves from; see behalf pool --help\n"
    "  --dmarc-policy WORD   delegation: p= of the _dmarc records that we publish: none, quarantine, reject\n"
    "  --bounce-label, --link-label, --img-label, --selector-prefix LABEL\n"
    "                        instead of bounce, link, img, bh: for names that are taken already\n";

struct domain_options {
    const char *customer, *approach, *bounces, *policy, *bounce_label, *link_label, *img_label, *selector, *format,
        *provider, *limit, *tls, *dnssec, *pool;
};

/* ---- printing ---- */

/* Under a heading "\nKIND NAME:"; nothing when there are none. */
static void print_problems(const json_t *of, const char *kind, const char *name)
{
    const json_t *problems = json_object_get(of, "problems");

    if (json_array_size(problems))
        (void)printf("\n%s%s%s:\n", kind, *name ? " " : "", name);
    for (size_t i = 0; i < json_array_size(problems); i++) {
        const json_t *problem = json_array_get(problems, i);

        (void)fputs("  ", stdout);
        bh_cli_print_text(bh_json_text(problem, "detail"));
        (void)fputs(*bh_json_text(problem, "fix") ? "\n    to do: " : "\n", stdout);
        if (*bh_json_text(problem, "fix")) {
            bh_cli_print_text(bh_json_text(problem, "fix"));
            (void)putchar('\n');
        }
    }
}

static void print_state(const json_t *domain)
{
    const json_t *alignment = json_object_get(domain, "dmarc_alignment");

    (void)printf("%s (%s, by %s): %s, %s\n", bh_json_text(domain, "name"), bh_json_text(domain, "customer"),
                 bh_json_text(domain, "approach"), bh_json_text(domain, "state"),
                 json_is_true(json_object_get(domain, "can_send")) ? "can send" : "cannot send");
    (void)printf("aligned: SPF %s, DKIM %s; checked: %s\n",
                 json_is_true(json_object_get(alignment, "spf")) ? "yes" : "no",
                 json_is_true(json_object_get(alignment, "dkim")) ? "yes" : "no",
                 *bh_json_text(domain, "last_checked_at") ? bh_json_text(domain, "last_checked_at") : "not yet");
}

static void print_domain(const json_t *domain)
{
    const json_t *records = json_object_get(domain, "records");
    const json_t *proofs = json_object_get(domain, "proofs");

    print_state(domain);
    if (*bh_json_text(domain, "drawback"))
        (void)printf("drawback: %s\n", bh_json_text(domain, "drawback"));
    (void)putchar('\n');
    bh_records_print_table(records);
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);

        print_problems(record, bh_json_text(record, "type"), bh_json_text(record, "name"));
    }
    print_problems(json_object_get(proofs, "dkim"), "what a receiver finds by DKIM", "");
    print_problems(json_object_get(proofs, "spf"), "what a receiver finds by SPF", "");
    print_problems(domain, "the domain", bh_json_text(domain, "name"));
}

static void print_list(const json_t *list)
{
    static const char *const headings[] = {"DOMAIN", "CUSTOMER", "APPROACH", "STATE", "CAN SEND", "CHECKED"};
    static const char *const members[] = {"name", "customer", "approach", "state", "can_send", "last_checked_at"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 6);

    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t k = 0; k < 6; k++)
            bh_table_member(table, json_array_get(list, i), members[k]);
    bh_cli_table_print(table);
}

static void print_history(const json_t *list)
{
    static const char *const headings[] = {"AT", "STATE", "ALIGNED"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 3);

    for (size_t i = 0; i < json_array_size(list); i++) {
        bh_table_member(table, json_array_get(list, i), "at");
        bh_table_member(table, json_array_get(list, i), "state");
        bh_table_member(table, json_array_get(list, i), "aligned");
    }
    bh_cli_table_print(table);
}

static void print_zone(const json_t *result)
{
    (void)fputs(bh_json_text(result, "zone"), stdout);
}

static void print_link(const json_t *result)
{
    (void)printf("%s\n\nThe customer opens it, logged in at %s, and agrees; behalf domain check %s --wait tells what "
                 "came of it.\n",
                 bh_json_text(result, "url"), bh_json_text(result, "provider"), bh_json_text(result, "domain"));
}

/* ---- verbs ---- */

static int ask_and_print(const struct bh_cli *cli, const char *verb, json_t *args, void (*print)(const json_t *result))
{
    int status;
    json_t *result = bh_control_ask(cli, "domain", verb, args, -1, &status);

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

static void print_added(const json_t *domain)
{
    print_state(domain);
    (void)printf("\nThe customer publishes these records; `behalf domain check %s` looks at them.\n\n",
                 bh_json_text(domain, "name"));
    bh_records_print_zone(json_object_get(domain, "records"));
}

static bool add_switch(json_t *args, const char *name, const char *word)
{
    bool on = strcmp(word, "on") == 0;

    (void)json_object_set_new(args, name, json_boolean(on));
    return on || strcmp(word, "off") == 0;
}

static int add(const struct bh_cli *cli, const struct domain_options *o, const char *name)
{
    json_t *args = json_object();

    if (!o->customer || !o->approach) {
        json_decref(args);
        return bh_cli_fail(
            "domain", "add needs --customer NAME and --approach delegation|cname|manual|relay|credentials|reports");
    }
    bh_json_add(args, "name", name);
    bh_json_add(args, "customer", o->customer);
    bh_json_add(args, "approach", o->approach);
    bh_json_add(args, "bounces", o->bounces);
    bh_json_add(args, "dmarc-policy", o->policy);
    bh_json_add(args, "bounce-label", o->bounce_label);
    bh_json_add(args, "link-label", o->link_label);
    bh_json_add(args, "img-label", o->img_label);
    bh_json_add(args, "selector-prefix", o->selector);
    if (o->dnssec && !add_switch(args, "dnssec", o->dnssec)) {
        json_decref(args);
        return bh_cli_fail("domain", "--dnssec is on or off");
    }
    return ask_and_print(cli, "add", args, print_added);
}

static json_t *one_domain(const struct domain_options *o, const char *name)
{
    json_t *args = json_pack("{s:s}", "domain", name);

    bh_json_add(args, "customer", o->customer);
    return args;
}

static int list(const struct bh_cli *cli, const struct domain_options *o)
{
    json_t *args = json_object();

    bh_json_add(args, "customer", o->customer);
    if (!bh_cli_limit("domain", o->limit, args))
        return BH_EXIT_USAGE;
    return ask_and_print(cli, "list", args, print_list);
}

static int set(const struct bh_cli *cli, const struct domain_options *o, const char *name)
{
    json_t *args;

    if (o->pool && !o->tls && !o->dnssec)
        return bh_cli_pool_assign(cli, o->pool, o->customer, name);
    args = one_domain(o, name);
    if (o->dnssec && !o->tls && add_switch(args, "dnssec", o->dnssec))
        return ask_and_print(cli, "dnssec", args, bh_dns_print_keys);
    if (!o->tls || o->dnssec || o->pool) {
        json_decref(args);
        return bh_cli_fail("domain", "set needs --tls WORD, --dnssec on|off or --pool POOL; see behalf domain --help");
    }
    bh_json_add(args, "tls", o->tls);
    return bh_control_do(cli, "domain", "tls", args, "set the TLS of", name);
}

int bh_cli_domain(struct bh_cli *cli, int argc, char **argv)
{
    static const struct {
        const char *verb;
        void (*print)(const json_t *result);
    } looks[] = {{"show", print_domain},
                 {"check", print_domain},
                 {"checks", print_history},
                 {"zone", print_zone},
                 {"connect", print_link}};
    struct domain_options o = {0};
    struct bh_publish_options publish = {0};
    struct bh_import_options import = {0};
    const struct bh_cli_option options[] = {{.name = "customer", .value = &o.customer},
                                            {.name = "approach", .value = &o.approach},
                                            {.name = "bounces", .value = &o.bounces},
                                            {.name = "dmarc-policy", .value = &o.policy},
                                            {.name = "bounce-label", .value = &o.bounce_label},
                                            {.name = "link-label", .value = &o.link_label},
                                            {.name = "img-label", .value = &o.img_label},
                                            {.name = "selector-prefix", .value = &o.selector},
                                            {.name = "format", .value = &o.format},
                                            {.name = "provider", .value = &o.provider},
                                            {.name = "server", .value = &publish.server},
                                            {.name = "tsig-key", .value = &publish.tsig_key},
                                            {.name = "zone", .value = &publish.zone},
                                            {.name = "dry-run", .flag = &publish.dry_run},
                                            {.name = "key-table", .value = &import.key_table},
                                            {.name = "signing-table", .value = &import.signing_table},
                                            {.name = "limit", .value = &o.limit},
                                            {.name = "tls", .value = &o.tls},
                                            {.name = "pool", .value = &o.pool},
                                            {.name = "dnssec", .value = &o.dnssec},
                                            {0}};
    int status;

    if (bh_cli_is_domain_life(argc, argv))
        return bh_cli_domain_life(cli, argc, argv);
    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list(cli, &o);
    if (argc == 3 && strcmp(argv[1], "add") == 0)
        return add(cli, &o, argv[2]);
    if (argc == 3 && strcmp(argv[1], "set") == 0)
        return set(cli, &o, argv[2]);
    if (argc == 3 && strcmp(argv[1], "records") == 0)
        return bh_domain_records(cli, one_domain(&o, argv[2]), o.format, o.provider);
    if (argc >= 2 && strcmp(argv[1], "import") == 0) {
        import.customer = o.customer;
        import.approach = o.approach;
        import.dry_run = publish.dry_run;
        return bh_domain_import(cli, argv + 2, argc - 2, &import);
    }
    if (argc == 3 && strcmp(argv[1], "publish") == 0)
        return bh_domain_publish(cli, one_domain(&o, argv[2]), &publish);
    if (argc == 3 && strcmp(argv[1], "preview") == 0)
        return ask_and_print(cli, "preview", json_pack("{s:s}", "name", argv[2]), bh_preview_print);
    for (size_t i = 0; argc == 3 && i < sizeof(looks) / sizeof(looks[0]); i++)
        if (strcmp(argv[1], looks[i].verb) == 0)
            return ask_and_print(cli, looks[i].verb, one_domain(&o, argv[2]), looks[i].print);
    return bh_cli_fail("domain",
                       "say add, list, show, set, import, records, preview, publish, connect, check, history, zone, "
                       "canary or remove; see behalf domain --help");
}
