/* tls_policy.h: how a connection to one mail exchanger must be protected, decided from facts that others gathered: the
 * sender's wish (per customer and domain), DANE (RFC 7672), MTA-STS (RFC 8461). One function, no state, so that each
 * way in which somebody could talk us down to clear text is a line of a table in a test.
 *
 * DANE goes before MTA-STS, and a wish never weakens either:
 *
 *     TLSA look-up failed, or bogus          the host is passed over: mail waits
 *     usable TLSA records                    TLS with that certificate, or nothing
 *     TLSA records, none of them usable      TLS without a proof (RFC 7672 2.2), or nothing
 *     MTA-STS enforce                        the host matches and proves its name, or nothing
 *     MTA-STS testing                        as if there were none, and what fails is reported
 *     wish: verified                         the host proves its name, or nothing
 *     wish: required                         TLS, or nothing
 *     else                                   TLS where it works, else clear */
#ifndef BH_MAIL_TLS_POLICY_H
#define BH_MAIL_TLS_POLICY_H

#include "mta_sts.h"

/* What a customer, a domain or a route asks for; the stricter of two counts. */
enum bh_tls_level { BH_TLS_LEVEL_OPPORTUNISTIC, BH_TLS_LEVEL_REQUIRED, BH_TLS_LEVEL_VERIFIED };

/* "required"; static. The other way: false where the word is none. */
const char *bh_tls_level_name(enum bh_tls_level level);
bool bh_tls_level_parse(bh_str word, enum bh_tls_level *ret_level);

/* What DNS says, validated, about one host's certificates. */
enum bh_tlsa_state {
    BH_TLSA_ABSENT,   /* none, or not secure: DANE does not apply */
    BH_TLSA_USABLE,   /* at least one record of usage 2 or 3 that we understand */
    BH_TLSA_UNUSABLE, /* secure records, none of them usable */
    BH_TLSA_FAILED    /* the look-up failed or is bogus: nothing is known, an attack is possible */
};

/* One TLSA record (RFC 6698 2.1), `rdata` in wire form. False: it cannot be used for SMTP (RFC 7672 3.1): usage 0 and
 * 1, unknown numbers, wrong length of a digest. */
bool bh_tlsa_is_usable(bh_str rdata);

struct bh_tls_facts {
    bool never; /* the operator's route says: no TLS */
    enum bh_tls_level level;
    enum bh_tlsa_state tlsa;
    enum bh_sts_mode sts; /* NONE: there is no policy */
    bool sts_allows;      /* the host matches the policy */
};

/* How the host is checked in the handshake. */
enum bh_tls_check {
    BH_TLS_CHECK_NONE,
    BH_TLS_CHECK_WATCH, /* checked for the report only */
    BH_TLS_CHECK_NAME,  /* a chain to the roots, and the host's name */
    BH_TLS_CHECK_DANE
};

enum bh_tls_step { BH_TLS_SKIP, BH_TLS_NEVER, BH_TLS_MAY, BH_TLS_MUST };

/* Whose policy it is: for logs, events and reports (RFC 8460 policy-type). */
enum bh_tls_source { BH_TLS_BY_NOBODY, BH_TLS_BY_DANE, BH_TLS_BY_STS, BH_TLS_BY_SENDER };

struct bh_tls_plan {
    enum bh_tls_step step;
    enum bh_tls_check check;
    enum bh_tls_source source;
    const char *failure; /* RFC 8460 4.3 result type that this decision alone makes, or NULL */
    const char *why;     /* of a SKIP, for people; else NULL */
};

void bh_tls_plan(const struct bh_tls_facts *facts, struct bh_tls_plan *ret_plan);
/* "dane", "mta-sts", "required by the sender", "opportunistic". Static. */
const char *bh_tls_plan_text(const struct bh_tls_plan *plan);

/* How an attempt at TLS went wrong. */
enum bh_tls_failure {
    BH_TLS_FAIL_NOT_OFFERED, /* no STARTTLS in EHLO, or refused */
    BH_TLS_FAIL_NOT_TRUSTED,
    BH_TLS_FAIL_EXPIRED,
    BH_TLS_FAIL_NAME,
    BH_TLS_FAIL_OTHER /* the handshake itself */
};
/* RFC 8460 4.3: "starttls-not-supported" … Static. */
const char *bh_tls_failure_type(const struct bh_tls_plan *plan, enum bh_tls_failure failure);

#endif
