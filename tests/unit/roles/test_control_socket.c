/* The control socket when the process has no descriptor left: it waits instead of spinning, and takes the client when
 * there is one again. */
#include "roles/controld/command.h"
#include "roles/controld/socket.h"
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void bh_command_run(struct bh_controld *core, bh_str json, int fd, void (*answered)(void *ctx, json_t *answer),
                    void *ctx)
{
    fail_msg("no command was sent");
}

static struct sockaddr_un name_of_test(socklen_t *ret_n)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "behalf-test-%d", (int)getpid());

    *ret_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    return address;
}

/* The descriptors from `next` on are gone, or there again. */
static void limit_descriptors(int next, rlim_t *saved)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (next >= 0)
        *saved = limit.rlim_cur;
    limit.rlim_cur = next >= 0 ? (rlim_t)next : *saved;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void waits_for_a_descriptor(void **state)
{
    struct bh_loop *loop = bh_loop_new();
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t n;
    struct sockaddr_un address = name_of_test(&n);
    struct bh_control_socket *control;
    bh_time_ms began;
    rlim_t saved = 0;
    char byte;
    int next;

    assert_int_equal(bind(listener, (struct sockaddr *)&address, n), 0);
    assert_int_equal(listen(listener, 8), 0);
    control = bh_control_socket_new(loop, NULL, listener, false);
    assert_non_null(control);
    assert_int_equal(connect(client, (struct sockaddr *)&address, n), 0);
    next = fcntl(client, F_DUPFD_CLOEXEC, 0); /* the lowest that is free */
    assert_true(next >= 0);
    (void)close(next);
    limit_descriptors(next, &saved);
    bh_loop_turn(loop, 0); /* the accept that fails */
    began = bh_loop_monotonic(loop);
    bh_loop_turn(loop, 100);
    bh_loop_turn(loop, 0);
    assert_true(bh_loop_monotonic(loop) - began >= 90);
    limit_descriptors(-1, &saved);

    assert_int_equal(send(client, "nothing that is a frame", 23, MSG_NOSIGNAL), 23);
    for (int i = 0; i < 20 && recv(client, &byte, 1, 0) < 0 && errno == EAGAIN; i++)
        bh_loop_turn(loop, 100);
    errno = 0;
    assert_true(recv(client, &byte, 1, 0) == 0 || errno == ECONNRESET); /* it was taken, read and thrown out */
    (void)close(client);
    bh_control_socket_free(control);
    bh_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(waits_for_a_descriptor)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
