/* compose.h: a message (RFC 5322, MIME) made from its parts: what the HTTP API takes as JSON.
 *
 *     text alone, html alone                    one part
 *     text and html                             multipart/alternative
 *     with inline images (content_id)           html becomes multipart/related (RFC 2387)
 *     with attachments                          multipart/mixed around it
 *
 * All strings are UTF-8. Names and subjects become encoded words (RFC 2047) where they must, file names RFC 2231
 * parameters, texts quoted-printable unless they are short-lined ASCII, attachments base64. So the result is 7-bit, its
 * lines are short, and any receiver takes it. Date and Message-ID are added at departure (prepare.h). Nothing from
 * outside can break out of its field: CR, LF and control characters are refused there. */
#ifndef BH_MAIL_COMPOSE_H
#define BH_MAIL_COMPOSE_H

#include "base/buf.h"

enum {
    BH_COMPOSE_ADDRESS_MAX = 320,
    BH_COMPOSE_BOUNDARY_BYTES = 16,
    BH_COMPOSE_SUBJECT_MAX = 980 /* bytes of one word without a space; longer texts fold */
};

/* "Ada Lovelace <ada@example.net>" in its parts. */
struct bh_mailbox_text {
    bh_str name;    /* UTF-8; empty = none */
    bh_str address; /* the domain as A-labels; in the arena */
};

/* Reads "Name <address>", "\"Name\" <address>" or "address": one mailbox, the name taken literally (a comma in it is
 * part of it). BH_E_SYNTAX: no address like local@domain in ASCII (the domain may be UTF-8), or a control character;
 * BH_E_LIMIT; BH_E_NOMEM. */
BH_MUST bh_err bh_mailbox_read(struct bh_arena *arena, bh_str text, struct bh_mailbox_text *ret_mailbox);

struct bh_compose_field {
    bh_str name, value;
};

struct bh_compose_file {
    bh_str content; /* bytes as they are */
    bh_str filename;
    bh_str content_type; /* "image/png"; empty: by the filename's ending */
    bh_str content_id;   /* without <>; not empty = inline */
};

struct bh_compose {
    struct bh_mailbox_text from;
    const struct bh_mailbox_text *to, *cc, *reply_to;
    size_t to_count, cc_count, reply_to_count;
    bh_str subject;
    bh_str text, html; /* p == NULL: none; at least one of them */
    const struct bh_compose_field *fields;
    size_t field_count;
    const struct bh_compose_file *files;
    size_t file_count;
    uint8_t boundary[BH_COMPOSE_BOUNDARY_BYTES]; /* random */
};

enum bh_compose_problem {
    BH_COMPOSE_OK,
    BH_COMPOSE_SUBJECT,     /* CR, LF or another control character */
    BH_COMPOSE_FIELD_NAME,  /* of fields[*ret_index]: no name of a field, or one that we write ourselves */
    BH_COMPOSE_FIELD_VALUE, /* as the subject's */
    BH_COMPOSE_FILE_NAME,
    BH_COMPOSE_FILE_TYPE, /* not type/subtype */
    BH_COMPOSE_FILE_ID,   /* characters that no Content-ID has */
    BH_COMPOSE_EMPTY      /* neither text nor html */
};

/* What stands in the way, before anything is written; *ret_index says of which field or file. */
enum bh_compose_problem bh_compose_check(const struct bh_compose *message, size_t *ret_index);
/* Appends the message. Only after bh_compose_check said BH_COMPOSE_OK. The buffer's error holds. */
void bh_compose_write(struct bh_buf *out, const struct bh_compose *message);

#endif
