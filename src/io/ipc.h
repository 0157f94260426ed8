/* ipc.h: messages between roles over a socket pair: length-prefixed, bounded, with file descriptors.
 *
 * A frame is 12 bytes and a body, integers big-endian:
 *     u32 body length | u16 type | u8 0 | u8 count of descriptors | u32 id
 * The peer's bytes are hostile: a frame that breaks a rule ends the connection (BH_E_SYNTAX …), never the process.
 * This file knows no event loop, so that keyd can use it with poll(2); ipc_loop.h puts it on a bh_loop. */
#ifndef BH_IO_IPC_H
#define BH_IO_IPC_H

#include "base/buf.h"

enum {
    BH_IPC_HEAD_BYTES = 12,
    BH_IPC_FDS_MAX = 4,
    BH_IPC_BODY_MAX = 4 << 20,    /* no message of ours is larger */
    BH_IPC_BACKLOG_MAX = 64 << 20 /* written but not yet taken by a slow peer */
};

/* A received message. `body` and the frame live until the handler returns. Descriptors that the handler wants to keep
 * it takes by setting the entry to -1; the others are closed after it returns. */
struct bh_ipc_message {
    uint16_t type;
    uint32_t id;
    bh_str body;
    int fds[BH_IPC_FDS_MAX];
    size_t fd_count;
};

struct bh_ipc_fd_mark {
    uint64_t at; /* absolute position in the output stream of the frame's first byte */
    int fds[BH_IPC_FDS_MAX];
    size_t count;
};

struct bh_ipc {
    int fd; /* owned; -1 after bh_ipc_close */
    struct bh_buf in;
    struct bh_buf out;
    size_t out_sent;   /* bytes of `out` that the kernel has taken */
    uint64_t out_base; /* absolute position of out.p[0] */
    struct bh_ipc_fd_mark *marks;
    size_t mark_count, mark_cap;
    int fds_in[64]; /* received, not yet claimed by a frame */
    size_t fds_in_count;
};

/* Takes over `fd`, a connected AF_UNIX stream socket, and makes it non-blocking and close-on-exec. BH_E_IO. */
BH_MUST bh_err bh_ipc_open(struct bh_ipc *ipc, int fd);
/* Closes the socket and every descriptor that is still held. */
void bh_ipc_close(struct bh_ipc *ipc);

/* Queues a message; nothing is written yet. Descriptors are duplicated: the caller keeps its own. BH_E_LIMIT: body or
 * backlog too large; BH_E_NOMEM; BH_E_IO when a descriptor cannot be duplicated. */
BH_MUST bh_err bh_ipc_send(struct bh_ipc *ipc, uint16_t type, uint32_t id, bh_str body, const int *fds,
                           size_t fd_count);
/* In two halves, to write the body in place: between them only append to *bh_ipc_out. `begin` returns the frame's
 * place, to be handed to `end`. `abort` forgets the frame. `end`: BH_E_LIMIT, BH_E_NOMEM, and the frame is forgotten
 * then. */
size_t bh_ipc_begin(struct bh_ipc *ipc);
static inline struct bh_buf *bh_ipc_out(struct bh_ipc *ipc)
{
    return &ipc->out;
}
BH_MUST bh_err bh_ipc_end(struct bh_ipc *ipc, size_t frame, uint16_t type, uint32_t id);
void bh_ipc_abort(struct bh_ipc *ipc, size_t frame);

/* Writes what is queued. BH_OK: all gone; BH_E_AGAIN: wait until writable; BH_E_CLOSED, BH_E_IO: the connection is
 * dead. */
BH_MUST bh_err bh_ipc_flush(struct bh_ipc *ipc);
static inline bool bh_ipc_pending(const struct bh_ipc *ipc)
{
    return ipc->out.n > ipc->out_sent;
}

/* Called per message by bh_ipc_receive. An error ends the connection. It may close `ipc` itself. */
typedef bh_err bh_ipc_handler(void *ctx, struct bh_ipc_message *message);

/* Reads what is there (at most some 256 KiB, so that one busy peer cannot hold the loop) and handles each whole
 * message. BH_OK: call again when readable; BH_E_CLOSED: the peer went away; BH_E_SYNTAX, BH_E_LIMIT, or the handler's
 * error: the caller closes. */
BH_MUST bh_err bh_ipc_receive(struct bh_ipc *ipc, bh_ipc_handler *handler, void *ctx);

#endif
