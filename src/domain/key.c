/* key.c: see key.h. */
#include "key.h"

bool bh_key_may_become(enum bh_key_state from, enum bh_key_state to)
{
    if (to == BH_KEY_REVOKED)
        return from != BH_KEY_REVOKED && from != BH_KEY_WITHDRAWN;
    switch (from) {
    case BH_KEY_CREATED:
        return to == BH_KEY_PUBLISHED || to == BH_KEY_WITHDRAWN;
    case BH_KEY_PUBLISHED:
        return to == BH_KEY_SEEN || to == BH_KEY_WITHDRAWN;
    case BH_KEY_SEEN:
        return to == BH_KEY_ACTIVE || to == BH_KEY_PUBLISHED || to == BH_KEY_WITHDRAWN;
    case BH_KEY_ACTIVE:
        return to == BH_KEY_RETIRING;
    case BH_KEY_RETIRING:
    case BH_KEY_REVOKED:
        return to == BH_KEY_WITHDRAWN;
    case BH_KEY_WITHDRAWN:
    default:
        return false;
    }
}

enum bh_key_state bh_key_initial_state(unsigned index)
{
    return index == 0 ? BH_KEY_ACTIVE : BH_KEY_PUBLISHED;
}

bh_str bh_key_selector(struct bh_arena *arena, const struct bh_labels *labels, unsigned index)
{
    return bh_arena_printf(arena, "%.*s%u", BH_FMT(labels->selector), index + 1);
}

bh_str bh_key_ed25519_selector(struct bh_arena *arena, unsigned index)
{
    return bh_arena_printf(arena, "be%u", index + 1);
}

/* Copies what belongs to a base64 value; anything but blanks that is dropped is damage. */
static bh_str clean_value(struct bh_arena *arena, bh_str value, bool *damaged)
{
    char *text = bh_arena_alloc(arena, value.n + 1);
    size_t n = 0;

    if (!text)
        return (bh_str){NULL, 0};
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];

        if (bh_is_alnum(c) || c == '+' || c == '/' || c == '=')
            text[n++] = c;
        else if (!bh_is_wsp(c) && c != '\r' && c != '\n')
            *damaged = true;
    }
    return bh_str_of(text, n);
}

bh_err bh_key_record_public(struct bh_arena *arena, bh_str record, bh_str *ret_public_b64, bool *ret_damaged)
{
    bh_str rest = record;
    bool damaged = false;

    do {
        bh_str value, tag = bh_str_trim(bh_str_cut(bh_str_cut(rest, ';', &rest), '=', &value));

        if (tag.n > 1 && (tag.p[0] == '"' || tag.p[0] == '\\')) {
            tag = bh_str_trim(bh_str_skip(tag, 1));
            damaged = true;
        }
        if (value.p && bh_str_eq(tag, BH_STR("p"))) {
            *ret_public_b64 = clean_value(arena, value, &damaged);
            *ret_damaged = damaged;
            return ret_public_b64->p ? BH_OK : BH_E_NOMEM;
        }
        if (value.p && value.n && value.p[value.n - 1] == '\\')
            damaged = true;
    } while (rest.p);
    return BH_E_SYNTAX;
}
