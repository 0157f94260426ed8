/* clock.h: reading the clock (programs only: libraries are handed the time) and writing times as text. */
#ifndef BH_BASE_CLOCK_H
#define BH_BASE_CLOCK_H

#include "buf.h"

/* Milliseconds since 1970 UTC, CLOCK_REALTIME. */
bh_time_ms bh_clock_now(void);
/* Milliseconds of a clock that never jumps, for intervals. */
bh_time_ms bh_clock_monotonic(void);

/* "2026-11-22T01:49:22Z" (RFC 3339), with ".123" where ms are wanted. */
void bh_time_rfc3339(struct bh_buf *out, bh_time_ms at, bool with_ms);
/* Reads one, with or without fraction: in UTC ("Z") or with an offset ("+01:00"); a date alone is its first moment in
 * UTC. BH_E_SYNTAX. */
BH_MUST bh_err bh_time_parse_rfc3339(bh_str text, bh_time_ms *ret_at);
/* "Sun, 22 Nov 2026 01:49:22 +0000" (RFC 5322 3.3), always UTC. */
void bh_time_rfc5322(struct bh_buf *out, bh_time_ms at);

/* Civil date from days since 1970-01-01 and back (proleptic Gregorian). month 1-12, day 1-31. */
void bh_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);
int64_t bh_days_from_civil(int64_t year, unsigned month, unsigned day);

#endif
