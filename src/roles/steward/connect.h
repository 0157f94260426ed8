/* connect.h: asking a DNS provider for its Domain Connect settings and whether it has our template: strangers' HTTPS
 * servers, named by strangers' DNS. */
#ifndef BH_STEWARD_CONNECT_H
#define BH_STEWARD_CONNECT_H

#include "io/http.h"
#include "roles/role.h"

/* CONNECT of controld; answered later. `any_address`: also such that are not public. */
BH_MUST bh_err bh_connect_ask(struct bh_role *role, struct bh_http *http, bool any_address, struct bh_peer *peer,
                              const struct bh_ipc_message *message);

#endif
