/* explain.h: `behalf message explain ID`. */
#ifndef BH_CLI_EXPLAIN_H
#define BH_CLI_EXPLAIN_H

#include "cli.h"

/* Prints the message's life in words, with --json what it is told from. Returns the exit status. */
int bh_explain(const struct bh_cli *cli, const char *id);

#endif
