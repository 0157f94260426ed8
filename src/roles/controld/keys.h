/* keys.h: keeping the DKIM keys of all domains: what domain/key_life.h says is to be done next is done, stored in one
 * transaction, and asked again. A domain is looked at when its duty is due (key_duty of control.db); so a restart goes
 * on where the last process was, and a million domains cost what is due among them. */
#ifndef BH_CONTROLD_KEYS_H
#define BH_CONTROLD_KEYS_H

#include "core.h"
#include "domain/key_life.h"

/* Starts what is due and orders the next wake. */
void bh_keys_wake(struct bh_controld *core);
/* This domain's keys are looked at at once: a command, or a check that saw it become another. */
void bh_keys_touch(struct bh_controld *core, int64_t domain);
/* keyd has (re)started: it is told which keys may sign no more. `done` may be NULL; called once unless this fails. */
BH_MUST bh_err bh_keys_tell_revoked(struct bh_controld *core, bh_told *done, void *ctx);
void bh_keys_free(struct bh_controld *core);

/* The policy of the configuration as it is for this domain. */
struct bh_key_policy bh_keys_policy(const struct bh_controld *core, const struct bh_domain *domain,
                                    const struct bh_key_wish *wish);
/* Inside a transaction: `key`, changed, is stored, with a line of history. */
BH_MUST bh_err bh_keys_store(struct bh_controld *core, const struct bh_domain *domain, const struct bh_key *key,
                             const char *what, bh_str detail);
/* key_news.c. Tells the event log that `key` is in its state now; `why` may be empty. */
void bh_key_tell(struct bh_controld *core, const struct bh_domain *domain, const struct bh_key *key, bh_str why);
/* The same inside the transaction that brings it there; a customer who publishes his keys himself is asked for what it
 * means. The store's errors, BH_E_NOMEM: roll back. */
BH_MUST bh_err bh_key_entered(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain,
                              const struct bh_key *key, bh_str why);
bh_change_done bh_key_change_done; /* of BH_CHANGE_KEY */
/* After the commit: zones and look-ups follow. `signs`: another key signs, or none. */
void bh_keys_changed(struct bh_controld *core, const struct bh_domain *domain, bool signs);

#endif
