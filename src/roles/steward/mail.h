/* mail.h: mail to ourselves, leased from queued one message at a time.
 *
 * mail.c has the table: by what the address that it came to is for, one handler. A handler looks at the lease, mostly
 * by way of a reader (lease_read), adds what it found as events, and ends it: the events are committed by queued in the
 * transaction that ends the lease, and have keys of the message's number, so doing it all again after a crash changes
 * nothing. A handler that waits for something else keeps the lease; it lives until lease_end or lease_again, or until
 * queued is lost, which calls `dropped`. */
#ifndef BH_ROLES_STEWARD_MAIL_H
#define BH_ROLES_STEWARD_MAIL_H

#include "steward.h"
#include "store/event_type.h"
#include <jansson.h>

/* What an address of ours is for. The first ones are proven by the MAC in it, the others are fixed names. */
enum lease_address {
    LEASE_BOUNCE,
    LEASE_CANARY,
    LEASE_PROBE,
    LEASE_FEEDBACK,
    LEASE_UNSUBSCRIBE,
    LEASE_NOTICE,
    LEASE_FIXED_FEEDBACK, /* abuse@, fbl@: complaints that a receiver sends to one address for all */
    LEASE_POSTMASTER,
    LEASE_OTHER
};

struct lease;
/* NULL: it cannot be read, or no reader could be had in time. */
typedef void lease_was_read(struct lease *lease, const struct bh_msg_read_reply *reply);

struct lease {
    struct bh_list node;
    struct steward *steward;
    struct bh_buf frame;           /* the DELIVER message, to which the views point */
    struct bh_msg_deliver message; /* recipient: the address that it came to */
    int body_fd;                   /* -1: the body is in `message` */
    enum lease_address address;
    struct bh_verp about; /* what the address says; kind 0 where it says nothing */
    struct bh_buf events; /* list of told_event */
    unsigned event_count;
    struct bh_call *call; /* to a reader */
    lease_was_read *was_read;
    void (*dropped)(struct lease *lease); /* may be NULL: of what a handler keeps in `state` */
    void *state;
};

/* Has a reader look at it. */
void lease_read(struct lease *lease, lease_was_read *then);
/* Adds an event about a message of a customer; `about` NULL: about none. `detail` is an object (the reference is taken)
 * or NULL. */
void lease_event(struct lease *lease, enum bh_event_kind kind, const struct bh_verp *about, uint16_t code, bh_str text,
                 json_t *detail);
/* It is done: what was made of it, in a few words for the log. The lease is freed. */
void lease_end(struct lease *lease, const char *what);
/* Not now; queued gives it again later. The lease is freed. */
void lease_again(struct lease *lease, const char *why);
/* A text that may be a stranger's as JSON; NULL where it is empty. */
json_t *lease_text(bh_str text);

/* ---- handlers ---- */

typedef void lease_handler(struct lease *lease);
lease_handler lease_bounce, lease_feedback, lease_unsubscribe, lease_postmaster; /* feedback.c */
lease_handler lease_canary;                                                      /* canary.c */

#endif
