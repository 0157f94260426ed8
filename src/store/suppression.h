/* suppression.h: queries on `suppression`: addresses that get no mail of a customer, in one stream of his or in any.
 * The key is the SHA-256 of the address in lower case, so a list can be taken over without the addresses. */
#ifndef BH_STORE_SUPPRESSION_H
#define BH_STORE_SUPPRESSION_H

#include "store.h"

enum { BH_SUPPRESSION_HASH_BYTES = 32 };

/* Numbers in control.db. Greater ones replace smaller ones. */
enum bh_suppression_reason {
    BH_SUPPRESSED_IMPORT = 1,
    BH_SUPPRESSED_BOUNCE = 2,
    BH_SUPPRESSED_UNSUBSCRIBE = 3,
    BH_SUPPRESSED_COMPLAINT = 4,
    BH_SUPPRESSED_MANUAL = 5
};
/* "bounce"; static. */
const char *bh_suppression_reason_text(enum bh_suppression_reason reason);
/* 0: there is no such. */
int bh_suppression_reason_of(bh_str text);

struct bh_suppression {
    int64_t customer; /* 0: all customers */
    bh_str stream;    /* "*": every one; "" is the stream of mail that names none */
    uint8_t hash[BH_SUPPRESSION_HASH_BYTES];
    bh_str address; /* empty where only the hash is known */
    enum bh_suppression_reason reason;
    bh_str source; /* the cursor of an event, or a person's words */
    bh_str detail; /* "no-such-user" …, or the reply */
    bh_time_ms created_at;
    bh_time_ms expires_at; /* 0: never */
};

void bh_suppression_hash(bh_str address, uint8_t ret_hash[BH_SUPPRESSION_HASH_BYTES]);
/* *ret_new: it was not there, or had expired. */
BH_MUST bh_err bh_suppression_put(struct bh_store *store, const struct bh_suppression *suppression, bool *ret_new);
/* BH_E_NOT_FOUND. */
BH_MUST bh_err bh_suppression_delete(struct bh_store *store, int64_t customer, bh_str stream,
                                     const uint8_t hash[BH_SUPPRESSION_HASH_BYTES]);
/* May this customer send to it in this stream? BH_E_NOT_FOUND: yes. *ret_reason otherwise. */
BH_MUST bh_err bh_suppression_find(struct bh_store *store, int64_t customer, bh_str stream, bh_str address,
                                   bh_time_ms now, enum bh_suppression_reason *ret_reason);
/* All about one address: every stream, the customer's and those for all. */
BH_MUST bh_err bh_suppression_of(struct bh_store *store, int64_t customer,
                                 const uint8_t hash[BH_SUPPRESSION_HASH_BYTES],
                                 void (*each)(void *ctx, const struct bh_suppression *suppression), void *ctx);
/* Of a customer, by (hash, stream) behind the given one. Views are valid inside `each`. */
BH_MUST bh_err bh_suppression_list(struct bh_store *store, int64_t customer, bh_str after_hash, bh_str after_stream,
                                   int64_t limit, void (*each)(void *ctx, const struct bh_suppression *suppression),
                                   void *ctx);
/* Deletes up to `limit` that expired before `now`. */
BH_MUST bh_err bh_suppression_purge(struct bh_store *store, bh_time_ms now, int64_t limit);

#endif
