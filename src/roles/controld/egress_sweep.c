/* egress_sweep.c: is what we published for egress addresses answered by every authoritative server?
 *
 * A zone changes as a whole, on a server of ours as on a secondary that transfers it. So one name per zone is asked for
 * that the change touched, at every server of the zone, and its answer must be the record that we publish now:
 *
 *   HELO names with a new address, the parts of long SPF, the platform's own bounce domain   (platform zone)
 *   one SPF name in each bounce and spf zone of a shard                                       (shard zones)
 *   the SPF name of each delegated zone whose mail can leave
 *
 * Domains are read in pages; the first answer that is not ours ends the sweep, which is repeated later from the start.
 * A delegation that is broken at the parent does not hold up the others: what nobody can look up, nobody has cached. */
#include "egress.h"
#include <stdlib.h>

enum { PAGE_ROWS = 1000, PAGE_QUESTIONS = 64, ARENA_BYTES = 64 << 20, SHARDS = 32 * 32, KINDS_MAX = 8 };

struct bh_egress_sweep {
    struct bh_controld *core;
    struct bh_arena *arena; /* of a page */
    bh_time_ms began_at;
    int64_t after; /* domain */
    bool is_last;
    size_t pending;
    size_t asked; /* in this page */
    bool asking;
    bool failed;
    bool is_stopped;              /* bh_egress_sweep_free: nothing is told any more */
    unsigned char shards[SHARDS]; /* bit per kind: asked */
};

struct question {
    struct bh_egress_sweep *sweep;
    bh_str name;
    uint16_t type;
    bh_str expected; /* TXT: the text of our record; else rdata that must be there */
    bool may_be_missing;
};

static void next_page(struct bh_egress_sweep *sweep);

static void finish(struct bh_egress_sweep *sweep)
{
    struct bh_controld *core = sweep->core;
    bool ok = !sweep->failed, tell = !sweep->is_stopped;
    bh_time_ms began_at = sweep->began_at;

    core->egress->sweep = NULL;
    bh_arena_free(sweep->arena);
    free(sweep);
    if (!tell)
        return;
    if (ok)
        core->egress->waiting[0] = '\0';
    bh_egress_swept(core, ok, began_at);
}

/* ---- answers ---- */

static void fail(struct question *question, bh_str server, const char *what)
{
    struct bh_egress *egress = question->sweep->core->egress;

    question->sweep->failed = true;
    (void)snprintf(egress->waiting, sizeof(egress->waiting), "%.*s: %s (asked for %.*s)", BH_FMT(server), what,
                   BH_FMT(question->name));
}

static bool holds(struct question *question, bh_str rdatas)
{
    struct bh_cur cur = bh_cur_make(rdatas);
    struct bh_rec_dns_rdata rdata;

    while (bh_rec_dns_rdata_next(&cur, &rdata) == BH_MORE) {
        bh_str text = question->type == BH_DNS_TXT ? bh_txt_joined(question->sweep->arena, rdata.rdata) : rdata.rdata;

        if (bh_str_eq(text, question->expected))
            return true;
    }
    return false;
}

static void judge(struct question *question, bh_str views)
{
    struct bh_cur cur = bh_cur_make(views);
    struct bh_rec_dns_server_view view;
    size_t found = 0, missing = 0;
    bh_str silent = {"", 0};

    while (bh_rec_dns_server_view_next(&cur, &view) == BH_MORE) {
        if (view.status == BH_DNS_FOUND) {
            found++;
            if (!holds(question, view.rdatas))
                fail(question, view.server, "does not answer with the new record yet");
        } else {
            missing++;
            silent = view.server;
        }
    }
    if (missing && (found || !question->may_be_missing))
        fail(question, silent, "does not answer with a record");
    if (!missing && !found && !question->may_be_missing)
        fail(question, BH_STR("DNS"), "no name server could be asked");
}

static void on_views(void *ctx, bh_err err, const struct bh_msg_dns_ask_reply *reply)
{
    struct question *question = ctx;
    struct bh_egress_sweep *sweep = question->sweep;

    if (err)
        fail(question, BH_STR("steward"), bh_err_text(err));
    else
        judge(question, reply->views);
    sweep->pending--;
    if (!sweep->pending && !sweep->asking)
        next_page(sweep);
}

/* ---- questions ---- */

static void ask(struct bh_egress_sweep *sweep, bh_str name, uint16_t type, bh_str expected, bool may_be_missing)
{
    struct bh_controld *core = sweep->core;
    struct question *question = bh_arena_alloc(sweep->arena, sizeof(*question));
    struct bh_msg_dns_ask message = {name, type, 1};

    if (!question || !name.p || !expected.p) {
        sweep->failed = true;
        return;
    }
    *question = (struct question){sweep, bh_arena_dup(sweep->arena, name), type, bh_arena_dup(sweep->arena, expected),
                                  may_be_missing};
    if (sweep->failed || !question->name.p || !question->expected.p)
        return;
    sweep->pending++;
    sweep->asked++;
    if (core->out->ask_dns(core->out_ctx, &message, on_views, question)) {
        fail(question, BH_STR("steward"), "is not running");
        sweep->pending--;
    }
}

/* The first SPF record of a zone. */
static const struct bh_zone_record *find_spf(struct bh_arena *arena, const struct bh_zone *zone, bh_str *ret_text)
{
    for (size_t i = 0; i < zone->count; i++) {
        bh_str text;

        if (zone->records[i].type != BH_DNS_TXT)
            continue;
        text = bh_txt_joined(arena, zone->records[i].rdata);
        if (bh_str_starts(text, BH_STR("v=spf1"))) {
            *ret_text = text;
            return &zone->records[i];
        }
    }
    return NULL;
}

static void ask_zone(struct bh_egress_sweep *sweep, const struct bh_zone *zone, bool may_be_missing)
{
    bh_str text;
    const struct bh_zone_record *record = find_spf(sweep->arena, zone, &text);

    if (record)
        ask(sweep, record->owner, BH_DNS_TXT, text, may_be_missing);
}

static int base32(char c)
{
    if (c >= 'a' && c <= 'z')
        return c - 'a';
    return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

static void ask_targets(struct bh_egress_sweep *sweep, const struct bh_platform *platform,
                        const struct bh_domain_view *view)
{
    const char *shard = view->domain.token.shard;
    int high = base32(shard[0]), low = high >= 0 ? base32(shard[1]) : -1;
    unsigned char *done = low >= 0 ? &sweep->shards[high * 32 + low] : NULL;

    for (size_t kind = 0; bh_shard_kind(kind) && kind < KINDS_MAX; kind++) {
        size_t before = sweep->asked;
        struct bh_zone zone;

        if (done && *done & 1u << kind)
            continue;
        if (bh_shard_zone_begin(sweep->arena, platform, bh_str_c(shard), bh_shard_kind(kind), &zone))
            continue;
        bh_shard_zone_add(&zone, platform, bh_shard_kind(kind), view);
        ask_zone(sweep, &zone, false);
        if (done && sweep->asked > before)
            *done |= (unsigned char)(1u << kind);
    }
}

/* Is something that is published now in this domain's SPF? */
static bool is_touched(struct bh_controld *core, const struct bh_domain_pools *pools)
{
    if (pools->is_moving && pools->use.state == BH_EGRESS_PUBLISHED)
        return true;
    for (size_t i = 0; i < pools->listed_count; i++)
        if (bh_egress_has_state(core, pools->listed[i], BH_EGRESS_PUBLISHED))
            return true;
    return false;
}

static bool all_kinds_done(const struct bh_egress_sweep *sweep, const struct bh_domain *domain)
{
    int high = base32(domain->token.shard[0]), low = high >= 0 ? base32(domain->token.shard[1]) : -1;

    /* bounce and spf: a shard without manual domains has no SPF in the latter and is looked at again, which is cheap */
    return low >= 0 && (sweep->shards[high * 32 + low] & 0x0a) == 0x0a;
}

static bh_err ask_domain(struct bh_egress_sweep *sweep, int64_t id)
{
    struct bh_controld *core = sweep->core;
    struct bh_domain_view view;
    struct bh_domain_pools pools;
    struct bh_platform platform;
    struct bh_zone zone;
    int64_t holder = 0;
    bh_err err = bh_controld_view(core, sweep->arena, id, false, &view);

    if (!err)
        err = bh_egress_pools_of(core, id, view.domain.customer_id, &pools);
    if (err || !is_touched(core, &pools))
        return err;
    err = bh_egress_platform(core, sweep->arena, id, view.domain.customer_id, &platform);
    if (!err && bh_domain_has_targets(&view.domain))
        ask_targets(sweep, &platform, &view);
    if (err || !bh_domain_has_zone(&view.domain) || !view.domain.can_send)
        return err;
    err = bh_domain_zone_holder(core->store, view.domain.name, &holder);
    if (!err && holder == id && !bh_build_delegated_zone(sweep->arena, &platform, &view, &zone))
        ask_zone(sweep, &zone, true);
    return err;
}

static void ask_platform(struct bh_egress_sweep *sweep)
{
    struct bh_controld *core = sweep->core;
    const struct bh_egress *egress = core->egress;
    struct bh_zone scratch = bh_zone_make(sweep->arena, core->platform.domain);

    for (size_t i = 0; i < egress->address_count; i++) {
        const struct bh_egress_address *a = &egress->addresses[i];

        if (a->state != BH_EGRESS_PUBLISHED || !bh_str_is_at_or_below(a->helo, core->platform.domain))
            continue;
        bh_zone_add_address(&scratch, a->helo, 1, a->address);
        if (!bh_zone_err(&scratch) && scratch.count)
            ask(sweep, a->helo, scratch.records[scratch.count - 1].type, scratch.records[scratch.count - 1].rdata,
                false);
    }
    if (bh_egress_has_state(core, BH_POOL_DEFAULT, BH_EGRESS_PUBLISHED)) {
        struct bh_zone own = bh_zone_make(sweep->arena, core->platform.domain);

        bh_zone_add_spf(&own, &core->platform, core->platform.domain);
        ask_zone(sweep, &own, false);
    }
    for (size_t i = 0; i < core->platform.text_count; i++)
        ask(sweep, core->platform.texts[i].name, BH_DNS_TXT, core->platform.texts[i].text, false);
}

/* ---- pages ---- */

struct page {
    struct bh_egress_sweep *sweep;
    int64_t ids[PAGE_QUESTIONS];
    size_t count, rows;
};

static bool add_row(void *ctx, const struct bh_domain *domain)
{
    struct page *page = ctx;

    page->rows++;
    page->sweep->after = domain->id;
    if (bh_domain_has_targets(domain) && all_kinds_done(page->sweep, domain))
        return true;
    page->ids[page->count++] = domain->id;
    return page->count < PAGE_QUESTIONS;
}

static bh_err ask_page(struct bh_egress_sweep *sweep)
{
    struct page page = {.sweep = sweep};
    bh_err err = bh_domain_page(sweep->core->store, sweep->after, PAGE_ROWS, add_row, &page);

    for (size_t i = 0; !err && i < page.count && !sweep->failed; i++) {
        err = ask_domain(sweep, page.ids[i]);
        if (err == BH_E_NOT_FOUND)
            err = BH_OK;
    }
    sweep->is_last = page.rows == 0;
    return err;
}

static void next_page(struct bh_egress_sweep *sweep)
{
    bh_err err = BH_OK;

    sweep->asking = true;
    while (!err && !sweep->failed && !sweep->is_last && !sweep->pending) {
        bh_arena_reset(sweep->arena);
        sweep->asked = 0;
        err = ask_page(sweep);
    }
    sweep->asking = false;
    if (err)
        sweep->failed = true;
    if (!sweep->pending)
        finish(sweep);
}

void bh_egress_sweep_run(struct bh_controld *core)
{
    struct bh_egress_sweep *sweep = calloc(1, sizeof(*sweep));

    if (!sweep)
        return;
    *sweep = (struct bh_egress_sweep){
        .core = core, .arena = bh_arena_new(ARENA_BYTES), .began_at = bh_controld_now(core), .asking = true};
    if (!sweep->arena) {
        free(sweep);
        return;
    }
    core->egress->sweep = sweep;
    ask_platform(sweep);
    sweep->asking = false;
    if (!sweep->pending)
        next_page(sweep);
}

/* Answers on their way are ended by the connections before this is called. */
void bh_egress_sweep_free(struct bh_controld *core)
{
    struct bh_egress_sweep *sweep = core->egress->sweep;

    if (!sweep)
        return;
    sweep->is_stopped = true;
    if (!sweep->pending)
        finish(sweep);
}
