/* policies.h: the MTA-STS policies of the world (RFC 8461): fetched for the sender, kept in transport.db until they
 * expire, fetched anew every day. A policy once seen holds until it expires, whatever DNS says since; a newer one
 * replaces it. What could not be fetched is not tried again for five minutes. */
#ifndef BH_STEWARD_POLICIES_H
#define BH_STEWARD_POLICIES_H

#include "io/http.h"
#include "roles/role.h"
#include "store/store.h"

struct bh_policies {
    struct bh_role *role;
    struct bh_store *store;
    struct bh_http *http;
    uint16_t port; /* of https; 0: 443 */
    struct bh_list fetches;
    size_t fetch_count;
    struct bh_map failed; /* domains whose fetch failed lately */
    struct bh_list failed_order;
    struct bh_timer refresh;
};

/* Prepares the rest of a struct whose first members are filled in. */
BH_MUST bh_err bh_policies_start(struct bh_policies *policies);
void bh_policies_stop(struct bh_policies *policies);
/* STS from a sender; answered at once or when the fetch is over. */
BH_MUST bh_err bh_policies_ask(struct bh_policies *policies, struct bh_peer *peer,
                               const struct bh_ipc_message *message);

#endif
