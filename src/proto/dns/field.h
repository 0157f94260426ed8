/* field.h: walking the fields of wire rdata by the formats of types.h; private to this folder. */
#ifndef BH_PROTO_DNS_FIELD_H
#define BH_PROTO_DNS_FIELD_H

#include "base/cur.h"

struct bh_dns_field {
    char code;    /* as in types.h */
    bh_str bytes; /* the field; of s, S and c without the length byte */
};

/* The next field of rdata at `cur`; *format moves on. False at the end of the format; a field that is not there marks
 * the cursor bad. */
bool bh_dns_field_next(const char **format, struct bh_cur *cur, struct bh_dns_field *ret_field);

/* Type bitmaps (RFC 4034 4.1.2): one bit a type, written as the blocks that are not zero. */
struct bh_buf;
enum { BH_DNS_BITMAP_BYTES = 8192 };
void bh_dns_bitmap_set(uint8_t *bits, uint16_t type);
void bh_dns_bitmap_put(struct bh_buf *out, const uint8_t *bits);

/* SvcParams (RFC 9460 2): wire form to text and back; the text is one token. */
struct bh_dns_token;
void bh_dns_svcparams_print(struct bh_buf *out, bh_str params);
bool bh_dns_svcparams_valid(bh_str params);
/* Appends the params of all tokens left in the lexer's entry, ordered by key. */
struct bh_dns_lexer;
BH_MUST bh_err bh_dns_svcparams_parse(struct bh_dns_lexer *lexer, struct bh_buf *out);
/* A character string's text in quotes. */
void bh_dns_string_print(struct bh_buf *out, bh_str bytes);

/* Fields of rare types (rdata_rare.c). The parsers append wire form: BH_E_SYNTAX, BH_E_RANGE. */
BH_MUST bh_err bh_dns_algorithm_parse(bh_str text, struct bh_buf *out);
BH_MUST bh_err bh_dns_certificate_type_parse(bh_str text, struct bh_buf *out);
void bh_dns_certificate_type_print(struct bh_buf *out, unsigned number);
/* `bytes` bytes as hex digits with a separator between groups of `group` bytes. */
BH_MUST bh_err bh_dns_hex_groups_parse(bh_str text, size_t bytes, size_t group, char separator, struct bh_buf *out);
void bh_dns_hex_groups_print(struct bh_buf *out, bh_str bytes, size_t group, char separator);
BH_MUST bh_err bh_dns_apl_item_parse(bh_str text, struct bh_buf *out);
bool bh_dns_apl_valid(bh_str items);
void bh_dns_apl_print(struct bh_buf *out, bh_str items);
/* All of the entry, of which `first` was read. */
BH_MUST bh_err bh_dns_loc_parse(const struct bh_dns_token *first, struct bh_dns_lexer *lexer, struct bh_buf *out);
bool bh_dns_loc_valid(bh_str loc);
void bh_dns_loc_print(struct bh_buf *out, bh_str loc);

#endif
