/* domain_records.h: DNS records that a customer publishes, printed in several forms. */
#ifndef BH_CLI_DOMAIN_RECORDS_H
#define BH_CLI_DOMAIN_RECORDS_H

#include "cli.h"

void bh_records_print_table(const json_t *records);
/* As a master file; what is optional is a comment. */
void bh_records_print_zone(const json_t *records);

/* `behalf domain records`: takes `args`. `format` and `provider` may be NULL. */
int bh_domain_records(const struct bh_cli *cli, json_t *args, const char *format, const char *provider);
/* The result of `domain preview`. */
void bh_preview_print(const json_t *preview);

#endif
