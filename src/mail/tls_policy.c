/* tls_policy.c: see tls_policy.h. */
#include "tls_policy.h"

static const char *const level_names[] = {"opportunistic", "required", "verified"};

const char *bh_tls_level_name(enum bh_tls_level level)
{
    return level_names[level];
}

bool bh_tls_level_parse(bh_str word, enum bh_tls_level *ret_level)
{
    for (int level = BH_TLS_LEVEL_OPPORTUNISTIC; level <= BH_TLS_LEVEL_VERIFIED; level++) {
        if (bh_str_eq(word, bh_str_c(level_names[level]))) {
            *ret_level = (enum bh_tls_level)level;
            return true;
        }
    }
    return false;
}

bool bh_tlsa_is_usable(bh_str rdata)
{
    unsigned usage, selector, matching;
    size_t data;

    if (rdata.n < 4)
        return false;
    usage = (unsigned char)rdata.p[0];
    selector = (unsigned char)rdata.p[1];
    matching = (unsigned char)rdata.p[2];
    data = rdata.n - 3;
    if ((usage != 2 && usage != 3) || selector > 1)
        return false;
    return matching == 0 || (matching == 1 && data == 32) || (matching == 2 && data == 64);
}

static struct bh_tls_plan plan_of(enum bh_tls_step step, enum bh_tls_check check, enum bh_tls_source source)
{
    return (struct bh_tls_plan){.step = step, .check = check, .source = source};
}

static struct bh_tls_plan skip(enum bh_tls_source source, const char *failure, const char *why)
{
    return (struct bh_tls_plan){.step = BH_TLS_SKIP, .source = source, .failure = failure, .why = why};
}

static struct bh_tls_plan by_wish(enum bh_tls_level level)
{
    if (level == BH_TLS_LEVEL_VERIFIED)
        return plan_of(BH_TLS_MUST, BH_TLS_CHECK_NAME, BH_TLS_BY_SENDER);
    if (level == BH_TLS_LEVEL_REQUIRED)
        return plan_of(BH_TLS_MUST, BH_TLS_CHECK_NONE, BH_TLS_BY_SENDER);
    return plan_of(BH_TLS_MAY, BH_TLS_CHECK_NONE, BH_TLS_BY_NOBODY);
}

/* A policy that is only tested changes nothing but what is reported. */
static struct bh_tls_plan by_testing(const struct bh_tls_facts *facts)
{
    struct bh_tls_plan plan = by_wish(facts->level);

    if (plan.check == BH_TLS_CHECK_NONE)
        plan.check = BH_TLS_CHECK_WATCH;
    plan.source = BH_TLS_BY_STS;
    if (!facts->sts_allows)
        plan.failure = "validation-failure";
    return plan;
}

static struct bh_tls_plan decide(const struct bh_tls_facts *facts)
{
    if (facts->never)
        return plan_of(BH_TLS_NEVER, BH_TLS_CHECK_NONE, BH_TLS_BY_NOBODY);
    if (facts->tlsa == BH_TLSA_FAILED)
        return skip(BH_TLS_BY_DANE, "dnssec-invalid", "its TLSA records cannot be looked up securely (DANE)");
    if (facts->tlsa == BH_TLSA_USABLE)
        return plan_of(BH_TLS_MUST, BH_TLS_CHECK_DANE, BH_TLS_BY_DANE);
    /* from here on there is no proof by DANE; who asks for one gets it from the public roots */
    if (facts->sts == BH_STS_ENFORCE)
        return facts->sts_allows ? plan_of(BH_TLS_MUST, BH_TLS_CHECK_NAME, BH_TLS_BY_STS)
                                 : skip(BH_TLS_BY_STS, "validation-failure",
                                        "the domain's MTA-STS policy does not "
                                        "name this host");
    if (facts->tlsa == BH_TLSA_UNUSABLE)
        return plan_of(BH_TLS_MUST, facts->level == BH_TLS_LEVEL_VERIFIED ? BH_TLS_CHECK_NAME : BH_TLS_CHECK_NONE,
                       BH_TLS_BY_DANE);
    return facts->sts == BH_STS_TESTING ? by_testing(facts) : by_wish(facts->level);
}

void bh_tls_plan(const struct bh_tls_facts *facts, struct bh_tls_plan *ret_plan)
{
    *ret_plan = decide(facts);
}

const char *bh_tls_plan_text(const struct bh_tls_plan *plan)
{
    switch (plan->source) {
    case BH_TLS_BY_DANE:
        return plan->check == BH_TLS_CHECK_DANE ? "dane" : "dane-unusable";
    case BH_TLS_BY_STS:
        return plan->step == BH_TLS_MAY ? "mta-sts-testing" : "mta-sts";
    case BH_TLS_BY_SENDER:
        return plan->check == BH_TLS_CHECK_NAME ? "verified" : "required";
    case BH_TLS_BY_NOBODY:
        break;
    }
    return plan->step == BH_TLS_NEVER ? "none" : "opportunistic";
}

const char *bh_tls_failure_type(const struct bh_tls_plan *plan, enum bh_tls_failure failure)
{
    switch (failure) {
    case BH_TLS_FAIL_NOT_OFFERED:
        return "starttls-not-supported";
    case BH_TLS_FAIL_EXPIRED:
        return "certificate-expired";
    case BH_TLS_FAIL_NAME:
        return "certificate-host-mismatch";
    case BH_TLS_FAIL_NOT_TRUSTED:
        return plan->check == BH_TLS_CHECK_DANE ? "validation-failure" : "certificate-not-trusted";
    case BH_TLS_FAIL_OTHER:
        break;
    }
    return "validation-failure";
}
