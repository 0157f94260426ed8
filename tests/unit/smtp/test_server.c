/* test_server.c: server sessions, each run with the input whole, byte by byte and in odd pieces, answered at once and
 * later; what is said and what happened must be the same every time. */
#include "base/text.h"
#include "proto/smtp/server.h"
#include "unit.h"

/* A session with an embedder that records events as "{…}" among the replies. Refused: login "bad", senders and
 * recipients whose local part is "no", messages that contain "REFUSE". */
struct embedder {
    struct bh_smtp_server *server;
    struct bh_buf log;
    struct bh_buf text;
    struct bh_smtp_server_event event;
    bool refuses;
};

static void flush(struct embedder *e)
{
    struct bh_buf *out = bh_smtp_server_output(e->server);

    bh_buf_add(&e->log, bh_buf_view(out));
    bh_buf_clear(out);
}

static void note(struct embedder *e, const char *what, bh_str value)
{
    flush(e);
    bh_buf_printf(&e->log, "{%s%.*s}", what, BH_FMT(value));
}

static void note_param(struct embedder *e, const char *what, bh_str value)
{
    if (value.n)
        note(e, what, value);
}

static void note_event(struct embedder *e)
{
    const struct bh_smtp_server_event *event = &e->event;

    e->refuses = false;
    switch (event->kind) {
    case BH_SMTP_SERVER_AUTH:
        note(e, "auth ", event->auth.login);
        note(e, "", event->auth.password);
        e->refuses = bh_str_eq(event->auth.login, BH_STR("bad"));
        break;
    case BH_SMTP_SERVER_MAIL:
        note(e, "mail ", event->mail.path.mailbox.local);
        note_param(e, "ret ", event->mail.ret);
        note_param(e, "envid ", event->mail.envid);
        e->refuses = bh_str_eq(event->mail.path.mailbox.local, BH_STR("no"));
        break;
    case BH_SMTP_SERVER_RCPT:
        note(e, "rcpt ", event->rcpt.path.mailbox.local);
        note_param(e, "notify ", event->rcpt.notify);
        note_param(e, "orcpt ", event->rcpt.orcpt);
        e->refuses = bh_str_eq(event->rcpt.path.mailbox.local, BH_STR("no"));
        break;
    case BH_SMTP_SERVER_DATA:
        note(e, "data", BH_STR(""));
        bh_buf_clear(&e->text);
        break;
    case BH_SMTP_SERVER_CHUNK:
        bh_buf_add(&e->text, event->chunk);
        break;
    case BH_SMTP_SERVER_END:
        note(e, "end ", bh_buf_view(&e->text));
        e->refuses = bh_str_search(bh_buf_view(&e->text), BH_STR("REFUSE")) < e->text.n;
        break;
    case BH_SMTP_SERVER_ABORT:
        note(e, "abort", BH_STR(""));
        break;
    case BH_SMTP_SERVER_STARTTLS:
        note(e, "tls", BH_STR(""));
        bh_smtp_server_tls_up(e->server);
        break;
    case BH_SMTP_SERVER_MORE:
    case BH_SMTP_SERVER_WAIT:
    case BH_SMTP_SERVER_CLOSE:
        break;
    }
}

static void answer(struct embedder *e)
{
    if (e->refuses)
        bh_smtp_server_refuse(e->server, 550, "5.7.1", BH_STR("no"));
    else
        bh_smtp_server_accept(e->server, BH_STR(""));
}

static bool is_question(enum bh_smtp_server_event_kind kind)
{
    return kind == BH_SMTP_SERVER_AUTH || kind == BH_SMTP_SERVER_MAIL || kind == BH_SMTP_SERVER_RCPT ||
           kind == BH_SMTP_SERVER_DATA || kind == BH_SMTP_SERVER_END;
}

/* The transcript of one run, `step` bytes more at a time; valid until the next. */
static bh_str run(const struct bh_smtp_server_config *config, bh_str bytes, size_t step, bool later, struct embedder *e)
{
    enum bh_smtp_server_event_kind kind = BH_SMTP_SERVER_MORE;
    size_t taken = 0, given = 0;

    *e = (struct embedder){bh_smtp_server_new(config), bh_buf_make(1 << 20), bh_buf_make(1 << 20), {0}, false};
    while (kind != BH_SMTP_SERVER_CLOSE && (given < bytes.n || kind != BH_SMTP_SERVER_MORE)) {
        bh_str input;

        if (kind == BH_SMTP_SERVER_MORE)
            given = bytes.n - given < step ? bytes.n : given + step;
        input = bh_str_of(bytes.p + taken, given - taken);
        kind = bh_smtp_server_next(e->server, &input, &e->event);
        taken = given - input.n;
        assert_true(kind != BH_SMTP_SERVER_MORE || input.n <= config->max_command_bytes + 1);
        note_event(e);
        if (is_question(kind) && later) {
            bh_str again = bh_str_of(bytes.p + taken, given - taken);
            struct bh_smtp_server_event nothing;

            assert_int_equal(bh_smtp_server_next(e->server, &again, &nothing), BH_SMTP_SERVER_WAIT);
            assert_int_equal(again.n, given - taken);
        }
        if (is_question(kind))
            answer(e);
    }
    flush(e);
    if (kind == BH_SMTP_SERVER_CLOSE)
        bh_buf_add(&e->log, BH_STR("{close}"));
    return bh_buf_view(&e->log);
}

static void end(struct embedder *e)
{
    bh_smtp_server_free(e->server);
    bh_buf_free(&e->log);
    bh_buf_free(&e->text);
}

/* Runs in all ways; the transcripts must be equal. */
static void check(const struct bh_smtp_server_config *config, bh_str input, const char *wanted)
{
    static const size_t steps[] = {1 << 20, 1, 2, 3, 7, 64, 65};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        for (int later = 0; later < 2; later++) {
            struct embedder e;

            assert_str(run(config, input, steps[i], later, &e), wanted);
            end(&e);
        }
}

static struct bh_smtp_server_config make(enum bh_smtp_profile profile)
{
    struct bh_smtp_server_config config = bh_smtp_server_config_default(profile);

    config.host_name = BH_STR("mx");
    config.max_message_bytes = 3000;
    return config;
}

#define GREETING "220 mx ESMTP\r\n"
#define SAID_EHLO "250-mx\r\n250-PIPELINING\r\n250-SIZE 3000\r\n"
#define SAID_END "250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250 ENHANCEDSTATUSCODES\r\n"
#define ENVELOPE "HELO h\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
#define SAID_ENVELOPE                                                                                                  \
    GREETING "250 mx\r\n{mail a}250 2.1.0 Ok\r\n{rcpt c}250 2.1.5 Ok\r\n{data}354 End data with <CR><LF>.<CR><LF>\r\n"

static void test_plain_session(void **state)
{
    struct bh_smtp_server_config config = make(BH_SMTP_PROFILE_PORT25);

    (void)state;
    check(
        &config,
        BH_STR("ehlo h.example\r\nmail from: <a@b> size=10 body=8bitmime\r\nRCPT TO:<no@d>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
               "Subject: x\r\n\r\n..dot\r\n.\r\nNOOP\r\nQUIT\r\nNOOP\r\n"),
        GREETING SAID_EHLO SAID_END
        "{mail a}250 2.1.0 Ok\r\n{rcpt no}550 5.7.1 no\r\n{rcpt c}250 2.1.5 Ok\r\n"
        "{data}354 End data with <CR><LF>.<CR><LF>\r\n{end Subject: x\r\n\r\n.dot\r\n}250 2.0.0 Ok\r\n"
        "250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n{close}");
    check(&config, BH_STR(ENVELOPE ".\r\n"), SAID_ENVELOPE "{end }250 2.0.0 Ok\r\n");
    check(&config, BH_STR(ENVELOPE "..\r\n...\r\n.x\r\n.\r\n"), SAID_ENVELOPE "{end .\r\n..\r\nx\r\n}250 2.0.0 Ok\r\n");
    check(&config, BH_STR(ENVELOPE "REFUSE\r\n.\r\nMAIL FROM:<>\r\nRSET\r\n"),
          SAID_ENVELOPE "{end REFUSE\r\n}550 5.7.1 no\r\n{mail }250 2.1.0 Ok\r\n250 2.0.0 Ok\r\n{abort}");
}

static void test_order_of_commands(void **state)
{
    struct bh_smtp_server_config config = make(BH_SMTP_PROFILE_PORT25);

    (void)state;
    check(&config,
          BH_STR("MAIL FROM:<a@b>\r\nHELO\r\nHELO a<b\r\nHELO h\r\nRCPT TO:<a@b>\r\nDATA\r\nMAIL FROM:<a@b>\r\nMAIL "
                 "FROM:<a@b>\r\n"
                 "DATA\r\nAUTH PLAIN\r\nSTARTTLS\r\nTURN\r\nwhat\r\n"),
          GREETING "503 5.5.1 Say EHLO first\r\n501 5.5.4 Give your host name or address literal\r\n"
                   "501 5.5.4 Give your host name or address literal\r\n250 mx\r\n"
                   "503 5.5.1 MAIL comes before RCPT, and the text behind it\r\n503 5.5.1 MAIL and RCPT come before "
                   "DATA\r\n{mail a}250 2.1.0 Ok\r\n"
                   "503 5.5.1 A transaction is open: RSET ends it\r\n554 5.5.1 No valid recipients\r\n"
                   "503 5.5.1 AUTH comes once, after EHLO and before MAIL\r\n502 5.5.1 STARTTLS is not offered here\r\n"
                   "502 5.5.1 This command is not supported\r\n500 5.5.2 Command not recognised\r\n");
    check(&config,
          BH_STR("HELO h\r\nMAIL FROM:a@b\r\nMAIL FROM:<a@b> FOO=1\r\nMAIL FROM:<a@b> SIZE=4000\r\nMAIL FROM:<a@b> "
                 "SIZE=x\r\n"
                 "MAIL FROM:<\xc3\xb6@b>\r\nMAIL FROM:<\xc3\xb6@b> SMTPUTF8\r\nRCPT TO:<>\r\nRCPT TO:<a@b> "
                 "NOTIFY=NEVER\r\n"),
          GREETING
          "250 mx\r\n501 5.1.7 Say MAIL FROM:<local@domain>; this is not such an address\r\n"
          "555 5.5.4 A parameter of MAIL is not supported, or not well-formed\r\n552 5.3.4 The message is larger than "
          "this server accepts\r\n"
          "501 5.5.4 SIZE takes a number\r\n553 5.6.7 An address beyond ASCII needs the parameter SMTPUTF8\r\n"
          "{mail \xc3\xb6}250 2.1.0 Ok\r\n501 5.1.3 Say RCPT TO:<local@domain>; this is not such an address\r\n"
          "555 5.5.4 A parameter of RCPT is not supported, or not well-formed\r\n");
}

/* RFC 4865 */
static void test_future_release(void **state)
{
    static const char *const bad[] = {"HOLDFOR=0", "HOLDFOR=601", "HOLDFOR",
                                      "HOLDFOR=1 HOLDUNTIL=2030-01-01T00:00:00Z"};
    struct bh_smtp_server_config config = make(BH_SMTP_PROFILE_TRUSTED);

    (void)state;
    config.max_hold_s = 600;
    check(
        &config,
        BH_STR("EHLO h\r\nMAIL FROM:<a@b> HOLDFOR=600\r\nRSET\r\nMAIL FROM:<a@b> HOLDUNTIL=2030-01-01T00:00:00Z;c\r\n"),
        GREETING SAID_EHLO "250-AUTH PLAIN LOGIN\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n"
                           "250-FUTURERELEASE 600 9999-12-31T23:59:59Z\r\n250 ENHANCEDSTATUSCODES\r\n"
                           "{mail a}250 2.1.0 Ok\r\n250 2.0.0 Ok\r\n{abort}{mail a}250 2.1.0 Ok\r\n");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct bh_buf input = bh_buf_make(200);

        bh_buf_printf(&input, "HELO h\r\nMAIL FROM:<a@b> %s\r\n", bad[i]);
        check(&config, bh_buf_view(&input),
              GREETING "250 mx\r\n555 5.5.4 A parameter of MAIL is not supported, or not well-formed\r\n");
        bh_buf_free(&input);
    }
}

/* RFC 3461, where the embedder honours it */
static void test_dsn(void **state)
{
    struct bh_smtp_server_config config = make(BH_SMTP_PROFILE_TRUSTED);

    (void)state;
    config.has_dsn = true;
    check(&config,
          BH_STR("HELO h\r\nMAIL FROM:<a@b> RET=hdrs ENVID=a+20b\r\nRCPT TO:<c@d> NOTIFY=success,FAILURE "
                 "ORCPT=rfc822;c+2Bx@d\r\nRCPT TO:<e@d> NOTIFY=never\r\n"),
          GREETING "250 mx\r\n{mail a}{ret hdrs}{envid a+20b}250 2.1.0 Ok\r\n{rcpt c}{notify success,FAILURE}"
                   "{orcpt rfc822;c+2Bx@d}250 2.1.5 Ok\r\n{rcpt e}{notify never}250 2.1.5 Ok\r\n");
    for (size_t i = 0; i < 4; i++) {
        static const char *const bad[] = {"RET=ALL", "RET=FULL RET=FULL", "ENVID=a+2", "ENVID"};
        struct bh_buf input = bh_buf_make(200);

        bh_buf_printf(&input, "HELO h\r\nMAIL FROM:<a@b> %s\r\n", bad[i]);
        check(&config, bh_buf_view(&input),
              GREETING "250 mx\r\n555 5.5.4 A parameter of MAIL is not supported, or not well-formed\r\n");
        bh_buf_free(&input);
    }
    for (size_t i = 0; i < 6; i++) {
        static const char *const bad[] = {"NOTIFY=NEVER,DELAY", "NOTIFY=,",      "ORCPT=x",
                                          "ORCPT=;x",           "ORCPT=rfc822;", "X=1"};
        struct bh_buf input = bh_buf_make(200);

        bh_buf_printf(&input, "HELO h\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b> %s\r\n", bad[i]);
        check(&config, bh_buf_view(&input),
              GREETING "250 mx\r\n{mail a}250 2.1.0 Ok\r\n"
                       "555 5.5.4 A parameter of RCPT is not supported, or not well-formed\r\n");
        bh_buf_free(&input);
    }
}

#define BARE_LF "550 5.6.0 The message holds a bare LF: each line must end in CR LF (RFC 5321 2.3.8); send it so\r\n"
#define BARE_CR "550 5.6.0 The message holds a bare CR: each line must end in CR LF (RFC 5321 2.3.8); send it so\r\n"

#define BDAT_ENVELOPE "HELO h\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define SAID_BDAT_ENVELOPE GREETING "250 mx\r\n{mail a}250 2.1.0 Ok\r\n{rcpt c}250 2.1.5 Ok\r\n"

/* RFC 3030: the length ends a chunk, and nothing in it is a command. */
static void test_bdat(void **state)
{
    struct bh_smtp_server_config config = make(BH_SMTP_PROFILE_PORT25);

    (void)state;
    check(&config, BH_STR(BDAT_ENVELOPE "BDAT 6\r\nA: b\r\nBDAT 12\r\n\r\n.\r\n..x\r\n.yBDAT 3 last\r\nz\r\nNOOP\r\n"),
          SAID_BDAT_ENVELOPE "{data}250 2.0.0 Ok, go on\r\n250 2.0.0 Ok, go on\r\n{end A: b\r\n\r\n.\r\n..x\r\n.yz\r\n}"
                             "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n");
    /* a line end cut between two chunks; nothing at the end */
    check(&config, BH_STR(BDAT_ENVELOPE "BDAT 2\r\na\rBDAT 1\r\n\nBDAT 0 LAST\r\nNOOP\r\n"),
          SAID_BDAT_ENVELOPE
          "{data}250 2.0.0 Ok, go on\r\n250 2.0.0 Ok, go on\r\n{end a\r\n}250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n");
    check(&config,
          BH_STR(BDAT_ENVELOPE "BDAT 2\r\na\rBDAT 1 LAST\r\nb"
                               "NOOP\r\n"),
          SAID_BDAT_ENVELOPE "{data}250 2.0.0 Ok, go on\r\n{abort}" BARE_CR "250 2.0.0 Ok\r\n");
    check(&config, BH_STR(BDAT_ENVELOPE "BDAT 2 LAST\r\na\rNOOP\r\n"),
          SAID_BDAT_ENVELOPE "{data}" BARE_CR "{abort}250 2.0.0 Ok\r\n");
    check(&config, BH_STR(BDAT_ENVELOPE "BDAT 9\r\na\nQUIT\r\nxBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
          SAID_BDAT_ENVELOPE "{data}{abort}" BARE_LF "503 5.5.1 MAIL and RCPT come before BDAT\r\n250 2.0.0 Ok\r\n");
    check(&config, BH_STR("HELO h\r\nBDAT 6\r\nQUIT\r\nMAIL FROM:<a@b>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
          GREETING "250 mx\r\n503 5.5.1 MAIL and RCPT come before BDAT\r\n{mail a}250 2.1.0 Ok\r\n554 5.5.1 No valid "
                   "recipients\r\n250 2.0.0 Ok\r\n");
    check(&config, BH_STR(BDAT_ENVELOPE "BDAT 1\r\nxDATA\r\nRCPT TO:<e@f>\r\nRSET\r\nNOOP\r\n"),
          SAID_BDAT_ENVELOPE
          "{data}250 2.0.0 Ok, go on\r\n503 5.5.1 The message has begun with BDAT\r\n503 5.5.1 MAIL comes "
          "before RCPT, and the text behind it\r\n250 2.0.0 Ok\r\n{abort}250 2.0.0 Ok\r\n");
    check(&config, BH_STR(BDAT_ENVELOPE "BDAT 3001 LAST\r\nNOOP\r\n"),
          SAID_BDAT_ENVELOPE
          "552 5.3.4 This is no BDAT that this server can take, closing the connection\r\n{abort}{close}");
}

#define SMUGGLED "MAIL FROM:<evil@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nevil\r\n.\r\n"

/* Whatever a false end looks like, what follows it is never a command. */
static void test_smuggling(void **state)
{
    static const struct {
        const char *false_end;
        const char *reply;
    } table[] = {
        {"\n.\n", BARE_LF},         {"\n.\r\n", BARE_LF},   {"\r\n.\n", BARE_LF},       {"\r\n.\r", BARE_CR},
        {"\r.\r", BARE_CR},         {"\r.\r\n", BARE_CR},   {"\n.\r", BARE_LF},         {"\r\n.\r\r\n", BARE_CR},
        {"\r\r\n.\r\r\n", BARE_CR}, {"\n\r.\n\r", BARE_LF}, {"\n\r\n.\n\r\n", BARE_LF}, {"\r\n\n.\n", BARE_LF},
    };
    struct bh_smtp_server_config config = make(BH_SMTP_PROFILE_PORT25);
    struct bh_buf input = bh_buf_make(10000), wanted = bh_buf_make(10000);

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        bh_buf_clear(&input);
        bh_buf_clear(&wanted);
        bh_buf_printf(&input, ENVELOPE "text%s" SMUGGLED "NOOP\r\n", table[i].false_end);
        bh_buf_printf(&wanted, SAID_ENVELOPE "{abort}%s250 2.0.0 Ok\r\n", table[i].reply);
        check(&config, bh_buf_view(&input), (bh_buf_char(&wanted, '\0'), wanted.p));
    }
    /* a NUL in the false end makes the line an ordinary one, whose dot is stripped */
    check(&config, bh_str_of(ENVELOPE "a\r\n.\0\r\n.\r\n", sizeof(ENVELOPE "a\r\n.\0\r\n.\r\n") - 1),
          SAID_ENVELOPE "{end a\r\n}250 2.0.0 Ok\r\n");
    bh_buf_free(&input);
    bh_buf_free(&wanted);
}

static void test_bare_in_commands(void **state)
{
    struct bh_smtp_server_config config = make(BH_SMTP_PROFILE_PORT25);

    (void)state;
    check(&config, BH_STR("HELO h\r\nMAIL FROM:<a@b>\r\nNOOP\nRCPT TO:<a@b>\r\n"),
          GREETING
          "250 mx\r\n{mail a}250 2.1.0 Ok\r\n500 5.5.2 A line must end in CR LF; a bare LF is refused, closing the "
          "connection\r\n{abort}{close}");
    check(&config, BH_STR("HELO h\r\nNOOP\rNOOP\r\nNOOP\r\n"),
          GREETING "250 mx\r\n500 5.5.2 A bare CR in a command is refused, closing the connection\r\n{close}");
    check(&config, BH_STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
          GREETING "421 4.7.0 This is SMTP, closing the connection\r\n{close}");
}

static void add_fill(struct bh_buf *buf, size_t n)
{
    char *p = bh_buf_reserve(buf, n);

    memset(p, 'x', n);
    bh_buf_commit(buf, n);
}

static void check_long(const struct bh_smtp_server_config *config, const char *before, size_t n, const char *after,
                       const char *wanted)
{
    struct bh_buf input = bh_buf_make(100000);

    bh_buf_add(&input, bh_str_c(before));
    add_fill(&input, n);
    bh_buf_add(&input, bh_str_c(after));
    check(config, bh_buf_view(&input), wanted);
    bh_buf_free(&input);
}

static void test_limits(void **state)
{
    struct bh_smtp_server_config config = make(BH_SMTP_PROFILE_PORT25);

    (void)state;
    check_long(&config, "HELO h\r\nNOOP ", 4096 - 7, "\r\nNOOP\r\n",
               GREETING "250 mx\r\n250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n");
    check_long(&config, "HELO h\r\nNOOP ", 4096 - 6, "\r\nNOOP\r\n",
               GREETING "250 mx\r\n500 5.5.2 Command line too long\r\n250 2.0.0 Ok\r\n");
    check_long(&config, "HELO h\r\nNOOP ", 20000, "\r\nNOOP\r\n",
               GREETING "250 mx\r\n500 5.5.2 Command line too long\r\n250 2.0.0 Ok\r\n");
    check_long(&config, ENVELOPE, 999, "\r\n.\r\nNOOP\r\n",
               SAID_ENVELOPE
               "{abort}550 5.6.0 The message has a line above 998 bytes (RFC 5321 4.5.3.1.6): use a transfer "
               "encoding\r\n250 2.0.0 Ok\r\n");
    config.max_text_line_bytes = 10000;
    check_long(&config, ENVELOPE, 3000, "\r\n.\r\nNOOP\r\n",
               SAID_ENVELOPE "{abort}552 5.3.4 The message is larger than this server accepts\r\n250 2.0.0 Ok\r\n");
    config.max_errors = 3;
    check(&config, BH_STR("a\r\nb\r\nc\r\nd\r\n"),
          GREETING "500 5.5.2 Command not recognised\r\n500 5.5.2 Command not recognised\r\n500 5.5.2 Command not "
                   "recognised\r\n421 4.7.0 Too many errors, closing the connection\r\n{close}");
    config.max_recipients = 1;
    config.max_messages = 1;
    check(&config,
          BH_STR("HELO h\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\nDATA\r\n.\r\nMAIL FROM:<a@b>\r\n"),
          GREETING "250 mx\r\n{mail a}250 2.1.0 Ok\r\n{rcpt c}250 2.1.5 Ok\r\n"
                   "452 4.5.3 Too many recipients: send the rest in another transaction\r\n{data}354 End data with "
                   "<CR><LF>.<CR><LF>\r\n{end }250 2.0.0 Ok\r\n421 4.7.0 Enough messages for one session, connect "
                   "again\r\n{close}");
}

static void test_submission(void **state)
{
    struct bh_smtp_server_config config = make(BH_SMTP_PROFILE_SUBMISSION);

    (void)state;
    config.has_tls = true;
    /* all of this in one packet: what is behind STARTTLS must be dropped, so only when fed whole */
    struct embedder e;
    assert_str(run(&config, BH_STR("EHLO h\r\nAUTH PLAIN AGEAYg==\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\nEHLO evil\r\n"),
                   1 << 20, false, &e),
               GREETING SAID_EHLO
               "250-STARTTLS\r\n" SAID_END "538 5.7.11 Encryption is required first: STARTTLS\r\n"
               "530 5.7.0 Encryption is required: STARTTLS first\r\n220 2.0.0 Ready to start TLS\r\n{tls}");
    assert_int_equal(bh_smtp_server_facts(e.server).helo.n, 0);
    assert_true(bh_smtp_server_facts(e.server).tls);
    end(&e);
    config = make(BH_SMTP_PROFILE_TLS);
    check(&config,
          BH_STR("EHLO h\r\nMAIL FROM:<a@b>\r\nAUTH X\r\nAUTH PLAIN AGEAYg==\r\nAUTH PLAIN\r\nMAIL FROM:<a@b>\r\n"),
          GREETING SAID_EHLO
          "250-AUTH PLAIN LOGIN\r\n" SAID_END
          "530 5.7.0 Authentication is required: AUTH first\r\n504 5.5.4 Offered are AUTH PLAIN and AUTH LOGIN\r\n"
          "{auth a}{b}235 2.7.0 Authentication successful\r\n"
          "503 5.5.1 AUTH comes once, after EHLO and before MAIL\r\n{mail a}250 2.1.0 Ok\r\n");
    check(&config,
          BH_STR("EHLO h\r\nAUTH LOGIN\r\n*\r\nAUTH PLAIN\r\n!\r\nAUTH PLAIN eABhAGI=\r\nAUTH PLAIN AGJhZABi\r\n"
                 "AUTH LOGIN\r\nYQ==\r\nYg==\r\n"),
          GREETING SAID_EHLO
          "250-AUTH PLAIN LOGIN\r\n" SAID_END "334 VXNlcm5hbWU6\r\n501 5.5.2 Authentication cancelled\r\n334 \r\n"
          "501 5.5.2 Cannot decode the response\r\n535 5.7.8 Acting for another login is not possible\r\n"
          "{auth bad}{b}550 5.7.1 no\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n{auth a}{b}235 2.7.0 "
          "Authentication successful\r\n");
    check(&config, BH_STR("EHLO h\r\nAUTH PLAIN AGJhZABi\r\nAUTH PLAIN AGJhZABi\r\nAUTH PLAIN AGJhZABi\r\nNOOP\r\n"),
          GREETING SAID_EHLO
          "250-AUTH PLAIN LOGIN\r\n" SAID_END "{auth bad}{b}550 5.7.1 no\r\n{auth bad}{b}550 5.7.1 no\r\n"
          "{auth bad}{b}550 5.7.1 no\r\n421 4.7.0 Too many failed authentications, closing the connection\r\n"
          "{close}");
    config = make(BH_SMTP_PROFILE_TRUSTED);
    check(&config, BH_STR("EHLO h\r\nMAIL FROM:<a@b>\r\n"),
          GREETING SAID_EHLO "250-AUTH PLAIN LOGIN\r\n" SAID_END "{mail a}250 2.1.0 Ok\r\n");
}

static void test_end_from_outside(void **state)
{
    struct bh_smtp_server_config config = make(BH_SMTP_PROFILE_PORT25);
    struct bh_smtp_server_event event;
    bh_str none = BH_STR("");
    struct embedder e;

    (void)state;
    (void)run(&config, BH_STR(ENVELOPE "bare\nand no end"), 1 << 20, false, &e);
    assert_int_equal(bh_smtp_server_timeout_ms(e.server), 10000);
    bh_smtp_server_end(e.server, "4.4.2", BH_STR("idle"));
    assert_int_equal(bh_smtp_server_next(e.server, &none, &event), BH_SMTP_SERVER_CLOSE);
    flush(&e);
    assert_str(bh_buf_view(&e.log), SAID_ENVELOPE "{abort}" BARE_LF);
    end(&e);
    (void)run(&config, BH_STR(ENVELOPE "half"), 1 << 20, false, &e);
    assert_int_equal(bh_smtp_server_timeout_ms(e.server), 300000);
    bh_smtp_server_end(e.server, "4.4.2", BH_STR("idle"));
    assert_int_equal(bh_smtp_server_next(e.server, &none, &event), BH_SMTP_SERVER_ABORT);
    assert_int_equal(bh_smtp_server_next(e.server, &none, &event), BH_SMTP_SERVER_CLOSE);
    flush(&e);
    assert_str(bh_buf_view(&e.log), SAID_ENVELOPE "421 4.4.2 idle\r\n");
    end(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_session),
        cmocka_unit_test(test_order_of_commands),
        cmocka_unit_test(test_dsn),
        cmocka_unit_test(test_future_release),
        cmocka_unit_test(test_bdat),
        cmocka_unit_test(test_smuggling),
        cmocka_unit_test(test_bare_in_commands),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_submission),
        cmocka_unit_test(test_end_from_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
