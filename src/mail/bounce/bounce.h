/* bounce.h: what came back to us: a failure, a delay, a complaint, an auto-reply, a person's reply or something else,
 * and which recipients it is about. One call for a whole message.
 *
 * Nothing in a bounce is proven: who believes a result must first have checked the address that it came to (verp.h).
 * The marks of our own that stand in the returned header are given for that. Memory is what the arena allows: a bounce
 * of any size with 10,000 recipients fits into BH_BOUNCE_ARENA_BYTES; the time is linear in the message. */
#ifndef BH_MAIL_BOUNCE_BOUNCE_H
#define BH_MAIL_BOUNCE_BOUNCE_H

#include "classify.h"
#include "feedback.h"
#include "report.h"

enum {
    BH_BOUNCE_RECIPIENTS_MAX = 10000,
    BH_BOUNCE_SENDERS_MAX = 8,
    BH_BOUNCE_TEXT_MAX = 1000, /* bytes of smtp_reply and diagnostic */
    BH_BOUNCE_ARENA_BYTES = 96 * 1024 * 1024
};

enum bh_bounce_kind {
    BH_BOUNCE_FAILURE, /* "bounce" */
    BH_BOUNCE_DELAY,
    BH_BOUNCE_COMPLAINT, /* and failure reports: feedback.is_failure_report */
    BH_BOUNCE_AUTO_REPLY,
    BH_BOUNCE_REPLY, /* a person's */
    BH_BOUNCE_OTHER  /* reports of success, receipts, anything else */
};
/* "auto-reply". Static. */
const char *bh_bounce_kind_text(enum bh_bounce_kind kind);

struct bh_bounce_recipient {
    bh_str address;  /* empty where it could not be found out */
    bh_str original; /* as we wrote it, where the report tells and it differs (RFC 3464 2.3.1) */
    enum bh_report_action action;
    bh_str status; /* the report's own, else the one found in the words; empty where there is none */
    enum bh_refusal_class class;
    bh_str reason;     /* "no-such-user"; a view of the rules */
    bool hard;         /* class is hard: the address is not to be used again */
    bh_str smtp_reply; /* "550 5.1.1 no such user" */
    bh_str diagnostic; /* all that was said */
    bh_str remote_mta;
    size_t rule; /* bh_bounce_rule_view, or BH_NO_RULE */
};

struct bh_bounce {
    enum bh_bounce_kind kind;
    struct bh_bounce_recipient *recipients;
    size_t count;
    bool cut; /* there were more recipients */
    bh_str reporting_mta;
    /* Marks of the message that it is about, from its returned header and the report. */
    bh_str message_id;                     /* without <> */
    bh_str feedback_id;                    /* Feedback-ID, CFBL-Feedback-ID */
    bh_str envelope_id;                    /* ENVID that we gave (RFC 3461) */
    bh_str subject;                        /* of the returned message, as written */
    bh_str senders[BH_BOUNCE_SENDERS_MAX]; /* envelope senders named in it: our bounce address is among them */
    size_t sender_count;
    bool has_feedback;
    struct bh_feedback feedback; /* where has_feedback */
};

/* Reads a message. Results are in the arena, views of the message or of the rules, all of which must outlive them. Any
 * bytes give a result; BH_E_NOMEM where the arena is exhausted. */
BH_MUST bh_err bh_bounce_read(struct bh_arena *arena, const struct bh_bounce_rules *rules, bh_str message,
                              struct bh_bounce *ret_bounce);

#endif
