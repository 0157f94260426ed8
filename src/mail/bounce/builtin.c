/* builtin.c: the rules of data/bounce-rules, as the build found them. */
#include "builtin_rules.h"
#include "rules.h"

struct bh_rules_source bh_bounce_rules_builtin(void)
{
    return (struct bh_rules_source){BH_STR("built-in"), bh_str_of((const char *)builtin_rules, sizeof(builtin_rules))};
}
