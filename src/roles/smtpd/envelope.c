/* envelope.c: recipients. A submission may go anywhere. Port 25 takes only addresses of our own making, proven by their
 * MAC and living in a domain of ours (verp.h); all else is refused at RCPT, so that nothing is ever bounced to a
 * stranger. The MAC is checked first: guesses cost no question to another role. */
#include "smtpd.h"

static void add_recipient(struct session *session, const struct bh_smtp_mailbox *mailbox, bh_str notify, bh_str orcpt)
{
    if (bh_message_add_recipient(&session->message, mailbox, notify, orcpt))
        session_refuse(session, 452, "4.5.3", BH_STR("Too many recipients: send the rest in another transaction"),
                       BH_STR(""));
    else
        bh_smtp_server_accept(session->server, BH_STR(""));
}

static void refuse_unknown(struct session *session)
{
    session_refuse(session, 550, "5.1.1", BH_STR("No such address here"), BH_STR(""));
}

static void on_bounce_domain(struct session *session, bh_str body)
{
    struct bh_msg_bounce_domain_reply reply;

    if (!body.p || bh_msg_bounce_domain_reply_get(body, &reply)) {
        session_peer_away(session);
    } else if (!reply.ours) {
        session_refuse(session, 550, "5.7.1", BH_STR("Relaying is not allowed"), BH_STR(""));
    } else {
        session->message.customer_id = reply.customer_id;
        add_recipient(session, &session->rcpt, BH_STR(""), BH_STR(""));
    }
}

/* Keeps the address while controld is asked about its domain. */
static void ask_domain(struct session *session, const struct bh_smtp_mailbox *mailbox)
{
    struct bh_buf domain = bh_buf_make(BH_SMTP_DOMAIN_MAX + 1), body = bh_buf_make(512);
    bh_str text = bh_mailbox_text(mailbox);

    memcpy(session->rcpt_text, text.p, text.n);
    session->rcpt = *mailbox;
    session->rcpt.local = bh_str_of(session->rcpt_text, mailbox->local.n);
    session->rcpt.domain = bh_str_of(session->rcpt_text + text.n - mailbox->domain.n, mailbox->domain.n);
    for (size_t i = 0; i < mailbox->domain.n; i++)
        bh_buf_char(&domain, bh_to_lower(mailbox->domain.p[i]));
    bh_msg_bounce_domain_put(&body, &(struct bh_msg_bounce_domain){bh_buf_view(&domain)});
    session_ask(session, &session->smtpd->bounce_domains, BH_MSG_BOUNCE_DOMAIN, bh_buf_view(&body), bh_buf_view(&body),
                on_bounce_domain);
    bh_buf_free(&domain);
    bh_buf_free(&body);
}

static void take_inbound(struct session *session, const struct bh_smtp_mailbox *mailbox)
{
    struct bh_verp verp;

    if (mailbox->quoted || mailbox->literal || !mailbox->domain.n || bh_mailbox_text(mailbox).n > BH_SMTP_PATH_MAX) {
        refuse_unknown(session);
        return;
    }
    if (!session->smtpd->ring.count) {
        session_peer_away(session);
        return;
    }
    switch (bh_verp_decode(mailbox->local, mailbox->domain, &session->smtpd->ring, &verp)) {
    case BH_VERP_OK:
        ask_domain(session, mailbox);
        break;
    case BH_VERP_EXPIRED:
        session_refuse(session, 550, "5.1.6", BH_STR("This address has expired"), BH_STR(""));
        break;
    case BH_VERP_NOT_OURS:
    case BH_VERP_MALFORMED:
    case BH_VERP_WRONG_KEY:
        refuse_unknown(session);
        break;
    }
}

void session_on_rcpt(struct session *session, const struct bh_smtp_server_event *event)
{
    const struct bh_smtp_mailbox *mailbox = &event->rcpt.path.mailbox;

    if (session->port->config.profile == BH_SMTP_PROFILE_PORT25)
        take_inbound(session, mailbox);
    else if (!mailbox->domain.n)
        session_refuse(session, 550, "5.1.3", BH_STR("A recipient needs a domain"), BH_STR(""));
    else
        add_recipient(session, mailbox, event->rcpt.notify, event->rcpt.orcpt);
}
