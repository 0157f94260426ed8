/* state.c: the state machine of a sending domain.
 *
 *   pending ──▶ partial ──▶ verified ◀──▶ degraded ──▶ suspended
 *      └─────────────────────▲  ▲─────────────────────────┘
 *
 * Upwards whenever all required records are right and a mechanism is proven (where the approach sends at all).
 * Downwards only on knowledge: an answer that could not be had changes nothing, and neither does one bad look. A loss
 * is believed when three checks in a row saw it and `loss_ms` lies between the first and the last, or two and
 * `unanimous_loss_ms` where every authoritative server says the same; a check without an answer in between neither
 * counts nor refutes. Until then the domain stands as it stood. A domain that was verified never goes back to pending:
 * what it loses makes it degraded, and suspended when nothing has aligned for the grace period. What comes back heals
 * at once. */
#include "check.h"

enum { LOSSES = 3, UNANIMOUS_LOSSES = 2, SPREAD = 1 << 16 };

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
                                           bh_time_ms now, const struct bh_check_policy *policy)
{
    if (standing->lost_at && now - standing->lost_at >= policy->grace_ms)
        return BH_DOMAIN_SUSPENDED;
    if (domain->state == BH_DOMAIN_SUSPENDED && standing->lost_at)
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

/* Something that the domain stands on is known not to be there. */
static bool misses_something(const struct bh_domain *domain, const struct bh_check_result *result)
{
    enum bh_mechanism lost = domain->aligned & result->known & ~result->aligned & BH_MECH_BOTH;

    return was_verified(domain->state) &&
           (lost != BH_MECH_NONE || (domain->state == BH_DOMAIN_VERIFIED && !only_unknown_is_left(result)));
}

static bool is_believed(const struct bh_domain_standing *standing, const struct bh_check_result *result, bh_time_ms now,
                        const struct bh_check_policy *policy)
{
    int64_t seen_for = now - standing->losing_at;

    return (standing->losses >= LOSSES && seen_for >= policy->loss_ms) ||
           (standing->losses >= UNANIMOUS_LOSSES && result->loss_is_unanimous && seen_for >= policy->unanimous_loss_ms);
}

static void choose_state(const struct bh_domain *domain, const struct bh_check_result *result, bh_time_ms now,
                         const struct bh_check_policy *policy, struct bh_domain_standing *standing)
{
    bool open = was_verified(domain->state);

    standing->aligned = (result->aligned & result->known) | (domain->aligned & ~result->known & BH_MECH_BOTH);
    if (standing->aligned == BH_MECH_NONE && open && result->sends)
        standing->lost_at = domain->lost_at ? domain->lost_at : now;
    if (result->all_required && !(open && result->canary_fails) &&
        (standing->aligned != BH_MECH_NONE || !result->sends))
        standing->state = BH_DOMAIN_VERIFIED;
    else if (!open)
        standing->state = next_new_state(domain, result);
    else if (domain->state == BH_DOMAIN_VERIFIED && only_unknown_is_left(result) && !standing->lost_at &&
             !result->canary_fails)
        standing->state = BH_DOMAIN_VERIFIED;
    else
        standing->state = next_old_state(domain, standing, now, policy);
}

/* A loss that was seen is neither seen again nor refuted: some of what the domain stands on did not answer. Servers
 * that say "no" and nothing in turns would never be believed otherwise. */
static bool leaves_it_open(const struct bh_domain *domain, const struct bh_check_result *result)
{
    return domain->losses && was_verified(domain->state) &&
           (result->some_unknown || (domain->aligned & ~result->known & BH_MECH_BOTH) != BH_MECH_NONE);
}

struct bh_domain_standing bh_domain_next(const struct bh_domain *domain, const struct bh_check_result *result,
                                         bh_time_ms now, const struct bh_check_policy *policy)
{
    struct bh_domain_standing standing = {.state_at = domain->state_at};
    bool misses = misses_something(domain, result), open = !misses && leaves_it_open(domain, result);

    if (misses) {
        standing.losses = domain->losses + 1;
        standing.losing_at = domain->losing_at ? domain->losing_at : now;
    } else if (open) {
        standing.losses = domain->losses;
        standing.losing_at = domain->losing_at;
    }
    if (open || (misses && !is_believed(&standing, result, now, policy))) {
        standing.state = domain->state;
        standing.aligned = domain->aligned;
        standing.lost_at = domain->lost_at;
    } else {
        choose_state(domain, result, now, policy, &standing);
        standing.losses = 0;
        standing.losing_at = 0;
    }
    if (standing.state != domain->state)
        standing.state_at = now;
    standing.accepts = result->sends && (standing.state == BH_DOMAIN_VERIFIED || standing.state == BH_DOMAIN_DEGRADED);
    standing.can_send = standing.accepts && standing.aligned != BH_MECH_NONE;
    return standing;
}

/* ---- the pace ---- */

static int64_t jitter(int64_t interval_ms, uint64_t spread)
{
    return interval_ms * 3 / 4 + (int64_t)(spread % SPREAD) * (interval_ms / 2) / SPREAD;
}

static int64_t at_least_a_second(int64_t interval_ms)
{
    return interval_ms < 1000 ? 1000 : interval_ms;
}

/* Often enough for the checks that a loss must be seen by, and for the grace period to end on time. */
static int64_t while_bad(const struct bh_domain_standing *standing, const struct bh_check_policy *policy)
{
    const int64_t quarter_ms = 15 * 60 * 1000;
    int64_t interval_ms = standing->losses ? policy->unanimous_loss_ms : policy->grace_ms / 4;

    return at_least_a_second(interval_ms < quarter_ms ? interval_ms : quarter_ms);
}

int64_t bh_check_again_in(const struct bh_domain_standing *standing, const struct bh_check_policy *policy,
                          unsigned tries, bool watched, uint64_t spread)
{
    static const int64_t early_s[] = {10, 30, 60, 120, 300, 900};
    const int64_t hour_ms = 3600 * 1000;

    if (watched)
        return 1000;
    if (standing->losses)
        return while_bad(standing, policy);
    if (standing->state == BH_DOMAIN_VERIFIED && !tries) /* all that were added together part company here */
        return hour_ms / 2 + (int64_t)(spread % SPREAD) * (12 * hour_ms) / SPREAD;
    if (standing->state == BH_DOMAIN_VERIFIED)
        return jitter(12 * hour_ms, spread);
    if (standing->state == BH_DOMAIN_DEGRADED || standing->state == BH_DOMAIN_SUSPENDED)
        return at_least_a_second(jitter(while_bad(standing, policy), spread));
    if (tries < sizeof(early_s) / sizeof(early_s[0]))
        return early_s[tries] * 1000;
    return jitter(tries < 14 * 24 ? hour_ms : 24 * hour_ms, spread);
}
