/* lint_util.c: see lint_util.h. */
#include "lint_util.h"
#include <stdarg.h>
#include <stdio.h>

void bh_lint_say(struct bh_linter *linter, enum bh_lint_severity severity, bh_str where, const char *format, ...)
{
    char text[512];
    struct bh_lint_problem problem = {.severity = severity, .where = where};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    problem.text = bh_str_c(text);
    linter->errors += severity == BH_LINT_ERROR;
    linter->report(linter->ctx, &problem);
}
