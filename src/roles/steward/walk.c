/* walk.c: see walk.h.
 *
 *   resolver: NS of the organisational domain ─▶ resolver: addresses of those hosts ─▶ probe one server
 *        ▲                                                 ▲                            │
 *        │                                                 └──── referral further down ─┤
 *        │                                                                              ▼ it is authoritative, or
 *        │                                                                                the cut itself was asked for
 *        │                                                                   ask all servers ─▶ done
 *
 * DS and NS are the parent's to say: for the organisational domain itself the way begins above it, at the registry.
 * (Its own servers may be ours, which serve nothing before they were seen there.)
 *
 * Which zone was reached is decided by the delegations alone: an SOA may name a deeper zone that shares the servers,
 * never one above, since a zone's owner could otherwise claim the name of its parent. */
#include "walk.h"
#include "io/dns_client.h"
#include <arpa/inet.h>
#include <stdlib.h>

enum { HOSTS_MAX = 8, SERVERS_MAX = 16, DEPTH_MAX = 10, RDATAS_MAX = 64, ARENA_BYTES = 4 << 20 };

struct server {
    struct bh_walk *walk;
    bh_str host;
    bh_str address;
    bool asked, answered;
    struct bh_dns_ask *ask; /* running */
    struct bh_rec_dns_server_view view;
};

/* A question to the resolver; chained, so that it can be called back. */
struct lookup {
    struct lookup *next;
    struct bh_walk *walk;
    bh_str host;
    bool answered;
    struct bh_dns_query *query; /* of one that is not */
};

struct bh_walk {
    struct bh_list node; /* of walker->walks */
    struct bh_walker *walker;
    struct lookup *lookups;
    struct bh_arena *arena;
    struct bh_dns_name name;
    bh_str name_text;
    uint16_t type;
    bh_str zone; /* whose servers these are */
    bh_str hosts[HOSTS_MAX];
    size_t host_count;
    struct server servers[SERVERS_MAX];
    size_t server_count;
    size_t probe; /* the server that is probed */
    unsigned depth;
    size_t pending;
    unsigned starting;                  /* inside code that starts questions: answers may come at once */
    void (*next)(struct bh_walk *walk); /* when all look-ups are answered */
    enum bh_dns_status status;          /* of the look-up for name servers */
    bh_str why;
    struct bh_timer timer; /* the deadline */
    bh_walk_done *done;
    void *ctx;
};

/* ---- the end ---- */

static void finish(struct bh_walk *walk, bh_err err)
{
    struct bh_buf views = bh_buf_make(1 << 19);
    bh_walk_done *done = walk->done;
    void *ctx = walk->ctx;

    for (size_t i = 0; !err && i < walk->server_count; i++)
        if (walk->servers[i].answered)
            bh_rec_dns_server_view_put(&views, &walk->servers[i].view);
    if (!err)
        err = bh_buf_err(&views);
    done(ctx, err, err ? (bh_str){"", 0} : bh_buf_view(&views));
    bh_buf_free(&views);
    bh_timer_free(&walk->timer);
    bh_list_remove(&walk->node);
    bh_arena_free(walk->arena);
    free(walk);
}

/* What the resolver itself knows about the way stands for the answer. */
static void finish_with(struct bh_walk *walk, enum bh_dns_status status, bh_str why)
{
    walk->server_count = 1;
    walk->servers[0] = (struct server){.walk = walk, .answered = true};
    walk->servers[0].view = (struct bh_rec_dns_server_view){.server = BH_STR("resolver"),
                                                            .status = (uint8_t)status,
                                                            .canonical_name = BH_STR(""),
                                                            .rdatas = BH_STR(""),
                                                            .zone = walk->zone,
                                                            .why = bh_arena_dup(walk->arena, why)};
    finish(walk, BH_OK);
}

/* ---- addresses of the servers ---- */

static void probe_next(struct bh_walk *walk);

static void add_server(struct bh_walk *walk, bh_str host, uint16_t type, bh_str rdata)
{
    char literal[INET6_ADDRSTRLEN];
    struct server *server = &walk->servers[walk->server_count];

    if (walk->server_count == SERVERS_MAX || rdata.n != (type == BH_DNS_A ? 4u : 16u) ||
        !inet_ntop(type == BH_DNS_A ? AF_INET : AF_INET6, rdata.p, literal, sizeof(literal)))
        return;
    for (size_t i = 0; i < walk->server_count; i++)
        if (bh_str_eq(walk->servers[i].address, bh_str_c(literal)))
            return;
    *server = (struct server){.walk = walk, .host = host, .address = bh_arena_dup(walk->arena, bh_str_c(literal))};
    if (server->address.p)
        walk->server_count++;
}

static void addresses_done(struct bh_walk *walk)
{
    walk->probe = 0;
    if (walk->server_count)
        probe_next(walk);
    else
        finish_with(walk, BH_DNS_TEMPFAIL, BH_STR("the name servers have no address"));
}

/* An answer was taken: goes on unless more are to come. `walk` may be gone afterwards. */
static void answered(struct lookup *lookup)
{
    struct bh_walk *walk = lookup->walk;

    lookup->answered = true;
    if (--walk->pending == 0 && !walk->starting)
        walk->next(walk);
}

static void on_address(struct lookup *lookup, uint16_t type, const struct bh_dns_answer *answer)
{
    for (size_t i = 0; answer->status == BH_DNS_FOUND && i < answer->count; i++)
        add_server(lookup->walk, lookup->host, type, answer->records[i].rdata);
    answered(lookup);
}

static void on_a(void *ctx, const struct bh_dns_answer *answer)
{
    on_address(ctx, BH_DNS_A, answer);
}

static void on_aaaa(void *ctx, const struct bh_dns_answer *answer)
{
    on_address(ctx, BH_DNS_AAAA, answer);
}

/* Between begin_lookups and end_lookups: the walk lives, whatever is answered at once. */
static void begin_lookups(struct bh_walk *walk, void (*next)(struct bh_walk *walk))
{
    walk->next = next;
    walk->starting++;
}

static void end_lookups(struct bh_walk *walk)
{
    walk->starting--;
    if (!walk->pending && !walk->starting)
        walk->next(walk);
}

static void look_up(struct bh_walk *walk, bh_str name, uint16_t type, bh_dns_done *done)
{
    struct bh_resolver *resolver = walk->walker->resolver;
    struct lookup *lookup = bh_arena_alloc(walk->arena, sizeof(*lookup));
    struct bh_dns_query *query = NULL;

    if (!lookup)
        return;
    *lookup = (struct lookup){.next = walk->lookups, .walk = walk, .host = name};
    walk->lookups = lookup;
    walk->pending++;
    if (resolver->ops->lookup(resolver, name, type, done, lookup, &query)) {
        lookup->answered = true;
        walk->pending--;
    } else if (!lookup->answered) {
        lookup->query = query;
    }
}

static void find_addresses(struct bh_walk *walk)
{
    begin_lookups(walk, addresses_done);
    for (size_t i = 0; i < walk->host_count; i++) {
        look_up(walk, walk->hosts[i], BH_DNS_A, on_a);
        look_up(walk, walk->hosts[i], BH_DNS_AAAA, on_aaaa);
    }
    end_lookups(walk);
}

static void add_host(struct bh_walk *walk, bh_str wire)
{
    struct bh_buf text = bh_buf_make(1100);

    if (walk->host_count == HOSTS_MAX || !bh_dns_name_valid(wire))
        return;
    bh_dns_name_print_relative(&text, wire);
    walk->hosts[walk->host_count] = bh_arena_dup(walk->arena, bh_buf_view(&text));
    if (walk->hosts[walk->host_count].p)
        walk->host_count++;
    bh_buf_free(&text);
}

/* ---- reading a server's answer ---- */

enum reading { READ_ANSWER, READ_REFERRAL, READ_LAME };

struct read_out {
    enum reading kind;
    bh_str cut; /* of a referral */
    struct bh_buf rdatas;
    size_t found;
    bool has_cname;
    bh_str canonical, zone;
    uint32_t ttl_s;
};

static bh_str name_text(struct bh_arena *arena, bh_str wire)
{
    struct bh_buf text = bh_buf_make(1100);
    bh_str lower;

    bh_dns_name_print_relative(&text, wire);
    lower = bh_str_lower(arena, bh_buf_view(&text));
    bh_buf_free(&text);
    return lower;
}

static void take_rdata(const struct bh_dns_message *message, const struct bh_dns_rr *rr, struct read_out *out)
{
    struct bh_buf rdata = bh_buf_make(BH_DNS_RDATA_MAX);

    if (out->found < RDATAS_MAX && !bh_dns_rdata_read(rr->type, message->packet, rr->rdata_at, rr->rdata_n, &rdata)) {
        bh_rec_dns_rdata_put(&out->rdatas, &(struct bh_rec_dns_rdata){bh_buf_view(&rdata)});
        out->ttl_s = out->found && out->ttl_s < rr->ttl_s ? out->ttl_s : rr->ttl_s;
        out->found++;
    }
    bh_buf_free(&rdata);
}

/* The owner counts as the zone only between the zone that was reached and the name. */
static void take_soa(struct bh_walk *walk, const struct bh_dns_rr *rr, struct read_out *out)
{
    bh_str owner = name_text(walk->arena, bh_dns_name_view(&rr->owner));

    if (owner.p && bh_str_is_at_or_below(owner, walk->zone) && bh_str_is_at_or_below(walk->name_text, owner))
        out->zone = owner;
}

static bool is_cut(const struct bh_walk *walk, const struct bh_dns_message *message, const struct bh_dns_rr *rr,
                   bh_str owner)
{
    return rr->section == BH_DNS_AUTHORITY && rr->type == BH_DNS_NS && !(message->flags & BH_DNS_AA) &&
           owner.n > walk->zone.n && bh_str_is_at_or_below(owner, walk->zone) &&
           bh_str_is_at_or_below(walk->name_text, owner);
}

static void read_record(struct bh_walk *walk, const struct bh_dns_message *message, const struct bh_dns_rr *rr,
                        struct read_out *out)
{
    bh_str wire = bh_dns_name_view(&rr->owner);

    if (rr->section == BH_DNS_ANSWER && rr->type == BH_DNS_CNAME && walk->type != BH_DNS_CNAME) {
        out->has_cname = true;
    } else if (rr->section == BH_DNS_ANSWER && rr->type == walk->type) {
        take_rdata(message, rr, out);
        out->canonical = name_text(walk->arena, wire);
        if (rr->type == BH_DNS_SOA)
            take_soa(walk, rr, out);
    } else if (rr->section == BH_DNS_AUTHORITY && rr->type == BH_DNS_SOA) {
        take_soa(walk, rr, out);
    } else if (rr->section == BH_DNS_AUTHORITY && rr->type == BH_DNS_NS) {
        bh_str owner = name_text(walk->arena, wire);

        if (owner.p && is_cut(walk, message, rr, owner)) {
            out->kind = READ_REFERRAL;
            out->cut = owner;
            if (walk->type == BH_DNS_NS)
                take_rdata(message, rr, out);
        }
    }
}

static void read_message(struct bh_walk *walk, const struct bh_dns_message *message, struct read_out *out)
{
    struct bh_dns_rr_iter iter = {0};
    struct bh_dns_rr rr;
    unsigned rcode = bh_dns_message_rcode(message);

    *out = (struct read_out){
        .kind = READ_ANSWER, .canonical = walk->name_text, .zone = walk->zone, .rdatas = bh_buf_make(1 << 18)};
    while (bh_dns_message_next(message, &iter, &rr) == BH_MORE)
        read_record(walk, message, &rr, out);
    if (out->kind == READ_ANSWER &&
        (!(message->flags & BH_DNS_AA) || (rcode != BH_DNS_RCODE_NOERROR && rcode != BH_DNS_RCODE_NXDOMAIN)))
        out->kind = READ_LAME;
}

/* ---- one server ---- */

static void set_view(struct server *server, const struct bh_dns_message *message, const struct read_out *out)
{
    struct bh_walk *walk = server->walk;
    unsigned rcode = bh_dns_message_rcode(message);
    enum bh_dns_status status = out->found                       ? BH_DNS_FOUND
                                : rcode == BH_DNS_RCODE_NXDOMAIN ? BH_DNS_NXDOMAIN
                                                                 : BH_DNS_NODATA;
    const char *word = bh_dns_rcode_text(rcode);
    bh_str why = BH_STR("");

    if (out->kind == READ_LAME) {
        status = BH_DNS_TEMPFAIL;
        why = rcode
                  ? bh_arena_printf(walk->arena, "%.*s said %s", BH_FMT(server->view.server), word ? word : "an error")
                  : bh_arena_printf(walk->arena, "%.*s is not authoritative for %.*s", BH_FMT(server->view.server),
                                    BH_FMT(walk->zone));
    }
    server->view.status = (uint8_t)status;
    server->view.authoritative = (message->flags & BH_DNS_AA) != 0;
    server->view.ttl_s = out->ttl_s;
    server->view.canonical_name = out->canonical.p ? out->canonical : BH_STR("");
    server->view.rdatas = bh_arena_dup(walk->arena, bh_buf_view(&out->rdatas));
    server->view.zone = out->zone;
    server->view.why = why;
    server->answered = server->view.rdatas.p != NULL;
}

static void set_failure(struct server *server, bh_err err)
{
    server->view.status = BH_DNS_TEMPFAIL;
    server->view.why = bh_arena_printf(server->walk->arena, "%.*s: %s", BH_FMT(server->view.server), bh_err_text(err));
    server->answered = true;
}

/* ---- the deadline ---- */

static void cancel_questions(struct bh_walk *walk)
{
    struct bh_resolver *resolver = walk->walker->resolver;

    for (size_t i = 0; i < SERVERS_MAX; i++) {
        bh_dns_ask_cancel(walk->servers[i].ask);
        walk->servers[i].ask = NULL;
    }
    for (struct lookup *lookup = walk->lookups; lookup; lookup = lookup->next)
        if (!lookup->answered && lookup->query) {
            resolver->ops->cancel(resolver, lookup->query);
            lookup->answered = true;
        }
}

void bh_walker_stop(struct bh_walker *walker)
{
    for (struct bh_list *node; (node = bh_list_first(&walker->walks));) {
        struct bh_walk *walk = BH_CONTAINER_OF(node, struct bh_walk, node);

        cancel_questions(walk);
        finish(walk, BH_E_CLOSED);
    }
}

static void on_deadline(void *ctx)
{
    struct bh_walk *walk = ctx;
    bool some = false;

    cancel_questions(walk);
    for (size_t i = 0; i < walk->server_count; i++) {
        struct server *server = &walk->servers[i];

        if (server->asked && !server->answered)
            set_failure(server, BH_E_TIMEOUT);
        some = some || server->answered;
    }
    if (some)
        finish(walk, BH_OK);
    else
        finish_with(walk, BH_DNS_TEMPFAIL, BH_STR("the name servers take too long"));
}

static bh_err ask_server(struct server *server, bh_dns_ask_done *done)
{
    struct bh_walk *walk = server->walk;
    struct bh_dns_ask_options options = {.address = server->address,
                                         .port = walk->walker->port,
                                         .name = &walk->name,
                                         .type = walk->type,
                                         .random = walk->walker->random};

    server->asked = true;
    server->view = (struct bh_rec_dns_server_view){
        .server = bh_arena_printf(walk->arena, "%.*s %.*s", BH_FMT(server->host), BH_FMT(server->address)),
        .canonical_name = BH_STR(""),
        .rdatas = BH_STR(""),
        .zone = walk->zone,
        .why = BH_STR("")};
    return bh_dns_ask_start(walk->walker->loop, &options, done, server, &server->ask);
}

/* ---- all servers ---- */

static void on_one_of_all(void *ctx, bh_err err, const struct bh_dns_message *message)
{
    struct server *server = ctx;
    struct bh_walk *walk = server->walk;
    struct read_out out;

    server->ask = NULL;
    if (err) {
        set_failure(server, err);
    } else {
        read_message(walk, message, &out);
        set_view(server, message, &out);
        bh_buf_free(&out.rdatas);
    }
    if (--walk->pending == 0 && !walk->starting)
        finish(walk, BH_OK);
}

static void ask_all(struct bh_walk *walk)
{
    walk->starting++;
    for (size_t i = 0; i < walk->server_count; i++) {
        struct server *server = &walk->servers[i];

        if (server->asked)
            continue;
        if (ask_server(server, on_one_of_all) == BH_OK)
            walk->pending++;
        else
            set_failure(server, BH_E_IO);
    }
    walk->starting--;
    if (!walk->pending)
        finish(walk, BH_OK);
}

/* ---- the way down ---- */

static void forget_servers(struct bh_walk *walk)
{
    walk->server_count = walk->host_count = 0;
    memset(walk->servers, 0, sizeof(walk->servers));
}

static void take_referral_record(struct bh_walk *walk, const struct bh_dns_message *message, const struct bh_dns_rr *rr)
{
    struct bh_buf rdata = bh_buf_make(BH_DNS_RDATA_MAX);

    if (!bh_dns_rdata_read(rr->type, message->packet, rr->rdata_at, rr->rdata_n, &rdata)) {
        if (rr->type == BH_DNS_NS)
            add_host(walk, bh_buf_view(&rdata));
        else /* glue: only for hosts of this zone, who else could know */
            for (size_t i = 0; i < walk->host_count; i++) {
                bh_str owner = name_text(walk->arena, bh_dns_name_view(&rr->owner));

                if (owner.p && bh_str_eq_ci(owner, walk->hosts[i]) && bh_str_is_at_or_below(owner, walk->zone))
                    add_server(walk, walk->hosts[i], rr->type, bh_buf_view(&rdata));
            }
    }
    bh_buf_free(&rdata);
}

static void follow(struct bh_walk *walk, const struct bh_dns_message *message, bh_str cut)
{
    struct bh_dns_rr_iter iter = {0};
    struct bh_dns_rr rr;

    forget_servers(walk);
    walk->zone = cut;
    walk->depth++;
    while (bh_dns_message_next(message, &iter, &rr) == BH_MORE) {
        if (rr.section == BH_DNS_AUTHORITY && rr.type == BH_DNS_NS)
            take_referral_record(walk, message, &rr);
        else if (rr.section == BH_DNS_ADDITIONAL && (rr.type == BH_DNS_A || rr.type == BH_DNS_AAAA))
            take_referral_record(walk, message, &rr);
    }
    if (walk->depth > DEPTH_MAX)
        finish_with(walk, BH_DNS_TEMPFAIL, BH_STR("too many delegations"));
    else if (walk->server_count)
        addresses_done(walk);
    else
        find_addresses(walk);
}

static void on_probe(void *ctx, bh_err err, const struct bh_dns_message *message)
{
    struct server *server = ctx;
    struct bh_walk *walk = server->walk;
    struct read_out out;

    server->ask = NULL;
    if (err) {
        set_failure(server, err);
        probe_next(walk);
        return;
    }
    read_message(walk, message, &out);
    set_view(server, message, &out);
    bh_buf_free(&out.rdatas);
    if (out.kind == READ_REFERRAL && !(walk->type == BH_DNS_NS && bh_str_eq(out.cut, walk->name_text)))
        follow(walk, message, out.cut);
    else if (out.kind == READ_LAME)
        probe_next(walk);
    else
        ask_all(walk);
}

static void probe_next(struct bh_walk *walk)
{
    while (walk->probe < walk->server_count) {
        struct server *server = &walk->servers[walk->probe++];

        if (ask_server(server, on_probe) == BH_OK)
            return;
        set_failure(server, BH_E_IO);
    }
    finish(walk, BH_OK); /* none is of use: their failures are the answer */
}

/* ---- the beginning ---- */

/* What the zone above says of a name: its DS, and who it is delegated to. */
static bool is_of_parent(uint16_t type)
{
    return type == BH_DNS_DS || type == BH_DNS_NS;
}

/* The name one label shorter; empty: the root. */
static bh_str above(bh_str name)
{
    const char *dot = memchr(name.p, '.', name.n);

    return dot ? bh_str_skip(name, (size_t)(dot - name.p) + 1) : bh_str_of(name.p, 0);
}

static void on_ns(void *ctx, const struct bh_dns_answer *answer);

static void servers_known(struct bh_walk *walk)
{
    bool no_zone = walk->status == BH_DNS_NODATA || walk->status == BH_DNS_NXDOMAIN;

    if (walk->host_count) {
        find_addresses(walk);
    } else if (is_of_parent(walk->type) && no_zone && walk->zone.n) {
        walk->zone = above(walk->zone); /* a public suffix is not always a zone */
        begin_lookups(walk, servers_known);
        look_up(walk, walk->zone, BH_DNS_NS, on_ns);
        end_lookups(walk);
    } else {
        finish_with(walk, walk->status, walk->why.n ? walk->why : BH_STR("no name servers are known"));
    }
}

static void on_ns(void *ctx, const struct bh_dns_answer *answer)
{
    struct lookup *lookup = ctx;
    struct bh_walk *walk = lookup->walk;

    for (size_t i = 0; answer->status == BH_DNS_FOUND && i < answer->count; i++)
        add_host(walk, answer->records[i].rdata);
    walk->status = answer->status == BH_DNS_FOUND ? BH_DNS_TEMPFAIL : answer->status;
    walk->why = bh_arena_dup(walk->arena, answer->why);
    answered(lookup);
}

static bh_err new_walk(struct bh_walker *walker, bh_str name, uint16_t type, bh_walk_done *done, void *ctx,
                       struct bh_walk **ret_walk)
{
    struct bh_walk *walk = calloc(1, sizeof(*walk));
    bh_err err = BH_E_NOMEM;

    if (!walk)
        return BH_E_NOMEM;
    *walk = (struct bh_walk){.walker = walker,
                             .type = type,
                             .status = BH_DNS_TEMPFAIL,
                             .why = BH_STR("the resolver takes no more questions"),
                             .done = done,
                             .ctx = ctx};
    walk->arena = bh_arena_new(ARENA_BYTES);
    if (walk->arena)
        walk->name_text = bh_str_lower(walk->arena, name);
    if (walk->name_text.p)
        err = bh_dns_name_parse(walk->name_text, NULL, &walk->name);
    if (!err)
        err = bh_timer_init(walker->loop, &walk->timer, on_deadline, walk);
    if (err) {
        bh_arena_free(walk->arena);
        free(walk);
        return err;
    }
    bh_timer_set(&walk->timer, walker->deadline_ms ? walker->deadline_ms : BH_WALK_DEADLINE_MS);
    bh_list_push(&walker->walks, &walk->node);
    *ret_walk = walk;
    return BH_OK;
}

bh_err bh_walk_start(struct bh_walker *walker, bh_str name, uint16_t type, bh_walk_done *done, void *ctx)
{
    struct bh_walk *walk;
    bh_str start;
    bh_err err = new_walk(walker, name, type, done, ctx, &walk);

    if (err)
        return err;
    start = walker->suffixes->ops->registrable(walker->suffixes, walk->name_text);
    walk->zone = start.n ? start : walk->name_text;
    if (is_of_parent(type) && bh_str_eq(walk->zone, walk->name_text))
        walk->zone = above(walk->zone);
    begin_lookups(walk, servers_known);
    look_up(walk, walk->zone, BH_DNS_NS, on_ns);
    end_lookups(walk);
    return BH_OK;
}

/* ---- the resolver's own view ---- */

static void world_known(struct bh_walk *walk)
{
    if (walk->server_count)
        finish(walk, BH_OK);
    else
        finish_with(walk, walk->status, walk->why);
}

static void on_world(void *ctx, const struct bh_dns_answer *answer)
{
    struct lookup *lookup = ctx;
    struct bh_walk *walk = lookup->walk;
    struct bh_buf rdatas = bh_buf_make(1 << 18);
    struct server *server = &walk->servers[0];

    for (size_t i = 0; i < answer->count && i < RDATAS_MAX; i++)
        bh_rec_dns_rdata_put(&rdatas, &(struct bh_rec_dns_rdata){answer->records[i].rdata});
    *server = (struct server){.walk = walk, .answered = true};
    server->view = (struct bh_rec_dns_server_view){.server = BH_STR("resolver"),
                                                   .status = (uint8_t)answer->status,
                                                   .ttl_s = answer->ttl_s,
                                                   .canonical_name = bh_arena_dup(walk->arena, answer->canonical_name),
                                                   .rdatas = bh_arena_dup(walk->arena, bh_buf_view(&rdatas)),
                                                   .zone = BH_STR(""),
                                                   .why = bh_arena_dup(walk->arena, answer->why)};
    walk->server_count = 1;
    bh_buf_free(&rdatas);
    answered(lookup);
}

bh_err bh_walk_resolver(struct bh_walker *walker, bh_str name, uint16_t type, bh_walk_done *done, void *ctx)
{
    struct bh_walk *walk;
    bh_err err = new_walk(walker, name, type, done, ctx, &walk);

    if (err)
        return err;
    walk->zone = BH_STR("");
    begin_lookups(walk, world_known);
    look_up(walk, walk->name_text, type, on_world);
    end_lookups(walk);
    return BH_OK;
}
