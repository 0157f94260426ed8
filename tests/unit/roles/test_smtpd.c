/* test_smtpd.c: the smtpd process among scripted peers: this test is master, controld, queued and keyd on one loop, and
 * talks SMTP to its ports. */
#include "base/clock.h"
#include "io/ipc.h"
#include "io/loop.h"
#include "mail/verp.h"
#include "roles/config.h"
#include "roles/messages.h"
#include "unit.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PORT25, SUBMISSION, SUBMISSIONS, TRUSTED, PORTS };

struct world;

/* One scripted peer. */
struct fake {
    struct world *world;
    enum bh_role_kind kind;
    struct bh_ipc ipc;
    struct bh_watch watch;
};

struct world {
    struct bh_loop *loop;
    struct fake master, controld, queued, keyd;
    struct bh_config config;
    struct bh_listener listeners[PORTS];
    uint16_t ports[PORTS];
    int listening[PORTS];
    pid_t pid;
    bool ready;
    int exit_status;
    struct bh_verp_key key;
    /* what was seen */
    struct bh_buf log; /* questions, in words */
    struct bh_buf body;
    unsigned submits;
    int body_file;
    bool slow_queued; /* keeps the submit open */
    uint32_t open_submit;
};

static void say(struct fake *fake, uint16_t type, uint32_t id, struct bh_buf *body, int fd)
{
    assert_ok(bh_ipc_send(&fake->ipc, type, id, bh_buf_view(body), &fd, fd >= 0));
    assert_ok(bh_ipc_flush(&fake->ipc));
    bh_buf_clear(body);
}

static void note(struct world *world, const char *what, bh_str value)
{
    bh_buf_printf(&world->log, "%s %.*s;", what, BH_FMT(value));
}

static void say_hello(struct fake *fake)
{
    struct bh_buf body = bh_buf_make(1000);

    bh_msg_hello_put(&body, &(struct bh_msg_hello){BH_PROTOCOL_VERSION, BH_STR(TEST_VERSION), (uint8_t)fake->kind, 0});
    say(fake, BH_MSG_HELLO, 0, &body, -1);
    bh_buf_free(&body);
}

static void answer_login(struct fake *fake, const struct bh_ipc_message *m)
{
    struct bh_buf body = bh_buf_make(1000);
    struct bh_msg_login login;
    unsigned char hash[32];
    bool right;

    assert_ok(bh_msg_login_get(m->body, &login));
    (void)EVP_Digest("secret", 6, hash, NULL, EVP_sha256(), NULL);
    right = bh_str_eq(login.username, BH_STR("user")) && bh_str_eq(login.secret_hash, bh_str_of((char *)hash, 32));
    note(fake->world, "login", login.username);
    bh_msg_login_reply_put(
        &body, &(struct bh_msg_login_reply){.ok = right, .version = 1, .customer_id = 7, .credential_id = 8});
    say(fake, BH_MSG_LOGIN_REPLY, m->id, &body, -1);
    bh_buf_free(&body);
}

static void answer_may_send(struct fake *fake, const struct bh_ipc_message *m)
{
    struct bh_buf body = bh_buf_make(1000);
    struct bh_msg_may_send ask;

    assert_ok(bh_msg_may_send_get(m->body, &ask));
    note(fake->world, "may", ask.from_domain);
    bh_msg_may_send_reply_put(
        &body, &(struct bh_msg_may_send_reply){.allowed = bh_str_eq(ask.from_domain, BH_STR("customer.example")),
                                               .version = 1,
                                               .domain_id = 9,
                                               .code = 550,
                                               .enhanced = BH_STR("5.7.1"),
                                               .reason = BH_STR("not your domain"),
                                               .fix = BH_STR("add it")});
    say(fake, BH_MSG_MAY_SEND_REPLY, m->id, &body, -1);
    bh_buf_free(&body);
}

static bh_err controld_hears(void *ctx, struct bh_ipc_message *m)
{
    struct fake *fake = ctx;
    struct bh_buf body = bh_buf_make(1000);
    struct bh_msg_bounce_domain ask;

    if (m->type == BH_MSG_LOGIN)
        answer_login(fake, m);
    if (m->type == BH_MSG_MAY_SEND)
        answer_may_send(fake, m);
    if (m->type == BH_MSG_CUSTOMER) {
        note(fake->world, "customer", BH_STR(""));
        bh_msg_login_reply_put(&body, &(struct bh_msg_login_reply){.ok = 1, .version = 1, .customer_id = 17});
        say(fake, BH_MSG_CUSTOMER_REPLY, m->id, &body, -1);
    }
    if (m->type == BH_MSG_BOUNCE_DOMAIN) {
        assert_ok(bh_msg_bounce_domain_get(m->body, &ask));
        note(fake->world, "bounce", ask.domain);
        bh_msg_bounce_domain_reply_put(&body, &(struct bh_msg_bounce_domain_reply){
                                                  bh_str_eq(ask.domain, BH_STR("bounce.customer.example")), 1, 27});
        say(fake, BH_MSG_BOUNCE_DOMAIN_REPLY, m->id, &body, -1);
    }
    bh_buf_free(&body);
    return BH_OK;
}

static void answer_submit(struct fake *fake, uint32_t id)
{
    struct bh_buf body = bh_buf_make(1000);

    bh_msg_submit_reply_put(&body, &(struct bh_msg_submit_reply){.ok = 1, .message_id = 42});
    say(fake, BH_MSG_SUBMIT_REPLY, id, &body, -1);
    bh_buf_free(&body);
}

static void take_submit(struct fake *fake, const struct bh_ipc_message *m)
{
    struct world *w = fake->world;
    struct bh_msg_submit s;
    struct bh_rec_recipient rcpt;
    struct bh_cur list;

    assert_ok(bh_msg_submit_get(m->body, &s));
    bh_buf_printf(&w->log,
                  "submit c%u d%u k%u to%u 8bit%u utf8%u from=%.*s dom=%.*s mf=%.*s client=%.*s helo=%.*s p=%.*s",
                  s.customer_id, s.domain_id, (unsigned)s.credential_id, s.destination, s.eight_bit, s.smtputf8,
                  BH_FMT(s.header_from), BH_FMT(s.from_domain), BH_FMT(s.mail_from), BH_FMT(s.client), BH_FMT(s.helo),
                  BH_FMT(s.protocol));
    list = bh_cur_make(s.recipients);
    while (!bh_rec_recipient_next(&list, &rcpt))
        bh_buf_printf(&w->log, " rcpt=%.*s", BH_FMT(rcpt.address));
    bh_buf_printf(&w->log, " size=%llu file=%llu;", (unsigned long long)s.size, (unsigned long long)s.body_file);
    bh_buf_clear(&w->body);
    bh_buf_add(&w->body, s.body);
    w->submits++;
    w->open_submit = m->id;
    if (!w->slow_queued)
        answer_submit(fake, m->id);
}

static bh_err queued_hears(void *ctx, struct bh_ipc_message *m)
{
    struct fake *fake = ctx;
    struct bh_buf body = bh_buf_make(1000);

    if (m->type == BH_MSG_SUBMIT)
        take_submit(fake, m);
    if (m->type == BH_MSG_BODY_FILE) {
        fake->world->body_file = memfd_create("body", MFD_CLOEXEC);
        bh_msg_body_file_reply_put(&body, &(struct bh_msg_body_file_reply){1, 5, BH_STR("")});
        say(fake, BH_MSG_BODY_FILE_REPLY, m->id, &body, fake->world->body_file);
    }
    bh_buf_free(&body);
    return BH_OK;
}

static bh_err keyd_hears(void *ctx, struct bh_ipc_message *m)
{
    return BH_OK;
}

static bh_err master_hears(void *ctx, struct bh_ipc_message *m)
{
    struct fake *fake = ctx;

    if (m->type == BH_MSG_READY)
        fake->world->ready = true;
    return BH_OK;
}

static void on_ready(void *ctx, unsigned events)
{
    static bh_ipc_handler *const handlers[BH_ROLE_KINDS] = {[BH_ROLE_MASTER] = master_hears,
                                                            [BH_ROLE_CONTROLD] = controld_hears,
                                                            [BH_ROLE_QUEUED] = queued_hears,
                                                            [BH_ROLE_KEYD] = keyd_hears};
    struct fake *fake = ctx;

    if (bh_ipc_receive(&fake->ipc, handlers[fake->kind], fake))
        bh_watch_stop(&fake->watch);
}

static void open_fake(struct world *w, struct fake *fake, enum bh_role_kind kind, int fd)
{
    fake->world = w;
    fake->kind = kind;
    assert_ok(bh_ipc_open(&fake->ipc, fd));
    assert_ok(bh_watch_start(w->loop, &fake->watch, fd, BH_READ, on_ready, fake));
    say_hello(fake);
}

static void connect_fake(struct world *w, struct fake *fake, enum bh_role_kind kind)
{
    struct bh_buf body = bh_buf_make(100);
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    bh_msg_peer_put(&body, &(struct bh_msg_peer){(uint8_t)kind, 0});
    say(&w->master, BH_MSG_PEER, 0, &body, fds[1]);
    (void)close(fds[1]);
    open_fake(w, fake, kind, fds[0]);
    bh_buf_free(&body);
}

static void close_fake(struct fake *fake)
{
    bh_watch_stop(&fake->watch);
    bh_ipc_close(&fake->ipc);
}

static void send_start(struct world *w)
{
    struct bh_buf body = bh_buf_make(1 << 20), config = bh_buf_make(1 << 20);

    bh_config_put(&config, &w->config);
    bh_msg_start_put(&body, &(struct bh_msg_start){.config = bh_buf_view(&config)});
    say(&w->master, BH_MSG_START, 0, &body, -1);
    bh_buf_free(&body);
    bh_buf_free(&config);
}

static void send_file(struct world *w, const char *purpose, void (*write_pem)(BIO *, EVP_PKEY *, X509 *), EVP_PKEY *key,
                      X509 *cert)
{
    int fd = memfd_create("pem", MFD_CLOEXEC);
    struct bh_buf body = bh_buf_make(100);
    BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);

    write_pem(bio, key, cert);
    BIO_free(bio);
    bh_msg_file_put(&body, &(struct bh_msg_file){bh_str_c(purpose)});
    say(&w->master, BH_MSG_FILE, 0, &body, fd);
    (void)close(fd);
    bh_buf_free(&body);
}

static void write_cert(BIO *bio, EVP_PKEY *key, X509 *cert)
{
    assert_true(PEM_write_bio_X509(bio, cert));
}

static void write_key(BIO *bio, EVP_PKEY *key, X509 *cert)
{
    assert_true(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
}

static void send_tls(struct world *w)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();

    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    (void)X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    send_file(w, "tls-certificate", write_cert, key, cert);
    send_file(w, "tls-key", write_key, key, cert);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void send_listeners(struct world *w)
{
    struct bh_buf body = bh_buf_make(100);

    for (uint32_t i = 0; i < PORTS; i++) {
        bh_msg_listener_put(&body, &(struct bh_msg_listener){i, 0});
        say(&w->master, BH_MSG_LISTENER, 0, &body, w->listening[i]);
        (void)close(w->listening[i]);
    }
    bh_buf_free(&body);
}

static void send_ring(struct world *w)
{
    struct bh_buf body = bh_buf_make(1000), keys = bh_buf_make(1000);

    w->key.period = bh_verp_period(bh_clock_now());
    memset(w->key.key, 7, sizeof(w->key.key));
    bh_rec_subkey_put(&keys, &(struct bh_rec_subkey){w->key.period, bh_str_of((char *)w->key.key, 32)});
    bh_msg_subkeys_put(&body, &(struct bh_msg_subkeys){BH_STR("bounce"), BH_VERP_PERIOD_S, bh_buf_view(&keys)});
    say(&w->keyd, BH_MSG_SUBKEYS, 0, &body, -1);
    bh_buf_free(&body);
    bh_buf_free(&keys);
}

static void listen_on(struct world *w, int i)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);

    w->listening[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(w->listening[i], (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(w->listening[i], 100), 0);
    assert_int_equal(getsockname(w->listening[i], (struct sockaddr *)&address, &size), 0);
    w->ports[i] = ntohs(address.sin_port);
}

static void fill_config(struct world *w)
{
    static const enum bh_listen_protocol protocols[PORTS] = {BH_LISTEN_SMTP, BH_LISTEN_SUBMISSION,
                                                             BH_LISTEN_SUBMISSIONS, BH_LISTEN_SUBMISSION};

    for (int i = 0; i < PORTS; i++) {
        listen_on(w, i);
        w->listeners[i] = (struct bh_listener){protocols[i], BH_STR("127.0.0.1"), w->ports[i],
                                               i == TRUSTED ? BH_STR("acme") : BH_STR("")};
    }
    w->config = (struct bh_config){.hostname = BH_STR("mta1.test"),
                                   .listeners = w->listeners,
                                   .listener_count = PORTS,
                                   .session_limit = 20,
                                   .sessions_per_client = 5,
                                   .recipients_max = 100,
                                   .message_size_max = 10 << 20,
                                   .hops_max = 5,
                                   .idle_timeout_s = 60};
}

static void turn(struct world *w)
{
    bh_loop_turn(w->loop, 20);
}

static void start_process(struct world *w)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    w->pid = fork();
    if (w->pid == 0) {
        if (fds[1] == 3)
            (void)fcntl(3, F_SETFD, 0);
        else
            (void)dup2(fds[1], 3);
        (void)execl(TEST_SMTPD, "smtpd", (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    open_fake(w, &w->master, BH_ROLE_MASTER, fds[0]);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    (void)signal(SIGPIPE, SIG_IGN);
    w->loop = bh_loop_new();
    w->log = bh_buf_make(100000);
    w->body = bh_buf_make(10 << 20);
    fill_config(w);
    start_process(w);
    send_tls(w);
    send_start(w);
    for (int i = 0; i < 500 && !w->ready; i++)
        turn(w);
    assert_true(w->ready);
    send_listeners(w);
    connect_fake(w, &w->controld, BH_ROLE_CONTROLD);
    connect_fake(w, &w->queued, BH_ROLE_QUEUED);
    connect_fake(w, &w->keyd, BH_ROLE_KEYD);
    turn(w);
    send_ring(w);
    turn(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    int status = -1;

    (void)kill(w->pid, SIGTERM);
    for (int i = 0; i < 500 && waitpid(w->pid, &status, WNOHANG) == 0; i++)
        turn(w);
    assert_int_equal(status, 0); /* with sanitizers: no leak, no error */
    close_fake(&w->master);
    close_fake(&w->controld);
    close_fake(&w->queued);
    close_fake(&w->keyd);
    bh_buf_free(&w->log);
    bh_buf_free(&w->body);
    bh_loop_free(w->loop);
    free(w);
    return 0;
}

/* ---- a client ---- */

struct client {
    struct world *world;
    int fd;
    SSL *ssl;
};

static struct client dial(struct world *w, int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(w->ports[port])};
    struct client c = {w, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), NULL};

    assert_int_equal(connect(c.fd, (struct sockaddr *)&address, sizeof(address)), 0);
    (void)fcntl(c.fd, F_SETFL, O_NONBLOCK);
    return c;
}

static void hang_up(struct client *c)
{
    SSL_free(c->ssl);
    (void)close(c->fd);
}

static void put(struct client *c, bh_str bytes)
{
    while (bytes.n) {
        long n = c->ssl ? SSL_write(c->ssl, bytes.p, (int)bytes.n) : send(c->fd, bytes.p, bytes.n, 0);

        if (n > 0)
            bytes = bh_str_skip(bytes, (size_t)n);
        else
            turn(c->world);
    }
}

/* Reads until the last line is a final one ("250 …"). */
static bh_str hear(struct client *c, char *text, size_t size)
{
    size_t n = 0;

    for (int i = 0; i < 300; i++) {
        long got = c->ssl ? SSL_read(c->ssl, text + n, (int)(size - n)) : recv(c->fd, text + n, size - n, 0);

        if (got == 0 && !c->ssl)
            break;
        n += got > 0 ? (size_t)got : 0;
        if (n && text[n - 1] == '\n') {
            size_t line = bh_str_rfind(bh_str_of(text, n - 1), '\n');

            line = line == n - 1 ? 0 : line + 1;
            if (text[line + 3] == ' ')
                break;
        }
        if (got <= 0)
            turn(c->world);
    }
    return bh_str_of(text, n);
}

#define EXPECT(client, sent, wanted)                                                                                   \
    do {                                                                                                               \
        char text_[4000];                                                                                              \
        put((client), BH_STR(sent));                                                                                   \
        assert_str(hear((client), text_, sizeof(text_)), wanted);                                                      \
    } while (0)

static void expect_start(struct client *c, const char *sent, const char *wanted)
{
    char text[4000];
    bh_str got;

    put(c, bh_str_c(sent));
    got = hear(c, text, sizeof(text));
    if (!bh_str_starts(got, bh_str_c(wanted)))
        fail_msg("got \"%.*s\", expected \"%s…\"", BH_FMT(got), wanted);
}

static void start_tls(struct client *c)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    c->ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    (void)SSL_set_fd(c->ssl, c->fd);
    for (int i = 0; i < 300 && SSL_connect(c->ssl) != 1; i++)
        turn(c->world);
    assert_true(SSL_is_init_finished(c->ssl));
}

static void expect_log(struct world *w, const char *wanted)
{
    assert_str(bh_buf_view(&w->log), wanted);
    bh_buf_clear(&w->log);
}

#define LETTER "From: A <a@customer.example>\r\nSubject: x\r\n\r\nhello\r\n"

static void test_trusted(void **state)
{
    struct world *w = *state;
    struct client c = dial(w, TRUSTED);

    EXPECT(&c, "", "220 mta1.test ESMTP\r\n");
    expect_start(&c, "EHLO me.test\r\n", "250-mta1.test\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n");
    EXPECT(&c, "MAIL FROM:<x@y.z>\r\n", "250 2.1.0 Ok\r\n");
    EXPECT(&c, "RCPT TO:<\"a b\"@Rcpt.Example>\r\n", "250 2.1.5 Ok\r\n");
    EXPECT(&c, "RCPT TO:<c@d.example>\r\n", "250 2.1.5 Ok\r\n");
    EXPECT(&c, "RCPT TO:<postmaster>\r\n", "550 5.1.3 A recipient needs a domain\r\n");
    EXPECT(&c, "DATA\r\n", "354 End data with <CR><LF>.<CR><LF>\r\n");
    EXPECT(&c, LETTER ".\r\n", "250 2.0.0 Ok: queued as msg_aaaaaaaaaaacu\r\n");
    expect_log(w, "customer ;may customer.example;submit c17 d9 k0 to0 8bit0 utf80 from=a@customer.example "
                  "dom=customer.example mf=x@y.z client=127.0.0.1 helo=me.test p=ESMTP rcpt=\"a b\"@Rcpt.Example "
                  "rcpt=c@d.example size=51 file=0;");
    assert_str(bh_buf_view(&w->body), LETTER);
    /* all at once, answers from the cache */
    put(&c,
        BH_STR("MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nFrom: \xc3\xb6@customer.example\r\n\r\n\xff\r\n.\r\n"
               "MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nFrom: b@other.example\r\n\r\n..\r\n.\r\nQUIT\r\n"));
    for (int i = 0; i < 100 && w->submits < 2; i++)
        turn(w);
    for (int i = 0; i < 10; i++)
        turn(w);
    EXPECT(&c, "",
           "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n250 2.0.0 Ok: queued as "
           "msg_aaaaaaaaaaacu\r\n"
           "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n550-5.7.1 not your domain\r\n"
           "550 5.7.1 add it\r\n221 2.0.0 Bye\r\n");
    expect_log(w, "submit c17 d9 k0 to0 8bit1 utf81 from=\xc3\xb6@customer.example dom=customer.example mf= "
                  "client=127.0.0.1 helo=me.test p=UTF8SMTP rcpt=c@d.example size=32 file=0;may other.example;");
    hang_up(&c);
}

static void test_submission(void **state)
{
    struct world *w = *state;
    struct client c = dial(w, SUBMISSION);

    EXPECT(&c, "", "220 mta1.test ESMTP\r\n");
    expect_start(&c, "EHLO me.test\r\n",
                 "250-mta1.test\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n250-STARTTLS\r\n250-DSN");
    expect_start(&c, "MAIL FROM:<x@y.z>\r\n", "530 5.7.0 ");
    EXPECT(&c, "STARTTLS\r\n", "220 2.0.0 Ready to start TLS\r\n");
    start_tls(&c);
    expect_start(&c, "EHLO me.test\r\n",
                 "250-mta1.test\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n250-AUTH PLAIN LOGIN\r\n");
    expect_start(&c, "AUTH PLAIN AHVzZXIAd3Jvbmc=\r\n", "535 5.7.8 ");
    EXPECT(&c, "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n", "235 2.7.0 Authentication successful\r\n");
    EXPECT(&c, "MAIL FROM:<x@y.z>\r\n", "250 2.1.0 Ok\r\n");
    EXPECT(&c, "RCPT TO:<c@d.example>\r\n", "250 2.1.5 Ok\r\n");
    EXPECT(&c, "DATA\r\n", "354 End data with <CR><LF>.<CR><LF>\r\n");
    EXPECT(&c, LETTER ".\r\n", "250 2.0.0 Ok: queued as msg_aaaaaaaaaaacu\r\n");
    expect_log(
        w, "login user;login user;may customer.example;submit c7 d9 k8 to0 8bit0 utf80 from=a@customer.example "
           "dom=customer.example mf=x@y.z client=127.0.0.1 helo=me.test p=ESMTPSA rcpt=c@d.example size=51 file=0;");
    EXPECT(&c, "QUIT\r\n", "221 2.0.0 Bye\r\n");
    hang_up(&c);
    c = dial(w, SUBMISSIONS);
    start_tls(&c);
    EXPECT(&c, "", "220 mta1.test ESMTP\r\n");
    expect_start(&c, "EHLO me.test\r\n",
                 "250-mta1.test\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n250-AUTH PLAIN LOGIN\r\n");
    EXPECT(&c, "AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n");
    EXPECT(&c, "dXNlcg==\r\n", "334 UGFzc3dvcmQ6\r\n");
    EXPECT(&c, "c2VjcmV0\r\n", "235 2.7.0 Authentication successful\r\n");
    expect_log(w, ""); /* cached */
    hang_up(&c);
}

static void refuse(struct client *c, const char *text, const char *reply)
{
    expect_start(c, "MAIL FROM:<x@y.z>\r\n", "250 ");
    expect_start(c, "RCPT TO:<c@d.example>\r\n", "250 ");
    expect_start(c, "DATA\r\n", "354 ");
    expect_start(c, text, reply);
}

static void test_refusals(void **state)
{
    struct world *w = *state;
    struct client c = dial(w, TRUSTED);

    EXPECT(&c, "", "220 mta1.test ESMTP\r\n");
    expect_start(&c, "EHLO me.test\r\n", "250-mta1.test\r\n");
    refuse(&c, "Subject: x\r\n\r\nx\r\n.\r\n", "550");
    refuse(&c, "From: a@customer.example\r\nFrom: b@customer.example\r\n\r\nx\r\n.\r\n", "550");
    refuse(&c, "From: a@customer.example, b@customer.example\r\n\r\nx\r\n.\r\n", "550");
    refuse(&c, "From: a@customer.example\r\n\r\nx\ny\r\n.\r\n", "550 5.6.0 The message holds a bare LF");
    refuse(&c,
           "From: a@customer.example\r\nReceived: 1\r\nReceived: 2\r\nReceived: 3\r\nReceived: 4\r\nReceived: 5\r\n"
           "Received: 6\r\n\r\nx\r\n.\r\n",
           "554");
    refuse(&c, "From: a@stranger.example\r\n\r\nx\r\n.\r\n", "550-5.7.1 not your domain");
    assert_int_equal(w->submits, 0);
    refuse(&c, LETTER ".\r\n", "250 ");
    hang_up(&c);
}

static void test_port25(void **state)
{
    struct world *w = *state;
    struct client c = dial(w, PORT25);
    struct bh_verp verp = {BH_VERP_BOUNCE, 0, 27, 1000, 3};
    char local[BH_VERP_CHARS + 1] = "", line[200];

    assert_ok(bh_verp_encode(&verp, BH_STR("bounce.customer.example"), &w->key, local));
    EXPECT(&c, "", "220 mta1.test ESMTP\r\n");
    expect_start(&c, "EHLO mx.remote\r\n",
                 "250-mta1.test\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n250-STARTTLS\r\n250-8BIT");
    EXPECT(&c, "MAIL FROM:<>\r\n", "250 2.1.0 Ok\r\n");
    EXPECT(&c, "RCPT TO:<someone@bounce.customer.example>\r\n", "550 5.1.1 No such address here\r\n");
    (void)snprintf(line, sizeof(line), "RCPT TO:<%s@elsewhere.example>\r\n", local);
    expect_start(&c, line, "550 5.1.1 No such address here\r\n");
    (void)snprintf(line, sizeof(line), "RCPT TO:<%s@Bounce.Customer.Example>\r\n", local);
    expect_start(&c, line, "250 2.1.5 Ok\r\n");
    EXPECT(&c, "DATA\r\n", "354 End data with <CR><LF>.<CR><LF>\r\n");
    EXPECT(&c, "odd header\r\n\r\nbounce\r\n.\r\n", "250 2.0.0 Ok: queued as msg_aaaaaaaaaaacu\r\n");
    local[20] = local[20] == 'a' ? 'b' : 'a';
    EXPECT(&c, "MAIL FROM:<>\r\n", "250 2.1.0 Ok\r\n");
    (void)snprintf(line, sizeof(line), "RCPT TO:<%s@bounce.customer.example>\r\n", local);
    expect_start(&c, line, "550 5.1.1 No such address here\r\n");
    assert_true(bh_str_search(bh_buf_view(&w->log), BH_STR("submit c27 d0 k0 to1 8bit0 utf80 from= dom= mf= client=")) <
                w->log.n);
    hang_up(&c);
}

/* The names for people, an address used again and again. */
static void test_port25_measure(void **state)
{
    struct world *w = *state;
    struct client c = dial(w, PORT25);
    struct bh_verp verp = {BH_VERP_BOUNCE, 0, 27, 1000, 3};
    char local[BH_VERP_CHARS + 1] = "", line[200];

    assert_ok(bh_verp_encode(&verp, BH_STR("bounce.customer.example"), &w->key, local));
    (void)snprintf(line, sizeof(line), "RCPT TO:<%s@bounce.customer.example>\r\n", local);
    EXPECT(&c, "", "220 mta1.test ESMTP\r\n");
    expect_start(&c, "EHLO mx.remote\r\n", "250-");
    EXPECT(&c, "MAIL FROM:<you@remote.example>\r\n", "250 2.1.0 Ok\r\n");
    expect_start(&c, "RCPT TO:<PostMaster@bounce.customer.example>\r\n", "250 2.1.5 Ok\r\n");
    expect_start(&c, "RCPT TO:<abuse@bounce.customer.example>\r\n", "250 2.1.5 Ok\r\n");
    expect_start(&c, "RCPT TO:<abuse@elsewhere.example>\r\n", "550 5.7.1 Relaying is not allowed\r\n");
    for (int i = 0; i < 20; i++) {
        EXPECT(&c, "RSET\r\n", "250 2.0.0 Ok\r\n");
        EXPECT(&c, "MAIL FROM:<>\r\n", "250 2.1.0 Ok\r\n");
        expect_start(&c, line, "250 2.1.5 Ok\r\n");
    }
    expect_start(&c, line, "550 5.7.1 Too much mail to this address\r\n");
    hang_up(&c);
}

static void test_large(void **state)
{
    struct world *w = *state;
    struct client c = dial(w, TRUSTED);
    struct bh_buf text = bh_buf_make(4 << 20);
    char *map;

    EXPECT(&c, "", "220 mta1.test ESMTP\r\n");
    expect_start(&c, "EHLO me.test\r\n", "250-");
    expect_start(&c, "MAIL FROM:<x@y.z>\r\n", "250 ");
    expect_start(&c, "RCPT TO:<c@d.example>\r\n", "250 ");
    expect_start(&c, "DATA\r\n", "354 ");
    bh_buf_add(&text, BH_STR("From: a@customer.example\r\n\r\n"));
    for (int i = 0; i < 30000; i++)
        bh_buf_printf(&text, "line %d of a message that goes to a file\r\n", i);
    put(&c, bh_buf_view(&text));
    EXPECT(&c, ".\r\n", "250 2.0.0 Ok: queued as msg_aaaaaaaaaaacu\r\n");
    assert_int_equal(w->body.n, 0);
    assert_int_equal(lseek(w->body_file, 0, SEEK_END), text.n);
    map = mmap(NULL, text.n, PROT_READ, MAP_SHARED, w->body_file, 0);
    assert_memory_equal(map, text.p, text.n);
    (void)munmap(map, text.n);
    (void)close(w->body_file);
    bh_buf_free(&text);
    hang_up(&c);
}

/* A new queued knows nothing of the files that the old one gave. */
static void test_large_while_queued_restarts(void **state)
{
    struct world *w = *state;
    struct client c = dial(w, TRUSTED);
    struct bh_buf text = bh_buf_make(1 << 20);

    EXPECT(&c, "", "220 mta1.test ESMTP\r\n");
    expect_start(&c, "EHLO me.test\r\n", "250-");
    expect_start(&c, "MAIL FROM:<x@y.z>\r\n", "250 ");
    expect_start(&c, "RCPT TO:<c@d.example>\r\n", "250 ");
    expect_start(&c, "DATA\r\n", "354 ");
    bh_buf_add(&text, BH_STR("From: a@customer.example\r\n\r\n"));
    for (int i = 0; i < 5000; i++)
        bh_buf_add(&text, BH_STR("a line of a message that goes to a file\r\n"));
    put(&c, bh_buf_view(&text));
    for (int i = 0; i < 100 && !w->body_file; i++)
        turn(w);
    for (int i = 0; i < 10; i++)
        turn(w);
    close_fake(&w->queued);
    connect_fake(w, &w->queued, BH_ROLE_QUEUED);
    for (int i = 0; i < 10; i++)
        turn(w);
    expect_start(&c, ".\r\n", "451 4.3.0 ");
    assert_int_equal(w->submits, 0);
    (void)close(w->body_file);
    bh_buf_free(&text);
    hang_up(&c);
}

static void test_peers_away(void **state)
{
    struct world *w = *state;
    struct client c = dial(w, TRUSTED), d;

    EXPECT(&c, "", "220 mta1.test ESMTP\r\n");
    expect_start(&c, "EHLO me.test\r\n", "250-");
    expect_start(&c, "MAIL FROM:<x@y.z>\r\n", "250 ");
    expect_start(&c, "RCPT TO:<c@d.example>\r\n", "250 ");
    expect_start(&c, "DATA\r\n", "354 ");
    w->slow_queued = true;
    put(&c, BH_STR(LETTER ".\r\n"));
    for (int i = 0; i < 100 && !w->submits; i++)
        turn(w);
    close_fake(&w->queued); /* dies with the message in hand */
    expect_start(&c, "", "451 4.3.0 ");
    expect_start(&c, "MAIL FROM:<x@y.z>\r\n", "250 ");
    expect_start(&c, "RCPT TO:<c@d.example>\r\n", "250 ");
    expect_start(&c, "DATA\r\n", "451 4.3.0 ");
    w->slow_queued = false;
    connect_fake(w, &w->queued, BH_ROLE_QUEUED);
    turn(w);
    expect_start(&c, "DATA\r\n", "354 ");
    expect_start(&c, LETTER ".\r\n", "250 2.0.0 Ok: queued as msg_aaaaaaaaaaacu");
    close_fake(&w->controld);
    turn(w);
    d = dial(w, TRUSTED);
    expect_start(&d, "", "220 ");
    expect_start(&d, "HELO me.test\r\n", "250 ");
    expect_start(&d, "MAIL FROM:<x@y.z>\r\n", "250 "); /* the customer is known from before */
    hang_up(&c);
    hang_up(&d);
    connect_fake(w, &w->controld, BH_ROLE_CONTROLD);
    turn(w);
}

static void test_limits_and_drain(void **state)
{
    struct world *w = *state;
    struct client c[6];

    for (int i = 0; i < 6; i++) {
        c[i] = dial(w, TRUSTED);
        expect_start(&c[i], "", i < 5 ? "220 " : "421 4.7.0 ");
    }
    expect_start(&c[0], "HELO me.test\r\n", "250 ");
    expect_start(&c[0], "MAIL FROM:<x@y.z>\r\n", "250 ");
    expect_start(&c[0], "RCPT TO:<c@d.example>\r\n", "250 ");
    expect_start(&c[0], "DATA\r\n", "354 ");
    (void)kill(w->pid, SIGTERM);
    expect_start(&c[1], "", "421 4.3.2 ");
    expect_start(&c[0], LETTER ".\r\n", "250 2.0.0 Ok: queued as msg_aaaaaaaaaaacu"); /* what was begun is finished */
    for (int i = 0; i < 6; i++)
        hang_up(&c[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_trusted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_submission, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_port25, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_port25_measure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_while_queued_restarts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_peers_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits_and_drain, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
