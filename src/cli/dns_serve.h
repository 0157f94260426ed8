/* dns_serve.h: loading zone files, and `behalf dns serve`. */
#ifndef BH_CLI_DNS_SERVE_H
#define BH_CLI_DNS_SERVE_H

#include "cli.h"
#include "proto/dns/zone.h"

/* Adds the zone of a master file to the set; `origin` may be NULL. Tells what is wrong on stderr and returns the exit
 * status. */
int bh_dns_load_file(struct bh_dns_zone_builder *builder, const char *path, const struct bh_dns_name *origin,
                     struct bh_dns_zones *zones);

#endif
