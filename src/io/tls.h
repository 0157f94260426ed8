/* tls.h: TLS contexts (OpenSSL 3) for channels: TLS 1.2 and up, no files: certificate, key and roots come as PEM bytes,
 * which a role reads from the descriptors that master opened.
 *
 * A server context holds one certificate chain and its key. A client context checks nothing unless a connection asks
 * for it (opportunistic TLS to a mail exchanger has no name to check: RFC 7435); a connection with a name to verify
 * ends when the chain does not reach the roots or the certificate is for another name. Sessions are resumed per peer
 * name, of the last TLS_SESSIONS peers. */
#ifndef BH_IO_TLS_H
#define BH_IO_TLS_H

#include "base/str.h"
#include <openssl/types.h>

struct bh_tls;

/* BH_E_CRYPTO: not PEM, or the key does not belong to the certificate. *ret_tls is the caller's (bh_tls_free). */
BH_MUST bh_err bh_tls_server_new(bh_str certificate_pem, bh_str key_pem, struct bh_tls **ret_tls);
/* `roots_pem` may be empty: nothing can be verified then. BH_E_CRYPTO, BH_E_NOMEM. */
BH_MUST bh_err bh_tls_client_new(bh_str roots_pem, struct bh_tls **ret_tls);
/* Connections made from it live on. NULL is fine. */
void bh_tls_free(struct bh_tls *tls);

/* For chan.c: a connection's TLS object, its fd not set. `name` goes out as SNI and is the key of session reuse (empty:
 * neither); with `verify` the peer must prove it. NULL: out of memory or no such name. */
SSL *bh_tls_connection(struct bh_tls *tls, bh_str name, bool verify);
/* What a client's connection is to be and to prove. */
enum bh_tls_verify {
    BH_TLS_VERIFY_NONE,
    BH_TLS_VERIFY_WATCH, /* checked, and told by bh_tls_verdict_of, but nothing fails by it */
    BH_TLS_VERIFY_NAME,
    BH_TLS_VERIFY_DANE /* by `tlsa` alone (RFC 7672): usages 2 and 3 */
};
struct bh_tls_want {
    bh_str name; /* SNI, and what the certificate must be for */
    enum bh_tls_verify verify;
    bh_str other_name;  /* DANE: a second name that it may be for (RFC 7672 3.2.2: the next-hop domain); may be empty */
    const bh_str *tlsa; /* rdata, wire form; those that OpenSSL cannot use are left out */
    size_t tlsa_count;
};
/* The same with more to ask for. NULL: out of memory, no such name, or no TLSA record that can be used. */
SSL *bh_tls_connection_as(struct bh_tls *tls, const struct bh_tls_want *want);

/* What the check of the peer's certificate came to, after a handshake that succeeded or failed. */
enum bh_tls_verdict { BH_TLS_CERT_FINE, BH_TLS_CERT_NAME, BH_TLS_CERT_EXPIRED, BH_TLS_CERT_UNTRUSTED };
enum bh_tls_verdict bh_tls_verdict_of(const SSL *ssl);

/* Why the last operation on this thread failed: "certificate verify failed". Writes a NUL-terminated text. */
void bh_tls_why(const SSL *ssl, char *text, size_t size);

#endif
