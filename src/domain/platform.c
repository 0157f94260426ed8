/* platform.c: see platform.h. */
#include "platform.h"
#include "networks.h"

static void add_addresses(const struct bh_platform *platform, struct bh_buf *out)
{
    for (size_t i = 0; i < platform->egress_count; i++) {
        struct bh_network network;

        bh_buf_char(out, ' ');
        if (bh_network_parse(platform->egress[i], &network) == BH_OK)
            bh_network_print_term(out, &network);
    }
}

void bh_platform_spf(const struct bh_platform *platform, struct bh_buf *out)
{
    size_t from = out->n;

    bh_buf_add(out, BH_STR("v=spf1"));
    add_addresses(platform, out);
    if (out->n - from + 5 > BH_SPF_TEXT_MAX && platform->spf_include_count) {
        bh_buf_truncate(out, from);
        bh_buf_add(out, BH_STR("v=spf1"));
        for (size_t i = 0; i < platform->spf_include_count; i++)
            bh_buf_printf(out, " include:%.*s", BH_FMT(platform->spf_includes[i]));
    }
    bh_buf_add(out, BH_STR(" ~all"));
}

bh_str bh_platform_target(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_token *token,
                          bh_str kind)
{
    return bh_arena_printf(arena, "%s.%s.%.*s.%.*s", token->id, token->shard, BH_FMT(kind), BH_FMT(platform->domain));
}

bh_str bh_platform_rua(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_token *token)
{
    return bh_arena_printf(arena, "mailto:%s@rua.%.*s", token->id, BH_FMT(platform->domain));
}
