/* sign.c and zone_keys.c: a zone is published when its last signature is there, never half signed; what did not change
 * is not signed again; whatever keyd answers wrongly, or does not answer, is asked for again. keyd is played here: its
 * signature of a digest is the digest twice. */
#include "controld_world.h"
#include "roles/controld/sign.h"
#include <stdio.h>

enum { DIGEST = 32, ASKED_MAX = 64 };

struct question {
    bh_zone_signed *done;
    void *ctx;
    char digests[BH_ZONE_SIGN_MAX * DIGEST];
    size_t n;
};

/* What the callbacks, which get the common world, know beside it. */
static struct {
    struct bh_controld_out out;
    const struct bh_controld_out *common;
    struct question asked[ASKED_MAX];
    size_t count, answered, digests;
    unsigned keys;
    unsigned signatures, records; /* of the zone as it was published last */
    bool wrong;                   /* a signature that is not of our making */
} side;

static bh_err make_any_key(void *ctx, const struct bh_key_order *order, bh_key_done *done, void *done_ctx)
{
    static const char public_key[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde";
    struct bh_msg_key_reply reply = {.ok = 1, .algorithm = BH_KEY_P256, .sealed = BH_STR("box"), .why = BH_STR("")};
    char key[BH_DNS_P256_PUBLIC_BYTES];

    if (order->algorithm != BH_KEY_P256)
        return side.common->make_key(ctx, order, done, done_ctx);
    memcpy(key, public_key, sizeof(key));
    key[0] = (char)('a' + side.keys++);
    reply.public_record = bh_str_of(key, sizeof(key));
    done(done_ctx, BH_OK, &reply);
    return BH_OK;
}

static bh_err take_question(void *ctx, const struct bh_msg_zone_sign *message, bh_zone_signed *done, void *done_ctx)
{
    struct question *question = &side.asked[side.count++];

    (void)ctx;
    assert_true(side.count <= ASKED_MAX);
    assert_true(message->grant.n && message->digests.n && message->digests.n % DIGEST == 0);
    assert_str(message->sealed, "box");
    question->done = done;
    question->ctx = done_ctx;
    question->n = message->digests.n;
    memcpy(question->digests, message->digests.p, message->digests.n);
    side.digests += message->digests.n / DIGEST;
    return BH_OK;
}

static void take_signed_zone(void *ctx, const struct bh_zone *zone)
{
    side.signatures = side.records = 0;
    for (size_t i = 0; i < zone->count; i++) {
        bh_str rdata = zone->records[i].rdata;

        side.records++;
        if (zone->records[i].type != BH_DNS_RRSIG)
            continue;
        side.signatures++;
        rdata = bh_str_skip(rdata, rdata.n - 2 * DIGEST);
        side.wrong = side.wrong || memcmp(rdata.p, rdata.p + DIGEST, DIGEST) != 0;
    }
    side.common->zone(ctx, zone);
}

static void wake_later(void *ctx, int64_t in_ms)
{
    (void)ctx, (void)in_ms;
}

static struct question *next_question(void)
{
    assert_true(side.answered < side.count);
    return &side.asked[side.answered++];
}

static void answer_with(bh_err err, uint8_t refused, size_t missing)
{
    struct question *question = next_question();
    struct bh_buf signatures = bh_buf_make(1 << 16);

    for (size_t i = 0; i + missing < question->n / DIGEST; i++)
        for (int k = 0; k < 2; k++)
            bh_buf_add(&signatures, bh_str_of(question->digests + i * DIGEST, DIGEST));
    question->done(question->ctx, err,
                   err ? NULL : &(struct bh_msg_zone_signatures){refused, bh_buf_view(&signatures)});
    bh_buf_free(&signatures);
}

/* keyd answers everything, and zones are built until nothing more is asked. */
static void sign_all(struct world *w)
{
    do {
        while (side.answered < side.count)
            answer_with(BH_OK, 0, 0);
        settle(w);
    } while (side.answered < side.count);
}

/* Through failures: the zones that wait are built again. */
static void retry(struct world *w)
{
    bh_sign_retry(&w->core);
    settle(w);
}

static bool is_served(const struct world *w)
{
    return strstr(w->last_zones, "email.customer.example ") != NULL;
}

static void open_signed(struct world *w)
{
    memset(&side, 0, sizeof(side));
    side.common = w->core.out;
    side.out = *w->core.out;
    side.out.make_key = make_any_key;
    side.out.sign_zone = take_question;
    side.out.zone = take_signed_zone;
    side.out.zone_keys_wake = wake_later;
    w->core.out = &side.out;
    w->core.dnssec = (struct bh_dnssec_times){.hold_ms = 3600 * 1000};
    bh_zone_keys_keyd_up(&w->core, BH_STR("0123456789abcdef0123456789abcdef"));
    verify_delegation(w);
    settle(w);
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"dnssec\",\"args\":{\"domain\":\"email.customer.example\","
                       "\"dnssec\":true}}"));
    bh_zone_keys_tick(&w->core);
    assert_int_equal(side.keys, 1);
}

static void test_served_when_all_is_signed(void **state)
{
    struct world *w = *state;
    size_t digests;

    open_signed(w);
    settle(w);
    assert_int_equal(side.count, 1);
    assert_false(is_served(w));
    settle(w); /* a change meanwhile waits, too */
    assert_int_equal(side.count, 1);
    answer_with(BH_OK, 0, 0);
    settle(w);
    assert_true(is_served(w));
    assert_int_equal(side.count, 1);
    assert_int_equal(side.signatures, side.digests);
    assert_false(side.wrong);
    assert_int_equal(w->core.signatures_made, side.digests);
    assert_int_equal(w->core.zones_signed, 1);

    digests = side.digests; /* one more name: its record, NSEC of it and of its neighbour, the SOA */
    assert_true(run(w, "{\"noun\":\"domain\",\"verb\":\"zone-add\",\"args\":{\"domain\":\"email.customer.example\","
                       "\"text\":\"www 300 A 192.0.2.1\"}}"));
    sign_all(w);
    assert_true(is_served(w) && !side.wrong);
    assert_in_range(side.digests - digests, 3, 5);
}

static void test_failures_of_keyd(void **state)
{
    struct world *w = *state;

    open_signed(w);
    settle(w);
    answer_with(BH_E_CLOSED, 0, 0); /* it died with the question */
    settle(w);
    assert_false(is_served(w));
    retry(w);
    answer_with(BH_OK, 1, 0); /* refused */
    retry(w);
    answer_with(BH_OK, 0, 1); /* one too few */
    retry(w);
    assert_false(is_served(w));
    assert_int_equal(w->core.signing_count, 1);
    assert_int_equal(w->core.signatures_made, 0);
    sign_all(w);
    assert_true(is_served(w) && !side.wrong);
    assert_int_equal(w->core.signing_count, 0);
}

static void test_signatures_are_kept_and_renewed(void **state)
{
    struct world *w = *state;
    struct bh_zone_signatures_sum sum;
    size_t digests;

    open_signed(w);
    settle(w);
    sign_all(w);
    digests = side.digests;
    bh_publish_everything(&w->core); /* as after a restart */
    settle(w);
    assert_true(is_served(w));
    assert_int_equal(side.digests, digests);

    assert_ok(bh_zone_signatures_sum(w->core.store, &sum));
    assert_int_equal(sum.zones, 1);
    assert_true(sum.renew_at > w->now);
    w->now = sum.renew_at + 1;
    bh_zone_keys_tick(&w->core);
    settle(w);
    sign_all(w);
    assert_true(side.digests >= 2 * digests && !side.wrong);
    assert_ok(bh_zone_signatures_sum(w->core.store, &sum));
    assert_true(sum.renew_at > w->now);
}

/* Two keys sign while it lasts: twice the signatures, of which the old key's are the ones that were there. */
static void test_a_roll(void **state)
{
    struct world *w = *state;
    size_t digests;

    open_signed(w);
    settle(w);
    sign_all(w);
    digests = side.digests;
    w->now += 3601 * 1000;
    bh_zone_keys_tick(&w->core);
    sign_all(w);
    assert_true(run(w, "{\"noun\":\"dns\",\"verb\":\"roll\",\"args\":{\"domain\":\"email.customer.example\"}}"));
    bh_zone_keys_tick(&w->core);
    assert_int_equal(side.keys, 2);
    side.digests = 0;
    settle(w);
    sign_all(w);
    assert_true(is_served(w) && !side.wrong);
    assert_in_range(side.digests, digests, digests + 6);
    assert_in_range(side.signatures, 2 * digests - 1, 2 * digests + 8);
    assert_false(run(w, "{\"noun\":\"dns\",\"verb\":\"roll\",\"args\":{\"domain\":\"email.customer.example\"}}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_served_when_all_is_signed, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_failures_of_keyd, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_signatures_are_kept_and_renewed, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_roll, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
