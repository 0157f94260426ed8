/* reports.c: no sending: one DMARC record with our reporting address, so that the owner learns who sends in his name.
 *
 * A record that exists is kept, with our rua added to its destinations. That our address may be asked for is said at
 * <domain>._report._dmarc.rua.<platform>, which zones.c publishes for our domains and nobody else (RFC 9990 4). */
#include "domain/approach.h"

static void reports_records(const struct bh_platform *platform, const struct bh_domain_view *view,
                            struct bh_record_list *list)
{
    const struct bh_domain *domain = &view->domain;

    bh_record_list_add(list, (struct bh_required_record){
                                 .purpose = BH_PURPOSE_DMARC,
                                 .match = BH_MATCH_RUA,
                                 .type = BH_DNS_TXT,
                                 .name = bh_arena_printf(list->arena, "_dmarc.%.*s", BH_FMT(domain->name)),
                                 .value = bh_dmarc_proposal(list->arena, platform, view, domain->name),
                                 .ttl_s = 3600,
                                 .required = true,
                                 .why = "Sends us the reports of receivers about mail in your name. If there is a "
                                        "record already, change it to this: all that it says is kept."});
}

static void reports_identity(struct bh_arena *arena, const struct bh_platform *platform,
                             const struct bh_domain_view *view, struct bh_planned_identity *ret_identity)
{
    (void)arena, (void)platform;
    ret_identity->mail_from_domain = ret_identity->dkim_domain = view->domain.name;
}

static bh_str reports_edited_at(const struct bh_domain *domain)
{
    return domain->name;
}

static const char *reports_drawback(const struct bh_domain *domain)
{
    (void)domain;
    return "Nothing can be sent in the name of this domain: add it by another approach for that.";
}

const struct bh_approach_ops bh_approach_reports = {
    .id = BH_APPROACH_REPORTS,
    .name = "reports",
    .summary = "no sending: DMARC reports about the domain come to us",
    .asks = "One DMARC record, or one address added to it.",
    .costs_us = "Reports are read; no mail is sent.",
    .records = reports_records,
    .identity = reports_identity,
    .edited_at = reports_edited_at,
    .drawback = reports_drawback,
    .open_to_customers = true,
};
