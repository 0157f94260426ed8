/* behalf/dmarc.h: DMARC (RFC 9989, and RFC 7489's public-suffix mode): records, and the evaluation of a message.
 *
 * An evaluation takes what is known (the author domain, SPF's and DKIM's results) and a resolver, finds the policy
 * record and the organisational domains, and says whether an authenticated identifier is aligned. It is the same
 * function for a message that came in and for one that is planned: whoever wants to know whether mail *would* pass
 * hands over the identities that it will have. */
#ifndef BEHALF_DMARC_H
#define BEHALF_DMARC_H

#include <behalf/arena.h>
#include <behalf/lint.h>
#include <behalf/psl.h>
#include <behalf/resolver.h>
#include <behalf/spf.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- records (RFC 9989 4.7, 4.8) ---- */

enum bh_dmarc_policy { BH_DMARC_POLICY_NONE, BH_DMARC_POLICY_QUARANTINE, BH_DMARC_POLICY_REJECT };
/* "none", "quarantine", "reject"; static. */
BH_API const char *bh_dmarc_policy_name(enum bh_dmarc_policy policy);

/* A policy tag: absent, there and valid, there and not. */
enum bh_dmarc_tag_state { BH_DMARC_TAG_ABSENT, BH_DMARC_TAG_VALID, BH_DMARC_TAG_INVALID };
struct bh_dmarc_policy_tag {
    enum bh_dmarc_tag_state state;
    enum bh_dmarc_policy policy; /* BH_DMARC_POLICY_NONE unless valid */
};

enum { BH_DMARC_FO_ALL = 1, BH_DMARC_FO_ANY = 2, BH_DMARC_FO_DKIM = 4, BH_DMARC_FO_SPF = 8 }; /* 0 1 d s */

struct bh_dmarc_record {
    struct bh_dmarc_policy_tag p, sp, np;
    bool strict_dkim; /* adkim=s */
    bool strict_spf;  /* aspf=s */
    bool testing;     /* t=y */
    char psd;         /* y, n, u */
    uint8_t fo;       /* BH_DMARC_FO_ bits; BH_DMARC_FO_ALL where absent */
    uint8_t pct;      /* RFC 7489; 100 where absent */
    bh_str rua, ruf;  /* URI lists as written; empty where absent; read with bh_dmarc_uri_next */
};

/* True when the text starts with `v=DMARC1` and so counts as a DMARC record at all. */
BH_API bool bh_dmarc_is_record(bh_str text);
/* Reads such a text; unknown tags and syntax errors behind v= are passed over, as RFC 9989 4.8 wants. Views point into
 * the text. BH_E_SYNTAX if bh_dmarc_is_record says no. */
BH_API BH_MUST bh_err bh_dmarc_record_parse(bh_str text, struct bh_dmarc_record *ret_record);

struct bh_dmarc_uri {
    bh_str text;   /* without the obsolete "!10m" */
    bh_str scheme; /* "mailto" */
    bh_str host;   /* of mailto: the domain of the address; else the authority's host */
};
/* The next valid URI of a list; invalid ones are passed over. `*rest` starts as the list. False at the end. */
BH_API bool bh_dmarc_uri_next(bh_str *rest, struct bh_dmarc_uri *ret_uri);

/* All that can be said about a record text without DNS. Returns the number of BH_LINT_ERROR. */
BH_API unsigned bh_dmarc_lint(bh_str record, bh_lint_report *report, void *ctx);

/* ---- evaluation (RFC 9989 4.10, 5.3) ---- */

enum bh_dmarc_result { BH_DMARC_NONE, BH_DMARC_PASS, BH_DMARC_FAIL, BH_DMARC_TEMPERROR, BH_DMARC_PERMERROR };
/* "none", "pass", …; static. */
BH_API const char *bh_dmarc_result_name(enum bh_dmarc_result result);

enum bh_dmarc_mode {
    BH_DMARC_TREE_WALK, /* RFC 9989 */
    BH_DMARC_PSL,       /* RFC 7489: public suffixes; np, psd and t do not exist, pct does */
    BH_DMARC_BOTH       /* the tree walk decides, the other is told where it differs */
};

struct bh_dmarc_dkim {
    bool pass;     /* the signature verified */
    bh_str domain; /* d= */
};

/* The author domain of a message (RFC 9989 5.3.1), for bh_dmarc_request.header_from: `header` is a header block, or a
 * message from its first byte. Several mailboxes of one domain are one author. Empty, and *ret_why says why (static
 * text; NULL otherwise), when there is no From field, several of them, authors of several domains, or an address that
 * readers of the message may take for another one. A view of the header or in the arena; in its case, perhaps with
 * U-labels. */
BH_API bh_str bh_dmarc_author_domain(struct bh_arena *arena, bh_str header, const char **ret_why);

enum { BH_DMARC_IDENTIFIERS_MAX = 16 }; /* passing DKIM domains looked at; more are passed over */

struct bh_dmarc_request {
    bh_str header_from; /* the author domain; U-labels are converted. Empty = there is none or several: permerror */
    enum bh_spf_result spf;
    bh_str spf_domain; /* of MAIL FROM, or HELO where the sender is null (RFC 9989 4.4.2) */
    const struct bh_dmarc_dkim *dkim;
    size_t dkim_count;
    enum bh_dmarc_mode mode;
    const struct bh_suffixes *suffixes; /* needed unless mode is BH_DMARC_TREE_WALK */
    bool assume_record; /* where no record applies, act as if "v=DMARC1; p=none" stood at the organisational domain:
                         * the registrable domain by `suffixes`, else the author domain */
    uint8_t sample;     /* RFC 7489 pct: 0 to 99, drawn by the caller; the policy applies when it is below pct */
    bool trace;
};

/* How an identifier relates to the author domain. */
enum bh_dmarc_alignment { BH_DMARC_UNALIGNED, BH_DMARC_RELAXED, BH_DMARC_STRICT };

struct bh_dmarc_outcome {
    enum bh_dmarc_result result;
    enum bh_dmarc_policy policy;      /* what the domain asks for, from p, sp or np; before t and pct */
    enum bh_dmarc_policy disposition; /* what is asked for this message: none unless the result is fail */
    const char *policy_tag;           /* "p", "sp", "np"; "" without a record */
    bool testing;                     /* t=y lowered it, or would have */
    bh_str header_from;               /* as evaluated: A-labels, lower case */
    bh_str record_domain;             /* where the record stands, without "_dmarc."; empty without one */
    bh_str record_text;
    struct bh_dmarc_record record;
    bh_str org_domain; /* of the author domain */
    enum bh_dmarc_alignment spf_alignment;
    enum bh_dmarc_alignment dkim_alignment; /* the best of all signatures */
    bh_str dkim_domain;                     /* the domain that gave it; empty if none is aligned */
    unsigned queries;
    bh_str reason;                      /* one sentence */
    bh_str trace;                       /* lines, each ended by LF */
    const struct bh_dmarc_outcome *psl; /* BH_DMARC_BOTH: the other mode's outcome */
    bh_str differences;                 /* BH_DMARC_BOTH: lines; empty when both say the same */
};

typedef void bh_dmarc_done(void *ctx, const struct bh_dmarc_outcome *outcome);
struct bh_dmarc_check;

/* Starts an evaluation; the request is copied, `suffixes` must outlive it. Same rules as bh_spf_check: `done` comes
 * exactly once, perhaps before this returns. At most 8 questions for a name's tree, one for its existence.
 * BH_E_NOMEM; BH_E_INVALID for a mode without the suffixes that it needs. */
BH_API BH_MUST bh_err bh_dmarc_check(struct bh_resolver *resolver, const struct bh_dmarc_request *request,
                                     bh_dmarc_done *done, void *ctx, struct bh_dmarc_check **ret_check);
BH_API void bh_dmarc_check_cancel(struct bh_dmarc_check *check);
/* The caller's time limit is over: temperror, unless what is known decides. `done` is called before return. */
BH_API void bh_dmarc_check_expire(struct bh_dmarc_check *check);

/* ---- external report destinations (RFC 9990, "Verifying External Destinations") ---- */

enum bh_dmarc_destination {
    BH_DMARC_DESTINATION_OWN,        /* same organisational domain: nothing to prove */
    BH_DMARC_DESTINATION_AUTHORIZED, /* the other side's record is there */
    BH_DMARC_DESTINATION_REFUSED,    /* it is not, or it leads elsewhere: send nothing */
    BH_DMARC_DESTINATION_TEMPFAIL
};

struct bh_dmarc_destination_outcome {
    enum bh_dmarc_destination destination;
    bh_str host;         /* of the URI */
    bh_str question;     /* the name that proves it, "example.com._report._dmarc.example.net" */
    bh_str override_rua; /* the other side's own lists, empty where it has none; same host, checked */
    bh_str override_ruf;
    bh_str reason;
};

typedef void bh_dmarc_destination_done(void *ctx, const struct bh_dmarc_destination_outcome *outcome);
struct bh_dmarc_destination_check;

/* May reports about `policy_domain` (where the record stands) go to `uri`? Organisational domains are found by the
 * tree walk, or by `suffixes` when given. Same rules as above; cancel with bh_dmarc_destination_cancel. */
BH_API BH_MUST bh_err bh_dmarc_destination_check(struct bh_resolver *resolver, bh_str policy_domain, bh_str uri,
                                                 const struct bh_suffixes *suffixes, bh_dmarc_destination_done *done,
                                                 void *ctx, struct bh_dmarc_destination_check **ret_check);
BH_API void bh_dmarc_destination_cancel(struct bh_dmarc_destination_check *check);

#ifdef __cplusplus
}
#endif
#endif
