/* unbound_resolver.c: see behalf/unbound_resolver.h.
 *
 * libunbound calls back in the middle of its own work, sometimes before ub_resolve_event returns. So its packet is
 * copied and the query put on a list that a zero timer empties from the loop: only then is it parsed and delivered. */
#include "base/list.h"
#include "proto/dns/message.h"
#include <behalf/unbound_resolver.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unbound-event.h>
#include <unbound.h>

enum {
    MAX_CHAIN = 16,
    ANSWER_MAX = 1 << 20, /* arena of one answer */
    PACKET_MAX = 65535,
    ROOM_FOR_RECORDS = 64, /* grows */
    SEC_BOGUS = 1,         /* unbound-event.h */
    SEC_SECURE = 2,
    DEAD_MAX_MS = 1000 /* for questions to servers that seem dead */
};

struct bh_dns_query {
    struct bh_list node; /* of `ready` or `waiting` */
    struct bh_unbound_resolver *resolver;
    bh_dns_done *done;
    void *ctx;
    int async_id;
    bool is_ready;
    uint16_t type;
    enum bh_dns_status status; /* when there is no packet */
    bool secure;
    char why[96];
    struct event *limit; /* NULL without a time limit */
    struct bh_dns_name name;
    char *packet;
    size_t packet_bytes;
};

struct bh_unbound_resolver {
    struct bh_resolver base;
    struct ub_ctx *ub;
    struct event_base *events;
    bool owns_events;
    struct event *deliver;
    int64_t query_max_ms; /* 0 = none */
    bool has_answered;    /* since it was made */
    bool was_late;
    struct bh_list ready;
    struct bh_list waiting;
};

/* ---- answers ---- */

static void free_query(struct bh_dns_query *query)
{
    bh_list_remove(&query->node);
    if (query->limit)
        event_free(query->limit);
    free(query->packet);
    free(query);
}

static void lower_ttl(struct bh_dns_answer *answer, uint32_t ttl_s)
{
    if (ttl_s < answer->ttl_s)
        answer->ttl_s = ttl_s;
}

/* Follows the CNAMEs in the answer section: *name becomes the last name. */
static void follow_cnames(const struct bh_dns_message *message, uint16_t type, struct bh_dns_name *name,
                          struct bh_dns_answer *answer)
{
    for (unsigned chain = 0; chain < MAX_CHAIN && type != BH_DNS_CNAME; chain++) {
        struct bh_dns_rr_iter iter = {0};
        struct bh_dns_rr rr;
        bool found = false;

        while (!found && !bh_dns_message_next(message, &iter, &rr)) {
            size_t at = rr.rdata_at;

            found = rr.section == BH_DNS_ANSWER && rr.type == BH_DNS_CNAME &&
                    bh_dns_name_eq(bh_dns_name_view(&rr.owner), bh_dns_name_view(name)) &&
                    !bh_dns_name_read(message->packet, &at, name);
        }
        if (!found)
            return;
        lower_ttl(answer, rr.ttl_s);
    }
}

/* The negative TTL: the smaller of the SOA's own and its MINIMUM field (RFC 2308 5). */
static void take_soa(const struct bh_dns_message *message, struct bh_dns_answer *answer)
{
    struct bh_dns_rr_iter iter = {0};
    struct bh_dns_rr rr;

    while (!bh_dns_message_next(message, &iter, &rr)) {
        bh_str rdata = bh_str_sub(message->packet, rr.rdata_at, rr.rdata_n);
        struct bh_cur minimum;

        if (rr.section != BH_DNS_AUTHORITY || rr.type != BH_DNS_SOA || rdata.n < 22)
            continue;
        minimum = bh_cur_make(bh_str_skip(rdata, rdata.n - 4));
        lower_ttl(answer, rr.ttl_s);
        lower_ttl(answer, bh_cur_u32(&minimum));
    }
}

static bh_err take_records(const struct bh_dns_message *message, uint16_t type, bh_str name, struct bh_arena *arena,
                           struct bh_dns_answer *answer)
{
    struct bh_dns_record *records = bh_arena_array(arena, message->counts[BH_DNS_ANSWER], sizeof(*records));
    struct bh_buf rdata = bh_buf_make(BH_DNS_RDATA_MAX);
    struct bh_dns_rr_iter iter = {0};
    struct bh_dns_rr rr;
    bh_err err = records ? BH_OK : BH_E_NOMEM;

    while (!err && !bh_dns_message_next(message, &iter, &rr)) {
        if (rr.section != BH_DNS_ANSWER || rr.type != type || !bh_dns_name_eq(bh_dns_name_view(&rr.owner), name))
            continue;
        bh_buf_clear(&rdata);
        err = bh_dns_rdata_read(type, message->packet, rr.rdata_at, rr.rdata_n, &rdata);
        if (err)
            break;
        records[answer->count].rdata = bh_arena_dup(arena, bh_buf_view(&rdata));
        if (!records[answer->count++].rdata.p)
            err = BH_E_NOMEM;
        lower_ttl(answer, rr.ttl_s);
    }
    bh_buf_free(&rdata);
    answer->records = records;
    return err;
}

static void fail_answer(struct bh_dns_answer *answer, const char *why)
{
    answer->status = BH_DNS_TEMPFAIL;
    answer->count = 0;
    answer->why = bh_str_c(why);
}

static void parse_packet(struct bh_dns_query *query, struct bh_arena *arena, struct bh_dns_answer *answer)
{
    struct bh_dns_message message;
    unsigned rcode;

    if (bh_dns_message_parse(bh_str_of(query->packet, query->packet_bytes), &message)) {
        fail_answer(answer, "an answer that is no DNS message");
        return;
    }
    rcode = bh_dns_message_rcode(&message);
    if (rcode != BH_DNS_RCODE_NOERROR && rcode != BH_DNS_RCODE_NXDOMAIN) {
        fail_answer(answer, bh_dns_rcode_text(rcode) ? bh_dns_rcode_text(rcode) : "an error from the server");
        return;
    }
    follow_cnames(&message, query->type, &query->name, answer);
    if (take_records(&message, query->type, bh_dns_name_view(&query->name), arena, answer)) {
        fail_answer(answer, "an answer that cannot be read");
        return;
    }
    answer->status = rcode == BH_DNS_RCODE_NXDOMAIN ? BH_DNS_NXDOMAIN : answer->count ? BH_DNS_FOUND : BH_DNS_NODATA;
    if (answer->status != BH_DNS_FOUND)
        take_soa(&message, answer);
}

static void deliver_query(struct bh_dns_query *query)
{
    struct bh_arena *arena = bh_arena_new(ANSWER_MAX);
    struct bh_buf canonical = bh_buf_make(4 * BH_DNS_NAME_MAX);
    struct bh_dns_answer answer = {
        .status = query->status, .secure = query->secure, .ttl_s = UINT32_MAX, .why = bh_str_c(query->why)};
    bh_dns_done *done = query->done;
    void *ctx = query->ctx;

    if (!arena)
        fail_answer(&answer, "out of memory");
    else if (query->packet)
        parse_packet(query, arena, &answer);
    if (answer.ttl_s == UINT32_MAX)
        answer.ttl_s = 0;
    bh_dns_name_print_relative(&canonical, bh_dns_name_view(&query->name));
    answer.canonical_name = bh_buf_view(&canonical);
    bh_list_remove(&query->node); /* the handle ends with the call; what `answer` points to lives through it */
    done(ctx, &answer);
    free_query(query);
    bh_buf_free(&canonical);
    bh_arena_free(arena);
}

static void deliver_all(evutil_socket_t fd, short events, void *ctx)
{
    struct bh_unbound_resolver *resolver = ctx;
    struct bh_list *node;

    while ((node = bh_list_first(&resolver->ready)))
        deliver_query(BH_CONTAINER_OF(node, struct bh_dns_query, node));
}

static void make_ready(struct bh_dns_query *query)
{
    query->is_ready = true;
    bh_list_remove(&query->node);
    bh_list_push(&query->resolver->ready, &query->node);
    event_active(query->resolver->deliver, EV_TIMEOUT, 0);
}

static void set_why(struct bh_dns_query *query, const char *what, const char *more)
{
    (void)snprintf(query->why, sizeof(query->why), "%s%s%s", what, more ? ": " : "", more ? more : "");
}

/* libunbound's call-back: keep what it says, do nothing else here. */
static void on_answer(void *ctx, int rcode, void *packet, int packet_bytes, int sec, char *why_bogus,
                      int was_ratelimited)
{
    struct bh_dns_query *query = ctx;

    query->resolver->has_answered |= rcode != BH_DNS_RCODE_SERVFAIL; /* which libunbound also makes up */
    query->status = BH_DNS_TEMPFAIL;
    query->secure = sec == SEC_SECURE;
    if (sec == SEC_BOGUS) {
        set_why(query, "DNSSEC validation failed", why_bogus);
    } else if (rcode == BH_DNS_RCODE_NXDOMAIN) {
        query->status = BH_DNS_NXDOMAIN;
    } else if (rcode != BH_DNS_RCODE_NOERROR || packet_bytes <= 0 || packet_bytes > PACKET_MAX) {
        set_why(query, bh_dns_rcode_text((unsigned)rcode) ? bh_dns_rcode_text((unsigned)rcode) : "no answer",
                was_ratelimited ? "rate limited" : NULL);
    } else if ((query->packet = malloc((size_t)packet_bytes))) {
        memcpy(query->packet, packet, (size_t)packet_bytes);
        query->packet_bytes = (size_t)packet_bytes;
    } else {
        set_why(query, "out of memory", NULL);
    }
    make_ready(query);
}

/* ---- questions ---- */

/* libunbound tries a dead server for half a minute; whoever waits for a verdict wants to hear of it sooner. */
static void on_limit(evutil_socket_t fd, short events, void *ctx)
{
    struct bh_dns_query *query = ctx;

    if (query->is_ready)
        return;
    (void)ub_cancel(query->resolver->ub, query->async_id);
    query->resolver->was_late = true;
    query->status = BH_DNS_TEMPFAIL;
    set_why(query, "no answer in time", NULL);
    make_ready(query);
}

static bh_err set_limit(struct bh_unbound_resolver *resolver, struct bh_dns_query *query)
{
    int64_t ms = resolver->query_max_ms;
    struct timeval limit;

    if (!ms)
        return BH_OK;
    if (resolver->was_late && !resolver->has_answered && ms > DEAD_MAX_MS)
        ms = DEAD_MAX_MS;
    limit = (struct timeval){.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    query->limit = evtimer_new(resolver->events, on_limit, query);
    return query->limit && !evtimer_add(query->limit, &limit) ? BH_OK : BH_E_NOMEM;
}

static bh_err start(struct bh_unbound_resolver *resolver, struct bh_dns_query *query)
{
    struct bh_buf text = bh_buf_make(4 * BH_DNS_NAME_MAX + 2);
    bh_err err;

    bh_dns_name_print(&text, bh_dns_name_view(&query->name));
    bh_buf_char(&text, '\0');
    err = bh_buf_err(&text);
    if (!err &&
        ub_resolve_event(resolver->ub, text.p, query->type, BH_DNS_CLASS_IN, query, on_answer, &query->async_id))
        err = BH_E_LIMIT;
    bh_buf_free(&text);
    return err;
}

static bh_err lookup(struct bh_resolver *base, bh_str name, uint16_t type, bh_dns_done *done, void *ctx,
                     struct bh_dns_query **ret_query)
{
    struct bh_unbound_resolver *resolver = BH_CONTAINER_OF(base, struct bh_unbound_resolver, base);
    struct bh_dns_query *query = calloc(1, sizeof(*query));
    bh_err err = BH_OK;

    if (!query)
        return BH_E_NOMEM;
    query->resolver = resolver;
    query->done = done;
    query->ctx = ctx;
    query->type = type;
    bh_list_push(&resolver->waiting, &query->node);
    if (bh_dns_name_parse(name, NULL, &query->name)) {
        bh_dns_name_set(&query->name, bh_dns_root());
        query->status = BH_DNS_BADNAME;
        make_ready(query);
    } else {
        err = set_limit(resolver, query);
        if (!err)
            err = start(resolver, query);
    }
    if (err)
        free_query(query);
    else
        *ret_query = query;
    return err;
}

static void cancel(struct bh_resolver *base, struct bh_dns_query *query)
{
    struct bh_unbound_resolver *resolver = BH_CONTAINER_OF(base, struct bh_unbound_resolver, base);

    if (!query->is_ready)
        (void)ub_cancel(resolver->ub, query->async_id);
    free_query(query);
}

static const struct bh_resolver_ops ops = {lookup, cancel};

/* ---- set-up ---- */

/* Zones that libunbound answers by itself unless told otherwise; whoever is asked by address knows better. */
static const char *const built_in_zones[] = {"test.", "invalid.", "home.arpa.", "127.in-addr.arpa."};

static bh_err configure_forward(struct ub_ctx *ub, const struct bh_unbound_config *config, const char **why)
{
    if (config->mode == BH_UNBOUND_RESOLV_CONF &&
        ub_ctx_resolvconf(ub, config->resolv_conf ? config->resolv_conf : "/etc/resolv.conf")) {
        *why = "resolv.conf cannot be read";
        return BH_E_IO;
    }
    for (size_t i = 0; config->mode == BH_UNBOUND_FORWARD && i < config->forward_count; i++)
        if (ub_ctx_set_fwd(ub, config->forwards[i])) {
            *why = "a forwarder's address is none";
            return BH_E_INVALID;
        }
    return BH_OK;
}

/* Must come last: it finishes the context, and no option can be set after that. */
static void remove_built_in_zones(struct ub_ctx *ub, const struct bh_unbound_config *config)
{
    for (size_t i = 0; i < config->stub_count; i++)
        (void)ub_ctx_zone_remove(ub, config->stubs[i].zone);
    if (config->mode == BH_UNBOUND_RECURSIVE)
        return;
    for (size_t i = 0; i < sizeof(built_in_zones) / sizeof(built_in_zones[0]); i++)
        (void)ub_ctx_zone_remove(ub, built_in_zones[i]);
}

static bh_err configure_stubs(struct ub_ctx *ub, const struct bh_unbound_config *config, const char **why)
{
    for (size_t i = 0; i < config->stub_count; i++) {
        const struct bh_unbound_stub *stub = &config->stubs[i];

        if (ub_ctx_set_stub(ub, stub->zone, stub->address, 0)) {
            *why = "a stub zone's name or address is none";
            return BH_E_INVALID;
        }
        if (stub->insecure)
            (void)ub_ctx_set_option(ub, "domain-insecure:", stub->zone);
    }
    return BH_OK;
}

static bh_err configure(struct ub_ctx *ub, const struct bh_unbound_config *config, const char **why)
{
    bool is_asked_by_address = config->stub_count || config->mode != BH_UNBOUND_RECURSIVE;
    bh_err err;

    if (is_asked_by_address) {
        (void)ub_ctx_set_option(ub, "do-not-query-localhost:", "no");
        (void)ub_ctx_set_option(ub, "unblock-lan-zones:", "yes");
        (void)ub_ctx_set_option(ub, "insecure-lan-zones:", "yes");
    }
    err = configure_forward(ub, config, why);
    if (!err)
        err = configure_stubs(ub, config, why);
    if (!err && config->root_hints && ub_ctx_set_option(ub, "root-hints:", config->root_hints)) {
        *why = "the root hints cannot be used";
        err = BH_E_IO;
    }
    if (!err && config->trust_anchor && ub_ctx_add_ta_file(ub, config->trust_anchor)) {
        *why = "the trust anchor cannot be used";
        err = BH_E_IO;
    }
    if (!err)
        remove_built_in_zones(ub, config);
    return err;
}

bh_err bh_unbound_resolver_new(const struct bh_unbound_config *config, struct bh_unbound_resolver **ret_resolver,
                               const char **ret_why)
{
    struct bh_unbound_resolver *resolver = calloc(1, sizeof(*resolver));
    const char *why = "out of memory";
    bh_err err = BH_E_NOMEM;

    if (!resolver)
        return BH_E_NOMEM;
    resolver->base.ops = &ops;
    resolver->query_max_ms = config->query_max_ms;
    bh_list_init(&resolver->ready);
    bh_list_init(&resolver->waiting);
    resolver->owns_events = !config->event_base;
    resolver->events = config->event_base ? config->event_base : event_base_new();
    if (resolver->events)
        resolver->ub = ub_ctx_create_event(resolver->events);
    if (resolver->ub)
        resolver->deliver = event_new(resolver->events, -1, 0, deliver_all, resolver);
    if (resolver->deliver)
        err = configure(resolver->ub, config, &why);
    if (err) {
        bh_unbound_resolver_free(resolver);
        if (ret_why)
            *ret_why = why;
    } else {
        *ret_resolver = resolver;
    }
    return err;
}

void bh_unbound_resolver_free(struct bh_unbound_resolver *resolver)
{
    struct bh_list *node;

    if (!resolver)
        return;
    if (resolver->ub)
        ub_ctx_delete(resolver->ub);
    while ((node = bh_list_first(&resolver->ready)) || (node = bh_list_first(&resolver->waiting)))
        free_query(BH_CONTAINER_OF(node, struct bh_dns_query, node));
    if (resolver->deliver)
        event_free(resolver->deliver);
    if (resolver->owns_events && resolver->events)
        event_base_free(resolver->events);
    free(resolver);
}

struct bh_resolver *bh_unbound_resolver_base(struct bh_unbound_resolver *resolver)
{
    return &resolver->base;
}

static void on_time(evutil_socket_t fd, short events, void *ctx)
{
    *(bool *)ctx = true;
}

bh_err bh_unbound_resolver_run(struct bh_unbound_resolver *resolver, const bool *done, int64_t max_ms)
{
    struct timeval limit = {.tv_sec = (time_t)(max_ms / 1000), .tv_usec = (suseconds_t)(max_ms % 1000 * 1000)};
    bool is_late = false;
    bh_err err = BH_OK;
    struct event *timer = evtimer_new(resolver->events, on_time, &is_late);

    if (!timer)
        return BH_E_NOMEM;
    (void)evtimer_add(timer, &limit);
    while (!*done && !is_late && !err)
        if (event_base_loop(resolver->events, EVLOOP_ONCE))
            err = BH_E_IO;
    event_free(timer);
    return err ? err : *done ? BH_OK : BH_E_TIMEOUT;
}
