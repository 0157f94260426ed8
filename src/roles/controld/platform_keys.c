/* platform_keys.c: keys of the platform's own domain. It is made without keyd, at the first start, so its keys come
 * later: one after the other, each stored when it is there; what is missing after a restart is made then. */
#include "core.h"
#include "domain/approach.h"
#include "domain/key.h"
#include "keys.h"

enum { ARENA_BYTES = 1 << 20 };

struct making {
    struct bh_controld *core;
    struct bh_arena *arena;
    struct bh_domain_view view;
    struct bh_key key;
};

static void end_making(struct making *making, bh_err err)
{
    struct bh_controld *core = making->core;

    if (err)
        core->out->log(core->out_ctx, BH_LOG_WARN, "the platform's own domain has no key yet",
                       bh_str_c(bh_err_text(err)));
    core->making_keys = false;
    bh_arena_free(making->arena); /* holds `making`, too */
}

static bh_err store_key(struct making *making, const struct bh_msg_key_reply *reply)
{
    bool damaged;
    int64_t id;
    bh_err err;

    if (!reply->ok)
        return BH_E_CRYPTO;
    err = bh_key_record_public(making->arena, reply->public_record, &making->key.public_b64, &damaged);
    if (err)
        return err;
    making->key.kind = (enum bh_key_kind)reply->algorithm;
    making->key.sealed = reply->sealed;
    err = bh_key_insert(making->core->store, making->view.domain.id, &making->key, &id);
    if (!err)
        bh_key_tell(making->core, &making->view.domain, &making->key, BH_STR("of the platform itself"));
    return err;
}

static void on_key(void *ctx, bh_err err, const struct bh_msg_key_reply *reply)
{
    struct making *making = ctx;
    struct bh_controld *core = making->core;

    if (!err)
        err = store_key(making, reply);
    if (!err) {
        bh_publish_platform(core);
        bh_controld_changed(core);
    }
    end_making(making, err);
    if (!err)
        bh_controld_need_keys(core);
}

static bh_err order(struct making *making)
{
    struct bh_controld *core = making->core;
    struct bh_domain *domain = &making->view.domain;
    unsigned index = (unsigned)making->view.key_count;
    struct bh_key_order order = {
        .algorithm = BH_KEY_RSA2048, .customer_id = (uint32_t)domain->customer_id, .domain = domain->name, .fd = -1};

    making->key = (struct bh_key){.id = (int64_t)core->next_key_id++,
                                  .selector = bh_key_selector(making->arena, &domain->labels, index),
                                  .state = bh_key_initial_state(index),
                                  .created_at = bh_controld_now(core)};
    order.key_id = (uint64_t)making->key.id;
    order.selector = making->key.selector;
    return core->out->make_key(core->out_ctx, &order, on_key, making);
}

void bh_controld_need_keys(struct bh_controld *core)
{
    struct bh_arena *arena = core->making_keys ? NULL : bh_arena_new(ARENA_BYTES);
    struct making *making = arena ? bh_arena_alloc(arena, sizeof(*making)) : NULL;
    struct bh_domain own;
    bh_err err;

    if (!making) {
        bh_arena_free(arena);
        return;
    }
    *making = (struct making){.core = core, .arena = arena};
    core->making_keys = true;
    err = bh_domain_by_name(core->store, arena, core->platform.domain, 0, &own);
    if (!err)
        err = bh_controld_view(core, arena, own.id, false, &making->view);
    if (!err && making->view.key_count >= bh_approach_platform.keys_at_start) {
        end_making(making, BH_OK);
        return;
    }
    if (!err)
        err = order(making);
    if (err)
        end_making(making, err);
}
