/* controld's core with a store in memory, and the other roles played by this file: keyd answers at once or refuses,
 * DNS answers come from a list, zones and versions are counted. */
#include "roles/controld/command.h"
#include "unit.h"
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANSWERS_MAX = 64 };

struct answer {
    char name[256];
    uint16_t type;
    bool direct;
    char text[600];
};

struct world {
    struct bh_controld core;
    struct bh_psl *psl;
    struct bh_random_seeded random;
    bh_time_ms now;
    bool keyd_is_down;
    unsigned keys_made;
    bool dns_is_silent;
    struct answer answers[ANSWERS_MAX];
    size_t answer_count;
    bh_str soa_zone;
    unsigned zones, commits, versions, settles, submits;
    char last_zones[4000]; /* names, each followed by a blank */
    json_t *got;
    struct bh_arena *arena;
};

/* ---- the other roles ---- */

static bh_err make_key(void *ctx, const struct bh_key_order *order, bh_key_done *done, void *done_ctx)
{
    struct world *w = ctx;
    char record[80];
    struct bh_msg_key_reply reply = {.ok = 1, .algorithm = BH_KEY_RSA2048, .sealed = BH_STR("box"), .why = BH_STR("")};

    if (w->keyd_is_down)
        return BH_E_CLOSED;
    assert_int_not_equal(order->key_id, 0);
    (void)snprintf(record, sizeof(record), "v=DKIM1; k=rsa; p=MIIBkey%u", ++w->keys_made);
    reply.public_record = bh_str_c(record);
    done(done_ctx, BH_OK, &reply);
    return BH_OK;
}

static const struct answer *find_answer(const struct world *w, const struct bh_msg_dns_ask *ask)
{
    for (size_t i = 0; i < w->answer_count; i++)
        if (w->answers[i].type == ask->type && w->answers[i].direct == (ask->direct != 0) &&
            bh_str_eq_ci(bh_str_c(w->answers[i].name), ask->name))
            return &w->answers[i];
    return NULL;
}

static void put_rdata(struct bh_buf *out, uint16_t type, bh_str text)
{
    struct bh_arena *arena = bh_arena_new(1 << 16);
    struct bh_zone zone = bh_zone_make(arena, BH_STR("x"));

    if (type == BH_DNS_TXT)
        bh_zone_add_txt(&zone, zone.apex, 1, text);
    else
        bh_zone_add(&zone, zone.apex, 1, type, text);
    assert_ok(bh_zone_err(&zone));
    bh_rec_dns_rdata_put(out, &(struct bh_rec_dns_rdata){zone.records[0].rdata});
    bh_arena_free(arena);
}

/* Several values of an answer stand in one text, separated by '|'. */
static bh_err ask_dns(void *ctx, const struct bh_msg_dns_ask *ask, bh_dns_asked *done, void *done_ctx)
{
    struct world *w = ctx;
    const struct answer *answer = find_answer(w, ask);
    struct bh_buf rdatas = bh_buf_make(1 << 16), views = bh_buf_make(1 << 16);
    struct bh_rec_dns_server_view view = {
        .server = BH_STR("ns 192.0.2.1"), .status = BH_DNS_NXDOMAIN, .zone = w->soa_zone};
    bh_str rest = answer ? bh_str_c(answer->text) : BH_STR("");

    if (w->dns_is_silent)
        return BH_E_CLOSED;
    while (rest.n)
        put_rdata(&rdatas, ask->type, bh_str_cut(rest, '|', &rest));
    view.status = answer ? BH_DNS_FOUND : BH_DNS_NXDOMAIN;
    view.rdatas = bh_buf_view(&rdatas);
    bh_rec_dns_server_view_put(&views, &view);
    done(done_ctx, BH_OK, &(struct bh_msg_dns_ask_reply){bh_buf_view(&views)});
    bh_buf_free(&rdatas);
    bh_buf_free(&views);
    return BH_OK;
}

static bh_err count_dns(void *ctx, uint32_t limit, bh_dns_counted *done, void *done_ctx)
{
    struct bh_buf zones = bh_buf_make(1 << 12);

    (void)ctx, (void)limit;
    bh_rec_dns_zone_stats_put(&zones, &(struct bh_rec_dns_zone_stats){.zone = BH_STR("a.example"), .positive = 2});
    done(done_ctx, &(struct bh_msg_dns_stats_reply){.udp_queries = 3, .zones = bh_buf_view(&zones)}, false);
    done(done_ctx, NULL, false);
    done(done_ctx, &(struct bh_msg_dns_stats_reply){.udp_queries = 4, .zones = bh_buf_view(&zones)}, true);
    bh_buf_free(&zones);
    return BH_OK;
}

static bh_err ask_queue(void *ctx, bh_str json, bh_json_done *done, void *done_ctx)
{
    (void)ctx, (void)json;
    done(done_ctx, BH_OK, BH_STR("{\"ok\":true,\"result\":\"from the queue\"}"));
    return BH_OK;
}

static bh_err submit(void *ctx, const struct bh_msg_submit *message, int fd, bh_submit_done *done, void *done_ctx)
{
    struct world *w = ctx;

    (void)message, (void)fd;
    w->submits++;
    done(done_ctx, BH_OK, &(struct bh_msg_submit_reply){.ok = 1, .message_id = 7});
    return BH_OK;
}

static void take_zone(void *ctx, const struct bh_zone *zone)
{
    struct world *w = ctx;
    size_t n = strlen(w->last_zones);

    w->zones++;
    (void)snprintf(w->last_zones + n, sizeof(w->last_zones) - n, "%.*s ", BH_FMT(zone->apex));
}

static void take_removal(void *ctx, bh_str name)
{
    (void)ctx, (void)name;
}

static void take_commit(void *ctx, uint64_t version, bool whole, uint32_t serial)
{
    (void)serial;
    (void)version, (void)whole;
    ((struct world *)ctx)->commits++;
}

static void take_version(void *ctx, uint64_t version)
{
    (void)version;
    ((struct world *)ctx)->versions++;
}

static void take_wake(void *ctx, int64_t in_ms)
{
    (void)ctx, (void)in_ms;
}

static void take_settle(void *ctx)
{
    ((struct world *)ctx)->settles++;
}

static void take_log(void *ctx, enum bh_log_level level, const char *text, bh_str subject)
{
    (void)ctx, (void)level, (void)text, (void)subject;
}

static bh_time_ms read_clock(void *ctx)
{
    return ((struct world *)ctx)->now;
}

static const struct bh_controld_out orders = {make_key,     ask_dns,   count_dns,    ask_queue,
                                              submit,       take_zone, take_removal, take_commit,
                                              take_version, take_wake, take_settle,  take_log};

/* ---- the world ---- */

static const bh_str addresses[] = {{"192.0.2.25", 10}};
static const struct bh_platform_ns name_servers[] = {{{"ns1", 3}, addresses, 1}, {{"ns2", 3}, addresses, 1}};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    bh_random_seeded_init(&w->random, 7);
    w->now = 1000000;
    w->soa_zone = BH_STR("customer.example");
    w->arena = bh_arena_new(8 << 20);
    assert_ok(bh_psl_new(NULL, &w->psl));
    w->core.random = &w->random.base;
    w->core.suffixes = bh_psl_base(w->psl);
    w->core.out = &orders;
    w->core.out_ctx = w;
    w->core.clock = read_clock;
    w->core.message_size_max = 1 << 20;
    w->core.platform = (struct bh_platform){.domain = BH_STR("on.esp.example"),
                                            .ns = name_servers,
                                            .ns_count = 2,
                                            .inbound_host = BH_STR("in1.on.esp.example"),
                                            .inbound_addresses = addresses,
                                            .inbound_address_count = 1,
                                            .egress = addresses,
                                            .egress_count = 1,
                                            .helo = BH_STR("mta1.on.esp.example"),
                                            .caa = BH_STR(""),
                                            .dmarc_policy = BH_STR("none"),
                                            .ttl_s = 300};
    assert_ok(
        bh_store_open(&(struct bh_store_options){.path = ":memory:", .schema = &bh_control_schema, .owner = "test"},
                      NULL, &w->core.store));
    assert_ok(bh_controld_start(&w->core));
    bh_controld_need_keys(&w->core);
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

/* Runs a command, which must end at once. True when it says ok. */
static bool run(struct world *w, const char *json)
{
    json_decref(w->got);
    w->got = NULL;
    bh_command_run(&w->core, bh_str_c(json), -1, take_answer, w);
    assert_non_null(w->got);
    return json_is_true(json_object_get(w->got, "ok"));
}

static const char *said(const struct world *w, const char *name)
{
    return json_string_value(json_object_get(json_object_get(w->got, "result"), name));
}

static const char *error_code(const struct world *w)
{
    return json_string_value(json_object_get(json_object_get(w->got, "error"), "code"));
}

static void settle(struct world *w)
{
    w->last_zones[0] = '\0';
    bh_controld_settle(&w->core);
}

static void answer_dns(struct world *w, const char *name, uint16_t type, bool direct, const char *text)
{
    struct answer *answer = &w->answers[w->answer_count++];

    assert_true(w->answer_count < ANSWERS_MAX);
    (void)snprintf(answer->name, sizeof(answer->name), "%s", name);
    (void)snprintf(answer->text, sizeof(answer->text), "%s", text);
    answer->type = type;
    answer->direct = direct;
}

/* Publishes what the last `domain add` asked for, all of a name and type in one answer. */
static void publish_required(struct world *w)
{
    const json_t *records = json_object_get(json_object_get(w->got, "result"), "records");

    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);
        const char *name = json_string_value(json_object_get(record, "name"));
        const char *value = json_string_value(json_object_get(record, "value"));
        uint16_t type = 0;
        struct answer *last = w->answer_count ? &w->answers[w->answer_count - 1] : NULL;
        size_t n = last ? strlen(last->text) : 0;

        if (!json_is_true(json_object_get(record, "required")))
            continue;
        assert_ok(bh_dns_type_parse(bh_str_c(json_string_value(json_object_get(record, "type"))), &type));
        if (last && last->type == type && strcmp(last->name, name) == 0)
            (void)snprintf(last->text + n, sizeof(last->text) - n, "|%s", value);
        else
            answer_dns(w, name, type, true, value);
    }
}

static void add_customers(struct world *w)
{
    assert_true(run(w, "{\"noun\":\"customer\",\"verb\":\"add\",\"args\":{\"name\":\"acme\"}}"));
    assert_true(run(w, "{\"noun\":\"customer\",\"verb\":\"add\",\"args\":{\"name\":\"other\"}}"));
}

#define ADD(name, customer, approach)                                                                                  \
    "{\"noun\":\"domain\",\"verb\":\"add\",\"args\":{\"name\":\"" name "\",\"customer\":\"" customer                   \
    "\",\"approach\":\"" approach "\"}}"
#define CHECK(name, customer)                                                                                          \
    "{\"noun\":\"domain\",\"verb\":\"check\",\"args\":{\"domain\":\"" name "\",\"customer\":\"" customer "\"}}"

/* A delegated domain of acme, verified. */
static void verify_delegation(struct world *w)
{
    add_customers(w);
    assert_true(run(w, ADD("email.customer.example", "acme", "delegation")));
    publish_required(w);
    answer_dns(w, "bh1._domainkey.email.customer.example", BH_DNS_TXT, false, "v=DKIM1; k=rsa; p=MIIBkey4");
    answer_dns(w, "bounce.email.customer.example", BH_DNS_TXT, false, "v=spf1 ip4:192.0.2.25 ~all");
    answer_dns(w, "_dmarc.customer.example", BH_DNS_TXT, true, "v=DMARC1; p=reject");
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "verified");
}

static struct bh_msg_may_send_reply may_send(struct world *w, uint32_t customer, const char *domain)
{
    struct bh_msg_may_send ask = {customer, BH_STR("news@x"), bh_str_c(domain)};
    struct bh_msg_may_send_reply reply;

    bh_lookup_may_send(&w->core, w->arena, &ask, &reply);
    return reply;
}

static uint32_t customer_id(struct world *w, const char *name)
{
    struct bh_customer customer;

    assert_ok(bh_customer_by_name(w->core.store, w->arena, bh_str_c(name), &customer));
    return (uint32_t)customer.id;
}

/* ---- tests ---- */

static void test_the_platform_has_keys(void **state)
{
    struct world *w = *state;
    struct bh_domain own;
    struct bh_domain_view view;

    assert_int_equal(w->keys_made, 3);
    assert_ok(bh_domain_by_name(w->core.store, w->arena, BH_STR("on.esp.example"), 0, &own));
    assert_ok(bh_controld_view(&w->core, w->arena, own.id, false, &view));
    assert_int_equal(view.key_count, 3);
    assert_int_equal(view.keys[0].state, BH_KEY_ACTIVE);
    bh_controld_need_keys(&w->core);
    assert_int_equal(w->keys_made, 3);
}

static void test_commands_are_strict(void **state)
{
    struct world *w = *state;

    assert_false(run(w, "{\"noun\":\"customer\",\"verb\":\"fly\"}"));
    assert_string_equal(error_code(w), "invalid");
    assert_false(run(w, "not json"));
    assert_false(run(w, "{\"noun\":\"customer\",\"verb\":\"add\",\"args\":{\"name\":\"a\",\"colour\":\"red\"}}"));
    assert_string_equal(error_code(w), "invalid");
    assert_false(run(w, "{\"noun\":\"customer\",\"verb\":\"add\",\"args\":{\"name\":\"-a\"}}"));
    assert_true(run(w, "{\"noun\":\"queue\",\"verb\":\"list\"}"));
    assert_string_equal(json_string_value(json_object_get(w->got, "result")), "from the queue");
}

static void test_logins(void **state)
{
    struct world *w = *state;
    unsigned char hash[crypto_hash_sha256_BYTES];
    struct bh_msg_login ask;
    struct bh_msg_login_reply reply;
    char username[200], revoke[300];

    add_customers(w);
    assert_true(run(w, "{\"noun\":\"credential\",\"verb\":\"add\",\"args\":{\"customer\":\"acme\"}}"));
    assert_int_equal(strlen(said(w, "password")), 32);
    (void)crypto_hash_sha256(hash, (const unsigned char *)said(w, "password"), 32);
    (void)snprintf(username, sizeof(username), "%s", said(w, "username"));
    ask = (struct bh_msg_login){bh_str_c(username), bh_str_of((const char *)hash, sizeof(hash))};
    bh_lookup_login(&w->core, w->arena, &ask, &reply);
    assert_int_equal(reply.ok, 1);
    assert_str(reply.customer, "acme");
    hash[0] ^= 1;
    bh_lookup_login(&w->core, w->arena, &ask, &reply);
    assert_int_equal(reply.ok, 0);
    hash[0] ^= 1;
    (void)snprintf(revoke, sizeof(revoke),
                   "{\"noun\":\"credential\",\"verb\":\"revoke\",\"args\":{\"username\":\"%s\"}}", username);
    assert_true(run(w, revoke));
    bh_lookup_login(&w->core, w->arena, &ask, &reply);
    assert_int_equal(reply.ok, 0);
    assert_str(reply.why, "credential is revoked");
}

static void test_adding_pushes_zones(void **state)
{
    struct world *w = *state;

    settle(w);
    add_customers(w);
    assert_true(run(w, ADD("email.customer.example", "acme", "delegation")));
    assert_int_equal(json_array_size(json_object_get(json_object_get(w->got, "result"), "keys")), 3);
    settle(w);
    assert_non_null(strstr(w->last_zones, "email.customer.example "));
    assert_non_null(strstr(w->last_zones, "rua.on.esp.example "));
    assert_null(strstr(w->last_zones, "dkim.on.esp.example "));
    assert_true(run(w, ADD("other.example", "acme", "cname")));
    settle(w);
    assert_non_null(strstr(w->last_zones, ".dkim.on.esp.example "));
    assert_null(strstr(w->last_zones, "email.customer.example "));
    assert_false(run(w, ADD("other.example", "acme", "cname")));
    assert_string_equal(error_code(w), "exists");
    assert_false(run(w, ADD("co.uk", "acme", "cname")));
    assert_false(run(w, ADD("x.on.esp.example", "acme", "cname")));
    assert_false(run(w, ADD("x.example", "acme", "platform")));
}

static void test_without_keyd_nothing_is_left_behind(void **state)
{
    struct world *w = *state;

    add_customers(w);
    w->keyd_is_down = true;
    assert_false(run(w, ADD("other.example", "acme", "cname")));
    assert_string_equal(error_code(w), "temporary");
    w->keyd_is_down = false;
    assert_true(run(w, ADD("other.example", "acme", "cname")));
}

static void test_sending_opens_with_the_proof(void **state)
{
    struct world *w = *state;
    struct bh_msg_may_send_reply may;
    struct bh_msg_identity_reply identity;
    struct bh_cur cur;
    struct bh_rec_sealed_key key;
    uint64_t version;

    add_customers(w);
    assert_true(run(w, ADD("email.customer.example", "acme", "delegation")));
    may = may_send(w, customer_id(w, "acme"), "email.customer.example");
    assert_int_equal(may.allowed, 0);
    assert_true(may.code >= 400);
    version = may.version;

    publish_required(w);
    answer_dns(w, "bh1._domainkey.email.customer.example", BH_DNS_TXT, false, "v=DKIM1; k=rsa; p=MIIBkey4");
    answer_dns(w, "bounce.email.customer.example", BH_DNS_TXT, false, "v=spf1 ip4:192.0.2.25 ~all");
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "verified");
    assert_string_equal(said(w, "zone_apex"), "customer.example");

    may = may_send(w, customer_id(w, "acme"), "email.customer.example");
    assert_int_equal(may.allowed, 1);
    assert_true(may.version > version);
    assert_int_equal(may_send(w, customer_id(w, "acme"), "customer.example").allowed, 1);
    assert_int_equal(may_send(w, customer_id(w, "acme"), "shop.customer.example").allowed, 0);
    assert_int_equal(may_send(w, customer_id(w, "acme"), "example").allowed, 0);

    bh_lookup_identity(&w->core, w->arena,
                       &(struct bh_msg_identity){customer_id(w, "acme"), may.domain_id, BH_STR("a@x"),
                                                 BH_STR("email.customer.example")},
                       &identity);
    assert_int_equal(identity.allowed, 1);
    assert_str(identity.bounce_domain, "bounce.email.customer.example");
    cur = bh_cur_make(identity.keys);
    assert_int_equal(bh_rec_sealed_key_next(&cur, &key), BH_MORE);
    assert_str(key.selector, "bh1");
    assert_str(key.domain, "email.customer.example");
    assert_str(key.sealed, "box");
    assert_int_equal(bh_rec_sealed_key_next(&cur, &key), BH_DONE);
}

static void test_nobody_sends_as_another(void **state)
{
    struct world *w = *state;
    struct bh_msg_may_send_reply may;
    struct bh_msg_identity_reply identity;

    verify_delegation(w);
    may = may_send(w, customer_id(w, "other"), "email.customer.example");
    assert_int_equal(may.allowed, 0);
    assert_int_equal(may.code, 550);
    bh_lookup_identity(
        &w->core, w->arena,
        &(struct bh_msg_identity){customer_id(w, "other"), 1, BH_STR("a@x"), BH_STR("email.customer.example")},
        &identity);
    assert_int_equal(identity.allowed, 0);
    assert_int_equal(identity.permanent, 1);
    assert_int_equal(identity.keys.n, 0);
}

static void test_a_name_that_another_verified(void **state)
{
    struct world *w = *state;
    struct bh_domain mine, theirs;

    verify_delegation(w);
    settle(w);
    assert_true(run(w, ADD("email.customer.example", "other", "delegation")));
    settle(w);
    assert_null(strstr(w->last_zones, "email.customer.example ")); /* what is served stays acme's */
    for (int i = 0; i < 3; i++) {
        assert_true(run(w, CHECK("email.customer.example", "other")));
        assert_string_equal(said(w, "state"), "pending");
    }
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "verified");
    assert_ok(
        bh_domain_by_name(w->core.store, w->arena, BH_STR("email.customer.example"), customer_id(w, "acme"), &mine));
    assert_ok(
        bh_domain_by_name(w->core.store, w->arena, BH_STR("email.customer.example"), customer_id(w, "other"), &theirs));
    assert_string_not_equal(mine.token.id, theirs.token.id);
}

static void test_the_delegation_moves_to_who_is_asked_for(void **state)
{
    struct world *w = *state;

    add_customers(w);
    assert_true(run(w, ADD("email.customer.example", "acme", "delegation"))); /* first, but the owner chose the other */
    assert_true(run(w, ADD("email.customer.example", "other", "delegation")));
    publish_required(w);
    settle(w);
    assert_true(run(w, CHECK("email.customer.example", "other")));
    assert_string_equal(said(w, "state"), "partial"); /* the zone is only now the one that is served */
    settle(w);
    assert_non_null(strstr(w->last_zones, "email.customer.example "));
}

static void test_loss_is_held_then_suspended(void **state)
{
    struct world *w = *state;
    struct bh_msg_identity ask;
    struct bh_msg_identity_reply identity;

    verify_delegation(w);
    ask = (struct bh_msg_identity){customer_id(w, "acme"), 2, BH_STR("a@x"), BH_STR("email.customer.example")};
    w->dns_is_silent = true; /* not knowing is not losing */
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "verified");
    w->dns_is_silent = false;
    w->answer_count = 0;
    w->now += 1000;
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "degraded");
    assert_int_equal(may_send(w, customer_id(w, "acme"), "email.customer.example").allowed, 1);
    bh_lookup_identity(&w->core, w->arena, &ask, &identity);
    assert_int_equal(identity.allowed, 0);
    assert_int_equal(identity.permanent, 0);
    w->now += 72 * 3600 * 1000;
    assert_true(run(w, CHECK("email.customer.example", "acme")));
    assert_string_equal(said(w, "state"), "suspended");
    assert_int_equal(may_send(w, customer_id(w, "acme"), "email.customer.example").allowed, 0);
    bh_lookup_identity(&w->core, w->arena, &ask, &identity);
    assert_int_equal(identity.allowed, 0);
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"checks\",\"args\":{\"domain\":\"email.customer.example\"}}"));
    assert_int_equal(json_array_size(json_object_get(w->got, "result")), 3);
}

static void test_import_of_a_key(void **state)
{
    struct world *w = *state;
    const json_t *keys;

    add_customers(w);
    assert_true(run(w, ADD("x.example", "acme", "manual")));
    assert_false(
        run(w, "{\"noun\":\"dkim\",\"verb\":\"import\",\"args\":{\"domain\":\"x.example\",\"selector\":\"s1\"}}"));
    json_decref(w->got);
    w->got = NULL;
    bh_command_run(
        &w->core,
        BH_STR("{\"noun\":\"dkim\",\"verb\":\"import\",\"args\":{\"domain\":\"x.example\",\"selector\":\"s1\"}}"),
        dup(0), take_answer, w);
    assert_string_equal(said(w, "selector"), "s1");
    assert_string_equal(said(w, "state"), "active");
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"show\",\"args\":{\"domain\":\"x.example\"}}"));
    keys = json_object_get(json_object_get(w->got, "result"), "keys");
    assert_int_equal(json_array_size(keys), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(keys, 0), "state")), "withdrawn");
}

static void test_bounce_domains(void **state)
{
    struct world *w = *state;
    struct bh_msg_bounce_domain_reply reply;

    verify_delegation(w);
    bh_lookup_bounce_domain(&w->core, w->arena, &(struct bh_msg_bounce_domain){BH_STR("Bounce.Email.customer.example")},
                            &reply);
    assert_int_equal(reply.ours, 1);
    assert_int_equal(reply.customer_id, customer_id(w, "acme"));
    bh_lookup_bounce_domain(&w->core, w->arena, &(struct bh_msg_bounce_domain){BH_STR("customer.example")}, &reply);
    assert_int_equal(reply.ours, 0);
}

static void count_zone(void *ctx, const struct bh_zone *zone)
{
    (void)zone;
    (*(int *)ctx)++;
}

static void test_a_new_dnsd_gets_everything(void **state)
{
    struct world *w = *state;
    int zones = 0;

    verify_delegation(w);
    assert_true(run(w, ADD("other.example", "acme", "cname")));
    assert_ok(bh_publish_all(&w->core, count_zone, &zones));
    /* platform, rua, four kinds for each of three shards (the platform's, acme's two), the delegated one */
    assert_int_equal(zones, 2 + 4 * 3 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_platform_has_keys, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_commands_are_strict, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_logins, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_adding_pushes_zones, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_without_keyd_nothing_is_left_behind, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_sending_opens_with_the_proof, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_nobody_sends_as_another, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_name_that_another_verified, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_the_delegation_moves_to_who_is_asked_for, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_loss_is_held_then_suspended, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_import_of_a_key, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_bounce_domains, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_new_dnsd_gets_everything, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
