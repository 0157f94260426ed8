/* date.h: reading dates of mail (RFC 5322 3.3, obsolete forms of 4.3, and what is found beside them). Writing is
 * bh_time_rfc5322 (base/clock.h). Lenient: comments anywhere, no day of the week, two-digit years, named and military
 * zones, a month as a number, no seconds or fractions of them, the asctime order "Nov 22 01:49:22 2026". */
#ifndef BH_PROTO_MIME_DATE_H
#define BH_PROTO_MIME_DATE_H

#include "base/str.h"

struct bh_date {
    int year;         /* as meant: 2003 for "03" (RFC 5322 4.3) */
    int month;        /* 1-12 */
    int day;          /* 1-31 */
    int hour;         /* 0-23 */
    int minute;       /* 0-59 */
    int second;       /* 0-60 */
    int zone_minutes; /* east of Greenwich */
    bool zone_known;  /* false for "-0000", a military or unknown zone, or none: zone_minutes is 0 then */
    bh_time_ms at;
};

/* The date in `value`; of a Received field's value the part behind the last ';' outside of comments. BH_E_SYNTAX
 * where there is none, BH_E_RANGE for a number that fits no calendar. */
BH_MUST bh_err bh_date_parse(bh_str value, struct bh_date *ret_date);

#endif
