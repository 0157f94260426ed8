/* internal.h: what the files of master share: the table of roles, the children, and the links between them. */
#ifndef BH_ROLES_MASTER_INTERNAL_H
#define BH_ROLES_MASTER_INTERNAL_H

#include "base/log.h"
#include "io/ipc.h"
#include "io/loop.h"
#include "roles/config.h"
#include "roles/messages.h"
#include <sys/types.h>

enum { BH_CHILDREN_MAX = 256 };

/* What a role may do; filter.c turns it into a seccomp list, confine.c into landlock paths. */
struct bh_role_rights {
    enum bh_role_kind kind;
    bool talks;         /* on sockets to the world */
    bool accepts;       /* connections of a listener that master bound */
    bool opens_sockets; /* TCP and UDP: connect, bind */
    bool opens_files;   /* to read; to write too in its directory */
    bool syncs_files;   /* that others opened for it */
    bool alarms;        /* sets itself a time to die */
    bool threads;
    const char *directory; /* below state-dir, its own; NULL = none */
    unsigned drain_stage;  /* 0 is told to drain first */
};

const struct bh_role_rights *bh_rights_of(enum bh_role_kind kind);

enum bh_child_state { BH_CHILD_DOWN, BH_CHILD_STARTING, BH_CHILD_READY, BH_CHILD_DRAINING };

struct bh_master;

struct bh_child {
    struct bh_master *master;
    enum bh_role_kind kind;
    uint32_t instance;
    enum bh_child_state state;
    pid_t pid; /* 0 = not running */
    struct bh_ipc ipc;
    struct bh_watch watch;
    struct bh_deferred flush;
    bool said_hello;
    struct bh_timer restart;
    unsigned failures; /* in a row; reset after a minute of health */
    bh_time_ms started_at;
};

struct bh_bound {
    size_t listener; /* index in the configuration */
    uint32_t instance;
    bool datagram;
    int fd;
};

struct bh_master {
    struct bh_loop *loop;
    struct bh_log log;
    const char *config_path;
    char role_dir[4096];
    struct bh_config *config;
    struct bh_buf config_bytes;
    struct bh_child children[BH_CHILDREN_MAX];
    size_t child_count;
    struct bh_bound *bound;
    size_t bound_count;
    int control_fd;
    int lock_fd;
    bool as_root;
    bool announced;
    bool stopping;
    bool failed; /* exit status 1 */
    unsigned drain_stage;
    struct bh_timer drain_limit;
};

/* child.c */
void bh_child_init(struct bh_child *child, struct bh_master *master, enum bh_role_kind kind, uint32_t instance);
bh_err bh_child_start(struct bh_child *child);
void bh_child_exited(struct bh_child *child, int status);
void bh_child_send(struct bh_child *child, uint16_t type, bh_str body, int fd);
void bh_child_send_files(struct bh_child *child);
void bh_child_kill(struct bh_child *child, int signal_number);

/* master.c: ends `serve` with status 1: a role cannot start. */
void bh_master_give_up(struct bh_master *master);

/* wiring.c: connects `child` with every ready role that it may talk to; both get one end of a new socket pair. */
void bh_wire(struct bh_child *child);
/* One link again, after either side lost it. */
void bh_wire_pair(struct bh_child *child, enum bh_role_kind kind, uint32_t instance);

/* sockets.c: binds everything that the configuration names. Problems are logged, with what to do. */
bh_err bh_bind_all(struct bh_master *master);
bh_err bh_bind_control(struct bh_master *master);
/* A UDP socket on the address of the first DNS listener of this family, on any port; -1 where there is none. */
int bh_bind_notifier(struct bh_master *master, int family);

/* confine.c */
bh_err bh_make_directories(struct bh_master *master);
/* The uid and gid of a role; 0 and 0 when not started as root. */
bh_err bh_role_ids(const struct bh_master *master, enum bh_role_kind kind, uid_t *ret_uid, gid_t *ret_gid);
/* filter.c: the seccomp program of a role as bytes, for the process `pid`; empty in sanitizer builds. */
bh_err bh_make_filter(const struct bh_role_rights *rights, pid_t pid, struct bh_buf *out);
/* For bh_sandbox_paths. */
void bh_make_paths(const struct bh_master *master, const struct bh_role_rights *rights, struct bh_buf *out);
/* What protection this start does without, for the start-up line; empty = none. */
void bh_lost_protection(const struct bh_master *master, struct bh_buf *out);

/* notify.c: systemd's notify protocol; nothing happens without $NOTIFY_SOCKET. */
void bh_notify(const char *text);

#endif
