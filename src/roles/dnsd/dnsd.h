/* dnsd.h: the state of the role dnsd. */
#ifndef BH_ROLES_DNSD_DNSD_H
#define BH_ROLES_DNSD_DNSD_H

#include "dns_server.h"
#include "roles/role.h"
#include "zones_in.h"

enum { BH_DNSD_KEYS_MAX = 16, BH_DNSD_NOTIFIERS_MAX = 4 };

/* A socket of master's that waits for the zones. */
struct bh_held_socket {
    struct bh_list node;
    int fd;
    bool datagram;
};

struct bh_dnsd {
    struct bh_dns_follower follower;
    struct bh_zones_in zones_in;
    struct bh_dns_server *server;
    bool serving;                                  /* zones have come */
    struct bh_list held;                           /* of bh_held_socket, until then */
    struct bh_dns_tsig_key keys[BH_DNSD_KEYS_MAX]; /* from files, until bh_follow_configure takes them */
    size_t key_count;
    int notifiers[BH_DNSD_NOTIFIERS_MAX]; /* likewise */
    size_t notifier_count;
    struct bh_dns_name catalog; /* n = 0: none */
    uint32_t serial;            /* of the last change */
};

/* ---- tell.c ---- */

bh_err bh_tell_stats(struct bh_dnsd *dnsd, struct bh_peer *peer, const struct bh_ipc_message *message);
/* Logs the query; `ctx` is the role. */
void bh_tell_sample(void *ctx, const struct bh_dns_sample *sample);

/* ---- follow.c: secondaries ---- */

/* A file that master hands over: "tsig-key" or "notifier". Takes over `fd`. */
bh_err bh_follow_file(struct bh_role *role, struct bh_dnsd *dnsd, bh_str purpose, int fd);
/* Takes the files that have come and the configuration in place of those before. */
bh_err bh_follow_configure(struct bh_role *role, struct bh_dnsd *dnsd);
/* Serves what is staged, the catalog too, and has secondaries told what is new in it. */
bh_err bh_follow_commit(struct bh_dnsd *dnsd, bool whole, uint32_t serial);

#endif
