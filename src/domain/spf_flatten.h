/* spf_flatten.h: an SPF record with all that it includes as one list of networks, behind one `include:` of ours.
 *
 *   owner:  v=spf1 include:a.example mx include:b.example -all        (17 look-ups)
 *   he publishes instead:   v=spf1 include:<label>.<zone> -all         (1 or a few)
 *   we publish:             v=spf1 ip4:… ip6:… ?all                    and refresh it within the sources' TTL
 *
 * The result is the same for every address (RFC 7208): qualifiers inside an include, `redirect=`, `all` and first-match
 * order are computed, not copied. What depends on more than the address (exists, ptr, macros) or has another qualifier
 * than pass at the top is kept as a term, in its place where order matters; a domain that a term left unsaid is written
 * into it. What cannot be kept honestly either is refused with the reason.
 *
 * Pure: the caller hands over the answers that are known and gets back the questions that are missing; with none
 * missing there is a result or a problem. An answer that could not be had now may be an old one, marked so. */
#ifndef BH_DOMAIN_SPF_FLATTEN_H
#define BH_DOMAIN_SPF_FLATTEN_H

#include "networks.h"
#include "spf_compose.h"
#include <behalf/resolver.h>

enum {
    BH_FLAT_QUESTIONS_MAX = 400,
    BH_FLAT_NETWORKS_MAX = 4000,
    BH_FLAT_DEPTH_MAX = 12,
    BH_FLAT_KEPT_MAX = 16,
    BH_FLAT_SEGMENTS_MAX = 3,
    BH_FLAT_TEXTS_MAX = BH_FLAT_SEGMENTS_MAX * (1 + BH_SPF_PARTS_MAX)
};

struct bh_flat_answer {
    bh_str name;
    uint16_t type;
    enum bh_dns_status status;
    uint32_t ttl_s;
    const bh_str *rdatas; /* wire form */
    size_t count;
    bh_time_ms good_at; /* when it was had; older than the rest where the source fails now */
    bool is_old;        /* asked again, without success */
};

struct bh_flat_question {
    bh_str name;
    uint16_t type;
};

struct bh_flat_request {
    bh_str domain;         /* whose record it is: what %{d}, a, mx without a name mean */
    bh_str record;         /* its text */
    const bh_str *sources; /* further senders as terms: "include:_spf.lists.example", "ip4:192.0.2.0/24" */
    size_t source_count;
    bh_str label, zone; /* the names we publish: <label>.<zone>, <label>-1.<zone> … */
    const struct bh_flat_answer *answers;
    size_t answer_count;
};

/* A term that stays a term, and why. */
struct bh_flat_kept {
    bh_str term;
    const char *why; /* static */
};

struct bh_flat_result {
    struct bh_flat_question *questions; /* not answered yet; while there are any, nothing below holds */
    size_t question_count;
    bh_str problem; /* why there is no result; empty = there is one */
    struct bh_spf_text texts[BH_FLAT_TEXTS_MAX];
    size_t text_count;
    bh_str owner_record; /* what the owner publishes */
    struct bh_flat_kept kept[BH_FLAT_KEPT_MAX];
    size_t kept_count;
    unsigned lookups_before, lookups_after;
    unsigned dead; /* terms that lead to no address */
    size_t networks;
    uint32_t ttl_s;       /* the smallest of all answers */
    bh_time_ms oldest_at; /* good_at of the oldest answer; 0 = no answer was needed */
    unsigned old_answers; /* in use for want of new ones */
};

/* Everything in the arena. BH_E_NOMEM; all else is in the result. */
BH_MUST bh_err bh_spf_flatten(struct bh_arena *arena, const struct bh_flat_request *request,
                              struct bh_flat_result *ret_result);
/* A term that may be added as a source: ip4, ip6, a, mx, include with a name and without macros. BH_E_SYNTAX. */
BH_MUST bh_err bh_flat_source_check(bh_str term);

#endif
