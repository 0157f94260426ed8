/* domain.h: domain names as mail has them (raw bytes, dots between labels) on their way to a resolver. */
#ifndef BH_AUTH_DOMAIN_H
#define BH_AUTH_DOMAIN_H

#include "base/buf.h"

enum {
    BH_DOMAIN_MAX = 253,              /* characters of a name without its final dot */
    BH_DOMAIN_QUERY_MAX = 4 * 253 + 1 /* every byte escaped, and a NUL */
};

/* True when DNS can hold it: labels of 1 to 63 bytes, 253 in all. A final dot is allowed, the root is not. */
bool bh_domain_valid(bh_str domain);
/* Number of labels of a valid name. */
unsigned bh_domain_labels(bh_str domain);
/* The rightmost `labels` labels; the whole if it has no more. */
bh_str bh_domain_suffix(bh_str domain, unsigned labels);
static inline bh_str bh_domain_no_dot(bh_str domain)
{
    return domain.n && domain.p[domain.n - 1] == '.' ? bh_str_sub(domain, 0, domain.n - 1) : domain;
}
/* Equal but for case and a final dot. */
bool bh_domain_eq(bh_str a, bh_str b);

/* As <behalf/resolver.h> wants it: no final dot, odd bytes as \DDD. Returns {NULL, 0} for what DNS cannot hold. The
 * view points into `text`. */
bh_str bh_domain_query(bh_str domain, char text[BH_DOMAIN_QUERY_MAX]);
/* A name out of rdata (uncompressed wire form at the start of `wire`) as raw text, dots between labels; a label that
 * itself holds a dot makes it BH_E_SYNTAX, as does a broken name; "" is the root. Appends to `out`. */
BH_MUST bh_err bh_domain_from_wire(bh_str wire, struct bh_buf *out);

/* Appends `domain` with U-labels turned into A-labels (RFC 5891) and letters lower-cased. Pure ASCII is only
 * lower-cased. BH_E_SYNTAX for what IDNA refuses. */
BH_MUST bh_err bh_domain_to_ascii(bh_str domain, struct bh_buf *out);

/* True where every reader sees the same name: pure ASCII, or U-labels as IDNA itself would write them (RFC 5891). A
 * wide letter, a soft hyphen or an ideographic full stop is mapped away by some programs and taken as it is by
 * others. */
bool bh_domain_is_exact(bh_str domain);

#endif
