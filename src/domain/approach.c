/* approach.c: the table of approaches and what they share. See approach.h. */
#include "approach.h"
#include "dnssec.h"

static const struct bh_approach_ops *const approaches[] = {
    &bh_approach_delegation,  &bh_approach_cname,   &bh_approach_manual,   &bh_approach_relay,
    &bh_approach_credentials, &bh_approach_reports, &bh_approach_platform,
};

enum { APPROACH_COUNT = sizeof(approaches) / sizeof(approaches[0]) };

const struct bh_approach_ops *bh_approach_ops(enum bh_approach approach)
{
    for (size_t i = 0; i < APPROACH_COUNT; i++)
        if (approaches[i]->id == approach)
            return approaches[i];
    return NULL;
}

const struct bh_approach_ops *bh_approach_by_name(bh_str name)
{
    for (size_t i = 0; i < APPROACH_COUNT; i++)
        if (bh_str_eq(bh_str_c(approaches[i]->name), name))
            return approaches[i];
    return NULL;
}

const struct bh_approach_ops *bh_approach_at(size_t index)
{
    return index < APPROACH_COUNT ? approaches[index] : NULL;
}

/* The optional DS above a zone that we sign. */
static void add_ds(struct bh_record_list *list, const struct bh_domain_view *view)
{
    const struct bh_zone_key *key = view->dnssec ? bh_dnssec_parent_key(view->dnssec) : NULL;

    if (!key)
        return;
    bh_record_list_add(list, (struct bh_required_record){
                                 .purpose = BH_PURPOSE_DS,
                                 .match = BH_MATCH_EXACT,
                                 .type = BH_DNS_DS,
                                 .name = view->domain.name,
                                 .value = bh_zone_key_ds_text(list->arena, key, view->domain.name),
                                 .ttl_s = 3600,
                                 .why = "Lets others verify what we answer for this zone (DNSSEC). It replaces an "
                                        "older DS; where your provider reads CDS, that happens by itself."});
}

bh_err bh_required_records(struct bh_arena *arena, const struct bh_platform *platform,
                           const struct bh_domain_view *view, struct bh_record_list *ret_list)
{
    const struct bh_approach_ops *ops = bh_approach_ops(view->domain.approach);

    if (!ops)
        return BH_E_INVALID;
    *ret_list = (struct bh_record_list){.arena = arena};
    ops->records(platform, view, ret_list);
    add_ds(ret_list, view);
    return ret_list->err;
}

bh_err bh_planned_identity(struct bh_arena *arena, const struct bh_platform *platform,
                           const struct bh_domain_view *view, struct bh_planned_identity *ret_identity)
{
    const struct bh_approach_ops *ops = bh_approach_ops(view->domain.approach);

    if (!ops)
        return BH_E_INVALID;
    *ret_identity = (struct bh_planned_identity){0};
    ops->identity(arena, platform, view, ret_identity);
    return ret_identity->mail_from_domain.p && ret_identity->dkim_domain.p ? BH_OK : BH_E_NOMEM;
}

const char *bh_purpose_name(enum bh_purpose purpose)
{
    switch (purpose) {
    case BH_PURPOSE_DELEGATION:
        return "delegation";
    case BH_PURPOSE_BOUNCE:
        return "return_path";
    case BH_PURPOSE_DKIM:
        return "dkim";
    case BH_PURPOSE_SPF:
        return "spf";
    case BH_PURPOSE_LINK:
        return "links";
    case BH_PURPOSE_IMAGE:
        return "images";
    case BH_PURPOSE_DMARC:
        return "dmarc";
    case BH_PURPOSE_DS:
        return "ds";
    default:
        return "?";
    }
}

void bh_record_list_add(struct bh_record_list *list, struct bh_required_record record)
{
    size_t cap = list->cap ? list->cap * 2 : 8;
    struct bh_required_record *wider;

    if (!list->err && (!record.name.p || !record.value.p))
        list->err = BH_E_NOMEM;
    if (list->err)
        return;
    if (list->count == list->cap) {
        if (!(wider = bh_arena_array(list->arena, cap, sizeof(*wider)))) {
            list->err = BH_E_NOMEM;
            return;
        }
        if (list->count)
            memcpy(wider, list->records, list->count * sizeof(*wider));
        list->records = wider;
        list->cap = cap;
    }
    list->records[list->count++] = record;
}

const struct bh_key *bh_view_active_key(const struct bh_domain_view *view)
{
    for (size_t i = 0; i < view->key_count; i++)
        if (view->keys[i].state == BH_KEY_ACTIVE && view->keys[i].kind != BH_KIND_ED25519)
            return &view->keys[i];
    return NULL;
}

bool bh_key_is_published(const struct bh_key *key)
{
    return key->state != BH_KEY_WITHDRAWN && key->state != BH_KEY_CREATED;
}

bh_str bh_key_record(struct bh_arena *arena, const struct bh_key *key)
{
    bh_str public_b64 = key->state == BH_KEY_REVOKED ? (bh_str){"", 0} : key->public_b64;

    return bh_arena_printf(arena, "v=DKIM1; k=%s; p=%.*s", bh_key_kind_name(key->kind), BH_FMT(public_b64));
}

bh_str bh_dmarc_record(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_domain *domain)
{
    bh_str rua = bh_platform_rua(arena, platform, &domain->token);
    bh_str policy = domain->dmarc_policy.n ? domain->dmarc_policy : platform->dmarc_policy;

    return bh_arena_printf(arena, "v=DMARC1; p=%.*s; rua=%.*s", BH_FMT(policy), BH_FMT(rua));
}

void bh_propose_dmarc(struct bh_record_list *list, const struct bh_platform *platform,
                      const struct bh_domain_view *view)
{
    bh_str at = bh_domain_registrable(view->domain.name);

    bh_record_list_add(list, (struct bh_required_record){
                                 .purpose = BH_PURPOSE_DMARC,
                                 .match = BH_MATCH_DMARC,
                                 .type = BH_DNS_TXT,
                                 .name = bh_arena_printf(list->arena, "_dmarc.%.*s", BH_FMT(at)),
                                 .value = bh_dmarc_proposal(list->arena, platform, view, at),
                                 .ttl_s = 3600,
                                 .required = platform->require_dmarc,
                                 .why = "Tells receivers to check who sends in your name and to report it; p=none "
                                        "changes nothing for your other mail. Keep a record that you already have."});
}

void bh_zone_add_spf(struct bh_zone *zone, const struct bh_platform *platform, bh_str owner)
{
    struct bh_buf spf = bh_buf_make(8192);

    bh_platform_spf(platform, &spf);
    if (!zone->err)
        zone->err = bh_buf_err(&spf);
    bh_zone_add_txt(zone, owner, platform->ttl_s, bh_buf_view(&spf));
    bh_buf_free(&spf);
}

void bh_zone_add_bounce(struct bh_zone *zone, const struct bh_platform *platform, bh_str owner)
{
    bh_zone_add_spf(zone, platform, owner);
    bh_zone_addf(zone, owner, platform->ttl_s, BH_DNS_MX, "10 %.*s.", BH_FMT(platform->inbound_host));
}

void bh_zone_add_web(struct bh_zone *zone, const struct bh_platform *platform, bh_str owner)
{
    for (size_t i = 0; i < platform->web_address_count; i++)
        bh_zone_add_address(zone, owner, platform->ttl_s, platform->web_addresses[i]);
    if (platform->caa.n)
        bh_zone_addf(zone, owner, platform->ttl_s, BH_DNS_CAA, "0 issue \"%.*s\"", BH_FMT(platform->caa));
}
