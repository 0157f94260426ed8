/* part.h: the MIME tree of a message by byte ranges, and the bytes behind a transfer encoding.
 *
 * Nothing is copied while walking: a part is views into the message (header, body) and its number in the tree. The
 * walk is bounded in depth and in parts; what lies beyond is not descended into and said so. A boundary line is
 * recognised by RFC 2046 5.1.1; the end of an outer multipart ends the inner ones; an unclosed multipart ends with
 * its container. Line ends may be CRLF or LF. */
#ifndef BH_PROTO_MIME_PART_H
#define BH_PROTO_MIME_PART_H

#include "base/buf.h"
#include "param.h"

enum bh_transfer { BH_TRANSFER_IDENTITY, BH_TRANSFER_QP, BH_TRANSFER_BASE64, BH_TRANSFER_UNKNOWN };

struct bh_part {
    bh_str header;               /* fields, without the empty line */
    bh_str body;                 /* encoded; without the line end that belongs to the boundary after it */
    struct bh_content_type type; /* "text/plain" where there is none (RFC 2045 5.2) or message/rfc822 in a digest */
    struct bh_content_type disposition; /* type empty where there is none */
    enum bh_transfer transfer;
    size_t parent;     /* index, or BH_NO_PART for the root */
    unsigned depth;    /* root = 0 */
    bool is_multipart; /* its children follow */
    bool is_message;   /* message/rfc822 or global, not encoded: its one child follows */
};
#define BH_NO_PART SIZE_MAX

struct bh_part_limits {
    size_t max_parts;   /* 0 = 500 */
    unsigned max_depth; /* 0 = 30 */
};

struct bh_part_list {
    struct bh_part *parts; /* in order of appearance; [0] is the message */
    size_t count;
    bool cut; /* a limit was reached */
};

/* Walks a message (header and body). NULL limits = the defaults. BH_E_NOMEM only. */
BH_MUST bh_err bh_part_walk(struct bh_arena *arena, bh_str message, const struct bh_part_limits *limits,
                            struct bh_part_list *ret_list);

/* Streaming decoder of a transfer encoding: feed pieces of any size, end once. Lenient: what is no base64 character
 * is skipped, "=" that is no escape stays as it is. Identity passes through. Output is at most what was fed. */
struct bh_transfer_decoder {
    enum bh_transfer transfer;
    uint32_t bits; /* base64: not yet written */
    unsigned bit_count;
    char held[2]; /* quoted-printable: the start of an escape */
    unsigned held_count;
    char blanks[80]; /* at a line's end they go (RFC 2045 6.7 rule 3) */
    unsigned blank_count;
};
struct bh_transfer_decoder bh_transfer_decoder_make(enum bh_transfer transfer);
void bh_transfer_decode(struct bh_transfer_decoder *decoder, bh_str piece, struct bh_buf *out);
void bh_transfer_decode_end(struct bh_transfer_decoder *decoder, struct bh_buf *out);
/* "base64", any case, blanks and comments around it ignored. */
enum bh_transfer bh_transfer_of(bh_str value);

#endif
