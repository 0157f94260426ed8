/* bench_store.c: the whole life of a message in queued, without sockets: submit, commit, give out, result, commit.
 *
 *     bench_store [DIRECTORY [MESSAGES [BYTES [QUEUED]]]]
 *
 * prints, for groups of 1, 8 and 32 submits per turn, messages a second and CPU a message. The directory should be on
 * a real disk (its file system is printed): each commit waits for it. With QUEUED, that many messages (of 1 KiB) are
 * then put into a spool that nobody empties, and the time and memory of starting on it are printed. */
#include "base/clock.h"
#include "base/random.h"
#include "roles/queued/engine.h"
#include "store/store.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { SLOTS = 64 };

struct bench {
    struct bh_store *store;
    struct bh_queued *engine;
    struct bh_worker *worker;
    bool wants_turn;
    uint64_t token;
    size_t replies, acks;
    struct bh_msg_result held[SLOTS];
    size_t held_count;
};

static void submit_reply(void *ctx, const struct bh_requester *to, const struct bh_msg_submit_reply *reply)
{
    (void)to;
    ((struct bench *)ctx)->replies += reply->ok;
}

static void command_reply(void *ctx, const struct bh_requester *to, bh_str json)
{
    (void)ctx;
    (void)to;
    (void)json;
}

static bh_err deliver(void *ctx, void *peer, const struct bh_msg_deliver *d, int body_fd)
{
    struct bench *b = ctx;

    (void)peer;
    (void)body_fd;
    b->held[b->held_count++] =
        (struct bh_msg_result){.delivery_id = d->delivery_id,
                               .message_id = d->message_id,
                               .recipient_index = d->recipient_index,
                               .verdict = BH_DELIVERED,
                               .code = 250,
                               .text = BH_STR("2.0.0 Ok: queued as 4Zxyz"),
                               .phase = BH_STR("body"),
                               .remote = BH_STR("mx.example.net [192.0.2.1]:25"),
                               .tls = BH_STR("TLSv1.3 TLS_AES_256_GCM_SHA384"),
                               .signed_by = BH_STR("bh1._domainkey.customer.example"),
                               .mail_from = BH_STR("abcdefghijklmnopqrstuvwxyz@bounce.customer.example"),
                               .took_ms = 12};
    return BH_OK;
}

static bh_err result_ack(void *ctx, void *peer, bh_str deliveries)
{
    struct bh_cur list = bh_cur_make(deliveries);
    struct bh_rec_delivery_ref ref;

    (void)peer;
    while (bh_rec_delivery_ref_next(&list, &ref) == BH_MORE)
        ((struct bench *)ctx)->acks++;
    return BH_OK;
}

static bh_err ask_identity(void *ctx, const struct bh_msg_identity *question, uint64_t token)
{
    (void)question;
    ((struct bench *)ctx)->token = token;
    return BH_OK;
}

static void put_grant(void *ctx, struct bh_buf *out, uint64_t delivery_id, uint32_t customer_id,
                      const struct bh_rec_sealed_key *key, bh_time_ms now)
{
    (void)ctx;
    (void)customer_id;
    (void)key;
    (void)now;
    bh_buf_u64(out, delivery_id);
}

static void want_turn(void *ctx)
{
    ((struct bench *)ctx)->wants_turn = true;
}

static void wake_at(void *ctx, bh_time_ms at)
{
    (void)ctx;
    (void)at;
}

static bh_time_ms now(void *ctx)
{
    (void)ctx;
    return bh_clock_now();
}

static const struct bh_queued_ops ops = {.submit_reply = submit_reply,
                                         .command_reply = command_reply,
                                         .deliver = deliver,
                                         .result_ack = result_ack,
                                         .ask_identity = ask_identity,
                                         .put_grant = put_grant,
                                         .want_turn = want_turn,
                                         .wake_at = wake_at,
                                         .now = now};

static void must(bh_err err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "%s: %s\n", what, bh_err_text(err));
    exit(1);
}

static double cpu_seconds(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void open_bench(struct bench *b, const char *dir, const struct bh_log *log)
{
    char db[4096], bodies[4096];
    struct bh_store_options store = {.path = db, .schema = &bh_spool_schema, .owner = "bench"};
    struct bh_queued_options options = {.ops = &ops,
                                        .ctx = b,
                                        .random = &bh_random_os,
                                        .log = log,
                                        .seed = {1, 2},
                                        .message_size_max = 1 << 20,
                                        .body_dir = bodies};
    struct bh_store_problem problem = {""};
    struct bh_migration migration;

    *b = (struct bench){0};
    (void)snprintf(db, sizeof(db), "%s/spool.db", dir);
    (void)snprintf(bodies, sizeof(bodies), "%s/body", dir);
    must(bh_store_migrate(&store, &problem, &migration), problem.text);
    must(bh_store_open(&store, &problem, &b->store), problem.text);
    options.store = b->store;
    must(bh_queued_new(&options, &problem, &b->engine), problem.text);
    must(bh_queued_worker_up(b->engine, b, BH_TO_WORLD, &b->worker), "worker");
    must(bh_queued_in_flight(b->engine, b->worker, bh_str_of(NULL, 0)), "worker");
    bh_queued_slots(b->engine, b->worker, SLOTS);
    bh_queued_gate(b->engine, true);
}

static void submit(struct bench *b, uint32_t number, char *body, size_t size, bh_str recipients)
{
    struct bh_requester from = {b, 1, number};
    struct bh_msg_submit message = {.customer_id = 7,
                                    .domain_id = 3,
                                    .header_from = BH_STR("ann@customer.example"),
                                    .from_domain = BH_STR("customer.example"),
                                    .mail_from = BH_STR("ann@customer.example"),
                                    .client = BH_STR("192.0.2.9"),
                                    .helo = BH_STR("app.customer.example"),
                                    .protocol = BH_STR("ESMTPSA"),
                                    .recipients = recipients,
                                    .size = size,
                                    .body = {body, size}};

    memcpy(body, &number, sizeof(number)); /* no two bodies are the same */
    bh_queued_submit(b->engine, &from, &message);
}

static void answer_all(struct bench *b)
{
    size_t count = b->held_count;
    struct bh_msg_result held[SLOTS];

    memcpy(held, b->held, count * sizeof(*held));
    b->held_count = 0;
    for (size_t i = 0; i < count; i++)
        must(bh_queued_result(b->engine, b->worker, &held[i]), "result");
    if (count)
        bh_queued_slots(b->engine, b->worker, (uint32_t)count);
}

static void turn(struct bench *b)
{
    struct bh_msg_identity_reply identity = {.allowed = 1, .bounce_domain = BH_STR("bounce.customer.example")};

    b->wants_turn = false;
    bh_queued_turn(b->engine);
    if (b->token) {
        bh_queued_identity(b->engine, b->token, &identity);
        b->token = 0;
    }
}

static void run(const char *dir, size_t messages, size_t size, size_t group)
{
    struct bench b;
    struct bh_log log = {2, BH_LOG_WARN, "bench", false};
    struct bh_buf recipients = bh_buf_make(1000);
    char *body = malloc(size);
    double cpu, wall;
    bh_time_ms began;
    struct bh_queued_stats stats;

    open_bench(&b, dir, &log);
    bh_random_fill(&bh_random_os, body, size);
    bh_rec_recipient_put(&recipients, &(struct bh_rec_recipient){.address = BH_STR("someone@receiver.example")});
    began = bh_clock_monotonic();
    cpu = cpu_seconds();
    for (size_t done = 0; done < messages;) {
        for (size_t i = 0; i < group && done < messages; i++, done++)
            submit(&b, (uint32_t)done, body, size, bh_buf_view(&recipients));
        answer_all(&b);
        turn(&b);
    }
    while (b.acks < messages) {
        answer_all(&b);
        turn(&b);
    }
    cpu = cpu_seconds() - cpu;
    wall = (double)(bh_clock_monotonic() - began) / 1000;
    bh_queued_stats(b.engine, &stats);
    printf("%8zu %12.0f %12.1f %12.1f %10.1f\n", group, (double)messages / wall, cpu * 1e6 / (double)messages,
           wall * 1e6 / (double)messages, (double)messages / (double)stats.commits);
    bh_queued_free(b.engine);
    bh_store_close(b.store);
    bh_buf_free(&recipients);
    free(body);
}

static long resident_kib(void)
{
    char line[200];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");

    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, "VmRSS:", 6))
            kib = strtol(line + 6, NULL, 10);
    if (file)
        (void)fclose(file);
    return kib;
}

/* A spool full of messages to 10,000 domains, then a start on it. */
static void run_start(const char *dir, size_t messages)
{
    struct bench b;
    struct bh_log log = {2, BH_LOG_WARN, "bench", false};
    char body[1024], address[60];
    bh_time_ms began;
    struct bh_queue_counts counts;
    long before;

    open_bench(&b, dir, &log);
    bh_queued_gate(b.engine, false);
    bh_random_fill(&bh_random_os, body, sizeof(body));
    for (size_t i = 0; i < messages; i++) {
        struct bh_buf recipients = bh_buf_make(1000);

        (void)snprintf(address, sizeof(address), "someone%zu@domain%zu.example", i, i % 10000);
        bh_rec_recipient_put(&recipients, &(struct bh_rec_recipient){.address = bh_str_c(address)});
        submit(&b, (uint32_t)i, body, sizeof(body), bh_buf_view(&recipients));
        bh_buf_free(&recipients);
        if (i % 500 == 499 || i + 1 == messages)
            turn(&b);
    }
    bh_queued_free(b.engine);
    bh_store_close(b.store);
    (void)malloc_trim(0);
    before = resident_kib();
    began = bh_clock_monotonic();
    open_bench(&b, dir, &log);
    bh_queued_counts(b.engine, &counts);
    printf("start with %zu recipients: %.1f s, %.0f bytes each in the schedule, %ld MiB in all\n", counts.items,
           (double)(bh_clock_monotonic() - began) / 1000, (double)counts.bytes / (double)counts.items,
           (resident_kib() - before) / 1024);
    bh_queued_free(b.engine);
    bh_store_close(b.store);
}

static const char *file_system(const char *dir)
{
    struct statfs fs;

    if (statfs(dir, &fs) != 0)
        return "?";
    switch ((unsigned long)fs.f_type) {
    case 0xef53:
        return "ext4";
    case 0x58465342:
        return "xfs";
    case 0x9123683e:
        return "btrfs";
    case 0x01021994:
        return "tmpfs: no disk";
    case 0x794c7630:
        return "overlayfs";
    default:
        return "unknown";
    }
}

static void remove_files(const char *dir)
{
    static const char *const names[] = {"spool.db", "spool.db-wal", "spool.db-shm", "spool.db.owner"};
    char path[4096];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof(path), "%s/body", dir);
    (void)rmdir(path);
}

static size_t number(const char *text, size_t otherwise)
{
    uint64_t n = otherwise;

    if (text && bh_str_to_u64(bh_str_c(text), 100000000, &n) != BH_OK)
        return otherwise;
    return (size_t)n;
}

int main(int argc, char **argv)
{
    static const size_t groups[] = {1, 8, 32};
    const char *parent = argc > 1 ? argv[1] : "/var/tmp";
    size_t messages = number(argc > 2 ? argv[2] : NULL, 20000), size = number(argc > 3 ? argv[3] : NULL, 10240);
    char dir[3000];

    if (size < 4 || size > BH_INLINE_BODY_MAX) {
        fprintf(stderr, "bench_store: 4 to 65536 bytes\n");
        return 1;
    }
    (void)snprintf(dir, sizeof(dir), "%s/bench_store_XXXXXX", parent);
    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    printf("%zu messages of %zu bytes in %s (%s)\n", messages, size, parent, file_system(dir));
    printf("%8s %12s %12s %12s %10s\n", "group", "messages/s", "CPU us", "wall us", "a commit");
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        run(dir, messages / (groups[i] == 1 ? 4 : 1), size, groups[i]);
        remove_files(dir);
    }
    if (argc > 4) {
        run_start(dir, number(argv[4], 1000000));
        remove_files(dir);
    }
    (void)rmdir(dir);
    return 0;
}
