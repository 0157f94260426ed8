/* bench_keyd: keyd's signing workers with the keys of many domains, most of them cold.
 *
 *   bench_keyd [DOMAINS [CACHE [SIGNATURES [THREADS]]]]      default 1000000 4096 40000 2
 *
 * Each domain has a sealed object of its own, so each costs what a key of its own costs: look-up, opening the box,
 * parsing. (The private keys in the boxes are 64 different ones; making a million would take a day and change nothing
 * that is measured.) Domains send by Zipf's law: the k-th sends 1/k of what the first does. A table of objects stands
 * for control.db. Printed: memory per opened key that has signed, signatures per second, hit rate of the cache. */
#include "roles/grant.h"
#include "roles/keyd/signer.h"
#include <malloc.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { REAL_KEYS = 64, IN_HAND = 64 };

struct bench {
    struct bh_vault vault;
    struct bh_buf ders[REAL_KEYS];
    size_t domains, cache, signatures, threads;
    struct bh_signer *signer;
    int wake_fd;
    size_t refused;
};

static double now_s(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double resident_mib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    char line[200] = "";
    char *end = line;

    if (f && fgets(line, sizeof(line), f))
        (void)strtol(line, &end, 10);
    if (f)
        (void)fclose(f);
    return (double)strtol(end, NULL, 10) * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static bool make_ders(struct bench *b)
{
    for (size_t i = 0; i < REAL_KEYS; i++) {
        struct bh_dkim_key *key;
        uint8_t der[4096];
        size_t n;

        b->ders[i] = bh_buf_make(4096);
        if (bh_dkim_key_generate(BH_DKIM_KEY_RSA, 2048, &key) || bh_dkim_key_to_der(key, der, sizeof(der), &n))
            return false;
        bh_buf_add(&b->ders[i], bh_str_of((const char *)der, n));
        bh_dkim_key_free(key);
    }
    return true;
}

/* The sealed object of a domain; equal for the same domain, as a row of control.db is. */
static struct bh_job *job_for(struct bench *b, size_t domain)
{
    char name[64];
    struct bh_buf associated = bh_buf_make(1024), sealed = bh_buf_make(8192);
    struct bh_job *job;

    (void)snprintf(name, sizeof(name), "d%zu.example", domain);
    bh_grant_associated_data(&associated, BH_GRANT_DKIM, 1, bh_str_c(name), BH_STR("bh1"), domain);
    bh_vault_seal(&b->vault, bh_buf_view(&b->ders[domain % REAL_KEYS]), bh_buf_view(&associated), &sealed);
    job = bh_job_new(BH_JOB_SIGN, bh_buf_view(&associated), bh_buf_view(&sealed));
    bh_buf_free(&associated);
    bh_buf_free(&sealed);
    return job;
}

/* Objects as control.db would hold them, made when a domain is first asked for. */
static struct bh_job *stored(struct bench *b, struct bh_job **table, size_t domain)
{
    struct bh_job *copy;

    if (!table[domain])
        table[domain] = job_for(b, domain);
    if (!table[domain])
        return NULL;
    copy = bh_job_new(BH_JOB_SIGN, bh_str_of(table[domain]->bytes, table[domain]->associated_bytes),
                      bh_str_of(table[domain]->bytes + table[domain]->associated_bytes, table[domain]->object_bytes));
    if (copy)
        randombytes_buf(copy->digest, sizeof(copy->digest));
    return copy;
}

/* Zipf with exponent 1 by inversion of the harmonic sum's logarithm. */
static size_t pick(const struct bench *b)
{
    double u = ((double)randombytes_random() + 0.5) / 4294967296.0;
    double k = exp(u * log((double)b->domains));

    return k >= (double)b->domains ? b->domains - 1 : (size_t)k - 1;
}

static size_t collect(struct bench *b)
{
    uint64_t counter;
    size_t n = 0;

    (void)!read(b->wake_fd, &counter, sizeof(counter));
    for (struct bh_job *job = bh_signer_finished(b->signer), *next; job; job = next, n++) {
        next = job->next;
        b->refused += job->refused != 0;
        bh_job_free(job);
    }
    return n;
}

static double sign_all(struct bench *b, struct bh_job **table, bool uniform)
{
    size_t sent = 0, done = 0;
    double from = now_s();

    while (done < b->signatures) {
        for (; sent < b->signatures && sent - done < IN_HAND; sent++) {
            struct bh_job *job = stored(b, table, uniform ? randombytes_uniform((uint32_t)b->domains) : pick(b));

            if (!job)
                abort();
            bh_signer_submit(b->signer, job, 1);
        }
        done += collect(b);
    }
    return now_s() - from;
}

static void run(struct bench *b, struct bh_job **table, const char *what, bool uniform)
{
    struct bh_signer_counts before, after;
    double rss = resident_mib(), took;

    bh_signer_count(b->signer, &before);
    took = sign_all(b, table, uniform);
    bh_signer_count(b->signer, &after);
    printf("%-28s %7.0f signatures/s, hit rate %5.1f %%, opened keys %zu, resident %.0f -> %.0f MiB (table included)\n",
           what, (double)b->signatures / took,
           100.0 * (double)(after.hits - before.hits) /
               (double)(after.hits - before.hits + after.misses - before.misses),
           after.opened, rss, resident_mib());
}

/* What a key costs once it has signed: OpenSSL keeps more for it than its numbers. */
static void measure_memory(struct bench *b, struct bh_job **table)
{
    struct bh_signer_counts counts;
    size_t count = b->cache < b->domains ? b->cache : b->domains, before, after;
    double rss;

    for (size_t i = 0; i < count; i++)
        bh_job_free(stored(b, table, i));
    before = mallinfo2().uordblks;
    rss = resident_mib();
    for (size_t sent = 0, done = 0; done < count; done += collect(b))
        for (; sent < count && sent - done < IN_HAND; sent++)
            bh_signer_submit(b->signer, stored(b, table, sent), 1);
    after = mallinfo2().uordblks;
    bh_signer_count(b->signer, &counts);
    printf("memory: %zu keys opened, %.1f KiB each as allocated, %.1f KiB each resident\n", counts.opened,
           (double)(after - before) / 1024 / (double)counts.opened,
           (resident_mib() - rss) * 1024 / (double)counts.opened);
}

int main(int argc, char **argv)
{
    static const char secret[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    size_t numbers[4] = {1000000, 4096, 40000, 2};
    struct bench b = {.refused = 0};
    struct bh_job **table;
    int pipes[2];

    for (int i = 1; i < argc && i < 5; i++)
        numbers[i - 1] = strtoul(argv[i], NULL, 10);
    b.domains = numbers[0], b.cache = numbers[1], b.signatures = numbers[2], b.threads = numbers[3];
    b.wake_fd = eventfd(0, EFD_CLOEXEC);
    table = calloc(b.domains, sizeof(struct bh_job *));
    if (!table || sodium_init() < 0 || pipe(pipes) || write(pipes[1], secret, sizeof(secret) - 1) < 0 ||
        bh_vault_open(&b.vault, pipes[0]) || !make_ders(&b))
        return 1;
    b.signer = bh_signer_new(&b.vault, (unsigned)b.threads, b.cache, b.wake_fd);
    if (!b.signer)
        return 1;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%zu domains, %zu threads, cache of %zu keys each\n", b.domains, b.threads, b.cache);
    measure_memory(&b, table);
    run(&b, table, "every domain as often, cold", true);
    run(&b, table, "by Zipf's law, cold", false);
    run(&b, table, "by Zipf's law, warm", false);
    printf("refused: %zu\n", b.refused);
    bh_signer_free(b.signer);
    for (size_t i = 0; i < b.domains; i++)
        if (table[i])
            bh_job_free(table[i]);
    free(table);
    return b.refused != 0;
}
