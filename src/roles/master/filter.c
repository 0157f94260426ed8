/* filter.c: the system calls of each role.
 *
 * The seccomp programs are made here, with libseccomp, and travel to the roles as bytes, so that no role links it. A
 * call outside the list fails with EPERM: a library that tries something unforeseen goes on or reports, and the test
 * inside each role sees the refusal. The lists follow from what each role was seen to do (strace on a working load,
 * with TLS, DNS over TCP, reload and restart) and from what its libraries do in cases that are rare. What reaches other
 * processes or the kernel's wide interfaces is on no list: ptrace, process_vm_*, kill, execve, fork, prctl, bpf, mount
 * …
 *
 * Calls with dangerous corners are allowed by argument: memory is never made executable, signals go to the process
 * itself only, threads but no processes are made, sockets are TCP or UDP, files are opened for reading unless the role
 * owns a directory. */
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a process does with itself and with descriptors that it was given. */
static const int base_calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sysinfo),
    SCMP_SYS(restart_syscall),
};

static const int loop_calls[] = {SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
                                 SCMP_SYS(epoll_pwait)};

/* On sockets to the world, whoever made them. */
static const int transfer_calls[] = {SCMP_SYS(recvfrom),   SCMP_SYS(sendto),      SCMP_SYS(recvmmsg),
                                     SCMP_SYS(sendmmsg),   SCMP_SYS(shutdown),    SCMP_SYS(getsockopt),
                                     SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername)};

static const int accept_calls[] = {SCMP_SYS(accept4), SCMP_SYS(getsockopt)};

static const int connect_calls[] = {SCMP_SYS(connect), SCMP_SYS(bind)};

static const int read_calls[] = {SCMP_SYS(newfstatat), SCMP_SYS(statx),      SCMP_SYS(access),   SCMP_SYS(faccessat),
                                 SCMP_SYS(faccessat2), SCMP_SYS(readlink),   SCMP_SYS(lseek),    SCMP_SYS(stat),
                                 SCMP_SYS(lstat),      SCMP_SYS(getdents64), SCMP_SYS(fadvise64)};

/* SQLite's and the spool's, on the role's own directory. */
static const int write_calls[] = {SCMP_SYS(openat),    SCMP_SYS(open),      SCMP_SYS(pwrite64),  SCMP_SYS(fsync),
                                  SCMP_SYS(fdatasync), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(unlink),
                                  SCMP_SYS(unlinkat),  SCMP_SYS(rename),    SCMP_SYS(renameat),  SCMP_SYS(linkat),
                                  SCMP_SYS(mkdir),     SCMP_SYS(mkdirat),   SCMP_SYS(rmdir),     SCMP_SYS(fchmod),
                                  SCMP_SYS(fchown),    SCMP_SYS(getcwd),    SCMP_SYS(fstatfs),   SCMP_SYS(statfs),
                                  SCMP_SYS(msync)};

static const int thread_calls[] = {SCMP_SYS(set_robust_list), SCMP_SYS(rseq)};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int failed = 0;

    for (size_t i = 0; i < count && !failed; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return failed;
}

/* `call` with each of the values in its argument `argument`. */
static int allow_values(scmp_filter_ctx filter, int call, unsigned argument, const scmp_datum_t *values, size_t count)
{
    int failed = 0;

    for (size_t i = 0; i < count && !failed; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_CMP64(argument, SCMP_CMP_EQ, values[i]));
    return failed;
}

/* `call` where the bits of `mask` in its argument are exactly `bits`. */
static int allow_bits(scmp_filter_ctx filter, int call, unsigned argument, scmp_datum_t mask, scmp_datum_t bits)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, bits));
}

static int add_memory_and_self(scmp_filter_ctx filter, pid_t pid)
{
    int failed = allow_bits(filter, SCMP_SYS(mmap), 2, PROT_EXEC, 0);

    if (!failed)
        failed = allow_bits(filter, SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
    if (!failed) /* abort() and assertions */
        failed = allow_values(filter, SCMP_SYS(tgkill), 0, (scmp_datum_t[]){(scmp_datum_t)pid}, 1);
    if (!failed) /* its own limits, to read */
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, SCMP_A0(SCMP_CMP_EQ, 0),
                                  SCMP_A2(SCMP_CMP_EQ, 0));
    return failed;
}

static int add_fcntl(scmp_filter_ctx filter, bool locks)
{
    static const scmp_datum_t plain[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC};
    static const scmp_datum_t locking[] = {F_GETLK, F_SETLK, F_OFD_GETLK, F_OFD_SETLK};
    int failed = allow_values(filter, SCMP_SYS(fcntl), 1, plain, COUNT(plain));

    return failed || !locks ? failed : allow_values(filter, SCMP_SYS(fcntl), 1, locking, COUNT(locking));
}

static int add_sockets(scmp_filter_ctx filter)
{
    static const scmp_datum_t families[] = {AF_INET, AF_INET6}, types[] = {SOCK_STREAM, SOCK_DGRAM};
    const scmp_datum_t type_mask = ~(scmp_datum_t)(SOCK_CLOEXEC | SOCK_NONBLOCK);
    static const scmp_datum_t requests[] = {FIONREAD, FIONBIO};
    int failed = allow(filter, connect_calls, COUNT(connect_calls));

    for (size_t i = 0; i < COUNT(families) * COUNT(types) && !failed; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, families[i / 2]),
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, types[i % 2]));
    return failed ? failed : allow_values(filter, SCMP_SYS(ioctl), 1, requests, COUNT(requests));
}

static int add_files(scmp_filter_ctx filter, const struct bh_role_rights *rights)
{
    int failed = allow(filter, read_calls, COUNT(read_calls));

    if (failed)
        return failed;
    if (rights->directory)
        return allow(filter, write_calls, COUNT(write_calls));
    return allow_bits(filter, SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND, O_RDONLY);
}

/* glibc asks clone3 first, whose flags no filter can see; told that it does not exist, it takes clone. */
static int add_threads(scmp_filter_ctx filter)
{
    const scmp_datum_t thread = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND | CLONE_FS | CLONE_FILES;
    const scmp_datum_t spaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE | CLONE_PARENT | CLONE_VFORK;
    int failed = allow(filter, thread_calls, COUNT(thread_calls));

    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return failed ? failed : allow_bits(filter, SCMP_SYS(clone), 0, thread | spaces, thread);
}

static int add_rules(scmp_filter_ctx filter, const struct bh_role_rights *rights, pid_t pid)
{
    int failed = allow(filter, base_calls, COUNT(base_calls));

    if (!failed)
        failed = add_memory_and_self(filter, pid);
    if (!failed)
        failed = add_fcntl(filter, rights->directory != NULL);
    if (!failed && rights->threads)
        failed = add_threads(filter);
    else if (!failed) /* keyd, which has threads, has no loop */
        failed = allow(filter, loop_calls, COUNT(loop_calls));
    if (!failed && rights->accepts)
        failed = allow(filter, accept_calls, COUNT(accept_calls));
    if (!failed && rights->talks)
        failed = allow(filter, transfer_calls, COUNT(transfer_calls));
    if (!failed && rights->opens_sockets)
        failed = add_sockets(filter);
    if (!failed && rights->opens_files)
        failed = add_files(filter, rights);
    if (!failed && rights->alarms)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setitimer), 0);
    if (!failed && rights->syncs_files)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fsync), 0);
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

bh_err bh_make_filter(const struct bh_role_rights *rights, pid_t pid, struct bh_buf *out)
{
#ifdef BH_SANITIZED
    (void)rights, (void)pid, (void)out, (void)add_rules, (void)export_filter;
    return BH_OK;
#else
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    bh_err err = BH_E_IO;

    if (!filter)
        return BH_E_NOMEM;
    if (add_rules(filter, rights, pid) == 0)
        err = export_filter(filter, out);
    seccomp_release(filter);
    return err;
#endif
}
