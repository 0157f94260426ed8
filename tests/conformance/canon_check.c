/* canon_check.c: the canonical form of the message on standard input: `canon_check simple|relaxed`. Header fields, the
 * empty line, body, as DKIM hashes them. */
#include "auth/canon.h"
#include "proto/mime/header.h"
#include <stdio.h>

enum { MAX_MESSAGE = 1 << 20 };

static void print(void *ctx, const char *p, size_t n)
{
    (void)fwrite(p, 1, n, ctx);
}

static void print_canonical(bh_str message, enum bh_dkim_canon canon)
{
    struct bh_header_iter it = bh_header_iter_make(message, SIZE_MAX, SIZE_MAX);
    struct bh_header_field field;
    struct bh_canon_out out;
    struct bh_canon_body body;

    bh_canon_out_init(&out, print, stdout);
    while (bh_header_next(&it, &field) == BH_MORE)
        bh_canon_header(&out, canon, field.whole, (bh_str){NULL, 0}, false);
    bh_canon_add(&out, "\r\n", 2);
    bh_canon_flush(&out);
    bh_canon_body_init(&body, canon, print, stdout);
    bh_canon_body_add(&body, bh_header_body(&it));
    bh_canon_body_end(&body);
}

int main(int argc, char **argv)
{
    static char text[MAX_MESSAGE];
    size_t n = fread(text, 1, sizeof(text), stdin);

    if (argc != 2)
        return 1;
    print_canonical(bh_str_of(text, n), strcmp(argv[1], "relaxed") == 0 ? BH_DKIM_RELAXED : BH_DKIM_SIMPLE);
    return 0;
}
