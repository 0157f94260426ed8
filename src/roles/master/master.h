/* master.h: `behalf serve`: the supervisor. See master.c. */
#ifndef BH_ROLES_MASTER_MASTER_H
#define BH_ROLES_MASTER_MASTER_H

/* Reads the configuration, binds, starts the roles, and stays until SIGTERM or SIGINT. `program` is argv[0]: the roles
 * are looked up beside it first. Returns an exit status for the process. */
int bh_master_run(const char *program, const char *config_path);

#endif
