/* master.c: the supervisor. It parses the configuration file and nothing else; it binds, starts the roles each with its
 * own rights, connects them, and starts again what dies. Its own end ends them all: their connection to it breaks.
 *
 * Stopping goes by stages, so that each role still has those that it needs to finish: first smtpd and steward take
 * nothing new, then senders finish their sessions, then queued commits the results, then the rest. */
#include "master.h"
#include "config_file.h"
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LAST_STAGE = 4, STAGE_LIMIT_MS = 15000 };

/* ---- configuration ---- */

static void log_problems(struct bh_master *master, const struct bh_buf *problems)
{
    bh_str rest = bh_buf_view(problems);

    while (rest.n) {
        bh_str line = bh_str_cut(rest, '\n', &rest);

        if (line.n)
            bh_logf(&master->log, BH_LOG_ERROR, "%.*s", BH_FMT(line));
    }
}

static bh_err read_config(struct bh_master *master)
{
    struct bh_buf problems = bh_buf_make(1 << 16), bytes = bh_buf_make(BH_IPC_BODY_MAX / 2);
    struct bh_config *config = NULL;
    bh_err err = bh_config_file_read(master->config_path, &config, &problems);

    if (err)
        log_problems(master, &problems);
    bh_buf_free(&problems);
    if (!err) {
        bh_config_put(&bytes, config);
        err = bh_buf_err(&bytes);
    }
    if (err) {
        bh_buf_free(&bytes);
        bh_config_free(config);
        return err;
    }
    bh_config_free(master->config);
    bh_buf_free(&master->config_bytes);
    master->config = config;
    master->config_bytes = bytes;
    master->log.least = config->log_debug ? BH_LOG_DEBUG : BH_LOG_INFO;
    return BH_OK;
}

static void on_hangup(void *ctx)
{
    struct bh_master *master = ctx;
    struct bh_buf body = bh_buf_make(BH_IPC_BODY_MAX);

    bh_notify("RELOADING=1");
    if (read_config(master) != BH_OK) {
        bh_logf(&master->log, BH_LOG_ERROR, "the new configuration is not taken; the old one stays in force");
    } else {
        bh_msg_reload_put(&body, &(struct bh_msg_reload){bh_buf_view(&master->config_bytes)});
        for (size_t i = 0; i < master->child_count; i++) {
            if (master->children[i].state != BH_CHILD_READY)
                continue;
            bh_child_send_files(&master->children[i]);
            bh_child_send(&master->children[i], BH_MSG_RELOAD, bh_buf_view(&body), -1);
        }
        bh_logf(&master->log, BH_LOG_INFO,
                "configuration reloaded (listeners, processes, resolver and queue change at a restart)");
    }
    bh_buf_free(&body);
    bh_notify("READY=1");
}

/* ---- stopping ---- */

static bool stage_is_over(const struct bh_master *master)
{
    for (size_t i = 0; i < master->child_count; i++)
        if (master->children[i].pid && bh_rights_of(master->children[i].kind)->drain_stage <= master->drain_stage)
            return false;
    return true;
}

static void drain_stage(struct bh_master *master)
{
    struct bh_buf body = bh_buf_make(64);

    bh_msg_drain_put(&body, &(struct bh_msg_drain){STAGE_LIMIT_MS / 1000});
    for (size_t i = 0; i < master->child_count; i++) {
        struct bh_child *child = &master->children[i];

        if (!child->pid || bh_rights_of(child->kind)->drain_stage != master->drain_stage)
            continue;
        if (child->state == BH_CHILD_READY)
            bh_child_send(child, BH_MSG_DRAIN, bh_buf_view(&body), -1);
        else
            bh_child_kill(child, SIGTERM);
        child->state = BH_CHILD_DRAINING;
    }
    bh_buf_free(&body);
    bh_timer_set(&master->drain_limit, STAGE_LIMIT_MS);
}

static void advance_drain(struct bh_master *master)
{
    while (stage_is_over(master)) {
        if (master->drain_stage == LAST_STAGE) {
            bh_loop_stop(master->loop);
            return;
        }
        master->drain_stage++;
        drain_stage(master);
    }
}

static void on_drain_limit(void *ctx)
{
    struct bh_master *master = ctx;

    for (size_t i = 0; i < master->child_count; i++) {
        struct bh_child *child = &master->children[i];

        if (child->pid && bh_rights_of(child->kind)->drain_stage <= master->drain_stage) {
            bh_logf(&master->log, BH_LOG_WARN, "%s/%u did not finish in time: ending it", bh_role_name(child->kind),
                    child->instance);
            bh_child_kill(child, SIGKILL);
        }
    }
}

static void on_terminate(void *ctx)
{
    struct bh_master *master = ctx;

    if (master->stopping)
        return;
    bh_logf(&master->log, BH_LOG_INFO, "stopping");
    bh_notify("STOPPING=1");
    master->stopping = true;
    drain_stage(master);
    advance_drain(master);
}

void bh_master_give_up(struct bh_master *master)
{
    bh_logf(&master->log, BH_LOG_ERROR, "a role cannot start, for the reason above: ending");
    master->failed = true;
    on_terminate(master);
}

/* ---- children ---- */

static struct bh_child *child_of_pid(struct bh_master *master, pid_t pid)
{
    for (size_t i = 0; i < master->child_count; i++)
        if (master->children[i].pid == pid)
            return &master->children[i];
    return NULL;
}

static void on_child_signal(void *ctx)
{
    struct bh_master *master = ctx;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct bh_child *child = child_of_pid(master, pid);

        if (child)
            bh_child_exited(child, status);
    }
    if (master->stopping)
        advance_drain(master);
}

static void on_restart(void *ctx)
{
    struct bh_child *child = ctx;

    if (!child->master->stopping && bh_child_start(child) != BH_OK && !child->pid)
        bh_timer_set(&child->restart, 1000);
}

static bh_err add_children(struct bh_master *master, enum bh_role_kind kind, uint32_t count)
{
    bh_err err = BH_OK;

    for (uint32_t i = 0; i < count && !err; i++) {
        struct bh_child *child = &master->children[master->child_count];

        if (master->child_count == BH_CHILDREN_MAX)
            return BH_E_LIMIT;
        bh_child_init(child, master, kind, i);
        err = bh_timer_init(master->loop, &child->restart, on_restart, child);
        master->child_count++;
    }
    return err;
}

static bool has_web(const struct bh_config *c)
{
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].protocol == BH_LISTEN_HTTP || c->listeners[i].protocol == BH_LISTEN_HTTPS)
            return true;
    return false;
}

static bh_err start_all(struct bh_master *master)
{
    const struct bh_config *c = master->config;
    const struct {
        enum bh_role_kind kind;
        uint32_t count;
    } roles[] = {{BH_ROLE_KEYD, 1},
                 {BH_ROLE_CONTROLD, 1},
                 {BH_ROLE_QUEUED, 1},
                 {BH_ROLE_STEWARD, 1},
                 {BH_ROLE_READER, 1},
                 {BH_ROLE_SENDER, c->sender_count},
                 {BH_ROLE_DNSD, c->dnsd_count},
                 {BH_ROLE_SMTPD, c->smtpd_count},
                 {BH_ROLE_WEBD, has_web(c) ? 1u : 0u}};
    bh_err err = BH_OK;

    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]) && !err; i++)
        err = add_children(master, roles[i].kind, roles[i].count);
    for (size_t i = 0; i < master->child_count && !err; i++)
        err = bh_child_start(&master->children[i]);
    return err;
}

/* ---- the process ---- */

static void find_role_dir(struct bh_master *master)
{
    ssize_t n = readlink("/proc/self/exe", master->role_dir, sizeof(master->role_dir) - 1);
    char *slash;

    master->role_dir[n > 0 ? n : 0] = '\0';
    slash = strrchr(master->role_dir, '/');
    if (slash)
        *slash = '\0';
}

/* One master per state directory: `migrate` and `restore` look at the same lock. */
static bh_err take_lock(struct bh_master *master)
{
    struct bh_buf path = bh_buf_make(4096);

    bh_buf_printf(&path, "%.*s/lock", BH_FMT(master->config->state_dir));
    bh_buf_char(&path, '\0');
    master->lock_fd = bh_buf_err(&path) ? -1 : open(path.p, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bh_buf_free(&path);
    if (master->lock_fd < 0) {
        bh_logf(&master->log, BH_LOG_ERROR, "cannot open the lock file in state-dir: %m");
        return BH_E_IO;
    }
    if (flock(master->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        bh_logf(&master->log, BH_LOG_ERROR, "behalf runs already on %.*s", BH_FMT(master->config->state_dir));
        return BH_E_BUSY;
    }
    return BH_OK;
}

static bh_err check_secret(struct bh_master *master)
{
    struct bh_buf path = bh_buf_make(4096);
    int missing;

    bh_buf_printf(&path, "%.*s/keys/master.secret", BH_FMT(master->config->state_dir));
    bh_buf_char(&path, '\0');
    missing = bh_buf_err(&path) || access(path.p, R_OK) != 0;
    if (missing)
        bh_logf(&master->log, BH_LOG_ERROR, "%s is missing: run `behalf init` once", path.p ? path.p : "master.secret");
    bh_buf_free(&path);
    return missing ? BH_E_NOT_FOUND : BH_OK;
}

static bh_err watch_signals(struct bh_master *master)
{
    bh_err err = bh_loop_on_signal(master->loop, SIGCHLD, on_child_signal, master);

    (void)signal(SIGPIPE, SIG_IGN);
    if (!err)
        err = bh_loop_on_signal(master->loop, SIGTERM, on_terminate, master);
    if (!err)
        err = bh_loop_on_signal(master->loop, SIGINT, on_terminate, master);
    if (!err)
        err = bh_loop_on_signal(master->loop, SIGHUP, on_hangup, master);
    if (!err)
        err = bh_timer_init(master->loop, &master->drain_limit, on_drain_limit, master);
    return err;
}

static void say_start(struct bh_master *master)
{
    struct bh_buf lost = bh_buf_make(1024);

    bh_lost_protection(master, &lost);
    if (lost.n)
        bh_log_line(&master->log, BH_LOG_WARN, "starting with less protection", BH_KV("why", bh_buf_view(&lost)));
    bh_log_line(&master->log, BH_LOG_INFO, "starting", BH_KV("version", BH_STR(BH_VERSION)),
                BH_KV("platform", master->config->platform), BH_KV("state", master->config->state_dir));
    bh_buf_free(&lost);
}

static bh_err prepare(struct bh_master *master)
{
    bh_err err = read_config(master);

    if (!err)
        err = bh_make_directories(master);
    if (!err)
        err = take_lock(master);
    if (!err)
        err = check_secret(master);
    if (!err)
        err = bh_bind_all(master);
    if (!err)
        err = bh_bind_control(master);
    if (!err)
        err = watch_signals(master);
    return err;
}

static void clean_up(struct bh_master *master)
{
    for (size_t i = 0; i < master->child_count; i++) {
        bh_child_kill(&master->children[i], SIGKILL);
        bh_watch_stop(&master->children[i].watch);
        bh_ipc_close(&master->children[i].ipc);
        bh_timer_free(&master->children[i].restart);
    }
    for (size_t i = 0; i < master->bound_count; i++)
        (void)close(master->bound[i].fd);
    free(master->bound);
    bh_timer_free(&master->drain_limit);
    bh_buf_free(&master->config_bytes);
    bh_config_free(master->config);
    bh_loop_free(master->loop);
}

int bh_master_run(const char *program, const char *config_path)
{
    struct bh_master *master = calloc(1, sizeof(*master));
    bh_err err = BH_E_NOMEM;

    (void)program;
    if (!master || !(master->loop = bh_loop_new())) {
        free(master);
        return 1;
    }
    master->log = (struct bh_log){2, BH_LOG_INFO, "master", getenv("JOURNAL_STREAM") == NULL};
    master->config_path = config_path;
    master->config_bytes = bh_buf_make(BH_IPC_BODY_MAX / 2);
    master->as_root = geteuid() == 0;
    master->control_fd = master->lock_fd = -1;
    find_role_dir(master);
    err = prepare(master);
    if (!err) {
        say_start(master);
        err = start_all(master);
    }
    if (!err)
        err = bh_loop_run(master->loop);
    if (master->failed)
        err = BH_E_INVALID;
    clean_up(master);
    free(master);
    return err ? 1 : 0;
}
