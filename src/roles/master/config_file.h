/* config_file.h: reading behalf.conf with libConfuse into a snapshot. Only master and `behalf config check` use it. */
#ifndef BH_ROLES_MASTER_CONFIG_FILE_H
#define BH_ROLES_MASTER_CONFIG_FILE_H

#include "roles/config.h"

/* Reads and checks `path`. On success *ret_config is the caller's (bh_config_free). On failure `problems` holds one
 * line a problem, "file:line: what is wrong; what to do"; BH_E_IO: cannot be read, BH_E_SYNTAX: does not parse,
 * BH_E_INVALID: a value that cannot be. */
BH_MUST bh_err bh_config_file_read(const char *path, struct bh_config **ret_config, struct bh_buf *problems);

/* "192.0.2.1:25" or "[2001:db8::1]:25" into its parts; the port may be missing (0 then) and the brackets of an address
 * without port too. BH_E_SYNTAX when it is not an address literal. */
BH_MUST bh_err bh_config_address(bh_str text, bh_str *ret_address, uint16_t *ret_port);
/* 127.0.0.0/8 or ::1. */
bool bh_config_is_loopback(bh_str address);

#endif
