/* connect.c: see connect.h. Two questions, one after the other: GET https://HOST/v2/ZONE/settings, then the template at
 * the provider's urlAPI, whose status alone matters. Each is bounded in bytes and time, certificates are verified, no
 * redirect is followed, and addresses that are not public are not connected to. */
#include "connect.h"
#include "domain/connect.h"
#include "roles/role.h"
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BYTES = 1 << 20, FETCH_MS = 10 * 1000 };

struct asking {
    struct bh_role *role;
    struct bh_http *http;
    enum bh_role_kind kind;
    uint32_t instance;
    uint32_t id;
    bool any_address;
    struct bh_arena *arena; /* holds this, too */
    struct bh_msg_connect ask;
    struct bh_connect_settings settings;
};

static void answer(struct asking *asking, enum bh_connect_status status, const char *why)
{
    struct bh_peer *peer = bh_role_peer(asking->role, asking->kind, asking->instance);
    const struct bh_connect_settings *s = &asking->settings;
    struct bh_msg_connect_reply reply = {(uint8_t)status, s->provider_name, s->url_sync, s->url_control_panel,
                                         bh_str_c(why)};

    if (peer && peer->up)
        (void)!BH_PEER_SEND(peer, CONNECT_REPLY, asking->id, connect_reply, &reply);
    bh_arena_free(asking->arena);
}

static bh_err fetch(struct asking *asking, bh_str url, bh_http_done *done)
{
    if (!url.p)
        return BH_E_NOMEM;
    return bh_http_start(asking->http,
                         &(struct bh_http_request){.url = url,
                                                   .answer_max = BH_CONNECT_SETTINGS_MAX,
                                                   .timeout_ms = FETCH_MS,
                                                   .public_only = !asking->any_address},
                         done, asking, NULL);
}

static void on_template(void *ctx, const struct bh_http_answer *got)
{
    struct asking *asking = ctx;

    if (got->err)
        answer(asking, BH_CONNECT_FAILED, got->why);
    else if (got->status / 100 == 2)
        answer(asking, BH_CONNECT_READY, "");
    else
        answer(asking, BH_CONNECT_NO_TEMPLATE, got->status == 404 ? "" : "the provider does not tell");
}

static void on_settings(void *ctx, const struct bh_http_answer *got)
{
    struct asking *asking = ctx;
    bh_err err = got->err;

    if (err) {
        answer(asking, BH_CONNECT_FAILED, got->why);
        return;
    }
    if (got->status / 100 != 2) {
        answer(asking, BH_CONNECT_FAILED,
               got->status == 404 ? "the provider says that it does not serve the zone"
                                  : "the provider answers with an error");
        return;
    }
    if (bh_connect_settings_read(asking->arena, got->body, &asking->settings)) {
        answer(asking, BH_CONNECT_FAILED, "the provider's settings cannot be read");
        return;
    }
    err = fetch(asking,
                bh_arena_printf(asking->arena, "%.*s/v2/domainTemplates/providers/%.*s/services/%.*s",
                                BH_FMT(asking->settings.url_api), BH_FMT(asking->ask.provider),
                                BH_FMT(asking->ask.service)),
                on_template);
    if (err)
        answer(asking, BH_CONNECT_FAILED, bh_err_text(err));
}

static bh_err keep(struct asking *asking, const struct bh_msg_connect *ask)
{
    asking->ask =
        (struct bh_msg_connect){bh_arena_dup(asking->arena, ask->host), bh_arena_dup(asking->arena, ask->zone),
                                bh_arena_dup(asking->arena, ask->provider), bh_arena_dup(asking->arena, ask->service)};
    return asking->ask.host.p && asking->ask.zone.p && asking->ask.provider.p && asking->ask.service.p ? BH_OK
                                                                                                       : BH_E_NOMEM;
}

bh_err bh_connect_ask(struct bh_role *role, struct bh_http *http, bool any_address, struct bh_peer *peer,
                      const struct bh_ipc_message *message)
{
    struct bh_msg_connect ask;
    struct bh_arena *arena;
    struct asking *asking;
    bh_err err = bh_msg_connect_get(message->body, &ask);

    if (err)
        return err;
    arena = bh_arena_new(ARENA_BYTES);
    asking = arena ? bh_arena_alloc(arena, sizeof(*asking)) : NULL;
    if (!asking) {
        bh_arena_free(arena);
        return BH_E_NOMEM;
    }
    *asking = (struct asking){.role = role,
                              .http = http,
                              .kind = peer->kind,
                              .instance = peer->instance,
                              .id = message->id,
                              .any_address = any_address,
                              .arena = arena,
                              .settings = {{"", 0}, {"", 0}, {"", 0}, {"", 0}, {"", 0}}};
    err = keep(asking, &ask);
    if (!err && !bh_connect_is_prefix(ask.host))
        err = BH_E_SYNTAX;
    if (!err)
        err = fetch(
            asking,
            bh_arena_printf(arena, "https://%.*s/v2/%.*s/settings", BH_FMT(asking->ask.host), BH_FMT(asking->ask.zone)),
            on_settings);
    if (err)
        answer(asking, BH_CONNECT_FAILED, bh_err_text(err));
    return BH_OK;
}
