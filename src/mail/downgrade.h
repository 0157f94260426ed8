/* downgrade.h: a message with 8-bit text made into one of 7 bits, for a server without 8BITMIME (RFC 6152 3): each leaf
 * of its MIME tree with such text is encoded, text as quoted-printable and the rest as base64, and what is around it
 * says so. What is ASCII stays byte by byte as it is. A message that is no MIME becomes text/plain in an unknown
 * charset (RFC 1428).
 *
 * Not everything can be converted without lying or breaking a signature in it: then the message must be refused. */
#ifndef BH_MAIL_DOWNGRADE_H
#define BH_MAIL_DOWNGRADE_H

#include "base/buf.h"

/* Appends the converted message to `out`. BH_E_INVALID with *ret_why (static) where it cannot be: 8-bit bytes in a
 * header, in something signed or encrypted, in a message/partial or in a multipart without parts, a tree beyond the
 * bounds. BH_E_NOMEM; BH_E_LIMIT when `out` is full. `arena` holds the tree meanwhile. */
BH_MUST bh_err bh_downgrade(struct bh_arena *arena, bh_str message, struct bh_buf *out, const char **ret_why);

#endif
