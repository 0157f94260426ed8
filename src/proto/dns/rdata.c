/* Rdata in wire form: walking, checking, decompressing, canonical form, and writing it as text. */
#include "rdata.h"
#include "base/clock.h"
#include "base/text.h"
#include "field.h"
#include "types.h"
#include <arpa/inet.h>

/* ---- walking ---- */

static size_t fixed_size(char code)
{
    switch (code) {
    case '1':
    case 'g':
        return 1;
    case '2':
    case 'T':
    case 'C':
        return 2;
    case '4':
    case 'p':
    case 'a':
    case 't':
        return 4;
    case 'e':
        return 6;
    case 'E':
    case 'i':
        return 8;
    case '6':
    case 'L':
        return 16;
    default:
        return 0;
    }
}

bool bh_dns_field_next(const char **format, struct bh_cur *cur, struct bh_dns_field *ret_field)
{
    char code = **format;
    size_t fixed = fixed_size(code);

    if (code == '\0' || cur->bad)
        return false;
    ret_field->code = code;
    if (fixed)
        ret_field->bytes = bh_cur_bytes(cur, fixed);
    else if (code == 'n' || code == 'm')
        ret_field->bytes = bh_dns_name_take(cur);
    else if (code == 's' || code == 'S' || code == 'c')
        ret_field->bytes = bh_cur_bytes(cur, bh_cur_u8(cur));
    else
        ret_field->bytes = bh_cur_bytes(cur, bh_cur_left(cur));
    if (code != 'S' || bh_cur_left(cur) == 0)
        ++*format;
    return true;
}

/* Blocks of (window, length 1-32, bits) with rising windows and without zero bytes at the end (RFC 4034 4.1.2). */
static bool bitmap_valid(bh_str bitmap)
{
    struct bh_cur cur = bh_cur_make(bitmap);
    int last = -1;

    while (bh_cur_left(&cur)) {
        int window = bh_cur_u8(&cur);
        uint8_t n = bh_cur_u8(&cur);
        bh_str bits;

        if (window <= last || n < 1 || n > 32)
            return false;
        bits = bh_cur_bytes(&cur, n);
        if (bits.n && bits.p[bits.n - 1] == 0)
            return false;
        last = window;
    }
    return bh_cur_ok(&cur);
}

static bool field_valid(const struct bh_dns_field *field)
{
    if (field->code == 'B')
        return bitmap_valid(field->bytes);
    if (field->code == 'w')
        return bh_dns_svcparams_valid(field->bytes);
    if (field->code == 'P')
        return bh_dns_apl_valid(field->bytes);
    if (field->code == 'L')
        return bh_dns_loc_valid(field->bytes);
    if (field->code == 'b' || field->code == 'x' || field->code == 'c')
        return field->bytes.n > 0;
    return true;
}

bool bh_dns_rdata_valid(uint16_t type, bh_str rdata)
{
    const struct bh_dns_type_row *row = bh_dns_type_row(type);
    struct bh_cur cur = bh_cur_make(rdata);
    const char *format = row ? row->format : "";
    struct bh_dns_field field;

    if (!row)
        return rdata.n <= BH_DNS_RDATA_MAX;
    while (bh_dns_field_next(&format, &cur, &field))
        if (!field_valid(&field))
            return false;
    return bh_cur_done(&cur) && rdata.n <= BH_DNS_RDATA_MAX;
}

bh_err bh_dns_rdata_read(uint16_t type, bh_str packet, size_t offset, size_t n, struct bh_buf *out)
{
    const struct bh_dns_type_row *row = bh_dns_type_row(type);
    size_t end = offset + n, start = out->n;
    bh_str within = bh_str_sub(packet, 0, end); /* a name may point back anywhere, but not read past its rdata */

    if (offset > packet.n || n > packet.n - offset)
        return BH_E_TRUNCATED;
    for (const char *format = row ? row->format : ""; *format; format++) {
        size_t fixed = fixed_size(*format);
        struct bh_dns_name name;

        if (*format == 'n' || *format == 'm') {
            bh_err err = bh_dns_name_read(within, &offset, &name);

            if (err)
                return err;
            bh_buf_add(out, bh_dns_name_view(&name));
        } else if (fixed) {
            if (end - offset < fixed)
                return BH_E_TRUNCATED;
            bh_buf_add(out, bh_str_sub(packet, offset, fixed));
            offset += fixed;
        } else if (*format == 's' && offset < end) {
            size_t size = 1u + (unsigned char)packet.p[offset];

            bh_buf_add(out, bh_str_sub(within, offset, size));
            offset = offset + size < end ? offset + size : end;
        } else {
            break; /* no name follows: the rest is taken as it is */
        }
    }
    bh_buf_add(out, bh_str_sub(packet, offset, end - offset));
    if (bh_buf_err(out))
        return bh_buf_err(out);
    return bh_dns_rdata_valid(type, bh_str_skip(bh_buf_view(out), start)) ? BH_OK : BH_E_SYNTAX;
}

void bh_dns_rdata_canonical(uint16_t type, bh_str rdata, struct bh_buf *out)
{
    const struct bh_dns_type_row *row = bh_dns_type_row(type);
    struct bh_cur cur = bh_cur_make(rdata);
    const char *format = row ? row->format : "";
    struct bh_dns_field field;
    size_t start = out->n;

    bh_buf_add(out, rdata);
    /* RFC 6840 5.1 takes NSEC off the list of RFC 4034 6.2; SVCB, HTTPS, LP were never on it. */
    if (type == BH_DNS_NSEC || type == BH_DNS_LP || type == BH_DNS_SVCB || type == BH_DNS_HTTPS || bh_buf_err(out))
        return;
    while (bh_dns_field_next(&format, &cur, &field))
        if (field.code == 'n' || field.code == 'm')
            for (size_t i = 0; i < field.bytes.n; i++)
                out->p[start + (size_t)(field.bytes.p - rdata.p) + i] = bh_to_lower(field.bytes.p[i]);
}

/* ---- text ---- */

void bh_dns_string_print(struct bh_buf *out, bh_str bytes)
{
    bh_buf_char(out, '"');
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];

        if (c < ' ' || c > '~')
            bh_buf_printf(out, "\\%03u", c);
        else if (c == '"' || c == '\\')
            bh_buf_printf(out, "\\%c", c);
        else
            bh_buf_char(out, (char)c);
    }
    bh_buf_char(out, '"');
}

static uint64_t number_of(bh_str bytes)
{
    struct bh_cur cur = bh_cur_make(bytes);

    return bh_cur_big_endian(&cur, bytes.n);
}

static void print_address(struct bh_buf *out, int family, bh_str bytes)
{
    char text[INET6_ADDRSTRLEN];

    if (inet_ntop(family, bytes.p, text, sizeof text))
        bh_buf_add(out, bh_str_c(text));
}

/* YYYYMMDDHHmmSS (RFC 4034 3.2). */
static void print_time(struct bh_buf *out, uint64_t seconds)
{
    int64_t year;
    unsigned month, day, rest = (unsigned)(seconds % 86400);

    bh_civil_from_days((int64_t)(seconds / 86400), &year, &month, &day);
    bh_buf_printf(out, "%04d%02u%02u%02u%02u%02u", (int)year, month, day, rest / 3600, rest / 60 % 60, rest % 60);
}

static void print_bitmap(struct bh_buf *out, bh_str bitmap)
{
    struct bh_cur cur = bh_cur_make(bitmap);
    const char *sep = "";

    while (bh_cur_left(&cur)) {
        unsigned window = bh_cur_u8(&cur);
        bh_str bits = bh_cur_bytes(&cur, bh_cur_u8(&cur));

        for (unsigned i = 0; i < bits.n * 8; i++) {
            if (!((unsigned char)bits.p[i / 8] & (0x80u >> i % 8)))
                continue;
            bh_buf_add(out, bh_str_c(sep));
            bh_dns_type_print(out, (uint16_t)(window << 8 | i));
            sep = " ";
        }
    }
}

static void print_rare_field(struct bh_buf *out, const struct bh_dns_field *field)
{
    switch (field->code) {
    case 'C':
        bh_dns_certificate_type_print(out, (unsigned)number_of(field->bytes));
        break;
    case 'P':
        bh_dns_apl_print(out, field->bytes);
        break;
    case 'L':
        bh_dns_loc_print(out, field->bytes);
        break;
    case 'e':
    case 'E':
        bh_dns_hex_groups_print(out, field->bytes, 1, '-');
        break;
    case 'i':
        bh_dns_hex_groups_print(out, field->bytes, 2, ':');
        break;
    default:
        bh_buf_printf(out, "%u", (unsigned)number_of(field->bytes));
        break;
    }
}

static void print_field(struct bh_buf *out, const struct bh_dns_field *field)
{
    switch (field->code) {
    case 'n':
    case 'm':
        bh_dns_name_print(out, field->bytes);
        break;
    case 'a':
        print_address(out, AF_INET, field->bytes);
        break;
    case '6':
        print_address(out, AF_INET6, field->bytes);
        break;
    case 's':
    case 'S':
    case 'v':
        bh_dns_string_print(out, field->bytes);
        break;
    case 'c':
        bh_buf_add(out, field->bytes);
        break;
    case 'T':
        bh_dns_type_print(out, (uint16_t)number_of(field->bytes));
        break;
    case 't':
        print_time(out, number_of(field->bytes));
        break;
    case 'b':
        bh_base64_encode(out, field->bytes);
        break;
    case 'x':
        bh_hex_encode(out, field->bytes);
        break;
    case 'B':
        print_bitmap(out, field->bytes);
        break;
    case 'w':
        bh_dns_svcparams_print(out, field->bytes);
        break;
    default:
        print_rare_field(out, field);
        break;
    }
}

/* RFC 3597 5. */
static void print_unknown(struct bh_buf *out, bh_str rdata)
{
    bh_buf_printf(out, "\\# %zu%s", rdata.n, rdata.n ? " " : "");
    bh_hex_encode(out, rdata);
}

/* What has no text that would be read back as the same: nothing at all (an empty APL), a CAA tag of more than letters
 * and digits (RFC 8659 4.1), a location whose precision is zero times a power of ten. */
static bool has_text(uint16_t type, bh_str rdata)
{
    bh_str tag = type == BH_DNS_CAA && rdata.n > 2 ? bh_str_sub(rdata, 2, (unsigned char)rdata.p[1]) : (bh_str){0};

    if (!rdata.n)
        return false;
    for (size_t i = 0; i < tag.n; i++)
        if (!bh_is_alnum(tag.p[i]))
            return false;
    for (size_t i = 1; type == BH_DNS_LOC && i < 4; i++)
        if ((unsigned char)rdata.p[i] >> 4 == 0 && rdata.p[i] != 0)
            return false;
    return true;
}

void bh_dns_rdata_print(struct bh_buf *out, uint16_t type, bh_str rdata)
{
    const struct bh_dns_type_row *row = bh_dns_type_row(type);
    struct bh_cur cur = bh_cur_make(rdata);
    const char *format = row ? row->format : "", *sep = "";
    struct bh_dns_field field;

    if (!row || !bh_dns_rdata_valid(type, rdata) || !has_text(type, rdata)) {
        print_unknown(out, rdata);
        return;
    }
    while (bh_dns_field_next(&format, &cur, &field)) {
        if (field.bytes.n == 0 &&
            (field.code == 'w' || field.code == 'B' || field.code == 'x' || field.code == 'b' || field.code == 'P'))
            continue;
        bh_buf_add(out, bh_str_c(sep));
        print_field(out, &field);
        sep = " ";
    }
}

void bh_dns_record_print(struct bh_buf *out, bh_str owner, uint32_t ttl_s, uint16_t klass, uint16_t type, bh_str rdata)
{
    bh_dns_name_print(out, owner);
    bh_buf_printf(out, " %u ", ttl_s);
    bh_dns_class_print(out, klass);
    bh_buf_char(out, ' ');
    bh_dns_type_print(out, type);
    bh_buf_char(out, ' ');
    bh_dns_rdata_print(out, type, rdata);
}
