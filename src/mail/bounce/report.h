/* report.h: delivery status notifications for machines (RFC 3464; RFC 6522, RFC 6533 for UTF-8 addresses).
 *
 * Read in the forms that servers really write: groups without empty lines between them, recipients' fields among those
 * of the message, blanks before colons, comments behind values, fields in any order, words for people in between. */
#ifndef BH_MAIL_BOUNCE_REPORT_H
#define BH_MAIL_BOUNCE_REPORT_H

#include "base/str.h"

enum bh_report_action {
    BH_ACTION_NONE,
    BH_ACTION_FAILED,
    BH_ACTION_DELAYED,
    BH_ACTION_DELIVERED,
    BH_ACTION_RELAYED,
    BH_ACTION_EXPANDED
};
/* "failed"; "" for none. Static. */
const char *bh_report_action_text(enum bh_report_action action);

struct bh_report_recipient {
    bh_str final;    /* Final-Recipient's address, empty where it is none */
    bh_str original; /* Original-Recipient's */
    enum bh_report_action action;
    bh_str status;     /* "5.1.1", comments cut off; empty where there is none */
    bh_str diagnostic; /* Diagnostic-Code without its type, unfolded */
    bh_str remote_mta; /* a name or an address */
};

struct bh_report {
    bh_str reporting_mta;
    bh_str envelope_id; /* Original-Envelope-Id */
    bh_str sender;      /* X-Postfix-Sender and its like: the envelope's sender */
    struct bh_report_recipient *recipients;
    size_t count;
    bool cut; /* more recipients than the caller's maximum */
};

/* Reads `text` (lines end with LF), at most `max` recipients; values are in the arena or views of the text. BH_E_NOMEM.
 */
BH_MUST bh_err bh_report_read(struct bh_arena *arena, bh_str text, size_t max, struct bh_report *ret_report);
/* True where `line` begins a field that only a report has: a report among words for people. */
bool bh_report_begins(bh_str line);
/* The address in "rfc822; <a@b>", "utf-8; …" (RFC 6533 3: \x{…} becomes the letter), or empty. */
bh_err bh_report_address(struct bh_arena *arena, bh_str value, bh_str *ret_address);

#endif
