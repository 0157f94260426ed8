/* Rdata from text, field by field of the type's format. */
#include "base/clock.h"
#include "base/text.h"
#include "field.h"
#include "rdata.h"
#include "types.h"
#include <arpa/inet.h>

struct rdata_parser {
    struct bh_dns_lexer *lexer;
    const struct bh_dns_name *origin;
    struct bh_buf *out;
};

/* A token that must be there. */
static bh_err next_token(struct rdata_parser *parser, struct bh_dns_token *ret_token)
{
    bh_err err = bh_dns_lexer_next(parser->lexer, ret_token);

    return err == BH_DONE ? BH_E_SYNTAX : err;
}

static bh_err parse_number(struct rdata_parser *parser, bh_str text, unsigned bytes)
{
    uint64_t number = 0;
    bh_err err = bh_str_to_u64(text, ((uint64_t)1 << bytes * 8) - 1, &number);

    if (err)
        return err;
    for (unsigned i = bytes; i-- > 0;)
        bh_buf_u8(parser->out, (uint8_t)(number >> i * 8));
    return BH_OK;
}

static bh_err parse_name(struct rdata_parser *parser, bh_str text)
{
    struct bh_dns_name name;
    bh_err err;

    if (bh_str_eq(text, BH_STR("@"))) {
        bh_buf_add(parser->out, parser->origin ? bh_dns_name_view(parser->origin) : bh_dns_root());
        return BH_OK;
    }
    err = bh_dns_name_parse(text, parser->origin, &name);
    if (err)
        return err;
    bh_buf_add(parser->out, bh_dns_name_view(&name));
    return BH_OK;
}

static bh_err parse_address(struct rdata_parser *parser, bh_str token, int family)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    bh_err err = bh_str_to_c(token, text, sizeof text);

    if (err || inet_pton(family, text, bytes) != 1)
        return BH_E_SYNTAX;
    bh_buf_add(parser->out, (bh_str){(char *)bytes, family == AF_INET ? 4 : 16});
    return BH_OK;
}

/* A length byte and at most 255 bytes. */
static bh_err parse_string(struct rdata_parser *parser, const struct bh_dns_token *token)
{
    struct bh_buf *out = parser->out;
    size_t at = out->n;
    bh_err err;

    bh_buf_u8(out, 0);
    err = bh_dns_token_bytes(token, out);
    if (err || bh_buf_err(out))
        return err ? err : bh_buf_err(out);
    if (out->n - at - 1 > 255)
        return BH_E_LIMIT;
    out->p[at] = (char)(out->n - at - 1);
    return BH_OK;
}

static bh_err parse_strings(struct rdata_parser *parser, const struct bh_dns_token *first)
{
    struct bh_dns_token token = *first;
    bh_err err = BH_MORE;

    while (err == BH_MORE) {
        err = parse_string(parser, &token);
        if (err)
            return err;
        err = bh_dns_lexer_next(parser->lexer, &token);
    }
    return err == BH_DONE ? BH_OK : err;
}

static bh_err parse_tag(struct rdata_parser *parser, bh_str tag)
{
    if (tag.n == 0 || tag.n > 255)
        return BH_E_SYNTAX;
    for (size_t i = 0; i < tag.n; i++)
        if (!bh_is_alnum(tag.p[i]))
            return BH_E_SYNTAX;
    bh_buf_u8(parser->out, (uint8_t)tag.n);
    bh_buf_add(parser->out, tag);
    return BH_OK;
}

/* Seconds, or YYYYMMDDHHmmSS (RFC 4034 3.2). */
static bh_err parse_time(struct rdata_parser *parser, bh_str text)
{
    static const uint8_t widths[6] = {4, 2, 2, 2, 2, 2};
    uint64_t part[6];

    if (text.n != 14)
        return parse_number(parser, text, 4);
    for (size_t i = 0, at = 0; i < 6; at += widths[i++])
        if (bh_str_to_u64(bh_str_sub(text, at, widths[i]), 9999, &part[i]))
            return BH_E_SYNTAX;
    if (part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31 || part[3] > 23 || part[4] > 59 || part[5] > 60)
        return BH_E_RANGE;
    bh_buf_u32(parser->out,
               (uint32_t)(bh_days_from_civil((int64_t)part[0], (unsigned)part[1], (unsigned)part[2]) * 86400 +
                          (int64_t)(part[3] * 3600 + part[4] * 60 + part[5])));
    return BH_OK;
}

static bh_err parse_type(struct rdata_parser *parser, bh_str text)
{
    uint16_t type = 0;
    bh_err err = bh_dns_type_parse(text, &type);

    if (!err)
        bh_buf_u16(parser->out, type);
    return err;
}

/* All tokens left, joined without blanks, then decoded. `first` may be NULL when there is none. */
static bh_err parse_joined(struct rdata_parser *parser, const struct bh_dns_token *first,
                           bh_err (*decode)(struct bh_buf *out, bh_str text))
{
    struct bh_buf joined = bh_buf_make(BH_DNS_RDATA_MAX * 2);
    struct bh_dns_token token;
    bh_err err;

    if (first)
        bh_buf_add(&joined, first->text);
    while ((err = bh_dns_lexer_next(parser->lexer, &token)) == BH_MORE)
        bh_buf_add(&joined, token.text);
    if (err == BH_DONE)
        err = bh_buf_err(&joined);
    if (!err)
        err = decode(parser->out, bh_buf_view(&joined));
    bh_buf_free(&joined);
    return err;
}

void bh_dns_bitmap_set(uint8_t *bits, uint16_t type)
{
    bits[type / 8] = (uint8_t)(bits[type / 8] | 0x80u >> type % 8);
}

void bh_dns_bitmap_put(struct bh_buf *out, const uint8_t *bits)
{
    for (unsigned window = 0; window < 256; window++) {
        const uint8_t *block = bits + window * 32;
        uint8_t n = 32;

        while (n && block[n - 1] == 0)
            n--;
        if (n == 0)
            continue;
        bh_buf_u8(out, (uint8_t)window);
        bh_buf_u8(out, n);
        bh_buf_add(out, (bh_str){(const char *)block, n});
    }
}

static bh_err parse_bitmap(struct rdata_parser *parser, const struct bh_dns_token *first)
{
    uint8_t bits[BH_DNS_BITMAP_BYTES] = {0};
    struct bh_dns_token token = *first;
    bh_err err = BH_MORE;
    uint16_t type = 0;

    while (err == BH_MORE) {
        err = bh_dns_type_parse(token.text, &type);
        if (err)
            return err;
        bh_dns_bitmap_set(bits, type);
        err = bh_dns_lexer_next(parser->lexer, &token);
    }
    bh_dns_bitmap_put(parser->out, bits);
    return err == BH_DONE ? BH_OK : err;
}

static bh_err parse_apl(struct rdata_parser *parser, const struct bh_dns_token *first)
{
    struct bh_dns_token token = *first;
    bh_err err = BH_MORE;

    while (err == BH_MORE) {
        err = bh_dns_apl_item_parse(token.text, parser->out);
        if (err)
            return err;
        err = bh_dns_lexer_next(parser->lexer, &token);
    }
    return err == BH_DONE ? BH_OK : err;
}

static bh_err parse_rare_field(struct rdata_parser *parser, char code, const struct bh_dns_token *token)
{
    switch (code) {
    case 'g':
        return bh_dns_algorithm_parse(token->text, parser->out);
    case 'C':
        return bh_dns_certificate_type_parse(token->text, parser->out);
    case 'e':
        return bh_dns_hex_groups_parse(token->text, 6, 1, '-', parser->out);
    case 'E':
        return bh_dns_hex_groups_parse(token->text, 8, 1, '-', parser->out);
    case 'i':
        return bh_dns_hex_groups_parse(token->text, 8, 2, ':', parser->out);
    case 'L':
        return bh_dns_loc_parse(token, parser->lexer, parser->out);
    case 'P':
        return parse_apl(parser, token);
    default:
        return BH_E_BUG;
    }
}

static bh_err parse_field(struct rdata_parser *parser, char code, const struct bh_dns_token *token)
{
    uint32_t seconds = 0;
    bh_err err = BH_OK;

    switch (code) {
    case 'n':
    case 'm':
        return parse_name(parser, token->text);
    case '1':
    case '2':
    case '4':
        return parse_number(parser, token->text, (unsigned)(code - '0'));
    case 'p':
        if (parse_number(parser, token->text, 4) == BH_OK)
            return BH_OK;
        err = bh_dns_ttl_parse(token->text, &seconds);
        if (!err)
            bh_buf_u32(parser->out, seconds);
        return err;
    case 'a':
        return parse_address(parser, token->text, AF_INET);
    case '6':
        return parse_address(parser, token->text, AF_INET6);
    case 's':
        return parse_string(parser, token);
    case 'S':
        return parse_strings(parser, token);
    case 'c':
        return parse_tag(parser, token->text);
    case 'v':
        return bh_dns_token_bytes(token, parser->out);
    case 'T':
        return parse_type(parser, token->text);
    case 't':
        return parse_time(parser, token->text);
    case 'b':
        return parse_joined(parser, token, bh_base64_decode);
    case 'x':
        return parse_joined(parser, token, bh_hex_decode);
    case 'B':
        return parse_bitmap(parser, token);
    default:
        return parse_rare_field(parser, code, token);
    }
}

/* `\#` was read: a length and that many bytes in hex (RFC 3597 5). */
static bh_err parse_unknown(struct rdata_parser *parser)
{
    size_t start = parser->out->n;
    struct bh_dns_token token;
    uint64_t size = 0;
    bh_err err = next_token(parser, &token);

    if (!err)
        err = bh_str_to_u64(token.text, BH_DNS_RDATA_MAX, &size);
    if (!err)
        err = parse_joined(parser, NULL, bh_hex_decode);
    if (err)
        return err;
    return parser->out->n - start == size ? BH_OK : BH_E_SYNTAX;
}

static bool may_be_missing(char code)
{
    return code == 'w' || code == 'B' || code == 'P'; /* SvcParams, bitmaps and lists may be empty */
}

static bh_err parse_fields(struct rdata_parser *parser, const char *format, const struct bh_dns_token *first)
{
    struct bh_dns_token token = *first;
    bh_err err = BH_OK;

    for (const char *code = format; !err && *code; code++) {
        if (*code == 'w')
            return bh_dns_svcparams_parse(parser->lexer, parser->out);
        if (code != format) {
            err = bh_dns_lexer_next(parser->lexer, &token);
            if (err == BH_DONE)
                return may_be_missing(*code) ? BH_OK : BH_E_SYNTAX;
        }
        if (!err)
            err = parse_field(parser, *code, &token);
    }
    return err;
}

static bool is_unknown_mark(const struct bh_dns_token *token)
{
    return !token->quoted && bh_str_eq(token->text, BH_STR("\\#"));
}

bh_err bh_dns_rdata_parse(uint16_t type, struct bh_dns_lexer *lexer, const struct bh_dns_name *origin,
                          struct bh_buf *out)
{
    const struct bh_dns_type_row *row = bh_dns_type_row(type);
    struct rdata_parser parser = {lexer, origin, out};
    struct bh_dns_token token;
    size_t start = out->n;
    bh_err err = next_token(&parser, &token);

    if (!err && is_unknown_mark(&token))
        err = parse_unknown(&parser);
    else if (!err)
        err = row ? parse_fields(&parser, row->format, &token) : BH_E_SYNTAX;
    if (!err && (err = bh_dns_lexer_next(lexer, &token)) == BH_MORE)
        return BH_E_SYNTAX; /* something follows the last field */
    if (err != BH_DONE)
        return err;
    if (bh_buf_err(out))
        return bh_buf_err(out);
    if (out->n - start > BH_DNS_RDATA_MAX)
        return BH_E_LIMIT;
    return bh_dns_rdata_valid(type, bh_str_skip(bh_buf_view(out), start)) ? BH_OK : BH_E_SYNTAX;
}

bh_err bh_dns_rdata_parse_text(uint16_t type, bh_str text, const struct bh_dns_name *origin, struct bh_buf *out)
{
    struct bh_dns_lexer lexer = bh_dns_lexer_make(text);
    bh_err err = bh_dns_rdata_parse(type, &lexer, origin, out);

    return err ? err : lexer.at == text.n ? BH_OK : BH_E_SYNTAX;
}
