/* cmd_pool.c: commands on egress pools: who is in them, who sends through them. */
#include "command.h"
#include "egress.h"
#include "report.h"
#include <behalf/ip.h>

/* ---- looking ---- */

static json_t *address_json(const struct bh_egress_address *a)
{
    return json_pack("{s:o, s:o, s:i, s:s, s:b, s:o, s:o, s:o}", "address", bh_json_str(a->address), "helo",
                     bh_json_str(a->helo), "weight", (int)a->weight, "state", bh_egress_state_name(a->state),
                     "configured", a->configured, "since", bh_json_time(a->state_at), "ptr_problem",
                     a->ptr_at ? bh_json_str(a->ptr_problem) : json_null(), "ptr_checked_at", bh_json_time(a->ptr_at));
}

static json_t *pool_json(const struct bh_controld *core, const struct bh_egress_pool *pool)
{
    const struct bh_egress *egress = core->egress;
    json_t *list = json_array();
    bool waits = false;

    for (size_t i = 0; i < egress->address_count; i++)
        if (egress->addresses[i].pool == pool->id) {
            (void)json_array_append_new(list, address_json(&egress->addresses[i]));
            waits |= egress->addresses[i].state == BH_EGRESS_PUBLISHED;
        }
    return json_pack("{s:o, s:o, s:o, s:o}", "name", bh_json_str(pool->name), "created_at",
                     bh_json_time(pool->created_at), "addresses", list, "waiting_for",
                     waits && *egress->waiting ? json_string(egress->waiting) : json_null());
}

void bh_pools(struct bh_command *command)
{
    static const char *const known[] = {NULL};
    json_t *list;

    if (!bh_command_knows(command, known))
        return;
    list = json_array();
    for (size_t i = 0; i < command->core->egress->pool_count; i++)
        (void)json_array_append_new(list, pool_json(command->core, &command->core->egress->pools[i]));
    bh_command_done(command, list);
}

/* The pool of argument `name`; NULL after ending the command. */
static const struct bh_egress_pool *need_pool(struct bh_command *command, const char *name)
{
    bh_str value = bh_command_need(command, name);
    const struct bh_egress_pool *pool = value.p ? bh_egress_pool_named(command->core, value) : NULL;

    if (value.p && !pool)
        bh_command_fail(command, "not_found", "behalf pool list shows the pools", "there is no pool %.*s",
                        BH_FMT(value));
    return pool;
}

struct users {
    struct bh_command *command;
    int64_t pool;
    json_t *list;
};

static void add_user(void *ctx, const struct bh_pool_use *use)
{
    struct users *users = ctx;
    struct bh_arena *arena = users->command->arena;
    struct bh_store *store = users->command->core->store;
    struct bh_customer customer;
    struct bh_domain domain;
    bool is_domain = use->kind == BH_POOL_OF_DOMAIN;

    if (use->pool != users->pool && use->earlier != users->pool)
        return;
    if (is_domain ? bh_domain_by_id(store, arena, use->id, &domain)
                  : bh_customer_by_id(store, arena, use->id, &customer))
        return;
    (void)json_array_append_new(users->list,
                                json_pack("{s:s, s:o, s:s, s:o}", "kind", is_domain ? "domain" : "customer", "name",
                                          bh_json_str(is_domain ? domain.name : customer.name), "state",
                                          !use->earlier                    ? "settled"
                                          : use->pool != users->pool       ? "leaving"
                                          : use->state >= BH_EGRESS_USABLE ? "settled"
                                                                           : "coming",
                                          "since", bh_json_time(use->state_at)));
}

/* The uses first: their names are read with queries of their own. */
struct use_list {
    struct bh_pool_use *uses;
    size_t count;
};

enum { USERS_SHOWN = 1000 };

static void collect_use(void *ctx, const struct bh_pool_use *use)
{
    struct use_list *list = ctx;

    if (list->count < USERS_SHOWN)
        list->uses[list->count++] = *use;
}

static void answer_pool(struct bh_command *command, bh_str name)
{
    const struct bh_egress_pool *pool = bh_egress_pool_named(command->core, name);
    struct use_list uses = {bh_arena_array(command->arena, USERS_SHOWN, sizeof(*uses.uses)), 0};
    struct users users = {command, pool ? pool->id : 0, json_array()};
    json_t *json;

    if (!pool || !uses.uses || bh_pool_use_list(command->core->store, collect_use, &uses)) {
        json_decref(users.list);
        bh_command_fail_err(command, BH_E_NOMEM, "cannot read the pool");
        return;
    }
    for (size_t i = 0; i < uses.count; i++)
        add_user(&users, &uses.uses[i]);
    json = pool_json(command->core, pool);
    (void)json_object_set_new(json, "users", users.list);
    bh_command_done(command, json);
}

void bh_pool_show(struct bh_command *command)
{
    static const char *const known[] = {"name", NULL};
    const struct bh_egress_pool *pool;

    if (bh_command_knows(command, known) && (pool = need_pool(command, "name")))
        answer_pool(command, pool->name);
}

/* ---- changing ---- */

/* After a change of the store: read again, publish, answer with the pool. */
static void changed(struct bh_command *command, bh_str pool)
{
    struct bh_controld *core = command->core;
    bh_str name = bh_arena_dup(command->arena, pool);
    bh_err err = bh_egress_load(core);

    if (err) {
        bh_command_fail_err(command, err, "cannot read the pools again");
        return;
    }
    bh_egress_publish(core);
    core->egress->sweep_at = 0;
    core->egress->sweep_tries = 0;
    core->egress->ptr_at = 0;
    core->out->wake(core->out_ctx, 1000);
    answer_pool(command, name);
}

void bh_pool_add(struct bh_command *command)
{
    static const char *const known[] = {"name", NULL};
    struct bh_controld *core = command->core;
    int64_t id;
    bh_str name;
    bh_err err;

    if (!bh_command_knows(command, known) || !(name = bh_command_need(command, "name")).p)
        return;
    if (bh_pool_name_check(name)) {
        bh_command_fail(command, "invalid", "Use 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit",
                        "\"%.*s\" cannot be a pool's name", BH_FMT(name));
        return;
    }
    err = bh_pool_insert(core->store, name, bh_controld_now(core), &id);
    if (!err)
        err = bh_egress_load(core);
    if (err == BH_E_EXISTS)
        bh_command_fail(command, "exists", "Choose another name", "there is a pool %.*s already", BH_FMT(name));
    else if (err)
        bh_command_fail_err(command, err, "cannot store the pool");
    else
        answer_pool(command, name);
}

void bh_pool_removed(struct bh_command *command)
{
    static const char *const known[] = {"name", NULL};
    const struct bh_egress_pool *pool;
    bh_err err;

    if (!bh_command_knows(command, known) || !(pool = need_pool(command, "name")))
        return;
    if (pool->id == BH_POOL_DEFAULT) {
        bh_command_fail(command, "invalid", NULL, "the default pool stays");
        return;
    }
    err = bh_pool_delete(command->core->store, pool->id);
    if (err == BH_E_INVALID)
        bh_command_fail(command, "invalid",
                        "Remove its addresses and give its users another pool; SPF lists both until mail is old",
                        "the pool still has addresses or users");
    else if (err)
        bh_command_fail_err(command, err, "cannot remove the pool");
    else if ((err = bh_egress_load(command->core)))
        bh_command_fail_err(command, err, "cannot read the pools again");
    else
        bh_command_done(command, NULL);
}

/* The canonical text of argument "address" in the arena; p NULL after ending the command. */
static bh_str need_address(struct bh_command *command)
{
    bh_str text = bh_command_need(command, "address");
    char print[BH_IP_TEXT_MAX];
    struct bh_ip ip;

    if (!text.p)
        return text;
    if (bh_ip_parse(text, &ip)) {
        bh_command_fail(command, "invalid", NULL, "\"%.*s\" is no IPv4 or IPv6 address", BH_FMT(text));
        return (bh_str){NULL, 0};
    }
    (void)bh_ip_print(&ip, print);
    return bh_arena_dup(command->arena, bh_str_c(print));
}

static bool read_terms(struct bh_command *command, struct bh_egress_address *address)
{
    bh_str helo = bh_command_str(command, "helo");
    int64_t weight = bh_command_int(command, "weight", 1);

    if (weight < 1 || weight > 1000) {
        bh_command_fail(command, "invalid", NULL, "the weight must be 1 to 1000");
        return false;
    }
    address->weight = (uint32_t)weight;
    if (!helo.p) {
        address->helo = command->core->platform.helo;
    } else if (bh_domain_name_normalise(command->arena, helo, &address->helo) || bh_str_find(helo, '.') == helo.n) {
        bh_command_fail(command, "invalid", "Give a host name, best one below the platform domain",
                        "\"%.*s\" cannot be a HELO name", BH_FMT(helo));
        return false;
    }
    return true;
}

static struct bh_egress_address *find_address(struct bh_controld *core, bh_str address)
{
    for (size_t i = 0; i < core->egress->address_count; i++)
        if (bh_str_eq(core->egress->addresses[i].address, address))
            return &core->egress->addresses[i];
    return NULL;
}

static bh_err add_or_return(struct bh_controld *core, const struct bh_egress_address *fresh,
                            const struct bh_egress_address *old)
{
    int64_t id;
    bh_err err;

    if (!old)
        return bh_egress_insert(core->store, fresh, &id);
    if (old->state != BH_EGRESS_STOPPING || old->pool != fresh->pool)
        return BH_E_EXISTS;
    err = bh_egress_set_terms(core->store, old->id, fresh->helo, fresh->weight);
    return err ? err
               : bh_egress_set_state(core->store, old->id,
                                     bh_str_eq(old->helo, fresh->helo) ? BH_EGRESS_USABLE : BH_EGRESS_ADDED,
                                     fresh->created_at, old->last_used_at);
}

void bh_pool_address_add(struct bh_command *command)
{
    static const char *const known[] = {"pool", "address", "helo", "weight", NULL};
    struct bh_controld *core = command->core;
    struct bh_egress_address fresh = {.state = BH_EGRESS_ADDED, .created_at = bh_controld_now(core)};
    const struct bh_egress_pool *pool;
    const struct bh_egress_address *old;
    bh_err err;

    if (!bh_command_knows(command, known) || !(pool = need_pool(command, "pool")) ||
        !(fresh.address = need_address(command)).p || !read_terms(command, &fresh))
        return;
    fresh.pool = pool->id;
    old = find_address(core, fresh.address);
    err = add_or_return(core, &fresh, old);
    if (err == BH_E_EXISTS)
        bh_command_fail(command, "exists", "An address is in one pool at a time; remove it there first",
                        "%.*s is in the pool %.*s already", BH_FMT(fresh.address),
                        BH_FMT(bh_egress_pool_by_id(core, old ? old->pool : pool->id)->name));
    else if (err)
        bh_command_fail_err(command, err, "cannot store the address");
    else
        changed(command, pool->name);
}

void bh_pool_address_removed(struct bh_command *command)
{
    static const char *const known[] = {"pool", "address", NULL};
    struct bh_controld *core = command->core;
    const struct bh_egress_pool *pool;
    const struct bh_egress_address *old;
    bh_str address;
    bh_err err;

    if (!bh_command_knows(command, known) || !(pool = need_pool(command, "pool")) ||
        !(address = need_address(command)).p)
        return;
    old = find_address(core, address);
    if (!old || old->pool != pool->id || old->state == BH_EGRESS_STOPPING) {
        bh_command_fail(command, "not_found", NULL, "%.*s is not in the pool %.*s", BH_FMT(address),
                        BH_FMT(pool->name));
        return;
    }
    if (old->configured) {
        bh_command_fail(command, "invalid", "Take it out of the egress block and reload",
                        "%.*s comes from the configuration", BH_FMT(address));
        return;
    }
    /* one that never sent has no mail to wait for */
    err = bh_egress_set_state(core->store, old->id,
                              old->state < BH_EGRESS_USABLE ? BH_EGRESS_WITHDRAWN : BH_EGRESS_STOPPING,
                              bh_controld_now(core), old->last_used_at);
    if (err)
        bh_command_fail_err(command, err, "cannot store the address");
    else
        changed(command, pool->name);
}

/* ---- who sends through it ---- */

/* Of the customer or the domain; false after ending the command. */
static bool read_user(struct bh_command *command, struct bh_pool_use *use, struct bh_domain_pools *pools)
{
    struct bh_customer customer;
    struct bh_domain domain = {.id = 0};
    bool by_domain = bh_command_str(command, "domain").p != NULL;
    bh_err err;

    if (by_domain ? !bh_command_domain(command, &domain) : !bh_command_customer(command, "customer", &customer))
        return false;
    use->kind = by_domain ? BH_POOL_OF_DOMAIN : BH_POOL_OF_CUSTOMER;
    use->id = by_domain ? domain.id : customer.id;
    err = bh_egress_pools_of(command->core, by_domain ? domain.id : 0, by_domain ? domain.customer_id : customer.id,
                             pools);
    if (err)
        bh_command_fail_err(command, err, "cannot read the pool in use");
    return !err;
}

/* A user moves: SPF lists both pools until the new one was seen everywhere and the mail of the earlier one is old. */
void bh_pool_assigned(struct bh_command *command)
{
    static const char *const known[] = {"pool", "customer", "domain", NULL};
    struct bh_controld *core = command->core;
    struct bh_pool_use use = {.state = BH_EGRESS_ADDED, .state_at = bh_controld_now(core)};
    struct bh_domain_pools pools;
    const struct bh_egress_pool *pool;
    bh_err err;

    if (!bh_command_knows(command, known) || !(pool = need_pool(command, "pool")) || !read_user(command, &use, &pools))
        return;
    if (pools.is_moving) {
        bh_command_fail(command, "temporary", "Wait until behalf pool show says settled",
                        "it is moving from one pool to another");
        return;
    }
    use.pool = pool->id;
    use.earlier = pools.current == pool->id ? 0 : pools.current;
    if (!use.earlier)
        use.state = BH_EGRESS_USABLE;
    err = bh_pool_use_set(core->store, &use);
    if (err)
        bh_command_fail_err(command, err, "cannot store the choice");
    else
        changed(command, pool->name);
}
