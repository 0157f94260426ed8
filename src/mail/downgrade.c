/* downgrade.c: see downgrade.h. One pass over the parts in their order: what stands between them is copied, headers get
 * a new Content-Transfer-Encoding where theirs promises 8 bits, leaves with 8-bit bytes are encoded. */
#include "downgrade.h"
#include "base/text.h"
#include "proto/mime/header.h"
#include "proto/mime/part.h"

enum { QP_LINE = 76, BASE64_LINE_BYTES = 57, FIELDS_MAX = 20000, HEADER_MAX = 4 << 20 };

struct downgrade {
    const struct bh_part_list *list;
    bh_str message;
    struct bh_buf *out;
    const char *copied; /* up to here */
    const char *why;
};

static bool has_8bit(bh_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return true;
    return false;
}

/* ---- encodings ---- */

static void qp_byte(struct bh_buf *out, unsigned char c, size_t *column)
{
    static const char hex[] = "0123456789ABCDEF";
    const char escape[] = {'=', hex[c >> 4], hex[c & 15]};

    bh_buf_add(out, bh_str_of(escape, sizeof(escape)));
    *column += sizeof(escape);
}

/* One line without its end (RFC 2045 6.7). */
static void qp_line(struct bh_buf *out, bh_str line)
{
    size_t column = 0;

    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        bool at_end = i + 1 == line.n;
        bool plain = (c > ' ' && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !at_end);

        if (column + (plain ? 1 : 3) > QP_LINE - 1) {
            bh_buf_add(out, BH_STR("=\r\n"));
            column = 0;
        }
        if (plain) {
            bh_buf_char(out, (char)c);
            column++;
        } else {
            qp_byte(out, c, &column);
        }
    }
}

static void encode_qp(struct bh_buf *out, bh_str text)
{
    while (text.n) {
        size_t n = bh_str_search(text, BH_STR("\r\n"));

        qp_line(out, bh_str_sub(text, 0, n));
        if (n < text.n)
            bh_buf_add(out, BH_STR("\r\n"));
        text = bh_str_skip(text, n + 2);
    }
}

static void encode_base64(struct bh_buf *out, bh_str bytes)
{
    for (; bytes.n; bytes = bh_str_skip(bytes, BASE64_LINE_BYTES)) {
        bh_base64_encode(out, bh_str_sub(bytes, 0, BASE64_LINE_BYTES));
        if (bytes.n > BASE64_LINE_BYTES)
            bh_buf_add(out, BH_STR("\r\n"));
    }
}

/* ---- copying ---- */

/* What stands between parts is boundaries and words for readers without MIME. */
static void copy_upto(struct downgrade *d, const char *to)
{
    for (; d->copied < to; d->copied++)
        bh_buf_char(d->out, (unsigned char)*d->copied >= 0x80 ? '?' : *d->copied);
}

/* A header with another Content-Transfer-Encoding; all else stays. */
static bh_err copy_header(struct downgrade *d, const struct bh_part *part, const char *encoding, bool is_root)
{
    struct bh_header_iter it = bh_header_iter_make(part->header, FIELDS_MAX, HEADER_MAX);
    struct bh_header_field field;
    bool is_mime = false;
    bh_err err;

    while ((err = bh_header_next(&it, &field)) == BH_MORE) {
        if (bh_str_eq_ci(field.name, BH_STR("Content-Transfer-Encoding")))
            continue;
        is_mime = is_mime || bh_str_eq_ci(field.name, BH_STR("MIME-Version"));
        bh_buf_add(d->out, field.whole);
    }
    if (err != BH_DONE)
        return BH_E_INVALID;
    if (is_root && !is_mime)
        bh_buf_add(d->out, BH_STR("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"));
    bh_buf_printf(d->out, "Content-Transfer-Encoding: %s\r\n", encoding);
    d->copied = part->header.p + part->header.n;
    return BH_OK;
}

/* ---- parts ---- */

static bool type_is(const struct bh_part *part, const char *type)
{
    return bh_str_eq_ci(part->type.type, bh_str_c(type));
}

/* Why this part's 8-bit bytes cannot be changed; NULL: they can. */
static const char *obstacle(const struct downgrade *d, size_t index)
{
    const struct bh_part *part = &d->list->parts[index];

    for (size_t up = part->parent; up != BH_NO_PART; up = d->list->parts[up].parent)
        if (bh_str_eq_ci(d->list->parts[up].type.subtype, BH_STR("signed")) ||
            bh_str_eq_ci(d->list->parts[up].type.subtype, BH_STR("encrypted")))
            return "8-bit text inside of a signed or encrypted part";
    if (has_8bit(part->header))
        return "8-bit bytes in a header field";
    if (part->is_multipart || part->is_message)
        return NULL;
    if (type_is(part, "multipart") || type_is(part, "message"))
        return "8-bit text in a part that must not be encoded";
    return part->transfer == BH_TRANSFER_IDENTITY ? NULL : "8-bit bytes in a part that is encoded already";
}

static bool has_children(const struct downgrade *d, size_t index)
{
    return index + 1 < d->list->count && d->list->parts[index + 1].parent == index;
}

static bh_err convert_part(struct downgrade *d, size_t index)
{
    const struct bh_part *part = &d->list->parts[index];
    bool is_root = part->parent == BH_NO_PART;
    bool is_leaf = !part->is_multipart && !part->is_message, is_text = type_is(part, "text");
    bh_err err;

    if (!has_8bit(part->header) && !has_8bit(part->body))
        return BH_OK;
    d->why = obstacle(d, index);
    if (!d->why && !is_leaf && !has_children(d, index))
        d->why = "8-bit text in a multipart without parts";
    if (d->why)
        return BH_E_INVALID;
    copy_upto(d, part->header.p);
    err = copy_header(d, part, !is_leaf ? "7bit" : is_text ? "quoted-printable" : "base64", is_root);
    if (err || !is_leaf)
        return err;
    copy_upto(d, part->body.p);
    if (is_text)
        encode_qp(d->out, part->body);
    else
        encode_base64(d->out, part->body);
    d->copied = part->body.p + part->body.n;
    return BH_OK;
}

bh_err bh_downgrade(struct bh_arena *arena, bh_str message, struct bh_buf *out, const char **ret_why)
{
    struct bh_part_list list;
    struct downgrade d = {.list = &list, .message = message, .out = out, .copied = message.p};
    bh_err err = bh_part_walk(arena, message, NULL, &list);

    if (!err && list.cut) {
        d.why = "too many parts, or too deep";
        err = BH_E_INVALID;
    }
    for (size_t i = 0; i < (err ? 0 : list.count) && !err; i++)
        err = convert_part(&d, i);
    if (err == BH_E_INVALID)
        *ret_why = d.why ? d.why : "a header that cannot be read";
    if (err)
        return err;
    copy_upto(&d, message.p + message.n);
    return bh_buf_err(out);
}
