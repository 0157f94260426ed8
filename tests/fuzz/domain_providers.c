/* Any bytes are a file of DNS providers: a list or an error comes out; whatever it recognises can be printed. */
#include "domain/provider.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bh_arena *arena = bh_arena_new(1 << 20);
    struct bh_buf out = bh_buf_make(1 << 20);
    struct bh_required_record record = {.type = BH_DNS_TXT,
                                        .name = BH_STR("a.customer.example"),
                                        .value = bh_str_of((const char *)data, size < 2000 ? size : 2000)};
    bh_str name = bh_str_of((const char *)data, size < 64 ? size : 64);
    struct bh_providers providers;
    unsigned percent;
    size_t line;

    if (!bh_providers_parse(arena, bh_str_of((const char *)data, size), &providers, &line)) {
        const struct bh_provider *found = bh_provider_by_ns(&providers, &name, 1, &percent);

        if (percent > 100 || providers.count > BH_PROVIDERS_MAX)
            abort();
        if (found)
            bh_provider_print(&out, found, &record, BH_STR("customer.example"));
    }
    bh_buf_free(&out);
    bh_arena_free(arena);
    return 0;
}
