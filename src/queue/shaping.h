/* shaping.h: how destinations want to be treated, as data: data/shaping.rules, which the library holds, and what the
 * operator says differently. One line, one fact; `#` starts a comment:
 *
 *     site NAME [.SUFFIX …]            what follows is about this site; the hosts of mail exchangers that belong to it.
 *                                      "*" is every site that says nothing else
 *       connections N                  at once, per sender process
 *       messages-per-connection N
 *       start N    in-hand N           deliveries at once from one address: while nothing is known, and at most
 *       rate N/DURATION                deliveries per time from one address
 *       failures N                     in a row, before a pause
 *       pause FIRST MOST               DURATIONs; each pause is twice the one before
 *       on CODE ["WORDS"] slow DURATION       half the window, which does not grow for so long
 *       on CODE ["WORDS"] suspend DURATION    nothing for so long, then one
 *     plan NAME                        what follows is a plan to warm up a new address
 *       SITE N N N …                   deliveries on the first, second, third … day; "*" any other site
 *     reply CLASS CODE ["WORDS"]       a reply of this kind …
 *     retry CLASS FIRST MOST PERCENT   … is followed by this schedule
 *
 * CODE is 421, 45x, 4xx, or an enhanced code 4.7.28, 4.7.x; WORDS are looked for without case. The first line that
 * applies decides, a site's own before those of "*". DURATION: 90s, 15m, 12h, 1d. A later block of the same name
 * changes what it names and adds its `on` lines in front. */
#ifndef BH_QUEUE_SHAPING_H
#define BH_QUEUE_SHAPING_H

#include "queue.h"
#include "retry.h"

enum { BH_SHAPING_NAME_MAX = 64, BH_SHAPING_TEXT_MAX = 1 << 20 };

struct bh_shaping;

struct bh_shaping_problem {
    size_t line; /* from 1 */
    const char *why;
};

/* The rules that come with the library. BH_E_NOMEM. The caller owns the result. */
BH_MUST bh_err bh_shaping_new(struct bh_shaping **ret_shaping);
void bh_shaping_free(struct bh_shaping *shaping);
/* Reads more rules; the text is copied. BH_E_SYNTAX with *ret_problem: what stood before the line holds. BH_E_LIMIT,
 * BH_E_NOMEM. */
BH_MUST bh_err bh_shaping_add(struct bh_shaping *shaping, bh_str text, struct bh_shaping_problem *ret_problem);

/* The site of a set of mail exchangers, given as host names separated by spaces: the one whose suffixes hold them all,
 * else the sorted set itself, shortened to fit. Writes at most BH_QUEUE_ROUTE_MAX bytes; returns the length, 0 for an
 * empty set. */
size_t bh_shaping_site(const struct bh_shaping *shaping, bh_str hosts, char *site);
/* Fills in what the rules say about a site, over what stands there. */
void bh_shaping_shape(const struct bh_shaping *shaping, bh_str site, struct bh_shape *shape);

enum bh_advice { BH_ADVICE_NONE, BH_ADVICE_SLOW, BH_ADVICE_SUSPEND };
struct bh_reply_facts {
    uint16_t code;   /* 0: there was none */
    bh_str enhanced; /* "4.7.28", or empty */
    bh_str text;
};
enum bh_advice bh_shaping_advise(const struct bh_shaping *shaping, bh_str site, const struct bh_reply_facts *reply,
                                 int64_t *ret_for_ms);
/* The class of a reply, or empty. The view is the rules'. */
bh_str bh_shaping_class(const struct bh_shaping *shaping, const struct bh_reply_facts *reply);
/* Changes first, most and growth of `policy` if there is a schedule for the class. */
bool bh_shaping_retry(const struct bh_shaping *shaping, bh_str class, struct bh_retry_policy *policy);

bool bh_shaping_has_plan(const struct bh_shaping *shaping, bh_str plan);
/* How many deliveries the plan allows on a day, from 1; UINT64_MAX: it is over, or says nothing. */
uint64_t bh_shaping_plan_day(const struct bh_shaping *shaping, bh_str plan, bh_str site, uint32_t day);

/* For showing: site names with rules of their own, plans. Views of the rules; false beyond the last. */
bool bh_shaping_site_at(const struct bh_shaping *shaping, size_t i, bh_str *ret_site);
bool bh_shaping_plan_at(const struct bh_shaping *shaping, size_t i, bh_str *ret_plan);

#endif
