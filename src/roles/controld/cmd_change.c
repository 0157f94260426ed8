/* cmd_change.c: commands on planned changes. They are made by what needs them (keys, egress addresses), not by hand. */
#include "change.h"
#include "command.h"
#include "notice.h"
#include "report.h"

static json_t *change_json(const struct bh_change *change)
{
    return json_pack("{s:I, s:s, s:s, s:o, s:o, s:o, s:I, s:I}", "id", (json_int_t)change->id, "kind",
                     bh_change_kind_name(change->kind), "state", bh_change_state_name(change->state), "title",
                     bh_json_str(change->title), "created_at", bh_json_time(change->created_at), "closed_at",
                     bh_json_time(change->closed_at), "records", (json_int_t)change->items, "waiting",
                     (json_int_t)change->waiting);
}

static void add_change(void *ctx, const struct bh_change *change)
{
    (void)json_array_append_new(ctx, change_json(change));
}

void bh_changes(struct bh_command *command)
{
    static const char *const known[] = {"open", "limit", NULL};
    json_t *list;
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    list = json_array();
    err = bh_change_list(command->core->store, json_is_true(json_object_get(command->args, "open")),
                         bh_command_int(command, "limit", 1000), bh_controld_now(command->core), add_change, list);
    if (err) {
        json_decref(list);
        bh_command_fail_err(command, err, "cannot read the planned changes");
    } else {
        bh_command_done(command, list);
    }
}

struct listing {
    json_t *list;
    bh_time_ms now;
};

static const char *progress_of(const struct bh_change_item *item, bh_time_ms now)
{
    if (item->effective_at && item->effective_at <= now)
        return "acted";
    if (item->acted_at)
        return "seen"; /* the old record's TTL is running */
    return item->told_at ? "told" : "new";
}

static void add_item(void *ctx, const struct bh_change_row *row)
{
    struct listing *listing = ctx;
    const struct bh_change_item *item = &row->item;
    bh_str apex = row->zone_apex.n ? row->zone_apex : bh_domain_registrable(row->domain);
    struct bh_buf type = bh_buf_make(32);

    bh_dns_type_print(&type, item->type);
    (void)json_array_append_new(
        listing->list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:I, s:o, s:o}", "domain",
                                 bh_json_str(row->domain), "customer", bh_json_str(row->customer), "type",
                                 bh_json_str(bh_buf_view(&type)), "name", bh_json_str(item->name), "host",
                                 bh_json_str(bh_host_as_typed(item->name, apex)), "old", bh_json_str(item->old_value),
                                 "new", bh_json_str(item->new_value), "state", progress_of(item, listing->now),
                                 "told_at", bh_json_time(item->told_at), "told", (json_int_t)item->reminders, "seen_at",
                                 bh_json_time(item->acted_at), "effective_at", bh_json_time(item->effective_at)));
    bh_buf_free(&type);
}

/* The change of argument "id"; false after ending the command. */
static bool take_change(struct bh_command *command, struct bh_change *ret_change)
{
    static const char *const known[] = {"id", NULL};
    bh_err err;

    if (!bh_command_knows(command, known))
        return false;
    err = bh_change_by_id(command->core->store, command->arena, bh_command_int(command, "id", 0),
                          bh_controld_now(command->core), ret_change);
    if (err == BH_E_NOT_FOUND)
        bh_command_fail(command, "not_found", "behalf change list shows all of them", "no such planned change");
    else if (err)
        bh_command_fail_err(command, err, "cannot read the planned change");
    return !err;
}

static void answer(struct bh_command *command, int64_t id)
{
    struct listing listing = {json_array(), bh_controld_now(command->core)};
    struct bh_change change;
    json_t *json;
    bh_err err = bh_change_by_id(command->core->store, command->arena, id, listing.now, &change);

    if (!err)
        err = bh_change_items(command->core->store, id, add_item, &listing);
    if (err) {
        json_decref(listing.list);
        bh_command_fail_err(command, err, "cannot read the planned change");
        return;
    }
    json = change_json(&change);
    (void)json_object_set_new(json, "items", listing.list);
    bh_command_done(command, json);
}

void bh_change_show(struct bh_command *command)
{
    struct bh_change change;

    if (take_change(command, &change))
        answer(command, change.id);
}

static bool is_open(struct bh_command *command, const struct bh_change *change)
{
    if (change->state != BH_CHANGE_OPEN)
        bh_command_fail(command, "conflict", NULL, "planned change %lld is %s already", (long long)change->id,
                        bh_change_state_name(change->state));
    return change->state == BH_CHANGE_OPEN;
}

/* Who has not acted is told again, unless that was done today. */
void bh_change_reminded(struct bh_command *command)
{
    struct bh_controld *core = command->core;
    struct bh_change change;
    bh_err err;

    if (!take_change(command, &change) || !is_open(command, &change))
        return;
    err = bh_change_remind_all(core->store, change.id, bh_controld_now(core));
    if (err) {
        bh_command_fail_err(command, err, "cannot remind");
        return;
    }
    bh_change_work(core);
    answer(command, change.id);
    bh_notice_flush(core);
}

void bh_change_forced(struct bh_command *command)
{
    struct bh_change change;
    bh_err err;

    if (!take_change(command, &change) || !is_open(command, &change))
        return;
    err = bh_change_force(command->core, change.id);
    if (err)
        bh_command_fail_err(command, err, "cannot force the planned change");
    else
        answer(command, change.id);
}
