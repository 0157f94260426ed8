/* sandbox.c: installing what master prepared. Debian 12's headers know landlock version 1 only, so the later rights are
 * named here by their numbers in the kernel's interface. */
#include "sandbox.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ACCESS_REFER (1ULL << 13)     /* version 2 */
#define ACCESS_TRUNCATE (1ULL << 14)  /* version 3 */
#define ACCESS_IOCTL_DEV (1ULL << 15) /* version 5 */

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_V1                                                                                                      \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_READ | LANDLOCK_ACCESS_FS_REMOVE_DIR |        \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |                     \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                       \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define ACCESS_WRITE                                                                                                   \
    (ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |      \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK | ACCESS_REFER |       \
     ACCESS_TRUNCATE)
#define ACCESS_OF_FILES                                                                                                \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE | ACCESS_TRUNCATE |     \
     ACCESS_IOCTL_DEV)

/* The kernel's struct of version 6; shorter ones are asked for by their length. */
struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net; /* version 4 */
    uint64_t scoped;             /* version 6 */
};

struct net_port_attr {
    uint64_t allowed_access;
    uint64_t port;
};

#define NET_BIND_TCP (1ULL << 0)
#define NET_CONNECT_TCP (1ULL << 1)
#define RULE_NET_PORT 2
#define SCOPE_ALL 3ULL /* abstract unix sockets and signals stay inside */

bh_err bh_sandbox_filter(bh_str program)
{
    struct sock_fprog fprog;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return BH_E_IO;
    if (program.n == 0)
        return BH_OK;
    if (program.n % sizeof(struct sock_filter) || program.n / sizeof(struct sock_filter) > BPF_MAXINSNS)
        return BH_E_SYNTAX;
    fprog.len = (unsigned short)(program.n / sizeof(struct sock_filter));
    fprog.filter = (struct sock_filter *)(uintptr_t)(const void *)program.p;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &fprog) == 0 ? BH_OK : BH_E_IO;
}

int bh_sandbox_landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return version > 0 ? (int)version : 0;
}

static uint64_t known_rights(int version)
{
    uint64_t rights = ACCESS_V1;

    if (version >= 2)
        rights |= ACCESS_REFER;
    if (version >= 3)
        rights |= ACCESS_TRUNCATE;
    if (version >= 5)
        rights |= ACCESS_IOCTL_DEV;
    return rights;
}

static bh_err allow(int ruleset, uint64_t known, bh_str entry)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = entry.p[0] == 'w' ? ACCESS_WRITE : ACCESS_READ};
    char path[PATH_MAX];
    struct stat st;
    bh_err err = bh_str_to_c(bh_str_skip(entry, 1), path, sizeof(path));
    int failed;

    if (err)
        return err;
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return BH_OK;
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= ACCESS_OF_FILES;
    rule.allowed_access &= known;
    failed = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0;
    (void)close(rule.parent_fd);
    return failed ? BH_E_IO : BH_OK;
}

static bool opens_tcp(bh_str entries)
{
    while (entries.n) {
        bh_str entry = bh_str_cut(entries, '\0', &entries);

        if (entry.n && entry.p[0] == 'n')
            return true;
    }
    return false;
}

/* Without network: no TCP at all. With it: any peer, but no port of ours that others could connect to. */
static int make_ruleset(int version, bool tcp)
{
    struct ruleset_attr attr = {.handled_access_fs = known_rights(version),
                                .handled_access_net = NET_BIND_TCP | (tcp ? 0 : NET_CONNECT_TCP),
                                .scoped = SCOPE_ALL};
    struct net_port_attr ephemeral = {NET_BIND_TCP, 0};
    size_t n = version >= 6 ? sizeof(attr) : version >= 4 ? offsetof(struct ruleset_attr, scoped) : sizeof(uint64_t);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, n, 0);

    if (ruleset >= 0 && version >= 4 && tcp &&
        syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &ephemeral, 0) != 0) {
        (void)close(ruleset);
        return -1;
    }
    return ruleset;
}

static bh_err add_entries(int ruleset, uint64_t known, bh_str entries)
{
    bh_err err = BH_OK;

    while (entries.n && !err) {
        bh_str entry = bh_str_cut(entries, '\0', &entries);

        if (entry.n < 2 || (entry.p[0] != 'r' && entry.p[0] != 'w' && entry.p[0] != 'n'))
            err = BH_E_SYNTAX;
        else if (entry.p[0] != 'n')
            err = allow(ruleset, known, entry);
    }
    return err;
}

bh_err bh_sandbox_paths(bh_str entries)
{
    int version = bh_sandbox_landlock_version(), ruleset;
    bh_err err;

    if (!version)
        return BH_OK;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return BH_E_IO;
    ruleset = make_ruleset(version, opens_tcp(entries));
    if (ruleset < 0)
        return BH_E_IO;
    err = add_entries(ruleset, known_rights(version), entries);
    if (!err && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        err = BH_E_IO;
    (void)close(ruleset);
    return err;
}
