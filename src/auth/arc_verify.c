/* arc_verify.c: RFC 8617 5.2: structure, then the last message signature, then every seal. All keys are asked for at
 * once; the verdict is made when the last has answered, the message signature first, then seals downwards. */
#include "arc_internal.h"

struct bh_arc_verify {
    struct bh_dkim *dkim;
    struct bh_arena *arena;
    struct bh_hindex index;
    struct bh_arc_chain chain;
    struct bh_body_hashes bodies;
    struct bh_keycheck *checks; /* 0: the message signature; i: the seal of set i */
    size_t pending;
    enum bh_arc_result result;
    bh_str reason;
    bool temporary;
    bh_arc_verify_done *done;
    void *ctx;
};

static void judge(struct bh_arc_verify *verify, enum bh_arc_result result, bh_str reason)
{
    verify->result = result;
    verify->reason = reason.p ? reason : BH_STR("out of memory");
}

/* What can be told before the body: BH_ARC_PASS means nothing is wrong yet. */
static void judge_header(struct bh_arc_verify *verify, bh_time_ms now)
{
    const struct bh_arc_chain *chain = &verify->chain;
    const struct bh_arc_set *last = &chain->sets[chain->count];
    struct bh_header_field field;
    struct bh_verdict verdict;

    if (chain->count == 0 && !chain->why) {
        judge(verify, BH_ARC_NONE, BH_STR("the message has no ARC fields"));
        return;
    }
    if (chain->why) {
        judge(verify, BH_ARC_FAIL, bh_str_c(chain->why));
        return;
    }
    field.whole = last->message;
    field.value = bh_str_skip(last->message, bh_str_find(last->message, ':') + 1);
    verdict = bh_sig_read(BH_SIG_ARC_MESSAGE, &field, now, last->message_sig);
    if (verdict.result == BH_DKIM_PASS)
        judge(verify, BH_ARC_PASS, BH_STR("the chain is intact"));
    else
        judge(verify, BH_ARC_FAIL, bh_str_c(verdict.why));
}

static bool prepare(struct bh_arc_verify *verify)
{
    const struct bh_sig *sig = verify->chain.sets[verify->chain.count].message_sig;
    size_t job;

    verify->checks = bh_arena_array(verify->arena, verify->chain.count + 1, sizeof(*verify->checks));
    return verify->checks && !bh_body_hashes_init(&verify->bodies, verify->dkim, verify->arena, 1) &&
           !bh_body_hashes_want(&verify->bodies, sig->body_canon, sig->has_length ? sig->length : UINT64_MAX, &job);
}

struct bh_arc_verify *bh_arc_verify_new(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header, bh_time_ms now)
{
    struct bh_arc_verify *verify = bh_arena_alloc(arena, sizeof(*verify));

    if (!verify)
        return NULL;
    verify->dkim = dkim;
    verify->arena = arena;
    if (bh_dkim_read_header(dkim, arena, header, &verify->index)) {
        judge(verify, BH_ARC_FAIL, BH_STR("the header has more fields or bytes than are read"));
        return verify;
    }
    if (bh_arc_chain_read(arena, &verify->index, now, &verify->chain))
        return NULL;
    judge_header(verify, now);
    if (verify->result == BH_ARC_PASS && !prepare(verify)) {
        bh_body_hashes_free(&verify->bodies);
        return NULL;
    }
    return verify;
}

void bh_arc_verify_body(struct bh_arc_verify *verify, bh_str piece)
{
    bh_body_hashes_add(&verify->bodies, piece);
}

static bool body_matches(const struct bh_arc_verify *verify, const struct bh_sig *sig)
{
    uint64_t length = bh_body_hashes_length(&verify->bodies, sig->body_canon);

    return memcmp(verify->bodies.jobs[0].hash, sig->body_hash, BH_DKIM_HASH_BYTES) == 0 &&
           !(sig->has_length && sig->length > length);
}

static void judge_checks(struct bh_arc_verify *verify)
{
    for (unsigned step = 0; step <= verify->chain.count; step++) {
        unsigned i = step == 0 ? 0 : verify->chain.count + 1 - step;
        const struct bh_keycheck *check = &verify->checks[i];

        if (check->result == BH_DKIM_PASS)
            continue;
        verify->temporary = check->result == BH_DKIM_TEMPERROR;
        judge(verify, BH_ARC_FAIL,
              i == 0 ? bh_arena_printf(verify->arena, "ARC-Message-Signature %u: %.*s", verify->chain.count,
                                       BH_FMT(check->reason))
                     : bh_arena_printf(verify->arena, "ARC-Seal %u: %.*s", i, BH_FMT(check->reason)));
        return;
    }
    judge(verify, BH_ARC_PASS, bh_arena_printf(verify->arena, "the chain of %u is intact", verify->chain.count));
}

static void count_down(struct bh_arc_verify *verify)
{
    if (--verify->pending)
        return;
    if (verify->checks && verify->result == BH_ARC_PASS)
        judge_checks(verify);
    verify->done(verify->ctx, verify);
}

static void end_check(struct bh_keycheck *check)
{
    count_down(check->ctx);
}

static void start_checks(struct bh_arc_verify *verify, struct bh_resolver *resolver)
{
    const struct bh_arc_chain *chain = &verify->chain;

    for (unsigned i = 0; i <= chain->count; i++) {
        struct bh_keycheck *check = &verify->checks[i];

        check->dkim = verify->dkim;
        check->arena = verify->arena;
        check->sig = i == 0 ? chain->sets[chain->count].message_sig : chain->sets[i].seal_sig;
        check->done = end_check;
        check->ctx = verify;
        if (i == 0)
            bh_sig_header_hash(verify->dkim, &verify->index, check->sig, NULL, check->hash);
        else
            bh_arc_seal_hash(verify->dkim, chain->sets, 1, i, check->sig->b_raw, check->hash);
        verify->pending++;
        bh_keycheck_start(check, resolver);
    }
}

void bh_arc_verify_end(struct bh_arc_verify *verify, struct bh_resolver *resolver, bh_arc_verify_done *done, void *ctx)
{
    const struct bh_arc_chain *chain = &verify->chain;

    verify->done = done;
    verify->ctx = ctx;
    verify->pending = 1;
    if (verify->result == BH_ARC_PASS) {
        bh_body_hashes_end(&verify->bodies);
        if (!body_matches(verify, chain->sets[chain->count].message_sig))
            judge(verify, BH_ARC_FAIL,
                  bh_arena_printf(verify->arena, "ARC-Message-Signature %u: body hash differs", chain->count));
    }
    if (verify->result == BH_ARC_PASS)
        start_checks(verify, resolver);
    bh_body_hashes_free(&verify->bodies);
    count_down(verify);
}

void bh_arc_verify_free(struct bh_arc_verify *verify)
{
    if (!verify)
        return;
    for (unsigned i = 0; verify->checks && i <= verify->chain.count; i++)
        bh_keycheck_cancel(&verify->checks[i]);
    bh_body_hashes_free(&verify->bodies);
}

enum bh_arc_result bh_arc_verify_result(const struct bh_arc_verify *verify, bh_str *ret_reason)
{
    if (ret_reason)
        *ret_reason = verify->reason;
    return verify->result;
}

unsigned bh_arc_verify_sets(const struct bh_arc_verify *verify)
{
    return verify->chain.count;
}

bool bh_arc_verify_temporary(const struct bh_arc_verify *verify)
{
    return verify->temporary;
}

bh_str bh_arc_verify_sealer(const struct bh_arc_verify *verify, unsigned instance)
{
    const struct bh_sig *sig = instance <= verify->chain.count ? verify->chain.sets[instance].seal_sig : NULL;

    return sig ? sig->domain : (bh_str){NULL, 0};
}
