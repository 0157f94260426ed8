/* change.c: see change.h. */
#include "change.h"
#include "notice.h"

enum {
    ARENA_BYTES = 64 << 20,
    PART_BYTES = 48 * 1024, /* of a mail; what does not fit is in the next */
    WORK_MAX = 200,         /* customers told per turn */
    CHECK_GAP_MS = 20,      /* between the first checks of the domains of a new change */
    HOUR_MS = 3600 * 1000,
    OPERATOR_AFTER = 2 /* reminders without effect, until the operator is told */
};

/* ---- making and closing ---- */

static bh_err insert_items(struct bh_controld *core, const struct bh_change_plan *plan, int64_t change)
{
    bh_time_ms now = bh_controld_now(core);
    bh_err err = BH_OK;

    for (size_t i = 0; !err && i < plan->count; i++) {
        struct bh_change_item item = plan->items[i];

        if (!item.old_value.p)
            item.old_value = BH_STR("");
        if (!item.want.p)
            item.want = BH_STR("");
        err = bh_change_item_insert(core->store, change, &item, now);
        if (!err)
            err = bh_change_check_soon(core->store, item.domain, now + (bh_time_ms)i * CHECK_GAP_MS);
    }
    return err;
}

static void tell(struct bh_controld *core, enum bh_event_kind type, int64_t customer, int64_t domain, int64_t change,
                 bh_str what)
{
    bh_controld_event(core, type, customer, domain,
                      json_pack("{s:I, s:s%}", "change", (json_int_t)change, "what", what.p, what.n));
}

static void moved(struct bh_controld *core)
{
    core->changes_moved = true;
    core->out->settle(core->out_ctx);
}

bh_err bh_change_create(struct bh_controld *core, const struct bh_change_plan *plan, int64_t *ret_id)
{
    bool own = !bh_store_in_transaction(core->store);
    bh_err err = bh_change_by_ref(core->store, plan->kind, plan->ref, ret_id);

    if (err != BH_E_NOT_FOUND)
        return err ? err : BH_E_EXISTS;
    if (own)
        bh_store_begin(core->store);
    err = bh_change_insert(core->store, plan->kind, plan->title, plan->ref, bh_controld_now(core), ret_id);
    if (!err)
        err = insert_items(core, plan, *ret_id);
    if (own && err)
        bh_store_rollback(core->store);
    else if (own)
        err = bh_store_commit_wait(core->store);
    if (err)
        return err;
    core->out->log(core->out_ctx, BH_LOG_INFO, "planned change", plan->title);
    tell(core, BH_EVENT_CHANGE_CREATED, 0, 0, *ret_id, plan->title);
    moved(core);
    return BH_OK;
}

bh_err bh_change_cancel(struct bh_controld *core, int64_t id)
{
    return bh_change_close(core->store, id, BH_CHANGE_CANCELLED, bh_controld_now(core));
}

static bh_err finish(struct bh_controld *core, struct bh_arena *arena, int64_t id, enum bh_change_state state)
{
    struct bh_change change;
    bh_change_done *done;
    bh_err err;

    bh_store_begin(core->store);
    err = bh_change_close(core->store, id, state, bh_controld_now(core));
    if (!err)
        err = bh_change_by_id(core->store, arena, id, bh_controld_now(core), &change);
    done = err || (unsigned)change.kind >= BH_CHANGE_KINDS ? NULL : core->change_done[change.kind];
    if (done)
        err = done(core, &change);
    if (err) {
        bh_store_rollback(core->store);
        return err;
    }
    err = bh_store_commit_wait(core->store);
    if (!err) {
        core->out->log(core->out_ctx, BH_LOG_INFO,
                       state == BH_CHANGE_FORCED ? "planned change forced" : "planned change: all have acted",
                       change.title);
        tell(core, state == BH_CHANGE_FORCED ? BH_EVENT_CHANGE_FORCED : BH_EVENT_CHANGE_DONE, 0, 0, id, change.title);
        bh_controld_changed(core);
    }
    return err;
}

bh_err bh_change_force(struct bh_controld *core, int64_t id)
{
    struct bh_arena *arena = bh_arena_new(1 << 16);
    bh_err err = arena ? finish(core, arena, id, BH_CHANGE_FORCED) : BH_E_NOMEM;

    bh_arena_free(arena);
    return err;
}

bool bh_change_ready_for(struct bh_controld *core, enum bh_change_kind kind, bh_str ref, int64_t domain)
{
    int64_t ready = 0;

    return bh_change_domain_ready(core->store, kind, ref, domain, bh_controld_now(core), &ready) == BH_OK && ready;
}

/* ---- telling ---- */

struct telling {
    struct bh_controld *core;
    struct bh_arena *arena;
    struct bh_change change;
    int64_t customer;
    struct bh_change_row *rows; /* those of the customer that have not acted */
    size_t count, cap;
    unsigned part;
    bh_err err;
};

static bh_str dup_of(struct telling *telling, bh_str text)
{
    bh_str copy = bh_arena_dup(telling->arena, text);

    if (!copy.p)
        telling->err = BH_E_NOMEM;
    return copy;
}

static void keep_row(struct telling *telling, const struct bh_change_row *row)
{
    struct bh_change_row *copy;

    if (telling->count == telling->cap) {
        size_t cap = telling->cap ? telling->cap * 2 : 16;
        struct bh_change_row *wider = bh_arena_array(telling->arena, cap, sizeof(*wider));

        if (!wider) {
            telling->err = BH_E_NOMEM;
            return;
        }
        if (telling->count)
            memcpy(wider, telling->rows, telling->count * sizeof(*wider));
        telling->rows = wider;
        telling->cap = cap;
    }
    copy = &telling->rows[telling->count++];
    *copy = *row;
    copy->item.name = dup_of(telling, row->item.name);
    copy->item.old_value = dup_of(telling, row->item.old_value);
    copy->item.new_value = dup_of(telling, row->item.new_value);
    copy->item.want = dup_of(telling, row->item.want);
    copy->domain = dup_of(telling, row->domain);
    copy->zone_apex = dup_of(telling, row->zone_apex);
    copy->customer = dup_of(telling, row->customer);
}

static void take_waiting(void *ctx, const struct bh_change_row *row)
{
    struct telling *telling = ctx;

    if (!telling->err && !row->item.acted_at && (!telling->customer || row->customer_id == telling->customer))
        keep_row(telling, row);
}

static bool is_reminder(const struct telling *telling)
{
    return telling->rows[0].item.told_at != 0;
}

static void begin_text(struct telling *telling, struct bh_buf *text)
{
    bool is_first = !is_reminder(telling);

    bh_buf_printf(text, "%.*s.\n\n", BH_FMT(telling->change.title));
    if (bh_str_ends(telling->change.title, BH_STR("at once"))) {
        bh_buf_add(text, BH_STR("Whoever has this key can sign mail in your name until the record is changed.\n\n"));
        return;
    }
    bh_buf_add(text, is_first ? BH_STR("This asks you to edit your DNS. What you have now stays in use until the new "
                                       "record is seen,\nso nothing fails in between.\n\n")
                              : BH_STR("You were asked before, and the new record is not there yet. What you have now "
                                       "stays in use,\nuntil the operator of this service decides otherwise.\n\n"));
}

static bh_err send_part(struct telling *telling, struct bh_buf *text)
{
    struct bh_notice notice = {.kind = is_reminder(telling) ? "change-reminder" : "change",
                               .customer = telling->customer};
    bh_err err;

    telling->part++;
    bh_buf_add(text, BH_STR("\nNothing else is needed: the new record is noticed by itself.\n"));
    notice.about = telling->part == 1
                       ? bh_arena_printf(telling->arena, "%lld", (long long)telling->change.id)
                       : bh_arena_printf(telling->arena, "%lld.%u", (long long)telling->change.id, telling->part);
    notice.subject = bh_arena_printf(telling->arena, "%s: please edit your DNS (%.*s%s)",
                                     is_reminder(telling) ? "Reminder" : "Planned change",
                                     BH_FMT(telling->rows[0].domain), telling->count > 1 ? " and others" : "");
    notice.text = bh_buf_view(text);
    err = bh_buf_err(text);
    if (!err && (!notice.about.p || !notice.subject.p))
        err = BH_E_NOMEM;
    return err ? err : bh_notice_send(telling->core, &notice);
}

static bh_err send_mails(struct telling *telling)
{
    struct bh_buf text = bh_buf_make(BH_NOTICE_TEXT_MAX * 2);
    bh_err err = BH_OK;

    begin_text(telling, &text);
    for (size_t i = 0; !err && i < telling->count; i++) {
        const struct bh_change_row *row = &telling->rows[i];

        bh_change_print(&text, row->domain, row->zone_apex, &row->item);
        if (text.n < PART_BYTES && i + 1 < telling->count)
            continue;
        err = send_part(telling, &text);
        bh_buf_clear(&text);
        if (i + 1 < telling->count)
            begin_text(telling, &text);
    }
    bh_buf_free(&text);
    return err;
}

static bh_err tell_operator(struct telling *telling)
{
    struct bh_notice notice = {.kind = "change-waits",
                               .about = bh_arena_printf(telling->arena, "%lld", (long long)telling->change.id)};

    notice.subject = bh_arena_printf(telling->arena, "Planned change %lld waits for %lld of %lld records",
                                     (long long)telling->change.id, (long long)telling->change.waiting,
                                     (long long)telling->change.items);
    notice.text = bh_arena_printf(telling->arena,
                                  "%.*s.\n\nCustomer %.*s was told %u times and has not acted.\n"
                                  "behalf change show %lld lists who has not; behalf change force %lld goes on without "
                                  "them.\n",
                                  BH_FMT(telling->change.title), BH_FMT(telling->rows[0].customer),
                                  telling->rows[0].item.reminders + 1, (long long)telling->change.id,
                                  (long long)telling->change.id);
    return notice.about.p && notice.subject.p && notice.text.p ? bh_notice_send(telling->core, &notice) : BH_E_NOMEM;
}

static bh_err note_told(struct telling *telling)
{
    bh_time_ms now = bh_controld_now(telling->core);
    bh_err err = BH_OK;

    for (size_t i = 0; !err && i < telling->count; i++) {
        struct bh_change_item *item = &telling->rows[i].item;

        tell(telling->core, item->told_at ? BH_EVENT_CHANGE_REMINDED : BH_EVENT_CHANGE_CREATED, telling->customer,
             item->domain, telling->change.id, telling->rows[i].domain);
        if (!item->told_at)
            item->told_at = now;
        item->remind_at = now + bh_change_remind_in(item->reminders++);
        err = bh_change_item_update(telling->core->store, telling->change.id, item);
    }
    return err;
}

static bh_err tell_in_transaction(struct telling *telling)
{
    struct bh_store *store = telling->core->store;
    bool is_late = telling->rows[0].item.reminders > OPERATOR_AFTER;
    bh_err err;

    bh_store_begin(store);
    err = send_mails(telling);
    if (!err && is_late)
        err = tell_operator(telling);
    if (!err)
        err = note_told(telling);
    if (!err)
        return bh_store_commit_wait(store);
    bh_store_rollback(store);
    return err;
}

/* One customer of one change. */
static bh_err tell_next(struct bh_controld *core, struct bh_arena *arena)
{
    struct telling telling = {.core = core, .arena = arena};
    int64_t id;
    bh_err err = bh_change_due(core->store, bh_controld_now(core), &id, &telling.customer);

    if (!err)
        err = bh_change_by_id(core->store, arena, id, bh_controld_now(core), &telling.change);
    if (!err)
        err = bh_change_items(core->store, id, take_waiting, &telling);
    if (!err)
        err = telling.err;
    if (err || !telling.count)
        return err ? err : BH_E_BUG;
    return tell_in_transaction(&telling);
}

static bh_err close_ready(struct bh_controld *core, struct bh_arena *arena)
{
    int64_t id = 0;
    bh_err err, failed = BH_OK;

    while (!(err = bh_change_ready(core->store, id, bh_controld_now(core), &id))) {
        err = finish(core, arena, id, BH_CHANGE_ACTED);
        if (err)
            failed = err; /* the others are looked at, too */
    }
    return err == BH_E_NOT_FOUND ? failed : err;
}

void bh_change_work(struct bh_controld *core)
{
    struct bh_arena *arena = bh_arena_new(ARENA_BYTES);
    bh_err err = arena ? BH_OK : BH_E_NOMEM;

    core->changes_moved = false;
    for (int i = 0; !err && i < WORK_MAX; i++) {
        bh_arena_reset(arena);
        err = tell_next(core, arena);
    }
    if (arena && (!err || err == BH_E_NOT_FOUND))
        err = close_ready(core, arena);
    if (err)
        core->out->log(core->out_ctx, BH_LOG_ERROR, "a planned change cannot go on", bh_str_c(bh_err_text(err)));
    bh_arena_free(arena);
}

/* ---- for the checker ---- */

static void take_open(void *ctx, const struct bh_change_row *row)
{
    struct telling *rows = ctx;

    if (!rows->err)
        keep_row(rows, row);
}

bh_err bh_change_watch_load(struct bh_controld *core, struct bh_arena *arena, int64_t domain,
                            struct bh_change_watch *ret_watch)
{
    struct telling rows = {.core = core, .arena = arena};
    bh_err err = bh_change_items_of(core->store, domain, take_open, &rows);

    if (!err)
        err = rows.err;
    if (!err)
        *ret_watch = (struct bh_change_watch){rows.rows, rows.count};
    return err;
}

bh_err bh_change_watch_look(struct bh_controld *core, struct bh_arena *arena, struct bh_change_watch *watch,
                            const struct bh_seen *seen, size_t seen_count)
{
    bh_err err = BH_OK;

    for (size_t i = 0; !err && i < watch->count; i++) {
        struct bh_change_row *row = &watch->rows[i];
        const struct bh_seen *found = bh_check_seen(seen, seen_count, row->item.name, row->item.type, true);
        bh_str include = bh_platform_target(arena, &core->platform, &row->token, BH_STR("spf"));
        bh_time_ms acted_at = row->item.acted_at;

        if (!found || !include.p || !bh_change_look(arena, &row->item, include, found, bh_controld_now(core)))
            continue;
        err = bh_change_item_update(core->store, row->change, &row->item);
        if (!acted_at && row->item.acted_at) {
            core->out->log(core->out_ctx, BH_LOG_INFO, "planned change: the new record is there", row->domain);
            tell(core, BH_EVENT_CHANGE_ACTED, row->customer_id, row->item.domain, row->change, row->domain);
        }
        moved(core);
    }
    return err;
}

bh_time_ms bh_change_watch_again(const struct bh_change_watch *watch, bh_time_ms now, bh_time_ms otherwise,
                                 uint64_t spread)
{
    bh_time_ms at = otherwise;

    for (size_t i = 0; i < watch->count; i++) {
        const struct bh_change_item *item = &watch->rows[i].item;
        bh_time_ms next = item->acted_at ? item->effective_at : now + HOUR_MS + (bh_time_ms)(spread % 1000) * 1000;

        if (next > now && next < at)
            at = next;
    }
    return at;
}
