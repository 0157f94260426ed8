/* chan.h: one TCP connection on the loop, plain or TLS, upgraded in place for STARTTLS.
 *
 * Input gathers in a bounded buffer; the owner looks at it as a view and consumes what it used. Output goes out in one
 * of two ways: small things (replies, commands) are appended to the channel's own buffer and written together at the
 * end of the turn; large things (a message) are offered as iovecs and written straight from where they are, as far as
 * the kernel takes them now. The owner never mixes the two while the first still waits (bh_chan_pending).
 *
 * The process must ignore SIGPIPE: OpenSSL writes without MSG_NOSIGNAL.
 *
 * Callbacks never come from inside a call of the owner's, except that bh_chan_close makes no callback at all; a
 * callback may close the channel. */
#ifndef BH_IO_CHAN_H
#define BH_IO_CHAN_H

#include "base/buf.h"
#include "io/loop.h"
#include "io/tls.h"
#include <sys/socket.h>
#include <sys/uio.h>

struct bh_chan;

struct bh_chan_ops {
    void (*connected)(void *ctx); /* of bh_chan_connect; may be NULL for accepted ones */
    void (*input)(void *ctx);     /* bh_chan_input has more than before */
    void (*writable)(void *ctx);  /* after bh_chan_writev took less than all; may be NULL */
    void (*tls_up)(void *ctx);    /* after bh_chan_start_tls; may be NULL where that is never called */
    /* The connection is of no more use: BH_E_CLOSED (the peer ended it), BH_E_TIMEOUT, BH_E_IO, BH_E_CRYPTO (handshake
     * or record), BH_E_LIMIT. `why` for people. What is in the input buffer can still be read. The owner closes. */
    void (*failed)(void *ctx, bh_err err, const char *why);
};

enum { BH_CHAN_INPUT_MAX = 256 * 1024, BH_CHAN_OUTPUT_MAX = 1 << 20 };

/* Takes over an accepted socket. NULL when out of memory (the socket is closed then). */
struct bh_chan *bh_chan_accept(struct bh_loop *loop, int fd, const struct bh_chan_ops *ops, void *ctx);
/* Connects; `from` may be NULL. Then `connected`, or `failed`. NULL: no socket or no memory, errno tells. */
struct bh_chan *bh_chan_connect(struct bh_loop *loop, const struct sockaddr *to, socklen_t to_bytes,
                                const struct sockaddr *from, socklen_t from_bytes, const struct bh_chan_ops *ops,
                                void *ctx);
/* Ends and frees it at once; what is not yet written is tried once. NULL is fine. */
void bh_chan_close(struct bh_chan *chan);

bh_str bh_chan_input(const struct bh_chan *chan);
void bh_chan_consume(struct bh_chan *chan, size_t n);
/* false: nothing is read any more (back-pressure); true again: `input` is called also for what is already there. */
void bh_chan_read_on(struct bh_chan *chan, bool on);

/* The output buffer, to append to; written at the end of the turn. An overflow (BH_CHAN_OUTPUT_MAX) fails the channel.
 */
struct bh_buf *bh_chan_out(struct bh_chan *chan);
/* Bytes that wait in the output buffer. */
size_t bh_chan_pending(const struct bh_chan *chan);
/* Writes now what waits, then as much of the iovecs as is taken. Returns how many of the iovecs' bytes; less than all:
 * `writable` comes when more can go. */
size_t bh_chan_writev(struct bh_chan *chan, const struct iovec *iov, size_t count);

/* Hand-shakes as server or client (`host` for SNI and verification; NULL for a server). Input that came before is
 * dropped: it was not protected (RFC 3207 6). What waits for output is written first. BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST bh_err bh_chan_start_tls(struct bh_chan *chan, struct bh_tls *tls, enum bh_tls_verify verify, const char *host);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" without TLS. Static in the library. Writes at most `n` bytes and a NUL. */
void bh_chan_tls_text(const struct bh_chan *chan, char *text, size_t n);
bool bh_chan_is_tls(const struct bh_chan *chan);
/* Whether the peer's certificate was verified. */
bool bh_chan_is_verified(const struct bh_chan *chan);

/* Fails with BH_E_TIMEOUT when nothing is read or written for so long; 0 = no limit. Counted anew at each progress. */
void bh_chan_timeout(struct bh_chan *chan, int64_t ms);
/* The peer's or our own address as text: "192.0.2.1", port in *ret_port (may be NULL). Lives in the channel. */
bh_str bh_chan_peer(struct bh_chan *chan, uint16_t *ret_port);

#endif
