/* retry.c: see retry.h. */
#include "retry.h"

struct bh_retry_policy bh_retry_default(void)
{
    return (struct bh_retry_policy){120, 4 * 3600, 200, 15, 5 * 86400};
}

static int64_t with_jitter(int64_t wait_ms, uint32_t percent, struct bh_random *random)
{
    int64_t span = wait_ms * (percent > 90 ? 90 : percent) / 100;

    return span <= 0 ? wait_ms : wait_ms - span + (int64_t)bh_random_below(random, (uint64_t)(2 * span + 1));
}

int64_t bh_retry_wait_ms(const struct bh_retry_policy *policy, uint32_t attempts, struct bh_random *random)
{
    int64_t wait = (int64_t)policy->first_s * 1000;
    int64_t longest = (int64_t)policy->max_s * 1000;
    uint32_t growth = policy->growth_percent < 100 ? 100 : policy->growth_percent;

    for (uint32_t i = 1; i < attempts && wait < longest && growth > 100; i++)
        wait += wait * (growth - 100) / 100 + 1;
    if (wait > longest)
        wait = longest;
    if (wait < 1000)
        wait = 1000;
    return with_jitter(wait, policy->jitter_percent, random);
}

bool bh_retry_next(const struct bh_retry_policy *policy, uint32_t attempts, bh_time_ms now, bh_time_ms expires_at,
                   struct bh_random *random, bh_time_ms *ret_at)
{
    bh_time_ms at;

    if (now >= expires_at)
        return false;
    at = now + bh_retry_wait_ms(policy, attempts, random);
    *ret_at = at < expires_at ? at : expires_at;
    return true;
}
