/* dnssec.c: see dnssec.h. */
#include "dnssec.h"
#include "base/map.h"

enum {
    PENDING_ASK_MS = 5 * 60 * 1000,      /* somebody is about to change the DS */
    SETTLED_ASK_MS = 12 * 3600 * 1000,   /* nothing is expected */
    PATIENT_AFTER_MS = 24 * 3600 * 1000, /* after a day's waiting: hourly */
    PATIENT_ASK_MS = 3600 * 1000,
    WEEK_S = 7 * 86400,
    BEFORE_S = 86400, /* clocks differ */
    VALID_S = 28 * 86400
};

const char *bh_zone_key_state_name(enum bh_zone_key_state state)
{
    switch (state) {
    case BH_ZONE_KEY_NEW:
        return "new";
    case BH_ZONE_KEY_READY:
        return "ready";
    case BH_ZONE_KEY_ACTIVE:
        return "active";
    case BH_ZONE_KEY_RETIRED:
        return "retired";
    default:
        return "?";
    }
}

const char *bh_ds_seen_name(enum bh_ds_seen seen)
{
    return seen == BH_DS_EVERYWHERE ? "everywhere" : seen == BH_DS_SOMEWHERE ? "somewhere" : "nowhere";
}

/* ---- what the zone says ---- */

const struct bh_zone_key *bh_dnssec_parent_key(const struct bh_dnssec *dnssec)
{
    const struct bh_zone_key *found = NULL;

    for (size_t i = 0; dnssec->wanted && i < dnssec->key_count; i++)
        if (dnssec->keys[i].state == BH_ZONE_KEY_READY || dnssec->keys[i].state == BH_ZONE_KEY_ACTIVE)
            found = &dnssec->keys[i];
    return found;
}

bool bh_dnssec_is_ready(const struct bh_dnssec *dnssec)
{
    for (size_t i = 0; i < dnssec->key_count; i++)
        if (dnssec->keys[i].state != BH_ZONE_KEY_NEW)
            return true;
    return false;
}

void bh_dnssec_sign_keys(const struct bh_dnssec *dnssec, struct bh_dns_sign_options *ret_options)
{
    const struct bh_zone_key *parent = bh_dnssec_parent_key(dnssec);

    *ret_options = (struct bh_dns_sign_options){
        .key_count = dnssec->key_count, .key_ttl_s = 3600, .delete_ds = !dnssec->wanted && dnssec->key_count};
    for (size_t i = 0; i < dnssec->key_count; i++) {
        memcpy(ret_options->keys[i].public_key, dnssec->keys[i].public_key, BH_DNS_P256_PUBLIC_BYTES);
        ret_options->keys[i].signs = true;
        ret_options->keys[i].parent = &dnssec->keys[i] == parent;
    }
}

static void key_rdata(const struct bh_zone_key *key, unsigned char ret_rdata[BH_DNS_KEY_RDATA_BYTES])
{
    struct bh_dns_sign_key sign = {.signs = true};

    memcpy(sign.public_key, key->public_key, BH_DNS_P256_PUBLIC_BYTES);
    bh_dns_key_rdata(&sign, ret_rdata);
}

uint16_t bh_zone_key_tag(const struct bh_zone_key *key)
{
    unsigned char rdata[BH_DNS_KEY_RDATA_BYTES];

    key_rdata(key, rdata);
    return bh_dns_key_tag(bh_str_of((const char *)rdata, sizeof rdata));
}

bh_err bh_zone_key_ds(const struct bh_zone_key *key, bh_str apex, unsigned char ret_rdata[36])
{
    unsigned char rdata[BH_DNS_KEY_RDATA_BYTES];
    struct bh_dns_name name;
    bh_err err = bh_dns_name_parse(apex, NULL, &name);

    key_rdata(key, rdata);
    return err ? err : bh_dns_key_ds(bh_dns_name_view(&name), bh_str_of((const char *)rdata, sizeof rdata), ret_rdata);
}

bh_str bh_zone_key_ds_text(struct bh_arena *arena, const struct bh_zone_key *key, bh_str apex)
{
    struct bh_buf text = bh_buf_make(256);
    unsigned char ds[36];
    bh_str copy = {NULL, 0};

    if (!bh_zone_key_ds(key, apex, ds)) {
        bh_dns_rdata_print(&text, BH_DNS_DS, bh_str_of((const char *)ds, sizeof ds));
        copy = bh_arena_dup(arena, bh_buf_view(&text));
    }
    bh_buf_free(&text);
    return copy;
}

/* ---- steps ---- */

struct stepping {
    const struct bh_dnssec *dnssec;
    const struct bh_dnssec_times *times;
    bh_time_ms now;
    struct bh_dnssec_step step;
};

static bool act(struct stepping *s, enum bh_dnssec_do what, size_t key, enum bh_zone_key_state state)
{
    s->step.what = what;
    s->step.key = key;
    s->step.state = state;
    return true;
}

static void look_again(struct stepping *s, bh_time_ms at)
{
    if (at < s->step.next_at)
        s->step.next_at = at;
}

/* Ask the parent, at the pace of who waits since `since`; true when the last answers are from after `newer_than`. */
static bool parent_known(struct stepping *s, bh_time_ms since, bool settled, bh_time_ms newer_than)
{
    int64_t every = settled ? SETTLED_ASK_MS : s->now - since > PATIENT_AFTER_MS ? PATIENT_ASK_MS : PENDING_ASK_MS;

    if (every > s->times->hold_ms + 1000) /* a world with short times */
        every = s->times->hold_ms + 1000;
    if (!s->dnssec->asked_at || s->now - s->dnssec->asked_at >= every)
        s->step.ask_parent = true;
    look_again(s, s->dnssec->asked_at && !s->step.ask_parent ? s->dnssec->asked_at + every : s->now + every);
    return s->dnssec->asked_at && s->dnssec->asked_at > newer_than;
}

/* What a DS that was at the parent may live on for, in caches and at a parent's slow secondary. */
static int64_t ds_memory_ms(const struct stepping *s)
{
    return s->times->hold_ms + (int64_t)s->dnssec->ds_ttl_s * 1000;
}

static bool step_off(struct stepping *s)
{
    const struct bh_dnssec *d = s->dnssec;
    bh_time_ms over_at = d->gone_at + ds_memory_ms(s);

    if (!d->key_count)
        return false;
    if (!parent_known(s, d->keys[0].state_at, false, 0) || !d->gone_at)
        return false;
    look_again(s, over_at);
    if (s->now < over_at)
        return false;
    if (d->asked_at >= over_at)
        return act(s, BH_DNSSEC_REMOVE_ALL, 0, BH_ZONE_KEY_RETIRED);
    s->step.ask_parent = true; /* once more, at the end */
    look_again(s, s->now + 60000);
    return false;
}

static bool step_new(struct stepping *s, size_t i)
{
    const struct bh_zone_key *key = &s->dnssec->keys[i];

    look_again(s, key->state_at + s->times->hold_ms);
    return s->now >= key->state_at + s->times->hold_ms && act(s, BH_DNSSEC_SET_STATE, i, BH_ZONE_KEY_READY);
}

static bool has_newer(const struct bh_dnssec *dnssec, size_t i)
{
    for (size_t k = i + 1; k < dnssec->key_count; k++)
        if (dnssec->keys[k].state == BH_ZONE_KEY_ACTIVE ||
            (dnssec->keys[k].state == BH_ZONE_KEY_READY && !dnssec->ds_count))
            return true;
    return false;
}

/* READY and ACTIVE: forward when the DS is there, out when a newer one has taken over and this one's DS is nowhere. A
 * zone without any DS at the parent is validated by nobody: there the newer one takes over as soon as it is ready. */
static bool step_standing(struct stepping *s, size_t i)
{
    const struct bh_zone_key *key = &s->dnssec->keys[i];
    bool newest = i + 1 == s->dnssec->key_count;

    if (!parent_known(s, key->state_at, key->state == BH_ZONE_KEY_ACTIVE && newest, key->state_at))
        return false;
    if (key->state == BH_ZONE_KEY_READY && key->ds == BH_DS_EVERYWHERE)
        return act(s, BH_DNSSEC_SET_STATE, i, BH_ZONE_KEY_ACTIVE);
    return key->ds == BH_DS_NOWHERE && has_newer(s->dnssec, i) && act(s, BH_DNSSEC_SET_STATE, i, BH_ZONE_KEY_RETIRED);
}

static bool step_retired(struct stepping *s, size_t i)
{
    const struct bh_zone_key *key = &s->dnssec->keys[i];
    bh_time_ms over_at = key->state_at + ds_memory_ms(s);

    (void)parent_known(s, key->state_at, false, over_at);
    if (key->ds != BH_DS_NOWHERE)
        return act(s, BH_DNSSEC_SET_STATE, i, BH_ZONE_KEY_ACTIVE);
    look_again(s, over_at);
    if (s->now < over_at)
        return false;
    if (s->dnssec->asked_at >= over_at)
        return act(s, BH_DNSSEC_REMOVE_KEY, i, BH_ZONE_KEY_RETIRED);
    s->step.ask_parent = true;
    look_again(s, s->now + 60000);
    return false;
}

static bool step_key(struct stepping *s, size_t i)
{
    switch (s->dnssec->keys[i].state) {
    case BH_ZONE_KEY_NEW:
        return step_new(s, i);
    case BH_ZONE_KEY_READY:
    case BH_ZONE_KEY_ACTIVE:
        return step_standing(s, i);
    case BH_ZONE_KEY_RETIRED:
        return step_retired(s, i);
    default:
        return false;
    }
}

/* One roll-over at a time: only when a single key stands, and has stood. */
static bool step_roll(struct stepping *s)
{
    const struct bh_dnssec *d = s->dnssec;
    const struct bh_zone_key *key = &d->keys[0];
    bh_time_ms due_at = key->created_at + s->times->roll_ms;

    if (d->key_count != 1 || key->state == BH_ZONE_KEY_NEW)
        return false;
    if (!d->roll && !s->times->roll_ms)
        return false;
    if (d->roll || s->now >= due_at)
        return act(s, BH_DNSSEC_MAKE_KEY, 0, BH_ZONE_KEY_NEW);
    look_again(s, due_at);
    return false;
}

struct bh_dnssec_step bh_dnssec_next(const struct bh_dnssec *dnssec, bool never_served,
                                     const struct bh_dnssec_times *times, bh_time_ms now)
{
    struct stepping s = {dnssec, times, now, {.next_at = INT64_MAX}};

    if (!dnssec->wanted) {
        (void)step_off(&s);
        return s.step;
    }
    if (!dnssec->key_count) {
        (void)act(&s, BH_DNSSEC_MAKE_KEY, 0, never_served ? BH_ZONE_KEY_READY : BH_ZONE_KEY_NEW);
        return s.step;
    }
    for (size_t i = 0; i < dnssec->key_count; i++)
        if (step_key(&s, i))
            return s.step;
    (void)step_roll(&s);
    return s.step;
}

/* ---- times of signatures ---- */

struct bh_dnssec_validity bh_dnssec_validity(bh_str apex, bh_time_ms now)
{
    static const uint64_t seed[2] = {0x64, 0x73}; /* the same in every process: the week must not move at a restart */
    uint64_t now_s = (uint64_t)(now / 1000), offset = bh_siphash13(seed, apex) % WEEK_S;
    uint64_t week_at = (now_s + offset) / WEEK_S * WEEK_S - offset;

    return (struct bh_dnssec_validity){.inception = (uint32_t)(week_at - BEFORE_S),
                                       .expiration = (uint32_t)(week_at + VALID_S),
                                       .renew_at = (bh_time_ms)(week_at + WEEK_S) * 1000};
}
