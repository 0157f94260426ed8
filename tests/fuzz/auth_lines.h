/* auth_lines.h: for fuzzing what asks for records: a resolver that answers TXT questions with one line of the input
 * after the other, addresses with fixed ones, and every fifth question with a failure. */
#ifndef BH_TESTS_FUZZ_AUTH_LINES_H
#define BH_TESTS_FUZZ_AUTH_LINES_H

#include "base/buf.h"
#include <behalf/resolver.h>

struct lines_resolver {
    struct bh_resolver base;
    bh_str rest;
    unsigned asked;
};

static inline bh_str lines_next(bh_str *rest)
{
    return bh_str_cut(*rest, '\n', rest);
}

static inline void lines_txt(bh_str text, struct bh_buf *out)
{
    do {
        bh_str part = bh_str_sub(text, 0, 255);

        bh_buf_u8(out, (uint8_t)part.n);
        bh_buf_add(out, part);
        text = bh_str_skip(text, part.n);
    } while (text.n);
}

static inline bh_err lines_lookup(struct bh_resolver *base, bh_str name, uint16_t type, bh_dns_done *done, void *ctx,
                                  struct bh_dns_query **ret_query)
{
    struct lines_resolver *lines = (struct lines_resolver *)(void *)base;
    struct bh_buf rdata = bh_buf_make(1 << 20);
    struct bh_dns_record records[12];
    struct bh_dns_answer answer = {.status = BH_DNS_FOUND, .count = 1, .records = records, .canonical_name = name};

    *ret_query = NULL;
    if (++lines->asked % 5 == 0)
        answer = (struct bh_dns_answer){.status = (enum bh_dns_status)(lines->asked / 5 % 3 + 1)};
    if (type == BH_DNS_TXT)
        lines_txt(lines_next(&lines->rest), &rdata);
    else if (type == BH_DNS_AAAA)
        bh_buf_add(&rdata, BH_STR("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"));
    else if (type == BH_DNS_A)
        bh_buf_add(&rdata, BH_STR("\xc0\0\2\1"));
    else if (type == BH_DNS_MX)
        bh_buf_add(&rdata, BH_STR("\0\12\1m\7example\0"));
    else
        bh_buf_add(&rdata, BH_STR("\1n\7example\0"));
    for (size_t i = 0; i < 12; i++)
        records[i].rdata = bh_buf_view(&rdata);
    if (answer.count && type != BH_DNS_TXT)
        answer.count = 1 + lines->asked % 12;
    done(ctx, &answer);
    bh_buf_free(&rdata);
    return BH_OK;
}

static inline void lines_cancel(struct bh_resolver *base, struct bh_dns_query *query)
{
    /* nothing waits */
}

static const struct bh_resolver_ops lines_ops = {lines_lookup, lines_cancel};

#endif
