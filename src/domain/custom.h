/* custom.h: the customer's own records in a zone that he delegated to us: the A record of a web site, a TXT that proves
 * ownership to somebody. We are responsible for everything in the zone, so each is checked against what we publish
 * ourselves, and against the others. */
#ifndef BH_DOMAIN_CUSTOM_H
#define BH_DOMAIN_CUSTOM_H

#include "approach.h"

enum {
    BH_CUSTOM_RECORDS_MAX = 500,
    BH_CUSTOM_RDATA_MAX = 4096,
    BH_CUSTOM_RRSET_MAX = 32 * 1024,  /* of one name and type: more fits no answer (RFC 1035 4.2.2) */
    BH_CUSTOM_BYTES_MAX = 256 * 1024, /* of all */
    BH_CUSTOM_TTL_MIN_S = 30,
    BH_CUSTOM_TTL_MAX_S = 7 * 86400,
    BH_CUSTOM_TEXT_MAX = 1 << 20 /* of a file */
};

/* What is wrong with a record, for people; in the arena. */
struct bh_custom_problem {
    unsigned line; /* of the text; 0: none */
    bh_str why;
};

/* Reads records from the text of a master file (RFC 1035 5); relative names are relative to `apex`. An SOA and NS
 * records at the apex are passed over, so that a file that was exported elsewhere can be read. At most
 * BH_CUSTOM_RECORDS_MAX. BH_E_SYNTAX, BH_E_LIMIT with *ret_problem; BH_E_NOMEM. */
BH_MUST bh_err bh_custom_parse(struct bh_arena *arena, bh_str apex, bh_str text, struct bh_zone_record **ret_records,
                               size_t *ret_count, struct bh_custom_problem *ret_problem);

/* May `record` be added to `zone`, which holds what we publish there, then what the customer has (the records from
 * `own_count` on)? `view` is the domain whose zone it is. True, or false with *ret_why in the arena. */
bool bh_custom_allows(struct bh_arena *arena, const struct bh_domain_view *view, const struct bh_zone *zone,
                      size_t own_count, const struct bh_zone_record *record, bh_str *ret_why);

/* Leaves out of `zone` what the customer has (from `own_count` on) that cannot stand beside what we publish, since ours
 * came to the name after his: a key with an imported selector, the DMARC record of a From name. One such record would
 * keep the whole zone from being built. Returns how many were left out. */
size_t bh_custom_yield(const struct bh_domain *domain, struct bh_zone *zone, size_t own_count);

#endif
