/* platform.c: see platform.h. */
#include "platform.h"

void bh_platform_spf(const struct bh_platform *platform, struct bh_buf *out)
{
    bh_buf_add(out, BH_STR("v=spf1"));
    for (size_t i = 0; i < platform->egress_count; i++) {
        bh_str address = platform->egress[i];
        bool is_v6 = bh_str_find(address, ':') < address.n;

        bh_buf_printf(out, " %s:%.*s", is_v6 ? "ip6" : "ip4", BH_FMT(address));
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
