/* walk.h: what do the authoritative servers of a name say? From the organisational domain's name servers down the
 * delegations to the zone that holds the name, then the question to every address of that zone's servers.
 *
 * Names below the organisational domain are never put to the resolver, so that a check before the customer has acted
 * plants no negative answer in a cache. A question for NS is answered by the parent's side of the cut. */
#ifndef BH_STEWARD_WALK_H
#define BH_STEWARD_WALK_H

#include "base/list.h"
#include "base/random.h"
#include "io/loop.h"
#include "roles/messages.h"
#include <behalf/psl.h>
#include <behalf/resolver.h>

/* However many servers hang, one behind the other: what was answered until then is the answer. */
enum { BH_WALK_DEADLINE_MS = 45 * 1000 };

struct bh_walker {
    struct bh_loop *loop;
    struct bh_resolver *resolver;
    const struct bh_suffixes *suffixes;
    struct bh_random *random;
    uint16_t port;        /* of authoritative servers */
    int64_t deadline_ms;  /* of one walk; 0: BH_WALK_DEADLINE_MS */
    struct bh_list walks; /* running */
};

/* Ends all running walks: each `done` is called with BH_E_CLOSED. The resolver must still be there. */
void bh_walker_stop(struct bh_walker *walker);

/* `views` is a list of bh_rec_dns_server_view records; empty with an error. Valid until this returns. */
typedef void bh_walk_done(void *ctx, bh_err err, bh_str views);

/* `done` is called once, possibly before this returns. BH_E_SYNTAX for a bad name,
 * BH_E_NOMEM: not called. */
BH_MUST bh_err bh_walk_start(struct bh_walker *walker, bh_str name, uint16_t type, bh_walk_done *done, void *ctx);

/* A view of what the resolver says about (name, type), as a walk reports: one view named "resolver". */
BH_MUST bh_err bh_walk_resolver(struct bh_walker *walker, bh_str name, uint16_t type, bh_walk_done *done, void *ctx);

#endif
