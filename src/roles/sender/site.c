/* site.c: deliveries that go to the same place, and the sessions that take them there.
 *
 * A site is keyed by route or domain and by HELO name. Its addresses are looked up when the first delivery comes and
 * kept for their TTL. Sessions are opened as deliveries wait, up to the limits; each takes the next waiting delivery
 * whenever it has room. When no address can be reached, all that wait are deferred: queued decides when to try again.
 */
#include "sender.h"
#include <stdio.h>
#include <stdlib.h>

enum { KEEP_LEAST_MS = 60 * 1000, KEEP_MOST_MS = 3600 * 1000, NO_TLS_MS = 3600 * 1000 };

struct site {
    struct bh_map_node node; /* in sender->sites */
    struct sender *sender;
    char key[600];
    char domain[256];
    char helo[256];
    const struct bh_route *route; /* only while looking up; copied facts below */
    bool by_route, to_host;
    char route_host[256];
    uint16_t port;
    enum bh_route_tls route_tls;
    struct bh_list waiting;
    size_t waiting_count;
    struct bh_list sessions;
    size_t session_count;
    struct exchange *exchange;
    struct address addresses[BH_SITE_ADDRESSES_MAX];
    size_t address_count;
    size_t next_address; /* to try */
    bh_time_ms known_until;
    bh_time_ms no_tls_until; /* the handshake failed: opportunistic TLS goes on in clear */
    size_t failures_in_a_row;
};

/* ---- making and forgetting ---- */

static void take_route(struct site *site, const struct bh_route *route)
{
    const struct bh_config *c = site->sender->role->config;

    site->port = route ? route->port : c->smtp_port;
    site->by_route = route != NULL;
    site->route_tls = route ? route->tls : BH_TLS_OPPORTUNISTIC;
    if (route)
        (void)!bh_str_to_c(route->host, site->route_host, sizeof(site->route_host));
}

static bh_err make_key(char *key, size_t n, const struct bh_route *route, bh_str domain, bh_str helo)
{
    int written =
        route ? snprintf(key, n, ">%.*s:%u/%d %.*s", BH_FMT(route->host), route->port, (int)route->tls, BH_FMT(helo))
              : snprintf(key, n, "%.*s %.*s", BH_FMT(domain), BH_FMT(helo));

    return written > 0 && (size_t)written < n ? BH_OK : BH_E_LIMIT;
}

static struct site *make_site(struct sender *sender, const char *key, const struct bh_route *route, bh_str domain,
                              bh_str helo)
{
    struct site *site = calloc(1, sizeof(*site));

    if (!site || bh_str_to_c(domain, site->domain, sizeof(site->domain)) != BH_OK ||
        bh_str_to_c(helo, site->helo, sizeof(site->helo)) != BH_OK) {
        free(site);
        return NULL;
    }
    site->sender = sender;
    (void)snprintf(site->key, sizeof(site->key), "%s", key);
    bh_list_init(&site->waiting);
    bh_list_init(&site->sessions);
    take_route(site, route);
    if (bh_map_add(&sender->sites, bh_str_c(site->key), &site->node) != BH_OK) {
        free(site);
        return NULL;
    }
    return site;
}

static void free_site(struct site *site)
{
    bh_exchange_cancel(site->exchange);
    bh_map_remove(&site->sender->sites, &site->node);
    free(site);
}

/* An empty site is kept while its addresses are still good: it costs little and saves look-ups. */
static void forget_if_stale(struct site *site)
{
    if (site->session_count == 0 && site->waiting_count == 0 && !site->exchange &&
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
                                               .phase = phase});
    }
}

/* ---- sessions ---- */

static enum bh_smtp_client_tls tls_mode(const struct site *site)
{
    if (site->route_tls == BH_TLS_NONE)
        return BH_SMTP_TLS_NEVER;
    if (site->route_tls == BH_TLS_REQUIRED)
        return BH_SMTP_TLS_REQUIRED;
    return site->no_tls_until > bh_loop_now(site->sender->role->loop) ? BH_SMTP_TLS_NEVER : BH_SMTP_TLS_IF_OFFERED;
}

bool bh_site_wants_session(const struct site *site)
{
    const struct bh_config *c = site->sender->role->config;

    return site->waiting_count > 0 && site->session_count < c->connections_per_site &&
           site->sender->connections < c->connection_limit;
}

static void open_sessions(struct site *site)
{
    const char *why = "no address";

    while (site->address_count && bh_site_wants_session(site)) {
        const struct address *address = &site->addresses[site->next_address % site->address_count];
        struct session *session = bh_session_open(site->sender, site, address, bh_str_c(site->helo), tls_mode(site));

        if (session) {
            bh_list_push(&site->sessions, bh_session_link(session));
            site->session_count++;
            if (site->session_count >= site->waiting_count)
                return;
            continue;
        }
        site->next_address++;
        why = "cannot make a socket to this address";
        if (++site->failures_in_a_row >= site->address_count) {
            site->failures_in_a_row = 0;
            if (site->session_count == 0)
                end_all_waiting(site, BH_DEFERRED, 0, "4.4.1", why, "connect");
            return;
        }
    }
}

/* A session that took no delivery has failed, however far it came: each new one is then for an address that was not
 * tried yet. When all were, those that are still open decide, and nobody knocks again before queued says so. */
void bh_site_session_gone(struct site *site, struct session *session, bool worked, const char *why)
{
    bool may_open = true;

    bh_list_remove(bh_session_link(session));
    site->session_count--;
    if (worked) {
        site->failures_in_a_row = 0;
    } else {
        site->next_address++;
        may_open = ++site->failures_in_a_row < site->address_count;
        if (!may_open && site->session_count == 0) {
            site->failures_in_a_row = 0;
            end_all_waiting(site, BH_DEFERRED, 0, "4.4.1", why, "connect");
        }
    }
    if (may_open)
        open_sessions(site);
    forget_if_stale(site);
}

void bh_site_no_tls(struct site *site);

void bh_site_no_tls(struct site *site)
{
    site->no_tls_until = bh_loop_now(site->sender->role->loop) + NO_TLS_MS;
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

static void on_exchange(void *ctx, const struct exchange_result *result)
{
    struct site *site = ctx;
    bh_time_ms keep = (bh_time_ms)result->ttl_s * 1000;

    site->exchange = NULL;
    if (result->outcome != EXCHANGE_FOUND) {
        end_all_waiting(site, result->outcome == EXCHANGE_PERM ? BH_BOUNCED : BH_DEFERRED, 0, result->enhanced,
                        result->why, "dns");
        return;
    }
    if (!site->by_route)
        bh_tell_site(site->sender, site->domain, result->addresses, result->count);
    memcpy(site->addresses, result->addresses, result->count * sizeof(*result->addresses));
    site->address_count = result->count;
    site->next_address = 0;
    site->failures_in_a_row = 0;
    keep = keep < KEEP_LEAST_MS ? KEEP_LEAST_MS : keep > KEEP_MOST_MS ? KEEP_MOST_MS : keep;
    site->known_until = bh_loop_now(site->sender->role->loop) + keep;
    serve(site);
}

static void look_up(struct site *site)
{
    bool again = site->address_count > 0;
    struct exchange *exchange =
        bh_exchange_begin(site->sender, bh_str_c(site->by_route ? site->route_host : site->domain), site->by_route,
                          site->port, on_exchange, site);

    if (exchange)
        site->exchange = exchange;
    else if (!again && !site->address_count && site->waiting_count)
        end_all_waiting(site, BH_DEFERRED, 0, "4.4.3", "no look-up can be started now", "dns");
}

/* ---- adding ---- */

static struct site *site_of(struct delivery *delivery)
{
    struct sender *sender = delivery->sender;
    const struct bh_msg_deliver *m = &delivery->message;
    bh_str domain = bh_str_skip(m->recipient, bh_str_rfind(m->recipient, '@') + 1);
    bh_str lower = bh_str_lower(delivery->arena, domain);
    bh_str helo = m->helo.n ? m->helo : sender->role->config->hostname;
    const struct bh_route *route = bh_config_route(sender->role->config, lower);
    struct bh_map_node *node;
    char key[600];

    if (lower.n == 0 || make_key(key, sizeof(key), route, lower, helo) != BH_OK)
        return NULL;
    node = bh_map_get(&sender->sites, bh_str_c(key));
    return node ? BH_CONTAINER_OF(node, struct site, node) : make_site(sender, key, route, lower, helo);
}

void bh_site_add(struct delivery *delivery)
{
    struct site *site = site_of(delivery);

    if (!site) {
        bh_delivery_end(delivery, &(struct delivery_end){.verdict = BH_BOUNCED,
                                                         .code = 0,
                                                         .enhanced = "5.1.2",
                                                         .text = BH_STR("the recipient's address has no usable domain"),
                                                         .phase = "dns"});
        return;
    }
    delivery->site = site;
    bh_list_push(&site->waiting, &delivery->list);
    site->waiting_count++;
    if (site->exchange)
        return;
    if (site->known_until < bh_loop_now(site->sender->role->loop))
        look_up(site);
    else
        serve(site);
}
