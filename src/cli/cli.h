/* cli.h: what every subcommand of behalf(1) is made of.
 *
 * A noun is one file, cli/<noun>.c, with a function of type bh_cli_run and a line in the table of main.c. It gets
 * its own arguments (argv[0] is the noun), prints through stdio, and returns an exit status:
 *   0   done, or (pure tools) a verdict was reached, whatever it is
 *   1   usage or input error: said on stderr as `behalf NOUN: what is wrong; what to do`
 *   2   --strict and the verdict is not pass
 *   69  the daemon could not be reached            (EX_UNAVAILABLE)
 *   75  temporary: try again                       (EX_TEMPFAIL) */
#ifndef BH_CLI_CLI_H
#define BH_CLI_CLI_H

#include "base/buf.h"
#include <jansson.h>
#include <stdio.h>

enum { BH_EXIT_OK = 0, BH_EXIT_USAGE = 1, BH_EXIT_VERDICT = 2, BH_EXIT_UNAVAILABLE = 69, BH_EXIT_TEMPFAIL = 75 };

struct bh_cli {
    const char *config_path; /* --config, $BEHALF_CONFIG, or /etc/behalf/behalf.conf */
    const char *program;     /* argv[0] of the whole program: roles are looked up beside it */
    bool json;               /* a global --json before the noun, or the noun's own */
};

typedef int bh_cli_run(struct bh_cli *cli, int argc, char **argv);

struct bh_cli_command {
    const char *noun;
    bh_cli_run *run;
    const char *summary; /* one line for `behalf --help` */
    const char *group;   /* the heading that it stands under */
};

/* Text that strangers may have written, as DNS answers have it, on one line; control characters become '?'. */
void bh_cli_print_text(const char *text);

/* `behalf NOUN: text` on stderr; returns BH_EXIT_USAGE, so that `return bh_cli_fail(…)` reads well. */
int bh_cli_fail(const char *noun, const char *format, ...) BH_PRINTF(2, 3);

/* Options are `--name VALUE`, `--name=VALUE` or a bare `--name`; anything else is an operand; `--` ends options.
 * A table of these is walked by bh_cli_options; unknown or incomplete options are reported with the noun's help hint.
 */
struct bh_cli_option {
    const char *name;         /* without the dashes */
    const char **value;       /* where the value goes; the last one given wins */
    bool *flag;               /* for bare options; exactly one of value, flag, many is set */
    struct bh_cli_many *many; /* repeated options, in order */
};

struct bh_cli_many {
    const char *values[64];
    size_t count;
};

/* Parses argv[1..]; operands are moved to the front of argv (argv[0] first) and counted in *ret_operands (argv[0] not
 * counted). `help` is printed and *ret_exit set when --help is given. False = stop and return *ret_exit. The options
 * array ends with a NULL name. --json is known everywhere and sets cli->json. */
bool bh_cli_options(struct bh_cli *cli, int *argc, char **argv, const struct bh_cli_option *options, const char *help,
                    int *ret_exit);

/* A file whole, or stdin for "-" and NULL; at most `max` bytes (BH_E_LIMIT). With `crlf`, a bare LF becomes CRLF.
 * The buffer is the caller's. BH_E_IO with errno. */
BH_MUST bh_err bh_cli_read(const char *path, size_t max, bool crlf, struct bh_buf *ret_bytes);

/* Prints and frees `value`, sorted as built, two-space indent on a terminal, one line otherwise. */
void bh_cli_print_json(json_t *value);

/* A table on stdout: columns as wide as they need, headings in capitals, cells cleaned of control bytes. On a pipe the
 * cells are separated by tabs, without headings, for cut and awk. */
struct bh_cli_table;
struct bh_cli_table *bh_cli_table_new(const char *const *headings, size_t columns);
/* Adds one cell (copied); rows fill up left to right. */
void bh_cli_table_cell(struct bh_cli_table *table, bh_str text);
/* Prints and frees. */
void bh_cli_table_print(struct bh_cli_table *table);

#endif
