/* domain_import.h: `behalf domain import`: domains, keys, labels and CNAME targets from another set-up. */
#ifndef BH_CLI_DOMAIN_IMPORT_H
#define BH_CLI_DOMAIN_IMPORT_H

#include "cli.h"

struct bh_import_options {
    const char *customer, *approach; /* of rows that do not say */
    const char *key_table, *signing_table;
    bool dry_run;
};

/* Imports the CSV files, and the tables if they are given. Returns the exit status: 1 when a row could not be taken
 * over; the others are. */
int bh_domain_import(const struct bh_cli *cli, char **files, int count, const struct bh_import_options *options);

#endif
