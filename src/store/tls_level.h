/* tls_level.h: how strictly a customer or a sending domain wants TLS on the way out: rows of control.db's `tls_level`.
 * Without a row: opportunistic (0). Numbers are those of enum bh_tls_level. */
#ifndef BH_STORE_TLS_LEVEL_H
#define BH_STORE_TLS_LEVEL_H

#include "store.h"

/* `domain` 0: of the customer. Level 0 removes the row. */
BH_MUST bh_err bh_tls_level_set(struct bh_store *store, int64_t customer, int64_t domain, int64_t level);
/* The stricter of the customer's and the domain's. */
BH_MUST bh_err bh_tls_level_of(struct bh_store *store, int64_t customer, int64_t domain, int64_t *ret_level);
/* The one that is set at that very place. */
BH_MUST bh_err bh_tls_level_at(struct bh_store *store, int64_t customer, int64_t domain, int64_t *ret_level);

#endif
