/* text.h: bytes as text: base64 (RFC 4648 4), base32 in lower case without padding (RFC 4648 6), hex.
 * Encoders append to a buffer, whose sticky error tells. Decoders are strict unless said otherwise. */
#ifndef BH_BASE_TEXT_H
#define BH_BASE_TEXT_H

#include "buf.h"

void bh_hex_encode(struct bh_buf *out, bh_str bytes);
/* Either case, even length. BH_E_SYNTAX. */
BH_MUST bh_err bh_hex_decode(struct bh_buf *out, bh_str text);

/* 5 bits a character, a-z2-7, no padding: 16 bytes give 26 characters. */
void bh_base32_encode(struct bh_buf *out, bh_str bytes);
/* Either case; unused low bits of the last character must be 0. BH_E_SYNTAX. */
BH_MUST bh_err bh_base32_decode(struct bh_buf *out, bh_str text);

void bh_base64_encode(struct bh_buf *out, bh_str bytes);
/* Strict: padding required, no blanks. BH_E_SYNTAX. */
BH_MUST bh_err bh_base64_decode(struct bh_buf *out, bh_str text);
/* As mail has it: blanks (SP HTAB CR LF) anywhere are skipped, missing padding is tolerated. BH_E_SYNTAX. */
BH_MUST bh_err bh_base64_decode_loose(struct bh_buf *out, bh_str text);
/* URL alphabet (RFC 4648 5), no padding. */
void bh_base64url_encode(struct bh_buf *out, bh_str bytes);
BH_MUST bh_err bh_base64url_decode(struct bh_buf *out, bh_str text);

#endif
