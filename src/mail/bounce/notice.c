/* notice.c: taking a message apart. See notice.h.
 *
 * Parts inside a returned message belong to it and are passed over; the part list is in order of appearance, so a part
 * is inside when its parent is. A notice that is no MIME message at all, or a broken one, has one part of text, in
 * which bounce.c looks for the same things. */
#include "notice.h"
#include "html_text.h"
#include "proto/mime/address.h"
#include "proto/mime/charset.h"
#include "proto/mime/encoded_word.h"
#include "proto/mime/header.h"
#include "proto/mime/part.h"

enum {
    FIELDS_MAX = 2000,
    HEADER_MAX = 512 * 1024,
    PARTS_MAX = 200,
    DEPTH_MAX = 20,
    SUBJECT_MAX = 4096,
    MEND_MAX = 4 * 1024 * 1024
};

/* ---- the header ---- */

static bool name_is(const struct bh_header_field *field, const char *name)
{
    return bh_str_eq_ci(field->name, bh_str_c(name));
}

static bh_err read_from(struct bh_arena *arena, bh_str value, struct bh_notice *notice)
{
    struct bh_address_list list;
    bh_err err = bh_address_list_parse(arena, value, 1, &list);

    if (err || list.count == 0)
        return err;
    notice->from = list.items[0].text;
    notice->from_name = list.items[0].name.n ? list.items[0].name : list.items[0].comment;
    return BH_OK;
}

static bh_err read_to(struct bh_arena *arena, bh_str value, struct bh_notice *notice)
{
    struct bh_address_list list;
    bh_err err = bh_address_list_parse(arena, value, 1, &list);

    if (!err && list.count)
        notice->to = list.items[0].text;
    return err;
}

static bh_err read_failed(struct bh_arena *arena, bh_str value, struct bh_notice *notice)
{
    struct bh_address_list list;
    bh_err err = bh_address_list_parse(arena, value, BH_NOTICE_FAILED_MAX, &list);
    bh_str *failed;

    if (err || list.count == 0)
        return err;
    if (notice->failed_count + list.count > BH_NOTICE_FAILED_MAX)
        return BH_OK;
    failed = bh_arena_array(arena, notice->failed_count + list.count, sizeof(*failed));
    if (!failed)
        return BH_E_NOMEM;
    if (notice->failed_count)
        memcpy(failed, notice->failed, notice->failed_count * sizeof(*failed));
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].domain.n)
            failed[notice->failed_count++] = list.items[i].text;
    notice->failed = failed;
    return BH_OK;
}

static bh_err read_subject(struct bh_arena *arena, bh_str value, struct bh_notice *notice)
{
    struct bh_buf text = bh_buf_make(SUBJECT_MAX);

    bh_text_decode(&text, bh_str_sub(value, 0, SUBJECT_MAX));
    notice->subject = bh_arena_dup(arena, bh_buf_view(&text));
    bh_buf_free(&text);
    return notice->subject.p ? BH_OK : BH_E_NOMEM;
}

static void read_auto_submitted(bh_str value, struct bh_notice *notice)
{
    value = bh_str_trim(value);
    if (bh_str_starts_ci(value, BH_STR("auto-replied")))
        notice->auto_replied = true;
    else if (!bh_str_starts_ci(value, BH_STR("no")))
        notice->auto_generated = true;
}

static void read_precedence(bh_str value, struct bh_notice *notice)
{
    value = bh_str_trim(value);
    if (bh_str_starts_ci(value, BH_STR("auto_reply")) || bh_str_starts_ci(value, BH_STR("auto-reply")))
        notice->auto_replied = true;
    else
        notice->bulk = true;
}

static bh_err read_field(struct bh_arena *arena, const struct bh_header_field *field, struct bh_notice *notice)
{
    if (name_is(field, "From") && notice->from.n == 0)
        return read_from(arena, field->value, notice);
    if (name_is(field, "To") && notice->to.n == 0)
        return read_to(arena, field->value, notice);
    if (name_is(field, "Subject") && notice->subject.n == 0)
        return read_subject(arena, field->value, notice);
    if (name_is(field, "X-Failed-Recipients"))
        return read_failed(arena, field->value, notice);
    if (name_is(field, "Auto-Submitted"))
        read_auto_submitted(field->value, notice);
    else if (name_is(field, "Precedence") || name_is(field, "X-Precedence"))
        read_precedence(field->value, notice);
    else if (name_is(field, "X-Autoreply") || name_is(field, "X-Autorespond") || name_is(field, "X-Autoresponder") ||
             name_is(field, "X-Auto-Reply") || name_is(field, "X-Mail-Autoreply") || name_is(field, "X-AutoReply-From"))
        notice->auto_replied = true;
    else if (name_is(field, "Return-Path") || name_is(field, "X-Envelope-From"))
        notice->null_path |= bh_str_eq(bh_str_trim(field->value), BH_STR("<>"));
    else if (name_is(field, "X-Apple-Unsubscribe"))
        notice->unsubscribes |= bh_str_eq_ci(bh_str_trim(field->value), BH_STR("true"));
    else if (name_is(field, "In-Reply-To") || name_is(field, "References"))
        notice->has_references |= bh_str_trim(field->value).n > 0;
    return BH_OK;
}

static bh_err read_header(struct bh_arena *arena, bh_str message, struct bh_notice *notice)
{
    struct bh_header_iter it = bh_header_iter_make(message, FIELDS_MAX, HEADER_MAX);
    struct bh_header_field field;

    while (bh_header_next(&it, &field) == BH_MORE) {
        bh_err err = read_field(arena, &field, notice);

        if (err)
            return err;
    }
    return BH_OK;
}

/* ---- the parts ---- */

/* What grows while the parts are read; at the end it moves into the arena. */
struct gather {
    struct bh_arena *arena;
    struct bh_notice *notice;
    struct bh_buf text;
    struct bh_buf html; /* read only where there is no plain text */
    struct bh_buf report;
    struct bh_buf feedback;
    struct bh_buf returned;
};

static bool type_is(const struct bh_part *part, const char *type, const char *subtype)
{
    return bh_str_eq_ci(part->type.type, bh_str_c(type)) &&
           (!subtype || bh_str_eq_ci(part->type.subtype, bh_str_c(subtype)));
}

/* Decodes as much of a part's body as `out` may hold. What is left over after a full buffer is not looked at. */
static void decode(const struct bh_part *part, struct bh_buf *out)
{
    struct bh_transfer_decoder decoder = bh_transfer_decoder_make(part->transfer);
    bh_str rest = part->body;

    while (rest.n && out->err == BH_OK) {
        bh_transfer_decode(&decoder, bh_str_sub(rest, 0, 16 * 1024), out);
        rest = bh_str_skip(rest, 16 * 1024);
    }
    bh_transfer_decode_end(&decoder, out);
    if (out->err == BH_E_LIMIT) /* the rest is dropped, what is there is used */
        out->err = BH_OK;
}

/* The words of a text part as UTF-8; in an unknown character set as they stand. */
static bh_err take_text(const struct bh_part *part, struct bh_buf *out)
{
    struct bh_buf raw = bh_buf_make(BH_NOTICE_TEXT_MAX);
    bh_str charset = bh_content_type_param(&part->type, "charset");
    bh_err err;

    decode(part, &raw);
    err = bh_buf_err(&raw);
    if (!err && (charset.n == 0 || bh_utf8_valid(bh_buf_view(&raw)) ||
                 bh_charset_to_utf8(out, charset, bh_buf_view(&raw)) == BH_E_UNSUPPORTED))
        bh_buf_add(out, bh_buf_view(&raw));
    bh_buf_add(out, BH_STR("\n"));
    if (out->err == BH_E_LIMIT)
        out->err = BH_OK;
    bh_buf_free(&raw);
    return err ? err : bh_buf_err(out);
}

/* The header of the message that was returned; `part` is the message, or text with its header. */
static bh_err take_returned(struct gather *gather, const struct bh_part *part)
{
    if (gather->notice->has_returned)
        return BH_OK;
    gather->notice->has_returned = true;
    decode(part, &gather->returned);
    return bh_buf_err(&gather->returned);
}

static bh_err take_part(struct gather *gather, const struct bh_part *part)
{
    struct bh_notice *notice = gather->notice;

    if (type_is(part, "message", "delivery-status") || type_is(part, "message", "global-delivery-status")) {
        notice->has_report = true;
        decode(part, &gather->report);
        bh_buf_add(&gather->report, BH_STR("\n\n"));
        gather->report.err = gather->report.err == BH_E_LIMIT ? BH_OK : gather->report.err;
        return bh_buf_err(&gather->report);
    }
    if (type_is(part, "message", "feedback-report")) {
        notice->has_feedback = true;
        decode(part, &gather->feedback);
        return bh_buf_err(&gather->feedback);
    }
    if (type_is(part, "message", "disposition-notification") ||
        type_is(part, "message", "global-disposition-notification")) {
        notice->has_disposition = true;
        return BH_OK;
    }
    if (type_is(part, "message", NULL) || type_is(part, "text", "rfc822-headers") || type_is(part, "text", "rfc822"))
        return take_returned(gather, part);
    if (type_is(part, "text", "html"))
        return take_text(part, &gather->html);
    if (type_is(part, "text", NULL) || type_is(part, "multipart", NULL)) /* a multipart without a boundary */
        return take_text(part, &gather->text);
    return BH_OK;
}

static bool is_message(const struct bh_part *part)
{
    return part->is_message || type_is(part, "message", "rfc822") || type_is(part, "message", "global");
}

static bh_err take_parts(struct gather *gather, bh_str message)
{
    const struct bh_part_limits limits = {.max_parts = PARTS_MAX, .max_depth = DEPTH_MAX};
    struct bh_part_list list;
    bool inside[PARTS_MAX + 1] = {false};
    bh_err err = bh_part_walk(gather->arena, message, &limits, &list);

    for (size_t i = 0; i < list.count && i <= PARTS_MAX && !err; i++) {
        const struct bh_part *part = &list.parts[i];

        if (part->parent != BH_NO_PART)
            inside[i] = inside[part->parent] || (part->parent && is_message(&list.parts[part->parent]));
        if (inside[i])
            continue;
        if (i == 0 && is_message(part)) /* the whole is a returned message: a notice without words */
            err = take_returned(gather, part);
        else if (!part->is_multipart)
            err = take_part(gather, part);
        else if (i + 1 == list.count || list.parts[i + 1].parent != i) /* broken: no boundary in it */
            err = take_text(part, &gather->text);
    }
    return err;
}

/* CR goes; so do NUL bytes, which no phrase has. */
static bh_err keep_lines(struct bh_arena *arena, const struct bh_buf *from, bh_str *ret_text)
{
    char *copy = bh_arena_alloc(arena, from->n + 1);
    size_t n = 0;

    if (!copy)
        return BH_E_NOMEM;
    for (size_t i = 0; i < from->n; i++)
        if (from->p[i] != '\r' && from->p[i] != 0)
            copy[n++] = from->p[i];
    *ret_text = bh_str_of(copy, n);
    return BH_OK;
}

static bh_err finish(struct gather *gather)
{
    struct bh_notice *notice = gather->notice;
    bh_err err = BH_OK;

    if (bh_str_trim(bh_buf_view(&gather->text)).n == 0)
        err = bh_html_text(&gather->text, bh_buf_view(&gather->html));
    if (!err)
        err = keep_lines(gather->arena, &gather->text, &notice->text);
    if (!err)
        err = keep_lines(gather->arena, &gather->report, &notice->report);
    if (!err)
        err = keep_lines(gather->arena, &gather->feedback, &notice->feedback);
    if (!err)
        err = keep_lines(gather->arena, &gather->returned, &notice->returned);
    return err;
}

/* Some stores and scripts put empty lines before the header. */
static bh_str skip_blank_lines(bh_str message)
{
    bh_str line, rest = message;

    while (rest.n) {
        line = bh_str_cut(rest, '\n', &rest);
        if (bh_str_trim(line).n)
            return message;
        message = rest;
    }
    return message;
}

/* Files from old Macintoshes end lines with CR alone; mail on the wire never does. */
static bh_err mend_line_ends(struct bh_arena *arena, bh_str *message)
{
    size_t cr = bh_str_find(*message, '\r');
    char *copy;

    if (cr == message->n || message->n > MEND_MAX || bh_str_find(*message, '\n') < message->n)
        return BH_OK;
    copy = bh_arena_alloc(arena, message->n);
    if (!copy)
        return BH_E_NOMEM;
    for (size_t i = 0; i < message->n; i++)
        copy[i] = message->p[i] == '\r' ? '\n' : message->p[i];
    message->p = copy;
    return BH_OK;
}

bh_err bh_notice_read(struct bh_arena *arena, bh_str message, struct bh_notice *ret_notice)
{
    struct gather gather = {.arena = arena,
                            .notice = ret_notice,
                            .text = bh_buf_make(BH_NOTICE_TEXT_MAX),
                            .html = bh_buf_make(BH_NOTICE_TEXT_MAX),
                            .report = bh_buf_make(BH_NOTICE_REPORT_MAX),
                            .feedback = bh_buf_make(BH_NOTICE_RETURNED_MAX),
                            .returned = bh_buf_make(BH_NOTICE_RETURNED_MAX)};
    bh_err err;

    *ret_notice = (struct bh_notice){0};
    err = mend_line_ends(arena, &message);
    if (err)
        return err;
    if (bh_str_starts(message, BH_STR("From "))) /* a mailbox's separator line (RFC 4155) */
        (void)bh_str_cut(message, '\n', &message);
    message = skip_blank_lines(message);
    err = read_header(arena, message, ret_notice);
    if (!err)
        err = take_parts(&gather, message);
    if (!err)
        err = finish(&gather);
    bh_buf_free(&gather.text);
    bh_buf_free(&gather.html);
    bh_buf_free(&gather.report);
    bh_buf_free(&gather.feedback);
    bh_buf_free(&gather.returned);
    return err;
}
