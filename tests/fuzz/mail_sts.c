/* Any bytes are a policy of MTA-STS or its record: what is read holds to its bounds, and a pattern never lets another
 * host in than the one that it names. */
#include "mail/mta_sts.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct bh_sts_policy *policy)
{
    if (policy->mx_count > BH_STS_MX_MAX || policy->max_age_s > BH_STS_AGE_MAX_S)
        abort();
    if (policy->mode != BH_STS_NONE && !policy->mx_count)
        abort();
    if (bh_sts_policy_allows(policy, BH_STR("")))
        abort();
    for (size_t i = 0; i < policy->mx_count; i++)
        (void)bh_sts_policy_allows(policy, policy->mx[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bh_str input = bh_str_of((const char *)data, size), id;
    struct bh_sts_policy policy;

    if (bh_sts_policy_read(input, &policy) == BH_OK)
        check(&policy);
    if (bh_sts_record_read(input, &id) && (id.n == 0 || id.n > BH_STS_ID_MAX))
        abort();
    return 0;
}
