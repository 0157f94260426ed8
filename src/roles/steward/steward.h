/* steward.h: what the files of this role share. */
#ifndef BH_ROLES_STEWARD_STEWARD_H
#define BH_ROLES_STEWARD_STEWARD_H

#include "base/list.h"
#include "io/http.h"
#include "mail/verp.h"
#include "policies.h"
#include "roles/role.h"
#include "roles/role_resolver.h"
#include "roles/snapshot.h"
#include "tls_reports.h"
#include "walk.h"

struct steward {
    struct bh_role *role;
    struct bh_psl *psl;
    struct bh_unbound_resolver *unbound;
    struct bh_walker walker;
    size_t running;
    struct bh_store *transport; /* transport.db */
    struct bh_http *http;
    struct bh_snapshot snapshot; /* of transport.db, for the request of that number */
    uint32_t backup_request;
    struct bh_policies policies;
    struct bh_tls_reports tls_reports;
    /* mail to ourselves: mail.c */
    struct bh_list leases;
    struct bh_verp_key *ring_keys;
    struct bh_verp_ring ring; /* empty until keyd gave it */
};

/* mail.c */
void steward_mail_init(struct steward *steward);
void steward_mail_free(struct steward *steward);
/* queued has come up: it is told what we take. */
void steward_mail_begin(struct steward *steward, struct bh_peer *queued);
/* queued is gone: it gives the same again, later. */
void steward_mail_drop(struct steward *steward);
/* DELIVER and RESULT_ACK of queued, SUBKEYS of keyd. */
BH_MUST bh_err steward_mail_message(struct steward *steward, struct bh_peer *peer, struct bh_ipc_message *message);

#endif
