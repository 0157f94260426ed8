/* transfer.c: the streaming decoders of part.h. One byte at a time through a small state, so that a piece may end
 * anywhere. */
#include "part.h"

struct bh_transfer_decoder bh_transfer_decoder_make(enum bh_transfer transfer)
{
    return (struct bh_transfer_decoder){.transfer = transfer};
}

enum bh_transfer bh_transfer_of(bh_str value)
{
    static const struct {
        const char *name;
        enum bh_transfer transfer;
    } names[] = {{"7bit", BH_TRANSFER_IDENTITY},
                 {"8bit", BH_TRANSFER_IDENTITY},
                 {"binary", BH_TRANSFER_IDENTITY},
                 {"quoted-printable", BH_TRANSFER_QP},
                 {"base64", BH_TRANSFER_BASE64}};
    bh_str rest, word = bh_str_trim(bh_str_cut(bh_str_cut(value, ';', &rest), '(', &rest));

    if (word.n == 0)
        return BH_TRANSFER_IDENTITY;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bh_str_eq_ci(word, bh_str_c(names[i].name)))
            return names[i].transfer;
    return BH_TRANSFER_UNKNOWN;
}

/* ---- base64 ---- */

static int base64_value(char c)
{
    if (bh_is_upper(c))
        return c - 'A';
    if (bh_is_lower(c))
        return c - 'a' + 26;
    if (bh_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void base64_char(struct bh_transfer_decoder *d, char c, struct bh_buf *out)
{
    int value = base64_value(c);

    if (c == '=') { /* padding ends a run; some messages hold several, one behind the other */
        d->bits = d->bit_count = 0;
        return;
    }
    if (value < 0)
        return;
    d->bits = d->bits << 6 | (uint32_t)value;
    d->bit_count += 6;
    if (d->bit_count >= 8) {
        d->bit_count -= 8;
        bh_buf_char(out, (char)(d->bits >> d->bit_count & 0xff));
    }
}

/* ---- quoted-printable ---- */

static int hex_digit(char c)
{
    c = bh_to_lower(c);
    return bh_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put_blanks(struct bh_transfer_decoder *d, struct bh_buf *out)
{
    bh_buf_add(out, bh_str_of(d->blanks, d->blank_count));
    d->blank_count = 0;
}

static void qp_plain(struct bh_transfer_decoder *d, char c, struct bh_buf *out)
{
    if (bh_is_wsp(c)) {
        if (d->blank_count == sizeof d->blanks)
            put_blanks(d, out);
        d->blanks[d->blank_count++] = c;
        return;
    }
    if (c == '\r' || c == '\n')
        d->blank_count = 0;
    put_blanks(d, out);
    if (c == '=')
        d->held[d->held_count++] = c;
    else
        bh_buf_char(out, c);
}

/* Behind '=': a line end, a hex digit, or something that makes it no escape. */
static void qp_escape(struct bh_transfer_decoder *d, char c, struct bh_buf *out)
{
    if (c == '\n') {
        d->held_count = 0;
    } else if (c == '\r' || hex_digit(c) >= 0) {
        d->held[d->held_count++] = c;
    } else if (!bh_is_wsp(c)) {
        d->held_count = 0;
        bh_buf_char(out, '=');
        qp_plain(d, c, out);
    }
}

static void qp_char(struct bh_transfer_decoder *d, char c, struct bh_buf *out)
{
    if (d->held_count == 0) {
        qp_plain(d, c, out);
    } else if (d->held_count == 1) {
        qp_escape(d, c, out);
    } else if (d->held[1] == '\r') {
        d->held_count = 0;
        if (c != '\n')
            qp_plain(d, c, out);
    } else if (hex_digit(c) >= 0) {
        d->held_count = 0;
        bh_buf_char(out, (char)(hex_digit(d->held[1]) << 4 | hex_digit(c)));
    } else {
        d->held_count = 0;
        bh_buf_add(out, bh_str_of(d->held, 2));
        qp_plain(d, c, out);
    }
}

void bh_transfer_decode(struct bh_transfer_decoder *d, bh_str piece, struct bh_buf *out)
{
    switch (d->transfer) {
    case BH_TRANSFER_IDENTITY:
    case BH_TRANSFER_UNKNOWN:
        bh_buf_add(out, piece);
        break;
    case BH_TRANSFER_QP:
        for (size_t i = 0; i < piece.n; i++)
            qp_char(d, piece.p[i], out);
        break;
    case BH_TRANSFER_BASE64:
        for (size_t i = 0; i < piece.n; i++)
            base64_char(d, piece.p[i], out);
        break;
    }
}

void bh_transfer_decode_end(struct bh_transfer_decoder *d, struct bh_buf *out)
{
    if (d->held_count == 2 && d->held[1] != '\r')
        bh_buf_add(out, bh_str_of(d->held, 2));
    *d = bh_transfer_decoder_make(d->transfer);
}
