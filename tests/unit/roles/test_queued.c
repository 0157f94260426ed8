/* test_queued.c: the engine of queued: acknowledgement after commit, leases, results, identities, failures of the disk,
 * commands. What happens at a kill is in test_queued_crash.c. */
#include "queued_world.h"
#include "store/event_type.h"

#include "queue/message_id.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct bh_query count_bodies = {"SELECT count(*) FROM body"};
static const struct bh_query count_messages = {"SELECT count(*) FROM message"};
static const struct bh_query count_unfinished = {"SELECT count(*) FROM message WHERE finished_at IS NULL"};
static const struct bh_query count_events = {"SELECT count(*) FROM event"};
static const struct bh_query count_accepted = {"SELECT count(*) FROM event WHERE kind = 1"};
static const struct bh_query count_delivered = {"SELECT count(*) FROM event WHERE kind = 2"};
static const struct bh_query count_deferred = {"SELECT count(*) FROM event WHERE kind = 3"};
static const struct bh_query count_bounced = {"SELECT count(*) FROM event WHERE kind = 4"};
static const struct bh_query count_expired = {"SELECT count(*) FROM event WHERE kind = 5"};

static struct bh_queued_stats stats(struct world *w)
{
    struct bh_queued_stats s;

    bh_queued_stats(w->engine, &s);
    return s;
}

static void test_accepted_then_delivered(void **state)
{
    struct world w;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 10);
    world_submit(&w, 1, 10240, 1);
    assert_int_equal(w.reply_count, 0); /* not before the commit */
    world_settle(&w);
    assert_int_equal(w.reply_count, 1);
    assert_true(w.replies[0].ok);
    assert_int_equal(w.replies[0].id, 1);
    assert_int_equal(w.senders[0].held_count, 1);
    assert_int_equal(w.senders[0].held[0].message, w.replies[0].message);
    assert_int_equal(w.senders[0].held[0].body_check, world_body_check(1, 10240));
    assert_int_equal(w.senders[0].held[0].attempt, 1);

    world_result(&w, &w.senders[0], 0, BH_DELIVERED);
    world_settle(&w);
    assert_int_equal(w.senders[0].held_count, 1); /* results wait a little for company */
    world_advance(&w, 20);
    assert_int_equal(w.senders[0].held_count, 0);
    assert_int_equal(world_count(&w, &count_bodies), 0);
    assert_int_equal(world_count(&w, &count_messages), 1);
    assert_int_equal(world_count(&w, &count_unfinished), 0);
    assert_int_equal(world_count(&w, &count_events), 2);
    assert_true(bh_queued_idle(w.engine));
    assert_int_equal(stats(&w).content_bytes, 0);
    world_free(&w);
}

static void test_a_turn_shares_one_commit(void **state)
{
    struct world w;

    (void)state;
    world_new(&w, 1);
    for (uint32_t i = 0; i < 32; i++)
        world_submit(&w, i, 2000, 1);
    world_settle(&w);
    assert_int_equal(w.reply_count, 32);
    assert_int_equal(stats(&w).commits, 1);
    world_free(&w);
}

static void test_results_ride_with_submits_or_force_a_commit(void **state)
{
    struct world w;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 200);
    for (uint32_t i = 0; i < 100; i++)
        world_submit(&w, i, 500, 1);
    world_settle(&w);
    for (int turns = 0; turns < 10 && w.senders[0].held_count < 40; turns++)
        world_settle(&w);
    world_result(&w, &w.senders[0], 0, BH_DELIVERED);
    world_submit(&w, 200, 500, 1); /* its commit takes the result along */
    world_settle(&w);
    assert_int_equal(stats(&w).delivered, 1);
    for (int i = 0; i < 200 && stats(&w).delivered < 64; i++) {
        for (size_t k = 0; k < w.senders[0].held_count; k++)
            if (w.senders[0].held[k].open) {
                world_result(&w, &w.senders[0], k, BH_DELIVERED);
                break;
            }
        world_settle(&w);
        assert_true(stats(&w).results_waiting < 64); /* the window's maximum, without any time passing */
    }
    assert_true(stats(&w).delivered >= 64);
    world_free(&w);
}

static void test_many_recipients_finish_together(void **state)
{
    struct world w;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 100);
    world_submit(&w, 5, 3000, 20);
    world_settle(&w);
    assert_int_equal(w.senders[0].held_count, 20);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(w.senders[0].held[i].body_check, world_body_check(5, 3000));
        if (i < 19)
            world_result(&w, &w.senders[0], i, i % 2 ? BH_DELIVERED : BH_BOUNCED);
    }
    world_advance(&w, 50);
    assert_int_equal(world_count(&w, &count_unfinished), 1);
    assert_int_equal(world_count(&w, &count_bodies), 1);
    assert_int_equal(w.senders[0].held_count, 1);
    world_result(&w, &w.senders[0], 0, BH_DELIVERED);
    world_advance(&w, 50);
    assert_int_equal(world_count(&w, &count_unfinished), 0);
    assert_int_equal(world_count(&w, &count_bodies), 0);
    assert_int_equal(world_count(&w, &count_bounced), 10);
    world_free(&w);
}

static void test_deferred_comes_again_and_expires(void **state)
{
    struct world w;
    uint32_t attempts = 0;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 10);
    world_submit(&w, 9, 4000, 1);
    world_settle(&w);
    while (w.senders[0].held_count) {
        assert_int_equal(w.senders[0].held[0].attempt, ++attempts);
        assert_int_equal(w.senders[0].held[0].body_check, world_body_check(9, 4000));
        world_result(&w, &w.senders[0], 0, BH_DEFERRED);
        world_advance(&w, 5 * 3600 * 1000);
    }
    assert_in_range(attempts, 20, 40);
    assert_int_equal(world_count(&w, &count_deferred), attempts - 1);
    assert_int_equal(world_count(&w, &count_expired), 1);
    assert_int_equal(world_count(&w, &count_bodies), 0);
    world_free(&w);
}

static void test_large_bodies_are_files(void **state)
{
    struct world w;
    char path[200], id[BH_MESSAGE_ID_CHARS + 1];

    (void)state;
    world_new(&w, 1);
    world_submit(&w, 4, 300000, 2);
    world_settle(&w);
    assert_true(w.replies[0].ok);
    bh_message_id_text(w.replies[0].message, id);
    (void)snprintf(path, sizeof(path), "%s/%s", w.body_dir, id);
    assert_int_equal(access(path, R_OK), 0);
    world_kill(&w); /* and again from the disk */
    (void)snprintf(path, sizeof(path), "%s/%s", w.body_dir, id);
    world_connect(&w, &w.senders[0], 10);
    world_settle(&w);
    assert_int_equal(w.senders[0].held_count, 2);
    assert_int_equal(w.senders[0].held[1].body_check, world_body_check(4, 300000));
    world_result(&w, &w.senders[0], 0, BH_DELIVERED);
    world_advance(&w, 100);
    assert_int_equal(access(path, R_OK), 0);
    world_result(&w, &w.senders[0], 0, BH_DELIVERED);
    world_advance(&w, 100);
    assert_int_equal(access(path, F_OK), -1);
    world_free(&w);
}

static void test_files_nobody_owns_are_swept(void **state)
{
    struct world w;
    char path[200], id[BH_MESSAGE_ID_CHARS + 1];
    FILE *file;

    (void)state;
    world_new(&w, 1);
    bh_message_id_text(12345678, id);
    (void)snprintf(path, sizeof(path), "%s/%s", w.body_dir, id);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fclose(file);
    world_kill(&w);
    (void)snprintf(path, sizeof(path), "%s/%s", w.body_dir, id);
    assert_int_equal(access(path, F_OK), -1);
    world_free(&w);
}

static void test_refusals(void **state)
{
    struct world w;
    struct bh_requester from = {&w, 1, 77};
    struct bh_msg_submit submit = {.body = BH_STR("x"), .size = 2};
    const char *const nowhere[] = {"postmaster"};

    (void)state;
    world_new(&w, 1);
    bh_queued_submit(w.engine, &from, &submit); /* size and body differ */
    submit.size = (uint64_t)11 << 20;
    bh_queued_submit(w.engine, &from, &submit); /* too large */
    submit.size = 1;
    bh_queued_submit(w.engine, &from, &submit); /* no recipients */
    submit.recipients = BH_STR("\0\0\0\377");
    bh_queued_submit(w.engine, &from, &submit); /* a broken list */
    submit.body_file = 99;
    bh_queued_submit(w.engine, &from, &submit); /* no such file */
    world_submit_to(&w, 1, 100, nowhere, 1);
    assert_int_equal(w.reply_count, 6);
    assert_int_equal(w.replies[0].code, 451);
    assert_int_equal(w.replies[1].code, 552);
    assert_int_equal(w.replies[2].code, 501);
    assert_int_equal(w.replies[3].code, 501);
    assert_int_equal(w.replies[4].code, 451);
    assert_int_equal(w.replies[5].code, 501);
    world_settle(&w);
    assert_int_equal(world_count(&w, &count_messages), 0);
    bh_queued_drain(w.engine);
    world_submit(&w, 1, 100, 1);
    assert_int_equal(w.replies[6].code, 421);
    world_free(&w);
}

static void test_dead_sender_gives_back(void **state)
{
    struct world w;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 10);
    for (uint32_t i = 0; i < 5; i++)
        world_submit(&w, i, 700, 1);
    world_settle(&w);
    assert_int_equal(w.senders[0].held_count, 5);
    world_result(&w, &w.senders[0], 0, BH_DELIVERED); /* told, not yet committed */
    world_disconnect(&w, &w.senders[0]);
    w.senders[0].held_count = 0;
    world_connect(&w, &w.senders[1], 10);
    world_advance(&w, 100);
    assert_int_equal(w.senders[1].held_count, 4); /* the told one counts */
    assert_int_equal(stats(&w).delivered, 1);
    for (size_t i = 0; i < 4; i++)
        world_result(&w, &w.senders[1], i, BH_DELIVERED);
    world_advance(&w, 100);
    assert_int_equal(world_count(&w, &count_delivered), 5);
    world_free(&w);
}

static void test_late_word_of_a_sender_taken_for_dead(void **state)
{
    struct world w;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 10);
    world_submit(&w, 1, 700, 1);
    world_settle(&w);
    world_disconnect(&w, &w.senders[0]);
    world_connect(&w, &w.senders[1], 10);
    world_settle(&w);
    assert_int_equal(w.senders[1].held_count, 1); /* given to another */
    world_result(&w, &w.senders[0], 0, BH_DELIVERED);
    world_connect(&w, &w.senders[0], 10); /* it lived, and repeats its result */
    world_advance(&w, 100);
    assert_int_equal(world_count(&w, &count_delivered), 1);
    assert_int_equal(w.senders[0].held_count, 0);
    world_result(&w, &w.senders[1], 0, BH_DEFERRED); /* too late, counts for nothing */
    world_advance(&w, 100);
    assert_int_equal(w.senders[1].held_count, 0);
    assert_int_equal(world_count(&w, &count_events), 2);
    assert_true(bh_queued_idle(w.engine));
    world_free(&w);
}

static void test_nothing_before_the_senders_have_reported(void **state)
{
    struct world w;

    (void)state;
    world_new(&w, 2);
    world_submit(&w, 1, 700, 1);
    world_connect(&w, &w.senders[0], 10);
    world_settle(&w);
    assert_int_equal(w.senders[0].held_count, 0);
    world_advance(&w, 4000);
    assert_int_equal(w.senders[0].held_count, 0);
    world_advance(&w, 1500); /* the other will not come */
    assert_int_equal(w.senders[0].held_count, 1);
    world_free(&w);

    world_new(&w, 2);
    world_submit(&w, 1, 700, 1);
    world_connect(&w, &w.senders[0], 10);
    world_connect(&w, &w.senders[1], 10);
    world_settle(&w);
    assert_int_equal(w.senders[0].held_count + w.senders[1].held_count, 1);
    world_free(&w);
}

static void test_slots_are_respected(void **state)
{
    struct world w;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 3);
    for (uint32_t i = 0; i < 20; i++)
        world_submit(&w, i, 700, 1);
    world_settle(&w);
    assert_int_equal(w.senders[0].held_count, 3);
    world_result(&w, &w.senders[0], 1, BH_DELIVERED);
    world_settle(&w); /* the slot is used at once, not after the commit */
    assert_int_equal(w.senders[0].held_count, 4);
    w.deaf = true;
    bh_queued_slots(w.engine, w.senders[0].worker, 5);
    world_settle(&w);
    assert_int_equal(w.senders[0].held_count, 4);
    world_free(&w);
}

static void test_identity_is_asked_once_and_kept(void **state)
{
    struct world w;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 100);
    w.answer_identities = false;
    for (uint32_t i = 0; i < 10; i++)
        world_submit(&w, i, 700, 1);
    world_settle(&w);
    assert_int_equal(w.questions, 1);
    assert_int_equal(w.deliver_count, 0);
    bh_queued_version(w.engine); /* something changed while the answer was under way */
    w.answer_identities = true;
    world_settle(&w);
    assert_int_equal(w.questions, 2);
    assert_int_equal(w.deliver_count, 10);
    world_submit(&w, 50, 700, 1);
    world_settle(&w);
    assert_int_equal(w.questions, 2);
    bh_queued_version(w.engine);
    world_submit(&w, 51, 700, 1);
    world_settle(&w);
    assert_int_equal(w.questions, 3);
    world_free(&w);
}

static void test_lost_question_is_asked_again(void **state)
{
    struct world w;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 100);
    w.answer_identities = false;
    world_submit(&w, 1, 700, 1);
    world_settle(&w);
    bh_queued_gate(w.engine, false); /* controld is gone */
    bh_queued_identity(w.engine, w.tokens[--w.token_count], NULL);
    world_settle(&w);
    assert_int_equal(w.token_count, 0);
    bh_queued_gate(w.engine, true);
    w.answer_identities = true;
    world_settle(&w);
    assert_int_equal(w.senders[0].held_count, 1);
    world_free(&w);
}

static void test_identity_refused(void **state)
{
    struct world w;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 100);
    w.identity = (struct bh_msg_identity_reply){
        .allowed = 0, .enhanced = BH_STR("4.7.1"), .reason = BH_STR("alignment is lost")};
    world_submit(&w, 1, 700, 1);
    world_advance(&w, 1000);
    assert_int_equal(world_count(&w, &count_deferred), 1);
    w.identity.permanent = 1;
    bh_queued_version(w.engine);
    world_submit(&w, 2, 700, 1);
    world_advance(&w, 1000);
    assert_int_equal(world_count(&w, &count_bounced), 1);
    assert_int_equal(w.deliver_count, 0);
    w.identity = (struct bh_msg_identity_reply){.allowed = 1};
    bh_queued_version(w.engine);
    world_advance(&w, 200000);
    assert_int_equal(w.deliver_count, 1); /* the deferred one goes when it may */
    world_free(&w);
}

static void test_held_mail_goes_when_the_answer_changes(void **state)
{
    static const struct bh_query count_attempts = {"SELECT coalesce(max(attempts), 0) FROM recipient"};
    struct world w;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 100);
    w.identity =
        (struct bh_msg_identity_reply){.held = 1, .enhanced = BH_STR("4.7.1"), .reason = BH_STR("alignment is lost")};
    for (uint32_t i = 0; i < 5; i++)
        world_submit(&w, i, 700, 2);
    world_advance(&w, 1000);
    assert_int_equal(world_count(&w, &count_deferred), 10);
    assert_int_equal(world_count(&w, &count_attempts), 0);
    assert_int_equal(w.questions, 1);
    for (int i = 0; i < 3; i++) { /* something else changed: one question, and nobody moves */
        bh_queued_version(w.engine);
        world_advance(&w, 1000);
    }
    assert_int_equal(w.questions, 4);
    assert_int_equal(world_count(&w, &count_deferred), 10);
    w.identity = (struct bh_msg_identity_reply){.allowed = 1};
    bh_queued_version(w.engine);
    world_advance(&w, 1000);
    assert_int_equal(w.deliver_count, 10);
    w.identity = (struct bh_msg_identity_reply){.held = 1, .reason = BH_STR("again")};
    bh_queued_version(w.engine);
    world_submit(&w, 50, 700, 2);
    world_advance(&w, 1000);
    w.identity = (struct bh_msg_identity_reply){.permanent = 1, .reason = BH_STR("suspended")};
    bh_queued_version(w.engine);
    world_advance(&w, 1000);
    assert_int_equal(world_count(&w, &count_bounced), 2);
    world_free(&w);
}

static void test_mail_to_ourselves_goes_to_the_steward(void **state)
{
    static const struct bh_query count_finished = {"SELECT count(*) FROM event WHERE kind = 8"};
    const char *const bounce[] = {"bounce+x@b.shop.example"};
    struct world w;

    (void)state;
    world_new(&w, 1);
    bh_queued_gate(w.engine, false); /* needs neither identity nor grants */
    world_connect(&w, &w.senders[0], 10);
    world_submit_to(&w, 3, 900, bounce, 1);
    world_settle(&w);
    assert_true(w.replies[0].ok);
    assert_int_equal(w.deliver_count, 0);
    world_kill(&w);
    bh_queued_gate(w.engine, false);
    world_connect(&w, &w.steward, 2);
    world_settle(&w);
    assert_int_equal(w.steward.held_count, 1);
    assert_int_equal(w.steward.held[0].body_check, world_body_check(3, 900));
    world_result(&w, &w.steward, 0, BH_DELIVERED);
    world_advance(&w, 100);
    assert_int_equal(world_count(&w, &count_finished), 1);
    assert_int_equal(world_count(&w, &count_bodies), 0);
    world_free(&w);
}

/* RLIMIT_FSIZE makes every growing write of this process fail, as a full disk does. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk_pauses_and_loses_nothing(void **state)
{
    struct world w;
    size_t accepted = 0, refused = 0;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 10);
    world_submit(&w, 1, 700, 1);
    world_settle(&w);
    limit_files(200 * 1024);
    for (uint32_t i = 0; i < 50 && !refused; i++) {
        world_submit(&w, 100 + i, 30000, 1);
        world_settle(&w);
        refused += !w.replies[w.reply_count - 1].ok;
    }
    assert_int_equal(refused, 1);
    assert_int_equal(w.replies[w.reply_count - 1].code, 452);
    world_submit(&w, 300, 100, 1); /* at once, without trying */
    assert_int_equal(w.replies[w.reply_count - 1].code, 452);
    world_result(&w, &w.senders[0], 0, BH_DELIVERED);
    assert_non_null(strstr(world_command(&w, "{\"noun\":\"queue\",\"verb\":\"show\"}"), "\"accepting\":false"));
    limit_files(RLIM_INFINITY);
    world_advance(&w, 5000);
    world_submit(&w, 301, 100, 1);
    world_settle(&w);
    assert_true(w.replies[w.reply_count - 1].ok);
    for (size_t i = 0; i < w.reply_count; i++)
        accepted += w.replies[i].ok;
    assert_int_equal(world_count(&w, &count_messages), accepted);
    assert_int_equal(world_count(&w, &count_delivered), 1);
    world_free(&w);
}

static void test_commands(void **state)
{
    struct world w;
    char json[200], id[BH_MESSAGE_ID_CHARS + 1];
    const char *answer;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 1);
    for (uint32_t i = 0; i < 5; i++)
        world_submit(&w, i, 700, 2);
    world_settle(&w);
    answer = world_command(&w, "{\"noun\":\"queue\",\"verb\":\"list\",\"args\":{\"limit\":3}}");
    assert_non_null(strstr(answer, "\"ok\":true"));
    assert_non_null(strstr(answer, "\"state\":\"sending\""));
    assert_non_null(strstr(answer, "\"recipients\":10"));
    assert_non_null(strstr(answer, "\"next\":\"msg_"));
    answer = world_command(&w, "{\"noun\":\"queue\",\"verb\":\"list\",\"args\":{\"domain\":\"d0.example\"}}");
    assert_non_null(strstr(answer, "@D0.example"));
    assert_null(strstr(answer, "@D1.example"));

    world_result(&w, &w.senders[0], 0, BH_DEFERRED);
    world_advance(&w, 30);
    bh_message_id_text(w.replies[0].message, id);
    (void)snprintf(json, sizeof(json), "{\"noun\":\"message\",\"verb\":\"show\",\"args\":{\"id\":\"%s\"}}", id);
    answer = world_command(&w, json);
    assert_non_null(strstr(answer, "\"event\":\"accepted\""));
    assert_non_null(strstr(answer, "\"event\":\"deferred\""));
    assert_non_null(strstr(answer, "\"state\":\"waiting\""));
    assert_non_null(strstr(answer, "as \\\"scripted\\\""));
    assert_null(strstr(answer, "\\u0000")); /* the text ends with a NUL, which JSON readers refuse */
    assert_non_null(strstr(answer, "\"remote\":\"mx.example [192.0.2.1]:25\""));

    (void)snprintf(json, sizeof(json), "{\"noun\":\"queue\",\"verb\":\"retry\",\"args\":{\"id\":\"%s\"}}", id);
    answer = world_command(&w, json);
    assert_non_null(strstr(answer, "\"retried\":1"));
    world_settle(&w);
    answer = world_command(&w, "{\"noun\":\"queue\",\"verb\":\"drop\",\"args\":{\"all\":true}}");
    assert_non_null(strstr(answer, "\"dropped\":9"));
    assert_non_null(strstr(answer, "\"being_delivered\":1"));
    world_advance(&w, 100);
    answer = world_command(&w, "{\"noun\":\"event\",\"verb\":\"list\",\"args\":{\"after\":\"0\",\"limit\":1000}}");
    assert_non_null(strstr(answer, "\"event\":\"retried\""));
    assert_non_null(strstr(answer, "\"event\":\"dropped\""));
    assert_non_null(strstr(answer, "\"more\":false"));
    world_free(&w);
}

static void test_wrong_commands(void **state)
{
    static const char *const wrong[] = {
        "",
        "[]",
        "{\"noun\":\"queue\"}",
        "{\"noun\":\"queue\",\"verb\":\"burn\"}",
        "{\"noun\":\"queue\",\"verb\":\"drop\"}",
        "{\"noun\":\"queue\",\"verb\":\"list\",\"args\":{\"limit\":0}}",
        "{\"noun\":\"queue\",\"verb\":\"list\",\"args\":{\"after\":\"x\"}}",
        "{\"noun\":\"queue\",\"verb\":\"list\",\"args\":{\"wrong\":1}}",
        "{\"noun\":\"queue\",\"verb\":\"list\",\"args\":{\"custom\":1}}",
        "{\"noun\":\"message\",\"verb\":\"show\",\"args\":{\"id\":\"msg_x\"}}",
        "{\"noun\":\"message\",\"verb\":\"show\",\"args\":{\"id\":\"1\"}}",
        "{\"noun\":\"event\",\"verb\":\"list\",\"args\":{\"after\":\"-1\"}}",
    };
    struct world w;

    (void)state;
    world_new(&w, 1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_non_null(strstr(world_command(&w, wrong[i]), "\"ok\":false"));
    world_free(&w);
}

static void test_old_messages_are_purged(void **state)
{
    struct world w;

    (void)state;
    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 10);
    world_submit(&w, 1, 700, 1);
    world_settle(&w);
    world_result(&w, &w.senders[0], 0, BH_DELIVERED);
    world_advance(&w, 1000);
    world_advance(&w, 3600 * 1000);
    assert_int_equal(world_count(&w, &count_messages), 1);
    world_submit(&w, 2, 700, 1); /* unfinished: stays however old */
    world_advance(&w, 2 * 86400 * 1000);
    assert_int_equal(world_count(&w, &count_messages), 1);
    assert_int_equal(world_count(&w, &count_accepted), 1);
    world_free(&w);
}

/* ---- events of other roles ---- */

static void tell(struct world *w, const char *key, enum bh_event_kind kind, uint64_t message, uint32_t customer)
{
    struct bh_requester from = {w, 1, 1};
    struct bh_buf list = bh_buf_make(4096);

    bh_rec_told_event_put(&list, &(struct bh_rec_told_event){.key = bh_str_c(key),
                                                             .kind = (uint16_t)kind,
                                                             .customer_id = customer,
                                                             .domain_id = 3,
                                                             .message_id = message,
                                                             .recipient_index = message ? 0 : UINT32_MAX,
                                                             .code = 550,
                                                             .text = BH_STR("no such user"),
                                                             .detail = BH_STR("{\"class\":\"hard\"}")});
    assert_ok(bh_queued_event(w->engine, &from, bh_buf_view(&list)));
    bh_buf_free(&list);
    world_settle(w);
}

static void test_told_events_count_once(void **state)
{
    static const struct bh_query count_told = {"SELECT count(*) FROM event WHERE key IS NOT NULL"};
    static const struct bh_query count_bounced_later = {"SELECT count(*) FROM recipient WHERE state = 3"};
    struct bh_requester from = {NULL, 1, 1};
    struct world w;
    const char *answer;
    (void)state;

    world_new(&w, 1);
    world_connect(&w, &w.senders[0], 10);
    world_submit(&w, 1, 700, 1);
    world_settle(&w);
    world_result(&w, &w.senders[0], 0, BH_DELIVERED);
    world_advance(&w, 1000);
    tell(&w, "k1", BH_EVENT_BOUNCED, w.replies[0].message, 8); /* somebody else's */
    tell(&w, "k1", BH_EVENT_BOUNCED, w.replies[0].message + 1, 7);
    assert_int_equal(world_count(&w, &count_told), 0);
    assert_int_equal(world_count(&w, &count_bounced_later), 0);
    tell(&w, "k1", BH_EVENT_BOUNCED, w.replies[0].message, 7);
    tell(&w, "k1", BH_EVENT_BOUNCED, w.replies[0].message, 7);
    tell(&w, "k2", BH_EVENT_DOMAIN_VERIFIED, 0, 7);
    assert_int_equal(world_count(&w, &count_told), 2);
    assert_int_equal(world_count(&w, &count_bounced_later), 1);
    assert_int_equal(w.events_told, 5);
    assert_int_equal(bh_queued_event(w.engine, &from, BH_STR("nonsense")), BH_E_SYNTAX);
    answer = world_command(&w, "{\"noun\":\"event\",\"verb\":\"list\",\"args\":{\"event\":\"domain.verified\"}}");
    assert_non_null(strstr(answer, "\"domain_id\":3"));
    assert_null(strstr(answer, "\"bounced\""));
    world_free(&w);
}

static void test_readers_of_the_log(void **state)
{
    struct world w;
    const char *answer;
    char ack[200];
    (void)state;

    world_new(&w, 1);
    tell(&w, "k1", BH_EVENT_DOMAIN_ADDED, 0, 7);
    tell(&w, "k2", BH_EVENT_DOMAIN_VERIFIED, 0, 7);
    answer = world_command(&w, "{\"noun\":\"event\",\"verb\":\"list\",\"args\":{\"reader\":\"r\",\"limit\":1}}");
    assert_non_null(strstr(answer, "domain.added"));
    assert_null(strstr(answer, "domain.verified"));
    (void)snprintf(ack, sizeof(ack),
                   "{\"noun\":\"event\",\"verb\":\"ack\",\"args\":{\"reader\":\"r\",\"cursor\":\"%.*s\"}}",
                   (int)strcspn(strstr(answer, "\"cursor\":\"") + 10, "\""), strstr(answer, "\"cursor\":\"") + 10);
    assert_non_null(strstr(world_command(&w, ack), "\"ok\":true"));
    world_kill(&w);
    answer = world_command(&w, "{\"noun\":\"event\",\"verb\":\"list\",\"args\":{\"reader\":\"r\"}}");
    assert_null(strstr(answer, "domain.added"));
    assert_non_null(strstr(answer, "domain.verified"));
    answer = world_command(&w, "{\"noun\":\"event\",\"verb\":\"readers\",\"args\":{}}");
    assert_non_null(strstr(answer, "\"reader\":\"r\""));
    world_advance(&w, (int64_t)400 * 86400 * 1000); /* retention */
    answer = world_command(&w, "{\"noun\":\"event\",\"verb\":\"list\",\"args\":{}}");
    assert_null(strstr(answer, "domain.verified"));
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted_then_delivered),
        cmocka_unit_test(test_a_turn_shares_one_commit),
        cmocka_unit_test(test_results_ride_with_submits_or_force_a_commit),
        cmocka_unit_test(test_many_recipients_finish_together),
        cmocka_unit_test(test_deferred_comes_again_and_expires),
        cmocka_unit_test(test_large_bodies_are_files),
        cmocka_unit_test(test_files_nobody_owns_are_swept),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_dead_sender_gives_back),
        cmocka_unit_test(test_late_word_of_a_sender_taken_for_dead),
        cmocka_unit_test(test_nothing_before_the_senders_have_reported),
        cmocka_unit_test(test_slots_are_respected),
        cmocka_unit_test(test_identity_is_asked_once_and_kept),
        cmocka_unit_test(test_lost_question_is_asked_again),
        cmocka_unit_test(test_identity_refused),
        cmocka_unit_test(test_held_mail_goes_when_the_answer_changes),
        cmocka_unit_test(test_mail_to_ourselves_goes_to_the_steward),
        cmocka_unit_test(test_full_disk_pauses_and_loses_nothing),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_wrong_commands),
        cmocka_unit_test(test_old_messages_are_purged),
        cmocka_unit_test(test_told_events_count_once),
        cmocka_unit_test(test_readers_of_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
