/* behalf/lint.h: what a linter of records says. */
#ifndef BEHALF_LINT_H
#define BEHALF_LINT_H

#include <behalf/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum bh_lint_severity {
    BH_LINT_ERROR,   /* evaluators give permerror, ignore the record or a part of it */
    BH_LINT_WARNING, /* works, but not as its author expects, or not everywhere */
    BH_LINT_NOTE
};

struct bh_lint_problem {
    enum bh_lint_severity severity;
    bh_str where; /* the part of the record that it is about; may be the whole */
    bh_str text;  /* what is wrong and what to do */
};

/* `problem` and its views live until the function returns. */
typedef void bh_lint_report(void *ctx, const struct bh_lint_problem *problem);

#ifdef __cplusplus
}
#endif
#endif
