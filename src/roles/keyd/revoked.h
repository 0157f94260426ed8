/* revoked.h: the keys that keyd signs with no more, whatever grant comes: controld says which, at connection and at
 * each revocation. Until it has, nothing is signed: a restarted keyd cannot know what was ordered before. */
#ifndef BH_ROLES_KEYD_REVOKED_H
#define BH_ROLES_KEYD_REVOKED_H

#include "roles/messages.h"

struct bh_revoked {
    uint64_t *ids; /* ascending */
    size_t count;
    bool known;
};

/* Replaces the list by that of KEYS_REVOKED. BH_E_SYNTAX, BH_E_NOMEM: it stays as it was. */
BH_MUST bh_err bh_revoked_set(struct bh_revoked *revoked, bh_str list);
bool bh_revoked_has(const struct bh_revoked *revoked, uint64_t key_id);
void bh_revoked_free(struct bh_revoked *revoked);

#endif
