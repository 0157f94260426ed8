/* signer.c: worker threads and their key caches. See signer.h. */
#include "signer.h"
#include "base/list.h"
#include "base/map.h"
#include "base/random.h"
#include "ecdsa.h"
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHARE_MAX = 8, ID_BYTES = 32 };

struct cached_key {
    struct bh_map_node node;
    struct bh_list used;  /* least recently used first */
    uint8_t id[ID_BYTES]; /* BLAKE2b of associated data and sealed bytes: a key opens for its own owner only */
    struct bh_dkim_key *key;
};

struct worker {
    pthread_t thread;
    struct bh_signer *signer;
    struct bh_map keys;
    struct bh_list by_use;
    struct bh_vault vault; /* a copy of the signer's, taken with the lock held */
    uint64_t vault_version;
    struct bh_signer_counts counts; /* of its own; told under the lock with what it gives back */
    bool started;
};

struct bh_signer {
    struct bh_vault vault;
    uint64_t vault_version;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct bh_job *waiting, **waiting_end;
    size_t waiting_count;
    unsigned idle;
    struct bh_job *finished, **finished_end;
    struct bh_signer_counts counts;
    bool ending;
    int wake_fd;
    size_t keys_per_thread;
    unsigned count;
    struct worker workers[];
};

struct bh_job *bh_job_new(enum bh_job_kind kind, bh_str associated, bh_str object)
{
    struct bh_job *job;

    if (associated.n > BH_JOB_OBJECT_MAX || object.n > BH_JOB_OBJECT_MAX)
        return NULL;
    job = malloc(sizeof(*job) + associated.n + object.n);
    if (!job)
        return NULL;
    *job = (struct bh_job){.kind = kind,
                           .sealed = bh_buf_make(BH_JOB_OBJECT_MAX),
                           .record = bh_buf_make(BH_JOB_OBJECT_MAX),
                           .digests = bh_buf_make(BH_ZONE_SIGN_MAX * BH_ECDSA_DIGEST_BYTES),
                           .associated_bytes = associated.n,
                           .object_bytes = object.n};
    if (associated.n)
        memcpy(job->bytes, associated.p, associated.n);
    if (object.n)
        memcpy(job->bytes + associated.n, object.p, object.n);
    return job;
}

void bh_job_free(struct bh_job *job)
{
    bh_buf_free(&job->sealed);
    bh_buf_free(&job->record);
    bh_buf_free(&job->digests);
    if (job->kind == BH_JOB_IMPORT)
        bh_wipe(job->bytes, job->associated_bytes + job->object_bytes);
    free(job);
}

static bh_str associated_of(const struct bh_job *job)
{
    return bh_str_of(job->bytes, job->associated_bytes);
}

static bh_str object_of(const struct bh_job *job)
{
    return bh_str_of(job->bytes + job->associated_bytes, job->object_bytes);
}

/* ---- keys of one worker ---- */

static void forget(struct worker *worker, struct cached_key *cached)
{
    bh_map_remove(&worker->keys, &cached->node);
    bh_list_remove(&cached->used);
    bh_dkim_key_free(cached->key);
    free(cached);
}

static bh_err open_key(const struct worker *worker, const struct bh_job *job, struct bh_dkim_key **ret_key)
{
    struct bh_buf der = bh_buf_make(BH_JOB_OBJECT_MAX);
    bh_err err = bh_vault_unseal(&worker->vault, object_of(job), associated_of(job), &der);

    if (!err)
        err = bh_dkim_key_reload(bh_buf_view(&der), ret_key); /* the seal says that it is what we made or checked */
    if (der.p)
        bh_wipe(der.p, der.cap);
    bh_buf_free(&der);
    return err;
}

static struct cached_key *add_key(struct worker *worker, const uint8_t id[ID_BYTES], struct bh_dkim_key *key)
{
    struct cached_key *cached = calloc(1, sizeof(*cached));

    if (!cached)
        return NULL;
    if (worker->keys.count >= worker->signer->keys_per_thread)
        forget(worker, BH_CONTAINER_OF(bh_list_first(&worker->by_use), struct cached_key, used));
    memcpy(cached->id, id, ID_BYTES);
    cached->key = key;
    if (bh_map_add(&worker->keys, bh_str_of((const char *)cached->id, ID_BYTES), &cached->node) != BH_OK) {
        free(cached);
        return NULL;
    }
    bh_list_push(&worker->by_use, &cached->used);
    return cached;
}

static struct bh_dkim_key *key_of(struct worker *worker, const struct bh_job *job)
{
    const size_t lengths[2] = {job->associated_bytes, job->object_bytes}; /* where one ends and the other begins */
    uint8_t id[ID_BYTES];
    struct bh_map_node *node;
    struct cached_key *cached;
    struct bh_dkim_key *key;

    (void)crypto_generichash(id, sizeof(id), (const unsigned char *)job->bytes,
                             job->associated_bytes + job->object_bytes, (const unsigned char *)lengths,
                             sizeof(lengths));
    node = bh_map_get(&worker->keys, bh_str_of((const char *)id, ID_BYTES));
    if (node) {
        cached = BH_CONTAINER_OF(node, struct cached_key, node);
        bh_list_remove(&cached->used);
        bh_list_push(&worker->by_use, &cached->used);
        worker->counts.hits++;
        return cached->key;
    }
    worker->counts.misses++;
    if (open_key(worker, job, &key) != BH_OK)
        return NULL;
    cached = add_key(worker, id, key);
    if (!cached)
        bh_dkim_key_free(key);
    return cached ? cached->key : NULL;
}

static void sign(struct worker *worker, struct bh_job *job)
{
    struct bh_dkim_key *key = key_of(worker, job);

    if (!key)
        job->refused = 2;
    else if (bh_dkim_key_sign(key, job->digest, job->signature, &job->signature_bytes) != BH_OK)
        job->refused = 5;
}

/* ---- new keys ---- */

static bh_err seal_key(const struct worker *worker, struct bh_job *job, const struct bh_dkim_key *key)
{
    uint8_t der[4096];
    size_t der_bytes = 0;
    struct bh_arena *arena = bh_arena_new(1 << 16);
    bh_str record = {NULL, 0};
    bh_err err = arena ? bh_dkim_key_to_der(key, der, sizeof(der), &der_bytes) : BH_E_NOMEM;

    if (!err)
        err = bh_dkim_key_record(key, arena, &record);
    if (!err) {
        bh_vault_seal(&worker->vault, bh_str_of((const char *)der, der_bytes), associated_of(job), &job->sealed);
        bh_buf_add(&job->record, record);
        job->algorithm = bh_dkim_key_type(key) == BH_DKIM_KEY_ED25519 ? BH_KEY_ED25519
                         : bh_dkim_key_bits(key) == 2048              ? BH_KEY_RSA2048
                                                                      : BH_KEY_RSA_OTHER;
        err = bh_buf_err(&job->sealed);
    }
    bh_wipe(der, sizeof(der));
    bh_arena_free(arena);
    return err;
}

static void make_key(struct worker *worker, struct bh_job *job)
{
    struct bh_dkim_key *key = NULL;
    bh_err err;

    if (job->kind == BH_JOB_IMPORT)
        err = bh_dkim_key_load(object_of(job), &key);
    else if (job->algorithm == BH_KEY_ED25519)
        err = bh_dkim_key_generate(BH_DKIM_KEY_ED25519, 0, &key);
    else
        err = bh_dkim_key_generate(BH_DKIM_KEY_RSA, 2048, &key);
    if (!err)
        err = seal_key(worker, job, key);
    if (err)
        job->refused = err == BH_E_SYNTAX || err == BH_E_UNSUPPORTED || err == BH_E_RANGE || err == BH_E_CRYPTO ? 2 : 5;
    bh_dkim_key_free(key);
}

/* ---- keys of zones: opened for one batch, not kept: signing a batch takes longer than opening its key ---- */

static bh_err seal_zone_key(const struct worker *worker, struct bh_job *job, const struct bh_ecdsa_key *key)
{
    struct bh_buf der = bh_buf_make(BH_JOB_OBJECT_MAX);
    bh_err err = bh_ecdsa_to_der(key, &der);

    if (!err)
        err = bh_ecdsa_public(key, &job->record);
    if (!err) {
        bh_vault_seal(&worker->vault, bh_buf_view(&der), associated_of(job), &job->sealed);
        err = bh_buf_err(&job->sealed);
    }
    if (der.p)
        bh_wipe(der.p, der.cap);
    bh_buf_free(&der);
    return err;
}

static void make_zone_key(const struct worker *worker, struct bh_job *job)
{
    struct bh_ecdsa_key *key = NULL;
    bh_err err = bh_ecdsa_generate(&key);

    if (!err)
        err = seal_zone_key(worker, job, key);
    if (err)
        job->refused = 5;
    bh_ecdsa_free(key);
}

static bh_err open_zone_key(const struct worker *worker, const struct bh_job *job, struct bh_ecdsa_key **ret_key)
{
    struct bh_buf der = bh_buf_make(BH_JOB_OBJECT_MAX);
    bh_err err = bh_vault_unseal(&worker->vault, object_of(job), associated_of(job), &der);

    if (!err)
        err = bh_ecdsa_load(bh_buf_view(&der), ret_key);
    if (der.p)
        bh_wipe(der.p, der.cap);
    bh_buf_free(&der);
    return err;
}

static void sign_zone(const struct worker *worker, struct bh_job *job)
{
    struct bh_ecdsa_key *key = NULL;
    uint8_t signature[BH_ECDSA_SIGNATURE_BYTES];
    bh_err err = BH_OK;

    if (open_zone_key(worker, job, &key) != BH_OK) {
        job->refused = 2;
        return;
    }
    for (size_t at = 0; !err && at + BH_ECDSA_DIGEST_BYTES <= job->digests.n; at += BH_ECDSA_DIGEST_BYTES) {
        err = bh_ecdsa_sign(key, (const uint8_t *)job->digests.p + at, signature);
        bh_buf_add(&job->record, bh_str_of((const char *)signature, sizeof(signature)));
    }
    if (err || bh_buf_err(&job->record))
        job->refused = 5;
    bh_ecdsa_free(key);
}

/* ---- sealing again ---- */

static bool same_secret(const struct worker *worker, const struct bh_job *job)
{
    struct bh_buf was = bh_buf_make(BH_JOB_OBJECT_MAX), is = bh_buf_make(BH_JOB_OBJECT_MAX);
    bool same = bh_vault_unseal(&worker->vault, object_of(job), associated_of(job), &was) == BH_OK &&
                bh_vault_unseal(&worker->vault, bh_buf_view(&job->sealed), associated_of(job), &is) == BH_OK &&
                bh_str_eq_secret(bh_buf_view(&was), bh_buf_view(&is));

    if (was.p)
        bh_wipe(was.p, was.cap);
    if (is.p)
        bh_wipe(is.p, is.cap);
    bh_buf_free(&was);
    bh_buf_free(&is);
    return same;
}

/* The key is opened, parsed and sealed as a new one is; what comes back was opened again and found the same. */
static void reseal(const struct worker *worker, struct bh_job *job)
{
    struct bh_dkim_key *key = NULL;
    struct bh_ecdsa_key *zone_key = NULL;
    bh_err err;

    if (job->algorithm == BH_KEY_P256)
        err = open_zone_key(worker, job, &zone_key);
    else
        err = open_key(worker, job, &key);
    if (!err)
        err = zone_key ? seal_zone_key(worker, job, zone_key) : seal_key(worker, job, key);
    if (err || !same_secret(worker, job))
        job->refused = 2;
    bh_ecdsa_free(zone_key);
    bh_dkim_key_free(key);
}

/* Of the link, which controld has hashed: as a DKIM signature by RSA. */
static void sign_link(struct worker *worker, struct bh_job *job)
{
    memcpy(job->digest, job->digests.p, BH_DKIM_HASH_BYTES);
    sign(worker, job);
    if (!job->refused)
        bh_buf_add(&job->record, bh_str_of((const char *)job->signature, job->signature_bytes));
}

static void do_job(struct worker *worker, struct bh_job *job)
{
    if (job->kind == BH_JOB_SIGN)
        sign(worker, job);
    else if (job->kind == BH_JOB_ZONE_SIGN)
        sign_zone(worker, job);
    else if (job->kind == BH_JOB_RESEAL)
        reseal(worker, job);
    else if (job->kind == BH_JOB_CONNECT_SIGN)
        sign_link(worker, job);
    else if (job->kind == BH_JOB_GENERATE && job->algorithm == BH_KEY_P256)
        make_zone_key(worker, job);
    else
        make_key(worker, job);
}

/* ---- sharing the work ---- */

/* Takes this worker's share of what waits. Called with the lock held. */
static struct bh_job *take_share(struct bh_signer *signer)
{
    size_t share = (signer->waiting_count + signer->count - 1) / signer->count;
    struct bh_job *first = signer->waiting, **link = &signer->waiting;

    if (share > SHARE_MAX)
        share = SHARE_MAX;
    for (size_t i = 0; i < share && *link; i++) {
        link = &(*link)->next;
        signer->waiting_count--;
    }
    signer->waiting = *link;
    *link = NULL;
    if (!signer->waiting)
        signer->waiting_end = &signer->waiting;
    return first;
}

static void tell_counts(struct bh_signer *signer, struct worker *worker)
{
    signer->counts.hits += worker->counts.hits;
    signer->counts.misses += worker->counts.misses;
    signer->counts.opened += worker->keys.count - worker->counts.opened;
    worker->counts = (struct bh_signer_counts){.opened = worker->keys.count};
}

void bh_signer_count(struct bh_signer *signer, struct bh_signer_counts *ret_counts)
{
    (void)pthread_mutex_lock(&signer->lock);
    *ret_counts = signer->counts;
    (void)pthread_mutex_unlock(&signer->lock);
}

static void give_back(struct worker *worker, struct bh_job *jobs)
{
    struct bh_signer *signer = worker->signer;
    struct bh_job **end = &jobs;
    bool wake;
    uint64_t one = 1;

    while (*end)
        end = &(*end)->next;
    (void)pthread_mutex_lock(&signer->lock);
    wake = !signer->finished;
    *signer->finished_end = jobs;
    signer->finished_end = end;
    tell_counts(signer, worker);
    (void)pthread_mutex_unlock(&signer->lock);
    if (wake)
        (void)!write(signer->wake_fd, &one, sizeof(one));
}

/* Called with the lock held. */
static void look_at_vault(struct worker *worker)
{
    if (worker->vault_version == worker->signer->vault_version)
        return;
    worker->vault = worker->signer->vault;
    worker->vault_version = worker->signer->vault_version;
}

void bh_signer_set_vault(struct bh_signer *signer, const struct bh_vault *vault)
{
    (void)pthread_mutex_lock(&signer->lock);
    signer->vault = *vault;
    signer->vault_version++;
    (void)pthread_cond_broadcast(&signer->work); /* nobody keeps the one before for longer than the job in hand */
    (void)pthread_mutex_unlock(&signer->lock);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct bh_signer *signer = worker->signer;

    for (;;) {
        struct bh_job *jobs;

        (void)pthread_mutex_lock(&signer->lock);
        signer->idle++;
        while (!signer->waiting && !signer->ending) {
            (void)pthread_cond_wait(&signer->work, &signer->lock);
            look_at_vault(worker);
        }
        look_at_vault(worker);
        signer->idle--;
        jobs = signer->ending ? NULL : take_share(signer);
        (void)pthread_mutex_unlock(&signer->lock);
        if (!jobs)
            return NULL;
        for (struct bh_job *job = jobs; job; job = job->next)
            do_job(worker, job);
        give_back(worker, jobs);
    }
}

void bh_signer_submit(struct bh_signer *signer, struct bh_job *jobs, size_t count)
{
    struct bh_job **end = &jobs;
    bool all;

    if (!count)
        return;
    while (*end)
        end = &(*end)->next;
    (void)pthread_mutex_lock(&signer->lock);
    *signer->waiting_end = jobs;
    signer->waiting_end = end;
    signer->waiting_count += count;
    all = signer->waiting_count > 1;
    if (signer->idle && all)
        (void)pthread_cond_broadcast(&signer->work);
    else if (signer->idle)
        (void)pthread_cond_signal(&signer->work);
    (void)pthread_mutex_unlock(&signer->lock);
}

struct bh_job *bh_signer_finished(struct bh_signer *signer)
{
    struct bh_job *jobs;

    (void)pthread_mutex_lock(&signer->lock);
    jobs = signer->finished;
    signer->finished = NULL;
    signer->finished_end = &signer->finished;
    (void)pthread_mutex_unlock(&signer->lock);
    return jobs;
}

/* ---- making and ending ---- */

static bool start_worker(struct bh_signer *signer, struct worker *worker)
{
    uint64_t seed[2];

    bh_random_fill(&bh_random_os, seed, sizeof(seed));
    worker->signer = signer;
    bh_map_init(&worker->keys, seed);
    bh_list_init(&worker->by_use);
    worker->started = pthread_create(&worker->thread, NULL, work, worker) == 0;
    return worker->started;
}

struct bh_signer *bh_signer_new(const struct bh_vault *vault, unsigned threads, size_t keys_per_thread, int wake_fd)
{
    struct bh_signer *signer = calloc(1, sizeof(*signer) + threads * sizeof(struct worker));
    bool ok = signer != NULL;

    if (!ok)
        return NULL;
    signer->vault = *vault;
    (void)sodium_mlock(&signer->vault, sizeof(signer->vault));
    signer->vault_version = 1;
    signer->wake_fd = wake_fd;
    signer->keys_per_thread = keys_per_thread;
    signer->waiting_end = &signer->waiting;
    signer->finished_end = &signer->finished;
    (void)pthread_mutex_init(&signer->lock, NULL);
    (void)pthread_cond_init(&signer->work, NULL);
    signer->count = threads;
    for (unsigned i = 0; i < threads && ok; i++)
        ok = start_worker(signer, &signer->workers[i]);
    if (!ok) {
        bh_signer_free(signer);
        return NULL;
    }
    return signer;
}

static void free_jobs(struct bh_job *jobs)
{
    while (jobs) {
        struct bh_job *next = jobs->next;

        bh_job_free(jobs);
        jobs = next;
    }
}

void bh_signer_free(struct bh_signer *signer)
{
    if (!signer)
        return;
    (void)pthread_mutex_lock(&signer->lock);
    signer->ending = true;
    (void)pthread_cond_broadcast(&signer->work);
    (void)pthread_mutex_unlock(&signer->lock);
    for (unsigned i = 0; i < signer->count; i++) {
        struct worker *worker = &signer->workers[i];

        if (!worker->started)
            continue;
        (void)pthread_join(worker->thread, NULL);
        while (!bh_list_empty(&worker->by_use))
            forget(worker, BH_CONTAINER_OF(bh_list_first(&worker->by_use), struct cached_key, used));
        bh_map_free(&worker->keys);
    }
    free_jobs(signer->waiting);
    free_jobs(signer->finished);
    (void)pthread_cond_destroy(&signer->work);
    (void)pthread_mutex_destroy(&signer->lock);
    bh_wipe(signer, sizeof(*signer) + signer->count * sizeof(struct worker));
    free(signer);
}
