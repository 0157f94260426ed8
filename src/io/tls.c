/* tls.c: contexts. See tls.h. */
#include "tls_internal.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PEM_MAX = 1 << 20 };

static struct bh_tls *wrap(SSL_CTX *context)
{
    struct bh_tls *tls = context ? calloc(1, sizeof(*tls)) : NULL;

    if (!tls) {
        SSL_CTX_free(context);
        return NULL;
    }
    tls->context = context;
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    return tls;
}

void bh_tls_free(struct bh_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

/* The whole file behind a descriptor; it may be read again at a reload, so from its start. */
static BIO *read_file(int fd)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char part[4096];
    off_t at = 0;
    ssize_t n = 1;

    while (bio && at < PEM_MAX && (n = pread(fd, part, sizeof(part), at)) > 0) {
        (void)BIO_write(bio, part, (int)n);
        at += n;
    }
    OPENSSL_cleanse(part, sizeof(part));
    if (bio && n < 0) {
        BIO_free(bio);
        return NULL;
    }
    return bio;
}

static bool use_chain(SSL_CTX *context, BIO *pem)
{
    X509 *leaf = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    bool ok = leaf && SSL_CTX_use_certificate(context, leaf) == 1;
    X509 *next;

    X509_free(leaf);
    while (ok && (next = PEM_read_bio_X509(pem, NULL, NULL, NULL))) {
        ok = SSL_CTX_add0_chain_cert(context, next) == 1;
        if (!ok)
            X509_free(next);
    }
    ERR_clear_error(); /* the end of the file */
    return ok;
}

static bool use_key(SSL_CTX *context, BIO *pem)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, NULL, NULL);
    bool ok = key && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;

    EVP_PKEY_free(key);
    return ok;
}

bh_err bh_tls_server_new(int certificate_fd, int key_fd, struct bh_tls **ret_tls, char *why, size_t why_bytes)
{
    struct bh_tls *tls = wrap(SSL_CTX_new(TLS_server_method()));
    BIO *certificate = read_file(certificate_fd), *key = read_file(key_fd);
    bh_err err = tls && certificate && key ? BH_OK : BH_E_NOMEM;
    const char *problem = "out of memory, or the files cannot be read";

    if (!err && !use_chain(tls->context, certificate)) {
        err = BH_E_SYNTAX;
        problem = "the certificate file holds no PEM certificate";
    }
    if (!err && !use_key(tls->context, key)) {
        err = BH_E_SYNTAX;
        problem = "the key file holds no PEM private key, or not the certificate's";
    }
    if (!err)
        (void)SSL_CTX_set_session_id_context(tls->context, (const unsigned char *)"behalf", 6);
    BIO_free(certificate);
    BIO_free(key);
    ERR_clear_error();
    if (err) {
        (void)snprintf(why, why_bytes, "%s", problem);
        bh_tls_free(tls);
        return err;
    }
    *ret_tls = tls;
    return BH_OK;
}

bh_err bh_tls_client_new(const char *ca_file, struct bh_tls **ret_tls)
{
    struct bh_tls *tls = wrap(SSL_CTX_new(TLS_client_method()));

    if (!tls)
        return BH_E_NOMEM;
    if (ca_file && *ca_file && SSL_CTX_load_verify_file(tls->context, ca_file) == 1)
        tls->has_roots = true;
    ERR_clear_error();
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_NONE, NULL);
    (void)SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    *ret_tls = tls;
    return BH_OK;
}
