/* command.c: what the operator and the API ask of queue, messages and events. Holds and other ways: command_hold.c;
 * sites, schedules and new addresses: command_site.c.
 *
 *   queue list     {customer_id?, domain?, after?, limit?}   open recipients, oldest first, and the counts
 *   queue show     {id?}                                     one message; without id the counts alone
 *   queue retry    {id | domain, customer_id, campaign | all} due now
 *   queue drop     {id | domain, customer_id, campaign | all} ended, with an event each; none that is on its way out
 *   message show   {id, customer_id?}                        the message, its recipients, its events
 *   event …                                                  command_event.c
 *
 * Answers: {"ok": true, "result": …} or {"ok": false, "error": {"code", "detail", "fix"}}. Ids are msg_… (the number is
 * understood too); cursors are opaque text; times RFC 3339. */
#include "command.h"
#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>

enum { ACT_MAX = 10000, ANSWER_MAX = 900 * 1024, RECIPIENTS_SHOWN = 500 };

/* ---- answers ---- */

static void end(struct command *c, json_t *answer)
{
    char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
    bh_str reply = text ? bh_str_c(text)
                        : BH_STR("{\"ok\":false,\"error\":{\"code\":\"failed\",\"detail\":\"the answer cannot be "
                                 "made\",\"fix\":\"\"}}");

    c->q->options.ops->command_reply(c->q->options.ctx, &c->from, reply);
    free(text);
    json_decref(answer);
    json_decref(c->request);
    json_decref(c->result);
    free(c->targets);
    free(c);
}

void command_done(struct command *c)
{
    json_t *result = c->result;

    c->result = NULL;
    end(c, json_pack("{s:b, s:o}", "ok", 1, "result", result));
}

void command_fail(struct command *c, const char *code, const char *detail, const char *fix)
{
    end(c, json_pack("{s:b, s:{s:s, s:s, s:s}}", "ok", 0, "error", "code", code, "detail", detail, "fix", fix));
}

void command_fail_store(struct command *c)
{
    command_fail(c, "temporary", "the spool cannot be read", "Try again in a moment; the log says more");
}

/* ---- values ---- */

/* Bytes of strangers that are no UTF-8 are shown as Latin-1, a NUL as U+FFFD: JSON readers, ours too, refuse it. */
json_t *command_text_json(bh_str s)
{
    bool has_nul = s.n && memchr(s.p, '\0', s.n);
    json_t *value = has_nul ? NULL : json_stringn(s.p ? s.p : "", s.n);
    struct bh_buf out;

    if (value)
        return value;
    out = bh_buf_make(3 * s.n + 16);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char b = (unsigned char)s.p[i];

        if (b >= 0x80) {
            bh_buf_char(&out, (char)(0xc0 | b >> 6));
            bh_buf_char(&out, (char)(0x80 | (b & 0x3f)));
        } else if (b == 0) {
            bh_buf_add(&out, BH_STR("\xef\xbf\xbd"));
        } else {
            bh_buf_char(&out, (char)b);
        }
    }
    value = json_stringn(out.p ? out.p : "", out.n);
    bh_buf_free(&out);
    return value;
}

json_t *command_time_json(bh_time_ms at)
{
    struct bh_buf out = bh_buf_make(40);
    json_t *value;

    if (!at)
        return json_null();
    bh_time_rfc3339(&out, at, true);
    value = json_stringn(out.p, out.n);
    bh_buf_free(&out);
    return value;
}

json_t *command_id_json(uint64_t message)
{
    char text[BH_MESSAGE_ID_CHARS + 1];

    bh_message_id_text(message, text);
    return json_string(text);
}

bool command_parse_id(bh_str text, uint64_t *ret_id)
{
    return bh_message_id_parse(text, ret_id) == BH_OK || bh_str_to_u64(text, INT64_MAX, ret_id) == BH_OK;
}

bh_str command_arg(const struct command *c, const char *name)
{
    const json_t *value = json_object_get(c->args, name);

    return json_is_string(value) ? bh_str_of(json_string_value(value), json_string_length(value)) : bh_str_of(NULL, 0);
}

int64_t command_arg_int(const struct command *c, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(c->args, name);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* Appends to the list unless the answer is large enough. */
void command_add_row(struct command *c, json_t *row, size_t bytes)
{
    c->bytes += bytes;
    if (!row || c->bytes > ANSWER_MAX) {
        c->cut = true;
        json_decref(row);
    } else {
        (void)json_array_append_new(c->list, row);
    }
}

static json_t *counts_json(struct bh_queued *q)
{
    struct bh_queue_counts world, steward;
    struct bh_queued_stats s;

    bh_queue_count(q->queues[BH_TO_WORLD], &world);
    bh_queue_count(q->queues[BH_TO_STEWARD], &steward);
    bh_queued_stats(q, &s);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I}}",
                     "recipients", (json_int_t)world.items, "ready", (json_int_t)world.ready, "waiting",
                     (json_int_t)world.waiting, "sending", (json_int_t)(world.taken + world.settled), "destinations",
                     (json_int_t)world.sites, "paused_destinations", (json_int_t)world.paused_sites, "to_ourselves",
                     (json_int_t)steward.items, "memory_bytes", (json_int_t)(world.bytes + steward.bytes), "accepting",
                     q->group.closed_until <= now_of(q) && !q->draining && !q->floor.why, "why_not",
                     q->group.closed_until > now_of(q) ? q->group.why_closed
                     : q->floor.why                    ? q->floor.why
                                                       : "",
                     "since_start", "accepted", (json_int_t)s.accepted, "commits", (json_int_t)s.commits, "delivered",
                     (json_int_t)s.delivered, "deferred", (json_int_t)s.deferred, "bounced", (json_int_t)s.bounced,
                     "expired", (json_int_t)s.expired, "dropped", (json_int_t)s.dropped);
}

/* ---- rows ---- */

static const char *live_state(struct bh_queued *q, const struct bh_recipient_row *r)
{
    struct bh_queue *queue;
    struct bh_queue_item *item;

    if (r->finished_at)
        return bh_recipient_state_name(r->state);
    item = find_item(q, r->message, r->idx, &queue);
    if (!item)
        return "unscheduled";
    if (item->state == BH_QUEUE_HELD)
        return "held";
    return item->state == BH_QUEUE_WAITING ? "waiting" : item->state == BH_QUEUE_READY ? "ready" : "sending";
}

static json_t *recipient_json(struct bh_queued *q, const struct bh_recipient_row *r)
{
    return json_pack("{s:o, s:I, s:o, s:o, s:s, s:I, s:o, s:I, s:o, s:o}", "id", command_id_json(r->message), "index",
                     (json_int_t)r->idx, "to", command_text_json(r->address), "domain", command_text_json(r->route),
                     "state", live_state(q, r), "attempts", (json_int_t)r->attempts, "next_at",
                     r->finished_at ? json_null() : command_time_json(r->next_at), "code", (json_int_t)r->code, "text",
                     command_text_json(r->text), "finished_at", command_time_json(r->finished_at));
}

static size_t recipient_bytes(const struct bh_recipient_row *r)
{
    return 300 + r->address.n + r->route.n + r->text.n * 2;
}

static void take_listed(void *ctx, const struct bh_row *row)
{
    struct command *c = ctx;
    struct bh_recipient_row r;
    bh_str mail_from = bh_recipient_listed_mail_from(row);
    json_t *json;

    if (c->cut)
        return;
    bh_recipient_from_row(row, &r);
    json = recipient_json(c->q, &r);
    (void)json_object_set_new(json, "customer_id", json_integer(bh_recipient_listed_customer(row)));
    (void)json_object_set_new(json, "mail_from", command_text_json(mail_from));
    command_add_row(c, json, recipient_bytes(&r) + mail_from.n);
}

static void take_recipient(void *ctx, const struct bh_row *row)
{
    struct command *c = ctx;
    struct bh_recipient_row r;

    bh_recipient_from_row(row, &r);
    command_add_row(c, recipient_json(c->q, &r), recipient_bytes(&r));
}

void command_take_event(void *ctx, const struct bh_row *row)
{
    struct command *c = ctx;
    struct bh_event_row e;
    char cursor[32];
    json_t *detail;

    if (c->cut)
        return;
    bh_event_from_row(row, &e);
    (void)snprintf(cursor, sizeof(cursor), "%lld", (long long)e.seq);
    detail = e.detail.n ? json_loadb(e.detail.p, e.detail.n, 0, NULL) : NULL;
    command_add_row(c,
                    json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o}", "cursor", cursor, "at",
                              command_time_json(e.at), "event", bh_event_kind_name(e.kind), "id",
                              e.message ? command_id_json(e.message) : json_null(), "index",
                              e.idx == BH_EVENT_WHOLE ? json_null() : json_integer(e.idx), "to",
                              e.address.p ? command_text_json(e.address) : json_null(), "customer_id",
                              (json_int_t)e.customer, "domain_id", (json_int_t)e.domain, "code", (json_int_t)e.code,
                              "text", command_text_json(e.text), "detail", detail ? detail : json_null(), "stream",
                              e.stream.n ? command_text_json(e.stream) : json_null()),
                    300 + e.address.n + e.text.n * 2 + e.detail.n);
}

void command_rows_done(void *ctx, const struct bh_result *result)
{
    struct command *c = ctx;

    if (result->err)
        c->err = result->err;
    if (result->rows >= c->limit)
        c->cut = true;
}

json_t *command_last_value(const json_t *list, const char *name)
{
    size_t n = json_array_size(list);

    return n ? json_object_get(json_array_get(list, n - 1), name) : NULL;
}

bool command_take_limit(struct command *c)
{
    c->limit = command_arg_int(c, "limit", LIST_USUAL);
    if (c->limit >= 1 && c->limit <= LIST_MAX)
        return true;
    command_fail(c, "invalid", "limit is 1 to 1000", "Say where to go on with \"after\"");
    return false;
}

/* ---- queue list ---- */

static void listed(void *ctx, const struct bh_result *result)
{
    struct command *c = ctx;
    json_t *id, *index;

    command_rows_done(c, result);
    if (c->err) {
        command_fail_store(c);
        return;
    }
    id = command_last_value(c->list, "id");
    index = command_last_value(c->list, "index");
    (void)json_object_set_new(
        c->result, "next",
        c->cut && id ? json_sprintf("%s/%d", json_string_value(id), (int)json_integer_value(index)) : json_null());
    command_done(c);
}

static bool parse_after(bh_str after, uint64_t *message, uint64_t *idx)
{
    bh_str rest;
    bh_str id = bh_str_cut(after, '/', &rest);

    *message = *idx = 0;
    return !after.n || (command_parse_id(id, message) && bh_str_to_u64(rest, UINT32_MAX, idx) == BH_OK);
}

static struct bh_recipient_filter filter_of(const struct command *c)
{
    return (struct bh_recipient_filter){command_arg_int(c, "customer_id", 0), command_arg(c, "domain"),
                                        command_arg(c, "campaign")};
}

static void queue_list(struct command *c)
{
    struct bh_recipient_filter filter;
    uint64_t message, idx;

    if (!command_take_limit(c))
        return;
    if (!parse_after(command_arg(c, "after"), &message, &idx)) {
        command_fail(c, "invalid", "\"after\" is not a cursor", "Take it from \"next\" of the last answer");
        return;
    }
    (void)json_object_set_new(c->result, "counts", counts_json(c->q));
    c->list = json_array();
    (void)json_object_set_new(c->result, "recipients", c->list);
    filter = filter_of(c);
    bh_recipient_list_open(c->q->store, message, (uint32_t)idx, &filter, c->limit, take_listed, listed, c);
}

/* ---- message show ---- */

static void take_message(void *ctx, const struct bh_row *row)
{
    struct command *c = ctx;
    struct bh_message_row m;
    int64_t owner = command_arg_int(c, "customer_id", 0);

    bh_message_from_row(row, &m);
    c->hidden = owner && owner != m.customer;
    json_decref(c->result);
    c->result = json_pack("{s:o, s:s, s:I, s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
                          command_id_json(m.id), "destination", m.destination == BH_TO_STEWARD ? "ourselves" : "world",
                          "customer_id", (json_int_t)m.customer, "domain_id", (json_int_t)m.domain, "header_from",
                          command_text_json(m.header_from), "from_domain", command_text_json(m.from_domain),
                          "mail_from", command_text_json(m.mail_from), "size", (json_int_t)m.size, "accepted_at",
                          command_time_json(m.accepted_at), "expires_at", command_time_json(m.expires_at),
                          "finished_at", command_time_json(m.finished_at), "client", command_text_json(m.client),
                          "helo", command_text_json(m.helo), "protocol", command_text_json(m.protocol), "credential_id",
                          m.credential ? json_integer(m.credential) : json_null());
}

static void message_events_read(void *ctx, const struct bh_result *result)
{
    struct command *c = ctx;

    command_rows_done(c, result);
    if (c->err)
        command_fail_store(c);
    else
        command_done(c);
}

static void message_recipients_read(void *ctx, const struct bh_result *result)
{
    struct command *c = ctx;
    uint64_t id = 0;

    command_rows_done(c, result);
    if (c->err || !command_parse_id(command_arg(c, "id"), &id)) {
        command_fail_store(c);
        return;
    }
    (void)json_object_set_new(c->result, "more_recipients", json_boolean(c->cut));
    c->cut = false;
    c->list = json_array();
    c->limit = LIST_MAX;
    (void)json_object_set_new(c->result, "events", c->list);
    bh_event_select_message(c->q->store, id, c->limit, command_take_event, message_events_read, c);
}

static void message_read(void *ctx, const struct bh_result *result)
{
    struct command *c = ctx;
    uint64_t id = 0;

    if (result->err || !command_parse_id(command_arg(c, "id"), &id)) {
        command_fail_store(c);
        return;
    }
    if (!result->rows || c->hidden) {
        command_fail(c, "not_found", "there is no such message",
                     "Finished messages are kept for the retention time only");
        return;
    }
    c->list = json_array();
    c->limit = RECIPIENTS_SHOWN;
    (void)json_object_set_new(c->result, "recipients", c->list);
    bh_recipient_select_message(c->q->store, id, 0, c->limit, take_recipient, message_recipients_read, c);
}

static void message_show(struct command *c)
{
    uint64_t id;

    if (!command_parse_id(command_arg(c, "id"), &id))
        command_fail(c, "invalid", "this is not a message id", "An id is msg_ and 13 letters and digits");
    else
        bh_message_select(c->q->store, id, take_message, message_read, c);
}

static void queue_show(struct command *c)
{
    if (command_arg(c, "id").p) {
        message_show(c);
        return;
    }
    json_decref(c->result);
    c->result = counts_json(c->q);
    command_done(c);
}

/* ---- queue retry, queue drop ---- */

static void act_retry(struct command *c)
{
    bh_time_ms now = now_of(c->q);
    int64_t retried = 0;

    for (size_t i = 0; i < c->target_count; i++) {
        const struct target *t = &c->targets[i];
        struct bh_queue *queue;
        struct bh_queue_item *item = find_item(c->q, t->message, t->idx, &queue);

        if (!item || item->state != BH_QUEUE_WAITING)
            continue;
        group_begin(c->q);
        bh_recipient_reschedule(c->q->store, t->message, t->idx, now);
        write_event(c->q, BH_EVENT_RETRIED, t->message, (int32_t)t->idx, bh_queue_customer(item), 0,
                    BH_STR("an attempt was asked for"), bh_str_of(NULL, 0));
        bh_queue_hurry(queue, item);
        retried++;
    }
    (void)json_object_set_new(c->result, "retried", json_integer(retried));
}

static void end_targets(struct command *c, enum bh_event_kind kind, bh_str why, const char *counted)
{
    int64_t ended = 0, busy = 0;

    for (size_t i = 0; i < c->target_count; i++) {
        const struct target *t = &c->targets[i];
        struct bh_queue *queue;
        struct bh_queue_item *item = find_item(c->q, t->message, t->idx, &queue);

        if (!item)
            continue;
        if (drop_item(c->q, queue, item, kind, why) == BH_OK)
            ended++;
        else
            busy++;
    }
    (void)json_object_set_new(c->result, counted, json_integer(ended));
    (void)json_object_set_new(c->result, "being_delivered", json_integer(busy));
}

static void act_drop(struct command *c)
{
    end_targets(c, BH_EVENT_DROPPED, BH_STR("dropped by the operator"), "dropped");
}

static void take_target(void *ctx, const struct bh_row *row)
{
    struct command *c = ctx;
    struct bh_recipient_row r;

    bh_recipient_from_row(row, &r);
    if (c->target_count < ACT_MAX && !r.finished_at)
        c->targets[c->target_count++] = (struct target){r.message, r.idx};
}

/* A customer's command touches his messages only, also where he names one. False: none is left of what was named. */
static bool own_targets(struct command *c)
{
    int64_t owner = command_arg_int(c, "customer_id", 0);
    size_t kept = 0;

    for (size_t i = 0; owner && i < c->target_count; i++) {
        struct bh_queue *queue;
        const struct bh_queue_item *item = find_item(c->q, c->targets[i].message, c->targets[i].idx, &queue);

        if (item && bh_queue_customer(item) == owner)
            c->targets[kept++] = c->targets[i];
    }
    if (!owner)
        return true;
    c->target_count = kept;
    return kept || !command_arg(c, "id").p;
}

static void targets_read(void *ctx, const struct bh_result *result)
{
    struct command *c = ctx;

    if (result->err) {
        command_fail_store(c);
        return;
    }
    if (!own_targets(c)) {
        command_fail(c, "not_found", "there is no such message in the queue", "It may have been finished meanwhile");
        return;
    }
    c->act(c);
    (void)json_object_set_new(c->result, "more", json_boolean(c->target_count == ACT_MAX));
    c->q->options.ops->want_turn(c->q->options.ctx);
    command_done(c);
}

static void on_targets(struct command *c, void (*act)(struct command *c))
{
    uint64_t id;
    struct bh_recipient_filter filter = filter_of(c);
    bool is_said = filter.route.n || filter.customer || filter.campaign.n;

    c->act = act;
    c->targets = calloc(ACT_MAX, sizeof(*c->targets));
    if (!c->targets)
        command_fail(c, "temporary", "out of memory", "Try again");
    else if (command_arg(c, "id").p && !command_parse_id(command_arg(c, "id"), &id)) /* never taken for "all" */
        command_fail(c, "invalid", "this is not a message id", "An id is msg_ and 13 letters and digits");
    else if (command_parse_id(command_arg(c, "id"), &id))
        bh_recipient_select_message(c->q->store, id, 0, ACT_MAX, take_target, targets_read, c);
    else if (is_said || json_is_true(json_object_get(c->args, "all")))
        bh_recipient_list_open(c->q->store, 0, 0, &filter, ACT_MAX, take_target, targets_read, c);
    else
        command_fail(c, "invalid", "which ones is not said", "Give an id, a domain, a customer_id, a campaign, or all");
}

static void queue_retry(struct command *c)
{
    on_targets(c, act_retry);
}

static void queue_drop(struct command *c)
{
    on_targets(c, act_drop);
}

static void act_cancel(struct command *c)
{
    end_targets(c, BH_EVENT_CANCELLED, BH_STR("cancelled"), "cancelled");
}

static void queue_cancel(struct command *c)
{
    on_targets(c, act_cancel);
}

/* ---- the table ---- */

static const struct {
    const char *noun, *verb;
    void (*run)(struct command *c);
    const char *args; /* known ones, each between spaces */
} rows[] = {
    {"queue", "list", queue_list, " customer_id domain campaign after limit "},
    {"queue", "show", queue_show, " id "},
    {"queue", "retry", queue_retry, " id domain customer_id campaign all "},
    {"queue", "drop", queue_drop, " id domain customer_id campaign all "},
    {"queue", "cancel", queue_cancel, " id domain customer_id campaign "},
    {"queue", "hold", command_queue_hold, " id domain customer_id campaign reason "},
    {"queue", "holds", command_queue_holds, " "},
    {"queue", "release", command_queue_release, " hold id all "},
    {"queue", "reroute", command_queue_reroute, " domain host port "},
    {"queue", "unroute", command_queue_unroute, " domain "},
    {"queue", "reroutes", command_queue_reroutes, " "},
    {"site", "list", command_site_list, " "},
    {"site", "show", command_site_show, " name "},
    {"site", "set", command_site_change, " name rules "},
    {"site", "unset", command_site_change, " name "},
    {"site", "suspend", command_site_change, " name for_s "},
    {"site", "resume", command_site_change, " name "},
    {"schedule", "list", command_schedule_list, " "},
    {"schedule", "set", command_schedule_set, " customer_id class first_s max_s growth expire_s "},
    {"schedule", "unset", command_schedule_unset, " customer_id class "},
    {"warmup", "list", command_warmup_list, " "},
    {"warmup", "start", command_warmup_start, " address plan day "},
    {"warmup", "stop", command_warmup_stop, " address "},
    {"message", "show", message_show, " id customer_id "},
    {"event", "list", bh_event_list, " after reader customer_id domain_id id event since until limit feedback "},
    {"event", "ack", bh_event_ack, " reader cursor "},
    {"event", "forget", bh_event_forget, " reader "},
    {"event", "readers", bh_event_readers, " "},
};

static bool knows_args(struct command *c, const char *known)
{
    for (void *it = json_object_iter(c->args); it; it = json_object_iter_next(c->args, it)) {
        bh_str rest = bh_str_c(known), name = bh_str_c(json_object_iter_key(it)), word = BH_STR("");

        while (rest.n && !(name.n && bh_str_eq(word, name)))
            word = bh_str_cut(rest, ' ', &rest);
        if (!name.n || !bh_str_eq(word, name))
            return false;
    }
    return true;
}

static void run(struct command *c)
{
    const char *noun = json_string_value(json_object_get(c->request, "noun"));
    const char *verb = json_string_value(json_object_get(c->request, "verb"));

    for (size_t i = 0; noun && verb && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(noun, rows[i].noun) != 0 || strcmp(verb, rows[i].verb) != 0)
            continue;
        if (knows_args(c, rows[i].args))
            rows[i].run(c);
        else
            command_fail(c, "invalid", "an argument is not known", "See behalf help");
        return;
    }
    command_fail(c, "invalid", "no such command", "The queue knows queue, message, event, site, schedule and warmup");
}

void bh_queued_command(struct bh_queued *q, const struct bh_requester *from, bh_str json)
{
    struct command *c = calloc(1, sizeof(*c));

    if (!c) {
        q->options.ops->command_reply(q->options.ctx, from,
                                      BH_STR("{\"ok\":false,\"error\":{\"code\":\"temporary\",\"detail\":\"out of "
                                             "memory\",\"fix\":\"\"}}"));
        return;
    }
    c->q = q;
    c->from = *from;
    c->request = json_loadb(json.p ? json.p : "", json.n, JSON_REJECT_DUPLICATES, NULL);
    c->args = json_object_get(c->request, "args");
    c->result = json_object();
    run(c);
}
