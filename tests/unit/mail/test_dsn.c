/* Notices (RFC 3461, 3464): whom they are for, what stands in their fields, and that nothing of a stranger breaks out
 * of his field. */
#include "mail/dsn.h"
#include "proto/smtp/crlf.h"
#include "unit.h"

static const char header[] = "From: a@customer.example\r\nSubject: Gr\xc3\xbc\xc3\x9f"
                             "e\r\n";

static struct bh_dsn sample(enum bh_dsn_kind kind)
{
    return (struct bh_dsn){.kind = kind,
                           .from = BH_STR("mailer-daemon@on.esp.example"),
                           .to = BH_STR("sender@customer.example"),
                           .message_id = BH_STR("abc@on.esp.example"),
                           .reporting_mta = BH_STR("mta1.esp.example"),
                           .now = 1700000000000,
                           .arrived_at = 1699990000000,
                           .retry_until = 1700400000000,
                           .envid = BH_STR("id+2B1"),
                           .orcpt = BH_STR("rfc822;was+2Bx@before.example"),
                           .recipient = BH_STR("user@receiver.example"),
                           .status = BH_STR("5.1.1"),
                           .remote = BH_STR("mx.receiver.example [192.0.2.1]:25"),
                           .code = 550,
                           .text = BH_STR("5.1.1 no such user"),
                           .original = BH_STR("From: a@customer.example\r\nSubject: x\r\n\r\nsecret\r\n")};
}

static bool has(const struct bh_buf *text, const char *words)
{
    bh_str view = bh_buf_view(text);

    return bh_str_search(view, bh_str_c(words)) < view.n;
}

/* What every notice must be: SMTP can carry it, it is ASCII, and it is one report. */
static void assert_sound(const struct bh_buf *text)
{
    struct bh_crlf crlf = {.at_line_start = true};
    size_t at = 0, n;

    while (at < text->n) {
        enum bh_crlf_stop stop = bh_crlf_pass_piece(&crlf, bh_str_skip(bh_buf_view(text), at), 1000, &n);

        at += n;
        if (stop == BH_CRLF_NONE)
            break;
        if (stop != BH_CRLF_DOT)
            fail_msg("byte %zu: stop %d after \"%.*s\"", at, stop,
                     BH_FMT(bh_str_sub(bh_buf_view(text), at > 60 ? at - 60 : 0, 61)));
        bh_crlf_skip(&crlf);
        at++;
    }
    for (size_t i = 0; i < text->n; i++)
        assert_in_range((unsigned char)text->p[i], 1, 126);
    assert_true(has(text, "\r\n--=_abc--\r\n"));
}

static struct bh_buf write(const struct bh_dsn *dsn)
{
    struct bh_buf out = bh_buf_make(1 << 20);

    assert_ok(bh_dsn_write(dsn, &out));
    return out;
}

static void who_asked(void **state)
{
    (void)state;
    assert_true(bh_dsn_is_asked(BH_STR("FAILURE"), BH_DSN_FAILED));
    assert_true(bh_dsn_is_asked(BH_STR("success,Failure"), BH_DSN_RELAYED));
    assert_true(bh_dsn_is_asked(BH_STR("SUCCESS,DELAY"), BH_DSN_DELAYED));
    assert_false(bh_dsn_is_asked(BH_STR("SUCCESS,DELAY"), BH_DSN_FAILED));
    assert_false(bh_dsn_is_asked(BH_STR("NEVER"), BH_DSN_FAILED));
    assert_false(bh_dsn_is_asked(BH_STR(""), BH_DSN_FAILED));
}

static void fields(void **state)
{
    static const struct {
        enum bh_dsn_kind kind;
        const char *status, *lines[6];
    } cases[] = {
        {BH_DSN_FAILED,
         "5.1.1",
         {"Action: failed\r\nStatus: 5.1.1\r\n", "Remote-MTA: dns;mx.receiver.example\r\n",
          "Diagnostic-Code: smtp;550 5.1.1 no such user\r\n"}},
        {BH_DSN_FAILED, "4.4.7", {"Action: failed\r\nStatus: 5.0.0\r\n"}}, /* the time ran out */
        {BH_DSN_DELAYED, "4.2.1", {"Action: delayed\r\nStatus: 4.2.1\r\n", "Will-Retry-Until: Sun, 19 Nov 2023"}},
        {BH_DSN_RELAYED, "2.0.0", {"Action: relayed\r\nStatus: 2.0.0\r\n"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bh_dsn dsn = sample(cases[i].kind);
        struct bh_buf out;

        dsn.status = bh_str_c(cases[i].status);
        out = write(&dsn);
        assert_sound(&out);
        for (size_t k = 0; cases[i].lines[k]; k++)
            if (!has(&out, cases[i].lines[k]))
                fail_msg("no \"%s\" in\n%.*s", cases[i].lines[k], BH_FMT(bh_buf_view(&out)));
        assert_true(has(&out, "Original-Envelope-Id: id+1\r\n"));
        assert_true(has(&out, "Original-Recipient: rfc822;was+x@before.example\r\n"));
        assert_true(has(&out, "Final-Recipient: rfc822;user@receiver.example\r\n"));
        assert_false(has(&out, "secret"));
        bh_buf_free(&out);
    }
}

static void what_goes_along(void **state)
{
    struct bh_dsn dsn = sample(BH_DSN_FAILED);
    struct bh_buf out;

    (void)state;
    dsn.whole = true;
    out = write(&dsn);
    assert_sound(&out);
    assert_true(has(&out, "message/rfc822\r\n\r\nFrom: a@customer.example") && has(&out, "secret"));
    bh_buf_free(&out);
    dsn.kind = BH_DSN_DELAYED; /* RFC 3461 4.3: the whole message is for failures */
    out = write(&dsn);
    assert_false(has(&out, "secret"));
    bh_buf_free(&out);
    dsn.kind = BH_DSN_FAILED;
    dsn.eight_bit = true; /* it could not be sent to a server without 8BITMIME */
    dsn.original = bh_str_c(header);
    out = write(&dsn);
    assert_sound(&out);
    assert_true(has(&out, "text/rfc822-headers"));
    bh_buf_free(&out);
}

static void strangers(void **state)
{
    struct bh_dsn dsn = sample(BH_DSN_FAILED);
    char many[5000];
    struct bh_buf out;

    (void)state;
    memset(many, 'x', sizeof(many));
    dsn.text = BH_STR("no\r\nFinal-Recipient: rfc822;other@receiver.example\n\n--=_abc--\r\x01\xff");
    dsn.remote = BH_STR("mx\r\nAction: delivered");
    dsn.envid = BH_STR("a\r\nX: y");
    dsn.orcpt = BH_STR("rfc822;+0D+0AX+3A y");
    dsn.recipient = BH_STR("us\xc3\xa9r@receiver.example");
    out = write(&dsn);
    assert_sound(&out);
    assert_false(has(&out, "\r\nX: y") || has(&out, "\nAction: delivered") ||
                 has(&out, "\r\nFinal-Recipient: rfc822;o"));
    assert_true(has(&out, "Final-Recipient: utf-8;us\\x{E9}r@receiver.example\r\n"));
    bh_buf_free(&out);
    dsn.text = dsn.remote = dsn.envid = bh_str_of(many, sizeof(many));
    out = write(&dsn);
    assert_sound(&out);
    bh_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(who_asked), cmocka_unit_test(fields),
                                       cmocka_unit_test(what_goes_along), cmocka_unit_test(strangers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
