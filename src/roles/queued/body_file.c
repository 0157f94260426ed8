/* body_file.c: bodies above 128 KiB are files of the spool directory, named by their message.
 *
 * A file is made without a name (O_TMPFILE) and handed to the submitter, who writes and fsyncs it. At SUBMIT it gets
 * the message's name in the same directory, the directory is fsynced before the commit, and the row says that the body
 * is a file. So at any crash: a name without a row (swept at start), never a row without a file. Where the file system
 * has no O_TMPFILE the file is called "new-<number>" until then. */
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PENDING_MAX = 512, NAME_BYTES = 64 };
static const char kept_prefix[] = "keep-";

bh_err body_files_open(struct body_files *files, const char *dir, struct bh_store_problem *problem)
{
    bh_list_init(&files->pending);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        (void)snprintf(problem->text, sizeof(problem->text), "cannot make %s: %s", dir, strerror(errno));
        files->dir_fd = -1;
        return BH_E_IO;
    }
    files->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (files->dir_fd < 0) {
        (void)snprintf(problem->text, sizeof(problem->text), "cannot open %s: %s", dir, strerror(errno));
        return BH_E_IO;
    }
    return BH_OK;
}

static void new_name(const struct body_file *file, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "new-%llu", (unsigned long long)file->number);
}

void body_file_drop(struct body_files *files, struct body_file *file)
{
    char name[NAME_BYTES];

    if (file->named) {
        new_name(file, name);
        (void)unlinkat(files->dir_fd, name, 0);
    }
    (void)close(file->fd);
    bh_list_remove(&file->node);
    files->pending_count--;
    free(file);
}

void body_files_close(struct body_files *files)
{
    if (files->dir_fd < 0)
        return;
    body_files_keep_end(files);
    while (!bh_list_empty(&files->pending))
        body_file_drop(files, BH_LIST_HEAD(&files->pending, struct body_file, node));
    (void)close(files->dir_fd);
    files->dir_fd = -1;
}

static int open_new(struct body_files *files, struct body_file *file)
{
    char name[NAME_BYTES];
    int fd = openat(files->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    file->named = true;
    new_name(file, name);
    return openat(files->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

bh_err body_file_make(struct body_files *files, const void *peer, uint64_t size_limit, struct body_file **ret_file)
{
    struct body_file *file = calloc(1, sizeof(*file));

    if (!file)
        return BH_E_NOMEM;
    if (files->pending_count >= PENDING_MAX) /* the oldest belongs to a session that gave up */
        body_file_drop(files, BH_LIST_HEAD(&files->pending, struct body_file, node));
    *file = (struct body_file){.number = ++files->next_number, .peer = peer, .size_limit = size_limit};
    file->fd = open_new(files, file);
    if (file->fd < 0) {
        free(file);
        return BH_E_IO;
    }
    bh_list_push(&files->pending, &file->node);
    files->pending_count++;
    *ret_file = file;
    return BH_OK;
}

struct body_file *body_file_find(struct body_files *files, const void *peer, uint64_t number)
{
    BH_LIST_EACH (node, &files->pending) {
        struct body_file *file = BH_CONTAINER_OF(node, struct body_file, node);

        if (file->number == number)
            return file->peer == peer ? file : NULL;
    }
    return NULL;
}

void body_files_drop_peer(struct body_files *files, const void *peer)
{
    BH_LIST_EACH (node, &files->pending) {
        struct body_file *file = BH_CONTAINER_OF(node, struct body_file, node);

        if (file->peer == peer)
            body_file_drop(files, file);
    }
}

static bh_err give_name(struct body_files *files, struct body_file *file, const char *name)
{
    char from[NAME_BYTES];

    if (file->named) {
        new_name(file, from);
        if (renameat(files->dir_fd, from, files->dir_fd, name) != 0)
            return BH_E_IO;
        file->named = false;
        return BH_OK;
    }
    (void)snprintf(from, sizeof(from), "/proc/self/fd/%d", file->fd);
    return linkat(AT_FDCWD, from, files->dir_fd, name, AT_SYMLINK_FOLLOW) == 0 ? BH_OK : BH_E_IO;
}

bh_err body_file_link(struct body_files *files, struct body_file *file, uint64_t message, uint64_t size)
{
    char name[BH_MESSAGE_ID_CHARS + 1];
    struct stat st;
    bh_err err = BH_OK;

    bh_message_id_text(message, name);
    if (fstat(file->fd, &st) != 0)
        err = BH_E_IO;
    else if ((uint64_t)st.st_size != size || size > file->size_limit)
        err = BH_E_INVALID;
    if (!err)
        err = give_name(files, file, name);
    if (!err)
        files->dirty = true;
    body_file_drop(files, file);
    return err;
}

bh_err body_files_sync(struct body_files *files)
{
    if (!files->dirty)
        return BH_OK;
    if (fsync(files->dir_fd) != 0)
        return BH_E_IO;
    files->dirty = false;
    return BH_OK;
}

void body_file_unlink(struct body_files *files, uint64_t message)
{
    char name[BH_MESSAGE_ID_CHARS + 1], kept[NAME_BYTES];

    bh_message_id_text(message, name);
    (void)snprintf(kept, sizeof(kept), "%s%s", kept_prefix, name);
    if (files->keeping)
        (void)!linkat(files->dir_fd, name, files->dir_fd, kept, 0);
    (void)unlinkat(files->dir_fd, name, 0);
}

int body_file_read(const struct body_files *files, uint64_t message)
{
    char name[BH_MESSAGE_ID_CHARS + 1];

    bh_message_id_text(message, name);
    return openat(files->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

bh_err body_files_sweep(struct body_files *files, bool (*is_wanted)(void *ctx, uint64_t message), void *ctx)
{
    int fd = openat(files->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!dir) {
        if (fd >= 0)
            (void)close(fd);
        return BH_E_IO;
    }
    while ((entry = readdir(dir))) {
        bh_str name = bh_str_c(entry->d_name);
        uint64_t message;
        bool ours = bh_message_id_parse(name, &message) == BH_OK;

        if ((ours && !is_wanted(ctx, message)) || bh_str_starts(name, BH_STR("new-")) ||
            bh_str_starts(name, bh_str_c(kept_prefix)))
            (void)unlinkat(files->dir_fd, entry->d_name, 0);
    }
    (void)closedir(dir);
    return BH_OK;
}

/* ---- for a backup: second names of all bodies, which the owner of the copy takes away ---- */

static DIR *open_dir(const struct body_files *files)
{
    int fd = openat(files->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir && fd >= 0)
        (void)close(fd);
    return dir;
}

bh_err body_files_keep(struct body_files *files)
{
    DIR *dir = open_dir(files);

    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir))
        if (bh_str_starts(bh_str_c(entry->d_name), bh_str_c(kept_prefix)))
            (void)unlinkat(files->dir_fd, entry->d_name, 0);
    if (!dir)
        return BH_E_IO;
    (void)closedir(dir);
    files->keeping = true;
    return BH_OK;
}

bh_err body_files_keep_some(struct body_files *files, size_t max)
{
    char kept[NAME_BYTES];
    struct dirent *entry;
    uint64_t message;

    if (!files->listing && !(files->listing = open_dir(files)))
        return BH_E_IO;
    for (size_t i = 0; i < max; i++) {
        entry = readdir(files->listing);
        if (!entry)
            return fsync(files->dir_fd) == 0 ? BH_DONE : BH_E_IO;
        if (bh_message_id_parse(bh_str_c(entry->d_name), &message) != BH_OK ||
            snprintf(kept, sizeof(kept), "%s%s", kept_prefix, entry->d_name) >= (int)sizeof(kept))
            continue;
        if (linkat(files->dir_fd, entry->d_name, files->dir_fd, kept, 0) != 0 && errno != EEXIST && errno != ENOENT)
            return BH_E_IO;
    }
    return BH_MORE;
}

void body_files_keep_end(struct body_files *files)
{
    if (files->listing)
        (void)closedir(files->listing);
    files->listing = NULL;
    files->keeping = false;
}
