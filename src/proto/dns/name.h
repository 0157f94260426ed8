/* name.h: domain names in wire form (RFC 1035 3.1): length-prefixed labels, the root's empty label last.
 *
 * Most functions take views (bh_str) of *valid, uncompressed* wire names; what comes from outside is made one by
 * bh_dns_name_parse (text), bh_dns_name_read (packets) or checked by bh_dns_name_valid. Names keep their case; every
 * comparison ignores the case of ASCII letters (RFC 4343). Nothing here allocates. */
#ifndef BH_PROTO_DNS_NAME_H
#define BH_PROTO_DNS_NAME_H

#include "base/buf.h"
#include "base/cur.h"

enum {
    BH_DNS_NAME_MAX = 255,  /* bytes of a wire name, root label included */
    BH_DNS_LABEL_MAX = 63,  /* bytes of a label, length byte excluded */
    BH_DNS_LABELS_MAX = 127 /* labels of a name, root excluded */
};

/* Room for any name, by value. */
struct bh_dns_name {
    uint8_t n;
    uint8_t wire[BH_DNS_NAME_MAX];
};

static inline bh_str bh_dns_name_view(const struct bh_dns_name *name)
{
    return (bh_str){(const char *)name->wire, name->n};
}
/* The root: one zero byte. */
static inline bh_str bh_dns_root(void)
{
    return (bh_str){"", 1};
}
static inline bool bh_dns_name_is_root(bh_str name)
{
    return name.n == 1;
}

/* Text (RFC 1035 5.1: `\.`, `\DDD`) to wire form. A name without a final dot is taken relative to `origin`; NULL
 * stands for the root. BH_E_SYNTAX: empty label or bad escape; BH_E_LIMIT: label over 63 or name over 255. */
BH_MUST bh_err bh_dns_name_parse(bh_str text, const struct bh_dns_name *origin, struct bh_dns_name *ret_name);
/* Appends the text of a wire name with its final dot ("." for the root); bytes outside the printable ASCII range
 * become \DDD, special ones of master files are escaped by a backslash. */
void bh_dns_name_print(struct bh_buf *out, bh_str name);
/* The same without the final dot and with "" for the root, as <behalf/resolver.h> has names. */
void bh_dns_name_print_relative(struct bh_buf *out, bh_str name);

/* A copy of a valid view. */
void bh_dns_name_set(struct bh_dns_name *name, bh_str wire);
/* True when `wire` is exactly one uncompressed name. */
bool bh_dns_name_valid(bh_str wire);
/* Takes one uncompressed name off the cursor (rdata in our own encodings); marks it bad if there is none. */
bh_str bh_dns_name_take(struct bh_cur *cur);
/* Reads a possibly compressed name (RFC 1035 4.1.4) at *offset of `packet`; *offset moves behind it. Pointers must
 * lead backwards, so that no chain is endless. BH_E_TRUNCATED, BH_E_SYNTAX, BH_E_LIMIT; nothing written then. */
BH_MUST bh_err bh_dns_name_read(bh_str packet, size_t *offset, struct bh_dns_name *ret_name);

/* Labels, the root's not counted. */
unsigned bh_dns_name_labels(bh_str name);
/* Without the first label; the root stays. */
bh_str bh_dns_name_parent(bh_str name);
/* Without the first `labels` labels. */
bh_str bh_dns_name_skip(bh_str name, unsigned labels);
/* The first label's bytes without the length; empty for the root. */
bh_str bh_dns_name_label(bh_str name);
/* Appends `suffix` to `prefix` (whose root label is dropped). BH_E_LIMIT over 255 bytes. */
BH_MUST bh_err bh_dns_name_join(bh_str prefix, bh_str suffix, struct bh_dns_name *ret_name);
/* `*.` in front of `parent`. BH_E_LIMIT. */
BH_MUST bh_err bh_dns_name_wildcard(bh_str parent, struct bh_dns_name *ret_name);
static inline bool bh_dns_name_is_wildcard(bh_str name)
{
    return name.n >= 2 && name.p[0] == 1 && name.p[1] == '*';
}

bool bh_dns_name_eq(bh_str a, bh_str b);
/* <0, 0, >0 in the canonical order of RFC 4034 6.1: label by label from the root, lower case, shorter first. */
int bh_dns_name_cmp(bh_str a, bh_str b);
/* `name` is `ancestor` or below it. */
bool bh_dns_name_is_at_or_below(bh_str name, bh_str ancestor);
/* Letters to lower case, in place. */
void bh_dns_name_lower(struct bh_dns_name *name);

#endif
