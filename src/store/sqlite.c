/* sqlite.c: opening, locking and transactions on SQLite. See store.h.
 *
 * Settings, measured on the target workload: page_size 8192 and wal_autocheckpoint 4000 (a 10 KiB body is two
 * overflow pages instead of three; a checkpoint every 32 MiB). locking_mode=EXCLUSIVE keeps the WAL index in memory
 * and everybody else out. The lock on `<path>.owner` exists beside it so that a second opener learns whom to ask. */
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_TIMEOUT_MS = 2000, PATH_BYTES = 4096 };

bh_err bh_sqlite_err(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return BH_OK;
    case SQLITE_CONSTRAINT:
        return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
                       code == SQLITE_CONSTRAINT_ROWID
                   ? BH_E_EXISTS
                   : BH_E_INVALID;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return BH_E_BUSY;
    case SQLITE_NOMEM:
        return BH_E_NOMEM;
    case SQLITE_TOOBIG:
        return BH_E_LIMIT;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_READONLY:
    case SQLITE_PROTOCOL:
        return BH_E_IO;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return BH_E_DENIED;
    default:
        return BH_E_BUG;
    }
}

bh_err bh_sqlite_fail(struct bh_store *store, int code)
{
    (void)snprintf(store->error, sizeof(store->error), "%s",
                   store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(code));
    return bh_sqlite_err(code);
}

const char *bh_store_error(const struct bh_store *store)
{
    return store->error;
}

void bh_store_explain(struct bh_store_problem *problem, const char *format, ...)
{
    va_list args;

    if (!problem)
        return;
    va_start(args, format);
    (void)vsnprintf(problem->text, sizeof(problem->text), format, args);
    va_end(args);
}

bh_err bh_sqlite_exec(struct bh_store *store, const char *sql)
{
    int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? BH_OK : bh_sqlite_fail(store, sqlite3_extended_errcode(store->db));
}

bh_err bh_sqlite_pragma(struct bh_store *store, const char *sql, int64_t *ret_number)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        *ret_number = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return code == SQLITE_ROW ? BH_OK : bh_sqlite_fail(store, code);
}

/* ---- one owner per file ---- */

static void tell_holder(int fd, const char *path, struct bh_store_problem *problem)
{
    char holder[100];
    ssize_t n = pread(fd, holder, sizeof(holder) - 1, 0);

    holder[n > 0 ? n : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    bh_store_explain(problem, "%s is open in %s: ask it (the commands of `behalf` do), or stop it first", path,
                     *holder ? holder : "another process");
}

static bh_err take_lock(const struct bh_store_options *options, struct bh_store_problem *problem, int *ret_fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[PATH_BYTES];
    int fd;

    if (snprintf(path, sizeof(path), "%s.owner", options->path) >= (int)sizeof(path))
        return BH_E_LIMIT;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        bh_store_explain(problem, "cannot open %s: %s", path, strerror(errno));
        return BH_E_IO;
    }
    if (fcntl(fd, F_OFD_SETLK, &lock)) {
        tell_holder(fd, options->path, problem);
        (void)close(fd);
        return BH_E_BUSY;
    }
    /* who holds it is a courtesy to the next opener, so failing to write it (disk full) is no reason to stop */
    if (ftruncate(fd, 0) == 0)
        (void)dprintf(fd, "%s (process %ld)\n", options->owner, (long)getpid());
    *ret_fd = fd;
    return BH_OK;
}

/* ---- opening ---- */

static bh_err configure(struct bh_store *store, const struct bh_store_options *options, bool create)
{
    bh_err err = BH_OK;

    (void)sqlite3_extended_result_codes(store->db, 1);
    (void)sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    (void)sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, BH_STORE_VALUE_MAX);
    (void)sqlite3_limit(store->db, SQLITE_LIMIT_ATTACHED, 0);
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    /* else a query that might use a partial index is compiled anew with each value that is bound */
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
    if (create) /* has an effect on an empty file only */
        err = bh_sqlite_exec(store, "PRAGMA page_size=8192");
    if (!err)
        err = bh_sqlite_exec(store, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                    "PRAGMA wal_autocheckpoint=4000; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;"
                                    "PRAGMA cache_size=-16384");
    if (!err)
        err = bh_sqlite_exec(store, options->fast_delete ? "PRAGMA secure_delete=FAST" : "PRAGMA secure_delete=ON");
    return err;
}

static bh_err file_must_exist(const char *path, struct bh_store_problem *problem)
{
    struct stat st;

    if (stat(path, &st) == 0)
        return BH_OK;
    bh_store_explain(problem, "%s: %s; `behalf init` or `behalf migrate` creates it", path, strerror(errno));
    return errno == ENOENT ? BH_E_NOT_FOUND : BH_E_IO;
}

static bh_err create_private(const char *path, struct bh_store_problem *problem)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        bh_store_explain(problem, "cannot create %s: %s", path, strerror(errno));
        return BH_E_IO;
    }
    (void)close(fd);
    return BH_OK;
}

bh_err bh_sqlite_open(const struct bh_store_options *options, bool create, struct bh_store_problem *problem,
                      struct bh_store **ret_store)
{
    bool memory = !strcmp(options->path, ":memory:");
    struct bh_store *store = calloc(1, sizeof(*store));
    bh_err err = BH_OK;
    int code;

    if (!store)
        return BH_E_NOMEM;
    store->lock_fd = -1;
    if (!memory)
        err = create ? create_private(options->path, problem) : file_must_exist(options->path, problem);
    if (!err && !memory)
        err = take_lock(options, problem, &store->lock_fd);
    if (err)
        goto out;
    code =
        sqlite3_open_v2(options->path, &store->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (memory ? SQLITE_OPEN_CREATE : 0), options->vfs);
    err = code == SQLITE_OK ? configure(store, options, create) : bh_sqlite_fail(store, code);
    if (err)
        bh_store_explain(problem, "%s: %s", options->path, store->error);
out:
    if (err)
        bh_store_close(store);
    else
        *ret_store = store;
    return err;
}

void bh_store_close(struct bh_store *store)
{
    if (!store)
        return;
    if (store->in_tx)
        bh_store_rollback(store);
    bh_statements_free(store);
    (void)sqlite3_close(store->db);
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd);
    free(store);
}

/* ---- transactions ---- */

static const struct bh_query begin_query = {"BEGIN IMMEDIATE"};
static const struct bh_query commit_query = {"COMMIT"};
static const struct bh_query rollback_query = {"ROLLBACK"};

void bh_store_begin(struct bh_store *store)
{
    struct bh_result result;

    if (store->in_tx) {
        store->tx_err = BH_E_BUG;
        return;
    }
    store->tx_err = bh_store_run(store, &(struct bh_request){.query = &begin_query}, &result);
    store->in_tx = true;
}

void bh_store_rollback(struct bh_store *store)
{
    struct bh_result result;

    store->in_tx = false;
    store->tx_err = BH_OK;
    /* SQLite itself rolls back after some errors (disk full, I/O) */
    if (!sqlite3_get_autocommit(store->db) &&
        bh_store_run(store, &(struct bh_request){.query = &rollback_query}, &result))
        (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

bh_err bh_store_commit_wait(struct bh_store *store)
{
    bh_err err = store->in_tx ? store->tx_err : BH_E_BUG;
    struct bh_result result;

    if (!err && sqlite3_get_autocommit(store->db))
        err = BH_E_IO; /* rolled back behind our back */
    if (!err)
        err = bh_store_run(store, &(struct bh_request){.query = &commit_query}, &result);
    if (err)
        bh_store_rollback(store);
    store->in_tx = false;
    store->tx_err = BH_OK;
    return err;
}

void bh_store_commit(struct bh_store *store, void (*done)(void *ctx, bh_err err), void *ctx)
{
    bh_err err = bh_store_commit_wait(store);

    if (done)
        done(ctx, err);
}

bool bh_store_in_transaction(const struct bh_store *store)
{
    return store->in_tx;
}
