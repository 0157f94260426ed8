/* backup.h: a consistent copy of an open database, made a piece at a time by its owner on the connection that it works
 * with: writes between two pieces are in the copy, too, which is of the moment when it is complete. */
#ifndef BH_STORE_BACKUP_H
#define BH_STORE_BACKUP_H

#include "store.h"

struct bh_store_backup;

/* Begins a copy to the file at `path`, which is replaced; mode 0600. The store outlives the result, which the caller
 * frees. BH_E_IO, BH_E_NOMEM. */
BH_MUST bh_err bh_store_backup_begin(struct bh_store *store, const char *path, struct bh_store_backup **ret_backup);
/* Copies some pages: BH_MORE, BH_DONE when everything is on the disk, or an error. Not inside a transaction. */
BH_MUST bh_err bh_store_backup_step(struct bh_store_backup *backup, int pages);
/* NULL is fine. What is not complete is removed. */
void bh_store_backup_free(struct bh_store_backup *backup);

#endif
