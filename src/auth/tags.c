/* tags.c: see tags.h. */
#include "tags.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct bh_cur *cur)
{
    while (cur->p < cur->end && is_blank(*cur->p))
        cur->p++;
}

static bh_str take_name(struct bh_cur *cur)
{
    const char *start = cur->p;

    if (cur->p < cur->end && bh_is_alpha(*cur->p))
        while (cur->p < cur->end && (bh_is_alnum(*cur->p) || *cur->p == '_'))
            cur->p++;
    return bh_str_range(start, cur->p);
}

/* RFC 6376 3.2: %x21-3A / %x3C-7E, blanks between them; RFC 6532 adds non-ASCII. Without an early way out, so that the
 * compiler looks at many bytes at once: a key record is 400 of them. */
static bool is_value(bh_str raw)
{
    unsigned bad = 0;

    for (size_t i = 0; i < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i];

        bad |= (unsigned)(c < 32) & (unsigned)(c != '\t') & (unsigned)(c != '\r') & (unsigned)(c != '\n');
        bad |= (unsigned)(c == 127);
    }
    return !bad;
}

static bool take_value(struct bh_cur *cur, struct bh_tag *tag)
{
    size_t left = (size_t)(cur->end - cur->p);
    const char *semicolon = left ? memchr(cur->p, ';', left) : NULL;

    tag->raw = bh_str_range(cur->p, semicolon ? semicolon : cur->end);
    tag->value = bh_str_trim(tag->raw);
    cur->p = semicolon ? semicolon + 1 : cur->end;
    return is_value(tag->raw);
}

bh_err bh_tag_next(struct bh_cur *cur, struct bh_tag *ret_tag)
{
    struct bh_tag tag = {0};

    if (cur->bad)
        return BH_E_SYNTAX;
    skip_blanks(cur);
    if (cur->p == cur->end)
        return BH_DONE;
    tag.name = take_name(cur);
    skip_blanks(cur);
    if (tag.name.n == 0 || cur->p == cur->end || *cur->p != '=') {
        cur->bad = true;
        return BH_E_SYNTAX;
    }
    cur->p++;
    if (!take_value(cur, &tag)) {
        cur->bad = true;
        return BH_E_SYNTAX;
    }
    *ret_tag = tag;
    return BH_MORE;
}

bh_err bh_tag_list_read(bh_str list, struct bh_tag *tags, size_t max, size_t *ret_count)
{
    struct bh_cur cur = bh_cur_make(list);
    struct bh_tag tag;
    size_t count = 0;
    bh_err err;

    while ((err = bh_tag_next(&cur, &tag)) == BH_MORE) {
        if (count == max)
            return BH_E_LIMIT;
        for (size_t i = 0; i < count; i++)
            if (bh_str_eq(tags[i].name, tag.name))
                return BH_E_SYNTAX;
        tags[count++] = tag;
    }
    if (err != BH_DONE)
        return err;
    *ret_count = count;
    return BH_OK;
}

const struct bh_tag *bh_tag_find(const struct bh_tag *tags, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (bh_str_eq(tags[i].name, bh_str_c(name)))
            return &tags[i];
    return NULL;
}

bool bh_tag_item(bh_str *rest, char sep, bh_str *ret_item)
{
    bh_str next;

    if (!rest->p)
        return false;
    *ret_item = bh_str_trim(bh_str_cut(*rest, sep, &next));
    *rest = next;
    return true;
}
