/* check.h: from DNS answers to a verdict on a domain: pure evaluation, whoever asked the questions.
 *
 * There are two kinds of questions. *Records*: each record that the customer was asked for, put to the authoritative
 * servers directly, so that an early look plants no negative answer in anybody's cache. *Proofs*: what a receiver will
 * look up when it judges a message of this domain (the key at the active selector, SPF at the bounce domain), put to
 * the resolver once the records are there. Records say what the customer did; proofs say what aligns. Neither asks
 * which approach the domain has.
 *
 * Unknown (time-outs, SERVFAIL) is not missing: it never makes a state worse. */
#ifndef BH_DOMAIN_CHECK_H
#define BH_DOMAIN_CHECK_H

#include "approach.h"

/* What is known about one name and type. */
struct bh_seen {
    bh_str name;
    uint16_t type;
    bool direct;
    enum bh_dns_status status; /* of all servers together: found anywhere is found, unless some disagree */
    const bh_str *rdatas;      /* wire form */
    size_t count;
    unsigned servers;  /* authoritative servers asked */
    unsigned agreeing; /* of those, how many gave this answer */
    uint32_t ttl_s;    /* the longest that any of them gave */
    bh_str zone;       /* apex of the zone whose servers were asked; empty = not known */
    bh_str why;        /* for people, when nothing is known */
    bh_str odd;        /* "ns1.example 192.0.2.1": a server that answered otherwise, or not at all; empty = none */
    bh_str odd_why;    /* what it said; empty = it answered */
};

/* The answer to a question, or NULL. */
const struct bh_seen *bh_check_seen(const struct bh_seen *seen, size_t count, bh_str name, uint16_t type, bool direct);

enum bh_record_status { BH_RECORD_UNKNOWN, BH_RECORD_MISSING, BH_RECORD_WRONG, BH_RECORD_OK };
const char *bh_record_status_name(enum bh_record_status status); /* "verified" for OK, as the API has it: see .c */

/* What is wrong with a record, and the sentence that a customer can act on. */
struct bh_problem {
    const char *code; /* "missing", "wrong_target", "doubled_domain" …; NULL = none */
    bh_str detail;
    bh_str fix;
};

struct bh_record_check {
    enum bh_record_status status;
    bh_str found; /* what was there, several joined by ", "; empty = nothing */
    struct bh_problem problem;
    unsigned servers, agreeing;
};

enum { BH_PROOF_DKIM, BH_PROOF_SPF, BH_PROOF_COUNT };

/* A question that somebody has to ask before bh_check_evaluate. */
struct bh_check_question {
    bh_str name;
    uint16_t type;
    bool direct;
};

/* The questions of a round, in the arena. Round 0: all records, the DMARC records from the domain up to its
 * organisational domain, and the SOA that tells the zone's apex. Round 1, with the answers of round 0 in `seen`: the
 * proofs (where the records are there) and the names where a common mistake would have put a missing record. */
BH_MUST bh_err bh_check_questions(struct bh_arena *arena, const struct bh_platform *platform,
                                  const struct bh_domain_view *view, unsigned round, const struct bh_seen *seen,
                                  size_t seen_count, struct bh_check_question **ret_questions, size_t *ret_count);
enum { BH_CHECK_ROUNDS = 2 };

struct bh_check_result {
    struct bh_record_list records;
    struct bh_record_check *checks; /* one per record */
    struct bh_record_check proofs[BH_PROOF_COUNT];
    enum bh_mechanism aligned; /* proven now */
    enum bh_mechanism known;   /* mechanisms whose proof is not unknown */
    bool all_required;         /* every required record is right */
    bool some_required;        /* at least one is */
    bool delegated_to_us;      /* the required delegation is there, whatever else is missing */
    bool some_unknown;         /* a required record could not be asked for */
    bh_str zone_apex;          /* empty = not known */
    struct bh_seen_policy *policies;
    size_t policy_count;
    bool no_org_policy;     /* no DMARC record at the organisational domain */
    bool loss_is_unanimous; /* what is missing, every authoritative server says is not there, or is something else */
    struct bh_problem *problems; /* of the domain as a whole */
    size_t problem_count;
    bool sends;        /* of the approach: false where mail never leaves in the domain's name */
    bool canary_fails; /* set by the caller: as many in a row as the operator bears */
};

BH_MUST bh_err bh_check_evaluate(struct bh_arena *arena, const struct bh_platform *platform,
                                 const struct bh_domain_view *view, const struct bh_seen *seen, size_t seen_count,
                                 struct bh_check_result *ret_result);

/* ---- the state machine ---- */

/* How patient the state machine is; the operator's configuration. */
struct bh_check_policy {
    int64_t grace_ms;          /* how long mail is held when nothing aligns any more */
    int64_t loss_ms;           /* a loss is believed when three checks saw it and this lies between first and last */
    int64_t unanimous_loss_ms; /* the same with two checks, where every authoritative server says so */
};

struct bh_domain_standing {
    enum bh_domain_state state;
    enum bh_mechanism aligned;
    bool can_send; /* mail departs; implies that new mail is taken */
    bool accepts;  /* new mail is taken, and held while can_send is false */
    bh_time_ms state_at;
    bh_time_ms lost_at;   /* since when nothing aligns; 0 */
    uint32_t losses;      /* seen and not believed yet */
    bh_time_ms losing_at; /* the first of them */
};

/* What `result` makes of a domain. */
struct bh_domain_standing bh_domain_next(const struct bh_domain *domain, const struct bh_check_result *result,
                                         bh_time_ms now, const struct bh_check_policy *policy);

/* When to look again. `tries` counts checks since the domain was added or changed, or since a person asked for one;
 * `watched`: somebody is waiting. `spread` is a random number that keeps a million domains apart. */
int64_t bh_check_again_in(const struct bh_domain_standing *standing, const struct bh_check_policy *policy,
                          unsigned tries, bool watched, uint64_t spread);

/* True when TXT `record` is an SPF record that passes mail of all our addresses: it has the include, or ip4/ip6 terms
 * that hold them. `ret_missing`: the first address that is not covered, where the answer is no. */
bool bh_spf_covers(const struct bh_platform *platform, bh_str record, bh_str include, bh_str *ret_missing);

#endif
