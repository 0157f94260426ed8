/* dmarc_destination.c: may reports go to a place outside of the domain that asks for them? (RFC 9990, "Verifying
 * External Destinations"). A function of facts, like the evaluation (dmarc_facts.h). */
#include "dmarc_facts.h"
#include "domain.h"
#include <stdlib.h>

enum { ARENA_MAX = 1 << 20 };

struct bh_dmarc_destination_check {
    struct bh_dmarc_facts facts;
    bh_str policy_domain;
    bh_str host;
    const struct bh_suffixes *suffixes;
    bh_dmarc_destination_done *done;
    void *ctx;
    struct bh_dmarc_destination_outcome out;
};

static bool conclude(struct bh_dmarc_destination_check *check, enum bh_dmarc_destination destination,
                     const char *reason)
{
    check->out.destination = destination;
    check->out.reason = bh_str_c(reason);
    return true;
}

/* False: a fact is wanted. */
static bool find_org(struct bh_dmarc_destination_check *check, bh_str domain, struct bh_dmarc_walk *ret_walk)
{
    bh_str found;

    if (!check->suffixes)
        return bh_dmarc_walk(&check->facts, domain, ret_walk);
    found = check->suffixes->ops->registrable(check->suffixes, domain);
    *ret_walk = (struct bh_dmarc_walk){.org_domain = found.n ? found : domain};
    return true;
}

/* The other side may name other addresses, but only at the same host (step 9). False: one is elsewhere. */
static bool all_at_host(bh_str list, bh_str host)
{
    struct bh_dmarc_uri uri;

    while (bh_dmarc_uri_next(&list, &uri))
        if (!bh_domain_eq(uri.host, host))
            return false;
    return true;
}

static bool judge(struct bh_dmarc_destination_check *check, const struct bh_dmarc_fact *fact)
{
    if (fact->is_failed)
        return conclude(check, BH_DMARC_DESTINATION_TEMPFAIL, "DNS gave no answer for now");
    if (!fact->is_there)
        return conclude(check, BH_DMARC_DESTINATION_REFUSED, "the other side has no record that agrees to it");
    if (!all_at_host(fact->record.rua, check->host) || !all_at_host(fact->record.ruf, check->host))
        return conclude(check, BH_DMARC_DESTINATION_REFUSED, "the other side's record leads to yet another host");
    check->out.override_rua = fact->record.rua;
    check->out.override_ruf = fact->record.ruf;
    return conclude(check, BH_DMARC_DESTINATION_AUTHORIZED, "the other side's record agrees to it");
}

static bool evaluate(void *ctx)
{
    struct bh_dmarc_destination_check *check = ctx;
    const struct bh_dmarc_fact *fact;
    struct bh_dmarc_walk own;
    struct bh_dmarc_walk other;

    if (!check->host.n || !check->policy_domain.n)
        return conclude(check, BH_DMARC_DESTINATION_REFUSED, "not a URI with a host, or not a domain name");
    if (!find_org(check, check->policy_domain, &own) || !find_org(check, check->host, &other))
        return false;
    if (own.is_uncertain || other.is_uncertain)
        return conclude(check, BH_DMARC_DESTINATION_TEMPFAIL, "DNS gave no answer for now");
    if (bh_str_eq(own.org_domain, other.org_domain))
        return conclude(check, BH_DMARC_DESTINATION_OWN, "the same organisational domain");
    if (!bh_domain_valid(check->out.question))
        return conclude(check, BH_DMARC_DESTINATION_REFUSED, "the name that would prove it is too long for DNS");
    fact = bh_dmarc_fact(&check->facts, BH_DMARC_FACT_REPORT, check->out.question);
    return fact && judge(check, fact);
}

static void destroy(struct bh_dmarc_destination_check *check)
{
    bh_arena_free(check->facts.arena);
    free(check);
}

static void finish(void *ctx)
{
    struct bh_dmarc_destination_check *check = ctx;

    check->done(check->ctx, &check->out);
    destroy(check);
}

bh_err bh_dmarc_destination_check(struct bh_resolver *resolver, bh_str policy_domain, bh_str uri,
                                  const struct bh_suffixes *suffixes, bh_dmarc_destination_done *done, void *ctx,
                                  struct bh_dmarc_destination_check **ret_check)
{
    struct bh_dmarc_destination_check *check = calloc(1, sizeof(*check));
    struct bh_dmarc_uri parsed;

    if (!check)
        return BH_E_NOMEM;
    check->facts = (struct bh_dmarc_facts){
        .arena = bh_arena_new(ARENA_MAX), .resolver = resolver, .evaluate = evaluate, .finish = finish, .ctx = check};
    if (!check->facts.arena) {
        free(check);
        return BH_E_NOMEM;
    }
    check->suffixes = suffixes;
    check->done = done;
    check->ctx = ctx;
    check->policy_domain = bh_dmarc_name(check->facts.arena, policy_domain);
    if (bh_dmarc_uri_next(&uri, &parsed))
        check->host = bh_dmarc_name(check->facts.arena, parsed.host);
    check->out.host = check->host;
    check->out.question = bh_arena_printf(check->facts.arena, "%.*s._report._dmarc.%.*s", BH_FMT(check->policy_domain),
                                          BH_FMT(check->host));
    *ret_check = NULL;
    if (bh_dmarc_facts_run(&check->facts))
        *ret_check = check;
    return BH_OK;
}

void bh_dmarc_destination_cancel(struct bh_dmarc_destination_check *check)
{
    if (!check)
        return;
    bh_dmarc_facts_cancel(&check->facts);
    destroy(check);
}
