/* Sites when sessions fail: whatever servers do and in whatever order sessions end, nobody connects without end. The
 * sessions here are only counted; the test ends them. */
#include "roles/sender/sender.h"
#include "unit.h"
#include <stdlib.h>

struct session {
    struct bh_list link;
    struct site *site;
};

static struct {
    size_t opened;
    size_t deferred;
    struct session *open[8];
    size_t open_count;
} world;

struct bh_list *bh_session_link(struct session *session)
{
    return &session->link;
}

struct session *bh_session_of(struct bh_list *link)
{
    return BH_CONTAINER_OF(link, struct session, link);
}

struct session *bh_session_open(struct sender *sender, struct site *site, const struct address *address, bh_str helo,
                                enum bh_smtp_client_tls tls)
{
    struct session *session = calloc(1, sizeof(*session));

    assert_non_null(session);
    assert_true(world.open_count < sizeof(world.open) / sizeof(world.open[0]));
    bh_list_init(&session->link);
    session->site = site;
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
    static const struct address addresses[2];

    done(ctx, &(struct exchange_result){EXCHANGE_FOUND, addresses, host_only ? 1 : 2, 3600, NULL, NULL});
    return NULL;
}

void bh_exchange_cancel(struct exchange *exchange)
{
}

void bh_delivery_end(struct delivery *delivery, const struct delivery_end *end)
{
    assert_int_equal(end->verdict, BH_DEFERRED);
    assert_string_equal(end->phase, "connect");
    world.deferred++;
}

/* The oldest session ends. */
static void end_first(bool worked)
{
    struct session *session = world.open[0];

    assert_true(world.open_count > 0);
    memmove(world.open, world.open + 1, --world.open_count * sizeof(world.open[0]));
    bh_site_session_gone(session->site, session, worked, "the server does not speak SMTP");
    free(session);
}

struct fixture {
    struct bh_role role;
    struct bh_config config;
    struct sender sender;
    struct delivery deliveries[4];
};

static void begin(struct fixture *f, size_t count)
{
    memset(f, 0, sizeof(*f));
    memset(&world, 0, sizeof(world));
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
        end_first(false);
    assert_int_equal(world.open_count, 0);
    assert_int_equal(world.deferred, 3);
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
    end_first(true);
    end_first(false);
    assert_int_equal(world.deferred, 0);
    assert_true(world.open_count > 0);
    while (world.open_count)
        end_first(false);
    assert_int_equal(world.deferred, 1);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(staggered_failures_end),
        cmocka_unit_test(a_worked_session_is_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
