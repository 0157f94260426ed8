/* crlf.h: one fast pass over message text for both ends of SMTP: is every line end CRLF and nothing else, is no line
 * too long, where does a line start with a dot.
 *
 * The pass looks at 64 bytes at a time as bit masks (SSE2 where the machine has it): a text is clean when the mask of
 * CR moved by one is the mask of LF. 10 KiB cost about a microsecond; a memchr per line costs ten. */
#ifndef BH_PROTO_SMTP_CRLF_H
#define BH_PROTO_SMTP_CRLF_H

#include "base/str.h"

/* Where in a line the text stands between two calls; only at_line_start is true at the beginning. */
struct bh_crlf {
    bool at_line_start;
    bool after_cr;     /* bh_crlf_pass_piece: the last byte of the piece before was a CR */
    size_t line_bytes; /* bytes of the current line passed so far */
};

enum bh_crlf_stop {
    BH_CRLF_NONE,    /* all passed, or all but a CR at the end whose LF is not here yet */
    BH_CRLF_DOT,     /* the next byte is a dot at the start of a line */
    BH_CRLF_BARE_CR, /* the next byte is a CR without LF behind it */
    BH_CRLF_BARE_LF, /* the next byte is an LF without CR before it */
    BH_CRLF_LONG     /* the current line is longer than max_line_bytes, its CRLF included */
};

/* Passes over `text` from the state `crlf` until something above stops it. *ret_n is the number of clean bytes
 * passed; the caller hands in the rest again, after it dealt with the reason, and with more behind it for
 * BH_CRLF_NONE. To step over a byte that stopped the pass use bh_crlf_skip. */
enum bh_crlf_stop bh_crlf_pass(struct bh_crlf *crlf, bh_str text, size_t max_line_bytes, size_t *ret_n);

/* The same over a piece behind which no more input can be awaited: a CR at its end is passed, and the next piece must
 * begin with its LF (else: BH_CRLF_BARE_CR at 0). `piece` is not empty. */
enum bh_crlf_stop bh_crlf_pass_piece(struct bh_crlf *crlf, bh_str piece, size_t max_line_bytes, size_t *ret_n);

/* The byte at which the pass stopped was dropped or is taken as an ordinary one. */
static inline void bh_crlf_skip(struct bh_crlf *crlf)
{
    crlf->at_line_start = false;
}

#endif
