/* phrase.h: many phrases looked for in one text at once, in time linear in the text.
 *
 * All phrases stand in one automaton (Aho and Corasick, 1975) that reads each byte once and never goes back, so no
 * text, however hostile, costs more than its length. A phrase is words with two additions:
 *
 *   mailbox * full            a gap: `*` stands for at most BH_PHRASE_GAP bytes of anything
 *   user (is |)(unknown|gone) a choice; groups may nest, an empty alternative makes its group optional
 *   ~listed by                `~` at an edge: need not begin (or end) at a word's edge
 *
 * Text and phrases are compared as words: letters in lower case (ASCII, Latin-1, Greek, Cyrillic), every run of blanks
 * and punctuation one blank. So "isn't" and "isn’t" are the same, and a line break inside a phrase does not matter. */
#ifndef BH_MAIL_BOUNCE_PHRASE_H
#define BH_MAIL_BOUNCE_PHRASE_H

#include "base/str.h"

enum {
    BH_PHRASE_GAP = 90,
    BH_PHRASE_CHOICES = 1000, /* literals of one phrase */
    BH_PHRASE_STATES = 65535, /* of the automaton */
    BH_PHRASE_VALUES = 65535
};

struct bh_phrases;

/* NULL when out of memory. Owner: the caller, until bh_phrases_free. */
struct bh_phrases *bh_phrases_new(void);
void bh_phrases_free(struct bh_phrases *phrases);
/* Adds a phrase that stands for `value` (several phrases may share one). Not after bh_phrases_build. BH_E_SYNTAX
 * (unbalanced groups, a phrase without a word), BH_E_LIMIT, BH_E_NOMEM. */
BH_MUST bh_err bh_phrases_add(struct bh_phrases *phrases, bh_str phrase, uint16_t value);
/* Makes the automaton; from here on the object is never written again and may be shared. BH_E_LIMIT, BH_E_NOMEM. */
BH_MUST bh_err bh_phrases_build(struct bh_phrases *phrases);

/* What one search needs to write; used again for the next. In the arena; NULL when that is exhausted. */
struct bh_phrase_search;
struct bh_phrase_search *bh_phrase_search_new(struct bh_arena *arena, const struct bh_phrases *phrases);
/* Reads `text`. The values found, each once, in the order in which they were completed; valid until the next search. */
const uint16_t *bh_phrase_search_run(struct bh_phrase_search *search, bh_str text, size_t *ret_count);

#endif
