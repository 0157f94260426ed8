/* zone.h: for the tests of libbehalf: a zone-file resolver, and one that answers later and when told to. */
#ifndef BH_TESTS_AUTH_ZONE_H
#define BH_TESTS_AUTH_ZONE_H

#include "unit.h"
#include <behalf/zonefile_resolver.h>
#include <stdlib.h>

static inline struct bh_zonefile_resolver *zone(const char *text)
{
    struct bh_zonefile_resolver *resolver = NULL;
    unsigned line = 0;
    const char *why = "";

    if (bh_zonefile_resolver_new(bh_str_c(text), &resolver, &line, &why))
        fail_msg("line %u: %s", line, why);
    return resolver;
}

/* Holds each question back until late_answer. */
struct bh_dns_query {
    bh_dns_done *done;
    void *ctx;
    uint16_t type;
    char name[1024];
};

struct late_resolver {
    struct bh_resolver base;
    struct bh_resolver *source;
    struct bh_dns_query *waiting; /* one at a time is enough here */
    unsigned cancelled;
};

static bh_err late_lookup(struct bh_resolver *base, bh_str name, uint16_t type, bh_dns_done *done, void *ctx,
                          struct bh_dns_query **ret_query)
{
    struct late_resolver *late = (struct late_resolver *)(void *)base;
    struct bh_dns_query *query = calloc(1, sizeof(*query));

    assert_non_null(query);
    assert_null(late->waiting);
    query->done = done;
    query->ctx = ctx;
    query->type = type;
    assert_ok(bh_str_to_c(name, query->name, sizeof(query->name)));
    *ret_query = late->waiting = query;
    return BH_OK;
}

static void late_cancel(struct bh_resolver *base, struct bh_dns_query *query)
{
    struct late_resolver *late = (struct late_resolver *)(void *)base;

    assert_ptr_equal(late->waiting, query);
    late->waiting = NULL;
    late->cancelled++;
    free(query);
}

static const struct bh_resolver_ops late_ops = {late_lookup, late_cancel};

/* Answers what waits; false when nothing does. */
static inline bool late_answer(struct late_resolver *late)
{
    struct bh_dns_query *query = late->waiting;
    struct bh_dns_query *none;

    if (!query)
        return false;
    late->waiting = NULL;
    assert_ok(
        late->source->ops->lookup(late->source, bh_str_c(query->name), query->type, query->done, query->ctx, &none));
    free(query);
    return true;
}

#endif
