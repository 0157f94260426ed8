/* test_queued_crash.c: kills at any moment, and the ledger: what was answered with ok is delivered, nothing twice but
 * what a killed sender had in hand (invariants 1 and 2 of the design). */
#include "queued_world.h"

#include <stdio.h>
#include <stdlib.h>

enum { RECIPIENTS_MAX = 3, ACCEPTED_MAX = 4000 };

struct entry {
    uint64_t message;
    uint32_t submit; /* its number: tells its size */
    uint32_t recipients;
    uint32_t finals[RECIPIENTS_MAX]; /* times that the world said its last word */
};

struct ledger {
    struct world w;
    struct bh_random_seeded dice;
    struct entry *entries;
    size_t entry_count;
    size_t replies_seen;
    uint32_t submits;
    size_t at_risk; /* deliveries in hand of senders when they were killed */
    size_t kills, sender_kills;
};

static uint64_t dice(struct ledger *l, uint64_t sides)
{
    return bh_random_below(&l->dice.base, sides);
}

static size_t size_of(uint32_t submit)
{
    return submit % 17 == 0 ? 140000 : submit % 5 == 0 ? 20000 : 300 + submit % 900;
}

static uint32_t recipients_of(uint32_t submit)
{
    return submit % 7 == 0 ? 3 : 1;
}

static void read_replies(struct ledger *l)
{
    for (; l->replies_seen < l->w.reply_count; l->replies_seen++) {
        const struct reply *reply = &l->w.replies[l->replies_seen];

        if (!reply->ok)
            continue;
        assert_true(l->entry_count < ACCEPTED_MAX);
        l->entries[l->entry_count++] =
            (struct entry){.message = reply->message, .submit = reply->id, .recipients = recipients_of(reply->id)};
    }
}

static struct entry *find(struct ledger *l, uint64_t message)
{
    for (size_t i = l->entry_count; i-- > 0;)
        if (l->entries[i].message == message)
            return &l->entries[i];
    return NULL;
}

/* The world answers one delivery of the sender. */
static void answer(struct ledger *l, struct sender *sender, bool deferring)
{
    size_t at, tries = 0;
    struct entry *entry;
    uint8_t verdict = BH_DELIVERED;

    do {
        if (!sender->held_count || ++tries > 20)
            return;
        at = dice(l, sender->held_count);
    } while (!sender->held[at].open);
    entry = find(l, sender->held[at].message);
    /* a message may be committed and its submitter not know: killed between the two */
    if (entry)
        assert_int_equal(sender->held[at].body_check, world_body_check(entry->submit, size_of(entry->submit)));
    if (deferring && dice(l, 4) == 0)
        verdict = BH_DEFERRED;
    else if (dice(l, 10) == 0)
        verdict = BH_BOUNCED;
    if (verdict != BH_DEFERRED && entry)
        entry->finals[sender->held[at].idx]++;
    world_result(&l->w, sender, at, verdict);
}

static void connect_all(struct ledger *l)
{
    for (int i = 0; i < SENDERS; i++)
        world_connect(&l->w, &l->w.senders[i],
                      12 - (uint32_t)(l->w.senders[i].held_count > 11 ? 11 : l->w.senders[i].held_count));
}

static void kill_queued(struct ledger *l)
{
    world_kill(&l->w);
    l->kills++;
    connect_all(l);
}

static void kill_sender(struct ledger *l)
{
    struct sender *sender = &l->w.senders[dice(l, SENDERS)];

    l->at_risk += sender->held_count;
    l->sender_kills++;
    world_disconnect(&l->w, sender);
    sender->held_count = 0;
    world_connect(&l->w, sender, 12);
}

static void turn(struct ledger *l)
{
    world_turn(&l->w);
    if (l->w.dead)
        kill_queued(l);
    read_replies(l);
}

static void submit_some(struct ledger *l)
{
    for (uint64_t n = 1 + dice(l, 4); n; n--) {
        uint32_t submit = ++l->submits;

        world_submit(&l->w, submit, size_of(submit), recipients_of(submit));
    }
}

static void step(struct ledger *l, bool with_sender_kills)
{
    uint64_t what = dice(l, 100);

    if (what < 20)
        submit_some(l);
    else if (what < 70)
        answer(l, &l->w.senders[dice(l, SENDERS)], true);
    else if (what < 90)
        turn(l);
    else if (what < 95)
        l->w.now += (bh_time_ms)dice(l, 300);
    else if (what < 97)
        l->w.die_after = 1 + (int)dice(l, 10); /* somewhere inside a coming turn */
    else if (what < 98)
        kill_queued(l); /* with whatever is not committed */
    else if (what < 99 && with_sender_kills)
        kill_sender(l);
}

static void finish(struct ledger *l)
{
    struct bh_queue_counts counts;

    l->w.die_after = 0;
    for (int i = 0; i < 100000; i++) {
        turn(l);
        for (int s = 0; s < SENDERS; s++)
            answer(l, &l->w.senders[s], false);
        l->w.now += 500;
        bh_queued_counts(l->w.engine, &counts);
        if (!counts.items && bh_queued_idle(l->w.engine))
            return;
    }
    fail_msg("%zu recipients are left", counts.items);
}

static void check(struct ledger *l)
{
    static const struct bh_query unfinished = {"SELECT count(*) FROM message WHERE finished_at IS NULL"};
    static const struct bh_query bodies = {"SELECT count(*) FROM body"};
    static const struct bh_query messages = {"SELECT count(*) FROM message"};
    static const struct bh_query finals = {"SELECT count(*) FROM event WHERE kind IN (2, 4, 5, 6)"};
    size_t lost = 0, twice = 0, recipients = 0;

    for (size_t i = 0; i < l->entry_count; i++)
        for (uint32_t r = 0; r < l->entries[i].recipients; r++) {
            recipients++;
            lost += l->entries[i].finals[r] == 0;
            twice += l->entries[i].finals[r] > 1 ? l->entries[i].finals[r] - 1 : 0;
        }
    print_message("submitted %u accepted %zu recipients %zu | queued killed %zu, senders killed %zu | lost %zu "
                  "duplicates %zu (at most %zu)\n",
                  l->submits, l->entry_count, recipients, l->kills, l->sender_kills, lost, twice, l->at_risk);
    assert_int_equal(lost, 0);
    assert_true(twice <= l->at_risk);
    assert_int_equal(world_count(&l->w, &unfinished), 0);
    assert_int_equal(world_count(&l->w, &bodies), 0);
    assert_true(world_count(&l->w, &messages) >= (int64_t)l->entry_count);
    assert_true(world_count(&l->w, &finals) >= (int64_t)recipients);
}

static void storm(uint64_t seed, int steps, bool with_sender_kills)
{
    struct ledger l = {.entries = calloc(ACCEPTED_MAX, sizeof(struct entry))};

    bh_random_seeded_init(&l.dice, seed);
    world_new(&l.w, SENDERS);
    connect_all(&l);
    for (int i = 0; i < steps; i++)
        step(&l, with_sender_kills);
    finish(&l);
    check(&l);
    world_free(&l.w);
    free(l.entries);
}

static void test_queued_killed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        storm(seed, 2500, false); /* senders live: no duplicate at all */
}

static void test_both_killed(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed <= 12; seed++)
        storm(seed, 2500, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queued_killed),
        cmocka_unit_test(test_both_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
