/* behalf/zonefile_resolver.h: a resolver that answers from a text of master-file lines (RFC 1035 5): for tests, for
 * `--dns FILE`, and for asking what would be if these records were published.
 *
 * The text knows everything: a name that is not in it does not exist, a name with only descendants exists without
 * data, wildcards are synthesised (RFC 4592), CNAMEs are followed. Names without a final dot are absolute unless
 * $ORIGIN was given. Two directives beside the standard ones script failure:
 *
 *     $FAIL name          every question for the name fails for now
 *     $FAIL name TYPE     only this type does
 *
 * Answers come before `lookup` returns, so nothing ever waits. */
#ifndef BEHALF_ZONEFILE_RESOLVER_H
#define BEHALF_ZONEFILE_RESOLVER_H

#include <behalf/resolver.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bh_zonefile_resolver;

/* Parses `text`, which is not needed afterwards. On an error (class PEER or LIMIT, BH_E_NOMEM) *ret_line and *ret_why
 * (static text) tell where and what; either may be NULL. The owner ends it with bh_zonefile_resolver_free. */
BH_API BH_MUST bh_err bh_zonefile_resolver_new(bh_str text, struct bh_zonefile_resolver **ret_resolver,
                                               unsigned *ret_line, const char **ret_why);
/* NULL is fine. */
BH_API void bh_zonefile_resolver_free(struct bh_zonefile_resolver *resolver);
/* The resolver to hand on; lives as long as its owner. */
BH_API struct bh_resolver *bh_zonefile_resolver_base(struct bh_zonefile_resolver *resolver);

#ifdef __cplusplus
}
#endif
#endif
