/* init.c: `behalf init` and `behalf migrate`: what works without a daemon on the state directory. */
#include "init.h"
#include "base/random.h"
#include "base/text.h"
#include "commands.h"
#include "control.h"
#include "roles/master/config_file.h"
#include "store/control.h"
#include "store/store.h"
#include "store/transport.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_BYTES = 32, PATH_BYTES = 4096 };

static const char init_help[] =
    "usage: behalf [--config FILE] init\n\n"
    "Makes the state directory, the master secret and the databases. Run it once, as the user that will run\n"
    "`behalf serve` (root, usually). It changes nothing that is there already. Keep a copy of\n"
    "STATE-DIR/keys/master.secret in a safe place: without it no stored key can ever be opened again.\n";

static const char migrate_help[] =
    "usage: behalf [--config FILE] migrate\n\n"
    "Brings the databases to the version of this build; refuses while behalf runs, and refuses databases of a\n"
    "newer build.\n";

struct database {
    const char *folder, *file;
    const struct bh_schema *schema;
    const char *owner;
};

static const struct database databases[] = {
    {"control", "control.db", &bh_control_schema, "controld"},
    {"spool", "spool.db", &bh_spool_schema, "queued"},
    {"reports", "transport.db", &bh_transport_schema, "steward"},
};

bool bh_state_folder(const char *noun, const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return true;
    (void)bh_cli_fail(noun, "cannot make %s: %m", path);
    return false;
}

/* Held until the process ends: master holds the same lock while it runs. */
bool bh_state_lock(const char *noun, const char *state_dir)
{
    char path[PATH_BYTES];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/lock", state_dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (fd >= 0)
        (void)bh_cli_fail(noun, "behalf runs on %s; stop it first", state_dir);
    else
        (void)bh_cli_fail(noun, "cannot open %s: %m", path);
    return false;
}

static bool write_whole(int fd, bh_str bytes)
{
    return write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n && fsync(fd) == 0;
}

static bool make_secret(const char *path)
{
    char secret[SECRET_BYTES];
    struct bh_buf text = bh_buf_make(256);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    bool ok;

    if (fd < 0 && errno == EEXIST) {
        (void)printf("master secret: %s is there already\n", path);
        return true;
    }
    bh_random_fill(&bh_random_os, secret, sizeof(secret));
    bh_hex_encode(&text, bh_str_of(secret, sizeof(secret)));
    bh_buf_char(&text, '\n');
    ok = fd >= 0 && write_whole(fd, bh_buf_view(&text));
    if (ok)
        (void)printf("master secret: made %s; keep a copy in a safe place\n", path);
    else
        (void)bh_cli_fail("init", "cannot write %s: %m", path);
    bh_wipe(secret, sizeof(secret));
    bh_wipe(text.p, text.cap);
    bh_buf_free(&text);
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

static bool migrate_one(const char *noun, const char *state_dir, const struct database *database)
{
    char path[PATH_BYTES];
    struct bh_store_options options = {.path = path, .schema = database->schema, .owner = database->owner};
    struct bh_store_problem problem = {""};
    struct bh_migration migration;

    (void)snprintf(path, sizeof(path), "%s/%s/%s", state_dir, database->folder, database->file);
    if (bh_store_migrate(&options, &problem, &migration) != BH_OK) {
        (void)bh_cli_fail(noun, "%s", problem.text);
        return false;
    }
    if (migration.from == migration.to)
        (void)printf("%s: version %u, nothing to do\n", path, migration.to);
    else
        (void)printf("%s: version %u to %u\n", path, migration.from, migration.to);
    return true;
}

int bh_state_dir(const struct bh_cli *cli, char path[BH_STATE_DIR_BYTES])
{
    struct bh_buf problems = bh_buf_make(1 << 16);
    struct bh_config *config = NULL;
    bh_err err = bh_config_file_read(cli->config_path, &config, &problems);

    if (err)
        (void)fprintf(stderr, "%.*s", BH_FMT(bh_buf_view(&problems)));
    else
        err = bh_str_to_c(config->state_dir, path, BH_STATE_DIR_BYTES);
    bh_buf_free(&problems);
    bh_config_free(config);
    return err ? BH_EXIT_USAGE : BH_EXIT_OK;
}

int bh_state_migrate(const char *noun, const char *state_dir)
{
    for (size_t i = 0; i < sizeof(databases) / sizeof(databases[0]); i++)
        if (!migrate_one(noun, state_dir, &databases[i]))
            return BH_EXIT_USAGE;
    return BH_EXIT_OK;
}

int bh_cli_init(struct bh_cli *cli, int argc, char **argv)
{
    char state_dir[BH_STATE_DIR_BYTES], path[PATH_BYTES];
    int status;

    if (!bh_cli_options(cli, &argc, argv, NULL, init_help, &status))
        return status;
    if (argc != 1)
        return bh_cli_fail("init", "takes no operand");
    status = bh_state_dir(cli, state_dir);
    if (status)
        return status;
    (void)umask(022);
    if (!bh_state_folder("init", state_dir, 0755) || !bh_state_lock("init", state_dir))
        return BH_EXIT_USAGE;
    (void)snprintf(path, sizeof(path), "%s/keys", state_dir);
    if (!bh_state_folder("init", path, 0700))
        return BH_EXIT_USAGE;
    (void)snprintf(path, sizeof(path), "%s/keys/master.secret", state_dir);
    if (!make_secret(path))
        return BH_EXIT_USAGE;
    for (size_t i = 0; i < sizeof(databases) / sizeof(databases[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", state_dir, databases[i].folder);
        if (!bh_state_folder("init", path, 0700))
            return BH_EXIT_USAGE;
    }
    return bh_state_migrate("init", state_dir);
}

int bh_cli_migrate(struct bh_cli *cli, int argc, char **argv)
{
    char state_dir[BH_STATE_DIR_BYTES];
    int status;

    if (!bh_cli_options(cli, &argc, argv, NULL, migrate_help, &status))
        return status;
    if (argc != 1)
        return bh_cli_fail("migrate", "takes no operand");
    status = bh_state_dir(cli, state_dir);
    if (status)
        return status;
    return bh_state_lock("migrate", state_dir) ? bh_state_migrate("migrate", state_dir) : BH_EXIT_USAGE;
}
