/* test_power_cut.c: the power fails at every moment of a run, and the ledger afterwards.
 *
 * A SQLite VFS and wrapped fsync, linkat, unlinkat write down what goes to the disk, between marks of what the outside
 * world was told (250, acknowledged results). For each prefix of that log disks are made as a power cut could leave
 * them: what was synced is there; of what was written since, all of it, nothing, or any part in any order, the last
 * write torn. On each disk the engine starts: every message that was answered with 250 and has no final word from the
 * world must be delivered with its own bytes, and nothing goes out again whose result was acknowledged. */
#include "queued_world.h"

#include "queue/message_id.h"
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILES = 3,
    SECTOR = 512,
    LOG_MAX = 40000,
    BODIES_MAX = 400,
    TOLD_MAX = 2000,
    OUTS_MAX = 4000,
    NAME_MAX_BYTES = 24
};

static const char *const suffixes[FILES] = {"", "-wal", "-journal"};

/* ---- the log ---- */

enum op_kind { OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_DELETE, OP_BODY_SYNC, OP_LINK, OP_UNLINK, OP_DIR_SYNC };

struct op {
    enum op_kind kind;
    int file;
    size_t at, n; /* of a write; truncate: n */
    char *bytes;
    ino_t inode;
    char name[NAME_MAX_BYTES];
};

static struct recorder {
    bool on;
    const struct world *world;
    struct op ops[LOG_MAX];
    size_t count;
} recorder; /* what libc's and SQLite's functions know of the test */

static struct op *add_op(enum op_kind kind, int file)
{
    struct op *op = &recorder.ops[recorder.count];

    assert_true(recorder.count < LOG_MAX);
    *op = (struct op){.kind = kind, .file = file};
    recorder.count++;
    return op;
}

static char *copy_of(const void *bytes, size_t n)
{
    char *copy = malloc(n + 1);

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    return copy;
}

/* ---- bodies: libc's calls ---- */

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __real_unlinkat(int dir, const char *name, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags);

int __wrap_fsync(int fd)
{
    struct stat st;

    if (recorder.on && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        (void)add_op(OP_DIR_SYNC, 0);
    } else if (recorder.on && S_ISREG(st.st_mode)) {
        struct op *op = add_op(OP_BODY_SYNC, 0);

        op->inode = st.st_ino;
        op->n = (size_t)st.st_size;
        op->bytes = malloc(op->n + 1);
        assert_int_equal(pread(fd, op->bytes, op->n, 0), (ssize_t)op->n);
    }
    return __real_fsync(fd);
}

int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    int result = __real_linkat(from_dir, from, to_dir, to, flags);
    struct stat st;

    if (recorder.on && result == 0 && fstatat(to_dir, to, &st, 0) == 0) {
        struct op *op = add_op(OP_LINK, 0);

        op->inode = st.st_ino;
        (void)snprintf(op->name, sizeof(op->name), "%s", to);
    }
    return result;
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
    int result = __real_unlinkat(dir, name, flags);

    if (recorder.on && result == 0)
        (void)snprintf(add_op(OP_UNLINK, 0)->name, NAME_MAX_BYTES, "%s", name);
    return result;
}

/* ---- the database: a VFS around the system's ---- */

struct shim {
    sqlite3_file base;
    int file;
    sqlite3_file *real;
};

static sqlite3_vfs *real_vfs(void)
{
    return sqlite3_vfs_find(NULL);
}

static struct shim *shim_of(sqlite3_file *file)
{
    return (struct shim *)(void *)file;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return shim_of(file)->real;
}

static int shim_close(sqlite3_file *f)
{
    return real_of(f)->pMethods->xClose(real_of(f));
}

static int shim_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xRead(real_of(f), to, n, at);
}

static int shim_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    if (recorder.on) {
        struct op *op = add_op(OP_WRITE, shim_of(f)->file);

        op->at = (size_t)at;
        op->n = (size_t)n;
        op->bytes = copy_of(from, (size_t)n);
    }
    return real_of(f)->pMethods->xWrite(real_of(f), from, n, at);
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    if (recorder.on)
        add_op(OP_TRUNCATE, shim_of(f)->file)->n = (size_t)size;
    return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int shim_sync(sqlite3_file *f, int flags)
{
    if (recorder.on)
        (void)add_op(OP_SYNC, shim_of(f)->file);
    return real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int shim_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int shim_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int shim_reserved(sqlite3_file *f, int *result)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), result);
}

static int shim_control(sqlite3_file *f, int op, void *argument)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, argument);
}

static int shim_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int shim_characteristics(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int number_of(const char *path)
{
    size_t n = path ? strlen(path) : 0;

    for (int i = 1; i < FILES; i++)
        if (n > strlen(suffixes[i]) && strcmp(path + n - strlen(suffixes[i]), suffixes[i]) == 0)
            return i;
    return 0;
}

static int shim_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *out_flags)
{
    /* version 1: no shared memory, so that the WAL works in exclusive mode only, as the store uses it */
    static const sqlite3_io_methods methods = {
        1,           shim_close,    shim_read,    shim_write,  shim_truncate,        shim_sync, shim_size, shim_lock,
        shim_unlock, shim_reserved, shim_control, shim_sector, shim_characteristics, NULL,      NULL,      NULL,
        NULL,        NULL,          NULL};
    struct shim *shim = shim_of(file);
    int result;

    (void)vfs;
    *shim = (struct shim){.file = number_of(path), .real = (sqlite3_file *)(void *)(shim + 1)};
    result = real_vfs()->xOpen(real_vfs(), path, shim->real, flags, out_flags);
    shim->base.pMethods = shim->real->pMethods ? &methods : NULL;
    return result;
}

static int shim_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    (void)vfs;
    if (recorder.on)
        (void)add_op(OP_DELETE, number_of(path));
    return real_vfs()->xDelete(real_vfs(), path, sync_dir);
}

static sqlite3_vfs recording;

static void register_vfs(void)
{
    recording = *real_vfs();
    recording.zName = "recording";
    recording.szOsFile = (int)sizeof(struct shim) + real_vfs()->szOsFile;
    recording.xOpen = shim_open;
    recording.xDelete = shim_delete;
    recording.pNext = NULL;
    assert_int_equal(sqlite3_vfs_register(&recording, 0), SQLITE_OK);
}

/* ---- disks ---- */

struct image {
    char *bytes;
    size_t n;
    bool exists;
};

struct body {
    char name[NAME_MAX_BYTES];
    ino_t inode;
    bool linked; /* durably */
    char *bytes; /* what was synced of the inode; NULL: nothing */
    size_t n;
};

/* What is certain after a prefix of the log, and where it ends. */
struct disk {
    struct image files[FILES];
    struct body bodies[BODIES_MAX];
    size_t body_count;
    size_t synced[FILES]; /* ops before this are in files[] */
    size_t dir_synced;
    size_t end;
};

static void grow(struct image *image, size_t n)
{
    if (n <= image->n)
        return;
    image->bytes = realloc(image->bytes, n);
    assert_non_null(image->bytes);
    memset(image->bytes + image->n, 0, n - image->n);
    image->n = n;
}

static void apply(struct image *image, const struct op *op, size_t n)
{
    if (op->kind == OP_WRITE) {
        grow(image, op->at + n);
        memcpy(image->bytes + op->at, op->bytes, n);
        image->exists = true;
    } else if (op->kind == OP_TRUNCATE) {
        grow(image, op->n);
        image->n = op->n;
        image->exists = true;
    } else if (op->kind == OP_DELETE) {
        image->n = 0;
        image->exists = false;
    }
}

static struct body *body_of_inode(struct disk *disk, ino_t inode)
{
    for (size_t i = disk->body_count; i-- > 0;)
        if (disk->bodies[i].inode == inode && !disk->bodies[i].linked)
            return &disk->bodies[i];
    assert_true(disk->body_count < BODIES_MAX);
    disk->bodies[disk->body_count] = (struct body){.inode = inode};
    return &disk->bodies[disk->body_count++];
}

static void settle_links(struct disk *disk, size_t end)
{
    for (size_t i = disk->dir_synced; i < end; i++) {
        const struct op *op = &recorder.ops[i];

        for (size_t b = 0; b < disk->body_count; b++) {
            if (op->kind == OP_LINK && strcmp(disk->bodies[b].name, op->name) == 0)
                disk->bodies[b].linked = true;
            if (op->kind == OP_UNLINK && strcmp(disk->bodies[b].name, op->name) == 0)
                disk->bodies[b].linked = false;
        }
    }
    disk->dir_synced = end;
}

/* One more op has happened. */
static void advance(struct disk *disk)
{
    const struct op *op = &recorder.ops[disk->end];
    struct body *body;

    switch (op->kind) {
    case OP_WRITE:
    case OP_TRUNCATE:
    case OP_DELETE:
        break;
    case OP_SYNC:
        for (size_t i = disk->synced[op->file]; i < disk->end; i++)
            if (recorder.ops[i].file == op->file && recorder.ops[i].kind <= OP_DELETE)
                apply(&disk->files[op->file], &recorder.ops[i], recorder.ops[i].n);
        disk->synced[op->file] = disk->end;
        break;
    case OP_BODY_SYNC:
        body = body_of_inode(disk, op->inode);
        body->bytes = op->bytes;
        body->n = op->n;
        break;
    case OP_LINK:
        body = body_of_inode(disk, op->inode);
        (void)snprintf(body->name, sizeof(body->name), "%s", op->name);
        break;
    case OP_UNLINK:
        break;
    case OP_DIR_SYNC:
        settle_links(disk, disk->end);
        break;
    }
    disk->end++;
}

/* ---- a cut ---- */

enum fate { ALL_WRITTEN, NOTHING_WRITTEN, SOME_WRITTEN, SOME_TORN, FATES };

static size_t pick_pending(const struct disk *disk, int file, size_t *pending, size_t max)
{
    size_t n = 0;

    for (size_t i = disk->synced[file]; i < disk->end && n < max; i++)
        if (recorder.ops[i].file == file && recorder.ops[i].kind <= OP_DELETE && recorder.ops[i].kind != OP_SYNC)
            pending[n++] = i;
    return n;
}

/* Any of them, in any order: fewer as the dice say, exchanged as they say. */
static size_t shuffle(struct bh_random *dice, size_t *pending, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (bh_random_below(dice, 2))
            pending[kept++] = pending[i];
    for (size_t i = 1; i < kept; i++) {
        size_t other = (size_t)bh_random_below(dice, i + 1), held = pending[i];

        pending[i] = pending[other];
        pending[other] = held;
    }
    return kept;
}

static void write_file(const char *path, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    (void)close(fd);
}

static void write_database(const struct disk *disk, enum fate fate, struct bh_random *dice, const struct world *probe)
{
    static size_t pending[LOG_MAX];
    char path[200];

    for (int f = 0; f < FILES; f++) {
        struct image image = {copy_of(disk->files[f].bytes ? disk->files[f].bytes : "", disk->files[f].n),
                              disk->files[f].n, disk->files[f].exists};
        size_t n = fate == NOTHING_WRITTEN ? 0 : pick_pending(disk, f, pending, LOG_MAX);

        if (fate >= SOME_WRITTEN)
            n = shuffle(dice, pending, n);
        for (size_t i = 0; i < n; i++) {
            const struct op *op = &recorder.ops[pending[i]];
            bool torn = fate == SOME_TORN && i + 1 == n && op->kind == OP_WRITE;

            apply(&image, op, torn ? (size_t)bh_random_below(dice, op->n / SECTOR + 1) * SECTOR : op->n);
        }
        (void)snprintf(path, sizeof(path), "%s%s", probe->db, suffixes[f]);
        if (image.exists)
            write_file(path, image.bytes, image.n);
        free(image.bytes);
    }
}

static void write_bodies(const struct disk *disk, enum fate fate, struct bh_random *dice, const struct world *probe)
{
    char path[200];

    for (size_t b = 0; b < disk->body_count; b++) {
        const struct body *body = &disk->bodies[b];
        bool there = body->linked;

        for (size_t i = disk->dir_synced; i < disk->end; i++) {
            const struct op *op = &recorder.ops[i];

            if ((op->kind != OP_LINK && op->kind != OP_UNLINK) || strcmp(op->name, body->name) != 0)
                continue;
            if (fate == ALL_WRITTEN || (fate != NOTHING_WRITTEN && bh_random_below(dice, 2)))
                there = op->kind == OP_LINK;
        }
        (void)snprintf(path, sizeof(path), "%s/%s", probe->body_dir, body->name);
        if (there && body->name[0])
            write_file(path, body->bytes ? body->bytes : "", body->bytes ? body->n : 0);
    }
}

/* ---- the ledger ---- */

struct told {
    size_t at; /* length of the log then */
    uint64_t message;
    uint32_t submit, idx;
    size_t sent_at; /* of a result: when the sender gave it */
};

struct run {
    struct world w;
    struct bh_random_seeded dice;
    uint32_t submits;
    size_t replies_seen;
    struct told accepted[TOLD_MAX], finals[TOLD_MAX]; /* finals: at = SIZE_MAX until acknowledged */
    size_t accepted_count, final_count;
    size_t cuts, lost, repeated, repeated_most;
};

static size_t size_of(uint32_t submit)
{
    return submit % 9 == 0 ? 132000 : 300 + submit % 900;
}

static uint32_t recipients_of(uint32_t submit)
{
    return submit % 5 == 0 ? 3 : 1;
}

static void note_acks(struct run *run)
{
    for (size_t i = 0; i < run->final_count; i++) {
        struct told *final = &run->finals[i];
        bool held = false;

        for (int s = 0; s < SENDERS; s++)
            for (size_t d = 0; d < run->w.senders[s].held_count; d++)
                held = held || (run->w.senders[s].held[d].message == final->message &&
                                run->w.senders[s].held[d].idx == final->idx);
        if (!held && final->at == SIZE_MAX)
            final->at = recorder.count;
    }
}

static void turn(struct run *run)
{
    world_turn(&run->w);
    for (; run->replies_seen < run->w.reply_count; run->replies_seen++) {
        const struct reply *reply = &run->w.replies[run->replies_seen];

        if (reply->ok)
            run->accepted[run->accepted_count++] =
                (struct told){.at = recorder.count, .message = reply->message, .submit = reply->id};
    }
    note_acks(run);
}

static void answer(struct run *run)
{
    struct sender *sender = &run->w.senders[bh_random_below(&run->dice.base, SENDERS)];
    struct delivery *d;
    size_t at;

    if (!sender->held_count)
        return;
    at = (size_t)bh_random_below(&run->dice.base, sender->held_count);
    d = &sender->held[at];
    if (!d->open)
        return;
    if (bh_random_below(&run->dice.base, 5) == 0) {
        world_result(&run->w, sender, at, BH_DEFERRED);
        return;
    }
    run->finals[run->final_count++] =
        (struct told){.at = SIZE_MAX, .message = d->message, .idx = d->idx, .sent_at = recorder.count};
    world_result(&run->w, sender, at, BH_DELIVERED);
}

static void record(struct run *run, int steps)
{
    for (int i = 0; i < SENDERS; i++)
        world_connect(&run->w, &run->w.senders[i], 12);
    for (int i = 0; i < steps; i++) {
        uint64_t what = bh_random_below(&run->dice.base, 10);

        if (what < 3) {
            run->submits++;
            world_submit(&run->w, run->submits, size_of(run->submits), recipients_of(run->submits));
        } else if (what < 7) {
            answer(run);
        } else {
            turn(run);
        }
        run->w.now += 20;
    }
    turn(run);
}

static const struct told *find_final(const struct run *run, uint64_t message, uint32_t idx)
{
    for (size_t i = 0; i < run->final_count; i++)
        if (run->finals[i].message == message && run->finals[i].idx == idx)
            return &run->finals[i];
    return NULL;
}

/* What went out of the engine that came up again. */
struct outs {
    struct delivery list[OUTS_MAX];
    size_t count;
};

static bool goes_out(const struct outs *outs, uint64_t message, uint32_t idx, uint32_t *ret_check)
{
    for (size_t i = 0; i < outs->count; i++)
        if (outs->list[i].message == message && outs->list[i].idx == idx) {
            *ret_check = outs->list[i].body_check;
            return true;
        }
    return false;
}

static bool answer_all(struct world *probe, struct outs *outs)
{
    struct sender *sender = &probe->senders[0];
    bool any = false;

    for (size_t i = 0; i < sender->held_count; i++) {
        if (!sender->held[i].open)
            continue;
        assert_true(outs->count < OUTS_MAX);
        outs->list[outs->count++] = sender->held[i];
        world_result(probe, sender, i, BH_DELIVERED);
        any = true;
    }
    return any;
}

/* Everything that is left goes to one sender, which delivers it. */
static void deliver_all(struct world *probe, struct outs *outs)
{
    outs->count = 0;
    world_connect(probe, &probe->senders[0], 4000);
    for (int idle = 0; idle < 3;) {
        world_settle(probe);
        if (answer_all(probe, outs))
            continue;
        probe->now += INT64_C(3600000) * 5; /* what is deferred is due, nothing has expired */
        idle++;
    }
}

static void check_cut(struct run *run, const struct disk *disk, enum fate fate, struct world *probe)
{
    static struct outs outs;
    size_t repeated = 0;

    world_shut(probe);
    write_database(disk, fate, &run->dice.base, probe);
    write_bodies(disk, fate, &run->dice.base, probe);
    probe->now = run->w.now;
    world_open(probe);
    deliver_all(probe, &outs);
    run->cuts++;
    for (size_t i = 0; i < run->accepted_count; i++) {
        const struct told *accepted = &run->accepted[i];

        if (accepted->at > disk->end)
            continue;
        for (uint32_t r = 0; r < recipients_of(accepted->submit); r++) {
            const struct told *final = find_final(run, accepted->message, r);
            bool said = final && final->sent_at <= disk->end, acked = said && final->at <= disk->end;
            uint32_t check;

            if (!goes_out(&outs, accepted->message, r, &check)) {
                run->lost += !said;
                continue;
            }
            assert_int_equal(check, world_body_check(accepted->submit, size_of(accepted->submit)));
            assert_false(acked);
            repeated += said;
        }
    }
    run->repeated += repeated;
    if (repeated > run->repeated_most)
        run->repeated_most = repeated;
}

static void take_base(struct disk *disk, const struct world *w)
{
    char path[200];

    for (int f = 0; f < FILES; f++) {
        struct stat st;
        int fd;

        (void)snprintf(path, sizeof(path), "%s%s", w->db, suffixes[f]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) != 0)
            continue;
        disk->files[f] = (struct image){malloc((size_t)st.st_size + 1), (size_t)st.st_size, true};
        assert_int_equal(pread(fd, disk->files[f].bytes, disk->files[f].n, 0), st.st_size);
        (void)close(fd);
    }
}

static void free_disk(struct disk *disk)
{
    for (int f = 0; f < FILES; f++)
        free(disk->files[f].bytes);
    for (size_t i = 0; i < recorder.count; i++)
        free(recorder.ops[i].bytes);
    recorder.count = 0;
}

static void test_every_prefix(void **state)
{
    static struct run run;
    static struct disk disk;
    struct world probe;
    size_t window;

    (void)state;
    register_vfs();
    world_new(&run.w, SENDERS);
    run.w.vfs = "recording";
    bh_random_seeded_init(&run.dice, 20261122);
    world_kill(&run.w); /* it is opened again, by the recording VFS */
    world_settle(&run.w);
    take_base(&disk, &run.w);
    recorder.on = true;
    record(&run, 110);
    recorder.on = false;
    world_new(&probe, 1);
    for (;;) {
        for (enum fate fate = ALL_WRITTEN; fate < FATES; fate++)
            check_cut(&run, &disk, fate, &probe);
        if (disk.end == recorder.count)
            break;
        advance(&disk);
    }
    window = run.w.options.results_max ? run.w.options.results_max : 64;
    print_message("%zu operations, %zu power cuts, %zu messages answered with 250: lost %zu; sent again after a cut at "
                  "most %zu (window %zu)\n",
                  recorder.count, run.cuts, run.accepted_count, run.lost, run.repeated_most, window);
    assert_true(run.accepted_count > 20 && run.cuts > 600);
    assert_int_equal(run.lost, 0);
    assert_true(run.repeated_most <= window + 24); /* and what two senders had open */
    world_free(&probe);
    world_free(&run.w);
    free_disk(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_prefix)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
