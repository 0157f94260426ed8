/* tls.c: see tls.h. The session cache of a client context is a map by peer name and a list in the order of use; a TLS
 * 1.3 ticket is used once (RFC 8446 C.4), so taking a session out of the cache is handing it over. */
#include "tls.h"
#include "base/list.h"
#include "base/map.h"
#include "base/random.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { TLS_SESSIONS = 2000, NAME_MAX_BYTES = 255 };

/* In an SSL's app data: what a new session of it is good for. One that proved its name is kept apart from one that
 * proved nothing, and none that was made under DANE is kept: its records may have changed. */
static const char plain_sessions, verified_sessions;

struct session {
    struct bh_map_node node;
    struct bh_list order;
    SSL_SESSION *ssl;
    char name[NAME_MAX_BYTES + 2]; /* with '!' in front: the name was proven */
};

struct bh_tls {
    SSL_CTX *ctx;
    bool is_server;
    struct bh_map sessions;
    struct bh_list order; /* oldest first */
};

static BIO *bio_of(bh_str pem)
{
    return pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.n ? pem.p : "", (int)pem.n) : NULL;
}

static void forget_session(struct bh_tls *tls, struct session *session)
{
    bh_map_remove(&tls->sessions, &session->node);
    bh_list_remove(&session->order);
    SSL_SESSION_free(session->ssl);
    free(session);
}

static struct session *find_session(struct bh_tls *tls, bh_str name)
{
    struct bh_map_node *node = bh_map_get(&tls->sessions, name);

    return node ? BH_CONTAINER_OF(node, struct session, node) : NULL;
}

/* OpenSSL has a new session for us; returning 1 keeps its reference. */
static int on_session(SSL *ssl, SSL_SESSION *ssl_session)
{
    struct bh_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const void *good_for = SSL_get_app_data(ssl);
    char key[NAME_MAX_BYTES + 2];
    struct session *session;

    if (!tls || !name || !good_for || strlen(name) > NAME_MAX_BYTES || !SSL_SESSION_is_resumable(ssl_session))
        return 0;
    (void)snprintf(key, sizeof(key), "%s%s", good_for == &verified_sessions ? "!" : "", name);
    session = find_session(tls, bh_str_c(key));
    if (session)
        forget_session(tls, session);
    if (tls->sessions.count >= TLS_SESSIONS)
        forget_session(tls, BH_CONTAINER_OF(bh_list_first(&tls->order), struct session, order));
    session = calloc(1, sizeof(*session));
    if (!session)
        return 0;
    memcpy(session->name, key, sizeof(key));
    if (bh_map_add(&tls->sessions, bh_str_c(session->name), &session->node)) {
        free(session);
        return 0;
    }
    session->ssl = ssl_session;
    bh_list_push(&tls->order, &session->order);
    return 1;
}

static struct bh_tls *make(const SSL_METHOD *method, bool is_server)
{
    struct bh_tls *tls = calloc(1, sizeof(*tls));
    uint64_t seed[2];

    if (!tls)
        return NULL;
    (void)OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL); /* a role opens no files */
    bh_random_fill(&bh_random_os, seed, sizeof(seed));
    bh_map_init(&tls->sessions, seed);
    bh_list_init(&tls->order);
    tls->is_server = is_server;
    tls->ctx = SSL_CTX_new(method);
    if (!tls->ctx || !SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION)) {
        bh_tls_free(tls);
        return NULL;
    }
    (void)SSL_CTX_set_app_data(tls->ctx, tls);
    SSL_CTX_set_mode(tls->ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(tls->ctx, 1); /* one recv a record, not two */
    SSL_CTX_set_options(tls->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    return tls;
}

/* The leaf and what follows it in the file. */
static bool use_chain(SSL_CTX *ctx, bh_str pem)
{
    BIO *bio = bio_of(pem);
    X509 *cert = bio ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL;
    bool ok = cert && SSL_CTX_use_certificate(ctx, cert) == 1;

    X509_free(cert);
    while (ok && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        ok = SSL_CTX_add1_chain_cert(ctx, cert) == 1;
        X509_free(cert);
    }
    BIO_free(bio);
    ERR_clear_error(); /* the end of the file is reported as an error */
    return ok;
}

static bool use_key(SSL_CTX *ctx, bh_str pem)
{
    BIO *bio = bio_of(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    bool ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;

    EVP_PKEY_free(key);
    BIO_free(bio);
    return ok;
}

bh_err bh_tls_server_new(bh_str certificate_pem, bh_str key_pem, struct bh_tls **ret_tls)
{
    struct bh_tls *tls = make(TLS_server_method(), true);

    if (!tls)
        return BH_E_NOMEM;
    if (!use_chain(tls->ctx, certificate_pem) || !use_key(tls->ctx, key_pem)) {
        bh_tls_free(tls);
        return BH_E_CRYPTO;
    }
    SSL_CTX_set_options(tls->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    *ret_tls = tls;
    return BH_OK;
}

static bh_err use_roots(SSL_CTX *ctx, bh_str pem)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *bio = bio_of(pem);
    size_t count = 0;
    X509 *cert;

    if (!bio)
        return BH_E_NOMEM;
    while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        count += X509_STORE_add_cert(store, cert) == 1;
        X509_free(cert);
    }
    BIO_free(bio);
    ERR_clear_error();
    return count || !pem.n ? BH_OK : BH_E_CRYPTO;
}

bh_err bh_tls_client_new(bh_str roots_pem, struct bh_tls **ret_tls)
{
    struct bh_tls *tls = make(TLS_client_method(), false);
    bh_err err;

    if (!tls)
        return BH_E_NOMEM;
    err = use_roots(tls->ctx, roots_pem);
    if (err) {
        bh_tls_free(tls);
        return err;
    }
    SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls->ctx, on_session);
    if (SSL_CTX_dane_enable(tls->ctx) <= 0) {
        bh_tls_free(tls);
        return BH_E_CRYPTO;
    }
    *ret_tls = tls;
    return BH_OK;
}

void bh_tls_free(struct bh_tls *tls)
{
    if (!tls)
        return;
    for (struct bh_list *node; (node = bh_list_first(&tls->order));)
        forget_session(tls, BH_CONTAINER_OF(node, struct session, order));
    bh_map_free(&tls->sessions);
    if (tls->ctx)
        (void)SSL_CTX_set_app_data(tls->ctx, NULL); /* connections may outlive us */
    SSL_CTX_free(tls->ctx);
    free(tls);
}

static void resume(struct bh_tls *tls, SSL *ssl, const char *key, const void *good_for)
{
    struct session *session = find_session(tls, bh_str_c(key));

    (void)SSL_set_app_data(ssl, (void *)(uintptr_t)good_for);
    if (!session)
        return;
    (void)SSL_set_session(ssl, session->ssl);
    forget_session(tls, session);
}

static int go_on_whatever(int ok, X509_STORE_CTX *chain)
{
    (void)ok, (void)chain;
    return 1;
}

/* The peer must prove `name`; or, with `watch`, it is only seen whether it does. */
static bool ask_name(SSL *ssl, const char *name, bool watch)
{
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, watch ? go_on_whatever : NULL);
    return SSL_set1_host(ssl, name) == 1;
}

static bool ask_dane(SSL *ssl, const char *name, const struct bh_tls_want *want)
{
    char other[NAME_MAX_BYTES + 1];
    size_t usable = 0;

    if (SSL_dane_enable(ssl, name) <= 0) /* sets SNI and the name as well */
        return false;
    (void)SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS); /* RFC 7672 3.1.1 */
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    if (want->other_name.n && (bh_str_to_c(want->other_name, other, sizeof(other)) || SSL_add1_host(ssl, other) != 1))
        return false;
    for (size_t i = 0; i < want->tlsa_count; i++) {
        const unsigned char *p = (const unsigned char *)want->tlsa[i].p;

        if (want->tlsa[i].n > 3)
            usable += SSL_dane_tlsa_add(ssl, p[0], p[1], p[2], p + 3, want->tlsa[i].n - 3) > 0;
    }
    ERR_clear_error();
    return usable > 0;
}

static bool prepare(struct bh_tls *tls, SSL *ssl, const struct bh_tls_want *want)
{
    char name[NAME_MAX_BYTES + 2] = "!", *bare = name + 1;

    if (bh_str_to_c(want->name, bare, NAME_MAX_BYTES + 1))
        return false;
    if (want->verify == BH_TLS_VERIFY_DANE)
        return ask_dane(ssl, bare, want);
    if (!SSL_set_tlsext_host_name(ssl, bare))
        return false;
    if (want->verify == BH_TLS_VERIFY_NONE)
        resume(tls, ssl, bare, &plain_sessions);
    else if (want->verify == BH_TLS_VERIFY_NAME) /* what was proven for this name then, is for this name now */
        resume(tls, ssl, name, &verified_sessions);
    return want->verify == BH_TLS_VERIFY_NONE || ask_name(ssl, bare, want->verify == BH_TLS_VERIFY_WATCH);
}

SSL *bh_tls_connection_as(struct bh_tls *tls, const struct bh_tls_want *want)
{
    SSL *ssl = SSL_new(tls->ctx);

    if (!ssl)
        return NULL;
    if (tls->is_server) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_set_connect_state(ssl);
    if ((want->name.n || want->verify != BH_TLS_VERIFY_NONE) && !prepare(tls, ssl, want)) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

SSL *bh_tls_connection(struct bh_tls *tls, bh_str name, bool verify)
{
    return bh_tls_connection_as(
        tls, &(struct bh_tls_want){.name = name, .verify = verify ? BH_TLS_VERIFY_NAME : BH_TLS_VERIFY_NONE});
}

enum bh_tls_verdict bh_tls_verdict_of(const SSL *ssl)
{
    switch (SSL_get_verify_result(ssl)) {
    case X509_V_OK:
        return BH_TLS_CERT_FINE;
    case X509_V_ERR_HOSTNAME_MISMATCH:
        return BH_TLS_CERT_NAME;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return BH_TLS_CERT_EXPIRED;
    default:
        return BH_TLS_CERT_UNTRUSTED;
    }
}

void bh_tls_why(const SSL *ssl, char *text, size_t size)
{
    long verify = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    if (verify != X509_V_OK)
        reason = X509_verify_cert_error_string(verify);
    (void)snprintf(text, size, "%s", reason ? reason : "connection closed during the handshake");
    ERR_clear_error();
}
