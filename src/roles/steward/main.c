/* steward: background duties. It asks DNS for controld: what the authoritative servers of a name say (walk.h), and what
 * the world's resolver says. It takes the mail that comes to ourselves from queued and says what follows from it
 * (mail.h); fetches and keeps the MTA-STS policies of the world for the senders (policies.h); sends the reports of RFC
 * 8460 (tls_reports.h). */
#include "connect.h"
#include "steward.h"
#include "store/transport.h"
#include <stdio.h>
#include <stdlib.h>

enum { RUNNING_MAX = 4096, ROOTS_MAX = 8 << 20, PATH_BYTES = 4096 };

/* ---- DNS_ASK ---- */

struct asking {
    struct bh_role *role;
    enum bh_role_kind kind;
    uint32_t instance;
    uint32_t id;
};

static void answer(struct asking *asking, bh_str views)
{
    struct bh_peer *peer = bh_role_peer(asking->role, asking->kind, asking->instance);

    if (peer && peer->up)
        (void)!BH_PEER_SEND(peer, DNS_ASK_REPLY, asking->id, dns_ask_reply, &(struct bh_msg_dns_ask_reply){views});
    free(asking);
}

static void on_views(void *ctx, bh_err err, bh_str views)
{
    struct asking *asking = ctx;
    struct steward *steward = asking->role->state;

    steward->running--;
    answer(asking, err ? BH_STR("") : views);
}

static bh_err handle_ask(struct bh_role *role, struct bh_peer *peer, struct bh_ipc_message *message)
{
    struct steward *steward = role->state;
    struct bh_msg_dns_ask ask;
    struct asking *asking;
    bh_err err = bh_msg_dns_ask_get(message->body, &ask);

    if (err)
        return err;
    asking = malloc(sizeof(*asking));
    if (!asking)
        return BH_E_NOMEM;
    *asking = (struct asking){role, peer->kind, peer->instance, message->id};
    if (steward->running >= RUNNING_MAX) {
        answer(asking, BH_STR(""));
        return BH_OK;
    }
    steward->running++;
    err = ask.direct ? bh_walk_start(&steward->walker, ask.name, ask.type, on_views, asking)
                     : bh_walk_resolver(&steward->walker, ask.name, ask.type, on_views, asking);
    if (err)
        on_views(asking, err, BH_STR(""));
    return BH_OK;
}

/* ---- a copy of transport.db ---- */

static void on_copied(void *ctx, bh_err err)
{
    struct steward *steward = ctx;
    struct bh_peer *peer = bh_role_peer(steward->role, BH_ROLE_CONTROLD, 0);

    if (peer)
        (void)!BH_PEER_SEND(peer, BACKUP_REPLY, steward->backup_request, reloaded,
                            &((struct bh_msg_reloaded){err == BH_OK}));
}

static bh_err handle_backup(struct bh_role *role, struct bh_peer *peer, uint32_t request)
{
    struct steward *steward = role->state;
    char path[PATH_BYTES];

    if (snprintf(path, sizeof(path), "%.*s/reports/backup.db", BH_FMT(role->config->state_dir)) < (int)sizeof(path) &&
        bh_snapshot_begin(&steward->snapshot, role->loop, steward->transport, path, on_copied, steward) == BH_OK) {
        steward->backup_request = request;
        return BH_OK;
    }
    return BH_PEER_SEND(peer, BACKUP_REPLY, request, reloaded, &((struct bh_msg_reloaded){0}));
}

static bh_err on_message(struct bh_role *role, struct bh_peer *peer, struct bh_ipc_message *message)
{
    if (peer->kind == BH_ROLE_CONTROLD && message->type == BH_MSG_DNS_ASK)
        return handle_ask(role, peer, message);
    if (peer->kind == BH_ROLE_CONTROLD && message->type == BH_MSG_BACKUP)
        return handle_backup(role, peer, message->id);
    if (peer->kind == BH_ROLE_CONTROLD && message->type == BH_MSG_CONNECT)
        return bh_connect_ask(role, ((struct steward *)role->state)->http, role->config->fetch_private, peer, message);
    if (peer->kind == BH_ROLE_SENDER && message->type == BH_MSG_STS)
        return bh_policies_ask(&((struct steward *)role->state)->policies, peer, message);
    if (peer->kind == BH_ROLE_SENDER && message->type == BH_MSG_TLS_RESULTS)
        return bh_tls_reports_take(&((struct steward *)role->state)->tls_reports, message->body);
    return steward_mail_message(role->state, peer, message);
}

static void peer_up(struct bh_role *role, struct bh_peer *peer)
{
    if (peer->kind == BH_ROLE_QUEUED)
        steward_mail_begin(role->state, peer);
}

static void peer_down(struct bh_role *role, struct bh_peer *peer)
{
    if (peer->kind == BH_ROLE_QUEUED)
        steward_mail_drop(role->state);
}

/* ---- life ---- */

static void stop(struct bh_role *role)
{
    struct steward *steward = role->state;

    steward_mail_free(steward);
    bh_policies_stop(&steward->policies);
    bh_tls_reports_stop(&steward->tls_reports);
    bh_http_free(steward->http);
    bh_snapshot_free(&steward->snapshot);
    bh_store_close(steward->transport);
    bh_walker_stop(&steward->walker);
    bh_unbound_resolver_free(steward->unbound);
    bh_psl_free(steward->psl);
    free(steward);
    role->state = NULL;
}

static bh_err open_transport(struct bh_role *role, struct steward *steward)
{
    char path[PATH_BYTES];
    struct bh_store_problem problem = {""};
    struct bh_store_options options = {.path = path, .schema = &bh_transport_schema, .owner = "steward"};
    bh_err err;

    if (snprintf(path, sizeof(path), "%.*s/reports/transport.db", BH_FMT(role->config->state_dir)) >= (int)sizeof(path))
        return BH_E_LIMIT;
    err = bh_store_open(&options, &problem, &steward->transport);
    if (err)
        bh_logf(&role->log, BH_LOG_ERROR, "%s", problem.text);
    return err;
}

/* What has to do with the transport of mail: after the resolver. */
static bh_err start_transport(struct bh_role *role, struct steward *steward)
{
    struct bh_resolver *resolver = bh_unbound_resolver_base(steward->unbound);
    struct bh_buf roots = bh_buf_make(ROOTS_MAX);
    bh_err err = bh_role_read_file(role->config->ca_file, &roots);

    if (err) {
        bh_logf(&role->log, BH_LOG_WARN, "no roots of trust in %.*s (%s): nothing can be fetched by https",
                BH_FMT(role->config->ca_file), bh_err_text(err));
        bh_buf_clear(&roots);
    }
    err = bh_http_new(role->loop, resolver, bh_buf_view(&roots), &steward->http);
    bh_buf_free(&roots);
    if (!err)
        err = open_transport(role, steward);
    if (err)
        return err;
    steward->policies =
        (struct bh_policies){.role = role, .store = steward->transport, .http = steward->http, .port = 0};
    steward->tls_reports =
        (struct bh_tls_reports){.role = role, .store = steward->transport, .http = steward->http, .resolver = resolver};
    err = bh_policies_start(&steward->policies);
    return err ? err : bh_tls_reports_start(&steward->tls_reports);
}

static bh_err start(struct bh_role *role)
{
    struct steward *steward = calloc(1, sizeof(*steward));
    bh_err err;

    if (!steward)
        return BH_E_NOMEM;
    role->state = steward;
    steward->role = role;
    steward_mail_init(steward);
    bh_list_init(&steward->walker.walks);
    err = bh_psl_new(NULL, &steward->psl);
    if (!err)
        err = bh_role_resolver_new(role, &steward->unbound);
    if (!err)
        err = start_transport(role, steward);
    if (err) {
        stop(role);
        return err;
    }
    steward->walker.loop = role->loop;
    steward->walker.resolver = bh_unbound_resolver_base(steward->unbound);
    steward->walker.suffixes = bh_psl_base(steward->psl);
    steward->walker.random = &bh_random_os;
    steward->walker.port = role->config->dns_port_override ? role->config->dns_port_override : 53;
    return BH_OK;
}

int main(void)
{
    static const struct bh_role_ops ops = {.kind = BH_ROLE_STEWARD,
                                           .start = start,
                                           .peer_up = peer_up,
                                           .peer_down = peer_down,
                                           .message = on_message,
                                           .stop = stop};

    return bh_role_main(&ops);
}
