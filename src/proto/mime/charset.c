/* charset.c: character sets to UTF-8. See charset.h. */
#include "charset.h"
#include "address.h"
#include "charset_tables.h"

void bh_utf8_put(struct bh_buf *out, uint32_t code)
{
    if (code < 0x80) {
        bh_buf_char(out, (char)code);
        return;
    }
    if (code < 0x800) {
        bh_buf_char(out, (char)(0xc0 | code >> 6));
    } else {
        if (code < 0x10000) {
            bh_buf_char(out, (char)(0xe0 | code >> 12));
        } else {
            bh_buf_char(out, (char)(0xf0 | (code >> 18 & 7)));
            bh_buf_char(out, (char)(0x80 | (code >> 12 & 0x3f)));
        }
        bh_buf_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
    }
    bh_buf_char(out, (char)(0x80 | (code & 0x3f)));
}

/* Length of the valid UTF-8 sequence at the start of `s`, or 0. */
static size_t utf8_sequence(bh_str s)
{
    for (size_t n = 1; n <= 4 && n <= s.n; n++)
        if (bh_utf8_valid(bh_str_of(s.p, n)))
            return n;
    return 0;
}

void bh_utf8_repair(struct bh_buf *out, bh_str bytes)
{
    if (bh_utf8_valid(bytes)) {
        bh_buf_add(out, bytes);
        return;
    }
    for (size_t i = 0; i < bytes.n;) {
        size_t n = utf8_sequence(bh_str_skip(bytes, i));
        if (n)
            bh_buf_add(out, bh_str_sub(bytes, i, n));
        else
            bh_utf8_put(out, 0xfffd);
        i += n ? n : 1;
    }
}

static void put_single_byte(struct bh_buf *out, const uint16_t *high, bh_str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        bh_utf8_put(out, c < 128 ? c : high ? high[c - 128] : c);
    }
}

static bool is_one_of(bh_str name, const char *const *names)
{
    for (; *names; names++)
        if (bh_str_eq_ci(name, bh_str_c(*names)))
            return true;
    return false;
}

/* Names that differ from the registered one by habit. */
static bh_str plain_name(bh_str name)
{
    static const char *const aliases[][2] = {
        {"latin2", "iso-8859-2"},   {"l2", "iso-8859-2"},      {"cyrillic", "iso-8859-5"},
        {"arabic", "iso-8859-6"},   {"greek", "iso-8859-7"},   {"hebrew", "iso-8859-8"},
        {"latin5", "iso-8859-9"},   {"latin9", "iso-8859-15"}, {"iso-8859-8-i", "iso-8859-8"},
        {"tis-620", "iso-8859-11"}, {"koi8", "koi8-r"},        {"mac", "macintosh"}};

    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (bh_str_eq_ci(name, bh_str_c(aliases[i][0])))
            return bh_str_c(aliases[i][1]);
    return name;
}

/* "cp1252" and "cp-1252" for "windows-1252", "iso8859-2" for "iso-8859-2". */
static bool same_set(bh_str name, bh_str set)
{
    if (bh_str_eq_ci(name, set))
        return true;
    if (bh_str_starts(set, BH_STR("windows-")) && bh_str_starts_ci(name, BH_STR("cp")))
        return bh_str_eq_ci(bh_str_skip(name, name.n > 2 && name.p[2] == '-' ? 3 : 2), bh_str_skip(set, 8));
    if (bh_str_starts(set, BH_STR("iso-")) && bh_str_starts_ci(name, BH_STR("iso")))
        return bh_str_eq_ci(bh_str_skip(name, 3), bh_str_skip(set, 4));
    return bh_str_starts(set, BH_STR("ibm")) && bh_str_starts_ci(name, BH_STR("cp")) &&
           bh_str_eq_ci(bh_str_skip(name, 2), bh_str_skip(set, 3));
}

bh_err bh_charset_to_utf8(struct bh_buf *out, bh_str charset, bh_str bytes)
{
    static const char *const utf8[] = {"utf-8", "utf8", "us-ascii", "ascii", "unicode-1-1-utf-8", "", NULL};
    static const char *const latin1[] = {"iso-8859-1", "iso8859-1", "latin1", "l1", "iso_8859-1", NULL};
    bh_str rest, name = plain_name(bh_str_trim(bh_str_cut(charset, '*', &rest)));

    if (is_one_of(name, utf8)) {
        bh_utf8_repair(out, bytes);
        return BH_OK;
    }
    if (is_one_of(name, latin1)) {
        put_single_byte(out, NULL, bytes);
        return BH_OK;
    }
    for (size_t i = 0; i < sizeof single_byte_sets / sizeof *single_byte_sets; i++) {
        if (same_set(name, bh_str_c(single_byte_sets[i].name))) {
            put_single_byte(out, single_byte_sets[i].high, bytes);
            return BH_OK;
        }
    }
    return BH_E_UNSUPPORTED;
}
