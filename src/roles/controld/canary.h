/* canary.h: messages with which domains prove themselves; see canary.c. */
#ifndef BH_CONTROLD_CANARY_H
#define BH_CONTROLD_CANARY_H

#include "core.h"

/* SUBKEYS of keyd: canary addresses are made with them. BH_E_SYNTAX. */
BH_MUST bh_err bh_canary_keys(struct bh_controld *core, const struct bh_msg_subkeys *message);
/* Sends one now. BH_E_AGAIN: keyd has not come yet; BH_E_CLOSED: the queue is away. */
BH_MUST bh_err bh_canary_send(struct bh_controld *core, int64_t domain, int64_t *ret_canary);
/* `done` is called when the verdict is there, or after BH_CANARY_WAIT_MS. BH_E_LIMIT. */
BH_MUST bh_err bh_canary_wait(struct bh_controld *core, int64_t canary, void (*done)(void *ctx, int64_t canary),
                              void *ctx);

struct bh_canary_verdict {
    bool passed;
    enum bh_mechanism aligned;
    bh_str detail; /* what the receiver saw */
    bh_str from;   /* the domain of its author; p == NULL: nothing came */
};
/* The verdict on one; a second one, and that on a message in another name than the domain's, are passed over. The
 * store's errors. */
BH_MUST bh_err bh_canary_judged(struct bh_controld *core, int64_t canary, const struct bh_canary_verdict *verdict);

/* Sends what is due and gives up what is overdue; when to call again. */
bh_time_ms bh_canary_run(struct bh_controld *core);
/* A domain begins or ceases to send. */
BH_MUST bh_err bh_canary_plan(struct bh_controld *core, int64_t domain, bool can_send);

#endif
