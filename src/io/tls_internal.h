/* tls_internal.h: what chan.c needs of a context. */
#ifndef BH_IO_TLS_INTERNAL_H
#define BH_IO_TLS_INTERNAL_H

#include "tls.h"
#include <openssl/ssl.h>

struct bh_tls {
    SSL_CTX *context;
    bool has_roots;
};

#endif
