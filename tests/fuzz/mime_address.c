/* Addresses from any bytes: both readers end, agree about the author's domain and stay inside the input. */
#include "base/buf.h"
#include "proto/mime/address.h"
#include "proto/mime/encoded_word.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_author(struct bh_arena *arena, bh_str input)
{
    struct bh_author author;
    struct bh_address_list list;

    if (bh_author_parse(arena, input, &author))
        return;
    if (author.address.p < input.p || author.address.p + author.address.n > input.p + input.n ||
        !bh_mail_domain_ok(author.domain) || !bh_str_ends(author.address, author.domain))
        abort();
    /* whoever reads leniently must see the same single address */
    if (bh_address_list_parse(arena, input, 10, &list) || list.count != 1 ||
        !bh_str_eq(list.items[0].domain, author.domain))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bh_str input = {(const char *)data, size};
    struct bh_arena *arena = bh_arena_new(16 << 20);
    struct bh_buf out = bh_buf_make(4 * size + 64);
    struct bh_address_list list;
    struct bh_addr_spec spec;

    check_author(arena, input);
    if (bh_addr_spec_parse(arena, input, BH_ADDR_UTF8, &spec) == BH_OK && spec.local.n + spec.domain.n >= size)
        abort();
    if (bh_address_list_parse(arena, input, 100, &list) == BH_OK && list.count > 100)
        abort();
    bh_phrase_decode(&out, input);
    if (!bh_utf8_valid(bh_buf_view(&out)))
        abort();
    bh_buf_clear(&out);
    bh_text_decode(&out, input);
    if (!bh_utf8_valid(bh_buf_view(&out)))
        abort();
    bh_buf_free(&out);
    bh_arena_free(arena);
    return 0;
}
