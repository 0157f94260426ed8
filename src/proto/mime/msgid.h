/* msgid.h: message identifiers: Message-ID, In-Reply-To, References (RFC 5322 3.6.4). */
#ifndef BH_PROTO_MIME_MSGID_H
#define BH_PROTO_MIME_MSGID_H

#include "base/str.h"

/* The next identifier in `*rest`, without its <>; what stands between them is skipped. A value without any < gives
 * itself, trimmed, once (some write no brackets). Views of the input. BH_MORE, or BH_DONE. */
BH_MUST bh_err bh_msgid_next(bh_str *rest, bh_str *ret_id);

#endif
