/* connect.h: the key that signs Domain Connect links: one for the platform, made when it is first needed, kept in
 * control.db sealed, its public half in TXT records of the platform zone (domain/connect.h). One that keyd cannot open
 * any more is replaced by another, at another name. */
#ifndef BH_CONTROLD_CONNECT_H
#define BH_CONTROLD_CONNECT_H

#include "core.h"

struct bh_connect_key {
    uint64_t id; /* random */
    bh_str host; /* "_dc1": below the platform domain */
    bh_str public_b64;
    bh_str sealed;
};

/* BH_E_NOT_FOUND: there is none yet. Views in the arena. */
BH_MUST bh_err bh_connect_key_get(struct bh_controld *core, struct bh_arena *arena, struct bh_connect_key *ret_key);
/* The next one is another. */
BH_MUST bh_err bh_connect_key_forget(struct bh_controld *core, struct bh_arena *arena);

typedef void bh_connect_made(void *ctx, bh_err err);
/* Has keyd make one and marks the platform zone. `done` is called once, unless an error is returned; everything lives
 * in the arena. */
BH_MUST bh_err bh_connect_key_make(struct bh_controld *core, struct bh_arena *arena, bh_connect_made *done, void *ctx);

/* The signature over `query`; `done` as for bh_controld_out.sign_zone. */
BH_MUST bh_err bh_connect_sign(struct bh_controld *core, const struct bh_connect_key *key, bh_str query,
                               bh_zone_signed *done, void *ctx);
/* Its TXT records into the platform zone that is being built. */
void bh_connect_key_publish(struct bh_controld *core, struct bh_zone *zone);

#endif
