/* The gate of invariant 4 against hostile facts and From domains. Input: lines of From domain, sending domain, zone
 * apex, bounce domain, DKIM domain, where a DMARC record stands, the record; the first byte holds flags. Whatever they
 * are: without proof nothing departs, and what is open lies at, below, or above within the proven zone. */
#include "mail/identity.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

/* One label is a suffix. */
static bh_str registrable(const struct bh_suffixes *suffixes, bh_str domain)
{
    size_t last = bh_str_rfind(domain, '.');
    bh_str left = bh_str_sub(domain, 0, last);
    size_t dot = bh_str_rfind(left, '.');

    if (last == domain.n)
        return (bh_str){NULL, 0};
    return bh_str_skip(domain, dot == left.n ? 0 : dot + 1);
}

static void check(const struct bh_identity *identity, const struct bh_send_domain *domain,
                  enum bh_identity_moment moment)
{
    must(bh_identity_allows(identity) == (identity->code == 0));
    must(identity->reason.n > 0);
    if (!bh_identity_allows(identity))
        return;
    must(identity->domain == domain);
    must(bh_str_is_at_or_below(identity->header_from, domain->name) ||
         (bh_str_is_at_or_below(domain->name, identity->header_from) && domain->zone_apex.n &&
          bh_str_is_at_or_below(identity->header_from, domain->zone_apex)));
    must(bh_str_find(identity->header_from, '.') < identity->header_from.n);
    if (identity->rule == BH_IDENTITY_OK)
        must(domain->proven != BH_MECH_NONE && domain->can_send &&
             (identity->spf_alignment != BH_DMARC_UNALIGNED || identity->dkim_alignment != BH_DMARC_UNALIGNED));
    else
        must(moment == BH_AT_SUBMISSION && !domain->can_send && domain->accepts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct bh_suffixes_ops ops = {registrable};
    struct bh_suffixes suffixes = {&ops};
    struct bh_arena *arena = bh_arena_new(8 << 20);
    uint8_t flags = size ? data[0] : 0;
    bh_str lines[7], rest = {(const char *)data, size};

    rest = bh_str_skip(rest, 1);
    for (size_t i = 0; i < 7; i++)
        lines[i] = i < 6 ? bh_str_cut(rest, '\n', &rest) : rest;
    struct bh_seen_policy policy = {.at = lines[5], .record = lines[6]};
    struct bh_send_domain domain = {.name = lines[1],
                                    .zone_apex = lines[2],
                                    .accepts = flags & 4,
                                    .can_send = flags & 8,
                                    .proven = (enum bh_mechanism)(flags & 3),
                                    .mail_from_domain = lines[3],
                                    .dkim_domain = lines[4],
                                    .policies = &policy,
                                    .policy_count = 1};
    for (int moment = BH_AT_SUBMISSION; domain.name.n && moment <= BH_AT_DEPARTURE; moment++) {
        struct bh_identity_request request = {.header_from = lines[0],
                                              .domains = &domain,
                                              .domain_count = 1,
                                              .suffixes = &suffixes,
                                              .moment = (enum bh_identity_moment)moment};
        struct bh_identity identity;
        bh_identity_decide(arena, &request, &identity);
        check(&identity, &domain, request.moment);
    }
    bh_arena_free(arena);
    return 0;
}
