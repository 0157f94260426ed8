/* retry.h: when to try again, and when to give up (RFC 5321 4.5.4.1: an interval of at least 30 minutes is asked for in
 * the long run, four to five days in all). The policy is data from the configuration. */
#ifndef BH_QUEUE_RETRY_H
#define BH_QUEUE_RETRY_H

#include "base/random.h"

struct bh_retry_policy {
    uint32_t first_s;        /* wait after the first attempt */
    uint32_t max_s;          /* no wait is longer */
    uint32_t growth_percent; /* each wait is that many percent of the one before: 200 doubles */
    uint32_t jitter_percent; /* 0-90: a wait is spread evenly over ± that many percent, so that no herd forms */
    uint32_t expire_s;       /* from accept to giving up */
};

/* 2 min, doubling to 4 h, ± 15 %, five days. */
struct bh_retry_policy bh_retry_default(void);

/* Milliseconds to wait after `attempts` (>= 1) attempts. */
int64_t bh_retry_wait_ms(const struct bh_retry_policy *policy, uint32_t attempts, struct bh_random *random);

/* The time of the next attempt: never after `expires_at`, so that the last attempt is made right before giving up.
 * False: the time is over, there is none. */
bool bh_retry_next(const struct bh_retry_policy *policy, uint32_t attempts, bh_time_ms now, bh_time_ms expires_at,
                   struct bh_random *random, bh_time_ms *ret_at);

#endif
