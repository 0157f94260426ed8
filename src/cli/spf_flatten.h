/* spf_flatten.h: `behalf spf flatten …`. */
#ifndef BH_CLI_SPF_FLATTEN_H
#define BH_CLI_SPF_FLATTEN_H

#include "tool_options.h"

struct bh_flatten_options {
    const struct bh_tool_options *tool;
    const struct bh_cli_many *sources;
    const char *customer;
    const char *record; /* NULL: what DNS has */
    bool preview;
};

/* argv[0] is what follows "flatten". Returns the exit status. */
int bh_cli_spf_flatten(struct bh_cli *cli, const struct bh_flatten_options *options, int argc, char **argv);

#endif
