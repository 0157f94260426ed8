/* tool_verdicts.h: SPF's and DMARC's verdicts as the tools print them; `behalf verify` has them as members. */
#ifndef BH_CLI_TOOL_VERDICTS_H
#define BH_CLI_TOOL_VERDICTS_H

#include "cli.h"
#include <behalf/dmarc.h>

/* result, explanation, domain, identity, reason, mechanism, terms, void_lookups, queries, trace. */
json_t *bh_tool_spf_json(const struct bh_spf_outcome *outcome);
/* result, policy, record_domain, org_domain, alignment {spf, dkim}, disposition, and what explains them; `psl` and
 * `differences` where both modes were asked for. */
json_t *bh_tool_dmarc_json(const struct bh_dmarc_outcome *outcome);

#endif
