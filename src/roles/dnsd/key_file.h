/* key_file.h: TSIG keys as tsig-keygen(8) writes them and named.conf(5) has them:
 *     key "name" { algorithm hmac-sha256; secret "base64"; };
 * Comments (#, //, C's) are skipped. */
#ifndef BH_ROLES_DNSD_KEY_FILE_H
#define BH_ROLES_DNSD_KEY_FILE_H

#include "proto/dns/tsig.h"

/* Reads up to `max` keys. BH_E_SYNTAX; BH_E_UNSUPPORTED: an algorithm other than hmac-sha256; BH_E_LIMIT: too many keys
 * or too long a secret; BH_E_NOT_FOUND: none. The keys are to be wiped by the caller. */
BH_MUST bh_err bh_dns_key_file_read(bh_str text, struct bh_dns_tsig_key *ret_keys, size_t max, size_t *ret_count);

#endif
