/* setting.c: queries on `setting`. See control.h. */
#include "control.h"
#include "one.h"

static const struct bh_query get = {"SELECT value FROM setting WHERE name = $1"};
static const struct bh_query set = {
    "INSERT INTO setting(name, value) VALUES ($1, $2) ON CONFLICT(name) DO UPDATE SET value = $2"};

bh_err bh_setting_get(struct bh_store *store, struct bh_arena *arena, bh_str name, bh_str *ret_value)
{
    return bh_store_text(store, arena, &get, BH_WITH(BH_TEXT(name)), ret_value);
}

bh_err bh_setting_set(struct bh_store *store, bh_str name, bh_str value)
{
    return bh_store_change(store, &set, BH_WITH(BH_TEXT(name), BH_TEXT(value)), true);
}
