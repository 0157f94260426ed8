/* wishes.h: what a submitter says about a message in fields of the message itself.
 *
 *   Behalf-Stream: NAME        the kind of mail: what a recipient unsubscribes from, and what is counted together; up
 * to BH_STREAM_MAX letters, digits, '.', '_', '-' Behalf-Unsubscribe: yes    we add List-Unsubscribe with an address of
 * ours, in place of the message's own
 *
 * They do not leave with the message (prepare.h). */
#ifndef BH_MAIL_WISHES_H
#define BH_MAIL_WISHES_H

#include "base/str.h"

enum { BH_STREAM_MAX = 64 };

struct bh_wishes {
    bh_str stream; /* view of the header; empty = none */
    bool unsubscribe;
};

/* Reads the header block at the start of `message`. BH_E_INVALID: one of them makes no sense; BH_E_LIMIT: a header
 * beyond what is ever accepted. */
BH_MUST bh_err bh_wishes_read(bh_str message, struct bh_wishes *ret_wishes);
/* Is it one of the fields above? */
bool bh_wishes_is_field(bh_str name);

#endif
