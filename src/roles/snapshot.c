/* snapshot.c: see snapshot.h. */
#include "snapshot.h"

/* Half a MiB a turn: the loop is never held up for longer than by a commit. */
enum { PAGES = 64, TURN_MS = 1 };

static void on_turn(void *ctx)
{
    struct bh_snapshot *snapshot = ctx;
    bh_err err = bh_store_backup_step(snapshot->backup, PAGES);

    if (err == BH_MORE) {
        bh_timer_set(&snapshot->timer, TURN_MS);
        return;
    }
    bh_store_backup_free(snapshot->backup);
    snapshot->backup = NULL;
    snapshot->done(snapshot->ctx, err == BH_DONE ? BH_OK : err);
}

bh_err bh_snapshot_begin(struct bh_snapshot *snapshot, struct bh_loop *loop, struct bh_store *store, const char *path,
                         void (*done)(void *ctx, bh_err err), void *ctx)
{
    bh_err err = snapshot->backup ? BH_E_BUSY : BH_OK;

    if (!err && !snapshot->has_timer)
        err = bh_timer_init(loop, &snapshot->timer, on_turn, snapshot);
    if (err)
        return err;
    snapshot->has_timer = true;
    err = bh_store_backup_begin(store, path, &snapshot->backup);
    if (err)
        return err;
    snapshot->done = done;
    snapshot->ctx = ctx;
    bh_timer_set(&snapshot->timer, TURN_MS);
    return BH_OK;
}

void bh_snapshot_free(struct bh_snapshot *snapshot)
{
    bh_store_backup_free(snapshot->backup);
    snapshot->backup = NULL;
    if (snapshot->has_timer)
        bh_timer_free(&snapshot->timer);
    snapshot->has_timer = false;
}
