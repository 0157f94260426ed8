/* bench_bounce.c: how many bounces a core reads in a second: a report, words alone, a complaint, and a hostile one, by
 * turns, with the rules that are shipped. `bench_bounce [SECONDS]` prints a line for each. Files given behind SECONDS
 * are measured together, as they are. */
#include "base/buf.h"
#include "mail/bounce/bounce.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FILE_MAX = 1 << 20, FILES = 1000 };

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const char report[] =
    "Return-Path: <>\r\nReceived: from mx.d.example by mx.a.example with ESMTP id 1; Sun, 22 Nov 2026 01:00:00 "
    "+0000\r\n"
    "From: MAILER-DAEMON@mx.d.example (Mail Delivery System)\r\nSubject: Undelivered Mail Returned to Sender\r\n"
    "To: b1@bounce.a.example\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/report; report-type=delivery-status; boundary=\"x1\"\r\n\r\n"
    "--x1\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nThis is the mail system at host mx.d.example.\r\n\r\n"
    "I'm sorry to have to inform you that your message could not\r\nbe delivered to one or more recipients.\r\n\r\n"
    "<someone@e.example>: host mx.e.example[192.0.2.7] said: 550 5.1.1\r\n    <someone@e.example>: Recipient address "
    "rejected: User unknown in virtual\r\n    mailbox table (in reply to RCPT TO command)\r\n\r\n"
    "--x1\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.d.example\r\n"
    "Arrival-Date: Sun, 22 Nov 2026 01:00:00 +0000\r\n\r\nFinal-Recipient: rfc822; someone@e.example\r\n"
    "Original-Recipient: rfc822;someone@e.example\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; "
    "mx.e.example\r\n"
    "Diagnostic-Code: smtp; 550 5.1.1 <someone@e.example>: Recipient address\r\n    rejected: User unknown in virtual "
    "mailbox table\r\n\r\n--x1\r\nContent-Type: message/rfc822\r\n\r\n"
    "Return-Path: <b1@bounce.a.example>\r\nReceived: from a by b with ESMTPS id 2; Sun, 22 Nov 2026 00:59:00 +0000\r\n"
    "Message-ID: <1.2.3@a.example>\r\nFeedback-ID: 1:2:3:abcdef\r\nFrom: a@a.example\r\nTo: someone@e.example\r\n"
    "Subject: Hello\r\nContent-Type: multipart/alternative; boundary=y1\r\n\r\n--y1\r\n\r\nText of some length.\r\n"
    "--y1\r\nContent-Type: text/html\r\n\r\n<p>Text of some length.</p>\r\n--y1--\r\n--x1--\r\n";

static const char words[] =
    "Return-Path: <>\r\nFrom: Mail Delivery System <Mailer-Daemon@mx.d.example>\r\nTo: b1@bounce.a.example\r\n"
    "Subject: Mail delivery failed: returning message to sender\r\nX-Failed-Recipients: someone@e.example\r\n\r\n"
    "This message was created automatically by mail delivery software.\r\n\r\nA message that you sent could not be "
    "delivered to one or more of its\r\nrecipients. This is a permanent error. The following address(es) "
    "failed:\r\n\r\n"
    "  someone@e.example\r\n    SMTP error from remote mail server after RCPT TO:<someone@e.example>:\r\n"
    "    host mx.e.example [192.0.2.7]: 552 5.2.2 mailbox for user is full\r\n\r\n"
    "------ This is a copy of the message, including all the headers. ------\r\n\r\n"
    "Return-path: <b1@bounce.a.example>\r\nReceived: from a by b\r\nMessage-Id: <1@a.example>\r\nTo: "
    "someone@e.example\r\n";

static const char complaint[] = "From: feedback@fbl.example\r\nSubject: FW: Hello\r\n"
                                "Content-Type: multipart/report; report-type=feedback-report; "
                                "boundary=x2\r\n\r\n--x2\r\n\r\nThis is an email abuse "
                                "report.\r\n--x2\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: "
                                "abuse\r\nUser-Agent: F/1\r\nVersion: 1\r\n"
                                "Original-Mail-From: <b1@bounce.a.example>\r\nSource-IP: "
                                "192.0.2.1\r\n\r\n--x2\r\nContent-Type: message/rfc822\r\n\r\n"
                                "Return-Path: <b1@bounce.a.example>\r\nMessage-ID: <1@a.example>\r\nTo: "
                                "someone@e.example\r\n\r\nText\r\n--x2--\r\n";

struct sample {
    const char *name;
    bh_str message;
};

static void measure(const struct bh_bounce_rules *rules, const char *name, const struct sample *samples, size_t count,
                    double seconds)
{
    struct bh_arena *arena = bh_arena_new(BH_BOUNCE_ARENA_BYTES);
    double start = now_s(), spent;
    size_t done = 0, bytes = 0;
    struct bh_bounce bounce;

    do {
        for (size_t i = 0; i < count; i++) {
            bh_arena_reset(arena);
            if (bh_bounce_read(arena, rules, samples[i].message, &bounce))
                exit(1);
            bytes += samples[i].message.n;
        }
        done += count;
        spent = now_s() - start;
    } while (spent < seconds);
    printf("%-12s %10.0f/s %8.1f us each %8.1f MB/s\n", name, (double)done / spent, spent * 1e6 / (double)done,
           (double)bytes / spent / 1e6);
    bh_arena_free(arena);
}

static bh_str hostile(void)
{
    struct bh_buf text = bh_buf_make(FILE_MAX);

    bh_buf_add(&text, BH_STR("From: MAILER-DAEMON@a\nSubject: failure notice\n\n"));
    while (text.n < FILE_MAX - 100)
        bh_buf_add(&text, BH_STR("user is user not mailbox is the 550 5.1. 550 <a@b <a@b Received: x\n"));
    return bh_buf_view(&text);
}

static bh_str file_of(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(FILE_MAX);
    size_t n;

    if (!file || !bytes)
        exit(1);
    n = fread(bytes, 1, FILE_MAX, file);
    (void)fclose(file);
    return bh_str_of(bytes, n);
}

int main(int argc, char **argv)
{
    const struct sample samples[] = {{"report", BH_STR(report)},
                                     {"words", BH_STR(words)},
                                     {"complaint", BH_STR(complaint)},
                                     {"hostile 1MB", hostile()}};
    struct bh_rules_source source = bh_bounce_rules_builtin();
    struct sample *files = calloc(FILES, sizeof(*files));
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1, start = now_s();
    struct bh_bounce_rules *rules;
    struct bh_rules_fault fault;
    size_t count = 0;

    if (!files || bh_bounce_rules_new(&source, 1, &rules, &fault))
        return 1;
    printf("%-12s %10.1f ms\n", "rules", (now_s() - start) * 1e3);
    for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++)
        measure(rules, samples[i].name, &samples[i], 1, seconds);
    measure(rules, "first three", samples, 3, seconds);
    for (; (int)count + 2 < argc && count < FILES; count++)
        files[count] = (struct sample){argv[count + 2], file_of(argv[count + 2])};
    if (count)
        measure(rules, "files", files, count, seconds);
    return 0;
}
