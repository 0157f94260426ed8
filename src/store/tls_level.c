/* tls_level.c: queries on `tls_level`. See tls_level.h. */
#include "tls_level.h"
#include "one.h"

static const struct bh_query set = {"INSERT INTO tls_level(customer, domain, level) VALUES ($1, $2, $3)"
                                    " ON CONFLICT(customer, domain) DO UPDATE SET level = excluded.level"};
static const struct bh_query clear = {"DELETE FROM tls_level WHERE customer = $1 AND domain = $2"};
static const struct bh_query strictest = {
    "SELECT coalesce(max(level), 0) FROM tls_level WHERE customer = $1 AND (domain = 0 OR domain = $2)"};
static const struct bh_query exact = {
    "SELECT coalesce(max(level), 0) FROM tls_level WHERE customer = $1 AND domain = $2"};

bh_err bh_tls_level_set(struct bh_store *store, int64_t customer, int64_t domain, int64_t level)
{
    if (!level)
        return bh_store_change(store, &clear, BH_WITH(BH_INT(customer), BH_INT(domain)), false);
    return bh_store_change(store, &set, BH_WITH(BH_INT(customer), BH_INT(domain), BH_INT(level)), true);
}

bh_err bh_tls_level_of(struct bh_store *store, int64_t customer, int64_t domain, int64_t *ret_level)
{
    return bh_store_number(store, &strictest, BH_WITH(BH_INT(customer), BH_INT(domain)), ret_level);
}

bh_err bh_tls_level_at(struct bh_store *store, int64_t customer, int64_t domain, int64_t *ret_level)
{
    return bh_store_number(store, &exact, BH_WITH(BH_INT(customer), BH_INT(domain)), ret_level);
}
