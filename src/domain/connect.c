/* connect.c: see connect.h. */
#include "connect.h"
#include "base/text.h"
#include <jansson.h>

enum { URL_MAX = 1500, NAME_MAX = 200, KEY_PART_CHARS = 200, PREFIX_MAX = 300 };

/* ---- what a provider says ---- */

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool bh_connect_is_prefix(bh_str text)
{
    bool dot = false;

    if (text.n < 4 || text.n > PREFIX_MAX || !is_letter_or_digit(*text.p))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (!is_letter_or_digit(c) && !memchr(".-_~/:", c, 6))
            return false;
        if (c == '.' && i + 1 < text.n && text.p[i + 1] == '.')
            return false;
        dot = dot || c == '.';
    }
    return dot;
}

/* Printable ASCII without what could end a line, a quote or a link. */
static bool is_plain(bh_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f || memchr("\"<>\\`", text.p[i], 5))
            return false;
    return true;
}

static bh_err take_text(struct bh_arena *arena, const json_t *json, const char *name, size_t max, bh_str *ret_text)
{
    const json_t *value = json_object_get(json, name);

    *ret_text = (bh_str){"", 0};
    if (!json_is_string(value))
        return BH_OK;
    if (json_string_length(value) > max)
        return BH_E_SYNTAX;
    *ret_text = bh_arena_dup(arena, bh_str_of(json_string_value(value), json_string_length(value)));
    return ret_text->p ? BH_OK : BH_E_NOMEM;
}

static bh_err take_url(struct bh_arena *arena, const json_t *json, const char *name, bh_str *ret_url)
{
    bh_err err = take_text(arena, json, name, URL_MAX, ret_url);

    if (err || !ret_url->n)
        return err;
    if (!bh_str_starts(*ret_url, BH_STR("https://")) || !is_plain(*ret_url))
        return BH_E_SYNTAX;
    if (ret_url->p[ret_url->n - 1] == '/')
        ret_url->n--;
    return BH_OK;
}

bh_err bh_connect_settings_read(struct bh_arena *arena, bh_str text, struct bh_connect_settings *ret_settings)
{
    struct bh_connect_settings s;
    json_t *json;
    bh_err err;

    if (text.n > BH_CONNECT_SETTINGS_MAX)
        return BH_E_LIMIT;
    json = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, NULL);
    err = json_is_object(json) ? take_text(arena, json, "providerId", NAME_MAX, &s.provider_id) : BH_E_SYNTAX;
    if (!err)
        err = take_text(arena, json, "providerDisplayName", NAME_MAX, &s.provider_name);
    if (!err && !s.provider_name.n)
        err = take_text(arena, json, "providerName", NAME_MAX, &s.provider_name);
    if (!err)
        err = take_url(arena, json, "urlSyncUX", &s.url_sync);
    if (!err)
        err = take_url(arena, json, "urlAPI", &s.url_api);
    if (!err)
        err = take_url(arena, json, "urlControlPanel", &s.url_control_panel);
    if (!err && (!s.provider_id.n || !is_plain(s.provider_id) || !s.url_api.n))
        err = BH_E_SYNTAX;
    json_decref(json);
    if (!err)
        *ret_settings = s;
    return err;
}

/* ---- which template ---- */

static void add_variable(struct bh_connect_plan *plan, const char *name, bh_str value)
{
    plan->variables[plan->variable_count].name = name;
    plan->variables[plan->variable_count++].value = value;
}

static bh_str token_text(struct bh_arena *arena, const struct bh_domain *domain)
{
    return bh_arena_printf(arena, "%s.%s", domain->token.id, domain->token.shard);
}

/* "email" of email.customer.example in the zone customer.example. */
static bh_err place(struct bh_arena *arena, bh_str name, bh_str apex, struct bh_connect_plan *plan)
{
    if (!bh_str_is_at_or_below(name, apex))
        return BH_E_UNSUPPORTED;
    plan->domain = apex;
    plan->host = bh_str_eq_ci(name, apex) ? (bh_str){"", 0} : bh_arena_dup(arena, bh_host_as_typed(name, apex));
    return plan->host.p ? BH_OK : BH_E_NOMEM;
}

static const char *plan_cname(struct bh_arena *arena, const struct bh_domain_view *view, struct bh_connect_plan *plan)
{
    const struct bh_labels *labels = &view->domain.labels;

    if (!bh_str_eq(labels->bounce, BH_STR("bounce")) || !bh_str_eq(labels->link, BH_STR("link")) ||
        !bh_str_eq(labels->img, BH_STR("img")))
        return "the domain has labels of its own, which the template does not have";
    plan->service = "cname";
    add_variable(plan, "token", token_text(arena, &view->domain));
    add_variable(plan, "selector", labels->selector);
    return NULL;
}

static const char *plan_manual(struct bh_arena *arena, const struct bh_domain_view *view, struct bh_connect_plan *plan)
{
    const struct bh_key *key = bh_view_active_key(view);

    if (!key || key->kind == BH_KIND_ED25519)
        return "the template is for an RSA key, and none signs";
    plan->service = "manual";
    plan->groups = view->domain.bounces == BH_BOUNCES_CUSTOMER ? NULL : "dkim";
    add_variable(plan, "selector", key->selector);
    add_variable(plan, "publickey", key->public_b64);
    if (!plan->groups)
        add_variable(plan, "token", token_text(arena, &view->domain));
    return NULL;
}

/* The record that is asked for, so that what stands in an existing one stays. */
static const char *plan_dmarc(struct bh_arena *arena, const struct bh_platform *platform,
                              const struct bh_domain_view *view, bh_str *ret_name, struct bh_connect_plan *plan)
{
    static const char version[] = "v=DMARC1;";
    struct bh_record_list list;

    if (bh_required_records(arena, platform, view, &list))
        return "the record cannot be told";
    for (size_t i = 0; i < list.count; i++) {
        const struct bh_required_record *record = &list.records[i];

        if (record->purpose != BH_PURPOSE_DMARC || !bh_str_starts(record->value, bh_str_c(version)))
            continue;
        plan->service = "dmarc";
        *ret_name = bh_domain_parent(record->name);
        add_variable(plan, "tags", bh_str_trim(bh_str_skip(record->value, sizeof(version) - 1)));
        return NULL;
    }
    return "the record cannot be told";
}

bh_err bh_connect_plan(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_domain_view *view,
                       bh_str apex, struct bh_connect_plan *ret_plan, const char **ret_why)
{
    struct bh_connect_plan plan = {.variable_count = 0};
    bh_str name = view->domain.name;
    const char *why = "its records are not asked for in DNS";
    bh_err err;

    switch (view->domain.approach) {
    case BH_APPROACH_CNAME:
        why = plan_cname(arena, view, &plan);
        break;
    case BH_APPROACH_DELEGATION:
        plan.service = "delegation";
        add_variable(&plan, "token", token_text(arena, &view->domain));
        why = bh_str_eq_ci(name, apex) ? "a whole zone is delegated at its registrar, not by its DNS provider" : NULL;
        break;
    case BH_APPROACH_MANUAL:
        why = plan_manual(arena, view, &plan);
        break;
    case BH_APPROACH_REPORTS:
        why = plan_dmarc(arena, platform, view, &name, &plan);
        break;
    case BH_APPROACH_RELAY:
    case BH_APPROACH_CREDENTIALS:
    case BH_APPROACH_PLATFORM:
    default:
        break;
    }
    *ret_why = why;
    if (why)
        return BH_E_UNSUPPORTED;
    *ret_why = "the zone is not above the domain";
    err = place(arena, name, apex, &plan);
    for (size_t i = 0; !err && i < plan.variable_count; i++)
        err = plan.variables[i].value.p ? BH_OK : BH_E_NOMEM;
    if (!err)
        *ret_plan = plan;
    return err;
}

/* ---- the link ---- */

/* RFC 3986 2.3: what needs no escape. */
static void put_escaped(struct bh_buf *out, bh_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (is_letter_or_digit(text.p[i]) || memchr("-._~", text.p[i], 4))
            bh_buf_char(out, text.p[i]);
        else
            bh_buf_printf(out, "%%%02X", (unsigned char)text.p[i]);
    }
}

static void put_parameter(struct bh_buf *out, const char *name, bh_str value)
{
    bh_buf_printf(out, "%s%s=", out->n ? "&" : "", name);
    put_escaped(out, value);
}

static bh_str keep(struct bh_arena *arena, struct bh_buf *text)
{
    bh_str kept = bh_buf_err(text) ? (bh_str){NULL, 0} : bh_arena_dup(arena, bh_buf_view(text));

    bh_buf_free(text);
    return kept;
}

bh_str bh_connect_query(struct bh_arena *arena, const struct bh_connect_plan *plan)
{
    struct bh_buf out = bh_buf_make(8000);

    put_parameter(&out, "domain", plan->domain);
    if (plan->host.n)
        put_parameter(&out, "host", plan->host);
    for (size_t i = 0; i < plan->variable_count; i++)
        put_parameter(&out, plan->variables[i].name, plan->variables[i].value);
    if (plan->groups)
        put_parameter(&out, "groupId", bh_str_c(plan->groups));
    return keep(arena, &out);
}

bh_str bh_connect_url(struct bh_arena *arena, bh_str url_sync, const struct bh_platform *platform,
                      const struct bh_connect_plan *plan, bh_str query, bh_str key, bh_str signature)
{
    struct bh_buf out = bh_buf_make(16000), sig = bh_buf_make(4000);

    bh_base64_encode(&sig, signature);
    bh_buf_printf(&out, "%.*s/v2/domainTemplates/providers/%.*s/services/%s/apply?%.*s", BH_FMT(url_sync),
                  BH_FMT(platform->domain), plan->service, BH_FMT(query));
    put_parameter(&out, "key", key);
    put_parameter(&out, "sig", bh_buf_view(&sig));
    bh_buf_free(&sig);
    return keep(arena, &out);
}

size_t bh_connect_key_texts(struct bh_arena *arena, bh_str public_b64, bh_str *ret_texts)
{
    size_t count = 0;

    for (size_t at = 0; at < public_b64.n; at += KEY_PART_CHARS) {
        if (count == BH_CONNECT_TEXTS_MAX)
            return 0;
        ret_texts[count] = bh_arena_printf(arena, "p=%zu,a=RS256,d=%.*s", count + 1,
                                           BH_FMT(bh_str_sub(public_b64, at, KEY_PART_CHARS)));
        if (!ret_texts[count].p)
            return 0;
        count++;
    }
    return count;
}
