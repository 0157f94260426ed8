/* identity.h: under which names a message leaves, and whether it may: invariant 4 ("aligned or refused") as one
 * function, asked at submission and again before each departure.
 *
 * Input are facts that somebody else gathered: the customer's sending domains with what the last check proved about
 * each, and the DMARC records that it saw. The plan (MAIL FROM domain, DKIM d=) is put to libbehalf's own DMARC
 * evaluator (behalf/dmarc.h), by the tree walk of RFC 9989 and by the public suffixes of RFC 7489, since receivers do
 * either: both must pass. Where no record exists it evaluates as if "v=DMARC1; p=none" stood at the organisational
 * domain: alignment is required, the record is not.
 *
 * Which From domains a sending domain opens: itself and what is below; above it up to the apex of the zone in which
 * the customer published a record with our token, which proves control of that zone; never above that apex, never a
 * public suffix. */
#ifndef BH_MAIL_IDENTITY_H
#define BH_MAIL_IDENTITY_H

#include "domain/approach.h"
#include "domain/check.h"
#include <behalf/dmarc.h>

/* A sending domain as this decision needs it. Names are lower case, A-labels. */
struct bh_send_domain {
    int64_t id;
    bh_str name;
    bh_str zone_apex;         /* empty = not known: nothing above `name` is open */
    bool accepts;             /* new mail is taken (bh_domain_standing) */
    bool can_send;            /* mail departs */
    bool suspended;           /* it did, and will not again by itself */
    bool never_sends;         /* added for reports only */
    enum bh_mechanism proven; /* SPF passes for mail_from_domain, DKIM for dkim_domain */
    bh_str mail_from_domain;
    bool mail_from_is_ours; /* bounces come back to us: the local part is a bh_verp */
    bh_str dkim_domain;
    const struct bh_seen_policy *policies; /* DMARC records seen at and above From domains */
    size_t policy_count;
};

/* The facts of a view, as the domain system has them. */
struct bh_send_domain bh_send_domain_of(const struct bh_domain *domain, const struct bh_planned_identity *planned,
                                        const struct bh_seen_policy *policies, size_t policy_count);

enum bh_from_opening {
    BH_FROM_OPEN,
    BH_FROM_OTHER,        /* neither at, below nor above the sending domain */
    BH_FROM_ABOVE,        /* above it, and above what is proven */
    BH_FROM_PUBLIC_SUFFIX /* nobody's to use */
};
/* `from`: lower case, A-labels. */
enum bh_from_opening bh_from_opens(const struct bh_suffixes *suffixes, bh_str name, bh_str zone_apex, bh_str from);

enum bh_identity_rule {
    BH_IDENTITY_OK,
    BH_IDENTITY_HELD,      /* submission: taken, but it waits until the domain is right again */
    BH_IDENTITY_BAD_NAME,  /* the From domain is no domain name */
    BH_IDENTITY_NO_DOMAIN, /* no sending domain of this customer opens it */
    BH_IDENTITY_ABOVE,
    BH_IDENTITY_PUBLIC_SUFFIX,
    BH_IDENTITY_NOT_VERIFIED, /* the domain is known, its records are not right (yet) */
    BH_IDENTITY_SUSPENDED,    /* nothing has aligned for the grace period */
    BH_IDENTITY_WAIT,         /* departure: closed for now, try later */
    BH_IDENTITY_UNALIGNED,    /* DMARC would fail */
    BH_IDENTITY_NOMEM
};

enum bh_identity_moment { BH_AT_SUBMISSION, BH_AT_DEPARTURE };

struct bh_identity_request {
    bh_str header_from;                   /* the author's domain as written */
    const struct bh_send_domain *domains; /* of this customer, and of no other */
    size_t domain_count;
    const struct bh_suffixes *suffixes; /* must be set */
    enum bh_identity_moment moment;
};

/* Views of the request or of the arena. */
struct bh_identity {
    enum bh_identity_rule rule; /* OK and HELD allow, all else refuses */
    uint16_t code;              /* 0, or the reply: 550, 451 */
    const char *enhanced;
    bh_str reason; /* one line, printable ASCII */
    bh_str fix;
    const struct bh_send_domain *domain; /* the one that carries it; NULL where none was found */
    bh_str header_from;                  /* A-labels, lower case */
    bh_str mail_from_domain;
    bool mail_from_is_ours;
    bh_str dkim_domain;
    enum bh_dmarc_alignment spf_alignment; /* of the plan: what is proven and aligned */
    enum bh_dmarc_alignment dkim_alignment;
    bh_str record_domain; /* where the DMARC record stands; empty: none, p=none assumed */
};

static inline bool bh_identity_allows(const struct bh_identity *identity)
{
    return identity->rule == BH_IDENTITY_OK || identity->rule == BH_IDENTITY_HELD;
}

/* The decision. Deterministic, asks no network; at most 16 sending domains that open the From domain are tried, the
 * most specific first, and the first that aligns is taken. */
void bh_identity_decide(struct bh_arena *arena, const struct bh_identity_request *request,
                        struct bh_identity *ret_identity);

/* "no-domain": a stable word for events and JSON. Static. */
const char *bh_identity_rule_name(enum bh_identity_rule rule);

#endif
