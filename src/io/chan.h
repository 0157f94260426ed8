/* chan.h: a byte-stream channel on the loop: TCP (or any stream socket), plain or TLS, upgraded in place for STARTTLS.
 *
 * Input collects in a bounded buffer, whose view the owner reads and consumes; a full buffer stops reading until some
 * is consumed (back-pressure to the peer). Output is not buffered here: bh_chan_send writes what the kernel takes and
 * tells how much; the rest stays the caller's, who is called back when there is room. Nothing is copied on the way
 * (TLS gathers small pieces into records).
 *
 * The process must ignore SIGPIPE: OpenSSL writes with write(2).
 *
 * A call-back may close the channel it is called for. After `down` only `writable` can come, where the peer has closed
 * its half alone. */
#ifndef BH_IO_CHAN_H
#define BH_IO_CHAN_H

#include "io/loop.h"
#include "io/tls.h"
#include <sys/socket.h>
#include <sys/uio.h>

struct bh_chan;

struct bh_chan_ops {
    /* Connected; or the handshake is done. */
    void (*up)(void *ctx);
    /* There is input that was not there before. */
    void (*input)(void *ctx);
    /* There is room for output again, after bh_chan_send took less than all. */
    void (*writable)(void *ctx);
    /* BH_E_CLOSED: the peer will send no more (what it sent is in the input); BH_E_IO: the connection is dead;
     * BH_E_CRYPTO: the handshake failed; BH_E_TIMEOUT: of bh_chan_set_timeout, the channel is as it was. `why` is for
     * people and lives until the call returns. */
    void (*down)(void *ctx, bh_err err, const char *why);
};

/* A channel on a connected socket, which it owns from now on. `in_max`: bytes of input held. NULL: out of memory, the
 * fd is closed. `ops` must live as long. */
struct bh_chan *bh_chan_new(struct bh_loop *loop, int fd, size_t in_max, const struct bh_chan_ops *ops, void *ctx);
/* A channel that connects; `up` or `down` comes later. `source` may be NULL. BH_E_IO with errno, BH_E_NOMEM. */
BH_MUST bh_err bh_chan_connect(struct bh_loop *loop, const struct sockaddr *to, socklen_t to_size,
                               const struct sockaddr *source, socklen_t source_size, size_t in_max,
                               const struct bh_chan_ops *ops, void *ctx, struct bh_chan **ret_chan);
/* From now on it calls others: for whoever connects to several places and keeps one. */
void bh_chan_hand_over(struct bh_chan *chan, const struct bh_chan_ops *ops, void *ctx);
/* Closes; no call-back comes any more. NULL is fine. */
void bh_chan_close(struct bh_chan *chan);
/* Closes when the peer has read all that was sent (it closes, or two seconds passed): a reply sent before a plain close
 * can be lost when input is unread. The owner lets go of the channel with this call. */
void bh_chan_linger(struct bh_chan *chan);

/* What was received and not consumed; valid until the next read (so: within the call-back). */
bh_str bh_chan_input(const struct bh_chan *chan);
void bh_chan_consume(struct bh_chan *chan, size_t n);
/* Stops and resumes reading; the peer feels it when its window is full. */
void bh_chan_read_on(struct bh_chan *chan, bool on);

/* Sends what can be sent now. *ret_sent may be less than all: `writable` comes then, and the same bytes must be first
 * in the next call. BH_E_IO, BH_E_CLOSED: dead; the caller closes. */
BH_MUST bh_err bh_chan_send(struct bh_chan *chan, const struct iovec *iov, size_t count, size_t *ret_sent);

/* Begins TLS, as the context's kind says. Input received in clear is dropped. BH_E_NOMEM, BH_E_INVALID (name). */
BH_MUST bh_err bh_chan_start_tls(struct bh_chan *chan, struct bh_tls *tls, bh_str name, bool verify);

/* The same as a client that asks for more (tls.h). */
BH_MUST bh_err bh_chan_start_tls_as(struct bh_chan *chan, struct bh_tls *tls, const struct bh_tls_want *want);
/* What became of the peer's certificate; also in `down` after a handshake that failed. */
enum bh_tls_verdict bh_chan_tls_verdict(const struct bh_chan *chan);

/* `down` with BH_E_TIMEOUT when `ms` pass without another call of this; 0: never. Cheap. */
void bh_chan_set_timeout(struct bh_chan *chan, int64_t ms);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" in clear. Writes a NUL-terminated text. */
void bh_chan_tls_text(const struct bh_chan *chan, char *text, size_t size);
bool bh_chan_tls_resumed(const struct bh_chan *chan);
int bh_chan_fd(const struct bh_chan *chan);

#endif
