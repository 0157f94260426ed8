/* api.h: commands that webd gives in the name of a token. */
#ifndef BH_CONTROLD_API_H
#define BH_CONTROLD_API_H

#include "core.h"
#include "roles/role.h"

enum { BH_CONTROL_API_MAX = 1024 }; /* commands under way */

struct bh_control_api {
    struct bh_controld *core;
    struct bh_list running;
    size_t count;
};

void bh_control_api_init(struct bh_control_api *api, struct bh_controld *core);
/* One API_COMMAND. An error closes the peer. */
BH_MUST bh_err bh_control_api_take(struct bh_control_api *api, struct bh_peer *peer,
                                   const struct bh_ipc_message *message);
/* The connection is gone: what it asked is done, but not answered. */
void bh_control_api_peer_down(struct bh_control_api *api, const struct bh_peer *peer);

#endif
