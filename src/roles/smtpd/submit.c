/* submit.c: the text of a message and what happens at its end:
 *
 *      header checks ─▶ may this customer send as this domain? (controld, cached) ─▶ submit (queued) ─▶ 250
 *
 * Each "no" is a refusal before 250 with the reason and the fix; 250 means that queued has committed. Where queued does
 * not answer, 451: the client tries again. (If queued had committed just before it died, the message is then sent
 * twice: the client cannot know either.) */
#include "queue/message_id.h"
#include "smtpd.h"
#include <stdio.h>

void session_on_data(struct session *session)
{
    if (bh_role_any_peer(session->smtpd->role, BH_ROLE_QUEUED))
        bh_smtp_server_accept(session->server, BH_STR(""));
    else
        session_peer_away(session);
}

static void on_body_file(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct session *session = ctx;
    struct bh_msg_body_file_reply reply;

    session->call = NULL;
    session->holds = false;
    if (!err && !bh_msg_body_file_reply_get(message->body, &reply) && reply.ok && message->fd_count == 1) {
        bh_message_use_file(&session->message, message->fds[0], reply.body_file);
        message->fds[0] = -1;
    } else { /* told at the end; the text is passed over meanwhile */
        session->message.write_failed = true;
        bh_buf_clear(&session->message.head);
    }
    session_resume(session);
}

static void ask_for_file(struct session *session)
{
    struct bh_buf body = bh_buf_make(64);

    session->holds = true;
    bh_msg_body_file_put(&body, &(struct bh_msg_body_file){session->port->config.max_message_bytes});
    session_ask_queued(session, BH_MSG_BODY_FILE, bh_buf_view(&body), on_body_file);
    bh_buf_free(&body);
}

void session_on_text(struct session *session, bh_str chunk)
{
    struct bh_message *message = &session->message;

    if (message->write_failed)
        return;
    if (bh_message_add_text(message, chunk))
        ask_for_file(session);
}

static void on_submitted(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct session *session = ctx;
    struct bh_msg_submit_reply reply;
    char enhanced[16];

    session->call = NULL;
    if (err || bh_msg_submit_reply_get(message->body, &reply)) {
        session_peer_away(session);
    } else if (!reply.ok) {
        if (bh_str_to_c(reply.enhanced, enhanced, sizeof(enhanced)) || !enhanced[0])
            memcpy(enhanced, "4.3.0", 6);
        session_refuse(session, reply.code >= 400 && reply.code < 600 ? reply.code : 451, enhanced, reply.reason,
                       BH_STR(""));
    } else {
        char id[BH_MESSAGE_ID_CHARS + 1], text[64];
        int n;

        bh_message_id_text(reply.message_id, id);
        n = snprintf(text, sizeof(text), "Ok: queued as %s", id);
        bh_smtp_server_accept(session->server, bh_str_of(text, (size_t)n));
    }
    bh_message_reset(&session->message);
    session_resume(session);
}

static struct bh_msg_submit submission(struct session *session, const struct bh_smtp_server_facts *facts)
{
    struct bh_message *m = &session->message;
    bool inbound = session->port->config.profile == BH_SMTP_PROFILE_PORT25;

    return (struct bh_msg_submit){
        .customer_id = inbound ? m->customer_id : session->customer_id,
        .domain_id = m->domain_id,
        .credential_id = session->credential_id,
        .destination = inbound ? BH_TO_STEWARD : BH_TO_WORLD,
        .eight_bit = m->has_8bit,
        .smtputf8 = m->smtputf8,
        .header_from = bh_str_of(m->header_from, m->header_from_n),
        .from_domain = bh_str_of(m->from_domain, m->from_domain_n),
        .mail_from = bh_str_of(m->mail_from, m->mail_from_n),
        .envid = bh_str_of(m->envid, m->envid_n),
        .ret_full = m->ret_full,
        .client = bh_str_c(session->address),
        .helo = facts->helo,
        .protocol = bh_str_c(bh_message_protocol(facts, m->smtputf8)),
        .recipients = bh_buf_view(&m->recipients),
        .size = m->size,
        .body = m->file < 0 ? bh_buf_view(&m->head) : BH_STR(""),
        .body_file = m->file < 0 ? 0 : m->body_file,
        .stream = bh_str_of(m->stream, m->stream_n),
        .campaign = bh_str_of(m->campaign, m->campaign_n),
        .send_at = m->send_at,
    };
}

static void submit(struct session *session)
{
    struct bh_smtp_server_facts facts = bh_smtp_server_facts(session->server);
    struct bh_msg_submit message = submission(session, &facts);
    uint8_t hash[BH_DKIM_HASH_BYTES];
    struct bh_buf body = bh_buf_make(BH_IPC_BODY_MAX);

    if (message.destination == BH_TO_WORLD &&
        bh_message_body_hash(&session->message, session->smtpd->dkim, hash) == BH_OK)
        message.body_hash = bh_str_of((const char *)hash, sizeof(hash));
    (void)bh_buf_reserve(&body, message.body.n + message.recipients.n + 2048); /* grows once */
    bh_msg_submit_put(&body, &message);
    if (bh_buf_err(&body))
        session_refuse(session, 552, "5.3.4", BH_STR("The envelope is too large"), BH_STR(""));
    else
        session_ask_queued(session, BH_MSG_SUBMIT, bh_buf_view(&body), on_submitted);
    bh_buf_free(&body);
}

/* A refusal at the end: the transaction is over. */
static void refuse_message(struct session *session, unsigned code, const char *enhanced, bh_str reason, bh_str fix)
{
    session_refuse(session, code, enhanced, reason, fix);
    bh_message_reset(&session->message);
}

static void on_may_send(struct session *session, bh_str body)
{
    struct bh_msg_may_send_reply reply;
    char enhanced[16];

    if (!body.p || bh_msg_may_send_reply_get(body, &reply)) {
        session_peer_away(session);
        bh_message_reset(&session->message);
    } else if (reply.allowed && session->message.file_lost) {
        session_peer_away(session);
        bh_message_reset(&session->message);
    } else if (reply.allowed) {
        session->message.domain_id = reply.domain_id;
        submit(session);
    } else {
        if (bh_str_to_c(reply.enhanced, enhanced, sizeof(enhanced)) || !enhanced[0])
            memcpy(enhanced, "5.7.1", 6);
        refuse_message(session, reply.code >= 400 && reply.code < 600 ? reply.code : 550, enhanced, reply.reason,
                       reply.fix);
    }
}

/* What may be remembered is (customer, domain): the answer does not depend on the local part. */
static void ask_may_send(struct session *session)
{
    struct bh_message *m = &session->message;
    struct bh_buf body = bh_buf_make(2048), key = bh_buf_make(1024);
    bh_str domain = bh_str_of(m->from_domain, m->from_domain_n);

    bh_buf_u32(&key, session->customer_id);
    bh_buf_add(&key, domain);
    bh_msg_may_send_put(
        &body, &(struct bh_msg_may_send){session->customer_id, bh_str_of(m->header_from, m->header_from_n), domain});
    session_ask(session, &session->smtpd->may_send, BH_MSG_MAY_SEND, bh_buf_view(&key), bh_buf_view(&body),
                on_may_send);
    bh_buf_free(&key);
    bh_buf_free(&body);
}

void session_on_end(struct session *session)
{
    bool inbound = session->port->config.profile == BH_SMTP_PROFILE_PORT25;
    struct bh_check_verdict verdict = {0};
    struct smtpd *smtpd = session->smtpd;

    bh_message_end_text(&session->message);
    if (session->message.file_lost) {
        session_peer_away(session);
        bh_message_reset(&session->message);
        return;
    }
    if (session->message.write_failed) {
        refuse_message(session, 452, "4.3.1", BH_STR("There is no room for the message now, try again later"),
                       BH_STR(""));
        return;
    }
    if (inbound)
        bh_message_judge_inbound(&session->message, smtpd->scratch, smtpd->role->config->hops_max, &verdict);
    else
        bh_message_judge(&session->message, smtpd->scratch, smtpd->role->config->hops_max, &verdict);
    if (verdict.code) {
        refuse_message(session, verdict.code, verdict.enhanced, verdict.reason, verdict.fix);
        return;
    }
    if (!inbound && !bh_message_read_wishes(&session->message, bh_loop_now(smtpd->role->loop))) {
        refuse_message(
            session, 550, "5.6.0",
            BH_STR("A field for this server (X-Behalf-Campaign, X-Behalf-Send-At, Behalf-Stream, Behalf-Unsubscribe) "
                   "makes no sense"),
            BH_STR("a campaign has at most 64 bytes, a time is 2030-01-31T08:00:00Z and at most 60 days away; a stream "
                   "is a word of letters, digits, dots and dashes; Behalf-Unsubscribe is yes or no"));
        return;
    }
    bh_arena_reset(smtpd->scratch);
    if (inbound)
        submit(session);
    else
        ask_may_send(session);
}
