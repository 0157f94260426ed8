/* arc_chain.c: which ARC fields belong together, and whether they make a chain. See arc_internal.h. */
#include "arc_internal.h"

enum { MAX_BYTES = 256 * 1024 };

const char *bh_arc_result_text(enum bh_arc_result result)
{
    static const char *const texts[] = {"none", "pass", "fail"};

    return result <= BH_ARC_FAIL ? texts[result] : "fail";
}

static bh_str skip_blanks(bh_str s)
{
    while (s.n && (bh_is_wsp(s.p[0]) || s.p[0] == '\r' || s.p[0] == '\n'))
        s = bh_str_skip(s, 1);
    return s;
}

/* "i=1; …" at the start of ARC-Authentication-Results (RFC 8617 4.1.1); 0 when it is not there. */
static unsigned results_instance(bh_str value)
{
    uint64_t instance = 0;
    bh_str rest;
    bh_str number;

    value = skip_blanks(value);
    if (!bh_str_starts(value, BH_STR("i")))
        return 0;
    value = skip_blanks(bh_str_skip(value, 1));
    if (!bh_str_starts(value, BH_STR("=")))
        return 0;
    number = bh_str_trim(bh_str_cut(bh_str_skip(value, 1), ';', &rest));
    return rest.p && bh_str_to_u64(number, BH_ARC_MAX_SETS, &instance) == BH_OK ? (unsigned)instance : 0;
}

/* A field of `kind` into its place. */
static const char *place(struct bh_arc_chain *chain, unsigned instance, size_t member, bh_str whole)
{
    bh_str *slot;

    if (instance == 0)
        return "an ARC field has no valid i= in its place";
    slot = (bh_str *)(void *)((char *)&chain->sets[instance] + member);
    if (slot->p)
        return "two ARC fields of one kind have the same i=";
    *slot = whole;
    if (instance > chain->count)
        chain->count = instance;
    return NULL;
}

static bh_err place_signature(struct bh_arena *arena, const struct bh_hfield *field, enum bh_sig_kind kind,
                              bh_time_ms now, struct bh_arc_chain *chain, const char **why)
{
    struct bh_sig *sig = bh_arena_alloc(arena, sizeof(*sig));
    bool seal = kind == BH_SIG_ARC_SEAL;
    struct bh_verdict verdict;
    const char *wrong;

    if (!sig)
        return BH_E_NOMEM;
    verdict = bh_sig_read(kind, &field->f, now, sig);
    wrong = place(chain, (unsigned)sig->instance,
                  seal ? offsetof(struct bh_arc_set, seal) : offsetof(struct bh_arc_set, message), field->f.whole);
    if (!wrong)
        *(seal ? &chain->sets[sig->instance].seal_sig : &chain->sets[sig->instance].message_sig) = sig;
    /* an expired or unusable older message signature breaks nothing (5.2 step 5): judged later, if it is the last */
    if (!wrong && verdict.result != BH_DKIM_PASS && (seal || verdict.result == BH_DKIM_NEUTRAL))
        wrong = verdict.why;
    if (wrong && !*why)
        *why = wrong;
    return BH_OK;
}

static bh_err place_field(struct bh_arena *arena, const struct bh_hfield *field, bh_time_ms now,
                          struct bh_arc_chain *chain, size_t *bytes)
{
    bh_str name = field->f.name;
    const char *wrong = NULL;
    bh_err err = BH_OK;

    if (!bh_str_starts_ci(name, BH_STR("arc-")))
        return BH_OK;
    *bytes += field->f.whole.n;
    if (bh_str_eq_ci(name, BH_STR("arc-authentication-results")))
        wrong = place(chain, results_instance(field->f.value), offsetof(struct bh_arc_set, results), field->f.whole);
    else if (bh_str_eq_ci(name, BH_STR("arc-message-signature")))
        err = place_signature(arena, field, BH_SIG_ARC_MESSAGE, now, chain, &wrong);
    else if (bh_str_eq_ci(name, BH_STR("arc-seal")))
        err = place_signature(arena, field, BH_SIG_ARC_SEAL, now, chain, &wrong);
    if (wrong && !chain->why)
        chain->why = wrong;
    return err;
}

/* RFC 8617 5.2 step 3: sets 1 to N, each whole, cv= as its place demands. */
static const char *check_sets(const struct bh_arc_chain *chain)
{
    for (unsigned i = 1; i <= chain->count; i++) {
        const struct bh_arc_set *set = &chain->sets[i];

        if (!set->results.p)
            return "an ARC set has no ARC-Authentication-Results";
        if (!set->message.p)
            return "an ARC set has no ARC-Message-Signature";
        if (!set->seal.p)
            return "an ARC set has no ARC-Seal";
        if (!bh_str_eq_ci(set->seal_sig->cv, i == 1 ? BH_STR("none") : BH_STR("pass")))
            return i == 1 ? "the first ARC-Seal does not say cv=none" : "an ARC-Seal does not say cv=pass";
    }
    return NULL;
}

bh_err bh_arc_chain_read(struct bh_arena *arena, const struct bh_hindex *index, bh_time_ms now,
                         struct bh_arc_chain *ret_chain)
{
    const struct bh_sig *last;
    size_t bytes = 0;
    bh_err err = BH_OK;

    memset(ret_chain, 0, sizeof(*ret_chain));
    for (size_t i = 0; i < index->count && !err; i++)
        if (bytes <= MAX_BYTES)
            err = place_field(arena, &index->fields[i], now, ret_chain, &bytes);
    if (bytes > MAX_BYTES)
        ret_chain->why = "the ARC fields have more than 256 KiB";
    last = ret_chain->sets[ret_chain->count].seal_sig;
    ret_chain->ended = last && bh_str_eq_ci(last->cv, BH_STR("fail"));
    if (!ret_chain->why && ret_chain->ended)
        ret_chain->why = "the last ARC-Seal says cv=fail: the chain was broken before";
    if (!ret_chain->why)
        ret_chain->why = check_sets(ret_chain);
    return err;
}

void bh_arc_seal_hash(struct bh_dkim *dkim, const struct bh_arc_set *sets, unsigned from, unsigned to, bh_str b_raw,
                      uint8_t ret_hash[BH_DKIM_HASH_BYTES])
{
    static const bh_str nothing = {NULL, 0};
    struct bh_hasher hasher;

    bh_hasher_start(&hasher, dkim);
    for (unsigned i = from; i <= to; i++) {
        bool last = i == to;

        bh_canon_header(&hasher.out, BH_DKIM_RELAXED, sets[i].results, nothing, false);
        bh_canon_header(&hasher.out, BH_DKIM_RELAXED, sets[i].message, nothing, false);
        bh_canon_header(&hasher.out, BH_DKIM_RELAXED, sets[i].seal, last ? b_raw : nothing, last);
    }
    bh_hasher_end(&hasher, ret_hash);
}
