/* returned.h: our own marks in the header of a message that came back. */
#ifndef BH_MAIL_BOUNCE_RETURNED_H
#define BH_MAIL_BOUNCE_RETURNED_H

#include "bounce.h"

struct bh_returned {
    bh_str to;      /* the first address of To, or what a feedback loop writes in its place */
    bool junk_mark; /* Microsoft's JMRP was here */
};

/* Reads `header` (a header block, or a message) into the marks of *bounce. BH_E_NOMEM. */
BH_MUST bh_err bh_returned_read(struct bh_arena *arena, bh_str header, struct bh_bounce *bounce,
                                struct bh_returned *ret_returned);
/* Adds an envelope sender, once. */
void bh_returned_add_sender(struct bh_bounce *bounce, bh_str address);

#endif
