/* dns.c: `behalf dns answer|serve|sign|query|stats|keys|roll|export`: our name server's answers, most without a daemon.
 */
#include "base/random.h"
#include "cli.h"
#include "commands.h"
#include "dns_query.h"
#include "dns_serve.h"
#include "proto/dns/answer.h"
#include "proto/dns/zone_load.h"
#include <errno.h>

static const char help[] =
    "usage: behalf dns answer --zone FILE --name NAME --type TYPE [--json]\n"
    "       behalf dns serve --listen ADDRESS:PORT ZONEFILE|DIRECTORY...\n"
    "       behalf dns sign --zone FILE --key FILE\n"
    "       behalf dns query NAME [TYPE] [--tcp] [--dnssec] [--json]\n"
    "       behalf dns stats [--limit N] [--json]\n"
    "       behalf dns keys|roll DOMAIN [--json]\n"
    "       behalf dns export DIRECTORY\n"
    "\n"
    "  --zone FILE            a master file; repeat it for several zones\n"
    "  --origin NAME          the name of the zone, for relative names in the file (default: the owner of its SOA)\n"
    "  --name NAME            the name that is asked for\n"
    "  --type TYPE            the record type (default: A)\n"
    "  --dnssec               ask with the DO bit\n"
    "  --tcp                  as over TCP: no truncation\n"
    "  --json                 rcode, flags and sections as JSON\n"
    "  --listen ADDRESS:PORT  where to serve, UDP and TCP; repeat it for several ([::1]:5300 for IPv6)\n"
    "  --tsig NAME:BASE64     a key (hmac-sha256) with which secondaries may transfer the zones\n"
    "  --notify ADDRESS:PORT  a secondary that is told of changes\n"
    "  --catalog NAME         serve a catalog of the zones under this name (RFC 9432)\n"
    "  --key FILE             the private key, ECDSA P-256, PEM\n"
    "  --now EPOCH            sign as of this time, in seconds since 1970\n";

enum { ZONE_FILE_MAX = 256 << 20 };

struct dns_options {
    struct bh_cli_many zones;
    struct bh_cli_many listen;
    const char *origin;
    const char *name;
    const char *type;
    struct bh_cli_many tsig;
    struct bh_cli_many notify;
    const char *catalog;
    const char *key;
    const char *now;
    const char *limit;
    bool dnssec;
    bool tcp;
};

static int fail_zone(const char *path, bh_err err, const struct bh_dns_zone_error *error)
{
    struct bh_buf owner = bh_buf_make(4 * BH_DNS_NAME_MAX);

    if (error->name.n)
        bh_dns_name_print(&owner, bh_dns_name_view(&error->name));
    (void)bh_cli_fail("dns", "%s:%u: %s%s%.*s", path, error->line, error->why ? error->why : bh_err_text(err),
                      owner.n ? ": " : "", BH_FMT(bh_buf_view(&owner)));
    bh_buf_free(&owner);
    return BH_EXIT_USAGE;
}

int bh_dns_load_file(struct bh_dns_zone_builder *builder, const char *path, const struct bh_dns_name *origin,
                     struct bh_dns_zones *zones)
{
    struct bh_buf text = bh_buf_make(0);
    struct bh_dns_zone_error error = {0};
    struct bh_dns_zone *zone = NULL;
    bh_err err = bh_cli_read(path, ZONE_FILE_MAX, false, &text);

    if (err == BH_E_IO)
        return bh_cli_fail("dns", "%s: %s", path, strerror(errno));
    if (!err)
        err = bh_dns_zone_from_text(builder, bh_buf_view(&text), origin, &zone, &error);
    bh_buf_free(&text);
    if (error.ignored_line)
        (void)fprintf(stderr, "behalf dns: %s:%u: outside the zone, left out\n", path, error.ignored_line);
    if (!err && !origin && bh_dns_zone_name(zone).n == 1)
        (void)fprintf(
            stderr, "behalf dns: %s: taken as the root zone; say --origin NAME if its names belong below one\n", path);
    if (!err)
        err = bh_dns_zones_put(zones, zone);
    return err ? fail_zone(path, err, &error) : BH_EXIT_OK;
}

/* ---- answer ---- */

static void add_flag(json_t *list, uint16_t flags, uint16_t bit, const char *name)
{
    if (flags & bit)
        (void)json_array_append_new(list, json_string(name));
}

static json_t *flags_of(const struct bh_dns_message *message)
{
    json_t *list = json_array();

    add_flag(list, message->flags, BH_DNS_QR, "qr");
    add_flag(list, message->flags, BH_DNS_AA, "aa");
    add_flag(list, message->flags, BH_DNS_TC, "tc");
    add_flag(list, message->flags, BH_DNS_RD, "rd");
    add_flag(list, message->flags, BH_DNS_RA, "ra");
    add_flag(list, message->flags, BH_DNS_AD, "ad");
    add_flag(list, message->flags, BH_DNS_CD, "cd");
    return list;
}

/* Fills one list a section; false when the response cannot be read, which would be our own mistake. */
static bool add_records(const struct bh_dns_message *message, json_t *const sections[BH_DNS_SECTIONS])
{
    struct bh_buf rdata = bh_buf_make(BH_DNS_RDATA_MAX * 2), line = bh_buf_make(BH_DNS_RDATA_MAX * 8);
    struct bh_dns_rr_iter iter = {0};
    struct bh_dns_rr rr;
    bh_err err = BH_OK;

    while (!err && (err = bh_dns_message_next(message, &iter, &rr)) == BH_MORE) {
        if (rr.type == BH_DNS_OPT)
            continue;
        bh_buf_clear(&rdata);
        bh_buf_clear(&line);
        err = bh_dns_rdata_read(rr.type, message->packet, rr.rdata_at, rr.rdata_n, &rdata);
        bh_dns_record_print(&line, bh_dns_name_view(&rr.owner), rr.ttl_s, rr.klass, rr.type, bh_buf_view(&rdata));
        (void)json_array_append_new(sections[rr.section], json_stringn(line.p, line.n));
    }
    bh_buf_free(&rdata);
    bh_buf_free(&line);
    return err == BH_DONE;
}

static json_t *response_json(bh_str packet)
{
    json_t *json = json_object(), *sections[BH_DNS_SECTIONS] = {NULL};
    static const char *const names[BH_DNS_SECTIONS] = {"", "answer", "authority", "additional"};
    struct bh_dns_message message;
    const char *rcode;

    if (bh_dns_message_parse(packet, &message)) {
        json_decref(json);
        return NULL;
    }
    rcode = bh_dns_rcode_text(bh_dns_message_rcode(&message));
    (void)json_object_set_new(json, "rcode", json_string(rcode ? rcode : "?"));
    (void)json_object_set_new(json, "flags", flags_of(&message));
    for (int i = BH_DNS_ANSWER; i < BH_DNS_SECTIONS; i++) {
        sections[i] = json_array();
        (void)json_object_set_new(json, names[i], sections[i]);
    }
    if (!add_records(&message, sections)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static void print_section(const json_t *json, const char *name)
{
    const json_t *lines = json_object_get(json, name), *line;
    size_t i;

    if (json_array_size(lines))
        (void)printf("%s:\n", name);
    json_array_foreach(lines, i, line)(void) printf("  %s\n", json_string_value(line));
}

static void print_text(const json_t *json)
{
    const json_t *flag;
    size_t i;

    (void)printf("%s", json_string_value(json_object_get(json, "rcode")));
    json_array_foreach(json_object_get(json, "flags"), i, flag)(void) printf(" %s", json_string_value(flag));
    (void)printf("\n");
    print_section(json, "answer");
    print_section(json, "authority");
    print_section(json, "additional");
}

static int print_response(struct bh_cli *cli, bh_str packet)
{
    json_t *json = response_json(packet);

    if (!json)
        return bh_cli_fail("dns", "the response cannot be read; this is a mistake of behalf");
    if (cli->json) {
        bh_cli_print_json(json);
        return BH_EXIT_OK;
    }
    print_text(json);
    json_decref(json);
    return BH_EXIT_OK;
}

static int ask(struct bh_cli *cli, const struct dns_options *o, const struct bh_dns_zones *zones, uint16_t type,
               const struct bh_dns_name *name)
{
    static const struct bh_dns_answer_options options = {.udp_max = BH_DNS_UDP_SAFE_MAX};
    struct bh_buf query = bh_buf_make(BH_DNS_MESSAGE_MAX), response = bh_buf_make(BH_DNS_MESSAGE_MAX + 1);
    char *room = bh_buf_reserve(&response, BH_DNS_MESSAGE_MAX);
    struct bh_dns_client client = {.transport = o->tcp ? BH_DNS_TCP : BH_DNS_UDP};
    struct bh_dns_outcome outcome;
    int status;

    if (!room ||
        bh_dns_query_write(&query, 0, 0, bh_dns_name_view(name), type, BH_DNS_UDP_SAFE_MAX, o->dnssec) != BH_OK)
        return bh_cli_fail("dns", "out of memory");
    bh_buf_commit(&response,
                  bh_dns_answer(zones, &options, &client, bh_buf_view(&query), room, BH_DNS_MESSAGE_MAX, &outcome));
    status = print_response(cli, bh_buf_view(&response));
    bh_buf_free(&query);
    bh_buf_free(&response);
    return status;
}

static int load_all(const struct dns_options *o, struct bh_dns_zones *zones, const struct bh_dns_name *origin)
{
    struct bh_dns_zone_builder *builder = bh_dns_zone_builder_new(bh_dns_zones_seed(zones));
    int status = builder ? BH_EXIT_OK : bh_cli_fail("dns", "out of memory");

    for (size_t i = 0; i < o->zones.count && status == BH_EXIT_OK; i++)
        status = bh_dns_load_file(builder, o->zones.values[i], origin, zones);
    bh_dns_zone_builder_free(builder);
    return status;
}

static int answer(struct bh_cli *cli, const struct dns_options *o)
{
    struct bh_dns_name name, origin;
    struct bh_dns_zones *zones;
    uint16_t type = BH_DNS_A;
    uint64_t seed;
    int status;

    if (!o->zones.count || !o->name)
        return bh_cli_fail("dns", "answer needs --zone and --name; see behalf dns --help");
    if (bh_dns_name_parse(bh_str_c(o->name), NULL, &name))
        return bh_cli_fail("dns", "--name %s is no domain name", o->name);
    if (o->type && bh_dns_type_parse(bh_str_c(o->type), &type))
        return bh_cli_fail("dns", "--type %s is no record type; unknown ones are written TYPE123", o->type);
    if (o->origin && bh_dns_name_parse(bh_str_c(o->origin), NULL, &origin))
        return bh_cli_fail("dns", "--origin %s is no domain name", o->origin);
    bh_random_fill(&bh_random_os, &seed, sizeof seed);
    zones = bh_dns_zones_new(seed);
    if (!zones)
        return bh_cli_fail("dns", "out of memory");
    status = load_all(o, zones, o->origin ? &origin : NULL);
    if (status == BH_EXIT_OK)
        status = ask(cli, o, zones, type, &name);
    bh_dns_zones_free(zones);
    return status;
}

static int serve(const struct dns_options *o, char **files, int count)
{
    struct bh_dns_name origin;
    struct bh_dns_serve_options options = {.listen = &o->listen,
                                           .tsig = &o->tsig,
                                           .notify = &o->notify,
                                           .catalog = o->catalog,
                                           .origin = o->origin ? &origin : NULL,
                                           .files = files,
                                           .file_count = (size_t)count};

    if (!o->listen.count || !count)
        return bh_cli_fail("dns", "serve needs --listen and zone files; see behalf dns --help");
    if (o->origin && bh_dns_name_parse(bh_str_c(o->origin), NULL, &origin))
        return bh_cli_fail("dns", "--origin %s is no domain name", o->origin);
    return bh_dns_serve(&options);
}

static int sign(const struct dns_options *o)
{
    struct bh_dns_name origin;

    if (o->zones.count != 1 || !o->key)
        return bh_cli_fail("dns", "sign needs one --zone and --key; see behalf dns --help");
    if (o->origin && bh_dns_name_parse(bh_str_c(o->origin), NULL, &origin))
        return bh_cli_fail("dns", "--origin %s is no domain name", o->origin);
    return bh_dns_sign_file(o->zones.values[0], o->origin ? &origin : NULL, o->key, o->now);
}

static int query_own(struct bh_cli *cli, const struct dns_options *o, const char *asked, const char *type_text)
{
    struct bh_buf response = bh_buf_make(BH_DNS_MESSAGE_MAX);
    struct bh_dns_name name;
    uint16_t type;
    int status;

    if (bh_dns_name_parse(bh_str_c(asked), NULL, &name))
        return bh_cli_fail("dns", "%s is no domain name", asked);
    if (bh_dns_type_parse(bh_str_c(type_text), &type))
        return bh_cli_fail("dns", "%s is no record type; unknown ones are written TYPE123", type_text);
    status = bh_dns_query_own(cli, &name, type, o->dnssec, o->tcp, &response);
    if (status == BH_EXIT_OK)
        status = print_response(cli, bh_buf_view(&response));
    bh_buf_free(&response);
    return status;
}

int bh_cli_dns(struct bh_cli *cli, int argc, char **argv)
{
    struct dns_options o = {0};
    const struct bh_cli_option options[] = {
        {.name = "zone", .many = &o.zones},       {.name = "listen", .many = &o.listen},
        {.name = "origin", .value = &o.origin},   {.name = "name", .value = &o.name},
        {.name = "type", .value = &o.type},       {.name = "dnssec", .flag = &o.dnssec},
        {.name = "tsig", .many = &o.tsig},        {.name = "notify", .many = &o.notify},
        {.name = "catalog", .value = &o.catalog}, {.name = "key", .value = &o.key},
        {.name = "now", .value = &o.now},         {.name = "tcp", .flag = &o.tcp},
        {.name = "limit", .value = &o.limit},     {.name = NULL},
    };
    int status = BH_EXIT_OK;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc == 2 && strcmp(argv[1], "answer") == 0)
        return answer(cli, &o);
    if (argc == 2 && strcmp(argv[1], "sign") == 0)
        return sign(&o);
    if (argc >= 2 && strcmp(argv[1], "serve") == 0)
        return serve(&o, argv + 2, argc - 2);
    if ((argc == 3 || argc == 4) && strcmp(argv[1], "query") == 0)
        return query_own(cli, &o, argv[2], argc == 4 ? argv[3] : "A");
    if (argc == 2 && strcmp(argv[1], "stats") == 0)
        return bh_dns_stats(cli, o.limit);
    if (argc == 3 && (strcmp(argv[1], "keys") == 0 || strcmp(argv[1], "roll") == 0))
        return bh_dns_keys(cli, argv[1], argv[2]);
    if (argc == 3 && strcmp(argv[1], "export") == 0)
        return bh_dns_export(cli, argv[2]);
    return bh_cli_fail("dns", "say answer, serve, sign, query, stats, keys, roll or export; see behalf dns --help");
}
