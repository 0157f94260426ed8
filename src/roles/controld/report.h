/* report.h: domains, records and checks as JSON, one shape for the CLI, the API and the stored report. */
#ifndef BH_CONTROLD_REPORT_H
#define BH_CONTROLD_REPORT_H

#include "core.h"
#include "domain/check.h"

/* The records with what the check found, as JSON text in the arena; "{}" when out of memory. */
bh_str bh_report_of_check(struct bh_arena *arena, const struct bh_domain_view *view,
                          const struct bh_check_result *result);

/* New references; NULL when out of memory. */
json_t *bh_json_str(bh_str text);    /* bytes that are no UTF-8 become '?' */
json_t *bh_json_time(bh_time_ms at); /* RFC 3339; null for 0 */
json_t *bh_json_domain(const struct bh_domain *domain);
json_t *bh_json_keys(const struct bh_domain_view *view);
/* The records of a view as they are now, each with what the stored `report` (may be NULL) says about it. */
json_t *bh_json_records(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain_view *view,
                        const json_t *report);

#endif
