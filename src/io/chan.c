/* chan.c: a connection. See chan.h.
 *
 * States: connecting -> open -> (handshaking -> open, once) -> failed. Reading stops when the input buffer is full and
 * goes on when the owner consumed. With TLS the library may want to write in order to read and the reverse; `wants`
 * keeps what it said last. */
#include "chan.h"
#include "tls_internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_CHUNK = 32 * 1024, TLS_PIECE = 16 * 1024 };

enum state { CONNECTING, HANDSHAKING, OPEN, FAILED };

struct bh_chan {
    struct bh_loop *loop;
    const struct bh_chan_ops *ops;
    void *ctx;
    int fd;
    enum state state;
    struct bh_watch watch;
    struct bh_timer idle;
    int64_t idle_ms;
    struct bh_deferred flush;   /* write what waits, at the end of the turn */
    struct bh_deferred deliver; /* tell of input that is there already */
    struct bh_buf in;
    struct bh_buf out;
    size_t out_sent;
    bool read_off;
    bool owner_waits; /* for `writable` */
    bool tls_pending; /* a handshake waits for the output to go first */
    SSL *ssl;
    bool tls_wants_write;
    bool *gone; /* set when closed inside a callback */
    char peer[INET6_ADDRSTRLEN];
};

/* Between bh_chan_start_tls and the handshake the SSL object is there, but what is written is still in clear. */
static bool speaks_tls(const struct bh_chan *chan)
{
    return chan->ssl && !chan->tls_pending;
}

static void update_watch(struct bh_chan *chan)
{
    unsigned events = 0;

    if (chan->state == CONNECTING)
        events = BH_WRITE;
    else if (chan->state == HANDSHAKING)
        events = chan->tls_wants_write ? BH_WRITE : BH_READ;
    else if (chan->state == OPEN) {
        if (!chan->read_off && chan->in.n < BH_CHAN_INPUT_MAX)
            events |= BH_READ;
        if (chan->out.n > chan->out_sent || chan->owner_waits)
            events |= BH_WRITE;
    }
    bh_watch_want(&chan->watch, events);
}

static void progress(struct bh_chan *chan)
{
    if (chan->idle_ms)
        bh_timer_set(&chan->idle, chan->idle_ms);
}

/* Tells the owner that it is over. True while the channel still exists: the owner may have closed it. The same holds
 * for every function here that returns bool: after false, `chan` is gone. */
static bool fail(struct bh_chan *chan, bh_err err, const char *why)
{
    bool gone = false;
    bool *outer = chan->gone;

    if (chan->state == FAILED)
        return true;
    chan->state = FAILED;
    bh_timer_clear(&chan->idle);
    update_watch(chan);
    chan->gone = &gone;
    chan->ops->failed(chan->ctx, err, why);
    if (!gone)
        chan->gone = outer;
    else if (outer)
        *outer = true;
    return !gone;
}

/* ---- writing ---- */

/* What SSL_write or SSL_read said when it did not do all: BH_E_AGAIN, or the end. */
static bh_err tls_status(struct bh_chan *chan, int returned)
{
    int error = SSL_get_error(chan->ssl, returned);

    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ)
        return BH_E_AGAIN;
    if (error == SSL_ERROR_WANT_WRITE) {
        chan->owner_waits = true;
        return BH_E_AGAIN;
    }
    if (error == SSL_ERROR_ZERO_RETURN ||
        (error == SSL_ERROR_SYSCALL && (errno == 0 || errno == ECONNRESET || errno == EPIPE)))
        return BH_E_CLOSED;
    return error == SSL_ERROR_SYSCALL ? BH_E_IO : BH_E_CRYPTO;
}

static bh_err write_status(void)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return BH_E_AGAIN;
    return errno == EPIPE || errno == ECONNRESET ? BH_E_CLOSED : BH_E_IO;
}

/* Small iovecs are gathered into one TLS record: a record and a packet for each would cost more than the copy. */
static bh_err write_tls(struct bh_chan *chan, const struct iovec *iov, size_t count, size_t *ret_taken)
{
    char piece[TLS_PIECE];
    size_t skip = 0;

    *ret_taken = 0;
    for (size_t i = 0; i < count;) {
        size_t n = 0, from = skip, k = i;
        int written;

        while (k < count && n < sizeof(piece)) {
            size_t part = iov[k].iov_len - from;

            if (part > sizeof(piece) - n)
                part = sizeof(piece) - n;
            memcpy(piece + n, (const char *)iov[k].iov_base + from, part);
            n += part;
            from += part;
            if (from == iov[k].iov_len) {
                k++;
                from = 0;
            }
        }
        if (n == 0)
            return BH_OK;
        written = SSL_write(chan->ssl, piece, (int)n);
        if (written <= 0)
            return tls_status(chan, written);
        *ret_taken += (size_t)written;
        for (size_t left = (size_t)written; left;) { /* a partial write is possible */
            size_t part = iov[i].iov_len - skip;

            if (part > left) {
                skip += left;
                break;
            }
            left -= part;
            skip = 0;
            i++;
        }
        while (i < count && skip == iov[i].iov_len) {
            i++;
            skip = 0;
        }
    }
    return BH_OK;
}

static bh_err write_plain(struct bh_chan *chan, const struct iovec *iov, size_t count, size_t *ret_taken)
{
    struct msghdr header = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count > 1024 ? 1024 : count};
    ssize_t sent = sendmsg(chan->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);

    *ret_taken = sent > 0 ? (size_t)sent : 0;
    return sent < 0 ? write_status() : BH_OK;
}

static bh_err write_some(struct bh_chan *chan, const struct iovec *iov, size_t count, size_t *ret_taken)
{
    bh_err err = speaks_tls(chan) ? write_tls(chan, iov, count, ret_taken) : write_plain(chan, iov, count, ret_taken);

    if (*ret_taken)
        progress(chan);
    return err;
}

static bh_err write_waiting(struct bh_chan *chan)
{
    while (chan->out.n > chan->out_sent) {
        struct iovec waiting = {chan->out.p + chan->out_sent, chan->out.n - chan->out_sent};
        size_t taken;
        bh_err err = write_some(chan, &waiting, 1, &taken);

        chan->out_sent += taken;
        if (err)
            return err;
    }
    bh_buf_clear(&chan->out);
    chan->out_sent = 0;
    return BH_OK;
}

static bool begin_handshake(struct bh_chan *chan);

static bool flush_now(struct bh_chan *chan)
{
    bh_err err;

    if (chan->state != OPEN)
        return true;
    if (bh_buf_err(&chan->out))
        return fail(chan, BH_E_LIMIT, "the peer does not read what it is sent");
    err = write_waiting(chan);
    if (err && err != BH_E_AGAIN)
        return fail(chan, err, "cannot write");
    if (!err && chan->tls_pending)
        return begin_handshake(chan);
    update_watch(chan);
    return true;
}

static void flush(void *ctx)
{
    (void)flush_now(ctx);
}

struct bh_buf *bh_chan_out(struct bh_chan *chan)
{
    bh_loop_defer(chan->loop, &chan->flush);
    return &chan->out;
}

size_t bh_chan_pending(const struct bh_chan *chan)
{
    return chan->out.n - chan->out_sent;
}

static void fail_later(struct bh_chan *chan)
{
    chan->out.err = chan->out.err ? chan->out.err : BH_E_LIMIT; /* flush reports, outside the owner's call */
    bh_loop_defer(chan->loop, &chan->flush);
}

size_t bh_chan_writev(struct bh_chan *chan, const struct iovec *iov, size_t count)
{
    size_t taken = 0, total = 0;
    bh_err err;

    if (chan->state != OPEN)
        return 0;
    for (size_t i = 0; i < count; i++)
        total += iov[i].iov_len;
    err = write_waiting(chan);
    if (!err)
        err = write_some(chan, iov, count, &taken);
    chan->owner_waits = taken < total;
    if (err && err != BH_E_AGAIN)
        fail_later(chan);
    else
        update_watch(chan);
    return taken;
}

/* ---- reading ---- */

static bh_err read_some(struct bh_chan *chan, size_t *ret_n)
{
    char *room = bh_buf_reserve(&chan->in, READ_CHUNK);
    ssize_t n;

    *ret_n = 0;
    if (!room)
        return bh_buf_err(&chan->in);
    errno = 0;
    if (speaks_tls(chan)) {
        int got = SSL_read(chan->ssl, room, READ_CHUNK);

        if (got <= 0)
            return tls_status(chan, got);
        n = got;
    } else {
        n = recv(chan->fd, room, READ_CHUNK, MSG_DONTWAIT);
        if (n == 0)
            return BH_E_CLOSED;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? BH_E_AGAIN
                   : errno == ECONNRESET                                     ? BH_E_CLOSED
                                                                             : BH_E_IO;
    }
    bh_buf_commit(&chan->in, (size_t)n);
    *ret_n = (size_t)n;
    return BH_OK;
}

/* Calls the owner; false when it closed the channel meanwhile. */
static bool call(struct bh_chan *chan, void (*callback)(void *ctx))
{
    bool gone = false;
    bool *outer = chan->gone;

    chan->gone = &gone;
    callback(chan->ctx);
    if (gone) {
        if (outer)
            *outer = true;
        return false;
    }
    chan->gone = outer;
    return true;
}

/* Reads until there is nothing more, a fair share was taken, or the buffer is full; then tells the owner once. */
static bool read_input(struct bh_chan *chan)
{
    size_t before = chan->in.n, n = 1;
    bh_err err = BH_OK;

    while (!err && n && chan->in.n + READ_CHUNK <= BH_CHAN_INPUT_MAX + READ_CHUNK && chan->in.n < BH_CHAN_INPUT_MAX) {
        err = read_some(chan, &n);
        if (!chan->ssl && n < READ_CHUNK)
            break;
    }
    if (chan->in.n > before) {
        progress(chan);
        if (!call(chan, chan->ops->input))
            return false;
    }
    if (err && err != BH_E_AGAIN && chan->state == OPEN)
        return fail(chan, err, err == BH_E_CLOSED ? "the peer closed the connection" : "cannot read");
    update_watch(chan);
    return true;
}

static void deliver(void *ctx)
{
    struct bh_chan *chan = ctx;

    if (chan->state != OPEN || chan->read_off)
        return;
    if (chan->in.n && !call(chan, chan->ops->input))
        return;
    if (chan->ssl && chan->state == OPEN && SSL_pending(chan->ssl) > 0 && !chan->read_off)
        (void)read_input(chan);
}

bh_str bh_chan_input(const struct bh_chan *chan)
{
    return bh_buf_view(&chan->in);
}

void bh_chan_consume(struct bh_chan *chan, size_t n)
{
    bool was_full = chan->in.n >= BH_CHAN_INPUT_MAX;

    bh_buf_consume(&chan->in, n);
    if (!was_full)
        return;
    update_watch(chan);
    if (chan->ssl)
        bh_loop_defer(chan->loop, &chan->deliver);
}

void bh_chan_read_on(struct bh_chan *chan, bool on)
{
    if (chan->read_off == !on)
        return;
    chan->read_off = !on;
    if (on)
        bh_loop_defer(chan->loop, &chan->deliver);
    if (chan->state != FAILED)
        update_watch(chan);
}

/* ---- TLS ---- */

static bool handshake_failed(struct bh_chan *chan)
{
    char why[160];
    unsigned long code = ERR_peek_last_error();
    long verify = SSL_get_verify_result(chan->ssl);

    if (verify != X509_V_OK && SSL_get_verify_mode(chan->ssl) != SSL_VERIFY_NONE)
        (void)snprintf(why, sizeof(why), "certificate: %s", X509_verify_cert_error_string(verify));
    else if (code && ERR_reason_error_string(code))
        (void)snprintf(why, sizeof(why), "TLS handshake: %s", ERR_reason_error_string(code));
    else
        (void)snprintf(why, sizeof(why), "the connection broke in the TLS handshake");
    ERR_clear_error();
    return fail(chan, code ? BH_E_CRYPTO : BH_E_CLOSED, why);
}

static bool handshake_done(struct bh_chan *chan)
{
    chan->state = OPEN;
    chan->owner_waits = false;
    progress(chan);
    update_watch(chan);
    if (chan->ops->tls_up && !call(chan, chan->ops->tls_up))
        return false;
    return chan->state == OPEN ? read_input(chan) : true; /* what came in the last flight is in the library already */
}

static bool continue_handshake(struct bh_chan *chan)
{
    int done, error;

    ERR_clear_error();
    errno = 0;
    done = SSL_do_handshake(chan->ssl);
    if (done == 1)
        return handshake_done(chan);
    error = SSL_get_error(chan->ssl, done);
    chan->tls_wants_write = error == SSL_ERROR_WANT_WRITE;
    if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ)
        return handshake_failed(chan);
    update_watch(chan);
    return true;
}

static bool begin_handshake(struct bh_chan *chan)
{
    chan->tls_pending = false;
    bh_buf_clear(&chan->in);
    chan->state = HANDSHAKING;
    return continue_handshake(chan);
}

static bh_err prepare_peer(struct bh_chan *chan, const struct bh_tls *tls, enum bh_tls_verify verify, const char *host)
{
    unsigned char address[16];
    bool is_name = inet_pton(AF_INET, host, address) != 1 && inet_pton(AF_INET6, host, address) != 1;

    if (is_name && SSL_set_tlsext_host_name(chan->ssl, host) != 1)
        return BH_E_CRYPTO;
    if (verify == BH_TLS_OPPORTUNISTIC_PEER)
        return BH_OK;
    if (!tls->has_roots)
        return BH_E_CRYPTO;
    SSL_set_verify(chan->ssl, SSL_VERIFY_PEER, NULL);
    if (is_name)
        return SSL_set1_host(chan->ssl, host) == 1 ? BH_OK : BH_E_CRYPTO;
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(chan->ssl), host) == 1 ? BH_OK : BH_E_CRYPTO;
}

bh_err bh_chan_start_tls(struct bh_chan *chan, struct bh_tls *tls, enum bh_tls_verify verify, const char *host)
{
    bh_err err = BH_OK;

    if (chan->state != OPEN || chan->ssl)
        return BH_E_CRYPTO;
    chan->ssl = SSL_new(tls->context);
    if (!chan->ssl || SSL_set_fd(chan->ssl, chan->fd) != 1)
        return BH_E_NOMEM;
    if (host) {
        err = prepare_peer(chan, tls, verify, host);
        SSL_set_connect_state(chan->ssl);
    } else {
        SSL_set_accept_state(chan->ssl);
    }
    if (err)
        return err;
    /* the handshake begins at the end of the turn, after what waits in clear was written */
    chan->tls_pending = true;
    bh_loop_defer(chan->loop, &chan->flush);
    return BH_OK;
}

bool bh_chan_is_tls(const struct bh_chan *chan)
{
    return speaks_tls(chan) && chan->state == OPEN;
}

bool bh_chan_is_verified(const struct bh_chan *chan)
{
    return chan->ssl && SSL_get_verify_mode(chan->ssl) != SSL_VERIFY_NONE &&
           SSL_get_verify_result(chan->ssl) == X509_V_OK;
}

void bh_chan_tls_text(const struct bh_chan *chan, char *text, size_t n)
{
    if (chan->ssl)
        (void)snprintf(text, n, "%s %s", SSL_get_version(chan->ssl), SSL_get_cipher_name(chan->ssl));
    else if (n)
        text[0] = '\0';
}

/* ---- events ---- */

static void finish_connect(struct bh_chan *chan)
{
    int error = 0;
    socklen_t n = sizeof(error);

    if (getsockopt(chan->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    if (error) {
        char why[128];
        char text[96];

        (void)snprintf(why, sizeof(why), "cannot connect: %s", strerror_r(error, text, sizeof(text)));
        (void)fail(chan, error == ETIMEDOUT ? BH_E_TIMEOUT : BH_E_IO, why);
        return;
    }
    chan->state = OPEN;
    progress(chan);
    update_watch(chan);
    if (chan->ops->connected)
        (void)call(chan, chan->ops->connected);
}

static void on_ready(void *ctx, unsigned events)
{
    struct bh_chan *chan = ctx;

    if (chan->state == CONNECTING) {
        finish_connect(chan);
        return;
    }
    if (chan->state == HANDSHAKING) {
        (void)continue_handshake(chan);
        return;
    }
    if (chan->state == OPEN && events & BH_WRITE) {
        bool waits = chan->owner_waits;

        chan->owner_waits = false;
        if (!flush_now(chan))
            return;
        if (chan->state == OPEN && waits && chan->out.n == 0 && chan->ops->writable && !call(chan, chan->ops->writable))
            return;
        if (chan->state == OPEN)
            update_watch(chan);
    }
    if (chan->state == OPEN && events & BH_READ)
        (void)read_input(chan);
}

static void on_idle(void *ctx)
{
    struct bh_chan *chan = ctx;

    (void)fail(chan, BH_E_TIMEOUT,
               chan->state == CONNECTING ? "no connection in time" : "nothing happened for too long");
}

void bh_chan_timeout(struct bh_chan *chan, int64_t ms)
{
    chan->idle_ms = ms;
    if (ms && chan->state != FAILED)
        bh_timer_set(&chan->idle, ms);
    else
        bh_timer_clear(&chan->idle);
}

/* ---- making and ending ---- */

static struct bh_chan *make(struct bh_loop *loop, int fd, enum state state, const struct bh_chan_ops *ops, void *ctx)
{
    struct bh_chan *chan = calloc(1, sizeof(*chan));
    int one = 1;

    if (!chan) {
        (void)close(fd);
        return NULL;
    }
    chan->loop = loop;
    chan->ops = ops;
    chan->ctx = ctx;
    chan->fd = fd;
    chan->state = state;
    chan->in = bh_buf_make(BH_CHAN_INPUT_MAX + READ_CHUNK);
    chan->out = bh_buf_make(BH_CHAN_OUTPUT_MAX);
    bh_deferred_init(&chan->flush, flush, chan);
    bh_deferred_init(&chan->deliver, deliver, chan);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bh_timer_init(loop, &chan->idle, on_idle, chan) != BH_OK ||
        bh_watch_start(loop, &chan->watch, fd, state == CONNECTING ? BH_WRITE : BH_READ, on_ready, chan) != BH_OK) {
        bh_chan_close(chan);
        return NULL;
    }
    return chan;
}

struct bh_chan *bh_chan_accept(struct bh_loop *loop, int fd, const struct bh_chan_ops *ops, void *ctx)
{
    return make(loop, fd, OPEN, ops, ctx);
}

struct bh_chan *bh_chan_connect(struct bh_loop *loop, const struct sockaddr *to, socklen_t to_bytes,
                                const struct sockaddr *from, socklen_t from_bytes, const struct bh_chan_ops *ops,
                                void *ctx)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int saved;

    if (fd < 0)
        return NULL;
    if ((!from || bind(fd, from, from_bytes) == 0) && (connect(fd, to, to_bytes) == 0 || errno == EINPROGRESS))
        return make(loop, fd, CONNECTING, ops, ctx);
    saved = errno;
    (void)close(fd);
    errno = saved;
    return NULL;
}

void bh_chan_close(struct bh_chan *chan)
{
    if (!chan)
        return;
    if (chan->gone)
        *chan->gone = true;
    if (chan->state == OPEN && chan->out.n > chan->out_sent)
        (void)!write_waiting(chan);
    if (chan->ssl) {
        if (chan->state == OPEN && speaks_tls(chan))
            (void)SSL_shutdown(chan->ssl);
        SSL_free(chan->ssl);
        ERR_clear_error();
    }
    bh_deferred_cancel(&chan->flush);
    bh_deferred_cancel(&chan->deliver);
    bh_watch_stop(&chan->watch);
    bh_timer_free(&chan->idle);
    (void)close(chan->fd);
    bh_buf_free(&chan->in);
    bh_buf_free(&chan->out);
    free(chan);
}

bh_str bh_chan_peer(struct bh_chan *chan, uint16_t *ret_port)
{
    struct sockaddr_storage address = {0};
    socklen_t n = sizeof(address);
    uint16_t port = 0;

    if (getpeername(chan->fd, (struct sockaddr *)&address, &n) != 0)
        chan->peer[0] = '\0';
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;

        port = ntohs(v4->sin_port);
        (void)inet_ntop(AF_INET, &v4->sin_addr, chan->peer, sizeof(chan->peer));
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;

        port = ntohs(v6->sin6_port);
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, chan->peer, sizeof(chan->peer));
    }
    if (ret_port)
        *ret_port = port;
    return bh_str_c(chan->peer);
}
