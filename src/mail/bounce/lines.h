/* lines.h: text line by line, for the readers of this folder. */
#ifndef BH_MAIL_BOUNCE_LINES_H
#define BH_MAIL_BOUNCE_LINES_H

#include "base/str.h"

/* Cuts the next line, without its LF. False at the end. */
static inline bool bh_next_line(bh_str *rest, bh_str *ret_line)
{
    if (!rest->p || rest->n == 0)
        return false;
    *ret_line = bh_str_cut(*rest, '\n', rest);
    return true;
}

/* "Name: value" at the start of a line: the name (blanks before the colon cut off), or empty. */
static inline bh_str bh_field_name(bh_str line, bh_str *ret_value)
{
    bh_str value, name = bh_str_cut(line, ':', &value);
    size_t n = 0;

    while (n < name.n && (bh_is_alnum(name.p[n]) || name.p[n] == '-' || name.p[n] == '_'))
        n++;
    if (!value.p || n == 0 || n > 60 || bh_str_trim(bh_str_skip(name, n)).n)
        return (bh_str){NULL, 0};
    *ret_value = bh_str_trim(value);
    return bh_str_sub(name, 0, n);
}

#endif
