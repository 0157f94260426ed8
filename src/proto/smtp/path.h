/* path.h: the address grammar of SMTP: Mailbox, Path and ESMTP parameters (RFC 5321 4.1.2), addresses in UTF-8
 * (RFC 6531 3.3) and xtext (RFC 3461 4).
 *
 * Parsers return views of the input and allocate nothing. What they accept is what the grammar allows, with three
 * habits of real clients on top: blanks after "FROM:" and "TO:", a source route (accepted and ignored, RFC 5321
 * 4.1.2 asks for it), <postmaster> without a domain. Lengths: local part 64, domain 255, path 256 octets between
 * the brackets (RFC 5321 4.5.3.1). */
#ifndef BH_PROTO_SMTP_PATH_H
#define BH_PROTO_SMTP_PATH_H

#include "base/buf.h"

enum { BH_SMTP_LOCAL_MAX = 64, BH_SMTP_DOMAIN_MAX = 255, BH_SMTP_PATH_MAX = 320 };

/* One mailbox; views of the input. */
struct bh_smtp_mailbox {
    bh_str local;  /* as written, the quotes included where `quoted` */
    bh_str domain; /* as written, with the brackets where `literal`; empty for <postmaster> alone */
    bool quoted;
    bool literal; /* the domain is an address literal: [192.0.2.1] or [IPv6:…] */
    bool utf8;    /* some byte is above 127: needs SMTPUTF8 */
};

struct bh_smtp_path {
    bool null; /* <>, the reverse path of bounces; `mailbox` is empty then */
    struct bh_smtp_mailbox mailbox;
};

/* One ESMTP parameter. A parameter without "=" has value.p == NULL. */
struct bh_smtp_param {
    bh_str keyword;
    bh_str value;
};

/* Whole view as local@domain (no brackets, no blanks). BH_E_SYNTAX, BH_E_LIMIT (a part too long). */
BH_MUST bh_err bh_smtp_mailbox_parse(bh_str text, struct bh_smtp_mailbox *ret_mailbox);

/* The path "<…>" at the start of *input, which is moved behind it. `is_rcpt`: <> is refused and <postmaster> allowed;
 * otherwise the other way round. BH_E_SYNTAX, BH_E_LIMIT; *input is unchanged then. */
BH_MUST bh_err bh_smtp_path_parse(bh_str *input, bool is_rcpt, struct bh_smtp_path *ret_path);

/* The next parameter of " KEY=value KEY …" at *input. BH_MORE, BH_DONE at the end, BH_E_SYNTAX. */
BH_MUST bh_err bh_smtp_param_next(bh_str *input, struct bh_smtp_param *ret_param);

/* True for a domain in the sense of RFC 5321 (letters, digits, hyphens, U-labels in UTF-8), not a literal. */
bool bh_smtp_domain_is_valid(bh_str domain);
/* True for "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 4.1.3). */
bool bh_smtp_literal_is_valid(bh_str literal);
/* True for well-formed UTF-8 (RFC 3629: shortest form, no surrogates, at most U+10FFFF). */
bool bh_utf8_is_valid(bh_str text);

/* Appends the one spelling under which an address is compared and stored: the local part unquoted and quoted again
 * only where the grammar needs it, its case kept; the ASCII letters of the domain in lower case. */
void bh_smtp_mailbox_write(struct bh_buf *out, const struct bh_smtp_mailbox *mailbox);
/* The local part without quotes and backslashes, as it is meant. */
void bh_smtp_local_unquote(struct bh_buf *out, const struct bh_smtp_mailbox *mailbox);

/* xtext: bytes outside "!".."~", "+" and "=" as +XX. */
void bh_xtext_encode(struct bh_buf *out, bh_str bytes);
/* BH_E_SYNTAX. */
BH_MUST bh_err bh_xtext_decode(struct bh_buf *out, bh_str text);

#endif
