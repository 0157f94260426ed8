/* dkim_explain.c: what was changed in a header, told from the hash that the signer signed. An RSA signature gives
 * that hash away, so guesses ("without this field", "without the tag in Subject") cost a hash each, no signature.
 * Bounded: 64 guesses, headers of 64 KiB. */
#include "base/buf.h"
#include "dkim_internal.h"
#include "tags.h"

enum { MAX_GUESSES = 64, MAX_BYTES = 64 * 1024 };

struct guessing {
    struct bh_dkim *dkim;
    struct bh_arena *arena;
    struct bh_hindex *index;
    const struct bh_sig *sig;
    const uint8_t *signed_hash;
    unsigned left;
};

static bool guess(struct guessing *g, const struct bh_variant *variant)
{
    uint8_t hash[BH_DKIM_HASH_BYTES];

    if (g->left == 0)
        return false;
    g->left--;
    bh_sig_header_hash(g->dkim, g->index, g->sig, variant, hash);
    return memcmp(hash, g->signed_hash, sizeof(hash)) == 0;
}

/* A list wrote "[name] " before the subject. */
static bool guess_subject_tag(struct guessing *g)
{
    struct bh_hgroup *group = bh_hindex_group(g->index, BH_STR("subject"));
    const struct bh_hfield *field = group ? &g->index->fields[group->lowest - 1] : NULL;
    bh_str value = field ? field->f.value : (bh_str){NULL, 0};
    size_t open = bh_str_find(value, '[');
    size_t close = bh_str_find(value, ']');
    struct bh_variant variant = {.changed = field};

    if (close >= value.n || open > close)
        return false;
    do
        close++;
    while (close < value.n && bh_is_wsp(value.p[close]));
    variant.instead = bh_arena_printf(g->arena, "%.*s:%.*s%.*s\r\n", BH_FMT(field->f.name),
                                      BH_FMT(bh_str_sub(value, 0, open)), BH_FMT(bh_str_skip(value, close)));
    return variant.instead.p && guess(g, &variant);
}

/* One instance of `name` too many: h= names it once more than it occurred (oversigning). */
static bool guess_added(struct guessing *g, bh_str name)
{
    struct bh_hgroup *group = bh_hindex_group(g->index, name);

    for (uint32_t i = group ? group->lowest : 0; i && g->left;) {
        struct bh_variant variant = {.without = &g->index->fields[i - 1]};

        if (guess(g, &variant))
            return true;
        i = g->index->fields[i - 1].above;
    }
    return false;
}

/* "from, to, subject": the names in h= that the message has, once each. */
static bh_str list_signed(struct guessing *g)
{
    struct bh_buf text = bh_buf_make(MAX_BYTES);
    bh_str names = g->sig->names;
    bh_str copy = {NULL, 0};
    bh_str name;

    bh_hindex_restart(g->index);
    while (bh_tag_item(&names, ':', &name)) {
        struct bh_hgroup *group = bh_hindex_group(g->index, name);

        if (!group || group->round == g->index->round)
            continue;
        group->round = g->index->round;
        if (text.n)
            bh_buf_add(&text, BH_STR(", "));
        bh_buf_add(&text, name);
    }
    if (!bh_buf_err(&text))
        copy = bh_arena_dup(g->arena, bh_buf_view(&text));
    bh_buf_free(&text);
    return copy;
}

static bh_str guess_all(struct guessing *g)
{
    bh_str names = g->sig->names;
    bh_str name;

    if (guess_subject_tag(g))
        return BH_STR("header Subject was changed after signing: a tag in brackets was added");
    while (g->left && bh_tag_item(&names, ':', &name))
        if (guess_added(g, name))
            return bh_arena_printf(g->arena, "header %.*s was added after signing", BH_FMT(name));
    return bh_arena_printf(g->arena,
                           "a signed header field was changed or removed after signing; it is one of %.*s, or is gone",
                           BH_FMT(list_signed(g)));
}

bh_str bh_sig_explain(struct bh_dkim *dkim, struct bh_arena *arena, struct bh_hindex *index, const struct bh_sig *sig,
                      const uint8_t signed_hash[BH_DKIM_HASH_BYTES])
{
    struct guessing g = {
        .dkim = dkim, .arena = arena, .index = index, .sig = sig, .signed_hash = signed_hash, .left = MAX_GUESSES};
    bh_str text = {NULL, 0};

    if (index->block.n <= MAX_BYTES && sig->names.n <= MAX_BYTES / 16)
        text = guess_all(&g);
    return text.p ? text : BH_STR("a signed header field was changed after signing");
}
