/* bench_dkim.c: DKIM in one process and one run: the bare limit (the hashes and the RSA operation that no verifier can
 * do without), ours with warm and with cold key cache, libopendkim where it is installed; signing; canonicalisation.
 * Prints a line per measurement, and the ratios that are promised; exits 1 when one of them is missed. Time is the
 * process's own CPU time and the best of some slices, so that a busy machine does not decide.
 * `bench_dkim [SECONDS per line [DIRECTORY]]`: into DIRECTORY go the messages and keys, for dkim_peers.py. */
#include "auth/canon.h"
#include "base/text.h"
#include <behalf/dkim.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#ifdef HAVE_OPENDKIM
#include <opendkim/dkim.h>
#endif

enum { KEYS = 8, MAX_BODY = 1 << 20, SLICES = 5 };

struct signer {
    struct bh_dkim_key *key;
    char name[64]; /* s8._domainkey.example.com */
    char record[1024];
    char rdata[1100]; /* the record as TXT rdata */
    size_t rdata_length;
    bh_str header[3]; /* signed, by body size */
};

struct bench {
    struct bh_resolver resolver; /* first: answers from signers */
    struct signer signers[KEYS];
    struct bh_arena *store;
    char body[MAX_BODY];
    double seconds;
    unsigned kept; /* promises */
    unsigned missed;
};

static const size_t sizes[] = {1024, 10 * 1024, MAX_BODY};
static const char fields[] = "Received: from mta1.email.customer.example (mta1.email.customer.example [192.0.2.10])\r\n"
                             "\tby mx.example.net with ESMTPS id 4bX8Kd2Tqz for <someone@example.net>;\r\n"
                             "\tSun, 22 Nov 2026 01:49:22 +0000 (UTC)\r\n"
                             "From: \"Customer Service\" <service@example.com>\r\n"
                             "To: Someone Else <someone@example.net>\r\n"
                             "Subject: Your order 4711 has been sent and will arrive on Tuesday\r\n"
                             "Date: Sun, 22 Nov 2026 01:49:20 +0000\r\n"
                             "Message-ID: <20261122014920.4711.8c2f@email.customer.example>\r\n"
                             "Reply-To: service@example.com\r\n"
                             "MIME-Version: 1.0\r\n"
                             "Content-Type: multipart/alternative;\r\n boundary=\"=_b1_8c2f4711\"\r\n"
                             "Content-Transfer-Encoding: 8bit\r\n"
                             "List-Unsubscribe: <https://link.customer.example/u/8c2f4711>\r\n"
                             "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
                             "X-Mailer: behalf\r\n"
                             "\r\n";

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "bench_dkim: %s failed\n", what);
        exit(1);
    }
}

typedef void step(struct bench *bench, void *ctx, unsigned round);

/* Seconds per call over one slice. */
static double measure_slice(struct bench *bench, step *run, void *ctx)
{
    double start = now_s();
    double end;
    unsigned rounds = 0;

    do {
        for (unsigned i = 0; i < KEYS; i++)
            run(bench, ctx, rounds++);
        end = now_s();
    } while (end - start < bench->seconds / SLICES);
    return (end - start) / rounds;
}

/* Microseconds per call, of the best slice. */
static double measure(struct bench *bench, step *run, void *ctx)
{
    double best = 1e9;

    for (unsigned i = 0; i < KEYS; i++)
        run(bench, ctx, i);
    for (unsigned i = 0; i < SLICES; i++) {
        double once = measure_slice(bench, run, ctx);

        best = once < best ? once : best;
    }
    return best * 1e6;
}

static void promise(struct bench *bench, const char *what, double got, double aim)
{
    bool is_kept = got >= aim;

    bench->kept += is_kept;
    bench->missed += !is_kept;
    (void)printf("%s %s: %.2f (aim >= %.2f)\n", is_kept ? "=>" : "FAIL", what, got, aim);
}

/* ---- answers ---- */

static bh_err look_up(struct bh_resolver *resolver, bh_str name, uint16_t type, bh_dns_done *done, void *ctx,
                      struct bh_dns_query **ret_query)
{
    struct bench *bench = (struct bench *)(void *)resolver;
    struct bh_dns_answer answer = {.status = BH_DNS_NXDOMAIN};
    struct bh_dns_record record;

    (void)type;
    for (unsigned i = 0; i < KEYS; i++) {
        if (!bh_str_eq(name, bh_str_c(bench->signers[i].name)))
            continue;
        record.rdata = bh_str_of(bench->signers[i].rdata, bench->signers[i].rdata_length);
        answer = (struct bh_dns_answer){.status = BH_DNS_FOUND, .records = &record, .count = 1};
    }
    *ret_query = NULL;
    done(ctx, &answer);
    return BH_OK;
}

static void cancel(struct bh_resolver *resolver, struct bh_dns_query *query)
{
    (void)resolver;
    (void)query;
}

static const struct bh_resolver_ops ops = {look_up, cancel};

/* ---- signing ---- */

struct sign_run {
    struct bh_dkim *dkim;
    struct bh_arena *arena;
    bh_str body;
    bh_str field; /* the last one made */
    EVP_PKEY *pkey;
};

static void sign_ours(struct bench *bench, void *ctx, unsigned round)
{
    struct sign_run *run = ctx;
    const struct signer *signer = &bench->signers[round % KEYS];
    struct bh_dkim_signing signing = {.domain = BH_STR("example.com"),
                                      .header_canon = BH_DKIM_RELAXED,
                                      .body_canon = BH_DKIM_RELAXED,
                                      .signed_at_s = 1795312000,
                                      .expires_at_s = -1,
                                      .body_length = -1};
    struct bh_dkim_body *body = bh_dkim_body_new(run->dkim, BH_DKIM_RELAXED);
    uint8_t signature[BH_DKIM_SIGNATURE_MAX];
    struct bh_dkim_unsigned prepared;
    bh_str names[100];
    size_t length;

    bh_arena_reset(run->arena);
    signing.selector = bh_str_sub(bh_str_c(signer->name), 0, 2);
    bh_dkim_body_add(body, run->body);
    must(!bh_dkim_body_end(body, signing.body_hash, NULL), "body");
    bh_dkim_body_free(body);
    must(!bh_dkim_default_names(bh_str_c(fields), names, 100, &signing.name_count), "names");
    signing.names = names;
    must(!bh_dkim_prepare(run->dkim, run->arena, bh_str_c(fields), &signing, &prepared), "prepare");
    must(!bh_dkim_key_sign(signer->key, prepared.hash, signature, &length), "sign");
    must(!bh_dkim_finish(run->arena, &prepared, signature, length, &run->field), "finish");
}

/* The RSA operation alone. */
static void sign_bare(struct bench *bench, void *ctx, unsigned round)
{
    struct sign_run *run = ctx;
    uint8_t signature[BH_DKIM_SIGNATURE_MAX];
    uint8_t hash[32] = {(uint8_t)round};
    size_t length = sizeof(signature);
    EVP_PKEY_CTX *pctx = EVP_PKEY_CTX_new(run->pkey, NULL);

    (void)bench;
    must(EVP_PKEY_sign_init(pctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PADDING) == 1 &&
             EVP_PKEY_CTX_set_signature_md(pctx, EVP_sha256()) == 1 &&
             EVP_PKEY_sign(pctx, signature, &length, hash, sizeof(hash)) == 1,
         "bare sign");
    EVP_PKEY_CTX_free(pctx);
}

static EVP_PKEY *pkey_of(const struct bh_dkim_key *key)
{
    uint8_t der[4096];
    const unsigned char *p = der;
    size_t length;

    must(!bh_dkim_key_to_der(key, der, sizeof(der), &length), "export");
    return d2i_AutoPrivateKey(NULL, &p, (long)length);
}

/* ---- verifying ---- */

struct verify_run {
    struct bh_dkim *dkim;
    struct bh_arena *arena;
    unsigned size; /* index into sizes */
    enum bh_dkim_result result;
    EVP_PKEY_CTX *bare;
    uint8_t bare_signature[BH_DKIM_SIGNATURE_MAX];
    size_t bare_length;
    EVP_MD *sha256;
    EVP_MD_CTX *md;
    void *lib; /* libopendkim */
};

static void note_result(void *ctx, const struct bh_dkim_verify *verify)
{
    ((struct verify_run *)ctx)->result = bh_dkim_verify_result(verify, NULL);
}

static void verify_ours(struct bench *bench, void *ctx, unsigned round)
{
    struct verify_run *run = ctx;
    const struct signer *signer = &bench->signers[round % KEYS];
    struct bh_dkim_verify *verify;

    bh_arena_reset(run->arena);
    verify = bh_dkim_verify_new(run->dkim, run->arena, signer->header[run->size], 0);
    bh_dkim_verify_body(verify, bh_str_of(bench->body, sizes[run->size]));
    bh_dkim_verify_end(verify, &bench->resolver, note_result, run);
    bh_dkim_verify_free(verify);
    must(run->result == BH_DKIM_PASS, "verify");
}

static const uint8_t zero_hash[32];

/* SHA-256 of the body and of the header's length, and one RSA verification with a parsed key and a made context. */
static void verify_bare(struct bench *bench, void *ctx, unsigned round)
{
    struct verify_run *run = ctx;
    uint8_t hash[32];

    (void)round;
    (void)EVP_DigestInit_ex2(run->md, run->sha256, NULL);
    (void)EVP_DigestUpdate(run->md, bench->body, sizes[run->size]);
    (void)EVP_DigestFinal_ex(run->md, hash, NULL);
    must(EVP_PKEY_verify(run->bare, run->bare_signature, run->bare_length, zero_hash, sizeof(zero_hash)) == 1,
         "bare verify");
}

#ifdef HAVE_OPENDKIM
static DKIM_CBSTAT find_key(DKIM *dkim, DKIM_SIGINFO *sig, unsigned char *buf, size_t n)
{
    struct bench *bench = dkim_get_user_context(dkim);
    const char *selector = (const char *)dkim_sig_getselector(sig);

    must(selector[1] >= '0' && selector[1] < '0' + KEYS && n > sizeof(bench->signers[0].record), "key look-up");
    memcpy(buf, bench->signers[selector[1] - '0'].record, sizeof(bench->signers[0].record));
    return DKIM_CBSTAT_CONTINUE;
}

static void verify_opendkim(struct bench *bench, void *ctx, unsigned round)
{
    struct verify_run *run = ctx;
    bh_str header = bench->signers[round % KEYS].header[run->size];
    DKIM_STAT status;
    DKIM *dkim = dkim_verify(run->lib, (const unsigned char *)"x", NULL, &status);

    must(dkim != NULL, "dkim_verify");
    (void)dkim_set_user_context(dkim, bench);
    must(dkim_chunk(dkim, (unsigned char *)(uintptr_t)header.p, header.n) == DKIM_STAT_OK, "header chunk");
    must(dkim_chunk(dkim, (unsigned char *)bench->body, sizes[run->size]) == DKIM_STAT_OK, "body chunk");
    must(dkim_chunk(dkim, NULL, 0) == DKIM_STAT_OK, "last chunk");
    must(dkim_eom(dkim, NULL) == DKIM_STAT_OK, "dkim_eom");
    (void)dkim_free(dkim);
}

static void *open_opendkim(void)
{
    DKIM_LIB *lib = dkim_init(NULL, NULL);

    must(lib != NULL, "dkim_init");
    (void)dkim_set_key_lookup(lib, find_key);
    return lib;
}
#endif

/* ---- canonicalisation ---- */

static void swallow(void *ctx, const char *p, size_t n)
{
    (void)p;
    *(size_t *)ctx += n;
}

struct canon_run {
    enum bh_dkim_canon canon;
    const char *text;
    size_t bytes;
    size_t out;
};

static void canonicalise(struct bench *bench, void *ctx, unsigned round)
{
    struct canon_run *run = ctx;
    struct bh_canon_body body;

    (void)bench;
    (void)round;
    bh_canon_body_init(&body, run->canon, swallow, &run->out);
    for (size_t at = 0; at < run->bytes; at += 16384)
        bh_canon_body_add(&body, bh_str_sub(bh_str_of(run->text, run->bytes), at, 16384));
    bh_canon_body_end(&body);
}

/* Lines of words; `indent` blanks before each as in HTML. */
static void fill_text(char *text, size_t n, unsigned indent)
{
    static const char words[] = "Lorem ipsum dolor sit amet consetetur sadipscing elitr sed diam nonumy eirmod ";
    size_t column = 0;

    for (size_t i = 0; i < n; i++) {
        if (i + 2 == n || column == 76) {
            text[i] = '\r';
            if (i + 1 < n)
                text[++i] = '\n';
            column = 0;
        } else {
            text[i] = column < indent ? ' ' : words[i % (sizeof(words) - 1)];
            column++;
        }
    }
}

/* ---- all ---- */

static void set_up(struct bench *bench)
{
    struct bh_dkim_config config = {.seed = {1, 2}};
    struct sign_run run = {.dkim = bh_dkim_new(&config), .arena = bh_arena_new(1 << 20)};

    bench->resolver.ops = &ops;
    bench->store = bh_arena_new(16 << 20);
    fill_text(bench->body, sizeof(bench->body), 0);
    for (unsigned i = 0; i < KEYS; i++) {
        struct signer *signer = &bench->signers[i];
        bh_str record;
        size_t first;

        must(!bh_dkim_key_generate(BH_DKIM_KEY_RSA, 2048, &signer->key), "keygen");
        must(!bh_dkim_key_record(signer->key, bench->store, &record) && record.n < sizeof(signer->record), "record");
        memcpy(signer->record, record.p, record.n);
        (void)snprintf(signer->name, sizeof(signer->name), "s%u._domainkey.example.com", i);
        for (; record.n; record = bh_str_skip(record, first)) {
            first = record.n < 255 ? record.n : 255;
            signer->rdata[signer->rdata_length++] = (char)first;
            memcpy(signer->rdata + signer->rdata_length, record.p, first);
            signer->rdata_length += first;
        }
        for (unsigned s = 0; s < 3; s++) {
            run.body = bh_str_of(bench->body, sizes[s]);
            if (sizes[s] >= 2) /* every length ends a line */
                memcpy(bench->body + sizes[s] - 2, "\r\n", 2);
        }
    }
    for (unsigned i = 0; i < KEYS; i++) {
        for (unsigned s = 0; s < 3; s++) {
            run.body = bh_str_of(bench->body, sizes[s]);
            sign_ours(bench, &run, i);
            bench->signers[i].header[s] = bh_arena_printf(bench->store, "%.*s%s", BH_FMT(run.field), fields);
        }
    }
    bh_arena_free(run.arena);
    bh_dkim_free(run.dkim);
}

static void bench_verify(struct bench *bench, struct verify_run *run, double *ret_warm, double *ret_opendkim)
{
    struct bh_dkim_config config = {.seed = {1, 2}};
    double bare = measure(bench, verify_bare, run);
    double warm;
    double cold;
    double opendkim = 0;

    run->dkim = bh_dkim_new(&config);
    warm = measure(bench, verify_ours, run);
    bh_dkim_free(run->dkim);
    config.max_cached_keys = 1; /* eight keys take turns: always a new one */
    run->dkim = bh_dkim_new(&config);
    cold = measure(bench, verify_ours, run);
    bh_dkim_free(run->dkim);
#ifdef HAVE_OPENDKIM
    run->lib = open_opendkim();
    opendkim = measure(bench, verify_opendkim, run);
    dkim_close(run->lib);
#endif
    (void)printf("verify %7zu bytes  bare %8.1f us  warm %8.1f us  new key %8.1f us  libopendkim %8.1f us\n",
                 sizes[run->size], bare, warm, cold, opendkim);
    *ret_warm = bare / warm;
    *ret_opendkim = opendkim / cold;
}

static void bench_verifies(struct bench *bench)
{
    struct verify_run run = {.arena = bh_arena_new(4 << 20)};
    EVP_PKEY *pkey = pkey_of(bench->signers[0].key);
    double warm[3];
    double opendkim[3];

    run.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    run.md = EVP_MD_CTX_new();
    run.bare = EVP_PKEY_CTX_new(pkey, NULL);
    must(!bh_dkim_key_sign(bench->signers[0].key, zero_hash, run.bare_signature, &run.bare_length), "sign");
    must(EVP_PKEY_verify_init(run.bare) == 1 && EVP_PKEY_CTX_set_rsa_padding(run.bare, RSA_PKCS1_PADDING) == 1 &&
             EVP_PKEY_CTX_set_signature_md(run.bare, EVP_sha256()) == 1,
         "bare context");
    for (run.size = 0; run.size < 3; run.size++)
        bench_verify(bench, &run, &warm[run.size], &opendkim[run.size]);
    promise(bench, "verify 10 KiB, warm cache, of the bare limit", warm[1], 0.6);
    if (opendkim[1] > 0)
        promise(bench, "verify 10 KiB, new key each time, times libopendkim", opendkim[1], 4);
    EVP_PKEY_CTX_free(run.bare);
    EVP_PKEY_free(pkey);
    EVP_MD_CTX_free(run.md);
    EVP_MD_free(run.sha256);
    bh_arena_free(run.arena);
}

static void bench_signs(struct bench *bench)
{
    struct bh_dkim_config config = {.seed = {1, 2}};
    struct sign_run run = {.dkim = bh_dkim_new(&config),
                           .arena = bh_arena_new(1 << 20),
                           .body = bh_str_of(bench->body, sizes[1]),
                           .pkey = pkey_of(bench->signers[0].key)};
    double bare = measure(bench, sign_bare, &run);
    double ours = measure(bench, sign_ours, &run);

    (void)printf("sign 10 KiB  bare RSA-2048 %.1f us  ours, all of it %.1f us\n", bare, ours);
    promise(bench, "sign, of the bare RSA rate", bare / ours, 0.9);
    EVP_PKEY_free(run.pkey);
    bh_arena_free(run.arena);
    bh_dkim_free(run.dkim);
}

static void bench_canon(struct bench *bench)
{
    static const unsigned indents[] = {0, 8};
    char *text = malloc(MAX_BODY);

    must(text != NULL, "malloc");
    for (unsigned i = 0; i < 2; i++) {
        fill_text(text, MAX_BODY, indents[i]);
        for (int canon = BH_DKIM_SIMPLE; canon <= BH_DKIM_RELAXED; canon++) {
            struct canon_run run = {.canon = (enum bh_dkim_canon)canon, .text = text, .bytes = MAX_BODY};
            double us = measure(bench, canonicalise, &run);

            (void)printf("canonicalise %s, lines indented by %u: %.1f GB/s (aim 2, on a quiet machine)\n",
                         canon == BH_DKIM_SIMPLE ? "simple" : "relaxed", indents[i], MAX_BODY / us / 1000);
        }
    }
    free(text);
}

static FILE *create(const char *directory, const char *name)
{
    char path[512];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "wb");
    must(file != NULL, path);
    return file;
}

static void save(const struct bench *bench, const char *directory)
{
    FILE *keys = create(directory, "keys");

    for (unsigned i = 0; i < KEYS; i++) {
        (void)fprintf(keys, "%s %s\n", bench->signers[i].name, bench->signers[i].record);
        for (unsigned s = 0; s < 3; s++) {
            char name[64];
            FILE *file;

            (void)snprintf(name, sizeof(name), "%zu-%u.eml", sizes[s], i);
            file = create(directory, name);
            (void)fwrite(bench->signers[i].header[s].p, 1, bench->signers[i].header[s].n, file);
            (void)fwrite(bench->body, 1, sizes[s], file);
            (void)fclose(file);
        }
    }
    (void)fclose(keys);
}

int main(int argc, char **argv)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    unsigned missed;

    must(bench != NULL, "calloc");
    bench->seconds = argc > 1 ? strtod(argv[1], NULL) : 0.5;
    set_up(bench);
    if (argc > 2)
        save(bench, argv[2]);
    bench_verifies(bench);
    bench_signs(bench);
    bench_canon(bench);
    for (unsigned i = 0; i < KEYS; i++)
        bh_dkim_key_free(bench->signers[i].key);
    bh_arena_free(bench->store);
    missed = bench->missed;
    (void)printf("bench-dkim: %u passed, %u failed, 0 skipped\n", bench->kept, missed);
    free(bench);
    return missed != 0;
}
