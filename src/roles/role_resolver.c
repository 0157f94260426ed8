/* role_resolver.c: see role_resolver.h. Texts of the configuration have a NUL behind them (config.c copies them so). */
#include "role_resolver.h"
#include <unistd.h>

enum { STUBS_MAX = 256, FORWARDS_MAX = 16 };

static const char *readable(bh_str path)
{
    return path.n && access(path.p, R_OK) == 0 ? path.p : NULL;
}

bh_err bh_role_resolver_new(struct bh_role *role, struct bh_unbound_resolver **ret_resolver)
{
    const struct bh_config *c = role->config;
    struct bh_unbound_stub stubs[STUBS_MAX];
    const char *forwards[FORWARDS_MAX];
    struct bh_unbound_config config = {.mode = c->resolver_mode == BH_RESOLVE_FORWARD ? BH_UNBOUND_FORWARD
                                                                                      : BH_UNBOUND_RECURSIVE,
                                       .forwards = forwards,
                                       .stubs = stubs,
                                       .root_hints = readable(c->root_hints),
                                       .trust_anchor = readable(c->trust_anchor),
                                       .event_base = bh_loop_base(role->loop)};
    const char *why = NULL;
    bh_err err;

    for (size_t i = 0; i < c->forward_count && config.forward_count < FORWARDS_MAX; i++)
        forwards[config.forward_count++] = c->forwards[i].p;
    for (size_t i = 0; i < c->stub_count; i++)
        for (size_t k = 0; k < c->stubs[i].address_count && config.stub_count < STUBS_MAX; k++)
            stubs[config.stub_count++] = (struct bh_unbound_stub){c->stubs[i].zone.p, c->stubs[i].addresses[k].p, true};
    err = bh_unbound_resolver_new(&config, ret_resolver, &why);
    if (err)
        bh_logf(&role->log, BH_LOG_ERROR, "cannot make the resolver: %s", why ? why : bh_err_text(err));
    return err;
}
