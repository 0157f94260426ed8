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
    bh_time_ms asked_again_at;
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

/* spf_cover.c: which of the addresses the SPF record at `domain` passes, separated by blanks. `done` is called once,
 * perhaps before this returns; `is_known` false: DNS did not say. Everything must live until then. */
typedef void bh_cover_done(void *ctx, bool is_known, bh_str passes);
void bh_spf_cover(struct bh_controld *core, struct bh_arena *arena, bh_str domain, const bh_str *addresses,
                  size_t count, bh_cover_done *done, void *ctx);
/* Keeps what was found. Where the owner's record decides about mail that leaves (`is_relied_on`) and lacks an address
 * that is in use, a planned change asks for it. */
BH_MUST bh_err bh_spf_covered(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain,
                              bh_str record, bh_str passes, bool is_relied_on);
/* The addresses that the mail of a domain leaves from: those of its pool that are usable, else those that are stopping,
 * or both (an owner who has not listed a usable one goes on with what he lists); in the arena. */
BH_MUST bh_err bh_egress_relied(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain,
                                bool with_stopping, const bh_str **ret_addresses, size_t *ret_count);

/* egress_ptr.c */
void bh_egress_ptr_run(struct bh_controld *core);

#endif
