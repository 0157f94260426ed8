/* domain_life.h: the verbs of `behalf domain` that are about a domain's life: waiting for a check, history, canaries,
 * its own records in a delegated zone, removal. */
#ifndef BH_CLI_DOMAIN_LIFE_H
#define BH_CLI_DOMAIN_LIFE_H

#include "cli.h"

/* True when argv (of the noun `domain`) is one of these. */
bool bh_cli_is_domain_life(int argc, char **argv);
bh_cli_run bh_cli_domain_life;

#endif
