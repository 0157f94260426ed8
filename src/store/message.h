/* message.h: the rows of spool.db's `message` and `body`: what was accepted, from whom, and its bytes.
 *
 * A message is inserted with its body and recipients in one transaction. When its last recipient is finished the body
 * goes and the row stays for the retention time. Functions submit on the given store (see store.h); where they take
 * `row`, `done` and `ctx`, these are the request's. */
#ifndef BH_STORE_MESSAGE_H
#define BH_STORE_MESSAGE_H

#include "store.h"

enum {
    BH_MESSAGE_8BIT = 1,
    BH_MESSAGE_SMTPUTF8 = 2,
    BH_MESSAGE_NOTICE = 4,  /* a delivery status notification of ours: leaves with the null sender */
    BH_MESSAGE_RET_FULL = 8 /* RFC 3461 RET=FULL */
};

struct bh_message_row {
    uint64_t id;
    uint8_t destination; /* enum bh_destination: the world, or the steward */
    int64_t customer;    /* 0: ourselves */
    int64_t domain;      /* id of the sending domain; 0: ourselves */
    bh_str header_from;  /* address of From */
    bh_str from_domain;  /* its domain, A-labels in lower case */
    bh_str mail_from;    /* as submitted */
    bh_str envid;        /* RFC 3461 ENVID, or empty */
    int64_t size;        /* of the body */
    uint32_t flags;      /* BH_MESSAGE_8BIT … */
    bh_time_ms accepted_at;
    bh_time_ms expires_at;
    int64_t credential; /* 0: none */
    bh_str client;      /* address of the submitter, or "local" */
    bh_str helo;
    bh_str protocol;        /* RFC 3848 */
    bh_str body_hash;       /* SHA-256 of the relaxed body (RFC 6376 3.4.4), or empty */
    bh_time_ms finished_at; /* 0: not yet */
    bh_str campaign;        /* the submitter's word for what it belongs to, or empty */
    bh_str stream;          /* the submitter's name for a kind of mail; what an unsubscription is for */
};

void bh_message_insert(struct bh_store *store, const struct bh_message_row *message);
/* An inline body; or with p == NULL the note that the body is a file. */
void bh_body_insert(struct bh_store *store, uint64_t id, bh_str bytes);

/* One row for bh_message_from_row, or none. */
void bh_message_select(struct bh_store *store, uint64_t id, void (*row)(void *ctx, const struct bh_row *row),
                       void (*done)(void *ctx, const struct bh_result *result), void *ctx);
/* The same with what a delivery to one recipient needs behind: bh_message_delivery of the row. */
void bh_message_select_delivery(struct bh_store *store, uint64_t id, uint32_t idx,
                                void (*row)(void *ctx, const struct bh_row *row),
                                void (*done)(void *ctx, const struct bh_result *result), void *ctx);
void bh_message_from_row(const struct bh_row *row, struct bh_message_row *ret_message);
struct bh_message_delivery {
    bh_str body; /* {NULL, 0}: in a file */
    bh_str address, notify, orcpt;
};
void bh_message_delivery_from_row(const struct bh_row *row, struct bh_message_delivery *ret_delivery);

/* Ids of the messages whose body is a file (column 0), in order, for the check of the spool directory at start. */
void bh_body_select_files(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                          void (*done)(void *ctx, const struct bh_result *result), void *ctx);

/* The largest id (column 0; 0: none) of messages and of events (column 1), at start. */
void bh_message_select_last(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                            void (*done)(void *ctx, const struct bh_result *result), void *ctx);

/* All recipients are finished: stamps the message and deletes the body row. */
void bh_message_finish(struct bh_store *store, uint64_t id, bh_time_ms at);
/* The same, only if no recipient is open any more; `done` has changed = 1 if it was so. */
void bh_message_finish_if_last(struct bh_store *store, uint64_t id, bh_time_ms at,
                               void (*done)(void *ctx, const struct bh_result *result), void *ctx);

/* Deletes up to `limit` messages that were finished before `finished_before` (and have ids below `before_id`, that of
 * the same time), their recipients and events. Three statements: inside a transaction. `done` is that of the last;
 * changed = messages deleted. */
void bh_message_purge(struct bh_store *store, uint64_t before_id, bh_time_ms finished_before, int64_t limit,
                      void (*done)(void *ctx, const struct bh_result *result), void *ctx);

#endif
