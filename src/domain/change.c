/* change.c: see change.h. */
#include "change.h"
#include "key.h"

enum { DAY_S = 24 * 3600, TTL_MAX_S = 7 * DAY_S };

const char *bh_change_kind_name(enum bh_change_kind kind)
{
    static const char *const names[BH_CHANGE_KINDS] = {"?", "key", "address", "host"};

    return (unsigned)kind < BH_CHANGE_KINDS ? names[kind] : "?";
}

const char *bh_change_state_name(enum bh_change_state state)
{
    static const char *const names[] = {"open", "acted", "forced", "cancelled"};

    return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

/* ---- is it there ---- */

static bool covers_all(bh_str record, bh_str include, bh_str addresses)
{
    bh_str rest = addresses, missing;

    while (rest.n) {
        bh_str address = bh_str_cut(rest, ' ', &rest);
        struct bh_platform one = {.egress = &address, .egress_count = 1};

        if (address.n && !bh_spf_covers(&one, record, include, &missing))
            return false;
    }
    return true;
}

static bool is_spf(bh_str text)
{
    return bh_str_starts_ci(text, BH_STR("v=spf1")) && (text.n == 6 || text.p[6] == ' ');
}

static bool shows_spf(struct bh_arena *arena, const struct bh_change_item *item, bh_str include,
                      const struct bh_seen *seen)
{
    size_t records = 0;
    bool covered = false;

    for (size_t i = 0; i < seen->count; i++) {
        bh_str text = bh_txt_joined(arena, seen->rdatas[i]);

        if (!text.p || !is_spf(text))
            continue;
        records++;
        covered = covers_all(text, include, item->want);
    }
    return records == 1 && covered; /* two SPF records are none (RFC 7208 4.5) */
}

static bool shows_key(struct bh_arena *arena, const struct bh_change_item *item, const struct bh_seen *seen)
{
    bh_str ours, theirs;
    bool damaged, found = false;

    if (bh_key_record_public(arena, item->new_value, &ours, &damaged))
        return false;
    for (size_t i = 0; i < seen->count; i++) {
        bh_str text = bh_txt_joined(arena, seen->rdatas[i]);

        if (!text.p || bh_key_record_public(arena, text, &theirs, &damaged))
            continue;
        if (!bh_str_eq(ours, theirs) || damaged)
            return false; /* which of two keys a verifier takes is not known */
        found = true;
    }
    return found;
}

static bool shows_value(struct bh_arena *arena, const struct bh_change_item *item, const struct bh_seen *seen)
{
    for (size_t i = 0; i < seen->count; i++) {
        struct bh_buf text = bh_buf_make(70000);
        bool same;

        if (seen->type == BH_DNS_TXT)
            bh_buf_add(&text, bh_txt_joined(arena, seen->rdatas[i]));
        else
            bh_dns_rdata_print(&text, seen->type, seen->rdatas[i]);
        same = bh_str_eq_ci(bh_buf_view(&text), item->new_value);
        bh_buf_free(&text);
        if (same)
            return true;
    }
    return false;
}

static bool revokes(struct bh_arena *arena, const struct bh_change_item *item)
{
    bh_str ours;
    bool damaged;

    return item->match == BH_MATCH_DKIM && !bh_key_record_public(arena, item->new_value, &ours, &damaged) && !ours.n;
}

bool bh_change_seen(struct bh_arena *arena, const struct bh_change_item *item, bh_str include,
                    const struct bh_seen *seen)
{
    if (!seen->servers || seen->agreeing < seen->servers)
        return false;
    if (seen->status == BH_DNS_NXDOMAIN || seen->status == BH_DNS_NODATA)
        return revokes(arena, item); /* a revoked key's record is gone: as good as an empty one */
    if (seen->status != BH_DNS_FOUND)
        return false;
    switch (item->match) {
    case BH_MATCH_SPF:
        return shows_spf(arena, item, include, seen);
    case BH_MATCH_DKIM:
        return shows_key(arena, item, seen);
    case BH_MATCH_EXACT:
    case BH_MATCH_DMARC:
    case BH_MATCH_RUA:
    default:
        return shows_value(arena, item, seen);
    }
}

bool bh_change_look(struct bh_arena *arena, struct bh_change_item *item, bh_str include, const struct bh_seen *seen,
                    bh_time_ms now)
{
    struct bh_change_item before = *item;

    if (seen->status == BH_DNS_TEMPFAIL || seen->status == BH_DNS_BADNAME || !seen->servers)
        return false;
    if (!bh_change_seen(arena, item, include, seen)) {
        item->ttl_s = seen->ttl_s < TTL_MAX_S ? seen->ttl_s : TTL_MAX_S;
        if (item->effective_at > now || item->effective_at == 0)
            item->acted_at = item->effective_at = 0;
    } else if (!item->acted_at) {
        if (!item->ttl_s)
            item->ttl_s = seen->ttl_s < TTL_MAX_S ? seen->ttl_s : TTL_MAX_S;
        item->acted_at = now;
        item->effective_at = now + (bh_time_ms)item->ttl_s * 1000;
    }
    return before.acted_at != item->acted_at || before.effective_at != item->effective_at ||
           before.ttl_s != item->ttl_s;
}

int64_t bh_change_remind_in(unsigned reminders)
{
    static const int64_t days[] = {3, 4, 7, 14};

    return days[reminders < 3 ? reminders : 3] * DAY_S * 1000;
}

/* ---- words ---- */

static void print_value(struct bh_buf *out, const char *what, bh_str value)
{
    bh_buf_printf(out, "    %s %.*s\n", what, BH_FMT(value));
}

void bh_change_print(struct bh_buf *out, bh_str domain, bh_str zone_apex, const struct bh_change_item *item)
{
    bh_str apex = zone_apex.n ? zone_apex : bh_domain_registrable(domain);

    bh_buf_printf(out, "%.*s: ", BH_FMT(domain));
    bh_buf_add(out, item->old_value.n ? BH_STR("change") : BH_STR("create"));
    bh_buf_add(out, BH_STR(" the record of type "));
    bh_dns_type_print(out, item->type);
    bh_buf_printf(out, " at %.*s\n    host: %.*s\n", BH_FMT(item->name), BH_FMT(bh_host_as_typed(item->name, apex)));
    if (item->old_value.n)
        print_value(out, "from:", item->old_value);
    print_value(out, item->old_value.n ? "to:  " : "value:", item->new_value);
}

/* ---- editing SPF ---- */

static bh_str without_plus(bh_str term)
{
    return term.n && term.p[0] == '+' ? bh_str_skip(term, 1) : term;
}

static bool has_term(bh_str terms, bh_str term)
{
    bh_str rest = terms;

    while (rest.n) {
        bh_str one = bh_str_cut(rest, ' ', &rest);

        if (one.n && bh_str_eq_ci(without_plus(one), without_plus(term)))
            return true;
    }
    return false;
}

static bool is_end(bh_str term)
{
    if (term.n && strchr("+-~?", term.p[0]))
        term = bh_str_skip(term, 1);
    return bh_str_eq_ci(term, BH_STR("all")) || bh_str_starts_ci(term, BH_STR("redirect="));
}

static void add_term(struct bh_buf *out, bh_str term)
{
    if (!term.n)
        return;
    if (out->n)
        bh_buf_char(out, ' ');
    bh_buf_add(out, term);
}

static void add_missing(struct bh_buf *out, bh_str record, bh_str terms)
{
    while (terms.n) {
        bh_str term = bh_str_cut(terms, ' ', &terms);

        if (!has_term(record, term))
            add_term(out, term);
    }
}

static bh_str finish(struct bh_arena *arena, struct bh_buf *out)
{
    bh_str copy = bh_buf_err(out) ? (bh_str){NULL, 0} : bh_arena_dup(arena, bh_buf_view(out));

    bh_buf_free(out);
    return copy;
}

bh_str bh_spf_with(struct bh_arena *arena, bh_str record, bh_str terms)
{
    struct bh_buf out = bh_buf_make(70000);
    bh_str rest = record;
    bool added = false;

    while (rest.n) {
        bh_str term = bh_str_cut(rest, ' ', &rest);

        if (!added && is_end(term)) {
            add_missing(&out, record, terms);
            added = true;
        }
        add_term(&out, term);
    }
    if (!added)
        add_missing(&out, record, terms);
    return finish(arena, &out);
}

bh_str bh_spf_without(struct bh_arena *arena, bh_str record, bh_str terms)
{
    struct bh_buf out = bh_buf_make(70000);
    bh_str rest = record;

    while (rest.n) {
        bh_str term = bh_str_cut(rest, ' ', &rest);

        if (!has_term(terms, term))
            add_term(&out, term);
    }
    return finish(arena, &out);
}

bh_str bh_spf_term(struct bh_arena *arena, bh_str address)
{
    bool is_v6 = bh_str_find(address, ':') < address.n;

    return bh_arena_printf(arena, "%s:%.*s", is_v6 ? "ip6" : "ip4", BH_FMT(address));
}
