/* site.c: deliveries that go to the same place, and the sessions that take them there.
 *
 * A site is keyed by route or domain, by HELO name and by the sender's wish for TLS. Its addresses, their TLSA records
 * and the domain's MTA-STS policy are looked up when the first delivery comes and kept for their TTL; what protects the
 * connection to each host follows from them (mail/tls_policy.h). Sessions are opened as deliveries wait, up to the
 * limits; each takes the next waiting delivery whenever it has room. When no address can be reached, all that wait are
 * deferred: queued decides when to try again.
 */
#include "base/text.h"
#include "domain/domain.h"
#include "sender.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEEP_LEAST_MS = 60 * 1000, KEEP_MOST_MS = 3600 * 1000, NO_TLS_MS = 3600 * 1000, TRAIL_MAX = 1500 };

struct site {
    struct bh_map_node node; /* in sender->sites */
    struct sender *sender;
    char key[900];
    char domain[256];
    char helo[256];
    const struct bh_route *route; /* only while looking up; copied facts below */
    bool by_route, to_host;
    char route_host[256];
    uint16_t port;
    bool never_tls;
    enum bh_tls_level level;
    char source4[INET_ADDRSTRLEN], source6[INET6_ADDRSTRLEN]; /* to leave from; both empty: as configured */
    uint32_t connections, messages_per_connection; /* as the last delivery said; 0: as configured, and any number */
    struct bh_list waiting;
    size_t waiting_count;
    struct bh_list sessions;
    size_t session_count;
    struct exchange *exchange;
    struct sts *sts;
    struct address addresses[BH_SITE_ADDRESSES_MAX];
    size_t address_count;
    bool failed[BH_SITE_ADDRESSES_MAX]; /* in this round */
    struct mx_host hosts[BH_SITE_HOSTS_MAX];
    size_t host_count;
    bh_time_ms no_tls_until[BH_SITE_HOSTS_MAX]; /* its handshake failed: opportunistic TLS goes on in clear */
    enum bh_sts_mode sts_mode;
    struct bh_buf sts_policy; /* the file */
    uint32_t exchange_ttl_s, sts_ttl_s;
    bh_time_ms known_until;
    size_t failures_in_a_row;
    struct bh_buf trail; /* of failures in this round, for people */
};

/* ---- making and forgetting ---- */

static enum bh_tls_level level_of(const struct bh_route *route, enum bh_tls_level wish)
{
    enum bh_tls_level level = BH_TLS_LEVEL_OPPORTUNISTIC;

    if (route && route->tls == BH_TLS_REQUIRED)
        level = BH_TLS_LEVEL_REQUIRED;
    if (route && route->tls == BH_TLS_VERIFIED)
        level = BH_TLS_LEVEL_VERIFIED;
    return wish > level ? wish : level;
}

/* What makes a site: all that its connections have in common. */
struct site_of {
    const struct bh_route *route; /* NULL: by MX */
    bh_str domain, helo;
    enum bh_tls_level wish;
    bh_str source4, source6;
};

static void take_route(struct site *site, const struct bh_route *route, enum bh_tls_level wish)
{
    const struct bh_config *c = site->sender->role->config;

    site->port = route ? route->port : c->smtp_port;
    site->by_route = route != NULL;
    site->level = level_of(route, wish);
    site->never_tls = route && route->tls == BH_TLS_NONE && site->level == BH_TLS_LEVEL_OPPORTUNISTIC;
    if (route)
        (void)!bh_str_to_c(route->host, site->route_host, sizeof(site->route_host));
}

static bh_err make_key(char *key, size_t n, const struct site_of *of)
{
    const struct bh_route *route = of->route;
    int written =
        route ? snprintf(key, n, ">%.*s:%u/%d/%d %.*s %.*s %.*s", BH_FMT(route->host), route->port, (int)route->tls,
                         (int)of->wish, BH_FMT(of->helo), BH_FMT(of->source4), BH_FMT(of->source6))
              : snprintf(key, n, "%.*s/%d %.*s %.*s %.*s", BH_FMT(of->domain), (int)of->wish, BH_FMT(of->helo),
                         BH_FMT(of->source4), BH_FMT(of->source6));

    return written > 0 && (size_t)written < n ? BH_OK : BH_E_LIMIT;
}

static struct site *make_site(struct sender *sender, const char *key, const struct site_of *of)
{
    struct site *site = calloc(1, sizeof(*site));

    if (!site || bh_str_to_c(of->domain, site->domain, sizeof(site->domain)) ||
        bh_str_to_c(of->helo, site->helo, sizeof(site->helo)) ||
        bh_str_to_c(of->source4, site->source4, sizeof(site->source4)) ||
        bh_str_to_c(of->source6, site->source6, sizeof(site->source6))) {
        free(site);
        return NULL;
    }
    site->sender = sender;
    (void)snprintf(site->key, sizeof(site->key), "%s", key);
    bh_list_init(&site->waiting);
    bh_list_init(&site->sessions);
    take_route(site, of->route, of->wish);
    site->sts_policy = bh_buf_make(BH_STS_POLICY_MAX);
    site->trail = bh_buf_make(TRAIL_MAX);
    if (bh_map_add(&sender->sites, bh_str_c(site->key), &site->node) != BH_OK) {
        free(site);
        return NULL;
    }
    return site;
}

static void free_site(struct site *site)
{
    bh_exchange_cancel(site->exchange);
    bh_sts_cancel(site->sts);
    for (size_t i = 0; i < site->host_count; i++)
        bh_buf_free(&site->hosts[i].records);
    bh_buf_free(&site->sts_policy);
    bh_buf_free(&site->trail);
    bh_map_remove(&site->sender->sites, &site->node);
    free(site);
}

/* An empty site is kept while its addresses are still good: it costs little and saves look-ups. */
static void forget_if_stale(struct site *site)
{
    if (site->session_count == 0 && site->waiting_count == 0 && !site->exchange && !site->sts &&
        site->known_until < bh_loop_now(site->sender->role->loop))
        free_site(site);
}

void bh_sites_free(struct sender *sender)
{
    for (struct bh_map_node *node; (node = bh_map_next(&sender->sites, NULL));) {
        struct site *site = BH_CONTAINER_OF(node, struct site, node);

        for (struct bh_list *link; (link = bh_list_first(&site->sessions));)
            bh_session_close(bh_session_of(link));
        free_site(site);
    }
    bh_map_free(&sender->sites);
}

/* ---- failing ---- */

static void end_all_waiting(struct site *site, enum bh_delivery_verdict verdict, uint16_t code, const char *enhanced,
                            const char *why, const char *phase)
{
    for (struct bh_list *link; (link = bh_list_pop(&site->waiting));) {
        site->waiting_count--;
        bh_delivery_end(BH_CONTAINER_OF(link, struct delivery, list),
                        &(struct delivery_end){.verdict = verdict,
                                               .code = code,
                                               .enhanced = enhanced,
                                               .text = bh_str_c(why),
                                               .remote = bh_str_c(site->by_route ? site->route_host : site->domain),
                                               .phase = phase,
                                               .trail = bh_buf_view(&site->trail)});
    }
    bh_buf_clear(&site->trail);
}

/* ---- sessions ---- */

static bool sts_allows(const struct site *site, const char *host)
{
    struct bh_sts_policy policy;

    return bh_sts_policy_read(bh_buf_view(&site->sts_policy), &policy) == BH_OK &&
           bh_sts_policy_allows(&policy, bh_str_c(host));
}

static void plan_for(const struct site *site, size_t address, struct bh_tls_plan *ret_plan)
{
    size_t host = site->addresses[address].host;
    struct bh_tls_facts facts = {.never = site->never_tls,
                                 .level = site->level,
                                 .tlsa = site->hosts[host].tlsa,
                                 .sts = site->sts_mode,
                                 .sts_allows =
                                     site->sts_mode != BH_STS_NONE && sts_allows(site, site->hosts[host].name)};

    bh_tls_plan(&facts, ret_plan);
    if (ret_plan->step == BH_TLS_MAY && site->no_tls_until[host] > bh_loop_now(site->sender->role->loop))
        ret_plan->step = BH_TLS_NEVER;
}

/* The addresses that did not fail in this round and may be used. */
static size_t find_tries(struct site *site, struct session_try *tries, const char **ret_why)
{
    size_t count = 0;

    for (size_t i = 0; i < site->address_count && count < BH_SESSION_TRIES_MAX; i++) {
        struct session_try *try = &tries[count];

        if (site->failed[i])
            continue;
        *try = (struct session_try){&site->addresses[i], &site->hosts[site->addresses[i].host], i, {0}};
        plan_for(site, i, &try->plan);
        if (try->plan.step != BH_TLS_SKIP) {
            count++;
            continue;
        }
        *ret_why = try->plan.why;
        bh_buf_printf(&site->trail, "%s%s: %s", site->trail.n ? "; " : "", try->host->name, try->plan.why);
        bh_site_note_tls(site, i, &try->plan, try->plan.failure, BH_STR(""), bh_str_c(try->plan.why));
        bh_site_address_failed(site, i);
    }
    return count;
}

bool bh_site_wants_session(const struct site *site)
{
    const struct bh_config *c = site->sender->role->config;

    uint32_t most = site->connections ? site->connections : c->connections_per_site;

    return site->waiting_count > 0 && site->session_count < most && site->sender->connections < c->connection_limit;
}

static void new_round(struct site *site)
{
    site->failures_in_a_row = 0;
    memset(site->failed, 0, sizeof(site->failed));
}

/* Nobody can be reached: those that wait are queued's again. */
static void give_up(struct site *site, const char *enhanced, const char *why, const char *phase)
{
    new_round(site);
    end_all_waiting(site, BH_DEFERRED, 0, enhanced, why, phase);
}

static void open_sessions(struct site *site)
{
    struct session_try tries[BH_SESSION_TRIES_MAX];

    while (site->address_count && bh_site_wants_session(site)) {
        const char *not_allowed = NULL;
        struct session_wish wish = {.tries = tries,
                                    .helo = bh_str_c(site->helo),
                                    .domain = bh_str_c(site->by_route ? "" : site->domain),
                                    .source4 = bh_str_c(site->source4),
                                    .source6 = bh_str_c(site->source6),
                                    .messages_max = site->messages_per_connection};
        struct session *session;

        wish.count = find_tries(site, tries, &not_allowed);
        session = wish.count ? bh_session_open(site->sender, site, &wish) : NULL;
        if (!session) {
            if (site->session_count == 0)
                give_up(site, not_allowed ? "4.7.5" : "4.4.1",
                        not_allowed ? not_allowed : "cannot make a socket to any address",
                        not_allowed ? "tls" : "connect");
            return;
        }
        bh_list_push(&site->sessions, bh_session_link(session));
        site->session_count++;
        if (site->session_count >= site->waiting_count)
            return;
    }
}

void bh_site_address_failed(struct site *site, size_t index)
{
    if (index < site->address_count)
        site->failed[index] = true;
}

static bool is_address_left(const struct site *site)
{
    for (size_t i = 0; i < site->address_count; i++)
        if (!site->failed[i])
            return true;
    return false;
}

/* A session that took no delivery has failed, however far it came: each new one is then for an address that was not
 * tried yet. When all were, those that are still open decide, and nobody knocks again before queued says so. */
void bh_site_session_gone(struct site *site, struct session *session, enum session_end how, const char *why)
{
    bool may_open = true;

    bh_list_remove(bh_session_link(session));
    site->session_count--;
    if (how == SESSION_WORKED) {
        new_round(site);
        bh_buf_clear(&site->trail);
    } else if (how == SESSION_FAILED) {
        bh_buf_printf(&site->trail, "%s%s", site->trail.n ? "; " : "", why);
        may_open = ++site->failures_in_a_row < site->address_count && is_address_left(site);
        if (!may_open && site->session_count == 0)
            give_up(site, "4.4.1", why, "connect");
    }
    if (may_open)
        open_sessions(site);
    forget_if_stale(site);
}

void bh_site_no_tls(struct site *site, size_t index)
{
    site->no_tls_until[site->addresses[index].host] = bh_loop_now(site->sender->role->loop) + NO_TLS_MS;
}

/* ---- what the reports tell of TLS (RFC 8460) ---- */

/* A TLSA record as text: "3 1 1 0123…". */
static void print_tlsa(struct bh_buf *out, bh_str rdata)
{
    bh_buf_printf(out, "%u %u %u ", (unsigned)(unsigned char)rdata.p[0], (unsigned)(unsigned char)rdata.p[1],
                  (unsigned)(unsigned char)rdata.p[2]);
    bh_hex_encode(out, bh_str_skip(rdata, 3));
    bh_buf_char(out, '\n');
}

static void print_policy(const struct site *site, const struct mx_host *host, struct tls_note *note,
                         struct bh_buf *text, struct bh_buf *patterns)
{
    struct bh_sts_policy policy;
    struct bh_cur records = bh_cur_make(bh_buf_view(&host->records));

    if (host->tlsa != BH_TLSA_ABSENT) {
        note->policy_type = "tlsa";
        while (bh_cur_left(&records)) {
            bh_str rdata = bh_cur_str(&records);

            if (rdata.n > 3) /* as they were kept */
                print_tlsa(text, rdata);
        }
        bh_buf_printf(patterns, "%s\n", host->name);
    } else if (site->sts_mode != BH_STS_NONE && bh_sts_policy_read(bh_buf_view(&site->sts_policy), &policy) == BH_OK) {
        note->policy_type = "sts";
        bh_buf_add(text, bh_buf_view(&site->sts_policy));
        for (size_t i = 0; i < policy.mx_count; i++)
            bh_buf_printf(patterns, "%.*s\n", BH_FMT(policy.mx[i]));
    } else {
        note->policy_type = "no-policy-found";
    }
    note->policy = bh_buf_view(text);
    note->mx_hosts = bh_buf_view(patterns);
}

void bh_site_note_tls(struct site *site, size_t index, const struct bh_tls_plan *plan, const char *failure,
                      bh_str sending, bh_str reason)
{
    const struct address *address = &site->addresses[index];
    const struct mx_host *host = &site->hosts[address->host];
    struct bh_buf text = bh_buf_make(16 * 1024), patterns = bh_buf_make(16 * 1024);
    char literal[INET6_ADDRSTRLEN] = "";
    struct tls_note note = {.domain = bh_str_c(site->domain), .failure = failure, .sending = sending, .reason = reason};

    if (site->by_route || plan->step == BH_TLS_NEVER)
        return;
    print_policy(site, host, &note, &text, &patterns);
    (void)inet_ntop(address->to.any.sa_family,
                    address->to.any.sa_family == AF_INET ? (const void *)&address->to.v4.sin_addr
                                                         : (const void *)&address->to.v6.sin6_addr,
                    literal, sizeof(literal));
    note.mx = bh_str_c(host->name);
    note.receiving = bh_str_c(literal);
    bh_tls_note(site->sender, &note);
    bh_buf_free(&text);
    bh_buf_free(&patterns);
}

bh_str bh_site_trail(const struct site *site)
{
    return bh_buf_view(&site->trail);
}

struct delivery *bh_site_next(struct site *site)
{
    struct bh_list *link = bh_list_pop(&site->waiting);

    if (!link)
        return NULL;
    site->waiting_count--;
    return BH_CONTAINER_OF(link, struct delivery, list);
}

/* Idle sessions first, then new ones. */
static void serve(struct site *site)
{
    BH_LIST_EACH (link, &site->sessions) {
        if (!site->waiting_count)
            return;
        (void)bh_session_offer(bh_session_of(link));
    }
    open_sessions(site);
}

/* ---- addresses ---- */

static void take_hosts(struct site *site, const struct exchange_result *result)
{
    for (size_t i = 0; i < site->host_count; i++)
        bh_buf_free(&site->hosts[i].records);
    memset(site->no_tls_until, 0, sizeof(site->no_tls_until));
    for (size_t i = 0; i < result->host_count; i++) {
        site->hosts[i] = result->hosts[i];
        result->hosts[i].records = bh_buf_make(0);
    }
    site->host_count = result->host_count;
    memcpy(site->addresses, result->addresses, result->count * sizeof(*result->addresses));
    site->address_count = result->count;
    site->exchange_ttl_s = result->ttl_s;
}

/* Addresses and policy are both there. */
static void go(struct site *site)
{
    uint32_t ttl_s = site->sts_ttl_s < site->exchange_ttl_s ? site->sts_ttl_s : site->exchange_ttl_s;
    bh_time_ms keep = (bh_time_ms)ttl_s * 1000;

    if (site->exchange || site->sts)
        return;
    keep = keep < KEEP_LEAST_MS ? KEEP_LEAST_MS : keep > KEEP_MOST_MS ? KEEP_MOST_MS : keep;
    site->known_until = bh_loop_now(site->sender->role->loop) + keep;
    new_round(site);
    serve(site);
}

static void on_exchange(void *ctx, const struct exchange_result *result)
{
    struct site *site = ctx;

    site->exchange = NULL;
    if (result->outcome != EXCHANGE_FOUND) {
        bh_sts_cancel(site->sts);
        site->sts = NULL;
        end_all_waiting(site, result->outcome == EXCHANGE_PERM ? BH_BOUNCED : BH_DEFERRED, 0, result->enhanced,
                        result->why, "dns");
        return;
    }
    if (!site->by_route)
        bh_tell_site(site->sender, site->domain, result);
    take_hosts(site, result);
    go(site);
}

static void on_sts(void *ctx, const struct sts_result *result)
{
    struct site *site = ctx;

    site->sts = NULL;
    site->sts_mode = result->mode;
    site->sts_ttl_s = result->ttl_s;
    bh_buf_clear(&site->sts_policy);
    bh_buf_add(&site->sts_policy, result->policy);
    if (result->failure)
        bh_tls_note(site->sender,
                    &(struct tls_note){.domain = bh_str_c(site->domain),
                                       .policy_type = result->mode == BH_STS_NONE ? "no-policy-found" : "sts",
                                       .policy = result->policy,
                                       .failure = result->failure});
    go(site);
}

static void look_up(struct site *site)
{
    struct exchange *exchange;

    site->sts_ttl_s = UINT32_MAX;
    if (!site->by_route && !site->never_tls && !site->sts)
        site->sts = bh_sts_begin(site->sender, bh_str_c(site->domain), on_sts, site);
    exchange = bh_exchange_begin(site->sender, bh_str_c(site->by_route ? site->route_host : site->domain),
                                 site->by_route, site->port, on_exchange, site);
    if (exchange)
        site->exchange = exchange;
    else if (!site->address_count && site->waiting_count)
        end_all_waiting(site, BH_DEFERRED, 0, "4.4.3", "no look-up can be started now", "dns");
}

/* ---- adding ---- */

static bool is_ascii(bh_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

static struct site *find_site(struct delivery *delivery)
{
    struct sender *sender = delivery->sender;
    const struct bh_config *config = sender->role->config;
    const struct bh_msg_deliver *m = &delivery->message;
    bh_str domain = bh_str_skip(m->recipient, bh_str_rfind(m->recipient, '@') + 1);
    struct bh_route other = {.host = m->route_host, .port = m->route_port ? m->route_port : config->smtp_port};
    struct site_of of = {.domain = bh_str_lower(delivery->arena, domain),
                         .helo = m->helo.n ? m->helo : config->hostname,
                         .wish = m->tls <= BH_TLS_LEVEL_VERIFIED ? (enum bh_tls_level)m->tls : BH_TLS_LEVEL_VERIFIED,
                         .source4 = m->address4,
                         .source6 = m->address6};
    struct bh_map_node *node;
    char key[900];

    if (!is_ascii(of.domain) && bh_domain_a_labels(delivery->arena, of.domain, &of.domain)) /* U-labels have no MX */
        return NULL;
    of.route = m->route_host.n ? &other : bh_config_route(config, of.domain);
    if (of.domain.n == 0 || make_key(key, sizeof(key), &of) != BH_OK)
        return NULL;
    node = bh_map_get(&sender->sites, bh_str_c(key));
    return node ? BH_CONTAINER_OF(node, struct site, node) : make_site(sender, key, &of);
}

void bh_site_add(struct delivery *delivery)
{
    struct site *site = find_site(delivery);

    if (!site) {
        bh_delivery_end(delivery, &(struct delivery_end){.verdict = BH_BOUNCED,
                                                         .code = 0,
                                                         .enhanced = "5.1.2",
                                                         .text = BH_STR("the recipient's address has no usable domain"),
                                                         .phase = "dns"});
        return;
    }
    site->connections = delivery->message.connections;
    site->messages_per_connection = delivery->message.messages_per_connection;
    delivery->site = site;
    bh_list_push(&site->waiting, &delivery->list);
    site->waiting_count++;
    if (site->exchange || site->sts)
        return;
    if (site->known_until < bh_loop_now(site->sender->role->loop))
        look_up(site);
    else
        serve(site);
}
