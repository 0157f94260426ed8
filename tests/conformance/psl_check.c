/* psl_check.c: `psl_check LIST < names`: the registrable domain of each name on stdin by LIST, or "null"; a helper of
 * psl.py. Names are turned into A-labels first, as DMARC does, and answers are A-labels. */
#include "auth/domain.h"
#include <behalf/psl.h>
#include <stdio.h>

static void answer(const struct bh_suffixes *suffixes, bh_str name)
{
    struct bh_buf ascii = bh_buf_make(1024);
    bh_str found = {NULL, 0};

    if (!bh_domain_to_ascii(name, &ascii) && bh_domain_valid(bh_buf_view(&ascii)))
        found = suffixes->ops->registrable(suffixes, bh_buf_view(&ascii));
    (void)printf("%.*s\n", BH_FMT(found.n ? found : BH_STR("null")));
    bh_buf_free(&ascii);
}

int main(int argc, char **argv)
{
    struct bh_psl *psl;
    char line[1024];

    if (argc != 2 || bh_psl_new(argv[1], &psl))
        return 1;
    while (fgets(line, sizeof(line), stdin))
        answer(bh_psl_base(psl), bh_str_trim(bh_str_c(line)));
    bh_psl_free(psl);
    return 0;
}
