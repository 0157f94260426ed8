/* confine.c: what each role may do: its uid, its directory, its paths. The system calls are in filter.c. */
#include "internal.h"
#include "io/sandbox.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* clang-format off */
static const struct bh_role_rights rights_table[] = {
    {.kind = BH_ROLE_CONTROLD, .opens_files = true, .accepts = true, .directory = "control", .drain_stage = 3},
    {.kind = BH_ROLE_KEYD, .threads = true, .drain_stage = 4},
    {.kind = BH_ROLE_SMTPD, .talks = true, .accepts = true, .syncs_files = true, .drain_stage = 0},
    {.kind = BH_ROLE_WEBD, .talks = true, .accepts = true, .syncs_files = true, .drain_stage = 0},
    {.kind = BH_ROLE_QUEUED, .opens_files = true, .directory = "spool", .drain_stage = 2},
    {.kind = BH_ROLE_SENDER, .talks = true, .opens_sockets = true, .opens_files = true, .drain_stage = 1},
    {.kind = BH_ROLE_DNSD, .talks = true, .accepts = true, .drain_stage = 4},
    {.kind = BH_ROLE_STEWARD, .talks = true, .opens_sockets = true, .opens_files = true, .directory = "reports",
     .drain_stage = 0},
    {.kind = BH_ROLE_READER, .alarms = true, .drain_stage = 1},
};
/* clang-format on */

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

/* The same of a folder inside it that is still root's: restored bodies of messages. */
static void give_folder(const struct bh_master *master, const char *path, uid_t uid, gid_t gid)
{
    int fd = master->as_root ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    struct stat st;
    char self[64];

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_uid == 0) {
        (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
        give_files(master, self, uid, gid);
        (void)!fchown(fd, uid, gid);
    }
    (void)close(fd);
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
    if (!err && rights->kind == BH_ROLE_QUEUED) {
        (void)snprintf(path, sizeof(path), "%s/%s/body", state_dir, rights->directory);
        give_folder(master, path, uid, gid);
    }
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
    if (rights->opens_files) {
        add_path(out, 'r', BH_STR("/dev/urandom"), NULL); /* SQLite, libunbound */
        add_path(out, 'r', BH_STR("/usr/share/publicsuffix"),
                 NULL); /* libpsl; without it the list is as old as libpsl */
    }
    if (!rights->opens_sockets)
        return;
    add_path(out, 'n', BH_STR("tcp"), NULL);
    add_path(out, 'r', c->root_hints, NULL);
    add_path(out, 'r', c->trust_anchor, NULL);
    add_path(out, 'r', c->ca_file, NULL);
    add_path(out, 'r', BH_STR("/etc/ssl/openssl.cnf"), NULL);
    add_path(out, 'r', BH_STR("/etc/ssl/certs"), NULL);
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
