/* test_dkim.c: sign and verify, canonicalisation in pieces, keys in odd forms, hostile headers. */
#include "auth/canon.h"
#include "auth/der.h"
#include "auth/hindex.h"
#include "auth/pubkey.h"
#include "base/text.h"
#include "unit.h"
#include <behalf/dkim.h>
#include <behalf/zonefile_resolver.h>
#include <stdlib.h>

static const char message_head[] = "From: A <a@example.com>\r\nTo: b@example.net\r\nSubject: Hello\r\n\t there  \r\n"
                                   "Date: Fri, 11 Jul 2003 21:00:37 -0700\r\n";
static const char message_body[] = "Hi.  \r\n\r\nWe lost  the\tgame.\r\n\r\n\r\n";

struct world {
    struct bh_dkim *dkim;
    struct bh_arena *arena;
    struct bh_dkim_key *rsa;
    struct bh_dkim_key *ed25519;
    struct bh_zonefile_resolver *zone;
};

static bh_str record_line(struct bh_arena *arena, const char *name, bh_str text)
{
    struct bh_buf out = bh_buf_make(4096);
    bh_str line;

    bh_buf_printf(&out, "%s. TXT", name);
    for (; text.n; text = bh_str_skip(text, 200))
        bh_buf_printf(&out, " \"%.*s\"", BH_FMT(bh_str_sub(text, 0, 200)));
    bh_buf_char(&out, '\n');
    line = bh_arena_dup(arena, bh_buf_view(&out));
    bh_buf_free(&out);
    return line;
}

static void use_zone(struct world *w, bh_str text)
{
    unsigned line = 0;
    const char *why = "";

    bh_zonefile_resolver_free(w->zone);
    w->zone = NULL;
    if (bh_zonefile_resolver_new(text, &w->zone, &line, &why))
        fail_msg("zone line %u: %s", line, why);
}

static int set_up(void **state)
{
    struct bh_dkim_config config = {.explain = true, .seed = {1, 2}};
    struct world *w = calloc(1, sizeof(*w));
    bh_str rsa;
    bh_str ed25519;
    bh_str lines;

    w->arena = bh_arena_new(64 << 20);
    w->dkim = bh_dkim_new(&config);
    assert_ok(bh_dkim_key_generate(BH_DKIM_KEY_RSA, 1024, &w->rsa));
    assert_ok(bh_dkim_key_generate(BH_DKIM_KEY_ED25519, 0, &w->ed25519));
    assert_ok(bh_dkim_key_record(w->rsa, w->arena, &rsa));
    assert_ok(bh_dkim_key_record(w->ed25519, w->arena, &ed25519));
    rsa = record_line(w->arena, "r._domainkey.example.com", rsa);
    ed25519 = record_line(w->arena, "e._domainkey.example.com", ed25519);
    lines = bh_arena_printf(w->arena, "%.*s%.*s$FAIL t._domainkey.example.com\n", BH_FMT(rsa), BH_FMT(ed25519));
    use_zone(w, lines);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    bh_zonefile_resolver_free(w->zone);
    bh_dkim_key_free(w->rsa);
    bh_dkim_key_free(w->ed25519);
    bh_dkim_free(w->dkim);
    bh_arena_free(w->arena);
    free(w);
    return 0;
}

static bh_str sign(struct world *w, struct bh_dkim_signing *signing, const char *selector)
{
    const struct bh_dkim_key *key = selector[0] == 'e' ? w->ed25519 : w->rsa;
    struct bh_dkim_body *body = bh_dkim_body_new(w->dkim, signing->body_canon);
    uint8_t signature[BH_DKIM_SIGNATURE_MAX];
    struct bh_dkim_unsigned prepared;
    bh_str names[100];
    size_t length;
    bh_str field;

    signing->key_type = bh_dkim_key_type(key);
    signing->selector = bh_str_c(selector);
    if (!signing->domain.p)
        signing->domain = BH_STR("example.com");
    bh_dkim_body_add(body, bh_str_c(message_body));
    assert_ok(bh_dkim_body_end(body, signing->body_hash, NULL));
    bh_dkim_body_free(body);
    assert_ok(bh_dkim_default_names(bh_str_c(message_head), names, 100, &signing->name_count));
    signing->names = names;
    assert_ok(bh_dkim_prepare(w->dkim, w->arena, bh_str_c(message_head), signing, &prepared));
    assert_ok(bh_dkim_key_sign(key, prepared.hash, signature, &length));
    assert_ok(bh_dkim_finish(w->arena, &prepared, signature, length, &field));
    return field;
}

static void note_done(void *ctx, const struct bh_dkim_verify *verify)
{
    (void)verify;
    ++*(int *)ctx;
}

static struct bh_dkim_verify *verify(struct world *w, bh_str head, bh_str body, bh_time_ms now)
{
    struct bh_dkim_verify *v = bh_dkim_verify_new(w->dkim, w->arena, head, now);
    int done = 0;

    assert_non_null(v);
    for (; body.n; body = bh_str_skip(body, 7))
        bh_dkim_verify_body(v, bh_str_sub(body, 0, 7));
    bh_dkim_verify_end(v, bh_zonefile_resolver_base(w->zone), note_done, &done);
    assert_int_equal(done, 1);
    return v;
}

static void assert_result(struct world *w, bh_str head, bh_str body, enum bh_dkim_result expected, const char *words)
{
    struct bh_dkim_verify *v = verify(w, head, body, 1000000);
    bh_str reason;
    enum bh_dkim_result got = bh_dkim_verify_result(v, &reason);

    if (got != expected || bh_str_search(reason, bh_str_c(words)) == reason.n)
        fail_msg("%s: %.*s", bh_dkim_result_text(got), BH_FMT(reason));
    bh_dkim_verify_free(v);
}

static bh_str join(struct world *w, bh_str a, const char *b)
{
    return bh_arena_printf(w->arena, "%.*s%s", BH_FMT(a), b);
}

static struct bh_dkim_signing defaults(void)
{
    return (struct bh_dkim_signing){.header_canon = BH_DKIM_RELAXED,
                                    .body_canon = BH_DKIM_RELAXED,
                                    .signed_at_s = 900,
                                    .expires_at_s = -1,
                                    .body_length = -1};
}

static void test_round(void **state)
{
    static const char *const selectors[] = {"r", "e"};
    struct world *w = *state;

    for (unsigned i = 0; i < 8; i++) {
        struct bh_dkim_signing signing = defaults();
        bh_str field;

        signing.header_canon = i & 1 ? BH_DKIM_RELAXED : BH_DKIM_SIMPLE;
        signing.body_canon = i & 2 ? BH_DKIM_RELAXED : BH_DKIM_SIMPLE;
        field = sign(w, &signing, selectors[i / 4]);
        assert_result(w, join(w, field, message_head), bh_str_c(message_body), BH_DKIM_PASS, "good");
    }
}

static void test_changed(void **state)
{
    struct world *w = *state;
    struct bh_dkim_signing signing = defaults();
    bh_str field = sign(w, &signing, "r");
    bh_str head = join(w, field, message_head);
    bh_str body = bh_str_c(message_body);

    assert_result(w, head, BH_STR("Hi. \r\n\r\nWe lost the game.\r\n"), BH_DKIM_PASS, "good");
    assert_result(w, head, BH_STR("Hi!\r\n"), BH_DKIM_FAIL, "body hash differs");
    assert_result(w, join(w, head, "Subject: x\r\n"), body, BH_DKIM_FAIL, "subject was added");
    assert_result(w,
                  join(w, field,
                       "from: x@y\r\nFrom: A <a@example.com>\r\nTo: b@example.net\r\nSubject: Hello there\r\n"
                       "Date: Fri, 11 Jul 2003 21:00:37 -0700\r\n"),
                  body, BH_DKIM_FAIL, "from was added");
    assert_result(w,
                  join(w, field,
                       "From: A <a@example.com>\r\nTo: b@example.net\r\nSubject: [list] Hello there\r\n"
                       "Date: Fri, 11 Jul 2003 21:00:37 -0700\r\n"),
                  body, BH_DKIM_FAIL, "Subject was changed");
    assert_result(w,
                  join(w, field,
                       "From: B <a@example.com>\r\nTo: b@example.net\r\nSubject: Hello there\r\n"
                       "Date: Fri, 11 Jul 2003 21:00:37 -0700\r\n"),
                  body, BH_DKIM_FAIL, "a signed header field was changed or removed");
    assert_result(w, bh_str_c(message_head), body, BH_DKIM_NONE, "no DKIM signature");
}

static void test_message_body(void **state)
{
    assert_str(bh_dkim_message_body(BH_STR("A: b\r\n\r\nbody\r\n\r\nmore")), "body\r\n\r\nmore");
    assert_str(bh_dkim_message_body(BH_STR("A: b\r\nC: \0d\r\n\r\nx")), "x");
    assert_str(bh_dkim_message_body(BH_STR("\r\nx")), "x");
    assert_str(bh_dkim_message_body(BH_STR("A: b\r\n")), "");
    assert_str(bh_dkim_message_body(BH_STR("")), "");
}

static void test_rules(void **state)
{
    struct world *w = *state;
    struct bh_dkim_signing signing = defaults();

    signing.expires_at_s = 999;
    assert_result(w, join(w, sign(w, &signing, "r"), message_head), bh_str_c(message_body), BH_DKIM_PERMERROR,
                  "expired");
    signing.expires_at_s = 1000;
    assert_result(w, join(w, sign(w, &signing, "r"), message_head), bh_str_c(message_body), BH_DKIM_PASS, "good");
    signing.expires_at_s = -1;
    signing.body_length = 5;
    assert_result(w, join(w, sign(w, &signing, "r"), message_head), bh_str_c(message_body), BH_DKIM_FAIL, "body hash");
    signing.body_length = 5000;
    assert_result(w, join(w, sign(w, &signing, "r"), message_head), bh_str_c(message_body), BH_DKIM_FAIL, "shorter");
    signing.body_length = -1;
    assert_result(w, join(w, sign(w, &signing, "t"), message_head), bh_str_c(message_body), BH_DKIM_TEMPERROR, "DNS");
    assert_result(w, join(w, sign(w, &signing, "none"), message_head), bh_str_c(message_body), BH_DKIM_PERMERROR,
                  "does not exist");
    signing.identity = BH_STR("a@sub.example.com");
    assert_result(w, join(w, sign(w, &signing, "r"), message_head), bh_str_c(message_body), BH_DKIM_PASS, "good");
}

static void test_bad_fields(void **state)
{
    static const struct {
        const char *field;
        enum bh_dkim_result result;
        const char *words;
    } cases[] = {
        {"DKIM-Signature: nonsense\r\n", BH_DKIM_NEUTRAL, "not a tag list"},
        {"DKIM-Signature:\r\n", BH_DKIM_NEUTRAL, "no v="},
        {"DKIM-Signature: v=2; a=rsa-sha256; d=a; s=b; h=from; bh=; b=\r\n", BH_DKIM_NEUTRAL, "version"},
        {"DKIM-Signature: v=1; a=rsa-sha1; d=a; s=b; h=from; bh=; b=\r\n", BH_DKIM_PERMERROR, "rsa-sha1"},
        {"DKIM-Signature: v=1; a=rsa-md5; d=a; s=b; h=from; bh=; b=\r\n", BH_DKIM_NEUTRAL, "algorithm"},
        {"DKIM-Signature: v=1; a=rsa-sha256; d=a..b; s=b; h=from; bh=; b=\r\n", BH_DKIM_NEUTRAL, "d="},
        {"DKIM-Signature: v=1; a=rsa-sha256; d=a; i=@b; s=b; h=from; bh=; b=\r\n", BH_DKIM_PERMERROR, "i="},
        {"DKIM-Signature: v=1; a=rsa-sha256; d=a; i=; s=b; h=from; bh=; b=\r\n", BH_DKIM_NEUTRAL, "i= has no '@'"},
        {"DKIM-Signature: v=1; a=rsa-sha256; d=a; i=a; s=b; h=from; bh=; b=\r\n", BH_DKIM_NEUTRAL, "i= has no '@'"},
        {"DKIM-Signature: v=1; a=rsa-sha256; d=b\303\274cher.example; i=@xn--bcher-kva.example; s=b; h=to; bh=; b=\r\n",
         BH_DKIM_PERMERROR, "From is not"},
        {"DKIM-Signature: v=1; a=rsa-sha256; d=b\303\274cher.example; i=@xn--other.example; s=b; h=to; bh=; b=\r\n",
         BH_DKIM_PERMERROR, "i= is not at or below"},
        {"DKIM-Signature: v=1; a=rsa-sha256; d=a; s=b; h=to; bh=; b=\r\n", BH_DKIM_PERMERROR, "From is not"},
        {"DKIM-Signature: v=1; a=rsa-sha256; d=a; s=b; h=from; bh=; b=\r\n", BH_DKIM_NEUTRAL, "b="},
        {"DKIM-Signature: v=1; a=rsa-sha256; c=nofws; d=a; s=b; h=from; bh=; b=\r\n", BH_DKIM_NEUTRAL, "c="},
        {"DKIM-Signature: v=1; a=rsa-sha256; q=http; d=a; s=b; h=from; bh=; b=\r\n", BH_DKIM_NEUTRAL, "q="},
        {"DKIM-Signature: v=1; a=rsa-sha256; t=5; x=5; d=a; s=b; h=from; bh=; b=\r\n", BH_DKIM_NEUTRAL, "x="},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_result(w, join(w, bh_str_c(cases[i].field), message_head), bh_str_c(message_body), cases[i].result,
                      cases[i].words);
}

/* ---- hostile ---- */

static bh_str repeat(const char *text, size_t times)
{
    size_t n = strlen(text);
    char *p = malloc(n * times + 1);

    for (size_t i = 0; i < times; i++)
        memcpy(p + i * n, text, n);
    return bh_str_of(p, n * times);
}

static void test_hostile(void **state)
{
    struct world *w = *state;
    struct bh_dkim_verify *v;
    bh_str big = repeat("X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 100 * 1000 * 1000 / 52);
    bh_str many = repeat("From: a@b\r\n", 10000);
    bh_str signatures = repeat("DKIM-Signature: v=1; a=rsa-sha256; d=a; s=b; h=from; bh=AA; b=AA\r\n", 1000);

    assert_result(w, big, (bh_str){NULL, 0}, BH_DKIM_PERMERROR, "more fields or bytes");
    assert_result(w, many, (bh_str){NULL, 0}, BH_DKIM_NONE, "no DKIM");
    v = verify(w, signatures, BH_STR("x"), 0);
    assert_int_equal(bh_dkim_verify_count(v), 1000);
    assert_int_equal(bh_dkim_verify_get(v, 0)->result, BH_DKIM_NEUTRAL);
    assert_int_equal(bh_dkim_verify_get(v, 10)->result, BH_DKIM_POLICY);
    assert_null(bh_dkim_verify_get(v, 1000));
    bh_dkim_verify_free(v);
    free((void *)(uintptr_t)big.p);
    free((void *)(uintptr_t)many.p);
    free((void *)(uintptr_t)signatures.p);
}

/* ---- canonicalisation ---- */

static void append(void *ctx, const char *p, size_t n)
{
    bh_buf_add(ctx, bh_str_of(p, n));
}

/* The rules of RFC 6376 3.4.3 and 3.4.4, byte by byte and slowly: what canon.c is measured against. */
static void plain_canon(bh_str body, bool relaxed, struct bh_buf *out)
{
    struct bh_buf lines = bh_buf_make(1 << 20);
    size_t n;

    for (size_t i = 0; i < body.n; i++) {
        if (relaxed && bh_is_wsp(body.p[i])) {
            while (i + 1 < body.n && bh_is_wsp(body.p[i + 1]))
                i++;
            if (!(i + 2 < body.n && body.p[i + 1] == '\r' && body.p[i + 2] == '\n'))
                bh_buf_char(&lines, ' ');
        } else {
            bh_buf_char(&lines, body.p[i]);
        }
    }
    for (n = lines.n; n >= 2 && lines.p[n - 1] == '\n' && lines.p[n - 2] == '\r';)
        n -= 2;
    bh_buf_add(out, bh_str_of(lines.p, n));
    if (n || !relaxed)
        bh_buf_add(out, BH_STR("\r\n"));
    bh_buf_free(&lines);
}

static void assert_canon(bh_str body, enum bh_dkim_canon canon, size_t piece)
{
    struct bh_buf got = bh_buf_make(1 << 20);
    struct bh_buf expected = bh_buf_make(1 << 20);
    struct bh_canon_body state;

    bh_canon_body_init(&state, canon, append, &got);
    for (bh_str rest = body; rest.n; rest = bh_str_skip(rest, piece))
        bh_canon_body_add(&state, bh_str_sub(rest, 0, piece));
    bh_canon_body_end(&state);
    plain_canon(body, canon == BH_DKIM_RELAXED, &expected);
    if (!bh_str_eq(bh_buf_view(&got), bh_buf_view(&expected)))
        fail_msg("canon %d piece %zu of \"%.*s\": \"%.*s\", expected \"%.*s\"", (int)canon, piece, BH_FMT(body),
                 BH_FMT(bh_buf_view(&got)), BH_FMT(bh_buf_view(&expected)));
    assert_int_equal(state.bytes, got.n);
    bh_buf_free(&got);
    bh_buf_free(&expected);
}

static void test_canon_random(void **state)
{
    static const char alphabet[] = "  \t\r\n\r\nabcdefghijkl";
    unsigned random = 1;
    char text[200];

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        size_t n = round % sizeof(text);
        size_t letters = 4 + round % (sizeof(alphabet) - 5);

        for (size_t i = 0; i < n; i++) {
            random = random * 1103515245 + 12345;
            text[i] = alphabet[(random >> 16) % letters];
        }
        for (size_t piece = 1; piece < 60; piece = piece * 3 + 1) {
            assert_canon(bh_str_of(text, n), BH_DKIM_SIMPLE, piece);
            assert_canon(bh_str_of(text, n), BH_DKIM_RELAXED, piece);
        }
        assert_canon(bh_str_of(text, n), BH_DKIM_RELAXED, 1000);
    }
}

static void assert_header(const char *whole, const char *cut, const char *expected)
{
    struct bh_buf got = bh_buf_make(4096);
    struct bh_canon_out out;
    bh_str text = bh_str_c(whole);
    size_t at = bh_str_search(text, bh_str_c(cut));

    bh_canon_out_init(&out, append, &got);
    bh_canon_header(&out, BH_DKIM_RELAXED, text, cut[0] ? bh_str_sub(text, at, strlen(cut)) : (bh_str){NULL, 0}, false);
    bh_canon_flush(&out);
    assert_str(bh_buf_view(&got), expected);
    bh_buf_free(&got);
}

static void test_canon_header(void **state)
{
    (void)state;
    assert_header("A: X\r\n", "", "a:X\r\n");
    assert_header("B : Y\t\r\n\tZ  \r\n", "", "b:Y Z\r\n");
    assert_header("Subject:   \r\n", "", "subject:\r\n");
    assert_header("Subject:\r\n", "", "subject:\r\n");
    assert_header("S: a long line with single spaces  and two\r\n  and a fold\r\n", "",
                  "s:a long line with single spaces and two and a fold\r\n");
    assert_header("D: a=b; b=\r\n AB\r\n CD ; c=d\r\n", "\r\n AB\r\n CD ", "d:a=b; b=; c=d\r\n");
    assert_header("D: b= AB", " AB", "d:b=\r\n");
    assert_header("D: b=AB ", "AB ", "d:b=\r\n");
    assert_header("D: a\rb \r \r\n", "", "d:a\rb \r\r\n");
}

/* ---- keys ---- */

static const char *record_error(const char *text)
{
    struct bh_key_record record;

    return bh_key_record_read(bh_str_c(text), &record);
}

static void test_key_records(void **state)
{
    struct bh_key_record record;

    (void)state;
    assert_null(bh_key_record_read(BH_STR("p=AAAA"), &record));
    assert_true(record.sha256 && record.email && !record.testing && record.type == BH_DKIM_KEY_RSA);
    assert_null(bh_key_record_read(BH_STR("v=DKIM1; k=ed25519; h=sha1 : sha256; s=email; t=y:s; n=hi; z=1; p=AA AA;"),
                                   &record));
    assert_true(record.sha256 && record.email && record.testing && record.no_subdomains);
    assert_null(bh_key_record_read(BH_STR("v=DKIM1; h=sha1; s=tlsrpt; p=AAAA"), &record));
    assert_true(!record.sha256 && !record.email);
    assert_string_equal(record_error("v=DKIM1; p="), "key revoked (p= is empty)");
    assert_non_null(record_error("v=DKIM1"));
    assert_non_null(record_error("p=AA; v=DKIM1"));
    assert_non_null(record_error("v=DKIM2; p=AA"));
    assert_non_null(record_error("v=spf1 -all"));
    assert_non_null(record_error("k=dsa; p=AA"));
}

static void test_keys(void **state)
{
    static const char *const bad[] = {"", "MA==", "MAMCAQE=", "MAYCAQACAQM=", "MIAA", "!!", "MAYCAQECAQM="};
    struct world *w = *state;
    struct bh_pubkey_cache *cache = bh_pubkey_cache_new(2, (const uint64_t[2]){3, 4});
    struct bh_key_record record = {.type = BH_DKIM_KEY_RSA};
    const struct bh_pubkey *key;
    const char *why = NULL;
    bh_str text;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        record.data = bh_str_c(bad[i]);
        why = NULL;
        assert_null(bh_pubkey_cache_get(cache, &record, &why));
        assert_non_null(why);
    }
    for (unsigned i = 0; i < 5; i++) {
        struct bh_dkim_key *fresh;

        assert_ok(bh_dkim_key_generate(i & 1 ? BH_DKIM_KEY_RSA : BH_DKIM_KEY_ED25519, 1024, &fresh));
        assert_ok(bh_dkim_key_record(fresh, w->arena, &text));
        assert_null(bh_key_record_read(text, &record));
        key = bh_pubkey_cache_get(cache, &record, &why);
        assert_non_null(key);
        assert_ptr_equal(key, bh_pubkey_cache_get(cache, &record, &why));
        assert_int_equal(bh_pubkey_bits(key), bh_dkim_key_bits(fresh));
        bh_dkim_key_free(fresh);
    }
    text = repeat("A", 16384);
    record.data = text;
    assert_null(bh_pubkey_cache_get(cache, &record, &why));
    free((void *)(uintptr_t)text.p);
    bh_pubkey_cache_free(cache);
}

static void test_key_forms(void **state)
{
    struct world *w = *state;
    struct bh_dkim_key *again;
    uint8_t der[4096];
    size_t length;
    bh_str pem;

    assert_ok(bh_dkim_key_to_pem(w->rsa, w->arena, &pem));
    assert_ok(bh_dkim_key_load(pem, &again));
    bh_dkim_key_free(again);
    assert_ok(bh_dkim_key_to_der(w->ed25519, der, sizeof(der), &length));
    assert_ok(bh_dkim_key_load(bh_str_of((const char *)der, length), &again));
    assert_int_equal(bh_dkim_key_type(again), BH_DKIM_KEY_ED25519);
    bh_dkim_key_free(again);
    assert_ok(bh_dkim_key_load(BH_STR("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=\n"), &again)); /* RFC 8463 A.2 */
    assert_ok(bh_dkim_key_record(again, w->arena, &pem));
    assert_str(pem, "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    bh_dkim_key_free(again);
    assert_int_equal(bh_dkim_key_load(BH_STR("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"), &again),
                     BH_E_SYNTAX);
    assert_int_equal(bh_dkim_key_generate(BH_DKIM_KEY_RSA, 512, &again), BH_E_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_body), cmocka_unit_test(test_round),        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_rules),        cmocka_unit_test(test_bad_fields),   cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_canon_random), cmocka_unit_test(test_canon_header), cmocka_unit_test(test_key_records),
        cmocka_unit_test(test_keys),         cmocka_unit_test(test_key_forms),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
