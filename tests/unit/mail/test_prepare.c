/* The departing header: what is added, what goes, what stays byte by byte. */
#include "mail/prepare.h"
#include "unit.h"

static struct bh_arena *arena;

static int setup(void **state)
{
    arena = bh_arena_new(1 << 20);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    bh_arena_free(arena);
    return 0;
}

static struct bh_prepare sample(const char *header)
{
    return (struct bh_prepare){
        .header = bh_str_c(header),
        .accepted_at = 1795312162000,
        .received = {.helo = BH_STR("app.example"),
                     .client_address = BH_STR("192.0.2.1"),
                     .by = BH_STR("mx.esp.example"),
                     .with = BH_STR("ESMTPSA"),
                     .id = BH_STR("m1"),
                     .recipient = BH_STR("r@x.example")},
        .message_id_left = BH_STR("u1"),
        .message_id_domain = BH_STR("c.example"),
        .authserv_id = BH_STR("mx.esp.example"),
        .own = {{BH_STR("c.example"), BH_STR("bh1")}},
        .own_count = 1,
    };
}

#define RECEIVED                                                                                                       \
    "Received: from app.example ([192.0.2.1])\r\n\tby mx.esp.example with ESMTPSA id m1\r\n\tfor <r@x.example>;\r\n\t" \
    "Sun, 22 Nov 2026 01:49:22 +0000\r\n"

static void adds_what_is_missing(void **state)
{
    struct bh_prepare prepare = sample("From: a@c.example\r\nSubject: x\r\n");
    struct bh_prepared prepared;

    assert_ok(bh_prepare_header(arena, &prepare, &prepared));
    assert_str(prepared.header, RECEIVED "Message-ID: <u1@c.example>\r\nDate: Sun, 22 Nov 2026 01:49:22 +0000\r\n"
                                         "From: a@c.example\r\nSubject: x\r\n");
    assert_true(prepared.has_date_added && prepared.has_message_id_added);
    prepare = sample("date: x\r\nMESSAGE-ID: <1@y>\r\nFrom: a@c.example\r\n");
    assert_ok(bh_prepare_header(arena, &prepare, &prepared));
    assert_str(prepared.header, RECEIVED "date: x\r\nMESSAGE-ID: <1@y>\r\nFrom: a@c.example\r\n");
    assert_int_equal(prepared.added_bytes, sizeof RECEIVED - 1);
    prepare = sample("Date: \r\nMessage-ID:\r\nFrom: a@c.example\r\n");
    assert_ok(bh_prepare_header(arena, &prepare, &prepared));
    assert_str(bh_str_skip(prepared.header, prepared.added_bytes), "From: a@c.example\r\n");
    assert_true(prepared.has_date_added);
}

static void removes_what_must_go(void **state)
{
    struct bh_prepare prepare = sample("Return-Path: <x@y>\r\n"
                                       "BCC: secret@x.example,\r\n other@x.example\r\n"
                                       "DKIM-Signature: v=1; d=C.example; s=bh1; b=x\r\n"
                                       "DKIM-Signature: v=1; d=c.example; s=other;\r\n b=x\r\n"
                                       "DKIM-Signature: v=1; d=d.example; s=bh1; b=x\r\n"
                                       "DKIM-Signature: nonsense\r\n"
                                       "Authentication-Results: mx.esp.example; dkim=pass\r\n"
                                       "Authentication-Results: (c (d)) MX.esp.example 1; dkim=pass\r\n"
                                       "Authentication-Results: mx.esp.example.other; dkim=pass\r\n"
                                       "From: a@c.example\r\nResent-Bcc: z@y\r\n"
                                       "Date: x\r\nMessage-ID: <1@y>\r\nX-Bcc: stays\r\n");
    struct bh_prepared prepared;

    assert_ok(bh_prepare_header(arena, &prepare, &prepared));
    assert_str(bh_str_skip(prepared.header, prepared.added_bytes),
               "DKIM-Signature: v=1; d=c.example; s=other;\r\n b=x\r\n"
               "DKIM-Signature: v=1; d=d.example; s=bh1; b=x\r\n"
               "DKIM-Signature: nonsense\r\n"
               "Authentication-Results: mx.esp.example.other; dkim=pass\r\n"
               "From: a@c.example\r\nDate: x\r\nMessage-ID: <1@y>\r\nX-Bcc: stays\r\n");
    assert_int_equal(prepared.removed, 6);
}

static void no_word_breaks_out(void **state)
{
    struct bh_prepare prepare = sample("From: a@c.example\r\nDate: x\r\n");
    struct bh_prepared prepared;

    prepare.received.helo = BH_STR("x\r\nBcc: y)(\0z");
    prepare.received.client_name = BH_STR("a;b");
    prepare.received.client_address = BH_STR("2001:db8::1");
    prepare.received.recipient = BH_STR("r@x.example>\r\nX: y");
    prepare.message_id_left = BH_STR("u\r\n1>");
    assert_ok(bh_prepare_header(arena, &prepare, &prepared));
    assert_str(prepared.header, "Received: from x??Bcc:?y???z (a?b [IPv6:2001:db8::1])\r\n\tby mx.esp.example with "
                                "ESMTPSA id m1;\r\n\tSun, 22 Nov 2026 01:49:22 +0000\r\n"
                                "Message-ID: <u??1?@c.example>\r\nFrom: a@c.example\r\nDate: x\r\n");
}

static void odd_headers_are_refused(void **state)
{
    struct bh_prepare prepare = sample("From: a@c.example\r\nX: half");
    struct bh_prepared prepared;

    assert_int_equal(bh_prepare_header(arena, &prepare, &prepared), BH_E_INVALID);
    prepare = sample("From: a@c.example\r\n");
    prepare.received.by = (bh_str){NULL, 0};
    assert_int_equal(bh_prepare_header(arena, &prepare, &prepared), BH_E_INVALID);
    prepare = sample("");
    assert_ok(bh_prepare_header(arena, &prepare, &prepared));
    assert_int_equal(prepared.added_bytes, prepared.header.n);
}

static void asks_for_feedback(void **state)
{
    struct bh_prepare prepare = sample("Date: x\r\nMessage-ID: <1@y>\r\nbehalf-stream: news\r\n"
                                       "Behalf-Unsubscribe: yes\r\nList-Unsubscribe: <mailto:old@x.example>\r\n"
                                       "List-Unsubscribe-Post: x\r\nFrom: a@c.example\r\n");
    struct bh_prepared prepared;

    prepare.feedback = (struct bh_feedback_facts){.complaints = BH_STR("c@b.example"),
                                                  .id = BH_STR("m1"),
                                                  .stream_id = BH_STR("news:c1:d2:esp12"),
                                                  .unsubscribe = BH_STR("u@b.example")};
    assert_ok(bh_prepare_header(arena, &prepare, &prepared));
    assert_str(prepared.header, RECEIVED "CFBL-Address: c@b.example; report=arf\r\nCFBL-Feedback-ID: m1\r\n"
                                         "Feedback-ID: news:c1:d2:esp12\r\n"
                                         "List-Unsubscribe: <mailto:u@b.example?subject=unsubscribe>\r\n"
                                         "Date: x\r\nMessage-ID: <1@y>\r\nFrom: a@c.example\r\n");
    prepare.header = BH_STR("Feedback-ID: mine\r\nDate: x\r\nMessage-ID: <1@y>\r\nFrom: a@c.example\r\n");
    prepare.feedback = (struct bh_feedback_facts){.stream_id = BH_STR("a:b:c:d"),
                                                  .unsubscribe = BH_STR("u@b.example"),
                                                  .unsubscribe_url = BH_STR("https://l.example/u/1")};
    assert_ok(bh_prepare_header(arena, &prepare, &prepared));
    assert_str(prepared.header,
               RECEIVED "List-Unsubscribe: <mailto:u@b.example?subject=unsubscribe>,\r\n\t<https://l.example/u/1>\r\n"
                        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
                        "Feedback-ID: mine\r\nDate: x\r\nMessage-ID: <1@y>\r\nFrom: a@c.example\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_feedback),       cmocka_unit_test(adds_what_is_missing),
        cmocka_unit_test(removes_what_must_go),    cmocka_unit_test(no_word_breaks_out),
        cmocka_unit_test(odd_headers_are_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
