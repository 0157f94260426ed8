/* der.c: see der.h. No recursion: the two shapes of a key are read straight through. */
#include "der.h"

/* X.690 8.1.3, 10.1. Two length bytes are enough for any key that is read. */
static size_t take_length(struct bh_cur *cur)
{
    uint8_t first = bh_cur_u8(cur);
    size_t length = first;

    if (first == 0x81) {
        length = bh_cur_u8(cur);
        cur->bad |= length < 0x80;
    } else if (first == 0x82) {
        length = bh_cur_u16(cur);
        cur->bad |= length < 0x100;
    } else if (first >= 0x80) {
        cur->bad = true;
    }
    return length;
}

bh_str bh_der_take(struct bh_cur *cur, uint8_t tag)
{
    if (bh_cur_u8(cur) != tag)
        cur->bad = true;
    return bh_cur_bytes(cur, take_length(cur));
}

bh_str bh_der_positive(struct bh_cur *cur)
{
    bh_str number = bh_der_take(cur, BH_DER_INTEGER);

    if (number.n > 1 && number.p[0] == 0) {
        number = bh_str_skip(number, 1);
        cur->bad |= !((unsigned char)number.p[0] & 0x80); /* the zero was not needed */
    } else if (number.n == 0 || number.p[0] == 0 || (unsigned char)number.p[0] & 0x80) {
        cur->bad = true; /* empty, zero, negative */
    }
    return cur->bad ? (bh_str){NULL, 0} : number;
}

static bh_err read_numbers(bh_str content, struct bh_der_rsa *ret_rsa)
{
    struct bh_cur cur = bh_cur_make(content);
    struct bh_der_rsa rsa;

    rsa.n = bh_der_positive(&cur);
    rsa.e = bh_der_positive(&cur);
    if (!bh_cur_done(&cur))
        return BH_E_SYNTAX;
    *ret_rsa = rsa;
    return BH_OK;
}

/* SEQUENCE { rsaEncryption, NULL }; the NULL is sometimes left out. */
static bool is_rsa_algorithm(bh_str algorithm)
{
    struct bh_cur cur = bh_cur_make(algorithm);
    bh_str oid = bh_der_take(&cur, BH_DER_OID);

    if (!bh_str_eq(oid, BH_STR("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")))
        return false;
    if (bh_cur_left(&cur) && bh_der_take(&cur, BH_DER_NULL).n != 0)
        return false;
    return bh_cur_done(&cur);
}

static bh_err read_spki(struct bh_cur *cur, struct bh_der_rsa *ret_rsa)
{
    bh_str algorithm = bh_der_take(cur, BH_DER_SEQUENCE);
    bh_str bits = bh_der_take(cur, BH_DER_BIT_STRING);
    struct bh_cur inner;
    bh_str content;

    if (!bh_cur_done(cur) || !is_rsa_algorithm(algorithm) || bits.n == 0 || bits.p[0] != 0)
        return BH_E_SYNTAX;
    inner = bh_cur_make(bh_str_skip(bits, 1));
    content = bh_der_take(&inner, BH_DER_SEQUENCE);
    return bh_cur_done(&inner) ? read_numbers(content, ret_rsa) : BH_E_SYNTAX;
}

bh_err bh_der_rsa_public(bh_str der, struct bh_der_rsa *ret_rsa)
{
    struct bh_cur outer = bh_cur_make(der);
    bh_str content = bh_der_take(&outer, BH_DER_SEQUENCE);
    struct bh_cur cur = bh_cur_make(content);

    if (!bh_cur_done(&outer) || content.n == 0)
        return BH_E_SYNTAX;
    if ((unsigned char)content.p[0] == BH_DER_INTEGER)
        return read_numbers(content, ret_rsa);
    return read_spki(&cur, ret_rsa);
}
