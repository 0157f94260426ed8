/* ipc.c: frames over a stream socket. See ipc.h.
 *
 * Descriptors travel as ancillary data attached to the first byte of their frame. The kernel never lets one recvmsg run
 * past such a byte into earlier data, so received descriptors queue up in frame order and each frame claims its own. */
#include "ipc.h"
#include "base/cur.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_CHUNK = 64 * 1024, READS_PER_CALL = 4, MARKS_MAX = 1024 };

bh_err bh_ipc_open(struct bh_ipc *ipc, int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return BH_E_IO;
    *ipc = (struct bh_ipc){.fd = fd,
                           .in = bh_buf_make(BH_IPC_HEAD_BYTES + BH_IPC_BODY_MAX + READ_CHUNK),
                           .out = bh_buf_make(BH_IPC_BACKLOG_MAX)};
    return BH_OK;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
}

void bh_ipc_close(struct bh_ipc *ipc)
{
    if (ipc->fd < 0)
        return;
    (void)close(ipc->fd);
    ipc->fd = -1;
    close_all(ipc->fds_in, ipc->fds_in_count);
    ipc->fds_in_count = 0;
    for (size_t i = 0; i < ipc->mark_count; i++)
        close_all(ipc->marks[i].fds, ipc->marks[i].count);
    free(ipc->marks);
    ipc->marks = NULL;
    ipc->mark_count = ipc->mark_cap = 0;
    bh_buf_free(&ipc->in);
    bh_buf_free(&ipc->out);
    ipc->out_sent = 0;
}

/* Written bytes are dropped before new ones are added, when that is cheap. */
static void compact_out(struct bh_ipc *ipc)
{
    if (ipc->out_sent < ipc->out.n && ipc->out_sent < ipc->out.n / 2 + READ_CHUNK)
        return;
    bh_buf_consume(&ipc->out, ipc->out_sent);
    ipc->out_base += ipc->out_sent;
    ipc->out_sent = 0;
}

size_t bh_ipc_begin(struct bh_ipc *ipc)
{
    size_t frame;

    compact_out(ipc);
    frame = ipc->out.n;
    bh_buf_u32(&ipc->out, 0);
    bh_buf_u64(&ipc->out, 0);
    return frame;
}

void bh_ipc_abort(struct bh_ipc *ipc, size_t frame)
{
    bh_buf_truncate(&ipc->out, frame);
    ipc->out.err = BH_OK;
}

static void put_head(char *at, size_t body, uint16_t type, size_t fd_count, uint32_t id)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(body >> (24 - 8 * i));
    at[4] = (char)(type >> 8);
    at[5] = (char)type;
    at[6] = 0;
    at[7] = (char)fd_count;
    for (int i = 0; i < 4; i++)
        at[8 + i] = (char)(id >> (24 - 8 * i));
}

bh_err bh_ipc_end(struct bh_ipc *ipc, size_t frame, uint16_t type, uint32_t id)
{
    bh_err err = bh_buf_err(&ipc->out);
    size_t body;

    if (!err && ipc->out.n - frame - BH_IPC_HEAD_BYTES > BH_IPC_BODY_MAX)
        err = BH_E_LIMIT;
    if (err) {
        bh_ipc_abort(ipc, frame);
        return err;
    }
    body = ipc->out.n - frame - BH_IPC_HEAD_BYTES;
    put_head(ipc->out.p + frame, body, type, 0, id);
    return BH_OK;
}

/* Remembers duplicates of `fds` for the frame that begins at `frame`. */
static bh_err add_mark(struct bh_ipc *ipc, size_t frame, const int *fds, size_t count)
{
    struct bh_ipc_fd_mark *mark;

    if (ipc->mark_count == ipc->mark_cap) {
        size_t cap = ipc->mark_cap ? ipc->mark_cap * 2 : 8;
        struct bh_ipc_fd_mark *marks = cap > MARKS_MAX ? NULL : reallocarray(ipc->marks, cap, sizeof(*marks));

        if (!marks)
            return cap > MARKS_MAX ? BH_E_LIMIT : BH_E_NOMEM;
        ipc->marks = marks;
        ipc->mark_cap = cap;
    }
    mark = &ipc->marks[ipc->mark_count];
    *mark = (struct bh_ipc_fd_mark){.at = ipc->out_base + frame};
    for (; mark->count < count; mark->count++) {
        mark->fds[mark->count] = fcntl(fds[mark->count], F_DUPFD_CLOEXEC, 3);
        if (mark->fds[mark->count] < 0) {
            close_all(mark->fds, mark->count);
            return BH_E_IO;
        }
    }
    ipc->mark_count++;
    return BH_OK;
}

bh_err bh_ipc_send(struct bh_ipc *ipc, uint16_t type, uint32_t id, bh_str body, const int *fds, size_t fd_count)
{
    size_t frame;
    bh_err err;

    if (ipc->fd < 0)
        return BH_E_CLOSED;
    if (fd_count > BH_IPC_FDS_MAX)
        return BH_E_INVALID;
    frame = bh_ipc_begin(ipc);
    bh_buf_add(&ipc->out, body);
    err = bh_ipc_end(ipc, frame, type, id);
    if (err || !fd_count)
        return err;
    err = add_mark(ipc, frame, fds, fd_count);
    if (err)
        bh_ipc_abort(ipc, frame);
    else
        ipc->out.p[frame + 7] = (char)fd_count;
    return err;
}

/* How far this write may go: up to the next frame that carries descriptors, unless we stand on it. */
static size_t writable_now(const struct bh_ipc *ipc, const struct bh_ipc_fd_mark **ret_mark)
{
    uint64_t position = ipc->out_base + ipc->out_sent;
    const struct bh_ipc_fd_mark *first = ipc->mark_count ? &ipc->marks[0] : NULL;

    *ret_mark = NULL;
    if (!first)
        return ipc->out.n - ipc->out_sent;
    if (first->at > position)
        return (size_t)(first->at - position);
    *ret_mark = first;
    if (ipc->mark_count > 1)
        return (size_t)(ipc->marks[1].at - position);
    return ipc->out.n - ipc->out_sent;
}

static ssize_t write_part(struct bh_ipc *ipc, size_t n, const struct bh_ipc_fd_mark *mark)
{
    struct iovec part = {ipc->out.p + ipc->out_sent, n};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    union {
        char bytes[CMSG_SPACE(sizeof(int) * BH_IPC_FDS_MAX)];
        struct cmsghdr align;
    } control = {{0}};

    if (mark) {
        struct cmsghdr *cmsg;

        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * mark->count);
        cmsg = CMSG_FIRSTHDR(&header);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * mark->count);
        memcpy(CMSG_DATA(cmsg), mark->fds, sizeof(int) * mark->count);
    }
    return sendmsg(ipc->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void drop_first_mark(struct bh_ipc *ipc)
{
    close_all(ipc->marks[0].fds, ipc->marks[0].count);
    ipc->mark_count--;
    memmove(ipc->marks, ipc->marks + 1, ipc->mark_count * sizeof(*ipc->marks));
}

bh_err bh_ipc_flush(struct bh_ipc *ipc)
{
    if (ipc->fd < 0)
        return BH_E_CLOSED;
    while (bh_ipc_pending(ipc)) {
        const struct bh_ipc_fd_mark *mark;
        size_t n = writable_now(ipc, &mark);
        ssize_t sent = write_part(ipc, n, mark);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS))
            return BH_E_AGAIN;
        if (sent < 0)
            return errno == EPIPE || errno == ECONNRESET ? BH_E_CLOSED : BH_E_IO;
        if (mark)
            drop_first_mark(ipc);
        ipc->out_sent += (size_t)sent;
    }
    compact_out(ipc);
    return BH_OK;
}

/* Keeps the descriptors that came with a read. Too many unclaimed ones are an attack or a bug of the peer. */
static bh_err take_fds(struct bh_ipc *ipc, struct msghdr *header)
{
    bh_err err = header->msg_flags & MSG_CTRUNC ? BH_E_LIMIT : BH_OK;

    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
        size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
            if (ipc->fds_in_count < sizeof(ipc->fds_in) / sizeof(int)) {
                ipc->fds_in[ipc->fds_in_count++] = fd;
            } else {
                (void)close(fd);
                err = BH_E_LIMIT;
            }
        }
    }
    return err;
}

static bh_err read_part(struct bh_ipc *ipc, size_t *ret_n)
{
    char *room = bh_buf_reserve(&ipc->in, READ_CHUNK);
    struct iovec part = {room, READ_CHUNK};
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 2 * BH_IPC_FDS_MAX)];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    ssize_t got;

    if (!room)
        return bh_buf_err(&ipc->in);
    do
        got = recvmsg(ipc->fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? BH_E_AGAIN : errno == ECONNRESET ? BH_E_CLOSED : BH_E_IO;
    if (got == 0)
        return BH_E_CLOSED;
    bh_buf_commit(&ipc->in, (size_t)got);
    *ret_n = (size_t)got;
    return take_fds(ipc, &header);
}

/* Hands `count` descriptors over to the message, in the order of their arrival. */
static bh_err claim_fds(struct bh_ipc *ipc, struct bh_ipc_message *message, size_t count)
{
    if (count > BH_IPC_FDS_MAX || count > ipc->fds_in_count)
        return BH_E_SYNTAX;
    memcpy(message->fds, ipc->fds_in, count * sizeof(int));
    ipc->fds_in_count -= count;
    memmove(ipc->fds_in, ipc->fds_in + count, ipc->fds_in_count * sizeof(int));
    message->fd_count = count;
    return BH_OK;
}

/* Handles the whole frames in `in`. *ret_used: bytes that are done with. */
static bh_err handle_frames(struct bh_ipc *ipc, bh_ipc_handler *handler, void *ctx, size_t *ret_used)
{
    bh_err err = BH_OK;

    *ret_used = 0;
    while (!err && ipc->fd >= 0) {
        struct bh_cur cur = bh_cur_make(bh_str_skip(bh_buf_view(&ipc->in), *ret_used));
        uint32_t length = bh_cur_u32(&cur);
        struct bh_ipc_message message = {.type = bh_cur_u16(&cur)};
        uint8_t zero = bh_cur_u8(&cur);
        uint8_t fd_count = bh_cur_u8(&cur);

        message.id = bh_cur_u32(&cur);
        if (!bh_cur_ok(&cur))
            break;
        if (length > BH_IPC_BODY_MAX || zero != 0)
            return BH_E_SYNTAX;
        message.body = bh_cur_bytes(&cur, length);
        if (!bh_cur_ok(&cur))
            break;
        err = claim_fds(ipc, &message, fd_count);
        if (!err)
            err = handler(ctx, &message);
        close_all(message.fds, message.fd_count);
        *ret_used += BH_IPC_HEAD_BYTES + length;
    }
    return err;
}

bh_err bh_ipc_receive(struct bh_ipc *ipc, bh_ipc_handler *handler, void *ctx)
{
    for (int i = 0; i < READS_PER_CALL && ipc->fd >= 0; i++) {
        size_t used, n = 0;
        bh_err err = read_part(ipc, &n);

        if (err)
            return err == BH_E_AGAIN ? BH_OK : err;
        err = handle_frames(ipc, handler, ctx, &used);
        if (ipc->fd < 0)
            return BH_E_CLOSED;
        bh_buf_consume(&ipc->in, used);
        if (err)
            return err;
        if (n < READ_CHUNK)
            return BH_OK;
    }
    return ipc->fd < 0 ? BH_E_CLOSED : BH_OK;
}
