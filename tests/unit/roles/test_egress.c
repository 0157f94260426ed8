/* An egress address's way in and out of SPF, on a virtual clock: two name servers, of which the second may lag behind,
 * are played by this file; nothing may leave from an address that one of them does not know in SPF, and no address
 * leaves SPF while its mail is young. */
#include "roles/controld/command.h"
#include "roles/controld/egress.h"
#include "unit.h"
#include <behalf/ip.h>
#include <stdlib.h>

enum { RECORDS_MAX = 4000, DAY_MS = 24 * 3600 * 1000 };

struct served {
    struct bh_zone_record records[RECORDS_MAX];
    bh_str apex[RECORDS_MAX];
    size_t count;
};

struct world {
    struct bh_controld core;
    struct bh_psl *psl;
    struct bh_random_seeded random;
    bh_time_ms now;
    struct served served[2];
    bool second_lags;
    bool steward_is_down;
    json_t *got;
    struct bh_arena *arena;
};

static bh_err make_key(void *ctx, const struct bh_key_order *order, bh_key_done *done, void *done_ctx)
{
    struct bh_msg_key_reply reply = {.ok = 1,
                                     .algorithm = BH_KEY_RSA2048,
                                     .sealed = BH_STR("box"),
                                     .public_record = BH_STR("v=DKIM1; k=rsa; p=MIIBkey"),
                                     .why = BH_STR("")};

    (void)ctx, (void)order;
    done(done_ctx, BH_OK, &reply);
    return BH_OK;
}

/* ---- the name servers ---- */

static void serve(struct world *w, struct served *served, const struct bh_zone *zone)
{
    size_t kept = 0;

    for (size_t i = 0; i < served->count; i++)
        if (!bh_str_eq(served->apex[i], zone->apex)) {
            served->records[kept] = served->records[i];
            served->apex[kept++] = served->apex[i];
        }
    for (size_t i = 0; i < zone->count && kept < RECORDS_MAX; i++, kept++) {
        served->records[kept] = zone->records[i];
        served->records[kept].owner = bh_arena_dup(w->arena, zone->records[i].owner);
        served->records[kept].rdata = bh_arena_dup(w->arena, zone->records[i].rdata);
        served->apex[kept] = bh_arena_dup(w->arena, zone->apex);
    }
    served->count = kept;
}

static void take_zone(void *ctx, const struct bh_zone *zone)
{
    struct world *w = ctx;

    serve(w, &w->served[0], zone);
    if (!w->second_lags)
        serve(w, &w->served[1], zone);
}

/* The second server has transferred everything. */
static void catch_up(struct world *w)
{
    w->second_lags = false;
    w->served[1] = w->served[0];
}

static bool look(const struct served *served, bh_str name, uint16_t type, struct bh_buf *rdatas)
{
    bool found = false;

    for (size_t i = 0; i < served->count; i++)
        if (served->records[i].type == type && bh_str_eq_ci(served->records[i].owner, name)) {
            bh_rec_dns_rdata_put(rdatas, &(struct bh_rec_dns_rdata){served->records[i].rdata});
            found = true;
        }
    return found;
}

static bh_err ask_dns(void *ctx, const struct bh_msg_dns_ask *ask, bh_dns_asked *done, void *done_ctx)
{
    struct world *w = ctx;
    struct bh_buf views = bh_buf_make(1 << 20);

    if (w->steward_is_down)
        return BH_E_CLOSED;
    for (int i = 0; i < (ask->direct ? 2 : 1); i++) {
        struct bh_buf rdatas = bh_buf_make(1 << 18);
        bool found = look(&w->served[i], ask->name, ask->type, &rdatas);

        bh_rec_dns_server_view_put(
            &views, &(struct bh_rec_dns_server_view){.server = i ? BH_STR("ns2 192.0.2.54") : BH_STR("ns1 192.0.2.53"),
                                                     .status = found ? BH_DNS_FOUND : BH_DNS_NXDOMAIN,
                                                     .ttl_s = 300,
                                                     .rdatas = bh_buf_view(&rdatas)});
        bh_buf_free(&rdatas);
    }
    done(done_ctx, BH_OK, &(struct bh_msg_dns_ask_reply){bh_buf_view(&views)});
    bh_buf_free(&views);
    return BH_OK;
}

static void take_removal(void *ctx, bh_str name)
{
    (void)ctx, (void)name;
}

static void take_commit(void *ctx, uint64_t version, bool whole, uint32_t serial)
{
}

static void take_version(void *ctx, uint64_t version)
{
}

static void take_wake(void *ctx, int64_t in_ms)
{
}

static void take_settle(void *ctx)
{
}

static void take_log(void *ctx, enum bh_log_level level, const char *text, bh_str subject)
{
}

static bh_err no_queue(void *ctx, bh_str json, bh_json_done *done, void *done_ctx)
{
    (void)ctx, (void)json, (void)done, (void)done_ctx;
    return BH_E_CLOSED;
}

static bh_err no_submit(void *ctx, const struct bh_msg_submit *message, int fd, bh_submit_done *done, void *done_ctx)
{
    (void)ctx, (void)message, (void)fd, (void)done, (void)done_ctx;
    return BH_E_CLOSED;
}

static bh_time_ms read_clock(void *ctx)
{
    return ((struct world *)ctx)->now;
}

static const struct bh_controld_out orders = {.make_key = make_key,
                                              .ask_dns = ask_dns,
                                              .ask_queue = no_queue,
                                              .submit = no_submit,
                                              .zone = take_zone,
                                              .zone_remove = take_removal,
                                              .zones_commit = take_commit,
                                              .version = take_version,
                                              .wake = take_wake,
                                              .settle = take_settle,
                                              .log = take_log};

/* ---- the world ---- */

static const bh_str first_address[] = {{"192.0.2.25", 10}};
static const struct bh_platform_ns name_servers[] = {{{"ns1", 3}, first_address, 1}, {{"ns2", 3}, first_address, 1}};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    bh_random_seeded_init(&w->random, 7);
    w->now = 1000000;
    w->arena = bh_arena_new(256 << 20);
    assert_ok(bh_psl_new(NULL, &w->psl));
    w->core.random = &w->random.base;
    w->core.suffixes = bh_psl_base(w->psl);
    w->core.out = &orders;
    w->core.out_ctx = w;
    w->core.clock = read_clock;
    w->core.message_size_max = 1 << 20;
    w->core.egress_keep_ms = 2 * DAY_MS;
    w->core.platform = (struct bh_platform){.domain = BH_STR("on.esp.example"),
                                            .ns = name_servers,
                                            .ns_count = 2,
                                            .inbound_host = BH_STR("in1.on.esp.example"),
                                            .inbound_addresses = first_address,
                                            .inbound_address_count = 1,
                                            .egress = first_address,
                                            .egress_count = 1,
                                            .helo = BH_STR("mta1.on.esp.example"),
                                            .caa = BH_STR(""),
                                            .dmarc_policy = BH_STR("none"),
                                            .ttl_s = 300};
    assert_ok(
        bh_store_open(&(struct bh_store_options){.path = ":memory:", .schema = &bh_control_schema, .owner = "test"},
                      NULL, &w->core.store));
    assert_ok(bh_controld_start(&w->core));
    assert_ok(bh_publish_all(&w->core, take_zone, w));
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    bh_controld_stop(&w->core);
    bh_store_close(w->core.store);
    bh_psl_free(w->psl);
    bh_arena_free(w->arena);
    json_decref(w->got);
    free(w);
    return 0;
}

static void take_answer(void *ctx, json_t *answer)
{
    struct world *w = ctx;

    json_decref(w->got);
    w->got = answer;
}

static bool run(struct world *w, const char *json)
{
    json_decref(w->got);
    w->got = NULL;
    bh_command_run(&w->core, bh_str_c(json), -1, take_answer, w);
    assert_non_null(w->got);
    bh_controld_settle(&w->core);
    return json_is_true(json_object_get(w->got, "ok"));
}

/* Time goes on in steps of a minute, as the loop's timer does. */
static void pass(struct world *w, int64_t ms)
{
    for (bh_time_ms end = w->now + ms; w->now < end;) {
        w->now += end - w->now < 60000 ? end - w->now : 60000;
        bh_controld_wake(&w->core);
        bh_controld_settle(&w->core);
    }
}

/* A domain of `customer` that may send; as a check would leave it. */
static int64_t add_domain(struct world *w, const char *name, const char *customer, const char *approach)
{
    char command[400];
    struct bh_domain domain;
    struct bh_domain_outcome outcome = {.state = BH_DOMAIN_VERIFIED,
                                        .aligned = BH_MECH_BOTH,
                                        .zone_apex = bh_str_c(name),
                                        .state_at = w->now,
                                        .checked_at = w->now,
                                        .check_at = INT64_MAX / 2,
                                        .report = BH_STR("")};

    (void)snprintf(command, sizeof(command), "{\"noun\":\"customer\",\"verb\":\"add\",\"args\":{\"name\":\"%s\"}}",
                   customer);
    (void)run(w, command);
    (void)snprintf(command, sizeof(command),
                   "{\"noun\":\"domain\",\"verb\":\"add\",\"args\":{\"name\":\"%s\",\"customer\":\"%s\","
                   "\"approach\":\"%s\"}}",
                   name, customer, approach);
    assert_true(run(w, command));
    assert_ok(bh_domain_by_name(w->core.store, w->arena, bh_str_c(name), 0, &domain));
    assert_ok(bh_domain_update_outcome(w->core.store, domain.id, &outcome));
    assert_ok(bh_domain_hold_zone(w->core.store, domain.name, domain.id));
    bh_publish_domain(&w->core, &domain);
    bh_controld_settle(&w->core);
    return domain.id;
}

/* The source addresses that a domain's mail may use, separated by blanks. */
static const char *find_sources(struct world *w, int64_t id, bool by_owner)
{
    struct bh_domain domain;
    struct bh_rec_source source;
    struct bh_buf text = bh_buf_make(4000);
    bh_str list, copy;
    struct bh_cur cur;

    assert_ok(bh_domain_by_id(w->core.store, w->arena, id, &domain));
    assert_ok(bh_egress_sources(&w->core, w->arena, &domain, by_owner, &list));
    cur = bh_cur_make(list);
    while (bh_rec_source_next(&cur, &source) == BH_MORE) {
        assert_true(source.weight > 0 && source.helo.n && source.pool.n);
        bh_buf_printf(&text, "%s%.*s%s%.*s", text.n ? " " : "", BH_FMT(source.address4),
                      source.address4.n && source.address6.n ? "+" : "", BH_FMT(source.address6));
    }
    copy = bh_arena_printf(w->arena, "%.*s", BH_FMT(bh_buf_view(&text)));
    bh_buf_free(&text);
    return copy.p;
}

static const char *sources(struct world *w, int64_t id)
{
    return find_sources(w, id, false);
}

/* True when the SPF record of a server at the domain's bounce name lists the address. */
static bool in_spf(struct world *w, int server, int64_t id, const char *address)
{
    const struct served *served = &w->served[server];
    struct bh_domain domain;
    bh_str name, kind = BH_STR("bounce");

    assert_ok(bh_domain_by_id(w->core.store, w->arena, id, &domain));
    name = bh_domain_has_zone(&domain) ? bh_arena_printf(w->arena, "bounce.%.*s", BH_FMT(domain.name))
                                       : bh_platform_target(w->arena, &w->core.platform, &domain.token, kind);
    for (size_t i = 0; i < served->count; i++)
        if (served->records[i].type == BH_DNS_TXT && bh_str_eq(served->records[i].owner, name))
            return bh_str_search(bh_txt_joined(w->arena, served->records[i].rdata), bh_str_c(address)) <
                   bh_txt_joined(w->arena, served->records[i].rdata).n;
    fail_msg("%.*s has no TXT record", BH_FMT(name));
    return false;
}

static const char *state_of(struct world *w, const char *address)
{
    for (size_t i = 0; i < w->core.egress->address_count; i++)
        if (bh_str_eq(w->core.egress->addresses[i].address, bh_str_c(address)))
            return bh_egress_state_name(w->core.egress->addresses[i].state);
    return "gone";
}

#define ADDRESS(verb, pool, address)                                                                                   \
    "{\"noun\":\"pool\",\"verb\":\"address-" verb "\",\"args\":{\"pool\":\"" pool "\",\"address\":\"" address "\"}}"

/* ---- scenarios ---- */

static void test_an_address_waits_for_every_server(void **state)
{
    struct world *w = *state;
    int64_t cname = add_domain(w, "other.example", "beta", "cname");
    int64_t delegated = add_domain(w, "email.customer.example", "alpha", "delegation");
    int64_t manual = add_domain(w, "third.example", "gamma", "manual");

    assert_string_equal(sources(w, cname), "192.0.2.25");
    w->second_lags = true;
    assert_true(run(w, ADDRESS("add", "default", "198.51.100.7")));
    for (int i = 0; i < 60; i++) { /* an hour: one of two servers is behind */
        pass(w, 60000);
        assert_true(in_spf(w, 0, cname, "198.51.100.7") && in_spf(w, 0, delegated, "198.51.100.7"));
        assert_false(in_spf(w, 1, cname, "198.51.100.7"));
        assert_string_equal(state_of(w, "198.51.100.7"), "published");
        assert_string_equal(sources(w, cname), "192.0.2.25");
        assert_string_equal(sources(w, delegated), "192.0.2.25");
        assert_string_equal(sources(w, manual), "192.0.2.25");
    }
    assert_non_null(strstr(w->core.egress->waiting, "ns2"));
    catch_up(w);
    pass(w, 120000);
    assert_string_equal(state_of(w, "198.51.100.7"), "seen"); /* resolvers may have the old record for its TTL */
    assert_string_equal(sources(w, cname), "192.0.2.25");
    pass(w, 5 * 60000);
    assert_string_equal(state_of(w, "198.51.100.7"), "usable");
    assert_string_equal(sources(w, cname), "192.0.2.25 198.51.100.7");
    assert_string_equal(sources(w, delegated), "192.0.2.25 198.51.100.7");
}

static void test_a_silent_steward_makes_nothing_usable(void **state)
{
    struct world *w = *state;
    int64_t id = add_domain(w, "other.example", "beta", "cname");

    w->steward_is_down = true;
    assert_true(run(w, ADDRESS("add", "default", "198.51.100.7")));
    pass(w, DAY_MS);
    assert_string_equal(sources(w, id), "192.0.2.25");
    w->steward_is_down = false;
    pass(w, 10 * 60000);
    assert_string_equal(sources(w, id), "192.0.2.25 198.51.100.7");
}

static void test_an_address_is_withdrawn_when_its_mail_is_old(void **state)
{
    struct world *w = *state;
    int64_t id = add_domain(w, "other.example", "beta", "cname");

    assert_true(run(w, ADDRESS("add", "default", "198.51.100.7")));
    pass(w, 10 * 60000);
    assert_string_equal(sources(w, id), "192.0.2.25 198.51.100.7");
    assert_true(run(w, ADDRESS("remove", "default", "198.51.100.7")));
    assert_string_equal(sources(w, id), "192.0.2.25"); /* at once */
    for (int hour = 0; hour < 47; hour++) {
        pass(w, 3600000);
        assert_true(in_spf(w, 0, id, "198.51.100.7"));
        assert_string_equal(sources(w, id), "192.0.2.25");
    }
    pass(w, 2 * 3600000);
    assert_string_equal(state_of(w, "198.51.100.7"), "gone");
    assert_false(in_spf(w, 0, id, "198.51.100.7"));
}

/* The only address is replaced: the old one carries the mail until the new one may, and its time begins then. */
static void test_the_only_address_of_a_pool_is_replaced(void **state)
{
    struct world *w = *state;
    int64_t id = add_domain(w, "other.example", "beta", "cname");

    assert_true(run(w, "{\"noun\":\"pool\",\"verb\":\"add\",\"args\":{\"name\":\"fast\"}}"));
    assert_true(run(w, ADDRESS("add", "fast", "203.0.113.1")));
    pass(w, 10 * 60000);
    assert_true(run(w, "{\"noun\":\"pool\",\"verb\":\"assign\",\"args\":{\"pool\":\"fast\",\"customer\":\"beta\"}}"));
    assert_string_equal(sources(w, id), "192.0.2.25");
    pass(w, 10 * 60000);
    assert_string_equal(sources(w, id), "203.0.113.1");
    w->second_lags = true;
    assert_true(run(w, ADDRESS("add", "fast", "203.0.113.2")));
    assert_true(run(w, ADDRESS("remove", "fast", "203.0.113.1")));
    for (int hour = 0; hour < 72; hour++) { /* longer than an address is kept */
        pass(w, 3600000);
        assert_string_equal(sources(w, id), "203.0.113.1");
        assert_true(in_spf(w, 1, id, "203.0.113.1"));
    }
    catch_up(w);
    pass(w, 30 * 60000);
    assert_string_equal(sources(w, id), "203.0.113.2");
    pass(w, DAY_MS);
    assert_true(in_spf(w, 0, id, "203.0.113.1"));
    pass(w, DAY_MS);
    assert_false(in_spf(w, 0, id, "203.0.113.1"));
}

static void test_a_customer_moves_to_another_pool(void **state)
{
    struct world *w = *state;
    int64_t moved = add_domain(w, "other.example", "beta", "cname");
    int64_t stays = add_domain(w, "email.customer.example", "alpha", "delegation");

    assert_true(run(w, "{\"noun\":\"pool\",\"verb\":\"add\",\"args\":{\"name\":\"fast\"}}"));
    assert_true(run(w, ADDRESS("add", "fast", "203.0.113.1")));
    pass(w, 10 * 60000);
    w->second_lags = true;
    assert_true(run(w, "{\"noun\":\"pool\",\"verb\":\"assign\",\"args\":{\"pool\":\"fast\",\"customer\":\"beta\"}}"));
    pass(w, DAY_MS);
    assert_string_equal(sources(w, moved), "192.0.2.25");
    assert_true(in_spf(w, 0, moved, "203.0.113.1") && in_spf(w, 0, moved, "192.0.2.25"));
    assert_false(in_spf(w, 0, stays, "203.0.113.1"));
    catch_up(w);
    pass(w, 30 * 60000);
    assert_string_equal(sources(w, moved), "203.0.113.1");
    assert_true(in_spf(w, 0, moved, "192.0.2.25")); /* for the mail that is on its way */
    pass(w, 2 * DAY_MS + 3600000);
    assert_false(in_spf(w, 0, moved, "192.0.2.25"));
    assert_true(run(w, "{\"noun\":\"pool\",\"verb\":\"show\",\"args\":{\"name\":\"fast\"}}"));
    assert_false(run(w, "{\"noun\":\"pool\",\"verb\":\"remove\",\"args\":{\"name\":\"fast\"}}"));
}

/* What the configuration says is followed, after a restart as well. */
/* ---- a planned change ---- */

#define OLD "203.0.113.1"
#define NEW "203.0.113.2"

static void publish_txt(struct world *w, const char *apex, const char *label, const char *text)
{
    struct bh_zone zone = bh_zone_make(w->arena, bh_arena_printf(w->arena, "%s.%s", label, apex));

    if (!*label)
        zone.apex = bh_str_c(apex);
    bh_zone_add_txt(&zone, zone.apex, 300, bh_str_c(text));
    assert_ok(bh_zone_err(&zone));
    take_zone(w, &zone);
}

/* A domain whose owner's SPF record decides, as a check has left it. */
static int64_t add_pasting(struct world *w, const char *name, const char *spf)
{
    struct bh_domain_outcome outcome = {.state = BH_DOMAIN_VERIFIED,
                                        .aligned = BH_MECH_BOTH,
                                        .zone_apex = bh_str_c(name),
                                        .state_at = w->now,
                                        .checked_at = w->now,
                                        .check_at = INT64_MAX / 2};
    char command[300];
    struct bh_domain domain;
    bh_str target;

    (void)snprintf(command, sizeof(command),
                   "{\"noun\":\"domain\",\"verb\":\"add\",\"args\":{\"name\":\"%s\",\"customer\":\"beta\","
                   "\"approach\":\"manual\",\"bounces\":\"customer\"}}",
                   name);
    assert_true(run(w, command));
    assert_ok(bh_domain_by_name(w->core.store, w->arena, bh_str_c(name), 0, &domain));
    target = bh_platform_target(w->arena, &w->core.platform, &domain.token, BH_STR("spf"));
    if (!spf)
        spf = bh_arena_printf(w->arena, "v=spf1 include:%.*s -all", BH_FMT(target)).p;
    outcome.report = bh_arena_printf(
        w->arena, "{\"records\":[{\"purpose\":\"spf\",\"name\":\"%s\",\"found\":\"x=1, %s\"}]}", name, spf);
    assert_ok(bh_domain_update_outcome(w->core.store, domain.id, &outcome));
    publish_txt(w, name, "", spf);
    publish_txt(w, name, "bh1._domainkey", "v=DKIM1; k=rsa; p=MIIBkey");
    bh_publish_domain(&w->core, &domain);
    bh_controld_settle(&w->core);
    return domain.id;
}

static bh_str spf_at(struct world *w, struct bh_arena *arena, int server, bh_str name)
{
    const struct served *served = &w->served[server];

    for (size_t i = 0; i < served->count; i++)
        if (served->records[i].type == BH_DNS_TXT && bh_str_eq(served->records[i].owner, name))
            return bh_txt_joined(arena, served->records[i].rdata);
    return BH_STR("");
}

static bool lists(bh_str spf, bh_str address)
{
    return bh_str_search(spf, address) < spf.n;
}

static bool passes(struct world *w, struct bh_arena *arena, int server, const struct bh_domain *domain, bh_str address)
{
    bh_str include = bh_platform_target(arena, &w->core.platform, &domain->token, BH_STR("spf"));
    bh_str bounce = bh_platform_target(arena, &w->core.platform, &domain->token, BH_STR("bounce"));
    bh_str own;

    if (domain->bounces == BH_BOUNCES_CUSTOMER) {
        own = spf_at(w, arena, server, domain->name);
        return lists(own, include) ? lists(spf_at(w, arena, server, include), address) : lists(own, address);
    }
    if (bh_domain_has_zone(domain))
        bounce = bh_arena_printf(arena, "bounce.%.*s", BH_FMT(domain->name));
    return lists(spf_at(w, arena, server, bounce), address);
}

/* Every address that the domain may use now passes at both servers; one of them at least. Adds them to `used`. */
static void nothing_fails(struct world *w, int64_t id, unsigned *old_used, unsigned *new_used)
{
    struct bh_arena *arena = bh_arena_new(1 << 20);
    struct bh_domain domain;
    struct bh_rec_source source;
    bh_str list;
    struct bh_cur cur;
    size_t count = 0;

    assert_ok(bh_domain_by_id(w->core.store, arena, id, &domain));
    assert_ok(bh_egress_sources(&w->core, arena, &domain, domain.bounces == BH_BOUNCES_CUSTOMER, &list));
    cur = bh_cur_make(list);
    for (; bh_rec_source_next(&cur, &source) == BH_MORE; count++) {
        for (int server = 0; server < 2; server++)
            if (!passes(w, arena, server, &domain, source.address4))
                fail_msg("%.*s from %.*s fails at server %d", BH_FMT(domain.name), BH_FMT(source.address4), server);
        *(bh_str_eq(source.address4, BH_STR(NEW)) ? new_used : old_used) += 1;
    }
    assert_true(count > 0);
    bh_arena_free(arena);
}

static void count_change(void *ctx, const struct bh_change_row *row)
{
    assert_string_equal(row->domain.p, "ip.example");
    assert_str(row->item.new_value, "v=spf1 mx ip4:" OLD " ip4:" NEW " -all");
    (*(unsigned *)ctx)++;
}

static void count_notice(void *ctx, const struct bh_notice_row *notice)
{
    if (!bh_str_starts(notice->kind, BH_STR("change")))
        return;
    assert_true(lists(notice->body, BH_STR("ip.example")) && !lists(notice->body, BH_STR("inc.example")));
    (*(unsigned *)ctx)++;
}

/* One egress address of a pool is replaced, with every kind of customer: nobody's mail fails SPF at any moment, and
 * exactly who lists addresses is asked to act. */
static void test_the_planned_change_of_an_address(void **state)
{
    static const char *const kinds[] = {"delegated", "cname", "include:", "ip4:"};
    struct world *w = *state;
    unsigned old_used[4] = {0}, new_used[4] = {0}, asked = 0, told = 0;
    bh_time_ms acted_at = 0, gone_at = 0, begun_at;
    int64_t ids[4], change = 0;
    struct bh_change seen;

    (void)run(w, "{\"noun\":\"customer\",\"verb\":\"add\",\"args\":{\"name\":\"beta\"}}");
    assert_true(run(w, "{\"noun\":\"pool\",\"verb\":\"add\",\"args\":{\"name\":\"fast\"}}"));
    assert_true(run(w, ADDRESS("add", "fast", OLD)));
    pass(w, 20 * 60000);
    assert_true(run(w, "{\"noun\":\"pool\",\"verb\":\"assign\",\"args\":{\"pool\":\"fast\",\"customer\":\"beta\"}}"));
    ids[0] = add_domain(w, "email.customer.example", "beta", "delegation");
    ids[1] = add_domain(w, "other.example", "beta", "cname");
    ids[2] = add_pasting(w, "inc.example", NULL);
    ids[3] = add_pasting(w, "ip.example", "v=spf1 mx ip4:" OLD " -all");
    w->core.egress_keep_ms = 2 * (int64_t)DAY_MS;
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"check\",\"args\":{\"domain\":\"inc.example\"}}"));
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"check\",\"args\":{\"domain\":\"ip.example\"}}"));
    pass(w, 4 * (int64_t)DAY_MS);
    w->second_lags = true;
    begun_at = w->now;
    assert_true(run(w, ADDRESS("add", "fast", NEW)));
    for (int step = 0; step < 12 * 144; step++) { /* twelve days, looked at every ten minutes */
        pass(w, 10 * 60000);
        for (int i = 0; i < 4; i++)
            nothing_fails(w, ids[i], &old_used[i], &new_used[i]);
        if (step == 3)
            catch_up(w);
        if (step == 12)
            assert_true(run(w, ADDRESS("remove", "fast", OLD)));
        if (step == 6 * 144) { /* on the sixth day the customer acts; a check sees it */
            publish_txt(w, "ip.example", "", "v=spf1 mx ip4:" OLD " ip4:" NEW " -all");
            assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"check\",\"args\":{\"domain\":\"ip.example\"}}"));
            acted_at = w->now;
        }
        if (!change)
            (void)!bh_change_by_ref(w->core.store, BH_CHANGE_ADDRESS, BH_STR("egress ip.example"), &change);
        if (!gone_at && strcmp(state_of(w, OLD), "gone") == 0)
            gone_at = w->now;
    }
    assert_ok(bh_change_by_id(w->core.store, w->arena, change, w->now, &seen));
    assert_int_equal(seen.state, BH_CHANGE_ACTED);
    assert_ok(bh_change_items(w->core.store, change, count_change, &asked));
    assert_ok(bh_notice_list(w->core.store, -1, 100, count_notice, &told));
    assert_int_equal(asked, 1);
    assert_true(told >= 1);
    assert_true(acted_at && gone_at > acted_at);
    for (int i = 0; i < 4; i++)
        print_message("%-10s asked: %s; old address in %u looks, new one in %u; none failed\n", kinds[i],
                      i == 3 ? "yes" : "no ", old_used[i], new_used[i]);
    print_message("%u mails to the one customer who had to act; he did on day %d, the old address left SPF on day %d\n",
                  told, (int)((acted_at - begun_at) / DAY_MS), (int)((gone_at - begun_at) / DAY_MS));
}

static void test_the_configured_addresses(void **state)
{
    struct world *w = *state;
    static const bh_str second[] = {{"192.0.2.25", 10}, {"2001:db8::25", 12}}, third[] = {{"2001:db8::25", 12}};
    int64_t id = add_domain(w, "other.example", "beta", "cname");

    w->core.platform.egress = second;
    w->core.platform.egress_count = 2;
    assert_ok(bh_egress_start(&w->core));
    assert_string_equal(sources(w, id), "192.0.2.25");
    bh_egress_publish(&w->core);
    pass(w, 10 * 60000);
    assert_string_equal(sources(w, id), "192.0.2.25+2001:db8::25"); /* one HELO name, both families */
    w->core.platform.egress = third;
    w->core.platform.egress_count = 1;
    assert_ok(bh_egress_start(&w->core));
    assert_string_equal(sources(w, id), "2001:db8::25");
    assert_true(in_spf(w, 0, id, "192.0.2.25"));
    assert_false(run(w, ADDRESS("remove", "default", "2001:db8::25")));
    pass(w, 2 * DAY_MS + 3600000);
    assert_false(in_spf(w, 0, id, "192.0.2.25"));
}

/* ---- owners who publish SPF themselves ---- */

/* The zone of an owner, as both of its servers have it. */
static void publish_owner(struct world *w, const char *spf, const char *deep)
{
    struct bh_zone zone = bh_zone_make(w->arena, BH_STR("third.example"));

    bh_zone_add_txt(&zone, zone.apex, 60, bh_str_c(spf));
    bh_zone_add_txt(&zone, BH_STR("deep.third.example"), 60, bh_str_c(deep));
    bh_zone_add_txt(&zone, BH_STR("bh1._domainkey.third.example"), 60, BH_STR("v=DKIM1; k=rsa; p=MIIBkey"));
    assert_ok(bh_zone_err(&zone));
    serve(w, &w->served[0], &zone);
    serve(w, &w->served[1], &zone);
}

static int64_t add_owner(struct world *w)
{
    struct bh_domain domain;

    assert_true(run(w, "{\"noun\":\"customer\",\"verb\":\"add\",\"args\":{\"name\":\"gamma\"}}"));
    assert_true(run(w,
                    "{\"noun\":\"domain\",\"verb\":\"add\",\"args\":{\"name\":\"third.example\",\"customer\":\"gamma\","
                    "\"approach\":\"manual\",\"bounces\":\"customer\"}}"));
    assert_ok(bh_domain_by_name(w->core.store, w->arena, BH_STR("third.example"), 0, &domain));
    return domain.id;
}

static const char *check_owner(struct world *w)
{
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"check\",\"args\":{\"domain\":\"third.example\"}}"));
    return json_string_value(json_object_get(json_object_get(w->got, "result"), "state"));
}

static const char *sources_by_owner(struct world *w, int64_t id)
{
    return find_sources(w, id, true);
}

static void test_a_nested_include_counts(void **state)
{
    struct world *w = *state;
    int64_t id = add_owner(w);
    struct bh_domain domain;
    char deep[300];

    assert_ok(bh_domain_by_id(w->core.store, w->arena, id, &domain));
    (void)snprintf(deep, sizeof(deep), "v=spf1 include:%s.%s.spf.on.esp.example ~all", domain.token.id,
                   domain.token.shard);
    publish_owner(w, "v=spf1 include:deep.third.example -all", "v=spf1 ip4:10.0.0.1 -all");
    assert_string_not_equal(check_owner(w), "verified");
    publish_owner(w, "v=spf1 include:deep.third.example -all", deep);
    assert_string_equal(check_owner(w), "verified");
    assert_string_equal(sources_by_owner(w, id), "192.0.2.25");
    assert_true(run(w, ADDRESS("add", "default", "198.51.100.7")));
    pass(w, 20 * 60000); /* the include follows by itself */
    assert_string_equal(sources_by_owner(w, id), "192.0.2.25 198.51.100.7");
    assert_true(run(w, "{\"noun\":\"change\",\"verb\":\"list\"}"));
    assert_int_equal(json_array_size(json_object_get(w->got, "result")), 0);
}

static void test_an_owner_of_addresses_is_asked(void **state)
{
    struct world *w = *state;
    int64_t id = add_owner(w), other = add_domain(w, "other.example", "beta", "cname");

    publish_owner(w, "v=spf1 ip4:192.0.2.25 -all", "x");
    assert_string_equal(check_owner(w), "verified");
    assert_true(run(w, ADDRESS("add", "default", "198.51.100.7")));
    pass(w, 20 * 60000);
    assert_string_equal(sources(w, other), "192.0.2.25 198.51.100.7"); /* nobody else waits for him */
    assert_string_equal(sources_by_owner(w, id), "192.0.2.25");
    assert_true(run(w, "{\"noun\":\"change\",\"verb\":\"list\"}"));
    assert_int_equal(json_array_size(json_object_get(w->got, "result")), 1);
    assert_true(run(w, ADDRESS("add", "default", "198.51.100.8"))); /* the old address is not the only one … */
    publish_owner(w, "v=spf1 ip4:192.0.2.25 ip4:198.51.100.7 -all", "x");
    assert_string_equal(check_owner(w), "verified");
    assert_string_equal(sources_by_owner(w, id), "192.0.2.25"); /* some receivers have the old record for its TTL */
    pass(w, 4 * 60000);
    assert_string_equal(sources_by_owner(w, id), "192.0.2.25");
    pass(w, 2 * 60000);
    assert_string_equal(sources_by_owner(w, id), "192.0.2.25 198.51.100.7");
}

/* Long lists are split over includes in the platform zone, and each answer stays small. */
static void test_many_addresses(void **state)
{
    struct world *w = *state;
    int64_t id = add_domain(w, "other.example", "beta", "cname");
    char command[300];
    size_t parts = 0;

    for (int i = 0; i < 60; i++) {
        (void)snprintf(command, sizeof(command), ADDRESS("add", "default", "198.51.100.%d"), 3 * i);
        assert_true(run(w, command));
    }
    pass(w, 10 * 60000);
    assert_true(in_spf(w, 0, id, "include:p1-1._spf.on.esp.example"));
    assert_false(in_spf(w, 0, id, "ip4:"));
    for (size_t i = 0; i < w->served[0].count; i++)
        if (bh_str_search(w->served[0].records[i].owner, BH_STR("._spf.on.esp.example")) <
            w->served[0].records[i].owner.n) {
            parts++;
            assert_true(w->served[0].records[i].rdata.n <= BH_SPF_TEXT_MAX + 2);
        }
    assert_in_range(parts, 2, BH_SPF_PARTS_MAX);
    assert_string_equal(state_of(w, "198.51.100.177"), "usable");
}

static void test_commands_are_checked(void **state)
{
    struct world *w = *state;

    assert_false(run(w, ADDRESS("add", "default", "192.0.2.300")));
    assert_false(run(w, ADDRESS("add", "nowhere", "198.51.100.7")));
    assert_false(run(w, ADDRESS("add", "default", "192.0.2.25")));
    assert_false(run(w, ADDRESS("remove", "default", "192.0.2.25")));
    assert_false(run(w, "{\"noun\":\"pool\",\"verb\":\"remove\",\"args\":{\"name\":\"default\"}}"));
    assert_false(run(w, "{\"noun\":\"pool\",\"verb\":\"add\",\"args\":{\"name\":\"Bad Name\"}}"));
    assert_true(run(w, "{\"noun\":\"pool\",\"verb\":\"add\",\"args\":{\"name\":\"spare\"}}"));
    assert_true(run(w, "{\"noun\":\"pool\",\"verb\":\"remove\",\"args\":{\"name\":\"spare\"}}"));
    assert_true(run(w, "{\"noun\":\"pool\",\"verb\":\"list\"}"));
    assert_int_equal(json_array_size(json_object_get(w->got, "result")), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_address_waits_for_every_server),
        TEST(test_a_silent_steward_makes_nothing_usable),
        TEST(test_an_address_is_withdrawn_when_its_mail_is_old),
        TEST(test_the_only_address_of_a_pool_is_replaced),
        TEST(test_a_customer_moves_to_another_pool),
        TEST(test_the_planned_change_of_an_address),
        TEST(test_the_configured_addresses),
        TEST(test_many_addresses),
        TEST(test_a_nested_include_counts),
        TEST(test_an_owner_of_addresses_is_asked),
        TEST(test_commands_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
