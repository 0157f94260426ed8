/* publish.c: which zones are old, and building them from the store.
 *
 * A change marks what it touches; at the end of the turn each marked zone is built once and pushed whole, then one
 * commit makes dnsd serve them together. Shard zones are gathered by shard, so a change costs one shard, not the
 * platform. */
#include "connect.h"
#include "core.h"
#include "domain/custom.h"
#include "sign.h"
#include "store/flat.h"
#include <stdlib.h>

enum { ZONE_ARENA_BYTES = 256 << 20, CHILDREN_MAX = 8192, FLAT_TTL_MAX_S = 300 };

/* The numbers stand in control.db, beside signatures. */
enum dirty_kind { DIRTY_PLATFORM, DIRTY_RUA, DIRTY_SHARD, DIRTY_DELEGATED, DIRTY_REMOVED, DIRTY_FLAT };

struct dirty {
    struct bh_list node;
    enum dirty_kind kind;
    int64_t domain; /* of DIRTY_DELEGATED */
    size_t n;
    char name[256]; /* shard, or the zone that is gone */
};

#define DIRTY_OF(node_) BH_CONTAINER_OF((node_), struct dirty, node)

static void mark(struct bh_controld *core, enum dirty_kind kind, int64_t domain, bh_str name)
{
    struct dirty *dirty;

    BH_LIST_EACH (node, &core->dirty) {
        dirty = DIRTY_OF(node);
        if (dirty->kind == kind && dirty->domain == domain && bh_str_eq(bh_str_of(dirty->name, dirty->n), name))
            return;
    }
    dirty = name.n < sizeof(dirty->name) ? calloc(1, sizeof(*dirty)) : NULL;
    if (!dirty) {
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot note a changed zone", name);
        return;
    }
    dirty->kind = kind;
    dirty->domain = domain;
    dirty->n = name.n;
    if (name.n)
        memcpy(dirty->name, name.p, name.n);
    bh_list_push(&core->dirty, &dirty->node);
    core->out->settle(core->out_ctx);
}

void bh_publish_platform(struct bh_controld *core)
{
    mark(core, DIRTY_PLATFORM, 0, (bh_str){"", 0});
}

void bh_publish_mark(struct bh_controld *core, const struct bh_zone_source *source)
{
    mark(core, (enum dirty_kind)source->kind, source->domain, source->name);
}

/* The platform zone delegates the zones of every shard in use, also of one that holds no CNAME's target yet: they have
 * to be there. */
static bool shard_is_served(const struct bh_controld *core, bh_str shard)
{
    struct bh_arena *arena = bh_arena_new(4096);
    bh_str apex = arena ? bh_shard_zone_name(arena, &core->platform, shard, bh_shard_kind(0)) : (bh_str){NULL, 0};
    bool served = apex.p && bh_serial_known(core, apex);

    bh_arena_free(arena);
    return served;
}

void bh_publish_domain(struct bh_controld *core, const struct bh_domain *domain)
{
    bh_publish_platform(core);
    mark(core, DIRTY_RUA, 0, (bh_str){"", 0});
    if (bh_domain_has_targets(domain) || !shard_is_served(core, bh_str_c(domain->token.shard)))
        mark(core, DIRTY_SHARD, 0, bh_str_c(domain->token.shard));
    if (bh_domain_has_zone(domain))
        mark(core, DIRTY_DELEGATED, domain->id, (bh_str){"", 0});
}

void bh_publish_flat(struct bh_controld *core)
{
    mark(core, DIRTY_FLAT, 0, (bh_str){"", 0});
}

void bh_publish_everything(struct bh_controld *core)
{
    core->all_dirty = true;
    core->out->settle(core->out_ctx);
}

static void mark_shard(void *ctx, bh_str shard)
{
    mark(ctx, DIRTY_SHARD, 0, shard);
}

void bh_publish_every(struct bh_controld *core)
{
    bh_publish_platform(core);
    mark(core, DIRTY_RUA, 0, (bh_str){"", 0});
    bh_publish_flat(core);
    if (bh_shard_list(core->store, mark_shard, core))
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot list the shards", bh_str_c(bh_store_error(core->store)));
}

void bh_publish_keys(struct bh_controld *core, const struct bh_domain *domain)
{
    if (bh_domain_has_targets(domain))
        mark(core, DIRTY_SHARD, 0, bh_str_c(domain->token.shard));
    if (bh_domain_has_zone(domain))
        mark(core, DIRTY_DELEGATED, domain->id, (bh_str){"", 0});
    if (bh_str_eq(domain->name, core->platform.domain))
        bh_publish_platform(core);
}

void bh_publish_removed(struct bh_controld *core, bh_str zone)
{
    mark(core, DIRTY_REMOVED, 0, zone);
}

/* ---- building ---- */

struct build {
    struct bh_controld *core;
    struct bh_arena *arena;
    void (*zone)(void *ctx, const struct bh_zone *zone);
    void (*keep)(void *ctx, bh_str apex); /* NULL: what is served stays by itself */
    void *ctx;
    bh_err err;
    struct bh_zone_source source;     /* of what is built */
    struct bh_zone_owner platform;    /* keys of all zones but the delegated ones */
    struct bh_dnssec platform_dnssec; /* in platform_arena */
    struct bh_arena *platform_arena;
};

static bh_err make_build(struct bh_controld *core, struct build *build)
{
    struct bh_domain own;
    bh_err err;

    *build =
        (struct build){.core = core, .arena = bh_arena_new(ZONE_ARENA_BYTES), .platform_arena = bh_arena_new(1 << 16)};
    if (!build->arena || !build->platform_arena)
        return BH_E_NOMEM;
    err = bh_domain_by_name(core->store, build->platform_arena, core->platform.domain, 0, &own);
    if (!err)
        err = bh_dnssec_read(core->store, build->platform_arena, own.id, true, &build->platform_dnssec);
    if (!err)
        build->platform = (struct bh_zone_owner){own.id, (uint32_t)own.customer_id, own.name, &build->platform_dnssec};
    return err;
}

static void free_build(struct build *build)
{
    bh_arena_free(build->arena);
    bh_arena_free(build->platform_arena);
}

static void finish(struct build *build, bh_err err, struct bh_zone *zone, const struct bh_zone_owner *owner)
{
    if (!err)
        err = bh_zone_err(zone);
    if (!err)
        err = bh_serial_settle(build->core, zone);
    if (!err && owner->dnssec && owner->dnssec->key_count)
        err = bh_sign_zone(build->core, zone, &build->source, owner);
    if (err == BH_E_AGAIN) {
        if (build->keep)
            build->keep(build->ctx, zone->apex);
        bh_arena_reset(build->arena);
        return;
    }
    if (!err)
        build->zone(build->ctx, zone);
    else
        build->core->out->log(build->core->out_ctx, BH_LOG_ERROR, "cannot build a zone", bh_str_c(bh_err_text(err)));
    if (err && !build->err)
        build->err = err;
    bh_arena_reset(build->arena);
}

struct names {
    struct bh_arena *arena;
    const struct bh_platform *platform;
    bh_str *names;
    size_t count;
};

static void add_shard_children(void *ctx, bh_str shard)
{
    struct names *names = ctx;

    for (size_t i = 0; bh_shard_kind(i) && names->count < CHILDREN_MAX; i++)
        names->names[names->count++] = bh_shard_zone_name(names->arena, names->platform, shard, bh_shard_kind(i));
}

/* Our own children have the platform's keys. */
static void add_child_ds(struct bh_zone *zone, bh_str child, const struct bh_dnssec *dnssec)
{
    for (size_t i = 0; bh_dnssec_is_ready(dnssec) && i < dnssec->key_count; i++)
        bh_zone_add(zone, child, 3600, BH_DNS_DS, bh_zone_key_ds_text(zone->arena, &dnssec->keys[i], child));
}

static void build_platform(struct build *build)
{
    struct bh_controld *core = build->core;
    struct names names = {build->arena, &core->platform, bh_arena_array(build->arena, CHILDREN_MAX, sizeof(bh_str)), 0};
    struct bh_domain own;
    struct bh_domain_view view;
    struct bh_zone zone;
    bh_err err =
        names.names ? bh_domain_by_name(core->store, build->arena, core->platform.domain, 0, &own) : BH_E_NOMEM;

    if (!err)
        err = bh_controld_view(core, build->arena, own.id, false, &view);
    if (!err)
        err = bh_shard_list(core->store, add_shard_children, &names);
    if (!err) {
        names.names[names.count++] =
            bh_zone_name(&(struct bh_zone){.arena = build->arena}, BH_STR("rua"), core->platform.domain);
        names.names[names.count++] =
            bh_zone_name(&(struct bh_zone){.arena = build->arena}, BH_STR("flat"), core->platform.domain);
        err = bh_build_platform_zone(build->arena, &core->platform, &view, names.names, names.count, &zone);
    }
    for (size_t i = 0; !err && i < names.count; i++)
        add_child_ds(&zone, names.names[i], &build->platform_dnssec);
    if (!err)
        bh_connect_key_publish(core, &zone);
    finish(build, err, &zone, &build->platform);
}

struct adding {
    struct build *build;
    struct bh_zone *zone;
    const char *kind; /* NULL: rua */
};

static bool add_to_rua(void *ctx, const struct bh_domain *domain)
{
    struct adding *adding = ctx;

    bh_rua_zone_add(adding->zone, &adding->build->core->platform, domain);
    return adding->zone->err == BH_OK;
}

static void build_rua(struct build *build)
{
    struct bh_controld *core = build->core;
    struct bh_zone zone;
    struct adding adding = {build, &zone, NULL};
    bh_err err = bh_rua_zone_begin(build->arena, &core->platform, &zone);

    if (!err)
        err = bh_domain_list(core->store, 0, (bh_str){"", 0}, INT64_MAX, add_to_rua, &adding);
    finish(build, err, &zone, &build->platform);
}

static void add_flat(void *ctx, const struct bh_flat_row *flat)
{
    struct adding *adding = ctx;
    uint32_t ttl_s = adding->build->core->platform.ttl_s;
    bh_str lines = flat->published;

    while (lines.n) {
        bh_str text, name = bh_str_cut(bh_str_cut(lines, '\n', &lines), ' ', &text);

        bh_zone_add_txt(adding->zone, name, ttl_s < FLAT_TTL_MAX_S ? ttl_s : FLAT_TTL_MAX_S, text);
    }
}

static void build_flat(struct build *build)
{
    struct bh_controld *core = build->core;
    struct bh_zone zone;
    struct adding adding = {build, &zone, NULL};
    bh_err err = bh_flat_zone_begin(build->arena, &core->platform, &zone);

    if (!err)
        err = bh_flat_list(core->store, 0, add_flat, &adding);
    finish(build, err, &zone, &build->platform);
}

/* The ids first: the keys of each are read with a query of their own, not while the list is being read. */
struct ids {
    struct bh_arena *arena;
    int64_t *ids;
    size_t count, cap;
    bool failed;
};

static bool add_id(void *ctx, const struct bh_domain *domain)
{
    struct ids *ids = ctx;

    if (ids->count == ids->cap) {
        size_t cap = ids->cap ? ids->cap * 2 : 64;
        int64_t *wider = bh_arena_array(ids->arena, cap, sizeof(*wider));

        if (!wider) {
            ids->failed = true;
            return false;
        }
        if (ids->count)
            memcpy(wider, ids->ids, ids->count * sizeof(*wider));
        ids->ids = wider;
        ids->cap = cap;
    }
    ids->ids[ids->count++] = domain->id;
    return true;
}

static bh_err add_tombstones(struct build *build, bh_str shard, const char *kind, struct bh_zone *zone)
{
    struct ids ids = {.arena = build->arena};
    bh_err err = bh_domain_list_tombstones(build->core->store, shard, add_id, &ids);

    if (!err && ids.failed)
        err = BH_E_NOMEM;
    for (size_t i = 0; !err && i < ids.count; i++) {
        struct bh_domain_view view;
        bool holds_zone;
        bh_time_ms until;

        err = bh_controld_view_removed(build->core, build->arena, ids.ids[i], &view, &holds_zone, &until);
        if (!err)
            bh_shard_zone_add_tombstone(zone, &build->core->platform, kind, &view);
    }
    return err;
}

static void build_shard_zone(struct build *build, bh_str shard, const char *kind)
{
    struct bh_controld *core = build->core;
    struct ids ids = {.arena = build->arena};
    struct bh_zone zone;
    bh_err err = bh_shard_zone_begin(build->arena, &core->platform, shard, kind, &zone);

    if (!err)
        err = bh_domain_list_shard(core->store, shard, add_id, &ids);
    if (!err && ids.failed)
        err = BH_E_NOMEM;
    for (size_t i = 0; !err && i < ids.count; i++) {
        struct bh_domain_view view;
        struct bh_platform platform;

        err = bh_controld_view(core, build->arena, ids.ids[i], false, &view);
        if (!err)
            err = bh_egress_platform(core, build->arena, ids.ids[i], view.domain.customer_id, &platform);
        if (!err)
            bh_shard_zone_add(&zone, &platform, kind, &view);
    }
    if (!err)
        err = add_tombstones(build, shard, kind, &zone);
    finish(build, err, &zone, &build->platform);
}

static void build_shard(struct build *build, bh_str shard)
{
    for (size_t i = 0; bh_shard_kind(i); i++)
        build_shard_zone(build, shard, bh_shard_kind(i));
}

/* A removed domain's zone, unless the name is another's by now. */
static void build_tombstone(struct build *build, int64_t domain)
{
    struct bh_controld *core = build->core;
    struct bh_domain_view view;
    struct bh_dnssec dnssec;
    struct bh_zone_owner owner = {0};
    struct bh_zone zone;
    int64_t holder = 0;
    bool holds_zone = false;
    bh_time_ms until = 0;
    bh_err err = bh_controld_view_removed(core, build->arena, domain, &view, &holds_zone, &until);

    if (!err)
        err = bh_domain_zone_holder(core->store, view.domain.name, &holder);
    if (!err && (!holds_zone || !until || holder))
        return;
    if (!err)
        err = bh_build_tombstone_zone(build->arena, &core->platform, &view, &zone);
    if (!err) /* a DS at the parent may still point here */
        err = bh_dnssec_read(core->store, build->arena, domain, true, &dnssec);
    if (!err)
        owner = (struct bh_zone_owner){domain, (uint32_t)view.domain.customer_id, view.domain.name, &dnssec};
    finish(build, err, &zone, &owner);
}

/* Only the zone of who holds the name: see checker.c. */
static void build_delegated(struct build *build, int64_t domain)
{
    struct bh_controld *core = build->core;
    struct bh_platform platform;
    struct bh_domain_view view;
    struct bh_dnssec dnssec;
    struct bh_zone_owner owner = {0};
    struct bh_zone zone;
    int64_t holder = 0;
    size_t own_count;
    bh_err err = bh_controld_view(core, build->arena, domain, false, &view);

    if (err == BH_E_NOT_FOUND) {
        build_tombstone(build, domain);
        return;
    }
    if (!err)
        err = bh_domain_zone_holder(core->store, view.domain.name, &holder);
    if (!err && holder != domain)
        return;
    if (!err)
        err = bh_dnssec_read(core->store, build->arena, domain, true, &dnssec);
    if (!err)
        err = bh_egress_platform(core, build->arena, domain, view.domain.customer_id, &platform);
    if (!err)
        err = bh_build_delegated_zone(build->arena, &platform, &view, &zone);
    own_count = err ? 0 : zone.count;
    if (!err)
        err = bh_zone_record_list(core->store, domain, &zone);
    if (!err && bh_custom_yield(&view.domain, &zone, own_count))
        core->out->log(core->out_ctx, BH_LOG_WARN, "a record of the customer's stands where ours is now: left out",
                       view.domain.name);
    if (!err)
        owner = (struct bh_zone_owner){domain, (uint32_t)view.domain.customer_id, view.domain.name, &dnssec};
    finish(build, err, &zone, &owner);
}

static void build_as(struct build *build, enum dirty_kind kind, int64_t domain, bh_str name)
{
    build->source = (struct bh_zone_source){kind, domain, name};
    switch (kind) {
    case DIRTY_PLATFORM:
        build_platform(build);
        break;
    case DIRTY_RUA:
        build_rua(build);
        break;
    case DIRTY_FLAT:
        build_flat(build);
        break;
    case DIRTY_SHARD:
        build_shard(build, name);
        break;
    case DIRTY_DELEGATED:
        build_delegated(build, domain);
        break;
    case DIRTY_REMOVED:
    default:
        build->core->out->zone_remove(build->core->out_ctx, name);
        bh_serial_forget(build->core, name);
        (void)!bh_zone_signatures_delete(build->core->store, name);
        break;
    }
}

/* Serials are the time where it runs ahead, so that they grow over restarts too (RFC 1982); after a burst of changes
 * they are ahead of it, and stored. */
static void next_serial(struct bh_controld *core)
{
    uint32_t now_s = (uint32_t)(bh_controld_now(core) / 1000);

    char text[16];

    core->serial = now_s > core->serial ? now_s : core->serial + 1;
    core->platform.serial = core->serial;
    if (core->serial == now_s)
        return;
    (void)snprintf(text, sizeof(text), "%u", core->serial);
    if (bh_setting_set(core->store, BH_STR("serial"), bh_str_c(text)))
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot store the serial", bh_str_c(bh_store_error(core->store)));
}

struct shard_copy {
    char shards[CHILDREN_MAX / 4][BH_SHARD_CHARS];
    size_t count;
};

static void copy_shard(void *ctx, bh_str shard)
{
    struct shard_copy *copy = ctx;

    if (shard.n == BH_SHARD_CHARS && copy->count < CHILDREN_MAX / 4)
        memcpy(copy->shards[copy->count++], shard.p, BH_SHARD_CHARS);
}

static void build_all_delegated(struct build *build)
{
    struct ids ids = {.arena = bh_arena_new(64 << 20)};
    bh_err err =
        ids.arena ? bh_domain_list(build->core->store, 0, (bh_str){"", 0}, INT64_MAX, add_id, &ids) : BH_E_NOMEM;

    for (size_t i = 0; !err && i < ids.count; i++) {
        struct bh_domain domain;

        bh_arena_reset(build->arena);
        err = bh_domain_by_id(build->core->store, build->arena, ids.ids[i], &domain);
        if (!err && bh_domain_has_zone(&domain))
            build_as(build, DIRTY_DELEGATED, ids.ids[i], (bh_str){"", 0});
    }
    ids.count = 0;
    if (!err)
        err = bh_domain_list_tombstones(build->core->store, (bh_str){NULL, 0}, add_id, &ids);
    for (size_t i = 0; !err && i < ids.count; i++) {
        bh_arena_reset(build->arena);
        build->source = (struct bh_zone_source){DIRTY_DELEGATED, ids.ids[i], {"", 0}};
        build_tombstone(build, ids.ids[i]);
    }
    if (err && !build->err)
        build->err = err;
    bh_arena_free(ids.arena);
}

static void build_everything(struct build *build)
{
    struct shard_copy *copy = calloc(1, sizeof(*copy));

    if (!copy) {
        build->err = BH_E_NOMEM;
        return;
    }
    build_as(build, DIRTY_PLATFORM, 0, (bh_str){"", 0});
    build_as(build, DIRTY_RUA, 0, (bh_str){"", 0});
    build_as(build, DIRTY_FLAT, 0, (bh_str){"", 0});
    build->err = build->err ? build->err : bh_shard_list(build->core->store, copy_shard, copy);
    for (size_t i = 0; i < copy->count; i++)
        build_as(build, DIRTY_SHARD, 0, bh_str_of(copy->shards[i], BH_SHARD_CHARS));
    build_all_delegated(build);
    free(copy);
}

static void build_dirty(struct build *build)
{
    struct bh_controld *core = build->core;

    for (struct bh_list *node; (node = bh_list_pop(&core->dirty));) {
        struct dirty *dirty = DIRTY_OF(node);

        if (!core->all_dirty || dirty->kind == DIRTY_REMOVED)
            build_as(build, dirty->kind, dirty->domain, bh_str_of(dirty->name, dirty->n));
        free(dirty);
    }
    if (core->all_dirty)
        build_everything(build);
    core->all_dirty = false;
}

void bh_publish_settle(struct bh_controld *core)
{
    struct build build;

    if (bh_list_empty(&core->dirty) && !core->all_dirty)
        return;
    if (make_build(core, &build)) {
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot build zones", bh_str_c(bh_store_error(core->store)));
        free_build(&build);
        return;
    }
    build.zone = core->out->zone;
    build.ctx = core->out_ctx;
    next_serial(core);
    build_dirty(&build);
    free_build(&build);
    core->out->zones_commit(core->out_ctx, core->version, false, core->serial);
}

bh_err bh_publish_all_to(struct bh_controld *core, void (*zone)(void *ctx, const struct bh_zone *zone),
                         void (*keep)(void *ctx, bh_str apex), void *ctx)
{
    struct build build;
    bh_err err = make_build(core, &build);

    if (err) {
        free_build(&build);
        return err;
    }
    build.zone = zone;
    build.keep = keep;
    build.ctx = ctx;
    next_serial(core);
    build_everything(&build);
    free_build(&build);
    return build.err;
}

bh_err bh_publish_all(struct bh_controld *core, void (*zone)(void *ctx, const struct bh_zone *zone), void *ctx)
{
    return bh_publish_all_to(core, zone, NULL, ctx);
}

void bh_publish_free(struct bh_controld *core)
{
    for (struct bh_list *node; (node = bh_list_pop(&core->dirty));)
        free(DIRTY_OF(node));
}
