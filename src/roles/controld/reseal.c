/* reseal.c: an exchange of the master secret: everything that an earlier secret sealed is sealed again by the current
 * one, in the background, some objects at a time.
 *
 * keyd says which secret seals and whether the one before still opens. What each object was sealed by stands in its
 * first bytes, so the work that is left is found in the rows themselves, and whoever dies in between goes on. keyd
 * opens, parses, seals, opens again and compares; here the public half that it found is compared with the one that is
 * published before a row is replaced, all rows of a batch in one transaction. It is complete when a whole pass found
 * nothing to do: the old secret may be dropped then, which `behalf secret rotate` does. The pass begins some seconds
 * after keyd has changed: a key that was made just before may still be on its way into its row. */
#include "base/text.h"
#include "command.h"
#include "domain/key.h"
#include "report.h"
#include "roles/grant.h"
#include "store/sealed.h"
#include <stdlib.h>

enum {
    PREFIX_BYTES = 5,
    BATCH = 64,
    ARENA_BYTES = 4 << 20,
    GRANT_MS = 60 * 1000,
    SETTLE_MS = 5000,
    AGAIN_MS = 1000,
    FAILED_AGAIN_MS = 60 * 1000
};

/* Under which kind of grant the objects of each table are sealed. */
static const struct {
    const char *what;
    enum bh_grant_kind grant;
} kinds[BH_SEALED_KINDS] = {
    [BH_SEALED_DKIM_KEY] = {"a DKIM key", BH_GRANT_DKIM}, [BH_SEALED_ZONE_KEY] = {"a key of a zone", BH_GRANT_DNSSEC}};

struct object {
    struct bh_controld *core;
    struct bh_sealed was;
    bh_str is; /* empty: not sealed again */
};

struct bh_reseal {
    uint8_t prefix[PREFIX_BYTES];
    bool known, has_old, scanning, complete;
    bh_time_ms told_at; /* keyd's word */
    enum bh_sealed_kind kind;
    int64_t after, last;
    size_t in_hand, count;
    bool interrupted;                 /* keyd went away: the batch again */
    uint64_t found, failed, resealed; /* in this pass; since keyd's word */
    struct bh_arena *arena;           /* of the batch */
    struct object objects[BATCH];
};

static bh_str prefix_of(const struct bh_reseal *reseal)
{
    return bh_str_of((const char *)reseal->prefix, PREFIX_BYTES);
}

static void log_object(const struct object *object, enum bh_log_level level, const char *text)
{
    struct bh_controld *core = object->core;
    bh_str about = bh_arena_printf(core->reseal->arena, "%s of %.*s, selector %.*s", kinds[core->reseal->kind].what,
                                   BH_FMT(object->was.domain), BH_FMT(object->was.selector));

    core->out->log(core->out_ctx, level, text, about);
}

/* ---- a pass ---- */

static void begin_pass(struct bh_controld *core, int64_t in_ms)
{
    struct bh_reseal *reseal = core->reseal;

    reseal->scanning = true;
    reseal->kind = 0;
    reseal->after = INT64_MIN;
    reseal->found = reseal->failed = 0;
    core->out->wake_reseal(core->out_ctx, in_ms);
}

static void complete(struct bh_controld *core)
{
    struct bh_reseal *reseal = core->reseal;
    struct bh_buf text = bh_buf_make(64);
    bh_err err;

    bh_hex_encode(&text, prefix_of(reseal));
    err = bh_setting_set(core->store, BH_STR("sealed-by"), bh_buf_view(&text));
    bh_buf_free(&text);
    if (err) {
        begin_pass(core, AGAIN_MS);
        return;
    }
    reseal->scanning = false;
    reseal->complete = true;
    if (reseal->resealed) { /* what others have cached was sealed by the old one */
        bh_controld_changed(core);
        core->out->log(core->out_ctx, BH_LOG_INFO, "everything is sealed by the current master secret", BH_STR(""));
    }
}

static void end_pass(struct bh_controld *core)
{
    struct bh_reseal *reseal = core->reseal;

    if (reseal->failed)
        begin_pass(core, FAILED_AGAIN_MS);
    else if (reseal->found || bh_controld_now(core) - reseal->told_at < SETTLE_MS)
        begin_pass(core, AGAIN_MS);
    else
        complete(core);
}

/* ---- a batch ---- */

static bh_err write_batch(struct bh_controld *core)
{
    struct bh_reseal *reseal = core->reseal;
    bh_err err = BH_OK;

    bh_store_begin(core->store);
    for (size_t i = 0; i < reseal->count && !err; i++)
        if (reseal->objects[i].is.n)
            err = bh_sealed_replace(core->store, reseal->kind, reseal->objects[i].was.id, reseal->objects[i].was.sealed,
                                    reseal->objects[i].is);
    if (!err)
        return bh_store_commit_wait(core->store);
    bh_store_rollback(core->store);
    return err;
}

static void end_batch(struct bh_controld *core)
{
    struct bh_reseal *reseal = core->reseal;
    bh_err err = reseal->count ? write_batch(core) : BH_OK;

    if (err)
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot write what was sealed again", bh_str_c(bh_err_text(err)));
    for (size_t i = 0; i < reseal->count && !err; i++)
        reseal->resealed += reseal->objects[i].is.n > 0;
    if (err || reseal->interrupted) {
        core->out->wake_reseal(core->out_ctx, AGAIN_MS);
        return;
    }
    reseal->after = reseal->last;
    core->out->wake_reseal(core->out_ctx, 1);
}

static bool same_public(const struct object *object, bh_str found)
{
    struct bh_arena *arena = object->core->reseal->arena;
    bh_str public_b64;
    bool damaged;

    if (object->core->reseal->kind == BH_SEALED_ZONE_KEY)
        return bh_str_eq(found, object->was.public_half);
    return bh_key_record_public(arena, found, &public_b64, &damaged) == BH_OK && !damaged &&
           bh_str_eq(public_b64, object->was.public_half);
}

static void on_resealed(void *ctx, bh_err err, const struct bh_msg_key_reply *reply)
{
    struct object *object = ctx;
    struct bh_reseal *reseal = object->core->reseal;

    if (err) {
        reseal->interrupted = true;
    } else if (!reply->ok || !bh_str_starts(reply->sealed, prefix_of(reseal))) {
        reseal->failed++;
        log_object(object, BH_LOG_ERROR, "cannot be sealed again: no secret that is known opens it");
    } else if (!same_public(object, reply->public_record)) {
        reseal->failed++;
        log_object(object, BH_LOG_ERROR, "is not sealed again: it is not the key that is published");
    } else {
        object->is = bh_arena_dup(reseal->arena, reply->sealed);
        reseal->interrupted = reseal->interrupted || !object->is.p;
    }
    if (--reseal->in_hand == 0)
        end_batch(object->core);
}

static bh_err ask(struct object *object)
{
    struct bh_controld *core = object->core;
    struct bh_buf grant = bh_buf_make(BH_GRANT_BYTES_MAX);
    struct bh_msg_key_reseal message = {.sealed = object->was.sealed};
    bh_err err;

    bh_grant_put(&grant, core->grant_key,
                 &(struct bh_grant){.kind = BH_GRANT_SEAL,
                                    .granter = BH_ROLE_CONTROLD,
                                    .delivery_id = kinds[core->reseal->kind].grant,
                                    .customer_id = object->was.customer_id,
                                    .key_id = (uint64_t)object->was.id,
                                    .domain = object->was.domain,
                                    .selector = object->was.selector,
                                    .expires_at = bh_controld_now(core) + GRANT_MS});
    message.grant = bh_buf_view(&grant);
    err = bh_buf_err(&grant);
    if (!err)
        err = core->out->reseal(core->out_ctx, &message, on_resealed, object);
    bh_buf_free(&grant);
    return err;
}

static void take(void *ctx, const struct bh_sealed *row)
{
    struct bh_controld *core = ctx;
    struct bh_reseal *reseal = core->reseal;
    struct object *object = &reseal->objects[reseal->count];

    reseal->last = row->id;
    if (!row->sealed.n)
        return;
    *object = (struct object){.core = core, .was = *row};
    object->was.domain = bh_arena_dup(reseal->arena, row->domain);
    object->was.selector = bh_arena_dup(reseal->arena, row->selector);
    object->was.sealed = bh_arena_dup(reseal->arena, row->sealed);
    object->was.public_half = bh_arena_dup(reseal->arena, row->public_half);
    reseal->interrupted = reseal->interrupted || !object->was.sealed.p || !object->was.public_half.p;
    reseal->count++;
}

/* `done` may be called at once: one more is held in hand until all are asked. */
static void ask_all(struct bh_controld *core)
{
    struct bh_reseal *reseal = core->reseal;

    reseal->found += reseal->count;
    reseal->in_hand = 1;
    for (size_t i = 0; i < reseal->count && !reseal->interrupted; i++) {
        reseal->in_hand++;
        if (ask(&reseal->objects[i])) {
            reseal->interrupted = true;
            reseal->in_hand--;
        }
    }
    if (--reseal->in_hand == 0)
        end_batch(core);
}

void bh_reseal_wake(struct bh_controld *core)
{
    struct bh_reseal *reseal = core->reseal;
    bh_err err;

    if (!reseal || !reseal->scanning || reseal->in_hand)
        return;
    if (!core->has_grant_key) {
        core->out->wake_reseal(core->out_ctx, AGAIN_MS);
        return;
    }
    bh_arena_reset(reseal->arena);
    reseal->count = 0;
    reseal->interrupted = false;
    reseal->last = reseal->after;
    err = bh_sealed_list(core->store, reseal->kind, prefix_of(reseal), reseal->after, BATCH, take, core);
    if (err || reseal->last != reseal->after) {
        reseal->interrupted = reseal->interrupted || err;
        ask_all(core);
        return;
    }
    reseal->kind++;
    reseal->after = INT64_MIN;
    if (reseal->kind == BH_SEALED_KINDS)
        end_pass(core);
    else
        core->out->wake_reseal(core->out_ctx, 1);
}

/* ---- keyd's word ---- */

static bool is_done(struct bh_controld *core)
{
    struct bh_buf text = bh_buf_make(64);
    bh_str value;
    bool same;

    bh_arena_reset(core->reseal->arena);
    bh_hex_encode(&text, prefix_of(core->reseal));
    same = bh_setting_get(core->store, core->reseal->arena, BH_STR("sealed-by"), &value) == BH_OK &&
           bh_str_eq(value, bh_buf_view(&text));
    bh_buf_free(&text);
    return same;
}

static bool make_reseal(struct bh_controld *core)
{
    if (core->reseal)
        return true;
    core->reseal = calloc(1, sizeof(*core->reseal));
    if (core->reseal)
        core->reseal->arena = bh_arena_new(ARENA_BYTES);
    if (!core->reseal || !core->reseal->arena)
        bh_reseal_free(core);
    return core->reseal != NULL;
}

bh_err bh_reseal_secrets(struct bh_controld *core, const struct bh_msg_secrets *secrets)
{
    struct bh_reseal *reseal;
    bool dropped;

    if (secrets->prefix.n != PREFIX_BYTES)
        return BH_E_SYNTAX;
    if (!make_reseal(core))
        return BH_E_NOMEM;
    reseal = core->reseal;
    dropped = reseal->known && reseal->has_old && !secrets->has_old;
    if (!bh_str_eq(prefix_of(reseal), secrets->prefix))
        reseal->resealed = 0;
    memcpy(reseal->prefix, secrets->prefix.p, PREFIX_BYTES);
    reseal->known = true;
    reseal->has_old = secrets->has_old != 0;
    reseal->told_at = bh_controld_now(core);
    if (reseal->in_hand) { /* the batch ends first; this pass finds nothing more of the secret before */
        reseal->scanning = true;
        reseal->complete = false;
        reseal->interrupted = true;
        return BH_OK;
    }
    reseal->complete = is_done(core);
    if (!reseal->complete || dropped) /* once more, for what came late: keyd still has it in mind */
        begin_pass(core, 100);
    return BH_OK;
}

void bh_reseal_free(struct bh_controld *core)
{
    if (core->reseal)
        bh_arena_free(core->reseal->arena);
    free(core->reseal);
    core->reseal = NULL;
}

/* ---- commands ---- */

void bh_secret_status(struct bh_command *command)
{
    static const char *const known[] = {NULL};
    const struct bh_reseal *reseal = command->core->reseal;
    struct bh_buf id = bh_buf_make(64);

    if (!bh_command_knows(command, known))
        return;
    if (!reseal || !reseal->known) {
        bh_command_fail(command, "temporary", "Try again in a moment", "keyd is not running");
        return;
    }
    bh_hex_encode(&id, bh_str_skip(prefix_of(reseal), 1));
    bh_command_done(command, json_pack("{s:o, s:b, s:b, s:I, s:I}", "secret", bh_json_str(bh_buf_view(&id)),
                                       "old_opens", reseal->has_old, "complete", reseal->complete, "sealed_again",
                                       (json_int_t)reseal->resealed, "failed", (json_int_t)reseal->failed));
    bh_buf_free(&id);
}

void bh_secret_again(struct bh_command *command)
{
    static const char *const known[] = {NULL};
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    err = command->core->out->secret_again(command->core->out_ctx);
    if (err)
        bh_command_fail_err(command, err, "master cannot be asked");
    else
        bh_command_done(command, NULL);
}
