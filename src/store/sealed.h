/* sealed.h: everything in control.db that keyd has sealed, whatever its table: for an exchange of the master secret.
 * Whoever adds a table with sealed bytes adds it here, or they are lost with the old secret. Functions as in control.h.
 */
#ifndef BH_STORE_SEALED_H
#define BH_STORE_SEALED_H

#include "store.h"

enum bh_sealed_kind { BH_SEALED_DKIM_KEY, BH_SEALED_ZONE_KEY, BH_SEALED_KINDS };

/* With the fields under which it was sealed (roles/grant.h). */
struct bh_sealed {
    int64_t id;
    uint32_t customer_id;
    bh_str domain;
    bh_str selector;
    bh_str sealed;      /* empty: it begins with the prefix */
    bh_str public_half; /* base64 of DKIM's p=, the bytes of a zone's key */
};

/* Up to `limit` objects of a kind with ids above `after`, in their order. Views are valid inside `each`. */
BH_MUST bh_err bh_sealed_list(struct bh_store *store, enum bh_sealed_kind kind, bh_str prefix, int64_t after,
                              int64_t limit, void (*each)(void *ctx, const struct bh_sealed *sealed), void *ctx);
/* Unless it has changed from `was` meanwhile. */
BH_MUST bh_err bh_sealed_replace(struct bh_store *store, enum bh_sealed_kind kind, int64_t id, bh_str was, bh_str is);

#endif
