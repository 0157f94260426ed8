/* mail.c: leasing mail to ourselves, and which handler has it. See mail.h.
 *
 *   queued ─DELIVER─▶ lease ─▶ handler by address ─▶ READ to a reader ─▶ events ─▶ RESULT ─▶ queued
 *
 * No result is kept here: when queued is lost before it has committed one, it gives the message again. */
#include "mail.h"
#include "queue/message_id.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LEASES = 16, READ_MS = 60 * 1000, TRIES_MAX = 4, RING_MAX = 4096, EVENTS_BYTES_MAX = 512 * 1024 };

/* ---- the table ---- */

static void ignore(struct lease *lease)
{
    lease_end(lease, "nothing is done with mail to this address");
}

static const struct {
    const char *name;
    lease_handler *run;
} handlers[] = {
    [LEASE_BOUNCE] = {"bounce", lease_bounce},
    [LEASE_CANARY] = {"canary", lease_canary},
    [LEASE_PROBE] = {"probe", ignore},
    [LEASE_FEEDBACK] = {"feedback", lease_feedback},
    [LEASE_UNSUBSCRIBE] = {"unsubscribe", lease_unsubscribe},
    [LEASE_NOTICE] = {"notice", ignore},
    [LEASE_FIXED_FEEDBACK] = {"feedback", lease_feedback},
    [LEASE_POSTMASTER] = {"postmaster", lease_postmaster},
    [LEASE_OTHER] = {"other", ignore},
};

static enum lease_address of_kind(enum bh_verp_kind kind)
{
    switch (kind) {
    case BH_VERP_BOUNCE:
        return LEASE_BOUNCE;
    case BH_VERP_CANARY:
        return LEASE_CANARY;
    case BH_VERP_PROBE:
        return LEASE_PROBE;
    case BH_VERP_FEEDBACK:
        return LEASE_FEEDBACK;
    case BH_VERP_UNSUBSCRIBE:
        return LEASE_UNSUBSCRIBE;
    case BH_VERP_NOTICE:
        return LEASE_NOTICE;
    }
    return LEASE_OTHER;
}

static enum lease_address of_name(bh_str local)
{
    static const struct {
        const char *name;
        enum lease_address address;
    } names[] = {{"abuse", LEASE_FIXED_FEEDBACK}, {"fbl", LEASE_FIXED_FEEDBACK}, {"postmaster", LEASE_POSTMASTER}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (bh_str_eq_ci(local, bh_str_c(names[i].name)))
            return names[i].address;
    return LEASE_OTHER;
}

static void find_address(struct lease *lease)
{
    bh_str to = lease->message.recipient;
    size_t at = bh_str_rfind(to, '@');
    bh_str local = bh_str_sub(to, 0, at);

    if (bh_verp_decode(local, bh_str_skip(to, at + 1), &lease->steward->ring, &lease->about) == BH_VERP_OK) {
        lease->address = of_kind(lease->about.kind);
    } else {
        lease->about = (struct bh_verp){0};
        lease->address = of_name(local);
    }
}

/* ---- the end of a lease ---- */

static void free_lease(struct lease *lease)
{
    bh_list_remove(&lease->node);
    bh_call_cancel(lease->call);
    if (lease->body_fd >= 0)
        (void)close(lease->body_fd);
    bh_buf_free(&lease->frame);
    bh_buf_free(&lease->events);
    free(lease);
}

static void send_result(struct lease *lease, uint8_t verdict, uint16_t code, const char *text)
{
    struct bh_peer *queued = bh_role_any_peer(lease->steward->role, BH_ROLE_QUEUED);
    struct bh_msg_result result = {.delivery_id = lease->message.delivery_id,
                                   .message_id = lease->message.message_id,
                                   .recipient_index = lease->message.recipient_index,
                                   .verdict = verdict,
                                   .code = code,
                                   .text = bh_str_c(text),
                                   .phase = bh_str_c(handlers[lease->address].name),
                                   .events = bh_buf_view(&lease->events)};
    bh_err err = BH_PEER_SEND(queued, RESULT, 0, result, &result);

    if (!err)
        err = BH_PEER_SEND(queued, SLOTS, 0, slots, &(struct bh_msg_slots){1});
    if (err)
        bh_logf(&lease->steward->role->log, BH_LOG_WARN, "queued is away: it will give a message to us again");
    free_lease(lease);
}

void lease_end(struct lease *lease, const char *what)
{
    if (bh_buf_err(&lease->events)) { /* cannot be: the reader's lists are bounded */
        bh_logf(&lease->steward->role->log, BH_LOG_ERROR, "the events of a message are too large");
        bh_buf_free(&lease->events);
        lease->events = bh_buf_make(EVENTS_BYTES_MAX);
    }
    send_result(lease, BH_DELIVERED, 250, what);
}

void lease_again(struct lease *lease, const char *why)
{
    if (lease->message.attempt >= TRIES_MAX) {
        lease_event(lease, BH_EVENT_FEEDBACK_IGNORED, NULL, 0, bh_str_c(why), NULL);
        lease_end(lease, why);
        return;
    }
    bh_buf_clear(&lease->events);
    send_result(lease, BH_DEFERRED, 451, why);
}

/* ---- events ---- */

json_t *lease_text(bh_str text)
{
    struct bh_buf clean;
    json_t *value;

    if (!text.n)
        return NULL;
    value = memchr(text.p, '\0', text.n) ? NULL : json_stringn(text.p, text.n);
    if (value)
        return value;
    clean = bh_buf_make(text.n); /* no UTF-8: what is no ASCII is not shown */
    for (size_t i = 0; i < text.n; i++)
        bh_buf_char(&clean, text.p[i] >= 0x20 && text.p[i] < 0x7f ? text.p[i] : '?');
    value = json_stringn(clean.p ? clean.p : "", clean.n);
    bh_buf_free(&clean);
    return value;
}

void lease_event(struct lease *lease, enum bh_event_kind kind, const struct bh_verp *about, uint16_t code, bh_str text,
                 json_t *detail)
{
    char id[BH_MESSAGE_ID_CHARS + 1], key[64];
    char *json;
    json_t *object = detail ? detail : json_object();

    bh_message_id_text(lease->message.message_id, id);
    (void)snprintf(key, sizeof(key), "s-%s-%u", id, lease->event_count++);
    (void)json_object_set_new(object, "source", json_string(id));
    json = json_dumps(object, JSON_COMPACT);
    bh_rec_told_event_put(&lease->events, &(struct bh_rec_told_event){
                                              .key = bh_str_c(key),
                                              .kind = (uint16_t)kind,
                                              .customer_id = about ? about->customer : 0,
                                              .message_id = about ? about->message : 0,
                                              .recipient_index = about ? about->recipient : UINT32_MAX,
                                              .code = code,
                                              .text = bh_str_sub(text, 0, 2000),
                                              .detail = json ? bh_str_c(json) : BH_STR(""),
                                          });
    free(json);
    json_decref(object);
}

/* ---- reading ---- */

static void on_read(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct lease *lease = ctx;
    struct bh_msg_read_reply reply;

    lease->call = NULL;
    if (!err)
        err = bh_msg_read_reply_get(message->body, &reply);
    if (err)
        lease_again(lease, "no reader has read it in time");
    else
        lease->was_read(lease, reply.ok ? &reply : NULL);
}

void lease_read(struct lease *lease, lease_was_read *then)
{
    struct bh_peer *reader = bh_role_any_peer(lease->steward->role, BH_ROLE_READER);
    struct bh_buf body = bh_buf_make(BH_IPC_BODY_MAX);
    bh_err err;

    lease->was_read = then;
    bh_msg_read_put(&body, &(struct bh_msg_read){lease->message.size, lease->message.body});
    err = bh_buf_err(&body);
    if (!err)
        err = bh_peer_call(reader, BH_MSG_READ, bh_buf_view(&body), &lease->body_fd, lease->body_fd >= 0, READ_MS,
                           on_read, lease, &lease->call);
    bh_buf_free(&body);
    if (err)
        lease_again(lease, "no reader is there");
}

/* ---- queued's messages ---- */

static bh_err begin_lease(struct steward *steward, struct bh_ipc_message *message)
{
    struct lease *lease = calloc(1, sizeof(*lease));
    bh_err err = BH_E_NOMEM;

    if (!lease)
        return err;
    lease->steward = steward;
    lease->body_fd = -1;
    lease->frame = bh_buf_make(BH_IPC_BODY_MAX);
    lease->events = bh_buf_make(EVENTS_BYTES_MAX);
    bh_list_push(&steward->leases, &lease->node);
    bh_buf_add(&lease->frame, message->body);
    err = bh_buf_err(&lease->frame);
    if (!err)
        err = bh_msg_deliver_get(bh_buf_view(&lease->frame), &lease->message);
    if (err) {
        free_lease(lease);
        return err;
    }
    if (message->fd_count == 1)
        lease->body_fd = fcntl(message->fds[0], F_DUPFD_CLOEXEC, 3);
    find_address(lease);
    handlers[lease->address].run(lease);
    return BH_OK;
}

static bh_err take_subkeys(struct steward *steward, bh_str body)
{
    struct bh_msg_subkeys message;
    struct bh_rec_subkey subkey;
    struct bh_verp_key *keys;
    struct bh_cur list;
    size_t count = 0;
    bh_err err = bh_msg_subkeys_get(body, &message);

    if (err || !bh_str_eq(message.purpose, BH_STR("bounce")))
        return err;
    keys = calloc(RING_MAX, sizeof(*keys));
    if (!keys)
        return BH_E_NOMEM;
    list = bh_cur_make(message.keys);
    while ((err = bh_rec_subkey_next(&list, &subkey)) == BH_MORE) {
        if (subkey.key.n != BH_VERP_KEY_BYTES || subkey.period > UINT16_MAX || count == RING_MAX) {
            free(keys);
            return BH_E_SYNTAX;
        }
        keys[count].period = (uint16_t)subkey.period;
        memcpy(keys[count++].key, subkey.key.p, BH_VERP_KEY_BYTES);
    }
    free(steward->ring_keys);
    steward->ring_keys = keys;
    steward->ring = (struct bh_verp_ring){keys, count};
    return err == BH_DONE ? BH_OK : err;
}

bh_err steward_mail_message(struct steward *steward, struct bh_peer *peer, struct bh_ipc_message *message)
{
    struct bh_peer *queued;

    if (peer->kind == BH_ROLE_QUEUED && message->type == BH_MSG_DELIVER)
        return begin_lease(steward, message);
    if (peer->kind == BH_ROLE_QUEUED && message->type == BH_MSG_RESULT_ACK)
        return BH_OK;
    if (peer->kind == BH_ROLE_KEYD && message->type == BH_MSG_SUBKEYS) {
        bool first = !steward->ring.count;
        bh_err err = take_subkeys(steward, message->body);

        queued = bh_role_any_peer(steward->role, BH_ROLE_QUEUED);
        if (!err && first && queued)
            steward_mail_begin(steward, queued);
        return err;
    }
    return BH_E_DENIED;
}

/* Without keys no address says anything: nothing is taken before. */
void steward_mail_begin(struct steward *steward, struct bh_peer *queued)
{
    bh_err err;

    if (!steward->ring.count)
        return;
    err = BH_PEER_SEND(queued, IN_FLIGHT, 0, in_flight, &((struct bh_msg_in_flight){BH_STR("")}));
    if (!err)
        err = BH_PEER_SEND(queued, SLOTS, 0, slots, &(struct bh_msg_slots){LEASES});
    if (err)
        bh_logf(&steward->role->log, BH_LOG_WARN, "queued cannot be told that we take mail: %s", bh_err_text(err));
}

void steward_mail_drop(struct steward *steward)
{
    while (!bh_list_empty(&steward->leases)) {
        struct lease *lease = BH_LIST_HEAD(&steward->leases, struct lease, node);

        if (lease->dropped)
            lease->dropped(lease);
        free_lease(lease);
    }
}

void steward_mail_init(struct steward *steward)
{
    bh_list_init(&steward->leases);
}

void steward_mail_free(struct steward *steward)
{
    steward_mail_drop(steward);
    if (steward->ring_keys)
        bh_wipe(steward->ring_keys, RING_MAX * sizeof(*steward->ring_keys));
    free(steward->ring_keys);
}
