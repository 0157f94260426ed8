/* custom.c: see custom.h. What is refused, and why:
 *
 *   NS, SOA, DNSSEC's own    a cut or a signature here would be ours to keep right, and could hide our records
 *   our names                link, img and bounce hosts and all below them; selectors with our prefix; _dmarc
 *   CNAME beside anything    and anything beside a CNAME (RFC 1034 3.6.2)
 *   at the apex              what we have there (MX, a second SPF) and CNAME
 *   backslashes in names     nothing that stands in such zones needs one, and texts of names are compared */
#include "custom.h"
#include "proto/dns/zonefile.h"

enum { RR_BYTES = 12 }; /* of a record in an answer, beside its data, with the owner compressed */

static const struct {
    uint16_t type;
    const char *name;
} allowed[] = {{BH_DNS_A, "A"},       {BH_DNS_AAAA, "AAAA"},   {BH_DNS_CNAME, "CNAME"}, {BH_DNS_TXT, "TXT"},
               {BH_DNS_MX, "MX"},     {BH_DNS_SRV, "SRV"},     {BH_DNS_CAA, "CAA"},     {BH_DNS_TLSA, "TLSA"},
               {BH_DNS_SVCB, "SVCB"}, {BH_DNS_HTTPS, "HTTPS"}, {BH_DNS_NAPTR, "NAPTR"}};

static bool is_allowed_type(uint16_t type)
{
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (allowed[i].type == type)
            return true;
    return false;
}

static bool refuse(bh_str *ret_why, bh_str why)
{
    *ret_why = why.p ? why : BH_STR("out of memory");
    return false;
}

/* ---- reading ---- */

static bh_str name_text(struct bh_arena *arena, bh_str name)
{
    struct bh_buf text = bh_buf_make(1100);
    bh_str copy;

    bh_dns_name_print_relative(&text, name);
    copy = bh_buf_err(&text) ? (bh_str){NULL, 0} : bh_str_lower(arena, bh_buf_view(&text));
    bh_buf_free(&text);
    return copy;
}

struct parsing {
    struct bh_arena *arena;
    bh_str apex;
    struct bh_zone_record *records;
    size_t count;
    struct bh_custom_problem problem;
};

static bh_err fail(struct parsing *parsing, bh_err err, unsigned line, bh_str why)
{
    parsing->problem = (struct bh_custom_problem){line, why};
    return err;
}

static bh_err take(struct parsing *parsing, const struct bh_dns_zonefile_record *record)
{
    struct bh_zone_record *to = &parsing->records[parsing->count];
    bh_str owner = name_text(parsing->arena, bh_dns_name_view(&record->owner));

    if (!owner.p)
        return BH_E_NOMEM;
    /* "evil\.email.customer.example" ends as names of the zone do, and is none of them */
    if (bh_str_find(owner, '\\') < owner.n)
        return fail(parsing, BH_E_SYNTAX, record->line, BH_STR("a name here has no bytes that need a backslash"));
    if (record->type == BH_DNS_SOA || (record->type == BH_DNS_NS && bh_str_eq(owner, parsing->apex)))
        return BH_OK;
    if (record->klass != BH_DNS_CLASS_IN)
        return fail(parsing, BH_E_SYNTAX, record->line, BH_STR("only class IN is served"));
    if (parsing->count == BH_CUSTOM_RECORDS_MAX)
        return fail(parsing, BH_E_LIMIT, record->line, BH_STR("too many records"));
    *to = (struct bh_zone_record){.owner = owner,
                                  .type = record->type,
                                  .ttl_s = record->ttl_s,
                                  .rdata = bh_arena_dup(parsing->arena, record->rdata)};
    if (!to->rdata.p)
        return BH_E_NOMEM;
    parsing->count++;
    return BH_OK;
}

bh_err bh_custom_parse(struct bh_arena *arena, bh_str apex, bh_str text, struct bh_zone_record **ret_records,
                       size_t *ret_count, struct bh_custom_problem *ret_problem)
{
    struct parsing parsing = {.arena = arena, .apex = apex};
    struct bh_dns_zonefile_record record;
    struct bh_dns_zonefile file;
    struct bh_dns_name origin;
    bh_err err = bh_dns_name_parse(apex, NULL, &origin), next;

    parsing.records = bh_arena_array(arena, BH_CUSTOM_RECORDS_MAX, sizeof(*parsing.records));
    if (err || !parsing.records)
        return err ? err : BH_E_NOMEM;
    bh_dns_zonefile_begin(&file, text, &origin, 3600, NULL, NULL);
    while (!err && (next = bh_dns_zonefile_next(&file, &record)) != BH_DONE) {
        if (next == BH_MORE)
            err = take(&parsing, &record);
        else
            err = fail(&parsing, next, file.error_line, bh_str_c(file.why ? file.why : bh_err_text(next)));
    }
    bh_dns_zonefile_end(&file);
    *ret_problem = parsing.problem;
    if (err)
        return err;
    *ret_records = parsing.records;
    *ret_count = parsing.count;
    return BH_OK;
}

/* ---- names of ours ---- */

static bool is_below_label(bh_str owner, bh_str label, bh_str apex)
{
    bh_str inner = bh_host_as_typed(owner, apex);
    size_t at = bh_str_rfind(inner, '.');

    return bh_str_eq_ci(at < inner.n ? bh_str_skip(inner, at + 1) : inner, label);
}

/* "bh7._domainkey" and "be2._domainkey": numbers behind our prefixes are ours, also those that are not made yet. */
static bool is_our_selector(const struct bh_domain *domain, bh_str owner)
{
    bh_str inner = bh_host_as_typed(owner, domain->name), rest, digits;
    bh_str selector = bh_str_cut(inner, '.', &rest);

    if (!rest.p || !bh_str_eq_ci(rest, BH_STR("_domainkey")))
        return false;
    if (bh_str_starts_ci(selector, domain->labels.selector))
        digits = bh_str_skip(selector, domain->labels.selector.n);
    else if (bh_str_starts_ci(selector, BH_STR("be")))
        digits = bh_str_skip(selector, 2);
    else
        return false;
    for (size_t i = 0; i < digits.n; i++)
        if (!bh_is_digit(digits.p[i]))
            return false;
    return digits.n > 0;
}

static bool is_our_name(const struct bh_domain *domain, bh_str owner)
{
    const bh_str labels[] = {domain->labels.bounce, domain->labels.link, domain->labels.img};

    if (bh_str_eq_ci(owner, domain->name))
        return false;
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
        if (is_below_label(owner, labels[i], domain->name))
            return true;
    return is_our_selector(domain, owner) || is_below_label(owner, BH_STR("_dmarc"), domain->name);
}

/* ---- one record among the others ---- */

static bool is_spf(struct bh_arena *arena, const struct bh_zone_record *record)
{
    bh_str text = record->type == BH_DNS_TXT ? bh_txt_joined(arena, record->rdata) : BH_STR("");

    return bh_str_starts_ci(text, BH_STR("v=spf1"));
}

static bool is_same(const struct bh_zone_record *a, const struct bh_zone_record *b)
{
    return a->type == b->type && bh_str_eq_ci(a->owner, b->owner) && bh_str_eq(a->rdata, b->rdata);
}

/* Types of which several stand beside each other, ours and the customer's. */
static bool may_join_ours(struct bh_arena *arena, const struct bh_zone_record *record)
{
    return record->type == BH_DNS_CAA || (record->type == BH_DNS_TXT && !is_spf(arena, record));
}

static bool fits_beside(struct bh_arena *arena, const struct bh_zone_record *other, bool is_ours, bool at_apex,
                        const struct bh_zone_record *record, bh_str *ret_why)
{
    if (!bh_str_eq_ci(other->owner, record->owner))
        return true;
    if (is_same(other, record))
        return refuse(ret_why, BH_STR("the same record is there already"));
    if (record->type == BH_DNS_CNAME)
        return refuse(ret_why, BH_STR("a CNAME cannot stand beside other records of the same name"));
    if (other->type == BH_DNS_CNAME)
        return refuse(ret_why, BH_STR("there is a CNAME at this name, beside which nothing can stand"));
    if (is_spf(arena, other) && is_spf(arena, record))
        return refuse(ret_why, BH_STR("there is an SPF record at this name already; receivers ignore two"));
    if (is_ours && other->type == record->type && !(at_apex && may_join_ours(arena, record)))
        return refuse(ret_why, BH_STR("we publish this type at this name ourselves"));
    return true;
}

static bool is_in_bounds(struct bh_arena *arena, bh_str apex, const struct bh_zone_record *record, bh_str *ret_why)
{
    if (!bh_str_is_at_or_below(record->owner, apex))
        return refuse(ret_why, bh_arena_printf(arena, "the name is not in %.*s", BH_FMT(apex)));
    if (record->owner.n > 253)
        return refuse(ret_why, BH_STR("the name is too long"));
    if (!is_allowed_type(record->type))
        return refuse(ret_why, BH_STR("this type cannot be added: only A, AAAA, CNAME, TXT, MX, SRV, CAA, TLSA, SVCB, "
                                      "HTTPS and NAPTR can"));
    if (record->rdata.n > BH_CUSTOM_RDATA_MAX)
        return refuse(ret_why, BH_STR("the value is too long"));
    if (record->ttl_s < BH_CUSTOM_TTL_MIN_S || record->ttl_s > BH_CUSTOM_TTL_MAX_S)
        return refuse(ret_why, bh_arena_printf(arena, "the TTL must be between %d and %d", BH_CUSTOM_TTL_MIN_S,
                                               BH_CUSTOM_TTL_MAX_S));
    return true;
}

/* What stands at the name and of the type, and all that the customer has, in bytes. */
static bool is_small_enough(const struct bh_zone *zone, size_t own_count, const struct bh_zone_record *record,
                            bh_str *ret_why)
{
    size_t of_rrset = record->rdata.n, of_all = record->rdata.n;

    for (size_t i = 0; i < zone->count; i++) {
        const struct bh_zone_record *other = &zone->records[i];

        if (other->type == record->type && bh_str_eq_ci(other->owner, record->owner))
            of_rrset += other->rdata.n + RR_BYTES;
        if (i >= own_count)
            of_all += other->rdata.n;
    }
    if (of_rrset > BH_CUSTOM_RRSET_MAX)
        return refuse(ret_why, BH_STR("the records of this name and type fit no DNS answer together"));
    if (of_all > BH_CUSTOM_BYTES_MAX)
        return refuse(ret_why, BH_STR("the records of this zone are too large together"));
    return true;
}

bool bh_custom_allows(struct bh_arena *arena, const struct bh_domain_view *view, const struct bh_zone *zone,
                      size_t own_count, const struct bh_zone_record *record, bh_str *ret_why)
{
    const struct bh_domain *domain = &view->domain;
    bool at_apex = bh_str_eq_ci(record->owner, domain->name);

    if (!is_in_bounds(arena, domain->name, record, ret_why))
        return false;
    if (is_our_name(domain, record->owner))
        return refuse(ret_why, BH_STR("this name is ours: we publish and change what is there"));
    if (at_apex && record->type == BH_DNS_CNAME)
        return refuse(ret_why, BH_STR("there can be no CNAME at the top of a zone"));
    if (zone->count >= own_count + BH_CUSTOM_RECORDS_MAX)
        return refuse(ret_why, bh_arena_printf(arena, "there are %d records already", BH_CUSTOM_RECORDS_MAX));
    for (size_t i = 0; i < zone->count; i++)
        if (!fits_beside(arena, &zone->records[i], i < own_count, at_apex, record, ret_why))
            return false;
    return is_small_enough(zone, own_count, record, ret_why);
}

size_t bh_custom_yield(const struct bh_domain *domain, struct bh_zone *zone, size_t own_count)
{
    size_t kept = own_count, left_out;

    for (size_t i = own_count; i < zone->count; i++) {
        const struct bh_zone_record record = zone->records[i];
        bool at_apex = bh_str_eq_ci(record.owner, domain->name), fits = true;
        bh_str why;

        for (size_t own = 0; fits && own < own_count; own++)
            fits = fits_beside(zone->arena, &zone->records[own], true, at_apex, &record, &why);
        if (fits)
            zone->records[kept++] = record;
    }
    left_out = zone->count - kept;
    zone->count = kept;
    return left_out;
}
