/* transport.h: the rows of transport.db, the steward's: MTA-STS policies of the world (RFC 8461), and what became of
 * TLS, counted per day for the reports of RFC 8460. Losing the file loses no mail. */
#ifndef BH_STORE_TRANSPORT_H
#define BH_STORE_TRANSPORT_H

#include "store.h"

extern const struct bh_schema bh_transport_schema;

struct bh_sts_row {
    bh_str domain;
    bh_str id;     /* of the TXT record under which it was fetched; may be empty */
    bh_str policy; /* the file */
    bh_time_ms fetched_at, expires_at;
};
/* Inserts or replaces. */
BH_MUST bh_err bh_sts_row_put(struct bh_store *store, const struct bh_sts_row *row);
/* BH_E_NOT_FOUND. Views in the arena. */
BH_MUST bh_err bh_sts_row_get(struct bh_store *store, struct bh_arena *arena, bh_str domain,
                              struct bh_sts_row *ret_row);
/* One that is still valid and was fetched before `before`: to be refreshed. BH_E_NOT_FOUND. */
BH_MUST bh_err bh_sts_row_old(struct bh_store *store, struct bh_arena *arena, bh_time_ms before, bh_time_ms now,
                              struct bh_sts_row *ret_row);
/* It was tried: not again before its turn. */
BH_MUST bh_err bh_sts_row_tried(struct bh_store *store, bh_str domain, bh_time_ms at);
BH_MUST bh_err bh_sts_rows_expire(struct bh_store *store, bh_time_ms now);

struct bh_tls_row {
    int64_t day; /* since 1970, UTC */
    bh_str domain, policy_type, policy, mx_hosts, failure, sending, mx, receiving, reason;
    int64_t count;
};
/* Adds to the row of the same words. */
BH_MUST bh_err bh_tls_row_add(struct bh_store *store, const struct bh_tls_row *row);
/* The next domain behind `after` with rows of days before `day`: day and domain of the row are written.
 * BH_E_NOT_FOUND. */
BH_MUST bh_err bh_tls_row_due(struct bh_store *store, struct bh_arena *arena, int64_t day, bh_str after,
                              struct bh_tls_row *ret_row);
/* All rows of it in the order of policy_type, policy, mx_hosts; successes first. */
BH_MUST bh_err bh_tls_rows(struct bh_store *store, int64_t day, bh_str domain,
                           void (*each)(void *ctx, const struct bh_tls_row *row), void *ctx);
BH_MUST bh_err bh_tls_rows_forget(struct bh_store *store, int64_t day, bh_str domain);

#endif
