/* ports.c: listening sockets and who may connect: a limit in all, one per client address. A connection too many hears
 * 421 and is closed. */
#include "smtpd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { ACCEPTS_PER_TURN = 64, PAUSE_MS = 200 };
static const uint64_t inbound_bytes_max = 64 << 20; /* of mail to ourselves: a report may quote a whole message */

static void fill_config(struct port *port)
{
    const struct bh_config *c = port->smtpd->role->config;
    enum bh_smtp_profile profile = port->trust[0]                            ? BH_SMTP_PROFILE_TRUSTED
                                   : port->protocol == BH_LISTEN_SUBMISSIONS ? BH_SMTP_PROFILE_TLS
                                   : port->protocol == BH_LISTEN_SUBMISSION  ? BH_SMTP_PROFILE_SUBMISSION
                                                                             : BH_SMTP_PROFILE_PORT25;
    struct bh_smtp_server_config config = bh_smtp_server_config_default(profile);

    config.has_dsn = profile != BH_SMTP_PROFILE_PORT25; /* queued makes the notices */
    config.host_name = c->hostname;
    config.has_tls = port->smtpd->tls != NULL;
    config.max_message_bytes = c->message_size_max;
    if (profile == BH_SMTP_PROFILE_PORT25 && config.max_message_bytes > inbound_bytes_max)
        config.max_message_bytes = inbound_bytes_max;
    config.max_recipients = c->recipients_max;
    config.max_hold_s = profile == BH_SMTP_PROFILE_PORT25 ? 0 : BH_HOLD_MAX_S;
    port->config = config;
}

void smtpd_configure_ports(struct smtpd *smtpd)
{
    for (struct port *port = smtpd->ports; port; port = port->next)
        fill_config(port);
}

void smtpd_forget_client(struct smtpd *smtpd, struct client *client)
{
    if (!client || --client->sessions)
        return;
    bh_map_remove(&smtpd->clients, &client->node);
    free(client);
}

static struct client *count_client(struct smtpd *smtpd, const struct sockaddr_storage *from)
{
    const struct sockaddr_in *v4 = (const void *)from;
    const struct sockaddr_in6 *v6 = (const void *)from;
    bool mapped = from->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
    bool is_v6 = from->ss_family == AF_INET6 && !mapped;
    const char *bytes = is_v6    ? (const char *)&v6->sin6_addr
                        : mapped ? (const char *)&v6->sin6_addr + 12
                                 : (const char *)&v4->sin_addr;
    bh_str key = bh_str_of(bytes, is_v6 ? 8 : 4);
    struct bh_map_node *node = bh_map_get(&smtpd->clients, key);
    struct client *client = node ? BH_CONTAINER_OF(node, struct client, node) : calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    if (!node) {
        memcpy(client->key, key.p, key.n);
        client->key_n = key.n;
        if (bh_map_add(&smtpd->clients, bh_str_of(client->key, key.n), &client->node)) {
            free(client);
            return NULL;
        }
    }
    client->sessions++;
    return client;
}

static void turn_away(struct port *port, int fd, const char *address, const char *reply)
{
    if (port->protocol != BH_LISTEN_SUBMISSIONS)
        (void)!send(fd, reply, strlen(reply), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)close(fd);
    bh_log_line(&port->smtpd->role->log, BH_LOG_WARN, "connection refused", BH_KV("client", bh_str_c(address)),
                BH_KV("reply", bh_str_trim(bh_str_c(reply))));
}

static void write_address(const struct sockaddr_storage *from, char text[INET6_ADDRSTRLEN])
{
    const struct sockaddr_in6 *v6 = (const void *)from;
    const void *bytes = &((const struct sockaddr_in *)(const void *)from)->sin_addr;
    int family = AF_INET;

    if (from->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        bytes = (const char *)&v6->sin6_addr + 12;
    } else if (from->ss_family == AF_INET6) {
        bytes = &v6->sin6_addr;
        family = AF_INET6;
    }
    if (!inet_ntop(family, bytes, text, INET6_ADDRSTRLEN))
        text[0] = '\0';
}

static void take(struct port *port, int fd, const struct sockaddr_storage *from)
{
    struct smtpd *smtpd = port->smtpd;
    const struct bh_config *config = smtpd->role->config;
    char address[INET6_ADDRSTRLEN];
    struct client *client;

    write_address(from, address);
    if (smtpd->session_count >= config->session_limit) {
        turn_away(port, fd, address, "421 4.3.2 Too many connections, try again later\r\n");
        return;
    }
    client = count_client(smtpd, from);
    if (client && client->sessions > config->sessions_per_client) {
        smtpd_forget_client(smtpd, client);
        turn_away(port, fd, address, "421 4.7.0 Too many connections from your address\r\n");
        return;
    }
    session_begin(port, client, fd, address);
}

static void on_pause_over(void *ctx)
{
    struct port *port = ctx;

    if (port->fd >= 0)
        bh_watch_want(&port->watch, BH_READ);
}

static void on_connection(void *ctx, unsigned events)
{
    struct port *port = ctx;

    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof(from);
        int fd = accept4(port->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            take(port, fd, &from);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            bh_logf(&port->smtpd->role->log, BH_LOG_ERROR, "cannot accept a connection: %m");
            bh_watch_want(&port->watch, 0);
            bh_timer_set(&port->pause, PAUSE_MS);
        }
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

bh_err smtpd_add_port(struct smtpd *smtpd, const struct bh_listener *listener, int fd)
{
    struct port *port = calloc(1, sizeof(*port));
    bh_err err = port ? BH_OK : BH_E_NOMEM;

    if (!err) {
        port->smtpd = smtpd;
        port->fd = fd;
        port->protocol = listener->protocol;
        err = bh_str_to_c(listener->trust, port->trust, sizeof(port->trust));
    }
    if (!err && fcntl(fd, F_SETFL, O_NONBLOCK) != 0) /* several smtpd accept from it */
        err = BH_E_IO;
    if (!err)
        err = bh_timer_init(smtpd->role->loop, &port->pause, on_pause_over, port);
    if (!err)
        err = bh_watch_start(smtpd->role->loop, &port->watch, fd, BH_READ, on_connection, port);
    if (err) {
        (void)close(fd);
        free(port);
        return err;
    }
    fill_config(port);
    port->next = smtpd->ports;
    smtpd->ports = port;
    return BH_OK;
}

void smtpd_close_ports(struct smtpd *smtpd)
{
    for (struct port *port = smtpd->ports; port; port = port->next) {
        bh_watch_stop(&port->watch);
        bh_timer_free(&port->pause);
        if (port->fd >= 0)
            (void)close(port->fd);
        port->fd = -1;
    }
}
