/* reply.h: SMTP replies (RFC 5321 4.2) with enhanced status codes (RFC 3463, RFC 2034): reading what a server says,
 * writing what we say.
 *
 * Reading is lenient in form (LF alone ends a line, a lone code is a line) and bounded in everything: text beyond
 * BH_SMTP_REPLY_TEXT_MAX is dropped, more lines or longer ones than the limits are an error of the peer. */
#ifndef BH_PROTO_SMTP_REPLY_H
#define BH_PROTO_SMTP_REPLY_H

#include "base/buf.h"

enum {
    BH_SMTP_REPLY_LINE_MAX = 2048, /* RFC 5321 asks for 512; real servers write more */
    BH_SMTP_REPLY_LINES_MAX = 128,
    BH_SMTP_REPLY_TEXT_MAX = 8192
};

/* class.subject.detail; class 0 where there is none. */
struct bh_smtp_status {
    uint8_t class;
    uint16_t subject;
    uint16_t detail;
};

/* A whole reply. The views live until the reader is used again. */
struct bh_smtp_reply {
    uint16_t code; /* 200-599 */
    struct bh_smtp_status status;
    bh_str text; /* the lines without codes, joined by LF */
};

/* Collects the lines of one reply after the other. */
struct bh_smtp_reply_reader {
    struct bh_buf text;
    struct bh_smtp_status status;
    uint16_t code;
    uint16_t lines;
    bool done; /* the last call gave a reply: begin anew */
};

void bh_smtp_reply_reader_init(struct bh_smtp_reply_reader *reader);
void bh_smtp_reply_reader_free(struct bh_smtp_reply_reader *reader);

/* Takes lines from *input (moved behind what was taken) until a reply is whole. BH_OK with *ret_reply, BH_E_AGAIN when
 * more input is needed, BH_E_SYNTAX (not SMTP), BH_E_LIMIT, BH_E_NOMEM: the connection is of no more use then. */
BH_MUST bh_err bh_smtp_reply_read(struct bh_smtp_reply_reader *reader, bh_str *input, struct bh_smtp_reply *ret_reply);

/* Reads "2.1.5" at the start of `text`; the status' class is 0 where there is none. *ret_rest: what follows, without
 * the blank. */
struct bh_smtp_status bh_smtp_status_parse(bh_str text, bh_str *ret_rest);

/* Appends a reply. `enhanced` is "5.7.1" or NULL; each LF in `text` begins a new line; other control bytes become
 * '?', and lines are folded before they exceed 512 bytes. */
void bh_smtp_reply_write(struct bh_buf *out, unsigned code, const char *enhanced, bh_str text);

#endif
