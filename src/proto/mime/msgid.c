/* msgid.c: see msgid.h. After each identifier the rest is moved to the next '<', or emptied: so a rest without '<'
 * is a value that never had one. */
#include "msgid.h"

static bh_str from_open(bh_str s)
{
    return bh_str_skip(s, bh_str_find(s, '<'));
}

bh_err bh_msgid_next(bh_str *rest, bh_str *ret_id)
{
    while (rest->n) {
        bh_str id, after = {NULL, 0}, here = from_open(*rest);
        if (here.n)
            id = bh_str_cut(bh_str_skip(here, 1), '>', &after);
        else
            id = *rest;
        *rest = from_open(after);
        id = bh_str_trim(id);
        if (id.n) {
            *ret_id = id;
            return BH_MORE;
        }
    }
    return BH_DONE;
}
