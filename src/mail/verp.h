/* verp.h: our own envelope addresses: which message, which recipient, proven by a MAC.
 *
 * A bounce comes back to the address in MAIL FROM and often quotes nothing else. So the local part itself says what
 * it belongs to, and carries 80 bits of HMAC-SHA256 so that a forged bounce is recognised before it is believed.
 * The same form serves canaries, probes, feedback and unsubscribe addresses (`kind`).
 *
 *   local part = "b" + base32(version and kind: 1 | period: 2 | customer: 4 | message: 8 | recipient: 4 | check: 10)
 *
 * 48 octets (64 are allowed), letters and digits of a-z2-7 only and compared without case, since relays change it.
 * The MAC covers the domain of the address, too, in lower case: an address of one domain says nothing in another.
 * The keys come from outside, one per period. */
#ifndef BH_MAIL_VERP_H
#define BH_MAIL_VERP_H

#include "base/str.h"

enum {
    BH_VERP_CHARS = 48,
    BH_VERP_KEY_BYTES = 32,
    BH_VERP_CHECK_BYTES = 10,
    BH_VERP_PERIOD_S = 7 * 86400, /* how long a key makes new addresses */
    BH_VERP_GRACE_PERIODS = 2     /* mail without a sender is taken so much longer than other mail */
};

/* Numbers on the wire: never reused, 0-15. */
enum bh_verp_kind {
    BH_VERP_BOUNCE = 1,      /* MAIL FROM of a customer's message */
    BH_VERP_CANARY = 2,      /* the daily message that proves a domain's state */
    BH_VERP_PROBE = 3,       /* a message through a customer's relay */
    BH_VERP_FEEDBACK = 4,    /* complaints (CFBL-Address) */
    BH_VERP_UNSUBSCRIBE = 5, /* mailto: of List-Unsubscribe */
    BH_VERP_NOTICE = 6       /* MAIL FROM of what we originate: DSNs have none, notices do */
};

struct bh_verp {
    enum bh_verp_kind kind;
    uint16_t period;
    uint32_t customer;
    uint64_t message;
    uint32_t recipient;
};

struct bh_verp_key {
    uint16_t period;
    uint8_t key[BH_VERP_KEY_BYTES];
};

/* The keys that a role holds: this period's, the next one's, old ones for the longest bounce delay. Any order. */
struct bh_verp_ring {
    const struct bh_verp_key *keys;
    size_t count;
};

enum bh_verp_verdict {
    BH_VERP_OK,
    BH_VERP_NOT_OURS,  /* not of our form: some other address */
    BH_VERP_MALFORMED, /* our form, but a version or kind that does not exist */
    BH_VERP_WRONG_KEY, /* the check does not hold, or a period that is still to come: forged */
    BH_VERP_EXPIRED    /* older than the oldest key: nothing can be said */
};

/* The period of a time. */
uint16_t bh_verp_period(bh_time_ms now);
/* Is an address of that period too old for mail that has a sender, where addresses are good for keep_s? */
bool bh_verp_is_late(uint16_t period, uint32_t keep_s, bh_time_ms now);
/* The key of a period, or NULL. */
const struct bh_verp_key *bh_verp_key_find(const struct bh_verp_ring *ring, uint16_t period);

/* Writes the local part for `address` at `domain` into ret_local (no NUL) with `key`, whose period it takes.
 * BH_E_INVALID for a kind that does not fit, BH_E_CRYPTO. */
BH_MUST bh_err bh_verp_encode(const struct bh_verp *address, bh_str domain, const struct bh_verp_key *key,
                              char ret_local[BH_VERP_CHARS]);
/* Reads a local part, any case, and its domain. *ret_address is written on BH_VERP_OK alone. */
BH_MUST enum bh_verp_verdict bh_verp_decode(bh_str local, bh_str domain, const struct bh_verp_ring *ring,
                                            struct bh_verp *ret_address);
/* "forged": for logs and replies. Static. */
const char *bh_verp_verdict_text(enum bh_verp_verdict verdict);

#endif
