/* dkim_import.h: the one verb of `behalf dkim` that needs the daemon. */
#ifndef BH_CLI_DKIM_IMPORT_H
#define BH_CLI_DKIM_IMPORT_H

#include "cli.h"

/* `customer` may be NULL. Returns the exit status. */
int bh_cli_dkim_import(const struct bh_cli *cli, const char *domain, const char *customer, const char *selector,
                       const char *path);

#endif
