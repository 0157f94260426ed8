/* test_client.c: client sessions against scripts, and against our own server with everything cut at random. */
#include "base/random.h"
#include "proto/smtp/client.h"
#include "proto/smtp/server.h"
#include "unit.h"

/* A script is one string: ">" lines must be written by the client, other lines are what the server says. "!" starts
 * the handshake, "@" gives the next message, "#" fails the connection. What happens is noted as {…}. */
struct play {
    struct bh_smtp_client *client;
    struct bh_buf written;
    struct bh_buf log;
    struct bh_smtp_client_message *messages;
    size_t given;
    char kept[4096]; /* said, but not taken yet */
    size_t kept_n;
};

static void note_result(struct play *play, const struct bh_smtp_result *r, const char *what)
{
    static const char *const outcomes[] = {"delivered", "temp", "perm", "unknown", "closed"};

    bh_buf_printf(&play->log, "{%s%s %s %s%s %u %u.%u.%u %.*s}", what, r->tag ? (const char *)r->tag : "",
                  outcomes[r->outcome], bh_smtp_phase_text(r->phase), r->session_fault ? "!" : "", r->code,
                  r->status.class, r->status.subject, r->status.detail, BH_FMT(r->text));
}

/* Takes all output with `room` iovecs and at most `step` bytes at a time. */
static void drain(struct bh_smtp_client *client, struct bh_buf *to, size_t room, size_t step)
{
    struct iovec iov[8];
    size_t count;

    while ((count = bh_smtp_client_output(client, iov, room))) {
        size_t left = step, sent = 0;

        for (size_t i = 0; i < count && left; i++) {
            size_t n = iov[i].iov_len < left ? iov[i].iov_len : left;

            bh_buf_add(to, bh_str_of(iov[i].iov_base, n));
            left -= n;
            sent += n;
        }
        bh_smtp_client_sent(client, sent);
    }
}

static void hear(struct play *play, bh_str *input)
{
    struct bh_smtp_result result;

    for (;;) {
        switch (bh_smtp_client_next(play->client, input, &result)) {
        case BH_SMTP_CLIENT_MORE:
            drain(play->client, &play->written, 8, SIZE_MAX);
            return;
        case BH_SMTP_CLIENT_STARTTLS:
            bh_buf_add(&play->log, BH_STR("{tls}"));
            break;
        case BH_SMTP_CLIENT_READY:
            bh_buf_add(&play->log, BH_STR("{ready}"));
            break;
        case BH_SMTP_CLIENT_RESULT:
            note_result(play, &result, "");
            break;
        case BH_SMTP_CLIENT_OVER:
            note_result(play, &result, "over");
            break;
        }
    }
}

static void follow(struct play *play, bh_str line)
{
    bh_str nothing = BH_STR("");

    if (line.p[0] == '>') {
        bh_str wanted = bh_str_skip(line, 1), got = bh_str_sub(bh_buf_view(&play->written), 0, wanted.n);

        if (!bh_str_eq(got, wanted))
            fail_msg("wrote \"%.*s\", expected \"%.*s\"", BH_FMT(bh_buf_view(&play->written)), BH_FMT(wanted));
        bh_buf_consume(&play->written, wanted.n);
    } else if (line.p[0] == '!') {
        bh_smtp_client_tls_up(play->client);
        hear(play, &nothing);
    } else if (line.p[0] == '@') {
        assert_true(bh_smtp_client_has_room(play->client));
        assert_ok(bh_smtp_client_send(play->client, &play->messages[play->given++]));
        hear(play, &nothing);
    } else if (line.p[0] == '#') {
        bh_smtp_client_fail(play->client, BH_E_CLOSED, BH_STR(""));
        hear(play, &nothing);
    } else if (line.p[0] == 'Q') {
        bh_smtp_client_quit(play->client);
        hear(play, &nothing);
    } else {
        for (size_t i = 0; i < line.n; i++) { /* byte by byte: the rest of a reply must stay in the input */
            bh_str input;

            play->kept[play->kept_n++] = line.p[i];
            input = bh_str_of(play->kept, play->kept_n);
            hear(play, &input);
            memmove(play->kept, input.p, input.n);
            play->kept_n = input.n;
        }
    }
}

static void perform(const struct bh_smtp_client_config *config, struct bh_smtp_client_message *messages,
                    const char *script, const char *wanted)
{
    struct play play = {bh_smtp_client_new(config), bh_buf_make(100000), bh_buf_make(100000), messages, 0, {0}, 0};
    bh_str rest = bh_str_c(script);

    while (rest.n) {
        size_t end = bh_str_find(rest, '\n');

        follow(&play, bh_str_sub(rest, 0, end + 1));
        rest = bh_str_skip(rest, end + 1);
    }
    if (play.written.n)
        fail_msg("also wrote \"%.*s\"", BH_FMT(bh_buf_view(&play.written)));
    assert_str(bh_buf_view(&play.log), wanted);
    bh_smtp_client_free(play.client);
    bh_buf_free(&play.written);
    bh_buf_free(&play.log);
}

static char tags[][2] = {"A", "B", "C", "U", "S"};
static const struct bh_smtp_client_config plain = {.helo = {"h", 1}};
static bh_str text_a[] = {{"A: 1\r", 5}, {"\n\r\n", 3}, {".x\r\n..\r\n", 8}}, text_b[] = {{"b", 1}};

static struct bh_smtp_client_message messages[] = {
    {.tag = tags[0], .mail_from = {"a@x", 3}, .rcpt_to = {"a@y", 3}, .pieces = text_a, .piece_count = 3},
    {.tag = tags[1], .mail_from = {"", 0}, .rcpt_to = {"b@y", 3}, .pieces = text_b, .piece_count = 1},
    {.tag = tags[2],
     .mail_from = {"c@x", 3},
     .rcpt_to = {"c@y", 3},
     .pieces = text_b,
     .piece_count = 1,
     .has_8bit = true},
};

#define HELLO "220 mx\r\n>EHLO h\r\n250-mx\r\n250-SIZE 1000\r\n250 PIPELINING\r\n"
#define ENVELOPE_A ">MAIL FROM:<a@x> SIZE=16\r\n>RCPT TO:<a@y>\r\n>DATA\r\n"
#define TEXT_A ">A: 1\r\n>\r\n>..x\r\n>...\r\n>.\r\n"
#define ENVELOPE_B ">MAIL FROM:<> SIZE=1\r\n>RCPT TO:<b@y>\r\n>DATA\r\n"
#define TEXT_B ">b\r\n>.\r\n"

static void test_pipelining(void **state)
{
    (void)state;
    perform(&plain, messages,
            HELLO "@\n" ENVELOPE_A "@\n250 ok\r\n250 ok\r\n354 go\r\n" TEXT_A ENVELOPE_B
                  "250 2.0.0 queued A\r\n250 ok\r\n250 ok\r\n354 go\r\n" TEXT_B "250 2.0.0 queued B\r\n"
                  "Q\n>QUIT\r\n221 bye\r\n",
            "{ready}{A delivered end of DATA 250 2.0.0 queued A}{B delivered end of DATA 250 2.0.0 queued B}"
            "{over closed QUIT! 0 0.0.0 bye}");
    /* refused at RCPT, DATA refused as well: RSET before the next */
    perform(&plain, messages,
            HELLO "@\n" ENVELOPE_A "@\n250 ok\r\n550 5.1.1 no such\r\n503 no\r\n>RSET\r\n" ENVELOPE_B
                  "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n" TEXT_B "451 4.3.0 later\r\n",
            "{ready}{A perm RCPT TO 550 5.1.1 no such}{B temp end of DATA 451 4.3.0 later}");
    /* refused at RCPT, DATA accepted: a lone dot; then the next without RSET */
    perform(&plain, messages,
            HELLO "@\n" ENVELOPE_A "@\n250 ok\r\n450 4.2.1 grey\r\n354 go\r\n>.\r\n" ENVELOPE_B
                  "554 none\r\n250 ok\r\n250 ok\r\n354 go\r\n" TEXT_B "250 ok\r\n",
            "{ready}{A temp RCPT TO 450 4.2.1 grey}{B delivered end of DATA 250 0.0.0 ok}");
    /* refused at MAIL */
    perform(&plain, messages, HELLO "@\n" ENVELOPE_A "553 5.1.8 no\r\n503 a\r\n503 b\r\n@\n" ENVELOPE_B,
            "{ready}{A perm MAIL FROM 553 5.1.8 no}");
    /* refused at DATA alone */
    perform(&plain, messages, HELLO "@\n" ENVELOPE_A "250 a\r\n250 b\r\n452 4.3.1 full\r\n@\n>RSET\r\n" ENVELOPE_B,
            "{ready}{A temp DATA 452 4.3.1 full}");
}

#define CHUNKS "220 mx\r\n>EHLO h\r\n250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
#define ADDRESSES ">MAIL FROM:<a@x>\r\n>RCPT TO:<a@y>\r\n"
#define CHUNK_A ">BDAT 16 LAST\r\n>A: 1\r\n>\r\n>.x\r\n>..\r\n"

/* RFC 3030: no 354 is waited for, no dot is stuffed. A short text goes with its envelope; the next envelope when the
 * recipient is accepted. */
static void test_chunks(void **state)
{
    struct bh_smtp_client_message two[] = {messages[0], messages[0]};

    (void)state;
    perform(&plain, two,
            CHUNKS "@\n@\n" ADDRESSES CHUNK_A "250 ok\r\n250 ok\r\n" ADDRESSES CHUNK_A
                   "250 2.0.0 first\r\n250 ok\r\n250 ok\r\n250 2.0.0 second\r\n",
            "{ready}{A delivered end of DATA 250 2.0.0 first}{A delivered end of DATA 250 2.0.0 second}");
    /* refused at RCPT while the chunk is on its way: the reply to that is no news, and RSET ends the transaction */
    perform(&plain, two,
            CHUNKS "@\n@\n" ADDRESSES CHUNK_A "250 ok\r\n550 5.1.1 no\r\n554 5.5.1 none\r\n>RSET\r\n" ADDRESSES CHUNK_A
                   "250 ok\r\n250 ok\r\n250 ok\r\n451 4.3.0 later\r\n",
            "{ready}{A perm RCPT TO 550 5.1.1 no}{A temp end of DATA 451 4.3.0 later}");
    perform(&plain, two, CHUNKS "@\n" ADDRESSES CHUNK_A "553 no\r\n503 a\r\n503 b\r\n@\n>RSET\r\n" ADDRESSES CHUNK_A,
            "{ready}{A perm MAIL FROM 553 0.0.0 no}");
    /* a refused chunk, and a server that stays in its transaction: the next one is not to blame */
    perform(&plain, two,
            CHUNKS "@\n@\n" ADDRESSES CHUNK_A "250 ok\r\n250 ok\r\n" ADDRESSES CHUNK_A
                   "554 spam\r\n503 nested\r\n503 a\r\n503 b\r\n",
            "{ready}{A perm end of DATA 554 0.0.0 spam}{A temp MAIL FROM 503 0.0.0 nested}");
    /* lost behind the chunk: perhaps delivered */
    perform(&plain, two, CHUNKS "@\n" ADDRESSES CHUNK_A "#\n",
            "{ready}{A unknown end of DATA! 0 0.0.0 closed by the peer}"
            "{over temp MAIL FROM! 0 0.0.0 closed by the peer}");
    /* in lock step */
    perform(&plain, two,
            "220 mx\r\n>EHLO h\r\n250-mx\r\n250 CHUNKING\r\n@\n>MAIL FROM:<a@x>\r\n250 ok\r\n>RCPT TO:<a@y>\r\n"
            "250 ok\r\n" CHUNK_A "250 done\r\n@\n>MAIL FROM:<a@x>\r\n250 ok\r\n>RCPT TO:<a@y>\r\n450 no\r\n",
            "{ready}{A delivered end of DATA 250 0.0.0 done}{A temp RCPT TO 450 0.0.0 no}");
}

/* A long text waits for its recipient; what was told must come, byte for byte. */
static void test_long_chunk(void **state)
{
    static const char *const replies[] = {"220 mx\r\n250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n",
                                          "250 ok\r\n250 ok\r\n"};
    char rest[100000];
    struct bh_smtp_client_message m = {.tag = tags[0],
                                       .mail_from = BH_STR("a@x"),
                                       .rcpt_to = BH_STR("a@y"),
                                       .pieces = text_a,
                                       .piece_count = 3,
                                       .more_follows = true,
                                       .size_bytes = 16 + sizeof(rest)};
    struct bh_smtp_client *client = bh_smtp_client_new(&plain);
    struct bh_buf written = bh_buf_make(1 << 20);
    struct bh_smtp_result result;
    void *whose;
    bh_str input = bh_str_c(replies[0]);

    (void)state;
    memset(rest, '.', sizeof(rest));
    for (size_t i = 0; i + 2 < sizeof(rest); i += 100)
        memcpy(rest + i, "\r\n", 2);
    assert_int_equal(bh_smtp_client_next(client, &input, &result), BH_SMTP_CLIENT_READY);
    drain(client, &written, 8, SIZE_MAX);
    bh_buf_clear(&written);
    assert_ok(bh_smtp_client_send(client, &m));
    drain(client, &written, 8, SIZE_MAX);
    assert_str(bh_buf_view(&written), "MAIL FROM:<a@x>\r\nRCPT TO:<a@y>\r\n");
    input = bh_str_c(replies[1]);
    assert_int_equal(bh_smtp_client_next(client, &input, &result), BH_SMTP_CLIENT_MORE);
    bh_buf_clear(&written);
    drain(client, &written, 8, 7);
    assert_true(bh_smtp_client_wants_body(client, &whose));
    assert_ok(bh_smtp_client_body(client, bh_str_of(rest, 60000), false));
    drain(client, &written, 8, 999);
    assert_int_equal(bh_smtp_client_body(client, bh_str_of(rest, 10), true), BH_E_SYNTAX);
    bh_smtp_client_free(client);
    assert_int_equal(written.n, strlen("BDAT 100016 LAST\r\n") + 16 + 60000);
    bh_buf_free(&written);
}

static void test_lockstep(void **state)
{
    (void)state;
    perform(
        &plain, messages,
        "220 mx\r\n>EHLO h\r\n502 what\r\n>HELO h\r\n250 mx\r\n@\n>MAIL FROM:<a@x>\r\n@\n250 ok\r\n>RCPT TO:<a@y>\r\n"
        "550 no\r\n>RSET\r\n>MAIL FROM:<>\r\n250 ok\r\n250 ok\r\n>RCPT TO:<b@y>\r\n250 ok\r\n>DATA\r\n354 ok\r\n" TEXT_B
        "250 done\r\n",
        "{ready}{A perm RCPT TO 550 0.0.0 no}{B delivered end of DATA 250 0.0.0 done}");
}

static void test_lost_connections(void **state)
{
    (void)state;
    perform(&plain, messages, "#\n", "{over temp the greeting! 0 0.0.0 closed by the peer}");
    perform(&plain, messages, "554 5.7.1 go away\r\n", "{over perm the greeting! 554 5.7.1 go away}");
    perform(&plain, messages, "HTTP/1.1 200 OK\r\n",
            "{over temp the greeting! 0 0.0.0 the server does not speak SMTP}");
    /* behind the dot: A perhaps delivered, B certainly not */
    perform(&plain, messages, HELLO "@\n" ENVELOPE_A "@\n250 ok\r\n250 ok\r\n354 go\r\n" TEXT_A ENVELOPE_B "#\n",
            "{ready}{A unknown end of DATA! 0 0.0.0 closed by the peer}{B temp end of DATA! 0 0.0.0 closed by the peer}"
            "{over temp end of DATA! 0 0.0.0 closed by the peer}");
    perform(&plain, messages,
            HELLO "@\n" ENVELOPE_A "@\n250 ok\r\n250 ok\r\n354 go\r\n" TEXT_A ENVELOPE_B "421 4.3.2 bye\r\n",
            "{ready}{A temp end of DATA! 421 4.3.2 bye}{B temp end of DATA! 421 4.3.2 bye}"
            "{over temp end of DATA! 421 4.3.2 bye}");
    /* a refusal that is in already stays the message's */
    perform(&plain, messages, HELLO "@\n" ENVELOPE_A "250 ok\r\n550 5.1.1 none\r\n#\n",
            "{ready}{A perm RCPT TO 550 5.1.1 none}{over temp DATA! 0 0.0.0 closed by the peer}");
    perform(&plain, messages, HELLO "421 idle\r\n", "{ready}{over temp MAIL FROM! 421 0.0.0 idle}");
}

static void test_tls_and_auth(void **state)
{
    const struct bh_smtp_client_config opportunistic = {.helo = BH_STR("h"), .tls = BH_SMTP_TLS_IF_OFFERED},
                                       required = {.helo = BH_STR("h"), .tls = BH_SMTP_TLS_REQUIRED},
                                       auth = {.helo = BH_STR("h"),
                                               .tls = BH_SMTP_TLS_REQUIRED,
                                               .login = BH_STR("u"),
                                               .password = BH_STR("p")};

    (void)state;
    perform(&opportunistic, messages, "220 mx\r\n>EHLO h\r\n250-mx\r\n250 STARTTLS\r\n>STARTTLS\r\n454 no\r\n",
            "{ready}");
    perform(&opportunistic, messages, "220 mx\r\n>EHLO h\r\n250 mx\r\n", "{ready}");
    perform(&opportunistic, messages,
            "220 mx\r\n>EHLO h\r\n250-mx\r\n250 STARTTLS\r\n>STARTTLS\r\n220 go\r\n250 injected\r\n!\n>EHLO h\r\n250 "
            "mx\r\n",
            "{tls}{ready}");
    perform(&required, messages, "220 mx\r\n>EHLO h\r\n250 mx\r\n",
            "{over temp EHLO! 0 0.0.0 TLS is required, and the server does not offer STARTTLS}");
    perform(&required, messages, "220 mx\r\n>EHLO h\r\n250-mx\r\n250 STARTTLS\r\n>STARTTLS\r\n501 no\r\n",
            "{over temp STARTTLS! 501 0.0.0 no}");
    perform(&auth, messages,
            "220 mx\r\n>EHLO h\r\n250-mx\r\n250 STARTTLS\r\n>STARTTLS\r\n220 go\r\n!\n>EHLO h\r\n250-mx\r\n250 AUTH "
            "PLAIN\r\n>AUTH PLAIN AHUAcA==\r\n235 ok\r\n",
            "{tls}{ready}");
    perform(&auth, messages,
            "220 mx\r\n>EHLO h\r\n250-mx\r\n250 STARTTLS\r\n>STARTTLS\r\n220 go\r\n!\n>EHLO h\r\n250-mx\r\n250 AUTH "
            "X LOGIN\r\n>AUTH LOGIN\r\n334 u\r\n>dQ==\r\n334 p\r\n>cA==\r\n535 5.7.8 wrong\r\n",
            "{tls}{over perm AUTH! 535 5.7.8 wrong}");
}

static void test_what_a_server_cannot_take(void **state)
{
    struct bh_smtp_client_message odd[] = {messages[2], messages[0]};

    (void)state;
    perform(&plain, odd, HELLO "@\n@\n" ENVELOPE_A,
            "{ready}{C perm MAIL FROM 0 5.6.3 the message has 8-bit text, and the receiving server does not offer "
            "8BITMIME}");
    odd[0] = (struct bh_smtp_client_message){.tag = tags[3], .mail_from = BH_STR("a"), .needs_smtputf8 = true};
    perform(&plain, odd, HELLO "@\n",
            "{ready}{U perm MAIL FROM 0 5.6.7 an address needs SMTPUTF8, which the receiving server does not offer}");
    odd[0] = (struct bh_smtp_client_message){.tag = tags[4], .mail_from = BH_STR("a"), .size_bytes = 1001};
    perform(&plain, odd, HELLO "@\n",
            "{ready}{S perm MAIL FROM 0 5.3.4 the message is larger than the receiving server accepts}");
}

static void test_parameters_and_limits(void **state)
{
    struct bh_smtp_client_message m = messages[1];

    (void)state;
    m.ret = BH_STR("HDRS");
    m.envid = BH_STR("e+201");
    m.notify = BH_STR("FAILURE");
    m.orcpt = BH_STR("rfc822;b@y");
    perform(&plain, &m,
            "220 mx\r\n>EHLO h\r\n250-mx\r\n250 DSN\r\n@\n>MAIL FROM:<> RET=HDRS ENVID=e+201\r\n250 ok\r\n"
            ">RCPT TO:<b@y> NOTIFY=FAILURE ORCPT=rfc822;b@y\r\n550 no\r\n",
            "{ready}{B perm RCPT TO 550 0.0.0 no}");
    perform(&plain, &m, "220 mx\r\n>EHLO h\r\n250 mx\r\n@\n>MAIL FROM:<>\r\n250 ok\r\n>RCPT TO:<b@y>\r\n", "{ready}");
}

/* RFC 9422: the second message does not fit any more, also while the first is only waiting. */
static void test_mail_max(void **state)
{
    struct bh_smtp_client *client = bh_smtp_client_new(&plain);
    bh_str input = BH_STR("220 mx\r\n250-mx\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=5 MAILMAX=1\r\n");
    struct bh_smtp_result result;

    (void)state;
    assert_int_equal(bh_smtp_client_next(client, &input, &result), BH_SMTP_CLIENT_READY);
    assert_true(bh_smtp_client_has_room(client));
    assert_ok(bh_smtp_client_send(client, &messages[1]));
    assert_false(bh_smtp_client_has_room(client));
    assert_false(bh_smtp_client_owes(client));
    assert_int_equal(bh_smtp_client_send(client, &messages[1]), BH_E_BUSY);
    bh_smtp_client_free(client);
    client = bh_smtp_client_new(&plain);
    input = BH_STR("220 mx\r\n250 mx\r\n");
    assert_int_equal(bh_smtp_client_next(client, &input, &result), BH_SMTP_CLIENT_READY);
    assert_ok(bh_smtp_client_send(client, &messages[2])); /* 8 bit */
    assert_true(bh_smtp_client_owes(client));
    assert_int_equal(bh_smtp_client_next(client, &input, &result), BH_SMTP_CLIENT_RESULT);
    assert_false(bh_smtp_client_owes(client));
    bh_smtp_client_free(client);
}

static void test_bad_text(void **state)
{
    static const char *const texts[] = {"a\nb", "a\rb", "\n", "\r\r\n", "a\r\n\n"};
    struct bh_smtp_client *client = bh_smtp_client_new(&plain);
    struct bh_smtp_client_message message = {.mail_from = BH_STR("a@b"), .rcpt_to = BH_STR("a@b")};
    bh_str input = BH_STR("220 mx\r\n250 mx\r\n"), piece[2];
    struct bh_smtp_result result;

    (void)state;
    assert_int_equal(bh_smtp_client_send(client, &message), BH_E_BUSY);
    assert_int_equal(bh_smtp_client_next(client, &input, &result), BH_SMTP_CLIENT_READY);
    message.pieces = piece;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        for (size_t cut = 0; cut <= strlen(texts[i]); cut++) {
            message.piece_count = 2;
            piece[0] = bh_str_of(texts[i], cut);
            piece[1] = bh_str_c(texts[i] + cut);
            assert_int_equal(bh_smtp_client_send(client, &message), BH_E_SYNTAX);
        }
    message.rcpt_to = BH_STR("a@b>\r\nRSET");
    message.piece_count = 0;
    assert_int_equal(bh_smtp_client_send(client, &message), BH_E_SYNTAX);
    bh_smtp_client_free(client);
}

/* ---- against our own server ---- */

struct pair {
    struct bh_random_seeded random;
    struct bh_smtp_client *client;
    struct bh_smtp_server *server;
    struct bh_buf to_server, to_client, received, wanted, texts[4];
    bh_str pieces[4][8];
    size_t given, delivered;
};

static void random_text(struct pair *pair, struct bh_buf *text)
{
    static const char *const bits[] = {"\r\n", "\r\n", "\r\n.",           "\r\n.\r\n", "\r\n..",
                                       ".",    "x",    "word word word ", "."};

    bh_buf_clear(text);
    for (uint64_t n = bh_random_below(&pair->random.base, 60); n; n--)
        bh_buf_add(text, bh_str_c(bits[bh_random_below(&pair->random.base, 9)]));
}

static void give_message(struct pair *pair)
{
    struct bh_buf *text = &pair->texts[pair->given % 4];
    bh_str *pieces = pair->pieces[pair->given % 4], rest;
    struct bh_smtp_client_message m = {.tag = &pieces[7], .mail_from = BH_STR("a@x"), .rcpt_to = BH_STR("b@y")};

    random_text(pair, text);
    bh_buf_add(&pair->wanted, bh_buf_view(text));
    if (text->n && !bh_str_ends(bh_buf_view(text), BH_STR("\r\n")))
        bh_buf_add(&pair->wanted, BH_STR("\r\n"));
    bh_buf_add(&pair->wanted, BH_STR("|"));
    rest = bh_buf_view(text);
    m.more_follows = bh_random_below(&pair->random.base, 3) == 0;
    if (bh_str_ends(rest, BH_STR("\r\n")) && bh_random_below(&pair->random.base, 2)) /* else by DATA */
        m.size_bytes = rest.n;
    m.pieces = pieces;
    for (; m.piece_count < 7; m.piece_count++) {
        size_t n = (size_t)bh_random_below(&pair->random.base, rest.n + 1);

        pieces[m.piece_count] = bh_str_sub(rest, 0, n);
        rest = bh_str_skip(rest, n);
    }
    pieces[7] = rest;
    m.piece_count = m.more_follows ? 7 : 8;
    assert_ok(bh_smtp_client_send(pair->client, &m));
    pair->given++;
}

/* The last piece of the message whose text is going out: the older one, where two are inside. */
static void give_rest(struct pair *pair, const bh_str *rest)
{
    assert_ptr_equal(rest, &pair->pieces[pair->delivered % 4][7]);
    assert_ok(bh_smtp_client_body(pair->client, *rest, true));
}

static void client_turn(struct pair *pair)
{
    struct bh_smtp_result result;
    bh_str input = bh_str_sub(bh_buf_view(&pair->to_client), 0,
                              (size_t)bh_random_below(&pair->random.base, pair->to_client.n + 1));
    size_t before = input.n;
    void *whose;
    enum bh_smtp_client_event event = bh_smtp_client_next(pair->client, &input, &result);

    bh_buf_consume(&pair->to_client, before - input.n);
    if (event == BH_SMTP_CLIENT_RESULT) {
        if (result.outcome != BH_SMTP_DELIVERED)
            fail_msg("%u %.*s", result.code, BH_FMT(result.text));
        pair->delivered++;
    }
    if (event == BH_SMTP_CLIENT_OVER)
        fail_msg("%u %.*s", result.code, BH_FMT(result.text));
    if (bh_smtp_client_has_room(pair->client) && pair->given < 200 && bh_random_below(&pair->random.base, 2))
        give_message(pair);
    if (bh_smtp_client_wants_body(pair->client, &whose))
        give_rest(pair, whose);
    drain(pair->client, &pair->to_server, 2 + (size_t)bh_random_below(&pair->random.base, 6),
          1 + (size_t)bh_random_below(&pair->random.base, 50));
}

static void server_turn(struct pair *pair)
{
    struct bh_smtp_server_event event;
    bh_str input = bh_str_sub(bh_buf_view(&pair->to_server), 0,
                              (size_t)bh_random_below(&pair->random.base, pair->to_server.n + 1));
    size_t before = input.n;
    struct bh_buf *out = bh_smtp_server_output(pair->server);

    switch (bh_smtp_server_next(pair->server, &input, &event)) {
    case BH_SMTP_SERVER_CHUNK:
        bh_buf_add(&pair->received, event.chunk);
        break;
    case BH_SMTP_SERVER_END:
        bh_buf_add(&pair->received, BH_STR("|"));
        bh_smtp_server_accept(pair->server, BH_STR(""));
        break;
    case BH_SMTP_SERVER_MORE:
        break;
    case BH_SMTP_SERVER_WAIT:
    case BH_SMTP_SERVER_AUTH:
    case BH_SMTP_SERVER_MAIL:
    case BH_SMTP_SERVER_RCPT:
    case BH_SMTP_SERVER_DATA:
        bh_smtp_server_accept(pair->server, BH_STR(""));
        break;
    case BH_SMTP_SERVER_ABORT:
    case BH_SMTP_SERVER_STARTTLS:
    case BH_SMTP_SERVER_CLOSE:
        fail_msg("the server stopped: %.*s", BH_FMT(bh_buf_view(out)));
    }
    bh_buf_consume(&pair->to_server, before - input.n);
    bh_buf_add(&pair->to_client, bh_buf_view(out));
    bh_buf_clear(out);
}

static void test_client_against_server(void **state)
{
    struct bh_smtp_server_config config = bh_smtp_server_config_default(BH_SMTP_PROFILE_PORT25);

    (void)state;
    config.host_name = BH_STR("mx");
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct pair pair = {.client = bh_smtp_client_new(&plain),
                            .server = bh_smtp_server_new(&config),
                            .to_server = bh_buf_make(1 << 20),
                            .to_client = bh_buf_make(1 << 20),
                            .received = bh_buf_make(1 << 20),
                            .wanted = bh_buf_make(1 << 20)};

        bh_random_seeded_init(&pair.random, seed);
        for (int i = 0; i < 4; i++)
            pair.texts[i] = bh_buf_make(100000);
        while (pair.delivered < 200) {
            server_turn(&pair);
            client_turn(&pair);
        }
        assert_true(bh_str_eq(bh_buf_view(&pair.received), bh_buf_view(&pair.wanted)));
        bh_smtp_client_free(pair.client);
        bh_smtp_server_free(pair.server);
        bh_buf_free(&pair.to_server);
        bh_buf_free(&pair.to_client);
        bh_buf_free(&pair.received);
        bh_buf_free(&pair.wanted);
        for (int i = 0; i < 4; i++)
            bh_buf_free(&pair.texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_long_chunk),
        cmocka_unit_test(test_lockstep),
        cmocka_unit_test(test_lost_connections),
        cmocka_unit_test(test_tls_and_auth),
        cmocka_unit_test(test_what_a_server_cannot_take),
        cmocka_unit_test(test_parameters_and_limits),
        cmocka_unit_test(test_mail_max),
        cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_client_against_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
