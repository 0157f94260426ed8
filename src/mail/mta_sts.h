/* mta_sts.h: SMTP MTA Strict Transport Security (RFC 8461), the pure part: the TXT record at _mta-sts.<domain>, the
 * policy file behind https, and whether a mail exchanger matches it. Fetching is the steward's, caching too. */
#ifndef BH_MAIL_MTA_STS_H
#define BH_MAIL_MTA_STS_H

#include "base/str.h"

enum { BH_STS_MX_MAX = 64, BH_STS_POLICY_MAX = 64 * 1024, BH_STS_ID_MAX = 32, BH_STS_AGE_MAX_S = 31557600 };

enum bh_sts_mode { BH_STS_NONE, BH_STS_TESTING, BH_STS_ENFORCE };

/* Views of the file. */
struct bh_sts_policy {
    enum bh_sts_mode mode;
    uint32_t max_age_s; /* at most BH_STS_AGE_MAX_S */
    bh_str mx[BH_STS_MX_MAX];
    size_t mx_count;
};

/* "v=STSv1; id=…;" (3.1) as its joined strings. False: it is none. *ret_id is a view of it. */
bool bh_sts_record_read(bh_str text, bh_str *ret_id);

/* The policy file (3.2); lines may end with LF or CRLF. BH_E_SYNTAX: a key is missing or bad; BH_E_LIMIT: too large or
 * more patterns than BH_STS_MX_MAX. */
BH_MUST bh_err bh_sts_policy_read(bh_str text, struct bh_sts_policy *ret_policy);

/* May mail for the domain go to `host` (4.1)? "*.example.com" stands for exactly one label. */
bool bh_sts_policy_allows(const struct bh_sts_policy *policy, bh_str host);

/* "enforce". Static. */
const char *bh_sts_mode_name(enum bh_sts_mode mode);

#endif
