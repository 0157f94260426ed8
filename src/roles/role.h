/* role.h: what every role process is made of: started by master, given a configuration, connected to its peers.
 *
 * A role is a table of functions. bh_role_main does the rest: it says HELLO to master on descriptor 3, reads START,
 * locks itself in (sandbox.h), calls `start`, says READY, and then lives on the loop:
 *   - each connection to a peer (another role) is a struct bh_peer; `peer_up` when it is there and both sides have said
 *     HELLO with the same build, `peer_down` when it is gone; master connects again when the other role is restarted;
 *   - requests with replies go through bh_peer_call; what comes in unasked goes to `message`;
 *   - a role whose master is gone ends by itself: `stop`, then exit.
 * keyd alone does without this file: it has no event loop (see keyd/main.c). */
#ifndef BH_ROLES_ROLE_H
#define BH_ROLES_ROLE_H

#include "base/log.h"
#include "base/map.h"
#include "io/ipc.h"
#include "io/loop.h"
#include "roles/config.h"
#include "roles/messages.h"

struct bh_role;
struct bh_peer;
struct bh_call;

/* A reply, or err: BH_E_CLOSED (the peer went away before it answered), BH_E_TIMEOUT. `reply` is NULL on error. */
typedef void bh_call_done(void *ctx, bh_err err, struct bh_ipc_message *reply);

struct bh_role_ops {
    enum bh_role_kind kind;
    /* Opens databases, makes state (role->state). After it the role is READY. BH_OK or the process ends. */
    bh_err (*start)(struct bh_role *role);
    void (*peer_up)(struct bh_role *role, struct bh_peer *peer);
    /* After all its calls were ended with BH_E_CLOSED. The peer object lives on; it may come up again. */
    void (*peer_down)(struct bh_role *role, struct bh_peer *peer);
    /* Anything but a reply. An error (class PEER or BUG) closes that peer, master restarts or reconnects it. */
    bh_err (*message)(struct bh_role *role, struct bh_peer *peer, struct bh_ipc_message *message);
    /* A bound socket from master, owned by the role from now on; `listener` is in role->config. */
    bh_err (*listener)(struct bh_role *role, const struct bh_listener *listener, int fd, bool datagram);
    /* An opened file from master (a TLS key …); owned by the role. Comes before start, and again at a reload. */
    bh_err (*file)(struct bh_role *role, bh_str purpose, int fd);
    /* role->config is new. */
    void (*reload)(struct bh_role *role);
    /* Take nothing new, finish what is in hand, then call bh_role_stop. NULL: stops at once. */
    void (*drain)(struct bh_role *role);
    /* Last call before the process ends; closes databases. NULL: nothing to do. */
    void (*stop)(struct bh_role *role);
};

struct bh_role {
    const struct bh_role_ops *ops;
    uint32_t instance;
    struct bh_loop *loop;
    struct bh_log log;
    const struct bh_config *config; /* replaced as a whole by a reload */
    uint64_t map_seed[2];           /* for bh_map_init */
    void *state;                    /* the role's own */
    struct bh_peer *peers;          /* all known, linked by next_peer */
    struct bh_role_private *private;
};

struct bh_peer {
    struct bh_role *role;
    enum bh_role_kind kind;
    uint32_t instance;
    bool up;
    void *state; /* the role's own, per peer */
    struct bh_peer *next_peer;
    /* private */
    struct bh_ipc ipc;
    struct bh_watch watch;
    struct bh_deferred flush;
    struct bh_map calls;
    uint32_t next_id;
    bool said_hello;
};

/* The whole life of a role; returns the exit status. argv is only for the process's title. */
int bh_role_main(const struct bh_role_ops *ops);
/* Ends the loop after this turn. Exit status 0. */
void bh_role_stop(struct bh_role *role);

/* The peer of that kind and instance, up or not; NULL if never seen. */
struct bh_peer *bh_role_peer(struct bh_role *role, enum bh_role_kind kind, uint32_t instance);
/* One peer of that kind that is up, taken in turn; NULL if none is. */
struct bh_peer *bh_role_any_peer(struct bh_role *role, enum bh_role_kind kind);

/* Sends; written at the end of the loop turn together with all else that was sent. Failing means that the peer is down
 * or does not take what it is sent (it is closed then). */
BH_MUST bh_err bh_peer_send(struct bh_peer *peer, uint16_t type, uint32_t id, bh_str body, const int *fds,
                            size_t fd_count);
/* In place: append the body to *bh_peer_begin(peer, &frame) with bh_msg_…_put, then bh_peer_end. NULL: peer is down. */
struct bh_buf *bh_peer_begin(struct bh_peer *peer, size_t *ret_frame);
BH_MUST bh_err bh_peer_end(struct bh_peer *peer, size_t frame, uint16_t type, uint32_t id);

/* Put a message and send it: BH_PEER_SEND(peer, RESULT, 0, result, &result). */
#define BH_PEER_SEND(peer, TYPE, id, name, message)                                                                    \
    ({                                                                                                                 \
        size_t frame_;                                                                                                 \
        struct bh_buf *out_ = bh_peer_begin((peer), &frame_);                                                          \
        if (out_)                                                                                                      \
            bh_msg_##name##_put(out_, (message));                                                                      \
        out_ ? bh_peer_end((peer), frame_, BH_MSG_##TYPE, (id)) : BH_E_CLOSED;                                         \
    })

/* A request: `done` is called exactly once, never before this returns, with the reply or an error after timeout_ms (0:
 * no time-out), unless it is cancelled. An error here: nothing was sent and `done` is not called. */
BH_MUST bh_err bh_peer_call(struct bh_peer *peer, uint16_t type, bh_str body, const int *fds, size_t fd_count,
                            int64_t timeout_ms, bh_call_done *done, void *ctx, struct bh_call **ret_call);
/* `done` will not be called. NULL is fine. */
void bh_call_cancel(struct bh_call *call);
/* Like BH_PEER_SEND; the body is encoded in a scratch buffer first. ret_call may be NULL. */
#define BH_PEER_CALL(peer, TYPE, name, message, timeout_ms, done, ctx, ret_call)                                       \
    ({                                                                                                                 \
        struct bh_buf body_ = bh_buf_make(BH_IPC_BODY_MAX);                                                            \
        bh_msg_##name##_put(&body_, (message));                                                                        \
        bh_err err_ = bh_buf_err(&body_);                                                                              \
        if (!err_)                                                                                                     \
            err_ = bh_peer_call((peer), BH_MSG_##TYPE, bh_buf_view(&body_), NULL, 0, (timeout_ms), (done), (ctx),      \
                                (ret_call));                                                                           \
        bh_buf_free(&body_);                                                                                           \
        err_;                                                                                                          \
    })

/* Appends a file that the role may read (its `paths`): roots of trust. BH_E_IO, BH_E_LIMIT, BH_E_NOMEM. */
BH_MUST bh_err bh_role_read_file(bh_str path, struct bh_buf *out);

/* Asks master to hand keyd the file of the master secret again; controld's to ask. */
BH_MUST bh_err bh_role_secret_again(struct bh_role *role);

/* Closes the connection, as if the peer had gone; master is told and makes a new one. */
void bh_peer_close(struct bh_peer *peer, const char *why);

#endif
