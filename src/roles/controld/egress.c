/* egress.c: see egress.h, core.h. The store is small here (pools and addresses, not domains), so all of it is held in
 * memory and read again after each change; only the pool of a domain is asked for. */
#include "egress.h"
#include "domain/networks.h"
#include <stdlib.h>

enum {
    ARENA_BYTES = 16 << 20,
    ADDRESSES_MAX = 4096,
    POOLS_MAX = 1024,
    USES_MAX = 10000,
    KEEP_MS = 5 * 24 * 3600 * 1000,
    SWEEP_FIRST_MS = 1000
};

static void complain(struct bh_controld *core, const char *what, bh_err err)
{
    const char *words = bh_store_error(core->store);

    core->out->log(core->out_ctx, BH_LOG_ERROR, what, bh_str_c(*words ? words : bh_err_text(err)));
}

/* ---- reading ---- */

struct reading {
    struct bh_egress *egress;
    bh_err err;
};

static void take_pool(void *ctx, const struct bh_egress_pool *pool)
{
    struct reading *reading = ctx;
    struct bh_egress *egress = reading->egress;
    struct bh_egress_pool copy = *pool;

    copy.name = bh_arena_dup(egress->arena, pool->name);
    if (!copy.name.p || egress->pool_count == POOLS_MAX)
        reading->err = copy.name.p ? BH_E_LIMIT : BH_E_NOMEM;
    else
        egress->pools[egress->pool_count++] = copy;
}

static void take_address(void *ctx, const struct bh_egress_address *address)
{
    struct reading *reading = ctx;
    struct bh_egress *egress = reading->egress;
    struct bh_egress_address copy = *address;

    copy.address = bh_arena_dup(egress->arena, address->address);
    copy.helo = bh_arena_dup(egress->arena, address->helo);
    copy.ptr_problem = bh_arena_dup(egress->arena, address->ptr_problem);
    if (!copy.address.p || !copy.helo.p || !copy.ptr_problem.p || egress->address_count == ADDRESSES_MAX)
        reading->err = egress->address_count == ADDRESSES_MAX ? BH_E_LIMIT : BH_E_NOMEM;
    else
        egress->addresses[egress->address_count++] = copy;
}

static void take_use(void *ctx, const struct bh_pool_use *use)
{
    struct reading *reading = ctx;
    struct bh_egress *egress = reading->egress;

    if (use->earlier && egress->use_count < USES_MAX) /* the settled ones are asked for one by one */
        egress->uses[egress->use_count++] = *use;
}

static bh_err read_all(struct bh_controld *core, struct bh_egress *egress)
{
    struct reading reading = {egress, BH_OK};
    bh_err err;

    egress->pools = bh_arena_array(egress->arena, POOLS_MAX, sizeof(*egress->pools));
    egress->addresses = bh_arena_array(egress->arena, ADDRESSES_MAX, sizeof(*egress->addresses));
    egress->uses = bh_arena_array(egress->arena, USES_MAX, sizeof(*egress->uses));
    egress->pool_count = egress->address_count = egress->use_count = 0;
    if (!egress->pools || !egress->addresses || !egress->uses)
        return BH_E_NOMEM;
    err = bh_pool_list(core->store, take_pool, &reading);
    if (!err)
        err = bh_egress_list(core->store, take_address, &reading);
    if (!err)
        err = bh_pool_use_list(core->store, take_use, &reading);
    return err ? err : reading.err;
}

/* ---- what the platform has of it ---- */

/* Addresses of one HELO name, whatever their pools. */
static bh_err make_hosts(struct bh_controld *core, struct bh_egress *egress)
{
    struct bh_platform_host *hosts = bh_arena_array(egress->arena, egress->address_count + 1, sizeof(*hosts));
    size_t count = 0;

    if (!hosts)
        return BH_E_NOMEM;
    for (size_t i = 0; i < egress->address_count; i++) {
        bh_str helo = egress->addresses[i].helo, *list;
        size_t n = 0, known = 0;

        while (known < count && !bh_str_eq(hosts[known].name, helo))
            known++;
        if (known < count)
            continue;
        if (!(list = bh_arena_array(egress->arena, egress->address_count, sizeof(*list))))
            return BH_E_NOMEM;
        for (size_t k = i; k < egress->address_count; k++)
            if (bh_str_eq(egress->addresses[k].helo, helo))
                list[n++] = egress->addresses[k].address;
        hosts[count++] = (struct bh_platform_host){helo, list, n};
    }
    core->platform.hosts = hosts;
    core->platform.host_count = count;
    return BH_OK;
}

/* The addresses of some pools in SPF, as texts. */
static bh_err list_addresses(const struct bh_egress *egress, struct bh_arena *arena, const int64_t *pools, size_t n,
                             const bh_str **ret_list, size_t *ret_count)
{
    bh_str *list = bh_arena_array(arena, egress->address_count + 1, sizeof(*list));
    size_t count = 0;

    if (!list)
        return BH_E_NOMEM;
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < egress->address_count; i++)
            if (egress->addresses[i].pool == pools[p])
                list[count++] = egress->addresses[i].address;
    *ret_list = list;
    *ret_count = count;
    return BH_OK;
}

/* The parts of a pool's SPF at p<id>-<n>._spf.<platform>, for records that have no room for the addresses. */
static bh_err pool_parts(const struct bh_controld *core, const struct bh_egress *egress, struct bh_arena *arena,
                         int64_t pool, struct bh_spf_text *parts, size_t *ret_count)
{
    const bh_str *addresses;
    size_t count;
    bh_str *terms, label = bh_arena_printf(arena, "p%lld", (long long)pool);
    bh_str zone = bh_arena_printf(arena, "_spf.%.*s", BH_FMT(core->platform.domain));
    bh_err err = list_addresses(egress, arena, &pool, 1, &addresses, &count);

    *ret_count = 0;
    if (err)
        return err;
    if (!(terms = bh_arena_array(arena, count + 1, sizeof(*terms))) || !label.p || !zone.p)
        return BH_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        terms[i] = bh_arena_printf(arena, "%s:%.*s", bh_str_find(addresses[i], ':') < addresses[i].n ? "ip6" : "ip4",
                                   BH_FMT(addresses[i]));
    return bh_spf_parts(arena, terms, count, label, zone, parts, ret_count);
}

static bh_err make_texts(struct bh_controld *core, struct bh_egress *egress)
{
    struct bh_spf_text *texts =
        bh_arena_array(egress->arena, egress->pool_count * BH_SPF_PARTS_MAX + 1, sizeof(*texts));
    size_t count = 0, more;

    if (!texts)
        return BH_E_NOMEM;
    for (size_t i = 0; i < egress->pool_count; i++) {
        bh_err err = pool_parts(core, egress, egress->arena, egress->pools[i].id, texts + count, &more);

        if (err)
            return err;
        count += more;
    }
    core->platform.texts = texts;
    core->platform.text_count = count;
    return BH_OK;
}

static bh_err fill_platform(const struct bh_controld *core, const struct bh_egress *egress, struct bh_arena *arena,
                            const int64_t *pools, size_t n, struct bh_platform *platform)
{
    struct bh_spf_text parts[BH_SPF_PARTS_MAX];
    bh_str *includes = bh_arena_array(arena, n * BH_SPF_PARTS_MAX + 1, sizeof(*includes));
    size_t count = 0, more;
    bh_err err = list_addresses(egress, arena, pools, n, &platform->egress, &platform->egress_count);

    if (!err && !includes)
        err = BH_E_NOMEM;
    for (size_t p = 0; !err && p < n; p++) {
        err = pool_parts(core, egress, arena, pools[p], parts, &more);
        for (size_t i = 0; !err && i < more; i++)
            includes[count++] = parts[i].name;
    }
    platform->spf_includes = includes;
    platform->spf_include_count = count;
    return err;
}

bh_err bh_egress_load(struct bh_controld *core)
{
    static const int64_t own[] = {BH_POOL_DEFAULT};
    struct bh_egress *egress = core->egress, fresh = *egress;
    bh_err err;

    fresh.arena = bh_arena_new(ARENA_BYTES);
    if (!fresh.arena)
        return BH_E_NOMEM;
    err = read_all(core, &fresh);
    if (!err)
        err = make_hosts(core, &fresh);
    if (!err)
        err = make_texts(core, &fresh);
    if (!err)
        err = fill_platform(core, &fresh, fresh.arena, own, 1, &core->platform);
    if (err) {
        bh_arena_free(fresh.arena);
        complain(core, "cannot read the egress pools", err);
        return err;
    }
    bh_arena_free(egress->arena);
    *egress = fresh;
    return BH_OK;
}

/* ---- questions ---- */

const struct bh_egress_pool *bh_egress_pool_by_id(const struct bh_controld *core, int64_t id)
{
    for (size_t i = 0; i < core->egress->pool_count; i++)
        if (core->egress->pools[i].id == id)
            return &core->egress->pools[i];
    return NULL;
}

const struct bh_egress_pool *bh_egress_pool_named(const struct bh_controld *core, bh_str name)
{
    for (size_t i = 0; i < core->egress->pool_count; i++)
        if (bh_str_eq(core->egress->pools[i].name, name))
            return &core->egress->pools[i];
    return NULL;
}

bool bh_egress_has_state(const struct bh_controld *core, int64_t pool, enum bh_egress_state state)
{
    for (size_t i = 0; i < core->egress->address_count; i++)
        if (core->egress->addresses[i].pool == pool && core->egress->addresses[i].state == state)
            return true;
    return false;
}

bh_err bh_egress_pools_of(struct bh_controld *core, int64_t domain, int64_t customer, struct bh_domain_pools *ret_pools)
{
    struct bh_domain_pools pools = {
        .current = BH_POOL_DEFAULT, .listed = {BH_POOL_DEFAULT}, .listed_count = 1, .is_moving = false};
    bh_err err =
        core->egress->pool_count > 1 ? bh_pool_use_of(core->store, domain, customer, &pools.use) : BH_E_NOT_FOUND;

    if (!err) {
        pools.is_moving = pools.use.earlier != 0;
        pools.current = pools.is_moving && pools.use.state < BH_EGRESS_USABLE ? pools.use.earlier : pools.use.pool;
        pools.listed[0] = pools.use.pool;
        pools.listed[1] = pools.use.earlier;
        pools.listed_count = pools.is_moving ? 2 : 1;
    }
    if (err && err != BH_E_NOT_FOUND)
        return err;
    *ret_pools = pools;
    return BH_OK;
}

bh_err bh_egress_platform(struct bh_controld *core, struct bh_arena *arena, int64_t domain, int64_t customer,
                          struct bh_platform *ret_platform)
{
    struct bh_domain_pools pools;
    bh_err err = bh_egress_pools_of(core, domain, customer, &pools);

    if (err)
        return err;
    *ret_platform = core->platform;
    if (pools.listed_count == 1 && pools.listed[0] == BH_POOL_DEFAULT)
        return BH_OK;
    return fill_platform(core, core->egress, arena, pools.listed, pools.listed_count, ret_platform);
}

/* ---- sources ---- */

static bool has_word(bh_str words, bh_str word)
{
    do {
        if (bh_str_eq(bh_str_cut(words, ' ', &words), word))
            return true;
    } while (words.p);
    return false;
}

/* Addresses of one HELO name go in pairs, IPv4 and IPv6. */
static void put_sources(const struct bh_controld *core, struct bh_egress_address *const *chosen, size_t count,
                        struct bh_buf *out)
{
    bool done[ADDRESSES_MAX] = {false};

    for (size_t i = 0; i < count; i++) {
        const struct bh_egress_address *a = chosen[i], *b = NULL;
        const struct bh_egress_pool *pool = bh_egress_pool_by_id(core, a->pool);
        bool is_v6 = bh_str_find(a->address, ':') < a->address.n;

        if (done[i])
            continue;
        for (size_t k = i + 1; k < count && !b; k++)
            if (!done[k] && bh_str_eq(chosen[k]->helo, a->helo) &&
                (bh_str_find(chosen[k]->address, ':') < chosen[k]->address.n) != is_v6) {
                done[k] = true;
                b = chosen[k];
            }
        bh_rec_source_put(out, &(struct bh_rec_source){.address4 = !is_v6 ? a->address
                                                                   : b    ? b->address
                                                                          : BH_STR(""),
                                                       .address6 = is_v6 ? a->address
                                                                   : b   ? b->address
                                                                         : BH_STR(""),
                                                       .helo = a->helo,
                                                       .weight = b && b->weight > a->weight ? b->weight : a->weight,
                                                       .pool = pool ? pool->name : BH_STR("")});
    }
}

static size_t choose(const struct bh_egress *egress, int64_t pool, enum bh_egress_state state, const bh_str *passes,
                     struct bh_egress_address **ret_chosen)
{
    size_t count = 0;

    for (size_t i = 0; i < egress->address_count; i++) {
        struct bh_egress_address *a = &egress->addresses[i];

        if (a->pool == pool && a->state == state && (!passes || has_word(*passes, a->address)))
            ret_chosen[count++] = a;
    }
    return count;
}

bh_err bh_egress_relied(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain,
                        bool with_stopping, const bh_str **ret_addresses, size_t *ret_count)
{
    struct bh_egress *egress = core->egress;
    struct bh_egress_address **chosen = bh_arena_array(arena, egress->address_count + 1, sizeof(*chosen));
    bh_str *list = bh_arena_array(arena, egress->address_count + 1, sizeof(*list));
    struct bh_domain_pools pools;
    size_t count;
    bh_err err = bh_egress_pools_of(core, domain->id, domain->customer_id, &pools);

    if (!err && (!chosen || !list))
        err = BH_E_NOMEM;
    if (err)
        return err;
    count = choose(egress, pools.current, BH_EGRESS_USABLE, NULL, chosen);
    if (!count || with_stopping)
        count += choose(egress, pools.current, BH_EGRESS_STOPPING, NULL, chosen + count);
    for (size_t i = 0; i < count; i++)
        if (!(list[i] = bh_arena_dup(arena, chosen[i]->address)).p) /* ours go when the pools are read again */
            return BH_E_NOMEM;
    *ret_addresses = list;
    *ret_count = count;
    return BH_OK;
}

/* A stopping address is used for want of another: its mail is young again. Written at most once a minute. */
static void note_use(struct bh_controld *core, struct bh_egress_address *const *chosen, size_t count)
{
    bh_time_ms now = bh_controld_now(core);

    for (size_t i = 0; i < count; i++) {
        struct bh_egress_address *a = chosen[i];

        if (a->last_used_at + 60000 > now)
            continue;
        a->last_used_at = now;
        if (bh_egress_set_state(core->store, a->id, a->state, a->state_at, now))
            complain(core, "cannot store the use of an egress address", BH_E_IO);
    }
}

bh_err bh_egress_sources(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain,
                         bool needs_owner, bh_str *ret_sources)
{
    struct bh_egress *egress = core->egress;
    struct bh_egress_address **chosen =
        bh_arena_array(arena, egress->address_count + 1, sizeof(struct bh_egress_address *));
    struct bh_buf list = bh_buf_make(1 << 20);
    struct bh_domain_pools pools;
    bh_str passes;
    size_t count = 0;
    bh_err err = bh_egress_pools_of(core, domain->id, domain->customer_id, &pools);

    if (!err && !chosen)
        err = BH_E_NOMEM;
    if (!err && needs_owner) {
        err = bh_domain_spf_get(core->store, arena, domain->id, &passes);
        needs_owner = err != BH_E_NOT_FOUND; /* not looked at since an older version: the check said that all pass */
        err = err == BH_E_NOT_FOUND ? BH_OK : err;
    }
    if (err)
        return err;
    count = choose(egress, pools.current, BH_EGRESS_USABLE, needs_owner ? &passes : NULL, chosen);
    if (!count) {
        count = choose(egress, pools.current, BH_EGRESS_STOPPING, needs_owner ? &passes : NULL, chosen);
        note_use(core, chosen, count);
    }
    put_sources(core, chosen, count, &list);
    err = bh_buf_err(&list);
    if (!err)
        *ret_sources = bh_arena_dup(arena, bh_buf_view(&list));
    bh_buf_free(&list);
    return !err && !ret_sources->p ? BH_E_NOMEM : err;
}

/* ---- zones ---- */

void bh_egress_publish(struct bh_controld *core)
{
    bh_publish_everything(core); /* almost every zone has SPF in it */
    bh_controld_changed(core);
}

/* ---- the configured addresses ---- */

static struct bh_egress_address *find_address(const struct bh_egress *egress, bh_str address)
{
    for (size_t i = 0; i < egress->address_count; i++)
        if (bh_str_eq(egress->addresses[i].address, address))
            return &egress->addresses[i];
    return NULL;
}

static bh_str canonical(struct bh_arena *arena, bh_str text)
{
    char print[BH_IP_TEXT_MAX];
    struct bh_ip ip;

    if (bh_ip_parse(text, &ip))
        return text;
    (void)bh_ip_print(&ip, print);
    return bh_arena_dup(arena, bh_str_c(print));
}

/* The first addresses of an installation need no waiting: nobody can send before a check has seen SPF at his domain. */
static bh_err add_configured(struct bh_controld *core, bh_str address, bool is_first)
{
    struct bh_egress_address fresh = {.pool = BH_POOL_DEFAULT,
                                      .address = address,
                                      .helo = core->platform.helo,
                                      .weight = 1,
                                      .state = is_first ? BH_EGRESS_USABLE : BH_EGRESS_ADDED,
                                      .configured = true,
                                      .created_at = bh_controld_now(core)};
    struct bh_egress_address *old = find_address(core->egress, address);
    int64_t id;

    if (!old)
        return bh_egress_insert(core->store, &fresh, &id);
    if (old->configured && old->state == BH_EGRESS_STOPPING) /* it never left SPF */
        return bh_egress_set_state(core->store, old->id, BH_EGRESS_USABLE, fresh.created_at, 0);
    return bh_str_eq(old->helo, fresh.helo) || !old->configured
               ? BH_OK
               : bh_egress_set_terms(core->store, old->id, fresh.helo, old->weight);
}

static bool is_configured(const bh_str *list, size_t count, bh_str address)
{
    for (size_t i = 0; i < count; i++)
        if (bh_str_eq(list[i], address))
            return true;
    return false;
}

/* One that is gone from the configuration stops, wherever it stood. */
static bh_err stop_missing(struct bh_controld *core, const bh_str *list, size_t count)
{
    bh_err err = BH_OK;

    for (size_t i = 0; !err && i < core->egress->address_count; i++) {
        struct bh_egress_address *a = &core->egress->addresses[i];

        if (!a->configured || a->state >= BH_EGRESS_STOPPING || is_configured(list, count, a->address))
            continue;
        err = bh_egress_set_state(core->store, a->id,
                                  a->state < BH_EGRESS_USABLE ? BH_EGRESS_WITHDRAWN : BH_EGRESS_STOPPING,
                                  bh_controld_now(core), 0);
    }
    return err;
}

static bh_err follow_configuration(struct bh_controld *core, struct bh_arena *arena, const bh_str *configured,
                                   size_t count)
{
    bool is_first = core->egress->address_count == 0;
    bh_str *list = bh_arena_array(arena, count + 1, sizeof(*list));
    int64_t id;
    bh_err err = list ? BH_OK : BH_E_NOMEM;

    bh_store_begin(core->store);
    if (!err && !bh_egress_pool_by_id(core, BH_POOL_DEFAULT))
        err = bh_pool_insert(core->store, BH_STR("default"), bh_controld_now(core), &id);
    for (size_t i = 0; !err && i < count; i++) {
        list[i] = canonical(arena, configured[i]);
        err = list[i].p ? add_configured(core, list[i], is_first) : BH_E_NOMEM;
        if (err == BH_E_EXISTS) /* twice in the configuration */
            err = BH_OK;
    }
    if (!err)
        err = stop_missing(core, list, count);
    if (err) {
        bh_store_rollback(core->store);
        return err;
    }
    return bh_store_commit_wait(core->store);
}

bh_err bh_egress_start(struct bh_controld *core)
{
    struct bh_arena *arena = bh_arena_new(ARENA_BYTES);
    const bh_str *configured = core->platform.egress;
    size_t count = core->platform.egress_count;
    bh_err err = arena ? BH_OK : BH_E_NOMEM;

    if (!err && !core->egress && !(core->egress = calloc(1, sizeof(*core->egress))))
        err = BH_E_NOMEM;
    if (!err && !core->egress_keep_ms)
        core->egress_keep_ms = KEEP_MS;
    if (!err)
        err = bh_egress_load(core);
    if (!err)
        err = follow_configuration(core, arena, configured, count);
    if (!err)
        err = bh_egress_load(core);
    bh_arena_free(arena);
    return err;
}

/* ---- time ---- */

static struct bh_egress_facts facts_of(const struct bh_controld *core)
{
    return (struct bh_egress_facts){
        .now = bh_controld_now(core), .ttl_ms = (int64_t)core->platform.ttl_s * 1000, .keep_ms = core->egress_keep_ms};
}

/* True while owners of SPF records are asked to add an address: those that they list stay. */
static bool is_waited_for(struct bh_controld *core)
{
    int64_t open = 0;

    return bh_change_open_count(core->store, BH_CHANGE_ADDRESS, &open) != BH_OK || open > 0;
}

/* A stopping address stays while its pool has users and no usable one, and while customers who list addresses in SPF
 * records of their own are asked to add another. */
static bool is_needed(struct bh_controld *core, const struct bh_egress_address *address)
{
    return address->state == BH_EGRESS_STOPPING &&
           (!bh_egress_has_state(core, address->pool, BH_EGRESS_USABLE) || is_waited_for(core));
}

static void tell_state(struct bh_controld *core, const struct bh_egress_address *a)
{
    const struct bh_egress_pool *pool = bh_egress_pool_by_id(core, a->pool);

    bh_controld_event(core, BH_EVENT_POOL_CHANGED, 0, 0,
                      json_pack("{s:s%, s:s%, s:s}", "pool", pool ? pool->name.p : "", pool ? pool->name.n : (size_t)0,
                                "address", a->address.p, a->address.n, "state", bh_egress_state_name(a->state)));
}

static bool step_address(struct bh_controld *core, struct bh_egress_address *a, bh_time_ms *due)
{
    struct bh_egress_facts facts = facts_of(core);
    enum bh_egress_state next;

    facts.is_needed = is_needed(core, a);
    next = bh_egress_next(a->state, a->state_at, a->last_used_at, &facts);
    if (next == a->state) {
        bh_time_ms at = bh_egress_due(a->state, a->state_at, a->last_used_at, &facts);

        *due = at < *due ? at : *due;
        return false;
    }
    if (bh_egress_set_state(core->store, a->id, next, facts.now, a->last_used_at)) {
        complain(core, "cannot store the state of an egress address", BH_E_IO);
        return false;
    }
    a->state = next;
    a->state_at = facts.now;
    core->out->log(core->out_ctx, BH_LOG_INFO, bh_egress_state_name(next), a->address);
    tell_state(core, a);
    if (next == BH_EGRESS_USABLE && bh_domain_spf_check_soon(core->store, facts.now))
        complain(core, "cannot order checks", BH_E_IO);
    return true;
}

/* A move ends when the earlier pool's mail is old; then that pool leaves SPF. */
static bool step_use(struct bh_controld *core, struct bh_pool_use *use, bh_time_ms *due)
{
    struct bh_egress_facts facts = facts_of(core);
    enum bh_egress_state next = bh_egress_next(use->state, use->state_at, 0, &facts);

    if (next == use->state) {
        bh_time_ms at = bh_egress_due(use->state, use->state_at, 0, &facts);

        *due = at < *due ? at : *due;
        return false;
    }
    if (next == BH_EGRESS_USABLE)
        next = BH_EGRESS_STOPPING;
    else if (next == BH_EGRESS_WITHDRAWN) {
        next = BH_EGRESS_USABLE;
        use->earlier = 0;
    }
    use->state = next;
    use->state_at = facts.now;
    if (bh_pool_use_set(core->store, use))
        complain(core, "cannot store a pool's user", BH_E_IO);
    return true;
}

/* A stopping address that is in use for want of another: queued asks anew now and then, so that its last use is known.
 */
static void ask_again(struct bh_controld *core, bh_time_ms now)
{
    struct bh_egress *egress = core->egress;
    bool in_use = false;

    for (size_t i = 0; i < egress->address_count; i++)
        in_use |= egress->addresses[i].state == BH_EGRESS_STOPPING &&
                  egress->addresses[i].last_used_at > egress->addresses[i].state_at;
    if (!in_use || now - egress->asked_again_at < core->egress_keep_ms / 8)
        return;
    egress->asked_again_at = now;
    bh_controld_changed(core);
}

static bool is_published(const struct bh_controld *core)
{
    const struct bh_egress *egress = core->egress;

    for (size_t i = 0; i < egress->address_count; i++)
        if (egress->addresses[i].state == BH_EGRESS_PUBLISHED)
            return true;
    for (size_t i = 0; i < egress->use_count; i++)
        if (egress->uses[i].state == BH_EGRESS_PUBLISHED)
            return true;
    return false;
}

bh_time_ms bh_egress_run(struct bh_controld *core)
{
    struct bh_egress *egress = core->egress;
    bh_time_ms now = bh_controld_now(core), due = INT64_MAX;
    bool changed = false, withdrawn = false;

    for (size_t i = 0; i < egress->address_count; i++)
        if (step_address(core, &egress->addresses[i], &due)) {
            changed = true;
            withdrawn |= egress->addresses[i].state == BH_EGRESS_WITHDRAWN;
        }
    for (size_t i = 0; i < egress->use_count; i++)
        if (step_use(core, &egress->uses[i], &due)) {
            changed = true;
            withdrawn |= egress->uses[i].earlier == 0;
        }
    if (changed && !bh_egress_load(core)) {
        due = now + SWEEP_FIRST_MS;
        if (withdrawn)
            bh_egress_publish(core);
        else
            bh_controld_changed(core);
    }
    if (is_published(core)) {
        if (!egress->sweep && now >= egress->sweep_at)
            bh_egress_sweep_run(core);
        due = !egress->sweep && egress->sweep_at < due ? egress->sweep_at : due;
    }
    ask_again(core, now);
    if (now >= egress->ptr_at)
        bh_egress_ptr_run(core);
    return egress->ptr_at < due ? egress->ptr_at : due;
}

void bh_egress_swept(struct bh_controld *core, bool ok, bh_time_ms began_at)
{
    struct bh_egress *egress = core->egress;
    bh_time_ms now = bh_controld_now(core);
    int64_t pause_ms = SWEEP_FIRST_MS << (egress->sweep_tries < 6 ? egress->sweep_tries : 6);
    bh_err err = BH_OK;

    if (!ok) {
        egress->sweep_tries++;
        egress->sweep_at = now + pause_ms;
        return;
    }
    egress->sweep_tries = 0;
    egress->sweep_at = now;
    for (size_t i = 0; !err && i < egress->address_count; i++) {
        const struct bh_egress_address *a = &egress->addresses[i];

        if (a->state == BH_EGRESS_PUBLISHED && a->state_at <= began_at) {
            err = bh_egress_set_state(core->store, a->id, BH_EGRESS_SEEN, now, 0);
            core->out->log(core->out_ctx, BH_LOG_INFO, "seen everywhere", a->address);
        }
    }
    for (size_t i = 0; !err && i < egress->use_count; i++)
        if (egress->uses[i].state == BH_EGRESS_PUBLISHED && egress->uses[i].state_at <= began_at) {
            egress->uses[i].state = BH_EGRESS_SEEN;
            egress->uses[i].state_at = now;
            err = bh_pool_use_set(core->store, &egress->uses[i]);
        }
    if (!err)
        err = bh_egress_load(core);
    if (err)
        complain(core, "cannot store what was seen", err);
    core->out->wake(core->out_ctx, 1000);
}

void bh_egress_free(struct bh_controld *core)
{
    if (!core->egress)
        return;
    bh_egress_sweep_free(core);
    bh_arena_free(core->egress->arena);
    free(core->egress);
    core->egress = NULL;
}
