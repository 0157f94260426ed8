/* header.c: see header.h. One memchr for the end of each line; the odd bytes are looked for in the same line, so
 * that the whole stays linear. A line is taken in only after it is known to be within the bounds. */
#include "header.h"

struct bh_header_iter bh_header_iter_make(bh_str message, size_t max_fields, size_t max_bytes)
{
    const char *start = message.n ? message.p : "";

    return (struct bh_header_iter){
        .start = start, .p = start, .end = start + message.n, .fields_left = max_fields, .bytes_left = max_bytes};
}

/* The end of the line at `p`, behind its LF; NULL when it would pass `limit` bytes. */
static const char *find_line_end(const char *p, const char *end, size_t limit)
{
    size_t left = (size_t)(end - p);
    size_t look = left < limit ? left : limit;
    const char *lf = look ? memchr(p, '\n', look) : NULL;

    if (lf)
        return lf + 1;
    return look == left ? end : NULL;
}

static unsigned flags_of_line(const char *p, const char *line_end)
{
    size_t n = (size_t)(line_end - p);
    const char *cr = memchr(p, '\r', n);
    unsigned flags = 0;

    if (line_end[-1] != '\n')
        flags |= BH_HEADER_UNTERMINATED;
    else if (n < 2 || line_end[-2] != '\r')
        flags |= BH_HEADER_BARE_LF;
    if (cr && (cr + 2 != line_end || line_end[-1] != '\n'))
        flags |= BH_HEADER_BARE_CR;
    if (memchr(p, 0, n))
        flags |= BH_HEADER_NUL;
    return flags;
}

/* RFC 5322 3.6.8: ftext is 33-126 without the colon. Blanks behind it are of the obsolete form. */
static bh_str name_of(const char *p, const char *colon)
{
    bh_str name = bh_str_range(p, colon);

    while (name.n && bh_is_wsp(name.p[name.n - 1]))
        name.n--;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] < 33 || name.p[i] > 126)
            return (bh_str){p, 0};
    return name;
}

static void split_field(struct bh_header_iter *it, const char *p, const char *end, struct bh_header_field *ret_field)
{
    const char *value_end = end;
    const char *colon;

    if (value_end > p && value_end[-1] == '\n')
        value_end--;
    if (value_end > p && value_end[-1] == '\r')
        value_end--;
    colon = value_end > p ? memchr(p, ':', (size_t)(value_end - p)) : NULL;
    ret_field->whole = bh_str_range(p, end);
    ret_field->name = colon ? name_of(p, colon) : (bh_str){p, 0};
    ret_field->value = bh_str_range(colon ? colon + 1 : p, value_end);
    if (ret_field->name.n == 0)
        it->flags |= BH_HEADER_NO_NAME;
}

static bool is_empty_line(const char *p, const char *end)
{
    return *p == '\n' || (*p == '\r' && end - p >= 2 && p[1] == '\n');
}

static bh_err end_header(struct bh_header_iter *it)
{
    if (it->body)
        return BH_DONE;
    if (it->p == it->end) {
        it->flags |= BH_HEADER_UNTERMINATED;
        it->body = it->end;
    } else {
        if (*it->p == '\n')
            it->flags |= BH_HEADER_BARE_LF;
        it->body = it->p + (*it->p == '\r' ? 2 : 1);
    }
    return BH_DONE;
}

bh_err bh_header_next(struct bh_header_iter *it, struct bh_header_field *ret_field)
{
    const char *field_end = it->p;
    size_t bytes_left = it->bytes_left;

    if (it->body || it->p == it->end || is_empty_line(it->p, it->end))
        return end_header(it);
    if (it->fields_left == 0)
        return BH_E_LIMIT;
    do {
        const char *line_end = find_line_end(field_end, it->end, bytes_left);

        if (!line_end)
            return BH_E_LIMIT;
        it->flags |= flags_of_line(field_end, line_end);
        bytes_left -= (size_t)(line_end - field_end);
        field_end = line_end;
    } while (field_end < it->end && bh_is_wsp(*field_end));
    split_field(it, it->p, field_end, ret_field);
    it->p = field_end;
    it->bytes_left = bytes_left;
    it->fields_left--;
    return BH_MORE;
}

bh_str bh_header_body(const struct bh_header_iter *it)
{
    const char *body = it->body ? it->body : it->end;

    return bh_str_range(body, it->end);
}

bh_str bh_header_block(const struct bh_header_iter *it)
{
    return bh_str_range(it->start, it->p);
}
