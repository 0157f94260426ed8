/* queued_world.c: see queued_world.h. */
#include "queued_world.h"

#include "queue/message_id.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DOMAINS = 5 };

/* ---- what the engine says ---- */

static void take_files(struct world *w);

/* False: this comes from one who is dead already. */
static bool is_heard(struct world *w)
{
    if (w->dead)
        return false;
    if (w->die_after && --w->die_after == 0) {
        take_files(w);
        w->dead = true;
    }
    return true;
}

static void submit_reply(void *ctx, const struct bh_requester *to, const struct bh_msg_submit_reply *reply)
{
    struct world *w = ctx;

    if (!is_heard(w))
        return;
    assert_true(w->reply_count < WORLD_MAX);
    w->replies[w->reply_count++] = (struct reply){to->id, reply->ok, reply->message_id, reply->code};
}

static void event_reply(void *ctx, const struct bh_requester *to, bool ok)
{
    struct world *w = ctx;

    (void)to;
    w->events_told += ok;
    w->events_refused += !ok;
}

/* One reply per message of the batch, or one that refuses it. */
static void batch_reply(void *ctx, const struct bh_requester *to, const struct bh_msg_submit_batch_reply *reply)
{
    struct world *w = ctx;
    struct bh_cur ids = bh_cur_make(reply->ids);
    struct bh_rec_message_ref ref = {0};

    if (!is_heard(w))
        return;
    do {
        bool more = bh_rec_message_ref_next(&ids, &ref) == BH_MORE;

        if (!more && reply->ok)
            return;
        assert_true(w->reply_count < WORLD_MAX);
        w->replies[w->reply_count++] = (struct reply){to->id, reply->ok, ref.message_id, reply->code};
    } while (reply->ok);
}

static void command_reply(void *ctx, const struct bh_requester *to, bh_str json)
{
    struct world *w = ctx;

    (void)to;
    free(w->command_answer);
    w->command_answer = strndup(json.p, json.n);
}

static uint32_t check_add(uint32_t check, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check = check * 31 + (unsigned char)p[i];
    return check;
}

static uint32_t check_fd(int fd, uint64_t size)
{
    char bytes[8192];
    uint32_t check = 0;
    uint64_t at = 0;
    ssize_t n;

    while ((n = pread(fd, bytes, sizeof(bytes), (off_t)at)) > 0) {
        check = check_add(check, bytes, (size_t)n);
        at += (uint64_t)n;
    }
    assert_int_equal(at, size);
    return check;
}

static void copy_text(char *to, size_t cap, bh_str from)
{
    to[0] = '\0';
    assert_ok(bh_str_to_c(from, to, cap));
}

static void copy_domain(struct delivery *to, const struct bh_msg_deliver *d)
{
    struct bh_cur keys = bh_cur_make(d->keys);
    struct bh_rec_sealed_key key;

    copy_text(to->domain, sizeof(to->domain), bh_str_skip(d->recipient, bh_str_rfind(d->recipient, '@') + 1));
    if (bh_rec_sealed_key_next(&keys, &key) == BH_MORE)
        copy_text(to->selector, sizeof(to->selector), key.selector);
}

static bh_err deliver(void *ctx, void *peer, const struct bh_msg_deliver *d, int body_fd)
{
    struct world *w = ctx;
    struct sender *sender = peer;

    if (w->deaf)
        return BH_E_CLOSED;
    assert_true(sender->held_count < WORLD_MAX);
    assert_true((body_fd >= 0) == (d->body.p == NULL));
    if (!is_heard(w))
        return BH_OK;
    w->deliver_count++;
    sender->held[sender->held_count++] =
        (struct delivery){.delivery_id = d->delivery_id,
                          .message = d->message_id,
                          .idx = d->recipient_index,
                          .attempt = d->attempt,
                          .size = d->size,
                          .open = true,
                          .body_check = body_fd >= 0 ? check_fd(body_fd, d->size) : check_add(0, d->body.p, d->body.n)};
    copy_text(sender->held[sender->held_count - 1].address4, sizeof(sender->held[0].address4), d->address4);
    copy_domain(&sender->held[sender->held_count - 1], d);
    copy_text(sender->held[sender->held_count - 1].site, sizeof(sender->held[0].site), d->site);
    copy_text(sender->held[sender->held_count - 1].route_host, sizeof(sender->held[0].route_host), d->route_host);
    return BH_OK;
}

static bh_err result_ack(void *ctx, void *peer, bh_str deliveries)
{
    struct sender *sender = peer;
    struct bh_cur list = bh_cur_make(deliveries);
    struct bh_rec_delivery_ref ref;

    if (!is_heard(ctx))
        return BH_OK;
    while (bh_rec_delivery_ref_next(&list, &ref) == BH_MORE)
        for (size_t i = 0; i < sender->held_count; i++)
            if (sender->held[i].delivery_id == ref.delivery_id)
                sender->held[i--] = sender->held[--sender->held_count];
    return BH_OK;
}

static bh_err ask_identity(void *ctx, const struct bh_msg_identity *question, uint64_t token)
{
    struct world *w = ctx;

    assert_str(question->from_domain, "shop.example");
    assert_true(w->token_count < 1000);
    w->tokens[w->token_count++] = token;
    w->questions++;
    return BH_OK;
}

static void put_grant(void *ctx, struct bh_buf *out, uint64_t delivery_id, uint32_t customer_id,
                      const struct bh_rec_sealed_key *key, bh_time_ms now)
{
    (void)ctx;
    (void)now;
    bh_buf_printf(out, "grant %llu %u %llu", (unsigned long long)delivery_id, customer_id,
                  (unsigned long long)key->key_id);
}

static void want_turn(void *ctx)
{
    ((struct world *)ctx)->wants_turn = true;
}

static void wake_at(void *ctx, bh_time_ms at)
{
    ((struct world *)ctx)->wake_at = at;
}

static bh_time_ms now(void *ctx)
{
    return ((struct world *)ctx)->now;
}

static uint64_t free_bytes(void *ctx)
{
    return ((struct world *)ctx)->free_bytes;
}

static const struct bh_queued_ops ops = {.submit_reply = submit_reply,
                                         .batch_reply = batch_reply,
                                         .command_reply = command_reply,
                                         .deliver = deliver,
                                         .event_reply = event_reply,
                                         .result_ack = result_ack,
                                         .ask_identity = ask_identity,
                                         .put_grant = put_grant,
                                         .want_turn = want_turn,
                                         .wake_at = wake_at,
                                         .now = now,
                                         .free_bytes = free_bytes};

/* ---- life ---- */

static void name_files(struct world *w)
{
    (void)snprintf(w->db, sizeof(w->db), "%s/%d/spool.db", w->dir, w->generation);
    (void)snprintf(w->body_dir, sizeof(w->body_dir), "%s/%d/body", w->dir, w->generation);
}

static void open_engine(struct world *w)
{
    struct bh_store_problem problem = {""};

    if (bh_store_open(&(struct bh_store_options){w->db, &bh_spool_schema, "queued", w->vfs}, &problem, &w->store))
        fail_msg("%s", problem.text);
    w->options.store = w->store;
    w->options.body_dir = w->body_dir;
    if (bh_queued_new(&w->options, &problem, &w->engine))
        fail_msg("%s", problem.text);
    bh_queued_gate(w->engine, true);
    w->token_count = 0;
    w->wants_turn = true;
    for (int i = 0; i < SENDERS; i++)
        w->senders[i].worker = NULL;
    w->steward.worker = NULL;
}

static void make_dir(struct world *w)
{
    char dir[128];

    (void)snprintf(dir, sizeof(dir), "%s/%d", w->dir, w->generation);
    assert_int_equal(mkdir(dir, 0700), 0);
    name_files(w);
}

void world_new(struct world *w, uint32_t sender_count)
{
    struct bh_migration migration;

    *w = (struct world){.now = BH_ID_EPOCH_MS + INT64_C(5000000000), .answer_identities = true, .wake_at = INT64_MAX};
    bh_random_seeded_init(&w->random, 11);
    w->log = (struct bh_log){open("/dev/null", O_WRONLY | O_CLOEXEC), BH_LOG_ERROR, "queued", false};
    w->options = (struct bh_queued_options){.ops = &ops,
                                            .ctx = w,
                                            .random = &w->random.base,
                                            .log = &w->log,
                                            .seed = {1, 2},
                                            .message_size_max = 10 << 20,
                                            .retention_ms = INT64_C(86400000),
                                            .sender_count = sender_count};
    w->free_bytes = UINT64_MAX;
    w->identity = (struct bh_msg_identity_reply){.allowed = 1, .version = 1, .bounce_domain = BH_STR("b.shop.example")};
    w->replies = calloc(WORLD_MAX, sizeof(*w->replies));
    for (int i = 0; i < SENDERS; i++)
        w->senders[i] =
            (struct sender){.world = w, .serves = BH_TO_WORLD, .held = calloc(WORLD_MAX, sizeof(struct delivery))};
    w->steward =
        (struct sender){.world = w, .serves = BH_TO_STEWARD, .held = calloc(WORLD_MAX, sizeof(struct delivery))};
    /* memory where there is: thousands of commits, and no power is cut here */
    (void)snprintf(w->dir, sizeof(w->dir), "%s/bh_queued_XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    make_dir(w);
    assert_ok(bh_store_migrate(&(struct bh_store_options){w->db, &bh_spool_schema, "migrate", NULL}, NULL, &migration));
    open_engine(w);
}

static void remove_tree(const char *dir)
{
    char command[200];

    (void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

void world_free(struct world *w)
{
    bh_queued_free(w->engine);
    bh_store_close(w->store);
    remove_tree(w->dir);
    for (int i = 0; i < SENDERS; i++)
        free(w->senders[i].held);
    free(w->steward.held);
    free(w->replies);
    free(w->command_answer);
    (void)close(w->log.fd);
}

void world_shut(struct world *w)
{
    char old[160];

    (void)snprintf(old, sizeof(old), "%s/%d", w->dir, w->generation);
    bh_queued_free(w->engine);
    bh_store_close(w->store);
    w->engine = NULL;
    w->store = NULL;
    remove_tree(old);
    w->generation++;
    make_dir(w);
    assert_int_equal(mkdir(w->body_dir, 0700), 0);
}

void world_open(struct world *w)
{
    for (int i = 0; i < SENDERS; i++)
        w->senders[i].held_count = 0;
    w->reply_count = 0;
    open_engine(w);
}

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC), out;
    ssize_t n;

    if (in < 0)
        return;
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(out >= 0);
    while ((n = read(in, bytes, sizeof(bytes))) > 0)
        assert_int_equal(write(out, bytes, (size_t)n), n);
    (void)close(in);
    (void)close(out);
}

struct path {
    char text[512];
};

static struct path path_of(const char *dir, const char *name)
{
    struct path path;

    (void)snprintf(path.text, sizeof(path.text), "%s/%s", dir, name);
    return path;
}

/* The bodies by a second name each: what the dying one still unlinks, it unlinks for itself. */
static void take_bodies(const char *from, const char *to)
{
    DIR *dir = opendir(from);

    assert_int_equal(mkdir(to, 0700), 0);
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir))
        if (entry->d_name[0] != '.')
            assert_int_equal(linkat(dirfd(dir), entry->d_name, AT_FDCWD, path_of(to, entry->d_name).text, 0), 0);
    if (dir)
        (void)closedir(dir);
}

/* The files as they are now, in the next generation's directory. What dies may write to its own only. */
static void take_files(struct world *w)
{
    char from[160], to[160], old[128], old_bodies[128];

    (void)snprintf(old, sizeof(old), "%s", w->db);
    (void)snprintf(old_bodies, sizeof(old_bodies), "%s", w->body_dir);
    w->generation++;
    make_dir(w);
    copy_file(old, w->db);
    (void)snprintf(from, sizeof(from), "%s-wal", old);
    (void)snprintf(to, sizeof(to), "%s-wal", w->db);
    copy_file(from, to);
    take_bodies(old_bodies, w->body_dir);
}

void world_kill(struct world *w)
{
    if (!w->dead)
        take_files(w);
    bh_queued_free(w->engine);
    bh_store_close(w->store);
    w->dead = false;
    w->die_after = 0;
    open_engine(w);
}

/* ---- senders ---- */

static void tell_result(struct world *w, struct sender *s, const struct delivery *d)
{
    struct bh_msg_result result = {.delivery_id = d->delivery_id,
                                   .message_id = d->message,
                                   .recipient_index = d->idx,
                                   .verdict = d->verdict,
                                   .code = d->verdict == BH_DELIVERED  ? 250
                                           : d->verdict == BH_DEFERRED ? 451
                                                                       : 550,
                                   .text = BH_STR("as \"scripted\"\x01\0\x1b"),
                                   .phase = BH_STR("body"),
                                   .remote = BH_STR("mx.example [192.0.2.1]:25")};

    assert_ok(bh_queued_result(w->engine, s->worker, &result));
}

void world_connect(struct world *w, struct sender *s, uint32_t slots)
{
    struct bh_buf list = bh_buf_make(1 << 20);

    assert_ok(bh_queued_worker_up(w->engine, s, s->serves, &s->worker));
    for (size_t i = 0; i < s->held_count; i++)
        if (s->held[i].open)
            bh_rec_delivery_ref_put(
                &list, &(struct bh_rec_delivery_ref){s->held[i].delivery_id, s->held[i].message, s->held[i].idx});
    assert_ok(bh_queued_in_flight(w->engine, s->worker, bh_buf_view(&list)));
    bh_buf_free(&list);
    for (size_t i = 0; i < s->held_count; i++)
        if (s->held[i].has_result)
            tell_result(w, s, &s->held[i]);
    bh_queued_slots(w->engine, s->worker, slots);
}

void world_disconnect(struct world *w, struct sender *s)
{
    bh_queued_worker_down(w->engine, s->worker);
    s->worker = NULL;
}

void world_refuse(struct world *w, struct sender *s, size_t at, uint16_t code, const char *text)
{
    struct delivery *d = &s->held[at];
    struct bh_msg_result result = {.delivery_id = d->delivery_id,
                                   .message_id = d->message,
                                   .recipient_index = d->idx,
                                   .verdict = code < 500 ? BH_DEFERRED : BH_BOUNCED,
                                   .code = code,
                                   .text = bh_str_c(text),
                                   .phase = code ? BH_STR("rcpt") : BH_STR("connect")};

    d->open = false;
    d->has_result = true;
    d->verdict = result.verdict;
    bh_queued_slots(w->engine, s->worker, 1);
    assert_ok(bh_queued_result(w->engine, s->worker, &result));
}

void world_result(struct world *w, struct sender *s, size_t at, uint8_t verdict)
{
    assert_true(at < s->held_count && s->held[at].open);
    s->held[at].open = false;
    s->held[at].has_result = true;
    s->held[at].verdict = verdict;
    if (!s->worker)
        return;
    tell_result(w, s, &s->held[at]);
    bh_queued_slots(w->engine, s->worker, 1);
}

/* ---- turns ---- */

void world_turn(struct world *w)
{
    while (w->answer_identities && w->token_count)
        bh_queued_identity(w->engine, w->tokens[--w->token_count], &w->identity);
    if (!w->wants_turn && w->wake_at > w->now)
        return;
    w->wants_turn = false;
    bh_queued_turn(w->engine);
}

void world_settle(struct world *w)
{
    for (int i = 0; i < 1000; i++) {
        world_turn(w);
        if (!w->wants_turn && w->wake_at > w->now && !(w->answer_identities && w->token_count))
            return;
    }
    fail_msg("the engine never comes to rest");
}

void world_advance(struct world *w, int64_t ms)
{
    bh_time_ms end = w->now + ms;

    world_settle(w);
    while (w->wake_at <= end) {
        w->now = w->wake_at > w->now ? w->wake_at : w->now;
        world_settle(w);
    }
    w->now = end;
    world_settle(w);
}

/* ---- submitting ---- */

static void make_body(uint32_t id, char *body, size_t size)
{
    struct bh_random_seeded random;

    bh_random_seeded_init(&random, id);
    bh_random_fill(&random.base, body, size);
}

uint32_t world_body_check(uint32_t id, size_t size)
{
    char *body = malloc(size + 1);
    uint32_t check;

    make_body(id, body, size);
    check = check_add(0, body, size);
    free(body);
    return check;
}

static uint64_t write_file(struct world *w, const struct bh_requester *from, const char *body, size_t size)
{
    uint64_t number = 0;
    int fd = -1;

    assert_ok(bh_queued_body_file(w->engine, from, size, &number, &fd));
    assert_int_equal(pwrite(fd, body, size, 0), size);
    assert_int_equal(fsync(fd), 0);
    return number;
}

void world_submit_to(struct world *w, uint32_t id, size_t size, const char *const *addresses, uint32_t count)
{
    struct bh_requester from = {w, 1, id};
    struct bh_buf list = bh_buf_make(1 << 20);
    char *body = malloc(size + 1);
    struct bh_msg_submit submit = {.customer_id = 7,
                                   .domain_id = 3,
                                   .header_from = BH_STR("ann@shop.example"),
                                   .from_domain = BH_STR("shop.example"),
                                   .mail_from = BH_STR("x@shop.example"),
                                   .client = BH_STR("192.0.2.9"),
                                   .protocol = BH_STR("ESMTPSA"),
                                   .campaign = bh_str_c(w->campaign ? w->campaign : ""),
                                   .send_at = w->send_at,
                                   .size = size};

    for (uint32_t i = 0; i < count; i++)
        bh_rec_recipient_put(&list, &(struct bh_rec_recipient){.address = bh_str_c(addresses[i])});
    submit.recipients = bh_buf_view(&list);
    submit.destination =
        count && strchr(addresses[0], '@') && strstr(addresses[0], "@b.shop") ? BH_TO_STEWARD : BH_TO_WORLD;
    make_body(id, body, size);
    if (size <= BH_INLINE_BODY_MAX)
        submit.body = bh_str_of(body, size);
    else
        submit.body_file = write_file(w, &from, body, size);
    bh_queued_submit(w->engine, &from, &submit);
    free(body);
    bh_buf_free(&list);
}

void world_submit(struct world *w, uint32_t id, size_t size, uint32_t recipients)
{
    char texts[20][40];
    const char *addresses[20];

    assert_true(recipients <= 20);
    for (uint32_t i = 0; i < recipients; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "a%u@D%u.example", i, (id + i) % DOMAINS);
        addresses[i] = texts[i];
    }
    world_submit_to(w, id, size, addresses, recipients);
}

const char *world_command(struct world *w, const char *json)
{
    struct bh_requester from = {w, 1, 1};

    free(w->command_answer);
    w->command_answer = NULL;
    bh_queued_command(w->engine, &from, bh_str_c(json));
    assert_non_null(w->command_answer);
    return w->command_answer;
}

static void take_count(void *ctx, const struct bh_row *row)
{
    *(int64_t *)ctx = bh_row_int(row, 0);
}

int64_t world_count(struct world *w, const struct bh_query *query)
{
    int64_t n = -1;

    bh_store_submit(w->store, &(struct bh_request){.query = query, .row = take_count, .ctx = &n});
    return n;
}
