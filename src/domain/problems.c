/* problems.c: what is wrong with a domain as a whole, beyond its single records: DMARC policies that defeat alignment,
 * a DS without its key, a certificate that may not be issued, records that a delegation will hide. Each with the
 * sentence that somebody can act on. */
#include "check_internal.h"
#include "dnssec.h"
#include "proto/dns/dnssec.h"
#include <behalf/dmarc.h>

enum { PROBLEMS_MAX = 32, DS_BYTES_MIN = 5, DS_SHA256_BYTES = 36, DNSKEY_BYTES_MIN = 5 };

static void add(struct bh_check_context *context, struct bh_check_result *result, const char *code, bh_str detail,
                bh_str fix)
{
    (void)context;
    if (detail.p && fix.p && result->problem_count < PROBLEMS_MAX)
        result->problems[result->problem_count++] = (struct bh_problem){code, detail, fix};
}

static const struct bh_seen *direct(const struct bh_check_context *context, bh_str name, uint16_t type)
{
    return name.p ? bh_check_seen(context->seen, context->seen_count, name, type, true) : NULL;
}

static bool is_found(const struct bh_seen *seen)
{
    return seen && seen->status == BH_DNS_FOUND && seen->count;
}

/* ---- questions ---- */

void bh_problem_questions(struct bh_check_context *context, const struct bh_check_result *result,
                          void (*ask)(void *ctx, bh_str name, uint16_t type), void *ctx)
{
    const struct bh_approach_ops *ops = bh_approach_ops(context->view->domain.approach);
    bh_str name = context->view->domain.name;

    if (ops->zone && is_found(direct(context, name, BH_DNS_DS)))
        ask(ctx, name, BH_DNS_DNSKEY);
    if (ops->zone && !result->delegated_to_us) {
        ask(ctx, name, BH_DNS_A);
        ask(ctx, name, BH_DNS_MX);
        ask(ctx, name, BH_DNS_TXT);
        ask(ctx, name, BH_DNS_CNAME);
        ask(ctx, bh_arena_printf(context->arena, "www.%.*s", BH_FMT(name)), BH_DNS_A);
    }
    if (!context->platform->caa.n && ops->sends)
        ask(ctx, bh_domain_registrable(name), BH_DNS_CAA);
}

/* ---- delegation ---- */

static void occluded_at(struct bh_check_context *context, struct bh_check_result *result, bh_str name, uint16_t type)
{
    const struct bh_seen *seen = direct(context, name, type);
    struct bh_buf text = bh_buf_make(32);

    bh_dns_type_print(&text, type);
    if (is_found(seen) && !bh_str_eq_ci(seen->zone, context->view->domain.name))
        add(context, result, type == BH_DNS_CNAME ? "cname_at_cut" : "occluded",
            bh_arena_printf(context->arena,
                            type == BH_DNS_CNAME
                                ? "%.*s is a %.*s now, and a name with NS records can be nothing else"
                                : "%.*s has a record of type %.*s in the customer's zone, which the delegation hides",
                            BH_FMT(name), BH_FMT(bh_buf_view(&text))),
            type == BH_DNS_CNAME
                ? BH_STR("Delete the CNAME, or choose another name to delegate")
                : BH_STR(
                      "If it is in use, add it to the delegated zone with behalf domain zone add before delegating"));
    bh_buf_free(&text);
}

static void check_occluded(struct bh_check_context *context, struct bh_check_result *result)
{
    bh_str name = context->view->domain.name;

    if (!bh_approach_ops(context->view->domain.approach)->zone || result->delegated_to_us)
        return;
    occluded_at(context, result, name, BH_DNS_A);
    occluded_at(context, result, name, BH_DNS_MX);
    occluded_at(context, result, name, BH_DNS_TXT);
    occluded_at(context, result, name, BH_DNS_CNAME);
    occluded_at(context, result, bh_arena_printf(context->arena, "www.%.*s", BH_FMT(name)), BH_DNS_A);
}

/* By the whole digest where it is SHA-256, as nearly everywhere; by tag and algorithm else. */
static bool ds_is_of(bh_str ds, bh_str apex, bh_str key)
{
    unsigned char ours[DS_SHA256_BYTES];

    if (bh_dns_key_tag(key) != (uint16_t)((unsigned char)ds.p[0] << 8 | (unsigned char)ds.p[1]) || key.p[3] != ds.p[2])
        return false;
    return ds.p[3] != 2 || (!bh_dns_key_ds(apex, key, ours) && bh_str_eq(ds, bh_str_of((char *)ours, sizeof ours)));
}

static bool ds_fits(bh_str ds, bh_str domain, const struct bh_seen *keys)
{
    struct bh_dns_name apex;

    if (bh_dns_name_parse(domain, NULL, &apex))
        return false;
    for (size_t i = 0; i < keys->count; i++)
        if (keys->rdatas[i].n >= DNSKEY_BYTES_MIN && ds_is_of(ds, bh_dns_name_view(&apex), keys->rdatas[i]))
            return true;
    return false;
}

/* Where we sign, the DS that is right; else there can be none. */
static bh_str ds_fix(struct bh_check_context *context)
{
    const struct bh_domain_view *view = context->view;
    const struct bh_zone_key *key = view->dnssec ? bh_dnssec_parent_key(view->dnssec) : NULL;
    bh_str right = key ? bh_zone_key_ds_text(context->arena, key, view->domain.name) : (bh_str){NULL, 0};

    if (right.n)
        return bh_arena_printf(context->arena,
                               "Replace the DS records of %.*s at the DNS provider or registrar by this one: %.*s",
                               BH_FMT(view->domain.name), BH_FMT(right));
    return bh_arena_printf(context->arena, "Delete the DS records of %.*s at the DNS provider or registrar",
                           BH_FMT(view->domain.name));
}

/* One DS that fits is enough for a validator. */
static void check_ds(struct bh_check_context *context, struct bh_check_result *result)
{
    bh_str name = context->view->domain.name;
    const struct bh_seen *ds = direct(context, name, BH_DNS_DS), *keys = direct(context, name, BH_DNS_DNSKEY);

    if (!is_found(ds) || !keys || keys->status == BH_DNS_TEMPFAIL)
        return;
    for (size_t i = 0; is_found(keys) && i < ds->count; i++)
        if (ds->rdatas[i].n >= DS_BYTES_MIN && ds_fits(ds->rdatas[i], name, keys))
            return;
    add(context, result, "ds_without_key",
        bh_arena_printf(context->arena,
                        "The parent has a DS record for %.*s, but the zone has no key that fits it: for resolvers that "
                        "check DNSSEC nothing below it exists",
                        BH_FMT(name)),
        ds_fix(context));
}

/* ---- certificates ---- */

/* "issue" and its value in CAA rdata (RFC 8659 4.1). */
static bool caa_issue(bh_str rdata, bh_str *ret_value)
{
    size_t tag = rdata.n >= 2 ? (unsigned char)rdata.p[1] : 0;

    if (rdata.n < 2 + tag || !bh_str_eq_ci(bh_str_sub(rdata, 2, tag), BH_STR("issue")))
        return false;
    *ret_value = bh_str_skip(rdata, 2 + tag);
    return true;
}

static void check_caa(struct bh_check_context *context, struct bh_check_result *result)
{
    bh_str at = bh_domain_registrable(context->view->domain.name);
    const struct bh_seen *caa = direct(context, at, BH_DNS_CAA);
    struct bh_buf others = bh_buf_make(1000);

    for (size_t i = 0; is_found(caa) && i < caa->count; i++) {
        bh_str value;

        if (!caa_issue(caa->rdatas[i], &value))
            continue;
        if (bh_str_starts_ci(bh_str_trim(value), BH_STR("letsencrypt.org"))) {
            bh_buf_free(&others);
            return;
        }
        bh_buf_printf(&others, "%s%.*s", others.n ? ", " : "", BH_FMT(value.n ? value : BH_STR("nobody")));
    }
    if (others.n)
        add(context, result, "caa_forbids",
            bh_arena_printf(context->arena,
                            "The CAA records of %.*s let only these issue certificates: %.*s; link and image hosts "
                            "below it get none",
                            BH_FMT(at), BH_FMT(bh_buf_view(&others))),
            bh_arena_printf(context->arena,
                            "Add a record of type CAA at %.*s with the value 0 issue \"letsencrypt.org\"", BH_FMT(at)));
    bh_buf_free(&others);
}

/* ---- DMARC ---- */

static const struct bh_seen_policy *policy_at(const struct bh_check_result *result, bh_str at)
{
    for (size_t i = 0; i < result->policy_count; i++)
        if (bh_str_eq_ci(result->policies[i].at, at))
            return &result->policies[i];
    return NULL;
}

static bool parse(const struct bh_seen_policy *policy, struct bh_dmarc_record *ret_record)
{
    return policy && bh_dmarc_record_parse(policy->record, ret_record) == BH_OK;
}

static void check_strict(struct bh_check_context *context, struct bh_check_result *result,
                         const struct bh_seen_policy *policy, bh_str from)
{
    struct bh_planned_identity identity;
    struct bh_dmarc_record record;
    bool spf_fails, dkim_fails;

    if (!parse(policy, &record) || bh_planned_identity(context->arena, context->platform, context->view, &identity))
        return;
    spf_fails = record.strict_spf && !bh_str_eq_ci(identity.mail_from_domain, from);
    dkim_fails = record.strict_dkim && !bh_str_eq_ci(identity.dkim_domain, from);
    if (dkim_fails)
        add(context, result, "strict_dkim",
            bh_arena_printf(context->arena,
                            "adkim=s at _dmarc.%.*s: mail From %.*s is signed as %.*s, which is not the same name, so "
                            "DKIM does not align",
                            BH_FMT(policy->at), BH_FMT(from), BH_FMT(identity.dkim_domain)),
            bh_arena_printf(context->arena, "Remove adkim=s from the record at _dmarc.%.*s, or send From %.*s",
                            BH_FMT(policy->at), BH_FMT(identity.dkim_domain)));
    if (spf_fails)
        add(context, result, "strict_spf",
            bh_arena_printf(
                context->arena,
                "aspf=s at _dmarc.%.*s: bounces of mail From %.*s go to %.*s, which is not the same name, so "
                "SPF does not align%s",
                BH_FMT(policy->at), BH_FMT(from), BH_FMT(identity.mail_from_domain),
                dkim_fails ? "" : "; DKIM alone carries DMARC"),
            bh_arena_printf(context->arena, "Remove aspf=s from the record at _dmarc.%.*s", BH_FMT(policy->at)));
}

static void check_sub_policies(struct bh_check_context *context, struct bh_check_result *result,
                               const struct bh_seen_policy *org)
{
    bh_str name = context->view->domain.name;
    struct bh_dmarc_record record;

    if (!parse(org, &record) || bh_str_eq_ci(name, org->at))
        return;
    if (!policy_at(result, name) && record.sp.state && record.sp.policy != record.p.policy)
        add(context, result, "sp_applies",
            bh_arena_printf(context->arena,
                            "sp=%s at _dmarc.%.*s, not p=%s, is what receivers do with mail From %.*s that fails",
                            bh_dmarc_policy_name(record.sp.policy), BH_FMT(org->at),
                            bh_dmarc_policy_name(record.p.policy), BH_FMT(name)),
            bh_arena_printf(context->arena, "Publish a DMARC record at _dmarc.%.*s where another policy is wanted",
                            BH_FMT(name)));
    if (record.np.state && record.np.policy != BH_DMARC_POLICY_NONE)
        add(context, result, "np_applies",
            bh_arena_printf(context->arena,
                            "np=%s at _dmarc.%.*s: mail From a name below %.*s that has no records of its own fails it",
                            bh_dmarc_policy_name(record.np.policy), BH_FMT(org->at), BH_FMT(org->at)),
            BH_STR("Send only From names that exist in DNS"));
}

static void check_dmarc(struct bh_check_context *context, struct bh_check_result *result)
{
    bh_str name = context->view->domain.name, organisational = bh_domain_registrable(name);
    const struct bh_seen_policy *own = policy_at(result, name), *org = policy_at(result, organisational);
    bool has_zone = bh_approach_ops(context->view->domain.approach)->zone != NULL;

    if (result->no_org_policy)
        add(context, result, "no_org_dmarc",
            bh_arena_printf(context->arena,
                            "%.*s has no DMARC record: no receiver is told to check mail in its name, and nothing is "
                            "reported",
                            BH_FMT(organisational)),
            bh_arena_printf(context->arena, "Create a record of type TXT at _dmarc.%.*s with the value %.*s",
                            BH_FMT(organisational),
                            BH_FMT(bh_dmarc_record(context->arena, context->platform, &context->view->domain))));
    check_sub_policies(context, result, org);
    if (!has_zone) /* in a zone of ours the record is ours, and relaxed */
        check_strict(context, result, own ? own : org, name);
    if (!bh_str_eq_ci(name, organisational) && result->zone_apex.n)
        check_strict(context, result, org, organisational); /* From above the sub-domain */
}

void bh_check_problems(struct bh_check_context *context, struct bh_check_result *result)
{
    result->problems = bh_arena_array(context->arena, PROBLEMS_MAX, sizeof(*result->problems));
    if (!result->problems)
        return;
    if (result->sends) {
        check_occluded(context, result);
        check_ds(context, result);
        check_caa(context, result);
    }
    check_dmarc(context, result);
}
