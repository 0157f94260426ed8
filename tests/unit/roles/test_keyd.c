/* test_keyd.c: a real keyd process among peers that were taken over: whatever they ask without the right to it is
 * refused, and keyd goes on serving the others. */
#include "base/clock.h"
#include "fake_peer.h"
#include "roles/config.h"
#include "roles/grant.h"
#include <signal.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct world {
    struct fake_peer master, controld, queued, sender;
    pid_t pid;
    uint8_t queued_key[BH_GRANT_KEY_BYTES], controld_key[BH_GRANT_KEY_BYTES];
    struct bh_buf sealed[2]; /* of customers 1 and 2 */
};

/* What a grant is about; customer k has domain "k.example". */
static const bh_str domains[] = {{"1.example", 9}, {"2.example", 9}};

static struct bh_grant grant_for(size_t customer)
{
    return (struct bh_grant){.kind = BH_GRANT_DKIM,
                             .granter = BH_ROLE_QUEUED,
                             .delivery_id = 7,
                             .customer_id = (uint32_t)customer + 1,
                             .key_id = 100 + customer,
                             .domain = domains[customer],
                             .selector = BH_STR("s1"),
                             .expires_at = bh_clock_now() + 60000};
}

/* ---- asking ---- */

/* The reason of the refusal; 0: signed; -1: no answer. */
static int ask_item(struct world *w, bh_str grant, bh_str sealed, size_t digest_bytes)
{
    static const char digest[64] = {0};
    struct bh_buf items = bh_buf_make(1 << 20), body = bh_buf_make(1 << 20);
    struct bh_msg_signatures reply;
    struct bh_rec_signature signature = {.refused = 99};
    struct bh_cur list;
    bool answered;

    bh_rec_sign_item_put(&items, &(struct bh_rec_sign_item){5, grant, sealed, bh_str_of(digest, digest_bytes)});
    bh_msg_sign_put(&body, &(struct bh_msg_sign){bh_buf_view(&items)});
    fake_say(&w->sender, BH_MSG_SIGN, 1, &body, -1);
    answered = fake_wait(&w->sender, BH_MSG_SIGNATURES);
    if (answered) {
        assert_ok(bh_msg_signatures_get(bh_buf_view(&w->sender.body), &reply));
        list = bh_cur_make(reply.items);
        assert_int_equal(bh_rec_signature_next(&list, &signature), BH_MORE);
        assert_int_equal(signature.item, 5);
        assert_int_equal(signature.signature.n, signature.refused ? 0 : 64);
    }
    bh_buf_free(&items);
    bh_buf_free(&body);
    return answered ? signature.refused : -1;
}

static int ask(struct world *w, const struct bh_grant *grant, const uint8_t *key, bh_str sealed)
{
    struct bh_buf bytes = bh_buf_make(BH_GRANT_BYTES_MAX);
    int refused;

    bh_grant_put(&bytes, key, grant);
    refused = ask_item(w, bh_buf_view(&bytes), sealed, 32);
    bh_buf_free(&bytes);
    return refused;
}

static void ask_for_key(struct fake_peer *from, uint16_t type, size_t customer, int fd)
{
    struct bh_buf body = bh_buf_make(1000);

    bh_msg_key_generate_put(&body, &(struct bh_msg_key_generate){BH_KEY_ED25519, (uint32_t)customer + 1, 100 + customer,
                                                                 domains[customer], BH_STR("s1"), BH_STR("")});
    fake_say(from, type, 9, &body, fd);
    bh_buf_free(&body);
}

static struct bh_msg_key_reply key_reply(struct world *w, uint16_t type)
{
    struct bh_msg_key_reply reply;

    assert_true(fake_wait(&w->controld, type));
    assert_ok(bh_msg_key_reply_get(bh_buf_view(&w->controld.body), &reply));
    return reply;
}

/* ---- the world ---- */

static void connect_sender(struct world *w, uint32_t instance)
{
    fake_connect(&w->master, &w->sender, BH_ROLE_SENDER, instance);
    fake_hello(&w->sender, BH_ROLE_SENDER, instance);
    assert_true(fake_wait(&w->sender, BH_MSG_SUBKEYS));
}

static void connect_granter(struct world *w, struct fake_peer *fake, enum bh_role_kind kind, uint8_t *ret_key)
{
    struct bh_msg_grant_key key;

    fake_connect(&w->master, fake, kind, 0);
    fake_hello(fake, kind, 0);
    assert_true(fake_wait(fake, BH_MSG_GRANT_KEY));
    assert_ok(bh_msg_grant_key_get(bh_buf_view(&fake->body), &key));
    assert_int_equal(key.key.n, BH_GRANT_KEY_BYTES);
    memcpy(ret_key, key.key.p, BH_GRANT_KEY_BYTES);
}

static void send_secret(struct world *w)
{
    struct bh_buf body = bh_buf_make(100);
    int fd = memfd_create("secret", MFD_CLOEXEC);
    char text[65];

    memset(text, 'a', 64);
    text[64] = '\n';
    assert_int_equal(pwrite(fd, text, sizeof(text), 0), sizeof(text));
    bh_msg_file_put(&body, &(struct bh_msg_file){BH_STR("master-secret")});
    fake_say(&w->master, BH_MSG_FILE, 0, &body, fd);
    (void)close(fd);
    bh_buf_free(&body);
}

static void send_start(struct world *w)
{
    struct bh_config config = {
        .signer_threads = 2, .key_cache = 100, .bounce_keep_s = 86400, .smtpd_count = 1, .sender_count = 1};
    struct bh_buf bytes = bh_buf_make(1 << 16), body = bh_buf_make(1 << 17);

    bh_config_put(&bytes, &config);
    bh_msg_start_put(&body, &(struct bh_msg_start){.config = bh_buf_view(&bytes)});
    fake_say(&w->master, BH_MSG_START, 0, &body, -1);
    assert_true(fake_wait(&w->master, BH_MSG_READY));
    bh_buf_free(&bytes);
    bh_buf_free(&body);
}

/* The list of revoked keys: empty, or of this one. */
static void tell_revoked(struct world *w, uint64_t key)
{
    struct bh_buf ids = bh_buf_make(64), body = bh_buf_make(128);

    if (key)
        bh_rec_key_ref_put(&ids, &(struct bh_rec_key_ref){key});
    bh_msg_keys_revoked_put(&body, &(struct bh_msg_keys_revoked){bh_buf_view(&ids)});
    fake_say(&w->controld, BH_MSG_KEYS_REVOKED, 3, &body, -1);
    assert_true(fake_wait(&w->controld, BH_MSG_KEYS_REVOKED_REPLY));
    bh_buf_free(&ids);
    bh_buf_free(&body);
}

static int open_world(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));

    w->pid = fake_start(&w->master, TEST_KEYD);
    send_secret(w);
    send_start(w);
    connect_granter(w, &w->controld, BH_ROLE_CONTROLD, w->controld_key);
    connect_granter(w, &w->queued, BH_ROLE_QUEUED, w->queued_key);
    tell_revoked(w, 0);
    connect_sender(w, 0);
    for (size_t i = 0; i < 2; i++) {
        struct bh_msg_key_reply reply;

        ask_for_key(&w->controld, BH_MSG_KEY_GENERATE, i, -1);
        reply = key_reply(w, BH_MSG_KEY_GENERATE_REPLY);
        assert_int_equal(reply.ok, 1);
        w->sealed[i] = bh_buf_make(10000);
        bh_buf_add(&w->sealed[i], reply.sealed);
    }
    *state = w;
    return 0;
}

/* keyd lives and serves; then it ends in order. */
static int close_world(void **state)
{
    struct world *w = *state;
    int status;

    fake_close(&w->sender);
    connect_sender(w, 9);
    assert_int_equal(ask(w, &(struct bh_grant){0}, w->queued_key, BH_STR("")), 4);
    assert_int_equal(ask(w, (struct bh_grant[]){grant_for(0)}, w->queued_key, bh_buf_view(&w->sealed[0])), 0);
    fake_close(&w->master);
    assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    fake_close(&w->controld);
    fake_close(&w->queued);
    fake_close(&w->sender);
    bh_buf_free(&w->sealed[0]);
    bh_buf_free(&w->sealed[1]);
    test_free(w);
    return 0;
}

/* ---- a sender that was taken over ---- */

static void test_a_revoked_key_signs_no_more(void **state)
{
    struct world *w = *state;
    struct bh_grant grant = grant_for(0), other = grant_for(1);

    assert_int_equal(ask(w, &grant, w->queued_key, bh_buf_view(&w->sealed[0])), 0);
    tell_revoked(w, grant.key_id);
    assert_int_equal(ask(w, &grant, w->queued_key, bh_buf_view(&w->sealed[0])), 6);
    assert_int_equal(ask(w, &other, w->queued_key, bh_buf_view(&w->sealed[1])), 0);
    tell_revoked(w, 0);
    assert_int_equal(ask(w, &grant, w->queued_key, bh_buf_view(&w->sealed[0])), 0);
}

static void test_nothing_without_a_grant(void **state)
{
    struct world *w = *state;
    bh_str sealed = bh_buf_view(&w->sealed[0]);
    struct bh_grant grant = grant_for(0);
    uint8_t guessed[BH_GRANT_KEY_BYTES] = {1};
    char zeros[100] = {0};

    assert_int_equal(ask_item(w, BH_STR(""), sealed, 32), 1);
    assert_int_equal(ask_item(w, bh_str_of(zeros, sizeof(zeros)), sealed, 32), 1);
    assert_int_equal(ask(w, &grant, guessed, sealed), 1);
    assert_int_equal(ask(w, &grant, w->controld_key, sealed), 1);
    grant.expires_at = bh_clock_now() - 1;
    assert_int_equal(ask(w, &grant, w->queued_key, sealed), 4);
}

static void test_a_grant_opens_only_what_it_names(void **state)
{
    struct world *w = *state;
    struct bh_grant mine = grant_for(0), other[5];
    bh_str sealed = bh_buf_view(&w->sealed[0]);

    assert_int_equal(ask(w, &mine, w->queued_key, bh_buf_view(&w->sealed[1])), 2);
    for (size_t i = 0; i < 5; i++)
        other[i] = mine;
    other[0].customer_id = 2;
    other[1].key_id = 101;
    other[2].domain = BH_STR("2.example");
    other[3].selector = BH_STR("s2");
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ask(w, &other[i], w->queued_key, sealed), 2);
    other[4].kind = BH_GRANT_ARC;
    assert_int_equal(ask(w, &other[4], w->queued_key, sealed), 1);
    mine.granter = BH_ROLE_CONTROLD;
    assert_int_equal(ask(w, &mine, w->queued_key, sealed), 1);
}

static void test_flipped_bits(void **state)
{
    struct world *w = *state;
    struct bh_buf grant = bh_buf_make(BH_GRANT_BYTES_MAX), sealed = bh_buf_make(10000);

    bh_grant_put(&grant, w->queued_key, (struct bh_grant[]){grant_for(0)});
    bh_buf_add(&sealed, bh_buf_view(&w->sealed[0]));
    for (size_t i = 0; i < grant.n; i += 3) {
        grant.p[i] = (char)(grant.p[i] ^ 0x10);
        assert_int_equal(ask_item(w, bh_buf_view(&grant), bh_buf_view(&sealed), 32), 1);
        grant.p[i] = (char)(grant.p[i] ^ 0x10);
    }
    for (size_t i = 0; i < sealed.n; i += 5) {
        sealed.p[i] = (char)(sealed.p[i] ^ 1);
        assert_int_equal(ask_item(w, bh_buf_view(&grant), bh_buf_view(&sealed), 32), 2);
        sealed.p[i] = (char)(sealed.p[i] ^ 1);
    }
    assert_int_equal(ask_item(w, bh_buf_view(&grant), bh_str_of(sealed.p, sealed.n - 1), 32), 2);
    assert_int_equal(ask_item(w, bh_buf_view(&grant), bh_buf_view(&sealed), 31), 3);
    assert_int_equal(ask_item(w, bh_buf_view(&grant), bh_buf_view(&sealed), 33), 3);
    assert_int_equal(ask_item(w, bh_buf_view(&grant), bh_buf_view(&sealed), 32), 0);
    bh_buf_free(&grant);
    bh_buf_free(&sealed);
}

static void test_a_sender_makes_no_keys(void **state)
{
    struct world *w = *state;
    static const uint16_t types[] = {BH_MSG_KEY_GENERATE, BH_MSG_KEY_IMPORT, BH_MSG_GRANT_KEY, BH_MSG_START,
                                     BH_MSG_PEER,         BH_MSG_FILE,       BH_MSG_HELLO};

    for (uint32_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        ask_for_key(&w->sender, types[i], 0, -1);
        assert_true(fake_is_closed(&w->sender));
        fake_close(&w->sender);
        connect_sender(w, i + 1);
    }
}

/* Two name servers have the same cookie secrets, three of them, and may ask for nothing. */
static void test_name_servers_share_cookie_secrets(void **state)
{
    struct world *w = *state;
    struct bh_buf first = bh_buf_make(1 << 12);
    struct bh_msg_subkeys message;
    struct bh_rec_subkey key;
    struct fake_peer dnsd;
    struct bh_cur list;
    size_t count = 0;

    for (uint32_t i = 0; i < 2; i++) {
        fake_connect(&w->master, &dnsd, BH_ROLE_DNSD, i);
        fake_hello(&dnsd, BH_ROLE_DNSD, i);
        assert_true(fake_wait(&dnsd, BH_MSG_SUBKEYS));
        if (i == 0)
            bh_buf_add(&first, bh_buf_view(&dnsd.body));
        else
            assert_true(bh_str_eq(bh_buf_view(&first), bh_buf_view(&dnsd.body)));
        ask_for_key(&dnsd, BH_MSG_KEY_GENERATE, 0, -1);
        assert_true(fake_is_closed(&dnsd));
        fake_close(&dnsd);
    }
    assert_ok(bh_msg_subkeys_get(bh_buf_view(&first), &message));
    assert_str(message.purpose, "cookie");
    list = bh_cur_make(message.keys);
    while (bh_rec_subkey_next(&list, &key) == BH_MORE) {
        assert_int_equal(key.key.n, 32);
        count++;
    }
    assert_int_equal(count, 3);
    bh_buf_free(&first);
}

static void test_others_do_not_sign(void **state)
{
    struct world *w = *state;
    struct bh_buf body = bh_buf_make(100);

    bh_msg_sign_put(&body, &(struct bh_msg_sign){BH_STR("")});
    fake_say(&w->queued, BH_MSG_SIGN, 1, &body, -1);
    assert_true(fake_is_closed(&w->queued));
    bh_msg_sign_put(&body, &(struct bh_msg_sign){BH_STR("")});
    fake_say(&w->controld, BH_MSG_SIGN, 1, &body, -1);
    assert_true(fake_is_closed(&w->controld));
    bh_buf_free(&body);
}

static void test_a_false_hello(void **state)
{
    struct world *w = *state;
    struct fake_peer peer;

    fake_connect(&w->master, &peer, BH_ROLE_SMTPD, 4);
    fake_hello(&peer, BH_ROLE_QUEUED, 0); /* wants queued's grant key */
    assert_true(fake_is_closed(&peer));
    fake_close(&peer);
}

static void test_packets_too_large(void **state)
{
    struct world *w = *state;
    struct bh_buf items = bh_buf_make(1 << 20), body = bh_buf_make(1 << 20), big = bh_buf_make(1 << 20);

    fake_raw(&w->sender, BH_STR("\x7f\xff\xff\xff\x00\x3c\x00\x00\x00\x00\x00\x01"));
    assert_true(fake_is_closed(&w->sender));
    fake_close(&w->sender);

    connect_sender(w, 1); /* more items than a packet may hold */
    for (int i = 0; i < 9; i++)
        bh_rec_sign_item_put(&items, &(struct bh_rec_sign_item){.item = 1});
    bh_msg_sign_put(&body, &(struct bh_msg_sign){bh_buf_view(&items)});
    fake_say(&w->sender, BH_MSG_SIGN, 1, &body, -1);
    assert_true(fake_is_closed(&w->sender));
    fake_close(&w->sender);

    connect_sender(w, 2); /* a sealed object larger than any */
    memset(bh_buf_reserve(&big, 500000), 'x', 500000);
    bh_buf_commit(&big, 500000);
    assert_int_equal(ask(w, (struct bh_grant[]){grant_for(0)}, w->queued_key, bh_buf_view(&big)), 5);
    bh_buf_free(&items);
    bh_buf_free(&body);
    bh_buf_free(&big);
}

static void test_keys_from_what_is_no_file(void **state)
{
    struct world *w = *state;
    int pipes[2], empty = memfd_create("empty", MFD_CLOEXEC);

    assert_int_equal(pipe(pipes), 0);
    ask_for_key(&w->controld, BH_MSG_KEY_IMPORT, 0, pipes[0]);
    assert_int_equal(key_reply(w, BH_MSG_KEY_IMPORT_REPLY).ok, 0);
    ask_for_key(&w->controld, BH_MSG_KEY_IMPORT, 0, empty);
    assert_int_equal(key_reply(w, BH_MSG_KEY_IMPORT_REPLY).ok, 0);
    ask_for_key(&w->controld, BH_MSG_KEY_IMPORT, 0, -1);
    assert_int_equal(key_reply(w, BH_MSG_KEY_IMPORT_REPLY).ok, 0);
    assert_int_equal(pwrite(empty, "-----BEGIN PRIVATE KEY-----\nAAAA\n", 33, 0), 33);
    ask_for_key(&w->controld, BH_MSG_KEY_IMPORT, 0, empty);
    assert_int_equal(key_reply(w, BH_MSG_KEY_IMPORT_REPLY).ok, 0);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    (void)close(empty);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(test_a_revoked_key_signs_no_more),
                                       CASE(test_nothing_without_a_grant),
                                       CASE(test_a_grant_opens_only_what_it_names),
                                       CASE(test_flipped_bits),
                                       CASE(test_a_sender_makes_no_keys),
                                       CASE(test_name_servers_share_cookie_secrets),
                                       CASE(test_others_do_not_sign),
                                       CASE(test_a_false_hello),
                                       CASE(test_packets_too_large),
                                       CASE(test_keys_from_what_is_no_file)};

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
