/* prepare.h: the departing header, made from the accepted one.
 *
 * A message is stored as it was accepted. When it leaves, its header gets what is missing and loses what must not be
 * seen; the body is never touched or copied. What is done:
 *   added     Received (always, on top); Message-ID and Date where the message has none, from the moment of accept,
 *             so that every attempt and every recipient gets the same
 *             CFBL-Address, CFBL-Feedback-ID, Feedback-ID, List-Unsubscribe, List-Unsubscribe-Post as asked for
 *   removed   X-Behalf-Campaign, X-Behalf-Send-At and the fields of wishes.h, which are for us,
 *             Bcc and Resent-Bcc (RFC 5322 3.6.3), Return-Path (RFC 5321 4.4: the final host writes it),
 *             Authentication-Results under our own name (RFC 8601 5), DKIM-Signature fields with our own domain and
 *             selector: such a one is stale or forged, we sign anew; signatures of others stay
 * The result is one block in the arena, in the order in which it leaves, ready to be signed (behalf/dkim.h) and sent
 * as: new signature fields, block, CRLF, body.
 *
 * Nothing that comes from a stranger gets a CR, an LF or a control byte into an added field. */
#ifndef BH_MAIL_PREPARE_H
#define BH_MAIL_PREPARE_H

#include "base/str.h"

enum { BH_PREPARE_OWN_MAX = 8, BH_PREPARE_HEADER_MAX = 4 << 20 };

/* A signature that only we make. */
struct bh_own_signature {
    bh_str domain;
    bh_str selector; /* empty: any selector of this domain */
};

/* What goes into the Received field (RFC 5321 4.4). Empty parts are left out. */
struct bh_received_facts {
    bh_str helo;           /* as the client said it */
    bh_str client_name;    /* reverse name, verified */
    bh_str client_address; /* "192.0.2.1" or "2001:db8::1"; leave empty to hide a submitter's address */
    bh_str by;             /* our host name; must be set */
    bh_str with;           /* "ESMTPSA" (RFC 3848) */
    bh_str id;             /* our id of the message */
    bh_str recipient;      /* the envelope recipient of this departure */
};

/* Where what people think of the message comes back to. Empty parts are left out. */
struct bh_feedback_facts {
    bh_str complaints;      /* address of CFBL-Address (RFC 9477), in the author's domain or below it */
    bh_str id;              /* CFBL-Feedback-ID: our id of the message */
    bh_str stream_id;       /* Feedback-ID as Gmail reads it: up to three words and the sender's own, joined by ':' */
    bh_str unsubscribe;     /* address; the message's own List-Unsubscribe gives way to it */
    bh_str unsubscribe_url; /* https, for one click (RFC 8058) */
};

struct bh_prepare {
    bh_str header;          /* the stored header block, whole lines; bh_check_header passed it */
    bh_time_ms accepted_at; /* stands in Received and Date */
    struct bh_received_facts received;
    struct bh_feedback_facts feedback;
    bh_str message_id_left;   /* unique, of [A-Za-z0-9.-]: used where Message-ID is missing */
    bh_str message_id_domain; /* the author's domain */
    bh_str authserv_id;       /* our name in Authentication-Results; empty = none */
    struct bh_own_signature own[BH_PREPARE_OWN_MAX];
    size_t own_count;
};

struct bh_prepared {
    bh_str header;      /* in the arena; without the empty line */
    size_t added_bytes; /* how much of its start is ours */
    size_t removed;     /* fields taken out */
    bool has_message_id_added;
    bool has_date_added;
};

/* BH_E_INVALID where `by` is missing or the header is not made of whole lines, BH_E_LIMIT beyond
 * BH_PREPARE_HEADER_MAX, BH_E_NOMEM. */
BH_MUST bh_err bh_prepare_header(struct bh_arena *arena, const struct bh_prepare *prepare,
                                 struct bh_prepared *ret_prepared);

#endif
