/* revoked.c: see revoked.h. */
#include "revoked.h"
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

bh_err bh_revoked_set(struct bh_revoked *revoked, bh_str list)
{
    struct bh_cur cur = bh_cur_make(list);
    struct bh_rec_key_ref ref;
    size_t count = 0;
    uint64_t *ids = calloc(list.n / sizeof(uint64_t) + 1, sizeof(*ids));
    bh_err err;

    if (!ids)
        return BH_E_NOMEM;
    while ((err = bh_rec_key_ref_next(&cur, &ref)) == BH_MORE)
        ids[count++] = ref.key_id;
    if (err != BH_DONE) {
        free(ids);
        return BH_E_SYNTAX;
    }
    qsort(ids, count, sizeof(*ids), compare);
    free(revoked->ids);
    *revoked = (struct bh_revoked){ids, count, true};
    return BH_OK;
}

bool bh_revoked_has(const struct bh_revoked *revoked, uint64_t key_id)
{
    return revoked->count && bsearch(&key_id, revoked->ids, revoked->count, sizeof(*revoked->ids), compare);
}

void bh_revoked_free(struct bh_revoked *revoked)
{
    free(revoked->ids);
    *revoked = (struct bh_revoked){0};
}
