/* spf_cover.c: which of our addresses does an owner's own SPF record pass? libbehalf's evaluator is asked, with the
 * world's DNS by the steward, so that nested includes, redirects and limits count as they do for a receiver. One
 * address after the other; the steward's resolver remembers the records in between. */
#include "change.h"
#include "egress.h"
#include <behalf/spf.h>
#include <stdlib.h>

struct cover {
    struct bh_resolver base; /* first */
    struct bh_controld *core;
    struct bh_arena *arena; /* the caller's */
    bh_str domain;
    const bh_str *addresses;
    size_t count, at;
    struct bh_buf passes;
    bool is_known;
    bool in_loop, has_result;
    bh_cover_done *done;
    void *ctx;
};

/* A question on its way; it outlives its check when that is over before. */
struct bh_dns_query {
    struct cover *cover; /* NULL: cancelled */
    bh_dns_done *done;
    void *ctx;
};

enum { RECORDS_MAX = 100 };

static void on_reply(void *ctx, bh_err err, const struct bh_msg_dns_ask_reply *reply)
{
    struct bh_dns_query query = *(struct bh_dns_query *)ctx;
    struct bh_dns_record records[RECORDS_MAX];
    struct bh_dns_answer answer = {.status = BH_DNS_TEMPFAIL, .records = records, .why = BH_STR("no answer")};
    struct bh_rec_dns_server_view view;
    struct bh_rec_dns_rdata rdata;
    struct bh_cur cur = bh_cur_make(err ? (bh_str){"", 0} : reply->views);

    free(ctx);
    if (!query.cover)
        return;
    if (bh_rec_dns_server_view_next(&cur, &view) == BH_MORE && view.status <= BH_DNS_BADNAME) {
        answer.status = (enum bh_dns_status)view.status;
        answer.ttl_s = view.ttl_s;
        answer.canonical_name = view.canonical_name;
        cur = bh_cur_make(view.rdatas);
        while (answer.count < RECORDS_MAX && bh_rec_dns_rdata_next(&cur, &rdata) == BH_MORE)
            records[answer.count++].rdata = rdata.rdata;
    }
    query.done(query.ctx, &answer);
}

static bh_err look_up(struct bh_resolver *resolver, bh_str name, uint16_t type, bh_dns_done *done, void *ctx,
                      struct bh_dns_query **ret_query)
{
    struct cover *cover = BH_CONTAINER_OF(resolver, struct cover, base);
    struct bh_dns_query *query = malloc(sizeof(*query));

    if (!query)
        return BH_E_NOMEM;
    *query = (struct bh_dns_query){cover, done, ctx};
    *ret_query = query;
    if (cover->core->out->ask_dns(cover->core->out_ctx, &(struct bh_msg_dns_ask){name, type, 0}, on_reply, query))
        on_reply(query, BH_E_CLOSED, NULL);
    return BH_OK;
}

static void cancel(struct bh_resolver *resolver, struct bh_dns_query *query)
{
    (void)resolver;
    query->cover = NULL;
}

static const struct bh_resolver_ops ops = {look_up, cancel};

static void go_on(struct cover *cover);

static void on_result(void *ctx, const struct bh_spf_outcome *outcome)
{
    struct cover *cover = ctx;

    if (outcome->result == BH_SPF_PASS)
        bh_buf_printf(&cover->passes, "%s%.*s", cover->passes.n ? " " : "", BH_FMT(cover->addresses[cover->at]));
    else if (outcome->result == BH_SPF_TEMPERROR)
        cover->is_known = false;
    cover->at++;
    cover->has_result = true;
    if (!cover->in_loop)
        go_on(cover);
}

static void finish(struct cover *cover)
{
    bh_str passes = bh_arena_dup(cover->arena, bh_buf_view(&cover->passes));
    bool is_known = cover->is_known && !bh_buf_err(&cover->passes) && passes.p;
    bh_cover_done *done = cover->done;
    void *ctx = cover->ctx;

    bh_buf_free(&cover->passes);
    free(cover);
    done(ctx, is_known, is_known ? passes : (bh_str){"", 0});
}

static void go_on(struct cover *cover)
{
    while (cover->is_known && cover->at < cover->count) {
        struct bh_spf_request request = {.now = bh_controld_now(cover->core)};
        struct bh_spf_check *check;

        request.mail_from = bh_arena_printf(cover->arena, "postmaster@%.*s", BH_FMT(cover->domain));
        request.helo = cover->domain;
        cover->in_loop = true;
        cover->has_result = false;
        if (!request.mail_from.p || bh_ip_parse(cover->addresses[cover->at], &request.ip) ||
            bh_spf_check(&cover->base, &request, on_result, cover, &check))
            cover->is_known = false;
        cover->in_loop = false;
        if (cover->is_known && !cover->has_result)
            return;
    }
    finish(cover);
}

void bh_spf_cover(struct bh_controld *core, struct bh_arena *arena, bh_str domain, const bh_str *addresses,
                  size_t count, bh_cover_done *done, void *ctx)
{
    struct cover *cover = calloc(1, sizeof(*cover));

    if (!cover) {
        done(ctx, false, (bh_str){"", 0});
        return;
    }
    *cover = (struct cover){.base = {&ops},
                            .core = core,
                            .arena = arena,
                            .domain = domain,
                            .addresses = addresses,
                            .count = count,
                            .passes = bh_buf_make(65536),
                            .is_known = true,
                            .done = done,
                            .ctx = ctx};
    go_on(cover);
}

/* ---- after a check ---- */

static bool has_word(bh_str words, bh_str word)
{
    while (words.n)
        if (bh_str_eq(bh_str_cut(words, ' ', &words), word))
            return true;
    return false;
}

/* The owner has to add what is missing: told, reminded and waited for. Until then his mail leaves from the others. */
static bh_err plan_change(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain,
                          bh_str record, bh_str terms, bh_str missing)
{
    struct bh_change_item item = {.domain = domain->id,
                                  .type = BH_DNS_TXT,
                                  .match = BH_MATCH_SPF,
                                  .name = domain->name,
                                  .old_value = record,
                                  .new_value = bh_spf_with(arena, record, terms),
                                  .want = missing};
    struct bh_change_plan plan = {.kind = BH_CHANGE_ADDRESS,
                                  .title = BH_STR("A new address that mail leaves from"),
                                  .ref = bh_arena_printf(arena, "egress %.*s", BH_FMT(domain->name)),
                                  .items = &item,
                                  .count = 1};
    int64_t id;
    bh_err err = item.new_value.p && plan.ref.p ? bh_change_create(core, &plan, &id) : BH_E_NOMEM;

    return err == BH_E_EXISTS ? BH_OK : err;
}

/* An owner who was asked has edited the record; for the old one's TTL some receivers judge by that (invariant 3). */
static bool is_still_cached(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain)
{
    bh_str ref = bh_arena_printf(arena, "egress %.*s", BH_FMT(domain->name));

    return ref.p && !bh_change_ready_for(core, BH_CHANGE_ADDRESS, ref, domain->id);
}

static void put_common(struct bh_buf *out, bh_str a, bh_str b)
{
    while (a.n) {
        bh_str word = bh_str_cut(a, ' ', &a);

        if (word.n && has_word(b, word))
            bh_buf_printf(out, "%s%.*s", out->n ? " " : "", BH_FMT(word));
    }
}

bh_err bh_spf_covered(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain, bh_str record,
                      bh_str passes, bool is_relied_on)
{
    struct bh_buf terms = bh_buf_make(8192), known = bh_buf_make(65536), missing = bh_buf_make(8192);
    const bh_str *addresses;
    size_t count;
    bh_str before = {"", 0};
    bool was_known = bh_domain_spf_get(core->store, arena, domain->id, &before) == BH_OK;
    bh_err err = bh_egress_relied(core, arena, domain, false, &addresses, &count);

    if (!err && was_known && is_still_cached(core, arena, domain)) {
        put_common(&known, before, passes);
        passes = bh_arena_dup(arena, bh_buf_view(&known));
        err = passes.p ? bh_buf_err(&known) : BH_E_NOMEM;
    }
    if (!err)
        err = bh_domain_spf_set(core->store, domain->id, passes, bh_controld_now(core));
    for (size_t i = 0; !err && i < count; i++) {
        if (has_word(passes, addresses[i]))
            continue;
        bh_buf_printf(&terms, "%s%.*s", terms.n ? " " : "", BH_FMT(bh_spf_term(arena, addresses[i])));
        bh_buf_printf(&missing, "%s%.*s", missing.n ? " " : "", BH_FMT(addresses[i]));
    }
    if (!err && is_relied_on && missing.n && passes.n && !bh_buf_err(&terms) && !bh_buf_err(&missing))
        err = plan_change(core, arena, domain, record, bh_buf_view(&terms), bh_buf_view(&missing));
    bh_buf_free(&terms);
    bh_buf_free(&missing);
    bh_buf_free(&known);
    if (!err && (!was_known || !bh_str_eq(before, passes)))
        bh_controld_changed(core);
    return err;
}
