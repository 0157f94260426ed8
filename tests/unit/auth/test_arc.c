/* test_arc.c: chains sealed and validated, broken in each place, up to the limit of 50 sets. */
#include "base/buf.h"
#include "unit.h"
#include <behalf/arc.h>
#include <behalf/zonefile_resolver.h>
#include <stdlib.h>

static const char fields[] = "From: A <a@example.com>\r\nSubject: Hello\r\n\r\n";
static const char body[] = "Hi.\r\n";

struct world {
    struct bh_dkim *dkim;
    struct bh_arena *arena;
    struct bh_dkim_key *key;
    struct bh_zonefile_resolver *zone;
};

static int set_up(void **state)
{
    const struct bh_dkim_config config = {.seed = {1, 2}};
    struct world *w = calloc(1, sizeof(*w));
    bh_str record;
    bh_str text;

    w->arena = bh_arena_new(64 << 20);
    w->dkim = bh_dkim_new(&config);
    assert_ok(bh_dkim_key_generate(BH_DKIM_KEY_ED25519, 0, &w->key));
    assert_ok(bh_dkim_key_record(w->key, w->arena, &record));
    text = bh_arena_printf(w->arena, "s._domainkey.example.net. TXT \"%.*s\"\n$FAIL t._domainkey.example.net\n",
                           BH_FMT(record));
    assert_ok(bh_zonefile_resolver_new(text, &w->zone, NULL, NULL));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    bh_zonefile_resolver_free(w->zone);
    bh_dkim_key_free(w->key);
    bh_dkim_free(w->dkim);
    bh_arena_free(w->arena);
    free(w);
    return 0;
}

static void done(void *ctx, const struct bh_arc_verify *verify)
{
    (void)verify;
    ++*(int *)ctx;
}

static enum bh_arc_result check(struct world *w, bh_str header, const char *text, bh_str *ret_reason)
{
    struct bh_arc_verify *verify = bh_arc_verify_new(w->dkim, w->arena, header, 1000000);
    enum bh_arc_result result;
    int calls = 0;

    assert_non_null(verify);
    bh_arc_verify_body(verify, bh_str_c(text));
    bh_arc_verify_end(verify, bh_zonefile_resolver_base(w->zone), done, &calls);
    assert_int_equal(calls, 1);
    result = bh_arc_verify_result(verify, ret_reason);
    bh_arc_verify_free(verify);
    return result;
}

static void assert_chain(struct world *w, bh_str header, enum bh_arc_result expected, const char *words)
{
    bh_str reason;
    enum bh_arc_result got = check(w, header, body, &reason);

    if (got != expected || bh_str_search(reason, bh_str_c(words)) == reason.n)
        fail_msg("%s: %.*s", bh_arc_result_text(got), BH_FMT(reason));
}

static bh_str sign(struct world *w, const struct bh_dkim_unsigned *prepared)
{
    uint8_t signature[BH_DKIM_SIGNATURE_MAX];
    size_t length;
    bh_str field;

    assert_ok(bh_dkim_key_sign(w->key, prepared->hash, signature, &length));
    assert_ok(bh_dkim_finish(w->arena, prepared, signature, length, &field));
    return field;
}

/* One more set on `header`; an error of either step is returned. */
static bh_err seal(struct world *w, bh_str header, enum bh_arc_result status, const char *selector, bh_str *ret_header)
{
    struct bh_arc_sealing sealing = {.status = status,
                                     .auth_results = BH_STR("mx.example.net; spf=pass smtp.mailfrom=example.com"),
                                     .message = {.key_type = BH_DKIM_KEY_ED25519,
                                                 .domain = BH_STR("example.net"),
                                                 .selector = bh_str_c(selector),
                                                 .header_canon = BH_DKIM_RELAXED,
                                                 .body_canon = BH_DKIM_RELAXED,
                                                 .signed_at_s = 900,
                                                 .expires_at_s = -1,
                                                 .body_length = -1}};
    struct bh_dkim_body *hash = bh_dkim_body_new(w->dkim, BH_DKIM_RELAXED);
    struct bh_dkim_unsigned prepared;
    bh_str names[100];
    bh_str results;
    bh_str message;
    bh_err err;

    bh_dkim_body_add(hash, bh_str_c(body));
    assert_ok(bh_dkim_body_end(hash, sealing.message.body_hash, NULL));
    bh_dkim_body_free(hash);
    sealing.message.names = names;
    assert_ok(bh_arc_default_names(header, names, 100, &sealing.message.name_count));
    err = bh_arc_prepare_message(w->dkim, w->arena, header, &sealing, &results, &prepared);
    if (err)
        return err;
    message = sign(w, &prepared);
    err = bh_arc_prepare_seal(w->dkim, w->arena, header, &sealing, results, message, &prepared);
    if (!err)
        *ret_header = bh_arena_printf(w->arena, "%.*s%.*s%.*s%.*s", BH_FMT(sign(w, &prepared)), BH_FMT(message),
                                      BH_FMT(results), BH_FMT(header));
    return err;
}

static bh_str sealed(struct world *w, unsigned times)
{
    bh_str header = bh_str_c(fields);

    for (unsigned i = 0; i < times; i++)
        assert_ok(seal(w, header, i ? BH_ARC_PASS : BH_ARC_NONE, "s", &header));
    return header;
}

static bh_str replace(struct world *w, bh_str text, const char *from, const char *to)
{
    size_t at = bh_str_search(text, bh_str_c(from));

    assert_true(at < text.n);
    return bh_arena_printf(w->arena, "%.*s%s%.*s", BH_FMT(bh_str_sub(text, 0, at)), to,
                           BH_FMT(bh_str_skip(text, at + strlen(from))));
}

static void test_chains(void **state)
{
    struct world *w = *state;
    bh_str header = sealed(w, 3);
    bh_str reason;

    assert_chain(w, bh_str_c(fields), BH_ARC_NONE, "no ARC");
    assert_chain(w, sealed(w, 1), BH_ARC_PASS, "chain of 1");
    assert_chain(w, header, BH_ARC_PASS, "chain of 3");
    assert_int_equal(check(w, header, "Ho.\r\n", &reason), BH_ARC_FAIL);
    assert_str(reason, "ARC-Message-Signature 3: body hash differs");
    assert_chain(w, replace(w, header, "Hello", "Hallo"), BH_ARC_FAIL, "ARC-Message-Signature 3");
    assert_chain(w, replace(w, header, "i=2; mx", "i=2; my"), BH_ARC_FAIL, "ARC-Seal 3");
    assert_chain(w, replace(w, header, "i=2; mx", "i=4; mx"), BH_ARC_FAIL, "set has no");
    assert_chain(w, replace(w, header, "i=2; mx", "i=1; mx"), BH_ARC_FAIL, "same i=");
    assert_chain(w, replace(w, header, "cv=pass", "cv=none"), BH_ARC_FAIL, "does not say cv=pass");
    assert_chain(w, replace(w, header, "cv=none", "cv=pass"), BH_ARC_FAIL, "does not say cv=none");
    assert_chain(w, replace(w, header, "cv=pass", "cv=fail"), BH_ARC_FAIL, "broken before");
    assert_chain(w, replace(w, header, "cv=pass", "h=from; cv=pass"), BH_ARC_FAIL, "h=");
}

static void test_limit(void **state)
{
    struct world *w = *state;
    bh_str header = sealed(w, 50);
    bh_str more;

    assert_chain(w, header, BH_ARC_PASS, "chain of 50");
    assert_int_equal(seal(w, header, BH_ARC_PASS, "s", &more), BH_E_LIMIT);
    assert_chain(w, replace(w, header, "i=50; mx", "i=51; mx"), BH_ARC_FAIL, "valid i=");
}

static void test_failed(void **state)
{
    struct world *w = *state;
    bh_str broken = replace(w, sealed(w, 1), "Hello", "Hallo");
    bh_str header;
    bh_str more;

    assert_int_equal(seal(w, broken, BH_ARC_NONE, "s", &header), BH_E_INVALID);
    assert_ok(seal(w, broken, BH_ARC_FAIL, "s", &header));
    assert_chain(w, header, BH_ARC_FAIL, "broken before");
    assert_int_equal(seal(w, header, BH_ARC_FAIL, "s", &more), BH_E_INVALID);
}

static void test_temporary(void **state)
{
    struct world *w = *state;
    struct bh_arc_verify *verify;
    bh_str header;
    int calls = 0;

    assert_ok(seal(w, bh_str_c(fields), BH_ARC_NONE, "t", &header));
    verify = bh_arc_verify_new(w->dkim, w->arena, header, 0);
    bh_arc_verify_body(verify, bh_str_c(body));
    bh_arc_verify_end(verify, bh_zonefile_resolver_base(w->zone), done, &calls);
    assert_int_equal(bh_arc_verify_result(verify, NULL), BH_ARC_FAIL);
    assert_true(bh_arc_verify_temporary(verify));
    bh_arc_verify_free(verify);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chains), cmocka_unit_test(test_limit),
                                       cmocka_unit_test(test_failed), cmocka_unit_test(test_temporary)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
