/* sink: a receiving mail server for tests, that stores what arrives exactly as it arrived.
 *
 *     sink ADDRESS PORT FOLDER [NAME]
 *
 * Each message becomes FOLDER/<number>.eml (the bytes of DATA, dots unstuffed, line ends untouched) and
 * FOLDER/<number>.envelope, lines of "key: value" with client, helo, mail-from and each rcpt-to. The envelope is
 * renamed into place last: who sees it may read both. Everyone is accepted; a recipient whose local part starts with
 * "unknown" gets 550, with "busy" 450.
 *
 * One process per connection, blocking I/O: this is a receiver to look at, not one to measure with (tests/bench has
 * that). The children end with the parent. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, RECIPIENTS_MAX = 1000, MESSAGE_MAX_BYTES = 64 << 20 };

struct session {
    FILE *in, *out;
    const char *folder, *name;
    char client[INET6_ADDRSTRLEN];
    char helo[256];
    char mail_from[1024];
    char (*rcpt_to)[1024];
    unsigned recipients;
    unsigned messages;
    bool has_mail_from;
};

__attribute__((format(printf, 2, 3))) static void reply(struct session *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vfprintf(s->out, format, args);
    va_end(args);
    (void)fputs("\r\n", s->out);
}

/* One line up to LF, without CRLF. False at the end of the connection or when the line is too long. */
static bool read_line(struct session *s, char *line)
{
    size_t n;

    if (!fgets(line, LINE_MAX_BYTES, s->in))
        return false;
    n = strlen(line);
    if (n == 0 || line[n - 1] != '\n')
        return false;
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        line[--n] = 0;
    return true;
}

static void forget_envelope(struct session *s)
{
    s->has_mail_from = false;
    s->recipients = 0;
}

/* The address between < and >, into dst. False when there is none or it is too long. */
static bool take_path(const char *line, char *dst, size_t cap)
{
    const char *open = strchr(line, '<');
    const char *close = open ? strchr(open, '>') : NULL;

    if (!close || (size_t)(close - open) > cap)
        return false;
    memcpy(dst, open + 1, (size_t)(close - open - 1));
    dst[close - open - 1] = 0;
    return true;
}

static void on_rcpt(struct session *s, const char *line)
{
    char *path;

    if (!s->has_mail_from) {
        reply(s, "503 5.5.1 MAIL first");
        return;
    }
    if (s->recipients == RECIPIENTS_MAX) {
        reply(s, "452 4.5.3 too many recipients");
        return;
    }
    path = s->rcpt_to[s->recipients];
    if (!take_path(line, path, sizeof(s->rcpt_to[0]))) {
        reply(s, "501 5.1.3 bad address");
    } else if (strncmp(path, "unknown", 7) == 0) {
        reply(s, "550 5.1.1 <%s>: no such mailbox", path);
    } else if (strncmp(path, "busy", 4) == 0) {
        reply(s, "450 4.2.1 <%s>: busy, try again later", path);
    } else {
        s->recipients++;
        reply(s, "250 2.1.5 recipient ok");
    }
}

/* The bytes of DATA into `file`, up to CRLF.CRLF. */
static bool copy_data(struct session *s, FILE *file)
{
    bool after_crlf = true, ended = false;
    char *line = NULL;
    size_t cap = 0, total = 0;
    ssize_t got;

    while (!ended && (got = getline(&line, &cap, s->in)) > 0) {
        size_t n = (size_t)got;
        size_t dot = after_crlf && line[0] == '.';

        ended = after_crlf && n == 3 && memcmp(line, ".\r\n", 3) == 0;
        total += n;
        if (!ended && total <= MESSAGE_MAX_BYTES)
            (void)fwrite(line + dot, 1, n - dot, file);
        after_crlf = n >= 2 && line[n - 2] == '\r';
    }
    free(line);
    return ended;
}

static bool write_envelope(struct session *s, const char *base)
{
    char temporary[512], final[512];
    FILE *file;
    int ok;

    (void)snprintf(temporary, sizeof(temporary), "%s.new", base);
    (void)snprintf(final, sizeof(final), "%s.envelope", base);
    file = fopen(temporary, "w");
    if (!file)
        return false;
    (void)fprintf(file, "client: %s\nhelo: %s\nmail-from: %s\n", s->client, s->helo, s->mail_from);
    for (unsigned i = 0; i < s->recipients; i++)
        (void)fprintf(file, "rcpt-to: %s\n", s->rcpt_to[i]);
    ok = fclose(file) == 0;
    return ok && rename(temporary, final) == 0;
}

static void on_data(struct session *s)
{
    char base[400], path[512];
    struct timespec now;
    FILE *file;
    bool stored;

    if (!s->recipients) {
        reply(s, "503 5.5.1 RCPT first");
        return;
    }
    reply(s, "354 end with CRLF.CRLF");
    (void)fflush(s->out);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(base, sizeof(base), "%s/%010lld.%06ld-%d-%u", s->folder, (long long)now.tv_sec, now.tv_nsec / 1000,
                   (int)getpid(), ++s->messages);
    (void)snprintf(path, sizeof(path), "%s.eml", base);
    file = fopen(path, "w");
    if (!file || !copy_data(s, file))
        _exit(1); /* the connection broke: whatever was not answered was not received */
    stored = fclose(file) == 0 && write_envelope(s, base);
    if (stored)
        reply(s, "250 2.0.0 stored");
    else
        reply(s, "451 4.3.0 cannot store: %s", strerrorname_np(errno));
    forget_envelope(s);
}

static void on_mail(struct session *s, const char *line)
{
    if (s->has_mail_from) {
        reply(s, "503 5.5.1 MAIL was given already");
    } else if (!take_path(line, s->mail_from, sizeof(s->mail_from))) {
        reply(s, "501 5.1.7 bad address");
    } else {
        s->has_mail_from = true;
        reply(s, "250 2.1.0 sender ok");
    }
}

static void on_greeting(struct session *s, const char *line, bool extended)
{
    (void)snprintf(s->helo, sizeof(s->helo), "%s", line + 4 + strspn(line + 4, " "));
    forget_envelope(s);
    if (!extended) {
        reply(s, "250 %s", s->name);
        return;
    }
    reply(s, "250-%s", s->name);
    reply(s, "250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES");
    reply(s, "250 SIZE %d", MESSAGE_MAX_BYTES);
}

static bool on_command(struct session *s, const char *line)
{
    if (strncasecmp(line, "EHLO", 4) == 0 || strncasecmp(line, "HELO", 4) == 0) {
        on_greeting(s, line, line[0] == 'E' || line[0] == 'e');
    } else if (strncasecmp(line, "MAIL FROM:", 10) == 0) {
        on_mail(s, line);
    } else if (strncasecmp(line, "RCPT TO:", 8) == 0) {
        on_rcpt(s, line);
    } else if (strcasecmp(line, "DATA") == 0) {
        on_data(s);
    } else if (strcasecmp(line, "RSET") == 0) {
        forget_envelope(s);
        reply(s, "250 2.0.0 forgotten");
    } else if (strcasecmp(line, "NOOP") == 0) {
        reply(s, "250 2.0.0 ok");
    } else if (strcasecmp(line, "QUIT") == 0) {
        reply(s, "221 2.0.0 bye");
        return false;
    } else {
        reply(s, "502 5.5.1 not known here");
    }
    return true;
}

static void serve(int fd, const char *folder, const char *name)
{
    struct session s = {.in = fdopen(fd, "r"), .out = fdopen(dup(fd), "w"), .folder = folder, .name = name};
    struct sockaddr_storage peer = {0};
    socklen_t length = sizeof(peer);
    char line[LINE_MAX_BYTES];

    s.rcpt_to = calloc(RECIPIENTS_MAX, sizeof(s.rcpt_to[0]));
    if (!s.in || !s.out || !s.rcpt_to || getpeername(fd, (struct sockaddr *)&peer, &length) != 0)
        return;
    if (peer.ss_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&peer)->sin6_addr, s.client, sizeof(s.client));
    else
        (void)inet_ntop(AF_INET, &((struct sockaddr_in *)&peer)->sin_addr, s.client, sizeof(s.client));
    reply(&s, "220 %s ESMTP test receiver", name);
    (void)fflush(s.out);
    while (read_line(&s, line) && on_command(&s, line))
        (void)fflush(s.out);
    (void)fflush(s.out);
}

static int listen_at(const char *address, const char *port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    bool is_v6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
    uint16_t number = (uint16_t)strtoul(port, NULL, 10);
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, bound;

    v4.sin_port = v6.sin6_port = htons(number);
    if (fd < 0 || (!is_v6 && inet_pton(AF_INET, address, &v4.sin_addr) != 1))
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bound = is_v6 ? bind(fd, (struct sockaddr *)&v6, sizeof(v6)) : bind(fd, (struct sockaddr *)&v4, sizeof(v4));
    return bound == 0 && listen(fd, 512) == 0 ? fd : -1;
}

int main(int argc, char **argv)
{
    int listener, on = 1;

    if (argc < 4) {
        (void)fprintf(stderr, "usage: sink ADDRESS PORT FOLDER [NAME]\n");
        return 2;
    }
    listener = listen_at(argv[1], argv[2]);
    if (listener < 0) {
        (void)fprintf(stderr, "sink: cannot listen on %s port %s: %s\n", argv[1], argv[2], strerrorname_np(errno));
        return 1;
    }
    (void)sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    (void)puts("sink: ready");
    (void)fflush(stdout);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0)
            continue;
        if (fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            serve(fd, argv[3], argc > 4 ? argv[4] : "mx.receiver.example");
            _exit(0);
        }
        (void)close(fd);
    }
}
