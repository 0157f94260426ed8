/* dns_query.h: asking the name server that runs here, and what its daemon knows about it. */
#ifndef BH_CLI_DNS_QUERY_H
#define BH_CLI_DNS_QUERY_H

#include "cli.h"
#include "proto/dns/name.h"

/* Sends one query to the first DNS listener of the configuration, by UDP, or TCP when asked or when the response was
 * cut off. Fills `response`. Returns the exit status; what failed is said. */
int bh_dns_query_own(const struct bh_cli *cli, const struct bh_dns_name *name, uint16_t type, bool dnssec, bool tcp,
                     struct bh_buf *response);
/* `behalf dns stats`. */
int bh_dns_stats(const struct bh_cli *cli, const char *limit);
/* `behalf dns keys|roll NAME`, and how the keys of a zone are printed. */
int bh_dns_keys(const struct bh_cli *cli, const char *verb, const char *name);
void bh_dns_print_keys(const json_t *result);
/* `behalf dns export DIRECTORY`: every zone as a master file NAME.zone. */
int bh_dns_export(const struct bh_cli *cli, const char *directory);

#endif
