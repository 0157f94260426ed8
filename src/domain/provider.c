/* provider.c: see provider.h. The file is sections "[id]" with "key = value" lines; what a section does not say is what
 * most forms want: a relative host, no dot, no quotes. */
#include "provider.h"
#include "builtin_providers.h"

enum { TEXT_MAX = 1 << 20, TXT_STRING = 255 };

bh_str bh_providers_builtin(void)
{
    return bh_str_of((const char *)builtin_rules, sizeof(builtin_rules));
}

const char *bh_ability_name(enum bh_ability ability)
{
    return ability == BH_ABILITY_YES ? "yes" : ability == BH_ABILITY_NO ? "no" : "unknown";
}

/* ---- reading ---- */

static bool take_bool(bh_str value, bool *ret)
{
    *ret = bh_str_eq(value, BH_STR("yes"));
    return *ret || bh_str_eq(value, BH_STR("no"));
}

static bool take_ability(bh_str value, enum bh_ability *ret)
{
    *ret = bh_str_eq(value, BH_STR("yes")) ? BH_ABILITY_YES : BH_ABILITY_NO;
    return *ret == BH_ABILITY_YES || bh_str_eq(value, BH_STR("no"));
}

static bool take_patterns(struct bh_provider *provider, bh_str value)
{
    while (value.n) {
        bh_str pattern = bh_str_trim(bh_str_cut(value, ',', &value));

        if (!pattern.n || provider->ns_count == BH_PROVIDER_NS_MAX)
            return false;
        provider->ns[provider->ns_count++] = pattern;
    }
    return provider->ns_count > 0;
}

static bool take_traps(struct bh_provider *provider, bh_str value)
{
    while (value.n) {
        bh_str trap = bh_str_cut(value, ' ', &value);

        if (bh_str_eq(trap, BH_STR("proxy")))
            provider->proxy = true;
        else if (bh_str_eq(trap, BH_STR("flattening")))
            provider->flattening = true;
        else if (trap.n)
            return false;
    }
    return true;
}

static bool take_choice(bh_str value, const char *yes, const char *no, bool *ret)
{
    *ret = bh_str_eq(value, bh_str_c(yes));
    return *ret || bh_str_eq(value, bh_str_c(no));
}

static bool take_text(bh_str value, bh_str *ret)
{
    *ret = value;
    return value.n > 0;
}

static bool take_length(bh_str value, uint32_t *ret)
{
    uint64_t number;
    bool good = bh_str_to_u64(value, 65535, &number) == BH_OK;

    if (good)
        *ret = (uint32_t)number;
    return good;
}

static bool take_line(struct bh_provider *p, bh_str key, bh_str value)
{
#define IS(word) bh_str_eq(key, BH_STR(word))
    if (IS("name"))
        return take_text(value, &p->name);
    if (IS("ns"))
        return take_patterns(p, value);
    if (IS("host"))
        return take_choice(value, "absolute", "relative", &p->host_absolute);
    if (IS("apex"))
        return take_text(value, &p->apex);
    if (IS("dot"))
        return take_bool(value, &p->dot);
    if (IS("quotes"))
        return take_bool(value, &p->quotes);
    if (IS("txt-max"))
        return take_length(value, &p->txt_max);
    if (IS("ns-subdomain"))
        return take_ability(value, &p->ns_subdomain);
    if (IS("domain-connect"))
        return take_ability(value, &p->domain_connect);
    if (IS("api"))
        return take_ability(value, &p->api);
    if (IS("traps"))
        return take_traps(p, value);
    if (IS("form"))
        return take_choice(value, "verified", "guessed", &p->verified);
    return IS("note") && take_text(value, &p->note);
#undef IS
}

static bool begin_section(struct bh_providers *providers, bh_str line)
{
    bh_str id = bh_str_sub(line, 1, line.n - 2);

    if (line.n < 3 || line.p[line.n - 1] != ']' || providers->count == BH_PROVIDERS_MAX ||
        bh_provider_by_id(providers, id))
        return false;
    providers->list[providers->count++] = (struct bh_provider){.id = id, .apex = BH_STR("@"), .note = {"", 0}};
    return true;
}

static bool take_any(struct bh_providers *providers, bh_str line)
{
    bh_str value, key;

    if (!line.n || line.p[0] == '#')
        return true;
    if (line.p[0] == '[')
        return begin_section(providers, line);
    key = bh_str_trim(bh_str_cut(line, '=', &value));
    return providers->count && value.p && take_line(&providers->list[providers->count - 1], key, bh_str_trim(value));
}

static bool is_whole(const struct bh_providers *providers)
{
    for (size_t i = 0; i < providers->count; i++)
        if (!providers->list[i].name.n || !providers->list[i].ns_count)
            return false;
    return true;
}

bh_err bh_providers_parse(struct bh_arena *arena, bh_str text, struct bh_providers *ret_providers, size_t *ret_line)
{
    struct bh_providers providers = {bh_arena_array(arena, BH_PROVIDERS_MAX, sizeof(struct bh_provider)), 0};

    *ret_line = 0;
    if (!providers.list)
        return BH_E_NOMEM;
    if (text.n > TEXT_MAX)
        return BH_E_LIMIT;
    while (text.n) {
        bh_str line = bh_str_trim(bh_str_cut(text, '\n', &text));

        (*ret_line)++;
        if (!take_any(&providers, line))
            return BH_E_SYNTAX;
    }
    if (!is_whole(&providers))
        return BH_E_SYNTAX;
    *ret_providers = providers;
    return BH_OK;
}

/* ---- recognising ---- */

const struct bh_provider *bh_provider_by_id(const struct bh_providers *providers, bh_str id)
{
    for (size_t i = 0; i < providers->count; i++)
        if (bh_str_eq_ci(providers->list[i].id, id))
            return &providers->list[i];
    return NULL;
}

/* `*` takes as few characters as it can; on a mismatch the last one takes one more. */
static bool fits(bh_str pattern, bh_str name)
{
    size_t p = 0, n = 0, star = SIZE_MAX, from = 0;

    while (n < name.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            from = n;
        } else if (p < pattern.n && bh_to_lower(pattern.p[p]) == bh_to_lower(name.p[n])) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            n = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

static bool serves(const struct bh_provider *provider, bh_str name)
{
    for (size_t i = 0; i < provider->ns_count; i++)
        if (fits(provider->ns[i], name))
            return true;
    return false;
}

const struct bh_provider *bh_provider_by_ns(const struct bh_providers *providers, const bh_str *names, size_t count,
                                            unsigned *ret_percent)
{
    const struct bh_provider *best = NULL;
    size_t most = 0;

    for (size_t i = 0; i < providers->count; i++) {
        size_t serving = 0;

        for (size_t k = 0; k < count; k++)
            serving += serves(&providers->list[i], names[k]) ? 1 : 0;
        if (serving > most) {
            most = serving;
            best = &providers->list[i];
        }
    }
    *ret_percent = count ? (unsigned)(most * 100 / count) : 0;
    return best;
}

/* ---- the form's words ---- */

static void print_host(struct bh_buf *out, const struct bh_provider *provider, bh_str name, bh_str apex)
{
    bh_str host = provider->host_absolute ? name : bh_host_as_typed(name, apex);

    if (!bh_str_eq(host, BH_STR("@")))
        bh_buf_add(out, host);
    else if (bh_str_eq(provider->apex, BH_STR("-")))
        bh_buf_add(out, BH_STR("(leave it empty)"));
    else
        bh_buf_add(out, provider->apex);
}

static void print_quoted(struct bh_buf *out, bh_str value)
{
    do {
        bh_str part = bh_str_sub(value, 0, TXT_STRING);

        value = bh_str_skip(value, TXT_STRING);
        bh_buf_char(out, '"');
        for (size_t i = 0; i < part.n; i++) {
            if (part.p[i] == '"' || part.p[i] == '\\')
                bh_buf_char(out, '\\');
            bh_buf_char(out, part.p[i]);
        }
        bh_buf_add(out, value.n ? BH_STR("\" ") : BH_STR("\""));
    } while (value.n);
}

static void print_value(struct bh_buf *out, const struct bh_provider *provider, const struct bh_required_record *record)
{
    bh_str value = record->value;
    bool has_dot = value.n && value.p[value.n - 1] == '.';

    if (record->type == BH_DNS_TXT) {
        if (provider->quotes)
            print_quoted(out, value);
        else
            bh_buf_add(out, value);
        return;
    }
    if (has_dot && !provider->dot)
        value.n--;
    bh_buf_add(out, value);
    if (!has_dot && provider->dot && (record->type == BH_DNS_CNAME || record->type == BH_DNS_NS))
        bh_buf_char(out, '.');
}

void bh_provider_print(struct bh_buf *out, const struct bh_provider *provider, const struct bh_required_record *record,
                       bh_str zone_apex)
{
    bh_buf_add(out, BH_STR("  Type   "));
    bh_dns_type_print(out, record->type);
    bh_buf_add(out, BH_STR("\n  Host   "));
    print_host(out, provider, record->name, zone_apex);
    bh_buf_add(out, BH_STR("\n  Value  "));
    print_value(out, provider, record);
    bh_buf_printf(out, "\n  TTL    %u\n", record->ttl_s);
    if (record->type == BH_DNS_TXT && provider->txt_max && record->value.n > provider->txt_max)
        bh_buf_printf(out, "  The form takes %u characters: ask %.*s how to enter a longer value.\n", provider->txt_max,
                      BH_FMT(provider->name));
    if (record->type == BH_DNS_NS && provider->ns_subdomain == BH_ABILITY_NO)
        bh_buf_printf(out, "  %.*s cannot delegate a sub-domain: choose another approach.\n", BH_FMT(provider->name));
}
