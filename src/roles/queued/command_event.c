/* command_event.c: commands on the event log and its readers.
 *
 *   event list     {after?, reader?, customer_id?, domain_id?, id?, event?, since?, until?, limit?}
 *                                          the log behind a cursor, or behind the one that a reader has left
 *   event ack      {reader, cursor}        a reader has come so far; never backwards
 *   event readers  {}                      the readers
 *   event forget   {reader}                one that is no more
 */
#include "base/clock.h"
#include "command.h"
#include <stdlib.h>

static void events_listed(void *ctx, const struct bh_result *result)
{
    struct command *c = ctx;
    json_t *cursor;

    command_rows_done(c, result);
    if (c->err) {
        command_fail_store(c);
        return;
    }
    cursor = command_last_value(c->list, "cursor");
    (void)json_object_set(c->result, "next", cursor ? cursor : json_object_get(c->args, "after"));
    (void)json_object_set_new(c->result, "more", json_boolean(c->cut));
    command_done(c);
}

/* The seq that events of a time begin with. */
static bool take_time(struct command *c, const char *name, int64_t *ret_seq)
{
    bh_str text = command_arg(c, name);
    bh_time_ms at;

    *ret_seq = 0;
    if (!text.n)
        return true;
    if (bh_time_parse_rfc3339(text, &at) == BH_OK && at > 0) {
        *ret_seq = (int64_t)bh_id_floor(at);
        return true;
    }
    command_fail(c, "invalid", "a time is like 2026-11-22T06:00:00Z", "Say it in UTC");
    return false;
}

static bool take_kind(struct command *c, int *ret_kind)
{
    bh_str kind = command_arg(c, "event");
    char name[40];

    if (!kind.n)
        return true;
    if (!bh_str_to_c(kind, name, sizeof(name)) && (*ret_kind = bh_event_kind_number(name)))
        return true;
    command_fail(c, "invalid", "there is no such type of event", "behalf event types lists them");
    return false;
}

static bool take_filter(struct command *c, struct bh_event_filter *filter)
{
    bh_str after = command_arg(c, "after"), id = command_arg(c, "id");
    uint64_t seq = 0;
    int64_t since;

    if (!command_take_limit(c) || !take_time(c, "since", &since) || !take_time(c, "until", &filter->until) ||
        !take_kind(c, &filter->kind))
        return false;
    if (after.n && bh_str_to_u64(after, INT64_MAX, &seq) != BH_OK) {
        command_fail(c, "invalid", "\"after\" is not a cursor", "Take it from \"next\" of the last answer");
        return false;
    }
    if (id.n && !command_parse_id(id, &filter->message)) {
        command_fail(c, "invalid", "this is not a message id", "An id is msg_ and 13 letters and digits");
        return false;
    }
    filter->after = (int64_t)seq > since ? (int64_t)seq : since;
    filter->customer = command_arg_int(c, "customer_id", 0);
    filter->domain = command_arg_int(c, "domain_id", 0);
    filter->limit = c->limit;
    filter->feedback = json_is_true(json_object_get(c->args, "feedback"));
    return true;
}

struct listing {
    struct command *c;
    struct bh_event_filter filter;
};

static void list_events(struct command *c, const struct bh_event_filter *filter)
{
    c->list = json_array();
    (void)json_object_set_new(c->result, "events", c->list);
    (void)json_object_set_new(c->result, "after", json_sprintf("%lld", (long long)filter->after));
    bh_event_select(c->q->store, filter, command_take_event, events_listed, c);
}

static void take_reader_seq(void *ctx, const struct bh_row *row)
{
    struct listing *listing = ctx;

    if (bh_row_int(row, 1) > listing->filter.after)
        listing->filter.after = bh_row_int(row, 1);
}

static void reader_known(void *ctx, const struct bh_result *result)
{
    struct listing *listing = ctx;

    if (result->err)
        command_fail_store(listing->c);
    else
        list_events(listing->c, &listing->filter);
    free(listing);
}

void bh_event_list(struct command *c)
{
    struct bh_event_filter filter = {0};
    bh_str reader = command_arg(c, "reader");
    struct listing *listing;

    if (!take_filter(c, &filter))
        return;
    if (!reader.n) {
        list_events(c, &filter);
        return;
    }
    listing = malloc(sizeof(*listing));
    if (!listing) {
        command_fail(c, "temporary", "out of memory", "Try again");
        return;
    }
    *listing = (struct listing){c, filter};
    bh_event_reader_select(c->q->store, reader, take_reader_seq, reader_known, listing);
}

/* ---- readers ---- */

static void written(void *ctx, const struct bh_result *result)
{
    struct command *c = ctx;

    if (result->err)
        command_fail_store(c);
    else
        command_done(c);
}

static bool take_name(struct command *c, bh_str *ret_name)
{
    enum { NAME_BYTES_MAX = 100 };

    *ret_name = command_arg(c, "reader");
    if (ret_name->n && ret_name->n <= NAME_BYTES_MAX)
        return true;
    command_fail(c, "invalid", "a reader has a name of 1 to 100 bytes", "Say --reader NAME");
    return false;
}

void bh_event_ack(struct command *c)
{
    bh_str name;
    uint64_t seq;

    if (!take_name(c, &name))
        return;
    if (bh_str_to_u64(command_arg(c, "cursor"), INT64_MAX, &seq) != BH_OK)
        command_fail(c, "invalid", "\"cursor\" is not a cursor", "Take it from an event");
    else
        bh_event_reader_set(c->q->store, name, (int64_t)seq, now_of(c->q), written, c);
}

void bh_event_forget(struct command *c)
{
    bh_str name;

    if (take_name(c, &name))
        bh_event_reader_delete(c->q->store, name, written, c);
}

static void take_reader(void *ctx, const struct bh_row *row)
{
    struct command *c = ctx;

    command_add_row(c,
                    json_pack("{s:o, s:o, s:o}", "reader", command_text_json(bh_row_str(row, 0)), "cursor",
                              json_sprintf("%lld", (long long)bh_row_int(row, 1)), "at",
                              command_time_json(bh_row_int(row, 2))),
                    200);
}

void bh_event_readers(struct command *c)
{
    c->list = json_array();
    (void)json_object_set_new(c->result, "readers", c->list);
    bh_event_reader_select(c->q->store, BH_STR(""), take_reader, written, c);
}
