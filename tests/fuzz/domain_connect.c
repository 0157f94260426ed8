/* Any bytes are a DNS provider's settings, or its TXT record: what is taken holds no byte that could end a link. */
#include "domain/connect.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(bh_str url)
{
    if (url.n && !bh_str_starts(url, BH_STR("https:/")))
        abort();
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] >= 0x7f || url.p[i] == '"')
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bh_arena *arena = bh_arena_new(1 << 20);
    bh_str text = bh_str_of((const char *)data, size);
    struct bh_connect_settings settings;

    if (bh_connect_settings_read(arena, text, &settings) == BH_OK) {
        check_url(settings.url_sync);
        check_url(settings.url_api);
        check_url(settings.url_control_panel);
        if (!settings.provider_id.n)
            abort();
    }
    if (bh_connect_is_prefix(text) && (bh_str_find(text, '@') < text.n || bh_str_find(text, '?') < text.n))
        abort();
    bh_arena_free(arena);
    return 0;
}
