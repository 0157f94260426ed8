/* backup.c: `behalf backup DIR`: a running system's state as files.
 *
 * Each database is copied by the process that owns it, beside it; queued gives the bodies that are files second names.
 * Then this command, which may read all of that, collects it, writes the manifest last, and removes the copies. No
 * role writes outside of its own directory, and nothing of this waits for a lock that mail needs. */
#include "base/clock.h"
#include "base/text.h"
#include "commands.h"
#include "control.h"
#include "init.h"
#include "manifest.h"
#include "roles/secret.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, POLL_MS = 100 };

static const char help[] =
    "usage: behalf backup DIR [--with-secret]\n"
    "\n"
    "Writes the state of the running behalf into DIR, which is made and must not have anything in it: all\n"
    "databases, the messages that wait, and a MANIFEST with checksums. Every message that was accepted before the\n"
    "command was called is in it. Run it as the user that runs `behalf serve` (root, usually). behalf-restore(1)\n"
    "brings it back.\n"
    "\n"
    "  --with-secret  the master secret, too: whoever has DIR can then sign for every customer. Without it a copy of\n"
    "                 STATE-DIR/keys/master.secret must be kept elsewhere, or no key in DIR can ever be opened\n";

struct backup {
    const char *dir;
    bool with_secret;
    int state, to, body;           /* directories */
    char secret[9], old_secret[9]; /* ids */
    struct bh_buf manifest;
    uint64_t files, bodies, bytes;
};

static const struct {
    const char *folder, *name;
} databases[] = {{"spool", "spool.db"}, {"control", "control.db"}, {"reports", "transport.db"}};

/* ---- directories ---- */

static int open_folder(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static bool is_empty(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    size_t entries = 0;

    while (list && readdir(list))
        entries++;
    if (list)
        (void)closedir(list);
    return list && entries == 2;
}

static int open_dirs(const struct bh_cli *cli, struct backup *backup)
{
    char state_dir[BH_STATE_DIR_BYTES];
    int status = bh_state_dir(cli, state_dir);

    if (status)
        return status;
    backup->state = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (backup->state < 0 || faccessat(backup->state, "keys", R_OK | X_OK, 0) != 0)
        return bh_cli_fail("backup", "cannot read %s: %m; run this as the user that runs behalf", state_dir);
    if (mkdir(backup->dir, 0700) != 0 && errno != EEXIST)
        return bh_cli_fail("backup", "cannot make %s: %m", backup->dir);
    backup->to = open(backup->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (backup->to < 0)
        return bh_cli_fail("backup", "cannot open %s: %m", backup->dir);
    if (!is_empty(backup->to))
        return bh_cli_fail("backup", "%s is not empty; name a new directory", backup->dir);
    if (fchmod(backup->to, 0700) != 0 || mkdirat(backup->to, "body", 0700) != 0 ||
        (backup->body = open_folder(backup->to, "body")) < 0)
        return bh_cli_fail("backup", "cannot write in %s: %m", backup->dir);
    return BH_EXIT_OK;
}

/* ---- the secret ---- */

static void id_of(const uint8_t secret[BH_SECRET_BYTES], char ret_text[9])
{
    struct bh_buf text = bh_buf_make(64);
    uint8_t id[BH_SECRET_ID_BYTES];

    bh_secret_id(secret, id);
    bh_hex_encode(&text, bh_str_of((const char *)id, sizeof(id)));
    ret_text[0] = '\0';
    (void)!bh_str_to_c(bh_buf_view(&text), ret_text, 9);
    bh_buf_free(&text);
}

static int read_ids(const struct backup *backup, char ret_secret[9], char ret_old[9])
{
    char text[BH_SECRET_FILE_MAX];
    struct bh_secrets secrets;
    int fd = openat(backup->state, "keys/master.secret", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    bh_err err = n < 0 ? BH_E_IO : bh_secrets_parse(bh_str_of(text, (size_t)n), &secrets);

    if (fd >= 0)
        (void)close(fd);
    ret_old[0] = '\0';
    if (!err) {
        id_of(secrets.current, ret_secret);
        if (secrets.has_old)
            id_of(secrets.old, ret_old);
        bh_wipe(&secrets, sizeof(secrets));
    }
    bh_wipe(text, sizeof(text));
    return err ? bh_cli_fail("backup", "keys/master.secret cannot be read: %s", bh_err_text(err)) : BH_EXIT_OK;
}

/* It must be the one that the copies were made under. */
static int check_ids(const struct backup *backup)
{
    char secret[9], old[9];
    int status = read_ids(backup, secret, old);

    if (!status && (strcmp(secret, backup->secret) != 0 || strcmp(old, backup->old_secret) != 0))
        status = bh_cli_fail("backup", "the master secret was exchanged meanwhile; do it again");
    return status;
}

/* ---- the copies, by their owners ---- */

static int have_copied(const struct bh_cli *cli)
{
    int status;
    json_t *answer = bh_control_ask(cli, "backup", "start", NULL, -1, &status);
    bool running = answer != NULL, failed = false;

    json_decref(answer);
    while (running) {
        answer = bh_control_ask(cli, "backup", "status", NULL, -1, &status);
        if (!answer)
            return status;
        running = json_is_true(json_object_get(answer, "running"));
        failed =
            json_is_true(json_object_get(answer, "failed")) || !json_integer_value(json_object_get(answer, "backup"));
        json_decref(answer);
        if (running)
            (void)usleep(POLL_MS * 1000);
    }
    if (failed)
        return bh_cli_fail("backup", "the databases could not be copied; the log says why (is the disk full?)");
    return status;
}

/* ---- collecting ---- */

static int add(struct backup *backup, bh_err err, struct bh_manifest_file *file, const char *name)
{
    if (err)
        return bh_cli_fail("backup", "cannot copy %s: %s", name, err == BH_E_IO ? strerror(errno) : bh_err_text(err));
    file->name = bh_str_c(name);
    bh_manifest_file(&backup->manifest, file);
    backup->files++;
    backup->bytes += file->size;
    return BH_EXIT_OK;
}

static int collect_database(struct backup *backup, size_t which)
{
    struct bh_manifest_file file;
    int from = open_folder(backup->state, databases[which].folder), status;

    status =
        add(backup, from < 0 ? BH_E_IO : bh_manifest_copy(from, "backup.db", backup->to, databases[which].name, &file),
            &file, databases[which].name);
    if (from >= 0) {
        (void)unlinkat(from, "backup.db", 0);
        (void)close(from);
    }
    return status;
}

static int collect_body(struct backup *backup, int from, const char *kept)
{
    struct bh_manifest_file file;
    char name[300];
    int status;

    (void)snprintf(name, sizeof(name), "body/%s", kept + 5); /* without "keep-" */
    status = add(backup, bh_manifest_copy(from, kept, backup->body, kept + 5, &file), &file, name);
    backup->bodies++;
    (void)unlinkat(from, kept, 0);
    return status;
}

static int collect_bodies(struct backup *backup)
{
    int spool = open_folder(backup->state, "spool"), from = spool < 0 ? -1 : open_folder(spool, "body");
    int again = from < 0 ? -1 : openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = again < 0 ? NULL : fdopendir(again);
    int status = list ? BH_EXIT_OK : bh_cli_fail("backup", "cannot read the bodies of messages: %m");

    for (const struct dirent *entry = list ? readdir(list) : NULL; entry; entry = readdir(list)) {
        if (!bh_str_starts(bh_str_c(entry->d_name), BH_STR("keep-")))
            continue;
        if (!status)
            status = collect_body(backup, from, entry->d_name);
        else /* they would hold room for nothing */
            (void)unlinkat(from, entry->d_name, 0);
    }
    if (list)
        (void)closedir(list);
    if (from >= 0)
        (void)close(from);
    if (spool >= 0)
        (void)close(spool);
    return status;
}

static int collect_secret(struct backup *backup)
{
    struct bh_manifest_file file;
    int status = check_ids(backup);

    if (status || !backup->with_secret)
        return status;
    return add(backup, bh_manifest_copy(backup->state, "keys/master.secret", backup->to, "master.secret", &file), &file,
               "master.secret");
}

static int write_manifest(struct backup *backup)
{
    int fd = openat(backup->to, "MANIFEST", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok;

    bh_manifest_end(&backup->manifest);
    ok = fd >= 0 && !bh_buf_err(&backup->manifest);
    for (size_t at = 0; ok && at < backup->manifest.n;) {
        ssize_t n = write(fd, backup->manifest.p + at, backup->manifest.n - at);

        ok = n > 0;
        at += ok ? (size_t)n : 0;
    }
    ok = ok && fsync(backup->body) == 0 && fsync(fd) == 0 && fsync(backup->to) == 0;
    if (fd >= 0)
        (void)close(fd);
    return ok ? BH_EXIT_OK : bh_cli_fail("backup", "cannot write the manifest: %m");
}

static int collect(struct backup *backup)
{
    int status = BH_EXIT_OK;

    bh_manifest_begin(&backup->manifest, BH_STR(BH_VERSION), bh_clock_now(), bh_str_c(backup->secret),
                      bh_str_c(backup->old_secret));
    for (size_t i = 0; i < sizeof(databases) / sizeof(databases[0]) && !status; i++)
        status = collect_database(backup, i);
    if (!status)
        status = collect_bodies(backup);
    if (!status)
        status = collect_secret(backup);
    return status ? status : write_manifest(backup);
}

static void say_done(const struct bh_cli *cli, const struct backup *backup)
{
    if (cli->json) {
        bh_cli_print_json(json_pack("{s:s, s:I, s:I, s:s, s:b}", "directory", backup->dir, "files",
                                    (json_int_t)backup->files, "bytes", (json_int_t)backup->bytes, "secret",
                                    backup->secret, "with_secret", backup->with_secret));
        return;
    }
    (void)printf("%s: %llu files, %llu bytes\n", backup->dir, (unsigned long long)backup->files,
                 (unsigned long long)backup->bytes);
    if (backup->with_secret)
        (void)printf("the master secret is in it: whoever has it can sign for every customer\n");
    else
        (void)printf("the master secret (%s) is NOT in it: without a copy of keys/master.secret no key in this backup "
                     "can ever be opened\n",
                     backup->secret);
}

int bh_cli_backup(struct bh_cli *cli, int argc, char **argv)
{
    struct backup backup = {.state = -1, .to = -1, .body = -1, .manifest = bh_buf_make(BH_MANIFEST_MAX)};
    const struct bh_cli_option options[] = {{.name = "with-secret", .flag = &backup.with_secret}, {0}};
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc != 2)
        return bh_cli_fail("backup", "name one directory; see behalf backup --help");
    backup.dir = argv[1];
    status = open_dirs(cli, &backup);
    if (!status)
        status = read_ids(&backup, backup.secret, backup.old_secret);
    if (!status)
        status = have_copied(cli);
    if (!status)
        status = collect(&backup);
    if (!status)
        say_done(cli, &backup);
    bh_buf_free(&backup.manifest);
    return status;
}
