/* dnsd: the authoritative name server. Master hands over its sockets, controld pushes the zones. Queries wait in the
 * sockets until the zones are there: what comes while a killed dnsd starts again is answered late, not refused, which
 * resolvers would remember. Its own state is the set of zones, nothing else: a restarted dnsd gets the whole set again.
 */
#include "base/random.h"
#include "dnsd.h"
#include <stdlib.h>
#include <unistd.h>

enum {
    RATE_PER_S = 1000, /* equal responses to one network over UDP */
    /* Where several dnsd share the port a secondary may ask any of them: controld says NOTIFY_NOW when all serve the
     * change, and this is for when one of them does not answer. */
    NOTIFY_DELAY_MS = 3000
};

/* Files come before `start`, so whichever is first makes the state. */
static struct bh_dnsd *state_of(struct bh_role *role)
{
    struct bh_dnsd *dnsd = role->state;

    if (!dnsd && (dnsd = calloc(1, sizeof *dnsd))) {
        bh_list_init(&dnsd->held);
        role->state = dnsd;
    }
    return dnsd;
}

static bh_err file(struct bh_role *role, bh_str purpose, int fd)
{
    struct bh_dnsd *dnsd = state_of(role);

    if (dnsd)
        return bh_follow_file(role, dnsd, purpose, fd);
    (void)close(fd);
    return BH_E_NOMEM;
}

static bh_err start(struct bh_role *role)
{
    struct bh_dns_server_options options = bh_dns_server_defaults();
    struct bh_dnsd *dnsd = state_of(role);
    uint64_t seed;
    bh_err err;

    if (!dnsd)
        return BH_E_NOMEM;
    options.rate_per_s = RATE_PER_S;
    options.notify_delay_ms = role->config->dnsd_count > 1 ? NOTIFY_DELAY_MS : 0;
    options.sample_every = role->config->query_log_sample;
    options.on_sample = bh_tell_sample;
    options.sample_ctx = role;
    bh_random_fill(&bh_random_os, &seed, sizeof seed);
    dnsd->server = bh_dns_server_new(role->loop, &options, &bh_random_os);
    err = dnsd->server ? bh_dns_follower_init(&dnsd->follower, seed) : BH_E_NOMEM;
    return err ? err : bh_follow_configure(role, dnsd);
}

static void reload(struct bh_role *role)
{
    struct bh_dnsd *dnsd = role->state;
    bh_err err = bh_follow_configure(role, dnsd);

    bh_dns_server_sample(dnsd->server, role->config->query_log_sample);
    if (err)
        bh_logf(&role->log, BH_LOG_ERROR, "not all secondaries are followed: %s", bh_err_text(err));
}

static bh_err serve_on(struct bh_dnsd *dnsd, int fd, bool datagram)
{
    return datagram ? bh_dns_server_add_udp(dnsd->server, fd) : bh_dns_server_add_tcp(dnsd->server, fd);
}

static bh_err listener(struct bh_role *role, const struct bh_listener *listener, int fd, bool datagram)
{
    struct bh_dnsd *dnsd = role->state;
    struct bh_held_socket *held;

    (void)listener;
    if (dnsd->serving)
        return serve_on(dnsd, fd, datagram);
    held = malloc(sizeof *held);
    if (!held) {
        (void)close(fd);
        return BH_E_NOMEM;
    }
    *held = (struct bh_held_socket){.fd = fd, .datagram = datagram};
    bh_list_push(&dnsd->held, &held->node);
    return BH_OK;
}

static bh_err serve_on_held(struct bh_dnsd *dnsd)
{
    bh_err err = BH_OK;

    dnsd->serving = true;
    for (struct bh_list *node; (node = bh_list_pop(&dnsd->held));) {
        struct bh_held_socket *held = BH_CONTAINER_OF(node, struct bh_held_socket, node);
        bh_err one = serve_on(dnsd, held->fd, held->datagram);

        err = err ? err : one;
        free(held);
    }
    return err;
}

static void log_bad_zone(struct bh_role *role, bh_str zone, const struct bh_dns_zone_error *error)
{
    struct bh_buf owner = bh_buf_make(4 * BH_DNS_NAME_MAX);

    if (error->name.n)
        bh_dns_name_print(&owner, bh_dns_name_view(&error->name));
    bh_log_line(&role->log, BH_LOG_ERROR, "zone not taken, its former version stays", BH_KV("zone", zone),
                BH_KV("why", bh_str_c(error->why)), BH_KV("owner", bh_buf_view(&owner)));
    bh_buf_free(&owner);
}

static bh_err handle_zone(struct bh_role *role, bh_str body)
{
    struct bh_dnsd *dnsd = role->state;
    struct bh_dns_zone_error error = {0};
    struct bh_msg_zone message;
    bh_err err = bh_msg_zone_get(body, &message);

    if (!err)
        err = bh_zones_in_put(&dnsd->zones_in, &dnsd->follower, &message, &error);
    if (!err || !error.why)
        return err;
    log_bad_zone(role, message.name, &error);
    return BH_OK;
}

static bh_err handle_remove(struct bh_role *role, bh_str body)
{
    struct bh_dnsd *dnsd = role->state;
    struct bh_msg_zone_remove message;
    bh_err err = bh_msg_zone_remove_get(body, &message);

    return err ? err : bh_zones_in_remove(&dnsd->follower, message.name);
}

static bh_err handle_keep(struct bh_role *role, bh_str body)
{
    struct bh_dnsd *dnsd = role->state;
    struct bh_msg_zone_remove message;
    bh_err err = bh_msg_zone_remove_get(body, &message);

    return err ? err : bh_zones_in_keep(&dnsd->follower, message.name);
}

static bh_err handle_commit(struct bh_role *role, struct bh_peer *peer, const struct bh_ipc_message *message)
{
    struct bh_dnsd *dnsd = role->state;
    struct bh_msg_zones_commit commit;
    bh_err err = bh_msg_zones_commit_get(message->body, &commit);

    if (!err)
        err = bh_follow_commit(dnsd, commit.whole != 0, commit.serial);
    bh_dns_server_use(dnsd->server, dnsd->follower.zones);
    if (!err && !dnsd->serving)
        err = serve_on_held(dnsd);
    if (err)
        return err;
    if (commit.whole)
        bh_logf(&role->log, BH_LOG_INFO, "serving %zu zones", bh_dns_zones_count(dnsd->follower.zones));
    return BH_PEER_SEND(peer, ZONES_SERVED, message->id, zones_commit, &commit);
}

/* keyd's ring of cookie secrets: the last one makes them, so ours is the other way round. Until it comes the server's
 * own secret serves. The same in every dnsd and on every node: a client may be answered by another one next time. */
static bh_err handle_subkeys(struct bh_role *role, bh_str body)
{
    struct bh_dnsd *dnsd = role->state;
    struct bh_dns_cookie_secrets secrets = {0};
    struct bh_msg_subkeys message;
    struct bh_rec_subkey subkey;
    bh_err err = bh_msg_subkeys_get(body, &message);
    struct bh_cur list;

    if (err || !bh_str_eq(message.purpose, BH_STR("cookie")))
        return err;
    list = bh_cur_make(message.keys);
    while ((err = bh_rec_subkey_next(&list, &subkey)) == BH_MORE) {
        if (subkey.key.n < BH_DNS_COOKIE_SECRET_BYTES)
            return BH_E_SYNTAX;
        memmove(secrets.secret[1], secrets.secret[0], sizeof secrets.secret - sizeof secrets.secret[0]);
        memcpy(secrets.secret[0], subkey.key.p, BH_DNS_COOKIE_SECRET_BYTES);
        secrets.count += secrets.count < BH_DNS_COOKIE_SECRETS_MAX;
    }
    if (err == BH_DONE && secrets.count)
        bh_dns_server_cookies(dnsd->server, &secrets);
    bh_wipe(&secrets, sizeof secrets);
    return err == BH_DONE ? BH_OK : err;
}

static bh_err handle_message(struct bh_role *role, struct bh_peer *peer, struct bh_ipc_message *message)
{
    if (peer->kind == BH_ROLE_KEYD && message->type == BH_MSG_SUBKEYS)
        return handle_subkeys(role, message->body);
    if (peer->kind != BH_ROLE_CONTROLD)
        return BH_E_DENIED;
    switch (message->type) {
    case BH_MSG_ZONE:
        return handle_zone(role, message->body);
    case BH_MSG_ZONE_REMOVE:
        return handle_remove(role, message->body);
    case BH_MSG_ZONES_COMMIT:
        return handle_commit(role, peer, message);
    case BH_MSG_ZONE_KEEP:
        return handle_keep(role, message->body);
    case BH_MSG_NOTIFY_NOW:
        bh_dns_server_notify_now(((struct bh_dnsd *)role->state)->server);
        return BH_OK;
    case BH_MSG_DNS_STATS:
        return bh_tell_stats(role->state, peer, message);
    default:
        return BH_E_SYNTAX;
    }
}

/* A half-sent set is worth nothing; what is served goes on. */
static void peer_down(struct bh_role *role, struct bh_peer *peer)
{
    struct bh_dnsd *dnsd = role->state;

    if (peer->kind != BH_ROLE_CONTROLD)
        return;
    bh_dns_follower_abort(&dnsd->follower);
    dnsd->zones_in = (struct bh_zones_in){0};
}

static void stop(struct bh_role *role)
{
    struct bh_dnsd *dnsd = role->state;

    for (struct bh_list *node; (node = bh_list_pop(&dnsd->held));)
        free(BH_CONTAINER_OF(node, struct bh_held_socket, node));
    bh_wipe(dnsd->keys, sizeof dnsd->keys);
    bh_dns_server_free(dnsd->server);
    bh_dns_follower_free(&dnsd->follower);
    free(dnsd);
    role->state = NULL;
}

int main(void)
{
    static const struct bh_role_ops ops = {
        .kind = BH_ROLE_DNSD,
        .start = start,
        .file = file,
        .reload = reload,
        .listener = listener,
        .message = handle_message,
        .peer_down = peer_down,
        .stop = stop,
    };

    return bh_role_main(&ops);
}
