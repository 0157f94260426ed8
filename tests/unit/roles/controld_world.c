/* controld_world.c: see controld_world.h. */
#include "controld_world.h"
#include <stdlib.h>

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
    if (w->keyd_is_slow) {
        w->late_key = done;
        w->late_key_ctx = done_ctx;
        return BH_OK;
    }
    done(done_ctx, BH_OK, &reply);
    return BH_OK;
}

void answer_late_key(struct world *w)
{
    char record[80];
    struct bh_msg_key_reply reply = {.ok = 1, .algorithm = BH_KEY_RSA2048, .sealed = BH_STR("box"), .why = BH_STR("")};

    (void)snprintf(record, sizeof(record), "v=DKIM1; k=rsa; p=MIIBkey%u", w->keys_made);
    reply.public_record = bh_str_c(record);
    w->keyd_is_slow = false;
    w->late_key(w->late_key_ctx, BH_OK, &reply);
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

static void let_happen(struct world *w)
{
    void (*meanwhile)(struct world *) = w->meanwhile;

    w->meanwhile = NULL;
    if (meanwhile)
        meanwhile(w);
}

/* Several values of an answer stand in one text, separated by '|'. */
static bh_err ask_dns(void *ctx, const struct bh_msg_dns_ask *ask, bh_dns_asked *done, void *done_ctx)
{
    struct world *w = ctx;
    const struct answer *answer = find_answer(w, ask);
    struct bh_buf rdatas = bh_buf_make(1 << 16), views = bh_buf_make(1 << 16);
    struct bh_rec_dns_server_view view = {
        .server = BH_STR("ns 192.0.2.1"), .status = BH_DNS_NXDOMAIN, .ttl_s = w->ttl_s, .zone = w->soa_zone};
    bh_str rest = answer ? bh_str_c(answer->text) : BH_STR("");

    if (w->dns_is_silent)
        return BH_E_CLOSED;
    if (w->dns_hangs) {
        bh_buf_free(&rdatas);
        return BH_OK;
    }
    while (rest.n)
        put_rdata(&rdatas, ask->type, bh_str_cut(rest, '|', &rest));
    view.status = answer ? BH_DNS_FOUND : BH_DNS_NXDOMAIN;
    view.rdatas = bh_buf_view(&rdatas);
    bh_rec_dns_server_view_put(&views, &view);
    if (bh_str_starts(ask->name, w->meanwhile_at))
        let_happen(w);
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
    struct bh_rec_recipient recipient;

    (void)fd;
    if (w->queued_is_down)
        return BH_E_CLOSED;
    (void)snprintf(w->last_submit, sizeof(w->last_submit), "%.*s", BH_FMT(message->body));
    (void)snprintf(w->last_recipients, sizeof(w->last_recipients), "%.*s", 0, "");
    for (struct bh_cur cur = bh_cur_make(message->recipients); bh_rec_recipient_next(&cur, &recipient) == BH_MORE;) {
        size_t n = strlen(w->last_recipients);

        (void)snprintf(w->last_recipients + n, sizeof(w->last_recipients) - n, "%.*s ", BH_FMT(recipient.address));
    }
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
    struct world *w = ctx;
    size_t n = strlen(w->last_removals);

    (void)snprintf(w->last_removals + n, sizeof(w->last_removals) - n, "%.*s ", BH_FMT(name));
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

static bh_err key_use(void *ctx, uint64_t key, bh_key_used *done, void *done_ctx)
{
    struct world *w = ctx;
    struct bh_buf uses = bh_buf_make(64);

    if (w->queued_is_down)
        return BH_E_CLOSED;
    bh_rec_key_use_put(&uses, &(struct bh_rec_key_use){key, w->key_signed_at, w->keys_in_hand});
    let_happen(w);
    done(done_ctx, BH_OK, &(struct bh_msg_key_use_reply){bh_buf_view(&uses), 0, 1});
    bh_buf_free(&uses);
    return BH_OK;
}

static bh_err revoke_keys(void *ctx, const uint64_t *keys, size_t count, bh_told *done, void *done_ctx)
{
    struct world *w = ctx;

    if (w->keyd_is_down)
        return BH_E_CLOSED;
    w->revoked_count = count;
    w->last_revoked = count ? keys[count - 1] : 0;
    if (done)
        done(done_ctx, BH_OK);
    return BH_OK;
}

static void take_keys_wake(void *ctx, int64_t in_ms)
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

static bh_err take_events(void *ctx, bh_str events, bh_told *done, void *done_ctx)
{
    struct world *world = ctx;
    struct bh_cur list = bh_cur_make(events);
    struct bh_rec_told_event event;

    world->tellings++;
    while (bh_rec_told_event_next(&list, &event) == BH_MORE && world->told_count < 8) {
        world->told_kinds[world->told_count] = event.kind;
        assert_ok(bh_str_to_c(event.key, world->told_keys[world->told_count++], sizeof(world->told_keys[0])));
    }
    if (world->queued_away)
        return BH_E_CLOSED;
    done(done_ctx, BH_OK);
    return BH_OK;
}

static const struct bh_controld_out orders = {.make_key = make_key,
                                              .ask_dns = ask_dns,
                                              .dns_stats = count_dns,
                                              .ask_queue = ask_queue,
                                              .submit = submit,
                                              .zone = take_zone,
                                              .zone_remove = take_removal,
                                              .zones_commit = take_commit,
                                              .version = take_version,
                                              .wake = take_wake,
                                              .settle = take_settle,
                                              .key_use = key_use,
                                              .revoke_keys = revoke_keys,
                                              .wake_keys = take_keys_wake,
                                              .log = take_log,
                                              .tell_events = take_events};

/* ---- the world ---- */

static const bh_str addresses[] = {{"192.0.2.25", 10}};
static const struct bh_platform_ns name_servers[] = {{{"ns1", 3}, addresses, 1}, {{"ns2", 3}, addresses, 1}};

int open_world(void **state)
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

int close_world(void **state)
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

void take_answer(void *ctx, json_t *answer)
{
    struct world *w = ctx;

    json_decref(w->got);
    w->got = answer;
}

bool run(struct world *w, const char *json)
{
    json_decref(w->got);
    w->got = NULL;
    bh_command_run(&w->core, bh_str_c(json), -1, take_answer, w);
    if (!w->got) { /* a check pauses when it begins to serve a zone */
        w->now += 1000;
        bh_controld_wake(&w->core);
    }
    assert_non_null(w->got);
    return json_is_true(json_object_get(w->got, "ok"));
}

const char *said(const struct world *w, const char *name)
{
    return json_string_value(json_object_get(json_object_get(w->got, "result"), name));
}

const char *error_code(const struct world *w)
{
    return json_string_value(json_object_get(json_object_get(w->got, "error"), "code"));
}

void settle(struct world *w)
{
    w->last_zones[0] = w->last_removals[0] = '\0';
    bh_controld_settle(&w->core);
}

void answer_dns(struct world *w, const char *name, uint16_t type, bool direct, const char *text)
{
    struct answer *answer = &w->answers[w->answer_count++];

    assert_true(w->answer_count < ANSWERS_MAX);
    (void)snprintf(answer->name, sizeof(answer->name), "%s", name);
    (void)snprintf(answer->text, sizeof(answer->text), "%s", text);
    answer->type = type;
    answer->direct = direct;
}

void publish_required(struct world *w)
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

void add_customers(struct world *w)
{
    assert_true(run(w, "{\"noun\":\"customer\",\"verb\":\"add\",\"args\":{\"name\":\"acme\"}}"));
    assert_true(run(w, "{\"noun\":\"customer\",\"verb\":\"add\",\"args\":{\"name\":\"other\"}}"));
}

void verify_delegation(struct world *w)
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

struct bh_msg_may_send_reply may_send(struct world *w, uint32_t customer, const char *domain)
{
    struct bh_msg_may_send ask = {customer, BH_STR("news@x"), bh_str_c(domain)};
    struct bh_msg_may_send_reply reply;

    bh_lookup_may_send(&w->core, w->arena, &ask, &reply);
    return reply;
}

uint32_t customer_id(struct world *w, const char *name)
{
    struct bh_customer customer;

    assert_ok(bh_customer_by_name(w->core.store, w->arena, bh_str_c(name), &customer));
    return (uint32_t)customer.id;
}
