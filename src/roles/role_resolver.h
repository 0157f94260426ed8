/* role_resolver.h: the resolver of a role that asks the world's DNS (sender, steward), as the configuration says. */
#ifndef BH_ROLES_ROLE_RESOLVER_H
#define BH_ROLES_ROLE_RESOLVER_H

#include "roles/role.h"
#include <behalf/unbound_resolver.h>

/* libunbound on the role's loop: recursive or forwarding, with stub zones, root hints and trust anchor where the files
 * are there. A failure is logged. The caller owns it: bh_unbound_resolver_free. */
BH_MUST bh_err bh_role_resolver_new(struct bh_role *role, struct bh_unbound_resolver **ret_resolver);

#endif
