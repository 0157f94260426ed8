/* smtp_source.c: submits M messages over N sessions as fast as they are taken, each with a body of its own, and prints
 * what was accepted and how long it took.
 *
 *     smtp_source --port 2525 --sessions 20 --messages 10000 --size 10240 --from a@customer.example --to x@sink.example
 *         [--host 127.0.0.1] [--login L --password P] [--tls none|starttls|implicit] [--per-connection K]
 *         [--pipeline] [--rate PER_SECOND] [--ledger FILE] [--run NAME] [--persist SECONDS] [--seconds S]
 *
 * Commands wait for each reply as plain clients do; --pipeline puts MAIL, RCPT and DATA into one packet. Each message
 * has a field `X-Ledger: RUN-NUMBER`; --ledger appends "accepted|refused|deferred|unknown ID" per message, "unknown"
 * where the connection was lost behind the final dot. --persist keeps connecting again for so long after the server
 * has gone (crash tests); without it a lost connection ends the run. --rate paces the whole run. %u in --from or --to
 * is replaced by the session's number. Prints one line of JSON; exit status 1 if anything was not accepted. */
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum state {
    CLOSED,
    CONNECTING,
    SHAKING,
    GREETING,
    EHLO,
    STARTTLS,
    AUTH,
    RSET,
    PAUSED,
    MAIL,
    RCPT,
    DATA,
    BODY,
    QUIT,
    OVER
};
enum tls { TLS_NONE, TLS_STARTTLS, TLS_IMPLICIT };

struct session {
    struct wire wire;
    struct bytes in;
    enum state state;
    unsigned number;
    bool has_message;
    uint64_t id;
    uint64_t started_us;
    uint64_t retry_at_us;
    uint64_t in_connection; /* messages accepted in this connection */
    unsigned reject_code;   /* of a pipelined envelope; 0: none */
};

static struct {
    const char *host, *port, *from, *to, *login, *password, *run;
    unsigned sessions;
    uint64_t messages, size, per_connection, rate, persist_us, stop_at_us;
    enum tls tls;
    bool pipeline;
    FILE *ledger;
} options = {.host = "127.0.0.1",
             .port = "2525",
             .from = "sender@customer.example",
             .to = "rcpt@sink.example",
             .run = "r",
             .sessions = 20,
             .messages = 1000,
             .size = 10240};

static struct {
    int epoll;
    SSL_CTX *tls;
    char *filler; /* size bytes of text lines */
    uint64_t next, accepted, refused, deferred, unknown, live, lost_since_us, first_us, last_us;
    uint32_t *latencies_us;
    bool gave_up;
} run;

static void begin_connection(struct session *s)
{
    int fd = wire_connect(options.host, options.port);

    if (fd < 0) {
        s->retry_at_us = now_us() + 50000;
        s->state = CLOSED;
        return;
    }
    s->in.n = 0;
    s->in_connection = 0;
    s->state = CONNECTING;
    wire_open(&s->wire, run.epoll, fd, s, true);
}

static void note(struct session *s, const char *what)
{
    if (options.ledger)
        fprintf(options.ledger, "%s %s-%" PRIu64 "\n", what, options.run, s->id);
    s->has_message = false;
    run.last_us = now_us();
}

/* The connection is gone; what was under way is known or unknown. */
static void lose(struct session *s)
{
    uint64_t now = now_us();

    if (s->has_message && s->state == BODY && s->wire.out_at >= s->wire.out.n) {
        run.unknown++;
        note(s, "unknown");
    }
    wire_close(&s->wire);
    s->state = CLOSED;
    s->retry_at_us = now + 20000;
    if (!run.lost_since_us)
        run.lost_since_us = now;
    if (now - run.lost_since_us >= options.persist_us)
        run.gave_up = true;
}

/* `%u` in an address is the session's number. */
static void add_address(struct session *s, const char *address)
{
    const char *mark = strstr(address, "%u");

    if (mark)
        bytes_printf(&s->wire.out, "%.*s%u%s", (int)(mark - address), address, s->number, mark + 2);
    else
        bytes_add(&s->wire.out, address, strlen(address));
}

static void write_message(struct session *s)
{
    struct bytes *out = &s->wire.out;
    struct random64 random = {s->id * 2 + 1};
    size_t before = out->n, used;

    bytes_printf(out, "From: <");
    add_address(s, options.from);
    bytes_printf(out, ">\r\nTo: <");
    add_address(s, options.to);
    bytes_printf(out,
                 ">\r\nSubject: Message %" PRIu64 " of run %s\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
                 "Message-ID: <%s-%" PRIu64 "@source.example>\r\nX-Ledger: %s-%" PRIu64 "\r\n"
                 "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n",
                 s->id, options.run, options.run, s->id, options.run, s->id);
    for (int i = 0; i < 4; i++)
        bytes_printf(out, "%016" PRIx64, random_next(&random));
    bytes_add(out, "\r\n", 2);
    used = out->n - before;
    if (used < options.size && run.filler[used] == '\n') /* not into the middle of a line end */
        used++;
    if (used < options.size)
        bytes_add(out, run.filler + used, options.size - used);
    bytes_add(out, ".\r\n", 3);
}

/* Text lines of 64 characters; cut anywhere, each suffix ends in CRLF. */
static void make_filler(void)
{
    struct random64 random = {42};

    run.filler = malloc(options.size + 66);
    if (!run.filler)
        die("memory");
    for (size_t i = 0; i < options.size + 66; i++)
        run.filler[i] = "abcdefghijklmnopqrstuvwxyz      "[random_next(&random) & 31];
    for (size_t end = options.size; end >= 2; end = end < 66 ? 0 : end - 66)
        memcpy(run.filler + end - 2, "\r\n", 2);
    run.filler[0] = 'x';
}

static void say_command(struct session *s, const char *before, const char *address)
{
    bytes_printf(&s->wire.out, "%s", before);
    add_address(s, address);
    bytes_add(&s->wire.out, ">\r\n", 3);
}

static bool may_start(void)
{
    uint64_t now = now_us();

    if (run.next >= options.messages || (options.stop_at_us && now >= options.stop_at_us))
        return false;
    return !options.rate || run.next * 1000000 / options.rate <= now - run.first_us;
}

static bool all_started(void)
{
    return run.next >= options.messages || (options.stop_at_us && now_us() >= options.stop_at_us);
}

/* The session is free: another message, a pause, or the end. A message whose fate is known to be open goes again. */
static void next_message(struct session *s)
{
    if (options.per_connection && s->in_connection >= options.per_connection) {
        wire_close(&s->wire);
        begin_connection(s);
        return;
    }
    if (!s->has_message) {
        if (!may_start()) {
            s->state = all_started() ? QUIT : PAUSED;
            if (s->state == QUIT) {
                bytes_printf(&s->wire.out, "QUIT\r\n");
                run.live--;
            }
            return;
        }
        s->id = run.next++;
        s->has_message = true;
    }
    s->started_us = now_us();
    s->reject_code = 0;
    say_command(s, "MAIL FROM:<", options.from);
    s->state = MAIL;
    if (options.pipeline) {
        say_command(s, "RCPT TO:<", options.to);
        bytes_printf(&s->wire.out, "DATA\r\n");
    }
}

static void say_auth(struct session *s)
{
    char plain[512], text[1024];
    int n = snprintf(plain, sizeof(plain), "%c%s%c%s", 0, options.login, 0, options.password);

    (void)EVP_EncodeBlock((unsigned char *)text, (unsigned char *)plain, n);
    bytes_printf(&s->wire.out, "AUTH PLAIN %s\r\n", text);
    s->state = AUTH;
}

static void greeted(struct session *s)
{
    if (options.tls == TLS_STARTTLS && !s->wire.ssl) {
        bytes_printf(&s->wire.out, "STARTTLS\r\n");
        s->state = STARTTLS;
    } else if (options.login) {
        say_auth(s);
    } else {
        next_message(s);
    }
}

/* A 4xx or 5xx of the message. With --persist a deferred one is tried again, in a new connection. */
static void rejected(struct session *s, unsigned code, const char *line)
{
    uint64_t *count = code >= 500 ? &run.refused : &run.deferred;

    if (!(*count)++)
        fprintf(stderr, "smtp_source: %s\n", line);
    if (code < 500 && options.persist_us) {
        wire_close(&s->wire);
        s->state = CLOSED;
        s->retry_at_us = now_us() + 20000;
        return;
    }
    note(s, code >= 500 ? "refused" : "deferred");
    if (code == 421) {
        wire_close(&s->wire);
        begin_connection(s);
        return;
    }
    bytes_printf(&s->wire.out, "RSET\r\n");
    s->state = RSET;
}

static void accepted(struct session *s)
{
    uint64_t took = now_us() - s->started_us;

    run.latencies_us[run.accepted++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
    note(s, "accepted");
    s->in_connection++;
    run.lost_since_us = 0;
    next_message(s);
}

/* With --pipeline all three replies come, whatever the first says. */
static void envelope_reply(struct session *s, unsigned code, const char *line)
{
    bool ok = code < 400;

    if (!options.pipeline && !ok) {
        rejected(s, code, line);
        return;
    }
    if (!ok && !s->reject_code)
        s->reject_code = code;
    if (s->state == MAIL) {
        if (!options.pipeline)
            say_command(s, "RCPT TO:<", options.to);
        s->state = RCPT;
    } else if (s->state == RCPT) {
        if (!options.pipeline)
            bytes_printf(&s->wire.out, "DATA\r\n");
        s->state = DATA;
    } else if (s->reject_code) {
        rejected(s, s->reject_code, line);
    } else {
        write_message(s);
        s->state = BODY;
    }
}

static void start_shaking(struct session *s)
{
    wire_start_tls(&s->wire, run.tls, false);
    s->state = SHAKING;
}

static void reply(struct session *s, unsigned code, const char *line)
{
    switch (s->state) {
    case GREETING:
        bytes_printf(&s->wire.out, "EHLO source.example\r\n");
        s->state = EHLO;
        break;
    case EHLO:
        if (code < 400)
            greeted(s);
        else
            lose(s);
        break;
    case RSET:
        next_message(s);
        break;
    case STARTTLS:
        start_shaking(s);
        break;
    case AUTH:
        if (code != 235) {
            fprintf(stderr, "smtp_source: AUTH: %s\n", line);
            lose(s);
            return;
        }
        next_message(s);
        break;
    case MAIL:
    case RCPT:
    case DATA:
        envelope_reply(s, code, line);
        break;
    case BODY:
        if (code < 300)
            accepted(s);
        else
            rejected(s, code, line);
        break;
    case QUIT:
        wire_close(&s->wire);
        s->state = OVER;
        break;
    case CLOSED:
    case CONNECTING:
    case SHAKING:
    case PAUSED:
    case OVER:
        lose(s);
        break;
    }
}

/* All whole replies in `in`. */
static void take_replies(struct session *s)
{
    size_t at = 0;
    char *lf;

    while (s->wire.fd >= 0 && !s->wire.shaking && (lf = memchr(s->in.p + at, '\n', s->in.n - at))) {
        char *line = s->in.p + at;
        size_t n = (size_t)(lf - line);

        *lf = 0;
        at += n + 1;
        if (n >= 4 && line[3] == '-')
            continue;
        if (n && line[n - 1] == '\r')
            line[n - 1] = 0;
        reply(s, (unsigned)strtoul(line, NULL, 10), line);
        if (s->state == CONNECTING || s->state == CLOSED)
            return; /* another connection: `in` is empty */
    }
    if (at <= s->in.n)
        bytes_cut(&s->in, at);
}

/* False: the connection is dead. */
static bool go_on(struct session *s)
{
    long n = 1;
    int done;

    if (s->state == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof(error);

        if (getsockopt(s->wire.fd, SOL_SOCKET, SO_ERROR, &error, &size) || error)
            return false;
        s->state = GREETING;
        if (options.tls == TLS_IMPLICIT)
            start_shaking(s);
    }
    if (s->state == SHAKING) {
        done = wire_shake(&s->wire);
        if (done <= 0)
            return done == 0;
        s->state = options.tls == TLS_IMPLICIT ? GREETING : EHLO;
        if (s->state == EHLO)
            bytes_printf(&s->wire.out, "EHLO source.example\r\n");
    }
    while (n > 0 && s->wire.fd >= 0) {
        n = wire_read(&s->wire, &s->in, 4096);
        if (n < 0)
            return false;
        take_replies(s);
        if (s->wire.fd >= 0 && s->wire.shaking)
            return go_on(s);
        if (n < 4096 && !s->wire.ssl)
            break;
    }
    return s->wire.fd < 0 || wire_flush(&s->wire);
}

static void on_event(struct session *s)
{
    if (s->wire.fd >= 0 && !go_on(s)) {
        if (s->state == QUIT || s->state == OVER) {
            wire_close(&s->wire);
            s->state = OVER;
        } else {
            lose(s);
        }
    }
}

/* Sessions that wait for their time. */
static bool wake_waiting(struct session *sessions)
{
    uint64_t now = now_us();
    bool waiting = false;

    for (unsigned i = 0; i < options.sessions; i++) {
        struct session *s = &sessions[i];

        if (s->state == CLOSED && !s->has_message && all_started()) {
            s->state = OVER;
            run.live--;
        } else if (s->state == CLOSED && now >= s->retry_at_us) {
            begin_connection(s);
        } else if (s->state == PAUSED) {
            next_message(s);
            if (s->state != PAUSED && !wire_flush(&s->wire))
                lose(s);
        }
        waiting |= s->state == CLOSED || s->state == PAUSED;
    }
    return waiting;
}

static void run_sessions(struct session *sessions)
{
    struct epoll_event events[256];
    bool waiting = true;

    while (run.live && !run.gave_up) {
        int n = epoll_wait(run.epoll, events, 256, waiting ? 2 : 500);

        for (int i = 0; i < n; i++)
            on_event(events[i].data.ptr);
        waiting = wake_waiting(sessions);
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static double percentile_ms(double share)
{
    uint64_t at = (uint64_t)((double)run.accepted * share);

    if (!run.accepted)
        return 0;
    return run.latencies_us[at < run.accepted ? at : run.accepted - 1] / 1000.0;
}

static void report(void)
{
    double seconds = (double)(run.last_us > run.first_us ? run.last_us - run.first_us : 1) / 1e6;
    struct rusage use;

    (void)getrusage(RUSAGE_SELF, &use);
    qsort(run.latencies_us, run.accepted, sizeof(uint32_t), by_size);
    printf("{\"accepted\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"deferred\": %" PRIu64 ", \"unknown\": %" PRIu64
           ", \"not_tried\": %" PRIu64 ", \"sessions\": %u, \"size\": %" PRIu64
           ", \"seconds\": %.3f, \"per_second\": %.1f, \"cpu_seconds\": %.3f, \"latency_ms\": {\"p50\": %.2f, "
           "\"p90\": %.2f, \"p99\": %.2f, \"max\": %.2f}}\n",
           run.accepted, run.refused, run.deferred, run.unknown, options.messages - run.next, options.sessions,
           options.size, seconds, (double)run.accepted / seconds,
           (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
               (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6,
           percentile_ms(0.5), percentile_ms(0.9), percentile_ms(0.99), percentile_ms(1));
}

static void set_tls(const char *value)
{
    if (strcmp(value, "starttls") == 0)
        options.tls = TLS_STARTTLS;
    else if (strcmp(value, "implicit") == 0)
        options.tls = TLS_IMPLICIT;
    else if (strcmp(value, "none") != 0)
        die("--tls none|starttls|implicit");
}

static void set_option(int option, const char *value)
{
    switch (option) {
    case 'h':
        options.host = value;
        break;
    case 'p':
        options.port = value;
        break;
    case 's':
        options.sessions = (unsigned)number_of(value, "--sessions");
        break;
    case 'm':
        options.messages = number_of(value, "--messages");
        break;
    case 'z':
        options.size = number_of(value, "--size");
        break;
    case 'f':
        options.from = value;
        break;
    case 't':
        options.to = value;
        break;
    case 'l':
        options.login = value;
        break;
    case 'w':
        options.password = value;
        break;
    case 'T':
        set_tls(value);
        break;
    case 'k':
        options.per_connection = number_of(value, "--per-connection");
        break;
    case 'P':
        options.pipeline = true;
        break;
    case 'r':
        options.rate = number_of(value, "--rate");
        break;
    case 'R':
        options.run = value;
        break;
    case 'E':
        options.persist_us = number_of(value, "--persist") * 1000000;
        break;
    case 'S':
        options.stop_at_us = now_us() + number_of(value, "--seconds") * 1000000;
        break;
    case 'L':
        options.ledger = fopen(value, "a");
        if (!options.ledger)
            die(value);
        break;
    default:
        fprintf(stderr, "usage: see the head of tests/bench/smtp_source.c\n");
        exit(2);
    }
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {{"host", 1, 0, 'h'},
                                          {"port", 1, 0, 'p'},
                                          {"sessions", 1, 0, 's'},
                                          {"messages", 1, 0, 'm'},
                                          {"size", 1, 0, 'z'},
                                          {"from", 1, 0, 'f'},
                                          {"to", 1, 0, 't'},
                                          {"login", 1, 0, 'l'},
                                          {"password", 1, 0, 'w'},
                                          {"tls", 1, 0, 'T'},
                                          {"per-connection", 1, 0, 'k'},
                                          {"pipeline", 0, 0, 'P'},
                                          {"rate", 1, 0, 'r'},
                                          {"run", 1, 0, 'R'},
                                          {"persist", 1, 0, 'E'},
                                          {"seconds", 1, 0, 'S'},
                                          {"ledger", 1, 0, 'L'},
                                          {0, 0, 0, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
        set_option(option, optarg);
}

int main(int argc, char **argv)
{
    struct session *sessions;

    read_options(argc, argv);
    (void)signal(SIGPIPE, SIG_IGN);
    sessions = calloc(options.sessions, sizeof(*sessions));
    run.latencies_us = calloc(options.messages + 1, sizeof(uint32_t));
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!sessions || !run.latencies_us || run.epoll < 0)
        die("start");
    if (options.tls != TLS_NONE)
        run.tls = wire_client_tls();
    make_filler();
    run.first_us = run.last_us = now_us();
    run.live = options.sessions;
    for (unsigned i = 0; i < options.sessions; i++) {
        sessions[i].number = i;
        sessions[i].wire.fd = -1;
        begin_connection(&sessions[i]);
    }
    run_sessions(sessions);
    report();
    if (options.ledger && fclose(options.ledger))
        die("ledger");
    return run.accepted == options.messages || options.stop_at_us ? 0 : 1;
}
