/* ask.c: see ask.h. */
#include "ask.h"

struct asking {
    struct bh_arena *arena;
    size_t open;
    bool starting; /* answers may come at once: the last one calls `done` only after all are asked */
    bh_asked *done;
    void *ctx;
};

struct one {
    struct asking *asking;
    struct bh_seen *seen;
};

static void finish_one(struct asking *asking)
{
    if (--asking->open == 0 && !asking->starting)
        asking->done(asking->ctx);
}

static void on_answer(void *ctx, bh_err err, const struct bh_msg_dns_ask_reply *reply)
{
    struct one *one = ctx;

    if (!err)
        err = bh_seen_merge(one->asking->arena, reply->views, one->seen);
    if (err || !one->seen->servers) {
        one->seen->status = BH_DNS_TEMPFAIL;
        one->seen->why = err ? bh_str_c(bh_err_text(err)) : BH_STR("no name server could be found");
    }
    finish_one(one->asking);
}

static void ask_one(struct bh_controld *core, struct asking *asking, struct one *one, struct bh_seen *seen)
{
    struct bh_msg_dns_ask message = {seen->name, seen->type, seen->direct};

    *one = (struct one){asking, seen};
    asking->open++;
    if (core->out->ask_dns(core->out_ctx, &message, on_answer, one)) {
        seen->status = BH_DNS_TEMPFAIL;
        seen->why = BH_STR("the steward is not running");
        asking->open--;
    }
}

bh_err bh_ask_all(struct bh_controld *core, struct bh_arena *arena, struct bh_seen *seen, size_t count, bh_asked *done,
                  void *ctx)
{
    struct asking *asking = bh_arena_alloc(arena, sizeof(*asking));
    struct one *ones = bh_arena_array(arena, count + 1, sizeof(*ones));

    if (!asking || !ones)
        return BH_E_NOMEM;
    *asking = (struct asking){.arena = arena, .starting = true, .done = done, .ctx = ctx};
    for (size_t i = 0; i < count; i++)
        ask_one(core, asking, &ones[i], &seen[i]);
    asking->starting = false;
    if (!asking->open)
        done(ctx);
    return BH_OK;
}
