/* policy.c: what the operator says about the queue, in memory as it is in spool.db: holds, sites, schedules, other
 * ways, new addresses; and what the queue asks of it (queue.h, struct bh_queue_knowledge).
 *
 * All of it is small and bounded; each object carries its texts behind it. A day's count of a new address is written
 * with the next commit as it stands then, so a commit that must be repeated counts nothing twice. */
#include "internal.h"
#include "roles/config.h"
#include <stdio.h>
#include <stdlib.h>

enum { DAY_MS = 86400 * 1000 };

/* A copy of a row of `size` bytes with copies of its texts behind, whose places in it are given. */
static void *copy_row(const void *row, size_t size, const size_t *offsets, size_t count)
{
    size_t n = size;
    char *object, *at;

    for (size_t i = 0; i < count; i++)
        n += ((const bh_str *)(const void *)((const char *)row + offsets[i]))->n;
    object = malloc(n);
    if (!object)
        return NULL;
    memcpy(object, row, size);
    at = object + size;
    for (size_t i = 0; i < count; i++) {
        bh_str *text = (bh_str *)(void *)(object + offsets[i]);

        if (text->n)
            memcpy(at, text->p, text->n);
        text->p = at;
        at += text->n;
    }
    return object;
}

static void free_list(struct bh_list *list)
{
    while (!bh_list_empty(list))
        free(bh_list_take(list));
}

/* ---- putting and taking out; the node is each object's first member ---- */

static bool add(struct policy *p, struct bh_list *list, void *object)
{
    if (!object)
        return false;
    bh_list_push(list, object);
    p->count++;
    return true;
}

static void drop(struct policy *p, struct bh_list *node)
{
    bh_list_remove(node);
    free(node);
    p->count--;
}

bool policy_put_hold(struct bh_queued *q, const struct bh_hold_row *row)
{
    static const size_t texts[] = {offsetof(struct hold, row.campaign), offsetof(struct hold, row.route),
                                   offsetof(struct hold, row.reason)};
    struct hold hold = {.row = *row};

    if (row->id > q->policy.last_hold)
        q->policy.last_hold = row->id;
    q->policy.message_holds += row->message != 0;
    return add(&q->policy, &q->policy.holds, copy_row(&hold, sizeof(hold), texts, 3));
}

void policy_drop_hold(struct bh_queued *q, struct hold *hold)
{
    q->policy.message_holds -= hold->row.message != 0;
    drop(&q->policy, &hold->node);
}

struct site_entry *policy_find_site(const struct bh_queued *q, bh_str name)
{
    BH_LIST_EACH (node, (struct bh_list *)(uintptr_t)&q->policy.sites) {
        struct site_entry *site = BH_CONTAINER_OF(node, struct site_entry, node);

        if (bh_str_eq(site->row.name, name))
            return site;
    }
    return NULL;
}

bool policy_put_site(struct bh_queued *q, const struct bh_site_row *row)
{
    static const size_t texts[] = {offsetof(struct site_entry, row.name), offsetof(struct site_entry, row.rules)};
    struct site_entry site = {.row = *row};
    struct site_entry *old = policy_find_site(q, row->name), *made = copy_row(&site, sizeof(site), texts, 2);

    if (!add(&q->policy, &q->policy.sites, made))
        return false;
    if (old)
        drop(&q->policy, &old->node);
    return true;
}

void policy_drop_site(struct bh_queued *q, struct site_entry *site)
{
    drop(&q->policy, &site->node);
}

struct schedule_entry *policy_find_schedule(const struct bh_queued *q, int64_t customer, bh_str class)
{
    BH_LIST_EACH (node, (struct bh_list *)(uintptr_t)&q->policy.schedules) {
        struct schedule_entry *schedule = BH_CONTAINER_OF(node, struct schedule_entry, node);

        if (schedule->row.customer == customer && bh_str_eq_ci(schedule->row.class, class))
            return schedule;
    }
    return NULL;
}

bool policy_put_schedule(struct bh_queued *q, const struct bh_schedule_row *row)
{
    static const size_t texts[] = {offsetof(struct schedule_entry, row.class)};
    struct schedule_entry schedule = {.row = *row};
    struct schedule_entry *old = policy_find_schedule(q, row->customer, row->class),
                          *made = copy_row(&schedule, sizeof(schedule), texts, 1);

    if (!add(&q->policy, &q->policy.schedules, made))
        return false;
    if (old)
        drop(&q->policy, &old->node);
    return true;
}

void policy_drop_schedule(struct bh_queued *q, struct schedule_entry *schedule)
{
    drop(&q->policy, &schedule->node);
}

struct reroute_entry *policy_find_reroute(const struct bh_queued *q, bh_str route)
{
    BH_LIST_EACH (node, (struct bh_list *)(uintptr_t)&q->policy.reroutes) {
        struct reroute_entry *reroute = BH_CONTAINER_OF(node, struct reroute_entry, node);

        if (bh_str_eq(reroute->row.route, route))
            return reroute;
    }
    return NULL;
}

bool policy_put_reroute(struct bh_queued *q, const struct bh_reroute_row *row)
{
    static const size_t texts[] = {offsetof(struct reroute_entry, row.route), offsetof(struct reroute_entry, row.host)};
    struct reroute_entry reroute = {.row = *row};
    struct reroute_entry *old = policy_find_reroute(q, row->route),
                         *made = copy_row(&reroute, sizeof(reroute), texts, 2);

    if (!add(&q->policy, &q->policy.reroutes, made))
        return false;
    if (old)
        drop(&q->policy, &old->node);
    return true;
}

void policy_drop_reroute(struct bh_queued *q, struct reroute_entry *reroute)
{
    drop(&q->policy, &reroute->node);
}

struct warmup_entry *policy_find_warmup(const struct bh_queued *q, bh_str address)
{
    BH_LIST_EACH (node, (struct bh_list *)(uintptr_t)&q->policy.warmups) {
        struct warmup_entry *warmup = BH_CONTAINER_OF(node, struct warmup_entry, node);

        if (bh_str_eq(warmup->row.address, address))
            return warmup;
    }
    return NULL;
}

bool policy_put_warmup(struct bh_queued *q, const struct bh_warmup_row *row)
{
    static const size_t texts[] = {offsetof(struct warmup_entry, row.address), offsetof(struct warmup_entry, row.plan)};
    struct warmup_entry warmup = {.row = *row};
    struct warmup_entry *old = policy_find_warmup(q, row->address), *made = copy_row(&warmup, sizeof(warmup), texts, 2);

    if (!add(&q->policy, &q->policy.warmups, made))
        return false;
    bh_list_init(&made->days);
    if (old)
        policy_drop_warmup(q, old);
    return true;
}

void policy_drop_warmup(struct bh_queued *q, struct warmup_entry *warmup)
{
    free_list(&warmup->days);
    drop(&q->policy, &warmup->node);
}

/* ---- sites ---- */

bh_err policy_make_shaping(struct bh_queued *q, bh_str name, bh_str rules, struct bh_shaping **ret_shaping,
                           struct bh_shaping_problem *problem)
{
    struct bh_shaping *shaping;
    bh_err err = bh_shaping_new(&shaping);

    if (err)
        return err;
    BH_LIST_EACH (node, &q->policy.sites) {
        const struct site_entry *site = BH_CONTAINER_OF(node, struct site_entry, node);

        if (!err && !bh_str_eq(site->row.name, name))
            err = bh_shaping_add(shaping, site->row.rules, problem);
    }
    if (!err)
        err = bh_shaping_add(shaping, rules, problem);
    if (err)
        bh_shaping_free(shaping);
    else
        *ret_shaping = shaping;
    return err;
}

void policy_use_shaping(struct bh_queued *q, struct bh_shaping *shaping)
{
    bh_shaping_free(q->policy.shaping);
    q->policy.shaping = shaping;
    bh_queue_shapes_changed(q->queues[BH_TO_WORLD], bh_str_of(NULL, 0));
    bh_queue_quotas_changed(q->queues[BH_TO_WORLD]);
}

static void give_shape(void *ctx, bh_str name, struct bh_shape *shape)
{
    const struct bh_queued *q = ctx;
    const struct site_entry *site = policy_find_site(q, name);

    bh_shaping_shape(q->policy.shaping, name, shape);
    if (site)
        shape->suspended_until = site->row.suspended_until;
}

static size_t print_route(char *site, bh_str host, uint16_t port)
{
    int n = snprintf(site, BH_QUEUE_ROUTE_MAX, ">%.*s:%u", BH_FMT(host), port);

    return n > 0 && n < BH_QUEUE_ROUTE_MAX ? (size_t)n : 0;
}

static size_t static_site(void *ctx, bh_str route, char *site)
{
    const struct bh_queued *q = ctx;
    const struct reroute_entry *reroute = policy_find_reroute(q, route);
    const struct bh_route *configured = q->options.config ? bh_config_route(q->options.config, route) : NULL;

    if (reroute)
        return print_route(site, reroute->row.host, reroute->row.port);
    return configured ? print_route(site, configured->host, configured->port) : 0;
}

void bh_queued_site(struct bh_queued *q, bh_str route, bh_str hosts)
{
    char site[BH_QUEUE_ROUTE_MAX];
    size_t n = static_site(q, route, site);
    bh_err err;

    if (!n)
        n = bh_shaping_site(q->policy.shaping, hosts, site);
    if (!n)
        return;
    err = bh_queue_site(q->queues[BH_TO_WORLD], route, bh_str_of(site, n));
    if (err)
        bh_logf(q->options.log, BH_LOG_ERROR, "cannot note the site of a domain: %s", bh_err_text(err));
    q->options.ops->want_turn(q->options.ctx);
}

/* ---- holds ---- */

static bool matches(const struct bh_hold_row *hold, int64_t customer, bh_str campaign, bh_str route)
{
    return !hold->message && (!hold->customer || hold->customer == customer) &&
           (!hold->campaign.n || bh_str_eq(hold->campaign, campaign)) &&
           (!hold->route.n || bh_str_eq(hold->route, route));
}

static bool is_held(void *ctx, int64_t customer, bh_str campaign, bh_str route)
{
    const struct bh_queued *q = ctx;

    BH_LIST_EACH (node, (struct bh_list *)(uintptr_t)&q->policy.holds)
        if (matches(&BH_CONTAINER_OF(node, struct hold, node)->row, customer, campaign, route))
            return true;
    return false;
}

bool policy_holds_message(const struct bh_queued *q, uint64_t message)
{
    if (!q->policy.message_holds)
        return false;
    BH_LIST_EACH (node, (struct bh_list *)(uintptr_t)&q->policy.holds)
        if (BH_CONTAINER_OF(node, struct hold, node)->row.message == message)
            return true;
    return false;
}

/* ---- schedules ---- */

static void take_schedule(const struct schedule_entry *from, struct bh_retry_policy *to)
{
    if (!from)
        return;
    to->first_s = from->row.first_s ? from->row.first_s : to->first_s;
    to->max_s = from->row.max_s ? from->row.max_s : to->max_s;
    to->growth_percent = from->row.growth_percent ? from->row.growth_percent : to->growth_percent;
    to->expire_s = from->row.expire_s ? from->row.expire_s : to->expire_s;
}

/* From the general to the particular: configuration, everybody's, the customer's, the class's by the rules, everybody's
 * for the class, the customer's for the class. */
void policy_schedule(const struct bh_queued *q, int64_t customer, bh_str class, struct bh_retry_policy *ret_policy)
{
    *ret_policy = q->options.retry;
    take_schedule(policy_find_schedule(q, 0, bh_str_of(NULL, 0)), ret_policy);
    take_schedule(policy_find_schedule(q, customer, bh_str_of(NULL, 0)), ret_policy);
    if (!class.n)
        return;
    (void)bh_shaping_retry(q->policy.shaping, class, ret_policy);
    take_schedule(policy_find_schedule(q, 0, class), ret_policy);
    take_schedule(policy_find_schedule(q, customer, class), ret_policy);
}

/* ---- new addresses ---- */

/* The entry of one of a source's addresses: its name is "ADDRESS4 ADDRESS6 HELO". */
static struct warmup_entry *warmup_of(const struct bh_queued *q, bh_str source)
{
    bh_str rest, address4, address6;

    if (bh_list_empty((struct bh_list *)(uintptr_t)&q->policy.warmups))
        return NULL;
    address4 = bh_str_cut(source, ' ', &rest);
    address6 = bh_str_cut(rest, ' ', &rest);
    BH_LIST_EACH (node, (struct bh_list *)(uintptr_t)&q->policy.warmups) {
        struct warmup_entry *w = BH_CONTAINER_OF(node, struct warmup_entry, node);

        if (bh_str_eq(w->row.address, address4) || bh_str_eq(w->row.address, address6))
            return w;
    }
    return NULL;
}

static uint32_t day_of(const struct warmup_entry *w, bh_time_ms now)
{
    return now < w->row.started_at ? 1 : (uint32_t)((now - w->row.started_at) / DAY_MS + 1);
}

struct warmup_day *policy_warmup_day(struct warmup_entry *w, bh_str site, uint32_t day)
{
    static const size_t texts[] = {offsetof(struct warmup_day, row.site)};
    struct warmup_day fresh = {.row = {.address = w->row.address, .site = site, .day = day}}, *made;

    BH_LIST_EACH (node, &w->days) {
        struct warmup_day *d = BH_CONTAINER_OF(node, struct warmup_day, node);

        if (!bh_str_eq(d->row.site, site))
            continue;
        if (d->row.day != day) {
            d->row.day = day;
            d->row.sent = 0;
        }
        return d;
    }
    made = copy_row(&fresh, sizeof(fresh), texts, 1);
    if (made)
        bh_list_push(&w->days, &made->node);
    return made;
}

static void give_quota(void *ctx, bh_str source, bh_str site, bh_time_ms now, struct bh_quota *quota)
{
    const struct bh_queued *q = ctx;
    struct warmup_entry *w = warmup_of(q, source);
    const struct warmup_day *day;
    uint64_t most, sent;
    uint32_t n;

    if (!w)
        return;
    n = day_of(w, now);
    most = bh_shaping_plan_day(q->policy.shaping, w->row.plan, site, n);
    if (most == UINT64_MAX)
        return;
    day = policy_warmup_day(w, site, n);
    sent = day ? day->row.sent : 0;
    *quota = (struct bh_quota){most > sent ? most - sent : 0, w->row.started_at + (int64_t)n * DAY_MS};
}

void policy_count_departure(struct bh_queued *q, const struct bh_queue_item *item)
{
    struct warmup_entry *w = warmup_of(q, bh_queue_source(item));
    struct warmup_day *day = w ? policy_warmup_day(w, bh_queue_site_name(item), day_of(w, now_of(q))) : NULL;

    if (!day)
        return;
    day->row.sent++;
    day->dirty = true;
    q->policy.is_dirty = true;
}

static void each_day(struct bh_queued *q, void (*run)(struct bh_queued *q, struct warmup_day *day))
{
    if (!q->policy.is_dirty)
        return;
    BH_LIST_EACH (node, &q->policy.warmups)
        BH_LIST_EACH (day, &BH_CONTAINER_OF(node, struct warmup_entry, node)->days)
            run(q, BH_CONTAINER_OF(day, struct warmup_day, node));
}

static void write_day(struct bh_queued *q, struct warmup_day *day)
{
    if (day->dirty)
        bh_warmup_day_put(q->store, &day->row);
}

static void clean_day(struct bh_queued *q, struct warmup_day *day)
{
    (void)q;
    day->dirty = false;
}

void policy_write(struct bh_queued *q)
{
    each_day(q, write_day);
}

void policy_written(struct bh_queued *q)
{
    each_day(q, clean_day);
    q->policy.is_dirty = false;
}

/* ---- life ---- */

struct bh_queue_knowledge policy_knowledge(struct bh_queued *q)
{
    return (struct bh_queue_knowledge){give_shape, give_quota, is_held, static_site, q};
}

struct loading {
    struct bh_queued *q;
    bh_err err;
};

static void note(struct loading *l, bool ok)
{
    if (!ok && !l->err)
        l->err = BH_E_NOMEM;
}

static void load_hold(void *ctx, const struct bh_row *row)
{
    struct loading *l = ctx;
    struct bh_hold_row hold;

    bh_hold_from_row(row, &hold);
    note(l, policy_put_hold(l->q, &hold));
}

static void load_site(void *ctx, const struct bh_row *row)
{
    struct loading *l = ctx;
    struct bh_site_row site;

    bh_site_from_row(row, &site);
    note(l, policy_put_site(l->q, &site));
}

static void load_schedule(void *ctx, const struct bh_row *row)
{
    struct loading *l = ctx;
    struct bh_schedule_row schedule;

    bh_schedule_from_row(row, &schedule);
    note(l, policy_put_schedule(l->q, &schedule));
}

static void load_reroute(void *ctx, const struct bh_row *row)
{
    struct loading *l = ctx;
    struct bh_reroute_row reroute;

    bh_reroute_from_row(row, &reroute);
    note(l, policy_put_reroute(l->q, &reroute));
}

static void load_warmup(void *ctx, const struct bh_row *row)
{
    struct loading *l = ctx;
    struct bh_warmup_row warmup;

    bh_warmup_from_row(row, &warmup);
    note(l, policy_put_warmup(l->q, &warmup));
}

static void load_day(void *ctx, const struct bh_row *row)
{
    struct loading *l = ctx;
    struct bh_warmup_day_row day;
    struct warmup_entry *w;
    struct warmup_day *made;

    bh_warmup_day_from_row(row, &day);
    w = policy_find_warmup(l->q, day.address);
    made = w ? policy_warmup_day(w, day.site, day.day) : NULL;
    if (made)
        made->row.sent = day.sent;
}

static void loaded(void *ctx, const struct bh_result *result)
{
    struct loading *l = ctx;

    if (result->err && !l->err)
        l->err = result->err;
}

void policy_init(struct bh_queued *q)
{
    struct policy *p = &q->policy;

    bh_list_init(&p->holds);
    bh_list_init(&p->sites);
    bh_list_init(&p->schedules);
    bh_list_init(&p->reroutes);
    bh_list_init(&p->warmups);
}

bh_err policy_load(struct bh_queued *q)
{
    struct loading l = {.q = q};
    struct bh_shaping_problem problem = {0, ""};

    bh_hold_select(q->store, load_hold, loaded, &l);
    bh_site_select(q->store, load_site, loaded, &l);
    bh_schedule_select(q->store, load_schedule, loaded, &l);
    bh_reroute_select(q->store, load_reroute, loaded, &l);
    bh_warmup_select(q->store, load_warmup, loaded, &l);
    bh_warmup_days_select(q->store, load_day, loaded, &l);
    if (l.err)
        return l.err;
    l.err = policy_make_shaping(q, bh_str_of(NULL, 0), bh_str_of(NULL, 0), &q->policy.shaping, &problem);
    if (l.err != BH_E_SYNTAX)
        return l.err;
    bh_logf(q->options.log, BH_LOG_ERROR, "a rule of a site is not understood (%s): only the built-in rules are used",
            problem.why);
    return bh_shaping_new(&q->policy.shaping);
}

void policy_free(struct bh_queued *q)
{
    struct policy *p = &q->policy;

    while (!bh_list_empty(&p->warmups))
        policy_drop_warmup(q, BH_LIST_HEAD(&p->warmups, struct warmup_entry, node));
    free_list(&p->holds);
    free_list(&p->sites);
    free_list(&p->schedules);
    free_list(&p->reroutes);
    bh_shaping_free(p->shaping);
}
