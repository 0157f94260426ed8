/* exchange.c: from a recipient's domain to the addresses of its mail exchangers (RFC 5321 5.1, RFC 7505), and to the
 * TLSA records of those (RFC 7672 2.2): asked for only where the way there is secure, since servers that break on such
 * questions are found where nobody signs.
 *
 * MX first; NODATA means the domain itself (implicit MX); "0 ." means no mail ever. Equal preferences are shuffled.
 * Then AAAA and A of each host, at most ten hosts, all asked at once; the order of the hosts is kept, IPv6 first in
 * each. */
#include "base/random.h"
#include "proto/dns/name.h"
#include "sender.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { TLSA_BYTES_MAX = 64 * 1024 };

struct host {
    uint16_t preference;
    char name[256];
    struct in6_addr v6[8];
    struct in_addr v4[8];
    size_t v6_count, v4_count;
    bool temp_failed;
    bool insecure;       /* an answer about its addresses that is not proven */
    char canonical[256]; /* behind CNAMEs */
    bool tlsa_at_name;   /* asked at its own name: nothing was at the canonical one */
};

struct question {
    struct exchange *exchange;
    struct host *host;
    struct bh_dns_query *query;
    bool running;
};

struct exchange {
    struct sender *sender;
    char domain[256];
    uint16_t port;
    exchange_done *done;
    void *ctx;
    struct question mx;
    struct host hosts[BH_SITE_HOSTS_MAX];
    struct question questions[BH_SITE_HOSTS_MAX][2]; /* AAAA and A; the first is used again for TLSA */
    struct mx_host results[BH_SITE_HOSTS_MAX];
    bool mx_secure; /* or there is none to trust: the host was named by the operator, or is the domain itself */
    size_t host_count;
    size_t running;
    uint32_t ttl_s;
    bool asking; /* answers may come before lookup returns */
    struct address addresses[BH_SITE_ADDRESSES_MAX];
};

void bh_exchange_cancel(struct exchange *exchange)
{
    const struct bh_resolver_ops *ops;

    if (!exchange)
        return;
    ops = exchange->sender->resolver->ops;
    if (exchange->mx.running && exchange->mx.query)
        ops->cancel(exchange->sender->resolver, exchange->mx.query);
    for (size_t i = 0; i < exchange->host_count; i++)
        for (size_t k = 0; k < 2; k++)
            if (exchange->questions[i][k].running && exchange->questions[i][k].query)
                ops->cancel(exchange->sender->resolver, exchange->questions[i][k].query);
    for (size_t i = 0; i < exchange->host_count; i++)
        bh_buf_free(&exchange->results[i].records);
    free(exchange);
}

static void finish(struct exchange *exchange, const struct exchange_result *result)
{
    exchange_done *done = exchange->done;
    void *ctx = exchange->ctx;

    done(ctx, result);
    bh_exchange_cancel(exchange);
}

static void fail(struct exchange *exchange, enum exchange_outcome outcome, const char *enhanced, const char *why)
{
    finish(exchange, &(struct exchange_result){.outcome = outcome, .enhanced = enhanced, .why = why});
}

/* ---- addresses ---- */

static void add_address(struct exchange *exchange, size_t *count, size_t host, int family, const void *bytes)
{
    struct address *address = &exchange->addresses[*count];

    if (*count == BH_SITE_ADDRESSES_MAX)
        return;
    *address = (struct address){0};
    if (family == AF_INET6) {
        address->to.v6.sin6_family = AF_INET6;
        address->to.v6.sin6_port = htons(exchange->port);
        memcpy(&address->to.v6.sin6_addr, bytes, 16);
        address->bytes = sizeof(address->to.v6);
    } else {
        address->to.v4.sin_family = AF_INET;
        address->to.v4.sin_port = htons(exchange->port);
        memcpy(&address->to.v4.sin_addr, bytes, 4);
        address->bytes = sizeof(address->to.v4);
    }
    address->host = host;
    ++*count;
}

static void finish_with_addresses(struct exchange *exchange)
{
    size_t count = 0;
    bool temp_failed = false;

    for (size_t i = 0; i < exchange->host_count; i++) {
        const struct host *host = &exchange->hosts[i];

        temp_failed |= host->temp_failed;
        for (size_t k = 0; k < host->v6_count || k < host->v4_count; k++) { /* in turn: RFC 8305 4 */
            if (k < host->v6_count)
                add_address(exchange, &count, i, AF_INET6, &host->v6[k]);
            if (k < host->v4_count)
                add_address(exchange, &count, i, AF_INET, &host->v4[k]);
        }
    }
    if (count)
        finish(exchange, &(struct exchange_result){.outcome = EXCHANGE_FOUND,
                                                   .addresses = exchange->addresses,
                                                   .count = count,
                                                   .ttl_s = exchange->ttl_s,
                                                   .hosts = exchange->results,
                                                   .host_count = exchange->host_count});
    else if (temp_failed)
        fail(exchange, EXCHANGE_TEMP, "4.4.3", "the addresses of the mail exchangers cannot be looked up now");
    else
        fail(exchange, EXCHANGE_PERM, "5.4.4", "the mail exchangers of the domain have no address");
}

static void ask(struct exchange *exchange, struct question *question, struct host *host, bh_str name, uint16_t type,
                bh_dns_done *done)
{
    struct bh_resolver *resolver = exchange->sender->resolver;

    *question = (struct question){exchange, host, NULL, true};
    exchange->running++;
    if (resolver->ops->lookup(resolver, name, type, done, question, &question->query) != BH_OK) {
        question->running = false;
        exchange->running--;
        if (host)
            host->temp_failed = true;
    }
}

/* ---- TLSA ---- */

static void take_tlsa(struct exchange *exchange, struct mx_host *to, const struct bh_dns_answer *answer)
{
    if (answer->ttl_s < exchange->ttl_s)
        exchange->ttl_s = answer->ttl_s;
    to->tlsa = BH_TLSA_UNUSABLE;
    for (size_t i = 0; i < answer->count; i++) {
        if (!bh_tlsa_is_usable(answer->records[i].rdata))
            continue;
        to->tlsa = BH_TLSA_USABLE;
        bh_buf_str(&to->records, answer->records[i].rdata);
    }
    if (bh_buf_err(&to->records)) /* too much to hold: as if it could not be had */
        to->tlsa = BH_TLSA_FAILED;
}

static void on_tlsa(void *ctx, const struct bh_dns_answer *answer);

static void ask_tlsa(struct exchange *exchange, size_t index, const char *name)
{
    struct host *host = &exchange->hosts[index];
    struct mx_host *to = &exchange->results[index];
    char owner[300];
    int n = snprintf(owner, sizeof(owner), "_%u._tcp.%s", exchange->port, name);

    (void)snprintf(to->tls_name, sizeof(to->tls_name), "%s", name);
    ask(exchange, &exchange->questions[index][0], host, bh_str_of(owner, (size_t)n), BH_DNS_TLSA, on_tlsa);
    if (!exchange->questions[index][0].running)
        to->tlsa = BH_TLSA_FAILED;
}

static void on_tlsa(void *ctx, const struct bh_dns_answer *answer)
{
    struct question *question = ctx;
    struct exchange *exchange = question->exchange;
    struct host *host = question->host;
    size_t index = (size_t)(host - exchange->hosts);
    struct mx_host *to = &exchange->results[index];

    question->running = false;
    exchange->running--;
    if (answer->status == BH_DNS_TEMPFAIL)
        to->tlsa = BH_TLSA_FAILED;
    else if (answer->status == BH_DNS_FOUND && answer->secure)
        take_tlsa(exchange, to, answer);
    else if (!host->tlsa_at_name && strcmp(to->tls_name, host->name) != 0) { /* RFC 7672 2.2.3 */
        host->tlsa_at_name = true;
        ask_tlsa(exchange, index, host->name);
    } else
        memcpy(to->tls_name, host->name, sizeof(to->tls_name));
    if (exchange->running == 0 && !exchange->asking)
        finish_with_addresses(exchange);
}

/* The addresses are there: which of the hosts may have certificates in DNS? */
static void ask_certificates(struct exchange *exchange)
{
    exchange->asking = true;
    for (size_t i = 0; i < exchange->host_count; i++) {
        struct host *host = &exchange->hosts[i];
        struct mx_host *to = &exchange->results[i];
        bool has_address = host->v4_count || host->v6_count;
        bool is_alias = host->canonical[0] && !bh_str_eq_ci(bh_str_c(host->canonical), bh_str_c(host->name));

        memcpy(to->name, host->name, sizeof(to->name));
        memcpy(to->tls_name, host->name, sizeof(to->tls_name));
        to->records = bh_buf_make(TLSA_BYTES_MAX);
        if (!has_address || !exchange->mx_secure)
            continue;
        if (!host->insecure)
            ask_tlsa(exchange, i, is_alias ? host->canonical : host->name);
        else if (is_alias) { /* the alias itself may be proven, though its target is not */
            host->tlsa_at_name = true;
            ask_tlsa(exchange, i, host->name);
        }
    }
    exchange->asking = false;
    if (exchange->running == 0)
        finish_with_addresses(exchange);
}

static void on_address(void *ctx, const struct bh_dns_answer *answer)
{
    struct question *question = ctx;
    struct exchange *exchange = question->exchange;
    struct host *host = question->host;

    question->running = false;
    exchange->running--;
    if (answer->status == BH_DNS_TEMPFAIL)
        host->temp_failed = true;
    if (answer->status == BH_DNS_FOUND && answer->ttl_s < exchange->ttl_s)
        exchange->ttl_s = answer->ttl_s;
    for (size_t i = 0; answer->status == BH_DNS_FOUND && i < answer->count; i++) {
        bh_str rdata = answer->records[i].rdata;

        if (rdata.n == 16 && host->v6_count < 8)
            memcpy(&host->v6[host->v6_count++], rdata.p, 16);
        else if (rdata.n == 4 && host->v4_count < 8)
            memcpy(&host->v4[host->v4_count++], rdata.p, 4);
    }
    host->insecure |= !answer->secure;
    if (answer->status == BH_DNS_FOUND)
        (void)!bh_str_to_c(answer->canonical_name, host->canonical, sizeof(host->canonical));
    if (exchange->running == 0 && !exchange->asking)
        ask_certificates(exchange);
}

static void ask_addresses(struct exchange *exchange)
{
    exchange->asking = true;
    for (size_t i = 0; i < exchange->host_count; i++) {
        struct host *host = &exchange->hosts[i];

        ask(exchange, &exchange->questions[i][0], host, bh_str_c(host->name), BH_DNS_AAAA, on_address);
        ask(exchange, &exchange->questions[i][1], host, bh_str_c(host->name), BH_DNS_A, on_address);
    }
    exchange->asking = false;
    if (exchange->running == 0)
        ask_certificates(exchange);
}

/* ---- exchangers ---- */

static void add_host(struct exchange *exchange, uint16_t preference, bh_str name)
{
    struct host host = {.preference = preference};
    size_t at = exchange->host_count;

    if (bh_str_to_c(name, host.name, sizeof(host.name)) != BH_OK || name.n == 0)
        return;
    while (at > 0 && exchange->hosts[at - 1].preference > preference)
        at--;
    /* anywhere among the equal ones: the load is spread (RFC 5321 5.1) */
    while (at > 0 && exchange->hosts[at - 1].preference == preference && bh_random_below(&bh_random_os, 2))
        at--;
    if (at == BH_SITE_HOSTS_MAX)
        return;
    if (exchange->host_count < BH_SITE_HOSTS_MAX)
        exchange->host_count++;
    memmove(&exchange->hosts[at + 1], &exchange->hosts[at],
            (exchange->host_count - 1 - at) * sizeof(exchange->hosts[0]));
    exchange->hosts[at] = host;
}

static bool is_null_mx(const struct bh_dns_answer *answer)
{
    return answer->count == 1 && answer->records[0].rdata.n == 3 && answer->records[0].rdata.p[2] == 0;
}

static void take_exchangers(struct exchange *exchange, const struct bh_dns_answer *answer)
{
    struct bh_buf name = bh_buf_make(1024);

    exchange->ttl_s = answer->ttl_s;
    for (size_t i = 0; i < answer->count; i++) {
        bh_str rdata = answer->records[i].rdata;

        if (rdata.n < 4 || !bh_dns_name_valid(bh_str_skip(rdata, 2)))
            continue;
        bh_buf_clear(&name);
        bh_dns_name_print_relative(&name, bh_str_skip(rdata, 2));
        add_host(exchange, (uint16_t)((unsigned char)rdata.p[0] << 8 | (unsigned char)rdata.p[1]), bh_buf_view(&name));
    }
    bh_buf_free(&name);
}

static void on_exchangers(void *ctx, const struct bh_dns_answer *answer)
{
    struct exchange *exchange = ((struct question *)ctx)->exchange;

    exchange->mx.running = false;
    exchange->running--;
    switch (answer->status) {
    case BH_DNS_FOUND:
        exchange->mx_secure = answer->secure;
        if (is_null_mx(answer)) {
            fail(exchange, EXCHANGE_PERM, "5.1.10", "the domain takes no mail (null MX, RFC 7505)");
            return;
        }
        take_exchangers(exchange, answer);
        break;
    case BH_DNS_NODATA:
        exchange->ttl_s = answer->ttl_s;
        exchange->mx_secure = answer->secure; /* else somebody may have taken the MX records away */
        add_host(exchange, 0, bh_str_c(exchange->domain));
        break;
    case BH_DNS_NXDOMAIN:
        fail(exchange, EXCHANGE_PERM, "5.1.2", "the domain does not exist");
        return;
    case BH_DNS_BADNAME:
        fail(exchange, EXCHANGE_PERM, "5.1.2", "not a domain name");
        return;
    case BH_DNS_TEMPFAIL:
    default:
        fail(exchange, EXCHANGE_TEMP, "4.4.3", "the mail exchangers cannot be looked up now");
        return;
    }
    if (exchange->host_count)
        ask_addresses(exchange);
    else
        fail(exchange, EXCHANGE_PERM, "5.4.4", "the domain's MX records name no host");
}

/* A host given as an address needs no question. True when it was one; `done` has been called then. */
static bool use_literal(struct exchange *exchange)
{
    struct host host = {0};

    if (inet_pton(AF_INET, exchange->domain, &host.v4[0]) == 1)
        host.v4_count = 1;
    else if (inet_pton(AF_INET6, exchange->domain, &host.v6[0]) == 1)
        host.v6_count = 1;
    else
        return false;
    memcpy(host.name, exchange->domain, sizeof(host.name));
    host.insecure = true;
    exchange->hosts[0] = host;
    exchange->host_count = 1;
    exchange->ttl_s = 86400;
    ask_certificates(exchange);
    return true;
}

struct exchange *bh_exchange_begin(struct sender *sender, bh_str domain, bool host_only, uint16_t port,
                                   exchange_done *done, void *ctx)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));

    if (!exchange || bh_str_to_c(domain, exchange->domain, sizeof(exchange->domain)) != BH_OK) {
        free(exchange);
        return NULL;
    }
    exchange->sender = sender;
    exchange->port = port;
    exchange->done = done;
    exchange->ctx = ctx;
    exchange->ttl_s = 86400;
    if (use_literal(exchange))
        return NULL;
    if (host_only) {
        exchange->mx_secure = true;
        add_host(exchange, 0, domain);
        ask_addresses(exchange);
        return exchange;
    }
    ask(exchange, &exchange->mx, NULL, domain, BH_DNS_MX, on_exchangers);
    if (!exchange->mx.running) { /* no query could be started */
        fail(exchange, EXCHANGE_TEMP, "4.4.3", "no look-up can be started now");
        return NULL;
    }
    return exchange;
}
