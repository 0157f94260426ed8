/* auth_results.c: writing Authentication-Results, and finding forged ones. Reading is auth_results_read.c. */
#include "base/buf.h"
#include "proto/mime/header.h"
#include <behalf/auth_results.h>

enum { MAX_TEXT = 64 * 1024, MAX_BLOCK = 64 << 20, FOLD_AT = 76, MAX_SIGNATURES = 20 };

/* RFC 2045 5.1 token; '@' may stand in a property's value besides. */
static bool is_token_byte(char c)
{
    return (unsigned char)c > 32 && c != 127 && !strchr("()<>@,;:\\\"/[]?=", c);
}

static bool is_plain(bh_str text, bool at_allowed)
{
    for (size_t i = 0; i < text.n; i++)
        if (!is_token_byte(text.p[i]) && !(at_allowed && text.p[i] == '@'))
            return false;
    return text.n > 0;
}

/* Control bytes are dropped: nothing that is written can end the field or the line. */
static void add_clean(struct bh_buf *out, bh_str text, const char *escaped)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c < 32 || c == 127)
            continue;
        if (strchr(escaped, (char)c))
            bh_buf_char(out, '\\');
        bh_buf_char(out, (char)c);
    }
}

static void add_word(struct bh_buf *out, bh_str text, bool at_allowed)
{
    if (is_plain(text, at_allowed)) {
        bh_buf_add(out, text);
        return;
    }
    bh_buf_char(out, '"');
    add_clean(out, text, "\"\\");
    bh_buf_char(out, '"');
}

struct folder {
    struct bh_buf *out;
    size_t line_start;
};

/* Puts what was appended since `from` on a new line where the present one has grown too long. */
static void fold_since(struct folder *folder, size_t from)
{
    struct bh_buf *out = folder->out;
    size_t n = out->n - from;

    if (bh_buf_err(out) || out->n - folder->line_start <= FOLD_AT || from == folder->line_start ||
        !bh_buf_reserve(out, 2))
        return;
    memmove(out->p + from + 2, out->p + from, n);
    memcpy(out->p + from, "\r\n", 2); /* the blank that begins the piece makes it a fold */
    bh_buf_commit(out, 2);
    folder->line_start = from + 2;
}

static void write_property(struct folder *folder, const struct bh_auth_property *property)
{
    size_t from = folder->out->n;

    bh_buf_char(folder->out, ' ');
    add_clean(folder->out, property->type, "");
    bh_buf_char(folder->out, '.');
    add_clean(folder->out, property->name, "");
    bh_buf_char(folder->out, '=');
    add_word(folder->out, property->value, true);
    fold_since(folder, from);
}

static void write_method(struct folder *folder, const struct bh_auth_method *method)
{
    struct bh_buf *out = folder->out;
    size_t from;

    bh_buf_add(out, BH_STR(";\r\n"));
    folder->line_start = out->n;
    bh_buf_char(out, ' ');
    add_clean(out, method->method, "");
    if (method->version > 1)
        bh_buf_printf(out, "/%u", method->version);
    bh_buf_char(out, '=');
    add_clean(out, method->result, "");
    from = out->n;
    if (method->comment.n) {
        bh_buf_add(out, BH_STR(" ("));
        add_clean(out, method->comment, "()\\");
        bh_buf_char(out, ')');
        fold_since(folder, from);
    }
    from = out->n;
    if (method->reason.n) {
        bh_buf_add(out, BH_STR(" reason="));
        add_word(out, method->reason, false);
        fold_since(folder, from);
    }
    for (size_t i = 0; i < method->property_count; i++)
        write_property(folder, &method->properties[i]);
}

bh_err bh_auth_results_write(struct bh_arena *arena, const struct bh_auth_results *results, bh_str *ret_text)
{
    struct bh_buf text = bh_buf_make(MAX_TEXT);
    struct folder folder = {&text, 0};
    bh_str copy = {NULL, 0};
    bh_err err;

    if (results->authserv_id.n == 0)
        return BH_E_INVALID;
    add_word(&text, results->authserv_id, false);
    if (results->version > 1)
        bh_buf_printf(&text, " %u", results->version);
    if (results->method_count == 0)
        bh_buf_add(&text, BH_STR("; none"));
    for (size_t i = 0; i < results->method_count; i++)
        write_method(&folder, &results->methods[i]);
    err = bh_buf_err(&text);
    if (!err) {
        copy = bh_arena_dup(arena, bh_buf_view(&text));
        err = copy.p ? BH_OK : BH_E_NOMEM;
    }
    bh_buf_free(&text);
    if (!err)
        *ret_text = copy;
    return err;
}

/* ---- forged fields ---- */

static bool is_forged(const struct bh_header_field *field, bh_str authserv_id)
{
    return bh_str_eq_ci(field->name, BH_STR("authentication-results")) &&
           bh_auth_results_claims(field->value, authserv_id);
}

static bh_err copy_genuine(bh_str header, bh_str authserv_id, struct bh_buf *out, size_t *removed)
{
    struct bh_header_iter it = bh_header_iter_make(header, SIZE_MAX, SIZE_MAX);
    struct bh_header_field field;
    size_t end = 0; /* of the last field */
    bh_err err;

    *removed = 0;
    while ((err = bh_header_next(&it, &field)) == BH_MORE) {
        end = (size_t)(field.whole.p + field.whole.n - header.p);
        if (is_forged(&field, authserv_id))
            ++*removed;
        else
            bh_buf_add(out, field.whole);
    }
    bh_buf_add(out, bh_str_skip(header, end)); /* the empty line, and a body if the caller gave one */
    return err == BH_DONE ? bh_buf_err(out) : err;
}

bh_err bh_auth_results_strip(struct bh_arena *arena, bh_str header, bh_str authserv_id, bh_str *ret_header,
                             size_t *ret_removed)
{
    struct bh_buf kept = bh_buf_make(MAX_BLOCK);
    bh_str copy = header;
    size_t removed = 0;
    bh_err err = copy_genuine(header, authserv_id, &kept, &removed);

    if (!err && removed) {
        copy = bh_arena_dup(arena, bh_buf_view(&kept));
        err = copy.p ? BH_OK : BH_E_NOMEM;
    }
    bh_buf_free(&kept);
    if (err)
        return err;
    *ret_header = copy;
    *ret_removed = removed;
    return BH_OK;
}

/* ---- from a verification ---- */

static bool describe(struct bh_arena *arena, const struct bh_dkim_signature *signature, struct bh_auth_method *method)
{
    struct bh_auth_property *properties = bh_arena_array(arena, 5, sizeof(*properties));
    const struct bh_auth_property all[] = {
        {BH_STR("header"), BH_STR("d"), signature->domain},   {BH_STR("header"), BH_STR("i"), signature->identity},
        {BH_STR("header"), BH_STR("s"), signature->selector}, {BH_STR("header"), BH_STR("a"), signature->algorithm},
        {BH_STR("header"), BH_STR("b"), signature->b_start},
    };
    size_t count = 0;

    if (!properties)
        return false;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].value.n)
            properties[count++] = all[i];
    *method = (struct bh_auth_method){.method = BH_STR("dkim"),
                                      .version = 1,
                                      .result = bh_str_c(bh_dkim_result_text(signature->result)),
                                      .properties = properties,
                                      .property_count = count};
    if (signature->result != BH_DKIM_PASS)
        method->reason = signature->reason;
    return true;
}

bh_err bh_auth_results_of_dkim(struct bh_arena *arena, const struct bh_dkim_verify *verify,
                               const struct bh_auth_method **ret_methods, size_t *ret_count)
{
    size_t count = bh_dkim_verify_count(verify);
    struct bh_auth_method *methods;

    if (count > MAX_SIGNATURES)
        count = MAX_SIGNATURES;
    methods = bh_arena_array(arena, count + 1, sizeof(*methods));
    if (!methods)
        return BH_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        if (!describe(arena, bh_dkim_verify_get(verify, i), &methods[i]))
            return BH_E_NOMEM;
    if (count == 0) {
        methods[0].method = BH_STR("dkim");
        methods[0].version = 1;
        methods[0].result = bh_str_c(bh_dkim_result_text(bh_dkim_verify_result(verify, NULL)));
        count = 1;
    }
    *ret_methods = methods;
    *ret_count = count;
    return BH_OK;
}
