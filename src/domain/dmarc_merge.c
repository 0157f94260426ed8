/* dmarc_merge.c: adding our report address to a DMARC record that is somebody's already. The record's text is kept as
 * it is, tag by tag: only the value of rua= grows, or a tag is appended (RFC 9989 4.7, 4.8). */
#include "approach.h"

enum { RECORD_MAX = 4000 };

static bool is_tag(bh_str part, bh_str name, bh_str *ret_value)
{
    bh_str value, tag = bh_str_trim(bh_str_cut(part, '=', &value));

    if (!value.p || !bh_str_eq_ci(tag, name))
        return false;
    *ret_value = bh_str_trim(value);
    return true;
}

/* "mailto:a@b!10m" without what follows "!" (RFC 9990, the size limit of RFC 7489). */
static bool names(bh_str uri, bh_str rua)
{
    bh_str rest;

    return bh_str_eq_ci(bh_str_trim(bh_str_cut(uri, '!', &rest)), rua);
}

bool bh_dmarc_has_rua(bh_str record, bh_str rua)
{
    bh_str rest = record, value, uris;

    while (rest.p) {
        if (!is_tag(bh_str_cut(rest, ';', &rest), BH_STR("rua"), &value))
            continue;
        for (uris = value; uris.p;)
            if (names(bh_str_cut(uris, ',', &uris), rua))
                return true;
    }
    return false;
}

bh_str bh_dmarc_with_rua(struct bh_arena *arena, bh_str record, bh_str rua)
{
    struct bh_buf out = bh_buf_make(RECORD_MAX);
    bh_str rest = bh_str_trim(record), value, copy;
    bool added = bh_dmarc_has_rua(record, rua);

    while (rest.p) {
        bh_str part = bh_str_trim(bh_str_cut(rest, ';', &rest));

        if (!part.n)
            continue;
        if (out.n)
            bh_buf_add(&out, BH_STR("; "));
        bh_buf_add(&out, part);
        if (!added && is_tag(part, BH_STR("rua"), &value)) {
            if (value.n)
                bh_buf_char(&out, ',');
            bh_buf_add(&out, rua);
            added = true;
        }
    }
    if (!added) {
        bh_buf_add(&out, BH_STR("; rua="));
        bh_buf_add(&out, rua);
    }
    copy = bh_buf_err(&out) ? (bh_str){NULL, 0} : bh_arena_dup(arena, bh_buf_view(&out));
    bh_buf_free(&out);
    return copy;
}

bh_str bh_dmarc_proposal(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_domain_view *view,
                         bh_str at)
{
    bh_str rua = bh_platform_rua(arena, platform, &view->domain.token);

    for (size_t i = 0; rua.p && i < view->policy_count; i++)
        if (view->policies[i].record.n && bh_str_eq_ci(view->policies[i].at, at))
            return bh_dmarc_with_rua(arena, view->policies[i].record, rua);
    return bh_dmarc_record(arena, platform, &view->domain);
}
