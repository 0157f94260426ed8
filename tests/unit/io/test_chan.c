/* test_chan.c: channels over a socket pair: plain, TLS, upgraded in place, back-pressure, timeouts, lingering. */
#include "base/buf.h"
#include "io/chan.h"
#include "unit.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <unistd.h>

struct end {
    struct bh_chan *chan;
    struct bh_buf got;  /* consumed input */
    struct bh_buf send; /* not yet sent */
    int ups, downs;
    bh_err why;
    bool keeps; /* does not consume */
};

static void send_on(void *ctx)
{
    struct end *end = ctx;
    struct iovec iov = {end->send.p, end->send.n};
    size_t sent;

    if (!end->send.n || !end->chan)
        return;
    assert_ok(bh_chan_send(end->chan, &iov, 1, &sent));
    bh_buf_consume(&end->send, sent);
}

static void on_up(void *ctx)
{
    struct end *end = ctx;

    end->ups++;
    send_on(end);
}

static void on_input(void *ctx)
{
    struct end *end = ctx;
    bh_str view = bh_chan_input(end->chan);

    if (end->keeps)
        return;
    bh_buf_add(&end->got, view);
    bh_chan_consume(end->chan, view.n);
}

static void on_down(void *ctx, bh_err err, const char *why)
{
    struct end *end = ctx;

    end->downs++;
    end->why = err;
}

static const struct bh_chan_ops ops = {on_up, on_input, send_on, on_down};

struct world {
    struct bh_loop *loop;
    struct end a, b;
    struct bh_tls *server, *client;
};

static void make_certificate(struct bh_buf *cert_pem, struct bh_buf *key_pem)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    BIO *out = BIO_new(BIO_s_mem());
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:mx.example");
    char *p;

    (void)X509_set_version(cert, 2);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    (void)X509_set_pubkey(cert, key);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"mx.example", -1, -1, 0);
    (void)X509_set_issuer_name(cert, name);
    (void)X509_add_ext(cert, san, -1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_true(PEM_write_bio_X509(out, cert));
    bh_buf_add(cert_pem, bh_str_of(p, (size_t)BIO_get_mem_data(out, &p)));
    (void)BIO_reset(out);
    assert_true(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL));
    bh_buf_add(key_pem, bh_str_of(p, (size_t)BIO_get_mem_data(out, &p)));
    BIO_free(out);
    X509_EXTENSION_free(san);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct bh_buf cert = bh_buf_make(10000), key = bh_buf_make(10000);

    w->loop = bh_loop_new();
    make_certificate(&cert, &key);
    assert_ok(bh_tls_server_new(bh_buf_view(&cert), bh_buf_view(&key), &w->server));
    assert_ok(bh_tls_client_new(bh_buf_view(&cert), &w->client));
    assert_int_equal(bh_tls_server_new(bh_buf_view(&cert), BH_STR("no"), &w->server), BH_E_CRYPTO);
    bh_buf_free(&cert);
    bh_buf_free(&key);
    *state = w;
    return 0;
}

static void turns(struct world *w, int n)
{
    for (int i = 0; i < n; i++)
        bh_loop_turn(w->loop, 1);
}

static int tear_down(void **state)
{
    struct world *w = *state;

    bh_chan_close(w->a.chan);
    bh_chan_close(w->b.chan);
    turns(w, 2);
    bh_tls_free(w->server);
    bh_tls_free(w->client);
    bh_loop_free(w->loop);
    free(w);
    return 0;
}

static void connect_pair(struct world *w, size_t in_max)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    w->a = (struct end){.got = bh_buf_make(10 << 20), .send = bh_buf_make(10 << 20)};
    w->b = w->a;
    w->a.chan = bh_chan_new(w->loop, fds[0], in_max, &ops, &w->a);
    w->b.chan = bh_chan_new(w->loop, fds[1], in_max, &ops, &w->b);
}

static void disconnect(struct world *w)
{
    bh_chan_close(w->a.chan);
    bh_chan_close(w->b.chan);
    w->a.chan = w->b.chan = NULL;
    turns(w, 2);
    bh_buf_free(&w->a.got);
    bh_buf_free(&w->a.send);
    bh_buf_free(&w->b.got);
    bh_buf_free(&w->b.send);
}

static void fill_send(struct end *end, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bh_buf_char(&end->send, (char)(i * 7 + i / 1000));
    send_on(end);
}

/* `n` bytes from a to b and back. */
static void exchange(struct world *w, size_t n)
{
    bh_buf_clear(&w->a.got);
    bh_buf_clear(&w->b.got);
    fill_send(&w->a, n);
    for (int i = 0; i < 10000 && w->b.got.n < n; i++)
        bh_loop_turn(w->loop, 5);
    assert_int_equal(w->b.got.n, n);
    for (size_t i = 0; i < n; i++)
        assert_true(w->b.got.p[i] == (char)(i * 7 + i / 1000));
    bh_buf_add(&w->b.send, bh_buf_view(&w->b.got));
    send_on(&w->b);
    for (int i = 0; i < 10000 && w->a.got.n < n; i++)
        bh_loop_turn(w->loop, 5);
    assert_true(bh_str_eq(bh_buf_view(&w->a.got), bh_buf_view(&w->b.got)));
}

static void test_plain(void **state)
{
    struct world *w = *state;

    connect_pair(w, 5000);
    exchange(w, 1);
    exchange(w, 3 << 20);
    bh_chan_close(w->b.chan);
    w->b.chan = NULL;
    turns(w, 3);
    assert_int_equal(w->a.downs, 1);
    assert_int_equal(w->a.why, BH_E_CLOSED);
    disconnect(w);
}

static void test_back_pressure(void **state)
{
    struct world *w = *state;

    connect_pair(w, 5000);
    w->b.keeps = true;
    fill_send(&w->a, 4 << 20);
    turns(w, 20);
    assert_int_equal(bh_chan_input(w->b.chan).n, 5000);
    assert_true(w->a.send.n > 3 << 20);
    w->b.keeps = false;
    on_input(&w->b);
    for (int i = 0; i < 10000 && w->b.got.n < 4 << 20; i++)
        bh_loop_turn(w->loop, 5);
    assert_int_equal(w->b.got.n, 4 << 20);
    disconnect(w);
}

static void shake_hands(struct world *w, bh_str name, bool verify)
{
    assert_ok(bh_chan_start_tls(w->a.chan, w->client, name, verify));
    assert_ok(bh_chan_start_tls(w->b.chan, w->server, BH_STR(""), false));
    turns(w, 20);
}

static void test_tls(void **state)
{
    struct world *w = *state;
    char text[100];

    for (int round = 0; round < 3; round++) {
        connect_pair(w, 5000);
        exchange(w, 100); /* in clear, then upgraded in place */
        shake_hands(w, round < 2 ? BH_STR("mx.example") : BH_STR(""), false);
        assert_int_equal(w->a.ups, 1);
        assert_int_equal(w->b.ups, 1);
        bh_chan_tls_text(w->a.chan, text, sizeof(text));
        assert_true(bh_str_starts(bh_str_c(text), BH_STR("TLSv1.3 ")));
        exchange(w, 1);
        exchange(w, 2 << 20);
        assert_int_equal(bh_chan_tls_resumed(w->a.chan), round == 1);
        disconnect(w);
    }
}

static void test_verification(void **state)
{
    struct world *w = *state;

    connect_pair(w, 5000);
    shake_hands(w, BH_STR("mx.example"), true);
    assert_int_equal(w->a.ups, 1);
    disconnect(w);
    connect_pair(w, 5000);
    shake_hands(w, BH_STR("other.example"), true);
    assert_int_equal(w->a.ups, 0);
    assert_int_equal(w->a.why, BH_E_CRYPTO);
    assert_int_equal(w->b.ups, 0);
    disconnect(w);
}

static void test_not_tls(void **state)
{
    struct world *w = *state;

    connect_pair(w, 5000);
    assert_ok(bh_chan_start_tls(w->b.chan, w->server, BH_STR(""), false));
    fill_send(&w->a, 100);
    turns(w, 5);
    assert_int_equal(w->b.why, BH_E_CRYPTO);
    disconnect(w);
}

static void test_timeout_and_linger(void **state)
{
    struct world *w = *state;

    connect_pair(w, 5000);
    bh_chan_set_timeout(w->a.chan, 30);
    bh_chan_set_timeout(w->a.chan, 60);
    usleep(40 * 1000);
    turns(w, 3);
    assert_int_equal(w->a.downs, 0);
    usleep(40 * 1000);
    turns(w, 3);
    assert_int_equal(w->a.downs, 1);
    assert_int_equal(w->a.why, BH_E_TIMEOUT);
    exchange(w, 10);
    fill_send(&w->a, 1000); /* unread input and a last word: it must arrive */
    bh_buf_add(&w->b.send, BH_STR("bye"));
    send_on(&w->b);
    bh_chan_linger(w->b.chan);
    w->b.chan = NULL;
    bh_buf_clear(&w->a.got);
    turns(w, 5);
    assert_str(bh_buf_view(&w->a.got), "bye");
    assert_int_equal(w->a.why, BH_E_CLOSED);
    disconnect(w);
    turns(w, 3);
}

static void test_connect(void **state)
{
    struct world *w = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), fd;

    w->a = w->b = (struct end){.got = bh_buf_make(1 << 20), .send = bh_buf_make(1 << 20)};
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    assert_ok(bh_chan_connect(w->loop, (struct sockaddr *)&address, size, NULL, 0, 1000, &ops, &w->a, &w->a.chan));
    turns(w, 3);
    assert_int_equal(w->a.ups, 1);
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    w->b.chan = bh_chan_new(w->loop, fd, 1000, &ops, &w->b);
    exchange(w, 10000);
    disconnect(w);
    (void)close(listener);
    w->a = (struct end){0};
    assert_ok(bh_chan_connect(w->loop, (struct sockaddr *)&address, size, NULL, 0, 1000, &ops, &w->a, &w->a.chan));
    turns(w, 3);
    assert_int_equal(w->a.why, BH_E_IO);
    disconnect(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_back_pressure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_verification, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_tls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_timeout_and_linger, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_connect, set_up, tear_down),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as role.c does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
