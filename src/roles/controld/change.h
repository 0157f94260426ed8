/* change.h: planned changes: who creates one, who waits for it, what happens in between.
 *
 * A change is about to be made that some customers have to prepare by editing a record (domain/change.h). Its maker
 *
 *   1. calls bh_change_create with the records per domain, in the transaction that plans the thing;
 *   2. goes on with the old state for every domain that is not ready: bh_change_ready_for(core, kind, ref, domain);
 *   3. withdraws the old state in core->change_done[kind], which is called once when the change is closed: every domain
 *      shows its new record and the old one's TTL is over, or the operator forced it (change->state tells which).
 *
 * In between each customer is told by mail with the exact records, reminded, and the domains' checks look for the new
 * records; the operator sees it in `behalf change` and is told when customers do not act. A change without records to
 * edit is closed at the end of the turn. `ref` is the maker's own name for what changes ("key 17", "egress 192.0.2.9"):
 * one open change per kind and ref. */
#ifndef BH_CONTROLD_CHANGE_H
#define BH_CONTROLD_CHANGE_H

#include "core.h"

struct bh_change_plan {
    enum bh_change_kind kind;
    bh_str title; /* one line for mails: "A new address that mail leaves from" */
    bh_str ref;
    const struct bh_change_item *items; /* up to want; one per domain, type and name */
    size_t count;
};

/* In the caller's transaction, or in one of its own. BH_E_EXISTS: one of this kind and ref is open (*ret_id is it);
 * otherwise the store's errors. */
BH_MUST bh_err bh_change_create(struct bh_controld *core, const struct bh_change_plan *plan, int64_t *ret_id);
/* Forgets an open change; change_done is not called. */
BH_MUST bh_err bh_change_cancel(struct bh_controld *core, int64_t id);
/* Closes it now, as forced. BH_E_NOT_FOUND: no such open change. */
BH_MUST bh_err bh_change_force(struct bh_controld *core, int64_t id);
/* True when the new state may be used for this domain: it shows the new record long enough, or has nothing to do, or
 * the change is closed. False also when the store cannot tell. */
bool bh_change_ready_for(struct bh_controld *core, enum bh_change_kind kind, bh_str ref, int64_t domain);

/* Tells and reminds whoever is due, closes what is ready. Called on each wake, and at the end of a turn in which
 * something moved. */
void bh_change_work(struct bh_controld *core);

/* ---- for checker.c ---- */

/* The records of open changes that a check of a domain looks for, too. */
struct bh_change_watch {
    struct bh_change_row *rows;
    size_t count;
};
BH_MUST bh_err bh_change_watch_load(struct bh_controld *core, struct bh_arena *arena, int64_t domain,
                                    struct bh_change_watch *ret_watch);
/* Stores what was seen, inside the check's transaction. */
BH_MUST bh_err bh_change_watch_look(struct bh_controld *core, struct bh_arena *arena, struct bh_change_watch *watch,
                                    const struct bh_seen *seen, size_t seen_count);
/* When to look again: about hourly while somebody has to act. */
bh_time_ms bh_change_watch_again(const struct bh_change_watch *watch, bh_time_ms now, bh_time_ms otherwise,
                                 uint64_t spread);

#endif
