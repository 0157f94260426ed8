/* config_file.c: the schema of behalf.conf, its defaults and its checks. libConfuse parses; every value is then looked
 * at here, so that a role never sees one that cannot work. */
#include "config_file.h"
#include <arpa/inet.h>
#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { ARENA_MAX = 16 << 20, FILE_MAX = 1 << 20, DEPTH_MAX = 16 };

struct reading {
    struct bh_config *config;
    struct bh_arena *arena;
    struct bh_buf *problems;
    const char *path;
    bh_err err;
};

static void problem(struct reading *reading, const char *format, ...) BH_PRINTF(2, 3);

static void problem(struct reading *reading, const char *format, ...)
{
    va_list args;

    bh_buf_printf(reading->problems, "%s: ", reading->path);
    va_start(args, format);
    bh_buf_vprintf(reading->problems, format, args);
    va_end(args);
    bh_buf_char(reading->problems, '\n');
    reading->err = BH_E_INVALID;
}

static void problem_at(struct reading *reading, unsigned line, const char *text)
{
    bh_buf_printf(reading->problems, "%s:%u: %s\n", reading->path, line, text);
    reading->err = BH_E_INVALID;
}

/* ---- values ---- */

bh_err bh_config_address(bh_str text, bh_str *ret_address, uint16_t *ret_port)
{
    bh_str address = text, port = {NULL, 0};
    char literal[INET6_ADDRSTRLEN];
    unsigned char binary[16];
    uint64_t number = 0;

    if (text.n && text.p[0] == '[') {
        address = bh_str_cut(bh_str_skip(text, 1), ']', &port);
        if (port.n && port.p[0] == ':')
            port = bh_str_skip(port, 1);
        else if (port.n)
            return BH_E_SYNTAX;
    } else if (bh_str_find(text, ':') == bh_str_rfind(text, ':')) { /* not a bare IPv6 address */
        address = bh_str_cut(text, ':', &port);
    }
    if (port.p && bh_str_to_u64(port, 65535, &number) != BH_OK && port.n)
        return BH_E_SYNTAX;
    if (bh_str_to_c(address, literal, sizeof(literal)) != BH_OK)
        return BH_E_SYNTAX;
    if (inet_pton(AF_INET, literal, binary) != 1 && inet_pton(AF_INET6, literal, binary) != 1)
        return BH_E_SYNTAX;
    *ret_address = address;
    *ret_port = (uint16_t)number;
    return BH_OK;
}

bool bh_config_is_loopback(bh_str address)
{
    return bh_str_starts(address, BH_STR("127.")) || bh_str_eq(address, BH_STR("::1"));
}

static bh_str keep(struct reading *reading, const char *text)
{
    bh_str copy = bh_arena_dup(reading->arena, bh_str_c(text));

    if (!copy.p)
        problem(reading, "out of memory");
    return copy;
}

static bh_str get_str(struct reading *reading, cfg_t *section, const char *name)
{
    const char *text = cfg_getstr(section, name);

    return keep(reading, text ? text : "");
}

static uint32_t get_number(struct reading *reading, cfg_t *section, const char *name, uint32_t least, uint32_t most)
{
    long number = cfg_getint(section, name);

    if (number < (long)least || number > (long)most) {
        problem(reading, "%s = %ld: must be between %u and %u", name, number, least, most);
        return least;
    }
    return (uint32_t)number;
}

/* "90", "90s", "15m", "12h", "7d" in seconds. */
static uint32_t get_duration(struct reading *reading, cfg_t *section, const char *name, uint32_t least)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    bh_str text = bh_str_c(cfg_getstr(section, name));
    bh_str digits = text;
    uint64_t number = 0, factor = 1;

    for (size_t i = 0; text.n && i < sizeof(units) / sizeof(units[0]); i++) {
        if (text.p[text.n - 1] == units[i].unit) {
            digits.n--;
            factor = units[i].seconds;
            break;
        }
    }
    if (bh_str_to_u64(digits, UINT32_MAX, &number) != BH_OK || number * factor > INT32_MAX || number * factor < least) {
        problem(reading, "%s = \"%.*s\": not a duration of at least %u seconds; write 90s, 15m, 12h or 7d", name,
                BH_FMT(text), least);
        return least;
    }
    return (uint32_t)(number * factor);
}

/* "25M" in bytes. */
static uint64_t get_size(struct reading *reading, cfg_t *section, const char *name)
{
    bh_str text = bh_str_c(cfg_getstr(section, name));
    bh_str digits = text;
    uint64_t number = 0, factor = 1;

    if (text.n && (text.p[text.n - 1] == 'K' || text.p[text.n - 1] == 'M')) {
        digits.n--;
        factor = text.p[text.n - 1] == 'K' ? 1024 : 1024 * 1024;
    }
    if (bh_str_to_u64(digits, UINT32_MAX, &number) != BH_OK || number == 0)
        problem(reading, "%s = \"%.*s\": not a size; write 512K or 25M", name, BH_FMT(text));
    return number * factor;
}

static bool is_unspecified(bh_str address)
{
    return bh_str_eq(address, BH_STR("0.0.0.0")) || bh_str_eq(address, BH_STR("::"));
}

static bh_str *get_addresses(struct reading *reading, cfg_t *section, const char *name, bool with_port,
                             size_t *ret_count)
{
    size_t count = cfg_size(section, name);
    bh_str *list = bh_arena_array(reading->arena, count, sizeof(*list));

    *ret_count = 0;
    for (size_t i = 0; list && i < count; i++) {
        bh_str text = keep(reading, cfg_getnstr(section, name, (unsigned)i));
        bh_str port, bare = with_port ? bh_str_cut(text, '@', &port) : text;
        bh_str address;
        uint16_t number;

        if (bh_config_address(bare, &address, &number) != BH_OK || (number && !with_port))
            problem(reading, "%s %s: \"%.*s\" is not an address", cfg_name(section), name, BH_FMT(text));
        else if (number)
            problem(reading, "%s %s: \"%.*s\": write the port behind @", cfg_name(section), name, BH_FMT(text));
        else if (is_unspecified(address))
            problem(reading, "%s %s: \"%.*s\" is no address of a host: others must be able to reach it",
                    cfg_name(section), name, BH_FMT(text));
        list[(*ret_count)++] = text;
    }
    return list;
}

static bool is_host_name(bh_str name)
{
    if (name.n == 0 || name.n > 253 || name.p[0] == '.' || name.p[name.n - 1] == '.')
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!bh_is_alnum(name.p[i]) && name.p[i] != '-' && name.p[i] != '.' && name.p[i] != '_')
            return false;
    return true;
}

static bh_str get_host(struct reading *reading, cfg_t *section, const char *name, const char *fallback_label)
{
    bh_str host = get_str(reading, section, name);

    if (host.n == 0 && fallback_label && !is_host_name(reading->config->platform))
        return host; /* what is wrong with the platform is said already */
    if (host.n == 0 && fallback_label)
        host = bh_arena_printf(reading->arena, "%s.%.*s", fallback_label, BH_FMT(reading->config->platform));
    if (host.n == 0)
        problem(reading, "%s is missing: the domain that you delegate to behalf, such as \"on.esp.example\"", name);
    else if (!is_host_name(host))
        problem(reading, "%s = \"%.*s\": not a host name (no final dot)", name, BH_FMT(host));
    return bh_str_lower(reading->arena, host);
}

/* ---- sections ---- */

static enum bh_listen_protocol get_protocol(struct reading *reading, cfg_t *section)
{
    static const char *const names[] = {"smtp", "submission", "submissions", "dns", "http", "https"};
    const char *text = cfg_getstr(section, "protocol");

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(text, names[i]) == 0)
            return (enum bh_listen_protocol)i;
    problem(reading, "listener: protocol = \"%s\": must be smtp, submission, submissions, dns, http or https", text);
    return BH_LISTEN_SUBMISSION;
}

static void read_listener(struct reading *reading, cfg_t *section, struct bh_listener *listener)
{
    static const uint16_t ports[] = {25, 587, 465, 53, 80, 443};
    bh_str text = get_str(reading, section, "address");

    listener->protocol = get_protocol(reading, section);
    listener->trust = get_str(reading, section, "trust");
    if (bh_config_address(text, &listener->address, &listener->port) != BH_OK) {
        problem(reading, "listener: address = \"%.*s\": write 192.0.2.1:587 or [2001:db8::1]:587", BH_FMT(text));
        return;
    }
    if (!listener->port)
        listener->port = ports[listener->protocol];
    if (listener->protocol == BH_LISTEN_HTTP && !bh_config_is_loopback(listener->address) &&
        !cfg_getbool(section, "allow-remote"))
        problem(reading,
                "listener %.*s: tokens would cross the network readable; use protocol = https, or listen on loopback "
                "behind a proxy, or say allow-remote = true if that is meant",
                BH_FMT(text));
    if (listener->trust.n && listener->protocol != BH_LISTEN_SUBMISSION)
        problem(reading, "listener %.*s: trust goes with protocol = submission only", BH_FMT(text));
    if (listener->trust.n && !bh_config_is_loopback(listener->address) && !cfg_getbool(section, "allow-remote"))
        problem(reading,
                "listener %.*s: trust without a password on an address that others can reach; say allow-remote = "
                "true if that is meant",
                BH_FMT(text));
}

static void read_listeners(struct reading *reading, cfg_t *cfg)
{
    struct bh_config *c = reading->config;

    c->listener_count = cfg_size(cfg, "listener");
    c->listeners = bh_arena_array(reading->arena, c->listener_count, sizeof(*c->listeners));
    if (!c->listeners)
        c->listener_count = 0;
    for (size_t i = 0; i < c->listener_count; i++)
        read_listener(reading, cfg_getnsec(cfg, "listener", (unsigned)i), &c->listeners[i]);
    for (size_t i = 1; i < c->listener_count; i++)
        for (size_t k = 0; k < i; k++)
            if (c->listeners[i].port == c->listeners[k].port && c->listeners[i].address.n &&
                bh_str_eq(c->listeners[i].address, c->listeners[k].address))
                problem(reading, "two listeners on %.*s, port %u", BH_FMT(c->listeners[i].address),
                        c->listeners[i].port);
}

/* A name server of the NS set, from a section that has a label as title and addresses. */
static void add_nameserver(struct reading *reading, cfg_t *section, const char *kind)
{
    struct bh_config *c = reading->config;
    struct bh_nameserver *server = &c->nameservers[c->nameserver_count];

    server->label = keep(reading, cfg_title(section));
    if (!is_host_name(server->label) || bh_str_find(server->label, '.') < server->label.n)
        problem(reading, "%s \"%.*s\": one label, such as ns1", kind, BH_FMT(server->label));
    for (size_t i = 0; i < c->nameserver_count; i++)
        if (bh_str_eq_ci(c->nameservers[i].label, server->label))
            problem(reading, "%s \"%.*s\": there is a name server of that label already", kind, BH_FMT(server->label));
    server->addresses = get_addresses(reading, section, "address", false, &server->address_count);
    if (!server->address_count)
        problem(reading, "%s \"%.*s\" has no address", kind, BH_FMT(server->label));
    c->nameserver_count++;
}

/* Who is told of changes: `notify`, else the addresses themselves. */
static void read_notify(struct reading *reading, cfg_t *section, struct bh_secondary *secondary)
{
    const char *name = cfg_size(section, "notify") ? "notify" : "address";

    secondary->notify_count = cfg_size(section, name);
    secondary->notify = bh_arena_array(reading->arena, secondary->notify_count, sizeof(*secondary->notify));
    if (!secondary->notify)
        secondary->notify_count = 0;
    for (size_t i = 0; i < secondary->notify_count; i++) {
        struct bh_endpoint *to = &secondary->notify[i];
        bh_str text = keep(reading, cfg_getnstr(section, name, (unsigned)i));

        if (bh_config_address(text, &to->address, &to->port) != BH_OK)
            problem(reading, "secondary \"%.*s\": notify \"%.*s\": write 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53",
                    BH_FMT(secondary->label), BH_FMT(text));
        if (!to->port)
            to->port = 53;
    }
}

static void read_secondary(struct reading *reading, cfg_t *section, struct bh_secondary *secondary)
{
    secondary->label = keep(reading, cfg_title(section));
    secondary->tsig_key = get_str(reading, section, "tsig-key");
    if (secondary->tsig_key.n == 0 || secondary->tsig_key.p[0] != '/')
        problem(reading, "secondary \"%.*s\": tsig-key must be the path of a key file, as tsig-keygen(8) writes it",
                BH_FMT(secondary->label));
    read_notify(reading, section, secondary);
    if (cfg_getbool(section, "listed"))
        add_nameserver(reading, section, "secondary");
}

/* The NS set: our own name servers, then the secondaries that are listed; those alone when the primary is hidden. */
static void read_nameservers(struct reading *reading, cfg_t *cfg)
{
    struct bh_config *c = reading->config;
    size_t own = cfg_getbool(cfg, "hidden-primary") ? 0 : cfg_size(cfg, "nameserver");

    c->secondary_count = cfg_size(cfg, "secondary");
    c->secondaries = bh_arena_array(reading->arena, c->secondary_count, sizeof(*c->secondaries));
    c->nameservers = bh_arena_array(reading->arena, own + c->secondary_count, sizeof(*c->nameservers));
    if (!c->nameservers || !c->secondaries)
        own = c->secondary_count = 0;
    for (size_t i = 0; i < own; i++)
        add_nameserver(reading, cfg_getnsec(cfg, "nameserver", (unsigned)i), "nameserver");
    for (size_t i = 0; i < c->secondary_count; i++)
        read_secondary(reading, cfg_getnsec(cfg, "secondary", (unsigned)i), &c->secondaries[i]);
    c->catalog = get_str(reading, cfg, "catalog");
    if (c->catalog.n && !is_host_name(c->catalog))
        problem(reading, "catalog = \"%.*s\": not a domain name (no final dot)", BH_FMT(c->catalog));
}

static void read_resolver(struct reading *reading, cfg_t *cfg)
{
    struct bh_config *c = reading->config;
    cfg_t *section = cfg_getsec(cfg, "resolver");

    c->forwards = get_addresses(reading, section, "forward", true, &c->forward_count);
    c->resolver_mode = c->forward_count ? BH_RESOLVE_FORWARD : BH_RESOLVE_RECURSIVE;
    c->root_hints = get_str(reading, section, "root-hints");
    c->fetch_private = cfg_getbool(section, "private-addresses") == cfg_true;
    c->trust_anchor = get_str(reading, section, "trust-anchor");
    c->stub_count = cfg_size(section, "stub");
    c->stubs = bh_arena_array(reading->arena, c->stub_count, sizeof(*c->stubs));
    if (!c->stubs)
        c->stub_count = 0;
    for (size_t i = 0; i < c->stub_count; i++) {
        cfg_t *stub = cfg_getnsec(section, "stub", (unsigned)i);

        c->stubs[i].zone = keep(reading, cfg_title(stub));
        c->stubs[i].addresses = get_addresses(reading, stub, "address", true, &c->stubs[i].address_count);
        for (size_t k = 0; k < c->stubs[i].address_count; k++)
            if (!bh_config_is_loopback(c->stubs[i].addresses[k]))
                problem(reading, "resolver stub \"%.*s\": %.*s is not a loopback address; stubs are for test worlds",
                        BH_FMT(c->stubs[i].zone), BH_FMT(c->stubs[i].addresses[k]));
    }
}

static enum bh_route_tls get_route_tls(struct reading *reading, cfg_t *section)
{
    const char *text = cfg_getstr(section, "tls");

    if (strcmp(text, "opportunistic") == 0)
        return BH_TLS_OPPORTUNISTIC;
    if (strcmp(text, "required") == 0)
        return BH_TLS_REQUIRED;
    if (strcmp(text, "verified") == 0)
        return BH_TLS_VERIFIED;
    if (strcmp(text, "none") != 0)
        problem(reading, "route: tls = \"%s\": must be opportunistic, required, verified or none", text);
    return BH_TLS_NONE;
}

static void read_routes(struct reading *reading, cfg_t *cfg)
{
    struct bh_config *c = reading->config;

    c->route_count = cfg_size(cfg, "route");
    c->routes = bh_arena_array(reading->arena, c->route_count, sizeof(*c->routes));
    if (!c->routes)
        c->route_count = 0;
    for (size_t i = 0; i < c->route_count; i++) {
        cfg_t *section = cfg_getnsec(cfg, "route", (unsigned)i);
        struct bh_route *route = &c->routes[i];

        route->domain = keep(reading, cfg_title(section));
        route->host = get_str(reading, section, "host");
        route->port = (uint16_t)get_number(reading, section, "port", 1, 65535);
        route->tls = get_route_tls(reading, section);
        if (route->host.n == 0)
            problem(reading, "route \"%.*s\" has no host", BH_FMT(route->domain));
    }
}

static void read_keys(struct reading *reading, cfg_t *keys)
{
    struct bh_config *c = reading->config;

    c->key_period_s = get_duration(reading, keys, "rotate-every", 0);
    c->receiver_delay_s = get_duration(reading, keys, "receiver-delay", 1);
    c->key_cache = get_number(reading, keys, "cache", 16, 10000000);
}

static void read_numbers(struct reading *reading, cfg_t *cfg)
{
    struct bh_config *c = reading->config;
    cfg_t *limits = cfg_getsec(cfg, "limits");
    cfg_t *queue = cfg_getsec(cfg, "queue");
    cfg_t *processes = cfg_getsec(cfg, "processes");
    cfg_t *dnssec = cfg_getsec(cfg, "dnssec");

    c->smtpd_count = get_number(reading, processes, "smtpd", 1, 64);
    c->sender_count = get_number(reading, processes, "sender", 1, 64);
    c->dnsd_count = get_number(reading, processes, "dnsd", 1, 64);
    c->signer_threads = get_number(reading, processes, "signer-threads", 1, 256);
    c->session_limit = get_number(reading, limits, "sessions", 1, 100000);
    c->sessions_per_client = get_number(reading, limits, "sessions-per-client", 1, 100000);
    c->connection_limit = get_number(reading, limits, "connections", 1, 100000);
    c->connections_per_site = get_number(reading, limits, "connections-per-site", 1, 10000);
    c->recipients_max = get_number(reading, limits, "recipients", 1, 50000);
    c->message_size_max = get_size(reading, limits, "message-size");
    c->hops_max = get_number(reading, limits, "hops", 1, 1000);
    c->idle_timeout_s = get_duration(reading, limits, "idle-timeout", 1);
    c->retry_first_s = get_duration(reading, queue, "retry-first", 1);
    c->retry_max_s = get_duration(reading, queue, "retry-max", c->retry_first_s);
    c->retry_growth = get_number(reading, queue, "retry-growth", 100, 1000);
    c->expire_s = get_duration(reading, queue, "expire", 1);
    c->delay_notice_s = get_duration(reading, queue, "delay-notice", 1);
    c->retention_s = get_duration(reading, queue, "retention", 0);
    c->unacknowledged_max = get_number(reading, queue, "unacknowledged", 1, 10000);
    c->queue_max = get_number(reading, queue, "recipients-max", 1, INT32_MAX);
    c->queue_memory_max = get_size(reading, queue, "memory-max");
    c->queue_min_free = get_size(reading, queue, "min-free");
    c->bounce_keep_s = get_duration(reading, queue, "bounce-keep", 86400);
    c->query_log_sample = get_number(reading, cfg, "query-log-sample", 0, INT32_MAX);
    c->zone_ttl_s = get_duration(reading, cfg, "zone-ttl", 1);
    c->dnssec_platform = cfg_getbool(dnssec, "platform");
    c->dnssec_hold_s = get_duration(reading, dnssec, "hold", 1);
    c->dnssec_roll_s = get_duration(reading, dnssec, "roll-after", 0);
    read_keys(reading, cfg_getsec(cfg, "keys"));
    c->dns_port_override = (uint16_t)get_number(reading, cfg, "dns-port-override", 0, 65535);
    c->smtp_port = (uint16_t)get_number(reading, cfg, "smtp-port", 1, 65535);
    c->uid_base = get_number(reading, cfg, "uid-base", 0, UINT32_MAX - 100);
}

static bool is_mail_address(bh_str address)
{
    bh_str domain, local = bh_str_cut(address, '@', &domain);

    for (size_t i = 0; i < local.n; i++)
        if (local.p[i] <= ' ' || local.p[i] >= 127 || strchr("<>()[]\\,;:\"", local.p[i]))
            return false;
    return local.n > 0 && local.n <= 64 && is_host_name(domain);
}

static void read_contacts(struct reading *reading, cfg_t *cfg)
{
    struct bh_config *c = reading->config;
    size_t count = cfg_size(cfg, "contact");

    c->contacts = bh_arena_array(reading->arena, count, sizeof(*c->contacts));
    for (size_t i = 0; c->contacts && i < count; i++) {
        bh_str address = keep(reading, cfg_getnstr(cfg, "contact", (unsigned)i));

        if (!is_mail_address(address))
            problem(reading, "contact \"%.*s\" is not a mail address", BH_FMT(address));
        c->contacts[c->contact_count++] = address;
    }
}

static void read_names(struct reading *reading, cfg_t *cfg)
{
    struct bh_config *c = reading->config;
    cfg_t *inbound = cfg_getsec(cfg, "inbound");
    cfg_t *egress = cfg_getsec(cfg, "egress");
    cfg_t *tls = cfg_getsec(cfg, "tls");

    c->platform = get_host(reading, cfg, "platform", NULL);
    c->hostname = get_host(reading, cfg, "hostname", "mta1");
    c->inbound_host = get_host(reading, inbound, "host", "in1");
    c->state_dir = get_str(reading, cfg, "state-dir");
    c->run_dir = get_str(reading, cfg, "run-dir");
    c->control_group = get_str(reading, cfg, "control-group");
    c->dmarc_policy = get_str(reading, cfg, "dmarc-policy");
    read_contacts(reading, cfg);
    c->log_debug = cfg_getbool(cfg, "log-debug");
    c->egress = get_addresses(reading, egress, "address", false, &c->egress_count);
    c->egress_bind = cfg_getbool(egress, "bind");
    c->egress_keep_s = get_duration(reading, egress, "keep", 1);
    c->inbound_addresses = get_addresses(reading, inbound, "address", false, &c->inbound_address_count);
    if (!c->inbound_address_count) {
        c->inbound_addresses = c->egress;
        c->inbound_address_count = c->egress_count;
    }
    c->tls_certificate = get_str(reading, tls, "certificate");
    c->tls_key = get_str(reading, tls, "key");
    c->ca_file = get_str(reading, tls, "ca-file");
    if (c->state_dir.n == 0 || c->state_dir.p[0] != '/' || c->run_dir.n == 0 || c->run_dir.p[0] != '/')
        problem(reading, "state-dir and run-dir must be absolute paths");
}

/* How domains are watched, and what stands behind the link and image hosts. */
static void read_domains(struct reading *reading, cfg_t *cfg)
{
    struct bh_config *c = reading->config;
    cfg_t *domains = cfg_getsec(cfg, "domains");
    cfg_t *web = cfg_getsec(cfg, "web");

    c->grace_s = get_duration(reading, domains, "grace", 1);
    c->loss_s = get_duration(reading, domains, "loss", 1);
    c->unanimous_s = get_duration(reading, domains, "unanimous-loss", 1);
    c->tombstone_s = get_duration(reading, domains, "tombstone", 1);
    c->canary_every_s = get_duration(reading, domains, "canary", 0);
    c->canary_failures = get_number(reading, domains, "canary-failures", 0, 1000);
    c->require_dmarc = cfg_getbool(domains, "require-dmarc");
    c->web_addresses = get_addresses(reading, web, "address", false, &c->web_address_count);
    c->caa = get_str(reading, web, "caa");
    if (c->caa.n && !is_host_name(c->caa))
        problem(reading, "web caa = \"%.*s\": the name of a certificate authority, such as letsencrypt.org",
                BH_FMT(c->caa));
}

static void check_whole(struct reading *reading)
{
    struct bh_config *c = reading->config;

    if (!c->egress_count)
        problem(reading, "egress { address = {…} } is empty: SPF must list the addresses that mail leaves from");
    if (!c->nameserver_count)
        problem(reading, "no nameserver section%s: customers could delegate to nobody",
                c->secondary_count ? " and no listed secondary" : "");
    if (c->tls_certificate.n && !c->tls_key.n)
        problem(reading, "tls: a certificate without key");
    if (!bh_str_eq(c->dmarc_policy, BH_STR("none")) && !bh_str_eq(c->dmarc_policy, BH_STR("quarantine")) &&
        !bh_str_eq(c->dmarc_policy, BH_STR("reject")))
        problem(reading, "dmarc-policy must be none, quarantine or reject");
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].protocol == BH_LISTEN_SUBMISSIONS && !c->tls_certificate.n)
            problem(reading, "a submissions listener needs tls { certificate = … key = … }");
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].protocol == BH_LISTEN_HTTPS && !c->tls_certificate.n)
            problem(reading, "an https listener needs tls { certificate = … key = … }");
}

/* ---- the file ---- */

static void read_all(struct reading *reading, cfg_t *cfg)
{
    read_names(reading, cfg);
    read_listeners(reading, cfg);
    read_nameservers(reading, cfg);
    read_resolver(reading, cfg);
    read_routes(reading, cfg);
    read_numbers(reading, cfg);
    read_domains(reading, cfg);
    if (!reading->err)
        check_whole(reading);
}

/* The defaults stand here and in behalf.conf(5). Returns NULL when libConfuse is out of memory. */
static cfg_t *make_schema(void)
{
    cfg_opt_t listener[] = {CFG_STR("address", "", CFGF_NONE), CFG_STR("protocol", "submission", CFGF_NONE),
                            CFG_STR("trust", "", CFGF_NONE), CFG_BOOL("allow-remote", cfg_false, CFGF_NONE), CFG_END()};
    cfg_opt_t nameserver[] = {CFG_STR_LIST("address", NULL, CFGF_NONE), CFG_END()};
    cfg_opt_t secondary[] = {CFG_STR_LIST("address", NULL, CFGF_NONE), CFG_STR_LIST("notify", NULL, CFGF_NONE),
                             CFG_STR("tsig-key", "", CFGF_NONE), CFG_BOOL("listed", cfg_true, CFGF_NONE), CFG_END()};
    cfg_opt_t inbound[] = {CFG_STR("host", "", CFGF_NONE), CFG_STR_LIST("address", NULL, CFGF_NONE), CFG_END()};
    cfg_opt_t egress[] = {CFG_STR_LIST("address", NULL, CFGF_NONE), CFG_BOOL("bind", cfg_true, CFGF_NONE),
                          CFG_STR("keep", "5d", CFGF_NONE), CFG_END()};
    cfg_opt_t tls[] = {CFG_STR("certificate", "", CFGF_NONE), CFG_STR("key", "", CFGF_NONE),
                       CFG_STR("ca-file", "/etc/ssl/certs/ca-certificates.crt", CFGF_NONE), CFG_END()};
    cfg_opt_t stub[] = {CFG_STR_LIST("address", NULL, CFGF_NONE), CFG_END()};
    cfg_opt_t resolver[] = {CFG_STR_LIST("forward", NULL, CFGF_NONE),
                            CFG_SEC("stub", stub, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
                            CFG_STR("root-hints", "/usr/share/dns/root.hints", CFGF_NONE),
                            CFG_BOOL("private-addresses", cfg_false, CFGF_NONE),
                            CFG_STR("trust-anchor", "/usr/share/dns/root.key", CFGF_NONE),
                            CFG_END()};
    cfg_opt_t route[] = {CFG_STR("host", "", CFGF_NONE), CFG_INT("port", 25, CFGF_NONE),
                         CFG_STR("tls", "opportunistic", CFGF_NONE), CFG_END()};
    cfg_opt_t limits[] = {CFG_INT("sessions", 1000, CFGF_NONE),
                          CFG_INT("sessions-per-client", 100, CFGF_NONE),
                          CFG_INT("connections", 1000, CFGF_NONE),
                          CFG_INT("connections-per-site", 20, CFGF_NONE),
                          CFG_INT("recipients", 1000, CFGF_NONE),
                          CFG_STR("message-size", "25M", CFGF_NONE),
                          CFG_INT("hops", 50, CFGF_NONE),
                          CFG_STR("idle-timeout", "5m", CFGF_NONE),
                          CFG_END()};
    cfg_opt_t queue[] = {CFG_STR("retry-first", "2m", CFGF_NONE),       CFG_STR("retry-max", "4h", CFGF_NONE),
                         CFG_INT("retry-growth", 200, CFGF_NONE),       CFG_STR("expire", "5d", CFGF_NONE),
                         CFG_STR("delay-notice", "4h", CFGF_NONE),      CFG_STR("retention", "30d", CFGF_NONE),
                         CFG_INT("unacknowledged", 64, CFGF_NONE),      CFG_STR("bounce-keep", "21d", CFGF_NONE),
                         CFG_INT("recipients-max", 5000000, CFGF_NONE), CFG_STR("memory-max", "1024M", CFGF_NONE),
                         CFG_STR("min-free", "64M", CFGF_NONE),         CFG_END()};
    cfg_opt_t keys[] = {CFG_STR("rotate-every", "90d", CFGF_NONE), CFG_STR("receiver-delay", "7d", CFGF_NONE),
                        CFG_INT("cache", 4096, CFGF_NONE), CFG_END()};
    cfg_opt_t processes[] = {CFG_INT("smtpd", 1, CFGF_NONE), CFG_INT("sender", 1, CFGF_NONE),
                             CFG_INT("dnsd", 1, CFGF_NONE), CFG_INT("signer-threads", 2, CFGF_NONE), CFG_END()};
    cfg_opt_t dnssec[] = {CFG_BOOL("platform", cfg_false, CFGF_NONE), CFG_STR("hold", "28h", CFGF_NONE),
                          CFG_STR("roll-after", "0s", CFGF_NONE), CFG_END()};
    cfg_opt_t domains[] = {CFG_STR("grace", "72h", CFGF_NONE),         CFG_STR("loss", "1h", CFGF_NONE),
                           CFG_STR("unanimous-loss", "5m", CFGF_NONE), CFG_STR("tombstone", "30d", CFGF_NONE),
                           CFG_STR("canary", "24h", CFGF_NONE),        CFG_BOOL("require-dmarc", cfg_false, CFGF_NONE),
                           CFG_INT("canary-failures", 2, CFGF_NONE),   CFG_END()};
    cfg_opt_t web[] = {CFG_STR_LIST("address", NULL, CFGF_NONE), CFG_STR("caa", "letsencrypt.org", CFGF_NONE),
                       CFG_END()};
    cfg_opt_t root[] = {CFG_STR("platform", "", CFGF_NONE),
                        CFG_STR("hostname", "", CFGF_NONE),
                        CFG_STR("state-dir", "/var/lib/behalf", CFGF_NONE),
                        CFG_STR("run-dir", "/run/behalf", CFGF_NONE),
                        CFG_STR("control-group", "", CFGF_NONE),
                        CFG_STR_LIST("contact", NULL, CFGF_NONE),
                        CFG_STR("dmarc-policy", "none", CFGF_NONE),
                        CFG_STR("zone-ttl", "300", CFGF_NONE),
                        CFG_INT("dns-port-override", 0, CFGF_NONE),
                        CFG_INT("smtp-port", 25, CFGF_NONE),
                        CFG_INT("uid-base", 61100, CFGF_NONE),
                        CFG_BOOL("log-debug", cfg_false, CFGF_NONE),
                        CFG_SEC("listener", listener, CFGF_MULTI),
                        CFG_SEC("nameserver", nameserver, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
                        CFG_SEC("secondary", secondary, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
                        CFG_BOOL("hidden-primary", cfg_false, CFGF_NONE),
                        CFG_STR("catalog", "", CFGF_NONE),
                        CFG_INT("query-log-sample", 0, CFGF_NONE),
                        CFG_SEC("inbound", inbound, CFGF_NONE),
                        CFG_SEC("egress", egress, CFGF_NONE),
                        CFG_SEC("tls", tls, CFGF_NONE),
                        CFG_SEC("resolver", resolver, CFGF_NONE),
                        CFG_SEC("route", route, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
                        CFG_SEC("limits", limits, CFGF_NONE),
                        CFG_SEC("keys", keys, CFGF_NONE),
                        CFG_SEC("queue", queue, CFGF_NONE),
                        CFG_SEC("processes", processes, CFGF_NONE),
                        CFG_SEC("dnssec", dnssec, CFGF_NONE),
                        CFG_SEC("domains", domains, CFGF_NONE),
                        CFG_SEC("web", web, CFGF_NONE),
                        CFG_END()};

    return cfg_init(root, CFGF_NONE);
}

/* What libConfuse takes silently or reports lines later: a text that its line does not end, and braces that do not
 * pair up. Comments are # and // to the end of the line, and those of C. */
struct shape {
    unsigned line, depth;
    unsigned opened_at[DEPTH_MAX];
};

static void see_brace(struct reading *reading, struct shape *shape, char c)
{
    if (c == '{' && shape->depth < DEPTH_MAX)
        shape->opened_at[shape->depth] = shape->line;
    if (c == '{')
        shape->depth++;
    else if (shape->depth)
        shape->depth--;
    else
        problem_at(reading, shape->line, "} without a {");
}

/* `text` begins with a quote; returns what is behind the text. */
static bh_str skip_text(struct reading *reading, bh_str text, unsigned line)
{
    char quote = text.p[0];

    for (text = bh_str_skip(text, 1); text.n && text.p[0] != '\n'; text = bh_str_skip(text, 1)) {
        if (text.p[0] == quote)
            return bh_str_skip(text, 1);
        if (text.p[0] == '\\' && text.n > 1)
            text = bh_str_skip(text, 1);
    }
    problem_at(reading, line,
               quote == '"' ? "the text is not ended: \" is missing" : "the text is not ended: ' is missing");
    return text;
}

static bh_str skip_comment(bh_str text, unsigned *line)
{
    if (!bh_str_starts(text, BH_STR("/*")))
        return bh_str_skip(text, bh_str_find(text, '\n'));
    for (; text.n && !bh_str_starts(text, BH_STR("*/")); text = bh_str_skip(text, 1))
        *line += text.p[0] == '\n';
    return bh_str_skip(text, text.n ? 2 : 0);
}

static bh_err check_shape(struct reading *reading, bh_str text)
{
    struct shape shape = {.line = 1};

    while (text.n && !reading->err) {
        char c = text.p[0];

        if (c == '#' || bh_str_starts(text, BH_STR("//")) || bh_str_starts(text, BH_STR("/*"))) {
            text = skip_comment(text, &shape.line);
        } else if (c == '"' || c == '\'') {
            text = skip_text(reading, text, shape.line);
        } else {
            if (c == '{' || c == '}')
                see_brace(reading, &shape, c);
            shape.line += c == '\n';
            text = bh_str_skip(text, 1);
        }
    }
    if (!reading->err && shape.depth)
        problem_at(reading, shape.opened_at[shape.depth < DEPTH_MAX ? shape.depth - 1 : DEPTH_MAX - 1],
                   "the { is not closed: } is missing");
    return reading->err ? BH_E_SYNTAX : BH_OK;
}

/* The file whole, into the arena. */
static bh_err load(struct reading *reading, bh_str *ret_text)
{
    FILE *file = fopen(reading->path, "re");
    char *bytes = bh_arena_alloc(reading->arena, FILE_MAX + 1);
    struct stat status = {0};
    size_t n = 0;

    if (file && bytes && fstat(fileno(file), &status) == 0 && !S_ISDIR(status.st_mode))
        n = fread(bytes, 1, FILE_MAX + 1, file);
    if (!file || !bytes || ferror(file))
        problem(reading, "cannot be read: %s", strerror(errno));
    else if (S_ISDIR(status.st_mode))
        problem(reading, "is a directory, not a configuration file");
    else if (n > FILE_MAX)
        problem(reading, "is larger than %d bytes", FILE_MAX);
    else if (memchr(bytes, 0, n))
        problem(reading, "is not a text file");
    if (file)
        (void)fclose(file);
    *ret_text = bh_str_of(bytes, n);
    return reading->err ? BH_E_IO : BH_OK;
}

/* libConfuse says syntax errors on stderr itself, "file:line: what"; it has no place for a context to collect them. */
static bh_err parse(struct reading *reading, cfg_t *cfg)
{
    bh_str text = {NULL, 0};
    bh_err err = load(reading, &text);
    int status;

    if (!err)
        err = check_shape(reading, text);
    if (err)
        return err;
    status = cfg_parse(cfg, reading->path);
    if (status == CFG_FILE_ERROR) {
        problem(reading, "cannot be read: %s", strerror(errno));
        return BH_E_IO;
    }
    if (status != CFG_SUCCESS) {
        problem(reading, "does not parse");
        return BH_E_SYNTAX;
    }
    return BH_OK;
}

bh_err bh_config_file_read(const char *path, struct bh_config **ret_config, struct bh_buf *problems)
{
    struct bh_arena *arena = bh_arena_new(ARENA_MAX);
    struct bh_config *config = arena ? bh_arena_alloc(arena, sizeof(*config)) : NULL;
    struct reading reading = {config, arena, problems, path, BH_OK};
    cfg_t *cfg = make_schema();
    bh_err err = cfg && config ? parse(&reading, cfg) : BH_E_NOMEM;

    if (!err) {
        config->arena = arena;
        read_all(&reading, cfg);
        err = reading.err;
    }
    if (cfg)
        cfg_free(cfg);
    if (err)
        bh_arena_free(arena);
    else
        *ret_config = config;
    return err;
}
