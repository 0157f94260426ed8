/* key_life.h: what is to be done next with the keys of a domain. Pure: keys, wishes and the time come in, one step
 * comes out; who keeps the keys (controld) does it, stores what became of it in one transaction, and asks again. So a
 * process that is killed at any point goes on from what the store holds.
 *
 *   created ─▶ published ─▶ seen ─▶ active ─▶ retiring ─▶ withdrawn
 *                  ▲          │        │          │            ▲
 *                  └──────────┘        └──────────┴─▶ revoked ─┘
 *                   (seen missing)          (by order: p= is empty)
 *
 *  - published → seen (design, invariant 3): every authoritative server answers the record; where another key stood at
 *    the selector before, or the name was seen missing, also the old TTL and the negative TTL have passed since. Right
 *    before it begins to sign the servers are asked once more.
 *  - retiring → withdrawn: no delivery with the key is in hand, and its last signature is older than any receiver's
 *    delay. Signatures are made at departure, so what waits in the queue does not hold a key.
 *  - Two of a kind never sign at once: a switch retires the one and activates the other in one transaction.
 *  - Selectors are used again behind CNAMEs, where the customer made three once; the record of a selector never changes
 *    while its key can be needed (RFC 6376 3.1).
 *
 * A clock that jumps costs time only. Backwards: times in the future prove nothing (a look, an order), and an active
 * key of the future is exchanged. Forwards: the caller, who sees it, sets hold_until, so that no receiver's delay is
 * cut.
 *
 * RSA and Ed25519 keys of a domain are two groups with lives of their own. */
#ifndef BH_DOMAIN_KEY_LIFE_H
#define BH_DOMAIN_KEY_LIFE_H

#include "key.h"

struct bh_key_policy {
    int64_t period_ms;         /* between rotations; 0: only by hand */
    int64_t receiver_delay_ms; /* how long after a signature a receiver may ask for its key */
    int64_t ttl_ms;            /* of key records */
    int64_t negative_ttl_ms;   /* of their absence */
    unsigned rsa_slots;        /* selectors that there can be: 3 behind CNAMEs */
    unsigned ed25519_slots;
    bool by_customer;      /* the customer publishes: no spare key is asked of him */
    bool may_rotate;       /* by schedule: the domain is in a state to be sent for */
    uint64_t spread;       /* keeps domains of the same age apart; constant per domain */
    bh_time_ms hold_until; /* no key is withdrawn before: the clock has jumped; 0 */
};

enum bh_key_act {
    BH_KEY_ACT_NONE,
    BH_KEY_ACT_MAKE,     /* a key of step.kind at step.selector */
    BH_KEY_ACT_PUBLISH,  /* created → published */
    BH_KEY_ACT_LOOK,     /* ask every name server for its record; then bh_key_looked */
    BH_KEY_ACT_TRUST,    /* published → seen */
    BH_KEY_ACT_SWITCH,   /* step.key (NULL: none) → active, step.old (NULL: none) → retiring */
    BH_KEY_ACT_ASK_USE,  /* ask queued when it last signed, and whether a delivery in hand has it */
    BH_KEY_ACT_BLANK,    /* → revoked */
    BH_KEY_ACT_WITHDRAW, /* → withdrawn */
};

struct bh_key_step {
    enum bh_key_act act;
    const struct bh_key *key;
    const struct bh_key *old;
    enum bh_key_kind kind; /* of MAKE */
    bh_str selector;       /* of MAKE, in the arena */
    bh_time_ms again_at;   /* of NONE: when to ask next; INT64_MAX: when something changes */
};

/* The next step for a domain's keys that are not withdrawn. `keys` may be in any order. BH_E_NOMEM. */
BH_MUST bh_err bh_key_next_step(struct bh_arena *arena, const struct bh_key *keys, size_t count,
                                const struct bh_labels *labels, const struct bh_key_policy *policy,
                                const struct bh_key_wish *wish, bh_time_ms now, struct bh_key_step *ret_step);

/* What a look at the name servers means for a key: `proof` 1 every server answers it, -1 one answers something else or
 * nothing, 0 it could not be known. Changes state, seen_at, looked_at, reused. */
void bh_key_looked(struct bh_key *key, int proof, bh_time_ms now);

/* The key that takes over from `old` at once (an emergency): NULL where none is ready. */
const struct bh_key *bh_key_successor(const struct bh_key *keys, size_t count, const struct bh_key *old);

/* When the active key of `kind`'s group will be exchanged by schedule; INT64_MAX: never. */
bh_time_ms bh_key_rotation_at(const struct bh_key *active, const struct bh_key_policy *policy,
                              const struct bh_key_wish *wish);

static inline bool bh_key_is_ed25519(const struct bh_key *key)
{
    return key->kind == BH_KIND_ED25519;
}

#endif
