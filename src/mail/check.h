/* check.h: is this message one that we accept for submission? One function for every door: SMTP, `behalf send`,
 * the API. It looks at bytes alone; whether the author's domain is the customer's is identity.h's question.
 *
 * Rules: line ends are CRLF and nothing else (SMTP smuggling: RFC 5321 2.3.8, 4.1.1.4; refused, never repaired), no
 * NUL, lines of at most 998 octets (RFC 5322 2.1.1), a header of fields within bounds, fewer hops than the limit
 * (RFC 5321 6.3), exactly one From with exactly one address whose domain is certain (address.h).
 *
 * Each refusal carries a reply code, an enhanced code, the reason and the fix in words. */
#ifndef BH_MAIL_CHECK_H
#define BH_MAIL_CHECK_H

#include "proto/mime/address.h"

struct bh_check_limits {
    size_t max_line_bytes;   /* without CRLF; 0 = 998 */
    size_t max_header_bytes; /* 0 = 256 KiB */
    size_t max_fields;       /* 0 = 1000 */
    size_t max_hops;         /* Received fields; 0 = 100 */
};

/* A stable word per rule, for events, metrics and tests. */
enum bh_check_rule {
    BH_CHECK_OK,
    BH_CHECK_BARE_LF,
    BH_CHECK_BARE_CR,
    BH_CHECK_NUL,
    BH_CHECK_LONG_LINE,
    BH_CHECK_HEADER_SIZE,
    BH_CHECK_HEADER_FIELDS,
    BH_CHECK_NOT_A_FIELD,
    BH_CHECK_BLANK_NAME,
    BH_CHECK_NO_HEADER_END,
    BH_CHECK_HOPS,
    BH_CHECK_NO_FROM,
    BH_CHECK_SEVERAL_FROM,
    BH_CHECK_SEVERAL_AUTHORS,
    BH_CHECK_BAD_FROM,
    BH_CHECK_NOMEM
};

struct bh_check_verdict {
    enum bh_check_rule rule;
    uint16_t code;        /* 0 when fine, else 4xx or 5xx */
    const char *enhanced; /* "5.6.0" */
    bh_str reason;        /* one line, printable ASCII; in the arena */
    bh_str fix;           /* what the sender of the message can do; may be empty */
};

/* What was learnt on the way; views of the message. Complete when the rule is BH_CHECK_OK. */
struct bh_check_facts {
    bh_str header; /* all fields, without the empty line */
    bh_str body;
    struct bh_author author;
    bh_str from;       /* the From field's value */
    bh_str message_id; /* the first Message-ID's value, trimmed; empty where there is none */
    bool has_date;
    bool has_message_id;
    bool header_8bit; /* a byte above 127 in the header: SMTPUTF8 is needed to relay it as it is (RFC 6531) */
    bool body_8bit;   /* a byte above 127 in the body: 8BITMIME is needed (bh_check_message only) */
    size_t received;  /* Received fields */
    size_t fields;
};

/* Judges the header of a message whose lines were already judged while they came in (smtpd does): `message` starts
 * with its first byte and holds at least the whole header and the empty line. NULL limits = the defaults. */
void bh_check_header(struct bh_arena *arena, const struct bh_check_limits *limits, bh_str message,
                     struct bh_check_facts *ret_facts, struct bh_check_verdict *ret_verdict);
/* Judges a whole message: its lines, then its header. */
void bh_check_message(struct bh_arena *arena, const struct bh_check_limits *limits, bh_str message,
                      struct bh_check_facts *ret_facts, struct bh_check_verdict *ret_verdict);
/* Fills the verdict of one rule, for who sees the lines himself: {550, "5.6.0", …}. `detail` may be empty. */
void bh_check_refuse(struct bh_arena *arena, enum bh_check_rule rule, bh_str detail,
                     struct bh_check_verdict *ret_verdict);
/* "bare-lf". Static. */
const char *bh_check_rule_name(enum bh_check_rule rule);

#endif
