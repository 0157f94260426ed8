/* restore.c: `behalf restore DIR`: the state that `behalf backup` wrote, back in its place.
 *
 * Everything is read and compared with the manifest before anything is written; it is written beside the state,
 * brought to this build's version there, and moved into place at the end. What was there is moved aside, never
 * overwritten, and only when that was asked for. */
#include "base/text.h"
#include "commands.h"
#include "init.h"
#include "manifest.h"
#include "roles/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static const char help[] =
    "usage: behalf [--config FILE] restore DIR [--force]\n"
    "\n"
    "Puts the state that `behalf backup DIR` wrote into the state directory, with behalf stopped. Every file is "
    "checked\n"
    "against the manifest first; older databases are brought to this build's version. The master secret of the backup\n"
    "must be in DIR or in STATE-DIR/keys already.\n"
    "\n"
    "  --force  also where there is a state already: it is moved to STATE-DIR/replaced-TIME, not deleted\n";

static const struct {
    const char *name, *folder;
} places[] = {{"control.db", "control"}, {"spool.db", "spool"}, {"transport.db", "reports"}};

/* What is moved into place, in this order: without control.db behalf does not start. */
static const char *const folders[] = {"spool", "reports", "control"};

struct restore {
    const char *dir;
    bool force;
    char state_dir[BH_STATE_DIR_BYTES];
    int from, state, stage; /* directories */
    struct bh_buf text;
    struct bh_manifest manifest;
    bool has_secret;
    unsigned found; /* set of places */
    uint64_t files, bytes;
};

static int fail_file(bh_str name, const char *what)
{
    return bh_cli_fail("restore", "%.*s %s: this backup is damaged; nothing was changed", BH_FMT(name), what);
}

/* ---- checking ---- */

static int read_manifest(struct restore *restore)
{
    char path[PATH_BYTES];
    bh_err err;

    restore->from = open(restore->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (restore->from < 0)
        return bh_cli_fail("restore", "cannot open %s: %m", restore->dir);
    if (snprintf(path, sizeof(path), "%s/MANIFEST", restore->dir) >= (int)sizeof(path) ||
        bh_cli_read(path, BH_MANIFEST_MAX, false, &restore->text) != BH_OK)
        return bh_cli_fail("restore", "%s has no MANIFEST that can be read: it is no backup, or one that did not end",
                           restore->dir);
    err = bh_manifest_read(bh_buf_view(&restore->text), &restore->manifest);
    if (err == BH_E_VERSION)
        return bh_cli_fail("restore", "%s was made by a newer behalf, in a format that this one does not know",
                           restore->dir);
    return err ? fail_file(BH_STR("MANIFEST"), "is not what was written") : BH_EXIT_OK;
}

static int check_file(struct restore *restore, const struct bh_manifest_file *said)
{
    struct bh_manifest_file is;
    char name[PATH_BYTES];
    bh_err err = bh_str_to_c(said->name, name, sizeof(name));

    if (!err)
        err = bh_manifest_copy(restore->from, name, -1, NULL, &is);
    if (err)
        return fail_file(said->name, err == BH_E_NOT_FOUND ? "is missing" : "cannot be read");
    if (is.size != said->size)
        return fail_file(said->name, "is not as long as it was");
    if (memcmp(is.hash, said->hash, sizeof(is.hash)) != 0)
        return fail_file(said->name, "is not what was written");
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        restore->found |= bh_str_eq(said->name, bh_str_c(places[i].name)) ? 1U << i : 0;
    restore->has_secret = restore->has_secret || bh_str_eq(said->name, BH_STR("master.secret"));
    restore->files++;
    restore->bytes += said->size;
    return BH_EXIT_OK;
}

static int check_files(struct restore *restore)
{
    struct bh_manifest_file file;
    bh_str files = restore->manifest.files;
    int status = BH_EXIT_OK;
    bh_err err = BH_DONE;

    while (!status && (err = bh_manifest_next(&files, &file)) == BH_MORE)
        status = check_file(restore, &file);
    if (!status && err != BH_DONE)
        status = fail_file(BH_STR("MANIFEST"), "names files that no backup has");
    if (!status && restore->found != (1U << (sizeof(places) / sizeof(places[0]))) - 1)
        status = fail_file(BH_STR("MANIFEST"), "does not name every database");
    return status;
}

static bool has_id(const uint8_t secret[BH_SECRET_BYTES], bh_str id)
{
    struct bh_buf text = bh_buf_make(64);
    uint8_t bytes[BH_SECRET_ID_BYTES];
    bool same;

    bh_secret_id(secret, bytes);
    bh_hex_encode(&text, bh_str_of((const char *)bytes, sizeof(bytes)));
    same = bh_str_eq(bh_buf_view(&text), id);
    bh_buf_free(&text);
    return same;
}

/* The secret that the backup's keys are sealed by, from the backup or from where it stays. */
static int check_secret(const struct restore *restore)
{
    char text[BH_SECRET_FILE_MAX];
    struct bh_secrets secrets = {0};
    int fd = restore->has_secret ? openat(restore->from, "master.secret", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
                                 : openat(restore->state, "keys/master.secret", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    bool fits = n >= 0 && bh_secrets_parse(bh_str_of(text, (size_t)n), &secrets) == BH_OK &&
                (has_id(secrets.current, restore->manifest.secret) ||
                 (secrets.has_old && has_id(secrets.old, restore->manifest.secret)));

    if (fd >= 0)
        (void)close(fd);
    bh_wipe(text, sizeof(text));
    bh_wipe(&secrets, sizeof(secrets));
    if (fits)
        return BH_EXIT_OK;
    if (fd < 0)
        return bh_cli_fail("restore",
                           "the master secret (%.*s) is not in this backup; put your copy of it into "
                           "%s/keys/master.secret first",
                           BH_FMT(restore->manifest.secret), restore->state_dir);
    return bh_cli_fail("restore", "the master secret in %s is not that of the backup (%.*s); nothing was changed",
                       restore->has_secret ? restore->dir : restore->state_dir, BH_FMT(restore->manifest.secret));
}

static int check_state(const struct restore *restore)
{
    static const char *const files[] = {"control/control.db", "spool/spool.db", "reports/transport.db"};

    for (size_t i = 0; i < 3 && !restore->force; i++)
        if (faccessat(restore->state, files[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return bh_cli_fail("restore", "%s has a state already (%s); --force moves it aside", restore->state_dir,
                               files[i]);
    if (!restore->force && restore->has_secret && faccessat(restore->state, "keys/master.secret", F_OK, 0) == 0 &&
        check_secret(&(struct restore){.state = restore->state, .manifest = restore->manifest}))
        return bh_cli_fail("restore", "%s/keys has another master secret; --force moves it aside", restore->state_dir);
    return BH_EXIT_OK;
}

/* ---- writing, beside the state ---- */

static int make_stage(struct restore *restore, char stage[PATH_BYTES])
{
    static const char *const made[] = {"control", "spool", "spool/body", "reports", "keys"};
    bool ok = snprintf(stage, PATH_BYTES, "%s/restore-XXXXXX", restore->state_dir) < PATH_BYTES && mkdtemp(stage);

    restore->stage = ok ? open(stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    ok = restore->stage >= 0;
    for (size_t i = 0; ok && i < sizeof(made) / sizeof(made[0]); i++)
        ok = mkdirat(restore->stage, made[i], 0700) == 0;
    return ok ? BH_EXIT_OK : bh_cli_fail("restore", "cannot write in %s: %m", restore->state_dir);
}

static void place_of(bh_str name, char ret_path[PATH_BYTES])
{
    (void)snprintf(ret_path, PATH_BYTES, bh_str_eq(name, BH_STR("master.secret")) ? "keys/%.*s" : "spool/%.*s",
                   BH_FMT(name));
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (bh_str_eq(name, bh_str_c(places[i].name)))
            (void)snprintf(ret_path, PATH_BYTES, "%s/%s", places[i].folder, places[i].name);
}

static int write_files(const struct restore *restore)
{
    struct bh_manifest_file said, is;
    bh_str files = restore->manifest.files;
    char name[PATH_BYTES], place[PATH_BYTES];

    while (bh_manifest_next(&files, &said) == BH_MORE) {
        place_of(said.name, place);
        if (bh_str_to_c(said.name, name, sizeof(name)) ||
            bh_manifest_copy(restore->from, name, restore->stage, place, &is) != BH_OK)
            return bh_cli_fail("restore", "cannot write %.*s: %m; nothing was changed", BH_FMT(said.name));
        if (memcmp(is.hash, said.hash, sizeof(is.hash)) != 0)
            return fail_file(said.name, "changed while it was read");
    }
    return BH_EXIT_OK;
}

/* ---- moving into place ---- */

static bool move_aside(const struct restore *restore, int *aside, const char *name)
{
    char folder[64];

    if (faccessat(restore->state, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return true;
    if (*aside < 0) {
        (void)snprintf(folder, sizeof(folder), "replaced-%lld", (long long)time(NULL));
        if (mkdirat(restore->state, folder, 0700) != 0)
            return false;
        *aside = openat(restore->state, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return *aside >= 0 && renameat(restore->state, name, *aside, name) == 0;
}

/* The secret first: databases without it would be worth nothing. */
static bool move_in(const struct restore *restore)
{
    int aside = -1;
    bool ok = true;

    if (restore->has_secret)
        ok = move_aside(restore, &aside, "keys") && renameat(restore->stage, "keys", restore->state, "keys") == 0 &&
             fchmodat(restore->state, "keys/master.secret", 0400, 0) == 0;
    for (size_t i = 0; ok && i < sizeof(folders) / sizeof(folders[0]); i++)
        ok = move_aside(restore, &aside, folders[i]) &&
             renameat(restore->stage, folders[i], restore->state, folders[i]) == 0;
    if (aside >= 0)
        (void)close(aside);
    return ok && fsync(restore->state) == 0;
}

static int put_back(struct restore *restore)
{
    char stage[PATH_BYTES];
    int status = make_stage(restore, stage);

    if (!status)
        status = write_files(restore);
    if (!status)
        status = bh_state_migrate("restore", stage);
    if (!status && !move_in(restore))
        status = bh_cli_fail("restore", "cannot move the state into place: %m; do it again with --force");
    if (!status) {
        (void)unlinkat(restore->stage, "keys", AT_REMOVEDIR);
        (void)rmdir(stage);
        (void)printf("restored %s, made %.*s: %llu files, %llu bytes\n", restore->dir, BH_FMT(restore->manifest.made),
                     (unsigned long long)restore->files, (unsigned long long)restore->bytes);
        (void)printf("keys and credentials that were revoked after that time are valid again: revoke them once more\n");
    }
    return status;
}

int bh_cli_restore(struct bh_cli *cli, int argc, char **argv)
{
    struct restore restore = {.from = -1, .state = -1, .stage = -1};
    const struct bh_cli_option options[] = {{.name = "force", .flag = &restore.force}, {0}};
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc != 2)
        return bh_cli_fail("restore", "name one directory; see behalf restore --help");
    restore.dir = argv[1];
    status = bh_state_dir(cli, restore.state_dir);
    if (status)
        return status;
    (void)umask(022);
    if (!bh_state_folder("restore", restore.state_dir, 0755) || !bh_state_lock("restore", restore.state_dir))
        return BH_EXIT_USAGE;
    restore.state = open(restore.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    status = restore.state < 0 ? bh_cli_fail("restore", "cannot open %s: %m", restore.state_dir) : BH_EXIT_OK;
    if (!status)
        status = read_manifest(&restore);
    if (!status)
        status = check_files(&restore);
    if (!status)
        status = check_secret(&restore);
    if (!status)
        status = check_state(&restore);
    if (!status)
        status = put_back(&restore);
    bh_buf_free(&restore.text);
    return status;
}
