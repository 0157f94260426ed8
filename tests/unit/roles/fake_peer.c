/* fake_peer.c: see fake_peer.h. */
#include "fake_peer.h"
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000, MASTER_FD = 3 };

int fake_open(struct fake_peer *fake)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    *fake = (struct fake_peer){.pending = bh_buf_make(4 << 20), .body = bh_buf_make(BH_IPC_BODY_MAX)};
    assert_ok(bh_ipc_open(&fake->ipc, fds[0]));
    return fds[1];
}

void fake_close(struct fake_peer *fake)
{
    bh_ipc_close(&fake->ipc);
    bh_buf_free(&fake->pending);
    bh_buf_free(&fake->body);
}

void fake_say(struct fake_peer *fake, uint16_t type, uint32_t id, struct bh_buf *body, int fd)
{
    assert_ok(bh_buf_err(body));
    assert_ok(bh_ipc_send(&fake->ipc, type, id, bh_buf_view(body), &fd, fd >= 0));
    (void)!bh_ipc_flush(&fake->ipc); /* closed by the other side: whoever waits finds out */
    bh_buf_clear(body);
}

void fake_hello(struct fake_peer *fake, enum bh_role_kind kind, uint32_t instance)
{
    struct bh_buf body = bh_buf_make(200);

    bh_msg_hello_put(&body, &(struct bh_msg_hello){BH_PROTOCOL_VERSION, BH_STR(TEST_VERSION), (uint8_t)kind, instance});
    fake_say(fake, BH_MSG_HELLO, 0, &body, -1);
    bh_buf_free(&body);
}

void fake_raw(struct fake_peer *fake, bh_str bytes)
{
    while (bytes.n) {
        ssize_t n = send(fake->ipc.fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n <= 0)
            return;
        bytes = bh_str_skip(bytes, (size_t)n);
    }
}

static bh_err take(void *ctx, struct bh_ipc_message *message)
{
    struct fake_peer *fake = ctx;

    bh_buf_u16(&fake->pending, message->type);
    bh_buf_u32(&fake->pending, message->id);
    bh_buf_str(&fake->pending, message->body);
    return bh_buf_err(&fake->pending);
}

/* Takes pending messages up to the first of that type. */
static bool take_pending(struct fake_peer *fake, uint16_t type)
{
    bool found = false;

    while (fake->pending.n && !found) {
        struct bh_cur cur = bh_cur_make(bh_buf_view(&fake->pending));
        bh_str body;

        found = bh_cur_u16(&cur) == type;
        fake->id = bh_cur_u32(&cur);
        body = bh_cur_str(&cur);
        bh_buf_clear(&fake->body);
        bh_buf_add(&fake->body, body);
        bh_buf_consume(&fake->pending, 2 + 4 + 4 + body.n);
    }
    return found;
}

/* One turn; false: closed, or nothing came in time. */
static bool turn(struct fake_peer *fake, bool *ret_closed)
{
    struct pollfd fd = {fake->ipc.fd, (short)(POLLIN | (bh_ipc_pending(&fake->ipc) ? POLLOUT : 0)), 0};

    *ret_closed = false;
    if (poll(&fd, 1, PATIENCE_MS) <= 0)
        return false;
    if (fd.revents & POLLOUT)
        (void)!bh_ipc_flush(&fake->ipc);
    if (fd.revents & (POLLIN | POLLHUP | POLLERR))
        *ret_closed = bh_ipc_receive(&fake->ipc, take, fake) != BH_OK;
    return !*ret_closed;
}

bool fake_wait(struct fake_peer *fake, uint16_t type)
{
    bool closed;

    while (!take_pending(fake, type))
        if (!turn(fake, &closed))
            return take_pending(fake, type); /* it may have said it with its last words */
    return true;
}

bool fake_is_closed(struct fake_peer *fake)
{
    bool closed;

    while (turn(fake, &closed))
        continue;
    return closed;
}

pid_t fake_start(struct fake_peer *master, const char *program)
{
    int fd = fake_open(master);
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (dup2(fd, MASTER_FD) == MASTER_FD)
            (void)execl(program, program, (char *)NULL);
        _exit(127);
    }
    (void)close(fd);
    fake_hello(master, BH_ROLE_MASTER, 0);
    return pid;
}

void fake_connect(struct fake_peer *master, struct fake_peer *fake, enum bh_role_kind kind, uint32_t instance)
{
    struct bh_buf body = bh_buf_make(100);
    int fd = fake_open(fake);

    bh_msg_peer_put(&body, &(struct bh_msg_peer){(uint8_t)kind, instance});
    fake_say(master, BH_MSG_PEER, 0, &body, fd);
    (void)close(fd);
    bh_buf_free(&body);
}
