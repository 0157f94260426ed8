/* test_signer.c: the signing workers: keys open for their owner only, the cache stays small, nothing is lost. */
#include "roles/grant.h"
#include "roles/keyd/signer.h"
#include "unit.h"
#include <malloc.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of ASan's run-time; elsewhere malloc says it. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

struct world {
    struct bh_vault vault;
    struct bh_signer *signer;
    int wake;
};

static void open_world(struct world *w, unsigned threads, size_t keys)
{
    int fd = memfd_create("secret", MFD_CLOEXEC);
    char text[64];

    memset(text, '5', sizeof(text));
    assert_int_equal(pwrite(fd, text, sizeof(text), 0), sizeof(text));
    assert_ok(bh_vault_open(&w->vault, fd));
    (void)close(fd);
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->signer = bh_signer_new(&w->vault, threads, keys, w->wake);
    assert_non_null(w->signer);
}

static void close_world(struct world *w)
{
    bh_signer_free(w->signer);
    (void)close(w->wake);
}

static struct bh_job *wait_one(struct world *w)
{
    struct bh_job *job = NULL;
    uint64_t count;

    while (!job) {
        struct pollfd fd = {w->wake, POLLIN, 0};

        assert_int_equal(poll(&fd, 1, 10000), 1);
        (void)!read(w->wake, &count, sizeof(count));
        job = bh_signer_finished(w->signer);
    }
    assert_null(job->next);
    return job;
}

static void associated(struct bh_buf *out, uint64_t number)
{
    *out = bh_buf_make(BH_GRANT_BYTES_MAX);
    bh_grant_associated_data(out, BH_GRANT_DKIM, 1, BH_STR("a.example"), BH_STR("bh1"), number);
}

static struct bh_job *run_job(struct world *w, enum bh_job_kind kind, uint64_t number, bh_str object)
{
    struct bh_buf said;
    struct bh_job *job;

    associated(&said, number);
    job = bh_job_new(kind, bh_buf_view(&said), object);
    bh_buf_free(&said);
    assert_non_null(job);
    job->algorithm = BH_KEY_ED25519;
    bh_signer_submit(w->signer, job, 1);
    return wait_one(w);
}

static void make_key(struct world *w, uint64_t number, struct bh_buf *ret_sealed)
{
    struct bh_job *job = run_job(w, BH_JOB_GENERATE, number, BH_STR(""));

    assert_int_equal(job->refused, 0);
    *ret_sealed = bh_buf_make(BH_JOB_OBJECT_MAX);
    bh_buf_add(ret_sealed, bh_buf_view(&job->sealed));
    bh_job_free(job);
}

static unsigned sign(struct world *w, uint64_t number, bh_str sealed)
{
    struct bh_job *job = run_job(w, BH_JOB_SIGN, number, sealed);
    unsigned refused = job->refused;

    assert_int_equal(job->signature_bytes, refused ? 0 : 64);
    bh_job_free(job);
    return refused;
}

static void test_signs_for_the_owner_only(void **state)
{
    struct world w;
    struct bh_buf sealed;

    open_world(&w, 1, 10);
    make_key(&w, 1, &sealed);
    assert_int_equal(sign(&w, 1, bh_buf_view(&sealed)), 0);
    /* the key lies opened in the cache now, and still opens for nobody else */
    assert_int_equal(sign(&w, 2, bh_buf_view(&sealed)), 2);
    assert_int_equal(sign(&w, 1, bh_str_of(sealed.p, sealed.n - 1)), 2);
    sealed.p[30] = (char)(sealed.p[30] ^ 1);
    assert_int_equal(sign(&w, 1, bh_buf_view(&sealed)), 2);
    bh_buf_free(&sealed);
    close_world(&w);
}

static size_t allocated(void)
{
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes()
                                                   : (size_t)mallinfo2().uordblks;
}

static void test_the_cache_is_bounded(void **state)
{
    enum { KEYS = 64, CACHED = 4 };
    struct world w;
    struct bh_buf sealed[KEYS];
    size_t before;

    open_world(&w, 1, CACHED);
    for (uint64_t i = 0; i < KEYS; i++)
        make_key(&w, i, &sealed[i]);
    for (uint64_t i = 0; i < CACHED; i++) /* warm: the cache is full */
        assert_int_equal(sign(&w, i, bh_buf_view(&sealed[i])), 0);
    before = allocated();
    for (int round = 0; round < 3; round++)
        for (uint64_t i = 0; i < KEYS; i++)
            assert_int_equal(sign(&w, i, bh_buf_view(&sealed[i])), 0);
    assert_true(allocated() < before + 8192); /* an opened key alone takes some 600 bytes */
    for (size_t i = 0; i < KEYS; i++)
        bh_buf_free(&sealed[i]);
    close_world(&w);
}

static void test_imports_only_keys(void **state)
{
    struct world w;
    struct bh_job *job;

    open_world(&w, 1, 4);
    job = run_job(&w, BH_JOB_IMPORT, 1, BH_STR("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n"));
    assert_int_equal(job->refused, 2);
    assert_int_equal(job->sealed.n, 0);
    bh_job_free(job);
    close_world(&w);
}

static void test_too_large(void **state)
{
    char big[BH_JOB_OBJECT_MAX + 1] = {0};

    assert_null(bh_job_new(BH_JOB_SIGN, BH_STR(""), bh_str_of(big, sizeof(big))));
    assert_null(bh_job_new(BH_JOB_SIGN, bh_str_of(big, sizeof(big)), BH_STR("")));
}

/* Many jobs, two workers: each comes back once; what waits at the end is freed (the leak checker looks). */
static void test_each_job_comes_back_once(void **state)
{
    enum { JOBS = 500 };
    struct world w;
    struct bh_buf sealed, said;
    struct bh_job *jobs = NULL;
    bool seen[JOBS] = {false};
    size_t count = 0;
    uint64_t woken;

    open_world(&w, 2, 4);
    make_key(&w, 1, &sealed);
    associated(&said, 1);
    for (uint32_t i = 0; i < 2 * JOBS; i++) {
        struct bh_job *job = bh_job_new(BH_JOB_SIGN, bh_buf_view(&said), bh_buf_view(&sealed));

        job->item = i % JOBS;
        job->next = jobs;
        jobs = job;
        if (i + 1 == JOBS) {
            bh_signer_submit(w.signer, jobs, JOBS);
            jobs = NULL;
        }
    }
    while (count < JOBS) {
        struct pollfd fd = {w.wake, POLLIN, 0};

        assert_int_equal(poll(&fd, 1, 10000), 1);
        (void)!read(w.wake, &woken, sizeof(woken));
        for (struct bh_job *job = bh_signer_finished(w.signer), *next; job; job = next, count++) {
            next = job->next;
            assert_false(seen[job->item]);
            seen[job->item] = true;
            assert_int_equal(job->refused, 0);
            bh_job_free(job);
        }
    }
    bh_signer_submit(w.signer, jobs, JOBS);
    bh_buf_free(&sealed);
    bh_buf_free(&said);
    close_world(&w);
}

/* A key for zones: made, sealed for its owner, and its signatures hold under the public key that came with it. */
static void check_signature(bh_str public_key, const char *digest, const char *raw)
{
    unsigned char point[65] = {4}, der[80], *end = der;
    char group[] = "P-256";
    OSSL_PARAM params[3];
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    ECDSA_SIG *signature = ECDSA_SIG_new();
    EVP_PKEY *pkey = NULL;
    int n;

    memcpy(point + 1, public_key.p, 64);
    params[0] = OSSL_PARAM_construct_utf8_string("group", group, 0);
    params[1] = OSSL_PARAM_construct_octet_string("pub", point, sizeof(point));
    params[2] = OSSL_PARAM_construct_end();
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params), 1);
    EVP_PKEY_CTX_free(ctx);
    assert_int_equal(ECDSA_SIG_set0(signature, BN_bin2bn((const unsigned char *)raw, 32, NULL),
                                    BN_bin2bn((const unsigned char *)raw + 32, 32, NULL)),
                     1);
    n = i2d_ECDSA_SIG(signature, &end);
    ctx = EVP_PKEY_CTX_new(pkey, NULL);
    assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
    assert_int_equal(EVP_PKEY_verify(ctx, der, (size_t)n, (const unsigned char *)digest, 32), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    ECDSA_SIG_free(signature);
}

static struct bh_job *zone_job(struct world *w, enum bh_job_kind kind, uint64_t number, bh_str object, bh_str digests)
{
    struct bh_buf said = bh_buf_make(BH_GRANT_BYTES_MAX);
    struct bh_job *job;

    bh_grant_associated_data(&said, BH_GRANT_DNSSEC, 1, BH_STR("a.example"), BH_STR(""), number);
    job = bh_job_new(kind, bh_buf_view(&said), object);
    bh_buf_free(&said);
    job->algorithm = BH_KEY_P256;
    bh_buf_add(&job->digests, digests);
    bh_signer_submit(w->signer, job, 1);
    return wait_one(w);
}

static void test_zone_keys(void **state)
{
    enum { MANY = BH_ZONE_SIGN_MAX };
    char digests[MANY * 32];
    struct world w;
    struct bh_job *made, *sign;

    open_world(&w, 2, 4);
    for (size_t i = 0; i < sizeof(digests); i++)
        digests[i] = (char)(i * 7);
    made = zone_job(&w, BH_JOB_GENERATE, 5, BH_STR(""), BH_STR(""));
    assert_int_equal(made->refused, 0);
    assert_int_equal(made->record.n, 64);
    sign = zone_job(&w, BH_JOB_ZONE_SIGN, 5, bh_buf_view(&made->sealed), bh_str_of(digests, sizeof(digests)));
    assert_int_equal(sign->refused, 0);
    assert_int_equal(sign->record.n, MANY * 64);
    for (size_t i = 0; i < MANY; i++)
        check_signature(bh_buf_view(&made->record), digests + 32 * i, sign->record.p + 64 * i);
    bh_job_free(sign);
    sign = zone_job(&w, BH_JOB_ZONE_SIGN, 6, bh_buf_view(&made->sealed), bh_str_of(digests, 32)); /* another's */
    assert_int_equal(sign->refused, 2);
    bh_job_free(sign);
    bh_job_free(made);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signs_for_the_owner_only), cmocka_unit_test(test_the_cache_is_bounded),
        cmocka_unit_test(test_imports_only_keys),        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_each_job_comes_back_once), cmocka_unit_test(test_zone_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
