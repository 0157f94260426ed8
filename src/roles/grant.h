/* grant.h: the right to use one sealed object once, given by who knows the need, checked by keyd.
 *
 * keyd has no database: it cannot know whether a signature is due. So each request brings a grant: what it is for,
 * until when, and a MAC under a key that only keyd and the granting role hold (a subkey of the master secret, named by
 * the role). queued grants signatures for the deliveries that it hands to a sender; a sender that is taken over by a
 * stranger can sign nothing else.
 *
 * On the wire: the fields big-endian, texts with a u32 length, and 32 bytes of keyed BLAKE2b over all of that. */
#ifndef BH_ROLES_GRANT_H
#define BH_ROLES_GRANT_H

#include "base/buf.h"
#include "roles/messages.h"

enum { BH_GRANT_KEY_BYTES = 32, BH_GRANT_MAC_BYTES = 32, BH_GRANT_BYTES_MAX = 1024 };
enum { BH_GRANT_LIFE_MS = 3600 * 1000 }; /* of queued's, for deliveries */

struct bh_grant {
    uint8_t kind;         /* enum bh_grant_kind */
    uint8_t granter;      /* enum bh_role_kind */
    uint64_t delivery_id; /* or the duty's number */
    uint32_t customer_id;
    uint64_t key_id;
    bh_str domain;
    bh_str selector;
    bh_time_ms expires_at;
};

/* Appends the grant. */
void bh_grant_put(struct bh_buf *out, const uint8_t key[BH_GRANT_KEY_BYTES], const struct bh_grant *grant);

/* Reads and checks one. Views point into `bytes`. BH_E_SYNTAX; BH_E_DENIED: the MAC does not hold; BH_E_TIMEOUT: it
 * held once and is over. */
BH_MUST bh_err bh_grant_get(bh_str bytes, const uint8_t key[BH_GRANT_KEY_BYTES], bh_time_ms now,
                            struct bh_grant *ret_grant);

/* The associated data under which an object is sealed: it opens for this owner, name and kind only. */
void bh_grant_associated_data(struct bh_buf *out, uint8_t kind, uint32_t customer_id, bh_str domain, bh_str selector,
                              uint64_t key_id);

#endif
