/* key_proof.h: which questions tell that every receiver will find a key's record, and what their answers mean. The
 * record itself is asked for where it stands, and the customer's CNAME to it where there is one: both of every
 * authoritative server, directly, so that nobody's cache learns of a name before its time. */
#ifndef BH_DOMAIN_KEY_PROOF_H
#define BH_DOMAIN_KEY_PROOF_H

#include "check.h"

/* At most BH_KEY_QUESTIONS_MAX, in the arena. */
enum { BH_KEY_QUESTIONS_MAX = 2 };
BH_MUST bh_err bh_key_questions(struct bh_arena *arena, const struct bh_platform *platform,
                                const struct bh_domain_view *view, const struct bh_key *key,
                                struct bh_check_question ret_questions[BH_KEY_QUESTIONS_MAX], size_t *ret_count);

/* 1: every server has the record (seen[i] answers question i); -1: some server has not; 0: not known. `ret_why` (may be
 * NULL): for people, where it is not 1. */
int bh_key_proof(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_domain_view *view,
                 const struct bh_key *key, const struct bh_seen *seen, size_t count, bh_str *ret_why);

#endif
