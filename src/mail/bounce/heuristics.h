/* heuristics.h: notices without a report, read by their form: where the words end and the returned message begins, and
 * which addresses the words are about. No server's wording is known here; those are rules (classify.h). Linear in the
 * text. */
#ifndef BH_MAIL_BOUNCE_HEURISTICS_H
#define BH_MAIL_BOUNCE_HEURISTICS_H

#include "base/str.h"

struct bh_text_parts {
    bh_str words;    /* up to the report or the returned message */
    bh_str report;   /* RFC 3464 fields among the words; empty where there are none */
    bh_str returned; /* from the first header field of the returned message on; empty where there is none */
    bool feedback;   /* the words begin a feedback report (RFC 5965) in plain text */
};
/* Cuts a notice's text (lines end with LF) into its parts; a text that is quoted throughout loses its quote marks, for
 * which the arena is used. BH_E_NOMEM. */
BH_MUST bh_err bh_text_split(struct bh_arena *arena, bh_str text, struct bh_text_parts *ret_parts);

struct bh_hint {
    bh_str address;
    bh_str words; /* from the address's line to the next hint's */
};
struct bh_hints {
    struct bh_hint *items;
    size_t count;
};
struct bh_hint_context {
    bh_str sender;        /* who gets the notice: not the one that failed */
    bh_str notifier;      /* who sent it */
    const bh_str *failed; /* known to have failed (X-Failed-Recipients); then only their words are looked for */
    size_t failed_count;
};
/* The addresses that `words` say failed, in order, each once, at most `max`. BH_E_NOMEM. */
BH_MUST bh_err bh_hints_find(struct bh_arena *arena, bh_str words, const struct bh_hint_context *context, size_t max,
                             struct bh_hints *ret_hints);

/* The next address-like word in *rest, without brackets; *ret_before: what stands before it. False at the end. Only
 * ASCII, except inside <>. */
bool bh_next_address(bh_str *rest, bh_str *ret_before, bh_str *ret_address);

#endif
