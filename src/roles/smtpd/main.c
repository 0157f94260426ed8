/* main.c: smtpd: SMTP in. Master hands over ports and TLS files, keyd the keys of our bounce addresses, controld
 * answers who may do what, queued takes the messages. This role parses strangers' bytes and owns nothing that could
 * sign or log in. */
#include "smtpd.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { METERED_MAX = 50000, HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS };
enum { PEM_MAX = 1 << 20, CACHE_MAX = 20000, RING_MAX = 4096, SCRATCH_MAX = 8 << 20 };

static struct smtpd *make_state(struct bh_role *role)
{
    struct smtpd *smtpd = calloc(1, sizeof(*smtpd));

    if (!smtpd)
        return NULL;
    smtpd->role = role;
    smtpd->scratch = bh_arena_new(SCRATCH_MAX);
    smtpd->dkim = bh_dkim_new(&(struct bh_dkim_config){.max_cached_keys = 1}); /* hashes bodies, checks nothing */
    smtpd->certificate_pem = bh_buf_make(PEM_MAX);
    smtpd->key_pem = bh_buf_make(PEM_MAX);
    bh_list_init(&smtpd->sessions);
    bh_map_init(&smtpd->clients, role->map_seed);
    bh_cache_init(&smtpd->logins, role->map_seed, CACHE_MAX);
    bh_cache_init(&smtpd->customers, role->map_seed, CACHE_MAX);
    bh_cache_init(&smtpd->may_send, role->map_seed, CACHE_MAX);
    bh_cache_init(&smtpd->bounce_domains, role->map_seed, CACHE_MAX);
    bh_meter_init(&smtpd->addresses, role->map_seed, METERED_MAX, DAY_MS);
    bh_meter_init(&smtpd->fixed_names, role->map_seed, METERED_MAX, HOUR_MS);
    bh_meter_init(&smtpd->refusals, role->map_seed, METERED_MAX, HOUR_MS);
    if (!smtpd->scratch || !smtpd->dkim || smtpd_tally_init(smtpd)) {
        bh_arena_free(smtpd->scratch);
        bh_dkim_free(smtpd->dkim);
        free(smtpd);
        return NULL;
    }
    return smtpd;
}

/* Files come before `start`. */
static struct smtpd *state_of(struct bh_role *role)
{
    if (!role->state)
        role->state = make_state(role);
    return role->state;
}

/* Without its certificate there would be no AUTH, and nobody would notice before the first customer does. */
static bh_err start(struct bh_role *role)
{
    struct smtpd *smtpd = state_of(role);

    if (!smtpd)
        return BH_E_NOMEM;
    if (role->config->tls_certificate.n && !smtpd->tls) {
        bh_logf(&role->log, BH_LOG_ERROR, "tls { certificate, key } cannot be used: see the line above");
        return BH_E_SYNTAX;
    }
    return BH_OK;
}

static bh_err read_file(int fd, struct bh_buf *to)
{
    ssize_t n = 1;

    bh_buf_clear(to);
    while (n > 0) {
        char *room = bh_buf_reserve(to, 4096);

        if (!room)
            return bh_buf_err(to);
        n = pread(fd, room, 4096, (off_t)to->n);
        if (n > 0)
            bh_buf_commit(to, (size_t)n);
    }
    return n < 0 ? BH_E_IO : BH_OK;
}

/* Certificate and key come one after the other; at a reload the old pair serves until the new one fits together. */
static void try_tls(struct smtpd *smtpd)
{
    struct bh_tls *tls = NULL;
    bh_err err;

    if (!smtpd->certificate_pem.n || !smtpd->key_pem.n)
        return;
    err = bh_tls_server_new(bh_buf_view(&smtpd->certificate_pem), bh_buf_view(&smtpd->key_pem), &tls);
    bh_wipe(smtpd->key_pem.p, smtpd->key_pem.cap);
    bh_buf_clear(&smtpd->key_pem);
    bh_buf_clear(&smtpd->certificate_pem);
    if (err) {
        bh_logf(&smtpd->role->log, BH_LOG_ERROR, "the TLS certificate and key do not fit together, or are no PEM");
        return;
    }
    bh_tls_free(smtpd->tls);
    smtpd->tls = tls;
    smtpd_configure_ports(smtpd);
}

static bh_err file(struct bh_role *role, bh_str purpose, int fd)
{
    struct smtpd *smtpd = state_of(role);
    bool is_key = bh_str_eq(purpose, BH_STR("tls-key"));
    bh_err err = BH_E_NOMEM;

    if (smtpd)
        err = read_file(fd, is_key ? &smtpd->key_pem : &smtpd->certificate_pem);
    (void)close(fd);
    if (!err)
        try_tls(smtpd);
    else
        bh_logf(&role->log, BH_LOG_ERROR, "cannot read the file %.*s", BH_FMT(purpose));
    return BH_OK;
}

static bh_err listener(struct bh_role *role, const struct bh_listener *listener, int fd, bool datagram)
{
    return datagram ? BH_E_SYNTAX : smtpd_add_port(state_of(role), listener, fd);
}

/* The keys of our own addresses: all of them each time. */
static bh_err take_subkeys(struct smtpd *smtpd, bh_str body)
{
    struct bh_msg_subkeys message;
    struct bh_rec_subkey subkey;
    struct bh_verp_key *keys;
    struct bh_cur list;
    size_t count = 0;
    bh_err err = bh_msg_subkeys_get(body, &message);

    if (err || !bh_str_eq(message.purpose, BH_STR("bounce")))
        return err;
    keys = calloc(RING_MAX, sizeof(*keys));
    if (!keys)
        return BH_E_NOMEM;
    list = bh_cur_make(message.keys);
    while (!(err = bh_rec_subkey_next(&list, &subkey))) {
        if (subkey.key.n != BH_VERP_KEY_BYTES || subkey.period > UINT16_MAX || count == RING_MAX) {
            free(keys);
            return BH_E_SYNTAX;
        }
        keys[count].period = (uint16_t)subkey.period;
        memcpy(keys[count++].key, subkey.key.p, BH_VERP_KEY_BYTES);
    }
    free(smtpd->ring_keys);
    smtpd->ring_keys = keys;
    smtpd->ring = (struct bh_verp_ring){keys, count};
    return err == BH_DONE ? BH_OK : err;
}

static void set_version(struct smtpd *smtpd, uint64_t version)
{
    bh_cache_set_version(&smtpd->logins, version);
    bh_cache_set_version(&smtpd->customers, version);
    bh_cache_set_version(&smtpd->may_send, version);
    bh_cache_set_version(&smtpd->bounce_domains, version);
}

static bh_err message(struct bh_role *role, struct bh_peer *peer, struct bh_ipc_message *message)
{
    struct smtpd *smtpd = role->state;
    struct bh_msg_version version;
    bh_err err;

    if (peer->kind == BH_ROLE_KEYD && message->type == BH_MSG_SUBKEYS)
        return take_subkeys(smtpd, message->body);
    if (peer->kind != BH_ROLE_CONTROLD || message->type != BH_MSG_VERSION)
        return BH_E_SYNTAX;
    err = bh_msg_version_get(message->body, &version);
    if (!err)
        set_version(smtpd, version.version);
    return err;
}

/* A new controld: what changed while it was away was told to nobody. */
static void peer_up(struct bh_role *role, struct bh_peer *peer)
{
    struct smtpd *smtpd = role->state;

    if (peer->kind != BH_ROLE_CONTROLD)
        return;
    bh_cache_clear(&smtpd->logins);
    bh_cache_clear(&smtpd->customers);
    bh_cache_clear(&smtpd->may_send);
    bh_cache_clear(&smtpd->bounce_domains);
}

/* The next queued counts its body files anew: an old number could name another session's file. */
static void peer_down(struct bh_role *role, struct bh_peer *peer)
{
    struct smtpd *smtpd = role->state;

    if (peer->kind != BH_ROLE_QUEUED)
        return;
    BH_LIST_EACH (node, &smtpd->sessions) {
        struct bh_message *message = &BH_CONTAINER_OF(node, struct session, node)->message;

        message->file_lost = message->file >= 0;
    }
}

static void reload(struct bh_role *role)
{
    smtpd_configure_ports(role->state);
}

/* Nothing new; a message in progress may finish. */
static void drain(struct bh_role *role)
{
    struct smtpd *smtpd = role->state;

    if (smtpd->draining)
        return;
    smtpd->draining = true;
    smtpd_close_ports(smtpd);
    BH_LIST_EACH (node, &smtpd->sessions) {
        struct session *session = BH_CONTAINER_OF(node, struct session, node);

        if (!bh_smtp_server_facts(session->server).in_transaction && !session->call)
            session_end(session, "4.3.2", BH_STR("Shutting down, connect again later"));
    }
    if (!smtpd->session_count)
        bh_role_stop(role);
}

static void stop(struct bh_role *role)
{
    struct smtpd *smtpd = role->state;

    smtpd->draining = false;
    smtpd_close_ports(smtpd);
    smtpd_tally_free(smtpd);
    BH_LIST_EACH (node, &smtpd->sessions)
        session_close(BH_CONTAINER_OF(node, struct session, node));
    bh_loop_turn(role->loop, 0); /* channels are freed at the end of a turn */
    for (struct port *port = smtpd->ports, *next; port; port = next) {
        next = port->next;
        free(port);
    }
    bh_tls_free(smtpd->tls);
    bh_buf_free(&smtpd->certificate_pem);
    bh_buf_free(&smtpd->key_pem);
    bh_cache_free(&smtpd->logins);
    bh_cache_free(&smtpd->customers);
    bh_cache_free(&smtpd->may_send);
    bh_cache_free(&smtpd->bounce_domains);
    bh_map_free(&smtpd->clients);
    bh_meter_free(&smtpd->addresses);
    bh_meter_free(&smtpd->fixed_names);
    bh_meter_free(&smtpd->refusals);
    if (smtpd->ring_keys)
        bh_wipe(smtpd->ring_keys, RING_MAX * sizeof(*smtpd->ring_keys));
    free(smtpd->ring_keys);
    bh_arena_free(smtpd->scratch);
    bh_dkim_free(smtpd->dkim);
    free(smtpd);
}

int main(void)
{
    static const struct bh_role_ops ops = {
        .kind = BH_ROLE_SMTPD,
        .start = start,
        .peer_up = peer_up,
        .peer_down = peer_down,
        .message = message,
        .listener = listener,
        .file = file,
        .reload = reload,
        .drain = drain,
        .stop = stop,
    };

    return bh_role_main(&ops);
}
