/* unit.h: cmocka with the headers that it needs, and comparing byte views. */
#ifndef BH_TESTS_UNIT_H
#define BH_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

#define assert_str(actual, expected)                                                                                   \
    do {                                                                                                               \
        bh_str actual_ = (actual), expected_ = bh_str_c(expected);                                                     \
        if (!bh_str_eq(actual_, expected_))                                                                            \
            fail_msg("got \"%.*s\", expected \"%.*s\"", BH_FMT(actual_), BH_FMT(expected_));                           \
    } while (0)
#define assert_ok(expression)                                                                                          \
    do {                                                                                                               \
        bh_err err_ = (expression);                                                                                    \
        if (err_)                                                                                                      \
            fail_msg("%s: %s", #expression, bh_err_text(err_));                                                        \
    } while (0)

#endif
