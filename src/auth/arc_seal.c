/* arc_seal.c: a new set on top of a chain (RFC 8617 5.1). The message signature is a DKIM signature of another name;
 * the seal has no h= and no body hash, and covers the sets in order. */
#include "arc_internal.h"
#include "base/buf.h"

enum { MAX_FIELD = 64 * 1024 };

bh_err bh_arc_default_names(bh_str header, bh_str *names, size_t max, size_t *ret_count)
{
    struct bh_header_iter it = bh_header_iter_make(header, SIZE_MAX, SIZE_MAX);
    struct bh_header_field field;
    size_t count;
    bh_err err = bh_dkim_default_names(header, names, max, &count);

    if (err)
        return err;
    while ((err = bh_header_next(&it, &field)) == BH_MORE) {
        if (!bh_str_eq_ci(field.name, BH_STR("dkim-signature")))
            continue;
        if (count == max)
            return BH_E_LIMIT;
        names[count++] = BH_STR("dkim-signature");
    }
    *ret_count = count;
    return err == BH_DONE ? BH_OK : err;
}

static bh_err read_chain(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header, struct bh_hindex *index,
                         struct bh_arc_chain *chain)
{
    bh_err err = bh_dkim_read_header(dkim, arena, header, index);

    if (!err)
        err = bh_arc_chain_read(arena, index, 0, chain);
    if (!err && chain->ended)
        err = BH_E_INVALID;
    if (!err && chain->count >= BH_ARC_MAX_SETS)
        err = BH_E_LIMIT;
    return err;
}

/* The text goes into a header: folds are allowed, other line ends and NUL are not. */
static bool is_safe(bh_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c == '\0' || (c == '\r' && (i + 1 == text.n || text.p[i + 1] != '\n')))
            return false;
        if (c == '\n' && (i == 0 || text.p[i - 1] != '\r' || i + 1 == text.n || !bh_is_wsp(text.p[i + 1])))
            return false;
    }
    return text.n > 0;
}

bh_err bh_arc_prepare_message(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header,
                              const struct bh_arc_sealing *sealing, bh_str *ret_results_field,
                              struct bh_dkim_unsigned *ret_message)
{
    struct bh_arc_chain chain;
    struct bh_hindex index;
    bh_str field;
    bh_err err = is_safe(sealing->auth_results) ? read_chain(dkim, arena, header, &index, &chain) : BH_E_INVALID;

    for (size_t i = 0; !err && i < sealing->message.name_count; i++)
        if (bh_str_eq_ci(sealing->message.names[i], BH_STR("arc-seal"))) /* RFC 8617 4.1.2 */
            err = BH_E_INVALID;
    if (err)
        return err;
    field = bh_arena_printf(arena, "ARC-Authentication-Results: i=%u; %.*s\r\n", chain.count + 1,
                            BH_FMT(sealing->auth_results));
    if (!field.p)
        return BH_E_NOMEM;
    err =
        bh_dkim_prepare_kind(dkim, arena, &index, BH_SIG_ARC_MESSAGE, chain.count + 1, &sealing->message, ret_message);
    if (!err)
        *ret_results_field = field;
    return err;
}

static bh_str seal_field(struct bh_arena *arena, unsigned instance, const struct bh_arc_sealing *sealing)
{
    const struct bh_dkim_signing *signing = &sealing->message;

    return bh_arena_printf(arena, "ARC-Seal: i=%u; a=%s; cv=%s; t=%lld;\r\n\td=%.*s; s=%.*s;\r\n\tb=", instance,
                           signing->key_type == BH_DKIM_KEY_RSA ? "rsa-sha256" : "ed25519-sha256",
                           bh_arc_result_text(sealing->status), (long long)signing->signed_at_s,
                           BH_FMT(signing->domain), BH_FMT(signing->selector));
}

bh_err bh_arc_prepare_seal(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header,
                           const struct bh_arc_sealing *sealing, bh_str results_field, bh_str message_field,
                           struct bh_dkim_unsigned *ret_seal)
{
    static const bh_str nothing = {NULL, 0};
    struct bh_arc_chain chain;
    struct bh_hindex index;
    bh_err err = read_chain(dkim, arena, header, &index, &chain);
    unsigned instance;
    bh_str seal;

    if (err)
        return err;
    instance = chain.count + 1;
    if (sealing->message.signed_at_s < 0)
        return BH_E_INVALID;
    if (sealing->status != BH_ARC_FAIL && (chain.why || (sealing->status == BH_ARC_NONE) != (instance == 1)))
        return BH_E_INVALID; /* nobody could validate it */
    seal = seal_field(arena, instance, sealing);
    if (!seal.p)
        return BH_E_NOMEM;
    chain.sets[instance] = (struct bh_arc_set){.results = results_field, .message = message_field, .seal = seal};
    bh_arc_seal_hash(dkim, chain.sets, sealing->status == BH_ARC_FAIL ? instance : 1, instance, nothing,
                     ret_seal->hash);
    ret_seal->field = seal;
    return BH_OK;
}
