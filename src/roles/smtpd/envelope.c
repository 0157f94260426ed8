/* envelope.c: recipients. A submission may go anywhere. Port 25 takes only addresses of our own making, proven by their
 * MAC and living in a domain of ours (verp.h), and the few names that every domain has for people (RFC 2142); all else
 * is refused at RCPT, so that nothing is ever bounced to a stranger. The MAC is checked first: guesses cost no question
 * to another role. What is refused is counted (tally.c). A MAC does not wear out: replays of an address are bounded. */
#include "smtpd.h"

enum { PER_ADDRESS_A_DAY = 20, TO_PEOPLE_AN_HOUR = 60, REFUSALS_AN_HOUR = 500 };

static bh_str client_key(const struct session *session)
{
    return session->client ? bh_str_of(session->client->key, session->client->key_n) : bh_str_c(session->address);
}

static bh_time_ms now_of(const struct session *session)
{
    return bh_loop_now(session->smtpd->role->loop);
}

static void refuse_inbound(struct session *session, enum smtpd_refusal why)
{
    static const struct {
        unsigned code;
        const char *enhanced, *text;
    } replies[SMTPD_REFUSALS] = {
        [SMTPD_FORGED] = {550, "5.1.1", "No such address here"},
        [SMTPD_EXPIRED] = {550, "5.1.6", "This address has expired"},
        [SMTPD_UNKNOWN] = {550, "5.1.1", "No such address here"},
        [SMTPD_NOT_OURS] = {550, "5.7.1", "Relaying is not allowed"},
        [SMTPD_REPEATED] = {550, "5.7.1", "Too much mail to this address"},
        [SMTPD_TOO_FAST] = {450, "4.7.1", "Too much from your address, try again in an hour"},
    };

    smtpd_count_refusal(session->smtpd, why);
    if (why != SMTPD_TOO_FAST)
        (void)bh_meter_count(&session->smtpd->refusals, client_key(session), now_of(session));
    session_refuse(session, replies[why].code, replies[why].enhanced, bh_str_c(replies[why].text), BH_STR(""));
}

static void add_recipient(struct session *session, const struct bh_smtp_mailbox *mailbox, bh_str notify, bh_str orcpt)
{
    if (bh_message_add_recipient(&session->message, mailbox, notify, orcpt))
        session_refuse(session, 452, "4.5.3", BH_STR("Too many recipients: send the rest in another transaction"),
                       BH_STR(""));
    else
        bh_smtp_server_accept(session->server, BH_STR(""));
}

/* Names that a domain has for people and for receivers' complaints. */
static bool is_fixed_name(bh_str local)
{
    static const char *const names[] = {"postmaster", "abuse", "fbl"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (bh_str_eq_ci(local, bh_str_c(names[i])))
            return true;
    return false;
}

/* Counts a message to an address that is ours. False: there were enough. */
static bool is_within_measure(struct session *session, enum smtpd_refusal *ret_why)
{
    struct smtpd *smtpd = session->smtpd;
    char local[BH_VERP_CHARS];

    if (is_fixed_name(session->rcpt.local)) {
        *ret_why = SMTPD_TOO_FAST;
        return bh_meter_count(&smtpd->fixed_names, client_key(session), now_of(session)) <= TO_PEOPLE_AN_HOUR;
    }
    for (size_t i = 0; i < BH_VERP_CHARS && i < session->rcpt.local.n; i++)
        local[i] = bh_to_lower(session->rcpt.local.p[i]);
    *ret_why = SMTPD_REPEATED;
    return bh_meter_count(&smtpd->addresses, bh_str_of(local, BH_VERP_CHARS), now_of(session)) <= PER_ADDRESS_A_DAY;
}

static void on_bounce_domain(struct session *session, bh_str body)
{
    struct bh_msg_bounce_domain_reply reply;
    enum smtpd_refusal why;

    if (!body.p || bh_msg_bounce_domain_reply_get(body, &reply)) {
        session_peer_away(session);
    } else if (!reply.ours) {
        refuse_inbound(session, SMTPD_NOT_OURS);
    } else if (!is_within_measure(session, &why)) {
        refuse_inbound(session, why);
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

/* <postmaster> alone is always there (RFC 5321 4.5.1): the platform's. */
static void take_postmaster(struct session *session)
{
    bh_str platform = session->smtpd->role->config->platform;
    char text[BH_SMTP_PATH_MAX + 1] = "postmaster@";
    size_t local_n = sizeof("postmaster") - 1;
    struct bh_smtp_mailbox mailbox = {.local = bh_str_of(text, local_n)};

    if (local_n + 1 + platform.n > BH_SMTP_PATH_MAX || !platform.n) {
        refuse_inbound(session, SMTPD_UNKNOWN);
        return;
    }
    memcpy(text + local_n + 1, platform.p, platform.n);
    mailbox.domain = bh_str_of(text + local_n + 1, platform.n);
    ask_domain(session, &mailbox);
}

static void take_own(struct session *session, const struct bh_smtp_mailbox *mailbox)
{
    struct smtpd *smtpd = session->smtpd;
    struct bh_verp verp;

    switch (bh_verp_decode(mailbox->local, mailbox->domain, &smtpd->ring, &verp)) {
    case BH_VERP_OK: /* bounces have no sender, and may be very late */
        if (session->message.mail_from_n &&
            bh_verp_is_late(verp.period, smtpd->role->config->bounce_keep_s, now_of(session)))
            refuse_inbound(session, SMTPD_EXPIRED);
        else
            ask_domain(session, mailbox);
        break;
    case BH_VERP_EXPIRED:
        refuse_inbound(session, SMTPD_EXPIRED);
        break;
    case BH_VERP_NOT_OURS:
        refuse_inbound(session, SMTPD_UNKNOWN);
        break;
    case BH_VERP_MALFORMED:
    case BH_VERP_WRONG_KEY:
        refuse_inbound(session, SMTPD_FORGED);
        break;
    }
}

static void take_inbound(struct session *session, const struct bh_smtp_mailbox *mailbox)
{
    struct smtpd *smtpd = session->smtpd;

    if (bh_meter_read(&smtpd->refusals, client_key(session), now_of(session)) >= REFUSALS_AN_HOUR)
        refuse_inbound(session, SMTPD_TOO_FAST);
    else if (!mailbox->domain.n && bh_str_eq_ci(mailbox->local, BH_STR("postmaster")))
        take_postmaster(session);
    else if (mailbox->quoted || mailbox->literal || !mailbox->domain.n || bh_mailbox_text(mailbox).n > BH_SMTP_PATH_MAX)
        refuse_inbound(session, SMTPD_UNKNOWN);
    else if (is_fixed_name(mailbox->local))
        ask_domain(session, mailbox);
    else if (!smtpd->ring.count)
        session_peer_away(session);
    else
        take_own(session, mailbox);
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
