/* zone_keys.c: doing what bh_dnssec_next says: keys are made by keyd, the parent's servers asked by the steward, states
 * written, zones published again; and signatures are renewed in time. */
#include "core.h"
#include "sign.h"

enum {
    ARENA_BYTES = 1 << 20,
    DUE_MAX = 100,
    RENEW_MAX = 200,
    AGAIN_MS = 60 * 1000,
    STEPS_MAX = 16,
    LATE_MS = 3600 * 1000
};

struct upkeep {
    struct bh_controld *core;
    struct bh_arena *arena; /* holds this, too */
    struct bh_domain domain;
    struct bh_dnssec dnssec;
    struct bh_zone_key key; /* being made */
};

static void run(struct bh_controld *core, int64_t domain);

static void wake_in(struct bh_controld *core, int64_t in_ms)
{
    if (core->out->zone_keys_wake)
        core->out->zone_keys_wake(core->out_ctx, in_ms < 100 ? 100 : in_ms);
}

static void complain(struct upkeep *upkeep, const char *text, bh_err err)
{
    (void)err;
    upkeep->core->out->log(upkeep->core->out_ctx, BH_LOG_WARN, text, upkeep->domain.name);
}

/* All zones that these keys sign are old. */
static void publish(struct upkeep *upkeep)
{
    struct bh_controld *core = upkeep->core;

    if (upkeep->domain.approach == BH_APPROACH_PLATFORM)
        bh_publish_every(core);
    else
        bh_publish_domain(core, &upkeep->domain);
}

/* ---- a new key ---- */

static bh_err store_key(struct upkeep *upkeep, const struct bh_msg_key_reply *reply)
{
    struct bh_controld *core = upkeep->core;
    bh_err err;

    if (!reply->ok || reply->public_record.n != sizeof upkeep->key.public_key)
        return BH_E_CRYPTO;
    memcpy(upkeep->key.public_key, reply->public_record.p, sizeof upkeep->key.public_key);
    upkeep->key.sealed = reply->sealed;
    bh_store_begin(core->store);
    err = bh_zone_key_insert(core->store, upkeep->domain.id, &upkeep->key);
    if (!err)
        err = bh_dnssec_set_roll(core->store, upkeep->domain.id, false, bh_controld_now(core));
    if (err) {
        bh_store_rollback(core->store);
        return err;
    }
    return bh_store_commit_wait(core->store);
}

static void on_key(void *ctx, bh_err err, const struct bh_msg_key_reply *reply)
{
    struct upkeep *upkeep = ctx;
    struct bh_controld *core = upkeep->core;
    int64_t domain = upkeep->domain.id;

    if (!err)
        err = store_key(upkeep, reply);
    if (err) {
        complain(upkeep, "no key for the zone could be made", err);
    } else {
        core->out->log(core->out_ctx, BH_LOG_INFO, "a new key signs the zone", upkeep->domain.name);
        publish(upkeep);
    }
    bh_arena_free(upkeep->arena);
    if (!err)
        run(core, domain);
}

static bh_err make_key(struct upkeep *upkeep, enum bh_zone_key_state state)
{
    struct bh_controld *core = upkeep->core;
    struct bh_key_order order = {.algorithm = BH_KEY_P256,
                                 .customer_id = (uint32_t)upkeep->domain.customer_id,
                                 .domain = upkeep->domain.name,
                                 .selector = {"", 0},
                                 .fd = -1};
    uint64_t id = 0;

    bh_random_fill(core->random, &id, sizeof id);
    upkeep->key =
        (struct bh_zone_key){.id = (int64_t)(id >> 12) + 1, .state = state, .created_at = bh_controld_now(core)};
    order.key_id = (uint64_t)upkeep->key.id;
    return core->out->make_key(core->out_ctx, &order, on_key, upkeep);
}

/* ---- what the parent has ---- */

struct parent_view {
    bool complete; /* every server answered */
    uint32_t servers, ds_count, ttl_s;
    uint32_t having[BH_DNS_SIGN_KEYS_MAX]; /* servers that have a DS of that key */
};

/* By the whole DS where it is ours to compute, by tag and algorithm where a parent made another digest of the CDNSKEY.
 */
static bool is_ds_of(const struct bh_zone_key *key, bh_str apex, bh_str rdata)
{
    unsigned char ds[36];

    if (rdata.n < 5 || bh_zone_key_ds(key, apex, ds))
        return false;
    if (rdata.p[3] == 2)
        return bh_str_eq(rdata, bh_str_of((const char *)ds, sizeof ds));
    return memcmp(rdata.p, ds, 3) == 0;
}

static void count_server(const struct upkeep *upkeep, const struct bh_rec_dns_server_view *server,
                         struct parent_view *view)
{
    struct bh_cur list = bh_cur_make(server->rdatas);
    bool has[BH_DNS_SIGN_KEYS_MAX] = {false};
    struct bh_rec_dns_rdata rdata;

    view->servers++;
    if (!server->authoritative || server->status == BH_DNS_TEMPFAIL || server->status == BH_DNS_BADNAME)
        view->complete = false;
    if (server->status != BH_DNS_FOUND)
        return;
    if (server->ttl_s > view->ttl_s)
        view->ttl_s = server->ttl_s;
    while (bh_rec_dns_rdata_next(&list, &rdata) == BH_MORE) {
        view->ds_count++;
        for (size_t i = 0; i < upkeep->dnssec.key_count; i++)
            has[i] = has[i] || is_ds_of(&upkeep->dnssec.keys[i], upkeep->domain.name, rdata.rdata);
    }
    for (size_t i = 0; i < upkeep->dnssec.key_count; i++)
        view->having[i] += has[i];
}

static bh_err store_view(struct upkeep *upkeep, const struct parent_view *view)
{
    struct bh_dnssec *dnssec = &upkeep->dnssec;
    bh_time_ms now = bh_controld_now(upkeep->core);

    for (size_t i = 0; i < dnssec->key_count; i++)
        dnssec->keys[i].ds = view->having[i] == view->servers ? BH_DS_EVERYWHERE
                             : view->having[i]                ? BH_DS_SOMEWHERE
                                                              : BH_DS_NOWHERE;
    dnssec->asked_at = now;
    dnssec->ds_count = view->ds_count;
    if (view->ttl_s > dnssec->ds_ttl_s)
        dnssec->ds_ttl_s = view->ttl_s;
    dnssec->gone_at = view->ds_count ? 0 : dnssec->gone_at ? dnssec->gone_at : now;
    return bh_dnssec_set_seen(upkeep->core->store, upkeep->domain.id, dnssec);
}

static void on_parent(void *ctx, bh_err err, const struct bh_msg_dns_ask_reply *reply)
{
    struct upkeep *upkeep = ctx;
    struct bh_controld *core = upkeep->core;
    struct parent_view view = {.complete = true};
    struct bh_rec_dns_server_view server;
    int64_t domain = upkeep->domain.id;
    struct bh_cur list;

    if (!err) /* the keys may have changed while the parent was asked */
        err = bh_dnssec_read(core->store, upkeep->arena, domain, false, &upkeep->dnssec);
    if (!err) {
        list = bh_cur_make(reply->views);
        while (bh_rec_dns_server_view_next(&list, &server) == BH_MORE)
            count_server(upkeep, &server, &view);
    }
    view.complete = view.complete && view.servers;
    if (!err && view.complete)
        err = store_view(upkeep, &view);
    bh_arena_free(upkeep->arena);
    if (!err && view.complete)
        run(core, domain);
}

static bh_err ask_parent(struct upkeep *upkeep)
{
    struct bh_msg_dns_ask ask = {upkeep->domain.name, BH_DNS_DS, 1};

    return upkeep->core->out->ask_dns(upkeep->core->out_ctx, &ask, on_parent, upkeep);
}

/* ---- steps ---- */

static bh_err change_key(struct upkeep *upkeep, const struct bh_dnssec_step *step)
{
    struct bh_controld *core = upkeep->core;
    const struct bh_zone_key *key = &upkeep->dnssec.keys[step->key];
    char text[80];
    bh_err err;

    if (step->what == BH_DNSSEC_REMOVE_ALL) {
        err = bh_dnssec_forget(core->store, upkeep->domain.id);
        if (!err)
            err = bh_zone_signatures_forget(core->store,
                                            upkeep->domain.approach == BH_APPROACH_PLATFORM ? 0 : upkeep->domain.id);
    } else if (step->what == BH_DNSSEC_REMOVE_KEY) {
        err = bh_zone_key_delete(core->store, key->id);
    } else {
        err = bh_zone_key_set_state(core->store, key->id, step->state, bh_controld_now(core));
    }
    if (err)
        return err;
    if (step->what == BH_DNSSEC_REMOVE_ALL)
        (void)snprintf(text, sizeof text, "the zone is not signed any more");
    else
        (void)snprintf(text, sizeof text, "key %u of the zone is %s", bh_zone_key_tag(key),
                       step->what == BH_DNSSEC_REMOVE_KEY ? "removed" : bh_zone_key_state_name(step->state));
    core->out->log(core->out_ctx, BH_LOG_INFO, text, upkeep->domain.name);
    publish(upkeep);
    return bh_dnssec_read(core->store, upkeep->arena, upkeep->domain.id, false, &upkeep->dnssec);
}

/* True when `upkeep` was handed on and lives until it is called back. */
static bool do_steps(struct upkeep *upkeep)
{
    struct bh_controld *core = upkeep->core;
    struct bh_domain *domain = &upkeep->domain;
    bool never_served = domain->state == BH_DOMAIN_PENDING && domain->approach != BH_APPROACH_PLATFORM;
    bh_time_ms now = bh_controld_now(core), next_at = now + AGAIN_MS;
    struct bh_dnssec_step step = {0};
    bh_err err = BH_OK;

    for (int i = 0; !err && i < STEPS_MAX; i++) {
        step = bh_dnssec_next(&upkeep->dnssec, never_served, &core->dnssec, now);
        if (step.what == BH_DNSSEC_NOTHING || step.what == BH_DNSSEC_MAKE_KEY)
            break;
        err = change_key(upkeep, &step);
    }
    /* an hour at most, so that a changed configuration takes effect */
    if (!err && step.what == BH_DNSSEC_NOTHING && !step.ask_parent)
        next_at = step.next_at < now + 3600 * 1000 ? step.next_at : now + 3600 * 1000;
    if (!err)
        err = bh_dnssec_set_next(core->store, domain->id, next_at);
    wake_in(core, next_at - now);
    if (!err && step.what == BH_DNSSEC_MAKE_KEY)
        err = make_key(upkeep, step.state);
    else if (!err && step.ask_parent)
        err = ask_parent(upkeep);
    else
        return false;
    if (err && err != BH_E_CLOSED)
        complain(upkeep, "the keys of the zone cannot be kept up", err);
    return err == BH_OK;
}

/* A removed domain: its keys sign the tombstone as long as that stands. */
static bh_err keep_or_forget(struct bh_controld *core, struct bh_arena *arena, int64_t domain)
{
    struct bh_domain_view view;
    bool holds_zone = false;
    bh_time_ms until = 0;
    bh_err err = bh_controld_view_removed(core, arena, domain, &view, &holds_zone, &until);

    if (!err && until)
        return bh_dnssec_set_next(core->store, domain, bh_controld_now(core) + 24 * 3600 * 1000);
    return bh_dnssec_forget(core->store, domain);
}

static void run(struct bh_controld *core, int64_t domain)
{
    struct bh_arena *arena = bh_arena_new(ARENA_BYTES);
    struct upkeep *upkeep = arena ? bh_arena_alloc(arena, sizeof *upkeep) : NULL;
    bh_err err = upkeep ? BH_OK : BH_E_NOMEM;

    if (!err) {
        *upkeep = (struct upkeep){.core = core, .arena = arena};
        err = bh_domain_by_id(core->store, arena, domain, &upkeep->domain);
    }
    if (err == BH_E_NOT_FOUND)
        err = keep_or_forget(core, arena, domain);
    else if (!err)
        err = bh_dnssec_read(core->store, arena, domain, false, &upkeep->dnssec);
    if (!err && upkeep->domain.id && do_steps(upkeep))
        return;
    bh_arena_free(arena);
}

/* ---- what is due ---- */

struct due {
    int64_t ids[DUE_MAX];
    size_t count;
};

static void add_due(void *ctx, int64_t domain)
{
    struct due *due = ctx;

    if (due->count < DUE_MAX)
        due->ids[due->count++] = domain;
}

static void renew(void *ctx, unsigned kind, int64_t domain, bh_str name)
{
    bh_publish_mark(ctx, &(struct bh_zone_source){kind, domain, name});
}

/* Once a day, while signatures that should be made anew are not. */
static void warn_of_old_signatures(struct bh_controld *core, bh_time_ms now)
{
    struct bh_zone_signatures_sum sum;
    char text[160];
    int64_t left_ms;

    if (now < core->signatures_warn_at || bh_zone_signatures_sum(core->store, &sum) || !sum.zones)
        return;
    left_ms = sum.renew_at + BH_DNSSEC_SPARE_MS - now;
    if (left_ms > BH_DNSSEC_SPARE_MS - LATE_MS)
        return;
    core->signatures_warn_at = now + 24 * 3600 * 1000;
    (void)snprintf(text, sizeof text,
                   "signatures of zones are not renewed: the first end in %lld days, then the zone is gone for whoever "
                   "validates",
                   (long long)left_ms / 86400000);
    core->out->log(core->out_ctx, BH_LOG_WARN, text, (bh_str){"", 0});
}

void bh_zone_keys_tick(struct bh_controld *core)
{
    struct due due = {.count = 0};
    bh_time_ms now = bh_controld_now(core), next = INT64_MAX;
    bh_err err = bh_dnssec_list_due(core->store, now, DUE_MAX, add_due, &due);

    for (size_t i = 0; !err && i < due.count; i++)
        run(core, due.ids[i]);
    if (!err)
        err = bh_zone_signatures_list_due(core->store, now, RENEW_MAX, renew, core);
    bh_sign_retry(core);
    warn_of_old_signatures(core, now);
    if (!err)
        err = bh_dnssec_next_due(core->store, &next);
    if (err)
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot keep up the keys of zones",
                       bh_str_c(bh_store_error(core->store)));
    wake_in(core, next - now < AGAIN_MS ? next - now : AGAIN_MS);
}

/* ---- orders ---- */

bh_err bh_zone_keys_want(struct bh_controld *core, int64_t domain, bool wanted)
{
    struct bh_arena *arena = bh_arena_new(1 << 16);
    struct bh_dnssec dnssec;
    bh_err err = arena ? bh_dnssec_read(core->store, arena, domain, false, &dnssec) : BH_E_NOMEM;

    if (!err && dnssec.wanted != wanted) {
        err = bh_dnssec_want(core->store, domain, wanted, bh_controld_now(core));
        if (!err && dnssec.key_count) { /* CDS says something else now */
            struct upkeep upkeep = {.core = core, .arena = arena};

            err = bh_domain_by_id(core->store, arena, domain, &upkeep.domain);
            if (!err)
                publish(&upkeep);
        }
        wake_in(core, 0);
    }
    bh_arena_free(arena);
    return err;
}

bh_err bh_zone_keys_platform(struct bh_controld *core, bool wanted)
{
    struct bh_arena *arena = bh_arena_new(1 << 16);
    struct bh_domain own;
    bh_err err = arena ? bh_domain_by_name(core->store, arena, core->platform.domain, 0, &own) : BH_E_NOMEM;

    if (!err)
        err = bh_zone_keys_want(core, own.id, wanted);
    bh_arena_free(arena);
    wake_in(core, 1000); /* the first look at what is due */
    return err;
}

bh_err bh_zone_keys_roll(struct bh_controld *core, int64_t domain)
{
    struct bh_arena *arena = bh_arena_new(1 << 16);
    struct bh_dnssec dnssec;
    bh_err err = arena ? bh_dnssec_read(core->store, arena, domain, false, &dnssec) : BH_E_NOMEM;

    bh_arena_free(arena);
    if (err)
        return err;
    if (!dnssec.wanted)
        return BH_E_NOT_FOUND;
    if (dnssec.key_count != 1)
        return BH_E_EXISTS;
    err = bh_dnssec_set_roll(core->store, domain, true, bh_controld_now(core));
    wake_in(core, 0);
    return err;
}

void bh_zone_keys_keyd_up(struct bh_controld *core, bh_str grant_key)
{
    if (grant_key.n != sizeof core->grant_key)
        return;
    memcpy(core->grant_key, grant_key.p, grant_key.n);
    core->has_grant_key = true;
    if (bh_dnssec_wake_keyless(core->store, bh_controld_now(core)))
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot find the zones without keys",
                       bh_str_c(bh_store_error(core->store)));
    wake_in(core, 0);
}

bh_err bh_zone_keys_view(struct bh_controld *core, struct bh_arena *arena, struct bh_domain_view *view)
{
    struct bh_dnssec *dnssec;
    bh_err err;

    if (!bh_domain_has_zone(&view->domain) && view->domain.approach != BH_APPROACH_PLATFORM)
        return BH_OK;
    dnssec = bh_arena_alloc(arena, sizeof *dnssec);
    if (!dnssec)
        return BH_E_NOMEM;
    err = bh_dnssec_read(core->store, arena, view->domain.id, false, dnssec);
    if (!err)
        view->dnssec = dnssec;
    return err;
}
