/* generate.c: see generate.h. */
#include "generate.h"
#include "base/cur.h"
#include <inttypes.h>

enum { NUMBER_MAX = INT32_MAX, WIDTH_MAX = 255 };

/* The number at the start of *text, which moves behind it. */
static bh_err take_number(bh_str *text, uint64_t max, uint32_t *ret_number)
{
    uint64_t number = 0;
    size_t n = 0;
    bh_err err;

    while (n < text->n && bh_is_digit(text->p[n]))
        n++;
    err = bh_str_to_u64(bh_str_sub(*text, 0, n), max, &number);
    if (err)
        return BH_E_SYNTAX;
    *text = bh_str_skip(*text, n);
    *ret_number = (uint32_t)number;
    return BH_OK;
}

static bool take_char(bh_str *text, char c)
{
    if (!text->n || text->p[0] != c)
        return false;
    *text = bh_str_skip(*text, 1);
    return true;
}

bh_err bh_dns_generate_range(struct bh_dns_generate *generate, bh_str range)
{
    bh_err err = take_number(&range, NUMBER_MAX, &generate->value);

    generate->step = 1;
    if (!err)
        err = take_char(&range, '-') ? take_number(&range, NUMBER_MAX, &generate->stop) : BH_E_SYNTAX;
    if (!err && take_char(&range, '/'))
        err = take_number(&range, NUMBER_MAX, &generate->step);
    if (err)
        return err;
    return range.n || !generate->step || generate->value > generate->stop ? BH_E_SYNTAX : BH_OK;
}

void bh_dns_generate_advance(struct bh_dns_generate *generate)
{
    generate->left--;
    generate->running = generate->stop - generate->value >= generate->step;
    generate->value += generate->step;
}

bh_err bh_dns_generate_data(struct bh_dns_generate *generate, struct bh_dns_lexer *lexer)
{
    struct bh_dns_token first, more;
    bh_err err = bh_dns_lexer_next(lexer, &first);
    size_t from;

    if (err != BH_MORE)
        return BH_E_SYNTAX;
    from = (size_t)(first.text.p - lexer->text.p) - first.quoted;
    generate->depth = lexer->depth;
    err = bh_dns_lexer_next(lexer, &more);
    if (err == BH_DONE && first.quoted) {
        generate->data = first.text;
        generate->depth = 0;
        return BH_OK;
    }
    while (err == BH_MORE)
        err = bh_dns_lexer_next(lexer, &more);
    generate->data = bh_str_sub(lexer->text, from, lexer->at - from);
    return err == BH_DONE ? BH_OK : err;
}

/* ---- numbers in a text ---- */

struct format {
    int64_t offset;
    uint32_t width;
    char base;
};

/* "{offset,width,base}" without its opening brace, the latter two optional. */
static bh_err take_format(bh_str *text, struct format *ret_format)
{
    bool negative = take_char(text, '-');
    uint32_t offset = 0;
    bh_err err;

    if (!negative)
        (void)take_char(text, '+');
    err = take_number(text, NUMBER_MAX, &offset);
    ret_format->offset = negative ? -(int64_t)offset : offset;
    if (!err && take_char(text, ',')) {
        err = take_number(text, WIDTH_MAX, &ret_format->width);
        if (!err && take_char(text, ',')) {
            if (!text->n || !memchr("doxXnN", text->p[0], 6))
                return BH_E_SYNTAX;
            ret_format->base = text->p[0];
            *text = bh_str_skip(*text, 1);
        }
    }
    return err || !take_char(text, '}') ? BH_E_SYNTAX : BH_OK;
}

static void put_nibbles(struct bh_buf *out, uint32_t number, uint32_t width, bool upper)
{
    do {
        bh_buf_char(out, (upper ? "0123456789ABCDEF" : "0123456789abcdef")[number & 15]);
        number >>= 4;
        width -= width > 0;
        if (!number && !width)
            break;
        bh_buf_char(out, '.');
        width -= width > 0;
    } while (number || width);
}

static void put_number(struct bh_buf *out, int64_t number, const struct format *format)
{
    int width = (int)format->width;

    if (format->base == 'n' || format->base == 'N')
        put_nibbles(out, (uint32_t)number, format->width, format->base == 'N');
    else if (format->base == 'o')
        bh_buf_printf(out, "%0*" PRIo32, width, (uint32_t)number);
    else if (format->base == 'x')
        bh_buf_printf(out, "%0*" PRIx32, width, (uint32_t)number);
    else if (format->base == 'X')
        bh_buf_printf(out, "%0*" PRIX32, width, (uint32_t)number);
    else
        bh_buf_printf(out, "%0*" PRId64, width, number);
}

bh_err bh_dns_generate_expand(struct bh_dns_generate *generate, bh_str text)
{
    struct bh_buf *out = &generate->text;

    bh_buf_clear(out);
    while (text.n) {
        struct format format = {.base = 'd'};
        size_t plain = 0;

        while (plain < text.n && text.p[plain] != '$')
            plain += text.p[plain] == '\\' && plain + 1 < text.n ? 2 : 1;
        bh_buf_add(out, bh_str_sub(text, 0, plain));
        text = bh_str_skip(text, plain);
        if (!take_char(&text, '$'))
            continue;
        if (take_char(&text, '$')) {
            bh_buf_char(out, '$');
            continue;
        }
        if (take_char(&text, '{') && take_format(&text, &format))
            return BH_E_SYNTAX;
        put_number(out, (int64_t)generate->value + format.offset, &format);
    }
    return bh_buf_err(out);
}
