/* dmarc_author.c: the author domain of a message (RFC 9989 5.3.1): what DMARC asks about. Strict, because whoever
 * finds a From that receivers read in two ways has found a way around DMARC. */
#include "proto/mime/address.h"
#include "proto/mime/header.h"
#include <behalf/dmarc.h>

enum { MAX_FIELDS = 100000, MAX_HEADER = 64 << 20, MAX_AUTHORS = 100 };

/* Several authors of one domain are one to DMARC. */
static bh_str common_domain(struct bh_arena *arena, bh_str value)
{
    struct bh_address_list list;

    if (bh_address_list_parse(arena, value, MAX_AUTHORS, &list) || list.cut || list.count == 0)
        return (bh_str){NULL, 0};
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].domain.n == 0 || !bh_str_eq_ci(list.items[i].domain, list.items[0].domain))
            return (bh_str){NULL, 0};
    return list.items[0].domain;
}

static bh_str domain_of(struct bh_arena *arena, bh_str value, const char **ret_why)
{
    struct bh_author author;
    enum bh_author_fault fault = bh_author_parse(arena, value, &author);
    bh_str domain;

    if (fault == BH_AUTHOR_OK)
        return author.domain;
    domain = fault == BH_AUTHOR_SEVERAL ? common_domain(arena, value) : (bh_str){NULL, 0};
    if (!domain.n)
        *ret_why = bh_author_fault_text(fault);
    return domain;
}

bh_str bh_dmarc_author_domain(struct bh_arena *arena, bh_str header, const char **ret_why)
{
    struct bh_header_iter it = bh_header_iter_make(header, MAX_FIELDS, MAX_HEADER);
    struct bh_header_field field;
    bh_str value = {NULL, 0};
    size_t count = 0;
    bh_err err;

    while ((err = bh_header_next(&it, &field)) == BH_MORE) {
        if (!bh_str_eq_ci(field.name, BH_STR("from")))
            continue;
        value = field.value;
        count++;
    }
    *ret_why = NULL;
    if (err == BH_DONE && count == 1)
        return domain_of(arena, value, ret_why);
    if (err != BH_DONE)
        *ret_why = "the header is too long to be read";
    else
        *ret_why = count ? "the message has several From fields" : "the message has no From field";
    return (bh_str){NULL, 0};
}
