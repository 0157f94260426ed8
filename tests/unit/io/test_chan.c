/* test_chan.c: two channels talk over a socket pair: echo, large writes, TLS with a certificate made here, failures. */
#include "io/chan.h"
#include "unit.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct end {
    struct bh_loop *loop;
    struct bh_chan *chan;
    struct bh_buf got;
    size_t to_send, sent; /* a stream of 'x' */
    bool is_up, is_over, close_on_input;
    bh_err err;
};

static char stream[1 << 16];

static void on_writable(void *ctx)
{
    struct end *end = ctx;

    while (end->sent < end->to_send) {
        size_t left = end->to_send - end->sent;
        struct iovec iov[2] = {{stream, left < 1000 ? left : 1000}, {stream, left < 1000 ? 0 : left - 1000}};
        size_t taken;

        if (iov[1].iov_len > sizeof(stream))
            iov[1].iov_len = sizeof(stream);
        taken = bh_chan_writev(end->chan, iov, 2);
        end->sent += taken;
        if (taken < iov[0].iov_len + iov[1].iov_len)
            return;
    }
}

static void on_input(void *ctx)
{
    struct end *end = ctx;
    bh_str in = bh_chan_input(end->chan);

    if (end->close_on_input) {
        bh_chan_close(end->chan);
        end->chan = NULL;
        return;
    }
    bh_buf_add(&end->got, in);
    bh_chan_consume(end->chan, in.n);
}

static void on_tls_up(void *ctx)
{
    struct end *end = ctx;

    end->is_up = true;
}

static void on_failed(void *ctx, bh_err err, const char *why)
{
    struct end *end = ctx;

    (void)why;
    end->is_over = true;
    end->err = err;
    bh_chan_close(end->chan);
    end->chan = NULL;
}

static const struct bh_chan_ops ops = {NULL, on_input, on_writable, on_tls_up, on_failed};

static void make_pair(struct end *a, struct end *b)
{
    int fds[2];
    struct bh_loop *loop = bh_loop_new();

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *a = (struct end){.loop = loop, .got = bh_buf_make(64 << 20)};
    *b = (struct end){.loop = loop, .got = bh_buf_make(64 << 20)};
    a->chan = bh_chan_accept(loop, fds[0], &ops, a);
    b->chan = bh_chan_accept(loop, fds[1], &ops, b);
    assert_non_null(a->chan);
    assert_non_null(b->chan);
}

static void free_pair(struct end *a, struct end *b)
{
    bh_chan_close(a->chan);
    bh_chan_close(b->chan);
    bh_buf_free(&a->got);
    bh_buf_free(&b->got);
    bh_loop_free(a->loop);
}

static void turns(struct end *end, int count)
{
    for (int i = 0; i < count; i++)
        bh_loop_turn(end->loop, 5);
}

static void exchange(struct end *a, struct end *b)
{
    bh_buf_add(bh_chan_out(a->chan), BH_STR("hello "));
    bh_buf_add(bh_chan_out(a->chan), BH_STR("there"));
    bh_buf_add(bh_chan_out(b->chan), BH_STR("back"));
    turns(a, 10);
    assert_str(bh_buf_view(&b->got), "hello there");
    assert_str(bh_buf_view(&a->got), "back");
    bh_buf_clear(&b->got);
    a->to_send = 5000000;
    on_writable(a);
    for (int i = 0; i < 10000 && b->got.n < a->to_send; i++)
        bh_loop_turn(a->loop, 5);
    assert_int_equal(b->got.n, a->to_send);
}

static void test_plain(void **state)
{
    struct end a, b;

    (void)state;
    make_pair(&a, &b);
    exchange(&a, &b);
    bh_chan_close(a.chan);
    a.chan = NULL;
    turns(&b, 5);
    assert_true(b.is_over);
    assert_int_equal(b.err, BH_E_CLOSED);
    free_pair(&a, &b);
}

static void test_closing_inside_a_callback(void **state)
{
    struct end a, b;

    (void)state;
    make_pair(&a, &b);
    b.close_on_input = true;
    bh_buf_add(bh_chan_out(a.chan), BH_STR("x"));
    turns(&a, 5);
    assert_null(b.chan);
    assert_true(a.is_over);
    free_pair(&a, &b);
}

static void test_back_pressure_and_timeout(void **state)
{
    struct end a, b;

    (void)state;
    make_pair(&a, &b);
    bh_chan_read_on(b.chan, false);
    a.to_send = 3000000;
    on_writable(&a);
    turns(&a, 20);
    assert_true(a.sent < a.to_send);
    assert_int_equal(b.got.n, 0);
    bh_chan_read_on(b.chan, true);
    for (int i = 0; i < 10000 && b.got.n < a.to_send; i++)
        bh_loop_turn(a.loop, 5);
    assert_int_equal(b.got.n, a.to_send);
    bh_chan_timeout(b.chan, 20);
    turns(&b, 20);
    assert_int_equal(b.err, BH_E_TIMEOUT);
    free_pair(&a, &b);
}

/* A self-signed certificate in two unlinked files. */
static void make_certificate(int *ret_certificate, int *ret_key)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    FILE *certificate_file = tmpfile(), *key_file = tmpfile();

    assert_non_null(key);
    (void)X509_set_version(certificate, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    (void)X509_set_pubkey(certificate, key);
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                                     (const unsigned char *)"mx.example", -1, -1, 0);
    (void)X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    (void)PEM_write_X509(certificate_file, certificate);
    (void)PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL);
    (void)fflush(certificate_file);
    (void)fflush(key_file);
    *ret_certificate = dup(fileno(certificate_file));
    *ret_key = dup(fileno(key_file));
    (void)fclose(certificate_file);
    (void)fclose(key_file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void test_tls(void **state)
{
    struct end a, b;
    struct bh_tls *server = NULL, *client = NULL;
    char why[128], text[128];
    int certificate, key;

    (void)state;
    make_certificate(&certificate, &key);
    assert_ok(bh_tls_server_new(certificate, key, &server, why, sizeof(why)));
    assert_ok(bh_tls_client_new(NULL, &client));
    make_pair(&a, &b);
    bh_buf_add(bh_chan_out(b.chan), BH_STR("220 go ahead\r\n"));
    assert_ok(bh_chan_start_tls(b.chan, server, BH_TLS_OPPORTUNISTIC_PEER, NULL));
    turns(&a, 3);
    assert_str(bh_buf_view(&a.got), "220 go ahead\r\n");
    bh_buf_clear(&a.got);
    assert_ok(bh_chan_start_tls(a.chan, client, BH_TLS_OPPORTUNISTIC_PEER, "mx.example"));
    turns(&a, 20);
    assert_true(a.is_up);
    assert_true(b.is_up);
    bh_chan_tls_text(a.chan, text, sizeof(text));
    assert_true(strncmp(text, "TLSv1.3", 7) == 0);
    exchange(&a, &b);
    free_pair(&a, &b);
    assert_int_equal(bh_tls_server_new(key, key, &server, why, sizeof(why)), BH_E_SYNTAX);
    bh_tls_free(server);
    bh_tls_free(client);
    (void)close(certificate);
    (void)close(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_closing_inside_a_callback),
        cmocka_unit_test(test_back_pressure_and_timeout),
        cmocka_unit_test(test_tls),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
