/* SvcParams of SVCB and HTTPS records (RFC 9460 2 and appendix A). In wire form: key, length, value; keys rise. The
 * known keys have a text of their own, others are `key667="…"`. */
#include "base/text.h"
#include "field.h"
#include "lexer.h"
#include <arpa/inet.h>

enum { KEY_MANDATORY, KEY_ALPN, KEY_NO_DEFAULT_ALPN, KEY_PORT, KEY_IPV4HINT, KEY_ECH, KEY_IPV6HINT, KEYS_KNOWN };
enum { PARAMS_MAX = 64 };

static const char *const key_names[KEYS_KNOWN] = {"mandatory", "alpn", "no-default-alpn", "port",
                                                  "ipv4hint",  "ech",  "ipv6hint"};

/* ---- wire ---- */

/* Whole list of length-prefixed ids, none empty, at least one. */
static bool alpn_valid(bh_str value)
{
    struct bh_cur cur = bh_cur_make(value);

    while (bh_cur_left(&cur))
        if (bh_cur_bytes(&cur, bh_cur_u8(&cur)).n == 0)
            return false;
    return bh_cur_done(&cur) && value.n > 0;
}

static bool value_valid(uint16_t key, bh_str value)
{
    switch (key) {
    case KEY_MANDATORY:
        return value.n > 0 && value.n % 2 == 0;
    case KEY_ALPN:
        return alpn_valid(value);
    case KEY_NO_DEFAULT_ALPN:
        return value.n == 0;
    case KEY_PORT:
        return value.n == 2;
    case KEY_IPV4HINT:
        return value.n > 0 && value.n % 4 == 0;
    case KEY_ECH:
        return value.n > 0;
    case KEY_IPV6HINT:
        return value.n > 0 && value.n % 16 == 0;
    default:
        return true;
    }
}

bool bh_dns_svcparams_valid(bh_str params)
{
    struct bh_cur cur = bh_cur_make(params);
    int last = -1;

    while (bh_cur_left(&cur)) {
        uint16_t key = bh_cur_u16(&cur);
        bh_str value = bh_cur_bytes(&cur, bh_cur_u16(&cur));

        if (!bh_cur_ok(&cur) || key <= last || !value_valid(key, value))
            return false;
        last = key;
    }
    return bh_cur_ok(&cur);
}

/* ---- wire to text ---- */

static void print_key(struct bh_buf *out, uint16_t key)
{
    if (key < KEYS_KNOWN)
        bh_buf_add(out, bh_str_c(key_names[key]));
    else
        bh_buf_printf(out, "key%u", key);
}

static void print_hints(struct bh_buf *out, bh_str value, int family)
{
    size_t step = family == AF_INET ? 4 : 16;
    char text[INET6_ADDRSTRLEN];

    for (size_t at = 0; at < value.n; at += step) {
        if (at)
            bh_buf_char(out, ',');
        if (inet_ntop(family, value.p + at, text, sizeof text))
            bh_buf_add(out, bh_str_c(text));
    }
}

static void print_mandatory(struct bh_buf *out, bh_str value)
{
    struct bh_cur cur = bh_cur_make(value);

    for (const char *sep = ""; bh_cur_left(&cur); sep = ",") {
        bh_buf_add(out, bh_str_c(sep));
        print_key(out, bh_cur_u16(&cur));
    }
}

/* A comma or backslash inside an id is escaped for the list, and the result once more for the string. */
static void print_alpn(struct bh_buf *out, bh_str value)
{
    struct bh_buf list = bh_buf_make(UINT16_MAX * 2);
    struct bh_cur cur = bh_cur_make(value);

    for (bool first = true; bh_cur_left(&cur); first = false) {
        bh_str id = bh_cur_bytes(&cur, bh_cur_u8(&cur));

        if (!first)
            bh_buf_char(&list, ',');
        for (size_t i = 0; i < id.n; i++) {
            if (id.p[i] == ',' || id.p[i] == '\\')
                bh_buf_char(&list, '\\');
            bh_buf_char(&list, id.p[i]);
        }
    }
    bh_dns_string_print(out, bh_buf_view(&list));
    bh_buf_free(&list);
}

static void print_value(struct bh_buf *out, uint16_t key, bh_str value)
{
    switch (key) {
    case KEY_MANDATORY:
        print_mandatory(out, value);
        break;
    case KEY_ALPN:
        print_alpn(out, value);
        break;
    case KEY_PORT:
        bh_buf_printf(out, "%u", (unsigned)((unsigned char)value.p[0] << 8 | (unsigned char)value.p[1]));
        break;
    case KEY_IPV4HINT:
        print_hints(out, value, AF_INET);
        break;
    case KEY_IPV6HINT:
        print_hints(out, value, AF_INET6);
        break;
    case KEY_ECH:
        bh_base64_encode(out, value);
        break;
    default:
        bh_dns_string_print(out, value);
        break;
    }
}

void bh_dns_svcparams_print(struct bh_buf *out, bh_str params)
{
    struct bh_cur cur = bh_cur_make(params);

    for (const char *sep = ""; bh_cur_left(&cur); sep = " ") {
        uint16_t key = bh_cur_u16(&cur);
        bh_str value = bh_cur_bytes(&cur, bh_cur_u16(&cur));

        bh_buf_add(out, bh_str_c(sep));
        print_key(out, key);
        if (value.n == 0)
            continue;
        bh_buf_char(out, '=');
        print_value(out, key, value);
    }
}

/* ---- text to wire ---- */

static bh_err parse_key(bh_str text, uint16_t *ret_key)
{
    uint64_t number = 0;

    for (unsigned key = 0; key < KEYS_KNOWN; key++)
        if (bh_str_eq(text, bh_str_c(key_names[key]))) {
            *ret_key = (uint16_t)key;
            return BH_OK;
        }
    if (!bh_str_starts(text, BH_STR("key")) || bh_str_to_u64(bh_str_skip(text, 3), UINT16_MAX, &number))
        return BH_E_SYNTAX;
    *ret_key = (uint16_t)number;
    return BH_OK;
}

static bh_err parse_hints(struct bh_buf *out, bh_str list, int family)
{
    while (list.p && list.n) {
        char text[INET6_ADDRSTRLEN];
        unsigned char bytes[16];
        bh_str one = bh_str_cut(list, ',', &list);

        if (bh_str_to_c(one, text, sizeof text) || inet_pton(family, text, bytes) != 1)
            return BH_E_SYNTAX;
        bh_buf_add(out, (bh_str){(char *)bytes, family == AF_INET ? 4 : 16});
    }
    return BH_OK;
}

static bh_err parse_mandatory(struct bh_buf *out, bh_str list)
{
    while (list.p && list.n) {
        uint16_t key = 0;
        bh_err err = parse_key(bh_str_cut(list, ',', &list), &key);

        if (err)
            return err;
        bh_buf_u16(out, key);
    }
    return BH_OK;
}

static bh_err parse_alpn(struct bh_buf *out, bh_str list)
{
    for (size_t i = 0; i < list.n; i++) {
        size_t at = out->n;

        bh_buf_u8(out, 0);
        for (; i < list.n && list.p[i] != ','; i++) {
            if (list.p[i] == '\\' && ++i == list.n)
                return BH_E_SYNTAX;
            bh_buf_char(out, list.p[i]);
        }
        if (bh_buf_err(out) || out->n - at - 1 > 255)
            return BH_E_LIMIT;
        out->p[at] = (char)(out->n - at - 1);
    }
    return BH_OK;
}

static bh_err parse_value(uint16_t key, bh_str value, struct bh_buf *out)
{
    uint64_t port = 0;
    bh_err err = BH_OK;

    switch (key) {
    case KEY_MANDATORY:
        return parse_mandatory(out, value);
    case KEY_ALPN:
        return parse_alpn(out, value);
    case KEY_PORT:
        err = bh_str_to_u64(value, UINT16_MAX, &port);
        bh_buf_u16(out, (uint16_t)port);
        return err;
    case KEY_IPV4HINT:
        return parse_hints(out, value, AF_INET);
    case KEY_IPV6HINT:
        return parse_hints(out, value, AF_INET6);
    case KEY_ECH:
        return bh_base64_decode(out, value);
    default:
        bh_buf_add(out, value);
        return BH_OK;
    }
}

/* The value's text with its quotes and escapes undone, then the wire form of its key; `room` is scratch. */
static bh_err parse_param(bh_str text, struct bh_buf *room, struct bh_buf *out, uint16_t *ret_key)
{
    struct bh_dns_token value = {0};
    bh_err err = parse_key(bh_str_cut(text, '=', &value.text), ret_key);
    size_t at = out->n;

    if (err)
        return err;
    if (value.text.n >= 2 && value.text.p[0] == '"')
        value.text = bh_str_sub(value.text, 1, value.text.n - 2);
    bh_buf_clear(room);
    err = value.text.n ? bh_dns_token_bytes(&value, room) : BH_OK;
    bh_buf_u16(out, *ret_key);
    bh_buf_u16(out, 0);
    if (!err)
        err = parse_value(*ret_key, bh_buf_view(room), out);
    if (err || bh_buf_err(out))
        return err ? err : bh_buf_err(out);
    if (out->n - at - 4 > UINT16_MAX)
        return BH_E_LIMIT;
    out->p[at + 2] = (char)((out->n - at - 4) >> 8);
    out->p[at + 3] = (char)(out->n - at - 4);
    return BH_OK;
}

struct param {
    uint16_t key;
    size_t at, n;
};

static void insert_param(struct param *params, size_t count, struct param param)
{
    size_t i = count;

    for (; i > 0 && params[i - 1].key > param.key; i--)
        params[i] = params[i - 1];
    params[i] = param;
}

static bh_err parse_params(struct bh_dns_lexer *lexer, struct bh_buf *room, struct bh_buf *wire, struct bh_buf *out)
{
    struct param params[PARAMS_MAX];
    struct bh_dns_token token;
    size_t count = 0, start = out->n;
    bh_err err;

    while ((err = bh_dns_lexer_next(lexer, &token)) == BH_MORE) {
        struct param param = {.at = wire->n};

        if (count == PARAMS_MAX)
            return BH_E_LIMIT;
        err = parse_param(token.text, room, wire, &param.key);
        if (err)
            return err;
        param.n = wire->n - param.at;
        insert_param(params, count++, param);
    }
    if (err != BH_DONE)
        return err;
    for (size_t i = 0; i < count; i++)
        bh_buf_add(out, bh_str_sub(bh_buf_view(wire), params[i].at, params[i].n));
    if (bh_buf_err(out))
        return bh_buf_err(out);
    return bh_dns_svcparams_valid(bh_str_skip(bh_buf_view(out), start)) ? BH_OK : BH_E_SYNTAX;
}

bh_err bh_dns_svcparams_parse(struct bh_dns_lexer *lexer, struct bh_buf *out)
{
    struct bh_buf room = bh_buf_make(UINT16_MAX), wire = bh_buf_make(UINT16_MAX * 2);
    bh_err err = parse_params(lexer, &room, &wire, out);

    bh_buf_free(&room);
    bh_buf_free(&wire);
    return err;
}
