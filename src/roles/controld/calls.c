/* calls.c: what controld asks of other roles: a message out, a typed reply in. Each order is a member of
 * struct bh_controld_out (core.h); where it has a `done`, that is called exactly once unless the order fails. */
#include "daemon.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- calls: a message out, a typed reply in ---- */

struct call {
    struct controld *controld;
    union {
        bh_key_done *key;
        bh_dns_asked *dns;
        bh_connect_asked *connect;
        bh_json_done *json;
        bh_submit_done *submit;
        bh_told *told;
        bh_zone_signed *signed_;
        bh_key_used *key_use;
    } done;
    void *ctx;
};

static struct call *new_call(struct controld *controld, void *ctx)
{
    struct call *call = calloc(1, sizeof(*call));

    if (call)
        *call = (struct call){.controld = controld, .ctx = ctx};
    return call;
}

static void on_key_reply(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct call call = *(struct call *)ctx;
    struct bh_msg_key_reply reply = {0};

    free(ctx);
    if (!err)
        err = bh_msg_key_reply_get(message->body, &reply);
    call.done.key(call.ctx, err, &reply);
}

bh_err controld_make_key(void *ctx, const struct bh_key_order *order, bh_key_done *done, void *done_ctx)
{
    struct controld *controld = ctx;
    struct bh_peer *keyd = bh_role_any_peer(controld->role, BH_ROLE_KEYD);
    struct bh_msg_key_generate message = {order->algorithm, order->customer_id, order->key_id,
                                          order->domain,    order->selector,    {"", 0}};
    struct bh_buf body = bh_buf_make(4096);
    struct call *call = keyd ? new_call(controld, done_ctx) : NULL;
    bh_err err;

    if (!call)
        return keyd ? BH_E_NOMEM : BH_E_CLOSED;
    call->done.key = done;
    bh_msg_key_generate_put(&body, &message);
    err = bh_buf_err(&body);
    if (!err)
        err = bh_peer_call(keyd, order->fd < 0 ? BH_MSG_KEY_GENERATE : BH_MSG_KEY_IMPORT, bh_buf_view(&body),
                           &order->fd, order->fd < 0 ? 0 : 1, KEY_TIMEOUT_MS, on_key_reply, call, NULL);
    bh_buf_free(&body);
    if (err)
        free(call);
    return err;
}

bh_err controld_reseal(void *ctx, const struct bh_msg_key_reseal *message, bh_key_done *done, void *done_ctx)
{
    struct controld *controld = ctx;
    struct bh_peer *keyd = bh_role_any_peer(controld->role, BH_ROLE_KEYD);
    struct call *call = keyd ? new_call(controld, done_ctx) : NULL;
    bh_err err;

    if (!call)
        return keyd ? BH_E_NOMEM : BH_E_CLOSED;
    call->done.key = done;
    err = BH_PEER_CALL(keyd, KEY_RESEAL, key_reseal, message, KEY_TIMEOUT_MS, on_key_reply, call, NULL);
    if (err)
        free(call);
    return err;
}

static void on_backup_reply(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct call call = *(struct call *)ctx;
    struct bh_msg_reloaded reply = {0};

    free(ctx);
    if (!err)
        err = bh_msg_reloaded_get(message->body, &reply);
    if (!err && !reply.ok)
        err = BH_E_IO;
    call.done.told(call.ctx, err);
}

static bh_err snapshot_own(struct controld *controld, bh_told *done, void *done_ctx)
{
    char path[4096];

    if (snprintf(path, sizeof(path), "%.*s/control/backup.db", BH_FMT(controld->role->config->state_dir)) >=
        (int)sizeof(path))
        return BH_E_LIMIT;
    return bh_snapshot_begin(&controld->snapshot, controld->role->loop, controld->core.store, path, done, done_ctx);
}

bh_err controld_snapshot(void *ctx, enum bh_role_kind whose, bh_told *done, void *done_ctx)
{
    struct controld *controld = ctx;
    struct bh_peer *owner = whose == BH_ROLE_CONTROLD ? NULL : bh_role_any_peer(controld->role, whose);
    struct call *call = owner ? new_call(controld, done_ctx) : NULL;
    bh_err err;

    if (whose == BH_ROLE_CONTROLD)
        return snapshot_own(controld, done, done_ctx);
    if (!call)
        return owner ? BH_E_NOMEM : BH_E_CLOSED;
    call->done.told = done;
    err = BH_PEER_CALL(owner, BACKUP, drain, &((struct bh_msg_drain){0}), 0, on_backup_reply, call, NULL);
    if (err)
        free(call);
    return err;
}

bh_err controld_secret_again(void *ctx)
{
    return bh_role_secret_again(((struct controld *)ctx)->role);
}

static void on_dns_reply(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct call call = *(struct call *)ctx;
    struct bh_msg_dns_ask_reply reply = {0};

    free(ctx);
    if (!err)
        err = bh_msg_dns_ask_reply_get(message->body, &reply);
    call.done.dns(call.ctx, err, &reply);
}

bh_err controld_ask_dns(void *ctx, const struct bh_msg_dns_ask *ask, bh_dns_asked *done, void *done_ctx)
{
    struct controld *controld = ctx;
    struct bh_peer *steward = bh_role_any_peer(controld->role, BH_ROLE_STEWARD);
    struct call *call = steward ? new_call(controld, done_ctx) : NULL;
    bh_err err;

    if (!call)
        return steward ? BH_E_NOMEM : BH_E_CLOSED;
    call->done.dns = done;
    err = BH_PEER_CALL(steward, DNS_ASK, dns_ask, ask, DNS_TIMEOUT_MS, on_dns_reply, call, NULL);
    if (err)
        free(call);
    return err;
}

static void on_connect_reply(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct call call = *(struct call *)ctx;
    struct bh_msg_connect_reply reply = {0};

    free(ctx);
    if (!err)
        err = bh_msg_connect_reply_get(message->body, &reply);
    call.done.connect(call.ctx, err, &reply);
}

bh_err controld_ask_connect(void *ctx, const struct bh_msg_connect *ask, bh_connect_asked *done, void *done_ctx)
{
    struct controld *controld = ctx;
    struct bh_peer *steward = bh_role_any_peer(controld->role, BH_ROLE_STEWARD);
    struct call *call = steward ? new_call(controld, done_ctx) : NULL;
    bh_err err;

    if (!call)
        return steward ? BH_E_NOMEM : BH_E_CLOSED;
    call->done.connect = done;
    err = BH_PEER_CALL(steward, CONNECT, connect, ask, DNS_TIMEOUT_MS, on_connect_reply, call, NULL);
    if (err)
        free(call);
    return err;
}

static void on_signatures(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct call call = *(struct call *)ctx;
    struct bh_msg_zone_signatures reply = {0};

    free(ctx);
    if (!err)
        err = bh_msg_zone_signatures_get(message->body, &reply);
    call.done.signed_(call.ctx, err, err ? NULL : &reply);
}

bh_err controld_sign_zone(void *ctx, const struct bh_msg_zone_sign *message, bh_zone_signed *done, void *done_ctx)
{
    struct controld *controld = ctx;
    struct bh_peer *keyd = bh_role_any_peer(controld->role, BH_ROLE_KEYD);
    struct call *call = keyd ? new_call(controld, done_ctx) : NULL;
    bh_err err;

    if (!call)
        return keyd ? BH_E_NOMEM : BH_E_CLOSED;
    call->done.signed_ = done;
    err = BH_PEER_CALL(keyd, ZONE_SIGN, zone_sign, message, SIGN_TIMEOUT_MS, on_signatures, call, NULL);
    if (err)
        free(call);
    return err;
}

/* ---- keys: whether they are in use, which sign no more ---- */

static void on_key_use_reply(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct call call = *(struct call *)ctx;
    struct bh_msg_key_use_reply reply = {0};

    free(ctx);
    if (!err)
        err = bh_msg_key_use_reply_get(message->body, &reply);
    call.done.key_use(call.ctx, err, &reply);
}

bh_err controld_key_use(void *ctx, uint64_t key, bh_key_used *done, void *done_ctx)
{
    struct controld *controld = ctx;
    struct bh_peer *queued = bh_role_any_peer(controld->role, BH_ROLE_QUEUED);
    struct call *call = queued ? new_call(controld, done_ctx) : NULL;
    struct bh_buf keys = bh_buf_make(64);
    bh_err err;

    if (!call)
        return queued ? BH_E_NOMEM : BH_E_CLOSED;
    call->done.key_use = done;
    bh_rec_key_ref_put(&keys, &(struct bh_rec_key_ref){key});
    /* a VERSION that was decided on is told first: the answer is then about a queued that knows of it */
    err = bh_buf_err(&keys);
    if (!err)
        err = controld_tell_version(queued, controld->core.version);
    if (!err)
        err = BH_PEER_CALL(queued, KEY_USE, key_use, &((struct bh_msg_key_use){bh_buf_view(&keys)}), QUEUE_TIMEOUT_MS,
                           on_key_use_reply, call, NULL);
    bh_buf_free(&keys);
    if (err)
        free(call);
    return err;
}

static void on_revoked_reply(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct call call = *(struct call *)ctx;

    (void)message;
    free(ctx);
    if (call.done.told)
        call.done.told(call.ctx, err);
}

bh_err controld_revoke_keys(void *ctx, const uint64_t *ids, size_t count, bh_told *done, void *done_ctx)
{
    struct controld *controld = ctx;
    struct bh_peer *keyd = bh_role_any_peer(controld->role, BH_ROLE_KEYD);
    struct call *call = keyd ? new_call(controld, done_ctx) : NULL;
    struct bh_buf keys = bh_buf_make(BH_IPC_BODY_MAX / 2);
    bh_err err;

    if (!call)
        return keyd ? BH_E_NOMEM : BH_E_CLOSED;
    call->done.told = done;
    for (size_t i = 0; i < count; i++)
        bh_rec_key_ref_put(&keys, &(struct bh_rec_key_ref){ids[i]});
    err = bh_buf_err(&keys);
    if (!err)
        err = BH_PEER_CALL(keyd, KEYS_REVOKED, keys_revoked, &((struct bh_msg_keys_revoked){bh_buf_view(&keys)}),
                           KEY_TIMEOUT_MS, on_revoked_reply, call, NULL);
    bh_buf_free(&keys);
    if (err)
        free(call);
    return err;
}

/* ---- counters of every dnsd ---- */

struct counting {
    bh_dns_counted *done;
    void *ctx;
    unsigned open;
};

static void on_stats_reply(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct counting *counting = ctx;
    struct bh_msg_dns_stats_reply reply;
    bool last = --counting->open == 0;

    if (!err)
        err = bh_msg_dns_stats_reply_get(message->body, &reply);
    counting->done(counting->ctx, err ? NULL : &reply, last);
    if (last)
        free(counting);
}

bh_err controld_dns_stats(void *ctx, uint32_t limit, bh_dns_counted *done, void *done_ctx)
{
    struct controld *controld = ctx;
    struct counting *counting = calloc(1, sizeof(*counting));
    struct bh_msg_dns_stats ask = {limit};

    if (!counting)
        return BH_E_NOMEM;
    *counting = (struct counting){done, done_ctx, 0};
    for (struct bh_peer *peer = controld->role->peers; peer; peer = peer->next_peer)
        if (peer->kind == BH_ROLE_DNSD && peer->up &&
            BH_PEER_CALL(peer, DNS_STATS, dns_stats, &ask, DNS_TIMEOUT_MS, on_stats_reply, counting, NULL) == BH_OK)
            counting->open++;
    if (counting->open)
        return BH_OK;
    free(counting);
    return BH_E_CLOSED;
}

static void on_queue_reply(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct call call = *(struct call *)ctx;
    struct bh_msg_command reply = {{"", 0}};

    free(ctx);
    if (!err)
        err = bh_msg_command_get(message->body, &reply);
    call.done.json(call.ctx, err, reply.json);
}

bh_err controld_ask_queue(void *ctx, bh_str json, bh_json_done *done, void *done_ctx)
{
    struct controld *controld = ctx;
    struct bh_peer *queued = bh_role_any_peer(controld->role, BH_ROLE_QUEUED);
    struct call *call = queued ? new_call(controld, done_ctx) : NULL;
    struct bh_msg_command message = {json};
    bh_err err;

    if (!call)
        return queued ? BH_E_NOMEM : BH_E_CLOSED;
    call->done.json = done;
    err = BH_PEER_CALL(queued, COMMAND, command, &message, QUEUE_TIMEOUT_MS, on_queue_reply, call, NULL);
    if (err)
        free(call);
    return err;
}

/* ---- submitting: small bodies inline, larger ones through a file that queued hands out ---- */

struct submitting {
    struct controld *controld;
    struct bh_arena *arena;
    struct bh_msg_submit message; /* its strings live with the command until `done` */
    int fd;                       /* our copy; -1: the body is in the message */
    bh_submit_done *done;
    void *ctx;
};

static void end_submitting(struct submitting *submitting, bh_err err, const struct bh_msg_submit_reply *reply)
{
    bh_submit_done *done = submitting->done;
    void *ctx = submitting->ctx;

    if (submitting->fd >= 0)
        (void)close(submitting->fd);
    done(ctx, err, reply);
    bh_arena_free(submitting->arena);
    free(submitting);
}

static void on_submit_reply(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct bh_msg_submit_reply reply = {0};

    if (!err)
        err = bh_msg_submit_reply_get(message->body, &reply);
    end_submitting(ctx, err, &reply);
}

static bh_err send_submit(struct submitting *submitting)
{
    struct bh_peer *queued = bh_role_any_peer(submitting->controld->role, BH_ROLE_QUEUED);

    if (!queued)
        return BH_E_CLOSED;
    return BH_PEER_CALL(queued, SUBMIT, submit, &submitting->message, QUEUE_TIMEOUT_MS, on_submit_reply, submitting,
                        NULL);
}

static bh_err copy_body(int from, int to, uint64_t size)
{
    char block[65536];

    for (uint64_t done = 0; done < size;) {
        ssize_t got =
            pread(from, block, size - done < sizeof(block) ? (size_t)(size - done) : sizeof(block), (off_t)done);

        if (got <= 0 || pwrite(to, block, (size_t)got, (off_t)done) != got)
            return BH_E_IO;
        done += (uint64_t)got;
    }
    return fsync(to) == 0 ? BH_OK : BH_E_IO;
}

static void on_body_file(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct submitting *submitting = ctx;
    struct bh_msg_body_file_reply reply;
    struct bh_msg_submit_reply refused = {
        .code = 452, .enhanced = BH_STR("4.3.1"), .reason = BH_STR("no room for the message")};

    if (!err)
        err = bh_msg_body_file_reply_get(message->body, &reply);
    if (!err && (!reply.ok || message->fd_count != 1)) {
        end_submitting(submitting, BH_OK, &refused);
        return;
    }
    if (!err)
        err = copy_body(submitting->fd, message->fds[0], submitting->message.size);
    if (!err) {
        submitting->message.body_file = reply.body_file;
        err = send_submit(submitting);
    }
    if (err)
        end_submitting(submitting, err, &refused);
}

static bh_err ask_body_file(struct submitting *submitting)
{
    struct bh_peer *queued = bh_role_any_peer(submitting->controld->role, BH_ROLE_QUEUED);
    struct bh_msg_body_file ask = {submitting->message.size};

    if (!queued)
        return BH_E_CLOSED;
    return BH_PEER_CALL(queued, BODY_FILE, body_file, &ask, QUEUE_TIMEOUT_MS, on_body_file, submitting, NULL);
}

static bh_err read_inline(struct submitting *submitting)
{
    size_t size = (size_t)submitting->message.size;
    char *room = bh_arena_alloc(submitting->arena, size);

    if (!room)
        return BH_E_NOMEM;
    if (pread(submitting->fd, room, size, 0) != (ssize_t)size)
        return BH_E_IO;
    submitting->message.body = bh_str_of(room, size);
    return BH_OK;
}

bh_err controld_submit(void *ctx, const struct bh_msg_submit *message, int fd, bh_submit_done *done, void *done_ctx)
{
    struct submitting *submitting = calloc(1, sizeof(*submitting));
    bh_err err = BH_OK;

    if (!submitting)
        return BH_E_NOMEM;
    *submitting = (struct submitting){.controld = ctx,
                                      .arena = bh_arena_new(1 << 20),
                                      .message = *message,
                                      .fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3),
                                      .done = done,
                                      .ctx = done_ctx};
    if (!submitting->arena || (fd >= 0 && submitting->fd < 0))
        err = BH_E_NOMEM;
    if (!err && fd < 0 && message->size > INLINE_BODY_MAX)
        err = BH_E_LIMIT;
    if (!err && fd >= 0 && message->size <= INLINE_BODY_MAX)
        err = read_inline(submitting);
    if (!err)
        err = message->size <= INLINE_BODY_MAX ? send_submit(submitting) : ask_body_file(submitting);
    if (err) {
        if (submitting->fd >= 0)
            (void)close(submitting->fd);
        bh_arena_free(submitting->arena);
        free(submitting);
    }
    return err;
}

/* ---- events ---- */

static void on_event_reply(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct call call = *(struct call *)ctx;
    struct bh_msg_event_reply reply;

    free(ctx);
    if (!err)
        err = bh_msg_event_reply_get(message->body, &reply);
    if (!err && !reply.ok)
        err = BH_E_BUSY;
    call.done.told(call.ctx, err);
}

bh_err controld_tell_events(void *ctx, bh_str events, bh_told *done, void *done_ctx)
{
    struct controld *controld = ctx;
    struct bh_peer *queued = bh_role_any_peer(controld->role, BH_ROLE_QUEUED);
    struct call *call = queued ? new_call(controld, done_ctx) : NULL;
    struct bh_msg_event message = {events};
    bh_err err;

    if (!call)
        return queued ? BH_E_NOMEM : BH_E_CLOSED;
    call->done.told = done;
    err = BH_PEER_CALL(queued, EVENT, event, &message, QUEUE_TIMEOUT_MS, on_event_reply, call, NULL);
    if (err)
        free(call);
    return err;
}
