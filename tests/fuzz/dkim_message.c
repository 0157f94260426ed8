/* dkim_message.c: a whole message through header index, DKIM and ARC with explanations, keys from a resolver in memory.
 * Zone lines stand before the first 0xFF byte, the message behind it. The same message in pieces must give the same
 * verdicts. */
#include "base/str.h"
#include <behalf/arc.h>
#include <behalf/auth_results.h>
#include <behalf/zonefile_resolver.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void dkim_done(void *ctx, const struct bh_dkim_verify *verify)
{
    (void)verify;
    ++*(int *)ctx;
}

static void arc_done(void *ctx, const struct bh_arc_verify *verify)
{
    (void)verify;
    ++*(int *)ctx;
}

static bh_str body_of(bh_str message)
{
    size_t at = bh_str_search(message, BH_STR("\r\n\r\n"));

    return bh_str_skip(message, at + 4);
}

static enum bh_dkim_result verify_dkim(struct bh_dkim *dkim, struct bh_arena *arena, struct bh_resolver *resolver,
                                       bh_str message, size_t piece)
{
    struct bh_dkim_verify *verify = bh_dkim_verify_new(dkim, arena, message, 1700000000000);
    const struct bh_auth_method *methods;
    enum bh_dkim_result result;
    size_t count;
    int calls = 0;

    if (!verify)
        return BH_DKIM_NONE;
    for (bh_str body = body_of(message); body.n; body = bh_str_skip(body, piece))
        bh_dkim_verify_body(verify, bh_str_sub(body, 0, piece));
    bh_dkim_verify_end(verify, resolver, dkim_done, &calls);
    if (calls != 1)
        abort();
    for (size_t i = 0; i < bh_dkim_verify_count(verify); i++)
        if (bh_dkim_verify_get(verify, i)->reason.n == 0 || bh_dkim_verify_get(verify, i)->result == BH_DKIM_NONE)
            abort();
    if (bh_auth_results_of_dkim(arena, verify, &methods, &count) == BH_OK && count == 0)
        abort();
    result = bh_dkim_verify_result(verify, NULL);
    bh_dkim_verify_free(verify);
    return result;
}

static void verify_arc(struct bh_dkim *dkim, struct bh_arena *arena, struct bh_resolver *resolver, bh_str message)
{
    struct bh_arc_verify *verify = bh_arc_verify_new(dkim, arena, message, 1700000000000);
    int calls = 0;

    if (!verify)
        return;
    bh_arc_verify_body(verify, body_of(message));
    bh_arc_verify_end(verify, resolver, arc_done, &calls);
    if (calls != 1)
        abort();
    bh_arc_verify_free(verify);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bh_dkim_config config = {.seed = {5, 6}, .explain = true};
    bh_str input = {(const char *)data, size};
    size_t cut = bh_str_find(input, (char)0xFF);
    bh_str message = cut < size ? bh_str_skip(input, cut + 1) : input;
    struct bh_zonefile_resolver *zone = NULL;
    struct bh_arena *arena = bh_arena_new(8 << 20);
    struct bh_dkim *dkim = bh_dkim_new(&config);

    if (bh_zonefile_resolver_new(bh_str_sub(input, 0, cut < size ? cut : 0), &zone, NULL, NULL) == BH_OK) {
        struct bh_resolver *resolver = bh_zonefile_resolver_base(zone);

        if (verify_dkim(dkim, arena, resolver, message, SIZE_MAX) != verify_dkim(dkim, arena, resolver, message, 3))
            abort();
        verify_arc(dkim, arena, resolver, message);
    }
    bh_zonefile_resolver_free(zone);
    bh_dkim_free(dkim);
    bh_arena_free(arena);
    return 0;
}
