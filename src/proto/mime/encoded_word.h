/* encoded_word.h: readable text from header bytes and back (RFC 2047, RFC 2231 5).
 *
 * Reading is lenient: encoded words are found where RFC 2047 5 forbids them too (inside quoted strings, glued to
 * other text, broken by a fold), raw bytes that are no UTF-8 become U+FFFD, a word in an unknown character set stays
 * as written. Everything appends to a bh_buf whose maximum and sticky error hold. Linear in the input. */
#ifndef BH_PROTO_MIME_ENCODED_WORD_H
#define BH_PROTO_MIME_ENCODED_WORD_H

#include "base/buf.h"

/* An unstructured value (Subject, …): unfolded, trimmed, decoded. */
void bh_text_decode(struct bh_buf *out, bh_str value);
/* A display name as written: words, quoted strings and encoded words; comments are left out. */
void bh_phrase_decode(struct bh_buf *out, bh_str phrase);
/* `text` (UTF-8) as an unstructured value: unchanged where it is plain ASCII, else encoded words of at most 75
 * octets, folded with CRLF SP so that no line passes 76. `column`: how much of the first line is taken. Control
 * characters, CR and LF among them, are encoded, so no text can break out of its field. */
void bh_text_encode(struct bh_buf *out, bh_str text, size_t column);
/* The same, and plain ASCII is encoded too: where the text could be taken for something else. */
void bh_text_encode_always(struct bh_buf *out, bh_str text, size_t column);

/* The next item of a comma-separated list (Keywords and the like) as written, blanks trimmed, empty ones skipped;
 * a comma inside an encoded word separates nothing. BH_MORE, or BH_DONE. */
BH_MUST bh_err bh_keyword_next(bh_str *rest, bh_str *ret_item);

/* For the readers of this folder: text that grows word by word, with the blanks between treated as RFC 2047 6.2
 * asks. */
struct bh_text {
    struct bh_buf *out;
    size_t start;       /* of this text in `out` */
    bh_str blanks;      /* seen since the last word */
    bool after_encoded; /* the last word was an encoded one */
    bool keep_edges;    /* blanks at the start are part of the text */
    bool literal;       /* a parameter's value: blanks stay as they are, none are added */
};
static inline struct bh_text bh_text_make(struct bh_buf *out)
{
    return (struct bh_text){.out = out, .start = out->n};
}
/* Words, encoded words and blanks of `s`. */
void bh_text_add(struct bh_text *text, bh_str s);
/* The inside of a quoted string, backslashes already removed. */
void bh_text_add_quoted(struct bh_text *text, bh_str inside);
/* The length of the encoded word at the start of `s`, or 0. */
size_t bh_encoded_word_length(bh_str s);

#endif
