/* egress.h: the addresses that mail leaves from, in pools, and their way into and out of SPF (invariant 3).
 *
 *   added ──▶ published ──▶ seen ──▶ usable ──▶ stopping ──▶ withdrawn
 *     in our      │           │         │           │ it is no longer chosen; SPF still lists it
 *     zones       │           │         └ mail may leave from it
 *                 │           └ every authoritative server of every name concerned answers with it;
 *                 │             what was cached before is waited for (the old TTL)
 *                 └ pushed to the name servers
 *
 * A stopping address is withdrawn when the mail that it sent is old: `keep` after its last use. While a sending domain
 * has no other address that its SPF passes, it goes on using a stopping one, so replacing the only address of a pool
 * is: add the new one, remove the old one. A domain or customer that is given another pool moves in the same steps:
 * SPF lists both pools until the new one was seen everywhere, and the earlier one until its mail is old. */
#ifndef BH_DOMAIN_EGRESS_H
#define BH_DOMAIN_EGRESS_H

#include "base/str.h"

enum bh_egress_state {
    BH_EGRESS_ADDED = 0,
    BH_EGRESS_PUBLISHED = 1,
    BH_EGRESS_SEEN = 2,
    BH_EGRESS_USABLE = 3,
    BH_EGRESS_STOPPING = 4,
    BH_EGRESS_WITHDRAWN = 5
};

enum { BH_POOL_NAME_MAX = 63, BH_POOL_DEFAULT = 1 /* the id of "default", whose addresses the configuration has */ };

struct bh_egress_pool {
    int64_t id;
    bh_str name;
    bh_time_ms created_at;
};

struct bh_egress_address {
    int64_t id;
    int64_t pool;
    bh_str address; /* canonical text */
    bh_str helo;    /* lower case, A-labels */
    uint32_t weight;
    enum bh_egress_state state;
    bool configured; /* from the egress block: not to be changed by command */
    bh_time_ms created_at;
    bh_time_ms state_at;
    bh_time_ms last_used_at; /* no later use is possible; 0 = never */
    bh_str ptr_problem;      /* of the last look at PTR and the way back; empty = fine, or not looked at yet */
    bh_time_ms ptr_at;
};

/* Who sends through which pool, where it is not the default one. */
enum bh_pool_user { BH_POOL_OF_CUSTOMER = 1, BH_POOL_OF_DOMAIN = 2 };

struct bh_pool_use {
    enum bh_pool_user kind;
    int64_t id;      /* of the customer or domain */
    int64_t pool;    /* mail leaves through this one … */
    int64_t earlier; /* … except while it is not seen everywhere: then through this one; 0 = settled */
    enum bh_egress_state state;
    bh_time_ms state_at;
};

/* What decides about the next step. */
struct bh_egress_facts {
    bh_time_ms now;
    bool seen_everywhere; /* of a published one: the sweep that began after publication is complete */
    int64_t ttl_ms;       /* of the records that it changed */
    int64_t keep_ms;      /* from the last use to the withdrawal */
    bool is_needed;       /* of a stopping one: a domain has no other */
};

/* The state that follows now; the same one while it has to wait. */
enum bh_egress_state bh_egress_next(enum bh_egress_state state, bh_time_ms state_at, bh_time_ms last_used_at,
                                    const struct bh_egress_facts *facts);
/* When to ask again, absolute; INT64_MAX: only when something happens. */
bh_time_ms bh_egress_due(enum bh_egress_state state, bh_time_ms state_at, bh_time_ms last_used_at,
                         const struct bh_egress_facts *facts);

static inline bool bh_egress_in_spf(enum bh_egress_state state)
{
    return state != BH_EGRESS_WITHDRAWN;
}

/* "added", "usable" …; static; "?" for a number that is none. */
const char *bh_egress_state_name(enum bh_egress_state state);
/* 1 to 63 of a-z 0-9 - _, beginning with a letter or digit. BH_E_SYNTAX. */
BH_MUST bh_err bh_pool_name_check(bh_str name);

#endif
