/* recipient.h: the rows of spool.db's `recipient`: one per (message, index), with what has become of it. */
#ifndef BH_STORE_RECIPIENT_H
#define BH_STORE_RECIPIENT_H

#include "store.h"

enum bh_recipient_state {
    BH_RECIPIENT_QUEUED = 1, /* waits for its first or next attempt */
    BH_RECIPIENT_DELIVERED = 2,
    BH_RECIPIENT_BOUNCED = 3,   /* refused for good */
    BH_RECIPIENT_EXPIRED = 4,   /* given up */
    BH_RECIPIENT_DROPPED = 5,   /* by the operator or the customer */
    BH_RECIPIENT_SUPPRESSED = 6 /* never tried: on the suppression list */
};

struct bh_recipient_row {
    uint64_t message;
    uint32_t idx;
    bh_str address;
    bh_str route;  /* destination domain in lower case, or "@steward" */
    bh_str notify; /* RFC 3461, or empty */
    bh_str orcpt;
    enum bh_recipient_state state;
    uint32_t attempts;
    bh_time_ms next_at;
    uint32_t code; /* of the last reply; 0: none yet */
    bh_str text;
    bh_time_ms finished_at; /* 0: not yet */
};

/* The word for a state: "queued". Static. */
const char *bh_recipient_state_name(enum bh_recipient_state state);

void bh_recipient_insert(struct bh_store *store, const struct bh_recipient_row *recipient);

/* What the schedule needs of every open recipient, in the order of ids: struct bh_recipient_open per row. For start;
 * `row` is called a million times, so it must not look at more. */
struct bh_recipient_open {
    uint64_t message;
    uint32_t idx;
    uint32_t attempts;
    bh_time_ms next_at;
    bh_time_ms expires_at;
    int64_t customer;
    bh_str route;
    bool sole;       /* the message has no other recipient */
    bool has_notify; /* RFC 3461 NOTIFY was given */
    int64_t domain;
    bh_str campaign;
};
void bh_recipient_select_open(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                              void (*done)(void *ctx, const struct bh_result *result), void *ctx);
void bh_recipient_open_from_row(const struct bh_row *row, struct bh_recipient_open *ret_open);

/* All of a message, from index `from` on, at most `limit`. */
void bh_recipient_select_message(struct bh_store *store, uint64_t message, uint32_t from, int64_t limit,
                                 void (*row)(void *ctx, const struct bh_row *row),
                                 void (*done)(void *ctx, const struct bh_result *result), void *ctx);
void bh_recipient_from_row(const struct bh_row *row, struct bh_recipient_row *ret_recipient);

/* Stays open: one attempt more, the next at `next_at`. No-op (changed = 0) if it is finished or has that many
 * attempts already: a result that is told twice counts once. */
void bh_recipient_defer(struct bh_store *store, uint64_t message, uint32_t idx, uint32_t attempts, bh_time_ms next_at,
                        uint32_t code, bh_str text, void (*done)(void *ctx, const struct bh_result *result), void *ctx);
/* Ends it. No-op if it is finished. */
void bh_recipient_finish(struct bh_store *store, uint64_t message, uint32_t idx, enum bh_recipient_state state,
                         uint32_t attempts, uint32_t code, bh_str text, bh_time_ms at,
                         void (*done)(void *ctx, const struct bh_result *result), void *ctx);
/* A report says afterwards that a delivered one of this customer has bounced. No-op where that is not so. */
void bh_recipient_bounced_later(struct bh_store *store, uint64_t message, uint32_t idx, int64_t customer, uint32_t code,
                                bh_str text);
/* Another time for the next attempt, without an attempt (the operator's retry). */
void bh_recipient_reschedule(struct bh_store *store, uint64_t message, uint32_t idx, bh_time_ms next_at);

struct bh_recipient_filter {
    int64_t customer; /* 0: any */
    bh_str route;     /* empty: any */
    bh_str campaign;  /* empty: any */
};
/* Open recipients after (message, idx) in the order of ids. Columns are those of bh_recipient_from_row, and behind them
 * the message's customer and mail_from (bh_recipient_listed_*). */
void bh_recipient_list_open(struct bh_store *store, uint64_t after_message, uint32_t after_idx,
                            const struct bh_recipient_filter *filter, int64_t limit,
                            void (*row)(void *ctx, const struct bh_row *row),
                            void (*done)(void *ctx, const struct bh_result *result), void *ctx);
int64_t bh_recipient_listed_customer(const struct bh_row *row);
bh_str bh_recipient_listed_mail_from(const struct bh_row *row);

#endif
