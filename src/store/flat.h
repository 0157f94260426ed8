/* flat.h: queries on flattened SPF records and the last good answers that they are made of. Rules as in control.h. */
#ifndef BH_STORE_FLAT_H
#define BH_STORE_FLAT_H

#include "domain/spf_flatten.h"
#include "store.h"

struct bh_flat_row {
    int64_t id;
    int64_t customer;
    bh_str domain;
    bh_str token;     /* <token>.flat.<platform>; never given to another */
    bh_str record;    /* the owner's own, as it was before it had our include */
    bh_str sources;   /* terms added, separated by blanks */
    bh_str published; /* lines "name text": what we serve; empty = nothing yet */
    bh_str report;    /* JSON, as shown to people */
    bh_time_ms created_at;
    bh_time_ms refresh_at; /* when to ask again */
    bh_time_ms changed_at;
    bool is_stopped;
};

BH_MUST bh_err bh_flat_insert(struct bh_store *store, const struct bh_flat_row *flat, int64_t *ret_id);
/* record, sources, published, report, refresh_at, changed_at, is_stopped. */
BH_MUST bh_err bh_flat_update(struct bh_store *store, const struct bh_flat_row *flat);
BH_MUST bh_err bh_flat_by_id(struct bh_store *store, struct bh_arena *arena, int64_t id, struct bh_flat_row *ret_flat);
/* The one that is not stopped. BH_E_NOT_FOUND. */
BH_MUST bh_err bh_flat_by_domain(struct bh_store *store, struct bh_arena *arena, int64_t customer, bh_str domain,
                                 struct bh_flat_row *ret_flat);
/* By id, customer 0: all; stopped ones too. Views are valid inside `each`. */
BH_MUST bh_err bh_flat_list(struct bh_store *store, int64_t customer,
                            void (*each)(void *ctx, const struct bh_flat_row *flat), void *ctx);
/* Ids that are due, the longest waiting first. */
BH_MUST bh_err bh_flat_due(struct bh_store *store, bh_time_ms now, int64_t limit, void (*each)(void *ctx, int64_t id),
                           void *ctx);
BH_MUST bh_err bh_flat_next_due(struct bh_store *store, bh_time_ms *ret_at);

/* The last good answers. `rdatas`: each behind its length in two bytes. */
BH_MUST bh_err bh_flat_answer_set(struct bh_store *store, int64_t flat, const struct bh_flat_answer *answer,
                                  bh_str rdatas);
BH_MUST bh_err bh_flat_answer_list(struct bh_store *store, int64_t flat,
                                   void (*each)(void *ctx, const struct bh_flat_answer *answer, bh_str rdatas),
                                   void *ctx);

#endif
