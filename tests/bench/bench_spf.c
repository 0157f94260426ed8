/* bench_spf.c: `bench_spf`: SPF checks per second from answers in memory, ours and libspf2's side by side on the same
 * records and clients, in several rounds that take turns; and the peak memory of 10,000 checks at once whose answers
 * take 200 ms each. Exits 1 when ours is slower, when the two disagree, or when more than 64 MiB are needed. */
#include "base/clock.h"
#include "base/str.h"
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <behalf/spf.h>
#include <behalf/zonefile_resolver.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* libspf2's header is an oracle's: it is not written for our warnings */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wundef"
#include <spf2/spf.h>
#include <spf2/spf_dns_zone.h>
#pragma GCC diagnostic pop

enum { ROUNDS = 5, ROUND_MS = 300, CONCURRENT = 10000, ANSWER_MS = 200, LIMIT_KIB = 64 * 1024 };

static const struct {
    const char *name;
    int type;
    const char *data;
} zone[] = {
    {"direct.example", ns_t_txt, "v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.0/24 ip4:192.0.2.0/24 -all"},
    {"include.example", ns_t_txt, "v=spf1 include:_spf1.example include:_spf2.example -all"},
    {"_spf1.example", ns_t_txt, "v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.0/25 ~all"},
    {"_spf2.example", ns_t_txt, "v=spf1 ip4:203.0.113.128/25 ip4:192.0.2.0/28 a:a.example ~all"},
    {"a.example", ns_t_a, "192.0.2.77"},
    {"macro.example", ns_t_txt, "v=spf1 exists:%{ir}.%{l}._spf.%{d} mx -all"},
    {"77.2.0.192.user._spf.macro.example", ns_t_a, "127.0.0.2"},
    {"fail.example", ns_t_txt, "v=spf1 mx a:a.example/30 ip6:2001:db8::/32 -all"},
    {"fail.example", ns_t_mx, "mx.example"},
    {"mx.example", ns_t_a, "198.51.100.9"},
};

static const struct {
    const char *from;
    const char *ip;
    enum bh_spf_result expected;
} checks[] = {
    {"user@direct.example", "192.0.2.77", BH_SPF_PASS},
    {"user@include.example", "192.0.2.77", BH_SPF_PASS},
    {"user@macro.example", "192.0.2.77", BH_SPF_PASS},
    {"user@fail.example", "192.0.2.99", BH_SPF_FAIL},
};

enum { ZONE_LINES = sizeof(zone) / sizeof(zone[0]), CHECKS = sizeof(checks) / sizeof(checks[0]) };

static const char *type_name(int type)
{
    return type == ns_t_txt ? "TXT" : type == ns_t_mx ? "MX 10" : "A";
}

static struct bh_zonefile_resolver *make_resolver(void)
{
    struct bh_zonefile_resolver *resolver;
    struct bh_buf text = bh_buf_make(65536);

    for (size_t i = 0; i < ZONE_LINES; i++)
        bh_buf_printf(&text, zone[i].type == ns_t_txt ? "%s. %s \"%s\"\n" : "%s. %s %s%s\n", zone[i].name,
                      type_name(zone[i].type), zone[i].data, zone[i].type == ns_t_mx ? "." : "");
    if (bh_zonefile_resolver_new(bh_buf_view(&text), &resolver, NULL, NULL))
        abort();
    bh_buf_free(&text);
    return resolver;
}

static void on_checked(void *ctx, const struct bh_spf_outcome *outcome)
{
    *(enum bh_spf_result *)ctx = outcome->result;
}

static void check_ours(struct bh_resolver *resolver, size_t i)
{
    struct bh_spf_request request = {.helo = BH_STR("mail.example"), .mail_from = bh_str_c(checks[i].from)};
    enum bh_spf_result result = BH_SPF_NONE;
    struct bh_spf_check *check;

    if (bh_ip_parse(bh_str_c(checks[i].ip), &request.ip) ||
        bh_spf_check(resolver, &request, on_checked, &result, &check) || result != checks[i].expected) {
        (void)fprintf(stderr, "bench_spf: ours says %s for %s\n", bh_spf_result_name(result), checks[i].from);
        exit(1);
    }
}

static SPF_server_t *make_libspf2(void)
{
    SPF_dns_server_t *dns = SPF_dns_zone_new(NULL, "bench", 0);

    for (size_t i = 0; i < ZONE_LINES; i++)
        if (SPF_dns_zone_add_str(dns, zone[i].name, (ns_type)zone[i].type, NETDB_SUCCESS, zone[i].data))
            abort();
    return SPF_server_new_dns(dns, 0);
}

static void check_libspf2(SPF_server_t *server, size_t i)
{
    static const SPF_result_t expected[] = {[BH_SPF_PASS] = SPF_RESULT_PASS, [BH_SPF_FAIL] = SPF_RESULT_FAIL};
    SPF_request_t *request = SPF_request_new(server);
    SPF_response_t *response = NULL;

    if (SPF_request_set_ipv4_str(request, checks[i].ip) || SPF_request_set_helo_dom(request, "mail.example") ||
        SPF_request_set_env_from(request, checks[i].from))
        abort();
    (void)SPF_request_query_mailfrom(request, &response);
    if (SPF_response_result(response) != expected[checks[i].expected]) {
        (void)fprintf(stderr, "bench_spf: libspf2 says %s for %s\n", SPF_strresult(SPF_response_result(response)),
                      checks[i].from);
        exit(1);
    }
    SPF_response_free(response);
    SPF_request_free(request);
}

static double cpu_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Checks per second of our own CPU time, over ROUND_MS of it: a busy machine does not decide. */
static double measure(void (*check)(void *with, size_t i), void *with)
{
    double start = cpu_ms();
    double now;
    size_t done = 0;

    do {
        for (size_t i = 0; i < 256; i++)
            check(with, done++ % CHECKS);
        now = cpu_ms();
    } while (now < start + ROUND_MS);
    return (double)done * 1000 / (now - start);
}

static void ours(void *with, size_t i)
{
    check_ours(with, i);
}

static void libspf2(void *with, size_t i)
{
    check_libspf2(with, i);
}

static bool compare_speed(struct bh_resolver *resolver)
{
    SPF_server_t *server = make_libspf2();
    double best_ours = 0;
    double best_libspf2 = 0;

    for (int round = 0; round < ROUNDS; round++) {
        double a = measure(ours, resolver);
        double b = measure(libspf2, server);

        best_ours = a > best_ours ? a : best_ours;
        best_libspf2 = b > best_libspf2 ? b : best_libspf2;
    }
    SPF_server_free(server);
    (void)printf("spf: %.0f checks/s, libspf2 %.0f checks/s, ratio %.2f\n", best_ours, best_libspf2,
                 best_ours / best_libspf2);
    return best_ours >= best_libspf2;
}

/* ---- many at once ---- */

struct bh_dns_query {
    struct bh_dns_query *next;
    bh_time_ms due;
    bh_dns_done *done;
    void *ctx;
    uint16_t type;
    uint8_t n;
    char name[];
};

struct slow_resolver {
    struct bh_resolver base;
    struct bh_resolver *source;
    struct bh_dns_query *first;
    struct bh_dns_query **last;
};

static bh_err slow_lookup(struct bh_resolver *base, bh_str name, uint16_t type, bh_dns_done *done, void *ctx,
                          struct bh_dns_query **ret_query)
{
    struct slow_resolver *slow = (struct slow_resolver *)(void *)base;
    struct bh_dns_query *query = malloc(sizeof(*query) + name.n);

    if (!query || name.n > 255)
        abort();
    *query = (struct bh_dns_query){
        .due = bh_clock_monotonic() + ANSWER_MS, .done = done, .ctx = ctx, .type = type, .n = (uint8_t)name.n};
    memcpy(query->name, name.p, name.n);
    *slow->last = query;
    slow->last = &query->next;
    *ret_query = query;
    return BH_OK;
}

static void slow_cancel(struct bh_resolver *base, struct bh_dns_query *query)
{
    abort(); /* nothing here cancels */
}

static void answer_first(struct slow_resolver *slow)
{
    struct bh_dns_query *query = slow->first;
    struct bh_dns_query *none;
    bh_time_ms wait_ms = query->due - bh_clock_monotonic();

    if (wait_ms > 0)
        (void)usleep((useconds_t)wait_ms * 1000);
    slow->first = query->next;
    if (!slow->first)
        slow->last = &slow->first;
    if (slow->source->ops->lookup(slow->source, bh_str_of(query->name, query->n), query->type, query->done, query->ctx,
                                  &none))
        abort();
    free(query);
}

static void on_one_of_many(void *ctx, const struct bh_spf_outcome *outcome)
{
    ++*(size_t *)ctx;
}

static bool measure_memory(struct bh_resolver *source)
{
    static const struct bh_resolver_ops ops = {slow_lookup, slow_cancel};
    struct slow_resolver slow = {.base = {&ops}, .source = source};
    bh_time_ms start = bh_clock_monotonic();
    struct rusage usage;
    size_t done = 0;

    slow.last = &slow.first;
    for (size_t i = 0; i < CONCURRENT; i++) {
        struct bh_spf_request request = {.helo = BH_STR("mail.example"),
                                         .mail_from = bh_str_c(checks[i % CHECKS].from)};
        struct bh_spf_check *check;

        if (bh_ip_parse(bh_str_c(checks[i % CHECKS].ip), &request.ip) ||
            bh_spf_check(&slow.base, &request, on_one_of_many, &done, &check))
            abort();
    }
    while (slow.first)
        answer_first(&slow);
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf("spf: %zu checks at once, %d ms an answer: %.1f MiB at most, %.2f s\n", done, ANSWER_MS,
                 (double)usage.ru_maxrss / 1024, (double)(bh_clock_monotonic() - start) / 1000);
    return done == CONCURRENT && usage.ru_maxrss <= LIMIT_KIB;
}

int main(void)
{
    struct bh_zonefile_resolver *resolver = make_resolver();
    bool is_small = measure_memory(bh_zonefile_resolver_base(resolver)); /* first: the peak is the process's */
    bool is_fast = compare_speed(bh_zonefile_resolver_base(resolver));

    bh_zonefile_resolver_free(resolver);
    (void)printf("%sbench-spf: %d passed, %d failed, 0 skipped\n", is_small && is_fast ? "" : "FAIL\n",
                 is_small + is_fast, !is_small + !is_fast);
    return is_small && is_fast ? 0 : 1;
}
