/* sig.h: what is in one DKIM-Signature, ARC-Message-Signature or ARC-Seal field, read and judged as far as the field
 * alone allows (RFC 6376 3.5, 6.1.1; RFC 8617 4.1). No DNS, no hashes. */
#ifndef BH_AUTH_SIG_H
#define BH_AUTH_SIG_H

#include "hindex.h"
#include <behalf/dkim.h>

enum bh_sig_kind { BH_SIG_DKIM, BH_SIG_ARC_MESSAGE, BH_SIG_ARC_SEAL };

enum { BH_SIG_B_TEXT_MAX = 1024, BH_SIG_NAMES_MAX = 64 * 1024 };

struct bh_sig {
    enum bh_sig_kind kind;
    bh_str whole;  /* the field */
    bh_str b_raw;  /* the part of it left out of the hash */
    bh_str domain; /* these three are set where they could be read, even when the rest is bad */
    bh_str selector;
    bh_str algorithm;
    bh_str identity;
    bh_str b;
    bh_str names; /* h= */
    bh_str cv;    /* ARC-Seal */
    uint64_t instance;
    enum bh_dkim_key_type key_type;
    enum bh_dkim_canon header_canon;
    enum bh_dkim_canon body_canon;
    int64_t signed_at_s;
    int64_t expires_at_s;
    bool has_length;
    uint64_t length; /* l= */
    uint8_t body_hash[BH_DKIM_HASH_BYTES];
    uint8_t signature[BH_SIG_B_TEXT_MAX];
    size_t signature_length;
};

/* BH_DKIM_PASS as `result` means: nothing is wrong so far. `why` is static, NULL with pass. */
struct bh_verdict {
    enum bh_dkim_result result;
    const char *why;
};

struct bh_verdict bh_sig_read(enum bh_sig_kind kind, const struct bh_header_field *field, bh_time_ms now,
                              struct bh_sig *ret_sig);

/* A name that may stand in d= or s=: labels of letters, digits, '-', '_' and non-ASCII, none empty or over 63
 * bytes, 253 in all (RFC 6376 3.5, RFC 8616 5). */
bool bh_sig_is_domain(bh_str name);
/* i= is at or below d=, and has an '@'; empty is fine. `exact`: at d= itself (t=s). */
bool bh_sig_identity_fits(bh_str identity, bh_str domain, bool exact);
/* The h= list names `name`. */
bool bh_sig_signs(bh_str names, const char *name);

#endif
