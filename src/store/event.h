/* event.h: the event log: one row per transition, in the order of commits. Sequence numbers are queued's own, grow with
 * time (so they never start anew when old events are purged), and are what readers keep as a cursor.
 * A bounce that is told after the delivery is one more row: nothing is ever changed. */
#ifndef BH_STORE_EVENT_H
#define BH_STORE_EVENT_H

#include "event_type.h"
#include "store.h"

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
    bh_str detail;  /* JSON of the sender or steward; may be empty */
    int64_t domain; /* 0: the message's own, or none */
    bh_str stream;  /* of its message, when read */
    bh_str key;     /* given by another role, which may tell the same twice; {NULL, 0}: one of queued's own */
};

void bh_event_insert(struct bh_store *store, const struct bh_event_row *event);
/* One that another role tells: nothing is inserted where the key is known, or where it names a message that this
 * customer does not have. `done` has changed = 1 when it is new. */
void bh_event_insert_told(struct bh_store *store, const struct bh_event_row *event,
                          void (*done)(void *ctx, const struct bh_result *result), void *ctx);

struct bh_event_filter {
    int64_t after; /* a seq */
    int64_t until; /* the last seq; 0: no end */
    int64_t customer, domain;
    uint64_t message;
    int kind;      /* enum bh_event_kind; each of these 0: all */
    bool feedback; /* bounced, complained, unsubscribed, auth-reported; the others are not looked at */
    int64_t limit;
};
/* Events in order. */
void bh_event_select(struct bh_store *store, const struct bh_event_filter *filter,
                     void (*row)(void *ctx, const struct bh_row *row),
                     void (*done)(void *ctx, const struct bh_result *result), void *ctx);
/* Of one message, oldest first. */
void bh_event_select_message(struct bh_store *store, uint64_t message, int64_t limit,
                             void (*row)(void *ctx, const struct bh_row *row),
                             void (*done)(void *ctx, const struct bh_result *result), void *ctx);
/* One row: how many notices its submitter got about a recipient. */
void bh_event_select_notified(struct bh_store *store, uint64_t message, int32_t idx,
                              void (*row)(void *ctx, const struct bh_row *row),
                              void (*done)(void *ctx, const struct bh_result *result), void *ctx);
void bh_event_from_row(const struct bh_row *row, struct bh_event_row *ret_event);
/* Deletes up to `limit` events below `before_seq` whose message is gone or that had none. */
void bh_event_purge(struct bh_store *store, int64_t before_seq, int64_t limit,
                    void (*done)(void *ctx, const struct bh_result *result), void *ctx);

/* Named readers of the log and how far each has come. */
void bh_event_reader_set(struct bh_store *store, bh_str name, int64_t seq, bh_time_ms at,
                         void (*done)(void *ctx, const struct bh_result *result), void *ctx);
void bh_event_reader_delete(struct bh_store *store, bh_str name,
                            void (*done)(void *ctx, const struct bh_result *result), void *ctx);
/* Columns: name, seq, at. An empty name: all. */
void bh_event_reader_select(struct bh_store *store, bh_str name, void (*row)(void *ctx, const struct bh_row *row),
                            void (*done)(void *ctx, const struct bh_result *result), void *ctx);

#endif
