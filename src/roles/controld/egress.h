/* egress.h: egress pools inside controld: what is in the store, kept at hand, and what follows from it.
 *
 * domain/egress.h has the states; egress.c reads, writes and answers (which SPF has a domain, from where may its mail
 * leave), egress_sweep.c asks the authoritative servers, egress_ptr.c looks at PTR records. */
#ifndef BH_CONTROLD_EGRESS_H
#define BH_CONTROLD_EGRESS_H

#include "core.h"

struct bh_egress_sweep; /* egress_sweep.c */

struct bh_egress {
    struct bh_arena *arena; /* of this reading of the store */
    struct bh_egress_pool *pools;
    size_t pool_count;
    struct bh_egress_address *addresses; /* by id; those that are not withdrawn */
    size_t address_count;
    struct bh_pool_use *uses;
    size_t use_count;
    struct bh_egress_sweep *sweep; /* running, or NULL */
    bh_time_ms sweep_at;           /* the next one, when something is published */
    unsigned sweep_tries;
    char waiting[300]; /* why the last sweep was not complete; "" */
    bh_time_ms ptr_at; /* the next look at PTR records */
};

/* Reads the store again; called after every change. Zones are not marked old. */
BH_MUST bh_err bh_egress_load(struct bh_controld *core);
const struct bh_egress_pool *bh_egress_pool_named(const struct bh_controld *core, bh_str name);
const struct bh_egress_pool *bh_egress_pool_by_id(const struct bh_controld *core, int64_t id);
/* The pools of a domain: the one its mail leaves through now, and all that its SPF lists (at most 2). */
struct bh_domain_pools {
    int64_t current;
    int64_t listed[2];
    size_t listed_count;
    bool is_moving; /* by the use below */
    struct bh_pool_use use;
};
BH_MUST bh_err bh_egress_pools_of(struct bh_controld *core, int64_t domain, int64_t customer,
                                  struct bh_domain_pools *ret_pools);
/* True when one of the pools' addresses is usable or was. */
bool bh_egress_has_state(const struct bh_controld *core, int64_t pool, enum bh_egress_state state);
/* All zones and all cached look-ups are old. */
void bh_egress_publish(struct bh_controld *core);

/* egress_sweep.c: starts when `sweep_at` is over; ends in bh_egress_swept. */
void bh_egress_sweep_run(struct bh_controld *core);
void bh_egress_sweep_free(struct bh_controld *core);
/* Everything that was published when the sweep began is seen (`ok`), or not yet. */
void bh_egress_swept(struct bh_controld *core, bool ok, bh_time_ms began_at);

/* egress_ptr.c */
void bh_egress_ptr_run(struct bh_controld *core);

#endif
