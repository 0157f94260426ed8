/* wire.h: what smtp_source and smtp_sink share: a non-blocking connection, plain or TLS, an output buffer, numbers.
 * Measuring programs, not part of behalf: they depend on libc and OpenSSL alone and stop with a message on any error
 * of their own. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    char *p;
    size_t n;
    size_t cap;
};

/* Room for `n` more bytes at the end. */
char *bytes_room(struct bytes *bytes, size_t n);
void bytes_add(struct bytes *bytes, const void *p, size_t n);
void bytes_printf(struct bytes *bytes, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bytes_cut(struct bytes *bytes, size_t n); /* removes the first n */

struct wire {
    int fd; /* -1: closed */
    int epoll;
    SSL *ssl; /* NULL: plain */
    bool shaking;
    uint32_t wanted; /* events asked of epoll */
    struct bytes out;
    size_t out_at;
    void *owner; /* what epoll_event.data.ptr names */
};

/* Watches `fd` (made non-blocking) for input, and for output too if `connecting`. */
void wire_open(struct wire *wire, int epoll, int fd, void *owner, bool connecting);
void wire_close(struct wire *wire);
/* Begins a handshake, as server or client, once what is in `out` is gone. */
void wire_start_tls(struct wire *wire, SSL_CTX *ctx, bool is_server);
/* Goes on with the handshake. 1 done, 0 not yet, -1 failed. */
int wire_shake(struct wire *wire);
/* Writes `out` and asks epoll for output if some is left. False: the connection is dead. */
bool wire_flush(struct wire *wire);
/* Reads into `in`. > 0 bytes, 0 nothing there, -1 closed or dead. */
long wire_read(struct wire *wire, struct bytes *in, size_t at_most);

/* Contexts without verification; the server's key is made on the spot. */
SSL_CTX *wire_client_tls(void);
SSL_CTX *wire_server_tls(void);

/* "127.0.0.1", "25" → a socket that connects (non-blocking) or listens. */
int wire_connect(const char *host, const char *port);
int wire_listen(const char *host, const char *port);

uint64_t now_us(void);
uint64_t hash_bytes(const char *p, size_t n);
struct random64 {
    uint64_t state;
};
uint64_t random_next(struct random64 *random);
uint64_t number_of(const char *text, const char *option);
void die(const char *what) __attribute__((noreturn));

#endif
