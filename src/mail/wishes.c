/* wishes.c: see wishes.h. */
#include "wishes.h"
#include "proto/mime/header.h"

enum { FIELDS_MAX = 20000, HEADER_MAX = 4 << 20 };

static bool is_stream(bh_str value)
{
    for (size_t i = 0; i < value.n; i++)
        if (!bh_is_alnum(value.p[i]) && value.p[i] != '.' && value.p[i] != '_' && value.p[i] != '-')
            return false;
    return value.n && value.n <= BH_STREAM_MAX;
}

static bool take(struct bh_wishes *wishes, const struct bh_header_field *field)
{
    bh_str value = bh_str_trim(field->value);

    if (bh_str_eq_ci(field->name, BH_STR("Behalf-Stream"))) {
        wishes->stream = value;
        return is_stream(value);
    }
    if (bh_str_eq_ci(field->name, BH_STR("Behalf-Unsubscribe"))) {
        wishes->unsubscribe = bh_str_eq_ci(value, BH_STR("yes"));
        return wishes->unsubscribe || bh_str_eq_ci(value, BH_STR("no"));
    }
    return true;
}

bh_err bh_wishes_read(bh_str message, struct bh_wishes *ret_wishes)
{
    struct bh_header_iter it = bh_header_iter_make(message, FIELDS_MAX, HEADER_MAX);
    struct bh_header_field field;
    struct bh_wishes wishes = {.stream = BH_STR("")};
    bh_err err;

    while ((err = bh_header_next(&it, &field)) == BH_MORE)
        if (!take(&wishes, &field))
            return BH_E_INVALID;
    if (err != BH_DONE)
        return err;
    *ret_wishes = wishes;
    return BH_OK;
}

bool bh_wishes_is_field(bh_str name)
{
    return bh_str_eq_ci(name, BH_STR("Behalf-Stream")) || bh_str_eq_ci(name, BH_STR("Behalf-Unsubscribe"));
}
