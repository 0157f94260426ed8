/* Keys of zones: years of roll-overs by a scripted clock, with parents that are quick, slow, forgetful or wrong. In
 * every hour, each mixture of DS, keys and signatures that a cache may still hold must validate. */
#include "domain/dnssec.h"
#include "unit.h"
#include <stdio.h>

enum {
    HOUR = 3600 * 1000,
    HOLD_HOURS = 28,
    ZONE_MEMORY = 27, /* refresh of a secondary that missed a NOTIFY, and the longest TTL */
    DS_TTL_HOURS = 24,
    HISTORY = 64,
    SERVERS = 3
};

/* Sets of keys as bits: what was published in each of the last hours. */
struct world {
    struct bh_dnssec dnssec;
    struct bh_dnssec_times times;
    bh_time_ms now;
    uint64_t random;
    int64_t next_id;
    uint64_t zone[HISTORY]; /* keys in DNSKEY, all of which sign everything; 0: unsigned */
    uint64_t ds[HISTORY][SERVERS];
    unsigned hour, rolls, unsigned_hours, ds_hours;
    unsigned parent_delay; /* hours until the parent does what CDS says; 0: never */
    unsigned cds_since;    /* hour */
    uint64_t cds;          /* key, or ~0 for delete, or 0 for nothing */
};

static unsigned below(struct world *w, unsigned n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(w->random >> 33) % n;
}

static uint64_t bit(int64_t id)
{
    return (uint64_t)1 << id;
}

static uint64_t key_set(const struct world *w)
{
    uint64_t set = 0;

    for (size_t i = 0; i < w->dnssec.key_count; i++)
        set |= bit(w->dnssec.keys[i].id);
    return set;
}

static void remove_key(struct bh_dnssec *d, size_t at)
{
    d->key_count--;
    memmove(&d->keys[at], &d->keys[at + 1], (d->key_count - at) * sizeof(d->keys[0]));
}

static void make_key(struct world *w, enum bh_zone_key_state state)
{
    struct bh_dnssec *d = &w->dnssec;

    assert_true(d->key_count < BH_DNS_SIGN_KEYS_MAX);
    d->keys[d->key_count++] =
        (struct bh_zone_key){.id = w->next_id++, .state = state, .created_at = w->now, .state_at = w->now};
    if (d->key_count > 1)
        w->rolls++;
    d->roll = false;
}

/* What controld does with the parent's answers. */
static void ask_parent(struct world *w)
{
    struct bh_dnssec *d = &w->dnssec;
    uint64_t any = 0, all = ~(uint64_t)0;

    for (int s = 0; s < SERVERS; s++) {
        any |= w->ds[w->hour % HISTORY][s];
        all &= w->ds[w->hour % HISTORY][s];
    }
    for (size_t i = 0; i < d->key_count; i++)
        d->keys[i].ds = all & bit(d->keys[i].id)   ? BH_DS_EVERYWHERE
                        : any & bit(d->keys[i].id) ? BH_DS_SOMEWHERE
                                                   : BH_DS_NOWHERE;
    d->asked_at = w->now;
    d->ds_count = (uint32_t)__builtin_popcountll(any);
    d->gone_at = any ? 0 : d->gone_at ? d->gone_at : w->now;
    if (any)
        d->ds_ttl_s = DS_TTL_HOURS * 3600;
}

static void run_steps(struct world *w)
{
    struct bh_dnssec *d = &w->dnssec;

    for (int i = 0; i < 20; i++) {
        struct bh_dnssec_step step = bh_dnssec_next(d, false, &w->times, w->now);

        if (step.ask_parent)
            ask_parent(w);
        if (step.what == BH_DNSSEC_NOTHING && !step.ask_parent) {
            assert_true(step.next_at > w->now);
            return;
        }
        if (step.what == BH_DNSSEC_MAKE_KEY)
            make_key(w, step.state);
        else if (step.what == BH_DNSSEC_SET_STATE) {
            d->keys[step.key].state = step.state;
            d->keys[step.key].state_at = w->now;
        } else if (step.what == BH_DNSSEC_REMOVE_KEY)
            remove_key(d, step.key);
        else if (step.what == BH_DNSSEC_REMOVE_ALL)
            d->key_count = 0;
    }
    fail_msg("the steps do not end");
}

/* The parent's servers follow CDS one after the other; now and then somebody leaves the old DS beside the new one. */
static void run_parent(struct world *w)
{
    const struct bh_zone_key *wanted = bh_dnssec_parent_key(&w->dnssec);
    uint64_t cds = !w->dnssec.key_count ? 0 : !w->dnssec.wanted ? ~(uint64_t)0 : wanted ? bit(wanted->id) : 0;
    uint64_t *now = w->ds[w->hour % HISTORY], *before = w->ds[(w->hour + HISTORY - 1) % HISTORY];

    memcpy(now, before, sizeof(w->ds[0]));
    if (cds != w->cds) {
        w->cds = cds;
        w->cds_since = w->hour;
    }
    if (!cds || !w->parent_delay)
        return;
    for (unsigned s = 0; s < SERVERS; s++) {
        if (w->hour - w->cds_since < w->parent_delay + 2 * s)
            continue;
        if (cds == ~(uint64_t)0)
            now[s] = 0;
        else if (below(w, 10) || now[s] == 0)
            now[s] = cds;
        else
            now[s] |= cds;
    }
}

static bool holds(uint64_t ds, uint64_t keys, uint64_t signers)
{
    return !ds || ((ds & keys) && (keys & signers));
}

/* The different sets of the last hours, the newest first. */
static unsigned recent(const struct world *w, unsigned hours, int server, uint64_t *ret_sets)
{
    unsigned count = 0;

    for (unsigned a = 0; a <= hours && a <= w->hour; a++) {
        unsigned at = (w->hour - a) % HISTORY, k = 0;
        uint64_t set = server < 0 ? w->zone[at] : w->ds[at][server];

        while (k < count && ret_sets[k] != set)
            k++;
        if (k == count)
            ret_sets[count++] = set;
    }
    return count;
}

static void check_caches(struct world *w)
{
    uint64_t ds[HISTORY], zone[HISTORY];
    unsigned zones = recent(w, ZONE_MEMORY, -1, zone);

    for (int s = 0; s < SERVERS; s++) {
        unsigned ds_count = recent(w, DS_TTL_HOURS, s, ds);

        for (unsigned a = 0; a < ds_count; a++)
            for (unsigned b = 0; b < zones; b++)
                for (unsigned c = 0; c < zones; c++)
                    if (!holds(ds[a], zone[b], zone[c]))
                        fail_msg("bogus in hour %u: DS %llx, keys %llx, signatures %llx", w->hour,
                                 (unsigned long long)ds[a], (unsigned long long)zone[b], (unsigned long long)zone[c]);
    }
}

static void run_hours(struct world *w, unsigned hours)
{
    for (unsigned i = 0; i < hours; i++) {
        w->hour++;
        w->now += HOUR;
        w->ds[w->hour % HISTORY][0] = w->ds[w->hour % HISTORY][1] = w->ds[w->hour % HISTORY][2] = 0;
        run_parent(w);
        run_steps(w);
        w->zone[w->hour % HISTORY] = key_set(w);
        w->unsigned_hours += w->zone[w->hour % HISTORY] == 0;
        w->ds_hours += w->ds[w->hour % HISTORY][0] != 0;
        check_caches(w);
    }
}

static struct world make_world(uint64_t seed)
{
    struct world w = {.random = seed, .now = (bh_time_ms)1800000000 * 1000, .next_id = 1};

    w.times = (struct bh_dnssec_times){(int64_t)HOLD_HOURS * HOUR, 0};
    w.parent_delay = 1 + below(&w, 100);
    return w;
}

static void test_rolled_on_schedule(void **state)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct world w = make_world(seed);

        w.times.roll_ms = (int64_t)30 * 24 * HOUR;
        run_hours(&w, 10);
        w.dnssec.wanted = true;
        run_hours(&w, 365 * 24);
        assert_in_range(w.rolls, 5, 12);
        assert_true(w.ds_hours > 300 * 24);
        assert_true(w.dnssec.key_count <= 2);
    }
}

static void test_rolled_by_hand_on_and_off(void **state)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct world w = make_world(seed * 77);

        for (int i = 0; i < 60; i++) {
            w.dnssec.wanted = below(&w, 4) != 0;
            w.dnssec.roll = below(&w, 2) == 0;
            w.parent_delay = below(&w, 5) ? 1 + below(&w, 60) : 0;
            run_hours(&w, 1 + below(&w, 200));
        }
        w.parent_delay = 5;
        w.dnssec.wanted = false;
        run_hours(&w, 400);
        assert_int_equal(w.dnssec.key_count, 0);
        w.dnssec.wanted = true;
        run_hours(&w, 400);
        assert_int_equal(w.dnssec.keys[w.dnssec.key_count - 1].state, BH_ZONE_KEY_ACTIVE);
    }
}

/* A parent that does not look at CDS: nothing ends, nothing is taken away. */
static void test_the_parent_does_nothing(void **state)
{
    struct world w = make_world(5);

    w.dnssec.wanted = true;
    w.parent_delay = 2;
    run_hours(&w, 300);
    assert_int_equal(w.dnssec.key_count, 1);
    assert_int_equal(w.dnssec.keys[0].state, BH_ZONE_KEY_ACTIVE);
    w.parent_delay = 0;
    w.dnssec.roll = true;
    run_hours(&w, 2000);
    assert_int_equal(w.dnssec.key_count, 2);
    assert_int_equal(w.dnssec.keys[0].state, BH_ZONE_KEY_ACTIVE);
    assert_int_equal(w.dnssec.keys[1].state, BH_ZONE_KEY_READY);
    w.dnssec.wanted = false;
    run_hours(&w, 2000);
    assert_int_equal(w.dnssec.key_count, 2);
}

static void test_never_served(void **state)
{
    struct bh_dnssec dnssec = {.wanted = true};
    struct bh_dnssec_times times = {HOUR, 0};

    assert_int_equal(bh_dnssec_next(&dnssec, true, &times, 1).state, BH_ZONE_KEY_READY);
    assert_int_equal(bh_dnssec_next(&dnssec, false, &times, 1).state, BH_ZONE_KEY_NEW);
}

/* Signatures have at least 21 days left when they are made anew, and not all zones turn in the same hour. */
static void test_validity(void **state)
{
    bh_time_ms now = (bh_time_ms)1800000000 * 1000;
    unsigned renewals = 0, most = 0;

    for (int hour = 0; hour < 24 * 7; hour++) {
        unsigned in_hour = 0;

        for (int i = 0; i < 1000; i++) {
            char name[32];
            int n = snprintf(name, sizeof name, "z%d.example", i);
            struct bh_dnssec_validity v = bh_dnssec_validity(bh_str_of(name, (size_t)n), now);

            assert_true((bh_time_ms)v.inception * 1000 <= now - 24 * HOUR);
            assert_true((bh_time_ms)v.expiration * 1000 - v.renew_at == (bh_time_ms)21 * 24 * HOUR);
            assert_true(v.renew_at > now && v.renew_at <= now + (bh_time_ms)7 * 24 * HOUR);
            in_hour += v.renew_at <= now + HOUR;
        }
        renewals += in_hour;
        most = in_hour > most ? in_hour : most;
        now += HOUR;
    }
    assert_int_equal(renewals, 1000);
    assert_true(most < 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rolled_on_schedule),
        cmocka_unit_test(test_rolled_by_hand_on_and_off),
        cmocka_unit_test(test_the_parent_does_nothing),
        cmocka_unit_test(test_never_served),
        cmocka_unit_test(test_validity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
