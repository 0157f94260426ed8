/* relay.c: mail leaves through the customer's own SMTP relay, or through a user's mailbox with that user's credentials.
 *
 * Neither shows in DNS: whether the relay signs, what it does to our signature and to the envelope sender, is proven by
 * a probe that comes back to us through it (struct bh_probe_proof, one row per domain). So no record is required, the
 * state is pending until a probe proved that DMARC passes, and a probe that fails degrades as a lost record does. */
#include "domain/approach.h"

static void relay_records(const struct bh_platform *platform, const struct bh_domain_view *view,
                          struct bh_record_list *list)
{
    bh_propose_dmarc(list, platform, view);
}

static void relay_identity(struct bh_arena *arena, const struct bh_platform *platform,
                           const struct bh_domain_view *view, struct bh_planned_identity *ret_identity)
{
    (void)arena, (void)platform;
    ret_identity->mail_from_domain = ret_identity->dkim_domain = view->domain.name;
}

static bh_str relay_edited_at(const struct bh_domain *domain)
{
    return domain->name;
}

static const char *relay_drawback(const struct bh_domain *domain)
{
    return domain->approach == BH_APPROACH_RELAY
               ? "Sending opens when a message through your relay was proven to pass DMARC, and depends on the relay: "
                 "its limits, its queue and its signatures."
               : "Sending opens when a message through the mailbox was proven to pass DMARC, and stops when its "
                 "password changes; providers limit how much a mailbox may send.";
}

const struct bh_approach_ops bh_approach_relay = {
    .id = BH_APPROACH_RELAY,
    .name = "relay",
    .summary = "mail leaves through the customer's own SMTP relay",
    .asks = "An account at his relay for us, and what the relay itself asks.",
    .costs_us = "Each message takes his relay's way, and a probe has to prove what it does.",
    .records = relay_records,
    .identity = relay_identity,
    .edited_at = relay_edited_at,
    .drawback = relay_drawback,
    .sends = true,
    .proven_by_probe = true,
    .open_to_customers = true,
};

const struct bh_approach_ops bh_approach_credentials = {
    .id = BH_APPROACH_CREDENTIALS,
    .name = "credentials",
    .summary = "mail leaves through a user's mailbox, with that user's credentials",
    .asks = "A login of one of his users, or his consent (OAuth2).",
    .costs_us = "His provider's limits apply, and a probe has to prove what it does.",
    .records = relay_records,
    .identity = relay_identity,
    .edited_at = relay_edited_at,
    .drawback = relay_drawback,
    .sends = true,
    .proven_by_probe = true,
    .open_to_customers = true,
};
