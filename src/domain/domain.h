/* domain.h: the nouns of the domain system as values: customer, sending domain, token, key, credential.
 *
 * Plain data without a store and without DNS: what is read from control.db is put into these, what approaches, zones
 * and checks need is read from them. Views (bh_str) point into whatever arena the reader used. Names are presentation
 * form, lower case, A-labels, without the final dot. */
#ifndef BH_DOMAIN_DOMAIN_H
#define BH_DOMAIN_DOMAIN_H

#include "base/buf.h"
#include "base/random.h"

/* How a domain was put in our hands. The numbers are stored; the words are those of the CLI and the API. */
enum bh_approach {
    BH_APPROACH_DELEGATION = 1,
    BH_APPROACH_CNAME = 2,
    BH_APPROACH_MANUAL = 3,
    BH_APPROACH_RELAY = 4,       /* through the customer's SMTP relay */
    BH_APPROACH_CREDENTIALS = 5, /* through a user's mailbox, with that user's credentials */
    BH_APPROACH_REPORTS = 6,     /* no sending: DMARC reports only */
    BH_APPROACH_PLATFORM = 7     /* the operator's own platform domain; made by init, never by `domain add` */
};

enum bh_domain_state {
    BH_DOMAIN_PENDING = 0,  /* nothing seen yet */
    BH_DOMAIN_PARTIAL = 1,  /* some of the required records are right */
    BH_DOMAIN_VERIFIED = 2, /* all required records are right */
    BH_DOMAIN_DEGRADED = 3, /* was verified, something is lost; mail goes on while one mechanism aligns */
    BH_DOMAIN_SUSPENDED = 4 /* no mechanism has aligned for the grace period */
};

/* Which mechanisms carry DMARC for a domain; a set. */
enum bh_mechanism { BH_MECH_NONE = 0, BH_MECH_SPF = 1, BH_MECH_DKIM = 2, BH_MECH_BOTH = 3 };

/* Where bounces of a domain under manual set-up go: to our own bounce domain (SPF passes unaligned), or to the
 * customer's domain, whose SPF record then includes ours (SPF aligns, but bounces reach the customer's MX). */
enum bh_bounce_mode { BH_BOUNCES_OURS = 0, BH_BOUNCES_CUSTOMER = 1 };

enum {
    BH_TOKEN_CHARS = 26, /* 128 random bits in base32 */
    BH_SHARD_CHARS = 2,
    BH_CUSTOMER_NAME_MAX = 63,
    BH_SELECTOR_MAX = 63,
    BH_KEYS_PER_DOMAIN = 16,
    BH_FROM_NAMES_MAX = 64
};

/* `T`: the unguessable part of every name that a customer points at (invariant 7). `id` alone stands for it where it
 * is a local part; as a name it is `id.shard`. Never given to another domain. */
struct bh_token {
    char id[BH_TOKEN_CHARS + 1];
    char shard[BH_SHARD_CHARS + 1];
};

struct bh_customer {
    int64_t id;
    bh_str name;
    bh_time_ms created_at;
};

/* The numbers are those of keyd's answers. */
enum bh_key_kind { BH_KIND_RSA2048 = 1, BH_KIND_ED25519 = 2, BH_KIND_RSA_OTHER = 3 /* an imported one */ };

/* created → published → seen → active → retiring → withdrawn; revoked from any of them. See key_life.h. */
enum bh_key_state {
    BH_KEY_CREATED = 0,   /* stored; no record of it yet */
    BH_KEY_PUBLISHED = 1, /* its record is in our zones, or asked of the customer */
    BH_KEY_ACTIVE = 2,    /* at most one of a kind per domain signs */
    BH_KEY_RETIRING = 3,  /* still published for mail on its way */
    BH_KEY_WITHDRAWN = 4, /* nothing published; the private half is gone */
    BH_KEY_REVOKED = 5,   /* published with an empty p= */
    BH_KEY_SEEN = 6       /* every name server answers it and no cache can hold anything older: ready to sign */
};

struct bh_key {
    int64_t id;
    bh_str selector;
    enum bh_key_kind kind;
    enum bh_key_state state;
    bool imported;
    bh_str public_b64; /* the p= value */
    bh_str sealed;     /* keyd's bytes; empty where the reader did not ask for them */
    bh_time_ms created_at;
    bh_time_ms state_at;
    bool reused;          /* another key stood at this selector before: caches may hold its record, or its absence */
    bh_time_ms seen_at;   /* since when every name server has answered it, of those looks that knew; 0 */
    bh_time_ms looked_at; /* when that was last seen; 0 */
    bh_time_ms asked_at;  /* when name servers, or queued, were last asked about it; 0 */
    bh_time_ms signed_at; /* latest signature that is known of; 0 */
    bh_time_ms unused_at; /* when no delivery with it was in hand, as queued last said; 0 */
    bh_time_ms revoke_at; /* when its record loses the p=; 0: not ordered */
};

/* What is wished for the keys of a domain beyond the configuration. */
struct bh_key_wish {
    bool ed25519;        /* a second signature */
    int64_t period_ms;   /* between rotations; -1: as configured, 0: only by hand */
    bh_time_ms asked_at; /* when an exchange was ordered by hand: of every key that began to sign before; 0 */
};

/* Labels that an operator or customer may choose; defaults bounce, link, img, bh. */
struct bh_labels {
    bh_str bounce;
    bh_str link;
    bh_str img;
    bh_str selector; /* prefix of selectors: bh1, bh2, bh3 */
};

struct bh_domain {
    int64_t id;
    int64_t customer_id;
    bh_str customer;
    bh_str name;
    enum bh_approach approach;
    struct bh_token token;
    struct bh_labels labels;
    enum bh_bounce_mode bounces;
    enum bh_domain_state state;
    enum bh_mechanism aligned; /* of the last check that knew */
    bool can_send;
    bh_str zone_apex;    /* of the zone where the customer's record with our token stands; empty = not known */
    bh_str dmarc_policy; /* p= of the record that we publish or propose: none, quarantine, reject */
    bh_time_ms created_at;
    bh_time_ms state_at;   /* when the state was entered */
    bh_time_ms checked_at; /* 0 = never */
    bh_time_ms lost_at;    /* when the last mechanism was lost; 0 = one aligns */
    uint32_t losses;       /* checks in a row that missed something we had and that are not believed yet */
    bh_time_ms losing_at;  /* the first of them; 0 = none */
};

/* A DMARC record that was seen at _dmarc.<at>. */
struct bh_seen_policy {
    bh_str at;
    bh_str record;
};

/* What a probe through a relay or mailbox proved; the row that the state machine reads for approaches whose alignment
 * no DNS record shows. */
struct bh_probe_proof {
    enum bh_mechanism aligned; /* BH_MECH_NONE: not proven, or disproven */
    bh_time_ms at;             /* 0: there was no probe yet */
};

struct bh_dnssec;
/* A domain with all that approaches, zones and checks look at. */
struct bh_domain_view {
    struct bh_domain domain;
    const struct bh_dnssec *dnssec; /* keys of its zone; NULL: none, or not read */
    const struct bh_key *keys;
    size_t key_count;
    const bh_str *from_names; /* From domains below the domain with an own _dmarc in a delegated zone */
    size_t from_name_count;
    const struct bh_seen_policy *policies; /* DMARC records that the last check saw */
    size_t policy_count;
    struct bh_probe_proof probe;
    bool spf_known;    /* the owner's own SPF record was evaluated: */
    bh_str spf_passes; /* it passes these addresses of ours, separated by blanks */
};

/* Words of the enums, for text, JSON and the command line. Static; "?" for a number that is none. */
const char *bh_approach_name(enum bh_approach approach);
const char *bh_domain_state_name(enum bh_domain_state state);
const char *bh_key_state_name(enum bh_key_state state);
const char *bh_key_kind_name(enum bh_key_kind kind); /* as k= has it: "rsa", "ed25519" */
const char *bh_mechanism_name(enum bh_mechanism set);

/* A new token: 128 bits of `random` and a shard that stays for ever. */
struct bh_token bh_token_new(struct bh_random *random);
/* True for 26 and 2 characters of base32. */
bool bh_token_valid(bh_str id, bh_str shard);

/* `customer add NAME`: 1-63 of a-z 0-9 - _, beginning with a letter or digit. BH_E_SYNTAX. */
BH_MUST bh_err bh_customer_name_check(bh_str name);
/* A selector: labels of letters, digits and hyphens joined by dots (RFC 6376 3.1). BH_E_SYNTAX, BH_E_LIMIT. */
BH_MUST bh_err bh_selector_check(bh_str selector);
/* One label of letters, digits, hyphens, not at its ends. BH_E_SYNTAX. */
BH_MUST bh_err bh_label_check(bh_str label);

/* U-labels to A-labels (IDNA 2008), lower case, in the arena; whether it is a host name is not looked at. BH_E_SYNTAX.
 */
BH_MUST bh_err bh_domain_a_labels(struct bh_arena *arena, bh_str name, bh_str *ret_name);
/* A domain name as a person typed it: blanks and the final dot dropped, U-labels turned into A-labels (IDNA 2008),
 * lower case. BH_E_SYNTAX: not a host name; BH_E_LIMIT: longer than leaves room for our prefixes; BH_E_DENIED: a
 * public suffix, where nobody may send. The result is in the arena. */
BH_MUST bh_err bh_domain_name_normalise(struct bh_arena *arena, bh_str typed, bh_str *ret_name);
/* The registrable domain by the public suffix list; `name` itself where there is none above. A view of `name`. */
bh_str bh_domain_registrable(bh_str name);
/* Without the first label; empty at the top. */
bh_str bh_domain_parent(bh_str name);

/* What to type into the host field of a provider whose zone is `apex`: "@" for the apex itself, otherwise `name`
 * without it; the whole name where it is not below. A view of `name`. */
bh_str bh_host_as_typed(bh_str name, bh_str apex);

#endif
