/* session.c: one connection: bytes from the channel into the protocol core, its events to login.c, envelope.c and
 * submit.c, its replies back. Nothing is decided here.
 *
 * The pump runs until the core wants more input, waits for an answer, or the output backs up. An answer that comes
 * later calls session_resume. */
#include "smtpd.h"
#include <stdlib.h>

enum { IN_MAX = 64 * 1024, OUT_HIGH = 32 * 1024, HANDSHAKE_MS = 30 * 1000 };

static void set_timeout(struct session *session)
{
    int64_t configured = (int64_t)session->smtpd->role->config->idle_timeout_s * 1000;
    int64_t core = bh_smtp_server_timeout_ms(session->server);

    if (session->call) /* we are the slow ones; the question has a time limit of its own */
        bh_chan_set_timeout(session->chan, 0);
    else if (!session->up)
        bh_chan_set_timeout(session->chan, HANDSHAKE_MS);
    else
        bh_chan_set_timeout(session->chan, configured && configured < core ? configured : core);
}

/* Sends what there is. False: the connection is dead, or the output backs up. */
static bool flush(struct session *session)
{
    struct bh_buf *out = bh_smtp_server_output(session->server);
    struct iovec iov = {out->p, out->n};
    size_t sent = 0;

    if (!out->n || !session->up)
        return session->up;
    if (bh_chan_send(session->chan, &iov, 1, &sent)) {
        session->closed = true;
        return false;
    }
    bh_buf_consume(out, sent);
    return out->n < OUT_HIGH;
}

static void start_tls(struct session *session)
{
    bool sent = flush(session) && !bh_smtp_server_output(session->server)->n;

    session->up = false;
    if (!sent || bh_chan_start_tls(session->chan, session->smtpd->tls, BH_STR(""), false))
        session->closed = true;
}

/* True: the pump may go on. */
static bool handle(struct session *session, const struct bh_smtp_server_event *event)
{
    switch (event->kind) {
    case BH_SMTP_SERVER_MORE:
    case BH_SMTP_SERVER_WAIT:
        return false;
    case BH_SMTP_SERVER_AUTH:
        session_on_auth(session, event->auth.login, event->auth.password);
        break;
    case BH_SMTP_SERVER_MAIL:
        session_on_mail(session, event);
        break;
    case BH_SMTP_SERVER_RCPT:
        session_on_rcpt(session, event);
        break;
    case BH_SMTP_SERVER_DATA:
        session_on_data(session);
        break;
    case BH_SMTP_SERVER_CHUNK:
        session_on_text(session, event->chunk);
        break;
    case BH_SMTP_SERVER_END:
        session_on_end(session);
        break;
    case BH_SMTP_SERVER_ABORT:
        session_forget_question(session);
        session->holds = false;
        bh_message_reset(&session->message);
        break;
    case BH_SMTP_SERVER_STARTTLS:
        start_tls(session);
        return false;
    case BH_SMTP_SERVER_CLOSE:
        session->closed = true;
        return false;
    }
    return !session->closed;
}

static void free_session(struct session *session)
{
    struct smtpd *smtpd = session->smtpd;

    session_forget_question(session);
    bh_list_remove(&session->node);
    smtpd->session_count--;
    smtpd_forget_client(smtpd, session->client);
    bh_smtp_server_free(session->server);
    bh_message_free(&session->message);
    bh_buf_free(&session->key);
    free(session);
    if (smtpd->draining && !smtpd->session_count)
        bh_role_stop(smtpd->role);
}

void session_close(struct session *session)
{
    bh_chan_close(session->chan);
    free_session(session);
}

static void pump(struct session *session)
{
    struct bh_smtp_server_event event = {0};
    size_t used = 0;
    bool more = true;

    if (session->pumping)
        return;
    session->pumping = true;
    while (more && !session->holds && bh_smtp_server_output(session->server)->n < OUT_HIGH) {
        bh_str input = bh_str_skip(bh_chan_input(session->chan), used);
        size_t before = input.n;

        (void)bh_smtp_server_next(session->server, &input, &event);
        used += before - input.n;
        more = handle(session, &event);
    }
    session->pumping = false;
    if (event.kind == BH_SMTP_SERVER_STARTTLS && !session->closed)
        return; /* the handshake dropped the input */
    bh_chan_consume(session->chan, used);
}

void session_resume(struct session *session)
{
    if (session->pumping)
        return;
    do
        pump(session);
    while (!session->closed && session->up && bh_smtp_server_output(session->server)->n >= OUT_HIGH && flush(session));
    if (session->up)
        (void)flush(session);
    if (session->at_end && !session->call && !bh_smtp_server_output(session->server)->n)
        session->closed = true;
    if (session->closed) {
        if (session->smtpd->draining) /* the process ends before it could linger */
            bh_chan_close(session->chan);
        else
            bh_chan_linger(session->chan);
        free_session(session);
        return;
    }
    set_timeout(session);
}

static void on_up(void *ctx)
{
    struct session *session = ctx;

    session->up = true;
    if (session->port->config.profile != BH_SMTP_PROFILE_TLS)
        bh_smtp_server_tls_up(session->server);
    session_resume(session);
}

static void on_input(void *ctx)
{
    session_resume(ctx);
}

static void on_down(void *ctx, bh_err err, const char *why)
{
    struct session *session = ctx;

    if (err == BH_E_TIMEOUT) {
        session_end(session, "4.4.2", BH_STR("Timed out waiting for you, closing the connection"));
        return;
    }
    if (err == BH_E_CRYPTO)
        bh_log_line(&session->smtpd->role->log, BH_LOG_INFO, "TLS handshake failed",
                    BH_KV("client", bh_str_c(session->address)), BH_KV("why", bh_str_c(why)));
    if (err == BH_E_CLOSED && (session->call || bh_smtp_server_output(session->server)->n)) {
        session->at_end = true; /* half-closed perhaps: it may still read the answer */
        return;
    }
    session_close(session);
}

static const struct bh_chan_ops chan_ops = {on_up, on_input, on_input, on_down};

void session_end(struct session *session, const char *enhanced, bh_str text)
{
    session_forget_question(session);
    session->holds = false;
    bh_smtp_server_end(session->server, enhanced, text);
    session_resume(session);
}

static void begin_implicit_tls(struct session *session)
{
    if (!session->smtpd->tls || bh_chan_start_tls(session->chan, session->smtpd->tls, BH_STR(""), false)) {
        bh_logf(&session->smtpd->role->log, BH_LOG_ERROR, "no TLS certificate for the submissions port");
        session_close(session);
        return;
    }
    set_timeout(session);
}

void session_begin(struct port *port, struct client *client, int fd, const char *address)
{
    struct smtpd *smtpd = port->smtpd;
    struct session *session = calloc(1, sizeof(*session));
    struct bh_chan *chan = bh_chan_new(smtpd->role->loop, fd, IN_MAX, &chan_ops, session);

    if (!session || !chan) {
        bh_chan_close(chan);
        free(session);
        smtpd_forget_client(smtpd, client);
        return;
    }
    *session = (struct session){.smtpd = smtpd, .port = port, .client = client, .chan = chan};
    memcpy(session->address, address, sizeof(session->address));
    session->key = bh_buf_make(2048);
    bh_message_init(&session->message);
    bh_list_push(&smtpd->sessions, &session->node);
    smtpd->session_count++;
    session->server = bh_smtp_server_new(&port->config);
    if (!session->server) {
        session_close(session);
        return;
    }
    session->up = port->config.profile != BH_SMTP_PROFILE_TLS;
    if (session->up)
        session_resume(session);
    else
        begin_implicit_tls(session);
}

void session_refuse(struct session *session, unsigned code, const char *enhanced, bh_str reason, bh_str fix)
{
    struct bh_arena *scratch = session->smtpd->scratch;
    bh_str text = reason;

    bh_log_line(&session->smtpd->role->log, BH_LOG_INFO, "refused", BH_KV("client", bh_str_c(session->address)),
                BH_KV("status", bh_str_c(enhanced)), BH_KV("reason", reason));
    if (fix.n) {
        text = bh_arena_printf(scratch, "%.*s\n%.*s", BH_FMT(reason), BH_FMT(fix));
        if (!text.p)
            text = reason;
    }
    bh_smtp_server_refuse(session->server, code, enhanced, text);
    bh_arena_reset(scratch);
}

void session_peer_away(struct session *session)
{
    session_refuse(session, 451, "4.3.0", BH_STR("A part of this server is not available, try again in a moment"),
                   BH_STR(""));
}
