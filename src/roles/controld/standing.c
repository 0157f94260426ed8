/* standing.c: telling people what became of a domain: the log and, where something is asked of them, a notice by mail.
 */
#include "core.h"
#include "notice.h"

static void add_problems(struct bh_buf *text, const struct bh_check_result *result)
{
    if (result->canary_fails)
        bh_buf_add(text,
                   BH_STR("  the messages that it sends to us as a proof do not pass: see behalf domain history\n"));
    for (size_t i = 0; i < result->records.count; i++) {
        const struct bh_record_check *check = &result->checks[i];

        if (!result->records.records[i].required || check->status == BH_RECORD_OK || !check->problem.code)
            continue;
        bh_buf_printf(text, "  %.*s\n", BH_FMT(check->problem.detail));
        if (check->problem.fix.n)
            bh_buf_printf(text, "    to do: %.*s\n", BH_FMT(check->problem.fix));
    }
    for (int i = 0; i < BH_PROOF_COUNT; i++)
        if (result->proofs[i].status != BH_RECORD_OK && result->proofs[i].problem.code)
            bh_buf_printf(text, "  %s: %.*s\n", i == BH_PROOF_DKIM ? "DKIM" : "SPF",
                          BH_FMT(result->proofs[i].problem.detail));
}

static void write_degraded(struct bh_buf *text, const struct bh_controld *core, const struct bh_domain *domain,
                           const struct bh_domain_standing *standing)
{
    if (standing->can_send) {
        bh_buf_printf(text,
                      "Something that %.*s needs is missing in DNS. Mail goes on by %s, with nothing left to fall back "
                      "on.\n",
                      BH_FMT(domain->name), bh_mechanism_name(standing->aligned));
        return;
    }
    bh_buf_printf(
        text,
        "Neither SPF nor DKIM of %.*s can be proven any more, so its mail would fail DMARC. New mail is taken "
        "and waits; if the records are not back within %lld hours, it is returned, and new mail is refused.\n",
        BH_FMT(domain->name), (long long)(core->check_policy.grace_ms / (3600 * 1000)));
}

/* A notice for each step down, and one when it is right again after a step down. */
static const char *subject_of(enum bh_domain_state before, const struct bh_domain_standing *now)
{
    if (now->state == BH_DOMAIN_SUSPENDED)
        return "sending is suspended";
    if (now->state == BH_DOMAIN_DEGRADED)
        return now->can_send ? "a DNS record is missing" : "mail is held: SPF and DKIM are lost";
    if (now->state == BH_DOMAIN_VERIFIED && (before == BH_DOMAIN_DEGRADED || before == BH_DOMAIN_SUSPENDED))
        return "everything is in order again";
    return NULL;
}

static void write_text(struct bh_buf *text, struct bh_controld *core, const struct bh_domain *domain,
                       const struct bh_domain_standing *standing, const struct bh_check_result *result)
{
    if (standing->state == BH_DOMAIN_VERIFIED) {
        bh_buf_printf(text, "All records of %.*s are there. What waited is on its way.\n", BH_FMT(domain->name));
        return;
    }
    if (standing->state == BH_DOMAIN_SUSPENDED)
        bh_buf_printf(text,
                      "The records of %.*s have not come back in time: mail that waited was returned to its senders, "
                      "and new mail is refused until they are there. That is noticed by itself.\n",
                      BH_FMT(domain->name));
    else
        write_degraded(text, core, domain, standing);
    bh_buf_add(text, BH_STR("\nWhat is missing:\n"));
    add_problems(text, result);
    bh_buf_printf(text, "\nbehalf domain check %.*s looks again now.\n", BH_FMT(domain->name));
}

static void notify(struct bh_controld *core, const struct bh_domain *domain, const struct bh_domain_standing *standing,
                   const struct bh_check_result *result, const char *what)
{
    struct bh_buf text = bh_buf_make(16384), subject = bh_buf_make(600);
    bh_err err;

    bh_buf_printf(&subject, "%.*s: %s", BH_FMT(domain->name), what);
    write_text(&text, core, domain, standing, result);
    err = bh_buf_err(&text) ? bh_buf_err(&text) : bh_buf_err(&subject);
    if (!err)
        err = bh_notice_send(core, &(struct bh_notice){.kind = standing->state == BH_DOMAIN_SUSPENDED  ? "suspended"
                                                               : standing->state == BH_DOMAIN_VERIFIED ? "restored"
                                                               : standing->can_send                    ? "degraded"
                                                                                                       : "held",
                                                       .customer = domain->customer_id,
                                                       .about = domain->name,
                                                       .subject = bh_buf_view(&subject),
                                                       .text = bh_buf_view(&text)});
    if (err)
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot write a notice", domain->name);
    bh_buf_free(&text);
    bh_buf_free(&subject);
}

static enum bh_event_kind event_of(enum bh_domain_state before, enum bh_domain_state now)
{
    switch (now) {
    case BH_DOMAIN_VERIFIED:
        return before == BH_DOMAIN_DEGRADED || before == BH_DOMAIN_SUSPENDED ? BH_EVENT_DOMAIN_RESTORED
                                                                             : BH_EVENT_DOMAIN_VERIFIED;
    case BH_DOMAIN_DEGRADED:
        return BH_EVENT_DOMAIN_DEGRADED;
    case BH_DOMAIN_SUSPENDED:
        return BH_EVENT_DOMAIN_SUSPENDED;
    case BH_DOMAIN_PENDING:
    case BH_DOMAIN_PARTIAL:
    default:
        return BH_EVENT_DOMAIN_CHANGED;
    }
}

static void write_event(struct bh_controld *core, const struct bh_domain *domain,
                        const struct bh_domain_standing *standing)
{
    bh_controld_event(core, event_of(domain->state, standing->state), domain->customer_id, domain->id,
                      json_pack("{s:o, s:s, s:s, s:s, s:b}", "domain", json_stringn(domain->name.p, domain->name.n),
                                "before", bh_domain_state_name(domain->state), "state",
                                bh_domain_state_name(standing->state), "aligned", bh_mechanism_name(standing->aligned),
                                "can_send", standing->can_send));
}

void bh_standing_tell(struct bh_controld *core, const struct bh_domain *domain,
                      const struct bh_domain_standing *standing, const struct bh_check_result *result)
{
    const char *what = subject_of(domain->state, standing);
    bool stopped = domain->can_send && !standing->can_send;

    if (standing->state == domain->state && !stopped)
        return;
    core->out->log(core->out_ctx, BH_LOG_INFO, bh_domain_state_name(standing->state), domain->name);
    write_event(core, domain, standing);
    if (what)
        notify(core, domain, standing, result, what);
}
