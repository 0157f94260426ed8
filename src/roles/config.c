/* config.c: the snapshot as bytes. One walk over all members serves both directions: `put` and `get` cannot drift. */
#include "config.h"

enum { LIST_MAX = 100000, ARENA_MAX = 64 << 20 };

/* Either direction of the walk. */
struct walk {
    struct bh_buf *out; /* NULL when reading */
    struct bh_cur cur;
    struct bh_arena *arena;
    bool failed;
};

static void walk_u64(struct walk *walk, uint64_t *v)
{
    if (walk->out)
        bh_buf_u64(walk->out, *v);
    else
        *v = bh_cur_u64(&walk->cur);
}

static void walk_u32(struct walk *walk, uint32_t *v)
{
    uint64_t wide = *v;

    walk_u64(walk, &wide);
    *v = (uint32_t)wide;
}

static void walk_u16(struct walk *walk, uint16_t *v)
{
    uint64_t wide = *v;

    walk_u64(walk, &wide);
    *v = (uint16_t)wide;
}

static void walk_bool(struct walk *walk, bool *v)
{
    uint64_t wide = *v;

    walk_u64(walk, &wide);
    *v = wide != 0;
}

static void walk_str(struct walk *walk, bh_str *v)
{
    if (walk->out) {
        bh_buf_str(walk->out, *v);
        return;
    }
    *v = bh_arena_dup(walk->arena, bh_cur_str(&walk->cur));
    if (!v->p)
        walk->failed = true;
}

/* Length of a list, and room for it when reading. */
static void *walk_list(struct walk *walk, void *items, size_t *count, size_t item_size)
{
    uint64_t wide = *count;

    walk_u64(walk, &wide);
    if (walk->out)
        return items;
    *count = 0;
    if (wide > LIST_MAX) {
        walk->failed = true;
        return NULL;
    }
    items = bh_arena_array(walk->arena, (size_t)wide, item_size);
    if (items)
        *count = (size_t)wide;
    else
        walk->failed = true;
    return items;
}

static void walk_strs(struct walk *walk, bh_str **list, size_t *count)
{
    *list = walk_list(walk, *list, count, sizeof(**list));
    for (size_t i = 0; i < *count; i++)
        walk_str(walk, &(*list)[i]);
}

#define WALK_ENUM(walk, type, member)                                                                                  \
    do {                                                                                                               \
        uint32_t number_ = (uint32_t)(member);                                                                         \
        walk_u32((walk), &number_);                                                                                    \
        (member) = (type)number_;                                                                                      \
    } while (0)

static void walk_names(struct walk *walk, struct bh_config *c)
{
    bh_str *const members[] = {&c->platform,      &c->hostname,        &c->inbound_host, &c->state_dir, &c->run_dir,
                               &c->control_group, &c->tls_certificate, &c->tls_key,      &c->ca_file,   &c->root_hints,
                               &c->trust_anchor,  &c->dmarc_policy,    &c->catalog,      &c->caa};

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        walk_str(walk, members[i]);
    walk_strs(walk, &c->inbound_addresses, &c->inbound_address_count);
    walk_strs(walk, &c->egress, &c->egress_count);
    walk_strs(walk, &c->web_addresses, &c->web_address_count);
    walk_strs(walk, &c->forwards, &c->forward_count);
    walk_strs(walk, &c->contacts, &c->contact_count);
}

static void walk_numbers(struct walk *walk, struct bh_config *c)
{
    uint32_t *const members[] = {&c->uid_base,
                                 &c->smtpd_count,
                                 &c->sender_count,
                                 &c->dnsd_count,
                                 &c->signer_threads,
                                 &c->session_limit,
                                 &c->sessions_per_client,
                                 &c->connection_limit,
                                 &c->connections_per_site,
                                 &c->recipients_max,
                                 &c->hops_max,
                                 &c->idle_timeout_s,
                                 &c->retry_first_s,
                                 &c->retry_max_s,
                                 &c->retry_growth,
                                 &c->delay_notice_s,
                                 &c->expire_s,
                                 &c->retention_s,
                                 &c->unacknowledged_max,
                                 &c->queue_max,

                                 &c->bounce_keep_s,
                                 &c->zone_ttl_s,
                                 &c->egress_keep_s,
                                 &c->dnssec_hold_s,
                                 &c->dnssec_roll_s,
                                 &c->grace_s,
                                 &c->loss_s,
                                 &c->unanimous_s,
                                 &c->tombstone_s,
                                 &c->canary_every_s,
                                 &c->canary_failures,
                                 &c->key_period_s,
                                 &c->receiver_delay_s,
                                 &c->key_cache,
                                 &c->query_log_sample};

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        walk_u32(walk, members[i]);
    walk_u64(walk, &c->message_size_max);
    walk_u64(walk, &c->queue_memory_max);
    walk_u64(walk, &c->queue_min_free);
    walk_u16(walk, &c->dns_port_override);
    walk_u16(walk, &c->smtp_port);
    walk_bool(walk, &c->egress_bind);
    walk_bool(walk, &c->dnssec_platform);
    walk_bool(walk, &c->log_debug);
    walk_bool(walk, &c->require_dmarc);
    walk_bool(walk, &c->fetch_private);
    WALK_ENUM(walk, enum bh_resolver_mode, c->resolver_mode);
}

static void walk_secondary(struct walk *walk, struct bh_secondary *secondary)
{
    walk_str(walk, &secondary->label);
    walk_str(walk, &secondary->tsig_key);
    secondary->notify = walk_list(walk, secondary->notify, &secondary->notify_count, sizeof(*secondary->notify));
    for (size_t i = 0; i < secondary->notify_count; i++) {
        walk_str(walk, &secondary->notify[i].address);
        walk_u16(walk, &secondary->notify[i].port);
    }
}

static void walk_sections(struct walk *walk, struct bh_config *c)
{
    c->listeners = walk_list(walk, c->listeners, &c->listener_count, sizeof(*c->listeners));
    for (size_t i = 0; i < c->listener_count; i++) {
        WALK_ENUM(walk, enum bh_listen_protocol, c->listeners[i].protocol);
        walk_str(walk, &c->listeners[i].address);
        walk_u16(walk, &c->listeners[i].port);
        walk_str(walk, &c->listeners[i].trust);
    }
    c->nameservers = walk_list(walk, c->nameservers, &c->nameserver_count, sizeof(*c->nameservers));
    for (size_t i = 0; i < c->nameserver_count; i++) {
        walk_str(walk, &c->nameservers[i].label);
        walk_strs(walk, &c->nameservers[i].addresses, &c->nameservers[i].address_count);
    }
    c->secondaries = walk_list(walk, c->secondaries, &c->secondary_count, sizeof(*c->secondaries));
    for (size_t i = 0; i < c->secondary_count; i++)
        walk_secondary(walk, &c->secondaries[i]);
    c->stubs = walk_list(walk, c->stubs, &c->stub_count, sizeof(*c->stubs));
    for (size_t i = 0; i < c->stub_count; i++) {
        walk_str(walk, &c->stubs[i].zone);
        walk_strs(walk, &c->stubs[i].addresses, &c->stubs[i].address_count);
    }
    c->routes = walk_list(walk, c->routes, &c->route_count, sizeof(*c->routes));
    for (size_t i = 0; i < c->route_count; i++) {
        walk_str(walk, &c->routes[i].domain);
        walk_str(walk, &c->routes[i].host);
        walk_u16(walk, &c->routes[i].port);
        WALK_ENUM(walk, enum bh_route_tls, c->routes[i].tls);
    }
}

static void walk_all(struct walk *walk, struct bh_config *c)
{
    walk_names(walk, c);
    walk_numbers(walk, c);
    walk_sections(walk, c);
}

void bh_config_put(struct bh_buf *out, const struct bh_config *config)
{
    struct bh_config copy = *config; /* the walk takes pointers that it may write; writing out it does not */
    struct walk walk = {.out = out};

    walk_all(&walk, &copy);
}

bh_err bh_config_get(bh_str bytes, struct bh_config **ret_config)
{
    struct bh_arena *arena = bh_arena_new(ARENA_MAX);
    struct bh_config *config = arena ? bh_arena_alloc(arena, sizeof(*config)) : NULL;
    struct walk walk = {.cur = bh_cur_make(bytes), .arena = arena};

    if (!config) {
        bh_arena_free(arena);
        return BH_E_NOMEM;
    }
    config->arena = arena;
    walk_all(&walk, config);
    if (walk.failed || !bh_cur_done(&walk.cur)) {
        bh_arena_free(arena);
        return BH_E_SYNTAX;
    }
    *ret_config = config;
    return BH_OK;
}

void bh_config_free(struct bh_config *config)
{
    if (config)
        bh_arena_free(config->arena);
}

const struct bh_route *bh_config_route(const struct bh_config *config, bh_str domain)
{
    const struct bh_route *fallback = NULL;

    for (size_t i = 0; i < config->route_count; i++) {
        if (bh_str_eq_ci(config->routes[i].domain, domain))
            return &config->routes[i];
        if (bh_str_eq(config->routes[i].domain, BH_STR("*")))
            fallback = &config->routes[i];
    }
    return fallback;
}
