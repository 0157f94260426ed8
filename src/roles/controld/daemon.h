/* daemon.h: controld's process: what main.c and calls.c share. */
#ifndef BH_CONTROLD_DAEMON_H
#define BH_CONTROLD_DAEMON_H

#include "api.h"
#include "core.h"
#include "roles/role.h"
#include "roles/snapshot.h"
#include "socket.h"

enum {
    KEY_TIMEOUT_MS = 60 * 1000,
    DNS_TIMEOUT_MS = 60 * 1000,
    QUEUE_TIMEOUT_MS = 30 * 1000,
    INLINE_BODY_MAX = 64 * 1024,
    ZONE_PART_BYTES = 256 * 1024,
    LOOKUP_ARENA_BYTES = 4 << 20,
    SIGN_TIMEOUT_MS = 60 * 1000,
    DNSDS_MAX = 64
};

struct controld {
    struct bh_role *role;
    struct bh_controld core;
    struct bh_psl *psl;
    struct bh_platform_ns *ns; /* of core.platform */
    struct bh_control_socket *socket;
    struct bh_control_api api;
    int socket_fd; /* -1 once the socket object has it */
    struct bh_timer wake;
    struct bh_timer zone_keys;
    bh_time_ms zone_keys_at; /* when the timer is set for; 0: not */
    struct {
        uint64_t sent, served; /* commits since it came up */
    } dnsds[DNSDS_MAX];
    struct bh_timer keys_wake;
    struct bh_timer reseal_wake;
    struct bh_snapshot snapshot;
    bh_time_ms keys_wake_at; /* 0: not ordered */
    struct bh_deferred settle;
    struct bh_arena *scratch; /* of one look-up */
};

/* ---- calls.c: orders that another role answers; members of struct bh_controld_out ---- */

bh_err controld_make_key(void *ctx, const struct bh_key_order *order, bh_key_done *done, void *done_ctx);
bh_err controld_reseal(void *ctx, const struct bh_msg_key_reseal *message, bh_key_done *done, void *done_ctx);
bh_err controld_snapshot(void *ctx, enum bh_role_kind whose, bh_told *done, void *done_ctx);
bh_err controld_secret_again(void *ctx);
bh_err controld_ask_dns(void *ctx, const struct bh_msg_dns_ask *ask, bh_dns_asked *done, void *done_ctx);
bh_err controld_ask_connect(void *ctx, const struct bh_msg_connect *ask, bh_connect_asked *done, void *done_ctx);
bh_err controld_sign_zone(void *ctx, const struct bh_msg_zone_sign *message, bh_zone_signed *done, void *done_ctx);
bh_err controld_key_use(void *ctx, uint64_t key, bh_key_used *done, void *done_ctx);
bh_err controld_revoke_keys(void *ctx, const uint64_t *ids, size_t count, bh_told *done, void *done_ctx);
bh_err controld_dns_stats(void *ctx, uint32_t limit, bh_dns_counted *done, void *done_ctx);
bh_err controld_ask_queue(void *ctx, bh_str json, bh_json_done *done, void *done_ctx);
bh_err controld_submit(void *ctx, const struct bh_msg_submit *message, int fd, bh_submit_done *done, void *done_ctx);
bh_err controld_tell_events(void *ctx, bh_str events, bh_told *done, void *done_ctx);

/* main.c */
bh_err controld_tell_version(struct bh_peer *peer, uint64_t version);

#endif
