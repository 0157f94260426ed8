/* charset.h: text in the character sets of mail, as UTF-8. Single-byte sets (ISO 8859, Windows, KOI8, DOS) by own
 * tables, so that a process without file access (iconv loads modules) can read a stranger's subject line. */
#ifndef BH_PROTO_MIME_CHARSET_H
#define BH_PROTO_MIME_CHARSET_H

#include "base/buf.h"

/* Appends `bytes`, which are in `charset` (any case; a language suffix "*en" of RFC 2231 5 is ignored), as UTF-8.
 * What is invalid becomes U+FFFD. BH_E_UNSUPPORTED where the set is unknown: nothing is appended then. */
BH_MUST bh_err bh_charset_to_utf8(struct bh_buf *out, bh_str charset, bh_str bytes);
/* Appends one code point. */
void bh_utf8_put(struct bh_buf *out, uint32_t code);
/* Appends `bytes` as UTF-8 that is certainly valid: each invalid byte becomes U+FFFD. */
void bh_utf8_repair(struct bh_buf *out, bh_str bytes);

#endif
