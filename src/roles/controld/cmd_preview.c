/* cmd_preview.c: `domain preview`: what a domain would need that is not added yet. Nothing is stored and no key made:
 * names that will carry the token show T in its place, keys show what they will look like.
 *
 * First the zone is found, then its name servers tell the provider, and what stands at the name and above it tells
 * which approach suits. */
#include "ask.h"
#include "command.h"
#include "report.h"

enum { AT_SOA, AT_MX, AT_TXT, AT_A, AT_CNAME, AT_NAME_COUNT };
enum { ZONE_NS, ZONE_CONNECT, ZONE_DMARC, ZONE_COUNT };

struct previewing {
    struct bh_command *command;
    bh_str name;
    struct bh_seen at[AT_NAME_COUNT];
    struct bh_seen zone[ZONE_COUNT];
    bh_str apex;
    bh_str servers[16];
    size_t server_count;
    const struct bh_provider *provider;
    unsigned percent;
};

static bool is_there(const struct bh_seen *seen)
{
    return seen->status == BH_DNS_FOUND && seen->count;
}

/* ---- what to recommend ---- */

static bool is_organisational(const struct previewing *p)
{
    return bh_str_eq(bh_domain_registrable(p->name), p->name);
}

/* A name that nothing stands at can be handed over whole. */
static bool is_unused(const struct previewing *p)
{
    return !is_there(&p->at[AT_MX]) && !is_there(&p->at[AT_TXT]) && !is_there(&p->at[AT_A]) &&
           !is_there(&p->at[AT_CNAME]);
}

static enum bh_approach recommend(const struct previewing *p, bh_str *ret_why)
{
    struct bh_arena *arena = p->command->arena;

    if (is_organisational(p)) {
        *ret_why = bh_arena_printf(arena,
                                   "%.*s has a zone of its own, with other things in it. A sub-domain such as "
                                   "email.%.*s could be delegated instead: then From may be at %.*s as well.",
                                   BH_FMT(p->name), BH_FMT(p->name), BH_FMT(p->name));
        return BH_APPROACH_CNAME;
    }
    if (p->provider && p->provider->ns_subdomain == BH_ABILITY_NO) {
        *ret_why =
            bh_arena_printf(arena, "%.*s cannot delegate a sub-domain by NS records.", BH_FMT(p->provider->name));
        return BH_APPROACH_CNAME;
    }
    if (!is_unused(p)) {
        *ret_why = bh_arena_printf(arena, "There are records at %.*s already, which a delegation would hide.",
                                   BH_FMT(p->name));
        return BH_APPROACH_CNAME;
    }
    *ret_why = BH_STR("Nothing stands at this name: it can be handed over once, and nothing is asked again.");
    return BH_APPROACH_DELEGATION;
}

/* ---- the answer ---- */

static struct bh_domain_view imagined_view(struct previewing *p, const struct bh_approach_ops *ops)
{
    struct bh_arena *arena = p->command->arena;
    struct bh_key *keys = bh_arena_array(arena, ops->keys_at_start + 1, sizeof(*keys));
    struct bh_domain_view view = {.domain = {.name = p->name,
                                             .approach = ops->id,
                                             .token = {"T", "t"},
                                             .labels = {BH_STR("bounce"), BH_STR("link"), BH_STR("img"), BH_STR("bh")},
                                             .zone_apex = p->apex,
                                             .dmarc_policy = {"", 0},
                                             .customer = {"", 0}}};

    for (unsigned i = 0; keys && i < ops->keys_at_start; i++) {
        keys[i] = (struct bh_key){.kind = BH_KIND_RSA2048,
                                  .selector = bh_arena_printf(arena, "bh%u", i + 1),
                                  .state = i ? BH_KEY_PUBLISHED : BH_KEY_ACTIVE,
                                  .public_b64 = BH_STR("(your key)")};
        view.key_count++;
    }
    view.keys = keys;
    return view;
}

static json_t *approach_json(struct previewing *p, const struct bh_approach_ops *ops, bool recommended)
{
    struct bh_domain_view view = imagined_view(p, ops);
    const char *drawback = ops->drawback ? ops->drawback(&view.domain) : NULL;
    json_t *report = json_pack("{s:o}", "zone_apex", bh_json_str(p->apex));
    json_t *json =
        json_pack("{s:s, s:s, s:b, s:s, s:s, s:o}", "approach", ops->name, "summary", ops->summary, "recommended",
                  recommended, "asks", ops->asks ? ops->asks : "", "costs_us", ops->costs_us ? ops->costs_us : "",
                  "records", bh_json_records(p->command->core, p->command->arena, &view, report));

    if (drawback)
        (void)json_object_set_new(json, "drawback", json_string(drawback));
    json_decref(report);
    return json;
}

static json_t *approaches_json(struct previewing *p, enum bh_approach recommended)
{
    json_t *list = json_array();
    const struct bh_approach_ops *ops;

    for (size_t i = 0; (ops = bh_approach_at(i)); i++)
        if (ops->open_to_customers)
            (void)json_array_append_new(list, approach_json(p, ops, ops->id == recommended));
    return list;
}

static json_t *texts_json(struct previewing *p, const struct bh_seen *seen, bh_str prefix)
{
    json_t *list = json_array();

    for (size_t i = 0; is_there(seen) && i < seen->count; i++) {
        bh_str text = bh_txt_joined(p->command->arena, seen->rdatas[i]);

        if (text.p && bh_str_starts_ci(text, prefix))
            (void)json_array_append_new(list, bh_json_str(text));
    }
    return list;
}

static json_t *provider_json(const struct previewing *p)
{
    if (!p->provider)
        return json_null();
    return json_pack("{s:o, s:o, s:i, s:s, s:s, s:b, s:o}", "id", bh_json_str(p->provider->id), "name",
                     bh_json_str(p->provider->name), "percent", (int)p->percent, "ns_subdomain",
                     bh_ability_name(p->provider->ns_subdomain), "api", bh_ability_name(p->provider->api), "verified",
                     p->provider->verified, "note", bh_json_str(p->provider->note));
}

static void answer(struct previewing *p)
{
    json_t *servers = json_array(), *json;
    bh_str why;
    enum bh_approach recommended = recommend(p, &why);

    for (size_t i = 0; i < p->server_count; i++)
        (void)json_array_append_new(servers, bh_json_str(p->servers[i]));
    json = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "name", bh_json_str(p->name), "zone_apex",
                     bh_json_str(p->apex), "name_servers", servers, "provider", provider_json(p), "domain_connect",
                     texts_json(p, &p->zone[ZONE_CONNECT], BH_STR("")), "spf",
                     texts_json(p, &p->at[AT_TXT], BH_STR("v=spf1")), "dmarc",
                     texts_json(p, &p->zone[ZONE_DMARC], BH_STR("v=DMARC1")), "recommended",
                     bh_approach_name(recommended), "why", bh_json_str(why));
    (void)json_object_set_new(json, "approaches", approaches_json(p, recommended));
    bh_command_done(p->command, json);
}

/* ---- asking ---- */

static void on_zone(void *ctx)
{
    struct previewing *p = ctx;
    const struct bh_seen *ns = &p->zone[ZONE_NS];

    for (size_t i = 0; is_there(ns) && i < ns->count && p->server_count < 16; i++) {
        struct bh_buf text = bh_buf_make(1024);

        bh_dns_rdata_print(&text, BH_DNS_NS, ns->rdatas[i]);
        if (text.n && text.p[text.n - 1] == '.')
            text.n--;
        p->servers[p->server_count] = bh_arena_dup(p->command->arena, bh_buf_view(&text));
        p->server_count += p->servers[p->server_count].p ? 1 : 0;
        bh_buf_free(&text);
    }
    p->provider = bh_provider_by_ns(&p->command->core->providers, p->servers, p->server_count, &p->percent);
    answer(p);
}

static void on_name(void *ctx)
{
    struct previewing *p = ctx;
    struct bh_arena *arena = p->command->arena;
    const struct bh_seen *soa = &p->at[AT_SOA];
    bh_str organisational = bh_domain_registrable(p->name);
    bh_err err;

    p->apex = soa->zone.n && bh_str_is_at_or_below(p->name, soa->zone) ? soa->zone : organisational;
    p->zone[ZONE_NS] = (struct bh_seen){.name = p->apex, .type = BH_DNS_NS, .direct = true};
    p->zone[ZONE_CONNECT] = (struct bh_seen){
        .name = bh_arena_printf(arena, "_domainconnect.%.*s", BH_FMT(p->apex)), .type = BH_DNS_TXT, .direct = true};
    p->zone[ZONE_DMARC] = (struct bh_seen){
        .name = bh_arena_printf(arena, "_dmarc.%.*s", BH_FMT(organisational)), .type = BH_DNS_TXT, .direct = true};
    err = bh_ask_all(p->command->core, arena, p->zone, ZONE_COUNT, on_zone, p);
    if (err)
        bh_command_fail_err(p->command, err, "cannot look at the domain");
}

void bh_domain_preview(struct bh_command *command)
{
    static const char *const known[] = {"name", NULL};
    static const uint16_t types[AT_NAME_COUNT] = {BH_DNS_SOA, BH_DNS_MX, BH_DNS_TXT, BH_DNS_A, BH_DNS_CNAME};
    struct previewing *p = bh_arena_alloc(command->arena, sizeof(*p));
    bh_str typed = {NULL, 0};
    bh_err err;

    if (!bh_command_knows(command, known) || !(typed = bh_command_need(command, "name")).p)
        return;
    if (!p) {
        bh_command_fail_err(command, BH_E_NOMEM, "cannot look at the domain");
        return;
    }
    p->command = command;
    err = bh_domain_name_normalise(command->arena, typed, &p->name);
    if (err) {
        bh_command_fail(command, "invalid", "Write it like customer.example", "\"%.*s\" %s", BH_FMT(typed),
                        err == BH_E_DENIED ? "is a public suffix" : "is not a domain name");
        return;
    }
    for (size_t i = 0; i < AT_NAME_COUNT; i++)
        p->at[i] = (struct bh_seen){.name = p->name, .type = types[i], .direct = true};
    err = bh_ask_all(command->core, command->arena, p->at, AT_NAME_COUNT, on_name, p);
    if (err)
        bh_command_fail_err(command, err, "cannot look at the domain");
}
