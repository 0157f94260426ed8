/* login.c: whose mail a session submits: AUTH with a login and a password, or the customer that the port is trusted
 * for. The password is hashed here and goes no further. */
#include "base/clock.h"
#include "smtpd.h"
#include <openssl/evp.h>

enum { HASH_BYTES = 32, LOGIN_MAX = 400 };

static void set_customer(struct session *session, const struct bh_msg_login_reply *reply)
{
    session->customer_id = reply->customer_id;
    session->credential_id = reply->credential_id;
}

static void on_login(struct session *session, bh_str body)
{
    struct bh_msg_login_reply reply;

    if (!body.p || bh_msg_login_reply_get(body, &reply)) {
        session_refuse(session, 454, "4.7.0", BH_STR("Temporary authentication failure, try again later"), BH_STR(""));
        return;
    }
    if (!reply.ok) {
        bh_log_line(&session->smtpd->role->log, BH_LOG_WARN, "authentication failed",
                    BH_KV("client", bh_str_c(session->address)), BH_KV("why", reply.why));
        bh_smtp_server_refuse(session->server, 535, "5.7.8",
                              BH_STR("Authentication failed: login or password is wrong"));
        return;
    }
    set_customer(session, &reply);
    bh_smtp_server_accept(session->server, BH_STR(""));
}

void session_on_auth(struct session *session, bh_str login, bh_str password)
{
    unsigned char hash[HASH_BYTES];
    unsigned size = 0;
    struct bh_buf body = bh_buf_make(2048);

    if (login.n > LOGIN_MAX || EVP_Digest(password.p, password.n, hash, &size, EVP_sha256(), NULL) != 1) {
        session_refuse(session, 535, "5.7.8", BH_STR("Authentication failed: login or password is wrong"), BH_STR(""));
        return;
    }
    bh_msg_login_put(&body, &(struct bh_msg_login){login, bh_str_of((const char *)hash, sizeof(hash))});
    session_ask(session, &session->smtpd->logins, BH_MSG_LOGIN, bh_buf_view(&body), bh_buf_view(&body), on_login);
    bh_wipe(hash, sizeof(hash));
    bh_wipe(body.p, body.cap);
    bh_buf_free(&body);
}

static void on_customer(struct session *session, bh_str body)
{
    struct bh_msg_login_reply reply;

    if (!body.p || bh_msg_login_reply_get(body, &reply)) {
        session_peer_away(session);
    } else if (!reply.ok) {
        session_refuse(session, 550, "5.7.1", BH_STR("This port is trusted for a customer that does not exist"),
                       BH_STR("Create the customer, or change the listener's `trust` in the configuration"));
    } else {
        set_customer(session, &reply);
        bh_smtp_server_accept(session->server, BH_STR(""));
    }
}

/* The customer of a trusted port is asked for at the first MAIL. */
static void ask_customer(struct session *session)
{
    struct bh_buf body = bh_buf_make(512);

    bh_msg_customer_put(&body, &(struct bh_msg_customer){bh_str_c(session->port->trust)});
    session_ask(session, &session->smtpd->customers, BH_MSG_CUSTOMER, bh_buf_view(&body), bh_buf_view(&body),
                on_customer);
    bh_buf_free(&body);
}

/* When the message may leave (RFC 4865); a time that has passed means at once. */
static bool set_time(struct session *session, const struct bh_smtp_server_event *event)
{
    bh_time_ms now = bh_loop_now(session->smtpd->role->loop), at = 0;

    if (event->mail.hold_for_s)
        at = now + (int64_t)event->mail.hold_for_s * 1000;
    if (event->mail.hold_until.n && bh_time_parse_rfc3339(event->mail.hold_until, &at) != BH_OK)
        return false;
    session->message.send_at = at;
    return at <= now + (int64_t)BH_HOLD_MAX_S * 1000;
}

void session_on_mail(struct session *session, const struct bh_smtp_server_event *event)
{
    bh_message_reset(&session->message);
    session->message.smtputf8 = event->mail.smtputf8;
    session->message.ret_full = bh_str_eq_ci(event->mail.ret, BH_STR("FULL"));
    if (!set_time(session, event))
        session_refuse(session, 501, "5.5.4",
                       BH_STR("HOLDUNTIL is a time like 2030-01-31T08:00:00Z, at most 60 days away"), BH_STR(""));
    else if (bh_message_set_sender(&session->message, &event->mail.path, event->mail.envid))
        session_refuse(session, 501, "5.1.7", BH_STR("The sender's address is too long"), BH_STR(""));
    else if (session->port->trust[0] && !session->customer_id)
        ask_customer(session);
    else
        bh_smtp_server_accept(session->server, BH_STR(""));
}
