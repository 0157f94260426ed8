/* flatten.h: flattened SPF records that we keep fresh (domain/spf_flatten.h): one job at a time per record asks for its
 * sources through the steward's resolver, as often as their TTL says, and publishes what changed in the zone
 * flat.<platform>.
 *
 * A source that cannot be had, or is gone, is taken from its last good answer, so a record never shrinks by a failure;
 * a change is told by an event and, where something fails or a limit is near, by a notice. */
#ifndef BH_CONTROLD_FLATTEN_H
#define BH_CONTROLD_FLATTEN_H

#include "core.h"
#include "store/flat.h"

/* Starts what is due; when to call again. Called on each wake. */
bh_time_ms bh_flatten_run(struct bh_controld *core);
/* Refreshes one now; `done` (may be NULL) is called once, when its outcome is stored. */
typedef void bh_flatten_done(void *ctx, bh_err err);
BH_MUST bh_err bh_flatten_refresh(struct bh_controld *core, int64_t id, bh_flatten_done *done, void *ctx);
/* Ends running jobs without writing. */
void bh_flatten_free(struct bh_controld *core);

#endif
