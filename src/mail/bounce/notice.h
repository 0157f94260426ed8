/* notice.h: a message that came back to us, taken apart by what its parts are for: the words for people, the report for
 * machines, the header of the message that it is about. Nothing is judged here. All bounded, so that a bounce of 50 MB
 * or of a thousand parts costs what its first few parts cost. */
#ifndef BH_MAIL_BOUNCE_NOTICE_H
#define BH_MAIL_BOUNCE_NOTICE_H

#include "base/str.h"

enum {
    BH_NOTICE_FAILED_MAX = 1000,            /* addresses of X-Failed-Recipients */
    BH_NOTICE_REPORT_MAX = 8 * 1024 * 1024, /* enough for 10,000 recipients */
    BH_NOTICE_TEXT_MAX = 2 * 1024 * 1024,   /* words for people; more is not read */
    BH_NOTICE_RETURNED_MAX = 256 * 1024
};

struct bh_notice {
    bh_str subject;       /* decoded, UTF-8 */
    bh_str from_name;     /* display name or comment */
    bh_str from;          /* address; empty where there is none */
    bh_str to;            /* first address of To */
    bh_str text;          /* words for people: UTF-8 where the character set is known, lines end with LF */
    bh_str report;        /* message/delivery-status parts, one behind the other, an empty line between */
    bh_str feedback;      /* message/feedback-report part */
    bh_str returned;      /* header block of the message that it is about */
    const bh_str *failed; /* X-Failed-Recipients */
    size_t failed_count;
    bool has_feedback;    /* such a part was there, even if empty */
    bool has_report;      /* likewise */
    bool has_returned;    /* a part with the message or its header was there */
    bool has_disposition; /* message/disposition-notification: a read receipt (RFC 8098) */
    bool null_path;       /* Return-Path: <> */
    bool auto_replied;    /* Auto-Submitted: auto-replied (RFC 3834), or one of its older forms */
    bool auto_generated;  /* any other Auto-Submitted but no */
    bool bulk;            /* Precedence: bulk, junk, list */
    bool has_references;  /* In-Reply-To or References */
    bool unsubscribes;    /* a mail program wrote it to leave a list (RFC 2369 3.2) */
};

/* Reads `message`; everything is in the arena or points into the message. BH_E_NOMEM. */
BH_MUST bh_err bh_notice_read(struct bh_arena *arena, bh_str message, struct bh_notice *ret_notice);

#endif
