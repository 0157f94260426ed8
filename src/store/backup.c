/* backup.c: see backup.h. */
#include "backup.h"
#include "internal.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct bh_store_backup {
    sqlite3 *copy;
    sqlite3_backup *work;
    bool complete;
    char path[4096];
};

static bh_err make_file(struct bh_store_backup *backup, const char *path)
{
    int fd;

    if (snprintf(backup->path, sizeof(backup->path), "%s", path) >= (int)sizeof(backup->path))
        return BH_E_LIMIT;
    (void)unlink(path);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return BH_E_IO;
    (void)close(fd);
    return BH_OK;
}

bh_err bh_store_backup_begin(struct bh_store *store, const char *path, struct bh_store_backup **ret_backup)
{
    struct bh_store_backup *backup = calloc(1, sizeof(*backup));
    bh_err err = backup ? make_file(backup, path) : BH_E_NOMEM;

    if (!err && sqlite3_open_v2(path, &backup->copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        err = BH_E_IO;
    /* it is synced as a whole at the end, and worth nothing before */
    if (!err && sqlite3_exec(backup->copy, "PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF", NULL, NULL, NULL))
        err = BH_E_IO;
    if (!err)
        backup->work = sqlite3_backup_init(backup->copy, "main", store->db, "main");
    if (!err && !backup->work)
        err = BH_E_IO;
    if (err)
        bh_store_backup_free(backup);
    else
        *ret_backup = backup;
    return err;
}

static bh_err finish(struct bh_store_backup *backup)
{
    int code = sqlite3_backup_finish(backup->work);
    int fd;
    bool synced;

    backup->work = NULL;
    if (sqlite3_close(backup->copy) != SQLITE_OK || code != SQLITE_OK)
        return BH_E_IO;
    backup->copy = NULL;
    fd = open(backup->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    backup->complete = synced;
    return synced ? BH_DONE : BH_E_IO;
}

bh_err bh_store_backup_step(struct bh_store_backup *backup, int pages)
{
    switch (sqlite3_backup_step(backup->work, pages)) {
    case SQLITE_DONE:
        return finish(backup);
    case SQLITE_OK:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return BH_MORE;
    default:
        return BH_E_IO;
    }
}

void bh_store_backup_free(struct bh_store_backup *backup)
{
    if (!backup)
        return;
    if (backup->work)
        (void)sqlite3_backup_finish(backup->work);
    if (backup->copy)
        (void)sqlite3_close(backup->copy);
    if (!backup->complete && *backup->path)
        (void)unlink(backup->path);
    free(backup);
}
