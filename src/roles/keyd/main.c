/* main.c: keyd: the process that holds the master secret and does nothing but use it.
 *
 * It has no event loop library, no database, no network: poll(2) over the connections that master hands it, and the
 * signing workers (signer.h). What a peer may ask follows from what it is: senders have digests signed against queued's
 * grants, controld has keys made and imported, queued and controld are told their grant keys, senders and smtpd the
 * bounce subkeys. Anything else ends that connection. */
#include "keyd.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- sending ---- */

static void close_connection(struct connection *connection)
{
    if (!connection->open)
        return;
    bh_ipc_close(&connection->ipc);
    connection->open = false;
    if (connection->kind == BH_ROLE_MASTER)
        connection->keyd->ending = true;
}

void keyd_send_body(struct connection *connection, uint16_t type, uint32_t id, struct bh_buf *body)
{
    bh_err err = bh_buf_err(body);

    if (!err)
        err = bh_ipc_send(&connection->ipc, type, id, bh_buf_view(body), NULL, 0);
    if (err) {
        bh_logf(&connection->keyd->log, BH_LOG_ERROR, "cannot answer %s: %s", bh_role_name(connection->kind),
                bh_err_text(err));
        close_connection(connection);
    }
    if (body->p)
        bh_wipe(body->p, body->cap); /* may hold a subkey */
    bh_buf_free(body);
}

static void say_hello(struct connection *connection)
{
    struct bh_buf body = bh_buf_make(256);

    bh_msg_hello_put(&body, &(struct bh_msg_hello){BH_PROTOCOL_VERSION, BH_STR(BH_VERSION), BH_ROLE_KEYD, 0});
    keyd_send_body(connection, BH_MSG_HELLO, 0, &body);
}

/* The ring of bounce keys: from the oldest that is still honoured to the next one. */
static void send_bounce_keys(struct connection *connection, uint16_t period)
{
    struct keyd *keyd = connection->keyd;
    struct bh_buf keys = bh_buf_make(1 << 16), body = bh_buf_make(1 << 17);
    uint32_t kept = keyd->config->bounce_keep_s / BH_VERP_PERIOD_S + 1 + BH_VERP_GRACE_PERIODS;
    uint8_t key[BH_VAULT_KEY_BYTES];

    for (uint32_t p = period > kept ? period - kept : 0; p <= (uint32_t)period + 1; p++) {
        bh_secrets_bounce(&keyd->secrets, p, key);
        bh_rec_subkey_put(&keys, &(struct bh_rec_subkey){p, bh_str_of((const char *)key, sizeof(key))});
    }
    bh_msg_subkeys_put(&body, &(struct bh_msg_subkeys){BH_STR("bounce"), BH_VERP_PERIOD_S, bh_buf_view(&keys)});
    keyd_send_body(connection, BH_MSG_SUBKEYS, 0, &body);
    bh_wipe(key, sizeof(key));
    bh_wipe(keys.p, keys.cap);
    bh_buf_free(&keys);
}

/* Secrets of DNS cookies: the last one makes them. The window before is still honoured, the one to come already, for
 * another node's clock may be ahead. */
static void send_cookie_keys(struct connection *connection, uint32_t window)
{
    const uint32_t windows[3] = {window - 1, window + 1, window};
    struct bh_buf keys = bh_buf_make(1 << 10), body = bh_buf_make(1 << 11);
    uint8_t key[BH_VAULT_KEY_BYTES];

    for (size_t i = 0; i < 3; i++) {
        bh_vault_subkey(&connection->keyd->vault, "cookie", windows[i], key);
        bh_rec_subkey_put(&keys, &(struct bh_rec_subkey){windows[i], bh_str_of((const char *)key, sizeof(key))});
    }
    bh_msg_subkeys_put(&body, &(struct bh_msg_subkeys){BH_STR("cookie"), COOKIE_WINDOW_S, bh_buf_view(&keys)});
    keyd_send_body(connection, BH_MSG_SUBKEYS, 0, &body);
    bh_wipe(key, sizeof(key));
    bh_wipe(keys.p, keys.cap);
    bh_buf_free(&keys);
}

static void send_grant_key(struct connection *connection, const uint8_t key[BH_VAULT_KEY_BYTES])
{
    struct bh_buf body = bh_buf_make(64);

    bh_msg_grant_key_put(&body, &(struct bh_msg_grant_key){bh_str_of((const char *)key, BH_VAULT_KEY_BYTES)});
    keyd_send_body(connection, BH_MSG_GRANT_KEY, 0, &body);
}

/* sender makes bounce addresses, controld those of canaries; smtpd checks those that mail comes to, steward those that
 * it quotes. */
static bool knows_bounce_keys(const struct connection *connection)
{
    return connection->kind == BH_ROLE_SENDER || connection->kind == BH_ROLE_SMTPD ||
           connection->kind == BH_ROLE_STEWARD || connection->kind == BH_ROLE_CONTROLD;
}

static void send_secrets(struct connection *connection)
{
    const struct bh_vault *vault = &connection->keyd->vault;
    struct bh_buf body = bh_buf_make(64);
    uint8_t prefix[BH_VAULT_PREFIX_BYTES];

    bh_vault_prefix(vault, prefix);
    bh_msg_secrets_put(&body,
                       &(struct bh_msg_secrets){bh_str_of((const char *)prefix, sizeof(prefix)), vault->has_old});
    keyd_send_body(connection, BH_MSG_SECRETS, 0, &body);
}

static void send_controld_keys(struct connection *connection)
{
    struct keyd *keyd = connection->keyd;

    send_grant_key(connection, keyd->controld_grant_keys[0]);
    send_secrets(connection);
    send_bounce_keys(connection, keyd->told_period);
}

/* What each kind of peer is told when it comes. */
static void greet(struct connection *connection)
{
    struct keyd *keyd = connection->keyd;

    if (connection->kind == BH_ROLE_QUEUED)
        send_grant_key(connection, keyd->queued_grant_keys[0]);
    else if (connection->kind == BH_ROLE_CONTROLD)
        send_controld_keys(connection);
    else if (connection->kind == BH_ROLE_DNSD)
        send_cookie_keys(connection, keyd->told_cookies);
    else if (knows_bounce_keys(connection))
        send_bounce_keys(connection, keyd->told_period);
}

static uint32_t cookie_window(void)
{
    return (uint32_t)(bh_clock_now() / 1000 / COOKIE_WINDOW_S);
}

static void tell_new_cookies(struct keyd *keyd)
{
    uint32_t window = keyd->started ? cookie_window() : keyd->told_cookies;

    if (window == keyd->told_cookies)
        return;
    keyd->told_cookies = window;
    for (size_t i = 1; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &keyd->connections[i];

        if (connection->open && connection->said_hello && connection->kind == BH_ROLE_DNSD)
            send_cookie_keys(connection, window);
    }
}

static void tell_new_period(struct keyd *keyd)
{
    uint16_t period = keyd->started ? bh_verp_period(bh_clock_now()) : keyd->told_period;

    if (period == keyd->told_period)
        return;
    keyd->told_period = period;
    for (size_t i = 1; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &keyd->connections[i];

        if (connection->open && connection->said_hello && knows_bounce_keys(connection))
            send_bounce_keys(connection, period);
    }
}

/* ---- what the workers finished ---- */

static struct connection *connection_of(struct keyd *keyd, uint64_t number)
{
    for (size_t i = 1; i < CONNECTIONS_MAX; i++)
        if (keyd->connections[i].open && keyd->connections[i].number == number)
            return &keyd->connections[i];
    return NULL;
}

/* Signatures that belong to one request and stand next to each other go back in one message. */
static void collect_finished(struct keyd *keyd)
{
    struct bh_buf items = bh_buf_make(1 << 16);
    uint64_t counter;

    (void)!read(keyd->wake_fd, &counter, sizeof(counter));
    for (struct bh_job *job = bh_signer_finished(keyd->signer), *next; job; job = next) {
        struct connection *connection = connection_of(keyd, job->connection);

        next = job->next;
        keyd->jobs_waiting--;
        if (connection && (job->kind == BH_JOB_ZONE_SIGN || job->kind == BH_JOB_CONNECT_SIGN)) {
            keyd_answer_zone_sign(connection, job);
        } else if (connection && job->kind != BH_JOB_SIGN) {
            keyd_answer_key(connection, job);
        } else if (connection) {
            keyd_answer_signature(connection, job, &items);
            if (!next || next->kind != BH_JOB_SIGN || next->connection != job->connection ||
                next->request != job->request)
                keyd_reply_signatures(connection, job->request, &items);
        }
        bh_job_free(job);
    }
    bh_buf_free(&items);
}

/* ---- master ---- */

static bh_err start(struct keyd *keyd, bh_str body)
{
    struct bh_msg_start message;
    struct bh_buf ready = bh_buf_make(64);
    bh_err err = bh_msg_start_get(body, &message);

    if (err || keyd->started || !keyd->has_secret) {
        if (!keyd->has_secret)
            bh_logf(&keyd->log, BH_LOG_ERROR,
                    "no usable master secret: run behalf init, or restore keys/master.secret");
        return err ? err : BH_E_SYNTAX;
    }
    err = bh_config_get(message.config, &keyd->config);
    if (!err && message.landlock)
        err = bh_sandbox_paths(message.paths);
    if (!err)
        err = bh_sandbox_filter(message.filter);
    if (err)
        return err;
    keyd->signer = bh_signer_new(&keyd->vault, keyd->config->signer_threads, keyd->config->key_cache, keyd->wake_fd);
    if (!keyd->signer)
        return BH_E_NOMEM;
    keyd->told_period = bh_verp_period(bh_clock_now());
    keyd->told_cookies = cookie_window();
    keyd->started = true;
    bh_msg_ready_put(&ready, &(struct bh_msg_ready){(uint32_t)getpid()});
    keyd_send_body(&keyd->connections[0], BH_MSG_READY, 0, &ready);
    return BH_OK;
}

static void derive_grant_keys(struct keyd *keyd)
{
    const struct bh_vault *vault = &keyd->vault;

    bh_secret_subkey(vault->master, "grant/queued", 1, keyd->queued_grant_keys[0]);
    bh_secret_subkey(vault->master, "grant/controld", 1, keyd->controld_grant_keys[0]);
    bh_secret_subkey(vault->old_master, "grant/queued", 1, keyd->queued_grant_keys[1]);
    bh_secret_subkey(vault->old_master, "grant/controld", 1, keyd->controld_grant_keys[1]);
}

/* The signer and all who were told subkeys learn what there is now. */
static void use_vault(struct keyd *keyd)
{
    derive_grant_keys(keyd);
    if (!keyd->started)
        return;
    bh_signer_set_vault(keyd->signer, &keyd->vault);
    for (size_t i = 1; i < CONNECTIONS_MAX; i++)
        if (keyd->connections[i].open && keyd->connections[i].said_hello)
            greet(&keyd->connections[i]);
}

static bool same_bytes(const uint8_t *a, const uint8_t *b)
{
    return bh_str_eq_secret(bh_str_of((const char *)a, BH_SECRET_BYTES), bh_str_of((const char *)b, BH_SECRET_BYTES));
}

/* The file has changed while we run: a successor of our secret came, or the one before was dropped. Deliveries that
 * were handed out keep what they were handed until it has expired. */
static void change_secret(struct keyd *keyd, const struct bh_secrets *secrets)
{
    bool same = same_bytes(secrets->current, keyd->secrets.current);

    if (!same && !(secrets->has_old && same_bytes(secrets->old, keyd->secrets.current))) {
        bh_logf(&keyd->log, BH_LOG_ERROR,
                "the master secret's file holds one that does not follow ours: kept as it is");
        return;
    }
    if (same && secrets->has_old == keyd->secrets.has_old)
        return;
    keyd->secrets = *secrets;
    if (secrets->has_old) {
        keyd->forget_old_at = 0;
        bh_vault_set(&keyd->vault, secrets);
        bh_logf(&keyd->log, BH_LOG_INFO, "a new master secret seals from now on; the one before still opens");
    } else {
        keyd->forget_old_at = bh_clock_now() + BH_GRANT_LIFE_MS;
        bh_logf(&keyd->log, BH_LOG_INFO, "the master secret before this one is dropped");
    }
    use_vault(keyd);
}

static void forget_old_secret(struct keyd *keyd)
{
    if (!keyd->forget_old_at || bh_clock_now() < keyd->forget_old_at)
        return;
    keyd->forget_old_at = 0;
    bh_vault_forget_old(&keyd->vault);
    use_vault(keyd);
}

static bh_err take_secret(struct keyd *keyd, struct bh_ipc_message *message)
{
    struct bh_secrets secrets;

    if (message->fd_count != 1)
        return BH_E_SYNTAX;
    if (bh_vault_read(message->fds[0], &secrets)) {
        if (keyd->has_secret)
            bh_logf(&keyd->log, BH_LOG_ERROR, "the master secret's file cannot be read: kept as it is");
        return BH_OK; /* START says what is missing */
    }
    if (keyd->has_secret) {
        change_secret(keyd, &secrets);
    } else {
        keyd->secrets = secrets;
        bh_vault_set(&keyd->vault, &secrets);
        derive_grant_keys(keyd);
        keyd->has_secret = true;
    }
    bh_wipe(&secrets, sizeof(secrets));
    return BH_OK;
}

static bh_err reload(struct keyd *keyd, bh_str body)
{
    struct bh_msg_reload message;
    struct bh_config *config = NULL;
    struct bh_buf answer = bh_buf_make(16);
    bh_err err = bh_msg_reload_get(body, &message);

    if (!err)
        err = bh_config_get(message.config, &config);
    if (err)
        return err;
    bh_config_free(keyd->config);
    keyd->config = config;
    bh_msg_reloaded_put(&answer, &(struct bh_msg_reloaded){1});
    keyd_send_body(&keyd->connections[0], BH_MSG_RELOADED, 0, &answer);
    return BH_OK;
}

static bh_err add_peer(struct keyd *keyd, struct bh_ipc_message *message)
{
    struct bh_msg_peer peer;
    struct connection *free_slot = NULL;
    bh_err err = bh_msg_peer_get(message->body, &peer);

    if (err || message->fd_count != 1 || peer.role >= BH_ROLE_KINDS || peer.role == BH_ROLE_MASTER)
        return BH_E_SYNTAX;
    for (size_t i = 1; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &keyd->connections[i];

        if (connection->open && connection->kind == (enum bh_role_kind)peer.role &&
            connection->instance == peer.instance)
            close_connection(connection);
        if (!connection->open && !free_slot)
            free_slot = connection;
    }
    if (!free_slot)
        return BH_E_LIMIT;
    *free_slot = (struct connection){.keyd = keyd,
                                     .number = ++keyd->next_number,
                                     .kind = (enum bh_role_kind)peer.role,
                                     .instance = peer.instance,
                                     .open = true};
    err = bh_ipc_open(&free_slot->ipc, message->fds[0]);
    if (err) {
        free_slot->open = false;
        return err;
    }
    message->fds[0] = -1;
    say_hello(free_slot);
    return BH_OK;
}

static bh_err handle_master(struct keyd *keyd, struct bh_ipc_message *message)
{
    switch (message->type) {
    case BH_MSG_FILE:
        return take_secret(keyd, message);
    case BH_MSG_START:
        return start(keyd, message->body);
    case BH_MSG_PEER:
        return keyd->started ? add_peer(keyd, message) : BH_E_SYNTAX;
    case BH_MSG_RELOAD:
        return keyd->started ? reload(keyd, message->body) : BH_E_SYNTAX;
    case BH_MSG_DRAIN:
        keyd->ending = true;
        return BH_OK;
    default:
        return BH_E_SYNTAX;
    }
}

/* ---- receiving ---- */

static bh_err handle_hello(struct connection *connection, bh_str body)
{
    struct bh_msg_hello hello;
    bh_err err = bh_msg_hello_get(body, &hello);

    if (err)
        return err;
    if (hello.protocol != BH_PROTOCOL_VERSION || !bh_str_eq(hello.build, BH_STR(BH_VERSION)))
        return BH_E_VERSION;
    if (hello.role != (uint8_t)connection->kind)
        return BH_E_SYNTAX;
    connection->said_hello = true;
    if (connection->kind != BH_ROLE_MASTER)
        greet(connection);
    return BH_OK;
}

static bh_err on_message(void *ctx, struct bh_ipc_message *message)
{
    struct connection *connection = ctx;

    if (!connection->said_hello)
        return message->type == BH_MSG_HELLO ? handle_hello(connection, message->body) : BH_E_SYNTAX;
    if (connection->kind == BH_ROLE_MASTER)
        return handle_master(connection->keyd, message);
    if (connection->kind == BH_ROLE_SENDER && message->type == BH_MSG_SIGN)
        return keyd_handle_sign(connection, message);
    if (connection->kind == BH_ROLE_CONTROLD &&
        (message->type == BH_MSG_KEY_GENERATE || message->type == BH_MSG_KEY_IMPORT))
        return keyd_handle_key(connection, message);
    if (connection->kind == BH_ROLE_CONTROLD && message->type == BH_MSG_KEYS_REVOKED)
        return keyd_handle_revoked(connection, message);
    if (connection->kind == BH_ROLE_CONTROLD && message->type == BH_MSG_ZONE_SIGN)
        return keyd_handle_zone_sign(connection, message);
    if (connection->kind == BH_ROLE_CONTROLD && message->type == BH_MSG_KEY_RESEAL)
        return keyd_handle_reseal(connection, message);
    return BH_E_DENIED;
}

static void serve(struct connection *connection, short events)
{
    bh_err err = BH_OK;

    if (events & (POLLIN | POLLHUP | POLLERR))
        err = bh_ipc_receive(&connection->ipc, on_message, connection);
    if (err && connection->open) {
        if (err != BH_E_CLOSED)
            bh_logf(&connection->keyd->log, BH_LOG_ERROR, "%s/%u sent what it may not: %s",
                    bh_role_name(connection->kind), connection->instance, bh_err_text(err));
        close_connection(connection);
    }
}

static void flush_all(struct keyd *keyd)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &keyd->connections[i];
        bh_err err = connection->open ? bh_ipc_flush(&connection->ipc) : BH_OK;

        if (err && err != BH_E_AGAIN)
            close_connection(connection);
    }
}

/* Senders that have said hello wait until it is known which keys may sign no more. */
static bool may_be_heard(const struct connection *connection)
{
    return connection->kind != BH_ROLE_SENDER || !connection->said_hello || connection->keyd->revoked.known;
}

static void turn(struct keyd *keyd)
{
    struct pollfd fds[CONNECTIONS_MAX + 1];
    struct connection *owners[CONNECTIONS_MAX];
    nfds_t count = 0;

    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &keyd->connections[i];

        if (!connection->open)
            continue;
        owners[count] = connection;
        fds[count++] = (struct pollfd){
            connection->ipc.fd,
            (short)((may_be_heard(connection) ? POLLIN : 0) | (bh_ipc_pending(&connection->ipc) ? POLLOUT : 0)), 0};
    }
    fds[count] = (struct pollfd){keyd->wake_fd, POLLIN, 0};
    if (poll(fds, count + 1, TICK_MS) < 0 && errno != EINTR)
        keyd->ending = true;
    if (fds[count].revents)
        collect_finished(keyd);
    for (nfds_t i = 0; i < count; i++)
        if (fds[i].revents && owners[i]->open && owners[i]->ipc.fd == fds[i].fd && may_be_heard(owners[i]))
            serve(owners[i], fds[i].revents);
    tell_new_period(keyd);
    tell_new_cookies(keyd);
    forget_old_secret(keyd);
    flush_all(keyd);
}

/* ---- the process ---- */

static void clean_up(struct keyd *keyd)
{
    for (size_t i = CONNECTIONS_MAX; i > 0; i--)
        close_connection(&keyd->connections[i - 1]);
    bh_signer_free(keyd->signer);
    bh_revoked_free(&keyd->revoked);
    bh_config_free(keyd->config);
    bh_wipe(keyd, sizeof(*keyd));
    free(keyd);
}

int main(void)
{
    struct keyd *keyd = calloc(1, sizeof(*keyd));
    const struct rlimit no_core = {0, 0};
    bool failed;

    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    if (!keyd || sodium_init() < 0 || !OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
        return 1;
    keyd->log = (struct bh_log){2, BH_LOG_INFO, "keyd", getenv("JOURNAL_STREAM") == NULL};
    keyd->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    keyd->connections[0] = (struct connection){.keyd = keyd, .kind = BH_ROLE_MASTER, .open = true};
    if (keyd->wake_fd < 0 || bh_ipc_open(&keyd->connections[0].ipc, MASTER_FD) != BH_OK)
        return 1;
    say_hello(&keyd->connections[0]);
    flush_all(keyd);
    while (!keyd->ending)
        turn(keyd);
    failed = !keyd->started;
    clean_up(keyd);
    return failed;
}
