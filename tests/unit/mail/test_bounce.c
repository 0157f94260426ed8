/* Whole messages: each kind, reports in good and bad form, what is returned, and bombs. */
#include "base/buf.h"
#include "mail/bounce/bounce.h"
#include "unit.h"

struct world {
    struct bh_bounce_rules *rules;
    struct bh_arena *arena;
    struct bh_bounce bounce;
};

static int open_world(void **state)
{
    static struct world world;
    struct bh_rules_source source = bh_bounce_rules_builtin();
    struct bh_rules_fault fault;

    if (bh_bounce_rules_new(&source, 1, &world.rules, &fault))
        return -1;
    world.arena = bh_arena_new(BH_BOUNCE_ARENA_BYTES);
    *state = &world;
    return world.arena ? 0 : -1;
}

static int close_world(void **state)
{
    struct world *world = *state;

    bh_arena_free(world->arena);
    bh_bounce_rules_free(world->rules);
    return 0;
}

static const struct bh_bounce *read_bytes(void **state, bh_str message)
{
    struct world *world = *state;

    bh_arena_reset(world->arena);
    assert_ok(bh_bounce_read(world->arena, world->rules, message, &world->bounce));
    return &world->bounce;
}

static const struct bh_bounce *read_text(void **state, const char *message)
{
    return read_bytes(state, bh_str_c(message));
}

#define REPORT_HEAD                                                                                                    \
    "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\nTo: b1@bounce.a.example\nSubject: Undelivered Mail\n"            \
    "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=x\n\n"
#define REPORT_PART "--x\nContent-Type: message/delivery-status\n\n"
#define RETURNED                                                                                                       \
    "--x\nContent-Type: text/rfc822-headers\n\nReturn-Path: <b1@bounce.a.example>\n"                                   \
    "Received: from a by b (envelope-from <b2@bounce.a.example>) for <u@d.example>\n"                                  \
    "Message-ID: <m1@a.example>\nFeedback-ID: 1:2:3:a\nSubject: Hello\nTo: u@d.example\n\n--x--\n"

static void report_of_three(void **state)
{
    const struct bh_bounce *b = read_text(
        state, REPORT_HEAD "--x\n\nwords\n\n" REPORT_PART "Reporting-MTA: dns; mx.example\nOriginal-Envelope-Id: e1\n\n"
                           "Original-Recipient: rfc822;u@d.example\nFinal-Recipient: rfc822; <v@e.example>\n"
                           "Action: failed\nStatus: 5.1.1 (bad mailbox)\nRemote-MTA: dns; mx.e.example (192.0.2.1)\n"
                           "Diagnostic-Code: smtp; 550 5.1.1\n User unknown\n\n"
                           "Final-Recipient: rfc822;w@d.example\nAction: delayed\nStatus: 4.2.2\n\n"
                           "Final-Recipient: rfc822;y@d.example\nAction: relayed\nStatus: 2.0.0\n\n" RETURNED);

    assert_int_equal(b->kind, BH_BOUNCE_FAILURE);
    assert_int_equal(b->count, 3);
    assert_str(b->reporting_mta, "mx.example");
    assert_str(b->envelope_id, "e1");
    assert_str(b->message_id, "m1@a.example");
    assert_str(b->feedback_id, "1:2:3:a");
    assert_int_equal(b->sender_count, 2);
    assert_str(b->senders[0], "b1@bounce.a.example");
    assert_str(b->senders[1], "b2@bounce.a.example");
    assert_str(b->recipients[0].address, "v@e.example");
    assert_str(b->recipients[0].original, "u@d.example");
    assert_str(b->recipients[0].status, "5.1.1");
    assert_str(b->recipients[0].remote_mta, "mx.e.example");
    assert_str(b->recipients[0].smtp_reply, "550 5.1.1 User unknown");
    assert_str(b->recipients[0].reason, "no-such-user");
    assert_true(b->recipients[0].hard);
    assert_int_equal(b->recipients[1].action, BH_ACTION_DELAYED);
    assert_str(b->recipients[1].reason, "full");
    assert_false(b->recipients[1].hard);
    assert_int_equal(b->recipients[2].action, BH_ACTION_RELAYED);
    assert_str(b->recipients[2].reason, "relayed");
}

static void reports_of_delay_and_success(void **state)
{
    const struct bh_bounce *b = read_text(
        state, REPORT_HEAD REPORT_PART "Reporting-MTA: dns; a\n\nFinal-Recipient: rfc822;w@d.example\nAction: delayed\n"
                                       "Status: 4.4.1\n\n--x--\n");

    assert_int_equal(b->kind, BH_BOUNCE_DELAY);
    b = read_text(state, REPORT_HEAD REPORT_PART "Final-Recipient: rfc822;w@d.example\nAction: expanded\n\n--x--\n");
    assert_int_equal(b->kind, BH_BOUNCE_OTHER);
    assert_int_equal(b->recipients[0].action, BH_ACTION_EXPANDED);
}

/* RFC 6522, RFC 6533: global parts, UTF-8 addresses and their ASCII form. */
static void report_in_utf8(void **state)
{
    const struct bh_bounce *b = read_text(
        state, REPORT_HEAD "--x\nContent-Type: message/global-delivery-status\nContent-Transfer-Encoding: base64\n\n"
                           /* Final-Recipient: utf-8; j\x{F6}rg@d.example / Action: failed / Status: 5.1.1 */
                           "RmluYWwtUmVjaXBpZW50OiB1dGYtODsgalx4e0Y2fXJnQGQuZXhhbXBsZQpBY3Rpb246IGZhaWxl\n"
                           "ZApTdGF0dXM6IDUuMS4xCg==\n"
                           "--x\nContent-Type: message/global-headers\n\nMessage-ID: <m2@a.example>\n\n--x--\n");

    assert_int_equal(b->kind, BH_BOUNCE_FAILURE);
    assert_str(b->recipients[0].address, "j\xc3\xb6rg@d.example");
    assert_str(b->message_id, "m2@a.example");
}

static void reports_in_bad_form(void **state)
{
    const struct bh_bounce *b =
        read_text(state, REPORT_HEAD REPORT_PART "Reporting-MTA : dns;a\nAction : failed\nStatus : 5.0.0\n"
                                                 "Original-Recipient : rfc/822;u@d.example\n"
                                                 "Diagnostic-Code : smtp;550 5.7.54 Unable to relay\n\n--x--\n");

    assert_int_equal(b->count, 1);
    assert_str(b->recipients[0].address, "u@d.example");
    assert_str(b->recipients[0].status, "5.0.0");
    assert_str(b->recipients[0].reason, "relay");

    b = read_text(state, REPORT_HEAD REPORT_PART "Final-Recipient: rfc822;a@d.example\nAction: failed\nStatus: 5.1.1\n"
                                                 "Final-Recipient: rfc822;b@d.example\nAction: failed\nStatus: 5.2.2\n"
                                                 "\n--x--\n");
    assert_int_equal(b->count, 2);
    assert_str(b->recipients[1].address, "b@d.example");
    assert_str(b->recipients[1].status, "5.2.2");

    b = read_text(state, REPORT_HEAD "--x\n\n<u@d.example>: 552 5.2.2 Over quota\n\n" REPORT_PART
                                     "Final-Recipient: rfc822;/var/mail/u\nAction: failed\nStatus: 5.0.0\n\n--x--\n");
    assert_str(b->recipients[0].address, "u@d.example");
    assert_str(b->recipients[0].reason, "full");
}

/* The same marks without MIME: words, then the returned header. */
static void words_alone(void **state)
{
    const struct bh_bounce *b = read_text(
        state, "From: MAILER-DAEMON@mx.example\nTo: s@a.example\nSubject: failure notice\n\n"
               "Hi. I wasn't able to deliver your message to the following addresses.\n\n"
               "<u@d.example>:\n192.0.2.1 does not like recipient.\nRemote host said: 552 5.2.2 Mailbox full\n\n"
               "<w@d.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
               "--- Below this line is a copy of the message.\n\n"
               "Return-Path: <b1@bounce.a.example>\nReceived: by x\nMessage-ID: <m3@a.example>\nTo: z@d.example\n\n"
               "See <other@d.example>\n");

    assert_int_equal(b->kind, BH_BOUNCE_FAILURE);
    assert_int_equal(b->count, 2);
    assert_str(b->recipients[0].address, "u@d.example");
    assert_str(b->recipients[0].reason, "full");
    assert_str(b->recipients[0].smtp_reply, "552 5.2.2 Mailbox full");
    assert_str(b->recipients[1].address, "w@d.example");
    assert_str(b->recipients[1].status, "5.1.1");
    assert_true(b->recipients[1].hard);
    assert_str(b->message_id, "m3@a.example");
    assert_str(b->senders[0], "b1@bounce.a.example");
}

static void failed_recipients_field(void **state)
{
    const struct bh_bounce *b =
        read_text(state, "From: Mailer-Daemon@mx.example\nTo: s@a.example\nSubject: Mail delivery failed\n"
                         "X-Failed-Recipients: u@d.example, w@d.example\nAuto-Submitted: auto-replied\n\n"
                         "  u@d.example\n    host mx [192.0.2.1]: 550 5.1.1 unknown user\n"
                         "  w@d.example\n    (generated from x@d.example)\n    retry timeout exceeded\n");

    assert_int_equal(b->kind, BH_BOUNCE_FAILURE);
    assert_int_equal(b->count, 2);
    assert_str(b->recipients[0].reason, "no-such-user");
    assert_str(b->recipients[1].reason, "expired");
    assert_int_equal(b->recipients[1].class, BH_REFUSAL_SOFT);
}

static void kinds_without_a_failure(void **state)
{
    static const struct {
        const char *message;
        enum bh_bounce_kind kind;
    } cases[] = {
        {"From: k@a.example\nSubject: Away until May 5\nAuto-Submitted: auto-replied\n\nI am away.\n",
         BH_BOUNCE_AUTO_REPLY},
        {"From: k@a.example\nSubject: Re: Hello\nIn-Reply-To: <m@a.example>\n\nThanks!\n", BH_BOUNCE_REPLY},
        {"From: k@a.example\nSubject: Abwesenheitsnotiz: Hallo\n\nIch bin im Urlaub.\n", BH_BOUNCE_AUTO_REPLY},
        {"From: k@a.example\nSubject: Offer\n\nBuy this.\n", BH_BOUNCE_OTHER},
        {"Return-Path: <>\nFrom: k@a.example\nSubject: Auto: x\nAuto-Submitted: auto-replied\n\nSoon.\n",
         BH_BOUNCE_AUTO_REPLY},
        {"From: Mailer-Daemon@a.example\nSubject: Warning: message 1G-0-P delayed 48 hours\n\n"
         "A message that you sent has not yet been delivered. The address is:\n\n  u@d.example\n",
         BH_BOUNCE_DELAY},
        {"From: k@a.example\nSubject: Read: Hello\nContent-Type: multipart/report; boundary=x\n\n--x\n"
         "Content-Type: message/disposition-notification\n\nDisposition: manual-action\n\n--x--\n",
         BH_BOUNCE_OTHER},
        {"From: k@a.example\nSubject: Re: Undelivered Mail Returned to Sender\nIn-Reply-To: <m@a.example>\n\nSee "
         "below.\n"
         "> <u@d.example>: host x said: 550 5.1.1 User unknown; it could not be delivered\n",
         BH_BOUNCE_REPLY},
        {"From: k@a.example\nSubject: Question\n\nWhy was my mail to u@d.example not delivered? 550 5.1.1 User "
         "unknown\n",
         BH_BOUNCE_OTHER},
        {"From: Mailer-Daemon@a.example\rSubject: failure notice\r\r<u@d.example>:\r550 User unknown\r",
         BH_BOUNCE_FAILURE},
        {"", BH_BOUNCE_OTHER},
        {"\n\n", BH_BOUNCE_OTHER},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        if (read_text(state, cases[i].message)->kind != cases[i].kind)
            fail_msg("case %zu is %s", i, bh_bounce_kind_text(((struct world *)*state)->bounce.kind));
}

#define FEEDBACK_HEAD                                                                                                  \
    "From: fbl@d.example\nContent-Type: multipart/report; report-type=feedback-report; boundary=x\n\n--x\n\nw\n"

static void complaints(void **state)
{
    const struct bh_bounce *b = read_text(
        state, FEEDBACK_HEAD "--x\nContent-Type: message/feedback-report\n\nFeedback-Type: Abuse\n"
                             "User-Agent: A/1\nOriginal-Mail-From: <b3@bounce.a.example>\n"
                             "Original-Rcpt-To: <u@d.example>\nSource-IP: 192.0.2.1\nIncidents: 3\n\n" RETURNED);

    assert_int_equal(b->kind, BH_BOUNCE_COMPLAINT);
    assert_true(b->has_feedback);
    assert_str(b->feedback.type, "abuse");
    assert_false(b->feedback.is_failure_report);
    assert_int_equal(b->feedback.incidents, 3);
    assert_str(b->recipients[0].address, "u@d.example");
    assert_str(b->senders[2], "b3@bounce.a.example");
    assert_str(b->message_id, "m1@a.example");

    b = read_text(state, FEEDBACK_HEAD "--x\nContent-Type: message/feedback-report\n\nFeedback-Type: auth-failure\n"
                                       "Auth-Failure: dmarc\nOriginal-Rcpt-To: redacted\n\n" RETURNED);
    assert_true(b->feedback.is_failure_report);
    assert_str(b->feedback.auth_failure, "dmarc");
    assert_str(b->recipients[0].reason, "failure-report");
    assert_str(b->message_id, "m1@a.example");

    /* Microsoft's form has no report */
    b = read_text(state,
                  "From: staff@h.example\nSubject: complaint about message from 192.0.2.1\n"
                  "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n\n"
                  "X-HmXmrOriginalRecipient: u@d.example\nMessage-ID: <m4@a.example>\nTo: z@d.example\n\nHi\n--x--\n");
    assert_int_equal(b->kind, BH_BOUNCE_COMPLAINT);
    assert_str(b->recipients[0].address, "u@d.example");
    assert_str(b->message_id, "m4@a.example");
}

static void challenge(void **state)
{
    const struct bh_bounce *b =
        read_text(state, "From: u@d.example\nTo: s@a.example\nSubject: Please confirm your message\n\n"
                         "Your message is being held until you confirm. Click here to have your message delivered.\n");

    assert_int_equal(b->kind, BH_BOUNCE_AUTO_REPLY);
    assert_int_equal(b->recipients[0].class, BH_REFUSAL_CHALLENGE);
    assert_false(b->recipients[0].hard);
}

/* 10,000 recipients are all read, one more is said to be left out. */
static void many_recipients(void **state)
{
    struct bh_buf text = bh_buf_make(16 << 20);
    const struct bh_bounce *b;

    bh_buf_add(&text, BH_STR(REPORT_HEAD REPORT_PART "Reporting-MTA: dns; a\n\n"));
    for (int i = 0; i < 10001; i++)
        bh_buf_printf(&text,
                      "Final-Recipient: rfc822; u%d@d.example\nAction: failed\nStatus: 5.1.1\n"
                      "Diagnostic-Code: smtp; 550 5.1.1 <u%d@d.example>... User unknown\n\n",
                      i, i);
    bh_buf_add(&text, BH_STR("--x--\n"));
    b = read_bytes(state, bh_buf_view(&text));
    assert_int_equal(b->count, BH_BOUNCE_RECIPIENTS_MAX);
    assert_true(b->cut);
    assert_str(b->recipients[9999].address, "u9999@d.example");
    assert_str(b->recipients[9999].reason, "no-such-user");

    bh_buf_clear(&text); /* the same in words, for people */
    bh_buf_add(&text, BH_STR("From: MAILER-DAEMON@a\nSubject: failure notice\n\n"));
    for (int i = 0; i < 10000; i++)
        bh_buf_printf(&text, "<u%d@d.example>:\n550 5.1.1 User unknown\n\n", i);
    b = read_bytes(state, bh_buf_view(&text));
    assert_int_equal(b->count, 10000);
    assert_str(b->recipients[9999].reason, "no-such-user");
    bh_buf_free(&text);
}

/* 50 MB, a thousand parts, deep nesting, quoted-printable: a result, within the arena. */
static void bombs(void **state)
{
    struct bh_buf text = bh_buf_make(64 << 20);

    bh_buf_add(&text, BH_STR(REPORT_HEAD REPORT_PART "Final-Recipient: rfc822;u@d.example\nAction: failed\n\n"
                                                     "--x\nContent-Type: message/rfc822\n\nMessage-ID: <m5@a>\n\n"));
    while (text.n < 50 << 20)
        bh_buf_add(&text, BH_STR("=3D=3D=3D=3D @ @ 550 550 <a@b <a@b Received: x: y\n"));
    assert_str(read_bytes(state, bh_buf_view(&text))->recipients[0].address, "u@d.example");

    bh_buf_clear(&text);
    bh_buf_add(&text, BH_STR("From: MAILER-DAEMON@a\nSubject: failure notice\n"
                             "Content-Transfer-Encoding: quoted-printable\n\n"));
    while (text.n < 20 << 20)
        bh_buf_add(&text, BH_STR("=41=40=42.=43 550 5.1.1 a@b.c Received: by\nTo: x\n=\n"));
    assert_int_equal(read_bytes(state, bh_buf_view(&text))->kind, BH_BOUNCE_FAILURE);

    bh_buf_clear(&text);
    bh_buf_add(&text, BH_STR(REPORT_HEAD));
    for (int i = 0; i < 1000; i++)
        bh_buf_printf(&text,
                      "--x\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=y%d\n\n--y%d\n\n",
                      i, i);
    (void)read_bytes(state, bh_buf_view(&text));
    bh_buf_free(&text);
}

/* An arena that is too small is said, not overrun. */
static void small_arena(void **state)
{
    struct world *world = *state;
    struct bh_bounce bounce;

    for (size_t size = 1024; size < 4 << 20; size *= 2) {
        struct bh_arena *arena = bh_arena_new(size);
        bh_err err =
            bh_bounce_read(arena, world->rules, BH_STR(REPORT_HEAD REPORT_PART "Action: failed\n\n" RETURNED), &bounce);

        assert_true(err == BH_OK || err == BH_E_NOMEM);
        bh_arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(report_of_three),
        cmocka_unit_test(reports_of_delay_and_success),
        cmocka_unit_test(report_in_utf8),
        cmocka_unit_test(reports_in_bad_form),
        cmocka_unit_test(words_alone),
        cmocka_unit_test(failed_recipients_field),
        cmocka_unit_test(kinds_without_a_failure),
        cmocka_unit_test(complaints),
        cmocka_unit_test(challenge),
        cmocka_unit_test(many_recipients),
        cmocka_unit_test(bombs),
        cmocka_unit_test(small_arena),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
