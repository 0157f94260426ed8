/* dmarc_facts.h: what DNS said, for the parts of DMARC that are pure functions of it.
 *
 * An evaluation asks for facts by name and kind. A fact that is not known yet is remembered as wanted and the
 * evaluation gives up; its driver asks the resolver and evaluates again from the start, with one fact more. That is a
 * few string comparisons each time, and it keeps the rules of the tree walk readable as the sequence that they are. */
#ifndef BH_AUTH_DMARC_FACTS_H
#define BH_AUTH_DMARC_FACTS_H

#include "base/str.h"
#include <behalf/dmarc.h>

enum bh_dmarc_fact_kind {
    BH_DMARC_FACT_RECORD, /* the DMARC record at `name` (asked at _dmarc.name) */
    BH_DMARC_FACT_EXISTS, /* does `name` exist? (RFC 8020) */
    BH_DMARC_FACT_REPORT  /* TXT at `name` itself: <policy-domain>._report._dmarc.<host> */
};

struct bh_dmarc_fact {
    struct bh_dmarc_fact *next;
    enum bh_dmarc_fact_kind kind;
    bh_str name;
    bool is_failed; /* nothing is known: a temporary error */
    bool is_there;  /* exactly one record (of a report: at least one); or the name exists */
    size_t count;   /* DMARC records at the name */
    bh_str text;
    struct bh_dmarc_record record;
    bh_str why; /* of a failure */
};

struct bh_dmarc_facts {
    struct bh_arena *arena;
    struct bh_resolver *resolver;
    struct bh_dmarc_fact *first;
    struct bh_dmarc_fact *wanted; /* not in the list yet */
    struct bh_dns_query *query;
    bool is_waiting;
    bool in_loop;
    bool is_expired; /* everything not known counts as failed */
    unsigned queries;
    /* One round of evaluation: true when it is over. `ctx` may be freed by `finish` alone. */
    bool (*evaluate)(void *ctx);
    void (*finish)(void *ctx);
    void *ctx;
};

/* A domain as the facts have it: lower case, A-labels, no final dot, in the arena. Empty if DNS cannot hold it. */
bh_str bh_dmarc_name(struct bh_arena *arena, bh_str domain);
/* The fact, or NULL: it is wanted now, give up for this round. `name` is lower case. */
const struct bh_dmarc_fact *bh_dmarc_fact(struct bh_dmarc_facts *facts, enum bh_dmarc_fact_kind kind, bh_str name);
/* Puts a record into the facts as if DNS had it. False when out of memory. */
bool bh_dmarc_assume(struct bh_dmarc_facts *facts, bh_str name, const char *record);
/* Runs rounds until one is over or a question waits. False when it is over; `ctx` is gone then. */
bool bh_dmarc_facts_run(struct bh_dmarc_facts *facts);
/* Stops asking: rounds go on with what is known. */
void bh_dmarc_facts_expire(struct bh_dmarc_facts *facts);
void bh_dmarc_facts_cancel(struct bh_dmarc_facts *facts);

/* The result of one tree walk (RFC 9989 4.10, 4.10.2). */
struct bh_dmarc_walk {
    bh_str org_domain;
    const struct bh_dmarc_fact *org; /* the record at it; NULL if it has none */
    const struct bh_dmarc_fact *psd; /* the record with psd=y that ended the walk above it; NULL if none did */
    bh_str failed;                   /* the lowest name that gave no answer; empty if all did */
    bool is_uncertain;               /* that answer could have changed the outcome */
};

/* False: a fact is wanted. */
bool bh_dmarc_walk(struct bh_dmarc_facts *facts, bh_str start, struct bh_dmarc_walk *ret_walk);

#endif
