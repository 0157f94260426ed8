/* spf_compose.c: see spf_compose.h. */
#include "spf_compose.h"

static const char head[] = "v=spf1", tail[] = " ?all";

/* Terms from `at` on that fit into a part of `max` bytes; at least one. */
static size_t count_fitting(const bh_str *terms, size_t count, size_t at, size_t max)
{
    size_t n = sizeof(head) - 1 + sizeof(tail) - 1, to = at;

    while (to < count && (to == at || n + 1 + terms[to].n <= max))
        n += 1 + terms[to++].n;
    return to - at;
}

static size_t count_parts(const bh_str *terms, size_t count, size_t max)
{
    size_t parts = 0;

    for (size_t at = 0; at < count; parts++)
        at += count_fitting(terms, count, at, max);
    return parts;
}

static bh_str part_text(struct bh_arena *arena, const bh_str *terms, size_t count)
{
    struct bh_buf text = bh_buf_make(BH_SPF_PART_TEXT_MAX + 1024);
    bh_str copy = {NULL, 0};

    bh_buf_add(&text, bh_str_c(head));
    for (size_t i = 0; i < count; i++) {
        bh_buf_char(&text, ' ');
        bh_buf_add(&text, terms[i]);
    }
    bh_buf_add(&text, bh_str_c(tail));
    if (!bh_buf_err(&text))
        copy = bh_arena_dup(arena, bh_buf_view(&text));
    bh_buf_free(&text);
    return copy;
}

bh_err bh_spf_parts(struct bh_arena *arena, const bh_str *terms, size_t count, bh_str label, bh_str zone,
                    struct bh_spf_text *ret_parts, size_t *ret_count)
{
    size_t max = BH_SPF_TEXT_MAX, parts = 0;

    while (count_parts(terms, count, max) > BH_SPF_PARTS_MAX) {
        if (max >= BH_SPF_PART_TEXT_MAX)
            return BH_E_LIMIT;
        max = max * 2 < BH_SPF_PART_TEXT_MAX ? max * 2 : BH_SPF_PART_TEXT_MAX;
    }
    for (size_t at = 0; at < count; parts++) {
        size_t n = count_fitting(terms, count, at, max);
        struct bh_spf_text *part = &ret_parts[parts];

        part->name = bh_arena_printf(arena, "%.*s-%zu.%.*s", BH_FMT(label), parts + 1, BH_FMT(zone));
        part->text = part_text(arena, terms + at, n);
        if (!part->name.p || !part->text.p)
            return BH_E_NOMEM;
        at += n;
    }
    *ret_count = parts;
    return BH_OK;
}
