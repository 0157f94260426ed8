/* html_text.h: the words of an HTML page, for notices that have no plain text. No parser of HTML: tags go, what breaks
 * a line breaks one, style and script are left out, the few entities that matter are read. One pass. */
#ifndef BH_MAIL_BOUNCE_HTML_TEXT_H
#define BH_MAIL_BOUNCE_HTML_TEXT_H

#include "base/buf.h"

/* Appends to `out`; what does not fit is dropped. BH_E_NOMEM. */
BH_MUST bh_err bh_html_text(struct bh_buf *out, bh_str html);

#endif
