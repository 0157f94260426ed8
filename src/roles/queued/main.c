/* queued: the engine (engine.h) on the loop: what arrives from the peers goes in, what the engine says goes out.
 *
 *   smtpd, controld, steward   SUBMIT, BODY_FILE; controld also COMMAND
 *   controld                   IDENTITY (asked), VERSION
 *   keyd                       GRANT_KEY
 *   sender, steward            DELIVER, RESULT_ACK out; IN_FLIGHT, SLOTS, RESULT in
 */
#include "base/random.h"
#include "engine.h"
#include "roles/grant.h"
#include "roles/role.h"
#include "roles/snapshot.h"
#include "store/event_type.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

enum { IDENTITY_TIMEOUT_MS = 15000, PATH_BYTES = 4096, KEEP_A_TURN = 200 };

/* A connection to a peer: `generation` tells an answer for the last one from one for this. */
struct link {
    uint64_t generation;
    struct bh_worker *worker; /* of senders and the steward, while up */
};

struct queued {
    struct bh_role *role;
    struct bh_store *store;
    struct bh_queued *engine;
    struct bh_deferred turn;
    struct bh_timer wake;
    char body_dir[PATH_BYTES];
    struct bh_snapshot snapshot;
    struct bh_timer keep; /* second names for bodies, some a turn */
    bool backing_up;
    uint32_t backup_request;
    uint8_t grant_key[BH_GRANT_KEY_BYTES];
    bool has_grant_key;
    bool controld_up;
    bool draining;
};

/* ---- what the engine says ---- */

static bh_time_ms now(void *ctx)
{
    return bh_loop_now(((struct queued *)ctx)->role->loop);
}

static struct bh_peer *asker(const struct bh_requester *to)
{
    struct bh_peer *peer = to->peer;
    struct link *link = peer->state;

    return peer->up && link && link->generation == to->generation ? peer : NULL;
}

/* Sending can fail only because the peer is gone or is being closed: it asks again, or repeats, when it is back. */
static void ignore(bh_err err)
{
    (void)err;
}

static void submit_reply(void *ctx, const struct bh_requester *to, const struct bh_msg_submit_reply *reply)
{
    struct bh_peer *peer = asker(to);

    (void)ctx;
    if (peer)
        ignore(BH_PEER_SEND(peer, SUBMIT_REPLY, to->id, submit_reply, reply));
}

static void batch_reply(void *ctx, const struct bh_requester *to, const struct bh_msg_submit_batch_reply *reply)
{
    struct bh_peer *peer = asker(to);

    (void)ctx;
    if (peer)
        ignore(BH_PEER_SEND(peer, SUBMIT_BATCH_REPLY, to->id, submit_batch_reply, reply));
}

static void command_reply(void *ctx, const struct bh_requester *to, bh_str json)
{
    struct bh_peer *peer = asker(to);

    (void)ctx;
    if (peer)
        ignore(BH_PEER_SEND(peer, COMMAND_REPLY, to->id, command, &(struct bh_msg_command){json}));
}

static bh_err deliver(void *ctx, void *peer, const struct bh_msg_deliver *message, int body_fd)
{
    struct bh_buf body;
    bh_err err;

    (void)ctx;
    if (body_fd < 0)
        return BH_PEER_SEND((struct bh_peer *)peer, DELIVER, 0, deliver, message);
    body = bh_buf_make(BH_IPC_BODY_MAX);
    bh_msg_deliver_put(&body, message);
    err = bh_buf_err(&body);
    if (!err)
        err = bh_peer_send(peer, BH_MSG_DELIVER, 0, bh_buf_view(&body), &body_fd, 1);
    bh_buf_free(&body);
    return err;
}

static void event_reply(void *ctx, const struct bh_requester *to, bool ok)
{
    struct bh_peer *peer = asker(to);

    (void)ctx;
    if (peer)
        ignore(BH_PEER_SEND(peer, EVENT_REPLY, to->id, event_reply, &(struct bh_msg_event_reply){ok}));
}

static bh_err result_ack(void *ctx, void *peer, bh_str deliveries)
{
    (void)ctx;
    return BH_PEER_SEND((struct bh_peer *)peer, RESULT_ACK, 0, result_ack, &(struct bh_msg_result_ack){deliveries});
}

struct question {
    struct queued *queued;
    uint64_t token;
};

static void identity_answered(void *ctx, bh_err err, struct bh_ipc_message *reply)
{
    struct question *question = ctx;
    struct bh_msg_identity_reply answer;

    if (!err && bh_msg_identity_reply_get(reply->body, &answer) != BH_OK)
        err = BH_E_SYNTAX;
    bh_queued_identity(question->queued->engine, question->token, err ? NULL : &answer);
    free(question);
}

static bh_err ask_identity(void *ctx, const struct bh_msg_identity *message, uint64_t token)
{
    struct queued *queued = ctx;
    struct bh_peer *controld = bh_role_any_peer(queued->role, BH_ROLE_CONTROLD);
    struct question *question = controld ? malloc(sizeof(*question)) : NULL;
    bh_err err;

    if (!question)
        return controld ? BH_E_NOMEM : BH_E_CLOSED;
    *question = (struct question){queued, token};
    err = BH_PEER_CALL(controld, IDENTITY, identity, message, IDENTITY_TIMEOUT_MS, identity_answered, question, NULL);
    if (err)
        free(question);
    return err;
}

static void suppression_answered(void *ctx, bh_err err, struct bh_ipc_message *reply)
{
    struct queued *queued = ctx;
    struct bh_msg_suppressed_reply answer;

    if (!err && bh_msg_suppressed_reply_get(reply->body, &answer) != BH_OK)
        err = BH_E_SYNTAX;
    bh_queued_suppressed(queued->engine,
                         err ? bh_str_of(NULL, 0) : bh_str_of(answer.hits.p ? answer.hits.p : "", answer.hits.n));
}

static bh_err ask_suppressed(void *ctx, bh_str questions)
{
    struct queued *queued = ctx;
    struct bh_peer *controld = bh_role_any_peer(queued->role, BH_ROLE_CONTROLD);
    struct bh_msg_suppressed ask = {questions};

    if (!controld)
        return BH_E_CLOSED;
    return BH_PEER_CALL(controld, SUPPRESSED, suppressed, &ask, IDENTITY_TIMEOUT_MS, suppression_answered, queued,
                        NULL);
}

static void feedback_news(void *ctx, int64_t seq)
{
    struct bh_peer *controld = bh_role_any_peer(((struct queued *)ctx)->role, BH_ROLE_CONTROLD);

    if (controld) /* else it asks when it is back */
        ignore(BH_PEER_SEND(controld, FEEDBACK_NEWS, 0, feedback_news, &(struct bh_msg_feedback_news){(uint64_t)seq}));
}

static void put_grant(void *ctx, struct bh_buf *out, uint64_t delivery_id, uint32_t customer_id,
                      const struct bh_rec_sealed_key *key, bh_time_ms at)
{
    const struct queued *queued = ctx;
    struct bh_grant grant = {.kind = BH_GRANT_DKIM,
                             .granter = BH_ROLE_QUEUED,
                             .delivery_id = delivery_id,
                             .customer_id = customer_id,
                             .key_id = key->key_id,
                             .domain = key->domain,
                             .selector = key->selector,
                             .expires_at = at + BH_GRANT_LIFE_MS};

    bh_grant_put(out, queued->grant_key, &grant);
}

static void want_turn(void *ctx)
{
    struct queued *queued = ctx;

    bh_loop_defer(queued->role->loop, &queued->turn);
}

static void wake_at(void *ctx, bh_time_ms at)
{
    struct queued *queued = ctx;
    bh_time_ms in = at - now(queued);

    if (at == INT64_MAX)
        bh_timer_clear(&queued->wake);
    else
        bh_timer_set(&queued->wake, in > 0 ? in : 0);
}

static uint64_t free_bytes(void *ctx)
{
    const struct queued *queued = ctx;
    struct statvfs facts;

    return statvfs(queued->body_dir, &facts) ? UINT64_MAX : (uint64_t)facts.f_bavail * facts.f_frsize;
}

static const struct bh_queued_ops ops = {.submit_reply = submit_reply,
                                         .batch_reply = batch_reply,
                                         .command_reply = command_reply,
                                         .deliver = deliver,
                                         .event_reply = event_reply,
                                         .result_ack = result_ack,
                                         .ask_identity = ask_identity,
                                         .put_grant = put_grant,
                                         .want_turn = want_turn,
                                         .wake_at = wake_at,
                                         .now = now,
                                         .free_bytes = free_bytes,
                                         .ask_suppressed = ask_suppressed,
                                         .feedback_news = feedback_news};

static void end_if_drained(struct queued *queued)
{
    if (queued->draining && bh_queued_idle(queued->engine))
        bh_role_stop(queued->role);
}

static void turn(void *ctx)
{
    struct queued *queued = ctx;

    bh_queued_turn(queued->engine);
    end_if_drained(queued);
}

/* ---- start and end ---- */

static struct bh_queued_options make_options(struct queued *queued)
{
    const struct bh_config *config = queued->role->config;

    return (struct bh_queued_options){
        .config = config,
        .store = queued->store,
        .body_dir = queued->body_dir,
        .ops = &ops,
        .ctx = queued,
        .random = &bh_random_os,
        .log = &queued->role->log,
        .seed = {queued->role->map_seed[0], queued->role->map_seed[1]},
        .retry = {config->retry_first_s, config->retry_max_s, config->retry_growth, 15, config->expire_s},
        .retention_ms = (int64_t)config->retention_s * 1000,
        .message_size_max = config->message_size_max,
        .recipients_max = config->recipients_max,
        .results_max = config->unacknowledged_max,
        .sender_count = config->sender_count,
        .key_use_ahead_ms = config->receiver_delay_s < 6000 ? (int64_t)config->receiver_delay_s * 10 : 60000,
        .queue_max = config->queue_max,
        .memory_max = config->queue_memory_max,
        .min_free = config->queue_min_free,
    };
}

static bh_err open_spool(struct queued *queued)
{
    char path[PATH_BYTES];
    struct bh_store_problem problem = {""};
    struct bh_store_options options = {
        .path = path, .schema = &bh_spool_schema, .owner = "queued", .fast_delete = true};
    bh_str dir = queued->role->config->state_dir;
    struct bh_queued_options engine;
    bh_err err;

    if (snprintf(path, sizeof(path), "%.*s/spool/spool.db", BH_FMT(dir)) >= (int)sizeof(path) ||
        snprintf(queued->body_dir, sizeof(queued->body_dir), "%.*s/spool/body", BH_FMT(dir)) >=
            (int)sizeof(queued->body_dir))
        return BH_E_LIMIT;
    err = bh_store_open(&options, &problem, &queued->store);
    engine = make_options(queued);
    if (!err)
        err = bh_queued_new(&engine, &problem, &queued->engine);
    if (err)
        bh_logf(&queued->role->log, BH_LOG_ERROR, "%s", problem.text);
    return err;
}

static void on_keep(void *ctx);

static bh_err start(struct bh_role *role)
{
    struct queued *queued = calloc(1, sizeof(*queued));
    struct bh_queue_counts counts;
    bh_err err;

    if (!queued)
        return BH_E_NOMEM;
    role->state = queued;
    queued->role = role;
    bh_deferred_init(&queued->turn, turn, queued);
    err = bh_timer_init(role->loop, &queued->wake, want_turn, queued);
    if (!err)
        err = bh_timer_init(role->loop, &queued->keep, on_keep, queued);
    if (!err)
        err = open_spool(queued);
    if (err)
        return err;
    bh_queued_counts(queued->engine, &counts);
    bh_logf(&role->log, BH_LOG_INFO, "%zu recipients in the queue", counts.items);
    want_turn(queued);
    return BH_OK;
}

static void stop(struct bh_role *role)
{
    struct queued *queued = role->state;

    if (!queued)
        return;
    bh_snapshot_free(&queued->snapshot);
    bh_timer_free(&queued->keep);
    bh_queued_free(queued->engine);
    bh_store_close(queued->store);
    bh_timer_free(&queued->wake);
    bh_deferred_cancel(&queued->turn);
    bh_wipe(queued->grant_key, sizeof(queued->grant_key));
    for (struct bh_peer *peer = role->peers; peer; peer = peer->next_peer)
        free(peer->state);
    free(queued);
    role->state = NULL;
}

static void drain(struct bh_role *role)
{
    struct queued *queued = role->state;

    queued->draining = true;
    bh_queued_drain(queued->engine);
    want_turn(queued);
}

static void reload(struct bh_role *role)
{
    struct queued *queued = role->state;
    struct bh_queued_options options = make_options(queued);

    bh_queued_configure(queued->engine, &options);
}

/* ---- peers ---- */

static void gate(struct queued *queued)
{
    bh_queued_gate(queued->engine, queued->controld_up && queued->has_grant_key);
}

static void peer_up(struct bh_role *role, struct bh_peer *peer)
{
    struct queued *queued = role->state;
    struct link *link = peer->state ? peer->state : calloc(1, sizeof(*link));

    if (!link) {
        bh_peer_close(peer, "out of memory");
        return;
    }
    peer->state = link;
    link->generation++;
    if (peer->kind == BH_ROLE_SENDER || peer->kind == BH_ROLE_STEWARD) {
        enum bh_destination serves = peer->kind == BH_ROLE_SENDER ? BH_TO_WORLD : BH_TO_STEWARD;

        if (bh_queued_worker_up(queued->engine, peer, serves, &link->worker) != BH_OK)
            bh_peer_close(peer, "out of memory");
    }
    if (peer->kind == BH_ROLE_CONTROLD) {
        queued->controld_up = true;
        bh_queued_version(queued->engine); /* what a former controld said may be old */
        gate(queued);
    }
}

static void peer_down(struct bh_role *role, struct bh_peer *peer)
{
    struct queued *queued = role->state;
    struct link *link = peer->state;

    if (link && link->worker)
        bh_queued_worker_down(queued->engine, link->worker);
    if (link)
        link->worker = NULL;
    bh_queued_requester_down(queued->engine, peer);
    if (peer->kind == BH_ROLE_CONTROLD) {
        queued->controld_up = false;
        gate(queued);
    }
}

/* ---- messages ---- */

static struct bh_requester requester(struct bh_peer *peer, const struct bh_ipc_message *message)
{
    struct link *link = peer->state;

    return (struct bh_requester){peer, link->generation, message->id};
}

static bh_err on_submit(struct queued *queued, struct bh_peer *peer, const struct bh_ipc_message *message)
{
    struct bh_requester from = requester(peer, message);
    struct bh_msg_submit submit;
    bh_err err = bh_msg_submit_get(message->body, &submit);

    if (!err)
        bh_queued_submit(queued->engine, &from, &submit);
    return err;
}

static bh_err on_submit_batch(struct queued *queued, struct bh_peer *peer, const struct bh_ipc_message *message)
{
    struct bh_requester from = requester(peer, message);
    struct bh_msg_submit_batch batch;
    bh_err err = bh_msg_submit_batch_get(message->body, &batch);

    if (!err)
        bh_queued_submit_batch(queued->engine, &from, &batch);
    return err;
}

static bh_err on_body_file(struct queued *queued, struct bh_peer *peer, const struct bh_ipc_message *message)
{
    struct bh_requester from = requester(peer, message);
    struct bh_msg_body_file ask;
    struct bh_msg_body_file_reply reply = {.ok = 1};
    struct bh_buf body = bh_buf_make(1024);
    int fd = -1;
    bh_err err = bh_msg_body_file_get(message->body, &ask);

    if (err)
        return err;
    err = bh_queued_body_file(queued->engine, &from, ask.size_limit, &reply.body_file, &fd);
    if (err)
        reply = (struct bh_msg_body_file_reply){.ok = 0, .reason = bh_str_c(bh_err_text(err))};
    bh_msg_body_file_reply_put(&body, &reply);
    err = bh_peer_send(peer, BH_MSG_BODY_FILE_REPLY, message->id, bh_buf_view(&body), &fd, fd >= 0);
    bh_buf_free(&body);
    return err;
}

static bh_err on_command(struct queued *queued, struct bh_peer *peer, const struct bh_ipc_message *message)
{
    struct bh_requester from = requester(peer, message);
    struct bh_msg_command command;
    bh_err err = bh_msg_command_get(message->body, &command);

    if (!err)
        bh_queued_command(queued->engine, &from, command.json);
    return err;
}

static bh_err on_event(struct queued *queued, struct bh_peer *peer, const struct bh_ipc_message *message)
{
    struct bh_requester from = requester(peer, message);
    struct bh_msg_event event;
    bh_err err = bh_msg_event_get(message->body, &event);

    return err ? err : bh_queued_event(queued->engine, &from, event.events);
}

/* smtpd talks to strangers: it may say what it refused, and nothing about anybody's mail. */
static bool is_tally(bh_str events)
{
    struct bh_cur list = bh_cur_make(events);
    struct bh_rec_told_event e;
    bh_err err;

    while ((err = bh_rec_told_event_next(&list, &e)) == BH_MORE)
        if (e.kind != BH_EVENT_FEEDBACK_IGNORED || e.customer_id || e.domain_id || e.message_id)
            return false;
    return err == BH_DONE;
}

static bh_err on_tally(struct queued *queued, struct bh_peer *peer, const struct bh_ipc_message *message)
{
    struct bh_msg_event event;
    bh_err err = bh_msg_event_get(message->body, &event);

    if (err)
        return err;
    return is_tally(event.events) ? on_event(queued, peer, message) : BH_E_DENIED;
}

static bh_err on_key_use(struct queued *queued, struct bh_peer *peer, const struct bh_ipc_message *message)
{
    struct bh_msg_key_use ask;
    struct bh_msg_key_use_reply reply = {.settled = 0};
    struct bh_buf uses = bh_buf_make(BH_IPC_BODY_MAX / 2);
    bool settled = false;
    bh_err err = bh_msg_key_use_get(message->body, &ask);

    if (!err)
        err = bh_queued_key_use(queued->engine, ask.keys, &uses, &reply.started_at, &settled);
    reply.keys = bh_buf_view(&uses);
    reply.settled = settled;
    if (!err)
        err = BH_PEER_SEND(peer, KEY_USE_REPLY, message->id, key_use_reply, &reply);
    bh_buf_free(&uses);
    return err;
}

static bh_err on_result(struct queued *queued, struct bh_worker *worker, bh_str body)
{
    struct bh_msg_result result;
    bh_err err = bh_msg_result_get(body, &result);

    return err ? err : bh_queued_result(queued->engine, worker, &result);
}

static bh_err on_slots(struct queued *queued, struct bh_worker *worker, bh_str body)
{
    struct bh_msg_slots slots;
    bh_err err = bh_msg_slots_get(body, &slots);

    if (!err)
        bh_queued_slots(queued->engine, worker, slots.more);
    return err;
}

static bh_err on_in_flight(struct queued *queued, struct bh_worker *worker, bh_str body)
{
    struct bh_msg_in_flight in_flight;
    bh_err err = bh_msg_in_flight_get(body, &in_flight);

    return err ? err : bh_queued_in_flight(queued->engine, worker, in_flight.deliveries);
}

static bh_err on_site(struct queued *queued, bh_str body)
{
    struct bh_msg_site site;
    bh_err err = bh_msg_site_get(body, &site);

    if (!err)
        bh_queued_site(queued->engine, site.route, site.hosts);
    return err;
}

static bh_err from_worker(struct queued *queued, struct bh_peer *peer, const struct bh_ipc_message *message)
{
    struct bh_worker *worker = ((struct link *)peer->state)->worker;

    if (!worker)
        return BH_E_SYNTAX;
    switch (message->type) {
    case BH_MSG_IN_FLIGHT:
        return on_in_flight(queued, worker, message->body);
    case BH_MSG_SLOTS:
        return on_slots(queued, worker, message->body);
    case BH_MSG_RESULT:
        return on_result(queued, worker, message->body);
    case BH_MSG_SITE:
        return on_site(queued, message->body);
    default:
        return BH_E_SYNTAX;
    }
}

static bh_err on_grant_key(struct queued *queued, const struct bh_ipc_message *message)
{
    struct bh_msg_grant_key grant_key;
    bh_err err = bh_msg_grant_key_get(message->body, &grant_key);

    if (err || grant_key.key.n != BH_GRANT_KEY_BYTES)
        return BH_E_SYNTAX;
    memcpy(queued->grant_key, grant_key.key.p, BH_GRANT_KEY_BYTES);
    queued->has_grant_key = true;
    gate(queued);
    return BH_OK;
}

/* ---- backup: a copy of spool.db, then second names for the bodies; see body_file.c ---- */

static void end_backup(struct queued *queued, bh_err err)
{
    struct bh_peer *peer = bh_role_peer(queued->role, BH_ROLE_CONTROLD, 0);

    queued->backing_up = false;
    bh_queued_keep_end(queued->engine);
    if (peer)
        (void)!BH_PEER_SEND(peer, BACKUP_REPLY, queued->backup_request, reloaded,
                            &((struct bh_msg_reloaded){err == BH_OK}));
}

static void on_keep(void *ctx)
{
    struct queued *queued = ctx;
    bh_err err = bh_queued_keep_some(queued->engine, KEEP_A_TURN);

    if (err == BH_MORE)
        bh_timer_set(&queued->keep, 1);
    else
        end_backup(queued, err == BH_DONE ? BH_OK : err);
}

static void on_copied(void *ctx, bh_err err)
{
    if (err)
        end_backup(ctx, err);
    else
        on_keep(ctx);
}

static bh_err begin_backup(struct queued *queued)
{
    char path[PATH_BYTES];

    if (queued->backing_up)
        return BH_E_BUSY;
    if (snprintf(path, sizeof(path), "%.*s/spool/backup.db", BH_FMT(queued->role->config->state_dir)) >=
        (int)sizeof(path))
        return BH_E_LIMIT;
    if (bh_queued_keep_bodies(queued->engine))
        return BH_E_IO;
    return bh_snapshot_begin(&queued->snapshot, queued->role->loop, queued->store, path, on_copied, queued);
}

static bh_err on_backup(struct queued *queued, struct bh_peer *peer, uint32_t request)
{
    if (begin_backup(queued))
        return BH_PEER_SEND(peer, BACKUP_REPLY, request, reloaded, &((struct bh_msg_reloaded){0}));
    queued->backing_up = true;
    queued->backup_request = request;
    return BH_OK;
}

static bh_err handle_message(struct bh_role *role, struct bh_peer *peer, struct bh_ipc_message *message)
{
    struct queued *queued = role->state;
    bool may_submit = peer->kind == BH_ROLE_SMTPD || peer->kind == BH_ROLE_CONTROLD || peer->kind == BH_ROLE_STEWARD ||
                      peer->kind == BH_ROLE_WEBD;

    if (!peer->state)
        return BH_E_BUG;
    if (message->type == BH_MSG_SUBMIT && may_submit)
        return on_submit(queued, peer, message);
    if (message->type == BH_MSG_SUBMIT_BATCH && peer->kind == BH_ROLE_WEBD)
        return on_submit_batch(queued, peer, message);
    if (message->type == BH_MSG_BODY_FILE && may_submit)
        return on_body_file(queued, peer, message);
    if (message->type == BH_MSG_EVENT && (peer->kind == BH_ROLE_CONTROLD || peer->kind == BH_ROLE_STEWARD))
        return on_event(queued, peer, message);
    if (message->type == BH_MSG_EVENT && peer->kind == BH_ROLE_SMTPD)
        return on_tally(queued, peer, message);
    if (peer->kind == BH_ROLE_SENDER || peer->kind == BH_ROLE_STEWARD)
        return from_worker(queued, peer, message);
    if (message->type == BH_MSG_GRANT_KEY && peer->kind == BH_ROLE_KEYD)
        return on_grant_key(queued, message);
    if (peer->kind != BH_ROLE_CONTROLD)
        return BH_E_DENIED;
    if (message->type == BH_MSG_COMMAND)
        return on_command(queued, peer, message);
    if (message->type == BH_MSG_BACKUP)
        return on_backup(queued, peer, message->id);
    if (message->type == BH_MSG_KEY_USE)
        return on_key_use(queued, peer, message);
    if (message->type == BH_MSG_VERSION) {
        bh_queued_version(queued->engine);
        return BH_OK;
    }
    return BH_E_SYNTAX;
}

int main(void)
{
    static const struct bh_role_ops role_ops = {.kind = BH_ROLE_QUEUED,
                                                .start = start,
                                                .peer_up = peer_up,
                                                .peer_down = peer_down,
                                                .message = handle_message,
                                                .reload = reload,
                                                .drain = drain,
                                                .stop = stop};

    return bh_role_main(&role_ops);
}
