/* Whole messages, dates, parameters, ids: all end, all stay inside, a tree is a tree. */
#include "proto/mime/date.h"
#include "proto/mime/msgid.h"
#include "proto/mime/part.h"
#include "proto/mime/received.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

static void check_tree(struct bh_arena *arena, bh_str message)
{
    struct bh_part_list list;
    bh_err err = bh_part_walk(arena, message, NULL, &list);

    if (err)
        return;
    must(list.count >= 1 && list.count <= 500);
    for (size_t i = 0; i < list.count; i++) {
        const struct bh_part *part = &list.parts[i];
        must(part->header.p >= message.p || part->header.n == 0);
        must(part->header.n + part->body.n <= message.n);
        must(part->body.n == 0 || (part->body.p >= message.p && part->body.p + part->body.n <= message.p + message.n));
        must(i == 0 ? part->parent == BH_NO_PART : part->parent < i);
    }
}

/* One byte at a time gives what all at once gives. */
static void check_decoder(bh_str input, enum bh_transfer transfer)
{
    struct bh_transfer_decoder whole = bh_transfer_decoder_make(transfer), pieces = whole;
    struct bh_buf a = bh_buf_make(input.n), b = bh_buf_make(input.n);

    bh_transfer_decode(&whole, input, &a);
    bh_transfer_decode_end(&whole, &a);
    for (size_t i = 0; i < input.n; i++)
        bh_transfer_decode(&pieces, bh_str_sub(input, i, 1), &b);
    bh_transfer_decode_end(&pieces, &b);
    must(!bh_buf_err(&a) && bh_str_eq(bh_buf_view(&a), bh_buf_view(&b)));
    bh_buf_free(&a);
    bh_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bh_str input = {(const char *)data, size}, rest = input, id;
    struct bh_arena *arena = bh_arena_new(64 << 20);
    struct bh_content_type type;
    struct bh_received received;
    struct bh_date date;
    size_t ids = 0;

    check_tree(arena, input);
    check_decoder(input, BH_TRANSFER_QP);
    check_decoder(input, BH_TRANSFER_BASE64);
    if (bh_content_type_parse(arena, input, &type) == BH_OK)
        must(type.type.n > 0 && type.param_count <= BH_PARAM_MAX);
    bh_received_parse(input, &received);
    must(received.id.n <= size && (received.from_address.n == 0 || bh_is_ip_text(received.from_address)));
    if (bh_date_parse(input, &date) == BH_OK)
        must(date.month >= 1 && date.month <= 12 && date.year <= 9999);
    while (bh_msgid_next(&rest, &id) == BH_MORE)
        must(++ids <= size);
    bh_arena_free(arena);
    return 0;
}
