/* tls.h: OpenSSL contexts for our channels. TLS 1.2 and later; compression and renegotiation off. */
#ifndef BH_IO_TLS_H
#define BH_IO_TLS_H

#include <behalf/types.h>

struct bh_tls;

enum bh_tls_verify {
    BH_TLS_OPPORTUNISTIC_PEER, /* RFC 7435: encrypted is better than clear; the certificate is not looked at */
    BH_TLS_VERIFIED_PEER       /* chain to the roots, and the host name (RFC 6125) */
};

/* For a server, from a PEM certificate chain and a PEM private key read from these descriptors (not closed).
 * BH_E_SYNTAX: not such files, or they do not belong together; ret_why tells, static or in OpenSSL's words. */
BH_MUST bh_err bh_tls_server_new(int certificate_fd, int key_fd, struct bh_tls **ret_tls, char *why, size_t why_bytes);
/* For a client. `ca_file`: roots in PEM, NULL = none (then VERIFIED_PEER always fails). */
BH_MUST bh_err bh_tls_client_new(const char *ca_file, struct bh_tls **ret_tls);
/* Connections that are open keep what they need. NULL is fine. */
void bh_tls_free(struct bh_tls *tls);

#endif
