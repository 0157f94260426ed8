/* reply.c: see reply.h. */
#include "reply.h"

enum { WRITE_LINE_MAX = 480, WRITE_LINES_MAX = 64 };

void bh_smtp_reply_reader_init(struct bh_smtp_reply_reader *reader)
{
    *reader = (struct bh_smtp_reply_reader){.text = bh_buf_make(BH_SMTP_REPLY_TEXT_MAX)};
}

void bh_smtp_reply_reader_free(struct bh_smtp_reply_reader *reader)
{
    bh_buf_free(&reader->text);
}

/* Up to three digits at `s`; how many in *ret_digits. */
static uint16_t read_number(bh_str s, size_t *ret_digits)
{
    uint16_t v = 0;
    size_t i = 0;

    while (i < s.n && i < 3 && bh_is_digit(s.p[i]))
        v = (uint16_t)(v * 10 + (s.p[i++] - '0'));
    *ret_digits = i;
    return v;
}

struct bh_smtp_status bh_smtp_status_parse(bh_str text, bh_str *ret_rest)
{
    const struct bh_smtp_status none = {0};
    struct bh_smtp_status status = {0};
    bh_str s = text;
    size_t digits;

    *ret_rest = text;
    if (s.n < 5 || (s.p[0] != '2' && s.p[0] != '4' && s.p[0] != '5') || s.p[1] != '.')
        return none;
    status.class = (uint8_t)(s.p[0] - '0');
    s = bh_str_skip(s, 2);
    status.subject = read_number(s, &digits);
    if (!digits || digits >= s.n || s.p[digits] != '.')
        return none;
    s = bh_str_skip(s, digits + 1);
    status.detail = read_number(s, &digits);
    if (!digits || (digits < s.n && s.p[digits] != ' '))
        return none;
    *ret_rest = bh_str_skip(s, digits < s.n ? digits + 1 : digits);
    return status;
}

/* "250-text", "250 text", "250" */
static bh_err parse_line(struct bh_smtp_reply_reader *reader, bh_str line, bool *ret_last)
{
    struct bh_smtp_status status;
    size_t digits;
    uint16_t code = read_number(line, &digits);
    bool more = line.n > 3 && line.p[3] == '-';
    bh_str text = bh_str_skip(line, 4);

    if (digits != 3 || code < 200 || code > 599 || (line.n > 3 && line.p[3] != ' ' && !more))
        return BH_E_SYNTAX;
    if (reader->lines && code != reader->code)
        return BH_E_SYNTAX;
    if (++reader->lines > BH_SMTP_REPLY_LINES_MAX)
        return BH_E_LIMIT;
    status = bh_smtp_status_parse(text, &text);
    if (reader->lines == 1)
        reader->status = status;
    else
        bh_buf_char(&reader->text, '\n');
    reader->code = code;
    if (reader->text.n + text.n < BH_SMTP_REPLY_TEXT_MAX)
        bh_buf_add(&reader->text, text);
    if (reader->text.err == BH_E_LIMIT) /* the LF of a full buffer: the rest is dropped */
        reader->text.err = BH_OK;
    *ret_last = !more;
    return bh_buf_err(&reader->text);
}

bh_err bh_smtp_reply_read(struct bh_smtp_reply_reader *reader, bh_str *input, struct bh_smtp_reply *ret_reply)
{
    bool last = false;
    bh_err err;

    if (reader->done) {
        bh_buf_clear(&reader->text);
        reader->done = false;
        reader->lines = 0;
    }
    while (!last) {
        size_t end = bh_str_find(*input, '\n');
        bh_str line = bh_str_sub(*input, 0, end);

        if (end > BH_SMTP_REPLY_LINE_MAX)
            return BH_E_LIMIT;
        if (end == input->n)
            return BH_E_AGAIN;
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        err = parse_line(reader, line, &last);
        if (err)
            return err;
        *input = bh_str_skip(*input, end + 1);
    }
    reader->done = true;
    *ret_reply = (struct bh_smtp_reply){reader->code, reader->status, bh_buf_view(&reader->text)};
    return BH_OK;
}

/* Cuts what fits into one line off *text: up to an LF, or to the last blank before the limit. */
static bh_str cut_line(bh_str *text)
{
    size_t end = bh_str_find(bh_str_sub(*text, 0, WRITE_LINE_MAX), '\n');
    bh_str line;

    if (end == WRITE_LINE_MAX && text->n > WRITE_LINE_MAX) {
        size_t blank = bh_str_rfind(bh_str_sub(*text, 0, WRITE_LINE_MAX), ' ');

        if (blank && blank < WRITE_LINE_MAX)
            end = blank;
        line = bh_str_sub(*text, 0, end);
        *text = bh_str_skip(*text, blank == end ? end + 1 : end);
        return line;
    }
    line = bh_str_sub(*text, 0, end);
    *text = bh_str_skip(*text, end + 1);
    return line;
}

static void write_clean(struct bh_buf *out, bh_str line)
{
    char *p = bh_buf_reserve(out, line.n);

    if (!p)
        return;
    for (size_t i = 0; i < line.n; i++)
        p[i] = (unsigned char)line.p[i] < ' ' || line.p[i] == 0x7f ? '?' : line.p[i];
    bh_buf_commit(out, line.n);
}

void bh_smtp_reply_write(struct bh_buf *out, unsigned code, const char *enhanced, bh_str text)
{
    const char digits[3] = {(char)('0' + code / 100 % 10), (char)('0' + code / 10 % 10), (char)('0' + code % 10)};
    unsigned lines = 0;
    bool last;

    do {
        bh_str line = cut_line(&text);

        last = !text.n || ++lines == WRITE_LINES_MAX;
        bh_buf_add(out, bh_str_of(digits, 3));
        bh_buf_char(out, last ? ' ' : '-');
        if (enhanced) {
            bh_buf_add(out, bh_str_c(enhanced));
            bh_buf_char(out, ' ');
        }
        write_clean(out, line);
        bh_buf_add(out, BH_STR("\r\n"));
    } while (!last);
}
