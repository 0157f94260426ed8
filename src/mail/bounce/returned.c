/* returned.c: see returned.h. */
#include "returned.h"
#include "heuristics.h"
#include "proto/mime/address.h"
#include "proto/mime/header.h"
#include "proto/mime/msgid.h"

enum { FIELDS_MAX = 500, HEADER_MAX = 256 * 1024 };

void bh_returned_add_sender(struct bh_bounce *bounce, bh_str address)
{
    if (address.n == 0 || bounce->sender_count == BH_BOUNCE_SENDERS_MAX)
        return;
    for (size_t i = 0; i < bounce->sender_count; i++)
        if (bh_str_eq_ci(bounce->senders[i], address))
            return;
    bounce->senders[bounce->sender_count++] = address;
}

static bool name_is(const struct bh_header_field *field, const char *name)
{
    return bh_str_eq_ci(field->name, bh_str_c(name));
}

/* "(envelope-from <a@b>)" in a Received field. */
static void take_received(bh_str value, struct bh_bounce *bounce)
{
    size_t at = bh_str_search_ci(value, BH_STR("envelope-from"));
    bh_str rest = bh_str_sub(value, at, 400), before, address;

    if (rest.n && bh_next_address(&rest, &before, &address) && before.n < 20)
        bh_returned_add_sender(bounce, address);
}

static bh_err first_address(struct bh_arena *arena, bh_str value, bh_str *ret_address)
{
    struct bh_address_list list;
    bh_err err = bh_address_list_parse(arena, bh_str_sub(value, 0, 8192), 1, &list);

    if (!err && list.count && list.items[0].domain.n)
        *ret_address = list.items[0].text;
    return err;
}

static bh_err take_field(struct bh_arena *arena, const struct bh_header_field *field, struct bh_bounce *bounce,
                         struct bh_returned *returned)
{
    bh_str value = field->value, address = {NULL, 0};
    bh_err err = BH_OK;

    if (name_is(field, "Message-ID") && bounce->message_id.n == 0) {
        (void)!bh_msgid_next(&value, &bounce->message_id);
    } else if (name_is(field, "Feedback-ID") || name_is(field, "CFBL-Feedback-ID")) {
        bounce->feedback_id = bounce->feedback_id.n ? bounce->feedback_id : bh_str_trim(value);
    } else if (name_is(field, "Subject")) {
        bounce->subject = bounce->subject.n ? bounce->subject : bh_str_trim(value);
    } else if (name_is(field, "To") && returned->to.n == 0) {
        err = first_address(arena, value, &returned->to);
    } else if (name_is(field, "Return-Path") || name_is(field, "X-Envelope-From") || name_is(field, "Errors-To")) {
        err = first_address(arena, value, &address);
        bh_returned_add_sender(bounce, address);
    } else if (name_is(field, "Received")) {
        take_received(value, bounce);
    } else if (name_is(field, "X-HmXmrOriginalRecipient")) {
        returned->junk_mark = true;
        returned->to = (bh_str){NULL, 0};
        err = first_address(arena, value, &returned->to);
    }
    return err;
}

bh_err bh_returned_read(struct bh_arena *arena, bh_str header, struct bh_bounce *bounce,
                        struct bh_returned *ret_returned)
{
    struct bh_header_iter it = bh_header_iter_make(header, FIELDS_MAX, HEADER_MAX);
    struct bh_header_field field;

    *ret_returned = (struct bh_returned){0};
    while (bh_header_next(&it, &field) == BH_MORE) {
        bh_err err = take_field(arena, &field, bounce, ret_returned);

        if (err)
            return err;
    }
    return BH_OK;
}
