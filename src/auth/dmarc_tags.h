/* dmarc_tags.h: the pieces of a DMARC record, for its parser and its linter. Unlike DKIM's lists (tags.h) a broken
 * piece spoils nothing but itself. */
#ifndef BH_AUTH_DMARC_TAGS_H
#define BH_AUTH_DMARC_TAGS_H

#include "base/str.h"
#include <behalf/dmarc.h>

struct bh_dmarc_tag {
    bh_str text;    /* all of it, trimmed */
    bh_str name;    /* trimmed, as written */
    bh_str value;   /* trimmed */
    bool has_value; /* there was a '=' */
};

/* The next piece between semicolons, an empty one behind a final semicolon included. `*rest` starts as the record. */
bool bh_dmarc_tag_next(bh_str *rest, struct bh_dmarc_tag *ret_tag);
/* "0:d" to bits. BH_E_SYNTAX. */
BH_MUST bh_err bh_dmarc_fo_parse(bh_str value, uint8_t *ret_fo);
/* One URI. BH_E_SYNTAX. */
BH_MUST bh_err bh_dmarc_uri_parse(bh_str text, struct bh_dmarc_uri *ret_uri);

#endif
