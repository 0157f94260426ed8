/* text.c: base64, base32, hex. One encoder and one decoder for all powers of two, driven by an alphabet. */
#include "text.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base32_digits[] = "abcdefghijklmnopqrstuvwxyz234567";
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Appends `bytes` as groups of `bits` bits, most significant first; the last group is filled with zeros. */
static size_t encode(struct bh_buf *out, bh_str bytes, const char *alphabet, unsigned bits)
{
    size_t count = (bytes.n * 8 + bits - 1) / bits;
    char *room = bytes.n > SIZE_MAX / 16 ? NULL : bh_buf_reserve(out, count);
    uint32_t window = 0;
    unsigned held = 0;
    size_t written = 0;

    if (!room)
        return 0;
    for (size_t i = 0; i < bytes.n; i++) {
        window = window << 8 | (unsigned char)bytes.p[i];
        held += 8;
        while (held >= bits) {
            held -= bits;
            room[written++] = alphabet[window >> held & ((1u << bits) - 1)];
        }
    }
    if (held)
        room[written++] = alphabet[window << (bits - held) & ((1u << bits) - 1)];
    bh_buf_commit(out, written);
    return written;
}

void bh_hex_encode(struct bh_buf *out, bh_str bytes)
{
    (void)encode(out, bytes, hex_digits, 4);
}

void bh_base32_encode(struct bh_buf *out, bh_str bytes)
{
    (void)encode(out, bytes, base32_digits, 5);
}

void bh_base64url_encode(struct bh_buf *out, bh_str bytes)
{
    (void)encode(out, bytes, base64url_digits, 6);
}

void bh_base64_encode(struct bh_buf *out, bh_str bytes)
{
    size_t written = encode(out, bytes, base64_digits, 6);

    while (written++ % 4 != 0)
        bh_buf_char(out, '=');
}

static int base64_value(char c)
{
    if (bh_is_upper(c))
        return c - 'A';
    if (bh_is_lower(c))
        return c - 'a' + 26;
    if (bh_is_digit(c))
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

static int base64url_value(char c)
{
    if (c == '-')
        return 62;
    if (c == '_')
        return 63;
    return c == '+' || c == '/' ? -1 : base64_value(c);
}

static int base32_value(char c)
{
    c = bh_to_lower(c);
    if (bh_is_lower(c))
        return c - 'a';
    return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

static int hex_value(char c)
{
    c = bh_to_lower(c);
    if (bh_is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A whole number of bytes must come out, and the bits left over must be 0: one text, one value. */
static bh_err decode(struct bh_buf *out, bh_str text, int (*value_of)(char), unsigned bits)
{
    uint32_t window = 0;
    unsigned held = 0;
    char *room = bh_buf_reserve(out, text.n);
    size_t written = 0;

    if (!room)
        return bh_buf_err(out);
    for (size_t i = 0; i < text.n; i++) {
        int value = value_of(text.p[i]);

        if (value < 0)
            return BH_E_SYNTAX;
        window = window << bits | (uint32_t)value;
        held += bits;
        if (held >= 8) {
            held -= 8;
            room[written++] = (char)(window >> held);
            window &= (1u << held) - 1;
        }
    }
    if (held >= bits || window != 0)
        return BH_E_SYNTAX;
    bh_buf_commit(out, written);
    return BH_OK;
}

bh_err bh_hex_decode(struct bh_buf *out, bh_str text)
{
    return decode(out, text, hex_value, 4);
}

bh_err bh_base32_decode(struct bh_buf *out, bh_str text)
{
    return decode(out, text, base32_value, 5);
}

bh_err bh_base64url_decode(struct bh_buf *out, bh_str text)
{
    return decode(out, text, base64url_value, 6);
}

static bh_str without_padding(bh_str text)
{
    for (int i = 0; i < 2 && text.n && text.p[text.n - 1] == '='; i++)
        text.n--;
    return text;
}

bh_err bh_base64_decode(struct bh_buf *out, bh_str text)
{
    return text.n % 4 ? BH_E_SYNTAX : decode(out, without_padding(text), base64_value, 6);
}

bh_err bh_base64_decode_loose(struct bh_buf *out, bh_str text)
{
    char *room = bh_buf_reserve(out, text.n);
    uint32_t window = 0;
    unsigned held = 0;
    size_t written = 0;
    bool ended = false;

    if (!room)
        return bh_buf_err(out);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        int value = base64_value(c);

        if (bh_is_wsp(c) || c == '\r' || c == '\n')
            continue;
        if (c == '=') {
            ended = true;
            continue;
        }
        if (value < 0 || ended)
            return BH_E_SYNTAX;
        window = window << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            room[written++] = (char)(window >> held);
            window &= (1u << held) - 1;
        }
    }
    if (held >= 6)
        return BH_E_SYNTAX;
    bh_buf_commit(out, written);
    return BH_OK;
}
