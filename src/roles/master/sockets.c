/* sockets.c: binding. Master keeps every socket open for as long as it lives, so that a role that restarts finds its
 * clients waiting instead of refused. */
#include "config_file.h"
#include "internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t make_address(const struct bh_listener *listener, struct sockaddr_storage *ret_address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    char literal[INET6_ADDRSTRLEN];

    *ret_address = (struct sockaddr_storage){0};
    if (bh_str_to_c(listener->address, literal, sizeof(literal)) != BH_OK)
        return 0;
    if (inet_pton(AF_INET, literal, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(listener->port);
        return sizeof(*v4);
    }
    if (inet_pton(AF_INET6, literal, &v6->sin6_addr) != 1)
        return 0;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(listener->port);
    return sizeof(*v6);
}

static int bind_one(struct bh_master *master, const struct bh_listener *listener, bool datagram, bool shared)
{
    struct sockaddr_storage address;
    socklen_t n = make_address(listener, &address);
    int one = 1, bytes = 4 << 20;
    int fd = socket(address.ss_family, (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (shared)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (address.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (datagram)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    if (bind(fd, (struct sockaddr *)&address, n) != 0 || (!datagram && listen(fd, 1024) != 0)) {
        bh_logf(&master->log, BH_LOG_ERROR, "cannot listen on %.*s port %u: %m%s", BH_FMT(listener->address),
                listener->port,
                errno == EACCES       ? "; ports below 1024 need root or CAP_NET_BIND_SERVICE"
                : errno == EADDRINUSE ? "; another program has that port: see ss -lntup"
                                      : "");
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bh_err add_bound(struct bh_master *master, size_t index, uint32_t instance, bool datagram, bool shared)
{
    struct bh_bound *grown = reallocarray(master->bound, master->bound_count + 1, sizeof(*grown));
    int fd;

    if (!grown)
        return BH_E_NOMEM;
    master->bound = grown;
    fd = bind_one(master, &master->config->listeners[index], datagram, shared);
    if (fd < 0)
        return BH_E_IO;
    grown[master->bound_count++] = (struct bh_bound){index, instance, datagram, fd};
    return BH_OK;
}

/* SMTP listeners are one socket that all smtpd share; DNS gets a socket for each dnsd (SO_REUSEPORT), UDP and TCP. */
static bh_err bind_listener(struct bh_master *master, size_t index)
{
    const struct bh_config *c = master->config;
    bh_err err = BH_OK;

    if (c->listeners[index].protocol != BH_LISTEN_DNS)
        return add_bound(master, index, UINT32_MAX, false, false);
    for (uint32_t i = 0; i < c->dnsd_count && !err; i++) {
        err = add_bound(master, index, i, true, c->dnsd_count > 1);
        if (!err)
            err = add_bound(master, index, i, false, c->dnsd_count > 1);
    }
    return err;
}

bh_err bh_bind_all(struct bh_master *master)
{
    bh_err err = BH_OK;

    for (size_t i = 0; i < master->config->listener_count && !err; i++)
        err = bind_listener(master, i);
    return err;
}

int bh_bind_notifier(struct bh_master *master, int family)
{
    const struct bh_config *c = master->config;

    for (size_t i = 0; i < c->listener_count; i++) {
        struct bh_listener any_port = c->listeners[i];

        if (any_port.protocol != BH_LISTEN_DNS ||
            (bh_str_find(any_port.address, ':') < any_port.address.n) != (family == AF_INET6))
            continue;
        any_port.port = 0;
        return bind_one(master, &any_port, true, false);
    }
    return -1;
}

static void open_to_group(const struct bh_master *master, const char *path)
{
    char name[256];
    const struct group *group;

    (void)chmod(path, 0600);
    if (!master->config->control_group.n || bh_str_to_c(master->config->control_group, name, sizeof(name)) != BH_OK)
        return;
    group = getgrnam(name);
    if (!group || chown(path, (uid_t)-1, group->gr_gid) != 0 || chmod(path, 0660) != 0)
        bh_logf(&master->log, BH_LOG_WARN, "control-group %s cannot be given %s: only root may use it", name, path);
}

bh_err bh_bind_control(struct bh_master *master)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct bh_buf path = bh_buf_make(sizeof(address.sun_path) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    bh_buf_printf(&path, "%.*s/control.sock", BH_FMT(master->config->run_dir));
    if (bh_buf_err(&path) != BH_OK) {
        bh_logf(&master->log, BH_LOG_ERROR, "run-dir is too long for a socket's path");
        return BH_E_LIMIT;
    }
    memcpy(address.sun_path, path.p, path.n);
    bh_buf_free(&path);
    (void)unlink(address.sun_path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 128) != 0) {
        bh_logf(&master->log, BH_LOG_ERROR, "cannot listen on %s: %m", address.sun_path);
        return BH_E_IO;
    }
    open_to_group(master, address.sun_path);
    master->control_fd = fd;
    return BH_OK;
}
