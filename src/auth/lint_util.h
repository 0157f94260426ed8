/* lint_util.h: reporting for the linters of records. */
#ifndef BH_AUTH_LINT_UTIL_H
#define BH_AUTH_LINT_UTIL_H

#include "base/str.h"
#include <behalf/lint.h>

struct bh_linter {
    bh_lint_report *report;
    void *ctx;
    unsigned errors;
};

/* Formats and reports one problem; control bytes of the record become '?'. */
void bh_lint_say(struct bh_linter *linter, enum bh_lint_severity severity, bh_str where, const char *format, ...)
    BH_PRINTF(4, 5);

#endif
