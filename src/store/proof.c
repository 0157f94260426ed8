/* proof.c: queries on `domain_probe`. See control.h. */
#include "control.h"
#include "one.h"

static const struct bh_query get = {"SELECT aligned, at FROM domain_probe WHERE domain = $1"};
static const struct bh_query set = {"INSERT INTO domain_probe(domain, aligned, at) VALUES ($1, $2, $3)"
                                    " ON CONFLICT(domain) DO UPDATE SET aligned = $2, at = $3"};

static void take(void *ctx, const struct bh_row *row)
{
    *(struct bh_probe_proof *)ctx =
        (struct bh_probe_proof){.aligned = (enum bh_mechanism)bh_row_int(row, 0), .at = bh_row_int(row, 1)};
}

bh_err bh_probe_get(struct bh_store *store, int64_t domain, struct bh_probe_proof *ret_proof)
{
    *ret_proof = (struct bh_probe_proof){0};
    return bh_store_rows(store, &get, BH_WITH(BH_INT(domain)), false, take, ret_proof);
}

bh_err bh_probe_set(struct bh_store *store, int64_t domain, const struct bh_probe_proof *proof)
{
    return bh_store_change(store, &set, BH_WITH(BH_INT(domain), BH_INT(proof->aligned), BH_INT(proof->at)), true);
}
