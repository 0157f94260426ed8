/* egress.c: the steps of an egress address; see egress.h for the picture. */
#include "egress.h"
#include "domain.h"

const char *bh_egress_state_name(enum bh_egress_state state)
{
    static const char *const names[] = {"added", "published", "seen", "usable", "stopping", "withdrawn"};

    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

bh_err bh_pool_name_check(bh_str name)
{
    return bh_customer_name_check(name); /* the same alphabet */
}

/* When a stopping one may go, as far as time is concerned. */
static bh_time_ms old_at(bh_time_ms state_at, bh_time_ms last_used_at, const struct bh_egress_facts *facts)
{
    return (last_used_at > state_at ? last_used_at : state_at) + facts->keep_ms;
}

enum bh_egress_state bh_egress_next(enum bh_egress_state state, bh_time_ms state_at, bh_time_ms last_used_at,
                                    const struct bh_egress_facts *facts)
{
    switch (state) {
    case BH_EGRESS_ADDED:
        return BH_EGRESS_PUBLISHED;
    case BH_EGRESS_PUBLISHED:
        return facts->seen_everywhere ? BH_EGRESS_SEEN : state;
    case BH_EGRESS_SEEN:
        return facts->now >= state_at + facts->ttl_ms ? BH_EGRESS_USABLE : state;
    case BH_EGRESS_STOPPING:
        return !facts->is_needed && facts->now >= old_at(state_at, last_used_at, facts) ? BH_EGRESS_WITHDRAWN : state;
    case BH_EGRESS_USABLE:
    case BH_EGRESS_WITHDRAWN:
    default:
        return state;
    }
}

bh_time_ms bh_egress_due(enum bh_egress_state state, bh_time_ms state_at, bh_time_ms last_used_at,
                         const struct bh_egress_facts *facts)
{
    switch (state) {
    case BH_EGRESS_ADDED:
        return facts->now;
    case BH_EGRESS_SEEN:
        return state_at + facts->ttl_ms;
    case BH_EGRESS_STOPPING:
        return facts->is_needed ? INT64_MAX : old_at(state_at, last_used_at, facts);
    case BH_EGRESS_PUBLISHED: /* the sweep has its own pace */
    case BH_EGRESS_USABLE:
    case BH_EGRESS_WITHDRAWN:
    default:
        return INT64_MAX;
    }
}
