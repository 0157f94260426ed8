/* event.h: the event log: one row per transition, in the order of commits. Sequence numbers are queued's own, grow with
 * time (so they never start anew when old events are purged), and are what readers keep as a cursor. */
#ifndef BH_STORE_EVENT_H
#define BH_STORE_EVENT_H

#include "store.h"

enum bh_event_kind {
    BH_EVENT_ACCEPTED = 1, /* committed and queued for all its recipients; idx = BH_EVENT_WHOLE */
    BH_EVENT_DELIVERED = 2,
    BH_EVENT_DEFERRED = 3, /* an attempt failed for now */
    BH_EVENT_BOUNCED = 4,  /* refused for good */
    BH_EVENT_EXPIRED = 5,
    BH_EVENT_DROPPED = 6,  /* by the operator or the customer */
    BH_EVENT_RETRIED = 7,  /* the operator asked for an attempt now */
    BH_EVENT_FINISHED = 8, /* a message to ourselves was processed by the steward */
    BH_EVENT_LAST = 8
};

enum { BH_EVENT_WHOLE = -1 };

struct bh_event_row {
    int64_t seq;
    bh_time_ms at;
    enum bh_event_kind kind;
    uint64_t message;
    int32_t idx;    /* BH_EVENT_WHOLE: the message */
    bh_str address; /* of the recipient, when read; {NULL, 0}: the message as a whole */
    int64_t customer;
    uint32_t code; /* SMTP reply; 0: none */
    bh_str text;
    bh_str detail; /* JSON of the sender or steward; may be empty */
};

/* The word for a kind: "delivered". Static. */
const char *bh_event_kind_name(enum bh_event_kind kind);

void bh_event_insert(struct bh_store *store, const struct bh_event_row *event);
/* Events after `seq`, in order; customer 0: all. */
void bh_event_select_after(struct bh_store *store, int64_t seq, int64_t customer, int64_t limit,
                           void (*row)(void *ctx, const struct bh_row *row),
                           void (*done)(void *ctx, const struct bh_result *result), void *ctx);
/* Of one message, oldest first. */
void bh_event_select_message(struct bh_store *store, uint64_t message, int64_t limit,
                             void (*row)(void *ctx, const struct bh_row *row),
                             void (*done)(void *ctx, const struct bh_result *result), void *ctx);
void bh_event_from_row(const struct bh_row *row, struct bh_event_row *ret_event);

#endif
