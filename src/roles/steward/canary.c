/* canary.c: judging a canary as a receiver would: SPF with the address that the connection really came from, DKIM,
 * DMARC, all by libbehalf and the world's DNS. What it came to goes to controld, which keeps it; the lease ends when
 * controld has stored it, so a crash of either repeats the verdict and changes nothing.
 *
 * The bytes are a stranger's where somebody learned the address: they are read by the library alone, and bounded. */
#include "mail.h"
#include <behalf/dkim.h>
#include <behalf/dmarc.h>
#include <stdlib.h>

enum { ARENA_BYTES = 4 << 20, JUDGE_MS = 40 * 1000, TELL_MS = 20 * 1000, DKIM_MAX = 16 };

struct judging {
    struct lease *lease;
    struct bh_arena *arena;
    struct bh_dkim *dkim;
    struct bh_dkim_verify *verify;
    struct bh_spf_check *spf_check;
    struct bh_dmarc_check *dmarc_check;
    struct bh_call *call;
    struct bh_timer timer;
    struct bh_deferred deferred; /* the next step, out of the library's call-backs: it may end it all */
    void (*next)(struct judging *judging);
    enum bh_dmarc_result dmarc;
    bool by_spf, by_dkim, dns_failed;
    bh_str dmarc_why;
    bh_str body, from;
    enum bh_spf_result spf;
    bh_str spf_domain, spf_why;
    struct bh_dmarc_dkim signatures[DKIM_MAX];
    size_t signature_count;
    bh_str dkim_why;
};

static void free_judging(struct lease *lease)
{
    struct judging *judging = lease->state;

    bh_timer_free(&judging->timer);
    bh_deferred_cancel(&judging->deferred);
    bh_spf_check_cancel(judging->spf_check);
    bh_dmarc_check_cancel(judging->dmarc_check);
    bh_dkim_verify_free(judging->verify);
    bh_dkim_free(judging->dkim);
    bh_call_cancel(judging->call);
    bh_arena_free(judging->arena); /* holds `judging`, too */
    lease->state = NULL;
    lease->dropped = NULL;
}

static void again(struct judging *judging, const char *why)
{
    struct lease *lease = judging->lease;

    free_judging(lease);
    lease_again(lease, why);
}

/* ---- telling ---- */

static void on_told(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct judging *judging = ctx;
    struct lease *lease = judging->lease;
    struct bh_msg_event_reply reply = {0};

    judging->call = NULL;
    if (!err)
        err = bh_msg_event_reply_get(message->body, &reply);
    if (err || !reply.ok) {
        again(judging, "controld did not take the verdict");
        return;
    }
    free_judging(lease);
    lease_end(lease, "a canary");
}

static void tell(struct judging *judging, bool passed, uint8_t aligned, bh_str detail)
{
    struct lease *lease = judging->lease;
    struct bh_peer *controld = bh_role_any_peer(lease->steward->role, BH_ROLE_CONTROLD);
    struct bh_msg_canary_verdict verdict = {
        lease->about.message, lease->about.customer, passed, aligned, judging->from, detail};

    if (!controld ||
        BH_PEER_CALL(controld, CANARY_VERDICT, canary_verdict, &verdict, TELL_MS, on_told, judging, &judging->call))
        again(judging, "controld is away");
}

static void run_next(void *ctx)
{
    struct judging *judging = ctx;

    if (judging->dns_failed)
        again(judging, "DNS did not answer");
    else
        judging->next(judging);
}

static void go_on(struct judging *judging, void (*next)(struct judging *judging))
{
    judging->next = next;
    bh_loop_defer(judging->lease->steward->role->loop, &judging->deferred);
}

/* ---- DMARC ---- */

/* Without a record there is nothing to pass; what counts is that it would. */
static void conclude(struct judging *judging)
{
    bool passed =
        judging->dmarc == BH_DMARC_PASS || (judging->dmarc == BH_DMARC_NONE && (judging->by_spf || judging->by_dkim));
    bh_str detail = bh_arena_printf(judging->arena, "from %.*s: SPF %s (%.*s); DKIM %s (%.*s); DMARC %s (%.*s)",
                                    BH_FMT(judging->lease->message.client), bh_spf_result_name(judging->spf),
                                    BH_FMT(bh_str_sub(judging->spf_why, 0, 300)), judging->by_dkim ? "pass" : "fail",
                                    BH_FMT(bh_str_sub(judging->dkim_why, 0, 300)), bh_dmarc_result_name(judging->dmarc),
                                    BH_FMT(bh_str_sub(judging->dmarc_why, 0, 300)));

    tell(judging, passed, (uint8_t)((judging->by_spf ? 1 : 0) | (judging->by_dkim ? 2 : 0)),
         detail.p ? detail : BH_STR("out of memory"));
}

static void on_dmarc(void *ctx, const struct bh_dmarc_outcome *outcome)
{
    struct judging *judging = ctx;

    judging->dmarc_check = NULL;
    judging->dmarc = outcome->result;
    judging->dns_failed = outcome->result == BH_DMARC_TEMPERROR;
    judging->by_spf = judging->spf == BH_SPF_PASS && outcome->spf_alignment != BH_DMARC_UNALIGNED;
    judging->by_dkim = outcome->dkim_alignment != BH_DMARC_UNALIGNED;
    judging->dmarc_why = bh_arena_dup(judging->arena, outcome->reason);
    go_on(judging, conclude);
}

static void start_dmarc(struct judging *judging)
{
    struct steward *steward = judging->lease->steward;
    struct bh_dmarc_request request = {.spf = judging->spf,
                                       .spf_domain = judging->spf_domain,
                                       .dkim = judging->signatures,
                                       .dkim_count = judging->signature_count,
                                       .header_from = judging->from,
                                       .mode = BH_DMARC_TREE_WALK,
                                       .suffixes = bh_psl_base(steward->psl),
                                       .assume_record = true};

    if (bh_dmarc_check(bh_unbound_resolver_base(steward->unbound), &request, on_dmarc, judging, &judging->dmarc_check))
        again(judging, "out of memory");
}

/* ---- DKIM ---- */

static void on_dkim(void *ctx, const struct bh_dkim_verify *verify)
{
    struct judging *judging = ctx;

    judging->dkim_why = BH_STR("no signature");
    for (size_t i = 0; i < bh_dkim_verify_count(verify) && i < DKIM_MAX; i++) {
        const struct bh_dkim_signature *signature = bh_dkim_verify_get(verify, i);

        judging->dns_failed = judging->dns_failed || signature->result == BH_DKIM_TEMPERROR;
        judging->signatures[judging->signature_count++] =
            (struct bh_dmarc_dkim){signature->result == BH_DKIM_PASS, signature->domain};
        judging->dkim_why = signature->reason;
    }
    go_on(judging, start_dmarc);
}

static void start_dkim(struct judging *judging)
{
    struct steward *steward = judging->lease->steward;
    size_t at = bh_str_search(judging->body, BH_STR("\r\n\r\n"));
    bh_time_ms now = bh_loop_now(steward->role->loop);
    struct bh_dkim_config config = {.max_cached_keys = 1, .explain = true}; /* of one message, and gone with it */

    bh_random_fill(&bh_random_os, config.seed, sizeof(config.seed));
    judging->dkim = bh_dkim_new(&config);
    if (judging->dkim)
        judging->verify = bh_dkim_verify_new(judging->dkim, judging->arena, judging->body, now);
    if (!judging->verify) {
        again(judging, "out of memory");
        return;
    }
    bh_dkim_verify_body(judging->verify, bh_str_skip(judging->body, at + 4));
    bh_dkim_verify_end(judging->verify, bh_unbound_resolver_base(steward->unbound), on_dkim, judging);
}

/* ---- SPF ---- */

static void on_spf(void *ctx, const struct bh_spf_outcome *outcome)
{
    struct judging *judging = ctx;

    judging->spf_check = NULL;
    judging->dns_failed = outcome->result == BH_SPF_TEMPERROR;
    judging->spf = outcome->result;
    judging->spf_domain = bh_arena_dup(judging->arena, outcome->domain);
    judging->spf_why = bh_arena_dup(judging->arena, outcome->reason);
    go_on(judging, start_dkim);
}

static void start_spf(struct judging *judging)
{
    struct steward *steward = judging->lease->steward;
    const struct bh_msg_deliver *message = &judging->lease->message;
    struct bh_spf_request request = {
        .helo = message->client_helo, .mail_from = message->mail_from, .now = bh_loop_now(steward->role->loop)};
    const char *why = NULL;

    judging->from = bh_dmarc_author_domain(judging->arena, judging->body, &why);
    if (why || !judging->from.n)
        tell(judging, false, 0, BH_STR("it has no author that DMARC could be asked for"));
    else if (bh_ip_parse(message->client, &request.ip))
        tell(judging, false, 0, BH_STR("it did not come by SMTP"));
    else if (bh_spf_check(bh_unbound_resolver_base(steward->unbound), &request, on_spf, judging, &judging->spf_check))
        again(judging, "out of memory");
}

/* ---- the lease ---- */

static void on_timeout(void *ctx)
{
    again(ctx, "DNS did not answer in time");
}

void lease_canary(struct lease *lease)
{
    struct bh_arena *arena = bh_arena_new(ARENA_BYTES);
    struct judging *judging = arena ? bh_arena_alloc(arena, sizeof(*judging)) : NULL;

    if (!judging || bh_timer_init(lease->steward->role->loop, &judging->timer, on_timeout, judging)) {
        bh_arena_free(arena);
        lease_again(lease, "out of memory");
        return;
    }
    judging->lease = lease;
    judging->arena = arena;
    bh_deferred_init(&judging->deferred, run_next, judging);
    judging->body = lease->message.body;
    judging->from = judging->spf_domain = judging->spf_why = judging->dkim_why = judging->dmarc_why = BH_STR("");
    lease->state = judging;
    lease->dropped = free_judging;
    bh_timer_set(&judging->timer, JUDGE_MS);
    if (lease->body_fd >= 0)
        tell(judging, false, 0, BH_STR("it is far larger than what was sent"));
    else
        start_spf(judging);
}
