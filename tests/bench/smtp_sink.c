/* smtp_sink.c: receives mail as fast as it comes, and keeps account of it.
 *
 *     smtp_sink --port 2525 [--host 127.0.0.1] [--stop-after N] [--tls] [--quiet]
 *         [--sample K --sample-dir DIR] [--ledger FILE [--ledger-more]]
 *         [--temp PERCENT] [--perm PERCENT] [--at rcpt|end] [--delay MS] [--rate PER_SECOND [--rate-refuse]]
 *         [--per-connection K] [--receive-buffer BYTES]
 *
 * Counts messages; checks that each has a DKIM-Signature and that no two have the same b=; keeps a random sample of K
 * messages in DIR (NUMBER.eml with the text as received, dots unstuffed, NUMBER.env with "mail_from rcpt_to helo");
 * appends "ID" of each message's X-Ledger field to the ledger when it answers 250, and counts those seen before;
 * with --ledger-more the line is "ID MAIL_FROM SECONDS".
 * Bad days: --temp and --perm refuse that share of messages with 451 and 550, at RCPT or at the end; --delay answers
 * the end of a message later; --rate lets so many messages a second through and holds the others' answers back, or with
 * --rate-refuse answers them 421. --per-connection answers 421 to further messages. --receive-buffer is
 * that of the kernel for each connection, so that the sender has to wait. --tls offers STARTTLS with a key
 * made on the spot. Prints a line a second on standard error unless --quiet, and at the end (SIGTERM, SIGINT,
 * --stop-after) one line of JSON; exit status 1 if a message was unsigned or a signature seen twice. */
#include "wire.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, ADDRESS_MAX = 330 };

struct session {
    struct wire wire;
    struct bytes in;
    struct session *next, *prev; /* of those whose answer waits */
    bool in_text;
    bool waiting;
    size_t scanned; /* of `in`: no end of text before */
    uint64_t answer_at_us;
    uint64_t messages;
    char mail_from[ADDRESS_MAX], rcpt_to[ADDRESS_MAX], helo[ADDRESS_MAX];
    char ledger_id[64];
};

/* 64-bit hashes, open addressing; 0 is "empty". */
struct set {
    uint64_t *slots;
    size_t cap, count;
};

static struct {
    const char *host, *port, *sample_dir;
    uint64_t stop_after, sample, delay_us, rate, per_connection, receive_buffer;
    unsigned temp, perm;
    bool tls, quiet, at_rcpt, rate_refuse, ledger_more;
    FILE *ledger;
} options = {.host = "127.0.0.1", .port = "2525"};

static struct {
    int epoll, listener;
    SSL_CTX *tls;
    struct set signatures, ledger;
    struct session waiting; /* list head, in order of answer_at_us */
    struct random64 random;
    uint64_t messages, bytes, unsigned_, repeated, repeated_ids, temp, perm, connections, open, open_max;
    uint64_t first_us, last_us, slot_us, second_us, second_messages;
} run;

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* False: it is in already. */
static bool set_add(struct set *set, uint64_t hash)
{
    size_t at;

    hash |= 1;
    if (set->count * 2 >= set->cap) {
        struct set larger = {calloc(set->cap ? set->cap * 2 : 65536, sizeof(uint64_t)), set->cap ? set->cap * 2 : 65536,
                             0};

        if (!larger.slots)
            die("memory");
        for (size_t i = 0; i < set->cap; i++)
            if (set->slots[i])
                (void)set_add(&larger, set->slots[i]);
        free(set->slots);
        *set = larger;
    }
    for (at = (size_t)(hash >> 8) & (set->cap - 1); set->slots[at]; at = (at + 1) & (set->cap - 1))
        if (set->slots[at] == hash)
            return false;
    set->slots[at] = hash;
    set->count++;
    return true;
}

/* The value of the field `name` (lower or upper case) with its folded lines, or NULL; `from` is where to start. */
static const char *find_field(const char *text, size_t n, const char *name, size_t *ret_n)
{
    size_t length = strlen(name);

    for (size_t at = 0; at < n;) {
        const char *lf = memchr(text + at, '\n', n - at);
        size_t end = lf ? (size_t)(lf - text) + 1 : n;

        if (end - at <= 2)
            return NULL; /* the empty line */
        if (end - at > length && text[at + length] == ':' && strncasecmp(text + at, name, length) == 0) {
            while (end < n && (text[end] == ' ' || text[end] == '\t')) {
                lf = memchr(text + end, '\n', n - end);
                end = lf ? (size_t)(lf - text) + 1 : n;
            }
            *ret_n = end - at - length - 1;
            return text + at + length + 1;
        }
        at = end;
    }
    return NULL;
}

/* The hash of b=, blanks left out; 0 without one. */
static uint64_t signature_hash(const char *value, size_t n)
{
    char b[1400];
    size_t length = 0;

    for (size_t i = 0; i + 1 < n; i++) {
        bool starts =
            i == 0 || value[i - 1] == ';' || value[i - 1] == ' ' || value[i - 1] == '\t' || value[i - 1] == '\n';

        if (!starts || value[i] != 'b' || value[i + 1] != '=')
            continue;
        for (i += 2; i < n && value[i] != ';' && length < sizeof(b); i++)
            if (!strchr(" \t\r\n", value[i]))
                b[length++] = value[i];
        return length ? hash_bytes(b, length) : 0;
    }
    return 0;
}

static void check_signatures(const char *text, size_t n)
{
    const char *end = text + n, *value;
    bool found = false;
    size_t length;

    while ((value = find_field(text, (size_t)(end - text), "DKIM-Signature", &length))) {
        uint64_t hash = signature_hash(value, length);

        found |= hash != 0;
        if (hash && !set_add(&run.signatures, hash))
            run.repeated++;
        text = value + length;
    }
    run.unsigned_ += !found;
}

static FILE *open_sample(uint64_t number, const char *suffix)
{
    char path[4096];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%" PRIu64 ".%s", options.sample_dir, number, suffix);
    file = fopen(path, "w");
    if (!file)
        die(path);
    return file;
}

/* Each message ends up among the K with the same chance (reservoir sampling). */
static void keep_sample(const struct session *s, const char *text, size_t n)
{
    uint64_t place = run.messages < options.sample ? run.messages : random_next(&run.random) % (run.messages + 1);
    FILE *file;

    if (place >= options.sample)
        return;
    file = open_sample(place, "env");
    fprintf(file, "%s %s %s\n", s->mail_from, s->rcpt_to, s->helo);
    (void)fclose(file);
    file = open_sample(place, "eml");
    for (size_t at = 0; at < n;) {
        const char *lf = memchr(text + at, '\n', n - at);
        size_t end = lf ? (size_t)(lf - text) + 1 : n;

        at += text[at] == '.';
        (void)fwrite(text + at, 1, end - at, file);
        at = end;
    }
    (void)fclose(file);
}

static double wall_clock(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void note_ledger(struct session *s)
{
    if (!s->ledger_id[0])
        return;
    if (!set_add(&run.ledger, hash_bytes(s->ledger_id, strlen(s->ledger_id))))
        run.repeated_ids++;
    if (options.ledger && options.ledger_more)
        fprintf(options.ledger, "%s %s %.3f\n", s->ledger_id, s->mail_from[0] ? s->mail_from : "<>", wall_clock());
    else if (options.ledger)
        fprintf(options.ledger, "%s\n", s->ledger_id);
}

static void count_message(struct session *s, const char *text, size_t n)
{
    size_t length;
    const char *id = find_field(text, n, "X-Ledger", &length);

    s->ledger_id[0] = 0;
    if (id) {
        while (length && *id == ' ')
            id++, length--;
        while (length && (id[length - 1] == '\n' || id[length - 1] == '\r'))
            length--;
        (void)snprintf(s->ledger_id, sizeof(s->ledger_id), "%.*s", (int)length, id);
    }
    note_ledger(s);
    check_signatures(text, n);
    if (options.sample)
        keep_sample(s, text, n);
    run.last_us = now_us();
    if (!run.messages)
        run.first_us = run.last_us;
    run.messages++;
    run.second_messages++;
    run.bytes += n;
    s->messages++;
}

static void say(struct session *s, const char *line)
{
    bytes_add(&s->wire.out, line, strlen(line));
}

/* True: a refusal was said instead. */
static bool has_bad_day(struct session *s)
{
    unsigned dice = (unsigned)(random_next(&run.random) % 100);

    if (dice < options.perm) {
        run.perm++;
        say(s, "550 5.1.1 no such user here\r\n");
    } else if (dice < options.perm + options.temp) {
        run.temp++;
        say(s, "451 4.7.1 come back later\r\n");
    } else {
        return false;
    }
    return true;
}

static void wait_in_list(struct session *s, uint64_t at_us)
{
    struct session *after = run.waiting.prev;

    while (after != &run.waiting && after->answer_at_us > at_us)
        after = after->prev;
    s->answer_at_us = at_us;
    s->waiting = true;
    s->prev = after;
    s->next = after->next;
    after->next->prev = s;
    after->next = s;
}

static void leave_list(struct session *s)
{
    if (!s->waiting)
        return;
    s->prev->next = s->next;
    s->next->prev = s->prev;
    s->waiting = false;
}

/* Slots of the rate: when this message's turn is. */
static uint64_t turn_of(uint64_t now)
{
    if (!options.rate)
        return now;
    if (run.slot_us < now)
        run.slot_us = now;
    run.slot_us += 1000000 / options.rate;
    return run.slot_us - 1000000 / options.rate;
}

static void end_of_text(struct session *s, const char *text, size_t n)
{
    uint64_t now = now_us();

    if (options.rate && options.rate_refuse && run.slot_us > now) {
        run.temp++;
        say(s, "421 4.7.28 too fast\r\n");
        return;
    }
    if (!options.at_rcpt && has_bad_day(s))
        return;
    count_message(s, text, n);
    if (options.delay_us || options.rate) {
        uint64_t at = turn_of(now) + options.delay_us;

        if (at > now) {
            wait_in_list(s, at);
            return;
        }
    }
    say(s, "250 2.0.0 taken\r\n");
}

/* "FROM:<a@b> …" → "a@b" */
static void take_address(char *to, const char *line, size_t n)
{
    const char *from = memchr(line, '<', n), *end = memchr(line, '>', n);

    to[0] = 0;
    if (from && end && end > from && end - from < ADDRESS_MAX)
        (void)snprintf(to, ADDRESS_MAX, "%.*s", (int)(end - from - 1), from + 1);
}

static bool is_command(const char *line, size_t n, const char *name)
{
    return n >= 4 && strncasecmp(line, name, 4) == 0;
}

static void mail_command(struct session *s, const char *line, size_t n)
{
    if (options.per_connection && s->messages >= options.per_connection) {
        say(s, "421 4.7.0 enough for one connection\r\n");
        return;
    }
    take_address(s->mail_from, line, n);
    say(s, "250 2.1.0 ok\r\n");
}

static void ehlo_command(struct session *s, const char *line, size_t n)
{
    (void)snprintf(s->helo, sizeof(s->helo), "%.*s", n > 5 ? (int)(n - 5) : 0, n > 5 ? line + 5 : "");
    say(s, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n");
    say(s, options.tls && !s->wire.ssl ? "250-STARTTLS\r\n" : "");
    say(s, "250-SIZE 104857600\r\n250 ENHANCEDSTATUSCODES\r\n");
}

/* One line without its end. False: close. */
static bool command(struct session *s, const char *line, size_t n)
{
    if (is_command(line, n, "EHLO") || is_command(line, n, "HELO")) {
        ehlo_command(s, line, n);
    } else if (is_command(line, n, "MAIL")) {
        mail_command(s, line, n);
    } else if (is_command(line, n, "RCPT")) {
        take_address(s->rcpt_to, line, n);
        if (!options.at_rcpt || !has_bad_day(s))
            say(s, "250 2.1.5 ok\r\n");
        else
            s->rcpt_to[0] = 0;
    } else if (is_command(line, n, "DATA")) {
        s->in_text = s->rcpt_to[0] != 0;
        say(s, s->in_text ? "354 go on\r\n" : "503 5.5.1 no recipient\r\n");
    } else if (is_command(line, n, "QUIT")) {
        say(s, "221 2.0.0 bye\r\n");
        (void)wire_flush(&s->wire);
        return false;
    } else if (is_command(line, n, "STAR") && options.tls && !s->wire.ssl) {
        say(s, "220 2.0.0 go on\r\n");
        (void)wire_flush(&s->wire);
        wire_start_tls(&s->wire, run.tls, true);
    } else if (is_command(line, n, "RSET") || is_command(line, n, "NOOP")) {
        say(s, "250 2.0.0 ok\r\n");
    } else {
        say(s, "502 5.5.1 what\r\n");
    }
    return true;
}

/* Text up to CRLF.CRLF; the CRLF behind DATA was taken, so an empty text is a lone ".". Returns bytes used, 0: more. */
static size_t take_text(struct session *s, const char *p, size_t n)
{
    const char *end;
    size_t length;

    if (n >= 3 && memcmp(p, ".\r\n", 3) == 0) {
        s->in_text = false;
        end_of_text(s, p, 0);
        return 3;
    }
    end = n > s->scanned ? memmem(p + s->scanned, n - s->scanned, "\r\n.\r\n", 5) : NULL;
    if (!end) {
        s->scanned = n > 4 ? n - 4 : 0;
        return 0;
    }
    s->scanned = 0;
    s->in_text = false;
    length = (size_t)(end - p) + 2;
    end_of_text(s, p, length);
    return length + 3;
}

/* False: close. */
static bool take_input(struct session *s)
{
    size_t at = 0;
    bool alive = true;

    while (alive && at < s->in.n && !s->waiting && !s->wire.shaking) {
        const char *p = s->in.p + at, *lf;
        size_t left = s->in.n - at, used;

        if (s->in_text) {
            used = take_text(s, p, left);
        } else {
            lf = memchr(p, '\n', left);
            used = lf ? (size_t)(lf - p) + 1 : 0;
            if (lf)
                alive = command(s, p, used > 1 && p[used - 2] == '\r' ? used - 2 : used - 1);
            if (s->wire.shaking)
                used = left; /* what was sent in clear behind STARTTLS */
        }
        if (!used)
            break;
        at += used;
    }
    bytes_cut(&s->in, at);
    return alive;
}

static void close_session(struct session *s)
{
    leave_list(s);
    wire_close(&s->wire);
    free(s->in.p);
    free(s->wire.out.p);
    free(s);
    run.open--;
}

static void accept_all(void)
{
    int fd;

    while ((fd = accept4(run.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct session *s = calloc(1, sizeof(*s));

        if (!s)
            die("memory");
        wire_open(&s->wire, run.epoll, fd, s, false);
        say(s, "220 sink.example ESMTP\r\n");
        run.connections++;
        if (++run.open > run.open_max)
            run.open_max = run.open;
        if (!wire_flush(&s->wire))
            close_session(s);
    }
}

/* False: the connection is at its end. */
static bool serve(struct session *s)
{
    long n;

    if (s->wire.shaking) {
        int done = wire_shake(&s->wire);

        if (done <= 0)
            return done == 0;
    }
    do {
        n = wire_read(&s->wire, &s->in, READ_SIZE);
        if (n < 0 || !take_input(s))
            return false;
        if (s->wire.shaking)
            return serve(s);
    } while (n == READ_SIZE || (s->wire.ssl && n > 0));
    return wire_flush(&s->wire);
}

static void answer_waiting(uint64_t now)
{
    while (run.waiting.next != &run.waiting && run.waiting.next->answer_at_us <= now) {
        struct session *s = run.waiting.next;

        leave_list(s);
        say(s, "250 2.0.0 taken\r\n");
        if (!take_input(s) || !wire_flush(&s->wire))
            close_session(s);
    }
}

static void each_second(uint64_t now)
{
    if (now - run.second_us < 1000000)
        return;
    if (!options.quiet && run.second_messages)
        fprintf(stderr, "smtp_sink: %" PRIu64 "/s, %" PRIu64 " in all, %" PRIu64 " connections open\n",
                run.second_messages * 1000000 / (now - run.second_us), run.messages, run.open);
    run.second_us = now;
    run.second_messages = 0;
}

static void run_all(void)
{
    struct epoll_event events[256];

    while (!stopped && (!options.stop_after || run.messages < options.stop_after || run.waiting.next != &run.waiting)) {
        int n = epoll_wait(run.epoll, events, 256, run.waiting.next == &run.waiting ? 200 : 1);

        for (int i = 0; i < n; i++) {
            struct session *s = events[i].data.ptr;

            if (!s)
                accept_all();
            else if (!serve(s))
                close_session(s);
        }
        if (options.ledger)
            (void)fflush(options.ledger);
        answer_waiting(now_us());
        each_second(now_us());
    }
}

static void report(void)
{
    double seconds = (double)(run.last_us > run.first_us ? run.last_us - run.first_us : 1) / 1e6;
    struct rusage use;

    (void)getrusage(RUSAGE_SELF, &use);
    printf("{\"messages\": %" PRIu64 ", \"bytes\": %" PRIu64
           ", \"seconds\": %.3f, \"per_second\": %.1f, \"unsigned\": %" PRIu64 ", \"repeated_signatures\": %" PRIu64
           ", \"repeated_ids\": %" PRIu64 ", \"distinct_ids\": %zu, \"temp\": %" PRIu64 ", \"perm\": %" PRIu64
           ", \"connections\": %" PRIu64 ", \"open_max\": %" PRIu64 ", \"cpu_seconds\": %.3f}\n",
           run.messages, run.bytes, seconds, (double)run.messages / seconds, run.unsigned_, run.repeated,
           run.repeated_ids, run.ledger.count, run.temp, run.perm, run.connections, run.open_max,
           (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
               (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
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
    case 'n':
        options.stop_after = number_of(value, "--stop-after");
        break;
    case 'k':
        options.sample = number_of(value, "--sample");
        break;
    case 'd':
        options.sample_dir = value;
        break;
    case 't':
        options.temp = (unsigned)number_of(value, "--temp");
        break;
    case 'P':
        options.perm = (unsigned)number_of(value, "--perm");
        break;
    case 'a':
        options.at_rcpt = strcmp(value, "rcpt") == 0;
        break;
    case 'D':
        options.delay_us = number_of(value, "--delay") * 1000;
        break;
    case 'r':
        options.rate = number_of(value, "--rate");
        break;
    case 'R':
        options.rate_refuse = true;
        break;
    case 'c':
        options.per_connection = number_of(value, "--per-connection");
        break;
    case 'B':
        options.receive_buffer = number_of(value, "--receive-buffer");
        break;
    case 'M':
        options.ledger_more = true;
        break;
    case 'T':
        options.tls = true;
        break;
    case 'q':
        options.quiet = true;
        break;
    case 'L':
        options.ledger = fopen(value, "a");
        if (!options.ledger)
            die(value);
        break;
    default:
        fprintf(stderr, "usage: see the head of tests/bench/smtp_sink.c\n");
        exit(2);
    }
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"host", 1, 0, 'h'},        {"port", 1, 0, 'p'},  {"stop-after", 1, 0, 'n'},  {"sample", 1, 0, 'k'},
        {"sample-dir", 1, 0, 'd'},  {"temp", 1, 0, 't'},  {"perm", 1, 0, 'P'},        {"at", 1, 0, 'a'},
        {"delay", 1, 0, 'D'},       {"rate", 1, 0, 'r'},  {"rate-refuse", 0, 0, 'R'}, {"per-connection", 1, 0, 'c'},
        {"tls", 0, 0, 'T'},         {"quiet", 0, 0, 'q'}, {"ledger", 1, 0, 'L'},      {"receive-buffer", 1, 0, 'B'},
        {"ledger-more", 0, 0, 'M'}, {0, 0, 0, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
        set_option(option, optarg);
    if (options.sample && !options.sample_dir)
        die("--sample needs --sample-dir");
}

int main(int argc, char **argv)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct sigaction action = {.sa_handler = on_signal};

    read_options(argc, argv);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    run.waiting.next = run.waiting.prev = &run.waiting;
    run.random.state = now_us();
    run.second_us = now_us();
    if (options.tls)
        run.tls = wire_server_tls();
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.listener = wire_listen(options.host, options.port);
    if (options.receive_buffer &&
        setsockopt(run.listener, SOL_SOCKET, SO_RCVBUF, &(int){(int)options.receive_buffer}, sizeof(int)))
        die("--receive-buffer");
    if (run.epoll < 0 || epoll_ctl(run.epoll, EPOLL_CTL_ADD, run.listener, &event))
        die("epoll");
    run_all();
    report();
    if (options.ledger && fclose(options.ledger))
        die("ledger");
    return run.unsigned_ || run.repeated ? 1 : 0;
}
