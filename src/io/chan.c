/* chan.c: see chan.h. One watch per channel; what it waits for follows from the state:
 *
 *      CONNECTING write | SHAKING as OpenSSL says | OPEN read (unless full, paused or at the end), write (after a short
 *      send, or when OpenSSL wants to write in order to read) | LINGERING read
 *
 * A closed channel is freed at the end of the turn, so that a call-back may close it. The timer is lazy: setting a
 * later deadline only stores it, and the timer moves on when it fires. */
#include "chan.h"
#include "base/buf.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_BYTES = 16 * 1024, RECORD_BYTES = 16 * 1024, LINGER_MS = 2000, WHY_BYTES = 200 };

enum state { CONNECTING, SHAKING, OPEN, LINGERING, CLOSED };

struct bh_chan {
    struct bh_loop *loop;
    const struct bh_chan_ops *ops;
    void *ctx;
    int fd;
    enum state state;
    struct bh_watch watch;
    struct bh_timer timer;
    struct bh_deferred later; /* frees, or reads what TLS has buffered */
    bh_time_ms deadline;      /* monotonic; 0: none */
    bh_time_ms timer_at;      /* when the timer fires; 0: it does not run */
    SSL *ssl;
    struct bh_buf in;
    bool paused;
    bool at_end; /* the peer sends no more */
    bool wants_write;
    bool read_wants_write;
};

static void watch_on(struct bh_chan *chan)
{
    bool full = chan->in.n >= chan->in.max;
    unsigned events = 0;

    if (chan->state != OPEN && chan->state != LINGERING)
        return;
    if (!chan->at_end && !chan->paused && !full)
        events |= BH_READ;
    if (chan->wants_write || chan->read_wants_write)
        events |= BH_WRITE;
    bh_watch_want(&chan->watch, events);
}

static void release(struct bh_chan *chan)
{
    bh_timer_free(&chan->timer);
    bh_buf_free(&chan->in);
    free(chan);
}

static void go_down(struct bh_chan *chan, bh_err err, const char *why)
{
    if (chan->state == LINGERING)
        bh_chan_close(chan);
    else
        chan->ops->down(chan->ctx, err, why);
}

/* What an SSL call that did not succeed means. BH_E_AGAIN: wait. */
static bh_err ssl_state(struct bh_chan *chan, int rc, bool *ret_wants_write)
{
    int error = SSL_get_error(chan->ssl, rc);

    *ret_wants_write = error == SSL_ERROR_WANT_WRITE;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return BH_E_AGAIN;
    if (error == SSL_ERROR_ZERO_RETURN)
        return BH_E_CLOSED;
    return BH_E_IO;
}

static bh_err read_some(struct bh_chan *chan, char *p, size_t n, size_t *ret_n)
{
    ssize_t got;
    int rc;

    if (chan->ssl) {
        ERR_clear_error();
        rc = SSL_read_ex(chan->ssl, p, n, ret_n);
        if (rc == 1)
            return BH_OK;
        return ssl_state(chan, rc, &chan->read_wants_write);
    }
    got = recv(chan->fd, p, n, 0);
    if (got > 0) {
        *ret_n = (size_t)got;
        return BH_OK;
    }
    return got == 0 ? BH_E_CLOSED : errno == EAGAIN || errno == EINTR ? BH_E_AGAIN : BH_E_IO;
}

/* Reads until nothing is there or the buffer is full. BH_E_AGAIN: fine. *ret_got: something came. */
static bh_err fill(struct bh_chan *chan, bool *ret_got)
{
    bh_err err = BH_OK;

    while (!err && chan->in.n < chan->in.max) {
        size_t room = chan->in.max - chan->in.n, want = room < READ_BYTES ? room : READ_BYTES, n = 0;
        char *p = bh_buf_reserve(&chan->in, want);

        if (!p)
            return BH_E_IO;
        err = read_some(chan, p, want, &n);
        if (!err) {
            bh_buf_commit(&chan->in, n);
            *ret_got = true;
            if (n < want && !chan->ssl) /* the socket is empty: spare the call that would say so */
                err = BH_E_AGAIN;
        }
    }
    return err ? err : BH_E_AGAIN;
}

static void drain_lingering(struct bh_chan *chan)
{
    char waste[4096];
    ssize_t n = recv(chan->fd, waste, sizeof(waste), 0);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        bh_chan_close(chan);
}

static void on_readable(struct bh_chan *chan)
{
    bool got = false;
    bh_err err;

    if (chan->state == LINGERING) {
        drain_lingering(chan);
        return;
    }
    if (chan->at_end || chan->paused)
        return;
    chan->read_wants_write = false;
    err = fill(chan, &got);
    if (err != BH_E_AGAIN)
        chan->at_end = true;
    watch_on(chan);
    if (got)
        chan->ops->input(chan->ctx);
    if (err != BH_E_AGAIN && chan->state == OPEN)
        go_down(chan, err, err == BH_E_CLOSED ? "closed by the peer" : "connection lost");
}

/* What OpenSSL holds is announced by no watch. */
static void read_pending_later(struct bh_chan *chan)
{
    if (chan->state == OPEN && chan->ssl && !chan->paused && !chan->at_end && SSL_has_pending(chan->ssl))
        bh_loop_defer(chan->loop, &chan->later);
}

static void shake(struct bh_chan *chan)
{
    bool wants_write;
    bh_err err;
    int rc;

    ERR_clear_error();
    rc = SSL_do_handshake(chan->ssl);
    if (rc == 1) {
        chan->state = OPEN;
        watch_on(chan);
        read_pending_later(chan);
        chan->ops->up(chan->ctx);
        return;
    }
    err = ssl_state(chan, rc, &wants_write);
    if (err == BH_E_AGAIN) {
        bh_watch_want(&chan->watch, wants_write ? BH_WRITE : BH_READ);
    } else {
        char why[WHY_BYTES];

        bh_tls_why(chan->ssl, why, sizeof(why));
        bh_watch_want(&chan->watch, 0);
        go_down(chan, BH_E_CRYPTO, why);
    }
}

static void on_connected(struct bh_chan *chan)
{
    socklen_t size = sizeof(int);
    int error = 0;

    if (getsockopt(chan->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error) {
        bh_watch_want(&chan->watch, 0);
        go_down(chan, BH_E_IO, strerrordesc_np(error));
        return;
    }
    chan->state = OPEN;
    watch_on(chan);
    chan->ops->up(chan->ctx);
}

static void on_ready(void *ctx, unsigned events)
{
    struct bh_chan *chan = ctx;
    bool wanted_write = chan->wants_write;

    if (chan->state == CONNECTING) {
        on_connected(chan);
        return;
    }
    if (chan->state == SHAKING) {
        shake(chan);
        return;
    }
    if (events & BH_READ || chan->read_wants_write)
        on_readable(chan);
    if (events & BH_WRITE && wanted_write && chan->state == OPEN) {
        chan->wants_write = false;
        watch_on(chan);
        chan->ops->writable(chan->ctx);
    }
}

/* End of the turn: the closed channel goes, or what TLS holds decrypted is read. */
static void on_later(void *ctx)
{
    struct bh_chan *chan = ctx;

    if (chan->state == CLOSED)
        release(chan);
    else if (chan->state == OPEN)
        on_readable(chan);
}

static void on_timer(void *ctx)
{
    struct bh_chan *chan = ctx;
    bh_time_ms now = bh_loop_monotonic(chan->loop);

    chan->timer_at = 0;
    if (!chan->deadline)
        return;
    if (now < chan->deadline) {
        chan->timer_at = chan->deadline;
        bh_timer_set(&chan->timer, chan->deadline - now);
        return;
    }
    chan->deadline = 0;
    go_down(chan, BH_E_TIMEOUT, "timed out");
}

void bh_chan_set_timeout(struct bh_chan *chan, int64_t ms)
{
    bh_time_ms now = bh_loop_monotonic(chan->loop);

    chan->deadline = ms ? now + ms : 0;
    if (!ms || (chan->timer_at && chan->timer_at <= chan->deadline))
        return; /* fires in time to move on */
    chan->timer_at = chan->deadline;
    bh_timer_set(&chan->timer, ms);
}

static struct bh_chan *make(struct bh_loop *loop, int fd, size_t in_max, const struct bh_chan_ops *ops, void *ctx)
{
    struct bh_chan *chan = calloc(1, sizeof(*chan));
    int one = 1;

    if (!chan) {
        (void)close(fd);
        return NULL;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* not TCP: no matter */
    *chan = (struct bh_chan){.loop = loop, .ops = ops, .ctx = ctx, .fd = fd, .state = OPEN, .in = bh_buf_make(in_max)};
    bh_deferred_init(&chan->later, on_later, chan);
    if (bh_timer_init(loop, &chan->timer, on_timer, chan) ||
        bh_watch_start(loop, &chan->watch, fd, BH_READ, on_ready, chan)) {
        (void)close(fd);
        release(chan);
        return NULL;
    }
    return chan;
}

struct bh_chan *bh_chan_new(struct bh_loop *loop, int fd, size_t in_max, const struct bh_chan_ops *ops, void *ctx)
{
    return make(loop, fd, in_max, ops, ctx);
}

static int connecting_socket(const struct sockaddr *to, socklen_t to_size, const struct sockaddr *source,
                             socklen_t source_size)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), saved;

    if (fd < 0)
        return -1;
    if ((!source || bind(fd, source, source_size) == 0) && (connect(fd, to, to_size) == 0 || errno == EINPROGRESS))
        return fd;
    saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

bh_err bh_chan_connect(struct bh_loop *loop, const struct sockaddr *to, socklen_t to_size,
                       const struct sockaddr *source, socklen_t source_size, size_t in_max,
                       const struct bh_chan_ops *ops, void *ctx, struct bh_chan **ret_chan)
{
    int fd = connecting_socket(to, to_size, source, source_size);
    struct bh_chan *chan;

    if (fd < 0)
        return BH_E_IO;
    chan = make(loop, fd, in_max, ops, ctx);
    if (!chan)
        return BH_E_NOMEM;
    chan->state = CONNECTING;
    bh_watch_want(&chan->watch, BH_WRITE);
    *ret_chan = chan;
    return BH_OK;
}

void bh_chan_hand_over(struct bh_chan *chan, const struct bh_chan_ops *ops, void *ctx)
{
    chan->ops = ops;
    chan->ctx = ctx;
}

void bh_chan_close(struct bh_chan *chan)
{
    if (!chan || chan->state == CLOSED)
        return;
    if (chan->ssl && chan->state == OPEN)
        (void)SSL_shutdown(chan->ssl);
    ERR_clear_error();
    SSL_free(chan->ssl);
    chan->ssl = NULL;
    bh_watch_stop(&chan->watch);
    bh_timer_clear(&chan->timer);
    (void)close(chan->fd);
    chan->fd = -1;
    chan->state = CLOSED;
    bh_loop_defer(chan->loop, &chan->later);
}

void bh_chan_linger(struct bh_chan *chan)
{
    if (chan->state != OPEN || chan->at_end) {
        bh_chan_close(chan);
        return;
    }
    if (chan->ssl)
        (void)SSL_shutdown(chan->ssl);
    ERR_clear_error();
    if (shutdown(chan->fd, SHUT_WR) != 0) {
        bh_chan_close(chan);
        return;
    }
    chan->state = LINGERING;
    chan->wants_write = chan->read_wants_write = chan->paused = false;
    bh_buf_free(&chan->in);
    watch_on(chan);
    bh_chan_set_timeout(chan, LINGER_MS);
}

bh_str bh_chan_input(const struct bh_chan *chan)
{
    return bh_buf_view(&chan->in);
}

void bh_chan_consume(struct bh_chan *chan, size_t n)
{
    bool was_full = chan->in.n >= chan->in.max;

    if (!n)
        return;
    bh_buf_consume(&chan->in, n);
    watch_on(chan);
    if (was_full)
        read_pending_later(chan);
}

void bh_chan_read_on(struct bh_chan *chan, bool on)
{
    if (chan->paused == !on)
        return;
    chan->paused = !on;
    watch_on(chan);
    read_pending_later(chan);
}

/* Up to a record's worth of the iovecs from byte `from` on, in one piece: the first one itself if it is large enough.
 */
static bh_str gather(const struct iovec *iov, size_t count, size_t from, char record[RECORD_BYTES])
{
    size_t n = 0;

    for (size_t i = 0; i < count && n < RECORD_BYTES; i++) {
        size_t part;

        if (from >= iov[i].iov_len) {
            from -= iov[i].iov_len;
            continue;
        }
        part = iov[i].iov_len - from;
        if (!n && (part >= RECORD_BYTES || i + 1 == count))
            return bh_str_of((const char *)iov[i].iov_base + from, part < RECORD_BYTES ? part : RECORD_BYTES);
        if (part > RECORD_BYTES - n)
            part = RECORD_BYTES - n;
        memcpy(record + n, (const char *)iov[i].iov_base + from, part);
        n += part;
        from = 0;
    }
    return bh_str_of(record, n);
}

static bh_err send_tls(struct bh_chan *chan, const struct iovec *iov, size_t count, size_t *ret_sent)
{
    char record[RECORD_BYTES];
    bool wants_write = false;
    bh_str piece;

    while ((piece = gather(iov, count, *ret_sent, record)).n) {
        size_t n;
        int rc;

        ERR_clear_error();
        rc = SSL_write_ex(chan->ssl, piece.p, piece.n, &n);
        if (rc != 1)
            return ssl_state(chan, rc, &wants_write);
        *ret_sent += n;
    }
    return BH_OK;
}

static bh_err send_plain(struct bh_chan *chan, const struct iovec *iov, size_t count, size_t *ret_sent)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    size_t total = 0;
    ssize_t n;

    for (size_t i = 0; i < count; i++)
        total += iov[i].iov_len;
    n = sendmsg(chan->fd, &message, MSG_NOSIGNAL);
    if (n >= 0) {
        *ret_sent = (size_t)n;
        return *ret_sent < total ? BH_E_AGAIN : BH_OK;
    }
    return errno == EAGAIN || errno == EINTR ? BH_E_AGAIN : errno == EPIPE ? BH_E_CLOSED : BH_E_IO;
}

bh_err bh_chan_send(struct bh_chan *chan, const struct iovec *iov, size_t count, size_t *ret_sent)
{
    bh_err err;

    *ret_sent = 0;
    if (chan->state != OPEN)
        return chan->state == CLOSED ? BH_E_CLOSED : BH_E_BUSY;
    err = chan->ssl ? send_tls(chan, iov, count, ret_sent) : send_plain(chan, iov, count, ret_sent);
    if (err != BH_E_AGAIN)
        return err;
    chan->wants_write = true;
    watch_on(chan);
    return BH_OK;
}

bh_err bh_chan_start_tls(struct bh_chan *chan, struct bh_tls *tls, bh_str name, bool verify)
{
    return bh_chan_start_tls_as(
        chan, tls, &(struct bh_tls_want){.name = name, .verify = verify ? BH_TLS_VERIFY_NAME : BH_TLS_VERIFY_NONE});
}

enum bh_tls_verdict bh_chan_tls_verdict(const struct bh_chan *chan)
{
    return chan->ssl ? bh_tls_verdict_of(chan->ssl) : BH_TLS_CERT_FINE;
}

bh_err bh_chan_start_tls_as(struct bh_chan *chan, struct bh_tls *tls, const struct bh_tls_want *want)
{
    SSL *ssl = chan->ssl || chan->state != OPEN ? NULL : bh_tls_connection_as(tls, want);

    if (!ssl || !SSL_set_fd(ssl, chan->fd)) {
        SSL_free(ssl);
        return BH_E_INVALID;
    }
    chan->ssl = ssl;
    chan->state = SHAKING;
    chan->wants_write = chan->read_wants_write = false;
    bh_buf_clear(&chan->in);
    bh_watch_want(&chan->watch, SSL_is_server(ssl) ? BH_READ : BH_READ | BH_WRITE);
    return BH_OK;
}

void bh_chan_tls_text(const struct bh_chan *chan, char *text, size_t size)
{
    if (chan->ssl)
        (void)snprintf(text, size, "%s %s", SSL_get_version(chan->ssl), SSL_get_cipher_name(chan->ssl));
    else if (size)
        text[0] = 0;
}

bool bh_chan_tls_resumed(const struct bh_chan *chan)
{
    return chan->ssl && SSL_session_reused(chan->ssl);
}

int bh_chan_fd(const struct bh_chan *chan)
{
    return chan->fd;
}
