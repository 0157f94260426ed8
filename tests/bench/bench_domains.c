/* bench_domains.c: a million sending domains in one store.
 *
 *     bench_domains [DOMAINS [LOOKUPS]]
 *
 * prints what a look-up at submission and one at departure cost, what finding the domains that are due costs, what a
 * whole check costs (its answers simulated), how many questions it asks, and, on a virtual clock, how evenly the checks
 * of all domains lie over the hours when all were added in one moment: that evenness is judged, times are printed. */
#include "base/clock.h"
#include "base/heap.h"
#include "domain/approach.h"
#include "roles/controld/core.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PER_CUSTOMER = 100, DAYS = 3, HOUR_MS = 3600 * 1000, LOOKUP_LIMIT_US = 50 };

struct bench {
    struct bh_controld core;
    struct bh_psl *psl;
    struct bh_random_seeded random;
    bh_time_ms now;
    size_t questions, checks;
};

/* ---- the other roles ---- */

static bh_err ask_dns(void *ctx, const struct bh_msg_dns_ask *ask, bh_dns_asked *done, void *done_ctx)
{
    struct bench *b = ctx;
    struct bh_buf views = bh_buf_make(1 << 16);

    b->questions++;
    bh_rec_dns_server_view_put(&views, &(struct bh_rec_dns_server_view){.server = BH_STR("ns 192.0.2.1"),
                                                                        .status = BH_DNS_NODATA,
                                                                        .zone = bh_domain_registrable(ask->name)});
    done(done_ctx, BH_OK, &(struct bh_msg_dns_ask_reply){bh_buf_view(&views)});
    bh_buf_free(&views);
    return BH_OK;
}

static bh_err make_no_key(void *ctx, const struct bh_key_order *order, bh_key_done *done, void *done_ctx)
{
    (void)ctx, (void)order, (void)done, (void)done_ctx;
    return BH_E_CLOSED;
}

static void take_zone(void *ctx, const struct bh_zone *zone)
{
    (void)ctx, (void)zone;
}

static void take_name(void *ctx, bh_str name)
{
    (void)ctx, (void)name;
}

static void take_commit(void *ctx, uint64_t version, bool whole, uint32_t serial)
{
    (void)ctx, (void)version, (void)whole, (void)serial;
}

static void take_version(void *ctx, uint64_t version)
{
    (void)ctx, (void)version;
}

static void take_wake(void *ctx, int64_t in_ms)
{
    (void)ctx, (void)in_ms;
}

static void take_settle(void *ctx)
{
    (void)ctx;
}

static void take_log(void *ctx, enum bh_log_level level, const char *text, bh_str subject)
{
    (void)ctx;
    if (level >= BH_LOG_ERROR)
        (void)fprintf(stderr, "%s: %.*s\n", text, BH_FMT(subject));
}

static bh_time_ms read_clock(void *ctx)
{
    return ((struct bench *)ctx)->now;
}

static const struct bh_controld_out orders = {.make_key = make_no_key,
                                              .ask_dns = ask_dns,
                                              .zone = take_zone,
                                              .zone_remove = take_name,
                                              .zones_commit = take_commit,
                                              .version = take_version,
                                              .wake = take_wake,
                                              .settle = take_settle,
                                              .log = take_log};

/* ---- the store ---- */

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void must(bh_err err, const char *what)
{
    if (!err)
        return;
    (void)fprintf(stderr, "%s: %s\n", what, bh_err_text(err));
    exit(1);
}

static void run(struct bench *b, const char *sql, int64_t domains)
{
    struct bh_result result;
    struct bh_query *query = malloc(sizeof(*query)); /* stays: statements are kept by its address */
    struct bh_value args[] = {BH_INT(domains), BH_INT(PER_CUSTOMER)};
    bh_err err;

    if (!query)
        exit(1);
    query->sql = sql;
    err = bh_store_run(b->core.store,
                       &(struct bh_request){.query = query, .args = args, .arg_count = strstr(sql, "$2") ? 2 : 1},
                       &result);

    if (err)
        (void)fprintf(stderr, "%s\n", bh_store_error(b->core.store));
    must(err, sql);
}

#define NUMBERS "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < $1) "

/* All verified, by CNAMEs, as `domain add` and a check leave them. */
static void fill(struct bench *b, int64_t domains)
{
    bh_store_begin(b->core.store);
    run(b, NUMBERS "INSERT INTO customer(id, name, created_at) SELECT 1000 + n, 'customer-' || n, 0 FROM c",
        domains / PER_CUSTOMER + 1);
    run(b,
        NUMBERS
        "INSERT INTO domain(id, customer, name, approach, token, shard, label_bounce, label_link, label_img,"
        " label_selector, bounces, state, aligned, zone_apex, dmarc_policy, holds_zone, created_at, state_at,"
        " checked_at, lost_at, check_at, tries, report)"
        " SELECT 1000 + n, 1001 + n / $2, 'd' || n || '.example', 2, printf('%026d', n), char(97 + n % 26, 97 + n % "
        "20),"
        " 'bounce', 'link', 'img', 'bh', 0, 2, 3, 'd' || n || '.example', '', 0, 0, 0, 0, 0, 3600000 + n * 40, 0,"
        " x'7b7d' FROM c",
        domains);
    run(b, NUMBERS "INSERT INTO from_domain(name, domain, below) SELECT 'd' || n || '.example', 1000 + n, 1 FROM c",
        domains);
    run(b, NUMBERS "INSERT INTO bounce_domain(name, domain) SELECT 'bounce.d' || n || '.example', 1000 + n FROM c",
        domains);
    run(b,
        NUMBERS "INSERT INTO domain_policy(domain, at, record) SELECT 1000 + n, 'd' || n || '.example',"
                " 'v=DMARC1; p=reject; rua=mailto:a@b.example' FROM c",
        domains);
    run(b,
        NUMBERS
        "INSERT INTO dkim_key(domain, selector, kind, state, imported, public_b64, sealed, created_at, state_at)"
        " SELECT 1000 + n, 'bh1', 1, 2, 0, hex(zeroblob(196)), zeroblob(1300), 0, 0 FROM c",
        domains);
    must(bh_store_commit_wait(b->core.store), "filling the store");
}

static void open_bench(struct bench *b, const char *path, int64_t domains)
{
    static const bh_str addresses[] = {{"192.0.2.25", 10}};
    static const struct bh_platform_ns ns[] = {{{"ns1", 3}, addresses, 1}, {{"ns2", 3}, addresses, 1}};
    struct bh_store_options options = {.path = path, .schema = &bh_control_schema, .owner = "bench"};
    struct bh_store_problem problem = {{0}};
    struct bh_migration migration;

    bh_random_seeded_init(&b->random, 1);
    must(bh_store_migrate(&options, &problem, &migration), problem.text);
    must(bh_store_open(&options, &problem, &b->core.store), problem.text);
    must(bh_psl_new(NULL, &b->psl), "the public suffix list");
    fill(b, domains);
    b->core.random = &b->random.base;
    b->core.suffixes = bh_psl_base(b->psl);
    b->core.out = &orders;
    b->core.out_ctx = b;
    b->core.clock = read_clock;
    b->core.platform = (struct bh_platform){.domain = BH_STR("on.esp.example"),
                                            .ns = ns,
                                            .ns_count = 2,
                                            .inbound_host = BH_STR("in1.on.esp.example"),
                                            .inbound_addresses = addresses,
                                            .inbound_address_count = 1,
                                            .egress = addresses,
                                            .egress_count = 1,
                                            .helo = BH_STR("mta1.on.esp.example"),
                                            .dmarc_policy = BH_STR("none"),
                                            .ttl_s = 300};
    must(bh_controld_start(&b->core), "starting");
}

/* ---- look-ups ---- */

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double show(const char *what, double *us, size_t count)
{
    double sum = 0;

    qsort(us, count, sizeof(*us), by_number);
    for (size_t i = 0; i < count; i++)
        sum += us[i];
    (void)printf("%-28s mean %6.1f us   median %6.1f   p99 %6.1f\n", what, sum / (double)count, us[count / 2],
                 us[count * 99 / 100]);
    return us[count / 2];
}

static double measure_lookups(struct bench *b, int64_t domains, size_t lookups, bool departure)
{
    struct bh_arena *arena = bh_arena_new(4 << 20);
    double *us = calloc(lookups, sizeof(*us)), median;

    for (size_t i = 0; us && i < lookups; i++) {
        int64_t n = 1 + (int64_t)bh_random_below(b->core.random, (uint64_t)domains);
        bh_str name = bh_arena_printf(arena, "d%lld.example", (long long)n);
        uint32_t customer = (uint32_t)(1001 + n / PER_CUSTOMER);
        double start = seconds();

        if (departure) {
            struct bh_msg_identity_reply reply;

            bh_lookup_identity(&b->core, arena, &(struct bh_msg_identity){customer, 0, BH_STR("a@x"), name}, &reply);
            must(reply.allowed ? BH_OK : BH_E_DENIED, "a look-up at departure");
        } else {
            struct bh_msg_may_send_reply reply;

            bh_lookup_may_send(&b->core, arena, &(struct bh_msg_may_send){customer, BH_STR("a@x"), name}, &reply);
            must(reply.allowed ? BH_OK : BH_E_DENIED, "a look-up at submission");
        }
        us[i] = (seconds() - start) * 1e6;
        bh_arena_reset(arena);
    }
    median = show(departure ? "look-up at departure" : "look-up at submission", us, lookups);
    free(us);
    bh_arena_free(arena);
    return median;
}

/* ---- checks ---- */

static void count_check(void *ctx, bh_err err)
{
    must(err, "a check");
    ((struct bench *)ctx)->checks++;
}

static void measure_checks(struct bench *b, int64_t domains)
{
    enum { CHECKS = 500, DUE_LOOKS = 200 };
    double start = seconds();
    bh_time_ms at = 0;

    for (int i = 0; i < DUE_LOOKS; i++)
        must(bh_domain_next_due(b->core.store, &at), "the next one due");
    (void)printf("when is the next one due       %6.1f us\n", (seconds() - start) * 1e6 / DUE_LOOKS);
    start = seconds();
    for (int i = 0; i < CHECKS; i++)
        must(bh_check_domain(&b->core, 1001 + (int64_t)bh_random_below(b->core.random, (uint64_t)domains), count_check,
                             b),
             "a check");
    (void)printf("a whole check                  %6.1f us, %.1f questions\n", (seconds() - start) * 1e6 / CHECKS,
                 (double)b->questions / CHECKS);
}

/* ---- the pace, on a virtual clock ---- */

struct planned {
    struct bh_heap_node node;
    uint32_t tries;
};

/* All are added in the same moment, and verified by their third check. */
static bool measure_pace(struct bench *b, int64_t domains)
{
    const struct bh_check_policy policy = {
        .grace_ms = 72LL * HOUR_MS, .loss_ms = HOUR_MS, .unanimous_loss_ms = HOUR_MS / 12};
    struct planned *all = calloc((size_t)domains, sizeof(*all));
    size_t hours[DAYS * 24] = {0}, least = SIZE_MAX, most = 0;
    struct bh_heap heap = {0};

    if (!all)
        return false;
    for (int64_t i = 0; i < domains; i++)
        must(bh_heap_add(&heap, &all[i].node, 0), "the heap");
    for (struct bh_heap_node *node; (node = bh_heap_first(&heap)) && node->key < DAYS * 24LL * HOUR_MS;) {
        struct planned *planned = BH_CONTAINER_OF(node, struct planned, node);
        bool is_verified = planned->tries >= 2;
        struct bh_domain_standing standing = {.state = is_verified ? BH_DOMAIN_VERIFIED : BH_DOMAIN_PENDING};
        bh_time_ms at = node->key;

        hours[at / HOUR_MS]++;
        bh_heap_change(&heap, node,
                       at + bh_check_again_in(&standing, &policy, is_verified ? planned->tries - 2 : planned->tries,
                                              false, bh_random_below(b->core.random, 1 << 16)));
        planned->tries++;
    }
    for (size_t i = 24; i < DAYS * 24; i++) {
        least = hours[i] < least ? hours[i] : least;
        most = hours[i] > most ? hours[i] : most;
    }
    (void)printf("checks per hour: first hour %zu; after a day between %zu and %zu, %.1f a second\n", hours[0], least,
                 most, (double)most / 3600);
    bh_heap_free(&heap);
    free(all);
    return (double)most <= 1.5 * (double)least;
}

int main(int argc, char **argv)
{
    static struct bench b;
    int64_t domains = argc > 1 ? strtoll(argv[1], NULL, 10) : 1000000;
    size_t lookups = argc > 2 ? strtoul(argv[2], NULL, 10) : 20000;
    char dir[] = "/var/tmp/bench-domains.XXXXXX", path[64], owner[80];
    double start = seconds(), median;
    bool even;

    if (domains < PER_CUSTOMER || lookups < 100 || !mkdtemp(dir))
        return 1;
    (void)snprintf(path, sizeof(path), "%s/control.db", dir);
    open_bench(&b, path, domains);
    (void)printf("%lld domains in the store after %.0f s; memory %.1f MiB\n", (long long)domains, seconds() - start,
                 (double)mallinfo2().uordblks / (1 << 20));
    median = measure_lookups(&b, domains, lookups, false);
    (void)measure_lookups(&b, domains, lookups, true);
    measure_checks(&b, domains);
    even = measure_pace(&b, domains);
    (void)printf("memory at the end %.1f MiB\n", (double)mallinfo2().uordblks / (1 << 20));
    bh_controld_stop(&b.core);
    bh_store_close(b.core.store);
    bh_psl_free(b.psl);
    for (size_t i = 0; i < 4; i++) {
        static const char *const ends[] = {"", "-wal", "-shm", ".owner"};

        (void)snprintf(owner, sizeof(owner), "%s%s", path, ends[i]);
        (void)unlink(owner);
    }
    (void)rmdir(dir);
    (void)printf("half of the look-ups at submission took less than %.1f us; the aim is %d\n", median, LOOKUP_LIMIT_US);
    (void)printf("domains: %d passed, %d failed, 0 skipped\n", even, !even);
    return !even;
}
