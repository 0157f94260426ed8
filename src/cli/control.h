/* control.h: asking the running daemon, through its control socket. */
#ifndef BH_CLI_CONTROL_H
#define BH_CLI_CONTROL_H

#include "cli.h"

/* Runs one command: noun, verb, and `args` (an object; the reference is taken). `fd` goes along, or -1. The result is a
 * new reference. NULL: it failed; the reason and the fix are on stderr and *ret_exit is the exit status. */
json_t *bh_control_ask(const struct bh_cli *cli, const char *noun, const char *verb, json_t *args, int fd,
                       int *ret_exit);

/* The same, but gives the whole answer, {"ok", "result"} or {"ok", "error": {"code", "detail", "fix"}}, and says
 * nothing of an error in it. NULL: the daemon could not be asked. */
json_t *bh_control_try(const struct bh_cli *cli, const char *noun, const char *verb, json_t *args, int fd,
                       int *ret_exit);

/* The same where only success matters to the caller: prints the result with --json, else `done` with %s replaced by
 * `name` (both may be NULL: nothing is said). Returns the exit status. */
int bh_control_do(const struct bh_cli *cli, const char *noun, const char *verb, json_t *args, const char *done,
                  const char *name);

/* "" for what is missing or no text. Borrowed. */
const char *bh_json_text(const json_t *object, const char *name);
/* Adds `value` under `name` unless it is NULL. */
void bh_json_add(json_t *object, const char *name, const char *value);
/* --limit as a number in `args`; false after saying what is wrong with it. NULL is fine. */
bool bh_cli_limit(const char *noun, const char *limit, json_t *args);
/* Prints a list of objects as a table of these members, which are its headings too. */
void bh_cli_print_rows(const json_t *rows, const char *const *columns, size_t count);
/* One table row's cell from a member: texts, numbers, yes/no, "-" for null. */
void bh_table_member(struct bh_cli_table *table, const json_t *object, const char *name);

#endif
