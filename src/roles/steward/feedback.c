/* feedback.c: what came back: bounces, complaints, unsubscriptions, mail to postmaster. See mail.h.
 *
 * Which message and recipient it is about never comes from what a stranger wrote, but from an address of ours whose
 * MAC holds: the one that it came to, or, where a receiver sends all complaints to one address, one that the returned
 * message quotes. What has none changes nothing and is counted (feedback.ignored). */
#include "mail.h"
#include "mail/bounce/bounce.h"

static void set_text(json_t *object, const char *name, bh_str text)
{
    json_t *value = lease_text(text);

    if (value)
        (void)json_object_set_new(object, name, value);
}

static void ignored(struct lease *lease, const char *why)
{
    lease_event(lease, BH_EVENT_FEEDBACK_IGNORED, lease->about.kind ? &lease->about : NULL, 0, bh_str_c(why), NULL);
    lease_end(lease, why);
}

/* ---- bounces ---- */

/* The one that failed; a report of several is about ours all the same, since it came to its address. */
static bool find_recipient(const struct bh_msg_read_reply *reply, struct bh_rec_read_recipient *ret_recipient)
{
    struct bh_cur list = bh_cur_make(reply->recipients);
    struct bh_rec_read_recipient r;
    bool found = false;

    while (bh_rec_read_recipient_next(&list, &r) == BH_MORE) {
        bool better = !found || (ret_recipient->action != BH_ACTION_FAILED && r.action == BH_ACTION_FAILED);

        if (better)
            *ret_recipient = r;
        found = true;
    }
    return found;
}

static json_t *refusal_json(const struct bh_msg_read_reply *reply, const struct bh_rec_read_recipient *r)
{
    json_t *detail = json_object();

    set_text(detail, "class", bh_str_c(bh_refusal_class_text((enum bh_refusal_class)r->refusal_class)));
    set_text(detail, "reason", r->reason);
    set_text(detail, "enhanced", r->status);
    set_text(detail, "remote", r->remote);
    set_text(detail, "reported_by", reply->reporting_mta);
    set_text(detail, "reported_address", r->original.n ? r->original : r->address);
    (void)json_object_set_new(detail, "phase", json_string("report"));
    return detail;
}

static void tell_refusal(struct lease *lease, enum bh_event_kind kind, const struct bh_msg_read_reply *reply)
{
    struct bh_rec_read_recipient r = {.reason = BH_STR("unknown")};

    (void)find_recipient(reply, &r);
    lease_event(lease, kind, &lease->about, r.code, r.smtp_reply.n ? r.smtp_reply : r.diagnostic,
                refusal_json(reply, &r));
}

static json_t *answer_json(const struct bh_msg_read_reply *reply)
{
    json_t *detail = json_object();

    set_text(detail, "from", reply->header_from);
    set_text(detail, "subject", reply->subject);
    return detail;
}

static enum bh_event_kind complaint_kind(const struct bh_msg_read_reply *reply)
{
    if (reply->is_failure_report)
        return BH_EVENT_AUTH_REPORTED;
    return bh_str_eq_ci(reply->feedback_type, BH_STR("opt-out")) ? BH_EVENT_UNSUBSCRIBED : BH_EVENT_COMPLAINED;
}

static void tell_complaint(struct lease *lease, const struct bh_verp *about, const struct bh_msg_read_reply *reply)
{
    json_t *detail;

    if (bh_str_eq_ci(reply->feedback_type, BH_STR("not-spam"))) /* RFC 6430: the contrary */
        return;
    detail = json_object();
    set_text(detail, "type", reply->feedback_type);
    set_text(detail, "reported_by", reply->user_agent);
    set_text(detail, "source_ip", reply->source_ip);
    set_text(detail, "arrived", reply->arrival_date);
    set_text(detail, "auth_failure", reply->auth_failure);
    set_text(detail, "reported_domain", reply->reported_domain);
    lease_event(lease, complaint_kind(reply), about, 0, reply->feedback_type, detail);
}

static void bounce_was_read(struct lease *lease, const struct bh_msg_read_reply *reply)
{
    if (!reply) {
        ignored(lease, "a bounce that cannot be read");
        return;
    }
    switch ((enum bh_bounce_kind)reply->kind) {
    case BH_BOUNCE_FAILURE:
        tell_refusal(lease, BH_EVENT_BOUNCED, reply);
        break;
    case BH_BOUNCE_DELAY:
        tell_refusal(lease, BH_EVENT_DELAYED, reply);
        break;
    case BH_BOUNCE_COMPLAINT:
        tell_complaint(lease, &lease->about, reply);
        break;
    case BH_BOUNCE_AUTO_REPLY:
        lease_event(lease, BH_EVENT_AUTO_REPLIED, &lease->about, 0, BH_STR(""), answer_json(reply));
        break;
    case BH_BOUNCE_REPLY:
        lease_event(lease, BH_EVENT_REPLIED, &lease->about, 0, BH_STR(""), answer_json(reply));
        break;
    case BH_BOUNCE_OTHER:
    default:
        lease_end(lease, "no bounce, no complaint, no answer");
        return;
    }
    lease_end(lease, bh_bounce_kind_text((enum bh_bounce_kind)reply->kind));
}

void lease_bounce(struct lease *lease)
{
    lease_read(lease, bounce_was_read);
}

/* ---- complaints ---- */

/* The message that a report quotes, by an address of ours in it. */
static bool find_quoted(const struct lease *lease, bh_str tokens, struct bh_verp *ret_about)
{
    struct bh_cur list = bh_cur_make(tokens);
    struct bh_rec_read_text token;

    while (bh_rec_read_text_next(&list, &token) == BH_MORE) {
        size_t at = bh_str_rfind(token.text, '@');

        if (bh_verp_decode(bh_str_sub(token.text, 0, at), bh_str_skip(token.text, at + 1), &lease->steward->ring,
                           ret_about) == BH_VERP_OK &&
            (ret_about->kind == BH_VERP_BOUNCE || ret_about->kind == BH_VERP_FEEDBACK ||
             ret_about->kind == BH_VERP_UNSUBSCRIBE))
            return true;
    }
    return false;
}

static void feedback_was_read(struct lease *lease, const struct bh_msg_read_reply *reply)
{
    struct bh_verp about = lease->about;

    if (!reply)
        ignored(lease, "a complaint that cannot be read");
    else if (reply->kind != BH_BOUNCE_COMPLAINT && lease->address == LEASE_FIXED_FEEDBACK)
        lease_postmaster(lease); /* a person writes to abuse@ */
    else if (reply->kind != BH_BOUNCE_COMPLAINT)
        ignored(lease, "mail to a feedback address that is no complaint");
    else if (!about.kind && !find_quoted(lease, reply->tokens, &about))
        ignored(lease, "a complaint that quotes no message of ours");
    else {
        tell_complaint(lease, &about, reply);
        lease_end(lease, "complaint");
    }
}

void lease_feedback(struct lease *lease)
{
    lease_read(lease, feedback_was_read);
}

/* ---- unsubscriptions ---- */

/* Whatever it says: only the recipient's mail program knows the address (RFC 2369 3.2). */
void lease_unsubscribe(struct lease *lease)
{
    lease_event(lease, BH_EVENT_UNSUBSCRIBED, &lease->about, 0, BH_STR("by mail"), NULL);
    lease_end(lease, "unsubscription");
}

void lease_postmaster(struct lease *lease)
{
    lease_end(lease, "mail to a person");
}
