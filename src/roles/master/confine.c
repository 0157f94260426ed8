/* confine.c: what each role may do: its uid, its directory, its system calls, its paths.
 *
 * The seccomp programs are made here, with libseccomp, and travel to the roles as bytes, so that no role links it. A
 * call outside the list fails with EPERM: a library that tries something unforeseen goes on or reports, and the test
 * inside each role sees the refusal. */
#include "internal.h"
#include "io/sandbox.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct bh_role_rights rights_table[] = {
    {BH_ROLE_CONTROLD, false, true, false, "control", 3}, {BH_ROLE_KEYD, false, false, true, NULL, 4},
    {BH_ROLE_SMTPD, false, false, false, NULL, 0},        {BH_ROLE_QUEUED, false, true, false, "spool", 2},
    {BH_ROLE_SENDER, true, true, false, NULL, 1},         {BH_ROLE_DNSD, false, false, false, NULL, 4},
    {BH_ROLE_STEWARD, true, true, false, "reports", 0},
};

const struct bh_role_rights *bh_rights_of(enum bh_role_kind kind)
{
    for (size_t i = 0; i < sizeof(rights_table) / sizeof(rights_table[0]); i++)
        if (rights_table[i].kind == kind)
            return &rights_table[i];
    return NULL;
}

/* ---- uids and directories ---- */

bh_err bh_role_ids(const struct bh_master *master, enum bh_role_kind kind, uid_t *ret_uid, gid_t *ret_gid)
{
    char user[64];
    const struct passwd *entry;

    *ret_uid = 0;
    *ret_gid = 0;
    if (!master->as_root)
        return BH_OK;
    (void)snprintf(user, sizeof(user), "behalf-%s", bh_role_name(kind));
    entry = getpwnam(user);
    if (entry) {
        *ret_uid = entry->pw_uid;
        *ret_gid = entry->pw_gid;
        return BH_OK;
    }
    if (!master->config->uid_base) {
        bh_logf(&master->log, BH_LOG_ERROR,
                "no user %s and no uid-base: make the users (sysusers.d/behalf.conf) or set it", user);
        return BH_E_INVALID;
    }
    *ret_uid = master->config->uid_base + (uid_t)kind;
    *ret_gid = master->config->uid_base + (gid_t)kind;
    return BH_OK;
}

static bh_err make_directory(const struct bh_master *master, const char *path, mode_t mode, uid_t uid, gid_t gid)
{
    if (mkdir(path, mode) != 0 && errno != EEXIST) {
        bh_logf(&master->log, BH_LOG_ERROR, "cannot make %s: %m", path);
        return BH_E_IO;
    }
    if (master->as_root && (chown(path, uid, gid) != 0 || chmod(path, mode) != 0)) {
        bh_logf(&master->log, BH_LOG_ERROR, "cannot give %s to its role: %m", path);
        return BH_E_IO;
    }
    return BH_OK;
}

/* A role with a uid of its own must be able to walk down to its directory. */
static bh_err check_way(const struct bh_master *master, const char *path)
{
    char way[4096];

    for (size_t i = 1; path[i - 1] && i < sizeof(way) - 1; i++) {
        struct stat st;

        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(way, path, i);
        way[i] = '\0';
        if (stat(way, &st) == 0 && !(st.st_mode & S_IXOTH)) {
            bh_logf(&master->log, BH_LOG_ERROR,
                    "%s is closed to the roles' users (mode %03o), so they cannot reach %s; choose another state-dir",
                    way, st.st_mode & 0777, path);
            return BH_E_INVALID;
        }
    }
    return BH_OK;
}

/* What `init`, `migrate` and `restore` made as root becomes the role's. The directory is the role's own and could hold
 * links that it made: none is followed. */
static void give_files(const struct bh_master *master, const char *path, uid_t uid, gid_t gid)
{
    DIR *dir = master->as_root ? opendir(path) : NULL;

    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        struct stat st;

        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_nlink == 1 && st.st_uid == 0)
            (void)!fchownat(dirfd(dir), entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW);
    }
    if (dir)
        (void)closedir(dir);
}

static bh_err make_role_directory(const struct bh_master *master, const struct bh_role_rights *rights,
                                  const char *state_dir)
{
    char path[4096];
    uid_t uid;
    gid_t gid;
    bh_err err = bh_role_ids(master, rights->kind, &uid, &gid);

    if (err || !rights->directory)
        return err;
    (void)snprintf(path, sizeof(path), "%s/%s", state_dir, rights->directory);
    err = make_directory(master, path, 0700, uid, gid);
    if (!err)
        give_files(master, path, uid, gid);
    return err;
}

bh_err bh_make_directories(struct bh_master *master)
{
    char state_dir[2048], run_dir[2048];
    bh_err err = bh_str_to_c(master->config->state_dir, state_dir, sizeof(state_dir));

    if (!err)
        err = bh_str_to_c(master->config->run_dir, run_dir, sizeof(run_dir));
    if (!err)
        err = make_directory(master, state_dir, 0755, 0, 0);
    if (!err)
        err = make_directory(master, run_dir, 0755, 0, 0);
    for (size_t i = 0; i < sizeof(rights_table) / sizeof(rights_table[0]) && !err; i++)
        err = make_role_directory(master, &rights_table[i], state_dir);
    if (!err && master->as_root)
        err = check_way(master, state_dir);
    return err;
}

/* ---- system calls ---- */

static const int base_calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(preadv),
    SCMP_SYS(pwritev),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(lseek),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(mprotect),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime),
    SCMP_SYS(eventfd2),
    SCMP_SYS(pipe2),
    SCMP_SYS(pipe),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(getrusage),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(accept4),
    SCMP_SYS(accept),
    SCMP_SYS(fcntl),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(prctl),
    SCMP_SYS(getpriority),
    SCMP_SYS(membarrier),
};

static const int file_calls[] = {
    SCMP_SYS(open),       SCMP_SYS(openat),    SCMP_SYS(openat2),         SCMP_SYS(stat),       SCMP_SYS(lstat),
    SCMP_SYS(statx),      SCMP_SYS(access),    SCMP_SYS(faccessat),       SCMP_SYS(faccessat2), SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),   SCMP_SYS(rename),    SCMP_SYS(renameat),        SCMP_SYS(renameat2),  SCMP_SYS(link),
    SCMP_SYS(linkat),     SCMP_SYS(mkdir),     SCMP_SYS(mkdirat),         SCMP_SYS(rmdir),      SCMP_SYS(ftruncate),
    SCMP_SYS(truncate),   SCMP_SYS(fallocate), SCMP_SYS(flock),           SCMP_SYS(readlink),   SCMP_SYS(readlinkat),
    SCMP_SYS(chmod),      SCMP_SYS(fchmod),    SCMP_SYS(fchmodat),        SCMP_SYS(fchown),     SCMP_SYS(chown),
    SCMP_SYS(getdents64), SCMP_SYS(statfs),    SCMP_SYS(fstatfs),         SCMP_SYS(utimensat),  SCMP_SYS(getcwd),
    SCMP_SYS(umask),      SCMP_SYS(fadvise64), SCMP_SYS(sync_file_range), SCMP_SYS(msync),
};

static const int socket_calls[] = {SCMP_SYS(socket), SCMP_SYS(connect),    SCMP_SYS(bind),
                                   SCMP_SYS(listen), SCMP_SYS(socketpair), SCMP_SYS(ioctl)};

static const int thread_calls[] = {SCMP_SYS(clone),       SCMP_SYS(clone3),         SCMP_SYS(sched_setscheduler),
                                   SCMP_SYS(setpriority), SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler),
                                   SCMP_SYS(mlock),       SCMP_SYS(munlock),        SCMP_SYS(get_robust_list)};

static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int failed = 0;

    for (size_t i = 0; i < count && !failed; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return failed;
}

#define ALLOW(filter, calls) allow((filter), (calls), sizeof(calls) / sizeof((calls)[0]))

static int add_rules(scmp_filter_ctx filter, const struct bh_role_rights *rights)
{
    int failed = ALLOW(filter, base_calls);

    if (!failed && rights->opens_files)
        failed = ALLOW(filter, file_calls);
    if (!failed && rights->opens_sockets)
        failed = ALLOW(filter, socket_calls);
    if (!failed && rights->threads)
        failed = ALLOW(filter, thread_calls);
    if (!failed) /* abort() and assertions reach only the process itself */
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 0);
    if (!failed) /* reading and lowering one's own limits (pid 0), not another's */
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0));
    return failed;
}

static bh_err export_filter(scmp_filter_ctx filter, struct bh_buf *out)
{
    int fd = memfd_create("filter", MFD_CLOEXEC);
    off_t size;
    char *room;
    bh_err err = BH_E_IO;

    if (fd < 0)
        return BH_E_IO;
    if (seccomp_export_bpf(filter, fd) == 0 && (size = lseek(fd, 0, SEEK_END)) > 0) {
        room = bh_buf_reserve(out, (size_t)size);
        if (room && pread(fd, room, (size_t)size, 0) == size) {
            bh_buf_commit(out, (size_t)size);
            err = BH_OK;
        }
    }
    (void)close(fd);
    return err;
}

bh_err bh_make_filter(const struct bh_role_rights *rights, struct bh_buf *out)
{
#ifdef BH_SANITIZED
    (void)rights, (void)out, (void)add_rules, (void)export_filter;
    return BH_OK;
#else
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    bh_err err = BH_E_IO;

    if (!filter)
        return BH_E_NOMEM;
    if (add_rules(filter, rights) == 0)
        err = export_filter(filter, out);
    seccomp_release(filter);
    return err;
#endif
}

/* ---- paths ---- */

static void add_path(struct bh_buf *out, char right, bh_str path, const char *below)
{
    if (path.n == 0)
        return;
    bh_buf_char(out, right);
    bh_buf_add(out, path);
    if (below)
        bh_buf_printf(out, "/%s", below);
    bh_buf_char(out, '\0');
}

void bh_make_paths(const struct bh_master *master, const struct bh_role_rights *rights, struct bh_buf *out)
{
    const struct bh_config *c = master->config;

    if (rights->directory)
        add_path(out, 'w', c->state_dir, rights->directory);
    if (!rights->opens_sockets)
        return;
    add_path(out, 'r', c->root_hints, NULL);
    add_path(out, 'r', c->trust_anchor, NULL);
    add_path(out, 'r', c->ca_file, NULL);
    add_path(out, 'r', BH_STR("/etc/ssl"), NULL); /* OpenSSL's configuration */
    add_path(out, 'r', BH_STR("/dev/urandom"), NULL);
}

void bh_lost_protection(const struct bh_master *master, struct bh_buf *out)
{
    if (!master->as_root)
        bh_buf_add(out,
                   BH_STR("not started as root: all roles share one user, so files and memory are not kept apart"));
    if (bh_sandbox_landlock_version() == 0)
        bh_buf_printf(out, "%sno landlock in this kernel: paths are not restricted", out->n ? "; " : "");
#ifdef BH_SANITIZED
    bh_buf_printf(out, "%ssanitizer build: no seccomp, no landlock", out->n ? "; " : "");
#endif
}
