/* Sites when sessions fail: whatever servers do and in whatever order sessions end, nobody connects without end. The
 * sessions here are only counted; the test ends them. */
#include "roles/sender/sender.h"
#include "unit.h"
#include <stdlib.h>

struct session {
    struct bh_list link;
    struct site *site;
    struct bh_tls_plan plan;
    size_t index;
};

static struct {
    size_t opened;
    size_t deferred;
    struct session *open[8];
    size_t open_count;
    enum bh_tlsa_state tlsa[2];
    enum bh_sts_mode mode;
    const char *policy, *note;
    size_t noted;
    const char *phase; /* of those that were deferred */
} world;

struct bh_list *bh_session_link(struct session *session)
{
    return &session->link;
}

struct session *bh_session_of(struct bh_list *link)
{
    return BH_CONTAINER_OF(link, struct session, link);
}

struct session *bh_session_open(struct sender *sender, struct site *site, const struct session_wish *wish)
{
    struct session *session = calloc(1, sizeof(*session));

    assert_non_null(session);
    assert_true(world.open_count < sizeof(world.open) / sizeof(world.open[0]));
    assert_true(wish->count > 0);
    bh_list_init(&session->link);
    session->site = site;
    session->plan = wish->tries[0].plan;
    session->index = wish->tries[0].index;
    world.opened++;
    world.open[world.open_count++] = session;
    return session;
}

bool bh_session_offer(struct session *session)
{
    return false;
}

void bh_session_close(struct session *session)
{
    bh_list_remove(&session->link);
    free(session);
}

struct exchange *bh_exchange_begin(struct sender *sender, bh_str domain, bool host_only, uint16_t port,
                                   exchange_done *done, void *ctx)
{
    static const struct address addresses[2] = {{.host = 0}, {.host = 1}};
    struct mx_host hosts[2] = {{.name = "mx1.receiver.example", .tlsa = world.tlsa[0]},
                               {.name = "mx2.receiver.example", .tlsa = world.tlsa[1]}};

    done(ctx, &(struct exchange_result){.outcome = EXCHANGE_FOUND,
                                        .addresses = addresses,
                                        .count = 2,
                                        .ttl_s = 3600,
                                        .hosts = hosts,
                                        .host_count = 2});
    return NULL;
}

struct sts *bh_sts_begin(struct sender *sender, bh_str domain, sts_done *done, void *ctx)
{
    if (world.policy)
        done(ctx, &(struct sts_result){.mode = world.mode, .policy = bh_str_c(world.policy), .ttl_s = 3600});
    return NULL;
}

void bh_sts_cancel(struct sts *sts)
{
}

void bh_tls_note(struct sender *sender, const struct tls_note *note)
{
    world.note = note->failure ? note->failure : "success";
    world.noted++;
}

void bh_tell_site(struct sender *sender, const char *domain, const struct exchange_result *result)
{
}

void bh_exchange_cancel(struct exchange *exchange)
{
}

void bh_delivery_end(struct delivery *delivery, const struct delivery_end *end)
{
    assert_int_equal(end->verdict, BH_DEFERRED);
    world.phase = end->phase;
    world.deferred++;
}

/* The oldest session ends. */
static void end_first(enum session_end how)
{
    struct session *session = world.open[0];

    assert_true(world.open_count > 0);
    memmove(world.open, world.open + 1, --world.open_count * sizeof(world.open[0]));
    if (how == SESSION_FAILED)
        bh_site_address_failed(session->site, session->index);
    bh_site_session_gone(session->site, session, how, "the server does not speak SMTP");
    free(session);
}

struct fixture {
    struct bh_role role;
    struct bh_config config;
    struct sender sender;
    struct delivery deliveries[4];
};

static void begin_anew(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    memset(&world, 0, sizeof(world));
}

static void begin_in(struct fixture *f, size_t count)
{
    f->config.connections_per_site = 4;
    f->config.connection_limit = 100;
    f->config.hostname = BH_STR("mta1.on.esp.example");
    f->role.config = &f->config;
    f->sender.role = &f->role;
    f->role.loop = bh_loop_new();
    assert_non_null(f->role.loop);
    for (size_t i = 0; i < count; i++) {
        f->deliveries[i].sender = &f->sender;
        f->deliveries[i].arena = bh_arena_new(4096);
        f->deliveries[i].message.recipient = BH_STR("a@receiver.example");
        bh_site_add(&f->deliveries[i]);
    }
}

static void begin(struct fixture *f, size_t count)
{
    begin_anew(f);
    begin_in(f, count);
}

static void end(struct fixture *f)
{
    for (size_t i = 0; i < 4; i++)
        bh_arena_free(f->deliveries[i].arena);
    bh_sites_free(&f->sender);
    bh_loop_free(f->role.loop);
}

/* Once the addresses were tried, each in turn, all is deferred; while a session is left, no new one takes its place. */
static void staggered_failures_end(void **state)
{
    struct fixture f;

    begin(&f, 3);
    for (int i = 0; i < 20 && world.open_count; i++)
        end_first(SESSION_FAILED);
    assert_int_equal(world.open_count, 0);
    assert_int_equal(world.deferred, 3);
    assert_string_equal(world.phase, "connect");
    assert_in_range(world.opened, 3, 4);
    end(&f);
}

/* A session that served others is no failure: those that wait get the next one. */
static void a_worked_session_is_followed(void **state)
{
    struct fixture f;

    begin(&f, 2);
    assert_int_equal(world.opened, 2);
    assert_non_null(bh_site_next(world.open[0]->site));
    end_first(SESSION_WORKED);
    end_first(SESSION_FAILED);
    assert_int_equal(world.deferred, 0);
    assert_true(world.open_count > 0);
    while (world.open_count)
        end_first(SESSION_FAILED);
    assert_int_equal(world.deferred, 1);
    end(&f);
}

static const char one_mx[] = "version: STSv1\nmode: enforce\nmx: mx2.receiver.example\nmax_age: 86400\n";

/* TLS that does not work and need not: the same host at once in clear, nothing is deferred. */
static void broken_tls_goes_on_in_clear(void **state)
{
    struct fixture f;

    begin(&f, 1);
    assert_int_equal(world.open[0]->plan.step, BH_TLS_MAY);
    bh_site_no_tls(world.open[0]->site, world.open[0]->index);
    end_first(SESSION_AGAIN);
    assert_int_equal(world.deferred, 0);
    assert_int_equal(world.open_count, 1);
    assert_int_equal(world.open[0]->index, 0);
    assert_int_equal(world.open[0]->plan.step, BH_TLS_NEVER);
    end_first(SESSION_WORKED);
    end(&f);
}

/* A host whose TLSA look-up failed is passed over; the other one is used. When none is left, mail waits. */
static void bogus_hosts_are_passed_over(void **state)
{
    struct fixture f;

    begin_anew(&f);
    world.tlsa[0] = BH_TLSA_FAILED;
    begin_in(&f, 1);
    assert_int_equal(world.open_count, 1);
    assert_int_equal(world.open[0]->index, 1);
    assert_string_equal(world.note, "dnssec-invalid");
    end_first(SESSION_WORKED);
    end(&f);

    begin_anew(&f);
    world.tlsa[0] = world.tlsa[1] = BH_TLSA_FAILED;
    begin_in(&f, 2);
    assert_int_equal(world.opened, 0);
    assert_int_equal(world.deferred, 2);
    assert_string_equal(world.phase, "tls");
    end(&f);
}

static void enforced_policy_chooses_hosts(void **state)
{
    struct fixture f;

    begin_anew(&f);
    world.mode = BH_STS_ENFORCE;
    world.policy = one_mx;
    begin_in(&f, 1);
    assert_int_equal(world.open_count, 1);
    assert_int_equal(world.open[0]->index, 1);
    assert_int_equal(world.open[0]->plan.step, BH_TLS_MUST);
    assert_int_equal(world.open[0]->plan.check, BH_TLS_CHECK_NAME);
    end_first(SESSION_FAILED);
    assert_int_equal(world.deferred, 1);
    assert_int_equal(world.open_count, 0);
    end(&f);
}

/* Two wishes for one domain are two sites: what one may do in clear is not open to the other. */
static void wishes_do_not_mix(void **state)
{
    struct fixture f;

    begin(&f, 1);
    f.deliveries[1].sender = &f.sender;
    f.deliveries[1].arena = bh_arena_new(4096);
    f.deliveries[1].message.recipient = BH_STR("a@receiver.example");
    f.deliveries[1].message.tls = BH_TLS_LEVEL_VERIFIED;
    bh_site_add(&f.deliveries[1]);
    assert_int_equal(world.open_count, 2);
    assert_int_equal(world.open[0]->plan.step, BH_TLS_MAY);
    assert_int_equal(world.open[1]->plan.step, BH_TLS_MUST);
    assert_int_equal(world.open[1]->plan.check, BH_TLS_CHECK_NAME);
    end_first(SESSION_WORKED);
    end_first(SESSION_WORKED);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(staggered_failures_end),        cmocka_unit_test(a_worked_session_is_followed),
        cmocka_unit_test(broken_tls_goes_on_in_clear),   cmocka_unit_test(bogus_hosts_are_passed_over),
        cmocka_unit_test(enforced_policy_chooses_hosts), cmocka_unit_test(wishes_do_not_mix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
