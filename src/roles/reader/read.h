/* read.h: from the bytes of a message that came back to the fields of READ_REPLY. Pure. */
#ifndef BH_ROLES_READER_READ_H
#define BH_ROLES_READER_READ_H

#include "mail/bounce/bounce.h"
#include "roles/messages.h"

enum { BH_READ_RECIPIENTS_MAX = 100, BH_READ_TOKENS_MAX = 16, BH_READ_LIST_BYTES = 512 * 1024 };

/* Any bytes give a reply; its views are of the arena, the message, the rules and the two buffers, which are filled with
 * its lists. BH_E_NOMEM: the arena is exhausted. */
BH_MUST bh_err bh_read_message(struct bh_arena *arena, const struct bh_bounce_rules *rules, bh_str message,
                               struct bh_buf *recipients, struct bh_buf *tokens, struct bh_msg_read_reply *ret_reply);

#endif
