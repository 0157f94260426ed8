/* spf_source.c: terms that may be added to a flattened record. See spf_flatten.h. */
#include "spf_flatten.h"
#include <behalf/spf.h>

bh_err bh_flat_source_check(bh_str text)
{
    struct bh_buf record = bh_buf_make(1024);
    struct bh_spf_terms terms;
    struct bh_spf_term term = {.kind = BH_SPF_ALL};
    bh_err err = BH_E_SYNTAX;

    bh_buf_printf(&record, "v=spf1 %.*s", BH_FMT(text));
    if (!bh_buf_err(&record) && text.n && bh_str_find(text, ' ') == text.n) {
        terms = bh_spf_terms_of(bh_buf_view(&record));
        if (bh_spf_terms_next(&terms, &term, NULL) == BH_MORE && term.qualifier == '+' && !term.macros &&
            (term.kind == BH_SPF_IP4 || term.kind == BH_SPF_IP6 ||
             ((term.kind == BH_SPF_INCLUDE || term.kind == BH_SPF_A || term.kind == BH_SPF_MX) && term.target.p)))
            err = BH_OK;
    }
    bh_buf_free(&record);
    return err;
}
