/* psl.c: see behalf/psl.h. */
#include "domain.h"
#include <behalf/psl.h>
#include <libpsl.h>
#include <stdlib.h>

struct bh_psl {
    struct bh_suffixes base;
    psl_ctx_t *list;
};

static bh_str registrable(const struct bh_suffixes *base, bh_str domain)
{
    const struct bh_psl *psl = (const struct bh_psl *)(const void *)base;
    char name[BH_DOMAIN_MAX + 1];
    const char *found;

    if (!domain.n || domain.p[0] == '.' || bh_str_to_c(domain, name, sizeof(name)))
        return (bh_str){NULL, 0};
    found = psl_registrable_domain(psl->list, name);
    if (!found)
        return (bh_str){NULL, 0};
    return bh_str_skip(domain, (size_t)(found - name));
}

static const struct bh_suffixes_ops ops = {registrable};

bh_err bh_psl_new(const char *path, struct bh_psl **ret_psl)
{
    struct bh_psl *psl = calloc(1, sizeof(*psl));

    if (!psl)
        return BH_E_NOMEM;
    psl->base.ops = &ops;
    psl->list = path ? psl_load_file(path) : psl_latest(NULL);
    if (!psl->list) {
        free(psl);
        return BH_E_IO;
    }
    *ret_psl = psl;
    return BH_OK;
}

void bh_psl_free(struct bh_psl *psl)
{
    if (!psl)
        return;
    psl_free(psl->list);
    free(psl);
}

const struct bh_suffixes *bh_psl_base(const struct bh_psl *psl)
{
    return &psl->base;
}
