/* behalf/spf.h: Sender Policy Framework (RFC 7208): checking a client, and reading records on their own.
 *
 * A check is a state machine over a resolver: it asks, waits, and calls back once with its verdict. It holds one
 * small object and the text of the records that it is in; thousands may run side by side. Nothing is logged and no
 * clock is read: the time for %{t} is passed in, and a caller that wants a time limit (RFC 7208 4.6.4 asks for at
 * least 20 seconds) keeps the timer and calls bh_spf_check_expire. */
#ifndef BEHALF_SPF_H
#define BEHALF_SPF_H

#include <behalf/ip.h>
#include <behalf/lint.h>
#include <behalf/resolver.h>

#ifdef __cplusplus
extern "C" {
#endif

/* RFC 7208 2.6 */
enum bh_spf_result {
    BH_SPF_NONE,
    BH_SPF_NEUTRAL,
    BH_SPF_PASS,
    BH_SPF_FAIL,
    BH_SPF_SOFTFAIL,
    BH_SPF_TEMPERROR,
    BH_SPF_PERMERROR
};

/* "pass", "softfail", …; static. */
BH_API const char *bh_spf_result_name(enum bh_spf_result result);
/* The reverse, any case. BH_E_SYNTAX. */
BH_API BH_MUST bh_err bh_spf_result_parse(bh_str name, enum bh_spf_result *ret_result);

/* ---- the check ---- */

struct bh_spf_request {
    struct bh_ip ip;            /* n = 0: result none, "no address given"; ::ffff:a.b.c.d counts as IPv4 (RFC 7208 5) */
    bh_str helo;                /* as the client said it */
    bh_str mail_from;           /* without <>; empty = null sender: postmaster@HELO is checked (RFC 7208 2.4) */
    bh_str receiver;            /* for %{r}; empty = "unknown" */
    bh_str default_explanation; /* for fail without exp=; may be empty */
    bh_time_ms now;             /* for %{t} */
    bool trace;                 /* fill outcome.trace */
    unsigned max_terms;         /* terms that look up; 0 = 10 (RFC 7208 4.6.4) */
    unsigned max_voids;         /* lookups without answer; 0 = 2 */
};

struct bh_spf_outcome {
    enum bh_spf_result result;
    bh_str domain;      /* the domain that was checked, A-labels; what DMARC aligns with */
    bool is_helo;       /* it came from HELO (null sender) */
    bh_str explanation; /* for fail: the domain's, else the caller's default (RFC 7208 6.2) */
    bh_str reason;      /* one sentence: which record, which term, which lookup decided */
    bh_str mechanism;   /* the term that decided, as written; empty if none did */
    bh_str trace;       /* lines, each ended by LF, one per step */
    unsigned terms;     /* lookup terms used */
    unsigned voids;     /* void lookups met */
    unsigned queries;   /* questions to the resolver */
};

/* `outcome` and all views in it live until the function returns. */
typedef void bh_spf_done(void *ctx, const struct bh_spf_outcome *outcome);

struct bh_spf_check;

/* Starts a check; the request is copied. On BH_OK `done` is called exactly once unless the check is cancelled: perhaps
 * before this returns, *ret_check is NULL then; otherwise it stays valid until `done` was called. BH_E_NOMEM. */
BH_API BH_MUST bh_err bh_spf_check(struct bh_resolver *resolver, const struct bh_spf_request *request,
                                   bh_spf_done *done, void *ctx, struct bh_spf_check **ret_check);
/* Ends a running check without calling back. NULL is fine. */
BH_API void bh_spf_check_cancel(struct bh_spf_check *check);
/* The caller's time limit is over: ends the check with temperror (RFC 7208 4.6.4); `done` is called before return. */
BH_API void bh_spf_check_expire(struct bh_spf_check *check);

/* ---- records ---- */

/* True for a TXT text that is an SPF record: "v=spf1", then the end or a blank (RFC 7208 4.5). */
BH_API bool bh_spf_is_record(bh_str text);

enum bh_spf_kind {
    BH_SPF_ALL,
    BH_SPF_INCLUDE,
    BH_SPF_A,
    BH_SPF_MX,
    BH_SPF_PTR,
    BH_SPF_IP4,
    BH_SPF_IP6,
    BH_SPF_EXISTS,
    BH_SPF_REDIRECT,
    BH_SPF_EXP,
    BH_SPF_OTHER_MODIFIER
};

struct bh_spf_term {
    enum bh_spf_kind kind;
    char qualifier;       /* + - ~ ?; '+' where none is written; modifiers have none (0) */
    bh_str text;          /* the whole term as written */
    bh_str name;          /* "include", "ip4", or the modifier's name */
    bh_str target;        /* domain-spec or modifier value as written; p = NULL where there is none */
    struct bh_ip network; /* ip4, ip6 */
    uint8_t ip4_bits;     /* prefix lengths of a, mx, ip4; 32 where none is written */
    uint8_t ip6_bits;     /* of a, mx, ip6; 128 */
    uint32_t macros;      /* bit (1 << (letter - 'a')) for each macro letter in target */
    unsigned number;      /* 1 for the first term behind v=spf1 */
};

struct bh_spf_terms {
    bh_str rest;
    unsigned number;
};

/* Terms of a record text that bh_spf_is_record accepts. */
BH_API struct bh_spf_terms bh_spf_terms_of(bh_str record);
/* The next term; views point into the record. BH_MORE, BH_DONE, BH_E_SYNTAX with *ret_problem (static text) and
 * ret_term->text = the term that is wrong; further calls go on behind it. */
BH_API bh_err bh_spf_terms_next(struct bh_spf_terms *terms, struct bh_spf_term *ret_term, const char **ret_problem);

/* True for the terms that count towards the limit of ten (RFC 7208 4.6.4). */
BH_API bool bh_spf_kind_looks_up(enum bh_spf_kind kind);

/* Everything that can be said about a record text without DNS. Returns the number of BH_LINT_ERROR. */
BH_API unsigned bh_spf_lint(bh_str record, bh_lint_report *report, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
