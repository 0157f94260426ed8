/* snapshot.h: a role copies its database for `behalf backup`, beside it, while it goes on with its work. */
#ifndef BH_ROLES_SNAPSHOT_H
#define BH_ROLES_SNAPSHOT_H

#include "io/loop.h"
#include "store/backup.h"

/* Zeroed before its first use. */
struct bh_snapshot {
    struct bh_store_backup *backup; /* NULL: none is under way */
    struct bh_timer timer;
    bool has_timer;
    void (*done)(void *ctx, bh_err err);
    void *ctx;
};

/* `done` is called later, once. BH_E_BUSY: one is under way; BH_E_IO, BH_E_NOMEM. */
BH_MUST bh_err bh_snapshot_begin(struct bh_snapshot *snapshot, struct bh_loop *loop, struct bh_store *store,
                                 const char *path, void (*done)(void *ctx, bh_err err), void *ctx);
/* Before the store is closed; `done` is not called any more. */
void bh_snapshot_free(struct bh_snapshot *snapshot);

#endif
