/* cmd_connect.c: `domain connect`: the link by which a customer applies our template at his DNS provider.
 *
 *   key (made at the first use) ─▶ zone of the domain ─▶ _domainconnect there, and our own key's TXT, which has to be
 *   visible before a link is signed with it ─▶ the steward asks the provider ─▶ keyd signs ─▶ answer
 *
 * The provider's word decides whether there is a link, and nothing else: what became of it, checks see. */
#include "ask.h"
#include "command.h"
#include "connect.h"
#include "domain/connect.h"
#include "report.h"

struct connecting {
    struct bh_command *command;
    struct bh_domain_view view;
    struct bh_connect_key key;
    bool made;
    struct bh_seen soa;
    struct bh_seen seen[2]; /* _domainconnect of the zone; our key */
    struct bh_connect_plan plan;
    bh_str query;
    bh_str provider, url_sync, control_panel;
};

static const char by_hand[] = "behalf domain records --provider shows what to type instead";

/* ---- the end: a link ---- */

static void on_signed(void *ctx, bh_err err, const struct bh_msg_zone_signatures *reply)
{
    struct connecting *c = ctx;
    struct bh_command *command = c->command;
    struct bh_arena *arena = command->arena;
    bh_str url;

    if (!err && reply->refused == 2) { /* sealed under another master secret */
        err = bh_connect_key_forget(command->core, arena);
        if (!err)
            err = BH_E_AGAIN;
    }
    if (err || reply->refused) {
        bh_command_fail_err(command, err ? err : BH_E_CRYPTO, "the link cannot be signed");
        return;
    }
    url = bh_connect_url(arena, c->url_sync, &command->core->platform, &c->plan, c->query, c->key.host,
                         reply->signatures);
    if (!url.p) {
        bh_command_fail_err(command, BH_E_NOMEM, "the link cannot be made");
        return;
    }
    bh_command_done(command, json_pack("{s:o, s:o, s:o, s:s, s:o, s:o}", "domain", bh_json_str(c->view.domain.name),
                                       "zone", bh_json_str(c->plan.domain), "provider", bh_json_str(c->provider),
                                       "template", c->plan.service, "url", bh_json_str(url), "control_panel",
                                       bh_json_str(c->control_panel)));
}

/* ---- the provider ---- */

static bool say_refused(struct connecting *c, const struct bh_msg_connect_reply *reply)
{
    struct bh_command *command = c->command;
    bh_str platform = command->core->platform.domain;

    if (reply->status == BH_CONNECT_NO_TEMPLATE)
        bh_command_fail(command, "failed", by_hand, "%.*s does not have the template %.*s.%s%s%.*s",
                        BH_FMT(c->provider), BH_FMT(platform), c->plan.service, reply->why.n ? ": " : "",
                        BH_FMT(reply->why));
    else if (reply->status != BH_CONNECT_READY)
        bh_command_fail(command, "failed", by_hand, "Domain Connect of %.*s: %.*s", BH_FMT(c->plan.domain),
                        BH_FMT(reply->why));
    else if (!reply->url_sync.n)
        bh_command_fail(command, "failed", by_hand, "%.*s takes no links (no synchronous flow)", BH_FMT(c->provider));
    else
        return false;
    return true;
}

static void on_provider(void *ctx, bh_err err, const struct bh_msg_connect_reply *reply)
{
    struct connecting *c = ctx;
    struct bh_command *command = c->command;

    if (err) {
        bh_command_fail_err(command, err, "the provider cannot be asked");
        return;
    }
    c->provider = bh_arena_dup(command->arena, reply->provider_name);
    c->url_sync = bh_arena_dup(command->arena, reply->url_sync);
    c->control_panel = bh_arena_dup(command->arena, reply->url_control_panel);
    if (!c->provider.p || !c->url_sync.p || !c->control_panel.p) {
        bh_command_fail_err(command, BH_E_NOMEM, "the provider cannot be asked");
        return;
    }
    if (say_refused(c, reply))
        return;
    err = bh_connect_sign(command->core, &c->key, c->query, on_signed, c);
    if (err)
        bh_command_fail_err(command, err, "the link cannot be signed");
}

static bh_str prefix_of(struct connecting *c)
{
    const struct bh_seen *seen = &c->seen[0];

    for (size_t i = 0; seen->status == BH_DNS_FOUND && i < seen->count; i++) {
        bh_str text = bh_txt_joined(c->command->arena, seen->rdatas[i]);

        if (text.p && bh_connect_is_prefix(text))
            return text;
    }
    return (bh_str){NULL, 0};
}

static bool key_is_visible(const struct connecting *c)
{
    bh_str texts[BH_CONNECT_TEXTS_MAX];

    return c->seen[1].status == BH_DNS_FOUND &&
           c->seen[1].count == bh_connect_key_texts(c->command->arena, c->key.public_b64, texts);
}

static void on_texts(void *ctx)
{
    struct connecting *c = ctx;
    struct bh_command *command = c->command;
    struct bh_controld *core = command->core;
    bh_str prefix = prefix_of(c);
    bh_err err;

    if (!prefix.p) {
        bh_command_fail(command, "failed", by_hand, "the DNS provider of %.*s does not offer Domain Connect",
                        BH_FMT(c->plan.domain));
        return;
    }
    if (!key_is_visible(c)) {
        bh_command_fail(command, "temporary", "Try again in a moment", "%.*s.%.*s is not visible everywhere yet",
                        BH_FMT(c->key.host), BH_FMT(core->platform.domain));
        return;
    }
    err = core->out->ask_connect
              ? core->out->ask_connect(
                    core->out_ctx,
                    &(struct bh_msg_connect){prefix, c->plan.domain, core->platform.domain, bh_str_c(c->plan.service)},
                    on_provider, c)
              : BH_E_CLOSED;
    if (err)
        bh_command_fail_err(command, err, "the provider cannot be asked");
}

/* ---- the zone ---- */

static void on_soa(void *ctx)
{
    struct connecting *c = ctx;
    struct bh_command *command = c->command;
    struct bh_controld *core = command->core;
    const char *why = NULL;
    bh_err err;

    if (!c->soa.zone.n) {
        bh_command_fail(command, "temporary", "Try again in a moment", "the zone of %.*s cannot be found",
                        BH_FMT(c->view.domain.name));
        return;
    }
    err = bh_connect_plan(command->arena, &core->platform, &c->view, c->soa.zone, &c->plan, &why);
    if (err == BH_E_UNSUPPORTED) {
        bh_command_fail(command, "failed", by_hand, "there is no template for %.*s: %s", BH_FMT(c->view.domain.name),
                        why);
        return;
    }
    c->seen[0] = (struct bh_seen){.name = bh_arena_printf(command->arena, "_domainconnect.%.*s", BH_FMT(c->soa.zone)),
                                  .type = BH_DNS_TXT,
                                  .direct = true};
    c->seen[1] = (struct bh_seen){
        .name = bh_arena_printf(command->arena, "%.*s.%.*s", BH_FMT(c->key.host), BH_FMT(core->platform.domain)),
        .type = BH_DNS_TXT,
        .direct = true};
    if (!err) {
        c->query = bh_connect_query(command->arena, &c->plan);
        err = c->query.p && c->seen[0].name.p && c->seen[1].name.p ? BH_OK : BH_E_NOMEM;
    }
    if (!err)
        err = bh_ask_all(core, command->arena, c->seen, 2, on_texts, c);
    if (err)
        bh_command_fail_err(command, err, "cannot look at the domain");
}

/* ---- the key ---- */

static void begin(struct connecting *c);

static void on_made(void *ctx, bh_err err)
{
    struct connecting *c = ctx;

    c->made = true;
    if (err)
        bh_command_fail_err(c->command, err, "no key can be made");
    else
        begin(c);
}

static void begin(struct connecting *c)
{
    struct bh_command *command = c->command;
    struct bh_controld *core = command->core;
    const struct bh_approach_ops *ops = bh_approach_ops(c->view.domain.approach);
    bh_err err = bh_connect_key_get(core, command->arena, &c->key);

    if (err == BH_E_NOT_FOUND && !c->made)
        err = bh_connect_key_make(core, command->arena, on_made, c);
    else if (!err) {
        c->soa = (struct bh_seen){.name = ops && ops->edited_at ? ops->edited_at(&c->view.domain) : c->view.domain.name,
                                  .type = BH_DNS_SOA,
                                  .direct = true};
        err = bh_ask_all(core, command->arena, &c->soa, 1, on_soa, c);
    }
    if (err)
        bh_command_fail_err(command, err, "cannot look at the domain");
}

void bh_domain_connect(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", NULL};
    struct connecting *c = bh_arena_alloc(command->arena, sizeof(*c));
    struct bh_domain domain;
    bh_err err;

    if (!bh_command_knows(command, known) || !bh_command_domain(command, &domain))
        return;
    err = c ? bh_controld_view(command->core, command->arena, domain.id, false, &c->view) : BH_E_NOMEM;
    if (err) {
        bh_command_fail_err(command, err, "cannot read the domain");
        return;
    }
    c->command = command;
    begin(c);
}
