/* check_internal.h: what check.c and mistakes.c share; private to this folder. */
#ifndef BH_DOMAIN_CHECK_INTERNAL_H
#define BH_DOMAIN_CHECK_INTERNAL_H

#include "check.h"

struct bh_check_context {
    struct bh_arena *arena;
    const struct bh_platform *platform;
    const struct bh_domain_view *view;
    const struct bh_seen *seen;
    size_t seen_count;
    bh_str apex; /* of the zone that the customer edits; empty = not known */
    const struct bh_record_list *records;
};

/* Where the first byte is that stands in no key record; text.n where there is none. */
size_t bh_strange_byte(bh_str text);
/* Where a record of `domain` lands when it is entered for another name: below www, and at the organisational domain.
 * Returns how many of `ret_names` are written. */
enum { BH_WRONG_PARENTS = 2 };
size_t bh_wrong_parents(struct bh_arena *arena, bh_str name, bh_str domain, bh_str *ret_names);
/* The name that a receiver looks up; empty where that mechanism cannot align; p == NULL without memory. */
bh_str bh_check_proof_name(struct bh_arena *arena, const struct bh_platform *platform,
                           const struct bh_domain_view *view, int proof);
/* True when another required record at the same name has this value. */
bool bh_check_is_asked_for(const struct bh_check_context *context, const struct bh_required_record *record,
                           bh_str value);

/* Each fills check->problem: what is wrong, in a sentence, and what to do. */
void bh_mistake_unknown(struct bh_check_context *context, const struct bh_required_record *record,
                        const struct bh_seen *seen, struct bh_record_check *check);
void bh_mistake_missing(struct bh_check_context *context, const struct bh_required_record *record,
                        struct bh_record_check *check);
void bh_mistake_some_servers(struct bh_check_context *context, const struct bh_required_record *record,
                             const struct bh_seen *seen, struct bh_record_check *check);
void bh_mistake_wrong_target(struct bh_check_context *context, const struct bh_required_record *record,
                             const struct bh_seen *seen, struct bh_record_check *check);
void bh_mistake_partial(struct bh_check_context *context, const struct bh_required_record *record,
                        struct bh_record_check *check);
void bh_mistake_stale(struct bh_check_context *context, struct bh_record_check *check);
void bh_mistake_strangers(struct bh_check_context *context, const struct bh_required_record *record,
                          struct bh_record_check *check);
void bh_mistake_key(struct bh_check_context *context, const struct bh_required_record *record, size_t keys, bh_str ours,
                    bh_str theirs, bool damaged, struct bh_record_check *check);
void bh_mistake_spf(struct bh_check_context *context, const struct bh_required_record *record, size_t found, bh_str spf,
                    bh_str include, struct bh_record_check *check);
void bh_mistake_no_rua(struct bh_check_context *context, const struct bh_required_record *record,
                       struct bh_record_check *check);
void bh_mistake_dmarc(struct bh_check_context *context, const struct bh_required_record *record, bool several,
                      struct bh_record_check *check);

/* problems.c: further questions of round 1, and the problems of the domain as a whole, into result->problems. */
void bh_problem_questions(struct bh_check_context *context, const struct bh_check_result *result,
                          void (*ask)(void *ctx, bh_str name, uint16_t type), void *ctx);
void bh_check_problems(struct bh_check_context *context, struct bh_check_result *result);

#endif
