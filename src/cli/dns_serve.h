/* dns_serve.h: what is behind `behalf dns`: loading zone files, serving and signing them. */
#ifndef BH_CLI_DNS_SERVE_H
#define BH_CLI_DNS_SERVE_H

#include "cli.h"
#include "proto/dns/zone.h"

/* Adds the zone of a master file to the set; `origin` may be NULL. Tells what is wrong on stderr and returns the exit
 * status. */
int bh_dns_load_file(struct bh_dns_zone_builder *builder, const char *path, const struct bh_dns_name *origin,
                     struct bh_dns_zones *zones);

struct bh_dns_serve_options {
    const struct bh_cli_many *listen;
    const struct bh_dns_name *origin; /* or NULL */
    const struct bh_cli_many *tsig;   /* NAME:BASE64, keys of secondaries */
    const struct bh_cli_many *notify; /* ADDRESS:PORT of secondaries */
    const char *catalog;              /* name of the catalog zone, or NULL */
    char **files;
    size_t file_count;
};

/* Prints the zone of a file signed with the P-256 key of a PEM file, and its DS as a comment; `origin` and `now`
 * (seconds since 1970, as text) may be NULL. Returns the exit status. */
int bh_dns_sign_file(const char *path, const struct bh_dns_name *origin, const char *key_path, const char *now);

/* Serves until SIGTERM or SIGINT; returns the exit status. */
int bh_dns_serve(const struct bh_dns_serve_options *options);

#endif
