/* ask.h: several DNS questions at once, for commands that need to know before they answer. */
#ifndef BH_CONTROLD_ASK_H
#define BH_CONTROLD_ASK_H

#include "core.h"
#include "domain/check.h"

/* `seen` has name, type and direct when it is asked, and the answer when `done` is called. What could not be asked is
 * BH_DNS_TEMPFAIL with a reason. */
typedef void bh_asked(void *ctx);
/* Calls `done` once, perhaps before it returns. Everything lives in the arena, which must outlive the call. BH_E_NOMEM:
 * `done` is not called. */
BH_MUST bh_err bh_ask_all(struct bh_controld *core, struct bh_arena *arena, struct bh_seen *seen, size_t count,
                          bh_asked *done, void *ctx);

#endif
