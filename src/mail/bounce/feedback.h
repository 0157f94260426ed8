/* feedback.h: complaints and failure reports (ARF, RFC 5965; failure reports RFC 6591, RFC 9991).
 *
 * The recipient may be redacted; what identifies the message are our own marks in its header, which bounce.h gives. */
#ifndef BH_MAIL_BOUNCE_FEEDBACK_H
#define BH_MAIL_BOUNCE_FEEDBACK_H

#include "base/str.h"

enum { BH_FEEDBACK_RECIPIENTS_MAX = 100 };

struct bh_feedback {
    bh_str type;            /* Feedback-Type in lower case; "abuse" where it is missing */
    bool is_failure_report; /* type auth-failure: about authentication, no complaint of a person */
    bh_str user_agent;
    bh_str source_ip;
    bh_str mail_from; /* Original-Mail-From */
    bh_str envelope_id;
    bh_str reported_domain; /* the first one */
    bh_str arrival_date;
    bh_str auth_failure; /* "dmarc", "spf" …: Auth-Failure (RFC 6591) */
    bh_str delivery_result;
    bh_str dkim_domain;
    bh_str dkim_selector;
    uint64_t incidents;       /* 1 where it is not said */
    const bh_str *recipients; /* Original-Rcpt-To (and Removal-Recipient of older forms) */
    size_t recipient_count;
};

/* Reads the fields of a message/feedback-report; values are in the arena or views of `text`. BH_E_NOMEM. */
BH_MUST bh_err bh_feedback_read(struct bh_arena *arena, bh_str text, struct bh_feedback *ret_feedback);

#endif
