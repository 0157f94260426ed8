/* wire.c: see wire.h. */
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void die(const char *what)
{
    perror(what);
    exit(2);
}

uint64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t random_next(struct random64 *random) /* SplitMix64 */
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t hash_bytes(const char *p, size_t n) /* FNV-1a, mixed */
{
    struct random64 mix = {0xcbf29ce484222325};

    for (size_t i = 0; i < n; i++)
        mix.state = (mix.state ^ (unsigned char)p[i]) * 0x100000001b3;
    return random_next(&mix);
}

uint64_t number_of(const char *text, const char *option)
{
    char *end;
    unsigned long long v = strtoull(text, &end, 10);

    if (*end || end == text) {
        fprintf(stderr, "%s takes a number\n", option);
        exit(2);
    }
    return v;
}

char *bytes_room(struct bytes *bytes, size_t n)
{
    if (bytes->cap - bytes->n < n) {
        size_t cap = bytes->cap ? bytes->cap : 4096;

        while (cap - bytes->n < n)
            cap *= 2;
        bytes->p = realloc(bytes->p, cap);
        if (!bytes->p)
            die("memory");
        bytes->cap = cap;
    }
    return bytes->p + bytes->n;
}

void bytes_add(struct bytes *bytes, const void *p, size_t n)
{
    memcpy(bytes_room(bytes, n), p, n);
    bytes->n += n;
}

void bytes_printf(struct bytes *bytes, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(bytes_room(bytes, 2048), 2048, format, args);
    va_end(args);
    bytes->n += n < 2048 ? (size_t)n : 2047;
}

void bytes_cut(struct bytes *bytes, size_t n)
{
    bytes->n -= n;
    if (bytes->n)
        memmove(bytes->p, bytes->p + n, bytes->n);
}

static void want(struct wire *wire, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = wire->owner};

    if (events == wire->wanted)
        return;
    if (epoll_ctl(wire->epoll, wire->wanted ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, wire->fd, &event))
        die("epoll_ctl");
    wire->wanted = events;
}

void wire_open(struct wire *wire, int epoll, int fd, void *owner, bool connecting)
{
    int one = 1;
    struct bytes out = wire->out;

    out.n = 0;
    *wire = (struct wire){.fd = fd, .epoll = epoll, .owner = owner, .out = out};
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (fcntl(fd, F_SETFL, O_NONBLOCK))
        die("fcntl");
    want(wire, connecting ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void wire_close(struct wire *wire)
{
    SSL_free(wire->ssl);
    wire->ssl = NULL;
    wire->shaking = false;
    if (wire->fd >= 0)
        (void)close(wire->fd);
    wire->fd = -1;
}

void wire_start_tls(struct wire *wire, SSL_CTX *ctx, bool is_server)
{
    wire->ssl = SSL_new(ctx);
    if (!wire->ssl || !SSL_set_fd(wire->ssl, wire->fd))
        die("SSL_new");
    if (is_server)
        SSL_set_accept_state(wire->ssl);
    else
        SSL_set_connect_state(wire->ssl);
    wire->shaking = true;
}

/* What an SSL call wants: 0 wait, -1 dead. */
static int ssl_wants(struct wire *wire, int rc)
{
    switch (SSL_get_error(wire->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        want(wire, EPOLLIN);
        return 0;
    case SSL_ERROR_WANT_WRITE:
        want(wire, EPOLLIN | EPOLLOUT);
        return 0;
    default:
        return -1;
    }
}

int wire_shake(struct wire *wire)
{
    int rc = SSL_do_handshake(wire->ssl);

    if (rc != 1)
        return ssl_wants(wire, rc);
    wire->shaking = false;
    want(wire, EPOLLIN);
    return 1;
}

bool wire_flush(struct wire *wire)
{
    while (wire->out_at < wire->out.n) {
        const char *p = wire->out.p + wire->out_at;
        size_t left = wire->out.n - wire->out_at;
        long n = wire->ssl ? SSL_write(wire->ssl, p, left > 1 << 20 ? 1 << 20 : (int)left)
                           : send(wire->fd, p, left, MSG_NOSIGNAL);

        if (n > 0) {
            wire->out_at += (size_t)n;
            continue;
        }
        if (wire->ssl)
            return !ssl_wants(wire, (int)n);
        if (errno != EAGAIN)
            return false;
        want(wire, EPOLLIN | EPOLLOUT);
        return true;
    }
    wire->out.n = wire->out_at = 0;
    want(wire, EPOLLIN);
    return true;
}

long wire_read(struct wire *wire, struct bytes *in, size_t at_most)
{
    char *room = bytes_room(in, at_most);
    long n = wire->ssl ? SSL_read(wire->ssl, room, (int)at_most) : recv(wire->fd, room, at_most, 0);

    if (n > 0) {
        in->n += (size_t)n;
        return n;
    }
    if (wire->ssl)
        return ssl_wants(wire, (int)n);
    return n < 0 && errno == EAGAIN ? 0 : -1;
}

SSL_CTX *wire_client_tls(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (!ctx)
        die("SSL_CTX_new");
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

SSL_CTX *wire_server_tls(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;

    if (!ctx || !key || !name)
        die("TLS");
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    (void)X509_set_pubkey(cert, key);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"sink.example", -1, -1, 0);
    (void)X509_set_issuer_name(cert, name);
    if (!X509_sign(cert, key, EVP_sha256()) || SSL_CTX_use_certificate(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, key) != 1)
        die("TLS");
    X509_free(cert);
    EVP_PKEY_free(key);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

static struct addrinfo *look_up(const char *host, const char *port, int flags)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | flags}, *info;

    if (getaddrinfo(host, port, &hints, &info)) {
        fprintf(stderr, "%s:%s is no address and port\n", host, port);
        exit(2);
    }
    return info;
}

int wire_connect(const char *host, const char *port)
{
    struct addrinfo *info = look_up(host, port, 0);
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    if (connect(fd, info->ai_addr, info->ai_addrlen) && errno != EINPROGRESS) {
        (void)close(fd);
        fd = -1;
    }
    freeaddrinfo(info);
    return fd;
}

int wire_listen(const char *host, const char *port)
{
    struct addrinfo *info = look_up(host, port, AI_PASSIVE);
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
        bind(fd, info->ai_addr, info->ai_addrlen) || listen(fd, 4096))
        die(port);
    freeaddrinfo(info);
    return fd;
}
