/* canary.c: the message with which a domain proves itself: once a day, and on demand, each verified domain sends one to
 * ourselves by its real path: queue, sender, keyd, the world's DNS, our port 25. The steward judges it there as any
 * receiver would, and tells us here.
 *
 *   due ─▶ row, message, submit ─▶ … ─▶ CANARY_VERDICT ─▶ row, event ─▶ a check of the domain
 *             └─ no verdict in time: failed
 *
 * The address is one of ours, with a MAC as bounce addresses have it; the number in it is that of the row. What failed
 * canaries mean for the state is the state machine's business: it counts those since the last that passed. */
#include "canary.h"
#include "base/clock.h"
#include <stdlib.h>

enum {
    START_MAX = 32,
    OVERDUE_MAX = 64,
    ARENA_BYTES = 1 << 20,
    ARRIVES_WITHIN_MS = 3600 * 1000,
    AGAIN_AFTER_FAILURE_MS = 15 * 60 * 1000,
    AFTER_VERIFICATION_MS = 30 * 1000
};

/* ---- keys ---- */

bh_err bh_canary_keys(struct bh_controld *core, const struct bh_msg_subkeys *message)
{
    uint16_t now = bh_verp_period(bh_controld_now(core));
    struct bh_cur list = bh_cur_make(message->keys);
    struct bh_rec_subkey subkey;
    bh_err err = BH_DONE;

    if (!bh_str_eq(message->purpose, BH_STR("bounce")))
        return BH_OK;
    while ((err = bh_rec_subkey_next(&list, &subkey)) == BH_MORE) {
        if (subkey.key.n != BH_VERP_KEY_BYTES)
            return BH_E_SYNTAX;
        if (subkey.period != now && subkey.period != (uint32_t)now + 1)
            continue;
        core->canary_keys[subkey.period - now].period = (uint16_t)subkey.period;
        memcpy(core->canary_keys[subkey.period - now].key, subkey.key.p, BH_VERP_KEY_BYTES);
        core->canary_key_count = 2;
    }
    return err == BH_DONE ? BH_OK : err;
}

static const struct bh_verp_key *key_now(const struct bh_controld *core)
{
    struct bh_verp_ring ring = {core->canary_keys, core->canary_key_count};

    return bh_verp_key_find(&ring, bh_verp_period(bh_controld_now(core)));
}

/* ---- sending ---- */

struct sending {
    struct bh_controld *core;
    struct bh_arena *arena;
    struct bh_domain domain;
    int64_t canary;
};

static bh_err write_address(struct sending *sending, bh_str *ret_address)
{
    struct bh_controld *core = sending->core;
    const struct bh_verp_key *key = key_now(core);
    bh_str at = bh_arena_printf(sending->arena, "bounce.%.*s", BH_FMT(core->platform.domain));
    struct bh_verp verp = {.kind = BH_VERP_CANARY,
                           .customer = (uint32_t)sending->domain.customer_id,
                           .message = (uint64_t)sending->canary};
    char local[BH_VERP_CHARS];
    bh_err err;

    if (!key)
        return BH_E_AGAIN; /* keyd is not there yet */
    if (!at.p)
        return BH_E_NOMEM;
    err = bh_verp_encode(&verp, at, key, local);
    if (err)
        return err;
    *ret_address = bh_arena_printf(sending->arena, "%.*s@%.*s", BH_VERP_CHARS, local, BH_FMT(at));
    return ret_address->p ? BH_OK : BH_E_NOMEM;
}

static bh_str write_message(struct sending *sending, bh_str from, bh_str to)
{
    struct bh_buf date = bh_buf_make(64);
    bh_str text;

    bh_time_rfc5322(&date, bh_controld_now(sending->core));
    text = bh_arena_printf(sending->arena,
                           "From: <%.*s>\r\nTo: <%.*s>\r\nSubject: canary %lld of %.*s\r\nDate: %.*s\r\n"
                           "Message-ID: <canary.%lld@%.*s>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                           "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
                           "This message proves that mail in the name of %.*s passes DMARC.\r\n",
                           BH_FMT(from), BH_FMT(to), (long long)sending->canary, BH_FMT(sending->domain.name),
                           BH_FMT(bh_buf_view(&date)), (long long)sending->canary, BH_FMT(sending->domain.name),
                           BH_FMT(sending->domain.name));
    bh_buf_free(&date);
    return text;
}

static void on_submitted(void *ctx, bh_err err, const struct bh_msg_submit_reply *reply)
{
    struct sending *sending = ctx;
    struct bh_controld *core = sending->core;

    if (!err && reply->ok)
        err = bh_canary_set_message(core->store, sending->canary, reply->message_id);
    else if (!err)
        err = BH_E_BUSY;
    if (err)
        core->out->log(core->out_ctx, BH_LOG_WARN, "a canary was not taken by the queue", sending->domain.name);
    bh_arena_free(sending->arena);
}

static bh_err submit(struct sending *sending)
{
    struct bh_controld *core = sending->core;
    bh_str from = bh_arena_printf(sending->arena, "canary@%.*s", BH_FMT(sending->domain.name)), to, body;
    struct bh_buf recipients = bh_buf_make(2048);
    struct bh_msg_submit message = {.customer_id = (uint32_t)sending->domain.customer_id,
                                    .domain_id = (uint32_t)sending->domain.id,
                                    .destination = BH_TO_WORLD,
                                    .header_from = from,
                                    .from_domain = sending->domain.name,
                                    .mail_from = from,
                                    .client = BH_STR("local"),
                                    .protocol = BH_STR("LOCAL")};
    bh_err err = write_address(sending, &to);

    if (err)
        return err;
    body = write_message(sending, from, to);
    bh_rec_recipient_put(&recipients, &(struct bh_rec_recipient){to, BH_STR(""), BH_STR("")});
    message.body = body;
    message.size = body.n;
    message.recipients = bh_arena_dup(sending->arena, bh_buf_view(&recipients));
    err = from.p && body.p && message.recipients.p ? bh_buf_err(&recipients) : BH_E_NOMEM;
    bh_buf_free(&recipients);
    return err ? err : core->out->submit(core->out_ctx, &message, -1, on_submitted, sending);
}

bh_err bh_canary_send(struct bh_controld *core, int64_t domain, int64_t *ret_canary)
{
    struct bh_arena *arena = bh_arena_new(ARENA_BYTES);
    struct sending *sending = arena ? bh_arena_alloc(arena, sizeof(*sending)) : NULL;
    int64_t canary = 0;
    bh_err err = BH_E_NOMEM;

    if (sending) {
        *sending = (struct sending){.core = core, .arena = arena};
        err = key_now(core) ? bh_domain_by_id(core->store, arena, domain, &sending->domain) : BH_E_AGAIN;
    }
    if (!err)
        err = bh_canary_insert(core->store, domain, bh_controld_now(core), &sending->canary);
    if (!err) {
        canary = sending->canary;
        err = submit(sending); /* the answer may have come: `sending` is gone */
    }
    if (err)
        bh_arena_free(arena);
    else
        *ret_canary = canary;
    return err;
}

/* ---- verdicts ---- */

static bool is_waited_for(struct bh_controld *core, int64_t canary, size_t *ret_at)
{
    for (size_t i = 0; i < core->canary_waiter_count; i++)
        if (core->canary_waiters[i].canary == canary) {
            *ret_at = i;
            return true;
        }
    return false;
}

static void tell_waiters(struct bh_controld *core, int64_t canary)
{
    size_t at;

    while (is_waited_for(core, canary, &at)) {
        struct bh_canary_waiter waiter = core->canary_waiters[at];

        core->canary_waiters[at] = core->canary_waiters[--core->canary_waiter_count];
        waiter.done(waiter.ctx, canary);
    }
}

bh_err bh_canary_wait(struct bh_controld *core, int64_t canary, void (*done)(void *ctx, int64_t canary), void *ctx)
{
    if (core->canary_waiter_count == BH_CANARY_WAITERS_MAX)
        return BH_E_LIMIT;
    core->canary_waiters[core->canary_waiter_count++] = (struct bh_canary_waiter){
        .canary = canary, .until = bh_controld_now(core) + BH_CANARY_WAIT_MS, .done = done, .ctx = ctx};
    return BH_OK;
}

static void tell_event(struct bh_controld *core, const struct bh_domain *domain,
                       const struct bh_canary_verdict *verdict)
{
    json_t *detail = json_stringn(verdict->detail.p, verdict->detail.n);

    bh_controld_event(core, verdict->passed ? BH_EVENT_CANARY_PASSED : BH_EVENT_CANARY_FAILED, domain->customer_id,
                      domain->id,
                      json_pack("{s:o, s:s, s:o}", "domain", json_stringn(domain->name.p, domain->name.n), "aligned",
                                bh_mechanism_name(verdict->aligned), "detail", detail ? detail : json_string("")));
}

/* A failed one is repeated soon; it, and the first that passes again, let the domain be looked at at once. */
static bh_err consequences(struct bh_controld *core, const struct bh_domain *domain, bool passed,
                           int64_t failures_before)
{
    bh_time_ms now = bh_controld_now(core);
    bh_err err = BH_OK;

    if (passed && !failures_before)
        return BH_OK;
    if (!passed && core->canary_every_ms)
        err = bh_canary_set_due(core->store, domain->id, now + AGAIN_AFTER_FAILURE_MS);
    if (!err)
        err = bh_domain_update_check_at(core->store, domain->id, now, 0);
    core->out->wake(core->out_ctx, 1000);
    return err;
}

/* Whoever learned the address of a canary can send to it: under another name that proves nothing, and refutes nothing.
 * The true one is still on its way. */
static bool is_foreign(struct bh_controld *core, const struct bh_domain *domain,
                       const struct bh_canary_verdict *verdict)
{
    if (!verdict->from.p || bh_str_eq_ci(verdict->from, domain->name))
        return false;
    core->out->log(core->out_ctx, BH_LOG_WARN, "a message in another name came to the address of a canary",
                   domain->name);
    return true;
}

bh_err bh_canary_judged(struct bh_controld *core, int64_t id, const struct bh_canary_verdict *verdict)
{
    struct bh_arena *arena = bh_arena_new(ARENA_BYTES);
    struct bh_canary canary;
    struct bh_domain domain;
    int64_t failures = 0;
    bh_err err = arena ? bh_canary_by_id(core->store, arena, id, &canary) : BH_E_NOMEM;

    if (!err)
        err = bh_domain_by_id(core->store, arena, canary.domain, &domain);
    if (!err && is_foreign(core, &domain, verdict))
        err = BH_E_NOT_FOUND;
    if (!err)
        err = bh_canary_failures(core->store, canary.domain, &failures);
    if (!err)
        err =
            bh_canary_judge(core->store, id, bh_controld_now(core), verdict->passed, verdict->aligned, verdict->detail);
    if (!err) {
        tell_event(core, &domain, verdict);
        core->out->log(core->out_ctx, verdict->passed ? BH_LOG_INFO : BH_LOG_WARN,
                       verdict->passed ? "canary passed" : "canary failed", domain.name);
        err = consequences(core, &domain, verdict->passed, failures);
        tell_waiters(core, id);
    }
    bh_arena_free(arena);
    return err == BH_E_NOT_FOUND ? BH_OK : err; /* told twice, or removed meanwhile */
}

/* ---- time ---- */

struct list {
    int64_t ids[OVERDUE_MAX];
    size_t count;
};

static void add_id(void *ctx, int64_t id)
{
    struct list *list = ctx;

    if (list->count < OVERDUE_MAX)
        list->ids[list->count++] = id;
}

static void add_overdue(void *ctx, const struct bh_canary *canary)
{
    add_id(ctx, canary->id);
}

/* The next one a period later, a little earlier or later, so that they stay spread. */
static bh_err start_one(struct bh_controld *core, int64_t domain, bh_time_ms now)
{
    int64_t every = core->canary_every_ms, canary;
    bh_time_ms next = now + every - every / 16 + (bh_time_ms)bh_random_below(core->random, (uint64_t)every / 8 + 1);
    bh_err err = bh_canary_set_due(core->store, domain, next);

    if (!err)
        err = bh_canary_send(core, domain, &canary);
    return err;
}

static void give_up_waiting(struct bh_controld *core, bh_time_ms now)
{
    for (size_t i = core->canary_waiter_count; i-- > 0;)
        if (core->canary_waiters[i].until <= now)
            tell_waiters(core, core->canary_waiters[i].canary);
}

bh_time_ms bh_canary_run(struct bh_controld *core)
{
    static const struct bh_canary_verdict lost = {.detail = {"it has not arrived within an hour", 33}};
    bh_time_ms now = bh_controld_now(core), next = INT64_MAX;
    struct list due = {.count = 0}, overdue = {.count = 0};
    bh_err err = bh_canary_list_overdue(core->store, now - ARRIVES_WITHIN_MS, OVERDUE_MAX, add_overdue, &overdue);

    give_up_waiting(core, now);
    for (size_t i = 0; !err && i < overdue.count; i++)
        err = bh_canary_judged(core, overdue.ids[i], &lost);
    if (!err && core->canary_every_ms && key_now(core))
        err = bh_canary_list_due(core->store, now, START_MAX, add_id, &due);
    for (size_t i = 0; !err && i < due.count; i++)
        err = start_one(core, due.ids[i], now);
    if (!err && core->canary_every_ms && key_now(core))
        err = bh_canary_next_due(core->store, &next);
    if (err && err != BH_E_CLOSED)
        core->out->log(core->out_ctx, BH_LOG_WARN, "canaries wait", bh_str_c(bh_err_text(err)));
    if (core->canary_waiter_count && next > now + 1000)
        next = now + 1000;
    return next;
}

bh_err bh_canary_plan(struct bh_controld *core, int64_t domain, bool can_send)
{
    bh_time_ms planned;
    bh_err err = bh_canary_get_due(core->store, domain, &planned);

    if (err || (planned != 0) == can_send || !core->canary_every_ms)
        return err;
    return bh_canary_set_due(core->store, domain, can_send ? bh_controld_now(core) + AFTER_VERIFICATION_MS : 0);
}
