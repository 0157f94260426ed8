/* auth_results.c: what was read is written and read again, and must be the same; headers are stripped of forgeries. */
#include "base/str.h"
#include <behalf/auth_results.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(struct bh_arena *arena, const struct bh_auth_results *first)
{
    struct bh_auth_results second;
    bh_str text;
    bh_err err = bh_auth_results_write(arena, first, &text);

    if (err)
        return; /* an empty authserv-id, or too long */
    err = bh_auth_results_read(arena, text, &second);
    if (err == BH_E_NOMEM || err == BH_E_LIMIT)
        return;
    if (err || second.method_count != first->method_count)
        abort();
    for (size_t i = 0; i < second.method_count; i++)
        if (!bh_str_eq(first->methods[i].result, second.methods[i].result) ||
            first->methods[i].property_count != second.methods[i].property_count)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bh_str text = {(const char *)data, size};
    struct bh_arena *arena = bh_arena_new(1 << 20);
    struct bh_auth_results results;
    bh_str header;
    size_t removed;

    if (bh_auth_results_read(arena, text, &results) == BH_OK)
        check_again(arena, &results);
    (void)bh_auth_results_claims(text, BH_STR("mx.example.net"));
    if (bh_auth_results_strip(arena, text, BH_STR("mx.example.net"), &header, &removed) == BH_OK && header.n > text.n)
        abort();
    bh_arena_free(arena);
    return 0;
}
