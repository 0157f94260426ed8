/* tags.h: the "n=v; n=v" lists of DKIM, ARC, key records and DMARC (RFC 6376 3.2).
 *
 * Views point into the input. FWS is taken as any run of SP, HTAB, CR, LF, since the field it comes from is folded
 * by construction. Bytes from 128 up are allowed in values (RFC 8616, RFC 6532), control bytes nowhere. */
#ifndef BH_AUTH_TAGS_H
#define BH_AUTH_TAGS_H

#include "base/cur.h"

struct bh_tag {
    bh_str name;  /* letter, then letters, digits, '_'; case matters */
    bh_str value; /* without blanks at its ends; may be empty */
    bh_str raw;   /* all between '=' and the ';' or the end: what is cut out of a "b=" before hashing */
};

/* Read the next tag at `cur`. BH_MORE with *ret_tag written; BH_DONE at the end (one ';' may end the list);
 * BH_E_SYNTAX at anything else, and then again. An empty list is BH_DONE at once. */
BH_MUST bh_err bh_tag_next(struct bh_cur *cur, struct bh_tag *ret_tag);

/* The whole list into tags[max]. BH_E_SYNTAX also for a name that comes twice (the list is invalid then, as RFC 6376
 * 3.2 has it), BH_E_LIMIT for more than `max`. Quadratic in `max` alone: keep it small. */
BH_MUST bh_err bh_tag_list_read(bh_str list, struct bh_tag *tags, size_t max, size_t *ret_count);

/* The tag called `name`, or NULL. */
const struct bh_tag *bh_tag_find(const struct bh_tag *tags, size_t count, const char *name);

/* The next item of a value such as "y : s" cut at `sep`, blanks trimmed. `*rest` starts as the value and ends with
 * p == NULL, where false is returned. An empty value has one empty item. */
bool bh_tag_item(bh_str *rest, char sep, bh_str *ret_item);

#endif
