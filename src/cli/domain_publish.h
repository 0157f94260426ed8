/* domain_publish.h: `behalf domain publish`: records into a customer's own name server by DNS UPDATE (RFC 2136, signed
 * by TSIG, RFC 8945). */
#ifndef BH_CLI_DOMAIN_PUBLISH_H
#define BH_CLI_DOMAIN_PUBLISH_H

#include "cli.h"

struct bh_publish_options {
    const char *server; /* "192.0.2.1", "2001:db8::1", or with a port: "[2001:db8::1]:53" */
    const char *tsig_key;
    const char *zone; /* NULL: the zone that the last check found, or the registrable domain */
    bool dry_run;
};

/* Takes `args` (domain, customer). */
int bh_domain_publish(const struct bh_cli *cli, json_t *args, const struct bh_publish_options *options);

#endif
