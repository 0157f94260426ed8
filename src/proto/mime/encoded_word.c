/* encoded_word.c: RFC 2047 both ways. See encoded_word.h.
 *
 * Decoding is one walk over words and runs of blanks; `separate` decides what a run becomes when the next word comes:
 * nothing between two encoded words, one space where a line was folded, else itself. Where an encoded word is glued
 * to text, the blank that RFC 2047 5 asks for is put back. */
#include "encoded_word.h"
#include "address.h"
#include "base/text.h"
#include "charset.h"

enum { max_charset = 64, max_encoded = 2048 };

struct encoded_word {
    bh_str charset;
    bh_str text;
    bool base64;
    size_t length;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool has_break(bh_str blanks)
{
    return bh_str_find(blanks, '\n') < blanks.n || bh_str_find(blanks, '\r') < blanks.n;
}

/* =?charset?b|q?text?= at the start of `s`. The bounds keep a text full of false starts linear. */
static bool read_encoded_word(bh_str s, struct encoded_word *ret_word)
{
    struct encoded_word word = {0};
    bh_str rest, start;

    if (!bh_str_starts(s, BH_STR("=?")))
        return false;
    start = bh_str_sub(s, 2, max_charset + 2);
    word.charset = bh_str_cut(start, '?', &rest);
    if (!rest.p || word.charset.n == 0 || word.charset.n > max_charset)
        return false;
    for (size_t i = 0; i < word.charset.n; i++)
        if (is_blank(word.charset.p[i]))
            return false;
    s = bh_str_skip(s, 2 + word.charset.n + 1);
    if (s.n < 4 || s.p[1] != '?')
        return false;
    char encoding = bh_to_lower(s.p[0]);
    if (encoding != 'b' && encoding != 'q')
        return false;
    word.base64 = encoding == 'b';
    start = bh_str_sub(s, 2, max_encoded);
    size_t n = bh_str_search(start, BH_STR("?="));
    if (n == start.n)
        return false;
    word.text = bh_str_sub(start, 0, n);
    word.length = 2 + word.charset.n + 1 + 2 + n + 2;
    *ret_word = word;
    return true;
}

size_t bh_encoded_word_length(bh_str s)
{
    struct encoded_word word;

    return read_encoded_word(s, &word) ? word.length : 0;
}

static int hex_digit(char c)
{
    c = bh_to_lower(c);
    return bh_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 2047 4.2, and a fold in the middle of the word goes away with its blanks. */
static void decode_q(struct bh_buf *out, bh_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '=' && s.n - i >= 3 && hex_digit(s.p[i + 1]) >= 0 && hex_digit(s.p[i + 2]) >= 0) {
            bh_buf_char(out, (char)(hex_digit(s.p[i + 1]) << 4 | hex_digit(s.p[i + 2])));
            i += 2;
        } else if (c == '\r' || c == '\n') {
            while (i + 1 < s.n && is_blank(s.p[i + 1]))
                i++;
        } else {
            bh_buf_char(out, c == '_' ? ' ' : c);
        }
    }
}

/* False where the word cannot be read: nothing is appended then. */
static bool put_decoded(struct bh_buf *out, const struct encoded_word *word)
{
    struct bh_buf bytes = bh_buf_make(max_encoded);
    bool ok = true;

    if (word->base64)
        ok = bh_base64_decode_loose(&bytes, word->text) == BH_OK;
    else
        decode_q(&bytes, word->text);
    ok = ok && bh_buf_err(&bytes) == BH_OK && bh_charset_to_utf8(out, word->charset, bh_buf_view(&bytes)) == BH_OK;
    bh_buf_free(&bytes);
    return ok;
}

static void put_without_breaks(struct bh_buf *out, bh_str blanks)
{
    for (size_t i = 0; i < blanks.n; i++)
        if (bh_is_wsp(blanks.p[i]))
            bh_buf_char(out, blanks.p[i]);
}

/* What stands between the last word and the next. */
static void separate(struct bh_text *text, bool encoded)
{
    bh_str blanks = text->blanks;
    bool between_encoded = encoded && text->after_encoded;

    text->blanks = (bh_str){NULL, 0};
    if (text->out->n == text->start) {
        if (text->keep_edges)
            put_without_breaks(text->out, blanks);
    } else if (text->literal) {
        if (!(between_encoded && has_break(blanks)))
            put_without_breaks(text->out, blanks);
    } else if (between_encoded) {
        return;
    } else if (blanks.n) {
        bh_buf_add(text->out, has_break(blanks) ? BH_STR(" ") : blanks);
    } else if (encoded || text->after_encoded) {
        bh_buf_char(text->out, ' ');
    }
}

/* Bytes up to a blank or something that may be an encoded word. */
static size_t plain_length(bh_str s)
{
    for (size_t i = 1; i < s.n; i++)
        if (is_blank(s.p[i]) || (s.p[i] == '=' && i + 1 < s.n && s.p[i + 1] == '?'))
            return i;
    return s.n;
}

void bh_text_add(struct bh_text *text, bh_str s)
{
    struct encoded_word word;

    while (s.n) {
        size_t n = 0;
        while (n < s.n && is_blank(s.p[n]))
            n++;
        if (n) {
            text->blanks = bh_str_sub(s, 0, n);
            s = bh_str_skip(s, n);
            continue;
        }
        size_t mark = text->out->n;
        if (read_encoded_word(s, &word)) {
            struct bh_text before = *text;
            separate(text, true);
            text->after_encoded = true;
            if (put_decoded(text->out, &word)) {
                s = bh_str_skip(s, word.length);
                continue;
            }
            bh_buf_truncate(text->out, mark);
            *text = before;
        }
        n = plain_length(s);
        separate(text, false);
        text->after_encoded = false;
        bh_utf8_repair(text->out, bh_str_sub(s, 0, n));
        s = bh_str_skip(s, n);
    }
}

void bh_text_add_quoted(struct bh_text *text, bh_str inside)
{
    struct bh_text inner = {.out = text->out, .keep_edges = true, .literal = text->literal};

    separate(text, bh_encoded_word_length(inside) > 0);
    inner.start = text->out->n;
    bh_text_add(&inner, inside);
    text->after_encoded = inner.after_encoded && inner.blanks.n == 0;
    put_without_breaks(text->out, inner.blanks);
}

void bh_text_decode(struct bh_buf *out, bh_str value)
{
    struct bh_text text = bh_text_make(out);

    bh_text_add(&text, value);
}

/* The length of the comment at the start of `s`, its parentheses included; all where it does not end. */
static size_t comment_length(bh_str s)
{
    size_t depth = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '(')
            depth++;
        else if (s.p[i] == ')' && --depth == 0)
            return i + 1;
    }
    return s.n;
}

/* The quoted string at the start of `s`: adds its meaning, returns its length. */
static size_t phrase_quoted(struct bh_text *text, bh_str s)
{
    struct bh_buf inside = bh_buf_make(s.n);
    size_t i = 1;

    for (; i < s.n && s.p[i] != '"'; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n)
            i++;
        bh_buf_char(&inside, s.p[i]);
    }
    bh_text_add_quoted(text, bh_buf_view(&inside));
    bh_buf_free(&inside);
    return i < s.n ? i + 1 : s.n;
}

void bh_phrase_decode(struct bh_buf *out, bh_str phrase)
{
    struct bh_text text = bh_text_make(out);
    size_t i = 0;

    while (i < phrase.n) {
        size_t from = i;
        while (i < phrase.n && phrase.p[i] != '"' && phrase.p[i] != '(')
            i++;
        bh_text_add(&text, bh_str_sub(phrase, from, i - from));
        if (i < phrase.n && phrase.p[i] == '"')
            i += phrase_quoted(&text, bh_str_skip(phrase, i));
        else if (i < phrase.n)
            i += comment_length(bh_str_skip(phrase, i));
    }
}

bh_err bh_keyword_next(bh_str *rest, bh_str *ret_item)
{
    while (rest->n) {
        size_t i = 0;
        while (i < rest->n && rest->p[i] != ',') {
            size_t n = bh_encoded_word_length(bh_str_skip(*rest, i));
            i += n ? n : 1;
        }
        bh_str item = bh_str_trim(bh_str_sub(*rest, 0, i));
        *rest = bh_str_skip(*rest, i + 1);
        if (item.n) {
            *ret_item = item;
            return BH_MORE;
        }
    }
    return BH_DONE;
}

/* ---- encoding ---- */

/* Text that may stand as it is: printable ASCII that nobody takes for an encoded word. */
static bool is_plain(bh_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 32 || (unsigned char)s.p[i] > 126)
            return false;
    return bh_str_search(s, BH_STR("=?")) == s.n;
}

/* The longest piece of `s` of at most `max` bytes that ends between characters. */
static size_t piece_length(bh_str s, size_t max)
{
    size_t n = s.n < max ? s.n : max;

    if (n < s.n)
        while (n > 1 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
            n--;
    return n;
}

void bh_text_encode_always(struct bh_buf *out, bh_str text, size_t column)
{
    /* base64 alone: as short as Q for most scripts, never ambiguous. 75 - "=?utf-8?b?" - "?=" = 63 -> 60 -> 45 bytes */
    enum { line = 76, overhead = 12, least = 4 };

    while (text.n) {
        size_t room = column + overhead + 2 * least > line ? 0 : line - column - overhead;
        if (room > 60)
            room = 60;
        if (room == 0) {
            bh_buf_add(out, BH_STR("\r\n "));
            column = 1;
            continue;
        }
        size_t n = piece_length(text, room / 4 * 3);
        bh_buf_add(out, BH_STR("=?utf-8?b?"));
        bh_base64_encode(out, bh_str_sub(text, 0, n));
        bh_buf_add(out, BH_STR("?="));
        text = bh_str_skip(text, n);
        column = line;
    }
}

void bh_text_encode(struct bh_buf *out, bh_str text, size_t column)
{
    if (is_plain(text))
        bh_buf_add(out, text);
    else
        bh_text_encode_always(out, text, column);
}
