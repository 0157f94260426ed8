/* feedback.c: what follows from bounces, complaints and unsubscriptions. controld is a reader of the event log: queued
 * says that it has grown by something that matters here (FEEDBACK_NEWS), controld reads from its cursor on and writes
 * suppressions, alarms and the new cursor in one transaction. So each event acts once, whoever dies when, and whether
 * it came out of an SMTP session or of a report days later.
 *
 *   bounced, class hard             the address gets nothing more of this customer
 *   complained                      the same, at once
 *   unsubscribed                    the same, in that stream
 *   bounced, class authentication   never the address's fault: an alarm on the domain, which is checked at once */
#include "command.h"
#include "core.h"
#include "notice.h"
#include "store/suppression.h"

enum { PAGE = 200, ALARM_AGAIN_MS = 3600 * 1000, PURGE_AT_ONCE = 100 };

static const char cursor_name[] = "feedback_cursor";

/* ---- what an event does ---- */

static bh_str member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_string(value) ? bh_str_of(json_string_value(value), json_string_length(value)) : bh_str_of("", 0);
}

static bh_err suppress(struct bh_controld *core, const json_t *event, enum bh_suppression_reason reason, bh_str stream,
                       bh_str detail)
{
    struct bh_suppression s = {.customer = json_integer_value(json_object_get(event, "customer_id")),
                               .stream = stream,
                               .address = member(event, "to"),
                               .reason = reason,
                               .source = member(event, "cursor"),
                               .detail = bh_str_sub(detail, 0, 500),
                               .created_at = bh_controld_now(core)};
    bool is_new = false;
    bh_err err;

    if (!s.customer || !s.address.n)
        return BH_OK;
    bh_suppression_hash(s.address, s.hash);
    err = bh_suppression_put(core->store, &s, &is_new);
    if (!err && is_new)
        bh_controld_event(core, BH_EVENT_SUPPRESSION_ADDED, s.customer,
                          json_integer_value(json_object_get(event, "domain_id")),
                          json_pack("{s:O?, s:s, s:O?, s:O?, s:s%}", "address", json_object_get(event, "to"), "reason",
                                    bh_suppression_reason_text(reason), "message", json_object_get(event, "id"),
                                    "cause", json_object_get(event, "cursor"), "stream", stream.p, stream.n));
    return err;
}

/* "bh1._domainkey.customer.example": what a receiver could not find good, as far as the refusal says it. */
static bh_str broken_record(struct bh_arena *arena, const struct bh_domain *domain, const json_t *detail)
{
    bh_str reason = member(detail, "reason"), signed_by = member(detail, "signed_by");

    if (bh_str_search(reason, BH_STR("spf")) < reason.n) {
        bh_str from = member(detail, "mail_from");
        size_t at = bh_str_rfind(from, '@');

        return at < from.n ? bh_arena_printf(arena, "SPF of %.*s", BH_FMT(bh_str_skip(from, at + 1)))
                           : bh_arena_printf(arena, "SPF of the bounce domain of %.*s", BH_FMT(domain->name));
    }
    if (bh_str_search(reason, BH_STR("dkim")) < reason.n && signed_by.n)
        return bh_arena_printf(arena, "the DKIM key %.*s", BH_FMT(signed_by));
    return bh_arena_printf(arena, "SPF, DKIM or DMARC of %.*s", BH_FMT(domain->name));
}

/* Once an hour for each domain. */
static bool alarm_is_fresh(struct bh_controld *core, int64_t domain)
{
    bh_time_ms now = bh_controld_now(core);

    for (size_t i = 0; i < sizeof(core->alarms) / sizeof(core->alarms[0]); i++)
        if (core->alarms[i].domain == domain && now - core->alarms[i].at < ALARM_AGAIN_MS)
            return true;
    core->alarms[core->next_alarm].domain = domain;
    core->alarms[core->next_alarm].at = now;
    core->next_alarm = (core->next_alarm + 1) % (sizeof(core->alarms) / sizeof(core->alarms[0]));
    return false;
}

static void raise_alarm(struct bh_controld *core, struct bh_arena *arena, const json_t *event)
{
    int64_t id = json_integer_value(json_object_get(event, "domain_id"));
    const json_t *detail = json_object_get(event, "detail");
    struct bh_domain domain;
    struct bh_notice notice;
    bh_str record, reply = member(event, "text");

    if (!id || alarm_is_fresh(core, id) || bh_domain_by_id(core->store, arena, id, &domain))
        return;
    record = broken_record(arena, &domain, detail);
    bh_controld_event(core, BH_EVENT_ALARM_RAISED, domain.customer_id, domain.id,
                      json_pack("{s:s, s:O?, s:s%, s:O?, s:O?, s:O?}", "alarm", "authentication", "reason",
                                json_object_get(detail, "reason"), "record", record.p, record.n, "remote",
                                json_object_get(detail, "remote"), "message", json_object_get(event, "id"), "text",
                                json_object_get(event, "text")));
    notice = (struct bh_notice){
        .kind = "authentication-refused",
        .customer = domain.customer_id,
        .about = domain.name,
        .subject = bh_arena_printf(arena, "A receiver refused mail of %.*s: authentication", BH_FMT(domain.name)),
        .text = bh_arena_printf(arena,
                                "A receiver has refused a message of %.*s because it did not pass authentication.\n"
                                "What it looked at: %.*s\nWhat it said: %.*s\n\nThe records are being checked now; "
                                "behalf domain show %.*s has the outcome.\n",
                                BH_FMT(domain.name), BH_FMT(record), BH_FMT(reply), BH_FMT(domain.name))};
    if (notice.subject.p && notice.text.p && bh_notice_send(core, &notice))
        core->out->log(core->out_ctx, BH_LOG_ERROR, "a notice cannot be stored", domain.name);
    core->out->log(core->out_ctx, BH_LOG_WARN, "refused for authentication; its records are checked now", domain.name);
    if (bh_check_domain(core, domain.id, NULL, NULL))
        core->out->log(core->out_ctx, BH_LOG_WARN, "cannot be checked now", domain.name);
}

static bh_err act(struct bh_controld *core, struct bh_arena *arena, const json_t *event)
{
    bh_str kind = member(event, "event");
    const json_t *detail = json_object_get(event, "detail");
    bh_str class = member(detail, "class");

    if (bh_str_eq(kind, BH_STR("complained")))
        return suppress(core, event, BH_SUPPRESSED_COMPLAINT, BH_STR("*"), member(detail, "reported_by"));
    if (bh_str_eq(kind, BH_STR("unsubscribed")))
        return suppress(core, event, BH_SUPPRESSED_UNSUBSCRIBE, member(event, "stream"), member(event, "text"));
    if (bh_str_eq(kind, BH_STR("bounced")) && bh_str_eq(class, BH_STR("hard")))
        return suppress(core, event, BH_SUPPRESSED_BOUNCE, BH_STR("*"), member(detail, "reason"));
    if (bh_str_eq(kind, BH_STR("auth-reported")) ||
        (bh_str_eq(kind, BH_STR("bounced")) && bh_str_eq(class, BH_STR("authentication"))))
        raise_alarm(core, arena, event);
    return BH_OK;
}

/* ---- the feed ---- */

static bh_err apply(struct bh_controld *core, const json_t *events, bh_str cursor)
{
    struct bh_arena *arena = bh_arena_new(8 << 20);
    bh_err err = arena ? BH_OK : BH_E_NOMEM;

    if (err)
        return err;
    bh_store_begin(core->store);
    for (size_t i = 0; i < json_array_size(events) && !err; i++)
        err = act(core, arena, json_array_get(events, i));
    if (!err)
        err = bh_suppression_purge(core->store, bh_controld_now(core), PURGE_AT_ONCE);
    if (!err)
        err = bh_setting_set(core->store, bh_str_c(cursor_name), cursor);
    if (err)
        bh_store_rollback(core->store);
    else
        err = bh_store_commit_wait(core->store);
    bh_arena_free(arena);
    return err;
}

static void on_page(void *ctx, bh_err err, bh_str json)
{
    struct bh_controld *core = ctx;
    json_t *answer = err ? NULL : json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, NULL);
    const json_t *result = json_object_get(answer, "result"), *events = json_object_get(result, "events");
    bool more = json_is_true(json_object_get(result, "more"));

    core->feedback_under_way = false;
    if (!err && !json_is_true(json_object_get(answer, "ok")))
        err = BH_E_BUSY;
    if (!err && json_array_size(events))
        err = apply(core, events, member(result, "next"));
    if (err)
        core->out->log(core->out_ctx, BH_LOG_WARN, "feedback waits: the event log cannot be followed",
                       bh_str_c(bh_err_text(err)));
    json_decref(answer);
    if (!err && (more || core->feedback_again))
        bh_feedback_follow(core);
    else
        core->feedback_again = core->feedback_again || err;
}

void bh_feedback_follow(struct bh_controld *core)
{
    struct bh_arena *arena = bh_arena_new(4096);
    bh_str cursor, ask;
    bh_err err = arena ? BH_OK : BH_E_NOMEM;

    if (core->feedback_under_way) {
        core->feedback_again = true;
        bh_arena_free(arena);
        return;
    }
    core->feedback_again = false;
    if (!err)
        err = bh_setting_get(core->store, arena, bh_str_c(cursor_name), &cursor);
    if (err == BH_E_NOT_FOUND) {
        cursor = BH_STR("0");
        err = BH_OK;
    }
    if (!err) {
        ask = bh_arena_printf(arena,
                              "{\"noun\":\"event\",\"verb\":\"list\",\"args\":{\"feedback\":true,\"after\":\"%.*s\","
                              "\"limit\":%d}}",
                              BH_FMT(cursor), PAGE);
        err = ask.p ? core->out->ask_queue(core->out_ctx, ask, on_page, core) : BH_E_NOMEM;
    }
    core->feedback_under_way = !err;
    core->feedback_again = err != BH_OK;
    bh_arena_free(arena);
}

/* ---- look-ups ---- */

void bh_lookup_suppressed(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_suppressed *ask,
                          struct bh_msg_suppressed_reply *ret_reply)
{
    struct bh_cur list = bh_cur_make(ask->questions);
    struct bh_rec_suppression_question question;
    struct bh_buf hits = bh_buf_make(256 * 1024);
    enum bh_suppression_reason reason;

    while (bh_rec_suppression_question_next(&list, &question) == BH_MORE)
        if (bh_suppression_find(core->store, question.customer_id, question.stream, question.address,
                                bh_controld_now(core), &reason) == BH_OK)
            bh_rec_suppression_hit_put(
                &hits, &(struct bh_rec_suppression_hit){question.ref, bh_str_c(bh_suppression_reason_text(reason))});
    ret_reply->hits = hits.n ? bh_arena_dup(arena, bh_buf_view(&hits)) : BH_STR("");
    bh_buf_free(&hits);
}
