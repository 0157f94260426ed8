/* tool_lint.h: collecting what the linters say, and printing it. */
#ifndef BH_CLI_TOOL_LINT_H
#define BH_CLI_TOOL_LINT_H

#include "cli.h"
#include <behalf/lint.h>

struct bh_tool_lint {
    json_t *problems; /* array of {severity, where, text} */
    unsigned errors;
    unsigned warnings;
};

void bh_tool_lint_begin(struct bh_tool_lint *lint);
/* A bh_lint_report; `ctx` is the struct bh_tool_lint. */
void bh_tool_lint_report(void *ctx, const struct bh_lint_problem *problem);
/* One of our own, beside the library's. */
void bh_tool_lint_add(struct bh_tool_lint *lint, enum bh_lint_severity severity, bh_str where, const char *format, ...)
    BH_PRINTF(4, 5);
/* "error", "warning" or "ok". */
const char *bh_tool_lint_result(const struct bh_tool_lint *lint);
/* Prints the problems, {domain, record, result, problems} as JSON or lines, and ends the collection. `extra` (may be
 * NULL, taken over) holds members to add. Returns the exit status: 2 when strict and there is an error, else 0. */
int bh_tool_lint_print(struct bh_cli *cli, struct bh_tool_lint *lint, bh_str domain, bh_str record, json_t *extra,
                       bool strict);

#endif
