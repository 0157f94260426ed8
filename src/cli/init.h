/* init.h: what works without a daemon on the state directory: parts of `init` and `migrate` that `restore` needs, too.
 */
#ifndef BH_CLI_INIT_H
#define BH_CLI_INIT_H

#include "cli.h"

enum { BH_STATE_DIR_BYTES = 2048 };

/* The state directory of the configuration; the exit status, after saying what is wrong. */
int bh_state_dir(const struct bh_cli *cli, char path[BH_STATE_DIR_BYTES]);
/* Held until the process ends: master holds the same lock while it runs. False after saying so. */
bool bh_state_lock(const char *noun, const char *state_dir);
/* Brings the databases below `state_dir` to this build's version; the exit status. */
int bh_state_migrate(const char *noun, const char *state_dir);
/* Makes a directory unless it is there. False after saying why not. */
bool bh_state_folder(const char *noun, const char *path, mode_t mode);

#endif
