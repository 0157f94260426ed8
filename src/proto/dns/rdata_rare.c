/* Fields of rare types: LOC (RFC 1876), APL (RFC 3123), EUI-48 and EUI-64 (RFC 7043), locators (RFC 6742), mnemonics of
 * algorithms and certificates. Each is read from text and written. */
#include "field.h"
#include "lexer.h"
#include "rdata.h"
#include <arpa/inet.h>

/* ---- mnemonics ---- */

struct mnemonic {
    uint16_t number;
    const char *name;
};

static const struct mnemonic algorithms[] = {
    {1, "RSAMD5"},
    {2, "DH"},
    {3, "DSA"},
    {5, "RSASHA1"},
    {6, "DSA-NSEC3-SHA1"},
    {6, "NSEC3DSA"},
    {7, "RSASHA1-NSEC3-SHA1"},
    {7, "NSEC3RSASHA1"},
    {8, "RSASHA256"},
    {10, "RSASHA512"},
    {12, "ECC-GOST"},
    {12, "ECCGOST"},
    {13, "ECDSAP256SHA256"},
    {14, "ECDSAP384SHA384"},
    {15, "ED25519"},
    {16, "ED448"},
    {252, "INDIRECT"},
    {253, "PRIVATEDNS"},
    {254, "PRIVATEOID"},
};

static const struct mnemonic certificates[] = {
    {1, "PKIX"}, {2, "SPKI"},   {3, "PGP"},     {4, "IPKIX"}, {5, "ISPKI"},
    {6, "IPGP"}, {7, "ACPKIX"}, {8, "IACPKIX"}, {253, "URI"}, {254, "OID"},
};

enum {
    ALGORITHMS = sizeof algorithms / sizeof algorithms[0],
    CERTIFICATES = sizeof certificates / sizeof certificates[0]
};

static bh_err parse_mnemonic(const struct mnemonic *rows, size_t count, bh_str text, uint64_t max, uint64_t *ret_number)
{
    for (size_t i = 0; i < count; i++)
        if (bh_str_eq_ci(text, bh_str_c(rows[i].name))) {
            *ret_number = rows[i].number;
            return BH_OK;
        }
    return bh_str_to_u64(text, max, ret_number);
}

bh_err bh_dns_algorithm_parse(bh_str text, struct bh_buf *out)
{
    uint64_t number = 0;
    bh_err err = parse_mnemonic(algorithms, ALGORITHMS, text, UINT8_MAX, &number);

    if (!err)
        bh_buf_u8(out, (uint8_t)number);
    return err;
}

bh_err bh_dns_certificate_type_parse(bh_str text, struct bh_buf *out)
{
    uint64_t number = 0;
    bh_err err = parse_mnemonic(certificates, CERTIFICATES, text, UINT16_MAX, &number);

    if (!err)
        bh_buf_u16(out, (uint16_t)number);
    return err;
}

void bh_dns_certificate_type_print(struct bh_buf *out, unsigned number)
{
    for (size_t i = 0; i < CERTIFICATES; i++)
        if (certificates[i].number == number) {
            bh_buf_add(out, bh_str_c(certificates[i].name));
            return;
        }
    bh_buf_printf(out, "%u", number);
}

/* ---- groups of hex digits ---- */

static int hex_value(char c)
{
    return bh_is_digit(c) ? c - '0' : bh_to_lower(c) >= 'a' && bh_to_lower(c) <= 'f' ? bh_to_lower(c) - 'a' + 10 : -1;
}

bh_err bh_dns_hex_groups_parse(bh_str text, size_t bytes, size_t group, char separator, struct bh_buf *out)
{
    size_t at = 0;

    for (size_t i = 0; i < bytes; i++, at += 2) {
        if (i && i % group == 0 && (at >= text.n || text.p[at++] != separator))
            return BH_E_SYNTAX;
        if (text.n < at + 2 || hex_value(text.p[at]) < 0 || hex_value(text.p[at + 1]) < 0)
            return BH_E_SYNTAX;
        bh_buf_u8(out, (uint8_t)(hex_value(text.p[at]) * 16 + hex_value(text.p[at + 1])));
    }
    return at == text.n ? BH_OK : BH_E_SYNTAX;
}

void bh_dns_hex_groups_print(struct bh_buf *out, bh_str bytes, size_t group, char separator)
{
    for (size_t i = 0; i < bytes.n; i++) {
        if (i && i % group == 0)
            bh_buf_char(out, separator);
        bh_buf_printf(out, "%02x", (unsigned char)bytes.p[i]);
    }
}

/* ---- APL ---- */

/* "!1:192.168.38.0/28": family, prefix, zero bytes at the end left out (RFC 3123 4). */
bh_err bh_dns_apl_item_parse(bh_str text, struct bh_buf *out)
{
    bool negated = text.n && text.p[0] == '!', is4;
    bh_str rest = bh_str_skip(text, negated), address;
    const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
    unsigned char bytes[16] = {0};
    char copy[INET6_ADDRSTRLEN];
    uint64_t prefix = 0;
    size_t n;

    is4 = bh_str_starts(rest, BH_STR("1:"));
    if ((!is4 && !bh_str_starts(rest, BH_STR("2:"))) || !slash)
        return BH_E_SYNTAX;
    address = bh_str_sub(rest, 2, (size_t)(slash - rest.p) - 2);
    n = is4 ? 4 : 16;
    if (bh_str_to_u64(bh_str_skip(rest, (size_t)(slash - rest.p) + 1), n * 8, &prefix) ||
        bh_str_to_c(address, copy, sizeof copy) || inet_pton(is4 ? AF_INET : AF_INET6, copy, bytes) != 1)
        return BH_E_SYNTAX;
    while (n && bytes[n - 1] == 0)
        n--;
    bh_buf_u16(out, is4 ? 1 : 2);
    bh_buf_u8(out, (uint8_t)prefix);
    bh_buf_u8(out, (uint8_t)(n | (negated ? 0x80u : 0)));
    bh_buf_add(out, bh_str_of((const char *)bytes, n));
    return BH_OK;
}

struct apl_item {
    unsigned family, prefix, flags;
    bh_str address;
};

static bool take_apl_item(struct bh_cur *cur, struct apl_item *ret_item)
{
    size_t width;

    ret_item->family = bh_cur_u16(cur);
    ret_item->prefix = bh_cur_u8(cur);
    ret_item->flags = bh_cur_u8(cur);
    ret_item->address = bh_cur_bytes(cur, ret_item->flags & 0x7f);
    width = ret_item->family == 1 ? 4 : ret_item->family == 2 ? 16 : 0;
    return bh_cur_ok(cur) && ret_item->address.n <= width && ret_item->prefix <= width * 8 && width &&
           !(ret_item->address.n && ret_item->address.p[ret_item->address.n - 1] == 0);
}

bool bh_dns_apl_valid(bh_str items)
{
    struct bh_cur cur = bh_cur_make(items);
    struct apl_item item;

    while (bh_cur_left(&cur))
        if (!take_apl_item(&cur, &item))
            return false;
    return true;
}

void bh_dns_apl_print(struct bh_buf *out, bh_str items)
{
    struct bh_cur cur = bh_cur_make(items);
    const char *sep = "";
    struct apl_item item;

    while (bh_cur_left(&cur) && take_apl_item(&cur, &item)) {
        unsigned char bytes[16] = {0};
        char text[INET6_ADDRSTRLEN];

        memcpy(bytes, item.address.n ? item.address.p : "", item.address.n);
        if (!inet_ntop(item.family == 1 ? AF_INET : AF_INET6, bytes, text, sizeof text))
            return;
        bh_buf_printf(out, "%s%s%u:%s/%u", sep, item.flags & 0x80 ? "!" : "", item.family, text, item.prefix);
        sep = " ";
    }
}

/* ---- LOC ---- */

enum { EQUATOR = 1u << 31, ALTITUDE_ZERO_CM = 10000000, LOC_BYTES = 16 };

/* A decimal number of thousandths or hundredths ("-2.5m" with `places` 2 is -250). */
static bh_err parse_decimal(bh_str text, unsigned places, int64_t max, int64_t *ret_number)
{
    bool negative = text.n && text.p[0] == '-', point = false;
    int64_t number = 0;
    size_t i = negative, digits = 0;

    for (; i < text.n && (bh_is_digit(text.p[i]) || (text.p[i] == '.' && !point)); i++) {
        if (text.p[i] == '.') {
            point = true;
            continue;
        }
        digits++;
        if (point && !places)
            return BH_E_SYNTAX;
        places -= point;
        number = number * 10 + (text.p[i] - '0');
        if (number > max)
            return BH_E_RANGE;
    }
    while (places--)
        number *= 10;
    if (i != text.n || !digits || number > max)
        return BH_E_SYNTAX;
    *ret_number = negative ? -number : number;
    return BH_OK;
}

struct loc_reader {
    struct bh_dns_lexer *lexer;
    struct bh_dns_token token; /* the one not taken yet */
    bool has_token;
};

static bh_err advance(struct loc_reader *reader)
{
    bh_err err = bh_dns_lexer_next(reader->lexer, &reader->token);

    reader->has_token = err == BH_MORE;
    return err == BH_MORE || err == BH_DONE ? BH_OK : err;
}

/* "d1 [m1 [s1]] {"N"|"S"}" in thousandths of a second from the equator, or with E and W from the meridian.
 * `letters` in lower case. */
static bh_err parse_angle(struct loc_reader *reader, const char *letters, int64_t degrees_max, uint32_t *ret_angle)
{
    static const int64_t units[3] = {3600000, 60000, 1};
    int64_t total = 0, number;
    bh_err err;

    for (int i = 0; i < 4 && reader->has_token; i++) {
        bh_str text = reader->token.text;

        if (i && text.n == 1 && (bh_to_lower(text.p[0]) == letters[0] || bh_to_lower(text.p[0]) == letters[1])) {
            bool positive = bh_to_lower(text.p[0]) == letters[0];

            if (total > degrees_max * units[0])
                return BH_E_RANGE;
            *ret_angle = positive ? EQUATOR + (uint32_t)total : EQUATOR - (uint32_t)total;
            return advance(reader);
        }
        if (i == 3)
            return BH_E_SYNTAX;
        err = parse_decimal(text, i == 2 ? 3 : 0, i == 0 ? degrees_max : i == 1 ? 59 : 59999, &number);
        if (err || number < 0)
            return BH_E_SYNTAX;
        total += number * units[i];
        err = advance(reader);
        if (err)
            return err;
    }
    return BH_E_SYNTAX;
}

/* Metres with an "m" that may be missing, in centimetres. */
static bh_err parse_metres(bh_str text, int64_t max_cm, int64_t *ret_cm)
{
    if (text.n && bh_to_lower(text.p[text.n - 1]) == 'm')
        text.n--;
    return parse_decimal(text, 2, max_cm, ret_cm);
}

/* One digit and a power of ten. */
static uint8_t to_precision(int64_t cm)
{
    unsigned power = 0;

    while (cm >= 10) {
        cm /= 10;
        power++;
    }
    return (uint8_t)((unsigned)cm << 4 | power);
}

bh_err bh_dns_loc_parse(const struct bh_dns_token *first, struct bh_dns_lexer *lexer, struct bh_buf *out)
{
    struct loc_reader reader = {lexer, *first, true};
    uint8_t precision[3] = {0x12, 0x16, 0x13}; /* 1 m, 10 km, 10 m: RFC 1876 3 */
    uint32_t latitude = 0, longitude = 0;
    int64_t altitude = 0, cm;
    bh_err err = parse_angle(&reader, "ns", 90, &latitude);

    if (!err)
        err = parse_angle(&reader, "ew", 180, &longitude);
    if (!err)
        err = reader.has_token ? parse_metres(reader.token.text, (int64_t)UINT32_MAX - ALTITUDE_ZERO_CM, &altitude)
                               : BH_E_SYNTAX;
    if (err || altitude < -ALTITUDE_ZERO_CM)
        return BH_E_SYNTAX;
    err = advance(&reader);
    for (int i = 0; i < 3 && !err && reader.has_token; i++) {
        if (parse_metres(reader.token.text, 9000000000, &cm) || cm < 0)
            return BH_E_SYNTAX;
        precision[i] = to_precision(cm);
        err = advance(&reader);
    }
    if (err || reader.has_token)
        return BH_E_SYNTAX;
    bh_buf_u8(out, 0);
    for (int i = 0; i < 3; i++)
        bh_buf_u8(out, precision[i]);
    bh_buf_u32(out, latitude);
    bh_buf_u32(out, longitude);
    bh_buf_u32(out, (uint32_t)(altitude + ALTITUDE_ZERO_CM));
    return BH_OK;
}

/* Version 0, digits of precisions at most nine, angles on the globe. */
bool bh_dns_loc_valid(bh_str loc)
{
    struct bh_cur cur = bh_cur_make(loc);
    int64_t latitude, longitude;

    if (bh_cur_u8(&cur) != 0)
        return false;
    for (int i = 0; i < 3; i++) {
        unsigned precision = bh_cur_u8(&cur);

        if (precision >> 4 > 9 || (precision & 15) > 9)
            return false;
    }
    latitude = (int64_t)bh_cur_u32(&cur) - EQUATOR;
    longitude = (int64_t)bh_cur_u32(&cur) - EQUATOR;
    return loc.n == LOC_BYTES && latitude >= -90 * 3600000 && latitude <= 90 * 3600000 && longitude >= -180 * 3600000 &&
           longitude <= 180 * 3600000;
}

static void print_angle(struct bh_buf *out, uint32_t angle, const char *letters)
{
    uint32_t from = angle >= EQUATOR ? angle - EQUATOR : EQUATOR - angle;

    bh_buf_printf(out, "%u %u %u.%03u %c ", from / 3600000, from / 60000 % 60, from / 1000 % 60, from % 1000,
                  letters[angle < EQUATOR]);
}

static void print_metres(struct bh_buf *out, int64_t cm)
{
    const char *sign = cm < 0 ? "-" : "";

    cm = cm < 0 ? -cm : cm;
    bh_buf_printf(out, "%s%lld.%02lldm", sign, (long long)cm / 100, (long long)cm % 100);
}

void bh_dns_loc_print(struct bh_buf *out, bh_str loc)
{
    struct bh_cur cur = bh_cur_make(bh_str_skip(loc, 4));

    print_angle(out, bh_cur_u32(&cur), "NS");
    print_angle(out, bh_cur_u32(&cur), "EW");
    print_metres(out, (int64_t)bh_cur_u32(&cur) - ALTITUDE_ZERO_CM);
    for (size_t i = 1; i < 4; i++) {
        unsigned char precision = (unsigned char)loc.p[i];
        int64_t cm = precision >> 4;

        for (unsigned power = 0; power < (precision & 15u); power++)
            cm *= 10;
        bh_buf_char(out, ' ');
        if (cm % 100 || !cm)
            print_metres(out, cm);
        else
            bh_buf_printf(out, "%lldm", (long long)cm / 100);
    }
}
