/* command_site.c: how destinations are treated, when it is tried again, and new addresses:
 *
 *   site list       {}                       what is known and what goes on, per site and source
 *   site show       {name}
 *   site set        {name, rules}            lines of shaping.rules for this site, instead of those set before
 *   site unset      {name}
 *   site suspend    {name, for_s?}
 *   site resume     {name}
 *   schedule list   {}
 *   schedule set    {customer_id?, class?, first_s?, max_s?, growth?, expire_s?}
 *   schedule unset  {customer_id?, class?}
 *   warmup list     {}
 *   warmup start    {address, plan?, day?}   this source delivers no more than the plan says
 *   warmup stop     {address} */
#include "command.h"
#include <stdlib.h>

/* ---- sites ---- */

static json_t *until_json(bh_time_ms at)
{
    return at == INT64_MAX ? json_string("resumed") : at ? command_time_json(at) : json_null();
}

static void add_path(void *ctx, const struct bh_path_view *p)
{
    struct command *c = ctx;

    command_add_row(c,
                    json_pack("{s:o, s:o, s:s, s:o, s:b, s:I, s:I, s:I, s:o}", "site", command_text_json(p->site),
                              "source", command_text_json(p->source), "state", bh_path_state_name(p->state), "until",
                              p->state == BH_PATH_OPEN ? json_null() : until_json(p->until), "slow", (int)p->is_slow,
                              "sending", (json_int_t)p->taken, "window", (json_int_t)p->window, "failures",
                              (json_int_t)p->failures, "left_today",
                              p->quota_left == UINT64_MAX ? json_null() : json_integer((json_int_t)p->quota_left)),
                    250 + p->site.n + p->source.n);
}

static json_t *shape_json(const struct bh_shape *s)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "connections", (json_int_t)s->connections,
                     "messages_per_connection", (json_int_t)s->messages_per_connection, "start",
                     (json_int_t)s->window_start, "in_hand", (json_int_t)s->window_max, "failures",
                     (json_int_t)s->failures_max, "pause_first_s", (json_int_t)s->pause_first_s, "pause_max_s",
                     (json_int_t)s->pause_max_s, "rate_count", (json_int_t)s->rate_count, "rate_s",
                     (json_int_t)s->rate_s, "suspended_until", until_json(s->suspended_until));
}

static void add_set(struct command *c, const struct bh_site_row *row)
{
    command_add_row(c,
                    json_pack("{s:o, s:o, s:o}", "site", command_text_json(row->name), "rules",
                              command_text_json(row->rules), "suspended_until", until_json(row->suspended_until)),
                    150 + row->name.n + row->rules.n);
}

void command_site_list(struct command *c)
{
    c->list = json_array();
    (void)json_object_set_new(c->result, "set", c->list);
    BH_LIST_EACH (node, &c->q->policy.sites)
        add_set(c, &BH_CONTAINER_OF(node, struct site_entry, node)->row);
    c->list = json_array();
    (void)json_object_set_new(c->result, "paths", c->list);
    bh_queue_paths(c->q->queues[BH_TO_WORLD], bh_str_of(NULL, 0), add_path, c);
    command_done(c);
}

static bool need_name(struct command *c, bh_str *ret_name)
{
    *ret_name = command_arg(c, "name");
    if (ret_name->n && ret_name->n <= BH_QUEUE_ROUTE_MAX && bh_str_find(*ret_name, ' ') == ret_name->n)
        return true;
    command_fail(c, "invalid", "the name of a site is needed", "behalf site list shows them");
    return false;
}

void command_site_show(struct command *c)
{
    struct bh_shape shape = {
        .window_start = 16, .window_max = 512, .failures_max = 5, .pause_first_s = 30, .pause_max_s = 1800};
    struct site_entry *site;
    bh_str name;

    if (!need_name(c, &name))
        return;
    site = policy_find_site(c->q, name);
    bh_shaping_shape(c->q->policy.shaping, name, &shape);
    shape.suspended_until = site ? site->row.suspended_until : 0;
    (void)json_object_set_new(c->result, "site", command_text_json(name));
    (void)json_object_set_new(c->result, "bears", shape_json(&shape));
    (void)json_object_set_new(c->result, "rules", site ? command_text_json(site->row.rules) : json_null());
    c->list = json_array();
    (void)json_object_set_new(c->result, "paths", c->list);
    bh_queue_paths(c->q->queues[BH_TO_WORLD], name, add_path, c);
    command_done(c);
}

/* The row with what the command changes; the views are the command's and the old row's. */
static bool read_site(struct command *c, struct bh_site_row *row)
{
    const char *verb = json_string_value(json_object_get(c->request, "verb"));
    struct site_entry *old;
    int64_t for_s = command_arg_int(c, "for_s", 0);

    *row = (struct bh_site_row){0};
    if (!need_name(c, &row->name))
        return false;
    old = policy_find_site(c->q, row->name);
    row->rules = old ? old->row.rules : BH_STR("");
    row->suspended_until = old ? old->row.suspended_until : 0;
    if (strcmp(verb, "set") == 0)
        row->rules = command_arg(c, "rules");
    else if (strcmp(verb, "unset") == 0)
        row->rules = BH_STR("");
    else if (strcmp(verb, "suspend") == 0)
        row->suspended_until = for_s > 0 && for_s < 10 * 366 * 86400 ? now_of(c->q) + for_s * 1000 : INT64_MAX;
    else
        row->suspended_until = 0;
    return true;
}

/* The rules as they will be, or NULL after telling what is wrong with them. A set's lines are the site's own. */
static struct bh_shaping *make_rules(struct command *c, const struct bh_site_row *row)
{
    struct bh_shaping_problem problem = {0, ""};
    struct bh_shaping *shaping = NULL;
    bh_err err = policy_make_shaping(c->q, row->name, row->rules, &shaping, &problem);

    if (err == BH_E_SYNTAX)
        command_fail(c, "invalid", problem.why, "The language is that of shaping.rules, see behalf-site(1)");
    else if (err)
        command_fail(c, "temporary", "out of memory", "Try again");
    return err ? NULL : shaping;
}

static bool apply_site(struct command *c)
{
    struct bh_site_row row;
    struct bh_shaping *shaping;
    struct site_entry *old;

    if (!read_site(c, &row) || !(shaping = make_rules(c, &row)))
        return false;
    old = policy_find_site(c->q, row.name);
    if (!row.rules.n && !row.suspended_until) {
        if (old)
            policy_drop_site(c->q, old);
    } else if (!policy_put_site(c->q, &row)) {
        bh_logf(c->q->options.log, BH_LOG_ERROR, "out of memory: a site's rules count from the next start on");
    }
    policy_use_shaping(c->q, shaping);
    (void)json_object_set(c->result, "site", json_object_get(c->args, "name"));
    bh_logf(c->q->options.log, BH_LOG_INFO, "site %.*s: changed by the operator", BH_FMT(command_arg(c, "name")));
    return true;
}

void command_site_change(struct command *c)
{
    struct bh_site_row row;
    struct bh_shaping *shaping;

    if (!read_site(c, &row) || !command_has_room(c))
        return;
    shaping = make_rules(c, &row);
    if (!shaping)
        return;
    bh_shaping_free(shaping);
    if (!command_begin(c))
        return;
    if (!row.rules.n && !row.suspended_until)
        bh_site_delete(c->q->store, row.name);
    else
        bh_site_put(c->q->store, &row);
    command_commit(c, apply_site);
}

/* ---- schedules ---- */

static bool read_schedule(struct command *c, struct bh_schedule_row *row)
{
    static const char *const names[] = {"first_s", "max_s", "growth", "expire_s"};
    int64_t values[4];

    for (size_t i = 0; i < 4; i++) {
        values[i] = command_arg_int(c, names[i], 0);
        if (values[i] < 0 || values[i] > 366 * 86400) {
            command_fail(c, "invalid", "a time is out of range", "Seconds, up to a year");
            return false;
        }
    }
    *row = (struct bh_schedule_row){command_arg_int(c, "customer_id", 0),
                                    command_arg(c, "class"),
                                    (uint32_t)values[0],
                                    (uint32_t)values[1],
                                    (uint32_t)values[2],
                                    (uint32_t)values[3]};
    if (row->class.n > BH_SHAPING_NAME_MAX)
        command_fail(c, "invalid", "the name of a class is too long", "behalf schedule list shows them");
    return row->class.n <= BH_SHAPING_NAME_MAX;
}

static bool apply_schedule(struct command *c)
{
    struct bh_schedule_row row;

    if (!read_schedule(c, &row))
        return false;
    if (!policy_put_schedule(c->q, &row))
        bh_logf(c->q->options.log, BH_LOG_ERROR, "out of memory: a schedule counts from the next start on");
    return true;
}

void command_schedule_set(struct command *c)
{
    struct bh_schedule_row row;

    if (!read_schedule(c, &row) || !command_has_room(c))
        return;
    if (!row.first_s && !row.max_s && !row.growth_percent && !row.expire_s)
        command_fail(c, "invalid", "nothing is said", "Give first_s, max_s, growth or expire_s");
    else if (command_begin(c)) {
        bh_schedule_put(c->q->store, &row);
        command_commit(c, apply_schedule);
    }
}

static bool apply_unset(struct command *c)
{
    struct schedule_entry *old =
        policy_find_schedule(c->q, command_arg_int(c, "customer_id", 0), command_arg(c, "class"));

    if (old)
        policy_drop_schedule(c->q, old);
    return true;
}

void command_schedule_unset(struct command *c)
{
    struct schedule_entry *old =
        policy_find_schedule(c->q, command_arg_int(c, "customer_id", 0), command_arg(c, "class"));

    if (!old)
        command_fail(c, "not_found", "there is no such schedule", "behalf schedule list shows them");
    else if (command_begin(c)) {
        bh_schedule_delete(c->q->store, old->row.customer, old->row.class);
        command_commit(c, apply_unset);
    }
}

void command_schedule_list(struct command *c)
{
    c->list = json_array();
    (void)json_object_set_new(c->result, "schedules", c->list);
    BH_LIST_EACH (node, &c->q->policy.schedules) {
        const struct bh_schedule_row *r = &BH_CONTAINER_OF(node, struct schedule_entry, node)->row;

        command_add_row(c,
                        json_pack("{s:I, s:o, s:I, s:I, s:I, s:I}", "customer_id", (json_int_t)r->customer, "class",
                                  command_text_json(r->class), "first_s", (json_int_t)r->first_s, "max_s",
                                  (json_int_t)r->max_s, "growth", (json_int_t)r->growth_percent, "expire_s",
                                  (json_int_t)r->expire_s),
                        200 + r->class.n);
    }
    command_done(c);
}

/* ---- new addresses ---- */

static bool read_warmup(struct command *c, struct bh_warmup_row *row)
{
    bh_str plan = command_arg(c, "plan");
    int64_t day = command_arg_int(c, "day", 1);

    *row = (struct bh_warmup_row){command_arg(c, "address"), plan.n ? plan : BH_STR("standard"),
                                  now_of(c->q) - (day - 1) * 86400000};
    if (!row->address.n || row->address.n > 64 || day < 1 || day > 400)
        command_fail(c, "invalid", "an address and a day from 1 on are needed", "behalf warmup start ADDRESS");
    else if (!bh_shaping_has_plan(c->q->policy.shaping, row->plan))
        command_fail(c, "not_found", "there is no such plan", "behalf warmup list shows them");
    else
        return true;
    return false;
}

static bool apply_warmup(struct command *c)
{
    struct bh_warmup_row row;

    if (!read_warmup(c, &row))
        return false;
    if (!policy_put_warmup(c->q, &row))
        bh_logf(c->q->options.log, BH_LOG_ERROR, "out of memory: a warm-up counts from the next start on");
    bh_queue_quotas_changed(c->q->queues[BH_TO_WORLD]);
    bh_logf(c->q->options.log, BH_LOG_INFO, "warming up %.*s by the plan %.*s", BH_FMT(row.address), BH_FMT(row.plan));
    return true;
}

void command_warmup_start(struct command *c)
{
    struct bh_warmup_row row;

    if (!read_warmup(c, &row) || !command_has_room(c) || !command_begin(c))
        return;
    bh_warmup_delete(c->q->store, row.address);
    bh_warmup_put(c->q->store, &row);
    command_commit(c, apply_warmup);
}

static bool apply_stop(struct command *c)
{
    struct warmup_entry *w = policy_find_warmup(c->q, command_arg(c, "address"));

    if (w)
        policy_drop_warmup(c->q, w);
    bh_queue_quotas_changed(c->q->queues[BH_TO_WORLD]);
    return true;
}

void command_warmup_stop(struct command *c)
{
    bh_str address = command_arg(c, "address");

    if (!policy_find_warmup(c->q, address))
        command_fail(c, "not_found", "this address is not being warmed up", "behalf warmup list shows them");
    else if (command_begin(c)) {
        bh_warmup_delete(c->q->store, address);
        command_commit(c, apply_stop);
    }
}

static json_t *days_json(struct command *c, struct warmup_entry *w)
{
    uint32_t today = (uint32_t)((now_of(c->q) - w->row.started_at) / 86400000 + 1);
    json_t *days = json_array();

    BH_LIST_EACH (node, &w->days) {
        const struct bh_warmup_day_row *d = &BH_CONTAINER_OF(node, struct warmup_day, node)->row;
        uint64_t most = bh_shaping_plan_day(c->q->policy.shaping, w->row.plan, d->site, today);

        (void)json_array_append_new(days, json_pack("{s:o, s:I, s:o}", "site", command_text_json(d->site), "sent",
                                                    (json_int_t)(d->day == today ? d->sent : 0), "most",
                                                    most == UINT64_MAX ? json_null() : json_integer((json_int_t)most)));
        c->bytes += 100 + d->site.n;
    }
    return days;
}

void command_warmup_list(struct command *c)
{
    json_t *plans = json_array();
    bh_str plan;

    for (size_t i = 0; bh_shaping_plan_at(c->q->policy.shaping, i, &plan); i++)
        (void)json_array_append_new(plans, command_text_json(plan));
    (void)json_object_set_new(c->result, "plans", plans);
    c->list = json_array();
    (void)json_object_set_new(c->result, "addresses", c->list);
    BH_LIST_EACH (node, &c->q->policy.warmups) {
        struct warmup_entry *w = BH_CONTAINER_OF(node, struct warmup_entry, node);

        command_add_row(c,
                        json_pack("{s:o, s:o, s:I, s:o, s:o}", "address", command_text_json(w->row.address), "plan",
                                  command_text_json(w->row.plan), "day",
                                  (json_int_t)((now_of(c->q) - w->row.started_at) / 86400000 + 1), "since",
                                  command_time_json(w->row.started_at), "today", days_json(c, w)),
                        200 + w->row.address.n);
    }
    command_done(c);
}
