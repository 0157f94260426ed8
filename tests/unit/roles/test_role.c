/* test_role.c: what bh_role_main does for every role, in a process of its own: peers that speak another version,
 * garbage or out of turn are closed and nothing else happens; calls end exactly once; a role without master ends.
 *
 * The role under test tells all that it sees to an observer, a peer that plays queued. On "call" it asks back the peer
 * that said so. */
#include "fake_peer.h"
#include "roles/config.h"
#include "roles/role.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALL_TIMEOUT_MS = 150 };

/* ---- the role ---- */

static void tell(struct bh_role *role, const char *what, const struct bh_peer *about)
{
    struct bh_peer *observer = bh_role_peer(role, BH_ROLE_QUEUED, 0);
    struct bh_buf text = bh_buf_make(200);

    bh_buf_printf(&text, "%s %s", what, about ? bh_role_name(about->kind) : "");
    if (observer && observer != about)
        (void)!BH_PEER_SEND(observer, COMMAND, 0, command, &((struct bh_msg_command){bh_buf_view(&text)}));
    bh_buf_free(&text);
}

static void on_reply(void *ctx, bh_err err, struct bh_ipc_message *reply)
{
    tell(ctx,
         err == BH_E_TIMEOUT  ? "timeout"
         : err == BH_E_CLOSED ? "closed"
         : err || !reply      ? "error"
                              : "reply",
         NULL);
}

static void on_up(struct bh_role *role, struct bh_peer *peer)
{
    tell(role, "up", peer);
}

static void on_down(struct bh_role *role, struct bh_peer *peer)
{
    tell(role, "down", peer);
}

static bh_err on_message(struct bh_role *role, struct bh_peer *peer, struct bh_ipc_message *message)
{
    struct bh_msg_command command;
    bh_err err = message->type == BH_MSG_COMMAND ? bh_msg_command_get(message->body, &command) : BH_E_SYNTAX;

    if (err)
        return err;
    if (!bh_str_eq(command.json, BH_STR("call"))) {
        tell(role, "heard", peer);
        return BH_OK;
    }
    return BH_PEER_CALL(peer, BODY_FILE, body_file, &(struct bh_msg_body_file){1}, CALL_TIMEOUT_MS, on_reply, role,
                        NULL);
}

static const struct bh_role_ops ops = {
    .kind = BH_ROLE_CONTROLD, .peer_up = on_up, .peer_down = on_down, .message = on_message};

/* ---- the world ---- */

struct world {
    struct fake_peer master, observer, peer;
    pid_t pid;
    bool ended; /* the test waited for it already */
};

static void connect_peer(struct world *w)
{
    fake_connect(&w->master, &w->peer, BH_ROLE_SENDER, 0);
}

static void say(struct fake_peer *fake, const char *text)
{
    struct bh_buf body = bh_buf_make(100);

    bh_msg_command_put(&body, &(struct bh_msg_command){bh_str_c(text)});
    fake_say(fake, BH_MSG_COMMAND, 0, &body, -1);
    bh_buf_free(&body);
}

/* The next thing that the observer is told. */
static void assert_told(struct world *w, const char *expected)
{
    struct bh_msg_command told;

    assert_true(fake_wait(&w->observer, BH_MSG_COMMAND));
    assert_ok(bh_msg_command_get(bh_buf_view(&w->observer.body), &told));
    assert_str(told.json, expected);
}

/* The role closed the peer, told master, and serves the observer. */
static void assert_only_peer_lost(struct world *w)
{
    struct bh_msg_peer lost;

    assert_true(fake_is_closed(&w->peer));
    assert_true(fake_wait(&w->master, BH_MSG_PEER_LOST));
    assert_ok(bh_msg_peer_get(bh_buf_view(&w->master.body), &lost));
    assert_int_equal(lost.role, BH_ROLE_SENDER);
    fake_close(&w->peer);
    connect_peer(w);
    fake_hello(&w->peer, BH_ROLE_SENDER, 0);
    assert_told(w, "up sender");
    say(&w->peer, "hi");
    assert_told(w, "heard sender");
}

static void start_role(struct world *w)
{
    struct bh_config config = {.smtpd_count = 1};
    struct bh_buf bytes = bh_buf_make(1 << 16), body = bh_buf_make(1 << 17);
    int fd = fake_open(&w->master);

    w->pid = fork();
    assert_true(w->pid >= 0);
    if (w->pid == 0) {
        if (dup2(fd, 3) != 3)
            _exit(127);
        for (int other = 4; other < 64; other++)
            (void)close(other);
        _exit(bh_role_main(&ops));
    }
    (void)close(fd);
    fake_hello(&w->master, BH_ROLE_MASTER, 0);
    bh_config_put(&bytes, &config);
    bh_msg_start_put(&body, &(struct bh_msg_start){.config = bh_buf_view(&bytes)});
    fake_say(&w->master, BH_MSG_START, 0, &body, -1);
    assert_true(fake_wait(&w->master, BH_MSG_READY));
    bh_buf_free(&bytes);
    bh_buf_free(&body);
}

static int open_world(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));

    start_role(w);
    fake_connect(&w->master, &w->observer, BH_ROLE_QUEUED, 0);
    fake_hello(&w->observer, BH_ROLE_QUEUED, 0);
    connect_peer(w);
    *state = w;
    return 0;
}

static void assert_ends(struct world *w, int expected)
{
    int status;

    assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
    w->ended = true;
}

/* Without master the role ends by itself, in order. */
static int close_world(void **state)
{
    struct world *w = *state;

    fake_close(&w->master);
    if (!w->ended)
        assert_ends(w, 0);
    fake_close(&w->observer);
    fake_close(&w->peer);
    test_free(w);
    return 0;
}

/* ---- HELLO ---- */

static void hello_with(struct world *w, uint32_t protocol, const char *build, uint8_t role)
{
    struct bh_buf body = bh_buf_make(200);

    bh_msg_hello_put(&body, &(struct bh_msg_hello){protocol, bh_str_c(build), role, 0});
    fake_say(&w->peer, BH_MSG_HELLO, 0, &body, -1);
    bh_buf_free(&body);
    assert_only_peer_lost(w);
}

static void test_another_protocol(void **state)
{
    hello_with(*state, BH_PROTOCOL_VERSION + 1, TEST_VERSION, BH_ROLE_SENDER);
}

static void test_another_build(void **state)
{
    hello_with(*state, BH_PROTOCOL_VERSION, TEST_VERSION "x", BH_ROLE_SENDER);
}

static void test_another_role(void **state)
{
    hello_with(*state, BH_PROTOCOL_VERSION, TEST_VERSION, BH_ROLE_KEYD);
}

static void test_before_hello(void **state)
{
    struct world *w = *state;

    say(&w->peer, "hi");
    assert_only_peer_lost(w);
}

static void test_hello_twice(void **state)
{
    struct world *w = *state;

    fake_hello(&w->peer, BH_ROLE_SENDER, 0);
    assert_told(w, "up sender");
    fake_hello(&w->peer, BH_ROLE_SENDER, 0);
    assert_told(w, "down sender");
    assert_only_peer_lost(w);
}

/* ---- garbage ---- */

static void greet(struct world *w)
{
    fake_hello(&w->peer, BH_ROLE_SENDER, 0);
    assert_told(w, "up sender");
}

static void test_malformed_bodies(void **state)
{
    static const bh_str bodies[] = {
        {"", 0}, {"\0\0\0", 3}, {"\0\0\0\5abc", 7}, {"\xff\xff\xff\xff", 4}, {"\0\0\0\0x", 5}};
    struct world *w = *state;
    struct bh_buf body = bh_buf_make(100);

    greet(w);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        bh_buf_add(&body, bodies[i]);
        fake_say(&w->peer, BH_MSG_COMMAND, 0, &body, -1);
        assert_told(w, "down sender");
        assert_only_peer_lost(w);
    }
    bh_buf_free(&body);
}

static void test_no_frame(void **state)
{
    struct world *w = *state;

    greet(w);
    fake_raw(&w->peer, BH_STR("GET / HTTP/1.1\r\nHost: behalf\r\n\r\n"));
    assert_told(w, "down sender");
    assert_only_peer_lost(w);
}

/* What only master may say closes a peer who says it. */
static void test_a_peer_is_not_master(void **state)
{
    static const uint16_t types[] = {BH_MSG_START, BH_MSG_PEER,   BH_MSG_LISTENER,
                                     BH_MSG_FILE,  BH_MSG_RELOAD, BH_MSG_DRAIN};
    struct world *w = *state;
    struct bh_buf body = bh_buf_make(100);

    greet(w);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        bh_msg_drain_put(&body, &(struct bh_msg_drain){0});
        fake_say(&w->peer, types[i], 0, &body, -1);
        assert_told(w, "down sender");
        assert_only_peer_lost(w);
    }
    bh_buf_free(&body);
}

/* ---- calls ---- */

static void reply(struct world *w, uint16_t type, uint32_t id)
{
    struct bh_buf body = bh_buf_make(100);

    bh_msg_body_file_reply_put(&body, &(struct bh_msg_body_file_reply){1, 5, BH_STR("")});
    fake_say(&w->peer, type, id, &body, -1);
    bh_buf_free(&body);
}

static void be_called(struct world *w)
{
    say(&w->peer, "call");
    assert_true(fake_wait(&w->peer, BH_MSG_BODY_FILE));
}

static void test_a_reply(void **state)
{
    struct world *w = *state;

    greet(w);
    be_called(w);
    reply(w, BH_MSG_BODY_FILE_REPLY, w->peer.id + 1000); /* to nothing that was asked: passed over */
    reply(w, BH_MSG_BODY_FILE_REPLY, w->peer.id);
    reply(w, BH_MSG_BODY_FILE_REPLY, w->peer.id); /* once more: passed over */
    assert_told(w, "reply ");
    say(&w->peer, "hi");
    assert_told(w, "heard sender");
}

static void test_a_late_reply(void **state)
{
    struct world *w = *state;

    greet(w);
    be_called(w);
    assert_told(w, "timeout ");
    reply(w, BH_MSG_BODY_FILE_REPLY, w->peer.id);
    say(&w->peer, "hi");
    assert_told(w, "heard sender");
}

static void test_a_reply_of_another_kind(void **state)
{
    struct world *w = *state;

    greet(w);
    be_called(w);
    reply(w, BH_MSG_LOGIN_REPLY, w->peer.id);
    assert_told(w, "closed ");
    assert_told(w, "down sender");
    assert_only_peer_lost(w);
}

static void test_calls_end_with_the_peer(void **state)
{
    struct world *w = *state;

    greet(w);
    be_called(w);
    be_called(w);
    fake_close(&w->peer);
    assert_told(w, "closed ");
    assert_told(w, "closed ");
    assert_told(w, "down sender");
    connect_peer(w);
    greet(w);
}

/* The peer's process died and master was faster than our read of its end. */
static void test_replaced_by_master(void **state)
{
    struct world *w = *state;
    struct fake_peer old;

    greet(w);
    be_called(w);
    old = w->peer;
    connect_peer(w);
    assert_told(w, "closed ");
    assert_told(w, "down sender");
    assert_true(fake_is_closed(&old));
    fake_close(&old);
    greet(w);
}

/* ---- master ---- */

static void test_master_talks_nonsense(void **state)
{
    struct world *w = *state;

    fake_raw(&w->master, BH_STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));
    assert_ends(w, 0);
}

static void test_a_peer_without_a_socket(void **state)
{
    struct world *w = *state;
    struct bh_buf body = bh_buf_make(100);

    bh_msg_peer_put(&body, &(struct bh_msg_peer){BH_ROLE_SENDER, 3});
    fake_say(&w->master, BH_MSG_PEER, 0, &body, -1);
    assert_ends(w, 0);
    bh_buf_free(&body);
}

static void test_a_peer_of_no_role(void **state)
{
    struct world *w = *state;
    struct fake_peer peer;

    fake_connect(&w->master, &peer, (enum bh_role_kind)200, 0);
    assert_ends(w, 0);
    fake_close(&peer);
}

static void test_drain(void **state)
{
    struct world *w = *state;
    struct bh_buf body = bh_buf_make(100);

    bh_msg_drain_put(&body, &(struct bh_msg_drain){1});
    fake_say(&w->master, BH_MSG_DRAIN, 0, &body, -1);
    assert_ends(w, 0);
    bh_buf_free(&body);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(test_another_protocol),
                                       CASE(test_another_build),
                                       CASE(test_another_role),
                                       CASE(test_before_hello),
                                       CASE(test_hello_twice),
                                       CASE(test_malformed_bodies),
                                       CASE(test_no_frame),
                                       CASE(test_a_peer_is_not_master),
                                       CASE(test_a_reply),
                                       CASE(test_a_late_reply),
                                       CASE(test_a_reply_of_another_kind),
                                       CASE(test_calls_end_with_the_peer),
                                       CASE(test_replaced_by_master),
                                       CASE(test_master_talks_nonsense),
                                       CASE(test_a_peer_without_a_socket),
                                       CASE(test_a_peer_of_no_role),
                                       CASE(test_drain)};

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
