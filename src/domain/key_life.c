/* key_life.c: see key_life.h. The steps are looked for in the order of their weight: first what protects (a stolen
 * key's record), then what keeps mail going (a key that signs), then what makes room and provides. */
#include "key_life.h"

enum {
    LOOK_FIRST_MS = 1000,
    LOOK_LONGEST_MS = 5 * 60 * 1000,
    FRESH_MS = 10 * 60 * 1000, /* how old the last look may be when a key begins to sign */
    USE_LONGEST_MS = 10 * 60 * 1000,
    DAY_MS = 24 * 3600 * 1000,
    RSA_AT_HAND = 3, /* the one that signs and two that could */
    ED25519_AT_HAND = 2,
    SPREAD_PERMILLE = 200
};

struct group {
    struct bh_arena *arena;
    const struct bh_key *keys;
    size_t count;
    const struct bh_labels *labels;
    const struct bh_key_policy *policy;
    const struct bh_key_wish *wish;
    bh_time_ms now;
    bool ed25519;
    const struct bh_key *active;
    const struct bh_key *ready; /* the oldest that could sign */
    unsigned at_hand;           /* keys that sign or shall */
    bool rotate;                /* an exchange is due */
    struct bh_key_step step;
};

static bool is_of(const struct group *g, const struct bh_key *key)
{
    return bh_key_is_ed25519(key) == g->ed25519;
}

static void at(struct group *g, bh_time_ms again_at)
{
    if (again_at < g->step.again_at)
        g->step.again_at = again_at;
}

static bool take(struct group *g, enum bh_key_act act, const struct bh_key *key, const struct bh_key *old)
{
    g->step.act = act;
    g->step.key = key;
    g->step.old = old;
    return true;
}

static int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t clamp_i64(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

static int64_t cache_ms(const struct bh_key_policy *policy)
{
    return max_i64(policy->ttl_ms, policy->negative_ttl_ms);
}

bh_time_ms bh_key_rotation_at(const struct bh_key *active, const struct bh_key_policy *policy,
                              const struct bh_key_wish *wish)
{
    int64_t period = wish->period_ms >= 0 ? wish->period_ms : policy->period_ms;

    if (!active || period <= 0)
        return INT64_MAX;
    period = max_i64(period, 2 * cache_ms(policy));
    return active->state_at + period - period / 1000 * (int64_t)(policy->spread % SPREAD_PERMILLE);
}

static bool is_due(struct group *g)
{
    bh_time_ms scheduled;

    if (!g->active)
        return true;
    if (g->active->revoke_at || g->active->state_at > g->now + DAY_MS)
        return true;
    if (g->wish->asked_at > g->active->state_at && g->wish->asked_at <= g->now)
        return true;
    if (g->wish->asked_at > g->now)
        at(g, g->wish->asked_at);
    scheduled = g->policy->may_rotate ? bh_key_rotation_at(g->active, g->policy, g->wish) : INT64_MAX;
    if (scheduled > g->now)
        at(g, scheduled);
    return scheduled <= g->now;
}

static void survey(struct group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        const struct bh_key *key = &g->keys[i];

        if (!is_of(g, key))
            continue;
        if (key->state == BH_KEY_ACTIVE)
            g->active = key;
        if (key->state == BH_KEY_SEEN && (!g->ready || key->id < g->ready->id))
            g->ready = key;
        g->at_hand += key->state == BH_KEY_ACTIVE || key->state == BH_KEY_SEEN || key->state == BH_KEY_PUBLISHED ||
                      key->state == BH_KEY_CREATED;
    }
    g->rotate = is_due(g);
}

/* ---- records that must lose their key ---- */

static bool blank(struct group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        const struct bh_key *key = &g->keys[i];

        if (!is_of(g, key) || !key->revoke_at || key->state == BH_KEY_REVOKED || key->state == BH_KEY_WITHDRAWN)
            continue;
        if (key->revoke_at <= g->now)
            return take(g, BH_KEY_ACT_BLANK, key, NULL);
        at(g, key->revoke_at);
    }
    return false;
}

/* ---- which key signs ---- */

/* Looks are far apart for a name that stays away: the pause is as long as the time that it has been waited for. */
static bool look(struct group *g, const struct bh_key *key)
{
    bh_time_ms next = key->asked_at ? key->asked_at + clamp_i64(key->asked_at - max_i64(key->state_at, key->seen_at),
                                                                LOOK_FIRST_MS, LOOK_LONGEST_MS)
                                    : key->state_at;

    if (next <= g->now || key->asked_at > g->now)
        return take(g, BH_KEY_ACT_LOOK, key, NULL);
    at(g, next);
    return false;
}

static bool is_fresh(const struct group *g, const struct bh_key *key)
{
    return key->looked_at <= g->now && key->looked_at + FRESH_MS > g->now;
}

static bool exchange(struct group *g)
{
    if (g->ed25519 && !g->wish->ed25519)
        return g->active ? take(g, BH_KEY_ACT_SWITCH, NULL, g->active) : false;
    if (!g->rotate || !g->ready)
        return false;
    if (g->active && !is_fresh(g, g->ready))
        return look(g, g->ready);
    return take(g, BH_KEY_ACT_SWITCH, g->ready, g->active);
}

/* ---- towards being ready ---- */

static bool advance_published(struct group *g, const struct bh_key *key)
{
    bh_time_ms trusted_at = key->seen_at + (key->reused ? cache_ms(g->policy) : 0);

    if (!key->seen_at || key->seen_at > g->now)
        return look(g, key);
    if (trusted_at <= g->now)
        return take(g, BH_KEY_ACT_TRUST, key, NULL);
    at(g, trusted_at);
    return false;
}

static bool advance(struct group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        const struct bh_key *key = &g->keys[i];

        if (!is_of(g, key))
            continue;
        if (key->state == BH_KEY_CREATED)
            return take(g, BH_KEY_ACT_PUBLISH, key, NULL);
        if (key->state == BH_KEY_PUBLISHED && advance_published(g, key))
            return true;
    }
    return false;
}

/* ---- towards the end ---- */

static bool end_retiring(struct group *g, const struct bh_key *key)
{
    bh_time_ms due = max_i64(key->state_at, key->signed_at) + g->policy->receiver_delay_ms, next;

    due = max_i64(due, g->policy->hold_until);
    if (due > g->now) {
        at(g, due);
        return false;
    }
    if (key->unused_at >= due)
        return take(g, BH_KEY_ACT_WITHDRAW, key, NULL);
    next = key->asked_at < due
               ? due
               : key->asked_at + clamp_i64(g->policy->receiver_delay_ms / 20, LOOK_FIRST_MS, USE_LONGEST_MS);
    if (next <= g->now)
        return take(g, BH_KEY_ACT_ASK_USE, key, NULL);
    at(g, next);
    return false;
}

/* The empty record stays for as long as somebody may ask for it, unless its selector is wanted: then until no cache can
 * hold the key. */
static bool end_revoked(struct group *g, const struct bh_key *key, bool wanted)
{
    bh_time_ms due =
        key->state_at + (wanted ? cache_ms(g->policy) : max_i64(g->policy->receiver_delay_ms, cache_ms(g->policy)));

    if (due <= g->now)
        return take(g, BH_KEY_ACT_WITHDRAW, key, NULL);
    at(g, due);
    return false;
}

/* ---- providing ---- */

static bool selector_is_held(const struct group *g, bh_str selector)
{
    for (size_t i = 0; i < g->count; i++)
        if (bh_str_eq(g->keys[i].selector, selector))
            return true;
    return false;
}

/* The first free one; {NULL, 0}: none, or no memory (then `step.act` stays NONE and the next turn tries again). */
static bh_str free_selector(struct group *g)
{
    unsigned slots = g->ed25519 ? g->policy->ed25519_slots : g->policy->rsa_slots;

    for (unsigned i = 0; i < slots; i++) {
        bh_str selector = g->ed25519 ? bh_key_ed25519_selector(g->arena, i) : bh_key_selector(g->arena, g->labels, i);

        if (!selector.p || !selector_is_held(g, selector))
            return selector;
    }
    return (bh_str){NULL, 0};
}

static bool lacks_keys(const struct group *g)
{
    unsigned wanted = g->ed25519 ? ED25519_AT_HAND : RSA_AT_HAND;

    if (g->ed25519 && !g->wish->ed25519)
        return false;
    if (g->policy->by_customer)
        wanted = g->active && g->rotate ? 2 : 1;
    return g->at_hand < wanted;
}

static bool provide(struct group *g)
{
    bh_str selector;

    if (!lacks_keys(g))
        return false;
    selector = free_selector(g);
    if (!selector.p)
        return false;
    g->step.kind = g->ed25519 ? BH_KIND_ED25519 : BH_KIND_RSA2048;
    g->step.selector = selector;
    return take(g, BH_KEY_ACT_MAKE, NULL, NULL);
}

static bool end_old(struct group *g)
{
    bool wanted = lacks_keys(g) && !free_selector(g).p;
    bool unwished = g->ed25519 && !g->wish->ed25519;

    for (size_t i = 0; i < g->count; i++) {
        const struct bh_key *key = &g->keys[i];

        if (!is_of(g, key))
            continue;
        if (key->state == BH_KEY_RETIRING && end_retiring(g, key))
            return true;
        if (key->state == BH_KEY_REVOKED && end_revoked(g, key, wanted))
            return true;
        if (unwished && (key->state == BH_KEY_SEEN || key->state == BH_KEY_PUBLISHED || key->state == BH_KEY_CREATED))
            return take(g, BH_KEY_ACT_WITHDRAW, key, NULL);
    }
    return false;
}

bh_err bh_key_next_step(struct bh_arena *arena, const struct bh_key *keys, size_t count, const struct bh_labels *labels,
                        const struct bh_key_policy *policy, const struct bh_key_wish *wish, bh_time_ms now,
                        struct bh_key_step *ret_step)
{
    bh_time_ms again_at = INT64_MAX;

    for (int ed25519 = 0; ed25519 < 2; ed25519++) {
        struct group g = {.arena = arena,
                          .keys = keys,
                          .count = count,
                          .labels = labels,
                          .policy = policy,
                          .wish = wish,
                          .now = now,
                          .ed25519 = ed25519 != 0,
                          .step = {.again_at = INT64_MAX}};

        survey(&g);
        if (blank(&g) || exchange(&g) || end_old(&g) || advance(&g) || provide(&g)) {
            *ret_step = g.step;
            return BH_OK;
        }
        if (g.step.again_at < again_at)
            again_at = g.step.again_at;
    }
    *ret_step = (struct bh_key_step){.again_at = again_at};
    return BH_OK;
}

void bh_key_looked(struct bh_key *key, int proof, bh_time_ms now)
{
    key->asked_at = now;
    if (proof > 0) {
        key->looked_at = now;
        if (!key->seen_at || key->seen_at > now)
            key->seen_at = now;
    } else if (proof < 0) {
        key->reused = key->reused || key->seen_at; /* it was there and is not: its absence may be remembered */
        key->seen_at = 0;
        if (key->state == BH_KEY_SEEN) {
            key->state = BH_KEY_PUBLISHED;
            key->state_at = now;
        }
    }
}

const struct bh_key *bh_key_successor(const struct bh_key *keys, size_t count, const struct bh_key *old)
{
    const struct bh_key *best = NULL;

    for (size_t i = 0; i < count; i++)
        if (keys[i].state == BH_KEY_SEEN && bh_key_is_ed25519(&keys[i]) == bh_key_is_ed25519(old) &&
            (!best || keys[i].id < best->id))
            best = &keys[i];
    return best;
}
