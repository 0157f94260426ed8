/* test_ipc.c: frames between roles, from peers that break every rule. */
#include "io/ipc.h"
#include "unit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct seen {
    struct bh_ipc ipc; /* receives */
    int raw;           /* the other end */
    size_t count, bytes, fds;
    uint32_t next_id;
    bool keep;      /* take the first descriptor */
    bool close_it;  /* the handler closes the connection */
    bh_err returns; /* by the handler */
    int kept;
};

static bh_err take(void *ctx, struct bh_ipc_message *message)
{
    struct seen *seen = ctx;

    seen->count++;
    seen->bytes += message->body.n;
    seen->fds += message->fd_count;
    assert_int_equal(message->id, seen->next_id++);
    for (size_t i = 0; i < message->fd_count; i++)
        assert_true(fcntl(message->fds[i], F_GETFD) == FD_CLOEXEC);
    if (seen->keep && message->fd_count) {
        seen->kept = message->fds[0];
        message->fds[0] = -1;
    }
    if (seen->close_it)
        bh_ipc_close(&seen->ipc);
    return seen->returns;
}

static size_t open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

static void open_pair(struct seen *seen)
{
    int fds[2], bytes = 4 << 20;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    (void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    *seen = (struct seen){.raw = fds[1], .kept = -1};
    assert_ok(bh_ipc_open(&seen->ipc, fds[0]));
}

static void close_pair(struct seen *seen)
{
    bh_ipc_close(&seen->ipc);
    if (seen->raw >= 0)
        (void)close(seen->raw);
    if (seen->kept >= 0)
        (void)close(seen->kept);
}

static void put_frame(struct bh_buf *out, uint32_t length, uint8_t zero, uint8_t fd_count, uint32_t id, bh_str body)
{
    bh_buf_u32(out, length);
    bh_buf_u16(out, 7);
    bh_buf_u8(out, zero);
    bh_buf_u8(out, fd_count);
    bh_buf_u32(out, id);
    bh_buf_add(out, body);
}

/* One sendmsg with `count` descriptors of /dev/null; the kernel allows at most 253. */
static void send_with(int fd, bh_str bytes, size_t count)
{
    struct iovec part = {(char *)(uintptr_t)bytes.p, bytes.n};
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 253)];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC), fds[253];

    if (count) {
        struct cmsghdr *cmsg;

        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        cmsg = CMSG_FIRSTHDR(&header);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * count);
        for (size_t i = 0; i < count; i++)
            fds[i] = null;
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * count);
    }
    assert_int_equal(sendmsg(fd, &header, MSG_NOSIGNAL), (ssize_t)bytes.n);
    (void)close(null);
}

static bh_err receive(struct seen *seen)
{
    return bh_ipc_receive(&seen->ipc, take, seen);
}

/* ---- framing ---- */

static void test_byte_by_byte(void **state)
{
    struct seen seen;
    struct bh_buf bytes = bh_buf_make(1000);

    open_pair(&seen);
    for (uint32_t id = 0; id < 3; id++)
        put_frame(&bytes, id * 5, 0, 0, id, bh_str_of("0123456789", id * 5));
    for (size_t i = 0; i < bytes.n; i++) {
        send_with(seen.raw, bh_str_of(bytes.p + i, 1), 0);
        assert_ok(receive(&seen));
        assert_int_equal(seen.count, i + 1 < 12 ? 0 : i + 1 < 29 ? 1 : i + 1 < bytes.n ? 2 : 3);
    }
    assert_int_equal(seen.bytes, 15);
    bh_buf_free(&bytes);
    close_pair(&seen);
}

static void test_heads_that_break_a_rule(void **state)
{
    static const struct {
        uint32_t length;
        uint8_t zero, fds;
    } heads[] = {{BH_IPC_BODY_MAX + 1, 0, 0},
                 {UINT32_MAX, 0, 0},
                 {0x80000000, 0, 0},
                 {0, 1, 0},
                 {0, 255, 0},
                 {0, 0, 1},
                 {0, 0, 5},
                 {0, 0, 255}};

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct seen seen;
        struct bh_buf bytes = bh_buf_make(100);

        open_pair(&seen);
        put_frame(&bytes, heads[i].length, heads[i].zero, heads[i].fds, 0, BH_STR(""));
        send_with(seen.raw, bh_buf_view(&bytes), 0);
        assert_int_equal(receive(&seen), BH_E_SYNTAX);
        assert_int_equal(seen.count, 0);
        bh_buf_free(&bytes);
        close_pair(&seen);
    }
}

static void test_the_largest(void **state)
{
    struct seen seen;
    struct bh_ipc sender;
    struct bh_buf body = bh_buf_make(BH_IPC_BODY_MAX + 1);

    open_pair(&seen);
    assert_ok(bh_ipc_open(&sender, seen.raw));
    seen.raw = -1;
    memset(bh_buf_reserve(&body, BH_IPC_BODY_MAX + 1), 'x', BH_IPC_BODY_MAX + 1);
    bh_buf_commit(&body, BH_IPC_BODY_MAX + 1);
    assert_int_equal(bh_ipc_send(&sender, 7, 0, bh_buf_view(&body), NULL, 0), BH_E_LIMIT);
    assert_false(bh_ipc_pending(&sender));
    for (uint32_t id = 0; id < 3; id++)
        assert_ok(bh_ipc_send(&sender, 7, id, bh_str_of(body.p, BH_IPC_BODY_MAX), NULL, 0));
    while (bh_ipc_pending(&sender)) {
        bh_err err = bh_ipc_flush(&sender);

        assert_true(err == BH_OK || err == BH_E_AGAIN);
        assert_ok(receive(&seen));
    }
    while (seen.count < 3)
        assert_ok(receive(&seen));
    assert_int_equal(seen.bytes, 3 * BH_IPC_BODY_MAX);
    bh_buf_free(&body);
    bh_ipc_close(&sender);
    close_pair(&seen);
}

static void test_the_peer_goes(void **state)
{
    struct seen seen;

    open_pair(&seen);
    send_with(seen.raw, bh_str_of("\0\0\0\5\0", 5), 0); /* half a head */
    (void)close(seen.raw);
    seen.raw = -1;
    assert_ok(receive(&seen));
    assert_int_equal(receive(&seen), BH_E_CLOSED);
    close_pair(&seen);
}

static void test_the_handler_ends_it(void **state)
{
    struct bh_buf bytes = bh_buf_make(100);
    struct seen seen;

    put_frame(&bytes, 0, 0, 0, 0, BH_STR(""));
    put_frame(&bytes, 0, 0, 0, 1, BH_STR(""));
    open_pair(&seen);
    seen.close_it = true;
    send_with(seen.raw, bh_buf_view(&bytes), 0);
    assert_int_equal(receive(&seen), BH_E_CLOSED);
    assert_int_equal(seen.count, 1);
    close_pair(&seen);
    open_pair(&seen);
    seen.returns = BH_E_DENIED;
    send_with(seen.raw, bh_buf_view(&bytes), 0);
    assert_int_equal(receive(&seen), BH_E_DENIED);
    assert_int_equal(seen.count, 1);
    close_pair(&seen);
    bh_buf_free(&bytes);
}

/* ---- descriptors ---- */

/* 1000 frames with descriptors, written and read in turns: each arrives with its own, none is left over. */
static void test_a_thousand_with_descriptors(void **state)
{
    size_t before = open_descriptors();
    struct seen seen;
    struct bh_ipc sender;
    size_t expected = 0;

    open_pair(&seen);
    assert_ok(bh_ipc_open(&sender, seen.raw));
    seen.raw = -1;
    for (uint32_t id = 0; id < 1000; id++) {
        int fds[BH_IPC_FDS_MAX] = {0, 1, 2, 0};

        expected += id % (BH_IPC_FDS_MAX + 1);
        assert_ok(bh_ipc_send(&sender, 7, id, BH_STR("body"), fds, id % (BH_IPC_FDS_MAX + 1)));
        if (id % 50 == 49) {
            bh_err err = bh_ipc_flush(&sender);

            assert_true(err == BH_OK || err == BH_E_AGAIN);
            assert_ok(receive(&seen));
        }
    }
    while (seen.count < 1000) {
        bh_err err = bh_ipc_flush(&sender);

        assert_true(err == BH_OK || err == BH_E_AGAIN);
        assert_ok(receive(&seen));
    }
    assert_int_equal(seen.fds, expected);
    assert_int_equal(seen.ipc.fds_in_count, 0);
    bh_ipc_close(&sender);
    close_pair(&seen);
    assert_int_equal(open_descriptors(), before);
}

static void test_kept_and_closed(void **state)
{
    size_t before = open_descriptors();
    struct bh_buf bytes = bh_buf_make(100);
    struct seen seen;

    open_pair(&seen);
    seen.keep = true;
    put_frame(&bytes, 0, 0, 3, 0, BH_STR(""));
    send_with(seen.raw, bh_buf_view(&bytes), 3);
    assert_ok(receive(&seen));
    assert_true(seen.kept >= 0 && fcntl(seen.kept, F_GETFD) >= 0);
    assert_int_equal(open_descriptors(), before + 3); /* the pair and the one that was kept */
    close_pair(&seen);
    assert_int_equal(open_descriptors(), before);
    bh_buf_free(&bytes);
}

/* Descriptors that no frame claims pile up to a limit, then end the connection; all are closed. */
static void test_unclaimed(void **state)
{
    size_t before = open_descriptors();
    struct seen seen;
    struct bh_buf bytes = bh_buf_make(100);
    bh_err err = BH_OK;
    size_t rounds = 0;

    open_pair(&seen);
    while (!err && rounds < 100) {
        bh_buf_clear(&bytes);
        put_frame(&bytes, 0, 0, 0, (uint32_t)rounds, BH_STR(""));
        send_with(seen.raw, bh_buf_view(&bytes), 4);
        err = receive(&seen);
        rounds++;
    }
    assert_int_equal(err, BH_E_LIMIT);
    assert_true(rounds <= 17);
    close_pair(&seen);
    assert_int_equal(open_descriptors(), before);
    bh_buf_free(&bytes);
}

static void test_too_many_at_once(void **state)
{
    size_t before = open_descriptors();
    struct bh_buf bytes = bh_buf_make(100);

    put_frame(&bytes, 0, 0, 4, 0, BH_STR(""));
    for (size_t count = 9; count <= 253; count += 61) {
        struct seen seen;

        open_pair(&seen);
        send_with(seen.raw, bh_buf_view(&bytes), count);
        assert_int_equal(receive(&seen), BH_E_LIMIT);
        assert_int_equal(seen.count, 0);
        close_pair(&seen);
        assert_int_equal(open_descriptors(), before);
    }
    bh_buf_free(&bytes);
}

static void test_unsent_are_closed(void **state)
{
    size_t before = open_descriptors();
    struct seen seen;
    int fds[5] = {0, 1, 2, 0, 0}, gone[1] = {9999};

    open_pair(&seen);
    for (uint32_t id = 0; id < 100; id++)
        assert_ok(bh_ipc_send(&seen.ipc, 7, id, BH_STR(""), fds, 4));
    assert_int_equal(bh_ipc_send(&seen.ipc, 7, 0, BH_STR(""), fds, 5), BH_E_INVALID);
    assert_int_equal(bh_ipc_send(&seen.ipc, 7, 0, BH_STR(""), gone, 1), BH_E_IO);
    close_pair(&seen);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(bh_ipc_send(&seen.ipc, 7, 0, BH_STR(""), NULL, 0), BH_E_CLOSED);
}

/* ---- a peer that does not read ---- */

static void test_the_backlog_is_bounded(void **state)
{
    struct seen seen;
    struct bh_buf body = bh_buf_make(1 << 20);
    bh_err err = BH_OK;
    size_t sent = 0;

    open_pair(&seen);
    memset(bh_buf_reserve(&body, 1 << 20), 'x', 1 << 20);
    bh_buf_commit(&body, 1 << 20);
    for (; !err && sent < 200; sent++) {
        err = bh_ipc_send(&seen.ipc, 7, 0, bh_buf_view(&body), NULL, 0);
        if (!err) {
            bh_err flushed = bh_ipc_flush(&seen.ipc);

            assert_true(flushed == BH_OK || flushed == BH_E_AGAIN);
        }
    }
    assert_int_equal(err, BH_E_LIMIT);
    assert_true(sent > 60 && sent < 80);
    /* what was refused left no half frame behind: a reader gets whole ones only */
    assert_ok(bh_buf_err(bh_ipc_out(&seen.ipc)));
    bh_buf_free(&body);
    close_pair(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_heads_that_break_a_rule),
        cmocka_unit_test(test_the_largest),
        cmocka_unit_test(test_the_peer_goes),
        cmocka_unit_test(test_the_handler_ends_it),
        cmocka_unit_test(test_a_thousand_with_descriptors),
        cmocka_unit_test(test_kept_and_closed),
        cmocka_unit_test(test_unclaimed),
        cmocka_unit_test(test_too_many_at_once),
        cmocka_unit_test(test_unsent_are_closed),
        cmocka_unit_test(test_the_backlog_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
