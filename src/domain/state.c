/* state.c: the state machine of a sending domain.
 *
 *   pending ──▶ partial ──▶ verified ◀──▶ degraded ──▶ suspended
 *      └─────────────────────▲  ▲─────────────────────────┘
 *
 * Upwards whenever all required records are right and a mechanism is proven. Downwards only on knowledge: an answer
 * that could not be had changes nothing. A domain that was verified never goes back to pending: what it loses makes it
 * degraded, and suspended when nothing has aligned for the grace period. */
#include "check.h"

static bool was_verified(enum bh_domain_state state)
{
    return state == BH_DOMAIN_VERIFIED || state == BH_DOMAIN_DEGRADED || state == BH_DOMAIN_SUSPENDED;
}

static enum bh_domain_state next_new_state(const struct bh_domain *domain, const struct bh_check_result *result)
{
    if (result->some_required)
        return BH_DOMAIN_PARTIAL;
    return result->some_unknown ? domain->state : BH_DOMAIN_PENDING;
}

static enum bh_domain_state next_old_state(const struct bh_domain *domain, const struct bh_domain_standing *standing,
                                           bh_time_ms now, int64_t grace_ms)
{
    if (standing->lost_at && now - standing->lost_at >= grace_ms)
        return BH_DOMAIN_SUSPENDED;
    if (domain->state == BH_DOMAIN_SUSPENDED && standing->aligned == BH_MECH_NONE)
        return BH_DOMAIN_SUSPENDED;
    return BH_DOMAIN_DEGRADED;
}

static bool only_unknown_is_left(const struct bh_check_result *result)
{
    for (size_t i = 0; i < result->records.count; i++)
        if (result->records.records[i].required && result->checks[i].status != BH_RECORD_OK &&
            result->checks[i].status != BH_RECORD_UNKNOWN)
            return false;
    return true;
}

struct bh_domain_standing bh_domain_next(const struct bh_domain *domain, const struct bh_check_result *result,
                                         bh_time_ms now, int64_t grace_ms)
{
    struct bh_domain_standing standing = {.state_at = domain->state_at};
    bool open = was_verified(domain->state);

    standing.aligned = (result->aligned & result->known) | (domain->aligned & ~result->known & BH_MECH_BOTH);
    if (standing.aligned == BH_MECH_NONE && open)
        standing.lost_at = domain->lost_at ? domain->lost_at : now;
    if (result->all_required && standing.aligned != BH_MECH_NONE)
        standing.state = BH_DOMAIN_VERIFIED;
    else if (!open)
        standing.state = next_new_state(domain, result);
    else if (domain->state == BH_DOMAIN_VERIFIED && only_unknown_is_left(result) && !standing.lost_at)
        standing.state = BH_DOMAIN_VERIFIED;
    else
        standing.state = next_old_state(domain, &standing, now, grace_ms);
    if (standing.state != domain->state)
        standing.state_at = now;
    standing.accepts = standing.state == BH_DOMAIN_VERIFIED || standing.state == BH_DOMAIN_DEGRADED;
    standing.can_send = standing.accepts && standing.aligned != BH_MECH_NONE;
    return standing;
}

static int64_t jitter(int64_t interval_ms, uint64_t spread)
{
    return interval_ms * 3 / 4 + (int64_t)(spread % 1000) * (interval_ms / 2) / 1000;
}

int64_t bh_check_again_in(const struct bh_domain_standing *standing, unsigned tries, bool watched, uint64_t spread)
{
    static const int64_t early_s[] = {10, 30, 60, 120, 300, 900};
    const int64_t hour_ms = 3600 * 1000;

    if (watched)
        return 2000;
    if (standing->state == BH_DOMAIN_VERIFIED)
        return jitter(6 * hour_ms, spread);
    if (standing->state == BH_DOMAIN_DEGRADED || standing->state == BH_DOMAIN_SUSPENDED)
        return jitter(hour_ms / 4, spread);
    if (tries < sizeof(early_s) / sizeof(early_s[0]))
        return early_s[tries] * 1000;
    return jitter(tries < 14 * 24 ? hour_ms : 24 * hour_ms, spread);
}
