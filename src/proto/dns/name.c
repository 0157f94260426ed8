/* Domain names in wire form. A length byte is at most 63, so lower-casing all bytes of a wire name (A-Z is 65-90)
 * never touches a length: comparisons run over whole names without walking labels. */
#include "name.h"

/* ---- text ---- */

struct name_text {
    const char *p, *end;
};

/* The next byte of a label, escapes undone. Returns 0-255, -1 for a bad escape. */
static int text_byte(struct name_text *text)
{
    unsigned v = 0;
    char c = *text->p++;

    if (c != '\\')
        return (unsigned char)c;
    if (text->p == text->end)
        return -1;
    if (!bh_is_digit(*text->p))
        return (unsigned char)*text->p++;
    if (text->end - text->p < 3)
        return -1;
    for (int i = 0; i < 3; i++, text->p++) {
        if (!bh_is_digit(*text->p))
            return -1;
        v = v * 10 + (unsigned)(*text->p - '0');
    }
    return v > 255 ? -1 : (int)v;
}

/* One label up to its dot or the end, appended to `name`; BH_E_LIMIT keeps room for the root label. */
static bh_err parse_label(struct name_text *text, struct bh_dns_name *name)
{
    uint8_t at = name->n, n = 0;

    while (text->p < text->end && *text->p != '.') {
        int byte = text_byte(text);

        if (byte < 0)
            return BH_E_SYNTAX;
        if (n == BH_DNS_LABEL_MAX || at + 1 + n + 1 >= BH_DNS_NAME_MAX)
            return BH_E_LIMIT;
        name->wire[at + 1 + n++] = (uint8_t)byte;
    }
    if (n == 0)
        return BH_E_SYNTAX;
    name->wire[at] = n;
    name->n = (uint8_t)(at + 1 + n);
    return BH_OK;
}

bh_err bh_dns_name_parse(bh_str text, const struct bh_dns_name *origin, struct bh_dns_name *ret_name)
{
    struct name_text left = {text.p, text.n ? text.p + text.n : text.p};
    struct bh_dns_name name = {0};
    bool absolute = text.n == 1 && text.p[0] == '.';

    if (text.n == 0)
        return BH_E_SYNTAX;
    while (!absolute && left.p < left.end) {
        bh_err err = parse_label(&left, &name);

        if (err)
            return err;
        if (left.p < left.end)
            absolute = ++left.p == left.end;
    }
    name.wire[name.n] = 0;
    return bh_dns_name_join((bh_str){(char *)name.wire, name.n + 1u},
                            absolute || !origin ? bh_dns_root() : bh_dns_name_view(origin), ret_name);
}

static void print_byte(struct bh_buf *out, unsigned char c)
{
    if (c <= ' ' || c > '~')
        bh_buf_printf(out, "\\%03u", c);
    else if (memchr(".\\\"();@$", c, 8))
        bh_buf_printf(out, "\\%c", c);
    else
        bh_buf_char(out, (char)c);
}

void bh_dns_name_print_relative(struct bh_buf *out, bh_str name)
{
    for (bh_str rest = name; rest.n > 1; rest = bh_dns_name_parent(rest)) {
        bh_str label = bh_dns_name_label(rest);

        if (rest.p != name.p)
            bh_buf_char(out, '.');
        for (size_t i = 0; i < label.n; i++)
            print_byte(out, (unsigned char)label.p[i]);
    }
}

void bh_dns_name_print(struct bh_buf *out, bh_str name)
{
    bh_dns_name_print_relative(out, name);
    bh_buf_char(out, '.');
}

/* ---- wire ---- */

void bh_dns_name_set(struct bh_dns_name *name, bh_str wire)
{
    name->n = (uint8_t)wire.n;
    memcpy(name->wire, wire.p, wire.n);
}

bh_str bh_dns_name_take(struct bh_cur *cur)
{
    const char *p = cur->p, *end = cur->bad ? cur->p : cur->end;

    while (p < end && *p != 0 && (unsigned char)*p <= BH_DNS_LABEL_MAX && end - p > *p)
        p += 1 + *p;
    if (p >= end || *p != 0 || p + 1 - cur->p > BH_DNS_NAME_MAX) {
        cur->bad = true;
        return (bh_str){NULL, 0};
    }
    return bh_cur_bytes(cur, (size_t)(p + 1 - cur->p));
}

bool bh_dns_name_valid(bh_str wire)
{
    struct bh_cur cur = bh_cur_make(wire);

    (void)bh_dns_name_take(&cur);
    return bh_cur_done(&cur);
}

bh_err bh_dns_name_read(bh_str packet, size_t *offset, struct bh_dns_name *ret_name)
{
    size_t at = *offset, behind = 0, floor = *offset;
    struct bh_dns_name name = {0};

    for (;;) {
        if (at >= packet.n)
            return BH_E_TRUNCATED;
        unsigned n = (unsigned char)packet.p[at];
        if (n >= 0xc0) {
            if (at + 1 >= packet.n)
                return BH_E_TRUNCATED;
            behind = behind ? behind : at + 2;
            at = (n & 0x3fu) << 8 | (unsigned char)packet.p[at + 1];
            if (at >= floor) /* only ever backwards: each jump makes `floor` smaller */
                return BH_E_SYNTAX;
            floor = at;
            continue;
        }
        if (n > BH_DNS_LABEL_MAX)
            return BH_E_SYNTAX;
        if (at + 1 + n > packet.n)
            return BH_E_TRUNCATED;
        if (name.n + 1u + n > BH_DNS_NAME_MAX)
            return BH_E_LIMIT;
        memcpy(name.wire + name.n, packet.p + at, n + 1u);
        name.n = (uint8_t)(name.n + n + 1u);
        at += n + 1u;
        if (n == 0)
            break;
    }
    *offset = behind ? behind : at;
    *ret_name = name;
    return BH_OK;
}

unsigned bh_dns_name_labels(bh_str name)
{
    unsigned count = 0;

    for (const char *p = name.p; *p; p += 1 + *p)
        count++;
    return count;
}

bh_str bh_dns_name_parent(bh_str name)
{
    return name.n > 1 ? bh_str_skip(name, 1u + (unsigned char)name.p[0]) : name;
}

bh_str bh_dns_name_skip(bh_str name, unsigned labels)
{
    while (labels--)
        name = bh_dns_name_parent(name);
    return name;
}

bh_str bh_dns_name_label(bh_str name)
{
    return bh_str_sub(name, 1, (unsigned char)name.p[0]);
}

bh_err bh_dns_name_join(bh_str prefix, bh_str suffix, struct bh_dns_name *ret_name)
{
    struct bh_dns_name name;

    if (prefix.n - 1 + suffix.n > BH_DNS_NAME_MAX)
        return BH_E_LIMIT;
    memcpy(name.wire, prefix.p, prefix.n - 1);
    memcpy(name.wire + prefix.n - 1, suffix.p, suffix.n);
    name.n = (uint8_t)(prefix.n - 1 + suffix.n);
    *ret_name = name;
    return BH_OK;
}

bh_err bh_dns_name_wildcard(bh_str parent, struct bh_dns_name *ret_name)
{
    return bh_dns_name_join((bh_str){"\1*", 3}, parent, ret_name);
}

/* ---- comparison ---- */

bool bh_dns_name_eq(bh_str a, bh_str b)
{
    return bh_str_eq_ci(a, b);
}

/* Offsets of the labels' length bytes, first label first. */
static unsigned label_offsets(bh_str name, uint8_t offsets[BH_DNS_LABELS_MAX])
{
    unsigned count = 0;

    for (size_t at = 0; name.p[at]; at += 1u + (unsigned char)name.p[at])
        offsets[count++] = (uint8_t)at;
    return count;
}

int bh_dns_name_cmp(bh_str a, bh_str b)
{
    uint8_t offsets_a[BH_DNS_LABELS_MAX], offsets_b[BH_DNS_LABELS_MAX];
    unsigned labels_a = label_offsets(a, offsets_a), labels_b = label_offsets(b, offsets_b);
    unsigned common = labels_a < labels_b ? labels_a : labels_b;

    for (unsigned i = 1; i <= common; i++) {
        bh_str label_a = bh_dns_name_label(bh_str_skip(a, offsets_a[labels_a - i]));
        bh_str label_b = bh_dns_name_label(bh_str_skip(b, offsets_b[labels_b - i]));
        int order = bh_str_cmp_ci(label_a, label_b);

        if (order)
            return order;
    }
    return (labels_a > labels_b) - (labels_a < labels_b);
}

bool bh_dns_name_is_at_or_below(bh_str name, bh_str ancestor)
{
    while (name.n > ancestor.n)
        name = bh_dns_name_parent(name);
    return bh_dns_name_eq(name, ancestor);
}

void bh_dns_name_lower(struct bh_dns_name *name)
{
    for (size_t i = 0; i < name->n; i++)
        name->wire[i] = (uint8_t)bh_to_lower((char)name->wire[i]);
}
