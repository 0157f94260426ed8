/* notice.h: telling people by mail: a customer's contacts, or the operator (`contact` of the configuration).
 *
 * A notice is a row of control.db first, written by whoever makes it in the transaction that made it true; at the end
 * of the turn it is submitted to queued like any message, From notices@<platform>, under the platform's own aligned
 * identity. While queued cannot be had it waits, over restarts too. So a notice is never lost, and a crash between
 * queued's answer and ours may repeat it once.
 *
 * The same notice (kind, addressee, `about`) is sent once a day at most, and nobody gets more than
 * BH_NOTICES_PER_DAY: what is beyond is dropped with a line in the log. */
#ifndef BH_CONTROLD_NOTICE_H
#define BH_CONTROLD_NOTICE_H

#include "core.h"

enum { BH_NOTICES_PER_DAY = 50, BH_NOTICE_TEXT_MAX = 64 * 1024 };

struct bh_notice {
    const char *kind; /* "domain-degraded", "change" …; static */
    int64_t customer; /* whose contacts are told; a customer without one: the operator is. 0: the operator */
    bh_str about;     /* with `kind` what makes two notices the same: a domain's name, a number */
    bh_str subject;   /* one line of ASCII */
    bh_str text;      /* lines end in LF; bytes that are not ASCII become '?' */
};

/* Makes a notice; may be called inside a transaction. BH_OK also where the bounds above drop it. The store's errors;
 * BH_E_LIMIT: the text is too long. */
BH_MUST bh_err bh_notice_send(struct bh_controld *core, const struct bh_notice *notice);
/* Submits what waits; called at the end of each turn and on each wake. */
void bh_notice_flush(struct bh_controld *core);

/* True for an address that may be a contact: user@host.example, no quotes, ASCII. */
bool bh_contact_valid(struct bh_arena *arena, bh_str address);

#endif
