/* approach.h: what differs between the ways in which a domain can be put in our hands. One file per approach in
 * approach/, one line in the table of approach.c; nothing else in the program asks which approach a domain has. */
#ifndef BH_DOMAIN_APPROACH_H
#define BH_DOMAIN_APPROACH_H

#include "platform.h"

enum bh_purpose {
    BH_PURPOSE_DELEGATION = 1,
    BH_PURPOSE_BOUNCE = 2, /* bounce domain: SPF and MX */
    BH_PURPOSE_DKIM = 3,
    BH_PURPOSE_SPF = 4,
    BH_PURPOSE_LINK = 5,
    BH_PURPOSE_IMAGE = 6,
    BH_PURPOSE_DMARC = 7,
    BH_PURPOSE_DS = 8
};

/* How an answer is compared with the value. */
enum bh_match {
    BH_MATCH_EXACT = 1, /* one of the set equals the value: names without case, TXT as joined text */
    BH_MATCH_DKIM = 2,  /* the p= of one key record equals ours */
    BH_MATCH_SPF = 3,   /* one SPF record that passes our addresses */
    BH_MATCH_DMARC = 4, /* one valid DMARC record; its content is the owner's choice */
    BH_MATCH_RUA = 5    /* one valid DMARC record whose rua= has our address among others */
};

/* One record that the customer is asked to publish. */
struct bh_required_record {
    enum bh_purpose purpose;
    enum bh_match match;
    uint16_t type;
    bh_str name;  /* full owner name */
    bh_str value; /* as in a master file; TXT without quotes */
    uint32_t ttl_s;
    bool required;               /* false: recommended */
    enum bh_mechanism mechanism; /* what aligns when this one is right */
    const char *why;             /* one sentence for the customer; static */
};

/* A list in an arena with a sticky error. */
struct bh_record_list {
    struct bh_arena *arena;
    struct bh_required_record *records;
    size_t count, cap;
    bh_err err;
};

/* Under what names a message of a domain leaves. */
struct bh_planned_identity {
    bh_str mail_from_domain; /* the bounce address's domain */
    bool mail_from_is_ours;  /* a forged bounce is recognised: the address carries our MAC and comes back to us */
    bh_str dkim_domain;      /* d= */
};

struct bh_approach_ops {
    enum bh_approach id;
    const char *name;
    const char *summary;  /* what the customer does, one line */
    const char *asks;     /* what it costs the customer, now and later, one sentence */
    const char *costs_us; /* what it costs the operator, one sentence */
    /* Appends what the customer has to publish. */
    void (*records)(const struct bh_platform *platform, const struct bh_domain_view *view, struct bh_record_list *list);
    /* Fills the zone that the customer delegated to us; NULL where there is none. */
    void (*zone)(const struct bh_platform *platform, const struct bh_domain_view *view, struct bh_zone *zone);
    /* Appends what our own platform zone `kind` ("dkim", "bounce" …) has to hold for the domain. NULL: nothing. */
    void (*targets)(const struct bh_platform *platform, const struct bh_domain_view *view, bh_str kind,
                    struct bh_zone *zone);
    void (*identity)(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_domain_view *view,
                     struct bh_planned_identity *ret_identity);
    /* The name whose zone the customer edits, where its apex is asked for: the domain, or its parent. */
    bh_str (*edited_at)(const struct bh_domain *domain);
    /* What the customer gives up by this choice, one sentence; NULL = nothing. May be NULL. Static. */
    const char *(*drawback)(const struct bh_domain *domain);
    /* Where the TXT record of a key stands, if not at <selector>._domainkey.<domain>. NULL: there. */
    bh_str (*key_owner)(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_domain *domain,
                        bh_str selector);
    unsigned rsa_slots, ed25519_slots; /* selectors that there can be */
    bool keys_by_customer;             /* the customer publishes each key: an exchange asks him to act */
    unsigned keys_at_start;            /* DKIM keys made when the domain is added */
    bool sends;                        /* mail leaves in the domain's name */
    bool proven_by_probe;              /* alignment is what a probe proved, not what DNS shows */
    bool open_to_customers;            /* `domain add --approach` may name it */
};

extern const struct bh_approach_ops bh_approach_delegation;
extern const struct bh_approach_ops bh_approach_cname;
extern const struct bh_approach_ops bh_approach_manual;
extern const struct bh_approach_ops bh_approach_relay;
extern const struct bh_approach_ops bh_approach_credentials;
extern const struct bh_approach_ops bh_approach_reports;
extern const struct bh_approach_ops bh_approach_platform;

/* By number or by word; NULL for none. */
const struct bh_approach_ops *bh_approach_ops(enum bh_approach approach);
const struct bh_approach_ops *bh_approach_by_name(bh_str name);
/* The table for help texts: index from 0; NULL ends. */
const struct bh_approach_ops *bh_approach_at(size_t index);

/* The records of a view's approach. BH_E_INVALID: an approach that this build does not have. */
BH_MUST bh_err bh_required_records(struct bh_arena *arena, const struct bh_platform *platform,
                                   const struct bh_domain_view *view, struct bh_record_list *ret_list);
/* The identity of a view's approach. */
BH_MUST bh_err bh_planned_identity(struct bh_arena *arena, const struct bh_platform *platform,
                                   const struct bh_domain_view *view, struct bh_planned_identity *ret_identity);

/* Words for JSON and tables. */
const char *bh_purpose_name(enum bh_purpose purpose);

/* ---- for the files in approach/ ---- */

/* Appends a copy of `record`; its strings must live as long as the arena. An empty value p marks the list failed. */
void bh_record_list_add(struct bh_record_list *list, struct bh_required_record record);
/* The key that signs now, or NULL. */
const struct bh_key *bh_view_active_key(const struct bh_domain_view *view);
/* True for the states in which a key's record stands in DNS. */
bool bh_key_is_published(const struct bh_key *key);
/* "v=DKIM1; k=rsa; p=…", with an empty p= for a revoked key. */
bh_str bh_key_record(struct bh_arena *arena, const struct bh_key *key);
/* "v=DMARC1; p=none; rua=mailto:T@rua.…". */
bh_str bh_dmarc_record(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_domain *domain);
/* A DMARC record with `rua` (a mailto: URI) among the destinations of its reports, everything else as it was; in the
 * arena. */
bh_str bh_dmarc_with_rua(struct bh_arena *arena, bh_str record, bh_str rua);
/* True when it is among them already, whatever its case and size limit. */
bool bh_dmarc_has_rua(bh_str record, bh_str rua);
/* The record to publish at _dmarc.<at>: what was seen there with our rua added, else a new one. */
bh_str bh_dmarc_proposal(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_domain_view *view,
                         bh_str at);
/* The optional record that proposes DMARC at the organisational domain. */
void bh_propose_dmarc(struct bh_record_list *list, const struct bh_platform *platform,
                      const struct bh_domain_view *view);
/* The SPF record of our egress addresses at `owner`. */
void bh_zone_add_spf(struct bh_zone *zone, const struct bh_platform *platform, bh_str owner);
/* MX to our port 25 and SPF at `owner`: what a bounce domain is made of. */
void bh_zone_add_bounce(struct bh_zone *zone, const struct bh_platform *platform, bh_str owner);
/* Addresses of the web host, and CAA, at `owner`. */
void bh_zone_add_web(struct bh_zone *zone, const struct bh_platform *platform, bh_str owner);

#endif
