/* header.h: a message as header fields and body, by exact byte ranges and without copies.
 *
 * DKIM signs bytes, so every view points into the caller's message and the `whole` views of all fields, laid
 * end to end, are the header block. Nothing a stranger writes stops the iterator: a line that is no field comes
 * out as a field without a name, and what was odd is told by flags. Only the caller's bounds end it early.
 *
 *   struct bh_header_iter it = bh_header_iter_make(message, 1000, 256 * 1024);
 *   while ((err = bh_header_next(&it, &field)) == BH_MORE)
 *       ...
 *   if (err == BH_DONE)
 *       body = bh_header_body(&it);
 *
 * RFC 5322 2.2; a field runs to the first line end that is not followed by SP or HTAB. */
#ifndef BH_PROTO_MIME_HEADER_H
#define BH_PROTO_MIME_HEADER_H

#include "base/str.h"

/* What was seen so far that RFC 5322 forbids; the bytes are delivered all the same. */
enum bh_header_flag {
    BH_HEADER_BARE_LF = 1,      /* a line ended with LF alone */
    BH_HEADER_BARE_CR = 2,      /* a CR that no LF follows; it ends no line */
    BH_HEADER_NUL = 4,          /* a byte 0 */
    BH_HEADER_NO_NAME = 8,      /* a line that is no field: no colon, a name that is none, a stray continuation */
    BH_HEADER_UNTERMINATED = 16 /* the message ended within the header: no line end, or no empty line */
};

struct bh_header_field {
    bh_str name;  /* blanks before the colon cut off (RFC 5322 4.5.8); empty for a line that is no field */
    bh_str value; /* all after the colon, folds and leading blank included, without the final line end */
    bh_str whole; /* name, colon, value and final line end: the field's very bytes */
};

struct bh_header_iter {
    const char *start;
    const char *p;
    const char *end;    /* of the message */
    const char *body;   /* NULL until the end of the header was seen */
    size_t fields_left; /* may still be delivered */
    size_t bytes_left;  /* of header */
    unsigned flags;     /* BH_HEADER_* or-ed */
};

/* Reads `message`, at most `max_fields` fields of `max_bytes` bytes in all. The message must outlive the views. */
struct bh_header_iter bh_header_iter_make(bh_str message, size_t max_fields, size_t max_bytes);

/* The next field. BH_MORE with *ret_field written; BH_DONE at the end of the header; BH_E_LIMIT when a bound was
 * reached (again at every further call). Time is linear in the header, whatever it holds. */
BH_MUST bh_err bh_header_next(struct bh_header_iter *it, struct bh_header_field *ret_field);

/* After BH_DONE: what follows the empty line; empty (p at the end) where there is none. */
bh_str bh_header_body(const struct bh_header_iter *it);

/* The header block read so far: all fields, without the empty line. */
bh_str bh_header_block(const struct bh_header_iter *it);

#endif
