/* child.c: one role process: started, told what it needs, watched, started again when it dies. */
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A role that could not start so often before all were ready once will not: serve ends, and says so. The tries last
 * some six seconds, so that what an earlier, killed serve still holds is given up meanwhile. */
enum { FIRST_TRIES = 7 };
enum { MASTER_FD = 3, FIRST_DELAY_MS = 50, LONGEST_DELAY_MS = 30000, HEALTHY_AFTER_MS = 60000 };

/* ---- talking to it ---- */

static void flush(void *ctx)
{
    struct bh_child *child = ctx;
    bh_err err = child->ipc.fd < 0 ? BH_OK : bh_ipc_flush(&child->ipc);

    bh_watch_want(&child->watch, err == BH_E_AGAIN ? BH_READ | BH_WRITE : BH_READ);
}

void bh_child_send(struct bh_child *child, uint16_t type, bh_str body, int fd)
{
    bh_err err;

    if (child->ipc.fd < 0)
        return;
    err = bh_ipc_send(&child->ipc, type, 0, body, &fd, fd >= 0 ? 1 : 0);
    if (err)
        bh_logf(&child->master->log, BH_LOG_ERROR, "cannot tell %s: %s", bh_role_name(child->kind), bh_err_text(err));
    bh_loop_defer(child->master->loop, &child->flush);
}

static void send_hello(struct bh_child *child)
{
    struct bh_buf body = bh_buf_make(256);

    bh_msg_hello_put(&body, &(struct bh_msg_hello){BH_PROTOCOL_VERSION, BH_STR(BH_VERSION), BH_ROLE_MASTER, 0});
    bh_child_send(child, BH_MSG_HELLO, bh_buf_view(&body), -1);
    bh_buf_free(&body);
}

static void send_file(struct bh_child *child, const char *purpose, bh_str path)
{
    char name[4096];
    struct bh_buf body = bh_buf_make(256);
    int fd;

    if (path.n == 0 || bh_str_to_c(path, name, sizeof(name)) != BH_OK)
        return;
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        bh_logf(&child->master->log, BH_LOG_ERROR, "cannot read %s (%s): %m", name, purpose);
        return;
    }
    bh_msg_file_put(&body, &(struct bh_msg_file){bh_str_c(purpose)});
    bh_child_send(child, BH_MSG_FILE, bh_buf_view(&body), fd);
    bh_buf_free(&body);
    (void)close(fd);
}

/* One dnsd tells the secondaries. Where several share the port, the answers must find it, so it has sockets for that.
 */
static void send_secondaries(struct bh_child *child)
{
    const struct bh_config *c = child->master->config;
    struct bh_buf body = bh_buf_make(64);

    for (size_t i = 0; i < c->secondary_count; i++)
        send_file(child, "tsig-key", c->secondaries[i].tsig_key);
    bh_msg_file_put(&body, &(struct bh_msg_file){BH_STR("notifier")});
    for (int i = 0; i < 2 && child->instance == 0 && c->secondary_count; i++) {
        int fd = bh_bind_notifier(child->master, i == 0 ? AF_INET : AF_INET6);

        if (fd < 0)
            continue;
        bh_child_send(child, BH_MSG_FILE, bh_buf_view(&body), fd);
        (void)close(fd);
    }
    bh_buf_free(&body);
}

void bh_child_send_files(struct bh_child *child)
{
    const struct bh_config *c = child->master->config;
    struct bh_buf path = bh_buf_make(4096), body = bh_buf_make(64);

    if (child->kind == BH_ROLE_SMTPD || child->kind == BH_ROLE_WEBD) {
        send_file(child, "tls-certificate", c->tls_certificate);
        send_file(child, "tls-key", c->tls_key);
    }
    if (child->kind == BH_ROLE_DNSD)
        send_secondaries(child);
    if (child->kind == BH_ROLE_KEYD) {
        bh_buf_printf(&path, "%.*s/keys/master.secret", BH_FMT(c->state_dir));
        send_file(child, "master-secret", bh_buf_view(&path));
    }
    if (child->kind == BH_ROLE_CONTROLD && child->state == BH_CHILD_STARTING) {
        bh_msg_file_put(&body, &(struct bh_msg_file){BH_STR("control-socket")});
        bh_child_send(child, BH_MSG_FILE, bh_buf_view(&body), child->master->control_fd);
    }
    bh_buf_free(&path);
    bh_buf_free(&body);
}

static bh_err send_start(struct bh_child *child)
{
    const struct bh_role_rights *rights = bh_rights_of(child->kind);
    struct bh_buf filter = bh_buf_make(1 << 17), paths = bh_buf_make(1 << 16), body = bh_buf_make(BH_IPC_BODY_MAX);
    bh_err err = bh_make_filter(rights, child->pid, &filter);

    bh_make_paths(child->master, rights, &paths);
    bh_msg_start_put(&body, &(struct bh_msg_start){.config = bh_buf_view(&child->master->config_bytes),
                                                   .filter = bh_buf_view(&filter),
                                                   .paths = bh_buf_view(&paths),
#ifndef BH_SANITIZED
                                                   .landlock = 1
#endif
                            });
    if (!err)
        err = bh_buf_err(&body);
    if (!err)
        bh_child_send(child, BH_MSG_START, bh_buf_view(&body), -1);
    bh_buf_free(&filter);
    bh_buf_free(&paths);
    bh_buf_free(&body);
    return err;
}

static bool takes(const struct bh_child *child, const struct bh_bound *bound)
{
    switch (child->master->config->listeners[bound->listener].protocol) {
    case BH_LISTEN_DNS:
        return child->kind == BH_ROLE_DNSD && bound->instance == child->instance;
    case BH_LISTEN_HTTP:
    case BH_LISTEN_HTTPS:
        return child->kind == BH_ROLE_WEBD;
    case BH_LISTEN_SMTP:
    case BH_LISTEN_SUBMISSION:
    case BH_LISTEN_SUBMISSIONS:
        break;
    }
    return child->kind == BH_ROLE_SMTPD;
}

static void send_listeners(struct bh_child *child)
{
    struct bh_master *master = child->master;
    struct bh_buf body = bh_buf_make(64);

    for (size_t i = 0; i < master->bound_count; i++) {
        const struct bh_bound *bound = &master->bound[i];

        if (!takes(child, bound))
            continue;
        bh_buf_clear(&body);
        bh_msg_listener_put(&body, &(struct bh_msg_listener){(uint32_t)bound->listener, bound->datagram});
        bh_child_send(child, BH_MSG_LISTENER, bh_buf_view(&body), bound->fd);
    }
    bh_buf_free(&body);
}

/* ---- what it says ---- */

static void announce_when_all_ready(struct bh_master *master)
{
    for (size_t i = 0; i < master->child_count; i++)
        if (master->children[i].state != BH_CHILD_READY)
            return;
    if (!master->announced) {
        bh_logf(&master->log, BH_LOG_INFO, "ready: %zu processes", master->child_count);
        bh_notify("READY=1\nSTATUS=all roles are up");
    }
    master->announced = true;
}

/* Its file has changed; every keyd gets it at once. */
static bh_err send_secret_again(struct bh_child *asking)
{
    struct bh_master *master = asking->master;

    if (asking->kind != BH_ROLE_CONTROLD)
        return BH_E_DENIED;
    for (size_t i = 0; i < master->child_count; i++)
        if (master->children[i].kind == BH_ROLE_KEYD && master->children[i].state == BH_CHILD_READY)
            bh_child_send_files(&master->children[i]);
    return BH_OK;
}

static bh_err on_message(void *ctx, struct bh_ipc_message *message)
{
    struct bh_child *child = ctx;
    struct bh_msg_hello hello;
    struct bh_msg_peer lost;
    bh_err err = BH_OK;

    switch (message->type) {
    case BH_MSG_HELLO:
        err = bh_msg_hello_get(message->body, &hello);
        if (!err && (hello.protocol != BH_PROTOCOL_VERSION || !bh_str_eq(hello.build, BH_STR(BH_VERSION))))
            err = BH_E_VERSION;
        child->said_hello = true;
        return err;
    case BH_MSG_READY:
        if (child->state != BH_CHILD_STARTING)
            return BH_E_SYNTAX;
        child->state = BH_CHILD_READY;
        send_listeners(child);
        bh_wire(child);
        announce_when_all_ready(child->master);
        return BH_OK;
    case BH_MSG_PEER_LOST:
        err = bh_msg_peer_get(message->body, &lost);
        if (!err && lost.role < child->kind) /* both ends tell: one answer is enough */
            bh_wire_pair(child, (enum bh_role_kind)lost.role, lost.instance);
        return err;
    case BH_MSG_RELOADED:
        return BH_OK;
    case BH_MSG_SECRET_AGAIN:
        return send_secret_again(child);
    default:
        return BH_E_SYNTAX;
    }
}

static void on_ready(void *ctx, unsigned events)
{
    struct bh_child *child = ctx;
    bh_err err = events & BH_READ ? bh_ipc_receive(&child->ipc, on_message, child) : BH_OK;

    if (err) { /* it died, or it speaks nonsense and must: SIGCHLD does the rest */
        if (err != BH_E_CLOSED)
            bh_logf(&child->master->log, BH_LOG_ERROR, "%s/%u sent what it may not (%s): ending it",
                    bh_role_name(child->kind), child->instance, bh_err_text(err));
        bh_watch_stop(&child->watch);
        if (err != BH_E_CLOSED)
            bh_child_kill(child, SIGKILL);
        return;
    }
    if (events & BH_WRITE)
        flush(child);
}

/* ---- starting it ---- */

static int open_program(const struct bh_master *master, enum bh_role_kind kind)
{
    const char *role = bh_role_name(kind);
    char path[4096 + 64];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", master->role_dir, role);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) { /* an installation that stands elsewhere than it was built for */
        (void)snprintf(path, sizeof(path), "%s/../libexec/behalf/%s", master->role_dir, role);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        (void)snprintf(path, sizeof(path), "%s/%s", BH_LIBEXECDIR, role);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0)
        bh_logf(&master->log, BH_LOG_ERROR,
                "cannot find the program of role %s (looked in %s, %s/../libexec/behalf and %s)", role,
                master->role_dir, master->role_dir, BH_LIBEXECDIR);
    return fd;
}

/* Whatever stands on 0 (the terminal of the operator who starts behalf by hand), the role does not get it; nor what an
 * inattentive parent of ours left open. `program` is closed by the exec. */
static bool leave_descriptors_behind(void)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        return false;
    (void)close_range(MASTER_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    return true;
}

/* In the child: only descriptors 0-3 survive, the uid is the role's, and a role outlives master for no longer than the
 * kernel takes to tell it. */
__attribute__((noreturn)) static void become_role(const struct bh_child *child, int program, int fd, uid_t uid,
                                                  gid_t gid)
{
    char instance[32], name[32], journal[] = "JOURNAL_STREAM=1";
    char *argv[] = {name, NULL};
    char *envp[] = {instance, NULL, NULL};
    sigset_t none;

    (void)snprintf(instance, sizeof(instance), "BEHALF_INSTANCE=%u", child->instance);
    (void)snprintf(name, sizeof(name), "behalf-%s", bh_role_name(child->kind));
    if (getenv("JOURNAL_STREAM"))
        envp[1] = journal;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (program == MASTER_FD)
        program = fcntl(program, F_DUPFD_CLOEXEC, 10);
    if (fd == MASTER_FD)
        (void)fcntl(fd, F_SETFD, 0);
    else if (dup2(fd, MASTER_FD) < 0)
        _exit(126);
    if (child->master->as_root &&
        (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0))
        _exit(126);
    if (chdir("/") != 0 || !leave_descriptors_behind())
        _exit(126);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)umask(077);
    (void)fexecve(program, argv, envp);
    _exit(127);
}

static bh_err spawn(struct bh_child *child, int *ret_fd)
{
    uid_t uid;
    gid_t gid;
    int fds[2];
    int program = open_program(child->master, child->kind);
    bh_err err = program < 0 ? BH_E_NOT_FOUND : bh_role_ids(child->master, child->kind, &uid, &gid);

    if (!err && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        err = BH_E_IO;
    if (err) {
        if (program >= 0)
            (void)close(program);
        return err;
    }
    child->pid = fork();
    if (child->pid == 0)
        become_role(child, program, fds[1], uid, gid);
    (void)close(program);
    (void)close(fds[1]);
    if (child->pid < 0) {
        (void)close(fds[0]);
        child->pid = 0;
        return BH_E_IO;
    }
    *ret_fd = fds[0];
    return BH_OK;
}

bh_err bh_child_start(struct bh_child *child)
{
    struct bh_master *master = child->master;
    int fd;
    bh_err err = spawn(child, &fd);

    if (!err)
        err = bh_ipc_open(&child->ipc, fd);
    if (!err)
        err = bh_watch_start(master->loop, &child->watch, fd, BH_READ, on_ready, child);
    if (err) {
        bh_logf(&master->log, BH_LOG_ERROR, "cannot start %s: %s", bh_role_name(child->kind), bh_err_text(err));
        return err;
    }
    child->state = BH_CHILD_STARTING;
    child->said_hello = false;
    child->started_at = bh_loop_monotonic(master->loop);
    send_hello(child);
    bh_child_send_files(child);
    return send_start(child);
}

void bh_child_kill(struct bh_child *child, int signal_number)
{
    if (child->pid > 0)
        (void)kill(child->pid, signal_number);
}

/* ---- when it ends ---- */

static void say_how_it_ended(const struct bh_child *child, int status, int64_t again_in_ms)
{
    const struct bh_log *log = &child->master->log;
    const char *name = bh_role_name(child->kind);

    if (WIFSIGNALED(status))
        bh_logf(log, BH_LOG_ERROR, "%s/%u (pid %d) was ended by signal %d; starting it again in %lld ms", name,
                child->instance, child->pid, WTERMSIG(status), (long long)again_in_ms);
    else
        bh_logf(log, BH_LOG_ERROR, "%s/%u (pid %d) ended with status %d; starting it again in %lld ms", name,
                child->instance, child->pid, WEXITSTATUS(status), (long long)again_in_ms);
}

static int64_t next_delay(struct bh_child *child)
{
    int64_t delay = FIRST_DELAY_MS;

    if (bh_loop_monotonic(child->master->loop) - child->started_at > HEALTHY_AFTER_MS)
        child->failures = 0;
    for (unsigned i = 0; i < child->failures && delay < LONGEST_DELAY_MS; i++)
        delay *= 2;
    child->failures++;
    return delay < LONGEST_DELAY_MS ? delay : LONGEST_DELAY_MS;
}

void bh_child_exited(struct bh_child *child, int status)
{
    int64_t delay;

    bh_watch_stop(&child->watch);
    bh_deferred_cancel(&child->flush);
    bh_ipc_close(&child->ipc);
    child->state = BH_CHILD_DOWN;
    if (child->master->stopping) {
        child->pid = 0;
        return;
    }
    delay = next_delay(child);
    say_how_it_ended(child, status, delay);
    child->pid = 0;
    if (!child->master->announced && child->failures > FIRST_TRIES)
        bh_master_give_up(child->master);
    else
        bh_timer_set(&child->restart, delay);
}

void bh_child_init(struct bh_child *child, struct bh_master *master, enum bh_role_kind kind, uint32_t instance)
{
    *child = (struct bh_child){.master = master, .kind = kind, .instance = instance, .ipc = {.fd = -1}};
    bh_deferred_init(&child->flush, flush, child);
}
