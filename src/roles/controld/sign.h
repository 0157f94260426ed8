/* sign.h: signing the zones that are built, with keys that only keyd can open.
 *
 * A zone is signed by collecting what has to be signed and asking the store for the signatures of last time: what did
 * not change is there. Is anything missing, keyd is asked for it in batches and nothing is published (BH_E_AGAIN); when
 * all signatures are there they are stored and the zone is marked as old, built once more and now complete. So the
 * only state is the store and what is under way, and a zone is never served half signed. */
#ifndef BH_CONTROLD_SIGN_H
#define BH_CONTROLD_SIGN_H

#include "core.h"
#include "domain/dnssec.h"

/* What a zone is made from: publish.c marks it as old with these. */
struct bh_zone_source {
    unsigned kind;
    int64_t domain;
    bh_str name;
};

/* Whose keys: the domain whose row they belong to. `dnssec` was read with the sealed keys. */
struct bh_zone_owner {
    int64_t domain;
    uint32_t customer_id;
    bh_str name;
    const struct bh_dnssec *dnssec;
};

/* Replaces the zone's records by the signed ones, in its arena, its serial being right. BH_E_AGAIN: signatures are on
 * their way; bh_publish_mark(source) is called when they are there. BH_E_CLOSED: keyd cannot be asked; the zone is
 * marked again when it is there. Else the zone cannot be signed. */
BH_MUST bh_err bh_sign_zone(struct bh_controld *core, struct bh_zone *zone, const struct bh_zone_source *source,
                            const struct bh_zone_owner *owner);
/* keyd is there: what waited for it is built again. */
void bh_sign_retry(struct bh_controld *core);
void bh_sign_free(struct bh_controld *core);

#endif
