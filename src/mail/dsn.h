/* dsn.h: delivery status notifications (RFC 3461, 3464) as we send them: to the submitter, where he asked for them.
 * Pure: bytes and time in, a message out. */
#ifndef BH_MAIL_DSN_H
#define BH_MAIL_DSN_H

#include "base/buf.h"

enum bh_dsn_kind { BH_DSN_FAILED, BH_DSN_DELAYED, BH_DSN_RELAYED };

/* RFC 3461 NOTIFY: does it ask for this? Empty asks for nothing: who does not ask reads the events. */
bool bh_dsn_is_asked(bh_str notify, enum bh_dsn_kind kind);

struct bh_dsn {
    enum bh_dsn_kind kind;
    bh_str from;          /* address of the platform's own domain */
    bh_str to;            /* MAIL FROM of the submitter */
    bh_str message_id;    /* of the notice, without brackets */
    bh_str reporting_mta; /* host name */
    bh_time_ms now, arrived_at;
    bh_time_ms retry_until; /* of a delay */
    bh_str envid, orcpt;    /* as given (xtext) or empty */
    bh_str recipient;
    bh_str status;   /* "5.1.1"; empty: of the kind */
    bh_str remote;   /* "mx.example [192.0.2.1]:25", or empty: nobody said it but we */
    unsigned code;   /* SMTP reply; 0: none */
    bh_str text;     /* its text, or the reason */
    bh_str original; /* the message, or as much of it as is at hand; the header at least */
    bool whole;      /* RET=FULL: `original` is all of it and goes along */
    bool eight_bit;  /* it has 8-bit bytes: its header alone then, where that is ASCII */
};

/* Appends the message. BH_E_LIMIT. */
BH_MUST bh_err bh_dsn_write(const struct bh_dsn *dsn, struct bh_buf *out);

#endif
