/* dnssec.h: the life of the keys that sign a zone, and when they are rolled.
 *
 * One key of a zone does all (a CSK, flags 257). A roll-over is RFC 6781 4.1.4's: while it lasts, both keys are in the
 * DNSKEY set and both sign everything, so every mixture of old and new that a cache may hold validates.
 *
 *   new ──hold──▶ ready ──parent has its DS──▶ active ──a newer one is active, its own DS is gone──▶ retired ──hold +
 * TTL──▶ gone │              │                                                                                     │ │
 * └── CDS and CDNSKEY name it, `domain records` shows its DS                            └─ its DS is back: active └──
 * in the DNSKEY set and signing, nobody told yet
 *
 * Nothing is ever taken away while a DS at the parent, or one that a cache may still hold, points at it. Without a
 * newer key nothing is taken away at all. Turned off: CDS says "delete" (RFC 8078 4); the zone stays signed until no
 * server of the parent has had a DS for as long as its TTL.
 *
 * Pure: what to do next follows from the keys, what the parent was last seen to have, and the time. */
#ifndef BH_DOMAIN_DNSSEC_H
#define BH_DOMAIN_DNSSEC_H

#include "base/buf.h"
#include "proto/dns/dnssec.h"

enum bh_zone_key_state { BH_ZONE_KEY_NEW = 1, BH_ZONE_KEY_READY = 2, BH_ZONE_KEY_ACTIVE = 3, BH_ZONE_KEY_RETIRED = 4 };

/* How many of the parent's servers have a DS of a key. */
enum bh_ds_seen { BH_DS_NOWHERE = 0, BH_DS_SOMEWHERE = 1, BH_DS_EVERYWHERE = 2 };

struct bh_zone_key {
    int64_t id;
    enum bh_zone_key_state state;
    enum bh_ds_seen ds; /* when last looked at */
    unsigned char public_key[BH_DNS_P256_PUBLIC_BYTES];
    bh_str sealed; /* keyd's bytes; empty where the reader did not ask for them */
    bh_time_ms created_at, state_at;
};

struct bh_dnssec {
    bool wanted;
    bool roll;                                     /* asked for by hand */
    struct bh_zone_key keys[BH_DNS_SIGN_KEYS_MAX]; /* oldest first */
    size_t key_count;
    bh_time_ms asked_at; /* when all servers of the parent answered last; 0 = never */
    uint32_t ds_count;   /* of DS records that any of them had then, also of keys that are not ours */
    uint32_t ds_ttl_s;   /* the longest TTL of a DS seen */
    bh_time_ms gone_at;  /* since when there is no DS at all; 0 = there is one, or never asked */
};

struct bh_dnssec_times {
    int64_t hold_ms; /* until a change is in every secondary and out of every cache: refresh + longest TTL */
    int64_t roll_ms; /* age at which a key is rolled by itself; 0 = never */
};

enum bh_dnssec_do {
    BH_DNSSEC_NOTHING,
    BH_DNSSEC_MAKE_KEY,   /* a new one, `state` of the step */
    BH_DNSSEC_SET_STATE,  /* keys[key] becomes `state` */
    BH_DNSSEC_REMOVE_KEY, /* keys[key] */
    BH_DNSSEC_REMOVE_ALL  /* keys and all: the zone is unsigned from now on */
};

struct bh_dnssec_step {
    enum bh_dnssec_do what;
    size_t key;
    enum bh_zone_key_state state;
    bool ask_parent;    /* nothing more can be known without a look at the parent's DS that is newer than `fresh_at` */
    bh_time_ms next_at; /* when to ask for a step again; INT64_MAX: when something changes */
};

/* The next step. After doing it, ask again; with BH_DNSSEC_NOTHING, at next_at. `never_served`: nobody can have cached
 * anything of the zone, so the first key need not wait. */
struct bh_dnssec_step bh_dnssec_next(const struct bh_dnssec *dnssec, bool never_served,
                                     const struct bh_dnssec_times *times, bh_time_ms now);

/* The key that the parent's DS is to be of; NULL: none yet, or turned off. */
const struct bh_zone_key *bh_dnssec_parent_key(const struct bh_dnssec *dnssec);
/* What the zone is signed with. Times of validity are not filled in. */
void bh_dnssec_sign_keys(const struct bh_dnssec *dnssec, struct bh_dns_sign_options *ret_options);
/* True when DS records may stand above zones signed with these keys (the platform zone says them for its children). */
bool bh_dnssec_is_ready(const struct bh_dnssec *dnssec);

/* The rdata of a key's DS for the zone `apex` (presentation form, no final dot), and its tag. BH_E_SYNTAX,
 * BH_E_CRYPTO. */
BH_MUST bh_err bh_zone_key_ds(const struct bh_zone_key *key, bh_str apex, unsigned char ret_rdata[36]);
/* The same as text, "12345 13 2 ab…", in the arena; {NULL, 0} on an error. */
bh_str bh_zone_key_ds_text(struct bh_arena *arena, const struct bh_zone_key *key, bh_str apex);
uint16_t bh_zone_key_tag(const struct bh_zone_key *key);

/* Words for text and JSON. Static. */
const char *bh_zone_key_state_name(enum bh_zone_key_state state);
const char *bh_ds_seen_name(enum bh_ds_seen seen);

/* When signatures made now begin and end, in seconds. Times are the same for a week, so a zone that is built again asks
 * for the same bytes and its signatures are used again; the week turns at another moment for each zone, so they are not
 * all renewed at once. A signature has 21 days left when the next one is made: so long may keyd and controld be away;
 * a secondary keeps a zone for 14 days without us (SOA expire). */
struct bh_dnssec_validity {
    uint32_t inception, expiration;
    bh_time_ms renew_at;
};
struct bh_dnssec_validity bh_dnssec_validity(bh_str apex, bh_time_ms now);
/* How long signatures last from the time at which they are to be made anew. */
enum { BH_DNSSEC_SPARE_MS = 21 * 86400 * 1000 };

#endif
