/* command_hold.c: mail that waits because the operator says so, or goes another way:
 *
 *   queue hold      {id | domain, customer_id, campaign; reason?}   all that matches everything said, now and later
 *   queue holds     {}
 *   queue release   {hold | id | all}                               one hold, those of a message, all
 *   queue reroute   {domain, host, port?}                           this domain's mail goes to that host
 *   queue reroutes  {}
 *   queue unroute   {domain}
 *
 * Each is durable before it is answered; what is held never expires. */
#include "command.h"
#include <stdlib.h>

/* ---- answers after the commit ---- */

struct after {
    struct command *c;
    bool (*apply)(struct command *c);
};

static void committed(void *ctx, bh_err err)
{
    struct after *after = ctx;
    struct command *c = after->c;

    if (err) {
        command_fail(c, "temporary", "the spool cannot be written", "Try again in a moment; the log says more");
    } else {
        c->q->options.ops->want_turn(c->q->options.ctx);
        if (after->apply(c))
            command_done(c);
    }
    free(after);
}

bool command_begin(struct command *c)
{
    if (c->q->group.began) /* what the turn has collected so far goes first */
        group_flush(c->q);
    if (c->q->group.began || c->q->group.closed_until > now_of(c->q)) {
        command_fail(c, "temporary", "the spool cannot be written", "Try again in a moment; the log says more");
        return false;
    }
    bh_store_begin(c->q->store);
    return true;
}

void command_commit(struct command *c, bool (*apply)(struct command *c))
{
    struct after *after = malloc(sizeof(*after));

    if (!after) {
        bh_store_rollback(c->q->store);
        command_fail(c, "temporary", "out of memory", "Try again");
        return;
    }
    *after = (struct after){c, apply};
    bh_store_commit(c->q->store, committed, after);
}

bool command_has_room(struct command *c)
{
    if (c->q->policy.count < POLICY_MAX)
        return true;
    command_fail(c, "limit", "there are too many holds, sites, schedules and other ways", "Remove some");
    return false;
}

/* ---- holds ---- */

static json_t *hold_json(const struct bh_hold_row *h)
{
    return json_pack("{s:I, s:o, s:I, s:o, s:o, s:o, s:o}", "hold", (json_int_t)h->id, "id",
                     h->message ? command_id_json(h->message) : json_null(), "customer_id", (json_int_t)h->customer,
                     "campaign", command_text_json(h->campaign), "domain", command_text_json(h->route), "reason",
                     command_text_json(h->reason), "at", command_time_json(h->at));
}

static void each_recipient(struct command *c, uint64_t message, void (*run)(struct bh_queue *, struct bh_queue_item *))
{
    struct bh_queue *queue;
    struct bh_queue_item *item;

    for (uint32_t idx = 0; idx < BH_SUBMIT_RECIPIENTS_MAX; idx++)
        if ((item = find_item(c->q, message, idx, &queue)))
            run(queue, item);
}

static bool read_hold(struct command *c, struct bh_hold_row *hold)
{
    bh_str id = command_arg(c, "id");

    *hold = (struct bh_hold_row){.id = c->q->policy.last_hold + 1,
                                 .customer = command_arg_int(c, "customer_id", 0),
                                 .campaign = command_arg(c, "campaign"),
                                 .route = command_arg(c, "domain"),
                                 .reason = command_arg(c, "reason"),
                                 .at = now_of(c->q)};
    if (id.p && !command_parse_id(id, &hold->message)) {
        command_fail(c, "invalid", "this is not a message id", "An id is msg_ and 13 letters and digits");
        return false;
    }
    if (!hold->message && !hold->customer && !hold->campaign.n && !hold->route.n) {
        command_fail(c, "invalid", "which ones is not said", "Give an id, a domain, a customer_id or a campaign");
        return false;
    }
    if (hold->campaign.n > BH_QUEUE_CAMPAIGN_MAX || hold->route.n > BH_QUEUE_ROUTE_MAX || hold->reason.n > 500) {
        command_fail(c, "invalid", "a name is too long", "A campaign has at most 64 bytes, a reason 500");
        return false;
    }
    return true;
}

static bool apply_hold(struct command *c)
{
    struct bh_hold_row hold;

    if (!read_hold(c, &hold))
        return false;
    if (!policy_put_hold(c->q, &hold))
        bh_logf(c->q->options.log, BH_LOG_ERROR, "out of memory: a hold counts from the next start on");
    if (hold.message)
        each_recipient(c, hold.message, bh_queue_hold_item);
    bh_queue_holds_changed(c->q->queues[BH_TO_WORLD]);
    bh_logf(c->q->options.log, BH_LOG_INFO, "held: customer %lld, campaign \"%.*s\", domain \"%.*s\", hold %lld",
            (long long)hold.customer, BH_FMT(hold.campaign), BH_FMT(hold.route), (long long)hold.id);
    json_decref(c->result);
    c->result = hold_json(&hold);
    return true;
}

void command_queue_hold(struct command *c)
{
    struct bh_hold_row hold;

    if (!read_hold(c, &hold) || !command_has_room(c) || !command_begin(c))
        return;
    bh_hold_insert(c->q->store, &hold);
    write_event(c->q, BH_EVENT_HELD, hold.message, BH_EVENT_WHOLE, hold.customer, 0, hold.reason, bh_str_of(NULL, 0));
    command_commit(c, apply_hold);
}

void command_queue_holds(struct command *c)
{
    c->list = json_array();
    (void)json_object_set_new(c->result, "holds", c->list);
    BH_LIST_EACH (node, &c->q->policy.holds) {
        const struct bh_hold_row *h = &BH_CONTAINER_OF(node, struct hold, node)->row;

        command_add_row(c, hold_json(h), 300 + h->campaign.n + h->route.n + h->reason.n);
    }
    command_done(c);
}

static bool is_meant(const struct command *c, const struct bh_hold_row *h)
{
    uint64_t message;

    if (json_is_true(json_object_get(c->args, "all")))
        return true;
    if (command_arg_int(c, "hold", 0))
        return h->id == command_arg_int(c, "hold", 0);
    return command_parse_id(command_arg(c, "id"), &message) && h->message == message;
}

static bool apply_release(struct command *c)
{
    int64_t released = 0;

    BH_LIST_EACH (node, &c->q->policy.holds) {
        struct hold *hold = BH_CONTAINER_OF(node, struct hold, node);
        uint64_t message = hold->row.message;

        if (!is_meant(c, &hold->row))
            continue;
        policy_drop_hold(c->q, hold);
        released++;
        if (message && !policy_holds_message(c->q, message))
            each_recipient(c, message, bh_queue_release_item);
    }
    bh_queue_holds_changed(c->q->queues[BH_TO_WORLD]);
    bh_logf(c->q->options.log, BH_LOG_INFO, "%lld holds released", (long long)released);
    (void)json_object_set_new(c->result, "released", json_integer(released));
    return true;
}

void command_queue_release(struct command *c)
{
    bool any = false;

    BH_LIST_EACH (node, &c->q->policy.holds)
        any |= is_meant(c, &BH_CONTAINER_OF(node, struct hold, node)->row);
    if (!any) {
        command_fail(c, "not_found", "there is no such hold", "behalf queue holds shows them");
        return;
    }
    if (!command_begin(c))
        return;
    BH_LIST_EACH (node, &c->q->policy.holds) {
        const struct bh_hold_row *h = &BH_CONTAINER_OF(node, struct hold, node)->row;

        if (!is_meant(c, h))
            continue;
        bh_hold_delete(c->q->store, h->id);
        write_event(c->q, BH_EVENT_RELEASED, h->message, BH_EVENT_WHOLE, h->customer, 0, h->reason, bh_str_of(NULL, 0));
    }
    command_commit(c, apply_release);
}

/* ---- another way ---- */

static bool read_reroute(struct command *c, char route[BH_QUEUE_ROUTE_MAX], struct bh_reroute_row *reroute)
{
    bh_str domain = command_arg(c, "domain"), host = command_arg(c, "host");
    int64_t port = command_arg_int(c, "port", 25);

    if (!domain.n || domain.n > BH_QUEUE_ROUTE_MAX || host.n > 240 || port < 1 || port > 65535) {
        command_fail(c, "invalid", "a domain, a host and a port are needed",
                     "behalf queue reroute --domain D --to HOST");
        return false;
    }
    for (size_t i = 0; i < domain.n; i++)
        route[i] = bh_to_lower(domain.p[i]);
    *reroute = (struct bh_reroute_row){bh_str_of(route, domain.n), host, (uint16_t)port};
    return true;
}

static void move_route(struct command *c, const struct bh_reroute_row *reroute)
{
    bh_str nobody = bh_str_of(NULL, 0);

    if (policy_find_reroute(c->q, reroute->route))
        bh_queued_site(c->q, reroute->route, nobody);
    else if (bh_queue_site(c->q->queues[BH_TO_WORLD], reroute->route, reroute->route) != BH_OK)
        bh_logf(c->q->options.log, BH_LOG_ERROR, "out of memory");
}

static bool apply_reroute(struct command *c)
{
    char route[BH_QUEUE_ROUTE_MAX];
    struct bh_reroute_row reroute;
    struct reroute_entry *old;

    if (!read_reroute(c, route, &reroute))
        return false;
    old = policy_find_reroute(c->q, reroute.route);
    if (!reroute.host.n && old)
        policy_drop_reroute(c->q, old);
    else if (reroute.host.n && !policy_put_reroute(c->q, &reroute))
        bh_logf(c->q->options.log, BH_LOG_ERROR, "out of memory: another way counts from the next start on");
    move_route(c, &reroute);
    (void)json_object_set_new(c->result, "domain", command_text_json(reroute.route));
    (void)json_object_set_new(c->result, "host", reroute.host.n ? command_text_json(reroute.host) : json_null());
    if (reroute.host.n)
        (void)json_object_set_new(c->result, "port", json_integer(reroute.port));
    return true;
}

void command_queue_reroute(struct command *c)
{
    char route[BH_QUEUE_ROUTE_MAX];
    struct bh_reroute_row reroute;

    if (!read_reroute(c, route, &reroute) || !command_has_room(c))
        return;
    if (!reroute.host.n) {
        command_fail(c, "invalid", "a host is missing", "behalf queue unroute takes another way back");
        return;
    }
    if (!command_begin(c))
        return;
    bh_reroute_put(c->q->store, &reroute);
    command_commit(c, apply_reroute);
}

void command_queue_unroute(struct command *c)
{
    char route[BH_QUEUE_ROUTE_MAX];
    struct bh_reroute_row reroute;

    if (!read_reroute(c, route, &reroute))
        return;
    if (!policy_find_reroute(c->q, reroute.route)) {
        command_fail(c, "not_found", "this domain goes no other way", "behalf queue reroutes shows them");
        return;
    }
    if (!command_begin(c))
        return;
    bh_reroute_delete(c->q->store, reroute.route);
    command_commit(c, apply_reroute);
}

void command_queue_reroutes(struct command *c)
{
    c->list = json_array();
    (void)json_object_set_new(c->result, "reroutes", c->list);
    BH_LIST_EACH (node, &c->q->policy.reroutes) {
        const struct bh_reroute_row *r = &BH_CONTAINER_OF(node, struct reroute_entry, node)->row;

        command_add_row(c,
                        json_pack("{s:o, s:o, s:I}", "domain", command_text_json(r->route), "host",
                                  command_text_json(r->host), "port", (json_int_t)r->port),
                        100 + r->route.n + r->host.n);
    }
    command_done(c);
}
